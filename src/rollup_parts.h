/*-------------------------------------------------------------------------
 *
 * rollup_parts.h
 *	  Summaries of a stream's readings by minute and sensor, in memory,
 *	  and their way into _factorymon.rollup_1m_N.
 *
 * The argument is in docs/rollups.md.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROLLUP_PARTS_H
#define FM_ROLLUP_PARTS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "batch.h"
#include "pipeline.h"
#include "rollup.h"

/* More than so many are not kept in memory: they are made from rows then. */
#define FM_ROLLUP_MAX_PARTS	200000

typedef struct FmRollupKey
{
	TimestampTz bucket;			/* begin of the minute */
	int32		sensor_id;
	int32		sensor_version_id;
} FmRollupKey;

/* Readings of one stream. */
typedef struct FmRollupPart
{
	FmRollupKey key;
	int64		from_offset;	/* their least and greatest offset */
	int64		to_offset;
	FmRollup	rollup;
} FmRollupPart;

typedef struct FmRollupParts
{
	MemoryContext context;
	struct rolluphash_hash *numbers;	/* key -> number */
	FmRollupPart *parts;
	int			n;
	int			allocated;
} FmRollupParts;

extern FmRollupParts *fm_rollup_parts_create(MemoryContext parent);
extern void fm_rollup_parts_free(FmRollupParts *parts);

/* Add a stored reading to its part. */
extern void fm_rollup_parts_add(FmRollupParts *parts, const FmRow *row);

/* The part of a key, made if need be. */
extern FmRollupPart *fm_rollup_parts_get(FmRollupParts *parts,
										 const FmRollupKey *key);

/* Forget those of minutes before a time. */
extern void fm_rollup_parts_forget(FmRollupParts *parts, TimestampTz before);

/*
 * Functions below run in the caller's transaction, switched to the extension's
 * owner, connected to SPI.
 */

/* ---- rollup_store.c ---- */

/*
 * Store those of minutes before a time, all with DT_NOEND.  From which time on
 * hours have not been computed is looked up, unless the caller's snapshot may
 * be an old one (mark_all): then all hours are computed anew.
 */
extern void fm_rollup_store(int16 pipeline_id, int32 stream_id,
							const FmRollupParts *parts, TimestampTz before,
							bool mark_all);

/* Until when the readings of a stream are in stored parts. */
extern TimestampTz fm_rollup_pending_from(int32 stream_id);
extern void fm_rollup_set_pending_from(int32 stream_id, TimestampTz from);

/*
 * Read what is stored of a stream from a time on, below an offset; false if it
 * is too much.
 */
extern bool fm_rollup_load(int16 pipeline_id, int32 stream_id,
						   TimestampTz from, int64 below,
						   FmRollupParts *parts);

/* Store parts made from rows with ts in [from, to), below an offset. */
extern void fm_rollup_rebuild(int16 pipeline_id, int32 stream_id,
							  TimestampTz from, TimestampTz to, int64 below);

/* ---- rollup_gone.c ---- */

/*
 * Readings of the stream with offsets in [from, to) have been deleted: so are
 * the parts that were made of them.
 */
extern void fm_rollup_forget(int16 pipeline_id, int32 stream_id, int64 from,
							 int64 to);

/*
 * The oldest time partition of minutes, hours or days (kind) is to be dropped;
 * it ends at a time.  What it has to wait for; NULL: nothing, and the caller
 * drops it in this transaction.
 */
extern const char *fm_rollup_expire(int16 pipeline_id, const char *kind,
									TimestampTz to);

/* From when on minutes are all there: what came before was added to hours. */
extern TimestampTz fm_rollup_minutes_from(int16 pipeline_id);

/* In a new time zone, the lines are in the middle of an hour or a day: move them
 * on, once hours and days behind them have been computed. */
extern void fm_rollup_round_lines(int16 pipeline_id);

/* ---- rollup_merge.c ---- */

/* What the supervisor does for a pipeline, outside any transaction: hours and
 * days.  Returns how many rows it wrote. */
extern int64 fm_rollup_merge_run(int16 pipeline_id);

#endif							/* FM_ROLLUP_PARTS_H */
