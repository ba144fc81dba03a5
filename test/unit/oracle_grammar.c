/*-------------------------------------------------------------------------
 *
 * oracle_grammar.c
 *	  A recursive-descent recogniser of JSON text.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_internal.h"

#define MAX_PLACES		16383
#define MAX_LAST_POWER	(2L * FM_MAX_PAYLOAD)

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

FmRejectReason
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

bool
grammar_is_utf8(const char *text, size_t len)
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
