/*-------------------------------------------------------------------------
 *
 * alert_message.c
 *	  The message that tells consumers of an event in the life of an alarm.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "alert_message.h"
#include "classify.h"
#include "reading.h"

/* Name of a member, a comma before it unless it is the first. */
static void
append_name(StringInfo buf, const char *name)
{
	int			len = (int) strlen(name);
	char	   *at;

	enlargeStringInfo(buf, len + 4);
	at = buf->data + buf->len;
	if (at[-1] != '{')
		*at++ = ',';
	*at++ = '"';
	memcpy(at, name, len);
	at += len;
	*at++ = '"';
	*at++ = ':';
	*at = '\0';
	buf->len = (int) (at - buf->data);
}

static void
append_null(StringInfo buf)
{
	appendBinaryStringInfo(buf, "null", 4);
}

/* As escape_json() does it; mostly there is nothing to escape. */
void
fm_append_json_text(StringInfo buf, const char *value)
{
	int			len = 0;
	char	   *at;

	for (; value[len] != '\0'; len++)
	{
		if ((unsigned char) value[len] < ' ' || value[len] == '"' ||
			value[len] == '\\')
		{
			escape_json(buf, value);
			return;
		}
	}
	enlargeStringInfo(buf, len + 2);
	at = buf->data + buf->len;
	*at++ = '"';
	memcpy(at, value, len);
	at += len;
	*at++ = '"';
	*at = '\0';
	buf->len += len + 2;
}

static void
append_text(StringInfo buf, const char *name, const char *value)
{
	append_name(buf, name);
	if (value == NULL)
		append_null(buf);
	else
		fm_append_json_text(buf, value);
}

void
fm_uuid_text(const pg_uuid_t *id, char *text)
{
	static const char digits[] = "0123456789abcdef";
	int			n = 0;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[n++] = '-';
		text[n++] = digits[id->data[i] >> 4];
		text[n++] = digits[id->data[i] & 15];
	}
	text[n] = '\0';
}

static void
append_uuid(StringInfo buf, const char *name, const pg_uuid_t *id)
{
	char		text[FM_UUID_TEXT];

	fm_uuid_text(id, text);
	append_name(buf, name);
	appendStringInfoChar(buf, '"');
	appendBinaryStringInfo(buf, text, FM_UUID_TEXT - 1);
	appendStringInfoChar(buf, '"');
}

static void
append_bool(StringInfo buf, const char *name, bool value)
{
	append_name(buf, name);
	appendStringInfoString(buf, value ? "true" : "false");
}

static void
append_integer(StringInfo buf, const char *name, int64 value, int64 null)
{
	char		text[MAXINT8LEN + 1];

	append_name(buf, name);
	if (value == null)
		append_null(buf);
	else
		appendBinaryStringInfo(buf, text, pg_lltoa(value, text));
}

static void
append_double(StringInfo buf, const char *name, double value)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	append_name(buf, name);
	if (!isfinite(value))
		append_null(buf);
	else
		appendBinaryStringInfo(buf, text,
							   double_to_shortest_decimal_bufn(value, text));
}

static void
append_float(StringInfo buf, const char *name, float value)
{
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	append_name(buf, name);
	if (!isfinite(value))
		append_null(buf);
	else
		appendBinaryStringInfo(buf, text,
							   float_to_shortest_decimal_bufn(value, text));
}

/* So many decimal digits of a number that has no more; the place behind. */
static char *
put_digits(char *at, int value, int width)
{
	for (int i = width; --i >= 0; value /= 10)
		at[i] = (char) ('0' + value % 10);
	return at + width;
}

/* As RFC 3339 has it, in UTC. */
static void
append_time(StringInfo buf, const char *name, TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[sizeof("YYYY-MM-DDTHH:MM:SS.FFFFFFZ")];
	char	   *at;

	append_name(buf, name);
	if (TIMESTAMP_NOT_FINITE(time))
	{
		append_null(buf);
		return;
	}
	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	appendStringInfoChar(buf, '"');
	if (tm.tm_year >= 0 && tm.tm_year <= 9999)
		at = put_digits(text, tm.tm_year, 4);
	else
	{
		appendStringInfo(buf, "%04d", tm.tm_year);
		at = text;
	}
	*at++ = '-';
	at = put_digits(at, tm.tm_mon, 2);
	*at++ = '-';
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = 'T';
	at = put_digits(at, tm.tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, tm.tm_min, 2);
	*at++ = ':';
	at = put_digits(at, tm.tm_sec, 2);
	*at++ = '.';
	at = put_digits(at, (int) fsec, 6);
	*at++ = 'Z';
	*at++ = '"';
	appendBinaryStringInfo(buf, text, (int) (at - text));
}

static void
append_level(StringInfo buf, int16 code)
{
	append_text(buf, "level", code < 0 ? NULL :
				fm_level_name(FM_CODE_LEVEL(code)));
}

static void
begin_object(StringInfo buf, const char *name)
{
	append_name(buf, name);
	appendStringInfoChar(buf, '{');
}

static void
end_object(StringInfo buf)
{
	appendStringInfoChar(buf, '}');
}

static void
append_comment(StringInfo buf, const char *comment)
{
	int			len = comment == NULL ? 0 : strlen(comment);
	int			told = comment == NULL ? 0 :
		pg_mbcharcliplen(comment, len, FM_ALERT_COMMENT);

	append_text(buf, "comment", told == len ? comment :
				pnstrdup(comment, told));
}

/* What happened to which alarm. */
static void
append_event(StringInfo buf, const FmAlertMessage *message)
{
	append_text(buf, "schema", "factorymon.alert/1");
	append_uuid(buf, "event_id", message->event_id);
	append_uuid(buf, "alarm_id", message->alarm_id);
	append_integer(buf, "seq", message->seq, -1);
	append_text(buf, "condition", message->condition);
	append_text(buf, "transition", message->transition);
	append_text(buf, "state", message->state);
	append_bool(buf, "announced", message->announced);
	append_text(buf, "blocked_by", message->blocked_by);
	append_level(buf, message->level);
	append_text(buf, "side", fm_side_name(FM_CODE_SIDE(message->level)));
	append_integer(buf, "severity", message->severity, 0);
	begin_object(buf, "previous");
	append_text(buf, "state", message->previous_state);
	append_level(buf, message->previous_level);
	end_object(buf);
}

/* Of which sensor, and by which of its readings. */
static void
append_reading(StringInfo buf, const FmAlertMessage *message)
{
	append_text(buf, "sensor_id", message->sensor_id);
	append_text(buf, "sensor_type", message->sensor_type);
	begin_object(buf, "location");
	append_text(buf, "factory_section", message->factory_section);
	append_text(buf, "machine_id", message->machine_id);
	append_text(buf, "zone", message->zone);
	end_object(buf);
	append_double(buf, "value", message->value);
	append_text(buf, "unit", message->unit);
	append_double(buf, "limit", message->limit);
	append_double(buf, "deadband", message->deadband);
	append_float(buf, "quality", message->quality);
	append_double(buf, "score", message->score);
}

/* When, by whom, and where that is written. */
static void
append_origin(StringInfo buf, const FmAlertMessage *message)
{
	append_time(buf, "event_time", message->event_time);
	append_time(buf, "since", message->since);
	append_time(buf, "raised_at", message->raised_at);
	append_time(buf, "recorded_at", message->recorded_at);
	append_text(buf, "cause", message->cause);
	append_text(buf, "by", message->by);
	append_comment(buf, message->comment);
	append_text(buf, "pipeline", message->pipeline);
	begin_object(buf, "source");
	append_text(buf, "topic", message->topic);
	append_integer(buf, "partition", message->partition, -1);
	append_integer(buf, "offset", message->offset, -1);
	append_integer(buf, "reading_index", message->reading_index, -1);
	end_object(buf);
	append_integer(buf, "limit_version", message->limit_version, 0);
}

void
fm_alert_message_compose(StringInfo buf, const FmAlertMessage *message)
{
	appendStringInfoChar(buf, '{');
	append_event(buf, message);
	append_reading(buf, message);
	append_origin(buf, message);
	if (message->position != NULL)
	{
		append_text(buf, "position", message->position);
		append_integer(buf, "peak", message->peak, -1);
	}
	end_object(buf);
}
