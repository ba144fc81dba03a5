/* factorymon 0.1.0: base script.  Sections, in this order: schemas and types,
 * configuration, storage, functions, wrapper, views, comments, privileges.
 *
 * What pg_dump must carry decides the shape: member tables hold no partitions
 * and no indexes on partitioned tables; a pipeline's storage is made by
 * create_pipeline() and is no member; every member table and sequence whose
 * rows must survive a dump is registered at the end of its section. */

\echo Use "CREATE EXTENSION factorymon" to load this file. \quit

/* ======================================================================
 * 1. Schemas
 * ==================================================================== */

CREATE SCHEMA factorymon;
CREATE SCHEMA _factorymon;

/* ======================================================================
 * 2. Configuration
 * ==================================================================== */

CREATE SEQUENCE _factorymon.pipeline_id_seq AS smallint;

CREATE TABLE _factorymon.pipeline (
	pipeline_id smallint PRIMARY KEY,
	name text NOT NULL UNIQUE CHECK (name <> '' AND octet_length(name) <= 63),
	server text NOT NULL,
	topic text NOT NULL CHECK (topic ~ '^[A-Za-z0-9._-]{1,249}$'),
	consumer_group text NOT NULL CHECK (consumer_group <> ''),
	/* built in, or a row of factorymon.format */
	format text NOT NULL,
	workers integer NOT NULL CHECK (workers BETWEEN 1 AND 64),
	start_policy text NOT NULL
		CHECK (start_policy IN ('earliest', 'latest', 'timestamp')),
	start_at timestamptz,
	on_data_loss text NOT NULL CHECK (on_data_loss IN ('stop', 'continue')),
	accept_past interval NOT NULL CHECK (accept_past > interval '0'),
	accept_future interval NOT NULL CHECK (accept_future > interval '0'),
	retention interval CHECK (retention > interval '0'),
	partition_interval interval NOT NULL
		CHECK (partition_interval >= interval '1 hour'),
	owner name NOT NULL,
	/* where alarms go; null: to nobody but LISTEN */
	alert_topic text CHECK (alert_topic ~ '^[A-Za-z0-9._-]{1,249}$'),
	/* are minutes, hours and days kept, and whose hours and days are they? */
	rollups boolean NOT NULL DEFAULT true,
	time_zone text NOT NULL DEFAULT 'UTC' CHECK (time_zone <> ''),
	/* by what repeated readings are known, for how long, and the secret with
	 * which their ids are hashed (see src/dedup_key.c) */
	deduplicate text NOT NULL DEFAULT 'none'
		CHECK (deduplicate IN ('none', 'id', 'sensor_time')),
	deduplicate_ttl interval NOT NULL DEFAULT interval '1 day'
		CHECK (deduplicate_ttl >= interval '2 seconds'),
	deduplicate_secret uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	created_at timestamptz NOT NULL DEFAULT now(),
	config_version bigint NOT NULL DEFAULT 1,
	CHECK (alert_topic <> topic),
	CHECK ((start_policy = 'timestamp') = (start_at IS NOT NULL)),
	UNIQUE (server, topic, consumer_group)
);

/* How long a level of detail is kept (see src/retention_level.c); no row: as
 * long as the pipeline's retention says; 0: for ever. */
CREATE TABLE _factorymon.retention (
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	level text NOT NULL,
	keep interval NOT NULL CHECK (keep >= interval '0'),
	updated_at timestamptz NOT NULL DEFAULT now(),
	updated_by text NOT NULL,
	PRIMARY KEY (pipeline_id, level)
);

/* What keeps the oldest expired partition of a kind from going; not dumped. */
CREATE TABLE _factorymon.retention_wait (
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	kind text NOT NULL,
	partition text NOT NULL,
	reason text NOT NULL,
	since timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (pipeline_id, kind)
);

/* Whether readings are archived, when, and whose days; no row: they are not. */
CREATE TABLE _factorymon.archive_setting (
	pipeline_id smallint PRIMARY KEY
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	enabled boolean NOT NULL,
	at interval NOT NULL,
	time_zone text NOT NULL
);

/* Files of the archive; see src/archive_unit.c. */
CREATE TABLE _factorymon.archive (
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	range_from timestamptz NOT NULL,
	range_to timestamptz NOT NULL,
	/* how often it was written; 0: never */
	part integer NOT NULL,
	state text NOT NULL CHECK
		(state IN ('archived', 'stale', 'failed', 'superseded')),
	file text,
	rows bigint,
	hash bigint,
	/* of all columns; another major version may hash otherwise, and then the
	 * file is written again before its rows are dropped */
	row_hash bigint,
	checksum text,
	bytes bigint,
	manifest_sha256 text,
	written_at timestamptz,
	/* when its rows were last compared with the readings, and how many rows
	 * had been written to their partition by then, by statistics */
	checked_at timestamptz,
	activity bigint,
	verified_at timestamptz,
	restored_at timestamptz,
	restored_by text,
	error text,
	attempts integer NOT NULL DEFAULT 0,
	retry_at timestamptz,
	/* retention waits for it */
	wanted boolean NOT NULL DEFAULT false,
	/* its rows were dropped: the file is all there is, and stays as it is */
	dropped_at timestamptz,
	/* it stands for readings that are in the database */
	open boolean NOT NULL GENERATED ALWAYS AS
		(dropped_at IS NULL AND state <> 'superseded') STORED,
	PRIMARY KEY (pipeline_id, range_from, range_to, part)
);

/* Which pipelines run in this very database of this very cluster.  Never
 * dumped, and keyed by both, so that no copy joins production's group. */
CREATE TABLE _factorymon.pipeline_run (
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	system_identifier bigint NOT NULL,
	database_oid oid NOT NULL,
	paused_at timestamptz,
	paused_by text,
	pause_reason text,
	resumed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (pipeline_id, system_identifier, database_oid)
);

/* Formats beside those that default_formats() returns; format.c checks rows. */
CREATE TABLE factorymon.format (
	name text PRIMARY KEY,
	mapping jsonb NOT NULL,
	description text
);

CREATE TABLE _factorymon.sensor_type (
	sensor_type text PRIMARY KEY,
	registered_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE _factorymon.threshold_id_seq AS integer;
CREATE SEQUENCE _factorymon.threshold_version_seq AS integer;

CREATE TABLE factorymon.threshold (
	threshold_id integer PRIMARY KEY
		DEFAULT nextval('_factorymon.threshold_id_seq'),
	pipeline text,
	sensor_type text NOT NULL,
	zone text,
	machine_id text,
	sensor_id text,
	critical_low double precision,
	warning_low double precision,
	warning_high double precision,
	critical_high double precision,
	deadband double precision NOT NULL DEFAULT 0,
	on_delay interval NOT NULL DEFAULT interval '0',
	off_delay interval NOT NULL DEFAULT interval '0',
	re_alarm_after interval,
	expected_interval interval,
	warning_severity smallint NOT NULL DEFAULT 500
		CHECK (warning_severity BETWEEN 1 AND 1000),
	critical_severity smallint NOT NULL DEFAULT 900
		CHECK (critical_severity BETWEEN 1 AND 1000),
	acknowledgement boolean NOT NULL DEFAULT true,
	shelvable boolean NOT NULL DEFAULT true,
	enabled boolean NOT NULL DEFAULT true,
	comment text,
	/* set by a trigger: only restored rows come with one */
	version integer NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	updated_by name NOT NULL DEFAULT current_user,
	UNIQUE NULLS NOT DISTINCT
		(sensor_type, pipeline, zone, machine_id, sensor_id),
	CONSTRAINT threshold_one_scope
		CHECK (num_nonnulls(zone, machine_id, sensor_id) <= 1),
	CONSTRAINT threshold_has_limit CHECK (NOT enabled OR num_nonnulls(
		critical_low, warning_low, warning_high, critical_high) > 0),
	CONSTRAINT threshold_finite CHECK (
		coalesce(critical_low, 0) > '-Infinity'
		AND coalesce(critical_low, 0) < 'Infinity'
		AND coalesce(warning_low, 0) > '-Infinity'
		AND coalesce(warning_low, 0) < 'Infinity'
		AND coalesce(warning_high, 0) > '-Infinity'
		AND coalesce(warning_high, 0) < 'Infinity'
		AND coalesce(critical_high, 0) > '-Infinity'
		AND coalesce(critical_high, 0) < 'Infinity'
		AND deadband >= 0 AND deadband < 'Infinity'),
	CONSTRAINT threshold_ordered CHECK (
		critical_low < warning_low IS NOT FALSE
		AND critical_low < warning_high IS NOT FALSE
		AND critical_low < critical_high IS NOT FALSE
		AND warning_low < warning_high IS NOT FALSE
		AND warning_low < critical_high IS NOT FALSE
		AND warning_high < critical_high IS NOT FALSE),
	/* the band between the innermost limits must survive the deadband */
	CONSTRAINT threshold_wider_than_deadband CHECK (
		coalesce(warning_low, critical_low) + deadband
			< coalesce(warning_high, critical_high) - deadband IS NOT FALSE
		AND warning_high + deadband < critical_high IS NOT FALSE
		AND critical_low + deadband < warning_low IS NOT FALSE),
	CONSTRAINT threshold_delays CHECK (
		on_delay >= interval '0' AND off_delay >= interval '0'),
	CONSTRAINT threshold_re_alarm CHECK (
		re_alarm_after > greatest(on_delay, off_delay)),
	/* workers count microseconds, in 64 bits */
	CONSTRAINT threshold_countable CHECK (
		greatest(on_delay, off_delay, re_alarm_after)
			<= interval '1000 years'),
	/* in seconds, because months are compared as 30 days and years are not */
	CONSTRAINT threshold_expected_interval CHECK (
		extract(epoch FROM expected_interval) BETWEEN 0.001 AND 604800),
	CONSTRAINT threshold_severity CHECK (
		critical_severity >= warning_severity)
);

/* Every change of limits: who, when, what was and what is. */
CREATE TABLE factorymon.threshold_history (
	version integer PRIMARY KEY,
	threshold_id integer NOT NULL,
	operation text NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	changed_by name NOT NULL,
	was jsonb,
	is_now jsonb
);

/* Where and when alarms are not announced, by the time of the readings. */
CREATE SEQUENCE _factorymon.maintenance_window_id_seq AS integer;

CREATE TABLE factorymon.maintenance_window (
	window_id integer PRIMARY KEY
		DEFAULT nextval('_factorymon.maintenance_window_id_seq'),
	pipeline text,
	zone text,
	machine_id text,
	starts_at timestamptz NOT NULL,
	ends_at timestamptz NOT NULL,
	reason text NOT NULL CHECK (reason <> ''),
	/* set by a trigger, as in threshold */
	version integer NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	updated_by name NOT NULL DEFAULT current_user,
	CONSTRAINT maintenance_window_one_scope
		CHECK (num_nonnulls(zone, machine_id) = 1),
	CONSTRAINT maintenance_window_finite
		CHECK (isfinite(starts_at) AND isfinite(ends_at)),
	CONSTRAINT maintenance_window_not_empty CHECK (starts_at < ends_at)
);

CREATE TABLE factorymon.maintenance_window_history (
	version integer PRIMARY KEY,
	window_id integer NOT NULL,
	operation text NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	changed_by name NOT NULL,
	was jsonb,
	is_now jsonb
);

/*
 * Detectors by sensor type: a row switches one on.  What is null is as in
 * default_detectors().  Versions come from the sequence of thresholds', so that
 * the limit_version of a transition names one row of one history.
 */
CREATE SEQUENCE _factorymon.detector_id_seq AS integer;

CREATE TABLE factorymon.detector (
	detector_id integer PRIMARY KEY
		DEFAULT nextval('_factorymon.detector_id_seq'),
	sensor_type text NOT NULL
		CHECK (sensor_type <> '' AND octet_length(sensor_type) <= 63),
	detector text NOT NULL CHECK (detector IN
		('anomaly', 'rate', 'flat', 'sequence', 'time', 'seasonal')),
	enabled boolean NOT NULL DEFAULT true,
	report double precision,
	/* what is learned of values: anomaly, rate, seasonal */
	weight double precision CHECK (weight > 0 AND weight < 1),
	time_constant interval CHECK (time_constant > interval '0'),
	clip double precision CHECK (clip BETWEEN 1 AND 10),
	learn integer,
	resolution double precision
		CHECK (resolution > 0 AND resolution < 'Infinity'),
	/* rate */
	max_per_minute double precision
		CHECK (max_per_minute > 0 AND max_per_minute < 'Infinity'),
	span interval CHECK (span > interval '0'),
	/* flat */
	tolerance double precision
		CHECK (tolerance >= 0 AND tolerance < 'Infinity'),
	min_duration interval CHECK (min_duration >= interval '0'),
	/* seasonal */
	utc_offset interval CHECK (utc_offset
		BETWEEN interval '-24 hours' AND interval '24 hours'),
	/* alarms */
	alarm boolean NOT NULL DEFAULT false,
	raise_after integer CHECK (raise_after BETWEEN 1 AND 10000),
	return_after integer CHECK (return_after BETWEEN 1 AND 10000),
	severity smallint NOT NULL DEFAULT 200
		CHECK (severity BETWEEN 1 AND 1000),
	re_alarm_after interval CHECK (re_alarm_after > interval '0'),
	acknowledgement boolean NOT NULL DEFAULT true,
	shelvable boolean NOT NULL DEFAULT true,
	comment text,
	/* set by a trigger: only restored rows come with one */
	version integer NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	updated_by name NOT NULL DEFAULT current_user,
	UNIQUE (sensor_type, detector),
	CONSTRAINT detector_report CHECK (CASE detector
		WHEN 'flat' THEN report BETWEEN 3 AND 1000000
		WHEN 'sequence' THEN report BETWEEN 1 AND 1000000
		WHEN 'time' THEN report BETWEEN 0 AND 1000000
		ELSE report BETWEEN 2 AND 1000 END),
	CONSTRAINT detector_learn CHECK (CASE detector
		WHEN 'seasonal' THEN learn BETWEEN 1 AND 100
		ELSE learn BETWEEN 32 AND 1000000 END),
	/* as in threshold */
	CONSTRAINT detector_countable CHECK (
		greatest(time_constant, span, min_duration, re_alarm_after)
			<= interval '1000 years'),
	CONSTRAINT detector_weight_or_time CHECK (
		num_nonnulls(weight, time_constant) <= 1),
	CONSTRAINT detector_learning CHECK (
		detector IN ('anomaly', 'rate', 'seasonal')
		OR num_nonnulls(weight, time_constant, clip, learn) = 0),
	CONSTRAINT detector_values CHECK (
		detector NOT IN ('sequence', 'time') OR resolution IS NULL),
	CONSTRAINT detector_rate CHECK (
		detector = 'rate' OR num_nonnulls(max_per_minute, span) = 0),
	CONSTRAINT detector_flat CHECK (
		detector = 'flat' OR num_nonnulls(tolerance, min_duration) = 0),
	CONSTRAINT detector_seasonal CHECK (
		detector = 'seasonal' OR utc_offset IS NULL)
);

/* Every change of detectors: who, when, what was and what is. */
CREATE TABLE factorymon.detector_history (
	version integer PRIMARY KEY,
	detector_id integer NOT NULL,
	operation text NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	changed_by name NOT NULL,
	was jsonb,
	is_now jsonb
);

/*
 * Who looks after what: an operating position is a seat in the control room.
 * What no row speaks of has one position per section; see position_of().
 */
CREATE TABLE factorymon.operating_position_map (
	factory_section text CHECK (factory_section <> ''),
	zone text CHECK (zone <> ''),
	pipeline text CHECK (pipeline <> ''),
	"position" text NOT NULL
		CONSTRAINT operating_position_map_name CHECK (
			"position" <> '' AND "position" = btrim("position")
			AND octet_length("position") <= 63),
	comment text,
	CONSTRAINT operating_position_map_one_row
		UNIQUE NULLS NOT DISTINCT (factory_section, zone, pipeline)
);

SELECT pg_catalog.pg_extension_config_dump('_factorymon.pipeline_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.pipeline', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.format', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.archive_setting', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.archive', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.retention', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.sensor_type', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.threshold_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.threshold_version_seq', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.threshold', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.threshold_history', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.maintenance_window_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.maintenance_window', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.maintenance_window_history', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.detector_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.detector', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.detector_history', '');
SELECT pg_catalog.pg_extension_config_dump('factorymon.operating_position_map', '');

/* ======================================================================
 * 3. Storage
 * ==================================================================== */

/* A stream is one log: (pipeline, topic, partition, incarnation).  The one of
 * no topic has what is no log's: alarms of silence, see src/silence.c. */
CREATE SEQUENCE _factorymon.stream_id_seq AS integer;

CREATE TABLE _factorymon.stream (
	stream_id integer PRIMARY KEY,
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	topic text NOT NULL,
	kafka_partition integer NOT NULL CHECK (kafka_partition >= -1),
	incarnation integer NOT NULL CHECK (incarnation >= 1),
	created_at timestamptz NOT NULL DEFAULT now(),
	retired_at timestamptz,
	retired_reason text,
	CHECK ((kafka_partition = -1) = (topic = '')),
	UNIQUE (pipeline_id, topic, kafka_partition, incarnation)
);

/* Where each stream stands: the one truth about what is stored.  One row a
 * stream, updated by every batch, locked by whoever takes the stream. */
CREATE TABLE _factorymon.partition_offset (
	stream_id integer PRIMARY KEY
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	epoch bigint NOT NULL DEFAULT 0,
	owner text,
	taken_at timestamptz,
	/* next offset to read; everything below it is in the ledger */
	position bigint NOT NULL CHECK (position >= 0),
	/* null unless this partition alone is paused */
	paused_at timestamptz,
	paused_by text,
	/* why the stream waits for a person; null: it does not */
	stopped_reason text,
	stopped_detail text,
	/* a person said resume: the next take may go on past the loss */
	accept_loss boolean NOT NULL DEFAULT false,
	/* proof that the log is still the same: last message and anchor */
	last_offset bigint,
	last_timestamp bigint,
	last_digest bigint,
	anchor_offset bigint,
	anchor_timestamp bigint,
	anchor_digest bigint,
	anchor_proven_at timestamptz,
	/* the open extent [extent_from, position); see the ledger for meanings */
	extent_from bigint NOT NULL,
	extent_opened_at timestamptz NOT NULL DEFAULT now(),
	extent_messages bigint NOT NULL DEFAULT 0,
	extent_rejected bigint NOT NULL DEFAULT 0,
	extent_other bigint NOT NULL DEFAULT 0,
	extent_suppressed bigint NOT NULL DEFAULT 0,
	extent_readings bigint NOT NULL DEFAULT 0,
	extent_reading_hash bigint NOT NULL DEFAULT 0,
	extent_reject_hash bigint NOT NULL DEFAULT 0,
	extent_duplicates bigint NOT NULL DEFAULT 0,
	/* of all closed extents of the stream, adjustments included */
	closed_duplicates bigint NOT NULL DEFAULT 0,
	/* the fold: evaluated up to here; what its snapshot does not hold yet */
	fold_position bigint NOT NULL DEFAULT 0,
	snapshot_position bigint NOT NULL DEFAULT 0,
	fold_min_ts timestamptz,
	fold_max_ts timestamptz,
	/* number of the last transition that goes out, see publication */
	out_seq bigint NOT NULL DEFAULT 0,
	/* timestamp (ms since 1970) of the last message delivered, and when */
	committed_at timestamptz
) WITH (fillfactor = 40, autovacuum_vacuum_threshold = 500,
		autovacuum_vacuum_scale_factor = 0);

/* Per-sensor state in chunks, sensors (part 0), alarms (1), detectors (2) and
 * what these are set to (3); see src/fold_snapshot.c. */
CREATE TABLE _factorymon.fold_chunk (
	stream_id integer NOT NULL
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	part smallint NOT NULL,
	chunk integer NOT NULL,
	written_at timestamptz NOT NULL DEFAULT now(),
	state bytea NOT NULL,
	PRIMARY KEY (stream_id, part, chunk)
);

/* The present state of each alarm: one condition of one sensor as it came
 * through one stream.  Written with its transitions; see src/alarm_store.c. */
CREATE TABLE _factorymon.alarm (
	stream_id integer NOT NULL
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	sensor_id integer NOT NULL,
	condition text NOT NULL,
	/* of the alarm that is, or of the last one */
	alarm_id uuid,
	seq integer NOT NULL,
	state text NOT NULL,
	level smallint NOT NULL,
	since timestamptz,
	raised_at timestamptz,
	re_alarms integer NOT NULL,
	/* what calls for an operator last, and when (event time) */
	announced_event_id uuid,
	announced_at timestamptz,
	/* the last transition */
	event_id uuid NOT NULL,
	event_time timestamptz,
	sensor_version_id integer,
	severity smallint,
	value double precision,
	limit_value double precision,
	/* what blocks it, if anything does */
	shelving text NOT NULL,
	shelved_until timestamptz,
	blocks smallint NOT NULL,
	chattering boolean NOT NULL,
	/* the alarm itself, as of this position of the fold */
	as_of bigint NOT NULL,
	record bytea NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (stream_id, sensor_id, condition)
) WITH (fillfactor = 60);
CREATE INDEX alarm_announced ON _factorymon.alarm (announced_event_id);
CREATE INDEX alarm_blocked ON _factorymon.alarm (sensor_id)
	WHERE blocks <> 0 OR shelving <> 'none';

/* What operators ask of alarms; answered by the owner of the stream, see
 * src/request.c and src/answer.c.  No foreign keys: a request is history. */
CREATE TABLE _factorymon.request (
	request_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	stream_id integer NOT NULL,
	sensor_id integer NOT NULL,
	condition text NOT NULL,
	action text NOT NULL,
	event_id uuid,
	until timestamptz,
	one_shot boolean NOT NULL,
	comment text,
	actor name NOT NULL,
	/* requests are answered in this order, those of one transaction too */
	requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	answered_at timestamptz,
	outcome text,
	answer text
);
CREATE INDEX request_pending ON _factorymon.request (stream_id)
	WHERE answered_at IS NULL;
CREATE INDEX request_answered ON _factorymon.request (answered_at);

/* What operators want to last, as requests that would bring it about anew: the
 * blocks of each alarm, but for shelving that is to end with it. */
CREATE VIEW _factorymon.lasting_request AS
SELECT a.stream_id, a.sensor_id, a.condition, x.action, x.until, r.comment,
		coalesce(r.actor, 'factorymon') AS actor
	FROM _factorymon.alarm a
	JOIN _factorymon.stream s USING (stream_id)
	CROSS JOIN LATERAL (VALUES
			('suppress', a.blocks & 1 <> 0, NULL::timestamptz),
			('take_out_of_service', a.blocks & 2 <> 0, NULL),
			('retire', a.blocks & 8 <> 0, NULL),
			('shelve', a.shelving = 'timed', a.shelved_until))
		AS x (action, applies, until)
	LEFT JOIN LATERAL (
		SELECT q.comment, q.actor
			FROM _factorymon.request q
			WHERE q.stream_id = a.stream_id AND q.sensor_id = a.sensor_id
				AND q.condition = a.condition AND q.action = x.action
				AND q.outcome = 'done'
			ORDER BY q.answered_at DESC
			LIMIT 1) r ON true
	WHERE (a.blocks <> 0 OR a.shelving <> 'none') AND x.applies
		/* that of silence is not for others to follow */
		AND s.kafka_partition >= 0;

/* The server's default compression takes five times as long as lz4, and most
 * of the time of a snapshot. */
DO $$
BEGIN
	ALTER TABLE _factorymon.fold_chunk ALTER state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
	ALTER TABLE _factorymon.fold_chunk ALTER state SET STORAGE EXTERNAL;
END
$$;

CREATE SEQUENCE _factorymon.sensor_id_seq AS integer;

/*
 * Not foreign keys, here and in sensor_version: they would look up and lock a
 * row for each new sensor.  Who registers sensors locks the pipeline once, and
 * drop_pipeline() deletes them.
 */
CREATE TABLE _factorymon.sensor (
	sensor_id integer PRIMARY KEY,
	pipeline_id smallint NOT NULL,
	name text NOT NULL,
	registered_at timestamptz NOT NULL DEFAULT now(),
	/* retire_sensor(): null if it is not */
	retired_at timestamptz,
	retired_by name,
	retired_reason text,
	UNIQUE (name, pipeline_id)
);

CREATE SEQUENCE _factorymon.sensor_version_id_seq AS integer;

CREATE TABLE _factorymon.sensor_version (
	sensor_version_id integer PRIMARY KEY,
	sensor_id integer NOT NULL,
	sensor_type text NOT NULL,
	factory_section text NOT NULL,
	machine_id text NOT NULL,
	zone text NOT NULL,
	unit text NOT NULL,
	warning_threshold double precision,
	critical_threshold double precision,
	registered_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE NULLS NOT DISTINCT (sensor_id, sensor_type, factory_section,
		machine_id, zone, unit, warning_threshold, critical_threshold)
);

/* Last heartbeat of each producer, as it came through each stream. */
CREATE TABLE _factorymon.producer (
	stream_id integer NOT NULL
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	producer_id text NOT NULL,
	host text,
	version text,
	state text,
	connection text,
	sensors bigint,
	sent bigint,
	delivered bigint,
	errors bigint,
	heartbeat_interval double precision,
	started_at timestamptz,
	sent_at timestamptz,
	heartbeat_at timestamptz NOT NULL,
	kafka_offset bigint NOT NULL,
	PRIMARY KEY (stream_id, producer_id)
) WITH (fillfactor = 60);

CREATE TABLE _factorymon.event (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	consumer text,
	event text NOT NULL,
	partitions integer[],
	reason text
);
CREATE INDEX event_at ON _factorymon.event (at);

/* What messages had that their format did not expect; see drift.c. */
CREATE TABLE _factorymon.drift (
	pipeline_id smallint NOT NULL
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	path text NOT NULL,
	what text NOT NULL,
	first_seen timestamptz NOT NULL,
	last_seen timestamptz NOT NULL,
	messages bigint NOT NULL,
	example text,
	topic text NOT NULL,
	kafka_partition integer NOT NULL,
	kafka_offset bigint NOT NULL,
	PRIMARY KEY (pipeline_id, path, what)
);

/* The eleven below are parents only: create_pipeline() attaches a table a
 * pipeline, which is itself partitioned by time where noted. */

/* by time of the reading (ts) */
CREATE TABLE _factorymon.reading (
	ts timestamptz NOT NULL,
	kafka_offset bigint NOT NULL,
	value double precision NOT NULL,
	sensor_id integer NOT NULL,
	stream_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	reading_count integer,
	quality real,
	pipeline_id smallint NOT NULL,
	reading_index smallint NOT NULL,
	level smallint NOT NULL,
	flags smallint NOT NULL,
	extra jsonb
) PARTITION BY LIST (pipeline_id);

/* by time of arrival (rejected_at) */
CREATE TABLE _factorymon.reject (
	rejected_at timestamptz NOT NULL,
	pipeline_id smallint NOT NULL,
	stream_id integer NOT NULL,
	kafka_offset bigint NOT NULL,
	message_at timestamptz,
	key bytea,
	value bytea,
	headers jsonb,
	reason text NOT NULL,
	sqlstate text NOT NULL,
	detail text,
	attempts integer NOT NULL DEFAULT 1
) PARTITION BY LIST (pipeline_id);

/* not by time: small, and needed for as long as the readings */
CREATE TABLE _factorymon.ledger (
	pipeline_id smallint NOT NULL,
	stream_id integer NOT NULL,
	from_offset bigint NOT NULL,
	to_offset bigint NOT NULL,
	kind text NOT NULL,
	messages bigint NOT NULL DEFAULT 0,
	rejected bigint NOT NULL DEFAULT 0,
	other bigint NOT NULL DEFAULT 0,
	suppressed bigint NOT NULL DEFAULT 0,
	readings bigint NOT NULL DEFAULT 0,
	reading_hash bigint NOT NULL DEFAULT 0,
	reject_hash bigint NOT NULL DEFAULT 0,
	duplicates bigint NOT NULL DEFAULT 0,
	reason text,
	opened_at timestamptz NOT NULL,
	closed_at timestamptz NOT NULL
) PARTITION BY LIST (pipeline_id);

/* Readings by their keys, by time of arrival (seen_at); each partition has a
 * unique index of its own on the key.  Which reading was the first? */
CREATE TABLE _factorymon.reading_key (
	seen_at timestamptz NOT NULL,
	key uuid NOT NULL,
	kafka_offset bigint NOT NULL,
	stream_id integer NOT NULL,
	pipeline_id smallint NOT NULL,
	reading_index smallint NOT NULL
) PARTITION BY LIST (pipeline_id);

/* Messages dropped because all their readings had been stored before, by time
 * of arrival (seen_at); first_*: of the first of its readings. */
CREATE TABLE _factorymon.duplicate (
	seen_at timestamptz NOT NULL,
	kafka_offset bigint NOT NULL,
	first_offset bigint NOT NULL,
	stream_id integer NOT NULL,
	first_stream_id integer NOT NULL,
	pipeline_id smallint NOT NULL,
	reading_id text NOT NULL
) PARTITION BY LIST (pipeline_id);

/* by time of recording (recorded_at) */
CREATE TABLE _factorymon.transition (
	recorded_at timestamptz NOT NULL,
	event_id uuid NOT NULL,
	alarm_id uuid NOT NULL,
	pipeline_id smallint NOT NULL,
	stream_id integer NOT NULL,
	kafka_offset bigint,
	reading_index smallint,
	ordinal smallint NOT NULL,
	seq integer NOT NULL,
	sensor_id integer NOT NULL,
	sensor_version_id integer,
	condition text NOT NULL,
	transition text NOT NULL,
	state text NOT NULL,
	level smallint NOT NULL,
	previous_state text,
	previous_level smallint,
	severity smallint,
	value double precision,
	limit_value double precision,
	deadband double precision,
	quality real,
	score double precision,
	event_time timestamptz,
	since timestamptz,
	raised_at timestamptz,
	announced boolean NOT NULL,
	blocked_by text,
	cause text NOT NULL,
	actor text,
	comment text,
	limit_version integer,
	/* goes out as the n-th of its stream; null: it does not */
	out_seq bigint
) PARTITION BY LIST (pipeline_id);

/* what detectors found; by time of recording (recorded_at) */
CREATE TABLE _factorymon.score (
	recorded_at timestamptz NOT NULL,
	ts timestamptz NOT NULL,
	kafka_offset bigint NOT NULL,
	score double precision NOT NULL,
	value double precision NOT NULL,
	sensor_id integer NOT NULL,
	stream_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	version integer NOT NULL,
	pipeline_id smallint NOT NULL,
	reading_index smallint NOT NULL,
	detector smallint NOT NULL
) PARTITION BY LIST (pipeline_id);

/*
 * Summaries of the readings of a sensor, as one of its descriptions, in a bucket
 * of time, see docs/rollups.md.  Of a minute there are several: they are to be
 * merged.  from_offset and to_offset are those of minutes alone: offsets of the
 * readings, of one stream (first_stream).
 */
CREATE TABLE _factorymon.rollup_1m (
	bucket timestamptz NOT NULL,
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	from_offset bigint,
	to_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	n integer NOT NULL,
	n_bad integer NOT NULL,
	n_warning integer NOT NULL,
	n_critical integer NOT NULL,
	first_stream integer,
	last_stream integer,
	pipeline_id smallint NOT NULL,
	first_index smallint,
	last_index smallint
) PARTITION BY LIST (pipeline_id);

CREATE TABLE _factorymon.rollup_1h (
	bucket timestamptz NOT NULL,
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	from_offset bigint,
	to_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	n integer NOT NULL,
	n_bad integer NOT NULL,
	n_warning integer NOT NULL,
	n_critical integer NOT NULL,
	first_stream integer,
	last_stream integer,
	pipeline_id smallint NOT NULL,
	first_index smallint,
	last_index smallint
) PARTITION BY LIST (pipeline_id);

CREATE TABLE _factorymon.rollup_1d (
	bucket timestamptz NOT NULL,
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	from_offset bigint,
	to_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	n integer NOT NULL,
	n_bad integer NOT NULL,
	n_warning integer NOT NULL,
	n_critical integer NOT NULL,
	first_stream integer,
	last_stream integer,
	pipeline_id smallint NOT NULL,
	first_index smallint,
	last_index smallint
) PARTITION BY LIST (pipeline_id);

/* From which time on the readings of a stream are not in rollup_1m yet, but for
 * those that no fold has taken in: they always are. */
CREATE TABLE _factorymon.rollup_stream (
	stream_id integer PRIMARY KEY
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	pending_from timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

/* How far hours and days have been computed, and in which time zone; whoever
 * changes minutes before marked_from leaves a mark.  From minutes_from on minutes
 * are all there, from hours_from on hours: see src/rollup_gone.c. */
CREATE TABLE _factorymon.rollup_progress (
	pipeline_id smallint PRIMARY KEY
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	time_zone text NOT NULL,
	marked_from timestamptz NOT NULL,
	hours_until timestamptz NOT NULL,
	days_until timestamptz NOT NULL,
	minutes_from timestamptz NOT NULL DEFAULT '-infinity',
	hours_from timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

/* Minutes that changed after their hour was computed: a quarter of an hour each.
 * The same may be there several times. */
CREATE TABLE _factorymon.rollup_mark (
	pipeline_id smallint NOT NULL,
	sensor_id integer NOT NULL,
	bucket timestamptz NOT NULL
);
CREATE INDEX rollup_mark_sensor ON _factorymon.rollup_mark
	(sensor_id, bucket);

/* What goes out to consumers, numbered (pub_seq) in the order in which it was
 * committed: transitions, floods.  Written by the publisher alone, see
 * src/publisher.c; the numbers are dense and are the cursor of whoever pages
 * through or listens.  No foreign keys: what went out is history. */
CREATE TABLE _factorymon.publication (
	pipeline_id smallint NOT NULL,
	pub_seq bigint NOT NULL,
	event_id uuid NOT NULL,
	/* the transition that it tells; null: it tells something else */
	stream_id integer,
	out_seq bigint,
	recorded_at timestamptz NOT NULL,
	numbered_at timestamptz NOT NULL DEFAULT now(),
	/* key and value of the message */
	message_key text NOT NULL,
	payload text NOT NULL,
	/* what its headers repeat */
	alarm_id uuid,
	transition text NOT NULL,
	severity smallint,
	announced boolean NOT NULL,
	source_topic text,
	source_partition integer,
	source_offset bigint,
	/* there was a topic to send it to; see delivery */
	to_kafka boolean NOT NULL DEFAULT false,
	PRIMARY KEY (pipeline_id, pub_seq)
);

/* What became of them on their way to Kafka; no row: nothing was tried yet.  On
 * its own, so that publications, which are large, are written once. */
CREATE TABLE _factorymon.delivery (
	pipeline_id smallint NOT NULL,
	pub_seq bigint NOT NULL,
	delivered_at timestamptz,
	attempts integer NOT NULL,
	attempted_at timestamptz NOT NULL,
	last_error text,
	PRIMARY KEY (pipeline_id, pub_seq)
);

/* Up to where each stream's transitions are numbered there. */
CREATE TABLE _factorymon.publisher_stream (
	stream_id integer PRIMARY KEY
		REFERENCES _factorymon.stream ON DELETE CASCADE,
	out_seq bigint NOT NULL
);

/* One row a pipeline: the last number given, and the one up to which Kafka has
 * all that is for it. */
CREATE TABLE _factorymon.publisher (
	pipeline_id smallint PRIMARY KEY
		REFERENCES _factorymon.pipeline ON DELETE CASCADE,
	pub_seq bigint NOT NULL DEFAULT 0,
	delivered_seq bigint NOT NULL DEFAULT 0
);

/*
 * What key figures are made of, kept by the transaction that numbers what goes
 * out; see src/kpi.c.  Positions are stored by the name that they had then.
 */

/* Announcements by severity; bins of 10 minutes, since 2000-01-01 UTC. */
CREATE TABLE _factorymon.alarm_bin (
	bin_at timestamptz NOT NULL,
	"position" text NOT NULL,
	pipeline_id smallint NOT NULL,
	low integer NOT NULL,
	medium integer NOT NULL,
	high integer NOT NULL,
	PRIMARY KEY (bin_at, "position", pipeline_id)
) WITH (fillfactor = 80);

/*
 * A call: an alarm from the first time it calls for an operator until it is
 * acknowledged, or over.  What happens to the alarm afterwards is noted in its
 * last call, until it calls again.
 */
CREATE TABLE _factorymon.alarm_call (
	alarm_id uuid NOT NULL,
	call integer NOT NULL,
	pipeline_id smallint NOT NULL,
	stream_id integer,
	sensor_id integer,
	condition text,
	"position" text NOT NULL,
	/* the highest announced */
	severity smallint NOT NULL,
	re_alarm boolean NOT NULL,
	announced_at timestamptz NOT NULL,
	announcements integer NOT NULL,
	raises integer NOT NULL,
	fleeting integer NOT NULL,
	chatterings integer NOT NULL,
	/* time of the reading that raised it last; null: it is not there */
	active_since timestamptz,
	acknowledged_at timestamptz,
	acknowledged_by text,
	/* when the alarm was over */
	ended_at timestamptz,
	PRIMARY KEY (alarm_id, call)
) WITH (fillfactor = 80);
CREATE INDEX alarm_call_announced ON _factorymon.alarm_call (announced_at);

/* Each time that something kept an alarm from being announced. */
CREATE TABLE _factorymon.alarm_block (
	pipeline_id smallint NOT NULL,
	/* publication that told of it */
	pub_seq bigint NOT NULL,
	stream_id integer,
	sensor_id integer,
	condition text,
	"position" text NOT NULL,
	kind text NOT NULL,
	blocked_at timestamptz NOT NULL,
	blocked_by text,
	reason text,
	unblocked_at timestamptz,
	unblocked_by text,
	PRIMARY KEY (pipeline_id, pub_seq)
);
CREATE INDEX alarm_block_open ON _factorymon.alarm_block
	(stream_id, sensor_id) WHERE unblocked_at IS NULL;

/*
 * The present of each position: the last announcements (no more than
 * FM_FLOOD_MEMORY) and the flood that goes on, if one does; see src/flood.h.
 * Locked, in the order of their names, by whoever counts for them.
 */
CREATE TABLE _factorymon.operating_position (
	"position" text PRIMARY KEY,
	clock_at timestamptz NOT NULL DEFAULT '-infinity',
	recent timestamptz[] NOT NULL DEFAULT '{}',
	flood_id uuid,
	/* whose publisher tells of it */
	flood_pipeline_id smallint,
	started_at timestamptz,
	/* when it will be over, if nothing more is announced */
	ends_at timestamptz,
	announcements integer NOT NULL DEFAULT 0,
	peak integer NOT NULL DEFAULT 0
) WITH (fillfactor = 60);

/* Up to 8 kB of times, written whenever something is announced. */
DO $$
BEGIN
	ALTER TABLE _factorymon.operating_position
		ALTER recent SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
	NULL;						/* a server built without it takes its default */
END
$$;

/* Each flood; the counts are set when it ends.  The numbers say with which
 * publication it was told; null: it has not been yet. */
CREATE TABLE _factorymon.flood (
	flood_id uuid PRIMARY KEY,
	pipeline_id smallint NOT NULL,
	"position" text NOT NULL,
	since timestamptz NOT NULL,
	started_at timestamptz NOT NULL,
	ended_at timestamptz,
	announcements integer NOT NULL,
	peak integer NOT NULL,
	started_seq bigint,
	ended_seq bigint
);
CREATE UNIQUE INDEX flood_open ON _factorymon.flood ("position")
	WHERE ended_at IS NULL;
CREATE INDEX flood_untold ON _factorymon.flood (pipeline_id)
	WHERE ended_seq IS NULL;
CREATE INDEX flood_started ON _factorymon.flood (started_at);

SELECT pg_catalog.pg_extension_config_dump('_factorymon.stream_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.stream', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.partition_offset', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.fold_chunk', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.alarm', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.request', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.sensor_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.sensor', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.sensor_version_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.sensor_version', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.producer', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.event', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.drift', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.rollup_stream', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.rollup_progress', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.rollup_mark', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.publication', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.delivery', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.publisher_stream', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.publisher', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.alarm_bin', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.alarm_call', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.alarm_block', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.operating_position', '');
SELECT pg_catalog.pg_extension_config_dump('_factorymon.flood', '');

/* ======================================================================
 * 4. Functions
 * ==================================================================== */

/* --- 4a. decoding ---------------------------------------------------- */

CREATE FUNCTION _factorymon.decode(
	payload bytea,
	OUT reason text,
	OUT sqlstate text,
	OUT detail text,
	OUT reading_index integer,
	OUT ts timestamptz,
	OUT sensor_id text,
	OUT sensor_type text,
	OUT factory_section text,
	OUT machine_id text,
	OUT zone text,
	OUT value double precision,
	OUT unit text,
	OUT reported_level text,
	OUT quality real,
	OUT reading_count integer,
	OUT warning_threshold double precision,
	OUT critical_threshold double precision,
	OUT ts_digits integer,
	OUT extra jsonb,
	OUT unique_id text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_decode'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1;
COMMENT ON FUNCTION _factorymon.decode(bytea) IS
	'what the decoder makes of a message: its readings, or the reason why it is refused';

CREATE FUNCTION _factorymon.decode_with(
	format text,
	mapping jsonb,
	message text,
	OUT reason text,
	OUT sqlstate text,
	OUT detail text,
	OUT reading_index integer,
	OUT ts timestamptz,
	OUT sensor_id text,
	OUT sensor_type text,
	OUT factory_section text,
	OUT machine_id text,
	OUT zone text,
	OUT value double precision,
	OUT unit text,
	OUT reported_level text,
	OUT quality real,
	OUT reading_count integer,
	OUT warning_threshold double precision,
	OUT critical_threshold double precision,
	OUT ts_digits integer,
	OUT extra jsonb,
	OUT unique_id text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_try_format'
LANGUAGE C STABLE ROWS 2;
COMMENT ON FUNCTION _factorymon.decode_with(text, jsonb, text) IS
	'what a format makes of a message: one given by name, or where mapping is not null, that one';

CREATE FUNCTION factorymon.default_formats(
	OUT name text,
	OUT mapping jsonb,
	OUT description text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_default_formats'
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 4;

/* The columns of sensor_readings that a message alone decides, and what it
 * would be refused for.  Not public: one of format and mapping is null. */
CREATE FUNCTION _factorymon.tried(format text, mapping jsonb, message text)
RETURNS TABLE (
	reading_index integer,
	ts timestamptz,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	value double precision,
	unit text,
	reported_level text,
	quality real,
	reading_count integer,
	metadata jsonb,
	unique_id text,
	extra jsonb,
	reason text,
	sqlstate text,
	detail text)
LANGUAGE sql STABLE ROWS 2
AS $$
SELECT d.reading_index, d.ts, d.sensor_id, d.sensor_type, d.factory_section,
		d.machine_id, d.zone, d.value, d.unit, d.reported_level, d.quality,
		d.reading_count,
		nullif(jsonb_strip_nulls(jsonb_build_object(
			'reading_count', d.reading_count,
			'warning_threshold', d.warning_threshold,
			'critical_threshold', d.critical_threshold)), '{}'),
		d.unique_id, d.extra, d.reason, d.sqlstate, d.detail
	FROM _factorymon.decode_with($1, $2, $3) AS d
$$;
COMMENT ON FUNCTION _factorymon.tried(text, jsonb, text) IS
	'what both forms of factorymon.try_format() return';

CREATE FUNCTION factorymon.try_format(format text, message text)
RETURNS TABLE (
	reading_index integer,
	ts timestamptz,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	value double precision,
	unit text,
	reported_level text,
	quality real,
	reading_count integer,
	metadata jsonb,
	unique_id text,
	extra jsonb,
	reason text,
	sqlstate text,
	detail text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM _factorymon.tried($1, NULL, $2)
$$;

CREATE FUNCTION factorymon.try_format(mapping jsonb, message text)
RETURNS TABLE (
	reading_index integer,
	ts timestamptz,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	value double precision,
	unit text,
	reported_level text,
	quality real,
	reading_count integer,
	metadata jsonb,
	unique_id text,
	extra jsonb,
	reason text,
	sqlstate text,
	detail text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM _factorymon.tried(NULL, $1, $2)
$$;

CREATE FUNCTION _factorymon.format_check() RETURNS trigger
AS 'MODULE_PATHNAME', 'factorymon_format_check' LANGUAGE C;
REVOKE EXECUTE ON FUNCTION _factorymon.format_check() FROM PUBLIC;

CREATE FUNCTION _factorymon.format_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'factorymon_format_changed' LANGUAGE C;
REVOKE EXECUTE ON FUNCTION _factorymon.format_changed() FROM PUBLIC;

CREATE TRIGGER format_check
	BEFORE INSERT OR UPDATE OR DELETE ON factorymon.format
	FOR EACH ROW EXECUTE FUNCTION _factorymon.format_check();
ALTER TABLE factorymon.format ENABLE ALWAYS TRIGGER format_check;

CREATE TRIGGER format_truncate
	BEFORE TRUNCATE ON factorymon.format
	FOR EACH STATEMENT EXECUTE FUNCTION _factorymon.format_check();

CREATE TRIGGER format_changed
	AFTER UPDATE ON factorymon.format
	FOR EACH ROW EXECUTE FUNCTION _factorymon.format_changed();
ALTER TABLE factorymon.format ENABLE ALWAYS TRIGGER format_changed;

CREATE FUNCTION _factorymon.rebuild(
	ts timestamptz,
	flags smallint,
	value double precision,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	unit text,
	level smallint,
	quality real,
	reading_count integer,
	warning_threshold double precision,
	critical_threshold double precision,
	extra jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'factorymon_rebuild'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _factorymon.rebuild(timestamptz, smallint, double precision, text, text, text, text, text, text, smallint, real, integer, double precision, double precision, jsonb) IS
	'the message that a reading came from, as a JSON value equal to the original';

CREATE FUNCTION _factorymon.compose_add(
	state internal,
	format text,
	ts timestamptz,
	flags smallint,
	value double precision,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	unit text,
	level smallint,
	quality real,
	reading_count integer,
	warning_threshold double precision,
	critical_threshold double precision,
	extra jsonb)
RETURNS internal
AS 'MODULE_PATHNAME', 'factorymon_compose_add'
LANGUAGE C STABLE;

CREATE FUNCTION _factorymon.compose_end(state internal)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'factorymon_compose_end'
LANGUAGE C STABLE;

CREATE AGGREGATE _factorymon.compose(
	format text,
	ts timestamptz,
	flags smallint,
	value double precision,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	unit text,
	level smallint,
	quality real,
	reading_count integer,
	warning_threshold double precision,
	critical_threshold double precision,
	extra jsonb) (
	SFUNC = _factorymon.compose_add,
	STYPE = internal,
	FINALFUNC = _factorymon.compose_end
);
COMMENT ON AGGREGATE _factorymon.compose(text, timestamptz, smallint, double precision, text, text, text, text, text, text, smallint, real, integer, double precision, double precision, jsonb) IS
	'the message of a mapped format that these readings, in their order, came from, as a JSON value equal to the original; null if they do not tell';

CREATE FUNCTION _factorymon.told(message jsonb, pipeline text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'factorymon_told'
LANGUAGE C STABLE;
COMMENT ON FUNCTION _factorymon.told(jsonb, text) IS
	'the message, or an error if it is null';

/* --- 4b. classification, sensors and fold ----------------------------- */

/* C: factorymon_classify() and factorymon_classify_side() tell the two forms
 * apart by the number of arguments. */
CREATE FUNCTION factorymon.classify(
	value double precision,
	warning double precision,
	critical double precision)
RETURNS text
AS 'MODULE_PATHNAME', 'factorymon_classify'
LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;

CREATE FUNCTION factorymon.classify(
	value double precision,
	critical_low double precision,
	warning_low double precision,
	warning_high double precision,
	critical_high double precision)
RETURNS text
AS 'MODULE_PATHNAME', 'factorymon_classify'
LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;

CREATE FUNCTION factorymon.classify_side(
	value double precision,
	warning double precision,
	critical double precision)
RETURNS text
AS 'MODULE_PATHNAME', 'factorymon_classify_side'
LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;

CREATE FUNCTION factorymon.classify_side(
	value double precision,
	critical_low double precision,
	warning_low double precision,
	warning_high double precision,
	critical_high double precision)
RETURNS text
AS 'MODULE_PATHNAME', 'factorymon_classify_side'
LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;

/* The built-in types; the cache of limits and the simulator agree on them. */
CREATE FUNCTION factorymon.default_sensor_types()
RETURNS TABLE (
	sensor_type text,
	unit text,
	base_value double precision,
	sampling_interval_seconds double precision,
	resolution double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	SELECT * FROM (VALUES
		('temperature', '°C', 25.0::float8, 3.0::float8, 0.01::float8),
		('vibration', 'mm/s', 2.0, 4.0, 0.01),
		('energy', 'kW', 100.0, 10.0, 0.1),
		('humidity', '%RH', 45.0, 5.0, 0.1),
		('pressure', 'bar', 6.0, 5.0, 0.01)) AS v;
END;

CREATE FUNCTION factorymon.default_thresholds()
RETURNS TABLE (
	sensor_type text,
	critical_low double precision,
	warning_low double precision,
	warning_high double precision,
	critical_high double precision,
	deadband double precision,
	on_delay interval,
	off_delay interval)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	SELECT * FROM (VALUES
		('temperature', 5::float8, 10::float8, 35::float8, 40::float8,
			0.5::float8, interval '6 s', interval '30 s'),
		('vibration', NULL, NULL, 5, 7, 0.3, '8 s', '40 s'),
		('energy', NULL, NULL, 150, 180, 3, '20 s', '60 s'),
		('humidity', 20, 30, 60, 70, 2, '10 s', '60 s'),
		('pressure', 4.5, 5.2, 7.2, 8.0, 0.1, '10 s', '30 s')) AS v;
END;

/* What a column of factorymon.detector that is null means. */
CREATE FUNCTION factorymon.default_detectors()
RETURNS TABLE (
	detector text,
	report double precision,
	weight double precision,
	time_constant interval,
	clip double precision,
	learn integer,
	span interval,
	tolerance double precision,
	min_duration interval,
	utc_offset interval,
	raise_after integer,
	return_after integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 6
BEGIN ATOMIC
	SELECT * FROM (VALUES
		('anomaly', 5::float8, 0.01::float8, NULL::interval, 1.5::float8,
			200, NULL::interval, NULL::float8, NULL::interval,
			NULL::interval, 3, 10),
		('rate', 5, 0.01, NULL, 1.5, 200, '30 s', NULL, NULL, NULL, 1, 10),
		('flat', 20, NULL, NULL, NULL, NULL, NULL, 0, '60 s', NULL, 1, 1),
		('sequence', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
			1, 50),
		('time', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3, 10),
		('seasonal', 5, NULL, '3 hours', 2, 3, NULL, NULL, NULL, '0',
			10, 10)) AS v;
END;

CREATE FUNCTION _factorymon.limits_of(
	pipeline text,
	sensor_type text,
	zone text,
	machine_id text,
	sensor_id text,
	OUT critical_low double precision,
	OUT warning_low double precision,
	OUT warning_high double precision,
	OUT critical_high double precision,
	OUT deadband double precision,
	OUT expected_interval interval,
	OUT threshold_id integer)
AS 'MODULE_PATHNAME', 'factorymon_limits_of'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION
	_factorymon.limits_of(text, text, text, text, text) FROM PUBLIC;

/* Who looks after a place: the most specific row, one of the pipeline before
 * one of any; else the section, or for what is nowhere the pipeline.  A table
 * function without settings of its own becomes part of a statement that calls
 * it (src/kpi.c), and is planned with it, once; hence its search_path must be
 * the caller's care. */
CREATE FUNCTION _factorymon.position_at(
	pipeline text,
	factory_section text,
	zone text)
RETURNS TABLE ("position" text)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
	SELECT coalesce((
		SELECT m."position"
			FROM factorymon.operating_position_map m
			WHERE (m.factory_section IS NULL OR m.factory_section = $2)
				AND (m.zone IS NULL OR m.zone = $3)
				AND (m.pipeline IS NULL OR m.pipeline = $1)
			ORDER BY m.zone IS NULL, m.factory_section IS NULL,
				m.pipeline IS NULL
			LIMIT 1), nullif($2, ''), $1)
$$;
REVOKE EXECUTE ON FUNCTION
	_factorymon.position_at(text, text, text) FROM PUBLIC;

CREATE FUNCTION _factorymon.position_of(
	pipeline text,
	factory_section text,
	zone text)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p."position" FROM _factorymon.position_at($1, $2, $3) AS p
$$;

CREATE FUNCTION _factorymon.threshold_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'factorymon_threshold_changed' LANGUAGE C;
REVOKE EXECUTE ON FUNCTION _factorymon.threshold_changed() FROM PUBLIC;

CREATE FUNCTION _factorymon.threshold_stamp() RETURNS trigger
AS 'MODULE_PATHNAME', 'factorymon_threshold_stamp' LANGUAGE C;
REVOKE EXECUTE ON FUNCTION _factorymon.threshold_stamp() FROM PUBLIC;

CREATE TRIGGER threshold_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON factorymon.threshold
	FOR EACH STATEMENT EXECUTE FUNCTION _factorymon.threshold_changed();
/* also where triggers are off, as on a subscriber */
ALTER TABLE factorymon.threshold ENABLE ALWAYS TRIGGER threshold_changed;

CREATE TRIGGER threshold_stamp
	BEFORE INSERT OR UPDATE ON factorymon.threshold
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_stamp();
/* a row needs its version wherever it comes from */
ALTER TABLE factorymon.threshold ENABLE ALWAYS TRIGGER threshold_stamp;

CREATE FUNCTION _factorymon.threshold_record() RETURNS trigger
AS 'MODULE_PATHNAME', 'factorymon_threshold_record' LANGUAGE C
SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION _factorymon.threshold_record() FROM PUBLIC;

CREATE TRIGGER threshold_record
	AFTER INSERT OR UPDATE OR DELETE ON factorymon.threshold
	FOR EACH ROW EXECUTE FUNCTION
		_factorymon.threshold_record('threshold_history', 'threshold_id');

/* Maintenance windows are watched in the same way. */
CREATE TRIGGER maintenance_window_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
	ON factorymon.maintenance_window
	FOR EACH STATEMENT EXECUTE FUNCTION _factorymon.threshold_changed();
ALTER TABLE factorymon.maintenance_window
	ENABLE ALWAYS TRIGGER maintenance_window_changed;

CREATE TRIGGER maintenance_window_stamp
	BEFORE INSERT OR UPDATE ON factorymon.maintenance_window
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_stamp();
ALTER TABLE factorymon.maintenance_window
	ENABLE ALWAYS TRIGGER maintenance_window_stamp;

CREATE TRIGGER maintenance_window_record
	AFTER INSERT OR UPDATE OR DELETE ON factorymon.maintenance_window
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_record(
		'maintenance_window_history', 'window_id');

CREATE TRIGGER detector_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON factorymon.detector
	FOR EACH STATEMENT EXECUTE FUNCTION _factorymon.threshold_changed();
ALTER TABLE factorymon.detector ENABLE ALWAYS TRIGGER detector_changed;

CREATE TRIGGER detector_stamp
	BEFORE INSERT OR UPDATE ON factorymon.detector
	FOR EACH ROW EXECUTE FUNCTION _factorymon.threshold_stamp();
ALTER TABLE factorymon.detector ENABLE ALWAYS TRIGGER detector_stamp;

CREATE TRIGGER detector_record
	AFTER INSERT OR UPDATE OR DELETE ON factorymon.detector
	FOR EACH ROW EXECUTE FUNCTION
		_factorymon.threshold_record('detector_history', 'detector_id');

/* Views that use it run it with the rights of whoever reads them.  It decodes
 * bytes that it is given, and checks them, so anybody may. */
CREATE FUNCTION _factorymon.fold_sensors(
	state bytea,
	OUT sensor_id integer,
	OUT sensor_version_id integer,
	OUT last_ts timestamptz,
	OUT last_offset bigint,
	OUT last_value double precision,
	OUT last_quality real,
	OUT level smallint,
	OUT first_ts timestamptz,
	OUT message_at timestamptz,
	OUT readings bigint,
	OUT normal bigint,
	OUT warning bigint,
	OUT critical bigint,
	OUT late bigint,
	OUT future bigint,
	OUT low_quality bigint,
	OUT expected_interval double precision,
	OUT gaps bigint,
	OUT repeats bigint,
	OUT producer_restarts bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_fold_sensors'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1000;

/* --- 4c. control ------------------------------------------------------ */

CREATE FUNCTION factorymon.create_pipeline(
	topic text,
	server text,
	name text DEFAULT NULL,
	consumer_group text DEFAULT 'sensor-processors',
	format text DEFAULT 'factory',
	workers integer DEFAULT 1,
	start text DEFAULT 'earliest',
	start_at timestamptz DEFAULT NULL,
	on_data_loss text DEFAULT 'stop',
	accept_past interval DEFAULT interval '7 days',
	accept_future interval DEFAULT interval '1 hour',
	retention interval DEFAULT NULL,
	partition_interval interval DEFAULT interval '1 day',
	paused boolean DEFAULT false,
	alert_topic text DEFAULT 'alerts',
	rollups boolean DEFAULT true,
	time_zone text DEFAULT NULL,
	deduplicate text DEFAULT 'none',
	deduplicate_ttl interval DEFAULT interval '1 day')
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_create_pipeline';

CREATE FUNCTION factorymon.alter_pipeline(
	pipeline text,
	server text DEFAULT NULL,
	topic text DEFAULT NULL,
	consumer_group text DEFAULT NULL,
	workers integer DEFAULT NULL,
	on_data_loss text DEFAULT NULL,
	accept_past interval DEFAULT NULL,
	accept_future interval DEFAULT NULL,
	retention interval DEFAULT NULL,
	partition_interval interval DEFAULT NULL,
	owner name DEFAULT NULL,
	alert_topic text DEFAULT NULL,
	format text DEFAULT NULL,
	rollups boolean DEFAULT NULL,
	time_zone text DEFAULT NULL,
	deduplicate text DEFAULT NULL,
	deduplicate_ttl interval DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_alter_pipeline';

CREATE FUNCTION factorymon.set_retention(
	pipeline text,
	level text,
	keep interval)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_set_retention';
COMMENT ON FUNCTION factorymon.set_retention(text, text, interval) IS
	'how long readings, rejects, alarms, minutes, hours, days or the ledger of a pipeline are kept; null: as long as the retention of the pipeline says (rollups, ledger: for ever), 0: for ever';

CREATE FUNCTION factorymon.set_archive(
	pipeline text,
	enabled boolean DEFAULT NULL,
	at interval DEFAULT NULL,
	time_zone text DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_set_archive';
COMMENT ON FUNCTION factorymon.set_archive(text, boolean, interval, text) IS
	'whether readings of a pipeline are written to history files, at what time of the day after, and whose days these are; null leaves a thing as it is';

CREATE FUNCTION factorymon.restore_archive(
	pipeline text,
	"from" timestamptz DEFAULT NULL,
	"to" timestamptz DEFAULT NULL,
	file text DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_restore_archive';
COMMENT ON FUNCTION factorymon.restore_archive(text, timestamptz, timestamptz, text) IS
	'put the readings of archived files back that lie within a range, or of one file; they stay until release_archive(); returns how many';

CREATE FUNCTION factorymon.release_archive(
	pipeline text,
	"from" timestamptz DEFAULT NULL,
	"to" timestamptz DEFAULT NULL)
RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_release_archive';
COMMENT ON FUNCTION factorymon.release_archive(text, timestamptz, timestamptz) IS
	'let retention drop again what was restored; returns of how many files';

CREATE FUNCTION factorymon.verify_archive(
	pipeline text,
	"from" timestamptz DEFAULT NULL,
	"to" timestamptz DEFAULT NULL,
	OUT file text,
	OUT rows bigint,
	OUT problem text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_verify_archive';
COMMENT ON FUNCTION factorymon.verify_archive(text, timestamptz, timestamptz) IS
	'read archived files and compare them with their checksums; problem null: the file is as it was written';

CREATE FUNCTION _factorymon.retention_levels(
	OUT ordinal integer,
	OUT level text,
	OUT kinds text[],
	OUT inherits boolean)
RETURNS SETOF record
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 7
AS 'MODULE_PATHNAME', 'factorymon_retention_levels';

CREATE FUNCTION factorymon.drop_pipeline(pipeline text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_drop_pipeline';

CREATE FUNCTION factorymon.pause(
	pipeline text,
	kafka_partition integer DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_pause';

CREATE FUNCTION factorymon.resume(
	pipeline text,
	kafka_partition integer DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_resume';

CREATE FUNCTION factorymon.adopt()
RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_adopt';

CREATE FUNCTION factorymon.seek(
	pipeline text,
	kafka_partition integer,
	"offset" bigint,
	replay boolean DEFAULT false)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_seek_offset';

CREATE FUNCTION factorymon.seek(
	pipeline text,
	kafka_partition integer,
	"at" timestamptz,
	replay boolean DEFAULT false)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_seek_time';

CREATE FUNCTION factorymon.seek(
	pipeline text,
	kafka_partition integer,
	target text,
	replay boolean DEFAULT false)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_seek_text';

/* --- alarms: each inserts a request, and says which or how many -------- */

CREATE FUNCTION factorymon.acknowledge(
	event_id uuid,
	comment text DEFAULT NULL) RETURNS uuid
AS 'MODULE_PATHNAME', 'factorymon_acknowledge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.comment(
	event_id uuid,
	comment text) RETURNS uuid
AS 'MODULE_PATHNAME', 'factorymon_comment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.shelve(
	sensor_id text,
	duration interval,
	reason text,
	one_shot boolean DEFAULT false,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_shelve'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.unshelve(
	sensor_id text,
	comment text DEFAULT NULL,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_unshelve'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.suppress(
	sensor_id text,
	reason text,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_suppress'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.unsuppress(
	sensor_id text,
	comment text DEFAULT NULL,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_unsuppress'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.take_out_of_service(
	sensor_id text,
	reason text,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_take_out_of_service'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.return_to_service(
	sensor_id text,
	comment text DEFAULT NULL,
	pipeline text DEFAULT NULL,
	condition text DEFAULT 'limit') RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_return_to_service'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.retire_sensor(
	sensor_id text,
	reason text,
	pipeline text DEFAULT NULL) RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_retire_sensor'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION factorymon.reinstate_sensor(
	sensor_id text,
	comment text DEFAULT NULL,
	pipeline text DEFAULT NULL) RETURNS integer
AS 'MODULE_PATHNAME', 'factorymon_reinstate_sensor'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

/* NULL of a limit, deadband or delay: as it is now; NaN: none. */
CREATE FUNCTION factorymon.try_limits(
	sensor_id text DEFAULT NULL,
	sensor_type text DEFAULT NULL,
	"from" timestamptz DEFAULT now() - interval '1 day',
	"to" timestamptz DEFAULT now(),
	critical_low double precision DEFAULT NULL,
	warning_low double precision DEFAULT NULL,
	warning_high double precision DEFAULT NULL,
	critical_high double precision DEFAULT NULL,
	deadband double precision DEFAULT NULL,
	on_delay interval DEFAULT NULL,
	off_delay interval DEFAULT NULL,
	pipeline text DEFAULT NULL,
	max_sensors integer DEFAULT 100,
	OUT source text,
	OUT pipeline_name text,
	OUT sensor text,
	OUT raised_at timestamptz,
	OUT returned_at timestamptz,
	OUT duration interval,
	OUT level text,
	OUT side text,
	OUT readings bigint,
	OUT since timestamptz,
	OUT topic text,
	OUT kafka_partition integer,
	OUT incarnation integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_try_limits'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100 COST 100000;

CREATE FUNCTION factorymon.grant_access(kind text, role name)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_grant_access';

CREATE FUNCTION factorymon.revoke_access(kind text, role name)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_revoke_access';

/* Who may execute a marker is of that kind; see src/access.c. */
CREATE FUNCTION _factorymon.reader() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;

CREATE FUNCTION _factorymon.operator() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;

CREATE FUNCTION _factorymon.engineer() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;

CREATE FUNCTION _factorymon.admin() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;

CREATE FUNCTION _factorymon.ensure_partition(
	pipeline text, kind text, ts timestamptz)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_ensure_partition';

CREATE FUNCTION _factorymon.drop_expired(pipeline text)
RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_drop_expired';

/* --- 4d. ledger ------------------------------------------------------- */

CREATE FUNCTION _factorymon.offset_hash(
	kafka_offset bigint,
	reading_index integer)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factorymon_offset_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _factorymon.offset_hash(bigint, integer) IS
	'mixes offset and reading index (-1: a reject) to 64 bits, for the sums of the ledger';

CREATE FUNCTION _factorymon.hash_add(bigint, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factorymon_hash_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _factorymon.hash_add(bigint, bigint) IS
	'adds modulo 2^64';

CREATE AGGREGATE _factorymon.hash_sum(bigint) (
	SFUNC = _factorymon.hash_add,
	STYPE = bigint,
	INITCOND = '0',
	COMBINEFUNC = _factorymon.hash_add,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE _factorymon.hash_sum(bigint) IS
	'sum modulo 2^64, as the ledger keeps it';

CREATE FUNCTION _factorymon.merge_ledger(pipeline text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factorymon_merge_ledger'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION _factorymon.merge_ledger(text) IS
	'makes contiguous extents closed more than a day ago one per stream and day, now; returns by how many rows the ledger shrank. The supervisor does it by itself';

CREATE FUNCTION factorymon.verify_delivery(
	pipeline text,
	"from" timestamptz DEFAULT NULL,
	"to" timestamptz DEFAULT NULL)
RETURNS TABLE (
	topic text,
	kafka_partition integer,
	incarnation integer,
	problem text,
	from_offset bigint,
	to_offset bigint,
	expected bigint,
	found bigint,
	detail text)
AS 'MODULE_PATHNAME', 'factorymon_verify_delivery'
LANGUAGE C VOLATILE ROWS 10 COST 100000;
COMMENT ON FUNCTION factorymon.verify_delivery(text, timestamptz, timestamptz) IS
	'compares the stored readings and rejects of a pipeline with its ledger and positions: one row per problem, none if all is well. Ranges are [from_offset, to_offset). "from" and "to" choose extents by when they were open; rows outside of every extent are reported always. Problems: uncovered, overlap, overfull, adjustment, no stream, position, twin streams (the ledger itself); missing, unexpected, altered (an extent); copy, stored and rejected, outside (rows). Reads every row of the pipeline once';

CREATE FUNCTION factorymon.retry_rejects(
	pipeline text,
	kafka_partition integer DEFAULT NULL,
	from_offset bigint DEFAULT NULL,
	to_offset bigint DEFAULT NULL,
	reason text DEFAULT NULL,
	max_messages integer DEFAULT NULL,
	OUT retried bigint,
	OUT stored bigint,
	OUT rejected_again bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_retry_rejects'
LANGUAGE C VOLATILE ROWS 1 COST 100000;
COMMENT ON FUNCTION factorymon.retry_rejects(text, integer, bigint, bigint, text, integer) IS
	'takes rejects in again, oldest offset first: each is replaced by its readings or stays with one attempt more. Filters: partition, offsets in [from_offset, to_offset), reason. Ingest of the partitions concerned waits until the transaction ends, so give max_messages when there are very many. Needs the owner of the pipeline or kind engineer';

CREATE FUNCTION factorymon.purge_suspect(
	pipeline text,
	kafka_partition integer)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factorymon_purge_suspect'
LANGUAGE C VOLATILE COST 100000;
COMMENT ON FUNCTION factorymon.purge_suspect(text, integer) IS
	'removes the readings and rejects of a partition (null: all of them) that may have come from another log than the one before; their offsets become a gap in the ledger. Returns how many rows went. Needs the owner of the pipeline or kind admin';

/* The canonical format has one reading a message, and a way of its own. */
CREATE FUNCTION _factorymon.rebuilt_messages(
	pipeline text,
	partition integer,
	incarnation integer,
	from_offset bigint,
	to_offset bigint)
RETURNS TABLE (
	stream_id integer,
	kafka_partition integer,
	incarnation_of integer,
	kafka_offset bigint,
	message jsonb)
LANGUAGE sql STABLE COST 100000 ROWS 100000
AS $$
SELECT s.stream_id, s.kafka_partition, s.incarnation, r.kafka_offset,
		_factorymon.rebuild(r.ts, r.flags, r.value, n.name, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit, r.level,
			r.quality, r.reading_count, v.warning_threshold,
			v.critical_threshold, r.extra)
	FROM _factorymon.reading r
	JOIN _factorymon.stream s ON s.stream_id = r.stream_id
	JOIN _factorymon.sensor n ON n.sensor_id = r.sensor_id
	JOIN _factorymon.sensor_version v
		ON v.sensor_version_id = r.sensor_version_id
	WHERE r.pipeline_id = (SELECT p.pipeline_id FROM _factorymon.pipeline p
			WHERE p.name = $1 AND p.format = 'factory')
		AND r.stream_id = ANY (ARRAY(
			SELECT t.stream_id FROM _factorymon.stream t
			JOIN _factorymon.pipeline p ON p.pipeline_id = t.pipeline_id
			WHERE p.name = $1 AND ($2 IS NULL OR t.kafka_partition = $2)
				AND ($3 IS NULL OR t.incarnation = $3)))
		AND ($4 IS NULL OR r.kafka_offset >= $4)
		AND ($5 IS NULL OR r.kafka_offset < $5)
		AND r.reading_index = 0
UNION ALL
SELECT s.stream_id, s.kafka_partition, s.incarnation, r.kafka_offset,
		_factorymon.compose((SELECT p.format FROM _factorymon.pipeline p
				WHERE p.name = $1),
			r.ts, r.flags, r.value, n.name, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit, r.level,
			r.quality, r.reading_count, v.warning_threshold,
			v.critical_threshold, r.extra
			ORDER BY r.reading_index)
	FROM _factorymon.reading r
	JOIN _factorymon.stream s ON s.stream_id = r.stream_id
	JOIN _factorymon.sensor n ON n.sensor_id = r.sensor_id
	JOIN _factorymon.sensor_version v
		ON v.sensor_version_id = r.sensor_version_id
	WHERE r.pipeline_id = (SELECT p.pipeline_id FROM _factorymon.pipeline p
			WHERE p.name = $1 AND p.format <> 'factory')
		AND r.stream_id = ANY (ARRAY(
			SELECT t.stream_id FROM _factorymon.stream t
			JOIN _factorymon.pipeline p ON p.pipeline_id = t.pipeline_id
			WHERE p.name = $1 AND ($2 IS NULL OR t.kafka_partition = $2)
				AND ($3 IS NULL OR t.incarnation = $3)))
		AND ($4 IS NULL OR r.kafka_offset >= $4)
		AND ($5 IS NULL OR r.kafka_offset < $5)
	GROUP BY s.stream_id, s.kafka_partition, s.incarnation, r.kafka_offset
$$;
COMMENT ON FUNCTION _factorymon.rebuilt_messages(text, integer, integer, bigint, bigint) IS
	'what original_message() and original_messages() return';

CREATE FUNCTION factorymon.original_message(
	pipeline text,
	kafka_partition integer,
	kafka_offset bigint,
	incarnation integer DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
COST 100000
AS $$
SELECT _factorymon.told(n.message, $1) FROM (
	SELECT m.message
	FROM _factorymon.rebuilt_messages($1, $2, $4, $3, $3 + 1) AS m
	ORDER BY m.stream_id DESC
	LIMIT 1) AS n
$$;
COMMENT ON FUNCTION factorymon.original_message(text, integer, bigint, integer) IS
	'the message that readings came from, as a JSON value equal to the original; null if no reading has that offset, an error if its readings do not tell by the mapping of today (docs/formats.md). incarnation null: the newest that has it. There is no index on offsets: this reads every reading of the pipeline; for many messages use original_messages()';

CREATE FUNCTION factorymon.original_messages(
	pipeline text,
	partition integer DEFAULT NULL,
	from_offset bigint DEFAULT NULL,
	to_offset bigint DEFAULT NULL)
RETURNS TABLE (
	kafka_partition integer,
	incarnation integer,
	kafka_offset bigint,
	message jsonb)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
COST 100000 ROWS 100000
AS $$
SELECT m.kafka_partition, m.incarnation_of, m.kafka_offset, m.message
	FROM _factorymon.rebuilt_messages($1, $2, NULL, $3, $4) AS m
$$;
COMMENT ON FUNCTION factorymon.original_messages(text, integer, bigint, bigint) IS
	'the messages that readings came from, as JSON values equal to the originals, in no order; message is null where its readings do not tell by the mapping of today. A filter that is null does not filter, offsets are in [from_offset, to_offset). Reads every reading of the pipeline once';

CREATE FUNCTION factorymon.forget_drift(pipeline text, path text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factorymon_forget_drift'
LANGUAGE C VOLATILE;

/* --- 4e. status ------------------------------------------------------- */

CREATE FUNCTION _factorymon.partition_slots(
	OUT pipeline_id smallint,
	OUT kafka_partition integer,
	OUT stream_id integer,
	OUT incarnation integer,
	OUT pid integer,
	OUT state text,
	OUT state_detail text,
	OUT "position" bigint,
	OUT committed_offset bigint,
	OUT low_watermark bigint,
	OUT high_watermark bigint,
	OUT watermarks_at timestamptz,
	OUT messages_per_second double precision,
	OUT last_message_at timestamptz,
	OUT last_error text,
	OUT last_error_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_partition_slots'
LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION _factorymon.partition_slots() IS
	'what the workers of this database last said about each Kafka partition; empty without shared_preload_libraries';

CREATE FUNCTION _factorymon.worker_slots(
	OUT pipeline_id smallint,
	OUT worker_number integer,
	OUT pid integer,
	OUT consumer text,
	OUT state text,
	OUT state_since timestamptz,
	OUT started_at timestamptz,
	OUT heartbeat_at timestamptz,
	OUT assigned_partitions integer,
	OUT messages bigint,
	OUT bytes bigint,
	OUT readings bigint,
	OUT rejected bigint,
	OUT other bigint,
	OUT transitions bigint,
	OUT batches bigint,
	OUT retries bigint,
	OUT fenced bigint,
	OUT rebalances bigint,
	OUT sensors bigint,
	OUT cpu_seconds double precision,
	OUT memory_bytes bigint,
	OUT batch_seconds double precision,
	OUT batch_histogram bigint[],
	OUT store_path text,
	OUT last_error text,
	OUT last_error_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_worker_slots'
LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION _factorymon.worker_slots() IS
	'what the workers of this database last said about themselves; empty without shared_preload_libraries';

CREATE FUNCTION _factorymon.publisher_slots(
	OUT pipeline_id smallint,
	OUT pid integer,
	OUT state text,
	OUT state_since timestamptz,
	OUT started_at timestamptz,
	OUT heartbeat_at timestamptz,
	OUT numbered bigint,
	OUT notified bigint,
	OUT sent bigint,
	OUT confirmed bigint,
	OUT refused bigint,
	OUT in_flight bigint,
	OUT last_error text,
	OUT last_error_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_publisher_slots'
LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION _factorymon.publisher_slots() IS
	'what the publishers of this database last said; empty without shared_preload_libraries';

CREATE FUNCTION _factorymon.json_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.to_char(at AT TIME ZONE 'UTC',
	'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
COMMENT ON FUNCTION _factorymon.json_time(timestamptz) IS
	'a time as RFC 3339 has it, in UTC, with microseconds';

CREATE FUNCTION factorymon.batch_histogram_bounds()
RETURNS double precision[]
AS 'MODULE_PATHNAME', 'factorymon_batch_histogram_bounds'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION factorymon.batch_histogram_bounds() IS
	'upper bounds, in seconds, of the buckets of worker_status().batch_histogram; the last bucket has none';

CREATE FUNCTION _factorymon.deadman_slots(
	OUT pipeline_id smallint,
	OUT evaluated_at timestamptz,
	OUT watched integer,
	OUT active integer,
	OUT late integer,
	OUT silent integer,
	OUT unknown integer,
	OUT reason text,
	OUT expected integer,
	OUT left_alone integer,
	OUT unwatched integer,
	OUT alarms integer,
	OUT mass_since timestamptz,
	OUT configured integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_deadman_slots'
LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION _factorymon.deadman_slots() IS
	'what the supervisor of this database last thought of the sensors of each pipeline; empty without shared_preload_libraries';

CREATE FUNCTION _factorymon.watched_sensors(
	OUT sensor_id integer,
	OUT state text,
	OUT reason text,
	OUT last_seen_at timestamptz,
	OUT silent_after double precision,
	OUT raised boolean,
	OUT expected_interval double precision,
	OUT configured boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factorymon_watched_sensors'
LANGUAGE C VOLATILE ROWS 1000;
COMMENT ON FUNCTION _factorymon.watched_sensors() IS
	'what the supervisor of this database thinks of each sensor that it does not leave alone; empty where it does not run';

/* Pipelines and whether they run in this very database. */
CREATE VIEW _factorymon.pipeline_here AS
SELECT p.*, r.pipeline_id IS NOT NULL AS runs_here, r.paused_at, r.paused_by,
		r.pause_reason, r.resumed_at
	FROM _factorymon.pipeline p
	LEFT JOIN _factorymon.pipeline_run r
		ON r.pipeline_id = p.pipeline_id
		AND r.system_identifier = (SELECT c.system_identifier
			FROM pg_catalog.pg_control_system() c)
		AND r.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
			WHERE d.datname = pg_catalog.current_database());

/*
 * The tables say where a stream stands, the slots who works on it and how
 * far the log goes.  A partition is listed if either knows it.  What the
 * tables say of a partition that nobody owns is newer than its slot.
 */
CREATE FUNCTION factorymon.partition_status()
RETURNS TABLE (
	pipeline text,
	topic text,
	kafka_partition integer,
	pid integer,
	state text,
	"position" bigint,
	committed_offset bigint,
	low_watermark bigint,
	high_watermark bigint,
	watermarks_at timestamptz,
	lag_messages bigint,
	lag_seconds double precision,
	messages_per_second double precision,
	last_message_at timestamptz,
	last_error text,
	last_error_at timestamptz,
	incarnation integer,
	state_detail text,
	duplicates bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $$
WITH live AS (
	SELECT s.pipeline_id, s.kafka_partition, s.incarnation, o.position,
		CASE WHEN o.last_timestamp BETWEEN 0 AND 253402300799999 THEN
			to_timestamp(o.last_timestamp / 1000.0) END AS last_message_at,
		o.stopped_reason, o.stopped_detail, o.paused_at, o.paused_by,
		o.closed_duplicates + o.extent_duplicates AS duplicates
	FROM _factorymon.pipeline p
	JOIN _factorymon.stream s ON s.pipeline_id = p.pipeline_id
		AND s.topic = p.topic AND s.retired_at IS NULL
	LEFT JOIN _factorymon.partition_offset o ON o.stream_id = s.stream_id
), joined AS (
	SELECT coalesce(l.pipeline_id, x.pipeline_id) AS pipeline_id,
		coalesce(l.kafka_partition, x.kafka_partition) AS kafka_partition,
		coalesce(l.incarnation, x.incarnation) AS incarnation,
		coalesce(l.position, x.position) AS position,
		coalesce(l.last_message_at, x.last_message_at) AS last_message_at,
		l.stopped_reason, l.stopped_detail, l.paused_at, l.paused_by,
		l.duplicates, x.pid, x.state, x.state_detail, x.committed_offset,
		x.low_watermark, x.high_watermark, x.watermarks_at,
		x.messages_per_second, x.last_error, x.last_error_at
	FROM live l
	FULL JOIN _factorymon.partition_slots() x
		ON x.pipeline_id = l.pipeline_id
		AND x.kafka_partition = l.kafka_partition
)
SELECT p.name, p.topic, j.kafka_partition, j.pid,
	CASE
		WHEN j.pid IS NOT NULL THEN j.state
		WHEN j.stopped_reason IS NOT NULL THEN 'stopped'
		WHEN j.paused_at IS NOT NULL OR p.paused_at IS NOT NULL THEN 'paused'
		ELSE 'unassigned'
	END,
	j.position, j.committed_offset, j.low_watermark, j.high_watermark,
	j.watermarks_at,
	/* greatest() would make 0 of null */
	CASE
		WHEN j.high_watermark <= j.position THEN 0
		ELSE j.high_watermark - j.position
	END,
	CASE
		WHEN j.high_watermark <= j.position THEN 0
		WHEN j.last_message_at > clock_timestamp() THEN 0
		WHEN j.high_watermark IS NOT NULL THEN extract(
			epoch FROM clock_timestamp() - j.last_message_at)
	END::double precision,
	j.messages_per_second, j.last_message_at, j.last_error, j.last_error_at,
	j.incarnation,
	CASE
		WHEN j.pid IS NOT NULL THEN j.state_detail
		WHEN j.stopped_reason IS NOT NULL
			THEN concat_ws(': ', j.stopped_reason, j.stopped_detail)
		WHEN j.paused_at IS NOT NULL THEN 'by ' || j.paused_by
		WHEN p.paused_at IS NOT NULL
			THEN concat_ws(': ', 'pipeline by ' || p.paused_by,
				p.pause_reason)
		WHEN NOT p.runs_here
			THEN 'the pipeline does not run in this database'
	END,
	coalesce(j.duplicates, 0)
	FROM joined j
	JOIN _factorymon.pipeline_here p ON p.pipeline_id = j.pipeline_id
	ORDER BY p.name, p.topic, j.kafka_partition
$$;
COMMENT ON FUNCTION factorymon.partition_status() IS
	'every known Kafka partition: who owns it (pid null: no worker here), its state (unassigned, taking, waiting, proving, running, paused, stopped), position, watermarks and lag (lag_seconds: 0 at the end of the log, else the age of the last message stored). No broker is asked; what is not known is null';

CREATE FUNCTION factorymon.worker_status()
RETURNS TABLE (
	pipeline text,
	worker_number integer,
	pid integer,
	consumer text,
	state text,
	state_since timestamptz,
	started_at timestamptz,
	heartbeat_at timestamptz,
	assigned_partitions integer,
	partitions integer[],
	messages bigint,
	bytes bigint,
	readings bigint,
	rejected bigint,
	other bigint,
	transitions bigint,
	batches bigint,
	retries bigint,
	fenced bigint,
	rebalances bigint,
	sensors bigint,
	cpu_seconds double precision,
	memory_bytes bigint,
	batch_seconds double precision,
	batch_histogram bigint[],
	store_path text,
	last_error text,
	last_error_at timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 20
AS $$
WITH owned AS (
	SELECT x.pipeline_id, x.pid,
		array_agg(x.kafka_partition ORDER BY x.kafka_partition) AS partitions
	FROM _factorymon.partition_slots() x
	WHERE x.pid IS NOT NULL
	GROUP BY x.pipeline_id, x.pid
)
SELECT p.name, w.worker_number, w.pid, w.consumer, w.state, w.state_since,
	w.started_at, w.heartbeat_at, w.assigned_partitions,
	coalesce(o.partitions, '{}'), w.messages, w.bytes, w.readings,
	w.rejected, w.other, w.transitions, w.batches, w.retries, w.fenced,
	w.rebalances, w.sensors, w.cpu_seconds, w.memory_bytes, w.batch_seconds,
	w.batch_histogram, w.store_path, w.last_error, w.last_error_at
	FROM _factorymon.worker_slots() w
	JOIN _factorymon.pipeline p ON p.pipeline_id = w.pipeline_id
	LEFT JOIN owned o ON o.pipeline_id = w.pipeline_id AND o.pid = w.pid
	ORDER BY p.name, w.worker_number
$$;
COMMENT ON FUNCTION factorymon.worker_status() IS
	'every ingest worker of this database: its state (starting, wrong_version, connecting, running, paused, retrying, stopping), partitions, and counters since its process started. batch_histogram counts batches by duration, see batch_histogram_bounds(); store_path is the way of the last batch into the table: direct, or the executor and what asks for it (a trigger, a constraint, ...)';

/* --- 4i. rollups -------------------------------------------------------- */

/* What a summary of readings consists of, see src/rollup.c; null where there
 * was none of good quality. */
CREATE TYPE _factorymon.rollup_value AS (
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_version_id integer,
	n integer,
	n_bad integer,
	n_warning integer,
	n_critical integer,
	first_stream integer,
	last_stream integer,
	first_index smallint,
	last_index smallint
);

CREATE FUNCTION _factorymon.rollup_add(
	internal, ts timestamptz, value double precision, level smallint,
	quality real, stream_id integer, kafka_offset bigint,
	reading_index smallint, sensor_version_id integer)
RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'factorymon_rollup_add';

CREATE FUNCTION _factorymon.rollup_merge(
	internal,
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_version_id integer,
	n integer,
	n_bad integer,
	n_warning integer,
	n_critical integer,
	first_stream integer,
	last_stream integer,
	first_index smallint,
	last_index smallint)
RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'factorymon_rollup_merge';

CREATE FUNCTION _factorymon.rollup_result(internal)
RETURNS _factorymon.rollup_value
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'factorymon_rollup_result';

CREATE AGGREGATE _factorymon.rollup_readings(
	ts timestamptz, value double precision, level smallint, quality real,
	stream_id integer, kafka_offset bigint, reading_index smallint,
	sensor_version_id integer) (
	SFUNC = _factorymon.rollup_add,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = _factorymon.rollup_result,
	PARALLEL = SAFE
);

CREATE AGGREGATE _factorymon.rollup(
	first_ts timestamptz,
	last_ts timestamptz,
	first_offset bigint,
	last_offset bigint,
	mean double precision,
	m2 double precision,
	min double precision,
	max double precision,
	first double precision,
	last double precision,
	sensor_version_id integer,
	n integer,
	n_bad integer,
	n_warning integer,
	n_critical integer,
	first_stream integer,
	last_stream integer,
	first_index smallint,
	last_index smallint) (
	SFUNC = _factorymon.rollup_merge,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = _factorymon.rollup_result,
	PARALLEL = SAFE
);

/* generate_series(), of which the planner thinks that it returns a thousand times;
 * here it is two or three, and plans cost so much less that JIT keeps out of it. */
CREATE FUNCTION _factorymon.steps(timestamptz, timestamptz, interval)
RETURNS SETOF timestamptz
LANGUAGE internal STABLE STRICT PARALLEL SAFE
ROWS 3
AS 'generate_series_timestamptz';
CREATE FUNCTION _factorymon.steps(timestamp, timestamp, interval)
RETURNS SETOF timestamp
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
ROWS 2
AS 'generate_series_timestamp';

CREATE FUNCTION _factorymon.merge_rollups(pipeline text)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'factorymon_merge_rollups';
COMMENT ON FUNCTION _factorymon.merge_rollups(text) IS
	'compute hours and days now, as the supervisor does every minute; returns how many were written';

/* ======================================================================
 * 5. Wrappers
 * ==================================================================== */

CREATE FUNCTION _factorymon.kafka_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'factorymon_fdw_validator'
LANGUAGE C STRICT;
COMMENT ON FUNCTION _factorymon.kafka_fdw_validator(text[], oid) IS
	'checks the options of servers and user mappings of wrapper kafka';

CREATE FOREIGN DATA WRAPPER kafka
	NO HANDLER VALIDATOR _factorymon.kafka_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER kafka IS
	'Kafka clusters; options are properties of librdkafka';

CREATE FUNCTION factorymon.check_server(server text)
RETURNS TABLE (item text, ok boolean, detail text)
AS 'MODULE_PATHNAME', 'factorymon_check_server'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION factorymon.check_server(text) IS
	'asks a Kafka cluster who it is: brokers, login, topics with their partitions, each in words; needs USAGE on the server, waits at most 10 s';

/* The rows of the batch that a worker is storing; see src/batch_fdw.c. */
CREATE FUNCTION _factorymon.batch_handler() RETURNS fdw_handler
AS 'MODULE_PATHNAME', 'factorymon_batch_handler' LANGUAGE C;
CREATE FOREIGN DATA WRAPPER factorymon_batch
	HANDLER _factorymon.batch_handler NO VALIDATOR;
CREATE SERVER factorymon_batch FOREIGN DATA WRAPPER factorymon_batch;
CREATE FOREIGN TABLE _factorymon.batch (
	ts timestamptz NOT NULL,
	kafka_offset bigint NOT NULL,
	value double precision NOT NULL,
	sensor_id integer NOT NULL,
	stream_id integer NOT NULL,
	sensor_version_id integer NOT NULL,
	reading_count integer,
	quality real,
	pipeline_id smallint NOT NULL,
	reading_index smallint NOT NULL,
	level smallint NOT NULL,
	flags smallint NOT NULL,
	extra jsonb
) SERVER factorymon_batch;
COMMENT ON FOREIGN TABLE _factorymon.batch IS
	'rows of the batch that this process is storing; empty elsewhere';

/* ======================================================================
 * 6. Views
 * ==================================================================== */

/* Codes: bits 0-1 of level are the level, 2-3 the side, 4-6 the producer's
 * claim.  They are CASEs and not functions, so that the planner sees through
 * and readers need no right on anything but the view.  The joins are outer
 * joins to unique keys, so that what is not selected is not joined. */
CREATE VIEW factorymon.sensor_readings AS
SELECT
	r.ts,
	s.name AS sensor_id,
	v.sensor_type,
	v.factory_section,
	v.machine_id,
	v.zone,
	r.value,
	v.unit,
	CASE r.level & 3
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS level,
	CASE r.level >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END AS side,
	CASE r.level >> 4 & 7
		WHEN 1 THEN 'normal' WHEN 2 THEN 'warning' WHEN 3 THEN 'critical'
		WHEN 7 THEN coalesce(r.extra ->> 'alert_level', 'other')
	END AS reported_level,
	r.quality,
	r.reading_count,
	coalesce(nullif(jsonb_strip_nulls(jsonb_build_object(
			'reading_count', r.reading_count,
			'warning_threshold', v.warning_threshold,
			'critical_threshold', v.critical_threshold)), '{}')
		|| coalesce(r.extra -> 'metadata', '{}'),
		r.extra -> 'metadata') AS metadata,
	p.name AS pipeline,
	st.topic,
	st.kafka_partition,
	r.kafka_offset,
	r.reading_index,
	st.incarnation,
	r.extra
FROM _factorymon.reading AS r
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = r.sensor_id
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = r.sensor_version_id
	LEFT JOIN _factorymon.stream AS st ON st.stream_id = r.stream_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = r.pipeline_id;

/* The newest row of each sensor, by its index.  Time partitions are ordered, so
 * the newest one that has a row ends the search, and older ones are not even
 * looked at; a lower bound on ts, say from the fold's snapshot, would prune
 * nothing more and cost the decoding of the snapshot (measured: four times the
 * whole). */
CREATE VIEW factorymon.latest_readings AS
SELECT
	r.ts,
	s.name AS sensor_id,
	v.sensor_type,
	v.factory_section,
	v.machine_id,
	v.zone,
	r.value,
	v.unit,
	CASE r.level & 3
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS level,
	CASE r.level >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END AS side,
	CASE r.level >> 4 & 7
		WHEN 1 THEN 'normal' WHEN 2 THEN 'warning' WHEN 3 THEN 'critical'
		WHEN 7 THEN coalesce(r.extra ->> 'alert_level', 'other')
	END AS reported_level,
	r.quality,
	r.reading_count,
	coalesce(nullif(jsonb_strip_nulls(jsonb_build_object(
			'reading_count', r.reading_count,
			'warning_threshold', v.warning_threshold,
			'critical_threshold', v.critical_threshold)), '{}')
		|| coalesce(r.extra -> 'metadata', '{}'),
		r.extra -> 'metadata') AS metadata,
	p.name AS pipeline,
	st.topic,
	st.kafka_partition,
	r.kafka_offset,
	r.reading_index
FROM _factorymon.sensor AS s
	CROSS JOIN LATERAL (
		SELECT x.*
		FROM _factorymon.reading AS x
		WHERE x.pipeline_id = s.pipeline_id AND x.sensor_id = s.sensor_id
		ORDER BY x.ts DESC, x.kafka_offset DESC, x.reading_index DESC,
			x.stream_id DESC
		LIMIT 1) AS r
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = r.sensor_version_id
	LEFT JOIN _factorymon.stream AS st ON st.stream_id = r.stream_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = r.pipeline_id;

CREATE VIEW factorymon.alerts AS
SELECT
	t.event_id,
	t.alarm_id,
	t.seq,
	t.condition,
	t.transition,
	t.state,
	t.announced,
	CASE t.level & 3
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS level,
	CASE t.level >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END AS side,
	t.previous_state,
	CASE t.previous_level & 3
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS previous_level,
	t.severity,
	s.name AS sensor_id,
	v.sensor_type,
	v.factory_section,
	v.machine_id,
	v.zone,
	t.value,
	v.unit,
	t.limit_value AS "limit",
	t.deadband,
	t.quality,
	t.score,
	t.event_time,
	t.since,
	t.raised_at,
	t.recorded_at,
	t.cause,
	t.actor AS "by",
	t.comment,
	t.blocked_by,
	t.limit_version,
	p.name AS pipeline,
	nullif(st.topic, '') AS topic,
	nullif(st.kafka_partition, -1) AS kafka_partition,
	CASE WHEN st.kafka_partition >= 0 THEN t.kafka_offset END AS kafka_offset,
	t.reading_index,
	st.incarnation,
	t.ordinal
FROM _factorymon.transition AS t
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = t.sensor_id
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = t.sensor_version_id
	LEFT JOIN _factorymon.stream AS st ON st.stream_id = t.stream_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = t.pipeline_id;

CREATE VIEW factorymon.anomalies AS
SELECT
	x.ts,
	s.name AS sensor_id,
	CASE x.detector
		WHEN 0 THEN 'anomaly' WHEN 1 THEN 'rate' WHEN 2 THEN 'flat'
		WHEN 3 THEN 'sequence' WHEN 4 THEN 'time' WHEN 5 THEN 'seasonal'
	END AS detector,
	x.score,
	x.value,
	v.unit,
	v.sensor_type,
	v.factory_section,
	v.machine_id,
	v.zone,
	x.recorded_at,
	x.version,
	p.name AS pipeline,
	st.topic,
	st.kafka_partition,
	x.kafka_offset,
	x.reading_index,
	st.incarnation
FROM _factorymon.score AS x
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = x.sensor_id
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = x.sensor_version_id
	LEFT JOIN _factorymon.stream AS st ON st.stream_id = x.stream_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = x.pipeline_id;

CREATE VIEW factorymon.alarms AS
SELECT
	a.alarm_id,
	s.name AS sensor_id,
	a.condition,
	CASE
		WHEN a.blocks & 8 <> 0 THEN 'retired'
		WHEN a.blocks & 2 <> 0 THEN 'out_of_service'
		WHEN a.blocks & 5 <> 0 THEN 'suppressed'
		WHEN a.shelving <> 'none' THEN 'shelved'
		ELSE a.state
	END AS shown_state,
	a.state,
	CASE a.level & 3
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS level,
	CASE a.level >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END AS side,
	a.severity,
	a.chattering,
	a.re_alarms,
	a.shelving,
	a.shelved_until,
	a.blocks & 1 <> 0 AS suppressed,
	a.blocks & 4 <> 0 AS maintenance,
	a.blocks & 2 <> 0 AS out_of_service,
	a.blocks & 8 <> 0 AS retired,
	v.sensor_type,
	v.factory_section,
	v.machine_id,
	v.zone,
	a.value,
	v.unit,
	a.limit_value AS "limit",
	a.since,
	a.raised_at,
	a.announced_at,
	a.event_time,
	a.updated_at,
	a.seq,
	a.event_id,
	a.announced_event_id,
	EXISTS (SELECT FROM _factorymon.request AS r
		WHERE r.stream_id = a.stream_id AND r.sensor_id = a.sensor_id
			AND r.condition = a.condition AND r.answered_at IS NULL) AS pending,
	p.name AS pipeline,
	nullif(st.topic, '') AS topic,
	nullif(st.kafka_partition, -1) AS kafka_partition,
	st.incarnation
FROM _factorymon.alarm AS a
	JOIN _factorymon.stream AS st ON st.stream_id = a.stream_id
	JOIN _factorymon.pipeline AS p ON p.pipeline_id = st.pipeline_id
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = a.sensor_id
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = a.sensor_version_id;

CREATE VIEW factorymon.alarm_requests AS
SELECT
	r.request_id,
	r.requested_at,
	r.actor::text AS actor,
	r.action,
	s.name AS sensor_id,
	r.condition,
	r.event_id,
	r.until,
	r.one_shot,
	r.comment,
	coalesce(r.outcome, 'pending') AS outcome,
	r.answer,
	r.answered_at,
	p.name AS pipeline,
	nullif(st.topic, '') AS topic,
	nullif(st.kafka_partition, -1) AS kafka_partition
FROM _factorymon.request AS r
	LEFT JOIN _factorymon.stream AS st ON st.stream_id = r.stream_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = st.pipeline_id
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = r.sensor_id;

/* Whether sensors of a pipeline are missed, in one line. */
CREATE VIEW factorymon.deadman AS
SELECT p.name AS pipeline, d.evaluated_at, d.watched, d.active, d.late,
		d.silent, d.unknown, d.reason, d.expected, d.left_alone, d.unwatched,
		d.alarms, d.mass_since, d.configured
	FROM _factorymon.deadman_slots() d
	JOIN _factorymon.pipeline p ON p.pipeline_id = d.pipeline_id;

/*
 * Key figures of alarms, per operating position; docs/kpi.md has formulas and
 * targets.  What they count is in section 3: bins, calls, blocks and floods.
 * Ends of ranges are sub-selects and not joins, so that the planner sees a
 * range of an index.
 */
CREATE VIEW factorymon.alarm_rate AS
SELECT
	b."position",
	b.bin_at,
	sum(b.low + b.medium + b.high)::bigint AS announcements,
	sum(b.low)::bigint AS low,
	sum(b.medium)::bigint AS medium,
	sum(b.high)::bigint AS high
FROM _factorymon.alarm_bin AS b
GROUP BY b.bin_at, b."position";

CREATE VIEW factorymon.floods AS
SELECT
	f.flood_id,
	f."position",
	f.since,
	f.started_at,
	x.ended_at,
	extract(epoch FROM coalesce(x.ended_at, now()) - f.started_at)
		::double precision AS seconds,
	coalesce(o.announcements, f.announcements) AS announcements,
	coalesce(o.peak, f.peak) AS peak,
	p.name AS pipeline
FROM _factorymon.flood AS f
	LEFT JOIN _factorymon.operating_position AS o ON o.flood_id = f.flood_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = f.pipeline_id
	/* it is over when it is over, also if nobody has noted it yet */
	CROSS JOIN LATERAL (SELECT coalesce(f.ended_at,
		CASE WHEN o.ends_at <= now() THEN o.ends_at END) AS ended_at) AS x;

CREATE VIEW factorymon.operating_positions AS
SELECT
	o."position",
	o.flood_id IS NOT NULL AND o.ends_at > now() AS in_flood,
	CASE WHEN o.ends_at > now() THEN o.started_at END AS flood_started_at,
	(SELECT count(*) FROM unnest(o.recent) AS r(at)
		WHERE r.at > now() - interval '10 minutes')::integer
		AS announcements_10_minutes,
	(SELECT max(r.at) FROM unnest(o.recent) AS r(at)) AS last_announced_at
FROM _factorymon.operating_position AS o;

CREATE VIEW factorymon.operating_position_areas AS
SELECT
	x.pipeline,
	x.factory_section,
	x.zone,
	_factorymon.position_of(x.pipeline, x.factory_section, x.zone)
		AS "position",
	x.sensors
FROM (
	SELECT p.name AS pipeline, v.factory_section, v.zone,
			count(DISTINCT v.sensor_id) AS sensors
		FROM _factorymon.sensor_version AS v
			JOIN _factorymon.sensor AS s ON s.sensor_id = v.sensor_id
			JOIN _factorymon.pipeline AS p ON p.pipeline_id = s.pipeline_id
		GROUP BY p.name, v.factory_section, v.zone) AS x;

CREATE VIEW factorymon.alarm_calls AS
SELECT
	c.alarm_id,
	c.call,
	c."position",
	s.name AS sensor_id,
	c.condition,
	c.severity,
	CASE WHEN c.severity >= 667 THEN 'high' WHEN c.severity >= 334 THEN 'medium'
		ELSE 'low' END AS severity_class,
	c.re_alarm,
	c.announced_at,
	c.announcements,
	c.raises,
	c.fleeting,
	c.chatterings,
	c.acknowledged_at,
	c.acknowledged_by,
	extract(epoch FROM c.acknowledged_at - c.announced_at)::double precision
		AS response_seconds,
	c.ended_at,
	p.name AS pipeline
FROM _factorymon.alarm_call AS c
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = c.sensor_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = c.pipeline_id;

CREATE VIEW factorymon.alarm_standing AS
SELECT
	coalesce(c."position",
		_factorymon.position_of(p.name, v.factory_section, v.zone))
		AS "position",
	s.name AS sensor_id,
	a.condition,
	a.alarm_id,
	a.state,
	CASE
		WHEN a.blocks & 8 <> 0 THEN 'retired'
		WHEN a.blocks & 2 <> 0 THEN 'out_of_service'
		WHEN a.blocks & 5 <> 0 THEN 'suppressed'
		WHEN a.shelving <> 'none' THEN 'shelved'
	END AS blocked_by,
	a.severity,
	a.since,
	extract(epoch FROM now() - a.since)::double precision AS active_seconds,
	coalesce(now() - a.since > interval '24 hours', false) AS stale,
	CASE WHEN c.acknowledged_at IS NULL AND c.ended_at IS NULL THEN
		extract(epoch FROM now() - c.announced_at) END::double precision
		AS unacknowledged_seconds,
	p.name AS pipeline
FROM _factorymon.alarm AS a
	JOIN _factorymon.stream AS st ON st.stream_id = a.stream_id
	JOIN _factorymon.pipeline AS p ON p.pipeline_id = st.pipeline_id
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = a.sensor_id
	LEFT JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = a.sensor_version_id
	LEFT JOIN LATERAL (
		SELECT x."position", x.announced_at, x.acknowledged_at, x.ended_at
			FROM _factorymon.alarm_call AS x
			WHERE x.alarm_id = a.alarm_id
			ORDER BY x.call DESC
			LIMIT 1) AS c ON true
WHERE a.level & 3 <> 0;

CREATE VIEW factorymon.alarm_blocked AS
SELECT
	b."position",
	s.name AS sensor_id,
	b.condition,
	b.kind,
	b.unblocked_at IS NULL AS active,
	b.blocked_at,
	b.blocked_by,
	b.reason,
	CASE WHEN b.kind = 'shelved' AND b.unblocked_at IS NULL THEN
		a.shelved_until END AS until,
	b.unblocked_at,
	b.unblocked_by,
	extract(epoch FROM coalesce(b.unblocked_at, now()) - b.blocked_at)
		::double precision AS seconds,
	p.name AS pipeline
FROM _factorymon.alarm_block AS b
	LEFT JOIN _factorymon.alarm AS a ON a.stream_id = b.stream_id
		AND a.sensor_id = b.sensor_id AND a.condition = b.condition
	LEFT JOIN _factorymon.sensor AS s ON s.sensor_id = b.sensor_id
	LEFT JOIN _factorymon.pipeline AS p ON p.pipeline_id = b.pipeline_id;

/* Whole bins of a range, none of which is still to come; where nobody could
 * have counted anything, nothing is missing. */
CREATE FUNCTION _factorymon.kpi_span(
	"from" timestamptz,
	"to" timestamptz,
	OUT from_at timestamptz,
	OUT to_at timestamptz)
LANGUAGE sql STABLE
AS $$
	SELECT x.from_at, greatest(x.from_at, date_bin(interval '10 minutes',
			least($2, now()), timestamptz '2000-01-01 00:00:00+00'))
		FROM (SELECT date_bin(interval '10 minutes',
				greatest($1, least((SELECT min(p.created_at)
						FROM _factorymon.pipeline p),
					(SELECT min(b.bin_at) FROM _factorymon.alarm_bin b),
					now())) + interval '00:09:59.999999',
				timestamptz '2000-01-01 00:00:00+00') AS from_at) x
$$;

CREATE FUNCTION factorymon.alarm_rates(
	unit text,
	"from" timestamptz DEFAULT now() - interval '30 days',
	"to" timestamptz DEFAULT now())
RETURNS TABLE (
	"position" text,
	from_at timestamptz,
	to_at timestamptz,
	seconds double precision,
	announcements bigint,
	low bigint,
	medium bigint,
	high bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
COST 10000 ROWS 1000
AS $$
/* date_trunc() says that it does not know what is none of these */
WITH span AS MATERIALIZED (
	SELECT s.from_at, s.to_at, date_trunc(CASE
			WHEN $1 IN ('hour', 'day', 'week', 'month', 'year') THEN $1
			ELSE $1 || ': not hour, day, week, month or year' END,
			s.from_at) AS first_at
		FROM _factorymon.kpi_span($2, $3) s
), period AS MATERIALIZED (
	SELECT g.at AS from_at, g.at + ('1 ' || $1)::interval AS to_at
		FROM span, generate_series(span.first_at,
			span.to_at - interval '1 microsecond',
			('1 ' || $1)::interval) AS g(at)
), counted AS MATERIALIZED (
	SELECT b."position", date_trunc($1, b.bin_at) AS from_at,
			sum(b.low)::bigint AS low, sum(b.medium)::bigint AS medium,
			sum(b.high)::bigint AS high
		FROM _factorymon.alarm_bin b
		WHERE b.bin_at >= (SELECT min(p.from_at) FROM period p)
			AND b.bin_at < (SELECT max(p.to_at) FROM period p)
		GROUP BY 1, 2
)
SELECT o."position", p.from_at, p.to_at,
		extract(epoch FROM p.to_at - p.from_at)::double precision,
		coalesce(c.low + c.medium + c.high, 0), coalesce(c.low, 0),
		coalesce(c.medium, 0), coalesce(c.high, 0)
	FROM _factorymon.operating_position o
	CROSS JOIN period p
	LEFT JOIN counted c ON c."position" = o."position"
		AND c.from_at = p.from_at
	ORDER BY o."position", p.from_at
$$;

CREATE FUNCTION factorymon.alarm_kpi(
	"from" timestamptz DEFAULT now() - interval '30 days',
	"to" timestamptz DEFAULT now())
RETURNS TABLE (
	"position" text,
	from_at timestamptz,
	to_at timestamptz,
	seconds double precision,
	announcements bigint,
	per_10_minutes double precision,
	per_hour double precision,
	per_day double precision,
	largest_bin bigint,
	bins_above_10_percent double precision,
	hours_above_30_percent double precision,
	floods bigint,
	flood_seconds double precision,
	flood_percent double precision,
	longest_flood_seconds double precision,
	largest_flood integer,
	low_percent double precision,
	medium_percent double precision,
	high_percent double precision,
	calls bigint,
	acknowledged bigint,
	never_acknowledged bigint,
	response_p50_seconds double precision,
	response_p95_seconds double precision,
	re_alarms bigint,
	chattering_alarms bigint,
	fleeting_alarms bigint,
	top_10_percent double precision,
	blocks bigint,
	blocks_without_reason bigint,
	standing bigint,
	stale bigint,
	longest_unacknowledged_seconds double precision,
	blocked bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET work_mem = '32MB'
COST 10000 ROWS 20
AS $$
WITH span AS MATERIALIZED (
	SELECT s.from_at, s.to_at,
			extract(epoch FROM s.to_at - s.from_at)::double precision
				AS seconds,
			date_bin(interval '1 hour', s.from_at + interval '00:50',
				timestamptz '2000-01-01 00:00:00+00') AS from_hour,
			date_bin(interval '1 hour', s.to_at,
				timestamptz '2000-01-01 00:00:00+00') AS to_hour
		FROM _factorymon.kpi_span($1, $2) s
), bin AS MATERIALIZED (
	/* integers again, since sums of bigint are numeric, and slow */
	SELECT b."position", b.bin_at, sum(b.low)::integer AS low,
			sum(b.medium)::integer AS medium, sum(b.high)::integer AS high,
			sum(b.low + b.medium + b.high)::integer AS n
		FROM _factorymon.alarm_bin b
		WHERE b.bin_at >= (SELECT s.from_at FROM span s)
			AND b.bin_at < (SELECT s.to_at FROM span s)
		GROUP BY b."position", b.bin_at
), rate AS (
	SELECT b."position", sum(b.n) AS n, sum(b.low) AS low,
			sum(b.medium) AS medium, sum(b.high) AS high, max(b.n) AS largest,
			count(*) FILTER (WHERE b.n > 10) AS above
		FROM bin b
		GROUP BY b."position"
), hour AS (
	SELECT h."position", count(*) FILTER (WHERE h.n > 30) AS above
		FROM (
			SELECT b."position", sum(b.n) AS n
				FROM bin b, span s
				WHERE b.bin_at >= s.from_hour AND b.bin_at < s.to_hour
				GROUP BY b."position", date_bin(interval '1 hour', b.bin_at,
					timestamptz '2000-01-01 00:00:00+00')) h
		GROUP BY h."position"
), flood AS (
	SELECT f."position", count(*) AS n, sum(f.overlap) AS seconds,
			max(f.overlap) AS longest, max(f.peak) AS largest
		FROM (
			SELECT x."position", x.peak, extract(epoch FROM
					least(coalesce(x.ended_at, now()), s.to_at)
						- greatest(x.started_at, s.from_at))
					::double precision AS overlap
				FROM factorymon.floods x, span s
				WHERE x.started_at < s.to_at
					AND coalesce(x.ended_at, now()) > s.from_at) f
		GROUP BY f."position"
), called AS MATERIALIZED (
	SELECT c."position", c.pipeline_id, c.sensor_id, c.condition,
			c.announcements, c.fleeting, c.chatterings, c.re_alarm,
			c.acknowledged_at, c.ended_at, extract(epoch FROM
				c.acknowledged_at - c.announced_at)::double precision
				AS response
		FROM _factorymon.alarm_call c
		WHERE c.announced_at >= (SELECT s.from_at FROM span s)
			AND c.announced_at < (SELECT s.to_at FROM span s)
), call AS (
	SELECT c."position", count(*) AS n,
			count(c.acknowledged_at) AS acknowledged,
			count(*) FILTER (WHERE c.acknowledged_at IS NULL
				AND c.ended_at IS NOT NULL) AS never,
			percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY c.response)
				AS percentiles,
			count(*) FILTER (WHERE c.re_alarm) AS re_alarms
		FROM called c
		GROUP BY c."position"
), alarm AS (
	SELECT c."position", count(*) FILTER (WHERE c.chatterings > 0)
				AS chattering,
			count(*) FILTER (WHERE c.fleeting > 0) AS fleeting,
			100.0 * sum(c.n) FILTER (WHERE c.rank <= 10) / sum(c.n) AS top
		FROM (
			SELECT x."position", sum(x.announcements) AS n,
					sum(x.chatterings) AS chatterings,
					sum(x.fleeting) AS fleeting,
					row_number() OVER (PARTITION BY x."position"
						ORDER BY sum(x.announcements) DESC) AS rank
				FROM called x
				GROUP BY x."position", x.pipeline_id, x.sensor_id, x.condition
			) c
		GROUP BY c."position"
), block AS (
	SELECT b."position", count(*) AS n,
			count(*) FILTER (WHERE coalesce(b.reason, '') = '') AS unreasoned
		FROM _factorymon.alarm_block b, span s
		WHERE b.blocked_at < s.to_at
			AND coalesce(b.unblocked_at, now()) > s.from_at
		GROUP BY b."position"
), present AS (
	SELECT a."position", count(*) AS standing,
			count(*) FILTER (WHERE a.stale) AS stale,
			max(a.unacknowledged_seconds) AS unacknowledged
		FROM factorymon.alarm_standing a
		GROUP BY a."position"
), blocked AS (
	SELECT b."position", count(*) AS n
		FROM _factorymon.alarm_block b
		WHERE b.unblocked_at IS NULL
		GROUP BY b."position"
), place AS (
	SELECT o."position" FROM _factorymon.operating_position o
	UNION SELECT p."position" FROM present p
	UNION SELECT b."position" FROM block b
)
SELECT l."position", s.from_at, s.to_at, s.seconds,
		coalesce(r.n, 0)::bigint,
		coalesce(r.n, 0) * 600 / nullif(s.seconds, 0),
		coalesce(r.n, 0) * 3600 / nullif(s.seconds, 0),
		coalesce(r.n, 0) * 86400 / nullif(s.seconds, 0),
		coalesce(r.largest, 0)::bigint,
		100 * coalesce(r.above, 0) / nullif(s.seconds / 600, 0),
		100 * coalesce(h.above, 0) / nullif(extract(
			epoch FROM s.to_hour - s.from_hour)::double precision / 3600, 0),
		coalesce(f.n, 0), coalesce(f.seconds, 0),
		100 * coalesce(f.seconds, 0) / nullif(s.seconds, 0),
		coalesce(f.longest, 0), coalesce(f.largest, 0),
		(100.0 * r.low / r.n)::double precision,
		(100.0 * r.medium / r.n)::double precision,
		(100.0 * r.high / r.n)::double precision,
		coalesce(c.n, 0), coalesce(c.acknowledged, 0), coalesce(c.never, 0),
		c.percentiles[1], c.percentiles[2], coalesce(c.re_alarms, 0),
		coalesce(a.chattering, 0), coalesce(a.fleeting, 0),
		a.top::double precision,
		coalesce(b.n, 0), coalesce(b.unreasoned, 0),
		coalesce(n.standing, 0), coalesce(n.stale, 0), n.unacknowledged,
		coalesce(k.n, 0)
	FROM place l
	CROSS JOIN span s
	LEFT JOIN rate r ON r."position" = l."position"
	LEFT JOIN hour h ON h."position" = l."position"
	LEFT JOIN flood f ON f."position" = l."position"
	LEFT JOIN call c ON c."position" = l."position"
	LEFT JOIN alarm a ON a."position" = l."position"
	LEFT JOIN block b ON b."position" = l."position"
	LEFT JOIN present n ON n."position" = l."position"
	LEFT JOIN blocked k ON k."position" = l."position"
	ORDER BY l."position"
$$;

CREATE FUNCTION factorymon.alarm_top(
	"from" timestamptz DEFAULT now() - interval '30 days',
	"to" timestamptz DEFAULT now(),
	most integer DEFAULT 10)
RETURNS TABLE (
	"position" text,
	rank bigint,
	sensor_id text,
	condition text,
	announcements bigint,
	percent double precision,
	cumulative_percent double precision,
	raises bigint,
	fleeting bigint,
	chatterings bigint,
	pipeline text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
COST 10000 ROWS 100
AS $$
WITH span AS MATERIALIZED (
	SELECT s.from_at, s.to_at FROM _factorymon.kpi_span($1, $2) s
), alarm AS (
	SELECT c."position", c.pipeline_id, c.sensor_id, c.condition,
			sum(c.announcements) AS n, sum(c.raises) AS raises,
			sum(c.fleeting) AS fleeting, sum(c.chatterings) AS chatterings
		FROM _factorymon.alarm_call c
		WHERE c.announced_at >= (SELECT s.from_at FROM span s)
			AND c.announced_at < (SELECT s.to_at FROM span s)
		GROUP BY c."position", c.pipeline_id, c.sensor_id, c.condition
), ranked AS (
	SELECT a.*, row_number() OVER best AS rank,
			100.0 * a.n / sum(a.n) OVER (PARTITION BY a."position") AS percent,
			100.0 * sum(a.n) OVER best / sum(a.n) OVER (
				PARTITION BY a."position") AS cumulative
		FROM alarm a
		WINDOW best AS (PARTITION BY a."position"
			ORDER BY a.n DESC, a.sensor_id, a.condition
			ROWS UNBOUNDED PRECEDING)
)
SELECT r."position", r.rank, n.name, r.condition, r.n::bigint,
		r.percent::double precision, r.cumulative::double precision,
		r.raises::bigint, r.fleeting::bigint, r.chatterings::bigint, p.name
	FROM ranked r
	LEFT JOIN _factorymon.sensor n ON n.sensor_id = r.sensor_id
	LEFT JOIN _factorymon.pipeline p ON p.pipeline_id = r.pipeline_id
	WHERE r.rank <= $3
	ORDER BY r."position", r.rank
$$;

CREATE FUNCTION factorymon.alarm_noise(
	"from" timestamptz DEFAULT now() - interval '30 days',
	"to" timestamptz DEFAULT now())
RETURNS TABLE (
	"position" text,
	sensor_id text,
	condition text,
	chatterings bigint,
	fleeting bigint,
	raises bigint,
	last_announced_at timestamptz,
	pipeline text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
COST 10000 ROWS 100
AS $$
WITH span AS MATERIALIZED (
	SELECT s.from_at, s.to_at FROM _factorymon.kpi_span($1, $2) s
), alarm AS (
	SELECT c."position", c.pipeline_id, c.sensor_id, c.condition,
			sum(c.chatterings) AS chatterings, sum(c.fleeting) AS fleeting,
			sum(c.raises) AS raises, max(c.announced_at) AS last_at
		FROM _factorymon.alarm_call c
		WHERE c.announced_at >= (SELECT s.from_at FROM span s)
			AND c.announced_at < (SELECT s.to_at FROM span s)
		GROUP BY c."position", c.pipeline_id, c.sensor_id, c.condition
		HAVING sum(c.chatterings) > 0 OR sum(c.fleeting) > 0
)
SELECT a."position", n.name, a.condition, a.chatterings::bigint,
		a.fleeting::bigint, a.raises::bigint, a.last_at, p.name
	FROM alarm a
	LEFT JOIN _factorymon.sensor n ON n.sensor_id = a.sensor_id
	LEFT JOIN _factorymon.pipeline p ON p.pipeline_id = a.pipeline_id
	ORDER BY a."position", a.chatterings DESC, a.fleeting DESC, n.name
$$;

CREATE FUNCTION factorymon.alarm_response(
	"from" timestamptz DEFAULT now() - interval '30 days',
	"to" timestamptz DEFAULT now())
RETURNS TABLE (
	"position" text,
	severity_class text,
	calls bigint,
	percent double precision,
	acknowledged bigint,
	never_acknowledged bigint,
	waiting bigint,
	p50_seconds double precision,
	p95_seconds double precision,
	longest_seconds double precision,
	longest_waiting_seconds double precision,
	re_alarms bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET work_mem = '32MB'
COST 10000 ROWS 60
AS $$
WITH span AS MATERIALIZED (
	SELECT s.from_at, s.to_at FROM _factorymon.kpi_span($1, $2) s
), call AS (
	SELECT c."position",
			CASE WHEN c.severity >= 667 THEN 3 WHEN c.severity >= 334 THEN 2
				ELSE 1 END AS class,
			c.acknowledged_at, c.ended_at, c.re_alarm, extract(epoch FROM
				c.acknowledged_at - c.announced_at)::double precision
				AS response,
			CASE WHEN c.acknowledged_at IS NULL AND c.ended_at IS NULL THEN
				extract(epoch FROM now() - c.announced_at)
				END::double precision AS waiting
		FROM _factorymon.alarm_call c
		WHERE c.announced_at >= (SELECT s.from_at FROM span s)
			AND c.announced_at < (SELECT s.to_at FROM span s)
)
SELECT c."position", (ARRAY['low', 'medium', 'high'])[c.class], count(*),
		(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY c."position"))
			::double precision,
		count(c.acknowledged_at),
		count(*) FILTER (WHERE c.acknowledged_at IS NULL
			AND c.ended_at IS NOT NULL),
		count(c.waiting),
		(percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY c.response))[1],
		(percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY c.response))[2],
		max(c.response), max(c.waiting),
		count(*) FILTER (WHERE c.re_alarm)
	FROM call c
	GROUP BY c."position", c.class
	ORDER BY c."position", c.class DESC
$$;

CREATE VIEW factorymon.pipelines AS
SELECT p.name, p.server, p.topic, p.consumer_group, p.format, p.workers,
		p.owner::text AS owner,
		p.runs_here AND p.paused_at IS NULL AS running,
		p.runs_here, p.paused_at, p.paused_by, p.pause_reason, p.resumed_at,
		p.start_policy, p.start_at, p.on_data_loss,
		extract(epoch FROM p.accept_past)::double precision
			AS accept_past_seconds,
		extract(epoch FROM p.accept_future)::double precision
			AS accept_future_seconds,
		extract(epoch FROM p.retention)::double precision
			AS retention_seconds,
		extract(epoch FROM p.partition_interval)::double precision
			AS partition_interval_seconds,
		p.created_at, p.config_version, p.alert_topic,
		p.rollups, p.time_zone, p.deduplicate,
		extract(epoch FROM p.deduplicate_ttl)::double precision
			AS deduplicate_ttl_seconds
	FROM _factorymon.pipeline_here p;

CREATE VIEW factorymon.formats AS
SELECT f.name, f.built_in, f.mapping, f.description,
		ARRAY(SELECT p.name FROM _factorymon.pipeline p
			WHERE p.format = f.name ORDER BY 1) AS pipelines
	FROM (SELECT name, true AS built_in, mapping, description
			FROM factorymon.default_formats()
		UNION ALL
		SELECT name, false, mapping, description FROM factorymon.format) AS f;

CREATE VIEW factorymon.schema_drift AS
SELECT p.name AS pipeline, p.format, d.path, d.what, d.first_seen, d.last_seen,
		d.messages, d.example, d.topic, d.kafka_partition, d.kafka_offset
	FROM _factorymon.drift d
	JOIN _factorymon.pipeline p USING (pipeline_id);
CREATE VIEW factorymon.archives AS
SELECT p.name AS pipeline, x.file || '.csv.gz' AS file, x.range_from,
		x.range_to, x.part, x.rows, x.bytes, x.checksum,
		CASE WHEN x.restored_at IS NOT NULL THEN 'restored' ELSE x.state END
			AS state,
		x.written_at, x.checked_at, x.verified_at, x.restored_at, x.restored_by, x.error,
		x.attempts, x.retry_at, x.dropped_at
	FROM _factorymon.archive x
	JOIN _factorymon.pipeline p ON p.pipeline_id = x.pipeline_id;
COMMENT ON VIEW factorymon.archives IS
	'history files of readings, and what is to become one; see set_archive()';
COMMENT ON COLUMN factorymon.archives.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.archives.file IS
	'name of the file in factorymon.archive_directory; null: it was not written yet';
COMMENT ON COLUMN factorymon.archives.range_from IS
	'it has the readings from this time on';
COMMENT ON COLUMN factorymon.archives.range_to IS
	'... to before this';
COMMENT ON COLUMN factorymon.archives.part IS
	'numbers the files of a range: one takes the place of the one before, unless the readings of that were dropped';
COMMENT ON COLUMN factorymon.archives.dropped_at IS
	'when its readings were dropped; null: they are there';
COMMENT ON COLUMN factorymon.archives.rows IS
	'readings in it';
COMMENT ON COLUMN factorymon.archives.bytes IS
	'its size, compressed';
COMMENT ON COLUMN factorymon.archives.checksum IS
	'SHA-256 of all columns of all rows in order of stream, offset and index, as they are written';
COMMENT ON COLUMN factorymon.archives.state IS
	'archived; stale: readings came since, or retention waits for it; failed: see error; restored: its readings are back; superseded: another file has its readings, and more';
COMMENT ON COLUMN factorymon.archives.written_at IS
	'when it was written last';
COMMENT ON COLUMN factorymon.archives.checked_at IS
	'when its readings were last compared with those in the database, or written';
COMMENT ON COLUMN factorymon.archives.verified_at IS
	'when verify_archive() found it as it was written';
COMMENT ON COLUMN factorymon.archives.restored_at IS
	'when its readings were put back; null: they were not, or are released';
COMMENT ON COLUMN factorymon.archives.restored_by IS
	'by whom';
COMMENT ON COLUMN factorymon.archives.error IS
	'why it could not be written, or what verify_archive() found';
COMMENT ON COLUMN factorymon.archives.attempts IS
	'failed attempts in a row';
COMMENT ON COLUMN factorymon.archives.retry_at IS
	'when the next one is';

CREATE VIEW factorymon.retention AS
SELECT p.name AS pipeline, l.level,
		extract(epoch FROM nullif(coalesce(r.keep,
			CASE WHEN l.inherits THEN p.retention END),
			interval '0'))::double precision AS keep_seconds,
		r.keep IS NOT NULL AS own,
		(SELECT count(*)
			FROM pg_catalog.unnest(l.kinds) AS k (kind)
			JOIN pg_catalog.pg_class t
				ON t.relname = k.kind || '_' || p.pipeline_id
			JOIN pg_catalog.pg_namespace n
				ON n.oid = t.relnamespace AND n.nspname = '_factorymon'
			JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid)::integer
			AS time_partitions,
		w.waiting_since, w.waiting_for
	FROM _factorymon.pipeline p
	CROSS JOIN _factorymon.retention_levels() l
	LEFT JOIN _factorymon.retention r
		ON r.pipeline_id = p.pipeline_id AND r.level = l.level
	CROSS JOIN LATERAL (
		SELECT min(w.since) AS waiting_since,
				string_agg(w.partition || ': ' || w.reason, '; '
					ORDER BY w.kind) AS waiting_for
			FROM _factorymon.retention_wait w
			WHERE w.pipeline_id = p.pipeline_id AND w.kind = ANY (l.kinds)) w;
COMMENT ON VIEW factorymon.retention IS
	'how long each level of detail of each pipeline is kept; see set_retention()';
COMMENT ON COLUMN factorymon.retention.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.retention.level IS
	'readings, rejects, alarms (transitions, what was published of them, findings of detectors), minutes, hours, days (rollups) or ledger';
COMMENT ON COLUMN factorymon.retention.keep_seconds IS
	'age after which it goes; null: it stays';
COMMENT ON COLUMN factorymon.retention.own IS
	'set for this level; otherwise it is the retention of the pipeline, or none';
COMMENT ON COLUMN factorymon.retention.time_partitions IS
	'time partitions that there are';
COMMENT ON COLUMN factorymon.retention.waiting_since IS
	'since when the oldest expired one cannot be dropped; null: it can, or there is none';
COMMENT ON COLUMN factorymon.retention.waiting_for IS
	'which one, and what it waits for';

CREATE VIEW factorymon.alert_outbox AS
SELECT p.name AS pipeline, o.pub_seq, o.event_id, o.alarm_id, o.transition,
		o.severity, o.announced, o.message_key, o.recorded_at, o.numbered_at,
		CASE
			WHEN d.delivered_at IS NOT NULL THEN 'delivered'
			WHEN o.to_kafka THEN 'pending'
			ELSE 'not_for_kafka'
		END AS state,
		d.delivered_at, coalesce(d.attempts, 0) AS attempts, d.attempted_at,
		d.last_error, o.payload::json AS payload
	FROM _factorymon.publication o
	LEFT JOIN _factorymon.delivery d
		ON d.pipeline_id = o.pipeline_id AND d.pub_seq = o.pub_seq
	JOIN _factorymon.pipeline p ON p.pipeline_id = o.pipeline_id;

CREATE VIEW factorymon.publisher_health AS
SELECT p.name AS pipeline, p.alert_topic, s.pid,
		CASE
			WHEN NOT p.runs_here THEN 'off'
			WHEN s.pid IS NULL THEN 'down'
			ELSE s.state
		END AS state,
		s.state_since, s.heartbeat_at, n.pub_seq AS last_pub_seq,
		o.pending, o.oldest_pending_at,
		extract(epoch FROM pg_catalog.clock_timestamp()
			- o.oldest_pending_at)::double precision
			AS oldest_pending_age_seconds,
		s.numbered, s.notified, s.sent, s.confirmed, s.refused, s.in_flight,
		s.started_at, s.last_error, s.last_error_at
	FROM _factorymon.pipeline_here p
	LEFT JOIN _factorymon.publisher_slots() s
		ON s.pipeline_id = p.pipeline_id
	LEFT JOIN _factorymon.publisher n ON n.pipeline_id = p.pipeline_id
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(w.n), 0)::bigint AS pending,
			min(w.oldest) AS oldest_pending_at
		FROM (
			SELECT count(*) AS n, min(x.recorded_at) AS oldest
			FROM _factorymon.publication x
			WHERE x.pipeline_id = p.pipeline_id
				AND x.pub_seq > n.delivered_seq AND x.to_kafka
				AND (SELECT d.delivered_at FROM _factorymon.delivery d
					WHERE d.pipeline_id = x.pipeline_id
						AND d.pub_seq = x.pub_seq) IS NULL
			UNION ALL
			/* those that have no number yet */
			SELECT d.out_seq - coalesce(c.out_seq, 0), t.recorded_at
			FROM _factorymon.stream m
			JOIN _factorymon.partition_offset d USING (stream_id)
			LEFT JOIN _factorymon.publisher_stream c USING (stream_id)
			LEFT JOIN _factorymon.transition t
				ON t.pipeline_id = p.pipeline_id
				AND t.stream_id = m.stream_id
				AND t.out_seq = coalesce(c.out_seq, 0) + 1
			WHERE m.pipeline_id = p.pipeline_id
				AND p.alert_topic IS NOT NULL
				AND d.out_seq > coalesce(c.out_seq, 0)) w) o;

CREATE VIEW factorymon.ledger AS
SELECT p.name AS pipeline, s.topic, s.kafka_partition, s.incarnation,
		l.kind, false AS open, l.from_offset, l.to_offset, l.messages,
		l.rejected, l.other, l.suppressed, l.readings, l.reason,
		l.opened_at, l.closed_at, l.duplicates
	FROM _factorymon.ledger l
	JOIN _factorymon.stream s ON s.stream_id = l.stream_id
	JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
UNION ALL
SELECT p.name, s.topic, s.kafka_partition, s.incarnation,
		'extent', true, o.extent_from, o.position, o.extent_messages,
		o.extent_rejected, o.extent_other, o.extent_suppressed,
		o.extent_readings, NULL, o.extent_opened_at, NULL,
		o.extent_duplicates
	FROM _factorymon.partition_offset o
	JOIN _factorymon.stream s ON s.stream_id = o.stream_id
	JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
	WHERE o.position > o.extent_from;

CREATE VIEW factorymon.message_counters AS
SELECT p.name AS pipeline,
		coalesce(sum(l.messages) FILTER (WHERE l.counts), 0)::bigint
			AS messages,
		coalesce(sum(l.readings) FILTER (WHERE l.counts), 0)::bigint
			AS readings,
		coalesce(sum(l.rejected) FILTER (WHERE l.counts), 0)::bigint
			AS rejected,
		coalesce(sum(l.other) FILTER (WHERE l.counts), 0)::bigint AS other,
		coalesce(sum(l.suppressed) FILTER (WHERE l.counts), 0)::bigint
			AS suppressed,
		coalesce(sum(l.to_offset - l.from_offset)
			FILTER (WHERE l.kind = 'gap'), 0)::bigint AS skipped_offsets,
		coalesce(-sum(l.readings) FILTER (WHERE l.kind = 'expired'),
			0)::bigint AS expired_readings,
		coalesce(-sum(l.rejected) FILTER (WHERE l.kind = 'expired'),
			0)::bigint AS expired_rejects,
		coalesce(sum(l.duplicates) FILTER (WHERE l.counts), 0)::bigint
			AS duplicates
	FROM _factorymon.pipeline p
	LEFT JOIN (
		SELECT l.pipeline_id, l.kind,
				l.kind IN ('extent', 'suspect', 'adjust') AS counts,
				l.from_offset, l.to_offset, l.messages, l.readings,
				l.rejected, l.other, l.suppressed, l.duplicates
			FROM _factorymon.ledger l
		UNION ALL
		SELECT s.pipeline_id, 'extent', true, o.extent_from, o.position,
				o.extent_messages, o.extent_readings, o.extent_rejected,
				o.extent_other, o.extent_suppressed, o.extent_duplicates
			FROM _factorymon.partition_offset o
			JOIN _factorymon.stream s ON s.stream_id = o.stream_id
	) l ON l.pipeline_id = p.pipeline_id
	GROUP BY p.pipeline_id, p.name;

CREATE VIEW factorymon.duplicates AS
SELECT p.name AS pipeline, s.topic, s.kafka_partition, d.kafka_offset,
		d.reading_id, f.kafka_partition AS first_partition, d.first_offset,
		d.seen_at, s.incarnation, f.incarnation AS first_incarnation
	FROM _factorymon.duplicate d
	JOIN _factorymon.pipeline p ON p.pipeline_id = d.pipeline_id
	JOIN _factorymon.stream s ON s.stream_id = d.stream_id
	JOIN _factorymon.stream f ON f.stream_id = d.first_stream_id
	WHERE d.seen_at >= now() - p.deduplicate_ttl;

CREATE VIEW factorymon.rejects AS
SELECT p.name AS pipeline, s.topic, s.kafka_partition, r.kafka_offset,
		r.message_at, r.key, r.value, r.headers, r.reason, r.sqlstate,
		r.rejected_at, r.attempts, r.detail, s.incarnation
	FROM _factorymon.reject r
	JOIN _factorymon.stream s ON s.stream_id = r.stream_id
	JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id;

CREATE VIEW factorymon.rebalancing_events AS
SELECT e.at, p.name AS pipeline, e.consumer, e.event, e.partitions, e.reason
	FROM _factorymon.event e
	JOIN _factorymon.pipeline p ON p.pipeline_id = e.pipeline_id;

/*
 * One row per configured worker, running or not, and per worker that runs
 * although it is not configured any more.
 */
CREATE VIEW factorymon.consumer_health AS
SELECT w.consumer,
		coalesce(w.pipeline, c.pipeline) AS pipeline,
		coalesce(w.worker_number, c.worker_number) AS worker_number,
		w.pid,
		coalesce(w.state,
			CASE WHEN c.runs_here THEN 'down' ELSE 'off' END) AS state,
		w.state_since, w.heartbeat_at,
		extract(epoch FROM clock_timestamp() - w.heartbeat_at)
			::double precision AS heartbeat_age_seconds,
		coalesce(w.assigned_partitions, 0) AS assigned_partitions,
		coalesce(w.partitions, '{}') AS partitions,
		coalesce(w.messages, 0) AS messages,
		coalesce(w.readings, 0) AS readings,
		coalesce(w.rejected, 0) AS rejected,
		coalesce(w.other, 0) AS other,
		coalesce(s.messages_per_second, 0) AS messages_per_second,
		s.lag_messages, s.lag_seconds,
		coalesce(w.transitions, 0) AS transitions,
		coalesce(w.rebalances, 0) AS rebalances,
		coalesce(w.fenced, 0) AS fenced,
		coalesce(w.retries, 0) AS retries,
		w.sensors, w.cpu_seconds, w.memory_bytes, w.started_at,
		w.last_error, w.last_error_at
	FROM (
		SELECT p.name AS pipeline, n.worker_number, p.runs_here
			FROM _factorymon.pipeline_here p
			CROSS JOIN LATERAL pg_catalog.generate_series(1, p.workers)
				AS n (worker_number)
	) c
	FULL JOIN factorymon.worker_status() w
		ON w.pipeline = c.pipeline AND w.worker_number = c.worker_number
	LEFT JOIN (
		SELECT t.pipeline, t.pid,
				sum(t.messages_per_second) AS messages_per_second,
				sum(t.lag_messages)::bigint AS lag_messages,
				max(t.lag_seconds) AS lag_seconds
			FROM factorymon.partition_status() t
			WHERE t.pid IS NOT NULL
			GROUP BY t.pipeline, t.pid
	) s ON s.pipeline = w.pipeline AND s.pid = w.pid;

/*
 * How far we have seen each live stream, on our clock: up to now while a
 * worker is at the end of the log, else up to its last message.  Silence
 * before the frontier is silence; beyond it nobody knows, for the reason.
 */
CREATE VIEW _factorymon.frontier AS
SELECT p.pipeline_id, s.stream_id,
		CASE
			WHEN t.state = 'running' AND t.lag_messages = 0
				THEN greatest(t.watermarks_at, t.last_message_at)
			ELSE t.last_message_at
		END AS frontier_at,
		CASE
			WHEN t.pid IS NULL AND t.state = 'unassigned' THEN 'worker down'
			WHEN t.state <> 'running' THEN t.state
			WHEN t.lag_messages IS NULL THEN 'just started'
			WHEN t.lag_messages > 0 THEN 'lagging'
			ELSE 'disconnected'
		END AS reason
	FROM factorymon.partition_status() t
	JOIN _factorymon.pipeline p ON p.name = t.pipeline
	JOIN _factorymon.stream s ON s.pipeline_id = p.pipeline_id
		AND s.topic = t.topic AND s.kafka_partition = t.kafka_partition
		AND s.incarnation = t.incarnation;

/*
 * A heartbeat may come through any partition of the topic, so the frontier
 * of a producer is that of the partition seen least far.
 */
CREATE VIEW factorymon.producer_health AS
SELECT h.pipeline, h.producer, h.host, h.version,
		CASE
			WHEN h.reported_state = 'stopped' THEN 'stopped'
			WHEN h.age <= h.patience / 2 THEN 'active'
			WHEN f.frontier_at IS NULL OR
				extract(epoch FROM clock_timestamp() - f.frontier_at)
					> h.patience THEN 'unknown'
			WHEN extract(epoch FROM f.frontier_at - h.heartbeat_at)
				> h.patience THEN 'silent'
			WHEN extract(epoch FROM f.frontier_at - h.heartbeat_at)
				> h.patience / 2 THEN 'late'
			ELSE 'active'
		END AS state,
		CASE
			WHEN h.reported_state = 'stopped' OR h.age <= h.patience / 2
				THEN NULL
			WHEN f.frontier_at IS NULL OR
				extract(epoch FROM clock_timestamp() - f.frontier_at)
					> h.patience THEN coalesce(f.reason, 'worker down')
		END AS reason,
		h.connection, h.sensors, h.sent, h.delivered, h.errors,
		h.heartbeat_at, h.age AS heartbeat_age_seconds,
		h.heartbeat_interval AS heartbeat_interval_seconds,
		h.started_at, h.sent_at
	FROM (
		SELECT DISTINCT ON (s.pipeline_id, b.producer_id)
				s.pipeline_id, p.name AS pipeline, b.producer_id AS producer,
				b.host, b.version, b.state AS reported_state, b.connection,
				b.sensors, b.sent, b.delivered, b.errors, b.heartbeat_at,
				b.heartbeat_interval, b.started_at, b.sent_at,
				extract(epoch FROM clock_timestamp() - b.heartbeat_at)
					::double precision AS age,
				greatest(5 * coalesce(b.heartbeat_interval, 10), 30)
					AS patience
			FROM _factorymon.producer b
			JOIN _factorymon.stream s ON s.stream_id = b.stream_id
			JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
			ORDER BY s.pipeline_id, b.producer_id, b.heartbeat_at DESC,
				b.stream_id DESC
	) h
	LEFT JOIN (
		SELECT DISTINCT ON (pipeline_id) pipeline_id, frontier_at, reason
			FROM _factorymon.frontier
			ORDER BY pipeline_id, frontier_at NULLS FIRST
	) f ON f.pipeline_id = h.pipeline_id;

/*
 * State of each sensor: the snapshots of the fold, which may be some seconds
 * old, and one probe of the index for what was stored since.  The frontier
 * of a sensor is that of the streams it has come through; of one that no
 * snapshot knows yet, of all.  A function, so that it can do without JIT,
 * which takes longer here than the query.
 */
CREATE FUNCTION _factorymon.sensor_states()
RETURNS TABLE (
	pipeline text,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	unit text,
	state text,
	reason text,
	last_ts timestamptz,
	last_seen_at timestamptz,
	last_seen_age_seconds double precision,
	expected_interval_seconds double precision,
	expected_interval_source text,
	readings_per_second double precision,
	silent_after_seconds double precision,
	readings bigint,
	gaps bigint,
	repeats bigint,
	late bigint,
	future bigint,
	producer_restarts bigint,
	partitions integer,
	registered_at timestamptz,
	retired_at timestamptz,
	retired_by text,
	retired_reason text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 1000
AS $$
WITH folded AS MATERIALIZED (
	SELECT x.sensor_id, s.stream_id, x.sensor_version_id, x.last_ts,
			x.message_at, x.readings, x.late, x.future,
			x.expected_interval, x.gaps, x.repeats, x.producer_restarts
		FROM _factorymon.stream s
		JOIN _factorymon.fold_chunk c ON c.stream_id = s.stream_id AND c.part = 0
		CROSS JOIN LATERAL _factorymon.fold_sensors(c.state) x
		WHERE s.retired_at IS NULL
), edge AS MATERIALIZED (
	SELECT pipeline_id, stream_id, frontier_at, reason
		FROM _factorymon.frontier
), per_sensor AS (
	SELECT g.sensor_id,
			max(g.last_ts) AS last_ts,
			max(g.message_at) AS message_at,
			sum(g.readings)::bigint AS readings,
			sum(g.late)::bigint AS late,
			sum(g.future)::bigint AS future,
			min(g.expected_interval) AS expected_interval,
			sum(g.gaps)::bigint AS gaps,
			sum(g.repeats)::bigint AS repeats,
			sum(g.producer_restarts)::bigint AS producer_restarts,
			(array_agg(g.sensor_version_id ORDER BY g.last_ts
				DESC NULLS LAST))[1] AS sensor_version_id,
			count(*)::integer AS partitions,
			min(coalesce(e.frontier_at, '-infinity')) AS frontier_at,
			(array_agg(e.reason ORDER BY e.frontier_at NULLS FIRST))[1]
				AS reason
		FROM folded g
		LEFT JOIN edge e ON e.stream_id = g.stream_id
		GROUP BY g.sensor_id
), per_pipeline AS (
	SELECT pipeline_id,
			min(coalesce(frontier_at, '-infinity')) AS frontier_at,
			(array_agg(reason ORDER BY frontier_at NULLS FIRST))[1] AS reason
		FROM edge
		GROUP BY pipeline_id
), seen AS (
	SELECT n.pipeline_id, n.sensor_id, n.name, n.registered_at,
			n.retired_at, n.retired_by, n.retired_reason,
			greatest(g.last_ts, r.ts) AS last_ts,
			greatest(g.message_at, CASE WHEN r.ts IS NOT NULL
				THEN least(r.ts, clock_timestamp()) END) AS last_seen_at,
			coalesce(g.readings, 0) AS readings, g.late, g.future,
			g.expected_interval, g.gaps, g.repeats, g.producer_restarts,
			coalesce(g.sensor_version_id, r.sensor_version_id)
				AS sensor_version_id,
			coalesce(g.partitions, 0) AS partitions,
			coalesce(g.frontier_at, q.frontier_at, '-infinity')
				AS frontier_at,
			CASE WHEN g.sensor_id IS NOT NULL THEN g.reason ELSE q.reason
				END AS frontier_reason
		FROM _factorymon.sensor n
		LEFT JOIN per_sensor g ON g.sensor_id = n.sensor_id
		LEFT JOIN per_pipeline q ON q.pipeline_id = n.pipeline_id
		LEFT JOIN LATERAL (
			SELECT d.ts, d.sensor_version_id
				FROM _factorymon.reading d
				WHERE d.pipeline_id = n.pipeline_id
					AND d.sensor_id = n.sensor_id
					AND d.ts > coalesce(g.last_ts, '-infinity')
					AND (d.flags & 16) = 0
				ORDER BY d.ts DESC
				LIMIT 1
		) r ON true
), watched AS MATERIALIZED (
	SELECT * FROM _factorymon.watched_sensors()
), paced AS (
	/* where the deadman watches it has looked up what is configured */
	SELECT s.*, p.name AS pipeline, v.sensor_type, v.factory_section,
			v.machine_id, v.zone, v.unit, w.state AS watched_state,
			w.reason AS watched_reason, w.last_seen_at AS watched_at,
			w.silent_after,
			coalesce(s.expected_interval, CASE WHEN NOT w.configured
				THEN w.expected_interval END) AS learned_interval,
			CASE
				WHEN w.configured THEN w.expected_interval
				WHEN w.state IS NULL AND EXISTS (
						SELECT FROM factorymon.threshold
							WHERE expected_interval IS NOT NULL)
					THEN (SELECT extract(epoch FROM l.expected_interval)
						::double precision
						FROM _factorymon.limits_of(p.name, v.sensor_type,
							v.zone, v.machine_id, s.name) AS l)
			END AS configured_interval
		FROM seen s
		JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
		LEFT JOIN _factorymon.sensor_version v
			ON v.sensor_version_id = s.sensor_version_id
		LEFT JOIN watched w ON w.sensor_id = s.sensor_id
), judged AS (
	SELECT *,
			greatest(5 * coalesce(configured_interval, learned_interval, 0),
				30) AS patience,
			extract(epoch FROM clock_timestamp() - last_seen_at)
				::double precision AS age,
			CASE WHEN isfinite(frontier_at) THEN extract(
				epoch FROM clock_timestamp() - frontier_at)
				::double precision END AS frontier_age,
			CASE WHEN isfinite(frontier_at) THEN extract(
				epoch FROM frontier_at - last_seen_at)
				::double precision END AS silence
		FROM paced
)
SELECT j.pipeline, j.name AS sensor_id, j.sensor_type,
		j.factory_section, j.machine_id, j.zone, j.unit,
		/* where the deadman watches, it is right, and newer */
		CASE
			WHEN j.retired_at IS NOT NULL THEN 'retired'
			WHEN j.watched_state IS NOT NULL THEN j.watched_state
			WHEN j.last_seen_at IS NULL THEN 'unknown'
			WHEN j.age <= j.patience / 2 THEN 'active'
			WHEN coalesce(j.frontier_age, 'Infinity') > j.patience
				THEN 'unknown'
			WHEN coalesce(j.silence, 'Infinity') > j.patience THEN 'silent'
			WHEN j.silence > j.patience / 2 THEN 'late'
			ELSE 'active'
		END AS state,
		CASE
			WHEN j.last_seen_at > j.retired_at THEN 'still sends readings'
			WHEN j.retired_at IS NOT NULL THEN NULL
			WHEN j.watched_state IS NOT NULL THEN j.watched_reason
			WHEN j.last_seen_at IS NULL THEN 'no reading stored'
			WHEN j.age <= j.patience / 2 THEN NULL
			WHEN coalesce(j.frontier_age, 'Infinity') > j.patience
				THEN coalesce(j.frontier_reason, 'worker down')
		END AS reason,
		j.last_ts, greatest(j.last_seen_at, j.watched_at),
		least(j.age, extract(epoch FROM clock_timestamp()
			- j.watched_at)::double precision),
		coalesce(j.configured_interval, j.learned_interval)
			AS expected_interval_seconds,
		CASE WHEN j.configured_interval IS NOT NULL THEN 'configured'
			WHEN j.learned_interval IS NOT NULL THEN 'learned' END,
		1 / nullif(j.learned_interval, 0) AS readings_per_second,
		coalesce(j.silent_after, j.patience::double precision),
		j.readings, j.gaps, j.repeats, j.late, j.future,
		j.producer_restarts, j.partitions, j.registered_at,
		j.retired_at, j.retired_by::text, j.retired_reason
	FROM judged j
$$;
COMMENT ON FUNCTION _factorymon.sensor_states() IS
	'what the view sensor_health shows';

CREATE VIEW factorymon.sensor_health AS
SELECT * FROM _factorymon.sensor_states();

/*
 * The pipeline at a glance.  Lagging is what is more than a minute behind; a
 * partition that runs nowhere makes the pipeline degraded, and none at all
 * makes it down.
 */
CREATE VIEW factorymon.system_status AS
SELECT p.name AS pipeline, p.topic, p.consumer_group,
		CASE
			WHEN NOT p.runs_here THEN 'off'
			WHEN p.paused_at IS NOT NULL THEN 'paused'
			WHEN coalesce(w.running, 0) = 0 THEN 'down'
			WHEN w.running < p.workers OR t.running < t.partitions
				THEN 'degraded'
			WHEN t.lag_messages > 0 AND t.lag_seconds > 60 THEN 'lagging'
			ELSE 'running'
		END AS state,
		p.workers,
		coalesce(w.running, 0) AS workers_running,
		coalesce(t.partitions, 0) AS partitions,
		coalesce(t.running, 0) AS partitions_running,
		t.lag_messages, t.lag_seconds,
		coalesce(t.messages_per_second, 0) AS messages_per_second,
		t.last_message_at,
		extract(epoch FROM pg_catalog.clock_timestamp() - t.last_message_at)
			::double precision AS data_age_seconds,
		c.messages, c.readings, c.rejected,
		coalesce(a.critical, 0) AS alarms_critical,
		coalesce(a.warning, 0) AS alarms_warning,
		coalesce(a.unacknowledged, 0) AS alarms_unacknowledged,
		coalesce(h.active, 0) AS producers_active,
		coalesce(h.missing, 0) AS producers_missing,
		o.state AS publisher_state,
		coalesce(o.pending, 0) AS publisher_pending
	FROM _factorymon.pipeline_here p
	LEFT JOIN factorymon.message_counters c ON c.pipeline = p.name
	LEFT JOIN factorymon.publisher_health o ON o.pipeline = p.name
	LEFT JOIN (
		SELECT x.pipeline, count(*) AS partitions,
				count(*) FILTER (WHERE x.state = 'running') AS running,
				sum(x.lag_messages)::bigint AS lag_messages,
				max(x.lag_seconds) AS lag_seconds,
				sum(x.messages_per_second) AS messages_per_second,
				max(x.last_message_at) AS last_message_at
			FROM factorymon.partition_status() x
			GROUP BY x.pipeline
	) t ON t.pipeline = p.name
	LEFT JOIN (
		SELECT x.pipeline,
				count(*) FILTER (WHERE x.state = 'running') AS running
			FROM factorymon.worker_status() x
			GROUP BY x.pipeline
	) w ON w.pipeline = p.name
	LEFT JOIN (
		SELECT s.pipeline_id,
				count(*) FILTER (WHERE x.level & 3 = 2
					AND x.state <> 'normal') AS critical,
				count(*) FILTER (WHERE x.level & 3 = 1
					AND x.state <> 'normal') AS warning,
				count(*) FILTER (WHERE x.state IN ('active_unacknowledged',
					'returned_unacknowledged')) AS unacknowledged
			FROM _factorymon.alarm x
			JOIN _factorymon.stream s USING (stream_id)
			WHERE x.state <> 'normal' AND x.blocks = 0
				AND x.shelving = 'none'
			GROUP BY s.pipeline_id
	) a ON a.pipeline_id = p.pipeline_id
	LEFT JOIN (
		SELECT x.pipeline,
				count(*) FILTER (WHERE x.state IN ('active', 'late')) AS active,
				count(*) FILTER (WHERE x.state IN ('silent', 'unknown'))
					AS missing
			FROM factorymon.producer_health x
			GROUP BY x.pipeline
	) h ON h.pipeline = p.name;

/*
 * The plant at a glance, for dashboards: flat rows, plain types, numbers beside
 * words to sort and colour by.  What is asked for every minute must not cost
 * more the longer readings are kept: the present is one probe of the index per
 * sensor, the past as many as sensors times minutes asked for.  What probes is
 * in functions, so that it can do without JIT, which would take ten times as
 * long as the probes.
 */

/*
 * Sensors in use, each with its newest reading, where it is, and whether that
 * reading still tells of the present: for as long as the deadman lets the sensor
 * be quiet, and for five minutes at least.  A reading ahead of its message
 * (flags & 16) would be the newest one for as long as its clock is wrong.
 */
CREATE FUNCTION _factorymon.sensor_now()
RETURNS TABLE (
	sensor_id integer,
	pipeline text,
	factory_section text,
	zone text,
	machine_id text,
	sensor_type text,
	unit text,
	ts timestamptz,
	value double precision,
	is_current boolean,
	level smallint,
	format text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 1000
AS $$
SELECT s.sensor_id, p.name, v.factory_section, v.zone, v.machine_id,
		v.sensor_type, v.unit, r.ts, r.value,
		coalesce(r.ts > now() - greatest(interval '5 minutes',
			make_interval(secs => w.silent_after)), false), r.level,
		p.format
	FROM _factorymon.sensor AS s
	JOIN _factorymon.pipeline AS p ON p.pipeline_id = s.pipeline_id
	LEFT JOIN LATERAL (
		SELECT x.ts, x.value, x.sensor_version_id, x.level
			FROM _factorymon.reading AS x
			WHERE x.pipeline_id = s.pipeline_id
				AND x.sensor_id = s.sensor_id
				AND x.flags & 16 = 0
			ORDER BY x.ts DESC, x.kafka_offset DESC, x.reading_index DESC,
				x.stream_id DESC
			LIMIT 1) AS r ON true
	/* without a reading: as it was described last */
	JOIN _factorymon.sensor_version AS v
		ON v.sensor_version_id = coalesce(r.sensor_version_id,
			(SELECT max(x.sensor_version_id)
				FROM _factorymon.sensor_version AS x
				WHERE x.sensor_id = s.sensor_id))
	LEFT JOIN _factorymon.watched_sensors() AS w ON w.sensor_id = s.sensor_id
	WHERE s.retired_at IS NULL
$$;
COMMENT ON FUNCTION _factorymon.sensor_now() IS
	'sensors in use with their newest readings, and whether these are current';

/* Every minute from the first reading to the last. */
CREATE FUNCTION _factorymon.reading_minutes()
RETURNS SETOF timestamptz
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 50000
AS $$
SELECT generate_series(
		date_bin(interval '1 minute', min(f.ts), timestamptz 'epoch'),
		max(l.ts), interval '1 minute')
	FROM _factorymon.sensor AS s
	CROSS JOIN LATERAL (
		SELECT x.ts
			FROM _factorymon.reading AS x
			WHERE x.pipeline_id = s.pipeline_id AND x.sensor_id = s.sensor_id
			ORDER BY x.ts
			LIMIT 1) AS f
	CROSS JOIN LATERAL (
		SELECT x.ts
			FROM _factorymon.reading AS x
			WHERE x.pipeline_id = s.pipeline_id AND x.sensor_id = s.sensor_id
			ORDER BY x.ts DESC
			LIMIT 1) AS l
$$;
COMMENT ON FUNCTION _factorymon.reading_minutes() IS
	'begins of the minutes from the first reading to the last';

/* Readings of a range of time by zone.  The range is known when the query
 * starts, so time partitions without it are not even opened. */
CREATE FUNCTION _factorymon.zone_readings("from" timestamptz, "to" timestamptz)
RETURNS TABLE (
	pipeline text,
	factory_section text,
	zone text,
	sensor_type text,
	unit text,
	avg_value double precision,
	min_value double precision,
	max_value double precision,
	readings bigint,
	sensors bigint,
	format text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 20
AS $$
SELECT p.name, v.factory_section, v.zone, v.sensor_type, v.unit,
		sum(g.total) / sum(g.readings), min(g.min_value), max(g.max_value),
		sum(g.readings)::bigint, count(DISTINCT v.sensor_id), p.format
	FROM _factorymon.sensor_version AS v
	JOIN _factorymon.sensor AS s ON s.sensor_id = v.sensor_id
	JOIN _factorymon.pipeline AS p ON p.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT count(*) AS readings, sum(r.value) AS total,
				min(r.value) AS min_value, max(r.value) AS max_value
			FROM _factorymon.reading AS r
			WHERE r.pipeline_id = s.pipeline_id
				AND r.sensor_id = v.sensor_id
				AND r.sensor_version_id = v.sensor_version_id
				AND r.ts >= zone_readings."from"
				AND r.ts < zone_readings."to") AS g
	WHERE g.readings > 0
	GROUP BY p.name, p.format, v.factory_section, v.zone, v.sensor_type, v.unit
$$;
COMMENT ON FUNCTION _factorymon.zone_readings(timestamptz, timestamptz) IS
	'readings of a range of time by zone, sensor type and unit';

CREATE VIEW factorymon.plant_now AS
SELECT
	n.pipeline,
	n.sensor_type,
	n.unit,
	avg(n.value) FILTER (WHERE n.is_current) AS avg_value,
	min(n.value) FILTER (WHERE n.is_current) AS min_value,
	max(n.value) FILTER (WHERE n.is_current) AS max_value,
	count(*) FILTER (WHERE n.is_current) AS sensors,
	count(*) FILTER (WHERE NOT n.is_current) AS sensors_missing,
	max(n.ts) AS last_reading_at,
	n.format
FROM _factorymon.sensor_now() AS n
GROUP BY n.pipeline, n.format, n.sensor_type, n.unit;

CREATE VIEW factorymon.zone_now AS
SELECT
	n.pipeline,
	n.factory_section,
	n.zone,
	n.sensor_type,
	n.unit,
	avg(n.value) FILTER (WHERE n.is_current) AS avg_value,
	min(n.value) FILTER (WHERE n.is_current) AS min_value,
	max(n.value) FILTER (WHERE n.is_current) AS max_value,
	count(*) FILTER (WHERE n.is_current) AS sensors,
	count(*) FILTER (WHERE NOT n.is_current) AS sensors_missing,
	max(n.ts) AS last_reading_at,
	n.format
FROM _factorymon.sensor_now() AS n
GROUP BY n.pipeline, n.format, n.factory_section, n.zone, n.sensor_type, n.unit;

/* Alarms that are blocked do not make a machine critical: whoever blocked them
 * knows.  As in system_status, what has returned but waits to be acknowledged
 * counts as unacknowledged. */
CREATE VIEW factorymon.machine_status AS
SELECT
	row_number() OVER (ORDER BY m.level_rank DESC, m.unacknowledged DESC,
		m.severity DESC NULLS LAST, m.machine_id, m.zone, m.factory_section,
		m.pipeline) AS rank,
	m.pipeline,
	m.factory_section,
	m.zone,
	m.machine_id,
	CASE m.level_rank
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS level,
	m.level_rank,
	m.severity,
	m.critical AS alarms_critical,
	m.warning AS alarms_warning,
	m.unacknowledged AS alarms_unacknowledged,
	m.blocked AS alarms_blocked,
	m.alarm_since,
	m.sensors,
	m.sensors_missing,
	m.last_reading_at,
	m.format
FROM (
	SELECT n.pipeline, n.format, n.factory_section, n.zone, n.machine_id,
			coalesce(max(a.level_rank), 0) AS level_rank,
			max(a.severity)::integer AS severity,
			coalesce(sum(a.critical), 0)::bigint AS critical,
			coalesce(sum(a.warning), 0)::bigint AS warning,
			coalesce(sum(a.unacknowledged), 0)::bigint AS unacknowledged,
			coalesce(sum(a.blocked), 0)::bigint AS blocked,
			min(a.alarm_since) AS alarm_since,
			count(*) AS sensors,
			count(*) FILTER (WHERE NOT n.is_current) AS sensors_missing,
			max(n.ts) AS last_reading_at
		FROM _factorymon.sensor_now() AS n
		LEFT JOIN (
			SELECT x.sensor_id,
					max((x.level & 3)::integer) FILTER (WHERE x.heard)
						AS level_rank,
					max(x.severity) FILTER (WHERE x.heard AND x.level & 3 > 0)
						AS severity,
					min(x.since) FILTER (WHERE x.heard AND x.level & 3 > 0)
						AS alarm_since,
					count(*) FILTER (WHERE x.heard AND x.level & 3 = 2)
						AS critical,
					count(*) FILTER (WHERE x.heard AND x.level & 3 = 1)
						AS warning,
					count(*) FILTER (WHERE x.heard AND x.state IN
						('active_unacknowledged', 'returned_unacknowledged'))
						AS unacknowledged,
					count(*) FILTER (WHERE NOT x.heard) AS blocked
				FROM (
					SELECT y.*, y.blocks = 0 AND y.shelving = 'none' AS heard
						FROM _factorymon.alarm AS y
						WHERE y.state <> 'normal' OR y.level & 3 > 0) AS x
				GROUP BY x.sensor_id) AS a ON a.sensor_id = n.sensor_id
		GROUP BY n.pipeline, n.format, n.factory_section, n.zone, n.machine_id) AS m;

/*
 * A condition on minute_at is one on the list of minutes, and each minute that
 * remains is a range of the index per sensor.  Grouping readings by their minute
 * would look natural, but a condition on what they are grouped by reaches no
 * index and no partition.
 */
CREATE VIEW factorymon.zone_minutes AS
SELECT
	m.minute_at,
	z.pipeline,
	z.factory_section,
	z.zone,
	z.sensor_type,
	z.unit,
	z.avg_value,
	z.min_value,
	z.max_value,
	z.readings,
	z.sensors,
	z.format
FROM _factorymon.reading_minutes() AS m(minute_at)
	CROSS JOIN LATERAL _factorymon.zone_readings(m.minute_at,
		m.minute_at + interval '1 minute') AS z;

/* The same way: bins are ten minutes, and the index is on their time. */
CREATE VIEW factorymon.alarm_hours AS
SELECT
	h.hour_at,
	b.pipeline,
	b."position",
	c.severity_class,
	c.class_rank,
	CASE c.class_rank WHEN 1 THEN b.low WHEN 2 THEN b.medium ELSE b.high
	END AS announcements
FROM generate_series(
		(SELECT date_bin(interval '1 hour', min(x.bin_at), timestamptz 'epoch')
			FROM _factorymon.alarm_bin AS x),
		(SELECT max(x.bin_at) FROM _factorymon.alarm_bin AS x),
		interval '1 hour') AS h(hour_at)
	CROSS JOIN LATERAL (
		SELECT p.name AS pipeline, x."position", sum(x.low)::bigint AS low,
				sum(x.medium)::bigint AS medium, sum(x.high)::bigint AS high
			FROM _factorymon.alarm_bin AS x
			JOIN _factorymon.pipeline AS p ON p.pipeline_id = x.pipeline_id
			WHERE x.bin_at >= h.hour_at
				AND x.bin_at < h.hour_at + interval '1 hour'
			GROUP BY p.name, x."position") AS b
	CROSS JOIN (VALUES (1, 'low'), (2, 'medium'), (3, 'high'))
		AS c(class_rank, severity_class);

/*
 * What happened last, to the plant and to the pipelines.  Each of the two is
 * read by its own index, no further than asked for.
 */
CREATE FUNCTION factorymon.recent_alerts(max_rows integer DEFAULT 100)
RETURNS TABLE (
	at timestamptz,
	kind text,
	event text,
	pipeline text,
	pub_seq bigint,
	event_id uuid,
	alarm_id uuid,
	sensor_id text,
	condition text,
	level text,
	side text,
	severity integer,
	state text,
	announced boolean,
	value double precision,
	unit text,
	"limit" double precision,
	consumer text,
	partitions integer[],
	"by" text,
	detail text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 100
AS $$
SELECT *
FROM (
	SELECT o.recorded_at, 'alarm', o.transition, p.name, o.pub_seq,
		o.event_id, o.alarm_id, m.payload ->> 'sensor_id',
		m.payload ->> 'condition', m.payload ->> 'level',
		m.payload ->> 'side', o.severity::integer, m.payload ->> 'state',
		o.announced,
		(m.payload ->> 'value')::double precision, m.payload ->> 'unit',
		(m.payload ->> 'limit')::double precision, NULL::text,
		NULL::integer[], m.payload ->> 'by', m.payload ->> 'comment'
	FROM _factorymon.pipeline p
	CROSS JOIN LATERAL (
		SELECT x.*
			FROM _factorymon.publication x
			WHERE x.pipeline_id = p.pipeline_id
			ORDER BY x.pub_seq DESC
			LIMIT greatest(max_rows, 0)) o
	CROSS JOIN LATERAL (SELECT o.payload::jsonb AS payload) m
	UNION ALL
	SELECT e.at, 'pipeline', e.event, p.name, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, e.consumer,
		e.partitions, NULL, e.reason
	FROM (
		SELECT x.*
			FROM _factorymon.event x
			ORDER BY x.at DESC
			LIMIT greatest(max_rows, 0)) e
	JOIN _factorymon.pipeline p ON p.pipeline_id = e.pipeline_id
) AS r
ORDER BY 1 DESC, 5 DESC NULLS LAST
LIMIT greatest(max_rows, 0)
$$;
COMMENT ON FUNCTION factorymon.recent_alerts(integer) IS
	'the newest events, newest first: kind alarm (event: a transition of an alarm, or a flood; pub_seq, ids, sensor, level and side of the limit as in alarms, value, who and comment) and kind pipeline (event: of rebalancing_events; consumer, partitions, reason as detail)';

/*
 * Messages that could not be stored, newest offsets of each stream first: read
 * by the index, no further than asked for.
 */
CREATE FUNCTION factorymon.recent_rejects(max_rows integer DEFAULT 100)
RETURNS TABLE (
	rejected_at timestamptz,
	pipeline text,
	topic text,
	kafka_partition integer,
	kafka_offset bigint,
	message_at timestamptz,
	reason text,
	sqlstate text,
	detail text,
	attempts integer,
	beginning text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 100
AS $$
SELECT r.rejected_at, p.name, s.topic, s.kafka_partition, r.kafka_offset,
		r.message_at, r.reason, r.sqlstate, r.detail, r.attempts,
		encode(substring(r.value FOR 200), 'escape')
	FROM _factorymon.stream s
	JOIN _factorymon.pipeline p USING (pipeline_id)
	CROSS JOIN LATERAL (
		SELECT x.*
			FROM _factorymon.reject x
			WHERE x.pipeline_id = s.pipeline_id AND x.stream_id = s.stream_id
			ORDER BY x.kafka_offset DESC
			LIMIT greatest(max_rows, 0)) r
	ORDER BY r.rejected_at DESC, s.kafka_partition, r.kafka_offset DESC
	LIMIT greatest(max_rows, 0)
$$;
COMMENT ON FUNCTION factorymon.recent_rejects(integer) IS
	'messages that could not be stored, newest first, with the reason and the first 200 bytes of each (escaped where they are no text); rejects has them whole';

/* A sensor by its name: of one pipeline, or where it was registered last. */
CREATE FUNCTION _factorymon.find_sensor(name text, pipeline text)
RETURNS _factorymon.sensor
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT s
	FROM _factorymon.sensor s
	JOIN _factorymon.pipeline p USING (pipeline_id)
	WHERE s.name = $1 AND ($2 IS NULL OR p.name = $2)
	ORDER BY s.registered_at DESC, s.sensor_id DESC
	LIMIT 1
$$;
REVOKE EXECUTE ON FUNCTION _factorymon.find_sensor(text, text) FROM PUBLIC;

/*
 * What a chart of a sensor shows.  A span has a point for each time slice that
 * has readings, so that a spike stays visible (minimum, maximum) however
 * long the span is.
 */
CREATE FUNCTION factorymon.sensor_series(
	sensor_id text,
	pipeline text DEFAULT NULL,
	"from" timestamptz DEFAULT now() - interval '1 hour',
	"to" timestamptz DEFAULT now(),
	max_points integer DEFAULT 600)
RETURNS TABLE (
	at timestamptz,
	readings bigint,
	average double precision,
	minimum double precision,
	maximum double precision,
	level text,
	late bigint,
	low_quality bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 600
AS $$
SELECT CASE WHEN count(*) = 1 THEN min(r.ts)
			ELSE to_timestamp(avg(extract(epoch FROM r.ts))) END,
		count(*), avg(r.value), min(r.value), max(r.value),
		CASE max(r.level & 3)
			WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
		END,
		count(*) FILTER (WHERE r.flags & 8 <> 0),
		count(*) FILTER (WHERE r.flags & 64 <> 0)
	FROM _factorymon.find_sensor($1, $2) s
	JOIN _factorymon.reading r
		ON r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
	WHERE r.ts >= $3 AND r.ts < $4
	GROUP BY floor(extract(epoch FROM r.ts - $3)
		/ greatest(extract(epoch FROM $4 - $3) / greatest($5, 1), 1e-6))
	ORDER BY 1
$$;
COMMENT ON FUNCTION factorymon.sensor_series(text, text, timestamptz,
	timestamptz, integer) IS
	'readings of a sensor in [from, to), by at most so many equal slices of time: mean time, number, average, least and greatest value, worst level, how many came late or were of low quality; slices without readings are not there';

CREATE FUNCTION factorymon.sensor_limits(
	sensor_id text,
	pipeline text DEFAULT NULL)
RETURNS TABLE (
	critical_low double precision,
	warning_low double precision,
	warning_high double precision,
	critical_high double precision,
	deadband double precision,
	unit text,
	expected_interval_seconds double precision,
	threshold_id integer)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 1
AS $$
SELECT l.critical_low, l.warning_low, l.warning_high, l.critical_high,
		l.deadband, v.unit,
		extract(epoch FROM l.expected_interval)::double precision,
		l.threshold_id
	FROM _factorymon.find_sensor($1, $2) s
	JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT x.*
			FROM _factorymon.sensor_version x
			WHERE x.sensor_id = s.sensor_id
			ORDER BY x.sensor_version_id DESC
			LIMIT 1) v
	CROSS JOIN LATERAL _factorymon.limits_of(p.name, v.sensor_type, v.zone,
		v.machine_id, s.name) l
$$;
COMMENT ON FUNCTION factorymon.sensor_limits(text, text) IS
	'the limits in force for a sensor where it was registered last: null where there is none; threshold_id is the row of threshold, null for the built-in ones; no row: no such sensor';

/* --- rollups ----------------------------------------------------------- */

/* Per pipeline: how far hours and days are computed, where the time begins that
 * hardly any reading has reached, and from when on readings of some stream are
 * in no part yet. */
CREATE VIEW _factorymon.rollup_span AS
SELECT p.pipeline_id, p.name AS pipeline, g.time_zone, g.hours_until,
	g.days_until, g.minutes_from, g.hours_from,
	greatest(g.hours_until, date_trunc('hour', now(), g.time_zone)
		+ interval '2 hours') AS far_from,
	CASE WHEN p.rollups THEN (
		SELECT min(q.pending_from)
		FROM _factorymon.rollup_stream AS q
			JOIN _factorymon.stream AS st ON st.stream_id = q.stream_id
		WHERE st.pipeline_id = p.pipeline_id AND isfinite(q.pending_from))
	END AS pending_from
FROM _factorymon.pipeline AS p
	JOIN _factorymon.rollup_progress AS g ON g.pipeline_id = p.pipeline_id;

/*
 * What is to be merged, per sensor and bucket: what is computed and not marked;
 * of the rest what is stored of the level below; what is only in rows.  Each
 * reading is in exactly one of these.
 *
 * Times that are not computed are a list of hours (days) first, and then a range
 * of the index for each (OFFSET 0 keeps it so): a condition on the bucket is one
 * on the list, and what it leaves out is not even looked up.
 */
CREATE VIEW _factorymon.minutes AS
SELECT s.sensor_id, s.name AS sensor, g.pipeline, u.*
FROM _factorymon.sensor AS s
	JOIN _factorymon.rollup_span AS g ON g.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT r.bucket, r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM _factorymon.rollup_1m AS r
		WHERE r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
		UNION ALL
		SELECT x.bucket, (x.m).first_ts, (x.m).last_ts, (x.m).first_offset,
			(x.m).last_offset, (x.m).mean, (x.m).m2, (x.m).min, (x.m).max,
			(x.m).first, (x.m).last, (x.m).sensor_version_id, (x.m).n,
			(x.m).n_bad, (x.m).n_warning, (x.m).n_critical, (x.m).first_stream,
			(x.m).last_stream, (x.m).first_index, (x.m).last_index
		FROM (
			SELECT date_bin('1 minute', r.ts,
				timestamptz '2000-01-01 00:00+00') AS bucket,
				_factorymon.rollup_readings(r.ts, r.value, r.level,
					r.quality, r.stream_id, r.kafka_offset,
					r.reading_index, r.sensor_version_id) AS m
			FROM _factorymon.reading AS r
				JOIN _factorymon.rollup_stream AS q
					ON q.stream_id = r.stream_id AND r.ts >= q.pending_from
			WHERE r.pipeline_id = s.pipeline_id
				AND r.sensor_id = s.sensor_id
				AND r.ts >= g.pending_from AND r.flags & 32 = 0
			GROUP BY 1, r.sensor_version_id) AS x) AS u;

CREATE VIEW _factorymon.hours AS
SELECT s.sensor_id, s.name AS sensor, g.pipeline, u.*
FROM _factorymon.sensor AS s
	JOIN _factorymon.rollup_span AS g ON g.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT r.bucket, r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM _factorymon.rollup_1h AS r
		WHERE r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
			AND r.bucket < g.hours_until
			AND (r.bucket < g.minutes_from OR NOT EXISTS (
				SELECT FROM _factorymon.rollup_mark AS k
				WHERE k.sensor_id = r.sensor_id AND k.bucket >= r.bucket
					AND k.bucket < r.bucket + interval '1 hour'))
		UNION ALL
		SELECT l.hour_at, r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM (
			SELECT h
			FROM _factorymon.steps(g.hours_until,
				g.far_from - interval '1 hour', interval '1 hour') AS h
			UNION
			SELECT date_trunc('hour', k.bucket, g.time_zone)
			FROM _factorymon.rollup_mark AS k
			WHERE k.sensor_id = s.sensor_id
				AND k.bucket < g.hours_until) AS l(hour_at)
			CROSS JOIN LATERAL (
				SELECT x.*
				FROM _factorymon.rollup_1m AS x
				WHERE x.pipeline_id = s.pipeline_id
					AND x.sensor_id = s.sensor_id
					AND x.bucket >= l.hour_at
					AND x.bucket < l.hour_at + interval '1 hour'
				OFFSET 0) AS r
		UNION ALL
		SELECT date_trunc('hour', r.bucket, g.time_zone),
			r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM _factorymon.rollup_1m AS r
		WHERE r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
			AND r.bucket >= g.far_from
		UNION ALL
		SELECT x.bucket, (x.m).first_ts, (x.m).last_ts, (x.m).first_offset,
			(x.m).last_offset, (x.m).mean, (x.m).m2, (x.m).min, (x.m).max,
			(x.m).first, (x.m).last, (x.m).sensor_version_id, (x.m).n,
			(x.m).n_bad, (x.m).n_warning, (x.m).n_critical, (x.m).first_stream,
			(x.m).last_stream, (x.m).first_index, (x.m).last_index
		FROM (
			SELECT date_trunc('hour', r.ts, g.time_zone) AS bucket,
				_factorymon.rollup_readings(r.ts, r.value, r.level,
					r.quality, r.stream_id, r.kafka_offset,
					r.reading_index, r.sensor_version_id) AS m
			FROM _factorymon.reading AS r
				JOIN _factorymon.rollup_stream AS q
					ON q.stream_id = r.stream_id AND r.ts >= q.pending_from
			WHERE r.pipeline_id = s.pipeline_id
				AND r.sensor_id = s.sensor_id
				AND r.ts >= g.pending_from AND r.flags & 32 = 0
			GROUP BY 1, r.sensor_version_id) AS x) AS u;

CREATE VIEW _factorymon.days AS
SELECT s.sensor_id, s.name AS sensor, g.pipeline, u.*
FROM _factorymon.sensor AS s
	JOIN _factorymon.rollup_span AS g ON g.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT r.bucket, r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM _factorymon.rollup_1d AS r
		WHERE r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
			AND r.bucket < g.days_until
			AND (r.bucket < g.hours_from OR NOT EXISTS (
				SELECT FROM _factorymon.rollup_mark AS k
				WHERE k.sensor_id = r.sensor_id AND k.bucket >= r.bucket
					AND k.bucket < ((r.bucket AT TIME ZONE g.time_zone) + interval '1 day')
				AT TIME ZONE g.time_zone))
		UNION ALL
		SELECT l.day_at, r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM (
			SELECT d AT TIME ZONE g.time_zone
			FROM _factorymon.steps(g.days_until AT TIME ZONE g.time_zone,
				g.hours_until AT TIME ZONE g.time_zone,
				interval '1 day') AS d
			UNION
			SELECT date_trunc('day', k.bucket, g.time_zone)
			FROM _factorymon.rollup_mark AS k
			WHERE k.sensor_id = s.sensor_id
				AND k.bucket < g.days_until) AS l(day_at)
			CROSS JOIN LATERAL (
				SELECT x.*
				FROM _factorymon.rollup_1h AS x
				WHERE x.pipeline_id = s.pipeline_id
					AND x.sensor_id = s.sensor_id
					AND x.bucket >= l.day_at
					AND x.bucket < ((l.day_at AT TIME ZONE g.time_zone) + interval '1 day')
				AT TIME ZONE g.time_zone
					AND x.bucket < g.hours_until
				OFFSET 0) AS r
		WHERE r.bucket < g.minutes_from OR NOT EXISTS (
				SELECT FROM _factorymon.rollup_mark AS k
				WHERE k.sensor_id = r.sensor_id AND k.bucket >= r.bucket
					AND k.bucket < r.bucket + interval '1 hour')
		UNION ALL
		SELECT date_trunc('day', l.hour_at, g.time_zone), r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM (
			SELECT h
			FROM _factorymon.steps(g.hours_until,
				g.far_from - interval '1 hour', interval '1 hour') AS h
			UNION
			SELECT date_trunc('hour', k.bucket, g.time_zone)
			FROM _factorymon.rollup_mark AS k
			WHERE k.sensor_id = s.sensor_id
				AND k.bucket < g.hours_until) AS l(hour_at)
			CROSS JOIN LATERAL (
				SELECT x.*
				FROM _factorymon.rollup_1m AS x
				WHERE x.pipeline_id = s.pipeline_id
					AND x.sensor_id = s.sensor_id
					AND x.bucket >= l.hour_at
					AND x.bucket < l.hour_at + interval '1 hour'
				OFFSET 0) AS r
		UNION ALL
		SELECT date_trunc('day', r.bucket, g.time_zone),
			r.first_ts, r.last_ts, r.first_offset, r.last_offset, r.mean, r.m2,
			r.min, r.max, r.first, r.last, r.sensor_version_id, r.n, r.n_bad,
			r.n_warning, r.n_critical, r.first_stream, r.last_stream,
			r.first_index, r.last_index
		FROM _factorymon.rollup_1m AS r
		WHERE r.pipeline_id = s.pipeline_id AND r.sensor_id = s.sensor_id
			AND r.bucket >= g.far_from
		UNION ALL
		SELECT x.bucket, (x.m).first_ts, (x.m).last_ts, (x.m).first_offset,
			(x.m).last_offset, (x.m).mean, (x.m).m2, (x.m).min, (x.m).max,
			(x.m).first, (x.m).last, (x.m).sensor_version_id, (x.m).n,
			(x.m).n_bad, (x.m).n_warning, (x.m).n_critical, (x.m).first_stream,
			(x.m).last_stream, (x.m).first_index, (x.m).last_index
		FROM (
			SELECT date_trunc('day', r.ts, g.time_zone) AS bucket,
				_factorymon.rollup_readings(r.ts, r.value, r.level,
					r.quality, r.stream_id, r.kafka_offset,
					r.reading_index, r.sensor_version_id) AS m
			FROM _factorymon.reading AS r
				JOIN _factorymon.rollup_stream AS q
					ON q.stream_id = r.stream_id AND r.ts >= q.pending_from
			WHERE r.pipeline_id = s.pipeline_id
				AND r.sensor_id = s.sensor_id
				AND r.ts >= g.pending_from AND r.flags & 32 = 0
			GROUP BY 1, r.sensor_version_id) AS x) AS u;

/* --- questions that people ask: docs/queries.md ------------------------ */

/*
 * What the functions below have in common:
 *
 * The range of time is a parameter or a scalar subquery where it is asked for:
 * that is known when the rest begins, so it is a condition on index and
 * partitions, also inside of views that group; a join would be one on their
 * result.
 *
 * They are not inlined (SECURITY DEFINER, JIT off), so EXPLAIN shows one node;
 * auto_explain with log_nested_statements shows what is below.
 */
CREATE FUNCTION _factorymon.require(ok boolean, message text)
RETURNS boolean
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'factorymon_require';
COMMENT ON FUNCTION _factorymon.require(boolean, text) IS
	'true, or an error with this message if it is false or null';

CREATE FUNCTION _factorymon.known_sensor(name text, pipeline text)
RETURNS _factorymon.sensor
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT f.s
	FROM (SELECT _factorymon.find_sensor($1, $2) AS s OFFSET 0) f
	WHERE _factorymon.require((f.s).sensor_id IS NOT NULL,
		format('sensor "%s" does not exist', $1)
			|| coalesce(' in pipeline "' || $2 || '"', ''))
$$;
COMMENT ON FUNCTION _factorymon.known_sensor(text, text) IS
	'as find_sensor(), or an error';

/*
 * Where buckets begin, and where the last one ends: whole buckets that cover
 * [from, to).  Up to an hour they are steps of time from the hour on, as a day
 * of 25 hours has two of the same name; longer ones are steps of the plant's
 * clocks from midnight or Monday on.  Edges that are one moment (a step into
 * the hour that clocks leave out) are one.
 */
CREATE FUNCTION _factorymon.bucket_edges(
	width interval,
	"from" timestamptz,
	"to" timestamptz,
	time_zone text)
RETURNS timestamptz[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
WITH given AS MATERIALIZED (
	SELECT $2 AT TIME ZONE $4 AS from_clock, $3 AT TIME ZONE $4 AS to_clock
		WHERE _factorymon.require($2 < $3 AND isfinite($2) AND isfinite($3),
				'"from" must be before "to", and both finite')
			AND _factorymon.require((
				SELECT CASE WHEN w.s <= 0 OR w.s <> floor(w.s) THEN false
						WHEN w.s < 60 THEN 60 % w.s = 0
						WHEN w.s < 3600 THEN w.s % 60 = 0 AND 3600 % w.s = 0
						WHEN w.s < 86400
							THEN w.s % 3600 = 0 AND 86400 % w.s = 0
						ELSE w.s IN (86400, 604800) END
					FROM (SELECT extract(epoch FROM $1) AS s) w),
				'"width" must divide a minute, an hour or a day, or be a week')
			AND _factorymon.require(extract(epoch FROM $3 - $2)
				<= 1000000 * extract(epoch FROM $1),
				'there would be more than a million buckets')
), edge AS MATERIALIZED (
	SELECT s.at
		FROM given g, generate_series(
			date_bin($1, $2, date_trunc('hour', $2, $4)),
			$3 + $1 - interval '1 microsecond', $1) AS s(at)
		WHERE $1 <= interval '1 hour'
	UNION
	SELECT s.at AT TIME ZONE $4
		FROM given g, generate_series(CASE
				WHEN $1 < interval '1 day'
					THEN date_bin($1, g.from_clock,
						date_trunc('day', g.from_clock))
				WHEN $1 = interval '1 day'
					THEN date_trunc('day', g.from_clock)
				ELSE date_trunc('week', g.from_clock) END - $1,
			g.to_clock + 2 * $1, $1) AS s(at)
		WHERE $1 > interval '1 hour'
)
SELECT array_agg(e.at ORDER BY e.at)
	FROM edge e
	WHERE (SELECT true FROM given)
		AND e.at >= (SELECT max(x.at) FROM edge x WHERE x.at <= $2)
		AND e.at <= (SELECT min(x.at) FROM edge x WHERE x.at >= $3)
$$;
COMMENT ON FUNCTION _factorymon.bucket_edges(interval, timestamptz, timestamptz,
	text) IS
	'where buckets of this width begin that cover [from, to), and where the last one ends';

/*
 * A sensor's sums in the buckets between edges, from each level of detail.  They
 * are functions so that only the one that is needed is planned, which takes
 * longer than running it.
 */
CREATE FUNCTION _factorymon.days_of(sensor_id integer, edges timestamptz[])
RETURNS TABLE (i integer, m _factorymon.rollup_value)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
ROWS 500
AS $$
SELECT width_bucket(u.bucket, $2), _factorymon.rollup(u.first_ts, u.last_ts,
		u.first_offset, u.last_offset, u.mean, u.m2, u.min, u.max, u.first,
		u.last, u.sensor_version_id, u.n, u.n_bad, u.n_warning, u.n_critical,
		u.first_stream, u.last_stream, u.first_index, u.last_index)
	FROM _factorymon.days u
	WHERE u.sensor_id = $1
		AND u.bucket >= $2[1] AND u.bucket < $2[cardinality($2)]
	GROUP BY 1
$$;
CREATE FUNCTION _factorymon.hours_of(sensor_id integer, edges timestamptz[])
RETURNS TABLE (i integer, m _factorymon.rollup_value)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
ROWS 500
AS $$
SELECT width_bucket(u.bucket, $2), _factorymon.rollup(u.first_ts, u.last_ts,
		u.first_offset, u.last_offset, u.mean, u.m2, u.min, u.max, u.first,
		u.last, u.sensor_version_id, u.n, u.n_bad, u.n_warning, u.n_critical,
		u.first_stream, u.last_stream, u.first_index, u.last_index)
	FROM _factorymon.hours u
	WHERE u.sensor_id = $1
		AND u.bucket >= $2[1] AND u.bucket < $2[cardinality($2)]
	GROUP BY 1
$$;
CREATE FUNCTION _factorymon.minutes_of(sensor_id integer, edges timestamptz[])
RETURNS TABLE (i integer, m _factorymon.rollup_value)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
ROWS 500
AS $$
SELECT width_bucket(u.bucket, $2), _factorymon.rollup(u.first_ts, u.last_ts,
		u.first_offset, u.last_offset, u.mean, u.m2, u.min, u.max, u.first,
		u.last, u.sensor_version_id, u.n, u.n_bad, u.n_warning, u.n_critical,
		u.first_stream, u.last_stream, u.first_index, u.last_index)
	FROM _factorymon.minutes u
	WHERE u.sensor_id = $1
		AND u.bucket >= $2[1] AND u.bucket < $2[cardinality($2)]
	GROUP BY 1
$$;
CREATE FUNCTION _factorymon.readings_of(
	pipeline_id smallint,
	sensor_id integer,
	edges timestamptz[])
RETURNS TABLE (i integer, m _factorymon.rollup_value)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
ROWS 500
AS $$
SELECT width_bucket(r.ts, $3), _factorymon.rollup_readings(r.ts, r.value,
		r.level, r.quality, r.stream_id, r.kafka_offset, r.reading_index,
		r.sensor_version_id)
	FROM _factorymon.reading r
	WHERE r.pipeline_id = $1 AND r.sensor_id = $2
		AND r.ts >= $3[1] AND r.ts < $3[cardinality($3)]
	GROUP BY 1
$$;
COMMENT ON FUNCTION _factorymon.days_of(integer, timestamptz[]) IS
	'a sensor in the buckets between these edges, from days';
COMMENT ON FUNCTION _factorymon.hours_of(integer, timestamptz[]) IS
	'the same from hours';
COMMENT ON FUNCTION _factorymon.minutes_of(integer, timestamptz[]) IS
	'the same from minutes';
COMMENT ON FUNCTION _factorymon.readings_of(smallint, integer, timestamptz[]) IS
	'the same from single readings';

CREATE FUNCTION factorymon.sensor_buckets(
	sensor_id text,
	width interval,
	"from" timestamptz DEFAULT now() - interval '1 day',
	"to" timestamptz DEFAULT now(),
	fill text DEFAULT 'none',
	pipeline text DEFAULT NULL)
RETURNS TABLE (
	bucket timestamptz,
	n bigint,
	min double precision,
	max double precision,
	avg double precision,
	stddev double precision,
	first double precision,
	last double precision,
	filled double precision)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 500
AS $$
WITH sensor AS MATERIALIZED (
	SELECT s.sensor_id, s.pipeline_id, b.edges
		FROM _factorymon.known_sensor($1, $6) s
		JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
		LEFT JOIN _factorymon.rollup_progress g
			ON g.pipeline_id = p.pipeline_id
		CROSS JOIN LATERAL (SELECT _factorymon.bucket_edges($2, $3, $4,
			coalesce(g.time_zone, p.time_zone)) OFFSET 0) AS b(edges)
		WHERE _factorymon.require($5 IN ('none', 'last', 'linear'),
			'"fill" must be "none", "last" or "linear"')
), merged AS (
	SELECT x.i, x.m
		FROM sensor s
		CROSS JOIN LATERAL _factorymon.days_of(s.sensor_id, s.edges) AS x
		WHERE $2 >= interval '1 day'
	UNION ALL
	SELECT x.i, x.m
		FROM sensor s
		CROSS JOIN LATERAL _factorymon.hours_of(s.sensor_id, s.edges) AS x
		WHERE $2 >= interval '1 hour' AND $2 < interval '1 day'
	UNION ALL
	SELECT x.i, x.m
		FROM sensor s
		CROSS JOIN LATERAL _factorymon.minutes_of(s.sensor_id, s.edges) AS x
		WHERE $2 >= interval '1 minute' AND $2 < interval '1 hour'
	UNION ALL
	SELECT x.i, x.m
		FROM sensor s
		CROSS JOIN LATERAL _factorymon.readings_of(s.pipeline_id, s.sensor_id,
			s.edges) AS x
		WHERE $2 < interval '1 minute'
), listed AS (
	/* one group each, and no join: how many there will be nobody knows */
	SELECT x.i, max(x.at) AS at, coalesce(max(x.n), 0)::bigint AS n,
			max(x.min) AS min, max(x.max) AS max, max(x.mean) AS mean,
			max(x.stddev) AS stddev, max(x.first) AS first,
			max(x.last) AS last
		FROM (
			SELECT e.i, e.at, NULL::integer AS n, NULL::float8 AS min,
					NULL::float8 AS max, NULL::float8 AS mean,
					NULL::float8 AS stddev, NULL::float8 AS first,
					NULL::float8 AS last
				FROM sensor s, unnest(s.edges) WITH ORDINALITY AS e(at, i)
				WHERE e.i < cardinality(s.edges)
			UNION ALL
			SELECT g.i, NULL, (g.m).n, (g.m).min, (g.m).max, (g.m).mean,
					CASE WHEN (g.m).n > 1
						THEN sqrt((g.m).m2 / ((g.m).n - 1)) END,
					(g.m).first, (g.m).last
				FROM merged g) x
		GROUP BY x.i
), beside AS (
	/* the nearest buckets that have an average: this one, if it has one */
	SELECT l.*, max(l.i) FILTER (WHERE l.mean IS NOT NULL)
				OVER (ORDER BY l.i) AS before,
			min(l.i) FILTER (WHERE l.mean IS NOT NULL)
				OVER (ORDER BY l.i DESC) AS behind
		FROM listed l
), known AS (
	SELECT b.*, max(b.mean) OVER x AS mean_before,
			max(b.mean) OVER y AS mean_behind,
			max(b.at) FILTER (WHERE b.mean IS NOT NULL) OVER x AS at_before,
			max(b.at) FILTER (WHERE b.mean IS NOT NULL) OVER y AS at_behind
		FROM beside b
		WINDOW x AS (PARTITION BY b.before), y AS (PARTITION BY b.behind)
)
SELECT k.at, k.n, k.min, k.max, k.mean, k.stddev, k.first, k.last,
		CASE WHEN k.mean IS NOT NULL THEN k.mean
			WHEN $5 = 'last' AND k.before IS NOT NULL THEN k.mean_before
			WHEN $5 = 'linear' AND k.before IS NOT NULL
					AND k.behind IS NOT NULL
				THEN k.mean_before + (k.mean_behind - k.mean_before)
					* extract(epoch FROM k.at - k.at_before)::double precision
					/ extract(epoch FROM k.at_behind - k.at_before)
						::double precision
		END
	FROM known k
	ORDER BY k.i
$$;
COMMENT ON FUNCTION factorymon.sensor_buckets(text, interval, timestamptz,
	timestamptz, text, text) IS
	'a sensor by buckets of time that cover [from, to), a row for each, with readings or without; filled: the average, and in gaps nothing (fill "none"), that of the last bucket that has one ("last"), or a straight line between two ("linear")';

CREATE FUNCTION factorymon.last_readings(
	n integer,
	only_sensor text DEFAULT NULL)
RETURNS TABLE (
	ts timestamptz,
	sensor_id text,
	sensor_type text,
	factory_section text,
	machine_id text,
	zone text,
	value double precision,
	unit text,
	level text,
	side text,
	quality real,
	pipeline text)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 1000
AS $$
SELECT r.ts, s.name, v.sensor_type, v.factory_section, v.machine_id, v.zone,
		r.value, v.unit,
		CASE r.level & 3
			WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
		END,
		CASE r.level >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END,
		r.quality, p.name
	FROM _factorymon.sensor s
	JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
	CROSS JOIN LATERAL (
		SELECT x.*
			FROM _factorymon.reading x
			WHERE x.pipeline_id = s.pipeline_id AND x.sensor_id = s.sensor_id
			ORDER BY x.ts DESC, x.kafka_offset DESC, x.reading_index DESC,
				x.stream_id DESC
			LIMIT $1) r
	LEFT JOIN _factorymon.sensor_version v
		ON v.sensor_version_id = r.sensor_version_id
	WHERE _factorymon.require($1 > 0, '"n" must be positive')
		AND _factorymon.require($2 IS NULL OR EXISTS (
			SELECT FROM _factorymon.sensor x WHERE x.name = $2),
			format('sensor "%s" does not exist', $2))
		AND ($2 IS NULL OR s.name = $2)
	ORDER BY s.name, p.name, r.ts DESC, r.kafka_offset DESC,
		r.reading_index DESC, r.stream_id DESC
$$;
COMMENT ON FUNCTION factorymon.last_readings(integer, text) IS
	'the last n readings of each sensor, or of one, newest first: a walk along the index for each';

CREATE FUNCTION factorymon.zone_percentiles(
	"from" timestamptz,
	"to" timestamptz,
	fractions double precision[] DEFAULT '{0.05,0.5,0.95,0.99}',
	only_zone text DEFAULT NULL,
	only_type text DEFAULT NULL)
RETURNS TABLE (
	pipeline text,
	factory_section text,
	zone text,
	sensor_type text,
	unit text,
	n bigint,
	fraction double precision,
	value double precision)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 100
AS $$
SELECT z.pipeline, z.factory_section, z.zone, z.sensor_type, z.unit, z.n,
		f.fraction, f.value
	FROM (
		SELECT p.name AS pipeline, v.factory_section, v.zone, v.sensor_type,
				v.unit, count(*) AS n,
				percentile_cont($3) WITHIN GROUP (ORDER BY r.value) AS at
			FROM _factorymon.sensor_version v
			JOIN _factorymon.sensor s ON s.sensor_id = v.sensor_id
			JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
			JOIN _factorymon.reading r ON r.pipeline_id = s.pipeline_id
				AND r.sensor_id = v.sensor_id
				AND r.sensor_version_id = v.sensor_version_id
			WHERE r.ts >= $1 AND r.ts < $2 AND coalesce(r.quality, 1) >= 0.5
				AND ($4 IS NULL OR v.zone = $4)
				AND ($5 IS NULL OR v.sensor_type = $5)
				AND _factorymon.require($1 < $2, '"from" must be before "to"')
				AND _factorymon.require(cardinality($3) > 0 AND 0 <= ALL ($3)
					AND 1 >= ALL ($3), '"fractions" must be between 0 and 1')
			GROUP BY p.name, v.factory_section, v.zone, v.sensor_type,
				v.unit) z
	CROSS JOIN LATERAL unnest($3, z.at) AS f(fraction, value)
	ORDER BY 1, 2, 3, 4, 5, 7
$$;
COMMENT ON FUNCTION factorymon.zone_percentiles(timestamptz, timestamptz,
	double precision[], text, text) IS
	'percentiles of the readings of good quality in [from, to), per zone, sensor type and unit, a row for each fraction; exact, from rows';

CREATE FUNCTION factorymon.sensor_correlation(
	sensor_a text,
	sensor_b text,
	"from" timestamptz DEFAULT now() - interval '1 day',
	"to" timestamptz DEFAULT now(),
	width interval DEFAULT interval '1 minute',
	lag interval DEFAULT interval '0',
	pipeline text DEFAULT NULL)
RETURNS TABLE (
	n bigint,
	correlation double precision,
	slope double precision,
	intercept double precision,
	avg_a double precision,
	avg_b double precision)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 1
AS $$
SELECT count(*), corr(b.avg, a.avg), regr_slope(b.avg, a.avg),
		regr_intercept(b.avg, a.avg), avg(a.avg), avg(b.avg)
	FROM factorymon.sensor_buckets($1, $5, $3, $4, 'none', $7) a
	JOIN factorymon.sensor_buckets($2, $5, $3 + $6, $4 + $6, 'none', $7) b
		ON b.bucket = a.bucket + $6
	WHERE a.avg IS NOT NULL AND b.avg IS NOT NULL
		AND _factorymon.require($5 <= interval '1 day'
			AND extract(epoch FROM $6) % greatest(extract(epoch FROM $5), 1) = 0,
			'"lag" must be a multiple of "width", which must be at most a day')
		/* the join would not ask for one if there is nothing of the other */
		AND (_factorymon.known_sensor($1, $7)).sensor_id IS NOT NULL
		AND (_factorymon.known_sensor($2, $7)).sensor_id IS NOT NULL
$$;
COMMENT ON FUNCTION factorymon.sensor_correlation(text, text, timestamptz,
	timestamptz, interval, interval, text) IS
	'how far the averages of two sensors in the same buckets of time go together: number of buckets that both have, Pearson''s correlation, and the line b = slope * a + intercept; lag: b is looked at that much later than a';

CREATE FUNCTION factorymon.machine_timeline(
	machine_id text,
	"from" timestamptz DEFAULT now() - interval '1 day',
	"to" timestamptz DEFAULT now(),
	silent_after interval DEFAULT interval '5 minutes')
RETURNS TABLE (
	pipeline text,
	factory_section text,
	zone text,
	from_at timestamptz,
	to_at timestamptz,
	seconds double precision,
	level text)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 100
AS $$
WITH here AS MATERIALIZED (
	SELECT v.sensor_id, v.sensor_version_id,
			dense_rank() OVER (ORDER BY p.name, v.factory_section, v.zone)
				AS place,
			p.name AS pipeline, v.factory_section, v.zone
		FROM _factorymon.sensor_version v
		JOIN _factorymon.sensor s ON s.sensor_id = v.sensor_id
		JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
		WHERE v.machine_id = $1
			AND _factorymon.require($2 < $3 AND isfinite($2) AND isfinite($3),
				'"from" must be before "to", and both finite')
			AND _factorymon.require($4 >= interval '0',
				'"silent_after" must not be negative')
			AND _factorymon.require(EXISTS (
				SELECT FROM _factorymon.sensor_version x
				WHERE x.machine_id = $1),
				format('machine "%s" does not exist', $1))
), minute AS (
	/* a minute of a sensor, and until when its level holds */
	SELECT h.place, u.bucket,
			CASE WHEN sum(u.n_critical) > 0 THEN 2
				WHEN sum(u.n_warning) > 0 THEN 1 ELSE 0 END AS rank,
			least(u.bucket + interval '1 minute' + $4,
				lead(u.bucket) OVER (PARTITION BY h.place, h.sensor_id
					ORDER BY u.bucket)) AS until
		FROM here h
		JOIN _factorymon.minutes u ON u.sensor_id = h.sensor_id
			AND u.sensor_version_id = h.sensor_version_id
		WHERE u.n > 0 AND u.bucket < least($3, now())
			AND u.bucket >= $2 - $4 - interval '1 minute'
		GROUP BY h.place, h.sensor_id, u.bucket
), change AS (
	/* how many sensors come to a level, and leave it */
	SELECT x.place, x.at, sum(x.up) FILTER (WHERE x.rank = 0) AS normal,
			sum(x.up) FILTER (WHERE x.rank = 1) AS warning,
			sum(x.up) FILTER (WHERE x.rank = 2) AS critical
		FROM (
			SELECT m.place, greatest(m.bucket, $2) AS at, m.rank, 1 AS up
				FROM minute m WHERE m.until > $2
			UNION ALL
			SELECT m.place, m.until, m.rank, -1
				FROM minute m WHERE m.until > $2
			UNION ALL
			SELECT DISTINCT h.place, $2, 0, 0 FROM here h) x
		GROUP BY x.place, x.at
), state AS (
	SELECT c.place, c.at,
			CASE WHEN sum(c.critical) OVER w > 0 THEN 'critical'
				WHEN sum(c.warning) OVER w > 0 THEN 'warning'
				WHEN sum(c.normal) OVER w > 0 THEN 'normal'
				ELSE 'silent' END AS level
		FROM change c
		WINDOW w AS (PARTITION BY c.place ORDER BY c.at)
), began AS (
	SELECT b.place, b.at, b.level, least($3, now(),
			lead(b.at) OVER (PARTITION BY b.place ORDER BY b.at)) AS until
		FROM (SELECT s.*, lag(s.level) OVER (PARTITION BY s.place
				ORDER BY s.at) AS was
			FROM state s WHERE s.at < least($3, now())) b
		WHERE b.was IS DISTINCT FROM b.level
)
SELECT p.pipeline, p.factory_section, p.zone, b.at, b.until,
		extract(epoch FROM b.until - b.at)::double precision, b.level
	FROM began b
	JOIN (SELECT DISTINCT h.place, h.pipeline, h.factory_section, h.zone
		FROM here h) p ON p.place = b.place
	ORDER BY b.place, b.at
$$;
COMMENT ON FUNCTION factorymon.machine_timeline(text, timestamptz, timestamptz,
	interval) IS
	'a machine in [from, to) as intervals of one level each: the worst that any of its sensors has, by the minute; each holds until the sensor''s next minute, but no longer than silent_after; silent: no sensor has one';

/*
 * Power is integrated, counters are subtracted; the unit says which of the two
 * it is.  Within a minute its average counts for the time from its first reading
 * to its last; between two minutes a straight line does.
 */
CREATE FUNCTION factorymon.energy_totals(
	"from" timestamptz DEFAULT now() - interval '7 days',
	"to" timestamptz DEFAULT now(),
	max_gap interval DEFAULT interval '5 minutes',
	only_sensor text DEFAULT NULL,
	only_machine text DEFAULT NULL)
RETURNS TABLE (
	bucket timestamptz,
	pipeline text,
	sensor_id text,
	factory_section text,
	machine_id text,
	zone text,
	kwh double precision,
	seconds double precision)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
ROWS 1000
AS $$
WITH plant AS MATERIALIZED (
	SELECT p.pipeline_id, p.name, b.edges
		FROM _factorymon.pipeline p
		LEFT JOIN _factorymon.rollup_progress g
			ON g.pipeline_id = p.pipeline_id
		CROSS JOIN LATERAL (SELECT _factorymon.bucket_edges(interval '1 day',
			$1, $2, coalesce(g.time_zone, p.time_zone)) OFFSET 0) AS b(edges)
		WHERE _factorymon.require($3 >= interval '1 minute'
				AND $3 <= interval '1 day',
				'"max_gap" must be between a minute and a day')
			AND _factorymon.require($4 IS NULL OR EXISTS (
				SELECT FROM _factorymon.sensor x WHERE x.name = $4),
				format('sensor "%s" does not exist', $4))
			AND _factorymon.require($5 IS NULL OR EXISTS (
				SELECT FROM _factorymon.sensor_version x
				WHERE x.machine_id = $5),
				format('machine "%s" does not exist', $5))
), meter AS MATERIALIZED (
	SELECT v.sensor_version_id, v.sensor_id, s.pipeline_id, s.name,
			v.factory_section, v.machine_id, v.zone, k.kilo, k.counts
		FROM _factorymon.sensor_version v
		JOIN _factorymon.sensor s ON s.sensor_id = v.sensor_id
		JOIN (VALUES ('W', 0.001, false), ('kW', 1, false), ('KW', 1, false),
			('kw', 1, false), ('MW', 1000, false), ('GW', 1000000, false),
			('Wh', 0.001, true), ('kWh', 1, true), ('KWH', 1, true),
			('kwh', 1, true), ('MWh', 1000, true), ('GWh', 1000000, true))
			AS k(unit, kilo, counts) ON k.unit = v.unit
		WHERE ($4 IS NULL OR s.name = $4)
			/* all of a sensor that was ever there: it may have moved amid a step */
			AND ($5 IS NULL OR v.sensor_id IN (
				SELECT x.sensor_id
					FROM _factorymon.sensor_version x
					WHERE x.machine_id = $5))
), minute AS (
	SELECT t.sensor_id, t.pipeline_id, t.name, t.factory_section,
			t.machine_id, t.zone, t.kilo, t.counts,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset,
				u.last_offset, u.mean, u.m2, u.min, u.max, u.first, u.last,
				u.sensor_version_id, u.n, u.n_bad, u.n_warning, u.n_critical,
				u.first_stream, u.last_stream, u.first_index,
				u.last_index) AS m
		FROM meter t
		JOIN _factorymon.minutes u ON u.sensor_id = t.sensor_id
			AND u.sensor_version_id = t.sensor_version_id
		WHERE u.n > 0
			AND u.bucket >= (SELECT min(p.edges[1]) FROM plant p) - $3
			AND u.bucket < (SELECT max(p.edges[cardinality(p.edges)])
				FROM plant p) + $3
		GROUP BY t.sensor_id, t.pipeline_id, t.name, t.factory_section,
			t.machine_id, t.zone, t.kilo, t.counts, u.bucket
), step AS (
	SELECT m.sensor_id, m.pipeline_id, m.name, m.factory_section,
			m.machine_id, m.zone, m.kilo, m.counts, (m.m).first_ts AS t1,
			(m.m).last_ts AS t2, (m.m).mean, (m.m).max, (m.m).first,
			(m.m).last, lead((m.m).first_ts) OVER w AS t3,
			lead((m.m).first) OVER w AS next
		FROM minute m
		WINDOW w AS (PARTITION BY m.sensor_id, m.kilo, m.counts
			ORDER BY (m.m).first_ts)
), piece AS (
	SELECT s.pipeline_id, s.name, s.factory_section, s.machine_id, s.zone,
			d.i, d.kwh * s.kilo AS kwh, d.seconds
		FROM step s
		JOIN plant p ON p.pipeline_id = s.pipeline_id
		CROSS JOIN LATERAL (
			SELECT width_bucket(s.t1, p.edges) AS i,
					CASE WHEN NOT s.counts THEN s.mean
							* extract(epoch FROM s.t2 - s.t1) / 3600
						WHEN s.last >= s.first THEN s.last - s.first
						ELSE s.max - s.first + s.last END AS kwh,
					extract(epoch FROM s.t2 - s.t1) AS seconds
			UNION ALL
			/* from this minute to the next one, by days */
			SELECT g.i,
					CASE WHEN s.counts
						THEN (s.next - CASE WHEN s.next >= s.last THEN s.last
								ELSE 0 END) * x.length / y.length
						ELSE x.length / 3600 * (s.last + (s.next - s.last)
							* (x.past + x.length / 2) / y.length) END,
					x.length
				FROM generate_series(width_bucket(s.t2, p.edges),
						width_bucket(s.t3, p.edges)) AS g(i)
				CROSS JOIN LATERAL (SELECT extract(epoch FROM
						least(s.t3, p.edges[g.i + 1])
							- greatest(s.t2, p.edges[g.i]))
						::double precision AS length,
					extract(epoch FROM greatest(s.t2, p.edges[g.i]) - s.t2)
						::double precision AS past) x
				CROSS JOIN LATERAL (SELECT extract(epoch FROM s.t3 - s.t2)
					::double precision AS length) y
				WHERE (s.counts OR s.t3 - s.t2 <= $3) AND x.length > 0) AS d
		WHERE d.i > 0 AND d.i < cardinality(p.edges)
)
SELECT p.edges[x.i], p.name, x.name, x.factory_section, x.machine_id, x.zone,
		sum(x.kwh)::double precision, sum(x.seconds)::double precision
	FROM piece x
	JOIN plant p ON p.pipeline_id = x.pipeline_id
	WHERE ($5 IS NULL OR x.machine_id = $5)
	GROUP BY p.edges[x.i], p.name, x.name, x.factory_section, x.machine_id,
		x.zone
	ORDER BY 1, 2, 3, 4, 5, 6
$$;
COMMENT ON FUNCTION factorymon.energy_totals(timestamptz, timestamptz, interval,
	text, text) IS
	'kWh per day of the plant, for the days that [from, to) touches, and sensor: power (unit W, kW, MW, GW) over time, gaps longer than max_gap left out; differences of counters (Wh, kWh, MWh, GWh), which begin at 0 again when they go back; seconds: how much of the day that covers';

CREATE VIEW factorymon.readings_1m AS
SELECT
	x.bucket,
	x.sensor AS sensor_id,
	x.sensor_type,
	x.factory_section,
	x.machine_id,
	x.zone,
	x.unit,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).first,
	(x.m).last,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad,
	x.pipeline
FROM (
	SELECT u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.minutes AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit) AS x;

/*
 * Cities: places of which nothing but the zone is known, as the format "city"
 * gives them, and any mapping that has a zone and neither section nor machine.
 * What is worse counts: the status that came with the newest reading (bits 4-6
 * of level), or what our own limits make of it (bits 0-1).
 */
CREATE VIEW factorymon.city_now AS
SELECT
	row_number() OVER (ORDER BY coalesce(c.status_rank, 0.5) DESC, c.city,
		c.pipeline) AS rank,
	c.pipeline,
	c.city,
	CASE c.status_rank
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
		ELSE 'unknown'
	END AS status,
	c.status_rank,
	CASE c.reported_rank
		WHEN 0 THEN 'normal' WHEN 1 THEN 'warning' WHEN 2 THEN 'critical'
	END AS reported_status,
	c.temperature,
	c.humidity,
	c.sensors,
	c.sensors_missing,
	c.last_reading_at,
	greatest(extract(epoch FROM now() - c.last_reading_at), 0)::double precision
		AS age_seconds
FROM (
	SELECT n.pipeline, n.zone AS city,
			max(greatest(n.level & 3, n.reported_rank))
				FILTER (WHERE n.is_current) AS status_rank,
			max(n.reported_rank) FILTER (WHERE n.is_current) AS reported_rank,
			avg(n.value) FILTER (WHERE n.is_current
				AND n.sensor_type = 'temperature' AND n.unit = '°C')
				AS temperature,
			avg(n.value) FILTER (WHERE n.is_current
				AND n.sensor_type = 'humidity' AND n.unit IN ('%', '%RH'))
				AS humidity,
			count(*) FILTER (WHERE n.is_current) AS sensors,
			count(*) FILTER (WHERE NOT n.is_current) AS sensors_missing,
			max(n.ts) AS last_reading_at
		FROM (
			SELECT x.*, CASE WHEN x.level >> 4 & 7 BETWEEN 1 AND 3
					THEN (x.level >> 4 & 7) - 1 END AS reported_rank
				FROM _factorymon.sensor_now() AS x
				WHERE x.factory_section = '' AND x.machine_id = ''
					AND x.zone <> ''
					AND x.sensor_type IN ('temperature', 'humidity')) AS n
		GROUP BY n.pipeline, n.zone) AS c;

/* From stored sums, which are merged with what is in rows only. */
CREATE VIEW factorymon.city_minutes AS
SELECT
	z.bucket AS minute_at,
	z.pipeline,
	z.zone AS city,
	sum(z.avg * z.n) FILTER (WHERE z.sensor_type = 'temperature')
		/ nullif(sum(z.n) FILTER (WHERE z.sensor_type = 'temperature'), 0) AS temperature,
	sum(z.avg * z.n) FILTER (WHERE z.sensor_type = 'humidity')
		/ nullif(sum(z.n) FILTER (WHERE z.sensor_type = 'humidity'), 0) AS humidity,
	sum(z.n)::bigint AS readings
FROM factorymon.readings_1m AS z
WHERE z.factory_section = '' AND z.machine_id = '' AND z.zone <> ''
	AND ((z.sensor_type = 'temperature' AND z.unit = '°C')
		OR (z.sensor_type = 'humidity' AND z.unit IN ('%', '%RH')))
GROUP BY z.bucket, z.pipeline, z.zone;

CREATE VIEW factorymon.readings_1h AS
SELECT
	x.bucket,
	x.sensor AS sensor_id,
	x.sensor_type,
	x.factory_section,
	x.machine_id,
	x.zone,
	x.unit,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).first,
	(x.m).last,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad,
	x.pipeline
FROM (
	SELECT u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.hours AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit) AS x;

CREATE VIEW factorymon.readings_1d AS
SELECT
	x.bucket,
	x.sensor AS sensor_id,
	x.sensor_type,
	x.factory_section,
	x.machine_id,
	x.zone,
	x.unit,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).first,
	(x.m).last,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad,
	x.pipeline
FROM (
	SELECT u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.days AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.sensor, u.pipeline, v.sensor_type,
			v.factory_section, v.machine_id, v.zone, v.unit) AS x;

CREATE VIEW factorymon.zone_1m AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.minutes AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit) AS x;

CREATE VIEW factorymon.zone_1h AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.hours AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit) AS x;

CREATE VIEW factorymon.zone_1d AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.days AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.sensor_type, v.unit) AS x;

CREATE VIEW factorymon.machine_1m AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.machine_id,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.minutes AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit) AS x;

CREATE VIEW factorymon.machine_1h AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.machine_id,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.hours AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit) AS x;

CREATE VIEW factorymon.machine_1d AS
SELECT
	x.bucket,
	x.pipeline,
	x.factory_section,
	x.zone,
	x.machine_id,
	x.sensor_type,
	x.unit,
	x.sensors,
	(x.m).n,
	(x.m).min,
	(x.m).max,
	(x.m).mean AS avg,
	CASE WHEN (x.m).n > 1 THEN sqrt((x.m).m2 / ((x.m).n - 1)) END AS stddev,
	(x.m).n - (x.m).n_warning - (x.m).n_critical AS n_normal,
	(x.m).n_warning,
	(x.m).n_critical,
	(x.m).n_bad
FROM (
	SELECT u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit,
			count(DISTINCT u.sensor_id) AS sensors,
			_factorymon.rollup(u.first_ts, u.last_ts, u.first_offset, u.last_offset, u.mean,
				u.m2, u.min, u.max, u.first, u.last, u.sensor_version_id, u.n,
				u.n_bad, u.n_warning, u.n_critical, u.first_stream,
				u.last_stream, u.first_index, u.last_index) AS m
		FROM _factorymon.days AS u
			JOIN _factorymon.sensor_version AS v
				ON v.sensor_version_id = u.sensor_version_id
				AND v.sensor_id = u.sensor_id
		GROUP BY u.bucket, u.pipeline, v.factory_section, v.zone, v.machine_id, v.sensor_type, v.unit) AS x;

/* ======================================================================
 * 7. Comments
 * ==================================================================== */

COMMENT ON FUNCTION factorymon.create_pipeline(text, text, text, text, text,
	integer, text, timestamptz, text, interval, interval, interval, interval,
	boolean, text, boolean, text, text, interval) IS
	'start to ingest a Kafka topic, and to publish its alarms to another one (alert_topic null or empty: to none); rollups are kept by the hours and days of time_zone (null: the session''s); messages that repeat readings of the last deduplicate_ttl, known by their unique id (deduplicate id) or by sensor and timestamp (sensor_time), are dropped; returns the name of the pipeline';
COMMENT ON FUNCTION factorymon.alter_pipeline(text, text, text, text, integer,
	text, interval, interval, interval, interval, name, text, text, boolean, text,
	text, interval) IS
	'change a pipeline; null leaves a thing as it is, retention 0 keeps readings for ever, an empty alert_topic publishes alarms to none';
COMMENT ON FUNCTION factorymon.drop_pipeline(text) IS
	'drop a pipeline with everything it stored';
COMMENT ON FUNCTION factorymon.pause(text, integer, text) IS
	'stop ingesting a pipeline, or one of its partitions, until resumed';
COMMENT ON FUNCTION factorymon.resume(text, integer) IS
	'go on with a pipeline or one partition, accept losses that stopped it, and make the pipeline run in this database';
COMMENT ON FUNCTION factorymon.adopt() IS
	'make all pipelines run in this database that came with a dump, a copy or an upgrade; returns how many';
COMMENT ON FUNCTION factorymon.seek(text, integer, bigint, boolean) IS
	'move a partition to an offset; back only while paused and with replay; returns the new position';
COMMENT ON FUNCTION factorymon.seek(text, integer, timestamptz, boolean) IS
	'move a partition to the first message of a time or later; returns the new position';
COMMENT ON FUNCTION factorymon.seek(text, integer, text, boolean) IS
	'move a partition to earliest, latest, or a time; returns the new position';
COMMENT ON FUNCTION factorymon.acknowledge(uuid, text) IS
	'asks to acknowledge the alarm that was announced with this event; refused if it was announced again since; returns the id of the request';
COMMENT ON FUNCTION factorymon.comment(uuid, text) IS
	'adds a comment to the history of the alarm that was announced with this event; returns the id of the request';
COMMENT ON FUNCTION factorymon.shelve(text, interval, text, boolean, text, text) IS
	'asks to shelve the alarm of a sensor for at most 8 hours, or (one_shot) until it returns; condition null: all its alarms; returns the number of requests';
COMMENT ON FUNCTION factorymon.unshelve(text, text, text, text) IS
	'asks to end the shelving of a sensor''s alarm; returns the number of requests';
COMMENT ON FUNCTION factorymon.suppress(text, text, text, text) IS
	'asks to suppress the alarm of a sensor by design, without an end; returns the number of requests';
COMMENT ON FUNCTION factorymon.unsuppress(text, text, text, text) IS
	'asks to end that; returns the number of requests';
COMMENT ON FUNCTION factorymon.take_out_of_service(text, text, text, text) IS
	'asks to take the alarm of a sensor out of service, without an end; returns the number of requests';
COMMENT ON FUNCTION factorymon.return_to_service(text, text, text, text) IS
	'asks to end that; returns the number of requests';
COMMENT ON FUNCTION factorymon.retire_sensor(text, text, text) IS
	'takes a sensor out of use: its alarms are closed, its readings are stored and raise nothing, nobody waits for them; until reinstate_sensor(). Returns the number of requests';
COMMENT ON FUNCTION factorymon.reinstate_sensor(text, text, text) IS
	'takes a retired sensor into use again; returns the number of requests';
COMMENT ON FUNCTION factorymon.try_limits(text, text, timestamptz,
	timestamptz, double precision, double precision, double precision,
	double precision, double precision, interval, interval, text, integer) IS
	'goes through the stored readings of a sensor, or of all sensors of a type, again, judges them by other limits, and lists the alarms that these would have given (source tried) beside those that were (source was), in no order; what is null stays as it is now, a limit that is NaN is none';
COMMENT ON FUNCTION factorymon.grant_access(text, name) IS
	'grant a role all that a reader, operator (handles alarms), engineer (pauses, resumes, retries rejects) or admin needs; each has what those before it have';
COMMENT ON FUNCTION factorymon.revoke_access(text, name) IS
	'take that away again, with what higher kinds have beyond it';
COMMENT ON FUNCTION _factorymon.reader() IS
	'who may execute this is a reader';
COMMENT ON FUNCTION _factorymon.operator() IS
	'who may execute this is an operator';
COMMENT ON FUNCTION _factorymon.engineer() IS
	'who may execute this is an engineer';
COMMENT ON FUNCTION _factorymon.admin() IS
	'who may execute this is an admin';
COMMENT ON FUNCTION _factorymon.ensure_partition(text, text, timestamptz) IS
	'make the time partition that holds a moment exist; false beyond factorymon.max_time_partitions';
COMMENT ON FUNCTION _factorymon.drop_expired(text) IS
	'drop what is older than the retention of a pipeline now; returns how many partitions went';

COMMENT ON TABLE factorymon.threshold IS
	'limits of sensors: the row of the sensor counts, else of its machine, else of its zone, else of its type; each first for the pipeline, then for any';
COMMENT ON COLUMN factorymon.threshold.threshold_id IS
	'number of the row; alerts raised by it keep it';
COMMENT ON COLUMN factorymon.threshold.pipeline IS
	'name of the pipeline the limits are for; null: any';
COMMENT ON COLUMN factorymon.threshold.sensor_type IS
	'type of the sensors the limits are for';
COMMENT ON COLUMN factorymon.threshold.zone IS
	'zone the limits are for; null: not restricted to a zone';
COMMENT ON COLUMN factorymon.threshold.machine_id IS
	'machine the limits are for; null: not restricted to a machine';
COMMENT ON COLUMN factorymon.threshold.sensor_id IS
	'sensor the limits are for; null: not restricted to a sensor';
COMMENT ON COLUMN factorymon.threshold.critical_low IS
	'values at or below this are critical; null: no such limit';
COMMENT ON COLUMN factorymon.threshold.warning_low IS
	'values at or below this are a warning; null: no such limit';
COMMENT ON COLUMN factorymon.threshold.warning_high IS
	'values at or above this are a warning; null: no such limit';
COMMENT ON COLUMN factorymon.threshold.critical_high IS
	'values at or above this are critical; null: no such limit';
COMMENT ON COLUMN factorymon.threshold.deadband IS
	'how far a value must come back over a limit before it counts as below it; in the unit of the sensor';
COMMENT ON COLUMN factorymon.threshold.on_delay IS
	'how long a limit must be exceeded, by the time of the readings, before an alarm is raised';
COMMENT ON COLUMN factorymon.threshold.off_delay IS
	'how long a value must be back, by the time of the readings, before an alarm returns';
COMMENT ON COLUMN factorymon.threshold.re_alarm_after IS
	'an alarm that was acknowledged and is still there is announced again after so long (time of the readings); null: never';
COMMENT ON COLUMN factorymon.threshold.expected_interval IS
	'how often a sensor should report, by which it is judged silent, whether the row is enabled or not; null: as it is learned';
COMMENT ON COLUMN factorymon.threshold.warning_severity IS
	'severity of alarms at level warning, 1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.threshold.critical_severity IS
	'severity of alarms at level critical, 1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.threshold.acknowledgement IS
	'whether an alarm that returned by itself still wants to be acknowledged';
COMMENT ON COLUMN factorymon.threshold.shelvable IS
	'whether operators may shelve its alarms';
COMMENT ON COLUMN factorymon.threshold.enabled IS
	'false: what the row is for has no limits at all, not even less specific ones';
COMMENT ON COLUMN factorymon.threshold.comment IS
	'why the limits are what they are';
COMMENT ON COLUMN factorymon.threshold.version IS
	'number of the last change of this row; alarm transitions name it';
COMMENT ON COLUMN factorymon.threshold.updated_at IS
	'when the row was last changed';
COMMENT ON COLUMN factorymon.threshold.updated_by IS
	'role that last changed the row';

COMMENT ON FUNCTION factorymon.classify(double precision, double precision,
	double precision) IS
	'level of a value by limits on the high side: normal, warning or critical; a limit is reached by equality, null is no limit; null for a value that is null or NaN';
COMMENT ON FUNCTION factorymon.classify(double precision, double precision,
	double precision, double precision, double precision) IS
	'level of a value by limits on both sides: normal, warning or critical; a limit is reached by equality, null is no limit; null for a value that is null or NaN';
COMMENT ON FUNCTION factorymon.classify_side(double precision,
	double precision, double precision) IS
	'side of the limit that decides the level of a value: high, or null if it is normal';
COMMENT ON FUNCTION factorymon.classify_side(double precision,
	double precision, double precision, double precision,
	double precision) IS
	'side of the limit that decides the level of a value: low or high, or null if it is normal';
COMMENT ON FUNCTION factorymon.default_sensor_types() IS
	'the built-in sensor types: unit, usual value, seconds between readings, smallest step';
COMMENT ON FUNCTION factorymon.default_thresholds() IS
	'limits of the built-in sensor types where factorymon.threshold has none';
COMMENT ON FUNCTION _factorymon.limits_of(text, text, text, text, text) IS
	'limits in force for a sensor so described; threshold_id is null for built-in or no limits';
COMMENT ON FUNCTION _factorymon.threshold_changed() IS
	'tells all processes to read factorymon.threshold again';
COMMENT ON FUNCTION _factorymon.threshold_stamp() IS
	'notes who changed a row of factorymon.threshold, and when';
COMMENT ON FUNCTION _factorymon.threshold_record() IS
	'writes the history of factorymon.threshold';
COMMENT ON FUNCTION _factorymon.fold_sensors(bytea) IS
	'state of the sensors of one chunk of a snapshot (fold_chunk.state)';

COMMENT ON VIEW factorymon.sensor_readings IS
	'every stored reading';
COMMENT ON VIEW factorymon.latest_readings IS
	'the newest reading of each sensor, by its timestamp';
COMMENT ON TABLE factorymon.threshold_history IS
	'every change of factorymon.threshold; alarm transitions name the version that judged them';
COMMENT ON COLUMN factorymon.threshold_history.version IS
	'number of the change, over all rows';
COMMENT ON COLUMN factorymon.threshold_history.threshold_id IS
	'the row that was changed';
COMMENT ON COLUMN factorymon.threshold_history.operation IS
	'insert, update or delete';
COMMENT ON COLUMN factorymon.threshold_history.changed_at IS
	'when the transaction began that changed it';
COMMENT ON COLUMN factorymon.threshold_history.changed_by IS
	'role that changed it';
COMMENT ON COLUMN factorymon.threshold_history.was IS
	'the row before; null: it was not there';
COMMENT ON COLUMN factorymon.threshold_history.is_now IS
	'the row after; null: it is gone';

COMMENT ON TABLE factorymon.maintenance_window IS
	'where and when alarms are evaluated and not announced: a zone or a machine, by the time of the readings';
COMMENT ON COLUMN factorymon.maintenance_window.window_id IS
	'number of the window';
COMMENT ON COLUMN factorymon.maintenance_window.pipeline IS
	'name of the pipeline it is for; null: any';
COMMENT ON COLUMN factorymon.maintenance_window.zone IS
	'zone it is for; null: a machine';
COMMENT ON COLUMN factorymon.maintenance_window.machine_id IS
	'machine it is for; null: a zone';
COMMENT ON COLUMN factorymon.maintenance_window.starts_at IS
	'first moment of it';
COMMENT ON COLUMN factorymon.maintenance_window.ends_at IS
	'first moment after it: what is still there then is announced';
COMMENT ON COLUMN factorymon.maintenance_window.reason IS
	'what is done there';
COMMENT ON COLUMN factorymon.maintenance_window.version IS
	'number of the last change of this row';
COMMENT ON COLUMN factorymon.maintenance_window.updated_at IS
	'when the row was last changed';
COMMENT ON COLUMN factorymon.maintenance_window.updated_by IS
	'role that last changed the row';

COMMENT ON TABLE factorymon.maintenance_window_history IS
	'every change of maintenance windows';
COMMENT ON COLUMN factorymon.maintenance_window_history.version IS
	'number of the change, over all rows';
COMMENT ON COLUMN factorymon.maintenance_window_history.window_id IS
	'the window that was changed';
COMMENT ON COLUMN factorymon.maintenance_window_history.operation IS
	'insert, update or delete';
COMMENT ON COLUMN factorymon.maintenance_window_history.changed_at IS
	'when the transaction began that changed it';
COMMENT ON COLUMN factorymon.maintenance_window_history.changed_by IS
	'role that changed it';
COMMENT ON COLUMN factorymon.maintenance_window_history.was IS
	'the row before; null: it was not there';
COMMENT ON COLUMN factorymon.maintenance_window_history.is_now IS
	'the row after; null: it is gone';

COMMENT ON TABLE factorymon.detector IS
	'detectors beyond limits, by sensor type: a row switches one on, from the next batch after its commit; what is null is as in default_detectors()';
COMMENT ON COLUMN factorymon.detector.detector_id IS
	'number of the row';
COMMENT ON COLUMN factorymon.detector.sensor_type IS
	'type of the sensors that it looks at';
COMMENT ON COLUMN factorymon.detector.detector IS
	'anomaly: far from the recent values; rate: changes too fast; flat: does not change; sequence: gaps and repeats of reading_count; time: out of order or in the future; seasonal: unusual for the hour of the day';
COMMENT ON COLUMN factorymon.detector.enabled IS
	'off: as if there were no row, but that what is learned of values follows the row of anomaly anyhow';
COMMENT ON COLUMN factorymon.detector.report IS
	'level from which on a score is stored and counts for the alarm: standard deviations (anomaly, rate, seasonal), readings (flat), numbers (sequence), seconds late (time)';
COMMENT ON COLUMN factorymon.detector.weight IS
	'of a new reading, in what is learned of values (anomaly), of changes (rate) or of an hour of the day (seasonal)';
COMMENT ON COLUMN factorymon.detector.time_constant IS
	'instead of a weight: the weight of a reading follows from the time since the one before';
COMMENT ON COLUMN factorymon.detector.clip IS
	'how many standard deviations what is further out counts for, in what is learned';
COMMENT ON COLUMN factorymon.detector.learn IS
	'readings before it judges (anomaly, rate), or days (seasonal)';
COMMENT ON COLUMN factorymon.detector.resolution IS
	'least difference that sensors of the type can tell; no deviation is less. The largest of the rows of a type counts; none: that of default_sensor_types(), or a millionth of the mean';
COMMENT ON COLUMN factorymon.detector.max_per_minute IS
	'rate: a change that is too fast whatever is usual, in units per minute';
COMMENT ON COLUMN factorymon.detector.span IS
	'rate: over at least so long; between two readings noise dominates';
COMMENT ON COLUMN factorymon.detector.tolerance IS
	'flat: values so close to each other are the same';
COMMENT ON COLUMN factorymon.detector.min_duration IS
	'flat: for so long at least';
COMMENT ON COLUMN factorymon.detector.utc_offset IS
	'seasonal: what the plant''s clock is ahead of UTC';
COMMENT ON COLUMN factorymon.detector.alarm IS
	'whether it raises alarms';
COMMENT ON COLUMN factorymon.detector.raise_after IS
	'hits in a row that raise the alarm';
COMMENT ON COLUMN factorymon.detector.return_after IS
	'readings without a hit in a row after which it returns';
COMMENT ON COLUMN factorymon.detector.severity IS
	'1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.detector.re_alarm_after IS
	'an acknowledged alarm is announced again after so long; null: never';
COMMENT ON COLUMN factorymon.detector.acknowledgement IS
	'whether an alarm that returned by itself waits to be acknowledged';
COMMENT ON COLUMN factorymon.detector.shelvable IS
	'whether operators may shelve its alarms';
COMMENT ON COLUMN factorymon.detector.comment IS
	'for people';
COMMENT ON COLUMN factorymon.detector.version IS
	'number of the last change of this row; alarm transitions and scores name it';
COMMENT ON COLUMN factorymon.detector.updated_at IS
	'when it was changed last';
COMMENT ON COLUMN factorymon.detector.updated_by IS
	'role that did';
COMMENT ON TABLE factorymon.detector_history IS
	'every change of factorymon.detector; alarm transitions and scores name the version that judged them';
COMMENT ON COLUMN factorymon.detector_history.version IS
	'number of the change; in one row with those of factorymon.threshold';
COMMENT ON COLUMN factorymon.detector_history.detector_id IS
	'row that was changed';
COMMENT ON COLUMN factorymon.detector_history.operation IS
	'insert, update or delete';
COMMENT ON COLUMN factorymon.detector_history.changed_at IS
	'when the transaction began that changed it';
COMMENT ON COLUMN factorymon.detector_history.changed_by IS
	'role that changed it';
COMMENT ON COLUMN factorymon.detector_history.was IS
	'the row before; null: it is new';
COMMENT ON COLUMN factorymon.detector_history.is_now IS
	'the row after; null: it is gone';
COMMENT ON FUNCTION factorymon.default_detectors() IS
	'what factorymon.detector means by null; there is no default for being on';
COMMENT ON VIEW factorymon.anomalies IS
	'readings whose score reached the level of a detector (factorymon.detector.report); of a long row of hits of flat, time and seasonal those number 1, 2, 4, 8 and so on';
COMMENT ON COLUMN factorymon.anomalies.ts IS
	'when the value was measured';
COMMENT ON COLUMN factorymon.anomalies.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.anomalies.detector IS
	'which one: see factorymon.detector';
COMMENT ON COLUMN factorymon.anomalies.score IS
	'how far: standard deviations (anomaly, rate, seasonal; negative: too low), readings (flat), numbers (sequence), seconds (time; negative: late)';
COMMENT ON COLUMN factorymon.anomalies.value IS
	'value of the reading';
COMMENT ON COLUMN factorymon.anomalies.unit IS
	'its unit';
COMMENT ON COLUMN factorymon.anomalies.sensor_type IS
	'type of the sensor then';
COMMENT ON COLUMN factorymon.anomalies.factory_section IS
	'section of the factory then';
COMMENT ON COLUMN factorymon.anomalies.machine_id IS
	'machine then';
COMMENT ON COLUMN factorymon.anomalies.zone IS
	'zone then';
COMMENT ON COLUMN factorymon.anomalies.recorded_at IS
	'when it was stored';
COMMENT ON COLUMN factorymon.anomalies.version IS
	'version of the row of factorymon.detector';
COMMENT ON COLUMN factorymon.anomalies.pipeline IS
	'pipeline of the reading';
COMMENT ON COLUMN factorymon.anomalies.topic IS
	'Kafka topic of the reading';
COMMENT ON COLUMN factorymon.anomalies.kafka_partition IS
	'partition of the topic';
COMMENT ON COLUMN factorymon.anomalies.kafka_offset IS
	'offset of the message in the partition';
COMMENT ON COLUMN factorymon.anomalies.reading_index IS
	'number of the reading in its message, from 0';
COMMENT ON COLUMN factorymon.anomalies.incarnation IS
	'which log under the name of the topic, counted from 1';

COMMENT ON VIEW factorymon.alarms IS
	'present state of each alarm: one condition of one sensor as it came through one partition; a row stays when the alarm is over';
COMMENT ON COLUMN factorymon.alarms.alarm_id IS
	'the alarm that is, or was last; null: it was only ever blocked';
COMMENT ON COLUMN factorymon.alarms.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.alarms.condition IS
	'what it is about: limit';
COMMENT ON COLUMN factorymon.alarms.shown_state IS
	'what blocks it (retired, out_of_service, suppressed, shelved), else its state';
COMMENT ON COLUMN factorymon.alarms.state IS
	'normal, active_unacknowledged, active_acknowledged or returned_unacknowledged (ISA-18.2)';
COMMENT ON COLUMN factorymon.alarms.level IS
	'normal, warning or critical';
COMMENT ON COLUMN factorymon.alarms.side IS
	'side of the limit: low or high; null if it is normal';
COMMENT ON COLUMN factorymon.alarms.severity IS
	'1-1000 as in OPC UA, of its last transition';
COMMENT ON COLUMN factorymon.alarms.chattering IS
	'raised at least three times within a minute, and not quiet for a minute since';
COMMENT ON COLUMN factorymon.alarms.re_alarms IS
	'how often it was announced again because it stayed after it was acknowledged';
COMMENT ON COLUMN factorymon.alarms.shelving IS
	'none, one_shot (until it returns, or that time) or timed';
COMMENT ON COLUMN factorymon.alarms.shelved_until IS
	'end of shelving; null: it is not shelved';
COMMENT ON COLUMN factorymon.alarms.suppressed IS
	'suppressed by design';
COMMENT ON COLUMN factorymon.alarms.maintenance IS
	'within a maintenance window';
COMMENT ON COLUMN factorymon.alarms.out_of_service IS
	'taken out of service';
COMMENT ON COLUMN factorymon.alarms.retired IS
	'its sensor is retired';
COMMENT ON COLUMN factorymon.alarms.sensor_type IS
	'type of the sensor at its last transition';
COMMENT ON COLUMN factorymon.alarms.factory_section IS
	'section of the factory then';
COMMENT ON COLUMN factorymon.alarms.machine_id IS
	'machine then';
COMMENT ON COLUMN factorymon.alarms.zone IS
	'zone then';
COMMENT ON COLUMN factorymon.alarms.value IS
	'value that caused its last transition';
COMMENT ON COLUMN factorymon.alarms.unit IS
	'unit of the value';
COMMENT ON COLUMN factorymon.alarms."limit" IS
	'limit that the value had reached; null: none';
COMMENT ON COLUMN factorymon.alarms.since IS
	'time of the first reading of its last excursion';
COMMENT ON COLUMN factorymon.alarms.raised_at IS
	'time of the reading that raised it';
COMMENT ON COLUMN factorymon.alarms.announced_at IS
	'time of the reading with which it last called for an operator';
COMMENT ON COLUMN factorymon.alarms.event_time IS
	'time of the reading that caused its last transition';
COMMENT ON COLUMN factorymon.alarms.updated_at IS
	'when its last transition was recorded';
COMMENT ON COLUMN factorymon.alarms.seq IS
	'number of its last transition, from 1 within the alarm';
COMMENT ON COLUMN factorymon.alarms.event_id IS
	'id of its last transition';
COMMENT ON COLUMN factorymon.alarms.announced_event_id IS
	'id of the transition with which it last called for an operator: what acknowledge() takes';
COMMENT ON COLUMN factorymon.alarms.pending IS
	'an operator asked something of it that is not answered yet';
COMMENT ON COLUMN factorymon.alarms.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.alarms.topic IS
	'Kafka topic';
COMMENT ON COLUMN factorymon.alarms.kafka_partition IS
	'Kafka partition';
COMMENT ON COLUMN factorymon.alarms.incarnation IS
	'which log under that name, from 1';

COMMENT ON VIEW factorymon.alarm_requests IS
	'what operators asked of alarms, and what came of it';
COMMENT ON COLUMN factorymon.alarm_requests.request_id IS
	'id of the request';
COMMENT ON COLUMN factorymon.alarm_requests.requested_at IS
	'when it was asked; what was asked first is answered first';
COMMENT ON COLUMN factorymon.alarm_requests.actor IS
	'role that asked';
COMMENT ON COLUMN factorymon.alarm_requests.action IS
	'acknowledge, comment, shelve, unshelve, suppress, unsuppress, take_out_of_service, return_to_service, retire or reinstate; move: it comes through another partition now';
COMMENT ON COLUMN factorymon.alarm_requests.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.alarm_requests.condition IS
	'what the alarm is about';
COMMENT ON COLUMN factorymon.alarm_requests.event_id IS
	'the event that the operator saw';
COMMENT ON COLUMN factorymon.alarm_requests.until IS
	'end of shelving';
COMMENT ON COLUMN factorymon.alarm_requests.one_shot IS
	'shelving ends with the return of the alarm, too';
COMMENT ON COLUMN factorymon.alarm_requests.comment IS
	'reason or comment';
COMMENT ON COLUMN factorymon.alarm_requests.outcome IS
	'pending, done or refused';
COMMENT ON COLUMN factorymon.alarm_requests.answer IS
	'why it was refused';
COMMENT ON COLUMN factorymon.alarm_requests.answered_at IS
	'when it was done or refused';
COMMENT ON COLUMN factorymon.alarm_requests.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.alarm_requests.topic IS
	'Kafka topic';
COMMENT ON COLUMN factorymon.alarm_requests.kafka_partition IS
	'Kafka partition whose owner answers';

COMMENT ON FUNCTION factorymon.default_formats() IS
	'the formats that come with the extension; their names are reserved';
COMMENT ON FUNCTION factorymon.try_format(text, text) IS
	'what a format makes of a message: one row for each reading as it would be stored, or one that says why it would be refused; no row if it holds none';
COMMENT ON FUNCTION factorymon.try_format(jsonb, text) IS
	'the same with a mapping that need not be in factorymon.format';
COMMENT ON FUNCTION factorymon.forget_drift(text, text) IS
	'removes what factorymon.schema_drift says about a pipeline, at one path or (null) all; returns how many rows went. Needs the owner of the pipeline or kind admin';
COMMENT ON TABLE factorymon.format IS
	'formats of messages, beside those that come with the extension: where in a message the parts of a reading are';
COMMENT ON COLUMN factorymon.format.name IS
	'what create_pipeline(format => ...) names; a format in use cannot be renamed or deleted';
COMMENT ON COLUMN factorymon.format.mapping IS
	'the mapping, in the language of docs/formats.md; workers of its pipelines begin anew when it changes';
COMMENT ON COLUMN factorymon.format.description IS
	'for people';
COMMENT ON VIEW factorymon.formats IS
	'all formats of messages: those that come with the extension and those of factorymon.format';
COMMENT ON COLUMN factorymon.formats.name IS
	'name of the format';
COMMENT ON COLUMN factorymon.formats.built_in IS
	'it comes with the extension';
COMMENT ON COLUMN factorymon.formats.mapping IS
	'where in a message the parts of a reading are';
COMMENT ON COLUMN factorymon.formats.description IS
	'for people';
COMMENT ON COLUMN factorymon.formats.pipelines IS
	'names of the pipelines that use it';
COMMENT ON VIEW factorymon.schema_drift IS
	'what messages had that their format does not expect; a pipeline has up to 100 rows, and one for what is more';
COMMENT ON COLUMN factorymon.schema_drift.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.schema_drift.format IS
	'its format now';
COMMENT ON COLUMN factorymon.schema_drift.path IS
	'where in the message, as a JSON Pointer; from an element of the array of readings it begins with @; empty where what is more';
COMMENT ON COLUMN factorymon.schema_drift.what IS
	'new member (unknown to the format; kept in extra), changed type, missing member (both lead to a reject), or more: further paths, counted as one';
COMMENT ON COLUMN factorymon.schema_drift.first_seen IS
	'when a worker saw it first';
COMMENT ON COLUMN factorymon.schema_drift.last_seen IS
	'when a worker saw it last; written every few seconds';
COMMENT ON COLUMN factorymon.schema_drift.messages IS
	'messages that had it; one that was fetched twice may count twice';
COMMENT ON COLUMN factorymon.schema_drift.example IS
	'the first value seen there, as written; the beginning of it if it is long';
COMMENT ON COLUMN factorymon.schema_drift.topic IS
	'topic of the first message that had it';
COMMENT ON COLUMN factorymon.schema_drift.kafka_partition IS
	'partition of that message';
COMMENT ON COLUMN factorymon.schema_drift.kafka_offset IS
	'offset of that message';

COMMENT ON TABLE factorymon.operating_position_map IS
	'who looks after which part of the plant: the row with section and zone counts, else that of the zone, of the section, of everything; each first for the pipeline, then for any. What no row speaks of has one position per section. A change counts from the next announcement on';
COMMENT ON COLUMN factorymon.operating_position_map.factory_section IS
	'section of the factory; null: any';
COMMENT ON COLUMN factorymon.operating_position_map.zone IS
	'zone; null: any';
COMMENT ON COLUMN factorymon.operating_position_map.pipeline IS
	'name of the pipeline; null: any';
COMMENT ON COLUMN factorymon.operating_position_map."position" IS
	'name of the operating position';
COMMENT ON COLUMN factorymon.operating_position_map.comment IS
	'why';
COMMENT ON FUNCTION _factorymon.position_of(text, text, text) IS
	'operating position that looks after a place';
COMMENT ON FUNCTION _factorymon.kpi_span(timestamptz, timestamptz) IS
	'the whole bins of ten minutes in a range that are over';
COMMENT ON VIEW factorymon.alarm_rate IS
	'announcements per operating position and bin of ten minutes; bins without any have no row. Target: about 1 very likely acceptable, about 2 manageable (ISA-18.2, IEC 62682)';
COMMENT ON COLUMN factorymon.alarm_rate."position" IS
	'operating position, by the name that it had then';
COMMENT ON COLUMN factorymon.alarm_rate.bin_at IS
	'start of the bin; bins begin at multiples of ten minutes, UTC';
COMMENT ON COLUMN factorymon.alarm_rate.announcements IS
	'alarms that called for an operator, by when they were recorded';
COMMENT ON COLUMN factorymon.alarm_rate.low IS
	'those of severity 1-333 (OPC UA)';
COMMENT ON COLUMN factorymon.alarm_rate.medium IS
	'those of severity 334-666';
COMMENT ON COLUMN factorymon.alarm_rate.high IS
	'those of severity 667-1000';
COMMENT ON VIEW factorymon.floods IS
	'alarm floods: from the announcement that is the 10th within ten minutes (factorymon.flood_start) until fewer than 5 (factorymon.flood_end) are left in the last ten minutes (ISA-18.2)';
COMMENT ON COLUMN factorymon.floods.flood_id IS
	'id of the flood; alarm_id of its events';
COMMENT ON COLUMN factorymon.floods."position" IS
	'operating position, by the name that it had then';
COMMENT ON COLUMN factorymon.floods.since IS
	'first announcement in it';
COMMENT ON COLUMN factorymon.floods.started_at IS
	'the announcement that made it a flood';
COMMENT ON COLUMN factorymon.floods.ended_at IS
	'when it was over; null: it goes on';
COMMENT ON COLUMN factorymon.floods.seconds IS
	'how long it lasted, or has lasted';
COMMENT ON COLUMN factorymon.floods.announcements IS
	'announcements from since on';
COMMENT ON COLUMN factorymon.floods.peak IS
	'most announcements in ten minutes, counted up to 1000';
COMMENT ON COLUMN factorymon.floods.pipeline IS
	'pipeline that tells consumers of it';
COMMENT ON VIEW factorymon.operating_positions IS
	'operating positions that anything was announced to, as they are now';
COMMENT ON COLUMN factorymon.operating_positions."position" IS
	'operating position';
COMMENT ON COLUMN factorymon.operating_positions.in_flood IS
	'a flood goes on';
COMMENT ON COLUMN factorymon.operating_positions.flood_started_at IS
	'since when; null: no flood goes on';
COMMENT ON COLUMN factorymon.operating_positions.announcements_10_minutes IS
	'announcements in the last ten minutes, counted up to 1000';
COMMENT ON COLUMN factorymon.operating_positions.last_announced_at IS
	'the last one; null: not within ten minutes of the one before';
COMMENT ON VIEW factorymon.operating_position_areas IS
	'places that sensors described, and the operating position that looks after each by operating_position_map';
COMMENT ON COLUMN factorymon.operating_position_areas.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.operating_position_areas.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.operating_position_areas.zone IS
	'zone';
COMMENT ON COLUMN factorymon.operating_position_areas."position" IS
	'operating position that looks after it';
COMMENT ON COLUMN factorymon.operating_position_areas.sensors IS
	'sensors that are there, or were';
COMMENT ON VIEW factorymon.alarm_calls IS
	'calls for operators: an alarm from when it is announced until it is acknowledged or over; announced again after that, it is another call';
COMMENT ON COLUMN factorymon.alarm_calls.alarm_id IS
	'id of the alarm';
COMMENT ON COLUMN factorymon.alarm_calls.call IS
	'number of the call, from 1 within the alarm';
COMMENT ON COLUMN factorymon.alarm_calls."position" IS
	'operating position, by the name that it had then';
COMMENT ON COLUMN factorymon.alarm_calls.sensor_id IS
	'name of the sensor; null: it is about none';
COMMENT ON COLUMN factorymon.alarm_calls.condition IS
	'what the alarm is about: limit, silent, anomaly, ...';
COMMENT ON COLUMN factorymon.alarm_calls.severity IS
	'highest severity announced, 1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.alarm_calls.severity_class IS
	'low (1-333), medium (334-666) or high (667-1000)';
COMMENT ON COLUMN factorymon.alarm_calls.re_alarm IS
	'called again because it stayed after it was acknowledged';
COMMENT ON COLUMN factorymon.alarm_calls.announced_at IS
	'when it called first, on the clock of the database';
COMMENT ON COLUMN factorymon.alarm_calls.announcements IS
	'how often it called until somebody came';
COMMENT ON COLUMN factorymon.alarm_calls.raises IS
	'how often it was raised meanwhile';
COMMENT ON COLUMN factorymon.alarm_calls.fleeting IS
	'how often it returned within 10 s of being raised, by the time of the readings';
COMMENT ON COLUMN factorymon.alarm_calls.chatterings IS
	'how often it began to chatter: 3 raises within a minute';
COMMENT ON COLUMN factorymon.alarm_calls.acknowledged_at IS
	'when it was acknowledged; null: not (yet)';
COMMENT ON COLUMN factorymon.alarm_calls.acknowledged_by IS
	'role that acknowledged it';
COMMENT ON COLUMN factorymon.alarm_calls.response_seconds IS
	'acknowledged_at - announced_at';
COMMENT ON COLUMN factorymon.alarm_calls.ended_at IS
	'when the alarm was over; null: it is not, or called again before';
COMMENT ON COLUMN factorymon.alarm_calls.pipeline IS
	'name of the pipeline';
COMMENT ON VIEW factorymon.alarm_standing IS
	'alarms that are active now, blocked or not. Target: fewer than 5 stale ones on any day (ISA-18.2)';
COMMENT ON COLUMN factorymon.alarm_standing."position" IS
	'operating position, by the name that it had then';
COMMENT ON COLUMN factorymon.alarm_standing.sensor_id IS
	'name of the sensor; null: it is about none';
COMMENT ON COLUMN factorymon.alarm_standing.condition IS
	'what the alarm is about: limit, silent, anomaly, ...';
COMMENT ON COLUMN factorymon.alarm_standing.alarm_id IS
	'id of the alarm';
COMMENT ON COLUMN factorymon.alarm_standing.state IS
	'active_unacknowledged or active_acknowledged';
COMMENT ON COLUMN factorymon.alarm_standing.blocked_by IS
	'out_of_service, suppressed or shelved; null: not blocked';
COMMENT ON COLUMN factorymon.alarm_standing.severity IS
	'1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.alarm_standing.since IS
	'time of the first reading of its excursion';
COMMENT ON COLUMN factorymon.alarm_standing.active_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.alarm_standing.stale IS
	'active for more than 24 hours';
COMMENT ON COLUMN factorymon.alarm_standing.unacknowledged_seconds IS
	'how long it has been calling; null: nobody is waited for';
COMMENT ON COLUMN factorymon.alarm_standing.pipeline IS
	'name of the pipeline';
COMMENT ON VIEW factorymon.alarm_blocked IS
	'each time that something kept an alarm from being announced: shelved, suppressed, out of service. Target: none that is not authorised (ISA-18.2)';
COMMENT ON COLUMN factorymon.alarm_blocked."position" IS
	'operating position, by the name that it had then';
COMMENT ON COLUMN factorymon.alarm_blocked.sensor_id IS
	'name of the sensor; null: it is about none';
COMMENT ON COLUMN factorymon.alarm_blocked.condition IS
	'what the alarm is about: limit, silent, anomaly, ...';
COMMENT ON COLUMN factorymon.alarm_blocked.kind IS
	'shelved, suppressed or out_of_service';
COMMENT ON COLUMN factorymon.alarm_blocked.active IS
	'it still is';
COMMENT ON COLUMN factorymon.alarm_blocked.blocked_at IS
	'when it was blocked';
COMMENT ON COLUMN factorymon.alarm_blocked.blocked_by IS
	'role that did it; null: the clock';
COMMENT ON COLUMN factorymon.alarm_blocked.reason IS
	'reason given; null: none';
COMMENT ON COLUMN factorymon.alarm_blocked.until IS
	'when shelving will end by itself';
COMMENT ON COLUMN factorymon.alarm_blocked.unblocked_at IS
	'when it ended; null: it has not';
COMMENT ON COLUMN factorymon.alarm_blocked.unblocked_by IS
	'role that ended it; null: the clock, a reading, or nobody yet';
COMMENT ON COLUMN factorymon.alarm_blocked.seconds IS
	'how long it lasted, or has lasted';
COMMENT ON COLUMN factorymon.alarm_blocked.pipeline IS
	'name of the pipeline';
COMMENT ON FUNCTION factorymon.alarm_rates(text, timestamptz, timestamptz) IS
	'announcements per operating position and hour, day, week, month or year (unit), periods without any included. Periods are those of the sessions TimeZone: a day has 23 or 25 hours when clocks change (seconds). Each is whole, also where the range begins or ends within it. Targets: about 6 an hour and 144 a day very likely acceptable, 12 and 300 manageable (ISA-18.2)';
COMMENT ON FUNCTION factorymon.alarm_kpi(timestamptz, timestamptz) IS
	'key figures of alarms per operating position over the whole bins of ten minutes between "from" and "to" (from_at, to_at), counting announcements (ISA-18.2, IEC 62682). per_10_minutes, per_hour, per_day: announcements / period, target about 1, 6, 144. largest_bin: target at most 10. bins_above_10_percent, hours_above_30_percent: share of bins with more than 10 announcements, of whole UTC hours with more than 30, target below 1. floods, flood_seconds, flood_percent (target below 1), longest_flood_seconds, largest_flood (most in ten minutes): of the parts within the period. low_, medium_, high_percent: by severity, target 80, 15, 5. calls, acknowledged, never_acknowledged (over before), response_p50_ and p95_seconds, re_alarms: of calls announced in the period. chattering_alarms, fleeting_alarms: alarms that did, target 0. top_10_percent: share of the ten most frequent alarms, target below 5. blocks, blocks_without_reason: in force within the period. As of now: standing, stale (active > 24 h, target below 5), longest_unacknowledged_seconds, blocked';
COMMENT ON FUNCTION factorymon.alarm_top(timestamptz, timestamptz, integer) IS
	'the most frequent alarms (sensor and condition) of each operating position by announcements, their share in percent, alone and with those before. Target: the first ten together below 1 to 5 % (ISA-18.2)';
COMMENT ON FUNCTION factorymon.alarm_noise(timestamptz, timestamptz) IS
	'alarms that chattered (3 raises within 60 s) or were fleeting (returned within 10 s), how often. Target: none; an action for each (ISA-18.2)';
COMMENT ON FUNCTION factorymon.alarm_response(timestamptz, timestamptz) IS
	'calls announced in the range per operating position and class of severity: how many were acknowledged, were over without (never_acknowledged) or wait; seconds from announcement to acknowledgement as median, 95th percentile and longest; longest that one waits now; calls by re-alarm';
COMMENT ON TABLE _factorymon.alarm_bin IS
	'announcements per position, bin of ten minutes and severity';

COMMENT ON VIEW factorymon.alerts IS
	'every transition of every alarm; one alarm has one alarm_id from the first raise on';

COMMENT ON COLUMN factorymon.alerts.event_id IS
	'id of the transition, the same whenever the message is processed';
COMMENT ON COLUMN factorymon.alerts.alarm_id IS
	'id of the alarm the transition belongs to';
COMMENT ON COLUMN factorymon.alerts.seq IS
	'number of the transition in its alarm, from 1';
COMMENT ON COLUMN factorymon.alerts.condition IS
	'what is watched: limit';
COMMENT ON COLUMN factorymon.alerts.transition IS
	'raised, escalated, deescalated or returned';
COMMENT ON COLUMN factorymon.alerts.state IS
	'state of the alarm afterwards';
COMMENT ON COLUMN factorymon.alerts.announced IS
	'whether people are told';
COMMENT ON COLUMN factorymon.alerts.level IS
	'level afterwards: normal, warning or critical';
COMMENT ON COLUMN factorymon.alerts.side IS
	'side of the limit: low or high; null if normal';
COMMENT ON COLUMN factorymon.alerts.previous_state IS
	'state of the alarm before';
COMMENT ON COLUMN factorymon.alerts.previous_level IS
	'level before';
COMMENT ON COLUMN factorymon.alerts.severity IS
	'severity from 1 to 1000, as in OPC UA';
COMMENT ON COLUMN factorymon.alerts.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.alerts.sensor_type IS
	'type of the sensor';
COMMENT ON COLUMN factorymon.alerts.factory_section IS
	'section of the factory the sensor was in';
COMMENT ON COLUMN factorymon.alerts.machine_id IS
	'machine the sensor was on';
COMMENT ON COLUMN factorymon.alerts.zone IS
	'zone the sensor was in';
COMMENT ON COLUMN factorymon.alerts.value IS
	'value of the reading that caused the transition';
COMMENT ON COLUMN factorymon.alerts.unit IS
	'unit of value and limit';
COMMENT ON COLUMN factorymon.alerts."limit" IS
	'limit that the value has reached; null if it returned to normal';
COMMENT ON COLUMN factorymon.alerts.deadband IS
	'deadband of the limits';
COMMENT ON COLUMN factorymon.alerts.quality IS
	'quality of the reading; null if it had none';
COMMENT ON COLUMN factorymon.alerts.score IS
	'score of the detector whose alarm it is; null: no reading was a hit then, or it is no detector''s';
COMMENT ON COLUMN factorymon.alerts.event_time IS
	'when the value was measured';
COMMENT ON COLUMN factorymon.alerts.since IS
	'first reading of the excursion';
COMMENT ON COLUMN factorymon.alerts.raised_at IS
	'first raise of the alarm, in event time';
COMMENT ON COLUMN factorymon.alerts.recorded_at IS
	'when the transition was stored';
COMMENT ON COLUMN factorymon.alerts.cause IS
	'what moved the alarm: data';
COMMENT ON COLUMN factorymon.alerts."by" IS
	'role of the operator who asked for it; null: nobody did';
COMMENT ON COLUMN factorymon.alerts.comment IS
	'what the operator said';
COMMENT ON COLUMN factorymon.alerts.blocked_by IS
	'what blocked it then: retired, out_of_service, suppressed, maintenance or shelved; null: nothing';
COMMENT ON COLUMN factorymon.alerts.limit_version IS
	'version of the row of factorymon.threshold, or for a detector of factorymon.detector, by which it was judged; null: built-in limits, or none';
COMMENT ON COLUMN factorymon.alerts.pipeline IS
	'pipeline of the reading';
COMMENT ON COLUMN factorymon.alerts.topic IS
	'Kafka topic of the reading';
COMMENT ON COLUMN factorymon.alerts.kafka_partition IS
	'partition of the topic';
COMMENT ON COLUMN factorymon.alerts.kafka_offset IS
	'offset of the message in the partition';
COMMENT ON COLUMN factorymon.alerts.reading_index IS
	'number of the reading in its message, from 0';
COMMENT ON COLUMN factorymon.alerts.incarnation IS
	'which log under the name of the topic, counted from 1';
COMMENT ON COLUMN factorymon.alerts.ordinal IS
	'number of the transition among those of its reading, from 1';
COMMENT ON COLUMN factorymon.latest_readings.ts IS
	'when the value was measured';
COMMENT ON COLUMN factorymon.latest_readings.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.latest_readings.sensor_type IS
	'what it measures: temperature, vibration, energy, humidity, pressure or another type';
COMMENT ON COLUMN factorymon.latest_readings.factory_section IS
	'section of the factory the sensor was in';
COMMENT ON COLUMN factorymon.latest_readings.machine_id IS
	'machine the sensor was on';
COMMENT ON COLUMN factorymon.latest_readings.zone IS
	'zone the sensor was in';
COMMENT ON COLUMN factorymon.latest_readings.value IS
	'the measured value';
COMMENT ON COLUMN factorymon.latest_readings.unit IS
	'unit of value';
COMMENT ON COLUMN factorymon.latest_readings.level IS
	'normal, warning or critical, by the limits in force when it was stored';
COMMENT ON COLUMN factorymon.latest_readings.side IS
	'side of the limit that was reached: low or high; null if normal';
COMMENT ON COLUMN factorymon.latest_readings.reported_level IS
	'the producer''s own level; null if it gave none';
COMMENT ON COLUMN factorymon.latest_readings.quality IS
	'the producer''s trust in the value, 0 to 1; null if it gave none';
COMMENT ON COLUMN factorymon.latest_readings.reading_count IS
	'the producer''s running number of the reading';
COMMENT ON COLUMN factorymon.latest_readings.metadata IS
	'metadata of the message; null if it had none';
COMMENT ON COLUMN factorymon.latest_readings.pipeline IS
	'pipeline that stored it';
COMMENT ON COLUMN factorymon.latest_readings.topic IS
	'Kafka topic it came from';
COMMENT ON COLUMN factorymon.latest_readings.kafka_partition IS
	'partition of the topic';
COMMENT ON COLUMN factorymon.latest_readings.kafka_offset IS
	'offset of the message in the partition';
COMMENT ON COLUMN factorymon.latest_readings.reading_index IS
	'number of the reading in its message, from 0';
COMMENT ON COLUMN factorymon.sensor_readings.ts IS
	'when the value was measured';
COMMENT ON COLUMN factorymon.sensor_readings.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.sensor_readings.sensor_type IS
	'what it measures: temperature, vibration, energy, humidity, pressure or another type';
COMMENT ON COLUMN factorymon.sensor_readings.factory_section IS
	'section of the factory the sensor was in';
COMMENT ON COLUMN factorymon.sensor_readings.machine_id IS
	'machine the sensor was on';
COMMENT ON COLUMN factorymon.sensor_readings.zone IS
	'zone the sensor was in';
COMMENT ON COLUMN factorymon.sensor_readings.value IS
	'the measured value';
COMMENT ON COLUMN factorymon.sensor_readings.unit IS
	'unit of value';
COMMENT ON COLUMN factorymon.sensor_readings.level IS
	'normal, warning or critical, by the limits in force when it was stored';
COMMENT ON COLUMN factorymon.sensor_readings.side IS
	'side of the limit that was reached: low or high; null if normal';
COMMENT ON COLUMN factorymon.sensor_readings.reported_level IS
	'the producer''s own level; null if it gave none';
COMMENT ON COLUMN factorymon.sensor_readings.quality IS
	'the producer''s trust in the value, 0 to 1; null if it gave none';
COMMENT ON COLUMN factorymon.sensor_readings.reading_count IS
	'the producer''s running number of the reading';
COMMENT ON COLUMN factorymon.sensor_readings.metadata IS
	'metadata of the message; null if it had none';
COMMENT ON COLUMN factorymon.sensor_readings.pipeline IS
	'pipeline that stored it';
COMMENT ON COLUMN factorymon.sensor_readings.topic IS
	'Kafka topic it came from';
COMMENT ON COLUMN factorymon.sensor_readings.kafka_partition IS
	'partition of the topic';
COMMENT ON COLUMN factorymon.sensor_readings.kafka_offset IS
	'offset of the message in the partition';
COMMENT ON COLUMN factorymon.sensor_readings.reading_index IS
	'number of the reading in its message, from 0';
COMMENT ON COLUMN factorymon.sensor_readings.incarnation IS
	'which log under the name of the topic, counted from 1';
COMMENT ON COLUMN factorymon.sensor_readings.extra IS
	'what else the message held';

COMMENT ON VIEW factorymon.pipelines IS
	'pipelines as configured, and whether they run in this database';
COMMENT ON COLUMN factorymon.pipelines.name IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.pipelines.server IS
	'foreign server: the Kafka cluster';
COMMENT ON COLUMN factorymon.pipelines.topic IS
	'topic that is ingested';
COMMENT ON COLUMN factorymon.pipelines.consumer_group IS
	'consumer group that the workers join';
COMMENT ON COLUMN factorymon.pipelines.format IS
	'format of the messages';
COMMENT ON COLUMN factorymon.pipelines.workers IS
	'how many ingest workers it should have';
COMMENT ON COLUMN factorymon.pipelines.owner IS
	'role whose rights the workers have';
COMMENT ON COLUMN factorymon.pipelines.running IS
	'it runs in this database and is not paused';
COMMENT ON COLUMN factorymon.pipelines.runs_here IS
	'it runs in this very database (false after a restore or in a copy, until resumed)';
COMMENT ON COLUMN factorymon.pipelines.paused_at IS
	'since when it is paused; null: it is not';
COMMENT ON COLUMN factorymon.pipelines.paused_by IS
	'who paused it';
COMMENT ON COLUMN factorymon.pipelines.pause_reason IS
	'why it was paused';
COMMENT ON COLUMN factorymon.pipelines.resumed_at IS
	'when it was last resumed here';
COMMENT ON COLUMN factorymon.pipelines.start_policy IS
	'where a partition without a position starts: earliest, latest or timestamp';
COMMENT ON COLUMN factorymon.pipelines.start_at IS
	'start of policy timestamp';
COMMENT ON COLUMN factorymon.pipelines.on_data_loss IS
	'what happens when messages are lost or the log is another one: stop or continue';
COMMENT ON COLUMN factorymon.pipelines.accept_past_seconds IS
	'how much older than its message a reading may be';
COMMENT ON COLUMN factorymon.pipelines.accept_future_seconds IS
	'how far ahead of its message a reading may be';
COMMENT ON COLUMN factorymon.pipelines.retention_seconds IS
	'after what age readings are dropped; null: never';
COMMENT ON COLUMN factorymon.pipelines.partition_interval_seconds IS
	'width of the time partitions of its readings';
COMMENT ON COLUMN factorymon.pipelines.created_at IS
	'when it was created';
COMMENT ON COLUMN factorymon.pipelines.config_version IS
	'grows with every change';
COMMENT ON COLUMN factorymon.pipelines.alert_topic IS
	'Kafka topic that alarms are published to; null: none, only LISTEN';

COMMENT ON VIEW factorymon.alert_outbox IS
	'alarm events as they go out to listeners and to Kafka, in the order in which they were committed; kept for factorymon.alert_retention after that';
COMMENT ON COLUMN factorymon.alert_outbox.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.alert_outbox.pub_seq IS
	'number of the event within its pipeline, from 1, without gaps: who has seen n has missed nothing below it';
COMMENT ON COLUMN factorymon.alert_outbox.event_id IS
	'id of the event; what is sent again has the same one';
COMMENT ON COLUMN factorymon.alert_outbox.alarm_id IS
	'id of the alarm, from its raise to its end';
COMMENT ON COLUMN factorymon.alert_outbox.transition IS
	'what happened, as in factorymon.alerts';
COMMENT ON COLUMN factorymon.alert_outbox.severity IS
	'1-1000 as in OPC UA';
COMMENT ON COLUMN factorymon.alert_outbox.announced IS
	'whether it calls for an operator';
COMMENT ON COLUMN factorymon.alert_outbox.message_key IS
	'key of the message: the sensor';
COMMENT ON COLUMN factorymon.alert_outbox.recorded_at IS
	'when the transition was stored; also the timestamp of the message';
COMMENT ON COLUMN factorymon.alert_outbox.numbered_at IS
	'when it got its number';
COMMENT ON COLUMN factorymon.alert_outbox.state IS
	'pending: Kafka does not have it yet; delivered; not_for_kafka: the pipeline had no alert_topic';
COMMENT ON COLUMN factorymon.alert_outbox.delivered_at IS
	'when the brokers confirmed it';
COMMENT ON COLUMN factorymon.alert_outbox.attempts IS
	'how often the brokers confirmed or refused it';
COMMENT ON COLUMN factorymon.alert_outbox.attempted_at IS
	'when something was last heard of it';
COMMENT ON COLUMN factorymon.alert_outbox.last_error IS
	'why it was not taken, or what was wrong with the connection while it waited; null: nothing';
COMMENT ON COLUMN factorymon.alert_outbox.payload IS
	'the message; its schema is docs/alert.schema.json';

COMMENT ON VIEW factorymon.publisher_health IS
	'publishers: one process a pipeline, which sends alarm events to listeners and to Kafka';
COMMENT ON COLUMN factorymon.publisher_health.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.publisher_health.alert_topic IS
	'Kafka topic that it sends to; null: none, only LISTEN';
COMMENT ON COLUMN factorymon.publisher_health.pid IS
	'process id; null: it does not run';
COMMENT ON COLUMN factorymon.publisher_health.state IS
	'starting, running, retrying: Kafka does not take what there is, stopping; down: it should run and does not; off: the pipeline does not run in this database';
COMMENT ON COLUMN factorymon.publisher_health.state_since IS
	'when it came into this state';
COMMENT ON COLUMN factorymon.publisher_health.heartbeat_at IS
	'last turn of its loop, which may be some seconds ago';
COMMENT ON COLUMN factorymon.publisher_health.last_pub_seq IS
	'number of the newest event; null: there was none';
COMMENT ON COLUMN factorymon.publisher_health.pending IS
	'events that Kafka does not have yet, with a number or still without';
COMMENT ON COLUMN factorymon.publisher_health.oldest_pending_at IS
	'when the oldest of them was recorded; null: there is none';
COMMENT ON COLUMN factorymon.publisher_health.oldest_pending_age_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.publisher_health.numbered IS
	'events numbered since it started';
COMMENT ON COLUMN factorymon.publisher_health.notified IS
	'events that listeners were told of since it started';
COMMENT ON COLUMN factorymon.publisher_health.sent IS
	'messages given to the Kafka client since it started, repeats included';
COMMENT ON COLUMN factorymon.publisher_health.confirmed IS
	'messages that the brokers confirmed since it started';
COMMENT ON COLUMN factorymon.publisher_health.refused IS
	'messages that were not taken since it started; they are tried again';
COMMENT ON COLUMN factorymon.publisher_health.in_flight IS
	'messages that no answer has come for yet';
COMMENT ON COLUMN factorymon.publisher_health.started_at IS
	'when the process started';
COMMENT ON COLUMN factorymon.publisher_health.last_error IS
	'last error; null: none';
COMMENT ON COLUMN factorymon.publisher_health.last_error_at IS
	'when that was';

COMMENT ON VIEW factorymon.ledger IS
	'every offset accounted for: extents, gaps and adjustments, per stream';
COMMENT ON COLUMN factorymon.ledger.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.ledger.topic IS
	'Kafka topic';
COMMENT ON COLUMN factorymon.ledger.kafka_partition IS
	'Kafka partition';
COMMENT ON COLUMN factorymon.ledger.incarnation IS
	'which log under that name, from 1';
COMMENT ON COLUMN factorymon.ledger.kind IS
	'extent: offsets consumed; gap: offsets never seen; suspect: consumed, perhaps from another log; adjust: correction within an extent; expired: removed from an extent by retention';
COMMENT ON COLUMN factorymon.ledger.open IS
	'this extent still grows';
COMMENT ON COLUMN factorymon.ledger.from_offset IS
	'first offset';
COMMENT ON COLUMN factorymon.ledger.to_offset IS
	'offset behind the last one';
COMMENT ON COLUMN factorymon.ledger.messages IS
	'messages with readings';
COMMENT ON COLUMN factorymon.ledger.rejected IS
	'messages in rejects';
COMMENT ON COLUMN factorymon.ledger.other IS
	'messages without readings: tombstones, heartbeats, empty ones';
COMMENT ON COLUMN factorymon.ledger.suppressed IS
	'readings that a trigger kept out';
COMMENT ON COLUMN factorymon.ledger.readings IS
	'readings stored';
COMMENT ON COLUMN factorymon.ledger.reason IS
	'why the extent was closed, or why there is a gap';
COMMENT ON COLUMN factorymon.ledger.duplicates IS
	'messages dropped because all their readings had been stored before';
COMMENT ON COLUMN factorymon.ledger.opened_at IS
	'when it was begun';
COMMENT ON COLUMN factorymon.ledger.closed_at IS
	'when it was closed; null while it grows';

COMMENT ON VIEW factorymon.duplicates IS
	'messages dropped because all their readings had been stored before, for as long as deduplicate_ttl of their pipeline';
COMMENT ON COLUMN factorymon.duplicates.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.duplicates.topic IS
	'Kafka topic';
COMMENT ON COLUMN factorymon.duplicates.kafka_partition IS
	'Kafka partition of the message that was dropped';
COMMENT ON COLUMN factorymon.duplicates.kafka_offset IS
	'its offset';
COMMENT ON COLUMN factorymon.duplicates.reading_id IS
	'unique id of its first reading; with deduplicate sensor_time: sensor and timestamp';
COMMENT ON COLUMN factorymon.duplicates.first_partition IS
	'Kafka partition of the message that has this reading stored';
COMMENT ON COLUMN factorymon.duplicates.first_offset IS
	'offset of that message';
COMMENT ON COLUMN factorymon.duplicates.seen_at IS
	'when it was dropped';
COMMENT ON COLUMN factorymon.duplicates.incarnation IS
	'which log under that name, from 1';
COMMENT ON COLUMN factorymon.duplicates.first_incarnation IS
	'the same of the first message';

COMMENT ON VIEW factorymon.message_counters IS
	'messages and readings per pipeline since it was created';
COMMENT ON COLUMN factorymon.message_counters.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.message_counters.messages IS
	'messages with readings';
COMMENT ON COLUMN factorymon.message_counters.readings IS
	'readings stored, those that retention removed later included';
COMMENT ON COLUMN factorymon.message_counters.rejected IS
	'messages in rejects, those that retention removed later included';
COMMENT ON COLUMN factorymon.message_counters.other IS
	'messages without readings: tombstones, heartbeats, empty ones';
COMMENT ON COLUMN factorymon.message_counters.suppressed IS
	'readings that a trigger kept out';
COMMENT ON COLUMN factorymon.message_counters.duplicates IS
	'messages dropped because all their readings had been stored before';
COMMENT ON COLUMN factorymon.message_counters.skipped_offsets IS
	'offsets in gaps: never seen';
COMMENT ON COLUMN factorymon.message_counters.expired_readings IS
	'readings that retention removed';
COMMENT ON COLUMN factorymon.message_counters.expired_rejects IS
	'rejects that retention removed';

COMMENT ON VIEW factorymon.rejects IS
	'messages that could not be stored, kept whole';
COMMENT ON COLUMN factorymon.rejects.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.rejects.topic IS
	'Kafka topic';
COMMENT ON COLUMN factorymon.rejects.kafka_partition IS
	'Kafka partition';
COMMENT ON COLUMN factorymon.rejects.kafka_offset IS
	'offset of the message';
COMMENT ON COLUMN factorymon.rejects.message_at IS
	'timestamp of the message in Kafka; null: it has none';
COMMENT ON COLUMN factorymon.rejects.key IS
	'key of the message, raw';
COMMENT ON COLUMN factorymon.rejects.value IS
	'payload of the message, raw';
COMMENT ON COLUMN factorymon.rejects.headers IS
	'headers of the message: name and value, or base64 where it is no text';
COMMENT ON COLUMN factorymon.rejects.reason IS
	'why it was refused, in one word';
COMMENT ON COLUMN factorymon.rejects.sqlstate IS
	'the same as an SQLSTATE; that of the database''s error if the database refused it';
COMMENT ON COLUMN factorymon.rejects.rejected_at IS
	'when it arrived and was refused';
COMMENT ON COLUMN factorymon.rejects.attempts IS
	'how often it was tried';
COMMENT ON COLUMN factorymon.rejects.detail IS
	'why it was refused, in a sentence';
COMMENT ON COLUMN factorymon.rejects.incarnation IS
	'which log under that name, from 1';

COMMENT ON VIEW factorymon.rebalancing_events IS
	'what happened to pipelines, consumers and partitions, and why';
COMMENT ON COLUMN factorymon.rebalancing_events.at IS
	'when';
COMMENT ON COLUMN factorymon.rebalancing_events.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.rebalancing_events.consumer IS
	'member id of the consumer; null: none was involved';
COMMENT ON COLUMN factorymon.rebalancing_events.event IS
	'what happened, in one word; of workers: started, ended (crashed, terminated, or to begin anew with other settings; another one is started), assign, taken, waiting, revoke, fenced';
COMMENT ON COLUMN factorymon.rebalancing_events.partitions IS
	'Kafka partitions concerned; null: not about partitions';
COMMENT ON COLUMN factorymon.rebalancing_events.reason IS
	'why, or more about it';

COMMENT ON VIEW factorymon.system_status IS
	'each pipeline at a glance: ingest, alarms, producers, publisher';
COMMENT ON COLUMN factorymon.system_status.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.system_status.topic IS
	'Kafka topic it reads';
COMMENT ON COLUMN factorymon.system_status.consumer_group IS
	'consumer group it reads as';
COMMENT ON COLUMN factorymon.system_status.state IS
	'running; lagging: more than 60 seconds behind; degraded: a worker or a partition does not run; down: no worker runs; paused; off: it does not run in this database';
COMMENT ON COLUMN factorymon.system_status.workers IS
	'ingest workers that should run';
COMMENT ON COLUMN factorymon.system_status.workers_running IS
	'ingest workers that do';
COMMENT ON COLUMN factorymon.system_status.partitions IS
	'partitions that are known';
COMMENT ON COLUMN factorymon.system_status.partitions_running IS
	'partitions that a worker ingests';
COMMENT ON COLUMN factorymon.system_status.lag_messages IS
	'messages that the brokers have and we do not, of all partitions whose end is known; null: of none';
COMMENT ON COLUMN factorymon.system_status.lag_seconds IS
	'age of the last message stored where that is not the last there is, of the worst partition; null: not known';
COMMENT ON COLUMN factorymon.system_status.messages_per_second IS
	'messages stored a second lately';
COMMENT ON COLUMN factorymon.system_status.last_message_at IS
	'Kafkas timestamp of the newest message stored';
COMMENT ON COLUMN factorymon.system_status.data_age_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.system_status.messages IS
	'messages with readings so far';
COMMENT ON COLUMN factorymon.system_status.readings IS
	'readings stored so far';
COMMENT ON COLUMN factorymon.system_status.rejected IS
	'messages rejected so far';
COMMENT ON COLUMN factorymon.system_status.alarms_critical IS
	'alarms of level critical that are not over, blocked ones left out';
COMMENT ON COLUMN factorymon.system_status.alarms_warning IS
	'alarms of level warning, likewise';
COMMENT ON COLUMN factorymon.system_status.alarms_unacknowledged IS
	'alarms that wait for somebody to acknowledge them, blocked ones left out';
COMMENT ON COLUMN factorymon.system_status.producers_active IS
	'producers that report';
COMMENT ON COLUMN factorymon.system_status.producers_missing IS
	'producers that stopped to report without saying so, or of which nobody knows';
COMMENT ON COLUMN factorymon.system_status.publisher_state IS
	'state of the publisher, see publisher_health';
COMMENT ON COLUMN factorymon.system_status.publisher_pending IS
	'events that Kafka does not have yet';

COMMENT ON VIEW factorymon.consumer_health IS
	'ingest workers, those that should run and do not included';
COMMENT ON COLUMN factorymon.consumer_health.consumer IS
	'member id in the consumer group; null: it has not joined';
COMMENT ON COLUMN factorymon.consumer_health.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.consumer_health.worker_number IS
	'number of the worker within its pipeline, from 1';
COMMENT ON COLUMN factorymon.consumer_health.pid IS
	'process id; null: it does not run';
COMMENT ON COLUMN factorymon.consumer_health.state IS
	'starting, wrong_version, connecting, running, paused, retrying, stopping; down: it should run and does not; off: the pipeline does not run in this database';
COMMENT ON COLUMN factorymon.consumer_health.state_since IS
	'when it came into this state';
COMMENT ON COLUMN factorymon.consumer_health.heartbeat_at IS
	'last turn of its loop';
COMMENT ON COLUMN factorymon.consumer_health.heartbeat_age_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.consumer_health.assigned_partitions IS
	'how many partitions the group gave it';
COMMENT ON COLUMN factorymon.consumer_health.partitions IS
	'partitions that it owns';
COMMENT ON COLUMN factorymon.consumer_health.messages IS
	'messages stored since it started';
COMMENT ON COLUMN factorymon.consumer_health.readings IS
	'readings stored since it started';
COMMENT ON COLUMN factorymon.consumer_health.rejected IS
	'messages rejected since it started';
COMMENT ON COLUMN factorymon.consumer_health.other IS
	'messages without readings since it started';
COMMENT ON COLUMN factorymon.consumer_health.messages_per_second IS
	'present rate over its partitions';
COMMENT ON COLUMN factorymon.consumer_health.lag_messages IS
	'messages waiting in its partitions; null: not known';
COMMENT ON COLUMN factorymon.consumer_health.lag_seconds IS
	'age of the last message stored in its partition furthest behind, 0 at the end; null: not known';
COMMENT ON COLUMN factorymon.consumer_health.transitions IS
	'alarm transitions since it started';
COMMENT ON COLUMN factorymon.consumer_health.rebalances IS
	'rebalances since it started';
COMMENT ON COLUMN factorymon.consumer_health.fenced IS
	'how often it found that a partition had another owner';
COMMENT ON COLUMN factorymon.consumer_health.retries IS
	'batches tried again since it started';
COMMENT ON COLUMN factorymon.consumer_health.sensors IS
	'sensors whose state it holds';
COMMENT ON COLUMN factorymon.consumer_health.cpu_seconds IS
	'CPU time of the process, library threads included';
COMMENT ON COLUMN factorymon.consumer_health.memory_bytes IS
	'resident memory of the process';
COMMENT ON COLUMN factorymon.consumer_health.started_at IS
	'when the process started';
COMMENT ON COLUMN factorymon.consumer_health.last_error IS
	'last error; null: none';
COMMENT ON COLUMN factorymon.consumer_health.last_error_at IS
	'when that was';

COMMENT ON VIEW factorymon.producer_health IS
	'producers by their heartbeats';
COMMENT ON COLUMN factorymon.producer_health.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.producer_health.producer IS
	'id of the producer';
COMMENT ON COLUMN factorymon.producer_health.host IS
	'host it runs on';
COMMENT ON COLUMN factorymon.producer_health.version IS
	'its version';
COMMENT ON COLUMN factorymon.producer_health.state IS
	'active; late; stopped: it said so; silent: no heartbeat for five intervals (30 s at least) that would have been seen; unknown: nobody can tell, see reason';
COMMENT ON COLUMN factorymon.producer_health.reason IS
	'why the state is unknown: paused, stopped, lagging, disconnected, worker down, ...';
COMMENT ON COLUMN factorymon.producer_health.connection IS
	'its own connection to Kafka, as last reported';
COMMENT ON COLUMN factorymon.producer_health.sensors IS
	'how many sensors it speaks for';
COMMENT ON COLUMN factorymon.producer_health.sent IS
	'records it handed to its client';
COMMENT ON COLUMN factorymon.producer_health.delivered IS
	'records the brokers confirmed to it';
COMMENT ON COLUMN factorymon.producer_health.errors IS
	'errors it counted';
COMMENT ON COLUMN factorymon.producer_health.heartbeat_at IS
	'time of its last heartbeat';
COMMENT ON COLUMN factorymon.producer_health.heartbeat_age_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.producer_health.heartbeat_interval_seconds IS
	'how often it sends one';
COMMENT ON COLUMN factorymon.producer_health.started_at IS
	'when it started, by its own clock';
COMMENT ON COLUMN factorymon.producer_health.sent_at IS
	'when it sent the last heartbeat, by its own clock';

COMMENT ON VIEW factorymon.sensor_health IS
	'sensors by their readings; counters may be some seconds old';
COMMENT ON COLUMN factorymon.sensor_health.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.sensor_health.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.sensor_health.sensor_type IS
	'type, as last described';
COMMENT ON COLUMN factorymon.sensor_health.factory_section IS
	'section of the factory, as last described';
COMMENT ON COLUMN factorymon.sensor_health.machine_id IS
	'machine, as last described';
COMMENT ON COLUMN factorymon.sensor_health.zone IS
	'zone, as last described';
COMMENT ON COLUMN factorymon.sensor_health.unit IS
	'unit, as last described';
COMMENT ON COLUMN factorymon.sensor_health.state IS
	'retired; expected: too few readings so far to miss it; active; late; silent: no reading for five intervals (30 s at least) that would have been seen; unknown: nobody can tell, see reason';
COMMENT ON COLUMN factorymon.sensor_health.reason IS
	'of a retired one: that it still sends readings, if it does; else why the state is unknown: paused, stopped, lagging, disconnected, worker down, no reading stored, just resumed (it has one limit''s time to report), ...';
COMMENT ON COLUMN factorymon.sensor_health.last_ts IS
	'time of its newest reading, by its own clock';
COMMENT ON COLUMN factorymon.sensor_health.last_seen_at IS
	'time of its newest message';
COMMENT ON COLUMN factorymon.sensor_health.last_seen_age_seconds IS
	'how long ago that was';
COMMENT ON COLUMN factorymon.sensor_health.expected_interval_seconds IS
	'interval between readings, as configured in factorymon.threshold, else as learned; null: neither, not enough of them';
COMMENT ON COLUMN factorymon.sensor_health.expected_interval_source IS
	'which of the two: configured or learned';
COMMENT ON COLUMN factorymon.sensor_health.readings_per_second IS
	'rate that goes with the learned interval';
COMMENT ON COLUMN factorymon.sensor_health.silent_after_seconds IS
	'how long it may be quiet before it is silent';
COMMENT ON COLUMN factorymon.sensor_health.readings IS
	'readings evaluated so far';
COMMENT ON COLUMN factorymon.sensor_health.gaps IS
	'numbers of reading_count that never came; null: it does not count';
COMMENT ON COLUMN factorymon.sensor_health.repeats IS
	'numbers of reading_count that came twice';
COMMENT ON COLUMN factorymon.sensor_health.late IS
	'readings older than the newest one before them';
COMMENT ON COLUMN factorymon.sensor_health.future IS
	'readings ahead of their message';
COMMENT ON COLUMN factorymon.sensor_health.producer_restarts IS
	'how often reading_count began anew';
COMMENT ON COLUMN factorymon.sensor_health.partitions IS
	'Kafka partitions that it came through';
COMMENT ON COLUMN factorymon.sensor_health.registered_at IS
	'when it was first seen';
COMMENT ON COLUMN factorymon.sensor_health.retired_at IS
	'when it was retired; null: it is in use';
COMMENT ON COLUMN factorymon.sensor_health.retired_by IS
	'role that retired it';
COMMENT ON COLUMN factorymon.sensor_health.retired_reason IS
	'why it was retired';

COMMENT ON VIEW factorymon.deadman IS
	'whether sensors of a pipeline are missed: how they are, once a second';
COMMENT ON COLUMN factorymon.deadman.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.deadman.evaluated_at IS
	'when the supervisor looked last';
COMMENT ON COLUMN factorymon.deadman.watched IS
	'sensors that it looks at';
COMMENT ON COLUMN factorymon.deadman.active IS
	'that report';
COMMENT ON COLUMN factorymon.deadman.late IS
	'that have been quiet for half the time that they may be';
COMMENT ON COLUMN factorymon.deadman.silent IS
	'that have been quiet for longer than they may be';
COMMENT ON COLUMN factorymon.deadman.unknown IS
	'about which nobody can tell, see reason';
COMMENT ON COLUMN factorymon.deadman.reason IS
	'why the state of most of those is unknown: paused, stopped, lagging, disconnected, worker down, taking, just resumed';
COMMENT ON COLUMN factorymon.deadman.expected IS
	'of which too few readings came so far to know how often they report, and nobody configured it';
COMMENT ON COLUMN factorymon.deadman.left_alone IS
	'retired or out of service';
COMMENT ON COLUMN factorymon.deadman.unwatched IS
	'sensors that it does not know: never seen, or beyond factorymon.max_watched_sensors';
COMMENT ON COLUMN factorymon.deadman.alarms IS
	'sensors whose own alarm "silent" is up';
COMMENT ON COLUMN factorymon.deadman.mass_since IS
	'since when so many are silent that it is one alarm of the pipeline; null: they are not';
COMMENT ON COLUMN factorymon.deadman.configured IS
	'watched sensors whose interval is configured in factorymon.threshold, and not learned; sensor_health has the intervals';

COMMENT ON VIEW factorymon.plant_now IS
	'current average of each sensor type, over all of a pipelines sensors that are in use';
COMMENT ON COLUMN factorymon.plant_now.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.plant_now.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.plant_now.unit IS
	'unit of the values; sensors of one type with different units are different rows';
COMMENT ON COLUMN factorymon.plant_now.avg_value IS
	'average of the newest readings, one of each sensor; null: no sensor has a current one';
COMMENT ON COLUMN factorymon.plant_now.min_value IS
	'lowest of them';
COMMENT ON COLUMN factorymon.plant_now.max_value IS
	'highest of them';
COMMENT ON COLUMN factorymon.plant_now.sensors IS
	'sensors whose newest reading is current: no older than five minutes, or than the deadman lets the sensor be quiet where that is longer';
COMMENT ON COLUMN factorymon.plant_now.sensors_missing IS
	'sensors in use that have no current reading, and do not count';
COMMENT ON COLUMN factorymon.plant_now.last_reading_at IS
	'time of the newest reading, current or not';
COMMENT ON COLUMN factorymon.plant_now.format IS
	'format of the pipeline''s messages (see format); what is not of the plant, such as "city", can be left out by it';

COMMENT ON VIEW factorymon.zone_now IS
	'current average of each sensor type in each zone, over the sensors that are in use';
COMMENT ON COLUMN factorymon.zone_now.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.zone_now.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.zone_now.zone IS
	'zone';
COMMENT ON COLUMN factorymon.zone_now.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.zone_now.unit IS
	'unit of the values; sensors of one type with different units are different rows';
COMMENT ON COLUMN factorymon.zone_now.avg_value IS
	'average of the newest readings, one of each sensor; null: no sensor has a current one';
COMMENT ON COLUMN factorymon.zone_now.min_value IS
	'lowest of them';
COMMENT ON COLUMN factorymon.zone_now.max_value IS
	'highest of them';
COMMENT ON COLUMN factorymon.zone_now.sensors IS
	'sensors whose newest reading is current: no older than five minutes, or than the deadman lets the sensor be quiet where that is longer';
COMMENT ON COLUMN factorymon.zone_now.sensors_missing IS
	'sensors in use that have no current reading, and do not count';
COMMENT ON COLUMN factorymon.zone_now.last_reading_at IS
	'time of the newest reading, current or not';
COMMENT ON COLUMN factorymon.zone_now.format IS
	'format of the pipeline''s messages (see format); what is not of the plant, such as "city", can be left out by it';

COMMENT ON VIEW factorymon.machine_status IS
	'machines with sensors in use, the most critical one first by rank';
COMMENT ON COLUMN factorymon.machine_status.rank IS
	'1 is the most critical machine: by level, unacknowledged alarms, severity, name';
COMMENT ON COLUMN factorymon.machine_status.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.machine_status.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.machine_status.zone IS
	'zone that it is in; with sensors in several zones it is one row in each';
COMMENT ON COLUMN factorymon.machine_status.machine_id IS
	'machine';
COMMENT ON COLUMN factorymon.machine_status.level IS
	'worst level of its alarms that are up and not blocked: critical, warning, normal';
COMMENT ON COLUMN factorymon.machine_status.level_rank IS
	'the same to sort and colour by: 2 critical, 1 warning, 0 normal';
COMMENT ON COLUMN factorymon.machine_status.severity IS
	'highest severity of these alarms (1 to 1000); null: there is none';
COMMENT ON COLUMN factorymon.machine_status.alarms_critical IS
	'alarms up at level critical';
COMMENT ON COLUMN factorymon.machine_status.alarms_warning IS
	'alarms up at level warning';
COMMENT ON COLUMN factorymon.machine_status.alarms_unacknowledged IS
	'alarms, up or returned, that wait for somebody to acknowledge them';
COMMENT ON COLUMN factorymon.machine_status.alarms_blocked IS
	'alarms that are shelved, suppressed, under maintenance or out of service, and do not count';
COMMENT ON COLUMN factorymon.machine_status.alarm_since IS
	'when the oldest of the alarms that are up began; null: there is none';
COMMENT ON COLUMN factorymon.machine_status.sensors IS
	'its sensors in use';
COMMENT ON COLUMN factorymon.machine_status.sensors_missing IS
	'those of them without a current reading (see zone_now)';
COMMENT ON COLUMN factorymon.machine_status.last_reading_at IS
	'time of their newest reading';
COMMENT ON COLUMN factorymon.machine_status.format IS
	'format of the pipeline''s messages (see format); what is not of the plant, such as "city", can be left out by it';

COMMENT ON VIEW factorymon.city_now IS
	'cities, which are places of which nothing but the zone is known, the most critical one first by rank';
COMMENT ON COLUMN factorymon.city_now.rank IS
	'1 is the most critical city: by status (unknown is between warning and normal), then name';
COMMENT ON COLUMN factorymon.city_now.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.city_now.city IS
	'the zone of its sensors';
COMMENT ON COLUMN factorymon.city_now.status IS
	'critical, warning, normal: the worst of what its newest current readings were reported with and of what limits here make of them; unknown: none is current';
COMMENT ON COLUMN factorymon.city_now.status_rank IS
	'the same to sort and colour by: 2 critical, 1 warning, 0 normal; null: unknown';
COMMENT ON COLUMN factorymon.city_now.reported_status IS
	'the worst status that came with these readings; null: none did';
COMMENT ON COLUMN factorymon.city_now.temperature IS
	'average of the newest readings of temperature in °C; null: none is current';
COMMENT ON COLUMN factorymon.city_now.humidity IS
	'average of the newest readings of humidity in percent; null: none is current';
COMMENT ON COLUMN factorymon.city_now.sensors IS
	'sensors of temperature and humidity whose newest reading is current (see zone_now)';
COMMENT ON COLUMN factorymon.city_now.sensors_missing IS
	'those without a current reading, which do not count';
COMMENT ON COLUMN factorymon.city_now.last_reading_at IS
	'time of the newest reading, current or not';
COMMENT ON COLUMN factorymon.city_now.age_seconds IS
	'how long ago that was';

COMMENT ON VIEW factorymon.city_minutes IS
	'average temperature and humidity of each city by the minute, from the same sums as readings_1m: of pipelines that have rollups; ask with a range of minute_at';
COMMENT ON COLUMN factorymon.city_minutes.minute_at IS
	'begin of the minute';
COMMENT ON COLUMN factorymon.city_minutes.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.city_minutes.city IS
	'the zone of its sensors';
COMMENT ON COLUMN factorymon.city_minutes.temperature IS
	'average of the readings of good quality in °C; null: there was none';
COMMENT ON COLUMN factorymon.city_minutes.humidity IS
	'average of the readings of good quality in percent; null: there was none';
COMMENT ON COLUMN factorymon.city_minutes.readings IS
	'how many readings of both, of good quality, there were';

COMMENT ON VIEW factorymon.zone_minutes IS
	'readings of each zone and sensor type by the minute, without minutes that had none; ask with a range of minute_at: what it costs is minutes times sensors';
COMMENT ON COLUMN factorymon.zone_minutes.minute_at IS
	'begin of the minute';
COMMENT ON COLUMN factorymon.zone_minutes.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.zone_minutes.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.zone_minutes.zone IS
	'zone';
COMMENT ON COLUMN factorymon.zone_minutes.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.zone_minutes.unit IS
	'unit of the values; sensors of one type with different units are different rows';
COMMENT ON COLUMN factorymon.zone_minutes.avg_value IS
	'average of the readings';
COMMENT ON COLUMN factorymon.zone_minutes.min_value IS
	'lowest reading';
COMMENT ON COLUMN factorymon.zone_minutes.max_value IS
	'highest reading';
COMMENT ON COLUMN factorymon.zone_minutes.readings IS
	'how many there were';
COMMENT ON COLUMN factorymon.zone_minutes.sensors IS
	'of how many sensors';
COMMENT ON COLUMN factorymon.zone_minutes.format IS
	'format of the pipeline''s messages (see format); what is not of the plant, such as "city", can be left out by it';

COMMENT ON VIEW factorymon.alarm_hours IS
	'announcements of alarms by the hour, operating position and class of severity, for hours and positions that had one';
COMMENT ON COLUMN factorymon.alarm_hours.hour_at IS
	'begin of the hour';
COMMENT ON COLUMN factorymon.alarm_hours.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.alarm_hours."position" IS
	'operating position';
COMMENT ON COLUMN factorymon.alarm_hours.severity_class IS
	'low, medium (from 334) or high (from 667)';
COMMENT ON COLUMN factorymon.alarm_hours.class_rank IS
	'the same to sort by: 1 low, 2 medium, 3 high';
COMMENT ON COLUMN factorymon.alarm_hours.announcements IS
	'how often alarms called for an operator';

COMMENT ON VIEW factorymon.readings_1m IS
	'readings of each sensor by the minute; up to date, buckets without readings are not there';
COMMENT ON COLUMN factorymon.readings_1m.bucket IS
	'begin of the minute';
COMMENT ON COLUMN factorymon.readings_1m.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.readings_1m.sensor_type IS
	'type of the sensor';
COMMENT ON COLUMN factorymon.readings_1m.factory_section IS
	'section of the factory; a sensor that moved within the bucket has a row for each place';
COMMENT ON COLUMN factorymon.readings_1m.machine_id IS
	'machine, likewise';
COMMENT ON COLUMN factorymon.readings_1m.zone IS
	'zone, likewise';
COMMENT ON COLUMN factorymon.readings_1m.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.readings_1m.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.readings_1m.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.readings_1m.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.readings_1m.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.readings_1m.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.readings_1m.first IS
	'the first of them, by its time';
COMMENT ON COLUMN factorymon.readings_1m.last IS
	'the last of them, by its time';
COMMENT ON COLUMN factorymon.readings_1m.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.readings_1m.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.readings_1m.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.readings_1m.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON COLUMN factorymon.readings_1m.pipeline IS
	'name of the pipeline';
COMMENT ON VIEW factorymon.readings_1h IS
	'readings of each sensor by the hour of the plant''s time zone; up to date, buckets without readings are not there';
COMMENT ON COLUMN factorymon.readings_1h.bucket IS
	'begin of the hour';
COMMENT ON COLUMN factorymon.readings_1h.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.readings_1h.sensor_type IS
	'type of the sensor';
COMMENT ON COLUMN factorymon.readings_1h.factory_section IS
	'section of the factory; a sensor that moved within the bucket has a row for each place';
COMMENT ON COLUMN factorymon.readings_1h.machine_id IS
	'machine, likewise';
COMMENT ON COLUMN factorymon.readings_1h.zone IS
	'zone, likewise';
COMMENT ON COLUMN factorymon.readings_1h.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.readings_1h.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.readings_1h.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.readings_1h.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.readings_1h.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.readings_1h.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.readings_1h.first IS
	'the first of them, by its time';
COMMENT ON COLUMN factorymon.readings_1h.last IS
	'the last of them, by its time';
COMMENT ON COLUMN factorymon.readings_1h.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.readings_1h.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.readings_1h.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.readings_1h.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON COLUMN factorymon.readings_1h.pipeline IS
	'name of the pipeline';
COMMENT ON VIEW factorymon.readings_1d IS
	'readings of each sensor by the day of the plant''s time zone; up to date, buckets without readings are not there';
COMMENT ON COLUMN factorymon.readings_1d.bucket IS
	'begin of the day';
COMMENT ON COLUMN factorymon.readings_1d.sensor_id IS
	'name of the sensor';
COMMENT ON COLUMN factorymon.readings_1d.sensor_type IS
	'type of the sensor';
COMMENT ON COLUMN factorymon.readings_1d.factory_section IS
	'section of the factory; a sensor that moved within the bucket has a row for each place';
COMMENT ON COLUMN factorymon.readings_1d.machine_id IS
	'machine, likewise';
COMMENT ON COLUMN factorymon.readings_1d.zone IS
	'zone, likewise';
COMMENT ON COLUMN factorymon.readings_1d.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.readings_1d.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.readings_1d.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.readings_1d.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.readings_1d.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.readings_1d.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.readings_1d.first IS
	'the first of them, by its time';
COMMENT ON COLUMN factorymon.readings_1d.last IS
	'the last of them, by its time';
COMMENT ON COLUMN factorymon.readings_1d.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.readings_1d.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.readings_1d.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.readings_1d.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON COLUMN factorymon.readings_1d.pipeline IS
	'name of the pipeline';
COMMENT ON VIEW factorymon.zone_1m IS
	'readings of each zone, sensor type and unit by the minute; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.zone_1m.bucket IS
	'begin of the minute';
COMMENT ON COLUMN factorymon.zone_1m.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.zone_1m.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.zone_1m.zone IS
	'zone';
COMMENT ON COLUMN factorymon.zone_1m.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.zone_1m.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.zone_1m.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.zone_1m.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.zone_1m.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.zone_1m.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.zone_1m.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.zone_1m.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.zone_1m.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.zone_1m.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.zone_1m.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.zone_1m.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON VIEW factorymon.zone_1h IS
	'readings of each zone, sensor type and unit by the hour of the plant''s time zone; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.zone_1h.bucket IS
	'begin of the hour';
COMMENT ON COLUMN factorymon.zone_1h.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.zone_1h.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.zone_1h.zone IS
	'zone';
COMMENT ON COLUMN factorymon.zone_1h.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.zone_1h.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.zone_1h.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.zone_1h.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.zone_1h.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.zone_1h.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.zone_1h.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.zone_1h.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.zone_1h.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.zone_1h.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.zone_1h.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.zone_1h.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON VIEW factorymon.zone_1d IS
	'readings of each zone, sensor type and unit by the day of the plant''s time zone; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.zone_1d.bucket IS
	'begin of the day';
COMMENT ON COLUMN factorymon.zone_1d.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.zone_1d.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.zone_1d.zone IS
	'zone';
COMMENT ON COLUMN factorymon.zone_1d.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.zone_1d.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.zone_1d.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.zone_1d.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.zone_1d.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.zone_1d.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.zone_1d.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.zone_1d.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.zone_1d.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.zone_1d.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.zone_1d.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.zone_1d.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON VIEW factorymon.machine_1m IS
	'readings of each machine, sensor type and unit by the minute; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.machine_1m.bucket IS
	'begin of the minute';
COMMENT ON COLUMN factorymon.machine_1m.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.machine_1m.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.machine_1m.zone IS
	'zone';
COMMENT ON COLUMN factorymon.machine_1m.machine_id IS
	'machine';
COMMENT ON COLUMN factorymon.machine_1m.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.machine_1m.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.machine_1m.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.machine_1m.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.machine_1m.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.machine_1m.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.machine_1m.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.machine_1m.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.machine_1m.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.machine_1m.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.machine_1m.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.machine_1m.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON VIEW factorymon.machine_1h IS
	'readings of each machine, sensor type and unit by the hour of the plant''s time zone; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.machine_1h.bucket IS
	'begin of the hour';
COMMENT ON COLUMN factorymon.machine_1h.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.machine_1h.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.machine_1h.zone IS
	'zone';
COMMENT ON COLUMN factorymon.machine_1h.machine_id IS
	'machine';
COMMENT ON COLUMN factorymon.machine_1h.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.machine_1h.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.machine_1h.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.machine_1h.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.machine_1h.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.machine_1h.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.machine_1h.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.machine_1h.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.machine_1h.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.machine_1h.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.machine_1h.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.machine_1h.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON VIEW factorymon.machine_1d IS
	'readings of each machine, sensor type and unit by the day of the plant''s time zone; a sensor counts where it was at the time';
COMMENT ON COLUMN factorymon.machine_1d.bucket IS
	'begin of the day';
COMMENT ON COLUMN factorymon.machine_1d.pipeline IS
	'name of the pipeline';
COMMENT ON COLUMN factorymon.machine_1d.factory_section IS
	'section of the factory';
COMMENT ON COLUMN factorymon.machine_1d.zone IS
	'zone';
COMMENT ON COLUMN factorymon.machine_1d.machine_id IS
	'machine';
COMMENT ON COLUMN factorymon.machine_1d.sensor_type IS
	'type of the sensors';
COMMENT ON COLUMN factorymon.machine_1d.unit IS
	'unit of the values';
COMMENT ON COLUMN factorymon.machine_1d.sensors IS
	'sensors that had readings';
COMMENT ON COLUMN factorymon.machine_1d.n IS
	'readings of good quality';
COMMENT ON COLUMN factorymon.machine_1d.min IS
	'lowest of them';
COMMENT ON COLUMN factorymon.machine_1d.max IS
	'highest of them';
COMMENT ON COLUMN factorymon.machine_1d.avg IS
	'average of them';
COMMENT ON COLUMN factorymon.machine_1d.stddev IS
	'their standard deviation (of a sample); null: fewer than two';
COMMENT ON COLUMN factorymon.machine_1d.n_normal IS
	'how many of them were normal';
COMMENT ON COLUMN factorymon.machine_1d.n_warning IS
	'how many of them had level warning';
COMMENT ON COLUMN factorymon.machine_1d.n_critical IS
	'how many of them had level critical';
COMMENT ON COLUMN factorymon.machine_1d.n_bad IS
	'readings of a quality below 0.5, which count nowhere else';
COMMENT ON COLUMN factorymon.pipelines.rollups IS
	'are minutes, hours and days of its readings kept';
COMMENT ON COLUMN factorymon.pipelines.time_zone IS
	'time zone of the plant: where hours and days begin';
COMMENT ON COLUMN factorymon.pipelines.deduplicate IS
	'by what repeated readings are known, whose messages are dropped: id (their unique id), sensor_time (sensor and timestamp), none';
COMMENT ON COLUMN factorymon.pipelines.deduplicate_ttl_seconds IS
	'for how long a reading is known, in seconds';

COMMENT ON VIEW _factorymon.rollup_span IS
	'how far hours and days of each pipeline have been computed, and from when on readings may be in no rollup yet';
COMMENT ON VIEW _factorymon.minutes IS
	'what is to be merged to the minutes of each sensor';
COMMENT ON VIEW _factorymon.hours IS
	'what is to be merged to the hours of each sensor';
COMMENT ON VIEW _factorymon.days IS
	'what is to be merged to the days of each sensor';
COMMENT ON VIEW _factorymon.lasting_request IS
	'what operators want to last of alarms, as the requests that would bring it about anew';
COMMENT ON VIEW _factorymon.pipeline_here IS
	'pipelines with what is known of them in this very database';
COMMENT ON TABLE _factorymon.drift IS
	'rows of factorymon.schema_drift';
COMMENT ON VIEW _factorymon.frontier IS
	'how far each live stream has been seen, and what keeps it from being seen further';

/* ======================================================================
 * 8. Privileges
 * ==================================================================== */

REVOKE ALL ON SCHEMA factorymon, _factorymon FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA factorymon, _factorymon FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA factorymon, _factorymon FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA factorymon, _factorymon FROM PUBLIC;

/*
 * Monitoring roles: status without being superuser.  pg_read_all_data may
 * read every table and view, but the views call functions as whoever queries
 * them.
 */
GRANT USAGE ON SCHEMA factorymon TO pg_monitor;
GRANT SELECT ON factorymon.consumer_health, factorymon.producer_health,
	factorymon.rebalancing_events TO pg_monitor;
GRANT EXECUTE ON FUNCTION factorymon.partition_status(),
	factorymon.worker_status() TO pg_monitor, pg_read_all_data;

DO $$
DECLARE
	routine regprocedure;
BEGIN
	FOR routine IN
		SELECT DISTINCT p.oid
		FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
			JOIN pg_catalog.pg_depend d ON d.objid = w.oid
				AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
				AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
			JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
		WHERE c.relnamespace IN ('factorymon'::pg_catalog.regnamespace,
				'_factorymon'::pg_catalog.regnamespace)
			AND p.pronamespace IN ('factorymon'::pg_catalog.regnamespace,
				'_factorymon'::pg_catalog.regnamespace)
	LOOP
		EXECUTE pg_catalog.format(
			'GRANT EXECUTE ON ROUTINE %s TO pg_monitor, pg_read_all_data',
			routine);
	END LOOP;
END;
$$;

/* Monitoring may see how the machinery does, but no reading and no reject. */
REVOKE EXECUTE ON FUNCTION _factorymon.sensor_now(),
	_factorymon.reading_minutes(),
	_factorymon.zone_readings(timestamptz, timestamptz) FROM pg_monitor;
GRANT SELECT ON
	factorymon.pipelines,
	factorymon.retention,
	factorymon.archives,
	factorymon.publisher_health,
	factorymon.ledger,
	factorymon.message_counters, factorymon.duplicates,
	factorymon.rebalancing_events,
	factorymon.consumer_health,
	factorymon.producer_health,
	factorymon.sensor_health,
	factorymon.deadman,
	factorymon.operating_positions,
	factorymon.alarm_rate,
	factorymon.alarm_hours,
	factorymon.floods
	TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	factorymon.partition_status(),
	factorymon.worker_status(),
	factorymon.batch_histogram_bounds(),
	factorymon.alarm_kpi(timestamptz, timestamptz),
	factorymon.alarm_rates(text, timestamptz, timestamptz)
	TO pg_monitor;
