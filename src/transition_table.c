/*-------------------------------------------------------------------------
 *
 * transition_table.c
 *	  Storage of alarm transitions: rows of _factorymon.transition_N.
 *
 * Where one reading in a hundred causes a transition, a statement for them
 * would cost as much as storing the readings; see own_table.h.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "alarm.h"
#include "own_table.h"

/* Columns, from 1. */
enum
{
	TRANSITION_RECORDED_AT = 1,
	TRANSITION_EVENT_ID,
	TRANSITION_ALARM_ID,
	TRANSITION_PIPELINE_ID,
	TRANSITION_STREAM_ID,
	TRANSITION_KAFKA_OFFSET,
	TRANSITION_READING_INDEX,
	TRANSITION_ORDINAL,
	TRANSITION_SEQ,
	TRANSITION_SENSOR_ID,
	TRANSITION_SENSOR_VERSION_ID,
	TRANSITION_CONDITION,
	TRANSITION_TRANSITION,
	TRANSITION_STATE,
	TRANSITION_LEVEL,
	TRANSITION_PREVIOUS_STATE,
	TRANSITION_PREVIOUS_LEVEL,
	TRANSITION_SEVERITY,
	TRANSITION_VALUE,
	TRANSITION_LIMIT_VALUE,
	TRANSITION_DEADBAND,
	TRANSITION_QUALITY,
	TRANSITION_SCORE,
	TRANSITION_EVENT_TIME,
	TRANSITION_SINCE,
	TRANSITION_RAISED_AT,
	TRANSITION_ANNOUNCED,
	TRANSITION_BLOCKED_BY,
	TRANSITION_CAUSE,
	TRANSITION_ACTOR,
	TRANSITION_COMMENT,
	TRANSITION_LIMIT_VERSION,
	TRANSITION_OUT_SEQ,
	TRANSITION_COLUMNS = TRANSITION_OUT_SEQ
};

/* The columns that say what happened to the alarm. */
static void
set_event(TupleTableSlot *row, const FmAlarmEvent *event)
{
	fm_own_table_set_int4(row, TRANSITION_SEQ, event->seq);
	fm_own_table_set_text(row, TRANSITION_TRANSITION,
						  fm_transition_name(event->kind));
	fm_own_table_set_text(row, TRANSITION_STATE,
						  fm_alarm_state_name(event->state));
	fm_own_table_set_int2(row, TRANSITION_LEVEL,
						  FM_LEVEL_CODE(event->level, event->side, 0));
	fm_own_table_set_text(row, TRANSITION_PREVIOUS_STATE,
						  fm_alarm_state_name(event->previous_state));
	fm_own_table_set_int2(row, TRANSITION_PREVIOUS_LEVEL,
						  FM_LEVEL_CODE(event->previous_level,
										event->previous_side, 0));
	fm_own_table_set_time(row, TRANSITION_SINCE, event->since);
	fm_own_table_set_time(row, TRANSITION_RAISED_AT, event->raised_at);
	fm_own_table_set(row, TRANSITION_ANNOUNCED,
					 BoolGetDatum(event->announced), false);
	fm_own_table_set_text(row, TRANSITION_BLOCKED_BY,
						  fm_alarm_blocked_by(event));
}

/* Whence it comes: stream, offset, sensor, who. */
static void
set_source(TupleTableSlot *row, const FmTransition *item)
{
	fm_own_table_set_int4(row, TRANSITION_STREAM_ID, item->stream_id);
	fm_own_table_set(row, TRANSITION_KAFKA_OFFSET,
					 Int64GetDatum(item->kafka_offset), false);
	fm_own_table_set_int2(row, TRANSITION_READING_INDEX, item->reading_index);
	fm_own_table_set_int2(row, TRANSITION_ORDINAL, item->ordinal);
	fm_own_table_set_int4(row, TRANSITION_SENSOR_ID, item->sensor_id);
	fm_own_table_set(row, TRANSITION_SENSOR_VERSION_ID,
					 Int32GetDatum(item->sensor_version_id),
					 item->sensor_version_id == 0);
	fm_own_table_set_text(row, TRANSITION_CAUSE, fm_cause_name(item->cause));
	fm_own_table_set_text(row, TRANSITION_ACTOR, item->actor);
	fm_own_table_set_text(row, TRANSITION_COMMENT, item->comment);
}

/* What was measured, and what it was judged by. */
static void
set_judgement(TupleTableSlot *row, const FmTransition *item)
{
	fm_own_table_set_text(row, TRANSITION_CONDITION,
						  fm_condition_name(item->condition));
	fm_own_table_set(row, TRANSITION_SEVERITY, Int16GetDatum(item->severity),
					 item->severity == 0);
	fm_own_table_set_double(row, TRANSITION_VALUE, item->value);
	fm_own_table_set_double(row, TRANSITION_LIMIT_VALUE, item->limit_value);
	fm_own_table_set(row, TRANSITION_DEADBAND,
					 Float8GetDatum(item->deadband), false);
	fm_own_table_set(row, TRANSITION_QUALITY, Float4GetDatum(item->quality),
					 !item->has_quality);
	fm_own_table_set_double(row, TRANSITION_SCORE, item->score);
	fm_own_table_set_time(row, TRANSITION_EVENT_TIME, item->event_time);
	fm_own_table_set(row, TRANSITION_LIMIT_VERSION,
					 Int32GetDatum(item->limit_version),
					 item->limit_version == 0);
}

void
fm_transitions_insert(int16 pipeline_id, const FmTransitionList *list, int n)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	FmOwnTable	table;
	MemoryContext old;

	Assert(n >= 0 && n <= list->length);
	if (n <= 0)
		return;
	fm_own_table_open_partition(&table, pipeline_id, "transition",
								TRANSITION_COLUMNS, now);
	old = MemoryContextSwitchTo(table.chunk);
	for (int i = 0; i < n; i++)
	{
		const FmTransition *item = &list->items[i];
		TupleTableSlot *row = fm_own_table_row(&table);

		set_event(row, &item->event);
		set_source(row, item);
		set_judgement(row, item);
		fm_own_table_set_int2(row, TRANSITION_PIPELINE_ID, pipeline_id);
		fm_own_table_set_time(row, TRANSITION_RECORDED_AT, now);
		fm_own_table_set(row, TRANSITION_EVENT_ID,
						 UUIDPGetDatum(&item->event_id), false);
		fm_own_table_set(row, TRANSITION_ALARM_ID,
						 UUIDPGetDatum(&item->alarm_id), false);
		fm_own_table_set(row, TRANSITION_OUT_SEQ,
						 Int64GetDatum(item->out_seq), item->out_seq == 0);
		fm_own_table_put(&table, row);
	}
	MemoryContextSwitchTo(old);
	fm_own_table_close(&table);
	CommandCounterIncrement();	/* the caller reads them */
}
