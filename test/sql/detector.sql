/* Detectors: what their parameters may be, who changed them, what null means. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
\set VERBOSITY terse

SELECT * FROM factorymon.default_detectors();

/* one row a type and detector */
INSERT INTO factorymon.detector (sensor_type, detector) VALUES ('t', 'anomaly');
INSERT INTO factorymon.detector (sensor_type, detector) VALUES ('t', 'anomaly');
INSERT INTO factorymon.detector (sensor_type, detector) VALUES ('t', 'magic');
INSERT INTO factorymon.detector (sensor_type, detector) VALUES ('', 'flat');

/* what makes no sense is refused */
CREATE FUNCTION pg_temp.refused(detector text, assignment text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	c text;
BEGIN
	EXECUTE format('INSERT INTO factorymon.detector (sensor_type, detector, %s)'
		' VALUES (''x'', %L, %s)', split_part(assignment, ' = ', 1), detector,
		split_part(assignment, ' = ', 2));
	RETURN 'taken';
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS c = CONSTRAINT_NAME;
	RETURN c;
END
$$;
SELECT detector, assignment, pg_temp.refused(detector, assignment)
FROM (VALUES
	('anomaly', 'report = 1'), ('anomaly', 'report = 1001'),
	('anomaly', 'report = ''NaN'''), ('anomaly', 'weight = 0'),
	('anomaly', 'weight = 1'), ('anomaly', 'clip = 0.5'),
	('anomaly', 'learn = 10'), ('anomaly', 'resolution = 0'),
	('anomaly', 'time_constant = ''0 s'''),
	('anomaly', 'weight, time_constant = 0.1, ''1 s'''),
	('anomaly', 'span = ''1 min'''), ('anomaly', 'tolerance = 1'),
	('anomaly', 'utc_offset = ''1 h'''), ('anomaly', 'severity = 0'),
	('anomaly', 'raise_after = 0'), ('anomaly', 'return_after = 0'),
	('anomaly', 're_alarm_after = ''0 s'''),
	('rate', 'max_per_minute = 0'), ('rate', 'span = ''0 s'''),
	('flat', 'report = 2'), ('flat', 'clip = 2'), ('flat', 'tolerance = -1'),
	('flat', 'tolerance = ''Infinity'''), ('flat', 'min_duration = ''-1 s'''),
	('sequence', 'report = 0'), ('sequence', 'weight = 0.1'),
	('sequence', 'resolution = 1'), ('time', 'report = -1'),
	('time', 'learn = 100'), ('seasonal', 'learn = 0'),
	('seasonal', 'learn = 200'), ('seasonal', 'utc_offset = ''25 h'''),
	('anomaly', 'time_constant = ''300000 years'''),
	('rate', 'span = ''300000 years'''),
	('flat', 'min_duration = ''300000 years'''),
	('time', 're_alarm_after = ''300000 years'''))
	AS v(detector, assignment);

/* every change has a version, and is kept with what was and what is */
CREATE ROLE regress_fm_detector;
SELECT factorymon.grant_access('admin', 'regress_fm_detector');
SET ROLE regress_fm_detector;
UPDATE factorymon.detector SET report = 4 WHERE sensor_type = 't';
INSERT INTO factorymon.detector (sensor_type, detector, alarm)
	VALUES ('t', 'rate', true);
UPDATE factorymon.detector SET version = 1;
DELETE FROM factorymon.detector_history;
RESET ROLE;
DELETE FROM factorymon.detector;
SELECT operation, changed_by = 'regress_fm_detector' AS by_role,
	coalesce(was, is_now) ->> 'detector' AS detector,
	was ->> 'report' AS was, is_now ->> 'report' AS is_now,
	version = (is_now ->> 'version')::int AS in_row
FROM factorymon.detector_history
WHERE coalesce(was, is_now) ->> 'sensor_type' = 't' ORDER BY version;
/* of no threshold's */
SELECT count(*) FROM factorymon.detector_history
	JOIN factorymon.threshold_history USING (version);

/* what is restored stays as it was */
\c -
COPY factorymon.detector (detector_id, sensor_type, detector, version,
	updated_at, updated_by) FROM stdin;
1000000	t	flat	7	2020-01-01 00:00:00+00	somebody
\.
SELECT updated_at = '2020-01-01 00:00:00+00' AS kept, updated_by, version
	FROM factorymon.detector;
SELECT count(*) FROM factorymon.detector_history WHERE detector_id = 1000000;
DELETE FROM factorymon.detector;
SELECT factorymon.revoke_access('admin', 'regress_fm_detector');
SELECT factorymon.revoke_access('reader', 'regress_fm_detector');
DROP ROLE regress_fm_detector;
