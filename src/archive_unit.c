/*-------------------------------------------------------------------------
 *
 * archive_unit.c
 *	  What is to be archived of a pipeline, and what is known of it.
 *
 * The list of units is made of the bounds of the time partitions and the days of
 * the plant, which have 23 to 25 hours.  A unit is due when its day is over and
 * the local time of the setting has come, or earlier, when retention asks for
 * it.  Every night what was written is compared with the readings again, where
 * something was written to their partition since; where others came, the unit
 * is stale, and a further part of it, again complete, is written.
 *
 * Before a partition is dropped, the rows of each of its units are counted and
 * hashes of all their columns summed up, under the lock that keeps writers out:
 * they must be those of the file.  If they are not, the unit is marked stale,
 * too, and the partition waits.
 *
 * An error is kept with the unit and the next attempt comes after a time that
 * doubles; nothing is dropped meanwhile.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "archive.h"
#include "guc.h"
#include "pipeline_internal.h"

/*
 * Units of partitions $2 (their names) of pipeline $1 by the setting; night: when
 * archives were last due, which is some time of today or yesterday.
 */
#define UNITS \
	"WITH bound AS (" \
	" SELECT c.oid AS partition," \
	" (regexp_match(b, 'FROM \\(''([^'']*)''\\)'))[1]::timestamptz AS a," \
	" (regexp_match(b, 'TO \\(''([^'']*)''\\)'))[1]::timestamptz AS z" \
	" FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid" \
	" CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b" \
	" WHERE i.inhparent = $2 AND c.relkind = 'r'), setting AS (" \
	" SELECT t.*, CASE WHEN n.today > now() THEN n.yesterday ELSE n.today END" \
	"  AS night" \
	" FROM _factorymon.archive_setting t CROSS JOIN LATERAL (SELECT" \
	"  (l.day + t.at) AT TIME ZONE t.time_zone AS today," \
	"  (l.day - interval '1 day' + t.at) AT TIME ZONE t.time_zone AS yesterday" \
	"  FROM date_trunc('day', now() AT TIME ZONE t.time_zone) AS l (day)) AS n" \
	" WHERE t.pipeline_id = $1 AND t.enabled), unit AS (" \
	" SELECT greatest(b.a, d.since) AS since, least(b.z, d.until) AS until," \
	" d.day, d.due, t.time_zone, t.night, b.partition" \
	" FROM setting t CROSS JOIN bound b" \
	" CROSS JOIN LATERAL (SELECT x::date AS day," \
	"  x::timestamp AT TIME ZONE t.time_zone AS since," \
	"  (x + interval '1 day')::timestamp AT TIME ZONE t.time_zone AS until," \
	"  (x + interval '1 day' + t.at)::timestamp AT TIME ZONE t.time_zone AS due" \
	"  FROM generate_series((b.a AT TIME ZONE t.time_zone)::date::timestamp," \
	"  (b.z AT TIME ZONE t.time_zone)::date::timestamp, '1 day') AS x) AS d" \
	" WHERE greatest(b.a, d.since) < least(b.z, d.until))"

/*
 * A file is compared with the readings again, once after each night, where
 * anything was written to the partition since.  What tells that are statistics:
 * they may say so in vain, and are nothing to rely on before readings are
 * dropped.  Where there are none it is compared every night.
 */
static const char due_sql[] =
UNITS " SELECT u.since, u.until, coalesce(n.part, 0) + 1, u.day::text,"
" u.time_zone,"
" to_char(u.since AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"'),"
" x.done IS TRUE AS look, w.activity"
" FROM unit u"
" CROSS JOIN LATERAL (SELECT max(a.part) AS part"
"  FROM _factorymon.archive a WHERE a.pipeline_id = $1"
"  AND a.range_from = u.since) AS n"
" CROSS JOIN LATERAL (SELECT CASE WHEN current_setting('track_counts')::bool"
"  THEN pg_stat_get_tuples_inserted(u.partition)"
"  + pg_stat_get_tuples_updated(u.partition)"
"  + pg_stat_get_tuples_deleted(u.partition) END AS activity) AS w"
" CROSS JOIN LATERAL (SELECT"
"  bool_or(a.wanted) FILTER (WHERE a.open) AS wanted,"
"  bool_and(a.state = 'archived') FILTER (WHERE a.open) AS done,"
"  max(a.retry_at) FILTER (WHERE a.open) AS retry_at,"
"  min(a.checked_at) FILTER (WHERE a.open) AS checked_at,"
"  bool_or(a.restored_at IS NOT NULL) AS restored,"
"  bool_and((a.activity = w.activity) IS TRUE) FILTER (WHERE a.open) AS same"
"  FROM _factorymon.archive a WHERE a.pipeline_id = $1"
"  AND a.range_from = u.since AND a.range_to = u.until) AS x"
" WHERE u.until <= now() AND (u.due <= now() OR x.wanted)"
" AND (x.done IS NOT TRUE"
"  OR (x.checked_at < u.night AND NOT x.restored AND NOT x.same))"
" AND (x.retry_at IS NULL OR x.retry_at <= now())"
" ORDER BY x.done IS TRUE, u.since LIMIT 1";

/* Readings r: how many, and hashes of their numbers and of all their columns. */
#define ROW_SUMS \
	"count(*) AS rows," \
	" coalesce(_factorymon.hash_sum(_factorymon.offset_hash(r.kafka_offset," \
	"  r.reading_index)), 0) AS hash," \
	" coalesce(_factorymon.hash_sum(hash_record_extended(r.*, 0)), 0)" \
	"  AS row_hash"

/* The parts of a range whose rows are there, and what is no file yet. */
#define OPEN_PARTS \
	" WHERE x.pipeline_id = $1 AND x.range_from = $2 AND x.range_to = $3" \
	" AND x.open"

static Oid
storage(int16 pipeline_id)
{
	return fm_storage_relid(pipeline_id, "reading");
}

static uint64
find_due(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(storage(pipeline->id)), false);
	return fm_args_run(&args, due_sql, SPI_OK_SELECT);
}

bool
fm_archive_is_due(const FmPipeline *pipeline)
{
	FmOwnerScope scope;
	bool		due;

	fm_owner_begin(&scope);
	SPI_connect();
	due = find_due(pipeline) > 0;
	SPI_finish();
	fm_owner_end(&scope);
	return due;
}

/*
 * What tells the names of this database's files from those of a copy of it that
 * was restored from a dump, under the same name even.
 */
static uint32
database_tag(void)
{
	uint64		ids[2] = {GetSystemIdentifier(), MyDatabaseId};

	return DatumGetUInt32(hash_any((const unsigned char *) ids, sizeof(ids)));
}

/* What all names of a pipeline's files begin with that were written here. */
static char *
name_prefix(const FmPipeline *pipeline)
{
	/* the number tells a pipeline from a former one of that name */
	return psprintf("%s_%s_%d-%08x_",
					fm_archive_encode(get_database_name(MyDatabaseId)),
					fm_archive_encode(pipeline->name), pipeline->id,
					database_tag());
}

bool
fm_archive_next(const FmPipeline *pipeline, FmArchiveUnit *unit,
				MemoryContext context)
{
	MemoryContext old;
	bool		isnull;

	if (find_due(pipeline) == 0)
		return false;
	old = MemoryContextSwitchTo(context);
	unit->from = DatumGetTimestampTz(fm_spi_value(0, 1, &isnull));
	unit->to = DatumGetTimestampTz(fm_spi_value(0, 2, &isnull));
	unit->part = fm_spi_int4(0, 3);
	unit->day = fm_spi_text(0, 4);
	unit->time_zone = fm_spi_text(0, 5);
	unit->stem = psprintf("%s%s_%s_part%d", name_prefix(pipeline), unit->day,
						  fm_spi_text(0, 6), unit->part);
	unit->written = DatumGetBool(fm_spi_value(0, 7, &isnull));
	unit->activity = DatumGetInt64(fm_spi_value(0, 8, &isnull));
	unit->activity_known = !isnull;
	MemoryContextSwitchTo(old);
	return true;
}

static void
unit_args(FmArgs *args, int16 pipeline_id, const FmArchiveUnit *unit)
{
	fm_args_int2(args, pipeline_id);
	fm_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->from), false);
	fm_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->to), false);
}

/*
 * Files whose range lies within what newer ones have are done with: former parts
 * of the same unit, and units of another time zone or partition interval.
 */
static void
supersede(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	(void) fm_args_run(&args, "UPDATE _factorymon.archive a SET"
					   " state = 'superseded', wanted = false, error = NULL,"
					   " retry_at = NULL, restored_at = NULL,"
					   " restored_by = NULL"
					   " WHERE a.pipeline_id = $1 AND a.open"
					   " AND a.file IS NOT NULL"
					   " AND tstzrange(a.range_from, a.range_to) <@"
					   " (SELECT range_agg(tstzrange(b.range_from, b.range_to))"
					   "  FROM _factorymon.archive b WHERE b.pipeline_id = $1"
					   "  AND b.open AND b.state = 'archived'"
					   "  AND b.written_at > a.written_at"
					   "  AND b.range_from < a.range_to"
					   "  AND b.range_to > a.range_from)", SPI_OK_UPDATE);
}

void
fm_archive_written(int16 pipeline_id, const FmArchiveUnit *unit,
				   const FmArchiveSums *sums, int64 bytes,
				   const char *manifest_hash)
{
	FmArgs		args = {0};

	unit_args(&args, pipeline_id, unit);
	(void) fm_args_run(&args, "DELETE FROM _factorymon.archive x"
					   " WHERE x.pipeline_id = $1 AND x.range_from = $2"
					   " AND x.range_to = $3 AND x.file IS NULL",
					   SPI_OK_DELETE);
	fm_args_int4(&args, unit->part);
	fm_args_text(&args, unit->stem);
	fm_args_int8(&args, sums->rows);
	fm_args_int8(&args, sums->hash);
	fm_args_text(&args, sums->contents);
	fm_args_int8(&args, bytes);
	fm_args_text(&args, manifest_hash);
	fm_args_int8(&args, sums->row_hash);
	fm_args_add(&args, INT8OID, Int64GetDatum(unit->activity),
				!unit->activity_known);
	/* what was restored stays so */
	(void) fm_args_run(&args, "INSERT INTO _factorymon.archive"
					   " (pipeline_id, range_from, range_to, part, state,"
					   " file, rows, hash, checksum, bytes, manifest_sha256,"
					   " row_hash, activity, written_at, checked_at,"
					   " restored_at, restored_by)"
					   " SELECT $1, $2, $3, $4, 'archived', $5, $6, $7, $8, $9,"
					   " $10, $11, $12, clock_timestamp(), clock_timestamp(),"
					   " max(x.restored_at), max(x.restored_by)"
					   " FROM _factorymon.archive x WHERE x.pipeline_id = $1"
					   " AND x.range_from < $3 AND x.range_to > $2 AND x.open",
					   SPI_OK_INSERT);
	supersede(pipeline_id);
}

void
fm_archive_compare(int16 pipeline_id, const FmArchiveUnit *unit)
{
	FmArgs		args = {0};

	unit_args(&args, pipeline_id, unit);
	fm_args_add(&args, INT8OID, Int64GetDatum(unit->activity),
				!unit->activity_known);
	(void) fm_args_run(&args, psprintf("WITH kept AS (SELECT"
									   " sum(x.rows) AS rows,"
									   " _factorymon.hash_sum(x.hash) AS hash,"
									   " _factorymon.hash_sum(x.row_hash)"
									   "  AS row_hash"
									   " FROM _factorymon.archive x" OPEN_PARTS
									   "), present AS (SELECT " ROW_SUMS
									   " FROM _factorymon.reading_%d r"
									   " WHERE r.ts >= $2 AND r.ts < $3)"
									   " UPDATE _factorymon.archive x SET"
									   " checked_at = clock_timestamp(),"
									   " activity = $4, attempts = 0,"
									   " retry_at = NULL,"
									   " error = CASE WHEN x.attempts = 0"
									   "  THEN x.error END,"
									   " state = CASE WHEN (k.rows, k.hash,"
									   "  k.row_hash) IS NOT DISTINCT FROM"
									   "  (p.rows, p.hash, p.row_hash)"
									   "  THEN x.state ELSE 'stale' END"
									   " FROM kept k, present p" OPEN_PARTS,
									   pipeline_id), SPI_OK_UPDATE);
}

void
fm_archive_failed(int16 pipeline_id, const FmArchiveUnit *unit,
				  const char *error)
{
	FmArgs		args = {0};

	unit_args(&args, pipeline_id, unit);
	fm_args_text(&args, error);
	fm_args_int4(&args, fm_restart_delay_min);
	fm_args_int4(&args, fm_restart_delay_max);
	/* what could only not be compared is still archived */
	if (fm_args_run(&args, psprintf("UPDATE _factorymon.archive x SET"
									" state = %s, error = $4,"
									" attempts = x.attempts + 1,"
									" retry_at = clock_timestamp() + least($6,"
									"  $5 * 2 ^ least(x.attempts, 20))"
									"  * interval '1 millisecond'" OPEN_PARTS,
									unit->written ? "x.state" : "'failed'"),
					SPI_OK_UPDATE) == 0)
		(void) fm_args_run(&args, "INSERT INTO _factorymon.archive"
						   " (pipeline_id, range_from, range_to, part, state,"
						   " error, attempts, retry_at)"
						   " SELECT p.pipeline_id, $2, $3, 0, 'failed', $4, 1,"
						   " clock_timestamp() + least($5, $6)"
						   "  * interval '1 millisecond'"
						   " FROM _factorymon.pipeline p"
						   " WHERE p.pipeline_id = $1", SPI_OK_INSERT);
}

List *
fm_archive_superseded(const FmPipeline *pipeline, MemoryContext context)
{
	MemoryContext old;
	FmArgs		args = {0};
	List	   *stems = NIL;
	uint64		n;

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, name_prefix(pipeline));
	/* those of the database that this one is a copy of are not ours */
	n = fm_args_run(&args, "SELECT file FROM _factorymon.archive"
					" WHERE pipeline_id = $1 AND state = 'superseded'"
					" AND starts_with(file, $2)", SPI_OK_SELECT);
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < n; i++)
		stems = lappend(stems, fm_spi_text(i, 1));
	MemoryContextSwitchTo(old);
	return stems;
}

void
fm_archive_forget(int16 pipeline_id, const char *stem)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, stem);
	(void) fm_args_run(&args, "DELETE FROM _factorymon.archive"
					   " WHERE pipeline_id = $1 AND file = $2"
					   " AND state = 'superseded'", SPI_OK_DELETE);
}

void
fm_archive_setting_changed(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	(void) fm_args_run(&args, "DELETE FROM _factorymon.archive"
					   " WHERE pipeline_id = $1 AND file IS NULL",
					   SPI_OK_DELETE);
	(void) fm_args_run(&args, "UPDATE _factorymon.archive SET state = 'stale',"
					   " error = NULL, attempts = 0, retry_at = NULL,"
					   " wanted = false"
					   " WHERE pipeline_id = $1 AND state = 'failed'",
					   SPI_OK_UPDATE);
}

/* ----------------------------------------------------------------------
 * Before a partition is dropped
 * ------------------------------------------------------------------- */

/* Units of the partition whose file is not of the rows that are there. */
static const char unsafe_sql[] =
UNITS ", present AS (SELECT u.since, u.until, s.rows, s.hash, s.row_hash"
" FROM unit u CROSS JOIN LATERAL (SELECT " ROW_SUMS
" FROM ONLY %s r"
"  WHERE r.ts >= u.since AND r.ts < u.until) AS s"
" WHERE u.until <= $3"
" AND u.since >= (SELECT max(b.a) FROM bound b WHERE b.z = $3))"
" SELECT p.since, p.until FROM present p"
" CROSS JOIN LATERAL (SELECT sum(x.rows) AS rows,"
"  _factorymon.hash_sum(x.hash) AS hash,"
"  _factorymon.hash_sum(x.row_hash) AS row_hash,"
"  bool_and(x.state = 'archived') AS done FROM _factorymon.archive x"
"  WHERE x.pipeline_id = $1 AND x.range_from = p.since"
"  AND x.range_to = p.until AND x.open) AS x"
" WHERE p.rows > 0"
"  AND (x.rows, x.hash, x.row_hash, x.done)"
"  IS DISTINCT FROM (p.rows, p.hash, p.row_hash, true)"
" LIMIT 1";

/* The archiver is to write that unit, again if need be, and at once. */
static void
want_unit(int16 pipeline_id, Datum from, Datum to)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, from, false);
	fm_args_add(&args, TIMESTAMPTZOID, to, false);
	if (fm_args_run(&args, "UPDATE _factorymon.archive x SET wanted = true,"
					" state = CASE WHEN x.state = 'archived' THEN 'stale'"
					" ELSE x.state END" OPEN_PARTS, SPI_OK_UPDATE) == 0)
		(void) fm_args_run(&args, "INSERT INTO _factorymon.archive"
						   " (pipeline_id, range_from, range_to, part, state,"
						   " wanted) VALUES ($1, $2, $3, 0, 'stale', true)",
						   SPI_OK_INSERT);
}

void
fm_archive_dropped(int16 pipeline_id, TimestampTz from, TimestampTz to)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(from), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	(void) fm_args_run(&args, "UPDATE _factorymon.archive SET"
					   " dropped_at = now() WHERE pipeline_id = $1"
					   " AND range_from >= $2 AND range_to <= $3"
					   " AND open AND file IS NOT NULL",
					   SPI_OK_UPDATE);
	/* of what had no reading no file is needed any more, if one failed */
	(void) fm_args_run(&args, "DELETE FROM _factorymon.archive"
					   " WHERE pipeline_id = $1"
					   " AND range_from >= $2 AND range_to <= $3"
					   " AND open AND file IS NULL",
					   SPI_OK_DELETE);
}

const char *
fm_archive_forbids(int16 pipeline_id, const char *partition, TimestampTz to)
{
	FmArgs		args = {0};
	bool		isnull;

	/* restored rows stay also where archiving has been switched off */
	fm_args_int2(&args, pipeline_id);
	if (fm_args_run(&args, psprintf("SELECT 1 FROM _factorymon.archive x"
									" WHERE x.pipeline_id = $1"
									" AND x.restored_at IS NOT NULL"
									" AND EXISTS (SELECT FROM ONLY %s r"
									"  WHERE r.ts >= x.range_from"
									"  AND r.ts < x.range_to) LIMIT 1",
									partition), SPI_OK_SELECT) > 0)
		return "it was restored from the archive, and not released since";
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(storage(pipeline_id)), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	if (fm_args_run(&args, psprintf(unsafe_sql, partition),
					SPI_OK_SELECT) == 0)
		return NULL;
	want_unit(pipeline_id, fm_spi_value(0, 1, &isnull),
			  fm_spi_value(0, 2, &isnull));
	return "it is not archived yet";
}
