/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  verify_delivery(): does the database hold what the ledger says?
 *
 * The tables are compared with the extents, not the ledger with itself:
 *
 * - the rows of the ledger and the open extent must tile the offsets of
 *   each stream up to its position ('uncovered', 'overlap', 'position');
 * - each extent must hold as many readings and rejects as it says, and the
 *   sums of their hashes must agree ('missing', 'unexpected', 'altered');
 * - no offset is stored twice ('copy'), nor both stored and rejected
 *   ('stored and rejected');
 * - no row lies outside every extent or in a gap ('outside').
 *
 * What retention removed is in the ledger as expired, and is not missing.
 * Offsets without any row are legal (control records of transactions,
 * compaction, messages without readings), so what is missing is reported as
 * the extent; where the sums prove which offsets they are, the detail says
 * so.
 *
 * Everything is read with one snapshot (SPI with read_only = true takes the
 * active one and no other), in which a batch is either whole or not there at
 * all.  So ingest may go on meanwhile; nothing is locked but against the
 * dropping of partitions.  The snapshot is taken after those locks: a
 * partition that retention drops in between would be missed together with
 * the ledger row that says so.  (Under REPEATABLE READ the snapshot is the
 * transaction's, so then it should be the first statement.)
 *
 * The rows are read once, in no order (verify_rows.c).  Only where an
 * extent is in doubt are its rows read again and sorted.  Memory is bounded
 * by the size of the ledger plus maintenance_work_mem.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdarg.h>

#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "ledger.h"
#include "pipeline_internal.h"
#include "verify.h"

PG_FUNCTION_INFO_V1(factorymon_verify_delivery);

#define REPORT_COLUMNS 9

/* Columns of extents_sql. */
enum
{
	COL_STREAM = 1,
	COL_KIND,
	COL_OPEN,
	COL_FROM,
	COL_TO,
	COL_MESSAGES,
	COL_REJECTED,
	COL_OTHER,
	COL_SUPPRESSED,
	COL_READINGS,
	COL_READING_HASH,
	COL_REJECT_HASH,
	COL_REASON,
	COL_OPENED_AT,
	COL_CLOSED_AT,
	COL_DUPLICATES
};

/* What covers offsets comes first, in order; then the adjustments. */
static const char extents_sql[] =
"SELECT * FROM ("
"SELECT stream_id, kind, false AS open, from_offset, to_offset, messages,"
" rejected, other, suppressed, readings, reading_hash, reject_hash, reason,"
" opened_at, closed_at, duplicates"
" FROM _factorymon.ledger WHERE pipeline_id = %d"
" UNION ALL"
" SELECT p.stream_id, 'extent', true, extent_from, position,"
" extent_messages, extent_rejected, extent_other, extent_suppressed,"
" extent_readings, extent_reading_hash, extent_reject_hash, NULL,"
" extent_opened_at, 'infinity', extent_duplicates"
" FROM _factorymon.partition_offset p"
" JOIN _factorymon.stream s USING (stream_id)"
" WHERE s.pipeline_id = %d) AS l"
" ORDER BY kind IN ('adjust', 'expired'), from_offset, to_offset, open";

static const char streams_sql[] =
"SELECT s.stream_id, s.topic, s.kafka_partition, s.incarnation"
" FROM _factorymon.stream s WHERE s.pipeline_id = %d"
" ORDER BY s.topic, s.kafka_partition, s.incarnation";

/* Rows that contradict each other or their stream, in the words to use. */
static const char positions_sql[] =
"SELECT s.stream_id, p.position,"
" CASE WHEN p.stream_id IS NULL THEN 'the stream has no position'"
"  WHEN p.position < p.extent_from"
"   THEN 'the position lies below the open extent, which begins at '"
"    || p.extent_from"
"  WHEN p.last_offset >= p.position"
"   THEN 'the last message delivered has offset ' || p.last_offset"
"  WHEN p.anchor_offset >= p.position"
"   THEN 'the anchor has offset ' || p.anchor_offset"
"  WHEN p.position > p.extent_from AND p.fold_position < p.position"
"   THEN 'readings were evaluated only up to ' || p.fold_position"
"  WHEN p.snapshot_position > p.fold_position"
"   THEN 'the snapshot is ahead of the fold, at ' || p.snapshot_position"
" END"
" FROM _factorymon.stream s"
" LEFT JOIN _factorymon.partition_offset p USING (stream_id)"
" WHERE s.pipeline_id = %d";

static const char twins_sql[] =
"SELECT min(stream_id), count(*) FROM _factorymon.stream"
" WHERE pipeline_id = %d AND retired_at IS NULL"
" GROUP BY topic, kafka_partition HAVING count(*) > 1";

/* ----------------------------------------------------------------------
 * Reporting
 * ------------------------------------------------------------------- */

/* A count of the result; FM_NO_COUNT is null. */
static void
put_count(Datum *values, bool *nulls, int column, int64 count)
{
	nulls[column] = count == FM_NO_COUNT;
	values[column] = Int64GetDatum(count);
}

/* Add one row to the result. */
void
fm_verify_report(FmVerify *verify, const FmVerifyStream *stream,
				 const char *problem, int64 from, int64 to, int64 expected,
				 int64 found, const char *format,...)
{
	Datum		values[REPORT_COLUMNS] = {0};
	bool		nulls[REPORT_COLUMNS] = {false};
	char		detail[1024];
	va_list		args;

	va_start(args, format);
	(void) vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);

	nulls[0] = nulls[1] = nulls[2] = stream->topic == NULL;
	if (stream->topic)
		values[0] = CStringGetTextDatum(stream->topic);
	values[1] = Int32GetDatum(stream->partition);
	values[2] = Int32GetDatum(stream->incarnation);
	values[3] = CStringGetTextDatum(problem);
	put_count(values, nulls, 4, from);
	put_count(values, nulls, 5, to);
	put_count(values, nulls, 6, expected);
	put_count(values, nulls, 7, found);
	values[8] = CStringGetTextDatum(detail);
	tuplestore_putvalues(verify->result->setResult, verify->result->setDesc,
						 values, nulls);
}

/* ----------------------------------------------------------------------
 * Loading streams and ledger
 * ------------------------------------------------------------------- */

/* Run a query about this pipeline with the statement's own snapshot. */
static uint64
query(const FmVerify *verify, const char *format)
{
	char		sql[2048];
	int			id = verify->pipeline->id;

	/* no format names the pipeline more than twice */
	snprintf(sql, sizeof(sql), format, id, id);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the ledger");
	return SPI_processed;
}

static int
compare_stream_ids(const void *a, const void *b)
{
	int32		left = (*(FmVerifyStream *const *) a)->stream_id;
	int32		right = (*(FmVerifyStream *const *) b)->stream_id;

	return (left > right) - (left < right);
}

/* All streams of the pipeline, live and retired, in order of display. */
static void
load_streams(FmVerify *verify)
{
	uint64		n = query(verify, streams_sql);

	verify->nstreams = (int) n;
	verify->streams = palloc0(sizeof(FmVerifyStream) * (n + 1));
	verify->by_id = palloc(sizeof(FmVerifyStream *) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		FmVerifyStream *stream = &verify->streams[i];

		stream->stream_id = fm_spi_int4(i, 1);
		stream->topic = fm_spi_text(i, 2);
		stream->partition = fm_spi_int4(i, 3);
		stream->incarnation = fm_spi_int4(i, 4);
		verify->by_id[i] = stream;
	}
	qsort(verify->by_id, n, sizeof(FmVerifyStream *), compare_stream_ids);
	verify->unknown.stream_id = -1;
	SPI_freetuptable(SPI_tuptable);
}

/* The stream of that id; the unknown one if it is not of this pipeline. */
static FmVerifyStream *
find_stream(FmVerify *verify, int32 stream_id)
{
	FmVerifyStream wanted = {.stream_id = stream_id};
	FmVerifyStream *key = &wanted;
	FmVerifyStream **found = bsearch(&key, verify->by_id, verify->nstreams,
									 sizeof(FmVerifyStream *),
									 compare_stream_ids);

	return found ? *found : &verify->unknown;
}

static void
read_counts(uint64 row, FmExtentCounts *counts)
{
	counts->messages = fm_spi_int8(row, COL_MESSAGES);
	counts->rejected = fm_spi_int8(row, COL_REJECTED);
	counts->other = fm_spi_int8(row, COL_OTHER);
	counts->suppressed = fm_spi_int8(row, COL_SUPPRESSED);
	counts->readings = fm_spi_int8(row, COL_READINGS);
	counts->reading_hash = (uint64) fm_spi_int8(row, COL_READING_HASH);
	counts->reject_hash = (uint64) fm_spi_int8(row, COL_REJECT_HASH);
	counts->duplicates = fm_spi_int8(row, COL_DUPLICATES);
}

/* A row of the result that covers offsets. */
static void
add_extent(FmVerify *verify, FmVerifyStream *stream, uint64 row,
		   const char *kind)
{
	FmVerifyExtent *extent;
	int64		counted;

	if (stream->nextents == stream->allocated)
	{
		stream->allocated = Max(16, stream->allocated * 2);
		stream->extents = stream->extents ?
			repalloc_huge(stream->extents,
						  sizeof(FmVerifyExtent) * stream->allocated) :
			palloc(sizeof(FmVerifyExtent) * stream->allocated);
	}
	extent = &stream->extents[stream->nextents++];
	memset(extent, 0, sizeof(*extent));
	extent->from = fm_spi_int8(row, COL_FROM);
	extent->to = fm_spi_int8(row, COL_TO);
	extent->is_gap = strcmp(kind, "gap") == 0;
	extent->is_open = fm_spi_bool(row, COL_OPEN);
	extent->reason = fm_spi_text(row, COL_REASON);
	extent->selected = !verify->restricted ||
		(fm_spi_int8(row, COL_OPENED_AT) <= verify->until &&
		 fm_spi_int8(row, COL_CLOSED_AT) >= verify->since);
	read_counts(row, &extent->expected);
	verify->booked_rejects += extent->expected.rejected;
	counted = extent->expected.messages + extent->expected.rejected +
		extent->expected.other + extent->expected.duplicates;
	if (counted > Max(extent->to - extent->from, 0) && extent->selected)
		fm_verify_report(verify, stream, "overfull", extent->from,
						 extent->to, extent->to - extent->from, counted,
						 "the ledger counts more messages than there are offsets");
}

/* A row of the result that corrects an extent. */
static void
add_adjustment(FmVerify *verify, FmVerifyStream *stream, uint64 row,
			   const char *kind)
{
	int64		from = fm_spi_int8(row, COL_FROM);
	int64		to = fm_spi_int8(row, COL_TO);
	FmVerifyExtent *extent = fm_verify_find_extent(stream, from);
	FmExtentCounts counts;

	if (!extent || extent->is_gap || to > extent->to)
	{
		fm_verify_report(verify, stream, "adjustment", from, to,
						 FM_NO_COUNT, FM_NO_COUNT,
						 "a ledger row of kind %s lies within no extent",
						 kind);
		return;
	}
	read_counts(row, &counts);
	extent->expected.messages += counts.messages;
	extent->expected.rejected += counts.rejected;
	extent->expected.other += counts.other;
	extent->expected.duplicates += counts.duplicates;
	extent->expected.suppressed += counts.suppressed;
	extent->expected.readings += counts.readings;
	extent->expected.reading_hash += counts.reading_hash;
	extent->expected.reject_hash += counts.reject_hash;
}

/*
 * Ledger and open extents.  What covers offsets comes first, so adjustments
 * find their extents.
 */
static void
load_extents(FmVerify *verify)
{
	uint64		n = query(verify, extents_sql);
	int64		number = 0;

	for (uint64 i = 0; i < n; i++)
	{
		FmVerifyStream *stream = find_stream(verify,
											 fm_spi_int4(i, COL_STREAM));
		char	   *kind = fm_spi_text(i, COL_KIND);

		CHECK_FOR_INTERRUPTS();
		if (stream == &verify->unknown)
			fm_verify_report(verify, stream, "no stream",
							 fm_spi_int8(i, COL_FROM), fm_spi_int8(i, COL_TO),
							 FM_NO_COUNT, FM_NO_COUNT,
							 "the ledger names stream %d, which is not one of this pipeline",
							 fm_spi_int4(i, COL_STREAM));
		else if (strcmp(kind, "adjust") == 0 || strcmp(kind, "expired") == 0)
			add_adjustment(verify, stream, i, kind);
		else
			add_extent(verify, stream, i, kind);
		pfree(kind);
	}
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < verify->nstreams; i++)
	{
		verify->streams[i].first_number = number;
		number += verify->streams[i].nextents;
	}
}

/* ----------------------------------------------------------------------
 * Positions and tiling
 * ------------------------------------------------------------------- */

/* Position rows that are missing, or contradict themselves. */
static void
check_positions(FmVerify *verify)
{
	uint64		n = query(verify, positions_sql);

	for (uint64 i = 0; i < n; i++)
	{
		char	   *detail = fm_spi_text(i, 3);
		bool		no_row;
		int64		position = DatumGetInt64(fm_spi_value(i, 2, &no_row));

		if (detail)
			fm_verify_report(verify, find_stream(verify, fm_spi_int4(i, 1)),
							 "position", no_row ? FM_NO_COUNT : position,
							 FM_NO_COUNT, FM_NO_COUNT, FM_NO_COUNT, "%s",
							 detail);
	}
	SPI_freetuptable(SPI_tuptable);

	n = query(verify, twins_sql);
	for (uint64 i = 0; i < n; i++)
		fm_verify_report(verify, find_stream(verify, fm_spi_int4(i, 1)),
						 "twin streams", FM_NO_COUNT, FM_NO_COUNT, 1,
						 fm_spi_int8(i, 2),
						 "more than one stream of this partition is live");
	SPI_freetuptable(SPI_tuptable);
}

/* Extents and gaps of a stream must follow each other. */
static void
check_tiling(FmVerify *verify, FmVerifyStream *stream)
{
	int64		next = stream->nextents > 0 ? stream->extents[0].from : 0;
	bool		selected = false;

	for (int i = 0; i < stream->nextents; i++)
	{
		FmVerifyExtent *extent = &stream->extents[i];

		selected |= extent->selected;
		if (extent->to < extent->from)
		{
			/* an open one is reported by its position */
			if (!extent->is_open && selected)
				fm_verify_report(verify, stream, "overlap", extent->from,
								 extent->to, FM_NO_COUNT, FM_NO_COUNT,
								 "a ledger row ends before it begins");
		}
		else if (extent->from > next && selected)
			fm_verify_report(verify, stream, "uncovered", next, extent->from,
							 FM_NO_COUNT, FM_NO_COUNT,
							 "the ledger does not account for these offsets");
		else if (extent->from < next && selected)
			fm_verify_report(verify, stream, "overlap", extent->from,
							 Min(next, extent->to), FM_NO_COUNT, FM_NO_COUNT,
							 "the ledger accounts for these offsets twice");
		next = Max(next, extent->to);
		selected = extent->selected;
	}
}

/* ----------------------------------------------------------------------
 * Rows outside
 * ------------------------------------------------------------------- */

/* Rows of one kind that no extent of their stream accounts for. */
static void
report_outside(FmVerify *verify, FmVerifyStream *stream, FmOffsetSet *set,
			   const char *what)
{
	int64		more = set->dropped;

	fm_offset_set_normalize(set);
	for (int i = 0; i < set->n; i++)
	{
		FmOffsetRange *range = &set->ranges[i];
		FmVerifyExtent *gap = fm_verify_find_extent(stream, range->from);

		if (i >= FM_VERIFY_MAX_ROWS)
			more += range->rows;
		else if (gap)
			fm_verify_report(verify, stream, "outside", range->from,
							 range->to, 0, range->rows, "%s in a gap (%s)",
							 what, gap->reason ? gap->reason : "no reason");
		else
			fm_verify_report(verify, stream, "outside", range->from,
							 range->to, 0, range->rows, "%s %s", what,
							 stream->topic ? "that no extent accounts for" :
							 "of a stream that this pipeline does not know");
	}
	if (more > 0)
		fm_verify_report(verify, stream, "outside", FM_NO_COUNT, FM_NO_COUNT,
						 0, more, "more %s outside, not listed", what);
}

/* ----------------------------------------------------------------------
 * The function
 * ------------------------------------------------------------------- */

/* Keep the partitions of one kind until the end of the transaction. */
static void
lock_partitions(const FmPipeline *pipeline, const char *kind)
{
	Oid			relid = fm_storage_relid(pipeline->id, kind);

	if (OidIsValid(relid))
	{
		LockRelationOid(relid, AccessShareLock);
		list_free(find_all_inheritors(relid, AccessShareLock, NULL));
	}
}

/* The whole of it, within SPI; see the top of the file for the order. */
static void
run(FmVerify *verify)
{
	load_streams(verify);
	load_extents(verify);
	check_positions(verify);
	for (int i = 0; i < verify->nstreams; i++)
		check_tiling(verify, &verify->streams[i]);
	fm_verify_scan(verify);
	fm_verify_examine(verify);
	for (int i = 0; i <= verify->nstreams; i++)
	{
		FmVerifyStream *stream = i < verify->nstreams ?
			&verify->streams[i] : &verify->unknown;

		report_outside(verify, stream, &stream->outside_readings,
					   "readings");
		report_outside(verify, stream, &stream->outside_rejects, "rejects");
	}
}

/*
 * Compiling the scan of each of many partitions costs more than it gains.
 */
static void
switch_jit_off(void)
{
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * factorymon.verify_delivery(pipeline text, "from" timestamptz,
 *							  "to" timestamptz)
 */
Datum
factorymon_verify_delivery(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmOwnerScope scope;
	FmVerify	verify;
	FmPipeline *pipeline;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "reader");
	memset(&verify, 0, sizeof(verify));
	verify.pipeline = pipeline;
	verify.restricted = !PG_ARGISNULL(1) || !PG_ARGISNULL(2);
	verify.since = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1);
	verify.until = PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2);
	InitMaterializedSRF(fcinfo, 0);
	verify.result = (ReturnSetInfo *) fcinfo->resultinfo;

	fm_owner_begin(&scope);
	switch_jit_off();
	lock_partitions(pipeline, "reading");
	lock_partitions(pipeline, "reject");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	verify.context = CurrentMemoryContext;
	run(&verify);
	SPI_finish();
	PopActiveSnapshot();
	fm_owner_end(&scope);
	return (Datum) 0;
}
