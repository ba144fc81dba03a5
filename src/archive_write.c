/*-------------------------------------------------------------------------
 *
 * archive_write.c
 *	  Writing history files: one unit after the other, whatever befalls one.
 *
 * Three transactions: one finds what is due; one makes files of one snapshot;
 * one hands them to the program that keeps them, if there is one, and books
 * them.  A program may take its time, and holds no snapshot meanwhile.
 * Readings may come in between: a night later they are noticed, and before
 * anything is dropped for certain.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "guc.h"
#include "pipeline_internal.h"

/* The files of a unit, and what they are. */
typedef struct Files
{
	char	   *data;			/* paths */
	char	   *header;
	char	   *manifest;
	int64		bytes;			/* of the data */
	char		data_hash[FM_SHA256_HEX];
	char		header_hash[FM_SHA256_HEX];
	char		manifest_hash[FM_SHA256_HEX];
	FmArchiveSums sums;
} Files;

static const char *const suffixes[] = {
	"manifest.json", "header.json", "csv.gz"
};

/* ----------------------------------------------------------------------
 * The files
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
header_text(const FmPipeline *pipeline, const FmArchiveUnit *unit)
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
manifest_text(const FmPipeline *pipeline, const FmArchiveUnit *unit,
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

/* Inside SPI, as the extension's owner; paths are made in the context. */
static void
write_files(const FmPipeline *pipeline, const FmArchiveUnit *unit,
			MemoryContext context, Files *files)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *path = psprintf("%s/%s", fm_archive_directory(), unit->stem);
	char		contents[FM_SHA256_HEX];
	FmArchiveFile *file;

	files->data = psprintf("%s.csv.gz", path);
	files->header = psprintf("%s.header.json", path);
	files->manifest = psprintf("%s.manifest.json", path);
	MemoryContextSwitchTo(old);

	file = fm_archive_create(files->data);
	fm_archive_export(pipeline->id, unit->from, unit->to, file, &files->sums);
	fm_archive_finish(file, contents, &files->bytes);
	if (strcmp(contents, files->sums.contents) != 0)
		elog(ERROR, "archive file \"%s\" is not what was written",
			 files->data);
	fm_archive_hash_file(files->data, files->data_hash);
	fm_archive_write_text(files->header, header_text(pipeline, unit));
	fm_archive_hash_file(files->header, files->header_hash);
	fm_archive_write_text(files->manifest,
						  manifest_text(pipeline, unit, &files->sums,
										files->data_hash, files->header_hash));
	fm_archive_hash_file(files->manifest, files->manifest_hash);
}

/* ----------------------------------------------------------------------
 * Transactions
 * ------------------------------------------------------------------- */

static void
begin_transaction(FmOwnerScope *scope)
{
	if (!IsTransactionState())
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	fm_owner_begin(scope);
	SPI_connect();
}

static void
commit_transaction(FmOwnerScope *scope, MemoryContext context)
{
	SPI_finish();
	fm_owner_end(scope);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

static bool
find_unit(const FmPipeline *pipeline, FmArchiveUnit *unit,
		  MemoryContext context)
{
	FmOwnerScope scope;
	bool		found;

	begin_transaction(&scope);
	found = fm_archive_next(pipeline, unit, context);
	commit_transaction(&scope, context);
	return found;
}

static void
write_unit(const FmPipeline *pipeline, const FmArchiveUnit *unit,
		   MemoryContext context)
{
	Files	   *files = MemoryContextAllocZero(context, sizeof(Files));
	FmOwnerScope scope;

	begin_transaction(&scope);
	write_files(pipeline, unit, context, files);
	commit_transaction(&scope, context);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* the manifest last: where it is, the others are */
	fm_archive_store(files->data, files->data_hash);
	fm_archive_store(files->header, files->header_hash);
	fm_archive_store(files->manifest, files->manifest_hash);
	begin_transaction(&scope);
	fm_archive_written(pipeline->id, unit, &files->sums, files->bytes,
					   files->manifest_hash);
	commit_transaction(&scope, context);
}

static void
compare_unit(const FmPipeline *pipeline, const FmArchiveUnit *unit,
			 MemoryContext context)
{
	FmOwnerScope scope;

	begin_transaction(&scope);
	fm_archive_compare(pipeline->id, unit);
	commit_transaction(&scope, context);
}

/* An attempt came to nothing: when is the next one? */
static void
store_failure(int16 pipeline_id, const FmArchiveUnit *unit, const char *error,
			  MemoryContext context)
{
	FmOwnerScope scope;

	begin_transaction(&scope);
	fm_archive_failed(pipeline_id, unit, error);
	commit_transaction(&scope, context);
}

/*
 * Remove the files of a superseded part from the folder.  False where one cannot
 * be, or where it is not there because a program keeps it.
 */
static bool
remove_files(const char *stem)
{
	bool		found = false;

	for (int i = 0; i < lengthof(suffixes); i++)
	{
		char	   *path = psprintf("%s/%s.%s", fm_archive_directory(), stem,
									suffixes[i]);

		if (unlink(path) == 0)
			found = true;
		else if (errno != ENOENT)
		{
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not remove superseded archive file \"%s\": %m",
							path)));
			return false;
		}
	}
	return found || !fm_archive_has_program();
}

static void
remove_superseded(const FmPipeline *pipeline, MemoryContext context)
{
	FmOwnerScope scope;
	ListCell   *cell;
	List	   *stems;

	begin_transaction(&scope);
	stems = fm_archive_superseded(pipeline, context);
	foreach(cell, stems)
		if (remove_files(lfirst(cell)))
			fm_archive_forget(pipeline->id, lfirst(cell));
	commit_transaction(&scope, context);
}

/* ----------------------------------------------------------------------
 * All that is due
 * ------------------------------------------------------------------- */

/* What is due first; false: nothing is. */
static bool
run_unit(const FmPipeline *pipeline, MemoryContext context)
{
	FmArchiveUnit *unit = MemoryContextAllocZero(context,
												 sizeof(FmArchiveUnit));

	if (!find_unit(pipeline, unit, context))
		return false;
	PG_TRY();
	{
		if (unit->written)
			compare_unit(pipeline, unit, context);
		else
			write_unit(pipeline, unit, context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		ereport(LOG, (errmsg("could not archive readings of pipeline \"%s\": %s",
							 pipeline->name, error->message)));
		store_failure(pipeline->id, unit, error->message, context);
	}
	PG_END_TRY();
	return true;
}

void
fm_archive_not_started(const FmPipeline *pipeline, const char *why)
{
	MemoryContext caller = CurrentMemoryContext;
	FmArchiveUnit unit;

	if (find_unit(pipeline, &unit, caller))
		store_failure(pipeline->id, &unit, why, caller);
}

void
fm_archive_run(const FmPipeline *pipeline)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller,
												  "factorymon archive unit",
												  ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	do
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		remove_superseded(pipeline, context);
	} while (run_unit(pipeline, context));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
