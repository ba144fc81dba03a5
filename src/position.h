/*-------------------------------------------------------------------------
 *
 * position.h
 *	  Take a stream, lock it for a batch, advance it: the fence.
 *
 * The argument is at the top of position.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_POSITION_H
#define FM_POSITION_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "consumer.h"
#include "ledger.h"

/* What is remembered of one message, to know it again. */
typedef struct FmMark
{
	bool		known;
	int64		offset;
	int64		timestamp;		/* Kafka's, ms since 1970 */
	int64		digest;			/* fm_message_digest() */
} FmMark;

/* The row of a stream, as read under lock. */
typedef struct FmPosition
{
	int32		stream_id;
	int32		incarnation;
	int32		partition;
	int64		epoch;
	int64		position;
	bool		paused;
	bool		stopped;
	char		stopped_reason[64];
	bool		accept_loss;
	FmMark		last;
	FmMark		anchor;
	int64		extent_from;
	TimestampTz extent_opened_at;
	FmExtentCounts extent;
	int64		fold_position;
	int64		snapshot_position;
	bool		has_fold_range;
	TimestampTz fold_min_ts;
	TimestampTz fold_max_ts;
	int64		out_seq;		/* of the last transition that goes out */
} FmPosition;

/*
 * All functions below run in the caller's transaction, switched to the
 * extension's owner by the caller, except where they say otherwise.
 */

/* Does any live stream of this topic exist?  Which partitions lack one? */
extern int	fm_position_count_streams(int16 pipeline_id, const char *topic);
extern bool fm_position_stream_exists(int16 pipeline_id, const char *topic,
									  int32 partition);

/*
 * Create streams (incarnation 1) at the given positions where they are
 * missing.  Locks the pipeline's row, so that workers agree.
 */
extern void fm_position_create_streams(int16 pipeline_id, const char *topic,
									   const FmPartitionOffset *starts,
									   int nstarts);

/*
 * fm_position_take
 *		Become the owner of the live stream of a partition: epoch + 1.
 *
 * Waits for a batch in flight at most patience_ms (at least 1); the caller
 * catches ERRCODE_LOCK_NOT_AVAILABLE.  False if there is no such stream.
 */
extern bool fm_position_take(int16 pipeline_id, const char *topic,
							 int32 partition, const char *owner,
							 int patience_ms, FmPosition *result);

/* Pid that holds the row of the live stream of a partition; 0: nobody. */
extern int	fm_position_holder(int16 pipeline_id, const char *topic,
							   int32 partition);

/*
 * fm_position_lock
 *		Lock the rows of n streams for a batch, in stream order, skipping
 *		those that somebody else has locked.
 *
 * Fills result[i] and found[i] for stream_ids[i]; found[i] is false where
 * the row is locked by somebody else or gone.
 */
extern void fm_position_lock(const int32 *stream_ids, int n,
							 FmPosition *result, bool *found);

/*
 * The rows of n streams as they are now, without locking them; found[i] is
 * false where stream_ids[i] is gone or retired.
 */
extern void fm_position_peek(const int32 *stream_ids, int n,
							 FmPosition *result, bool *found);

/* Write everything a batch changes in a locked row. */
extern void fm_position_advance(const FmPosition *row);

/* Write only that, of a locked row. */
extern void fm_position_set_out_seq(int32 stream_id, int64 out_seq);

/* Set or clear why a stream waits for a person; clears accept_loss. */
extern void fm_position_stop(int32 stream_id, const char *reason,
							 const char *detail);

/*
 * fm_position_skip
 *		Go on behind lost messages: close the extent, book [position,
 *		new_position) as a gap with its reason, forget last message and
 *		anchor.
 */
extern void fm_position_skip(int16 pipeline_id, FmPosition *row,
							 int64 new_position, const char *reason);

/*
 * fm_position_new_incarnation
 *		Another log under the same name: retire the stream, mark what was
 *		stored after its anchor as suspect, create the next incarnation at
 *		start.  Returns the new stream's id.
 */
extern int32 fm_position_new_incarnation(int16 pipeline_id, const char *topic,
										 FmPosition *row, int64 start,
										 const char *reason);

#endif							/* FM_POSITION_H */
