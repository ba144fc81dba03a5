/*-------------------------------------------------------------------------
 *
 * store_direct.h
 *	  A batch of readings into plain heaps, past the executor.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STORE_DIRECT_H
#define FM_STORE_DIRECT_H

#include "postgres.h"

#include "batch.h"

/*
 * fm_store_direct
 *		Insert rows[0..nrows), nrows > 0, into the pipeline's reading table as
 *		the current user, in the caller's transaction and snapshot.
 *
 * Returns NULL, or what the table has that only the executor honours, in a few
 * constant words ("a trigger"); nothing has been inserted then.  Throws any
 * other error.
 */
extern const char *fm_store_direct(int16 pipeline_id, const FmRow *rows,
								   int nrows);

#endif							/* FM_STORE_DIRECT_H */
