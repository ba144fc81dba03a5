/*-------------------------------------------------------------------------
 *
 * fold_seen.c
 *	  When the sensors of a fold were last seen, and how often they report.
 *
 * For whoever watches that they go on reporting (silence.c).  The interval is
 * the one that is learned from their readings, used from the fifth reading on:
 * that is soon enough to miss a new sensor, and enough for a limit of several
 * intervals.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fold_state.h"

/* Differences between readings that make an interval. */
#define MIN_INTERVALS	4

static int64
interval_of(const FmFoldSensor *state)
{
	return state->nintervals < MIN_INTERVALS ? 0 :
		Max((int64) state->interval, 1);
}

static void
describe(const FmFoldSensor *state, FmFoldSeen *seen)
{
	seen->sensor_id = state->sensor_id;
	seen->sensor_version_id = state->sensor_version_id;
	seen->message_at = state->message_at;
	seen->interval = interval_of(state);
}

bool
fm_fold_seen(const FmFold *fold, int number, FmFoldSeen *seen)
{
	if (number >= fold->stores[FM_FOLD_SENSORS].n)
		return false;
	describe(fm_fold_state(fold, number), seen);
	return true;
}

FmFoldSeen *
fm_fold_chunk_seen(const bytea *chunk, int *n)
{
	FmFoldSensor sensor;
	FmFoldSeen *result;

	*n = fm_fold_chunk_check(chunk, FM_FOLD_SENSORS, sizeof(FmFoldSensor));
	result = palloc(Max(*n, 1) * sizeof(FmFoldSeen));
	for (int i = 0; i < *n; i++)
	{
		fm_fold_chunk_sensor(chunk, i, &sensor);
		describe(&sensor, &result[i]);
	}
	return result;
}

int64
fm_fold_interval(const FmFold *fold, const FmSensor *sensor)
{
	int			number = sensor->fold_number;

	if (number >= fold->stores[FM_FOLD_SENSORS].n ||
		fm_fold_state(fold, number)->sensor_id != sensor->sensor_id)
		number = fm_fold_number((FmFold *) fold, sensor->sensor_id, false);
	return number < 0 ? 0 : interval_of(fm_fold_state(fold, number));
}
