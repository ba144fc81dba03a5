/*-------------------------------------------------------------------------
 *
 * oracle.c
 *	  A second opinion on what a factory message is.
 *
 * In three parts, each a plain reading of the rules:
 *	- grammar_*: a recursive-descent recogniser of JSON text;
 *	- judge_*: the members, looked up in the tree that json-c makes;
 *	- rebuild_*: the message put together again from the reading, compared
 *	  with json-c's tree of the original.
 * json-c is lenient in grammar, so it is only asked about text that the
 * recogniser accepts, and that it must accept then too.  It keeps the last of
 * several members with the same name, so the tree has fewer members than the
 * text exactly if a name was repeated.
 *
 * Not seen here, because json-c saturates: digits of integers beyond 64 bits.
 * The SQL test rebuild.sql compares those.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "messages.h"
#include "oracle.h"

#define MAX_PLACES		16383
#define MAX_LAST_POWER	(2L * FM_MAX_PAYLOAD)
#define UNIX_TO_2000	INT64_C(946684800)

/* ------------------------------------------------------------------------
 * Numbers, as sign, digits and exponent
 * ------------------------------------------------------------------------
 */

/* 0.digits * 10^exponent; digits has no zeros at either end. */
typedef struct Number
{
	bool		negative;
	char	   *digits;			/* malloc'ed; "" for zero */
	long		exponent;
} Number;

static Number
number_parse(const char *text)
{
	Number		number = {false, xmalloc(strlen(text) + 1), 0};
	size_t		n = 0;
	bool		fraction = false;

	for (; *text != '\0'; text++)
	{
		if (*text == '-')
			number.negative = true;
		else if (*text == '.')
			fraction = true;
		else if (*text == 'e' || *text == 'E')
		{
			number.exponent += strtol(text + 1, NULL, 10);
			break;
		}
		else
		{
			if (!fraction)
				number.exponent++;
			if (n == 0 && *text == '0')
				number.exponent--;	/* leave out a leading zero */
			else
				number.digits[n++] = *text;
		}
	}
	while (n > 0 && number.digits[n - 1] == '0')
		n--;
	number.digits[n] = '\0';
	if (n == 0)
	{
		number.negative = false;
		number.exponent = 0;
	}
	return number;
}

static bool
number_equal(const char *a, const char *b)
{
	Number		x = number_parse(a);
	Number		y = number_parse(b);
	bool		equal = x.negative == y.negative &&
		x.exponent == y.exponent && strcmp(x.digits, y.digits) == 0;

	free(x.digits);
	free(y.digits);
	return equal;
}

/* ------------------------------------------------------------------------
 * Grammar
 * ------------------------------------------------------------------------
 */

typedef struct Grammar
{
	const char *p;
	const char *end;
	int			depth;
	long		members;		/* seen so far, in all objects */
} Grammar;

static FmRejectReason grammar_value(Grammar *g);

static int
peek(Grammar *g)
{
	return g->p < g->end ? (unsigned char) *g->p : -1;
}

static void
grammar_space(Grammar *g)
{
	while (peek(g) == ' ' || peek(g) == '\t' || peek(g) == '\r' ||
		   peek(g) == '\n')
		g->p++;
}

/* A character outside ASCII, by decoding it and looking at the result. */
static FmRejectReason
grammar_utf8(const char **p, const char *end)
{
	static const unsigned int least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned int c = (unsigned char) **p;
	int			len = c >= 0xF0 && c < 0xF8 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 :
		c >= 0xC0 && c < 0xE0 ? 2 : 0;
	unsigned int character = c & (0xFFu >> (len + 1));
	int			i;

	if (len == 0)
		return FM_REJECT_INVALID_UTF8;
	for (i = 1; i < len; i++)
	{
		if (*p + i == end || ((unsigned char) (*p)[i] >> 6) != 2)
			return FM_REJECT_INVALID_UTF8;
		character = character << 6 | ((unsigned char) (*p)[i] & 0x3F);
	}
	if (character < least[len] || character > 0x10FFFF ||
		(character >= 0xD800 && character < 0xE000))
		return FM_REJECT_INVALID_UTF8;
	*p += len;
	return FM_REJECT_NONE;
}

/* "\uXXXX" at p: its value, or -1. */
static long
grammar_unit(Grammar *g)
{
	char		hex[5] = {0};
	int			i;

	if (g->end - g->p < 6 || g->p[0] != '\\' || g->p[1] != 'u')
		return -1;
	for (i = 0; i < 4; i++)
	{
		if (!isxdigit((unsigned char) g->p[2 + i]))
			return -1;
		hex[i] = g->p[2 + i];
	}
	g->p += 6;
	return strtol(hex, NULL, 16);
}

static FmRejectReason
grammar_escape(Grammar *g)
{
	long		unit;

	if (g->end - g->p >= 2 && g->p[1] != '\0' &&
		strchr("\"\\/bfnrt", g->p[1]) != NULL)
	{
		g->p += 2;
		return FM_REJECT_NONE;
	}
	unit = grammar_unit(g);
	if (unit == 0)
		return FM_REJECT_NUL_CHARACTER;
	if (unit < 0 || (unit >= 0xDC00 && unit < 0xE000))
		return FM_REJECT_INVALID_JSON;
	if (unit >= 0xD800 && unit < 0xDC00)
	{
		unit = grammar_unit(g);
		if (unit < 0xDC00 || unit >= 0xE000)
			return FM_REJECT_INVALID_JSON;
	}
	return FM_REJECT_NONE;
}

static FmRejectReason
grammar_string(Grammar *g)
{
	FmRejectReason reason = FM_REJECT_NONE;

	g->p++;
	while (reason == FM_REJECT_NONE)
	{
		int			c = peek(g);

		if (c == '"')
		{
			g->p++;
			return FM_REJECT_NONE;
		}
		if (c < 0x20)
			return FM_REJECT_INVALID_JSON;
		if (c == '\\')
			reason = grammar_escape(g);
		else if (c < 0x80)
			g->p++;
		else
			reason = grammar_utf8(&g->p, g->end);
	}
	return reason;
}

static long
grammar_digits(Grammar *g)
{
	const char *from = g->p;

	while (peek(g) >= '0' && peek(g) <= '9')
		g->p++;
	return g->p - from;
}

/* Is this number, which follows the grammar, one that we take? */
static FmRejectReason
grammar_range(const char *from, const char *to, long places, long exponent)
{
	char	   *text = strndup(from, (size_t) (to - from));
	bool		finite = isfinite(strtod(text, NULL));

	free(text);
	places -= exponent;
	return finite && places <= MAX_PLACES && places >= -MAX_LAST_POWER ?
		FM_REJECT_NONE : FM_REJECT_NUMBER_OUT_OF_RANGE;
}

/* The exponent, or some very large one. */
static long
grammar_exponent(const char *from, const char *to)
{
	char	   *digits = strndup(from, (size_t) (to - from));
	long		exponent = strtol(digits, NULL, 10);

	free(digits);
	return exponent > 1000000000 ? 1000000000 :
		exponent < -1000000000 ? -1000000000 : exponent;
}

static FmRejectReason
grammar_number(Grammar *g)
{
	const char *from = g->p;
	const char *integer;
	long		places = 0;
	long		exponent = 0;

	if (peek(g) == '-')
		g->p++;
	integer = g->p;
	if (grammar_digits(g) == 0 || (*integer == '0' && g->p - integer > 1))
		return FM_REJECT_INVALID_JSON;
	if (peek(g) == '.')
	{
		g->p++;
		if ((places = grammar_digits(g)) == 0)
			return FM_REJECT_INVALID_JSON;
	}
	if (peek(g) == 'e' || peek(g) == 'E')
	{
		const char *e = ++g->p;

		if (peek(g) == '+' || peek(g) == '-')
			g->p++;
		if (grammar_digits(g) == 0)
			return FM_REJECT_INVALID_JSON;
		exponent = grammar_exponent(e, g->p);
	}
	return grammar_range(from, g->p, places, exponent);
}

static FmRejectReason
grammar_word(Grammar *g, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (g->end - g->p) < len || memcmp(g->p, word, len) != 0)
		return FM_REJECT_INVALID_JSON;
	g->p += len;
	return FM_REJECT_NONE;
}

/* An array or object. */
static FmRejectReason
grammar_nested(Grammar *g)
{
	bool		object = peek(g) == '{';
	int			close = object ? '}' : ']';
	FmRejectReason reason;

	if (++g->depth > FM_MAX_DEPTH)
		return FM_REJECT_TOO_DEEP;
	g->p++;
	grammar_space(g);
	if (peek(g) != close)
	{
		for (;;)
		{
			grammar_space(g);
			if (object)
			{
				if (peek(g) != '"')
					return FM_REJECT_INVALID_JSON;
				if ((reason = grammar_string(g)) != FM_REJECT_NONE)
					return reason;
				g->members++;
				grammar_space(g);
				if (peek(g) != ':')
					return FM_REJECT_INVALID_JSON;
				g->p++;
				grammar_space(g);
			}
			if ((reason = grammar_value(g)) != FM_REJECT_NONE)
				return reason;
			grammar_space(g);
			if (peek(g) == close)
				break;
			if (peek(g) != ',')
				return FM_REJECT_INVALID_JSON;
			g->p++;
		}
	}
	g->p++;
	g->depth--;
	return FM_REJECT_NONE;
}

static FmRejectReason
grammar_value(Grammar *g)
{
	switch (peek(g))
	{
		case '{':
		case '[':
			return grammar_nested(g);
		case '"':
			return grammar_string(g);
		case 't':
			return grammar_word(g, "true");
		case 'f':
			return grammar_word(g, "false");
		case 'n':
			return grammar_word(g, "null");
		default:
			return grammar_number(g);
	}
}

static FmRejectReason
grammar_message(const char *payload, size_t len, long *members)
{
	Grammar		g = {payload, payload + len, 0, 0};
	FmRejectReason reason;

	if (len == 0)
		return FM_REJECT_EMPTY_PAYLOAD;
	if (len > FM_MAX_PAYLOAD)
		return FM_REJECT_TOO_LARGE;
	grammar_space(&g);
	reason = grammar_value(&g);
	if (reason != FM_REJECT_NONE)
		return reason;
	grammar_space(&g);
	*members = g.members;
	return g.p == g.end ? FM_REJECT_NONE : FM_REJECT_INVALID_JSON;
}

/* ------------------------------------------------------------------------
 * Members
 * ------------------------------------------------------------------------
 */

static long
count_members(json_object *tree)
{
	long		n = 0;

	if (json_object_is_type(tree, json_type_object))
	{
		json_object_object_foreach(tree, key, value)
		{
			(void) key;
			n += 1 + count_members(value);
		}
	}
	else if (json_object_is_type(tree, json_type_array))
	{
		size_t		i;

		for (i = 0; i < json_object_array_length(tree); i++)
			n += count_members(json_object_array_get_idx(tree, i));
	}
	return n;
}

static bool
is_number(json_object *value)
{
	return json_object_is_type(value, json_type_int) ||
		json_object_is_type(value, json_type_double);
}

/* A required string of min to max bytes. */
static FmRejectReason
judge_string(json_object *object, const char *name, int min, int max)
{
	json_object *value;

	if (!json_object_object_get_ex(object, name, &value))
		return FM_REJECT_MISSING_MEMBER;
	if (!json_object_is_type(value, json_type_string))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_get_string_len(value) < min)
		return FM_REJECT_EMPTY_STRING;
	if (json_object_get_string_len(value) > max)
		return FM_REJECT_TOO_LONG;
	return FM_REJECT_NONE;
}

/* Does text begin with pattern, where 9 stands for a digit? */
static bool
looks_like(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; text++, pattern++)
	{
		if (*pattern == '9' ? !isdigit((unsigned char) *text) :
			*text != *pattern)
			return false;
	}
	return true;
}

/* Seconds since 1970 and microseconds, by means of the C library. */
static bool
judge_timestamp(const char *text, int64_t *ts)
{
	struct tm	tm = {0};
	struct tm	back;
	time_t		instant;
	char		copy[20];
	char		t;
	double		scale = 100000;
	int			hours = 0;
	int			minutes = 0;
	bool		leap;

	*ts = 0;
	if (strlen(text) < 20 || (text[10] != 'T' && text[10] != 't'))
		return false;
	memcpy(copy, text, 19);
	copy[19] = '\0';
	copy[10] = 'T';
	if (!looks_like(copy, "9999-99-99T99:99:99") ||
		sscanf(copy, "%4d-%2d-%2d%c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon,
			   &tm.tm_mday, &t, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 7)
		return false;
	leap = tm.tm_sec == 60;
	if (leap)
		tm.tm_sec = 59;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	instant = timegm(&back);
	gmtime_r(&instant, &back);
	if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon ||
		back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
		back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return false;
	text += 19;
	if (*text == '.')
	{
		if (!isdigit((unsigned char) *++text))
			return false;
		for (; isdigit((unsigned char) *text); text++, scale /= 10)
			*ts += scale >= 1 ? (*text - '0') * (int) scale : 0;
	}
	if (looks_like(text, "+99:99") || looks_like(text, "-99:99"))
	{
		hours = (text[1] - '0') * 10 + text[2] - '0';
		minutes = (text[4] - '0') * 10 + text[5] - '0';
		instant += (*text == '-' ? 1 : -1) * (hours * 3600 + minutes * 60);
		text += 6;
	}
	else if (*text == 'Z' || *text == 'z')
		text++;
	else
		return false;
	if (*text != '\0' || hours > 23 || minutes > 59 || tm.tm_year == -1900)
		return false;
	if (leap)
	{
		instant++;
		gmtime_r(&instant, &back);
		if (back.tm_mday != 1 || back.tm_hour + back.tm_min + back.tm_sec != 0)
			return false;
	}
	gmtime_r(&instant, &back);
	*ts += ((int64_t) instant - UNIX_TO_2000) * 1000000;
	return back.tm_year + 1900 >= 1 && back.tm_year + 1900 <= 9999;
}

static FmRejectReason
judge_quality(json_object *value)
{
	Number		number;
	FmRejectReason reason = FM_REJECT_NONE;

	if (!is_number(value))
		return FM_REJECT_WRONG_TYPE;
	number = number_parse(json_object_get_string(value));
	if (number.negative || number.exponent > 1 ||
		(number.exponent == 1 && strcmp(number.digits, "1") != 0))
		reason = FM_REJECT_VALUE_OUT_OF_RANGE;
	free(number.digits);
	return reason;
}

static FmRejectReason
judge_count(json_object *value)
{
	Number		number;
	FmRejectReason reason = FM_REJECT_NONE;

	if (!is_number(value))
		return FM_REJECT_WRONG_TYPE;
	number = number_parse(json_object_get_string(value));
	if ((long) strlen(number.digits) > number.exponent)
		reason = number.digits[0] == '\0' ? FM_REJECT_NONE :
			FM_REJECT_WRONG_TYPE;
	else if (number.negative)
		reason = FM_REJECT_VALUE_OUT_OF_RANGE;
	free(number.digits);
	return reason;
}

static FmRejectReason
judge_metadata(json_object *metadata)
{
	json_object *value;
	FmRejectReason reason;

	if (!json_object_is_type(metadata, json_type_object))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_object_get_ex(metadata, "reading_count", &value) &&
		(reason = judge_count(value)) != FM_REJECT_NONE)
		return reason;
	if (json_object_object_get_ex(metadata, "warning_threshold", &value) &&
		!is_number(value))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_object_get_ex(metadata, "critical_threshold", &value) &&
		!is_number(value))
		return FM_REJECT_WRONG_TYPE;
	return FM_REJECT_NONE;
}

static FmRejectReason
judge_location(json_object *tree)
{
	json_object *location;
	FmRejectReason reason;

	if (!json_object_object_get_ex(tree, "location", &location))
		return FM_REJECT_MISSING_MEMBER;
	if (!json_object_is_type(location, json_type_object))
		return FM_REJECT_WRONG_TYPE;
	if ((reason = judge_string(location, "factory_section", 0, 255)) ||
		(reason = judge_string(location, "machine_id", 0, 255)) ||
		(reason = judge_string(location, "zone", 0, 255)))
		return reason;
	return FM_REJECT_NONE;
}

static FmRejectReason
judge_message(json_object *tree)
{
	json_object *value;
	FmRejectReason reason;
	int64_t		ts;

	if (!json_object_is_type(tree, json_type_object))
		return FM_REJECT_NOT_AN_OBJECT;
	if ((reason = judge_string(tree, "timestamp", 0, FM_MAX_PAYLOAD)))
		return reason;
	if (!judge_timestamp(json_object_get_string(
			json_object_object_get(tree, "timestamp")), &ts))
		return FM_REJECT_INVALID_TIMESTAMP;
	if ((reason = judge_string(tree, "sensor_id", 1, 255)) ||
		(reason = judge_string(tree, "sensor_type", 1, 63)) ||
		(reason = judge_location(tree)))
		return reason;
	if (!json_object_object_get_ex(tree, "value", &value))
		return FM_REJECT_MISSING_MEMBER;
	if (!is_number(value))
		return FM_REJECT_WRONG_TYPE;
	if ((reason = judge_string(tree, "unit", 0, 63)))
		return reason;
	if (json_object_object_get_ex(tree, "alert_level", NULL) &&
		(reason = judge_string(tree, "alert_level", 0, 63)))
		return reason;
	if (json_object_object_get_ex(tree, "quality", &value) &&
		(reason = judge_quality(value)))
		return reason;
	if (json_object_object_get_ex(tree, "metadata", &value) &&
		(reason = judge_metadata(value)))
		return reason;
	return FM_REJECT_NONE;
}

/* ------------------------------------------------------------------------
 * Rebuilding
 * ------------------------------------------------------------------------
 */

/* json-c's tree of checked text. */
static json_object *
parse_tree(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(FM_MAX_DEPTH + 2);
	json_object *tree;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	tree = json_tokener_parse_ex(tokener, text, (int) len);
	/* a number is complete only once something else follows */
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		tree = json_tokener_parse_ex(tokener, " ", 1);
	if (json_tokener_get_error(tokener) != json_tokener_success)
	{
		json_object_put(tree);
		tree = NULL;
	}
	json_tokener_free(tokener);
	return tree;
}

static bool trees_equal(json_object *a, json_object *b);

/* Are all members of a in b, with equal values? */
static bool
members_equal(json_object *a, json_object *b)
{
	json_object_object_foreach(a, key, value)
	{
		json_object *other;

		if (!json_object_object_get_ex(b, key, &other) ||
			!trees_equal(value, other))
			return false;
	}
	return true;
}

static bool
trees_equal(json_object *a, json_object *b)
{
	size_t		i;

	if (is_number(a) && is_number(b))
		return number_equal(json_object_get_string(a),
							json_object_get_string(b));
	if (json_object_get_type(a) != json_object_get_type(b))
		return false;
	if (json_object_is_type(a, json_type_object))
		return json_object_object_length(a) == json_object_object_length(b) &&
			members_equal(a, b);
	if (json_object_is_type(a, json_type_array))
	{
		if (json_object_array_length(a) != json_object_array_length(b))
			return false;
		for (i = 0; i < json_object_array_length(a); i++)
		{
			if (!trees_equal(json_object_array_get_idx(a, i),
							 json_object_array_get_idx(b, i)))
				return false;
		}
		return true;
	}
	return json_object_equal(a, b) == 1;
}

static json_object *
rebuild_string(FmSlice slice)
{
	return json_object_new_string_len(slice.data, slice.len);
}

static json_object *
rebuild_double(double value)
{
	char		text[FM_NUMBER_BUFFER];

	fm_format_double(value, text);
	return json_object_new_double_s(value, text);
}

/* Put the members of over into object, merging where both have objects. */
static void
merge(json_object *object, json_object *over, bool deep)
{
	json_object_object_foreach(over, key, value)
	{
		json_object *old;

		if (deep && (strcmp(key, "location") == 0 ||
					 strcmp(key, "metadata") == 0) &&
			json_object_object_get_ex(object, key, &old))
			merge(old, value, false);
		else
			json_object_object_add(object, key, json_object_get(value));
	}
}

static json_object *
rebuild_metadata(const FmReading *reading)
{
	json_object *metadata = json_object_new_object();

	if (reading->has_reading_count)
		json_object_object_add(metadata, "reading_count",
							   json_object_new_int(reading->reading_count));
	if (reading->has_warning_threshold)
		json_object_object_add(metadata, "warning_threshold",
							   rebuild_double(reading->warning_threshold));
	if (reading->has_critical_threshold)
		json_object_object_add(metadata, "critical_threshold",
							   rebuild_double(reading->critical_threshold));
	return metadata;
}

static json_object *
rebuild(const FmReading *reading, json_object *extra)
{
	static const char *const levels[] = {NULL, "normal", "warning",
	"critical"};
	json_object *tree = json_object_new_object();
	json_object *location = json_object_new_object();
	char		text[FM_NUMBER_BUFFER];
	int			len;

	len = fm_format_rfc3339(reading->ts, reading->ts_digits, text);
	json_object_object_add(tree, "timestamp",
						   json_object_new_string_len(text, len));
	json_object_object_add(tree, "sensor_id",
						   rebuild_string(reading->sensor_id));
	json_object_object_add(tree, "sensor_type",
						   rebuild_string(reading->sensor_type));
	json_object_object_add(location, "factory_section",
						   rebuild_string(reading->factory_section));
	json_object_object_add(location, "machine_id",
						   rebuild_string(reading->machine_id));
	json_object_object_add(location, "zone", rebuild_string(reading->zone));
	json_object_object_add(tree, "location", location);
	json_object_object_add(tree, "value", rebuild_double(reading->value));
	json_object_object_add(tree, "unit", rebuild_string(reading->unit));
	if (reading->reported != FM_REPORTED_NONE &&
		reading->reported != FM_REPORTED_OTHER)
	{
		const char *level = levels[reading->reported];

		json_object_object_add(tree, "alert_level",
							   json_object_new_string(level));
	}
	if (reading->has_quality)
	{
		fm_format_float(reading->quality, text);
		json_object_object_add(tree, "quality",
							   json_object_new_double_s(reading->quality,
														text));
	}
	if (reading->has_reading_count || reading->has_warning_threshold ||
		reading->has_critical_threshold)
		json_object_object_add(tree, "metadata", rebuild_metadata(reading));
	if (extra != NULL)
		merge(tree, extra, true);
	return tree;
}

/* ------------------------------------------------------------------------
 * The verdict
 * ------------------------------------------------------------------------
 */

static bool
is_utf8(const char *text, size_t len)
{
	const char *p = text;
	const char *end = text + len;

	while (p < end)
	{
		if ((unsigned char) *p < 0x80)
			p++;
		else if (grammar_utf8(&p, end) != FM_REJECT_NONE)
			return false;
	}
	return true;
}

/* Text for people: one line of UTF-8 that is there and ends. */
static bool
is_presentable(const char *text, size_t size)
{
	size_t		len = strnlen(text, size);
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] < 0x20)
			return false;
	}
	return len > 0 && len < size && is_utf8(text, len);
}

static bool
double_is_nearest(double value, json_object *tree, const char *name)
{
	json_object *member = json_object_object_get(tree, name);

	return value == strtod(json_object_get_string(member), NULL) ||
		json_object_is_type(member, json_type_int);
}

static bool
quality_is_nearest(const FmReading *reading, json_object *tree)
{
	json_object *member;

	if (!json_object_object_get_ex(tree, "quality", &member))
		return !reading->has_quality;
	return reading->has_quality &&
		reading->quality == strtof(json_object_get_string(member), NULL);
}

/* What is wrong with this reading of this message, or NULL. */
static const char *
check_reading(const FmReading *reading, json_object *tree)
{
	json_object *extra = NULL;
	json_object *rebuilt;
	int64_t		ts;
	bool		equal;

	if (!judge_timestamp(json_object_get_string(
			json_object_object_get(tree, "timestamp")), &ts) ||
		ts != reading->ts)
		return "the timestamp differs";
	if (!isfinite(reading->value) ||
		!double_is_nearest(reading->value, tree, "value"))
		return "value is not the nearest double";
	if (!quality_is_nearest(reading, tree))
		return "quality is not the nearest float";
	if (reading->extra.data != NULL)
	{
		extra = parse_tree(reading->extra.data, (size_t) reading->extra.len);
		if (!json_object_is_type(extra, json_type_object))
			return "extra is no JSON object";
		if (json_object_object_length(extra) == 0)
			return "extra is empty";
	}
	rebuilt = rebuild(reading, extra);
	equal = trees_equal(rebuilt, tree);
	json_object_put(rebuilt);
	json_object_put(extra);
	return equal ? NULL : "the message cannot be rebuilt from the reading";
}

/* What the oracle says; *tree is filled in if the text is JSON. */
static FmRejectReason
expected_reason(const char *payload, size_t len, json_object **tree,
				const char **problem)
{
	long		members = 0;
	FmRejectReason reason = grammar_message(payload, len, &members);

	if (reason != FM_REJECT_NONE)
		return reason;
	*tree = parse_tree(payload, len);
	/* json-c gives NULL for null */
	if (*tree == NULL)
	{
		if (memmem(payload, len, "null", 4) == NULL)
			*problem = "json-c does not take this text";
		return FM_REJECT_NOT_AN_OBJECT;
	}
	if (count_members(*tree) != members)
		return FM_REJECT_DUPLICATE_KEY;
	return judge_message(*tree);
}

bool
oracle_agrees(const char *payload, size_t len, FmArena *arena,
			  FmRejectReason *reason, char *complaint, size_t size)
{
	FmDecoded	decoded;
	json_object *tree = NULL;
	const char *problem = NULL;
	FmRejectReason expected;

	fm_decode_factory(payload, len, arena, &decoded);
	*reason = decoded.reason;
	expected = expected_reason(payload, len, &tree, &problem);
	if (problem == NULL && expected != decoded.reason)
		problem = "the reasons differ";
	else if (problem == NULL && expected == FM_REJECT_NONE)
	{
		if (decoded.nreadings != 1 || decoded.detail[0] != '\0')
			problem = "there is not just one reading";
		else
			problem = check_reading(&decoded.readings[0], tree);
	}
	else if (problem == NULL &&
			 (decoded.nreadings != 0 ||
			  !is_presentable(decoded.detail, sizeof(decoded.detail))))
		problem = "the detail is not presentable";
	json_object_put(tree);
	if (problem != NULL)
		snprintf(complaint, size, "%s: expected %s, got %s (%s)", problem,
				 fm_reject_reason_name(expected),
				 fm_reject_reason_name(decoded.reason),
				 decoded.reason == FM_REJECT_NONE ? "" : decoded.detail);
	return problem == NULL;
}
