/*-------------------------------------------------------------------------
 *
 * kpi_test.c
 *	  Counting for key figures as SQL functions: what the publisher does after
 *	  it has numbered publications, in the session's transaction.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "kpi.h"

PG_FUNCTION_INFO_V1(kpi_take);
PG_FUNCTION_INFO_V1(kpi_clock);
PG_FUNCTION_INFO_V1(kpi_next_deadline);
PG_FUNCTION_INFO_V1(kpi_expire);

/* kpi_take(pipeline_id, first, last): the last number in use */
Datum
kpi_take(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	int64		result;

	fm_owner_begin(&scope);
	result = fm_kpi_take(PG_GETARG_INT16(0), PG_GETARG_INT64(1),
						 PG_GETARG_INT64(2));
	fm_owner_end(&scope);
	PG_RETURN_INT64(result);
}

/* kpi_clock(pipeline_id, now, last): the last number in use */
Datum
kpi_clock(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	int64		result;

	fm_owner_begin(&scope);
	result = fm_kpi_clock(PG_GETARG_INT16(0), PG_GETARG_TIMESTAMPTZ(1),
						  PG_GETARG_INT64(2));
	fm_owner_end(&scope);
	PG_RETURN_INT64(result);
}

/* kpi_next_deadline(pipeline_id): when; infinity: never */
Datum
kpi_next_deadline(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	TimestampTz result;

	fm_owner_begin(&scope);
	result = fm_kpi_next_deadline(PG_GETARG_INT16(0));
	fm_owner_end(&scope);
	PG_RETURN_TIMESTAMPTZ(result);
}

/* kpi_expire(): how many rows went */
Datum
kpi_expire(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	int64		result;

	fm_owner_begin(&scope);
	result = fm_kpi_expire();
	fm_owner_end(&scope);
	PG_RETURN_INT64(result);
}
