/*-------------------------------------------------------------------------
 *
 * silence_table.c
 *	  What tables say of the sensors that are missed, and of partitions.
 *
 * Sensors that are retired or out of service are left alone; the alarm of a
 * retired one is closed, and that of one that got no slot.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "silence_internal.h"
#include "worker.h"

/* Of partitions that are gone. */
static void
forget_old_doubts(FmWatch *watch)
{
	ListCell   *cell;

	foreach(cell, watch->doubts)
	{
		FmDoubt	   *doubt = lfirst(cell);
		bool		found = false;

		for (int i = 0; i < watch->npartitions; i++)
			found |= watch->partitions[i] == doubt->partition;
		if (found)
			continue;
		watch->doubts = foreach_delete_current(watch->doubts, cell);
		pfree(doubt);
	}
}

static void
read_partitions(FmWatch *watch, const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->topic);
	watch->npartitions = (int)
		fm_args_run(&args, "SELECT kafka_partition FROM _factorymon.stream"
					" WHERE pipeline_id = $1 AND topic = $2"
					" AND retired_at IS NULL", SPI_OK_SELECT);
	if (watch->partitions)
		pfree(watch->partitions);
	watch->partitions = MemoryContextAlloc(watch->context, sizeof(int32) *
										   Max(watch->npartitions, 1));
	for (int i = 0; i < watch->npartitions; i++)
		watch->partitions[i] = fm_spi_int4(i, 1);
	forget_old_doubts(watch);
}

/* Leave alone those of the result; retired ones (second column) are closed. */
static void
leave_alone(FmWatch *watch, uint64 n)
{
	FmWatched	watched;
	int			slot = 0;
	MemoryContext old;

	while (fm_shmem_sensor_next(MyDatabaseId, watch->pipeline_id, &slot,
								&watched))
	{
		watched.left_alone = false;
		fm_shmem_sensor_keep(&watched);
	}
	list_free(watch->closing);
	watch->closing = NIL;
	old = MemoryContextSwitchTo(watch->context);
	for (uint64 i = 0; i < n; i++)
	{
		int32		sensor_id = fm_spi_int4(i, 1);
		TimestampTz raised_at;

		slot = fm_shmem_sensor_find(MyDatabaseId, sensor_id);
		if (slot >= 0 &&
			fm_shmem_sensor_next(MyDatabaseId, watch->pipeline_id, &slot,
								 &watched) && watched.sensor_id == sensor_id)
		{
			watched.left_alone = true;
			fm_shmem_sensor_keep(&watched);
		}
		if (fm_spi_bool(i, 2) &&
			fm_fold_alarm_is_active(watch->fold, sensor_id,
									FM_CONDITION_SILENT, &raised_at))
			watch->closing = lappend_int(watch->closing, sensor_id);
	}
	MemoryContextSwitchTo(old);
}

/*
 * After a restart others may have taken the slots of sensors that have an alarm
 * here: of those nobody would ever say that they are back.
 */
static void
find_unwatched(FmWatch *watch)
{
	MemoryContext old = MemoryContextSwitchTo(watch->context);
	int32		sensor_id;
	int			condition;
	int			next = 0;
	TimestampTz raised_at;

	list_free(watch->unwatched);
	watch->unwatched = NIL;
	while (fm_deadman && fm_shmem_sensors_are_full() &&
		   fm_fold_next_alarm(watch->fold, &next, &sensor_id, &condition))
		if (sensor_id != 0 && condition == FM_CONDITION_SILENT &&
			fm_shmem_sensor_find(MyDatabaseId, sensor_id) < 0 &&
			!list_member_int(watch->closing, sensor_id) &&
			fm_fold_alarm_is_active(watch->fold, sensor_id, condition,
									&raised_at))
			watch->unwatched = lappend_int(watch->unwatched, sensor_id);
	MemoryContextSwitchTo(old);
}

void
fm_watch_reread(FmWatch *watch, const FmPipeline *pipeline, TimestampTz now)
{
	FmOwnerScope scope;
	FmArgs		args = {0};
	FmArgs		count = {0};

	fm_worker_begin(&scope);
	read_partitions(watch, pipeline);
	fm_args_int2(&count, pipeline->id);
	fm_args_run(&count, "SELECT count(*) FROM _factorymon.sensor"
				" WHERE pipeline_id = $1 AND retired_at IS NULL",
				SPI_OK_SELECT);
	watch->registered = fm_spi_int8(0, 1);
	fm_args_int2(&args, pipeline->id);
	fm_args_int4(&args, FM_BLOCK_OUT_OF_SERVICE);
	fm_args_text(&args, pipeline->name);
	leave_alone(watch,
				fm_args_run(&args, "SELECT sensor_id, true"
							" FROM _factorymon.sensor"
							" WHERE pipeline_id = $1"
							" AND retired_at IS NOT NULL"
							" UNION ALL SELECT a.sensor_id, false"
							" FROM _factorymon.alarm a"
							" JOIN _factorymon.stream s USING (stream_id)"
							" WHERE s.pipeline_id = $1"
							" AND s.retired_at IS NULL"
							" AND a.blocks & $2 <> 0"
							" AND a.sensor_id <> 0"
							" UNION ALL SELECT s.sensor_id, false"
							" FROM (SELECT zone, machine_id"
							"  FROM factorymon.maintenance_window"
							"  WHERE now() >= starts_at AND now() < ends_at"
							"  AND (pipeline IS NULL OR pipeline = $3)) w"
							" CROSS JOIN _factorymon.sensor s"
							" CROSS JOIN LATERAL (SELECT x.zone, x.machine_id"
							"  FROM _factorymon.sensor_version x"
							"  WHERE x.sensor_id = s.sensor_id"
							"  ORDER BY x.sensor_version_id DESC LIMIT 1) v"
							" WHERE s.pipeline_id = $1"
							" AND (w.zone = v.zone"
							"  OR w.machine_id = v.machine_id)",
							SPI_OK_SELECT));
	fm_worker_commit(&scope);
	find_unwatched(watch);
	watch->reread_at = now +
		(watch->reread_twice ? FM_REREAD_SOON : FM_REREAD_INTERVAL);
	watch->reread_twice = false;
}
