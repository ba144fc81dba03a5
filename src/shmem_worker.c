/*-------------------------------------------------------------------------
 *
 * shmem_worker.c
 *	  Slots of the ingest workers, and what those of a pipeline add up.
 *
 * A slot is claimed before its process is started, and the process attaches
 * to it.  Each claim has a generation of its own: a process that comes late,
 * after its slot was given up, finds another one there and ends.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "compat.h"
#include "guc.h"
#include "shmem_internal.h"

#define ONE_HOUR (INT64CONST(3600) * USECS_PER_SEC)

const double fm_histogram_bounds[FM_HISTOGRAM_BUCKETS - 1] = {
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10
};

int
fm_shmem_worker_claim(Oid database, int16 pipeline_id, int16 worker_number,
					  uint64 *generation)
{
	int			slot = -1;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers && slot < 0; i++)
	{
		FmSharedWorker *worker = &fm_shared->workers[i];

		if (worker->in_use)
			continue;
		memset(worker, 0, sizeof(*worker));
		worker->in_use = true;
		worker->proc = NO_PROC;
		worker->generation = ++fm_shared->next_generation;
		worker->info.database = database;
		worker->info.pipeline_id = pipeline_id;
		worker->info.worker_number = worker_number;
		*generation = worker->generation;
		slot = i;
	}
	LWLockRelease(fm_shared->lock);
	return slot;
}

bool
fm_shmem_worker_attach(int slot, uint64 generation)
{
	FmSharedWorker *worker = &fm_shared->workers[slot];
	bool		ok;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	ok = worker->in_use && worker->generation == generation;
	if (ok)
	{
		worker->proc = FM_MY_PROC_NUMBER;
		worker->info.pid = MyProcPid;
	}
	LWLockRelease(fm_shared->lock);
	return ok;
}

void
fm_shmem_worker_publish(int slot, const FmWorkerInfo *info)
{
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	fm_shared->workers[slot].info = *info;
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_worker_release(int slot, uint64 generation)
{
	FmSharedWorker *worker = &fm_shared->workers[slot];

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	if (worker->in_use && worker->generation == generation)
	{
		memset(worker, 0, sizeof(*worker));
		worker->proc = NO_PROC;
	}
	LWLockRelease(fm_shared->lock);
}

List *
fm_shmem_workers(Oid database)
{
	FmWorkerInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!fm_shared)
		return NIL;
	copy = palloc(sizeof(FmWorkerInfo) * fm_max_workers);

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedWorker *worker = &fm_shared->workers[i];

		if (worker->in_use && worker->info.database == database)
			copy[n++] = worker->info;
	}
	LWLockRelease(fm_shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

int64
fm_shmem_reject_bytes(Oid database, int16 pipeline_id, int64 add,
					  TimestampTz now)
{
	FmSharedRejects *entry = NULL;
	FmSharedRejects *reuse = &fm_shared->rejects[0];
	int64		result;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers && !entry; i++)
	{
		FmSharedRejects *candidate = &fm_shared->rejects[i];

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
	LWLockRelease(fm_shared->lock);
	return result;
}
