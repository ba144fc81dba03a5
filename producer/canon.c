/*
 * canon.c - the canonical form of a JSON text, and digests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One recursive pass over the text that writes the canonical form as it goes.
 * The members of an object are written in the order found, and put in order
 * when the object ends; a producer that sends thousands of messages of one
 * shape pays little for that.
 *
 * This is a parser of its own because a digest must not depend on what a
 * library silently repairs: json-c 0.16, strict flag and all, takes raw
 * control characters, NaN, "1.", single quotes and lone surrogates, saturates
 * integers at 64 bits and cuts keys at a NUL.
 *
 * A string without escapes, that is nearly every one, is its own canonical
 * form and copied as it stands; only the others are taken apart.  Scratch
 * memory is kept between calls, so this is for one thread.  Nesting is bounded
 * by MAX_DEPTH, so the recursion is too.
 */
#include "canon.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 512

/* One member of an object being read; offsets, since the buffers move. */
typedef struct Member
{
	size_t		at;				/* "key":value, in the output */
	size_t		len;
	bool		escaped;		/* the key is unescaped in Parser.keys */
	size_t		key;			/* there, else in the output */
	size_t		keylen;
	const char *bytes;			/* the key, valid while sorting only */
} Member;

typedef struct Parser
{
	const char *p;				/* next byte */
	const char *end;
	int			depth;
	const char *error;			/* first error, NULL while all is well */
	FmBuf	   *out;
	FmBuf		keys;			/* escaped keys of the open objects */
	FmBuf		members;		/* Members of the open objects */
	FmBuf		scratch;		/* one string, or members being put in order */
} Parser;

static bool parse_value(Parser *ps);

static bool
fail(Parser *ps, const char *why)
{
	if (ps->error == NULL)
		ps->error = why;
	return false;
}

static void
skip_space(Parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t' ||
							   *ps->p == '\n' || *ps->p == '\r'))
		ps->p++;
}

/* Skip white space, then take this byte if it comes next. */
static bool
take(Parser *ps, char c)
{
	skip_space(ps);
	if (ps->p == ps->end || *ps->p != c)
		return false;
	ps->p++;
	return true;
}

/*
 * Length of the UTF-8 character at s, 0 if it is not valid: overlong forms,
 * surrogates and code points beyond U+10FFFF are not.
 */
size_t
fm_utf8_len(const unsigned char *s, size_t left)
{
	unsigned char lo = 0x80;
	unsigned char hi = 0xBF;
	size_t		n;

	if (left == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (s[0] == 0xE0)
		lo = 0xA0;
	else if (s[0] == 0xED)
		hi = 0x9F;
	else if (s[0] == 0xF0)
		lo = 0x90;
	else if (s[0] == 0xF4)
		hi = 0x8F;
	if (left < n || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return n;
}

static void
put_utf8(FmBuf *buf, unsigned long c)
{
	char		s[4];
	size_t		n = 0;

	if (c < 0x80)
		s[n++] = (char) c;
	else if (c < 0x800)
	{
		s[n++] = (char) (0xC0 | (c >> 6));
		s[n++] = (char) (0x80 | (c & 0x3F));
	}
	else if (c < 0x10000)
	{
		s[n++] = (char) (0xE0 | (c >> 12));
		s[n++] = (char) (0x80 | ((c >> 6) & 0x3F));
		s[n++] = (char) (0x80 | (c & 0x3F));
	}
	else
	{
		s[n++] = (char) (0xF0 | (c >> 18));
		s[n++] = (char) (0x80 | ((c >> 12) & 0x3F));
		s[n++] = (char) (0x80 | ((c >> 6) & 0x3F));
		s[n++] = (char) (0x80 | (c & 0x3F));
	}
	fm_buf_put(buf, s, n);
}

static bool
parse_hex4(Parser *ps, unsigned long *c)
{
	*c = 0;
	if (ps->end - ps->p < 4)
		return fail(ps, "string ends within an escape");
	for (int i = 0; i < 4; i++)
	{
		char		h = *ps->p++;

		if (h >= '0' && h <= '9')
			*c = *c * 16 + (unsigned long) (h - '0');
		else if (h >= 'a' && h <= 'f')
			*c = *c * 16 + (unsigned long) (h - 'a' + 10);
		else if (h >= 'A' && h <= 'F')
			*c = *c * 16 + (unsigned long) (h - 'A' + 10);
		else
			return fail(ps, "invalid \\u escape");
	}
	return true;
}

/* What follows "\u", the other half of a surrogate pair included. */
static bool
parse_unicode_escape(Parser *ps, FmBuf *to)
{
	unsigned long c;
	unsigned long low;

	if (!parse_hex4(ps, &c))
		return false;
	if (c >= 0xD800 && c <= 0xDFFF)
	{
		if (c > 0xDBFF || ps->end - ps->p < 6 || ps->p[0] != '\\' ||
			ps->p[1] != 'u')
			return fail(ps, "lone surrogate");
		ps->p += 2;
		if (!parse_hex4(ps, &low))
			return false;
		if (low < 0xDC00 || low > 0xDFFF)
			return fail(ps, "lone surrogate");
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	put_utf8(to, c);
	return true;
}

static bool
parse_escape(Parser *ps, FmBuf *to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (ps->p == ps->end)
		return fail(ps, "string ends within an escape");
	if (*ps->p == 'u')
	{
		ps->p++;
		return parse_unicode_escape(ps, to);
	}
	found = *ps->p ? strchr(from, *ps->p) : NULL;
	if (found == NULL)
		return fail(ps, "invalid escape");
	fm_buf_putc(to, into[found - from]);
	ps->p++;
	return true;
}

/* Take the bytes of a string up to a quote, a backslash or an error. */
static bool
skip_plain(Parser *ps)
{
	while (ps->p < ps->end)
	{
		unsigned char c = (unsigned char) *ps->p;
		size_t		n = 1;

		if (c == '"' || c == '\\')
			return true;
		if (c < 0x20 || c >= 0x80)
		{
			if (c < 0x20)
				return fail(ps, "control character in a string");
			n = fm_utf8_len((const unsigned char *) ps->p,
							(size_t) (ps->end - ps->p));
			if (n == 0)
				return fail(ps, "invalid UTF-8");
		}
		ps->p += n;
	}
	return fail(ps, "string does not end");
}

/* The rest of a string that has escapes: append it, unescaped, to *to. */
static bool
parse_escaped(Parser *ps, FmBuf *to)
{
	while (*ps->p == '\\')
	{
		const char *from;

		ps->p++;
		if (!parse_escape(ps, to))
			return false;
		from = ps->p;
		if (!skip_plain(ps))
			return false;
		fm_buf_put(to, from, (size_t) (ps->p - from));
	}
	ps->p++;
	return true;
}

/*
 * A string after its opening quote, written to the output.  One with escapes
 * is left unescaped at the end of *to as well; *escaped tells.
 */
static bool
parse_string(Parser *ps, FmBuf *to, bool *escaped)
{
	const char *from = ps->p;
	size_t		at = to->len;

	if (!skip_plain(ps))
		return false;
	*escaped = *ps->p == '\\';
	if (!*escaped)
	{
		ps->p++;
		fm_buf_put(ps->out, from - 1, (size_t) (ps->p - from) + 1);
		return true;
	}
	fm_buf_put(to, from, (size_t) (ps->p - from));
	if (!parse_escaped(ps, to))
		return false;
	fm_json_put_string(ps->out, to->data + at, to->len - at);
	return true;
}

void
fm_json_put_string(FmBuf *out, const char *s, size_t len)
{
	static const char names[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	size_t		from = 0;

	fm_buf_putc(out, '"');
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) s[i];
		const char *name = NULL;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		fm_buf_put(out, s + from, i - from);
		from = i + 1;
		for (const char *n = names; *n && name == NULL; n += 2)
			if ((unsigned char) *n == c)
				name = n + 1;
		if (name)
			fm_buf_printf(out, "\\%c", *name);
		else
			fm_buf_printf(out, "\\u%04x", c);
	}
	fm_buf_put(out, s + from, len - from);
	fm_buf_putc(out, '"');
}

/* The digits of a number: false if there is not even one. */
static bool
skip_digits(Parser *ps)
{
	const char *from = ps->p;

	while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
		ps->p++;
	return ps->p > from;
}

static void
put_double(FmBuf *out, double d)
{
	char		text[40];
	int			precision = 1;

	if (d == 0)
		d = 0;					/* no negative zero */
	if (fabs(d) < 1e15 && d == floor(d))
	{
		fm_buf_printf(out, "%.0f", d);
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*g", precision, d);
	while (strtod(text, NULL) != d && ++precision <= 17);
	fm_buf_puts(out, text);
}

/*
 * The usual number, without a conversion: at most 15 digits and no exponent.
 * Fifteen digits name distinct doubles, so without its trailing zeros such a
 * number is its own shortest form.  false: not that simple, nothing written.
 */
static bool
put_simple_number(FmBuf *out, const char *s, size_t len)
{
	const char *dot = memchr(s, '.', len);
	size_t		whole = dot ? (size_t) (dot - s) : len;
	size_t		sign = s[0] == '-';

	if (len > 15 || memchr(s, 'e', len) || memchr(s, 'E', len))
		return false;
	if (dot)
	{
		while (s[len - 1] == '0')
			len--;
		if (s[len - 1] == '.')
			len--;
	}
	/* "0.0001" is what %g prints, 0.00001 would be 1e-05 */
	if (len > whole && s[sign] == '0' && strncmp(dot + 1, "0000", 4) == 0)
		return false;
	if (len - sign == 1 && s[sign] == '0')
		sign = 0, s += (s[0] == '-'), len = 1;
	fm_buf_put(out, s, len);
	return true;
}

static bool
parse_number(Parser *ps)
{
	const char *from = ps->p;
	size_t		len;
	double		d;

	if (*ps->p == '-')
		ps->p++;
	if (ps->p < ps->end && *ps->p == '0')
		ps->p++;
	else if (!skip_digits(ps))
		return fail(ps, "not a number");
	if (ps->p < ps->end && *ps->p == '.')
	{
		ps->p++;
		if (!skip_digits(ps))
			return fail(ps, "not a number");
	}
	if (ps->p < ps->end && (*ps->p == 'e' || *ps->p == 'E'))
	{
		ps->p++;
		if (ps->p < ps->end && (*ps->p == '-' || *ps->p == '+'))
			ps->p++;
		if (!skip_digits(ps))
			return fail(ps, "not a number");
	}
	len = (size_t) (ps->p - from);
	if (put_simple_number(ps->out, from, len))
		return true;

	/* strtod needs an end; the text may be the last thing in its page */
	fm_buf_reset(&ps->scratch);
	fm_buf_put(&ps->scratch, from, len);
	fm_buf_putc(&ps->scratch, '\0');
	d = strtod(ps->scratch.data, NULL);
	if (!isfinite(d))
		return fail(ps, "number out of range");
	put_double(ps->out, d);
	return true;
}

static int
compare_members(const void *va, const void *vb)
{
	const Member *a = va;
	const Member *b = vb;
	size_t		n = a->keylen < b->keylen ? a->keylen : b->keylen;
	int			c = n ? memcmp(a->bytes, b->bytes, n) : 0;

	return c ? c : (a->keylen > b->keylen) - (a->keylen < b->keylen);
}

/*
 * Put the last n members, whose text starts at offset "at" of the output, in
 * order.
 */
static bool
sort_members(Parser *ps, size_t n, size_t at)
{
	Member	   *m = (Member *) (ps->members.data + ps->members.len) - n;
	bool		sorted = true;

	for (size_t i = 0; i < n; i++)
		m[i].bytes = (m[i].escaped ? ps->keys.data : ps->out->data) + m[i].key;
	for (size_t i = 1; i < n && sorted; i++)
		sorted = compare_members(&m[i - 1], &m[i]) < 0;
	if (sorted)
		return true;
	qsort(m, n, sizeof(Member), compare_members);
	fm_buf_reset(&ps->scratch);
	for (size_t i = 0; i < n; i++)
	{
		if (i > 0 && compare_members(&m[i - 1], &m[i]) == 0)
			return fail(ps, "key twice in one object");
		if (i > 0)
			fm_buf_putc(&ps->scratch, ',');
		fm_buf_put(&ps->scratch, ps->out->data + m[i].at, m[i].len);
	}
	memcpy(ps->out->data + at, ps->scratch.data, ps->scratch.len);
	return true;
}

static bool
parse_member(Parser *ps)
{
	Member		m = {.at = ps->out->len,.key = ps->keys.len};

	if (!take(ps, '"'))
		return fail(ps, "expected a key");
	if (!parse_string(ps, &ps->keys, &m.escaped))
		return false;
	m.keylen = ps->keys.len - m.key;
	if (!m.escaped)
	{
		m.key = m.at + 1;		/* between the quotes */
		m.keylen = ps->out->len - m.at - 2;
	}
	if (!take(ps, ':'))
		return fail(ps, "expected a colon");
	fm_buf_putc(ps->out, ':');
	if (!parse_value(ps))
		return false;
	m.len = ps->out->len - m.at;
	fm_buf_put(&ps->members, &m, sizeof(m));
	return true;
}

static bool
parse_object(Parser *ps)
{
	size_t		keys = ps->keys.len;
	size_t		members = ps->members.len;
	size_t		n = 0;
	size_t		at;

	fm_buf_putc(ps->out, '{');
	at = ps->out->len;
	if (!take(ps, '}'))
	{
		do
		{
			if (n > 0)
				fm_buf_putc(ps->out, ',');
			if (!parse_member(ps))
				return false;
			n++;
		} while (take(ps, ','));
		if (!take(ps, '}'))
			return fail(ps, "expected a comma or a closing brace");
	}
	if (n > 1 && !sort_members(ps, n, at))
		return false;
	fm_buf_putc(ps->out, '}');
	ps->keys.len = keys;
	ps->members.len = members;
	return true;
}

static bool
parse_array(Parser *ps)
{
	size_t		n = 0;

	fm_buf_putc(ps->out, '[');
	if (!take(ps, ']'))
	{
		do
		{
			if (n++ > 0)
				fm_buf_putc(ps->out, ',');
			if (!parse_value(ps))
				return false;
		} while (take(ps, ','));
		if (!take(ps, ']'))
			return fail(ps, "expected a comma or a closing bracket");
	}
	fm_buf_putc(ps->out, ']');
	return true;
}

static bool
parse_word(Parser *ps, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (ps->end - ps->p) < len || memcmp(ps->p, word, len) != 0)
		return fail(ps, "unexpected character");
	ps->p += len;
	fm_buf_put(ps->out, word, len);
	return true;
}

static bool
parse_value(Parser *ps)
{
	bool		ok;

	skip_space(ps);
	if (ps->p == ps->end)
		return fail(ps, "unexpected end");
	switch (*ps->p)
	{
		case '{':
		case '[':
			if (ps->depth == MAX_DEPTH)
				return fail(ps, "nested too deeply");
			ps->depth++;
			ok = *ps->p++ == '{' ? parse_object(ps) : parse_array(ps);
			ps->depth--;
			return ok;
		case '"':
			ps->p++;
			fm_buf_reset(&ps->scratch);
			return parse_string(ps, &ps->scratch, &ok);
		case 't':
			return parse_word(ps, "true");
		case 'f':
			return parse_word(ps, "false");
		case 'n':
			return parse_word(ps, "null");
		default:
			return parse_number(ps);
	}
}

const char *
fm_canon(const char *json, size_t len, FmBuf *out)
{
	static Parser ps;
	size_t		before = out->len;

	ps.p = json;
	ps.end = json + len;
	ps.depth = 0;
	ps.error = NULL;
	ps.out = out;
	fm_buf_reset(&ps.keys);
	fm_buf_reset(&ps.members);

	if (parse_value(&ps))
	{
		skip_space(&ps);
		if (ps.p != ps.end)
			fail(&ps, "text after the value");
	}
	if (ps.error)
		out->len = before;
	return ps.error;
}

uint64_t
fm_fnv1a64(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t	hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

void
fm_digest_put(FmBuf *out, const void *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t	hash = fm_fnv1a64(bytes, len);

	for (int shift = 60; shift >= 0; shift -= 4)
		fm_buf_putc(out, hex[(hash >> shift) & 15]);
}
