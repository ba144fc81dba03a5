/*-------------------------------------------------------------------------
 *
 * housekeeping.c
 *	  What the supervisor does every minute: time partitions are made ahead and
 *	  dropped, the ledger and rollups merged, old events forgotten, and history
 *	  files written.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "child.h"
#include "guc.h"
#include "housekeeping.h"
#include "kpi.h"
#include "ledger.h"
#include "moved.h"
#include "pipeline_internal.h"
#include "publication.h"
#include "retention.h"
#include "rollup_parts.h"
#include "worker.h"

static FmChild archiver;
static bool archive_waits = false;	/* something may be due for it */

void
fm_house_do(void (*duty) (FmPipeline *), FmPipeline *pipeline)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		duty(pipeline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static void
delete_old_events(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(fm_event_retention)};

	fm_spi_run("DELETE FROM _factorymon.event"
			   " WHERE at < now() - make_interval(mins => $1)",
			   1, types, values, NULL, SPI_OK_DELETE);
}

/* Also those that nobody can answer any more, their stream being gone. */
static void
delete_old_requests(void)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(fm_request_retention)};

	fm_spi_run("DELETE FROM _factorymon.request"
			   " WHERE answered_at < now() - make_interval(mins => $1)",
			   1, types, values, NULL, SPI_OK_DELETE);
	fm_spi_run("DELETE FROM _factorymon.request r"
			   " WHERE answered_at IS NULL"
			   " AND requested_at < now() - make_interval(mins => $1)"
			   " AND NOT EXISTS (SELECT FROM _factorymon.stream s"
			   " WHERE s.stream_id = r.stream_id)",
			   1, types, values, NULL, SPI_OK_DELETE);
}

/* Time partitions for now and for the next interval. */
static void
make_partitions_ahead(const FmPipeline *pipeline)
{
	static const char *const kinds[] = {"reading", "reject", "transition",
	"score", "rollup_1m", "rollup_1h", "rollup_1d"};
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < lengthof(kinds); i++)
	{
		(void) fm_partition_ensure(pipeline->id, kinds[i],
								   pipeline->partition_interval, now);
		(void) fm_partition_ensure(pipeline->id, kinds[i],
								   pipeline->partition_interval,
								   now + pipeline->partition_interval);
	}
}

static void
clean_events(FmPipeline *unused)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	delete_old_events();
	fm_publication_expire();
	delete_old_requests();
	fm_worker_commit(&scope);
}

static void
expire_kpi(FmPipeline *unused)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	(void) fm_kpi_expire();
	fm_worker_commit(&scope);
}

static void
look_ahead(FmPipeline *pipeline)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	make_partitions_ahead(pipeline);
	fm_worker_commit(&scope);
}

static void
merge_ledger(FmPipeline *pipeline)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	(void) fm_ledger_merge(pipeline->id);
	fm_worker_commit(&scope);
}

static void
drop_expired(FmPipeline *pipeline)
{
	(void) fm_retention_run(pipeline);
}

static void
merge_rollups(FmPipeline *pipeline)
{
	(void) fm_rollup_merge_run(pipeline->id);
}

/*
 * Start the archiver where something is due.  It ends by itself; if no process
 * is free the view archives says so, and a later turn tries again.  While one
 * runs, or must not be started yet, something may have become due that it does
 * not see.
 */
static void
archive(FmPipeline *pipeline)
{
	bool		due;

	if (fm_child_is_running(&archiver) || !fm_child_may_start(&archiver))
	{
		archive_waits = true;
		return;
	}
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	due = fm_archive_is_due(pipeline);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (due && !fm_child_start(&archiver, "factorymon_archiver_main",
							   "factorymon archiver", "factorymon archiver",
							   ObjectIdGetDatum(MyDatabaseId), NULL, 0))
		fm_archive_not_started(pipeline, "no background worker is free for"
							   " the archiver (max_worker_processes)");
}

void
fm_house_archive(List *pipelines, bool changed)
{
	ListCell   *cell;

	if (!changed && !archive_waits)
		return;
	archive_waits = false;
	foreach(cell, pipelines)
		fm_house_do(archive, lfirst(cell));
}

TimestampTz
fm_house_next(void)
{
	return archive_waits && archiver.handle == NULL ? archiver.retry_at :
		DT_NOEND;
}

void
fm_house_keep(List *pipelines)
{
	ListCell   *cell;

	fm_house_do(clean_events, NULL);
	fm_house_do(expire_kpi, NULL);
	foreach(cell, pipelines)
	{
		fm_house_do(look_ahead, lfirst(cell));
		fm_house_do(merge_ledger, lfirst(cell));
		fm_house_do(fm_moved_run, lfirst(cell));
		fm_house_do(merge_rollups, lfirst(cell));
		fm_house_do(drop_expired, lfirst(cell));
	}
	fm_house_archive(pipelines, true);
}
