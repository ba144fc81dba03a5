/*-------------------------------------------------------------------------
 *
 * ownerless.c
 *	  Requests about alarms of streams that no worker owns.
 *
 * What operators ask is done by the owner of the stream (answer.c).  Where there
 * is none for PATIENCE, because no worker runs, Kafka is away, or the topic is
 * not the pipeline's any more, the supervisor starts a process for it, the
 * answerer: it takes the stream as a worker would (epoch + 1, so that a zombie
 * cannot write), loads its fold, answers, and is gone.  Taking and answering
 * are one transaction, after which the stream is free again; a worker that
 * comes meanwhile waits for it.  It is a process of its own because loading a
 * fold may take long, and the supervisor must not.
 *
 * No snapshot is written: what alarms have become is in their records, which
 * whoever takes the stream next reads.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "child.h"
#include "guc.h"
#include "ownerless.h"
#include "pipeline_internal.h"
#include "position.h"
#include "worker.h"

/* Owners have so long to answer. */
#define PATIENCE (5 * USECS_PER_SEC)

/* One stream with requests that wait, and the pipeline's topic now. */
typedef struct Ownerless
{
	int32		stream_id;
	int16		pipeline_id;
	char	   *pipeline;
	char	   *topic;
	int32		partition;
} Ownerless;

static FmChild answerer;
static TimestampTz look_at = 0; /* DT_NOEND: when somebody asks; 0: new here */

/* ----------------------------------------------------------------------
 * Who is waiting
 * ------------------------------------------------------------------- */

/* Of a topic that the pipeline reads, and a worker has it. */
static bool
has_owner(int16 pipeline_id, int32 partition, bool current_topic)
{
	FmPartitionInfo info;

	return current_topic &&
		fm_shmem_partition_get(MyDatabaseId, pipeline_id, partition, &info) &&
		info.pid != 0;
}

/*
 * Streams with requests that have waited, of pipelines that run here, in the
 * current context.  Sets *waiting to how many there are with an owner or
 * without one.  Outside of any transaction.
 */
static List *
read_ownerless(int *waiting)
{
	MemoryContext context = CurrentMemoryContext;
	FmOwnerScope scope;
	FmArgs		args = {0};
	List	   *result = NIL;

	fm_worker_begin(&scope);
	fm_args_add(&args, TIMESTAMPTZOID,
				TimestampTzGetDatum(GetCurrentTimestamp() - PATIENCE), false);
	*waiting = (int)
		fm_args_run(&args, "SELECT s.stream_id, s.pipeline_id::integer, p.name,"
					" s.topic, s.kafka_partition, s.topic = p.topic,"
					" bool_or(r.requested_at < $1)"
					" FROM _factorymon.request r"
					" JOIN _factorymon.stream s USING (stream_id)"
					" JOIN _factorymon.pipeline_here p USING (pipeline_id)"
					" WHERE r.answered_at IS NULL AND p.runs_here"
					" AND s.retired_at IS NULL AND s.kafka_partition >= 0"
					" GROUP BY s.stream_id, p.name, p.topic"
					" ORDER BY s.stream_id", SPI_OK_SELECT);
	for (int i = 0; i < *waiting; i++)
	{
		int16		pipeline_id = (int16) fm_spi_int4(i, 2);
		int32		partition = fm_spi_int4(i, 5);
		MemoryContext old;
		Ownerless  *stream;

		if (!fm_spi_bool(i, 7) ||
			has_owner(pipeline_id, partition, fm_spi_bool(i, 6)))
			continue;
		old = MemoryContextSwitchTo(context);
		stream = palloc(sizeof(Ownerless));
		stream->stream_id = fm_spi_int4(i, 1);
		stream->pipeline_id = pipeline_id;
		stream->pipeline = fm_spi_text(i, 3);
		stream->topic = fm_spi_text(i, 4);
		stream->partition = partition;
		result = lappend(result, stream);
		MemoryContextSwitchTo(old);
	}
	fm_worker_commit(&scope);
	return result;
}

/* ----------------------------------------------------------------------
 * The supervisor's part
 * ------------------------------------------------------------------- */

static void
start_answerer(void)
{
	if (!fm_child_may_start(&answerer))
		return;
	(void) fm_child_start(&answerer, "factorymon_answerer_main",
						  "factorymon answerer", "factorymon answerer",
						  ObjectIdGetDatum(MyDatabaseId), NULL, 0);
}

void
fm_ownerless_step(bool changed)
{
	TimestampTz now = GetCurrentTimestamp();
	int			waiting;

	/* owners come first, and at the start they have to come up */
	if (look_at == 0)
		look_at = now + 2 * PATIENCE;
	if (changed)
		look_at = Min(look_at, now + PATIENCE + USECS_PER_SEC);
	if (fm_child_is_running(&answerer) || now < look_at)
		return;
	look_at = now + PATIENCE;
	if (read_ownerless(&waiting) != NIL)
		start_answerer();
	else if (waiting == 0)
		look_at = DT_NOEND;
}

TimestampTz
fm_ownerless_next(void)
{
	return look_at;
}

void
fm_ownerless_stop(void)
{
	fm_child_terminate(&answerer);
}

/* ----------------------------------------------------------------------
 * The answerer
 * ------------------------------------------------------------------- */

static FmFold *
open_fold(const Ownerless *stream, const FmPosition *row)
{
	FmFoldStream described = {
		.stream_id = row->stream_id,
		.pipeline_id = stream->pipeline_id,
		.pipeline = stream->pipeline,
		.topic = stream->topic,
		.kafka_partition = row->partition,
		.incarnation = row->incarnation
	};

	return fm_fold_open(TopTransactionContext, &described,
						row->snapshot_position, row->fold_position,
						row->has_fold_range ? row->fold_min_ts : 0,
						row->has_fold_range ? row->fold_max_ts : -1);
}

/* In the transaction at hand, that has taken the stream. */
static void
answer_all(const Ownerless *stream, FmPosition *row)
{
	FmFold	   *fold = open_fold(stream, row);
	FmTransitionList transitions;

	fm_transitions_init(&transitions, CurrentMemoryContext);
	while (fm_answer_stream(stream->pipeline, fold, row->stream_id, true, false,
							&transitions))
		CHECK_FOR_INTERRUPTS();
	fm_transitions_number(&transitions, transitions.length, row->stream_id,
						  &row->out_seq);
	fm_position_set_out_seq(row->stream_id, row->out_seq);
	fm_transitions_insert(stream->pipeline_id, &transitions,
						  transitions.length);
	fm_alarms_store(fold, &transitions, transitions.length);
}

/* One stream, unless it has found an owner meanwhile. */
static void
take_and_answer(const Ownerless *stream)
{
	FmOwnerScope scope;
	FmPosition	row;

	fm_worker_begin(&scope);
	if (fm_position_take(stream->pipeline_id, stream->topic,
						 stream->partition, "answerer", fm_lock_timeout,
						 &row) && row.stream_id == stream->stream_id)
	{
		answer_all(stream, &row);
		fm_event_record(stream->pipeline_id, "answerer", "answered",
						&stream->partition, 1,
						"requests about alarms, because no worker owns the partition");
	}
	fm_worker_commit(&scope);
	fm_shmem_publisher_wake(MyDatabaseId, stream->pipeline_id);
}

/* An error ends the process; the supervisor starts another one later. */
void
factorymon_answerer_main(Datum arg)
{
	ListCell   *cell;
	int			waiting;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (fm_shmem_database_is_held(DatumGetObjectId(arg)))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	fm_worker_override_settings();
	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext,
												"factorymon answerer",
												ALLOCSET_DEFAULT_SIZES));
	foreach(cell, read_ownerless(&waiting))
		take_and_answer(lfirst(cell));
	proc_exit(0);
}
