
# Rollups: every minute, hour and day is what its readings say, whatever happened
# to them: late, out of order, through several partitions, of bad quality, retried,
# replayed, after a crash and a restart, while nothing was kept, and after the
# readings themselves are gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use FactorymonRollups;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $SENSORS = 8;
my $ZONE = 'America/St_Johns';    # half an hour off, with summer time
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $sent = 0;

# Readings of each sensor from a time on, so many seconds apart.
sub produce
{
	my ($start, $readings, %opt) = @_;

	is(run_producer(kafka => $broker, sensors => $SENSORS,
			sensor_id => 'temp', sensor_type => 'temperature',
			sampling_interval => 7, count => $readings * $SENSORS, rate => 0,
			start => $start, record_time => 'event', anomalies => 'none',
			heartbeat => 0, seed => 7, %opt)->{rc},
		0, 'readings');
	$sent += $readings * $SENSORS;
	return caught_up($node, $sent);
}

my %begin = rollup_begins($ZONE);

# All levels, as they are and after hours and days were computed.
sub are_right
{
	my ($what) = @_;

	foreach my $computed (0, 1)
	{
		sql($node, "SELECT _factorymon.merge_rollups('sensor-data')") if $computed;
		is(sql($node, rollup_differences($_, $begin{$_})), '',
				"$what: $_ " . ($computed ? 'computed' : 'as it is'))
		  foreach sort keys %begin;
	}
	return;
}

sub count_of
{
	my ($table) = @_;

	return sql($node, "SELECT count(*) FROM _factorymon.$table");
}

sub worker_is_killed
{
	my ($pid) = worker_pids($node);

	kill 'KILL', $pid;
	wait_gone($pid);
	# the server ends all sessions and recovers
	return poll_while('the server', sub {
			eval { sql($node, 'SELECT 1'); 1 } }) &&
	  running($node);
}

create_pipeline($node, $broker, workers => 2, accept_past => '10 years',
	options => quick_options());
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', time_zone => '$ZONE')");
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
ok(running($node), 'every partition runs');

# clocks go forward in the night of the 8th
ok(produce('2026-03-08T02:00:00Z', 1500) && rollups_settled($node), 'stored');
cmp_ok(count_of('rollup_1m'), '>', 0, 'minutes are stored');
are_right('in order');
cmp_ok(count_of('rollup_1h'), '>', 0, 'hours are stored');
cmp_ok(count_of('rollup_1d'), '>', 0, 'days are stored');
is(count_of('rollup_mark'), 0, 'and no mark is left');

# late, and the same sensors through several partitions
ok(produce('2026-03-08T01:10:00Z', 600, seed => 8, unkeyed => 1), 'late ones');
cmp_ok(count_of('rollup_mark'), '>', 0, 'what was computed is marked');
are_right('late');
ok(produce('2026-03-08T05:00:00Z', 400, seed => 9, unkeyed => 1), 'once more');
cmp_ok(sql($node, 'SELECT sum(n_bad) FROM factorymon.readings_1d'), '>', 0,
	'some are of bad quality');
are_right('several partitions');

# while nothing is kept
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', rollups => false)");
my $minutes = count_of('rollup_1m');
ok(produce('2026-03-08T06:00:00Z', 300, seed => 13), 'nothing is kept');
is(count_of('rollup_1m'), $minutes, 'indeed');
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', rollups => true)");
are_right('kept again, from rows');
ok(produce('2026-03-08T07:00:00Z', 300, seed => 14), 'kept again');
are_right('kept again');

# killed in the middle
my $producer = start_producer(kafka => $broker, sensors => $SENSORS,
	sensor_id => 'temp', sensor_type => 'temperature', sampling_interval => 3,
	count => 6000, rate => 3000, start => '2026-03-09T00:00:00Z',
	record_time => 'event', anomalies => 'none', heartbeat => 0, seed => 11);
$sent += 6000;
ok(poll_until($node, "SELECT count(*) > 500 FROM factorymon.sensor_readings"
		. " WHERE ts >= '2026-03-09' AND ts < '2026-03-10'", 't'), 'some of them');
ok(worker_is_killed(), 'killed while they come');
is($producer->wait->{rc}, 0, 'all are sent');
ok(caught_up($node, $sent), 'all are stored');
are_right('killed in the middle');

# what the database refused is retried
sql($node, 'ALTER TABLE _factorymon.reading_1 ADD CHECK (value < 23) NOT VALID');
ok(produce('2026-03-09T06:00:00Z', 200, seed => 12), 'some are refused');
cmp_ok(sql($node, 'SELECT count(*) FROM factorymon.rejects'), '>', 0, 'they are');
are_right('refused');
sql($node, 'ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT reading_1_value_check');
sql($node, "SELECT factorymon.retry_rejects('sensor-data')");
is(sql($node, 'SELECT count(*) FROM factorymon.rejects'), 0, 'all are retried');
are_right('retried');

# back, and read again
sub replay
{
	my ($partition) = @_;
	my $target = sql($node, <<"QUERY");
SELECT max(kafka_offset) - 1500 FROM factorymon.sensor_readings
WHERE kafka_partition = $partition
QUERY

	sql($node, "SELECT factorymon.pause('sensor-data', $partition)");
	ok(poll_until($node, <<"QUERY", 't'), "partition $partition is paused");
SELECT state = 'paused' FROM factorymon.partition_status()
WHERE kafka_partition = $partition
QUERY
	sql($node, "SELECT factorymon.seek('sensor-data', $partition, $target, true)");
	are_right("partition $partition is back");
	sql($node, "SELECT factorymon.resume('sensor-data', $partition)");
	ok(lag_is_zero($node), 'read again');
	are_right("partition $partition read again");
	return;
}
replay($_) foreach 0, 1;

$node->restart;
ok(running($node), 'restarted');
are_right('restarted');

# now, so that there is something pending
ok(produce(sql($node, "SELECT to_char(now() at time zone 'utc' - interval '20 min',"
			. " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"), 170, unkeyed => 1), 'of now');
is(sql($node, <<'QUERY'), 't', 'some are in no part yet');
SELECT count(*) > 0 FROM _factorymon.reading r
JOIN _factorymon.rollup_stream q USING (stream_id)
WHERE r.ts >= q.pending_from AND r.flags & 32 = 0
QUERY
are_right('of now');

ok(worker_is_killed(), 'killed, and running again');
are_right('killed');
ok(produce('2026-03-09T07:00:00Z', 100, seed => 10), 'more');
are_right('after a crash');

# another time zone
$ZONE = 'Australia/Eucla';
%begin = rollup_begins($ZONE);
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', time_zone => '$ZONE')");
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
are_right('another time zone');

# views of zones and machines say the same
foreach my $kind ('zone', 'machine')
{
	is(sql($node, <<"QUERY"), '', "per $kind");
WITH wanted AS (
	SELECT $begin{'1h'} AS bucket, zone, sensor_type, count(*) AS n, min(value),
			max(value), count(DISTINCT sensor_id) AS sensors,
			round(avg(value)::numeric, 9) AS avg,
			round(stddev_samp(value)::numeric, 7) AS stddev
		FROM factorymon.sensor_readings
		WHERE coalesce(quality, 1) >= 0.5
		GROUP BY 1, 2, 3, @{[ $kind eq 'zone' ? 'factory_section' : 'factory_section, machine_id' ]}),
kept AS (
	SELECT bucket, zone, sensor_type, n, min, max, sensors,
			round(avg::numeric, 9), round(stddev::numeric, 7)
		FROM factorymon.${kind}_1h WHERE n > 0)
(TABLE wanted EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE wanted)
LIMIT 4
QUERY
}

# what is pending would wait for time to go on: it does, in each partition
ok(produce(sql($node, "SELECT to_char(now() at time zone 'utc' - interval '1 min',"
			. " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"), 60, sensors => 60), 'of now');
ok(poll_until($node, <<'QUERY', 't'), 'nothing of that time is pending');
SELECT bool_and(q.pending_from > '2026-03-10') FROM _factorymon.rollup_stream q
JOIN _factorymon.stream s USING (stream_id) WHERE s.kafka_partition >= 0
QUERY

# the readings go, the rest stays
my $digest = <<'QUERY';
SELECT md5(string_agg(x::text, ' ' ORDER BY bucket, sensor_id))
FROM factorymon.readings_1d x WHERE bucket < '2026-03-08 12:00+00'
QUERY
my $before = sql($node, $digest);
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', retention => now() - '2026-03-09 12:00+00')");
ok(poll_while('retention', sub {
	sql($node, "SELECT _factorymon.drop_expired('sensor-data')");
	return sql($node, "SELECT count(*) FROM factorymon.sensor_readings"
			. " WHERE ts < '2026-03-09'") == 0;
}), 'no reading of that time is left');
is(sql($node, $digest), $before, 'its days are');
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
is(sql($node, $digest), $before, 'also when the others are computed');

# what came from another log is purged; extents end with their owner
$node->restart;
ok(running($node), 'restarted');
sql($node, "SELECT factorymon.pause('sensor-data')");
ok(poll_until($node, <<'QUERY', 't'), 'paused');
SELECT bool_and(state = 'paused') FROM factorymon.partition_status()
QUERY
sql($node, <<'QUERY');
BEGIN;
DELETE FROM _factorymon.rollup_1m WHERE bucket < '2026-03-09';
DELETE FROM _factorymon.rollup_1h WHERE bucket < '2026-03-08 23:00';
DELETE FROM _factorymon.rollup_1d;
UPDATE _factorymon.rollup_progress SET days_until = '2026-03-01';
UPDATE _factorymon.stream SET retired_at = now(), retired_reason = 'test'
	WHERE kafka_partition = 1;
UPDATE _factorymon.ledger SET kind = 'suspect'
	WHERE kind = 'extent' AND stream_id = (SELECT stream_id
		FROM _factorymon.stream WHERE kafka_partition = 1);
COMMIT;
QUERY
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
cmp_ok(sql($node, "SELECT factorymon.purge_suspect('sensor-data', 1)"), '>', 0,
	'purged');
is(sql($node, rollup_differences($_, $begin{$_})), '', "purged: $_") foreach '1m', '1h';
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
is(sql($node, rollup_differences($_, $begin{$_})), '', "purged: $_ computed")
  foreach '1m', '1h';

sql($node, "SELECT factorymon.drop_pipeline('sensor-data')");
is(sql($node, <<'QUERY'), '0|0', 'nothing is left of a pipeline');
SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE 'rollup\_1%\_%' AND relkind = 'r'),
	(SELECT count(*) FROM _factorymon.rollup_mark)
		+ (SELECT count(*) FROM _factorymon.rollup_progress)
		+ (SELECT count(*) FROM _factorymon.rollup_stream)
QUERY

done_testing();
