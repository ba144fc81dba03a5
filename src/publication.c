/*-------------------------------------------------------------------------
 *
 * publication.c
 *	  What goes out to consumers: numbered, kept as rows and told by NOTIFY.
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

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "alert_message.h"
#include "kpi.h"
#include "own_table.h"
#include "pipeline_internal.h"
#include "publication_internal.h"

/* Of all streams, by one statement. */
#define MAX_NUMBERED 4000

/* ----------------------------------------------------------------------
 * What is due
 * ------------------------------------------------------------------- */

/* Columns of what number_query() returns, from 0. */
enum
{
	DUE_EVENT_ID,
	DUE_ALARM_ID,
	DUE_STREAM_ID,
	DUE_OUT_SEQ,
	DUE_RECORDED_AT,
	DUE_SEQ,
	DUE_CONDITION,
	DUE_TRANSITION,
	DUE_STATE,
	DUE_ANNOUNCED,
	DUE_BLOCKED_BY,
	DUE_LEVEL,
	DUE_SEVERITY,
	DUE_PREVIOUS_STATE,
	DUE_PREVIOUS_LEVEL,
	DUE_VALUE,
	DUE_LIMIT_VALUE,
	DUE_DEADBAND,
	DUE_QUALITY,
	DUE_SCORE,
	DUE_EVENT_TIME,
	DUE_SINCE,
	DUE_RAISED_AT,
	DUE_CAUSE,
	DUE_ACTOR,
	DUE_COMMENT,
	DUE_KAFKA_OFFSET,
	DUE_READING_INDEX,
	DUE_LIMIT_VERSION,
	DUE_SENSOR_ID,
	DUE_SENSOR,
	DUE_SENSOR_TYPE,
	DUE_FACTORY_SECTION,
	DUE_MACHINE_ID,
	DUE_ZONE,
	DUE_UNIT,
	DUE_TOPIC,
	DUE_PARTITION,
	DUE_TO_KAFKA,
	DUE_MOST,					/* transitions of a stream that were asked for */
	DUE_COLUMNS
};

#define DUE_LIST \
	"n.event_id, n.alarm_id, n.stream_id, n.out_seq, n.recorded_at, n.seq," \
	" n.condition, n.transition, n.state, n.announced, n.blocked_by," \
	" n.level, n.severity, n.previous_state, n.previous_level, n.value," \
	" n.limit_value, n.deadband, n.quality, n.score, n.event_time, n.since," \
	" n.raised_at, n.cause, n.actor, n.comment, n.kafka_offset," \
	" n.reading_index, n.limit_version, n.sensor_id, s.name, v.sensor_type," \
	" v.factory_section, v.machine_id, v.zone, v.unit," \
	" nullif(st.topic, ''), nullif(st.kafka_partition, -1)," \
	" p.alert_topic IS NOT NULL, (SELECT greatest(1, $2 / count(*)) FROM due)"

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
					"   greatest(1, $2 / count(*)) FROM due)) t),"
					" moved AS (INSERT INTO _factorymon.publisher_stream"
					" AS c (stream_id, out_seq)"
					" SELECT stream_id, max(out_seq) FROM found GROUP BY 1"
					" ON CONFLICT (stream_id) DO UPDATE"
					" SET out_seq = excluded.out_seq)"
					" SELECT " DUE_LIST
					" FROM found n"
					" JOIN _factorymon.pipeline p ON p.pipeline_id = $1"
					" JOIN _factorymon.stream st USING (stream_id)"
					" LEFT JOIN _factorymon.sensor s USING (sensor_id)"
					" LEFT JOIN _factorymon.sensor_version v"
					" USING (sensor_version_id)"
					" ORDER BY n.turn, n.stream_id, n.out_seq",
					pipeline_id);
}

/* One of its rows. */
typedef struct Due
{
	Datum		values[DUE_COLUMNS];
	bool		nulls[DUE_COLUMNS];
} Due;

static char *
due_text(const Due *due, int column)
{
	return due->nulls[column] ? NULL :
		TextDatumGetCString(due->values[column]);
}

static double
due_double(const Due *due, int column)
{
	return due->nulls[column] ? NAN : DatumGetFloat8(due->values[column]);
}

static TimestampTz
due_time(const Due *due, int column)
{
	return due->nulls[column] ? DT_NOBEGIN :
		DatumGetTimestampTz(due->values[column]);
}

/* The numbers of the reading that caused it, or others if none did. */
static void
describe_source(const Due *due, FmAlertMessage *message)
{
	bool		by_reading = strcmp(message->cause, "data") == 0;

	message->topic = due_text(due, DUE_TOPIC);
	message->partition = due->nulls[DUE_PARTITION] ? -1 :
		DatumGetInt32(due->values[DUE_PARTITION]);
	message->offset = !by_reading || due->nulls[DUE_KAFKA_OFFSET] ? -1 :
		DatumGetInt64(due->values[DUE_KAFKA_OFFSET]);
	message->reading_index = !by_reading || due->nulls[DUE_READING_INDEX] ?
		-1 : DatumGetInt16(due->values[DUE_READING_INDEX]);
}

static void
describe_sensor(const Due *due, FmAlertMessage *message)
{
	message->sensor_id = due_text(due, DUE_SENSOR);
	message->sensor_type = due_text(due, DUE_SENSOR_TYPE);
	message->factory_section = due_text(due, DUE_FACTORY_SECTION);
	message->machine_id = due_text(due, DUE_MACHINE_ID);
	message->zone = due_text(due, DUE_ZONE);
	message->unit = due_text(due, DUE_UNIT);
}

static void
describe(const FmPipeline *pipeline, const Due *due, FmAlertMessage *message)
{
	memset(message, 0, sizeof(*message));
	message->event_id = DatumGetUUIDP(due->values[DUE_EVENT_ID]);
	message->alarm_id = DatumGetUUIDP(due->values[DUE_ALARM_ID]);
	message->seq = DatumGetInt32(due->values[DUE_SEQ]);
	message->condition = due_text(due, DUE_CONDITION);
	message->transition = due_text(due, DUE_TRANSITION);
	message->state = due_text(due, DUE_STATE);
	message->announced = DatumGetBool(due->values[DUE_ANNOUNCED]);
	message->blocked_by = due_text(due, DUE_BLOCKED_BY);
	message->level = DatumGetInt16(due->values[DUE_LEVEL]);
	message->severity = due->nulls[DUE_SEVERITY] ? 0 :
		DatumGetInt16(due->values[DUE_SEVERITY]);
	message->previous_state = due_text(due, DUE_PREVIOUS_STATE);
	message->previous_level = due->nulls[DUE_PREVIOUS_LEVEL] ? -1 :
		DatumGetInt16(due->values[DUE_PREVIOUS_LEVEL]);
	describe_sensor(due, message);
	message->value = due_double(due, DUE_VALUE);
	message->limit = due_double(due, DUE_LIMIT_VALUE);
	message->deadband = due_double(due, DUE_DEADBAND);
	message->quality = due->nulls[DUE_QUALITY] ? NAN :
		DatumGetFloat4(due->values[DUE_QUALITY]);
	message->score = due_double(due, DUE_SCORE);
	message->event_time = due_time(due, DUE_EVENT_TIME);
	message->since = due_time(due, DUE_SINCE);
	message->raised_at = due_time(due, DUE_RAISED_AT);
	message->recorded_at = due_time(due, DUE_RECORDED_AT);
	message->cause = due_text(due, DUE_CAUSE);
	message->by = due_text(due, DUE_ACTOR);
	message->comment = due_text(due, DUE_COMMENT);
	message->pipeline = pipeline->name;
	describe_source(due, message);
	message->limit_version = due->nulls[DUE_LIMIT_VERSION] ? 0 :
		DatumGetInt32(due->values[DUE_LIMIT_VERSION]);
}

/* ----------------------------------------------------------------------
 * Giving numbers
 * ------------------------------------------------------------------- */

/* A row that is being written, if it is for Kafka. */
static void
hand_on(FmHandover *handover, const TupleTableSlot *row)
{
	MemoryContext old;

	if (!DatumGetBool(row->tts_values[PUBLICATION_TO_KAFKA - 1]))
		return;
	if (handover->n == handover->room)
	{
		handover->complete = false;
		return;
	}
	old = MemoryContextSwitchTo(handover->context);
	fm_publication_make(row->tts_values, row->tts_isnull,
						&handover->publications[handover->n++]);
	MemoryContextSwitchTo(old);
}

/* Likewise, for listeners. */
static void
add_notice(FmNumbering *numbering, const FmPipeline *pipeline,
		   const TupleTableSlot *row)
{
	char	   *notice = fm_publication_notice(pipeline, row->tts_values,
										   row->tts_isnull);

	numbering->notices[numbering->nnotices++] =
		MemoryContextStrdup(numbering->context, notice);
	pfree(notice);
}

/* Columns that a row has as they are found. */
static void
copy_columns(TupleTableSlot *row, const Due *due)
{
	static const int columns[][2] = {
		{PUBLICATION_EVENT_ID, DUE_EVENT_ID},
		{PUBLICATION_STREAM_ID, DUE_STREAM_ID},
		{PUBLICATION_OUT_SEQ, DUE_OUT_SEQ},
		{PUBLICATION_RECORDED_AT, DUE_RECORDED_AT},
		{PUBLICATION_ALARM_ID, DUE_ALARM_ID},
		{PUBLICATION_TRANSITION, DUE_TRANSITION},
		{PUBLICATION_SEVERITY, DUE_SEVERITY},
		{PUBLICATION_ANNOUNCED, DUE_ANNOUNCED},
		{PUBLICATION_SOURCE_TOPIC, DUE_TOPIC},
		{PUBLICATION_SOURCE_PARTITION, DUE_PARTITION},
		{PUBLICATION_TO_KAFKA, DUE_TO_KAFKA}
	};

	for (int i = 0; i < lengthof(columns); i++)
		fm_own_table_set(row, columns[i][0], due->values[columns[i][1]],
						 due->nulls[columns[i][1]]);
}

static TupleTableSlot *
make_row(FmOwnTable *table, const FmPipeline *pipeline, const Due *due,
		 const FmAlertMessage *message, int64 pub_seq)
{
	TupleTableSlot *row = fm_own_table_row(table);
	StringInfoData payload;

	initStringInfo(&payload);
	fm_alert_message_compose(&payload, message);
	copy_columns(row, due);
	fm_own_table_set(row, PUBLICATION_PIPELINE_ID,
					 Int16GetDatum(pipeline->id), false);
	fm_own_table_set(row, PUBLICATION_PUB_SEQ, Int64GetDatum(pub_seq), false);
	fm_own_table_set(row, PUBLICATION_NUMBERED_AT,
					 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
					 false);
	fm_own_table_set(row, PUBLICATION_MESSAGE_KEY,
					 CStringGetTextDatum(message->sensor_id != NULL ?
										 message->sensor_id : pipeline->name),
					 false);
	fm_own_table_set(row, PUBLICATION_PAYLOAD,
					 PointerGetDatum(cstring_to_text_with_len(payload.data,
															  payload.len)),
					 false);
	fm_own_table_set(row, PUBLICATION_SOURCE_OFFSET,
					 Int64GetDatum(message->offset), message->offset < 0);
	return row;
}

/* What key figures have to know of it. */
static void
describe_event(const Due *due, const FmAlertMessage *message, int64 pub_seq,
			   FmKpiEvent *event)
{
	memset(event, 0, sizeof(*event));
	event->pub_seq = pub_seq;
	event->recorded_at = message->recorded_at;
	event->factory_section = message->factory_section;
	event->zone = message->zone;
	event->transition = message->transition;
	event->state = message->state;
	event->condition = message->condition;
	event->actor = message->by;
	event->comment = message->comment;
	event->alarm_id = *message->alarm_id;
	event->has_alarm = true;
	event->announced = message->announced;
	event->severity = message->severity;
	event->stream_id = DatumGetInt32(due->values[DUE_STREAM_ID]);
	event->sensor_id = DatumGetInt32(due->values[DUE_SENSOR_ID]);
	if (!due->nulls[DUE_EVENT_TIME])
		event->event_time = message->event_time;
}

/*
 * What has no number yet, from number first on; how many, what key figures and
 * listeners need to know of them, and whether that may not have been all.
 */
static int
number_due(const FmPipeline *pipeline, int64 first, FmHandover *handover,
		   FmKpiEvent **events, FmNumbering *numbering)
{
	static void *plan = NULL;	/* a process serves one pipeline */
	FmArgs		args = {0};
	FmOwnTable	table;
	int			n;

	fm_args_int2(&args, pipeline->id);
	fm_args_int4(&args, MAX_NUMBERED);
	n = (int) fm_args_run_kept(&args, &plan, plan == NULL ?
							   number_query(pipeline->id) : "numbering",
							   SPI_OK_SELECT);
	numbering->more = false;
	numbering->nnotices = 0;
	if (n == 0)
		return 0;
	numbering->notices = MemoryContextAlloc(numbering->context,
											n * sizeof(char *));
	fm_own_table_open(&table, "publication", PUBLICATION_COLUMNS,
					  PUBLICATION_PIPELINE_ID);
	*events = palloc(n * sizeof(FmKpiEvent));
	for (int i = 0; i < n; i++)
	{
		Due			due;
		FmAlertMessage message;
		TupleTableSlot *row;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
						  due.values, due.nulls);
		describe(pipeline, &due, &message);
		row = make_row(&table, pipeline, &due, &message, first + i);
		hand_on(handover, row);
		add_notice(numbering, pipeline, row);
		fm_own_table_put(&table, row);
		describe_event(&due, &message, first + i, &(*events)[i]);
		numbering->more = n >= DatumGetInt64(due.values[DUE_MOST]);
	}
	fm_own_table_close(&table);
	return n;
}

/* The last number given, its row locked; made if it is the first time. */
static int64
lock_publisher(int16 pipeline_id)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	if (fm_args_run_kept(&args, &plan, "SELECT pub_seq"
						 " FROM _factorymon.publisher"
						 " WHERE pipeline_id = $1 FOR UPDATE",
						 SPI_OK_SELECT) > 0)
		return fm_spi_int8(0, 1);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.publisher (pipeline_id)"
					   " VALUES ($1)", SPI_OK_INSERT);
	return 0;
}

static void
advance_publisher(int16 pipeline_id, int64 last)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, last);
	(void) fm_args_run_kept(&args, &plan, "UPDATE _factorymon.publisher"
							" SET pub_seq = $2 WHERE pipeline_id = $1",
							SPI_OK_UPDATE);
}

/* Is the pipeline's topic for alarms still the one that we know? */
static bool
goes_there(const FmPipeline *pipeline)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->alert_topic);
	return fm_args_run_kept(&args, &plan, "SELECT 1 FROM _factorymon.pipeline"
							" WHERE pipeline_id = $1"
							" AND alert_topic IS NOT DISTINCT FROM $2",
							SPI_OK_SELECT) > 0;
}

void
fm_publication_number(const FmPipeline *pipeline, FmNumbering *numbering,
					  FmHandover *handover)
{
	int64		before = lock_publisher(pipeline->id);
	FmKpiEvent *events = NULL;
	int64		last;
	int			n;

	handover->n = 0;
	handover->complete = before == handover->after;
	if (!handover->complete)
		handover->room = 0;
	n = number_due(pipeline, before + 1, handover, &events, numbering);
	last = before + n;
	if (n > 0)
		last = fm_kpi_take(pipeline->id, events, n, last);
	/* not before all that is committed was counted, and alone: the rows of
	 * positions are locked in the order of their names */
	else if (fm_kpi_next_deadline(pipeline->id) <= GetCurrentTimestamp())
		last = fm_kpi_clock(pipeline->id, GetCurrentTimestamp(), last);
	if (last > before)
	{
		advance_publisher(pipeline->id, last);
		ForceSyncCommit();
	}
	if (last > before + n)
		handover->complete = false; /* floods: they are read from the table */
	numbering->n = last - before;
	numbering->last = last;
	/* after the numbering, which saw no more than this sees */
	numbering->elsewhere = last > before && !goes_there(pipeline);
	numbering->clock_at = fm_kpi_next_deadline(pipeline->id);
}
