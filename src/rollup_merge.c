/*-------------------------------------------------------------------------
 *
 * rollup_merge.c
 *	  Hours from minutes, and days from hours.
 *
 * An hour is computed when it is over, for all sensors at once, and again for
 * each sensor whose minutes in it change afterwards.  Until when hours are
 * computed is rollup_progress.hours_until; who changes minutes before
 * marked_from leaves a mark in the same transaction.  In the views, hours that
 * are marked and those that are not computed yet come from the minutes.  Days
 * likewise, from hours, up to days_until.
 *
 * Moving the line.  A transaction that stores minutes behind the old line must
 * not be overlooked by the computation that moves it.  So marked_from moves
 * first, in a transaction of its own, under SHARE on the table of minutes:
 * whoever stores minutes holds ROW EXCLUSIVE there before looking at the line.
 * So those before us are committed and will be seen, and those after us mark.
 * Everybody who wants to write queues behind that wish for a lock, so it is
 * given up after a short time and tried again on the next run.
 *
 * Then one transaction with one snapshot takes the marks that it sees away,
 * computes what they stand for, and the new hours: a mark that it does not
 * see, together with the change that it stands for, waits for the next run.
 * Time partitions that it needs are made by the first transaction, and where
 * it makes any the second one waits for the next run: a query that was planned
 * before there was a partition would miss what came to lie there.
 *
 * The time zone.  Hours and days begin where they do on the clocks of the
 * plant, so that in a zone half an hour off, hours do so, too, and a day has
 * 23 to 25 of them when clocks are changed.  Another zone has everything
 * computed anew from the minutes, in one transaction.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "rollup_parts.h"

PG_FUNCTION_INFO_V1(factorymon_merge_rollups);

/* How long everybody may queue behind our wish to move the line, ms. */
#define LINE_LOCK_TIMEOUT 200

/* A moment after the hour, most readings of it are there. */
#define SETTLE "2 minutes"

/* What two levels have in common, and the one made from the other. */
#define COLUMNS \
	"first_ts, last_ts, first_offset, last_offset, mean, m2, min, max," \
	" first, last, sensor_version_id, n, n_bad, n_warning, n_critical," \
	" first_stream, last_stream, first_index, last_index"

#define INSERT_MERGED \
	"INSERT INTO _factorymon.%s_%d (bucket, sensor_id, pipeline_id, " COLUMNS \
	") SELECT bucket, sensor_id, $1, (m).* FROM (" \
	" SELECT date_trunc('%s', t.bucket, $2) AS bucket, t.sensor_id," \
	" _factorymon.rollup(t.first_ts, t.last_ts, t.first_offset," \
	" t.last_offset, t.mean, t.m2, t.min, t.max, t.first, t.last," \
	" t.sensor_version_id, t.n, t.n_bad, t.n_warning, t.n_critical," \
	" t.first_stream, t.last_stream, t.first_index, t.last_index) AS m" \
	" FROM %s GROUP BY 1, 2, t.sensor_version_id) AS x"

#define THE_LINE \
	"(SELECT %s FROM _factorymon.rollup_progress WHERE pipeline_id = $1)"

/* One level made from the one below it. */
typedef struct Level
{
	const char *table;
	const char *source;
	const char *unit;
	const char *until;			/* column of rollup_progress */
	const char *end;			/* of the bucket that begins at k.b */
	const char *line;			/* the source is all there from here on */
} Level;

static const Level hours = {"rollup_1h", "rollup_1m", "hour", "hours_until",
"k.b + interval '1 hour'", "minutes_from"};
static const Level days = {"rollup_1d", "rollup_1h", "day", "days_until",
"((k.b AT TIME ZONE $2) + interval '1 day') AT TIME ZONE $2", "hours_from"};

/* One run for a pipeline. */
typedef struct Merge
{
	int16		id;
	FmArgs		args;			/* pipeline, time zone */
	TimestampTz line;			/* hours are computed up to here */
	int64		written;
} Merge;

/* ----------------------------------------------------------------------
 * Transactions
 * ------------------------------------------------------------------- */

static void
begin(FmOwnerScope *scope, bool one_snapshot)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	BeginTransactionBlock();
	CommitTransactionCommand();
	StartTransactionCommand();
	if (one_snapshot)
		XactIsoLevel = XACT_REPEATABLE_READ;
	PushActiveSnapshot(GetTransactionSnapshot());
	fm_owner_begin(scope);
	SPI_connect();
}

static void
commit(FmOwnerScope *scope)
{
	SPI_finish();
	fm_owner_end(scope);
	PopActiveSnapshot();
	(void) EndTransactionBlock(false);
	CommitTransactionCommand();
}

/* ----------------------------------------------------------------------
 * The line
 * ------------------------------------------------------------------- */

/* Time partitions for buckets that begin in [from, to). */
static void
ensure(int16 pipeline_id, const Level *level, TimestampTz from,
	   TimestampTz to)
{
	while (from < to)
	{
		TimestampTz ignored;

		(void) fm_partition_ensure(pipeline_id, level->table, 0, from);
		fm_partition_ensured_range(&ignored, &from);
	}
}

/* Time partitions for all that is to be computed; true: some were missing. */
static bool
make_partitions(int16 pipeline_id)
{
	uint64		nmade = fm_partition_number_made();
	FmArgs		args = {0};
	bool		isnull;
	TimestampTz from;
	TimestampTz to;

	fm_args_int2(&args, pipeline_id);
	(void) fm_args_run(&args, "SELECT min(b) - interval '1 day', max(b)"
					   " FROM (SELECT bucket FROM _factorymon.rollup_mark"
					   "  WHERE pipeline_id = $1 UNION ALL"
					   "  SELECT unnest(ARRAY[days_until, marked_from])"
					   "  FROM _factorymon.rollup_progress"
					   "  WHERE pipeline_id = $1) AS x(b)", SPI_OK_SELECT);
	(void) fm_spi_value(0, 1, &isnull);
	if (isnull)
		return false;
	from = fm_spi_int8(0, 1);
	to = fm_spi_int8(0, 2);
	ensure(pipeline_id, &hours, from, to);
	ensure(pipeline_id, &days, from, to);
	return fm_partition_number_made() != nmade;
}

/*
 * Move marked_from to the begin of the present hour, if that is another one;
 * true if there is something to compute.  The lock stays until the end of the
 * transaction.
 */
static bool
move_line(int16 pipeline_id)
{
	FmArgs		args = {0};
	FmPipeline *pipeline = fm_pipeline_load(pipeline_id);
	bool		found;
	bool		moves;

	if (pipeline == NULL)
		return false;
	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->time_zone);
	found = fm_args_run(&args, "SELECT g.marked_from < date_trunc('hour',"
						" now() - interval '" SETTLE "', $2)"
						" OR g.hours_until < g.marked_from"
						" OR g.time_zone <> $2 OR EXISTS"
						" (SELECT FROM _factorymon.rollup_mark k"
						"  WHERE k.pipeline_id = $1),"
						" g.marked_from < date_trunc('hour',"
						" now() - interval '" SETTLE "', $2)"
						" FROM _factorymon.rollup_progress g"
						" WHERE g.pipeline_id = $1", SPI_OK_SELECT) > 0 &&
		fm_spi_bool(0, 1);
	moves = found && fm_spi_bool(0, 2);
	if (moves && OidIsValid(fm_storage_lock(pipeline->id, "rollup_1m",
											ShareLock)))
		(void) fm_args_run(&args, "UPDATE _factorymon.rollup_progress"
						   " SET marked_from = date_trunc('hour',"
						   " now() - interval '" SETTLE "', $2)"
						   " WHERE pipeline_id = $1", SPI_OK_UPDATE);
	return found;
}

/* The same, where a lock or a partition that is missing means: next time. */
static bool
try_to_move_line(int16 pipeline_id)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool found = false;

	PG_TRY();
	{
		FmOwnerScope scope;

		begin(&scope, false);
		fm_lock_timeout_limit(LINE_LOCK_TIMEOUT);
		found = move_line(pipeline_id) && !make_partitions(pipeline_id);
		commit(&scope);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return found;
}

/* ----------------------------------------------------------------------
 * Computing
 * ------------------------------------------------------------------- */

static void
ensure_all(const Merge *merge, const Level *level)
{
	FmArgs		none = {0};
	bool		isnull;

	(void) fm_args_run(&none, psprintf("SELECT min(bucket) - interval '1 day',"
									   " max(bucket) + interval '1 minute'"
									   " FROM _factorymon.%s_%d",
									   level->source, merge->id),
					   SPI_OK_SELECT);
	(void) fm_spi_value(0, 1, &isnull);
	if (!isnull)
		ensure(merge->id, level, fm_spi_int8(0, 1), fm_spi_int8(0, 2));
}

/* What is over by now and was not yet when this was done last. */
static void
compute_new(Merge *merge, const Level *level)
{
	int16		id = merge->id;
	FmArgs		args = merge->args;
	TimestampTz from;
	TimestampTz to;

	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(merge->line),
				false);
	(void) fm_args_run(&args, psprintf("SELECT %s, date_trunc('%s', $3, $2)"
									   " FROM _factorymon.rollup_progress"
									   " WHERE pipeline_id = $1",
									   level->until, level->unit),
					   SPI_OK_SELECT);
	from = fm_spi_int8(0, 1);
	to = fm_spi_int8(0, 2);
	if (from >= to)
		return;
	ensure(merge->id, level, from, to);
	args = merge->args;
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(from), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	merge->written += (int64)
		fm_args_run(&args, psprintf(INSERT_MERGED, level->table, id,
									level->unit,
									psprintf("_factorymon.%s_%d t"
											 " WHERE t.bucket >= $3"
											 " AND t.bucket < $4",
											 level->source, id)),
					SPI_OK_INSERT);
	(void) fm_args_run(&args, psprintf("UPDATE _factorymon.rollup_progress"
									   " SET %s = $4 WHERE pipeline_id = $1",
									   level->until), SPI_OK_UPDATE);
}

/*
 * The buckets of one level that a marked time lies in, before the line up to
 * which the level is computed: their number; k.sensor_id and k.bucket of the
 * temporary rows in two arrays, which follow as $3 and $4.
 */
static bool
marked_buckets(const Merge *merge, const Level *level, Datum sensors,
			   Datum buckets, FmArgs *result)
{
	FmArgs		args = merge->args;
	bool		isnull;

	fm_args_add(&args, INT4ARRAYOID, sensors, false);
	fm_args_add(&args, TIMESTAMPTZARRAYOID, buckets, false);
	(void) fm_args_run(&args, psprintf("SELECT array_agg(s), array_agg(b),"
									   " min(b), max(b) + interval '1 minute'"
									   " FROM (SELECT DISTINCT u.s,"
									   " date_trunc('%s', u.b, $2) AS b"
									   " FROM unnest($3, $4) AS u(s, b)"
									   " JOIN _factorymon.rollup_progress g"
									   " ON g.pipeline_id = $1"
									   " AND u.b < g.%s"
									   " ORDER BY 1, 2) AS x",
									   level->unit, level->until),
					   SPI_OK_SELECT);
	sensors = fm_spi_value(0, 1, &isnull);
	if (isnull)
		return false;
	buckets = fm_spi_value(0, 2, &isnull);
	*result = merge->args;
	fm_args_add(result, INT4ARRAYOID, sensors, false);
	fm_args_add(result, TIMESTAMPTZARRAYOID, buckets, false);
	ensure(merge->id, level, fm_spi_int8(0, 3), fm_spi_int8(0, 4));
	return true;
}

/*
 * Compute anew what marks stand for.  Behind the line the source is not all
 * there: what is, is added to the level, and goes (see rollup_gone.c).
 */
static void
compute_marked(Merge *merge, const Level *level, Datum sensors, Datum buckets)
{
	int16		id = merge->id;
	FmArgs		args;

	if (!marked_buckets(merge, level, sensors, buckets, &args))
		return;
	(void) fm_args_run(&args, psprintf("DELETE FROM _factorymon.%s_%d t"
									   " USING unnest($3, $4) AS k(s, b)"
									   " WHERE t.sensor_id = k.s"
									   " AND t.bucket = k.b AND k.b >="
									   " " THE_LINE, level->table, id,
									   level->line), SPI_OK_DELETE);
	merge->written += (int64)
		fm_args_run(&args, psprintf(INSERT_MERGED, level->table, id,
									level->unit,
									psprintf("unnest($3, $4) AS k(s, b)"
											 " JOIN _factorymon.%s_%d t"
											 " ON t.sensor_id = k.s"
											 " AND t.bucket >= k.b"
											 " AND t.bucket < %s",
											 level->source, id, level->end)),
					SPI_OK_INSERT);
	(void) fm_args_run(&args, psprintf("DELETE FROM _factorymon.%s_%d t"
									   " USING unnest($3, $4) AS k(s, b)"
									   " WHERE t.sensor_id = k.s"
									   " AND t.bucket >= k.b AND t.bucket < %s"
									   " AND k.b < " THE_LINE, level->source,
									   id, level->end, level->line),
					   SPI_OK_DELETE);
}

/* Take the marks, and compute what they stand for. */
static void
take_marks(Merge *merge)
{
	FmArgs		args = {0};
	Datum		sensors;
	Datum		buckets;
	bool		isnull;

	fm_args_int2(&args, merge->id);
	(void) fm_args_run(&args, "WITH gone AS"
					   " (DELETE FROM _factorymon.rollup_mark"
					   "  WHERE pipeline_id = $1 RETURNING sensor_id, bucket)"
					   " SELECT array_agg(sensor_id), array_agg(bucket)"
					   " FROM gone", SPI_OK_SELECT);
	sensors = fm_spi_value(0, 1, &isnull);
	if (isnull)
		return;
	buckets = fm_spi_value(0, 2, &isnull);
	compute_marked(merge, &hours, sensors, buckets);
	compute_marked(merge, &days, sensors, buckets);
}

/* Another time zone: away with everything that can be computed anew. */
static void
change_time_zone(Merge *merge)
{
	FmArgs		args = merge->args;
	int16		id = merge->id;

	for (int i = 0; i < 2; i++)
	{
		const Level *level = i == 0 ? &hours : &days;
		FmArgs		own = {0};

		fm_args_int2(&own, id);
		(void) fm_args_run(&own, psprintf("DELETE FROM _factorymon.%s_%d"
										  " WHERE bucket >= " THE_LINE,
										  level->table, id, level->line),
						   SPI_OK_DELETE);
		ensure_all(merge, level);
		merge->written += (int64)
			fm_args_run(&args, psprintf(INSERT_MERGED, level->table, id,
										level->unit,
										psprintf("_factorymon.%s_%d t"
												 " JOIN _factorymon.rollup_progress g"
												 " ON g.pipeline_id = $1"
												 " AND t.bucket < date_trunc('%s',"
												 "  g.hours_until, $2)"
												 " AND t.bucket >= g.%s",
												 level->source, id,
												 level->unit, level->line)),
						SPI_OK_INSERT);
		(void) fm_args_run(&args, psprintf("UPDATE _factorymon.rollup_progress"
										   " SET %s = date_trunc('%s',"
										   " hours_until, $2)"
										   " WHERE pipeline_id = $1",
										   level->until, level->unit),
						   SPI_OK_UPDATE);
	}
	(void) fm_args_run(&args, "UPDATE _factorymon.rollup_progress"
					   " SET time_zone = $2 WHERE pipeline_id = $1",
					   SPI_OK_UPDATE);
	fm_rollup_round_lines(id);
}

/* Streams that were replaced by another log have no owner who would do it. */
static void
finish_retired(const Merge *merge)
{
	FmArgs		args = {0};
	uint64		n;
	int32	   *streams;
	TimestampTz *from;

	fm_args_int2(&args, merge->id);
	n = fm_args_run(&args, "SELECT q.stream_id, q.pending_from"
					" FROM _factorymon.rollup_stream q"
					" JOIN _factorymon.stream s USING (stream_id)"
					" WHERE s.pipeline_id = $1 AND s.retired_at IS NOT NULL"
					" AND q.pending_from < 'infinity' FOR UPDATE OF q",
					SPI_OK_SELECT);
	streams = palloc(sizeof(int32) * (n + 1));
	from = palloc(sizeof(TimestampTz) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		streams[i] = fm_spi_int4(i, 1);
		from[i] = fm_spi_int8(i, 2);
	}
	for (uint64 i = 0; i < n; i++)
	{
		fm_rollup_rebuild(merge->id, streams[i], from[i], DT_NOEND,
						  PG_INT64_MAX);
		fm_rollup_set_pending_from(streams[i], DT_NOEND);
	}
}

static void
compute(Merge *merge)
{
	FmPipeline *pipeline = fm_pipeline_load(merge->id);
	FmArgs		args = {0};
	char	   *time_zone;

	/* what it was configured to be when we came here may be old */
	if (pipeline == NULL)
		return;
	fm_args_int2(&args, merge->id);
	merge->args = args;
	if (fm_args_run(&args, "SELECT marked_from, time_zone"
					" FROM _factorymon.rollup_progress"
					" WHERE pipeline_id = $1 FOR UPDATE", SPI_OK_SELECT) == 0)
		return;
	merge->line = fm_spi_int8(0, 1);
	time_zone = fm_spi_text(0, 2);
	fm_args_text(&merge->args, time_zone);
	/* first: the lines may move past what is marked now */
	take_marks(merge);
	if (strcmp(time_zone, pipeline->time_zone) != 0)
	{
		merge->args = args;
		fm_args_text(&merge->args, pipeline->time_zone);
		change_time_zone(merge);
	}
	compute_new(merge, &hours);
	compute_new(merge, &days);
}

int64
fm_rollup_merge_run(int16 pipeline_id)
{
	Merge		merge = {.id = pipeline_id};
	FmOwnerScope scope;

	Assert(!IsTransactionState());
	begin(&scope, false);
	finish_retired(&merge);
	commit(&scope);
	if (!try_to_move_line(pipeline_id))
		return 0;
	begin(&scope, true);
	compute(&merge);
	commit(&scope);
	return merge.written;
}

/*
 * _factorymon.merge_rollups(pipeline text) RETURNS bigint
 *		The same at once, in the caller's transaction, for people: who wants
 *		to store minutes meanwhile waits, and a lock that cannot be had is an
 *		error.
 */
Datum
factorymon_merge_rollups(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmPipeline *pipeline;
	Merge		merge = {0};
	FmOwnerScope scope;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");
	merge.id = pipeline->id;
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	(void) fm_storage_lock(pipeline->id, "rollup_1m", ShareRowExclusiveLock);
	finish_retired(&merge);
	(void) move_line(pipeline->id);
	compute(&merge);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT64(merge.written);
}
