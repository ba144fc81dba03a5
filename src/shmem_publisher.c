/*-------------------------------------------------------------------------
 *
 * shmem_publisher.c
 *	  Slots of the publishers: one for each pipeline that runs.
 *
 * A slot is claimed and attached to as a worker's is (shmem_worker.c).  There
 * are as many as workers, since a pipeline has one worker at least.
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

int
fm_shmem_publisher_claim(Oid database, int16 pipeline_id, uint64 *generation)
{
	int			slot = -1;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers && slot < 0; i++)
	{
		FmSharedPublisher *publisher = &fm_shared->publishers[i];

		if (publisher->in_use)
			continue;
		memset(publisher, 0, sizeof(*publisher));
		publisher->in_use = true;
		publisher->proc = NO_PROC;
		publisher->generation = ++fm_shared->next_generation;
		publisher->info.database = database;
		publisher->info.pipeline_id = pipeline_id;
		*generation = publisher->generation;
		slot = i;
	}
	LWLockRelease(fm_shared->lock);
	return slot;
}

bool
fm_shmem_publisher_attach(int slot, uint64 generation)
{
	FmSharedPublisher *publisher = &fm_shared->publishers[slot];
	bool		ok;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	ok = publisher->in_use && publisher->generation == generation;
	if (ok)
	{
		publisher->proc = FM_MY_PROC_NUMBER;
		publisher->info.pid = MyProcPid;
	}
	LWLockRelease(fm_shared->lock);
	return ok;
}

void
fm_shmem_publisher_publish(int slot, const FmPublisherInfo *info)
{
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	fm_shared->publishers[slot].info = *info;
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_publisher_release(int slot, uint64 generation)
{
	FmSharedPublisher *publisher = &fm_shared->publishers[slot];

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	if (publisher->in_use && publisher->generation == generation)
	{
		memset(publisher, 0, sizeof(*publisher));
		publisher->proc = NO_PROC;
	}
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_publisher_wake(Oid database, int16 pipeline_id)
{
	int			proc = NO_PROC;

	if (!fm_shared)
		return;
	LWLockAcquire(fm_shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedPublisher *publisher = &fm_shared->publishers[i];

		if (publisher->in_use && publisher->info.database == database &&
			publisher->info.pipeline_id == pipeline_id)
			proc = publisher->proc;
	}
	LWLockRelease(fm_shared->lock);
	fm_shmem_wake(proc);
}

List *
fm_shmem_publishers(Oid database)
{
	FmPublisherInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!fm_shared)
		return NIL;
	copy = palloc(sizeof(FmPublisherInfo) * fm_max_workers);

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmSharedPublisher *publisher = &fm_shared->publishers[i];

		if (publisher->in_use && publisher->info.database == database)
			copy[n++] = publisher->info;
	}
	LWLockRelease(fm_shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}
