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

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * Take an answer if there is one; ask the next question if one is due.  Returns
 * whether there is an answer that somebody wanted.
 */
extern bool fm_watermark_step(List *pipelines);

/* Ask where the partitions of a pipeline end, as soon as may be. */
extern void fm_watermark_want(int16 pipeline_id);

/*
 * When the last question that was wanted of a pipeline was asked, of those that
 * have been answered or given up; 0: none.
 */
extern TimestampTz fm_watermark_tried(int16 pipeline_id);

/* Where a partition ended, as its leader was asked at that time; or false. */
extern bool fm_watermark_known(int16 pipeline_id, int32 partition,
							   TimestampTz *at, int64 *high);

/* Wait for the latch, an answer, or the time. */
extern void fm_watermark_wait(long nap_ms);

extern void fm_watermark_close(void);

#endif							/* FM_WATERMARK_H */
