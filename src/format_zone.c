/*-------------------------------------------------------------------------
 *
 * format_zone.c
 *	  Time zones for the decoder, which has none of its own.
 *
 * A time on the clocks of a zone is turned into UTC with the offset that holds
 * at the result.  Where clocks are set back a time comes twice, and the later
 * one is taken, which is standard time; where they are set forward some times
 * never come.  Far from such a change, which is nearly always, one offset
 * holds for days: it is remembered with the days around it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/memutils.h"

#include "format.h"

#define DAY SECS_PER_DAY

/* Seconds from 1970 to 2000. */
#define EPOCH_1970 \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

typedef struct Zone
{
	pg_tz	   *tz;
	/* local times in [from, to) are offset east of Greenwich */
	int64		from;
	int64		to;
	int64		offset;
} Zone;

static int64
offset_at(const Zone *zone, int64 utc)
{
	pg_time_t	at = utc + EPOCH_1970;
	struct pg_tm *tm = pg_localtime(&at, zone->tz);

	return tm ? tm->tm_gmtoff : 0;
}

static FmLocalTime
to_utc(void *opaque, int64_t local, int64_t *utc)
{
	Zone	   *zone = opaque;
	int64		before;
	int64		after;
	bool		before_holds;
	bool		after_holds;

	if (local >= zone->from && local < zone->to)
	{
		*utc = local - zone->offset;
		return FM_LOCAL_UNIQUE;
	}
	/* no offset is as long as a day, so two days hold what is within one */
	before = offset_at(zone, local - 3 * DAY);
	if (before == offset_at(zone, local + 3 * DAY) &&
		before == offset_at(zone, local - before))
	{
		zone->from = local - DAY;
		zone->to = local + DAY;
		zone->offset = before;
		*utc = local - before;
		return FM_LOCAL_UNIQUE;
	}
	before = offset_at(zone, local - DAY);
	after = offset_at(zone, local + DAY);
	before_holds = offset_at(zone, local - before) == before;
	after_holds = offset_at(zone, local - after) == after;
	*utc = local - (after_holds ? after : before);
	if (!before_holds && !after_holds)
		return FM_LOCAL_MISSING;
	if (!before_holds || !after_holds || before == after)
		return FM_LOCAL_UNIQUE;
	*utc = local - Min(before, after);
	return FM_LOCAL_AMBIGUOUS;
}

static int64_t
from_utc(void *opaque, int64_t utc)
{
	return utc + offset_at(opaque, utc);
}

static void *
find_zone(void *context, const char *name)
{
	pg_tz	   *tz = pg_tzset(name);
	Zone	   *zone;

	if (tz == NULL || !pg_tz_acceptable(tz))
		return NULL;
	zone = MemoryContextAllocZero((MemoryContext) context, sizeof(Zone));
	zone->tz = tz;
	return zone;
}

FmZones
fm_format_zones(MemoryContext context)
{
	FmZones		zones = {context, find_zone, to_utc, from_utc};

	return zones;
}
