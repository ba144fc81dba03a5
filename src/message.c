/*-------------------------------------------------------------------------
 *
 * message.c
 *	  A message of format "factory", rebuilt from its columns.
 *
 * factorymon_rebuild() is the other direction of decoding and the proof
 * that storing a reading loses nothing: it puts the columns back into the
 * shape of the message and lays "extra" over them.  Numbers come back in the
 * form of fm_format_double() and fm_format_float(), because that is the form
 * against which the decoder judged whether a column holds them exactly.
 *
 * It is a function of its arguments alone.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "reading.h"

PG_FUNCTION_INFO_V1(factorymon_rebuild);

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
	const char *name = fm_reported_name(reported);

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
