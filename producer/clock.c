/*
 * clock.c - time: two clocks, and RFC 3339 in both directions
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Formatting is on the path of every message, so it uses integer arithmetic
 * only (the civil calendar from a count of days) and remembers nothing.
 */
#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY (86400 * FM_SECOND)

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		abort();				/* both clocks exist everywhere we run */
	return (int64_t) ts.tv_sec * FM_SECOND + ts.tv_nsec / 1000;
}

int64_t
fm_clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
fm_clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Year, month and day of a count of days since 1970-01-01. */
static void
civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t		z = days + 719468;	/* days since 0000-03-01 */
	int64_t		era = (z >= 0 ? z : z - 146096) / 146097;
	int			doe = (int) (z - era * 146097);
	int			yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int			doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int			mp = (5 * doy + 2) / 153;

	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = (int) (yoe + era * 400) + (*month <= 2);
}

static int64_t
days_from_civil(int year, int month, int day)
{
	int64_t		y = year - (month <= 2);
	int64_t		era = (y >= 0 ? y : y - 399) / 400;
	int64_t		yoe = y - era * 400;
	int64_t		mp = month + (month > 2 ? -3 : 9);
	int64_t		doy = (153 * mp + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
put_digits(char *to, int n, int digits)
{
	while (digits-- > 0)
	{
		to[digits] = (char) ('0' + n % 10);
		n /= 10;
	}
}

void
fm_time_format(int64_t us, char *to)
{
	int64_t		days = us / DAY - (us % DAY < 0);
	int64_t		rest = us - days * DAY;
	int			seconds = (int) (rest / FM_SECOND);
	int			year;
	int			month;
	int			day;

	civil_from_days(days, &year, &month, &day);
	memcpy(to, "yyyy-mm-ddThh:mm:ss.uuuuuuZ", FM_TIME_LEN);
	put_digits(to, year, 4);
	put_digits(to + 5, month, 2);
	put_digits(to + 8, day, 2);
	put_digits(to + 11, seconds / 3600, 2);
	put_digits(to + 14, seconds / 60 % 60, 2);
	put_digits(to + 17, seconds % 60, 2);
	put_digits(to + 20, (int) (rest % FM_SECOND), 6);
}

/* An RFC 3339 fraction, point included, or none; returns what follows it. */
static const char *
parse_fraction(const char *s, int64_t *us)
{
	int64_t		unit = FM_SECOND / 10;

	*us = 0;
	if (*s != '.' || s[1] < '0' || s[1] > '9')
		return s;
	for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
		*us += (*s - '0') * unit;
	return s;
}

/* "Z" or "+hh:mm" and nothing more. */
static bool
parse_zone(const char *s, int64_t *offset)
{
	int			hours;
	int			minutes;
	int			used = 0;

	*offset = 0;
	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0)
		return true;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 ||
		sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 ||
		used != 5 || hours > 23 || minutes > 59)
		return false;
	*offset = (hours * 60 + minutes) * 60 * FM_SECOND;
	if (*s == '-')
		*offset = -*offset;
	return true;
}

static bool
parse_rfc3339(const char *s, int64_t *us)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
	31};
	int			year, month, day, hour, minute, second;
	int			used = 0;
	int64_t		fraction;
	int64_t		offset;

	if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day,
			   &hour, &minute, &second, &used) != 6 || used != 19)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
		hour > 23 || minute > 59 || second > 59)
		return false;
	if (month == 2 && day == 29 &&
		(year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	if (!parse_zone(parse_fraction(s + used, &fraction), &offset))
		return false;
	*us = days_from_civil(year, month, day) * DAY +
		((hour * 60 + minute) * 60 + second) * FM_SECOND + fraction - offset;
	return true;
}

bool
fm_time_parse(const char *text, int64_t *us)
{
	if (strcmp(text, "now") == 0)
	{
		*us = fm_clock_wall();
		return true;
	}
	if (text[0] == '@')
	{
		char	   *end;
		double		seconds = strtod(text + 1, &end);

		if (end == text + 1 || *end || !(fabs(seconds) < 2e11))
			return false;
		*us = (int64_t) (seconds * 1e6);
		return true;
	}
	return parse_rfc3339(text, us);
}
