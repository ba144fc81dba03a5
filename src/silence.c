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
 * Sensors that are retired or out of service are left alone; the alarm of a
 * retired one is closed, and that of one that got no slot.
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

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "deadman.h"
#include "guc.h"
#include "interval.h"
#include "pipeline_internal.h"
#include "position.h"
#include "shmem_sensor.h"
#include "silence.h"
#include "watermark.h"
#include "worker.h"

#define EVALUATION_INTERVAL (USECS_PER_SEC)
#define REREAD_INTERVAL (10 * USECS_PER_SEC)
#define REREAD_SOON (2 * USECS_PER_SEC)
#define MAX_RETRY_DELAY (60 * USECS_PER_SEC)
#define MAX_LOCK_WAIT_MS 1000

/* A partition whose leader does not answer for so long is not known. */
#define DOUBT_AFTER (5 * USECS_PER_SEC)

/* Alarms that one transaction raises, and returns; the rest comes next. */
#define MAX_CHANGES 1000

/* Chunks of snapshots in memory at a time. */
#define CHUNKS_AT_ONCE 8

#define SILENCE_SEVERITY 400

/* Partitions are told apart modulo this, see FmWatched.partitions. */
#define CLASSES 64

/* How far the partitions of a class are known; the least of them counts. */
typedef struct Frontier
{
	bool		used;			/* there is a partition of it */
	TimestampTz at;				/* as workers say; FM_DEADMAN_NEVER: none */
	TimestampTz sure;			/* as brokers confirmed, likewise */
	FmUnknownReason reason;		/* what keeps it from being known further */
} Frontier;

/* A running partition whose leader was asked in vain. */
typedef struct Doubt
{
	int32		partition;
	TimestampTz since;
} Doubt;

/* One pipeline. */
typedef struct Watch
{
	int16		pipeline_id;
	bool		wanted;			/* it runs here still */
	MemoryContext context;
	FmFold	   *fold;			/* its alarms; NULL: not taken yet */
	FmPosition	row;			/* of its stream */
	TimestampTz retry_at;		/* after an error; 0: at once */
	int64		retry_delay;
	TimestampTz suspects_since; /* brokers should confirm; 0: need not */
	List	   *doubts;			/* of Doubt * */
	TimestampTz reread_at;		/* when to ask the tables again */
	bool		reread_twice;	/* what is asked for now is done a bit later */
	bool		has_requests;
	TimestampTz next_unshelving;
	int32	   *partitions;		/* of the topic, that have a stream */
	int			npartitions;
	int64		registered;		/* sensors in the table */
	List	   *closing;		/* ids of retired ones with an alarm */
	List	   *unwatched;		/* of others with one, that have no slot */
	FmIntervals *intervals;		/* configured ones, that were looked up */
	FmDeadmanInfo info;
} Watch;

/* What one look at the sensors of a pipeline came to. */
typedef struct Look
{
	TimestampTz now;
	FmDeadmanRules rules;
	Frontier	frontiers[CLASSES];
	FmDeadmanTally tally;
	FmWatched  *silent;			/* without an alarm, beyond doubt */
	int			nsilent;
	FmWatched  *back;			/* with an alarm, and seen again */
	int			nback;
	bool		suspects;		/* brokers should be asked */
	bool		news;			/* a partition that we do not know of */
	bool		was_mass;
	bool		mass;
} Look;

static List *watches = NIL;		/* of Watch *, in TopMemoryContext */
static TimestampTz next_look_at = 0;

const FmLimits *
fm_silence_limits(void)
{
	static FmLimits limits;

	limits.critical_low = limits.warning_low = NAN;
	limits.warning_high = limits.critical_high = NAN;
	limits.severity[0] = limits.severity[1] = SILENCE_SEVERITY;
	limits.wants_acknowledgement = true;
	limits.shelvable = true;
	return &limits;
}

/* ----------------------------------------------------------------------
 * Taking the stream of silence
 * ------------------------------------------------------------------- */

/* Columns: a chunk of a snapshot, and its partition. */
static void
tell_chunk(const Watch *watch, uint64 row, TimestampTz now)
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
read_snapshots(const Watch *watch)
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
forget_judgements(const Watch *watch)
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

static void
release(Watch *watch)
{
	if (watch->fold)
		fm_fold_close(watch->fold);
	watch->fold = NULL;
}

/* The watch has it at once, so that an error releases it. */
static void
open_fold(Watch *watch, const FmPipeline *pipeline, const FmPosition *row)
{
	FmFoldStream stream = {
		.stream_id = row->stream_id,
		.pipeline_id = pipeline->id,
		.pipeline = pipeline->name,
		.topic = FM_SILENCE_TOPIC,
		.kafka_partition = FM_SILENCE_PARTITION,
		.incarnation = row->incarnation
	};

	release(watch);
	watch->fold = fm_fold_open(watch->context, &stream, 0, 0, 0, -1);
	describe_alarms(watch->fold, row->stream_id);
}

/*
 * Become the owner of the stream, and read what its alarms are.  A pipeline
 * that never had one has no such stream (its id is 0 then), unless create.
 */
static void
take(Watch *watch, const FmPipeline *pipeline, bool create)
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

/* ----------------------------------------------------------------------
 * What the tables say about sensors
 * ------------------------------------------------------------------- */

/* Of partitions that are gone. */
static void
forget_old_doubts(Watch *watch)
{
	ListCell   *cell;

	foreach(cell, watch->doubts)
	{
		Doubt	   *doubt = lfirst(cell);
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
read_partitions(Watch *watch, const FmPipeline *pipeline)
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
leave_alone(Watch *watch, uint64 n)
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
find_unwatched(Watch *watch)
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

/* Which sensors to leave alone, which partitions there are. */
static void
reread(Watch *watch, const FmPipeline *pipeline, TimestampTz now)
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
		(watch->reread_twice ? REREAD_SOON : REREAD_INTERVAL);
	watch->reread_twice = false;
}

/* ----------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------- */

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
lower_frontier(Frontier *frontier, TimestampTz at, TimestampTz sure,
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

static Doubt *
find_doubt(const Watch *watch, int32 partition)
{
	ListCell   *cell;

	foreach(cell, watch->doubts)
	{
		Doubt	   *doubt = lfirst(cell);

		if (doubt->partition == partition)
			return doubt;
	}
	return NULL;
}

static void
forget_doubt(Watch *watch, int32 partition)
{
	Doubt	   *doubt = find_doubt(watch, partition);

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
is_doubted(Watch *watch, int32 partition, TimestampTz sure, TimestampTz now)
{
	Doubt	   *doubt = find_doubt(watch, partition);
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
		doubt = palloc(sizeof(Doubt));
		doubt->partition = partition;
		doubt->since = now;
		watch->doubts = lappend(watch->doubts, doubt);
		MemoryContextSwitchTo(old);
	}
	return doubt != NULL;
}

/* A partition that somebody here has spoken of. */
static void
add_partition(Watch *watch, const FmPipeline *pipeline,
			  const FmPartitionInfo *info, Look *look)
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
	lower_frontier(&look->frontiers[info->partition % CLASSES], at, sure,
				   reason);
}

static void
find_frontiers(Watch *watch, const FmPipeline *pipeline, Look *look)
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
			lower_frontier(&look->frontiers[partition % CLASSES],
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
static Frontier
frontier_of(Look *look, const FmWatched *watched)
{
	Frontier	result = {0};

	for (uint64 left = watched->partitions; left != 0; left &= left - 1)
	{
		const Frontier *frontier =
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
count_sensor(Look *look, const FmWatched *watched, bool certain)
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
judge(Watch *watch, Look *look, FmWatched *watched)
{
	Frontier	frontier = frontier_of(look, watched);
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

/* All sensors of a pipeline; none if nobody wants to miss them. */
static void
look_at(Watch *watch, const FmPipeline *pipeline, Look *look)
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

/* ----------------------------------------------------------------------
 * Raising and returning
 * ------------------------------------------------------------------- */

static void
signal_sensor(Watch *watch, const FmWatched *watched, FmSignalKind kind,
			  TimestampTz now, FmTransitionList *transitions)
{
	FmSignal	signal = {
		.kind = kind,
		.sensor_id = watched->sensor_id,
		.sensor_version_id = watched->sensor_version_id,
		.since = watched->last_seen,
		.at = now
	};

	if (kind == FM_SIGNAL_ON)
		signal.comment = psprintf("not seen since %s, for more than %.0f s",
								  timestamptz_to_str(watched->last_seen),
								  watched->limit / 1e6);
	else if (list_member_int(watch->unwatched, watched->sensor_id))
		signal.comment = "nobody watches it any more, see factorymon.max_watched_sensors";
	fm_fold_signal(watch->fold, &signal, FM_CONDITION_SILENT,
				   fm_silence_limits(), transitions);
}

static void
signal_mass(Watch *watch, const Look *look, FmTransitionList *transitions)
{
	const FmDeadmanTally *tally = &look->tally;
	FmSignal	signal = {
		.kind = look->mass ? FM_SIGNAL_ON : FM_SIGNAL_OFF,
		.since = look->now,
		.at = look->now
	};

	signal.comment = psprintf("%d of %d sensors are silent or late",
							  tally->silent + tally->late + tally->raised,
							  tally->active + tally->late + tally->silent +
							  tally->unknown + tally->raised);
	fm_fold_signal(watch->fold, &signal, FM_CONDITION_SILENT,
				   fm_silence_limits(), transitions);
}

/* Alarms of retired sensors, or of those that nobody watches. */
static void
close_alarms(Watch *watch, const List *sensor_ids, TimestampTz now,
			 FmTransitionList *transitions)
{
	ListCell   *cell;

	foreach(cell, sensor_ids)
	{
		FmWatched	watched = {.sensor_id = lfirst_int(cell)};

		watched.sensor_version_id =
			fm_fold_sensor_version(watch->fold, watched.sensor_id);
		signal_sensor(watch, &watched, FM_SIGNAL_CLOSE, now, transitions);
	}
}

/* The alarms are in the table: remember it beside the sensors. */
static void
adopt(Look *look)
{
	for (int i = 0; i < look->nback; i++)
	{
		look->back[i].raised_at = 0;
		fm_shmem_sensor_keep(&look->back[i]);
	}
	for (int i = 0; i < look->nsilent; i++)
	{
		look->silent[i].raised_at = look->now;
		fm_shmem_sensor_keep(&look->silent[i]);
	}
}

static void
change_alarms(Watch *watch, Look *look, FmTransitionList *transitions)
{
	if (look->mass != look->was_mass)
		signal_mass(watch, look, transitions);
	for (int i = 0; i < look->nback; i++)
		signal_sensor(watch, &look->back[i], FM_SIGNAL_OFF, look->now,
					  transitions);
	for (int i = 0; i < look->nsilent; i++)
		signal_sensor(watch, &look->silent[i], FM_SIGNAL_ON, look->now,
					  transitions);
	close_alarms(watch, watch->closing, look->now, transitions);
	close_alarms(watch, watch->unwatched, look->now, transitions);
}

/* Everything that changes, in one transaction behind the fence. */
static void
write_changes(Watch *watch, const FmPipeline *pipeline, Look *look)
{
	FmTransitionList transitions;
	FmOwnerScope scope;
	FmPosition	row;
	bool		found;
	bool		more = false;
	int32		stream_id = watch->row.stream_id;

	fm_worker_begin(&scope);
	fm_position_lock(&stream_id, 1, &row, &found);
	if (found && row.epoch == watch->row.epoch)
	{
		fm_transitions_init(&transitions, CurrentMemoryContext);
		change_alarms(watch, look, &transitions);
		more = fm_answer_stream(pipeline->name, watch->fold, stream_id, true, false,
								&transitions);
		fm_transitions_number(&transitions, transitions.length, stream_id,
							  &row.out_seq);
		fm_position_set_out_seq(stream_id, row.out_seq);
		fm_transitions_insert(pipeline->id, &transitions, transitions.length);
		fm_alarms_store(watch->fold, &transitions, transitions.length);
	}
	fm_worker_commit(&scope);
	fm_fold_commit(watch->fold);
	fm_shmem_publisher_wake(MyDatabaseId, pipeline->id);
	if (!found)
		return;					/* somebody holds the row: the next time */
	if (row.epoch != watch->row.epoch)
	{
		release(watch);
		return;
	}
	adopt(look);
	list_free(watch->closing);
	list_free(watch->unwatched);
	watch->closing = watch->unwatched = NIL;
	watch->has_requests = more;
	watch->next_unshelving = fm_fold_next_unshelving(watch->fold);
}

static bool
has_changes(const Watch *watch, const Look *look)
{
	return look->mass != look->was_mass || look->nback > 0 ||
		look->nsilent > 0 || watch->closing != NIL ||
		watch->unwatched != NIL || watch->has_requests ||
		watch->next_unshelving <= look->now;
}

/* One pipeline, from taking its stream on. */
static void
step(Watch *watch, const FmPipeline *pipeline)
{
	TimestampTz now = GetCurrentTimestamp();
	Look		look;

	if (watch->fold == NULL)
		take(watch, pipeline, false);
	if (now >= watch->reread_at)
		reread(watch, pipeline, now);
	if (fm_deadman)
		fm_intervals_apply(watch->intervals, pipeline);
	look_at(watch, pipeline, &look);
	if (look.news)
		watch->reread_at = Min(watch->reread_at, now + REREAD_SOON);
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
			take(watch, pipeline, true);
	}
	if (watch->row.stream_id != 0 && has_changes(watch, &look))
		write_changes(watch, pipeline, &look);
	if (fm_deadman)
		fm_shmem_deadman_publish(&watch->info);
}

/*
 * After an error the stream is taken anew, after a while, and with it what its
 * alarms are: of one at commit nobody knows whether it took place.
 */
static void
try_step(Watch *watch, const FmPipeline *pipeline)
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
		release(watch);
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

static Watch *
watch_of(int16 pipeline_id)
{
	MemoryContext context;
	MemoryContext old;
	ListCell   *cell;
	Watch	   *watch;

	foreach(cell, watches)
	{
		watch = lfirst(cell);
		if (watch->pipeline_id == pipeline_id)
			return watch;
	}
	context = AllocSetContextCreate(TopMemoryContext, "factorymon watch",
									ALLOCSET_SMALL_SIZES);
	watch = MemoryContextAllocZero(context, sizeof(Watch));
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
		Watch	   *watch = lfirst(cell);

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
limit_delays(Watch *watch, TimestampTz now)
{
	ListCell   *cell;

	watch->retry_at = Min(watch->retry_at, now + MAX_RETRY_DELAY);
	watch->reread_at = Min(watch->reread_at, now + REREAD_INTERVAL);
	watch->suspects_since = Min(watch->suspects_since, now);
	foreach(cell, watch->doubts)
	{
		Doubt	   *doubt = lfirst(cell);

		doubt->since = Min(doubt->since, now);
	}
}

/* When there is something to do though nobody is to be missed. */
static TimestampTz
answering_at(const Watch *watch)
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
		Watch	   *watch = watch_of(pipeline->id);

		watch->wanted = true;
		limit_delays(watch, now);
		if (switched)
			release(watch);
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
