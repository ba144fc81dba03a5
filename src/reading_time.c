/*-------------------------------------------------------------------------
 *
 * reading_time.c
 *	  Timestamps between text and binary, nothing lost unnoticed.
 *
 * RFC 3339 as it is written there: "T", "Z" or an offset below 24 hours, real
 * days, a second 60 only where a leap second can be (the last of a month in
 * UTC).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "reading_internal.h"

#define MICROSECONDS		INT64_C(1000000)
#define DAY_MICROSECONDS	(86400 * MICROSECONDS)

/* Days from 0000-03-01 to 2000-01-01 and to 0001-01-01, 10000-01-01. */
#define DAYS_TO_EPOCH		730425
#define DAYS_TO_YEAR_1		306
#define DAYS_TO_YEAR_10000	3652365

/* The number written in n digits at p, or -1. */
static int
fixed_digits(const char *p, const char *end, int n)
{
	int			number = 0;

	if (end - p < n)
		return -1;
	for (; n > 0; n--, p++)
	{
		if (!fm_is_digit(*p))
			return -1;
		number = number * 10 + (*p - '0');
	}
	return number;
}

static bool
is_leap_year(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
days_of_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/*
 * Days from 0000-03-01, in the Gregorian calendar: with years that begin in
 * March the leap day is the last one, and months follow a five-month rhythm.
 */
static int
days_from_date(int year, int month, int day)
{
	int			y = month > 2 ? year : year - 1;
	int			m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
}

static void
date_from_days(int days, int *year, int *month, int *day)
{
	int			era = days / 146097;
	int			in_era = days % 146097;
	int			y = (in_era - in_era / 1460 + in_era / 36524 -
					 in_era / 146096) / 365;
	int			in_year = in_era - (365 * y + y / 4 - y / 100);
	int			m = (5 * in_year + 2) / 153;

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = era * 400 + y + (*month <= 2 ? 1 : 0);
}

/* "YYYY-MM-DD" at *p, as days from 0000-03-01. */
static const char *
parse_date(const char **p, const char *end, int *days)
{
	int			year = fixed_digits(*p, end, 4);
	int			month = end - *p < 10 ? -1 : fixed_digits(*p + 5, end, 2);
	int			day = end - *p < 10 ? -1 : fixed_digits(*p + 8, end, 2);

	if (year < 0 || month < 0 || day < 0 || (*p)[4] != '-' || (*p)[7] != '-')
		return "it does not begin with a date YYYY-MM-DD";
	if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return "there is no such day";
	if (year == 0)
		return "it is not in the years 0001 to 9999";
	*days = days_from_date(year, month, day);
	*p += 10;
	return NULL;
}

/*
 * "Thh:mm:ss[.fraction]" at *p, as seconds (second 60 counted as written)
 * and microseconds.  *digits is the length of the fraction.
 */
static const char *
parse_time(const char **p, const char *end, int *seconds, int *microseconds,
		   int *digits)
{
	const char *s = *p;
	int			hour;
	int			minute;
	int			second;
	int			unit = 100000;

	if (end - s < 9 || (s[0] != 'T' && s[0] != 't') ||
		(hour = fixed_digits(s + 1, end, 2)) < 0 || s[3] != ':' ||
		(minute = fixed_digits(s + 4, end, 2)) < 0 || s[6] != ':' ||
		(second = fixed_digits(s + 7, end, 2)) < 0)
		return "it has no time of day Thh:mm:ss after the date";
	if (hour > 23 || minute > 59 || second > 60)
		return "there is no such time of day";
	*seconds = hour * 3600 + minute * 60 + second;
	*microseconds = 0;
	*digits = 0;
	s += 9;
	if (s < end && *s == '.')
	{
		for (s++; s < end && fm_is_digit(*s); s++, unit /= 10)
		{
			*microseconds += (*s - '0') * unit;
			*digits += 1;
		}
		if (*digits == 0)
			return "there are no digits after the decimal point";
	}
	*p = s;
	return NULL;
}

/* "Z" or "+hh:mm" at *p, as seconds east of Greenwich. */
static const char *
parse_offset(const char **p, const char *end, int *offset)
{
	const char *s = *p;
	int			hour;
	int			minute;

	if (s < end && (*s == 'Z' || *s == 'z'))
	{
		*offset = 0;
		*p = s + 1;
		return NULL;
	}
	if (s == end)
		return "it has no offset from UTC";
	if (end - s < 6 || (s[0] != '+' && s[0] != '-') ||
		(hour = fixed_digits(s + 1, end, 2)) < 0 || s[3] != ':' ||
		(minute = fixed_digits(s + 4, end, 2)) < 0)
		return "it has no offset Z or +hh:mm after the time of day";
	if (hour > 23 || minute > 59)
		return "there is no such offset";
	*offset = (hour * 3600 + minute * 60) * (s[0] == '-' ? -1 : 1);
	*p = s + 6;
	return NULL;
}

/* Does a month begin at ts, so that a leap second may precede it? */
static bool
month_begins(int64_t seconds)
{
	int			year;
	int			month;
	int			day;

	if (seconds % 86400 != 0)
		return false;
	date_from_days((int) (seconds / 86400), &year, &month, &day);
	return day == 1;
}

const char *
fm_rfc3339_fault(const char *text, int len, int64_t *ts, int *digits)
{
	const char *p = text;
	const char *end = text + len;
	const char *what;
	bool		plain;
	int			days;
	int			seconds;
	int			microseconds;
	int			offset;
	int64_t		instant;		/* seconds from 0000-03-01 in UTC */

	if ((what = parse_date(&p, end, &days)) != NULL ||
		(what = parse_time(&p, end, &seconds, &microseconds, digits)) != NULL)
		return what;
	plain = *digits <= 6 && text[10] == 'T' && end - p == 1 && *p == 'Z';
	if ((what = parse_offset(&p, end, &offset)) != NULL)
		return what;
	if (p != end)
		return "there is something after the offset";

	instant = (int64_t) days * 86400 + seconds - offset;
	if (text[17] == '6')
	{
		if (!month_begins(instant))
			return "there is no leap second at this time";
		plain = false;
	}
	if (instant < (int64_t) DAYS_TO_YEAR_1 * 86400 ||
		instant >= (int64_t) DAYS_TO_YEAR_10000 * 86400)
		return "it is not in the years 0001 to 9999";
	*ts = (instant - (int64_t) DAYS_TO_EPOCH * 86400) * MICROSECONDS +
		microseconds;
	if (!plain)
		*digits = FM_TS_TEXT;
	return NULL;
}

const char *
fm_local_time_fault(const char *text, int len, int64_t *local, int *digits)
{
	char		copy[64];
	const char *p = copy;
	const char *end = copy + len;
	const char *what;
	int			days;
	int			seconds;
	int			microseconds;

	if (len >= (int) sizeof(copy))
		return "it is too long";
	memcpy(copy, text, (size_t) len);
	if (len > 10 && copy[10] == ' ')
		copy[10] = 'T';
	if ((what = parse_date(&p, end, &days)) != NULL ||
		(what = parse_time(&p, end, &seconds, &microseconds, digits)) != NULL)
		return what;
	if (p != end)
		return "there is something after the time of day";
	*local = ((int64_t) (days - DAYS_TO_EPOCH) * 86400 + seconds) *
		MICROSECONDS + microseconds;
	if (*digits > 6 || text[10] != 'T' || text[17] == '6')
		*digits = FM_TS_TEXT;
	return NULL;
}

bool
fm_timestamp_in_range(int64_t ts)
{
	return ts >= (DAYS_TO_YEAR_1 - DAYS_TO_EPOCH) * DAY_MICROSECONDS &&
		ts < (DAYS_TO_YEAR_10000 - DAYS_TO_EPOCH) * DAY_MICROSECONDS;
}

bool
fm_parse_rfc3339(const char *text, int len, int64_t *ts, int *digits)
{
	return fm_rfc3339_fault(text, len, ts, digits) == NULL;
}

int
fm_format_rfc3339(int64_t ts, int digits, char *buf)
{
	int64_t		first = (DAYS_TO_YEAR_1 - DAYS_TO_EPOCH) * DAY_MICROSECONDS;
	int64_t		last = (DAYS_TO_YEAR_10000 - DAYS_TO_EPOCH) * DAY_MICROSECONDS;
	int64_t		instant;		/* microseconds from 0000-03-01 */
	int			year;
	int			month;
	int			day;
	int			seconds;
	int			len;

	if (ts < first || ts >= last)
		return 0;
	instant = ts + DAYS_TO_EPOCH * DAY_MICROSECONDS;
	date_from_days((int) (instant / DAY_MICROSECONDS), &year, &month, &day);
	instant %= DAY_MICROSECONDS;
	seconds = (int) (instant / MICROSECONDS);
	len = sprintf(buf, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day,
				  seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (digits > 0)
	{
		len += sprintf(buf + len, ".%06d", (int) (instant % MICROSECONDS));
		len -= digits < 6 ? 6 - digits : 0;
	}
	buf[len++] = 'Z';
	buf[len] = '\0';
	return len;
}
