/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  The batch transaction: readings, rejects, transitions, extent and
 *	  position of every stream in it, together or not at all.
 *
 * Order within the transaction: first the rows of partition_offset are
 * locked and compared (the fence, position.c), then readings are inserted as
 * the pipeline's owner, then everything else as the extension's owner, and
 * the positions last.  The broker's copy of the positions is sent after the
 * commit and never read back.
 *
 * What went wrong decides what happens next.  An error of data: the batch is
 * repeated message by message (isolate.c).  Anything else is circumstance:
 * the very same batch is tried again with back-off, for as long as it takes,
 * nothing is skipped, and meanwhile nothing more is fetched but the client's
 * queue is served, so that the group keeps us.
 *
 * After an error at commit nobody knows whether it took place; the next try
 * finds out, because it compares the position first.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch_fdw.h"
#include "dedup.h"
#include "guc.h"
#include "store.h"
#include "worker.h"

#define EXTENT_MAX_AGE (INT64CONST(3600) * USECS_PER_SEC)
/* How often in a row others may be faster in registering the same sensors, or
 * in storing the same reading. */
#define MAX_RACES 100

#define REFUSALS_TO_PAUSE 100
#define SNAPSHOT_SHARE 33		/* at most 1/33 of the time: 3 % */

/* One batch transaction in progress. */
typedef struct FmCommit
{
	int			nmessages;		/* messages [0, nmessages) take part */
	bool		whole;			/* that is all of the batch */
	bool		last;			/* snapshots of everything, extents closed */
	bool	   *involved;		/* by assigned partition */
	FmPosition *rows;			/* by assigned partition, if involved */
	bool	   *snapshot;		/* by assigned partition: written */
	bool	   *suppressed;		/* by assigned partition: rows kept out */
	int64		snapshot_time;	/* microseconds spent on it */
	int64		reject_bytes;
	FmTransitionList transitions;
	FmExtentCounts total;
	bool		paused;			/* the pipeline, by this very batch */
} FmCommit;

static bool
snapshot_due(const FmAssigned *assigned, bool last)
{
	TimestampTz min_ts;
	TimestampTz max_ts;

	return assigned->fold && (last ||
							  GetCurrentTimestamp() >= assigned->next_snapshot_at) &&
		fm_fold_pending_range(assigned->fold, &min_ts, &max_ts);
}

static bool
rollup_due(const FmAssigned *assigned)
{
	return assigned->rollup &&
		fm_rollup_is_due(assigned->rollup, GetCurrentTimestamp());
}

/* Does this partition have anything to commit besides messages? */
static bool
needs_commit(const FmAssigned *assigned, bool last)
{
	if (assigned->phase == FM_PHASE_PAUSED ||
		assigned->phase == FM_PHASE_STOPPED)
		return snapshot_due(assigned, last) || rollup_due(assigned);
	return assigned->phase == FM_PHASE_RUNNING &&
		(assigned->next_offset > assigned->row.position ||
		 snapshot_due(assigned, last) || rollup_due(assigned));
}

/* Is there anything to commit besides collected messages? */
bool
fm_commit_pending(const FmWorker *worker)
{
	for (int i = 0; i < worker->nassigned; i++)
		if (needs_commit(&worker->assigned[i], false))
			return true;
	return false;
}

static void
start_commit(FmWorker *worker, FmCommit *commit, bool last)
{
	int			n = Max(worker->nassigned, 1);

	memset(commit, 0, sizeof(*commit));
	commit->last = last;
	commit->involved = palloc0(sizeof(bool) * n);
	commit->rows = palloc0(sizeof(FmPosition) * n);
	commit->snapshot = palloc0(sizeof(bool) * n);
	commit->suppressed = palloc0(sizeof(bool) * n);
	fm_transitions_init(&commit->transitions, worker->batch.context);
	for (int i = 0; i < worker->nassigned; i++)
		commit->involved[i] = needs_commit(&worker->assigned[i], last);
}

/* Where each fold stands, to come back there if the batch fails. */
static void
take_marks(FmWorker *worker)
{
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->fold)
			assigned->mark = fm_fold_mark(assigned->fold);
	}
}

/*
 * Somebody else owns the stream now, or holds its row: its messages are
 * dropped here and fetched again once it is ours.
 */
static void
leave_out(FmWorker *worker, FmCommit *commit, int index, bool fenced)
{
	FmAssigned *assigned = &worker->assigned[index];

	commit->involved[index] = false;
	fm_batch_drop_stream(&worker->batch, index);
	fm_assign_set_phase(worker, assigned, FM_PHASE_TAKE);
	if (!fenced)
		return;
	worker->info.fenced++;
	fm_event_record(worker->pipeline->id, worker->info.consumer, "fenced",
					&assigned->partition, 1,
					"the stream has had another owner or was moved since");
}

/* The fence: lock the rows and compare them with what we know. */
static void
lock_streams(FmWorker *worker, FmCommit *commit)
{
	int			n = 0;
	int		   *index = palloc(sizeof(int) * Max(worker->nassigned, 1));
	int32	   *streams = palloc(sizeof(int32) * Max(worker->nassigned, 1));
	FmPosition *rows = palloc(sizeof(FmPosition) * Max(worker->nassigned, 1));
	bool	   *found = palloc(sizeof(bool) * Max(worker->nassigned, 1));

	for (int i = 0; i < worker->nassigned; i++)
	{
		if (!commit->involved[i])
			continue;
		index[n] = i;
		streams[n++] = worker->assigned[i].row.stream_id;
	}
	if (n == 0)
		return;
	fm_position_lock(streams, n, rows, found);
	for (int i = 0; i < n; i++)
	{
		const FmPosition *known = &worker->assigned[index[i]].row;

		if (!found[i])
			leave_out(worker, commit, index[i], false);
		else if (rows[i].epoch != known->epoch ||
				 rows[i].position != known->position)
			leave_out(worker, commit, index[i], true);
		else
			commit->rows[index[i]] = rows[i];
	}
}

/* What messages [0, n) of one stream add to its extent and position. */
static void
account(FmWorker *worker, FmCommit *commit)
{
	FmBatch    *batch = &worker->batch;

	for (int i = 0; i < commit->nmessages; i++)
	{
		FmBatchMessage *message = &batch->messages[i];
		FmPosition *row = &commit->rows[message->stream];
		FmExtentCounts *extent = &row->extent;

		switch (message->class)
		{
			case FM_CLASS_READINGS:
				extent->messages++;
				break;
			case FM_CLASS_REJECTED:
				extent->rejected++;
				extent->reject_hash +=
					fm_offset_hash(message->message.offset, -1);
				commit->reject_bytes += message->message.len +
					message->message.key_len;
				commit->total.rejected++;
				break;
			case FM_CLASS_DUPLICATE:
				extent->duplicates++;
				break;
			default:
				extent->other++;
				commit->total.other++;
				break;
		}
		for (int r = 0; r < message->nrows; r++)
		{
			const FmRow *stored = &batch->rows[message->first_row + r];

			if (stored->suppressed)
			{
				extent->suppressed++;
				commit->suppressed[message->stream] = true;
				continue;
			}
			extent->readings++;
			commit->total.readings++;
			extent->reading_hash += fm_offset_hash(stored->kafka_offset,
												   stored->reading_index);
		}
		row->position = message->message.offset + 1;
	}
}

/* Remember the last message of each stream, to know it again. */
static void
mark_last(FmWorker *worker, FmCommit *commit)
{
	bool	   *done = palloc0(sizeof(bool) * Max(worker->nassigned, 1));

	for (int i = commit->nmessages - 1; i >= 0; i--)
	{
		FmBatchMessage *message = &worker->batch.messages[i];
		FmMark	   *last = &commit->rows[message->stream].last;

		if (done[message->stream])
			continue;
		done[message->stream] = true;
		last->known = true;
		last->offset = message->message.offset;
		last->timestamp = message->message.timestamp;
		last->digest = fm_message_digest(&message->message);
	}
}

static void
widen(FmPosition *row, TimestampTz min_ts, TimestampTz max_ts)
{
	if (!row->has_fold_range)
	{
		row->fold_min_ts = min_ts;
		row->fold_max_ts = max_ts;
	}
	row->fold_min_ts = Min(row->fold_min_ts, min_ts);
	row->fold_max_ts = Max(row->fold_max_ts, max_ts);
	row->has_fold_range = true;
}

/* Fold position and range; a snapshot if it is time for one. */
static void
keep_fold(FmWorker *worker, FmCommit *commit, int index)
{
	FmAssigned *assigned = &worker->assigned[index];
	FmPosition *row = &commit->rows[index];
	TimestampTz min_ts;
	TimestampTz max_ts;
	TimestampTz start = GetCurrentTimestamp();

	fm_fold_advance(assigned->fold, row->position);
	row->fold_position = fm_fold_position(assigned->fold);
	if (fm_fold_pending_range(assigned->fold, &min_ts, &max_ts))
		widen(row, min_ts, max_ts);
	/*
	 * The fold has seen rows that a rebuild would not find in the table, or
	 * has seen them with detectors of which it would not know.
	 */
	if (!snapshot_due(assigned, commit->last) && !commit->suppressed[index] &&
		!fm_fold_needs_snapshot(assigned->fold))
		return;
	(void) fm_fold_snapshot(assigned->fold);
	row->snapshot_position = row->fold_position;
	row->has_fold_range = false;
	commit->snapshot[index] = true;
	commit->snapshot_time += GetCurrentTimestamp() - start;
}

/* Close the open extent at a candidate for the anchor, or when it is old. */
static void
close_extent(FmWorker *worker, FmCommit *commit, int index)
{
	FmAssigned *assigned = &worker->assigned[index];
	FmPosition *row = &commit->rows[index];

	if (commit->last)
		fm_ledger_close(worker->pipeline->id, row->stream_id, "extent",
						"revoked");
	else if (assigned->want_candidate && row->last.known)
		fm_ledger_close(worker->pipeline->id, row->stream_id, "extent",
						"anchor");
	else if (GetCurrentTransactionStartTimestamp() - row->extent_opened_at >
			 EXTENT_MAX_AGE)
		fm_ledger_close(worker->pipeline->id, row->stream_id, "extent",
						"hour");
	else
		return;
	memset(&row->extent, 0, sizeof(row->extent));
	row->extent_from = row->position;
	row->extent_opened_at = GetCurrentTransactionStartTimestamp();
}

static void
advance_streams(FmWorker *worker, FmCommit *commit)
{
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmPosition *row = &commit->rows[i];

		if (!commit->involved[i])
			continue;
		/* the whole batch: control records and gaps behind it count too */
		if (commit->whole)
			row->position = Max(row->position,
								worker->assigned[i].next_offset);
		if (worker->assigned[i].new_anchor.known)
			row->anchor = worker->assigned[i].new_anchor;
		keep_fold(worker, commit, i);
		fm_position_advance(row);
		close_extent(worker, commit, i);
	}
}

/* A flood of rejects, or a table that refuses everything, pauses. */
static void
pause_if_needed(FmWorker *worker, FmCommit *commit)
{
	int64		limit = (int64) fm_reject_limit * 1024 * 1024;
	char		reason[256];

	if (worker->refusals.length >= REFUSALS_TO_PAUSE)
	{
		snprintf(reason, sizeof(reason),
				 "the database refused %d messages in a row with SQLSTATE %s%s%s",
				 worker->refusals.length, worker->refusals.sqlstate,
				 worker->refusals.constraint[0] ? ", constraint " : "",
				 worker->refusals.constraint);
		fm_pipeline_pause(worker->pipeline->id, "factorymon", reason);
		worker->refusals.length = 0;
		commit->paused = true;
	}
	if (commit->reject_bytes > 0 &&
		fm_shmem_reject_bytes(MyDatabaseId, worker->pipeline->id,
							  commit->reject_bytes,
							  GetCurrentTimestamp()) > limit)
	{
		snprintf(reason, sizeof(reason),
				 "more than %d MB of rejects within an hour (factorymon.reject_limit)",
				 fm_reject_limit);
		fm_pipeline_pause(worker->pipeline->id, "factorymon", reason);
	}
}

/* Everything but the readings, as the extension's owner. */
static void
finish_batch(FmWorker *worker, FmCommit *commit)
{
	FmBatch    *batch = &worker->batch;
	int32	   *streams = palloc(sizeof(int32) * Max(worker->nassigned, 1));

	for (int i = 0; i < worker->nassigned; i++)
		streams[i] = worker->assigned[i].row.stream_id;
	account(worker, commit);
	mark_last(worker, commit);
	fm_store_rejects(worker->pipeline->id, streams, batch->messages,
					 commit->nmessages);
	fm_store_heartbeats(streams, batch->messages, commit->nmessages);
	for (int i = 0; i < worker->nassigned; i++)
	{
		if (commit->involved[i])
			fm_transitions_number(&commit->transitions,
								  commit->transitions.length, streams[i],
								  &commit->rows[i].out_seq);
	}
	fm_transitions_insert(worker->pipeline->id, &commit->transitions,
						  commit->transitions.length);
	for (int i = 0; i < worker->nassigned; i++)
	{
		if (commit->involved[i])
			fm_scores_insert(worker->assigned[i].fold);
	}
	fm_rollup_batch_store(worker, commit->involved, commit->nmessages);
	advance_streams(worker, commit);
	for (int i = 0; i < worker->nassigned; i++)
	{
		if (commit->involved[i])
			fm_alarms_store(worker->assigned[i].fold, &commit->transitions,
							commit->transitions.length);
	}
	pause_if_needed(worker, commit);
}

/* The commit is done: memory follows, and the broker gets its copy. */
static void
adopt(FmWorker *worker, FmCommit *commit)
{
	FmPartitionOffset *offsets = palloc(sizeof(FmPartitionOffset) *
										Max(worker->nassigned, 1));
	int			n = 0;

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->fold)
			fm_fold_commit(assigned->fold);
		if (!commit->involved[i])
			continue;
		if (commit->snapshot[i])
		{
			fm_fold_snapshot_done(assigned->fold);
			assigned->next_snapshot_at = GetCurrentTimestamp() +
				Max((int64) fm_snapshot_interval * 1000,
					commit->snapshot_time * SNAPSHOT_SHARE);
		}
		assigned->row = commit->rows[i];
		if (assigned->want_candidate && assigned->row.last.known &&
			assigned->row.extent_from == assigned->row.position)
		{
			assigned->candidate = assigned->row.last;
			assigned->want_candidate = false;
		}
		offsets[n].partition = assigned->partition;
		offsets[n++].offset = assigned->row.position;
	}
	fm_rollup_batch_adopt(worker, commit->involved, commit->nmessages);
	if (n > 0)
		(void) fm_consumer_commit_async(worker->consumer, offsets, n);
	if (commit->transitions.length > 0)
		fm_shmem_publisher_wake(MyDatabaseId, worker->pipeline->id);
}

static void
count_batch(FmWorker *worker, FmCommit *commit, TimestampTz start)
{
	FmWorkerInfo *info = &worker->info;
	double		seconds = (GetCurrentTimestamp() - start) / 1e6;
	int			bucket = 0;

	for (int i = 0; i < commit->nmessages; i++)
		info->bytes += worker->batch.messages[i].message.len;
	info->messages += commit->nmessages;
	info->readings += commit->total.readings;
	info->rejected += commit->total.rejected;
	info->other += commit->total.other;
	info->transitions += commit->transitions.length;
	info->batches++;
	info->batch_seconds += seconds;
	while (bucket < FM_HISTOGRAM_BUCKETS - 1 &&
		   seconds > fm_histogram_bounds[bucket])
		bucket++;
	info->batch_histogram[bucket]++;
}

/*
 * One transaction: the batch, or with isolating set the prefix of it that
 * could be settled.
 */
static void
commit_once(FmWorker *worker, bool last)
{
	FmCommit	commit;
	FmOwnerScope scope;
	TimestampTz start = GetCurrentTimestamp();

	take_marks(worker);
	fm_prepare_batch(worker);
	start_commit(worker, &commit, last);
	fm_worker_begin(&scope);
	lock_streams(worker, &commit);
	fm_prepare_rows(worker);
	commit.nmessages = worker->batch.nmessages;
	if (worker->isolating)
		fm_spi_run("SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, NULL,
				   SPI_OK_UTILITY);
	fm_owner_end(&scope);

	if (worker->isolating)
		commit.nmessages = fm_isolate(worker, &commit.transitions);
	else
		fm_store_range(worker, 0, commit.nmessages, &commit.transitions);
	if (!worker->isolating && worker->batch.nrows > 0)
		worker->refusals.length = 0;
	commit.whole = commit.nmessages == worker->batch.nmessages;

	fm_owner_begin(&scope);
	finish_batch(worker, &commit);
	fm_worker_commit(&scope);
	adopt(worker, &commit);
	count_batch(worker, &commit, start);
	fm_last_seen_batch(worker, commit.nmessages);
	fm_batch_drop_prefix(&worker->batch, commit.nmessages);
	/* what is left of it would be refused one by one, too */
	for (int i = 0; commit.paused && i < worker->nassigned; i++)
		fm_assign_drop_pending(worker, &worker->assigned[i]);
}

/* Undo in memory what the aborted transaction had done. */
static void
roll_back_memory(FmWorker *worker)
{
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->fold)
			fm_fold_rollback(assigned->fold, assigned->mark);
	}
	fm_batch_fdw_clear();
	fm_dedup_restore(worker->batch.messages, 0, worker->batch.nmessages);
	fm_prepare_forget(worker);
}

/* Which message was being stored when the whole batch failed; -1: unknown. */
static int
find_suspect(const FmWorker *worker)
{
	return fm_dedup_message_of_row(worker->batch.messages, 0,
								   worker->batch.nmessages,
								   fm_store_last_row());
}

static void
retry_later(FmWorker *worker, const ErrorData *error)
{
	worker->retry_delay = worker->retrying ?
		Min(worker->retry_delay * 2, fm_restart_delay_max) :
		Min(100, fm_restart_delay_max);
	worker->retry_at = GetCurrentTimestamp() +
		(int64) worker->retry_delay * 1000;
	worker->info.retries++;
	worker->isolating = false;
	if (!worker->retrying)
		ereport(LOG,
				(errmsg("batch of pipeline \"%s\" could not be stored and is tried again: %s",
						worker->pipeline->name, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0));
	worker->retrying = true;
	worker->fetch_dirty = true;
	fm_worker_error(worker, error->message);
	fm_worker_state(worker, FM_WORKER_RETRYING);
}

static void
handle_failure(FmWorker *worker, MemoryContext context)
{
	ErrorData  *error;
	int			suspect = find_suspect(worker);
	bool		registering = worker->registering;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	roll_back_memory(worker);

	if (((registering && error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION) ||
		 fm_dedup_lost_race()) && worker->races < MAX_RACES)
		worker->races++;		/* somebody else was faster: at once again */
	else if (fm_is_data_error(error) && !registering && !worker->isolating &&
			 worker->batch.nmessages > 0)
	{
		worker->isolating = true;
		worker->suspects_fail = false;
		worker->suspect = suspect;
	}
	else
		retry_later(worker, error);
	FreeErrorData(error);
}

static void
back_to_normal(FmWorker *worker)
{
	if (worker->batch.nmessages == 0)
		worker->isolating = false;
	if (!worker->retrying)
		return;
	worker->retrying = false;
	worker->fetch_dirty = true;
	fm_worker_state(worker, FM_WORKER_RUNNING);
	ereport(LOG,
			(errmsg("batch of pipeline \"%s\" was stored after all",
					worker->pipeline->name)));
}

/*
 * fm_commit_batch
 *		Store what was collected; returns when it is stored or has to wait.
 *
 * last: the partitions are about to go, so snapshots are written and extents
 * closed; there is one try only, and what it does not store is dropped here
 * and fetched again by the next owner.
 */
void
fm_commit_batch(FmWorker *worker, bool last)
{
	MemoryContext context = CurrentMemoryContext;
	int			races;

	pgstat_report_activity(STATE_RUNNING, "storing a batch");
	do
	{
		CHECK_FOR_INTERRUPTS();
		races = worker->races;
		PG_TRY();
		{
			commit_once(worker, last);
			back_to_normal(worker);
			worker->races = 0;
		}
		PG_CATCH();
		{
			handle_failure(worker, context);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
	} while ((worker->isolating && !worker->retrying) ||
			 worker->races > races);
	pgstat_report_activity(STATE_IDLE, NULL);
}
