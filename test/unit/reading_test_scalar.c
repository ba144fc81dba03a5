/*-------------------------------------------------------------------------
 *
 * reading_test_scalar.c
 *	  Numbers and timestamps, there and back.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expect.h"
#include "messages.h"
#include "oracle.h"
#include "reading_test.h"

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------
 */

static uint64_t
next_random(void)
{
	static uint64_t state = UINT64_C(88172645463325252);

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Any finite double comes back, from a text that is JSON. */
static void
test_formats(void)
{
	static const double special[] = {
		0.0, -0.0, 1.0, 0.1, 1e16, 1e17, 123456789012345678.0, 1e-5, 1e-6,
		5e-324, DBL_MIN, DBL_MAX, 1e23, 9007199254740993.0, 0.1 + 0.2
	};
	int			wrong = 0;
	int			i;

	for (i = 0; i < 50000; i++)
	{
		char		text[FM_NUMBER_BUFFER];
		char		expected[64];
		union
		{
			uint64_t	bits;
			double		value;
		}			any;
		int			precision = 1;

		if (i < (int) (sizeof(special) / sizeof(special[0])))
			any.value = special[i];
		else
			any.bits = next_random();
		if (!isfinite(any.value))
			continue;
		if (fm_format_double(any.value, text) != (int) strlen(text) ||
			strlen(text) >= sizeof(text) ||
			strtod(text, NULL) != any.value)
			wrong++;
		/* no text of fewer digits does (one of few million may) */
		do
			sprintf(expected, "%.*e", precision++ - 1, any.value);
		while (strtod(expected, NULL) != any.value);
		if (strtod(expected, NULL) != strtod(text, NULL))
			wrong++;
	}
	ok(wrong == 0, "doubles come back from their shortest form");
}

static void
test_format_texts(void)
{
	static const struct
	{
		double		value;
		const char *text;
	}			cases[] =
	{
		{0.0, "0"}, {-0.0, "-0"}, {1, "1"}, {-1.5, "-1.5"}, {100, "100"},
		{0.001, "0.001"}, {0.00001, "0.00001"}, {0.000001, "1e-6"},
		{12345678901234567, "12345678901234568"}, {1e17, "1e17"},
		{1.5e300, "1.5e300"}, {5e-324, "5e-324"}, {42.48, "42.48"},
		{1e23, "1e23"}, {DBL_MAX, "1.7976931348623157e308"},
		{2.2250738585072014e-308, "2.2250738585072014e-308"}
	};
	char		text[FM_NUMBER_BUFFER];
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		fm_format_double(cases[i].value, text);
		ok(strcmp(text, cases[i].text) == 0, "%s is written %s",
		   cases[i].text, text);
	}
	fm_format_float(0.95f, text);
	ok(strcmp(text, "0.95") == 0, "0.95 is written %s", text);
	fm_format_float(0.1f + 0.2f, text);
	ok(strcmp(text, "0.3") == 0 || strcmp(text, "0.30000001") == 0,
	   "the float sum of 0.1 and 0.2 is written %s", text);
}

/* Does the oracle object to a message with this number? */
static bool
number_differs(const char *member, const char *number)
{
	char	   *message = message_with(member, number);
	FmArena		arena;
	char		complaint[512];
	FmRejectReason reason;
	bool		agrees;

	fm_arena_init(&arena);
	agrees = oracle_agrees(message, strlen(message), &arena, &reason,
						   complaint, sizeof(complaint));
	if (!agrees)
		printf("# %s = %s: %s\n", member, number, complaint);
	fm_arena_free(&arena);
	free(message);
	return !agrees;
}

/* Messages with any number give the nearest double, and are rebuilt. */
static void
test_rounding(void)
{
	static const char *const hard[] = {
		"9007199254740993", "9007199254740992.9999999999999999999",
		"9007199254740993.00000000000000000000000000000000000001",
		"1.00000000000000011102230246251565404236316680908203125",
		"1.00000000000000011102230246251565404236316680908203124",
		"1.00000000000000011102230246251565404236316680908203126",
		"2.2250738585072011e-308", "2.4703282292062327e-324",
		"2.4703282292062328e-324", "179769313486231580793e289",
		"0.000000000000000000000000000000000000000000000000000000001e57",
		"123456789012345678901234567890e-30", "8.5e22", "1e22", "1e23",
		"3e-5", "4.35", "0.000001", "1.7976931348623157e+308"
	};
	char		text[64];
	char	   *zeros = repeat("0", 900);
	char	   *just_above = xmalloc(1000);
	int			wrong = 0;
	size_t		i;

	for (i = 0; i < sizeof(hard) / sizeof(hard[0]); i++)
		wrong += number_differs("value", hard[i]);
	sprintf(just_above,
			"1.00000000000000011102230246251565404236316680908203125%s1",
			zeros);
	wrong += number_differs("value", just_above);
	for (i = 0; i < 15000; i++)
	{
		sprintf(text, "%.*e", (int) (next_random() % 20),
				ldexp((double) (int64_t) next_random(),
					  (int) (next_random() % 2000) - 1063));
		wrong += number_differs("value", text);
		sprintf(text, "%.*f", (int) (next_random() % 14),
				(double) next_random() / 18446744073709551616.0);
		wrong += number_differs("quality", text);
	}
	free(zeros);
	free(just_above);
	ok(wrong == 0, "decimal numbers give the nearest double or float");
}

/* ------------------------------------------------------------------------
 * Timestamps
 * ------------------------------------------------------------------------
 */

static void
test_timestamp_texts(void)
{
	static const struct
	{
		const char *text;
		int64_t		ts;
		int			digits;		/* -1: refused */
	}			cases[] =
	{
		{"2000-01-01T00:00:00Z", 0, 0},
		{"2000-01-01T00:00:00.0Z", 0, 1},
		{"1999-12-31T23:59:59.999999Z", -1, 6},
		{"2000-01-01T00:00:00.0000019Z", 1, FM_TS_TEXT},
		{"1999-12-31T23:59:60Z", 0, FM_TS_TEXT},
		{"2000-01-01T05:29:60.5+05:30", 500000, FM_TS_TEXT},
		{"2000-01-01T00:00:00z", 0, FM_TS_TEXT},
		{"2000-01-01t00:00:00Z", 0, FM_TS_TEXT},
		{"2000-01-01T00:00:00+00:00", 0, FM_TS_TEXT},
		{"2000-01-01T00:00:00-00:00", 0, FM_TS_TEXT},
		{"2000-01-01T01:00:00+01:00", 0, FM_TS_TEXT},
		{"1999-12-31T00:01:00-23:59", 0, FM_TS_TEXT},
		{"2000-02-29T00:00:00Z", INT64_C(5097600000000), 0},
		{"0001-01-01T00:00:00Z", INT64_C(-63082281600000000), 0},
		{"9999-12-31T23:59:59.999999Z", INT64_C(252455615999999999), 6},
		{"0001-01-01T00:00:00+00:01", 0, -1},
		{"9999-12-31T23:59:59-00:01", 0, -1},
		{"9999-12-31T23:59:60Z", 0, -1},
		{"0000-12-31T23:59:59Z", 0, -1},
		{"2000-01-01 00:00:00Z", 0, -1},
		{"2000-01-01T00:00:00", 0, -1},
		{"2000-01-01T00:00Z", 0, -1},
		{"2000-01-01", 0, -1},
		{"", 0, -1},
		{"2000-13-01T00:00:00Z", 0, -1},
		{"2000-00-01T00:00:00Z", 0, -1},
		{"2000-01-00T00:00:00Z", 0, -1},
		{"2000-04-31T00:00:00Z", 0, -1},
		{"2001-02-29T00:00:00Z", 0, -1},
		{"1900-02-29T00:00:00Z", 0, -1},
		{"1800-02-29T00:00:00Z", 0, -1},
		{"1600-02-29T00:00:00Z", INT64_C(-12617683200000000), 0},
		{"2000-01-01T24:00:00Z", 0, -1},
		{"2000-01-01T00:60:00Z", 0, -1},
		{"2000-01-01T00:00:60Z", 0, -1},
		{"2000-01-01T23:59:60Z", 0, -1},
		{"2000-01-01T00:00:61Z", 0, -1},
		{"2000-01-01T00:00:00.Z", 0, -1},
		{"2000-01-01T00:00:00,5Z", 0, -1},
		{"2000-01-01T00:00:00+24:00", 0, -1},
		{"2000-01-01T00:00:00+00:60", 0, -1},
		{"2000-01-01T00:00:00+0000", 0, -1},
		{"2000-01-01T00:00:00+00", 0, -1},
		{"2000-01-01T00:00:00Z ", 0, -1},
		{" 2000-01-01T00:00:00Z", 0, -1},
		{"2000-01-01T00:00:00ZZ", 0, -1},
		{"2000-1-1T00:00:00Z", 0, -1},
		{"+2000-01-01T00:00:00Z", 0, -1},
		{"20000-01-01T00:00:00Z", 0, -1}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int64_t		ts = -12345;
		int			digits = -12345;
		bool		valid = fm_parse_rfc3339(cases[i].text,
											 (int) strlen(cases[i].text),
											 &ts, &digits);
		char		value[64];

		ok(cases[i].digits < 0 ? !valid :
		   valid && ts == cases[i].ts && digits == cases[i].digits,
		   "timestamp %s", cases[i].text);
		sprintf(value, "\"%s\"", cases[i].text);
		expect_with("timestamp", value, cases[i].digits < 0 ?
					FM_REJECT_INVALID_TIMESTAMP : FM_REJECT_NONE);
	}
}

/* Every fifth day of the calendar, at random times, there and back. */
static void
test_timestamp_range(void)
{
	int64_t		first = INT64_C(-63082281600000000);
	int64_t		last = INT64_C(252455615999999999);
	int64_t		day = INT64_C(86400000000);
	int64_t		ts;
	int			wrong = 0;
	char		text[32];

	for (ts = first; ts <= last; ts += 5 * day)
	{
		int64_t		time = ts + (int64_t) (next_random() % (uint64_t) day);
		int64_t		back;
		int			digits;
		int			len = fm_format_rfc3339(time, 6, text);
		struct tm	tm;
		time_t		seconds = (time_t) ((ts - first) / 1000000 -
										INT64_C(62135596800));
		char		date[40];

		gmtime_r(&seconds, &tm);
		snprintf(date, sizeof(date), "%04d-%02d-%02d", tm.tm_year + 1900,
				 tm.tm_mon + 1, tm.tm_mday);
		if (len != 27 || memcmp(text, date, 10) != 0 ||
			!fm_parse_rfc3339(text, len, &back, &digits) ||
			back != time || digits != 6)
			wrong++;
	}
	ok(wrong == 0, "days from year 1 to 9999 there and back");
	ok(fm_format_rfc3339(first - 1, 0, text) == 0 &&
	   fm_format_rfc3339(last + 1, 0, text) == 0 &&
	   fm_format_rfc3339(INT64_MIN, 0, text) == 0 &&
	   fm_format_rfc3339(INT64_MAX, 0, text) == 0,
	   "years beyond that are not written");
	fm_format_rfc3339(123456, 3, text);
	ok(strcmp(text, "2000-01-01T00:00:00.123Z") == 0, "%s", text);
}

void
test_scalars(void)
{
	test_formats();
	test_format_texts();
	test_rounding();
	test_timestamp_texts();
	test_timestamp_range();
}
