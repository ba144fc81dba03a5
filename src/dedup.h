/*-------------------------------------------------------------------------
 *
 * dedup.h
 *	  Messages whose readings were all stored before are dropped.
 *
 * How, why and what it guarantees: docs/deduplication.md.  dedup.c decides,
 * dedup_key.c makes the keys, dedup_slice.c keeps them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DEDUP_H
#define FM_DEDUP_H

#include "postgres.h"

#include "batch.h"
#include "pipeline.h"

/*
 * fm_dedup_ensure
 *		Make the slices of now and of what comes next exist, in the caller's
 *		transaction.  Returns when to ask again.
 */
extern TimestampTz fm_dedup_ensure(const FmPipeline *pipeline,
								   TimestampTz now);

/*
 * fm_dedup_range
 *		Give messages [from, to) that bring nothing new the class
 *		FM_CLASS_DUPLICATE, note them, and register the keys of the others.
 *
 * In the caller's transaction, which must store what is not dropped, with the
 * ids in rows set.  A duplicate has no rows (nrows is 0); how many it had is
 * in ndropped.  What an earlier call made of the same messages is forgotten.
 * Waits for whoever is about to store the same reading, as long as lock_timeout
 * allows.
 */
extern void fm_dedup_range(const FmPipeline *pipeline,
						   FmBatchMessage *messages, int from, int to,
						   const FmRow *rows);

/* Undo in memory what it did to messages [from, to). */
extern void fm_dedup_restore(FmBatchMessage *messages, int from, int to);

/*
 * Did the last error come from somebody who stored the same reading at the same
 * moment?  Then trying again at once helps.  Asking makes it forget.
 */
extern bool fm_dedup_lost_race(void);

/*
 * The rows of messages [from, to) side by side: those of rows themselves, or
 * a copy in the current memory context where duplicates stand between them.
 * When they are stored, fm_dedup_settle_rows() takes from the copy which
 * were suppressed.
 */
extern FmRow *fm_dedup_rows(const FmBatchMessage *messages, int from, int to,
							FmRow *rows, int *nrows);
extern void fm_dedup_settle_rows(const FmBatchMessage *messages, int from,
								 int to, FmRow *rows, FmRow *stored);

/* The message among [from, to) that row number row of these is of; -1: none. */
extern int	fm_dedup_message_of_row(const FmBatchMessage *messages, int from,
									int to, int row);

#endif							/* FM_DEDUP_H */
