/*-------------------------------------------------------------------------
 *
 * retention.h
 *	  How long each level of detail of a pipeline is kept.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RETENTION_H
#define FM_RETENTION_H

#include "postgres.h"

#include "pipeline.h"

/*
 * A level: what people set one interval for.  kinds are those of partition.c
 * whose time partitions go, NULL-terminated; none: retention.c knows how.
 */
typedef struct FmRetentionLevel
{
	const char *name;
	const char *kinds[3];
	bool		inherits;		/* the pipeline's retention, unless it has its own */
} FmRetentionLevel;

#define FM_RETENTION_LEVELS 7

extern const FmRetentionLevel fm_retention_levels[FM_RETENTION_LEVELS];

/* The intervals of all levels, microseconds; 0: for ever.  Needs SPI, as the
 * extension's owner. */
extern void fm_retention_load(const FmPipeline *pipeline,
							  int64 keep[FM_RETENTION_LEVELS]);

/*
 * Note why the oldest partition of a kind cannot go yet (reason NULL: it need
 * not wait), for the view factorymon.retention.  Needs SPI, as the extension's
 * owner.
 */
extern void fm_retention_note(int16 pipeline_id, const char *kind,
							  const char *partition, const char *reason);

#endif							/* FM_RETENTION_H */
