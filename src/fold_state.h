/*-------------------------------------------------------------------------
 *
 * fold_state.h
 *	  What fold.c and fold_rebuild.c share: the state itself.
 *
 * Nobody else includes this file but tests.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FOLD_STATE_H
#define FM_FOLD_STATE_H

#include "fold.h"

/* Sensors of one chunk, in memory and in fold_chunk. */
#define FM_FOLD_CHUNK		1024

/*
 * Version of FmFoldSensor as written.  Whoever changes the struct, or what a
 * member means, counts it up and teaches fold_rebuild.c to read the old one.
 */
#define FM_FOLD_VERSION		1

/* Width of the window over reading_count. */
#define FM_FOLD_WINDOW		64

/* Intervals between 20 readings: from then on the mean of them is shown. */
#define FM_FOLD_INTERVALS	19

/* Flags of readings that do not move the alarm. */
#define FM_FOLD_UNJUDGED \
	(FM_FLAG_LATE | FM_FLAG_FUTURE | FM_FLAG_LOW_QUALITY)

/*
 * State of one sensor over one stream.  Written to disk as it is, so its
 * members are ordered to leave no padding and have fixed sizes.
 */
typedef struct FmFoldSensor
{
	/* last evaluated reading; last_ts is DT_NOBEGIN before the first */
	TimestampTz last_ts;
	int64		last_offset;
	double		last_value;

	TimestampTz first_ts;		/* of the first reading of all */
	TimestampTz clock_ts;		/* newest that was neither late nor future */
	TimestampTz message_at;		/* message timestamp of the last reading */

	/* readings taken in; those not counted as worse were normal */
	int64		readings;
	int64		warnings;
	int64		criticals;

	double		interval;		/* mean of ts differences, microseconds */

	/* reading_count: which of the last 64 up to highest_count were seen */
	uint64		count_window;	/* bit n: highest_count - n */
	int64		gaps;			/* numbers that never came */

	TimestampTz alarm_since;	/* first reading of the last excursion */
	TimestampTz alarm_raised_at;	/* first raise of the alarm */
	pg_uuid_t	alarm_id;		/* of the last alarm; zero before it */

	int32		sensor_id;
	int32		sensor_version_id;	/* of the last evaluated reading */
	float		last_quality;	/* NaN: it had none */
	uint32		late;			/* counters stay at their maximum */
	uint32		future;
	uint32		low_quality;
	int32		highest_count;
	uint32		repeats;
	uint32		restarts;
	int32		alarm_seq;		/* of its last transition */

	int16		last_index;
	uint8		last_level;		/* FmLevel */
	uint8		last_side;		/* FmSide */
	uint8		nintervals;		/* in the mean, up to FM_FOLD_INTERVALS */
	int8		interval_run;	/* out of range on end: too long +, short - */
	uint8		has_count;		/* highest_count is valid */
	uint8		alarm_state;	/* FmAlarmState */
	uint8		alarm_level;	/* normal unless the alarm is active */
	uint8		alarm_side;
	uint8		unused[14];		/* zero */
} FmFoldSensor;

StaticAssertDecl(sizeof(FmFoldSensor) == 192,
				 "FmFoldSensor must have no padding");

/* What the state takes in of one reading, new or stored. */
typedef struct FmFoldReading
{
	TimestampTz ts;
	TimestampTz message_at;		/* DT_NOBEGIN: not known */
	int64		kafka_offset;
	double		value;
	float		quality;		/* NaN: none */
	int32		sensor_version_id;
	int32		reading_count;
	bool		has_reading_count;
	int16		reading_index;
	int16		level;			/* FM_LEVEL_CODE */
	int16		flags;			/* FM_FLAG_* */
} FmFoldReading;

typedef struct FmFoldPage
{
	bool		dirty;			/* differs from its row in fold_chunk */
	bool		written;		/* ... but not after the running snapshot */
	FmFoldSensor sensors[FM_FOLD_CHUNK];
} FmFoldPage;

typedef struct FmFoldUndo
{
	int32		index;			/* number of the sensor */
	bool		created;		/* it did not exist before */
	FmFoldSensor before;
} FmFoldUndo;

struct FmFold
{
	MemoryContext context;
	FmFoldStream stream;
	int64		position;

	/* sensors in order of creation, which numbers them for good */
	struct foldhash_hash *numbers;	/* sensor_id -> number */
	FmFoldPage **pages;
	int			npages;
	int			nsensors;

	FmFoldUndo *undo;
	int			undo_length;
	int			undo_allocated;

	/* ts of readings since the last snapshot; min > max: there are none */
	TimestampTz min_ts;
	TimestampTz max_ts;
};

static inline FmFoldSensor *
fm_fold_state(const FmFold *fold, int number)
{
	return &fold->pages[number / FM_FOLD_CHUNK]->
		sensors[number % FM_FOLD_CHUNK];
}

/* ---- fold.c ---- */

/* An empty fold in a context below parent. */
extern FmFold *fm_fold_create(MemoryContext parent,
							  const FmFoldStream *stream, int64 position);

/* Number of a sensor; creates its state if need be.  -1: it is not there. */
extern int	fm_fold_number(FmFold *fold, int32 sensor_id, bool create);

/* ---- fold_take.c ---- */

/* Take in a reading whose flags and level are set. */
extern void fm_fold_take(FmFoldSensor *state, const FmFoldReading *reading);

/* ---- fold_snapshot.c ---- */

/* Check a detoasted chunk; returns how many sensors it holds. */
extern int	fm_fold_chunk_check(const bytea *chunk);

/* Sensor n of a checked chunk. */
extern void fm_fold_chunk_sensor(const bytea *chunk, int n,
								 FmFoldSensor *sensor);

static inline void
fm_fold_widen_range(FmFold *fold, TimestampTz ts)
{
	if (ts < fold->min_ts)
		fold->min_ts = ts;
	if (ts > fold->max_ts)
		fold->max_ts = ts;
}

#endif							/* FM_FOLD_STATE_H */
