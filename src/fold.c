/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Per-sensor state over one stream: judging readings as they come.
 *
 * The state is a function of the stream's readings in offset order.  It is
 * made of two parts that never look at each other:
 *
 * - What was measured: last reading, counters, learned interval, window over
 *	 reading_count.  fm_fold_take() (fold_take.c) derives it from what is stored of a reading
 *	 (its flags included), so it can be derived again from the table.  The one
 *	 exception is message_at, which is not stored; see fold_rebuild.c.
 * - The alarm.  evaluate() moves it, by limits that may have changed since, so
 *	 it is never derived again: it is read back from its transitions.
 *
 * A reading is judged in this order:
 *	 1. late: older than the last evaluated one.  (Among equals the offset
 *		decides, which is the order they come in.)
 *	 2. future: more than a minute ahead of its message.  It must not become
 *		the last evaluated one, or a single bad clock would make everything
 *		after it late for hours.
 *	 3. low quality: the producer itself does not trust it.
 *	 None of these moves the alarm; all are stored, classified and counted.
 *	 4. Otherwise the alarm goes where the level points:
 *
 *		alarm is			level is			transitions
 *		normal				not normal			raised: new alarm
 *		active				worse, same side	escalated
 *		active				better, same side	deescalated, not announced
 *		active				normal				returned
 *		active				on the other side	returned; raised: new alarm
 *		returned, not		not normal			raised: same alarm, so that
 *		acknowledged							chatter makes no new ones
 *
 * Nothing here has a deadband or a delay yet, nor acknowledges anything.
 *
 * Undoing: before a sensor changes, its whole state is copied to the end of a
 * list.  Played back from the end, the list restores any earlier mark; the
 * sensors created since then are the last ones, so numbers stay dense.  What
 * is not undone does no harm: a page marked dirty, a range of ts too wide.
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

/* Undo entries kept for the next batch. */
#define UNDO_KEPT			32768

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
	fold->numbers = foldhash_create(context, 256, NULL);
	fold->min_ts = DT_NOEND;
	fold->max_ts = DT_NOBEGIN;
	return fold;
}

void
fm_fold_close(FmFold *fold)
{
	MemoryContextDelete(fold->context);
}

/* Make sure that the page of sensor number nsensors exists. */
static void
reserve_page(FmFold *fold)
{
	if (fold->nsensors < fold->npages * FM_FOLD_CHUNK)
		return;
	/* a power of two means that the array of pages is full */
	if ((fold->npages & (fold->npages - 1)) == 0)
	{
		Size		size = Max(fold->npages * 2, 1) * sizeof(FmFoldPage *);

		fold->pages = fold->pages == NULL ?
			MemoryContextAlloc(fold->context, size) :
			repalloc(fold->pages, size);
	}
	fold->pages[fold->npages] = MemoryContextAllocZero(fold->context,
													   sizeof(FmFoldPage));
	fold->npages++;
}

int
fm_fold_number(FmFold *fold, int32 sensor_id, bool create)
{
	FoldNumber *entry = foldhash_lookup(fold->numbers, sensor_id);
	FmFoldSensor *state;
	bool		found;

	if (likely(entry != NULL))
		return entry->number;
	if (!create)
		return -1;

	reserve_page(fold);
	entry = foldhash_insert(fold->numbers, sensor_id, &found);
	entry->number = fold->nsensors++;
	state = fm_fold_state(fold, entry->number);
	memset(state, 0, sizeof(*state));
	state->sensor_id = sensor_id;
	state->last_ts = DT_NOBEGIN;
	state->clock_ts = DT_NOBEGIN;
	state->message_at = DT_NOBEGIN;
	state->last_quality = NAN;
	return entry->number;
}

int64
fm_fold_sensor_count(const FmFold *fold)
{
	return fold->nsensors;
}

/* ------------------------------------------------------------------------
 * Undo
 * ------------------------------------------------------------------------
 */

static void
reserve_undo(FmFold *fold)
{
	Size		wanted;

	if (likely(fold->undo_length < fold->undo_allocated))
		return;
	wanted = Max(256, (Size) fold->undo_allocated * 2);
	fold->undo = fold->undo == NULL ?
		MemoryContextAllocHuge(fold->context, wanted * sizeof(FmFoldUndo)) :
		repalloc_huge(fold->undo, wanted * sizeof(FmFoldUndo));
	fold->undo_allocated = wanted;
}

/*
 * Number of a sensor, created if need be.  It is where it was last, unless the
 * same description comes through several streams in turns.
 */
static inline int
number_of(FmFold *fold, FmSensor *sensor)
{
	int			number = sensor->fold_number;

	if (likely(number < fold->nsensors &&
			   fm_fold_state(fold, number)->sensor_id == sensor->sensor_id))
		return number;
	number = fm_fold_number(fold, sensor->sensor_id, true);
	sensor->fold_number = number;
	return number;
}

void
fm_fold_prefetch(const FmFold *fold, const FmSensor *sensor)
{
	if (sensor->fold_number < fold->nsensors)
		fm_prefetch(fm_fold_state(fold, sensor->fold_number),
					sizeof(FmFoldSensor));
}

/*
 * The state of a sensor, about to be changed: it is created if need be and
 * what it was is remembered.
 */
static FmFoldSensor *
state_to_change(FmFold *fold, FmSensor *sensor)
{
	int			before = fold->nsensors;
	int			number;
	FmFoldPage *page;
	FmFoldSensor *state;
	FmFoldUndo *undo;

	reserve_undo(fold);
	number = number_of(fold, sensor);
	page = fold->pages[number / FM_FOLD_CHUNK];
	page->dirty = true;
	page->written = false;
	state = &page->sensors[number % FM_FOLD_CHUNK];

	undo = &fold->undo[fold->undo_length++];
	undo->index = number;
	undo->created = number == before;
	undo->before = *state;
	return state;
}

FmFoldMark
fm_fold_mark(const FmFold *fold)
{
	FmFoldMark	mark = {fold->undo_length, fold->position};

	return mark;
}

void
fm_fold_rollback(FmFold *fold, FmFoldMark mark)
{
	Assert(mark.undo_length <= fold->undo_length);
	while (fold->undo_length > mark.undo_length)
	{
		const FmFoldUndo *undo = &fold->undo[--fold->undo_length];

		if (undo->created)
		{
			Assert(undo->index == fold->nsensors - 1);
			(void) foldhash_delete(fold->numbers, undo->before.sensor_id);
			fold->nsensors--;
		}
		else
			*fm_fold_state(fold, undo->index) = undo->before;
	}
	fold->position = mark.position;
}

void
fm_fold_commit(FmFold *fold)
{
	fold->undo_length = 0;
	if (fold->undo_allocated > UNDO_KEPT)
	{
		pfree(fold->undo);
		fold->undo = NULL;
		fold->undo_allocated = 0;
	}
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
 * The alarm
 * ------------------------------------------------------------------------
 */

/* One reading on its way through the alarm. */
typedef struct Evaluation
{
	const FmFold *fold;
	FmFoldSensor *state;
	const FmRow *row;
	const FmSensor *sensor;
	FmTransitionList *transitions;
	int			ordinal;		/* of the last transition so far */
} Evaluation;

/* The limit that a value of this level and side has reached; NaN for none. */
static double
limit_reached(const FmLimits *limits, FmLevel level, FmSide side)
{
	if (level == FM_LEVEL_CRITICAL)
		return side == FM_SIDE_HIGH ? limits->critical_high :
			limits->critical_low;
	if (level == FM_LEVEL_WARNING)
		return side == FM_SIDE_HIGH ? limits->warning_high :
			limits->warning_low;
	return NAN;
}

static void
source_of(const Evaluation *e, FmEventSource *source)
{
	source->pipeline = e->fold->stream.pipeline;
	source->topic = e->fold->stream.topic;
	source->kafka_partition = e->fold->stream.kafka_partition;
	source->incarnation = e->fold->stream.incarnation;
	source->kafka_offset = e->row->kafka_offset;
	source->reading_index = e->row->reading_index;
	source->condition = "limit";
	source->ordinal = e->ordinal;
}

/* Set what a transition tells about the reading that caused it. */
static void
describe_reading(const Evaluation *e, FmTransition *transition)
{
	const FmRow *row = e->row;

	transition->stream_id = e->fold->stream.stream_id;
	transition->kafka_offset = row->kafka_offset;
	transition->reading_index = row->reading_index;
	transition->sensor_id = e->sensor->sensor_id;
	transition->sensor_version_id = e->sensor->sensor_version_id;
	transition->value = row->reading->value;
	transition->deadband = e->sensor->limits->deadband;
	transition->has_quality = row->reading->has_quality;
	transition->quality = row->reading->quality;
	transition->event_time = row->reading->ts;
	transition->threshold_id = e->sensor->limits->threshold_id;
	transition->message = row->message;
}

/* Move the alarm to state, level and side, and record that. */
static void
move_alarm(Evaluation *e, FmTransitionKind kind, FmAlarmState alarm_state,
		   FmLevel level, FmSide side, bool announced)
{
	FmFoldSensor *state = e->state;
	FmTransition *transition = fm_transitions_add(e->transitions);
	bool		begins = kind == FM_TRANSITION_RAISED &&
	state->alarm_state != FM_ALARM_RETURNED_UNACKNOWLEDGED;
	FmEventSource source;

	e->ordinal++;
	source_of(e, &source);
	fm_event_id(&transition->event_id, "event", &source);
	if (begins)
	{
		fm_event_id(&state->alarm_id, "alarm", &source);
		state->alarm_seq = 0;
		state->alarm_raised_at = e->row->reading->ts;
	}
	if (kind == FM_TRANSITION_RAISED)
		state->alarm_since = e->row->reading->ts;

	describe_reading(e, transition);
	transition->kind = kind;
	transition->ordinal = e->ordinal;
	transition->alarm_id = state->alarm_id;
	transition->seq = ++state->alarm_seq;
	transition->since = state->alarm_since;
	transition->raised_at = state->alarm_raised_at;
	transition->announced = announced;
	transition->previous_state = (FmAlarmState) state->alarm_state;
	transition->previous_level = (FmLevel) state->alarm_level;
	transition->previous_side = (FmSide) state->alarm_side;
	transition->state = alarm_state;
	transition->level = level;
	transition->side = side;
	/* one that returned keeps the severity it had */
	transition->severity = fm_alarm_severity(level != FM_LEVEL_NORMAL ? level :
											 transition->previous_level);
	transition->limit_value = limit_reached(e->sensor->limits, level, side);

	state->alarm_state = alarm_state;
	state->alarm_level = level;
	state->alarm_side = side;
}

static void
raise_alarm(Evaluation *e, FmLevel level, FmSide side)
{
	move_alarm(e, FM_TRANSITION_RAISED, FM_ALARM_ACTIVE_UNACKNOWLEDGED,
			   level, side, true);
}

static void
return_alarm(Evaluation *e)
{
	move_alarm(e, FM_TRANSITION_RETURNED, FM_ALARM_RETURNED_UNACKNOWLEDGED,
			   FM_LEVEL_NORMAL, FM_SIDE_NONE, true);
}

/* The level or side of a sensor has changed: see the table at the top. */
static void
evaluate(Evaluation *e, FmLevel level, FmSide side)
{
	FmFoldSensor *state = e->state;

	if (level == FM_LEVEL_NORMAL)
		return_alarm(e);
	else if (state->alarm_level == FM_LEVEL_NORMAL)
		raise_alarm(e, level, side);
	else if (side != state->alarm_side)
	{
		return_alarm(e);
		/* another excursion, not chatter of the first: a new alarm */
		state->alarm_state = FM_ALARM_NORMAL;
		raise_alarm(e, level, side);
	}
	else if (level > state->alarm_level)
		move_alarm(e, FM_TRANSITION_ESCALATED,
				   FM_ALARM_ACTIVE_UNACKNOWLEDGED, level, side, true);
	else
		move_alarm(e, FM_TRANSITION_DEESCALATED,
				   (FmAlarmState) state->alarm_state, level, side, false);
}

/* ------------------------------------------------------------------------
 * One reading
 * ------------------------------------------------------------------------
 */

static inline int16
judge(const FmFoldSensor *state, const FmRow *row)
{
	const FmReading *reading = row->reading;
	int16		flags = 0;

	if (reading->ts < state->last_ts)
		flags = FM_FLAG_LATE;
	else if (reading->ts - MAX_AHEAD > row->message_at)
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

	row->level = FM_LEVEL_CODE(level, side, reading->reported);
	/* of an earlier try */
	row->flags &= ~(FM_FOLD_UNJUDGED | FM_FLAG_NOT_FOLDED);
	if (row->kafka_offset < fold->position)
	{
		row->flags |= FM_FLAG_NOT_FOLDED;
		return;
	}

	state = state_to_change(fold, sensor);
	row->flags |= judge(state, row);
	if ((row->flags & FM_FOLD_UNJUDGED) == 0 &&
		(level != state->alarm_level || side != state->alarm_side))
	{
		Evaluation	e = {fold, state, row, sensor, transitions, 0};

		evaluate(&e, level, side);
	}

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
	fm_fold_take(state, &taken);
	fm_fold_widen_range(fold, reading->ts);
}
