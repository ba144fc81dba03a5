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

#include "lifecycle.h"

/* What an alarm is about; shown names in alarm.c.  Stored in states of folds:
 * a number keeps its meaning. */
typedef enum FmCondition
{
	FM_CONDITION_LIMIT = 0,		/* a value beyond its limits */
	FM_CONDITION_SILENT = 1,	/* no readings */
	FM_CONDITION_ANOMALY = 2,	/* a value far from the recent ones */
	FM_CONDITION_RATE = 3,		/* a value that changes too fast */
	FM_CONDITION_FLAT = 4,		/* a value that does not change */
	FM_CONDITION_SEQUENCE = 5,	/* reading_count: gaps or repeats */
	FM_CONDITION_TIME = 6,		/* timestamps out of order or in the future */
	FM_CONDITION_SEASONAL = 7,	/* a value unusual for the hour of the day */
	FM_CONDITIONS
} FmCondition;

extern const char *fm_condition_name(int condition);

/* The condition of that name; -1: there is none. */
extern int	fm_condition_find(const char *name);

/* Shown names. */
extern const char *fm_alarm_state_name(FmAlarmState state);
extern const char *fm_transition_name(FmTransitionKind kind);

/* What blocks it, the one that ends last if there are several; NULL: nothing
 * does. */
extern const char *fm_alarm_blocked_by(const FmAlarmEvent *event);

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

/* An id for what no message has caused: random, version 4. */
extern void fm_event_id_random(pg_uuid_t *id);

/* Who or what caused a transition; shown names in alarm.c. */
typedef enum FmCause
{
	FM_CAUSE_DATA,
	FM_CAUSE_OPERATOR,
	FM_CAUSE_CLOCK
} FmCause;

extern const char *fm_cause_name(FmCause cause);

/*
 * One transition of one condition of one sensor.  If no reading caused it,
 * kafka_offset is the position of the fold, reading_index -1, and what it
 * says of a reading is about the last one judged, if there is one.
 */
typedef struct FmTransition
{
	pg_uuid_t	event_id;
	pg_uuid_t	alarm_id;
	FmAlarmEvent event;
	int			alarm_number;	/* where the fold has the alarm */
	uint8		condition;
	FmCause		cause;
	const char *actor;			/* role; NULL: nobody */
	const char *comment;		/* NULL: none; lives as long as the list */
	int16		ordinal;		/* of this condition's by this reading, from 1 */
	int16		severity;		/* 1-1000 as in OPC UA; 0: never raised */
	int32		stream_id;
	int64		kafka_offset;
	int16		reading_index;
	int32		sensor_id;
	int32		sensor_version_id;
	double		value;			/* NaN: there was no reading */
	double		limit_value;	/* NaN: returned to normal, none crossed */
	double		deadband;
	double		score;			/* of a detector; NaN: of none */
	bool		has_quality;
	float		quality;
	TimestampTz event_time;		/* FM_NEVER: there was no reading */
	TimestampTz shelved_until;	/* if it is shelved */
	int32		limit_version;	/* 0: a built-in default, or none */
	int64		out_seq;		/* among what goes out of its stream; 0: it does not */
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
 * Number those of the first n transitions of a stream that consumers hear of,
 * on from *out_seq, the last number given before.
 */
extern void fm_transitions_number(FmTransitionList *list, int n,
								  int32 stream_id, int64 *out_seq);

/*
 * Insert the first n transitions into the pipeline's table (transition_table.c),
 * in the caller's transaction, switched to the extension's owner.
 */
extern void fm_transitions_insert(int16 pipeline_id,
								  const FmTransitionList *list, int n);

#endif							/* FM_ALARM_H */
