/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  One process a server: which databases have work, and their supervisors.
 *
 * At its start the launcher asks every database once, by starting a
 * supervisor there, which leaves at once where there is no extension or no
 * running pipeline.  Later it is woken through shared memory: by control
 * functions when a pipeline changes, by supervisors that end, by commands
 * that kept us out of a database.
 *
 * The launcher is connected to no database, so it is never in anybody's way,
 * and it never exits with code 0, because the postmaster would not start it
 * again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "child.h"
#include "compat.h"
#include "factorymon.h"
#include "guc.h"
#include "launcher.h"
#include "shmem.h"
#include "utils/guc.h"

#define MAX_NAP_MS 60000

/* Our children by database. */
typedef struct FmSupervised
{
	Oid			database;		/* hash key */
	FmChild		child;
} FmSupervised;

static HTAB *supervised = NULL;

/* Databases that were not asked yet whether they have work. */
static List *unasked = NIL;

void
fm_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "factorymon", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "factorymon_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "factorymon launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "factorymon launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* Databases that accept connections, or only whether one of them exists. */
static List *
read_databases(Oid only)
{
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn ||
			(OidIsValid(only) && database->oid != only))
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		result = lappend_oid(result, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return result;
}

static bool
database_exists(Oid database)
{
	List	   *found = read_databases(database);
	bool		result = found != NIL;

	list_free(found);
	return result;
}

static FmSupervised *
get_supervised(Oid database)
{
	bool		found;
	FmSupervised *entry = hash_search(supervised, &database, HASH_ENTER,
									  &found);

	if (!found)
		memset(&entry->child, 0, sizeof(entry->child));
	return entry;
}

/* Move unasked databases into shared memory as far as there is room. */
static void
admit_databases(void)
{
	while (unasked != NIL && fm_shmem_database_add(linitial_oid(unasked)))
		unasked = list_delete_first(unasked);
}

static void
start_supervisor(FmSupervised *entry)
{
	char		name[BGW_MAXLEN];

	if (!database_exists(entry->database))
	{
		fm_shmem_database_forget(entry->database);
		return;
	}
	snprintf(name, sizeof(name), "factorymon supervisor of database %u",
			 entry->database);
	(void) fm_child_start(&entry->child, "factorymon_supervisor_main", name,
						  "factorymon supervisor",
						  ObjectIdGetDatum(entry->database), NULL, 0);
}

/*
 * Look at one database: start a supervisor if it wants one.  One that left
 * because there was nothing to do is not wanted before the next request, and
 * makes room for databases that were not asked yet.
 */
static void
look_after(const FmDatabaseInfo *info)
{
	FmSupervised *entry = get_supervised(info->database);

	if (fm_child_is_running(&entry->child) || info->held_by != 0 ||
		!fm_enabled)
		return;
	if (info->no_work && info->wanted == info->served)
	{
		memset(&entry->child, 0, sizeof(entry->child));
		if (unasked != NIL)
			fm_shmem_database_forget(info->database);
		return;
	}
	if (info->no_work)
		entry->child.retry_at = 0;	/* a new request: no need to wait */
	if (fm_child_may_start(&entry->child))
		start_supervisor(entry);
}

/* Milliseconds until the next back-off ends. */
static long
nap_time(void)
{
	HASH_SEQ_STATUS scan;
	FmSupervised *entry;
	TimestampTz now = GetCurrentTimestamp();
	long		nap = MAX_NAP_MS;

	hash_seq_init(&scan, supervised);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->child.handle == NULL && entry->child.retry_at > now)
			nap = Min(nap, TimestampDifferenceMilliseconds(now,
														   entry->child.retry_at));
	return nap;
}

static void
run(void)
{
	MemoryContext turn = AllocSetContextCreate(TopMemoryContext,
											   "factorymon launcher turn",
											   ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		ListCell   *cell;

		MemoryContextSwitchTo(turn);
		MemoryContextReset(turn);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		admit_databases();
		foreach(cell, fm_shmem_databases())
			look_after(lfirst(cell));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, nap_time(), FM_WAIT_EVENT);
		ResetLatch(MyLatch);
	}
}

void
factorymon_launcher_main(Datum arg)
{
	HASHCTL		ctl = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	fm_shmem_launcher_attach();
	pgstat_report_appname("factorymon launcher");

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(FmSupervised);
	ctl.hcxt = TopMemoryContext;
	supervised = hash_create("factorymon supervisors", 16, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	unasked = read_databases(InvalidOid);
	run();
}
