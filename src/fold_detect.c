/*-------------------------------------------------------------------------
 *
 * fold_detect.c
 *	  The detectors of a fold: where their state is kept, and readings on their
 *	  way through them.
 *
 * What a detector finds is decided in detector.c.  Here the sensor's state is
 * found, what it was is remembered for undoing, and what was found becomes
 * scores to be stored and signals for alarms (fold_alarm.c).
 *
 * Only sensors of types with a detector on have state here.  It is a function
 * of what is stored of readings and of the parameters in force, which are part
 * of the fold: a snapshot holds those with which readings above it were taken
 * in, because the batch that adopts others writes one (commit.c).  So a rebuild
 * comes to the same whatever the parameters are by then.  What the stored
 * readings do not tell, how far in the future one was, goes into its score and
 * nowhere else.
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

#include "fold_state.h"

StaticAssertDecl(FM_CONDITION_SEASONAL ==
				 FM_CONDITION_ANOMALY + FM_DETECTOR_SEASONAL,
				 "conditions and detectors are in the same order");

/* ------------------------------------------------------------------------
 * State and its numbers
 * ------------------------------------------------------------------------
 */

typedef struct DetectorNumber
{
	int32		sensor_id;		/* hash key */
	uint32		number:31;
	uint32		status:1;		/* for simplehash */
} DetectorNumber;

#define SH_PREFIX		detectorhash
#define SH_ELEMENT_TYPE	DetectorNumber
#define SH_KEY_TYPE		int32
#define SH_KEY			sensor_id
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

void
fm_fold_detectors_init(FmFold *fold)
{
	fm_store_init(&fold->stores[FM_FOLD_DETECTORS], fold->context,
				  FM_FOLD_DETECTORS, sizeof(FmDetector));
	fm_store_init(&fold->stores[FM_FOLD_PARAMETERS], fold->context,
				  FM_FOLD_PARAMETERS, sizeof(FmDetectorParams));
	fold->detector_numbers = detectorhash_create(fold->context, 64, NULL);
}

int
fm_fold_detector_number(FmFold *fold, int32 sensor_id, bool create)
{
	DetectorNumber *entry = detectorhash_lookup(fold->detector_numbers,
												sensor_id);
	bool		found;

	if (entry != NULL)
		return entry->number;
	if (!create)
		return -1;
	/* or a failure would leave an entry without an element */
	fm_store_reserve(&fold->stores[FM_FOLD_DETECTORS]);
	entry = detectorhash_insert(fold->detector_numbers, sensor_id, &found);
	entry->number = fm_store_add(&fold->stores[FM_FOLD_DETECTORS]);
	fm_detector_init(fm_fold_detector(fold, entry->number), sensor_id);
	return entry->number;
}

/* Where the sensor's state was last, or where it is, created if need be. */
static inline int
number_of(FmFold *fold, FmSensor *sensor)
{
	int			number = sensor->detector_number;

	if (likely(number < fold->stores[FM_FOLD_DETECTORS].n &&
			   fm_fold_detector(fold, number)->sensor_id ==
			   sensor->sensor_id))
		return number;
	number = fm_fold_detector_number(fold, sensor->sensor_id, true);
	sensor->detector_number = number;
	return number;
}

/* A sensor's state, about to be changed: created if need be, and remembered. */
static FmDetector *
detector_to_change(FmFold *fold, FmSensor *sensor)
{
	FmFoldStore *store = &fold->stores[FM_FOLD_DETECTORS];
	int			before = store->n;
	int			number;

	fm_store_reserve_undo(store);
	number = number_of(fold, sensor);
	return fm_store_change(store, number, number == before,
						   sizeof(FmDetector));
}

void
fm_fold_detectors_rollback(FmFold *fold, int length)
{
	FmFoldUndo	undo;
	const void *before;

	while (fm_store_undo(&fold->stores[FM_FOLD_DETECTORS], length, &undo,
						 &before))
	{
		if (undo.created)
			(void) detectorhash_delete(fold->detector_numbers,
									   ((const FmDetector *) before)->sensor_id);
	}
}

/* ------------------------------------------------------------------------
 * Parameters
 * ------------------------------------------------------------------------
 */

/* Number of the parameters of a type (padded); -1: there are none. */
static int
params_number(const FmFold *fold, const char *sensor_type)
{
	for (int i = 0; i < fold->stores[FM_FOLD_PARAMETERS].n; i++)
	{
		if (memcmp(fm_fold_params(fold, i)->sensor_type, sensor_type,
				   FM_DETECTOR_TYPE_SIZE) == 0)
			return i;
	}
	return -1;
}

const FmDetectorParams *
fm_fold_params_of(const FmFold *fold, const char *sensor_type, int len)
{
	char		padded[FM_DETECTOR_TYPE_SIZE] = {0};
	int			number;

	if (len >= FM_DETECTOR_TYPE_SIZE)
		return NULL;
	memcpy(padded, sensor_type, len);
	number = params_number(fold, padded);
	return number < 0 || fm_fold_params(fold, number)->on == 0 ? NULL :
		fm_fold_params(fold, number);
}

void
fm_fold_detector_limits(FmFold *fold, int32 sensor_id, FmDetectorKind kind,
						FmLimits *limits)
{
	int			number = fm_fold_detector_number(fold, sensor_id, false);
	uint32		type = number < 0 ? 0 : fm_fold_detector(fold, number)->type;
	const FmDetectorParams *params = NULL;

	for (int i = 0; i < fold->stores[FM_FOLD_PARAMETERS].n; i++)
	{
		if (fm_fold_params(fold, i)->type == type)
			params = fm_fold_params(fold, i);
	}
	fm_detector_limits(params, kind, limits);
}

/* The fold's copy of parameters is to be this. */
static void
keep_params(FmFold *fold, int number, const FmDetectorParams *params)
{
	if (memcmp(fm_fold_params(fold, number), params,
			   sizeof(FmDetectorParams)) == 0)
		return;
	*fm_fold_params(fold, number) = *params;
	fm_store_mark_dirty(&fold->stores[FM_FOLD_PARAMETERS], number);
	fold->needs_snapshot = true;
}

/* Types that are not among params any more have their detectors off. */
static void
drop_params(FmFold *fold, const FmDetectorParams *params, int n)
{
	for (int i = 0; i < fold->stores[FM_FOLD_PARAMETERS].n; i++)
	{
		FmDetectorParams off = *fm_fold_params(fold, i);
		bool		found = false;

		for (int j = 0; j < n && !found; j++)
			found = memcmp(off.sensor_type, params[j].sensor_type,
						   FM_DETECTOR_TYPE_SIZE) == 0;
		off.on = 0;
		if (!found)
			keep_params(fold, i, &off);
	}
}

void
fm_fold_adopt(FmFold *fold, uint32 generation, const FmDetectorParams *params,
			  int n)
{
	if (likely(generation == fold->generation))
		return;
	for (int i = 0; i < n; i++)
	{
		int			number = params_number(fold, params[i].sensor_type);

		if (number < 0)
			number = fm_store_add(&fold->stores[FM_FOLD_PARAMETERS]);
		keep_params(fold, number, &params[i]);
	}
	drop_params(fold, params, n);
	fold->generation = generation;
}

bool
fm_fold_needs_snapshot(const FmFold *fold)
{
	return fold->needs_snapshot;
}

/* ------------------------------------------------------------------------
 * Scores
 * ------------------------------------------------------------------------
 */

const FmScore *
fm_fold_scores(const FmFold *fold, int *n)
{
	*n = fold->nscores;
	return fold->scores;
}

static FmScore *
add_score(FmFold *fold)
{
	if (fold->nscores == fold->scores_allocated)
	{
		Size		wanted = Max(64, (Size) fold->scores_allocated * 2);

		fold->scores = fold->scores == NULL ?
			MemoryContextAllocHuge(fold->context, wanted * sizeof(FmScore)) :
			repalloc_huge(fold->scores, wanted * sizeof(FmScore));
		fold->scores_allocated = wanted;
	}
	return &fold->scores[fold->nscores++];
}

static void
add_scores(FmFold *fold, const FmFoldReading *reading, const FmSensor *sensor,
		   const FmDetectorHits *hits)
{
	for (int kind = 0; kind < FM_DETECTORS; kind++)
	{
		FmScore    *score;

		if ((hits->stored & FM_DETECTOR_BIT(kind)) == 0)
			continue;
		score = add_score(fold);
		score->kafka_offset = reading->kafka_offset;
		score->ts = reading->ts;
		score->score = hits->scores[kind];
		score->value = reading->value;
		score->sensor_id = sensor->sensor_id;
		score->sensor_version_id = sensor->sensor_version_id;
		score->version = sensor->detectors->alarms[kind].version;
		score->reading_index = reading->reading_index;
		score->detector = kind;
	}
}

/* ------------------------------------------------------------------------
 * Readings
 * ------------------------------------------------------------------------
 */

/* A reading as detectors see it; state has taken it in already. */
static void
describe(const FmFoldSensor *state, const FmFoldBefore *before,
		 const FmFoldReading *reading, FmDetectorReading *seen)
{
	seen->ts = reading->ts;
	seen->value = reading->value;
	seen->number = (uint32) state->readings;
	seen->counts = (reading->flags & FM_FOLD_UNJUDGED) == 0;
	seen->gap = before->gap;
	seen->late = (reading->flags & FM_FLAG_LATE) != 0;
	seen->future = (reading->flags & FM_FLAG_FUTURE) != 0;
	seen->numbered = reading->has_reading_count;
	seen->missing = (uint32) Min(state->gaps - before->gaps, PG_INT32_MAX);
	seen->repeated = state->repeats - before->repeats;
	seen->seconds = 0;
	if (seen->late)
		seen->seconds = (before->last_ts - reading->ts) / 1e6;
	else if (seen->future && reading->message_at != DT_NOBEGIN)
		seen->seconds = (reading->ts - reading->message_at) / 1e6;
}

/* Alarms of detectors whose signal is on, or that wait for something. */
static void
judge_signals(FmFold *fold, FmFoldSensor *state, const FmRow *row,
			  const FmSensor *sensor, const FmDetector *detector,
			  const FmDetectorHits *hits, FmTransitionList *transitions)
{
	TimestampTz at = state->last_ts == DT_NOBEGIN ? row->reading->ts :
		state->last_ts;

	for (int kind = 0; kind < FM_DETECTORS; kind++)
	{
		bool		hit = (hits->hits & FM_DETECTOR_BIT(kind)) != 0;
		int			signal = detector != NULL ? detector->signal[kind] : 0;

		if (signal != 0 || (state->hot & FM_HOT_DETECTOR(kind)) != 0)
			fm_fold_judge_signal(fold, state, row, sensor, kind, signal,
								 hit ? hits->scores[kind] : NAN, at,
								 transitions);
	}
}

void
fm_fold_detect(FmFold *fold, FmFoldSensor *state, const FmFoldBefore *before,
			   const FmFoldReading *reading, const FmRow *row,
			   FmSensor *sensor, FmTransitionList *transitions)
{
	FmDetector *detector = NULL;
	FmDetectorHits hits;

	hits.hits = hits.stored = 0;
	if (sensor->detectors != NULL)
	{
		FmDetectorReading seen;

		describe(state, before, reading, &seen);
		detector = detector_to_change(fold, sensor);
		fm_detector_take(detector, sensor->detectors, &seen, &hits);
		if (unlikely(hits.stored != 0))
			add_scores(fold, reading, sensor, &hits);
	}
	judge_signals(fold, state, row, sensor, detector, &hits, transitions);
}

void
fm_fold_detect_again(FmFold *fold, const FmFoldSensor *state,
					 const FmFoldBefore *before, const FmFoldReading *reading,
					 const FmDetectorParams *params)
{
	FmDetectorReading seen;
	FmDetectorHits hits;
	int			number;

	if (params == NULL)
		return;
	describe(state, before, reading, &seen);
	number = fm_fold_detector_number(fold, state->sensor_id, true);
	fm_detector_take(fm_fold_detector(fold, number), params, &seen, &hits);
	fm_store_mark_dirty(&fold->stores[FM_FOLD_DETECTORS], number);
}
