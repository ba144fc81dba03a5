/*-------------------------------------------------------------------------
 *
 * supervisor.c
 *	  One process a database with pipelines: keeps their workers and publishers
 *	  running (staff.c), and does what has to be done now and then
 *	  (housekeeping.c).
 *
 * It leaves at once where there is no extension or no pipeline that runs
 * here; the launcher starts it again when one is created or resumed.  It is
 * connected as superuser, but works on our tables as the extension's owner.
 *
 * Workers notice changes of their pipeline by themselves; the supervisor only
 * starts what is missing and ends what is too many.  Watermarks of partitions
 * that no worker fetches (paused, stopped, unassigned) are refreshed here, by
 * asking the brokers on a client of its own.  It misses sensors that fall
 * silent, see silence.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "guc.h"
#include "housekeeping.h"
#include "ownerless.h"
#include "pipeline.h"
#include "shmem.h"
#include "shmem_sensor.h"
#include "silence.h"
#include "staff.h"
#include "supervisor.h"
#include "watermark.h"

#define MAX_NAP_MS 10000
#define HOUSEKEEPING_INTERVAL (60 * USECS_PER_SEC)

static uint64 seen_generation = 0;
static bool leaving_without_work = false;
static bool wrong_version = false;	/* of the library: wait, and say so */
static bool changed = false;	/* the configuration, since the last turn */

/* ----------------------------------------------------------------------
 * Configuration
 * ------------------------------------------------------------------- */

/* Pipelines that run here, in the current context; sets *extension. */
static List *
read_pipelines(bool *extension)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *all = NIL;
	List	   *result = NIL;
	ListCell   *cell;
	char	   *version;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	version = fm_extension_version();
	*extension = version != NULL;
	fm_shmem_database_extension(MyDatabaseId,
								get_extension_oid(FM_EXTENSION_NAME, true));
	wrong_version = version && strcmp(version, FM_EXTENSION_VERSION) != 0;
	if (version && !wrong_version)
	{
		SPI_connect();
		MemoryContextSwitchTo(context);
		all = fm_pipeline_list();
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	foreach(cell, all)
	{
		FmPipeline *pipeline = lfirst(cell);

		if (pipeline->runs_here)
			result = lappend(result, pipeline);
	}
	return result;
}

/* Where nothing runs, requests wait, too. */
static void
answer_ownerless(FmPipeline *unused)
{
	fm_ownerless_step(changed);
}

/* ----------------------------------------------------------------------
 * The process
 * ------------------------------------------------------------------- */

static long
nap_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = MAX_NAP_MS;

	nap = Min(nap, TimestampDifferenceMilliseconds(now, fm_staff_next()));
	nap = Min(nap, TimestampDifferenceMilliseconds(now, fm_house_next()));
	nap = Min(nap, TimestampDifferenceMilliseconds(now, fm_silence_next()));
	nap = Min(nap, TimestampDifferenceMilliseconds(now, fm_ownerless_next()));
	return Max(nap, 10);
}

static void
leave(bool no_work)
{
	leaving_without_work = no_work;
	proc_exit(0);
}

static void
service_signals(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (!fm_enabled || fm_shmem_database_is_held(MyDatabaseId))
		leave(false);
}

/* Nothing runs while library and SQL version differ; said once. */
static void
say_wrong_version(void)
{
	static bool said = false;

	if (wrong_version && !said)
		ereport(LOG,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipelines wait: the library of factorymon is of another version (%s) than the extension",
						FM_EXTENSION_VERSION),
				 errhint("Run ALTER EXTENSION factorymon UPDATE, or install the matching library and restart the server.")));
	said = wrong_version;
}

/* What is known of sensors of pipelines that do not run here any more. */
static void
forget_others(List *pipelines)
{
	int16	   *ids = palloc(sizeof(int16) * (list_length(pipelines) + 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, pipelines)
		ids[n++] = ((FmPipeline *) lfirst(cell))->id;
	fm_shmem_sensors_forget_others(MyDatabaseId, ids, n);
	pfree(ids);
}

/* Read the configuration again if it changed or may have. */
static List *
refresh(List *pipelines, MemoryContext context, bool force)
{
	uint64		generation = fm_shmem_database_generation(MyDatabaseId);
	bool		ended = fm_staff_ended();
	bool		extension;

	if (generation == seen_generation && !force && !ended && !wrong_version)
		return pipelines;
	seen_generation = generation;
	MemoryContextReset(context);
	MemoryContextSwitchTo(context);
	pipelines = read_pipelines(&extension);
	say_wrong_version();
	if (!wrong_version)
		forget_others(pipelines);
	if (pipelines == NIL && !wrong_version)
		leave(true);
	fm_staff_forget_wishes();
	return pipelines;
}

static void
run(void)
{
	MemoryContext configuration = AllocSetContextCreate(TopMemoryContext,
														"factorymon pipelines",
														ALLOCSET_DEFAULT_SIZES);
	MemoryContext turn = AllocSetContextCreate(TopMemoryContext,
											   "factorymon supervisor turn",
											   ALLOCSET_DEFAULT_SIZES);
	List	   *pipelines = NIL;
	TimestampTz housekeeping_at = 0;
	uint64		answered_generation = 0;

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		due;

		/* the clock may have been set back */
		housekeeping_at = Min(housekeeping_at, now + HOUSEKEEPING_INTERVAL);
		due = now >= housekeeping_at;
		service_signals();
		pipelines = refresh(pipelines, configuration, due);
		MemoryContextSwitchTo(turn);
		MemoryContextReset(turn);

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		fm_staff_pipelines(pipelines);
		CommitTransactionCommand();
		MemoryContextSwitchTo(turn);
		fm_house_do(fm_staff_report_ends, NULL);
		fm_staff_dismiss();
		if (due)
		{
			fm_house_keep(pipelines);
			housekeeping_at = GetCurrentTimestamp() + HOUSEKEEPING_INTERVAL;
		}
		changed = seen_generation != answered_generation;
		answered_generation = seen_generation;
		if (!due)
			fm_house_archive(pipelines, changed);
		fm_silence_step(pipelines, changed, fm_watermark_step(pipelines));
		if (pipelines != NIL)
			fm_house_do(answer_ownerless, NULL);
		fm_watermark_wait(nap_time());
	}
}

/*
 * However it ends, its workers end with it: the next one starts its own.
 * Where there is no work any more they see that themselves, and go quietly.
 */
static void
supervisor_gone(int code, Datum arg)
{
	if (!leaving_without_work)
		fm_staff_end();
	fm_ownerless_stop();
	fm_watermark_close();
	fm_shmem_supervisor_detach(DatumGetObjectId(arg), leaving_without_work,
							   seen_generation);
}

void
factorymon_supervisor_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!fm_shmem_supervisor_attach(database, &seen_generation))
		proc_exit(0);
	before_shmem_exit(supervisor_gone, ObjectIdGetDatum(database));
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	/* nobody's open transaction keeps it from its workers for long */
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
	run();
}
