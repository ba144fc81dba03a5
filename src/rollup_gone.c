/*-------------------------------------------------------------------------
 *
 * rollup_gone.c
 *	  Taking rollups away: with the readings that they were made of, and by
 *	  their age.
 *
 * The lines.  Once minutes of a time have been dropped, an hour of it cannot be
 * computed anew.  So rollup_progress.minutes_from says from where on minutes
 * are all there.  Behind it a minute that comes late is in addition to its
 * hour, and goes when it has been added: to the hour, as another row of it.
 * hours_from likewise, for hours and days.  They are begins of an hour and of a
 * day in the pipeline's time zone; a partition that is dropped may end in the
 * middle of one, so what it left of that goes with it.
 *
 * So minutes go only when their hours have been computed and nothing behind the
 * line is marked, since all that lies there goes with them; hours when their
 * minutes are gone; days when their hours are.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lmgr.h"

#include "pipeline_internal.h"
#include "rollup_parts.h"
#include "rollup_query.h"

/* ----------------------------------------------------------------------
 * What is gone
 * ------------------------------------------------------------------- */

#define MARK_GONE \
	" INSERT INTO _factorymon.rollup_mark (pipeline_id, sensor_id, bucket)" \
	" SELECT DISTINCT $2, sensor_id, date_bin('15 minutes', bucket," \
	" '2000-01-01 00:00+00') FROM gone"

/*
 * Parts that lie in the range go.  Of a part that reaches beyond it the whole
 * minute of the stream is made anew, from what is left of its rows: not behind
 * the line, where a minute is not all that its hour was made from.
 */
void
fm_rollup_forget(int16 pipeline_id, int32 stream_id, int64 from, int64 to)
{
	FmArgs		args = {0};
	char	   *table = psprintf("_factorymon.rollup_1m_%d", pipeline_id);

	if (!OidIsValid(fm_storage_lock(pipeline_id, "rollup_1m",
									RowExclusiveLock)))
		return;
	fm_args_int4(&args, stream_id);
	/* of a retired stream, the supervisor may be storing what is pending */
	(void) fm_args_run(&args, "SELECT 1 FROM _factorymon.rollup_stream"
					   " WHERE stream_id = $1 FOR UPDATE", SPI_OK_SELECT);
	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, from);
	fm_args_int8(&args, to);
	(void) fm_args_run(&args, psprintf("WITH gone AS (DELETE FROM %s"
									   " WHERE first_stream = $1"
									   " AND from_offset >= $3"
									   " AND to_offset < $4"
									   " RETURNING sensor_id, bucket)"
									   MARK_GONE, table), SPI_OK_INSERT);
	(void) fm_args_run(&args, psprintf("WITH part AS ("
									   "SELECT DISTINCT sensor_id,"
									   " sensor_version_id, bucket FROM %s"
									   " WHERE first_stream = $1"
									   " AND to_offset >= $3"
									   " AND from_offset < $4"
									   " AND bucket >= (SELECT minutes_from"
									   "  FROM _factorymon.rollup_progress"
									   "  WHERE pipeline_id = $2)),"
									   " gone AS (DELETE FROM %s t USING part"
									   " WHERE t.first_stream = $1"
									   " AND t.sensor_id = part.sensor_id"
									   " AND t.sensor_version_id ="
									   "  part.sensor_version_id"
									   " AND t.bucket = part.bucket"
									   " RETURNING t.sensor_id, t.bucket),"
									   " mark AS (" MARK_GONE ") "
									   INSERT_SUMMARIES
									   " FROM (" SUMMARIES " FROM part"
									   " JOIN _factorymon.reading_%d r"
									   " ON r.sensor_id = part.sensor_id"
									   " AND r.sensor_version_id ="
									   "  part.sensor_version_id"
									   " AND r.ts >= part.bucket AND r.ts <"
									   "  part.bucket + interval '1 minute'"
									   " JOIN _factorymon.rollup_stream q"
									   " ON q.stream_id = r.stream_id"
									   " WHERE r.stream_id = $1"
									   " AND (r.flags & 32 <> 0"
									   "  OR r.ts < q.pending_from)"
									   " GROUP BY 1, 2, 3) AS x",
									   table, table, pipeline_id,
									   pipeline_id), SPI_OK_INSERT);
}

/* ----------------------------------------------------------------------
 * What is old
 * ------------------------------------------------------------------- */

/* The begin of the first hour or day at or after a time, of progress g. */
#define NEXT_HOUR(at) \
	"CASE date_trunc('hour', " at ", g.time_zone) WHEN " at " THEN " at \
	" ELSE date_trunc('hour', " at ", g.time_zone) + interval '1 hour' END"
#define NEXT_DAY(at) \
	"CASE date_trunc('day', " at ", g.time_zone) WHEN " at " THEN " at \
	" ELSE ((date_trunc('day', " at ", g.time_zone) AT TIME ZONE g.time_zone)" \
	" + interval '1 day') AT TIME ZONE g.time_zone END"

/* Delete what lies behind a line from the table of a kind. */
static void
delete_behind(int16 pipeline_id, const char *kind, const char *line)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	(void) fm_args_run(&args, psprintf("DELETE FROM _factorymon.%s_%d"
									   " WHERE bucket < (SELECT %s"
									   "  FROM _factorymon.rollup_progress"
									   "  WHERE pipeline_id = $1)",
									   kind, pipeline_id, line),
					   SPI_OK_DELETE);
}

void
fm_rollup_round_lines(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	(void) fm_args_run(&args, "UPDATE _factorymon.rollup_progress g"
					   " SET minutes_from = greatest(x.m, x.h),"
					   " hours_from = x.h"
					   " FROM (SELECT " NEXT_HOUR("g.minutes_from") " AS m,"
					   " " NEXT_DAY("g.hours_from") " AS h"
					   "  FROM _factorymon.rollup_progress g"
					   "  WHERE g.pipeline_id = $1) AS x"
					   " WHERE g.pipeline_id = $1", SPI_OK_UPDATE);
	delete_behind(pipeline_id, "rollup_1m", "minutes_from");
	delete_behind(pipeline_id, "rollup_1h", "hours_from");
}

/* What has to hold before a partition that ends at $2 goes, else it waits. */
typedef struct Condition
{
	const char *kind;
	const char *query;
	const char *reason;
} Condition;

static const Condition conditions[] = {
	{"rollup_1m",
		"SELECT 1 FROM _factorymon.rollup_progress g WHERE pipeline_id = $1"
		" AND " NEXT_HOUR("$2") " <= hours_until AND NOT EXISTS"
		" (SELECT FROM _factorymon.rollup_mark k WHERE k.pipeline_id = $1"
		" AND k.bucket < greatest(" NEXT_HOUR("$2") ", g.minutes_from))"
	" FOR UPDATE", "its hours are not computed yet"},
	{"rollup_1h",
		"SELECT 1 FROM _factorymon.rollup_progress g WHERE pipeline_id = $1"
		" AND " NEXT_DAY("$2") " <= days_until AND NOT EXISTS"
		" (SELECT FROM _factorymon.rollup_mark k WHERE k.pipeline_id = $1"
		" AND k.bucket < greatest(" NEXT_DAY("$2") ", g.minutes_from))"
		" FOR UPDATE",
	"its days are not computed yet"},
	{"rollup_1h",
		"SELECT 1 FROM _factorymon.rollup_progress g WHERE pipeline_id = $1"
		" AND NOT EXISTS (SELECT FROM _factorymon.rollup_1m m"
		" WHERE m.pipeline_id = $1 AND m.bucket < " NEXT_DAY("$2") ")",
	"minutes of that time are there"},
	{"rollup_1d",
		"SELECT 1 WHERE NOT EXISTS (SELECT FROM _factorymon.rollup_1h h"
		" WHERE h.pipeline_id = $1 AND h.bucket < $2)",
	"hours of that time are there"},
};

const char *
fm_rollup_expire(int16 pipeline_id, const char *kind, TimestampTz to)
{
	const char *line = strcmp(kind, "rollup_1m") == 0 ? "minutes_from" :
		strcmp(kind, "rollup_1h") == 0 ? "hours_from" : NULL;
	FmArgs		end = {0};
	FmArgs		args;

	/* from here on nobody stores a mark, or a minute without one */
	(void) fm_storage_lock(pipeline_id, "rollup_1m", AccessExclusiveLock);
	fm_args_int2(&end, pipeline_id);
	fm_args_add(&end, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	for (int i = 0; i < lengthof(conditions); i++)
	{
		args = end;
		if (strcmp(conditions[i].kind, kind) == 0 &&
			fm_args_run(&args, conditions[i].query, SPI_OK_SELECT) == 0)
			return conditions[i].reason;
	}
	if (line == NULL)
		return NULL;
	args = end;
	(void) fm_args_run(&args, psprintf("UPDATE _factorymon.rollup_progress"
									   " SET %s = greatest(%s, $2)"
									   " WHERE pipeline_id = $1", line, line),
					   SPI_OK_UPDATE);
	fm_rollup_round_lines(pipeline_id);
	return NULL;
}

TimestampTz
fm_rollup_minutes_from(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	if (fm_args_run(&args, "SELECT minutes_from FROM _factorymon.rollup_progress"
					" WHERE pipeline_id = $1", SPI_OK_SELECT) == 0)
		return DT_NOBEGIN;
	return fm_spi_int8(0, 1);
}
