/*-------------------------------------------------------------------------
 *
 * lifecycle_test.c
 *	  Scenarios from the life of alarms, each with its history written by hand
 *	  beforehand.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "expect.h"
#include "lifecycle_test.h"

typedef struct Step
{
	int			at;				/* seconds */
	Action		action;
	double		value;
	const char *events;			/* as of event_text() */
} Step;

/* ------------------------------------------------------------------------
 * What the tests share
 * ------------------------------------------------------------------------
 */

void
event_text(const FmAlarmEvent *event, char *buf, int size)
{
	static const char *const kinds[] = {
		"raised", "escalated", "deescalated", "returned", "acknowledged",
		"re_alarmed", "shelved", "unshelved", "suppressed", "unsuppressed",
		"out_of_service", "in_service", "commented", "disabled", "closed",
		"reinstated",
		"moved", "chattering", "settled", "late_excursion", "refused"
	};

	snprintf(buf, size, "%s%s%s%s%c%s%c#%d", kinds[event->kind],
			 event->announced ? "!" : "", event->outgoing ? "" : "~",
			 event->begins ? "*" : "", "NWC"[event->level],
			 event->side == FM_SIDE_HIGH ? "+" :
			 event->side == FM_SIDE_LOW ? "-" : "",
			 "nUAR"[event->state], (int) event->seq);
}

void
events_text(const FmAlarmEvents *events, char *buf, int size)
{
	int			len = 0;

	buf[0] = '\0';
	for (int i = 0; i < events->n; i++)
	{
		char		text[100];

		event_text(&events->items[i], text, sizeof(text));
		len += snprintf(buf + len, size - len, "%s%s", i > 0 ? " " : "",
						text);
	}
}

/* As the server does it: what is neither hot nor outside is not looked at. */
static void
judge(FmAlarm *alarm, const FmLimits *limits, double value, int64_t at,
	  Action action, FmAlarmEvents *events)
{
	FmTarget	target;
	bool		outside = value >= limits->warning_high ||
		value >= limits->critical_high || value <= limits->warning_low ||
		value <= limits->critical_low;

	if ((!outside && !fm_alarm_is_hot(alarm)) ||
		(alarm->blocks & FM_BLOCK_RETIRED) != 0)
		return;
	fm_alarm_maintain(alarm, action == WITHIN, at, events);
	fm_alarm_judge(alarm, limits, value, at, action == GAP, &target, events);
	fm_alarm_maintained(alarm);
}

static void
judge_late(FmAlarm *alarm, const FmLimits *limits, double value, int64_t at,
		   FmAlarmEvents *events)
{
	FmLevel		level = FM_LEVEL_NORMAL;
	FmSide		side = FM_SIDE_NONE;

	if (alarm->blocks & FM_BLOCK_RETIRED)
		return;
	if (value >= limits->warning_high || value >= limits->critical_high)
	{
		level = value >= limits->critical_high ? FM_LEVEL_CRITICAL :
			FM_LEVEL_WARNING;
		side = FM_SIDE_HIGH;
	}
	else if (value <= limits->warning_low || value <= limits->critical_low)
	{
		level = value <= limits->critical_low ? FM_LEVEL_CRITICAL :
			FM_LEVEL_WARNING;
		side = FM_SIDE_LOW;
	}
	fm_alarm_judge_late(alarm, level, side, at, events);
}

void
act(FmAlarm *alarm, const FmLimits *limits, Action action, double value,
	int64_t at, FmAlarmEvents *events)
{
	switch (action)
	{
		case READING:
		case WITHIN:
		case GAP:
			judge(alarm, limits, value, at, action, events);
			break;
		case LATE:
			judge_late(alarm, limits, value, at, events);
			break;
		case ACKNOWLEDGE:
			if (fm_alarm_refusal(alarm) == NULL)
				fm_alarm_acknowledge(alarm, events);
			break;
		case SHELVE:
		case SHELVE_ONCE:
			fm_alarm_shelve(alarm, action == SHELVE ? FM_SHELVING_TIMED :
							FM_SHELVING_ONE_SHOT,
							at + (int64_t) value * SECONDS, events);
			break;
		case UNSHELVE:
			fm_alarm_unshelve(alarm, at, events);
			break;
		case SUPPRESS:
			fm_alarm_block(alarm, FM_BLOCK_SUPPRESSED, events);
			break;
		case UNSUPPRESS:
			fm_alarm_unblock(alarm, FM_BLOCK_SUPPRESSED, at, events);
			break;
		case OUT_OF_SERVICE:
			fm_alarm_block(alarm, FM_BLOCK_OUT_OF_SERVICE, events);
			break;
		case IN_SERVICE:
			fm_alarm_unblock(alarm, FM_BLOCK_OUT_OF_SERVICE, at, events);
			break;
		case COMMENT:
			fm_alarm_comment(alarm, events);
			break;
		case CLOSE:
			fm_alarm_end(alarm, FM_TRANSITION_CLOSED, events);
			break;
		case RETIRE:
			if (!(alarm->blocks & FM_BLOCK_RETIRED))
				fm_alarm_retire(alarm, events);
			break;
		case REINSTATE:
			if (alarm->blocks & FM_BLOCK_RETIRED)
				fm_alarm_reinstate(alarm, events);
			break;
		case MOVE:
			if (fm_alarm_can_move(alarm))
				fm_alarm_move(alarm, events);
			break;
	}
	fm_alarm_maintained(alarm);
}

static void
scenario_from(FmAlarm *alarm, const char *name, const FmLimits *limits,
			  const Step *steps, int nsteps)
{
	for (int i = 0; i < nsteps; i++)
	{
		const Step *step = &steps[i];
		FmAlarmEvents events = {0};
		char		text[1000];

		act(alarm, limits, step->action, step->value, step->at * SECONDS,
			&events);
		events_text(&events, text, sizeof(text));
		ok(strcmp(text, step->events) == 0, "%s, %d s: %s", name, step->at,
		   step->events[0] ? step->events : "nothing");
		if (strcmp(text, step->events) != 0)
			printf("#   got: %s\n", text);
	}
}

#define SCENARIO(name, limits, ...) \
	do { \
		static const Step steps_[] = {__VA_ARGS__}; \
		FmAlarm		alarm_; \
		fm_alarm_init(&alarm_, 1, 0); \
		scenario_from(&alarm_, name, limits, steps_, \
					  (int) (sizeof(steps_) / sizeof(steps_[0]))); \
	} while (0)

/* Temperature: 5/10/35/40, without delays unless said otherwise. */
static FmLimits
temperature(double deadband, int on_delay, int off_delay)
{
	FmLimits	limits = {
		.critical_low = 5, .warning_low = 10, .warning_high = 35,
		.critical_high = 40, .deadband = deadband,
		.on_delay = on_delay * SECONDS, .off_delay = off_delay * SECONDS,
		.severity = {500, 900}, .wants_acknowledgement = true,
		.shelvable = true
	};

	return limits;
}

/* ------------------------------------------------------------------------
 * Readings
 * ------------------------------------------------------------------------
 */

static void
test_levels(void)
{
	FmLimits	plain = temperature(0, 0, 0);
	FmLimits	forgiving = temperature(0, 0, 0);

	SCENARIO("one excursion", &plain,
			 {0, READING, 20, ""},
			 {3, READING, 35, "raised!*W+U#1"},
			 {6, READING, 36, ""},
			 {9, READING, 34.99, "returnedNR#2"},
			 {12, ACKNOWLEDGE, 0, "acknowledgedNn#3"},
			 {15, READING, 36, "raised!*W+U#1"});
	SCENARIO("escalation and back", &plain,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, ACKNOWLEDGE, 0, "acknowledgedW+A#2"},
			 {6, READING, 40, "escalated!C+U#3"},
			 {9, READING, 39, "deescalatedW+U#4"},
			 {12, ACKNOWLEDGE, 0, "acknowledgedW+A#5"},
			 {15, READING, 41, "escalated!C+U#6"},
			 {18, ACKNOWLEDGE, 0, "acknowledgedC+A#7"},
			 {21, READING, 20, "returnedNn#8"});
	SCENARIO("critical at once", &plain,
			 {0, READING, 4, "raised!*C-U#1"},
			 {3, READING, 7, "deescalatedW-U#2"},
			 {6, READING, 10.1, "returnedNR#3"});
	SCENARIO("the other side", &plain,
			 {0, READING, 41, "raised!*C+U#1"},
			 {3, READING, 2, "returnedNn#2 raised!*C-U#1"},
			 {6, READING, 20, "returnedNR#2"});
	SCENARIO("returned, not acknowledged, raised again", &plain,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, READING, 20, "returnedNR#2"},
			 {120, READING, 36, "raised!W+U#3"},
			 {123, ACKNOWLEDGE, 0, "acknowledgedW+A#4"},
			 {126, READING, 20, "returnedNn#5"},
			 {129, ACKNOWLEDGE, 0, ""});
	forgiving.wants_acknowledgement = false;
	SCENARIO("no acknowledgement wanted", &forgiving,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, READING, 20, "returnedNn#2"});
}

static void
test_deadband(void)
{
	FmLimits	limits = temperature(0.5, 0, 0);

	SCENARIO("deadband, high", &limits,
			 {0, READING, 34.9, ""},
			 {3, READING, 35, "raised!*W+U#1"},
			 {6, READING, 34.6, ""},
			 {9, READING, 34.5, ""},
			 {12, READING, 34.49, "returnedNR#2"},
			 {15, READING, 34.9, ""},
			 {18, READING, 40, "raised!C+U#3"},
			 {21, READING, 39.5, ""},
			 {24, READING, 39.4, "deescalatedW+U#4"},
			 {27, READING, 34.5, ""},
			 {30, READING, 34, "returnedNR#5"});
	SCENARIO("deadband, low", &limits,
			 {0, READING, 10, "raised!*W-U#1"},
			 {3, READING, 10.5, ""},
			 {6, READING, 10.51, "returnedNR#2"});
}

static void
test_delays(void)
{
	FmLimits	limits = temperature(0.5, 6, 30);
	FmLimits	alone = temperature(0.5, 6, 30);

	SCENARIO("on-delay", &limits,
			 {0, READING, 36, ""},
			 {3, READING, 36, ""},
			 {6, READING, 34, ""},
			 {9, READING, 36, ""},
			 {12, READING, 36, ""},
			 {15, READING, 36, "raised!*W+U#1"});
	SCENARIO("on-delay, each level its own", &limits,
			 {0, READING, 36, ""},
			 {3, READING, 41, ""},
			 {6, READING, 41, "raised!*W+U#1"},
			 {9, READING, 41, "escalated!C+U#2"});
	SCENARIO("on-delay, the worse level with the other", &limits,
			 {0, READING, 41, ""},
			 {6, READING, 41, "raised!*C+U#1"});
	SCENARIO("off-delay", &limits,
			 {0, READING, 36, ""},
			 {6, READING, 36, "raised!*W+U#1"},
			 {9, READING, 20, ""},
			 {36, READING, 34.8, ""},
			 {39, READING, 20, ""},
			 {68, READING, 20, ""},
			 {69, READING, 20, "returnedNR#2"});
	SCENARIO("off-delay, level by level", &limits,
			 {0, READING, 41, ""},
			 {6, READING, 41, "raised!*C+U#1"},
			 {10, READING, 37, ""},
			 {30, READING, 20, ""},
			 {40, READING, 20, "deescalatedW+U#2"},
			 {60, READING, 20, "returnedNR#3"});
	SCENARIO("the other side before the return", &limits,
			 {0, READING, 36, ""},
			 {6, READING, 36, "raised!*W+U#1"},
			 {9, READING, 4, ""},
			 {15, READING, 4, "returnedNn#2 raised!*C-U#1"});
	SCENARIO("a gap begins anew", &limits,
			 {0, READING, 36, ""},
			 {3, READING, 36, ""},
			 {100, GAP, 36, ""},
			 {103, READING, 36, ""},
			 {106, READING, 36, "raised!*W+U#1"},
			 {109, READING, 20, ""},
			 {200, GAP, 20, ""},
			 {230, READING, 20, "returnedNR#2"});
	SCENARIO("so does a clock that is set back", &limits,
			 {1000, READING, 36, ""},
			 {100, GAP, 36, ""},
			 {103, READING, 36, ""},
			 {106, READING, 36, "raised!*W+U#1"},
			 {109, READING, 20, ""},
			 {50, GAP, 20, ""},
			 {80, READING, 20, "returnedNR#2"});
	alone.warning_high = alone.warning_low = NAN;
	SCENARIO("critical limits only", &alone,
			 {0, READING, 39, ""},
			 {3, READING, 41, ""},
			 {9, READING, 41, "raised!*C+U#1"},
			 {12, READING, 39.5, ""},
			 {15, READING, 39, ""},
			 {45, READING, 39, "returnedNR#2"});
}

static void
test_re_alarm(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	limits.re_alarm_after = 600 * SECONDS;
	SCENARIO("re-alarm", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {700, READING, 36, ""},
			 {710, ACKNOWLEDGE, 0, "acknowledgedW+A#2"},
			 {713, READING, 36, "re_alarmed!W+U#3"},
			 {720, ACKNOWLEDGE, 0, "acknowledgedW+A#4"},
			 {1312, READING, 36, ""},
			 {1313, READING, 36, "re_alarmed!W+U#5"});
	SCENARIO("no re-alarm while blocked", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, ACKNOWLEDGE, 0, "acknowledgedW+A#2"},
			 {6, SUPPRESS, 0, "suppressedW+A#3"},
			 {700, READING, 36, ""},
			 {710, UNSUPPRESS, 0, "unsuppressedW+A#4"},
			 {713, READING, 36, "re_alarmed!W+U#5"});
}

static void
test_chatter(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("chatter", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {10, READING, 20, "returnedNR#2"},
			 {20, READING, 36, "raised!W+U#3"},
			 {30, READING, 20, "returnedNR#4"},
			 {60, READING, 36, "raised!W+U#5 chatteringW+U#6"},
			 {70, READING, 20, "returnedNR#7"},
			 {80, READING, 36, "raised!W+U#8"},
			 {90, READING, 20, "returnedNR#9"},
			 {140, READING, 20, ""},
			 {141, READING, 20, "settledNR#10"},
			 {144, READING, 20, ""});
	SCENARIO("not quite chatter", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {10, READING, 20, "returnedNR#2"},
			 {20, READING, 36, "raised!W+U#3"},
			 {30, READING, 20, "returnedNR#4"},
			 {61, READING, 36, "raised!W+U#5"});
	SCENARIO("a clock that is set back makes none", &limits,
			 {1000, READING, 36, "raised!*W+U#1"},
			 {1010, READING, 20, "returnedNR#2"},
			 {1020, READING, 36, "raised!W+U#3"},
			 {1030, READING, 20, "returnedNR#4"},
			 {100, GAP, 36, "raised!W+U#5"});
	SCENARIO("and ends it", &limits,
			 {1000, READING, 36, "raised!*W+U#1"},
			 {1010, READING, 20, "returnedNR#2"},
			 {1020, READING, 36, "raised!W+U#3"},
			 {1030, READING, 20, "returnedNR#4"},
			 {1040, READING, 36, "raised!W+U#5 chatteringW+U#6"},
			 {100, GAP, 36, "settledW+U#7"});
}

static void
test_late(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("late readings", &limits,
			 {100, READING, 36, "raised!*W+U#1"},
			 {200, READING, 20, "returnedNR#2"},
			 {150, LATE, 36, ""},
			 {160, LATE, 20, ""},
			 {50, LATE, 36, "late_excursion~*W+R#1"},
			 {53, LATE, 41, ""},
			 {56, LATE, 20, ""},
			 {59, LATE, 4, "late_excursion~*C-R#1"},
			 {210, READING, 36, "raised!W+U#3"},
			 {205, LATE, 36, "late_excursion~*W+U#1"},
			 {206, LATE, 20, ""},
			 {215, LATE, 36, ""});
}

/* ------------------------------------------------------------------------
 * Blocks
 * ------------------------------------------------------------------------
 */

static void
test_shelving(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("shelved while it returns", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SHELVE, 600, "shelvedW+U#2"},
			 {6, READING, 41, "escalated~C+U#3"},
			 {9, READING, 20, "returned~Nn#4"},
			 {12, READING, 20, ""},
			 {603, READING, 20, "unshelvedNn#5"},
			 {606, READING, 36, "raised!*W+U#1"});
	SCENARIO("shelved, raised, still there in the end", &limits,
			 {0, SHELVE, 600, "shelvedNn#1"},
			 {3, READING, 36, "raised~*W+U#1"},
			 {6, UNSHELVE, 0, "unshelved!W+U#2"},
			 {9, UNSHELVE, 0, ""},
			 {12, READING, 20, "returnedNR#3"});
	SCENARIO("what was acknowledged stays so", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, ACKNOWLEDGE, 0, "acknowledgedW+A#2"},
			 {6, SHELVE, 600, "shelvedW+A#3"},
			 {606, READING, 36, "unshelvedW+A#4"});
	SCENARIO("a worse level that nobody saw", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SHELVE, 600, "shelvedW+U#2"},
			 {6, READING, 41, "escalated~C+U#3"},
			 {9, ACKNOWLEDGE, 0, "acknowledged~C+U#4"},
			 {12, UNSHELVE, 0, "unshelved!C+U#5"},
			 {15, ACKNOWLEDGE, 0, "acknowledgedC+A#6"});
	SCENARIO("a second alarm while shelved is the first to consumers", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SHELVE, 600, "shelvedW+U#2"},
			 {6, READING, 20, "returned~Nn#3"},
			 {9, READING, 4, "raised~C-U#4"},
			 {12, UNSHELVE, 0, "unshelved!C-U#5"});
	SCENARIO("one shot", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SHELVE_ONCE, 600, "shelvedW+U#2"},
			 {6, READING, 20, "returned~Nn#3 unshelvedNn#4"},
			 {9, READING, 36, "raised!*W+U#1"},
			 {12, SHELVE_ONCE, 600, "shelvedW+U#2"},
			 {612, READING, 36, "unshelved!W+U#3"});
	SCENARIO("one shot and the other side", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SHELVE_ONCE, 600, "shelvedW+U#2"},
			 {6, READING, 4,
				 "returned~Nn#3 unshelvedNn#4 raised!*C-U#1"});
}

static void
test_blocks(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("two blocks", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, SUPPRESS, 0, "suppressedW+U#2"},
			 {4, SUPPRESS, 0, ""},
			 {6, OUT_OF_SERVICE, 0, "out_of_serviceW+U#3"},
			 {9, UNSUPPRESS, 0, "unsuppressedW+U#4"},
			 {12, READING, 41, "escalated~C+U#5"},
			 {15, IN_SERVICE, 0, "in_service!C+U#6"},
			 {16, IN_SERVICE, 0, ""});
	SCENARIO("returned before the block", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, READING, 20, "returnedNR#2"},
			 {6, OUT_OF_SERVICE, 0, "out_of_serviceNR#3"},
			 {9, ACKNOWLEDGE, 0, "acknowledged~Nn#4"},
			 {12, IN_SERVICE, 0, "in_serviceNn#5"},
			 {15, READING, 36, "raised!*W+U#1"});
	SCENARIO("comments", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, COMMENT, 0, "commentedW+U#2"},
			 {6, ACKNOWLEDGE, 0, "acknowledgedW+A#3"},
			 {9, SHELVE, 600, "shelvedW+A#4"},
			 {12, COMMENT, 0, "commented~W+A#5"});
}

static void
test_maintenance(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("raised within a window and still there", &limits,
			 {0, WITHIN, 20, ""},
			 {3, WITHIN, 36, "raised~*W+U#1"},
			 {6, WITHIN, 41, "escalated~C+U#2"},
			 {9, READING, 41, "unsuppressed!C+U#3"},
			 {12, READING, 41, ""},
			 {15, READING, 20, "returnedNR#4"});
	SCENARIO("raised and over within a window: nobody hears of it", &limits,
			 {0, WITHIN, 36, "raised~*W+U#1"},
			 {3, WITHIN, 20, "returned~Nn#2"},
			 {6, WITHIN, 20, ""},
			 {9, READING, 20, ""},
			 {12, READING, 36, "raised!*W+U#1"});
	SCENARIO("an alarm that was there before", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, WITHIN, 36, "suppressedW+U#2"},
			 {6, WITHIN, 41, "escalated~C+U#3"},
			 {9, READING, 41, "unsuppressed!C+U#4"});
	SCENARIO("one that is over when the window ends", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, WITHIN, 36, "suppressedW+U#2"},
			 {6, WITHIN, 20, "returned~Nn#3"},
			 {9, WITHIN, 36, "raised~W+U#4"},
			 {12, WITHIN, 20, "returned~Nn#5"},
			 {15, READING, 20, "unsuppressedNn#6"},
			 {18, READING, 20, ""});
	SCENARIO("acknowledged before: no second call", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, ACKNOWLEDGE, 0, "acknowledgedW+A#2"},
			 {6, WITHIN, 36, "suppressedW+A#3"},
			 {9, READING, 36, "unsuppressedW+A#4"});
	SCENARIO("shelved beyond the window", &limits,
			 {0, WITHIN, 36, "raised~*W+U#1"},
			 {3, SHELVE, 600, "shelvedW+U#2"},
			 {6, READING, 36, "unsuppressedW+U#3"},
			 {603, READING, 36, "unshelved!W+U#4"});
	SCENARIO("closed within a window", &limits,
			 {0, WITHIN, 36, "raised~*W+U#1"},
			 {3, CLOSE, 0, "closed~Nn#2"},
			 {6, READING, 20, ""});
}

static void
test_retirement(void)
{
	FmLimits	limits = temperature(0, 0, 0);

	SCENARIO("nothing is raised until it is back", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, RETIRE, 0, "closedNn#2"},
			 {6, READING, 41, ""},
			 {9, LATE, 41, ""},
			 {12, RETIRE, 0, ""},
			 {15, REINSTATE, 0, "reinstatedNn#3"},
			 {18, REINSTATE, 0, ""},
			 {21, READING, 41, "raised!*C+U#1"});
	SCENARIO("moved with all that blocks it", &limits,
			 {0, MOVE, 0, ""},
			 {3, READING, 36, "raised!*W+U#1"},
			 {6, SUPPRESS, 0, "suppressedW+U#2"},
			 {9, SHELVE, 600, "shelvedW+U#3"},
			 {12, MOVE, 0, "movedNn#4"},
			 {15, MOVE, 0, ""},
			 {18, READING, 36, "raised!*W+U#1"});
	SCENARIO("other blocks stay", &limits,
			 {0, OUT_OF_SERVICE, 0, "out_of_serviceNn#1"},
			 {3, RETIRE, 0, "closedNn#2"},
			 {6, REINSTATE, 0, "reinstatedNn#3"},
			 {9, READING, 36, "raised~*W+U#1"},
			 {12, IN_SERVICE, 0, "in_service!W+U#2"});
}

static void
test_ends(void)
{
	FmLimits	limits = temperature(0, 0, 0);
	FmLimits	none = temperature(0, 0, 0);
	FmLimits	low = temperature(0, 0, 0);
	FmAlarm		alarm;
	static const Step before[] = {
		{0, READING, 41, "raised!*C+U#1"}
	};
	static const Step gone[] = {
		{3, READING, 41, "disabledNn#2"},
		{6, READING, 41, ""}
	};
	static const Step moved[] = {
		{3, READING, 36, "deescalatedW+U#2"}
	};

	SCENARIO("retired", &limits,
			 {0, CLOSE, 0, ""},
			 {3, READING, 36, "raised!*W+U#1"},
			 {6, CLOSE, 0, "closedNn#2"},
			 {9, CLOSE, 0, ""});
	SCENARIO("retired while blocked: consumers hear of it", &limits,
			 {0, READING, 36, "raised!*W+U#1"},
			 {3, OUT_OF_SERVICE, 0, "out_of_serviceW+U#2"},
			 {6, READING, 20, "returned~Nn#3"},
			 {9, CLOSE, 0, "closedNn#4"},
			 {12, CLOSE, 0, ""});

	none.critical_low = none.warning_low = none.warning_high =
		none.critical_high = NAN;
	fm_alarm_init(&alarm, 1, 0);
	scenario_from(&alarm, "limits gone", &limits, before, 1);
	scenario_from(&alarm, "limits gone", &none, gone, 2);
	low.warning_high = low.critical_high = NAN;
	fm_alarm_init(&alarm, 1, 0);
	scenario_from(&alarm, "limits of that side gone", &limits, before, 1);
	scenario_from(&alarm, "limits of that side gone", &low, gone, 2);
	limits.critical_high = 45;
	none = temperature(0, 0, 0);
	fm_alarm_init(&alarm, 1, 0);
	scenario_from(&alarm, "limit moved", &none, before, 1);
	scenario_from(&alarm, "limit moved", &limits, moved, 1);
}

int
main(void)
{
	test_levels();
	test_deadband();
	test_delays();
	test_re_alarm();
	test_chatter();
	test_late();
	test_shelving();
	test_blocks();
	test_maintenance();
	test_retirement();
	test_ends();
	random_sequences(10000);
	return done_testing();
}
