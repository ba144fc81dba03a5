/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  What a factory message must look like, and what becomes of it.
 *
 * A message is decoded in two steps.  First fm_json_check() establishes that
 * all of it is JSON as we take it.  Then the members are judged one after
 * the other, in the order of the table rules[] below: is it there, has it the
 * right type, the right length, the right content.  The first fault ends the
 * decoding, so of several faults the one reported is determined by the
 * message alone: any fault in the JSON text before any in its members, and
 * of these the first in table order; of one member, missing before type
 * before empty before length before content.
 *
 * Strictness is cheap here and expensive later: whatever gets past this file
 * is stored.  A null is a value of the wrong type, not an absent member.
 * Members that the format does not know are no fault, anywhere.
 *
 * Nothing is lost.  What the columns of a reading cannot give back goes into
 * "extra", a JSON object that has the shape of the message but only these
 * members, as written:
 *	- every member that the format does not know, at its place;
 *	- timestamp, unless it is written in UTC with 'T', 'Z' and at most six
 *	  fractional digits (ts_digits then is FM_TS_TEXT);
 *	- a number that its column does not hold exactly (reading_number.c says
 *	  what that means); the column then has the nearest double or float;
 *	- reading_count beyond 32 bits; its column then is empty.  14.0 and 1.4e1
 *	  are the integer 14, as JSON Schema has it, and need no extra;
 *	- alert_level, if it is none of the three levels;
 *	- metadata, if it is an empty object.
 * To rebuild a message, write the columns as members and put extra over
 * them, merging the objects location and metadata member by member.  Equal
 * here means equal as JSON values: numbers as numbers, strings as characters,
 * members in any order.  (-0 therefore equals 0.)
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "reading_internal.h"

/* How much of a member's value a detail repeats. */
#define SHOWN_VALUE			48

/* ------------------------------------------------------------------------
 * The members of a factory message
 * ------------------------------------------------------------------------
 */

/* In the order in which they are judged; an object before its members. */
typedef enum Field
{
	TIMESTAMP,
	SENSOR_ID,
	SENSOR_TYPE,
	LOCATION,
	FACTORY_SECTION,
	MACHINE_ID,
	ZONE,
	VALUE,
	UNIT,
	ALERT_LEVEL,
	QUALITY,
	METADATA,
	READING_COUNT,
	WARNING_THRESHOLD,
	CRITICAL_THRESHOLD,
	NUM_FIELDS,
	MESSAGE = NUM_FIELDS,		/* the parent of the outermost members */
	UNKNOWN						/* a member that the format does not know */
} Field;

typedef struct Rule
{
	const char *name;
	const char *path;			/* as details name it */
	Field		parent;
	FmJsonType	type;
	bool		required;
	int			min_length;		/* of strings, in bytes of UTF-8 */
	int			max_length;
} Rule;

#define NO_LENGTH		0, 0
#define ANY_LENGTH		0, FM_MAX_PAYLOAD

static const Rule rules[NUM_FIELDS] = {
	[TIMESTAMP] = {"timestamp", "timestamp", MESSAGE,
	FM_JSON_STRING, true, ANY_LENGTH},
	[SENSOR_ID] = {"sensor_id", "sensor_id", MESSAGE,
	FM_JSON_STRING, true, 1, FM_MAX_SENSOR_ID},
	[SENSOR_TYPE] = {"sensor_type", "sensor_type", MESSAGE,
	FM_JSON_STRING, true, 1, FM_MAX_SHORT_NAME},
	[LOCATION] = {"location", "location", MESSAGE,
	FM_JSON_OBJECT, true, NO_LENGTH},
	[FACTORY_SECTION] = {"factory_section", "location.factory_section",
		LOCATION, FM_JSON_STRING, true, 0, FM_MAX_NAME},
	[MACHINE_ID] = {"machine_id", "location.machine_id", LOCATION,
	FM_JSON_STRING, true, 0, FM_MAX_NAME},
	[ZONE] = {"zone", "location.zone", LOCATION,
	FM_JSON_STRING, true, 0, FM_MAX_NAME},
	[VALUE] = {"value", "value", MESSAGE,
	FM_JSON_NUMBER, true, NO_LENGTH},
	[UNIT] = {"unit", "unit", MESSAGE,
	FM_JSON_STRING, true, 0, FM_MAX_SHORT_NAME},
	[ALERT_LEVEL] = {"alert_level", "alert_level", MESSAGE,
	FM_JSON_STRING, false, 0, FM_MAX_SHORT_NAME},
	[QUALITY] = {"quality", "quality", MESSAGE,
	FM_JSON_NUMBER, false, NO_LENGTH},
	[METADATA] = {"metadata", "metadata", MESSAGE,
	FM_JSON_OBJECT, false, NO_LENGTH},
	[READING_COUNT] = {"reading_count", "metadata.reading_count", METADATA,
	FM_JSON_NUMBER, false, NO_LENGTH},
	[WARNING_THRESHOLD] = {"warning_threshold", "metadata.warning_threshold",
		METADATA, FM_JSON_NUMBER, false, NO_LENGTH},
	[CRITICAL_THRESHOLD] = {"critical_threshold",
		"metadata.critical_threshold", METADATA,
	FM_JSON_NUMBER, false, NO_LENGTH}
};

/* One message on its way to a reading. */
typedef struct Message
{
	FmArena    *arena;
	FmDecoded  *result;
	FmReading  *reading;
	FmSlice		text;			/* the whole of it, trimmed */
	FmSlice		written[NUM_FIELDS];	/* values; data NULL: absent */
	bool		keep[NUM_FIELDS];	/* the columns do not give it back */
	int			nkept[NUM_FIELDS + 1];	/* members of this object for extra */
} Message;

static bool
reject_out_of_memory(FmDecoded *result)
{
	return fm_reject(result, FM_REJECT_OUT_OF_MEMORY,
					 "There is no memory left to decode the message.");
}

static Field
find_field(Field parent, FmSlice key)
{
	int			i;

	for (i = 0; i < NUM_FIELDS; i++)
	{
		if (rules[i].parent == parent &&
			fm_json_string_is(key, rules[i].name))
			return (Field) i;
	}
	return UNKNOWN;
}

/* Note where the members of an object are. */
static void
find_members(Message *message, FmSlice object, Field parent)
{
	const char *cursor = object.data;
	FmJsonMember member;

	while (fm_json_next_member(&cursor, &member))
	{
		Field		field = find_field(parent, member.key);

		if (field == UNKNOWN)
			message->nkept[parent]++;
		else
			message->written[field] = member.value;
	}
}

/* This field's text goes into extra. */
static void
keep_as_written(Message *message, Field field)
{
	message->keep[field] = true;
	message->nkept[rules[field].parent]++;
}

/* ------------------------------------------------------------------------
 * Judging members
 * ------------------------------------------------------------------------
 */

static bool
take_timestamp(Message *message, FmSlice text)
{
	FmSlice		written = message->written[TIMESTAMP];
	FmReading  *reading = message->reading;
	const char *what = fm_rfc3339_fault(text.data, text.len, &reading->ts,
										&reading->ts_digits);

	if (what != NULL)
		return fm_reject(message->result, FM_REJECT_INVALID_TIMESTAMP,
						 "Member \"timestamp\" must be an RFC 3339 timestamp, "
						 "but %s: %.*s.", what,
						 fm_utf8_clip(written.data, written.len, SHOWN_VALUE),
						 written.data);
	if (reading->ts_digits == FM_TS_TEXT)
		keep_as_written(message, TIMESTAMP);
	return true;
}

static bool
slice_is(FmSlice slice, const char *text)
{
	return (size_t) slice.len == strlen(text) &&
		memcmp(slice.data, text, (size_t) slice.len) == 0;
}

static void
take_alert_level(Message *message, FmSlice text)
{
	FmReading  *reading = message->reading;

	if (slice_is(text, "normal"))
		reading->reported = FM_REPORTED_NORMAL;
	else if (slice_is(text, "warning"))
		reading->reported = FM_REPORTED_WARNING;
	else if (slice_is(text, "critical"))
		reading->reported = FM_REPORTED_CRITICAL;
	else
	{
		reading->reported = FM_REPORTED_OTHER;
		keep_as_written(message, ALERT_LEVEL);
	}
}

static bool
take_string(Message *message, Field field)
{
	const Rule *rule = &rules[field];
	FmReading  *reading = message->reading;
	int			len = fm_json_string_length(message->written[field]);
	FmSlice		text;

	if (len < rule->min_length)
		return fm_reject(message->result, FM_REJECT_EMPTY_STRING,
						 "Member \"%s\" must not be empty.", rule->path);
	if (len > rule->max_length)
		return fm_reject(message->result, FM_REJECT_TOO_LONG,
						 "Member \"%s\" has %d bytes; at most %d are allowed.",
						 rule->path, len, rule->max_length);
	text = fm_json_string(message->written[field], message->arena);
	if (text.data == NULL)
		return reject_out_of_memory(message->result);

	switch (field)
	{
		case TIMESTAMP:
			return take_timestamp(message, text);
		case SENSOR_ID:
			reading->sensor_id = text;
			break;
		case SENSOR_TYPE:
			reading->sensor_type = text;
			break;
		case FACTORY_SECTION:
			reading->factory_section = text;
			break;
		case MACHINE_ID:
			reading->machine_id = text;
			break;
		case ZONE:
			reading->zone = text;
			break;
		case UNIT:
			reading->unit = text;
			break;
		default:
			take_alert_level(message, text);
			break;
	}
	return true;
}

/* A number for a column of type double precision. */
static double
take_double(Message *message, Field field, const FmDecimal *decimal)
{
	double		value = fm_decimal_to_double(decimal);

	if (!fm_decimal_is_double(decimal, value))
		keep_as_written(message, field);
	return value;
}

/* Refuse a number whose type is right. */
static bool
reject_value(Message *message, Field field, const char *demand)
{
	FmSlice		written = message->written[field];

	return fm_reject(message->result, FM_REJECT_VALUE_OUT_OF_RANGE,
					 "Member \"%s\" must be %s, not %.*s.",
					 rules[field].path, demand,
					 written.len < SHOWN_VALUE ? written.len : SHOWN_VALUE,
					 written.data);
}

static bool
take_quality(Message *message, const FmDecimal *decimal)
{
	FmReading  *reading = message->reading;

	if ((decimal->negative && decimal->ndigits > 0) ||
		fm_decimal_above_one(decimal))
		return reject_value(message, QUALITY, "between 0 and 1");
	reading->has_quality = true;
	reading->quality = fm_decimal_to_float(decimal);
	if (!fm_decimal_is_float(decimal, reading->quality))
		keep_as_written(message, QUALITY);
	return true;
}

static bool
take_reading_count(Message *message, const FmDecimal *decimal)
{
	FmReading  *reading = message->reading;
	double		count = fm_decimal_to_double(decimal);

	if (!fm_decimal_is_integer(decimal))
		return fm_reject(message->result, FM_REJECT_WRONG_TYPE,
						 "Member \"%s\" must be an integer.",
						 rules[READING_COUNT].path);
	if (count < 0)
		return reject_value(message, READING_COUNT, "0 or more");
	if (count > INT32_MAX)
	{
		keep_as_written(message, READING_COUNT);
		return true;
	}
	reading->has_reading_count = true;
	reading->reading_count = (int32_t) count;
	return true;
}

static bool
take_number(Message *message, Field field)
{
	FmReading  *reading = message->reading;
	FmDecimal	decimal;

	fm_decimal_parse(message->written[field], &decimal);
	switch (field)
	{
		case VALUE:
			reading->value = take_double(message, field, &decimal);
			break;
		case QUALITY:
			return take_quality(message, &decimal);
		case READING_COUNT:
			return take_reading_count(message, &decimal);
		case WARNING_THRESHOLD:
			reading->has_warning_threshold = true;
			reading->warning_threshold =
				take_double(message, field, &decimal);
			break;
		default:
			reading->has_critical_threshold = true;
			reading->critical_threshold =
				take_double(message, field, &decimal);
			break;
	}
	return true;
}

static void
take_object(Message *message, Field field)
{
	FmSlice		object = message->written[field];
	const char *cursor = object.data;
	FmJsonMember member;

	if (field == METADATA && !fm_json_next_member(&cursor, &member))
		keep_as_written(message, field);
	find_members(message, object, field);
}

/* Judge one member by its rule and put it into the reading. */
static bool
take_field(Message *message, Field field)
{
	const Rule *rule = &rules[field];
	FmJsonType	type;

	if (message->written[field].data == NULL)
	{
		if (!rule->required)
			return true;
		return fm_reject(message->result, FM_REJECT_MISSING_MEMBER,
						 "Member \"%s\" is missing.", rule->path);
	}
	type = fm_json_type(message->written[field]);
	if (type != rule->type)
		return fm_reject(message->result, FM_REJECT_WRONG_TYPE,
						 "Member \"%s\" must be %s, not %s.", rule->path,
						 fm_json_type_name(rule->type),
						 fm_json_type_name(type));
	if (type == FM_JSON_STRING)
		return take_string(message, field);
	if (type == FM_JSON_NUMBER)
		return take_number(message, field);
	take_object(message, field);
	return true;
}

/* ------------------------------------------------------------------------
 * Extra
 * ------------------------------------------------------------------------
 */

/* Text being written, or only measured where buf is NULL. */
typedef struct Writer
{
	char	   *buf;
	int			len;
} Writer;

static void
put(Writer *writer, const char *text, int len)
{
	if (writer->buf != NULL)
		memcpy(writer->buf + writer->len, text, (size_t) len);
	writer->len += len;
}

/* The members of this object that the columns do not give back. */
static void
put_kept_members(Message *message, Writer *writer, FmSlice object,
				 Field parent)
{
	const char *cursor = object.data;
	const char *separator = "{";
	FmJsonMember member;

	while (fm_json_next_member(&cursor, &member))
	{
		Field		field = find_field(parent, member.key);
		bool		whole = field == UNKNOWN || message->keep[field];

		if (!whole && message->nkept[field] == 0)
			continue;
		put(writer, separator, 1);
		put(writer, member.key.data, member.key.len);
		put(writer, ":", 1);
		if (whole)
			put(writer, member.value.data, member.value.len);
		else
			put_kept_members(message, writer, member.value, field);
		separator = ",";
	}
	put(writer, "}", 1);
}

static bool
make_extra(Message *message)
{
	FmReading  *reading = message->reading;
	Writer		writer = {NULL, 0};

	if (message->nkept[MESSAGE] + message->nkept[LOCATION] +
		message->nkept[METADATA] == 0)
		return true;
	put_kept_members(message, &writer, message->text, MESSAGE);
	writer.buf = fm_arena_alloc(message->arena, (size_t) writer.len);
	if (writer.buf == NULL)
		return reject_out_of_memory(message->result);
	writer.len = 0;
	put_kept_members(message, &writer, message->text, MESSAGE);
	reading->extra.data = writer.buf;
	reading->extra.len = writer.len;
	return true;
}

/* ------------------------------------------------------------------------
 * Decoding
 * ------------------------------------------------------------------------
 */

bool
fm_check_payload(const char *payload, size_t len, FmArena *arena,
				 FmDecoded *result)
{
	if (len == 0)
		return fm_reject(result, FM_REJECT_EMPTY_PAYLOAD,
						 "The message has no payload.");
	if (len > FM_MAX_PAYLOAD)
		return fm_reject(result, FM_REJECT_TOO_LARGE,
						 "The message has %zu bytes; at most %d are allowed.",
						 len, FM_MAX_PAYLOAD);
	return fm_json_check(payload, (int) len, arena, result);
}

static bool
take_message(Message *message)
{
	FmJsonType	type = fm_json_type(message->text);
	int			field;

	if (type != FM_JSON_OBJECT)
		return fm_reject(message->result, FM_REJECT_NOT_AN_OBJECT,
						 "The message must be an object, not %s.",
						 fm_json_type_name(type));
	memset(message->reading, 0, sizeof(FmReading));
	find_members(message, message->text, MESSAGE);
	for (field = 0; field < NUM_FIELDS; field++)
	{
		if (!take_field(message, (Field) field))
			return false;
	}
	return make_extra(message);
}

static void
accept(FmReading *reading, FmDecoded *result)
{
	result->reason = FM_REJECT_NONE;
	result->nreadings = 1;
	result->readings = reading;
	result->strange = reading->extra.data != NULL;
	result->detail[0] = '\0';
}

void
fm_decode_any(const char *payload, size_t len, FmArena *arena,
			  FmReading *reading, FmDecoded *result)
{
	Message		message = {0};

	if (!fm_check_payload(payload, len, arena, result))
		return;
	message.arena = arena;
	message.result = result;
	message.reading = reading;
	message.text = fm_json_trim(payload, (int) len);
	if (take_message(&message))
		accept(reading, result);
}

void
fm_decode_factory(const char *payload, size_t len, FmArena *arena,
				  FmDecoded *result)
{
	FmReading  *reading = fm_arena_alloc(arena, sizeof(FmReading));

	if (reading == NULL)
		(void) reject_out_of_memory(result);
	else if (fm_decode_fast(payload, len, reading))
		accept(reading, result);
	else
		fm_decode_any(payload, len, arena, reading, result);
}
