/*-------------------------------------------------------------------------
 *
 * interval.c
 *	  How often sensors are configured to report.
 *
 * factorymon.threshold says it, by the row that has a sensor's limits, and the
 * supervisor keeps it beside the sensor (shmem_sensor.c).  It may change while
 * a sensor is quiet, which is when it matters, so it cannot come with readings
 * as what is learned of them does.
 *
 * The row depends on the sensor's description, so what was found is remembered
 * by the number of that.  There is a transaction only if limits have changed
 * (an invalidation tells, see limits.c) or a description is new; where no row
 * has an interval, not even for those.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "classify.h"
#include "interval.h"
#include "pipeline_internal.h"
#include "shmem_sensor.h"
#include "worker.h"

/* Descriptions that are read at a time. */
#define DESCRIPTIONS_AT_ONCE 10000

/* More than twice the sensors, and than this: descriptions that are history. */
#define SPARE_DESCRIPTIONS 1000

typedef struct IntervalEntry
{
	int32		sensor_version_id;
	char		status;			/* for simplehash */
	int64		interval;		/* microseconds; 0: none is configured */
} IntervalEntry;

#define SH_PREFIX		intervalhash
#define SH_ELEMENT_TYPE	IntervalEntry
#define SH_KEY_TYPE		int32
#define SH_KEY			sensor_version_id
#define SH_HASH_KEY(tb, key)	murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b)		((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

struct FmIntervals
{
	uint32		generation;		/* of the limits; 0: nothing was looked up */
	intervalhash_hash *table;
};

FmIntervals *
fm_intervals_create(MemoryContext context)
{
	FmIntervals *intervals = MemoryContextAllocZero(context,
													sizeof(FmIntervals));

	intervals->table = intervalhash_create(context, 16, NULL);
	return intervals;
}

/* Of the sensor so described, by row of the result. */
static void
look_up(FmIntervals *intervals, const FmPipeline *pipeline, uint64 row)
{
	FmSlice		slices[4];
	IntervalEntry *entry;
	bool		found;

	for (int i = 0; i < 4; i++)
	{
		slices[i].data = fm_spi_text(row, i + 2);
		slices[i].len = strlen(slices[i].data);
	}
	entry = intervalhash_insert(intervals->table, fm_spi_int4(row, 1), &found);
	entry->interval = fm_limits_find(pipeline->name, &slices[0], &slices[1],
									 &slices[2], &slices[3])->expected_interval;
}

/*
 * Of n descriptions, in a transaction.  One that is gone has none, and nobody
 * asks for it again.
 */
static void
look_up_some(FmIntervals *intervals, const FmPipeline *pipeline,
			 const ListCell *sensor_version_ids, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	FmArgs		args = {0};
	uint64		rows;

	for (int i = 0; i < n; i++)
	{
		IntervalEntry *entry;
		bool		found;

		ids[i] = Int32GetDatum(sensor_version_ids[i].int_value);
		entry = intervalhash_insert(intervals->table,
									sensor_version_ids[i].int_value, &found);
		entry->interval = 0;
	}
	fm_args_add(&args, INT4ARRAYOID,
				PointerGetDatum(construct_array(ids, n, INT4OID,
												sizeof(int32), true,
												TYPALIGN_INT)), false);
	rows = fm_args_run(&args, "SELECT v.sensor_version_id, v.sensor_type,"
					   " v.zone, v.machine_id, s.name"
					   " FROM _factorymon.sensor_version v"
					   " JOIN _factorymon.sensor s USING (sensor_id)"
					   " WHERE v.sensor_version_id = ANY ($1)",
					   SPI_OK_SELECT);
	for (uint64 row = 0; row < rows; row++)
		look_up(intervals, pipeline, row);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Tell the sensors what was looked up; where no row has an interval, that is
 * nothing.  Returns the numbers of the descriptions that nobody looked up yet.
 */
static List *
tell_sensors(FmIntervals *intervals, const FmPipeline *pipeline)
{
	bool		any = fm_limits_have_intervals();
	List	   *unknown = NIL;
	FmWatched	watched;
	int			slot = 0;
	int			n = 0;

	while (fm_shmem_sensor_next(MyDatabaseId, pipeline->id, &slot, &watched))
	{
		IntervalEntry *entry = NULL;

		n++;
		if (any)
			entry = intervalhash_lookup(intervals->table,
										watched.sensor_version_id);
		if (any && entry == NULL)
		{
			unknown = lappend_int(unknown, watched.sensor_version_id);
			continue;
		}
		watched.configured = entry != NULL ? entry->interval : 0;
		fm_shmem_sensor_keep(&watched);
	}
	/* the next time those that are in use are looked up again */
	if (intervals->table->members > 2 * (uint64) n + SPARE_DESCRIPTIONS)
		intervals->generation = 0;
	return unknown;
}

static void
look_up_all(FmIntervals *intervals, const FmPipeline *pipeline,
			const List *unknown)
{
	FmOwnerScope scope;
	uint32		generation;

	fm_worker_begin(&scope);
	generation = fm_limits_refresh();
	if (generation != intervals->generation)
		intervalhash_reset(intervals->table);
	/* whatever is in there now, an error leaves nothing that is believed */
	intervals->generation = 0;
	for (int i = 0; i < list_length(unknown); i += DESCRIPTIONS_AT_ONCE)
		look_up_some(intervals, pipeline, list_nth_cell(unknown, i),
					 Min(DESCRIPTIONS_AT_ONCE, list_length(unknown) - i));
	fm_worker_commit(&scope);
	intervals->generation = generation;
}

void
fm_intervals_apply(FmIntervals *intervals, const FmPipeline *pipeline)
{
	uint32		loaded = fm_limits_loaded();
	List	   *unknown;

	if (loaded == 0 || loaded != intervals->generation)
		look_up_all(intervals, pipeline, NIL);
	else if (!fm_limits_have_intervals())
		return;
	unknown = tell_sensors(intervals, pipeline);
	if (unknown == NIL)
		return;
	look_up_all(intervals, pipeline, unknown);
	/* what was described anew meanwhile, or by limits of now, has a moment */
	(void) tell_sensors(intervals, pipeline);
}
