/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  Every offset accounted for: extents, gaps, and adjustments to them.
 *
 * An extent is a run [from_offset, to_offset) of one stream.  While it grows
 * it lives in the stream's position row (partition_offset.extent_*, from
 * extent_from to position); it is closed into the ledger at a rebalance, a
 * gap or after an hour.  Kinds of ledger rows:
 *
 *	extent   offsets consumed; counts and hashes of what was stored
 *	gap      offsets that were never seen, with the reason
 *	suspect  as extent, but the log may have been another one
 *	adjust   later correction within an extent (retry_rejects): counts may be
 *	         negative; covers no offsets of its own
 *	expired  as adjust: what retention removed from an extent, negative
 *
 * messages: those with readings; rejected; other: tombstones, heartbeats and
 * messages without a reading; duplicates: messages that were dropped because all
 * of their readings had been stored before (dedup.h); suppressed: readings that
 * a trigger kept out;
 * readings: rows stored; reading_hash: sum modulo 2^64 of
 * fm_offset_hash(offset, index) over the rows stored; reject_hash: of
 * fm_offset_hash(offset, -1) over the rejects.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LEDGER_H
#define FM_LEDGER_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct FmExtentCounts
{
	int64		messages;
	int64		rejected;
	int64		other;
	int64		duplicates;
	int64		suppressed;
	int64		readings;
	uint64		reading_hash;
	uint64		reject_hash;
} FmExtentCounts;

/*
 * These run in the caller's transaction and SPI connection, switched to the
 * extension's owner, with the stream's position row locked by the caller.
 *
 * fm_ledger_close: move the open extent, if it covers any offset, into the
 * ledger as kind (extent or suspect) and open an empty one at position.
 * reason may be NULL.
 *
 * fm_ledger_add: one row.  The range of an adjust or expired row must lie
 * within one extent; it may be smaller than that.
 */
extern void fm_ledger_close(int16 pipeline_id, int32 stream_id,
							const char *kind, const char *reason);
extern void fm_ledger_add(int16 pipeline_id, int32 stream_id,
						  int64 from_offset, int64 to_offset,
						  const char *kind, const FmExtentCounts *counts,
						  const char *reason);

/*
 * fm_ledger_merge
 *		Make contiguous old extents of a pipeline one extent per stream and
 *		day, adjustments taken in.
 *
 * Runs in the caller's transaction and SPI connection, switched to the
 * extension's owner; locks the position row of each stream that it changes,
 * in stream order, for at most factorymon.lock_timeout, so the transaction
 * should be short.  Returns by how many rows the ledger shrank.
 */
extern int64 fm_ledger_merge(int16 pipeline_id);

/*
 * fm_ledger_expire
 *		The same for rows closed before the cutoff that account for nothing
 *		that is stored any more: one row is left of neighbours, whatever their
 *		days, with their sums.  Gaps stay: they say what was lost, and why.
 */
extern int64 fm_ledger_expire(int16 pipeline_id, TimestampTz cutoff);

#endif							/* FM_LEDGER_H */
