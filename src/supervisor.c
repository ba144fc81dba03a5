/*-------------------------------------------------------------------------
 *
 * supervisor.c
 *	  One process a database with pipelines: keeps their workers and publishers
 *	  running, makes time partitions ahead, and drops what retention says.
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
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "archiver.h"
#include "child.h"
#include "compat.h"
#include "factorymon.h"
#include "guc.h"
#include "kpi.h"
#include "ledger.h"
#include "moved.h"
#include "ownerless.h"
#include "pipeline.h"
#include "publication.h"
#include "publisher.h"
#include "rollup_parts.h"
#include "shmem.h"
#include "shmem_sensor.h"
#include "silence.h"
#include "supervisor.h"
#include "watermark.h"
#include "worker.h"

#define MAX_NAP_MS 10000
#define HOUSEKEEPING_INTERVAL (60 * USECS_PER_SEC)
#define PUBLISHER 0				/* in place of a worker's number */

/* One worker or publisher of one pipeline, running or to be started. */
typedef struct FmStaff
{
	int16		pipeline_id;
	int16		worker_number;	/* from 1; PUBLISHER */
	int			slot;			/* in shared memory; -1: none */
	uint64		generation;
	bool		wanted;
	pid_t		pid;			/* 0: not seen running yet */
	FmChild		child;
	bool		owner_logged;	/* its owner cannot log in: said once */
} FmStaff;

static List *staff = NIL;		/* of FmStaff *, in TopMemoryContext */
static List *ended = NIL;		/* the same: copies, to be told of */
static FmChild archiver;
static bool archive_waits = false;	/* something may be due for it */
static uint64 seen_generation = 0;
static bool leaving_without_work = false;
static bool wrong_version = false;	/* of the library: wait, and say so */
static bool worker_ended = false;	/* look whether it was right to */
static bool changed = false;	/* the configuration, since the last turn */

/* ----------------------------------------------------------------------
 * Workers
 * ------------------------------------------------------------------- */

static FmStaff *
find_staff(int16 pipeline_id, int16 worker_number)
{
	ListCell   *cell;
	FmStaff    *member;
	MemoryContext old;

	foreach(cell, staff)
	{
		member = lfirst(cell);
		if (member->pipeline_id == pipeline_id &&
			member->worker_number == worker_number)
			return member;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	member = palloc0(sizeof(FmStaff));
	member->pipeline_id = pipeline_id;
	member->worker_number = worker_number;
	member->slot = -1;
	staff = lappend(staff, member);
	MemoryContextSwitchTo(old);
	return member;
}

/*
 * The role a worker connects as.  Background workers refuse roles that may
 * not log in, so say it here, once, instead of failing again and again.
 */
static Oid
usable_owner(const FmPipeline *pipeline, FmStaff *member)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME,
										CStringGetDatum(pipeline->owner));
	Oid			result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_authid role = (Form_pg_authid) GETSTRUCT(tuple);

		if (role->rolcanlogin)
			result = role->oid;
		ReleaseSysCache(tuple);
	}
	if (!OidIsValid(result) && !member->owner_logged)
		ereport(LOG,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("pipeline \"%s\" cannot run: its owner \"%s\" does not exist or is not permitted to log in",
						pipeline->name, pipeline->owner),
				 errhint("Use ALTER ROLE ... LOGIN, or give the pipeline another owner with factorymon.alter_pipeline().")));
	member->owner_logged = !OidIsValid(result);
	return result;
}

static void
release_slot(FmStaff *member)
{
	if (member->slot >= 0 && member->worker_number == PUBLISHER)
		fm_shmem_publisher_release(member->slot, member->generation);
	else if (member->slot >= 0)
		fm_shmem_worker_release(member->slot, member->generation);
	member->slot = -1;
}

static void
start_worker(const FmPipeline *pipeline, FmStaff *member, Oid owner)
{
	FmWorkerParams params;
	char		name[BGW_MAXLEN];

	member->slot = fm_shmem_worker_claim(MyDatabaseId, pipeline->id,
										 member->worker_number,
										 &member->generation);
	if (member->slot < 0)
	{
		if (!member->child.shortage_logged)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no slot is free for worker %d of pipeline \"%s\"",
							member->worker_number, pipeline->name),
					 errhint("Increase factorymon.max_workers and restart the server.")));
		member->child.shortage_logged = true;
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	memset(&params, 0, sizeof(params));
	params.database = MyDatabaseId;
	params.owner = owner;
	params.pipeline_id = pipeline->id;
	params.worker_number = member->worker_number;
	params.slot = member->slot;
	params.generation = member->generation;
	snprintf(name, sizeof(name), "factorymon worker %d of %s",
			 member->worker_number, pipeline->name);
	if (!fm_child_start(&member->child, "factorymon_worker_main", name,
						"factorymon worker", (Datum) 0, &params,
						sizeof(params)))
		release_slot(member);
}

static void
start_publisher(const FmPipeline *pipeline, FmStaff *member, Oid owner)
{
	FmPublisherParams params;
	char		name[BGW_MAXLEN];

	member->slot = fm_shmem_publisher_claim(MyDatabaseId, pipeline->id,
											&member->generation);
	if (member->slot < 0)
	{
		/* there are as many as workers, which complain */
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	memset(&params, 0, sizeof(params));
	params.database = MyDatabaseId;
	params.owner = owner;
	params.pipeline_id = pipeline->id;
	params.slot = member->slot;
	params.generation = member->generation;
	snprintf(name, sizeof(name), "factorymon publisher of %s",
			 pipeline->name);
	if (!fm_child_start(&member->child, "factorymon_publisher_main", name,
						"factorymon publisher", (Datum) 0, &params,
						sizeof(params)))
		release_slot(member);
}

/*
 * Remember that a worker ended that is still wanted: it could not say so itself
 * if it was killed.  This may be called in a transaction, report_ends() is not.
 */
static void
note_end(const FmStaff *member)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	FmStaff    *copy = palloc(sizeof(FmStaff));

	*copy = *member;
	ended = lappend(ended, copy);
	MemoryContextSwitchTo(old);
}

/* Start one worker, or the publisher, if it does not run and may. */
static void
staff_place(const FmPipeline *pipeline, int number)
{
	FmStaff    *member = find_staff(pipeline->id, number);
	bool		was_running = member->child.handle != NULL;
	Oid			owner;

	member->wanted = true;
	if (fm_child_is_running(&member->child))
	{
		(void) GetBackgroundWorkerPid(member->child.handle, &member->pid);
		return;
	}
	worker_ended |= was_running;
	if (was_running && number != PUBLISHER)
		note_end(member);
	member->pid = 0;
	release_slot(member);
	if (!fm_child_may_start(&member->child))
		return;
	owner = usable_owner(pipeline, member);
	if (!OidIsValid(owner))
	{
		/* a change of the configuration ends that, see refresh() */
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	if (number == PUBLISHER)
		start_publisher(pipeline, member, owner);
	else
		start_worker(pipeline, member, owner);
}

/*
 * Bring the workers of every pipeline to the wanted number; then the
 * publishers, which are what can be missed first where the server is short of
 * processes.
 */
static void
staff_pipelines(List *pipelines)
{
	ListCell   *cell;

	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);

		for (int i = 1; i <= pipeline->workers; i++)
			staff_place(pipeline, i);
	}
	foreach(cell, pipelines)
		staff_place(lfirst(cell), PUBLISHER);
}

/* Those not wanted any more are told to end, and forgotten once they did. */
static void
dismiss(void)
{
	ListCell   *cell;

	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		if (member->wanted)
			continue;
		if (fm_child_is_running(&member->child))
		{
			fm_child_terminate(&member->child);
			continue;
		}
		release_slot(member);
		staff = foreach_delete_current(staff, cell);
		pfree(member);
	}
}

/* ----------------------------------------------------------------------
 * Configuration and housekeeping
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

static void
delete_old_events(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(fm_event_retention)};

	fm_spi_run("DELETE FROM _factorymon.event"
			   " WHERE at < now() - make_interval(mins => $1)",
			   1, types, values, NULL, SPI_OK_DELETE);
}

/* Also those that nobody can answer any more, their stream being gone. */
static void
delete_old_requests(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(fm_request_retention)};

	fm_spi_run("DELETE FROM _factorymon.request"
			   " WHERE answered_at < now() - make_interval(mins => $1)",
			   1, types, values, NULL, SPI_OK_DELETE);
	fm_spi_run("DELETE FROM _factorymon.request r"
			   " WHERE answered_at IS NULL"
			   " AND requested_at < now() - make_interval(mins => $1)"
			   " AND NOT EXISTS (SELECT FROM _factorymon.stream s"
			   " WHERE s.stream_id = r.stream_id)",
			   1, types, values, NULL, SPI_OK_DELETE);
}

/* Time partitions for now and for the next interval. */
static void
make_partitions_ahead(const FmPipeline *pipeline)
{
	static const char *const kinds[] = {"reading", "reject", "transition",
	"score", "rollup_1m", "rollup_1h", "rollup_1d"};
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < lengthof(kinds); i++)
	{
		(void) fm_partition_ensure(pipeline->id, kinds[i],
								   pipeline->partition_interval, now);
		(void) fm_partition_ensure(pipeline->id, kinds[i],
								   pipeline->partition_interval,
								   now + pipeline->partition_interval);
	}
}

static void
clean_events(FmPipeline *unused)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	delete_old_events();
	fm_publication_expire();
	delete_old_requests();
	fm_worker_commit(&scope);
}

static void
expire_kpi(FmPipeline *unused)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	(void) fm_kpi_expire();
	fm_worker_commit(&scope);
}

static void
look_ahead(FmPipeline *pipeline)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	make_partitions_ahead(pipeline);
	fm_worker_commit(&scope);
}

static void
merge_ledger(FmPipeline *pipeline)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	(void) fm_ledger_merge(pipeline->id);
	fm_worker_commit(&scope);
}

static void
drop_expired(FmPipeline *pipeline)
{
	(void) fm_retention_run(pipeline);
}

static void
merge_rollups(FmPipeline *pipeline)
{
	(void) fm_rollup_merge_run(pipeline->id);
}

/* One duty; its error disturbs neither the workers nor the other duties. */
static void
do_duty(void (*duty) (FmPipeline *), FmPipeline *pipeline)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		duty(pipeline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* For the history: "ended", of the workers of note_end(). */
static void
report_ends(FmPipeline *unused)
{
	while (ended != NIL)
	{
		FmStaff		member = *(FmStaff *) linitial(ended);
		FmOwnerScope scope;

		/* once, whatever comes of it */
		pfree(linitial(ended));
		ended = list_delete_first(ended);
		fm_worker_begin(&scope);
		fm_event_record(member.pipeline_id, NULL, "ended", NULL, 0,
						psprintf(member.pid > 0 ? "worker %d, process %d" :
								 "worker %d", member.worker_number,
								 (int) member.pid));
		fm_worker_commit(&scope);
	}
}

/* Where nothing runs, requests wait, too. */
static void
answer_ownerless(FmPipeline *unused)
{
	fm_ownerless_step(changed);
}

/*
 * Start the archiver where something is due.  It ends by itself; if no process
 * is free the view archives says so, and a later turn tries again.  While one
 * runs, or must not be started yet, something may have become due that it does
 * not see.
 */
static void
archive(FmPipeline *pipeline)
{
	bool		due;

	if (fm_child_is_running(&archiver) || !fm_child_may_start(&archiver))
	{
		archive_waits = true;
		return;
	}
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	due = fm_archive_is_due(pipeline);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (due && !fm_child_start(&archiver, "factorymon_archiver_main",
							   "factorymon archiver", "factorymon archiver",
							   ObjectIdGetDatum(MyDatabaseId), NULL, 0))
		fm_archive_not_started(pipeline, "no background worker is free for"
							   " the archiver (max_worker_processes)");
}

static void
archive_all(List *pipelines)
{
	ListCell   *cell;

	archive_waits = false;
	foreach(cell, pipelines)
		do_duty(archive, lfirst(cell));
}

static void
keep_house(List *pipelines)
{
	ListCell   *cell;

	do_duty(clean_events, NULL);
	do_duty(expire_kpi, NULL);
	foreach(cell, pipelines)
	{
		do_duty(look_ahead, lfirst(cell));
		do_duty(merge_ledger, lfirst(cell));
		do_duty(fm_moved_run, lfirst(cell));
		do_duty(merge_rollups, lfirst(cell));
		do_duty(drop_expired, lfirst(cell));
	}
	archive_all(pipelines);
}

/* ----------------------------------------------------------------------
 * The process
 * ------------------------------------------------------------------- */

static long
nap_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = MAX_NAP_MS;
	ListCell   *cell;

	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		if (member->child.handle == NULL && member->wanted)
			nap = Min(nap, TimestampDifferenceMilliseconds(now,
														   member->child.retry_at));
	}
	if (archive_waits && archiver.handle == NULL)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, archiver.retry_at));
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
	bool		extension;
	ListCell   *cell;

	if (generation == seen_generation && !force && !worker_ended &&
		!wrong_version)
		return pipelines;
	worker_ended = false;
	seen_generation = generation;
	MemoryContextReset(context);
	MemoryContextSwitchTo(context);
	pipelines = read_pipelines(&extension);
	say_wrong_version();
	if (!wrong_version)
		forget_others(pipelines);
	if (pipelines == NIL && !wrong_version)
		leave(true);
	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		member->wanted = false;
		if (member->owner_logged)
			member->child.retry_at = 0;
	}
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
		staff_pipelines(pipelines);
		CommitTransactionCommand();
		MemoryContextSwitchTo(turn);
		if (ended != NIL)
			do_duty(report_ends, NULL);
		dismiss();
		if (due)
		{
			keep_house(pipelines);
			housekeeping_at = GetCurrentTimestamp() + HOUSEKEEPING_INTERVAL;
		}
		changed = seen_generation != answered_generation;
		answered_generation = seen_generation;
		if ((changed || archive_waits) && !due)
			archive_all(pipelines);
		fm_silence_step(pipelines, changed, fm_watermark_step(pipelines));
		if (pipelines != NIL)
			do_duty(answer_ownerless, NULL);
		fm_watermark_wait(nap_time());
	}
}

/* One that never starts gives no slot up itself. */
static void
end_member(FmStaff *member)
{
	pid_t		pid;

	fm_child_terminate(&member->child);
	if (member->child.handle != NULL &&
		GetBackgroundWorkerPid(member->child.handle, &pid) ==
		BGWH_NOT_YET_STARTED)
		release_slot(member);
}

/*
 * However it ends, its workers end with it: the next one starts its own.
 * Where there is no work any more they see that themselves, and go quietly.
 */
static void
supervisor_gone(int code, Datum arg)
{
	ListCell   *cell;

	if (!leaving_without_work)
		foreach(cell, staff)
			end_member(lfirst(cell));
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
