/*-------------------------------------------------------------------------
 *
 * mapping_zone.c
 *	  A time zone for tests of mapped formats; see mapping_test.h.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapping_test.h"

#define HOUR			3600

/* 2025-06-01 03:00 and 2025-10-01 03:00, from 2000-01-01. */
#define SKIPPED			INT64_C(802062000)
#define TWICE			INT64_C(812602800)

static void *
find_zone(void *context, const char *name)
{
	static int	zone;

	(void) context;
	return strcmp(name, "Test/East") == 0 ? &zone : NULL;
}

static FmLocalTime
to_utc(void *zone, int64_t local, int64_t *utc)
{
	(void) zone;
	*utc = local - TEST_ZONE_HOURS * HOUR;
	if (local >= SKIPPED && local < SKIPPED + HOUR)
		return FM_LOCAL_MISSING;
	return local >= TWICE && local < TWICE + HOUR ? FM_LOCAL_AMBIGUOUS :
		FM_LOCAL_UNIQUE;
}

static int64_t
from_utc(void *zone, int64_t utc)
{
	(void) zone;
	return utc + TEST_ZONE_HOURS * HOUR;
}

const FmZones test_zones = {NULL, find_zone, to_utc, from_utc};

FmFormat *
compile_or_die(const char *mapping, FmArena *arena)
{
	FmMappingError error;
	FmFormat   *format = fm_format_compile(mapping, strlen(mapping),
										   &test_zones, arena, &error);

	if (format != NULL)
		return format;
	fprintf(stderr, "%s: at \"%s\": %s\n", mapping, error.place, error.message);
	abort();
}
