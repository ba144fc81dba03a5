/*-------------------------------------------------------------------------
 *
 * silence_status.c
 *	  What the deadman thinks, for SQL: of each pipeline, of each sensor.
 *
 * Rows are what the supervisor of this database said last; there are none
 * where it does not run, or factorymon.deadman is off.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "deadman.h"
#include "guc.h"
#include "shmem_sensor.h"

PG_FUNCTION_INFO_V1(factorymon_deadman_slots);
PG_FUNCTION_INFO_V1(factorymon_watched_sensors);

/* What was said longer ago does not count. */
#define MAX_AGE (30 * USECS_PER_SEC)

#define DEADMAN_COLUMNS 14
#define WATCHED_COLUMNS 8

static const char *const state_names[] = {
	[FM_DEADMAN_EXPECTED] = "expected",
	[FM_DEADMAN_ACTIVE] = "active",
	[FM_DEADMAN_LATE] = "late",
	[FM_DEADMAN_SILENT] = "silent",
	[FM_DEADMAN_UNKNOWN] = "unknown"
};

static const char *const reason_names[FM_UNKNOWN_REASONS] = {
	[FM_UNKNOWN_NONE] = "not known",
	[FM_UNKNOWN_NO_WORKER] = "worker down",
	[FM_UNKNOWN_PAUSED] = "paused",
	[FM_UNKNOWN_STOPPED] = "stopped",
	[FM_UNKNOWN_TAKING] = "taking",
	[FM_UNKNOWN_LAGGING] = "lagging",
	[FM_UNKNOWN_DISCONNECTED] = "disconnected",
	[FM_UNKNOWN_JUST_RESUMED] = "just resumed"
};

/* The reason of most of those about which nobody can tell; NULL: of none. */
static const char *
main_reason(const FmDeadmanInfo *info)
{
	int			most = 0;

	for (int i = 1; i < FM_UNKNOWN_REASONS; i++)
		if (info->reasons[i] > info->reasons[most])
			most = i;
	return info->reasons[most] > 0 ? reason_names[most] : NULL;
}

/* _factorymon.deadman_slots() */
Datum
factorymon_deadman_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, fm_deadman ? fm_shmem_deadmen(MyDatabaseId) : NIL)
	{
		FmDeadmanInfo *info = lfirst(cell);
		const char *reason = main_reason(info);
		Datum		values[DEADMAN_COLUMNS];
		bool		nulls[DEADMAN_COLUMNS] = {false};

		values[0] = Int16GetDatum(info->pipeline_id);
		values[1] = TimestampTzGetDatum(info->evaluated_at);
		values[2] = Int32GetDatum(info->watched);
		values[3] = Int32GetDatum(info->active);
		values[4] = Int32GetDatum(info->late);
		values[5] = Int32GetDatum(info->silent);
		values[6] = Int32GetDatum(info->unknown);
		nulls[7] = reason == NULL;
		values[7] = nulls[7] ? (Datum) 0 : CStringGetTextDatum(reason);
		values[8] = Int32GetDatum(info->expected);
		values[9] = Int32GetDatum(info->left_alone);
		values[10] = Int32GetDatum(info->unwatched);
		values[11] = Int32GetDatum(info->alarms);
		values[12] = TimestampTzGetDatum(info->mass_since);
		nulls[12] = info->mass_since == 0;
		values[13] = Int32GetDatum(info->configured);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

static void
describe(const FmWatched *watched, Datum *values, bool *nulls)
{
	int64		interval = fm_watched_interval(watched);

	values[0] = Int32GetDatum(watched->sensor_id);
	values[1] = CStringGetTextDatum(state_names[watched->state]);
	nulls[2] = watched->state != FM_DEADMAN_UNKNOWN;
	values[2] = nulls[2] ? (Datum) 0 :
		CStringGetTextDatum(reason_names[watched->reason]);
	values[3] = TimestampTzGetDatum(watched->last_seen);
	nulls[3] = watched->last_seen == 0;
	values[4] = Float8GetDatum(watched->limit / 1e6);
	nulls[4] = watched->limit == 0;
	values[5] = BoolGetDatum(watched->raised_at != 0);
	values[6] = Float8GetDatum(interval / 1e6);
	nulls[6] = interval == 0;
	values[7] = BoolGetDatum(watched->configured != 0);
}

/* _factorymon.watched_sensors() */
Datum
factorymon_watched_sensors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz oldest = GetCurrentTimestamp() - MAX_AGE;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, fm_deadman ? fm_shmem_deadmen(MyDatabaseId) : NIL)
	{
		FmDeadmanInfo *info = lfirst(cell);
		FmWatched	watched;
		int			slot = 0;

		while (info->evaluated_at >= oldest &&
			   fm_shmem_sensor_next(MyDatabaseId, info->pipeline_id, &slot,
									&watched))
		{
			Datum		values[WATCHED_COLUMNS];
			bool		nulls[WATCHED_COLUMNS] = {false};

			if (watched.left_alone)
				continue;
			describe(&watched, values, nulls);
			tuplestore_putvalues(result->setResult, result->setDesc, values,
								 nulls);
		}
	}
	return (Datum) 0;
}
