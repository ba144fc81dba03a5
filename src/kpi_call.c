/*-------------------------------------------------------------------------
 *
 * kpi_call.c
 *	  Calls for operators and what became of them, and what blocks alarms.
 *
 * A call begins with an announcement of an alarm that waits for nobody yet,
 * and lasts until the alarm is acknowledged or over.  What is announced
 * meanwhile (it got worse, it came again) is part of the call: nobody came
 * yet.  An alarm that is announced again after it was acknowledged begins the
 * next call.  The response time is that from the first announcement of a call
 * to its acknowledgement.
 *
 * Blocks are few: a statement inserts those that begin and another ends them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "kpi_internal.h"
#include "own_table.h"
#include "pipeline_internal.h"

/* Gone so soon after it was raised (event time), an alarm was fleeting. */
#define FLEETING_SPAN	(10 * USECS_PER_SEC)

/* ----------------------------------------------------------------------
 * Calls
 * ------------------------------------------------------------------- */

/* A row of alarm_call; times are 0 where the column is null. */
typedef struct Call
{
	ItemPointerData tid;		/* invalid: not stored yet */
	pg_uuid_t	alarm_id;
	int32		number;
	bool		changed;
	int16		pipeline_id;
	int32		stream_id;		/* 0: null */
	int32		sensor_id;		/* likewise */
	const char *condition;		/* or NULL */
	const char *position;
	int16		severity;
	bool		re_alarm;
	TimestampTz announced_at;
	int32		announcements;
	int32		raises;
	int32		fleeting;
	int32		chatterings;
	TimestampTz active_since;
	TimestampTz acknowledged_at;
	const char *acknowledged_by;	/* or NULL */
	TimestampTz ended_at;
} Call;

/* Where the last call of an alarm is. */
typedef struct LastCall
{
	pg_uuid_t	alarm_id;		/* hash key */
	int			index;			/* in CallList; -1: it has none */
} LastCall;

typedef struct CallList
{
	Call	   *items;
	int			n;
	HTAB	   *last;			/* of LastCall */
} CallList;

/* Columns of alarm_call, from 1. */
enum
{
	CALL_ALARM_ID = 1,
	CALL_CALL,
	CALL_PIPELINE_ID,
	CALL_STREAM_ID,
	CALL_SENSOR_ID,
	CALL_CONDITION,
	CALL_POSITION,
	CALL_SEVERITY,
	CALL_RE_ALARM,
	CALL_ANNOUNCED_AT,
	CALL_ANNOUNCEMENTS,
	CALL_RAISES,
	CALL_FLEETING,
	CALL_CHATTERINGS,
	CALL_ACTIVE_SINCE,
	CALL_ACKNOWLEDGED_AT,
	CALL_ACKNOWLEDGED_BY,
	CALL_ENDED_AT,
	CALL_COLUMNS = CALL_ENDED_AT
};

static LastCall *
last_call(CallList *list, const pg_uuid_t *alarm_id)
{
	bool		found;
	LastCall   *last = hash_search(list->last, alarm_id, HASH_ENTER, &found);

	if (!found)
		last->index = -1;
	return last;
}

static void
list_init(CallList *list, int most)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(LastCall);
	ctl.hcxt = CurrentMemoryContext;
	list->last = hash_create("factorymon calls", most, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	/* the last one of each event's alarm, and one that it begins */
	list->items = palloc(2 * most * sizeof(Call));
	list->n = 0;
}

static void
read_call(const TupleTableSlot *row, Call *call)
{
	memset(call, 0, sizeof(*call));
	call->tid = row->tts_tid;
	call->alarm_id = *DatumGetUUIDP(row->tts_values[CALL_ALARM_ID - 1]);
	call->number = fm_own_table_get_int4(row, CALL_CALL, 0);
	call->pipeline_id = fm_own_table_get_int2(row, CALL_PIPELINE_ID, 0);
	call->stream_id = fm_own_table_get_int4(row, CALL_STREAM_ID, 0);
	call->sensor_id = fm_own_table_get_int4(row, CALL_SENSOR_ID, 0);
	call->condition = fm_own_table_get_text(row, CALL_CONDITION);
	call->position = fm_own_table_get_text(row, CALL_POSITION);
	call->severity = fm_own_table_get_int2(row, CALL_SEVERITY, 0);
	call->re_alarm = fm_own_table_get_bool(row, CALL_RE_ALARM);
	call->announced_at = fm_own_table_get_time(row, CALL_ANNOUNCED_AT, 0);
	call->announcements = fm_own_table_get_int4(row, CALL_ANNOUNCEMENTS, 0);
	call->raises = fm_own_table_get_int4(row, CALL_RAISES, 0);
	call->fleeting = fm_own_table_get_int4(row, CALL_FLEETING, 0);
	call->chatterings = fm_own_table_get_int4(row, CALL_CHATTERINGS, 0);
	call->active_since = fm_own_table_get_time(row, CALL_ACTIVE_SINCE, 0);
	call->acknowledged_at =
		fm_own_table_get_time(row, CALL_ACKNOWLEDGED_AT, 0);
	call->acknowledged_by = fm_own_table_get_text(row, CALL_ACKNOWLEDGED_BY);
	call->ended_at = fm_own_table_get_time(row, CALL_ENDED_AT, 0);
}

/* The last calls of the events' alarms, as they are stored. */
static void
read_calls(CallList *list, FmOwnTable *table, Snapshot snapshot,
		   const FmKpiEvent *events, int n)
{
	FmOwnLookup lookup;

	fm_own_table_lookup_begin(&lookup, table, snapshot, 1);
	for (int i = 0; i < n; i++)
	{
		bool		found;
		LastCall   *last;
		ScanKeyData key;

		if (!events[i].has_alarm)
			continue;
		last = hash_search(list->last, &events[i].alarm_id, HASH_ENTER,
						   &found);
		if (found)
			continue;
		last->index = -1;
		fm_own_table_key(table, &key, CALL_ALARM_ID, F_UUID_EQ,
						 UUIDPGetDatum(&events[i].alarm_id));
		if (!fm_own_table_lookup_last(&lookup, &key))
			continue;
		read_call(lookup.row, &list->items[list->n]);
		last->index = list->n++;
	}
	fm_own_table_lookup_end(&lookup);
}

/* The call that an announcement belongs to: one that waits, or a new one. */
static Call *
announce(CallList *list, LastCall *last, int16 pipeline_id,
		 const FmKpiEvent *event)
{
	Call	   *call = last->index < 0 ? NULL : &list->items[last->index];
	int32		number = call == NULL ? 0 : call->number;

	if (call == NULL || call->acknowledged_at != 0 || call->ended_at != 0)
	{
		last->index = list->n;
		call = &list->items[list->n++];
		memset(call, 0, sizeof(*call));
		call->alarm_id = event->alarm_id;
		call->number = number + 1;
		call->pipeline_id = pipeline_id;
		call->stream_id = event->stream_id;
		call->sensor_id = event->sensor_id;
		call->condition = event->condition;
		call->position = event->position;
		call->re_alarm = strcmp(event->transition, "re_alarmed") == 0;
		call->announced_at = event->recorded_at;
	}
	call->announcements++;
	call->severity = Max(call->severity, event->severity);
	return call;
}

/* What a transition means for the call of its alarm. */
static void
follow(Call *call, const FmKpiEvent *event)
{
	if (strcmp(event->transition, "raised") == 0)
	{
		call->raises++;
		call->active_since = event->event_time;
	}
	else if (strcmp(event->transition, "returned") == 0)
	{
		if (call->active_since != 0 && event->event_time != 0 &&
			event->event_time - call->active_since <= FLEETING_SPAN)
			call->fleeting++;
		call->active_since = 0;
	}
	else if (strcmp(event->transition, "chattering") == 0)
		call->chatterings++;
	else if (strcmp(event->transition, "acknowledged") == 0 &&
			 call->acknowledged_at == 0)
	{
		call->acknowledged_at = event->recorded_at;
		call->acknowledged_by = event->actor;
	}
	if (event->state != NULL && strcmp(event->state, "normal") == 0 &&
		call->ended_at == 0)
	{
		call->ended_at = event->recorded_at;
		call->active_since = 0;
	}
	call->changed = true;
}

/* 0 is null. */
static void
set_time(TupleTableSlot *row, AttrNumber column, TimestampTz time)
{
	fm_own_table_set(row, column, TimestampTzGetDatum(time), time == 0);
}

static TupleTableSlot *
make_row(FmOwnTable *table, const Call *call)
{
	TupleTableSlot *row = fm_own_table_row(table);

	fm_own_table_set(row, CALL_ALARM_ID, UUIDPGetDatum(&call->alarm_id),
					 false);
	fm_own_table_set_int4(row, CALL_CALL, call->number);
	fm_own_table_set_int2(row, CALL_PIPELINE_ID, call->pipeline_id);
	fm_own_table_set(row, CALL_STREAM_ID, Int32GetDatum(call->stream_id),
					 call->stream_id == 0);
	fm_own_table_set(row, CALL_SENSOR_ID, Int32GetDatum(call->sensor_id),
					 call->sensor_id == 0);
	fm_own_table_set_text(row, CALL_CONDITION, call->condition);
	fm_own_table_set_text(row, CALL_POSITION, call->position);
	fm_own_table_set_int2(row, CALL_SEVERITY, call->severity);
	fm_own_table_set(row, CALL_RE_ALARM, BoolGetDatum(call->re_alarm), false);
	set_time(row, CALL_ANNOUNCED_AT, call->announced_at);
	fm_own_table_set_int4(row, CALL_ANNOUNCEMENTS, call->announcements);
	fm_own_table_set_int4(row, CALL_RAISES, call->raises);
	fm_own_table_set_int4(row, CALL_FLEETING, call->fleeting);
	fm_own_table_set_int4(row, CALL_CHATTERINGS, call->chatterings);
	set_time(row, CALL_ACTIVE_SINCE, call->active_since);
	set_time(row, CALL_ACKNOWLEDGED_AT, call->acknowledged_at);
	fm_own_table_set_text(row, CALL_ACKNOWLEDGED_BY, call->acknowledged_by);
	set_time(row, CALL_ENDED_AT, call->ended_at);
	return row;
}

/* Nobody else changes rows of a pipeline's alarms, but fm_kpi_expire() may
 * delete an old one: what is noted in it begins a row then. */
static void
write_calls(FmOwnTable *table, Snapshot snapshot, CallList *list)
{
	MemoryContext old = MemoryContextSwitchTo(table->chunk);

	for (int i = 0; i < list->n; i++)
	{
		Call	   *call = &list->items[i];
		TupleTableSlot *row;

		if (!call->changed)
			continue;
		row = make_row(table, call);
		if (!ItemPointerIsValid(&call->tid) ||
			!fm_own_table_update(table, snapshot, &call->tid, row))
			fm_own_table_put(table, row);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Events are in the order of their numbers, which is that of each alarm's
 * transitions.  What happens to an alarm that never called is passed over.
 */
void
fm_kpi_take_calls(int16 pipeline_id, const FmKpiEvent *events, int n)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	FmOwnTable	table;
	CallList	list;

	fm_own_table_open(&table, "alarm_call", CALL_COLUMNS, CALL_ALARM_ID);
	list_init(&list, n);
	read_calls(&list, &table, snapshot, events, n);
	for (int i = 0; i < n; i++)
	{
		LastCall   *last;

		if (!events[i].has_alarm)
			continue;
		last = last_call(&list, &events[i].alarm_id);
		if (events[i].announced)
			(void) announce(&list, last, pipeline_id, &events[i]);
		if (last->index >= 0)
			follow(&list.items[last->index], &events[i]);
	}
	write_calls(&table, snapshot, &list);
	fm_own_table_close(&table);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();	/* key figures are read after this */
}

/* ----------------------------------------------------------------------
 * Blocks
 * ------------------------------------------------------------------- */

/* Transitions that begin and end a block; shown names are the first. */
static const char *const block_kinds[][2] = {
	{"shelved", "unshelved"},
	{"suppressed", "unsuppressed"},
	{"out_of_service", "in_service"}
};

typedef enum BlockColumn
{
	BLOCK_PUB_SEQ,
	BLOCK_BEGINS,
	BLOCK_KIND,
	BLOCK_STREAM_ID,
	BLOCK_SENSOR_ID,
	BLOCK_CONDITION,
	BLOCK_POSITION,
	BLOCK_AT,
	BLOCK_ACTOR,
	BLOCK_COMMENT,
	BLOCK_COLUMNS
} BlockColumn;

static const FmArrayColumn block_columns[BLOCK_COLUMNS] = {
	[BLOCK_PUB_SEQ] = {"pub_seq", INT8OID, INT8ARRAYOID},
	[BLOCK_BEGINS] = {"begins", BOOLOID, BOOLARRAYOID},
	[BLOCK_KIND] = {"kind", TEXTOID, TEXTARRAYOID},
	[BLOCK_STREAM_ID] = {"stream_id", INT4OID, INT4ARRAYOID},
	[BLOCK_SENSOR_ID] = {"sensor_id", INT4OID, INT4ARRAYOID},
	[BLOCK_CONDITION] = {"condition", TEXTOID, TEXTARRAYOID},
	[BLOCK_POSITION] = {"position", TEXTOID, TEXTARRAYOID},
	[BLOCK_AT] = {"at", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[BLOCK_ACTOR] = {"actor", TEXTOID, TEXTARRAYOID},
	[BLOCK_COMMENT] = {"comment", TEXTOID, TEXTARRAYOID}
};

#define BLOCK_EVENTS \
	"unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS e(pub_seq, begins," \
	" kind, stream_id, sensor_id, condition, position, at, actor, comment)"

#define BEGIN_BLOCKS \
	"INSERT INTO _factorymon.alarm_block (pipeline_id, pub_seq, stream_id," \
	" sensor_id, condition, position, kind, blocked_at, blocked_by, reason)" \
	" SELECT $1, e.pub_seq, e.stream_id, e.sensor_id, e.condition," \
	" e.position, e.kind, e.at, e.actor, e.comment" \
	" FROM " BLOCK_EVENTS " WHERE e.begins"

/*
 * Each end is that of the last beginning before it.  An operator and a
 * maintenance window may suppress an alarm at the same time: then what a person
 * began is ended by a person, if there is the choice.
 */
#define END_BLOCKS \
	"UPDATE _factorymon.alarm_block b" \
	" SET unblocked_at = e.at, unblocked_by = e.actor" \
	" FROM " BLOCK_EVENTS \
	" WHERE NOT e.begins AND b.pipeline_id = $1 AND b.pub_seq = (" \
	" SELECT x.pub_seq FROM _factorymon.alarm_block x" \
	" WHERE x.pipeline_id = $1 AND x.stream_id = e.stream_id" \
	" AND x.sensor_id = e.sensor_id AND x.condition = e.condition" \
	" AND x.kind = e.kind AND x.unblocked_at IS NULL" \
	" AND x.pub_seq < e.pub_seq" \
	" ORDER BY (x.blocked_by IS NULL) = (e.actor IS NULL) DESC," \
	" x.pub_seq DESC LIMIT 1)"

static bool
is_block(const char *transition, bool *begins, const char **kind)
{
	for (int i = 0; i < lengthof(block_kinds); i++)
	{
		*kind = block_kinds[i][0];
		*begins = strcmp(transition, block_kinds[i][0]) == 0;
		if (*begins || strcmp(transition, block_kinds[i][1]) == 0)
			return true;
	}
	return false;
}

static void
add_block(FmKpiRows *rows, const FmKpiEvent *event, bool begins,
		  const char *kind)
{
	fm_kpi_rows_set(rows, BLOCK_PUB_SEQ, Int64GetDatum(event->pub_seq),
					false);
	fm_kpi_rows_set(rows, BLOCK_BEGINS, BoolGetDatum(begins), false);
	fm_kpi_rows_set_text(rows, BLOCK_KIND, kind);
	fm_kpi_rows_set(rows, BLOCK_STREAM_ID, Int32GetDatum(event->stream_id),
					false);
	fm_kpi_rows_set(rows, BLOCK_SENSOR_ID, Int32GetDatum(event->sensor_id),
					false);
	fm_kpi_rows_set_text(rows, BLOCK_CONDITION, event->condition);
	fm_kpi_rows_set_text(rows, BLOCK_POSITION, event->position);
	fm_kpi_rows_set(rows, BLOCK_AT, TimestampTzGetDatum(event->recorded_at),
					false);
	fm_kpi_rows_set_text(rows, BLOCK_ACTOR, event->actor);
	fm_kpi_rows_set_text(rows, BLOCK_COMMENT, event->comment);
	rows->n++;
}

void
fm_kpi_take_blocks(int16 pipeline_id, const FmKpiEvent *events, int n)
{
	static void *begin_plan = NULL;
	static void *end_plan = NULL;
	FmKpiRows	rows;

	fm_kpi_rows_init(&rows, block_columns, BLOCK_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		bool		begins;
		const char *kind;

		if (is_block(events[i].transition, &begins, &kind))
			add_block(&rows, &events[i], begins, kind);
	}
	if (rows.n == 0)
		return;
	fm_kpi_rows_run(&rows, &begin_plan, BEGIN_BLOCKS, pipeline_id,
					SPI_OK_INSERT);
	fm_kpi_rows_run(&rows, &end_plan, END_BLOCKS, pipeline_id,
					SPI_OK_UPDATE);
}
