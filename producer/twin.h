/*
 * twin.h - what two records with the same bytes know of each other
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A reading that is sent twice and its copy share one of these.  Whichever the
 * broker confirms first is the reading, the other one the duplicate of it,
 * whatever the order in which they were sent: one may fail, be aborted or be
 * overtaken.  Each of the two holds a reference until its fate is known.
 */
#ifndef FM_TWIN_H
#define FM_TWIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct FmTwin
{
	int			holders;
	bool		confirmed;		/* the first one is; it is here: */
	int32_t		partition;
	int64_t		offset;			/* -1: the broker did not say where */
} FmTwin;

/* The record is done with it; NULL is no twin. */
static inline void
fm_twin_release(FmTwin *twin)
{
	if (twin && --twin->holders == 0)
		free(twin);
}

#endif							/* FM_TWIN_H */
