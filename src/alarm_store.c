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
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "alarm.h"
#include "factorymon.h"
#include "fold_state.h"

/* Columns that come as arrays, in the order of the statement. */
typedef enum AlarmColumn
{
	ALARM_SENSOR_ID,
	ALARM_CONDITION,
	ALARM_ALARM_ID,
	ALARM_SEQ,
	ALARM_STATE,
	ALARM_LEVEL,
	ALARM_SEVERITY,
	ALARM_SENSOR_VERSION_ID,
	ALARM_VALUE,
	ALARM_LIMIT_VALUE,
	ALARM_EVENT_ID,
	ALARM_EVENT_TIME,
	ALARM_ANNOUNCED_EVENT_ID,
	ALARM_ANNOUNCED_AT,
	ALARM_SINCE,
	ALARM_RAISED_AT,
	ALARM_RE_ALARMS,
	ALARM_SHELVING,
	ALARM_SHELVED_UNTIL,
	ALARM_BLOCKS,
	ALARM_CHATTERING,
	ALARM_RECORD,
	ALARM_COLUMNS
} AlarmColumn;

static const FmArrayColumn columns[ALARM_COLUMNS] = {
	[ALARM_SENSOR_ID] = {"sensor_id", INT4OID, INT4ARRAYOID},
	[ALARM_CONDITION] = {"condition", TEXTOID, TEXTARRAYOID},
	[ALARM_ALARM_ID] = {"alarm_id", UUIDOID, UUIDARRAYOID},
	[ALARM_SEQ] = {"seq", INT4OID, INT4ARRAYOID},
	[ALARM_STATE] = {"state", TEXTOID, TEXTARRAYOID},
	[ALARM_LEVEL] = {"level", INT2OID, INT2ARRAYOID},
	[ALARM_SEVERITY] = {"severity", INT2OID, INT2ARRAYOID},
	[ALARM_SENSOR_VERSION_ID] = {"sensor_version_id", INT4OID, INT4ARRAYOID},
	[ALARM_VALUE] = {"value", FLOAT8OID, FLOAT8ARRAYOID},
	[ALARM_LIMIT_VALUE] = {"limit_value", FLOAT8OID, FLOAT8ARRAYOID},
	[ALARM_EVENT_ID] = {"event_id", UUIDOID, UUIDARRAYOID},
	[ALARM_EVENT_TIME] = {"event_time", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[ALARM_ANNOUNCED_EVENT_ID] = {"announced_event_id", UUIDOID,
	UUIDARRAYOID},
	[ALARM_ANNOUNCED_AT] = {"announced_at", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID},
	[ALARM_SINCE] = {"since", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[ALARM_RAISED_AT] = {"raised_at", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[ALARM_RE_ALARMS] = {"re_alarms", INT4OID, INT4ARRAYOID},
	[ALARM_SHELVING] = {"shelving", TEXTOID, TEXTARRAYOID},
	[ALARM_SHELVED_UNTIL] = {"shelved_until", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID},
	[ALARM_BLOCKS] = {"blocks", INT2OID, INT2ARRAYOID},
	[ALARM_CHATTERING] = {"chattering", BOOLOID, BOOLARRAYOID},
	[ALARM_RECORD] = {"record", BYTEAOID, BYTEAARRAYOID}
};

static const char *const shelving_names[] = {
	[FM_SHELVING_NONE] = "none",
	[FM_SHELVING_ONE_SHOT] = "one_shot",
	[FM_SHELVING_TIMED] = "timed"
};

/* Rows of the statement, column by column. */
typedef struct AlarmRows
{
	int			n;
	Datum	   *values[ALARM_COLUMNS];
	bool	   *nulls[ALARM_COLUMNS];
} AlarmRows;

static void
rows_init(AlarmRows *rows, int most)
{
	rows->n = 0;
	for (int i = 0; i < ALARM_COLUMNS; i++)
	{
		rows->values[i] = palloc(most * sizeof(Datum));
		rows->nulls[i] = palloc0(most * sizeof(bool));
	}
}

static void
set_uuid(AlarmRows *rows, AlarmColumn column, const uint8 *id)
{
	static const uint8 zero[UUID_LEN] = {0};

	rows->values[column][rows->n] = UUIDPGetDatum((const pg_uuid_t *) id);
	rows->nulls[column][rows->n] = memcmp(id, zero, UUID_LEN) == 0;
}

static void
set_time(AlarmRows *rows, AlarmColumn column, TimestampTz time)
{
	rows->values[column][rows->n] = TimestampTzGetDatum(time);
	rows->nulls[column][rows->n] = time == FM_NEVER;
}

static void
set_last(AlarmRows *rows, const FmTransition *last)
{
	Datum	  **values = rows->values;
	int			n = rows->n;

	values[ALARM_SEVERITY][n] = Int16GetDatum(last->severity);
	rows->nulls[ALARM_SEVERITY][n] = last->severity == 0;
	values[ALARM_SENSOR_VERSION_ID][n] =
		Int32GetDatum(last->sensor_version_id);
	rows->nulls[ALARM_SENSOR_VERSION_ID][n] = last->sensor_version_id == 0;
	values[ALARM_VALUE][n] = Float8GetDatum(last->value);
	rows->nulls[ALARM_VALUE][n] = isnan(last->value);
	values[ALARM_LIMIT_VALUE][n] = Float8GetDatum(last->limit_value);
	rows->nulls[ALARM_LIMIT_VALUE][n] = isnan(last->limit_value);
	values[ALARM_EVENT_ID][n] = UUIDPGetDatum(&last->event_id);
	set_time(rows, ALARM_EVENT_TIME, last->event_time);
}

static void
add_row(AlarmRows *rows, const FmAlarm *alarm, const FmTransition *last)
{
	Datum	  **values = rows->values;
	int			n = rows->n;

	set_last(rows, last);
	values[ALARM_SENSOR_ID][n] = Int32GetDatum(alarm->sensor_id);
	values[ALARM_CONDITION][n] =
		CStringGetTextDatum(fm_condition_name(alarm->condition));
	set_uuid(rows, ALARM_ALARM_ID, alarm->alarm_id);
	values[ALARM_SEQ][n] = Int32GetDatum(alarm->seq);
	values[ALARM_STATE][n] =
		CStringGetTextDatum(fm_alarm_state_name(alarm->state));
	values[ALARM_LEVEL][n] =
		Int16GetDatum(FM_LEVEL_CODE(alarm->level, alarm->side, 0));
	set_uuid(rows, ALARM_ANNOUNCED_EVENT_ID, alarm->announced_id);
	set_time(rows, ALARM_ANNOUNCED_AT, alarm->announced_at);
	set_time(rows, ALARM_SINCE, alarm->since);
	set_time(rows, ALARM_RAISED_AT, alarm->raised_at);
	values[ALARM_RE_ALARMS][n] = Int32GetDatum(alarm->re_alarms);
	values[ALARM_SHELVING][n] =
		CStringGetTextDatum(shelving_names[alarm->shelving]);
	set_time(rows, ALARM_SHELVED_UNTIL, alarm->shelved_until);
	values[ALARM_BLOCKS][n] = Int16GetDatum(alarm->blocks);
	values[ALARM_CHATTERING][n] = BoolGetDatum(alarm->chattering);
	values[ALARM_RECORD][n] =
		PointerGetDatum(fm_fold_chunk_encode(FM_FOLD_ALARMS, alarm, 1,
											 sizeof(FmAlarm)));
	rows->n++;
}

/*
 * The statement; its first parameters are stream and position, the rest are
 * arrays.
 */
static char *
upsert_query(void)
{
	StringInfoData names;
	StringInfoData parameters;
	StringInfoData sets;

	initStringInfo(&names);
	initStringInfo(&parameters);
	initStringInfo(&sets);
	for (int i = 0; i < ALARM_COLUMNS; i++)
	{
		appendStringInfo(&names, ", %s", columns[i].name);
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 3);
		if (i != ALARM_SENSOR_ID && i != ALARM_CONDITION)
			appendStringInfo(&sets, ", %s = excluded.%s", columns[i].name,
							 columns[i].name);
	}
	return psprintf("INSERT INTO _factorymon.alarm (stream_id, as_of%s)"
					" SELECT $1, $2%s FROM unnest(%s) AS u(%s)"
					" ON CONFLICT (stream_id, sensor_id, condition) DO UPDATE"
					" SET as_of = excluded.as_of, updated_at = now()%s",
					names.data, names.data, parameters.data, names.data + 2,
					sets.data);
}

static void
upsert(int32 stream_id, int64 as_of, const AlarmRows *rows)
{
	static void *plan = NULL;
	Oid			types[ALARM_COLUMNS + 2] = {INT4OID, INT8OID};
	Datum		values[ALARM_COLUMNS + 2];

	values[0] = Int32GetDatum(stream_id);
	values[1] = Int64GetDatum(as_of);
	for (int i = 0; i < ALARM_COLUMNS; i++)
	{
		types[i + 2] = columns[i].array_type;
		values[i + 2] = fm_column_array(&columns[i], rows->values[i],
										rows->nulls[i], rows->n);
	}
	(void) fm_spi_run_kept(&plan, plan == NULL ? upsert_query() :
						   "alarm upsert", ALARM_COLUMNS + 2, types, values,
						   NULL, SPI_OK_INSERT);
}

void
fm_alarms_store(FmFold *fold, const FmTransitionList *list, int n)
{
	bool	   *done;
	AlarmRows	rows;

	Assert(n >= 0 && n <= list->length);
	if (n <= 0 || fold->stores[FM_FOLD_ALARMS].n == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	done = palloc0(fold->stores[FM_FOLD_ALARMS].n * sizeof(bool));
	rows_init(&rows, n);
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
		add_row(&rows, fm_fold_alarm(fold, item->alarm_number), item);
	}
	if (rows.n > 0)
		upsert(fold->stream.stream_id, fold->position, &rows);
	SPI_finish();
}
