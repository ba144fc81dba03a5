/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  One ingest worker: what its parts share.
 *
 * worker.c is the process and its loop, events.c takes what the client says,
 * assign.c is the life of an assigned partition, question.c what is asked of the brokers about it, collect.c the
 * way of a message into the batch, commit.c the batch transaction.  All run
 * in one thread; there is one FmWorker a process.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WORKER_H
#define FM_WORKER_H

#include "postgres.h"

#include "batch.h"
#include "consumer.h"
#include "factorymon.h"
#include "format.h"
#include "fold.h"
#include "pipeline.h"
#include "position.h"
#include "rollup_batch.h"
#include "sensor.h"
#include "shmem.h"

/*
 * The life of an assigned partition; drawn in src/README.md.
 */
typedef enum FmPhase
{
	FM_PHASE_NEW,				/* does it have a stream? */
	FM_PHASE_RESOLVING,			/* start policy: brokers are asked */
	FM_PHASE_TAKE,				/* become its owner */
	FM_PHASE_CHECK,				/* is the position within the log? */
	FM_PHASE_PROVING,			/* last message is fetched again */
	FM_PHASE_DOUBT,				/* it was not there: why? */
	FM_PHASE_RESTART,			/* another log: where to go on? */
	FM_PHASE_RUNNING,
	FM_PHASE_PAUSED,
	FM_PHASE_STOPPED			/* waits for a person */
} FmPhase;

typedef struct FmAssigned
{
	int32		partition;
	FmPhase		phase;
	TimestampTz retry_at;		/* phase work not before this; 0: now */
	bool		asked;			/* part of the question in flight */
	FmPosition	row;			/* as of the last commit; valid from CHECK */
	int64		next_offset;	/* next to be collected */
	FmFold	   *fold;			/* NULL until taken */
	FmFoldMark	mark;			/* of the fold before the batch */
	FmRollupStream *rollup;		/* NULL until taken */
	/* running proof, see question.c */
	TimestampTz next_proof_at;
	bool		want_candidate; /* next commit sets one */
	FmMark		candidate;		/* may become the anchor */
	FmMark		questioned;		/* what the question in flight reads */
	FmMark		proposed;		/* the candidate when it was asked */
	FmMark		new_anchor;		/* proven; written by the next commit */
	/* snapshots of the fold */
	TimestampTz next_snapshot_at;
	/* what waits for the owner besides messages, see answer.c */
	bool		has_requests;	/* there may be some */
	TimestampTz answer_at;		/* not before this; 0: now */
	TimestampTz next_unshelving;	/* DT_NOEND: none */
	int64		followed;		/* sensors of the fold that are looked after */
	TimestampTz follow_at;		/* not before this; 0: now */
	/* frontier, see last_seen.c: the log's end as it was a while ago */
	TimestampTz end_at;			/* 0: not known */
	int64		end_offset;
	/* rate of messages for status */
	TimestampTz rate_since;
	int64		rate_messages;
	FmPartitionInfo info;
} FmAssigned;

typedef struct FmBatch
{
	MemoryContext context;		/* reset when the batch is done with */
	FmArena		arena;
	FmBatchMessage *messages;
	int			nmessages;
	int			max_messages;
	FmRow	   *rows;
	int			nrows;
	int			max_rows;
	int64		bytes;
	TimestampTz started_at;		/* first message collected; 0: empty */
} FmBatch;

/* Which question the probe is answering. */
typedef enum FmQuestion
{
	FM_ASK_NOTHING,
	FM_ASK_TOPIC,				/* how many partitions are there? */
	FM_ASK_START,				/* where do they start? */
	FM_ASK_CHECK,
	FM_ASK_DOUBT,
	FM_ASK_RESTART,
	FM_ASK_PROOF
} FmQuestion;

/* Messages in a row that the database refused for one and the same reason. */
typedef struct FmRefusals
{
	int			length;
	char		sqlstate[6];
	char		constraint[NAMEDATALEN];
} FmRefusals;

typedef struct FmWorker
{
	FmPipeline *pipeline;
	MemoryContext pipeline_context; /* of pipeline, if it is not the first */
	MemoryContext context;		/* lives as long as the worker */
	uint64		options_fingerprint;
	FmConsumerConfig config;	/* how to reach Kafka */
	FmConsumer *consumer;
	FmProbe    *probe;			/* NULL: nothing to ask */
	FmQuestion	question;
	TimestampTz probe_idle_since;
	FmFormat   *format;			/* of its messages */
	struct FmDriftLog *drift;	/* what they have that it does not expect */
	FmSensorCache *sensors;
	uint32		limits_generation;	/* as of the last batch */
	bool		registering;	/* sensors are being registered */
	int			races;			/* lost in a row while doing so */
	TimestampTz ensured_until;	/* arrival partitions exist until then */
	FmBatch		batch;
	FmAssigned *assigned;
	int			nassigned;
	bool		fetch_dirty;	/* the set of fetched partitions changed */
	bool		disconnected;	/* no broker was reachable when last heard */
	/* a batch that could not be stored */
	bool		retrying;
	TimestampTz retry_at;
	int			retry_delay;	/* ms */
	bool		isolating;		/* data error: find the culprit */
	int			suspect;		/* message to look at first; -1 */
	bool		suspects_fail;	/* looking there did not help */
	FmRefusals	refusals;
	/* status */
	int			slot;
	uint64		slot_generation;
	uint64		seen_generation;	/* of the database's configuration */
	TimestampTz reread_at;		/* read it once more then; 0: no need */
	FmWorkerInfo info;
	TimestampTz published_at;
	TimestampTz usage_at;		/* when CPU and memory were read */
	FmKafkaCode logged_code;	/* kind of the error logged last, and when */
	TimestampTz logged_at;
	TimestampTz library_logged_at;	/* last line of the library's log */
	TimestampTz copied_at;		/* when the group's copies were looked after */
} FmWorker;

/*
 * Who changed a server wakes us before the server's invalidation messages are
 * out, so what we read then may be from before the change: once more.
 */
#define FM_REREAD_DELAY (USECS_PER_SEC)

/* Parameters of a worker, in bgw_extra. */
typedef struct FmWorkerParams
{
	Oid			database;
	Oid			owner;			/* role to connect as */
	int16		pipeline_id;
	int16		worker_number;
	int			slot;
	uint64		generation;
} FmWorkerParams;

/* worker.c */
extern PGDLLEXPORT void factorymon_worker_main(Datum arg);
extern void fm_worker_event(FmWorker *worker, const char *event,
							const int32 *partitions, int npartitions,
							const char *reason);
extern void fm_worker_error(FmWorker *worker, const char *text);
extern void fm_worker_state(FmWorker *worker, FmWorkerState state);
extern void fm_worker_begin(FmOwnerScope *scope);
extern void fm_worker_commit(FmOwnerScope *scope);
extern void fm_worker_override_settings(void);
extern void fm_outlive_threads(int code, Datum arg);

/* events.c */
extern bool fm_events_drain(FmWorker *worker);

/* assign.c */
extern void fm_assign_partitions(FmWorker *worker, const FmEvent *event);
extern void fm_assign_revoke(FmWorker *worker, const FmEvent *event);
extern void fm_assign_forget(FmWorker *worker);
extern void fm_assign_advance(FmWorker *worker);
extern void fm_assign_reread(FmWorker *worker);
extern void fm_assign_update_fetch(FmWorker *worker);
extern void fm_assign_drop_pending(FmWorker *worker, FmAssigned *assigned);
extern void fm_assign_set_phase(FmWorker *worker, FmAssigned *assigned,
								FmPhase phase);
extern void fm_assign_error(FmWorker *worker, FmAssigned *assigned,
							const char *text);
extern FmAssigned *fm_assign_find(FmWorker *worker, int32 partition);
extern void fm_assign_publish(FmWorker *worker, FmAssigned *assigned);
extern void fm_assign_prove(FmWorker *worker, FmAssigned *assigned,
							const FmMessage *message);
extern void fm_assign_doubt(FmWorker *worker, FmAssigned *assigned,
							const char *why);
extern void fm_assign_other_log(FmWorker *worker, FmAssigned *assigned,
								const char *why);
extern bool fm_assign_lock(FmWorker *worker, FmAssigned *assigned,
						   FmPosition *row);
extern TimestampTz fm_assign_next_deadline(FmWorker *worker);

/* question.c */
extern void fm_question_ask(FmWorker *worker);
extern void fm_question_answer(FmWorker *worker);
extern void fm_question_drop(FmWorker *worker);

/* collect.c */
extern void fm_batch_init(FmBatch *batch, MemoryContext parent);
extern void fm_batch_reset(FmBatch *batch);
extern bool fm_batch_full(const FmBatch *batch);
extern void fm_batch_squeeze(FmBatch *batch);
extern void fm_batch_drop_stream(FmBatch *batch, int stream);
extern void fm_batch_drop_prefix(FmBatch *batch, int n);
extern void fm_collect_message(FmWorker *worker, FmMessage *message);
extern void fm_collect_reject(FmBatchMessage *message, FmRejectReason reason,
							  const char *detail);

/* last_seen.c */
extern void fm_last_seen_end(FmAssigned *assigned, int64 high,
							 TimestampTz now);
extern void fm_last_seen_batch(FmWorker *worker, int nmessages);
extern void fm_last_seen_fold(FmWorker *worker, const FmAssigned *assigned);

/* answer.c */
extern void fm_answer_requests(FmWorker *worker);
extern TimestampTz fm_answer_next(const FmWorker *worker);
extern void fm_answer_moved(FmWorker *worker, FmAssigned *assigned,
							FmPosition *row, int32 new_stream_id);
extern bool fm_answer_stream(const char *pipeline, FmFold *fold,
							 int32 stream_id, bool clock_counts,
							 bool at_end, FmTransitionList *transitions);

/* commit.c */
extern bool fm_commit_pending(const FmWorker *worker);
extern void fm_commit_batch(FmWorker *worker, bool last);

/* drift.c */
extern struct FmDriftLog *fm_drift_log_create(MemoryContext context);
extern void fm_drift_log_note(FmWorker *worker, const FmMessage *message);
extern void fm_drift_log_flush(FmWorker *worker, bool at_once);
extern TimestampTz fm_drift_log_due(const struct FmDriftLog *log);

/* prepare.c */
extern void fm_prepare_batch(FmWorker *worker);
extern void fm_prepare_forget(FmWorker *worker);
extern void fm_prepare_rows(FmWorker *worker);

/* isolate.c */
extern void fm_store_range(FmWorker *worker, int from, int to,
						   FmTransitionList *transitions);
extern int	fm_isolate(FmWorker *worker, FmTransitionList *transitions);
extern bool fm_is_data_error(const ErrorData *error);

/*
 * Is this a time at all?  Producers may set any number; what is outside the
 * years 1970 to 9999 is treated as if the message had no timestamp.
 */
static inline bool
fm_kafka_time_valid(int64 milliseconds)
{
	return milliseconds >= 0 &&
		milliseconds < INT64CONST(253402300800000);
}

/* Kafka's milliseconds since 1970, if valid, as a timestamp. */
static inline TimestampTz
fm_kafka_time(int64 milliseconds)
{
	return (milliseconds -
			(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
			SECS_PER_DAY * 1000) * 1000;
}

#endif							/* FM_WORKER_H */
