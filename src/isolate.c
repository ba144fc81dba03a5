/*-------------------------------------------------------------------------
 *
 * isolate.c
 *	  Store a range of a batch; find the one message that the database
 *	  refuses, and go on without it.
 *
 * A batch is first stored whole, without savepoints.  If that fails with an
 * error of data, it is repeated here, under savepoints, from the left to the
 * right, so that at any time what is settled is a prefix of the batch:
 *
 *	- a range that fails is cut into what is before the message whose row the
 *	  executor pulled last, that message alone, and the rest; only a message
 *	  that fails *alone* is a reject, so nobody is accused wrongly;
 *	- if that message turns out to be fine, or what is before it fails too
 *	  (the error came from an AFTER trigger, a foreign key, a deferred
 *	  constraint: all rows were pulled by then), looking there does not help,
 *	  and ranges are halved instead;
 *	- before the 64th subtransaction, what is settled is committed and the
 *	  rest is left to the next transaction.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "batch_fdw.h"
#include "dedup.h"
#include "store.h"
#include "worker.h"

/* Beyond 64 of them a backend's subtransaction cache overflows. */
#define MAX_SUBTRANSACTIONS 60
#define MAX_RANGES 128

/* Messages whose state is fetched into the caches before it is needed. */
#define AHEAD 8

typedef struct Range
{
	int			from;
	int			to;
	bool		before_suspect; /* its rows passed once already */
} Range;

typedef struct RangeStack
{
	Range		ranges[MAX_RANGES];
	int			depth;
} RangeStack;

/*
 * Errors that a message can cause by what it says: data exceptions (22),
 * integrity constraints (23, but for a missing time partition, which carries
 * no constraint's name and is made on the next try), check options, index
 * rows that are too large.
 */
bool
fm_is_data_error(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
			return true;
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return error->sqlerrcode != ERRCODE_CHECK_VIOLATION ||
				error->constraint_name != NULL;
		default:
			return error->sqlerrcode == ERRCODE_WITH_CHECK_OPTION_VIOLATION ||
				error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	}
}

/* Which way the readings went, for worker_status(). */
static void
note_path(FmWorker *worker, const char *objection)
{
	char	   *path = worker->info.store_path;

	if (objection)
		snprintf(path, sizeof(worker->info.store_path), "executor: %s",
				 objection);
	else
		strlcpy(path, "direct", sizeof(worker->info.store_path));
}

/* The state that will be wanted a few messages further on. */
static inline void
look_ahead(const FmWorker *worker, int i, int to)
{
	const FmBatch *batch = &worker->batch;
	const FmBatchMessage *message = &batch->messages[i + AHEAD];

	if (i + AHEAD < to && message->nrows > 0)
		fm_fold_prefetch(worker->assigned[message->stream].fold,
						 batch->rows[message->first_row].sensor);
}

/*
 * fm_store_range
 *		Evaluate and insert the readings of messages [from, to), but for those
 *		that repeat others, as the session's user, who is the pipeline's owner.
 */
void
fm_store_range(FmWorker *worker, int from, int to,
			   FmTransitionList *transitions)
{
	FmBatch    *batch = &worker->batch;
	FmRow	   *rows;
	int			nrows;

	fm_dedup_range(worker->pipeline, batch->messages, from, to, batch->rows);
	for (int i = from; i < to; i++)
	{
		FmBatchMessage *message = &batch->messages[i];
		FmAssigned *assigned = &worker->assigned[message->stream];

		look_ahead(worker, i, to);
		for (int r = 0; r < message->nrows; r++)
		{
			FmRow	   *row = &batch->rows[message->first_row + r];

			row->flags &= FM_FLAG_TS_DIGITS;
			fm_fold_apply(assigned->fold, row, row->sensor, transitions);
		}
		fm_fold_advance(assigned->fold, message->message.offset + 1);
	}
	rows = fm_dedup_rows(batch->messages, from, to, batch->rows, &nrows);
	/* the executor knows which row an error is of */
	if (worker->isolating)
		fm_store_rows(worker->pipeline->id, rows, nrows);
	else if (nrows > 0)
		note_path(worker, fm_store_rows_fast(worker->pipeline->id, rows,
											 nrows));
	fm_dedup_settle_rows(batch->messages, from, to, batch->rows, rows);
}

/* Take back what a failed range did to the folds. */
static void
take_marks(FmWorker *worker, FmFoldMark *marks)
{
	for (int i = 0; i < worker->nassigned; i++)
		if (worker->assigned[i].fold)
			marks[i] = fm_fold_mark(worker->assigned[i].fold);
}

static void
roll_back_to(FmWorker *worker, const FmFoldMark *marks)
{
	for (int i = 0; i < worker->nassigned; i++)
		if (worker->assigned[i].fold)
			fm_fold_rollback(worker->assigned[i].fold, marks[i]);
}

/*
 * Try one range in a subtransaction.  Returns NULL, or the error if it is
 * one of data; throws any other.
 */
static ErrorData *
try_range(FmWorker *worker, Range range, FmTransitionList *transitions)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	FmFoldMark *marks = palloc(sizeof(FmFoldMark) *
							   Max(worker->nassigned, 1));
	int			ntransitions = transitions->length;
	ErrorData  *volatile error = NULL;

	take_marks(worker, marks);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fm_store_range(worker, range.from, range.to, transitions);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(worker->batch.context);
		error = CopyErrorData();
		if (!fm_is_data_error(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		roll_back_to(worker, marks);
		fm_transitions_truncate(transitions, ntransitions);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

static void
push(RangeStack *stack, int from, int to, bool before_suspect)
{
	if (from >= to)
		return;
	if (stack->depth == MAX_RANGES)
		elog(ERROR, "too many ranges while isolating a message");
	stack->ranges[stack->depth].from = from;
	stack->ranges[stack->depth].to = to;
	stack->ranges[stack->depth].before_suspect = before_suspect;
	stack->depth++;
}

/* Which message to look at first: the one whose row was pulled last. */
static int
find_suspect(FmWorker *worker, Range range)
{
	if (worker->suspects_fail)
		return -1;
	return fm_dedup_message_of_row(worker->batch.messages, range.from,
								   range.to, fm_store_last_row());
}

/* Cut a failed range: around its suspect, else in the middle. */
static void
cut(RangeStack *stack, Range range, int suspect)
{
	int			middle = range.from + (range.to - range.from) / 2;

	if (suspect >= range.from && suspect < range.to)
	{
		push(stack, suspect + 1, range.to, false);
		push(stack, suspect, suspect + 1, false);
		push(stack, range.from, suspect, true);
		return;
	}
	push(stack, middle, range.to, false);
	push(stack, range.from, middle, false);
}

/*
 * Messages refused one after another for the same reason are counted, so
 * that a table that refuses everything pauses the pipeline.
 */
static void
count_refusal(FmRefusals *run, const ErrorData *error)
{
	const char *state = unpack_sql_state(error->sqlerrcode);
	const char *constraint = error->constraint_name ?
		error->constraint_name : "";

	if (strcmp(run->sqlstate, state) != 0 ||
		strcmp(run->constraint, constraint) != 0)
		run->length = 0;
	run->length++;
	strlcpy(run->sqlstate, state, sizeof(run->sqlstate));
	strlcpy(run->constraint, constraint, sizeof(run->constraint));
}

static void
refuse(FmWorker *worker, int index, const ErrorData *error)
{
	FmBatchMessage *message = &worker->batch.messages[index];
	MemoryContext old = MemoryContextSwitchTo(worker->batch.context);

	fm_collect_reject(message, FM_REJECT_DATABASE, pstrdup(error->message));
	strlcpy(message->sqlstate, unpack_sql_state(error->sqlerrcode),
			sizeof(message->sqlstate));
	fm_fold_advance(worker->assigned[message->stream].fold,
					message->message.offset + 1);
	count_refusal(&worker->refusals, error);
	MemoryContextSwitchTo(old);
}

static bool
has_rows(const FmBatch *batch, Range range)
{
	for (int i = range.from; i < range.to; i++)
		if (batch->messages[i].nrows > 0)
			return true;
	return false;
}

/* Begin where the failure of the whole batch pointed to. */
static void
first_ranges(FmWorker *worker, RangeStack *stack)
{
	Range		all = {0, worker->batch.nmessages, false};

	if (worker->suspect >= 0)
		cut(stack, all, worker->suspect);
	else
		push(stack, all.from, all.to, false);
	worker->suspect = -1;
}

/*
 * fm_isolate
 *		Store the batch under savepoints; returns how many messages, from the
 *		first on, are settled: stored or made rejects.
 */
int
fm_isolate(FmWorker *worker, FmTransitionList *transitions)
{
	RangeStack	stack = {.depth = 0};
	int			settled = 0;
	int			used = 0;

	first_ranges(worker, &stack);
	while (stack.depth > 0 && used < MAX_SUBTRANSACTIONS)
	{
		Range		range = stack.ranges[--stack.depth];
		bool		single = range.to - range.from == 1;
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		used++;
		error = try_range(worker, range, transitions);
		if (!error && has_rows(&worker->batch, range))
			worker->refusals.length = 0;
		/* what came before the suspect fails too: it was not the culprit */
		if (error && range.before_suspect)
			worker->suspects_fail = true;
		if (error && !single)
		{
			cut(&stack, range, find_suspect(worker, range));
			continue;
		}
		if (error)
			refuse(worker, range.from, error);
		else if (single && stack.depth > 0)
			worker->suspects_fail = true;
		settled = range.to;
	}
	fm_batch_fdw_clear();
	fm_dedup_restore(worker->batch.messages, settled,
					 worker->batch.nmessages);
	return settled;
}
