/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What the processes share: who works where, and what they last said.
 *
 * Nobody outside shmem*.c touches a shared field.  Processes keep their own
 * copy of the structs below and publish it; readers get copies.  There is
 * one LWLock for everything; it is held for copying only.
 *
 * Without shared_preload_libraries there is no shared state: readers see
 * nothing, writers are never called.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHMEM_H
#define FM_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define FM_STATUS_TEXT_LEN	256
#define FM_HISTOGRAM_BUCKETS 14

typedef enum FmWorkerState
{
	FM_WORKER_STARTING,			/* connecting to the database */
	FM_WORKER_WRONG_VERSION,	/* library and SQL version differ */
	FM_WORKER_CONNECTING,		/* client created, no assignment yet */
	FM_WORKER_RUNNING,
	FM_WORKER_PAUSED,			/* whole pipeline paused */
	FM_WORKER_RETRYING,			/* batch could not be stored, back-off */
	FM_WORKER_STOPPING
} FmWorkerState;

typedef enum FmPartitionState
{
	FM_PARTITION_UNASSIGNED,	/* no worker here owns it */
	FM_PARTITION_TAKING,		/* take or start position in progress */
	FM_PARTITION_WAITING,		/* somebody holds its row */
	FM_PARTITION_PROVING,		/* is this still the log we know? */
	FM_PARTITION_RUNNING,
	FM_PARTITION_PAUSED,
	FM_PARTITION_STOPPED		/* waits for a person */
} FmPartitionState;

/* One ingest worker.  Counters are since its process started. */
typedef struct FmWorkerInfo
{
	Oid			database;
	int16		pipeline_id;
	int16		worker_number;	/* 1..workers */
	int			pid;
	FmWorkerState state;
	TimestampTz started_at;
	TimestampTz heartbeat_at;	/* last turn of its loop */
	TimestampTz state_since;
	char		consumer[128];	/* group member id, "" before the join */
	int32		assigned;		/* partitions */
	int64		messages;
	int64		bytes;
	int64		readings;
	int64		rejected;
	int64		other;
	int64		transitions;
	int64		batches;
	int64		retries;
	int64		fenced;
	int64		rebalances;
	int64		sensors;
	double		cpu_seconds;	/* whole process, library threads included */
	int64		memory_bytes;	/* resident */
	double		batch_seconds;	/* sum */
	char		store_path[64]; /* of the last batch: "direct", or "executor: " and
								 * what asks for it; "" before the first */
	int64		batch_histogram[FM_HISTOGRAM_BUCKETS];	/* see bounds below */
	char		last_error[FM_STATUS_TEXT_LEN];
	TimestampTz last_error_at;
} FmWorkerInfo;

/* Upper bounds of the histogram's buckets in seconds; the last is infinite. */
extern const double fm_histogram_bounds[FM_HISTOGRAM_BUCKETS - 1];

typedef enum FmPublisherState
{
	FM_PUBLISHER_STARTING,		/* connecting to the database */
	FM_PUBLISHER_RUNNING,
	FM_PUBLISHER_RETRYING,		/* Kafka does not take what is there */
	FM_PUBLISHER_STOPPING
} FmPublisherState;

/* The publisher of one pipeline.  Counters are since its process started. */
typedef struct FmPublisherInfo
{
	Oid			database;
	int16		pipeline_id;
	int			pid;
	FmPublisherState state;
	TimestampTz started_at;
	TimestampTz heartbeat_at;	/* last turn of its loop */
	TimestampTz state_since;
	int64		numbered;
	int64		notified;
	int64		sent;			/* handed to the client, repeats included */
	int64		confirmed;
	int64		refused;
	int64		in_flight;
	char		last_error[FM_STATUS_TEXT_LEN];
	TimestampTz last_error_at;
} FmPublisherInfo;

/* One Kafka partition of one pipeline. */
typedef struct FmPartitionInfo
{
	Oid			database;
	int16		pipeline_id;
	int32		partition;
	int32		stream_id;		/* 0: not known */
	int32		incarnation;
	int			pid;			/* 0: no worker here owns it */
	FmPartitionState state;
	char		state_detail[FM_STATUS_TEXT_LEN];
	int64		position;		/* -1: not known; next offset to read */
	int64		committed_offset;	/* in the group, as confirmed; -1 */
	int64		low_watermark;	/* -1: not known */
	int64		high_watermark;
	TimestampTz watermarks_at;
	TimestampTz frontier_at;	/* all up to then is stored; 0: not known */
	double		messages_per_second;
	TimestampTz last_message_at;	/* Kafka's timestamp; 0: none */
	char		last_error[FM_STATUS_TEXT_LEN];
	TimestampTz last_error_at;
} FmPartitionInfo;

extern void fm_shmem_install(void);	/* hooks; from _PG_init */
extern bool fm_shmem_ready(void);

/* --- launcher and databases ------------------------------------------- */

/* What a database wants from the launcher. */
typedef struct FmDatabaseInfo
{
	Oid			database;
	int			supervisor_pid;	/* 0: none */
	uint64		wanted;			/* requests so far; see below */
	uint64		served;			/* wanted as the last supervisor saw it */
	int			held_by;		/* pid keeping us out; 0: nobody */
	bool		no_work;		/* last supervisor found nothing to do */
} FmDatabaseInfo;

extern void fm_shmem_launcher_attach(void);	/* sets its latch for wake-ups */

/* Find or add a database; false if the table is full. */
extern bool fm_shmem_database_add(Oid database);
extern List *fm_shmem_databases(void);	/* of FmDatabaseInfo *, palloc'ed */
extern void fm_shmem_database_forget(Oid database);

/* Something about pipelines changed in a database: wake whom it concerns. */
extern void fm_shmem_database_changed(Oid database);
extern uint64 fm_shmem_database_generation(Oid database);

/* Supervisors announce themselves, and leave with what they found. */
extern bool fm_shmem_supervisor_attach(Oid database, uint64 *generation);
extern void fm_shmem_supervisor_detach(Oid database, bool no_work,
									   uint64 served);

/*
 * The supervisor found this extension there (InvalidOid: none).  If it is not
 * the one that was there, nothing known of its pipelines is true any more: ids
 * begin anew.
 */
extern void fm_shmem_database_extension(Oid database, Oid extension);

/*
 * Keep all of our processes out of a database until released (or until this
 * backend exits); returns the pids there now.
 */
extern List *fm_shmem_database_hold(Oid database);
extern void fm_shmem_database_release(Oid database);
extern bool fm_shmem_database_is_held(Oid database);
extern List *fm_shmem_database_pids(Oid database);	/* of int */

/* --- workers ----------------------------------------------------------- */

/* Claim a slot for a worker about to be started; -1 if none is free. */
extern int	fm_shmem_worker_claim(Oid database, int16 pipeline_id,
								  int16 worker_number, uint64 *generation);
/* Called by the worker; false if the slot was given up meanwhile. */
extern bool fm_shmem_worker_attach(int slot, uint64 generation);
extern void fm_shmem_worker_publish(int slot, const FmWorkerInfo *info);
/* Give the slot up, by parent or worker; a stale generation does nothing. */
extern void fm_shmem_worker_release(int slot, uint64 generation);
extern List *fm_shmem_workers(Oid database);	/* of FmWorkerInfo * */

/* --- publishers --------------------------------------------------------- */

/* As for workers. */
extern int	fm_shmem_publisher_claim(Oid database, int16 pipeline_id,
									 uint64 *generation);
extern bool fm_shmem_publisher_attach(int slot, uint64 generation);
extern void fm_shmem_publisher_publish(int slot, const FmPublisherInfo *info);
extern void fm_shmem_publisher_release(int slot, uint64 generation);
extern List *fm_shmem_publishers(Oid database); /* of FmPublisherInfo * */

/* Something that goes out was committed. */
extern void fm_shmem_publisher_wake(Oid database, int16 pipeline_id);

/* --- partitions --------------------------------------------------------- */

/* Publish; allocates an entry when there is none (silently drops the
 * status if the table is full: factorymon.max_partitions). */
extern void fm_shmem_partition_publish(const FmPartitionInfo *info);
/* Set watermarks only, of a partition that may be new; nothing else of an
 * entry that a worker publishes is touched. */
extern void fm_shmem_partition_watermarks(Oid database, int16 pipeline_id,
										  int32 partition, int64 low,
										  int64 high, TimestampTz at);
/* This process owns none of these any more. */
extern void fm_shmem_partitions_disown(Oid database, int16 pipeline_id,
									   int pid);
extern bool fm_shmem_partition_get(Oid database, int16 pipeline_id,
								   int32 partition, FmPartitionInfo *info);
extern List *fm_shmem_partitions(Oid database); /* of FmPartitionInfo * */
/* Forget those of a pipeline (0: all of the database). */
extern void fm_shmem_partitions_forget(Oid database, int16 pipeline_id);

/* Bytes of rejects per pipeline and hour: adds, returns the hour's sum. */
extern int64 fm_shmem_reject_bytes(Oid database, int16 pipeline_id,
								   int64 add, TimestampTz now);

#endif							/* FM_SHMEM_H */
