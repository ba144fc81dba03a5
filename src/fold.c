/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Per-sensor state over one stream: judging readings as they come.
 *
 * The state is a function of the stream's readings in offset order.  It is
 * made of parts that never look at each other:
 *
 * - What was measured: last reading, counters, learned interval, window over
 *	 reading_count.  fm_fold_take() (fold_take.c) derives it from what is stored
 *	 of a reading (its flags included), so it can be derived again from the
 *	 table.  The one exception is message_at, which is not stored; see
 *	 fold_rebuild.c.
 * - The alarms (fold_alarm.c, lifecycle.c).  They move by limits that may have
 *	 changed since, so they are never judged again: they are read back from
 *	 what they were after their last transition, and the delays that run since
 *	 then from the targets stored with the readings.
 * - The detectors (fold_detect.c, detector.c), a function of what is stored of
 *	 a reading and of the parameters that were in force, which are kept beside
 *	 them.  Their alarms are alarms like the others.
 *
 * A reading is judged in this order:
 *	 1. late: older than the last evaluated one.  (Among equals the offset
 *		decides, which is the order they come in.)  Where late ones go on and
 *		on, each newer than the one before, the sensor's clock was ahead and
 *		has been set right: from the twentieth on they are the present.
 *	 2. future: more than a minute ahead of its message.  It must not become
 *		the last evaluated one, or a single bad clock would make everything
 *		after it late for hours.
 *	 3. low quality: the producer itself does not trust it.
 *	 None of these moves the alarm; all are stored, classified and counted.
 *	 4. Otherwise it goes to the alarm, after a gap in the readings with a word
 *		about that.
 *	 5. Detectors come last; those of gaps and of time look at every reading.
 *
 * Undoing: see fold_store.c.  What is not undone does no harm: a range of ts
 * too wide.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "fold_state.h"

/* Readings of less quality than this are not judged. */
#define MIN_QUALITY			0.5

/* A reading may be this far ahead of its message (microseconds). */
#define MAX_AHEAD			(60 * USECS_PER_SEC)

/* ------------------------------------------------------------------------
 * Sensors and their numbers
 * ------------------------------------------------------------------------
 */

typedef struct FoldNumber
{
	int32		sensor_id;		/* hash key */
	uint32		number:31;
	uint32		status:1;		/* for simplehash */
} FoldNumber;

#define SH_PREFIX		foldhash
#define SH_ELEMENT_TYPE	FoldNumber
#define SH_KEY_TYPE		int32
#define SH_KEY			sensor_id
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

FmFold *
fm_fold_create(MemoryContext parent, const FmFoldStream *stream,
			   int64 position)
{
	MemoryContext context = AllocSetContextCreate(parent, "factorymon fold",
												  ALLOCSET_DEFAULT_SIZES);
	FmFold	   *fold = MemoryContextAllocZero(context, sizeof(FmFold));

	fold->context = context;
	fold->stream = *stream;
	fold->stream.pipeline = MemoryContextStrdup(context, stream->pipeline);
	fold->stream.topic = MemoryContextStrdup(context, stream->topic);
	fold->position = position;
	fm_store_init(&fold->stores[FM_FOLD_SENSORS], context, FM_FOLD_SENSORS,
				  sizeof(FmFoldSensor));
	fold->numbers = foldhash_create(context, 256, NULL);
	fm_fold_alarms_init(fold);
	fm_fold_detectors_init(fold);
	fold->min_ts = DT_NOEND;
	fold->max_ts = DT_NOBEGIN;
	return fold;
}

void
fm_fold_close(FmFold *fold)
{
	MemoryContextDelete(fold->context);
}

void
fm_fold_sensor_init(FmFoldSensor *state, int32 sensor_id)
{
	memset(state, 0, sizeof(*state));
	state->sensor_id = sensor_id;
	state->last_ts = DT_NOBEGIN;
	state->clock_ts = DT_NOBEGIN;
	state->message_at = DT_NOBEGIN;
	state->last_quality = NAN;
}

int
fm_fold_number(FmFold *fold, int32 sensor_id, bool create)
{
	FoldNumber *entry = foldhash_lookup(fold->numbers, sensor_id);
	bool		found;

	if (likely(entry != NULL))
		return entry->number;
	if (!create)
		return -1;

	/* or a failure would leave an entry without an element */
	fm_store_reserve(&fold->stores[FM_FOLD_SENSORS]);
	entry = foldhash_insert(fold->numbers, sensor_id, &found);
	entry->number = fm_store_add(&fold->stores[FM_FOLD_SENSORS]);
	fm_fold_sensor_init(fm_fold_state(fold, entry->number), sensor_id);
	return entry->number;
}

int64
fm_fold_sensor_count(const FmFold *fold)
{
	return fold->stores[FM_FOLD_SENSORS].n;
}

/* ------------------------------------------------------------------------
 * Undo
 * ------------------------------------------------------------------------
 */

/*
 * Number of a sensor, created if need be.  It is where it was last, unless the
 * same description comes through several streams in turns.
 */
static inline int
number_of(FmFold *fold, FmSensor *sensor)
{
	int			number = sensor->fold_number;

	if (likely(number < fold->stores[FM_FOLD_SENSORS].n &&
			   fm_fold_state(fold, number)->sensor_id == sensor->sensor_id))
		return number;
	number = fm_fold_number(fold, sensor->sensor_id, true);
	sensor->fold_number = number;
	return number;
}

void
fm_fold_prefetch(const FmFold *fold, const FmSensor *sensor)
{
	if (sensor->fold_number < fold->stores[FM_FOLD_SENSORS].n)
		fm_prefetch(fm_fold_state(fold, sensor->fold_number),
					sizeof(FmFoldSensor));
	if (sensor->detectors != NULL &&
		sensor->detector_number < fold->stores[FM_FOLD_DETECTORS].n)
		fm_prefetch(fm_fold_detector(fold, sensor->detector_number),
					sizeof(FmDetector));
}

/*
 * The state of a sensor, about to be changed: it is created if need be and
 * what it was is remembered.
 */
static FmFoldSensor *
state_to_change(FmFold *fold, FmSensor *sensor)
{
	FmFoldStore *store = &fold->stores[FM_FOLD_SENSORS];
	int			before = store->n;
	int			number;

	fm_store_reserve_undo(store);
	number = number_of(fold, sensor);
	return fm_store_change(store, number, number == before,
						   sizeof(FmFoldSensor));
}

FmFoldMark
fm_fold_mark(FmFold *fold)
{
	FmFoldMark	mark;

	for (int i = 0; i < FM_FOLD_PARTS; i++)
	{
		mark.undo_length[i] = fold->stores[i].undo_length;
		fm_store_begin_period(&fold->stores[i]);
	}
	mark.position = fold->position;
	mark.nscores = fold->nscores;
	return mark;
}

void
fm_fold_rollback(FmFold *fold, FmFoldMark mark)
{
	FmFoldUndo	undo;
	const void *before;

	while (fm_store_undo(&fold->stores[FM_FOLD_SENSORS],
						 mark.undo_length[FM_FOLD_SENSORS], &undo, &before))
	{
		if (undo.created)
			(void) foldhash_delete(fold->numbers,
								   ((const FmFoldSensor *) before)->sensor_id);
	}
	fm_fold_alarms_rollback(fold, mark.undo_length[FM_FOLD_ALARMS]);
	fm_fold_detectors_rollback(fold, mark.undo_length[FM_FOLD_DETECTORS]);
	fold->nscores = mark.nscores;
	fold->position = mark.position;
}

void
fm_fold_commit(FmFold *fold)
{
	for (int i = 0; i < FM_FOLD_PARTS; i++)
		fm_store_commit(&fold->stores[i]);
	fold->nscores = 0;
}

int64
fm_fold_position(const FmFold *fold)
{
	return fold->position;
}

void
fm_fold_advance(FmFold *fold, int64 next_offset)
{
	/* what is replayed lies below, and stays below */
	if (next_offset > fold->position)
		fold->position = next_offset;
}

bool
fm_fold_pending_range(const FmFold *fold, TimestampTz *min_ts,
					  TimestampTz *max_ts)
{
	*min_ts = fold->min_ts;
	*max_ts = fold->max_ts;
	return fold->min_ts <= fold->max_ts;
}

/* ------------------------------------------------------------------------
 * One reading
 * ------------------------------------------------------------------------
 */

/* Late, unless it shows that the clock was set back. */
static inline int16
judge_order(const FmFoldSensor *state, TimestampTz ts)
{
	if (likely(ts >= state->last_ts))
		return 0;
	if (state->late_run >= FM_FOLD_LATE_RUN - 1 && ts >= state->late_ts)
		return FM_FLAG_CLOCK_SET;
	return FM_FLAG_LATE;
}

static inline int16
judge(const FmFoldSensor *state, const FmRow *row)
{
	const FmReading *reading = row->reading;
	int16		flags = judge_order(state, reading->ts);

	if ((flags & FM_FLAG_LATE) == 0 &&
		reading->ts - MAX_AHEAD > row->message_at)
		flags = FM_FLAG_FUTURE;
	if (reading->has_quality && reading->quality < MIN_QUALITY)
		flags |= FM_FLAG_LOW_QUALITY;
	return flags;
}

void
fm_fold_apply(FmFold *fold, FmRow *row, FmSensor *sensor,
			  FmTransitionList *transitions)
{
	const FmReading *reading = row->reading;
	FmSide		side;
	FmLevel		level = fm_classify(reading->value, sensor->limits, &side);
	FmFoldSensor *state;
	FmFoldReading taken;
	FmFoldBefore before;
	bool		watched;

	row->level = FM_LEVEL_CODE(level, side, reading->reported);
	/* of an earlier try */
	row->flags &= ~(FM_FOLD_UNJUDGED | FM_FLAG_NOT_FOLDED |
					FM_FLAG_CLOCK_SET);
	if (row->kafka_offset < fold->position)
	{
		row->flags |= FM_FLAG_NOT_FOLDED;
		return;
	}

	state = state_to_change(fold, sensor);
	row->flags |= judge(state, row);
	if ((row->flags & FM_FOLD_UNJUDGED) == 0)
		fm_fold_judge(fold, state, row, sensor, level, side, transitions);
	else if ((row->flags & FM_FOLD_UNJUDGED) == FM_FLAG_LATE)
		fm_fold_judge_late(fold, state, row, sensor, level, side,
						   transitions);

	taken.ts = reading->ts;
	taken.message_at = row->message_at;
	taken.kafka_offset = row->kafka_offset;
	taken.value = reading->value;
	taken.quality = reading->has_quality ? reading->quality : NAN;
	taken.sensor_version_id = sensor->sensor_version_id;
	taken.reading_count = reading->reading_count;
	taken.has_reading_count = reading->has_reading_count;
	taken.reading_index = row->reading_index;
	taken.level = row->level;
	taken.flags = row->flags;
	watched = sensor->detectors != NULL ||
		(state->hot & FM_HOT_DETECTORS) != 0;
	if (unlikely(watched))
		before = fm_fold_before(state, reading->ts);
	fm_fold_take(state, &taken);
	if (unlikely(watched))
		fm_fold_detect(fold, state, &before, &taken, row, sensor,
					   transitions);
	fm_fold_widen_range(fold, reading->ts);
}
