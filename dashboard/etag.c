/*
 * etag.c - tags of what is served, and whether a client has it already
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "etag.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a, 64 bits: it has to notice changes, not to withstand anybody. */
void
fm_etag_make(char etag[FM_ETAG_LEN], const char *data, size_t len, bool weak)
{
	uint64_t	hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char) data[i]) * UINT64_C(1099511628211);
	snprintf(etag, FM_ETAG_LEN, "%s\"%016llx\"", weak ? "W/" : "",
			 (unsigned long long) hash);
}

bool
fm_etag_is_known(const char *etag, const char *if_none_match)
{
	const char *tag = strchr(etag, '"');
	const char *at = if_none_match;

	if (tag == NULL || at == NULL)
		return false;
	if (at[strspn(at, " \t")] == '*')
		return true;
	while ((at = strchr(at, '"')) != NULL)
	{
		const char *end = strchr(at + 1, '"');

		if (end == NULL)
			return false;
		end++;
		if ((size_t) (end - at) == strlen(tag) &&
			memcmp(at, tag, strlen(tag)) == 0)
			return true;
		at = end;
	}
	return false;
}
