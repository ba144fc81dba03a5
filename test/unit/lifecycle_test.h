/*-------------------------------------------------------------------------
 *
 * lifecycle_test.h
 *	  What the tests of the life of alarms share.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LIFECYCLE_TEST_H
#define FM_LIFECYCLE_TEST_H

#include "../../src/lifecycle.h"

#define SECONDS		INT64_C(1000000)

/* What may happen at a time. */
typedef enum Action
{
	READING,					/* a value */
	WITHIN,						/* a value, within a maintenance window */
	GAP,						/* a value, after a gap */
	LATE,						/* a value, too old to be judged */
	ACKNOWLEDGE,
	SHELVE,						/* timed: the value is for how many seconds */
	SHELVE_ONCE,				/* one shot, likewise */
	UNSHELVE,
	SUPPRESS,
	UNSUPPRESS,
	OUT_OF_SERVICE,
	IN_SERVICE,
	COMMENT,
	CLOSE,
	RETIRE,
	REINSTATE,
	MOVE
} Action;

/*
 * One event for people: kind, then
 *	!	it is announced		~	nobody hears of it		*	an alarm begins
 * then level and side (N, W+, C-), state (n, U, A, R), #seq.
 */
extern void event_text(const FmAlarmEvent *event, char *buf, int size);

/* All of them, separated by a blank. */
extern void events_text(const FmAlarmEvents *events, char *buf, int size);

/* Do it; at is in microseconds. */
extern void act(FmAlarm *alarm, const FmLimits *limits, Action action,
				double value, int64_t at, FmAlarmEvents *events);

/* lifecycle_random.c */
extern void random_sequences(int n);

#endif							/* FM_LIFECYCLE_TEST_H */
