/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  What must exist before a batch can be stored: sensors and partitions.
 *
 * Both are made in a small transaction of their own, before the batch: their
 * locks are shared between workers, so they must not be held for as long as a
 * batch takes.  A sensor or partition that exists without a reading does no
 * harm.  In the common case nothing is missing and no transaction is begun.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "dedup.h"
#include "detector_config.h"
#include "maintenance.h"
#include "worker.h"

#define ARRIVAL_AHEAD (INT64CONST(3600) * USECS_PER_SEC)
#define MAX_KNOWN_RANGES 16

/* Time ranges of reading partitions that were seen to exist, newest first. */
static struct
{
	TimestampTz from;
	TimestampTz to;
}			known[MAX_KNOWN_RANGES];
static int	nknown = 0;

/* Forget what is known; after an error it may not be true any more. */
void
fm_prepare_forget(FmWorker *worker)
{
	nknown = 0;
	worker->ensured_until = 0;
	if (worker->registering)
		fm_sensor_cache_reset(worker->sensors);
	worker->registering = false;
}

static bool
is_known(TimestampTz ts)
{
	for (int i = 0; i < nknown; i++)
		if (ts >= known[i].from && ts < known[i].to)
			return true;
	return false;
}

/*
 * The partition of readings was just ensured; that of their minutes is, too.
 * It has to be there a while before minutes are: a query that was planned
 * without it would find these neither there nor in the rows, if what says that
 * they are stored comes in one transaction with it.
 */
static void
remember(const FmPipeline *pipeline, TimestampTz ts)
{
	TimestampTz from;
	TimestampTz to;

	memmove(&known[1], &known[0],
			sizeof(known[0]) * (MAX_KNOWN_RANGES - 1));
	nknown = Min(nknown + 1, MAX_KNOWN_RANGES);
	fm_partition_ensured_range(&known[0].from, &known[0].to);
	(void) fm_partition_ensure(pipeline->id, "rollup_1m",
							   pipeline->partition_interval, ts);
	fm_partition_ensured_range(&from, &to);
	known[0].from = Max(known[0].from, from);
	known[0].to = Min(known[0].to, to);
}

/* The partitions of rows that are stored by time of arrival. */
static void
ensure_arrival(FmWorker *worker)
{
	FmPipeline *pipeline = worker->pipeline;
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < 2; i++)
	{
		TimestampTz at = now + i * ARRIVAL_AHEAD;

		(void) fm_partition_ensure(pipeline->id, "reject",
								   pipeline->partition_interval, at);
		(void) fm_partition_ensure(pipeline->id, "transition",
								   pipeline->partition_interval, at);
		(void) fm_partition_ensure(pipeline->id, "score",
								   pipeline->partition_interval, at);
	}
	worker->ensured_until = now + ARRIVAL_AHEAD / 2;
	if (pipeline->dedup != FM_DEDUP_NONE)
		worker->ensured_until = Min(worker->ensured_until,
									fm_dedup_ensure(pipeline, now));
}

static void
ensure_partitions(FmWorker *worker)
{
	FmBatch    *batch = &worker->batch;
	FmPipeline *pipeline = worker->pipeline;

	for (int i = 0; i < batch->nrows; i++)
	{
		FmRow	   *row = &batch->rows[i];

		if (is_known(row->reading->ts))
			continue;
		if (fm_partition_ensure(pipeline->id, "reading",
								pipeline->partition_interval,
								row->reading->ts))
			remember(pipeline, row->reading->ts);
		else
			fm_collect_reject(&batch->messages[row->message],
							  FM_REJECT_TOO_MANY_PARTITIONS,
							  "it would need more time partitions than factorymon.max_time_partitions allows");
	}
	fm_batch_squeeze(batch);
}

/*
 * Find each row's sensor in the cache, for as long as the batch runs; true if
 * all are there.  That needs no catalog: the generation of the limits is at
 * least 1 once a batch was prepared, and before the cache is empty.
 */
static bool
find_sensors(FmWorker *worker)
{
	return fm_sensor_find_rows(worker->sensors, worker->batch.rows,
							   worker->batch.nrows,
							   worker->limits_generation);
}

/* Register those that were not found, and find them. */
static void
register_sensors(FmWorker *worker)
{
	FmBatch    *batch = &worker->batch;
	const FmReading **readings = palloc(sizeof(FmReading *) *
										Max(batch->nrows, 1));
	int			n = 0;

	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].sensor == NULL)
			readings[n++] = batch->rows[i].reading;
	if (n == 0)
		return;
	fm_sensor_register(worker->sensors, readings, n);
	for (int i = 0; i < batch->nrows; i++)
	{
		FmRow	   *row = &batch->rows[i];

		if (row->sensor == NULL)
			row->sensor = fm_sensor_find(worker->sensors, row->reading,
										 worker->limits_generation);
	}
}

/* Those that could not be registered are beyond a limit. */
static void
reject_unregistered(FmWorker *worker)
{
	FmBatch    *batch = &worker->batch;

	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].sensor == NULL)
			fm_collect_reject(&batch->messages[batch->rows[i].message],
							  FM_REJECT_TOO_MANY_SENSORS,
							  "it would need more sensors or descriptions of a sensor than factorymon.max_sensors and factorymon.max_sensor_versions allow");
	fm_batch_squeeze(batch);
}

/* Is a partition missing, or will one be soon? */
static bool
lacks_partitions(const FmWorker *worker)
{
	const FmBatch *batch = &worker->batch;

	if (worker->limits_generation == 0 ||
		GetCurrentTimestamp() >= worker->ensured_until)
		return true;
	for (int i = 0; i < batch->nrows; i++)
		if (!is_known(batch->rows[i].reading->ts))
			return true;
	return false;
}

void
fm_prepare_batch(FmWorker *worker)
{
	bool		found = find_sensors(worker);
	FmOwnerScope scope;

	if (found && !lacks_partitions(worker))
		return;
	fm_worker_begin(&scope);
	worker->registering = true;
	worker->limits_generation = fm_limits_refresh();
	ensure_arrival(worker);
	ensure_partitions(worker);
	/* registering may have emptied a full cache: once more for the rest */
	register_sensors(worker);
	register_sensors(worker);
	fm_worker_commit(&scope);
	worker->registering = false;
	reject_unregistered(worker);
}

/* From here on readings are looked at with the parameters of now. */
static void
adopt_detectors(FmWorker *worker)
{
	int			n;
	const FmDetectorParams *params = fm_detectors_all(&n);

	for (int i = 0; i < worker->nassigned; i++)
	{
		if (worker->assigned[i].fold)
			fm_fold_adopt(worker->assigned[i].fold,
						  fm_detectors_generation(), params, n);
	}
}

/*
 * Give every row its ids, inside the batch transaction: limits may have
 * changed since the last one, and take effect from here on.
 */
void
fm_prepare_rows(FmWorker *worker)
{
	FmBatch    *batch = &worker->batch;

	worker->limits_generation = fm_limits_refresh();
	fm_maintenance_refresh();
	adopt_detectors(worker);
	for (int i = 0; i < batch->nrows; i++)
	{
		FmRow	   *row = &batch->rows[i];
		int			stream = batch->messages[row->message].stream;

		Assert(row->sensor != NULL);
		fm_sensor_refresh(worker->sensors, row->sensor,
						  worker->limits_generation);
		row->sensor_id = row->sensor->sensor_id;
		row->sensor_version_id = row->sensor->sensor_version_id;
		row->stream_id = worker->assigned[stream].row.stream_id;
		row->suppressed = false;
	}
}
