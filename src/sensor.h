/*-------------------------------------------------------------------------
 *
 * sensor.h
 *	  From the names in a reading to small numbers, and their registration.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SENSOR_H
#define FM_SENSOR_H

#include "postgres.h"

#include "batch.h"
#include "classify.h"
#include "detector.h"

/* A sensor as it describes itself at one time: one row of sensor_version. */
typedef struct FmSensor
{
	int32		sensor_id;
	int32		sensor_version_id;
	uint32		limits_generation;	/* of limits; 0: not looked up yet */
	int32		fold_number;	/* where fold.c found its state last: a guess */
	const FmLimits *limits;		/* valid while that is the generation */
	const FmDetectorParams *detectors;	/* likewise; NULL: all are off */
	int32		detector_number;	/* as fold_number */
	TimestampTz seen_at;		/* what fold_seen.c said of it last */
	/* the rest is private to sensor.c */
} FmSensor;

typedef struct FmSensorCache FmSensorCache;

/*
 * A cache of one pipeline's sensors in a memory context of its own below
 * parent.  After an aborted transaction in which fm_sensor_register() ran,
 * fm_sensor_cache_reset() must be called.
 */
extern FmSensorCache *fm_sensor_cache_create(MemoryContext parent,
											 int16 pipeline_id,
											 const char *pipeline_name);
extern void fm_sensor_cache_reset(FmSensorCache *cache);

/* The entry of a reading's sensor, with limits of the given generation
 * (see fm_limits_refresh); NULL if it is not cached.  Reads memory only.  The
 * entry stays valid for the running batch, until fm_sensor_cache_reset(). */
extern FmSensor *fm_sensor_find(FmSensorCache *cache,
								const FmReading *reading,
								uint32 limits_generation);

/*
 * The same for the sensors of rows[0..nrows), several at a time, so that their
 * way through the caches of the processor overlaps.  Sets row->sensor, NULL if
 * it is not cached; returns whether all are.
 */
extern bool fm_sensor_find_rows(FmSensorCache *cache, FmRow *rows, int nrows,
								uint32 limits_generation);

/* Is it in a maintenance window, of the last fm_maintenance_refresh()? */
extern bool fm_sensor_in_maintenance(const FmSensor *sensor,
									 const char *pipeline, TimestampTz ts);

/* Bring the limits of an entry that was found before to this generation. */
extern void fm_sensor_refresh(FmSensorCache *cache, FmSensor *sensor,
							  uint32 limits_generation);

/*
 * fm_sensor_register
 *		Look up, or register, the sensors of n readings that are not cached.
 *
 * Runs in the caller's transaction, switched to the extension's owner by the
 * caller, at READ COMMITTED.  Afterwards fm_sensor_find() finds each of
 * them, except those beyond factorymon.max_sensors or
 * factorymon.max_sensor_versions, which the caller rejects
 * (FM_REJECT_TOO_MANY_SENSORS).  Registers unknown sensor types too.  Throws a
 * unique violation if somebody else has registered one of them meanwhile: then
 * it is to be tried again.
 */
extern void fm_sensor_register(FmSensorCache *cache,
							   const FmReading **readings, int n);

/*
 * Delete the sensors of a pipeline whose row the caller's transaction has
 * deleted, as the extension's owner, connected to SPI.
 */
extern void fm_sensor_delete_all(int16 pipeline_id);

#endif							/* FM_SENSOR_H */
