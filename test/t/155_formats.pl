
# Formats as mappings: four of them side by side, of different groups and owners,
# beside a topic that has only garbage and an owner who lost INSERT; several
# readings of one message through alarms, replay, retry and verify_delivery();
# a mapping that is mended; what is new in messages; and a dump of it all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use FactorymonRollups;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my @topics = qw(canonical readings cities devices garbage lost gateway);
my $broker = start_broker(topics => [ map { "$_:1" } @topics ]);
my $node = new_node(conf => "factorymon.restart_delay_max = '2s'\n"
	  . "factorymon.max_workers = 16\n");
my $begin = time() - 3600;
my %sent = map { ($_ => 0) } @topics;

# --- messages ---------------------------------------------------------------
sub at
{
	my ($n, $zone) = @_;

	return strftime('%Y-%m-%dT%H:%M:%S', gmtime($begin + $n)) . $zone;
}

my %make = (
	canonical => sub {
		return sprintf '{"timestamp":"%s","sensor_id":"c%d","sensor_type":'
		  . '"temperature","location":{"factory_section":"f","machine_id":"m",'
		  . '"zone":"z"},"value":%d,"unit":"C"}', at($_[0], 'Z'), $_[0] % 5,
		  20 + $_[0] % 5;
	},
	readings => sub {
		return sprintf '{"unique_reading_id":"0-%d","sensor_id":"r%d",'
		  . '"sensor_type":"temperature","value":%d,"timestamp":%d}', $_[0],
		  $_[0] % 5, 20 + $_[0] % 5, $begin + $_[0];
	},
	cities => sub {
		return sprintf '{"city":"%s","temperature":%d,"humidity":%d,'
		  . '"status":"%s","timestamp":"%s"}',
		  ("S\xc3\xa3o Paulo", 'Recife', 'Curitiba')[ $_[0] % 3 ],
		  20 + $_[0] % 5, 40 + $_[0] % 5, ('normal', 'alerta')[ $_[0] % 2 ],
		  at($_[0], 'Z');
	},
	devices => sub {
		return sprintf '{"sensor_id":"00000000-0000-4000-8000-%012d",'
		  . '"timestamp":"%s","temperatura":%d,"umidade":%d}', $_[0] % 5,
		  at($_[0], ''), 20 + $_[0] % 5, 40 + $_[0] % 5;
	},
	garbage => sub { return ('no json', '{"city":1}', '[', '{}')[ $_[0] % 4 ] },
	gateway => sub {
		return sprintf '{"gw":"g%d","t":%d,"p":[{"n":"a","v":%d},{"n":"b",'
		  . '"v":%d}]}', $_[0] % 2, $begin + $_[0], 20 + $_[0] % 5,
		  30 + $_[0] % 5;
	});

$make{lost} = $make{canonical};

sub send_lines
{
	my ($topic, @lines) = @_;
	my $in = join '', map { "$_\n" } @lines;
	my $err = '';

	IPC::Run::run([ 'kcat', '-P', '-b', $broker->bootstrap, '-t', $topic, '-p', 0 ],
		'<', \$in, '2>', \$err)
	  or die "kcat: $err";
	$sent{$topic} += @lines;
	return;
}

sub produce
{
	my ($topic, $n) = @_;

	send_lines($topic, map { $make{$topic}->($_) } $sent{$topic} .. $sent{$topic} + $n - 1);
	return;
}

# --- waiting and comparing ----------------------------------------------------
sub taken
{
	my ($pipeline, $what) = @_;

	return poll_until($node, <<"QUERY", $sent{$pipeline});
SELECT sum(messages + rejected + other) FROM factorymon.message_counters
WHERE pipeline = '$pipeline'
QUERY
}

sub readings
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT count(*) FROM factorymon.sensor_readings WHERE pipeline = '$pipeline'
QUERY
}

sub verified
{
	my ($pipeline) = @_;

	return is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"),
		'', "$pipeline: verify_delivery() finds nothing");
}

# --- six pipelines side by side ----------------------------------------------
sql($node, <<'QUERY');
CREATE ROLE other LOGIN;
SELECT factorymon.grant_access('admin', 'other');
QUERY
my %format = (
	canonical => 'factory', readings => 'reading', cities => 'city',
	devices => 'sensores', garbage => 'city');
foreach my $topic (sort keys %format)
{
	create_pipeline($node, $broker, topic => $topic, name => $topic,
		format => $format{$topic}, consumer_group => "group-$topic",
		options => quick_options());
}
sql($node, 'GRANT USAGE ON FOREIGN SERVER plant TO other');
sql($node, <<'QUERY');
SET ROLE other;
SELECT factorymon.create_pipeline('lost', server => 'plant', consumer_group => 'lost');
QUERY
ok(running($node, 6), 'six pipelines run');
sql($node, 'REVOKE INSERT ON _factorymon.reading_'
	  . sql($node, "SELECT pipeline_id FROM _factorymon.pipeline WHERE name = 'lost'")
	  . ' FROM other');
produce($_, 300) foreach sort keys %format;
produce('lost', 50);
ok(taken($_), "$_: every message is accounted for") foreach sort keys %format;
is(readings('canonical'), 300, 'factory: a reading a message');
is(readings('readings'), 300, 'reading: the same');
is(readings('cities'), 600, 'city: two');
is(readings('devices'), 600, 'sensores: two');
my %bucket = rollup_begins('UTC');
is(sql($node, rollup_differences('1m', $bucket{'1m'})), '', 'rollups are of all of them');
is(readings('garbage'), 0, 'garbage: none');
is(sql($node, <<'QUERY'), 300, 'but each is a reject');
SELECT count(*) FROM factorymon.rejects WHERE pipeline = 'garbage'
QUERY
ok(poll_until($node, <<'QUERY', 't'), 'the owner who lost INSERT waits');
SELECT bool_or(w.state = 'retrying' AND w.last_error ~ 'permission denied')
FROM factorymon.worker_status() w WHERE w.pipeline = 'lost'
QUERY
is(readings('lost'), 0, 'and has nothing stored');
is(sql($node, <<'QUERY'), 't', 'what came of cities is what was sent');
SELECT sum(value) FILTER (WHERE sensor_type = 'temperature')
		= (SELECT sum(20 + n % 5) FROM generate_series(0, 299) n)
	AND sum(value) FILTER (WHERE sensor_type = 'humidity')
		= (SELECT sum(40 + n % 5) FROM generate_series(0, 299) n)
	AND bool_and(zone IN ('São Paulo', 'Recife', 'Curitiba'))
	AND count(*) FILTER (WHERE reported_level = 'warning') = 300
FROM factorymon.sensor_readings WHERE pipeline = 'cities'
QUERY
produce($_, 100) foreach sort keys %format;
ok(taken($_), "$_ goes on") foreach sort keys %format;
sql($node, 'GRANT INSERT ON _factorymon.reading_'
	  . sql($node, "SELECT pipeline_id FROM _factorymon.pipeline WHERE name = 'lost'")
	  . ' TO other');
ok(taken('lost'), 'with INSERT again, lost is stored, too');
is(readings('lost'), 50, 'all of it');
verified($_) foreach sort keys %format, 'lost';

# --- a format of one's own; alarms know which reading it was -------------------
my $mapping = '{"each": "/p", "timestamp": {"at": "/t", "as": "epoch_s"},'
  . ' "sensor_id": {"join": ["/gw", {"const": "-"}, "@/n"]},'
  . ' "machine_id": "/gw", "sensor_type": {"const": "temperature"},'
  . ' "value": "@/v"}';
sql($node, <<"QUERY");
INSERT INTO factorymon.format VALUES ('gateway', '$mapping');
INSERT INTO factorymon.threshold (sensor_type, critical_high) VALUES ('temperature', 90);
QUERY
create_pipeline($node, $broker, topic => 'gateway', name => 'gateway',
	format => 'gateway', consumer_group => 'gateway');
ok(running($node, 7), 'a seventh, of a format in the table');
produce('gateway', 100);
send_lines('gateway', sprintf('{"gw":"g0","t":%d,"p":[{"n":"a","v":20},{"n":"b","v":95}]}',
		$begin + 200));
send_lines('gateway', '{"gw":"g0","t":1,"p":[]}');
ok(taken('gateway'), 'gateway: every message is accounted for');
is(readings('gateway'), 202, 'two readings of each, none of the empty array');
is(sql($node, <<'QUERY'), '1', 'which is no reject');
SELECT sum(other) FROM factorymon.message_counters WHERE pipeline = 'gateway'
QUERY
is(sql($node, <<'QUERY'), 'g0-b 100 1', 'an alarm names offset and reading');
SELECT concat_ws(' ', sensor_id, kafka_offset, reading_index)
FROM factorymon.alerts WHERE pipeline = 'gateway' AND transition = 'raised'
QUERY
is(sql($node, <<'QUERY'), '100 2 101', 'readings are numbered within their message');
SELECT concat_ws(' ', max(kafka_offset), count(DISTINCT reading_index),
	count(DISTINCT kafka_offset))
FROM factorymon.sensor_readings WHERE pipeline = 'gateway'
QUERY
verified('gateway');

# --- in use -------------------------------------------------------------------
my ($rc, $out, $err) =
  $node->psql('factory', "DELETE FROM factorymon.format WHERE name = 'gateway'");
like($err, qr/cannot delete format "gateway": it is in use/, 'a format in use stays');
($rc, $out, $err) =
  $node->psql('factory', "UPDATE factorymon.format SET name = 'x' WHERE name = 'gateway'");
like($err, qr/cannot rename format/, 'under its name');
($rc, $out, $err) = $node->psql('factory', 'TRUNCATE factorymon.format');
like($err, qr/some are in use/, 'and TRUNCATE does not help');

# --- messages change; the mapping is mended; rejects are taken in ---------------
my @changed = map {
	sprintf '{"gw":"g0","t":%d,"fw":"2.%d","p":[{"n":"a","val":%d},{"n":"b","val":1}]}',
	  $begin + 300 + $_, $_, $_
} 1 .. 20;
send_lines('gateway', @changed);
send_lines('gateway', sprintf('{"gw":7,"t":%d,"p":[]}', $begin + 400),
	sprintf('{"gw":8,"t":%d,"p":[{"n":"a","v":1}]}', $begin + 400));
ok(taken('gateway'), 'what the format does not know is accounted for');
is(readings('gateway'), 202, 'but not stored');
ok(poll_until($node, <<'QUERY', "/fw new member 20\n/gw changed type 2\n\@/v missing member 20\n\@/val new member 20"),
SELECT concat_ws(' ', path, what, messages) FROM factorymon.schema_drift
WHERE pipeline = 'gateway' ORDER BY path COLLATE "C", what
QUERY
	'schema_drift says what is new, what is missing and what changed');
is(sql($node, <<'QUERY'), '"2.1" gateway 0 102', 'with an example and where it was first');
SELECT concat_ws(' ', example, topic, kafka_partition, kafka_offset)
FROM factorymon.schema_drift WHERE path = '/fw'
QUERY
my $pids = sql($node, <<'QUERY');
SELECT pid FROM factorymon.worker_status() WHERE pipeline = 'gateway'
QUERY
my $others = sql($node, <<'QUERY');
SELECT string_agg(pid::text, ',' ORDER BY pid) FROM factorymon.worker_status()
WHERE pipeline <> 'gateway'
QUERY
sql($node, <<'QUERY');
UPDATE factorymon.format SET mapping = jsonb_set(mapping, '{value}',
	'{"at": ["@/v", "@/val"]}') WHERE name = 'gateway'
QUERY
ok(poll_until($node, <<"QUERY", 't'), 'its worker begins anew');
SELECT count(*) = 1 AND bool_and(pid <> $pids AND state = 'running')
FROM factorymon.worker_status() WHERE pipeline = 'gateway'
QUERY
is(sql($node, <<'QUERY'), $others, 'and no other does');
SELECT string_agg(pid::text, ',' ORDER BY pid) FROM factorymon.worker_status()
WHERE pipeline <> 'gateway'
QUERY
is(sql($node, <<'QUERY'), '22|20|2', 'retry_rejects() decodes with the format of today');
SELECT * FROM factorymon.retry_rejects('gateway')
QUERY
is(readings('gateway'), 242, 'two readings of each');
verified('gateway');
send_lines('gateway', map { s/"t":(\d+)/'"t":' . ($1 + 100)/er } @changed);
ok(taken('gateway'), 'new messages');
is(readings('gateway'), 282, 'are stored as well');

# --- replay -------------------------------------------------------------------
my $all = <<'QUERY';
SELECT md5(string_agg(concat_ws(' ', kafka_offset, reading_index, ts, sensor_id,
	value, extra), ',' ORDER BY kafka_offset, reading_index))
FROM factorymon.sensor_readings WHERE pipeline = 'gateway'
	AND kafka_offset NOT IN (SELECT kafka_offset FROM factorymon.rejects
		WHERE pipeline = 'gateway')
QUERY
my $before = sql($node, $all);
sql($node, <<'QUERY');
SELECT factorymon.pause('gateway', 0);
SELECT factorymon.seek('gateway', 0, 'earliest', replay => true);
SELECT factorymon.resume('gateway', 0);
QUERY
ok(taken('gateway'), 'everything is read again');
is(sql($node, $all), $before, 'and is the same');
verified('gateway');
is(sql($node, <<'QUERY'), '1', 'no alarm was raised twice');
SELECT count(*) FROM factorymon.alerts
WHERE pipeline = 'gateway' AND transition = 'raised'
QUERY

# --- drift survives, until it is forgotten --------------------------------------
ok(poll_until($node, <<'QUERY', 't'), 'drift of the replay is counted');
SELECT messages >= 40 FROM factorymon.schema_drift WHERE path = '/fw'
QUERY
is(run_producer(kafka => $broker, topic => 'canonical', count => 20, sensors => 2,
		rate => 20, heartbeat => 0.2, seed => 1)->{rc}, 0, 'a producer with heartbeats');
ok(poll_until($node, <<'QUERY', 't'), 'whose heartbeats are counted');
SELECT other > 0 AND messages >= 420 FROM factorymon.message_counters
WHERE pipeline = 'canonical'
QUERY
send_lines('canonical', '{"new":1,' . substr($make{canonical}->(500), 1));
ok(poll_until($node, <<'QUERY', '/new new member 1'), 'of the factory format, too; not of heartbeats');
SELECT concat_ws(' ', path, what, messages) FROM factorymon.schema_drift
WHERE pipeline = 'canonical'
QUERY
send_lines('canonical', map {
	qq({"m$_":1,) . substr($make{canonical}->(501 + $_), 1)
} 1 .. 150);
ok(poll_until($node, <<'QUERY', 't'), '150 more are 100 rows, and one for what is more');
SELECT count(*) FILTER (WHERE what = 'new member') = 100
	AND sum(messages) FILTER (WHERE what = 'more') = 51
FROM factorymon.schema_drift WHERE pipeline = 'canonical'
QUERY
$node->restart;
is(sql($node, <<'QUERY'), '105', 'drift survives a restart');
SELECT count(*) FROM factorymon.schema_drift
WHERE pipeline IN ('gateway', 'canonical')
QUERY
is(sql($node, "SELECT factorymon.forget_drift('gateway', '/fw')"), 1,
	'one path can be forgotten');
is(sql($node, "SELECT factorymon.forget_drift('canonical')"), 101, 'or all');

# --- another format, and a dump -------------------------------------------------
ok(running($node, 7), 'all run again');
sql($node, "SELECT factorymon.alter_pipeline('garbage', format => 'sensores')");
ok(poll_until($node, <<'QUERY', 'sensores'), 'a pipeline can change its format');
SELECT format FROM factorymon.pipelines WHERE name = 'garbage'
QUERY
produce('devices', 10);
send_lines('garbage', map { $make{devices}->($_) } 1 .. 10);
ok(taken('garbage'), 'and what comes then');
is(readings('garbage'), 20, 'is decoded by the new one');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('factory') ],
	'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-1', '-d', $node->connstr('copy'), $dump ],
	'can be restored');
is($node->safe_psql('copy', <<'QUERY'), "gateway|{gateway}\n5", 'with formats and who uses them');
SELECT name, pipelines FROM factorymon.formats WHERE NOT built_in;
SELECT count(*) FROM factorymon.formats;
QUERY

$node->stop;
done_testing();
