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

#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "alert_message.h"
#include "due.h"
#include "kpi.h"
#include "own_table.h"
#include "pipeline_internal.h"
#include "publication_internal.h"

/* Of all streams, by one transaction. */
#define MAX_NUMBERED 4000

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

static void
set_text(TupleTableSlot *row, AttrNumber column, const char *text, int len)
{
	fm_own_table_set(row, column,
					 PointerGetDatum(cstring_to_text_with_len(text, len)),
					 false);
}

/* Which transition it is, and whence. */
static void
set_source(TupleTableSlot *row, const FmDue *due)
{
	const FmAlertMessage *message = &due->message;

	fm_own_table_set(row, PUBLICATION_EVENT_ID,
					 UUIDPGetDatum(&due->event_id), false);
	fm_own_table_set_int4(row, PUBLICATION_STREAM_ID, due->stream_id);
	fm_own_table_set(row, PUBLICATION_OUT_SEQ, Int64GetDatum(due->out_seq),
					 false);
	fm_own_table_set(row, PUBLICATION_RECORDED_AT,
					 TimestampTzGetDatum(message->recorded_at), false);
	fm_own_table_set(row, PUBLICATION_ALARM_ID,
					 UUIDPGetDatum(&due->alarm_id), false);
	fm_own_table_set_text(row, PUBLICATION_SOURCE_TOPIC, message->topic);
	fm_own_table_set(row, PUBLICATION_SOURCE_PARTITION,
					 Int32GetDatum(message->partition),
					 message->partition < 0);
	fm_own_table_set(row, PUBLICATION_SOURCE_OFFSET,
					 Int64GetDatum(message->offset), message->offset < 0);
}

static TupleTableSlot *
make_row(FmOwnTable *table, const FmPipeline *pipeline, const FmDue *due,
		 bool to_kafka, int64 pub_seq)
{
	TupleTableSlot *row = fm_own_table_row(table);
	const FmAlertMessage *message = &due->message;
	const char *key = message->sensor_id != NULL ? message->sensor_id :
		pipeline->name;
	StringInfoData payload;

	initStringInfo(&payload);
	fm_alert_message_compose(&payload, message);
	set_source(row, due);
	fm_own_table_set_int2(row, PUBLICATION_PIPELINE_ID, pipeline->id);
	fm_own_table_set(row, PUBLICATION_PUB_SEQ, Int64GetDatum(pub_seq), false);
	fm_own_table_set(row, PUBLICATION_NUMBERED_AT,
					 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
					 false);
	fm_own_table_set_text(row, PUBLICATION_TRANSITION, message->transition);
	fm_own_table_set(row, PUBLICATION_SEVERITY,
					 Int16GetDatum(message->severity),
					 message->severity == 0);
	fm_own_table_set(row, PUBLICATION_ANNOUNCED,
					 BoolGetDatum(message->announced), false);
	fm_own_table_set(row, PUBLICATION_TO_KAFKA, BoolGetDatum(to_kafka),
					 false);
	set_text(row, PUBLICATION_MESSAGE_KEY, key, strlen(key));
	set_text(row, PUBLICATION_PAYLOAD, payload.data, payload.len);
	return row;
}

/* What key figures have to know of it. */
static void
describe_event(const FmDue *due, int64 pub_seq, FmKpiEvent *event)
{
	const FmAlertMessage *message = &due->message;

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
	event->alarm_id = due->alarm_id;
	event->has_alarm = true;
	event->announced = message->announced;
	event->severity = message->severity;
	event->stream_id = due->stream_id;
	event->sensor_id = due->sensor_id;
	if (message->event_time != DT_NOBEGIN)
		event->event_time = message->event_time;
}

/* How far each stream has got. */
static void
advance_streams(const FmDueList *due)
{
	static void *plan = NULL;
	static const FmArrayColumn ids = {"stream_id", INT4OID, INT4ARRAYOID};
	static const FmArrayColumn seqs = {"out_seq", INT8OID, INT8ARRAYOID};
	int			n = due->nstreams;
	Datum	   *stream_ids = palloc(n * sizeof(Datum));
	Datum	   *out_seqs = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc0(n * sizeof(bool));
	FmArgs		args = {0};

	for (int i = 0; i < n; i++)
	{
		stream_ids[i] = Int32GetDatum(due->streams[i].stream_id);
		out_seqs[i] = Int64GetDatum(due->streams[i].out_seq);
	}
	fm_args_add(&args, INT4ARRAYOID,
				fm_column_array(&ids, stream_ids, nulls, n), false);
	fm_args_add(&args, INT8ARRAYOID,
				fm_column_array(&seqs, out_seqs, nulls, n), false);
	(void) fm_args_run_kept(&args, &plan,
							"INSERT INTO _factorymon.publisher_stream"
							" (stream_id, out_seq) SELECT * FROM unnest($1, $2)"
							" ON CONFLICT (stream_id) DO UPDATE"
							" SET out_seq = excluded.out_seq", SPI_OK_INSERT);
}

/* Rows of what is due, from number first on. */
static void
write_due(const FmPipeline *pipeline, const FmDueList *due, int64 first,
		  FmHandover *handover, FmKpiEvent *events, FmNumbering *numbering)
{
	FmOwnTable	table;

	fm_own_table_open(&table, "publication", PUBLICATION_COLUMNS,
					  PUBLICATION_PIPELINE_ID);
	for (int i = 0; i < due->n; i++)
	{
		TupleTableSlot *row;

		due->items[i]->message.pipeline = pipeline->name;
		row = make_row(&table, pipeline, due->items[i], due->to_kafka,
					   first + i);
		hand_on(handover, row);
		add_notice(numbering, pipeline, row);
		fm_own_table_put(&table, row);
		describe_event(due->items[i], first + i, &events[i]);
	}
	fm_own_table_close(&table);
}

/*
 * What has no number yet, from number first on; how many, what key figures and
 * listeners need to know of them, and whether that may not have been all.
 */
static int
number_due(const FmPipeline *pipeline, int64 first, FmHandover *handover,
		   FmKpiEvent **events, FmNumbering *numbering)
{
	FmDueList	due;

	fm_due_read(pipeline->id, MAX_NUMBERED, &due);
	numbering->more = due.more;
	numbering->nnotices = 0;
	if (due.n == 0)
		return 0;
	numbering->notices = MemoryContextAlloc(numbering->context,
											due.n * sizeof(char *));
	*events = palloc(due.n * sizeof(FmKpiEvent));
	write_due(pipeline, &due, first, handover, *events, numbering);
	advance_streams(&due);
	return due.n;
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
