/* Who may do what: roles without any kind, readers, operators, engineers, admins, and
 * the owners of pipelines. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never

CREATE ROLE regress_fm_nobody LOGIN;
CREATE ROLE regress_fm_reader LOGIN;
CREATE ROLE regress_fm_operator LOGIN;
CREATE ROLE regress_fm_engineer LOGIN;
CREATE ROLE regress_fm_admin LOGIN;
CREATE ROLE regress_fm_admin2 LOGIN;
CREATE ROLE regress_fm_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_fm_all LOGIN IN ROLE pg_read_all_data;
CREATE SERVER regress_fm_plant FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
CREATE SERVER regress_fm_other FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
GRANT USAGE ON FOREIGN SERVER regress_fm_plant TO regress_fm_admin;

/* ----------------------------------------------------------------------
 * Nothing is for everybody
 * ------------------------------------------------------------------- */
SELECT 'schema' AS what, nspname AS name FROM pg_namespace n
	CROSS JOIN LATERAL aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
	WHERE nspname IN ('factorymon', '_factorymon') AND a.grantee = 0
UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class c
	CROSS JOIN LATERAL aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) a
	WHERE relnamespace IN ('factorymon'::regnamespace, '_factorymon'::regnamespace)
		AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND a.grantee = 0
UNION ALL SELECT 'routine', oid::regprocedure::text FROM pg_proc p
	CROSS JOIN LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) a
	WHERE pronamespace IN ('factorymon'::regnamespace, '_factorymon'::regnamespace) AND a.grantee = 0
UNION ALL SELECT 'wrapper', fdwname FROM pg_foreign_data_wrapper
	CROSS JOIN LATERAL aclexplode(coalesce(fdwacl, acldefault('F', fdwowner))) a
	WHERE fdwname = 'kafka' AND a.grantee = 0;

/* the kinds each role is of, and what it may do with what */
CREATE FUNCTION pg_temp.rights(role name)
RETURNS TABLE (reader boolean, operator boolean, engineer boolean, admin boolean,
	views text, alarms text, control text, limits text, windows text)
LANGUAGE sql AS $$
	SELECT has_function_privilege(role, '_factorymon.reader()', 'EXECUTE'),
		has_function_privilege(role, '_factorymon.operator()', 'EXECUTE'),
		has_function_privilege(role, '_factorymon.engineer()', 'EXECUTE'),
		has_function_privilege(role, '_factorymon.admin()', 'EXECUTE'),
		(SELECT CASE WHEN bool_and(may) THEN 'all' WHEN bool_or(may) THEN 'some' ELSE 'none' END
			FROM (SELECT has_table_privilege(role, oid, 'SELECT') AS may FROM pg_class
				WHERE relnamespace = 'factorymon'::regnamespace AND relkind = 'v') v),
		(SELECT CASE WHEN bool_and(may) THEN 'all' WHEN bool_or(may) THEN 'some' ELSE 'none' END
			FROM (SELECT has_function_privilege(role, oid, 'EXECUTE') AS may FROM pg_proc
				WHERE pronamespace = 'factorymon'::regnamespace
					AND proname IN ('acknowledge', 'comment', 'reinstate_sensor',
						'retire_sensor', 'return_to_service', 'shelve', 'suppress',
						'take_out_of_service', 'unshelve', 'unsuppress')) f),
		(SELECT string_agg(proname, ' ' ORDER BY proname) FROM (SELECT DISTINCT proname FROM pg_proc
			WHERE pronamespace = 'factorymon'::regnamespace
				AND has_function_privilege(role, oid, 'EXECUTE')
				AND proname IN ('retry_rejects', 'purge_suspect', 'create_pipeline', 'alter_pipeline', 'drop_pipeline', 'pause',
					'resume', 'seek', 'adopt', 'grant_access', 'revoke_access')) f),
		concat_ws(' ', CASE WHEN has_table_privilege(role, 'factorymon.threshold', 'SELECT') THEN 'read' END,
			CASE WHEN has_column_privilege(role, 'factorymon.threshold', 'warning_high', 'INSERT, UPDATE') THEN 'write' END),
		concat_ws(' ', CASE WHEN has_table_privilege(role, 'factorymon.maintenance_window', 'SELECT') THEN 'read' END,
			CASE WHEN has_column_privilege(role, 'factorymon.maintenance_window', 'ends_at', 'INSERT, UPDATE') THEN 'write' END)
$$;
/* every view, read for real, functions in it included */
CREATE FUNCTION pg_temp.read_views() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	view regclass;
BEGIN
	FOR view IN SELECT oid FROM pg_class
		WHERE relnamespace = 'factorymon'::regnamespace AND relkind = 'v' ORDER BY relname
	LOOP
		EXECUTE format('SELECT * FROM %s LIMIT 0', view);
	END LOOP;
	RETURN 'all views can be read';
END;
$$;

/* ----------------------------------------------------------------------
 * Only the extension's owner hands out access
 * ------------------------------------------------------------------- */
SELECT factorymon.grant_access('king', 'regress_fm_admin');
SELECT factorymon.grant_access('admin', 'regress_fm_missing');
SELECT factorymon.grant_access('admin', 'public');
SELECT factorymon.grant_access(NULL, 'regress_fm_admin');
SELECT factorymon.grant_access('admin', NULL);
SELECT factorymon.grant_access('reader', 'regress_fm_reader'),
	factorymon.grant_access('operator', 'regress_fm_operator'),
	factorymon.grant_access('engineer', 'regress_fm_engineer'),
	factorymon.grant_access('admin', 'regress_fm_admin'),
	factorymon.grant_access('admin', 'regress_fm_admin2');
SET ROLE regress_fm_admin;
SELECT factorymon.grant_access('admin', 'regress_fm_nobody');
RESET ROLE;
GRANT EXECUTE ON FUNCTION factorymon.grant_access(text, name) TO regress_fm_admin;
SET ROLE regress_fm_admin;
SELECT factorymon.grant_access('admin', 'regress_fm_nobody');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION factorymon.grant_access(text, name) FROM regress_fm_admin;

SELECT replace(r, 'regress_fm_', '') AS role, rights.*
FROM unnest(ARRAY['regress_fm_nobody', 'regress_fm_reader', 'regress_fm_operator',
	'regress_fm_engineer', 'regress_fm_admin', 'regress_fm_monitor']) WITH ORDINALITY AS a(r, n),
	pg_temp.rights(r) ORDER BY n;

/* ----------------------------------------------------------------------
 * A pipeline, and what others can do to it
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_admin;
SELECT factorymon.create_pipeline('fm.private', 'regress_fm_other');
SELECT factorymon.create_pipeline('fm.private', 'regress_fm_plant', paused => true);
RESET ROLE;

SET ROLE regress_fm_nobody;
SELECT factorymon.create_pipeline('fm.mine', 'regress_fm_plant');
SELECT factorymon.pause('fm.private');
SELECT * FROM factorymon.threshold;
SELECT * FROM _factorymon.pipeline;
RESET ROLE;

SET ROLE regress_fm_reader;
SELECT pg_temp.read_views();
SELECT factorymon.pause('fm.private');
SELECT factorymon.resume('fm.private');
SELECT factorymon.seek('fm.private', 0, 'earliest');
SELECT factorymon.drop_pipeline('fm.private');
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('x', 1);
SELECT * FROM _factorymon.pipeline;
SELECT * FROM _factorymon.reading;
RESET ROLE;

/* alarms and maintenance are an operator's, and nothing else */
SET ROLE regress_fm_operator;
SELECT pg_temp.read_views();
SELECT factorymon.resume('fm.private');
SELECT factorymon.seek('fm.private', 0, 5);
SELECT factorymon.retry_rejects('fm.private');
SELECT factorymon.retire_sensor('nobody', 'x');
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('x', 1);
BEGIN;
INSERT INTO factorymon.maintenance_window (zone, starts_at, ends_at, reason)
	VALUES ('x', now(), now() + interval '1 hour', 'y');
ROLLBACK;
INSERT INTO factorymon.maintenance_window (zone, starts_at, ends_at, reason, updated_by)
	VALUES ('x', now(), now() + interval '1 hour', 'y', 'z');
RESET ROLE;

SET ROLE regress_fm_engineer;
SELECT pg_temp.read_views();
SELECT factorymon.resume('fm.private');
SELECT factorymon.pause('fm.private', reason => 'by an engineer');
SELECT factorymon.create_pipeline('fm.mine', 'regress_fm_plant');
SELECT factorymon.adopt();
SELECT factorymon.alter_pipeline('fm.private', workers => 2);
SELECT factorymon.drop_pipeline('fm.private');
SELECT factorymon.seek('fm.private', 0, 5);
SELECT factorymon.seek('fm.private', 0, now());
SELECT factorymon.seek('fm.private', 0, 'latest');
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('x', 1);
RESET ROLE;

/* the kind is asked for, even where somebody granted the function alone */
GRANT USAGE ON SCHEMA factorymon TO regress_fm_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA factorymon TO regress_fm_nobody;
SET ROLE regress_fm_nobody;
SELECT factorymon.create_pipeline('fm.mine', 'regress_fm_plant');
SELECT factorymon.adopt();
SELECT factorymon.pause('fm.private');
SELECT factorymon.resume('fm.private');
SELECT factorymon.drop_pipeline('fm.private');
RESET ROLE;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA factorymon FROM regress_fm_nobody;
REVOKE USAGE ON SCHEMA factorymon FROM regress_fm_nobody;

/* another admin may, but brings no server that is not its own to use */
SET ROLE regress_fm_admin2;
SELECT factorymon.alter_pipeline('fm.private', workers => 2);
SELECT factorymon.alter_pipeline('fm.private', server => 'regress_fm_other');
SELECT factorymon.alter_pipeline('fm.private', server => 'regress_fm_plant');
SELECT factorymon.alter_pipeline('fm.private', owner => 'regress_fm_admin2');
BEGIN;
INSERT INTO factorymon.threshold (sensor_type, warning_high) VALUES ('x', 1);
UPDATE factorymon.threshold SET warning_high = 2, expected_interval = '1 min'
	WHERE sensor_type = 'x';
DELETE FROM factorymon.threshold WHERE sensor_type = 'x';
ROLLBACK;
SELECT _factorymon.drop_expired('fm.private');
RESET ROLE;
/* taking over needs USAGE on the server, like creating */
SELECT factorymon.alter_pipeline('fm.private', owner => 'regress_fm_admin2');
GRANT USAGE ON FOREIGN SERVER regress_fm_plant TO regress_fm_admin2;
SET ROLE regress_fm_admin2;
SELECT factorymon.alter_pipeline('fm.private', owner => 'regress_fm_admin2');
RESET ROLE;

/* the owner stays in control of its own as an engineer, and no further */
SELECT factorymon.revoke_access('admin', 'regress_fm_admin2');
SET ROLE regress_fm_admin2;
SELECT factorymon.alter_pipeline('fm.private', workers => 1);
SELECT factorymon.create_pipeline('fm.mine', 'regress_fm_plant');
SELECT factorymon.alter_pipeline('fm.private', owner => 'regress_fm_admin2');
RESET ROLE;

/* triggers on the readings' table could run with a worker's rights */
SET ROLE regress_fm_admin2;
DO $$
BEGIN
	EXECUTE format('CREATE TRIGGER t BEFORE INSERT ON _factorymon.reading_%s'
		' FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
		(SELECT substring(relname, '\d+') FROM pg_class
			WHERE relname ~ '^reading_\d+$' AND has_table_privilege(oid, 'INSERT')));
EXCEPTION WHEN insufficient_privilege THEN
	RAISE NOTICE 'not permitted';
END;
$$;
RESET ROLE;

/* ----------------------------------------------------------------------
 * Monitoring roles
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_monitor;
SELECT count(*) >= 0 FROM factorymon.partition_status();
SELECT count(*) >= 0 FROM factorymon.worker_status();
SELECT count(*) >= 0 FROM factorymon.consumer_health;
SELECT factorymon.pause('fm.private');
RESET ROLE;
SET ROLE regress_fm_all;
SELECT pg_temp.read_views();
RESET ROLE;

/* ----------------------------------------------------------------------
 * Revoking takes this kind and all above it
 * ------------------------------------------------------------------- */
SELECT factorymon.revoke_access('engineer', 'regress_fm_admin');
SELECT factorymon.revoke_access('reader', 'regress_fm_operator');
SELECT factorymon.revoke_access('admin', 'regress_fm_reader');
SELECT replace(r, 'regress_fm_', '') AS role, rights.*
FROM unnest(ARRAY['regress_fm_nobody', 'regress_fm_reader', 'regress_fm_operator',
	'regress_fm_engineer', 'regress_fm_admin', 'regress_fm_admin2']) WITH ORDINALITY AS a(r, n),
	pg_temp.rights(r) ORDER BY n;

/* nothing is left that would keep the roles */
SELECT factorymon.drop_pipeline('fm.private');
SELECT factorymon.revoke_access('reader', r)
FROM unnest(ARRAY['regress_fm_reader', 'regress_fm_engineer', 'regress_fm_admin',
	'regress_fm_admin2']::name[]) r;
DROP SERVER regress_fm_plant, regress_fm_other;
DROP ROLE regress_fm_nobody, regress_fm_reader, regress_fm_operator, regress_fm_engineer,
	regress_fm_admin,
	regress_fm_admin2, regress_fm_monitor, regress_fm_all;
