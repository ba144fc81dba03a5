/*-------------------------------------------------------------------------
 *
 * silence_look.c
 *	  One look at all sensors of a pipeline: which are silent, which are back.
 *
 * How far a partition is known is its frontier: what its worker says of it, and
 * what its leader has confirmed, see silence.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shmem.h"
#include "silence_internal.h"
#include "watermark.h"

/* A partition whose leader does not answer for so long is not known. */
#define DOUBT_AFTER (5 * USECS_PER_SEC)

/* Alarms that one transaction raises, and returns; the rest comes next. */
#define MAX_CHANGES 1000

static FmUnknownReason
reason_of(const FmPipeline *pipeline, const FmPartitionInfo *info)
{
	switch (info->state)
	{
		case FM_PARTITION_UNASSIGNED:
			return pipeline->paused ? FM_UNKNOWN_PAUSED :
				FM_UNKNOWN_NO_WORKER;
		case FM_PARTITION_PAUSED:
			return FM_UNKNOWN_PAUSED;
		case FM_PARTITION_STOPPED:
			return FM_UNKNOWN_STOPPED;
		case FM_PARTITION_RUNNING:
			return info->high_watermark > info->position ?
				FM_UNKNOWN_LAGGING : FM_UNKNOWN_DISCONNECTED;
		default:
			return FM_UNKNOWN_TAKING;
	}
}

/* The frontier of a class is that of its partition known least far. */
static void
lower_frontier(FmFrontier *frontier, TimestampTz at, TimestampTz sure,
			   FmUnknownReason reason)
{
	if (!frontier->used || at < frontier->at)
	{
		frontier->at = at;
		frontier->reason = reason;
	}
	if (!frontier->used || sure < frontier->sure)
		frontier->sure = sure;
	frontier->used = true;
}

static FmDoubt *
find_doubt(const FmWatch *watch, int32 partition)
{
	ListCell   *cell;

	foreach(cell, watch->doubts)
	{
		FmDoubt	   *doubt = lfirst(cell);

		if (doubt->partition == partition)
			return doubt;
	}
	return NULL;
}

static void
forget_doubt(FmWatch *watch, int32 partition)
{
	FmDoubt	   *doubt = find_doubt(watch, partition);

	if (doubt == NULL)
		return;
	watch->doubts = list_delete_ptr(watch->doubts, doubt);
	pfree(doubt);
}

/*
 * Is it doubted how far a running partition is known?  sure: up to when it is,
 * as its leader confirmed.  That it was not asked yet, because others were, is
 * no reason to.
 */
static bool
is_doubted(FmWatch *watch, int32 partition, TimestampTz sure, TimestampTz now)
{
	FmDoubt	   *doubt = find_doubt(watch, partition);
	MemoryContext old;

	if (doubt != NULL && sure >= doubt->since)
	{
		forget_doubt(watch, partition);
		return false;
	}
	if (doubt == NULL && watch->suspects_since != 0 &&
		now - watch->suspects_since > DOUBT_AFTER &&
		sure < watch->suspects_since &&
		fm_watermark_tried(watch->pipeline_id) >= watch->suspects_since)
	{
		old = MemoryContextSwitchTo(watch->context);
		doubt = palloc(sizeof(FmDoubt));
		doubt->partition = partition;
		doubt->since = now;
		watch->doubts = lappend(watch->doubts, doubt);
		MemoryContextSwitchTo(old);
	}
	return doubt != NULL;
}

/* A partition that somebody here has spoken of. */
static void
add_partition(FmWatch *watch, const FmPipeline *pipeline,
			  const FmPartitionInfo *info, FmLook *look)
{
	FmUnknownReason reason = reason_of(pipeline, info);
	TimestampTz at = info->frontier_at != 0 ? info->frontier_at :
		FM_DEADMAN_NEVER;
	TimestampTz sure = FM_DEADMAN_NEVER;
	TimestampTz asked_at;
	int64		end;

	if (fm_watermark_known(pipeline->id, info->partition, &asked_at, &end) &&
		info->position >= end && asked_at <= look->now)
		sure = asked_at;
	/* what is paused or taken says so itself, and would be asked for ever */
	if (info->state != FM_PARTITION_RUNNING)
		forget_doubt(watch, info->partition);
	else if (is_doubted(watch, info->partition, sure, look->now))
		at = Min(at, sure);
	lower_frontier(&look->frontiers[info->partition % FM_PARTITION_CLASSES],
				   at, sure, reason);
}

static void
find_frontiers(FmWatch *watch, const FmPipeline *pipeline, FmLook *look)
{
	FmPartitionInfo info;

	memset(look->frontiers, 0, sizeof(look->frontiers));
	for (int i = 0; i < watch->npartitions; i++)
	{
		int32		partition = watch->partitions[i];

		if (fm_shmem_partition_get(MyDatabaseId, pipeline->id, partition,
								   &info))
			add_partition(watch, pipeline, &info, look);
		else
		{
			forget_doubt(watch, partition);
			lower_frontier(&look->frontiers[partition % FM_PARTITION_CLASSES],
						   FM_DEADMAN_NEVER, FM_DEADMAN_NEVER,
						   FM_UNKNOWN_NO_WORKER);
		}
	}
	/* go on asking until they answer */
	look->suspects = watch->doubts != NIL;
}

/*
 * The frontier of a sensor is the least of those that it may come through.  A
 * partition that the topic does not have, or that is new, is none of them.
 */
static FmFrontier
frontier_of(FmLook *look, const FmWatched *watched)
{
	FmFrontier	result = {0};

	for (uint64 left = watched->partitions; left != 0; left &= left - 1)
	{
		const FmFrontier *frontier =
			&look->frontiers[pg_rightmost_one_pos64(left)];

		if (frontier->used)
			lower_frontier(&result, frontier->at, frontier->sure,
						   frontier->reason);
		else
			look->news = true;
	}
	if (!result.used)
		lower_frontier(&result, FM_DEADMAN_NEVER, FM_DEADMAN_NEVER,
					   FM_UNKNOWN_NO_WORKER);
	return result;
}

/*
 * Is a sensor whose alarm is up there again?  How often one reports may not be
 * known any more since it was raised: then any reading counts.
 */
static bool
is_back(const FmWatched *watched)
{
	return watched->state == FM_DEADMAN_ACTIVE ||
		watched->state == FM_DEADMAN_LATE ||
		(watched->state == FM_DEADMAN_EXPECTED &&
		 watched->last_seen > watched->raised_at);
}

/* Count the sensor, and remember it if its alarm should change. */
static void
count_sensor(FmLook *look, const FmWatched *watched, bool certain)
{
	FmDeadmanTally *tally = &look->tally;
	FmDeadmanState state = watched->state;
	bool		raised = watched->raised_at != 0;

	if (raised && is_back(watched))
	{
		if (look->nback < MAX_CHANGES)
			look->back[look->nback++] = *watched;
	}
	if (state == FM_DEADMAN_ACTIVE)
		tally->active++;
	else if (state == FM_DEADMAN_LATE)
		tally->late++;
	else if (raised)
	{
		tally->raised++;
		if (look->now - watched->raised_at <= watched->limit)
			tally->raised_lately++;
	}
	else if (state == FM_DEADMAN_UNKNOWN)
		tally->unknown++;
	else if (state == FM_DEADMAN_SILENT)
	{
		tally->silent++;
		if (!certain)
			look->suspects = true;
		else
		{
			tally->certain++;
			if (look->nsilent < MAX_CHANGES)
				look->silent[look->nsilent++] = *watched;
		}
	}
}

static void
count_for_status(FmDeadmanInfo *info, const FmWatched *watched)
{
	info->watched++;
	if (watched->configured != 0)
		info->configured++;
	if (watched->raised_at != 0)
		info->alarms++;
	if (watched->left_alone)
		info->left_alone++;
	else if (watched->state == FM_DEADMAN_EXPECTED)
		info->expected++;
	else if (watched->state == FM_DEADMAN_ACTIVE)
		info->active++;
	else if (watched->state == FM_DEADMAN_LATE)
		info->late++;
	else if (watched->state == FM_DEADMAN_SILENT)
		info->silent++;
	else
	{
		info->unknown++;
		info->reasons[watched->reason]++;
	}
}

/* Judge one sensor; what is thought of it is kept beside it. */
static void
judge(FmWatch *watch, FmLook *look, FmWatched *watched)
{
	FmFrontier	frontier = frontier_of(look, watched);
	int64		known_since = watched->known_since == 0 ? FM_DEADMAN_NEVER :
		Min(watched->known_since, look->now);
	FmDeadmanSensor sensor;
	bool		certain;

	if (watched->last_seen > look->now)
	{
		fm_shmem_sensor_set_back(watched, look->now);
		watched->last_seen = look->now;
	}
	/* new here, or the supervisor is: it may have an alarm */
	if (watched->state == FM_DEADMAN_EXPECTED &&
		!fm_fold_alarm_is_active(watch->fold, watched->sensor_id,
								 FM_CONDITION_SILENT, &watched->raised_at))
		watched->raised_at = 0;
	sensor.last_seen = watched->last_seen == 0 ? FM_DEADMAN_NEVER :
		watched->last_seen;
	sensor.interval = fm_watched_interval(watched);
	sensor.frontier = frontier.at;
	sensor.known_since = known_since;
	sensor.raised = watched->raised_at != 0;
	watched->state = fm_deadman_judge(&look->rules, &sensor, look->now,
									  &known_since);
	watched->known_since = known_since == FM_DEADMAN_NEVER ? 0 : known_since;
	watched->limit = fm_deadman_limit(&look->rules, sensor.interval);
	watched->reason = watched->state != FM_DEADMAN_UNKNOWN ?
		FM_UNKNOWN_NONE : known_since != FM_DEADMAN_NEVER ?
		FM_UNKNOWN_JUST_RESUMED : frontier.reason;
	certain = fm_deadman_is_certain(&look->rules, &sensor, known_since,
									frontier.sure);
	if (!watched->left_alone)
		count_sensor(look, watched, certain);
	/* not silent for anybody before it is certain */
	if (watched->state == FM_DEADMAN_SILENT && watched->raised_at == 0 &&
		!certain)
		watched->state = FM_DEADMAN_LATE;
	fm_shmem_sensor_keep(watched);
}

static void
set_rules(FmDeadmanRules *rules)
{
	rules->least = (int64) fm_silent_after_min * 1000;
	rules->intervals = fm_silent_after_intervals;
	rules->mass_percent = fm_mass_silence_percent;
	rules->mass_least = fm_mass_silence_min;
}

void
fm_watch_look(FmWatch *watch, const FmPipeline *pipeline, FmLook *look)
{
	FmDeadmanInfo *info = &watch->info;
	FmWatched	watched;
	TimestampTz mass_since = 0;
	int			slot = 0;

	memset(look, 0, sizeof(*look));
	look->now = GetCurrentTimestamp();
	if (!fm_deadman)
		return;
	look->silent = palloc(sizeof(FmWatched) * MAX_CHANGES);
	look->back = palloc(sizeof(FmWatched) * MAX_CHANGES);
	set_rules(&look->rules);
	find_frontiers(watch, pipeline, look);
	memset(info, 0, sizeof(*info));
	info->database = MyDatabaseId;
	info->pipeline_id = pipeline->id;
	info->evaluated_at = look->now;
	while (fm_shmem_sensor_next(MyDatabaseId, pipeline->id, &slot, &watched))
	{
		judge(watch, look, &watched);
		count_for_status(info, &watched);
	}
	info->unwatched = Max(watch->registered - info->watched, 0);
	look->was_mass = fm_fold_alarm_is_active(watch->fold, 0,
											 FM_CONDITION_SILENT,
											 &mass_since);
	look->mass = fm_deadman_is_mass(&look->rules, &look->tally,
									look->was_mass);
	if (look->mass)
		look->nsilent = 0;		/* suppressed by design */
	info->mass_since = look->was_mass ? mass_since : 0;
}
