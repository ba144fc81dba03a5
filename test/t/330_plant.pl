# The plant at a glance, from Kafka to the views for dashboards: what alarms and
# operators do shows in machine_status, and a condition on time limits what is
# read of millions of rows.  The views' own cases: test/sql/plant.sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonTest;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $machines = <<'QUERY';
SELECT string_agg(concat_ws(' ', machine_id, level, alarms_critical,
	alarms_unacknowledged, alarms_blocked), ', ' ORDER BY rank)
FROM factorymon.machine_status
QUERY

create_pipeline($node, $broker, workers => 1, options => quick_options(),
	alert_topic => '', partition_interval => '1 hour');

# One reading of a sensor, by these limits.
sub reading
{
	my ($sensor, $limits) = @_;

	sql($node, 'DELETE FROM factorymon.threshold; '
		  . "INSERT INTO factorymon.threshold (sensor_type, $limits");
	is(run_producer(kafka => $broker, count => 1, heartbeat => 0, seed => 7,
			sensor_id => $sensor, machine_id => "machine-$sensor",
			sensor_type => 'temperature')->{rc}, 0, "$sensor: a reading");
	return;
}

sub comes_to
{
	my ($expected, $name) = @_;

	return ok(poll_until($node, $machines, $expected), "$name: $expected");
}

reading('a', 'critical_high) VALUES (\'temperature\', 1000)');
comes_to('machine-a normal 0 0 0', 'nothing is wrong');
reading('b', 'warning_high) VALUES (\'temperature\', -50)');
comes_to('machine-b warning 0 1 0, machine-a normal 0 0 0', 'a warning');
reading('c', 'critical_high) VALUES (\'temperature\', -50)');
comes_to('machine-c critical 1 1 0, machine-b warning 0 1 0, '
	  . 'machine-a normal 0 0 0', 'worse');
sql($node, "SELECT factorymon.acknowledge(announced_event_id) "
	  . "FROM factorymon.alarms WHERE sensor_id = 'c'");
comes_to('machine-c critical 1 0 0, machine-b warning 0 1 0, '
	  . 'machine-a normal 0 0 0', 'acknowledged, it is still critical');
sql($node, "SELECT factorymon.shelve('c', '1 hour', 'known')");
comes_to('machine-b warning 0 1 0, machine-a normal 0 0 0, '
	  . 'machine-c normal 0 0 1', 'shelved, it does not count');
reading('b', 'warning_high) VALUES (\'temperature\', 1000)');
comes_to('machine-b normal 0 1 0, machine-a normal 0 0 0, '
	  . 'machine-c normal 0 0 1', 'returned, it waits to be acknowledged');
ok(poll_until($node, <<'QUERY', 't'), 'both alarms are counted, by the hour');
SELECT coalesce(sum(announcements) = 2, false) FROM factorymon.alarm_hours
WHERE hour_at >= date_bin('1 hour', now(), timestamptz 'epoch') - interval '1 hour'
QUERY

# Two days of readings behind these, a partition for each hour.
sql($node, <<'QUERY');
SELECT _factorymon.ensure_partition('sensor-data', 'reading', h)
FROM generate_series(now() - interval '2 days', now(), '1 hour') h;
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT t, 1000000, 20, v.sensor_id, st.stream_id, v.sensor_version_id,
	st.pipeline_id, 0, 0, 0
FROM generate_series(now() - interval '2 days', now() - interval '1 hour', '2 s') t,
	_factorymon.sensor_version v, (SELECT * FROM _factorymon.stream LIMIT 1) st;
ANALYZE _factorymon.reading;
QUERY
my $where = q{WHERE minute_at >= date_bin('1 min', now(), 'epoch')
	- interval '130 min' AND minute_at < date_bin('1 min', now(), 'epoch')
	- interval '128 min'};
is(sql($node, "SELECT count(*), sum(readings), sum(sensors)
	FROM factorymon.zone_minutes $where"), '2|180|6', 'two minutes of it');

# What was read for that, as the executor saw it.
my ($out, $plans);
$node->psql('factory', <<"QUERY", stdout => \$out, stderr => \$plans);
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET client_min_messages = log;
SELECT count(*) FROM factorymon.zone_minutes $where
QUERY
my @minutes = grep { /zone_readings/ && /Subplans Removed/ } split /(?=LOG:)/, $plans;
is(scalar @minutes, 2, 'each of the two minutes is asked for, and no other')
  or diag $plans;
foreach (@minutes)
{
	my %scanned = map { s/_sensor_id_ts_idx$//r => 1 }
	  /Scan (?:using \S+ )?on (reading_\d+\S*)/g;

	is(scalar keys %scanned, 1, 'in one partition');
	unlike($_, qr/Seq Scan on reading/, 'by its index');
	like($_, qr/Index Cond: .*ts >=.*ts </, 'no further than needed');
}

$node->stop;
done_testing();
