/*
 * positions.h - how far each pipeline's events have been read
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * As a text it is the id of an event on the stream: "name:number,name:number",
 * with names percent-encoded.
 */
#ifndef FM_POSITIONS_H
#define FM_POSITIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../producer/buf.h"

#define FM_MAX_PIPELINES 64

/* How far a pipeline has been read. */
typedef struct FmPosition
{
	char		name[NAME_MAX + 1];
	int64_t		seq;
} FmPosition;

typedef struct FmPositions
{
	int			n;
	FmPosition	items[FM_MAX_PIPELINES];
} FmPositions;

/* That of a pipeline, or NULL. */
extern FmPosition *fm_find_position(FmPositions *positions, const char *name);

/* The same, made if it is not there; NULL: there are too many. */
extern FmPosition *fm_make_position(FmPositions *positions, const char *name);

/* The line of an event that has its id. */
extern void fm_positions_put_id(FmBuf *buf, const FmPositions *positions);

/* Read an id; false: it is none. */
extern bool fm_positions_read_id(const char *text, FmPositions *positions);

#endif							/* FM_POSITIONS_H */
