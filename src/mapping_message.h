/*-------------------------------------------------------------------------
 *
 * mapping_message.h
 *	  What the files that put messages together again share.
 *
 * mapping_message.c says what columns give back, mapping_slot.c which reading
 * is which, mapping_write.c writes the message.  Nobody else includes this.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MAPPING_MESSAGE_H
#define FM_MAPPING_MESSAGE_H

#include "mapping_internal.h"

/* What columns give back of a message or an element, by node. */
typedef struct FmGiven
{
	FmSlice		values[FM_MAX_NODES];	/* as JSON; data NULL: nothing */
	int			ranks[FM_MAX_NODES];
} FmGiven;

/* One message on its way back. */
typedef struct FmComposer
{
	const FmFormat *format;
	FmArena    *arena;
	const FmReading *readings;
	int			n;
	int			nelements;		/* of the array of readings; else 1 */
	FmSlice    *kept;			/* of each element; NULL: of none */
	int		   *slots;			/* nreadings of each element: the index of the
								 * reading, or -1: it was left out */
	FmScope		message;		/* what is kept, in extra */
	FmScope		element;		/* the same of the present element */
	FmGiven		of_message;
	FmGiven		of_element;
	char	   *buf;
	size_t		len;
	size_t		size;
	bool		failed;
} FmComposer;

/* ---- mapping_message.c ---- */

extern bool fm_is_kept(const FmComposer *composer, FmPlace place);

/* What the readings of the present element give of it, or of the message. */
extern void fm_give_element(FmComposer *composer, int element,
							bool of_element);

/* ---- mapping_slot.c ---- */

/* Look at what is kept of an element. */
extern void fm_enter_element(FmComposer *composer, int element);

/* Which reading is which?  False: that cannot be told. */
extern bool fm_find_slots(FmComposer *composer);

/* ---- mapping_write.c ---- */

/* A text as JSON string; data NULL: no memory. */
extern FmSlice fm_quote(FmComposer *composer, FmSlice text);

extern bool fm_write_message(FmComposer *composer, FmSlice extra,
							 FmSlice *message);

#endif							/* FM_MAPPING_MESSAGE_H */
