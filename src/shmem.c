/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared state and its one lock; accessors only.
 *
 * One LWLock (FmShared.lock) protects everything here.  It is held while
 * plain data is copied in or out, never over a wait, an allocation or the
 * start of a process.  Latches are set through process numbers: a stale one
 * wakes somebody for nothing, which every latch user must bear anyway.
 *
 * A crash of any process makes the postmaster start again with fresh shared
 * memory, so nothing here needs to survive, and nothing here decides what is
 * stored: positions live in tables.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "shmem.h"

#define NO_PROC (-1)
#define ONE_HOUR (INT64CONST(3600) * USECS_PER_SEC)

const double fm_histogram_bounds[FM_HISTOGRAM_BUCKETS - 1] = {
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10
};

/* One database that has, or once had, pipelines. */
typedef struct FmSharedDatabase
{
	Oid			database;		/* InvalidOid: free entry */
	int			supervisor_pid;
	int			supervisor_proc;	/* process number, for its latch */
	uint64		wanted;			/* grows with every request */
	uint64		served;
	bool		no_work;
	int			held_by;		/* pid of the backend keeping us out */
} FmSharedDatabase;

typedef struct FmSharedWorker
{
	bool		in_use;
	uint64		generation;		/* of the claim; tells late-comers apart */
	int			proc;			/* process number, NO_PROC before attach */
	FmWorkerInfo info;
} FmSharedWorker;

/* Bytes of rejects of one pipeline in the hour that began at since. */
typedef struct FmSharedRejects
{
	Oid			database;
	int16		pipeline_id;
	TimestampTz since;
	int64		bytes;
} FmSharedRejects;

typedef struct FmPartitionKey
{
	Oid			database;
	int32		pipeline_id;
	int32		partition;
} FmPartitionKey;

typedef struct FmSharedPartition
{
	FmPartitionKey key;			/* hash key, must be first */
	FmPartitionInfo info;
} FmSharedPartition;

typedef struct FmShared
{
	LWLock	   *lock;
	int			launcher_proc;	/* NO_PROC: not running */
	uint64		next_generation;
	FmSharedDatabase *databases;	/* fm_max_databases */
	FmSharedWorker *workers;	/* fm_max_workers */
	FmSharedRejects *rejects;	/* fm_max_workers: a pipeline has at least 1 */
} FmShared;

static FmShared *shared = NULL;
static HTAB *partitions = NULL;

static shmem_startup_hook_type prev_startup_hook = NULL;
static shmem_request_hook_type prev_request_hook = NULL;

static Size
databases_size(void)
{
	return mul_size(fm_max_databases, sizeof(FmSharedDatabase));
}

static Size
workers_size(void)
{
	return mul_size(fm_max_workers, sizeof(FmSharedWorker));
}

static Size
rejects_size(void)
{
	return mul_size(fm_max_workers, sizeof(FmSharedRejects));
}

static void
request_shmem(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(FmShared)));
	RequestAddinShmemSpace(MAXALIGN(databases_size()));
	RequestAddinShmemSpace(MAXALIGN(workers_size()));
	RequestAddinShmemSpace(MAXALIGN(rejects_size()));
	RequestAddinShmemSpace(hash_estimate_size(fm_max_partitions,
											  sizeof(FmSharedPartition)));
	RequestNamedLWLockTranche("factorymon", 1);
}

static void
startup_shmem(void)
{
	HASHCTL		ctl = {0};
	bool		found;

	if (prev_startup_hook)
		prev_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("factorymon", sizeof(FmShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(FmShared));
		shared->lock = &(GetNamedLWLockTranche("factorymon"))->lock;
		shared->launcher_proc = NO_PROC;
	}
	shared->databases = ShmemInitStruct("factorymon databases",
										databases_size(), &found);
	if (!found)
		memset(shared->databases, 0, databases_size());
	shared->workers = ShmemInitStruct("factorymon workers",
									  workers_size(), &found);
	if (!found)
		memset(shared->workers, 0, workers_size());
	shared->rejects = ShmemInitStruct("factorymon rejects",
									  rejects_size(), &found);
	if (!found)
		memset(shared->rejects, 0, rejects_size());

	ctl.keysize = sizeof(FmPartitionKey);
	ctl.entrysize = sizeof(FmSharedPartition);
	partitions = ShmemInitHash("factorymon partitions", fm_max_partitions,
							   fm_max_partitions, &ctl,
							   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
}

void
fm_shmem_install(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

bool
fm_shmem_ready(void)
{
	return shared != NULL;
}

static void
wake_process(int proc)
{
	if (proc != NO_PROC)
		SetLatch(&ProcGlobal->allProcs[proc].procLatch);
}

/* ----------------------------------------------------------------------
 * Launcher and databases
 * ------------------------------------------------------------------- */

static void
launcher_gone(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher_proc = NO_PROC;
	LWLockRelease(shared->lock);
}

void
fm_shmem_launcher_attach(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher_proc = FM_MY_PROC_NUMBER;
	LWLockRelease(shared->lock);
	before_shmem_exit(launcher_gone, (Datum) 0);
}

/* Caller holds the lock. */
static FmSharedDatabase *
find_database(Oid database)
{
	for (int i = 0; i < fm_max_databases; i++)
		if (shared->databases[i].database == database)
			return &shared->databases[i];
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

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ok = find_or_add_database(database) != NULL;
	LWLockRelease(shared->lock);
	return ok;
}

List *
fm_shmem_databases(void)
{
	FmDatabaseInfo *copy = palloc0(sizeof(FmDatabaseInfo) * fm_max_databases);
	List	   *result = NIL;
	int			n = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_databases; i++)
	{
		FmSharedDatabase *entry = &shared->databases[i];

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
	LWLockRelease(shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

void
fm_shmem_database_forget(Oid database)
{
	FmSharedDatabase *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry && entry->held_by == 0 && entry->supervisor_pid == 0)
		memset(entry, 0, sizeof(*entry));
	LWLockRelease(shared->lock);
}

void
fm_shmem_database_changed(Oid database)
{
	FmSharedDatabase *entry;
	int			launcher;
	int			supervisor = NO_PROC;

	if (!shared)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry)
	{
		entry->wanted++;
		if (entry->supervisor_pid != 0)
			supervisor = entry->supervisor_proc;
	}
	launcher = shared->launcher_proc;
	LWLockRelease(shared->lock);

	if (!entry)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many databases with pipelines"),
				 errhint("Increase factorymon.max_databases and restart the server.")));

	wake_process(launcher);
	wake_process(supervisor);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedWorker *worker = &shared->workers[i];

		/* unlocked reads: at worst somebody is woken for nothing */
		if (worker->in_use && worker->info.database == database)
			wake_process(worker->proc);
	}
}

uint64
fm_shmem_database_generation(Oid database)
{
	FmSharedDatabase *entry;
	uint64		result = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	entry = find_database(database);
	if (entry)
		result = entry->wanted;
	LWLockRelease(shared->lock);
	return result;
}

bool
fm_shmem_supervisor_attach(Oid database, uint64 *generation)
{
	FmSharedDatabase *entry;
	bool		ok = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry && entry->supervisor_pid == 0 && entry->held_by == 0)
	{
		entry->supervisor_pid = MyProcPid;
		entry->supervisor_proc = FM_MY_PROC_NUMBER;
		entry->no_work = false;
		*generation = entry->wanted;
		ok = true;
	}
	LWLockRelease(shared->lock);
	return ok;
}

void
fm_shmem_supervisor_detach(Oid database, bool no_work, uint64 served)
{
	FmSharedDatabase *entry;
	int			launcher;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry && entry->supervisor_pid == MyProcPid)
	{
		entry->supervisor_pid = 0;
		entry->supervisor_proc = NO_PROC;
		entry->no_work = no_work;
		entry->served = served;
	}
	launcher = shared->launcher_proc;
	LWLockRelease(shared->lock);
	wake_process(launcher);
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
		FmSharedWorker *worker = &shared->workers[i];

		if (worker->in_use && worker->info.database == database &&
			worker->info.pid != 0)
			pids[n++] = worker->info.pid;
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
	int		   *pids = palloc(sizeof(int) * (fm_max_workers + 1));
	FmSharedDatabase *entry;
	int			n;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_or_add_database(database);
	if (entry)
		entry->held_by = MyProcPid;
	n = collect_pids(database, pids);
	LWLockRelease(shared->lock);
	return pids_to_list(pids, n);
}

void
fm_shmem_database_release(Oid database)
{
	FmSharedDatabase *entry;
	int			launcher;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = find_database(database);
	if (entry && entry->held_by == MyProcPid)
	{
		entry->held_by = 0;
		entry->wanted++;
	}
	launcher = shared->launcher_proc;
	LWLockRelease(shared->lock);
	wake_process(launcher);
}

bool
fm_shmem_database_is_held(Oid database)
{
	FmSharedDatabase *entry;
	bool		result;

	LWLockAcquire(shared->lock, LW_SHARED);
	entry = find_database(database);
	result = entry && entry->held_by != 0;
	LWLockRelease(shared->lock);
	return result;
}

List *
fm_shmem_database_pids(Oid database)
{
	int		   *pids = palloc(sizeof(int) * (fm_max_workers + 1));
	int			n;

	LWLockAcquire(shared->lock, LW_SHARED);
	n = collect_pids(database, pids);
	LWLockRelease(shared->lock);
	return pids_to_list(pids, n);
}

/* ----------------------------------------------------------------------
 * Workers
 * ------------------------------------------------------------------- */

int
fm_shmem_worker_claim(Oid database, int16 pipeline_id, int16 worker_number,
					  uint64 *generation)
{
	int			slot = -1;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers && slot < 0; i++)
	{
		FmSharedWorker *worker = &shared->workers[i];

		if (worker->in_use)
			continue;
		memset(worker, 0, sizeof(*worker));
		worker->in_use = true;
		worker->proc = NO_PROC;
		worker->generation = ++shared->next_generation;
		worker->info.database = database;
		worker->info.pipeline_id = pipeline_id;
		worker->info.worker_number = worker_number;
		*generation = worker->generation;
		slot = i;
	}
	LWLockRelease(shared->lock);
	return slot;
}

bool
fm_shmem_worker_attach(int slot, uint64 generation)
{
	FmSharedWorker *worker = &shared->workers[slot];
	bool		ok;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ok = worker->in_use && worker->generation == generation;
	if (ok)
	{
		worker->proc = FM_MY_PROC_NUMBER;
		worker->info.pid = MyProcPid;
	}
	LWLockRelease(shared->lock);
	return ok;
}

void
fm_shmem_worker_publish(int slot, const FmWorkerInfo *info)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[slot].info = *info;
	LWLockRelease(shared->lock);
}

void
fm_shmem_worker_release(int slot, uint64 generation)
{
	FmSharedWorker *worker = &shared->workers[slot];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (worker->in_use && worker->generation == generation)
	{
		memset(worker, 0, sizeof(*worker));
		worker->proc = NO_PROC;
	}
	LWLockRelease(shared->lock);
}

List *
fm_shmem_workers(Oid database)
{
	FmWorkerInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!shared)
		return NIL;
	copy = palloc(sizeof(FmWorkerInfo) * fm_max_workers);

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedWorker *worker = &shared->workers[i];

		if (worker->in_use && worker->info.database == database)
			copy[n++] = worker->info;
	}
	LWLockRelease(shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

/* ----------------------------------------------------------------------
 * Partitions
 * ------------------------------------------------------------------- */

static FmPartitionKey
partition_key(Oid database, int16 pipeline_id, int32 partition)
{
	FmPartitionKey key;

	memset(&key, 0, sizeof(key));
	key.database = database;
	key.pipeline_id = pipeline_id;
	key.partition = partition;
	return key;
}

void
fm_shmem_partition_publish(const FmPartitionInfo *info)
{
	FmPartitionKey key = partition_key(info->database, info->pipeline_id,
									   info->partition);
	FmSharedPartition *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = hash_search(partitions, &key, HASH_ENTER_NULL, NULL);
	if (entry)
		entry->info = *info;
	LWLockRelease(shared->lock);
}

void
fm_shmem_partition_watermarks(Oid database, int16 pipeline_id,
							  int32 partition, int64 low, int64 high,
							  TimestampTz at)
{
	FmPartitionKey key = partition_key(database, pipeline_id, partition);
	FmSharedPartition *entry;
	bool		found;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = hash_search(partitions, &key, HASH_ENTER_NULL, &found);
	if (entry && !found)
	{
		memset(&entry->info, 0, sizeof(entry->info));
		entry->info.database = database;
		entry->info.pipeline_id = pipeline_id;
		entry->info.partition = partition;
		entry->info.state = FM_PARTITION_UNASSIGNED;
		entry->info.position = entry->info.committed_offset = -1;
	}
	if (entry)
	{
		entry->info.low_watermark = low;
		entry->info.high_watermark = high;
		entry->info.watermarks_at = at;
	}
	LWLockRelease(shared->lock);
}

void
fm_shmem_partitions_disown(Oid database, int16 pipeline_id, int pid)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		FmPartitionInfo *info = &entry->info;

		if (info->database != database || info->pipeline_id != pipeline_id ||
			info->pid != pid)
			continue;
		info->pid = 0;
		info->messages_per_second = 0;
		if (info->state != FM_PARTITION_STOPPED &&
			info->state != FM_PARTITION_PAUSED)
		{
			info->state = FM_PARTITION_UNASSIGNED;
			info->state_detail[0] = '\0';
		}
	}
	LWLockRelease(shared->lock);
}

bool
fm_shmem_partition_get(Oid database, int16 pipeline_id, int32 partition,
					   FmPartitionInfo *info)
{
	FmPartitionKey key = partition_key(database, pipeline_id, partition);
	FmSharedPartition *entry;

	LWLockAcquire(shared->lock, LW_SHARED);
	entry = hash_search(partitions, &key, HASH_FIND, NULL);
	if (entry)
		*info = entry->info;
	LWLockRelease(shared->lock);
	return entry != NULL;
}

List *
fm_shmem_partitions(Oid database)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;
	FmPartitionInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!shared)
		return NIL;
	copy = palloc(sizeof(FmPartitionInfo) * fm_max_partitions);

	LWLockAcquire(shared->lock, LW_SHARED);
	hash_seq_init(&scan, partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->info.database == database && n < fm_max_partitions)
			copy[n++] = entry->info;
	LWLockRelease(shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

void
fm_shmem_partitions_forget(Oid database, int16 pipeline_id)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;

	if (!shared)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->info.database == database &&
			entry->info.pipeline_id == pipeline_id)
			(void) hash_search(partitions, &entry->key, HASH_REMOVE, NULL);
	LWLockRelease(shared->lock);
}

int64
fm_shmem_reject_bytes(Oid database, int16 pipeline_id, int64 add,
					  TimestampTz now)
{
	FmSharedRejects *entry = NULL;
	FmSharedRejects *reuse = &shared->rejects[0];
	int64		result;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers && !entry; i++)
	{
		FmSharedRejects *candidate = &shared->rejects[i];

		if (candidate->database == database &&
			candidate->pipeline_id == pipeline_id)
			entry = candidate;
		else if (candidate->since < reuse->since)
			reuse = candidate;
	}
	if (!entry)
	{
		entry = reuse;
		entry->database = database;
		entry->pipeline_id = pipeline_id;
		entry->since = now;
		entry->bytes = 0;
	}
	if (now - entry->since >= ONE_HOUR)
	{
		entry->since = now;
		entry->bytes = 0;
	}
	entry->bytes += add;
	result = entry->bytes;
	LWLockRelease(shared->lock);
	return result;
}
