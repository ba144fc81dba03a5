/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  Pipelines as configured: reading them, pausing them, their events, and
 *	  telling the background processes that something changed.
 *
 * A pipeline is a row of _factorymon.pipeline.  Whether it runs in this very
 * database of this very cluster is a row of _factorymon.pipeline_run, which
 * no dump carries and no copy of the database matches, so that no copy ever
 * joins the consumer group of the original by itself.
 *
 * Servers and owners are kept by name: a dump can be restored where their
 * oids differ.
 *
 * Order of locks, for everything that controls a pipeline: the access lock
 * (access.c) if rights change, position rows in stream order, the pipeline's
 * tables, its own row.  That is the order in which workers come by them: a
 * batch locks positions and then inserts, and whatever refers to the pipeline
 * (an event, a new sensor) locks its row through a foreign key, last.  So none
 * of them deadlocks with a worker.  Every wait is bounded by
 * factorymon.lock_timeout.
 *
 * Nothing here talks to a worker.  What changed is in the tables; after the
 * commit the database's generation in shared memory grows and whoever is
 * concerned wakes up and reads again.  A change that is lost with the server
 * between commit and wake-up is found by the processes that start next.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/int.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "shmem.h"
#include "shmem_sensor.h"

/* Columns that read_pipeline() understands, in its order. */
#define PIPELINE_SELECT \
	"SELECT p.pipeline_id, p.name, p.server, p.topic, p.consumer_group," \
	" p.workers, p.start_policy, p.start_at, p.on_data_loss, p.accept_past," \
	" p.accept_future, p.retention, p.partition_interval, p.owner::text," \
	" p.config_version, r.pipeline_id IS NOT NULL," \
	" r.paused_at IS NOT NULL, r.pause_reason, p.alert_topic, p.format," \
	" (SELECT f.mapping::text FROM factorymon.format f" \
	" WHERE f.name = p.format), p.rollups, p.time_zone, p.deduplicate," \
	" p.deduplicate_ttl, p.deduplicate_secret" \
	" FROM _factorymon.pipeline p LEFT JOIN _factorymon.pipeline_run r" \
	" ON r.pipeline_id = p.pipeline_id AND r.system_identifier = $1" \
	" AND r.database_oid = $2"

/* Something to do at commit; pipeline_id 0: only wake. */
typedef struct PendingChange
{
	int			nest_level;		/* of the (sub)transaction that asked */
	int16		dropped_id;
} PendingChange;

/* Of the current transaction, in TopTransactionContext. */
static List *pending_changes = NIL;

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

int64
fm_interval_usecs(const Interval *interval, const char *what)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH +
		interval->day;
	int64		result;

	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &result) ||
		pg_add_s64_overflow(result, interval->time, &result) ||
		result > INT64CONST(1000) * MONTHS_PER_YEAR * DAYS_PER_MONTH *
		USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", what),
				 errdetail("It must not exceed 1000 years.")));
	return result;
}

/* An interval column in microseconds; 0 where it is null. */
static int64
interval_column(uint64 row, int column, const char *what)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : fm_interval_usecs(DatumGetIntervalP(datum), what);
}

static FmStartPolicy
start_policy_of(const char *name)
{
	if (strcmp(name, "earliest") == 0)
		return FM_START_EARLIEST;
	if (strcmp(name, "latest") == 0)
		return FM_START_LATEST;
	return FM_START_TIMESTAMP;
}

static FmDedupMode
dedup_mode_of(const char *name)
{
	if (strcmp(name, "id") == 0)
		return FM_DEDUP_ID;
	if (strcmp(name, "sensor_time") == 0)
		return FM_DEDUP_SENSOR_TIME;
	return FM_DEDUP_NONE;
}

/* A row of PIPELINE_SELECT as a struct in the given memory context. */
static FmPipeline *
read_pipeline(uint64 row, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	FmPipeline *pipeline = palloc0(sizeof(FmPipeline));
	bool		isnull;
	Datum		datum;

	pipeline->id = DatumGetInt16(fm_spi_value(row, 1, &isnull));
	pipeline->name = fm_spi_text(row, 2);
	pipeline->server = fm_spi_text(row, 3);
	pipeline->topic = fm_spi_text(row, 4);
	pipeline->consumer_group = fm_spi_text(row, 5);
	pipeline->workers = fm_spi_int4(row, 6);
	pipeline->start_policy = start_policy_of(fm_spi_text(row, 7));
	datum = fm_spi_value(row, 8, &isnull);
	pipeline->start_at = isnull ? 0 : DatumGetTimestampTz(datum);
	pipeline->continue_on_loss = strcmp(fm_spi_text(row, 9), "continue") == 0;
	pipeline->accept_past = interval_column(row, 10, "accept_past");
	pipeline->accept_future = interval_column(row, 11, "accept_future");
	pipeline->retention = interval_column(row, 12, "retention");
	pipeline->partition_interval =
		interval_column(row, 13, "partition_interval");
	pipeline->owner = fm_spi_text(row, 14);
	pipeline->config_version = fm_spi_int8(row, 15);
	pipeline->runs_here = fm_spi_bool(row, 16);
	pipeline->paused = fm_spi_bool(row, 17);
	pipeline->pause_reason = fm_spi_text(row, 18);
	pipeline->alert_topic = fm_spi_text(row, 19);
	pipeline->format = fm_spi_text(row, 20);
	pipeline->mapping = fm_spi_text(row, 21);
	pipeline->rollups = fm_spi_bool(row, 22);
	pipeline->time_zone = fm_spi_text(row, 23);
	pipeline->dedup = dedup_mode_of(fm_spi_text(row, 24));
	pipeline->dedup_ttl = interval_column(row, 25, "deduplicate_ttl");
	pipeline->dedup_secret =
		*DatumGetUUIDP(fm_spi_value(row, 26, &isnull));
	MemoryContextSwitchTo(old);
	return pipeline;
}

/*
 * All pipelines that the condition selects, in the caller's memory context.
 * The condition may use $3, the one further argument.
 */
static List *
select_pipelines(const char *condition, Oid type, Datum value)
{
	MemoryContext caller = CurrentMemoryContext;
	FmOwnerScope scope;
	FmArgs		args = {0};
	List	   *result = NIL;
	char	   *sql = psprintf(PIPELINE_SELECT " %s ORDER BY p.pipeline_id",
							   condition);

	fm_owner_begin(&scope);
	SPI_connect();
	fm_args_int8(&args, (int64) GetSystemIdentifier());
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
	if (OidIsValid(type))
		fm_args_add(&args, type, value, false);
	fm_args_run(&args, sql, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		FmPipeline *pipeline = read_pipeline(row, caller);
		MemoryContext old = MemoryContextSwitchTo(caller);

		result = lappend(result, pipeline);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	fm_owner_end(&scope);
	pfree(sql);
	return result;
}

FmPipeline *
fm_pipeline_load(int16 pipeline_id)
{
	List	   *found = select_pipelines("WHERE p.pipeline_id = $3", INT2OID,
										 Int16GetDatum(pipeline_id));

	return found == NIL ? NULL : linitial(found);
}

List *
fm_pipeline_list(void)
{
	return select_pipelines("", InvalidOid, (Datum) 0);
}

FmPipeline *
fm_pipeline_find(const char *name)
{
	List	   *found = select_pipelines("WHERE p.name = $3", TEXTOID,
										 CStringGetTextDatum(name));

	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" does not exist", name)));
	return linitial(found);
}

/* "0, 1, 2": partitions of the pipeline's topic seen so far. */
static char *
known_partitions(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->topic);
	fm_args_run(&args, "SELECT string_agg(s.kafka_partition::text, ', '"
				" ORDER BY s.kafka_partition) FROM _factorymon.stream s"
				" WHERE s.pipeline_id = $1 AND s.topic = $2"
				" AND s.retired_at IS NULL", SPI_OK_SELECT);
	return fm_spi_text(0, 1);
}

int32
fm_pipeline_stream(const FmPipeline *pipeline, int32 partition)
{
	FmArgs		args = {0};
	char	   *known;

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, pipeline->topic);
	fm_args_int4(&args, partition);
	if (fm_args_run(&args, "SELECT s.stream_id FROM _factorymon.stream s"
					" WHERE s.pipeline_id = $1 AND s.topic = $2"
					" AND s.kafka_partition = $3 AND s.retired_at IS NULL",
					SPI_OK_SELECT) > 0)
		return fm_spi_int4(0, 1);

	known = known_partitions(pipeline);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("partition %d of pipeline \"%s\" is not known",
					partition, pipeline->name),
			 known ? errdetail("Known partitions are %s.", known) :
			 errdetail("No partition of topic \"%s\" has been seen yet.",
					   pipeline->topic)));
	return 0;					/* keep compiler quiet */
}

/* ----------------------------------------------------------------------
 * Who may control
 * ------------------------------------------------------------------- */

void
fm_pipeline_check_control(const FmPipeline *pipeline, Oid roleid,
						  const char *kind)
{
	Oid			owner = get_role_oid(pipeline->owner, true);

	if (OidIsValid(owner) && has_privs_of_role(roleid, owner))
		return;
	if (fm_has_kind(roleid, kind))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for pipeline \"%s\"", pipeline->name),
			 errdetail("Only its owner, superusers and roles of kind \"%s\" may do this.",
					   kind),
			 errhint("See factorymon.grant_access().")));
}

/* ----------------------------------------------------------------------
 * Arguments and settings
 * ------------------------------------------------------------------- */

char *
fm_arg_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

char *
fm_arg_text_required(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return fm_arg_text(fcinfo, argument);
}

void
fm_lock_timeout_limit(int milliseconds)
{
	char		value[32];

	if (LockTimeout > 0 && LockTimeout <= milliseconds)
		return;
	snprintf(value, sizeof(value), "%d", milliseconds);
	(void) set_config_option("lock_timeout", value, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* ----------------------------------------------------------------------
 * Events, and pausing by the system
 * ------------------------------------------------------------------- */

void
fm_event_record(int16 pipeline_id, const char *consumer, const char *event,
				const int32 *partitions, int npartitions, const char *reason)
{
	FmOwnerScope scope;
	FmArgs		args = {0};
	Datum	   *elements = palloc(sizeof(Datum) * (npartitions + 1));
	ArrayType  *array;

	for (int i = 0; i < npartitions; i++)
		elements[i] = Int32GetDatum(partitions[i]);
	array = construct_array(elements, npartitions, INT4OID, sizeof(int32),
							true, TYPALIGN_INT);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, consumer);
	fm_args_text(&args, event);
	fm_args_add(&args, INT4ARRAYOID, PointerGetDatum(array),
				partitions == NULL);
	fm_args_text(&args, reason);
	fm_args_run(&args, "INSERT INTO _factorymon.event"
				" (pipeline_id, consumer, event, partitions, reason)"
				" SELECT pipeline_id, $2, $3, $4, $5"
				" FROM _factorymon.pipeline WHERE pipeline_id = $1",
				SPI_OK_INSERT);
	SPI_finish();
	fm_owner_end(&scope);
	pfree(array);
	pfree(elements);
}

void
fm_pipeline_pause(int16 pipeline_id, const char *by_whom, const char *reason)
{
	FmOwnerScope scope;
	FmArgs		args = {0};
	bool		changed;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, (int64) GetSystemIdentifier());
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
	fm_args_text(&args, by_whom);
	fm_args_text(&args, reason);
	changed = fm_args_run(&args, "UPDATE _factorymon.pipeline_run"
						  " SET paused_at = now(), paused_by = $4,"
						  " pause_reason = $5"
						  " WHERE pipeline_id = $1 AND system_identifier = $2"
						  " AND database_oid = $3 AND paused_at IS NULL",
						  SPI_OK_UPDATE) > 0;
	SPI_finish();
	fm_owner_end(&scope);
	if (!changed)
		return;
	fm_event_record(pipeline_id, by_whom, "paused", NULL, 0, reason);
	fm_pipeline_changed();
}

/* ----------------------------------------------------------------------
 * Waking at commit
 * ------------------------------------------------------------------- */

/* After the commit is visible: nothing here may fail. */
static void
announce_changes(void)
{
	ListCell   *cell;

	foreach(cell, pending_changes)
	{
		PendingChange *change = lfirst(cell);

		if (change->dropped_id == 0)
			continue;
		fm_shmem_partitions_forget(MyDatabaseId, change->dropped_id);
		fm_shmem_sensors_forget(MyDatabaseId, change->dropped_id);
	}
	fm_shmem_database_changed(MyDatabaseId);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (pending_changes == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has changed a pipeline")));
			break;
		case XACT_EVENT_COMMIT:
			announce_changes();
			pending_changes = NIL;
			break;
		case XACT_EVENT_ABORT:
			pending_changes = NIL;
			break;
		default:
			break;
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, pending_changes)
	{
		PendingChange *change = lfirst(cell);

		if (change->nest_level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			change->nest_level = level - 1;
		else
			pending_changes = foreach_delete_current(pending_changes, cell);
	}
}

static void
add_pending(int16 dropped_id)
{
	static bool registered = false;
	int			level = GetCurrentTransactionNestLevel();
	MemoryContext old;
	PendingChange *change;
	ListCell   *cell;

	if (!fm_shmem_ready())
		return;
	foreach(cell, pending_changes)
	{
		change = lfirst(cell);
		if (change->nest_level <= level && change->dropped_id == dropped_id)
			return;
	}
	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		RegisterSubXactCallback(at_subxact_end, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	change = palloc(sizeof(PendingChange));
	change->nest_level = level;
	change->dropped_id = dropped_id;
	pending_changes = lappend(pending_changes, change);
	MemoryContextSwitchTo(old);
}

void
fm_pipeline_changed(void)
{
	add_pending(0);
}

void
fm_pipeline_dropped(int16 pipeline_id)
{
	add_pending(pipeline_id);
}
