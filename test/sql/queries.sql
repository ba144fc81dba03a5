/* Questions that people ask, of data so small that the answers can be reckoned by
 * hand; each from rows first, and then from sums.  The examples of the document,
 * and what they read: test/t/157_queries.pl. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
\set SHOW_CONTEXT never
\pset null '~'
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
BEGIN;
CREATE SERVER queries_server FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
CREATE USER MAPPING FOR CURRENT_USER SERVER queries_server;
SELECT factorymon.create_pipeline('queries-topic', server => 'queries_server',
	paused => true, time_zone => 'Europe/Berlin');
SELECT factorymon.create_pipeline('queries-other', server => 'queries_server',
	paused => true, time_zone => 'UTC');
SELECT pipeline_id AS id FROM _factorymon.pipeline
	WHERE name = 'queries-topic' \gset
SELECT pipeline_id AS other FROM _factorymon.pipeline
	WHERE name = 'queries-other' \gset

/* "both" is a sensor of both pipelines; "mover" moves from m1 to m2 */
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name, registered_at)
VALUES (9150001, :id, 'both', '2025-01-01'), (9150002, :other, 'both', '2025-01-02'),
	(9150003, :id, 'mover', '2025-01-01'), (9150004, :id, 'follower', '2025-01-01'),
	(9150005, :id, 'power', '2025-01-01'), (9150006, :id, 'counter', '2025-01-01'),
	(9150007, :id, 'megawatts', '2025-01-01'), (9150008, :id, 'hourly', '2025-01-01'),
	(9150009, :id, 'steady', '2025-01-01'), (9150010, :id, 'worst', '2025-01-01');
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
VALUES (9150001, 9150001, 'humidity', 's', 'm9', 'z9', '%'),
	(9150002, 9150002, 'humidity', 's', 'm9', 'z9', '%'),
	(9150003, 9150003, 'temperature', 's', 'm1', 'z1', 'C'),
	(9150013, 9150003, 'temperature', 's', 'm2', 'z2', 'C'),
	(9150004, 9150004, 'temperature', 's', 'm1', 'z1', 'C'),
	(9150005, 9150005, 'energy', 's', 'e1', 'ze', 'kW'),
	(9150006, 9150006, 'energy', 's', 'e2', 'ze', 'kWh'),
	(9150007, 9150007, 'energy', 's', 'e1', 'ze', 'MW'),
	(9150008, 9150008, 'temperature', 's', 'm3', 'z3', 'C'),
	(9150009, 9150009, 'temperature', 's', 'm4', 'z4', 'C'),
	(9150010, 9150010, 'vibration', 's', 'm4', 'z4', 'mm/s');
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
VALUES (9150, :id, 'queries-topic', 0, 1), (9151, :other, 'queries-other', 0, 1);
INSERT INTO _factorymon.rollup_stream
	VALUES (9150, '2025-10-20 00:00+00'), (9151, '2025-10-20 00:00+00');
SELECT count(_factorymon.ensure_partition(p, 'reading', d))
	FROM generate_series(timestamptz '2025-10-23', '2025-10-28', '1 day') d,
		(VALUES ('queries-topic'), ('queries-other')) AS x(p);
CREATE TEMP SEQUENCE offsets;
/* readings of a sensor: time and value each; level, quality */
CREATE FUNCTION pg_temp.readings(version integer, at timestamptz[],
	value double precision[], level integer DEFAULT 0, quality real DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
	WITH put AS (
		INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id,
				stream_id, sensor_version_id, quality, pipeline_id,
				reading_index, level, flags)
			SELECT r.at, nextval('offsets'), r.value, v.sensor_id,
					t.stream_id, version, quality, s.pipeline_id, 0, level,
					CASE WHEN quality < 0.5 THEN 64 ELSE 0 END
				FROM unnest(at, value) AS r(at, value)
				JOIN _factorymon.sensor_version v ON v.sensor_version_id = version
				JOIN _factorymon.sensor s ON s.sensor_id = v.sensor_id
				JOIN _factorymon.stream t ON t.pipeline_id = s.pipeline_id
			RETURNING 1)
	SELECT count(*) FROM put
$$;
SELECT pg_temp.readings(9150003,
	'{2025-10-24 10:00:00, 2025-10-24 10:10:00}', '{10, 20}') +
	pg_temp.readings(9150003, '{2025-10-24 10:11}', '{999}', 2, 0.1) +
	pg_temp.readings(9150013, '{2025-10-24 10:40}', '{40}', 1) +
	/* b = 2 a + 1, at the same time and ten minutes later */
	pg_temp.readings(9150004, '{2025-10-24 10:00:30, 2025-10-24 10:10:30,
		2025-10-24 10:20:30, 2025-10-24 10:40:30, 2025-10-24 10:50:30}',
		'{21, 41, 41, 81, 81}') +
	pg_temp.readings(9150001, '{2025-10-24 12:00, 2025-10-24 12:01,
		2025-10-24 12:01}', '{1, 2, 3}') +
	pg_temp.readings(9150002, '{2025-10-24 12:00}', '{100}') +
	/* across midnight in Berlin, 22:00 */
	pg_temp.readings(9150005, '{2025-10-24 21:50, 2025-10-24 22:10,
		2025-10-24 23:10, 2025-10-24 23:10:30}', '{6, 12, 12, 12}') +
	pg_temp.readings(9150006, '{2025-10-24 20:00, 2025-10-24 21:00,
		2025-10-24 23:00}', '{100, 110, 5}') +
	pg_temp.readings(9150007, '{2025-10-24 20:00, 2025-10-24 20:06}', '{1, 3}') +
	/* each hour of the day that has 25 of them, and one on each side */
	pg_temp.readings(9150008, (SELECT array_agg(h) FROM generate_series(
		timestamptz '2025-10-25 21:30+00', '2025-10-26 23:30+00', '1 hour') h),
		(SELECT array_agg(i) FROM generate_series(1, 27) i)) AS readings;
SELECT pg_temp.readings(9150009, (SELECT array_agg(m) FROM generate_series(
		timestamptz '2025-10-24 12:00', '2025-10-24 12:09', '1 minute') m),
		array_fill(5.0::float8, '{10}')) +
	pg_temp.readings(9150009, '{2025-10-24 12:20}', '{5}') +
	pg_temp.readings(9150009, '{2025-10-24 12:25}', '{5}', 2, 0.2) +
	pg_temp.readings(9150010, '{2025-10-24 12:03}', '{9}', 2) +
	pg_temp.readings(9150010, '{2025-10-24 12:06}', '{1}', 0) +
	pg_temp.readings(9150010, '{2025-10-24 12:07:10}', '{6}', 1) AS readings;

\echo # buckets: an hour is one of time, a longer one of clocks (26 October has 25 hours)
CREATE FUNCTION pg_temp.edges(width text, "from" text, "to" text)
RETURNS TABLE (edge timestamp, hours float8) LANGUAGE sql AS $$
	SELECT e AT TIME ZONE 'Europe/Berlin',
			extract(epoch FROM lead(e) OVER (ORDER BY e) - e)::float8 / 3600
		FROM unnest(_factorymon.bucket_edges(width::interval,
			"from"::timestamptz, "to"::timestamptz, 'Europe/Berlin')) AS e
$$;
SELECT count(*), min(hours), max(hours), sum(hours)
	FROM pg_temp.edges('1 hour', '2025-10-25 22:00Z', '2025-10-26 23:00Z');
SELECT * FROM pg_temp.edges('6 hours', '2025-10-25 22:00Z', '2025-10-26 23:00Z');
SELECT * FROM pg_temp.edges('2 hours', '2025-10-26 00:30Z', '2025-10-26 01:30Z');
SELECT * FROM pg_temp.edges('1 day', '2025-10-25 12:00Z', '2025-10-26 23:00:01Z');
SELECT * FROM pg_temp.edges('1 week', '2025-10-26 12:00Z', '2025-10-27 12:00Z');
SELECT * FROM pg_temp.edges('15 minutes', '2025-10-26 00:50Z', '2025-10-26 01:10Z');
/* clocks go forward: 2 o'clock is not there */
SELECT * FROM pg_temp.edges('2 hours', '2025-03-29 23:00Z', '2025-03-30 03:00Z');

/* everything that is answered from rows and from sums alike */
CREATE TEMP TABLE span AS SELECT timestamptz '2025-10-24 10:00Z' AS a,
	timestamptz '2025-10-24 11:00Z' AS b;
CREATE VIEW pg_temp.answers AS
SELECT 'buckets ' || f AS question, concat_ws(' ', to_char(x.bucket, 'HH24:MI'),
		x.n, x.min, x.max, x.avg, coalesce(x.stddev::text, '~'), x.first, x.last,
		coalesce(round(x.filled::numeric, 3)::text, '~')) AS answer
	FROM span, unnest('{none,last,linear}'::text[]) f,
		factorymon.sensor_buckets('mover', '10 minutes', a, b, f) x
UNION ALL
SELECT 'half an hour', concat_ws(' ', to_char(x.bucket, 'HH24:MI'), x.n, x.min,
		x.max, x.avg, round(x.stddev::numeric, 3), x.first, x.last)
	FROM span, factorymon.sensor_buckets('mover', '30 minutes', a, b) x
UNION ALL
SELECT 'all buckets ' || w, concat_ws(' ', to_char(x.bucket, 'DD HH24:MI'), x.n,
		round(x.avg::numeric, 6), x.first, x.last)
	FROM unnest('{6 hours,1 day,7 days}'::text[]) w,
		factorymon.sensor_buckets('hourly', w::interval, '2025-10-25 22:00Z',
			'2025-10-26 23:00Z') x
UNION ALL
SELECT 'of ' || coalesce(p, 'the newest'), concat_ws(' ', x.n, x.avg)
	FROM unnest(ARRAY[NULL, 'queries-topic', 'queries-other']) p,
		factorymon.sensor_buckets('both', '1 hour', '2025-10-24 12:00Z',
			'2025-10-24 12:01Z', 'none', p) x
UNION ALL
SELECT 'correlation ' || w, concat_ws(' ', n, round(correlation::numeric, 6),
		round(slope::numeric, 6), round(intercept::numeric, 6),
		round(avg_a::numeric, 3), round(avg_b::numeric, 3))
	FROM span, unnest('{10 minutes,1 hour}'::text[]) w,
		factorymon.sensor_correlation('mover', 'follower', a, b, w::interval)
UNION ALL
SELECT 'ten minutes later', concat_ws(' ', n, round(correlation::numeric, 6),
		round(avg_a::numeric, 3), round(avg_b::numeric, 3))
	FROM span, factorymon.sensor_correlation('mover', 'follower', a, b,
		'10 minutes', '10 minutes')
UNION ALL
SELECT 'timeline', concat_ws(' ', zone, to_char(from_at, 'HH24:MI'), to_char(to_at, 'HH24:MI'),
		seconds, level)
	FROM factorymon.machine_timeline('m4', '2025-10-24 11:58Z',
		'2025-10-24 12:30Z', '2 minutes')
UNION ALL
SELECT 'timeline, moved', concat_ws(' ', zone, to_char(from_at, 'HH24:MI'), to_char(to_at, 'HH24:MI'), level)
	FROM span, factorymon.machine_timeline('m2', a, b)
UNION ALL
SELECT 'timeline, cut', concat_ws(' ', to_char(from_at, 'HH24:MI'), to_char(to_at, 'HH24:MI'), level)
	FROM factorymon.machine_timeline('m4', '2025-10-24 12:04Z',
		'2025-10-24 12:07Z', '2 minutes')
UNION ALL
SELECT 'energy, gaps of ' || g, concat_ws(' ', bucket AT TIME ZONE 'Europe/Berlin',
		sensor_id, machine_id, round(kwh::numeric, 6), seconds)
	FROM unnest('{30 minutes,1 hour}'::text[]) g,
		factorymon.energy_totals('2025-10-23 22:00Z', '2025-10-25 22:00Z',
			g::interval)
UNION ALL
SELECT 'energy of e1 on the 25th', concat_ws(' ', bucket AT TIME ZONE 'Europe/Berlin',
		sensor_id, round(kwh::numeric, 6))
	FROM factorymon.energy_totals('2025-10-25 10:00Z', '2025-10-25 11:00Z',
		'30 minutes', only_machine => 'e1');
SELECT * FROM pg_temp.answers;
SELECT * INTO TEMP from_rows FROM pg_temp.answers;

\echo # single readings
SELECT ts, sensor_id, value, machine_id, level, quality, pipeline
	FROM factorymon.last_readings(2, 'mover');
SELECT ts, value, pipeline FROM factorymon.last_readings(2, 'both');
SELECT count(*), count(DISTINCT (pipeline, sensor_id))
	FROM factorymon.last_readings(1) WHERE pipeline LIKE 'queries-%';
SELECT zone, sensor_type, n, fraction, value
	FROM factorymon.zone_percentiles('2025-10-24 10:00Z', '2025-10-24 10:50Z',
		'{0,0.5,1}') WHERE pipeline = 'queries-topic';
SELECT zone, n, fraction, value
	FROM factorymon.zone_percentiles('2025-10-24 10:00Z', '2025-10-24 13:00Z',
		'{0.25}', 'z1', 'temperature');
SELECT bucket, n, avg FROM factorymon.sensor_buckets('follower', '30 seconds',
	'2025-10-24 10:00:10Z', '2025-10-24 10:01Z');

\echo # the same from sums
UPDATE _factorymon.stream SET retired_at = now(), retired_reason = 'test'
	WHERE stream_id IN (9150, 9151);
SELECT _factorymon.merge_rollups('queries-topic') > 0 AS written,
	_factorymon.merge_rollups('queries-other') > 0 AS written;
DELETE FROM _factorymon.reading WHERE pipeline_id IN (:id, :other);
(TABLE from_rows EXCEPT ALL TABLE pg_temp.answers)
UNION ALL (TABLE pg_temp.answers EXCEPT ALL TABLE from_rows);

\echo # what makes no sense
CREATE FUNCTION pg_temp.refused(question text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT * FROM factorymon.' || question;
	RETURN 'answered';
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN sqlerrm;
END;
$$;
SELECT q, pg_temp.refused(q) FROM unnest(ARRAY[
	$$sensor_buckets('nobody', '1 hour')$$,
	$$sensor_buckets('hourly', '1 hour', pipeline => 'queries-other')$$,
	$$sensor_buckets(NULL, '1 hour')$$,
	$$sensor_buckets('both', '0 s')$$,
	$$sensor_buckets('both', '-1 hour')$$,
	$$sensor_buckets('both', '7 minutes')$$,
	$$sensor_buckets('both', '90 minutes')$$,
	$$sensor_buckets('both', '0.5 s')$$,
	$$sensor_buckets('both', '1 month')$$,
	$$sensor_buckets('both', NULL)$$,
	$$sensor_buckets('both', '1 hour', now(), now())$$,
	$$sensor_buckets('both', '1 hour', now(), 'infinity')$$,
	$$sensor_buckets('both', '1 hour', NULL, now())$$,
	$$sensor_buckets('both', '1 s', now() - interval '12 days')$$,
	$$sensor_buckets('both', '1 hour', fill => 'guess')$$,
	$$sensor_buckets('both', '1 hour', fill => NULL)$$,
	$$last_readings(0)$$,
	$$last_readings(-1)$$,
	$$last_readings(NULL)$$,
	$$last_readings(1, 'nobody')$$,
	$$zone_percentiles(now(), now())$$,
	$$zone_percentiles(now(), NULL)$$,
	$$zone_percentiles(now() - interval '1 s', now(), '{}')$$,
	$$zone_percentiles(now() - interval '1 s', now(), '{0.5,1.5}')$$,
	$$zone_percentiles(now() - interval '1 s', now(), '{-0.5}')$$,
	$$zone_percentiles(now() - interval '1 s', now(), '{NULL}')$$,
	$$sensor_correlation('both', 'nobody')$$,
	$$sensor_correlation('both', 'both', now(), now())$$,
	$$sensor_correlation('both', 'both', lag => '30 s')$$,
	$$sensor_correlation('both', 'both', lag => NULL)$$,
	$$sensor_correlation('both', 'both', width => '7 days')$$,
	$$machine_timeline('nobody')$$,
	$$machine_timeline('m1', now(), now())$$,
	$$machine_timeline('m1', silent_after => '-1 s')$$,
	$$machine_timeline('m1', silent_after => NULL)$$,
	$$energy_totals(now(), now())$$,
	$$energy_totals(max_gap => '30 s')$$,
	$$energy_totals(max_gap => '2 days')$$,
	$$energy_totals(only_sensor => 'nobody')$$,
	$$energy_totals(only_machine => 'nobody')$$]) AS q;

\echo # who may ask
CREATE ROLE queries_reader;
CREATE ROLE queries_nobody;
SELECT factorymon.grant_access('reader', 'queries_reader');
SELECT p.proname, has_function_privilege('queries_reader', p.oid, 'EXECUTE') AS reader,
	has_function_privilege('queries_nobody', p.oid, 'EXECUTE') AS nobody,
	p.provolatile AS volatility, p.proparallel AS parallel, p.prosecdef AS definer, p.proconfig,
	obj_description(p.oid, 'pg_proc') IS NOT NULL AS commented
FROM pg_proc p
WHERE p.proname IN ('sensor_buckets', 'last_readings', 'zone_percentiles',
	'sensor_correlation', 'machine_timeline', 'energy_totals', 'require',
	'known_sensor', 'bucket_edges')
	AND p.pronamespace IN ('factorymon'::regnamespace, '_factorymon'::regnamespace)
ORDER BY p.proname;
ROLLBACK;
