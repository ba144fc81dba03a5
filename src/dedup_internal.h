/*-------------------------------------------------------------------------
 *
 * dedup_internal.h
 *	  What the files behind dedup.h share.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DEDUP_INTERNAL_H
#define FM_DEDUP_INTERNAL_H

#include "postgres.h"

#include "dedup.h"

typedef enum FmKeyState
{
	FM_KEY_NEW,					/* nobody has stored it */
	FM_KEY_OWN,					/* this very reading is known already */
	FM_KEY_REPEATED				/* another reading has it */
} FmKeyState;

/* The key of one reading. */
typedef struct FmReadingKey
{
	pg_uuid_t	key;
	int			row;			/* in the batch's rows */
	FmKeyState	state;
	int32		first_stream;	/* who has it, if it is repeated */
	int64		first_offset;
} FmReadingKey;

/* --- dedup_key.c -------------------------------------------------------- */

/*
 * Keys of the rows of messages [from, to), which has n of them at most, sorted
 * by key and then by row.  Returns how many: readings without an id have none.
 */
extern int	fm_keys_make(const FmPipeline *pipeline,
						 const FmBatchMessage *messages, int from, int to,
						 const FmRow *rows, FmReadingKey *keys);

/* SipHash-2-4 with a result of 128 bits. */
extern void fm_siphash128(const pg_uuid_t *secret, const void *data,
						  size_t len, pg_uuid_t *result);

/* --- dedup_slice.c ------------------------------------------------------ */

typedef struct FmSlices FmSlices;

/* Open the slices that may hold keys which are still known. */
extern FmSlices *fm_slices_open(const FmPipeline *pipeline);

/* The moment that counts as now for what is done with them. */
extern TimestampTz fm_slices_now(const FmSlices *slices);

/*
 * Find out which keys are new; they are sorted, and no two of them equal.
 */
extern void fm_slices_look_up(FmSlices *slices, FmReadingKey **keys, int n,
							  const FmRow *rows);

/*
 * Register those that are new; an error if somebody else does it at the same
 * moment (fm_dedup_lost_race()).
 */
extern void fm_slices_insert(FmSlices *slices, FmReadingKey **keys, int n,
							 const FmRow *rows);
extern void fm_slices_close(FmSlices *slices);

#endif							/* FM_DEDUP_INTERNAL_H */
