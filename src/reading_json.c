/*-------------------------------------------------------------------------
 *
 * reading_json.c
 *	  The check of JSON text that nobody vouches for.
 *
 * fm_json_check() goes over all of a message once and takes nothing on trust.
 * It answers yes or no and keeps nothing; reading_text.c then finds its way
 * through text of which everything is known to be well-formed.
 *
 * We do the grammar ourselves.  The JSON libraries at hand are lenient where
 * we must not be (numbers that saturate, the last of several equal keys wins,
 * U+0000 cuts a key short) and hand out doubles where we need the digits.
 *
 * What is taken: exactly RFC 8259 in exactly UTF-8 (no byte order mark, no
 * surrogates, no overlong forms), and less than that in five points:
 *	- U+0000, which PostgreSQL cannot store;
 *	- more than FM_MAX_DEPTH levels of arrays and objects;
 *	- two members of one object with the same name once escapes are resolved,
 *	  at any depth;
 *	- numbers, anywhere, that no finite double is near to;
 *	- numbers with more than FM_MAX_DECIMAL_PLACES decimal places.
 *
 * Which fault is reported when there are several: the first one met when
 * reading from left to right (a number is judged where it ends, a surrogate
 * where the other half should be), except that repeated members count only
 * when there is no other fault; among those it is the repetition at the
 * lowest byte offset.  Offsets count from 0.
 *
 * Time is linear in the length of the message, but for the search for
 * repeated members, which sorts the names of an object that has many.  The C
 * stack does not grow with the depth of the message.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "reading_internal.h"

/* Up to here every name of an object is compared with every other. */
#define FEW_MEMBERS			16

/* Names remembered without asking the arena. */
#define INLINE_KEYS			64

/* How much of a name a detail repeats. */
#define SHOWN_KEY			64

#define NO_OFFSET			UINT32_MAX

/* A member's name, by the position of its opening quote. */
typedef struct KeyRef
{
	uint32_t	offset;
	uint32_t	hash;			/* of its characters, escapes resolved */
} KeyRef;

/* An array or object that is still open. */
typedef struct OpenLevel
{
	char		close;			/* ']' or '}' */
	int			first_key;		/* an object's names in Scan.keys begin here */
} OpenLevel;

typedef struct Scan
{
	const char *text;
	const char *end;
	const char *p;				/* next byte to look at */
	FmArena    *arena;
	FmDecoded  *result;
	int			depth;
	OpenLevel	level[FM_MAX_DEPTH];
	KeyRef	   *keys;			/* names of all open objects, as a stack */
	int			nkeys;
	int			max_keys;
	uint32_t	repeated;		/* lowest offset of a repeated name */
	KeyRef		inline_keys[INLINE_KEYS];
} Scan;

/* What the grammar allows next. */
typedef enum Expect
{
	EXPECT_VALUE,
	EXPECT_VALUE_OR_CLOSE,		/* after '[' */
	EXPECT_KEY,
	EXPECT_KEY_OR_CLOSE,		/* after '{' */
	EXPECT_MORE,				/* a value has just ended */
	EXPECT_NOTHING,				/* the message is complete */
	EXPECT_FAILED				/* result has been filled in */
} Expect;

/* ------------------------------------------------------------------------
 * Characters
 * ------------------------------------------------------------------------
 */

/* Length of the well-formed UTF-8 sequence at p (not ASCII), or 0. */
static int
utf8_sequence(const char *p, const char *end)
{
	unsigned char first = (unsigned char) p[0];
	unsigned char second;

	if (first < 0xC2 || first > 0xF4 || end - p < 2 ||
		!fm_is_continuation(p + 1))
		return 0;
	second = (unsigned char) p[1];
	if (first < 0xE0)
		return 2;
	if (end - p < 3 || !fm_is_continuation(p + 2))
		return 0;
	if (first < 0xF0)
	{
		if ((first == 0xE0 && second < 0xA0) || /* overlong */
			(first == 0xED && second > 0x9F))	/* surrogate */
			return 0;
		return 3;
	}
	if (end - p < 4 || !fm_is_continuation(p + 3))
		return 0;
	if ((first == 0xF0 && second < 0x90) || /* overlong */
		(first == 0xF4 && second > 0x8F))	/* above U+10FFFF */
		return 0;
	return 4;
}

static bool
is_high_surrogate(uint32_t unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool
is_low_surrogate(uint32_t unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* ------------------------------------------------------------------------
 * Faults
 * ------------------------------------------------------------------------
 */

/* Report a fault at scan->p as "<what> at byte offset <n>." */
static bool
fault(Scan *scan, FmRejectReason reason, const char *what)
{
	return fm_reject(scan->result, reason, "%s at byte offset %d.", what,
					 (int) (scan->p - scan->text));
}

/* Report that something else than the byte at scan->p was expected. */
static bool
unexpected(Scan *scan, const char *expected)
{
	int			offset = (int) (scan->p - scan->text);
	unsigned char c;

	if (scan->p == scan->end)
		return fm_reject(scan->result, FM_REJECT_INVALID_JSON,
						 "Expected %s, but the message ends at byte offset "
						 "%d.",
						 expected, offset);
	c = (unsigned char) *scan->p;
	if (offset == 0 && scan->end - scan->p >= 3 &&
		memcmp(scan->p, "\xEF\xBB\xBF", 3) == 0)
		return fm_reject(scan->result, FM_REJECT_INVALID_JSON,
						 "The message begins with a byte order mark.");
	if (c > 0x20 && c < 0x7F)
		return fm_reject(scan->result, FM_REJECT_INVALID_JSON,
						 "Expected %s, but found '%c' at byte offset %d.",
						 expected, c, offset);
	return fm_reject(scan->result, FM_REJECT_INVALID_JSON,
					 "Expected %s, but found byte 0x%02X at byte offset %d.",
					 expected, c, offset);
}

/* ------------------------------------------------------------------------
 * Names that occur twice in an object
 * ------------------------------------------------------------------------
 */

static uint32_t
hash_key(const char *key)
{
	const char *p = key + 1;
	uint32_t	hash = 2166136261u;
	uint32_t	character;

	while ((character = fm_json_next_character(&p)) != FM_END_OF_STRING)
		hash = (hash ^ character) * 16777619u;
	return hash;
}

/* Remember the name whose opening quote is at key; false: no memory. */
static bool
push_key(Scan *scan, const char *key)
{
	if (scan->nkeys == scan->max_keys)
	{
		size_t		size = (size_t) scan->max_keys * sizeof(KeyRef);
		KeyRef	   *keys = fm_arena_alloc(scan->arena, 2 * size);

		if (keys == NULL)
			return fm_reject(scan->result, FM_REJECT_OUT_OF_MEMORY,
							 "There is no memory left to decode the message.");
		memcpy(keys, scan->keys, size);
		scan->keys = keys;
		scan->max_keys *= 2;
	}
	scan->keys[scan->nkeys].offset = (uint32_t) (key - scan->text);
	scan->keys[scan->nkeys].hash = hash_key(key);
	scan->nkeys++;
	return true;
}

/* Some total order of names in which equal ones are equal. */
static int
compare_names(const Scan *scan, const KeyRef *a, const KeyRef *b)
{
	const char *p = scan->text + a->offset + 1;
	const char *q = scan->text + b->offset + 1;
	uint32_t	left;
	uint32_t	right;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	do
	{
		left = fm_json_next_character(&p);
		right = fm_json_next_character(&q);
	} while (left == right && left != FM_END_OF_STRING);
	return left < right ? -1 : left > right ? 1 : 0;
}

/* By name, equal names by position. */
static bool
sorts_before(const Scan *scan, const KeyRef *a, const KeyRef *b)
{
	int			order = compare_names(scan, a, b);

	return order < 0 || (order == 0 && a->offset < b->offset);
}

/* Let the key at root sink to its place in the heap keys[0 .. n - 1]. */
static void
sift_down(const Scan *scan, KeyRef *keys, int root, int n)
{
	KeyRef		sinking = keys[root];

	for (;;)
	{
		int			child = 2 * root + 1;

		if (child >= n)
			break;
		if (child + 1 < n &&
			sorts_before(scan, &keys[child], &keys[child + 1]))
			child++;
		if (!sorts_before(scan, &sinking, &keys[child]))
			break;
		keys[root] = keys[child];
		root = child;
	}
	keys[root] = sinking;
}

/* Heapsort: no memory, no worst case that a sender could look for. */
static void
sort_keys(const Scan *scan, KeyRef *keys, int n)
{
	int			i;

	for (i = n / 2 - 1; i >= 0; i--)
		sift_down(scan, keys, i, n);
	for (i = n - 1; i > 0; i--)
	{
		KeyRef		largest = keys[0];

		keys[0] = keys[i];
		keys[i] = largest;
		sift_down(scan, keys, 0, i);
	}
}

static void
note_repeated(Scan *scan, const KeyRef *a, const KeyRef *b)
{
	uint32_t	later = a->offset > b->offset ? a->offset : b->offset;

	if (a->hash == b->hash && later < scan->repeated &&
		compare_names(scan, a, b) == 0)
		scan->repeated = later;
}

/* Look for repeated names among the n of an object that has just ended. */
static void
check_names(Scan *scan, KeyRef *keys, int n)
{
	int			i;
	int			j;

	if (n <= FEW_MEMBERS)
	{
		for (i = 1; i < n; i++)
			for (j = 0; j < i; j++)
				note_repeated(scan, &keys[i], &keys[j]);
		return;
	}
	sort_keys(scan, keys, n);
	for (i = 1; i < n; i++)
		note_repeated(scan, &keys[i - 1], &keys[i]);
}

/* ------------------------------------------------------------------------
 * The check
 * ------------------------------------------------------------------------
 */

/*
 * Check the four digits of an escape "\uXXXX" whose backslash is at p.
 * Returns the code unit, or -1 with p moved to the offending byte.
 */
static int
scan_code_unit(Scan *scan)
{
	int			i;

	for (i = 2; i < 6; i++)
	{
		if (scan->p + i == scan->end || fm_hex_digit(scan->p[i]) < 0)
		{
			scan->p += i;
			unexpected(scan, "a hexadecimal digit");
			return -1;
		}
	}
	return (int) fm_hex_quad(scan->p + 2);
}

/* Check the escape whose backslash is at p, and go past it. */
static bool
scan_escape(Scan *scan)
{
	int			unit;

	if (scan->end - scan->p < 2 ||
		memchr("\"\\/bfnrtu", scan->p[1], 9) == NULL)
	{
		scan->p++;
		return unexpected(scan, "an escaped character");
	}
	if (scan->p[1] != 'u')
	{
		scan->p += 2;
		return true;
	}
	if ((unit = scan_code_unit(scan)) < 0)
		return false;
	if (unit == 0)
		return fault(scan, FM_REJECT_NUL_CHARACTER,
					 "A string contains the character U+0000");
	if (is_high_surrogate((uint32_t) unit))
	{
		const char *high = scan->p;

		scan->p += 6;
		if (scan->end - scan->p < 2 || scan->p[0] != '\\' ||
			scan->p[1] != 'u')
		{
			scan->p = high;
			return fault(scan, FM_REJECT_INVALID_JSON,
						 "A string contains a lone surrogate");
		}
		if ((unit = scan_code_unit(scan)) < 0)
			return false;
		if (!is_low_surrogate((uint32_t) unit))
		{
			scan->p = high;
			return fault(scan, FM_REJECT_INVALID_JSON,
						 "A string contains a lone surrogate");
		}
	}
	else if (is_low_surrogate((uint32_t) unit))
		return fault(scan, FM_REJECT_INVALID_JSON,
					 "A string contains a lone surrogate");
	scan->p += 6;
	return true;
}

/* Check the string whose opening quote is at p, and go past it. */
static bool
scan_string(Scan *scan)
{
	scan->p++;
	for (;;)
	{
		unsigned char c;
		int			len;

		if (scan->p == scan->end)
			return unexpected(scan, "the end of a string");
		c = (unsigned char) *scan->p;
		if (c == '"')
		{
			scan->p++;
			return true;
		}
		if (c == '\\')
		{
			if (!scan_escape(scan))
				return false;
		}
		else if (c < 0x20)
			return fault(scan, FM_REJECT_INVALID_JSON,
						 "A string contains an unescaped control character");
		else if (c < 0x80)
			scan->p++;
		else if ((len = utf8_sequence(scan->p, scan->end)) > 0)
			scan->p += len;
		else
			return fault(scan, FM_REJECT_INVALID_UTF8,
						 "A string contains invalid UTF-8");
	}
}

/* One or more digits. */
static bool
scan_digits(Scan *scan)
{
	if (scan->p == scan->end || !fm_is_digit(*scan->p))
		return unexpected(scan, "a digit");
	while (scan->p < scan->end && fm_is_digit(*scan->p))
		scan->p++;
	return true;
}

/* Check the number that begins at p, and go past it. */
static bool
scan_number(Scan *scan)
{
	FmSlice		token = {scan->p, 0};
	FmDecimal	decimal;
	const char *what;
	bool		has_exponent = false;

	if (*scan->p == '-')
		scan->p++;
	if (scan->p < scan->end && *scan->p == '0')
	{
		scan->p++;
		if (scan->p < scan->end && fm_is_digit(*scan->p))
			return fault(scan, FM_REJECT_INVALID_JSON,
						 "A number continues after a leading zero");
	}
	else if (!scan_digits(scan))
		return false;
	if (scan->p < scan->end && *scan->p == '.')
	{
		scan->p++;
		if (!scan_digits(scan))
			return false;
	}
	if (scan->p < scan->end && (*scan->p == 'e' || *scan->p == 'E'))
	{
		has_exponent = true;
		scan->p++;
		if (scan->p < scan->end && (*scan->p == '+' || *scan->p == '-'))
			scan->p++;
		if (!scan_digits(scan))
			return false;
	}

	/* no exponent and no more than 300 digits: surely within range */
	token.len = (int) (scan->p - token.data);
	if (!has_exponent && token.len <= 300)
		return true;
	fm_decimal_parse(token, &decimal);
	if ((what = fm_decimal_fault(&decimal)) == NULL)
		return true;
	scan->p = token.data;
	return fm_reject(scan->result, FM_REJECT_NUMBER_OUT_OF_RANGE,
					 "The number at byte offset %d %s.",
					 (int) (token.data - scan->text), what);
}

/* Check the literal word expected at p, and go past it. */
static bool
scan_word(Scan *scan, const char *word)
{
	const char *w;

	for (w = word; *w != '\0'; w++)
	{
		if (scan->p == scan->end || *scan->p != *w)
			return unexpected(scan, word);
		scan->p++;
	}
	return true;
}

/* An array or object begins at p. */
static Expect
open_level(Scan *scan)
{
	bool		object = *scan->p == '{';

	if (scan->depth == FM_MAX_DEPTH)
	{
		fm_reject(scan->result, FM_REJECT_TOO_DEEP,
				  "Arrays and objects are nested more than %d deep at byte "
				  "offset %d.", FM_MAX_DEPTH, (int) (scan->p - scan->text));
		return EXPECT_FAILED;
	}
	scan->level[scan->depth].close = object ? '}' : ']';
	scan->level[scan->depth].first_key = scan->nkeys;
	scan->depth++;
	scan->p++;
	return object ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
}

/* The innermost array or object ends at p. */
static Expect
close_level(Scan *scan)
{
	OpenLevel  *level = &scan->level[--scan->depth];

	if (level->close == '}')
	{
		check_names(scan, scan->keys + level->first_key,
					scan->nkeys - level->first_key);
		scan->nkeys = level->first_key;
	}
	scan->p++;
	return EXPECT_MORE;
}

static Expect
scan_value(Scan *scan, bool or_close)
{
	char		c = scan->p == scan->end ? '\0' : *scan->p;
	bool		ok;

	switch (c)
	{
		case '{':
		case '[':
			return open_level(scan);
		case '"':
			ok = scan_string(scan);
			break;
		case 't':
			ok = scan_word(scan, "true");
			break;
		case 'f':
			ok = scan_word(scan, "false");
			break;
		case 'n':
			ok = scan_word(scan, "null");
			break;
		default:
			if (c == '-' || fm_is_digit(c))
				ok = scan_number(scan);
			else if (c == ']' && or_close)
				return close_level(scan);
			else
				ok = unexpected(scan, or_close ? "a value or ']'" : "a value");
			break;
	}
	return ok ? EXPECT_MORE : EXPECT_FAILED;
}

static void
skip_space(Scan *scan)
{
	while (scan->p < scan->end && fm_is_space(*scan->p))
		scan->p++;
}

/* A member's name and the colon after it. */
static Expect
scan_key(Scan *scan, bool or_close)
{
	const char *key = scan->p;

	if (scan->p < scan->end && *scan->p == '}' && or_close)
		return close_level(scan);
	if (scan->p == scan->end || *scan->p != '"')
	{
		unexpected(scan, or_close ? "a member name or '}'" : "a member name");
		return EXPECT_FAILED;
	}
	if (!scan_string(scan) || !push_key(scan, key))
		return EXPECT_FAILED;
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != ':')
	{
		unexpected(scan, "':'");
		return EXPECT_FAILED;
	}
	scan->p++;
	return EXPECT_VALUE;
}

/* What follows a complete value. */
static Expect
scan_more(Scan *scan)
{
	char		c = scan->p == scan->end ? '\0' : *scan->p;
	char		close;

	if (scan->depth == 0)
	{
		if (scan->p == scan->end)
			return EXPECT_NOTHING;
		unexpected(scan, "the end of the message");
		return EXPECT_FAILED;
	}
	close = scan->level[scan->depth - 1].close;
	if (c == close)
		return close_level(scan);
	if (c == ',')
	{
		scan->p++;
		return close == '}' ? EXPECT_KEY : EXPECT_VALUE;
	}
	unexpected(scan, close == '}' ? "',' or '}'" : "',' or ']'");
	return EXPECT_FAILED;
}

/* The first repeated name there was, if any, is a fault after all others. */
static bool
report_repeated(Scan *scan)
{
	const char *key;
	const char *p;

	if (scan->repeated == NO_OFFSET)
		return true;
	key = scan->text + scan->repeated + 1;
	p = key;
	while (fm_json_next_character(&p) != FM_END_OF_STRING)
		;
	return fm_reject(scan->result, FM_REJECT_DUPLICATE_KEY,
					 "Member \"%.*s\" occurs twice in the same object, the "
					 "second time at byte offset %d.",
					 fm_utf8_clip(key, (int) (p - key), SHOWN_KEY), key,
					 (int) scan->repeated);
}

bool
fm_json_check(const char *text, int len, FmArena *arena, FmDecoded *result)
{
	Expect		expect = EXPECT_VALUE;
	Scan		scan;

	scan.text = scan.p = text;
	scan.end = text + len;
	scan.arena = arena;
	scan.result = result;
	scan.depth = 0;
	scan.keys = scan.inline_keys;
	scan.nkeys = 0;
	scan.max_keys = INLINE_KEYS;
	scan.repeated = NO_OFFSET;

	while (expect != EXPECT_NOTHING)
	{
		skip_space(&scan);
		switch (expect)
		{
			case EXPECT_VALUE:
			case EXPECT_VALUE_OR_CLOSE:
				expect = scan_value(&scan, expect == EXPECT_VALUE_OR_CLOSE);
				break;
			case EXPECT_KEY:
			case EXPECT_KEY_OR_CLOSE:
				expect = scan_key(&scan, expect == EXPECT_KEY_OR_CLOSE);
				break;
			case EXPECT_MORE:
				expect = scan_more(&scan);
				break;
			default:
				return false;
		}
	}
	return report_repeated(&scan);
}
