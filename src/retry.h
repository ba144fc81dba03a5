/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  What the two halves of retry_rejects() share: retry.c finds rejects
 *	  and books what became of them, retry_store.c stores a chunk of them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RETRY_H
#define FM_RETRY_H

#include "postgres.h"

#include "executor/spi.h"
#include "storage/itemptr.h"

#include "batch.h"
#include "format.h"
#include "ledger.h"
#include "pipeline.h"
#include "sensor.h"

#define FM_RETRY_CHUNK 500		/* messages */

/* What is known of a message beside FmBatchMessage. */
typedef struct FmRetryReject
{
	TimestampTz rejected_at;
	ItemPointerData ctid;
	bool		is_heartbeat;
	FmReading  *readings;
	int			nreadings;
} FmRetryReject;

typedef struct FmRetry
{
	const FmPipeline *pipeline;
	Oid			owner;			/* of the pipeline */
	FmFormat   *format;			/* of the pipeline, as of today */
	FmSensorCache *sensors;
	uint32		limits_generation;
	int32	   *stream_ids;		/* locked, ascending */
	int			nstreams;
	SPIPlanPtr	delete_plan;
	SPIPlanPtr	update_plan;
	/* the chunk at hand; SPI calls leave their own context current */
	MemoryContext context;		/* reset with each chunk */
	FmArena		arena;
	FmBatchMessage messages[FM_RETRY_CHUNK];
	FmRetryReject rejects[FM_RETRY_CHUNK];
	int			nmessages;
	int64		bytes;
	FmRow	   *rows;
	int			nrows;
	bool		suspects_fail;	/* see find_suspect() */
	/* adjustment being added up */
	int32		adjust_stream;	/* 0: none */
	int64		extent_from;
	int64		extent_to;
	int64		first_offset;
	int64		last_offset;
	FmExtentCounts adjust;
	/* result */
	int64		retried;
	int64		stored;
	int64		rejected_again;
} FmRetry;

/*
 * fm_retry_store_chunk
 *		Decode the messages of the chunk and store their readings.
 *
 * Runs switched to the extension's owner.  Afterwards messages[i].class says
 * what became of each; nothing but readings, sensors and partitions has been
 * written.  Errors that are not of data are thrown.
 */
extern void fm_retry_store_chunk(FmRetry *retry);

#endif							/* FM_RETRY_H */
