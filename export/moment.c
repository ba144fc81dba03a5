/*
 * moment.c - times as people write them, and as the server does
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * What people write is only checked for its form here, and given to the server
 * as it is: it knows the time zone and the calendar.
 */
#include "moment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Units of spans; the longest name first. */
static const struct
{
	const char *suffix;
	const char *sql;
}			units[] = {
	{"mo", "months"}, {"s", "seconds"}, {"m", "minutes"}, {"h", "hours"},
	{"d", "days"}, {"w", "weeks"}, {"y", "years"},
};

/*
 * Whether text begins with a pattern: 9 stands for a digit, anything else for
 * itself.  Returns what follows, or NULL.
 */
static const char *
skip(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; pattern++, text++)
		if (*pattern == '9' ? !isdigit((unsigned char) *text)
			: toupper((unsigned char) *text) != *pattern)
			return NULL;
	return text;
}

static const char *
skip_fraction(const char *text)
{
	if (*text == '.' && isdigit((unsigned char) text[1]))
		for (text++; isdigit((unsigned char) *text); text++)
			;
	return text;
}

/* "", "Z", "+03:00", "+0300", "+03" */
static bool
is_zone(const char *text)
{
	const char *rest;

	if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return true;
	if ((*text != '+' && *text != '-') ||
		(rest = skip(text + 1, "99")) == NULL)
		return false;
	if (*rest == ':')
		rest = skip(rest, ":99");
	else if (*rest != '\0')
		rest = skip(rest, "99");
	return rest != NULL && *rest == '\0';
}

static bool
is_absolute(const char *text)
{
	const char *rest = skip(text, "9999-99-99");
	const char *seconds;

	if (rest == NULL || *rest == '\0')
		return rest != NULL;
	if (*rest != 'T' && *rest != 't' && *rest != ' ')
		return false;
	rest = skip(rest + 1, "99:99");
	if (rest == NULL)
		return false;
	seconds = skip(rest, ":99");
	return is_zone(seconds != NULL ? skip_fraction(seconds) : rest);
}

static bool
is_word(const char *text)
{
	return strcmp(text, "now") == 0 || strcmp(text, "today") == 0 ||
		strcmp(text, "yesterday") == 0 || strcmp(text, "tomorrow") == 0;
}

/* "-7d" as "-7 days" */
static bool
read_span(FmMoment *moment, const char *text)
{
	size_t		digits;

	if (*text != '-' && *text != '+')
		return false;
	digits = strspn(text + 1, "0123456789");
	if (digits == 0 || digits > 9)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text + 1 + digits, units[i].suffix) == 0)
		{
			snprintf(moment->sql, sizeof(moment->sql), "%.*s %s",
					 (int) digits + 1, text, units[i].sql);
			moment->kind = FM_MOMENT_RELATIVE;
			return true;
		}
	return false;
}

bool
fm_moment_read(FmMoment *moment, const char *text)
{
	if (read_span(moment, text))
		return true;
	if (strlen(text) >= sizeof(moment->sql) ||
		(!is_word(text) && !is_absolute(text)))
		return false;
	strcpy(moment->sql, text);
	moment->kind = FM_MOMENT_ABSOLUTE;
	return true;
}

bool
fm_period_read(FmMoment *from, char *length, size_t size, const char *text)
{
	static const struct
	{
		const char *pattern;
		const char *rest;		/* makes it the first day */
		const char *length;
	}			periods[] = {
		{"9999", "-01-01", "1 year"},
		{"9999-99", "-01", "1 month"},
		{"9999-99-99", "", "1 day"},
	};

	from->kind = FM_MOMENT_ABSOLUTE;
	if (strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0)
	{
		strcpy(from->sql, text);
		snprintf(length, size, "1 day");
		return true;
	}
	for (int i = 0; i < 3; i++)
	{
		const char *end = skip(text, periods[i].pattern);

		if (end == NULL || *end != '\0')
			continue;
		snprintf(from->sql, sizeof(from->sql), "%s%s", text, periods[i].rest);
		snprintf(length, size, "%s", periods[i].length);
		return true;
	}
	return false;
}

/* ----------------------------------------------------------------------
 * What the server writes
 * ------------------------------------------------------------------- */

/* Days since 1970 of a day of the Gregorian calendar, year >= 1. */
static int64_t
days_of(int year, int month, int day)
{
	/* counted from March, so that a leap day is the last one of its year */
	int			y = month > 2 ? year : year - 1;
	int			m = month > 2 ? month - 3 : month + 9;

	return (int64_t) y * 365 + y / 4 - y / 100 + y / 400 +
		(153 * m + 2) / 5 + day - 1 - 719468;
}

static int
two(const char *digits)
{
	return (digits[0] - '0') * 10 + digits[1] - '0';
}

/* Microseconds of ".25"; moves on behind it. */
static int
read_fraction(const char **text)
{
	int			micros = 0;
	int			scale = 100000;

	if (**text != '.')
		return 0;
	for ((*text)++; isdigit((unsigned char) **text); (*text)++)
	{
		micros += (**text - '0') * scale;
		scale /= 10;
	}
	return micros;
}

/* "-03", "+05:30", "-03:06:28" */
static bool
read_offset(const char *text, int *offset)
{
	int			sign = *text == '-' ? -1 : 1;
	int			seconds = 0;

	if (*text != '-' && *text != '+')
		return false;
	for (int unit = 3600; unit >= 1; unit /= 60)
	{
		text = skip(text + 1, "99");
		if (text == NULL)
			return false;
		seconds += two(text - 2) * unit;
		if (*text != ':')
			break;
	}
	*offset = sign * seconds;
	return *text == '\0';
}

bool
fm_time_read(FmTime *time, const char *text)
{
	const char *rest = skip(text, "9999-99-99 99:99:99");

	if (rest == NULL)
		return false;			/* infinite, or before Christ, or far away */
	time->local = days_of(two(text) * 100 + two(text + 2), two(text + 5),
						  two(text + 8)) * 86400 +
		two(text + 11) * 3600 + two(text + 14) * 60 + two(text + 17);
	time->local = time->local * 1000000 + read_fraction(&rest);
	time->offset = 0;
	time->zoned = *rest != '\0';
	return !time->zoned || read_offset(rest, &time->offset);
}
