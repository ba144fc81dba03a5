/*
 * repeat.h - readings that are sent a second time
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Half of the copies follow their reading at once, the others within a window
 * of messages: a ring with a place for each of the next messages, where a copy
 * waits for its turn.  The number of the message decides, never the time, so
 * the same seed repeats the same readings at the same places.
 *
 * Copies are messages like others and count as such.  Where the number of all
 * messages is known, none is promised that would come behind the last.
 */
#ifndef FM_REPEAT_H
#define FM_REPEAT_H

#include "client.h"

typedef struct FmRepeated FmRepeated;

typedef struct FmRepeat
{
	double		share;			/* of readings */
	uint32_t	window;			/* places in the ring */
	uint64_t	count;			/* messages in all, 0: no end */
	FmRng		rng;
	FmRepeated *ring;			/* NULL: nothing is repeated */
	size_t		bytes;			/* of the copies that wait */
} FmRepeat;

extern void fm_repeat_init(FmRepeat *repeat, const FmOptions *opt);

/* Is the message of this number (from 0) a copy? */
extern bool fm_repeat_due(const FmRepeat *repeat, uint64_t number);

/*
 * The copy that is the message of this number, if there is one.  Its bytes
 * stay until fm_repeat_sent; the twin goes to the caller.
 */
extern bool fm_repeat_take(FmRepeat *repeat, uint64_t number,
						   FmRecord *record);
extern void fm_repeat_sent(FmRepeat *repeat, uint64_t number);

/* A reading is the message of this number: perhaps it is to be repeated. */
extern void fm_repeat_offer(FmRepeat *repeat, uint64_t number,
							FmRecord *record);

/* Forget the copies that wait. */
extern void fm_repeat_free(FmRepeat *repeat);

#endif							/* FM_REPEAT_H */
