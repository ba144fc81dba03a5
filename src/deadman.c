/*-------------------------------------------------------------------------
 *
 * deadman.c
 *	  When is a sensor silent, and when can nobody tell?
 *
 * A sensor may be quiet for so many of its intervals, and always for a least
 * time.  What counts is not how long ago its last reading came, but how long
 * before the frontier: silence is what was seen to be silent.  So an outage of
 * ours is no silence of theirs:
 *
 *	seen within the limit			active, or late, whatever the frontier is
 *	frontier older than the limit	unknown
 *	frontier - last seen > limit	silent
 *
 * Leaving unknown, everybody has one limit's time to report, because what was
 * sent meanwhile may have been lost with whatever was out of order: silence
 * counts from when one could see again.  An alarm that is up stays up until a
 * reading comes; while nobody can tell the state is unknown.
 *
 * Mass silence: one cause (a gateway, a switch, a line) silences many sensors
 * within one limit, and that is one alarm.  They do not fall silent at the same
 * moment, since each was last seen at another; but when the first of them is
 * silent the others are late already.  So the late ones count from then on, and
 * those whose own alarm was raised less than a limit ago, and nobody's alarm is
 * raised first.  It ends when a third of that share is left: what is silent then is
 * each sensor's own silence.  What is unknown meanwhile does not end it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "deadman.h"

/* a - b, where a may be FM_DEADMAN_NEVER: then less than anything. */
static int64_t
since(int64_t a, int64_t b)
{
	return a == FM_DEADMAN_NEVER ? INT64_MIN : a - b;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t
fm_deadman_limit(const FmDeadmanRules *rules, int64_t interval)
{
	if (interval <= 0)
		return 0;
	if (interval > INT64_MAX / 4 / rules->intervals)
		return INT64_MAX / 4;
	return later(interval * rules->intervals, rules->least);
}

FmDeadmanState
fm_deadman_judge(const FmDeadmanRules *rules, const FmDeadmanSensor *sensor,
				 int64_t now, int64_t *known_since)
{
	int64_t		limit = fm_deadman_limit(rules, sensor->interval);
	bool		known = sensor->frontier != FM_DEADMAN_NEVER &&
		now - sensor->frontier <= limit;

	if (!known)
		*known_since = FM_DEADMAN_NEVER;
	else if (*known_since == FM_DEADMAN_NEVER)
		*known_since = now;

	if (sensor->last_seen == FM_DEADMAN_NEVER || limit == 0)
		return FM_DEADMAN_EXPECTED;
	if (now - sensor->last_seen <= limit)
		return since(sensor->frontier, sensor->last_seen) > limit / 2 ?
			FM_DEADMAN_LATE : FM_DEADMAN_ACTIVE;
	if (!known)
		return FM_DEADMAN_UNKNOWN;
	if (sensor->raised)
		return FM_DEADMAN_SILENT;
	if (sensor->frontier - later(sensor->last_seen, *known_since) > limit)
		return FM_DEADMAN_SILENT;
	/* one limit's time to report, or the frontier is a moment behind */
	return *known_since > sensor->last_seen ? FM_DEADMAN_UNKNOWN :
		FM_DEADMAN_LATE;
}

bool
fm_deadman_is_certain(const FmDeadmanRules *rules,
					  const FmDeadmanSensor *sensor, int64_t known_since,
					  int64_t confirmed)
{
	return since(confirmed, later(sensor->last_seen, known_since)) >
		fm_deadman_limit(rules, sensor->interval);
}

bool
fm_deadman_is_mass(const FmDeadmanRules *rules, const FmDeadmanTally *tally,
				   bool mass)
{
	int64_t		watched = (int64_t) tally->active + tally->late +
		tally->silent + tally->unknown + tally->raised;
	int64_t		quiet = (int64_t) tally->silent + tally->late +
		tally->raised_lately;
	int64_t		missing = (int64_t) tally->silent + tally->unknown;

	if (mass)
		return missing * 100 * 3 > rules->mass_percent * watched;
	return tally->certain > 0 && quiet >= rules->mass_least &&
		quiet * 100 > rules->mass_percent * watched;
}
