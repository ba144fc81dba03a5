/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  Per-sensor state over one stream, a pure function of its readings in
 *	  offset order: last reading, counters, alarm state.
 *
 * The state lives in the memory of the worker that owns the stream.  It is
 * written as snapshots (fold_chunk) and rebuilt from the newest snapshot and
 * the stored readings above it.  Everything a batch does to it can be undone
 * until fm_fold_commit().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FOLD_H
#define FM_FOLD_H

#include "postgres.h"

#include "alarm.h"
#include "batch.h"
#include "fold_store.h"
#include "sensor.h"

typedef struct FmFold FmFold;

/* Who the stream is, for event ids; strings are copied. */
typedef struct FmFoldStream
{
	int32		stream_id;
	int16		pipeline_id;
	const char *pipeline;
	const char *topic;
	int32		kafka_partition;
	int32		incarnation;
} FmFoldStream;

/*
 * fm_fold_open
 *		Load the state of a stream as of fold_position: snapshot chunks, then
 *		the stored readings above the snapshot, then open alarms from their
 *		last transition.
 *
 * Needs a transaction, switched to the extension's owner, with the stream's
 * position row already taken by the caller (so that nobody writes below).
 * snapshot_position, min_ts and max_ts come from that row: readings with
 * kafka_offset >= snapshot_position have ts within [min_ts, max_ts]
 * (any min_ts > max_ts where there are none).
 */
extern FmFold *fm_fold_open(MemoryContext parent, const FmFoldStream *stream,
							int64 snapshot_position, int64 fold_position,
							TimestampTz min_ts, TimestampTz max_ts);
extern void fm_fold_close(FmFold *fold);

/* The fold never goes back: readings below this are not evaluated. */
extern int64 fm_fold_position(const FmFold *fold);

/*
 * fm_fold_apply
 *		Evaluate one reading: sets row->level (with side and reported claim)
 *		and row->flags (in addition to what is set already), updates the
 *		sensor's state, appends transitions.
 *
 * A row below fold_position gets FM_FLAG_NOT_FOLDED and changes nothing.
 * Pure but for the arguments and the state; allocates only for new sensors,
 * for transitions and to lengthen the undo list.  After an error (that is,
 * without memory) roll back to a mark.
 */
extern void fm_fold_apply(FmFold *fold, FmRow *row, FmSensor *sensor,
						  FmTransitionList *transitions);

/* A reading of this sensor will be applied soon: only ever saves time. */
extern void fm_fold_prefetch(const FmFold *fold, const FmSensor *sensor);

/* After the last row of a message (or a message without rows). */
extern void fm_fold_advance(FmFold *fold, int64 next_offset);

/* Undo: everything applied since the mark; commit forgets the undo list. */
typedef struct FmFoldMark
{
	int			undo_length[FM_FOLD_PARTS];
	int64		position;
	int			nscores;
} FmFoldMark;

extern FmFoldMark fm_fold_mark(FmFold *fold);
extern void fm_fold_rollback(FmFold *fold, FmFoldMark mark);
extern void fm_fold_commit(FmFold *fold);

/*
 * fm_fold_adopt
 *		From here on readings are applied with these parameters of detectors
 *		(by type, as FmSensor.detectors points to them); generation changes
 *		whenever they do.
 *
 * If fm_fold_needs_snapshot() says so then, the fold holds parameters that its
 * snapshot does not, and the transaction that stores readings applied since
 * must write one: a rebuild knows no parameters but those of the snapshot.
 */
extern void fm_fold_adopt(FmFold *fold, uint32 generation,
						  const FmDetectorParams *params, int n);
extern bool fm_fold_needs_snapshot(const FmFold *fold);

/* A score at or beyond the level of reporting. */
typedef struct FmScore
{
	int64		kafka_offset;
	TimestampTz ts;
	double		score;
	double		value;
	int32		sensor_id;
	int32		sensor_version_id;
	int32		version;		/* of the detector's parameters */
	int16		reading_index;
	uint8		detector;		/* FmDetectorKind */
} FmScore;

/* Those of the readings applied since the last commit. */
extern const FmScore *fm_fold_scores(const FmFold *fold, int *n);

/*
 * fm_scores_insert (score.c)
 *		Store them, in the caller's transaction, switched to the extension's
 *		owner.
 */
extern void fm_scores_insert(const FmFold *fold);

/*
 * Range of ts folded since the last committed snapshot, for the position
 * row; false if nothing was folded.
 */
extern bool fm_fold_pending_range(const FmFold *fold, TimestampTz *min_ts,
								  TimestampTz *max_ts);

/*
 * fm_fold_snapshot
 *		Write the chunks changed since the last snapshot, in the caller's
 *		transaction (switched to the extension's owner).  The caller sets
 *		snapshot_position = fm_fold_position() in the position row and, after
 *		the commit, calls fm_fold_snapshot_done().  Returns chunks written.
 */
extern int	fm_fold_snapshot(FmFold *fold);
extern void fm_fold_snapshot_done(FmFold *fold);

/*
 * fm_alarms_store (alarm_store.c)
 *		Keep what the alarms of this fold with any of the first n transitions
 *		have become, for views and for whoever takes the stream next.
 *
 * In the caller's transaction, switched to the extension's owner, when the
 * fold is where the batch ends.
 */
extern void fm_alarms_store(FmFold *fold, const FmTransitionList *list,
							int n);

/* What an operator or the clock does to an alarm. */
typedef struct FmAlarmAct
{
	FmTransitionKind kind;		/* what is to happen */
	FmCause		cause;			/* not FM_CAUSE_DATA */
	pg_uuid_t	event_id;		/* acknowledged: the event that was seen */
	FmShelving	shelving;		/* shelved */
	TimestampTz until;			/* ... until then; moved: if the sensor's last
								 * reading is older than this; 0: anyway */
	const char *actor;			/* role; NULL: nobody */
	const char *comment;		/* NULL: none */
} FmAlarmAct;

/*
 * fm_fold_act
 *		Do it, at the fold's position; transitions are appended.
 *
 * A sensor that the fold does not know becomes known to it if what is done
 * lasts: it may come yet.
 *
 * Returns NULL, or why it cannot be done (for users), and has done nothing
 * then.  Strings of act must live as long as the transitions.
 */
extern const char *fm_fold_act(FmFold *fold, int32 sensor_id, int condition,
							   const FmAlarmAct *act, const FmLimits *limits,
							   FmTransitionList *transitions);

/* The next alarm from *next (0 at first) on; false if there are no more. */
extern bool fm_fold_next_alarm(const FmFold *fold, int *next,
							   int32 *sensor_id, int *condition);
/* What is no reading and moves an alarm all the same: it is, or is not. */
typedef enum FmSignalKind
{
	FM_SIGNAL_OFF,
	FM_SIGNAL_ON,
	FM_SIGNAL_CLOSE				/* nobody will say any more */
} FmSignalKind;

typedef struct FmSignal
{
	FmSignalKind kind;
	int32		sensor_id;
	int32		sensor_version_id;	/* 0: none */
	TimestampTz since;			/* FM_SIGNAL_ON: since when it has been so */
	TimestampTz at;
	const char *comment;		/* lives as long as the transitions */
} FmSignal;

/*
 * fm_fold_signal
 *		Take it in; transitions, by the clock, are appended.
 *
 * limits are without limits: severities and what operators may do.
 */
extern void fm_fold_signal(FmFold *fold, const FmSignal *signal,
						   int condition, const FmLimits *limits,
						   FmTransitionList *transitions);

/* Is this alarm up, and since when? */
extern bool fm_fold_alarm_is_active(const FmFold *fold, int32 sensor_id,
									int condition, TimestampTz *raised_at);

/* How a sensor without readings described itself, and when. */
extern void fm_fold_set_sensor_version(FmFold *fold, int32 sensor_id,
									   int32 sensor_version_id,
									   TimestampTz at);

/* When shelving ends next; DT_NOEND: nothing is shelved. */
extern TimestampTz fm_fold_next_unshelving(const FmFold *fold);

/*
 * The next alarm from *next (0 at first) on whose shelving was to end by now;
 * false if there are no more.
 */
extern bool fm_fold_shelved_until(const FmFold *fold, TimestampTz now,
								  int *next, int32 *sensor_id,
								  int *condition);

/* Is it among those that the fold came to know after the first n? */
extern bool fm_fold_is_later(const FmFold *fold, int32 sensor_id, int64 n);

/* The sensor's description at its last judged reading; 0: none. */
extern int32 fm_fold_sensor_version(const FmFold *fold, int32 sensor_id);

/* Which sensor has this number (from 0), and when it was last seen; see
 * fold_seen.c.  False behind the last one. */
typedef struct FmFoldSeen
{
	int32		sensor_id;
	int32		sensor_version_id;	/* 0: none of its readings was judged */
	TimestampTz message_at;		/* of its last reading; DT_NOBEGIN: unknown */
	int64		interval;		/* microseconds; 0: too few readings */
} FmFoldSeen;

extern bool fm_fold_seen(const FmFold *fold, int number, FmFoldSeen *seen);

/* The same of all sensors of a detoasted chunk of fold_chunk; palloc'ed. */
extern FmFoldSeen *fm_fold_chunk_seen(const bytea *chunk, int *n);

/* The interval that a sensor keeps, as above. */
extern int64 fm_fold_interval(const FmFold *fold, const FmSensor *sensor);

/* Sensors with state, for status. */
extern int64 fm_fold_sensor_count(const FmFold *fold);

#endif							/* FM_FOLD_H */
