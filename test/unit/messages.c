/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  The canonical message and variations of it, for tests.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"

static const char canonical[] = CANONICAL;

void *
xmalloc(size_t size)
{
	void	   *result = malloc(size);

	if (result == NULL)
		abort();
	return result;
}

/* Where a member of the canonical message begins, and where its value. */
static void
find_member(const char *member, const char **begin, const char **value,
			const char **end)
{
	char		key[64];
	const char *p;
	int			depth = 0;

	snprintf(key, sizeof(key), "\"%s\":", member);
	*begin = strstr(canonical, key);
	if (*begin == NULL)
		abort();
	*value = p = *begin + strlen(key);
	for (;; p++)
	{
		if (*p == '{')
			depth++;
		if (depth == 0 && (*p == ',' || *p == '}'))
			break;
		if (*p == '}')
			depth--;
	}
	*end = p;
}

char *
message_with(const char *member, const char *value)
{
	const char *begin;
	const char *old;
	const char *end;
	char	   *result = xmalloc(strlen(canonical) + strlen(value) + 1);

	find_member(member, &begin, &old, &end);
	sprintf(result, "%.*s%s%s", (int) (old - canonical), canonical, value,
			end);
	return result;
}

char *
message_without(const char *member)
{
	const char *begin;
	const char *value;
	const char *end;
	char	   *result = xmalloc(strlen(canonical) + 1);

	find_member(member, &begin, &value, &end);
	if (*end == ',')
		end++;
	else if (begin[-1] == ',')
		begin--;
	sprintf(result, "%.*s%s", (int) (begin - canonical), canonical, end);
	return result;
}
