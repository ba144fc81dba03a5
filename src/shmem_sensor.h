/*-------------------------------------------------------------------------
 *
 * shmem_sensor.h
 *	  When each sensor was last seen, for whoever watches that they report.
 *
 * Workers say what they saw, once a batch and sensor at most, without any lock;
 * the supervisor of the database looks through it, and keeps what it thinks of
 * each sensor beside it.  Nothing that is stored depends on it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHMEM_SENSOR_H
#define FM_SHMEM_SENSOR_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Why nobody can tell how a sensor is; shown names in status.c. */
typedef enum FmUnknownReason
{
	FM_UNKNOWN_NONE,
	FM_UNKNOWN_NO_WORKER,
	FM_UNKNOWN_PAUSED,
	FM_UNKNOWN_STOPPED,
	FM_UNKNOWN_TAKING,			/* becoming, or waiting to become, its owner */
	FM_UNKNOWN_LAGGING,
	FM_UNKNOWN_DISCONNECTED,
	FM_UNKNOWN_JUST_RESUMED,	/* it has a limit's time to report */
	FM_UNKNOWN_REASONS
} FmUnknownReason;

/* A sensor as a worker saw it. */
typedef struct FmSeen
{
	int16		pipeline_id;
	int32		partition;
	int32		sensor_id;
	int32		sensor_version_id;
	TimestampTz at;
	int64		interval;		/* learned, microseconds; 0: not yet */
} FmSeen;

/* A sensor as the supervisor watches it. */
typedef struct FmWatched
{
	int			slot;
	Oid			database;
	int32		sensor_id;
	int32		sensor_version_id;
	TimestampTz last_seen;
	int64		interval;		/* learned; 0: not known */
	uint64		partitions;		/* bit n: it came through one that is n mod 64 */
	/* the supervisor's own, zero at first */
	int64		configured;		/* interval; 0: the learned one counts */
	TimestampTz known_since;	/* 0: it is not known */
	TimestampTz raised_at;		/* 0: its alarm is not up */
	int64		limit;			/* that was applied last */
	uint8		state;			/* FmDeadmanState */
	uint8		reason;			/* FmUnknownReason */
	bool		left_alone;		/* retired, or out of service */
} FmWatched;

/* What the supervisor thinks of a pipeline's sensors. */
typedef struct FmDeadmanInfo
{
	Oid			database;
	int16		pipeline_id;
	TimestampTz evaluated_at;
	int32		watched;
	int32		unwatched;		/* there was no room for them */
	int32		expected;
	int32		active;
	int32		late;
	int32		silent;			/* with an alarm of their own or not */
	int32		unknown;
	int32		left_alone;
	int32		alarms;			/* that are up, of sensors */
	int32		configured;		/* whose interval is, not learned */
	int32		reasons[FM_UNKNOWN_REASONS];
	TimestampTz mass_since;		/* 0: no mass silence */
} FmDeadmanInfo;

extern Size fm_shmem_sensors_size(void);
extern void fm_shmem_sensors_init(void);

/* Only ever moves last_seen forwards; false if there is no room. */
extern bool fm_shmem_sensor_seen(Oid database, const FmSeen *seen);

/* Slot of a sensor; -1 if it is not watched. */
extern int	fm_shmem_sensor_find(Oid database, int32 sensor_id);

/* Is there no room for another one? */
extern bool fm_shmem_sensors_are_full(void);

/* The interval that counts: configured, else learned; 0: not known. */
static inline int64
fm_watched_interval(const FmWatched *watched)
{
	return watched->configured != 0 ? watched->configured : watched->interval;
}

/* The next sensor of a pipeline (0: of any) from *slot (0 at first) on. */
extern bool fm_shmem_sensor_next(Oid database, int16 pipeline_id, int *slot,
								 FmWatched *watched);

/* Keep the supervisor's own part; of a sensor removed meanwhile, nothing. */
extern void fm_shmem_sensor_keep(const FmWatched *watched);

/* Forget those of a pipeline (0: all of the database). */
extern void fm_shmem_sensors_forget(Oid database, int16 pipeline_id);

/*
 * Forget those of all other pipelines than these.  (A worker that commits just
 * before its pipeline is dropped tells of its sensors after that.)
 */
extern void fm_shmem_sensors_forget_others(Oid database,
										   const int16 *pipeline_ids, int n);

/* Whoever was seen ahead of the time (the clock was set back) was seen then. */
extern void fm_shmem_sensor_set_back(const FmWatched *watched,
									 TimestampTz now);

extern void fm_shmem_deadman_publish(const FmDeadmanInfo *info);
extern List *fm_shmem_deadmen(Oid database);	/* of FmDeadmanInfo * */

#endif							/* FM_SHMEM_SENSOR_H */
