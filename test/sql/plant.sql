/* The plant at a glance: views for dashboards.  How alarms and readings that came
 * through Kafka show in them: test/t/330_plant.pl. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never
\pset null '~'
SET timezone = 'Asia/Kathmandu';
BEGIN;

INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
VALUES (904, 'plant-test', 'nowhere', 'plant-topic', 'g', 'factory', 2,
	'earliest', 'stop', '7 days', '1 hour', '30 days', '1 day', 'somebody');
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation) VALUES (9040, 904, 'plant-topic', 0, 1);
CREATE TABLE _factorymon.reading_904 PARTITION OF _factorymon.reading
	FOR VALUES IN (904) PARTITION BY RANGE (ts);
CREATE TABLE _factorymon.reading_904_old PARTITION OF _factorymon.reading_904
	FOR VALUES FROM (MINVALUE) TO ('2025-03-02 00:00+00');
CREATE TABLE _factorymon.reading_904_new PARTITION OF _factorymon.reading_904
	FOR VALUES FROM ('2025-03-02 00:00+00') TO (MAXVALUE);

\echo # nothing yet
SELECT * FROM factorymon.plant_now WHERE pipeline = 'plant-test';
SELECT * FROM factorymon.zone_now WHERE pipeline = 'plant-test';
SELECT * FROM factorymon.machine_status WHERE pipeline = 'plant-test';
SELECT * FROM factorymon.zone_minutes
	WHERE pipeline = 'plant-test' AND minute_at > now() - interval '1 hour';
SELECT * FROM factorymon.alarm_hours WHERE pipeline = 'plant-test';

/* a sensor of this machine and zone, described once */
CREATE FUNCTION pg_temp.sensor(id integer, name text, type text, machine text,
	zone text, unit text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
	VALUES (9040000 + id, 904, name);
	INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
		sensor_type, factory_section, machine_id, zone, unit)
	VALUES (9040000 + id, 9040000 + id, type, 's', machine, zone, unit)
$$;
CREATE FUNCTION pg_temp.reading(id integer, at timestamptz, measured float8,
	flags integer DEFAULT 0, version integer DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.reading_904 (ts, kafka_offset, value, sensor_id,
		stream_id, sensor_version_id, pipeline_id, reading_index, level, flags)
	VALUES (at, 1, measured, 9040000 + id, 9040,
		9040000 + coalesce(version, id), 904, 0, 0, flags)
$$;
DO $$
BEGIN
	PERFORM pg_temp.sensor(1, 'one', 'temperature', 'm1', 'z1', '°C');
	PERFORM pg_temp.sensor(2, 'two', 'temperature', 'm1', 'z1', '°C');
	PERFORM pg_temp.sensor(3, 'wrong clock', 'temperature', 'm2', 'z2', '°C');
	PERFORM pg_temp.sensor(4, 'quiet', 'temperature', 'm2', 'z2', '°C');
	PERFORM pg_temp.sensor(5, 'foreign', 'temperature', 'm3', 'z2', '°F');
	PERFORM pg_temp.sensor(6, 'damp', 'humidity', 'm3', 'z2', '%');
	PERFORM pg_temp.sensor(7, 'never', 'humidity', 'm4', 'z3', '%');
	PERFORM pg_temp.sensor(8, 'retired', 'humidity', 'm5', 'z3', '%');
	UPDATE _factorymon.sensor SET retired_at = now()
		WHERE sensor_id = 9040008;
	PERFORM pg_temp.reading(1, now() - interval '4 min', 10);
	PERFORM pg_temp.reading(1, now() - interval '3 min', 20);
	PERFORM pg_temp.reading(2, now() - interval '1 min', 30);
	PERFORM pg_temp.reading(3, now() - interval '1 min', 40);
	PERFORM pg_temp.reading(3, now() + interval '1 hour', 1000, 16);
	PERFORM pg_temp.reading(4, now() - interval '6 min', 1000);
	PERFORM pg_temp.reading(5, now(), 68);
	PERFORM pg_temp.reading(6, now(), 50);
	PERFORM pg_temp.reading(8, now(), 1000);
END
$$;

\echo # now: one reading of each sensor, if it is current
SELECT sensor_type, unit, avg_value, min_value, max_value, sensors,
	sensors_missing, now() - last_reading_at AS age
FROM factorymon.plant_now WHERE pipeline = 'plant-test'
ORDER BY sensor_type, unit COLLATE "C";
SELECT factory_section, zone, sensor_type, unit, avg_value, min_value,
	max_value, sensors, sensors_missing, now() - last_reading_at AS age
FROM factorymon.zone_now WHERE pipeline = 'plant-test'
ORDER BY zone, sensor_type, unit COLLATE "C";

\echo # ... or older, where the deadman lets it be
CREATE FUNCTION pg_temp.watched() RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
	columns text := (SELECT string_agg(format('%I %s', n, format_type(t, -1)),
			', ' ORDER BY i)
		FROM pg_proc, unnest(proargnames, proallargtypes)
			WITH ORDINALITY AS a(n, t, i)
		WHERE oid = '_factorymon.watched_sensors()'::regprocedure);
BEGIN
	EXECUTE format('CREATE TABLE pg_temp.watched_now (%s)', columns);
	INSERT INTO pg_temp.watched_now (sensor_id, silent_after)
	VALUES (9040004, 400), (9040001, 30);
	GRANT SELECT ON pg_temp.watched_now TO PUBLIC;
	EXECUTE 'CREATE OR REPLACE FUNCTION _factorymon.watched_sensors(OUT '
		|| replace(columns, ', ', ', OUT ') || ') RETURNS SETOF record'
		|| ' LANGUAGE sql AS $$ SELECT * FROM pg_temp.watched_now $$';
END
$f$;
SELECT pg_temp.watched();
SELECT zone, avg_value, sensors, sensors_missing
FROM factorymon.zone_now
WHERE pipeline = 'plant-test' AND unit = '°C' ORDER BY zone;

\echo # machines: without alarms, then with
SELECT rank, machine_id, level, level_rank, severity, alarms_critical,
	alarms_unacknowledged, alarm_since, sensors, sensors_missing,
	now() - last_reading_at AS age
FROM factorymon.machine_status WHERE pipeline = 'plant-test' ORDER BY rank;
INSERT INTO _factorymon.alarm (stream_id, sensor_id, condition, seq, state,
	level, since, severity, re_alarms, event_id, shelving, blocks, chattering,
	as_of, record)
SELECT 9040, 9040000 + id, condition, 1, state, level, since, severity, 0,
	gen_random_uuid(), shelving, blocks, false, 1, ''
FROM (VALUES
	/* m1: returned, to be acknowledged; and one that nobody hears */
	(1, 'limit', 'returned_unacknowledged', 0, 900, 'none', 0,
		NULL::timestamptz),
	(2, 'limit', 'active_unacknowledged', 10, 900, 'timed', 0,
		'2025-03-01 10:00+00'),
	/* m2: a warning; the other one is over */
	(3, 'limit', 'active_acknowledged', 9, 500, 'none', 0,
		'2025-03-01 12:00+00'),
	(4, 'limit', 'normal', 0, 900, 'none', 0, NULL),
	/* m3: critical, side low, and a warning of the same sensor */
	(6, 'limit', 'active_acknowledged', 6, 900, 'none', 0,
		'2025-03-01 12:00+00'),
	(6, 'silent', 'active_unacknowledged', 1, 400, 'none', 0,
		'2025-03-01 11:00+00'),
	/* m4: suppressed */
	(7, 'silent', 'active_unacknowledged', 1, 400, 'none', 1,
		'2025-03-01 11:00+00'))
	AS a(id, condition, state, level, severity, shelving, blocks, since);
SELECT rank, machine_id, level, level_rank, severity, alarms_critical AS crit,
	alarms_warning AS warn, alarms_unacknowledged AS unack,
	alarms_blocked AS blocked, alarm_since AT TIME ZONE 'UTC' AS since
FROM factorymon.machine_status WHERE pipeline = 'plant-test' ORDER BY rank;

\echo # minutes: whole ones, in the zone where the sensor was
DELETE FROM _factorymon.reading_904;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
VALUES (9040009, 9040001, 'temperature', 's', 'm1', 'z2', '°C');
SELECT pg_temp.reading(1, '2025-03-01 23:58:00+00', 1),
	pg_temp.reading(1, '2025-03-01 23:58:59.999999+00', 2),
	pg_temp.reading(2, '2025-03-01 23:58:30+00', 6),
	pg_temp.reading(1, '2025-03-02 00:00:00+00', 7),
	pg_temp.reading(1, '2025-03-02 00:00:10+00', 8, 0, 9),
	pg_temp.reading(8, '2025-03-02 00:00:10+00', 9),
	pg_temp.reading(6, '2025-03-02 00:10:00+00', 50),
	pg_temp.reading(5, '2025-03-02 00:10:00+00', 68) \g (format=unaligned)
CREATE VIEW pg_temp.minutes AS
SELECT minute_at AT TIME ZONE 'UTC' AS minute, zone, sensor_type AS type, unit,
	avg_value AS avg, min_value AS min, max_value AS max, readings, sensors
FROM factorymon.zone_minutes
WHERE pipeline = 'plant-test'
	AND minute_at >= '2025-03-01 23:00+00' AND minute_at < '2025-03-02 01:00+00'
ORDER BY minute_at, zone, sensor_type COLLATE "C", unit COLLATE "C";
SELECT * FROM pg_temp.minutes;
SELECT * FROM pg_temp.minutes
WHERE minute >= '2025-03-02' AND minute < '2025-03-02 00:10';

\echo # each row says what format its readings came in
SELECT DISTINCT 'plant_now' AS view, format
	FROM factorymon.plant_now WHERE pipeline = 'plant-test'
UNION ALL SELECT DISTINCT 'zone_now', format
	FROM factorymon.zone_now WHERE pipeline = 'plant-test'
UNION ALL SELECT DISTINCT 'machine_status', format
	FROM factorymon.machine_status WHERE pipeline = 'plant-test'
UNION ALL SELECT DISTINCT 'zone_minutes', format
	FROM factorymon.zone_minutes
	WHERE pipeline = 'plant-test' AND minute_at >= '2025-03-01 23:00+00'
		AND minute_at < '2025-03-02 01:00+00';

\echo # hours
INSERT INTO _factorymon.alarm_bin (bin_at, "position", pipeline_id, low,
	medium, high)
SELECT b, p, 904, 1, 2, 0
FROM generate_series(timestamptz '2025-03-01 00:30+00', '2025-03-01 02:00+00',
	'10 min') AS b, unnest(ARRAY['north', 'south']) AS p
WHERE p = 'north' OR b = '2025-03-01 01:50+00';
SELECT hour_at AT TIME ZONE 'UTC' AS hour, "position", severity_class,
	class_rank, announcements
FROM factorymon.alarm_hours WHERE pipeline = 'plant-test'
ORDER BY 1, 2, class_rank;

\echo # monitoring sees figures, and no reading
GRANT USAGE ON SCHEMA _factorymon TO pg_monitor;
SET LOCAL ROLE pg_monitor;
SELECT sum(announcements) FROM factorymon.alarm_hours
	WHERE pipeline = 'plant-test';
SELECT may.what FROM (VALUES ('plant_now'), ('zone_now'), ('machine_status'),
		('zone_minutes')) AS may(what)
	WHERE has_table_privilege('factorymon.' || what, 'SELECT');
SELECT * FROM _factorymon.sensor_now();
ROLLBACK;
