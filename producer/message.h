/*
 * message.h - from readings to payloads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The plain message is assembled from parts, fast.  Everything unusual goes
 * through FmPieces, a message as a list of members that can be changed before
 * they are joined: unknown members, other spellings of the same values, large
 * messages (unusual.c), and messages that nobody should accept (malform.c).
 * This is the canonical format; format.h has the others.
 */
#ifndef FM_MESSAGE_H
#define FM_MESSAGE_H

#include "sensor.h"

/* What became of a reading on its way, and what the truth file calls it. */
typedef enum FmKind
{
	FM_READING,
	FM_DUPLICATE,				/* the same bytes once more */
	FM_MALFORMED,
	FM_TOMBSTONE,
	FM_HEARTBEAT
} FmKind;

#define FM_KINDS 5

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

/* A new member at the end, its value still empty. */
extern FmBuf *fm_pieces_add(FmPieces *pieces, const char *key);

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

/* Append a value with exactly the decimals of its sensor's resolution. */
extern void fm_message_put_scaled(FmBuf *out, int64_t scaled, int decimals);

#endif							/* FM_MESSAGE_H */
