/*-------------------------------------------------------------------------
 *
 * reading_text.c
 *	  Walking JSON text that has been checked.
 *
 * Everything here relies on fm_json_check() having accepted the text: quotes
 * are closed, escapes complete, brackets in pairs, so that no function needs
 * to know where the text ends.  No tree is built: what the caller needs is
 * where a value begins and ends, because exact numbers and members without a
 * column are kept as written.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "reading_internal.h"

/* ------------------------------------------------------------------------
 * Characters
 * ------------------------------------------------------------------------
 */

int
fm_utf8_clip(const char *text, int len, int max)
{
	if (len <= max)
		return len;
	while (max > 0 && fm_is_continuation(text + max))
		max--;
	return max;
}

/* The character of the escape whose backslash *p is at, in checked text. */
static uint32_t
escaped_character(const char **p)
{
	const char *s = *p;
	uint32_t	high;

	*p = s + 2;
	switch (s[1])
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		case 'u':
			break;
		default:
			return (unsigned char) s[1];
	}
	*p = s + 6;
	high = fm_hex_quad(s + 2);
	if (high < 0xD800 || high > 0xDBFF)
		return high;
	*p = s + 12;
	return 0x10000 + ((high - 0xD800) << 10) + (fm_hex_quad(s + 8) - 0xDC00);
}

uint32_t
fm_json_long_character(const char **p)
{
	const unsigned char *s = (const unsigned char *) *p;

	if (s[0] == '\\')
		return escaped_character(p);
	if (s[0] < 0xE0)
	{
		*p += 2;
		return (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
	}
	if (s[0] < 0xF0)
	{
		*p += 3;
		return (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
	}
	*p += 4;
	return (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 |
		(s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

int
fm_utf8_put(uint32_t character, char *out)
{
	static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	int			len = 1;
	int			i;

	if (character >= 0x80)
		len = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	if (out == NULL)
		return len;
	for (i = len - 1; i > 0; i--)
	{
		out[i] = (char) (0x80 | (character & 0x3F));
		character >>= 6;
	}
	out[0] = (char) (lead[len] | character);
	return len;
}

/* ------------------------------------------------------------------------
 * Values
 * ------------------------------------------------------------------------
 */

FmSlice
fm_json_trim(const char *text, int len)
{
	FmSlice		slice = {text, len};

	while (slice.len > 0 && fm_is_space(slice.data[0]))
	{
		slice.data++;
		slice.len--;
	}
	while (slice.len > 0 && fm_is_space(slice.data[slice.len - 1]))
		slice.len--;
	return slice;
}

FmJsonType
fm_json_type(FmSlice value)
{
	switch (value.data[0])
	{
		case '{':
			return FM_JSON_OBJECT;
		case '[':
			return FM_JSON_ARRAY;
		case '"':
			return FM_JSON_STRING;
		case 't':
		case 'f':
			return FM_JSON_BOOLEAN;
		case 'n':
			return FM_JSON_NULL;
		default:
			return FM_JSON_NUMBER;
	}
}

const char *
fm_json_type_name(FmJsonType type)
{
	static const char *const names[] = {
		"null", "a boolean", "a number", "a string", "an array", "an object"
	};

	return names[type];
}

/* Past the string whose opening quote is at p. */
static const char *
skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
	{
		if (*p == '\\')
			p++;
	}
	return p + 1;
}

/* Past the value that begins at p. */
static const char *
skip_value(const char *p)
{
	int			depth = 0;

	if (*p == '"')
		return skip_string(p);
	if (*p != '{' && *p != '[')
	{
		/* within an array or object: a comma or bracket is sure to follow */
		while (!fm_is_space(*p) && *p != ',' && *p != '}' && *p != ']')
			p++;
		return p;
	}
	do
	{
		if (*p == '"')
		{
			p = skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	} while (depth > 0);
	return p;
}

static inline bool
next_key(const char **cursor, FmSlice *key)
{
	const char *p = *cursor;

	/* p is at '{', or behind a value and so before ',' or '}' */
	while (fm_is_space(*p))
		p++;
	if (*p == '}')
		return false;
	p++;
	while (fm_is_space(*p))
		p++;
	if (*p == '}')
		return false;			/* an object without members */
	key->data = p;
	p = skip_string(p);
	key->len = (int) (p - key->data);
	while (fm_is_space(*p) || *p == ':')
		p++;
	*cursor = p;
	return true;
}

bool
fm_json_next_key(const char **cursor, FmSlice *key)
{
	return next_key(cursor, key);
}

void
fm_json_value(const char **cursor, FmSlice *value)
{
	const char *p = *cursor;

	value->data = p;
	p = skip_value(p);
	value->len = (int) (p - value->data);
	*cursor = p;
}

bool
fm_json_next_member(const char **cursor, FmJsonMember *member)
{
	if (!next_key(cursor, &member->key))
		return false;
	fm_json_value(cursor, &member->value);
	return true;
}

bool
fm_json_next_element(const char **cursor, FmSlice *element)
{
	const char *p = *cursor;

	/* p is at '[', or behind a value and so before ',' or ']' */
	while (fm_is_space(*p))
		p++;
	if (*p == ']')
		return false;
	p++;
	while (fm_is_space(*p))
		p++;
	if (*p == ']')
		return false;			/* an array without elements */
	element->data = p;
	p = skip_value(p);
	element->len = (int) (p - element->data);
	*cursor = p;
	return true;
}

int
fm_json_string_length(FmSlice string)
{
	const char *p = string.data + 1;
	uint32_t	character;
	int			len = 0;

	if (memchr(string.data, '\\', (size_t) string.len) == NULL)
		return string.len - 2;
	while ((character = fm_json_next_character(&p)) != FM_END_OF_STRING)
		len += fm_utf8_put(character, NULL);
	return len;
}

FmSlice
fm_json_string(FmSlice string, FmArena *arena)
{
	FmSlice		result = {string.data + 1, string.len - 2};
	const char *p = string.data + 1;
	uint32_t	character;
	char	   *copy;

	if (memchr(string.data, '\\', (size_t) string.len) == NULL)
		return result;
	copy = fm_arena_alloc(arena, (size_t) string.len);
	result.data = copy;
	result.len = 0;
	if (copy == NULL)
		return result;
	while ((character = fm_json_next_character(&p)) != FM_END_OF_STRING)
		result.len += fm_utf8_put(character, copy + result.len);
	return result;
}

bool
fm_json_string_is(FmSlice string, const char *text)
{
	const char *p = string.data + 1;

	if (*p != *text && *p != '\\')
		return false;			/* most end here */
	for (; *text != '\0'; text++)
	{
		if (fm_json_next_character(&p) != (unsigned char) *text)
			return false;
	}
	return *p == '"';
}
