
# Sensors that fall silent are missed, once, on time and not for ever; what is
# our own outage is not blamed on them; many at once are one alarm; and all of
# it survives whoever watches.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

# Two seconds are the least limit here.  (What is slow is the machine: a producer
# that gets no turn for so long is silent.)
my $limit = 3;
my $others = 9;
my $broker = start_broker(topics => [ 'sensor-data:3', 'alerts:1' ]);

# who leads what, so that one broker can go without the group
$broker->command('leader', 'sensor-data', 0, 1);
$broker->command('leader', 'sensor-data', 1, 2);
$broker->command('leader', 'sensor-data', 2, 3);
$broker->command('coordinator', 'group', 'sensor-processors', 3);

my $node = new_node(conf => <<"CONF");
factorymon.deadman = on
factorymon.silent_after_min = ${limit}s
factorymon.mass_silence_min = 4
factorymon.restart_delay_min = 100ms
CONF
my $alarm = <<'QUERY';
SELECT concat_ws(' ', shown_state, state, severity) FROM factorymon.alarms
WHERE sensor_id = 'lone' AND condition = 'silent'
QUERY
my $history = <<'QUERY';
SELECT string_agg(transition, ' ' ORDER BY recorded_at, seq)
FROM factorymon.alerts WHERE condition = 'silent' AND sensor_id = 'lone'
	AND transition NOT IN ('chattering', 'settled')
QUERY
my $mass = <<'QUERY';
SELECT string_agg(transition, ' ' ORDER BY recorded_at, seq)
FROM factorymon.alerts WHERE condition = 'silent' AND sensor_id IS NULL
	AND transition NOT IN ('chattering', 'settled')
QUERY
my $count = q{SELECT count(*) FROM factorymon.alerts
	WHERE condition = 'silent' AND transition IN ('raised', 'returned')};

# At a tenth of the least limit, so that some may be missed.
sub sensors
{
	my ($id, $n) = @_;

	return start_producer(kafka => $broker, sensor_id => $id,
		sensor_type => 'temperature', sensors => $n, sampling_interval => 0.3,
		heartbeat => 0, seed => 7);
}

sub comes_to
{
	my ($query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

sub states
{
	my ($column, $number, $name) = @_;

	return comes_to("SELECT $column FROM factorymon.deadman", $number,
		"$name: sensors $column");
}

sub pid_of
{
	my ($type) = @_;

	return sql($node, 'SELECT min(pid) FROM pg_stat_activity '
		  . "WHERE backend_type = 'factorymon $type'");
}

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');
my $plant = sensors('other', $others);
my $lone = sensors('lone', 1);
states('active', $others + 1, 'all report');

# one sensor is missed
$lone->stop;
comes_to($alarm, 'active_unacknowledged active_unacknowledged 400',
	'one falls silent');
is(sql($node, <<"QUERY"), 't', 'on time');
SELECT bool_and(raised_at - since BETWEEN interval '$limit s'
	AND interval '$limit s' + interval '6 s')
FROM factorymon.alarms WHERE condition = 'silent'
QUERY
is(sql($node, <<'QUERY'), 'raised clock t lone f f f', 'announced, by the clock');
SELECT concat_ws(' ', transition, cause, announced, sensor_id,
	topic IS NOT NULL, kafka_partition IS NOT NULL, kafka_offset IS NOT NULL)
FROM factorymon.alerts WHERE condition = 'silent'
QUERY
is(sql($node, 'SELECT count(*) FROM factorymon.partition_status()'), 3,
	'and nobody shows its stream as a partition');
is(sql($node, "SELECT state FROM factorymon.sensor_health WHERE sensor_id = 'lone'"),
	'silent', 'sensor_health agrees');

# and comes back
$lone = sensors('lone', 1);
comes_to($alarm, 'returned_unacknowledged returned_unacknowledged 400',
	'it is seen again');
is(sql($node, $history), 'raised returned', 'both once');
states('active', $others + 1, 'all report again');

# paused: nobody can tell
sql($node, "SELECT factorymon.pause('sensor-data')");
states('unknown', $others + 1, 'paused');
is(sql($node, 'SELECT reason FROM factorymon.deadman'), 'paused',
	'for that reason');
is(sql($node, <<'QUERY'), 'unknown paused', 'sensor_health says so, too');
SELECT DISTINCT concat_ws(' ', state, reason) FROM factorymon.sensor_health
QUERY
$lone->stop;
sql($node, "SELECT factorymon.resume('sensor-data')");
states('active', $others, 'resumed, but one is gone meanwhile');
comes_to($history, 'raised returned raised', 'which is found out');
is(sql($node, $count), 3, 'and nothing else');

# away: the brokers
$lone = sensors('lone', 1);
comes_to($history, 'raised returned raised returned', 'seen again');
states('active', $others + 1, 'all report');
$broker->command('broker', 'down', 'all');
states('unknown', $others + 1, 'no broker');
$broker->command('broker', 'up', 'all');
states('active', $others + 1, 'brokers are back');
is(sql($node, $count), 4, 'nothing was raised');

# one broker, which the client would not notice
$broker->command('broker', 'down', 2);
comes_to(q{SELECT unknown > 0 AND reason IN ('disconnected', 'lagging', 'taking')
	FROM factorymon.deadman}, 't', 'one broker is away');
$broker->command('broker', 'up', 2);
states('active', $others + 1, 'it is back');
is(sql($node, $count), 4, 'nothing was raised then, either');

# many at once are one alarm
$plant->stop;
$lone->stop;
comes_to($mass, 'raised', 'mass silence');
comes_to('SELECT mass_since IS NOT NULL FROM factorymon.deadman', 't',
	'the status tells');
states('silent', $others + 1, 'all are silent');
is(sql($node, $count), 5, 'no sensor has an alarm of its own');
$plant = sensors('other', $others);
comes_to($mass, 'raised returned', 'its end');
comes_to($history, 'raised returned raised returned raised',
	'who is still silent then gets an alarm of its own');
is(sql($node, $count), 7, 'only that one');

# whoever watches may end
my $supervisor = pid_of('supervisor');
sql($node, "SELECT pg_terminate_backend($supervisor)");
ok(wait_gone($supervisor), 'the supervisor ends');
my $at = sql($node, 'SELECT clock_timestamp()');
comes_to("SELECT evaluated_at > '$at'::timestamptz + interval '2 s' FROM factorymon.deadman",
	't', 'another one watches');
states('active', $others, 'the others report');
states('alarms', 1, 'and one has an alarm');
is(sql($node, $count), 7, 'nothing is raised twice');

# also with the worker
sql($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	  . "WHERE backend_type = 'factorymon worker'");
ok(running($node), 'every partition runs again');
states('active', $others, 'the others report');
is(sql($node, $count), 7, 'nothing is raised, nothing returns');

# acknowledged, by whoever saw the last announcement
my $event = sql($node, q{SELECT announced_event_id FROM factorymon.alarms
	WHERE condition = 'silent' AND sensor_id = 'lone'});
sql($node, "SELECT factorymon.acknowledge('$event', 'gone for repair')");
comes_to($alarm, 'active_acknowledged active_acknowledged 400',
	'acknowledged');
is(sql($node, <<'QUERY'), 'done', 'the request has its answer');
SELECT DISTINCT outcome FROM factorymon.alarm_requests
QUERY

# the server is stopped hard
$node->stop('immediate');
$node->start;
ok(running($node), 'every partition runs after that');
states('active', $others, 'all that do report');
comes_to($alarm, 'active_acknowledged active_acknowledged 400',
	'the alarm is what it was');
$lone = sensors('lone', 1);
comes_to($alarm, 'normal normal 400', 'until it is seen again');
is(sql($node, $history), 'raised returned raised returned raised '
	. 'acknowledged returned', 'the history');
is(sql($node, $count), 8, 'and nobody else was missed');
is(sql($node, <<'QUERY'), 't', 'transitions are numbered without a gap');
SELECT count(*) = max(out_seq) AND min(out_seq) = 1
FROM _factorymon.transition WHERE condition = 'silent'
QUERY

comes_to(<<'QUERY', 't', 'they go out, from no partition');
SELECT count(*) = (SELECT count(*) FROM _factorymon.transition
		WHERE condition = 'silent' AND out_seq IS NOT NULL)
	AND bool_and(delivered_at IS NOT NULL AND source_topic IS NULL
		AND payload::jsonb #>> '{source,partition}' IS NULL)
	AND count(*) FILTER (WHERE message_key = 'sensor-data') >= 2
FROM _factorymon.publication LEFT JOIN _factorymon.delivery
	USING (pipeline_id, pub_seq)
WHERE payload::jsonb ->> 'condition' = 'silent'
QUERY

# nor does anybody miss what is being mended, before it is over
sql($node, <<'QUERY');
INSERT INTO factorymon.maintenance_window (zone, starts_at, ends_at, reason)
SELECT DISTINCT zone, now() - interval '1 minute', now() + interval '1 hour',
	'mended' FROM factorymon.sensor_health WHERE sensor_id = 'lone'
QUERY
comes_to('SELECT left_alone > 0 FROM factorymon.deadman', 't',
	'a maintenance window');
$lone->stop;
comes_to(q{SELECT last_seen_age_seconds > 9 FROM factorymon.sensor_health
	WHERE sensor_id = 'lone'}, 't', 'quiet within it');
comes_to($alarm, 'normal normal 400', 'calls nobody');
sql($node, 'DELETE FROM factorymon.maintenance_window');
comes_to($alarm, 'active_unacknowledged active_unacknowledged 400',
	'but is missed when it is over');
$lone = sensors('lone', 1);
comes_to($alarm, 'returned_unacknowledged returned_unacknowledged 400',
	'until it is back');
$event = sql($node, q{SELECT announced_event_id FROM factorymon.alarms
	WHERE condition = 'silent' AND sensor_id = 'lone'});
sql($node, "SELECT factorymon.acknowledge('$event', 'mended')");
# what was acknowledged after its return has no level, and so no severity
comes_to($alarm, 'normal normal', 'and that was all');

# who is retired is not missed
$lone->stop;
comes_to($alarm, 'active_unacknowledged active_unacknowledged 400',
	'silent again');
sql($node, "UPDATE _factorymon.sensor SET retired_at = now() "
	  . "WHERE name = 'lone'; SELECT factorymon.alter_pipeline('sensor-data', retention => '1 year')");
comes_to($alarm, 'normal normal 400', 'retired');
states('left_alone', 1, 'left alone');

# requests about alarms of partitions that nobody owns: no broker, no worker
my $hot = sql($node, 'SELECT max(sensor_id) FROM factorymon.sensor_readings');
my $limit_alarm = <<"QUERY";
SELECT concat_ws(' ', shown_state, state) FROM factorymon.alarms
WHERE sensor_id = '$hot' AND condition = 'limit'
QUERY
sql($node, <<"QUERY");
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', '$hot', -50)
QUERY
comes_to($limit_alarm, 'active_unacknowledged active_unacknowledged',
	'a limit alarm');
$broker->command('broker', 'down', 'all');
$plant->stop;
$node->stop('immediate');
$node->start;
$event = sql($node, qq{SELECT announced_event_id FROM factorymon.alarms
	WHERE condition = 'limit' AND sensor_id = '$hot'});
sql($node, "SELECT factorymon.acknowledge('$event', 'seen')");
sql($node, "SELECT factorymon.suppress('$hot', 'not now')");
comes_to($limit_alarm, 'suppressed active_acknowledged',
	'answered all the same');
is(sql($node, q{SELECT count(*) FROM factorymon.alarm_requests
	WHERE outcome <> 'done'}), 0, 'all requests are done');
is(sql($node, q{SELECT count(*) FROM factorymon.partition_status()
	WHERE pid IS NOT NULL}), 0, 'and still nobody owns a partition');
$broker->command('broker', 'up', 'all');
ok(running($node), 'every partition runs when the brokers are back');
sql($node, "SELECT factorymon.unsuppress('$hot')");
comes_to($limit_alarm, 'active_acknowledged active_acknowledged',
	'its owner goes on where the other one left it');
is(sql($node, <<"QUERY"), 't', 'the history is without holes');
SELECT bool_and(seq = rank) FROM (SELECT seq,
	row_number() OVER (PARTITION BY alarm_id ORDER BY seq) AS rank
	FROM factorymon.alerts WHERE sensor_id = '$hot') AS a
QUERY

$node->stop;
done_testing();
