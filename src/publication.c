/*-------------------------------------------------------------------------
 *
 * publication.c
 *	  What goes out to consumers: numbered, told by NOTIFY, and kept until
 *	  Kafka has it and some time longer.
 *
 * The owner of a stream numbers what goes out of it (out_seq) without gaps, in
 * the transaction that makes it.  Here all streams of a pipeline become one
 * sequence (pub_seq), in the order in which they were committed: whoever has
 * seen number n has missed nothing below it.  A sequence object could not
 * promise that, since its numbers are taken before the commit.
 *
 * The message is composed once, here, and kept: what is sent again is the same
 * to the byte, and it does not matter if the history it came from is gone by
 * then.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "kpi.h"
#include "pipeline_internal.h"
#include "publication.h"

/* Of all streams, by one statement. */
#define MAX_NUMBERED 4000

const char *const fm_publication_header_names[FM_PUBLICATION_HEADERS] = {
	"event_id", "alarm_id", "transition", "severity",
	"source_topic", "source_partition", "source_offset"
};

/* ----------------------------------------------------------------------
 * Numbering
 * ------------------------------------------------------------------- */

/*
 * The message, from n (a transition), s (its sensor), v (what the sensor said
 * of itself then), st (its stream); docs/alert.schema.json has its meaning.
 */
#define LEVEL_NAME(level) \
	"CASE " level " & 3 WHEN 0 THEN 'normal' WHEN 1 THEN 'warning'" \
	" WHEN 2 THEN 'critical' END"
#define SIDE_NAME(level) \
	"CASE " level " >> 2 & 3 WHEN 1 THEN 'low' WHEN 2 THEN 'high' END"

static const char payload[] =
"(SELECT row_to_json(m)::text FROM (SELECT"
" 'factorymon.alert/1' AS schema, n.event_id, n.alarm_id, n.seq,"
" n.condition, n.transition, n.state, n.announced, n.blocked_by,"
" " LEVEL_NAME("n.level") " AS level, " SIDE_NAME("n.level") " AS side,"
" n.severity, (SELECT row_to_json(p) FROM (SELECT n.previous_state AS state,"
"  " LEVEL_NAME("n.previous_level") " AS level) p) AS previous,"
" s.name AS sensor_id, v.sensor_type, (SELECT row_to_json(l) FROM (SELECT"
"  v.factory_section, v.machine_id, v.zone) l) AS location,"
" n.value, v.unit, n.limit_value AS \"limit\", n.deadband, n.quality,"
" n.score, _factorymon.json_time(n.event_time) AS event_time,"
" _factorymon.json_time(n.since) AS since,"
" _factorymon.json_time(n.raised_at) AS raised_at,"
" _factorymon.json_time(n.recorded_at) AS recorded_at, n.cause,"
" n.actor AS \"by\", left(n.comment, 4000) AS comment,"
" $4 AS pipeline, (SELECT row_to_json(o) FROM (SELECT nullif(st.topic, '') AS topic,"
"  nullif(st.kafka_partition, -1) AS partition,"
"  CASE n.cause WHEN 'data' THEN n.kafka_offset END AS offset,"
"  CASE n.cause WHEN 'data' THEN n.reading_index END AS reading_index) o)"
" AS source, n.limit_version) m)";

/*
 * Within a stream in its order; between streams by the time of recording.  A
 * clock that was set back must not turn a stream's own order around, hence
 * the running maximum.  Whether Kafka gets it is what the pipeline's row says:
 * it is seen with whatever was committed after it was changed.
 */
static char *
number_query(int16 pipeline_id)
{
	return psprintf("WITH due AS (SELECT o.stream_id,"
					" coalesce(c.out_seq, 0) AS after"
					" FROM _factorymon.stream s"
					" JOIN _factorymon.partition_offset o USING (stream_id)"
					" LEFT JOIN _factorymon.publisher_stream c"
					" USING (stream_id) WHERE s.pipeline_id = $1"
					" AND o.out_seq > coalesce(c.out_seq, 0)),"
					" found AS MATERIALIZED (SELECT t.*,"
					" max(t.recorded_at) OVER (PARTITION BY t.stream_id"
					"  ORDER BY t.out_seq) AS turn"
					" FROM due CROSS JOIN LATERAL (SELECT x.*"
					"  FROM _factorymon.transition_%d x"
					"  WHERE x.stream_id = due.stream_id"
					"  AND x.out_seq > due.after"
					"  ORDER BY x.out_seq LIMIT (SELECT"
					"   greatest(1, $3 / count(*)) FROM due)) t),"
					" moved AS (INSERT INTO _factorymon.publisher_stream"
					" AS c (stream_id, out_seq)"
					" SELECT stream_id, max(out_seq) FROM found GROUP BY 1"
					" ON CONFLICT (stream_id) DO UPDATE"
					" SET out_seq = excluded.out_seq)"
					" INSERT INTO _factorymon.publication (pipeline_id,"
					" pub_seq, event_id, stream_id, out_seq, recorded_at,"
					" message_key, payload, alarm_id, transition, severity,"
					" announced, source_topic, source_partition,"
					" source_offset, to_kafka)"
					" SELECT $1, $2 + row_number() OVER"
					"  (ORDER BY n.turn, n.stream_id, n.out_seq),"
					" n.event_id, n.stream_id, n.out_seq, n.recorded_at,"
					" coalesce(s.name, $4), %s, n.alarm_id, n.transition, n.severity,"
					" n.announced, nullif(st.topic, ''),"
					" nullif(st.kafka_partition, -1),"
					" CASE n.cause WHEN 'data' THEN n.kafka_offset END,"
					" p.alert_topic IS NOT NULL FROM found n"
					" JOIN _factorymon.pipeline p ON p.pipeline_id = $1"
					" JOIN _factorymon.stream st USING (stream_id)"
					" LEFT JOIN _factorymon.sensor s USING (sensor_id)"
					" LEFT JOIN _factorymon.sensor_version v"
					" USING (sensor_version_id)",
					pipeline_id, payload);
}

/* The last number given, its row locked; made if it is the first time. */
static int64
lock_publisher(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	if (fm_args_run(&args, "SELECT pub_seq FROM _factorymon.publisher"
					" WHERE pipeline_id = $1 FOR UPDATE", SPI_OK_SELECT) > 0)
		return fm_spi_int8(0, 1);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.publisher (pipeline_id)"
					   " VALUES ($1)", SPI_OK_INSERT);
	return 0;
}

static void
advance_publisher(int16 pipeline_id, int64 last)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, last);
	(void) fm_args_run(&args, "UPDATE _factorymon.publisher SET pub_seq = $2"
					   " WHERE pipeline_id = $1", SPI_OK_UPDATE);
}

int64
fm_publication_number(const FmPipeline *pipeline, int64 *last,
					  TimestampTz *clock_at)
{
	static void *plan = NULL;	/* a process serves one pipeline */
	FmArgs		args = {0};
	int64		before = lock_publisher(pipeline->id);
	int64		n;

	ForceSyncCommit();
	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, before);
	fm_args_int4(&args, MAX_NUMBERED);
	fm_args_text(&args, pipeline->name);
	n = (int64) fm_spi_run_kept(&plan, plan == NULL ?
								number_query(pipeline->id) : "numbering",
								args.n, args.types, args.values, args.nulls,
								SPI_OK_INSERT);
	*last = before + n;
	if (n > 0)
		*last = fm_kpi_take(pipeline->id, before + 1, *last);
	/* not before all that is committed was counted, and alone: the rows of
	 * positions are locked in the order of their names */
	else if (fm_kpi_next_deadline(pipeline->id) <= GetCurrentTimestamp())
		*last = fm_kpi_clock(pipeline->id, GetCurrentTimestamp(), *last);
	if (*last > before)
		advance_publisher(pipeline->id, *last);
	*clock_at = fm_kpi_next_deadline(pipeline->id);
	return *last - before;
}

bool
fm_publication_goes_there(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->alert_topic);
	return fm_args_run(&args, "SELECT 1 FROM _factorymon.pipeline"
					   " WHERE pipeline_id = $1"
					   " AND alert_topic IS NOT DISTINCT FROM $2",
					   SPI_OK_SELECT) > 0;
}

/* ----------------------------------------------------------------------
 * NOTIFY
 * ------------------------------------------------------------------- */

/*
 * Anybody who may connect to the database may listen, so there is nothing in
 * it that only readers may see: who wants more asks for it by its number.
 */
void
fm_publication_notify(const FmPipeline *pipeline, int64 first, int64 last)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, first);
	fm_args_int8(&args, last);
	fm_args_text(&args, pipeline->name);
	(void) fm_args_run(&args, "SELECT pg_notify('factorymon_alerts',"
					   " row_to_json(m)::text) FROM (SELECT $4 AS pipeline,"
					   " pub_seq, event_id, alarm_id, transition, severity,"
					   " announced FROM _factorymon.publication"
					   " WHERE pipeline_id = $1 AND pub_seq BETWEEN $2 AND $3"
					   " ORDER BY pub_seq) m", SPI_OK_SELECT);
}

/* ----------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------- */

static void
read_publication(uint64 row, FmPublication *publication)
{
	publication->pub_seq = fm_spi_int8(row, 1);
	publication->timestamp = fm_spi_int8(row, 2);
	publication->key = fm_spi_text(row, 3);
	publication->payload = fm_spi_text(row, 4);
	for (int i = 0; i < FM_PUBLICATION_HEADERS; i++)
		publication->headers[i] = fm_spi_text(row, 5 + i);
}

static void
args_numbers(FmArgs *args, const int64 *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	ArrayType  *array;

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(numbers[i]);
	array = construct_array(values, n, INT8OID, sizeof(int64),
							FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	fm_args_add(args, INT8ARRAYOID, PointerGetDatum(array), false);
}

static void
args_texts(FmArgs *args, const char *const *texts, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	fm_args_add(args, TEXTARRAYOID,
				PointerGetDatum(construct_array(values, n, TEXTOID, -1, false,
												TYPALIGN_INT)), false);
}

int
fm_publication_load(const FmPipeline *pipeline, int64 after,
					const char *const *keys, int nkeys,
					const int64 *numbers, int nnumbers, int limit,
					MemoryContext context, FmPublication *publications)
{
	static void *plan = NULL;
	FmArgs		args = {0};
	MemoryContext old;
	int			n;

	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, after);
	fm_args_int4(&args, limit);
	args_texts(&args, keys, nkeys);
	args_numbers(&args, numbers, nnumbers);
	n = (int) fm_spi_run_kept(&plan, "SELECT pub_seq,"
							  " (extract(epoch FROM recorded_at) * 1000)::bigint,"
							  " message_key, payload, event_id::text,"
							  " alarm_id::text, transition, severity::text,"
							  " source_topic, source_partition::text,"
							  " source_offset::text"
							  " FROM _factorymon.publication"
							  " WHERE pipeline_id = $1 AND pub_seq > $2"
							  " AND delivered_at IS NULL AND to_kafka"
							  " AND message_key <> ALL ($4)"
							  " AND pub_seq <> ALL ($5)"
							  " ORDER BY pub_seq LIMIT $3",
							  args.n, args.types, args.values, args.nulls,
							  SPI_OK_SELECT);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
		read_publication(i, &publications[i]);
	MemoryContextSwitchTo(old);
	return n;
}

void
fm_publication_free(FmPublication *publication)
{
	pfree(publication->key);
	pfree(publication->payload);
	for (int i = 0; i < FM_PUBLICATION_HEADERS; i++)
	{
		if (publication->headers[i] != NULL)
			pfree(publication->headers[i]);
	}
}

void
fm_publication_forget(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	(void) fm_args_run(&args, "UPDATE _factorymon.publication"
					   " SET to_kafka = false WHERE pipeline_id = $1"
					   " AND delivered_at IS NULL AND to_kafka",
					   SPI_OK_UPDATE);
}

void
fm_publication_delivered(const FmPipeline *pipeline, const int64 *numbers,
						 int n)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	args_numbers(&args, numbers, n);
	(void) fm_args_run(&args, "UPDATE _factorymon.publication SET"
					   " delivered_at = clock_timestamp(),"
					   " attempted_at = clock_timestamp(),"
					   " attempts = attempts + 1"
					   " WHERE pipeline_id = $1 AND pub_seq = ANY ($2)",
					   SPI_OK_UPDATE);
}

void
fm_publication_failed(const FmPipeline *pipeline, const int64 *numbers,
					  int n, bool refused, const char *error)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	args_numbers(&args, numbers, n);
	fm_args_text(&args, error);
	fm_args_int4(&args, refused ? 1 : 0);
	(void) fm_args_run(&args, "UPDATE _factorymon.publication SET"
					   " attempted_at = clock_timestamp(),"
					   " attempts = attempts + $4, last_error = $3"
					   " WHERE pipeline_id = $1 AND pub_seq = ANY ($2)",
					   SPI_OK_UPDATE);
}
