/*-------------------------------------------------------------------------
 *
 * flood.h
 *	  When a position is flooded with alarms, and when it is no more.
 *
 * This module is pure: it knows neither PostgreSQL nor the time of day, and
 * allocates nothing.  Times are microseconds.
 *
 * A flood begins with the announcement that is the start-th within a window of
 * ten minutes, (t - window, t], and ends at the moment when fewer than end are
 * left in the window: both are exact, not rounded to bins.  (ISA-18.2 and
 * IEC 62682: ten announcements in ten minutes, until fewer than five.)
 *
 * Announcements come nearly in order.  One older than the clock is put where
 * it belongs, and counts for the present if it is in the present's window; the
 * past is not judged again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FLOOD_H
#define FM_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#define FM_FLOOD_WINDOW		INT64_C(600000000)

/* Announcements remembered: a peak is exact up to this, and then this. */
#define FM_FLOOD_MEMORY		1000

typedef struct FmFloodLimits
{
	int			start;			/* announcements in the window, >= 1 */
	int			end;			/* fewer end it; 1 to start */
} FmFloodLimits;

typedef struct FmFlood
{
	int64_t		clock;			/* nothing is judged before this any more */
	int			n;				/* announcements in the window, in order */
	int64_t		times[FM_FLOOD_MEMORY];
	bool		active;
	int64_t		since;			/* first announcement in it */
	int64_t		started_at;		/* the one with which it began */
	int32_t		announcements;	/* so far; kept when it is over */
	int32_t		peak;			/* most in one window so far */
} FmFlood;

/* When the flood is over if nothing more is announced.  There must be one. */
extern int64_t fm_flood_end_time(const FmFlood *flood,
								 const FmFloodLimits *limits);

/*
 * Nothing was announced until now: is the flood over?  To be asked before
 * each announcement, with its time.
 */
extern bool fm_flood_advance(FmFlood *flood, const FmFloodLimits *limits,
							 int64_t now, int64_t *ended_at);

/* Something was announced: does a flood begin with it? */
extern bool fm_flood_announce(FmFlood *flood, const FmFloodLimits *limits,
							  int64_t ts);

#endif							/* FM_FLOOD_H */
