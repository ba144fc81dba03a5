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
 * Where every partition is running nothing is asked, unless somebody wants to
 * know for certain (fm_watermark_want): before a sensor is called silent the
 * brokers themselves have to say where its partition ends.
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
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "options.h"
#include "pipeline.h"
#include "shmem.h"
#include "watermark.h"

#define REFRESH_INTERVAL (10 * USECS_PER_SEC)
#define ANSWER_TIMEOUT_MS 5000
#define FAILURE_DELAY (2 * USECS_PER_SEC)

static FmProbe *probe = NULL;	/* of the pipeline being asked about */
static int16 asked_pipeline = 0;
static bool in_flight = false;
static int16 last_pipeline = 0; /* round robin */
static TimestampTz round_at = 0;	/* when the next round begins */

/*
 * A pipeline of which somebody wants to know something for certain, or once
 * did.  A pipeline whose brokers do not answer must not keep others waiting, so
 * each waits in line, and after a failure on its own.
 */
typedef struct Wish
{
	int16		pipeline_id;
	bool		pending;
	TimestampTz again_at;		/* not before this, after a failure */
	TimestampTz asking_since;	/* the last question; 0: none */
	TimestampTz tried_at;		/* likewise, of one that has come to an end */
} Wish;

static List *wishes = NIL;		/* of Wish *, longest waiting first */
static bool asked_wanted = false;	/* what is in flight is for that */
static TimestampTz asked_at = 0;	/* when the watermarks were asked for */

typedef struct EndKey
{
	int32		pipeline_id;
	int32		partition;
} EndKey;

/* The end of a partition, as its leader said. */
typedef struct KnownEnd
{
	EndKey		key;			/* hash key */
	TimestampTz asked_at;
	int64		high;
} KnownEnd;

static HTAB *known_ends = NULL;

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
remember_end(int32 partition, int64 high)
{
	EndKey		key = {asked_pipeline, partition};
	KnownEnd   *end;

	if (known_ends == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(EndKey);
		ctl.entrysize = sizeof(KnownEnd);
		ctl.hcxt = TopMemoryContext;
		known_ends = hash_create("factorymon ends of partitions", 64, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	end = hash_search(known_ends, &key, HASH_ENTER, NULL);
	end->asked_at = asked_at;
	end->high = high;
}

bool
fm_watermark_known(int16 pipeline_id, int32 partition, TimestampTz *at,
				   int64 *high)
{
	EndKey		key = {pipeline_id, partition};
	KnownEnd   *end = known_ends == NULL ? NULL :
		hash_search(known_ends, &key, HASH_FIND, NULL);

	if (end == NULL)
		return false;
	*at = end->asked_at;
	*high = end->high;
	return true;
}

static Wish *
find_wish(int16 pipeline_id)
{
	ListCell   *cell;

	foreach(cell, wishes)
	{
		Wish	   *wish = lfirst(cell);

		if (wish->pipeline_id == pipeline_id)
			return wish;
	}
	return NULL;
}

void
fm_watermark_want(int16 pipeline_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	TimestampTz now = GetCurrentTimestamp();
	Wish	   *wish = find_wish(pipeline_id);

	if (wish == NULL)
	{
		wish = palloc0(sizeof(Wish));
		wish->pipeline_id = pipeline_id;
	}
	/* if the clock was set back the delay is no longer for that */
	wish->again_at = Min(wish->again_at, now + FAILURE_DELAY);
	if (!wish->pending && now >= wish->again_at)
	{
		wish->pending = true;
		wishes = lappend(list_delete_ptr(wishes, wish), wish);
	}
	MemoryContextSwitchTo(old);
}

TimestampTz
fm_watermark_tried(int16 pipeline_id)
{
	Wish	   *wish = find_wish(pipeline_id);

	return wish == NULL ? 0 : wish->tried_at;
}

/* The question that was in flight has come to an end. */
static void
end_wish(bool ok)
{
	Wish	   *wish = find_wish(asked_pipeline);

	if (wish == NULL)
		return;
	wish->tried_at = wish->asking_since;
	if (!ok)
		wish->again_at = GetCurrentTimestamp() + FAILURE_DELAY;
}

static void
ask_watermarks(int npartitions)
{
	FmProbeItem *items = palloc0(sizeof(FmProbeItem) * Max(npartitions, 1));

	for (int i = 0; i < npartitions; i++)
		items[i].partition = i;
	asked_at = GetCurrentTimestamp();
	in_flight = npartitions > 0 &&
		fm_probe_ask(probe, FM_PROBE_WATERMARKS, items, npartitions,
					 ANSWER_TIMEOUT_MS);
	pfree(items);
}

static void
take_watermarks(const FmProbeAnswer *answer)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < answer->nitems; i++)
	{
		const FmProbeItem *item = &answer->items[i];

		if (item->code != FM_KAFKA_OK)
			continue;
		fm_shmem_partition_watermarks(MyDatabaseId, asked_pipeline,
									  item->partition, item->low, item->high,
									  now);
		remember_end(item->partition, item->high);
	}
}

/* Returns whether this was the answer that somebody wanted. */
static bool
take_answer(void)
{
	const FmProbeAnswer *answer = fm_probe_answer(probe);
	bool		ok;

	if (!answer)
		return false;
	ok = answer->code == FM_KAFKA_OK;
	in_flight = false;
	if (ok && answer->kind == FM_PROBE_METADATA)
		ask_watermarks(answer->npartitions);
	else if (ok)
		take_watermarks(answer);
	if (in_flight)
		return false;
	if (asked_wanted)
		end_wish(ok);
	fm_watermark_close();
	return asked_wanted && ok;
}

static void
ask(FmPipeline *pipeline)
{
	asked_pipeline = pipeline->id;
	open_probe_safely(pipeline);
	if (probe)
		in_flight = fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0,
								 ANSWER_TIMEOUT_MS);
}

static FmPipeline *
find_pipeline(List *pipelines, int16 pipeline_id)
{
	ListCell   *cell;

	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);

		if (pipeline->id == pipeline_id)
			return pipeline;
	}
	return NULL;
}

/*
 * What somebody wants to know goes before the round.  Nobody does any more
 * where the pipeline does not run here.
 */
static bool
ask_wanted(List *pipelines)
{
	ListCell   *cell;

	asked_wanted = false;
	foreach(cell, wishes)
	{
		Wish	   *wish = lfirst(cell);
		FmPipeline *pipeline = find_pipeline(pipelines, wish->pipeline_id);

		if (pipeline == NULL)
		{
			wishes = foreach_delete_current(wishes, cell);
			pfree(wish);
			continue;
		}
		if (!wish->pending)
			continue;
		wish->pending = false;
		wish->asking_since = GetCurrentTimestamp();
		ask(pipeline);
		asked_wanted = in_flight;
		if (in_flight)
			break;
		end_wish(false);
	}
	return asked_wanted;
}

bool
fm_watermark_step(List *pipelines)
{
	FmPipeline *pipeline;
	TimestampTz now = GetCurrentTimestamp();
	bool		answered = in_flight && take_answer();

	if (in_flight || ask_wanted(pipelines) || now < round_at)
		return answered;
	pipeline = next_pipeline(pipelines);
	if (!pipeline)
	{
		last_pipeline = 0;
		round_at = now + REFRESH_INTERVAL;
		return answered;
	}
	last_pipeline = pipeline->id;
	ask(pipeline);
	return answered;
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
