/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  What the parts of verify_delivery() share: verify.c knows the ledger
 *	  and reports, verify_rows.c reads the rows and sums them up,
 *	  verify_examine.c looks closer where sums differ.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_VERIFY_H
#define FM_VERIFY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "tcop/dest.h"

#include "ledger.h"
#include "offset_set.h"
#include "pipeline.h"

/* At most so many rows of one kind of problem are reported per stream. */
#define FM_VERIFY_MAX_ROWS 1000

/* A row of the ledger that covers offsets, or the open extent. */
typedef struct FmVerifyExtent
{
	int64		from;
	int64		to;
	bool		is_gap;
	bool		is_open;		/* the one in the position row */
	bool		selected;		/* within the time asked for */
	bool		doubtful;		/* wants the second pass */
	const char *reason;			/* NULL: none */
	FmExtentCounts expected;	/* adjustments included */
	FmExtentCounts found;		/* readings, rejected and hashes only */
} FmVerifyExtent;

/* One log, and what was found of it. */
typedef struct FmVerifyStream
{
	int32		stream_id;
	const char *topic;			/* NULL: rows of a stream nobody knows */
	int32		partition;
	int32		incarnation;
	FmVerifyExtent *extents;	/* by from, to */
	int			nextents;
	int			allocated;
	int64		first_number;	/* of its extents, counted over all streams */
	int			last_hit;		/* extent of the row before */
	FmOffsetSet outside_readings;
	FmOffsetSet outside_rejects;
	int64		copies;			/* offsets reported or not */
	int64		both;			/* stored and rejected, likewise */
} FmVerifyStream;

typedef struct FmVerify
{
	const FmPipeline *pipeline;
	ReturnSetInfo *result;
	MemoryContext context;		/* for what lasts longer than one query */
	bool		restricted;		/* to a range of time */
	TimestampTz since;
	TimestampTz until;
	FmVerifyStream *streams;	/* by topic, partition, incarnation */
	int			nstreams;
	FmVerifyStream **by_id;		/* the same by stream_id */
	FmVerifyStream *last_stream;	/* of the row before */
	FmVerifyStream unknown;		/* rows of no stream of this pipeline */
	int64		booked_rejects; /* what the ledger promises */
} FmVerify;

/* One problem found.  FM_NO_COUNT stands for NULL. */
#define FM_NO_COUNT PG_INT64_MIN
extern void fm_verify_report(FmVerify *verify, const FmVerifyStream *stream,
							 const char *problem, int64 from, int64 to,
							 int64 expected, int64 found,
							 const char *format,...) pg_attribute_printf(8, 9);

/* The extent or gap of a stream that holds an offset; NULL: none does. */
extern FmVerifyExtent *fm_verify_find_extent(FmVerifyStream *stream,
											 int64 offset);

/*
 * First pass: count and sum up the rows of every extent, collect those
 * outside, and mark as doubtful the extents with an offset that is both
 * stored and rejected.
 */
extern void fm_verify_scan(FmVerify *verify);

/*
 * Second pass over the rows of doubtful extents: report offsets found more
 * than once, and what is missing or too much in each extent.
 */
extern void fm_verify_examine(FmVerify *verify);

/* What a pass over rows hands to the function that looks at them. */
typedef struct FmRowReceiver
{
	DestReceiver pub;
	FmVerify   *verify;
	void		(*look) (struct FmRowReceiver *self, FmVerifyStream *stream,
						 int64 kafka_offset, int reading_index);
	void	   *sort;			/* second pass only */
	TupleTableSlot *slot;
} FmRowReceiver;

/*
 * Show every reading, or every reject (with index -1), of the pipeline to
 * receiver->look, in verify->context.
 */
extern void fm_verify_read_readings(FmRowReceiver *receiver);
extern void fm_verify_read_rejects(FmRowReceiver *receiver);

#endif							/* FM_VERIFY_H */
