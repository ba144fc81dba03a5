-- descriptions to sensors
LOAD 'factorymon';
SELECT test.make_pipeline(7::smallint), test.make_pipeline(8::smallint);
SELECT test.sensor_open(7::smallint, 'test 7');

-- one description of many; overridden members make another
CREATE FUNCTION test.description(name text, sensor_type text DEFAULT
	'temperature', zone text DEFAULT 'zone-a', warning text DEFAULT '35',
	unit text DEFAULT '°C') RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT %L, %L, ''production'', ''machine-1'', %L, %L, %s, 40::float8',
		name, sensor_type, zone, unit,
		coalesce(warning, 'NULL') || '::float8')
$$;
CREATE VIEW test.registered AS
	SELECT s.pipeline_id, name, sensor_type, zone, warning_threshold,
		dense_rank() OVER (ORDER BY s.sensor_id) AS sensor,
		dense_rank() OVER (ORDER BY sensor_version_id) AS version
	FROM _factorymon.sensor AS s
		LEFT JOIN _factorymon.sensor_version AS v USING (sensor_id)
	WHERE pipeline_id IN (7, 8)
	ORDER BY s.sensor_id, sensor_version_id;

-- unknown, registered, known
SELECT test.sensor_find(test.description('t1'));
SELECT test.sensor_register(test.description('t1'));
SELECT test.sensor_find(test.description('t1')) ~
	'^sensor \d+ version \d+ limit 35$';
SELECT * FROM test.registered;
SELECT sensor_type FROM _factorymon.sensor_type;

-- each member of a description makes a version, never another sensor
SELECT test.sensor_find(test.description('t1', zone => 'zone-b')),
	test.sensor_find(test.description('t1', warning => NULL)),
	test.sensor_find(test.description('t1', warning => '0')),
	test.sensor_find(test.description('t1', unit => 'K')),
	test.sensor_find(test.description('t1', sensor_type => 'noise'));
SELECT test.sensor_register(test.description('t1', zone => 'zone-b')
	|| ' UNION ALL ' || test.description('t1', warning => NULL)
	|| ' UNION ALL ' || test.description('t1', warning => '0')
	|| ' UNION ALL ' || test.description('t1', unit => 'K')
	|| ' UNION ALL ' || test.description('t1', sensor_type => 'noise'));
SELECT count(DISTINCT sensor), count(DISTINCT version) FROM test.registered;
SELECT sensor_type FROM _factorymon.sensor_type ORDER BY 1;
-- minus zero is zero
SELECT test.sensor_find(test.description('t1', warning => '''-0'''))
	= test.sensor_find(test.description('t1', warning => '0'));
-- strings that join to the same bytes are not the same
SELECT test.sensor_register(
	$$SELECT 'a', 'b', 'cd', '', '', '', NULL::float8, NULL::float8$$);
SELECT test.sensor_find(
	$$SELECT 'a', 'b', 'c', 'd', '', '', NULL::float8, NULL::float8$$);
SELECT test.sensor_find(
	$$SELECT 'a', 'b', '', 'cd', '', '', NULL::float8, NULL::float8$$);

-- two descriptions in turn: both stay cached, nothing is registered
SELECT nextval('_factorymon.sensor_version_id_seq') AS before \gset
SELECT bool_and(test.sensor_find(test.description('t1',
		zone => CASE n % 2 WHEN 0 THEN 'zone-a' ELSE 'zone-b' END))
	IS NOT NULL) FROM generate_series(1, 100) AS n;
SELECT test.sensor_register(test.description('t1') || ' UNION ALL '
	|| test.description('t1', zone => 'zone-b'));
SELECT nextval('_factorymon.sensor_version_id_seq') - :before AS taken;

-- after a reset (or a restart) they are found again, not registered again
SELECT test.sensor_find(test.description('t1')) AS t1 \gset
SELECT test.sensor_reset();
SELECT test.sensor_find(test.description('t1'));
SELECT test.sensor_register(test.description('t1'));
SELECT test.sensor_find(test.description('t1')) = :'t1' AS same;
SELECT nextval('_factorymon.sensor_version_id_seq') - :before AS taken;

-- the same one many times in a batch is registered once; order is kept
SELECT test.sensor_register($$SELECT 'bulk ' || n % 700, 'humidity', 's', 'm',
	'z', '%RH', NULL::float8, NULL::float8
	FROM generate_series(1, 3000) AS n$$);
SELECT count(*), count(DISTINCT sensor_id) FROM _factorymon.sensor
	JOIN _factorymon.sensor_version USING (sensor_id)
	WHERE name LIKE 'bulk %';

-- another pipeline has sensors of its own
SELECT test.sensor_open(8::smallint, 'test 8');
SELECT test.sensor_register(test.description('t1'));
SELECT pipeline_id, count(*) FROM _factorymon.sensor WHERE name = 't1'
	GROUP BY 1 ORDER BY 1;

-- limits follow the table, each for its own
SELECT test.sensor_register(test.description('t2'));
INSERT INTO factorymon.threshold (sensor_type, sensor_id, warning_high)
	VALUES ('temperature', 't2', 99);
SELECT substring(test.sensor_find(test.description('t1')) from 'limit.*'),
	substring(test.sensor_find(test.description('t2')) from 'limit.*');
INSERT INTO factorymon.threshold (pipeline, sensor_type, sensor_id,
	warning_high) VALUES ('test 8', 'temperature', 't2', 77);
SELECT substring(test.sensor_find(test.description('t2')) from 'limit.*');
DELETE FROM factorymon.threshold;
SELECT substring(test.sensor_find(test.description('t2')) from 'limit.*');

-- too many sensors: the rest is not found, and may come when there is room
SELECT test.sensor_reset();
SELECT test.sensor_limit(4, 3);
SELECT test.sensor_register($$SELECT 'more ' || n, 'humidity', 's', 'm', 'z',
	'%RH', NULL::float8, NULL::float8 FROM generate_series(1, 5) AS n$$);
SELECT name FROM _factorymon.sensor WHERE pipeline_id = 8 ORDER BY 1;
SELECT test.sensor_register($$SELECT 'more ' || n, 'humidity', 's', 'm', 'z',
	'%RH', NULL::float8, NULL::float8 FROM generate_series(1, 5) AS n$$);
SELECT test.sensor_limit(5, 3);
SELECT test.sensor_register($$SELECT 'more ' || n, 'humidity', 's', 'm', 'z',
	'%RH', NULL::float8, NULL::float8 FROM generate_series(1, 5) AS n$$);

-- too many versions: of this sensor only
SELECT test.sensor_register($$SELECT 'more ' || s, 'humidity', 's', 'm',
	'zone ' || n, '%RH', NULL::float8, NULL::float8
	FROM generate_series(1, 5) AS n, generate_series(1, 2) AS s$$);
SELECT name, count(*) FROM _factorymon.sensor
	JOIN _factorymon.sensor_version USING (sensor_id)
	WHERE pipeline_id = 8 GROUP BY 1 ORDER BY 1;
SELECT test.sensor_limit(1000000, 1000);

-- the cache is bounded: beyond that it begins anew, and finds what is asked
SELECT test.sensor_open(7::smallint, 'test 7');
SELECT test.sensor_limit(1000, 10);
SELECT sum(test.sensor_register(format($$SELECT 'bulk ' || n, 'humidity', 's',
	'm', 'zone %s', '%%RH', NULL::float8, NULL::float8
	FROM generate_series(0, 699) AS n$$, round)))
	FROM generate_series(1, 9) AS round;
SELECT test.sensor_register($$SELECT 'bulk ' || n, 'humidity', 's',
	'm', 'zone 1', '%RH', NULL::float8, NULL::float8
	FROM generate_series(0, 699) AS n$$);
SELECT count(*) FROM _factorymon.sensor_version
	JOIN _factorymon.sensor USING (sensor_id) WHERE name LIKE 'bulk %';
SELECT test.sensor_limit(1000000, 1000);

-- a snapshot taken before would hide what others commit
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT test.sensor_register(test.description('t9'));
ROLLBACK;

-- what only statements honor is refused
CREATE FUNCTION test.nothing() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON _factorymon.sensor FOR EACH ROW
	EXECUTE FUNCTION test.nothing();
SELECT test.sensor_register(test.description('t9'));
DROP TRIGGER t ON _factorymon.sensor;
ALTER TABLE _factorymon.sensor_version ADD CONSTRAINT c
	CHECK (zone <> '') NOT VALID;
SELECT test.sensor_register(test.description('t9'));
ALTER TABLE _factorymon.sensor_version DROP CONSTRAINT c;
-- indexes on expressions and on some of the rows are kept
CREATE INDEX i ON _factorymon.sensor_version (upper(zone))
	WHERE sensor_type = 'odd';
SELECT test.sensor_register(test.description('t9', 'odd'));
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM _factorymon.sensor_version
	WHERE sensor_type = 'odd' AND upper(zone) > '';
SELECT count(*) FROM _factorymon.sensor_version
	WHERE sensor_type = 'odd' AND upper(zone) > '';
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP INDEX _factorymon.i;
