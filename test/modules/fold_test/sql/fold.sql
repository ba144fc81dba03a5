-- a fold by hand: what each reading comes to
LOAD 'factorymon';
SET timezone = 'UTC';
SELECT test.make_pipeline(1::smallint);

-- a reading with what matters set and the rest left out
CREATE FUNCTION test.apply(kafka_offset bigint, second numeric, value float8,
	quality real DEFAULT NULL, reading_count int DEFAULT NULL,
	message_second numeric DEFAULT NULL, sensor_id int DEFAULT 1,
	reading_index int DEFAULT 0, limits float8[] DEFAULT '{5,10,35,40}')
RETURNS text LANGUAGE sql AS $$
	SELECT test.fold_apply(kafka_offset, reading_index::smallint, sensor_id,
		'2026-01-01 00:00:00Z'::timestamptz + make_interval(secs => second::float8),
		value, quality, reading_count,
		'2026-01-01 00:00:00Z'::timestamptz
			+ make_interval(secs => coalesce(message_second, second)::float8),
		limits)
$$;
-- the only sensor of most tests below
CREATE VIEW test.sensor AS
	SELECT * FROM _factorymon.fold_sensors(test.fold_sensor(0));
CREATE FUNCTION test.fresh() RETURNS bigint LANGUAGE sql AS $$
	SELECT test.fold_open(1, 1::smallint, 0, 0, 'infinity', '-infinity')
$$;

-- an alarm's life
SELECT test.fresh();
SELECT n, v, test.apply(n, n, v)
FROM (VALUES (0, 25), (1, 34.99), (2, 35), (3, 36), (4, 40), (5, 41),
	(6, 37), (7, 34), (8, 34), (9, 36), (10, 25), (11, 45), (12, 25)) AS s(n, v);
-- the low side mirrors it
SELECT test.fresh();
SELECT n, v, test.apply(n, n, v)
FROM (VALUES (0, 25), (1, 10), (2, 5), (3, 9), (4, 11)) AS s(n, v);
-- from one side to the other in one reading: two transitions, a new alarm
SELECT test.fresh();
SELECT n, v, test.apply(n, n, v)
FROM (VALUES (0, 45), (1, 4), (2, 36), (3, 25), (4, 4), (5, 25)) AS s(n, v);
SELECT test.fold_store_transitions();
SELECT a.kafka_offset, ordinal, transition, state, level, side,
	previous_state, previous_level, severity, seq, announced, "limit", value,
	event_time, since, raised_at, cause, condition, deadband, incarnation,
	dense_rank() OVER (ORDER BY f.kafka_offset) AS alarm,
	substr(event_id::text, 15, 1) AS version,
	substr(event_id::text, 20, 1) IN ('8', '9', 'a', 'b') AS variant,
	substr(alarm_id::text, 15, 1) AS alarm_version
FROM factorymon.alerts AS a
	JOIN (SELECT alarm_id, kafka_offset FROM factorymon.alerts WHERE seq = 1)
		AS f USING (alarm_id)
ORDER BY a.kafka_offset, ordinal \gx
TRUNCATE _factorymon.transition;
-- limits that go away, or that nobody set
SELECT test.fresh();
SELECT test.apply(0, 0, 45);
SELECT test.apply(1, 1, 45, limits => '{NULL,NULL,NULL,NULL}');
SELECT test.apply(2, 2, 1e300, limits => '{NULL,NULL,NULL,NULL}');
-- limits that change under an alarm: its next reading is judged by the new
SELECT test.fresh();
SELECT test.apply(0, 0, 36);
SELECT test.apply(1, 1, 36, limits => '{5,10,30,36}');
SELECT test.apply(2, 2, 36, limits => '{5,40,50,60}');

-- late: classified, counted, without effect on the alarm
SELECT test.fresh();
SELECT n, s, v, test.apply(n, s, v)
FROM (VALUES (0, 10, 25), (1, 9, 45), (2, 10, 45), (3, 9.999999, 25),
	(4, 11, 45)) AS s(n, s, v);
SELECT last_ts, last_offset, last_value, level, readings, normal, warning,
	critical, late, future, low_quality FROM test.sensor;
-- equal timestamps: the order is that of offsets and indexes
SELECT test.fresh();
SELECT test.apply(0, 0, 45), test.apply(0, 0, 25, reading_index => 1),
	test.apply(1, 0, 45);
-- a clock that was ahead and is set right: from the twentieth on
SELECT test.fresh();
SELECT test.apply(0, 3600, 45);
SELECT n, test.apply(n, n, CASE WHEN n < 15 THEN 25 ELSE 45 END)
	FROM generate_series(1, 21) AS n;
SELECT last_ts, late FROM test.sensor;
-- readings of old in between do not make it so
SELECT test.fresh();
SELECT n, test.apply(n, CASE WHEN n % 15 = 0 THEN 3600 + n ELSE n END, 25)
	FROM generate_series(0, 40) AS n WHERE n % 15 IN (0, 14);
SELECT late, readings FROM test.sensor;

-- deadband and delays (lifecycle_test.c has more of both)
SELECT test.fresh();
SELECT s, v, test.apply(n, s, v, limits => '{5,10,35,40,0.5,6,30,0}')
FROM (VALUES (0, 0, 36), (1, 3, 34), (2, 6, 36), (3, 9, 36), (4, 12, 36),
	(5, 15, 34.6), (6, 18, 20), (7, 48, 20)) AS s(n, s, v);
-- after a gap they begin anew; after a second one they do not
SELECT test.fresh();
SELECT count(test.apply(n, n * 3, 25, limits => '{5,10,35,40,0,6,30,0}'))
	FROM generate_series(0, 30) AS n;
SELECT s, v, test.apply(n, s, v, limits => '{5,10,35,40,0,6,30,0}')
FROM (VALUES (31, 93, 36), (32, 103, 36), (33, 106, 36), (34, 109, 36),
	(35, 119, 20), (36, 129, 20), (37, 139, 20), (38, 149, 20)) AS s(n, s, v);
-- and when the clock is set back, or they would begin in the future
SELECT test.fresh();
SELECT s, v, test.apply(n, s, v, limits => '{5,10,35,40,0,6,30,0}')
FROM (SELECT 0, 3600, 36 UNION ALL
	SELECT n, n * 3, 36 FROM generate_series(1, 23) AS n) AS s(n, s, v);

-- future: more than a minute ahead of the message
SELECT test.fresh();
SELECT test.apply(0, 10, 25, message_second => 10);
SELECT test.apply(1, 71, 45, message_second => 11);
SELECT test.apply(2, 71.000001, 45, message_second => 11);
SELECT test.apply(3, 72, 25, message_second => 12);
SELECT last_ts, message_at, future, readings FROM test.sensor;
-- the very first reading may be in the future
SELECT test.fresh();
SELECT test.apply(0, 1000, 45, message_second => 0);
SELECT test.apply(1, 1, 45, message_second => 1);
SELECT last_ts, first_ts, future, late FROM test.sensor;
-- low quality: below a half
SELECT test.fresh();
SELECT test.apply(0, 0, 25, quality => 1);
SELECT test.apply(1, 1, 45, quality => 0.49);
SELECT test.apply(2, 2, 45, quality => 0.5);
SELECT test.apply(3, 3, 25, quality => 0);
SELECT test.apply(4, 1.5, 25, quality => 0);
SELECT last_ts, last_value, last_quality, low_quality, late FROM test.sensor;
SELECT test.fold_alarm(1);

-- reading_count: late numbers fill holes, numbers that never come are gaps
SELECT test.fresh();
SELECT n, test.apply(n, s, 25, reading_count => c)
FROM (VALUES (0, 0, 10), (1, 1, 11), (2, 3, 13), (3, 2, 12), (4, 5, 15),
	(5, 5, 15), (6, 6, 16)) AS s(n, s, c);
SELECT gaps, repeats, producer_restarts FROM test.sensor;
-- 14 leaves the window when 78 comes
SELECT test.apply(7, 7, 25, reading_count => 77);
SELECT gaps FROM test.sensor;
SELECT test.apply(8, 8, 25, reading_count => 78);
SELECT gaps FROM test.sensor;
-- too late to fill it, and nothing to say about it
SELECT test.apply(9, 3.5, 25, reading_count => 14);
SELECT gaps, repeats FROM test.sensor;
-- a lower number with a newer ts: the producer began anew; what was missing
-- then (17 to 76) never came
SELECT test.apply(10, 10, 25, reading_count => 1);
SELECT gaps, repeats, producer_restarts FROM test.sensor;
-- a straggler from before does not look like a leap forward
SELECT test.apply(11, 9, 25, reading_count => 100);
SELECT test.apply(12, 12, 25, reading_count => 2);
SELECT gaps, repeats, producer_restarts, late FROM test.sensor;
-- a leap beyond the window
SELECT test.apply(13, 13, 25, reading_count => 1002);
SELECT test.apply(14, 14, 25, reading_count => 1066);
SELECT gaps, repeats, producer_restarts FROM test.sensor;
-- readings without a number say nothing
SELECT test.apply(15, 15, 25);
SELECT gaps, repeats, producer_restarts, readings FROM test.sensor;
-- the first number may be the largest
SELECT test.fresh();
SELECT test.apply(0, 0, 25, reading_count => 2147483647);
SELECT test.apply(1, 1, 25, reading_count => -2147483648);
SELECT test.apply(2, 2, 25, reading_count => 2147483647);
SELECT gaps, repeats, producer_restarts FROM test.sensor;

-- the interval is learned from 20 readings
SELECT test.fresh();
SELECT count(test.apply(n, n * 3, 25)) FROM generate_series(0, 18) AS n;
SELECT expected_interval FROM test.sensor;
SELECT test.apply(19, 19 * 3, 25);
SELECT expected_interval FROM test.sensor;
-- gaps, bursts, late and future readings are not learned
SELECT test.apply(20, 1000, 25), test.apply(21, 1000.1, 25),
	test.apply(22, 2000, 25), test.apply(23, 1999, 25),
	test.apply(24, 2070, 25, message_second => 2001);
SELECT expected_interval FROM test.sensor;
-- jitter is averaged, a producer set anew is learned anew
SELECT count(test.apply(25 + n, 2000 + n * 3 + n % 2, 25))
	FROM generate_series(1, 100) AS n;
SELECT round(expected_interval::numeric, 1) FROM test.sensor;
SELECT count(test.apply(200 + n, 3000 + n * 60, 25))
	FROM generate_series(1, 19) AS n;
SELECT round(expected_interval::numeric, 1) FROM test.sensor;
SELECT count(test.apply(300 + n, 5000 + n * 60, 25))
	FROM generate_series(1, 30) AS n;
SELECT round(expected_interval::numeric, 1) FROM test.sensor;
-- a gap as the very first interval does no harm
SELECT test.fresh();
SELECT test.apply(0, 0, 25);
SELECT count(test.apply(n, 86400 + n * 5, 25)) FROM generate_series(1, 25) AS n;
SELECT round(expected_interval::numeric, 1) FROM test.sensor;

-- undo: the state is as if nothing had been
SELECT test.fresh();
SELECT test.apply(0, 0, 25, reading_count => 1);
SELECT test.fold_advance(1);
SELECT test.fold_sensor(0) AS before \gset
SELECT test.fold_mark();
SELECT test.apply(1, 1, 45, reading_count => 2);
SELECT test.apply(2, 2, 45, sensor_id => 2);
SELECT test.apply(3, 3, 4, reading_count => 9);
SELECT test.apply(4, 4, 4, sensor_id => 3);
SELECT test.fold_advance(5);
SELECT test.fold_sensor(0) = :'before' AS same, test.fold_sensor(1) IS NULL AS gone;
SELECT test.fold_rollback();
SELECT test.fold_sensor(0) = :'before' AS same, test.fold_sensor(1) IS NULL AS gone;
-- a second try comes to the same ids
SELECT test.apply(1, 1, 45, reading_count => 2);
SELECT test.fold_alarm(1) AS first_alarm \gset
SELECT test.fold_rollback();
SELECT test.fold_alarm(1) IS NULL AS gone;
SELECT test.apply(1, 1, 45, reading_count => 2);
SELECT test.fold_alarm(1) = :'first_alarm' AS same;
SELECT test.fold_commit();
SELECT test.fold_mark();

-- below the fold's position: classified, nothing else
SELECT test.fold_advance(10);
SELECT test.fold_sensor(0) AS before \gset
SELECT test.apply(9, 100, 25, quality => 0.1);
SELECT test.fold_sensor(0) = :'before' AS same;
SELECT test.fold_advance(3);
SELECT test.apply(9, 100, 4);
SELECT test.apply(10, 100, 4);

-- snapshots: what changed, once; the range of ts is what is not in them yet
SELECT test.fresh();
SELECT test.fold_range();
SELECT count(test.apply(n, 100 - n % 7, 25, sensor_id => n))
	FROM generate_series(1, 2500) AS n;
SELECT test.fold_advance(2501);
SELECT test.fold_range();
SELECT test.fold_snapshot();
-- not committed: all again
SELECT test.fold_snapshot();
SELECT test.fold_snapshot_done();
SELECT test.fold_range(), test.fold_snapshot();
SELECT test.apply(2501, 50, 25, sensor_id => 1500);
SELECT test.fold_advance(2502), test.fold_range();
SELECT test.fold_snapshot();
SELECT test.fold_snapshot_done();
SELECT part, chunk, length(state), (SELECT count(*) FROM
	_factorymon.fold_sensors(state)) FROM _factorymon.fold_chunk
	WHERE stream_id = 1 ORDER BY part, chunk;
SELECT sensor_id, sensor_version_id, last_ts, last_offset, readings, late,
	expected_interval, gaps
	FROM _factorymon.fold_chunk, _factorymon.fold_sensors(state) AS f
	WHERE stream_id = 1 AND sensor_id = 1500;
-- the snapshot alone gives the fold back
SELECT test.fold_open(1, 1::smallint, 2502, 2502, 'infinity', '-infinity');
SELECT test.apply(2501, 60, 25, sensor_id => 1500);
SELECT test.apply(2502, 60, 25, sensor_id => 1500);
SELECT test.apply(2503, 101, 45, sensor_id => 1500);
-- a range upside down is none, and the next one begins afresh
SELECT test.fold_open(1, 1::smallint, 2502, 2600, '2000-01-02', '2000-01-01');
SELECT test.fold_range();
SELECT test.apply(2600, 60, 25, sensor_id => 1500), test.fold_range();
SELECT test.apply(2601, 70, 25, sensor_id => 1500), test.fold_range();
DELETE FROM _factorymon.fold_chunk;
