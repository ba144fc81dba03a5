/*
 * json.c - rows of a query as JSON
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "json.h"

void
fm_json_string(FmBuf *buf, const char *text)
{
	if (text == NULL)
	{
		fm_buf_puts(buf, "null");
		return;
	}
	fm_buf_putc(buf, '"');
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c == '"' || c == '\\')
		{
			fm_buf_putc(buf, '\\');
			fm_buf_putc(buf, (char) c);
		}
		else if (c < 0x20)
			fm_buf_printf(buf, "\\u%04x", c);
		else
			fm_buf_putc(buf, (char) c);
	}
	fm_buf_putc(buf, '"');
}

/* "2026-11-22 20:55:36.123+00" as "2026-11-22T20:55:36.123Z" */
bool
fm_put_time(FmBuf *buf, const char *text)
{
	size_t		len = strlen(text);

	if (len < 22 || text[10] != ' ' || strcmp(text + len - 3, "+00") != 0)
		return false;
	fm_buf_put(buf, text, 10);
	fm_buf_putc(buf, 'T');
	fm_buf_put(buf, text + 11, len - 14);
	fm_buf_putc(buf, 'Z');
	return true;
}

static void
put_time(FmBuf *buf, const char *text)
{
	FmBuf		time = FM_BUF_INIT;

	if (fm_put_time(&time, text))
	{
		fm_buf_putc(buf, '"');
		fm_buf_put(buf, time.data, time.len);
		fm_buf_putc(buf, '"');
	}
	else
		fm_json_string(buf, text);
	fm_buf_free(&time);
}

/* Numbers are written as JSON wants them, but for those that are none. */
static void
put_number(FmBuf *buf, const char *text)
{
	if (strchr(text, 'N') != NULL || strchr(text, 'I') != NULL)
		fm_buf_puts(buf, "null");
	else
		fm_buf_puts(buf, text);
}

/* "{1,NULL}" as "[1,null]"; of one dimension, counted from 1 */
static void
put_array(FmBuf *buf, const char *text)
{
	if (*text != '{')
	{
		fm_json_string(buf, text);
		return;
	}
	fm_buf_putc(buf, '[');
	for (text++; *text != '}' && *text != '\0'; text++)
		fm_buf_putc(buf, *text >= 'A' && *text <= 'Z' ? *text + 32 : *text);
	fm_buf_putc(buf, ']');
}

static void
put_value(FmBuf *buf, Oid type, const char *text)
{
	switch (type)
	{
		case TYPE_BOOL:
			fm_buf_puts(buf, *text == 't' ? "true" : "false");
			break;
		case TYPE_INT2:
		case TYPE_INT4:
		case TYPE_INT8:
		case TYPE_FLOAT4:
		case TYPE_FLOAT8:
		case TYPE_NUMERIC:
			put_number(buf, text);
			break;
		case TYPE_JSON:
		case TYPE_JSONB:
			fm_buf_puts(buf, text);
			break;
		case TYPE_TIMESTAMPTZ:
			put_time(buf, text);
			break;
		case TYPE_INT4_ARRAY:
			put_array(buf, text);
			break;
		default:
			fm_json_string(buf, text);
			break;
	}
}

bool
fm_json_is_utf8(const char *text)
{
	const unsigned char *c = (const unsigned char *) text;

	while (*c != '\0')
	{
		int			more = *c < 0x80 ? 0 : *c >= 0xc2 && *c < 0xe0 ? 1 :
			*c >= 0xe0 && *c < 0xf0 ? 2 : *c >= 0xf0 && *c < 0xf5 ? 3 : -1;
		unsigned char first = *c++;

		if (more < 0 || (first == 0xe0 && *c < 0xa0) ||
			(first == 0xed && *c > 0x9f) || (first == 0xf0 && *c < 0x90) ||
			(first == 0xf4 && *c > 0x8f))
			return false;
		for (; more > 0; more--)
			if ((*c++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

void
fm_json_rows(FmBuf *buf, const PGresult *result, int rows)
{
	int			columns = PQnfields(result);

	fm_buf_putc(buf, '[');
	for (int row = 0; row < rows && row < PQntuples(result); row++)
	{
		fm_buf_puts(buf, row > 0 ? ",\n{" : "\n{");
		for (int i = 0; i < columns; i++)
		{
			if (i > 0)
				fm_buf_putc(buf, ',');
			fm_json_string(buf, PQfname(result, i));
			fm_buf_putc(buf, ':');
			if (PQgetisnull(result, row, i))
				fm_buf_puts(buf, "null");
			else
				put_value(buf, PQftype(result, i), PQgetvalue(result, row, i));
		}
		fm_buf_putc(buf, '}');
	}
	fm_buf_putc(buf, ']');
}
