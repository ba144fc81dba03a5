/*-------------------------------------------------------------------------
 *
 * mapping_word.c
 *	  The words with which producers claim a level: which ones mean which.
 *
 * Words are compared without regard to case, in the alphabets that have one
 * and are likely: Latin as far as Europe writes it, Greek, Cyrillic.  The
 * first word of each level, exactly as the mapping writes it, is what the
 * column stands for; any other is kept in extra, too.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

static const struct
{
	const char *name;
	FmReported	level;
}			levels[] =
{
	{"normal", FM_REPORTED_NORMAL},
	{"warning", FM_REPORTED_WARNING},
	{"critical", FM_REPORTED_CRITICAL}
};

#define NUM_LEVELS	((int) (sizeof(levels) / sizeof(levels[0])))

/* Small letter of a character. */
static uint32_t
fold_character(uint32_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c + 32;
	if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
		(c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F))
		return c + 32;
	if (c >= 0x400 && c <= 0x40F)
		return c + 80;
	if (((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) &&
		c % 2 == 0)
		return c + 1;
	if (((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) &&
		c % 2 == 1)
		return c + 1;
	return c;
}

/* Are these the same but for their case? */
static bool
same_word(FmSlice a, FmSlice b)
{
	const char *p = a.data;
	const char *q = b.data;

	while (p < a.data + a.len && q < b.data + b.len)
	{
		if (fold_character(fm_utf8_next(&p)) !=
			fold_character(fm_utf8_next(&q)))
			return false;
	}
	return p == a.data + a.len && q == b.data + b.len;
}

FmReported
fm_word_level(const FmSource *source, FmSlice word, bool *exact)
{
	int			i;

	*exact = false;
	for (i = 0; i < source->nwords; i++)
	{
		const FmWord *known = &source->words[i];

		if (!same_word(known->exact, word))
			continue;
		*exact = known->first && known->exact.len == word.len &&
			memcmp(known->exact.data, word.data, (size_t) word.len) == 0;
		return known->level;
	}
	return FM_REPORTED_OTHER;
}

FmSlice
fm_word_of_level(const FmSource *source, FmReported level)
{
	FmSlice		none = {NULL, 0};
	int			i;

	for (i = 0; i < source->nwords; i++)
	{
		if (source->words[i].first && source->words[i].level == level)
			return source->words[i].exact;
	}
	return none;
}

/* ------------------------------------------------------------------------
 * Compiling
 * ------------------------------------------------------------------------
 */

static bool
add_word(FmCompile *compile, FmSource *source, FmSlice text, FmReported level,
		 bool first)
{
	FmWord	   *word = &source->words[source->nwords];
	bool		exact;

	if (text.len == 0)
		return fm_compile_fail(compile, NULL, "must not be empty");
	if (text.len > FM_MAX_SHORT_NAME)
		return fm_compile_fail(compile, NULL, "has %d bytes; at most %d are "
							   "allowed", text.len, FM_MAX_SHORT_NAME);
	if (fm_word_level(source, text, &exact) != FM_REPORTED_OTHER)
		return fm_compile_fail(compile, NULL, "is there twice, but for its "
							   "case");
	if (source->nwords == FM_MAX_WORDS)
		return fm_compile_fail(compile, NULL, "is one too many: there can be "
							   "up to %d words", FM_MAX_WORDS);
	word->exact = text;
	word->level = level;
	word->first = first;
	source->nwords++;
	return true;
}

/* One word of a level, or an array of them. */
static bool
add_words(FmCompile *compile, FmSource *source, FmSlice value,
		  FmReported level)
{
	const char *cursor = value.data;
	FmSlice		element;
	FmSlice		text;
	int			n = 0;

	if (fm_json_type(value) != FM_JSON_ARRAY)
		return fm_compile_string(compile, value, &text) &&
			add_word(compile, source, text, level, true);
	while (fm_json_next_element(&cursor, &element))
	{
		int			length = fm_compile_enter_index(compile, n);

		if (!fm_compile_string(compile, element, &text) ||
			!add_word(compile, source, text, level, n == 0))
			return false;
		n++;
		fm_compile_leave(compile, length);
	}
	return n > 0 || fm_compile_fail(compile, NULL, "must not be empty");
}

static bool
compile_level(FmCompile *compile, FmSource *source, const FmJsonMember *member)
{
	int			i;

	for (i = 0; i < NUM_LEVELS; i++)
	{
		if (fm_json_string_is(member->key, levels[i].name))
			return add_words(compile, source, member->value, levels[i].level);
	}
	return fm_compile_fail(compile, NULL, "is no level: there are normal, "
						   "warning and critical");
}

/* Without words, the names of the levels. */
static bool
use_names(FmCompile *compile, FmSource *source)
{
	int			i;

	for (i = 0; i < NUM_LEVELS; i++)
	{
		FmSlice		name = {levels[i].name, (int) strlen(levels[i].name)};

		if (!add_word(compile, source, name, levels[i].level, true))
			return false;
	}
	return true;
}

bool
fm_compile_words(FmCompile *compile, FmSource *source, FmSlice words)
{
	const char *cursor = words.data;
	FmJsonMember member;
	int			outer;

	if (source->field != FM_FIELD_REPORTED_LEVEL)
		return words.data == NULL ||
			fm_compile_fail(compile, "words", "can be said of reported_level "
							"only");
	source->words = fm_arena_alloc(compile->arena,
								   sizeof(FmWord) * FM_MAX_WORDS);
	if (source->words == NULL)
		return fm_compile_no_memory(compile);
	if (words.data == NULL)
		return use_names(compile, source);
	outer = fm_compile_enter(compile, (FmSlice) {"\"words\"", 7});
	if (fm_json_type(words) != FM_JSON_OBJECT)
		return fm_compile_fail(compile, NULL, "must be an object, not %s",
							   fm_json_type_name(fm_json_type(words)));
	while (fm_json_next_member(&cursor, &member))
	{
		int			length = fm_compile_enter(compile, member.key);

		if (!compile_level(compile, source, &member))
			return false;
		fm_compile_leave(compile, length);
	}
	if (source->nwords == 0)
		return fm_compile_fail(compile, NULL, "must not be empty");
	fm_compile_leave(compile, outer);
	return true;
}
