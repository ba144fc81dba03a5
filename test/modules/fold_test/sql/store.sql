-- Readings past the executor: whatever the order of the keys, the index on
-- (sensor_id, ts) has each row once, where it belongs.
SET client_min_messages = warning;
SET jit = off;
LOAD 'factorymon';
CREATE EXTENSION amcheck;
SELECT test.make_pipeline(77::smallint);
DROP TABLE _factorymon.reading_77_all;
CREATE TABLE _factorymon.reading_77_a PARTITION OF _factorymon.reading_77
	FOR VALUES FROM ('2026-01-01 00:00Z') TO ('2026-01-02 00:00Z');
CREATE TABLE _factorymon.reading_77_b PARTITION OF _factorymon.reading_77
	FOR VALUES FROM ('2026-01-02 00:00Z') TO ('2026-01-03 00:00Z');

-- each index of each partition is sound, and holds every row
CREATE FUNCTION test.check_indexes() RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
	SELECT count(public.bt_index_parent_check(indexrelid, true, true)::text)
	FROM pg_index
	WHERE indrelid IN (SELECT relid FROM pg_partition_tree(
			'_factorymon.reading_77') WHERE isleaf);
END;

-- a row found by one way only, index or table; none if all is well
CREATE FUNCTION test.lost(sensors int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	by_table bigint;
	by_index bigint := 0;
	found bigint;
BEGIN
	SELECT count(*) INTO by_table FROM _factorymon.reading_77;
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_bitmapscan = off;
	FOR i IN 1 .. sensors LOOP
		SELECT count(*) INTO found FROM _factorymon.reading_77
		WHERE sensor_id = i;
		by_index := by_index + found;
	END LOOP;
	RETURN by_table - by_index;
END
$$;

-- into empty indexes: many sensors, both partitions
SELECT test.store_batch(77::smallint, 1, 20000, 3000, '2026-01-01 00:00Z', 172800);
SELECT test.check_indexes(), test.lost(3000);
-- few sensors, each with many readings that come in any order of time
SELECT test.store_batch(77::smallint, 2, 20000, 5, '2026-01-01 00:00Z', 172800);
SELECT test.check_indexes(), test.lost(3000);
-- few keys: equal ones by the thousand, which the index keeps as lists
SELECT test.store_batch(77::smallint, 3, 20000, 3, '2026-01-01 06:00Z', 4);
SELECT test.store_batch(77::smallint, seed, 5000, 4, '2026-01-01 06:00Z', 5)
	FROM generate_series(4, 8) AS seed;
SELECT test.check_indexes(), test.lost(3000);
-- one at a time, and none beyond a batch of one
SELECT count(test.store_batch(77::smallint, seed, 1, 100, '2026-01-02 00:00Z',
	86400)) FROM generate_series(10, 500) AS seed;
SELECT test.check_indexes(), test.lost(3000);
-- the places of deleted rows are taken again, lower TIDs than before
DELETE FROM _factorymon.reading_77 WHERE kafka_offset % 3 > 0;
VACUUM (INDEX_CLEANUP on) _factorymon.reading_77;
SELECT test.store_batch(77::smallint, 501, 30000, 3000, '2026-01-01 00:00Z', 172800);
SELECT test.store_batch(77::smallint, 502, 10000, 4, '2026-01-01 06:00Z', 5);
SELECT test.check_indexes(), test.lost(3000);
-- whole pages go, and come back
DELETE FROM _factorymon.reading_77 WHERE sensor_id BETWEEN 100 AND 2900;
VACUUM (INDEX_CLEANUP on) _factorymon.reading_77;
VACUUM (INDEX_CLEANUP on) _factorymon.reading_77;
SELECT test.store_batch(77::smallint, 503, 30000, 3000, '2026-01-01 00:00Z', 172800);
SELECT test.check_indexes(), test.lost(3000);
-- what is rolled back is not there, and does no harm
BEGIN;
SAVEPOINT a;
SELECT test.store_batch(77::smallint, 504, 20000, 3000, '2026-01-01 00:00Z', 172800);
ROLLBACK TO a;
SELECT test.store_batch(77::smallint, 505, 20000, 3000, '2026-01-01 00:00Z', 172800);
ROLLBACK;
SELECT test.check_indexes(), test.lost(3000);
SELECT count(*), count(DISTINCT kafka_offset) FROM _factorymon.reading_77;

-- other indexes are filled row by row, beside it
CREATE INDEX r1 ON _factorymon.reading_77 (sensor_id, ts DESC);
CREATE INDEX r2 ON _factorymon.reading_77 (sensor_id, ts NULLS FIRST);
CREATE INDEX r3 ON _factorymon.reading_77 (sensor_id, ts) INCLUDE (value);
CREATE INDEX r4 ON _factorymon.reading_77 (ts, sensor_id);
CREATE INDEX r5 ON _factorymon.reading_77 (sensor_id);
CREATE INDEX r6 ON _factorymon.reading_77 (sensor_version_id, ts);
CREATE INDEX r7 ON _factorymon.reading_77 (sensor_id, kafka_offset);
CREATE INDEX r8 ON _factorymon.reading_77 USING brin (sensor_id, ts);
CREATE INDEX r9 ON _factorymon.reading_77_a (sensor_id, ts)
	WITH (fillfactor = 50, deduplicate_items = off);
SELECT c.relname, test.store_index_fits(c.oid)
FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE indrelid = '_factorymon.reading_77_a'::regclass ORDER BY 1;
SELECT test.store_batch(77::smallint, 506, 20000, 3000, '2026-01-01 00:00Z', 172800);
DROP INDEX _factorymon.r8;
SELECT test.check_indexes(), test.lost(3000);

-- the way row by row comes to the same
SELECT test.store_index_directly(false);
SELECT test.store_batch(77::smallint, 507, 20000, 3000, '2026-01-01 00:00Z', 172800);
SELECT test.check_indexes(), test.lost(3000);
SELECT test.store_index_directly(true);

-- entries of dead rows without sensor or time, in a partition made by hand
CREATE TABLE _factorymon.reading_77_c
	(LIKE _factorymon.reading_77 INCLUDING DEFAULTS)
	WITH (autovacuum_enabled = off);
ALTER TABLE _factorymon.reading_77_c ALTER sensor_id DROP NOT NULL,
	ALTER ts DROP NOT NULL;
CREATE INDEX ON _factorymon.reading_77_c (sensor_id, ts);
INSERT INTO _factorymon.reading_77_c (ts, kafka_offset, value, sensor_id,
	stream_id, sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT nullif('2026-01-03 12:00Z'::timestamptz + interval '1 s' * n,
		'2026-01-03 12:00Z'), n, n, nullif(n % 100, 0), 1, 1, 77, 0, 0, 0
FROM generate_series(0, 2000) AS n;
DELETE FROM _factorymon.reading_77_c WHERE sensor_id IS NULL OR ts IS NULL;
ALTER TABLE _factorymon.reading_77_c ALTER sensor_id SET NOT NULL,
	ALTER ts SET NOT NULL;
ALTER TABLE _factorymon.reading_77 ATTACH PARTITION _factorymon.reading_77_c
	FOR VALUES FROM ('2026-01-03 00:00Z') TO ('2026-01-04 00:00Z');
SELECT test.store_batch(77::smallint, 508, 20000, 3000, '2026-01-03 00:00Z', 86400);
SELECT test.check_indexes(), test.lost(3000);

-- a partition whose columns stand in another order: by name, not by place
CREATE TABLE _factorymon.reading_77_d (ts timestamptz NOT NULL,
	kafka_offset bigint NOT NULL, value float8 NOT NULL,
	stream_id integer NOT NULL, sensor_id integer NOT NULL,
	sensor_version_id integer NOT NULL, reading_count integer, quality real,
	pipeline_id smallint NOT NULL, reading_index smallint NOT NULL,
	level smallint NOT NULL, flags smallint NOT NULL, extra jsonb);
ALTER TABLE _factorymon.reading_77 ATTACH PARTITION _factorymon.reading_77_d
	FOR VALUES FROM ('2026-01-04 00:00Z') TO ('2026-01-05 00:00Z');
SELECT test.store_batch(77::smallint, 509, 100, 10, '2026-01-04 00:00Z', 86400);

-- a partition that somebody is detaching gets nothing more
SET allow_system_table_mods = on;
UPDATE pg_inherits SET inhdetachpending = true
WHERE inhrelid = '_factorymon.reading_77_b'::regclass;
RESET allow_system_table_mods;
ALTER TABLE _factorymon.reading_77 ALTER value SET STATISTICS 10;
SELECT test.store_batch(77::smallint, 510, 100, 10, '2026-01-02 00:00Z', 86400);
ALTER TABLE _factorymon.reading_77 DETACH PARTITION _factorymon.reading_77_b
	FINALIZE;
DROP TABLE _factorymon.reading_77_b;

-- what the columns do not give back is the jsonb that PostgreSQL makes of it
SELECT object FROM (VALUES ('{}'), ('{ }'), ('{"a":"b"}'), ('{"":""}'),
	('{ "b" : "x" ,"a":true , "cc":null,"c":false}'), ('{"b":"x","a":1.50}'),
	('{"a":"\u00e4\n"}'), ('{"\u0061":"x"}'), ('{"ä":"ö","a":"ö"}'),
	('{"a":"x","a":"y"}'), ('{"a":{"b":[1,"c"]}}'), ('{"a":[]}'),
	('{"unique_reading_id":"00000000-0000-0000-0000-000000000001"}')) AS x (object)
WHERE NOT test.extra_like_jsonb_in(object);
SELECT count(*), count(*) FILTER (WHERE test.extra_like_jsonb_in(object)) AS alike
FROM (SELECT '{' || string_agg(format('"%s":%s',
	repeat(chr(97 + (i * 7 + j * 11) % 26), (i + j * 5) % 4) || j,
	(array['"' || repeat('v', (i * j) % 40) || '"', 'true', 'false', 'null'])
		[1 + (i + j) % 4]), ',' ORDER BY (i * 13 + j * 17) % 23) || '}' AS object
	FROM generate_series(1, 3000) AS i, generate_series(1, 1 + i % 20) AS j
	GROUP BY i) AS x;

DROP FUNCTION test.check_indexes, test.lost;
DROP TABLE _factorymon.reading_77, _factorymon.transition_77;
DELETE FROM _factorymon.stream WHERE pipeline_id = 77;
DELETE FROM _factorymon.pipeline WHERE pipeline_id = 77;
DROP EXTENSION amcheck;
