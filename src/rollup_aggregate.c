/*-------------------------------------------------------------------------
 *
 * rollup_aggregate.c
 *	  Summaries of readings (rollup.c) as aggregates of SQL: of readings, and
 *	  of summaries.
 *
 * Both keep the same state and end in _factorymon.rollup_value.  With it goes
 * how the sensor described itself at its last reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "rollup.h"

PG_FUNCTION_INFO_V1(factorymon_rollup_add);
PG_FUNCTION_INFO_V1(factorymon_rollup_merge);
PG_FUNCTION_INFO_V1(factorymon_rollup_result);

typedef struct State
{
	FmRollup	rollup;
	int32		sensor_version_id;	/* 0: none yet */
} State;

/* Arguments of the merging aggregate behind its state, and columns of the
 * result: the same, in the same order. */
enum
{
	VALUE_FIRST_TS,
	VALUE_LAST_TS,
	VALUE_FIRST_OFFSET,
	VALUE_LAST_OFFSET,
	VALUE_MEAN,
	VALUE_M2,
	VALUE_MIN,
	VALUE_MAX,
	VALUE_FIRST,
	VALUE_LAST,
	VALUE_SENSOR_VERSION_ID,
	VALUE_N,
	VALUE_N_BAD,
	VALUE_N_WARNING,
	VALUE_N_CRITICAL,
	VALUE_FIRST_STREAM,
	VALUE_LAST_STREAM,
	VALUE_FIRST_INDEX,
	VALUE_LAST_INDEX,
	VALUE_COLUMNS
};

static State *
state_of(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (!PG_ARGISNULL(0))
		return (State *) PG_GETARG_POINTER(0);
	return MemoryContextAllocZero(context, sizeof(State));
}

/*
 * rollup_add(state, ts, value, level, quality, stream_id, kafka_offset,
 * reading_index, sensor_version_id): level as readings have it.
 */
Datum
factorymon_rollup_add(PG_FUNCTION_ARGS)
{
	State	   *state = state_of(fcinfo);
	FmRollupAt	at;
	bool		bad = !PG_ARGISNULL(4) &&
	PG_GETARG_FLOAT4(4) < FM_ROLLUP_QUALITY;

	at.ts = PG_GETARG_TIMESTAMPTZ(1);
	at.stream_id = PG_GETARG_INT32(5);
	at.kafka_offset = PG_GETARG_INT64(6);
	at.reading_index = PG_GETARG_INT16(7);
	fm_rollup_add(&state->rollup, &at, PG_GETARG_FLOAT8(2),
				  PG_GETARG_INT16(3) & 3, bad);
	if (state->sensor_version_id == 0 ||
		(!bad && !fm_rollup_before(&at, &state->rollup.last_at)))
		state->sensor_version_id = PG_GETARG_INT32(8);
	PG_RETURN_POINTER(state);
}

/* The arguments of a summary. */
static void
read_summary(FunctionCallInfo fcinfo, FmRollup *rollup)
{
#define ARGUMENT(column) fcinfo->args[1 + (column)].value
	memset(rollup, 0, sizeof(*rollup));
	rollup->n = DatumGetInt32(ARGUMENT(VALUE_N));
	rollup->n_bad = DatumGetInt32(ARGUMENT(VALUE_N_BAD));
	if (rollup->n == 0)
		return;
	rollup->n_warning = DatumGetInt32(ARGUMENT(VALUE_N_WARNING));
	rollup->n_critical = DatumGetInt32(ARGUMENT(VALUE_N_CRITICAL));
	rollup->mean = DatumGetFloat8(ARGUMENT(VALUE_MEAN));
	rollup->m2 = DatumGetFloat8(ARGUMENT(VALUE_M2));
	rollup->min = DatumGetFloat8(ARGUMENT(VALUE_MIN));
	rollup->max = DatumGetFloat8(ARGUMENT(VALUE_MAX));
	rollup->first = DatumGetFloat8(ARGUMENT(VALUE_FIRST));
	rollup->last = DatumGetFloat8(ARGUMENT(VALUE_LAST));
	rollup->first_at.ts = DatumGetTimestampTz(ARGUMENT(VALUE_FIRST_TS));
	rollup->first_at.kafka_offset =
		DatumGetInt64(ARGUMENT(VALUE_FIRST_OFFSET));
	rollup->first_at.stream_id = DatumGetInt32(ARGUMENT(VALUE_FIRST_STREAM));
	rollup->first_at.reading_index =
		DatumGetInt16(ARGUMENT(VALUE_FIRST_INDEX));
	rollup->last_at.ts = DatumGetTimestampTz(ARGUMENT(VALUE_LAST_TS));
	rollup->last_at.kafka_offset =
		DatumGetInt64(ARGUMENT(VALUE_LAST_OFFSET));
	rollup->last_at.stream_id = DatumGetInt32(ARGUMENT(VALUE_LAST_STREAM));
	rollup->last_at.reading_index =
		DatumGetInt16(ARGUMENT(VALUE_LAST_INDEX));
#undef ARGUMENT
}

/* rollup_merge(state, ... columns of rollup_value) */
Datum
factorymon_rollup_merge(PG_FUNCTION_ARGS)
{
	State	   *state = state_of(fcinfo);
	FmRollup	other;
	bool		newer;

	read_summary(fcinfo, &other);
	newer = other.n > 0 &&
		(state->rollup.n == 0 ||
		 fm_rollup_before(&state->rollup.last_at, &other.last_at));
	if (newer || state->sensor_version_id == 0)
		state->sensor_version_id =
			PG_GETARG_INT32(1 + VALUE_SENSOR_VERSION_ID);
	fm_rollup_merge(&state->rollup, &other);
	PG_RETURN_POINTER(state);
}

static void
show_values(const FmRollup *rollup, Datum *values)
{
	values[VALUE_FIRST_TS] = TimestampTzGetDatum(rollup->first_at.ts);
	values[VALUE_LAST_TS] = TimestampTzGetDatum(rollup->last_at.ts);
	values[VALUE_FIRST_OFFSET] = Int64GetDatum(rollup->first_at.kafka_offset);
	values[VALUE_LAST_OFFSET] = Int64GetDatum(rollup->last_at.kafka_offset);
	values[VALUE_MEAN] = Float8GetDatum(rollup->mean);
	values[VALUE_M2] = Float8GetDatum(rollup->m2);
	values[VALUE_MIN] = Float8GetDatum(rollup->min);
	values[VALUE_MAX] = Float8GetDatum(rollup->max);
	values[VALUE_FIRST] = Float8GetDatum(rollup->first);
	values[VALUE_LAST] = Float8GetDatum(rollup->last);
	values[VALUE_FIRST_STREAM] = Int32GetDatum(rollup->first_at.stream_id);
	values[VALUE_LAST_STREAM] = Int32GetDatum(rollup->last_at.stream_id);
	values[VALUE_FIRST_INDEX] = Int16GetDatum(rollup->first_at.reading_index);
	values[VALUE_LAST_INDEX] = Int16GetDatum(rollup->last_at.reading_index);
}

/* rollup_result(state): null of nothing at all. */
Datum
factorymon_rollup_result(PG_FUNCTION_ARGS)
{
	const State *state;
	const FmRollup *rollup;
	TupleDesc	desc;
	Datum		values[VALUE_COLUMNS];
	bool		nulls[VALUE_COLUMNS] = {false};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (const State *) PG_GETARG_POINTER(0);
	rollup = &state->rollup;
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != VALUE_COLUMNS)
		elog(ERROR, "unexpected result type of a rollup");
	show_values(rollup, values);
	if (rollup->n == 0)
		memset(nulls, true, sizeof(nulls));
	values[VALUE_SENSOR_VERSION_ID] = Int32GetDatum(state->sensor_version_id);
	values[VALUE_N] = Int32GetDatum((int32) rollup->n);
	values[VALUE_N_BAD] = Int32GetDatum((int32) rollup->n_bad);
	values[VALUE_N_WARNING] = Int32GetDatum((int32) rollup->n_warning);
	values[VALUE_N_CRITICAL] = Int32GetDatum((int32) rollup->n_critical);
	nulls[VALUE_SENSOR_VERSION_ID] = false;
	nulls[VALUE_N] = nulls[VALUE_N_BAD] = false;
	nulls[VALUE_N_WARNING] = nulls[VALUE_N_CRITICAL] = false;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
