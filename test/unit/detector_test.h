/*-------------------------------------------------------------------------
 *
 * detector_test.h
 *	  What the tests of the detectors share.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DETECTOR_TEST_H
#define FM_DETECTOR_TEST_H

#include "../../src/detector.h"

#define SECOND		INT64_C(1000000)

/* The defaults, of a sensor of this resolution, with these detectors on. */
extern void default_params(FmDetectorParams *params, uint32_t on,
						   double resolution);

/* A value that counts, three seconds after the last one. */
extern uint32_t take(FmDetector *detector, const FmDetectorParams *params,
					 double value, FmDetectorHits *hits);

/* detector_accuracy.c */
extern void test_accuracy(void);

#endif							/* FM_DETECTOR_TEST_H */
