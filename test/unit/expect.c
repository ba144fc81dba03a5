/*-------------------------------------------------------------------------
 *
 * expect.c
 *	  What the unit tests of the decoder are written with.
 *
 * Each message is decoded from a block of memory of exactly its size, so that
 * a sanitizer or valgrind sees a read beyond it, and is put to the oracle as
 * well.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expect.h"
#include "messages.h"
#include "oracle.h"

static int	ntests = 0;
static int	nfailed = 0;

void
ok(bool passed, const char *format, ...)
{
	va_list		args;

	ntests++;
	if (!passed)
		nfailed++;
	printf("%sok %d - ", passed ? "" : "not ", ntests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int
done_testing(void)
{
	printf("1..%d\n", ntests);
	return nfailed == 0 ? 0 : 1;
}

void
decode(const char *payload, size_t len, FmArena *arena, FmDecoded *decoded,
	   char **copy)
{
	*copy = xmalloc(len > 0 ? len : 1);
	memcpy(*copy, payload, len);
	fm_decode_factory(*copy, len, arena, decoded);
}

void
expect_bytes(const char *payload, size_t len, FmRejectReason expected,
			 const char *name)
{
	FmArena		arena;
	FmRejectReason reason;
	char		complaint[512] = "";
	char	   *copy = xmalloc(len > 0 ? len : 1);
	bool		agrees;

	memcpy(copy, payload, len);
	fm_arena_init(&arena);
	agrees = oracle_agrees(copy, len, &arena, &reason, complaint,
						   sizeof(complaint));
	ok(agrees && reason == expected, "%s: %s", name,
	   fm_reject_reason_name(expected));
	if (!agrees)
		printf("# %s\n", complaint);
	else if (reason != expected)
		printf("# got %s\n", fm_reject_reason_name(reason));
	fm_arena_free(&arena);
	free(copy);
}

void
expect(const char *payload, FmRejectReason expected)
{
	char		name[64];

	snprintf(name, sizeof(name), "%.60s", payload);
	name[strcspn(name, "\n\r#")] = '\0';
	expect_bytes(payload, strlen(payload), expected, name);
}

void
expect_with(const char *member, const char *value, FmRejectReason expected)
{
	char	   *message = message_with(member, value);
	char		name[100];

	snprintf(name, sizeof(name), "%s = %.70s", member, value);
	name[strcspn(name, "\n\r#")] = '\0';
	expect_bytes(message, strlen(message), expected, name);
	free(message);
}

char *
repeat(const char *text, int n)
{
	size_t		len = strlen(text);
	char	   *result = xmalloc(len * (size_t) n + 1);
	int			i;

	for (i = 0; i < n; i++)
		memcpy(result + len * (size_t) i, text, len);
	result[len * (size_t) n] = '\0';
	return result;
}

double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}
