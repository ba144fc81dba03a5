/*
 * moment.h - times as people write them, and as the server does
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_MOMENT_H
#define FM_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

/*
 * A time of RFC 3339, the same without a zone or without a time of day, "now",
 * "today", "yesterday", "tomorrow", or a span such as "-7d".  What there is of
 * days in a month the server knows.
 */
extern bool fm_moment_read(FmMoment *moment, const char *text);

/* A day, month or year: where it begins, and how long it is. */
extern bool fm_period_read(FmMoment *from, char *length, size_t size,
						   const char *text);

/* A timestamp as the server writes it (DateStyle ISO). */
typedef struct FmTime
{
	int64_t		local;			/* microseconds since 1970, of its zone's clock */
	int			offset;			/* of the zone, in seconds east; 0 without one */
	bool		zoned;			/* it said which */
} FmTime;

extern bool fm_time_read(FmTime *time, const char *text);

#endif							/* FM_MOMENT_H */
