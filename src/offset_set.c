/*-------------------------------------------------------------------------
 *
 * offset_set.c
 *	  A set of offsets as ranges, in bounded memory; and which of them have
 *	  a given sum of hashes.
 *
 * The sum of the hashes of missing offsets is known (it is the difference
 * between ledger and table), and so are the candidates: offsets without a
 * row.  If some of these, side by side or a few in any combination, have
 * that sum, they are the missing ones, for all that 64 bits can prove.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "batch.h"
#include "offset_set.h"

#define MAX_RANGES 4096

/* Most offsets that are tried: side by side, and in any combination. */
#define MAX_PROOF_STEPS INT64CONST(20000000)
#define MAX_COMBINED 20

/* Ranges written out in a list. */
#define MAX_LISTED 10

static int
compare_ranges(const void *a, const void *b)
{
	int64		left = ((const FmOffsetRange *) a)->from;
	int64		right = ((const FmOffsetRange *) b)->from;

	return (left > right) - (left < right);
}

void
fm_offset_set_normalize(FmOffsetSet *set)
{
	int			last = 0;

	if (set->n < 2)
		return;
	qsort(set->ranges, set->n, sizeof(FmOffsetRange), compare_ranges);
	for (int i = 1; i < set->n; i++)
	{
		FmOffsetRange *range = &set->ranges[i];

		if (range->from <= set->ranges[last].to)
		{
			set->ranges[last].to = Max(set->ranges[last].to, range->to);
			set->ranges[last].rows += range->rows;
		}
		else
			set->ranges[++last] = *range;
	}
	set->n = last + 1;
}

/*
 * A set that is full is joined; if that does not help, what does not
 * continue the range before is only counted.
 */
void
fm_offset_set_add(FmOffsetSet *set, int64 from, int64 to, int64 rows)
{
	FmOffsetRange *last = set->n > 0 ? &set->ranges[set->n - 1] : NULL;

	if (last && from >= last->from && from <= last->to)
	{
		last->to = Max(last->to, to);
		last->rows += rows;
		return;
	}
	if (set->n == MAX_RANGES && set->dropped == 0)
		fm_offset_set_normalize(set);
	if (set->n == MAX_RANGES)
	{
		set->dropped += rows;
		return;
	}
	if (set->n == set->allocated)
	{
		set->allocated = set->allocated ? set->allocated * 2 : 16;
		set->ranges = set->ranges ?
			repalloc(set->ranges, sizeof(FmOffsetRange) * set->allocated) :
			palloc(sizeof(FmOffsetRange) * set->allocated);
	}
	last = &set->ranges[set->n++];
	last->from = from;
	last->to = to;
	last->rows = rows;
}

/* A place in a normalized set. */
typedef struct Cursor
{
	const FmOffsetSet *set;
	int			range;
	int64		offset;
} Cursor;

/* Before the first offset of a set. */
static Cursor
cursor_begin(const FmOffsetSet *set)
{
	Cursor		cursor = {set, 0, set->n > 0 ? set->ranges[0].from : 0};

	return cursor;
}

static bool
cursor_done(const Cursor *cursor)
{
	return cursor->range >= cursor->set->n;
}

static void
cursor_next(Cursor *cursor)
{
	if (++cursor->offset < cursor->set->ranges[cursor->range].to)
		return;
	cursor->range++;
	if (cursor->range < cursor->set->n)
		cursor->offset = cursor->set->ranges[cursor->range].from;
}

/*
 * Find n absent offsets side by side whose hashes add up to difference: a
 * window that slides over all of them.
 */
static bool
prove_window(const FmOffsetSet *absent, int64 n, uint64 difference,
			 int reading_index, FmOffsetSet *missing)
{
	Cursor		head = cursor_begin(absent);
	Cursor		tail = head;
	uint64		sum = 0;

	for (int64 steps = 1; !cursor_done(&head); steps++)
	{
		if (steps > MAX_PROOF_STEPS)
			return false;
		if ((steps & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		sum += fm_offset_hash(head.offset, reading_index);
		if (steps > n)
		{
			sum -= fm_offset_hash(tail.offset, reading_index);
			cursor_next(&tail);
		}
		if (steps >= n && sum == difference)
		{
			for (; !cursor_done(&tail) && tail.offset <= head.offset;
				 cursor_next(&tail))
				fm_offset_set_add(missing, tail.offset, tail.offset + 1, 1);
			return true;
		}
		cursor_next(&head);
	}
	return false;
}

/*
 * Find absent offsets whose hashes add up to difference among all
 * combinations of a few: in the order of a Gray code, in which one offset
 * comes or goes with each step.
 */
static bool
prove_combination(const FmOffsetSet *absent, uint64 difference,
				  int reading_index, FmOffsetSet *missing)
{
	int64		offsets[MAX_COMBINED];
	int			n = 0;
	uint32		chosen = 0;
	uint64		sum = 0;

	for (Cursor c = cursor_begin(absent); !cursor_done(&c); cursor_next(&c))
	{
		if (n == MAX_COMBINED)
			return false;
		offsets[n++] = c.offset;
	}
	for (uint32 step = 1; step < (uint32) 1 << n; step++)
	{
		int			bit = pg_rightmost_one_pos32(step);
		uint64		hash = fm_offset_hash(offsets[bit], reading_index);

		chosen ^= (uint32) 1 << bit;
		sum += (chosen >> bit & 1) ? hash : -hash;
		if (sum != difference)
			continue;
		for (int i = 0; i < n; i++)
			if (chosen >> i & 1)
				fm_offset_set_add(missing, offsets[i], offsets[i] + 1, 1);
		return true;
	}
	return false;
}

bool
fm_offset_set_prove(const FmOffsetSet *set, int64 n, uint64 sum,
					int reading_index, FmOffsetSet *found)
{
	return set->dropped == 0 &&
		(prove_window(set, n, sum, reading_index, found) ||
		 prove_combination(set, sum, reading_index, found));
}

char *
fm_offset_set_list(const FmOffsetSet *set)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < set->n; i++)
	{
		const FmOffsetRange *range = &set->ranges[i];

		if (i == MAX_LISTED)
			break;
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? ", " : "",
						 range->from);
		if (range->to - 1 > range->from)
			appendStringInfo(&text, "-" INT64_FORMAT, range->to - 1);
	}
	if (set->n > MAX_LISTED || set->dropped > 0)
		appendStringInfoString(&text, " and more");
	return text.data;
}
