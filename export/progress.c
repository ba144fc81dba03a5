/*
 * progress.c - how far it is, on standard error
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_SECONDS 0.25
#define FILE_SECONDS 5.0

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* 1234567 as "1,234,567" */
static const char *
grouped(int64_t number, char out[32])
{
	char		digits[24];
	int			len = snprintf(digits, sizeof(digits), "%lld",
							   (long long) number);
	char	   *at = out;

	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return out;
}

static void
say(const FmProgress *progress, const char *text, bool last)
{
	/* clear what is left of a longer line */
	if (progress->terminal)
		fprintf(stderr, "\r%s\033[K%s", text, last ? "\n" : "");
	else
		fprintf(stderr, "%s\n", text);
	fflush(stderr);
}

static void
say_rows(FmProgress *progress, const char *behind, bool last)
{
	double		seconds = seconds_now() - progress->began;
	char		line[160];
	char		rows[32];
	char		rate[32];

	snprintf(line, sizeof(line), "%s rows, %s rows/s%s",
			 grouped(progress->rows, rows),
			 grouped(seconds > 0 ? (int64_t) ((double) progress->rows /
											  seconds) : 0, rate), behind);
	say(progress, line, last);
	progress->said = seconds_now();
}

/* Of the range of time, in percent. */
static int
share(const FmProgress *progress)
{
	double		span = (double) (progress->to_us - progress->from_us);
	double		done = (double) (progress->at_us - progress->from_us);

	if (span <= 0 || done >= span)
		return 100;
	return done <= 0 ? 0 : (int) (100 * done / span);
}

void
fm_progress_start(FmProgress *progress, bool shown, int64_t from_us,
				  int64_t to_us)
{
	memset(progress, 0, sizeof(*progress));
	progress->shown = shown;
	progress->terminal = isatty(STDERR_FILENO);
	progress->from_us = progress->at_us = from_us;
	progress->to_us = to_us;
	progress->began = progress->said = seconds_now();
}

void
fm_progress_tick(FmProgress *progress)
{
	char		behind[48];

	if (!progress->shown || seconds_now() - progress->said <
		(progress->terminal ? TERMINAL_SECONDS : FILE_SECONDS))
		return;
	snprintf(behind, sizeof(behind), ", %d %% of the range of time",
			 share(progress));
	say_rows(progress, behind, false);
}

void
fm_progress_note(FmProgress *progress, const char *what)
{
	if (progress->shown)
		say_rows(progress, what, false);
}

void
fm_progress_end(FmProgress *progress, bool done)
{
	char		behind[48];

	if (!progress->shown)
		return;
	snprintf(behind, sizeof(behind), ", %.1f s%s",
			 seconds_now() - progress->began, done ? "" : ", not complete");
	say_rows(progress, behind, true);
}
