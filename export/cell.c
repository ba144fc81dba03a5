/*
 * cell.c - what fits into the cell of a spreadsheet
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "cell.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CHARACTERS 32767	/* Excel's limit, in units of UTF-16 */
#define ELLIPSIS "\xE2\x80\xA6"
#define DAYS_TO_1970 25569
#define FIRST_DAY 61			/* 1900-03-01; before that Excel is a day off */
#define USECS_PER_DAY 86400000000.0

/* "_x0041_" */
static bool
looks_escaped(const char *text)
{
	if (text[0] != '_' || text[1] != 'x')
		return false;
	for (int i = 2; i < 6; i++)
		if (!isxdigit((unsigned char) text[i]))
			return false;
	return text[6] == '_';
}

/* Bytes of the character at the beginning of text, which is UTF-8. */
static int
character_length(const char *text)
{
	unsigned char c = (unsigned char) text[0];
	int			len = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

	/* never beyond the end, whatever the bytes are */
	for (int i = 1; i < len; i++)
		if (text[i] == '\0')
			return i;
	return len;
}

/* U+FFFE and U+FFFF are not allowed in XML. */
static bool
is_noncharacter(const char *text, int len)
{
	return len == 3 && memcmp(text, "\xEF\xBF", 2) == 0 &&
		(unsigned char) text[2] >= 0xBE;
}

bool
fm_cell_text(FmBuf *out, const char *text)
{
	int			units = 0;
	size_t		room_for_ellipsis = 0;
	bool		cut = false;

	fm_buf_reset(out);
	while (*text != '\0' && !cut)
	{
		int			len = character_length(text);
		bool		escaped = looks_escaped(text);

		if (units < MOST_CHARACTERS)
			room_for_ellipsis = out->len;
		/* the escape counts, for the library counts it */
		units += escaped ? 7 : len == 4 ? 2 : 1;
		cut = units > MOST_CHARACTERS;
		if (escaped)
			fm_buf_puts(out, "_x005F_");
		else if (is_noncharacter(text, len))
			fm_buf_puts(out, "\xEF\xBF\xBD");
		else
			fm_buf_put(out, text, (size_t) len);
		text += len;
	}
	if (cut)
	{
		out->len = room_for_ellipsis;
		fm_buf_puts(out, ELLIPSIS);
	}
	fm_buf_putc(out, '\0');
	return !cut;
}

bool
fm_cell_number(double *number, const char *text)
{
	char	   *end;

	*number = strtod(text, &end);
	if (*end != '\0' || !isfinite(*number))
		return false;
	return strspn(text, "-0123456789") != strlen(text) ||
		fabs(*number) < 1e15;
}

bool
fm_cell_time(double *days, const char *text)
{
	FmTime		time;

	if (!fm_time_read(&time, text))
		return false;
	*days = (double) time.local / USECS_PER_DAY + DAYS_TO_1970;
	return *days >= FIRST_DAY;
}
