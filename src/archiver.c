/*-------------------------------------------------------------------------
 *
 * archiver.c
 *	  The process that writes history files, and its settings.
 *
 * The supervisor starts the process where something is due and forgets it; it
 * writes what is due of every pipeline of the database, and ends.  It runs at a
 * lower priority than ingest, which has work to do at the same time.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "archiver.h"
#include "control.h"
#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_set_archive);

#define NICENESS 19

/* ----------------------------------------------------------------------
 * The process
 * ------------------------------------------------------------------- */

static List *
read_pipelines(MemoryContext context)
{
	List	   *result;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	result = fm_pipeline_list();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return result;
}

/* What befalls one pipeline must not keep others from being archived. */
static void
run_pipeline(const FmPipeline *pipeline)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		fm_archive_run(pipeline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		errcontext("archive of pipeline \"%s\"", pipeline->name);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(caller);
	}
	PG_END_TRY();
}

void
factorymon_archiver_main(Datum arg)
{
	ListCell   *cell;
	List	   *pipelines;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
	(void) setpriority(PRIO_PROCESS, 0, NICENESS);
	pipelines = read_pipelines(TopMemoryContext);
	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);

		/* not what a copy of a database has of the one that it came from */
		if (pipeline->runs_here)
			run_pipeline(pipeline);
	}
	proc_exit(0);
}

/* ----------------------------------------------------------------------
 * Settings
 * ------------------------------------------------------------------- */

/* Store the setting of a pipeline; is there one only now?  In SPI. */
static bool
store_setting(FunctionCallInfo fcinfo, int16 pipeline_id,
			  const char *time_zone)
{
	FmArgs		args = {0};
	bool		isnull;

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, BOOLOID, PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	fm_args_add(&args, INTERVALOID, PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	fm_args_text(&args, time_zone);
	fm_args_text(&args, pg_get_timezone_name(session_timezone));
	(void) fm_args_run(&args, "INSERT INTO _factorymon.archive_setting AS s"
					   " (pipeline_id, enabled, at, time_zone)"
					   " VALUES ($1, coalesce($2, true),"
					   " coalesce($3, interval '1 hour'), coalesce($4, $5))"
					   " ON CONFLICT (pipeline_id) DO UPDATE SET"
					   " enabled = coalesce($2, s.enabled),"
					   " at = coalesce($3, s.at),"
					   " time_zone = coalesce($4, s.time_zone)"
					   " RETURNING enabled AND ($2 OR xmax = 0)",
					   SPI_OK_INSERT_RETURNING);
	return DatumGetBool(fm_spi_value(0, 1, &isnull)) && !isnull;
}

/* factorymon.set_archive(pipeline, enabled, at, time_zone); null: as it is */
Datum
factorymon_set_archive(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");
	FmPipeline *pipeline = fm_pipeline_find(name);
	char	   *time_zone = fm_arg_text(fcinfo, 3);
	FmOwnerScope scope;

	fm_pipeline_check_control(pipeline, user, "admin");
	if (time_zone)
		fm_check_time_zone(time_zone);
	if (!PG_ARGISNULL(2))
	{
		int64		at = fm_interval_usecs(PG_GETARG_INTERVAL_P(2), "at");

		if (at < 0 || at >= USECS_PER_DAY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("at must be a time of day, from 0 to less than 24 hours")));
	}

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	/* switched on, or by its first call */
	if (store_setting(fcinfo, pipeline->id, time_zone))
		(void) fm_archive_directory();
	if (time_zone || (!PG_ARGISNULL(1) && !PG_GETARG_BOOL(1)))
		fm_archive_setting_changed(pipeline->id);
	fm_event_record(pipeline->id, NULL, "altered", NULL, 0,
					psprintf("archive by %s", GetUserNameFromId(user, false)));
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	PG_RETURN_VOID();
}
