/*-------------------------------------------------------------------------
 *
 * mapping_pattern.c
 *	  Patterns that a text must match: a small kind of regular expressions.
 *
 * Of regular expressions this has what names and ids need and what is done in
 * a time that nobody can make long: characters, '.', classes such as
 * [0-9a-fA-F] and [^ ], \d, \w, \s and escapes, each with '?', '*', '+',
 * {n}, {n,} or {n,m} behind it.  There are no groups and no alternatives.  The
 * whole text has to match.
 *
 * Repetitions are written out, so a pattern is a row of items, each to be
 * matched once, at most once, or any number of times.  Matching goes over the
 * text once, with the set of all items that could be the next: time is at
 * worst the product of both lengths, and texts have 255 bytes.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

#define WORDS_OF_SET	((FM_MAX_ITEMS + 1 + 63) / 64)

/* Items that could be next; FM_MAX_ITEMS + 1 bits, the last: the end. */
typedef struct Set
{
	uint64_t	bits[WORDS_OF_SET];
} Set;

static bool
in_set(const Set *set, int i)
{
	return (set->bits[i / 64] >> (i % 64) & 1) != 0;
}

/* ------------------------------------------------------------------------
 * Compiling
 * ------------------------------------------------------------------------
 */

static void
allow(FmPatternItem *item, uint32_t character)
{
	item->ascii[character / 32] |= UINT32_C(1) << character % 32;
}

static void
allow_range(FmPatternItem *item, uint32_t from, uint32_t to)
{
	for (; from <= to; from++)
		allow(item, from);
}

/* What "\d", "\w", "\s" stand for; any other character stands for itself. */
static bool
allow_escaped(FmPatternItem *item, uint32_t character)
{
	if (character == 'd' || character == 'w')
		allow_range(item, '0', '9');
	if (character == 'w')
	{
		allow_range(item, 'a', 'z');
		allow_range(item, 'A', 'Z');
		allow(item, '_');
	}
	else if (character == 's')
	{
		allow(item, ' ');
		allow_range(item, '\t', '\r');
	}
	else if (character != 'd')
	{
		uint32_t	small = character | 0x20;

		if (character >= 0x80 || (small >= 'a' && small <= 'z'))
			return false;
		allow(item, character);
	}
	return true;
}

static void
negate(FmPatternItem *item)
{
	int			i;

	for (i = 0; i < 4; i++)
		item->ascii[i] = ~item->ascii[i];
	item->others = true;
}

/* A class, from behind its bracket on. */
static const char *
compile_class(const char **p, const char *end, FmPatternItem *item)
{
	bool		negative = *p < end && **p == '^';
	const char *first;

	if (negative)
		*p += 1;
	for (first = *p; *p < end && (**p != ']' || *p == first);)
	{
		uint32_t	from = fm_utf8_next(p);

		if (from >= 0x80)
			return "a class has a character that is not ASCII";
		if (from == '\\')
		{
			if (*p == end || !allow_escaped(item, fm_utf8_next(p)))
				return "a backslash is followed by something unknown";
		}
		else if (end - *p >= 2 && **p == '-' && (*p)[1] != ']')
		{
			uint32_t	to;

			*p += 1;
			to = fm_utf8_next(p);
			if (to >= 0x80 || to < from)
				return "a class has a range that ends before it begins, or "
					"beyond ASCII";
			allow_range(item, from, to);
		}
		else
			allow(item, from);
	}
	if (*p == end)
		return "a class has no end";
	*p += 1;
	if (negative)
		negate(item);
	return NULL;
}

/* What matches one character. */
static const char *
compile_item(const char **p, const char *end, FmPatternItem *item)
{
	uint32_t	character = fm_utf8_next(p);

	memset(item, 0, sizeof(*item));
	if (character == '.')
		negate(item);
	else if (character == '[')
		return compile_class(p, end, item);
	else if (character == '\\')
	{
		if (*p == end || !allow_escaped(item, fm_utf8_next(p)))
			return "a backslash is followed by something unknown";
	}
	else if (character < 0x80 && strchr("?*+{}()|^$]", (int) character))
		return "one of ?*+{}()|^$] stands for nothing here; for itself, it "
			"needs a backslash";
	else if (character < 0x80)
		allow(item, character);
	else
		item->character = character;
	return NULL;
}

/* A number of up to three digits; -1: there is none. */
static int
count_at(const char **p, const char *end)
{
	int			count = -1;
	int			digits = 0;

	for (; *p < end && fm_is_digit(**p) && digits < 4; digits++, *p += 1)
		count = (count < 0 ? 0 : count * 10) + (**p - '0');
	return count;
}

/* How often: *max is -1 for any number of times. */
static const char *
compile_times(const char **p, const char *end, int *min, int *max)
{
	*min = *max = 1;
	if (*p == end || strchr("?*+{", **p) == NULL)
		return NULL;
	switch (*(*p)++)
	{
		case '?':
			*min = 0;
			return NULL;
		case '*':
			*min = 0;
			*max = -1;
			return NULL;
		case '+':
			*max = -1;
			return NULL;
		default:
			break;
	}
	*min = *max = count_at(p, end);
	if (*min >= 0 && *p < end && **p == ',')
	{
		*p += 1;
		*max = count_at(p, end);
	}
	if (*min < 0 || *p == end || **p != '}' || (*max >= 0 && *max < *min))
		return "braces must hold {n}, {n,} or {n,m}";
	*p += 1;
	return NULL;
}

/* Write the item out as often as it may be matched. */
static bool
add_items(FmPattern *pattern, const FmPatternItem *item, int min, int max)
{
	int			n = max > min ? max : min + (max < 0 ? 1 : 0);
	int			i;

	if (n > FM_MAX_ITEMS - pattern->nitems)
		return false;
	for (i = 0; i < n; i++)
	{
		FmPatternItem *copy = &pattern->items[pattern->nitems++];

		*copy = *item;
		copy->optional = i >= min;
		copy->repeated = max < 0 && i == n - 1;
	}
	return true;
}

FmPattern *
fm_pattern_compile(FmSlice text, FmArena *arena, const char **fault)
{
	FmPattern  *pattern = fm_arena_alloc(arena, sizeof(FmPattern));
	const char *p = text.data;
	const char *end = text.data + text.len;

	*fault = "there is no memory left";
	if (pattern == NULL)
		return NULL;
	memset(pattern, 0, sizeof(*pattern));
	pattern->text = text;
	pattern->items = fm_arena_alloc(arena,
									sizeof(FmPatternItem) * FM_MAX_ITEMS);
	if (pattern->items == NULL)
		return NULL;
	while (p < end)
	{
		FmPatternItem item;
		int			min;
		int			max;

		if ((*fault = compile_item(&p, end, &item)) != NULL ||
			(*fault = compile_times(&p, end, &min, &max)) != NULL)
			return NULL;
		if (add_items(pattern, &item, min, max))
			continue;
		*fault = "it is too long, with its repetitions written out";
		return NULL;
	}
	return pattern;
}

/* ------------------------------------------------------------------------
 * Matching
 * ------------------------------------------------------------------------
 */

/* Add an item, and those behind it for as long as they can be left out. */
static void
add_to_set(const FmPattern *pattern, Set *set, int i)
{
	for (;; i++)
	{
		set->bits[i / 64] |= UINT64_C(1) << i % 64;
		if (i == pattern->nitems || !pattern->items[i].optional)
			return;
	}
}

static bool
item_matches(const FmPatternItem *item, uint32_t character)
{
	if (character < 0x80)
		return (item->ascii[character / 32] >> character % 32 & 1) != 0;
	return item->others || item->character == character;
}

bool
fm_pattern_matches(const FmPattern *pattern, FmSlice text)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	Set			now = {{0}};

	add_to_set(pattern, &now, 0);
	while (p < end)
	{
		uint32_t	character = fm_utf8_next(&p);
		Set			next = {{0}};
		bool		any = false;
		int			i;

		for (i = 0; i < pattern->nitems; i++)
		{
			if (!in_set(&now, i) ||
				!item_matches(&pattern->items[i], character))
				continue;
			any = true;
			add_to_set(pattern, &next, pattern->items[i].repeated ? i : i + 1);
		}
		if (!any)
			return false;
		now = next;
	}
	return in_set(&now, pattern->nitems);
}
