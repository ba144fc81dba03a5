/*-------------------------------------------------------------------------
 *
 * store.h
 *	  A batch of readings into the tables.
 *
 * Where the executor is needed, rows reach it through the foreign table _factorymon.batch, whose
 * scan hands out virtual tuples straight from FmRow, so that an ordinary
 * INSERT ... SELECT, prepared once, does everything that a table may want
 * (partitions, triggers, constraints) without a tuplestore in between.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STORE_H
#define FM_STORE_H

#include "postgres.h"

#include "batch.h"

/*
 * fm_store_rows
 *		Insert rows[0..nrows) into the pipeline's reading table as the
 *		current user, in the caller's transaction.
 *
 * Rows that a trigger kept out are marked suppressed.  On error,
 * fm_store_last_row() tells the index of the row the executor pulled last
 * (-1: none), which is where to look for the culprit first.
 */
extern void fm_store_rows(int16 pipeline_id, FmRow *rows, int nrows);
extern int	fm_store_last_row(void);

/*
 * fm_store_rows_fast
 *		The same, past the executor if the table allows it (store_direct.c) and
 *		factorymon.direct_insert is on.
 *
 * Returns NULL if it did, else what stood in the way, in constant words.
 */
extern const char *fm_store_rows_fast(int16 pipeline_id, FmRow *rows,
									  int nrows);

/*
 * Insert the rejected ones among messages[0..n) into the pipeline's reject
 * table, in the caller's transaction, switched to the extension's owner.
 * stream_ids[m->stream] is the stream of a message.
 */
extern void fm_store_rejects(int16 pipeline_id, const int32 *stream_ids,
							 const FmBatchMessage *messages, int n);

/*
 * Upsert the heartbeats among messages[0..n); their payloads were checked
 * with fm_decode_heartbeat() before.
 */
extern void fm_store_heartbeats(const int32 *stream_ids,
								const FmBatchMessage *messages, int n);

#endif							/* FM_STORE_H */
