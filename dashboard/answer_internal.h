/*
 * answer_internal.h - what answer.c and its neighbours share
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *	answer.c		who asks, who waits, and the threads that work for them
 *	answer_entry.c	what has been asked for, as long as it is remembered
 *	answer_find.c	what the database has to say
 *
 * One mutex, of answer.c, guards entries and the references of answers.
 */
#ifndef FM_ANSWER_INTERNAL_H
#define FM_ANSWER_INTERNAL_H

#include "answer.h"

#define FM_ENTRY_BUCKETS 256
#define FM_MAX_ENTRIES 512		/* more are forgotten when nobody waits */
#define FM_FORGET_SECONDS 30	/* between two looks for what is old */

/*
 * What can be asked: an endpoint with its values.  It is idle, queued, or being
 * worked on; those who wait for it are a list, in either of the latter two.
 */
typedef struct FmEntry
{
	const FmEndpoint *endpoint; /* NULL: metrics */
	FmForm		form;
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE];
	bool		given[FM_MAX_PARAMS];	/* else null */
	FmAnswer   *answer;			/* the last one, or NULL */
	double		fresh_until;
	bool		busy;			/* queued, or being worked on */
	double		queued_at;
	FmWaiter   *waiters;
	struct FmEntry *next;		/* in its bucket */
	struct FmEntry *next_job;
} FmEntry;

/* All zeros: none. */
typedef struct FmEntries
{
	FmEntry    *buckets[FM_ENTRY_BUCKETS];
	int			n;
	double		forget_at;
} FmEntries;

/* That of these values, made anew if need be; values are not NULL where given. */
extern FmEntry *fm_entries_find(FmEntries *entries,
								const FmEndpoint *endpoint, FmForm form,
								char values[][FM_MAX_VALUE],
								const bool *given, double now);

/*
 * From time to time forget what nobody has asked for lately, with its answer:
 * to be called at least as often as FM_FORGET_SECONDS says.
 */
extern void fm_entries_tend(FmEntries *entries, double now);

/* Forget all of them. */
extern void fm_entries_free(FmEntries *entries);

/* Hold it no more; with the mutex.  It may be NULL. */
extern void fm_answer_drop(FmAnswer *answer);

/* What the database has to say to it, or that it says nothing. */
extern FmAnswer *fm_answer_find(FmDatabase *database, PGconn **connection,
								const FmEntry *entry);

/* The answer where too much is being asked for. */
extern FmAnswer *fm_answer_say_busy(void);

#endif							/* FM_ANSWER_INTERNAL_H */
