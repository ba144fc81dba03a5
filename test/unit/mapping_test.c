/*-------------------------------------------------------------------------
 *
 * mapping_test.c
 *	  Mapped formats: what mappings may say, what messages become, and what
 *	  hostile messages cost.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "mapping_test.h"
#include "messages.h"

#define USUAL \
	"\"timestamp\":\"/t\",\"sensor_id\":\"/s\",\"sensor_type\":\"/y\""
#define MESSAGE(value) \
	"{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"y\":\"y\",\"v\":" value "}"

static FmArena memory;
static FmArena arena;

static FmDecoded
decode_as(const char *mapping, const char *message)
{
	static char *copy = NULL;
	FmFormat   *format = compile_or_die(mapping, &memory);
	size_t		len = strlen(message);
	FmDecoded	decoded;

	free(copy);
	copy = xmalloc(len + 1);
	memcpy(copy, message, len);
	fm_decode(format, copy, len, &arena, &decoded);
	return decoded;
}

static void
expect_reason(const char *mapping, const char *message, FmRejectReason reason,
			  const char *detail)
{
	FmDecoded	decoded = decode_as(mapping, message);
	bool		good = decoded.reason == reason &&
		strcmp(decoded.detail, detail) == 0;

	ok(good, "%.60s: %s", message, fm_reject_reason_name(reason));
	if (!good)
		printf("# %s: %s\n", fm_reject_reason_name(decoded.reason),
			   decoded.detail);
}

static bool
text_is(FmSlice text, const char *expected)
{
	return text.data == NULL ? expected == NULL : expected != NULL &&
		(size_t) text.len == strlen(expected) &&
		memcmp(text.data, expected, (size_t) text.len) == 0;
}

static void
expect_extra(const char *mapping, const char *message, int nreadings,
			 const char *extra)
{
	FmDecoded	decoded = decode_as(mapping, message);
	bool		good = decoded.reason == FM_REJECT_NONE &&
		decoded.nreadings == nreadings &&
		(nreadings == 0 || text_is(decoded.readings[0].extra, extra));

	ok(good, "%.60s: extra %s", message, extra ? extra : "none");
	if (!good)
		printf("# %s %s, %d readings, extra %.*s\n",
			   fm_reject_reason_name(decoded.reason), decoded.detail,
			   decoded.nreadings,
			   nreadings > 0 ? decoded.readings[0].extra.len : 0,
			   nreadings > 0 && decoded.readings[0].extra.data ?
			   decoded.readings[0].extra.data : "");
}

/* ------------------------------------------------------------------------
 * Patterns
 * ------------------------------------------------------------------------
 */

static bool
matches(const char *pattern, const char *text)
{
	const char *fault;
	FmPattern  *compiled = fm_pattern_compile((FmSlice) {pattern,
											  (int) strlen(pattern)},
											  &memory, &fault);

	return compiled != NULL &&
		fm_pattern_matches(compiled, (FmSlice) {text, (int) strlen(text)});
}

static void
test_patterns(void)
{
	static const struct
	{
		const char *pattern;
		const char *text;
		bool		matches;
	}			cases[] =
	{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "aa", false},
		{"a*", "", true}, {"a*", "aaaa", true}, {"a*b", "aaab", true},
		{"a+", "", false}, {"a+", "aaa", true}, {"a?b", "b", true},
		{"a?b", "aab", false}, {"a{2}", "aa", true}, {"a{2}", "aaa", false},
		{"a{2,}", "aaaaa", true}, {"a{2,}", "a", false},
		{"a{1,3}b", "aaab", true}, {"a{1,3}b", "aaaab", false},
		{"[a-c]+", "abcab", true}, {"[a-c]+", "abd", false},
		{"[^a-c]", "d", true}, {"[^a-c]", "b", false},
		{"[^a-c]", "\xC3\xA9", true}, {"[]a]", "]", true},
		{"[a-]", "-", true}, {"\\d{4}-\\d\\d", "2025-01", true},
		{"\\w+\\s\\w+", "ab_1 c", true}, {".", "\xE2\x82\xAC", true},
		{"\xC3\xA9+", "\xC3\xA9\xC3\xA9", true}, {"\xC3\xA9", "e", false},
		{"a\\.b", "a.b", true}, {"a\\.b", "axb", false}, {"\\[x\\]", "[x]", true},
		{".*.*.*.*x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", false}
	};
	static const char *const wrong[] = {
		"(", "a|b", "*", "a{", "a{x}", "a{3,2}", "[", "[z-a]", "\\q", "\\",
		"a**", "a{999}", ".{200}.{200}", "^a$", "[\xC3\xA9]"
	};
	const char *fault;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(matches(cases[i].pattern, cases[i].text) == cases[i].matches,
		   "pattern %s %s %s", cases[i].pattern,
		   cases[i].matches ? "matches" : "does not match", cases[i].text);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		fault = NULL;
		ok(fm_pattern_compile((FmSlice) {wrong[i], (int) strlen(wrong[i])},
							  &memory, &fault) == NULL && fault != NULL,
		   "%s is no pattern: %s", wrong[i], fault ? fault : "");
	}
}

/* ------------------------------------------------------------------------
 * Fields
 * ------------------------------------------------------------------------
 */

static void
test_checks(void)
{
	static const char bounded[] = "{" USUAL ",\"value\":{\"at\":\"/v\","
		"\"min\":-1.5,\"max\":10}}";
	static const char nested[] = "{" USUAL ",\"value\":\"/v\","
		"\"zone\":{\"at\":\"/l/z\",\"required\":false}}";

	expect_extra(bounded, MESSAGE("-1.5"), 1, NULL);
	expect_extra(bounded, MESSAGE("10.0"), 1, NULL);
	expect_reason(bounded, MESSAGE("-1.6"), FM_REJECT_VALUE_OUT_OF_RANGE,
				  "Member \"/v\" must be at least -1.5, not -1.6.");
	expect_reason(bounded, MESSAGE("11"), FM_REJECT_VALUE_OUT_OF_RANGE,
				  "Member \"/v\" must be at most 10, not 11.");
	expect_reason(bounded, MESSAGE("null"), FM_REJECT_WRONG_TYPE,
				  "Member \"/v\" must be a number, not null.");
	expect_reason(bounded, "{}", FM_REJECT_MISSING_MEMBER,
				  "Member \"/t\" is missing.");
	expect_reason(bounded, "[]", FM_REJECT_NOT_AN_OBJECT,
				  "The message must be an object, not an array.");
	expect_reason(bounded, "", FM_REJECT_EMPTY_PAYLOAD,
				  "The message has no payload.");
	expect_reason(nested, MESSAGE("1,\"l\":7"), FM_REJECT_WRONG_TYPE,
				  "Member \"/l\" must be an object, not a number.");
	expect_reason(nested, MESSAGE("1,\"l\":[]"), FM_REJECT_WRONG_TYPE,
				  "Member \"/l\" must be an object, not an array.");
	expect_extra(nested, MESSAGE("1,\"l\":{}"), 1, "{\"l\":{}}");
	expect_extra(nested, MESSAGE("1,\"l\":{\"z\":\"a\",\"y\":[ 1 ]}"), 1,
				 "{\"l\":{\"y\":[ 1 ]}}");
	expect_extra(nested, MESSAGE("1.00000000000000000001"), 1,
				 "{\"v\":1.00000000000000000001}");
}

static void
test_names(void)
{
	static const char escaped[] = "{" USUAL ",\"value\":\"/a~1b/c~0d\"}";

	expect_extra(escaped, "{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\","
				 "\"y\":\"y\",\"a/b\":{\"c~d\":1}}", 1, NULL);
	expect_extra(escaped, "{\"\\u0074\":\"2025-01-01T00:00:00Z\",\"s\":\"s\","
				 "\"y\":\"y\",\"a\\/b\":{\"\\u0063~d\":1}}", 1, NULL);
	expect_extra("{" USUAL ",\"value\":\"/\xC3\xA9/1/v\"}",
				 "{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"y\":\"y\","
				 "\"\\u00e9\":[7,{\"v\":2}]}", 1, "{\"\\u00e9\":[7,{}]}");
	expect_extra("{" USUAL ",\"value\":\"/\"}",
				 "{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"y\":\"y\","
				 "\"\":3}", 1, NULL);
}

static void
test_times(void)
{
	static const char east[] = "{\"timestamp\":{\"at\":\"/t\",\"as\":\"local\","
		"\"time_zone\":\"Test/East\"},\"sensor_id\":{\"const\":\"s\"},"
		"\"sensor_type\":{\"const\":\"y\"},\"value\":{\"const\":1}}";
	FmDecoded	decoded = decode_as(east, "{\"t\":\"2025-01-01T02:00:00.25\"}");

	ok(decoded.nreadings == 1 &&
	   decoded.readings[0].ts == INT64_C(789004800250000) &&
	   decoded.readings[0].ts_digits == 2, "a local time is of its zone");
	expect_extra(east, "{\"t\":\"2025-01-01T02:00:00\"}", 1, NULL);
	expect_extra(east, "{\"t\":\"2025-01-01 02:00:00\"}", 1,
				 "{\"t\":\"2025-01-01 02:00:00\"}");
	expect_extra(east, "{\"t\":\"2025-10-01T03:30:00\"}", 1,
				 "{\"t\":\"2025-10-01T03:30:00\"}");
	expect_reason(east, "{\"t\":\"2025-06-01T03:30:00\"}",
				  FM_REJECT_INVALID_TIMESTAMP, "Member \"/t\" must be a date "
				  "and time of day without offset, but the clocks of its time "
				  "zone skipped this time: \"2025-06-01T03:30:00\".");
	expect_reason(east, "{\"t\":\"2025-06-01T03:30:00Z\"}",
				  FM_REJECT_INVALID_TIMESTAMP, "Member \"/t\" must be a date "
				  "and time of day without offset, but there is something after "
				  "the time of day: \"2025-06-01T03:30:00Z\".");
}

static void
test_elements(void)
{
	static const char each[] = "{\"each\":\"/r\"," USUAL
		",\"value\":{\"at\":\"@\"}}";
	static const char root[] = "{\"each\":\"\",\"timestamp\":\"@/t\","
		"\"sensor_id\":\"@/s\",\"sensor_type\":\"@/y\",\"value\":\"@/v\"}";

	expect_extra(each, MESSAGE("[ ],\"r\":[1,2,3]"), 3, "{\"v\":[ ]}");
	expect_extra(each, MESSAGE("0,\"r\":[]"), 0, NULL);
	expect_reason(each, MESSAGE("0"), FM_REJECT_MISSING_MEMBER,
				  "Member \"/r\" is missing.");
	expect_reason(each, MESSAGE("0,\"r\":[1,true]"), FM_REJECT_WRONG_TYPE,
				  "Member \"@\" must be a number, not a boolean.");
	expect_extra(root, "[" MESSAGE("1") "," MESSAGE("2,\"w\":3") "]", 2,
				 "[{},{\"w\":3}]");
	expect_extra(root, " [ ] ", 0, NULL);
	expect_reason(root, "{}", FM_REJECT_NOT_AN_OBJECT,
				  "The message must be an array, not an object.");
}

/* ------------------------------------------------------------------------
 * Hostile messages
 * ------------------------------------------------------------------------
 */

static char *
surround(const char *before, const char *middle, int n, const char *after)
{
	size_t		len = strlen(middle);
	char	   *text = xmalloc(strlen(before) + len * (size_t) n +
							   strlen(after) + 1);
	char	   *p = text + sprintf(text, "%s", before);
	int			i;

	for (i = 0; i < n; i++, p += len)
		memcpy(p, middle, len);
	strcpy(p, after);
	return text;
}

static void
test_hostile(void)
{
	static const char each[] = "{\"each\":\"/r\"," USUAL
		",\"value\":{\"at\":\"@\"}}";
	static const char plain[] = "{" USUAL ",\"value\":\"/v\"}";
	char	   *message = surround("{\"r\":[", "1,", 99999, "1]}");
	double		start;
	FmDecoded	decoded;

	expect_reason(each, message, FM_REJECT_TOO_MANY_READINGS,
				  "The message has more than 5000 readings.");
	free(message);
	message = surround("{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"y\":\"y\","
					   "\"r\":[", "1,", 4999, "1]}");
	decoded = decode_as(each, message);
	ok(decoded.nreadings == 5000, "5000 readings are none too many");
	free(message);
	message = surround("{\"r\":", "[", 100000, "");
	expect_reason(each, message, FM_REJECT_TOO_DEEP,
				  "Arrays and objects are nested more than 64 deep at byte "
				  "offset 68.");
	free(message);
	start = cpu_seconds();
	message = surround("{\"x\":[", "{\"a\":1},", 7 * 1024 * 1024,
					   "1],\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\","
					   "\"y\":\"y\",\"v\":1}");
	decoded = decode_as(plain, message);
	ok(decoded.reason == FM_REJECT_NONE && decoded.readings[0].extra.len >
	   50 * 1024 * 1024, "56 MB of what is not known are kept");
	ok(cpu_seconds() - start < 60, "and that takes no longer than its length");
	free(message);
	message = surround("{\"x\":\"", "abcdefgh", 8 * 1024 * 1024, "\"}");
	decoded = decode_as(plain, message);
	ok(decoded.reason == FM_REJECT_TOO_LARGE, "more than 64 MB are too many");
	free(message);
}

/* ------------------------------------------------------------------------
 * Drift
 * ------------------------------------------------------------------------
 */

static void
append_finding(void *arg, const FmDrift *drift)
{
	char	   *text = arg;

	sprintf(text + strlen(text), "%s %.*s (%.*s); ", fm_drift_name(drift->kind),
			drift->path.len, drift->path.data, drift->example.len,
			drift->example.data);
}

static void
expect_drift(const char *mapping, const char *message, const char *expected)
{
	FmFormat   *format = compile_or_die(mapping, &memory);
	char		findings[65536] = "";
	FmDecoded	decoded;

	fm_decode(format, message, strlen(message), &arena, &decoded);
	if (decoded.strange)
		fm_drift_scan(format, message, strlen(message), append_finding,
					  findings);
	ok(strcmp(findings, expected) == 0, "%.50s: %.60s", message, expected);
	if (strcmp(findings, expected) != 0)
		printf("# %s\n", findings);
}

static void
count_finding(void *arg, const FmDrift *drift)
{
	*(int *) arg += drift->path.len <= FM_DRIFT_PATH;
}

static void
test_drift(void)
{
	static const char plain[] = "{" USUAL ",\"value\":\"/v\"}";
	static const char each[] = "{\"each\":\"/r\"," USUAL
		",\"value\":{\"at\":\"@/v\"}}";
	const char *factory = fm_builtin_format(FM_FACTORY_FORMAT)->mapping;
	FmFormat   *format = compile_or_die(plain, &memory);
	char		name[600];
	char	   *message = xmalloc(2000000);
	char	   *p;
	int			findings = 0;
	int			i;

	expect_drift(plain, MESSAGE("1"), "");
	expect_drift(plain, MESSAGE("1,\"a/b\":{\"c\":2}"),
				 "new member /a~1b ({\"c\":2}); ");
	expect_drift(plain, MESSAGE("\"1\""), "changed type /v (\"1\"); ");
	expect_drift(plain, "{\"t\":\"2025-01-01T00:00:00Z\",\"y\":\"y\",\"v\":1}",
				 "missing member /s (); ");
	expect_drift(each, MESSAGE("1,\"r\":[{\"v\":1,\"w\":2},{\"v\":1,\"w\":3}]"),
				 "new member /v (1); new member @/w (2); ");
	expect_drift(each, MESSAGE("1,\"r\":[{\"v\":\"x\"}]"),
				 "new member /v (1); changed type @/v (\"x\"); ");
	expect_drift(each, MESSAGE("1,\"r\":[{}]"),
				 "new member /v (1); missing member @/v (); ");
	expect_drift(factory, CANONICAL, "");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	p = message + sprintf(message, "{\"%s\":1", name);
	for (i = 0; i < 1000; i++)
		p += sprintf(p, ",\"x%d\":1", i);
	strcpy(p, "}");
	fm_drift_scan(format, message, strlen(message), count_finding, &findings);
	ok(findings == FM_DRIFT_MAX, "a message has %d findings at most",
	   FM_DRIFT_MAX);
	free(message);
}

/* Errors of mappings, wherever a mapping is cut off or changed. */
static void
test_broken_mappings(void)
{
	int			refused = 0;
	int			tried = 0;
	int			i;

	for (i = 0; i < fm_nbuiltin_formats; i++)
	{
		const char *mapping = fm_builtin_formats[i].mapping;
		size_t		len = strlen(mapping);
		char	   *copy = xmalloc(len);
		size_t		at;

		for (at = 0; at < len; at++)
		{
			FmMappingError error = {"", ""};

			memcpy(copy, mapping, len);
			refused += fm_format_compile(copy, at, &test_zones, &memory,
										 &error) == NULL && error.message[0];
			copy[at] = "x/\"{[0~@"[at % 8];
			(void) fm_format_compile(copy, len, &test_zones, &memory, &error);
			fm_arena_reset(&memory);
			tried++;
		}
		free(copy);
	}
	ok(refused == tried, "%d mappings that end early are none", tried);
}

/* Messages that their readings must tell, and some that they cannot. */
static void
test_again(void)
{
#define TIME "\"timestamp\":\"/t\",\"sensor_type\":{\"const\":\"y\"}"
#define PAIR "\"readings\":[{\"sensor_id\":{\"join\":[\"@/s\",{\"const\":\"a\"}]}," \
	"\"value\":{\"at\":\"@/a\",\"required\":false}},{\"sensor_id\":{\"join\":" \
	"[\"@/s\",{\"const\":\"b\"}]},\"value\":{\"at\":\"@/b\",\"required\":false}}]"
	static const struct
	{
		const char *mapping;
		const char *message;
		int			told;
	}			cases[] = {
		/* an object whose member's name is an index, and an array */
		{"{" TIME ",\"sensor_id\":\"/s\",\"value\":\"/v/0\"}",
		"{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"v\":{\"0\":1}}", 1},
		{"{" TIME ",\"sensor_id\":\"/s\",\"value\":\"/v/0\"}",
		"{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"s\",\"v\":[1]}", 1},
		/* elements that are values: one is kept, and one holds its place */
		{"{\"each\":\"/e\"," TIME ",\"sensor_id\":\"/s\",\"value\":\"@\"}",
			"{\"t\":\"2025-01-01T00:00:00Z\",\"s\":\"\\u0001\\\"\\\\\","
		"\"e\":[10000000000000000001,1,2]}", 1},
		/* readings left out of elements of which columns have all the rest */
		{"{\"each\":\"/e\",\"machine_id\":\"@/s\"," TIME "," PAIR "}",
			"{\"t\":\"2025-01-01T00:00:00Z\",\"e\":[{\"s\":\"x\",\"a\":1},"
		"{\"s\":\"y\",\"b\":2},{\"s\":\"z\",\"a\":3,\"b\":4}]}", 1},
		{"{\"each\":\"/e\",\"machine_id\":\"@/s\"," TIME "," PAIR "}",
			"{\"t\":\"2025-01-01T00:00:00Z\",\"e\":[{\"s\":\"x\",\"b\":1},"
		"{\"s\":\"y\",\"a\":2}]}", 1},
		/* either may be the one that has no value */
		{"{\"each\":\"/e\"," TIME ",\"sensor_id\":{\"const\":\"s\"},"
			"\"value\":{\"at\":\"@/v\",\"required\":false}}",
		"{\"t\":\"2025-01-01T00:00:00Z\",\"e\":[{\"v\":1},{\"x\":2}]}", 0}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		FmDecoded	decoded = decode_as(cases[i].mapping, cases[i].message);
		FmSlice		message = {cases[i].message,
		(int) strlen(cases[i].message)};
		int			told = 0;
		bool		right = compose_again(compile_or_die(cases[i].mapping,
														 &memory),
										  message, &decoded, &arena, &told);

		ok(decoded.nreadings > 0 && right && told == cases[i].told,
		   "%s: %s", cases[i].message, told ? "told" : "not told");
	}
}

int
main(void)
{
	int			i;

	fm_arena_init(&memory);
	fm_arena_init(&arena);
	for (i = 0; i < fm_nbuiltin_formats; i++)
		ok(compile_or_die(fm_builtin_formats[i].mapping, &memory) != NULL,
		   "%s compiles", fm_builtin_formats[i].name);
	test_patterns();
	test_checks();
	test_names();
	test_times();
	test_elements();
	test_again();
	test_drift();
	test_hostile();
	fm_arena_reset(&memory);
	fm_arena_reset(&arena);
	test_broken_mappings();
	test_random();
	(void) decode_as("{" USUAL ",\"value\":\"/v\"}", "");
	fm_arena_free(&memory);
	fm_arena_free(&arena);
	return done_testing();
}
