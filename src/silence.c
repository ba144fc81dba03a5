/*-------------------------------------------------------------------------
 *
 * silence.c
 *	  The deadman: the supervisor misses sensors that fall silent.
 *
 * Once a second, and only in memory, every sensor of every pipeline that runs
 * here is judged (deadman.c) by when it was last seen (shmem_sensor.c) and by
 * the frontiers of the partitions that it may come through.  Only where that
 * changes an alarm is there a transaction.
 *
 * Nothing is raised on the word of a client that may not have noticed yet that
 * a broker is gone.  Before it, the brokers are asked where their partitions
 * end (watermark.c); once all before that end is stored, everything that was
 * there when they were asked is known, and that is the frontier that counts.
 * They are asked only if there is something to raise, so this costs nothing as
 * long as all sensors report.  Where no answer comes the partition is doubted:
 * whatever the client believes, it is known only as far as it was confirmed,
 * until it is again.
 *
 * Alarms of condition "silent" have one writer, the supervisor.  They live in
 * a stream of their own for each pipeline, which is no partition of any topic
 * (FM_SILENCE_TOPIC, FM_SILENCE_PARTITION), behind the same fence as others:
 * whoever takes it counts its epoch up.  What they are is read back from
 * _factorymon.alarm then, so a supervisor that ends loses nothing, and nothing
 * is raised twice.  The alarm of sensor 0 is that of the pipeline: mass silence.
 * While it is up, no sensor's own alarm is raised; those still silent when it
 * ends are raised then.
 *
 * How often a sensor should report is configured (interval.c), else learned by
 * the folds.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "silence_internal.h"
#include "watermark.h"

#define EVALUATION_INTERVAL (USECS_PER_SEC)
#define MAX_RETRY_DELAY (60 * USECS_PER_SEC)

static List *watches = NIL;		/* of FmWatch *, in TopMemoryContext */
static TimestampTz next_look_at = 0;

/* ----------------------------------------------------------------------
 * One pipeline
 * ------------------------------------------------------------------- */

/* One pipeline, from taking its stream on. */
static void
step(FmWatch *watch, const FmPipeline *pipeline)
{
	TimestampTz now = GetCurrentTimestamp();
	FmLook		look;

	if (watch->fold == NULL)
		fm_watch_take(watch, pipeline, false);
	if (now >= watch->reread_at)
		fm_watch_reread(watch, pipeline, now);
	if (fm_deadman)
		fm_intervals_apply(watch->intervals, pipeline);
	fm_watch_look(watch, pipeline, &look);
	if (look.news)
		watch->reread_at = Min(watch->reread_at, now + FM_REREAD_SOON);
	if (look.suspects)
		fm_watermark_want(pipeline->id);
	if (!look.suspects)
		watch->suspects_since = 0;
	else if (watch->suspects_since == 0)
		watch->suspects_since = look.now;
	if (watch->row.stream_id == 0)
	{
		watch->has_requests = false;
		if (look.nsilent > 0 || look.mass)
			fm_watch_take(watch, pipeline, true);
	}
	if (watch->row.stream_id != 0 && fm_watch_has_changes(watch, &look))
		fm_watch_change(watch, pipeline, &look);
	if (fm_deadman)
		fm_shmem_deadman_publish(&watch->info);
}

/*
 * After an error the stream is taken anew, after a while, and with it what its
 * alarms are: of one at commit nobody knows whether it took place.
 */
static void
try_step(FmWatch *watch, const FmPipeline *pipeline)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		step(watch, pipeline);
		watch->retry_delay = 0;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		fm_watch_release(watch);
		watch->retry_delay = Min(Max(watch->retry_delay * 2, USECS_PER_SEC),
								 MAX_RETRY_DELAY);
		watch->retry_at = GetCurrentTimestamp() + watch->retry_delay;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* ----------------------------------------------------------------------
 * All pipelines
 * ------------------------------------------------------------------- */

static FmWatch *
watch_of(int16 pipeline_id)
{
	MemoryContext context;
	MemoryContext old;
	ListCell   *cell;
	FmWatch	   *watch;

	foreach(cell, watches)
	{
		watch = lfirst(cell);
		if (watch->pipeline_id == pipeline_id)
			return watch;
	}
	context = AllocSetContextCreate(TopMemoryContext, "factorymon watch",
									ALLOCSET_SMALL_SIZES);
	watch = MemoryContextAllocZero(context, sizeof(FmWatch));
	watch->context = context;
	watch->pipeline_id = pipeline_id;
	watch->intervals = fm_intervals_create(context);
	old = MemoryContextSwitchTo(TopMemoryContext);
	watches = lappend(watches, watch);
	MemoryContextSwitchTo(old);
	return watch;
}

/* Of pipelines that do not run here any more. */
static void
forget_watches(void)
{
	ListCell   *cell;

	foreach(cell, watches)
	{
		FmWatch	   *watch = lfirst(cell);

		if (!watch->wanted)
		{
			watches = foreach_delete_current(watches, cell);
			MemoryContextDelete(watch->context);
			continue;
		}
		watch->wanted = false;
	}
}

/* The clock may have been set back: nothing waits longer than its delay. */
static void
limit_delays(FmWatch *watch, TimestampTz now)
{
	ListCell   *cell;

	watch->retry_at = Min(watch->retry_at, now + MAX_RETRY_DELAY);
	watch->reread_at = Min(watch->reread_at, now + FM_REREAD_INTERVAL);
	watch->suspects_since = Min(watch->suspects_since, now);
	foreach(cell, watch->doubts)
	{
		FmDoubt	   *doubt = lfirst(cell);

		doubt->since = Min(doubt->since, now);
	}
}

/* When there is something to do though nobody is to be missed. */
static TimestampTz
answering_at(const FmWatch *watch)
{
	if (watch->fold == NULL)
		return watch->retry_at;
	return watch->has_requests ? 0 : watch->next_unshelving;
}

void
fm_silence_step(List *pipelines, bool changed, bool answered)
{
	static bool was_on = true;
	TimestampTz now = GetCurrentTimestamp();
	bool		switched = fm_deadman != was_on;
	ListCell   *cell;

	next_look_at = Min(next_look_at, now + EVALUATION_INTERVAL);
	if (!changed && !answered && !switched && now < fm_silence_next())
		return;
	was_on = fm_deadman;
	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);
		FmWatch	   *watch = watch_of(pipeline->id);

		watch->wanted = true;
		limit_delays(watch, now);
		if (switched)
			fm_watch_release(watch);
		if (changed)
		{
			watch->has_requests = true;
			watch->reread_at = 0;
			watch->reread_twice = true;
		}
		if (now >= watch->retry_at)
			try_step(watch, pipeline);
	}
	forget_watches();
	next_look_at = GetCurrentTimestamp() + EVALUATION_INTERVAL;
}

/* Switched off, requests are answered all the same. */
TimestampTz
fm_silence_next(void)
{
	TimestampTz result = DT_NOEND;
	ListCell   *cell;

	if (fm_deadman)
		return next_look_at;
	foreach(cell, watches)
		result = Min(result, answering_at(lfirst(cell)));
	return Max(result, next_look_at);
}
