/*-------------------------------------------------------------------------
 *
 * alert_message.h
 *	  The message that tells consumers of an event in the life of an alarm.
 *
 * docs/alert.schema.json says what its members mean.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ALERT_MESSAGE_H
#define FM_ALERT_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

/*
 * Texts: NULL is null.  Numbers: NaN is null.  Times: DT_NOBEGIN is null.
 * Whole numbers: what is said with each.
 */
typedef struct FmAlertMessage
{
	const pg_uuid_t *event_id;
	const pg_uuid_t *alarm_id;
	int32		seq;
	const char *condition;
	const char *transition;
	const char *state;
	bool		announced;
	const char *blocked_by;
	int16		level;			/* FM_LEVEL_CODE */
	int32		severity;		/* 0: null */
	const char *previous_state;
	int16		previous_level; /* FM_LEVEL_CODE; -1: null */
	const char *sensor_id;
	const char *sensor_type;
	const char *factory_section;
	const char *machine_id;
	const char *zone;
	double		value;
	const char *unit;
	double		limit;
	double		deadband;
	float		quality;
	double		score;
	TimestampTz event_time;
	TimestampTz since;
	TimestampTz raised_at;
	TimestampTz recorded_at;
	const char *cause;
	const char *by;
	const char *comment;
	const char *pipeline;
	const char *topic;
	int32		partition;		/* -1: null */
	int64		offset;			/* -1: null */
	int32		reading_index;	/* -1: null */
	int32		limit_version;	/* 0: null */
	/* of floods alone */
	const char *position;		/* NULL: it is none */
	int32		peak;
} FmAlertMessage;

/* Characters of a comment that are told. */
#define FM_ALERT_COMMENT	4000

/* Append it as JSON, in the members' usual order. */
extern void fm_alert_message_compose(StringInfo buf,
									 const FmAlertMessage *message);

/* Append a text as a JSON string. */
extern void fm_append_json_text(StringInfo buf, const char *value);

/* As uuid_out() has it, with the zero at its end. */
#define FM_UUID_TEXT		(2 * UUID_LEN + 5)
extern void fm_uuid_text(const pg_uuid_t *id, char *text);

#endif							/* FM_ALERT_MESSAGE_H */
