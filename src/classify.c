/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  Levels of values: pure, in C and as SQL functions.
 *
 * A value and four limits in, a level and a side out.  Which limits are in
 * force is the business of limits.c.
 *
 * In SQL, NULL is no limit, and a value that is NULL or NaN (nothing was
 * measured) has no level: the answer is NULL, and no error, since one bad
 * row must not stop a query over many.  A limit that is NaN is an error: it
 * is a mistake of whoever wrote the query.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"

#include "classify.h"

PG_FUNCTION_INFO_V1(factorymon_classify);
PG_FUNCTION_INFO_V1(factorymon_classify_side);

/*
 * A limit that is not set is NaN, and every comparison with NaN is false, so
 * it is never reached.  Of limits that contradict each other (only SQL can
 * bring them in) the worse level wins, then the high side.
 */
FmLevel
fm_classify(double value, const FmLimits *limits, FmSide *side)
{
	if (value >= limits->critical_high)
	{
		*side = FM_SIDE_HIGH;
		return FM_LEVEL_CRITICAL;
	}
	if (value <= limits->critical_low)
	{
		*side = FM_SIDE_LOW;
		return FM_LEVEL_CRITICAL;
	}
	if (value >= limits->warning_high)
	{
		*side = FM_SIDE_HIGH;
		return FM_LEVEL_WARNING;
	}
	if (value <= limits->warning_low)
	{
		*side = FM_SIDE_LOW;
		return FM_LEVEL_WARNING;
	}
	*side = FM_SIDE_NONE;
	return FM_LEVEL_NORMAL;
}

const char *
fm_level_name(FmLevel level)
{
	switch (level)
	{
		case FM_LEVEL_NORMAL:
			return "normal";
		case FM_LEVEL_WARNING:
			return "warning";
		case FM_LEVEL_CRITICAL:
			return "critical";
	}
	elog(ERROR, "unknown level %d", (int) level);
	return NULL;
}

const char *
fm_side_name(FmSide side)
{
	switch (side)
	{
		case FM_SIDE_NONE:
			return NULL;
		case FM_SIDE_LOW:
			return "low";
		case FM_SIDE_HIGH:
			return "high";
	}
	elog(ERROR, "unknown side %d", (int) side);
	return NULL;
}

/* ------------------------------------------------------------------------
 * SQL functions
 * ------------------------------------------------------------------------
 */

/* A limit given in SQL; NULL is none. */
static double
argument_limit(FunctionCallInfo fcinfo, int n)
{
	double		limit;

	if (PG_ARGISNULL(n))
		return NAN;
	limit = PG_GETARG_FLOAT8(n);
	if (isnan(limit))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit must not be NaN"),
				 errhint("Use NULL where there is no limit.")));
	return limit;
}

/*
 * Classify argument 0 by the limits in the others.  False if there is no
 * level: the value is NULL or NaN, that is, nothing was measured.
 */
static bool
classify_arguments(FunctionCallInfo fcinfo, FmLevel *level, FmSide *side)
{
	FmLimits	limits = {NAN, NAN, NAN, NAN, 0, 0, 0, 0};
	double		value;

	if (PG_NARGS() == 5)
	{
		limits.critical_low = argument_limit(fcinfo, 1);
		limits.warning_low = argument_limit(fcinfo, 2);
		limits.warning_high = argument_limit(fcinfo, 3);
		limits.critical_high = argument_limit(fcinfo, 4);
	}
	else
	{
		limits.warning_high = argument_limit(fcinfo, 1);
		limits.critical_high = argument_limit(fcinfo, 2);
	}
	if (PG_ARGISNULL(0))
		return false;
	value = PG_GETARG_FLOAT8(0);
	if (isnan(value))
		return false;
	*level = fm_classify(value, &limits, side);
	return true;
}

/*
 * classify(value, critical_low, warning_low, warning_high, critical_high) and
 * classify(value, warning_high, critical_high)
 */
Datum
factorymon_classify(PG_FUNCTION_ARGS)
{
	FmLevel		level;
	FmSide		side;

	if (!classify_arguments(fcinfo, &level, &side))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fm_level_name(level)));
}

/* classify_side(), with the same arguments: low, high or NULL */
Datum
factorymon_classify_side(PG_FUNCTION_ARGS)
{
	FmLevel		level;
	FmSide		side;

	if (!classify_arguments(fcinfo, &level, &side) || side == FM_SIDE_NONE)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fm_side_name(side)));
}
