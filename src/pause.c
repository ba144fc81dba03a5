/*-------------------------------------------------------------------------
 *
 * pause.c
 *	  pause(), resume(), adopt(): whether a pipeline or a partition runs.
 *
 * A pipeline runs in this database if pipeline_run has a row for it that
 * carries this cluster's identifier and this database's oid, and that row is
 * not paused.  A partition may be paused by itself, in its position row.
 *
 * A stream that a worker stopped because messages are lost waits for a
 * person.  resume() is that person's consent: it clears the reason, sets
 * accept_loss for the worker to act on when it takes the stream next, and
 * raises the epoch, so that an owner with older ideas is fenced.
 *
 * Position rows are locked before pipeline_run is touched, which may lock the
 * pipeline's row; see pipeline.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"

#include "guc.h"
#include "options.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_pause);
PG_FUNCTION_INFO_V1(factorymon_resume);
PG_FUNCTION_INFO_V1(factorymon_adopt);

/* Arguments $1 to $3 that select the row of pipeline_run of this database. */
static void
args_run_key(FmArgs *args, int16 pipeline_id)
{
	fm_args_int2(args, pipeline_id);
	fm_args_int8(args, (int64) GetSystemIdentifier());
	fm_args_add(args, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
}

#define RUN_KEY \
	"pipeline_id = $1 AND system_identifier = $2 AND database_oid = $3"

/* "why (by role)", or "by role". */
static char *
attributed(const char *reason, const char *role)
{
	return reason ? psprintf("%s (by %s)", reason, role) :
		psprintf("by %s", role);
}

/* ----------------------------------------------------------------------
 * pause
 * ------------------------------------------------------------------- */

static void
pause_pipeline(const FmPipeline *pipeline, const char *role,
			   const char *reason)
{
	FmArgs		args = {0};

	if (!pipeline->runs_here)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("pipeline \"%s\" does not run in this database",
						pipeline->name),
				 errdetail("It came here by restoring or copying a database."),
				 errhint("factorymon.resume() makes it run here.")));
	args_run_key(&args, pipeline->id);
	fm_args_text(&args, role);
	fm_args_text(&args, reason);
	if (fm_args_run(&args, "UPDATE _factorymon.pipeline_run SET"
					" paused_at = now(), paused_by = $4, pause_reason = $5"
					" WHERE " RUN_KEY " AND paused_at IS NULL",
					SPI_OK_UPDATE) == 0)
	{
		ereport(NOTICE,
				(errmsg("pipeline \"%s\" is paused already", pipeline->name)));
		return;
	}
	fm_event_record(pipeline->id, NULL, "paused", NULL, 0,
					attributed(reason, role));
}

static void
pause_partition(const FmPipeline *pipeline, int32 partition, const char *role,
				const char *reason)
{
	int32		stream_id = fm_pipeline_stream(pipeline, partition);
	FmArgs		args = {0};

	fm_args_int4(&args, stream_id);
	fm_args_text(&args, role);
	if (fm_args_run(&args, "UPDATE _factorymon.partition_offset SET"
					" paused_at = now(), paused_by = $2"
					" WHERE stream_id = $1 AND paused_at IS NULL",
					SPI_OK_UPDATE) == 0)
	{
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\" is paused already",
						partition, pipeline->name)));
		return;
	}
	fm_event_record(pipeline->id, NULL, "paused", &partition, 1,
					attributed(reason, role));
}

/* factorymon.pause(pipeline text, kafka_partition int, reason text) */
Datum
factorymon_pause(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *role = GetUserNameFromId(user, false);
	char	   *reason = fm_arg_text(fcinfo, 2);
	FmPipeline *pipeline;
	FmOwnerScope scope;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "engineer");

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	if (PG_ARGISNULL(1))
		pause_pipeline(pipeline, role, reason);
	else
		pause_partition(pipeline, PG_GETARG_INT32(1), role, reason);
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------------
 * resume
 * ------------------------------------------------------------------- */

/* What a person accepts by resuming a stream that was stopped. */
static void
say_what_is_accepted(const FmPipeline *pipeline, int32 partition,
					 const char *reason, const char *detail)
{
	if (strcmp(reason, "gap") == 0)
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\": the loss of messages that are gone from Kafka is accepted",
						partition, pipeline->name),
				 detail ? errdetail_internal("%s", detail) : 0));
	else if (strcmp(reason, "another_log") == 0)
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\": another log under the same name is accepted",
						partition, pipeline->name),
				 detail ? errdetail_internal("%s", detail) : 0));
	else
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\": \"%s\" is accepted",
						partition, pipeline->name, reason),
				 detail ? errdetail_internal("%s", detail) : 0));
}

/*
 * Accept the losses of the pipeline's stopped streams (one partition's, or
 * all: partition < 0).  Returns how many there were.
 */
static int
accept_losses(const FmPipeline *pipeline, int32 partition, const char *role)
{
	FmArgs		args = {0};
	FmArgs		streams = {0};
	int			n;
	bool		isnull;

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->topic);
	fm_args_int4(&args, partition);
	n = (int) fm_args_run(&args, "SELECT p.stream_id, s.kafka_partition,"
						  " p.stopped_reason, p.stopped_detail"
						  " FROM _factorymon.partition_offset p"
						  " JOIN _factorymon.stream s USING (stream_id)"
						  " WHERE s.pipeline_id = $1 AND s.topic = $2"
						  " AND s.retired_at IS NULL"
						  " AND ($3 < 0 OR s.kafka_partition = $3)"
						  " AND p.stopped_reason IS NOT NULL"
						  " ORDER BY p.stream_id FOR UPDATE OF p",
						  SPI_OK_SELECT);
	if (n == 0)
		return 0;
	for (int i = 0; i < n; i++)
		say_what_is_accepted(pipeline, fm_spi_int4(i, 2), fm_spi_text(i, 3),
							 fm_spi_text(i, 4));

	fm_args_int2(&streams, pipeline->id);
	fm_args_text(&streams, pipeline->topic);
	fm_args_int4(&streams, partition);
	fm_args_run(&streams, "WITH accepted AS ("
				" UPDATE _factorymon.partition_offset p"
				" SET stopped_reason = NULL, stopped_detail = NULL,"
				" accept_loss = true, epoch = p.epoch + 1"
				" FROM _factorymon.stream s"
				" WHERE s.stream_id = p.stream_id AND s.pipeline_id = $1"
				" AND s.topic = $2 AND s.retired_at IS NULL"
				" AND ($3 < 0 OR s.kafka_partition = $3)"
				" AND p.stopped_reason IS NOT NULL"
				" RETURNING s.kafka_partition)"
				" SELECT array_agg(kafka_partition ORDER BY kafka_partition)"
				" FROM accepted", SPI_OK_SELECT);
	{
		ArrayType  *array =
		DatumGetArrayTypeP(fm_spi_value(0, 1, &isnull));

		fm_event_record(pipeline->id, NULL, "accepted",
						(int32 *) ARR_DATA_PTR(array),
						ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)),
						attributed("loss accepted", role));
	}
	return n;
}

/*
 * Everything that must be right for a pipeline to run here, found out now
 * rather than by a worker later.
 */
static void
check_can_run(const FmPipeline *pipeline)
{
	Oid			owner = get_role_oid(pipeline->owner, true);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the owner of pipeline \"%s\", does not exist",
						pipeline->owner, pipeline->name),
				 errhint("Create it, or name another: factorymon.alter_pipeline(%s, owner => ...).",
						 quote_literal_cstr(pipeline->name))));
	(void) fm_options_load(pipeline->server, owner);
}

/* True unless it ran already. */
static bool
run_here(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	args_run_key(&args, pipeline->id);
	return fm_args_run(&args, "INSERT INTO _factorymon.pipeline_run AS r"
					   " (pipeline_id, system_identifier, database_oid)"
					   " VALUES ($1, $2, $3)"
					   " ON CONFLICT (pipeline_id, system_identifier,"
					   "  database_oid) DO UPDATE SET paused_at = NULL,"
					   " paused_by = NULL, pause_reason = NULL,"
					   " resumed_at = now() WHERE r.paused_at IS NOT NULL",
					   SPI_OK_INSERT) > 0;
}

/* Partitions that were paused one by one stay so; say it. */
static void
mention_paused_partitions(const FmPipeline *pipeline)
{
	FmArgs		args = {0};
	char	   *partitions;

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->topic);
	fm_args_run(&args, "SELECT string_agg(s.kafka_partition::text, ', '"
				" ORDER BY s.kafka_partition)"
				" FROM _factorymon.partition_offset p"
				" JOIN _factorymon.stream s USING (stream_id)"
				" WHERE s.pipeline_id = $1 AND s.topic = $2"
				" AND s.retired_at IS NULL AND p.paused_at IS NOT NULL",
				SPI_OK_SELECT);
	partitions = fm_spi_text(0, 1);
	if (partitions)
		ereport(NOTICE,
				(errmsg("partitions of pipeline \"%s\" that were paused one by one stay paused: %s",
						pipeline->name, partitions)));
}

static void
resume_pipeline(const FmPipeline *pipeline, const char *role)
{
	int			accepted = accept_losses(pipeline, -1, role);

	if (run_here(pipeline))
		fm_event_record(pipeline->id, NULL, "resumed", NULL, 0,
						attributed(pipeline->runs_here ? NULL :
								   "runs in this database from now on",
								   role));
	else if (accepted == 0)
		ereport(NOTICE,
				(errmsg("pipeline \"%s\" is not paused", pipeline->name)));
	mention_paused_partitions(pipeline);
}

static void
resume_partition(const FmPipeline *pipeline, int32 partition,
				 const char *role)
{
	int32		stream_id = fm_pipeline_stream(pipeline, partition);
	int			accepted = accept_losses(pipeline, partition, role);
	FmArgs		args = {0};

	fm_args_int4(&args, stream_id);
	if (fm_args_run(&args, "UPDATE _factorymon.partition_offset"
					" SET paused_at = NULL, paused_by = NULL"
					" WHERE stream_id = $1 AND paused_at IS NOT NULL",
					SPI_OK_UPDATE) > 0)
		fm_event_record(pipeline->id, NULL, "resumed", &partition, 1,
						attributed(NULL, role));
	else if (accepted == 0)
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\" is not paused",
						partition, pipeline->name)));
	if (!pipeline->runs_here || pipeline->paused)
		ereport(NOTICE,
				(errmsg("pipeline \"%s\" as a whole %s", pipeline->name,
						pipeline->paused ? "is paused" :
						"does not run in this database"),
				 errhint("Use factorymon.resume(%s).",
						 quote_literal_cstr(pipeline->name))));
}

/* factorymon.resume(pipeline text, kafka_partition int) */
Datum
factorymon_resume(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *role = GetUserNameFromId(user, false);
	FmPipeline *pipeline;
	FmOwnerScope scope;

	fm_require_preloaded();
	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "engineer");
	if (PG_ARGISNULL(1))
		check_can_run(pipeline);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	if (PG_ARGISNULL(1))
		resume_pipeline(pipeline, role);
	else
		resume_partition(pipeline, PG_GETARG_INT32(1), role);
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------------
 * adopt
 * ------------------------------------------------------------------- */

/*
 * factorymon.adopt(): make all pipelines run here that do not.  After
 * pg_upgrade, or where a restored copy is to take over for good.
 */
Datum
factorymon_adopt(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	char	   *role = GetUserNameFromId(user, false);
	FmOwnerScope scope;
	ListCell   *cell;
	int32		adopted = 0;

	fm_require_preloaded();
	if (!fm_has_kind(user, "admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to adopt pipelines"),
				 errdetail("Only superusers and roles of kind \"admin\" may do this.")));

	foreach(cell, fm_pipeline_list())
	{
		FmPipeline *pipeline = lfirst(cell);

		if (pipeline->runs_here)
			continue;
		check_can_run(pipeline);
		fm_owner_begin(&scope);
		fm_lock_timeout_limit(fm_lock_timeout);
		SPI_connect();
		if (run_here(pipeline))
		{
			fm_event_record(pipeline->id, NULL, "resumed", NULL, 0,
							attributed("adopted by this database", role));
			adopted++;
		}
		SPI_finish();
		fm_owner_end(&scope);
	}
	if (adopted > 0)
		fm_pipeline_changed();
	PG_RETURN_INT32(adopted);
}
