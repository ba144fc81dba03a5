/*-------------------------------------------------------------------------
 *
 * reading_test.c
 *	  What the decoder does, case by case.
 *
 * Prints TAP.  Each message is decoded from a block of memory of exactly its
 * size, so that a sanitizer or valgrind sees a read beyond it, and is put to
 * the oracle as well.  The SQL test decode.sql shows the same rules from the
 * outside; here are the ones that SQL cannot show (bytes, memory, time) and
 * the parts below a message.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "messages.h"
#include "oracle.h"

static int	ntests = 0;
static int	nfailed = 0;

static void
ok(bool passed, const char *format, ...)
{
	va_list		args;

	ntests++;
	if (!passed)
		nfailed++;
	printf("%sok %d - ", passed ? "" : "not ", ntests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* Decode len bytes from memory that ends right behind them. */
static void
decode(const char *payload, size_t len, FmArena *arena, FmDecoded *decoded,
	   char **copy)
{
	*copy = xmalloc(len > 0 ? len : 1);
	memcpy(*copy, payload, len);
	fm_decode_factory(*copy, len, arena, decoded);
}

/* The reason must be this one, and the oracle must agree. */
static void
expect_bytes(const char *payload, size_t len, FmRejectReason expected,
			 const char *name)
{
	FmArena		arena;
	FmRejectReason reason;
	char		complaint[512] = "";
	char	   *copy = xmalloc(len > 0 ? len : 1);
	bool		agrees;

	memcpy(copy, payload, len);
	fm_arena_init(&arena);
	agrees = oracle_agrees(copy, len, &arena, &reason, complaint,
						   sizeof(complaint));
	ok(agrees && reason == expected, "%s: %s", name,
	   fm_reject_reason_name(expected));
	if (!agrees)
		printf("# %s\n", complaint);
	else if (reason != expected)
		printf("# got %s\n", fm_reject_reason_name(reason));
	fm_arena_free(&arena);
	free(copy);
}

static void
expect(const char *payload, FmRejectReason expected)
{
	char		name[64];

	snprintf(name, sizeof(name), "%.60s", payload);
	name[strcspn(name, "\n\r#")] = '\0';
	expect_bytes(payload, strlen(payload), expected, name);
}

/* The canonical message with another value behind a member's name. */
static void
expect_with(const char *member, const char *value, FmRejectReason expected)
{
	char	   *message = message_with(member, value);
	char		name[100];

	snprintf(name, sizeof(name), "%s = %.70s", member, value);
	name[strcspn(name, "\n\r#")] = '\0';
	expect_bytes(message, strlen(message), expected, name);
	free(message);
}

/* ------------------------------------------------------------------------
 * Bytes
 * ------------------------------------------------------------------------
 */

/* Cut off anywhere, a message is refused without reading on. */
static void
test_truncation(const char *message)
{
	FmArena		arena;
	int			accepted = 0;
	size_t		i;

	fm_arena_init(&arena);
	for (i = 0; i < strlen(message); i++)
	{
		FmDecoded	decoded;
		char	   *copy;

		decode(message, i, &arena, &decoded, &copy);
		accepted += decoded.reason == FM_REJECT_NONE;
		free(copy);
		fm_arena_reset(&arena);
	}
	fm_arena_free(&arena);
	expect_bytes(message, strlen(message), FM_REJECT_NONE,
				 "a message to be cut off");
	ok(accepted == 0, "cut off anywhere it is refused");
}

static void
test_truncations(void)
{
	char	   *message = message_with("unit", "\"C\",\"a\":[\"\\u00e9\\ud83d"
									   "\\ude00\\\"\\n\", -1.5e+10, true, "
									   "false, null, {\"\xF0\x9F\x98\x80"
									   "\xE2\x82\xAC\":{}}]");

	test_truncation(CANONICAL);
	test_truncation(message);
	free(message);
}

/* A good part of all sequences of three bytes, and of four. */
static void
test_utf8(void)
{
	static const unsigned char fourth[] = {0x7F, 0x80, 0x8F, 0x90, 0xBF, 0xC0};
	FmArena		arena;
	int			differ = 0;
	unsigned int i;
	size_t		j;

	fm_arena_init(&arena);
	for (i = 0; i < 0x1000000; i += i < 0x10000 ? 1 : 0x3B)
	{
		for (j = 0; j < sizeof(fourth); j += i < 0xF00000 ? 6 : 1)
		{
			char		payload[] = {'"', (char) (i >> 16), (char) (i >> 8),
			(char) i, (char) fourth[j], '"'};
			FmRejectReason reason;
			char		complaint[512];

			differ += !oracle_agrees(payload, sizeof(payload), &arena,
									 &reason, complaint, sizeof(complaint));
			fm_arena_reset(&arena);
		}
	}
	fm_arena_free(&arena);
	ok(differ == 0, "UTF-8 is judged as the oracle does");
}

static void
test_bytes(void)
{
	static const char nul_in_string[] = "{\"a\":\"\0\"}";
	char	   *large = xmalloc(FM_MAX_PAYLOAD + 1);

	expect_bytes("", 0, FM_REJECT_EMPTY_PAYLOAD, "no bytes");
	expect_bytes("\0", 1, FM_REJECT_INVALID_JSON, "a zero byte");
	expect_bytes(nul_in_string, sizeof(nul_in_string) - 1,
				 FM_REJECT_INVALID_JSON, "a zero byte in a string");
	expect_bytes("\xEF\xBB\xBF{}", 5, FM_REJECT_INVALID_JSON,
				 "a byte order mark");
	expect_bytes("{\"a\":\"\xC0\x80\"}", 9, FM_REJECT_INVALID_UTF8,
				 "an overlong zero");
	expect_bytes("{\"a\":\"\xED\xA0\x80\"}", 10, FM_REJECT_INVALID_UTF8,
				 "a surrogate in UTF-8");
	expect_bytes("{\"a\":\"\xF4\x90\x80\x80\"}", 11, FM_REJECT_INVALID_UTF8,
				 "a character above U+10FFFF");
	expect_bytes("{\"a\":\"\xE2\x82", 8, FM_REJECT_INVALID_UTF8,
				 "a character cut off");
	expect_bytes(large, FM_MAX_PAYLOAD + 1, FM_REJECT_TOO_LARGE,
				 "more than the largest payload");
	free(large);
	test_truncations();
	test_utf8();
}

/* ------------------------------------------------------------------------
 * JSON text
 * ------------------------------------------------------------------------
 */

static void
test_grammar(void)
{
	static const char *const invalid[] = {
		" ", "{", "}", "[", "]", "[1,]", "{\"a\":1,}", "{,}", "{\"a\"}",
		"{\"a\":}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\":1 \"b\":2}",
		"[1 2]", "[1}", "{\"a\":1]", "{} x", "{}{}", "{}\v", "// c\n{}",
		"{/**/}", "[01]", "[-01]", "[00]", "[-]", "[+1]", "[.5]", "[1.]",
		"[1.e5]", "[1e]", "[1e+]", "[0x10]", "[1_0]", "[NaN]", "[Infinity]",
		"[-Infinity]", "[nan]", "[inf]", "[True]", "[nul]", "[nulll]",
		"[tru]", "[truefalse]", "[\"\t\"]", "[\"\n\"]", "[\"\x1F\"]",
		"[\"\\x\"]", "[\"\\'\"]", "[\"\\0\"]", "[\"\\\"]", "[\"\\u\"]",
		"[\"\\u12\"]", "[\"\\u12G4\"]", "[\"\\U0041\"]", "[\"\\uD800\"]",
		"[\"\\uD800x\"]", "[\"\\uD800\\n\"]", "[\"\\uD800\\u0041\"]",
		"[\"\\uD800\\uD800\"]", "[\"\\uDC00\"]", "[\"\\uDC00\\uD800\"]",
		"\"", "[\"a]", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
		"[\"\\uD83D\\u12\"]", "tru", "-", "1e"
	};
	static const char *const valid[] = {
		"[]", " [ ] ", "\t\r\n[\r]\n", "null", "true", "false", "0", "-0",
		"-0.0e-0", "1E5", "1e+5", "1.25", "\"\"", "[\"\\uD83D\\uDE00\"]",
		"[\"\\u0001\"]", "[\"\x7F\"]", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
		"[[],{},[{}],{\"\":[]}]", "[\"\\uFFFF\"]", "[\"\\udbff\\udfff\"]",
		"[\"//\"]", "[1e-400]", "[1e308]"
	};
	size_t		i;

	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		expect(invalid[i], FM_REJECT_INVALID_JSON);
	for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
		expect(valid[i], FM_REJECT_NOT_AN_OBJECT);
	expect("{\"\\u0000\":1}", FM_REJECT_NUL_CHARACTER);
	expect("[\"a\\u0000\"]", FM_REJECT_NUL_CHARACTER);
	expect("[\"\\\\u0000\"]", FM_REJECT_NOT_AN_OBJECT);
}

/* n times text, in malloc'ed memory. */
static char *
repeat(const char *text, int n)
{
	size_t		len = strlen(text);
	char	   *result = xmalloc(len * (size_t) n + 1);
	int			i;

	for (i = 0; i < n; i++)
		memcpy(result + len * (size_t) i, text, len);
	result[len * (size_t) n] = '\0';
	return result;
}

static void
test_depth(void)
{
	static const int depths[] = {FM_MAX_DEPTH, FM_MAX_DEPTH + 1, 1000000};
	int			i;

	for (i = 0; i < 3; i++)
	{
		char	   *open = repeat("[", depths[i]);
		char	   *close = repeat("]", depths[i]);
		char	   *text = xmalloc(2 * (size_t) depths[i] + 1);
		char		name[40];

		snprintf(name, sizeof(name), "%d arrays in each other", depths[i]);
		sprintf(text, "%s%s", open, close);
		expect_bytes(text, strlen(text), i == 0 ? FM_REJECT_NOT_AN_OBJECT :
					 FM_REJECT_TOO_DEEP, name);
		free(open);
		free(close);
		free(text);
	}
}

static void
test_number_range(void)
{
	char	   *zeros = repeat("0", 20000);
	char	   *text = xmalloc(50000);

	expect("[1.7976931348623157e308]", FM_REJECT_NOT_AN_OBJECT);
	expect("[1.7976931348623158e308]", FM_REJECT_NOT_AN_OBJECT);
	expect("[1.7976931348623159e308]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[-1e309]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[1e99999999999999999999]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[0e99999999999999999999]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[0.0e99999999999999999999]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[0e100000000]", FM_REJECT_NOT_AN_OBJECT);
	expect("[1e-99999999999999999999]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[1e-16383]", FM_REJECT_NOT_AN_OBJECT);
	expect("[1e-16384]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[0e-16384]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[0.0e-16383]", FM_REJECT_NUMBER_OUT_OF_RANGE);
	expect("[1e000000000000000000000000000001]", FM_REJECT_NOT_AN_OBJECT);

	sprintf(text, "[1%.308s]", zeros);
	expect_bytes(text, strlen(text), FM_REJECT_NOT_AN_OBJECT, "10^308");
	sprintf(text, "[1%.309s]", zeros);
	expect_bytes(text, strlen(text), FM_REJECT_NUMBER_OUT_OF_RANGE, "10^309");
	sprintf(text, "[1%se-20000]", zeros);
	expect_bytes(text, strlen(text), FM_REJECT_NUMBER_OUT_OF_RANGE,
				 "one with 20000 zeros taken back");
	sprintf(text, "[0.%s1e20001]", zeros);
	expect_bytes(text, strlen(text), FM_REJECT_NOT_AN_OBJECT,
				 "one with 20000 decimal places taken back");
	sprintf(text, "[1.%s]", zeros);
	expect_bytes(text, strlen(text), FM_REJECT_NUMBER_OUT_OF_RANGE,
				 "one with 20000 decimal places");
	free(zeros);
	free(text);
}

/* An object with n members, the last named as given. */
static char *
many_members(int n, const char *prefix, const char *last)
{
	char	   *text = xmalloc((strlen(prefix) + 20) * (size_t) n +
								 strlen(last) + 10);
	char	   *p = text;
	int			i;

	*p++ = '{';
	for (i = 0; i < n; i++)
		p += sprintf(p, "\"%s%07d\":%d,", prefix, i, i % 10);
	sprintf(p, "\"%s\":0}", last);
	return text;
}

/* CPU time, so that a busy machine does not make a test fail. */
static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
test_duplicates(void)
{
	static const int sizes[] = {3, 15, 16, 17, 63, 64, 65, 1000, 100000};
	char		long_prefix[200];
	FmArena		arena;
	size_t		i;

	expect("{\"a\":1,\"a\":1}", FM_REJECT_DUPLICATE_KEY);
	expect("{\"a\":1,\"\\u0061\":1}", FM_REJECT_DUPLICATE_KEY);
	expect("{\"\":1,\"\":1}", FM_REJECT_DUPLICATE_KEY);
	expect("{\"a/\":1,\"a\\/\":1}", FM_REJECT_DUPLICATE_KEY);
	expect("{\"\xF0\x9F\x98\x80\":1,\"\\uD83D\\uDE00\":1}",
		   FM_REJECT_DUPLICATE_KEY);
	expect("[[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]]", FM_REJECT_DUPLICATE_KEY);
	expect("[{\"a\":1},{\"a\":1}]", FM_REJECT_NOT_AN_OBJECT);
	expect("[{\"a\":{\"a\":{\"a\":1}}}]", FM_REJECT_NOT_AN_OBJECT);
	expect("{\"a\":1,\"a\":1", FM_REJECT_INVALID_JSON);
	memset(long_prefix, 'p', sizeof(long_prefix) - 1);
	long_prefix[sizeof(long_prefix) - 1] = '\0';
	fm_arena_init(&arena);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		char		last[250];
		char	   *text;
		FmDecoded	decoded;

		text = many_members(sizes[i], "m", "other");
		fm_decode_factory(text, strlen(text), &arena, &decoded);
		ok(decoded.reason == FM_REJECT_MISSING_MEMBER,
		   "%d members with different names", sizes[i] + 1);
		free(text);
		sprintf(last, "\\u006d%07d", sizes[i] / 2);
		text = many_members(sizes[i], "m", last);
		fm_decode_factory(text, strlen(text), &arena, &decoded);
		ok(decoded.reason == FM_REJECT_DUPLICATE_KEY,
		   "%d members, two with the same name", sizes[i] + 1);
		free(text);
		sprintf(last, "%s%07d", long_prefix, 0);
		text = many_members(sizes[i], long_prefix, last);
		fm_decode_factory(text, strlen(text), &arena, &decoded);
		ok(decoded.reason == FM_REJECT_DUPLICATE_KEY,
		   "%d members, two with the same long name", sizes[i] + 1);
		free(text);
		fm_arena_reset(&arena);
	}
	fm_arena_free(&arena);
}

/* Whichever name occurs twice, it is found: all ranks in sorted order. */
static void
test_any_duplicate(void)
{
	FmArena		arena;
	int			missed = 0;
	int			n;
	int			i;

	fm_arena_init(&arena);
	for (n = 1; n < 50; n++)
	{
		for (i = 0; i < n; i++)
		{
			char		last[20];
			char	   *text;
			FmDecoded	decoded;

			sprintf(last, "m%07d", i);
			text = many_members(n, "m", last);
			fm_decode_factory(text, strlen(text), &arena, &decoded);
			missed += decoded.reason != FM_REJECT_DUPLICATE_KEY;
			free(text);
			fm_arena_reset(&arena);
		}
	}
	fm_arena_free(&arena);
	ok(missed == 0, "any name that occurs twice is found");
}

/* CPU time it takes to refuse an object of n members. */
static double
cost_of_members(int n)
{
	char	   *text = many_members(n, "m", "last");
	double		start = cpu_seconds();
	FmArena		arena;
	FmDecoded	decoded;

	fm_arena_init(&arena);
	fm_decode_factory(text, strlen(text), &arena, &decoded);
	fm_arena_free(&arena);
	free(text);
	return cpu_seconds() - start;
}

static void
test_cost_of_members(void)
{
	double		few = cost_of_members(10000);
	double		many = cost_of_members(100000);

	/* 100 if every name were compared with every other */
	ok(many < 40 * few, "ten times the members cost a little more than ten "
	   "times the time");
}

/* Of several faults the one reported is fixed, and so is its text. */
static void
test_details(void)
{
	static const char *const cases[][2] = {
		{"{\"a\":1,\"b\":2,\"b\":3,\"a\":4}",
			"Member \"b\" occurs twice in the same object, "
		"the second time at byte offset 13."},
		{"{\"x\":{\"b\":2,\"b\":3},\"a\":1,\"a\":4}",
			"Member \"b\" occurs twice in the same object, "
		"the second time at byte offset 12."},
		{"{\"x\":1,\"a\":{\"b\":1,\"b\":2},\"x\":4}",
			"Member \"b\" occurs twice in the same object, "
		"the second time at byte offset 18."},
		{"{\"x\":1,\"x\":{\"b\":1,\"b\":2}}",
			"Member \"x\" occurs twice in the same object, "
		"the second time at byte offset 7."},
		{"[\"\\uD800\"]",
		"A string contains a lone surrogate at byte offset 2."},
		{"[1,2,]",
		"Expected a value, but found ']' at byte offset 5."},
		{"[1,2",
		"Expected ',' or ']', but the message ends at byte offset 4."},
		{"[\"a\\u00",
			"Expected a hexadecimal digit, but the message ends "
		"at byte offset 7."},
		{"\xEF\xBB\xBF{}", "The message begins with a byte order mark."},
		{"{\xFF}",
			"Expected a member name or '}', but found byte 0xFF "
		"at byte offset 1."},
		{"[012]",
		"A number continues after a leading zero at byte offset 2."},
		{"[1e999]", "The number at byte offset 1 is out of range."},
		{"[\"\xFF\"]", "A string contains invalid UTF-8 at byte offset 2."},
		{"17", "The message must be an object, not a number."},
		{"{}", "Member \"timestamp\" is missing."},
		{"{\"timestamp\":null}",
		"Member \"timestamp\" must be a string, not null."},
		{"{\"sensor_id\":1,\"timestamp\":\"2025-02-29T00:00:00Z\"}",
			"Member \"timestamp\" must be an RFC 3339 timestamp, but there is "
		"no such day: \"2025-02-29T00:00:00Z\"."}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FmArena		arena;
		FmDecoded	decoded;

		fm_arena_init(&arena);
		fm_decode_factory(cases[i][0], strlen(cases[i][0]), &arena, &decoded);
		ok(strcmp(decoded.detail, cases[i][1]) == 0, "%s", cases[i][1]);
		if (strcmp(decoded.detail, cases[i][1]) != 0)
			printf("# got %s\n", decoded.detail);
		fm_arena_free(&arena);
	}
}

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
	test_bytes();
	test_grammar();
	test_depth();
	test_number_range();
	test_duplicates();
	test_any_duplicate();
	test_cost_of_members();
	test_details();
	test_members();
	test_lengths();
	test_slices();
	test_extra();
	test_formats();
	test_format_texts();
	test_rounding();
	test_timestamp_texts();
	test_timestamp_range();
	test_reasons();
	test_arena();
	test_large();
	test_locale();
	printf("1..%d\n", ntests);
	return nfailed == 0 ? 0 : 1;
}
