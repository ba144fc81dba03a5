/*-------------------------------------------------------------------------
 *
 * due.h
 *	  What is due to go out: committed transitions that have no number yet.
 *
 * Used by publication.c, in its transaction, switched to the extension's
 * owner, inside SPI.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DUE_H
#define FM_DUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "alert_message.h"

/* A transition. */
typedef struct FmDue
{
	int32		stream_id;
	int64		out_seq;
	int32		sensor_id;
	int32		sensor_version_id;	/* 0: none */
	pg_uuid_t	event_id;
	pg_uuid_t	alarm_id;
	TimestampTz turn;			/* recorded_at, or that of one before it in its
								 * stream */
	FmAlertMessage message;		/* all of it but the pipeline's name */
} FmDue;

/* How far a stream has something in the list. */
typedef struct FmDueStream
{
	int32		stream_id;
	int64		out_seq;
} FmDueStream;

typedef struct FmDueList
{
	FmDue	  **items;			/* in the order of their numbers to be */
	int			n;
	int			room;
	FmDueStream *streams;		/* of those, by stream_id */
	int			nstreams;
	bool		to_kafka;		/* the pipeline has a topic for them */
	int64		most;			/* of a stream, at most */
	bool		more;			/* a stream had so many */
} FmDueList;

/*
 * Read what is due in a pipeline, about most transitions, of each stream the
 * first ones and as many as of any other.
 */
extern void fm_due_read(int16 pipeline_id, int most, FmDueList *list);

/* --- due_sensor.c ------------------------------------------------------- */

/* Put into messages what is known of their sensors; the texts are good until
 * this is called again. */
extern void fm_due_describe_sensors(FmDue *const *items, int n);

#endif							/* FM_DUE_H */
