/*-------------------------------------------------------------------------
 *
 * assign.c
 *	  The life of an assigned partition, from the group's word to RUNNING.
 *
 *	NEW ---------> TAKE --> CHECK --> PROVING --> RUNNING
 *	  \             ^         |          |           |
 *	   RESOLVING ---'         |        DOUBT         | fenced, seek: TAKE
 *	                          |          |           | error hint: CHECK
 *	                          '-> RESTART, STOPPED <-'
 *
 * The group only says which partitions are ours.  Where to read is decided
 * here, from the stream's row, after it was taken: every partition is
 * fetched from an explicit offset, and offsets that came with the assignment
 * are never looked at.
 *
 * A position is proven before it is used: the partition is fetched from the
 * offset of its *last message*, which must come again, the same; only then
 * what follows the position is stored.  A partition whose phase is none of
 * PROVING and RUNNING is not fetched.  Since an assignment in the client is
 * replaced as a whole, a change of one partition makes all be fetched anew
 * from where they stand (fetch_dirty).
 *
 * Each step is a small transaction of its own.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "worker.h"

#define RETRY_DELAY (1 * USECS_PER_SEC)

FmAssigned *
fm_assign_find(FmWorker *worker, int32 partition)
{
	for (int i = 0; i < worker->nassigned; i++)
		if (worker->assigned[i].partition == partition)
			return &worker->assigned[i];
	return NULL;
}

static FmPartitionState
shown_state(FmPhase phase)
{
	switch (phase)
	{
		case FM_PHASE_CHECK:
		case FM_PHASE_PROVING:
		case FM_PHASE_DOUBT:
		case FM_PHASE_RESTART:
			return FM_PARTITION_PROVING;
		case FM_PHASE_RUNNING:
			return FM_PARTITION_RUNNING;
		case FM_PHASE_PAUSED:
			return FM_PARTITION_PAUSED;
		case FM_PHASE_STOPPED:
			return FM_PARTITION_STOPPED;
		default:
			return FM_PARTITION_TAKING;
	}
}

/* Tell everybody about one partition. */
void
fm_assign_publish(FmWorker *worker, FmAssigned *assigned)
{
	FmPartitionInfo *info = &assigned->info;

	info->pid = MyProcPid;
	info->stream_id = assigned->row.stream_id;
	info->incarnation = assigned->row.incarnation;
	if (assigned->row.stream_id != 0)
	{
		info->position = assigned->row.position;
		if (assigned->row.last.known &&
			fm_kafka_time_valid(assigned->row.last.timestamp))
			info->last_message_at =
				fm_kafka_time(assigned->row.last.timestamp);
	}
	fm_shmem_partition_publish(info);
}

void
fm_assign_set_phase(FmWorker *worker, FmAssigned *assigned, FmPhase phase)
{
	FmPhase		before = assigned->phase;
	bool		was_fetched = before == FM_PHASE_RUNNING ||
		before == FM_PHASE_PROVING;
	bool		is_fetched = phase == FM_PHASE_RUNNING ||
		phase == FM_PHASE_PROVING;

	assigned->phase = phase;
	assigned->end_at = 0;
	assigned->asked = false;
	assigned->retry_at = 0;
	assigned->want_candidate = phase == FM_PHASE_RUNNING;
	assigned->candidate.known = false;
	assigned->new_anchor.known = false;
	if (was_fetched != is_fetched)
		worker->fetch_dirty = true;
	assigned->info.state = shown_state(phase);
	if (phase != FM_PHASE_STOPPED)
		assigned->info.state_detail[0] = '\0';
	fm_assign_publish(worker, assigned);
}

/* Remember an error of one partition; the log hears of a new one only. */
void
fm_assign_error(FmWorker *worker, FmAssigned *assigned, const char *text)
{
	FmPartitionInfo *info = &assigned->info;

	if (strncmp(info->last_error, text, sizeof(info->last_error) - 1) != 0)
		ereport(LOG,
				(errmsg("topic \"%s\" partition %d: %s",
						worker->pipeline->topic, assigned->partition, text)));
	strlcpy(info->last_error, text, sizeof(info->last_error));
	info->last_error_at = GetCurrentTimestamp();
	fm_assign_publish(worker, assigned);
}

/* ----------------------------------------------------------------------
 * Assign and revoke
 * ------------------------------------------------------------------- */

static void
init_assigned(FmWorker *worker, FmAssigned *assigned, int32 partition)
{
	FmPartitionInfo *info = &assigned->info;

	memset(assigned, 0, sizeof(*assigned));
	assigned->partition = partition;
	assigned->phase = FM_PHASE_NEW;
	assigned->rate_since = GetCurrentTimestamp();
	if (!fm_shmem_partition_get(MyDatabaseId, worker->pipeline->id,
								partition, info))
	{
		info->database = MyDatabaseId;
		info->pipeline_id = worker->pipeline->id;
		info->partition = partition;
		info->position = info->committed_offset = -1;
		info->low_watermark = info->high_watermark = -1;
	}
	info->state = FM_PARTITION_TAKING;
	info->state_detail[0] = '\0';
	fm_assign_publish(worker, assigned);
}

static int32 *
partition_numbers(const FmEvent *event)
{
	int32	   *result = palloc(sizeof(int32) * Max(event->npartitions, 1));

	for (int i = 0; i < event->npartitions; i++)
		result[i] = event->partitions[i].partition;
	return result;
}

/* The group gave us these partitions (eager: all that we have). */
void
fm_assign_partitions(FmWorker *worker, const FmEvent *event)
{
	int32	   *partitions = partition_numbers(event);

	fm_assign_forget(worker);
	worker->assigned = MemoryContextAllocZero(worker->context,
											  sizeof(FmAssigned) *
											  Max(event->npartitions, 1));
	worker->nassigned = event->npartitions;
	for (int i = 0; i < event->npartitions; i++)
		init_assigned(worker, &worker->assigned[i], partitions[i]);
	worker->fetch_dirty = true;
	worker->info.assigned = worker->nassigned;
	worker->info.rebalances++;
	fm_consumer_member_id(worker->consumer, worker->info.consumer,
						  sizeof(worker->info.consumer));
	fm_worker_event(worker, "assign", partitions, event->npartitions, NULL);
	fm_worker_state(worker, worker->pipeline->paused ? FM_WORKER_PAUSED :
					FM_WORKER_RUNNING);
}

/* Everything that belongs to the present assignment goes. */
void
fm_assign_forget(FmWorker *worker)
{
	fm_batch_reset(&worker->batch);
	fm_question_drop(worker);
	for (int i = 0; i < worker->nassigned; i++)
	{
		if (worker->assigned[i].fold)
			fm_fold_close(worker->assigned[i].fold);
		if (worker->assigned[i].rollup)
			fm_rollup_close(worker->assigned[i].rollup);
	}
	fm_shmem_partitions_disown(MyDatabaseId, worker->pipeline->id, MyProcPid);
	if (worker->assigned)
		pfree(worker->assigned);
	worker->assigned = NULL;
	worker->nassigned = 0;
	worker->info.assigned = 0;
	worker->retrying = worker->isolating = false;
	worker->fetch_dirty = false;
}

/*
 * The group takes them away.  What was collected is stored first, so that
 * the next owner need not fetch it again; if that fails it will.
 */
void
fm_assign_revoke(FmWorker *worker, const FmEvent *event)
{
	char		error[FM_KAFKA_ERROR_LEN];
	int32	   *partitions = partition_numbers(event);
	int			n = event->npartitions;
	bool		lost = event->assignment_lost;

	if (!worker->retrying)
		fm_commit_batch(worker, true);
	fm_assign_forget(worker);
	if (fm_consumer_assign(worker->consumer, NULL, 0, true, error,
						   sizeof(error)) != FM_KAFKA_OK)
		fm_worker_error(worker, error);
	fm_worker_event(worker, "revoke", partitions, n,
					lost ? "lost: the group went on without us" : NULL);
	fm_worker_state(worker, FM_WORKER_CONNECTING);
}

/* Drop what was collected of a partition; it will be fetched again. */
void
fm_assign_drop_pending(FmWorker *worker, FmAssigned *assigned)
{
	fm_batch_drop_stream(&worker->batch, (int) (assigned - worker->assigned));
	assigned->next_offset = assigned->row.position;
	worker->fetch_dirty = true;
}

/* ----------------------------------------------------------------------
 * Phases
 * ------------------------------------------------------------------- */

/*
 * Has the partition a stream?  One added after the pipeline began has not,
 * and starts at 0, because nothing of it can be missed.
 */
static void
step_new(FmWorker *worker, FmAssigned *assigned)
{
	FmPipeline *pipeline = worker->pipeline;
	FmPartitionOffset start = {assigned->partition, 0};
	FmOwnerScope scope;
	FmPhase		next = FM_PHASE_TAKE;

	fm_worker_begin(&scope);
	if (!fm_position_stream_exists(pipeline->id, pipeline->topic,
								   assigned->partition))
	{
		if (fm_position_count_streams(pipeline->id, pipeline->topic) == 0)
			next = FM_PHASE_RESOLVING;
		else
			fm_position_create_streams(pipeline->id, pipeline->topic,
									   &start, 1);
	}
	fm_worker_commit(&scope);
	fm_assign_set_phase(worker, assigned, next);
}

static void
open_fold(FmWorker *worker, FmAssigned *assigned, const FmPosition *row)
{
	FmPipeline *pipeline = worker->pipeline;
	FmFoldStream stream = {row->stream_id, pipeline->id, pipeline->name,
	pipeline->topic, row->partition, row->incarnation};

	if (assigned->fold)
		fm_fold_close(assigned->fold);
	assigned->fold = NULL;
	assigned->fold = fm_fold_open(worker->context, &stream,
								  row->snapshot_position, row->fold_position,
								  row->has_fold_range ? row->fold_min_ts : 0,
								  row->has_fold_range ? row->fold_max_ts : -1);
	if (assigned->rollup)
		fm_rollup_close(assigned->rollup);
	assigned->rollup = NULL;
	assigned->rollup = fm_rollup_open(worker->context, pipeline,
									  row->stream_id, row->position);
	assigned->next_snapshot_at = GetCurrentTimestamp() +
		(int64) fm_snapshot_interval * 1000;
	assigned->has_requests = true;
	assigned->answer_at = 0;
	assigned->followed = 0;
	assigned->follow_at = 0;
	assigned->next_unshelving = fm_fold_next_unshelving(assigned->fold);
}

/* Where a taken stream goes from here. */
static FmPhase
phase_after_take(const FmWorker *worker, const FmAssigned *assigned)
{
	if (assigned->row.stopped && !assigned->row.accept_loss)
		return FM_PHASE_STOPPED;
	if (assigned->row.paused || worker->pipeline->paused)
		return FM_PHASE_PAUSED;
	return FM_PHASE_CHECK;
}

/*
 * How long to wait for the row, in ms: once for a batch in flight, then only
 * to see whether it is free, because the other partitions wait with us.
 */
static int
patience(const FmAssigned *assigned)
{
	return assigned->info.state == FM_PARTITION_WAITING ?
		Min(20, fm_lock_timeout) : fm_lock_timeout;
}

static void
take(FmWorker *worker, FmAssigned *assigned)
{
	FmPipeline *pipeline = worker->pipeline;
	FmOwnerScope scope;
	FmPosition	row;
	bool		found;

	/* memory follows the commit: what is aborted was never ours */
	memset(&row, 0, sizeof(row));
	fm_worker_begin(&scope);
	found = fm_position_take(pipeline->id, pipeline->topic,
							 assigned->partition, worker->info.consumer,
							 patience(assigned), &row);
	if (found)
	{
		open_fold(worker, assigned, &row);
		fm_event_record(pipeline->id, worker->info.consumer, "taken",
						&assigned->partition, 1, NULL);
	}
	fm_worker_commit(&scope);
	assigned->row = row;
	if (found)
		fm_last_seen_fold(worker, assigned);
	assigned->next_offset = row.position;
	assigned->next_proof_at = GetCurrentTimestamp();
	/* another log was accepted: do not store more of it in the old stream */
	if (!assigned->row.accept_loss)
		assigned->next_proof_at += (int64) fm_proof_interval * 1000;
	fm_assign_set_phase(worker, assigned,
						found ? phase_after_take(worker, assigned) :
						FM_PHASE_NEW);
	if (assigned->phase == FM_PHASE_STOPPED)
		snprintf(assigned->info.state_detail, FM_STATUS_TEXT_LEN,
				 "stopped (%s): see factorymon.resume() and the events",
				 assigned->row.stopped_reason);
	if (assigned->phase == FM_PHASE_STOPPED)
		fm_assign_publish(worker, assigned);
}

/* Somebody holds the row: say who, and come back. */
static void
wait_for_holder(FmWorker *worker, FmAssigned *assigned)
{
	FmPipeline *pipeline = worker->pipeline;
	FmOwnerScope scope;
	int			holder;
	char		detail[FM_STATUS_TEXT_LEN];

	fm_worker_begin(&scope);
	holder = fm_position_holder(pipeline->id, pipeline->topic,
								assigned->partition);
	snprintf(detail, sizeof(detail),
			 holder != 0 ? "waiting for pid %d" : "waiting for a lock",
			 holder);
	if (strcmp(assigned->info.state_detail, detail) != 0)
		fm_event_record(pipeline->id, worker->info.consumer, "waiting",
						&assigned->partition, 1, detail);
	fm_worker_commit(&scope);
	assigned->retry_at = GetCurrentTimestamp() + RETRY_DELAY;
	assigned->info.state = FM_PARTITION_WAITING;
	strlcpy(assigned->info.state_detail, detail, FM_STATUS_TEXT_LEN);
	fm_assign_publish(worker, assigned);
}

static void
step_take(FmWorker *worker, FmAssigned *assigned)
{
	MemoryContext context = CurrentMemoryContext;
	bool		locked = false;

	PG_TRY();
	{
		take(worker, assigned);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		AbortOutOfAnyTransaction();
		locked = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (locked)
		wait_for_holder(worker, assigned);
}

/* Do what can be done at once for each partition; questions come later. */
void
fm_assign_advance(FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		CHECK_FOR_INTERRUPTS();
		if (assigned->retry_at > now)
			continue;
		if (assigned->phase == FM_PHASE_NEW)
			step_new(worker, assigned);
		if (assigned->phase == FM_PHASE_TAKE)
			step_take(worker, assigned);
	}
}

/* ----------------------------------------------------------------------
 * Proof at the start
 * ------------------------------------------------------------------- */

/* The last message must be there: it was not, so ask why. */
void
fm_assign_doubt(FmWorker *worker, FmAssigned *assigned, const char *why)
{
	fm_assign_set_phase(worker, assigned, FM_PHASE_DOUBT);
	strlcpy(assigned->info.state_detail, why, FM_STATUS_TEXT_LEN);
	fm_assign_publish(worker, assigned);
}

/*
 * First messages of a partition being proven.  The last message itself makes
 * it RUNNING; from then on anything below the position that is still
 * delivered is proof of another log.  An older anchor stays: only it can tell
 * whether the last message was of another log when it was stored.
 */
void
fm_assign_prove(FmWorker *worker, FmAssigned *assigned,
				const FmMessage *message)
{
	const FmMark *last = &assigned->row.last;

	if (message->offset < last->offset)
		return;					/* leftover of an earlier fetch */
	if (message->offset > last->offset)
	{
		fm_assign_doubt(worker, assigned, "the last message is not there");
		return;
	}
	if (message->timestamp != last->timestamp ||
		fm_message_digest(message) != last->digest)
	{
		fm_assign_other_log(worker, assigned,
							"the last message is another one now");
		return;
	}
	assigned->next_offset = last->offset + 1;
	fm_assign_set_phase(worker, assigned, FM_PHASE_RUNNING);
	if (!assigned->row.anchor.known)
		assigned->row.anchor = assigned->new_anchor = *last;
}

/*
 * fm_assign_lock
 *		Lock our own stream's row in the transaction at hand.  False: it is
 *		locked by somebody, or not ours any more; the phase is TAKE then.
 */
bool
fm_assign_lock(FmWorker *worker, FmAssigned *assigned, FmPosition *row)
{
	bool		found;

	fm_position_lock(&assigned->row.stream_id, 1, row, &found);
	if (found && row->epoch == assigned->row.epoch)
		return true;
	fm_assign_set_phase(worker, assigned, FM_PHASE_TAKE);
	return false;
}

/*
 * fm_assign_other_log
 *		This is not the log that the position belongs to.
 *
 * Policy "stop" waits for a person; "continue", or a person's consent, asks
 * where to go on (question.c).
 */
void
fm_assign_other_log(FmWorker *worker, FmAssigned *assigned, const char *why)
{
	FmPipeline *pipeline = worker->pipeline;
	bool		go_on = pipeline->continue_on_loss ||
		assigned->row.accept_loss;
	FmOwnerScope scope;
	FmPosition	row;
	bool		ours;
	char		detail[FM_STATUS_TEXT_LEN];

	fm_assign_drop_pending(worker, assigned);
	snprintf(detail, sizeof(detail),
			 "another log under the same name: %s (position %lld)",
			 why, (long long) assigned->row.position);
	fm_worker_begin(&scope);
	ours = fm_assign_lock(worker, assigned, &row);
	if (ours && assigned->row.anchor.known)
	{
		/* what was proven since the last commit stays proven */
		row.anchor = assigned->row.anchor;
		fm_position_advance(&row);
	}
	if (ours && !go_on)
		fm_position_stop(row.stream_id, "another_log", detail);
	if (ours)
		fm_event_record(pipeline->id, worker->info.consumer, "suspect",
						&assigned->partition, 1, detail);
	fm_worker_commit(&scope);
	if (!ours)
		return;
	fm_assign_set_phase(worker, assigned,
						go_on ? FM_PHASE_RESTART : FM_PHASE_STOPPED);
	fm_assign_error(worker, assigned, detail);
	strlcpy(assigned->info.state_detail, detail, FM_STATUS_TEXT_LEN);
	fm_assign_publish(worker, assigned);
}

/* ----------------------------------------------------------------------
 * Changes from outside, and what is fetched
 * ------------------------------------------------------------------- */

static void
reread_one(FmWorker *worker, FmAssigned *assigned, const FmPosition *now,
		   bool found)
{
	bool		paused = worker->pipeline->paused || (found && now->paused);
	bool		moved = !found || now->epoch != assigned->row.epoch;

	if (!moved && assigned->phase == FM_PHASE_PAUSED && !paused)
		moved = true;
	if (moved)
	{
		fm_assign_drop_pending(worker, assigned);
		fm_assign_set_phase(worker, assigned, FM_PHASE_TAKE);
	}
	else if (paused && assigned->phase != FM_PHASE_PAUSED &&
			 assigned->phase != FM_PHASE_STOPPED)
	{
		fm_assign_drop_pending(worker, assigned);
		fm_assign_set_phase(worker, assigned, FM_PHASE_PAUSED);
		/* a snapshot at once: seek and retention wait for it */
		assigned->next_snapshot_at = GetCurrentTimestamp();
	}
}

/*
 * fm_assign_reread
 *		Pause, resume, seek: compare the rows of our streams with what we
 *		know.  What was collected has been stored before.
 */
void
fm_assign_reread(FmWorker *worker)
{
	int			n = worker->nassigned;
	int32	   *streams = palloc(sizeof(int32) * Max(n, 1));
	FmPosition *rows = palloc0(sizeof(FmPosition) * Max(n, 1));
	bool	   *found = palloc0(sizeof(bool) * Max(n, 1));
	FmOwnerScope scope;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		streams[i] = worker->assigned[i].row.stream_id;
	fm_worker_begin(&scope);
	fm_position_peek(streams, n, rows, found);
	fm_worker_commit(&scope);
	for (int i = 0; i < n; i++)
		if (streams[i] != 0)
			reread_one(worker, &worker->assigned[i], &rows[i], found[i]);
}

/* Hand the client the complete set of what is to be fetched, and from where. */
void
fm_assign_update_fetch(FmWorker *worker)
{
	FmPartitionOffset *set;
	char		error[FM_KAFKA_ERROR_LEN];
	int			n = 0;

	if (!worker->fetch_dirty)
		return;
	set = palloc(sizeof(FmPartitionOffset) * Max(worker->nassigned, 1));
	for (int i = 0; i < worker->nassigned && !worker->retrying; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->phase != FM_PHASE_RUNNING &&
			assigned->phase != FM_PHASE_PROVING)
			continue;
		set[n].partition = assigned->partition;
		set[n++].offset = assigned->phase == FM_PHASE_PROVING ?
			assigned->row.last.offset : assigned->next_offset;
	}
	if (fm_consumer_assign(worker->consumer, set, n, false, error,
						   sizeof(error)) == FM_KAFKA_OK)
		worker->fetch_dirty = false;
	else
		fm_worker_error(worker, error);
	pfree(set);
}

/* When one partition wants to be looked at again; 0: when it is told. */
static TimestampTz
next_deadline(const FmWorker *worker, const FmAssigned *assigned)
{
	TimestampTz min_ts;
	TimestampTz max_ts;
	TimestampTz due;

	switch (assigned->phase)
	{
		case FM_PHASE_NEW:
		case FM_PHASE_TAKE:
			return Max(assigned->retry_at, 1);
		case FM_PHASE_RESOLVING:
		case FM_PHASE_CHECK:
		case FM_PHASE_DOUBT:
		case FM_PHASE_RESTART:
			return worker->question != FM_ASK_NOTHING ? 0 :
				Max(assigned->retry_at, 1);
		case FM_PHASE_RUNNING:
		case FM_PHASE_PAUSED:
			due = worker->question != FM_ASK_NOTHING ||
				assigned->phase == FM_PHASE_PAUSED ? 0 :
				assigned->next_proof_at;
			if (assigned->fold &&
				fm_fold_pending_range(assigned->fold, &min_ts, &max_ts) &&
				(due == 0 || assigned->next_snapshot_at < due))
				due = assigned->next_snapshot_at;
			return due;
		default:
			return 0;
	}
}

/* When the next thing is due that no event announces; 0: nothing. */
TimestampTz
fm_assign_next_deadline(FmWorker *worker)
{
	TimestampTz result = 0;

	/* nothing but the retry is done meanwhile */
	if (worker->retrying)
		return 0;
	for (int i = 0; i < worker->nassigned; i++)
	{
		TimestampTz due = next_deadline(worker, &worker->assigned[i]);

		if (due != 0 && (result == 0 || due < result))
			result = due;
	}
	return result;
}
