/* Creating, altering, pausing and dropping pipelines; their tables, time
 * partitions and retention.  No Kafka is there: every pipeline is created
 * paused, and what workers would store is inserted by hand. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never

CREATE ROLE regress_fm_owner LOGIN;
CREATE ROLE regress_fm_heir LOGIN;
CREATE ROLE regress_fm_sleeper NOLOGIN;
SELECT factorymon.grant_access('admin', 'regress_fm_owner');
SELECT factorymon.grant_access('admin', 'regress_fm_sleeper');
CREATE SERVER regress_fm_plant FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
GRANT USAGE ON FOREIGN SERVER regress_fm_plant
	TO regress_fm_owner, regress_fm_sleeper;

/* names without the number of the pipeline */
CREATE FUNCTION pg_temp.shown(name text) RETURNS text
LANGUAGE sql RETURN regexp_replace(name, '^(reading|reject|transition|score|ledger)_\d+', '\1_N');

/* the relations of a pipeline */
CREATE FUNCTION pg_temp.storage(pipeline text)
RETURNS TABLE (relation text, kind "char", bounds text)
LANGUAGE sql AS $$
	SELECT pg_temp.shown(c.relname), c.relkind,
		regexp_replace(pg_get_expr(c.relpartbound, c.oid), 'IN \(.*\)', 'IN (N)')
	FROM _factorymon.pipeline p
		CROSS JOIN LATERAL unnest(ARRAY['reading', 'reject', 'transition', 'score', 'ledger']) k
		CROSS JOIN LATERAL pg_partition_tree(format('_factorymon.%s_%s', k, p.pipeline_id)::regclass) t
		JOIN pg_class c ON c.oid = t.relid
	WHERE p.name = pipeline AND (t.level = 0 OR c.relname ~ '_p(19|20[012][0-4])')
	ORDER BY array_position(ARRAY['reading', 'reject', 'transition', 'score', 'ledger'], k),
		t.level, c.relname COLLATE "C"
$$;

/* ----------------------------------------------------------------------
 * What create_pipeline refuses
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.create_pipeline(NULL, 'regress_fm_plant');
SELECT factorymon.create_pipeline('t', NULL);
SELECT factorymon.create_pipeline('t', 'no_such_server');
SELECT factorymon.create_pipeline('bad topic', 'regress_fm_plant');
SELECT factorymon.create_pipeline('..', 'regress_fm_plant');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', name => '');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', name => repeat('x', 64));
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', consumer_group => '');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', format => 'csv');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', workers => 0);
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', workers => 65);
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', workers => NULL);
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', start => 'middle');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', start => 'timestamp');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', start_at => now());
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', start => 'timestamp', start_at => '-infinity');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', on_data_loss => 'ignore');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', accept_past => '0');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', accept_future => '-1 hour');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', accept_past => '1001 years');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', retention => '-1 day');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', partition_interval => '30 minutes');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', partition_interval => '90 minutes');
SELECT factorymon.create_pipeline('t', 'regress_fm_plant', partition_interval => '1 month');
RESET ROLE;
SET ROLE regress_fm_sleeper;
SELECT factorymon.create_pipeline('t', 'regress_fm_plant');
RESET ROLE;

/* ----------------------------------------------------------------------
 * What it makes
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.create_pipeline('fm.topic', 'regress_fm_plant', paused => true);
RESET ROLE;
SELECT name, server, topic, consumer_group, format, workers, start_policy,
	start_at, on_data_loss, accept_past, accept_future, retention,
	partition_interval, owner, config_version
FROM _factorymon.pipeline WHERE name = 'fm.topic' \gx
SELECT system_identifier = (SELECT system_identifier FROM pg_control_system()) AS this_cluster,
	database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database,
	paused_at IS NOT NULL AS paused, paused_by, pause_reason
FROM _factorymon.pipeline_run JOIN _factorymon.pipeline USING (pipeline_id)
WHERE name = 'fm.topic';
SELECT * FROM pg_temp.storage('fm.topic');
SELECT pg_temp.shown(c.relname) AS relation,
	pg_temp.shown(i.relname) || regexp_replace(pg_get_indexdef(i.oid), '.*(\(.*\))', ' \1') AS index
FROM _factorymon.pipeline p, pg_class c JOIN pg_index x ON x.indrelid = c.oid
	JOIN pg_class i ON i.oid = x.indexrelid
WHERE p.name = 'fm.topic' AND c.relnamespace = '_factorymon'::regnamespace
	AND c.relname ~ ('^(reading|reject|transition|ledger)_' || p.pipeline_id || '$')
ORDER BY 1, 2;
/* its owner may insert readings, and nothing else */
SELECT pg_temp.shown(c.relname) AS relation,
	has_table_privilege('regress_fm_owner', c.oid, 'INSERT') AS may_insert,
	has_table_privilege('regress_fm_owner', c.oid,
		'SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS may_more,
	c.relowner = (SELECT extowner FROM pg_extension WHERE extname = 'factorymon') AS of_extension_owner
FROM _factorymon.pipeline p, pg_class c
WHERE p.name = 'fm.topic' AND c.relnamespace = '_factorymon'::regnamespace
	AND c.relname ~ ('^(reading|reject|transition|ledger)_' || p.pipeline_id || '$')
ORDER BY 1;
SELECT has_schema_privilege('regress_fm_owner', '_factorymon', 'USAGE') AS schema,
	has_table_privilege('regress_fm_owner', '_factorymon.batch', 'SELECT') AS batch;
/* none of it is a member of the extension */
SELECT count(*) FROM _factorymon.pipeline p, pg_class c
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
WHERE c.relname ~ ('^(reading|reject|transition|ledger)_' || p.pipeline_id);

/* the name defaults to the topic, and neither may be taken twice */
SET ROLE regress_fm_owner;
SELECT factorymon.create_pipeline('fm.topic', 'regress_fm_plant', consumer_group => 'other');
SELECT factorymon.create_pipeline('fm.topic', 'regress_fm_plant', name => 'second');
SELECT factorymon.create_pipeline('fm.topic', 'regress_fm_plant', name => 'second',
	consumer_group => 'other', workers => 2, start => 'timestamp',
	start_at => '2025-01-01 00:00+00', on_data_loss => 'continue', retention => '30 days',
	partition_interval => '1 hour', paused => true);
RESET ROLE;
SELECT name, consumer_group, workers, start_policy, start_at AT TIME ZONE 'UTC' AS start_at,
	on_data_loss, retention, partition_interval
FROM _factorymon.pipeline WHERE name = 'second' \gx

/* rolled back with its transaction, and cannot be prepared */
BEGIN;
SELECT factorymon.create_pipeline('gone', 'regress_fm_plant', paused => true);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT factorymon.create_pipeline('gone', 'regress_fm_plant', paused => true);
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM _factorymon.pipeline WHERE name = 'gone';
BEGIN;
SELECT factorymon.pause('second', reason => 'never');
PREPARE TRANSACTION 'regress_fm';

/* ----------------------------------------------------------------------
 * alter_pipeline
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.alter_pipeline(NULL);
SELECT factorymon.alter_pipeline('no such');
SELECT factorymon.alter_pipeline('second');
SELECT factorymon.alter_pipeline('second', workers => 0);
SELECT factorymon.alter_pipeline('second', server => 'no_such_server');
SELECT factorymon.alter_pipeline('second', consumer_group => 'sensor-processors');
SELECT factorymon.alter_pipeline('second', retention => '-1 second');
SELECT factorymon.alter_pipeline('second', owner => 'regress_fm_nobody');
SELECT factorymon.alter_pipeline('second', owner => 'regress_fm_heir');
RESET ROLE;
SELECT factorymon.alter_pipeline('second', owner => 'regress_fm_sleeper');
SELECT factorymon.alter_pipeline('second', owner => 'regress_fm_heir');
GRANT USAGE ON FOREIGN SERVER regress_fm_plant TO regress_fm_heir;
SELECT config_version FROM _factorymon.pipeline WHERE name = 'second';
SELECT factorymon.alter_pipeline('second', workers => 1, retention => '0',
	accept_past => '1 day', accept_future => '5 minutes', on_data_loss => 'stop',
	consumer_group => 'third', owner => 'regress_fm_heir');
SELECT workers, retention, accept_past, accept_future, on_data_loss, consumer_group,
	topic, server, partition_interval, owner, config_version
FROM _factorymon.pipeline WHERE name = 'second' \gx
/* rights go with it; the old owner keeps those for its other pipeline */
SELECT r AS role,
	has_table_privilege(r, format('_factorymon.reading_%s', pipeline_id), 'INSERT') AS reading,
	has_table_privilege(r, '_factorymon.batch', 'SELECT') AS batch,
	has_schema_privilege(r, '_factorymon', 'USAGE') AS schema
FROM _factorymon.pipeline, unnest(ARRAY['regress_fm_owner', 'regress_fm_heir']) r
WHERE name = 'second';

/* ----------------------------------------------------------------------
 * pause and resume
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.pause('no such');
SELECT factorymon.pause('fm.topic', reason => 'again');
SELECT factorymon.resume('fm.topic');
SELECT factorymon.resume('fm.topic');
SELECT factorymon.pause('fm.topic', reason => 'maintenance');
SELECT factorymon.pause('fm.topic', 0);
RESET ROLE;
SELECT paused_by, pause_reason FROM _factorymon.pipeline_run
	JOIN _factorymon.pipeline USING (pipeline_id) WHERE name = 'fm.topic';

/* three partitions, as a worker would have found them, in their tables */
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition, incarnation)
	SELECT nextval('_factorymon.stream_id_seq'), pipeline_id, topic, n, 1
	FROM _factorymon.pipeline, generate_series(0, 2) n WHERE name = 'fm.topic';
INSERT INTO _factorymon.partition_offset (stream_id, position, extent_from)
	SELECT stream_id, 100, 100 FROM _factorymon.stream JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE name = 'fm.topic';
CREATE VIEW pg_temp.positions AS
	SELECT s.kafka_partition AS partition, p.position, p.epoch,
		p.paused_at IS NOT NULL AS paused, p.paused_by, p.stopped_reason, p.accept_loss
	FROM _factorymon.pipeline l JOIN _factorymon.stream s USING (pipeline_id)
		JOIN _factorymon.partition_offset p USING (stream_id)
	WHERE l.name = 'fm.topic' ORDER BY 1;
SET ROLE regress_fm_owner;
SELECT factorymon.pause('fm.topic', 3);
SELECT factorymon.pause('fm.topic', 1, 'broken disk');
SELECT factorymon.pause('fm.topic', 1);
SELECT factorymon.resume('fm.topic', 2);
SELECT factorymon.resume('fm.topic', 4);
RESET ROLE;
SELECT * FROM pg_temp.positions;

/* resuming a stopped stream accepts what was lost; a pause stays */
UPDATE _factorymon.partition_offset SET stopped_reason = 'gap',
	stopped_detail = 'offsets 100 to 199 are gone'
	FROM _factorymon.stream JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE stream.stream_id = partition_offset.stream_id AND name = 'fm.topic' AND kafka_partition = 0;
UPDATE _factorymon.partition_offset SET stopped_reason = 'another_log'
	FROM _factorymon.stream JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE stream.stream_id = partition_offset.stream_id AND name = 'fm.topic' AND kafka_partition > 0;
SET ROLE regress_fm_owner;
SELECT factorymon.resume('fm.topic', 2);
RESET ROLE;
SELECT * FROM pg_temp.positions;
SET ROLE regress_fm_owner;
BEGIN;
SELECT factorymon.resume('fm.topic');
SELECT factorymon.pause('fm.topic');
COMMIT;
SELECT factorymon.resume('fm.topic', 1);
RESET ROLE;
SELECT * FROM pg_temp.positions;
SELECT event, partitions, reason FROM _factorymon.event JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE name = 'fm.topic' AND event IN ('created', 'altered', 'paused', 'resumed', 'accepted')
	ORDER BY at;

/* ----------------------------------------------------------------------
 * adopt: as in a copy of the database, the pipelines do not run here
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.adopt();
RESET ROLE;
BEGIN;
UPDATE _factorymon.pipeline_run SET system_identifier = 1;
SET LOCAL ROLE regress_fm_owner;
SAVEPOINT s;
SELECT factorymon.pause('fm.topic');
ROLLBACK TO s;
SELECT factorymon.resume('fm.topic', 0);
SELECT factorymon.resume('fm.topic');
SELECT factorymon.adopt();
RESET ROLE;
SELECT name, count(*) FROM _factorymon.pipeline JOIN _factorymon.pipeline_run USING (pipeline_id)
	WHERE name IN ('fm.topic', 'second') GROUP BY name ORDER BY name;
/* but not before its owner exists there */
DELETE FROM _factorymon.pipeline_run;
UPDATE _factorymon.pipeline SET owner = 'regress_fm_nobody' WHERE name = 'second';
SAVEPOINT s;
SELECT factorymon.resume('second');
ROLLBACK TO s;
SELECT factorymon.adopt();
ROLLBACK;

/* ----------------------------------------------------------------------
 * Time partitions
 * ------------------------------------------------------------------- */
SET timezone = 'America/St_Johns';
SET datestyle = 'SQL, DMY';
SELECT _factorymon.ensure_partition('fm.topic', 'ledger', '2020-03-01 00:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'tea', '2020-03-01 00:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2020-03-01 00:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2020-03-01 23:59:59.999999+00');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '1999-12-31 23:59:59.999999+00');
SELECT _factorymon.ensure_partition('fm.topic', 'reject', '2020-03-01 12:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'transition', '2020-03-01 12:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', 'infinity');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '0044-03-15 BC');
RESET datestyle;
SET timezone = 'UTC';
SELECT * FROM pg_temp.storage('fm.topic') WHERE kind = 'r' AND bounds LIKE '%FROM%';

/* narrower from now on: what exists stays; then wider: cut to the space */
SELECT factorymon.alter_pipeline('fm.topic', partition_interval => '6 hours');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2020-03-01 07:00+00'),
	_factorymon.ensure_partition('fm.topic', 'reading', '2020-03-02 07:00+00'),
	_factorymon.ensure_partition('fm.topic', 'reading', '2020-03-02 19:00+00');
SELECT factorymon.alter_pipeline('fm.topic', partition_interval => '10 days');
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2020-03-02 03:00+00'),
	_factorymon.ensure_partition('fm.topic', 'reading', '2020-03-02 12:00+00'),
	_factorymon.ensure_partition('fm.topic', 'reading', '2020-03-03 00:00+00'),
	_factorymon.ensure_partition('fm.topic', 'reading', '2020-02-29 00:00+00');
SELECT relation, bounds FROM pg_temp.storage('fm.topic') WHERE relation LIKE 'reading_N_p%';

/* rolled back with its transaction; a detached table keeps its name */
SELECT factorymon.alter_pipeline('fm.topic', partition_interval => '1 day');
BEGIN;
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2021-01-01 00:00+00');
SAVEPOINT s;
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2021-01-02 00:00+00');
ROLLBACK TO s;
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2021-01-02 00:00+00');
SELECT relation FROM pg_temp.storage('fm.topic') WHERE relation LIKE 'reading_N_p2021%';
ROLLBACK;
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2021-01-02 00:00+00');
SELECT pipeline_id AS id FROM _factorymon.pipeline WHERE name = 'fm.topic' \gset
\set archive _factorymon.reading_ :id _p20210102
ALTER TABLE _factorymon.reading_:id DETACH PARTITION :archive;
SELECT _factorymon.ensure_partition('fm.topic', 'reading', '2021-01-02 00:00+00');
SELECT relation FROM pg_temp.storage('fm.topic') WHERE relation LIKE 'reading_N_p2021%';
DROP TABLE :archive;

/* ----------------------------------------------------------------------
 * Retention: what goes is booked, what a fold may need waits
 * ------------------------------------------------------------------- */
SELECT _factorymon.drop_expired('fm.topic');
SELECT stream_id AS s0 FROM _factorymon.stream WHERE pipeline_id = :id AND kafka_partition = 0 \gset
SELECT stream_id AS s1 FROM _factorymon.stream WHERE pipeline_id = :id AND kafka_partition = 1 \gset
BEGIN;
SELECT factorymon.alter_pipeline('fm.topic', retention => '1000 days');
/* stream 0: extent [0,10), gap [10,20), extent [20,30), open [30,40);
 * stream 1: open [100,110); each offset one reading, a day later each */
INSERT INTO _factorymon.ledger (pipeline_id, stream_id, from_offset, to_offset, kind, opened_at, closed_at)
	VALUES (:id, :s0, 0, 10, 'extent', now(), now()), (:id, :s0, 10, 20, 'gap', now(), now()),
		(:id, :s0, 20, 30, 'extent', now(), now());
UPDATE _factorymon.partition_offset SET extent_from = 30, position = 40 WHERE stream_id = :s0;
UPDATE _factorymon.partition_offset SET extent_from = 100, position = 110 WHERE stream_id = :s1;
CREATE TEMP TABLE given AS
	SELECT :s0 AS stream_id, n AS kafka_offset, '2020-05-01 12:00+00'::timestamptz + n / 10 * interval '1 day' AS ts
	FROM generate_series(0, 39) n WHERE n NOT BETWEEN 10 AND 19
	UNION ALL SELECT :s1, n, '2020-05-01 13:00+00' FROM generate_series(100, 104) n
	/* outside of every extent: not booked, being an error elsewhere */
	UNION ALL SELECT :s0, n, '2020-05-01 14:00+00' FROM unnest(ARRAY[15, 40]) n;
SELECT count(_factorymon.ensure_partition('fm.topic', 'reading', ts)) FROM given;
SELECT _factorymon.ensure_partition('fm.topic', 'reject', '2020-05-01 12:00+00');
SELECT _factorymon.ensure_partition('fm.topic', 'transition', '2020-05-01 12:00+00');
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id, sensor_version_id,
		pipeline_id, reading_index, level, flags)
	SELECT ts, kafka_offset, 1, 1, stream_id, 1, :id, 0, 0, 0 FROM given;
INSERT INTO _factorymon.reject (rejected_at, pipeline_id, stream_id, kafka_offset, reason, sqlstate)
	SELECT '2020-05-01 12:00+00', :id, :s1, n, 'test', '22000' FROM generate_series(105, 107) n;
CREATE TEMP TABLE hashes AS
	SELECT stream_id, kafka_offset, ts, false AS reject, _factorymon.offset_hash(kafka_offset, 0)::numeric AS hash FROM given
	UNION ALL SELECT :s1, n, '2020-05-01 12:00+00', true, _factorymon.offset_hash(n, -1) FROM generate_series(105, 107) n;

/* readings of 2 May and later are not in a snapshot yet */
UPDATE _factorymon.partition_offset SET fold_min_ts = '2020-05-03 00:00+00' WHERE stream_id = :s0;
SELECT _factorymon.drop_expired('fm.topic') > 0 AS dropped;
SELECT relation, bounds FROM pg_temp.storage('fm.topic') WHERE kind = 'r' AND relation <> 'ledger_N';
SELECT s.kafka_partition, from_offset, to_offset, l.kind, rejected, readings,
	mod(reading_hash + (SELECT coalesce(sum(hash), 0) FROM hashes h WHERE h.stream_id = l.stream_id AND NOT reject
		AND h.kafka_offset >= l.from_offset AND h.kafka_offset < l.to_offset), 18446744073709551616) AS readings_left,
	mod(reject_hash + (SELECT coalesce(sum(hash), 0) FROM hashes h WHERE h.stream_id = l.stream_id AND reject
		AND h.kafka_offset >= l.from_offset AND h.kafka_offset < l.to_offset), 18446744073709551616) AS rejects_left,
	pg_temp.shown(replace(l.reason, 'retention dropped _factorymon.', '')) AS what
FROM _factorymon.ledger l JOIN _factorymon.stream s USING (stream_id)
WHERE l.pipeline_id = :id AND l.kind = 'expired' ORDER BY s.kafka_partition, from_offset, rejected;
SELECT count(*) FROM _factorymon.reading WHERE pipeline_id = :id;
/* the snapshot is written, and the rest goes */
UPDATE _factorymon.partition_offset SET fold_min_ts = NULL WHERE stream_id = :s0;
SELECT _factorymon.drop_expired('fm.topic');
SELECT _factorymon.drop_expired('fm.topic');
SELECT sum(readings) AS readings, sum(rejected) AS rejected FROM _factorymon.ledger
	WHERE pipeline_id = :id AND kind = 'expired';
SELECT count(*) FROM _factorymon.event WHERE pipeline_id = :id AND event = 'expired';
COMMIT;

/* ----------------------------------------------------------------------
 * drop_pipeline
 * ------------------------------------------------------------------- */
SET ROLE regress_fm_owner;
SELECT factorymon.drop_pipeline('no such');
BEGIN;
SELECT factorymon.drop_pipeline('fm.topic');
ROLLBACK;
SELECT factorymon.drop_pipeline('fm.topic');
SELECT factorymon.drop_pipeline('fm.topic');
RESET ROLE;
SELECT has_schema_privilege('regress_fm_owner', '_factorymon', 'USAGE') AS schema,
	has_table_privilege('regress_fm_owner', '_factorymon.batch', 'SELECT') AS batch;
SELECT factorymon.drop_pipeline('second');
SELECT count(*) FROM pg_class WHERE relnamespace = '_factorymon'::regnamespace
	AND relname ~ format('^(reading|reject|transition|ledger)_%s(_|$)', :id);
SELECT (SELECT count(*) FROM _factorymon.stream WHERE pipeline_id = :id) AS streams,
	(SELECT count(*) FROM _factorymon.partition_offset WHERE stream_id IN (:s0, :s1)) AS positions,
	(SELECT count(*) FROM _factorymon.event WHERE pipeline_id = :id) AS events,
	(SELECT count(*) FROM _factorymon.pipeline_run WHERE pipeline_id = :id) AS runs;

/* nothing is left that would keep the roles */
SELECT factorymon.revoke_access('reader', 'regress_fm_owner');
SELECT factorymon.revoke_access('reader', 'regress_fm_sleeper');
DROP SERVER regress_fm_plant;
DROP ROLE regress_fm_owner, regress_fm_heir, regress_fm_sleeper;
