/*-------------------------------------------------------------------------
 *
 * try_format.c
 *	  SQL's view of decoding: what a format makes of a message.
 *
 * The workers do not use this; they use the same decoder.  A message gives one
 * row for each of its readings, or one row that says why it is refused.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "format.h"

PG_FUNCTION_INFO_V1(factorymon_decode);
PG_FUNCTION_INFO_V1(factorymon_try_format);
PG_FUNCTION_INFO_V1(factorymon_default_formats);

/* Result columns of both functions. */
enum
{
	DECODE_REASON,
	DECODE_SQLSTATE,
	DECODE_DETAIL,
	DECODE_READING_INDEX,
	DECODE_TS,
	DECODE_SENSOR_ID,
	DECODE_SENSOR_TYPE,
	DECODE_FACTORY_SECTION,
	DECODE_MACHINE_ID,
	DECODE_ZONE,
	DECODE_VALUE,
	DECODE_UNIT,
	DECODE_REPORTED_LEVEL,
	DECODE_QUALITY,
	DECODE_READING_COUNT,
	DECODE_WARNING_THRESHOLD,
	DECODE_CRITICAL_THRESHOLD,
	DECODE_TS_DIGITS,
	DECODE_EXTRA,
	DECODE_UNIQUE_ID,
	DECODE_COLUMNS
};

/* ------------------------------------------------------------------------
 * Decoding
 * ------------------------------------------------------------------------
 */

/* One row on its way out; begins as all NULL. */
typedef struct DecodeRow
{
	Datum		values[DECODE_COLUMNS];
	bool		nulls[DECODE_COLUMNS];
} DecodeRow;

static void
set_column(DecodeRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

/* UTF-8 of the decoder as a palloc'ed string in the database's encoding. */
static char *
slice_to_cstring(FmSlice slice)
{
	char	   *copy = pnstrdup(slice.data, slice.len);

	return pg_any_to_server(copy, slice.len, PG_UTF8);
}

static Datum
slice_to_text(FmSlice slice)
{
	return CStringGetTextDatum(slice_to_cstring(slice));
}

static Datum
slice_to_jsonb(FmSlice slice)
{
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(slice_to_cstring(slice)));
}

static void
set_reading(DecodeRow *row, const FmReading *reading)
{
	const char *reported = fm_reported_name(reading->reported);

	set_column(row, DECODE_TS, TimestampTzGetDatum(reading->ts));
	set_column(row, DECODE_SENSOR_ID, slice_to_text(reading->sensor_id));
	set_column(row, DECODE_SENSOR_TYPE, slice_to_text(reading->sensor_type));
	set_column(row, DECODE_FACTORY_SECTION,
			   slice_to_text(reading->factory_section));
	set_column(row, DECODE_MACHINE_ID, slice_to_text(reading->machine_id));
	set_column(row, DECODE_ZONE, slice_to_text(reading->zone));
	set_column(row, DECODE_VALUE, Float8GetDatum(reading->value));
	set_column(row, DECODE_UNIT, slice_to_text(reading->unit));
	if (reported != NULL)
		set_column(row, DECODE_REPORTED_LEVEL, CStringGetTextDatum(reported));
	if (reading->has_quality)
		set_column(row, DECODE_QUALITY, Float4GetDatum(reading->quality));
	if (reading->has_reading_count)
		set_column(row, DECODE_READING_COUNT,
				   Int32GetDatum(reading->reading_count));
	if (reading->has_warning_threshold)
		set_column(row, DECODE_WARNING_THRESHOLD,
				   Float8GetDatum(reading->warning_threshold));
	if (reading->has_critical_threshold)
		set_column(row, DECODE_CRITICAL_THRESHOLD,
				   Float8GetDatum(reading->critical_threshold));
	set_column(row, DECODE_TS_DIGITS, Int32GetDatum(reading->ts_digits));
	if (reading->extra.data != NULL)
		set_column(row, DECODE_EXTRA, slice_to_jsonb(reading->extra));
	if (reading->unique_id.data != NULL)
		set_column(row, DECODE_UNIQUE_ID, slice_to_text(reading->unique_id));
}

static void
put_row(ReturnSetInfo *rsinfo, DecodeRow *row)
{
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
						 row->values, row->nulls);
}

static void
put_rejection(ReturnSetInfo *rsinfo, const FmDecoded *decoded)
{
	const char *reason = fm_reject_reason_name(decoded->reason);
	const char *sqlstate = fm_reject_reason_sqlstate(decoded->reason);
	FmSlice		detail = {decoded->detail, (int) strlen(decoded->detail)};
	DecodeRow	row;

	memset(row.nulls, true, sizeof(row.nulls));
	set_column(&row, DECODE_REASON, CStringGetTextDatum(reason));
	set_column(&row, DECODE_SQLSTATE, CStringGetTextDatum(sqlstate));
	set_column(&row, DECODE_DETAIL, slice_to_text(detail));
	put_row(rsinfo, &row);
}

static void
put_readings(ReturnSetInfo *rsinfo, const FmDecoded *decoded)
{
	int			i;

	for (i = 0; i < decoded->nreadings; i++)
	{
		DecodeRow	row;

		memset(row.nulls, true, sizeof(row.nulls));
		set_column(&row, DECODE_READING_INDEX, Int32GetDatum(i));
		set_reading(&row, &decoded->readings[i]);
		put_row(rsinfo, &row);
	}
}

/*
 * Decode a message into the result of a set-returning function.  The arena is
 * not PostgreSQL's memory: it is freed on every way out.
 */
static void
decode_into(FunctionCallInfo fcinfo, const FmFormat *format, const char *data,
			size_t len)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FmArena		arena;

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != DECODE_COLUMNS)
		elog(ERROR, "unexpected result type of a function that decodes");
	fm_arena_init(&arena);
	PG_TRY();
	{
		FmDecoded	decoded;

		if (format != NULL)
			fm_decode(format, data, len, &arena, &decoded);
		else
			fm_decode_factory(data, len, &arena, &decoded);
		if (decoded.reason == FM_REJECT_OUT_OF_MEMORY)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("%s", decoded.detail)));
		else if (decoded.reason != FM_REJECT_NONE)
			put_rejection(rsinfo, &decoded);
		else
			put_readings(rsinfo, &decoded);
	}
	PG_FINALLY();
	{
		fm_arena_free(&arena);
	}
	PG_END_TRY();
}

/* decode(payload bytea): of format "factory". */
Datum
factorymon_decode(PG_FUNCTION_ARGS)
{
	bytea	   *payload = PG_GETARG_BYTEA_PP(0);

	decode_into(fcinfo, NULL, VARDATA_ANY(payload),
				VARSIZE_ANY_EXHDR(payload));
	return (Datum) 0;
}

/*
 * try_format(name text, mapping jsonb, message text): with a format by name, or
 * with a mapping that need not be in any table.
 */
Datum
factorymon_try_format(PG_FUNCTION_ARGS)
{
	text	   *message;
	FmFormat   *format;
	char	   *utf8;

	if (PG_ARGISNULL(2) || (PG_ARGISNULL(0) && PG_ARGISNULL(1)))
	{
		InitMaterializedSRF(fcinfo, 0);
		return (Datum) 0;
	}
	message = PG_GETARG_TEXT_PP(2);
	if (PG_ARGISNULL(1))
		format = fm_format_find(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								CurrentMemoryContext);
	else
	{
		Jsonb	   *mapping = PG_GETARG_JSONB_P(1);

		format = fm_format_make(NULL, JsonbToCString(NULL, &mapping->root,
													 VARSIZE(mapping)),
								CurrentMemoryContext);
	}
	utf8 = pg_server_to_any(text_to_cstring(message),
							VARSIZE_ANY_EXHDR(message), PG_UTF8);
	decode_into(fcinfo, format, utf8, strlen(utf8));
	return (Datum) 0;
}

/* default_formats(): those that come with the extension. */
Datum
factorymon_default_formats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < fm_nbuiltin_formats; i++)
	{
		const FmBuiltinFormat *format = &fm_builtin_formats[i];
		FmSlice		mapping = {format->mapping, (int) strlen(format->mapping)};
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(format->name);
		values[1] = slice_to_jsonb(mapping);
		values[2] = CStringGetTextDatum(format->description);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
