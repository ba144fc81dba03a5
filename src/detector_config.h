/*-------------------------------------------------------------------------
 *
 * detector_config.h
 *	  The detectors in force: a cache of factorymon.detector.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DETECTOR_CONFIG_H
#define FM_DETECTOR_CONFIG_H

#include "postgres.h"

#include "detector.h"

/*
 * fm_detectors_refresh
 *		Load anew what has changed; returns whether it was: what the functions
 *		below returned before is not valid any more then.
 *
 * Part of fm_limits_refresh(), which everybody else calls, and with the same
 * needs.
 */
extern bool fm_detectors_refresh(void);

/* Changes with every load; 0: there was none. */
extern uint32 fm_detectors_generation(void);

/* Parameters of all types that have a row. */
extern const FmDetectorParams *fm_detectors_all(int *n);

/* Those of a type; NULL if all its detectors are off. */
extern const FmDetectorParams *fm_detectors_find(const FmSlice *sensor_type);

#endif							/* FM_DETECTOR_CONFIG_H */
