/* The table of limits: what it refuses, which row counts, and that a change
 * is seen at once. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never
\pset null '~'

/* limits in force, shortly */
CREATE FUNCTION pg_temp.limits(pipeline text DEFAULT 'p',
	sensor_type text DEFAULT 'temperature', zone text DEFAULT 'z',
	machine_id text DEFAULT 'm', sensor_id text DEFAULT 's')
RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', coalesce(critical_low::text, '~'),
		coalesce(warning_low::text, '~'), coalesce(warning_high::text, '~'),
		coalesce(critical_high::text, '~'),
		CASE WHEN threshold_id IS NULL THEN '' ELSE '(row)' END)
	FROM _factorymon.limits_of(pipeline, sensor_type, zone, machine_id,
		sensor_id)
$$;

/* ----------------------------------------------------------------------
 * Nonsense is refused
 * ------------------------------------------------------------------- */
/* tries one row and says which constraint was in its way */
CREATE FUNCTION pg_temp.try(columns text, row_values text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	constraint_name text;
BEGIN
	EXECUTE format('INSERT INTO factorymon.threshold (sensor_type, %s)
		VALUES (''t'', %s)', columns, row_values);
	DELETE FROM factorymon.threshold;
	RETURN 'taken';
EXCEPTION
	WHEN integrity_constraint_violation THEN
		GET STACKED DIAGNOSTICS constraint_name = CONSTRAINT_NAME;
		RETURN constraint_name;
END
$$;
SELECT c AS columns, v AS values, pg_temp.try(c, v)
FROM (VALUES
	('critical_low, warning_low, warning_high, critical_high', '5, 10, 35, 40'),
	('warning_high', '35'),
	('critical_high', '40'),
	('warning_low', '10'),
	('critical_low', '5'),
	('critical_low, critical_high', '5, 40'),
	('warning_low, critical_high', '10, 40'),
	/* in order, and apart */
	('warning_high, critical_high', '40, 35'),
	('warning_high, critical_high', '40, 40'),
	('critical_low, warning_low', '10, 5'),
	('critical_low, warning_low', '5, 5'),
	('warning_low, warning_high', '35, 10'),
	('warning_low, warning_high', '10, 10'),
	('critical_low, critical_high', '40, 5'),
	('critical_low, warning_high', '40, 5'),
	('warning_low, critical_high', '40, 5'),
	/* finite */
	('warning_high', '''NaN'''),
	('warning_high', '''Infinity'''),
	('warning_low', '''-Infinity'''),
	('critical_low', '''NaN'''),
	('critical_high', '''Infinity'''),
	('critical_high', '''-Infinity'''),
	('warning_high, deadband', '35, ''NaN'''),
	('warning_high, deadband', '35, ''Infinity'''),
	('warning_high, deadband', '35, -1'),
	/* not in this version */
	('warning_high, deadband', '35, 1'),
	('warning_high, on_delay', '35, ''1 s'''),
	('warning_high, off_delay', '35, ''1 s'''),
	('warning_high, on_delay', '35, ''-1 s'''),
	('warning_high, off_delay', '35, ''-1 month'''),
	/* how often something reports: from a millisecond to a week, in seconds */
	('warning_high, expected_interval', '35, ''1 ms'''),
	('warning_high, expected_interval', '35, ''7 days'''),
	('warning_high, expected_interval', '35, ''999 us'''),
	('warning_high, expected_interval', '35, ''0'''),
	('warning_high, expected_interval', '35, ''-1 s'''),
	('warning_high, expected_interval', '35, ''7 days 1 us'''),
	('warning_high, expected_interval', '35, ''1 month'''),
	('warning_high, expected_interval', '35, ''1 month -25 days'''),
	('warning_high, expected_interval', '35, ''1 year -354 days'''),
	/* which is no limit, and needs none where there are none */
	('expected_interval', '''10 s'''),
	('expected_interval, enabled', '''10 s'', false'),
	/* at least one, unless it says that there are none */
	('comment', '''no limit'''),
	('enabled', 'false'),
	/* of one thing only */
	('warning_high, zone', '35, ''z'''),
	('warning_high, machine_id', '35, ''m'''),
	('warning_high, sensor_id', '35, ''s'''),
	('warning_high, zone, machine_id', '35, ''z'', ''m'''),
	('warning_high, zone, sensor_id', '35, ''z'', ''s'''),
	('warning_high, machine_id, sensor_id', '35, ''m'', ''s'''),
	('warning_high, zone, machine_id, sensor_id', '35, ''z'', ''m'', ''s''')
	) AS t(c, v);
\set VERBOSITY terse
INSERT INTO factorymon.threshold (warning_high) VALUES (1);
\set VERBOSITY default
/* one row for one thing */
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('t', 1);
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('t', 2);
INSERT INTO factorymon.threshold (sensor_type, pipeline, zone, warning_high)
	VALUES ('t', 'p', 'z', 1);
INSERT INTO factorymon.threshold (sensor_type, pipeline, zone, warning_high)
	VALUES ('t', 'p', 'z', 2);
DELETE FROM factorymon.threshold;

/* ----------------------------------------------------------------------
 * Which row counts
 * ------------------------------------------------------------------- */
/* built-in, unless there is none */
SELECT pg_temp.limits(), pg_temp.limits(sensor_type => 'vibration'),
	pg_temp.limits(sensor_type => 'noise');

/* all eight at once, each known by its limit: taking the first away gives way
 * to the next */
INSERT INTO factorymon.threshold
	(pipeline, zone, machine_id, sensor_id, warning_high, sensor_type)
SELECT p, CASE s WHEN 'zone' THEN 'z' END, CASE s WHEN 'machine' THEN 'm' END,
	CASE s WHEN 'sensor' THEN 's' END, row_number() OVER (ORDER BY n, p),
	'temperature'
FROM unnest(ARRAY['sensor', 'machine', 'zone', 'type'])
		WITH ORDINALITY AS scope(s, n),
	unnest(ARRAY['p', NULL]) AS p;
CREATE TEMPORARY TABLE step AS
	SELECT warning_high, coalesce(pipeline, 'any pipeline') AS pipeline,
		concat_ws(' ', 'zone ' || zone, 'machine ' || machine_id,
			'sensor ' || sensor_id) AS scope
	FROM factorymon.threshold;
DO $$
DECLARE
	expected record;
	seen text;
BEGIN
	FOR expected IN SELECT * FROM step ORDER BY warning_high LOOP
		seen := pg_temp.limits();
		IF seen <> format('~ ~ %s ~ (row)', expected.warning_high) THEN
			RAISE EXCEPTION 'expected % of %, saw %', expected.scope,
				expected.pipeline, seen;
		END IF;
		DELETE FROM factorymon.threshold
			WHERE warning_high = expected.warning_high;
	END LOOP;
	RAISE NOTICE '% steps, then %', (SELECT count(*) FROM step),
		pg_temp.limits();
END
$$;

/* how often something reports: by the row that counts, enabled or not */
CREATE FUNCTION pg_temp.pace(pipeline text, zone text, machine_id text,
	sensor_id text)
RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(expected_interval::text, '~')
	FROM _factorymon.limits_of(pipeline, 'noise', zone, machine_id, sensor_id)
$$;
INSERT INTO factorymon.threshold (pipeline, sensor_type, zone, machine_id,
	sensor_id, enabled, warning_high, expected_interval)
VALUES (NULL, 'noise', NULL, NULL, NULL, true, 1, '10 s'),
	(NULL, 'noise', 'z', NULL, NULL, false, NULL, '20 s'),
	('p', 'noise', 'z', NULL, NULL, true, 1, '25 s'),
	(NULL, 'noise', NULL, 'm', NULL, true, 1, '1.5 days'),
	(NULL, 'noise', NULL, NULL, 's', true, 1, '1 ms'),
	(NULL, 'noise', NULL, NULL, 'learned', true, 1, NULL);
SELECT pg_temp.pace('p', '', '', '') AS type,
	pg_temp.pace('q', 'z', '', '') AS zone,
	pg_temp.pace('p', 'z', '', '') AS zone_of_pipeline,
	pg_temp.pace('p', 'z', 'm', '') AS machine,
	pg_temp.pace('p', 'z', 'm', 's') AS sensor,
	pg_temp.pace('p', 'z', 'm', 'learned') AS learned;
BEGIN;
UPDATE factorymon.threshold SET expected_interval = '2 s'
	WHERE sensor_id = 's';
SELECT pg_temp.pace('p', 'z', 'm', 's') AS changed;
ROLLBACK;
SELECT pg_temp.pace('p', 'z', 'm', 's') AS undone;
DELETE FROM factorymon.threshold;

/* a row is for its own pipeline, type, zone, machine and sensor only */
INSERT INTO factorymon.threshold
	(pipeline, sensor_type, zone, machine_id, sensor_id, warning_high)
VALUES ('p', 'temperature', 'z', NULL, NULL, 1),
	('p', 'temperature', NULL, 'm', NULL, 2),
	('p', 'temperature', NULL, NULL, 's', 3);
SELECT pg_temp.limits() AS sensor, pg_temp.limits(sensor_id => 'S') AS machine,
	pg_temp.limits(sensor_id => '', machine_id => 'mm') AS zone,
	pg_temp.limits(sensor_id => 'z', machine_id => 's', zone => 'm') AS none,
	pg_temp.limits(pipeline => 'q') AS other_pipeline,
	pg_temp.limits(sensor_type => 'noise') AS other_type;
/* names do not run into each other */
INSERT INTO factorymon.threshold (pipeline, sensor_type, sensor_id,
	warning_high) VALUES ('ab', 'c', 'd', 4), (NULL, 'abc', 'd', 5);
SELECT pg_temp.limits('a', 'bc', '', '', 'd') AS a_bc,
	pg_temp.limits('ab', 'c', '', '', 'd') AS ab_c,
	pg_temp.limits('*', 'abc', '', '', 'd') AS abc;
/* a name too long for any reading does no harm */
INSERT INTO factorymon.threshold (sensor_type, sensor_id, warning_high)
	VALUES (repeat('t', 1000), repeat('s', 1000), 6);
SELECT pg_temp.limits(sensor_type => repeat('t', 1000),
	sensor_id => repeat('s', 1000)) AS too_long;
DELETE FROM factorymon.threshold;

/* no limits at all, for one sensor of a type that has some */
INSERT INTO factorymon.threshold (sensor_type, sensor_id, enabled, comment)
	VALUES ('temperature', 's', false, 'being repaired');
SELECT pg_temp.limits() AS repaired, pg_temp.limits(sensor_id => 'r') AS rest;
/* limits that are kept, but not in force */
UPDATE factorymon.threshold SET warning_high = 30;
SELECT pg_temp.limits();
UPDATE factorymon.threshold SET enabled = true;
SELECT pg_temp.limits();
/* one side only: what the row does not set is no limit */
UPDATE factorymon.threshold SET warning_high = NULL, critical_low = -5;
SELECT pg_temp.limits();
DELETE FROM factorymon.threshold;

/* ----------------------------------------------------------------------
 * Changes are seen at once, undone ones not
 * ------------------------------------------------------------------- */
SELECT pg_temp.limits();
BEGIN;
INSERT INTO factorymon.threshold (sensor_type, warning_high)
	VALUES ('temperature', 1);
SELECT pg_temp.limits();
SAVEPOINT s;
UPDATE factorymon.threshold SET warning_high = 2;
SELECT pg_temp.limits();
ROLLBACK TO s;
SELECT pg_temp.limits();
TRUNCATE factorymon.threshold;
SELECT pg_temp.limits();
ROLLBACK;
SELECT pg_temp.limits();
/* also where triggers do not fire */
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO factorymon.threshold (sensor_type, warning_high)
	VALUES ('temperature', 3);
SELECT pg_temp.limits();
COPY factorymon.threshold (sensor_type, zone, warning_high) FROM stdin;
temperature	z	4
\.
SELECT pg_temp.limits();
ROLLBACK;
/* and where a transaction looks at an older state of the database */
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM factorymon.threshold;
INSERT INTO factorymon.threshold (sensor_type, warning_high)
	VALUES ('temperature', 5);
SELECT pg_temp.limits();
ROLLBACK;
/* a load that fails is tried again */
BEGIN;
ALTER TABLE factorymon.threshold RENAME COLUMN deadband TO renamed;
DO $$
BEGIN
	PERFORM pg_temp.limits();
EXCEPTION WHEN undefined_column THEN
	RAISE NOTICE '%', SQLERRM;
END
$$;
ALTER TABLE factorymon.threshold RENAME COLUMN renamed TO deadband;
SELECT pg_temp.limits();
COMMIT;

/* ----------------------------------------------------------------------
 * Who and when
 * ------------------------------------------------------------------- */
CREATE ROLE regress_fm_threshold;
GRANT USAGE ON SCHEMA factorymon TO regress_fm_threshold;
GRANT SELECT, INSERT, UPDATE ON factorymon.threshold TO regress_fm_threshold;
GRANT USAGE ON SEQUENCE _factorymon.threshold_id_seq TO regress_fm_threshold;
SET ROLE regress_fm_threshold;
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('t', 1);
RESET ROLE;
SELECT updated_by = 'regress_fm_threshold' AS by_role, updated_at <= now()
	AS until_now FROM factorymon.threshold;
UPDATE factorymon.threshold SET updated_by = 'x', updated_at = '-infinity';
SELECT updated_by = current_user AS by_me, updated_at > '-infinity' AS now
	FROM factorymon.threshold;
SET ROLE regress_fm_threshold;
UPDATE factorymon.threshold SET warning_high = 2;
RESET ROLE;
SELECT updated_by = 'regress_fm_threshold' AS by_role
	FROM factorymon.threshold;
DELETE FROM factorymon.threshold;
/* every change has a version, and is kept with what was and what is */
SELECT operation, changed_by = current_user AS by_me,
	was ->> 'warning_high' AS was, is_now ->> 'warning_high' AS is_now,
	version - lag(version) OVER (ORDER BY version) AS step,
	version = (is_now ->> 'version')::int AS in_row
FROM factorymon.threshold_history
WHERE coalesce(was, is_now) ->> 'sensor_type' = 't'
	AND threshold_id = (SELECT max(threshold_id)
		FROM factorymon.threshold_history)
ORDER BY version;
/* of every column */
INSERT INTO factorymon.threshold (sensor_type, warning_high,
	expected_interval) VALUES ('paced', 1, '90 s');
UPDATE factorymon.threshold SET expected_interval = '3 hours';
UPDATE factorymon.threshold SET expected_interval = NULL;
DELETE FROM factorymon.threshold;
SELECT operation, was ->> 'expected_interval' AS was,
	is_now ->> 'expected_interval' AS is_now,
	version - lag(version) OVER (ORDER BY version) AS step
FROM factorymon.threshold_history
WHERE coalesce(was, is_now) ->> 'sensor_type' = 'paced'
ORDER BY version;
/* also of several rows at once */
SELECT count(*) AS before FROM factorymon.threshold_history \gset
INSERT INTO factorymon.threshold (sensor_type, zone, warning_high)
	SELECT 't', n, n FROM generate_series(1, 3) AS n;
UPDATE factorymon.threshold SET deadband = 0.1 WHERE zone IN ('1', '2');
DELETE FROM factorymon.threshold;
SELECT operation, count(*), count(DISTINCT version)
FROM (SELECT * FROM factorymon.threshold_history ORDER BY version
	OFFSET :before) AS h
GROUP BY operation ORDER BY operation;
/* what is restored stays as it was */
SELECT count(*) AS before FROM factorymon.threshold_history \gset
\c -
LOAD 'factorymon';
COPY factorymon.threshold (threshold_id, sensor_type, warning_high,
	version, updated_at, updated_by) FROM stdin;
1000000	t	1	7	2020-01-01 00:00:00+00	somebody
\.
SELECT updated_at = '2020-01-01 00:00:00+00' AS kept, updated_by, version
	FROM factorymon.threshold;
SELECT count(*) = :before AS unchanged FROM factorymon.threshold_history;
DELETE FROM factorymon.threshold;

/* delays and severities make sense, or are refused */
\set VERBOSITY terse
INSERT INTO factorymon.threshold (sensor_type, warning_high, on_delay,
	re_alarm_after) VALUES ('t', 1, '1 min', '1 min');
INSERT INTO factorymon.threshold (sensor_type, warning_high, on_delay)
	VALUES ('t', 1, '-1 s');
INSERT INTO factorymon.threshold (sensor_type, warning_high,
	warning_severity) VALUES ('t', 1, 901);
INSERT INTO factorymon.threshold (sensor_type, warning_high,
	warning_severity) VALUES ('t', 1, 0);
INSERT INTO factorymon.threshold (sensor_type, warning_high, on_delay)
	VALUES ('t', 1, '300000 years');
INSERT INTO factorymon.threshold (sensor_type, warning_high, off_delay)
	VALUES ('t', 1, '300000 years');
INSERT INTO factorymon.threshold (sensor_type, warning_high, re_alarm_after)
	VALUES ('t', 1, '300000 years');
\set VERBOSITY default

/* ----------------------------------------------------------------------
 * Privileges
 * ------------------------------------------------------------------- */
CREATE ROLE regress_fm_stranger;
SELECT p AS privilege, has_table_privilege('regress_fm_stranger',
	'factorymon.threshold', p)
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
	'TRIGGER']) AS p;
SELECT f AS function, has_function_privilege('regress_fm_stranger', f,
	'EXECUTE')
FROM unnest(ARRAY['_factorymon.limits_of(text,text,text,text,text)',
	'_factorymon.threshold_changed()', '_factorymon.threshold_stamp()']) AS f;
SET ROLE regress_fm_stranger;
SELECT * FROM factorymon.threshold;
SELECT * FROM _factorymon.limits_of('p', 't', '', '', '');
RESET ROLE;
/* the triggers are triggers and nothing else */
SELECT _factorymon.threshold_changed();
CREATE TEMPORARY TABLE other (a int);
CREATE TRIGGER t BEFORE UPDATE ON other
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_stamp();
INSERT INTO other VALUES (1);
UPDATE other SET a = 2;
CREATE TRIGGER u BEFORE INSERT ON other
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_stamp();
INSERT INTO other VALUES (1);
SELECT tgname, tgenabled FROM pg_trigger
	WHERE tgrelid = 'factorymon.threshold'::regclass AND NOT tgisinternal
	ORDER BY 1;

REVOKE ALL ON factorymon.threshold FROM regress_fm_threshold;
REVOKE ALL ON SEQUENCE _factorymon.threshold_id_seq FROM regress_fm_threshold;
REVOKE ALL ON SCHEMA factorymon FROM regress_fm_threshold;
DROP ROLE regress_fm_threshold, regress_fm_stranger;
