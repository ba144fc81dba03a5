/*-------------------------------------------------------------------------
 *
 * fence_test.c
 *	  The fence as SQL functions, so that isolation tests can step through it.
 *
 * fence_take() and fence_batch() do with a stream's row what a worker does,
 * with the worker's own functions, but in the session's transaction.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "factorymon.h"
#include "position.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fence_take);
PG_FUNCTION_INFO_V1(fence_batch);

/* fence_take(pipeline_id, topic, partition): "epoch E position P". */
Datum
fence_take(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	FmOwnerScope scope;
	FmPosition	row;
	char		answer[128] = "no such stream";

	SPI_connect();
	fm_owner_begin(&scope);
	if (fm_position_take(DatumGetInt16(PG_GETARG_DATUM(0)),
						 text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 PG_GETARG_INT32(2), "test", 60000, &row))
		snprintf(answer, sizeof(answer), "epoch %lld position %lld",
				 (long long) row.epoch, (long long) row.position);
	fm_owner_end(&scope);
	SPI_finish();
	MemoryContextSwitchTo(context);
	PG_RETURN_TEXT_P(cstring_to_text(answer));
}

/*
 * fence_batch(stream_id, epoch, position, messages): advance by so many
 * messages if the row is free and as the caller believes: "stored", "locked"
 * or "fenced".
 */
Datum
fence_batch(PG_FUNCTION_ARGS)
{
	int32		stream_id = PG_GETARG_INT32(0);
	MemoryContext context = CurrentMemoryContext;
	FmOwnerScope scope;
	FmPosition	row;
	bool		found;
	const char *result = "stored";

	SPI_connect();
	fm_owner_begin(&scope);
	fm_position_lock(&stream_id, 1, &row, &found);
	if (!found)
		result = "locked";
	else if (row.epoch != PG_GETARG_INT64(1) ||
			 row.position != PG_GETARG_INT64(2))
		result = "fenced";
	else
	{
		row.position += PG_GETARG_INT64(3);
		fm_position_advance(&row);
	}
	fm_owner_end(&scope);
	SPI_finish();
	MemoryContextSwitchTo(context);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
