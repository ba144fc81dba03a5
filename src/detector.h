/*-------------------------------------------------------------------------
 *
 * detector.h
 *	  Readings that are unlike those before them, whatever their limits are.
 *
 * This module is pure, as lifecycle.h is: it knows neither PostgreSQL nor
 * librdkafka, allocates nothing and asks nobody for the time.  What it finds
 * is a function of a sensor's state before and of the reading, and so is the
 * state afterwards.  Times are microseconds since 2000-01-01 00:00 UTC.
 *
 * State and parameters are written to disk as they are, so that what a crash
 * took can be found again: their members are ordered to leave no padding and
 * have fixed sizes.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DETECTOR_H
#define FM_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lifecycle.h"

/* In the order of FmCondition, and stored: a number keeps its meaning. */
typedef enum FmDetectorKind
{
	FM_DETECTOR_ANOMALY = 0,	/* far from the recent values */
	FM_DETECTOR_RATE = 1,		/* changes too fast */
	FM_DETECTOR_FLAT = 2,		/* does not change at all */
	FM_DETECTOR_SEQUENCE = 3,	/* reading_count: gaps and repeats */
	FM_DETECTOR_TIME = 4,		/* timestamps out of order, or in the future */
	FM_DETECTOR_SEASONAL = 5,	/* unusual for the hour of the day */
	FM_DETECTORS
} FmDetectorKind;

#define FM_DETECTOR_BIT(kind)	(UINT32_C(1) << (kind))

/* Those that look at values. */
#define FM_DETECTOR_VALUES \
	(FM_DETECTOR_BIT(FM_DETECTOR_ANOMALY) | \
	 FM_DETECTOR_BIT(FM_DETECTOR_RATE) | \
	 FM_DETECTOR_BIT(FM_DETECTOR_FLAT) | \
	 FM_DETECTOR_BIT(FM_DETECTOR_SEASONAL))

/* What is learned of values. */
typedef enum FmLearned
{
	FM_LEARNED_VALUE = 0,		/* detector anomaly; others use it, too */
	FM_LEARNED_CHANGE = 1,		/* detector rate: from reading to reading */
	FM_LEARNED_HOUR = 2,		/* detector seasonal */
	FM_LEARNED_KINDS
} FmLearned;

/* How a mean and a variance are learned. */
typedef struct FmLearning
{
	double		weight;			/* of a new reading, in (0, 1) */
	double		time_constant;	/* if above 0, the weight follows from it */
	double		clip;			/* what is further out counts as this far */
	double		unbias;			/* fm_detector_unbias(clip) */
	int64_t		after;			/* readings (hours of day: days) before it
								 * judges */
} FmLearning;

/* Alarms of one detector. */
typedef struct FmDetectorAlarm
{
	int64_t		re_alarm_after; /* as in FmLimits */
	int32_t		raise_after;	/* hits in a row, from 1 */
	int32_t		return_after;	/* readings without one in a row, from 1 */
	int32_t		version;		/* of the detector's parameters */
	int16_t		severity;		/* 1-1000 */
	uint8_t		on;				/* it raises alarms */
	uint8_t		options;		/* FM_DETECTOR_* below */
} FmDetectorAlarm;

#define FM_DETECTOR_ACKNOWLEDGED	0x01	/* FmLimits.wants_acknowledgement */
#define FM_DETECTOR_SHELVABLE		0x02

#define FM_DETECTOR_TYPE_SIZE	64

/* Parameters for one sensor type. */
typedef struct FmDetectorParams
{
	char		sensor_type[FM_DETECTOR_TYPE_SIZE]; /* padded with zeros */

	/*
	 * Level from which on a score is a hit: deviations (anomaly, rate,
	 * seasonal), readings (flat), numbers (sequence), seconds of lateness
	 * (time; being in the future always is one).
	 */
	double		report[FM_DETECTORS];
	FmLearning	learning[FM_LEARNED_KINDS];
	double		resolution;		/* of the sensor: deviations are at least this */
	double		tolerance;		/* flat: values so close are the same */
	int64_t		flat_time;		/* ... for so long */
	double		per_minute;		/* rate: fixed limit; 0: none */
	int64_t		span;			/* ... over at least so long */
	int64_t		utc_offset;		/* seasonal: of the plant's clock */
	FmDetectorAlarm alarms[FM_DETECTORS];
	uint32_t	on;				/* FM_DETECTOR_BIT()s */
	uint32_t	type;			/* stands for sensor_type; not 0 */
} FmDetectorParams;

/* First readings, from which mean and deviation are taken to begin with. */
#define FM_DETECTOR_FIRST	32

#define FM_DETECTOR_HOURS	24

/* What is usual in one hour of the day. */
typedef struct FmSeason
{
	double		mean;
	float		variance;
	uint16_t	readings;		/* stays at its maximum */
	uint8_t		days;			/* on which there were any; likewise */
	uint8_t		unused;			/* zero */
} FmSeason;

/* State of one sensor. */
typedef struct FmDetector
{
	int64_t		ts;				/* last value taken in; FM_NEVER: none */
	double		value;
	double		mean;			/* of values */
	double		variance;
	double		change_variance;	/* of changes, whose mean is 0 */

	/* run of readings that are the same */
	double		run_low;
	double		run_high;
	int64_t		run_since;

	/* where the present span of the fixed limit of change began */
	double		span_value;
	int64_t		span_since;		/* FM_NEVER: nowhere */

	uint32_t	hits[FM_DETECTORS]; /* in a row */
	uint16_t	misses[FM_DETECTORS];	/* in a row; stays at its maximum */
	int8_t		signal[FM_DETECTORS];	/* -1, 0, 1: see fm_detector_limits() */
	uint8_t		on;				/* detectors when it was called last */
	uint8_t		unused;			/* zero */
	uint32_t	learned;		/* readings; stays at its maximum */
	uint32_t	run;			/* readings in the run; likewise */
	float		run_deviation;	/* of values, when the run began */
	int32_t		hour;			/* last one, counted from 2000 */
	int32_t		sensor_id;
	uint32_t	type;			/* FmDetectorParams.type */
	uint32_t	number;			/* FmDetectorReading.number of the last one */
	union
	{
		double		first[FM_DETECTOR_FIRST];	/* until they are enough */
		FmSeason	hours[FM_DETECTOR_HOURS];	/* ... and then */
	};
} FmDetector;

/* A reading, as detectors see it. */
typedef struct FmDetectorReading
{
	int64_t		ts;
	double		value;
	uint32_t	number;			/* of the sensor's readings, all of them */
	bool		counts;			/* the value does: neither late nor future,
								 * nor of low quality */
	bool		gap;			/* nobody knows what was before it */
	bool		late;
	bool		future;
	bool		numbered;		/* has a reading_count */
	uint32_t	missing;		/* numbers known only now never to come */
	uint32_t	repeated;		/* numbers that came before */
	double		seconds;		/* how late, or how far in the future */
} FmDetectorReading;

/* What they found. */
typedef struct FmDetectorHits
{
	uint32_t	hits;			/* FM_DETECTOR_BIT()s */
	uint32_t	stored;			/* those of them worth storing */
	double		scores[FM_DETECTORS];	/* where there is a hit; not NaN */
} FmDetectorHits;

/*
 * What the mean square of a standard Gaussian becomes when what is beyond clip
 * is taken for clip: a variance learned so must be divided by it.
 */
extern double fm_detector_unbias(double clip);

/* A sensor of which nothing is known. */
extern void fm_detector_init(FmDetector *detector, int32_t sensor_id);

/*
 * fm_detector_take
 *		Take in the next reading of a sensor; hits tells what is unlike those
 *		before it.
 *
 * A detector that was switched off has forgotten what it knew, and all have if
 * they missed a reading (its number tells) or the sensor's type is another.
 */
extern void fm_detector_take(FmDetector *detector,
							 const FmDetectorParams *params,
							 const FmDetectorReading *reading,
							 FmDetectorHits *hits);

/*
 * fm_detector_limits
 *		What detector->signal[kind] is judged by as an alarm: 1 and -1 are
 *		beyond its limits, 0 is not.
 *
 * Limits of nothing where it raises no alarms, or where params is NULL.
 * Delays are counted in readings, and are in the signal already.
 */
extern void fm_detector_limits(const FmDetectorParams *params,
							   FmDetectorKind kind, FmLimits *limits);

#endif							/* FM_DETECTOR_H */
