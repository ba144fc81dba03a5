/*-------------------------------------------------------------------------
 *
 * interval.h
 *	  How often sensors are configured to report.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_INTERVAL_H
#define FM_INTERVAL_H

#include "postgres.h"

#include "pipeline.h"

/* What was looked up for the sensors of one pipeline. */
typedef struct FmIntervals FmIntervals;

extern FmIntervals *fm_intervals_create(MemoryContext context);

/*
 * fm_intervals_apply
 *		Tell the watched sensors of the pipeline which interval is configured for
 *		them now (FmWatched.configured).
 *
 * Outside of a transaction: it begins one if there is something to look up.
 */
extern void fm_intervals_apply(FmIntervals *intervals,
							   const FmPipeline *pipeline);

#endif							/* FM_INTERVAL_H */
