
# Detectors beyond limits: switched on by a row, they store scores and raise
# alarms of their own; crashes, batches and replays make no difference to what
# they find; switched off, they leave nothing behind.  What the producer put in
# on purpose is found.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $SENSORS = 6;
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $sent = 0;
my $minute = 0;

# So many readings of each sensor, three seconds apart, from the minute on that
# was reached; event time only, so that it takes no longer than sending does.
sub produce
{
	my ($readings, %opt) = @_;
	my $start = sprintf '2026-03-01T%02d:%02d:00Z', $minute / 60, $minute % 60;

	is(run_producer(kafka => $broker, sensors => $SENSORS,
			sensor_id => 'temp', sensor_type => 'temperature',
			sampling_interval => 3, count => $readings * $SENSORS, rate => 0,
			start => $start, record_time => 'event', anomalies => 'none',
			heartbeat => 0, seed => 7, %opt)->{rc},
		0, 'readings');
	$minute += int($readings / 20) + 1;
	$sent += $readings * $SENSORS;
	return;
}

sub stored
{
	my ($pipelines) = @_;

	return caught_up($node, $sent * ($pipelines // 1));
}

# How many alarms of a condition are in which state.
sub alarms
{
	my ($condition) = @_;

	return sql($node, <<"QUERY");
SELECT coalesce(string_agg(n || ' ' || state, ', ' ORDER BY state), 'none')
FROM (SELECT state, count(*) AS n FROM factorymon.alarms
	WHERE condition = '$condition' AND pipeline = 'sensor-data' GROUP BY 1) AS a
QUERY
}

# Everything that detectors found, but for what differs by pipeline.
my $found = <<'QUERY';
SELECT count(*), md5(string_agg(concat_ws(' ', kafka_partition, kafka_offset,
	reading_index, detector, score, sensor_id, ts, value, version), ';'
	ORDER BY kafka_partition, kafka_offset, reading_index, detector))
FROM factorymon.anomalies WHERE pipeline = '%s'
QUERY
my $history = <<'QUERY';
SELECT count(*), md5(string_agg(concat_ws(' ', kafka_partition, kafka_offset,
	condition, transition, state, score, side, event_time, since, seq), ';'
	ORDER BY kafka_partition, kafka_offset, condition, ordinal))
FROM factorymon.alerts WHERE pipeline = '%s' AND condition <> 'limit'
QUERY

create_pipeline($node, $broker, workers => 2, accept_past => '10 years',
	options => quick_options());
ok(running($node), 'every partition runs');

# off unless somebody switches one on
produce(20, sensor_type => 'pressure', sensor_id => 'press');
ok(stored(), 'stored');
is(sql($node, 'SELECT count(*) FROM factorymon.anomalies'), 0,
	'without a row nothing is looked for');
is(sql($node, 'SELECT count(*) FROM _factorymon.fold_chunk WHERE part > 1'), 0,
	'and nothing is kept');

sql($node, <<'QUERY');
INSERT INTO factorymon.detector (sensor_type, detector, alarm, learn)
VALUES ('temperature', 'anomaly', true, 60), ('temperature', 'rate', true, 60),
	('temperature', 'flat', true, NULL), ('temperature', 'sequence', true, NULL),
	('temperature', 'time', true, NULL), ('temperature', 'seasonal', true, NULL)
QUERY
produce(150);
ok(stored(), 'stored');
is(alarms('anomaly'), 'none', 'usual readings raise nothing');
is(sql($node, 'SELECT count(DISTINCT part) FROM _factorymon.fold_chunk '
		. 'WHERE part IN (2, 3)'), 2,
	'the batch that adopted the detectors wrote a snapshot with them');

# a step, within all limits
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, critical_high)
VALUES ('temperature', 1000)
QUERY
produce(10, base_value => 60);
ok(stored(), 'stored');
is(alarms('anomaly'), "$SENSORS active_unacknowledged",
	'a step is an anomaly of every sensor');
is(alarms('limit'), 'none', 'whatever the limits are');
is(sql($node, <<'QUERY'), 't', 'the third reading in a row raises it');
SELECT count(*) = 6 AND bool_and(n = 3) FROM (
	SELECT a.sensor_id, a.event_time, count(*) AS n
	FROM factorymon.alerts a JOIN factorymon.anomalies x
		ON x.sensor_id = a.sensor_id AND x.detector = 'anomaly'
		AND x.ts <= a.event_time AND x.ts >= '2026-03-01 00:10Z'
	WHERE a.condition = 'anomaly' AND a.transition = 'raised'
	GROUP BY 1, 2) AS s
QUERY
is(sql($node, <<'QUERY'), 't', 'its history says how far, by which version');
SELECT bool_and(a.score >= 5 AND side = 'high' AND level = 'warning'
	AND a.severity = 200 AND a."limit" IS NULL AND announced
	AND a.limit_version = d.version)
FROM factorymon.alerts a, factorymon.detector d
WHERE a.condition = 'anomaly' AND a.transition = 'raised'
	AND d.detector = 'anomaly'
QUERY

# counts and state survive: the server stops hard amid a row of hits
$node->stop('immediate');
$node->start;
ok(running($node), 'every partition runs again');
produce(40);
ok(stored(), 'stored');
like(alarms('anomaly'), qr/^$SENSORS returned_unacknowledged$/,
	'back to usual it returns');
produce(2, base_value => 60);
ok(stored(), 'stored');
$node->stop('immediate');
$node->start;
ok(running($node), 'every partition runs again');
produce(2, base_value => 60);
ok(stored(), 'stored');

is(sql($node, <<'QUERY'), 't', 'three in a row across two crashes');
SELECT count(*) = 6 AND bool_and(n = 3) FROM (
	SELECT a.sensor_id, a.event_time, count(*) AS n
	FROM factorymon.alerts a JOIN factorymon.anomalies x
		ON x.sensor_id = a.sensor_id AND x.detector = 'anomaly'
		AND x.ts <= a.event_time AND x.ts > a.event_time - interval '70 s'
	WHERE a.condition = 'anomaly' AND a.transition = 'raised' AND a.seq > 1
	GROUP BY 1, 2) AS s
QUERY

# another pipeline takes in the same log without a crash, in other batches, and
# comes to the same
sql($node, <<'QUERY');
SELECT factorymon.create_pipeline('sensor-data', server => 'plant',
	name => 'again', consumer_group => 'again', accept_past => '10 years')
QUERY
ok(running($node, 6), 'a second pipeline');
ok(stored(2), 'has the same readings');
my $scores = sql($node, sprintf $found, 'sensor-data');
like($scores, qr/^[1-9]/, 'there are scores');
is(sql($node, sprintf $found, 'again'), $scores, 'the same in both');
my $alerts = sql($node, sprintf $history, 'sensor-data');
like($alerts, qr/^[1-9]/, 'there are alarms');
is(sql($node, sprintf $history, 'again'), $alerts, 'the same in both');
sql($node, "SELECT factorymon.drop_pipeline('again')");
is(sql($node, sprintf $found, 'again'), '0|', 'dropped with its scores');

# replayed, they are not found again
sql($node, "SELECT factorymon.pause('sensor-data')");
ok(poll_until($node, <<'QUERY', 't'), 'paused');
SELECT bool_and(state = 'paused') FROM factorymon.partition_status()
QUERY
sql($node, "SELECT factorymon.seek('sensor-data', $_, 0, replay => true)")
	for 0 .. 2;
sql($node, "SELECT factorymon.resume('sensor-data')");
ok(poll_until($node, <<'QUERY', 't'), 'replayed');
SELECT bool_and(state = 'running' AND lag_messages = 0 AND "position" > 0)
FROM factorymon.partition_status()
QUERY
ok(poll_until($node, 'SELECT count(*) FROM factorymon.sensor_readings', $sent),
	'every reading is there again');
is(sql($node, sprintf $found, 'sensor-data'), $scores, 'scores are as before');
is(sql($node, sprintf $history, 'sensor-data'), $alerts, 'so are alarms');

# changed, the next batch goes by it; off, open alarms end
produce(40);
ok(stored(), 'stored');
sql($node, <<'QUERY');
UPDATE factorymon.detector SET report = 1000, clip = 2
WHERE detector = 'anomaly'
QUERY
produce(10, base_value => 60);
ok(stored(), 'stored');
is(sql($node, <<'QUERY'), 0, 'with another level nothing is found');
SELECT count(*) FROM factorymon.anomalies AS x
WHERE version = (SELECT version FROM factorymon.detector
	WHERE detector = 'anomaly')
QUERY
sql($node, q{UPDATE factorymon.detector SET report = 3 WHERE detector = 'anomaly'});
produce(10, base_value => 90);
ok(stored(), 'stored');
like(alarms('anomaly'), qr/^$SENSORS active_unacknowledged$/, 'raised again');
sql($node, q{DELETE FROM factorymon.detector});
produce(1);
ok(stored(), 'stored');
is(alarms('anomaly'), "$SENSORS normal", 'detectors off: alarms end');
is(sql($node, <<'QUERY'), $SENSORS, 'as disabled');
SELECT count(*) FROM factorymon.alerts
WHERE condition = 'anomaly' AND transition = 'disabled'
QUERY
is(sql($node, <<'QUERY'), 't', 'with the severity they had');
SELECT bool_and(d.severity = r.severity AND d.limit_version > 0)
FROM factorymon.alerts d JOIN factorymon.alerts r USING (alarm_id)
WHERE d.transition = 'disabled' AND r.transition = 'raised'
QUERY
is(sql($node, <<'QUERY'), 't', 'histories are without holes');
SELECT bool_and(seq = rank AND previous_state = coalesce(before, previous_state))
FROM (SELECT seq, previous_state, row_number() OVER w AS rank,
		lag(state) OVER w AS before
	FROM factorymon.alerts WHERE transition <> 'late_excursion'
	WINDOW w AS (PARTITION BY alarm_id ORDER BY seq)) AS a
QUERY
is(sql($node, <<'QUERY'), 'insert 6, update 2, delete 6', 'who changed what is known');
SELECT string_agg(operation || ' ' || n, ', ' ORDER BY first) FROM (
	SELECT operation, count(*) AS n, min(version) AS first
	FROM factorymon.detector_history WHERE changed_by = current_user
	GROUP BY 1) AS h
QUERY

# what the producer says it put in is found, and little else
my $labels = PostgreSQL::Test::Utils::tempdir() . '/labels';
my $begin = "'2026-03-01 00:00Z'::timestamptz + interval '$minute minutes'";
sql($node, <<'QUERY');
INSERT INTO factorymon.detector (sensor_type, detector)
SELECT 'vibration', detector FROM factorymon.default_detectors()
QUERY
produce(1500, sensor_type => 'vibration', sensor_id => 'lab', inject => 0.01,
	labels => $labels);
ok(stored(), 'stored');
my $json = '[' . join(',', map { s/\n//r } lines_of($labels)) . ']';
sql($node, <<"QUERY");
CREATE TABLE label AS
SELECT j->>'sensor_id' AS sensor_id, j->>'kind' AS kind,
	(j->>'from')::timestamptz AS first, (j->>'to')::timestamptz AS last
FROM jsonb_array_elements(\$\$$json\$\$) AS j;
DELETE FROM label WHERE last NOT BETWEEN $begin + interval '13 minutes'
	AND $begin + interval '65 minutes'
QUERY
is(sql($node, <<'QUERY'), '', 'each kind is found by its detector');
SELECT string_agg(kind || ' ' || found || ' of ' || n, ', ')
FROM (
	SELECT kind, count(*) AS n, count(*) FILTER (WHERE EXISTS (
		SELECT FROM factorymon.anomalies AS x
		WHERE x.sensor_id = l.sensor_id AND x.detector = d
			AND x.ts BETWEEN first AND last + CASE kind
				WHEN 'gap' THEN interval '5 minutes' ELSE '0' END)) AS found
	FROM label AS l JOIN (VALUES ('spike', 'rate'), ('step', 'anomaly'),
		('noise', 'rate'), ('stuck', 'flat'), ('gap', 'sequence'),
		('repeat', 'sequence'), ('late', 'time'), ('future', 'time'))
		AS v(k, d) ON k = kind
	GROUP BY kind) AS s
WHERE found < 0.9 * n OR n < 2
QUERY
is(sql($node, <<'QUERY'), 't', 'scores have a label, nearly all');
SELECT count(*) > 100 AND count(*) FILTER (WHERE EXISTS (
	SELECT FROM label AS l WHERE l.sensor_id = x.sensor_id
		AND x.ts BETWEEN first AND last + interval '10 minutes'))
	> 0.97 * count(*)
FROM factorymon.anomalies AS x
WHERE sensor_type = 'vibration' AND ts >= (SELECT min(first) FROM label)
	AND detector IN ('anomaly', 'rate', 'flat')
QUERY

$node->stop;
done_testing();
