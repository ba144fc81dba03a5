/*-------------------------------------------------------------------------
 *
 * message_mapped.c
 *	  A message of a mapped format, rebuilt from its readings.
 *
 * An aggregate over the readings of one message, in their order.  What
 * fm_compose() makes of them is decoded again, and is the answer only if that
 * gives the readings as they are stored: so readings of a mapping that has been
 * changed since are not taken for those of another message, as far as the two
 * mappings differ for them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "format.h"

PG_FUNCTION_INFO_V1(factorymon_compose_add);
PG_FUNCTION_INFO_V1(factorymon_compose_end);
PG_FUNCTION_INFO_V1(factorymon_told);

/* Arguments of the aggregate, behind its state. */
enum
{
	COMPOSE_STATE,
	COMPOSE_FORMAT,
	COMPOSE_TS,
	COMPOSE_FLAGS,
	COMPOSE_VALUE,
	COMPOSE_SENSOR_ID,
	COMPOSE_SENSOR_TYPE,
	COMPOSE_FACTORY_SECTION,
	COMPOSE_MACHINE_ID,
	COMPOSE_ZONE,
	COMPOSE_UNIT,
	COMPOSE_LEVEL,				/* the last one that a reading cannot lack */
	COMPOSE_QUALITY,
	COMPOSE_READING_COUNT,
	COMPOSE_WARNING_THRESHOLD,
	COMPOSE_CRITICAL_THRESHOLD,
	COMPOSE_EXTRA
};

/* Readings so far, in the aggregate's context. */
typedef struct Composition
{
	char	   *format;
	FmReading  *readings;
	int			n;
	int			size;
	Jsonb	   *extra;			/* of the first one */
} Composition;

/* The format of the messages that a query asks for; it is nearly always one. */
typedef struct OpenFormat
{
	char	   *name;
	FmFormat   *format;
	MemoryContext context;
} OpenFormat;

static FmSlice
text_argument(FunctionCallInfo fcinfo, int i)
{
	char	   *copy = text_to_cstring(PG_GETARG_TEXT_PP(i));
	FmSlice		slice;

	slice.data = pg_server_to_any(copy, strlen(copy), PG_UTF8);
	slice.len = (int) strlen(slice.data);
	return slice;
}

static void
take_columns(FunctionCallInfo fcinfo, FmReading *reading)
{
	memset(reading, 0, sizeof(*reading));
	reading->ts = PG_GETARG_TIMESTAMPTZ(COMPOSE_TS);
	reading->ts_digits = PG_GETARG_INT16(COMPOSE_FLAGS) & FM_FLAG_TS_DIGITS;
	reading->value = PG_GETARG_FLOAT8(COMPOSE_VALUE);
	reading->sensor_id = text_argument(fcinfo, COMPOSE_SENSOR_ID);
	reading->sensor_type = text_argument(fcinfo, COMPOSE_SENSOR_TYPE);
	reading->factory_section = text_argument(fcinfo, COMPOSE_FACTORY_SECTION);
	reading->machine_id = text_argument(fcinfo, COMPOSE_MACHINE_ID);
	reading->zone = text_argument(fcinfo, COMPOSE_ZONE);
	reading->unit = text_argument(fcinfo, COMPOSE_UNIT);
	reading->reported = FM_CODE_REPORTED(PG_GETARG_INT16(COMPOSE_LEVEL));
	reading->has_quality = !PG_ARGISNULL(COMPOSE_QUALITY);
	if (reading->has_quality)
		reading->quality = PG_GETARG_FLOAT4(COMPOSE_QUALITY);
	reading->has_reading_count = !PG_ARGISNULL(COMPOSE_READING_COUNT);
	if (reading->has_reading_count)
		reading->reading_count = PG_GETARG_INT32(COMPOSE_READING_COUNT);
	reading->has_warning_threshold = !PG_ARGISNULL(COMPOSE_WARNING_THRESHOLD);
	if (reading->has_warning_threshold)
		reading->warning_threshold = PG_GETARG_FLOAT8(COMPOSE_WARNING_THRESHOLD);
	reading->has_critical_threshold = !PG_ARGISNULL(COMPOSE_CRITICAL_THRESHOLD);
	if (reading->has_critical_threshold)
		reading->critical_threshold =
			PG_GETARG_FLOAT8(COMPOSE_CRITICAL_THRESHOLD);
	if (!isfinite(reading->value) || !isfinite(reading->quality) ||
		!isfinite(reading->warning_threshold) ||
		!isfinite(reading->critical_threshold))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("cannot rebuild a message"),
				 errdetail("A number is not finite.")));
}

/* compose(format, ts, ..., extra): one more reading. */
Datum
factorymon_compose_add(PG_FUNCTION_ARGS)
{
	Composition *state;
	MemoryContext context;
	MemoryContext caller;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "an aggregate's function was called outside of one");
	for (int i = COMPOSE_FORMAT; i <= COMPOSE_LEVEL; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("cannot rebuild a message"),
					 errdetail("A column that no reading lacks is null.")));
	}
	caller = MemoryContextSwitchTo(context);
	if (PG_ARGISNULL(COMPOSE_STATE))
	{
		state = palloc0(sizeof(*state));
		state->format = text_to_cstring(PG_GETARG_TEXT_PP(COMPOSE_FORMAT));
		state->size = 2;
		state->readings = palloc(sizeof(FmReading) * state->size);
		if (!PG_ARGISNULL(COMPOSE_EXTRA))
			state->extra = PG_GETARG_JSONB_P_COPY(COMPOSE_EXTRA);
	}
	else
		state = (Composition *) PG_GETARG_POINTER(COMPOSE_STATE);
	if (state->n == state->size)
	{
		state->size *= 2;
		state->readings = repalloc(state->readings,
								   sizeof(FmReading) * state->size);
	}
	take_columns(fcinfo, &state->readings[state->n]);
	state->n++;
	MemoryContextSwitchTo(caller);
	PG_RETURN_POINTER(state);
}

/* ------------------------------------------------------------------------
 * The message
 * ------------------------------------------------------------------------
 */

static FmFormat *
open_format(FmgrInfo *flinfo, const char *name)
{
	OpenFormat *open = flinfo->fn_extra;

	if (open != NULL && open->name != NULL && strcmp(open->name, name) == 0)
		return open->format;
	if (open == NULL)
	{
		open = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(*open));
		open->context = AllocSetContextCreate(flinfo->fn_mcxt,
											  "factorymon format",
											  ALLOCSET_SMALL_SIZES);
		flinfo->fn_extra = open;
	}
	open->name = NULL;
	MemoryContextReset(open->context);
	open->format = fm_format_find(name, open->context);
	open->name = MemoryContextStrdup(open->context, name);
	return open->format;
}

static bool
slices_equal(FmSlice a, FmSlice b)
{
	return a.len == b.len &&
		(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
readings_equal(const FmReading *a, const FmReading *b)
{
	return a->ts == b->ts && a->ts_digits == b->ts_digits &&
		a->value == b->value && a->reported == b->reported &&
		slices_equal(a->sensor_id, b->sensor_id) &&
		slices_equal(a->sensor_type, b->sensor_type) &&
		slices_equal(a->factory_section, b->factory_section) &&
		slices_equal(a->machine_id, b->machine_id) &&
		slices_equal(a->zone, b->zone) && slices_equal(a->unit, b->unit) &&
		a->has_quality == b->has_quality &&
		(!a->has_quality || a->quality == b->quality) &&
		a->has_reading_count == b->has_reading_count &&
		(!a->has_reading_count || a->reading_count == b->reading_count) &&
		a->has_warning_threshold == b->has_warning_threshold &&
		(!a->has_warning_threshold ||
		 a->warning_threshold == b->warning_threshold) &&
		a->has_critical_threshold == b->has_critical_threshold &&
		(!a->has_critical_threshold ||
		 a->critical_threshold == b->critical_threshold);
}

static Jsonb *
slice_to_jsonb(FmSlice slice)
{
	char	   *text = pg_any_to_server(pnstrdup(slice.data, slice.len),
										slice.len, PG_UTF8);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* Does the message give the readings as they are stored? */
static bool
decodes_to(const FmFormat *format, FmSlice message, const Composition *state,
		   FmArena *arena)
{
	FmDecoded	decoded;
	FmSlice		extra;

	fm_decode(format, message.data, message.len, arena, &decoded);
	if (decoded.reason != FM_REJECT_NONE || decoded.nreadings != state->n)
		return false;
	for (int i = 0; i < state->n; i++)
	{
		if (!readings_equal(&decoded.readings[i], &state->readings[i]))
			return false;
	}
	extra = decoded.readings[0].extra;
	if (extra.data == NULL || state->extra == NULL)
		return extra.data == NULL && state->extra == NULL;
	return compareJsonbContainers(&slice_to_jsonb(extra)->root,
								  &state->extra->root) == 0;
}

static Jsonb *
compose(const FmFormat *format, const Composition *state, FmArena *arena)
{
	FmSlice		extra = {NULL, 0};
	FmSlice		message;

	if (state->extra != NULL)
	{
		char	   *text = JsonbToCString(NULL, &state->extra->root,
										  VARSIZE(state->extra));

		extra.data = pg_server_to_any(text, strlen(text), PG_UTF8);
		extra.len = (int) strlen(extra.data);
	}
	if (!fm_compose(format, state->readings, state->n, extra, arena,
					&message) ||
		!decodes_to(format, message, state, arena))
		return NULL;
	return slice_to_jsonb(message);
}

/* The message that the readings came from; null if they do not tell. */
Datum
factorymon_compose_end(PG_FUNCTION_ARGS)
{
	const Composition *state;
	const FmFormat *format;
	Jsonb	   *message = NULL;
	FmArena		arena;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "an aggregate's function was called outside of one");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (const Composition *) PG_GETARG_POINTER(0);
	format = open_format(fcinfo->flinfo, state->format);
	fm_arena_init(&arena);
	PG_TRY();
	{
		message = compose(format, state, &arena);
	}
	PG_FINALLY();
	{
		fm_arena_free(&arena);
	}
	PG_END_TRY();
	if (message == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(message);
}

/* told(message, pipeline): the message; an error if it is null. */
Datum
factorymon_told(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot rebuild a message of pipeline \"%s\"",
						PG_ARGISNULL(1) ? "" :
						text_to_cstring(PG_GETARG_TEXT_PP(1))),
				 errdetail("Its readings were stored with another mapping than that of today, or do not tell which message they came from.")));
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}
