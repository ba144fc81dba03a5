/*-------------------------------------------------------------------------
 *
 * rollup.c
 *	  What is kept of the readings of a sensor in a bucket of time, and how
 *	  two such summaries become one.
 *
 * Mean and squared differences are those of Welford (1962) for one reading
 * more, and of Chan, Golub and LeVeque (1979) for two summaries: nothing large
 * is subtracted from anything large, as the sum of squares would have it.  A
 * mean is moved towards the new one by a share of the difference, so values
 * that nearly fill a double do not overflow where their mean would not.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "rollup.h"

void
fm_rollup_add(FmRollup *rollup, const FmRollupAt *at, double value, int level,
			  bool bad)
{
	double		delta;

	if (bad)
	{
		rollup->n_bad++;
		return;
	}
	rollup->n++;
	rollup->n_warning += level == 1;
	rollup->n_critical += level == 2;
	if (rollup->n == 1)
	{
		rollup->mean = rollup->min = rollup->max = value;
		rollup->first = rollup->last = value;
		rollup->m2 = 0;
		rollup->first_at = rollup->last_at = *at;
		return;
	}
	delta = value - rollup->mean;
	rollup->mean += delta / rollup->n;
	rollup->m2 += delta * (value - rollup->mean);
	if (value < rollup->min)
		rollup->min = value;
	if (value > rollup->max)
		rollup->max = value;
	if (fm_rollup_before(at, &rollup->first_at))
	{
		rollup->first = value;
		rollup->first_at = *at;
	}
	if (fm_rollup_before(&rollup->last_at, at))
	{
		rollup->last = value;
		rollup->last_at = *at;
	}
}

/* What only readings of good quality have. */
static void
merge_values(FmRollup *rollup, const FmRollup *other)
{
	double		share = (double) other->n / (rollup->n + other->n);
	double		delta = other->mean - rollup->mean;

	rollup->m2 += other->m2 + delta * delta * share * rollup->n;
	rollup->mean += delta * share;
	if (other->min < rollup->min)
		rollup->min = other->min;
	if (other->max > rollup->max)
		rollup->max = other->max;
	if (fm_rollup_before(&other->first_at, &rollup->first_at))
	{
		rollup->first = other->first;
		rollup->first_at = other->first_at;
	}
	if (fm_rollup_before(&rollup->last_at, &other->last_at))
	{
		rollup->last = other->last;
		rollup->last_at = other->last_at;
	}
}

void
fm_rollup_merge(FmRollup *rollup, const FmRollup *other)
{
	int64_t		bad = rollup->n_bad + other->n_bad;

	if (rollup->n == 0)
		*rollup = *other;
	else if (other->n > 0)
	{
		merge_values(rollup, other);
		rollup->n += other->n;
		rollup->n_warning += other->n_warning;
		rollup->n_critical += other->n_critical;
	}
	rollup->n_bad = bad;
}
