/*
 * source.h - rows from the database, one after the other, of one moment
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_SOURCE_H
#define FM_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "server.h"

typedef struct FmSource FmSource;

/* What the server made of the options, and says of itself. */
typedef struct FmFacts
{
	char	   *from;			/* as text; NULL: open */
	char	   *to;
	int64_t		from_us;		/* since 1970; where open, of the partitions */
	int64_t		to_us;
	char	   *time_zone;
	char	   *now;			/* when the rows were so */
	char	   *who;			/* role */
	char	   *where;			/* database and server */
	char	   *extension;		/* version */
} FmFacts;

/* text is ended by a NUL, which it does not contain; NULL: no value */
typedef struct FmField
{
	char	   *text;
	size_t		len;
} FmField;

/*
 * Connect, choose the moment, and find out what is known beforehand.  NULL
 * after an error message; code is that of the program then.
 */
extern FmSource *fm_source_open(const FmOptions *options, int *code);
extern const FmFacts *fm_source_facts(const FmSource *source);
extern void fm_source_on_idle(FmSource *source, FmIdle idle, void *argument);

/* The next row, good until the next call.  1; 0: no more; -1: failed, after an
 * error message, unless a signal was the reason. */
extern int	fm_source_next(FmSource *source, FmField *fields);

/* Where the rows that are being read begin at least, in microseconds. */
extern int64_t fm_source_position(const FmSource *source);

/* Let go of the moment, which keeps the server from cleaning up. */
extern bool fm_source_done(FmSource *source);
extern void fm_source_close(FmSource *source);

#endif							/* FM_SOURCE_H */
