/*-------------------------------------------------------------------------
 *
 * flood_test.c
 *	  Floods: scenarios with their exact edges, and random announcements
 *	  against a model that looks at every moment at which one could end.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/flood.h"
#include "expect.h"

#define SECOND INT64_C(1000000)
#define MOST 400

static const FmFloodLimits usual = {10, 5};

static void
flood_init(FmFlood *flood)
{
	memset(flood, 0, sizeof(*flood));
	flood->clock = INT64_MIN;
}

/* One announcement; what came of it as text: "-" ended, "+" begun. */
static const char *
announce(FmFlood *flood, const FmFloodLimits *limits, int64_t ts,
		 int64_t *ended_at)
{
	bool		ended = fm_flood_advance(flood, limits, ts, ended_at);
	bool		begun = fm_flood_announce(flood, limits, ts);

	return ended ? begun ? "-+" : "-" : begun ? "+" : "";
}

/* ------------------------------------------------------------------------
 * Scenarios
 * ------------------------------------------------------------------------
 */

static void
test_edges(void)
{
	FmFlood		flood;
	int64_t		ended_at;
	bool		early = false;

	flood_init(&flood);
	for (int i = 0; i < 9; i++)
		early |= *announce(&flood, &usual, i * 60 * SECOND, &ended_at) != '\0';
	ok(!early, "nine announcements are no flood");
	ok(strcmp(announce(&flood, &usual, FM_FLOOD_WINDOW, &ended_at), "") == 0,
	   "the first has left the window just as it is over");
	ok(strcmp(announce(&flood, &usual, FM_FLOOD_WINDOW + 60 * SECOND - 1,
					   &ended_at), "+") == 0,
	   "the tenth in the window begins a flood");
	ok(flood.since == 60 * SECOND && flood.announcements == 10 &&
	   flood.peak == 10, "since the first of them");
	/* fifth from the end: 360 s */
	ok(fm_flood_end_time(&flood, &usual) == 360 * SECOND + FM_FLOOD_WINDOW,
	   "it ends when the fifth from the end leaves the window");
	ok(!fm_flood_advance(&flood, &usual, 360 * SECOND + FM_FLOOD_WINDOW - 1,
						 &ended_at), "not a microsecond before");
	ok(fm_flood_advance(&flood, &usual, 2 * FM_FLOOD_WINDOW, &ended_at) &&
	   ended_at == 360 * SECOND + FM_FLOOD_WINDOW,
	   "then, however late one asks");
	ok(!fm_flood_advance(&flood, &usual, 9 * FM_FLOOD_WINDOW, &ended_at),
	   "and once");
}

static void
test_late(void)
{
	FmFlood		flood;
	int64_t		ended_at;
	int64_t		now = 100 * FM_FLOOD_WINDOW;

	flood_init(&flood);
	for (int i = 0; i < 9; i++)
		(void) announce(&flood, &usual, now, &ended_at);
	ok(strcmp(announce(&flood, &usual, now - FM_FLOOD_WINDOW, &ended_at),
			  "") == 0, "one that is too late for the window does not count");
	ok(strcmp(announce(&flood, &usual, now - FM_FLOOD_WINDOW + 1, &ended_at),
			  "+") == 0, "one that is just in it does");
	ok(flood.started_at == now && flood.since == now - FM_FLOOD_WINDOW + 1,
	   "and the flood begins now");
}

static void
test_memory(void)
{
	FmFlood		flood;
	int64_t		ended_at;

	flood_init(&flood);
	for (int i = 0; i < 3 * FM_FLOOD_MEMORY; i++)
		(void) announce(&flood, &usual, i, &ended_at);
	ok(flood.announcements == 3 * FM_FLOOD_MEMORY &&
	   flood.peak == FM_FLOOD_MEMORY && flood.n == FM_FLOOD_MEMORY,
	   "more than can be remembered are counted, up to that in the peak");
	ok(fm_flood_end_time(&flood, &usual) ==
	   3 * FM_FLOOD_MEMORY - 5 + FM_FLOOD_WINDOW, "and the end is exact");
}

static void
test_limits_change(void)
{
	static const FmFloodLimits higher = {30, 20};
	FmFlood		flood;
	int64_t		ended_at;

	flood_init(&flood);
	for (int i = 0; i < 10; i++)
		(void) announce(&flood, &usual, i, &ended_at);
	ok(fm_flood_advance(&flood, &higher, 10, &ended_at) && ended_at == 9,
	   "with fewer than a new limit wants it is over at once");
}

/* A clock that was an hour ahead: what it said is of no use. */
static void
test_clock_set_back(void)
{
	FmFlood		flood;
	int64_t		ended_at;
	int64_t		ahead = 20 * FM_FLOOD_WINDOW;
	int64_t		right = ahead - 6 * FM_FLOOD_WINDOW;

	flood_init(&flood);
	for (int i = 0; i < 10; i++)
		(void) announce(&flood, &usual, ahead + i, &ended_at);
	ok(fm_flood_advance(&flood, &usual, right, &ended_at) &&
	   ended_at == right, "a flood ends when the clock is set back");
	for (int i = 0; i < 9; i++)
		(void) announce(&flood, &usual, right + i, &ended_at);
	ok(strcmp(announce(&flood, &usual, right + 9, &ended_at), "+") == 0,
	   "and another one can begin then");
}

/* ------------------------------------------------------------------------
 * A model
 * ------------------------------------------------------------------------
 */

typedef struct Model
{
	int64_t		times[MOST];
	int			n;
	int64_t		clock;
	bool		active;
} Model;

/* How many are in the window of a moment? */
static int
count_at(const Model *model, int64_t moment)
{
	int			n = 0;

	for (int i = 0; i < model->n; i++)
		n += model->times[i] > moment - FM_FLOOD_WINDOW &&
			model->times[i] <= moment;
	return n;
}

/* The first moment in (clock, now] with fewer than end; 0: none. */
static int64_t
model_end(const Model *model, const FmFloodLimits *limits, int64_t now)
{
	int64_t		first = 0;

	for (int i = 0; i < model->n; i++)
	{
		int64_t		moment = model->times[i] + FM_FLOOD_WINDOW;

		if (moment > model->clock && moment <= now &&
			(first == 0 || moment < first) &&
			count_at(model, moment) < limits->end)
			first = moment;
	}
	return first;
}

static const char *
model_announce(Model *model, const FmFloodLimits *limits, int64_t ts,
			   int64_t *ended_at)
{
	bool		ended = false;
	bool		begun = false;

	*ended_at = model->active ? model_end(model, limits, ts) : 0;
	if (*ended_at != 0)
	{
		ended = true;
		model->active = false;
	}
	model->times[model->n++] = ts;
	if (ts > model->clock)
		model->clock = ts;
	if (!model->active && ts > model->clock - FM_FLOOD_WINDOW &&
		count_at(model, model->clock) >= limits->start)
		begun = model->active = true;
	return ended ? begun ? "-+" : "-" : begun ? "+" : "";
}

/* Few different times, so that edges meet; some late. */
static bool
random_run(unsigned seed)
{
	FmFloodLimits limits = {2 + seed % 9, 1};
	FmFlood		flood;
	Model		model = {.clock = FM_FLOOD_WINDOW};
	int64_t		now = 2 * FM_FLOOD_WINDOW;

	srand(seed);
	limits.end = 1 + rand() % limits.start;
	flood_init(&flood);
	for (int i = 0; i < MOST; i++)
	{
		int64_t		flood_end = 0;
		int64_t		end = 0;
		int64_t		step = rand() % 8 == 0 ? rand() % 12 : rand() % 3;
		int64_t		late = rand() % 10 == 0 ? rand() % 13 : 0;
		const char *expected;
		const char *found;

		now += step * 60 * SECOND;
		expected = model_announce(&model, &limits, now - late * 60 * SECOND,
								  &end);
		found = announce(&flood, &limits, now - late * 60 * SECOND,
						 &flood_end);
		if (strcmp(expected, found) != 0 ||
			(*expected == '-' && end != flood_end))
		{
			printf("# seed %u, announcement %d: \"%s\" %" PRId64
				   " instead of \"%s\" %" PRId64 "\n", seed, i, found,
				   flood_end, expected, end);
			return false;
		}
	}
	return true;
}

int
main(void)
{
	int			same = 0;

	test_edges();
	test_late();
	test_memory();
	test_limits_change();
	test_clock_set_back();
	for (unsigned seed = 1; seed <= 2000; seed++)
		same += random_run(seed);
	ok(same == 2000, "%d of 2000 random runs are as the model has them", same);
	return done_testing();
}
