/*-------------------------------------------------------------------------
 *
 * require.c
 *	  Errors of functions that are written in SQL.
 *
 * A question that makes no sense, like the last -1 readings, is refused with a
 * message: no rows would look like an answer.  SQL itself has no means for it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(factorymon_require);

/* _factorymon.require(ok boolean, message text): true, or an error. */
Datum
factorymon_require(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || !PG_GETARG_BOOL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 PG_ARGISNULL(1) ? errmsg("invalid argument") :
				 errmsg_internal("%s", text_to_cstring(PG_GETARG_TEXT_PP(1)))));
	PG_RETURN_BOOL(true);
}
