/*-------------------------------------------------------------------------
 *
 * bench_reading.c
 *	  What it costs to decode messages.
 *
 * Decodes batches of slightly different messages, as a worker would, and
 * prints the best of several rounds in microseconds of CPU time a message.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/reading.h"
#include "messages.h"

#define BATCH	5000
#define ROUNDS	40

static double
microseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

/* member is given n different values, made with the format. */
static void
bench(const char *name, const char *member, const char *format)
{
	char	   *messages[BATCH];
	size_t		lengths[BATCH];
	double		best = 0;
	FmArena		arena;
	int			round;
	int			i;

	for (i = 0; i < BATCH; i++)
	{
		char		value[100];

		snprintf(value, sizeof(value), format, i);
		messages[i] = message_with(member, value);
		lengths[i] = strlen(messages[i]);
	}
	fm_arena_init(&arena);
	for (round = 0; round < ROUNDS; round++)
	{
		double		start = microseconds_now();
		double		each;

		for (i = 0; i < BATCH; i++)
		{
			FmDecoded	decoded;

			fm_decode_factory(messages[i], lengths[i], &arena, &decoded);
			if (decoded.nreadings != 1)
				abort();
		}
		fm_arena_reset(&arena);
		each = (microseconds_now() - start) / BATCH;
		if (round == 0 || each < best)
			best = each;
	}
	printf("%-32s %6.3f us\n", name, best);
	fm_arena_free(&arena);
	for (i = 0; i < BATCH; i++)
		free(messages[i]);
}

int
main(void)
{
	bench("canonical", "reading_count", "%d");
	bench("value of 17 digits", "value", "42.48000000000%04d1");
	bench("an unknown member", "unit", "\"C\",\"batch\":%d");
	bench("an escape", "sensor_id", "\"\\u0041-%d\"");
	return 0;
}
