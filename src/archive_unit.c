/*-------------------------------------------------------------------------
 *
 * archive_unit.c
 *	  What is to be archived of a pipeline, and what came of it.
 *
 * The list of units is made of the bounds of the time partitions and the days of
 * the plant, which have 23 to 25 hours.  A unit is due when its day is over and
 * the local time of the setting has come, or earlier, when retention asks for
 * it; and again when retention finds that rows came since.  Each is one transaction with one snapshot.
 *
 * Before a partition is dropped, the rows of each of its units are counted
 * and hashes of all their columns summed up, under the lock that keeps writers out:
 * they must be those of the file.  If they are not, the unit is marked stale, a further part is
 * written by the archiver, and the partition waits.
 *
 * An error is kept with the unit and the next attempt comes after a time that
 * doubles; nothing is dropped meanwhile.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "guc.h"
#include "pipeline_internal.h"

typedef struct Unit
{
	TimestampTz from;
	TimestampTz to;
	int			part;
	char	   *stem;			/* file name without what follows the dot */
	char	   *day;
	char	   *time_zone;
} Unit;

/*
 * Units of partitions $2 (their names) of pipeline $1 by the setting; ok: its
 * file is complete as far as is known.
 */
#define UNITS \
	"WITH bound AS (" \
	" SELECT (regexp_match(b, 'FROM \\(''([^'']*)''\\)'))[1]::timestamptz AS a," \
	" (regexp_match(b, 'TO \\(''([^'']*)''\\)'))[1]::timestamptz AS z" \
	" FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid" \
	" CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b" \
	" WHERE i.inhparent = $2 AND c.relkind = 'r'), unit AS (" \
	" SELECT greatest(b.a, d.since) AS since, least(b.z, d.until) AS until," \
	" d.day, d.due, t.time_zone" \
	" FROM _factorymon.archive_setting t CROSS JOIN bound b" \
	" CROSS JOIN LATERAL (SELECT x::date AS day," \
	"  x::timestamp AT TIME ZONE t.time_zone AS since," \
	"  (x + interval '1 day')::timestamp AT TIME ZONE t.time_zone AS until," \
	"  (x + interval '1 day' + t.at)::timestamp AT TIME ZONE t.time_zone AS due" \
	"  FROM generate_series((b.a AT TIME ZONE t.time_zone)::date::timestamp," \
	"  (b.z AT TIME ZONE t.time_zone)::date::timestamp, '1 day') AS x) AS d" \
	" WHERE t.pipeline_id = $1 AND t.enabled" \
	" AND greatest(b.a, d.since) < least(b.z, d.until))"

static const char due_sql[] =
UNITS " SELECT u.since, u.until, coalesce(x.part, 0) + 1, u.day::text,"
" u.time_zone,"
" to_char(u.since AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')"
" FROM unit u CROSS JOIN LATERAL (SELECT max(a.part) AS part,"
"  bool_or(a.wanted) FILTER (WHERE a.dropped_at IS NULL) AS wanted,"
"  bool_and(a.state = 'archived')"
"   FILTER (WHERE a.dropped_at IS NULL) AS done,"
"  max(a.retry_at) FILTER (WHERE a.dropped_at IS NULL) AS retry_at"
"  FROM _factorymon.archive a WHERE a.pipeline_id = $1"
"  AND a.range_from = u.since AND a.range_to = u.until) AS x"
" WHERE u.until <= now() AND (u.due <= now() OR x.wanted)"
" AND x.done IS NOT TRUE"
" AND (x.retry_at IS NULL OR x.retry_at <= now())"
" ORDER BY u.since LIMIT 1";

/* The parts of a range whose rows are there, and what is no file yet. */
#define OPEN_PARTS \
	" WHERE x.pipeline_id = $1 AND x.range_from = $2 AND x.range_to = $3" \
	" AND x.dropped_at IS NULL"

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

/* ----------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------- */

static void
append_json(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, ",\n  ");
	escape_json(json, name);
	appendStringInfoString(json, ": ");
	escape_json(json, value);
}

/* What the columns are; beside the data, for whoever reads it in years. */
static char *
header_text(const FmPipeline *pipeline, const Unit *unit)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\n  \"version\": 1");
	append_json(&json, "pipeline", pipeline->name);
	append_json(&json, "format", "CSV of RFC 4180, UTF-8, compressed by gzip; null is an empty field, an empty text is \"\"");
	append_json(&json, "order", "stream_id, kafka_offset, reading_index");
	append_json(&json, "time_zone", "UTC");
	append_json(&json, "day_time_zone", unit->time_zone);
	append_json(&json, "units", "of value, warning_threshold and critical_threshold: the column unit of the same line");
	append_json(&json, "columns", pnstrdup(fm_archive_header,
										   strlen(fm_archive_header) - 1));
	appendStringInfoString(&json, "\n}\n");
	return json.data;
}

static char *
timestamp_text(TimestampTz ts)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(ts, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year,
					tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					(int) fsec);
}

static char *
manifest_text(const FmPipeline *pipeline, const Unit *unit,
			  const FmArchiveSums *sums, const char *data_hash,
			  const char *header_hash)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\n  \"version\": 1");
	append_json(&json, "pipeline", pipeline->name);
	append_json(&json, "day", unit->day);
	append_json(&json, "day_time_zone", unit->time_zone);
	append_json(&json, "from", timestamp_text(unit->from));
	append_json(&json, "to", timestamp_text(unit->to));
	appendStringInfo(&json, ",\n  \"part\": %d,\n  \"rows\": " INT64_FORMAT,
					 unit->part, sums->rows);
	append_json(&json, "checksum", sums->contents);
	append_json(&json, "file", psprintf("%s.csv.gz", unit->stem));
	append_json(&json, "file_sha256", data_hash);
	append_json(&json, "header", psprintf("%s.header.json", unit->stem));
	append_json(&json, "header_sha256", header_hash);
	appendStringInfoString(&json, "\n}\n");
	return json.data;
}

/* Keep what is known of a unit. */
static void
store_unit(int16 pipeline_id, const Unit *unit, const char *state,
		   const FmArchiveSums *sums, int64 bytes, const char *manifest_hash)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->from), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->to), false);
	fm_args_int4(&args, unit->part);
	fm_args_text(&args, state);
	fm_args_text(&args, unit->stem);
	fm_args_int8(&args, sums->rows);
	fm_args_int8(&args, sums->hash);
	fm_args_text(&args, sums->contents);
	fm_args_int8(&args, bytes);
	fm_args_text(&args, manifest_hash);
	fm_args_int8(&args, sums->row_hash);
	(void) fm_args_run(&args, "WITH gone AS ("
					   " DELETE FROM _factorymon.archive"
					   " WHERE pipeline_id = $1 AND range_from = $2"
					   " AND range_to = $3 AND dropped_at IS NULL"
					   " RETURNING restored_at, restored_by)"
					   " INSERT INTO _factorymon.archive"
					   " (pipeline_id, range_from, range_to, part, state,"
					   " file, rows, hash, checksum, bytes, manifest_sha256,"
					   " row_hash, written_at, restored_at, restored_by)"
					   " SELECT $1, $2, $3, $4, $5, $6, $7, $8,"
					   " $9, $10, $11, $12, clock_timestamp(),"
					   " max(restored_at), max(restored_by) FROM gone",
					   SPI_OK_INSERT);
}

/* The files of one unit; inside SPI, as the extension's owner. */
static void
write_unit(const FmPipeline *pipeline, Unit *unit)
{
	char	   *path = psprintf("%s/%s", fm_archive_directory(), unit->stem);
	char	   *data = psprintf("%s.csv.gz", path);
	char	   *header = psprintf("%s.header.json", path);
	char	   *manifest = psprintf("%s.manifest.json", path);
	char		contents[FM_SHA256_HEX];
	char		data_hash[FM_SHA256_HEX];
	char		header_hash[FM_SHA256_HEX];
	char		manifest_hash[FM_SHA256_HEX];
	FmArchiveFile *file = fm_archive_create(data);
	FmArchiveSums sums;
	int64		bytes;

	fm_archive_export(pipeline->id, unit->from, unit->to, file, &sums);
	fm_archive_finish(file, contents, &bytes);
	if (strcmp(contents, sums.contents) != 0)
		elog(ERROR, "archive file \"%s\" is not what was written", data);
	fm_archive_hash_file(data, data_hash);
	fm_archive_write_text(header, header_text(pipeline, unit));
	fm_archive_hash_file(header, header_hash);
	fm_archive_write_text(manifest, manifest_text(pipeline, unit, &sums,
												  data_hash, header_hash));
	fm_archive_hash_file(manifest, manifest_hash);
	/* the manifest last: where it is, the others are */
	fm_archive_store(data, data_hash);
	fm_archive_store(header, header_hash);
	fm_archive_store(manifest, manifest_hash);
	store_unit(pipeline->id, unit, "archived", &sums, bytes, manifest_hash);
}

/* The next unit that is due; false where there is none. */
static bool
next_unit(const FmPipeline *pipeline, Unit *unit)
{
	bool		isnull;

	if (find_due(pipeline) == 0)
		return false;
	unit->from = DatumGetTimestampTz(fm_spi_value(0, 1, &isnull));
	unit->to = DatumGetTimestampTz(fm_spi_value(0, 2, &isnull));
	unit->part = fm_spi_int4(0, 3);
	unit->day = fm_spi_text(0, 4);
	unit->time_zone = fm_spi_text(0, 5);
	/* the number tells a pipeline from a former one of that name */
	unit->stem = psprintf("%s_%s_%d_%s_%s_part%d",
						  fm_archive_encode(get_database_name(MyDatabaseId)),
						  fm_archive_encode(pipeline->name), pipeline->id,
						  unit->day, fm_spi_text(0, 6), unit->part);
	return true;
}

static void
begin_transaction(FmOwnerScope *scope)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	fm_owner_begin(scope);
	SPI_connect();
}

static void
commit_transaction(FmOwnerScope *scope)
{
	SPI_finish();
	fm_owner_end(scope);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* An attempt came to nothing: when is the next one? */
static void
store_failure(int16 pipeline_id, const Unit *unit, const char *error)
{
	FmOwnerScope scope;
	FmArgs		args = {0};

	begin_transaction(&scope);
	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->from), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(unit->to), false);
	fm_args_text(&args, error);
	fm_args_int4(&args, fm_restart_delay_min);
	fm_args_int4(&args, fm_restart_delay_max);
	if (fm_args_run(&args, "UPDATE _factorymon.archive x SET"
					" state = 'failed', error = $4, attempts = x.attempts + 1,"
					" retry_at = clock_timestamp() + least($6,"
					"  $5 * 2 ^ least(x.attempts, 20))"
					"  * interval '1 millisecond'" OPEN_PARTS,
					SPI_OK_UPDATE) == 0)
		(void) fm_args_run(&args, "INSERT INTO _factorymon.archive"
						   " (pipeline_id, range_from, range_to, part, state,"
						   " error, attempts, retry_at) VALUES ($1, $2, $3, 0,"
						   " 'failed', $4, 1, clock_timestamp() + least($5, $6)"
						   "  * interval '1 millisecond')", SPI_OK_INSERT);
	commit_transaction(&scope);
}

/* One unit in a transaction of its own; false: nothing more is due. */
static bool
run_unit(const FmPipeline *pipeline, MemoryContext context)
{
	FmOwnerScope scope;
	Unit	   *volatile unit = NULL;
	volatile bool found = false;

	PG_TRY();
	{
		begin_transaction(&scope);
		unit = MemoryContextAllocZero(context, sizeof(Unit));
		found = next_unit(pipeline, unit);
		if (found)
			write_unit(pipeline, unit);
		commit_transaction(&scope);
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		if (!found)
			ReThrowError(error);
		ereport(LOG, (errmsg("could not archive readings of pipeline \"%s\": %s",
							 pipeline->name, error->message)));
		store_failure(pipeline->id, unit, error->message);
		MemoryContextSwitchTo(context);
	}
	PG_END_TRY();
	return found;
}

void
fm_archive_not_started(const FmPipeline *pipeline, const char *why)
{
	FmOwnerScope scope;
	MemoryContext caller = CurrentMemoryContext;
	Unit		unit;
	bool		found;

	begin_transaction(&scope);
	found = next_unit(pipeline, &unit);
	commit_transaction(&scope);
	if (found)
		store_failure(pipeline->id, &unit, why);
	MemoryContextSwitchTo(caller);
}

void
fm_archive_run(const FmPipeline *pipeline)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller,
												  "factorymon archive unit",
												  ALLOCSET_DEFAULT_SIZES);

	while (run_unit(pipeline, context))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ----------------------------------------------------------------------
 * Before a partition is dropped
 * ------------------------------------------------------------------- */

/* Units of the partition whose file is not of the rows that are there. */
static const char unsafe_sql[] =
UNITS ", present AS (SELECT u.since, u.until, s.rows, s.hash, s.row_hash"
" FROM unit u CROSS JOIN LATERAL (SELECT count(*) AS rows,"
"  coalesce(_factorymon.hash_sum(_factorymon.offset_hash(r.kafka_offset,"
"  r.reading_index)), 0) AS hash,"
"  coalesce(_factorymon.hash_sum(hash_record_extended(r.*, 0)), 0)"
"  AS row_hash FROM ONLY %s r"
"  WHERE r.ts >= u.since AND r.ts < u.until) AS s"
" WHERE u.until <= $3"
" AND u.since >= (SELECT max(b.a) FROM bound b WHERE b.z = $3))"
" SELECT p.since, p.until FROM present p"
" CROSS JOIN LATERAL (SELECT sum(x.rows) AS rows,"
"  _factorymon.hash_sum(x.hash) AS hash,"
"  _factorymon.hash_sum(x.row_hash) AS row_hash,"
"  bool_and(x.state = 'archived') AS done FROM _factorymon.archive x"
"  WHERE x.pipeline_id = $1 AND x.range_from = p.since"
"  AND x.range_to = p.until AND x.dropped_at IS NULL) AS x"
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
					   " AND dropped_at IS NULL AND file IS NOT NULL",
					   SPI_OK_UPDATE);
	/* of what had no reading no file is needed any more, if one failed */
	(void) fm_args_run(&args, "DELETE FROM _factorymon.archive"
					   " WHERE pipeline_id = $1"
					   " AND range_from >= $2 AND range_to <= $3"
					   " AND dropped_at IS NULL AND file IS NULL",
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
