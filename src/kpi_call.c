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

#include "utils/hsearch.h"

#include "kpi_internal.h"
#include "pipeline_internal.h"

/* Gone so soon after it was raised (event time), an alarm was fleeting. */
#define FLEETING_SPAN	(10 * USECS_PER_SEC)

/* ----------------------------------------------------------------------
 * Calls
 * ------------------------------------------------------------------- */

/* A row of alarm_call; times are 0 where the column is null. */
typedef struct Call
{
	pg_uuid_t	alarm_id;
	int32		number;
	bool		changed;
	int32		stream_id;
	int32		sensor_id;
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

typedef enum CallColumn
{
	CALL_ALARM_ID,
	CALL_CALL,
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
	CALL_COLUMNS
} CallColumn;

static const FmArrayColumn call_columns[CALL_COLUMNS] = {
	[CALL_ALARM_ID] = {"alarm_id", UUIDOID, UUIDARRAYOID},
	[CALL_CALL] = {"call", INT4OID, INT4ARRAYOID},
	[CALL_STREAM_ID] = {"stream_id", INT4OID, INT4ARRAYOID},
	[CALL_SENSOR_ID] = {"sensor_id", INT4OID, INT4ARRAYOID},
	[CALL_CONDITION] = {"condition", TEXTOID, TEXTARRAYOID},
	[CALL_POSITION] = {"position", TEXTOID, TEXTARRAYOID},
	[CALL_SEVERITY] = {"severity", INT2OID, INT2ARRAYOID},
	[CALL_RE_ALARM] = {"re_alarm", BOOLOID, BOOLARRAYOID},
	[CALL_ANNOUNCED_AT] = {"announced_at", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID},
	[CALL_ANNOUNCEMENTS] = {"announcements", INT4OID, INT4ARRAYOID},
	[CALL_RAISES] = {"raises", INT4OID, INT4ARRAYOID},
	[CALL_FLEETING] = {"fleeting", INT4OID, INT4ARRAYOID},
	[CALL_CHATTERINGS] = {"chatterings", INT4OID, INT4ARRAYOID},
	[CALL_ACTIVE_SINCE] = {"active_since", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID},
	[CALL_ACKNOWLEDGED_AT] = {"acknowledged_at", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID},
	[CALL_ACKNOWLEDGED_BY] = {"acknowledged_by", TEXTOID, TEXTARRAYOID},
	[CALL_ENDED_AT] = {"ended_at", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID}
};

#define CALL_NAMES \
	"alarm_id, call, stream_id, sensor_id, condition, position, severity," \
	" re_alarm, announced_at, announcements, raises, fleeting, chatterings," \
	" active_since, acknowledged_at, acknowledged_by, ended_at"

/* The last call of each alarm, by the key whatever the statistics say. */
#define READ_CALLS \
	"SELECT c.alarm_id, c.call, c.stream_id, c.sensor_id, c.condition," \
	" c.position, c.severity::integer, c.re_alarm, c.announced_at," \
	" c.announcements, c.raises, c.fleeting, c.chatterings, c.active_since," \
	" c.acknowledged_at, c.acknowledged_by, c.ended_at" \
	" FROM unnest($1) AS u(id) CROSS JOIN LATERAL (" \
	" SELECT * FROM _factorymon.alarm_call x WHERE x.alarm_id = u.id" \
	" ORDER BY x.call DESC LIMIT 1) c"

#define UPSERT_CALLS \
	"INSERT INTO _factorymon.alarm_call (pipeline_id, " CALL_NAMES ")" \
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11," \
	" $12, $13, $14, $15, $16, $17, $18) AS u" \
	" ON CONFLICT (alarm_id, call) DO UPDATE SET" \
	" severity = excluded.severity, announcements = excluded.announcements," \
	" raises = excluded.raises, fleeting = excluded.fleeting," \
	" chatterings = excluded.chatterings," \
	" active_since = excluded.active_since," \
	" acknowledged_at = excluded.acknowledged_at," \
	" acknowledged_by = excluded.acknowledged_by," \
	" ended_at = excluded.ended_at"

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

static TimestampTz
read_time(uint64 row, CallColumn column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column + 1, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(datum);
}

static void
read_call(uint64 row, Call *call)
{
	bool		isnull;

	memset(call, 0, sizeof(*call));
	call->alarm_id = *DatumGetUUIDP(fm_spi_value(row, CALL_ALARM_ID + 1,
												 &isnull));
	call->number = fm_spi_int4(row, CALL_CALL + 1);
	call->stream_id = fm_spi_int4(row, CALL_STREAM_ID + 1);
	call->sensor_id = fm_spi_int4(row, CALL_SENSOR_ID + 1);
	call->condition = fm_spi_text(row, CALL_CONDITION + 1);
	call->position = fm_spi_text(row, CALL_POSITION + 1);
	call->severity = (int16) fm_spi_int4(row, CALL_SEVERITY + 1);
	call->re_alarm = fm_spi_bool(row, CALL_RE_ALARM + 1);
	call->announced_at = read_time(row, CALL_ANNOUNCED_AT);
	call->announcements = fm_spi_int4(row, CALL_ANNOUNCEMENTS + 1);
	call->raises = fm_spi_int4(row, CALL_RAISES + 1);
	call->fleeting = fm_spi_int4(row, CALL_FLEETING + 1);
	call->chatterings = fm_spi_int4(row, CALL_CHATTERINGS + 1);
	call->active_since = read_time(row, CALL_ACTIVE_SINCE);
	call->acknowledged_at = read_time(row, CALL_ACKNOWLEDGED_AT);
	call->acknowledged_by = fm_spi_text(row, CALL_ACKNOWLEDGED_BY + 1);
	call->ended_at = read_time(row, CALL_ENDED_AT);
}

/* The last calls of the events' alarms, as they are stored. */
static void
read_calls(CallList *list, const FmKpiEvent *events, int n)
{
	static void *plan = NULL;
	static const FmArrayColumn column = {"alarm_id", UUIDOID, UUIDARRAYOID};
	Oid			types[1] = {UUIDARRAYOID};
	Datum	   *ids = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc0(n * sizeof(bool));
	int			nids = 0;
	Datum		values[1];

	for (int i = 0; i < n; i++)
	{
		bool		found;
		LastCall   *last;

		if (!events[i].has_alarm)
			continue;
		last = hash_search(list->last, &events[i].alarm_id, HASH_ENTER,
						   &found);
		if (found)
			continue;
		last->index = -1;
		ids[nids++] = UUIDPGetDatum(&events[i].alarm_id);
	}
	if (nids == 0)
		return;
	values[0] = fm_column_array(&column, ids, nulls, nids);
	list->n = (int) fm_spi_run_kept(&plan, READ_CALLS, 1, types, values, NULL,
									SPI_OK_SELECT);
	for (int i = 0; i < list->n; i++)
	{
		read_call(i, &list->items[i]);
		last_call(list, &list->items[i].alarm_id)->index = i;
	}
}

/* The call that an announcement belongs to: one that waits, or a new one. */
static Call *
announce(CallList *list, LastCall *last, const FmKpiEvent *event)
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

static void
set_time(FmKpiRows *rows, CallColumn column, TimestampTz time)
{
	fm_kpi_rows_set(rows, column, TimestampTzGetDatum(time), time == 0);
}

static void
set_int4(FmKpiRows *rows, CallColumn column, int32 value)
{
	fm_kpi_rows_set(rows, column, Int32GetDatum(value), false);
}

static void
add_row(FmKpiRows *rows, const Call *call)
{
	fm_kpi_rows_set(rows, CALL_ALARM_ID, UUIDPGetDatum(&call->alarm_id),
					false);
	set_int4(rows, CALL_CALL, call->number);
	fm_kpi_rows_set(rows, CALL_STREAM_ID, Int32GetDatum(call->stream_id),
					call->stream_id == 0);
	fm_kpi_rows_set(rows, CALL_SENSOR_ID, Int32GetDatum(call->sensor_id),
					call->sensor_id == 0);
	fm_kpi_rows_set_text(rows, CALL_CONDITION, call->condition);
	fm_kpi_rows_set_text(rows, CALL_POSITION, call->position);
	fm_kpi_rows_set(rows, CALL_SEVERITY, Int16GetDatum(call->severity),
					false);
	fm_kpi_rows_set(rows, CALL_RE_ALARM, BoolGetDatum(call->re_alarm), false);
	set_time(rows, CALL_ANNOUNCED_AT, call->announced_at);
	set_int4(rows, CALL_ANNOUNCEMENTS, call->announcements);
	set_int4(rows, CALL_RAISES, call->raises);
	set_int4(rows, CALL_FLEETING, call->fleeting);
	set_int4(rows, CALL_CHATTERINGS, call->chatterings);
	set_time(rows, CALL_ACTIVE_SINCE, call->active_since);
	set_time(rows, CALL_ACKNOWLEDGED_AT, call->acknowledged_at);
	fm_kpi_rows_set_text(rows, CALL_ACKNOWLEDGED_BY, call->acknowledged_by);
	set_time(rows, CALL_ENDED_AT, call->ended_at);
	rows->n++;
}

/*
 * Events are in the order of their numbers, which is that of each alarm's
 * transitions.  What happens to an alarm that never called is passed over.
 */
void
fm_kpi_take_calls(int16 pipeline_id, const FmKpiEvent *events, int n)
{
	static void *plan = NULL;
	CallList	list;
	FmKpiRows	rows;

	list_init(&list, n);
	read_calls(&list, events, n);
	for (int i = 0; i < n; i++)
	{
		LastCall   *last;

		if (!events[i].has_alarm)
			continue;
		last = last_call(&list, &events[i].alarm_id);
		if (events[i].announced)
			(void) announce(&list, last, &events[i]);
		if (last->index >= 0)
			follow(&list.items[last->index], &events[i]);
	}
	fm_kpi_rows_init(&rows, call_columns, CALL_COLUMNS, Max(list.n, 1));
	for (int i = 0; i < list.n; i++)
	{
		if (list.items[i].changed)
			add_row(&rows, &list.items[i]);
	}
	if (rows.n > 0)
		fm_kpi_rows_run(&rows, &plan, UPSERT_CALLS, pipeline_id,
						SPI_OK_INSERT);
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
