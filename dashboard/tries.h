/*
 * tries.h - how often an address may try to log in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Five times a minute; what turned out well does not count.  All of this
 * belongs to the thread of HTTP.
 */
#ifndef FM_TRIES_H
#define FM_TRIES_H

typedef struct FmTries FmTries;

extern FmTries *fm_tries_new(void);

extern void fm_tries_free(FmTries *tries);

/* Count an attempt.  Returns 0, or in how many seconds another is allowed. */
extern int	fm_tries_count(FmTries *tries, const char *address);

/* That attempt was a good one, and does not count. */
extern void fm_tries_forgive(FmTries *tries, const char *address);

#endif							/* FM_TRIES_H */
