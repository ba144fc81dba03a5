/*-------------------------------------------------------------------------
 *
 * batch_fdw.h
 *	  The foreign table _factorymon.batch: rows of this process's batch.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BATCH_FDW_H
#define FM_BATCH_FDW_H

#include "postgres.h"

#include "batch.h"

/*
 * What the next scan hands out.  rows stay with the caller until
 * fm_batch_fdw_clear().
 */
extern void fm_batch_fdw_set(int16 pipeline_id, FmRow *rows, int nrows);
extern void fm_batch_fdw_clear(void);

/* Index of the row pulled last; -1 before the first. */
extern int	fm_batch_fdw_last_row(void);

#endif							/* FM_BATCH_FDW_H */
