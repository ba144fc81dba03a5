/*-------------------------------------------------------------------------
 *
 * alarm.h
 *	  Alarm transitions: what they hold, their ids, and their storage.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ALARM_H
#define FM_ALARM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "reading.h"

/* States of ISA-18.2; shown names in alarm.c. */
typedef enum FmAlarmState
{
	FM_ALARM_NORMAL = 0,
	FM_ALARM_ACTIVE_UNACKNOWLEDGED = 1,
	FM_ALARM_ACTIVE_ACKNOWLEDGED = 2,
	FM_ALARM_RETURNED_UNACKNOWLEDGED = 3
} FmAlarmState;

typedef enum FmTransitionKind
{
	FM_TRANSITION_RAISED,
	FM_TRANSITION_ESCALATED,
	FM_TRANSITION_DEESCALATED,
	FM_TRANSITION_RETURNED
} FmTransitionKind;

/* Shown names of a state; false if there is none of that name. */
extern const char *fm_alarm_state_name(FmAlarmState state);
extern bool fm_alarm_state_parse(const char *name, FmAlarmState *state);

/* Severity (1-1000) of an alarm at a level that is not normal. */
extern int16 fm_alarm_severity(FmLevel level);

/* Where an event comes from; nothing else goes into its id. */
typedef struct FmEventSource
{
	const char *pipeline;
	const char *topic;
	int32		kafka_partition;
	int32		incarnation;
	int64		kafka_offset;
	int			reading_index;
	const char *condition;
	int			ordinal;
} FmEventSource;

/*
 * The id of an event ("event"), or of the alarm that it begins ("alarm"): the
 * same source always gives the same id.  Needs a resource owner, as within a
 * transaction.
 */
extern void fm_event_id(pg_uuid_t *id, const char *kind,
						const FmEventSource *source);

/* One transition of one condition of one sensor, caused by one reading. */
typedef struct FmTransition
{
	pg_uuid_t	event_id;
	pg_uuid_t	alarm_id;
	int32		seq;			/* dense from 1 within alarm_id */
	int16		ordinal;		/* of this reading's transitions, from 1 */
	FmTransitionKind kind;
	FmAlarmState state;
	FmAlarmState previous_state;
	FmLevel		level;
	FmSide		side;
	FmLevel		previous_level;
	FmSide		previous_side;
	int16		severity;		/* 1-1000 as in OPC UA */
	int32		stream_id;
	int64		kafka_offset;
	int16		reading_index;
	int32		sensor_id;
	int32		sensor_version_id;
	double		value;
	double		limit_value;	/* NaN: returned to normal, none crossed */
	double		deadband;
	bool		has_quality;
	float		quality;
	TimestampTz event_time;
	TimestampTz since;
	TimestampTz raised_at;
	int32		threshold_id;
	bool		announced;
	int			message;		/* index of the message in its batch */
} FmTransition;

typedef struct FmTransitionList
{
	FmTransition *items;		/* palloc'ed by alarm.c in context */
	int			length;
	int			allocated;
	MemoryContext context;
} FmTransitionList;

extern void fm_transitions_init(FmTransitionList *list, MemoryContext context);
extern FmTransition *fm_transitions_add(FmTransitionList *list);
extern void fm_transitions_truncate(FmTransitionList *list, int length);

/*
 * Insert the first n transitions into the pipeline's table with one
 * statement, in the caller's transaction, switched to the extension's owner.
 */
extern void fm_transitions_insert(int16 pipeline_id,
								  const FmTransitionList *list, int n);

#endif							/* FM_ALARM_H */
