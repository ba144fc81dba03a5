/*-------------------------------------------------------------------------
 *
 * rollup_batch.c
 *	  A worker's batches and the rollups of its streams.
 *
 * Within the batch transaction, after its readings are stored, it is decided
 * up to which minute the stream's readings are now stored as parts: a minute
 * before the present one by the readings' own time.  What memory holds of
 * earlier minutes is written, and of the batch's own readings those that are
 * earlier still (late ones) or that no fold takes in.  Memory itself changes
 * only once all that is committed, so there is nothing to undo.
 *
 * Memory can be lost (lack of memory, rollups switched off for a while, more
 * than can be loaded): then the next step of that time makes parts from rows.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "rollup_batch.h"
#include "rollup_parts.h"
#include "worker.h"

/* Readings may come so late and still be part of their minute in memory. */
#define GRACE			FM_ROLLUP_MINUTE

/* Nothing came for so long: do not wait for the next minute to come. */
#define IDLE			(10 * FM_ROLLUP_MINUTE)

/*
 * While a plant catches up its minutes pass quickly.  They are stored so often
 * at most: several minutes of a sensor at a time are cheaper than one by one.
 */
#define STORE_INTERVAL	(USECS_PER_SEC / 2)
#define STORE_PARTS		(FM_ROLLUP_MAX_PARTS / 4)

struct FmRollupStream
{
	MemoryContext context;		/* of all this */
	int32		stream_id;
	TimestampTz pending_from;	/* as committed */
	TimestampTz next_from;		/* by the transaction at hand */
	TimestampTz progress;		/* newest time that was believed */
	TimestampTz progress_before;	/* the readings at hand */
	TimestampTz added_at;		/* when memory grew last */
	TimestampTz stored_at;		/* when the line moved last */
	bool		waits;			/* it has yet to follow the progress */
	FmRollupParts *pending;
	/* of the readings that the transaction at hand has stored */
	TimestampTz min_ts;
	bool		has_unfolded;
	bool		lost;			/* pending is not all of it */
	bool		next_lost;		/* so it will be once this is committed */
	bool		was_lost;		/* before memory was about to change */
};

FmRollupStream *
fm_rollup_open(MemoryContext parent, const FmPipeline *pipeline,
			   int32 stream_id, int64 position)
{
	/* below the transaction until it is complete */
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "factorymon rollup stream",
												  ALLOCSET_SMALL_SIZES);
	FmRollupStream *stream = MemoryContextAllocZero(context,
													sizeof(FmRollupStream));

	stream->context = context;
	stream->stream_id = stream_id;
	stream->pending = fm_rollup_parts_create(context);
	stream->progress = stream->progress_before = DT_NOBEGIN;
	stream->added_at = GetCurrentTimestamp();
	stream->pending_from = fm_rollup_pending_from(stream_id);
	stream->lost = !pipeline->rollups;
	/* that is before the first reading */
	if (stream->pending_from != DT_NOBEGIN && !stream->lost)
		stream->lost = !fm_rollup_load(pipeline->id, stream_id,
									   stream->pending_from, position,
									   stream->pending);
	stream->next_from = stream->pending_from;
	MemoryContextSetParent(context, parent);
	return stream;
}

void
fm_rollup_close(FmRollupStream *stream)
{
	MemoryContextDelete(stream->context);
}

/* (A clock may have been set back.) */
static bool
is_interval_over(TimestampTz since, TimestampTz now)
{
	return now < since || now - since >= STORE_INTERVAL;
}

static bool
is_idle(const FmRollupStream *stream, TimestampTz now)
{
	return !stream->lost && now - stream->added_at > IDLE &&
		stream->pending_from != DT_NOBEGIN &&
		(stream->pending->n > 0 ||
		 stream->pending_from < now - 2 * IDLE);
}

bool
fm_rollup_is_due(const FmRollupStream *stream, TimestampTz now)
{
	return is_idle(stream, now) ||
		(stream->waits &&
		 is_interval_over(Max(stream->stored_at, stream->added_at), now));
}

/* ----------------------------------------------------------------------
 * Within the transaction
 * ------------------------------------------------------------------- */

/* The rows of the first messages of a batch. */
typedef struct StoredRows
{
	const FmWorker *worker;
	int			nmessages;
	int			message;		/* that comes next */
	int			row;			/* of it */
	int			index;			/* of the assigned partition it is of */
	FmRollupStream *stream;
} StoredRows;

/* The next one that was stored; NULL: there are no more. */
static inline FmRow *
next_row(StoredRows *rows)
{
	const FmBatch *batch = &rows->worker->batch;

	for (; rows->message < rows->nmessages; rows->message++, rows->row = 0)
	{
		const FmBatchMessage *message = &batch->messages[rows->message];

		rows->index = message->stream;
		rows->stream = rows->worker->assigned[message->stream].rollup;
		while (rows->stream != NULL && rows->row < message->nrows)
		{
			FmRow	   *row = &batch->rows[message->first_row + rows->row++];

			if (!row->suppressed)
				return row;
		}
	}
	return NULL;
}

/*
 * How far the readings themselves say that time has come.  Clocks that are
 * ahead of the message or of ours are not believed, nor are late readings.
 */
static inline void
see_progress(FmRollupStream *stream, const FmRow *row, TimestampTz now)
{
	TimestampTz ts = Min(Min(row->reading->ts, row->message_at), now);

	stream->min_ts = Min(stream->min_ts, row->reading->ts);
	stream->has_unfolded |= (row->flags & FM_FLAG_NOT_FOLDED) != 0;
	if (stream->pending_from != DT_NOBEGIN &&
		(row->flags & (FM_FLAG_LATE | FM_FLAG_FUTURE |
					   FM_FLAG_NOT_FOLDED)) != 0)
		return;
	stream->progress = Max(stream->progress, ts);
}

/* Where the line between stored and pending belongs by that progress. */
static TimestampTz
find_next_from(const FmRollupStream *stream, TimestampTz progress,
			   bool enabled, TimestampTz now)
{
	TimestampTz wanted = stream->pending_from;

	if (progress != DT_NOBEGIN &&
		(enabled || stream->pending_from == DT_NOBEGIN))
		wanted = fm_rollup_minute(progress) - GRACE;
	if (enabled && is_idle(stream, now))
	{
		wanted = fm_rollup_minute(now - IDLE);
		for (int i = 0; i < stream->pending->n; i++)
			wanted = Max(wanted, stream->pending->parts[i].key.bucket +
						 FM_ROLLUP_MINUTE);
	}
	return Max(wanted, stream->pending_from);
}

/*
 * How far it is drawn: not at all if it moved a moment ago, and not into the
 * readings at hand, which are in memory only after the commit.  The very first
 * of a stream draw it.
 *
 * Where readings are replayed, to where minutes begin at least: behind that,
 * only by the line can be told what an hour has got already.
 */
static void
choose_next_from(FmRollupStream *stream, bool enabled, TimestampTz now,
				 TimestampTz minutes_from)
{
	TimestampTz goal = find_next_from(stream, stream->progress, enabled, now);

	if (stream->pending_from == DT_NOBEGIN || stream->lost)
		stream->next_from = goal;
	else if (stream->pending->n < STORE_PARTS &&
			 !is_interval_over(stream->stored_at, now))
		stream->next_from = stream->pending_from;
	else
		stream->next_from = find_next_from(stream, stream->progress_before,
										   enabled, now);
	stream->waits = stream->next_from != goal;
	if (stream->has_unfolded)
		stream->next_from = Max(stream->next_from, minutes_from);
}

/* Readings that are not to wait in memory. */
static inline bool
is_stored_at_once(const FmRollupStream *stream, const FmRow *row)
{
	return (row->flags & FM_FLAG_NOT_FOLDED) != 0 ||
		row->reading->ts < stream->next_from;
}

/* Store what memory holds of minutes before the new line. */
static void
store_pending(const FmWorker *worker, FmRollupStream *stream, int64 position)
{
	stream->next_lost = false;
	if (stream->next_from == stream->pending_from)
		return;
	if (stream->pending_from == DT_NOBEGIN)
		;						/* there was nothing before */
	else if (!stream->lost)
		fm_rollup_store(worker->pipeline->id, stream->stream_id,
						stream->pending, stream->next_from, false);
	else
	{
		fm_rollup_rebuild(worker->pipeline->id, stream->stream_id,
						  stream->pending_from, stream->next_from, position);
		fm_rollup_parts_forget(stream->pending, DT_NOEND);
		/* until this is committed, it is lost all the same */
		stream->next_lost = !fm_rollup_load(worker->pipeline->id,
											stream->stream_id,
											stream->next_from, position,
											stream->pending);
	}
	fm_rollup_set_pending_from(stream->stream_id, stream->next_from);
}

/* Those of the batch's readings that do not wait. */
static void
store_at_once(FmWorker *worker, int nmessages, TimestampTz minutes_from)
{
	FmRollupParts **parts = palloc0(sizeof(*parts) *
									Max(worker->nassigned, 1));
	StoredRows	rows = {.worker = worker,.nmessages = nmessages};
	FmRow	   *row;

	while ((row = next_row(&rows)) != NULL)
	{
		FmRollupParts **own = &parts[rows.index];

		if (!is_stored_at_once(rows.stream, row))
			continue;
		/* replayed: the hour has it, and there is no minute to take it from */
		if ((row->flags & FM_FLAG_NOT_FOLDED) != 0 &&
			row->reading->ts < rows.stream->pending_from &&
			fm_rollup_minute(row->reading->ts) < minutes_from)
			continue;
		if (*own == NULL)
			*own = fm_rollup_parts_create(CurrentMemoryContext);
		fm_rollup_parts_add(*own, row);
	}
	for (int i = 0; i < worker->nassigned; i++)
	{
		if (parts[i] == NULL)
			continue;
		fm_rollup_store(worker->pipeline->id,
						worker->assigned[i].row.stream_id, parts[i],
						DT_NOEND, false);
		fm_rollup_parts_free(parts[i]);
	}
}

void
fm_rollup_batch_store(FmWorker *worker, const bool *involved, int nmessages)
{
	TimestampTz now = GetCurrentTimestamp();
	StoredRows	rows = {.worker = worker,.nmessages = nmessages};
	TimestampTz minutes_from = DT_NOBEGIN;
	FmRollupStream *stream;
	FmRow	   *row;
	bool		any = false;

	for (int i = 0; i < worker->nassigned; i++)
	{
		stream = worker->assigned[i].rollup;
		if (stream == NULL)
			continue;
		stream->progress_before = stream->progress;
		stream->min_ts = DT_NOEND;
		stream->has_unfolded = false;
	}
	while ((row = next_row(&rows)) != NULL)
		see_progress(rows.stream, row, now);
	for (int i = 0; i < worker->nassigned; i++)
		if (worker->assigned[i].rollup && worker->assigned[i].rollup->has_unfolded)
			minutes_from = fm_rollup_minutes_from(worker->pipeline->id);
	for (int i = 0; i < worker->nassigned; i++)
	{
		stream = worker->assigned[i].rollup;
		if (stream == NULL || !involved[i])
			continue;
		choose_next_from(stream, worker->pipeline->rollups, now, minutes_from);
		store_pending(worker, stream, worker->assigned[i].row.position);
		any |= stream->has_unfolded || stream->min_ts < stream->next_from;
	}
	if (any)
		store_at_once(worker, nmessages, minutes_from);
}

/* ----------------------------------------------------------------------
 * After the commit
 * ------------------------------------------------------------------- */

/* Memory follows; whatever goes wrong here, it is known to be lost. */
static void
follow(FmRollupStream *stream, bool enabled, TimestampTz now)
{
	bool		moved = stream->next_from != stream->pending_from;

	if (moved && stream->lost)
		stream->lost = stream->next_lost;
	else if (moved)
		fm_rollup_parts_forget(stream->pending, stream->next_from);
	if (moved)
		stream->stored_at = now;
	stream->pending_from = stream->next_from;
	if (!enabled || stream->pending->n > FM_ROLLUP_MAX_PARTS)
	{
		stream->lost = true;
		fm_rollup_parts_forget(stream->pending, DT_NOEND);
	}
}

void
fm_rollup_batch_adopt(FmWorker *worker, const bool *involved, int nmessages)
{
	TimestampTz now = GetCurrentTimestamp();
	StoredRows	rows = {.worker = worker,.nmessages = nmessages};
	FmRollupStream *stream;
	FmRow	   *row;

	for (int i = 0; i < worker->nassigned; i++)
	{
		stream = worker->assigned[i].rollup;
		if (stream == NULL || !involved[i])
			continue;
		follow(stream, worker->pipeline->rollups, now);
		stream->was_lost = stream->lost;
		stream->lost = true;
	}
	while ((row = next_row(&rows)) != NULL)
	{
		if (rows.stream->was_lost || is_stored_at_once(rows.stream, row))
			continue;
		fm_rollup_parts_add(rows.stream->pending, row);
		rows.stream->added_at = now;
	}
	for (int i = 0; i < worker->nassigned; i++)
	{
		stream = worker->assigned[i].rollup;
		if (stream != NULL && involved[i])
			stream->lost = stream->was_lost;
	}
}
