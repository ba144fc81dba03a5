/*
 * format.h - the shapes of JSON that a reading is sent in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *	factory		the canonical message (message.h)
 *	reading		one value with an id of its own
 *	city		temperature, humidity and a status in words, by city
 *	sensores	temperature and humidity of a room, time without zone
 *
 * The canonical one has its own, faster way; the others are each described
 * once, and that description writes the message in one go or as pieces.
 */
#ifndef FM_FORMAT_H
#define FM_FORMAT_H

#include "message.h"

/* Members that messages of every format have in some way. */
typedef enum FmRole
{
	FM_ROLE_TIMESTAMP,
	FM_ROLE_ID,					/* of the sensor, the record's key */
	FM_ROLE_TYPE,
	FM_ROLE_VALUE,
	FM_ROLE_PARTNER				/* the second value */
} FmRole;

#define FM_ROLES 5

typedef struct FmFormat
{
	const char *name;
	const char *help;
	const char *topic;			/* where it goes unless told otherwise */
	FmPlant		plant;
	bool		has_ids;		/* readings are identified */
	bool		has_zone;		/* the timestamp says how far from UTC it is */
	const char *key[FM_ROLES];	/* NULL: the format has no such member */
} FmFormat;

/* NULL beyond the last one; the first one is the canonical. */
extern const FmFormat *fm_format(int i);

/* Append the message. */
extern void fm_format_put(const FmFormat *format, FmBuf *out,
						  const FmReading *reading, int64_t timestamp);

/* The same in pieces. */
extern void fm_format_pieces(const FmFormat *format, FmPieces *pieces,
							 const FmReading *reading, int64_t timestamp);

/*
 * The same reading with unknown members and unusual spellings; with pad_to > 0
 * also a member that brings the message to about that many bytes.
 */
extern void fm_format_put_extra(const FmFormat *format, FmBuf *out,
								FmPieces *pieces, FmRng *rng,
								const FmReading *reading, int64_t timestamp,
								bool extra, size_t pad_to);

#endif							/* FM_FORMAT_H */
