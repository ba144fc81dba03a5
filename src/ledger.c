/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  Every offset accounted for.  Meanings of rows and columns: ledger.h.
 *
 * The rows of a stream tile its offsets: from the first one on, extents,
 * gaps and suspect extents follow each other without hole or overlap up to
 * partition_offset.extent_from, where the open extent begins, which reaches
 * up to the position.  Adjustments lie within an extent and change its
 * sums.  Whoever changes the tiling, or adds an adjustment that rests on it,
 * holds the lock of the stream's position row; retention alone does not: it
 * only adds rows of kind expired, and merging leaves those alone but for
 * adding them up.
 *
 * An extent never grows over the anchor of its stream (see question.c): what
 * lies above the anchor may yet turn out to be of another log, and then it
 * becomes suspect extent by extent.  So merging stops there too.
 *
 * Sums of hashes are modulo 2^64, kept as signed bigint; the aggregate
 * _factorymon.hash_sum() adds them up.
 *
 * Rows are read through _factorymon.ledger and written to the pipeline's own
 * table, ledger_N.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "batch.h"
#include "guc.h"
#include "ledger.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_offset_hash);
PG_FUNCTION_INFO_V1(factorymon_hash_add);
PG_FUNCTION_INFO_V1(factorymon_merge_ledger);

#define COUNT_COLUMNS \
	"messages, rejected, other, suppressed, readings, reading_hash, " \
	"reject_hash, duplicates"

/* Move the open extent into the ledger and open an empty one. */
static const char close_sql[] =
"WITH closed AS ("
" INSERT INTO _factorymon.ledger_%d (pipeline_id, stream_id, from_offset,"
"  to_offset, kind, " COUNT_COLUMNS ", reason, opened_at, closed_at)"
" SELECT $1, stream_id, extent_from, position, $3, extent_messages,"
"  extent_rejected, extent_other, extent_suppressed, extent_readings,"
"  extent_reading_hash, extent_reject_hash, extent_duplicates, $4,"
"  extent_opened_at, now()"
" FROM _factorymon.partition_offset"
" WHERE stream_id = $2 AND position > extent_from)"
" UPDATE _factorymon.partition_offset SET extent_from = position,"
"  extent_opened_at = now(), extent_messages = 0, extent_rejected = 0,"
"  extent_other = 0, extent_suppressed = 0, extent_readings = 0,"
"  extent_reading_hash = 0, extent_reject_hash = 0,"
"  closed_duplicates = closed_duplicates + extent_duplicates,"
"  extent_duplicates = 0"
" WHERE stream_id = $2";

static const char add_sql[] =
"INSERT INTO _factorymon.ledger_%d (pipeline_id, stream_id, from_offset,"
" to_offset, kind, " COUNT_COLUMNS ", reason, opened_at, closed_at)"
" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
"  now(), now())";

/*
 * Runs of neighbours to be merged, for one stream: rows whose run has but
 * one member stay as they are.  Old: closed more than a day ago, and wholly
 * below the anchor.
 */
#define OLD_EXTENTS \
	"SELECT l.stream_id, l.from_offset, l.to_offset," \
	" date_trunc('day', l.closed_at, 'UTC') AS day" \
	" FROM _factorymon.ledger l" \
	" JOIN _factorymon.partition_offset p USING (stream_id)" \
	" WHERE l.pipeline_id = $1 AND l.kind = 'extent'" \
	" AND l.closed_at < date_trunc('day', now(), 'UTC')" \
	" AND (p.anchor_offset IS NULL" \
	"      OR l.to_offset <= p.anchor_offset + 1)"

/* A row begins a run unless the row before it ends where it begins. */
#define NUMBERED_EXTENTS \
	"SELECT *, lag(to_offset) OVER w IS DISTINCT FROM from_offset" \
	" OR lag(day) OVER w IS DISTINCT FROM day AS begins" \
	" FROM (" OLD_EXTENTS ") AS old" \
	" WINDOW w AS (PARTITION BY stream_id ORDER BY from_offset)"

static const char mergeable_sql[] =
"SELECT stream_id FROM (" NUMBERED_EXTENTS ") AS numbered"
" WHERE NOT begins GROUP BY stream_id ORDER BY stream_id";

/* Each run of rows (runs: run_from, run_to) becomes one extent, and one row of
 * what expired of it; $1 is the pipeline. */
#define MERGE_RUNS(reason, stream) \
	" gone AS (" \
	" DELETE FROM _factorymon.ledger_%d l USING runs r" \
	" WHERE l.pipeline_id = $1 AND l.stream_id = " stream "" \
	" AND l.kind IN ('extent', 'adjust', 'expired')" \
	" AND l.from_offset >= r.run_from AND l.to_offset <= r.run_to" \
	" RETURNING r.run_from, r.run_to, l.*)," \
	" merged AS (" \
	" INSERT INTO _factorymon.ledger_%d (pipeline_id, stream_id, from_offset," \
	"  to_offset, kind, " COUNT_COLUMNS ", reason, opened_at, closed_at)" \
	" SELECT $1, " stream ", run_from, run_to," \
	"  CASE kind WHEN 'expired' THEN 'expired' ELSE 'extent' END AS new_kind," \
	"  sum(messages), sum(rejected), sum(other), sum(suppressed)," \
	"  sum(readings), _factorymon.hash_sum(reading_hash)," \
	"  _factorymon.hash_sum(reject_hash), sum(duplicates), " reason "," \
	"  coalesce(min(opened_at) FILTER (WHERE kind = 'extent')," \
	"           min(opened_at))," \
	"  coalesce(max(closed_at) FILTER (WHERE kind = 'extent')," \
	"           max(closed_at))" \
	" FROM gone GROUP BY run_from, run_to, new_kind RETURNING 1)" \
	" SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM merged)"

static const char merge_sql[] =
"WITH numbered AS ("
" SELECT from_offset, to_offset,"
"  sum(begins::integer) OVER (ORDER BY from_offset) AS run"
" FROM (" NUMBERED_EXTENTS ") AS n WHERE stream_id = $2),"
" runs AS ("
" SELECT min(from_offset) AS run_from, max(to_offset) AS run_to"
" FROM numbered GROUP BY run HAVING count(*) > 1),"
MERGE_RUNS("'merged'", "$2");

/*
 * Rows that account for nothing that is stored any more: closed before $2, all
 * of their readings and rejects expired, and wholly below the anchor.
 */
#define SPENT_EXTENTS \
	"SELECT l.stream_id, l.from_offset, l.to_offset" \
	" FROM _factorymon.ledger l" \
	" JOIN _factorymon.partition_offset p USING (stream_id)" \
	" CROSS JOIN LATERAL (" \
	"  SELECT coalesce(sum(a.readings), 0) AS readings," \
	"  coalesce(sum(a.rejected), 0) AS rejected" \
	"  FROM _factorymon.ledger a" \
	"  WHERE a.pipeline_id = $1 AND a.stream_id = l.stream_id" \
	"  AND a.kind IN ('adjust', 'expired')" \
	"  AND a.from_offset >= l.from_offset" \
	"  AND a.to_offset <= l.to_offset) AS a" \
	" WHERE l.pipeline_id = $1 AND l.kind = 'extent'" \
	" AND l.closed_at < $2 AND l.readings + a.readings = 0" \
	" AND l.rejected + a.rejected = 0" \
	" AND (p.anchor_offset IS NULL" \
	"      OR l.to_offset <= p.anchor_offset + 1)"

#define SPENT_RUNS \
	"SELECT stream_id, min(from_offset) AS run_from," \
	" max(to_offset) AS run_to FROM (" \
	"  SELECT *, sum(begins::integer) OVER w AS run FROM (" \
	"   SELECT *, lag(to_offset) OVER w IS DISTINCT FROM from_offset" \
	"    AS begins FROM (" SPENT_EXTENTS ") AS spent" \
	"    WINDOW w AS (PARTITION BY stream_id ORDER BY from_offset)) AS marked" \
	"  WINDOW w AS (PARTITION BY stream_id ORDER BY from_offset)) AS numbered" \
	" GROUP BY stream_id, run HAVING count(*) > 1"

static const char spent_sql[] =
"SELECT DISTINCT stream_id FROM (" SPENT_RUNS ") AS runs ORDER BY stream_id";

static const char expire_sql[] =
"WITH runs AS (SELECT * FROM (" SPENT_RUNS ") AS r WHERE stream_id = $3),"
MERGE_RUNS("'expired'", "$3");

void
fm_ledger_close(int16 pipeline_id, int32 stream_id, const char *kind,
				const char *reason)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int4(&args, stream_id);
	fm_args_text(&args, kind);
	fm_args_text(&args, reason);
	if (fm_args_run(&args, psprintf(close_sql, pipeline_id),
					SPI_OK_UPDATE) != 1)
		elog(ERROR, "position row of stream %d is gone", stream_id);
}

void
fm_ledger_add(int16 pipeline_id, int32 stream_id, int64 from_offset,
			  int64 to_offset, const char *kind,
			  const FmExtentCounts *counts, const char *reason)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int4(&args, stream_id);
	fm_args_int8(&args, from_offset);
	fm_args_int8(&args, to_offset);
	fm_args_text(&args, kind);
	fm_args_int8(&args, counts->messages);
	fm_args_int8(&args, counts->rejected);
	fm_args_int8(&args, counts->other);
	fm_args_int8(&args, counts->suppressed);
	fm_args_int8(&args, counts->readings);
	fm_args_int8(&args, (int64) counts->reading_hash);
	fm_args_int8(&args, (int64) counts->reject_hash);
	fm_args_int8(&args, counts->duplicates);
	fm_args_text(&args, reason);
	(void) fm_args_run(&args, psprintf(add_sql, pipeline_id), SPI_OK_INSERT);
}

/*
 * Merge within one stream.  The lock is taken by a statement of its own, so
 * that the merging statement's snapshot is later than the lock.
 */
static int64
merge_stream(const char *sql, FmArgs *args, int16 pipeline_id,
			 int32 stream_id)
{
	FmArgs		lock = {0};

	fm_args_int4(&lock, stream_id);
	if (fm_args_run(&lock, "SELECT 1 FROM _factorymon.partition_offset"
					" WHERE stream_id = $1 FOR NO KEY UPDATE SKIP LOCKED",
					SPI_OK_SELECT) == 0)
		return 0;
	(void) fm_args_run(args, psprintf(sql, pipeline_id, pipeline_id),
					   SPI_OK_SELECT);
	return fm_spi_int8(0, 1);
}

/*
 * Merge what find_sql names streams of.  Both statements take args; the second
 * one the stream as the last.
 */
static int64
merge_streams(const char *find_sql, const char *sql, const FmArgs *args,
			  int16 pipeline_id)
{
	FmArgs		find = *args;
	int			guc_nestlevel = NewGUCNestLevel();
	int64		gone = 0;
	uint64		n;
	int32	   *streams;

	fm_lock_timeout_limit(fm_lock_timeout);
	n = fm_args_run(&find, find_sql, SPI_OK_SELECT);
	streams = palloc(sizeof(int32) * (n + 1));
	for (uint64 i = 0; i < n; i++)
		streams[i] = fm_spi_int4(i, 1);
	for (uint64 i = 0; i < n; i++)
	{
		FmArgs		merge = *args;

		fm_args_int4(&merge, streams[i]);
		gone += merge_stream(sql, &merge, pipeline_id, streams[i]);
	}
	pfree(streams);
	AtEOXact_GUC(true, guc_nestlevel);
	return gone;
}

int64
fm_ledger_merge(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	return merge_streams(mergeable_sql, merge_sql, &args, pipeline_id);
}

int64
fm_ledger_expire(int16 pipeline_id, TimestampTz cutoff)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cutoff), false);
	return merge_streams(spent_sql, expire_sql, &args, pipeline_id);
}

/* _factorymon.offset_hash(kafka_offset bigint, reading_index int) */
Datum
factorymon_offset_hash(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) fm_offset_hash(PG_GETARG_INT64(0),
										   PG_GETARG_INT32(1)));
}

/* State transition of _factorymon.hash_sum(bigint): addition modulo 2^64 */
Datum
factorymon_hash_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) ((uint64) PG_GETARG_INT64(0) +
							 (uint64) PG_GETARG_INT64(1)));
}

/*
 * _factorymon.merge_ledger(pipeline text) RETURNS bigint
 *		What the supervisor does now and then, for people, at once.
 */
Datum
factorymon_merge_ledger(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmOwnerScope scope;
	FmPipeline *pipeline;
	int64		gone;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");
	fm_owner_begin(&scope);
	SPI_connect();
	gone = fm_ledger_merge(pipeline->id);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT64(gone);
}
