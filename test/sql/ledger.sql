/* The ledger, and what verify_delivery(), retry_rejects() and
 * purge_suspect() make of it.  No worker and no broker is needed: streams,
 * extents and rows are made by hand. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\pset null '~'

/* ----------------------------------------------------------------------
 * A pipeline as create_pipeline() makes it, which needs workers
 * ------------------------------------------------------------------- */
CREATE ROLE regress_fm_ledger_owner LOGIN;
CREATE ROLE regress_fm_ledger_reader;
CREATE ROLE regress_fm_ledger_engineer;
CREATE ROLE regress_fm_ledger_nobody;
GRANT USAGE ON SCHEMA factorymon TO regress_fm_ledger_nobody;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA factorymon TO regress_fm_ledger_nobody;
SELECT factorymon.grant_access('reader', 'regress_fm_ledger_reader');
SELECT factorymon.grant_access('engineer', 'regress_fm_ledger_engineer');

INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, partition_interval, owner)
VALUES (901, 'ledger-test', 'nowhere', 'ledger-topic', 'g', 'factory', 1,
	'earliest', 'stop', '7 days', '1 hour', '1 day', 'regress_fm_ledger_owner');

DO $$
DECLARE
	kind text;
	by_time text;
BEGIN
	FOR kind, by_time IN VALUES ('reading', 'ts'), ('reject', 'rejected_at'),
		('transition', 'recorded_at'), ('score', 'recorded_at'),
		('rollup_1m', 'bucket'), ('reading_key', 'seen_at'),
		('duplicate', 'seen_at'), ('ledger', NULL)
	LOOP
		EXECUTE format('CREATE TABLE _factorymon.%s_901'
			' (LIKE _factorymon.%1$s INCLUDING ALL)%s', kind,
			' PARTITION BY RANGE (' || by_time || ')');
		EXECUTE format('ALTER TABLE _factorymon.%s ATTACH PARTITION'
			' _factorymon.%1$s_901 FOR VALUES IN (901)', kind);
	END LOOP;
END
$$;
GRANT USAGE ON SCHEMA _factorymon TO regress_fm_ledger_owner;
GRANT INSERT, SELECT (stream_id, kafka_offset, reading_index)
	ON _factorymon.reading_901 TO regress_fm_ledger_owner;
GRANT SELECT ON _factorymon.batch TO regress_fm_ledger_owner;
SELECT _factorymon.ensure_partition('ledger-test', 'reading',
	'2025-03-01 12:00+00');
SELECT _factorymon.ensure_partition('ledger-test', 'reject',
	'2025-03-01 12:00+00');

/* partition 0: extents [0, 100) with 2 rejects and 1 heartbeat, a gap
 * [100, 150), the open extent [150, 200); partition 1: open [0, 50) */
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
VALUES (9010, 901, 'ledger-topic', 0, 1), (9011, 901, 'ledger-topic', 1, 1);
INSERT INTO _factorymon.sensor VALUES (9000001, 901, 's-1', now());
INSERT INTO _factorymon.sensor_version VALUES (9000001, 9000001,
	'temperature', 'production', 'machine-1', 'zone-a', '°C', 35, 40, now());

CREATE FUNCTION pg_temp.store(stream integer, from_offset bigint,
	to_offset bigint, except_for bigint[] DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.reading_901 (ts, kafka_offset, value, sensor_id,
		stream_id, sensor_version_id, reading_count, pipeline_id,
		reading_index, level, flags)
	SELECT timestamptz '2025-03-01 12:00+00' + n * interval '1 second', n,
		20 + n % 10, 9000001, stream, 9000001, n::integer, 901, 0, 16, 6
	FROM generate_series(from_offset, to_offset - 1) n
	WHERE n <> ALL (except_for)
$$;

CREATE FUNCTION pg_temp.refuse(stream integer, kafka_offset bigint,
	value text, headers jsonb DEFAULT NULL, reason text DEFAULT 'invalid_json')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.reject_901 (rejected_at, pipeline_id, stream_id,
		kafka_offset, message_at, key, value, headers, reason, sqlstate)
	VALUES ('2025-03-01 12:00+00', 901, stream, kafka_offset,
		'2025-03-01 12:00+00', 'k', convert_to(value, 'UTF8'), headers,
		reason, '22023')
$$;

/* what the tables hold, booked as an extent */
CREATE FUNCTION pg_temp.book(stream integer, from_offset bigint,
	to_offset bigint, other bigint DEFAULT 0, kind text DEFAULT 'extent',
	at timestamptz DEFAULT '2025-03-01 12:00+00')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.ledger_901 (pipeline_id, stream_id, from_offset,
		to_offset, kind, messages, rejected, other, readings, reading_hash,
		reject_hash, reason, opened_at, closed_at)
	SELECT 901, stream, from_offset, to_offset, kind, r.n, j.n, other, r.n,
		r.h, j.h, 'test', at, at + interval '1 minute'
	FROM (SELECT count(*) AS n, _factorymon.hash_sum(
			_factorymon.offset_hash(kafka_offset, reading_index)) AS h
		FROM _factorymon.reading_901 WHERE stream_id = stream
			AND kafka_offset >= from_offset AND kafka_offset < to_offset) r,
		(SELECT count(*) AS n, _factorymon.hash_sum(
			_factorymon.offset_hash(kafka_offset, -1)) AS h
		FROM _factorymon.reject_901 WHERE stream_id = stream
			AND kafka_offset >= from_offset AND kafka_offset < to_offset) j
$$;

/* the last one booked becomes the open extent */
CREATE FUNCTION pg_temp.open(stream integer)
RETURNS void LANGUAGE sql AS $$
	WITH l AS (DELETE FROM _factorymon.ledger_901 l
		WHERE l.stream_id = stream AND l.from_offset = (SELECT
			max(from_offset) FROM _factorymon.ledger_901
			WHERE stream_id = stream)
		RETURNING l.*)
	INSERT INTO _factorymon.partition_offset (stream_id, position,
		last_offset, last_timestamp, extent_from, extent_messages,
		extent_rejected, extent_other, extent_readings, extent_reading_hash,
		extent_reject_hash, fold_position, snapshot_position, extent_opened_at)
	SELECT stream_id, to_offset, to_offset - 1, 1740830400000, from_offset,
		messages, rejected, other, readings, reading_hash, reject_hash,
		to_offset, from_offset, opened_at
	FROM l
$$;

SELECT pg_temp.store(9010, 0, 100, '{10, 20, 30}');
SELECT pg_temp.refuse(9010, 10, '{"timestamp":"2025-03-01T11:59:58Z","sensor_id":"s-1","sensor_type":"temperature","location":{"factory_section":"production","machine_id":"machine-1","zone":"zone-a"},"value":42.5,"unit":"°C","alert_level":"critical","metadata":{"warning_threshold":35.0,"critical_threshold":40.0}}');
SELECT pg_temp.refuse(9010, 20, 'not JSON at all');
SELECT pg_temp.book(9010, 0, 100, 1);
SELECT pg_temp.book(9010, 100, 150, 0, 'gap', '2025-03-01 12:01+00');
SELECT pg_temp.store(9010, 150, 200);
SELECT pg_temp.book(9010, 150, 200, 0, 'extent', '2025-03-01 13:00+00');
SELECT pg_temp.open(9010);
SELECT pg_temp.store(9011, 0, 50);
SELECT pg_temp.book(9011, 0, 50);
SELECT pg_temp.open(9011);

CREATE VIEW pg_temp.problems AS
SELECT kafka_partition AS p, problem, from_offset AS "from",
	to_offset AS "to", expected, found, detail
FROM factorymon.verify_delivery('ledger-test')
ORDER BY kafka_partition, from_offset, problem, detail;

/* ----------------------------------------------------------------------
 * Hashes
 * ------------------------------------------------------------------- */
SELECT _factorymon.offset_hash(0, 0), _factorymon.offset_hash(0, -1),
	_factorymon.offset_hash(1, 0);
SELECT _factorymon.hash_sum(h) FROM (VALUES (9223372036854775807),
	(1), (NULL), (-5)) v (h);
SELECT _factorymon.hash_sum(h) FROM (VALUES (NULL::bigint)) v (h);

/* ----------------------------------------------------------------------
 * verify_delivery
 * ------------------------------------------------------------------- */
\echo # all is well
SELECT * FROM pg_temp.problems;

\echo # a reading is deleted
BEGIN;
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset = 42;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # three readings in a row and a reject are deleted
BEGIN;
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset BETWEEN 29 AND 32;
DELETE FROM _factorymon.reject_901 WHERE kafka_offset = 10;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # readings here and there are deleted
BEGIN;
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset IN (5, 30, 90);
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # a reading is copied, and one twice
BEGIN;
INSERT INTO _factorymon.reading_901 SELECT * FROM _factorymon.reading_901
	WHERE stream_id = 9011 AND kafka_offset IN (7, 8);
INSERT INTO _factorymon.reading_901 SELECT DISTINCT *
	FROM _factorymon.reading_901 WHERE stream_id = 9011 AND kafka_offset = 8;
SELECT * FROM pg_temp.problems;
\echo # ... and another one deleted
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9011 AND kafka_offset = 33;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # a reject is copied
BEGIN;
INSERT INTO _factorymon.reject_901 SELECT * FROM _factorymon.reject_901
	WHERE kafka_offset = 20;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # an offset is stored and rejected, as the ledger says
BEGIN;
SELECT pg_temp.refuse(9011, 3, 'x');
UPDATE _factorymon.partition_offset
	SET position = 51, fold_position = 51, extent_rejected = 1,
		extent_reject_hash = _factorymon.offset_hash(3, -1)
	WHERE stream_id = 9011;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # a reading changes its offset within its extent
BEGIN;
UPDATE _factorymon.reading_901 SET kafka_offset = 30
	WHERE stream_id = 9010 AND kafka_offset = 31;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # more than the ledger knows of
BEGIN;
SELECT pg_temp.store(9010, 30, 31);
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # an extent is cut
BEGIN;
UPDATE _factorymon.ledger_901 SET to_offset = 95
	WHERE stream_id = 9010 AND from_offset = 0;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # an extent is gone
BEGIN;
DELETE FROM _factorymon.ledger_901 WHERE kind = 'extent';
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # extents overlap
BEGIN;
SELECT pg_temp.book(9010, 90, 100);
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # a position is shifted down, below its extent, and up
BEGIN;
UPDATE _factorymon.partition_offset SET position = 45 WHERE stream_id = 9011;
SELECT * FROM pg_temp.problems;
UPDATE _factorymon.partition_offset SET position = 145 WHERE stream_id = 9010;
UPDATE _factorymon.partition_offset SET position = 50 WHERE stream_id = 9011;
SELECT * FROM pg_temp.problems;
UPDATE _factorymon.partition_offset SET position = 205 WHERE stream_id = 9010;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # rows outside: in the gap, beyond the position, of no stream
BEGIN;
SELECT pg_temp.store(9010, 110, 113);
SELECT pg_temp.store(9010, 120, 121);
SELECT pg_temp.store(9011, 60, 62);
SELECT pg_temp.store(9099, 1, 2);
SELECT pg_temp.refuse(9011, 70, 'x');
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # rows outside are bounded
BEGIN;
SELECT count(pg_temp.store(9011, n, n + 1)::text)
	FROM generate_series(1000, 12000, 2) n;
SELECT problem, count(*), sum(found), max(detail)
	FROM factorymon.verify_delivery('ledger-test') GROUP BY problem;
ROLLBACK;

\echo # no position, no stream, two live streams
BEGIN;
DELETE FROM _factorymon.partition_offset WHERE stream_id = 9011;
INSERT INTO _factorymon.ledger_901 (pipeline_id, stream_id, from_offset,
	to_offset, kind, opened_at, closed_at)
	VALUES (901, 9099, 0, 10, 'extent', now(), now());
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation) VALUES (9012, 901, 'ledger-topic', 0, 2);
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # what retention removed is not missing
BEGIN;
WITH gone AS (DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset < 40
	RETURNING kafka_offset, reading_index)
INSERT INTO _factorymon.ledger_901 (pipeline_id, stream_id, from_offset,
	to_offset, kind, readings, reading_hash, opened_at, closed_at)
SELECT 901, 9010, 0, 40, 'expired', -count(*), -_factorymon.hash_sum(
	_factorymon.offset_hash(kafka_offset, reading_index)), now(), now()
FROM gone;
SELECT * FROM pg_temp.problems;
SELECT readings, expired_readings FROM factorymon.message_counters
	WHERE pipeline = 'ledger-test';
\echo # ... but one more is
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset = 42;
SELECT * FROM pg_temp.problems;
\echo # an adjustment that lies nowhere
UPDATE _factorymon.ledger_901 SET to_offset = 140 WHERE kind = 'expired';
SELECT problem, "from", "to", expected, found
	FROM pg_temp.problems WHERE problem = 'adjustment';
ROLLBACK;

\echo # only extents of the time asked for
BEGIN;
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset IN (42, 160);
SELECT from_offset, problem
	FROM factorymon.verify_delivery('ledger-test', '2025-03-01 13:00+00');
SELECT from_offset, problem FROM factorymon.verify_delivery('ledger-test',
	"to" => '2025-03-01 12:30+00');
SELECT from_offset, problem FROM factorymon.verify_delivery('ledger-test',
	'2025-03-01 12:10+00', '2025-03-01 12:30+00');
ROLLBACK;

\echo # who may
SET ROLE regress_fm_ledger_reader;
SELECT count(*) FROM factorymon.verify_delivery('ledger-test');
SET ROLE regress_fm_ledger_nobody;
SELECT count(*) FROM factorymon.verify_delivery('ledger-test');
RESET ROLE;
SELECT count(*) FROM factorymon.verify_delivery('no such pipeline');
SELECT count(*) FROM factorymon.verify_delivery(NULL);

/* ----------------------------------------------------------------------
 * The ledger as people see it
 * ------------------------------------------------------------------- */
SELECT kafka_partition AS p, kind, open, from_offset AS "from",
	to_offset AS "to", messages, rejected, other, readings, reason,
	opened_at, closed_at
FROM factorymon.ledger WHERE pipeline = 'ledger-test'
ORDER BY kafka_partition, from_offset;
SELECT * FROM factorymon.message_counters WHERE pipeline = 'ledger-test';

/* ----------------------------------------------------------------------
 * retry_rejects
 * ------------------------------------------------------------------- */
\echo # the good one goes in, the bad one stays
BEGIN;
SELECT * FROM factorymon.retry_rejects('ledger-test');
SELECT kafka_offset, reason, sqlstate, attempts, detail
	FROM factorymon.rejects WHERE pipeline = 'ledger-test';
SELECT ts, value, level, flags & 32 <> 0 AS not_folded
	FROM _factorymon.reading WHERE stream_id = 9010 AND kafka_offset = 10;
SELECT from_offset, to_offset, messages, rejected, other, readings
	FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND kind = 'adjust';
SELECT * FROM pg_temp.problems;
SELECT event, regexp_replace(reason, 'by .*:', 'by somebody:')
	FROM factorymon.rebalancing_events WHERE pipeline = 'ledger-test';
\echo # merged with its extent
UPDATE _factorymon.ledger_901 SET kind = 'extent' WHERE kind = 'gap';
SELECT _factorymon.merge_ledger('ledger-test');
SELECT kind, open, from_offset AS "from", to_offset AS "to", messages,
	rejected, other, readings, reason, opened_at, closed_at
FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND NOT open;
SELECT * FROM pg_temp.problems;
SELECT _factorymon.merge_ledger('ledger-test');
ROLLBACK;

\echo # extents of different days, and above the anchor, are not merged
BEGIN;
DELETE FROM _factorymon.ledger_901 WHERE stream_id = 9010;
SELECT pg_temp.book(9010, 0, 20);
SELECT pg_temp.book(9010, 20, 50);
SELECT pg_temp.book(9010, 50, 60, at => '2025-03-02 12:00+00');
SELECT pg_temp.book(9010, 60, 70, at => '2025-03-02 12:00+00');
SELECT pg_temp.book(9010, 70, 100, at => '2025-03-02 12:00+00');
SELECT pg_temp.book(9010, 100, 120, 0, 'gap', '2025-03-02 12:00+00');
SELECT pg_temp.book(9010, 120, 150, at => '2025-03-02 12:00+00');
UPDATE _factorymon.partition_offset SET anchor_offset = 69
	WHERE stream_id = 9010;
SELECT _factorymon.merge_ledger('ledger-test');
SELECT kind, from_offset AS "from", to_offset AS "to", messages, rejected
	FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND NOT open
	ORDER BY from_offset;
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # filters
BEGIN;
SELECT count(pg_temp.refuse(9011, 60 + n, format('{"timestamp":"2025-03-01T12:00:%sZ","sensor_id":"new-%s","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":%s,"unit":"bar"}', 10 + n, n % 3, n))::text) FROM generate_series(0, 19) n;
UPDATE _factorymon.partition_offset SET position = 80, fold_position = 80,
	extent_rejected = 20, extent_reject_hash = (SELECT _factorymon.hash_sum(
		_factorymon.offset_hash(n, -1)) FROM generate_series(60, 79) n)
	WHERE stream_id = 9011;
SELECT * FROM factorymon.retry_rejects('ledger-test', 7);
SELECT * FROM factorymon.retry_rejects('ledger-test', reason => 'too_long');
SELECT * FROM factorymon.retry_rejects('ledger-test', 1, 62, 64);
SELECT * FROM factorymon.retry_rejects('ledger-test', 1, max_messages => 3);
SELECT kafka_offset FROM factorymon.rejects WHERE pipeline = 'ledger-test'
	AND kafka_partition = 1 ORDER BY 1 LIMIT 2;
\echo # refused by the table, first on its own, then among others
ALTER TABLE _factorymon.reading_901
	ADD CONSTRAINT not_seven CHECK (value NOT IN (7, 13, 14)) NOT VALID;
SELECT * FROM factorymon.retry_rejects('ledger-test', 1, 67, 68);
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
SELECT kafka_offset, reason, sqlstate, attempts, left(detail, 50) AS detail
	FROM factorymon.rejects WHERE pipeline = 'ledger-test'
	AND kafka_partition = 1 ORDER BY 1;
SELECT from_offset, to_offset, messages, rejected, readings
	FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND kind = 'adjust'
	ORDER BY 1;
SELECT * FROM pg_temp.problems;
\echo # suppressed by a trigger
ALTER TABLE _factorymon.reading_901 DROP CONSTRAINT not_seven;
CREATE FUNCTION regress_fm_ledger_keep_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'trigger runs as %', current_user;
	RETURN CASE WHEN new.value <> 13 THEN new END;
END
$$;
CREATE TRIGGER keep_out BEFORE INSERT ON _factorymon.reading_901
	FOR EACH ROW WHEN (new.value IN (13, 14))
	EXECUTE FUNCTION regress_fm_ledger_keep_out();
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
SELECT from_offset, to_offset, messages, rejected, readings, suppressed
	FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND kind = 'adjust'
	ORDER BY suppressed DESC LIMIT 1;
SELECT * FROM pg_temp.problems;
\echo # what a trigger may not do to the session
CREATE OR REPLACE FUNCTION regress_fm_ledger_keep_out() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE left_behind ();
	RETURN new;
END
$$;
SELECT pg_temp.refuse(9011, 60, '{"timestamp":"2025-03-01T12:00:00Z","sensor_id":"new","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":14,"unit":"bar"}');
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
ROLLBACK;

\echo # many, in chunks, and every second one refused
BEGIN;
SELECT count(pg_temp.refuse(9011, n, format('{"timestamp":"2025-03-01T12:00:00Z","sensor_id":"new-%s","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":%s,"unit":"bar"}', n % 50, n % 2))::text) FROM generate_series(50, 1399) n;
UPDATE _factorymon.partition_offset SET position = 1400, fold_position = 1400,
	extent_rejected = 1350, extent_reject_hash = (SELECT _factorymon.hash_sum(
		_factorymon.offset_hash(n, -1)) FROM generate_series(50, 1399) n)
	WHERE stream_id = 9011;
ALTER TABLE _factorymon.reading_901
	ADD CONSTRAINT not_one CHECK (value <> 1) NOT VALID;
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
SELECT from_offset, to_offset, messages, rejected, readings
	FROM factorymon.ledger WHERE pipeline = 'ledger-test' AND kind = 'adjust';
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # tombstones, heartbeats and readings outside of the window
BEGIN;
SELECT pg_temp.refuse(9010, 150, NULL);
SELECT pg_temp.refuse(9010, 151, '{"producer_id":"p-1","state":"running","interval":10}',
	'[{"name": "factorymon-type", "value": "heartbeat"}]');
SELECT pg_temp.refuse(9010, 152, '{"host":"h"}',
	'[{"name": "factorymon-type", "value": "heartbeat"}]', 'bad_heartbeat');
SELECT pg_temp.refuse(9010, 153, '{"timestamp":"2025-01-01T12:00:00Z","sensor_id":"s","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":14,"unit":"bar"}');
SELECT pg_temp.refuse(9010, 154, '{"timestamp":"2025-03-02T12:00:00Z","sensor_id":"s","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":14,"unit":"bar"}');
SELECT pg_temp.refuse(9010, 155, '{"timestamp":"1999-12-31T12:00:00Z","sensor_id":"s","sensor_type":"pressure","location":{"factory_section":"p","machine_id":"m","zone":"z"},"value":14,"unit":"bar"}');
UPDATE _factorymon.reject SET message_at = NULL, rejected_at = '2025-03-02'
	WHERE kafka_offset = 154;
DELETE FROM _factorymon.reading_901
	WHERE stream_id = 9010 AND kafka_offset BETWEEN 150 AND 155;
DELETE FROM _factorymon.ledger_901 WHERE stream_id = 9010 AND from_offset = 150;
DELETE FROM _factorymon.partition_offset WHERE stream_id = 9010;
SELECT pg_temp.book(9010, 150, 200);
SELECT pg_temp.open(9010);
SELECT * FROM pg_temp.problems;
SELECT * FROM factorymon.retry_rejects('ledger-test', 0, 150);
SELECT kafka_offset, reason, attempts, detail FROM factorymon.rejects
	WHERE pipeline = 'ledger-test' AND kafka_offset >= 150 ORDER BY 1;
SELECT producer_id, state, kafka_offset FROM _factorymon.producer
	WHERE stream_id = 9010;
SELECT messages, rejected, other, readings FROM factorymon.ledger
	WHERE pipeline = 'ledger-test' AND kind = 'adjust';
SELECT * FROM pg_temp.problems;
ROLLBACK;

\echo # who may
SET ROLE regress_fm_ledger_engineer;
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
SET ROLE regress_fm_ledger_reader;
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
SET ROLE regress_fm_ledger_nobody;
SELECT * FROM factorymon.retry_rejects('ledger-test', 1);
RESET ROLE;

/* ----------------------------------------------------------------------
 * purge_suspect
 * ------------------------------------------------------------------- */
BEGIN;
SELECT pg_temp.store(9011, 50, 60, '{55}');
SELECT pg_temp.refuse(9011, 55, 'x');
DELETE FROM _factorymon.partition_offset WHERE stream_id = 9011;
SELECT pg_temp.book(9011, 0, 50);
SELECT pg_temp.book(9011, 50, 55, 0, 'suspect');
SELECT pg_temp.book(9011, 55, 60, 0, 'suspect');
SELECT pg_temp.book(9011, 60, 60);
SELECT pg_temp.open(9011);
SELECT problem, "from" FROM pg_temp.problems;
\echo # not while the stream is in use
SELECT factorymon.purge_suspect('ledger-test', 1);
UPDATE _factorymon.stream SET retired_at = now() WHERE stream_id = 9011;
SELECT factorymon.purge_suspect('ledger-test', 0);
CREATE TABLE _factorymon.score_901_all
	PARTITION OF _factorymon.score_901 DEFAULT;
INSERT INTO _factorymon.score
SELECT ts, ts, kafka_offset, 9, value, sensor_id, stream_id, sensor_version_id,
	1, pipeline_id, reading_index, 0
FROM _factorymon.reading WHERE stream_id = 9011;
SELECT factorymon.purge_suspect('ledger-test', 1);
\echo # nor are there scores of what was purged
SELECT min(kafka_offset), max(kafka_offset) FROM _factorymon.score
	WHERE stream_id = 9011;
SELECT kind, from_offset AS "from", to_offset AS "to", messages, rejected,
	readings, regexp_replace(reason, 'by .*', 'by somebody') AS reason
FROM factorymon.ledger
WHERE pipeline = 'ledger-test' AND kafka_partition = 1 ORDER BY from_offset;
SELECT problem, "from" FROM pg_temp.problems;
SELECT event, partitions, regexp_replace(reason, 'by .*:', 'by somebody:')
	FROM factorymon.rebalancing_events WHERE pipeline = 'ledger-test';
SET ROLE regress_fm_ledger_engineer;
SELECT factorymon.purge_suspect('ledger-test', 1);
ROLLBACK;

/* ----------------------------------------------------------------------
 * original messages
 * ------------------------------------------------------------------- */
SELECT factorymon.original_message('ledger-test', 0, 42);
SELECT factorymon.original_message('ledger-test', 0, 10);
SELECT factorymon.original_message('ledger-test', 0, 42, 2);
SELECT kafka_partition, incarnation, kafka_offset, message ->> 'value'
	FROM factorymon.original_messages('ledger-test', 1, 40, 42) ORDER BY 3;
SELECT count(*) FROM factorymon.original_messages('ledger-test');
SET ROLE regress_fm_ledger_reader;
SELECT factorymon.original_message('ledger-test', 1, 3) ->> 'sensor_id';
RESET ROLE;

/* ---------------------------------------------------------------------- */
DROP TABLE _factorymon.reading_901, _factorymon.reject_901,
	_factorymon.transition_901, _factorymon.ledger_901;
DELETE FROM _factorymon.pipeline WHERE pipeline_id = 901;
SELECT factorymon.revoke_access('reader', 'regress_fm_ledger_reader');
SELECT factorymon.revoke_access('reader', 'regress_fm_ledger_engineer');
DROP OWNED BY regress_fm_ledger_owner, regress_fm_ledger_reader, regress_fm_ledger_engineer,
	regress_fm_ledger_nobody;
DROP ROLE regress_fm_ledger_owner, regress_fm_ledger_reader, regress_fm_ledger_engineer,
	regress_fm_ledger_nobody;
