/*-------------------------------------------------------------------------
 *
 * reading_test.c
 *	  What the decoder does, case by case.
 *
 * Prints TAP.  The SQL test decode.sql shows the same rules from the outside;
 * here are the ones that SQL cannot show (bytes, memory, time) and the parts
 * below a message.  This file has the members of a message and what is around
 * it; reading_test_json.c and reading_test_scalar.c the rest.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "messages.h"
#include "oracle.h"
#include "reading_test.h"

/* ------------------------------------------------------------------------
 * Members
 * ------------------------------------------------------------------------
 */

static void
test_members(void)
{
	static const char *const types[] = {
		"null", "true", "1", "\"x\"", "[]", "{}"
	};
	static const char *const members[] = {
		"timestamp", "sensor_id", "sensor_type", "location",
		"factory_section", "machine_id", "zone", "value", "unit",
		"alert_level", "quality", "metadata", "reading_count",
		"warning_threshold", "critical_threshold"
	};
	FmArena		arena;
	FmRejectReason reason;
	char		complaint[512];
	size_t		i;
	size_t		j;

	expect(CANONICAL, FM_REJECT_NONE);
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		char	   *message = message_without(members[i]);

		fm_arena_init(&arena);
		ok(oracle_agrees(message, strlen(message), &arena, &reason,
						 complaint, sizeof(complaint)) &&
		   reason == (i < 9 ? FM_REJECT_MISSING_MEMBER : FM_REJECT_NONE),
		   "without %s", members[i]);
		free(message);
		for (j = 0; j < sizeof(types) / sizeof(types[0]); j++)
		{
			message = message_with(members[i], types[j]);
			ok(oracle_agrees(message, strlen(message), &arena, &reason,
							 complaint, sizeof(complaint)),
			   "%s = %s: %s", members[i], types[j],
			   fm_reject_reason_name(reason));
			free(message);
		}
		fm_arena_free(&arena);
	}
	expect_with("quality", "1.0000000000000000000001",
				FM_REJECT_VALUE_OUT_OF_RANGE);
	expect_with("quality", "-1e-300", FM_REJECT_VALUE_OUT_OF_RANGE);
	expect_with("quality", "-0.0", FM_REJECT_NONE);
	expect_with("quality", "10e-1", FM_REJECT_NONE);
	expect_with("quality", "11e-1", FM_REJECT_VALUE_OUT_OF_RANGE);
	expect_with("reading_count", "14.0", FM_REJECT_NONE);
	expect_with("reading_count", "1.4e1", FM_REJECT_NONE);
	expect_with("reading_count", "-0", FM_REJECT_NONE);
	expect_with("reading_count", "14.5", FM_REJECT_WRONG_TYPE);
	expect_with("reading_count", "-1.5", FM_REJECT_WRONG_TYPE);
	expect_with("reading_count", "-1", FM_REJECT_VALUE_OUT_OF_RANGE);
	expect_with("reading_count", "2147483648", FM_REJECT_NONE);
	expect_with("reading_count", "1e300", FM_REJECT_NONE);
	expect_with("value", "1e309", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect_with("sensor_id", "\"\"", FM_REJECT_EMPTY_STRING);
	expect_with("sensor_type", "\"\"", FM_REJECT_EMPTY_STRING);
	expect_with("unit", "\"\"", FM_REJECT_NONE);
	expect_with("zone", "\"\"", FM_REJECT_NONE);
	expect_with("alert_level", "\"\"", FM_REJECT_NONE);
}

static void
test_lengths(void)
{
	static const struct
	{
		const char *member;
		int			max;
	}			limits[] =
	{
		{"sensor_id", 255}, {"sensor_type", 63}, {"factory_section", 255},
		{"machine_id", 255}, {"zone", 255}, {"unit", 63}, {"alert_level", 63}
	};
	size_t		i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
	{
		char	   *text = repeat("x", limits[i].max + 1);
		char		value[600];

		sprintf(value, "\"%.*s\"", limits[i].max, text);
		expect_with(limits[i].member, value, FM_REJECT_NONE);
		sprintf(value, "\"%s\"", text);
		expect_with(limits[i].member, value, FM_REJECT_TOO_LONG);
		/* escapes are counted as what they stand for */
		sprintf(value, "\"\\u0041%.*s\"", limits[i].max - 1, text);
		expect_with(limits[i].member, value, FM_REJECT_NONE);
		sprintf(value, "\"\\u20AC%.*s\"", limits[i].max - 2, text);
		expect_with(limits[i].member, value, FM_REJECT_TOO_LONG);
		free(text);
	}
}

static void
test_slices(void)
{
	FmArena		arena;
	FmDecoded	decoded;
	FmReading  *reading;
	char	   *copy;

	fm_arena_init(&arena);
	decode(CANONICAL, strlen(CANONICAL), &arena, &decoded, &copy);
	reading = decoded.readings;
	ok(decoded.nreadings == 1 && reading->extra.data == NULL,
	   "the canonical message needs no extra");
	ok(reading->sensor_id.data > copy &&
	   reading->sensor_id.data < copy + strlen(CANONICAL) &&
	   reading->unit.data > copy &&
	   reading->unit.data < copy + strlen(CANONICAL),
	   "strings without escapes stay where they are");
	ok(reading->ts == INT64_C(811374101011144) && reading->ts_digits == 6,
	   "the timestamp of the canonical message");
	ok(reading->value == 42.48 && reading->quality == 1.0f &&
	   reading->reading_count == 14 && reading->warning_threshold == 35.0 &&
	   reading->critical_threshold == 40.0 &&
	   reading->reported == FM_REPORTED_CRITICAL,
	   "the numbers of the canonical message");
	free(copy);
	fm_arena_free(&arena);
}

/* What extra looks like, to the byte. */
static void
test_extra(void)
{
	static const char *const cases[][3] = {
		{"value", "9007199254740993", "{\"value\":9007199254740993}"},
		{"value", "0.10", NULL},
		{"value", "1e23", NULL},
		{"value", "5e-324", NULL},
		{"value", "4.9e-324", "{\"value\":4.9e-324}"},
		{"value", "1e-400", "{\"value\":1e-400}"},
		{"value", "0.30000000000000004", NULL},
		{"value", "0.300000000000000040", NULL},
		{"value", "0.30000000000000003", "{\"value\":0.30000000000000003}"},
		{"quality", "0.95", NULL},
		{"quality", "0.987654321", "{\"quality\":0.987654321}"},
		{"timestamp", "\"2025-09-16T21:41:41Z\"", NULL},
		{"timestamp", "\"2025-09-16T21:41:4\\u0031.5Z\"", NULL},
		{"timestamp", "\"2025-09-16t21:41:41Z\"",
		"{\"timestamp\":\"2025-09-16t21:41:41Z\"}"},
		{"alert_level", "\"other\"", "{\"alert_level\":\"other\"}"},
		{"metadata", "{ }", "{\"metadata\":{ }}"},
		{"metadata", "{\"a\" : [ 1 ] , \"b\":2}",
		"{\"metadata\":{\"a\":[ 1 ],\"b\":2}}"},
		{"reading_count", "4294967296",
		"{\"metadata\":{\"reading_count\":4294967296}}"},
		{"reading_count", "1, \"x\":{}", "{\"metadata\":{\"x\":{}}}"},
		{"zone", "\"z\", \"floor\":3", "{\"location\":{\"floor\":3}}"},
		{"unit", "\"C\",\"a\":\"\\\",}\\\\\",\"b\":[\"]\\\"\",\"{\\\\\"]",
		"{\"a\":\"\\\",}\\\\\",\"b\":[\"]\\\"\",\"{\\\\\"]}"},
		{"unit", "\"C\", \"un\\u0069que\":\"\\n\"",
		"{\"un\\u0069que\":\"\\n\"}"}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *message = message_with(cases[i][0], cases[i][1]);
		FmArena		arena;
		FmDecoded	decoded;
		bool		passed = false;

		fm_arena_init(&arena);
		fm_decode_factory(message, strlen(message), &arena, &decoded);
		if (decoded.nreadings == 1)
		{
			FmSlice		extra = decoded.readings[0].extra;

			passed = cases[i][2] == NULL ? extra.data == NULL :
				extra.data != NULL &&
				(size_t) extra.len == strlen(cases[i][2]) &&
				memcmp(extra.data, cases[i][2], (size_t) extra.len) == 0;
			if (!passed)
				printf("# got %.*s\n", extra.len, extra.data);
		}
		ok(passed, "extra of %s = %s", cases[i][0], cases[i][1]);
		expect_bytes(message, strlen(message), FM_REJECT_NONE, "with oracle");
		fm_arena_free(&arena);
		free(message);
	}
}

/* ------------------------------------------------------------------------
 * Surroundings
 * ------------------------------------------------------------------------
 */

static void
test_reasons(void)
{
	int			wrong = 0;
	int			i;

	for (i = 0; i <= FM_REJECT_DATABASE; i++)
	{
		const char *name = fm_reject_reason_name((FmRejectReason) i);
		const char *state = fm_reject_reason_sqlstate((FmRejectReason) i);

		if (name == NULL || strcmp(name, "unknown") == 0 || state == NULL ||
			strlen(state) != 5 ||
			strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") !=
			strlen(name))
			wrong++;
	}
	ok(wrong == 0, "every reason has a name and an SQLSTATE");
}

static void
test_arena(void)
{
	FmArena		arena;
	char	   *blocks[1000];
	int			wrong = 0;
	int			round;
	int			i;

	fm_arena_init(&arena);
	for (round = 0; round < 3; round++)
	{
		for (i = 0; i < 1000; i++)
		{
			size_t		size = (size_t) (i % 100 == 99 ? 300000 : i);

			blocks[i] = fm_arena_alloc(&arena, size);
			if (blocks[i] == NULL || (uintptr_t) blocks[i] % 16 != 0)
				wrong++;
			else
				memset(blocks[i], i & 0xFF, size);
		}
		for (i = 0; i < 1000; i++)
		{
			size_t		size = (size_t) (i % 100 == 99 ? 300000 : i);

			if (size > 0 && ((unsigned char) blocks[i][0] != (i & 0xFF) ||
							 (unsigned char) blocks[i][size - 1] !=
							 (i & 0xFF)))
				wrong++;
		}
		fm_arena_reset(&arena);
	}
	ok(wrong == 0, "blocks of the arena do not overlap");
	ok(fm_arena_alloc(&arena, SIZE_MAX) == NULL && arena.out_of_memory,
	   "the arena remembers that memory ran out");
	fm_arena_reset(&arena);
	ok(!arena.out_of_memory && fm_arena_alloc(&arena, 1) != NULL,
	   "and works again after a reset");
	fm_arena_free(&arena);
	fm_arena_free(&arena);
	ok(arena.first == NULL, "freeing twice does no harm");
}

/* Messages of 1 MB, of the kinds that cost most. */
static void
test_large(void)
{
	static const struct
	{
		const char *name;
		const char *unit;
		const char *open;
		const char *close;
	}			kinds[] =
	{
		{"one long string", "x", "\"", "\""},
		{"one long string of escapes", "\\uD83D\\uDE00", "\"", "\""},
		{"an array of numbers", "1,", "[", "1]"},
		{"an array of hard numbers", "1.7976931348623157e308,", "[", "1]"},
		{"many small objects", "{\"a\":1,\"b\":2},", "[", "1]"},
		{"one long fraction", "1", "0.", ""},
		{"white space", "\n", "", "1"}
	};
	size_t		i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		char	   *body = repeat(kinds[i].unit,
								  1000000 / (int) strlen(kinds[i].unit));
		char	   *value = xmalloc(1100000);
		char	   *message;
		FmArena		arena;
		FmDecoded	decoded;
		double		start;

		sprintf(value, "\"C\",\"big\":%s%s%s", kinds[i].open, body,
				kinds[i].close);
		message = message_with("unit", value);
		fm_arena_init(&arena);
		start = cpu_seconds();
		fm_decode_factory(message, strlen(message), &arena, &decoded);
		ok(cpu_seconds() - start < 5.0 &&
		   decoded.reason == (i == 5 ? FM_REJECT_NUMBER_OUT_OF_RANGE :
							  FM_REJECT_NONE),
		   "1 MB: %s", kinds[i].name);
		fm_arena_free(&arena);
		free(message);
		free(value);
		free(body);
	}
}

/* Where the decimal point is a comma, nothing is different. */
static void
test_locale(void)
{
	static const char *const names[] = {
		"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pt_BR.UTF-8", "de_DE"
	};
	char	   *message = message_with("value", "1234567890.12345678901");
	char		text[FM_NUMBER_BUFFER];
	FmArena		arena;
	FmDecoded	decoded;
	size_t		i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (setlocale(LC_ALL, names[i]) != NULL)
			break;
	}
	fm_arena_init(&arena);
	fm_decode_factory(message, strlen(message), &arena, &decoded);
	fm_format_double(1234567890.12345678901, text);
	ok(decoded.nreadings == 1 &&
	   decoded.readings[0].value == 1234567890.12345678901 &&
	   strcmp(text, "1234567890.1234567") == 0,
	   "numbers where the decimal point is '%s'%s",
	   localeconv()->decimal_point,
	   strcmp(localeconv()->decimal_point, ".") == 0 ?
	   " # SKIP no locale with a decimal comma here" : "");
	fm_arena_free(&arena);
	free(message);
	setlocale(LC_ALL, "C");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_json();
	test_members();
	test_lengths();
	test_slices();
	test_extra();
	test_scalars();
	test_reasons();
	test_arena();
	test_large();
	test_locale();
	return done_testing();
}
