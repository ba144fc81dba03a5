/*-------------------------------------------------------------------------
 *
 * verify_rows.c
 *	  verify_delivery() over readings and rejects: the first pass.
 *
 * Rows come from the executor straight into a DestReceiver, so any kind of
 * table under _factorymon.reading will do, nothing is copied, and nothing is
 * kept but sums: 64 bits per extent say which rows it holds.
 *
 * Whether an offset is both stored and rejected cannot be seen from sums.
 * So the rejects, read first, are remembered in a hash set, and an extent
 * with a reading that is in it is doubtful.  The set is bounded by
 * maintenance_work_mem; beyond that, every extent with a reject is.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "batch.h"
#include "verify.h"

/* 64 bits of (stream, offset), open addressing; 0 is a free place. */
typedef struct RejectSet
{
	uint64	   *places;
	uint64		mask;			/* number of places - 1 */
	uint64		n;
	uint64		max;			/* half of the places */
	bool		full;			/* not all are in it */
} RejectSet;

typedef struct FirstPass
{
	FmRowReceiver receiver;		/* must be first */
	RejectSet	rejects;
} FirstPass;

/* ----------------------------------------------------------------------
 * Where a row belongs
 * ------------------------------------------------------------------- */

/* As in verify.c, but most rows are of the same stream as the one before. */
static FmVerifyStream *
find_stream(FmVerify *verify, int32 stream_id)
{
	int			low = 0;
	int			high = verify->nstreams - 1;

	if (verify->last_stream && verify->last_stream->stream_id == stream_id)
		return verify->last_stream;
	while (low <= high)
	{
		int			middle = (low + high) / 2;
		FmVerifyStream *stream = verify->by_id[middle];

		if (stream->stream_id == stream_id)
			return verify->last_stream = stream;
		if (stream->stream_id < stream_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return &verify->unknown;
}

/*
 * Most rows are of the same extent as the one before in their stream; else a
 * binary search for the last extent that begins at or below the offset.
 */
FmVerifyExtent *
fm_verify_find_extent(FmVerifyStream *stream, int64 offset)
{
	FmVerifyExtent *extents = stream->extents;
	int			low = 0;
	int			high = stream->nextents;	/* first with from > offset */

	if (stream->nextents == 0)
		return NULL;
	if (extents[stream->last_hit].from <= offset &&
		offset < extents[stream->last_hit].to)
		return &extents[stream->last_hit];
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (extents[middle].from <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	/* an empty extent may stand before the one that holds the offset */
	while (low > 0 && extents[low - 1].to <= extents[low - 1].from)
		low--;
	if (low == 0 || offset >= extents[low - 1].to)
		return NULL;
	stream->last_hit = low - 1;
	return &extents[low - 1];
}

/* ----------------------------------------------------------------------
 * Reading rows
 * ------------------------------------------------------------------- */

static void
startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* One row from the executor, in its slot: no copy is made. */
static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	FmRowReceiver *receiver = (FmRowReceiver *) self;
	MemoryContext executor;

	slot_getsomeattrs(slot, 3);
	executor = MemoryContextSwitchTo(receiver->verify->context);
	receiver->look(receiver,
				   find_stream(receiver->verify,
							   DatumGetInt32(slot->tts_values[0])),
				   DatumGetInt64(slot->tts_values[1]),
				   DatumGetInt16(slot->tts_values[2]));
	MemoryContextSwitchTo(executor);
	return true;
}

static void
shutdown_or_destroy(DestReceiver *self)
{
}

/* Show every row of a table of this pipeline to the receiver. */
static void
read_rows(FmRowReceiver *receiver, const char *table, const char *index)
{
	SPIExecuteOptions options = {0};
	char		sql[256];

	receiver->pub.receiveSlot = receive;
	receiver->pub.rStartup = startup;
	receiver->pub.rShutdown = shutdown_or_destroy;
	receiver->pub.rDestroy = shutdown_or_destroy;
	/* SPI takes none for "result not wanted"; no other kind matters to it */
	receiver->pub.mydest = DestTuplestore;
	options.read_only = true;
	options.dest = &receiver->pub;
	snprintf(sql, sizeof(sql),
			 "SELECT stream_id, kafka_offset, %s FROM _factorymon.%s"
			 " WHERE pipeline_id = %d",
			 index, table, receiver->verify->pipeline->id);
	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read %s rows", table);
}

void
fm_verify_read_readings(FmRowReceiver *receiver)
{
	read_rows(receiver, "reading", "reading_index");
}

void
fm_verify_read_rejects(FmRowReceiver *receiver)
{
	read_rows(receiver, "reject", "(-1)::smallint");
}

/* ----------------------------------------------------------------------
 * Rejects, to be recognized
 * ------------------------------------------------------------------- */

/* Room for as many rejects as the ledger promises, within bounds. */
static void
reject_set_init(RejectSet *set, int64 expected)
{
	uint64		bound = (uint64) maintenance_work_mem * 1024 / sizeof(uint64);
	uint64		wanted = (uint64) Max(expected, 512);
	uint64		places = pg_nextpower2_64(Min(wanted, bound) * 2);

	if (places > bound)
		places = pg_nextpower2_64(bound + 1) / 2;
	set->places = palloc_extended(sizeof(uint64) * places,
								  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	set->mask = places - 1;
	set->n = 0;
	set->max = places / 2;
	set->full = false;
}

/* Where an offset is, or would be. */
static uint64 *
reject_set_place(const RejectSet *set, int32 stream_id, int64 offset,
				 uint64 *key)
{
	uint64		place;

	*key = fm_offset_hash(offset, -1) ^
		(uint64) stream_id * UINT64CONST(0x9E3779B97F4A7C15);
	if (*key == 0)
		*key = 1;
	place = *key & set->mask;
	while (set->places[place] != 0 && set->places[place] != *key)
		place = (place + 1) & set->mask;
	return &set->places[place];
}

static void
reject_set_add(RejectSet *set, int32 stream_id, int64 offset)
{
	uint64		key;
	uint64	   *place = reject_set_place(set, stream_id, offset, &key);

	if (*place == key)
		return;
	if (set->n == set->max)
	{
		set->full = true;
		return;
	}
	*place = key;
	set->n++;
}

static bool
reject_set_has(const RejectSet *set, int32 stream_id, int64 offset)
{
	uint64		key;

	return *reject_set_place(set, stream_id, offset, &key) != 0;
}

/* ----------------------------------------------------------------------
 * First pass
 * ------------------------------------------------------------------- */

/* Sum up one reject and remember it. */
static void
count_reject(FmRowReceiver *self, FmVerifyStream *stream, int64 kafka_offset,
			 int reading_index)
{
	FmVerifyExtent *extent = fm_verify_find_extent(stream, kafka_offset);

	if (!extent || extent->is_gap)
	{
		fm_offset_set_add(&stream->outside_rejects, kafka_offset,
						  kafka_offset + 1, 1);
		return;
	}
	reject_set_add(&((FirstPass *) self)->rejects, stream->stream_id,
				   kafka_offset);
	extent->found.rejected++;
	extent->found.reject_hash += fm_offset_hash(kafka_offset, -1);
}

/* Sum up one reading; was it seen among the rejects? */
static void
count_reading(FmRowReceiver *self, FmVerifyStream *stream,
			  int64 kafka_offset, int reading_index)
{
	FmVerifyExtent *extent = fm_verify_find_extent(stream, kafka_offset);

	if (!extent || extent->is_gap)
	{
		fm_offset_set_add(&stream->outside_readings, kafka_offset,
						  kafka_offset + 1, 1);
		return;
	}
	extent->found.readings++;
	extent->found.reading_hash += fm_offset_hash(kafka_offset, reading_index);
	if (extent->found.rejected > 0 && !extent->doubtful)
	{
		const RejectSet *rejects = &((FirstPass *) self)->rejects;

		extent->doubtful = rejects->full ||
			reject_set_has(rejects, stream->stream_id, kafka_offset);
	}
}

void
fm_verify_scan(FmVerify *verify)
{
	FirstPass	pass = {.receiver.verify = verify};

	reject_set_init(&pass.rejects, verify->booked_rejects);
	pass.receiver.look = count_reject;
	fm_verify_read_rejects(&pass.receiver);
	pass.receiver.look = count_reading;
	fm_verify_read_readings(&pass.receiver);
	pfree(pass.rejects.places);
}
