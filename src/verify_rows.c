/*-------------------------------------------------------------------------
 *
 * verify_rows.c
 *	  The passes of verify_delivery() over readings and rejects.
 *
 * Rows come from the executor straight into a DestReceiver, so any kind of
 * table under _factorymon.reading will do, nothing is copied, and nothing is
 * kept but sums: 64 bits per extent say which rows it holds.
 *
 * Whether an offset is both stored and rejected cannot be seen from sums.
 * So the rejects, read first, go into a Bloom filter, and an extent with a
 * reading that the filter does not rule out is doubtful.  That may be a
 * false alarm, which costs time, but none is missed: the second pass is
 * exact.
 *
 * The second pass sorts the rows of doubtful extents by extent, offset and
 * index (a reject has index -1), on disk if need be, and walks over them.
 * What is missing has no row to be found, but the difference of the sums is
 * the sum over the missing ones: if some of the offsets without a row, side
 * by side or a few in any combination, have that sum, they are the missing
 * ones, for all that 64 bits can prove.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "tcop/dest.h"
#include "utils/tuplesort.h"

#include "batch.h"
#include "verify.h"

/* Ranges kept per set; twice as many as are reported, to be joined. */
#define MAX_RANGES (4 * FM_VERIFY_MAX_ROWS)

/* Most offsets without a row that are tried as the missing ones: side by
 * side, and in any combination. */
#define MAX_PROOF_STEPS INT64CONST(20000000)
#define MAX_COMBINED 20

/* Ranges written out in a detail. */
#define MAX_LISTED 10

/* What a query hands to the function that looks at its rows. */
typedef struct RowReceiver
{
	DestReceiver pub;
	FmVerify   *verify;
	void		(*look) (struct RowReceiver *self, int32 stream_id,
						 int64 kafka_offset, int reading_index);
	Tuplesortstate *sort;		/* second pass */
	TupleTableSlot *slot;
} RowReceiver;

/* Rows of one offset within an extent, second pass. */
typedef struct OffsetRows
{
	int64		offset;
	int			last_index;		/* to tell a copy from another reading */
	int64		readings;
	int64		distinct_readings;
	int64		rejects;
} OffsetRows;

/* One extent under examination. */
typedef struct Examination
{
	FmVerify   *verify;
	FmVerifyStream *stream;
	FmVerifyExtent *extent;
	OffsetRows	rows;			/* of the offset at hand; offset -1: none */
	int64		next;			/* first offset not looked at yet */
	FmExtentCounts distinct;	/* without copies */
	FmOffsetSet absent;			/* offsets without any row */
} Examination;

/* ----------------------------------------------------------------------
 * Sets of offsets
 * ------------------------------------------------------------------- */

static int
compare_ranges(const void *a, const void *b)
{
	int64		left = ((const FmOffsetRange *) a)->from;
	int64		right = ((const FmOffsetRange *) b)->from;

	return (left > right) - (left < right);
}

void
fm_offset_set_normalize(FmOffsetSet *set)
{
	int			last = 0;

	if (set->n < 2)
		return;
	qsort(set->ranges, set->n, sizeof(FmOffsetRange), compare_ranges);
	for (int i = 1; i < set->n; i++)
	{
		FmOffsetRange *range = &set->ranges[i];

		if (range->from <= set->ranges[last].to)
		{
			set->ranges[last].to = Max(set->ranges[last].to, range->to);
			set->ranges[last].rows += range->rows;
		}
		else
			set->ranges[++last] = *range;
	}
	set->n = last + 1;
}

/*
 * Add a range.  A set that is full is joined; if that does not help, what
 * does not continue the range before is only counted.
 */
static void
offset_set_add(FmOffsetSet *set, int64 from, int64 to, int64 rows)
{
	FmOffsetRange *last = set->n > 0 ? &set->ranges[set->n - 1] : NULL;

	if (last && from >= last->from && from <= last->to)
	{
		last->to = Max(last->to, to);
		last->rows += rows;
		return;
	}
	if (set->n == MAX_RANGES && set->dropped == 0)
		fm_offset_set_normalize(set);
	if (set->n == MAX_RANGES)
	{
		set->dropped += rows;
		return;
	}
	if (set->n == set->allocated)
	{
		set->allocated = set->allocated ? set->allocated * 2 : 16;
		set->ranges = set->ranges ?
			repalloc(set->ranges, sizeof(FmOffsetRange) * set->allocated) :
			palloc(sizeof(FmOffsetRange) * set->allocated);
	}
	last = &set->ranges[set->n++];
	last->from = from;
	last->to = to;
	last->rows = rows;
}

/* ----------------------------------------------------------------------
 * Where a row belongs
 * ------------------------------------------------------------------- */

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

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext executor;

	slot_getsomeattrs(slot, 3);
	executor = MemoryContextSwitchTo(receiver->verify->context);
	receiver->look(receiver,
				   DatumGetInt32(slot->tts_values[0]),
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
read_rows(RowReceiver *receiver, const char *table, const char *index)
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

static void
read_readings(RowReceiver *receiver)
{
	read_rows(receiver, "reading", "reading_index");
}

static void
read_rejects(RowReceiver *receiver)
{
	read_rows(receiver, "reject", "(-1)::smallint");
}

/* ----------------------------------------------------------------------
 * First pass
 * ------------------------------------------------------------------- */

/* Key of the Bloom filter; without padding. */
typedef struct RejectKey
{
	int64		offset;
	int64		stream_id;
} RejectKey;

static void
count_reject(RowReceiver *self, int32 stream_id, int64 kafka_offset,
			 int reading_index)
{
	FmVerifyStream *stream = find_stream(self->verify, stream_id);
	FmVerifyExtent *extent = fm_verify_find_extent(stream, kafka_offset);
	RejectKey	key = {kafka_offset, stream_id};

	self->verify->any_reject = true;
	bloom_add_element(self->verify->rejects, (unsigned char *) &key,
					  sizeof(key));
	if (!extent || extent->is_gap)
	{
		offset_set_add(&stream->outside_rejects, kafka_offset,
					   kafka_offset + 1, 1);
		return;
	}
	extent->found.rejected++;
	extent->found.reject_hash += fm_offset_hash(kafka_offset, -1);
}

static void
count_reading(RowReceiver *self, int32 stream_id, int64 kafka_offset,
			  int reading_index)
{
	FmVerifyStream *stream = find_stream(self->verify, stream_id);
	FmVerifyExtent *extent = fm_verify_find_extent(stream, kafka_offset);

	if (!extent || extent->is_gap)
	{
		offset_set_add(&stream->outside_readings, kafka_offset,
					   kafka_offset + 1, 1);
		return;
	}
	extent->found.readings++;
	extent->found.reading_hash += fm_offset_hash(kafka_offset, reading_index);
	if (self->verify->any_reject)
	{
		RejectKey	key = {kafka_offset, stream_id};

		if (!bloom_lacks_element(self->verify->rejects,
								 (unsigned char *) &key, sizeof(key)))
			extent->doubtful = true;
	}
}

void
fm_verify_scan(FmVerify *verify)
{
	RowReceiver receiver = {.verify = verify};

	verify->rejects = bloom_create(Max(verify->booked_rejects, 1000),
								   maintenance_work_mem, 0);
	receiver.look = count_reject;
	read_rejects(&receiver);
	receiver.look = count_reading;
	read_readings(&receiver);
	bloom_free(verify->rejects);
}

/* ----------------------------------------------------------------------
 * What is missing
 * ------------------------------------------------------------------- */

/* A place in a normalized set. */
typedef struct Cursor
{
	const FmOffsetSet *set;
	int			range;
	int64		offset;
} Cursor;

static Cursor
cursor_begin(const FmOffsetSet *set)
{
	Cursor		cursor = {set, 0, set->n > 0 ? set->ranges[0].from : 0};

	return cursor;
}

static bool
cursor_done(const Cursor *cursor)
{
	return cursor->range >= cursor->set->n;
}

static void
cursor_next(Cursor *cursor)
{
	if (++cursor->offset < cursor->set->ranges[cursor->range].to)
		return;
	cursor->range++;
	if (cursor->range < cursor->set->n)
		cursor->offset = cursor->set->ranges[cursor->range].from;
}

/*
 * Find n absent offsets side by side whose hashes add up to difference: a
 * window that slides over all of them.
 */
static bool
prove_window(const FmOffsetSet *absent, int64 n, uint64 difference,
			 int reading_index, FmOffsetSet *missing)
{
	Cursor		head = cursor_begin(absent);
	Cursor		tail = head;
	uint64		sum = 0;

	for (int64 steps = 1; !cursor_done(&head); steps++)
	{
		if (steps > MAX_PROOF_STEPS)
			return false;
		if ((steps & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		sum += fm_offset_hash(head.offset, reading_index);
		if (steps > n)
		{
			sum -= fm_offset_hash(tail.offset, reading_index);
			cursor_next(&tail);
		}
		if (steps >= n && sum == difference)
		{
			for (; !cursor_done(&tail) && tail.offset <= head.offset;
				 cursor_next(&tail))
				offset_set_add(missing, tail.offset, tail.offset + 1, 1);
			return true;
		}
		cursor_next(&head);
	}
	return false;
}

/*
 * Find absent offsets whose hashes add up to difference among all
 * combinations of a few: in the order of a Gray code, in which one offset
 * comes or goes with each step.
 */
static bool
prove_combination(const FmOffsetSet *absent, uint64 difference,
				  int reading_index, FmOffsetSet *missing)
{
	int64		offsets[MAX_COMBINED];
	int			n = 0;
	uint32		chosen = 0;
	uint64		sum = 0;

	for (Cursor c = cursor_begin(absent); !cursor_done(&c); cursor_next(&c))
	{
		if (n == MAX_COMBINED)
			return false;
		offsets[n++] = c.offset;
	}
	for (uint32 step = 1; step < (uint32) 1 << n; step++)
	{
		int			bit = pg_rightmost_one_pos32(step);
		uint64		hash = fm_offset_hash(offsets[bit], reading_index);

		chosen ^= (uint32) 1 << bit;
		sum += (chosen >> bit & 1) ? hash : -hash;
		if (sum != difference)
			continue;
		for (int i = 0; i < n; i++)
			if (chosen >> i & 1)
				offset_set_add(missing, offsets[i], offsets[i] + 1, 1);
		return true;
	}
	return false;
}

/* "105, 200-203 and more" */
static char *
list_offsets(const FmOffsetSet *set)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < set->n; i++)
	{
		const FmOffsetRange *range = &set->ranges[i];

		if (i == MAX_LISTED)
			break;
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? ", " : "",
						 range->from);
		if (range->to - 1 > range->from)
			appendStringInfo(&text, "-" INT64_FORMAT, range->to - 1);
	}
	if (set->n > MAX_LISTED || set->dropped > 0)
		appendStringInfoString(&text, " and more");
	return text.data;
}

static void
report_missing(Examination *exam, const char *what, int64 expected,
			   int64 found, uint64 difference, int reading_index)
{
	FmVerifyExtent *extent = exam->extent;
	FmOffsetSet *absent = &exam->absent;
	FmOffsetSet missing = {0};
	const char *finding;

	if (absent->n == 0)
		finding = "every offset of the extent has a row";
	else if (absent->dropped == 0 &&
			 (prove_window(absent, expected - found, difference,
						   reading_index, &missing) ||
			  prove_combination(absent, difference, reading_index,
								&missing)))
		finding = psprintf("the sums prove which: %s",
						   list_offsets(&missing));
	else
		finding = psprintf("no row has offset %s; control records, compacted ones and messages without readings are among these too",
						   list_offsets(absent));
	fm_verify_report(exam->verify, exam->stream, "missing", extent->from,
					 extent->to, expected, found, INT64_FORMAT " of "
					 INT64_FORMAT " %s missing; %s", expected - found,
					 expected, what, finding);
}

/* Compare what an extent should hold with what it holds but for copies. */
static void
judge(Examination *exam, const char *what, int64 expected, int64 found,
	  uint64 expected_hash, uint64 found_hash, int reading_index)
{
	FmVerifyExtent *extent = exam->extent;

	if (expected > found)
		report_missing(exam, what, expected, found,
					   expected_hash - found_hash, reading_index);
	else if (expected < found)
		fm_verify_report(exam->verify, exam->stream, "unexpected",
						 extent->from, extent->to, expected, found,
						 "more %s than the ledger knows of", what);
	else if (expected_hash != found_hash)
		fm_verify_report(exam->verify, exam->stream, "altered",
						 extent->from, extent->to, expected, found,
						 "as many %s as the ledger says, but others", what);
}

/* ----------------------------------------------------------------------
 * Second pass
 * ------------------------------------------------------------------- */

/* Number of an extent in the order of streams and extents. */
static int64
number_of(const FmVerifyStream *stream, const FmVerifyExtent *extent)
{
	return stream->first_number + (extent - stream->extents);
}

static void
collect_row(RowReceiver *self, int32 stream_id, int64 kafka_offset,
			int reading_index)
{
	FmVerifyStream *stream = find_stream(self->verify, stream_id);
	FmVerifyExtent *extent = fm_verify_find_extent(stream, kafka_offset);

	if (!extent || !extent->doubtful)
		return;
	ExecClearTuple(self->slot);
	self->slot->tts_values[0] = Int64GetDatum(number_of(stream, extent));
	self->slot->tts_values[1] = Int64GetDatum(kafka_offset);
	self->slot->tts_values[2] = Int32GetDatum(reading_index);
	memset(self->slot->tts_isnull, false, 3 * sizeof(bool));
	ExecStoreVirtualTuple(self->slot);
	tuplesort_puttupleslot(self->sort, self->slot);
}

static TupleDesc
sort_columns(void)
{
	TupleDesc	columns = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(columns, 1, "extent", INT8OID, -1, 0);
	TupleDescInitEntry(columns, 2, "kafka_offset", INT8OID, -1, 0);
	TupleDescInitEntry(columns, 3, "reading_index", INT4OID, -1, 0);
	return columns;
}

/* Rows of doubtful extents, sorted. */
static Tuplesortstate *
sort_rows(FmVerify *verify, TupleDesc columns)
{
	RowReceiver receiver = {.verify = verify};
	AttrNumber	keys[3] = {1, 2, 3};
	Oid			operators[3] = {Int8LessOperator, Int8LessOperator,
	Int4LessOperator};
	Oid			collations[3] = {InvalidOid, InvalidOid, InvalidOid};
	bool		nulls_first[3] = {false, false, false};

	receiver.sort = tuplesort_begin_heap(columns, 3, keys, operators,
										 collations, nulls_first,
										 maintenance_work_mem, NULL,
										 TUPLESORT_NONE);
	receiver.slot = MakeSingleTupleTableSlot(columns, &TTSOpsVirtual);
	receiver.look = collect_row;
	read_rejects(&receiver);
	read_readings(&receiver);
	ExecDropSingleTupleTableSlot(receiver.slot);
	tuplesort_performsort(receiver.sort);
	return receiver.sort;
}

/* All rows of one offset have been seen. */
static void
finish_offset(Examination *exam)
{
	OffsetRows *rows = &exam->rows;
	int64		distinct = rows->distinct_readings + (rows->rejects > 0);
	int64		all = rows->readings + rows->rejects;

	if (all == 0)
		return;
	if (all > distinct && exam->stream->copies++ < FM_VERIFY_MAX_ROWS)
		fm_verify_report(exam->verify, exam->stream, "copy", rows->offset,
						 rows->offset + 1, distinct, all,
						 rows->rejects > 1 ?
						 "the message is in rejects more than once" :
						 "the reading is stored more than once");
	if (rows->readings > 0 && rows->rejects > 0 &&
		exam->stream->both++ < FM_VERIFY_MAX_ROWS)
		fm_verify_report(exam->verify, exam->stream, "stored and rejected",
						 rows->offset, rows->offset + 1, 1, 2,
						 "the message is in readings and in rejects");
	rows->readings = rows->distinct_readings = rows->rejects = 0;
}

static void
examine_row(Examination *exam, int64 offset, int reading_index)
{
	OffsetRows *rows = &exam->rows;
	bool		same_offset = rows->readings + rows->rejects > 0 &&
		rows->offset == offset;

	if (!same_offset)
	{
		finish_offset(exam);
		if (offset > exam->next)
			offset_set_add(&exam->absent, exam->next, offset,
						   offset - exam->next);
		exam->next = offset + 1;
		rows->offset = offset;
	}
	if (reading_index < 0)
	{
		if (rows->rejects++ == 0)
		{
			exam->distinct.rejected++;
			exam->distinct.reject_hash += fm_offset_hash(offset, -1);
		}
		return;
	}
	if (rows->readings++ == 0 || rows->last_index != reading_index)
	{
		rows->distinct_readings++;
		exam->distinct.readings++;
		exam->distinct.reading_hash += fm_offset_hash(offset, reading_index);
	}
	rows->last_index = reading_index;
}

static void
finish_extent(Examination *exam)
{
	FmVerifyExtent *extent = exam->extent;

	finish_offset(exam);
	if (extent->to > exam->next)
		offset_set_add(&exam->absent, exam->next, extent->to,
					   extent->to - exam->next);
	judge(exam, "readings", extent->expected.readings,
		  exam->distinct.readings, extent->expected.reading_hash,
		  exam->distinct.reading_hash, 0);
	judge(exam, "rejects", extent->expected.rejected,
		  exam->distinct.rejected, extent->expected.reject_hash,
		  exam->distinct.reject_hash, -1);
}

/*
 * Examine one doubtful extent: its rows are next in the sort, whose current
 * row is in slot (empty: no more).
 */
static void
examine_extent(FmVerify *verify, FmVerifyStream *stream,
			   FmVerifyExtent *extent, Tuplesortstate *sort,
			   TupleTableSlot *slot)
{
	Examination exam = {
		.verify = verify,
		.stream = stream,
		.extent = extent,
		.next = extent->from
	};
	int64		number = number_of(stream, extent);

	while (!TTS_EMPTY(slot))
	{
		slot_getallattrs(slot);
		if (DatumGetInt64(slot->tts_values[0]) != number)
			break;
		CHECK_FOR_INTERRUPTS();
		examine_row(&exam, DatumGetInt64(slot->tts_values[1]),
					DatumGetInt32(slot->tts_values[2]));
		(void) tuplesort_gettupleslot(sort, true, false, slot, NULL);
	}
	finish_extent(&exam);
	if (exam.absent.ranges)
		pfree(exam.absent.ranges);
}

/* Extents whose sums differ are doubtful; those not asked for are not. */
static bool
mark_doubtful(FmVerify *verify)
{
	bool		any = false;

	for (int i = 0; i < verify->nstreams; i++)
	{
		FmVerifyStream *stream = &verify->streams[i];

		for (int j = 0; j < stream->nextents; j++)
		{
			FmVerifyExtent *extent = &stream->extents[j];
			FmExtentCounts *expected = &extent->expected;
			FmExtentCounts *found = &extent->found;

			if (expected->readings != found->readings ||
				expected->reading_hash != found->reading_hash ||
				expected->rejected != found->rejected ||
				expected->reject_hash != found->reject_hash)
				extent->doubtful = true;
			extent->doubtful &= extent->selected && !extent->is_gap;
			any |= extent->doubtful;
		}
	}
	return any;
}

static void
report_unlisted(FmVerify *verify, FmVerifyStream *stream,
				const char *problem, int64 n)
{
	if (n > FM_VERIFY_MAX_ROWS)
		fm_verify_report(verify, stream, problem, FM_NO_COUNT, FM_NO_COUNT,
						 FM_NO_COUNT, n - FM_VERIFY_MAX_ROWS,
						 "so many more offsets, not listed");
}

void
fm_verify_examine(FmVerify *verify)
{
	TupleDesc	columns;
	Tuplesortstate *sort;
	TupleTableSlot *slot;

	if (!mark_doubtful(verify))
		return;
	columns = sort_columns();
	sort = sort_rows(verify, columns);
	slot = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
	(void) tuplesort_gettupleslot(sort, true, false, slot, NULL);
	for (int i = 0; i < verify->nstreams; i++)
	{
		FmVerifyStream *stream = &verify->streams[i];

		for (int j = 0; j < stream->nextents; j++)
			if (stream->extents[j].doubtful)
				examine_extent(verify, stream, &stream->extents[j], sort,
							   slot);
		report_unlisted(verify, stream, "copy", stream->copies);
		report_unlisted(verify, stream, "stored and rejected", stream->both);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplesort_end(sort);
}
