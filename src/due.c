/*-------------------------------------------------------------------------
 *
 * due.c
 *	  What is due to go out: committed transitions that have no number yet.
 *
 * The statement does no more than walk the index of each stream's transitions
 * (stream_id, out_seq); its rows are taken as they come, without a copy in
 * between.  It is one statement, and so has one snapshot: whether Kafka gets
 * what it finds is what the pipeline's row said when that was committed, or
 * later.  An index scan of our own would save little more, and would have to
 * know all that partitions may be: several, of other people's making, about to
 * be detached or dropped.
 *
 * Order and what is known of sensors are seen to here: hundreds of events
 * come from few sensors.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "due.h"
#include "own_table.h"
#include "pipeline_internal.h"

/* ----------------------------------------------------------------------
 * The statement
 * ------------------------------------------------------------------- */

/* Its columns, from 1. */
enum
{
	DUE_STREAM_ID = 1,
	DUE_OUT_SEQ,
	DUE_EVENT_ID,
	DUE_ALARM_ID,
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
	DUE_SENSOR_VERSION_ID,
	DUE_TOPIC,
	DUE_PARTITION,
	DUE_TO_KAFKA,
	DUE_MOST,					/* transitions of a stream, at most */
	DUE_COLUMNS = DUE_MOST
};

#define TRANSITION_LIST \
	"x.stream_id, x.out_seq, x.event_id, x.alarm_id, x.recorded_at, x.seq," \
	" x.condition, x.transition, x.state, x.announced, x.blocked_by," \
	" x.level, x.severity, x.previous_state, x.previous_level, x.value," \
	" x.limit_value, x.deadband, x.quality, x.score, x.event_time, x.since," \
	" x.raised_at, x.cause, x.actor, x.comment, x.kafka_offset," \
	" x.reading_index, x.limit_version, x.sensor_id, x.sensor_version_id"

/* Of each stream that has something due, the same share of all. */
#define DUE_MOST_OF_STREAM "(SELECT greatest(1, $2 / count(*)) FROM due)"

/*
 * $1: the pipeline; $2: transitions of all streams.  Which streams have some
 * is known without a look at transitions, which are many.
 */
static char *
due_query(int16 pipeline_id)
{
	return psprintf("WITH due AS MATERIALIZED (SELECT o.stream_id,"
					" coalesce(c.out_seq, 0) AS after,"
					" nullif(s.topic, '') AS topic,"
					" nullif(s.kafka_partition, -1) AS kafka_partition"
					" FROM _factorymon.stream s"
					" JOIN _factorymon.partition_offset o USING (stream_id)"
					" LEFT JOIN _factorymon.publisher_stream c"
					" USING (stream_id) WHERE s.pipeline_id = $1"
					" AND o.out_seq > coalesce(c.out_seq, 0))"
					" SELECT n.*, d.topic, d.kafka_partition,"
					" (SELECT p.alert_topic IS NOT NULL"
					"  FROM _factorymon.pipeline p WHERE p.pipeline_id = $1),"
					" " DUE_MOST_OF_STREAM
					" FROM due d CROSS JOIN LATERAL ("
					"  SELECT " TRANSITION_LIST
					"  FROM _factorymon.transition_%d x"
					"  WHERE x.stream_id = d.stream_id"
					"  AND x.out_seq > d.after"
					"  ORDER BY x.out_seq LIMIT " DUE_MOST_OF_STREAM ") n",
					pipeline_id);
}

/* ----------------------------------------------------------------------
 * Its rows
 * ------------------------------------------------------------------- */

/* Where the rows go. */
typedef struct DueReceiver
{
	DestReceiver pub;			/* must be first */
	FmDueList  *list;
	MemoryContext context;		/* of the list */
} DueReceiver;

/* What happened to which alarm. */
static void
describe_event(const TupleTableSlot *row, FmAlertMessage *message)
{
	message->seq = fm_own_table_get_int4(row, DUE_SEQ, 0);
	message->condition = fm_own_table_get_text(row, DUE_CONDITION);
	message->transition = fm_own_table_get_text(row, DUE_TRANSITION);
	message->state = fm_own_table_get_text(row, DUE_STATE);
	message->announced = fm_own_table_get_bool(row, DUE_ANNOUNCED);
	message->blocked_by = fm_own_table_get_text(row, DUE_BLOCKED_BY);
	message->level = fm_own_table_get_int2(row, DUE_LEVEL, 0);
	message->severity = fm_own_table_get_int2(row, DUE_SEVERITY, 0);
	message->previous_state = fm_own_table_get_text(row, DUE_PREVIOUS_STATE);
	message->previous_level =
		fm_own_table_get_int2(row, DUE_PREVIOUS_LEVEL, -1);
	message->event_time =
		fm_own_table_get_time(row, DUE_EVENT_TIME, DT_NOBEGIN);
	message->since = fm_own_table_get_time(row, DUE_SINCE, DT_NOBEGIN);
	message->raised_at = fm_own_table_get_time(row, DUE_RAISED_AT, DT_NOBEGIN);
	message->recorded_at =
		fm_own_table_get_time(row, DUE_RECORDED_AT, DT_NOBEGIN);
	message->cause = fm_own_table_get_text(row, DUE_CAUSE);
	message->by = fm_own_table_get_text(row, DUE_ACTOR);
	message->comment = fm_own_table_get_text(row, DUE_COMMENT);
}

/* What was measured, and what it was judged by. */
static void
describe_judgement(const TupleTableSlot *row, FmAlertMessage *message)
{
	message->value = fm_own_table_get_double(row, DUE_VALUE);
	message->limit = fm_own_table_get_double(row, DUE_LIMIT_VALUE);
	message->deadband = fm_own_table_get_double(row, DUE_DEADBAND);
	message->quality = row->tts_isnull[DUE_QUALITY - 1] ? NAN :
		DatumGetFloat4(row->tts_values[DUE_QUALITY - 1]);
	message->score = fm_own_table_get_double(row, DUE_SCORE);
	message->limit_version = fm_own_table_get_int4(row, DUE_LIMIT_VERSION, 0);
}

/* The numbers of the reading that caused it, or others if none did; before is
 * the row before it, of the same stream, or NULL. */
static void
describe_source(const TupleTableSlot *row, const FmDue *before,
				FmAlertMessage *message)
{
	bool		by_reading = strcmp(message->cause, "data") == 0;

	message->topic = before != NULL ? before->message.topic :
		fm_own_table_get_text(row, DUE_TOPIC);
	message->partition = fm_own_table_get_int4(row, DUE_PARTITION, -1);
	message->offset = !by_reading ? -1 :
		fm_own_table_get_int8(row, DUE_KAFKA_OFFSET, -1);
	message->reading_index = !by_reading ? -1 :
		fm_own_table_get_int2(row, DUE_READING_INDEX, -1);
}

static FmDue *
make_due(const TupleTableSlot *row, const FmDue *before)
{
	FmDue	   *due = palloc0(sizeof(FmDue));
	FmAlertMessage *message = &due->message;

	due->stream_id = fm_own_table_get_int4(row, DUE_STREAM_ID, 0);
	due->out_seq = fm_own_table_get_int8(row, DUE_OUT_SEQ, 0);
	due->sensor_id = fm_own_table_get_int4(row, DUE_SENSOR_ID, 0);
	due->sensor_version_id =
		fm_own_table_get_int4(row, DUE_SENSOR_VERSION_ID, 0);
	due->event_id = *DatumGetUUIDP(row->tts_values[DUE_EVENT_ID - 1]);
	due->alarm_id = *DatumGetUUIDP(row->tts_values[DUE_ALARM_ID - 1]);
	message->event_id = &due->event_id;
	message->alarm_id = &due->alarm_id;
	describe_event(row, message);
	describe_judgement(row, message);
	describe_source(row, before != NULL &&
					before->stream_id == due->stream_id ? before : NULL,
					message);
	due->turn = message->recorded_at;
	return due;
}

static bool
receive_row(TupleTableSlot *row, DestReceiver *self)
{
	DueReceiver *receiver = (DueReceiver *) self;
	FmDueList  *list = receiver->list;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	slot_getallattrs(row);
	if (list->n == list->room)
	{
		list->room = list->room == 0 ? 256 : list->room * 2;
		list->items = list->items == NULL ?
			palloc(list->room * sizeof(FmDue *)) :
			repalloc(list->items, list->room * sizeof(FmDue *));
	}
	list->items[list->n] = make_due(row, list->n > 0 ?
									list->items[list->n - 1] : NULL);
	list->n++;
	list->to_kafka = fm_own_table_get_bool(row, DUE_TO_KAFKA);
	list->most = fm_own_table_get_int8(row, DUE_MOST, 0);
	MemoryContextSwitchTo(old);
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	Assert(desc->natts == DUE_COLUMNS);
}

static void
end_rows(DestReceiver *self)
{
}

/* (a process serves one pipeline) */
static void
run_query(int16 pipeline_id, int most, FmDueList *list)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT2OID, INT4OID};
	ParamListInfo params = makeParamList(2);
	SPIExecuteOptions options = {0};
	DueReceiver receiver = {
		.pub = {receive_row, start_rows, end_rows, end_rows,
		/* (which says no more than that it is not the client's) */
		DestTuplestore},
		.list = list,
		.context = CurrentMemoryContext
	};
	int			result;

	if (plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(due_query(pipeline_id), 2, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the query for what is due: %s",
				 SPI_result_code_string(SPI_result));
		plan = made;
	}
	params->params[0].value = Int16GetDatum(pipeline_id);
	params->params[1].value = Int32GetDatum(most);
	for (int i = 0; i < lengthof(types); i++)
	{
		params->params[i].ptype = types[i];
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].isnull = false;
	}
	options.params = params;
	options.dest = &receiver.pub;
	result = SPI_execute_plan_extended(plan, &options);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "unexpected result %s of the query for what is due",
			 SPI_result_code_string(result));
}

/* ----------------------------------------------------------------------
 * Order
 * ------------------------------------------------------------------- */

static int
compare_in_streams(const void *a, const void *b)
{
	const FmDue *x = *(FmDue *const *) a;
	const FmDue *y = *(FmDue *const *) b;

	if (x->stream_id != y->stream_id)
		return x->stream_id < y->stream_id ? -1 : 1;
	return x->out_seq < y->out_seq ? -1 : x->out_seq > y->out_seq;
}

static int
compare_turns(const void *a, const void *b)
{
	const FmDue *x = *(FmDue *const *) a;
	const FmDue *y = *(FmDue *const *) b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return compare_in_streams(a, b);
}

/* By stream: note where each ends, and when each of them has its turn. */
static void
end_streams(FmDueList *list)
{
	int			first = 0;

	list->streams = palloc(list->n * sizeof(FmDueStream));
	list->nstreams = 0;
	for (int i = 0; i < list->n; i++)
	{
		FmDue	   *due = list->items[i];

		if (i > first)
			due->turn = Max(due->turn, list->items[i - 1]->turn);
		if (i + 1 < list->n &&
			list->items[i + 1]->stream_id == due->stream_id)
			continue;
		list->streams[list->nstreams].stream_id = due->stream_id;
		list->streams[list->nstreams++].out_seq = due->out_seq;
		list->more = list->more || i + 1 - first >= list->most;
		first = i + 1;
	}
}

/*
 * Within a stream in its order; between streams by the time of recording.  A
 * clock that was set back must not turn a stream's own order around, hence
 * the running maximum.
 */
void
fm_due_read(int16 pipeline_id, int most, FmDueList *list)
{
	memset(list, 0, sizeof(*list));
	run_query(pipeline_id, most, list);
	if (list->n == 0)
		return;
	/* (mostly they come so) */
	qsort(list->items, list->n, sizeof(FmDue *), compare_in_streams);
	end_streams(list);
	qsort(list->items, list->n, sizeof(FmDue *), compare_turns);
	fm_due_describe_sensors(list->items, list->n);
}
