/*-------------------------------------------------------------------------
 *
 * control_drop.c
 *	  drop_pipeline().
 *
 * The position rows come first, which waits for batches in flight and keeps
 * further ones out; then the tables, then the pipeline's row with all that
 * refers to it.  See pipeline.c for why in this order.  A worker that finds
 * its pipeline gone after our commit leaves without a word.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "guc.h"
#include "kpi.h"
#include "pipeline_internal.h"
#include "sensor.h"

PG_FUNCTION_INFO_V1(factorymon_drop_pipeline);

/*
 * Wait for batches in flight, and keep others out until we are done.  A worker
 * may be about to take a partition for the first time, and will want our
 * tables: its position cannot be seen yet, but it has locked the stream, or a
 * new stream the pipeline.  Whoever waits for one of these holds none that
 * comes before.
 */
static void
lock_positions(int16 pipeline_id)
{
	static const char *const locks[] = {
		"SELECT 1 FROM _factorymon.partition_offset"
		" WHERE stream_id IN (SELECT stream_id"
		"  FROM _factorymon.stream WHERE pipeline_id = $1)"
		" ORDER BY stream_id FOR UPDATE",
		"SELECT 1 FROM _factorymon.stream WHERE pipeline_id = $1"
		" ORDER BY stream_id FOR UPDATE",
		"SELECT 1 FROM _factorymon.pipeline WHERE pipeline_id = $1"
		" FOR UPDATE",
	};
	/* those that have come to be meanwhile */
	static const int order[] = {0, 1, 2, 1, 0};

	for (int i = 0; i < lengthof(order); i++)
	{
		FmArgs		args = {0};

		fm_args_int2(&args, pipeline_id);
		fm_args_run(&args, locks[order[i]], SPI_OK_SELECT);
	}
}

/* The publisher locks this row first, too. */
static void
lock_publisher(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_run(&args, "SELECT 1 FROM _factorymon.publisher"
				" WHERE pipeline_id = $1 FOR UPDATE", SPI_OK_SELECT);
}

/* Whoever is writing history files of it may be at it for long. */
static void
end_archiver(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_add(&args, OIDOID,
				ObjectIdGetDatum(fm_storage_relid(pipeline_id, "reading")),
				false);
	fm_args_run(&args, "SELECT pg_terminate_backend(a.pid)"
				" FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
				" WHERE a.backend_type = 'factorymon archiver'"
				" AND l.granted AND l.relation = $1"
				" AND l.database = a.datid", SPI_OK_SELECT);
}

/* factorymon.drop_pipeline(pipeline): with everything it stored. */
Datum
factorymon_drop_pipeline(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmPipeline *pipeline;
	FmArgs		args = {0};
	FmOwnerScope scope;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_access_lock();
	lock_positions(pipeline->id);
	lock_publisher(pipeline->id);
	end_archiver(pipeline->id);
	fm_pipeline_drop_storage(pipeline->id);
	fm_access_revoke_owner(pipeline->id, pipeline->owner);
	fm_kpi_drop(pipeline->id);
	fm_args_int2(&args, pipeline->id);
	fm_args_run(&args, "DELETE FROM _factorymon.pipeline"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.publication"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.delivery"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.rollup_mark"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	/* after the pipeline: now nobody registers any more */
	fm_sensor_delete_all(pipeline->id);
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_dropped(pipeline->id);
	PG_RETURN_VOID();
}
