/*-------------------------------------------------------------------------
 *
 * rollup.h
 *	  What is kept of the readings of a sensor in a bucket of time, and how
 *	  two such summaries become one.
 *
 * Pure: no memory, no tables, no clock.  A summary of readings is the same, up
 * to rounding, in whatever order and grouping they are taken in and merged,
 * which is what makes late readings easy.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROLLUP_H
#define FM_ROLLUP_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds of the smallest bucket. */
#define FM_ROLLUP_MINUTE	INT64_C(60000000)

/* Readings of less quality than this are counted, and that is all. */
#define FM_ROLLUP_QUALITY	0.5f

/* Which reading was the first or the last: by time, then by where it came
 * from, so that there is always one answer. */
typedef struct FmRollupAt
{
	int64_t		ts;
	int64_t		kafka_offset;
	int32_t		stream_id;
	int16_t		reading_index;
} FmRollupAt;

typedef struct FmRollup
{
	double		mean;			/* what follows to last_at: only if n > 0 */
	double		m2;				/* sum of squared differences from mean */
	double		min;
	double		max;
	double		first;
	double		last;
	FmRollupAt	first_at;
	FmRollupAt	last_at;
	int64_t		n;				/* readings of good quality */
	int64_t		n_warning;		/* of these */
	int64_t		n_critical;
	int64_t		n_bad;			/* the others */
} FmRollup;

/* The begin of the minute; of times before 2000, too. */
static inline int64_t
fm_rollup_minute(int64_t ts)
{
	int64_t		rest = ts % FM_ROLLUP_MINUTE;

	return ts - (rest < 0 ? rest + FM_ROLLUP_MINUTE : rest);
}

static inline bool
fm_rollup_before(const FmRollupAt *a, const FmRollupAt *b)
{
	if (a->ts != b->ts)
		return a->ts < b->ts;
	if (a->stream_id != b->stream_id)
		return a->stream_id < b->stream_id;
	if (a->kafka_offset != b->kafka_offset)
		return a->kafka_offset < b->kafka_offset;
	return a->reading_index < b->reading_index;
}

/* One more reading; level is 0 (normal) to 2 (critical).  A summary begins
 * zeroed. */
extern void fm_rollup_add(FmRollup *rollup, const FmRollupAt *at,
						  double value, int level, bool bad);

/* rollup becomes the summary of its readings and of those of other. */
extern void fm_rollup_merge(FmRollup *rollup, const FmRollup *other);

#endif							/* FM_ROLLUP_H */
