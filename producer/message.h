/*
 * message.h - from readings to payloads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The plain message is assembled from parts, fast.  Everything unusual goes
 * through FmPieces, a message as a list of members that can be changed before
 * they are joined: unknown members, other spellings of the same values, large
 * messages, and (in malform.c) messages that nobody should accept.
 */
#ifndef FM_MESSAGE_H
#define FM_MESSAGE_H

#include "sensor.h"

/* What became of a reading on its way, and what the truth file calls it. */
typedef enum FmKind
{
	FM_READING,
	FM_MALFORMED,
	FM_TOMBSTONE,
	FM_HEARTBEAT
} FmKind;

#define FM_KINDS 4

extern const char *const fm_kind_names[FM_KINDS];

#define FM_MAX_PIECES 24

typedef struct FmPiece
{
	const char *key;			/* JSON text without the quotes */
	FmBuf		value;			/* JSON text */
} FmPiece;

typedef struct FmPieces
{
	FmPiece		piece[FM_MAX_PIECES];
	int			n;
} FmPieces;

extern void fm_pieces_from(FmPieces *pieces, const FmReading *reading,
						   int64_t timestamp);

/* Replace a member, or add it at the end. */
extern void fm_pieces_set(FmPieces *pieces, const char *key, const char *fmt,
						  ...) __attribute__((format(printf, 3, 4)));
extern FmPiece *fm_pieces_find(FmPieces *pieces, const char *key);
extern void fm_pieces_drop(FmPieces *pieces, const char *key);
extern void fm_pieces_join(const FmPieces *pieces, FmBuf *out);
extern void fm_pieces_free(FmPieces *pieces);

/* The canonical message.  The timestamp is in microseconds. */
extern void fm_message_put(FmBuf *out, const FmReading *reading,
						   int64_t timestamp);

/*
 * The same reading with unknown members and unusual spellings; with pad_to > 0
 * also a member that brings the message to about that many bytes.
 */
extern void fm_message_put_extra(FmBuf *out, FmPieces *pieces, FmRng *rng,
								 const FmReading *reading, int64_t timestamp,
								 bool extra, size_t pad_to);

#endif							/* FM_MESSAGE_H */
