/*-------------------------------------------------------------------------
 *
 * fold_take.c
 *	  What a reading does to the state of its sensor, the alarm aside.
 *
 * Everything here is a function of the state before and of what is stored of
 * the reading, flags and level included.  It judges nothing, so it comes to
 * the same result when a fold is rebuilt from the table, whatever limits are
 * in force by then.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "fold_state.h"

static inline void
count_one(uint32 *counter)
{
	if (*counter < PG_UINT32_MAX)
		(*counter)++;
}

/*
 * Learn the interval between readings: an exponentially weighted mean of what
 * lies near it.  A difference beyond three times the mean is a gap and below
 * a third a burst; neither is learned, unless it goes on in the same way:
 * then the mean was wrong, or the producer was set anew, and learning starts
 * over.  What is learned is clipped to half as much again, either way.
 */
static void
take_interval(FmFoldSensor *state, TimestampTz ts)
{
	double		delta;

	if (state->clock_ts == DT_NOBEGIN || ts <= state->clock_ts)
		return;
	delta = ts - state->clock_ts;
	if (state->nintervals == 0)
	{
		state->interval = delta;
		state->nintervals = 1;
	}
	else if (delta > 3 * state->interval || 3 * delta < state->interval)
	{
		int			patience = state->nintervals < FM_FOLD_INTERVALS ? 3 : 20;
		int			way = delta > state->interval ? 1 : -1;

		if (state->interval_run * way < 0)
			state->interval_run = 0;
		state->interval_run += way;
		if (abs(state->interval_run) >= patience)
		{
			state->interval = delta;
			state->nintervals = 1;
			state->interval_run = 0;
		}
	}
	else
	{
		double		near_delta = Min(Max(delta, state->interval / 1.5),
									 state->interval * 1.5);
		double		weight = 0.05;

		if (state->nintervals < FM_FOLD_INTERVALS)
			weight = 1.0 / ++state->nintervals;
		state->interval += weight * (near_delta - state->interval);
		state->interval_run = 0;
	}
}

/* Numbers in the window that were not seen. */
static inline int
window_holes(uint64 window)
{
	return pg_popcount64(~window);
}

/*
 * Follow reading_count with the anti-replay window of RFC 4303.  A number is
 * a gap once it leaves the window unseen, so what merely comes late is none;
 * seen twice it is a repeat; a lower number with a newer ts means that the
 * producer began to count anew.  What preceded the first number is not known
 * and taken as seen.
 */
static void
take_count(FmFoldSensor *state, const FmFoldReading *reading)
{
	bool		late = (reading->flags & FM_FLAG_LATE) != 0;
	bool		newer = (reading->flags & (FM_FLAG_LATE | FM_FLAG_FUTURE)) == 0
		&& reading->ts > state->clock_ts;
	int64		ahead;

	if (!state->has_count)
	{
		state->has_count = 1;
		state->highest_count = reading->reading_count;
		state->count_window = ~UINT64CONST(0);
		return;
	}

	ahead = (int64) reading->reading_count - state->highest_count;
	if (ahead >= FM_FOLD_WINDOW)
	{
		/* late and far ahead: from before the producer began anew */
		if (late)
			return;
		state->gaps += window_holes(state->count_window) +
			(ahead - FM_FOLD_WINDOW);
		state->count_window = 1;
		state->highest_count = reading->reading_count;
	}
	else if (ahead > 0)
	{
		uint64		leaving = state->count_window >> (FM_FOLD_WINDOW - ahead);

		state->gaps += ahead - pg_popcount64(leaving);
		state->count_window = (state->count_window << ahead) | 1;
		state->highest_count = reading->reading_count;
	}
	else if (ahead < 0 && newer)
	{
		count_one(&state->restarts);
		state->gaps += window_holes(state->count_window);
		state->count_window = ~UINT64CONST(0);
		state->highest_count = reading->reading_count;
	}
	else if (-ahead < FM_FOLD_WINDOW)
	{
		uint64		bit = UINT64CONST(1) << -ahead;

		if (state->count_window & bit)
			count_one(&state->repeats);
		state->count_window |= bit;
	}
	/* else it left the window long ago and was judged then */
}

/*
 * Late readings in a row, each newer than the one before.  (One of low quality
 * neither counts nor breaks the run.)
 */
static void
take_order(FmFoldSensor *state, const FmFoldReading *reading)
{
	if ((reading->flags & FM_FLAG_LATE) == 0)
		state->late_run = 0;
	else if (state->late_run == 0 || reading->ts < state->late_ts)
		state->late_run = 1;
	else if (state->late_run < FM_FOLD_LATE_RUN)
		state->late_run++;
	state->late_ts = reading->ts;
}

void
fm_fold_take(FmFoldSensor *state, const FmFoldReading *reading)
{
	FmLevel		level = FM_CODE_LEVEL(reading->level);

	if (state->readings++ == 0)
		state->first_ts = reading->ts;
	if (level == FM_LEVEL_WARNING)
		state->warnings++;
	else if (level == FM_LEVEL_CRITICAL)
		state->criticals++;
	if (reading->message_at != DT_NOBEGIN)
		state->message_at = reading->message_at;

	if (reading->has_reading_count)
		take_count(state, reading);
	if ((reading->flags & FM_FOLD_UNJUDGED) == 0)
		state->after_gap = fm_fold_is_after_gap(state, reading->ts);
	if ((reading->flags & (FM_FLAG_FUTURE | FM_FLAG_LOW_QUALITY)) == 0)
		take_order(state, reading);
	if ((reading->flags & FM_FLAG_CLOCK_SET) != 0)
		state->clock_ts = reading->ts;
	if ((reading->flags & (FM_FLAG_LATE | FM_FLAG_FUTURE)) == 0)
	{
		take_interval(state, reading->ts);
		state->clock_ts = Max(state->clock_ts, reading->ts);
	}

	if ((reading->flags & FM_FOLD_UNJUDGED) != 0)
	{
		if (reading->flags & FM_FLAG_LATE)
			count_one(&state->late);
		if (reading->flags & FM_FLAG_FUTURE)
			count_one(&state->future);
		if (reading->flags & FM_FLAG_LOW_QUALITY)
			count_one(&state->low_quality);
		return;
	}
	state->last_ts = reading->ts;
	state->last_offset = reading->kafka_offset;
	state->last_index = reading->reading_index;
	state->last_value = reading->value;
	state->last_quality = reading->quality;
	state->last_level = level;
	state->last_side = FM_CODE_SIDE(reading->level);
	state->sensor_version_id = reading->sensor_version_id;
}
