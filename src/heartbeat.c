/*-------------------------------------------------------------------------
 *
 * heartbeat.c
 *	  The in-band heartbeat of a producer; pure, one of the decoder's files.
 *
 * A table says which member goes where, so that a new member is one line.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "heartbeat.h"
#include "reading_internal.h"

typedef enum MemberKind
{
	MEMBER_STRING,
	MEMBER_NUMBER,
	MEMBER_TIME
} MemberKind;

typedef struct Member
{
	const char *name;
	MemberKind	kind;
	size_t		offset;
} Member;

static const Member members[] = {
	{"producer_id", MEMBER_STRING, offsetof(FmHeartbeat, producer_id)},
	{"host", MEMBER_STRING, offsetof(FmHeartbeat, host)},
	{"version", MEMBER_STRING, offsetof(FmHeartbeat, version)},
	{"state", MEMBER_STRING, offsetof(FmHeartbeat, state)},
	{"connection", MEMBER_STRING, offsetof(FmHeartbeat, connection)},
	{"sensors", MEMBER_NUMBER, offsetof(FmHeartbeat, sensors)},
	{"sent", MEMBER_NUMBER, offsetof(FmHeartbeat, sent)},
	{"delivered", MEMBER_NUMBER, offsetof(FmHeartbeat, delivered)},
	{"errors", MEMBER_NUMBER, offsetof(FmHeartbeat, errors)},
	{"interval", MEMBER_NUMBER, offsetof(FmHeartbeat, interval)},
	{"started_at", MEMBER_TIME, offsetof(FmHeartbeat, started_at)},
	{"at", MEMBER_TIME, offsetof(FmHeartbeat, sent_at)},
};

static const Member *
find_member(FmSlice key)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (fm_json_string_is(key, members[i].name))
			return &members[i];
	return NULL;
}

static bool
take_string(const Member *member, FmSlice value, FmArena *arena,
			FmSlice *target, FmDecoded *result)
{
	if (fm_json_type(value) != FM_JSON_STRING)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"%s\" must be a string",
						 member->name);
	*target = fm_json_string(value, arena);
	if (!target->data)
		return fm_reject(result, FM_REJECT_OUT_OF_MEMORY, "out of memory");
	if (target->len > FM_MAX_SENSOR_ID)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"%s\" is longer than %d bytes",
						 member->name, FM_MAX_SENSOR_ID);
	return true;
}

static bool
take_number(const Member *member, FmSlice value, FmOptionalNumber *target,
			FmDecoded *result)
{
	FmDecimal	decimal;

	if (fm_json_type(value) != FM_JSON_NUMBER)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"%s\" must be a number",
						 member->name);
	fm_decimal_parse(value, &decimal);
	target->value = fm_decimal_to_double(&decimal);
	target->known = true;
	if (!(target->value >= 0 && target->value < 9e18))
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"%s\" is out of range",
						 member->name);
	return true;
}

static bool
take_time(const Member *member, FmSlice value, FmArena *arena,
		  FmOptionalTime *target, FmDecoded *result)
{
	FmSlice		text;
	int			digits;

	if (!take_string(member, value, arena, &text, result))
		return false;
	if (!fm_parse_rfc3339(text.data, text.len, &target->ts, &digits))
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"%s\" is no RFC 3339 timestamp",
						 member->name);
	target->known = true;
	return true;
}

static bool
take_member(const Member *member, FmSlice value, FmArena *arena,
			FmHeartbeat *heartbeat, FmDecoded *result)
{
	char	   *target = (char *) heartbeat + member->offset;

	switch (member->kind)
	{
		case MEMBER_STRING:
			return take_string(member, value, arena, (FmSlice *) target,
							   result);
		case MEMBER_NUMBER:
			return take_number(member, value, (FmOptionalNumber *) target,
							   result);
		case MEMBER_TIME:
			return take_time(member, value, arena, (FmOptionalTime *) target,
							 result);
	}
	return false;
}

bool
fm_decode_heartbeat(const char *payload, size_t len, FmArena *arena,
					FmHeartbeat *heartbeat, FmDecoded *result)
{
	FmSlice		text;
	FmJsonMember member;
	const char *cursor;

	memset(heartbeat, 0, sizeof(*heartbeat));
	memset(result, 0, sizeof(*result));
	if (len == 0)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: the payload is empty");
	if (len > FM_MAX_PAYLOAD)
		return fm_reject(result, FM_REJECT_TOO_LARGE,
						 "heartbeat: the payload is too large");
	if (!fm_json_check(payload, (int) len, arena, result))
		return false;
	text = fm_json_trim(payload, (int) len);
	if (fm_json_type(text) != FM_JSON_OBJECT)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: the message must be an object");

	cursor = text.data;
	while (fm_json_next_member(&cursor, &member))
	{
		const Member *known = find_member(member.key);

		if (known && !take_member(known, member.value, arena, heartbeat,
								  result))
			return false;
	}
	if (heartbeat->producer_id.len == 0)
		return fm_reject(result, FM_REJECT_BAD_HEARTBEAT,
						 "heartbeat: member \"producer_id\" is missing or empty");
	return true;
}
