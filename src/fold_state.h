/*-------------------------------------------------------------------------
 *
 * fold_state.h
 *	  What the files of the fold (fold*.c, alarm_store.c) share: the state
 *	  itself.
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
#include "fold_store.h"
#include "lifecycle.h"

/*
 * Version of FmFoldSensor and FmAlarm as written.  Whoever changes one of
 * them, or what a member means, counts it up and teaches fold_rebuild.c to
 * read the old one.
 */
#define FM_FOLD_VERSION		2

/* Width of the window over reading_count. */
#define FM_FOLD_WINDOW		64

/* Intervals between 20 readings: from then on the mean of them is shown. */
#define FM_FOLD_INTERVALS	19

/* So many late readings in a row, each newer than the one before it, mean that
 * the sensor's clock was ahead and is set right: they are the present. */
#define FM_FOLD_LATE_RUN	20

/* Bits of FmFoldSensor.hot: readings that its alarms must see, normal or not. */
#define FM_HOT_JUDGED		0x01
#define FM_HOT_LATE			0x02
/* ... and those that an alarm of a detector must see, by its condition */
#define FM_HOT_DETECTOR(kind)	(1 << ((kind) + FM_CONDITION_ANOMALY))
#define FM_HOT_DETECTORS	0xFC

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

	TimestampTz late_ts;		/* of the last reading, if it was late */

	int32		sensor_id;
	int32		sensor_version_id;	/* of the last evaluated reading */
	float		last_quality;	/* NaN: it had none */
	uint32		late;			/* counters stay at their maximum */
	uint32		future;
	uint32		low_quality;
	int32		highest_count;
	uint32		repeats;
	uint32		restarts;

	int16		last_index;
	uint8		last_level;		/* FmLevel */
	uint8		last_side;		/* FmSide */
	uint8		nintervals;		/* in the mean, up to FM_FOLD_INTERVALS */
	int8		interval_run;	/* out of range on end: too long +, short - */
	uint8		has_count;		/* highest_count is valid */
	uint8		hot;			/* FM_HOT_* */
	uint8		after_gap;		/* the last evaluated one came after a gap */
	uint8		late_run;		/* late readings in a row, each newer */
	uint8		retired;		/* nothing is to be judged of it */
	uint8		unused[1];		/* zero */
} FmFoldSensor;

StaticAssertDecl(sizeof(FmFoldSensor) == 152,
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

struct FmFold
{
	MemoryContext context;
	FmFoldStream stream;
	int64		position;

	/* by FmFoldPart; in order of creation */
	FmFoldStore stores[FM_FOLD_PARTS];
	struct foldhash_hash *numbers;	/* sensor_id -> number */
	struct alarmhash_hash *alarm_numbers;	/* sensor_id, condition -> number */
	struct detectorhash_hash *detector_numbers; /* sensor_id -> number */

	/* detectors: what was adopted last, and what they found since a commit */
	uint32		generation;		/* 0: nothing was */
	bool		needs_snapshot;
	FmScore    *scores;
	int			nscores;
	int			scores_allocated;

	/* ts of readings since the last snapshot; min > max: there are none */
	TimestampTz min_ts;
	TimestampTz max_ts;
};

static inline FmFoldSensor *
fm_fold_state(const FmFold *fold, int number)
{
	return fm_store_element(&fold->stores[FM_FOLD_SENSORS], number,
							sizeof(FmFoldSensor));
}

static inline FmAlarm *
fm_fold_alarm(const FmFold *fold, int number)
{
	return fm_store_element(&fold->stores[FM_FOLD_ALARMS], number,
							sizeof(FmAlarm));
}

static inline FmDetector *
fm_fold_detector(const FmFold *fold, int number)
{
	return fm_store_element(&fold->stores[FM_FOLD_DETECTORS], number,
							sizeof(FmDetector));
}

static inline FmDetectorParams *
fm_fold_params(const FmFold *fold, int number)
{
	return fm_store_element(&fold->stores[FM_FOLD_PARAMETERS], number,
							sizeof(FmDetectorParams));
}

/*
 * Does a reading come after more than three intervals?  Only asked where the
 * interval is known.
 */
static inline bool
fm_fold_is_after_gap(const FmFoldSensor *state, TimestampTz ts)
{
	return state->nintervals == FM_FOLD_INTERVALS &&
		ts - state->last_ts > 3 * state->interval;
}

/*
 * Then delays that are running begin anew; but not twice in a row, or a sensor
 * that reports at long intervals between bursts would never raise an alarm.
 * They do, too, when the sensor's clock was set back: they would begin in the
 * future.
 */
static inline bool
fm_fold_starts_anew(const FmFoldSensor *state, TimestampTz ts)
{
	return ts < state->last_ts ||
		(fm_fold_is_after_gap(state, ts) && !state->after_gap);
}

/* ---- fold.c ---- */

/* An empty fold in a context below parent. */
extern FmFold *fm_fold_create(MemoryContext parent,
							  const FmFoldStream *stream, int64 position);

/* A sensor of which no reading came yet. */
extern void fm_fold_sensor_init(FmFoldSensor *state, int32 sensor_id);

/* Number of a sensor; creates its state if need be.  -1: it is not there. */
extern int	fm_fold_number(FmFold *fold, int32 sensor_id, bool create);

/* ---- fold_alarm.c ---- */

extern void fm_fold_alarms_init(FmFold *fold);

/* Number of an alarm; creates it if need be.  -1: it is not there. */
extern int	fm_fold_alarm_number(FmFold *fold, int32 sensor_id,
								 uint8 condition, bool create);

/* A reading that was judged, of this level and side; sets row's target. */
extern void fm_fold_judge(FmFold *fold, FmFoldSensor *state, FmRow *row,
						  const FmSensor *sensor, FmLevel level, FmSide side,
						  FmTransitionList *transitions);

/* A reading that is too late for that. */
extern void fm_fold_judge_late(FmFold *fold, FmFoldSensor *state,
							   FmRow *row, const FmSensor *sensor,
							   FmLevel level, FmSide side,
							   FmTransitionList *transitions);

/* Tell the alarm's sensor which of its readings the alarm must see. */
extern void fm_fold_set_hot(FmFold *fold, const FmAlarm *alarm);

/* A stored reading: what it did to delays that are running. */
extern void fm_fold_follow(FmFold *fold, FmFoldSensor *state,
						   const FmFoldReading *reading);

/* Undo alarms down to a length of the undo list. */
extern void fm_fold_alarms_rollback(FmFold *fold, int length);

/*
 * The signal of a detector after a reading of its sensor: what it does to the
 * detector's alarm, at that event time.
 */
extern void fm_fold_judge_signal(FmFold *fold, FmFoldSensor *state,
								 const FmRow *row, const FmSensor *sensor,
								 FmDetectorKind kind, int signal,
								 double score, TimestampTz at,
								 FmTransitionList *transitions);

/* ---- fold_detect.c ---- */

/* What detectors must know of a sensor's state before it takes in a reading. */
typedef struct FmFoldBefore
{
	TimestampTz last_ts;
	int64		gaps;
	uint32		repeats;
	bool		gap;
} FmFoldBefore;

static inline FmFoldBefore
fm_fold_before(const FmFoldSensor *state, TimestampTz ts)
{
	FmFoldBefore before = {
		.last_ts = state->last_ts,
		.gaps = state->gaps,
		.repeats = state->repeats,
		.gap = ts < state->last_ts || fm_fold_is_after_gap(state, ts)
	};

	return before;
}

extern void fm_fold_detectors_init(FmFold *fold);

/* Number of a sensor's detectors; creates their state if need be.  -1: it is
 * not there. */
extern int	fm_fold_detector_number(FmFold *fold, int32 sensor_id,
									bool create);

/* A reading that state has taken in. */
extern void fm_fold_detect(FmFold *fold, FmFoldSensor *state,
						   const FmFoldBefore *before,
						   const FmFoldReading *reading, const FmRow *row,
						   FmSensor *sensor, FmTransitionList *transitions);

/* A stored one, with the parameters of then; NULL: detectors were off. */
extern void fm_fold_detect_again(FmFold *fold, const FmFoldSensor *state,
								 const FmFoldBefore *before,
								 const FmFoldReading *reading,
								 const FmDetectorParams *params);

/* Parameters by type, as adopted last; NULL: detectors are off. */
extern const FmDetectorParams *fm_fold_params_of(const FmFold *fold,
												 const char *sensor_type,
												 int len);

/* By which signals of a sensor's detector are judged. */
extern void fm_fold_detector_limits(FmFold *fold, int32 sensor_id,
									FmDetectorKind kind, FmLimits *limits);

extern void fm_fold_detectors_rollback(FmFold *fold, int length);

/* ---- fold_take.c ---- */

/* Take in a reading whose flags and level are set. */
extern void fm_fold_take(FmFoldSensor *state, const FmFoldReading *reading);

/* ---- fold_snapshot.c ---- */

/* Elements as they are written: n of them, of the store's size. */
extern bytea *fm_fold_chunk_encode(FmFoldPart part, const void *elements,
								   int n, Size size);

/* Check a detoasted chunk; returns how many elements it holds. */
extern int	fm_fold_chunk_check(const bytea *chunk, FmFoldPart part,
								Size size);

/* Element n of a checked chunk. */
extern void fm_fold_chunk_sensor(const bytea *chunk, int n,
								 FmFoldSensor *sensor);
extern void fm_fold_chunk_alarm(const bytea *chunk, int n, FmAlarm *alarm);
extern void fm_fold_chunk_detector(const bytea *chunk, int n,
								   FmDetector *detector);
extern void fm_fold_chunk_params(const bytea *chunk, int n,
								 FmDetectorParams *params);

static inline void
fm_fold_widen_range(FmFold *fold, TimestampTz ts)
{
	if (ts < fold->min_ts)
		fold->min_ts = ts;
	if (ts > fold->max_ts)
		fold->max_ts = ts;
}

#endif							/* FM_FOLD_STATE_H */
