/*
 * inject.h - anomalies put into readings on purpose, and their labels
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * What detectors are to find, so that it can be told how many they do.  Each
 * kind comes up so often that about the same share of readings is touched by
 * it; a sensor has one at a time.  All randomness is of streams that nothing
 * else draws from, so readings are the same with and without, but for what was
 * put in.
 *
 * A label is a line of JSON, written when its anomaly is over:
 *
 *	sensor_id
 *	kind			a name below
 *	reading_count	of the first reading concerned (gap: of the first number
 *					that never comes)
 *	last_count		of the last one
 *	from, to		event times of the first and the last reading concerned, as
 *					they were sent (gap: both of the reading behind it)
 */
#ifndef FM_INJECT_H
#define FM_INJECT_H

#include "sensor.h"

#include <stdio.h>

typedef struct FmInjected FmInjected;

typedef struct FmInject
{
	FmFleet    *fleet;
	double		share;			/* of readings, for each kind; 0: nothing */
	uint32_t	kinds;			/* a set */
	FILE	   *labels;			/* NULL: nowhere */
	bool		failed;			/* the file is incomplete */
	FmInjected *sensors;
} FmInject;

/* Names and explanations of the kinds, for --help; NULL behind the last. */
extern const char *fm_inject_name(int kind);
extern const char *fm_inject_help(int kind);

/* A set from "all" or a list of names; 0: a name is unknown. */
extern uint32_t fm_inject_parse(const char *names);

/* false with errno set: the file cannot be opened.  The path may be NULL. */
extern bool fm_inject_open(FmInject *inject, FmFleet *fleet, uint64_t seed,
						   double share, uint32_t kinds, const char *path);

/* Change a reading that the fleet has just made, and its event time. */
extern void fm_inject_apply(FmInject *inject, FmReading *reading,
							int64_t *at);

/* Label what is going on, too.  false: the file does not hold all labels. */
extern bool fm_inject_close(FmInject *inject);

#endif							/* FM_INJECT_H */
