/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared state and its one lock: how they are made.
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
 * Accessors, one file for each kind of entry: shmem_database.c,
 * shmem_worker.c, shmem_publisher.c, shmem_partition.c; and shmem_sensor.c, which
 * has a lock of its own and mostly needs none.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shmem_internal.h"
#include "shmem_sensor.h"

FmShared   *fm_shared = NULL;
HTAB	   *fm_shared_partitions = NULL;

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
publishers_size(void)
{
	return mul_size(fm_max_workers, sizeof(FmSharedPublisher));
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
	RequestAddinShmemSpace(MAXALIGN(publishers_size()));
	RequestAddinShmemSpace(MAXALIGN(rejects_size()));
	RequestAddinShmemSpace(hash_estimate_size(fm_max_partitions,
											  sizeof(FmSharedPartition)));
	RequestAddinShmemSpace(fm_shmem_sensors_size());
	RequestNamedLWLockTranche("factorymon", 2);
}

static void
startup_shmem(void)
{
	HASHCTL		ctl = {0};
	bool		found;

	if (prev_startup_hook)
		prev_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	fm_shared = ShmemInitStruct("factorymon", sizeof(FmShared), &found);
	if (!found)
	{
		memset(fm_shared, 0, sizeof(FmShared));
		fm_shared->lock = &(GetNamedLWLockTranche("factorymon"))->lock;
		fm_shared->launcher_proc = NO_PROC;
	}
	fm_shared->databases = ShmemInitStruct("factorymon databases",
										   databases_size(), &found);
	if (!found)
		memset(fm_shared->databases, 0, databases_size());
	fm_shared->workers = ShmemInitStruct("factorymon workers",
										 workers_size(), &found);
	if (!found)
		memset(fm_shared->workers, 0, workers_size());
	fm_shared->publishers = ShmemInitStruct("factorymon publishers",
											publishers_size(), &found);
	if (!found)
		memset(fm_shared->publishers, 0, publishers_size());
	fm_shared->rejects = ShmemInitStruct("factorymon rejects",
										 rejects_size(), &found);
	if (!found)
		memset(fm_shared->rejects, 0, rejects_size());

	ctl.keysize = sizeof(FmPartitionKey);
	ctl.entrysize = sizeof(FmSharedPartition);
	fm_shared_partitions = ShmemInitHash("factorymon partitions",
										 fm_max_partitions, fm_max_partitions,
										 &ctl, HASH_ELEM | HASH_BLOBS);
	fm_shmem_sensors_init();
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
	return fm_shared != NULL;
}

void
fm_shmem_wake(int proc)
{
	if (proc != NO_PROC)
		SetLatch(&ProcGlobal->allProcs[proc].procLatch);
}
