/*-------------------------------------------------------------------------
 *
 * lifecycle.h
 *	  The life of one alarm: what readings, operators and the clock do to it.
 *
 * This module is pure: it knows neither PostgreSQL nor librdkafka, allocates
 * nothing and asks nobody for the time.  What happens is a function of the
 * alarm before and of the call.  Times are microseconds, of event time unless
 * said otherwise.
 *
 * An alarm here is one condition of one sensor as it came through one stream.
 * Its state, and the three facts that block it, are independent of each other
 * (OPC UA part 9, 4.8 and 5.8.2): a shelved alarm goes on being evaluated.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LIFECYCLE_H
#define FM_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "reading.h"

#define FM_NEVER	INT64_MIN	/* a time at which nothing was */

/* States of ISA-18.2; shown names in alarm.c. */
typedef enum FmAlarmState
{
	FM_ALARM_NORMAL = 0,
	FM_ALARM_ACTIVE_UNACKNOWLEDGED = 1,
	FM_ALARM_ACTIVE_ACKNOWLEDGED = 2,
	FM_ALARM_RETURNED_UNACKNOWLEDGED = 3
} FmAlarmState;

/* Stored by name; see alarm.c. */
typedef enum FmTransitionKind
{
	FM_TRANSITION_RAISED,
	FM_TRANSITION_ESCALATED,
	FM_TRANSITION_DEESCALATED,
	FM_TRANSITION_RETURNED,
	FM_TRANSITION_ACKNOWLEDGED,
	FM_TRANSITION_RE_ALARMED,
	FM_TRANSITION_SHELVED,
	FM_TRANSITION_UNSHELVED,
	FM_TRANSITION_SUPPRESSED,
	FM_TRANSITION_UNSUPPRESSED,
	FM_TRANSITION_OUT_OF_SERVICE,
	FM_TRANSITION_IN_SERVICE,
	FM_TRANSITION_COMMENTED,
	FM_TRANSITION_DISABLED,		/* its limits are gone */
	FM_TRANSITION_CLOSED,		/* its sensor was retired */
	FM_TRANSITION_REINSTATED,	/* its sensor is not retired any more */
	FM_TRANSITION_MOVED,		/* its sensor comes through another stream */
	FM_TRANSITION_CHATTERING,
	FM_TRANSITION_SETTLED,		/* chatters no more */
	FM_TRANSITION_LATE_EXCURSION,	/* history only */
	FM_TRANSITION_REFUSED		/* a request; history only */
} FmTransitionKind;

typedef enum FmShelving
{
	FM_SHELVING_NONE = 0,
	FM_SHELVING_ONE_SHOT = 1,	/* ends with the active phase, or in time */
	FM_SHELVING_TIMED = 2
} FmShelving;

/* What else can block an alarm; bits of FmAlarm.blocks. */
#define FM_BLOCK_SUPPRESSED		0x01	/* by design, by an operator */
#define FM_BLOCK_OUT_OF_SERVICE 0x02
#define FM_BLOCK_MAINTENANCE	0x04	/* within a maintenance window */
#define FM_BLOCK_RETIRED		0x08	/* its sensor is: see fm_alarm_retire() */

/*
 * What readings are judged by.  A limit that is NaN is none.  Limits are
 * reached by equality; they are left only by more than the deadband.
 */
typedef struct FmLimits
{
	double		critical_low;
	double		warning_low;
	double		warning_high;
	double		critical_high;
	double		deadband;		/* in the unit of the sensor, >= 0 */
	int64_t		on_delay;		/* >= 0; 0: at once */
	int64_t		off_delay;
	int64_t		re_alarm_after; /* since the announcement; 0: never */
	int16_t		severity[2];	/* warning, critical; 1-1000 as in OPC UA */
	bool		wants_acknowledgement;	/* also after it returned */
	bool		shelvable;
	int32_t		threshold_id;	/* 0: a built-in default or none at all */
	int32_t		version;		/* of that row; 0 likewise */

	/* no limit of values: the deadman's; microseconds, 0: as it is learned */
	int64_t		expected_interval;
} FmLimits;

/*
 * One alarm.  Times are FM_NEVER before there was any.  Written to disk as it is, so its members are ordered to leave
 * no padding and have fixed sizes.
 */
typedef struct FmAlarm
{
	int64_t		since;			/* first reading of the last excursion */
	int64_t		raised_at;		/* reading that raised it first */
	int64_t		returned_at;	/* reading that ended the last excursion */
	int64_t		announced_at;	/* event time when an operator was called last */

	/*
	 * First reading of each unbroken run that a delay is waiting for, or
	 * FM_NEVER; index 0 warning, 1 critical.  up: the target was on
	 * run_side, at this level or worse.  down: it was not on the alarm's
	 * side, at this level or worse (while the alarm is there).
	 */
	int64_t		up[2];
	int64_t		down[2];

	int64_t		last_raise[2];	/* the last one, and the one before it */
	int64_t		shelved_until;	/* by whoever shelved it */

	uint8_t		alarm_id[16];	/* from raise to close; zero before it */
	uint8_t		announced_id[16];	/* of its last announced event; or zero */
	int32_t		sensor_id;
	int32_t		seq;			/* of its last transition, from 1 */
	int32_t		re_alarms;		/* of this alarm */
	uint8_t		condition;
	uint8_t		state;			/* FmAlarmState */
	uint8_t		level;			/* FmLevel; normal unless active */
	uint8_t		side;
	uint8_t		run_side;		/* of up */
	uint8_t		acknowledged;	/* worst level acknowledged; normal: none */
	uint8_t		announced;		/* level of the last announcement */
	uint8_t		known;			/* consumers have heard of it, not of its end */
	uint8_t		shelving;		/* FmShelving */
	uint8_t		blocks;
	uint8_t		chattering;
	uint8_t		late_side;		/* of the late excursion going on */
} FmAlarm;

/* One transition: what the alarm was and what it is then. */
typedef struct FmAlarmEvent
{
	FmTransitionKind kind;
	bool		begins;			/* a new alarm: the caller makes its id */
	bool		announced;		/* it calls for an operator */
	bool		outgoing;		/* consumers hear of it */
	FmAlarmState previous_state;
	FmAlarmState state;
	FmLevel		previous_level;
	FmLevel		level;
	FmSide		previous_side;
	FmSide		side;
	FmShelving	shelving;
	uint8_t		blocks;
	int32_t		seq;
	int64_t		since;
	int64_t		raised_at;
} FmAlarmEvent;

/* One reading causes at most so many: suppressed or unsuppressed, settled,
 * unshelved, returned, unshelved, raised, chattering. */
#define FM_MAX_EVENTS	7

typedef struct FmAlarmEvents
{
	int			n;
	FmAlarmEvent items[FM_MAX_EVENTS];
} FmAlarmEvents;

/*
 * Where a reading points, relative to the alarm that it meets: its level
 * after the deadband.  Stored with the reading, so that delays that are
 * running can be found again whatever the limits are by then.
 */
typedef struct FmTarget
{
	FmLevel		level;
	FmSide		side;
	bool		gap;			/* nobody knows what was before it */
} FmTarget;

/* A sensor's alarm before anything happened. */
extern void fm_alarm_init(FmAlarm *alarm, int32_t sensor_id,
						  uint8_t condition);

/*
 * Must it see every reading?  If not, a reading whose own level is normal
 * changes nothing, and its target is that: normal.
 */
extern bool fm_alarm_is_hot(const FmAlarm *alarm);

/* Is nothing of it to be announced? */
extern bool fm_alarm_is_blocked(const FmAlarm *alarm);

/*
 * fm_alarm_judge
 *		Take in a reading that is neither late nor ahead of its time, and of
 *		a quality that counts.
 *
 * gap: it came after one in the readings.  Sets target; the transitions are
 * appended to events, at most FM_MAX_EVENTS.
 */
extern void fm_alarm_judge(FmAlarm *alarm, const FmLimits *limits,
						   double value, int64_t ts, bool gap,
						   FmTarget *target, FmAlarmEvents *events);

/*
 * Before a reading is judged: does it lie within a maintenance window?  An
 * alarm that is there is blocked, or not any more, by a transition.  One that
 * is not is blocked only in case the reading raises it, until
 * fm_alarm_maintained(), which is to be called after (and after whatever
 * operators do).
 */
extern void fm_alarm_maintain(FmAlarm *alarm, bool within, int64_t ts,
							  FmAlarmEvents *events);
extern void fm_alarm_maintained(FmAlarm *alarm);

/*
 * Take in a stored reading by its target: the delays that it began or ended.
 * (Transitions are stored on their own.)
 */
extern void fm_alarm_follow(FmAlarm *alarm, const FmTarget *target,
							int64_t ts);

/*
 * A reading too old to be judged: an event if it lies outside the limits at a
 * time that no excursion covers, once for each such run of late readings.
 */
extern void fm_alarm_judge_late(FmAlarm *alarm, FmLevel level, FmSide side,
								int64_t ts, FmAlarmEvents *events);

/* ---- operators; ts is the event time of the sensor's last reading ---- */

/* May it be acknowledged?  If not, why (a message for users). */
extern const char *fm_alarm_refusal(const FmAlarm *alarm);
extern void fm_alarm_acknowledge(FmAlarm *alarm, FmAlarmEvents *events);
extern void fm_alarm_shelve(FmAlarm *alarm, FmShelving shelving,
							int64_t until, FmAlarmEvents *events);
extern void fm_alarm_unshelve(FmAlarm *alarm, int64_t ts,
							  FmAlarmEvents *events);
/* Set or lift one of FM_BLOCK_*. */
extern void fm_alarm_block(FmAlarm *alarm, uint8_t block,
						   FmAlarmEvents *events);
extern void fm_alarm_unblock(FmAlarm *alarm, uint8_t block, int64_t ts,
							 FmAlarmEvents *events);
extern void fm_alarm_comment(FmAlarm *alarm, FmAlarmEvents *events);

/*
 * End it because its sensor is retired, and the end of that.  Readings of a
 * retired sensor go to none of its alarms: the caller sees to that.
 */
extern void fm_alarm_retire(FmAlarm *alarm, FmAlarmEvents *events);
extern void fm_alarm_reinstate(FmAlarm *alarm, FmAlarmEvents *events);

/*
 * It, and what blocks it, goes on in another stream.  (That its sensor is
 * retired stays true here.)  Only if there is anything of it.
 */
extern bool fm_alarm_can_move(const FmAlarm *alarm);
extern void fm_alarm_move(FmAlarm *alarm, FmAlarmEvents *events);

/* End it because its limits are gone.  Nothing if it is over. */
extern void fm_alarm_end(FmAlarm *alarm, FmTransitionKind kind,
						 FmAlarmEvents *events);

#endif							/* FM_LIFECYCLE_H */
