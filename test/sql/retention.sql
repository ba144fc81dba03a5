/* How long each level of detail is kept: set_retention(), the view, the ledger
 * being added up.  No Kafka is there; what workers would store is inserted by
 * hand. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never

CREATE ROLE regress_fm_keeper LOGIN;
CREATE ROLE regress_fm_keeper_reader LOGIN;
SELECT factorymon.grant_access('admin', 'regress_fm_keeper');
SELECT factorymon.grant_access('reader', 'regress_fm_keeper_reader');
CREATE SERVER regress_fm_keeper_plant FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
GRANT USAGE ON FOREIGN SERVER regress_fm_keeper_plant TO regress_fm_keeper;
SET ROLE regress_fm_keeper;
SELECT factorymon.create_pipeline('keep', 'regress_fm_keeper_plant', paused => true, retention => '400 days');
SELECT level, keep_seconds / 86400 AS days, own FROM factorymon.retention WHERE pipeline = 'keep' ORDER BY level;

\echo # each on its own
SELECT factorymon.set_retention('keep', 'rejects', '30 days');
SELECT factorymon.set_retention('keep', 'alarms', '0');
SELECT factorymon.set_retention('keep', 'ledger', '500 days');
SELECT level, keep_seconds / 86400 AS days, own FROM factorymon.retention WHERE pipeline = 'keep' ORDER BY level;
SELECT factorymon.set_retention('keep', 'rejects', NULL);
SELECT level, keep_seconds / 86400 AS days, own FROM factorymon.retention WHERE pipeline = 'keep' ORDER BY level;
SELECT reason FROM factorymon.rebalancing_events WHERE pipeline = 'keep' AND event = 'altered' ORDER BY at;

\echo # what is refused
SELECT factorymon.set_retention('no such', 'readings', '1 day');
SELECT factorymon.set_retention('keep', 'everything', '1 day');
SELECT factorymon.set_retention('keep', 'readings', '-1 day');
SELECT factorymon.set_retention('keep', NULL, '1 day');
SET ROLE regress_fm_keeper_reader;
SELECT count(*) FROM factorymon.retention WHERE pipeline = 'keep';
SELECT factorymon.set_retention('keep', 'readings', '1 day');
RESET ROLE;

/* stream: extents [0,10), [10,20), gap [20,30), [30,40), [40,50), open [50,60);
 * a reading each in 2020; offset 15 is a reject */
SELECT pipeline_id AS id FROM _factorymon.pipeline WHERE name = 'keep' \gset
/* in one transaction, or the supervisor would be first; not while it makes the
 * first partitions, which has it hold locks that dropping waits for */
DO $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '30 seconds';
BEGIN
	WHILE clock_timestamp() < deadline AND EXISTS (
		SELECT FROM factorymon.retention
			WHERE pipeline = 'keep' AND time_partitions = 0 AND level <> 'ledger')
	LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
BEGIN;
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition, incarnation)
	VALUES (9101, :id, 'keep', 0, 1);
INSERT INTO _factorymon.partition_offset (stream_id, position, extent_from, fold_position, snapshot_position)
	VALUES (9101, 60, 50, 60, 60);
SELECT count(_factorymon.ensure_partition('keep', 'reading', '2020-01-01 12:00+00'::timestamptz + n * interval '1 day'))
	FROM generate_series(0, 5) n;
SELECT _factorymon.ensure_partition('keep', 'reject', '2020-01-02 12:00+00');
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id, sensor_version_id,
		pipeline_id, reading_index, level, flags)
	SELECT '2020-01-01 12:00+00'::timestamptz + n / 10 * interval '1 day', n, 1, 1, 9101, 1, :id, 0, 0, 0
	FROM generate_series(0, 59) n WHERE n NOT BETWEEN 20 AND 29 AND n <> 15;
INSERT INTO _factorymon.reject (rejected_at, pipeline_id, stream_id, kafka_offset, reason, sqlstate)
	VALUES ('2020-01-02 12:00+00', :id, 9101, 15, 'test', '22000');
INSERT INTO _factorymon.ledger (pipeline_id, stream_id, from_offset, to_offset, kind, messages, readings,
		reading_hash, rejected, reject_hash, reason, opened_at, closed_at)
	SELECT :id, 9101, f, f + 10, CASE f WHEN 20 THEN 'gap' ELSE 'extent' END,
		count(r.*), count(r.*), coalesce(_factorymon.hash_sum(_factorymon.offset_hash(r.kafka_offset, 0)), 0),
		(f = 10)::int, CASE f WHEN 10 THEN _factorymon.offset_hash(15, -1) ELSE 0 END,
		CASE f WHEN 20 THEN 'a topic was truncated' END,
		'2020-01-01 12:00+00'::timestamptz + f / 10 * interval '1 day',
		'2020-01-01 13:00+00'::timestamptz + f / 10 * interval '1 day'
	FROM generate_series(0, 40, 10) f
	LEFT JOIN _factorymon.reading r ON r.stream_id = 9101 AND r.kafka_offset BETWEEN f AND f + 9
	GROUP BY f;
UPDATE _factorymon.partition_offset SET extent_messages = 10, extent_readings = 10, extent_reading_hash = (
	SELECT _factorymon.hash_sum(_factorymon.offset_hash(n, 0)) FROM generate_series(50, 59) n)
	WHERE stream_id = 9101;
SELECT * FROM factorymon.verify_delivery('keep');

\echo # rejects stay when readings go, and the ledger waits for both
SELECT factorymon.set_retention('keep', 'rejects', '0');
SELECT _factorymon.drop_expired('keep');
SELECT count(*) AS readings, (SELECT count(*) FROM _factorymon.reject WHERE pipeline_id = :id) AS rejects
	FROM _factorymon.reading WHERE pipeline_id = :id;
SELECT * FROM factorymon.verify_delivery('keep');
SELECT kind, from_offset, to_offset, readings, rejected FROM factorymon.ledger
	WHERE pipeline = 'keep' AND NOT open ORDER BY from_offset, kind;

\echo # an extent whose reject is still there is not added up
SELECT factorymon.set_retention('keep', 'rejects', '1000 years');
SELECT _factorymon.drop_expired('keep');
SELECT kind, from_offset, to_offset, readings, rejected FROM factorymon.ledger
	WHERE pipeline = 'keep' AND NOT open AND from_offset < 20 ORDER BY from_offset, kind;
\echo # ... and when it is gone: runs between gaps, which stay; sums stay too
SELECT factorymon.set_retention('keep', 'rejects', '1 day');
SELECT _factorymon.drop_expired('keep');
SELECT kind, from_offset, to_offset, messages, readings, rejected, split_part(reason, '_factorymon', 1) AS reason FROM factorymon.ledger
	WHERE pipeline = 'keep' AND NOT open ORDER BY from_offset, kind;
SELECT messages, readings, rejected, skipped_offsets, expired_readings, expired_rejects
	FROM factorymon.message_counters WHERE pipeline = 'keep';
SELECT * FROM factorymon.verify_delivery('keep');
\echo # nothing more to add up
SELECT _factorymon.drop_expired('keep');
SELECT count(*) FROM factorymon.ledger WHERE pipeline = 'keep' AND NOT open;

\echo # what is lost is told from what expired, at each level
SAVEPOINT s;
SELECT count(_factorymon.ensure_partition('keep', 'reading', '2020-01-06 12:00+00'));
UPDATE _factorymon.ledger SET readings = readings + 1 WHERE pipeline_id = :id AND kind = 'expired' AND from_offset = 30;
SELECT problem, from_offset, to_offset, expected, found FROM factorymon.verify_delivery('keep');
ROLLBACK TO s;
SAVEPOINT s;
UPDATE _factorymon.ledger SET rejected = 0 WHERE pipeline_id = :id AND kind = 'expired' AND from_offset < 20;
SELECT problem, from_offset, to_offset, expected, found FROM factorymon.verify_delivery('keep');
ROLLBACK TO s;
SAVEPOINT s;
DELETE FROM _factorymon.ledger WHERE pipeline_id = :id AND kind = 'gap';
SELECT problem, from_offset, to_offset FROM factorymon.verify_delivery('keep');
ROLLBACK TO s;

COMMIT;

SELECT factorymon.drop_pipeline('keep');
SELECT count(*) FROM _factorymon.retention WHERE pipeline_id = :id;
DROP SERVER regress_fm_keeper_plant;
SELECT factorymon.revoke_access('reader', 'regress_fm_keeper_reader');
SELECT factorymon.revoke_access('reader', 'regress_fm_keeper');
DROP ROLE regress_fm_keeper, regress_fm_keeper_reader;
