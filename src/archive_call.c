/*-------------------------------------------------------------------------
 *
 * archive_call.c
 *	  What people do with history files: verify, restore and release them.
 *
 * What is restored belongs to whoever restored it: retention leaves it alone
 * until it is released.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_restore_archive);
PG_FUNCTION_INFO_V1(factorymon_release_archive);
PG_FUNCTION_INFO_V1(factorymon_verify_archive);

/* One file, as the table knows it. */
typedef struct Archived
{
	TimestampTz from;
	TimestampTz to;
	char	   *stem;
	int64		rows;
	int64		hash;
	char	   *checksum;
	char	   *manifest_hash;
} Archived;

/* ----------------------------------------------------------------------
 * Files as the table knows them
 * ------------------------------------------------------------------- */

static TimestampTz
arg_bound(FunctionCallInfo fcinfo, int argument, TimestampTz missing)
{
	return PG_ARGISNULL(argument) ? missing : PG_GETARG_TIMESTAMPTZ(argument);
}

/* Those of a pipeline that lie within a range, or are called so; in SPI. */
static Archived *
find_files(int16 pipeline_id, TimestampTz from, TimestampTz to,
		   const char *file, const char *condition, const char *lock, int *n)
{
	FmArgs		args = {0};
	Archived   *files;

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(from), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	fm_args_text(&args, file);
	*n = (int) fm_args_run(&args,
						   psprintf("SELECT range_from, range_to, file, rows,"
									" checksum, manifest_sha256, hash"
									" FROM _factorymon.archive"
									" WHERE pipeline_id = $1"
									" AND range_from >= $2 AND range_to <= $3"
									" AND ($4 IS NULL OR $4 IN (file,"
									" file || '.csv.gz'))"
									" AND file IS NOT NULL AND %s"
									" ORDER BY range_from, part %s",
									condition, lock), SPI_OK_SELECT);
	files = palloc0(sizeof(Archived) * (*n + 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		files[i].from = DatumGetTimestampTz(fm_spi_value(i, 1, &isnull));
		files[i].to = DatumGetTimestampTz(fm_spi_value(i, 2, &isnull));
		files[i].stem = fm_spi_text(i, 3);
		files[i].rows = fm_spi_int8(i, 4);
		files[i].checksum = fm_spi_text(i, 5);
		files[i].manifest_hash = fm_spi_text(i, 6);
		files[i].hash = fm_spi_int8(i, 7);
	}
	return files;
}

static void
update_file(int16 pipeline_id, const Archived *archived, const char *changes,
			const char *text)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(archived->from),
				false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(archived->to),
				false);
	fm_args_text(&args, text);
	fm_args_text(&args, archived->stem);
	(void) fm_args_run(&args, psprintf("UPDATE _factorymon.archive SET %s"
									   " WHERE pipeline_id = $1 AND"
									   " range_from = $2 AND range_to = $3"
									   " AND file = $5", changes),
					   SPI_OK_UPDATE);
}

/* A member of the manifest, which was found to be what was written. */
static char *
manifest_member(const char *text, const char *name)
{
	FmArgs		args = {0};

	fm_args_text(&args, text);
	fm_args_text(&args, name);
	fm_args_run(&args, "SELECT $1::jsonb ->> $2", SPI_OK_SELECT);
	return fm_spi_text(0, 1);
}

/* Of what is fetched no more than one unit lies on our disk at a time. */
static MemoryContext
file_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext,
								 "factorymon archive file",
								 ALLOCSET_SMALL_SIZES);
}

/* A file of a unit, compared with what it was; sets where it lies. */
static char *
examine_file(const Archived *archived, MemoryContext context,
			 const char *suffix, const char *sha256, char **path)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *problem;

	*path = fm_archive_locate(psprintf("%s.%s", archived->stem, suffix),
							  &problem);
	if (problem == NULL)
		problem = fm_archive_damage(*path, sha256);
	MemoryContextSwitchTo(old);
	return problem;
}

/*
 * All files of a unit; sets where the data lie.  What had to be fetched is
 * there, and all answers are, until the context is deleted.
 */
static char *
examine(const Archived *archived, MemoryContext context, char **data)
{
	char	   *path;
	char	   *problem = examine_file(archived, context, "manifest.json",
									   archived->manifest_hash, &path);
	char	   *text;

	if (problem)
		return problem;
	text = fm_archive_read_text(path);
	problem = examine_file(archived, context, "csv.gz",
						   manifest_member(text, "file_sha256"), data);
	if (problem == NULL)
		problem = examine_file(archived, context, "header.json",
							   manifest_member(text, "header_sha256"), &path);
	return problem;
}

/* ----------------------------------------------------------------------
 * Restoring
 * ------------------------------------------------------------------- */

/* Nobody else puts readings there until the transaction ends. */
static void
lock_partition(const FmPipeline *pipeline, TimestampTz ts)
{
	Relation	parent;
	Oid			partition;

	if (!fm_partition_ensure(pipeline->id, "reading",
							 pipeline->partition_interval, ts))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("there is no room for another time partition"),
				 errhint("Increase factorymon.max_time_partitions.")));
	parent = table_open(fm_storage_relid(pipeline->id, "reading"),
						AccessShareLock);
	partition = fm_partition_relid(parent, ts);
	table_close(parent, NoLock);
	LockRelationOid(partition, ShareRowExclusiveLock);
}

static void
refuse_present(const FmPipeline *pipeline, const Archived *archived)
{
	FmArgs		args = {0};

	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(archived->from),
				false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(archived->to),
				false);
	if (fm_args_run(&args, psprintf("SELECT 1 FROM _factorymon.reading_%d"
									" WHERE ts >= $1 AND ts < $2 LIMIT 1",
									pipeline->id), SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("cannot restore archive file \"%s\": readings of its time are there",
						archived->stem)));
}

/*
 * The n files of one range; more than one where readings came after others had
 * been dropped.  The lines of what was restored must be theirs, in whatever order;
 * of one file also its checksum.
 */
static void
restore_range(const FmPipeline *pipeline, const Archived *archived, int n)
{
	FmArchiveSums sums;
	int64		rows = 0;
	int64		hash = 0;
	uint64		line_hash = 0;

	lock_partition(pipeline, archived->from);
	refuse_present(pipeline, archived);
	for (int i = 0; i < n; i++)
	{
		MemoryContext context = file_context();
		char	   *data;
		char	   *problem = examine(&archived[i], context, &data);

		if (problem)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("cannot restore: %s", problem)));
		fm_archive_import(pipeline, data, archived->from, archived->to,
						  &line_hash);
		MemoryContextDelete(context);
		rows += archived[i].rows;
		hash += archived[i].hash;
	}
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	fm_archive_export(pipeline->id, archived->from, archived->to, NULL, &sums);
	PopActiveSnapshot();
	if (sums.rows != rows || sums.hash != hash ||
		sums.line_hash != line_hash ||
		(n == 1 && strcmp(sums.contents, archived->checksum) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("what was restored from archive file \"%s\" is not what was archived",
						archived->stem),
				 errdetail("There are %lld rows with checksum %s, and there should be %lld with %s.",
						   (long long) sums.rows, sums.contents,
						   (long long) rows, archived->checksum)));
	fm_retention_book_back(pipeline->id, archived->from, archived->to,
						   psprintf("restored from %s", archived->stem));
	for (int i = 0; i < n; i++)
		update_file(pipeline->id, &archived[i], "restored_at = now(),"
					" dropped_at = NULL, restored_by = $4",
					GetUserNameFromId(GetOuterUserId(), false));
}

/* factorymon.restore_archive(pipeline, "from", "to", file): readings restored */
Datum
factorymon_restore_archive(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");
	FmPipeline *pipeline = fm_pipeline_find(name);
	FmOwnerScope scope;
	Archived   *files;
	int			n;
	int64		rows = 0;

	fm_pipeline_check_control(pipeline, user, "admin");
	if (PG_ARGISNULL(3) && (PG_ARGISNULL(1) || PG_ARGISNULL(2)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("restore_archive() needs a range or a file")));
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	files = find_files(pipeline->id, arg_bound(fcinfo, 1, DT_NOBEGIN),
					   arg_bound(fcinfo, 2, DT_NOEND), fm_arg_text(fcinfo, 3),
					   "state = 'archived' AND rows > 0", "FOR UPDATE", &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("no archived file of pipeline \"%s\" lies within that range or is called so",
						name)));
	for (int i = 0, parts; i < n; i += parts)
	{
		for (parts = 1; i + parts < n &&
			 files[i + parts].from == files[i].from;)
			parts++;
		restore_range(pipeline, &files[i], parts);
		for (int j = i; j < i + parts; j++)
			rows += files[j].rows;
	}
	fm_event_record(pipeline->id, NULL, "restored", NULL, 0,
					psprintf("%d files with " INT64_FORMAT " readings by %s",
							 n, rows, GetUserNameFromId(user, false)));
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT64(rows);
}

/* factorymon.release_archive(pipeline, "from", "to"): how many files */
Datum
factorymon_release_archive(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");
	FmPipeline *pipeline = fm_pipeline_find(name);
	FmOwnerScope scope;
	Archived   *files;
	int			n;

	fm_pipeline_check_control(pipeline, user, "admin");
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	files = find_files(pipeline->id, arg_bound(fcinfo, 1, DT_NOBEGIN),
					   arg_bound(fcinfo, 2, DT_NOEND), NULL,
					   "restored_at IS NOT NULL", "FOR UPDATE", &n);
	for (int i = 0; i < n; i++)
		update_file(pipeline->id, &files[i], "restored_at = NULL,"
					" restored_by = $4", NULL);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT32(n);
}

/* ----------------------------------------------------------------------
 * Verifying
 * ------------------------------------------------------------------- */

static void
put_result(ReturnSetInfo *result, const Archived *archived,
		   const char *problem)
{
	Datum		values[3];
	bool		nulls[3] = {false, false, problem == NULL};

	values[0] = CStringGetTextDatum(archived->stem);
	values[1] = Int64GetDatum(archived->rows);
	values[2] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * factorymon.verify_archive(pipeline, "from", "to"): file, problem
 *
 * Reading files takes long, the more so where they are fetched: what is found is
 * noted in the end, so that the archiver and retention need not wait.
 */
Datum
factorymon_verify_archive(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");
	FmPipeline *pipeline = fm_pipeline_find(name);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FmOwnerScope scope;
	Archived   *files;
	char	  **problems;
	int			n;

	fm_pipeline_check_control(pipeline, user, "admin");
	InitMaterializedSRF(fcinfo, 0);
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	files = find_files(pipeline->id, arg_bound(fcinfo, 1, DT_NOBEGIN),
					   arg_bound(fcinfo, 2, DT_NOEND), NULL,
					   "state IN ('archived', 'stale')", "", &n);
	problems = palloc0(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		MemoryContext context = file_context();
		char	   *data;
		char	   *problem = examine(&files[i], context, &data);

		CHECK_FOR_INTERRUPTS();
		problems[i] = problem ? pstrdup(problem) : NULL;
		put_result(result, &files[i], problem);
		MemoryContextDelete(context);
	}
	for (int i = 0; i < n; i++)
		update_file(pipeline->id, &files[i], "verified_at = CASE WHEN $4"
					" IS NULL THEN clock_timestamp() ELSE verified_at END,"
					" error = $4", problems[i]);
	SPI_finish();
	fm_owner_end(&scope);
	return (Datum) 0;
}
