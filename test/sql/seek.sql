/* What seek() refuses before it asks Kafka, which is not there; moving for
 * real is shown where there is a broker. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
\set SHOW_CONTEXT never

CREATE ROLE regress_fm_owner LOGIN;
SELECT factorymon.grant_access('admin', 'regress_fm_owner');
CREATE SERVER regress_fm_plant FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
GRANT USAGE ON FOREIGN SERVER regress_fm_plant TO regress_fm_owner;
SET ROLE regress_fm_owner;
SELECT factorymon.create_pipeline('fm.seek', 'regress_fm_plant', paused => true);
SELECT factorymon.seek('fm.seek', 0, 'earliest');
RESET ROLE;
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition, incarnation, retired_at)
	SELECT nextval('_factorymon.stream_id_seq'), pipeline_id, topic, n, i,
		CASE WHEN n = 1 AND i = 1 THEN now() END
	FROM _factorymon.pipeline, (VALUES (0, 1), (1, 1), (1, 2)) s(n, i) WHERE name = 'fm.seek';
INSERT INTO _factorymon.partition_offset (stream_id, position, extent_from)
	SELECT stream_id, 100 * incarnation, 0
	FROM _factorymon.stream JOIN _factorymon.pipeline USING (pipeline_id) WHERE name = 'fm.seek';

SET ROLE regress_fm_owner;
/* arguments */
SELECT factorymon.seek(NULL, 0, 1);
SELECT factorymon.seek('fm.seek', NULL, 1);
SELECT factorymon.seek('fm.seek', 0, NULL::bigint);
SELECT factorymon.seek('fm.seek', 0, NULL::timestamptz);
SELECT factorymon.seek('fm.seek', 0, NULL::text);
SELECT factorymon.seek('fm.seek', 0, -1);
SELECT factorymon.seek('fm.seek', 0, 'tomorrow morning');
SELECT factorymon.seek('fm.seek', 0, '99999999999999999999');
SELECT factorymon.seek('no such', 0, 1);
SELECT factorymon.seek('fm.seek', 7, 1);

/* back only with replay, only while paused; the live stream counts */
SELECT factorymon.seek('fm.seek', 0, 99);
SELECT factorymon.seek('fm.seek', 1, '199');
SELECT factorymon.resume('fm.seek');
SELECT factorymon.seek('fm.seek', 0, 99, replay => true);
SELECT factorymon.pause('fm.seek', 1);
SELECT factorymon.seek('fm.seek', 0, 99, replay => true);
SELECT factorymon.pause('fm.seek');

/* a stream that found another log has other things to decide first */
RESET ROLE;
UPDATE _factorymon.partition_offset SET stopped_reason = 'another_log'
	WHERE position = 100 AND stream_id IN (SELECT stream_id
		FROM _factorymon.stream JOIN _factorymon.pipeline USING (pipeline_id)
		WHERE name = 'fm.seek' AND kafka_partition = 0);
SET ROLE regress_fm_owner;
SELECT factorymon.seek('fm.seek', 0, 'latest');

/* no broker answers: an error that says so, and nothing moved */
\set VERBOSITY sqlstate
SELECT factorymon.seek('fm.seek', 1, 'latest');
\set VERBOSITY default
RESET ROLE;
SELECT s.kafka_partition, s.incarnation, p.position, p.epoch
FROM _factorymon.partition_offset p JOIN _factorymon.stream s USING (stream_id)
	JOIN _factorymon.pipeline USING (pipeline_id)
WHERE name = 'fm.seek' ORDER BY 1, 2;

SELECT factorymon.drop_pipeline('fm.seek');
SELECT factorymon.revoke_access('reader', 'regress_fm_owner');
DROP SERVER regress_fm_plant;
DROP ROLE regress_fm_owner;
