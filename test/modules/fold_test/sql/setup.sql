-- what all tests of this folder use
SET client_min_messages = warning;
CREATE EXTENSION factorymon;
LOAD 'factorymon';
\getenv library FOLD_TEST_LIBRARY
CREATE SCHEMA test;

CREATE FUNCTION test.fold_open(stream_id int, pipeline_id smallint,
	snapshot_position bigint, fold_position bigint,
	min_ts timestamptz, max_ts timestamptz) RETURNS bigint
	AS :'library', 'fold_open' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_apply(kafka_offset bigint, reading_index smallint,
	sensor_id int, ts timestamptz, value float8, quality real,
	reading_count int, message_at timestamptz, limits float8[]) RETURNS text
	AS :'library', 'fold_apply' LANGUAGE C;
CREATE FUNCTION test.fold_advance(next_offset bigint) RETURNS bigint
	AS :'library', 'fold_advance' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_mark() RETURNS int
	AS :'library', 'fold_mark' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_rollback() RETURNS bigint
	AS :'library', 'fold_rollback' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_commit() RETURNS void
	AS :'library', 'fold_commit' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_snapshot() RETURNS int
	AS :'library', 'fold_snapshot' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_snapshot_done() RETURNS void
	AS :'library', 'fold_snapshot_done' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_range() RETURNS text
	AS :'library', 'fold_range' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_store_transitions() RETURNS int
	AS :'library', 'fold_store_transitions' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_sensor(number int) RETURNS bytea
	AS :'library', 'fold_sensor' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_alarm(sensor_id int) RETURNS text
	AS :'library', 'fold_alarm' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_bench(sensors int, readings bigint, batch int,
	share float8) RETURNS float8
	AS :'library', 'fold_bench' LANGUAGE C STRICT;
CREATE FUNCTION test.fold_crash(seed int, batches int, stream_id int,
	pipeline_id smallint, sensors int, delays boolean, detectors boolean)
	RETURNS boolean
	AS :'library', 'fold_crash' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_open(pipeline_id smallint, pipeline text)
	RETURNS void AS :'library', 'sensor_open' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_reset() RETURNS void
	AS :'library', 'sensor_reset' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_limit(sensors int, versions int) RETURNS void
	AS :'library', 'sensor_limit' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_register(query text) RETURNS int
	AS :'library', 'sensor_register' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_find(query text) RETURNS text
	AS :'library', 'sensor_find' LANGUAGE C STRICT;
CREATE FUNCTION test.sensor_bench(query text, rounds int,
	pipeline_id smallint) RETURNS float8
	AS :'library', 'sensor_bench' LANGUAGE C STRICT;
CREATE FUNCTION test.extra_like_jsonb_in(object text) RETURNS boolean
	AS :'library', 'extra_like_jsonb_in' LANGUAGE C STRICT;
CREATE FUNCTION test.store_batch(pipeline_id smallint, seed int, readings int,
	sensors int, first timestamptz, instants int) RETURNS text
	AS :'library', 'store_batch' LANGUAGE C STRICT;
CREATE FUNCTION test.store_index_fits(index regclass) RETURNS boolean
	AS :'library', 'store_index_fits' LANGUAGE C STRICT;
CREATE FUNCTION test.store_index_directly(yes boolean) RETURNS void
	AS :'library', 'store_index_directly' LANGUAGE C STRICT;

-- a pipeline by hand: nothing here starts or needs a worker
CREATE FUNCTION test.make_pipeline(id smallint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
		consumer_group, format, workers, start_policy, on_data_loss,
		accept_past, accept_future, partition_interval, owner)
	VALUES (id, 'test ' || id, 'none', 'sensor-data', 'group ' || id,
		'factory', 1, 'earliest', 'stop', '10 years', '1 day', '1 day',
		current_user);
	INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
		kafka_partition, incarnation) VALUES (id, id, 'sensor-data', 2, 1);
	EXECUTE format('CREATE TABLE _factorymon.reading_%s PARTITION OF
		_factorymon.reading FOR VALUES IN (%s) PARTITION BY RANGE (ts)',
		id, id);
	EXECUTE format('CREATE TABLE _factorymon.reading_%s_all PARTITION OF
		_factorymon.reading_%s DEFAULT', id, id);
	EXECUTE format('CREATE INDEX ON _factorymon.reading_%s (sensor_id, ts)',
		id);
	EXECUTE format('CREATE TABLE _factorymon.transition_%s PARTITION OF
		_factorymon.transition FOR VALUES IN (%s)
		PARTITION BY RANGE (recorded_at)', id, id);
	EXECUTE format('CREATE TABLE _factorymon.transition_%s_all PARTITION OF
		_factorymon.transition_%s FOR VALUES FROM (MINVALUE) TO (MAXVALUE)',
		id, id);
	EXECUTE format('CREATE INDEX ON _factorymon.transition_%s
		(stream_id, kafka_offset)', id);
END
$$;
