
# What a plant does about alarms beside handling them: maintenance windows,
# sensors that are retired, alarms of more than one condition.  Each history
# is the one expected, also after the server was stopped hard.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $start = time - 6000;
my $alarm = <<'QUERY';
SELECT concat_ws(' ', shown_state, state, level) FROM factorymon.alarms
WHERE sensor_id = 'hot' AND condition = 'limit'
QUERY
my $pending = <<'QUERY';
SELECT count(*) FROM factorymon.alarm_requests WHERE outcome = 'pending'
QUERY

# A reading of the sensor: minutes after the start, and the value, about.
# (So far apart that nothing chatters.)
# (One in fifty is of bad quality: not with this seed.)
sub reading
{
	my ($at, $value, $sensor) = @_;

	is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
			sensor_id => $sensor // 'hot', sensor_type => 'temperature', seed => 7,
			machine_id => 'press', zone => 'north', anomalies => 'none',
			base_value => $value, start => '@' . ($start + 60 * $at))->{rc},
		0, "a reading of about $value at $at min");
	return;
}

# One statement of a role: its result, or the error's SQLSTATE.
sub as_role
{
	my ($role, $query) = @_;
	my ($out, $err);

	$node->psql('factory', "SET ROLE $role; $query", stdout => \$out,
		stderr => \$err, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	return $err =~ /ERROR:\s+(\w+)/ ? $1 : $out;
}

sub comes_to
{
	my ($query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

# The sensor's transitions from the nth on, when there are that many.
sub history
{
	my ($from, $expected, $name) = @_;
	my $n = $from - 1 + @$expected;

	ok(poll_until($node, <<'QUERY', $n), "$name: $n transitions");
SELECT count(*) FROM factorymon.alerts WHERE sensor_id = 'hot'
QUERY
	is(sql($node, <<"QUERY"), join("\n", @$expected), $name);
SELECT concat_ws(' ', transition, state, CASE WHEN announced THEN 'announced' END,
	blocked_by, cause)
FROM factorymon.alerts WHERE sensor_id = 'hot'
ORDER BY recorded_at, kafka_offset, ordinal, seq OFFSET $from - 1
QUERY
	return;
}

sub crash
{
	$node->stop('immediate');
	$node->start;
	ok(running($node), 'every partition runs again');
	return;
}

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');
sql($node, <<'QUERY');
CREATE ROLE operator;
SELECT factorymon.grant_access('operator', 'operator');
CREATE ROLE reader;
SELECT factorymon.grant_access('reader', 'reader');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', 'hot', 100), ('temperature', 'stray', 100),
	('temperature', 'gone', 100), ('temperature', 'late', 100);
QUERY

# --- maintenance windows ------------------------------------------------------
sub window
{
	my ($role, $from, $to, $scope) = @_;

	$scope //= "'press'";
	return as_role($role, <<"QUERY");
INSERT INTO factorymon.maintenance_window (machine_id, starts_at, ends_at, reason)
VALUES ($scope, to_timestamp($start + 60 * $from), to_timestamp($start + 60 * $to),
	'oil')
RETURNING window_id
QUERY
}

is(window('reader', 10, 20), '42501', 'readers plan no maintenance');
is(window('operator', 20, 20), '23514', 'nor does it last for no time');
is(window('operator', 10, 20, 'NULL'), '23514', 'or concern nothing');
is(as_role('operator', 'INSERT INTO factorymon.maintenance_window'
		. " (zone, starts_at, ends_at, reason) VALUES"
		. " ('north', now(), 'infinity', 'x')"), '23514', 'or never end');
is(as_role('operator', <<"QUERY"), '', 'windows of elsewhere do not count');
INSERT INTO factorymon.maintenance_window
	(pipeline, zone, machine_id, starts_at, ends_at, reason)
VALUES ('elsewhere', NULL, 'press', to_timestamp($start), now(), 'x'),
	(NULL, 'south', NULL, to_timestamp($start), now(), 'x'),
	(NULL, NULL, 'north', to_timestamp($start), now(), 'x')
QUERY
reading(0, 150);
history(1, ['raised active_unacknowledged announced data'], 'before a window');
my $window = window('operator', 10, 20);
like($window, qr/^\d+$/, 'operators plan it');
reading(11, 150);
comes_to($alarm, 'suppressed active_unacknowledged critical', 'in a window');
crash();
reading(19, 150);
reading(21, 150);
history(2, [
	'suppressed active_unacknowledged maintenance data',
	'unsuppressed active_unacknowledged announced data'
], 'what is there when a window ends is announced once');
reading(22, 20);
comes_to($alarm, 'returned_unacknowledged returned_unacknowledged normal',
	'it returns');
my $event = sql($node, q{SELECT announced_event_id FROM factorymon.alarms
	WHERE sensor_id = 'hot'});
as_role('operator', "SELECT factorymon.acknowledge('$event')");
comes_to($alarm, 'normal normal normal', 'and is acknowledged');

window('operator', 30, 50);
reading(31, 20);
reading(32, 150);
comes_to($alarm, 'suppressed active_unacknowledged critical',
	'raised in a window');
reading(33, 20);
comes_to($alarm, 'normal normal normal', 'over in it');
reading(34, 150);
comes_to($alarm, 'suppressed active_unacknowledged critical',
	'raised in it again');
crash();
reading(51, 150);
history(6, [
	'raised active_unacknowledged maintenance data',
	'returned normal maintenance data',
	'raised active_unacknowledged maintenance data',
	'unsuppressed active_unacknowledged announced data'
], 'only what is left in the end is announced');
reading(52, 20);
comes_to($alarm, 'returned_unacknowledged returned_unacknowledged normal',
	'it returns');

# a window that is changed counts from then on
my $zone = as_role('operator', <<"QUERY");
INSERT INTO factorymon.maintenance_window (zone, starts_at, ends_at, reason)
VALUES ('north', to_timestamp($start + 60 * 60), to_timestamp($start + 60 * 90),
	'roof')
RETURNING window_id
QUERY
reading(61, 150);
comes_to($alarm, 'suppressed active_unacknowledged critical', 'in a zone');
as_role('operator', 'UPDATE factorymon.maintenance_window SET ends_at ='
		. " to_timestamp($start + 60 * 62) WHERE window_id = $zone");
reading(63, 150);
comes_to($alarm, 'active_unacknowledged active_unacknowledged critical',
	'no longer');
is(sql($node, <<"QUERY"), "insert operator\nupdate operator",
SELECT concat_ws(' ', operation, changed_by)
FROM factorymon.maintenance_window_history WHERE window_id = $zone
ORDER BY version
QUERY
	'who planned and changed it is kept');
is(as_role('operator', 'UPDATE factorymon.maintenance_window_history'
		. " SET changed_by = 'x'"), '42501', 'for good');

# --- retired sensors ----------------------------------------------------------
my $before = sql($node, 'SELECT count(*) FROM factorymon.alerts');
is(as_role('reader', "SELECT factorymon.retire_sensor('hot', 'x')"), '42501',
	'readers retire no sensors');
is(as_role('operator', "SELECT factorymon.retire_sensor('hot', NULL)"), '22004',
	'nobody does without a reason');
is(as_role('operator', "SELECT factorymon.retire_sensor('hot', 'replaced')"), 1,
	'an operator retires one');
comes_to($alarm, 'retired normal normal', 'its alarm is closed');
is(as_role('operator', "SELECT factorymon.retire_sensor('hot', 'again')"),
	'FM004', 'once is enough');
crash();
reading(70, 150);
ok(poll_until($node, <<"QUERY", 'critical'), 'its readings are stored and classified');
SELECT level FROM factorymon.latest_readings WHERE sensor_id = 'hot'
	AND ts > to_timestamp($start + 60 * 65)
QUERY
comes_to(<<'QUERY', 'retired still sends readings operator replaced', 'and seen');
SELECT concat_ws(' ', state, reason, retired_by, retired_reason)
FROM factorymon.sensor_health WHERE sensor_id = 'hot'
QUERY
history($before + 1, ['closed normal retired operator'], 'and raise nothing');
is(as_role('operator', "SELECT factorymon.reinstate_sensor('hot', 'it is back')"),
	1, 'it is reinstated');
comes_to($alarm, 'normal normal normal', 'and has an alarm again');
is(as_role('operator', "SELECT factorymon.reinstate_sensor('hot')"), 'FM004',
	'once');
reading(80, 150);
history($before + 2, [
	'reinstated normal operator',
	'raised active_unacknowledged announced data'
], 'which is raised');

# --- conditions ---------------------------------------------------------------
is(as_role('operator',
		"SELECT factorymon.suppress('hot', 'x', condition => 'weather')"),
	'22023', 'there are no alarms of the weather');
is(as_role('operator',
		"SELECT factorymon.suppress('hot', 'x', condition => 'flat')"),
	1, 'one that never was can be suppressed');
comes_to($pending, 0, 'done');
is(as_role('operator',
		"SELECT factorymon.take_out_of_service('hot', 'y', condition => NULL)"),
	2, 'and all of them taken out of service');
comes_to($pending, 0, 'done');
crash();
is(sql($node, <<'QUERY'), "flat out_of_service t\nlimit out_of_service f",
SELECT concat_ws(' ', condition, shown_state, suppressed) FROM factorymon.alarms
WHERE sensor_id = 'hot' ORDER BY condition
QUERY
	'each is what it was');
is(as_role('operator', <<'QUERY'), '', 'requests of one transaction');
BEGIN;
DO $$ BEGIN
	PERFORM factorymon.return_to_service('hot', condition => NULL);
	PERFORM factorymon.suppress('hot', 'z');
	PERFORM factorymon.unsuppress('hot');
	PERFORM factorymon.suppress('hot', 'z');
	PERFORM factorymon.unsuppress('hot');
END $$;
COMMIT;
QUERY
comes_to($pending, 0, 'done');
is(sql($node, <<'QUERY'), 0, 'are answered in their order: none is refused');
SELECT count(*) FROM factorymon.alarm_requests WHERE outcome = 'refused'
QUERY
is(sql($node, $alarm), 'active_unacknowledged active_unacknowledged critical',
	'and the alarm is what they made of it');

# --- sensors of which no reading is left --------------------------------------
my $gone = <<'QUERY';
SELECT count(*) FILTER (WHERE transition = 'raised') || ' raised, ' ||
	(SELECT count(*) FROM factorymon.latest_readings
		WHERE sensor_id = 'gone' AND level = 'critical') || ' critical'
FROM factorymon.alerts WHERE sensor_id = 'gone'
QUERY
my $answered = <<'QUERY';
SELECT count(*) FROM _factorymon.request
WHERE answered_at IS NULL AND stream_id <> 1000000
QUERY
reading(90, 20, 'gone');
ok(poll_until($node, <<'QUERY', 1), 'a reading of another sensor');
SELECT count(*) FROM factorymon.sensor_readings WHERE sensor_id = 'gone'
QUERY
sql($node, <<'QUERY');
DELETE FROM _factorymon.reading USING _factorymon.sensor s
WHERE reading.sensor_id = s.sensor_id AND s.name = 'gone';
/* as if it had been missed (the deadman is off) */
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition,
	incarnation)
SELECT 1000000, pipeline_id, '', -1, 1 FROM _factorymon.pipeline;
INSERT INTO _factorymon.alarm
SELECT (jsonb_populate_record(a, jsonb_build_object('stream_id', 1000000,
	'condition', 'silent', 'sensor_id', g.sensor_id))).*
FROM _factorymon.alarm a JOIN _factorymon.sensor s USING (sensor_id)
	JOIN _factorymon.sensor g ON g.name = 'gone'
WHERE s.name = 'hot' AND a.condition = 'limit'
QUERY
is(as_role('operator', <<'QUERY'), '4 4',
SELECT concat_ws(' ', factorymon.retire_sensor('gone', 'x'),
	factorymon.reinstate_sensor('gone', 'a mistake'))
QUERY
	'it is retired in all partitions, and reinstated before they know');
comes_to($answered, 0, 'done');
is(as_role('operator', "SELECT factorymon.retire_sensor('gone', 'sold')"), 4,
	'and retired again');
comes_to($answered, 0, 'done');
reading(91, 150, 'gone');
comes_to($gone, '0 raised, 1 critical', 'then it raises nothing');
is(as_role('operator', "SELECT factorymon.reinstate_sensor('gone')"), 4,
	'until it is reinstated');
comes_to($answered, 0, 'done');
reading(92, 150, 'gone');
comes_to($gone, '1 raised, 1 critical', 'then it does');
is(sql($node, <<'QUERY'), 0, 'and nowhere is it retired still');
SELECT count(*) FROM factorymon.alarms
WHERE sensor_id = 'gone' AND shown_state = 'retired'
QUERY
sql($node, <<'QUERY');
DELETE FROM _factorymon.request WHERE stream_id = 1000000;
DELETE FROM _factorymon.alarm WHERE stream_id = 1000000;
DELETE FROM _factorymon.stream WHERE stream_id = 1000000;
QUERY

# --- sensors that come through other partitions -------------------------------
# Readings of one without a key, until it came through all of them.
sub scattered
{
	my ($sensor) = @_;

	for (1 .. 20)
	{
		run_producer(kafka => $broker, count => 5, heartbeat => 0, rate => 20,
			sensor_id => $sensor, sensor_type => 'temperature', seed => 7,
			machine_id => 'press', zone => 'north', anomalies => 'none',
			base_value => 150, unkeyed => 1, linger => 0);
		return 1 if sql($node, <<"QUERY") == 3;
SELECT count(DISTINCT kafka_partition) FROM factorymon.sensor_readings
WHERE sensor_id = '$sensor'
QUERY
	}
	return 0;
}

# A request that waits, as nobody is told of it.
sub wait_for_answer
{
	my ($sensor, $action) = @_;

	sql($node, <<"QUERY");
INSERT INTO _factorymon.request (stream_id, sensor_id, condition, action,
	one_shot, comment, actor)
SELECT min(r.stream_id), s.sensor_id, 'limit', '$action', false, 'b', 'operator'
FROM _factorymon.reading r JOIN _factorymon.sensor s USING (sensor_id)
WHERE s.name = '$sensor' GROUP BY s.sensor_id
QUERY
	return;
}

my $stray = <<'QUERY';
SELECT string_agg(concat_ws(' ', state, CASE WHEN suppressed THEN 'suppressed' END),
	', ' ORDER BY state, suppressed)
FROM factorymon.alarms WHERE sensor_id = 'stray'
QUERY
run_producer(kafka => $broker, count => 1, heartbeat => 0, sensor_id => 'stray',
	sensor_type => 'temperature', seed => 7, machine_id => 'press',
	zone => 'north', anomalies => 'none', base_value => 150);
comes_to($stray, 'active_unacknowledged', 'a sensor of one partition');
is(as_role('operator', "SELECT factorymon.suppress('stray', 'a test')"), 1,
	'is suppressed');
comes_to($stray, 'active_unacknowledged suppressed', 'there');
wait_for_answer('stray', 'comment');
ok(scattered('stray'), 'it comes through all of them');
comes_to($stray, join(', ', ('active_unacknowledged suppressed') x 3),
	'and is suppressed in each');
is(sql($node, <<'QUERY'), 'a test operator 3', 'in the words of who did it');
SELECT concat_ws(' ', comment, actor, count(*)) FROM factorymon.alarm_requests
WHERE sensor_id = 'stray' AND action = 'suppress' AND outcome = 'done'
GROUP BY comment, actor
QUERY
is(as_role('operator', "SELECT factorymon.unsuppress('stray')"), 3,
	'which ends everywhere');
comes_to($stray, join(', ', ('active_unacknowledged') x 3), 'at once');

# what is asked while it comes through others first
reading(95, 20, 'late');
ok(poll_until($node, <<'QUERY', 1), 'a reading of another sensor');
SELECT count(*) FROM factorymon.sensor_readings WHERE sensor_id = 'late'
QUERY
wait_for_answer('late', 'suppress');
ok(scattered('late'), 'it comes through all of them');
is(sql($node, $pending), 1, 'before the request is answered');
is(as_role('operator', "SELECT factorymon.suppress('hot', 'b')"), 1,
	'which is looked at now');
comes_to(<<'QUERY', 3, 'then others follow');
SELECT count(*) FROM factorymon.alarms
WHERE sensor_id = 'late' AND shown_state = 'suppressed'
QUERY
as_role('operator', "SELECT factorymon.unsuppress('hot')");
as_role('operator', "SELECT factorymon.unsuppress('late')");
comes_to($pending, 0, 'and all is over');

# keyed again, by a partition that was added later
sql($node, <<'QUERY');
UPDATE _factorymon.stream SET created_at = created_at + interval '1 second'
WHERE stream_id = (SELECT min(stream_id) FROM _factorymon.reading r
	JOIN _factorymon.sensor s USING (sensor_id) WHERE s.name = 'stray'
	GROUP BY ts ORDER BY ts LIMIT 1)
QUERY
is(run_producer(kafka => $broker, count => 30, heartbeat => 0, rate => 20,
		sensor_id => 'stray', sensor_type => 'temperature', seed => 7,
		machine_id => 'press', zone => 'north', anomalies => 'none',
		base_value => 150)->{rc}, 0, 'it stays with one partition');
# (the supervisor looks once a minute)
ok(poll_until($node, $stray, 'active_unacknowledged, normal, normal', 180),
	'and has left the others');
is(sql($node, <<'QUERY'), 'moved clock t', 'which the history tells');
SELECT DISTINCT concat_ws(' ', transition, cause,
	comment ~ '^it comes through partition [0-2] now$')
FROM factorymon.alerts WHERE sensor_id = 'stray' AND transition = 'moved'
QUERY

# --- another log --------------------------------------------------------------
as_role('operator', "SELECT factorymon.shelve('hot', '1 hour', 'later')");
as_role('operator', "SELECT factorymon.take_out_of_service('stray', 'now')");
comes_to($pending, 0, 'shelved, and out of service');
my $other = start_broker(topics => ['sensor-data:3']);
sql($node, 'ALTER SERVER plant OPTIONS (SET "bootstrap.servers" \''
		. $other->bootstrap . "')");
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', on_data_loss => 'continue')");
comes_to(<<'QUERY', 'hot flat suppressed, hot limit shelved, stray limit out_of_service',
SELECT string_agg(DISTINCT concat_ws(' ', a.sensor_id, a.condition, a.shown_state),
	', ') FILTER (WHERE a.shown_state <> 'normal')
FROM factorymon.alarms a WHERE a.incarnation = 2
QUERY
	'what operators want outlasts the log');
is(sql($node, <<'QUERY'), 'later, now, x', 'with their reasons');
SELECT string_agg(DISTINCT comment, ', ') FROM factorymon.alerts
WHERE incarnation = 2
QUERY
comes_to(<<'QUERY', 0, 'whose own alarms have ended');
SELECT count(*) FROM factorymon.alarms
WHERE incarnation = 1 AND shown_state <> 'normal'
QUERY
$broker->stop;
$broker = $other;

# --- retention ----------------------------------------------------------------
my $requests = sql($node, 'SELECT count(*) FROM factorymon.alarm_requests');
sql($node, <<'QUERY');
UPDATE _factorymon.request SET answered_at = answered_at - interval '366 days'
WHERE action = 'retire' AND comment = 'replaced';
INSERT INTO _factorymon.request (stream_id, sensor_id, condition, action,
	one_shot, actor, requested_at)
VALUES (2147483647, 1, 'limit', 'suppress', false, 'operator',
	now() - interval '366 days')
QUERY
crash();
comes_to('SELECT count(*) FROM factorymon.alarm_requests', $requests - 1,
	'requests answered long ago are deleted, and those of streams that are gone');

$node->stop;
done_testing();
