/* Minutes, hours and days.  How they come about as readings come through Kafka, and
 * that they are right whatever happens: test/t/197_rollups.pl. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
\set SHOW_CONTEXT never
\pset null '~'
SET timezone = 'UTC';
BEGIN;
CREATE SERVER rollup_server FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
CREATE USER MAPPING FOR CURRENT_USER SERVER rollup_server;
SAVEPOINT s;
SELECT factorymon.create_pipeline('rollup-topic', server => 'rollup_server',
	time_zone => 'Europe/Nowhere');
ROLLBACK TO s;
SELECT factorymon.create_pipeline('rollup-topic', server => 'rollup_server',
	rollups => NULL);
ROLLBACK TO s;
SELECT factorymon.create_pipeline('rollup-topic', server => 'rollup_server',
	paused => true);
SELECT rollups, time_zone FROM factorymon.pipelines WHERE name = 'rollup-topic';
ROLLBACK TO s;
SELECT factorymon.create_pipeline('rollup-topic', server => 'rollup_server',
	paused => true, time_zone => 'Europe/Berlin');
SELECT pipeline_id AS id FROM _factorymon.pipeline
	WHERE name = 'rollup-topic' \gset

/* two sensors, one of which moves; clocks go back in the night of the 26th */
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
	VALUES (9050001, :id, 'one'), (9050002, :id, 'two');
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
VALUES (9050001, 9050001, 'temperature', 's', 'm1', 'z1', 'C'),
	(9050002, 9050002, 'temperature', 's', 'm1', 'z1', 'C'),
	(9050003, 9050002, 'temperature', 's', 'm2', 'z2', 'C');
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation) VALUES (9050, :id, 'rollup-topic', 0, 1);
INSERT INTO _factorymon.rollup_stream
	VALUES (9050, '2025-10-25 00:00+00');
SELECT count(_factorymon.ensure_partition('rollup-topic', 'reading', d))
	FROM generate_series(timestamptz '2025-10-25', '2025-10-27', '1 day') d;
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, quality, pipeline_id, reading_index, level, flags)
SELECT '2025-10-25 20:30+00'::timestamptz + n * interval '10 min', n,
	n % 7 + s, 9050000 + s, 9050, 9050000 + s + (s = 2 AND n > 100)::integer,
	CASE WHEN n % 20 = 3 THEN 0.4 ELSE 1 END, :id, 0, n % 3, 0
FROM generate_series(0, 170) n, generate_series(1, 2) s;

\echo # from rows
SELECT bucket, sensor_id, zone, n, min, max, round(avg::numeric, 6) AS avg,
	round(stddev::numeric, 6) AS stddev, first, last, n_normal, n_warning,
	n_critical, n_bad
FROM factorymon.readings_1d ORDER BY 1, 2;
SELECT bucket, zone, sensors, n, n_bad, max FROM factorymon.zone_1d ORDER BY 1, 2;
SELECT bucket, machine_id, sensors, n FROM factorymon.machine_1d ORDER BY 1, 2;
SELECT * INTO TEMP before_1m FROM factorymon.readings_1m;
SELECT * INTO TEMP before_1h FROM factorymon.readings_1h;
SELECT * INTO TEMP before_1d FROM factorymon.readings_1d;
SELECT (SELECT count(*) FROM before_1m), (SELECT count(*) FROM before_1h),
	(SELECT count(*) FROM before_1d);

\echo # computed: a stream without an owner is finished
UPDATE _factorymon.stream SET retired_at = now(), retired_reason = 'test'
	WHERE stream_id = 9050;
SELECT _factorymon.merge_rollups('rollup-topic') > 0 AS written;
SELECT _factorymon.merge_rollups('rollup-topic') AS again;
SELECT count(*), count(DISTINCT (bucket, sensor_id)) FROM _factorymon.rollup_1h
	WHERE pipeline_id = :id;
SELECT pending_from FROM _factorymon.rollup_stream WHERE stream_id = 9050;
DELETE FROM _factorymon.reading WHERE pipeline_id = :id;
(TABLE before_1m EXCEPT ALL TABLE factorymon.readings_1m)
UNION ALL (TABLE factorymon.readings_1m EXCEPT ALL TABLE before_1m);
(SELECT bucket, sensor_id, n, min, max, first, last, n_bad FROM before_1h
	EXCEPT ALL
	SELECT bucket, sensor_id, n, min, max, first, last, n_bad
		FROM factorymon.readings_1h);
(SELECT bucket, sensor_id, n, round(avg::numeric, 9), round(stddev::numeric, 9),
		first, last FROM before_1d
	EXCEPT ALL
	SELECT bucket, sensor_id, n, round(avg::numeric, 9),
			round(stddev::numeric, 9), first, last FROM factorymon.readings_1d);

\echo # a minute changes: hour and day follow, at once and when they are computed
DELETE FROM _factorymon.rollup_1m
	WHERE sensor_id = 9050001 AND bucket = '2025-10-26 01:10+00';
INSERT INTO _factorymon.rollup_mark VALUES (:id, 9050001, '2025-10-26 01:00+00');
SELECT bucket, n, n_bad FROM factorymon.readings_1h
	WHERE sensor_id = 'one' AND bucket = '2025-10-26 01:00+00';
SELECT bucket, n, n_bad FROM factorymon.readings_1d
	WHERE sensor_id = 'one' ORDER BY 1;
SELECT _factorymon.merge_rollups('rollup-topic') AS written;
SELECT bucket, n, n_bad FROM factorymon.readings_1d
	WHERE sensor_id = 'one' ORDER BY 1;

\echo # another time zone
SELECT factorymon.alter_pipeline('rollup-topic', time_zone => 'Asia/Kathmandu');
SELECT _factorymon.merge_rollups('rollup-topic') > 0 AS written;
SELECT bucket AT TIME ZONE 'Asia/Kathmandu' AS day, n, n_bad
	FROM factorymon.readings_1d WHERE sensor_id = 'one' ORDER BY 1;
SELECT count(DISTINCT bucket), min(bucket) FROM factorymon.readings_1h;

\echo # a condition on bucket reaches the time partitions
CREATE FUNCTION pg_temp.partitions(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		line := substring(line FROM 'rollup_1[hd]_\d+_p(\d+)');
		IF line IS NOT NULL THEN
			RETURN NEXT line;
		END IF;
	END LOOP;
END;
$$;
SELECT count(DISTINCT p) > 1 AS many FROM pg_temp.partitions(
	'SELECT * FROM factorymon.readings_1h') AS p;
SELECT count(DISTINCT p) AS one FROM pg_temp.partitions(
	$$SELECT * FROM factorymon.readings_1h WHERE sensor_id = 'one'
	AND bucket >= '2025-10-26' AND bucket < '2025-10-27'$$) AS p
	WHERE p >= to_char(timestamptz '2025-10-26' - interval '60 days', 'YYYYMMDD')
		AND p < '20251027';
ROLLBACK;
