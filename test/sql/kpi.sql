/* Operating positions: what the map refuses, which row counts; key figures of
 * nothing, and who may see them.  What is counted, and how: test/t/196_kpi.pl. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never
\pset null '~'

/* ----------------------------------------------------------------------
 * The map
 * ------------------------------------------------------------------- */
/* tries one row and says which constraint was in its way */
CREATE FUNCTION pg_temp.try(row_values text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	constraint_name text;
	state text;
BEGIN
	EXECUTE format('INSERT INTO factorymon.operating_position_map
		(factory_section, zone, pipeline, position) VALUES (%s)', row_values);
	RETURN 'taken';
EXCEPTION
	WHEN integrity_constraint_violation THEN
		GET STACKED DIAGNOSTICS constraint_name = CONSTRAINT_NAME,
			state = RETURNED_SQLSTATE;
		RETURN coalesce(nullif(constraint_name, ''), state);
END
$$;
SELECT v AS values, pg_temp.try(v)
FROM (VALUES
	('NULL, NULL, NULL, ''Everything'''),
	('NULL, NULL, NULL, ''Again'''),
	('NULL, NULL, ''p'', ''All of p'''),
	('''s'', NULL, NULL, ''Section s'''),
	('''s'', NULL, ''p'', ''Section s of p'''),
	('''s'', NULL, ''p'', ''Again'''),
	('NULL, ''z'', NULL, ''Zone z'''),
	('''s'', ''z'', NULL, ''Zone z of s'''),
	('''s'', ''z'', ''p'', ''Zone z of s of p'''),
	('''x'', ''y'', NULL, ''Zone z'''),
	/* names that nobody could choose from a list */
	('''t'', NULL, NULL, '''''),
	('''t'', NULL, NULL, '' t'''),
	('''t'', NULL, NULL, ''t '''),
	('''t'', NULL, NULL, NULL'),
	('''t'', NULL, NULL, repeat(''t'', 64)'),
	('''t'', NULL, NULL, repeat(''t'', 63)'),
	/* places that nothing is in */
	(''''', NULL, NULL, ''x'''),
	('NULL, '''', NULL, ''x'''),
	('NULL, NULL, '''', ''x''')) AS t(v);

CREATE FUNCTION pg_temp.positions() RETURNS TABLE (pipeline text, section text,
	zone text, "position" text)
LANGUAGE sql AS $$
	SELECT p, s, z, _factorymon.position_of(p, s, z)
	FROM unnest(ARRAY['p', 'q']) AS p, unnest(ARRAY['s', 't', NULL]) AS s,
		unnest(ARRAY['z', 'y', NULL]) AS z
	WHERE s IS NOT NULL OR z IS NULL
$$;
DELETE FROM factorymon.operating_position_map WHERE factory_section = 't';
SELECT * FROM pg_temp.positions() ORDER BY 1, 2, 3;
DELETE FROM factorymon.operating_position_map WHERE factory_section IS NULL AND zone IS NULL;
SELECT * FROM pg_temp.positions() WHERE section IS DISTINCT FROM 's' ORDER BY 1, 2, 3;
DELETE FROM factorymon.operating_position_map;
SELECT DISTINCT pipeline, section, "position" FROM pg_temp.positions() ORDER BY 1, 2;

/* ----------------------------------------------------------------------
 * Key figures of bins that are put there
 * ------------------------------------------------------------------- */
SET TimeZone = 'America/Sao_Paulo';
SELECT * FROM factorymon.alarm_rate;
SELECT count(*) FROM factorymon.alarm_kpi('2024-01-01', '2024-01-02');
SELECT count(*) FROM factorymon.alarm_kpi('-infinity', 'infinity');
SELECT count(*) FROM factorymon.alarm_kpi('2024-01-02', '2024-01-01');
SELECT count(*) FROM factorymon.alarm_top(), factorymon.alarm_noise(),
	factorymon.alarm_response();
BEGIN;
INSERT INTO _factorymon.operating_position (position) VALUES ('s'), ('t');
INSERT INTO _factorymon.alarm_bin (bin_at, position, pipeline_id, low, medium, high)
VALUES ('2024-01-01 02:50+00', 's', 1, 1, 0, 0), ('2024-01-01 03:00+00', 's', 1, 8, 2, 0),
	('2024-01-01 03:00+00', 's', 2, 0, 0, 1), ('2024-01-01 03:50+00', 's', 1, 16, 3, 1);
SELECT * FROM factorymon.alarm_rate ORDER BY bin_at;
/* 2024-01-01 begins at 03:00 UTC there */
SELECT position, from_at, to_at, announcements, low, medium, high
FROM factorymon.alarm_rates('day', '2023-12-31 12:00', '2024-01-01 00:20');
SELECT position, from_at, announcements
FROM factorymon.alarm_rates('hour', '2023-12-31 23:30', '2024-01-01 00:20') WHERE position = 's';
/* an hour with 31 is above 30, a bin with 11 above 10 */
SELECT position, seconds, announcements, per_hour, largest_bin,
	bins_above_10_percent, hours_above_30_percent, low_percent, high_percent, floods
FROM factorymon.alarm_kpi('2024-01-01 00:00', '2024-01-01 01:00');
/* what is before the first bin does not thin the rate */
SELECT position, from_at, seconds, announcements
FROM factorymon.alarm_kpi('-infinity', '2024-01-01 00:10') WHERE position = 's';
/* and nothing of an unfinished bin */
SELECT count(*) FROM factorymon.alarm_kpi(now() - interval '1 hour', 'infinity')
WHERE to_at > now() OR seconds NOT IN (3000, 3600);
ROLLBACK;
RESET TimeZone;

/* ----------------------------------------------------------------------
 * Who may
 * ------------------------------------------------------------------- */
CREATE ROLE regress_fm_kpi_reader;
CREATE ROLE regress_fm_kpi_admin;
CREATE ROLE regress_fm_kpi_monitor IN ROLE pg_monitor;
CREATE ROLE regress_fm_kpi_nobody;
SELECT factorymon.grant_access('reader', 'regress_fm_kpi_reader'),
	factorymon.grant_access('admin', 'regress_fm_kpi_admin');
SET ROLE regress_fm_kpi_reader;
SELECT count(*) FROM factorymon.alarm_kpi(), factorymon.alarm_rates('day'),
	factorymon.alarm_top(), factorymon.alarm_noise(), factorymon.alarm_response();
SELECT count(*) FROM factorymon.alarm_rate, factorymon.floods,
	factorymon.operating_positions, factorymon.operating_position_areas,
	factorymon.alarm_calls, factorymon.alarm_standing, factorymon.alarm_blocked,
	factorymon.operating_position_map;
SELECT count(*) FROM _factorymon.alarm_bin;
INSERT INTO factorymon.operating_position_map (position) VALUES ('x');
SET ROLE regress_fm_kpi_admin;
INSERT INTO factorymon.operating_position_map (zone, position) VALUES ('z', 'x');
UPDATE factorymon.operating_position_map SET position = 'y';
DELETE FROM factorymon.operating_position_map RETURNING position;
SET ROLE regress_fm_kpi_monitor;
SELECT count(*) FROM factorymon.alarm_kpi(), factorymon.alarm_rates('day'),
	factorymon.floods, factorymon.operating_positions, factorymon.alarm_rate;
SELECT count(*) FROM factorymon.alarm_calls;
SET ROLE regress_fm_kpi_nobody;
SELECT count(*) FROM factorymon.alarm_kpi();
RESET ROLE;
SELECT factorymon.revoke_access('reader', 'regress_fm_kpi_reader'),
	factorymon.revoke_access('reader', 'regress_fm_kpi_admin');
DROP ROLE regress_fm_kpi_reader, regress_fm_kpi_admin, regress_fm_kpi_monitor,
	regress_fm_kpi_nobody;

/* everything that a BI tool lists says what it is */
SELECT c.relname, a.attname
FROM pg_class AS c
	JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'factorymon'::regnamespace
	AND c.relname ~ '^(alarm|flood|operating)'
	AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)
	AND c.relkind IN ('r', 'v');
