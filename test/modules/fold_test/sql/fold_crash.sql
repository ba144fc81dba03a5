-- a fold that crashes against one that does not: see crash_test.c
LOAD 'factorymon';
SELECT test.make_pipeline(2::smallint);
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
	SELECT n, 2, 'sensor ' || n FROM generate_series(1000000, 1003000) AS n;
-- three types, and descriptions number 9 of all sensors are of a fourth
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
	SELECT 10 * n + k, 1000000 + n,
		'type ' || CASE WHEN k = 9 THEN 3 ELSE n % 3 END,
		's', 'm', 'z ' || k, ''
	FROM generate_series(0, 3000) AS n, unnest(ARRAY[0, 1, 2, 9]) AS k;

SELECT test.fold_crash(1, 400, 2, 2::smallint, 5, false, false);

-- what was recorded is legal: alarms are numbered without holes, begin with a
-- raise, alternate, and never stay after a return
SELECT count(*) > 0 AS any,
	count(*) FILTER (WHERE seq <> n) AS holes,
	count(*) FILTER (WHERE seq = 1
		AND transition NOT IN ('raised', 'late_excursion')) AS begun,
	count(*) FILTER (WHERE seq > 1 AND previous_state <> state_before)
		AS torn,
	count(*) FILTER (WHERE seq > 1 AND previous_level <> level_before)
		AS level_torn,
	count(*) FILTER (WHERE transition IN ('returned', 'disabled')
		AND level & 3 <> 0 OR level & 3 = 0 AND transition IN ('raised',
		'escalated', 'deescalated', 'chattering')) AS wrong_level,
	count(*) - count(DISTINCT event_id) AS same_event
FROM (
	SELECT *,
		row_number() OVER w AS n,
		lag(state) OVER w AS state_before,
		lag(level) OVER w AS level_before
	FROM _factorymon.transition
	WHERE pipeline_id = 2
	WINDOW w AS (PARTITION BY alarm_id
		ORDER BY kafka_offset, reading_index, ordinal)) AS t;

-- one alarm at a time: it may begin only after the one before returned
SELECT count(*) AS overlapping
FROM (
	SELECT *, lag(state) OVER (PARTITION BY sensor_id
		ORDER BY kafka_offset, reading_index, ordinal) AS state_before
	FROM _factorymon.transition
	WHERE pipeline_id = 2 AND transition <> 'late_excursion') AS t
WHERE transition = 'raised'
	AND state_before NOT IN ('normal', 'returned_unacknowledged');

-- without deadband and delays every reading that was judged agrees with the
-- alarm it left behind
CREATE INDEX ON _factorymon.transition_2
	(sensor_id, kafka_offset, reading_index, ordinal);
SELECT count(*) > 0 AS any, count(*) FILTER (WHERE r.level & 15
	<> coalesce(alarm.level, 0)) AS wrong
FROM _factorymon.reading AS r
	LEFT JOIN LATERAL (
		SELECT t.level
		FROM _factorymon.transition_2 AS t
		WHERE t.sensor_id = r.sensor_id AND transition <> 'late_excursion'
			AND (t.kafka_offset, t.reading_index)
				<= (r.kafka_offset, r.reading_index)
		ORDER BY t.kafka_offset DESC, t.reading_index DESC, t.ordinal DESC
		LIMIT 1) AS alarm ON true
WHERE r.pipeline_id = 2 AND r.flags & (8 + 16 + 32 + 64) = 0;

-- ids of events can be computed by anybody who knows the source
CREATE FUNCTION test.event_id(kind text, variadic sources text[])
RETURNS uuid LANGUAGE sql AS $$
	SELECT encode(set_byte(set_byte(h,
		6, get_byte(h, 6) & 15 | 128), 8, get_byte(h, 8) & 63 | 128),
		'hex')::uuid
	FROM (SELECT substr(sha256(string_agg(int4send(octet_length(s))
			|| convert_to(s, 'UTF8'), '' ORDER BY n)), 1, 16)
		FROM unnest(kind || sources) WITH ORDINALITY AS u(s, n)) AS x(h)
$$;
SELECT count(*) FILTER (WHERE event_id <> test.event_id('event', 'test',
		'sensor-data', '2', '1', kafka_offset::text, reading_index::text,
		condition, ordinal::text)) AS wrong_event_id,
	count(*) FILTER (WHERE seq = 1 AND alarm_id <> test.event_id('alarm',
		'test', 'sensor-data', '2', '1', kafka_offset::text,
		reading_index::text, condition, ordinal::text)) AS wrong_alarm_id
FROM _factorymon.transition WHERE pipeline_id = 2;

-- what is kept of each alarm is its last transition
SELECT count(*) > 0 AS any, count(*) FILTER (WHERE (a.alarm_id, a.seq, a.state,
	a.level) IS DISTINCT FROM (t.alarm_id, t.seq, t.state, t.level)) AS wrong
FROM _factorymon.alarm AS a
	JOIN LATERAL (SELECT * FROM _factorymon.transition_2 AS t
		WHERE t.sensor_id = a.sensor_id AND transition <> 'late_excursion'
		ORDER BY t.kafka_offset DESC, t.reading_index DESC, t.ordinal DESC
		LIMIT 1) AS t ON true
WHERE a.stream_id = 2;

-- more seeds, each on a stream of its own, some with deadbands and delays
CREATE FUNCTION test.crash_again(seed int, sensors int) RETURNS boolean
BEGIN ATOMIC
	INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
		kafka_partition, incarnation)
	VALUES (seed, 2, 'sensor-data', seed, 1);
	SELECT test.fold_crash(seed, 150, seed, 2::smallint, sensors,
		seed % 3 > 0, seed % 2 = 0);
END;
SELECT bool_and(test.crash_again(seed, 3))
	FROM generate_series(11, 16) AS seed;
-- sensors of several chunks
SELECT bool_and(test.crash_again(seed, 2000))
	FROM generate_series(21, 22) AS seed;

-- detectors whose parameters change, on few sensors, which learn enough
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
SELECT n, 2, 'sensor-data', n, 1 FROM generate_series(31, 34) AS n;
SELECT bool_and(test.fold_crash(seed, 400, seed, 2::smallint, 3, true, true))
	FROM generate_series(31, 34) AS seed;
SELECT condition, count(*) > 0 AS any,
	count(*) FILTER (WHERE previous_state <> state_before) AS torn,
	count(*) FILTER (WHERE seq <> n) AS holes
FROM (SELECT condition, previous_state, seq,
		lag(state) OVER w AS state_before, row_number() OVER w AS n
	FROM _factorymon.transition WHERE stream_id BETWEEN 31 AND 34
		AND transition <> 'late_excursion'
	WINDOW w AS (PARTITION BY stream_id, alarm_id ORDER BY seq)) AS t
GROUP BY 1 ORDER BY 1;

-- damage and versions are told apart
SELECT count(*) > 0 AS any FROM _factorymon.fold_chunk WHERE stream_id = 2;
BEGIN;
UPDATE _factorymon.fold_chunk SET state = set_byte(state, 40,
	get_byte(state, 40) # 1) WHERE stream_id = 2;
SELECT test.fold_open(2, 2::smallint, 0, 0, 'infinity', '-infinity');
ROLLBACK;
BEGIN;
UPDATE _factorymon.fold_chunk SET state = set_byte(state, 4, 99)
	WHERE stream_id = 2;
SELECT test.fold_open(2, 2::smallint, 0, 0, 'infinity', '-infinity');
ROLLBACK;
BEGIN;
UPDATE _factorymon.fold_chunk SET chunk = chunk + 1 WHERE stream_id = 2;
SELECT test.fold_open(2, 2::smallint, 0, 0, 'infinity', '-infinity');
ROLLBACK;
SELECT * FROM _factorymon.fold_sensors('\x00');
-- the ids of the next test's descriptions begin with 1
DELETE FROM _factorymon.sensor_version;
