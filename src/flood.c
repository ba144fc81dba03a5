/*-------------------------------------------------------------------------
 *
 * flood.c
 *	  When a position is flooded with alarms, and when it is no more.
 *
 * See flood.h.  Only announcements within the window of the clock are kept, so
 * their number is what the limits are about.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <string.h>

#include "flood.h"

/* Move the clock on, and forget what has left the window. */
static void
set_clock(FmFlood *flood, int64_t now)
{
	int			gone = 0;

	if (now > flood->clock)
		flood->clock = now;
	while (gone < flood->n &&
		   flood->times[gone] <= flood->clock - FM_FLOOD_WINDOW)
		gone++;
	flood->n -= gone;
	memmove(flood->times, flood->times + gone,
			flood->n * sizeof(flood->times[0]));
}

/* In order; the oldest one gives way where there is no room. */
static void
insert(FmFlood *flood, int64_t ts)
{
	int			at;

	if (flood->n == FM_FLOOD_MEMORY)
	{
		flood->n--;
		memmove(flood->times, flood->times + 1,
				flood->n * sizeof(flood->times[0]));
	}
	for (at = flood->n; at > 0 && flood->times[at - 1] > ts; at--)
		flood->times[at] = flood->times[at - 1];
	flood->times[at] = ts;
	flood->n++;
}

/*
 * With the end-th newest announcement the last but enough leaves the window.
 * Fewer than that are there only if the limit was raised meanwhile.
 */
int64_t
fm_flood_end_time(const FmFlood *flood, const FmFloodLimits *limits)
{
	int64_t		time;

	assert(flood->active && limits->end >= 1);
	if (flood->n < limits->end)
		return flood->clock;
	time = flood->times[flood->n - limits->end] + FM_FLOOD_WINDOW;
	return time > flood->clock ? time : flood->clock;
}

bool
fm_flood_advance(FmFlood *flood, const FmFloodLimits *limits, int64_t now,
				 int64_t *ended_at)
{
	bool		ended = false;

	if (flood->clock > INT64_MIN + 2 * FM_FLOOD_WINDOW &&
		now < flood->clock - 2 * FM_FLOOD_WINDOW)
	{
		/* the clock was set back: nothing that it said before is of use */
		ended = flood->active;
		*ended_at = now;
		flood->active = false;
		flood->n = 0;
		flood->clock = now;
		return ended;
	}
	if (flood->active)
	{
		*ended_at = fm_flood_end_time(flood, limits);
		ended = *ended_at <= now;
	}
	if (ended)
		flood->active = false;
	set_clock(flood, now);
	return ended;
}

bool
fm_flood_announce(FmFlood *flood, const FmFloodLimits *limits, int64_t ts)
{
	set_clock(flood, ts);
	if (ts <= flood->clock - FM_FLOOD_WINDOW)
		return false;
	insert(flood, ts);
	if (flood->active)
	{
		flood->announcements++;
		if (flood->n > flood->peak)
			flood->peak = flood->n;
		return false;
	}
	if (flood->n < limits->start)
		return false;
	flood->active = true;
	flood->since = flood->times[0];
	flood->started_at = flood->clock;
	flood->announcements = flood->n;
	flood->peak = flood->n;
	return true;
}
