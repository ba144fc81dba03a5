/*-------------------------------------------------------------------------
 *
 * shmem_database.c
 *	  Which databases want work done, and who does it there.
 *
 * Whoever changes something about pipelines raises "wanted" and wakes the
 * launcher.  A supervisor remembers what it was when it last looked, and
 * leaves that behind as "served": while the two differ there is work, and no
 * request gets lost between one supervisor and the next.  A backend that must
 * have the database to itself (see dbhook.c) holds it: no supervisor attaches
 * until it is released.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"

#include "compat.h"
#include "guc.h"
#include "shmem_internal.h"
#include "shmem_sensor.h"

/* Supervisor, workers, publishers. */
#define MAX_PIDS (2 * fm_max_workers + 1)

static void
launcher_gone(int code, Datum arg)
{
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	fm_shared->launcher_proc = NO_PROC;
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_launcher_attach(void)
{
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	fm_shared->launcher_proc = FM_MY_PROC_NUMBER;
	LWLockRelease(fm_shared->lock);
	before_shmem_exit(launcher_gone, (Datum) 0);
}

/* Caller holds the lock. */
static FmSharedDatabase *
find_database(Oid database)
{
	for (int i = 0; i < fm_max_databases; i++)
		if (fm_shared->databases[i].database == database)
			return &fm_shared->databases[i];
	return NULL;
}

/* Caller holds the lock exclusively.  NULL if the table is full. */
static FmSharedDatabase *
find_or_add_database(Oid database)
{
	FmSharedDatabase *entry = find_database(database);

	if (entry)
		return entry;
	entry = find_database(InvalidOid);
	if (entry)
	{
		memset(entry, 0, sizeof(*entry));
		entry->database = database;
		entry->supervisor_proc = NO_PROC;
		entry->wanted = 1;
	}
	return entry;
}

bool
fm_shmem_database_add(Oid database)
{
	bool		ok;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	ok = find_or_add_database(database) != NULL;
	LWLockRelease(fm_shared->lock);
	return ok;
}

List *
fm_shmem_databases(void)
{
	FmDatabaseInfo *copy = palloc0(sizeof(FmDatabaseInfo) * fm_max_databases);
	List	   *result = NIL;
	int			n = 0;

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_databases; i++)
	{
		FmSharedDatabase *entry = &fm_shared->databases[i];

		if (!OidIsValid(entry->database))
			continue;
		copy[n].database = entry->database;
		copy[n].supervisor_pid = entry->supervisor_pid;
		copy[n].wanted = entry->wanted;
		copy[n].served = entry->served;
		copy[n].held_by = entry->held_by;
		copy[n].no_work = entry->no_work;
		n++;
	}
	LWLockRelease(fm_shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

void
fm_shmem_database_forget(Oid database)
{
	FmSharedDatabase *entry;
	bool		gone;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	gone = entry && entry->held_by == 0 && entry->supervisor_pid == 0;
	if (gone)
		memset(entry, 0, sizeof(*entry));
	LWLockRelease(fm_shared->lock);
	if (gone)
		fm_shmem_sensors_forget(database, 0);
}

void
fm_shmem_database_changed(Oid database)
{
	FmSharedDatabase *entry;
	int			launcher;
	int			supervisor = NO_PROC;

	if (!fm_shared)
		return;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry)
	{
		entry->wanted++;
		if (entry->supervisor_pid != 0)
			supervisor = entry->supervisor_proc;
	}
	launcher = fm_shared->launcher_proc;
	LWLockRelease(fm_shared->lock);

	if (!entry)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many databases with pipelines"),
				 errhint("Increase factorymon.max_databases and restart the server.")));

	fm_shmem_wake(launcher);
	fm_shmem_wake(supervisor);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedWorker *worker = &fm_shared->workers[i];

		/* unlocked reads: at worst somebody is woken for nothing */
		if (worker->in_use && worker->info.database == database)
			fm_shmem_wake(worker->proc);
	}
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedPublisher *publisher = &fm_shared->publishers[i];

		if (publisher->in_use && publisher->info.database == database)
			fm_shmem_wake(publisher->proc);
	}
}

uint64
fm_shmem_database_generation(Oid database)
{
	FmSharedDatabase *entry;
	uint64		result = 0;

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	entry = find_database(database);
	if (entry)
		result = entry->wanted;
	LWLockRelease(fm_shared->lock);
	return result;
}

bool
fm_shmem_supervisor_attach(Oid database, uint64 *generation)
{
	FmSharedDatabase *entry;
	bool		ok = false;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry && entry->supervisor_pid == 0 && entry->held_by == 0)
	{
		entry->supervisor_pid = MyProcPid;
		entry->supervisor_proc = FM_MY_PROC_NUMBER;
		entry->no_work = false;
		*generation = entry->wanted;
		ok = true;
	}
	LWLockRelease(fm_shared->lock);
	return ok;
}

void
fm_shmem_supervisor_detach(Oid database, bool no_work, uint64 served)
{
	FmSharedDatabase *entry;
	int			launcher;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry && entry->supervisor_pid == MyProcPid)
	{
		entry->supervisor_pid = 0;
		entry->supervisor_proc = NO_PROC;
		entry->no_work = no_work;
		entry->served = served;
	}
	launcher = fm_shared->launcher_proc;
	LWLockRelease(fm_shared->lock);
	fm_shmem_wake(launcher);
}

void
fm_shmem_database_extension(Oid database, Oid extension)
{
	FmSharedDatabase *entry;
	bool		other = false;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry)
	{
		other = entry->extension != extension;
		entry->extension = extension;
	}
	LWLockRelease(fm_shared->lock);
	if (!other)
		return;
	fm_shmem_sensors_forget(database, 0);
	fm_shmem_partitions_forget(database, 0);
}

/* Caller holds the lock. */
static int
collect_pids(Oid database, int *pids)
{
	FmSharedDatabase *entry = find_database(database);
	int			n = 0;

	if (entry && entry->supervisor_pid != 0)
		pids[n++] = entry->supervisor_pid;
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedWorker *worker = &fm_shared->workers[i];

		if (worker->in_use && worker->info.database == database &&
			worker->info.pid != 0)
			pids[n++] = worker->info.pid;
	}
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedPublisher *publisher = &fm_shared->publishers[i];

		if (publisher->in_use && publisher->info.database == database &&
			publisher->info.pid != 0)
			pids[n++] = publisher->info.pid;
	}
	return n;
}

static List *
pids_to_list(const int *pids, int n)
{
	List	   *result = NIL;

	for (int i = 0; i < n; i++)
		result = lappend_int(result, pids[i]);
	return result;
}

List *
fm_shmem_database_hold(Oid database)
{
	int		   *pids = palloc(sizeof(int) * MAX_PIDS);
	FmSharedDatabase *entry;
	int			n;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry)
		entry->held_by = MyProcPid;
	n = collect_pids(database, pids);
	LWLockRelease(fm_shared->lock);
	return pids_to_list(pids, n);
}

void
fm_shmem_database_release(Oid database)
{
	FmSharedDatabase *entry;
	int			launcher;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry && entry->held_by == MyProcPid)
	{
		entry->held_by = 0;
		entry->wanted++;
	}
	launcher = fm_shared->launcher_proc;
	LWLockRelease(fm_shared->lock);
	fm_shmem_wake(launcher);
}

bool
fm_shmem_database_is_held(Oid database)
{
	FmSharedDatabase *entry;
	bool		result;

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	entry = find_database(database);
	result = entry && entry->held_by != 0;
	LWLockRelease(fm_shared->lock);
	return result;
}

List *
fm_shmem_database_pids(Oid database)
{
	int		   *pids = palloc(sizeof(int) * MAX_PIDS);
	int			n;

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	n = collect_pids(database, pids);
	LWLockRelease(fm_shared->lock);
	return pids_to_list(pids, n);
}
