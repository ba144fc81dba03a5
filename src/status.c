/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What the workers last said, for SQL: the shared slots of this database.
 *
 * The functions here return one row per slot and nothing else; names, lag
 * and partitions that no worker has spoken of are added in SQL
 * (factorymon.partition_status(), worker_status() and the views on them).
 * What is not known is null.  Nothing here asks a broker.
 *
 * Slots are copied out under the lock, then formatted.  Without
 * shared_preload_libraries there are none.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem.h"

PG_FUNCTION_INFO_V1(factorymon_partition_slots);
PG_FUNCTION_INFO_V1(factorymon_worker_slots);
PG_FUNCTION_INFO_V1(factorymon_publisher_slots);
PG_FUNCTION_INFO_V1(factorymon_batch_histogram_bounds);

#define MAX_COLUMNS 32

/* A result row under construction, column after column. */
typedef struct StatusRow
{
	int			n;
	Datum		values[MAX_COLUMNS];
	bool		nulls[MAX_COLUMNS];
} StatusRow;

static void
put(StatusRow *row, Datum value, bool known)
{
	Assert(row->n < MAX_COLUMNS);
	row->values[row->n] = known ? value : (Datum) 0;
	row->nulls[row->n] = !known;
	row->n++;
}

/* Negative stands for "not known". */
static void
put_count(StatusRow *row, int64 value)
{
	put(row, Int64GetDatum(value), value >= 0);
}

/* Zero stands for "no such process". */
static void
put_pid(StatusRow *row, int pid)
{
	put(row, Int32GetDatum(pid), pid != 0);
}

/* Zero stands for "never". */
static void
put_time(StatusRow *row, TimestampTz at)
{
	put(row, TimestampTzGetDatum(at), at != 0);
}

/* An empty text stands for none. */
static void
put_text(StatusRow *row, const char *text)
{
	if (text[0] == '\0')
		put(row, (Datum) 0, false);
	else
		put(row, CStringGetTextDatum(text), true);
}

/* Hand a complete row over; it must match what SQL declares. */
static void
finish_row(FunctionCallInfo fcinfo, StatusRow *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (row->n != result->setDesc->natts)
		elog(ERROR, "status row has %d columns, %d are declared",
			 row->n, result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc,
						 row->values, row->nulls);
}

static const char *
partition_state_name(FmPartitionState state)
{
	switch (state)
	{
		case FM_PARTITION_UNASSIGNED:
			return "unassigned";
		case FM_PARTITION_TAKING:
			return "taking";
		case FM_PARTITION_WAITING:
			return "waiting";
		case FM_PARTITION_PROVING:
			return "proving";
		case FM_PARTITION_RUNNING:
			return "running";
		case FM_PARTITION_PAUSED:
			return "paused";
		case FM_PARTITION_STOPPED:
			return "stopped";
	}
	return "unknown";
}

static const char *
worker_state_name(FmWorkerState state)
{
	switch (state)
	{
		case FM_WORKER_STARTING:
			return "starting";
		case FM_WORKER_WRONG_VERSION:
			return "wrong_version";
		case FM_WORKER_CONNECTING:
			return "connecting";
		case FM_WORKER_RUNNING:
			return "running";
		case FM_WORKER_PAUSED:
			return "paused";
		case FM_WORKER_RETRYING:
			return "retrying";
		case FM_WORKER_STOPPING:
			return "stopping";
	}
	return "unknown";
}

/* Columns of _factorymon.partition_slots(), in order. */
static void
put_partition(StatusRow *row, const FmPartitionInfo *info)
{
	put(row, Int16GetDatum(info->pipeline_id), true);
	put(row, Int32GetDatum(info->partition), true);
	put(row, Int32GetDatum(info->stream_id), info->stream_id != 0);
	put(row, Int32GetDatum(info->incarnation), info->incarnation != 0);
	put_pid(row, info->pid);
	put_text(row, partition_state_name(info->state));
	put_text(row, info->state_detail);
	put_count(row, info->position);
	put_count(row, info->committed_offset);
	put_count(row, info->low_watermark);
	put_count(row, info->high_watermark);
	put_time(row, info->watermarks_at);
	put(row, Float8GetDatum(info->messages_per_second), info->pid != 0);
	put_time(row, info->last_message_at);
	put_text(row, info->last_error);
	put_time(row, info->last_error_at);
}

/* _factorymon.partition_slots() */
Datum
factorymon_partition_slots(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, fm_shmem_partitions(MyDatabaseId))
	{
		StatusRow	row = {.n = 0};

		put_partition(&row, lfirst(cell));
		finish_row(fcinfo, &row);
	}
	return (Datum) 0;
}

static Datum
histogram_datum(const int64 *buckets)
{
	Datum		elements[FM_HISTOGRAM_BUCKETS];

	for (int i = 0; i < FM_HISTOGRAM_BUCKETS; i++)
		elements[i] = Int64GetDatum(buckets[i]);
	return PointerGetDatum(construct_array(elements, FM_HISTOGRAM_BUCKETS,
										   INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Columns of _factorymon.worker_slots(), in order. */
static void
put_worker(StatusRow *row, const FmWorkerInfo *info)
{
	put(row, Int16GetDatum(info->pipeline_id), true);
	put(row, Int32GetDatum(info->worker_number), true);
	put_pid(row, info->pid);
	put_text(row, info->consumer);
	put_text(row, worker_state_name(info->state));
	put_time(row, info->state_since);
	put_time(row, info->started_at);
	put_time(row, info->heartbeat_at);
	put(row, Int32GetDatum(info->assigned), true);
	put_count(row, info->messages);
	put_count(row, info->bytes);
	put_count(row, info->readings);
	put_count(row, info->rejected);
	put_count(row, info->other);
	put_count(row, info->transitions);
	put_count(row, info->batches);
	put_count(row, info->retries);
	put_count(row, info->fenced);
	put_count(row, info->rebalances);
	put_count(row, info->sensors);
	put(row, Float8GetDatum(info->cpu_seconds), true);
	put_count(row, info->memory_bytes);
	put(row, Float8GetDatum(info->batch_seconds), true);
	put(row, histogram_datum(info->batch_histogram), true);
	put_text(row, info->store_path);
	put_text(row, info->last_error);
	put_time(row, info->last_error_at);
}

/* _factorymon.worker_slots() */
Datum
factorymon_worker_slots(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, fm_shmem_workers(MyDatabaseId))
	{
		StatusRow	row = {.n = 0};

		put_worker(&row, lfirst(cell));
		finish_row(fcinfo, &row);
	}
	return (Datum) 0;
}

static const char *
publisher_state_name(FmPublisherState state)
{
	switch (state)
	{
		case FM_PUBLISHER_STARTING:
			return "starting";
		case FM_PUBLISHER_RUNNING:
			return "running";
		case FM_PUBLISHER_RETRYING:
			return "retrying";
		case FM_PUBLISHER_STOPPING:
			return "stopping";
	}
	return "unknown";
}

static void
put_publisher(StatusRow *row, const FmPublisherInfo *info)
{
	put(row, Int16GetDatum(info->pipeline_id), true);
	put_pid(row, info->pid);
	put_text(row, publisher_state_name(info->state));
	put_time(row, info->state_since);
	put_time(row, info->started_at);
	put_time(row, info->heartbeat_at);
	put_count(row, info->numbered);
	put_count(row, info->notified);
	put_count(row, info->sent);
	put_count(row, info->confirmed);
	put_count(row, info->refused);
	put_count(row, info->in_flight);
	put_text(row, info->last_error);
	put_time(row, info->last_error_at);
}

/* _factorymon.publisher_slots() */
Datum
factorymon_publisher_slots(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, fm_shmem_publishers(MyDatabaseId))
	{
		StatusRow	row = {.n = 0};

		put_publisher(&row, lfirst(cell));
		finish_row(fcinfo, &row);
	}
	return (Datum) 0;
}

/* factorymon.batch_histogram_bounds() */
Datum
factorymon_batch_histogram_bounds(PG_FUNCTION_ARGS)
{
	Datum		elements[FM_HISTOGRAM_BUCKETS - 1];

	for (int i = 0; i < FM_HISTOGRAM_BUCKETS - 1; i++)
		elements[i] = Float8GetDatum(fm_histogram_bounds[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, FM_HISTOGRAM_BUCKETS - 1,
										  FLOAT8OID, sizeof(float8),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
