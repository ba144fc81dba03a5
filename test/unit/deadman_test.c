/*-------------------------------------------------------------------------
 *
 * deadman_test.c
 *	  Scenarios of sensors that fall silent, and of our own outages, each with
 *	  what is to be thought of it written by hand beforehand.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "expect.h"
#include "../../src/deadman.h"

#define SECONDS		INT64_C(1000000)
#define NEVER		(-1)		/* of times in steps */

static const FmDeadmanRules rules = {30 * SECONDS, 5, 30, 5};

/* All in seconds. */
typedef struct Step
{
	int			at;
	int			seen;			/* NEVER: not yet */
	int			frontier;		/* NEVER: none */
	FmDeadmanState expected;
	bool		raised;			/* the alarm, afterwards */
} Step;

static const char *const names[] = {
	"expected", "active", "late", "silent", "unknown"
};

static int64_t
usecs(int seconds)
{
	return seconds == NEVER ? FM_DEADMAN_NEVER : seconds * SECONDS;
}

/* As the supervisor does it: raised when certain, returned when seen. */
static void
play(const char *name, double interval, const Step *steps, int n)
{
	FmDeadmanSensor sensor = {
		.interval = (int64_t) (interval * SECONDS),
		.known_since = FM_DEADMAN_NEVER
	};

	for (int i = 0; i < n; i++)
	{
		int64_t		now = usecs(steps[i].at);
		FmDeadmanState state;

		sensor.last_seen = usecs(steps[i].seen);
		sensor.frontier = usecs(steps[i].frontier);
		state = fm_deadman_judge(&rules, &sensor, now, &sensor.known_since);
		if (state == FM_DEADMAN_SILENT && !sensor.raised &&
			fm_deadman_is_certain(&rules, &sensor, sensor.known_since,
								  sensor.frontier))
			sensor.raised = true;
		else if (state == FM_DEADMAN_ACTIVE || state == FM_DEADMAN_LATE)
			sensor.raised = false;
		ok(state == steps[i].expected && sensor.raised == steps[i].raised,
		   "%s, at %d s: %s%s (is %s%s)", name, steps[i].at,
		   names[steps[i].expected], steps[i].raised ? ", raised" : "",
		   names[state], sensor.raised ? ", raised" : "");
	}
}

#define PLAY(name, interval, steps) \
	play(name, interval, steps, (int) (sizeof(steps) / sizeof(steps[0])))

/* Thirty seconds, or five intervals if that is more. */
static void
test_limits(void)
{
	ok(fm_deadman_limit(&rules, 3 * SECONDS) == 30 * SECONDS,
	   "three seconds between readings: the least limit");
	ok(fm_deadman_limit(&rules, 6 * SECONDS) == 30 * SECONDS,
	   "six seconds: it is the same");
	ok(fm_deadman_limit(&rules, 10 * SECONDS) == 50 * SECONDS,
	   "ten seconds: five intervals");
	ok(fm_deadman_limit(&rules, 0) == 0, "no interval: no limit");
	ok(fm_deadman_limit(&rules, INT64_MAX) > 0,
	   "an absurd interval gives a limit all the same");
}

static void
test_silence(void)
{
	static const Step goes_silent[] = {
		{100, 99, 100, FM_DEADMAN_ACTIVE, false},
		{114, 99, 114, FM_DEADMAN_ACTIVE, false},
		{115, 99, 115, FM_DEADMAN_LATE, false},
		{129, 99, 129, FM_DEADMAN_LATE, false},
		{130, 99, 130, FM_DEADMAN_UNKNOWN, false},	/* seen since 100 only */
		{131, 99, 131, FM_DEADMAN_SILENT, true},
		{900, 99, 900, FM_DEADMAN_SILENT, true},
		{901, 901, 901, FM_DEADMAN_ACTIVE, false}
	};
	static const Step slow[] = {
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		{140, 100, 140, FM_DEADMAN_LATE, false},
		{150, 100, 150, FM_DEADMAN_LATE, false},
		{151, 100, 151, FM_DEADMAN_SILENT, true}
	};
	static const Step behind[] = {
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		/* the frontier is five seconds behind: so is the alarm */
		{131, 100, 126, FM_DEADMAN_LATE, false},
		{135, 100, 130, FM_DEADMAN_LATE, false},
		{136, 100, 131, FM_DEADMAN_SILENT, true}
	};
	static const Step never[] = {
		{100, NEVER, 100, FM_DEADMAN_EXPECTED, false},
		{999, NEVER, 999, FM_DEADMAN_EXPECTED, false},
		{1000, 1000, 1000, FM_DEADMAN_ACTIVE, false}
	};
	static const Step unlearned[] = {
		{100, 100, 100, FM_DEADMAN_EXPECTED, false},
		{999, 100, 999, FM_DEADMAN_EXPECTED, false}
	};

	PLAY("goes silent", 3, goes_silent);
	PLAY("a slow one", 10, slow);
	PLAY("a frontier that is behind", 3, behind);
	PLAY("never seen", 3, never);
	PLAY("interval not known", 0, unlearned);
}

/* The interval may be configured anew at any time, also while it is quiet. */
static void
test_changed_interval(void)
{
	static const struct
	{
		int			at;
		int			interval;
		FmDeadmanState expected;
	}			steps[] = {
		{100, 0, FM_DEADMAN_EXPECTED},	/* its only reading */
		{101, 3, FM_DEADMAN_ACTIVE},	/* which is enough then */
		{120, 3, FM_DEADMAN_LATE},
		{132, 3, FM_DEADMAN_SILENT},
		{133, 100, FM_DEADMAN_ACTIVE},
		{400, 100, FM_DEADMAN_LATE},
		{401, 50, FM_DEADMAN_SILENT},
		{402, 0, FM_DEADMAN_EXPECTED},
		{403, 50, FM_DEADMAN_SILENT}
	};
	FmDeadmanSensor sensor = {
		.last_seen = 100 * SECONDS,
		.known_since = FM_DEADMAN_NEVER
	};

	for (int i = 0; i < (int) (sizeof(steps) / sizeof(steps[0])); i++)
	{
		FmDeadmanState state;

		sensor.frontier = steps[i].at * SECONDS;
		sensor.interval = steps[i].interval * SECONDS;
		state = fm_deadman_judge(&rules, &sensor, sensor.frontier,
								 &sensor.known_since);
		ok(state == steps[i].expected,
		   "quiet since 100 s, %d s between readings, at %d s: %s (is %s)",
		   steps[i].interval, steps[i].at, names[steps[i].expected],
		   names[state]);
	}
}

static void
test_outages(void)
{
	static const Step just_started[] = {
		/* it was last seen long ago, but nobody looked */
		{1000, 100, NEVER, FM_DEADMAN_UNKNOWN, false},
		{1001, 100, 1001, FM_DEADMAN_UNKNOWN, false},
		{1031, 100, 1031, FM_DEADMAN_UNKNOWN, false},
		{1032, 100, 1032, FM_DEADMAN_SILENT, true}
	};
	static const Step paused[] = {
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		/* nothing is fetched from here on */
		{120, 100, 100, FM_DEADMAN_ACTIVE, false},
		{131, 100, 100, FM_DEADMAN_UNKNOWN, false},
		{500, 100, 100, FM_DEADMAN_UNKNOWN, false},
		/* caught up: one limit's time to report */
		{501, 100, 501, FM_DEADMAN_UNKNOWN, false},
		{531, 100, 531, FM_DEADMAN_UNKNOWN, false},
		{532, 100, 532, FM_DEADMAN_SILENT, true}
	};
	static const Step resumed[] = {
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		{500, 100, 100, FM_DEADMAN_UNKNOWN, false},
		{501, 499, 501, FM_DEADMAN_ACTIVE, false},
		{528, 499, 528, FM_DEADMAN_LATE, false},
		{531, 499, 531, FM_DEADMAN_UNKNOWN, false},
		{532, 499, 532, FM_DEADMAN_SILENT, true}
	};
	static const Step short_pause[] = {
		/* shorter than the limit: silence is not interrupted */
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		{120, 100, 105, FM_DEADMAN_ACTIVE, false},
		{131, 100, 131, FM_DEADMAN_SILENT, true}
	};
	static const Step raised[] = {
		{100, 100, 100, FM_DEADMAN_ACTIVE, false},
		{131, 100, 131, FM_DEADMAN_SILENT, true},
		/* unconfirmed, and confirmed at once when one can see again */
		{300, 100, 131, FM_DEADMAN_UNKNOWN, true},
		{301, 100, 301, FM_DEADMAN_SILENT, true},
		{400, 100, 301, FM_DEADMAN_UNKNOWN, true},
		/* what it sent meanwhile is old by now; then it reports */
		{401, 350, 301, FM_DEADMAN_UNKNOWN, true},
		{402, 402, 301, FM_DEADMAN_ACTIVE, false}
	};

	PLAY("just started", 3, just_started);
	PLAY("paused", 3, paused);
	PLAY("resumed, and alive", 3, resumed);
	PLAY("a short pause", 3, short_pause);
	PLAY("raised before", 3, raised);
}

/* What brokers did not confirm is not certain. */
static void
test_certainty(void)
{
	FmDeadmanSensor sensor = {
		.last_seen = 100 * SECONDS,
		.interval = 3 * SECONDS,
		.frontier = 200 * SECONDS
	};

	ok(!fm_deadman_is_certain(&rules, &sensor, 50 * SECONDS,
							  FM_DEADMAN_NEVER),
	   "never confirmed: not certain");
	ok(!fm_deadman_is_certain(&rules, &sensor, 50 * SECONDS, 130 * SECONDS),
	   "confirmed up to the limit: not certain");
	ok(fm_deadman_is_certain(&rules, &sensor, 50 * SECONDS, 131 * SECONDS),
	   "confirmed beyond it: certain");
	ok(!fm_deadman_is_certain(&rules, &sensor, 120 * SECONDS, 131 * SECONDS),
	   "but not before there was time to report");
}

/* active, late, silent, certain, unknown, raised, lately; mass before, after */
typedef struct MassCase
{
	FmDeadmanTally tally;
	bool		before;
	bool		after;
	const char *name;
} MassCase;

static void
test_mass(void)
{
	static const MassCase cases[] = {
		{{99, 0, 1, 1, 0, 0, 0}, false, false, "one of a hundred"},
		{{0, 99, 1, 1, 0, 0, 0}, false, true, "one, and all others are late"},
		{{0, 100, 0, 0, 0, 0, 0}, false, false, "late alone raises nothing"},
		{{0, 99, 1, 0, 0, 0, 0}, false, false, "nor what is not certain"},
		{{70, 29, 1, 1, 0, 0, 0}, false, false, "thirty of a hundred"},
		{{69, 30, 1, 1, 0, 0, 0}, false, true, "thirty-one of a hundred"},
		{{0, 3, 1, 1, 0, 0, 0}, false, false, "four of four are few"},
		{{0, 4, 1, 1, 0, 0, 0}, false, true, "five of five are not"},
		{{60, 10, 5, 5, 0, 25, 0}, false, false,
		"alarms of long ago do not count"},
		{{60, 10, 5, 5, 0, 25, 20}, false, true,
		"those of this minute do"},
		{{60, 0, 5, 5, 35, 0, 0}, false, false,
		"what is unknown is not silent"},
		{{0, 0, 100, 100, 0, 0, 0}, true, true, "it goes on"},
		{{89, 0, 11, 11, 0, 0, 0}, true, true, "it goes on with eleven"},
		{{90, 0, 10, 10, 0, 0, 0}, true, false, "it ends with ten"},
		{{50, 0, 5, 5, 45, 0, 0}, true, true,
		"what is unknown does not end it"},
		{{60, 0, 10, 10, 0, 30, 0}, true, false,
		"those with an alarm of their own do not keep it up"},
		{{0, 0, 0, 0, 0, 0, 0}, true, false, "without sensors it ends"}
	};

	for (int i = 0; i < (int) (sizeof(cases) / sizeof(cases[0])); i++)
		ok(fm_deadman_is_mass(&rules, &cases[i].tally, cases[i].before) ==
		   cases[i].after, "mass silence: %s", cases[i].name);
}

int
main(void)
{
	test_limits();
	test_silence();
	test_changed_interval();
	test_outages();
	test_certainty();
	test_mass();
	return done_testing();
}
