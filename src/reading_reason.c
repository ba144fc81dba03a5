/*-------------------------------------------------------------------------
 *
 * reading_reason.c
 *	  Why a message is refused: names and codes of the reasons, and how one is
 *	  noted with its detail.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>

#include "reading_internal.h"

/* Name and SQLSTATE of each reason; the codes are PostgreSQL's own. */
static const struct
{
	const char *name;
	const char *sqlstate;
}			reasons[] =
{
	[FM_REJECT_NONE] = {"none", "00000"},
	[FM_REJECT_EMPTY_PAYLOAD] = {"empty_payload", "22032"},
	[FM_REJECT_TOO_LARGE] = {"too_large", "54000"},
	[FM_REJECT_INVALID_UTF8] = {"invalid_utf8", "22021"},
	[FM_REJECT_INVALID_JSON] = {"invalid_json", "22032"},
	[FM_REJECT_TOO_DEEP] = {"too_deep", "54001"},
	[FM_REJECT_DUPLICATE_KEY] = {"duplicate_key", "22030"},
	[FM_REJECT_NUL_CHARACTER] = {"nul_character", "22P05"},
	[FM_REJECT_NOT_AN_OBJECT] = {"not_an_object", "2203C"},
	[FM_REJECT_MISSING_MEMBER] = {"missing_member", "2203A"},
	[FM_REJECT_WRONG_TYPE] = {"wrong_type", "2203G"},
	[FM_REJECT_EMPTY_STRING] = {"empty_string", "2200F"},
	[FM_REJECT_TOO_LONG] = {"too_long", "22001"},
	[FM_REJECT_INVALID_TIMESTAMP] = {"invalid_timestamp", "22007"},
	[FM_REJECT_NUMBER_OUT_OF_RANGE] = {"number_out_of_range", "22003"},
	[FM_REJECT_VALUE_OUT_OF_RANGE] = {"value_out_of_range", "23514"},
	[FM_REJECT_PATTERN_MISMATCH] = {"pattern_mismatch", "23514"},
	[FM_REJECT_TOO_MANY_READINGS] = {"too_many_readings", "54000"},
	[FM_REJECT_OUT_OF_MEMORY] = {"out_of_memory", "53200"},
	[FM_REJECT_TIMESTAMP_OUT_OF_WINDOW] =
	{"timestamp_out_of_window", "22008"},
	[FM_REJECT_TOO_MANY_SENSORS] = {"too_many_sensors", "53400"},
	[FM_REJECT_TOO_MANY_PARTITIONS] = {"too_many_partitions", "53400"},
	[FM_REJECT_BAD_HEARTBEAT] = {"bad_heartbeat", "22023"},
	[FM_REJECT_DATABASE] = {"database", "22000"}
};

#define NUM_REASONS		((int) (sizeof(reasons) / sizeof(reasons[0])))

const char *
fm_reject_reason_name(FmRejectReason reason)
{
	return (int) reason >= 0 && (int) reason < NUM_REASONS ?
		reasons[reason].name : "unknown";
}

const char *
fm_reject_reason_sqlstate(FmRejectReason reason)
{
	return (int) reason >= 0 && (int) reason < NUM_REASONS ?
		reasons[reason].sqlstate : "XX000";
}

bool
fm_reject(FmDecoded *result, FmRejectReason reason, const char *format, ...)
{
	int			max = (int) sizeof(result->detail) - 1;
	va_list		args;
	int			len;

	va_start(args, format);
	len = vsnprintf(result->detail, sizeof(result->detail), format, args);
	va_end(args);
	if (len > max)				/* cut off, maybe within a character */
	{
		len = fm_utf8_clip(result->detail, max, max - 1);
		result->detail[len] = '\0';
	}
	result->reason = reason;
	result->nreadings = 0;
	result->readings = NULL;
	/* faults of what the members are come after those of the JSON text */
	result->strange = reason == FM_REJECT_NOT_AN_OBJECT ||
		reason == FM_REJECT_MISSING_MEMBER || reason == FM_REJECT_WRONG_TYPE;
	return false;
}

const char *
fm_reported_name(FmReported reported)
{
	switch (reported)
	{
		case FM_REPORTED_NONE:
			return NULL;
		case FM_REPORTED_NORMAL:
			return "normal";
		case FM_REPORTED_WARNING:
			return "warning";
		case FM_REPORTED_CRITICAL:
			return "critical";
		case FM_REPORTED_OTHER:
			return "other";
	}
	return NULL;
}
