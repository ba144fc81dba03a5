/*-------------------------------------------------------------------------
 *
 * alarm_store.c
 *	  The present state of alarms: one row of _factorymon.alarm for each.
 *
 * The row is written by the batch in which the alarm had a transition, once,
 * whatever it went through in that batch.  Its columns are for views; its
 * record is the alarm itself, as of the fold's position as_of, from which the
 * stream's next owner goes on (fold_rebuild.c).
 *
 * Rows of a stream are written by whoever has its position row locked, so
 * nobody else changes them meanwhile, and the stream stays; see own_table.h.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "alarm.h"
#include "fold_state.h"
#include "own_table.h"

/* Columns, from 1. */
enum
{
	ALARM_STREAM_ID = 1,
	ALARM_SENSOR_ID,
	ALARM_CONDITION,
	ALARM_ALARM_ID,
	ALARM_SEQ,
	ALARM_STATE,
	ALARM_LEVEL,
	ALARM_SINCE,
	ALARM_RAISED_AT,
	ALARM_RE_ALARMS,
	ALARM_ANNOUNCED_EVENT_ID,
	ALARM_ANNOUNCED_AT,
	ALARM_EVENT_ID,
	ALARM_EVENT_TIME,
	ALARM_SENSOR_VERSION_ID,
	ALARM_SEVERITY,
	ALARM_VALUE,
	ALARM_LIMIT_VALUE,
	ALARM_SHELVING,
	ALARM_SHELVED_UNTIL,
	ALARM_BLOCKS,
	ALARM_CHATTERING,
	ALARM_AS_OF,
	ALARM_RECORD,
	ALARM_UPDATED_AT,
	ALARM_COLUMNS = ALARM_UPDATED_AT
};

static const char *const shelving_names[] = {
	[FM_SHELVING_NONE] = "none",
	[FM_SHELVING_ONE_SHOT] = "one_shot",
	[FM_SHELVING_TIMED] = "timed"
};

static void
set_uuid(TupleTableSlot *row, AttrNumber column, const uint8 *id)
{
	static const uint8 zero[UUID_LEN] = {0};

	fm_own_table_set(row, column, UUIDPGetDatum((const pg_uuid_t *) id),
					 memcmp(id, zero, UUID_LEN) == 0);
}

/* What the last transition says. */
static void
set_last(TupleTableSlot *row, const FmTransition *last)
{
	fm_own_table_set(row, ALARM_SEVERITY, Int16GetDatum(last->severity),
					 last->severity == 0);
	fm_own_table_set(row, ALARM_SENSOR_VERSION_ID,
					 Int32GetDatum(last->sensor_version_id),
					 last->sensor_version_id == 0);
	fm_own_table_set_double(row, ALARM_VALUE, last->value);
	fm_own_table_set_double(row, ALARM_LIMIT_VALUE, last->limit_value);
	fm_own_table_set(row, ALARM_EVENT_ID, UUIDPGetDatum(&last->event_id),
					 false);
	fm_own_table_set_time(row, ALARM_EVENT_TIME, last->event_time);
}

static void
set_alarm(TupleTableSlot *row, const FmAlarm *alarm)
{
	set_uuid(row, ALARM_ALARM_ID, alarm->alarm_id);
	fm_own_table_set_int4(row, ALARM_SEQ, alarm->seq);
	fm_own_table_set_text(row, ALARM_STATE,
						  fm_alarm_state_name(alarm->state));
	fm_own_table_set_int2(row, ALARM_LEVEL,
						  FM_LEVEL_CODE(alarm->level, alarm->side, 0));
	set_uuid(row, ALARM_ANNOUNCED_EVENT_ID, alarm->announced_id);
	fm_own_table_set_time(row, ALARM_ANNOUNCED_AT, alarm->announced_at);
	fm_own_table_set_time(row, ALARM_SINCE, alarm->since);
	fm_own_table_set_time(row, ALARM_RAISED_AT, alarm->raised_at);
	fm_own_table_set_int4(row, ALARM_RE_ALARMS, alarm->re_alarms);
	fm_own_table_set_text(row, ALARM_SHELVING,
						  shelving_names[alarm->shelving]);
	fm_own_table_set_time(row, ALARM_SHELVED_UNTIL, alarm->shelved_until);
	fm_own_table_set_int2(row, ALARM_BLOCKS, alarm->blocks);
	fm_own_table_set(row, ALARM_CHATTERING, BoolGetDatum(alarm->chattering),
					 false);
	fm_own_table_set(row, ALARM_RECORD,
					 PointerGetDatum(fm_fold_chunk_encode(FM_FOLD_ALARMS,
														  alarm, 1,
														  sizeof(FmAlarm))),
					 false);
}

/* Its row, the one that is there replaced. */
static void
write_row(FmOwnTable *table, Snapshot snapshot, const FmFold *fold,
		  const FmAlarm *alarm, const FmTransition *last)
{
	TupleTableSlot *row = fm_own_table_row(table);
	ScanKeyData keys[3];

	set_alarm(row, alarm);
	set_last(row, last);
	fm_own_table_set_int4(row, ALARM_STREAM_ID, fold->stream.stream_id);
	fm_own_table_set_int4(row, ALARM_SENSOR_ID, alarm->sensor_id);
	fm_own_table_set_text(row, ALARM_CONDITION,
						  fm_condition_name(alarm->condition));
	fm_own_table_set(row, ALARM_AS_OF, Int64GetDatum(fold->position), false);
	fm_own_table_set_time(row, ALARM_UPDATED_AT,
						  GetCurrentTransactionStartTimestamp());
	fm_own_table_key(table, &keys[0], ALARM_STREAM_ID, F_INT4EQ,
					 row->tts_values[ALARM_STREAM_ID - 1]);
	fm_own_table_key(table, &keys[1], ALARM_SENSOR_ID, F_INT4EQ,
					 row->tts_values[ALARM_SENSOR_ID - 1]);
	fm_own_table_key(table, &keys[2], ALARM_CONDITION, F_TEXTEQ,
					 row->tts_values[ALARM_CONDITION - 1]);
	if (!fm_own_table_replace(table, snapshot, keys, lengthof(keys), row))
		fm_own_table_put(table, row);
}

void
fm_alarms_store(FmFold *fold, const FmTransitionList *list, int n)
{
	bool	   *done;
	FmOwnTable	table;
	Snapshot	snapshot;
	MemoryContext old;

	Assert(n >= 0 && n <= list->length);
	if (n <= 0 || fold->stores[FM_FOLD_ALARMS].n == 0)
		return;
	done = palloc0(fold->stores[FM_FOLD_ALARMS].n * sizeof(bool));
	fm_own_table_open(&table, "alarm", ALARM_COLUMNS, ALARM_STREAM_ID);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	old = MemoryContextSwitchTo(table.chunk);
	/* backwards, so that the last transition of each comes first */
	for (int i = n - 1; i >= 0; i--)
	{
		const FmTransition *item = &list->items[i];

		if (item->stream_id != fold->stream.stream_id ||
			item->event.kind == FM_TRANSITION_LATE_EXCURSION ||
			item->event.kind == FM_TRANSITION_REFUSED ||
			done[item->alarm_number])
			continue;
		done[item->alarm_number] = true;
		write_row(&table, snapshot, fold,
				  fm_fold_alarm(fold, item->alarm_number), item);
	}
	MemoryContextSwitchTo(old);
	UnregisterSnapshot(snapshot);
	fm_own_table_close(&table);
	CommandCounterIncrement();	/* the caller reads them */
	pfree(done);
}
