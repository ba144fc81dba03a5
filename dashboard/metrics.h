/*
 * metrics.h - what Prometheus reads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The text format 0.0.4.  The table of metrics is in metrics.c; each has a
 * query, whose last column is the value and whose others are labels.
 */
#ifndef FM_METRICS_H
#define FM_METRICS_H

#include "../producer/buf.h"
#include "database.h"

/* All metrics as they are now; without a database just that there is none. */
extern void fm_metrics_put(FmBuf *buf, FmDatabase *database,
						   PGconn **connection);

#endif							/* FM_METRICS_H */
