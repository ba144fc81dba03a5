/*-------------------------------------------------------------------------
 *
 * offset_set.h
 *	  A set of offsets as ranges, in bounded memory.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OFFSET_SET_H
#define FM_OFFSET_SET_H

#include "postgres.h"

/* Offsets [from, to), and how many rows have them. */
typedef struct FmOffsetRange
{
	int64		from;
	int64		to;
	int64		rows;
} FmOffsetRange;

/* All zero: empty. */
typedef struct FmOffsetSet
{
	FmOffsetRange *ranges;
	int			n;
	int			allocated;
	int64		dropped;		/* rows beyond what fits */
} FmOffsetSet;

/*
 * Add a range of offsets.  A set keeps a few thousand ranges; what does not
 * fit is only counted.  Allocates in the current memory context.
 */
extern void fm_offset_set_add(FmOffsetSet *set, int64 from, int64 to,
							  int64 rows);

/* Sort the ranges and join those that touch. */
extern void fm_offset_set_normalize(FmOffsetSet *set);

/*
 * Which offsets of a normalized set are the n whose fm_offset_hash() with
 * this index adds up to sum?  Adds them to found; false: cannot tell.
 */
extern bool fm_offset_set_prove(const FmOffsetSet *set, int64 n, uint64 sum,
								int reading_index, FmOffsetSet *found);

/* "105, 200-203 and more", palloc'ed. */
extern char *fm_offset_set_list(const FmOffsetSet *set);

#endif							/* FM_OFFSET_SET_H */
