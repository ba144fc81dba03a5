/*-------------------------------------------------------------------------
 *
 * watermark.c
 *	  Watermarks of partitions that no worker fetches, for the supervisor.
 *
 * A worker knows the watermarks of what it fetches for nothing.  Those of
 * paused, stopped and unassigned partitions would grow stale, and with them
 * the lag that people look at exactly then.  So the supervisor asks, for one
 * pipeline after the other, every REFRESH_INTERVAL, on a client without a
 * group: first how many partitions there are, then where they begin and end.
 * Where every partition is running nothing is asked.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "options.h"
#include "pipeline.h"
#include "shmem.h"
#include "watermark.h"

#define REFRESH_INTERVAL (10 * USECS_PER_SEC)
#define ANSWER_TIMEOUT_MS 5000

static FmProbe *probe = NULL;	/* of the pipeline being asked about */
static int16 asked_pipeline = 0;
static bool in_flight = false;
static int16 last_pipeline = 0; /* round robin */
static TimestampTz round_at = 0;	/* when the next round begins */

/* Is there a partition that no worker is fetching, or none known at all? */
static bool
needs_refresh(int16 pipeline_id)
{
	ListCell   *cell;
	bool		known = false;

	foreach(cell, fm_shmem_partitions(MyDatabaseId))
	{
		FmPartitionInfo *info = lfirst(cell);

		if (info->pipeline_id != pipeline_id)
			continue;
		known = true;
		if (info->pid == 0 || info->state != FM_PARTITION_RUNNING)
			return true;
	}
	return !known;
}

/* The next pipeline after the last one that needs it; NULL at the end. */
static FmPipeline *
next_pipeline(List *pipelines)
{
	ListCell   *cell;

	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);

		if (pipeline->id > last_pipeline && needs_refresh(pipeline->id))
			return pipeline;
	}
	return NULL;
}

static void
open_probe(const FmPipeline *pipeline)
{
	FmConsumerConfig config = {0};
	FmServerOptions *options;
	char		error[FM_KAFKA_ERROR_LEN];

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	options = fm_options_load(pipeline->server,
							  get_role_oid(pipeline->owner, false));
	config.properties = options->properties;
	config.nproperties = options->nproperties;
	config.topic = pipeline->topic;
	config.client_id = "factorymon-supervisor";
	probe = fm_probe_open(&config, error, sizeof(error));
	CommitTransactionCommand();
}

/* A connection that cannot be made is its workers' to complain about. */
static void
open_probe_safely(const FmPipeline *pipeline)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		open_probe(pipeline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static void
ask_watermarks(int npartitions)
{
	FmProbeItem *items = palloc0(sizeof(FmProbeItem) * Max(npartitions, 1));

	for (int i = 0; i < npartitions; i++)
		items[i].partition = i;
	in_flight = npartitions > 0 &&
		fm_probe_ask(probe, FM_PROBE_WATERMARKS, items, npartitions,
					 ANSWER_TIMEOUT_MS);
	pfree(items);
}

static void
take_answer(void)
{
	const FmProbeAnswer *answer = fm_probe_answer(probe);
	TimestampTz now = GetCurrentTimestamp();

	if (!answer)
		return;
	in_flight = false;
	if (answer->code == FM_KAFKA_OK && answer->kind == FM_PROBE_METADATA)
		ask_watermarks(answer->npartitions);
	else if (answer->code == FM_KAFKA_OK)
		for (int i = 0; i < answer->nitems; i++)
			if (answer->items[i].code == FM_KAFKA_OK)
				fm_shmem_partition_watermarks(MyDatabaseId, asked_pipeline,
											  answer->items[i].partition,
											  answer->items[i].low,
											  answer->items[i].high, now);
	if (!in_flight)
		fm_watermark_close();
}

void
fm_watermark_step(List *pipelines)
{
	FmPipeline *pipeline;
	TimestampTz now = GetCurrentTimestamp();

	if (in_flight)
		take_answer();
	if (in_flight || now < round_at)
		return;
	pipeline = next_pipeline(pipelines);
	if (!pipeline)
	{
		last_pipeline = 0;
		round_at = now + REFRESH_INTERVAL;
		return;
	}
	last_pipeline = asked_pipeline = pipeline->id;
	open_probe_safely(pipeline);
	if (probe)
		in_flight = fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0,
								 ANSWER_TIMEOUT_MS);
}

void
fm_watermark_wait(long nap_ms)
{
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (in_flight)
		(void) WaitLatchOrSocket(MyLatch, events | WL_SOCKET_READABLE,
								 fm_probe_fd(probe), nap_ms, FM_WAIT_EVENT);
	else
		(void) WaitLatch(MyLatch, events, nap_ms, FM_WAIT_EVENT);
	ResetLatch(MyLatch);
}

void
fm_watermark_close(void)
{
	if (probe)
		fm_probe_close(probe);
	probe = NULL;
	in_flight = false;
}
