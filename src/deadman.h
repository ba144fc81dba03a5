/*-------------------------------------------------------------------------
 *
 * deadman.h
 *	  When is a sensor silent, and when can nobody tell?
 *
 * This module is pure: it knows neither PostgreSQL nor librdkafka, allocates
 * nothing and asks nobody for the time.  The rules are explained at the top of
 * deadman.c.
 *
 * Vocabulary: the *frontier* of a partition is the time, on our clock, up to
 * which everything that was appended to it is known; that of a sensor is the
 * least of the partitions that it may come through.  Times are microseconds.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DEADMAN_H
#define FM_DEADMAN_H

#include <stdbool.h>
#include <stdint.h>

/* A time before all others: never. */
#define FM_DEADMAN_NEVER	INT64_MIN

typedef struct FmDeadmanRules
{
	int64_t		least;			/* nobody is silent sooner than this */
	int			intervals;		/* so many may be missed */
	int			mass_percent;	/* more of the watched sensors than this ... */
	int			mass_least;		/* ... and at least so many: mass silence */
} FmDeadmanRules;

typedef enum FmDeadmanState
{
	FM_DEADMAN_EXPECTED,		/* too little of it was seen to miss it */
	FM_DEADMAN_ACTIVE,
	FM_DEADMAN_LATE,			/* quiet for half the time that it may be */
	FM_DEADMAN_SILENT,
	FM_DEADMAN_UNKNOWN			/* nobody can tell */
} FmDeadmanState;

/* What is known of a sensor at a time. */
typedef struct FmDeadmanSensor
{
	int64_t		last_seen;		/* FM_DEADMAN_NEVER: not yet */
	int64_t		interval;		/* configured, else learned; 0: not known */
	int64_t		frontier;		/* FM_DEADMAN_NEVER: none at all */
	int64_t		known_since;	/* as the last judgement left it */
	bool		raised;			/* its alarm is up */
} FmDeadmanSensor;

/* How long it may be quiet.  0: it is not known how often it should report. */
extern int64_t fm_deadman_limit(const FmDeadmanRules *rules,
								int64_t interval);

/*
 * fm_deadman_judge
 *		What to think of a sensor now.
 *
 * Keeps in *known_since from when on the sensor could be seen without a break;
 * to be handed in again the next time, FM_DEADMAN_NEVER the first time.
 */
extern FmDeadmanState fm_deadman_judge(const FmDeadmanRules *rules,
									   const FmDeadmanSensor *sensor,
									   int64_t now, int64_t *known_since);

/*
 * Is the silence of a sensor judged silent beyond doubt, given a frontier that
 * the brokers themselves have confirmed?
 */
extern bool fm_deadman_is_certain(const FmDeadmanRules *rules,
								  const FmDeadmanSensor *sensor,
								  int64_t known_since, int64_t confirmed);

/* How the sensors of one pipeline are; each is counted once. */
typedef struct FmDeadmanTally
{
	int			active;
	int			late;
	int			silent;			/* no alarm of its own is up */
	int			certain;		/* of these, beyond doubt */
	int			unknown;		/* no alarm of its own is up */
	int			raised;			/* an alarm of its own is up ... */
	int			raised_lately;	/* ... of these, for less than its limit */
} FmDeadmanTally;

/*
 * fm_deadman_is_mass
 *		Is it the pipeline that is silent, rather than sensors of it?
 *
 * mass: whether it was so far.
 */
extern bool fm_deadman_is_mass(const FmDeadmanRules *rules,
							   const FmDeadmanTally *tally, bool mass);

#endif							/* FM_DEADMAN_H */
