/*
 * csv.c - rows of a query for a spreadsheet (RFC 4180)
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* "-1.5e3", but not "-Infinity" or "-1+cmd" */
static bool
is_number(const char *text)
{
	char	   *end;

	if (strspn(text, "+-.0123456789eE") != strlen(text))
		return false;
	(void) strtod(text, &end);
	return *end == '\0';
}

static bool
is_formula(const char *text)
{
	return strchr("=+-@\t\r\n", text[0]) != NULL && text[0] != '\0' &&
		!is_number(text);
}

static void
put_cell(FmBuf *buf, const char *text)
{
	bool		formula = is_formula(text);

	if (!formula && strpbrk(text, ",\"\r\n") == NULL)
	{
		fm_buf_puts(buf, text);
		return;
	}
	fm_buf_putc(buf, '"');
	if (formula)
		fm_buf_putc(buf, '\'');
	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			fm_buf_putc(buf, '"');
		fm_buf_putc(buf, *text);
	}
	fm_buf_putc(buf, '"');
}

/* Times and truth as in JSON, so that both say the same. */
static void
put_value(FmBuf *buf, const PGresult *result, int row, int column)
{
	const char *text = PQgetvalue(result, row, column); /* null: "" */
	Oid			type = PQftype(result, column);

	if (type == TYPE_BOOL && *text != '\0')
		fm_buf_puts(buf, *text == 't' ? "true" : "false");
	else if (type != TYPE_TIMESTAMPTZ || !fm_put_time(buf, text))
		put_cell(buf, text);
}

void
fm_csv_rows(FmBuf *buf, const PGresult *result, int rows)
{
	int			columns = PQnfields(result);

	for (int i = 0; i < columns; i++)
	{
		fm_buf_puts(buf, i > 0 ? "," : "");
		put_cell(buf, PQfname(result, i));
	}
	fm_buf_puts(buf, "\r\n");
	for (int row = 0; row < rows && row < PQntuples(result); row++)
	{
		for (int i = 0; i < columns; i++)
		{
			fm_buf_puts(buf, i > 0 ? "," : "");
			put_value(buf, result, row, i);
		}
		fm_buf_puts(buf, "\r\n");
	}
}
