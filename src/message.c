/*-------------------------------------------------------------------------
 *
 * message.c
 *	  SQL's view of a message: decode it, and rebuild it from its columns.
 *
 * factorymon_decode() shows what the decoder makes of any bytes; the workers
 * do not use it.  factorymon_rebuild() is the other direction and the proof
 * that storing a reading loses nothing: it puts the columns back into the
 * shape of the message and lays "extra" over them.  Numbers come back in the
 * form of fm_format_double() and fm_format_float(), because that is the form
 * against which the decoder judged whether a column holds them exactly.
 *
 * Both are functions of their arguments alone.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "reading.h"

PG_FUNCTION_INFO_V1(factorymon_decode);
PG_FUNCTION_INFO_V1(factorymon_rebuild);

/* Result columns of factorymon_decode(). */
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
	DECODE_COLUMNS
};

/* Arguments of factorymon_rebuild(). */
enum
{
	REBUILD_TS,
	REBUILD_FLAGS,
	REBUILD_VALUE,
	REBUILD_SENSOR_ID,
	REBUILD_SENSOR_TYPE,
	REBUILD_FACTORY_SECTION,
	REBUILD_MACHINE_ID,
	REBUILD_ZONE,
	REBUILD_UNIT,
	REBUILD_LEVEL,				/* the last one that a reading cannot lack */
	REBUILD_QUALITY,
	REBUILD_READING_COUNT,
	REBUILD_WARNING_THRESHOLD,
	REBUILD_CRITICAL_THRESHOLD,
	REBUILD_EXTRA
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

static const char *
reported_name(FmReported reported)
{
	switch (reported)
	{
		case FM_REPORTED_NONE:
			return NULL;
		case FM_REPORTED_NORMAL:
			return "normal";
		case FM_REPORTED_WARNING:
			return "warning";
		case FM_REPORTED_CRITICAL:
			return "critical";
		case FM_REPORTED_OTHER:
			return "other";
	}
	return NULL;
}

static void
set_reading(DecodeRow *row, const FmReading *reading)
{
	const char *reported = reported_name(reading->reported);

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
 * decode(payload bytea): the readings of a message, or one row that says why
 * it is refused.
 */
Datum
factorymon_decode(PG_FUNCTION_ARGS)
{
	bytea	   *payload = PG_GETARG_BYTEA_PP(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FmArena		arena;

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != DECODE_COLUMNS)
		elog(ERROR, "unexpected result type of factorymon_decode");

	/* the arena is not PostgreSQL's memory: free it on every way out */
	fm_arena_init(&arena);
	PG_TRY();
	{
		FmDecoded	decoded;

		fm_decode_factory(VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload),
						  &arena, &decoded);
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
	return (Datum) 0;
}

/* ------------------------------------------------------------------------
 * Rebuilding
 * ------------------------------------------------------------------------
 */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = (int) strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

/* A string of len bytes that outlives the building. */
static void
push_string(JsonbParseState **state, const char *key, char *string, int len)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvString;
	value.val.string.val = string;
	value.val.string.len = len;
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_text(JsonbParseState **state, const char *key, text *string)
{
	push_string(state, key, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
}

/* A number given as JSON writes it. */
static void
push_number(JsonbParseState **state, const char *key, const char *number)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvNumeric;
	value.val.numeric =
		DatumGetNumeric(DirectFunctionCall3(numeric_in,
											CStringGetDatum(number),
											ObjectIdGetDatum(InvalidOid),
											Int32GetDatum(-1)));
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
check_finite(double number)
{
	if (!isfinite(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("cannot rebuild a message"),
				 errdetail("A number is not finite.")));
}

static void
push_double(JsonbParseState **state, const char *key, double number)
{
	char		buf[FM_NUMBER_BUFFER];

	check_finite(number);
	fm_format_double(number, buf);
	push_number(state, key, buf);
}

static void
push_float(JsonbParseState **state, const char *key, float number)
{
	char		buf[FM_NUMBER_BUFFER];

	check_finite(number);
	fm_format_float(number, buf);
	push_number(state, key, buf);
}

static void
push_timestamp(JsonbParseState **state, TimestampTz ts, int16 flags)
{
	char		buf[32];
	int			digits = flags & FM_FLAG_TS_DIGITS;
	int			len;

	/* where the text is in extra, that one wins */
	len = fm_format_rfc3339(ts, digits, buf);
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("cannot rebuild a message"),
				 errdetail("Timestamps are in the years 0001 to 9999.")));
	push_string(state, "timestamp", pstrdup(buf), len);
}

static bool
key_is(const JsonbValue *key, const char *name)
{
	return key->val.string.len == (int) strlen(name) &&
		memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

/* The value of a member of an object, or NULL. */
static JsonbValue *
find_member(Jsonb *object, const char *name)
{
	JsonbValue	key;

	if (object == NULL)
		return NULL;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
}

/*
 * Push the members of an object over those already pushed: of two members
 * with the same key jsonb keeps the one that came last.  location and
 * metadata are skipped where merged is true: they are pushed as objects of
 * their own.
 */
static void
push_members(JsonbParseState **state, JsonbContainer *object, bool merged)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		if (merged && (key_is(&value, "location") ||
					   key_is(&value, "metadata")))
		{
			(void) JsonbIteratorNext(&iterator, &value, true);
			continue;
		}
		pushJsonbValue(state, WJB_KEY, &value);
		(void) JsonbIteratorNext(&iterator, &value, true);
		pushJsonbValue(state, WJB_VALUE, &value);
	}
}

/* End an object, with what extra has for it on top. */
static void
end_object(JsonbParseState **state, const JsonbValue *extra)
{
	if (extra != NULL)
	{
		if (extra->type != jbvBinary ||
			!JsonContainerIsObject(extra->val.binary.data))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot rebuild a message"),
					 errdetail("Members \"location\" and \"metadata\" of "
							   "extra must be objects.")));
		push_members(state, extra->val.binary.data, false);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
push_location(JsonbParseState **state, FunctionCallInfo fcinfo, Jsonb *extra)
{
	push_key(state, "location");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_text(state, "factory_section",
			  PG_GETARG_TEXT_PP(REBUILD_FACTORY_SECTION));
	push_text(state, "machine_id", PG_GETARG_TEXT_PP(REBUILD_MACHINE_ID));
	push_text(state, "zone", PG_GETARG_TEXT_PP(REBUILD_ZONE));
	end_object(state, find_member(extra, "location"));
}

/* There is a metadata object if anything is in it, or if extra has one. */
static void
push_metadata(JsonbParseState **state, FunctionCallInfo fcinfo, Jsonb *extra)
{
	JsonbValue *over = find_member(extra, "metadata");
	char		count[16];

	if (PG_ARGISNULL(REBUILD_READING_COUNT) &&
		PG_ARGISNULL(REBUILD_WARNING_THRESHOLD) &&
		PG_ARGISNULL(REBUILD_CRITICAL_THRESHOLD) && over == NULL)
		return;
	push_key(state, "metadata");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	if (!PG_ARGISNULL(REBUILD_READING_COUNT))
	{
		pg_ltoa(PG_GETARG_INT32(REBUILD_READING_COUNT), count);
		push_number(state, "reading_count", count);
	}
	if (!PG_ARGISNULL(REBUILD_WARNING_THRESHOLD))
		push_double(state, "warning_threshold",
					PG_GETARG_FLOAT8(REBUILD_WARNING_THRESHOLD));
	if (!PG_ARGISNULL(REBUILD_CRITICAL_THRESHOLD))
		push_double(state, "critical_threshold",
					PG_GETARG_FLOAT8(REBUILD_CRITICAL_THRESHOLD));
	end_object(state, over);
}

/* The producer's own level, unless it made no claim or extra has it. */
static void
push_alert_level(JsonbParseState **state, int16 level)
{
	FmReported	reported = FM_CODE_REPORTED(level);
	const char *name = reported_name(reported);

	if (name != NULL && reported != FM_REPORTED_OTHER)
		push_string(state, "alert_level", unconstify(char *, name),
					(int) strlen(name));
}

/*
 * rebuild(ts, flags, value, ..., extra): the message that a reading came
 * from, as a JSON value.  NULL if a column that no reading lacks is NULL.
 */
Datum
factorymon_rebuild(PG_FUNCTION_ARGS)
{
	Jsonb	   *extra = NULL;
	JsonbParseState *state = NULL;
	JsonbValue *message;
	int			i;

	for (i = REBUILD_TS; i <= REBUILD_LEVEL; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	if (!PG_ARGISNULL(REBUILD_EXTRA))
	{
		extra = PG_GETARG_JSONB_P(REBUILD_EXTRA);
		if (!JB_ROOT_IS_OBJECT(extra))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot rebuild a message"),
					 errdetail("Extra must be a JSON object.")));
	}

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_timestamp(&state, PG_GETARG_TIMESTAMPTZ(REBUILD_TS),
				   PG_GETARG_INT16(REBUILD_FLAGS));
	push_text(&state, "sensor_id", PG_GETARG_TEXT_PP(REBUILD_SENSOR_ID));
	push_text(&state, "sensor_type", PG_GETARG_TEXT_PP(REBUILD_SENSOR_TYPE));
	push_location(&state, fcinfo, extra);
	push_double(&state, "value", PG_GETARG_FLOAT8(REBUILD_VALUE));
	push_text(&state, "unit", PG_GETARG_TEXT_PP(REBUILD_UNIT));
	push_alert_level(&state, PG_GETARG_INT16(REBUILD_LEVEL));
	if (!PG_ARGISNULL(REBUILD_QUALITY))
		push_float(&state, "quality", PG_GETARG_FLOAT4(REBUILD_QUALITY));
	push_metadata(&state, fcinfo, extra);
	if (extra != NULL)
		push_members(&state, &extra->root, true);
	message = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(message));
}
