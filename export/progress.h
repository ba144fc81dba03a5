/*
 * progress.h - how far it is, on standard error
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * On a terminal one line that changes, elsewhere a line now and then.
 */
#ifndef FM_PROGRESS_H
#define FM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct FmProgress
{
	bool		shown;
	bool		terminal;
	double		began;			/* seconds of the monotonic clock */
	double		said;			/* when the last time */
	int64_t		rows;
	int64_t		from_us;		/* the range of time, since 1970 */
	int64_t		to_us;
	int64_t		at_us;			/* so far */
} FmProgress;

extern void fm_progress_start(FmProgress *progress, bool shown,
							  int64_t from_us, int64_t to_us);

/* Says how far it is, unless it did so a moment ago. */
extern void fm_progress_tick(FmProgress *progress);

/* What is being done now, when rows have nothing to do with it. */
extern void fm_progress_note(FmProgress *progress, const char *what);

/* The last line; done: all is there. */
extern void fm_progress_end(FmProgress *progress, bool done);

#endif							/* FM_PROGRESS_H */
