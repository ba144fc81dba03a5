/*-------------------------------------------------------------------------
 *
 * reading_scalar.c
 *	  Numbers and timestamps between text and binary, nothing lost unnoticed.
 *
 * Numbers.  A column holds the double (for quality: the float) nearest to
 * what was written.  That is exact in the only sense that matters here if
 * writing the double back, in the fewest digits that identify it, gives the
 * same decimal number; fm_decimal_is_double() is that test, and a number that
 * fails it is kept as text beside the column.  Writing back means
 * fm_format_double() and nothing else, because shortest forms differ: for
 * 1e23, which lies half-way between two doubles, PostgreSQL's own output is
 * 9.999999999999999e22.  Here every decimal of up to 15 significant digits
 * (for floats 6) comes back as it was, as C's DBL_DIG promises.
 *
 * The decimal comma.  strtod() and snprintf() follow the locale of the
 * process.  We never show strtod() a decimal point (12.5 is given to it as
 * "125e-1"), and of what snprintf() writes we look at the digits only.  So
 * there is no locale to set up and none to depend on.
 *
 * Timestamps.  RFC 3339 as it is written there: "T", "Z" or an offset below
 * 24 hours, real days, a second 60 only where a leap second can be (the last
 * of a month in UTC).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reading_internal.h"

/*
 * A number's last digit stands for at most this power of ten.  Only a zero
 * can have more and not be too large; we do not want it either.  Exponents
 * are counted a little further, so that the fraction cannot hide it.
 */
#define MAX_LAST_POWER		(2 * (int64_t) FM_MAX_PAYLOAD)
#define MAX_EXPONENT		(2 * MAX_LAST_POWER)

/*
 * Half-way points between doubles have up to 767 significant digits: that
 * many decide on the rounding, with one more for "and something".
 */
#define DECIDING_DIGITS		768

/* Integers up to here are exact, and so are these powers of ten. */
#define DOUBLE_EXACT		(UINT64_C(1) << 53)
#define DOUBLE_EXACT_POWER	22
#define FLOAT_EXACT			(UINT64_C(1) << 24)
#define FLOAT_EXACT_POWER	10

#define MICROSECONDS		INT64_C(1000000)
#define DAY_MICROSECONDS	(86400 * MICROSECONDS)

/* Days from 0000-03-01 to 2000-01-01 and to 0001-01-01, 10000-01-01. */
#define DAYS_TO_EPOCH		730425
#define DAYS_TO_YEAR_1		306
#define DAYS_TO_YEAR_10000	3652365

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/* ------------------------------------------------------------------------
 * Decimal numbers
 * ------------------------------------------------------------------------
 */

/* The exponent written at p, up to MAX_EXPONENT in size. */
static int64_t
parse_exponent(const char *p, const char *end)
{
	bool		negative = *p == '-';
	int64_t		exponent = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; p < end && exponent < MAX_EXPONENT; p++)
		exponent = exponent * 10 + (*p - '0');
	if (exponent > MAX_EXPONENT)
		exponent = MAX_EXPONENT;
	return negative ? -exponent : exponent;
}

void
fm_decimal_parse(FmSlice token, FmDecimal *decimal)
{
	const char *p = token.data;
	const char *end = token.data + token.len;
	int			position = 0;	/* of this digit */
	int			first = -1;		/* position of the first that is not zero */
	int			last = -1;
	int			point = -1;		/* digits before the point */
	int64_t		exponent = 0;

	decimal->first = NULL;
	decimal->negative = *p == '-';
	if (decimal->negative)
		p++;
	for (; p < end; p++)
	{
		if (fm_is_digit(*p))
		{
			if (*p != '0')
			{
				if (first < 0)
				{
					first = position;
					decimal->first = p;
				}
				last = position;
			}
			position++;
		}
		else if (*p == '.')
			point = position;
		else
		{
			exponent = parse_exponent(p + 1, end);
			break;
		}
	}
	if (point < 0)
		point = position;
	decimal->places = position - point - exponent;
	decimal->ndigits = first < 0 ? 0 : last - first + 1;
	decimal->exponent = first < 0 ? 0 : point - 1 - first + exponent;
}

const char *
fm_decimal_fault(const FmDecimal *decimal)
{
	if (decimal->places > FM_MAX_DECIMAL_PLACES)
		return "has too many decimal places";
	if (decimal->places < -MAX_LAST_POWER ||
		decimal->exponent > DBL_MAX_10_EXP ||
		(decimal->exponent == DBL_MAX_10_EXP &&
		 isinf(fm_decimal_to_double(decimal))))
		return "is out of range";
	return NULL;
}

/* Copy up to max digits, without decimal point, and terminate them. */
static int
copy_digits(const FmDecimal *decimal, char *out, int max)
{
	const char *p = decimal->first;
	int			n = decimal->ndigits < max ? decimal->ndigits : max;
	int			i;

	for (i = 0; i < n; p++)
	{
		if (*p != '.')
			out[i++] = *p;
	}
	out[n] = '\0';
	return n;
}

/*
 * The digits as an integer of at most limit and the power of ten that goes
 * with it, if the two are small enough for one exact operation.
 */
static bool
as_exact_integer(const FmDecimal *decimal, uint64_t limit, int max_power,
				 uint64_t *integer, int *power)
{
	int64_t		exponent = decimal->exponent - (decimal->ndigits - 1);
	const char *p = decimal->first;
	uint64_t	sum = 0;
	int			i;

	/* intermediate results of another precision would round twice */
	if (FLT_EVAL_METHOD != 0)
		return false;
	if (decimal->ndigits > 17 || exponent < -max_power || exponent > max_power)
		return false;
	for (i = 0; i < decimal->ndigits; p++)
	{
		if (*p == '.')
			continue;
		sum = sum * 10 + (uint64_t) (*p - '0');
		i++;
	}
	*integer = sum;
	*power = (int) exponent;
	return sum <= limit;
}

/* Write the number as "<digits>e<exponent>" for strtod() and strtof(). */
static void
write_for_strtod(const FmDecimal *decimal, char *out)
{
	int			n = copy_digits(decimal, out, DECIDING_DIGITS);

	if (n < decimal->ndigits)
		out[n++] = '1';			/* there is more, and not only zeros */
	sprintf(out + n, "e%d", (int) (decimal->exponent - (n - 1)));
}

double
fm_decimal_to_double(const FmDecimal *decimal)
{
	char		text[DECIDING_DIGITS + 32];
	uint64_t	integer;
	int			power;
	double		result = 0.0;

	if (decimal->ndigits == 0)
		result = 0.0;
	else if (as_exact_integer(decimal, DOUBLE_EXACT, DOUBLE_EXACT_POWER,
							  &integer, &power))
	{
		if (power < 0)
			result = (double) integer / powers_of_ten[-power];
		else
			result = (double) integer * powers_of_ten[power];
	}
	else if (decimal->exponent >= -400)
	{
		write_for_strtod(decimal, text);
		result = strtod(text, NULL);
	}
	return decimal->negative ? -result : result;
}

float
fm_decimal_to_float(const FmDecimal *decimal)
{
	char		text[DECIDING_DIGITS + 32];
	uint64_t	integer;
	int			power;
	float		result = 0.0f;

	if (decimal->ndigits == 0)
		result = 0.0f;
	else if (as_exact_integer(decimal, FLOAT_EXACT, FLOAT_EXACT_POWER,
							  &integer, &power))
	{
		if (power < 0)
			result = (float) integer / (float) powers_of_ten[-power];
		else
			result = (float) integer * (float) powers_of_ten[power];
	}
	else if (decimal->exponent >= -100)
	{
		write_for_strtod(decimal, text);
		result = strtof(text, NULL);
	}
	return decimal->negative ? -result : result;
}

bool
fm_decimal_is_integer(const FmDecimal *decimal)
{
	return decimal->ndigits == 0 || decimal->ndigits <= decimal->exponent + 1;
}

bool
fm_decimal_above_one(const FmDecimal *decimal)
{
	if (decimal->negative || decimal->ndigits == 0 || decimal->exponent < 0)
		return false;
	return decimal->exponent > 0 || decimal->ndigits > 1 ||
		*decimal->first != '1';
}

/* Are these the same number? */
static bool
decimal_equal(const FmDecimal *a, const FmDecimal *b)
{
	const char *p = a->first;
	const char *q = b->first;
	int			i;

	if (a->ndigits != b->ndigits)
		return false;
	if (a->ndigits == 0)
		return true;
	if (a->negative != b->negative || a->exponent != b->exponent)
		return false;
	for (i = 0; i < a->ndigits; i++, p++, q++)
	{
		if (*p == '.')
			p++;
		if (*q == '.')
			q++;
		if (*p != *q)
			return false;
	}
	return true;
}

bool
fm_decimal_is_double(const FmDecimal *decimal, double value)
{
	char		text[FM_NUMBER_BUFFER];
	FmSlice		token = {text, 0};
	FmDecimal	written;

	if (decimal->ndigits <= DBL_DIG &&
		decimal->exponent > DBL_MIN_10_EXP &&
		decimal->exponent < DBL_MAX_10_EXP)
		return true;
	token.len = fm_format_double(value, text);
	fm_decimal_parse(token, &written);
	return decimal_equal(decimal, &written);
}

bool
fm_decimal_is_float(const FmDecimal *decimal, float value)
{
	char		text[FM_NUMBER_BUFFER];
	FmSlice		token = {text, 0};
	FmDecimal	written;

	if (decimal->ndigits <= FLT_DIG &&
		decimal->exponent > FLT_MIN_10_EXP &&
		decimal->exponent < FLT_MAX_10_EXP)
		return true;
	token.len = fm_format_float(value, text);
	fm_decimal_parse(token, &written);
	return decimal_equal(decimal, &written);
}

/*
 * Round value to the given number of significant digits.  digits (at least
 * FM_NUMBER_BUFFER bytes) receives them; decimal refers to them.
 */
static void
round_to_digits(double value, int precision, char *digits, FmDecimal *decimal)
{
	char		text[64];
	const char *p = text;
	int			n = 0;

	snprintf(text, sizeof(text), "%.*e", precision - 1, fabs(value));
	for (; *p != 'e'; p++)
	{
		if (fm_is_digit(*p))		/* all but the locale's decimal point */
			digits[n++] = *p;
	}
	decimal->negative = signbit(value) != 0;
	decimal->first = digits;
	decimal->exponent = atoi(p + 1);
	while (n > 0 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	decimal->ndigits = n;
}

/* Write digits and exponent as a JSON number; returns the length. */
static int
write_decimal(const FmDecimal *decimal, char *buf)
{
	int			exponent = (int) decimal->exponent;
	int			n = decimal->ndigits;
	char	   *out = buf;
	int			i;

	if (decimal->negative)
		*out++ = '-';
	if (n == 0)
		*out++ = '0';
	else if (exponent < -5 || exponent > 16)
	{
		*out++ = decimal->first[0];
		if (n > 1)
			*out++ = '.';
		memcpy(out, decimal->first + 1, (size_t) (n - 1));
		out += n - 1;
		out += sprintf(out, "e%d", exponent);
	}
	else if (exponent < 0)
	{
		out += sprintf(out, "0.%.*s", -exponent - 1, "0000");
		memcpy(out, decimal->first, (size_t) n);
		out += n;
	}
	else
	{
		for (i = 0; i < n || i <= exponent; i++)
		{
			if (i == exponent + 1)
				*out++ = '.';
			*out++ = i < n ? decimal->first[i] : '0';
		}
	}
	*out = '\0';
	return (int) (out - buf);
}

int
fm_format_double(double value, char *buf)
{
	int			precision = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
	char		digits[FM_NUMBER_BUFFER];
	FmDecimal	decimal;

	for (;; precision++)
	{
		round_to_digits(value, precision, digits, &decimal);
		if (precision >= DBL_DECIMAL_DIG ||
			fm_decimal_to_double(&decimal) == value)
			return write_decimal(&decimal, buf);
	}
}

int
fm_format_float(float value, char *buf)
{
	int			precision = fabsf(value) < FLT_MIN ? 1 : FLT_DIG;
	char		digits[FM_NUMBER_BUFFER];
	FmDecimal	decimal;

	for (;; precision++)
	{
		round_to_digits((double) value, precision, digits, &decimal);
		if (precision >= FLT_DECIMAL_DIG ||
			fm_decimal_to_float(&decimal) == value)
			return write_decimal(&decimal, buf);
	}
}

/* ------------------------------------------------------------------------
 * Timestamps
 * ------------------------------------------------------------------------
 */

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
