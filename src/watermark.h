/*-------------------------------------------------------------------------
 *
 * watermark.h
 *	  Watermarks of partitions that no worker fetches, for the supervisor.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WATERMARK_H
#define FM_WATERMARK_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Take an answer if there is one; ask the next question if one is due. */
extern void fm_watermark_step(List *pipelines);

/* Wait for the latch, an answer, or the time. */
extern void fm_watermark_wait(long nap_ms);

extern void fm_watermark_close(void);

#endif							/* FM_WATERMARK_H */
