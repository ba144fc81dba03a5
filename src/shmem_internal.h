/*-------------------------------------------------------------------------
 *
 * shmem_internal.h
 *	  The shared structs themselves, for the files of shmem*.c only.
 *
 * shmem.c makes them, shmem_database.c, shmem_worker.c, shmem_publisher.c and
 * shmem_partition.c each know one kind of them.  FmShared.lock protects everything; see shmem.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHMEM_INTERNAL_H
#define FM_SHMEM_INTERNAL_H

#include "postgres.h"

#include "storage/lwlock.h"
#include "utils/hsearch.h"

#include "shmem.h"

#define NO_PROC (-1)

/* One database that has, or once had, pipelines. */
typedef struct FmSharedDatabase
{
	Oid			database;		/* InvalidOid: free entry */
	Oid			extension;		/* as its supervisor last saw it */
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

typedef struct FmSharedPublisher
{
	bool		in_use;
	uint64		generation;
	int			proc;
	FmPublisherInfo info;
} FmSharedPublisher;

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
	FmSharedPublisher *publishers;	/* fm_max_workers, likewise */
	FmSharedRejects *rejects;	/* fm_max_workers: a pipeline has at least 1 */
} FmShared;

extern FmShared *fm_shared;		/* NULL: not preloaded */
extern HTAB *fm_shared_partitions;	/* of FmSharedPartition */

/*
 * Set the latch of a process; NO_PROC: nobody's.  Not while holding the lock,
 * which the process would then have to wait for.
 */
extern void fm_shmem_wake(int proc);

#endif							/* FM_SHMEM_INTERNAL_H */
