/*-------------------------------------------------------------------------
 *
 * oracle_judge.c
 *	  The members of a factory message, looked up in the tree that json-c makes.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "oracle_internal.h"

#define UNIX_TO_2000	INT64_C(946684800)

/* A required string of min to max bytes. */
static FmRejectReason
judge_string(json_object *object, const char *name, int min, int max)
{
	json_object *value;

	if (!json_object_object_get_ex(object, name, &value))
		return FM_REJECT_MISSING_MEMBER;
	if (!json_object_is_type(value, json_type_string))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_get_string_len(value) < min)
		return FM_REJECT_EMPTY_STRING;
	if (json_object_get_string_len(value) > max)
		return FM_REJECT_TOO_LONG;
	return FM_REJECT_NONE;
}

/* Does text begin with pattern, where 9 stands for a digit? */
static bool
looks_like(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; text++, pattern++)
	{
		if (*pattern == '9' ? !isdigit((unsigned char) *text) :
			*text != *pattern)
			return false;
	}
	return true;
}

/* Seconds since 1970 and microseconds, by means of the C library. */
bool
judge_timestamp(const char *text, int64_t *ts)
{
	struct tm	tm = {0};
	struct tm	back;
	time_t		instant;
	char		copy[20];
	char		t;
	double		scale = 100000;
	int			hours = 0;
	int			minutes = 0;
	bool		leap;

	*ts = 0;
	if (strlen(text) < 20 || (text[10] != 'T' && text[10] != 't'))
		return false;
	memcpy(copy, text, 19);
	copy[19] = '\0';
	copy[10] = 'T';
	if (!looks_like(copy, "9999-99-99T99:99:99") ||
		sscanf(copy, "%4d-%2d-%2d%c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon,
			   &tm.tm_mday, &t, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 7)
		return false;
	leap = tm.tm_sec == 60;
	if (leap)
		tm.tm_sec = 59;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	instant = timegm(&back);
	gmtime_r(&instant, &back);
	if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon ||
		back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
		back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return false;
	text += 19;
	if (*text == '.')
	{
		if (!isdigit((unsigned char) *++text))
			return false;
		for (; isdigit((unsigned char) *text); text++, scale /= 10)
			*ts += scale >= 1 ? (*text - '0') * (int) scale : 0;
	}
	if (looks_like(text, "+99:99") || looks_like(text, "-99:99"))
	{
		hours = (text[1] - '0') * 10 + text[2] - '0';
		minutes = (text[4] - '0') * 10 + text[5] - '0';
		instant += (*text == '-' ? 1 : -1) * (hours * 3600 + minutes * 60);
		text += 6;
	}
	else if (*text == 'Z' || *text == 'z')
		text++;
	else
		return false;
	if (*text != '\0' || hours > 23 || minutes > 59 || tm.tm_year == -1900)
		return false;
	if (leap)
	{
		instant++;
		gmtime_r(&instant, &back);
		if (back.tm_mday != 1 || back.tm_hour + back.tm_min + back.tm_sec != 0)
			return false;
	}
	gmtime_r(&instant, &back);
	*ts += ((int64_t) instant - UNIX_TO_2000) * 1000000;
	return back.tm_year + 1900 >= 1 && back.tm_year + 1900 <= 9999;
}

static FmRejectReason
judge_quality(json_object *value)
{
	Number		number;
	FmRejectReason reason = FM_REJECT_NONE;

	if (!tree_is_number(value))
		return FM_REJECT_WRONG_TYPE;
	number = number_parse(json_object_get_string(value));
	if (number.negative || number.exponent > 1 ||
		(number.exponent == 1 && strcmp(number.digits, "1") != 0))
		reason = FM_REJECT_VALUE_OUT_OF_RANGE;
	free(number.digits);
	return reason;
}

static FmRejectReason
judge_count(json_object *value)
{
	Number		number;
	FmRejectReason reason = FM_REJECT_NONE;

	if (!tree_is_number(value))
		return FM_REJECT_WRONG_TYPE;
	number = number_parse(json_object_get_string(value));
	if ((long) strlen(number.digits) > number.exponent)
		reason = number.digits[0] == '\0' ? FM_REJECT_NONE :
			FM_REJECT_WRONG_TYPE;
	else if (number.negative)
		reason = FM_REJECT_VALUE_OUT_OF_RANGE;
	free(number.digits);
	return reason;
}

static FmRejectReason
judge_metadata(json_object *metadata)
{
	json_object *value;
	FmRejectReason reason;

	if (!json_object_is_type(metadata, json_type_object))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_object_get_ex(metadata, "reading_count", &value) &&
		(reason = judge_count(value)) != FM_REJECT_NONE)
		return reason;
	if (json_object_object_get_ex(metadata, "warning_threshold", &value) &&
		!tree_is_number(value))
		return FM_REJECT_WRONG_TYPE;
	if (json_object_object_get_ex(metadata, "critical_threshold", &value) &&
		!tree_is_number(value))
		return FM_REJECT_WRONG_TYPE;
	return FM_REJECT_NONE;
}

static FmRejectReason
judge_location(json_object *tree)
{
	json_object *location;
	FmRejectReason reason;

	if (!json_object_object_get_ex(tree, "location", &location))
		return FM_REJECT_MISSING_MEMBER;
	if (!json_object_is_type(location, json_type_object))
		return FM_REJECT_WRONG_TYPE;
	if ((reason = judge_string(location, "factory_section", 0, 255)) ||
		(reason = judge_string(location, "machine_id", 0, 255)) ||
		(reason = judge_string(location, "zone", 0, 255)))
		return reason;
	return FM_REJECT_NONE;
}

FmRejectReason
judge_message(json_object *tree)
{
	json_object *value;
	FmRejectReason reason;
	int64_t		ts;

	if (!json_object_is_type(tree, json_type_object))
		return FM_REJECT_NOT_AN_OBJECT;
	if ((reason = judge_string(tree, "timestamp", 0, FM_MAX_PAYLOAD)))
		return reason;
	if (!judge_timestamp(json_object_get_string(
			json_object_object_get(tree, "timestamp")), &ts))
		return FM_REJECT_INVALID_TIMESTAMP;
	if ((reason = judge_string(tree, "sensor_id", 1, 255)) ||
		(reason = judge_string(tree, "sensor_type", 1, 63)) ||
		(reason = judge_location(tree)))
		return reason;
	if (!json_object_object_get_ex(tree, "value", &value))
		return FM_REJECT_MISSING_MEMBER;
	if (!tree_is_number(value))
		return FM_REJECT_WRONG_TYPE;
	if ((reason = judge_string(tree, "unit", 0, 63)))
		return reason;
	if (json_object_object_get_ex(tree, "alert_level", NULL) &&
		(reason = judge_string(tree, "alert_level", 0, 63)))
		return reason;
	if (json_object_object_get_ex(tree, "quality", &value) &&
		(reason = judge_quality(value)))
		return reason;
	if (json_object_object_get_ex(tree, "metadata", &value) &&
		(reason = judge_metadata(value)))
		return reason;
	return FM_REJECT_NONE;
}
