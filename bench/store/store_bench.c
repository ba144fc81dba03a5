/*-------------------------------------------------------------------------
 *
 * store_bench.c
 *	  One batch of made readings into a table, in each way there is.
 *
 * Between them lies what a way costs: rows through a set-returning function
 * and its tuplestore, through a foreign table, past the executor, and what
 * every way does in the end - pages filled by table_multi_insert().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "row.h"
#include "store.h"
#include "store_direct.h"

#define CHUNK 1000
#define MAX_ROWS 100000

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(store_rows);
PG_FUNCTION_INFO_V1(store_direct);
PG_FUNCTION_INFO_V1(store_executor);
PG_FUNCTION_INFO_V1(store_function);
PG_FUNCTION_INFO_V1(store_multi_insert);

/* The batch at hand; kept, as a worker keeps its own. */
static FmRow *rows = NULL;
static FmReading *readings = NULL;
static int	nrows = 0;
static int16 pipeline_id = 0;

/*
 * All ways are called the same: (pipeline_id, first offset, readings, sensors,
 * begin).  Reading n was taken n milliseconds after begin, of any sensor.
 */
static void
make_rows(FunctionCallInfo fcinfo)
{
	int64		first = PG_GETARG_INT64(1);
	int			sensors = PG_GETARG_INT32(3);
	TimestampTz begin = PG_GETARG_TIMESTAMPTZ(4);
	pg_prng_state state;

	pipeline_id = PG_GETARG_INT16(0);
	nrows = PG_GETARG_INT32(2);
	if (nrows < 1 || nrows > MAX_ROWS)
		elog(ERROR, "readings are 1 to %d", MAX_ROWS);
	if (rows == NULL)
	{
		rows = MemoryContextAllocZero(TopMemoryContext,
									  sizeof(FmRow) * MAX_ROWS);
		readings = MemoryContextAllocZero(TopMemoryContext,
										  sizeof(FmReading) * MAX_ROWS);
	}
	pg_prng_seed(&state, (uint64) first);
	for (int i = 0; i < nrows; i++)
	{
		FmReading  *reading = &readings[i];
		FmRow	   *row = &rows[i];

		reading->ts = begin + (first + i) * 1000;
		reading->value = (double) i / 10;
		reading->quality = 0.99f;
		reading->has_quality = true;
		reading->reading_count = (int32) (first + i);
		reading->has_reading_count = true;
		row->reading = reading;
		row->sensor_id = 1 + (int32) pg_prng_uint64_range(&state, 0,
														  sensors - 1);
		row->sensor_version_id = row->sensor_id;
		row->stream_id = 1;
		row->kafka_offset = first + i;
	}
}

/* SETOF _factorymon.batch: the rows at hand, as a function has to do it. */
Datum
store_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleTableSlot *slot;

	InitMaterializedSRF(fcinfo, 0);
	slot = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsVirtual);
	for (int i = 0; i < nrows; i++)
	{
		ExecClearTuple(slot);
		fm_row_fill_slot(slot, pipeline_id, &rows[i]);
		ExecStoreVirtualTuple(slot);
		tuplestore_puttupleslot(rsinfo->setResult, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	return (Datum) 0;
}

/* INSERT ... SELECT FROM store_rows(), prepared once. */
Datum
store_function(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr plan = NULL;

	make_rows(fcinfo);
	SPI_connect();
	if (plan == NULL)
	{
		plan = SPI_prepare(psprintf("INSERT INTO _factorymon.reading_%d "
									"SELECT * FROM store_rows()", pipeline_id),
						   0, NULL);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "the statement cannot be prepared");
	}
	if (SPI_execute_plan(plan, NULL, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "the statement failed");
	SPI_finish();
	PG_RETURN_VOID();
}

/* INSERT ... SELECT FROM _factorymon.batch, as workers do it. */
Datum
store_executor(PG_FUNCTION_ARGS)
{
	make_rows(fcinfo);
	SPI_connect();
	fm_store_rows(pipeline_id, rows, nrows);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Past the executor, as workers do it. */
Datum
store_direct(PG_FUNCTION_ARGS)
{
	const char *objection;

	make_rows(fcinfo);
	objection = fm_store_direct(pipeline_id, rows, nrows);
	if (objection)
		elog(ERROR, "the table has %s", objection);
	PG_RETURN_VOID();
}

/*
 * table_multi_insert() alone, into a table without any index; its name is the
 * sixth argument.
 */
Datum
store_multi_insert(PG_FUNCTION_ARGS)
{
	static TupleTableSlot *slots[CHUNK];
	Relation	rel = table_open(PG_GETARG_OID(5), RowExclusiveLock);
	BulkInsertState bulk = GetBulkInsertState();

	make_rows(fcinfo);
	if (slots[0] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));

		for (int i = 0; i < CHUNK; i++)
			slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	for (int first = 0; first < nrows; first += CHUNK)
	{
		int			n = Min(CHUNK, nrows - first);

		for (int i = 0; i < n; i++)
		{
			ExecClearTuple(slots[i]);
			fm_row_fill_slot(slots[i], pipeline_id, &rows[first + i]);
			ExecStoreVirtualTuple(slots[i]);
		}
		table_multi_insert(rel, slots, n, GetCurrentCommandId(true), 0, bulk);
	}
	FreeBulkInsertState(bulk);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
