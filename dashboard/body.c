/*
 * body.c - the body of a request: one flat JSON object with known members
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../producer/buf.h"
#include "json.h"

/* What is left to be read, and where values are written. */
typedef struct Reader
{
	const char *at;
	const char *end;
	char	   *out;
	FmBody	   *body;
} Reader;

static bool
refuse(Reader *reader, const char *why, const char *name)
{
	snprintf(reader->body->error, sizeof(reader->body->error), "%s%s%s%s",
			 name != NULL ? "\"" : "", name != NULL ? name : "",
			 name != NULL ? "\" " : "", why);
	return false;
}

static bool
is_no_json(Reader *reader)
{
	return refuse(reader, "the body is not a JSON object", NULL);
}

static void
skip_blanks(Reader *reader)
{
	while (reader->at < reader->end && *reader->at != '\0' &&
		   strchr(" \t\r\n", *reader->at) != NULL)
		reader->at++;
}

/* The next character that is none of these blanks, if it is this one. */
static bool
take(Reader *reader, char c)
{
	skip_blanks(reader);
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool
take_word(Reader *reader, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (reader->end - reader->at) < len ||
		memcmp(reader->at, word, len) != 0)
		return false;
	reader->at += len;
	return true;
}

/* Four hexadecimal digits; -1: they are not there. */
static long
take_hex(Reader *reader)
{
	long		code = 0;

	if (reader->end - reader->at < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		static const char digits[] = "0123456789abcdefABCDEF";
		const char *digit = *reader->at != '\0' ?
			strchr(digits, *reader->at) : NULL;

		if (digit == NULL)
			return -1;
		code = code * 16 + (digit - digits < 16 ? digit - digits :
							digit - digits - 6);
		reader->at++;
	}
	return code;
}

static void
put_utf8(Reader *reader, long code)
{
	if (code < 0x80)
		*reader->out++ = (char) code;
	else if (code < 0x800)
	{
		*reader->out++ = (char) (0xc0 | code >> 6);
		*reader->out++ = (char) (0x80 | (code & 0x3f));
	}
	else
	{
		if (code < 0x10000)
			*reader->out++ = (char) (0xe0 | code >> 12);
		else
		{
			*reader->out++ = (char) (0xf0 | code >> 18);
			*reader->out++ = (char) (0x80 | (code >> 12 & 0x3f));
		}
		*reader->out++ = (char) (0x80 | (code >> 6 & 0x3f));
		*reader->out++ = (char) (0x80 | (code & 0x3f));
	}
}

/* Behind \u: a character, maybe as a pair of surrogates. */
static bool
take_code(Reader *reader)
{
	long		code = take_hex(reader);

	if (code >= 0xd800 && code < 0xdc00)
	{
		long		low = take_word(reader, "\\u") ? take_hex(reader) : -1;

		if (low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
	}
	else if (code <= 0 || (code >= 0xdc00 && code < 0xe000))
		return false;
	put_utf8(reader, code);
	return true;
}

static bool
take_escape(Reader *reader)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *escape;

	if (reader->at == reader->end || *reader->at == '\0')
		return false;
	if (*reader->at == 'u')
	{
		reader->at++;
		return take_code(reader);
	}
	escape = strchr(escapes, *reader->at++);
	if (escape == NULL)
		return false;
	*reader->out++ = meanings[escape - escapes];
	return true;
}

/* A string, written out with an end; never longer than it was. */
static bool
take_string(Reader *reader, char **string)
{
	*string = reader->out;
	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end && *reader->at != '"')
	{
		if ((unsigned char) *reader->at < 0x20)
			return false;
		if (*reader->at != '\\')
			*reader->out++ = *reader->at++;
		else
		{
			reader->at++;
			if (!take_escape(reader))
				return false;
		}
	}
	*reader->out++ = '\0';
	return take(reader, '"') && fm_json_is_utf8(*string);
}

static bool
take_value(Reader *reader, const FmField *field, char **value)
{
	static char yes[] = "true";
	static char no[] = "false";
	char		why[120];
	bool		good = false;

	skip_blanks(reader);
	if (!field->required && take_word(reader, "null"))
	{
		*value = NULL;
		return true;
	}
	switch (field->type)
	{
		case FM_FIELD_TEXT:
			good = take_string(reader, value) &&
				(long) strlen(*value) >= field->least &&
				(long) strlen(*value) <= field->most;
			snprintf(why, sizeof(why), "must be a string of %ld to %ld bytes",
					 field->least, field->most);
			break;
		case FM_FIELD_BOOL:
			*value = take_word(reader, "true") ? yes : no;
			good = *value == yes || take_word(reader, "false");
			snprintf(why, sizeof(why), "must be true or false");
			break;
	}
	return good || refuse(reader, why, field->name);
}

static bool
take_member(Reader *reader, const FmField *fields, bool *given)
{
	char	   *name;
	int			i = 0;

	if (!take_string(reader, &name) || !take(reader, ':'))
		return is_no_json(reader);
	while (i < FM_MAX_FIELDS && fields[i].name != NULL &&
		   strcmp(fields[i].name, name) != 0)
		i++;
	if (i == FM_MAX_FIELDS || fields[i].name == NULL)
		return refuse(reader, "there is a member that is not known", NULL);
	if (given[i])
		return refuse(reader, "is there twice", fields[i].name);
	given[i] = true;
	return take_value(reader, &fields[i], &reader->body->values[i]);
}

static bool
take_object(Reader *reader, const FmField *fields, bool *given)
{
	if (!take(reader, '{'))
		return is_no_json(reader);
	if (take(reader, '}'))
		return true;
	do
	{
		if (!take_member(reader, fields, given))
			return false;
	} while (take(reader, ','));
	return take(reader, '}') || is_no_json(reader);
}

bool
fm_body_read(FmBody *body, const FmField *fields, const char *text,
			 size_t len)
{
	bool		given[FM_MAX_FIELDS] = {false};
	Reader		reader = {.at = text,.end = text + len,.body = body};

	memset(body, 0, sizeof(*body));
	/* ends take the place of quotes and commas */
	body->size = len + 1;
	body->memory = reader.out = fm_xmalloc(body->size);
	if (!take_object(&reader, fields, given))
		return false;
	skip_blanks(&reader);
	if (reader.at != reader.end)
		return is_no_json(&reader);
	for (int i = 0; i < FM_MAX_FIELDS && fields[i].name != NULL; i++)
	{
		if (!given[i] && fields[i].required)
			return refuse(&reader, "is missing", fields[i].name);
		if (!given[i])
			body->values[i] = (char *) fields[i].initial;
	}
	return true;
}

void
fm_body_free(FmBody *body)
{
	if (body->memory != NULL)
		explicit_bzero(body->memory, body->size);
	free(body->memory);
	body->memory = NULL;
}
