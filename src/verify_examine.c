/*-------------------------------------------------------------------------
 *
 * verify_examine.c
 *	  verify_delivery() where sums differ: the second pass.
 *
 * The rows of doubtful extents are read once more and sorted by extent,
 * offset and index (a reject has index -1), on disk if need be.  A walk over
 * them finds copies and offsets both stored and rejected, and compares what
 * is left with the ledger.  What is missing has no row to be found, but its
 * sum of hashes is known, which often tells (offset_set.c).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"

#include "batch.h"
#include "verify.h"

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
 * What is missing
 * ------------------------------------------------------------------- */

/*
 * Fewer rows than the ledger says.  difference is the sum of the hashes of
 * those that are missing.
 */
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
	else if (fm_offset_set_prove(absent, expected - found, difference,
								 reading_index, &missing))
		finding = psprintf("the sums prove which: %s",
						   fm_offset_set_list(&missing));
	else
		finding = psprintf("no row has offset %s; control records, compacted ones and messages without readings are among these too",
						   fm_offset_set_list(absent));
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

/* Take a row into the sort if its extent is doubtful. */
static void
collect_row(FmRowReceiver *self, FmVerifyStream *stream, int64 kafka_offset,
			int reading_index)
{
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
	FmRowReceiver receiver = {.verify = verify};
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
	fm_verify_read_rejects(&receiver);
	fm_verify_read_readings(&receiver);
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

/* The next row of the extent, in order of offset and index. */
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
			fm_offset_set_add(&exam->absent, exam->next, offset,
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

/* All rows of the extent have been seen. */
static void
finish_extent(Examination *exam)
{
	FmVerifyExtent *extent = exam->extent;

	finish_offset(exam);
	if (extent->to > exam->next)
		fm_offset_set_add(&exam->absent, exam->next, extent->to,
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

/* One row for what exceeds the bound of a stream. */
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
