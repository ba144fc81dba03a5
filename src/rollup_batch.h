/*-------------------------------------------------------------------------
 *
 * rollup_batch.h
 *	  A worker's batches and the rollups of its streams.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROLLUP_BATCH_H
#define FM_ROLLUP_BATCH_H

#include "postgres.h"

#include "pipeline.h"

struct FmWorker;

/* What the owner of a stream holds of it in memory. */
typedef struct FmRollupStream FmRollupStream;

/*
 * What is pending of a stream that was just taken, from its rows below
 * position.  In the transaction that took it, switched to the extension's
 * owner, connected to SPI.
 */
extern FmRollupStream *fm_rollup_open(MemoryContext parent,
									  const FmPipeline *pipeline,
									  int32 stream_id, int64 position);
extern void fm_rollup_close(FmRollupStream *stream);

/* Nothing has come for a while: is there something to store all the same? */
extern bool fm_rollup_is_due(const FmRollupStream *stream, TimestampTz now);

/*
 * Of the streams involved in a batch transaction: store what is not to wait
 * any longer, once the readings of messages [0, nmessages) are stored; and
 * after the commit, bring memory up to date.
 */
extern void fm_rollup_batch_store(struct FmWorker *worker,
								  const bool *involved, int nmessages);
extern void fm_rollup_batch_adopt(struct FmWorker *worker,
								  const bool *involved, int nmessages);

#endif							/* FM_ROLLUP_BATCH_H */
