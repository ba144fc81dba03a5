/*-------------------------------------------------------------------------
 *
 * silence_change.c
 *	  Alarms of silence, raised and returned.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "pipeline_internal.h"
#include "silence_internal.h"
#include "worker.h"

#define SILENCE_SEVERITY 400

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

static void
signal_sensor(FmWatch *watch, const FmWatched *watched, FmSignalKind kind,
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
signal_mass(FmWatch *watch, const FmLook *look, FmTransitionList *transitions)
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
close_alarms(FmWatch *watch, const List *sensor_ids, TimestampTz now,
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
adopt(FmLook *look)
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
change_alarms(FmWatch *watch, FmLook *look, FmTransitionList *transitions)
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

void
fm_watch_change(FmWatch *watch, const FmPipeline *pipeline, FmLook *look)
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
		more = fm_answer_stream(pipeline->name, watch->fold, stream_id, true,
								false, &transitions);
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
		fm_watch_release(watch);
		return;
	}
	adopt(look);
	list_free(watch->closing);
	list_free(watch->unwatched);
	watch->closing = watch->unwatched = NIL;
	watch->has_requests = more;
	watch->next_unshelving = fm_fold_next_unshelving(watch->fold);
}

bool
fm_watch_has_changes(const FmWatch *watch, const FmLook *look)
{
	return look->mass != look->was_mass || look->nback > 0 ||
		look->nsilent > 0 || watch->closing != NIL ||
		watch->unwatched != NIL || watch->has_requests ||
		watch->next_unshelving <= look->now;
}
