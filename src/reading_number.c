/*-------------------------------------------------------------------------
 *
 * reading_number.c
 *	  Numbers between text and binary, nothing lost unnoticed.
 *
 * A column holds the double (for quality: the float) nearest to what was
 * written.  That is exact in the only sense that matters here if writing the
 * double back, in the fewest digits that identify it, gives the same decimal
 * number; fm_decimal_is_double() is that test, and a number that fails it is
 * kept as text beside the column.  Writing back means fm_format_double() and
 * nothing else, because shortest forms differ: for 1e23, which lies half-way
 * between two doubles, PostgreSQL's own output is 9.999999999999999e22.  Here
 * every decimal of up to 15 significant digits (for floats 6) comes back as it
 * was, as C's DBL_DIG promises.
 *
 * The decimal comma.  strtod() and snprintf() follow the locale of the
 * process.  We never show strtod() a decimal point (12.5 is given to it as
 * "125e-1"), and of what snprintf() writes we look at the digits only.  So
 * there is no locale to set up and none to depend on.
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

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

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
