/*-------------------------------------------------------------------------
 *
 * store_test.c
 *	  Batches of random readings past the executor, from SQL.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "btree_batch.h"
#include "fold_test.h"
#include "guc.h"
#include "row.h"
#include "store_direct.h"

PG_FUNCTION_INFO_V1(extra_like_jsonb_in);
PG_FUNCTION_INFO_V1(store_batch);
PG_FUNCTION_INFO_V1(store_index_fits);
PG_FUNCTION_INFO_V1(store_index_directly);

static int64
below(pg_prng_state *state, int64 bound)
{
	return pg_prng_uint64_range(state, 0, bound - 1);
}

/* extra_like_jsonb_in(object): does storing make the bytes that jsonb_in() does? */
Datum
extra_like_jsonb_in(PG_FUNCTION_ARGS)
{
	char	   *object = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FmSlice		slice = {object, strlen(object)};
	Jsonb	   *expected = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															  CStringGetDatum(object)));
	Jsonb	   *found = DatumGetJsonbP(fm_extra_to_jsonb(slice));

	PG_RETURN_BOOL(VARSIZE(expected) == VARSIZE(found) &&
				   memcmp(expected, found, VARSIZE(found)) == 0);
}

/*
 * store_batch(pipeline_id, seed, readings, sensors, first, instants): store so
 * many readings, each of one of the sensors and at one of that many seconds
 * from first on.  Returns what stands in the way, or NULL.  Offsets count on
 * from the seed, a million apart.
 */
Datum
store_batch(PG_FUNCTION_ARGS)
{
	int			seed = PG_GETARG_INT32(1);
	int			n = PG_GETARG_INT32(2);
	int			sensors = PG_GETARG_INT32(3);
	TimestampTz first = PG_GETARG_TIMESTAMPTZ(4);
	int			instants = PG_GETARG_INT32(5);
	FmRow	   *rows = palloc0(sizeof(FmRow) * n);
	FmReading  *readings = palloc0(sizeof(FmReading) * n);
	pg_prng_state state;
	const char *objection;

	pg_prng_seed(&state, seed);
	for (int i = 0; i < n; i++)
	{
		readings[i].ts = first + below(&state, instants) * USECS_PER_SEC;
		readings[i].value = i;
		rows[i].reading = &readings[i];
		rows[i].sensor_id = 1 + below(&state, sensors);
		rows[i].stream_id = 1;
		rows[i].kafka_offset = seed * INT64CONST(1000000) + i;
	}
	objection = fm_store_direct(PG_GETARG_INT16(0), rows, n);
	if (objection)
		PG_RETURN_TEXT_P(cstring_to_text(objection));
	PG_RETURN_NULL();
}

/* store_index_fits(index): is it filled a page at a time? */
Datum
store_index_fits(PG_FUNCTION_ARGS)
{
	Relation	index = index_open(PG_GETARG_OID(0), AccessShareLock);
	bool		fits = fm_btree_batch_fits(index, FM_COLUMN_SENSOR_ID + 1,
											   FM_COLUMN_TS + 1);

	index_close(index, AccessShareLock);
	PG_RETURN_BOOL(fits);
}

/* store_index_directly(yes): the setting, for this session */
Datum
store_index_directly(PG_FUNCTION_ARGS)
{
	fm_direct_index_insert = PG_GETARG_BOOL(0);
	PG_RETURN_VOID();
}
