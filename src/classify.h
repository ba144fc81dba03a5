/*-------------------------------------------------------------------------
 *
 * classify.h
 *	  The pure classification (classify.c), and the limits in force
 *	  (limits.c).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CLASSIFY_H
#define FM_CLASSIFY_H

#include "postgres.h"

#include "lifecycle.h"

/*
 * Level of a finite value: a limit is crossed when it is reached (>= on the
 * high side, <= on the low side); the worse level wins.  Pure.
 */
extern FmLevel fm_classify(double value, const FmLimits *limits,
						   FmSide *side);

/* As shown to users: normal, warning, critical; low, high or NULL. */
extern const char *fm_level_name(FmLevel level);
extern const char *fm_side_name(FmSide side);

/*
 * The limits in force, one cache a process.  fm_limits_refresh() needs a
 * transaction and SELECT on factorymon.threshold (call it switched to the
 * extension's owner); it reloads only after an invalidation, and returns a
 * number that changes with every reload: what fm_limits_find() returned before
 * is not valid any more then.
 */
extern uint32 fm_limits_refresh(void);

/*
 * That number, without a transaction; 0 if nothing was loaded yet, or what was
 * is known not to be in force any more.
 */
extern uint32 fm_limits_loaded(void);

/* Does any row of what was loaded say how often something reports? */
extern bool fm_limits_have_intervals(void);

/*
 * Limits of one sensor: the row of the sensor itself, else of its machine,
 * else of its zone, else of its type, each first for this pipeline and then
 * for any; else the built-in default of the type; else none.
 */
extern const FmLimits *fm_limits_find(const char *pipeline,
									  const FmSlice *sensor_type,
									  const FmSlice *zone,
									  const FmSlice *machine_id,
									  const FmSlice *sensor_id);

#endif							/* FM_CLASSIFY_H */
