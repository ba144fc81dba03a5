/*-------------------------------------------------------------------------
 *
 * mapping_lost.c
 *	  Is anything of a message lost once it has become readings?
 *
 * Each scalar of the message has to be found in extra, as it is written there,
 * or in a column of one of the readings.  This looks at values and not at where
 * they stand, so messages for it should not say the same twice.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "mapping_test.h"

#define UNIX_TO_EPOCH	INT64_C(946684800000000)

typedef struct Search
{
	const FmFormat *format;
	const FmDecoded *decoded;
	FmSlice		scalar;
	bool		found;
} Search;

typedef void (*Visit) (Search *search, FmSlice scalar);

static void
each_scalar(FmSlice value, Visit visit, Search *search)
{
	const char *cursor = value.data;
	FmJsonMember member;
	FmSlice		element;

	if (value.data[0] == '{')
	{
		while (fm_json_next_member(&cursor, &member))
			each_scalar(member.value, visit, search);
	}
	else if (value.data[0] == '[')
	{
		while (fm_json_next_element(&cursor, &element))
			each_scalar(element, visit, search);
	}
	else
		visit(search, value);
}

static bool
equal(FmSlice a, FmSlice b)
{
	return a.len == b.len && a.data != NULL && b.data != NULL &&
		memcmp(a.data, b.data, (size_t) a.len) == 0;
}

static void
compare(Search *search, FmSlice scalar)
{
	search->found = search->found || equal(search->scalar, scalar);
}

static bool
is_first_word(const FmSource *source, FmSlice text, FmReported level)
{
	int			i;

	for (i = 0; i < source->nwords; i++)
	{
		if (source->words[i].first && source->words[i].level == level &&
			equal(source->words[i].exact, text))
			return true;
	}
	return false;
}

static bool
is_level(const FmFormat *format, FmSlice text, FmReported level)
{
	const FmSourceList *lists[2 + FM_MAX_PER_ELEMENT];
	int			n = 0;
	int			i;
	int			j;

	lists[n++] = &format->common;
	lists[n++] = &format->per_element;
	for (i = 0; i < format->nreadings; i++)
		lists[n++] = &format->readings[i];
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < lists[i]->n; j++)
		{
			if (is_first_word(lists[i]->sources[j], text, level))
				return true;
		}
	}
	return false;
}

/* The timestamp as text, of some zone or of none. */
static bool
is_time(FmSlice text, const FmReading *reading)
{
	static const int hours[] = {0, TEST_ZONE_HOURS};
	char		buf[40];
	int			i;

	for (i = 0; i < 2; i++)
	{
		int			len = fm_format_rfc3339(reading->ts +
											hours[i] * INT64_C(3600000000),
											reading->ts_digits, buf);
		FmSlice		with = {buf, len};
		FmSlice		without = {buf, len - 1};

		if (len > 0 && ((i == 0 && equal(text, with)) || equal(text, without)))
			return true;
	}
	return false;
}

static bool
is_text(const FmFormat *format, FmSlice text, const FmReading *reading)
{
	return equal(text, reading->sensor_id) ||
		equal(text, reading->sensor_type) ||
		equal(text, reading->factory_section) ||
		equal(text, reading->machine_id) || equal(text, reading->zone) ||
		equal(text, reading->unit) || is_time(text, reading) ||
		is_level(format, text, reading->reported);
}

static bool
is_number(FmSlice token, const FmReading *reading)
{
	FmDecimal	decimal;
	double		number;
	double		micros = (double) (reading->ts + UNIX_TO_EPOCH);

	fm_decimal_parse(token, &decimal);
	number = fm_decimal_to_double(&decimal);
	if (fm_decimal_is_double(&decimal, number) &&
		(number == reading->value ||
		 (reading->has_warning_threshold &&
		  number == reading->warning_threshold) ||
		 (reading->has_critical_threshold &&
		  number == reading->critical_threshold) ||
		 (reading->has_reading_count && number == reading->reading_count) ||
		 number == micros || number * 1e3 == micros || number * 1e6 == micros))
		return true;
	return reading->has_quality &&
		fm_decimal_to_float(&decimal) == reading->quality &&
		fm_decimal_is_float(&decimal, reading->quality);
}

static FmSlice lost;

static void
look_for(Search *search, FmSlice scalar)
{
	static FmArena arena;
	const FmDecoded *decoded = search->decoded;
	FmJsonType	type = fm_json_type(scalar);
	bool		found = false;
	FmSlice		text = {NULL, 0};
	int			i;

	if (type == FM_JSON_STRING)
		text = fm_json_string(scalar, &arena);
	for (i = 0; i < decoded->nreadings && !found; i++)
		found = type == FM_JSON_STRING ?
			is_text(search->format, text, &decoded->readings[i]) :
			type == FM_JSON_NUMBER && is_number(scalar, &decoded->readings[i]);
	if (!found && decoded->readings[0].extra.data != NULL)
	{
		search->scalar = scalar;
		search->found = false;
		each_scalar(decoded->readings[0].extra, compare, search);
		found = search->found;
	}
	if (!found)
		lost = scalar;
	fm_arena_reset(&arena);
}

FmSlice
find_lost(const FmFormat *format, FmSlice message, const FmDecoded *decoded)
{
	Search		search = {format, decoded, {NULL, 0}, false};

	lost.data = NULL;
	lost.len = 0;
	if (decoded->reason == FM_REJECT_NONE && decoded->nreadings > 0)
		each_scalar(fm_json_trim(message.data, message.len), look_for,
					&search);
	return lost;
}
