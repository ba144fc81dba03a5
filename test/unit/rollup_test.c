/*-------------------------------------------------------------------------
 *
 * rollup_test.c
 *	  Summaries of readings: known ones, and random readings that are taken in
 *	  and merged in random order and grouping, against one pass over all of
 *	  them in long double.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/rollup.h"
#include "expect.h"

#define MOST	400
#define ROUNDS	20000

typedef struct Sample
{
	FmRollupAt	at;
	double		value;
	int			level;
	bool		bad;
} Sample;

static uint64_t random_state = 88172645463325252u;

/* Xorshift, so that each run does the same. */
static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int
below(int n)
{
	return (int) (next_random() % (uint64_t) n);
}

/* Few distinct times and places, so that ties are many. */
static void
make_samples(Sample *samples, int n)
{
	double		offset = below(3) == 0 ? 1e9 : below(2000) - 1000;
	double		spread = below(4) == 0 ? 0 : pow(10, below(6) - 3);

	for (int i = 0; i < n; i++)
	{
		memset(&samples[i], 0, sizeof(samples[i]));
		samples[i].at.ts = below(60) * INT64_C(1000000);
		samples[i].at.stream_id = below(3);
		samples[i].at.kafka_offset = below(20);
		samples[i].at.reading_index = (int16_t) i;
		samples[i].value = offset + spread * (below(20001) - 10000) / 10000;
		samples[i].level = below(3);
		samples[i].bad = below(10) == 0;
	}
}

/* Take a range in as one summary, or merge two halves cut anywhere. */
static void
summarize(const Sample *samples, int n, FmRollup *rollup)
{
	memset(rollup, 0, sizeof(*rollup));
	if (n > 1 && below(4) != 0)
	{
		int			cut = below(n + 1);
		FmRollup	other;

		summarize(samples + cut, n - cut, &other);
		summarize(samples, cut, rollup);
		if (below(2) == 0)
			fm_rollup_merge(rollup, &other);
		else
		{
			fm_rollup_merge(&other, rollup);
			*rollup = other;
		}
		return;
	}
	for (int i = 0; i < n; i++)
		fm_rollup_add(rollup, &samples[i].at, samples[i].value,
					  samples[i].level, samples[i].bad);
}

static void
shuffle(Sample *samples, int n)
{
	for (int i = n - 1; i > 0; i--)
	{
		int			j = below(i + 1);
		Sample		swap = samples[i];

		samples[i] = samples[j];
		samples[j] = swap;
	}
}

/* The same in one pass each for mean and differences, wider. */
static void
reference(const Sample *samples, int n, FmRollup *rollup, double *scale)
{
	long double sum = 0;
	long double squares = 0;
	long double mean;

	memset(rollup, 0, sizeof(*rollup));
	for (int i = 0; i < n; i++)
	{
		const Sample *s = &samples[i];

		if (s->bad)
		{
			rollup->n_bad++;
			continue;
		}
		sum += s->value;
		if (rollup->n == 0 || s->value < rollup->min)
			rollup->min = s->value;
		if (rollup->n == 0 || s->value > rollup->max)
			rollup->max = s->value;
		if (rollup->n == 0 || fm_rollup_before(&s->at, &rollup->first_at))
		{
			rollup->first_at = s->at;
			rollup->first = s->value;
		}
		if (rollup->n == 0 || fm_rollup_before(&rollup->last_at, &s->at))
		{
			rollup->last_at = s->at;
			rollup->last = s->value;
		}
		rollup->n++;
		rollup->n_warning += s->level == 1;
		rollup->n_critical += s->level == 2;
	}
	mean = rollup->n > 0 ? sum / rollup->n : 0;
	for (int i = 0; i < n; i++)
		if (!samples[i].bad)
			squares += (samples[i].value - mean) * (samples[i].value - mean);
	rollup->mean = (double) mean;
	rollup->m2 = (double) squares;
	/* values are rounded themselves: differences cannot be better than that */
	*scale = (double) (fabsl(mean) * sqrtl(rollup->n * squares));
}

static bool
is_near(double a, double b, double allowed)
{
	return fabs(a - b) <= allowed;
}

static bool
is_same(const FmRollup *a, const FmRollup *b, double scale)
{
	return a->n == b->n && a->n_bad == b->n_bad &&
		a->n_warning == b->n_warning && a->n_critical == b->n_critical &&
		a->min == b->min && a->max == b->max && a->first == b->first &&
		a->last == b->last &&
		memcmp(&a->first_at, &b->first_at, sizeof(a->first_at)) == 0 &&
		memcmp(&a->last_at, &b->last_at, sizeof(a->last_at)) == 0 &&
		is_near(a->mean, b->mean, 1e-12 * fabs(b->mean)
				+ 1e-12 * fmax(fabs(b->min), fabs(b->max))) &&
		is_near(a->m2, b->m2, 1e-12 * b->m2 + 1e-14 * scale +
				1e-28 * b->mean * b->mean * (double) b->n);
}

static void
test_random(void)
{
	static Sample samples[MOST];
	int			wrong = 0;
	int			merged = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = below(8) == 0 ? below(4) : 1 + below(MOST);
		FmRollup	expected;
		FmRollup	rollup;
		double		scale;

		make_samples(samples, n);
		reference(samples, n, &expected, &scale);
		shuffle(samples, n);
		summarize(samples, n, &rollup);
		if (!is_same(&rollup, &expected, scale))
			wrong++;
		merged += n;
	}
	ok(wrong == 0, "%d of %d random summaries, of %d readings, are wrong", wrong,
	   ROUNDS, merged);
}

static void
test_known(void)
{
	static const double values[] = {4, 7, 13, 16};
	FmRollup	rollup = {0};
	FmRollup	empty = {0};
	FmRollupAt	at = {0};

	for (int i = 0; i < 4; i++)
	{
		at.ts = i;
		fm_rollup_add(&rollup, &at, 1e9 + values[i], 0, false);
	}
	ok(rollup.mean == 1e9 + 10 && rollup.m2 == 90,
	   "small differences of large values are not lost");
	fm_rollup_merge(&rollup, &empty);
	ok(rollup.n == 4 && rollup.m2 == 90, "nothing adds nothing");
	fm_rollup_merge(&empty, &rollup);
	ok(empty.n == 4 && empty.m2 == 90 && empty.last == 1e9 + 16,
	   "something added to nothing is that");
	memset(&empty, 0, sizeof(empty));
	fm_rollup_add(&empty, &at, 5, 2, true);
	ok(empty.n == 0 && empty.n_bad == 1 && empty.n_critical == 0,
	   "of a bad reading nothing counts but that it was there");
	fm_rollup_merge(&empty, &rollup);
	ok(empty.n == 4 && empty.n_bad == 1 && empty.min == 1e9 + 4,
	   "and it harms nothing");
	memset(&empty, 0, sizeof(empty));
	fm_rollup_add(&empty, &at, 1.5e308, 0, false);
	fm_rollup_add(&empty, &at, 1.6e308, 0, false);
	ok(isfinite(empty.mean), "a mean does not overflow where its sum would");
}

static void
test_minutes(void)
{
	ok(fm_rollup_minute(0) == 0 && fm_rollup_minute(59999999) == 0 &&
	   fm_rollup_minute(60000000) == 60000000, "minutes");
	ok(fm_rollup_minute(-1) == -60000000 &&
	   fm_rollup_minute(-60000000) == -60000000, "minutes before 2000");
}

int
main(void)
{
	test_known();
	test_minutes();
	test_random();
	return done_testing();
}
