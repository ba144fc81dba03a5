/* Status functions and views: their shape, who may see them, and what they
 * say without a worker.  What workers say is faked where it matters. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\pset null '~'

/* ----------------------------------------------------------------------
 * Shape
 * ------------------------------------------------------------------- */
\echo # columns of the functions
SELECT n.nspname || '.' || p.proname AS function,
	string_agg(a.name || ' ' || format_type(a.type, NULL), ', '
		ORDER BY a.n) AS columns
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
	LATERAL unnest(p.proargnames, p.proallargtypes, p.proargmodes)
		WITH ORDINALITY a (name, type, mode, n)
WHERE n.nspname = 'factorymon' AND a.mode IN ('o', 't')
	AND p.proname IN ('partition_status', 'worker_status',
		'verify_delivery', 'retry_rejects', 'original_messages')
GROUP BY 1 ORDER BY 1;

\echo # columns of the views
SELECT c.relname AS view, string_agg(a.attname || ' '
	|| format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'factorymon'::regnamespace AND a.attnum > 0
	AND c.relname IN ('pipelines', 'ledger', 'message_counters', 'rejects',
		'rebalancing_events', 'consumer_health', 'producer_health',
		'sensor_health')
GROUP BY 1 ORDER BY 1;

\echo # types that BI tools stumble over
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'factorymon'::regnamespace AND c.relkind = 'v'
	AND a.attnum > 0
	AND a.atttypid NOT IN ('text'::regtype, 'bool'::regtype,
		'int2'::regtype, 'int4'::regtype, 'int8'::regtype,
		'float4'::regtype, 'float8'::regtype, 'timestamptz'::regtype,
		'jsonb'::regtype, 'bytea'::regtype, 'uuid'::regtype)
ORDER BY 1, 2;

\echo # every view, column and function has a comment
SELECT c.oid::regclass, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'factorymon'::regnamespace AND c.relkind = 'v'
	AND (col_description(c.oid, a.attnum) IS NULL
		OR obj_description(c.oid, 'pg_class') IS NULL)
UNION ALL
SELECT c.oid::regclass, NULL FROM pg_class c
WHERE c.relnamespace = '_factorymon'::regnamespace AND c.relkind = 'v'
	AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.proname IN ('partition_status', 'worker_status', 'partition_slots',
		'worker_slots', 'verify_delivery', 'retry_rejects', 'purge_suspect',
		'original_message', 'original_messages', 'sensor_states', 'offset_hash', 'hash_add',
		'hash_sum', 'merge_ledger', 'batch_histogram_bounds')
	AND p.pronamespace::regnamespace::text IN ('factorymon', '_factorymon')
	AND obj_description(p.oid, 'pg_proc') IS NULL;

\echo # what runs as somebody else has a fixed search_path
\pset format unaligned
SELECT p.oid::regprocedure, p.proconfig FROM pg_proc p
WHERE p.pronamespace::regnamespace::text IN ('factorymon', '_factorymon')
	AND p.prosecdef ORDER BY p.proname, p.oid::regprocedure::text;
\pset format aligned

SELECT factorymon.batch_histogram_bounds();

/* ----------------------------------------------------------------------
 * A pipeline without workers
 * ------------------------------------------------------------------- */
INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
VALUES (903, 'status-test', 'nowhere', 'status-topic', 'g', 'factory', 2,
	'earliest', 'stop', '7 days', '1 hour', '30 days', '1 day', 'somebody');
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation, retired_at)
VALUES (9030, 903, 'status-topic', 0, 1, now()),
	(9031, 903, 'status-topic', 0, 2, NULL),
	(9032, 903, 'status-topic', 1, 1, NULL),
	(9033, 903, 'status-topic', 2, 1, NULL),
	(9034, 903, 'former-topic', 0, 1, NULL);
INSERT INTO _factorymon.partition_offset (stream_id, position, extent_from,
	last_offset, last_timestamp, stopped_reason, stopped_detail, paused_at,
	paused_by)
VALUES (9030, 500, 500, 499, -1, NULL, NULL, NULL, NULL),
	(9031, 42, 30, 41, 1740830400000, NULL, NULL, NULL, NULL),
	(9032, 7, 7, NULL, NULL, 'lost', '3 messages', NULL, NULL),
	(9033, 0, 0, NULL, NULL, NULL, NULL, now(), 'somebody'),
	(9034, 9, 9, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE VIEW pg_temp.partitions AS
SELECT kafka_partition AS p, incarnation AS i, pid, state, "position",
	high_watermark AS high, lag_messages, lag_seconds, last_message_at,
	state_detail
FROM factorymon.partition_status() WHERE pipeline = 'status-test';

\echo # the live streams of its topic are listed
SELECT * FROM pg_temp.partitions;
SELECT * FROM factorymon.worker_status() WHERE pipeline = 'status-test';
SELECT pipeline, worker_number, pid, consumer, state, assigned_partitions,
	partitions, messages, messages_per_second, lag_messages, last_error
FROM factorymon.consumer_health WHERE pipeline = 'status-test'
ORDER BY worker_number;
SELECT name, server, topic, consumer_group, format, workers, owner, running,
	runs_here, paused_at, pause_reason, start_policy, on_data_loss,
	accept_past_seconds, accept_future_seconds, retention_seconds,
	partition_interval_seconds
FROM factorymon.pipelines WHERE name = 'status-test' \gx

\echo # resumed here, then paused (not committed, so that no worker comes)
BEGIN;
INSERT INTO _factorymon.pipeline_run (pipeline_id, system_identifier,
	database_oid)
SELECT 903, c.system_identifier, d.oid
FROM pg_control_system() c, pg_database d
WHERE d.datname = current_database();
SELECT p, state, state_detail FROM pg_temp.partitions;
SELECT worker_number, state FROM factorymon.consumer_health
	WHERE pipeline = 'status-test' ORDER BY 1;
SELECT running, runs_here FROM factorymon.pipelines
	WHERE name = 'status-test';
UPDATE _factorymon.pipeline_run SET paused_at = now(),
	paused_by = 'somebody', pause_reason = 'maintenance'
	WHERE pipeline_id = 903;
SELECT p, state, state_detail FROM pg_temp.partitions;
SELECT running, runs_here, paused_by, pause_reason FROM factorymon.pipelines
	WHERE name = 'status-test';
\echo # ... in another database, or another cluster
UPDATE _factorymon.pipeline_run SET database_oid = 1, paused_at = NULL
	WHERE pipeline_id = 903;
SELECT running, runs_here FROM factorymon.pipelines
	WHERE name = 'status-test';
UPDATE _factorymon.pipeline_run SET system_identifier = 1,
	database_oid = (SELECT oid FROM pg_database
		WHERE datname = current_database())
	WHERE pipeline_id = 903;
SELECT running, runs_here FROM factorymon.pipelines
	WHERE name = 'status-test';
ROLLBACK;

\echo # events
INSERT INTO _factorymon.event (at, pipeline_id, consumer, event, partitions,
	reason) VALUES ('2025-03-01 12:00+00', 903, 'c-1', 'assign', '{0,2}', 'x');
SELECT * FROM factorymon.rebalancing_events WHERE pipeline = 'status-test';

/* ----------------------------------------------------------------------
 * With workers, as if
 * ------------------------------------------------------------------- */
BEGIN;
CREATE TABLE pg_temp.slots AS
SELECT 903::smallint AS pipeline_id, p AS kafka_partition, 0 AS stream_id,
	NULL::integer AS incarnation, 4711 AS pid, 'running'::text AS state,
	NULL::text AS state_detail, 40::bigint AS "position",
	40::bigint AS committed_offset, 0::bigint AS low_watermark,
	42::bigint AS high_watermark, now() AS watermarks_at,
	1.5::float8 AS messages_per_second, NULL::timestamptz AS last_message_at,
	NULL::text AS last_error, NULL::timestamptz AS last_error_at
FROM generate_series(0, 3) p;
GRANT SELECT ON pg_temp.slots TO PUBLIC;
CREATE OR REPLACE FUNCTION _factorymon.partition_slots(
	OUT pipeline_id smallint, OUT kafka_partition integer,
	OUT stream_id integer, OUT incarnation integer, OUT pid integer,
	OUT state text, OUT state_detail text, OUT "position" bigint,
	OUT committed_offset bigint, OUT low_watermark bigint,
	OUT high_watermark bigint, OUT watermarks_at timestamptz,
	OUT messages_per_second double precision,
	OUT last_message_at timestamptz, OUT last_error text,
	OUT last_error_at timestamptz)
RETURNS SETOF record LANGUAGE sql AS 'SELECT * FROM pg_temp.slots';
\echo # at the end; stopped and paused by the tables, owned all the same; new
SELECT p, i, pid, state, "position", high, lag_messages, lag_seconds,
	last_message_at FROM pg_temp.partitions;
\echo # behind, ahead of an old watermark, watermark not known
UPDATE pg_temp.slots SET high_watermark = 50,
	last_message_at = now() - interval '1 hour' WHERE kafka_partition = 0;
UPDATE pg_temp.slots SET high_watermark = 5 WHERE kafka_partition = 1;
UPDATE pg_temp.slots SET high_watermark = NULL WHERE kafka_partition = 2;
SELECT p, "position", high, lag_messages, lag_seconds > 0 AS lag_seconds
	FROM pg_temp.partitions;
\echo # what the tables say of a partition without an owner is newer
UPDATE pg_temp.slots SET pid = NULL, state = 'paused', state_detail = 'old';
SELECT p, state, state_detail FROM pg_temp.partitions;

\echo # producers
INSERT INTO _factorymon.producer (stream_id, producer_id, state,
	heartbeat_interval, heartbeat_at, kafka_offset, sent)
VALUES (9032, 'fresh', 'running', 60, now() - interval '5 s', 1, 1),
	(9032, 'seen twice', 'running', 60, now() - interval '1 hour', 2, 10),
	(9033, 'seen twice', 'running', 60, now() - interval '60 s', 1, 20),
	(9032, 'late', 'running', 60, now() - interval '200 s', 4, 1),
	(9032, 'silent', 'running', 60, now() - interval '400 s', 5, 1),
	(9032, 'slow', 'running', 600, now() - interval '400 s', 5, 1),
	(9032, 'stopped', 'stopped', 60, now() - interval '1 day', 6, 1),
	(9032, 'no interval', 'running', NULL, now() - interval '400 s', 7, 1);
CREATE VIEW pg_temp.producers AS
SELECT producer, state, reason, sent
FROM factorymon.producer_health WHERE pipeline = 'status-test'
ORDER BY producer;
\echo # ... no worker, partly stopped
SELECT * FROM pg_temp.producers;
\echo # ... everything is read to the end
UPDATE _factorymon.partition_offset SET stopped_reason = NULL,
	paused_at = NULL WHERE stream_id BETWEEN 9030 AND 9034;
UPDATE pg_temp.slots SET pid = 4711, state = 'running', state_detail = NULL,
	high_watermark = 0;
SELECT * FROM pg_temp.producers;
\echo # ... one partition lags by an hour
UPDATE pg_temp.slots SET high_watermark = 100,
	last_message_at = now() - interval '1 hour' WHERE kafka_partition = 1;
SELECT * FROM pg_temp.producers;
\echo # ... and another one just began
UPDATE pg_temp.slots SET high_watermark = NULL, last_message_at = NULL
	WHERE kafka_partition = 2;
SELECT DISTINCT reason FROM pg_temp.producers;
\echo # ... frozen
UPDATE pg_temp.slots SET high_watermark = 0,
	watermarks_at = now() - interval '1 hour';
SELECT state, reason, count(*) FROM pg_temp.producers GROUP BY 1, 2 ORDER BY 1;

\echo # sensors without a snapshot
CREATE TABLE _factorymon.reading_903
	PARTITION OF _factorymon.reading FOR VALUES IN (903)
	PARTITION BY RANGE (ts);
CREATE TABLE _factorymon.reading_903_all PARTITION OF _factorymon.reading_903
	DEFAULT;
INSERT INTO _factorymon.sensor VALUES
	(9030001, 903, 'fresh', now()), (9030002, 903, 'late', now()),
	(9030003, 903, 'silent', now()), (9030004, 903, 'never', now()),
	(9030005, 903, 'wrong clock', now());
INSERT INTO _factorymon.sensor_version VALUES (9030001, 9030001, 'pressure',
	'f', 'm', 'z', 'bar', NULL, NULL, now());
INSERT INTO _factorymon.reading_903 (ts, kafka_offset, value, sensor_id,
	stream_id, sensor_version_id, pipeline_id, reading_index, level, flags)
VALUES (clock_timestamp() - interval '5 s', 1, 6, 9030001, 9031, 9030001, 903, 0, 0, 0),
	(clock_timestamp() - interval '50 s', 0, 6, 9030001, 9031, 9030001, 903, 0, 0, 0),
	(clock_timestamp() - interval '20 s', 2, 6, 9030002, 9031, 9030001, 903, 0, 0, 0),
	(clock_timestamp() - interval '50 s', 3, 6, 9030003, 9031, 9030001, 903, 0, 0, 0),
	(clock_timestamp() + interval '1 day', 4, 6, 9030005, 9031, 9030001, 903, 0, 0, 16),
	(clock_timestamp() - interval '2 min', 5, 6, 9030005, 9031, 9030001, 903, 0, 0, 0);
CREATE VIEW pg_temp.sensors AS
SELECT sensor_id, sensor_type, unit, state, reason,
	silent_after_seconds AS after
FROM factorymon.sensor_health WHERE pipeline = 'status-test'
ORDER BY sensor_id;
SELECT * FROM pg_temp.sensors;
UPDATE pg_temp.slots SET watermarks_at = clock_timestamp();
SELECT * FROM pg_temp.sensors;
ROLLBACK;

/* ----------------------------------------------------------------------
 * Who may see what
 * ------------------------------------------------------------------- */
CREATE ROLE regress_fm_status_monitor;
CREATE ROLE regress_fm_status_reader;
CREATE ROLE regress_fm_status_nobody;
GRANT pg_monitor TO regress_fm_status_monitor;
SELECT factorymon.grant_access('reader', 'regress_fm_status_reader');

SELECT r.role, v.relname AS view,
	has_table_privilege('regress_fm_status_' || r.role, v.oid, 'SELECT') AS may
FROM (VALUES ('monitor'), ('reader'), ('nobody')) r (role),
	pg_class v
WHERE v.relnamespace = 'factorymon'::regnamespace AND v.relkind = 'v'
	AND has_table_privilege('regress_fm_status_' || r.role, v.oid, 'SELECT')
	AND v.relname IN ('pipelines', 'ledger', 'message_counters', 'rejects',
		'rebalancing_events', 'consumer_health', 'producer_health',
		'sensor_health')
ORDER BY 1, 2;

\echo # what they may see they can read
SET ROLE regress_fm_status_monitor;
SELECT count(*) FROM factorymon.partition_status()
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.worker_status()
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.consumer_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.producer_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.sensor_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.rebalancing_events
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.ledger WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.message_counters
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.pipelines WHERE name = 'status-test';
SELECT count(*) FROM factorymon.rejects;
SELECT factorymon.original_message('status-test', 0, 1);
SET ROLE regress_fm_status_reader;
SELECT count(*) FROM factorymon.partition_status()
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.consumer_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.producer_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.sensor_health
	WHERE pipeline = 'status-test';
SELECT count(*) FROM factorymon.rejects WHERE pipeline = 'status-test';
SELECT factorymon.original_message('status-test', 0, 1);
SET ROLE regress_fm_status_nobody;
SELECT count(*) FROM factorymon.partition_status();
RESET ROLE;
GRANT USAGE ON SCHEMA factorymon, _factorymon TO regress_fm_status_nobody;
SET ROLE regress_fm_status_nobody;
SELECT count(*) FROM factorymon.partition_status();
SELECT count(*) FROM factorymon.worker_status();
SELECT count(*) FROM _factorymon.partition_slots();
SELECT count(*) FROM _factorymon.worker_slots();
SELECT count(*) FROM factorymon.consumer_health;
SELECT factorymon.original_message('status-test', 0, 1);
RESET ROLE;

/* ---------------------------------------------------------------------- */
DELETE FROM _factorymon.pipeline WHERE pipeline_id = 903;
DROP OWNED BY regress_fm_status_monitor, regress_fm_status_reader,
	regress_fm_status_nobody;
DROP ROLE regress_fm_status_monitor, regress_fm_status_reader,
	regress_fm_status_nobody;
