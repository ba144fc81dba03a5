/*-------------------------------------------------------------------------
 *
 * reading_fast.c
 *	  The message as nearly every producer writes it, decoded in one pass.
 *
 * reading.c decodes any message, in two passes over all of its text, and can
 * say what is wrong with it.  Here a message is either taken or declined, and
 * what is declined goes to reading.c.  Declined is whatever is rare: a fault
 * of any kind, an escape, an exponent, more digits than are exact for sure, a
 * timestamp that is not in UTC with a 'Z', members that the format does not
 * know, everything that needs "extra".  Members come in any order, white space
 * wherever JSON has it, UTF-8 in every string.
 *
 * What is taken is taken exactly as reading.c would take it, to the last bit;
 * the fuzz target compares the two.  Nothing is allocated, nothing is read
 * beyond the end, and a declined message may leave anything in the reading.
 *
 * Each take_...() gets the text from the first character of what it takes on
 * and returns where that ends, or NULL to decline.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "reading_internal.h"

/* Integers of so many digits, divided by a power of ten, are rounded once. */
#define MOST_DIGITS			15	/* DBL_DIG, and below 2^53 */
#define MOST_FLOAT_DIGITS	6	/* FLT_DIG, and below 2^24 */
#define MOST_COUNT_DIGITS	9	/* below 2^31 */

#define MICROSECONDS		INT64_C(1000000)

/* Days from 0000-03-01 to 2000-01-01. */
#define DAYS_TO_EPOCH		730425

#define TIMESTAMP_SECONDS	19	/* "2025-09-16T21:41:41" */

/* Members seen, one bit each. */
enum
{
	SEEN_TIMESTAMP = 1 << 0,
	SEEN_SENSOR_ID = 1 << 1,
	SEEN_SENSOR_TYPE = 1 << 2,
	SEEN_LOCATION = 1 << 3,
	SEEN_FACTORY_SECTION = 1 << 4,
	SEEN_MACHINE_ID = 1 << 5,
	SEEN_ZONE = 1 << 6,
	SEEN_VALUE = 1 << 7,
	SEEN_UNIT = 1 << 8,
	SEEN_REQUIRED = (1 << 9) - 1,	/* all of the above */
	SEEN_ALERT_LEVEL = 1 << 9,
	SEEN_QUALITY = 1 << 10,
	SEEN_METADATA = 1 << 11,
	SEEN_READING_COUNT = 1 << 12,
	SEEN_WARNING_THRESHOLD = 1 << 13,
	SEEN_CRITICAL_THRESHOLD = 1 << 14
};

/* The message being decoded. */
typedef struct Fast
{
	const char *end;
	FmReading  *reading;
	unsigned	seen;
} Fast;

/* A number without exponent: digits / 10^scale, negated or not. */
typedef struct Number
{
	int64_t		digits;
	int			ndigits;		/* written, leading zeros included */
	int			scale;
	bool		negative;
} Number;

static const double powers_of_ten[MOST_DIGITS + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15
};

/* ------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------
 */

static inline const char *
skip_space(const Fast *fast, const char *p)
{
	while (p < fast->end && fm_is_space(*p))
		p++;
	return p;
}

/* Past the colon or comma at p and the white space on both of its sides. */
static inline const char *
take_separator(const Fast *fast, const char *p, char separator)
{
	p = skip_space(fast, p);
	if (p == fast->end || *p != separator)
		return NULL;
	return skip_space(fast, p + 1);
}

/* One character of UTF-8 that is not ASCII. */
static const char *
take_long_character(const Fast *fast, const char *p)
{
	unsigned char c = (unsigned char) *p;
	unsigned char next;
	int			len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;

	if (c < 0xC2 || c > 0xF4 || fast->end - p < len)
		return NULL;
	next = (unsigned char) p[1];
	/* overlong forms, surrogates, and what is beyond the last character */
	if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) ||
		(c == 0xF0 && next < 0x90) || (c == 0xF4 && next > 0x8F))
		return NULL;
	for (int i = 1; i < len; i++)
	{
		if (!fm_is_continuation(p + i))
			return NULL;
	}
	return p + len;
}

/* The first character from p on that is not plain text of a string. */
static inline const char *
skip_plain(const Fast *fast, const char *p)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(' ');

	for (; fast->end - p >= 16; p += 16)
	{
		__m128i		text = _mm_loadu_si128((const __m128i *) p);
		/* signed, so what is not ASCII is below space, too */
		__m128i		special = _mm_or_si128(_mm_cmplt_epi8(text, space),
										   _mm_or_si128(_mm_cmpeq_epi8(text, quote),
														_mm_cmpeq_epi8(text, backslash)));
		int			mask = _mm_movemask_epi8(special);

		if (mask != 0)
			return p + __builtin_ctz((unsigned) mask);
	}
#endif
	while (p < fast->end && *p != '"' && *p != '\\' &&
		   (unsigned char) *p >= 0x20 && (unsigned char) *p < 0x80)
		p++;
	return p;
}

/* A string without escapes, from its opening quote on. */
static inline const char *
take_string(const Fast *fast, const char *p, FmSlice *string)
{
	if (p == fast->end || *p != '"')
		return NULL;
	string->data = ++p;
	for (;;)
	{
		p = skip_plain(fast, p);
		if (p == fast->end)
			return NULL;
		if (*p == '"')
			break;
		if ((unsigned char) *p < 0x80)
			return NULL;		/* an escape or a control character */
		p = take_long_character(fast, p);
		if (p == NULL)
			return NULL;
	}
	/* strings too long are declined below, so this does not overflow there */
	string->len = (int) (p - string->data);
	return p + 1;
}

static inline const char *
take_text(const Fast *fast, const char *p, int min, int max, FmSlice *text)
{
	p = take_string(fast, p, text);
	if (p == NULL || text->len < min || text->len > max)
		return NULL;
	return p;
}

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------
 */

static inline const char *
take_number(const Fast *fast, const char *p, Number *number)
{
	const char *first;
	const char *point;
	int64_t		digits = 0;

	number->negative = p < fast->end && *p == '-';
	p += number->negative;
	first = p;
	while (p < fast->end && fm_is_digit(*p) && p - first <= MOST_DIGITS)
		digits = digits * 10 + (*p++ - '0');
	number->ndigits = (int) (p - first);
	if (number->ndigits == 0 || (number->ndigits > 1 && *first == '0'))
		return NULL;
	number->scale = 0;
	if (p < fast->end && *p == '.')
	{
		point = p++;
		while (p < fast->end && fm_is_digit(*p) && p - first <= MOST_DIGITS + 1)
			digits = digits * 10 + (*p++ - '0');
		number->scale = (int) (p - point) - 1;
		if (number->scale == 0)
			return NULL;
		number->ndigits += number->scale;
	}
	number->digits = digits;
	/* what follows (more digits, an exponent) is refused as a separator */
	return number->ndigits <= MOST_DIGITS ? p : NULL;
}

static inline const char *
take_double(const Fast *fast, const char *p, double *value)
{
	Number		number;

	p = take_number(fast, p, &number);
	if (p == NULL)
		return NULL;
	*value = (double) number.digits / powers_of_ten[number.scale];
	if (number.negative)
		*value = -*value;
	return p;
}

static inline const char *
take_quality(Fast *fast, const char *p)
{
	Number		number;

	p = take_number(fast, p, &number);
	if (p == NULL || number.negative || number.ndigits > MOST_FLOAT_DIGITS)
		return NULL;
	fast->reading->quality = (float) number.digits /
		(float) powers_of_ten[number.scale];
	fast->reading->has_quality = true;
	return fast->reading->quality <= 1.0f ? p : NULL;
}

static inline const char *
take_reading_count(Fast *fast, const char *p)
{
	Number		number;

	p = take_number(fast, p, &number);
	if (p == NULL || number.negative || number.scale > 0 ||
		number.ndigits > MOST_COUNT_DIGITS)
		return NULL;
	fast->reading->reading_count = (int32_t) number.digits;
	fast->reading->has_reading_count = true;
	return p;
}

/* ------------------------------------------------------------------------
 * Timestamps
 * ------------------------------------------------------------------------
 */

/* Two digits as a number; anything else is 100 or more. */
static inline unsigned
two_digits(const char *p)
{
	unsigned	high = (unsigned char) p[0] - (unsigned) '0';
	unsigned	low = (unsigned char) p[1] - (unsigned) '0';

	return high > 9 || low > 9 ? 100 : high * 10 + low;
}

static inline bool
is_leap_year(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/*
 * Days from 2000-01-01 to this day.  Years begin in March here, so that the
 * leap day is the last one; 153 / 5 days are the average of five months.
 */
static inline int
days_since_epoch(unsigned year, unsigned month, unsigned day)
{
	unsigned	y = month > 2 ? year : year - 1;
	unsigned	m = month > 2 ? month - 3 : month + 9;

	return (int) (y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 +
				  day - 1) - DAYS_TO_EPOCH;
}

static inline bool
is_date(unsigned year, unsigned month, unsigned day)
{
	static const unsigned char lengths[] = {
		0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	return year >= 1 && year <= 9999 && month >= 1 && month <= 12 &&
		day >= 1 && day <= lengths[month] &&
		(month != 2 || day <= 28 || is_leap_year(year));
}

static const char *
take_timestamp(Fast *fast, const char *p)
{
	const char *t = p + 1;		/* what is between the quotes */
	const char *end = fast->end;
	unsigned	century;
	unsigned	years;
	unsigned	month;
	unsigned	day;
	unsigned	hour;
	unsigned	minute;
	unsigned	second;
	int64_t		fraction = 0;
	int			digits = 0;
	static const int scales[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

	if (end - p < TIMESTAMP_SECONDS + 3 || *p != '"' || t[4] != '-' ||
		t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':')
		return NULL;
	century = two_digits(t);
	years = two_digits(t + 2);
	month = two_digits(t + 5);
	day = two_digits(t + 8);
	hour = two_digits(t + 11);
	minute = two_digits(t + 14);
	second = two_digits(t + 17);
	if (century > 99 || years > 99 || hour > 23 || minute > 59 ||
		second > 59 || !is_date(century * 100 + years, month, day))
		return NULL;

	p = t + TIMESTAMP_SECONDS;
	if (*p == '.')
	{
		for (p++; p < end && fm_is_digit(*p) && digits < 6; p++, digits++)
			fraction = fraction * 10 + (*p - '0');
		if (digits == 0)
			return NULL;
	}
	if (end - p < 2 || p[0] != 'Z' || p[1] != '"')
		return NULL;
	fast->reading->ts = ((days_since_epoch(century * 100 + years, month, day) *
						  INT64_C(24) + hour) * 60 + minute) * 60 * MICROSECONDS +
		second * MICROSECONDS + fraction * scales[digits];
	fast->reading->ts_digits = digits;
	return p + 2;
}

/* ------------------------------------------------------------------------
 * Members
 * ------------------------------------------------------------------------
 */

static inline bool
is(FmSlice text, const char *name, size_t len)
{
	return memcmp(text.data, name, len) == 0;
}

/* Is the text, known to have the length of this literal, that literal? */
#define IS(text, literal)	is(text, literal, sizeof(literal) - 1)

/* Note that a member is there; false if it was there before. */
static inline bool
first_time(Fast *fast, unsigned member)
{
	bool		first = (fast->seen & member) == 0;

	fast->seen |= member;
	return first;
}

static inline const char *
take_alert_level(Fast *fast, const char *p)
{
	FmSlice		text;

	p = take_string(fast, p, &text);
	if (p == NULL)
		return NULL;
	if (text.len == 6 && IS(text, "normal"))
		fast->reading->reported = FM_REPORTED_NORMAL;
	else if (text.len == 7 && IS(text, "warning"))
		fast->reading->reported = FM_REPORTED_WARNING;
	else if (text.len == 8 && IS(text, "critical"))
		fast->reading->reported = FM_REPORTED_CRITICAL;
	else
		return NULL;
	return p;
}

/* A key and the colon behind it: the value begins where this ends. */
static inline const char *
take_key(const Fast *fast, const char *p, FmSlice *key)
{
	p = take_string(fast, p, key);
	return p == NULL ? NULL : take_separator(fast, p, ':');
}

static const char *
take_location_member(Fast *fast, FmSlice key, const char *p)
{
	FmReading  *reading = fast->reading;

	if (key.len == 4 && IS(key, "zone"))
		return !first_time(fast, SEEN_ZONE) ? NULL :
			take_text(fast, p, 0, FM_MAX_NAME, &reading->zone);
	if (key.len == 10 && IS(key, "machine_id"))
		return !first_time(fast, SEEN_MACHINE_ID) ? NULL :
			take_text(fast, p, 0, FM_MAX_NAME, &reading->machine_id);
	if (key.len == 15 && IS(key, "factory_section"))
		return !first_time(fast, SEEN_FACTORY_SECTION) ? NULL :
			take_text(fast, p, 0, FM_MAX_NAME, &reading->factory_section);
	return NULL;
}

static const char *
take_metadata_member(Fast *fast, FmSlice key, const char *p)
{
	FmReading  *reading = fast->reading;

	if (key.len == 13 && IS(key, "reading_count"))
		return !first_time(fast, SEEN_READING_COUNT) ? NULL :
			take_reading_count(fast, p);
	if (key.len == 17 && IS(key, "warning_threshold"))
	{
		reading->has_warning_threshold = true;
		return !first_time(fast, SEEN_WARNING_THRESHOLD) ? NULL :
			take_double(fast, p, &reading->warning_threshold);
	}
	if (key.len == 18 && IS(key, "critical_threshold"))
	{
		reading->has_critical_threshold = true;
		return !first_time(fast, SEEN_CRITICAL_THRESHOLD) ? NULL :
			take_double(fast, p, &reading->critical_threshold);
	}
	return NULL;
}

typedef const char *(*TakeMember) (Fast *fast, FmSlice key, const char *p);

/* An object with one member at least, from its brace on. */
static inline const char *
take_object(Fast *fast, const char *p, TakeMember take_member)
{
	FmSlice		key;

	p = take_separator(fast, p, '{');
	while (p != NULL)
	{
		p = take_key(fast, p, &key);
		if (p == NULL)
			return NULL;
		p = take_member(fast, key, p);
		if (p == NULL)
			return NULL;
		p = skip_space(fast, p);
		if (p < fast->end && *p == '}')
			return p + 1;
		p = take_separator(fast, p, ',');
	}
	return NULL;
}

static const char *
take_message_member(Fast *fast, FmSlice key, const char *p)
{
	FmReading  *reading = fast->reading;

	switch (key.len)
	{
		case 4:
			if (IS(key, "unit") && first_time(fast, SEEN_UNIT))
				return take_text(fast, p, 0, FM_MAX_SHORT_NAME,
								 &reading->unit);
			return NULL;
		case 5:
			if (IS(key, "value") && first_time(fast, SEEN_VALUE))
				return take_double(fast, p, &reading->value);
			return NULL;
		case 7:
			if (IS(key, "quality") && first_time(fast, SEEN_QUALITY))
				return take_quality(fast, p);
			return NULL;
		case 8:
			if (IS(key, "location") && first_time(fast, SEEN_LOCATION))
				return take_object(fast, p, take_location_member);
			if (IS(key, "metadata") && first_time(fast, SEEN_METADATA))
				return take_object(fast, p, take_metadata_member);
			return NULL;
		case 9:
			if (IS(key, "timestamp") && first_time(fast, SEEN_TIMESTAMP))
				return take_timestamp(fast, p);
			if (IS(key, "sensor_id") && first_time(fast, SEEN_SENSOR_ID))
				return take_text(fast, p, 1, FM_MAX_SENSOR_ID,
								 &reading->sensor_id);
			return NULL;
		case 11:
			if (IS(key, "sensor_type") && first_time(fast, SEEN_SENSOR_TYPE))
				return take_text(fast, p, 1, FM_MAX_SHORT_NAME,
								 &reading->sensor_type);
			if (IS(key, "alert_level") && first_time(fast, SEEN_ALERT_LEVEL))
				return take_alert_level(fast, p);
			return NULL;
		default:
			return NULL;
	}
}

bool
fm_decode_fast(const char *payload, size_t len, FmReading *reading)
{
	Fast		fast = {payload + len, reading, 0};
	const char *p;

	/* intermediate results of another precision would round twice */
	if (FLT_EVAL_METHOD != 0 || len > FM_MAX_PAYLOAD)
		return false;
	memset(reading, 0, sizeof(*reading));
	p = take_object(&fast, payload, take_message_member);
	return p != NULL && skip_space(&fast, p) == fast.end &&
		(fast.seen & SEEN_REQUIRED) == SEEN_REQUIRED;
}
