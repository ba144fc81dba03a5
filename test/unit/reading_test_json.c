/*-------------------------------------------------------------------------
 *
 * reading_test_json.c
 *	  Which bytes are JSON text as we take it, and what the others are told.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "messages.h"
#include "oracle.h"
#include "reading_test.h"

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

void
test_json(void)
{
	test_bytes();
	test_grammar();
	test_depth();
	test_number_range();
	test_duplicates();
	test_any_duplicate();
	test_cost_of_members();
	test_details();
}
