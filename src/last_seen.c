/*-------------------------------------------------------------------------
 *
 * last_seen.c
 *	  What a worker tells about time: up to when its partitions are known, and
 *	  when each sensor was last seen.
 *
 * No clock but ours is trusted.  The *frontier* of a partition is found by
 * remembering where its log ended a while ago: once everything up to there is
 * stored, all that was appended until then is known (fm_last_seen_end).  And
 * what lies behind that end was appended later, whatever its timestamp says:
 * so a sensor whose clock is behind is seen as well as the others.  A timestamp
 * counts where it is newer, as when we are catching up, and never where it is
 * ahead of us.
 *
 * All this is told after the commit: what was rolled back was not seen.  It costs
 * a comparison a reading, and a line of shared memory for each sensor that
 * was not told of within the last GRAIN.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shmem_sensor.h"
#include "worker.h"

/* Fineness of last seen: a second, or a tenth of the least limit. */
#define GRAIN	Min(USECS_PER_SEC, (int64) fm_silent_after_min * 100)

/*
 * fm_last_seen_end
 *		The log ends at this offset now, as far as the client knows.
 */
void
fm_last_seen_end(FmAssigned *assigned, int64 high, TimestampTz now)
{
	int64		position = assigned->row.position;

	if (assigned->phase != FM_PHASE_RUNNING)
		return;
	if (position >= high)
		assigned->info.frontier_at = now;
	else if (assigned->end_at != 0 && position >= assigned->end_offset)
		assigned->info.frontier_at = Max(assigned->info.frontier_at,
										 assigned->end_at);
	else if (assigned->end_at != 0)
		return;					/* still on the way there */
	assigned->end_at = now;
	assigned->end_offset = high;
}

/* When the sensor of a stored reading was seen. */
static inline TimestampTz
seen_at(const FmAssigned *assigned, const FmRow *row, TimestampTz now)
{
	TimestampTz at = Min(row->message_at, now);

	if (assigned->end_at != 0 && row->kafka_offset >= assigned->end_offset)
		at = Max(at, assigned->end_at);
	return at;
}

static void
tell(const FmAssigned *assigned, const FmRow *row, TimestampTz at)
{
	FmSeen		seen = {
		.pipeline_id = assigned->info.pipeline_id,
		.partition = assigned->partition,
		.sensor_id = row->sensor_id,
		.sensor_version_id = row->sensor_version_id,
		.at = at,
		.interval = fm_fold_interval(assigned->fold, row->sensor)
	};

	(void) fm_shmem_sensor_seen(MyDatabaseId, &seen);
}

/*
 * fm_last_seen_batch
 *		The first nmessages of the batch are committed.
 *
 * Backwards, because the newest reading of a sensor tells it all.
 */
void
fm_last_seen_batch(FmWorker *worker, int nmessages)
{
	FmBatch    *batch = &worker->batch;
	TimestampTz now = GetCurrentTimestamp();
	int64		grain = GRAIN;

	if (!fm_deadman)
		return;
	for (int i = nmessages - 1; i >= 0; i--)
	{
		const FmBatchMessage *message = &batch->messages[i];
		const FmAssigned *assigned = &worker->assigned[message->stream];

		/* a sensor lives, too, whose readings come a second time */
		for (int r = message->nrows + message->ndropped - 1; r >= 0; r--)
		{
			const FmRow *row = &batch->rows[message->first_row + r];
			TimestampTz at = seen_at(assigned, row, now);

			if (row->sensor == NULL || at - row->sensor->seen_at < grain ||
				(row->flags & FM_FLAG_NOT_FOLDED) != 0)
				continue;
			row->sensor->seen_at = at;
			tell(assigned, row, at);
		}
	}
}

/*
 * fm_last_seen_fold
 *		The sensors of a stream that was just taken.
 */
void
fm_last_seen_fold(FmWorker *worker, const FmAssigned *assigned)
{
	TimestampTz now = GetCurrentTimestamp();
	FmFoldSeen	seen;

	for (int i = 0; fm_fold_seen(assigned->fold, i, &seen); i++)
	{
		FmSeen		told = {
			.pipeline_id = worker->pipeline->id,
			.partition = assigned->partition,
			.sensor_id = seen.sensor_id,
			.sensor_version_id = seen.sensor_version_id,
			.at = Min(seen.message_at, now),
			.interval = seen.interval
		};

		if (seen.message_at != DT_NOBEGIN)
			(void) fm_shmem_sensor_seen(MyDatabaseId, &told);
	}
}
