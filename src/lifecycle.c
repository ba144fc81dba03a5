/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *	  The life of one alarm: what readings, operators and the clock do to it.
 *
 * A reading is turned into a target first: the level at which it lies, where
 * a level that the alarm has already is left only by more than the deadband.
 * Targets start and break runs, each with the time of its first reading:
 *
 *	up[l]	the target was on run_side at level l or worse;
 *	down[l] the alarm is at level l or worse, and the target was not (on its
 *			side, that is).
 *
 * A run that has lasted as long as the delay moves the alarm.  Per reading
 * one thing happens, the first of these that applies:
 *	1. the other side's run is due: returned, then raised as a new alarm;
 *	2. a worse level's run is due: raised, or escalated;
 *	3. a run down is due: deescalated, or returned;
 *	4. it was acknowledged too long ago: re-alarmed.
 *
 *		state	raise, worse	better		return		acknowledge	re-alarm
 *		NORM	ACT_U, new id	-			-			refused		-
 *		ACT_U	ACT_U			stays		RTN_U *		ACT_A		-
 *		ACT_A	ACT_U			stays		NORM		refused		ACT_U
 *		RTN_U	ACT_U, same id	-			-			NORM		-
 *
 *		(* NORM if its limits want no acknowledgement, or if it is blocked)
 *
 * The delays are of event time: a sensor that goes silent raises nothing here.
 * After a gap in the readings runs begin anew, because nobody knows what
 * happened in between; and when the clock was set back, because they would
 * begin in the future.
 *
 * Blocked alarms (shelved, suppressed, out of service, in a maintenance window)
 * go through all of it, but nobody hears of it, except of the block and its end.
 * Consumers must still be able to follow, so an alarm of which they have heard
 * keeps its id until they hear of its end (known): what is raised meanwhile is
 * taken for the same alarm, and the end of the block tells what became of it.
 *
 * Two things are told apart: an event is announced if it calls for an operator
 * (raised, escalated, re-alarmed, or found active when a block ends), and what is
 * acknowledged is the last of those; others, a return say, only go out.
 *
 * Sources: ANSI/ISA-18.2 (states, shelving, suppression, out of service), OPC
 * 10000-9 v1.05 (exclusive limit alarms 5.8.19, shelving 5.8.17-18, re-alarm
 * B.1.5); a limit is reached by equality and left by less than limit -
 * deadband, as in Rockwell's ALMA.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "lifecycle.h"

_Static_assert(sizeof(FmAlarm) == 144, "FmAlarm must have no padding");

/* Raises within so long are chatter, from the third on (microseconds). */
#define CHATTER_SPAN	INT64_C(60000000)

/* Index of a level that is not normal, in up, down and the like. */
#define INDEX(level)	((level) - FM_LEVEL_WARNING)

void
fm_alarm_init(FmAlarm *alarm, int32_t sensor_id, uint8_t condition)
{
	memset(alarm, 0, sizeof(*alarm));
	alarm->sensor_id = sensor_id;
	alarm->condition = condition;
	alarm->since = alarm->raised_at = alarm->returned_at = FM_NEVER;
	alarm->announced_at = alarm->shelved_until = FM_NEVER;
	for (int i = 0; i < 2; i++)
		alarm->up[i] = alarm->down[i] = alarm->last_raise[i] = FM_NEVER;
}

bool
fm_alarm_is_blocked(const FmAlarm *alarm)
{
	return alarm->shelving != FM_SHELVING_NONE || alarm->blocks != 0;
}

bool
fm_alarm_is_hot(const FmAlarm *alarm)
{
	return alarm->state != FM_ALARM_NORMAL ||
		alarm->up[0] != FM_NEVER || alarm->up[1] != FM_NEVER ||
		alarm->shelving != FM_SHELVING_NONE || alarm->chattering ||
		(alarm->blocks & FM_BLOCK_MAINTENANCE) != 0;
}

static bool
is_active(const FmAlarm *alarm)
{
	return alarm->level != FM_LEVEL_NORMAL;
}

/* ------------------------------------------------------------------------
 * Transitions
 * ------------------------------------------------------------------------
 */

/*
 * Begin an event: what was.  (Whoever changes the alarm calls this before and
 * finish_event() after.)
 */
static FmAlarmEvent *
begin_event(const FmAlarm *alarm, FmTransitionKind kind,
			FmAlarmEvents *events)
{
	FmAlarmEvent *event = &events->items[events->n++];

	memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->previous_state = alarm->state;
	event->previous_level = alarm->level;
	event->previous_side = alarm->side;
	return event;
}

/*
 * The alarm is now what the event makes of it.  calls: an operator is to look
 * at it now.  heard: consumers hear of it even while it is blocked.
 */
static void
finish_event(FmAlarm *alarm, FmAlarmEvent *event, bool calls, bool heard,
			 int64_t ts)
{
	bool		blocked = fm_alarm_is_blocked(alarm);

	event->announced = calls && !blocked;
	event->outgoing = heard || !blocked;
	event->state = alarm->state;
	event->level = alarm->level;
	event->side = alarm->side;
	event->shelving = alarm->shelving;
	event->blocks = alarm->blocks;
	event->since = alarm->since;
	event->raised_at = alarm->raised_at;
	event->seq = ++alarm->seq;
	if (event->outgoing)
		alarm->known = alarm->state != FM_ALARM_NORMAL;
	if (event->announced)
	{
		alarm->announced = alarm->level;
		alarm->announced_at = ts;
	}
}

/* What calls for an operator, unless it is blocked. */
static void
finish_call(FmAlarm *alarm, FmAlarmEvent *event, int64_t ts)
{
	finish_event(alarm, event, true, false, ts);
}

/* What consumers hear of, unless it is blocked, and nobody has to look at. */
static void
finish_notice(FmAlarm *alarm, FmAlarmEvent *event)
{
	finish_event(alarm, event, false, false, 0);
}

static void
forget_runs(FmAlarm *alarm)
{
	for (int i = 0; i < 2; i++)
		alarm->up[i] = alarm->down[i] = FM_NEVER;
}

/* A new level, after which runs down are counted from the present on. */
static void
set_level(FmAlarm *alarm, FmLevel level, FmSide side)
{
	alarm->level = level;
	alarm->side = side;
	for (int i = 0; i < 2; i++)
	{
		if ((int) level < FM_LEVEL_WARNING + i)
			alarm->down[i] = FM_NEVER;
	}
}

static void
raise_alarm(FmAlarm *alarm, FmLevel level, FmSide side, int64_t ts,
			FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_RAISED, events);

	if (alarm->state == FM_ALARM_NORMAL && !alarm->known)
	{
		event->begins = true;
		alarm->seq = 0;
		alarm->re_alarms = 0;
		alarm->raised_at = ts;
	}
	alarm->acknowledged = FM_LEVEL_NORMAL;
	alarm->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	alarm->since = alarm->up[0];
	set_level(alarm, level, side);
	finish_call(alarm, event, ts);

	/* the clock may have been set back since */
	if (!alarm->chattering && alarm->last_raise[1] != FM_NEVER &&
		ts >= alarm->last_raise[1] &&
		ts - alarm->last_raise[1] <= CHATTER_SPAN)
	{
		event = begin_event(alarm, FM_TRANSITION_CHATTERING, events);
		alarm->chattering = true;
		finish_notice(alarm, event);
	}
	alarm->last_raise[1] = alarm->last_raise[0];
	alarm->last_raise[0] = ts;
}

/* The end of a block: what became of the alarm meanwhile is heard now. */
static void
finish_unblocked(FmAlarm *alarm, FmAlarmEvent *event, int64_t ts)
{
	if (is_active(alarm) && !fm_alarm_is_blocked(alarm))
		alarm->state = alarm->acknowledged >= alarm->level ?
			FM_ALARM_ACTIVE_ACKNOWLEDGED : FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	finish_event(alarm, event,
				 alarm->state == FM_ALARM_ACTIVE_UNACKNOWLEDGED, true, ts);
}

static void
unshelve(FmAlarm *alarm, int64_t ts, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_UNSHELVED, events);

	alarm->shelving = FM_SHELVING_NONE;
	alarm->shelved_until = FM_NEVER;
	finish_unblocked(alarm, event, ts);
}

/* replaced: the next moment it is raised on the other side. */
static void
return_alarm(FmAlarm *alarm, const FmLimits *limits, bool replaced, int64_t ts,
			 FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_RETURNED, events);

	if (alarm->state == FM_ALARM_ACTIVE_ACKNOWLEDGED || replaced ||
		!limits->wants_acknowledgement || fm_alarm_is_blocked(alarm))
		alarm->state = FM_ALARM_NORMAL;
	else
		alarm->state = FM_ALARM_RETURNED_UNACKNOWLEDGED;
	alarm->returned_at = ts;
	set_level(alarm, FM_LEVEL_NORMAL, FM_SIDE_NONE);
	finish_notice(alarm, event);
	if (alarm->shelving == FM_SHELVING_ONE_SHOT)
		unshelve(alarm, ts, events);
}

static void
change_level(FmAlarm *alarm, FmTransitionKind kind, FmLevel level, int64_t ts,
			 FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, kind, events);

	if (kind == FM_TRANSITION_ESCALATED)
		alarm->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	set_level(alarm, level, alarm->side);
	if (alarm->acknowledged > level)
		alarm->acknowledged = level;
	finish_event(alarm, event, kind == FM_TRANSITION_ESCALATED, false, ts);
}

void
fm_alarm_end(FmAlarm *alarm, FmTransitionKind kind, FmAlarmEvents *events)
{
	FmAlarmEvent *event;

	forget_runs(alarm);
	alarm->chattering = false;
	if (alarm->state == FM_ALARM_NORMAL && !alarm->known)
		return;
	event = begin_event(alarm, kind, events);
	alarm->state = FM_ALARM_NORMAL;
	set_level(alarm, FM_LEVEL_NORMAL, FM_SIDE_NONE);
	/* blocked or not, consumers do not keep what is over */
	finish_event(alarm, event, false, alarm->known, 0);
}

/* Recorded also where there is nothing to end, because it blocks. */
void
fm_alarm_retire(FmAlarm *alarm, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_CLOSED, events);

	forget_runs(alarm);
	alarm->chattering = false;
	alarm->late_side = FM_SIDE_NONE;
	alarm->state = FM_ALARM_NORMAL;
	set_level(alarm, FM_LEVEL_NORMAL, FM_SIDE_NONE);
	alarm->blocks |= FM_BLOCK_RETIRED;
	finish_event(alarm, event, false, true, 0);
}

bool
fm_alarm_can_move(const FmAlarm *alarm)
{
	return alarm->state != FM_ALARM_NORMAL || alarm->known ||
		alarm->shelving != FM_SHELVING_NONE ||
		(alarm->blocks & ~FM_BLOCK_RETIRED) != 0;
}

void
fm_alarm_move(FmAlarm *alarm, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_MOVED, events);

	forget_runs(alarm);
	alarm->chattering = false;
	alarm->state = FM_ALARM_NORMAL;
	set_level(alarm, FM_LEVEL_NORMAL, FM_SIDE_NONE);
	alarm->shelving = FM_SHELVING_NONE;
	alarm->shelved_until = FM_NEVER;
	alarm->blocks &= FM_BLOCK_RETIRED;
	finish_event(alarm, event, false, true, 0);
}

void
fm_alarm_reinstate(FmAlarm *alarm, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_REINSTATED,
									  events);

	alarm->blocks &= ~FM_BLOCK_RETIRED;
	finish_event(alarm, event, false, true, 0);
}

/* ------------------------------------------------------------------------
 * Readings
 * ------------------------------------------------------------------------
 */

static double
limit_of(const FmLimits *limits, FmLevel level, FmSide side)
{
	if (level == FM_LEVEL_CRITICAL)
		return side == FM_SIDE_HIGH ? limits->critical_high :
			limits->critical_low;
	return side == FM_SIDE_HIGH ? limits->warning_high : limits->warning_low;
}

/* Not left: false where there is no such limit. */
static bool
is_held(const FmLimits *limits, FmLevel level, FmSide side, double value)
{
	double		limit = limit_of(limits, level, side);

	return side == FM_SIDE_HIGH ? value >= limit - limits->deadband :
		value <= limit + limits->deadband;
}

static bool
is_reached(const FmLimits *limits, FmLevel level, FmSide side, double value)
{
	double		limit = limit_of(limits, level, side);

	return side == FM_SIDE_HIGH ? value >= limit : value <= limit;
}

static void
find_target(const FmAlarm *alarm, const FmLimits *limits, double value,
			FmTarget *target)
{
	static const FmSide sides[] = {FM_SIDE_HIGH, FM_SIDE_LOW};

	for (int level = FM_LEVEL_CRITICAL; level >= FM_LEVEL_WARNING; level--)
	{
		for (int i = 0; i < 2; i++)
		{
			bool		had = alarm->side == sides[i] &&
				alarm->level >= level;

			if (had ? is_held(limits, level, sides[i], value) :
				is_reached(limits, level, sides[i], value))
			{
				target->level = level;
				target->side = sides[i];
				return;
			}
		}
	}
	target->level = FM_LEVEL_NORMAL;
	target->side = FM_SIDE_NONE;
}

/* Start or break one run. */
static void
follow_run(int64_t *run, bool goes_on, int64_t ts)
{
	if (!goes_on)
		*run = FM_NEVER;
	else if (*run == FM_NEVER)
		*run = ts;
}

void
fm_alarm_follow(FmAlarm *alarm, const FmTarget *target, int64_t ts)
{
	if (target->gap)
		forget_runs(alarm);
	if (target->level != FM_LEVEL_NORMAL && target->side != alarm->run_side)
	{
		alarm->up[0] = alarm->up[1] = FM_NEVER;
		alarm->run_side = target->side;
	}
	for (int i = 0; i < 2; i++)
	{
		FmLevel		level = FM_LEVEL_WARNING + i;

		follow_run(&alarm->up[i], target->level >= level, ts);
		follow_run(&alarm->down[i], alarm->level >= level &&
				   (target->side != alarm->side || target->level < level),
				   ts);
	}
}

static bool
is_due(int64_t run, int64_t delay, int64_t ts)
{
	return run != FM_NEVER && ts - run >= delay;
}

/* Worst level whose run up is due; normal: none. */
static FmLevel
level_due(const FmAlarm *alarm, const FmLimits *limits, int64_t ts)
{
	for (int i = 1; i >= 0; i--)
	{
		if (is_due(alarm->up[i], limits->on_delay, ts))
			return FM_LEVEL_WARNING + i;
	}
	return FM_LEVEL_NORMAL;
}

/* What is left of the alarm's level after the runs down that are due. */
static FmLevel
level_left(const FmAlarm *alarm, const FmLimits *limits, int64_t ts)
{
	FmLevel		level = alarm->level;

	while (level > FM_LEVEL_NORMAL &&
		   is_due(alarm->down[INDEX(level)], limits->off_delay, ts))
		level--;
	return level;
}

/* No limit is left that could hold or return it. */
static bool
is_disabled(const FmAlarm *alarm, const FmLimits *limits)
{
	bool		low = !isnan(limits->critical_low) ||
		!isnan(limits->warning_low);
	bool		high = !isnan(limits->critical_high) ||
		!isnan(limits->warning_high);

	if (alarm->side == FM_SIDE_HIGH)
		return !high;
	if (alarm->side == FM_SIDE_LOW)
		return !low;
	return !low && !high;
}

static void
move(FmAlarm *alarm, const FmLimits *limits, int64_t ts,
	 FmAlarmEvents *events)
{
	FmLevel		due = level_due(alarm, limits, ts);
	FmLevel		left = level_left(alarm, limits, ts);

	if (due != FM_LEVEL_NORMAL && is_active(alarm) &&
		alarm->run_side != alarm->side)
	{
		return_alarm(alarm, limits, true, ts, events);
		raise_alarm(alarm, due, alarm->run_side, ts, events);
	}
	else if (due > alarm->level)
	{
		if (is_active(alarm))
			change_level(alarm, FM_TRANSITION_ESCALATED, due, ts, events);
		else
			raise_alarm(alarm, due, alarm->run_side, ts, events);
	}
	else if (left == FM_LEVEL_NORMAL && is_active(alarm))
		return_alarm(alarm, limits, false, ts, events);
	else if (left < alarm->level)
		change_level(alarm, FM_TRANSITION_DEESCALATED, left, ts, events);
	else if (alarm->state == FM_ALARM_ACTIVE_ACKNOWLEDGED &&
			 limits->re_alarm_after > 0 && !fm_alarm_is_blocked(alarm) &&
			 ts - alarm->announced_at >= limits->re_alarm_after)
	{
		FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_RE_ALARMED,
										  events);

		alarm->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
		alarm->acknowledged = FM_LEVEL_NORMAL;
		alarm->re_alarms++;
		finish_call(alarm, event, ts);
	}
}

void
fm_alarm_judge(FmAlarm *alarm, const FmLimits *limits, double value,
			   int64_t ts, bool gap, FmTarget *target, FmAlarmEvents *events)
{
	if (alarm->chattering && (ts < alarm->last_raise[0] ||
							  ts - alarm->last_raise[0] > CHATTER_SPAN))
	{
		FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_SETTLED,
										  events);

		alarm->chattering = false;
		finish_notice(alarm, event);
	}
	if (alarm->shelving != FM_SHELVING_NONE && ts >= alarm->shelved_until)
		unshelve(alarm, ts, events);
	if (alarm->state != FM_ALARM_NORMAL && is_disabled(alarm, limits))
		fm_alarm_end(alarm, FM_TRANSITION_DISABLED, events);

	find_target(alarm, limits, value, target);
	target->gap = gap;
	fm_alarm_follow(alarm, target, ts);
	move(alarm, limits, ts, events);
}

void
fm_alarm_maintain(FmAlarm *alarm, bool within, int64_t ts,
				  FmAlarmEvents *events)
{
	if (!within)
		fm_alarm_unblock(alarm, FM_BLOCK_MAINTENANCE, ts, events);
	else if (alarm->state != FM_ALARM_NORMAL)
		fm_alarm_block(alarm, FM_BLOCK_MAINTENANCE, events);
	else
		alarm->blocks |= FM_BLOCK_MAINTENANCE;
}

/*
 * A normal alarm waits for the end of a window only if nobody else will tell
 * consumers that it is over: the end of another block would.
 */
void
fm_alarm_maintained(FmAlarm *alarm)
{
	uint8_t		others = alarm->blocks & ~FM_BLOCK_MAINTENANCE;

	if (alarm->state == FM_ALARM_NORMAL &&
		(!alarm->known || others != 0 ||
		 alarm->shelving != FM_SHELVING_NONE))
		alarm->blocks = others;
}

void
fm_alarm_judge_late(FmAlarm *alarm, FmLevel level, FmSide side, int64_t ts,
					FmAlarmEvents *events)
{
	FmAlarmEvent *event;
	bool		covered;

	if (level == FM_LEVEL_NORMAL || side == (FmSide) alarm->late_side)
	{
		alarm->late_side = side;
		return;
	}
	alarm->late_side = side;
	covered = alarm->raised_at != FM_NEVER && ts >= alarm->since &&
		(is_active(alarm) || ts <= alarm->returned_at);
	if (covered)
		return;

	/* not one of the alarm's own transitions: it has an id of its own */
	event = begin_event(alarm, FM_TRANSITION_LATE_EXCURSION, events);
	event->begins = true;
	event->state = event->previous_state;
	event->level = level;
	event->side = side;
	event->shelving = alarm->shelving;
	event->blocks = alarm->blocks;
	event->since = ts;
	event->raised_at = ts;
	event->seq = 1;
}

/* ------------------------------------------------------------------------
 * Operators
 * ------------------------------------------------------------------------
 */

const char *
fm_alarm_refusal(const FmAlarm *alarm)
{
	switch ((FmAlarmState) alarm->state)
	{
		case FM_ALARM_ACTIVE_UNACKNOWLEDGED:
		case FM_ALARM_RETURNED_UNACKNOWLEDGED:
			return NULL;
		case FM_ALARM_ACTIVE_ACKNOWLEDGED:
			return "the alarm is acknowledged already";
		case FM_ALARM_NORMAL:
			break;
	}
	return "there is nothing to acknowledge";
}

/*
 * What was announced last is what the operator has seen; a worse level that
 * came since, while the alarm was blocked, stays unacknowledged.
 */
void
fm_alarm_acknowledge(FmAlarm *alarm, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_ACKNOWLEDGED,
									  events);

	alarm->acknowledged = alarm->announced;
	if (!is_active(alarm))
		alarm->state = FM_ALARM_NORMAL;
	else if (alarm->acknowledged >= alarm->level)
		alarm->state = FM_ALARM_ACTIVE_ACKNOWLEDGED;
	finish_notice(alarm, event);
}

void
fm_alarm_shelve(FmAlarm *alarm, FmShelving shelving, int64_t until,
				FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_SHELVED, events);

	alarm->shelving = shelving;
	alarm->shelved_until = until;
	finish_event(alarm, event, false, true, 0);
}

void
fm_alarm_unshelve(FmAlarm *alarm, int64_t ts, FmAlarmEvents *events)
{
	if (alarm->shelving != FM_SHELVING_NONE)
		unshelve(alarm, ts, events);
}

static FmTransitionKind
block_kind(uint8_t block, bool set)
{
	if (block == FM_BLOCK_OUT_OF_SERVICE)
		return set ? FM_TRANSITION_OUT_OF_SERVICE : FM_TRANSITION_IN_SERVICE;
	return set ? FM_TRANSITION_SUPPRESSED : FM_TRANSITION_UNSUPPRESSED;
}

void
fm_alarm_block(FmAlarm *alarm, uint8_t block, FmAlarmEvents *events)
{
	FmAlarmEvent *event;

	if (alarm->blocks & block)
		return;
	event = begin_event(alarm, block_kind(block, true), events);
	alarm->blocks |= block;
	finish_event(alarm, event, false, true, 0);
}

void
fm_alarm_unblock(FmAlarm *alarm, uint8_t block, int64_t ts,
				 FmAlarmEvents *events)
{
	FmAlarmEvent *event;

	if (!(alarm->blocks & block))
		return;
	event = begin_event(alarm, block_kind(block, false), events);
	alarm->blocks &= ~block;
	finish_unblocked(alarm, event, ts);
}

void
fm_alarm_comment(FmAlarm *alarm, FmAlarmEvents *events)
{
	FmAlarmEvent *event = begin_event(alarm, FM_TRANSITION_COMMENTED, events);

	finish_notice(alarm, event);
}
