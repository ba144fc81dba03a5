/*-------------------------------------------------------------------------
 *
 * silence_take.c
 *	  The stream that has the alarms of silence, taken and read.
 *
 * When a sensor was last seen is lost with shared memory.  It is read from the
 * snapshots of the folds first, and brought up to date by whoever takes their
 * streams; until then nobody can tell.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "silence_internal.h"
#include "worker.h"

#define MAX_LOCK_WAIT_MS 1000

/* Chunks of snapshots in memory at a time. */
#define CHUNKS_AT_ONCE 8

/* Columns: a chunk of a snapshot, and its partition. */
static void
tell_chunk(const FmWatch *watch, uint64 row, TimestampTz now)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, 1, &isnull);
	bytea	   *chunk = DatumGetByteaP(datum);
	int			n;
	FmFoldSeen *seen = fm_fold_chunk_seen(chunk, &n);

	for (int i = 0; i < n; i++)
	{
		FmSeen		told = {
			.pipeline_id = watch->pipeline_id,
			.partition = fm_spi_int4(row, 2),
			.sensor_id = seen[i].sensor_id,
			.sensor_version_id = seen[i].sensor_version_id,
			.at = Min(seen[i].message_at, now),
			.interval = seen[i].interval
		};

		if (seen[i].message_at != DT_NOBEGIN)
			(void) fm_shmem_sensor_seen(MyDatabaseId, &told);
	}
	pfree(seen);
	if ((Pointer) chunk != DatumGetPointer(datum))
		pfree(chunk);
}

/* When the sensors were last seen, as far as snapshots know. */
static void
read_snapshots(const FmWatch *watch)
{
	Oid			types[1] = {INT2OID};
	Datum		values[1] = {Int16GetDatum(watch->pipeline_id)};
	TimestampTz now = GetCurrentTimestamp();
	Portal		portal =
		SPI_cursor_open_with_args(NULL, "SELECT c.state, s.kafka_partition"
								  " FROM _factorymon.pipeline p"
								  " JOIN _factorymon.stream s"
								  " USING (pipeline_id, topic)"
								  " JOIN _factorymon.fold_chunk c"
								  " USING (stream_id)"
								  " WHERE p.pipeline_id = $1"
								  " AND s.retired_at IS NULL"
								  " AND c.part = 0",
								  1, types, values, NULL, true, 0);

	do
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, CHUNKS_AT_ONCE);
		for (uint64 row = 0; row < SPI_processed; row++)
			tell_chunk(watch, row, now);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
}

/* What the alarms' rows know of their sensors, for what operators do. */
static void
describe_alarms(FmFold *fold, int32 stream_id)
{
	FmArgs		args = {0};
	uint64		n;

	fm_args_int4(&args, stream_id);
	n = fm_args_run(&args, "SELECT sensor_id, sensor_version_id,"
					" coalesce(event_time, updated_at)"
					" FROM _factorymon.alarm WHERE stream_id = $1",
					SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
		fm_fold_set_sensor_version(fold, fm_spi_int4(i, 1), fm_spi_int4(i, 2),
								   fm_spi_int8(i, 3));
}

/* Whatever was thought of the sensors, their alarms are what the table says. */
static void
forget_judgements(const FmWatch *watch)
{
	FmWatched	watched;
	int			slot = 0;

	while (fm_shmem_sensor_next(MyDatabaseId, watch->pipeline_id, &slot,
								&watched))
	{
		watched.raised_at = 0;
		watched.state = FM_DEADMAN_EXPECTED;
		fm_shmem_sensor_keep(&watched);
	}
}

void
fm_watch_release(FmWatch *watch)
{
	if (watch->fold)
		fm_fold_close(watch->fold);
	watch->fold = NULL;
}

/* The watch has it at once, so that an error releases it. */
static void
open_fold(FmWatch *watch, const FmPipeline *pipeline, const FmPosition *row)
{
	FmFoldStream stream = {
		.stream_id = row->stream_id,
		.pipeline_id = pipeline->id,
		.pipeline = pipeline->name,
		.topic = FM_SILENCE_TOPIC,
		.kafka_partition = FM_SILENCE_PARTITION,
		.incarnation = row->incarnation
	};

	fm_watch_release(watch);
	watch->fold = fm_fold_open(watch->context, &stream, 0, 0, 0, -1);
	describe_alarms(watch->fold, row->stream_id);
}

void
fm_watch_take(FmWatch *watch, const FmPipeline *pipeline, bool create)
{
	FmPartitionOffset start = {FM_SILENCE_PARTITION, 0};
	FmOwnerScope scope;
	FmPosition	row;

	fm_worker_begin(&scope);
	fm_lock_timeout_limit(Min(fm_lock_timeout, MAX_LOCK_WAIT_MS));
	if (create)
		fm_position_create_streams(pipeline->id, FM_SILENCE_TOPIC, &start, 1);
	if (!fm_position_take(pipeline->id, FM_SILENCE_TOPIC,
						  FM_SILENCE_PARTITION, "supervisor",
						  Min(fm_lock_timeout, MAX_LOCK_WAIT_MS), &row))
		memset(&row, 0, sizeof(row));
	open_fold(watch, pipeline, &row);
	if (!create && fm_deadman)
		read_snapshots(watch);
	fm_worker_commit(&scope);
	watch->row = row;
	watch->has_requests = true;
	watch->next_unshelving = fm_fold_next_unshelving(watch->fold);
	watch->reread_at = 0;
	if (!create)
		forget_judgements(watch);
}
