/*-------------------------------------------------------------------------
 *
 * maintenance.h
 *	  Maintenance windows: where and when alarms are not announced.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MAINTENANCE_H
#define FM_MAINTENANCE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "reading.h"

/*
 * Windows in force, one cache a process.  Needs a transaction and SELECT on
 * factorymon.maintenance_window (call it switched to the extension's owner);
 * reloads only after an invalidation.
 */
extern void fm_maintenance_refresh(void);

/* How many windows there are as of then; private but for the function below. */
extern int	fm_maintenance_windows;

/* Is there any window at all?  If not, nobody need look further. */
static inline bool
fm_maintenance_any(void)
{
	return fm_maintenance_windows > 0;
}

/* Does a window of the zone or the machine hold this moment? */
extern bool fm_maintenance_covers(const char *pipeline, const FmSlice *zone,
								  const FmSlice *machine_id, TimestampTz ts);

#endif							/* FM_MAINTENANCE_H */
