/*
 * clock.h - time: two clocks, and RFC 3339 in both directions
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Instants are microseconds since 1970 (UTC).  The monotonic clock measures
 * waiting and rates, the wall clock only stamps what is sent.
 */
#ifndef FM_CLOCK_H
#define FM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_SECOND INT64_C(1000000)

#define FM_TIME_LEN 27			/* 2025-09-16T21:41:41.011144Z */

extern int64_t fm_clock_wall(void);
extern int64_t fm_clock_mono(void);

/*
 * Write FM_TIME_LEN bytes without a NUL, microseconds and "Z" always.  Years
 * 0 to 9999; the caller keeps to them.
 */
extern void fm_time_format(int64_t us, char *to);

/*
 * Read an RFC 3339 timestamp, seconds since 1970 ("@1758058901.5"), or "now".
 * false: it is none of these.
 */
extern bool fm_time_parse(const char *text, int64_t *us);

#endif							/* FM_CLOCK_H */
