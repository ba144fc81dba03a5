/* What charts and lists of rejects are made of: recent_rejects(),
 * sensor_series(), sensor_limits(), and who may call them. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never
\pset null '~'
SET timezone = 'UTC';
BEGIN;

INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
SELECT id, name, 'nowhere', 'sensor-topic', name, 'factory', 2, 'earliest',
	'stop', '7 days', '1 hour', '30 days', '1 day', 'somebody'
FROM (VALUES (906, 'sensor-test'), (907, 'sensor-other')) AS p(id, name);
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
VALUES (9060, 906, 'sensor-topic', 0, 1), (9061, 906, 'sensor-topic', 1, 1);
CREATE TABLE _factorymon.reading_906 PARTITION OF _factorymon.reading
	FOR VALUES IN (906);
CREATE TABLE _factorymon.reject_906 PARTITION OF _factorymon.reject
	FOR VALUES IN (906);
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name, registered_at)
VALUES (9060001, 906, 'both', '2025-01-01'),
	(9070001, 907, 'both', '2025-01-02'),
	(9060002, 906, 'odd', '2025-01-01'),
	(9060003, 906, 'unknown type', '2025-01-01');
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
VALUES (9060000, 9060001, 'pressure', 's', 'm0', 'z0', 'bar'),
	(9060001, 9060001, 'temperature', 's', 'm1', 'z1', '°C'),
	(9070001, 9070001, 'humidity', 's', 'm1', 'z1', '%'),
	(9060002, 9060002, 'temperature', 's', 'm2', 'z1', '°C'),
	(9060003, 9060003, 'smell', 's', 'm2', 'z1', '1');

\echo # limits are those by which readings are classified
CREATE FUNCTION pg_temp.same_limits() RETURNS TABLE (sensor text,
	pipeline text, critical_low float8, warning_low float8,
	warning_high float8, critical_high float8, deadband float8, unit text,
	"interval" float8, own boolean, levels text, same boolean)
LANGUAGE sql AS $$
	SELECT a.sensor, a.pipeline, l.critical_low, l.warning_low,
			l.warning_high, l.critical_high, l.deadband, l.unit,
			l.expected_interval_seconds, l.threshold_id IS NOT NULL,
			(SELECT string_agg(left(factorymon.classify(v, l.critical_low,
					l.warning_low, l.warning_high, l.critical_high), 1), ''
					ORDER BY v)
				FROM generate_series(-20, 60, 5) AS v),
			(l.critical_low, l.warning_low, l.warning_high, l.critical_high,
				l.deadband, l.threshold_id) IS NOT DISTINCT FROM
			(x.critical_low, x.warning_low, x.warning_high, x.critical_high,
				x.deadband, x.threshold_id)
		FROM (VALUES ('both', 'sensor-test', 'temperature', 'z1', 'm1'),
			('both', NULL, 'humidity', 'z1', 'm1'),
			('odd', 'sensor-test', 'temperature', 'z1', 'm2'),
			('unknown type', NULL, 'smell', 'z1', 'm2'))
			AS a(sensor, pipeline, type, zone, machine)
		CROSS JOIN LATERAL factorymon.sensor_limits(a.sensor, a.pipeline) l
		CROSS JOIN LATERAL _factorymon.limits_of(
			coalesce(a.pipeline, CASE a.sensor WHEN 'both' THEN 'sensor-other'
				ELSE 'sensor-test' END), a.type, a.zone, a.machine, a.sensor) x
$$;
SELECT * FROM pg_temp.same_limits();
INSERT INTO factorymon.threshold (pipeline, sensor_type, zone, machine_id,
	sensor_id, critical_low, warning_low, warning_high, critical_high,
	deadband, expected_interval)
VALUES (NULL, 'temperature', NULL, NULL, NULL, -10, 0, 30, 40, 1, '7 s'),
	(NULL, 'temperature', 'z1', NULL, NULL, NULL, 5, 25, NULL, 2, NULL),
	('sensor-test', 'temperature', NULL, NULL, 'both', NULL, NULL, NULL, 20,
		3, '250 ms'),
	(NULL, 'smell', NULL, NULL, NULL, NULL, NULL, 10, NULL, 0, NULL);
SELECT * FROM pg_temp.same_limits();
UPDATE factorymon.threshold SET critical_high = 15 WHERE sensor_id = 'both';
SELECT critical_high FROM factorymon.sensor_limits('both', 'sensor-test');
SELECT count(*) FROM factorymon.sensor_limits('nobody');
SELECT count(*) FROM factorymon.sensor_limits('both', 'nothing');
SELECT count(*) FROM factorymon.sensor_limits('odd', 'sensor-other');
SELECT count(*) FROM factorymon.sensor_limits(NULL);

\echo # readings by slices: from the begin of the span, up to its end
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT ts::timestamptz, 1, value, 9060001, 9060, 9060001, 906, 0, level, flags
FROM (VALUES ('2025-03-01 23:59:59.999999', 1000, 10, 0),
	('2025-03-02 00:00:00', 1, 0, 0), ('2025-03-02 00:00:09.999999', 3, 9, 0),
	('2025-03-02 00:00:10', -5, 6, 8), ('2025-03-02 00:00:30', 7, 0, 64),
	('2025-03-02 00:00:31', 8, 0, 72), ('2025-03-02 00:00:32', 9, 9, 0),
	('2025-03-02 00:00:39.999999', 2, 0, 0),
	('2025-03-02 00:00:40', 2000, 10, 0)) AS r(ts, value, level, flags);
PREPARE series(integer) AS
SELECT at, readings AS n, average, minimum AS min, maximum AS max, level, late,
	low_quality AS low
FROM factorymon.sensor_series('both', 'sensor-test', '2025-03-02 00:00:00',
	'2025-03-02 00:00:40', $1);
EXECUTE series(4);
EXECUTE series(1);
EXECUTE series(0);
EXECUTE series(-1);
EXECUTE series(40000000);
/* nothing of another sensor, nor of a span that is empty or turned round */
SELECT count(*) FROM factorymon.sensor_series('both', NULL,
	'2025-03-02 00:00', '2025-03-03 00:00');
SELECT count(*) FROM factorymon.sensor_series('both', 'sensor-test',
	'2025-03-02 00:00', '2025-03-02 00:00');
SELECT count(*) FROM factorymon.sensor_series('both', 'sensor-test',
	'2025-03-03 00:00', '2025-03-02 00:00');
SELECT count(*) FROM factorymon.sensor_series('nobody');
/* however many readings: no more points than that, and nothing is lost */
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT timestamptz '2025-03-02' + n * interval '0.0361 s', n, n % 1000,
	9060002, 9060, 9060002, 906, 0, 0, 0
FROM generate_series(0, 9999) AS n;
SELECT most, count(*) AS points, sum(readings) AS readings, min(minimum) AS min,
	max(maximum) AS max, bool_and(at >= '2025-03-02'
		AND at < '2025-03-02 00:06:01') AS within
FROM unnest(ARRAY[1, 7, 599, 600]) AS most,
	factorymon.sensor_series('odd', 'sensor-test', '2025-03-02 00:00',
		'2025-03-02 00:06:01', most)
GROUP BY most ORDER BY most;

\echo # rejects: the newest of all streams first
INSERT INTO _factorymon.reject (rejected_at, pipeline_id, stream_id,
	kafka_offset, message_at, value, reason, sqlstate, detail, attempts)
SELECT timestamptz '2025-03-02' + n / 2 * interval '1 s', 906, 9060 + n % 2, n,
	CASE WHEN n <> 1 THEN timestamptz '2025-03-01' END,
	CASE n WHEN 1 THEN NULL WHEN 2 THEN '\x00ff5c41'::bytea
		ELSE convert_to(repeat('x', 190 + n * 2), 'UTF8') END,
	'not_json', 'FM001', NULLIF('d' || n, 'd1'), n
FROM generate_series(1, 7) AS n;
SELECT to_char(rejected_at, 'SS') AS at, pipeline, topic, kafka_partition AS p,
	kafka_offset AS o, message_at IS NULL AS "?", reason, sqlstate, detail,
	attempts, length(beginning) AS length, left(beginning, 12) AS beginning
FROM factorymon.recent_rejects() WHERE pipeline = 'sensor-test';
SELECT most, (SELECT string_agg(kafka_offset::text, ' ' ORDER BY n)
	FROM factorymon.recent_rejects(most) WITH ORDINALITY
		AS r(rejected_at, pipeline, topic, kafka_partition, kafka_offset,
			message_at, reason, sqlstate, detail, attempts, beginning, n)
	WHERE pipeline = 'sensor-test') AS offsets
FROM unnest(ARRAY[-1, 0, 1, 3, 100]) AS most;

\echo # for readers only: neither monitoring nor anybody else
CREATE ROLE regress_fm_sensor_reader;
CREATE ROLE regress_fm_sensor_nobody;
SELECT factorymon.grant_access('reader', 'regress_fm_sensor_reader');
SELECT p.oid::regprocedure AS function, r.role,
	has_function_privilege(r.role, p.oid, 'EXECUTE') AS may
FROM pg_proc p CROSS JOIN (VALUES ('regress_fm_sensor_nobody'),
	('regress_fm_sensor_reader'), ('pg_monitor'), ('pg_read_all_data'))
	AS r(role)
WHERE p.proname IN ('recent_rejects', 'sensor_series', 'sensor_limits',
		'find_sensor', 'limits_of')
	AND p.pronamespace IN ('factorymon'::regnamespace,
		'_factorymon'::regnamespace)
	AND has_function_privilege(r.role, p.oid, 'EXECUTE')
ORDER BY p.proname, r.role;
SET LOCAL ROLE regress_fm_sensor_reader;
SELECT count(*) FROM factorymon.recent_rejects() WHERE pipeline = 'sensor-test';
SELECT count(*) FROM factorymon.sensor_series('both', 'sensor-test',
	'2025-03-02 00:00', '2025-03-02 00:01');
SELECT critical_high FROM factorymon.sensor_limits('both', 'sensor-test');
SAVEPOINT before;
SELECT _factorymon.find_sensor('both', NULL);
ROLLBACK TO before;
RESET ROLE;
GRANT USAGE ON SCHEMA factorymon TO regress_fm_sensor_nobody;
SET LOCAL ROLE regress_fm_sensor_nobody;
SAVEPOINT before;
SELECT * FROM factorymon.recent_rejects();
ROLLBACK TO before;
SELECT * FROM factorymon.sensor_series('both');
ROLLBACK TO before;
SELECT * FROM factorymon.sensor_limits('both');
ROLLBACK;
