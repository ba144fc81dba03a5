/*-------------------------------------------------------------------------
 *
 * detector_test.c
 *	  Detectors against what was computed by hand beforehand.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detector_test.h"
#include "expect.h"

#define BIT(name)	FM_DETECTOR_BIT(FM_DETECTOR_##name)

void
default_params(FmDetectorParams *params, uint32_t on, double resolution)
{
	static const double report[FM_DETECTORS] = {5, 5, 20, 1, 0, 5};

	memset(params, 0, sizeof(*params));
	strcpy(params->sensor_type, "temperature");
	params->type = 1;
	params->on = on;
	params->resolution = resolution;
	memcpy(params->report, report, sizeof(report));
	for (int i = 0; i < FM_LEARNED_KINDS; i++)
	{
		params->learning[i].weight = 0.01;
		params->learning[i].clip = i == FM_LEARNED_HOUR ? 2 : 1.5;
		params->learning[i].unbias =
			fm_detector_unbias(params->learning[i].clip);
		params->learning[i].after = i == FM_LEARNED_HOUR ? 3 : 200;
	}
	params->learning[FM_LEARNED_HOUR].time_constant = 10800 * SECOND;
	params->flat_time = 60 * SECOND;
	params->span = 30 * SECOND;
	for (int i = 0; i < FM_DETECTORS; i++)
	{
		params->alarms[i].raise_after = i == FM_DETECTOR_ANOMALY ? 3 : 1;
		params->alarms[i].return_after = 2;
		params->alarms[i].severity = 200;
		params->alarms[i].version = 7 + i;
		params->alarms[i].on = 1;
	}
}

uint32_t
take(FmDetector *detector, const FmDetectorParams *params, double value,
	 FmDetectorHits *hits)
{
	FmDetectorReading reading = {
		.ts = detector->ts == FM_NEVER ? 0 : detector->ts + 3 * SECOND,
		.number = detector->number + 1,
		.value = value,
		.counts = true
	};

	fm_detector_take(detector, params, &reading, hits);
	return hits->hits;
}

static bool
near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

/*
 * 32 first values: 16 of 9 and 16 of 11, in turns, so the median is 10 and the
 * median absolute deviation 1; each change is 2.
 */
static void
take_first(FmDetector *detector, const FmDetectorParams *params)
{
	FmDetectorHits hits;

	fm_detector_init(detector, 1);
	for (int i = 0; i < FM_DETECTOR_FIRST; i++)
		(void) take(detector, params, i % 2 == 0 ? 9 : 11, &hits);
}

static void
test_unbias(void)
{
	ok(fabs(fm_detector_unbias(1.5) - 0.7785) < 0.0001, "k of 1.5");
	ok(fabs(fm_detector_unbias(2) - 0.9205) < 0.0001, "k of 2");
	ok(fabs(fm_detector_unbias(10) - 1) < 1e-9, "k of 10");
}

static void
test_start(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;
	double		v = 1.4826 * 1.4826;
	double		k = fm_detector_unbias(1.5);

	default_params(&params, BIT(ANOMALY) | BIT(RATE), 0.01);
	take_first(&detector, &params);
	ok(near(detector.mean, 10), "the median of the first readings");
	ok(near(detector.variance, v), "and their median absolute deviation");
	ok(near(detector.change_variance, v * 4), "likewise of changes");

	/* x - m = 1, below 1.5 s = 2.2239, is not clipped */
	params.learning[FM_LEARNED_VALUE].after = 32;
	params.learning[FM_LEARNED_CHANGE].after = 32;
	ok(take(&detector, &params, 11, &hits) == 0, "a usual value");
	ok(near(detector.mean, 10.01), "moves the mean by a hundredth");
	ok(near(detector.variance, 0.99 * v + 0.01 / k), "and the variance");

	/* z by what was before the reading; what is learned is clipped */
	v = detector.variance;
	ok((take(&detector, &params, 30, &hits) & BIT(ANOMALY)) != 0,
	   "a value far away");
	ok(near(hits.scores[FM_DETECTOR_ANOMALY], 19.99 / sqrt(v)),
	   "its score: %g", hits.scores[FM_DETECTOR_ANOMALY]);
	ok(near(detector.mean, 10.01 + 0.01 * 1.5 * sqrt(v)),
	   "it moves the mean as one and a half deviations do");
	ok(near(detector.variance, 0.99 * v + 0.01 * 2.25 * v / k),
	   "and the variance");
	ok((take(&detector, &params, -20, &hits) & BIT(ANOMALY)) != 0 &&
	   hits.scores[FM_DETECTOR_ANOMALY] < 0, "the other way it is negative");
}

static void
test_resolution(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;

	default_params(&params, BIT(ANOMALY), 0.5);
	params.learning[FM_LEARNED_VALUE].after = 32;
	fm_detector_init(&detector, 1);
	for (int i = 0; i < 300; i++)
		(void) take(&detector, &params, 20, &hits);
	ok(detector.variance == 0, "constant values");
	ok(take(&detector, &params, 22, &hits) == 0 && detector.variance > 0,
	   "no deviation is less than the resolution");
	fm_detector_init(&detector, 1);
	for (int i = 0; i < 300; i++)
		(void) take(&detector, &params, 20, &hits);
	ok(take(&detector, &params, 22.5, &hits) == BIT(ANOMALY) &&
	   hits.scores[0] == 5, "five of them are a hit");

	params.resolution = 0;
	fm_detector_init(&detector, 1);
	for (int i = 0; i < 300; i++)
		(void) take(&detector, &params, 0, &hits);
	ok(take(&detector, &params, 3, &hits) == 0, "where none is known, not");
	for (int i = 0; i < 300; i++)
		(void) take(&detector, &params, i % 2 == 0 ? 1e300 : -1e300, &hits);
	ok(isfinite(detector.mean) && isfinite(detector.variance) &&
	   isfinite(detector.change_variance), "no value is too large");
}

static void
test_weight_by_time(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;

	default_params(&params, BIT(ANOMALY), 0.01);
	params.learning[FM_LEARNED_VALUE].time_constant = 297 * SECOND;
	take_first(&detector, &params);
	(void) take(&detector, &params, 11, &hits);
	ok(near(detector.mean, 10.01), "three seconds of three hundred");
}

static void
test_rate(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;
	FmDetectorReading late;

	default_params(&params, BIT(RATE), 0.01);
	params.learning[FM_LEARNED_CHANGE].after = 32;
	take_first(&detector, &params);
	/* the last value was 11, a deviation of changes is 2.9652 */
	ok(take(&detector, &params, 26, &hits) == BIT(RATE) &&
	   near(hits.scores[FM_DETECTOR_RATE], 15 / 2.9652), "up");
	ok(take(&detector, &params, 10, &hits) == 0, "and not on the way back");
	take_first(&detector, &params);
	late = (FmDetectorReading) {
		.ts = detector.ts + 60 * SECOND, .number = detector.number + 1,
		.value = 26, .counts = true, .gap = true
	};
	fm_detector_take(&detector, &params, &late, &hits);
	ok(hits.hits == 0, "nor after a gap");

	/* a fixed limit of 12 a minute: 6 in 30 s */
	params.per_minute = 12;
	params.report[FM_DETECTOR_RATE] = 100;
	take_first(&detector, &params);
	(void) take(&detector, &params, 10, &hits);
	for (int i = 1; i < 10; i++)
		ok(take(&detector, &params, 10 + i * 0.65, &hits) == 0,
		   "within the span %d", i);
	ok(take(&detector, &params, 16, &hits) == BIT(RATE) &&
	   near(hits.scores[FM_DETECTOR_RATE], 100), "at its end: the limit");
	for (int i = 1; i < 10; i++)
		(void) take(&detector, &params, 16, &hits);
	ok(take(&detector, &params, 10.1, &hits) == 0, "not quite");
}

static void
test_flat(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;
	int			found = 0;
	int			stored = 0;
	double		variance;

	default_params(&params, BIT(FLAT), 0.01);
	take_first(&detector, &params);
	for (int i = 1; i <= 20; i++)
		found += take(&detector, &params, 10.5, &hits) != 0;
	ok(found == 0, "twenty in less than a minute are not enough");
	variance = detector.variance;
	ok(take(&detector, &params, 10.5, &hits) == BIT(FLAT) &&
	   hits.scores[FM_DETECTOR_FLAT] == 21, "a minute is");
	for (int i = 1; i <= 1000; i++)
	{
		(void) take(&detector, &params, 10.5, &hits);
		stored += (hits.stored & BIT(FLAT)) != 0;
	}
	ok(detector.variance == variance, "it teaches nothing");
	ok(stored == 9, "of a thousand more, those of powers of two are stored");
	ok(take(&detector, &params, 10.6, &hits) == 0, "until it moves");

	params.tolerance = 0.2;
	take_first(&detector, &params);
	for (int i = 1; i <= 20; i++)
		(void) take(&detector, &params, 10.5 + i % 3 * 0.1, &hits);
	ok(take(&detector, &params, 10.5, &hits) == BIT(FLAT), "within 0.2");
	ok(take(&detector, &params, 10.8, &hits) == 0, "beyond it");

	/* a sensor whose deviation is below its resolution often says the same */
	params.resolution = 2;
	params.tolerance = 0;
	take_first(&detector, &params);
	found = 0;
	for (int i = 1; i <= 100; i++)
		found += take(&detector, &params, 10, &hits) != 0;
	ok(found == 0, "coarse sensors are left alone");
}

/* A reading without a value that counts. */
static uint32_t
take_other(FmDetector *detector, const FmDetectorParams *params,
		   uint32_t missing, uint32_t repeated, double late, bool future,
		   FmDetectorHits *hits)
{
	FmDetectorReading reading = {
		.ts = 0, .number = detector->number + 1, .numbered = true,
		.missing = missing, .repeated = repeated, .late = late > 0,
		.seconds = late, .future = future
	};

	fm_detector_take(detector, params, &reading, hits);
	return hits->hits;
}

static void
test_sequence_and_time(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;

	default_params(&params, BIT(SEQUENCE) | BIT(TIME), 0.01);
	fm_detector_init(&detector, 1);
	ok(take_other(&detector, &params, 0, 0, 0, false, &hits) == 0, "in order");
	ok(take_other(&detector, &params, 3, 0, 0, false, &hits) ==
	   BIT(SEQUENCE) && hits.scores[FM_DETECTOR_SEQUENCE] == 3, "three gaps");
	ok(take_other(&detector, &params, 0, 1, 0, false, &hits) ==
	   BIT(SEQUENCE) && hits.scores[FM_DETECTOR_SEQUENCE] == 1, "a repeat");
	ok(take_other(&detector, &params, 0, 0, 4, false, &hits) == BIT(TIME) &&
	   hits.scores[FM_DETECTOR_TIME] == -4, "late by four seconds");
	ok(take_other(&detector, &params, 0, 0, 0, true, &hits) == BIT(TIME),
	   "in the future");
	params.report[FM_DETECTOR_TIME] = 5;
	ok(take_other(&detector, &params, 0, 0, 4, false, &hits) == 0,
	   "lateness below the level");
}

static double
pattern(int hour)
{
	return hour % 24 >= 6 && hour % 24 < 14 ? 40 : 20;
}

static void
test_seasonal(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;
	int			found = 0;
	int			minute = 0;

	default_params(&params, BIT(SEASONAL), 0.01);
	params.utc_offset = 2 * 3600 * SECOND;
	fm_detector_init(&detector, 1);
	for (; minute < 10 * 24 * 60; minute++)
	{
		FmDetectorReading reading = {
			.ts = minute * 60 * SECOND, .number = detector.number + 1,
			.value = pattern(minute / 60) + minute * 7 % 11 * 0.1,
			.counts = true
		};

		fm_detector_take(&detector, &params, &reading, &hits);
		found += hits.hits != 0;
	}
	ok(found == 0, "shifts are usual: %d", found);
	ok(detector.hours[(7 + 2) % 24].days == 10, "every day was seen");
	ok(fabs(detector.hours[8 + 2].mean - 40.5) < 0.1, "day shift: %g",
	   detector.hours[8 + 2].mean);
	ok(fabs(detector.hours[20 + 2].mean - 20.5) < 0.1, "night: %g",
	   detector.hours[20 + 2].mean);
	for (int i = 0; i < 60; i++, minute++)
	{
		FmDetectorReading reading = {
			.ts = minute * 60 * SECOND, .number = detector.number + 1,
			.value = 40, .counts = true
		};

		fm_detector_take(&detector, &params, &reading, &hits);
		found += hits.hits == BIT(SEASONAL);
	}
	ok(found == 60, "the day's value at night is not: %d", found);
}

static void
test_signal(void)
{
	FmDetectorParams params;
	FmDetector	detector;
	FmDetectorHits hits;
	FmLimits	limits;

	default_params(&params, BIT(ANOMALY), 0.01);
	params.learning[FM_LEARNED_VALUE].after = 32;
	take_first(&detector, &params);
	(void) take(&detector, &params, -30, &hits);
	(void) take(&detector, &params, -30, &hits);
	ok(detector.signal[0] == 0, "two hits are two");
	(void) take(&detector, &params, 10, &hits);
	(void) take(&detector, &params, -30, &hits);
	(void) take(&detector, &params, -30, &hits);
	ok(detector.signal[0] == 0, "and two again");
	(void) take(&detector, &params, -30, &hits);
	ok(detector.signal[0] == -1, "three in a row are a signal");
	(void) take(&detector, &params, 10, &hits);
	ok(detector.signal[0] == -1, "one without a hit");
	(void) take(&detector, &params, -30, &hits);
	(void) take(&detector, &params, 10, &hits);
	ok(detector.signal[0] == -1, "is not two in a row");
	(void) take(&detector, &params, 10, &hits);
	ok(detector.signal[0] == 0, "which end it");

	fm_detector_limits(&params, FM_DETECTOR_ANOMALY, &limits);
	ok(limits.warning_high == 1 && limits.warning_low == -1 &&
	   isnan(limits.critical_high) && isnan(limits.critical_low) &&
	   limits.severity[0] == 200 && limits.version == 7, "limits of a signal");
	fm_detector_limits(&params, FM_DETECTOR_RATE, &limits);
	ok(isnan(limits.warning_high) && limits.version == 8, "off: none");
	fm_detector_limits(NULL, FM_DETECTOR_RATE, &limits);
	ok(isnan(limits.warning_high) && limits.version == 0, "nobody's: none");
}

static void
test_forgetting(void)
{
	FmDetectorParams params;
	FmDetectorParams other;
	FmDetector	detector;
	FmDetector	fresh;
	FmDetectorHits hits;
	FmDetectorReading missed = {.counts = true, .value = 10};

	default_params(&params, BIT(ANOMALY) | BIT(TIME), 0.01);
	default_params(&other, BIT(ANOMALY) | BIT(TIME), 0.01);
	take_first(&detector, &params);
	detector.signal[FM_DETECTOR_TIME] = 1;
	missed.ts = detector.ts + 9 * SECOND;
	missed.number = detector.number + 2;
	fm_detector_take(&detector, &params, &missed, &hits);
	ok(detector.learned == 1 && detector.misses[FM_DETECTOR_TIME] == 1 &&
	   detector.signal[FM_DETECTOR_TIME] == 0, "a reading missed: it was off");

	take_first(&detector, &params);
	other.type = 2;
	(void) take(&detector, &other, 10, &hits);
	ok(detector.learned == 1 && detector.type == 2, "another type");

	take_first(&detector, &params);
	(void) take(&detector, &params, 10, &hits);
	other.type = 1;
	other.on = BIT(TIME);
	(void) take(&detector, &other, 10, &hits);
	ok(detector.misses[FM_DETECTOR_TIME] == FM_DETECTOR_FIRST + 2,
	   "what stays on goes on counting");
	other.on |= BIT(ANOMALY);
	(void) take(&detector, &other, 10, &hits);
	ok(detector.learned == 1, "off and on again");

	fm_detector_init(&fresh, 5);
	ok(fresh.sensor_id == 5 && fresh.ts == FM_NEVER && fresh.learned == 0,
	   "a new one");
}

int
main(void)
{
	test_unbias();
	test_start();
	test_resolution();
	test_weight_by_time();
	test_rate();
	test_flat();
	test_sequence_and_time();
	test_seasonal();
	test_signal();
	test_forgetting();
	test_accuracy();
	return done_testing();
}
