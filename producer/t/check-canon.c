/*
 * check-canon.c - checks what needs no Kafka, as TAP
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The canonical form against a table and against json-c (which parses the
 * canonical text back and must find the same value); in each format the fast
 * way to a message against the slow one, and every kind of malformed message
 * against a reader that shares no code with the writer.
 */
#include "canon.h"
#include "clock.h"
#include "malform.h"
#include "t/reader.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int	tests = 0;
static int	failures = 0;

static void
ok(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	if (!good)
		failures++;
}

/* ---- table: input, canonical form or NULL ---- */

static const struct
{
	const char *in;
	const char *out;
}			table[] =
{
	{"{}", "{}"}, {" [ ] ", "[]"}, {"\t\r\n null", "null"},
	{"true", "true"}, {"false", "false"},
	{"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
	{"{\"a\":{\"z\":1,\"y\":{\"2\":0,\"1\":0}}}",
	"{\"a\":{\"y\":{\"1\":0,\"2\":0},\"z\":1}}"},
	{"{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}"},
	{"{\"\\u00e9\":1,\"z\":2,\"\xf0\x9f\x98\x80\":3,\"\xef\xbf\xbd\":4}",
	"{\"z\":2,\"\xc3\xa9\":1,\"\xef\xbf\xbd\":4,\"\xf0\x9f\x98\x80\":3}"},
	{"{\"b\\u0061\":1,\"ba\\u0020\":2,\"b\":3}",
	"{\"b\":3,\"ba\":1,\"ba \":2}"},
	{"{\"\\\"\":1,\"!\":2}", "{\"!\":2,\"\\\"\":1}"},
	/* strings */
	{"\"\"", "\"\""}, {"\"\\/\"", "\"/\""}, {"\"\\u0041\"", "\"A\""},
	{"\"\\b\\f\\n\\r\\t\"", "\"\\b\\f\\n\\r\\t\""},
	{"\"\\u0008\\u001F\\u007f\"", "\"\\b\\u001f\x7f\""},
	{"\"\\u0000\"", "\"\\u0000\""},
	{"\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\""},
	{"\"\xc2\xb0" "C\"", "\"\xc2\xb0" "C\""},
	{"\"\\u00b0\\u0043\"", "\"\xc2\xb0" "C\""},
	/* numbers */
	{"0", "0"}, {"-0", "0"}, {"-0.0", "0"}, {"0e5", "0"}, {"1.0", "1"},
	{"100", "100"}, {"1e2", "100"}, {"1E+2", "100"}, {"-1.50", "-1.5"},
	{"42.48", "42.48"}, {"4.248e1", "42.48"}, {"0.1", "0.1"},
	{"1e-1", "0.1"}, {"0.0001", "0.0001"}, {"0.00010", "0.0001"},
	{"0.00001", "1e-05"}, {"0.000012", "1.2e-05"}, {"-0.00001", "-1e-05"},
	{"999999999999999", "999999999999999"}, {"999999999999999.0",
	"999999999999999"}, {"1000000000000000", "1e+15"},
	{"1e15", "1e+15"}, {"123456789012345678", "1.2345678901234568e+17"},
	{"9007199254740993", "9007199254740992"},
	{"18446744073709551616", "1.8446744073709552e+19"},
	{"0.30000000000000004", "0.30000000000000004"},
	{"0.3000000000000000444", "0.30000000000000004"},
	{"123456.789012345", "123456.789012345"},
	{"1.7976931348623157e308", "1.7976931348623157e+308"},
	{"5e-324", "5e-324"}, {"4.9406564584124654e-324", "5e-324"},
	{"1e-400", "0"}, {"1e22", "1e+22"}, {"10000000000000000000000", "1e+22"},
	{"[1,2.0,3e0]", "[1,2,3]"},
	/* no JSON */
	{"", NULL}, {" ", NULL}, {"{", NULL}, {"{\"a\"}", NULL},
	{"{\"a\":1,}", NULL}, {"[1,]", NULL}, {"[1 2]", NULL}, {"{}{}", NULL},
	{"nul", NULL}, {"True", NULL}, {"NaN", NULL}, {"Infinity", NULL},
	{"01", NULL}, {"1.", NULL}, {".5", NULL}, {"+1", NULL}, {"-", NULL},
	{"1e", NULL}, {"1e+", NULL}, {"0x1", NULL}, {"1e999", NULL},
	{"-1e999", NULL}, {"\"", NULL}, {"\"\\\"", NULL}, {"\"\\u12\"", NULL},
	{"\"\\x\"", NULL}, {"'a'", NULL}, {"\"\n\"", NULL}, {"\"\\ud800\"", NULL},
	{"\"\\ud800x\"", NULL}, {"\"\\udc00\"", NULL},
	{"\"\\ud800\\u0041\"", NULL}, {"\"\xff\"", NULL}, {"\"\xc0\xaf\"", NULL},
	{"\"\xed\xa0\x80\"", NULL}, {"\"\xf4\x90\x80\x80\"", NULL},
	{"\"\xe2\x82\"", NULL}, {"\xef\xbb\xbf{}", NULL},
	{"{\"a\":1,\"a\":1}", NULL}, {"{\"a\":1,\"b\":2,\"\\u0061\":3}", NULL},
	{"{\"x\":{\"a\":1,\"a\":2}}", NULL}, {"{a:1}", NULL}, {"/**/1", NULL},
};

/* In memory of exactly this size, so that valgrind sees one byte too many. */
static const char *
canon_exact(const char *text, size_t len, FmBuf *out)
{
	char	   *copy = fm_xmalloc(len);
	const char *why;

	memcpy(copy, text, len);
	why = fm_canon(copy, len, out);
	free(copy);
	return why;
}

static void
check_table(void)
{
	FmBuf		out = FM_BUF_INIT;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		const char *want = table[i].out;
		const char *why;
		bool		good;

		fm_buf_reset(&out);
		fm_buf_puts(&out, "kept");
		why = canon_exact(table[i].in, strlen(table[i].in), &out);
		good = want ? why == NULL && out.len == 4 + strlen(want) &&
			memcmp(out.data + 4, want, strlen(want)) == 0
			: why != NULL && out.len == 4;
		if (good)
			continue;
		printf("# %s: %.*s (%s), expected %s\n", table[i].in, (int) out.len,
			   out.data, why ? why : "fine", want ? want : "an error");
		failures++;
	}
	ok(failures == 0, "canonical forms of the table");
	fm_buf_free(&out);
}

static void
check_depth(void)
{
	FmBuf		in = FM_BUF_INIT;
	FmBuf		out = FM_BUF_INIT;

	for (int i = 0; i < 512; i++)
		fm_buf_putc(&in, '[');
	for (int i = 0; i < 512; i++)
		fm_buf_putc(&in, ']');
	ok(fm_canon(in.data, in.len, &out) == NULL && out.len == 1024,
	   "nesting 512 deep is read");
	fm_buf_reset(&in);
	for (int i = 0; i < 1000000; i++)
		fm_buf_putc(&in, '[');
	ok(fm_canon(in.data, in.len, &out) != NULL,
	   "nesting a million deep is refused, not a crash");
	fm_buf_free(&in);
	fm_buf_free(&out);
}

static void
check_digest(void)
{
	ok(fm_fnv1a64("", 0) == UINT64_C(0xcbf29ce484222325) &&
	   fm_fnv1a64("a", 1) == UINT64_C(0xaf63dc4c8601ec8c) &&
	   fm_fnv1a64("foobar", 6) == UINT64_C(0x85944171f73967e8),
	   "FNV-1a: the published test vectors");
}

static void
check_time(void)
{
	char		text[FM_TIME_LEN];
	int64_t		us;
	bool		good = true;
	static const char *const bad[] = {"2025-02-29T00:00:00Z", "2025-01-01",
		"2025-01-01T00:00:00", "2025-01-01T24:00:00Z",
		"2025-01-01T00:00:00+1:00", "2025-01-01T00:00:00Zx",
	"2025-1-01T00:00:00Z", "@", "@x", "", "tomorrow"};

	for (int64_t at = -62167219200; at < 253402300800; at += 86400 * 17 + 4711)
	{
		char		z[FM_TIME_LEN + 1] = "";

		fm_time_format(at * FM_SECOND + 11144, z);
		good &= fm_time_parse(z, &us) && us == at * FM_SECOND + 11144;
	}
	ok(good, "times of ten thousand years go there and back");
	good = fm_time_parse("2025-09-16T23:41:41.011144+02:00", &us);
	fm_time_format(us, text);
	ok(good && memcmp(text, "2025-09-16T21:41:41.011144Z", FM_TIME_LEN) == 0,
	   "a time with an offset");
	good = fm_time_parse("@1758058901.5", &us);
	ok(good && us == INT64_C(1758058901500000), "a time in seconds");
	good = true;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		good &= !fm_time_parse(bad[i], &us);
	ok(good, "bad times are refused");
}

/* ---- messages ---- */

static FmFleetSettings
plant(const FmFormat *format, uint32_t sensors)
{
	FmFleetSettings set = {.plant = format->plant,.sensors = sensors,
		.host = "here",
		.interval = NAN,.base = NAN,.warning = NAN,.critical = NAN,
		.warning_share = 0.15,.critical_share = 0.05,.seed = 42,
	.start = INT64_C(1758058901011144)};

	return set;
}

/* The format's name goes in front of what is checked. */
static void
ok_for(const FmFormat *format, bool good, const char *what)
{
	char		name[120];

	snprintf(name, sizeof(name), "%s: %s", format->name, what);
	ok(good, name);
}

static void
check_messages(const FmFormat *format)
{
	FmFleetSettings set = plant(format, 50);
	FmFleet		fleet;
	FmPieces	pieces = {0};
	FmRng		rng = fm_rng_make(1, 1);
	FmBuf		fast = FM_BUF_INIT;
	FmBuf		slow = FM_BUF_INIT;
	int			different = 0;
	int			bad = 0;
	int			bad_extra = 0;

	fm_fleet_init(&fleet, &set);
	for (int i = 0; i < 20000; i++)
	{
		FmReading	r;

		fm_fleet_next(&fleet, true, &r);
		fm_fleet_identify(&fleet, &r);
		fm_buf_reset(&fast);
		fm_buf_reset(&slow);
		fm_format_put(format, &fast, &r, r.at);
		fm_format_pieces(format, &pieces, &r, r.at);
		fm_pieces_join(&pieces, &slow);
		different += fast.len != slow.len ||
			memcmp(fast.data, slow.data, fast.len) != 0;
		bad += !is_reading(format, fast.data, fast.len);
		fm_buf_reset(&slow);
		fm_format_put_extra(format, &slow, &pieces, &rng, &r, r.at, true, 0);
		if (!is_reading(format, slow.data, slow.len) && bad_extra++ == 0)
			printf("# %.*s\n", (int) slow.len, slow.data);
	}
	ok_for(format, different == 0,
		   "both ways to a message give the same bytes");
	ok_for(format, bad == 0, "readings are readings");
	ok_for(format, bad_extra == 0, "unusual readings are readings");
	fm_fleet_free(&fleet);
	fm_pieces_free(&pieces);
	fm_buf_free(&fast);
	fm_buf_free(&slow);
}

static void
check_big(const FmFormat *format)
{
	FmFleetSettings set = plant(format, 1);
	FmFleet		fleet;
	FmPieces	pieces = {0};
	FmRng		rng = fm_rng_make(1, 1);
	FmBuf		out = FM_BUF_INIT;
	FmReading	r;

	fm_fleet_init(&fleet, &set);
	fm_fleet_next(&fleet, true, &r);
	fm_format_put_extra(format, &out, &pieces, &rng, &r, r.at, false, 900000);
	ok_for(format, out.len == 900000 &&
		   is_reading(format, out.data, out.len),
		   "a padded reading has the size asked for");
	fm_fleet_free(&fleet);
	fm_pieces_free(&pieces);
	fm_buf_free(&out);
}

static void
check_malformed(const FmFormat *format)
{
	FmFleetSettings set = plant(format, 50);
	FmFleet		fleet;
	FmPieces	pieces = {0};
	FmRng		rng = fm_rng_make(2, 2);
	FmBuf		out = FM_BUF_INIT;

	fm_fleet_init(&fleet, &set);
	for (int form = 0; fm_malform_name(form); form++)
	{
		int			accepted = 0;
		char		name[80];

		for (int i = 0; i < 400; i++)
		{
			FmReading	r;

			fm_fleet_next(&fleet, false, &r);
			fm_buf_reset(&out);
			fm_malform_put(format, &out, &pieces, &rng, UINT32_C(1) << form,
						   &r, r.at);
			if (is_reading(format, out.len ? out.data : "", out.len) &&
				accepted++ == 0)
				printf("# %.*s\n", (int) out.len, out.data);
		}
		snprintf(name, sizeof(name), "malformed: %s", fm_malform_name(form));
		ok_for(format, accepted == 0, name);
	}
	ok(fm_malform_parse("nul,empty") != 0 && fm_malform_parse("nul,") != 0 &&
	   fm_malform_parse("nulx") == 0 && fm_malform_parse(",") == 0,
	   "lists of kinds are read, unknown ones refused");
	fm_fleet_free(&fleet);
	fm_pieces_free(&pieces);
	fm_buf_free(&out);
}

/* ---- canonical text against json-c ---- */

/* Spellings that json-c and we agree on; integers stay below 2^53. */
static void
check_against_json_c(void)
{
	FmFleetSettings set = plant(fm_format(0), 5);
	FmFleet		fleet;
	FmPieces	pieces = {0};
	FmRng		rng = fm_rng_make(3, 3);
	FmBuf		text = FM_BUF_INIT;
	FmBuf		canon = FM_BUF_INIT;
	FmBuf		again = FM_BUF_INIT;
	int			different = 0;
	int			unstable = 0;

	fm_fleet_init(&fleet, &set);
	for (int i = 0; i < 5000; i++)
	{
		FmReading	r;
		struct json_object *a;
		struct json_object *b;
		struct json_object *value;
		double		d;

		fm_fleet_next(&fleet, true, &r);
		fm_pieces_from(&pieces, &r, r.at);
		d = (fm_rng_unit(&rng) - 0.5) *
			pow(10, fm_rng_range(&rng, -300, 300)) + 0.5e-300;
		fm_pieces_set(&pieces, "value", "%.17g", d);
		fm_pieces_set(&pieces, "unit", "\"\\u%04x\\t\\\"\"",
					  (unsigned) (1 + fm_rng_below(&rng, 0xd7fe)));
		fm_buf_reset(&text);
		fm_buf_reset(&canon);
		fm_buf_reset(&again);
		fm_pieces_join(&pieces, &text);
		if (fm_canon(text.data, text.len, &canon) != NULL ||
			fm_canon(canon.data, canon.len, &again) != NULL)
		{
			different++;
			continue;
		}
		unstable += canon.len != again.len ||
			memcmp(canon.data, again.data, canon.len) != 0;
		fm_buf_putc(&text, '\0');
		fm_buf_putc(&canon, '\0');
		a = json_tokener_parse(text.data);
		b = json_tokener_parse(canon.data);
		different += a == NULL ||
			!json_object_object_get_ex(b, "value", &value) ||
			json_object_get_double(value) != d;
		json_object_object_del(a, "value");
		json_object_object_del(a, "metadata");	/* 35.0 becomes 35 */
		json_object_object_del(a, "quality");
		json_object_object_del(b, "value");
		json_object_object_del(b, "metadata");
		json_object_object_del(b, "quality");
		different += !json_object_equal(a, b);
		json_object_put(a);
		json_object_put(b);
	}
	ok(different == 0, "json-c reads the same value from the canonical text");
	ok(unstable == 0, "the canonical form of a canonical form is itself");
	fm_fleet_free(&fleet);
	fm_pieces_free(&pieces);
	fm_buf_free(&text);
	fm_buf_free(&canon);
	fm_buf_free(&again);
}

int
main(void)
{
	check_table();
	check_depth();
	check_digest();
	check_time();
	for (int i = 0; fm_format(i); i++)
	{
		check_messages(fm_format(i));
		check_big(fm_format(i));
		check_malformed(fm_format(i));
	}
	check_against_json_c();
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
