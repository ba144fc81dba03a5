/*-------------------------------------------------------------------------
 *
 * purge.c
 *	  purge_suspect(): remove what may have come from another log.
 *
 * When the log under a topic's name turns out to be another one, what was
 * stored above the last proven message stays in the old stream, in ledger
 * rows of kind suspect.  Once a person has looked at it, this removes the
 * readings, scores and rejects of those offsets, and the ledger rows become
 * gaps, so that every offset stays accounted for.  Only streams that have been
 * retired are touched: nobody writes to them any more.
 *
 * The position rows are locked first, as everybody does who changes the
 * ledger below a position.  Alarm transitions stay: they were announced.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "rollup_parts.h"

PG_FUNCTION_INFO_V1(factorymon_purge_suspect);

/* $1 pipeline, $2 partition or null */
#define SUSPECTS \
	"FROM _factorymon.ledger l" \
	" JOIN _factorymon.stream s USING (stream_id)" \
	" WHERE l.pipeline_id = $1 AND l.kind = 'suspect'" \
	" AND s.pipeline_id = $1 AND s.retired_at IS NOT NULL" \
	" AND ($2::integer IS NULL OR s.kafka_partition = $2)"

static const char lock_sql[] =
"SELECT 1 FROM _factorymon.partition_offset p"
" WHERE p.stream_id IN (SELECT l.stream_id " SUSPECTS ")"
" ORDER BY p.stream_id FOR NO KEY UPDATE OF p";

/* Neighbours as one, so that the readings are searched through less often. */
static const char ranges_sql[] =
"SELECT stream_id, min(from_offset), max(to_offset) FROM ("
" SELECT stream_id, from_offset, to_offset,"
"  sum(begins::integer) OVER w AS run FROM ("
"  SELECT l.stream_id, l.from_offset, l.to_offset,"
"   lag(l.to_offset) OVER (PARTITION BY l.stream_id ORDER BY l.from_offset)"
"   IS DISTINCT FROM l.from_offset AS begins " SUSPECTS ") AS marked"
" WINDOW w AS (PARTITION BY stream_id ORDER BY from_offset)) AS numbered"
" GROUP BY stream_id, run ORDER BY 1, 2";

static const char gap_sql[] =
"UPDATE _factorymon.ledger_%d SET kind = 'gap', messages = 0, rejected = 0,"
" other = 0, suppressed = 0, readings = 0, reading_hash = 0,"
" reject_hash = 0, duplicates = 0, reason = $4"
" WHERE stream_id = $1 AND kind = 'suspect'"
" AND from_offset >= $2 AND to_offset <= $3";

static const char adjustments_sql[] =
"DELETE FROM _factorymon.ledger_%d"
" WHERE stream_id = $1 AND kind IN ('adjust', 'expired')"
" AND from_offset >= $2 AND to_offset <= $3";

typedef struct Range
{
	int32		stream_id;
	int64		from;
	int64		to;
} Range;

/* Delete the rows of one kind of table in a range. */
static uint64
delete_rows(const FmPipeline *pipeline, const char *table,
			const Range *range)
{
	FmArgs		args = {0};

	fm_args_int4(&args, range->stream_id);
	fm_args_int8(&args, range->from);
	fm_args_int8(&args, range->to);
	return fm_args_run(&args, psprintf("DELETE FROM _factorymon.%s_%d"
									   " WHERE stream_id = $1"
									   " AND kafka_offset >= $2"
									   " AND kafka_offset < $3",
									   table, pipeline->id),
					   SPI_OK_DELETE);
}

/* The ledger rows of a range hold nothing any more. */
static void
make_gap(const FmPipeline *pipeline, const Range *range, const char *reason)
{
	FmArgs		args = {0};

	fm_args_int4(&args, range->stream_id);
	fm_args_int8(&args, range->from);
	fm_args_int8(&args, range->to);
	(void) fm_args_run(&args, psprintf(adjustments_sql, pipeline->id),
					   SPI_OK_DELETE);
	fm_args_text(&args, reason);
	(void) fm_args_run(&args, psprintf(gap_sql, pipeline->id),
					   SPI_OK_UPDATE);
}

/* Lock the streams and find what is suspect in them. */
static Range *
find_ranges(FmArgs *args, int *nranges)
{
	uint64		n;
	Range	   *ranges;

	(void) fm_args_run(args, lock_sql, SPI_OK_SELECT);
	n = fm_args_run(args, ranges_sql, SPI_OK_SELECT);
	ranges = palloc(sizeof(Range) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		ranges[i].stream_id = fm_spi_int4(i, 1);
		ranges[i].from = fm_spi_int8(i, 2);
		ranges[i].to = fm_spi_int8(i, 3);
	}
	*nranges = (int) n;
	return ranges;
}

/* Leave a trace of who did it. */
static void
record_event(const FmPipeline *pipeline, FmArgs *args, Oid user, int64 gone)
{
	bool		all = args->nulls[1] == 'n';
	int32		partition = all ? 0 : DatumGetInt32(args->values[1]);

	fm_event_record(pipeline->id, NULL, "purge", all ? NULL : &partition,
					all ? 0 : 1,
					psprintf("suspect offsets purged by %s: " INT64_FORMAT
							 " readings and rejects removed",
							 GetUserNameFromId(user, false), gone));
}

/* factorymon.purge_suspect(pipeline text, kafka_partition int) */
Datum
factorymon_purge_suspect(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmArgs		args = {0};
	int64		gone = 0;
	FmPipeline *pipeline;
	FmOwnerScope scope;
	Range	   *ranges;
	int			nranges;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_args_int2(&args, pipeline->id);
	fm_args_add(&args, INT4OID, PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	ranges = find_ranges(&args, &nranges);
	for (int i = 0; i < nranges; i++)
	{
		CHECK_FOR_INTERRUPTS();
		gone += delete_rows(pipeline, "reading", &ranges[i]);
		gone += delete_rows(pipeline, "reject", &ranges[i]);
		(void) delete_rows(pipeline, "score", &ranges[i]);
		/* what is gone is to be taken in if it comes again */
		(void) delete_rows(pipeline, "reading_key", &ranges[i]);
		(void) delete_rows(pipeline, "duplicate", &ranges[i]);
		fm_rollup_forget(pipeline->id, ranges[i].stream_id, ranges[i].from,
						 ranges[i].to);
		make_gap(pipeline, &ranges[i],
				 psprintf("purged by %s", GetUserNameFromId(user, false)));
	}
	if (nranges > 0)
		record_event(pipeline, &args, user, gone);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT64(gone);
}
