/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The messages that one transaction will store, and what became of each.
 *
 * Vocabulary: a *message* is one Kafka record; a *row* is one reading of it.
 * Messages stand in order of arrival, which is offset order within a stream
 * but interleaves streams; any prefix of a batch is a prefix of each of its
 * streams, so any prefix may be committed.  Rows stand in the same order,
 * those of one message side by side.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BATCH_H
#define FM_BATCH_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "consumer.h"
#include "reading.h"

/* What a message turned out to be. */
typedef enum FmMessageClass
{
	FM_CLASS_READINGS,			/* holds at least one reading */
	FM_CLASS_REJECTED,			/* kept whole in rejects */
	FM_CLASS_HEARTBEAT,			/* a producer's heartbeat */
	FM_CLASS_TOMBSTONE,			/* no payload */
	FM_CLASS_EMPTY,				/* well-formed, no reading in it */
	FM_CLASS_DUPLICATE			/* all its readings were stored before */
} FmMessageClass;

/* One reading on its way into the table. */
typedef struct FmRow
{
	FmReading  *reading;
	struct FmSensor *sensor;	/* of sensor.c, found by prepare.c */
	int32		stream_id;
	int64		kafka_offset;
	int16		reading_index;	/* 0-based within its message */
	int32		sensor_id;		/* resolved by sensor.c */
	int32		sensor_version_id;
	int16		level;			/* FM_LEVEL_CODE, set by classify/fold */
	int16		flags;			/* FM_FLAG_* */
	TimestampTz message_at;		/* Kafka's timestamp, or arrival */
	int			message;		/* index of its message in the batch */
	bool		suppressed;		/* a trigger kept it out of the table */
} FmRow;

typedef struct FmBatchMessage
{
	FmMessage	message;		/* held until the batch is done with */
	int			stream;			/* index into the batch's streams */
	FmMessageClass class;
	int			first_row;		/* rows [first_row, first_row + nrows) */
	int			nrows;
	int			ndropped;		/* rows that a duplicate had; nrows is 0 */
	TimestampTz message_at;
	FmRejectReason reason;		/* if class is FM_CLASS_REJECTED */
	const char *detail;			/* why, in words; in the batch's context */
	char		sqlstate[6];
} FmBatchMessage;

/*
 * Mixing of (offset, index) to 64 bits; sums of it modulo 2^64 prove
 * which rows an extent holds.  SQL: _factorymon.offset_hash().
 * (SplitMix64's finaliser, Steele, Lea and Flood 2014.)
 */
static inline uint64
fm_offset_hash(int64 kafka_offset, int reading_index)
{
	uint64		z = (uint64) kafka_offset * UINT64CONST(0x9E3779B97F4A7C15)
		+ (uint64) (reading_index + 1) * UINT64CONST(0xD1B54A32D192ED03);

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

#endif							/* FM_BATCH_H */
