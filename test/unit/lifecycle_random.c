/*-------------------------------------------------------------------------
 *
 * lifecycle_random.c
 *	  Random sequences of readings and requests against a model.
 *
 * The model keeps everything that ever happened and, for each reading, looks
 * back through it: how long has the value been there without a break?  It has
 * no timers, sees every reading, and follows the definitions in words, not the
 * code.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "lifecycle_test.h"

#define LENGTH	200				/* steps of a sequence */

typedef struct Seen
{
	int64_t		ts;
	int			level;			/* of the target */
	int			side;
	bool		gap;
	int			had_level;		/* of the alarm, when it came */
	int			had_side;
} Seen;

typedef struct Model
{
	Seen		seen[LENGTH];
	int			nseen;
	int			first;			/* runs do not reach back beyond this one */
	int64_t		raises[LENGTH];
	int			nraises;
	int			state;
	int			level;
	int			side;
	int			acknowledged;
	int			shown;			/* level when operators were called last */
	int64_t		called_at;
	bool		heard;			/* of an alarm that is not over */
	int			seq;
	int			shelving;
	int64_t		until;
	bool		suppressed;
	bool		out_of_service;
	bool		maintenance;
	bool		retired;
	bool		chattering;
	bool		ever;
	int64_t		since;
	int64_t		returned_at;
	int			late_side;
	FmAlarmEvents *out;
} Model;

static bool
blocked(const Model *m)
{
	return m->shelving || m->suppressed || m->out_of_service ||
		m->maintenance || m->retired;
}

/* calls and heard as the header of lifecycle.c has it. */
static void
say(Model *m, FmTransitionKind kind, bool begins, bool calls, bool heard,
	int64_t ts)
{
	FmAlarmEvent *event = &m->out->items[m->out->n++];

	event->kind = kind;
	event->begins = begins;
	event->announced = calls && !blocked(m);
	event->outgoing = heard || !blocked(m);
	event->level = m->level;
	event->side = m->side;
	event->state = m->state;
	event->seq = m->seq = begins ? 1 : m->seq + 1;
	if (event->outgoing)
		m->heard = m->state != FM_ALARM_NORMAL;
	if (event->announced)
	{
		m->shown = m->level;
		m->called_at = ts;
	}
}

static double
limit(const FmLimits *l, int level, int side)
{
	double		all[2][2] = {
		{l->warning_low, l->warning_high}, {l->critical_low, l->critical_high}
	};

	return all[level - 1][side == FM_SIDE_HIGH];
}

/* Beyond a limit by at least margin, in its direction. */
static bool
beyond(const FmLimits *l, int level, int side, double value, double margin)
{
	double		distance = value - limit(l, level, side);

	return (side == FM_SIDE_HIGH ? distance : -distance) >= margin;
}

static void
point(const Model *m, const FmLimits *l, double value, Seen *seen)
{
	seen->level = FM_LEVEL_NORMAL;
	seen->side = FM_SIDE_NONE;
	for (int level = 1; level <= 2; level++)
	{
		for (int side = 1; side <= 2; side++)
		{
			bool		there = m->side == side && m->level >= level;

			if (beyond(l, level, side, value, there ? -l->deadband : 0))
			{
				seen->level = level;
				seen->side = side;
			}
		}
	}
}

/* Since when was each reading at this level or worse, on this side? */
static int64_t
there_since(const Model *m, int level, int side)
{
	int64_t		since = FM_NEVER;

	for (int i = m->nseen - 1; i >= m->first; i--)
	{
		const Seen *seen = &m->seen[i];

		if (seen->side != side || seen->level < level)
			break;
		since = seen->ts;
		if (seen->gap)
			break;
	}
	return since;
}

/* Since when was each reading away from this level of the alarm that is? */
static int64_t
away_since(const Model *m, int level)
{
	int64_t		since = FM_NEVER;

	for (int i = m->nseen - 1; i >= m->first; i--)
	{
		const Seen *seen = &m->seen[i];

		if (seen->had_level < level || seen->had_side != m->side ||
			(seen->side == m->side && seen->level >= level))
			break;
		since = seen->ts;
		if (seen->gap)
			break;
	}
	return since;
}

static bool
long_enough(int64_t since, int64_t now, int64_t delay)
{
	return since != FM_NEVER && now >= since + delay;
}

static void
unshelve(Model *m, int64_t ts)
{
	m->shelving = FM_SHELVING_NONE;
	if (m->level > 0 && !blocked(m))
		m->state = m->acknowledged >= m->level ?
			FM_ALARM_ACTIVE_ACKNOWLEDGED : FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	say(m, FM_TRANSITION_UNSHELVED, false,
		m->state == FM_ALARM_ACTIVE_UNACKNOWLEDGED, true, ts);
}

static void
over(Model *m, FmTransitionKind kind)
{
	bool		something = m->state != FM_ALARM_NORMAL || m->heard;
	bool		heard = m->heard;

	m->chattering = false;
	m->state = FM_ALARM_NORMAL;
	m->level = m->side = 0;
	if (something)
		say(m, kind, false, false, heard, 0);
}

static void
raised(Model *m, int level, int side, int64_t ts)
{
	bool		begins = m->state == FM_ALARM_NORMAL && !m->heard;

	m->since = there_since(m, FM_LEVEL_WARNING, side);
	m->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	m->level = level;
	m->side = side;
	m->acknowledged = 0;
	m->ever = true;
	say(m, FM_TRANSITION_RAISED, begins, true, false, ts);
	m->raises[m->nraises++] = ts;
	if (!m->chattering && m->nraises >= 3 &&
		ts >= m->raises[m->nraises - 3] &&
		ts <= m->raises[m->nraises - 3] + 60 * SECONDS)
	{
		m->chattering = true;
		say(m, FM_TRANSITION_CHATTERING, false, false, false, ts);
	}
}

static void
returned(Model *m, const FmLimits *l, bool gives_way, int64_t ts)
{
	bool		waits = m->state == FM_ALARM_ACTIVE_UNACKNOWLEDGED &&
		!gives_way && l->wants_acknowledgement && !blocked(m);

	m->state = waits ? FM_ALARM_RETURNED_UNACKNOWLEDGED : FM_ALARM_NORMAL;
	m->level = m->side = 0;
	m->returned_at = ts;
	say(m, FM_TRANSITION_RETURNED, false, false, false, ts);
	if (m->shelving == FM_SHELVING_ONE_SHOT)
		unshelve(m, ts);
}

static bool
no_limit(const FmLimits *l, int side)
{
	return isnan(limit(l, 1, side)) && isnan(limit(l, 2, side));
}

static void
decide(Model *m, const FmLimits *l, int64_t ts)
{
	int			worst[3] = {0};	/* by side: worst level that held on */
	int			left = m->level;

	for (int side = 1; side <= 2; side++)
	{
		for (int level = 1; level <= 2; level++)
		{
			if (long_enough(there_since(m, level, side), ts, l->on_delay))
				worst[side] = level;
		}
	}
	while (left > 0 && long_enough(away_since(m, left), ts, l->off_delay))
		left--;

	if (m->level > 0 && worst[3 - m->side] > 0)
	{
		int			side = 3 - m->side;

		returned(m, l, true, ts);
		raised(m, worst[side], side, ts);
	}
	else if (m->level == 0 && (worst[1] > 0 || worst[2] > 0))
		raised(m, worst[1] + worst[2], worst[1] > 0 ? 1 : 2, ts);
	else if (m->level > 0 && worst[m->side] > m->level)
	{
		m->level = worst[m->side];
		m->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
		say(m, FM_TRANSITION_ESCALATED, false, true, false, ts);
	}
	else if (m->level > 0 && left == 0)
		returned(m, l, false, ts);
	else if (left < m->level)
	{
		m->level = left;
		if (m->acknowledged > left)
			m->acknowledged = left;
		say(m, FM_TRANSITION_DEESCALATED, false, false, false, ts);
	}
	else if (m->state == FM_ALARM_ACTIVE_ACKNOWLEDGED && l->re_alarm_after &&
			 !blocked(m) && ts >= m->called_at + l->re_alarm_after)
	{
		m->state = FM_ALARM_ACTIVE_UNACKNOWLEDGED;
		m->acknowledged = 0;
		say(m, FM_TRANSITION_RE_ALARMED, false, true, false, ts);
	}
}

static void
model_reading(Model *m, const FmLimits *l, double value, bool gap, int64_t ts)
{
	Seen	   *seen = &m->seen[m->nseen];

	if (m->chattering && (ts > m->raises[m->nraises - 1] + 60 * SECONDS ||
						  ts < m->raises[m->nraises - 1]))
	{
		m->chattering = false;
		say(m, FM_TRANSITION_SETTLED, false, false, false, ts);
	}
	if (m->shelving && ts >= m->until)
		unshelve(m, ts);
	if (m->state != FM_ALARM_NORMAL &&
		(m->side ? no_limit(l, m->side) : no_limit(l, 1) && no_limit(l, 2)))
	{
		over(m, FM_TRANSITION_DISABLED);
		m->first = m->nseen;
	}
	point(m, l, value, seen);
	seen->ts = ts;
	seen->gap = gap;
	seen->had_level = m->level;
	seen->had_side = m->side;
	m->nseen++;
	decide(m, l, ts);
}

static void
model_late(Model *m, const FmLimits *l, double value, int64_t ts)
{
	Seen		here = {0};
	Model		nothing = {0};
	bool		known_time = m->ever && ts >= m->since &&
		(m->level > 0 || ts <= m->returned_at);
	bool		goes_on;

	point(&nothing, l, value, &here);
	goes_on = here.side == m->late_side;
	m->late_side = here.side;
	if (here.level > 0 && !goes_on && !known_time)
	{
		FmAlarmEvent *event = &m->out->items[m->out->n++];

		event->kind = FM_TRANSITION_LATE_EXCURSION;
		event->begins = true;
		event->level = here.level;
		event->side = here.side;
		event->state = m->state;
		event->seq = 1;
	}
}

static void
unblock(Model *m, FmTransitionKind kind, int64_t ts)
{
	if (m->level > 0 && !blocked(m))
		m->state = m->acknowledged >= m->level ?
			FM_ALARM_ACTIVE_ACKNOWLEDGED : FM_ALARM_ACTIVE_UNACKNOWLEDGED;
	say(m, kind, false, m->state == FM_ALARM_ACTIVE_UNACKNOWLEDGED, true, ts);
}

/* A reading within a window, or not. */
static void
model_window(Model *m, bool within, int64_t ts)
{
	bool		was = m->maintenance;

	m->maintenance = within;
	if (was && !within)
		unblock(m, FM_TRANSITION_UNSUPPRESSED, ts);
	else if (within && !was && m->state != FM_ALARM_NORMAL)
		say(m, FM_TRANSITION_SUPPRESSED, false, false, true, ts);
}

static void
model_acknowledge(Model *m)
{
	if (m->state == FM_ALARM_NORMAL ||
		m->state == FM_ALARM_ACTIVE_ACKNOWLEDGED)
		return;
	m->acknowledged = m->shown;
	if (m->state == FM_ALARM_RETURNED_UNACKNOWLEDGED)
		m->state = FM_ALARM_NORMAL;
	else if (m->shown >= m->level)
		m->state = FM_ALARM_ACTIVE_ACKNOWLEDGED;
	say(m, FM_TRANSITION_ACKNOWLEDGED, false, false, false, 0);
}

static void
model_act(Model *m, const FmLimits *l, Action action, double value, int64_t at)
{
	if (m->retired &&
		(action == READING || action == WITHIN || action == GAP ||
		 action == LATE))
		return;
	switch (action)
	{
		case READING:
		case WITHIN:
		case GAP:
			model_window(m, action == WITHIN, at);
			model_reading(m, l, value, action == GAP, at);
			break;
		case LATE:
			model_late(m, l, value, at);
			break;
		case ACKNOWLEDGE:
			model_acknowledge(m);
			break;
		case SHELVE:
		case SHELVE_ONCE:
			m->shelving = action == SHELVE ? FM_SHELVING_TIMED :
				FM_SHELVING_ONE_SHOT;
			m->until = at + (int64_t) value * SECONDS;
			say(m, FM_TRANSITION_SHELVED, false, false, true, at);
			break;
		case UNSHELVE:
			if (m->shelving)
				unshelve(m, at);
			break;
		case SUPPRESS:
			if (!m->suppressed)
			{
				m->suppressed = true;
				say(m, FM_TRANSITION_SUPPRESSED, false, false, true, at);
			}
			break;
		case UNSUPPRESS:
			if (m->suppressed)
			{
				m->suppressed = false;
				unblock(m, FM_TRANSITION_UNSUPPRESSED, at);
			}
			break;
		case OUT_OF_SERVICE:
			if (!m->out_of_service)
			{
				m->out_of_service = true;
				say(m, FM_TRANSITION_OUT_OF_SERVICE, false, false, true, at);
			}
			break;
		case IN_SERVICE:
			if (m->out_of_service)
			{
				m->out_of_service = false;
				unblock(m, FM_TRANSITION_IN_SERVICE, at);
			}
			break;
		case COMMENT:
			say(m, FM_TRANSITION_COMMENTED, false, false, false, at);
			break;
		case CLOSE:
			over(m, FM_TRANSITION_CLOSED);
			m->first = m->nseen;
			break;
		case RETIRE:
			if (m->retired)
				break;
			m->chattering = false;
			m->state = FM_ALARM_NORMAL;
			m->level = m->side = m->late_side = 0;
			m->retired = true;
			say(m, FM_TRANSITION_CLOSED, false, false, true, at);
			m->first = m->nseen;
			break;
		case REINSTATE:
			if (m->retired)
			{
				m->retired = false;
				say(m, FM_TRANSITION_REINSTATED, false, false, true, at);
			}
			break;
		case MOVE:
			if (m->state == FM_ALARM_NORMAL && !m->heard && !m->shelving &&
				!m->suppressed && !m->out_of_service && !m->maintenance)
				break;
			m->chattering = m->suppressed = m->out_of_service = false;
			m->maintenance = false;
			m->shelving = m->level = m->side = 0;
			m->state = FM_ALARM_NORMAL;
			say(m, FM_TRANSITION_MOVED, false, false, true, at);
			m->first = m->nseen;
			break;
	}
	/* it blocks what is there, or what nothing else tells the end of */
	if (m->state == FM_ALARM_NORMAL &&
		(!m->heard || m->shelving || m->suppressed || m->out_of_service ||
		 m->retired))
		m->maintenance = false;
}

/* ------------------------------------------------------------------------
 * Sequences
 * ------------------------------------------------------------------------
 */

static uint64_t random_state;

/* 0 .. n - 1 (SplitMix64, Steele, Lea and Flood 2014) */
static int
below(int n)
{
	uint64_t	z = (random_state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (int) ((z ^ (z >> 31)) % n);
}

static FmLimits
random_limits(void)
{
	FmLimits	l = {
		.critical_low = 5, .warning_low = 10, .warning_high = 35,
		.critical_high = 40, .deadband = below(3) * 0.5,
		.on_delay = below(3) * 6 * SECONDS,
		.off_delay = below(3) * 15 * SECONDS,
		.re_alarm_after = below(3) * 120 * SECONDS,
		.severity = {500, 900}, .wants_acknowledgement = below(4) > 0
	};

	if (below(8) == 0)
		l.warning_high = NAN;
	if (below(8) == 0)
		l.critical_low = NAN;
	if (below(12) == 0)
		l.warning_high = l.critical_high = NAN;
	if (below(30) == 0)
		l.critical_low = l.warning_low = l.warning_high = l.critical_high =
			NAN;
	return l;
}

/* Values stay where they are for a while, as real ones do. */
static double
random_value(double before)
{
	static const double places[] = {
		3, 5, 5.5, 6, 9, 10, 10.5, 11, 20, 20, 20, 20, 20, 34, 34.5, 34.9,
		35, 36, 39, 39.5, 40, 45
	};

	return below(3) == 0 ? before :
		places[below(sizeof(places) / sizeof(places[0]))];
}

static Action
random_action(void)
{
	static const Action rare[] = {
		ACKNOWLEDGE, ACKNOWLEDGE, ACKNOWLEDGE, ACKNOWLEDGE, SHELVE,
		SHELVE_ONCE, UNSHELVE, SUPPRESS, UNSUPPRESS, UNSUPPRESS,
		OUT_OF_SERVICE, IN_SERVICE, IN_SERVICE, COMMENT, CLOSE, RETIRE,
		REINSTATE, REINSTATE, MOVE
	};

	switch (below(20))
	{
		case 0:
		case 1:
		case 2:
			return rare[below(sizeof(rare) / sizeof(rare[0]))];
		case 3:
			return LATE;
		case 4:
			return GAP;
		default:
			return READING;
	}
}

/* What must hold of any history, whatever the model says. */
static bool
is_legal(const FmAlarmEvents *events, FmLevel *level)
{
	for (int i = 0; i < events->n; i++)
	{
		const FmAlarmEvent *event = &events->items[i];

		if (event->kind == FM_TRANSITION_LATE_EXCURSION)
			continue;
		if (event->previous_level != *level ||
			(event->kind == FM_TRANSITION_RAISED &&
			 *level != FM_LEVEL_NORMAL) ||
			(event->kind == FM_TRANSITION_RETURNED &&
			 *level == FM_LEVEL_NORMAL))
			return false;
		*level = event->level;
	}
	return true;
}

/* Returns whether both agreed to the end. */
static bool
one_sequence(int number)
{
	FmLimits	limits;
	FmAlarm		alarm;
	Model	   *model = calloc(1, sizeof(Model));
	FmLevel		level = FM_LEVEL_NORMAL;
	int64_t		now = 86400 * SECONDS;
	double		value = 20;
	bool		same = true;

	if (model == NULL)
		abort();
	random_state = number;
	limits = random_limits();
	fm_alarm_init(&alarm, 1, 0);
	for (int i = 0; i < LENGTH && same; i++)
	{
		Action		action = random_action();
		FmAlarmEvents events = {0};
		FmAlarmEvents expected = {0};
		char		got[1000];
		char		want[1000];
		int64_t		at;

		if (below(40) == 0)
			limits = random_limits();
		if (action == READING && i / 20 % 3 == 1)
			action = WITHIN;
		now += (1 + below(12)) * SECONDS;
		/* runs begin anew also where the clock is set back */
		if (action == GAP && below(3) == 0)
			now -= below(300) * SECONDS;
		at = action == LATE ? now - below(100) * SECONDS : now;
		value = random_value(value);
		model->out = &expected;
		act(&alarm, &limits, action,
			action == SHELVE || action == SHELVE_ONCE ? below(100) : value,
			at, &events);
		model_act(model, &limits, action, alarm.shelved_until && (action == SHELVE ||
				  action == SHELVE_ONCE) ?
				  (alarm.shelved_until - at) / SECONDS : value, at);
		events_text(&events, got, sizeof(got));
		events_text(&expected, want, sizeof(want));
		same = strcmp(got, want) == 0 && is_legal(&events, &level);
		if (!same)
			printf("# sequence %d, step %d, action %d, value %g, %d s:\n"
				   "#   got:      %s\n#   expected: %s\n", number, i, action,
				   value, (int) (at / SECONDS), got, want);
	}
	free(model);
	return same;
}

void
random_sequences(int n)
{
	int			agreed = 0;

	for (int i = 1; i <= n && agreed == i - 1; i++)
		agreed += one_sequence(i);
	ok(agreed == n, "%d random sequences of %d steps go as the model says", n,
	   LENGTH);
}
