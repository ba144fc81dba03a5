/*-------------------------------------------------------------------------
 *
 * detector.c
 *	  Readings that are unlike those before them, whatever their limits are.
 *
 * All of it takes constant time and room.  x is a value, m and v the mean and
 * the variance learned before it, s = max(sqrt(v), resolution).
 *
 * anomaly: z = (x - m) / s.  Learning is an exponentially weighted mean and
 *	variance (Finch, Incremental calculation of weighted mean and variance,
 *	2009) of winsorised residuals (Huber, Robust estimation of a location
 *	parameter, 1964): with r = x - m clipped to c s on both sides,
 *
 *		m += a r		v = (1 - a) v + a r^2 / k
 *
 *	where k makes v unbiased for Gaussian values.  Without the clipping, values
 *	of prevalence p far away make their own variance, and their z never exceeds
 *	sqrt((1 - p) / p): 2 for one in five.  Clipped at c they are found as long
 *	as p < k / c^2, which is 35 % for c = 1.5.
 *
 *	It begins with the median of the first 32 values, and 1.4826 times their
 *	median absolute deviation (Rousseeuw and Croux, 1993).
 *
 * rate: D / s' of the change D since the reading before, whose variance is
 *	learned in the same way with mean 0 (the rate of change test of the IOOS
 *	QARTOD manual, 2016, with a learned limit).  Only changes that lead away
 *	from m: else each spike would be found twice, coming and going.  Beside it
 *	an optional fixed limit of units per minute, over spans long enough for
 *	noise not to matter.
 *
 * flat: a run of readings within a tolerance, so many and for so long (QARTOD's
 *	flat line test), where the deviation learned before the run was not below
 *	the resolution: there, such runs are usual.  What is flat teaches nothing.
 *
 * sequence: numbers that never came or came twice, as fold_take.c finds them
 *	with the window of RFC 4303.
 *
 * time: readings flagged late or future by fold.c.
 *
 * seasonal: z against what is usual in this hour of the day (a seasonal
 *	profile without trend; Winters, Forecasting sales by exponentially weighted
 *	moving averages, 1960), each hour learned as values are, with weights by
 *	time; until those are larger, all readings of the hour weigh the same.
 *
 * The weight of a reading that came d after the one before is d / (t + d) for
 * a time constant t: a first-order lag, by the backward Euler method.  It
 * differs little from 1 - exp(-d / t), and comes out the same on every machine.
 *
 * Alarms.  Each detector has a signal: on (1, or -1 for what is too low) from
 * so many hits in a row on, until so many readings in a row were none.  The
 * signal goes through lifecycle.c as if it were a value with limits at 1 and
 * -1, without delays or deadband.  So a crash loses nothing: the counts are
 * state that is rebuilt, and the alarm itself changes only in transitions,
 * each of which is recorded.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "detector.h"

_Static_assert(sizeof(FmDetectorParams) == 432,
			   "FmDetectorParams must have no padding");
_Static_assert(sizeof(FmSeason) == 16, "FmSeason must have no padding");
_Static_assert(sizeof(FmDetector) == 536,
			   "FmDetector must have no padding");

#define HOUR			INT64_C(3600000000)

/* An hour of the day begins with its first value and the deviation learned of
 * all values, which count as much as this many readings. */
#define FIRST_OF_HOUR	8

/* Scores are kept to what people can tell apart, and values to what can be
 * squared. */
#define MAX_SCORE		1e6
#define MAX_VALUE		1e17

/* Least deviation where the resolution is not known, relative to the mean. */
#define RELATIVE_RESOLUTION	1e-6

/* Median absolute deviation to standard deviation, for Gaussian values. */
#define MAD_TO_DEVIATION	1.4826

double
fm_detector_unbias(double clip)
{
	double		root2 = sqrt(2.0);
	double		density = exp(-clip * clip / 2) / sqrt(2 * acos(-1.0));

	return erf(clip / root2) - 2 * clip * density +
		clip * clip * erfc(clip / root2);
}

void
fm_detector_init(FmDetector *detector, int32_t sensor_id)
{
	memset(detector, 0, sizeof(*detector));
	detector->sensor_id = sensor_id;
	detector->ts = FM_NEVER;
	detector->span_since = FM_NEVER;
}

/* Forget what one detector counted. */
static void
forget_counts(FmDetector *detector, int kind)
{
	detector->hits[kind] = 0;
	detector->misses[kind] = 0;
	detector->signal[kind] = 0;
}

/* Forget what was learned of values. */
static void
forget_values(FmDetector *detector)
{
	FmDetector	before = *detector;

	fm_detector_init(detector, before.sensor_id);
	detector->on = before.on;
	detector->type = before.type;
	detector->number = before.number;
	for (int i = 0; i < FM_DETECTORS; i++)
	{
		if (FM_DETECTOR_VALUES & FM_DETECTOR_BIT(i))
			continue;
		detector->hits[i] = before.hits[i];
		detector->misses[i] = before.misses[i];
		detector->signal[i] = before.signal[i];
	}
}

/* Other detectors are on than last time. */
static void
switch_detectors(FmDetector *detector, uint32_t on)
{
	uint32_t	changed = detector->on ^ on;

	if ((detector->on & FM_DETECTOR_VALUES) == 0)
		forget_values(detector);
	for (int i = 0; i < FM_DETECTORS; i++)
	{
		if (changed & FM_DETECTOR_BIT(i))
			forget_counts(detector, i);
	}
	if (changed & FM_DETECTOR_BIT(FM_DETECTOR_FLAT))
		detector->run = 0;
	if (changed & FM_DETECTOR_BIT(FM_DETECTOR_RATE))
		detector->span_since = FM_NEVER;
	if ((changed & FM_DETECTOR_BIT(FM_DETECTOR_SEASONAL)) &&
		detector->learned >= FM_DETECTOR_FIRST)
		memset(detector->hours, 0, sizeof(detector->hours));
	detector->on = on;
}

/* ------------------------------------------------------------------------
 * Hits
 * ------------------------------------------------------------------------
 */

/*
 * One detector has looked at a reading.  Of a long row of hits not all are
 * worth storing where each says the same as the one before: then those number
 * 1, 2, 4, 8 and so on are.
 */
static void
note(FmDetector *detector, const FmDetectorParams *params, FmDetectorHits *hits,
	 FmDetectorKind kind, bool hit, double score)
{
	const FmDetectorAlarm *alarm = &params->alarms[kind];
	uint32_t	row;

	if (!hit)
	{
		detector->hits[kind] = 0;
		if (detector->misses[kind] < UINT16_MAX)
			detector->misses[kind]++;
		if (detector->misses[kind] >= alarm->return_after)
			detector->signal[kind] = 0;
		return;
	}
	detector->misses[kind] = 0;
	if (detector->hits[kind] < UINT32_MAX)
		detector->hits[kind]++;
	row = detector->hits[kind];
	if (row >= (uint32_t) alarm->raise_after && detector->signal[kind] == 0)
		detector->signal[kind] = score < 0 ? -1 : 1;

	hits->hits |= FM_DETECTOR_BIT(kind);
	hits->scores[kind] = fmax(-MAX_SCORE, fmin(score, MAX_SCORE));
	if ((row & (row - 1)) == 0 || kind == FM_DETECTOR_ANOMALY ||
		kind == FM_DETECTOR_RATE || kind == FM_DETECTOR_SEQUENCE)
		hits->stored |= FM_DETECTOR_BIT(kind);
}

/* ------------------------------------------------------------------------
 * Learning
 * ------------------------------------------------------------------------
 */

/* No deviation is less: the sensor cannot tell values that are closer. */
static double
least_deviation(const FmDetector *detector, const FmDetectorParams *params)
{
	return params->resolution > 0 ? params->resolution :
		RELATIVE_RESOLUTION * fabs(detector->mean);
}

/* Deviations from usual; nothing is unusual where no deviation is known. */
static double
score_of(double delta, double deviation)
{
	return deviation > 0 ? delta / deviation : 0;
}

static double
clipped(double delta, double limit)
{
	/* what never varied has no deviation to clip to */
	return limit > 0 ? fmax(-limit, fmin(delta, limit)) : delta;
}

static double
weight_of(const FmLearning *learning, double elapsed)
{
	return learning->time_constant > 0 ?
		fmax(elapsed, 0) / (learning->time_constant + fmax(elapsed, 0)) :
		learning->weight;
}

/* The variance after a residual that is clipped already. */
static double
learn_variance(double variance, double residual, double weight, double unbias)
{
	return (1 - weight) * variance + weight * residual * residual / unbias;
}

static void
sort(double *values, int n)
{
	for (int i = 1; i < n; i++)
	{
		double		value = values[i];
		int			at = i;

		for (; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
}

/* Sorts the values. */
static double
median(double *values, int n)
{
	sort(values, n);
	return n % 2 == 1 ? values[n / 2] :
		(values[n / 2 - 1] + values[n / 2]) / 2;
}

/*
 * Variance of n differences, whose middle is 0: from their median, or where
 * more than half of them are 0, which says nothing, from their mean square.
 */
static double
first_variance(const double *differences, int n)
{
	double		absolute[FM_DETECTOR_FIRST];
	double		squares = 0;
	double		deviation;

	for (int i = 0; i < n; i++)
	{
		absolute[i] = fabs(differences[i]);
		squares += differences[i] * differences[i];
	}
	deviation = MAD_TO_DEVIATION * median(absolute, n);
	return deviation > 0 ? deviation * deviation : squares / n;
}

/* The first readings are complete. */
static void
start(FmDetector *detector)
{
	double		values[FM_DETECTOR_FIRST];
	double		changes[FM_DETECTOR_FIRST];

	for (int i = 1; i < FM_DETECTOR_FIRST; i++)
		changes[i] = detector->first[i] - detector->first[i - 1];
	detector->change_variance = first_variance(changes + 1,
											   FM_DETECTOR_FIRST - 1);
	memcpy(values, detector->first, sizeof(values));
	detector->mean = median(values, FM_DETECTOR_FIRST);
	for (int i = 0; i < FM_DETECTOR_FIRST; i++)
		values[i] -= detector->mean;
	detector->variance = first_variance(values, FM_DETECTOR_FIRST);
	memset(detector->hours, 0, sizeof(detector->hours));
}

/* ------------------------------------------------------------------------
 * Detectors of values
 * ------------------------------------------------------------------------
 */

static bool
is_on(const FmDetectorParams *params, FmDetectorKind kind)
{
	return (params->on & FM_DETECTOR_BIT(kind)) != 0;
}

static void
judge_anomaly(FmDetector *detector, const FmDetectorParams *params,
			  const FmDetectorReading *reading, FmDetectorHits *hits)
{
	double		score;

	if (detector->learned < params->learning[FM_LEARNED_VALUE].after)
		return;
	score = score_of(reading->value - detector->mean,
					 fmax(sqrt(detector->variance),
						  least_deviation(detector, params)));
	note(detector, params, hits, FM_DETECTOR_ANOMALY,
		 fabs(score) >= params->report[FM_DETECTOR_ANOMALY], score);
}

/*
 * Change against the fixed limit, where a span is complete: 1 and more reach
 * it.  The next one begins here then.
 */
static double
judge_span(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading)
{
	double		change = 0;
	int64_t		elapsed;

	if (params->per_minute <= 0)
		return 0;
	if (detector->span_since != FM_NEVER && !reading->gap)
	{
		elapsed = reading->ts - detector->span_since;
		if (elapsed < params->span || elapsed == 0)
			return 0;
		change = (reading->value - detector->span_value) /
			(elapsed / 6e7) / params->per_minute;
	}
	detector->span_since = reading->ts;
	detector->span_value = reading->value;
	return change;
}

static void
judge_rate(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading, FmDetectorHits *hits)
{
	double		level = params->report[FM_DETECTOR_RATE];
	double		fixed = judge_span(detector, params, reading);
	double		score = 0;
	bool		hit = false;

	if (!reading->gap)
	{
		score = score_of(reading->value - detector->value,
						 fmax(sqrt(detector->change_variance),
							  least_deviation(detector, params)));
		hit = detector->learned >= params->learning[FM_LEARNED_CHANGE].after &&
			fabs(score) >= level &&
			fabs(reading->value - detector->mean) >
			fabs(detector->value - detector->mean);
	}
	/* at the fixed limit the score is the level of reporting */
	if (fabs(fixed) >= 1 && (!hit || fabs(fixed) * level > fabs(score)))
	{
		hit = true;
		score = fixed * level;
	}
	note(detector, params, hits, FM_DETECTOR_RATE, hit, score);
}

/* The reading continues the run, or begins one. */
static void
follow_run(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading)
{
	double		low = fmin(detector->run_low, reading->value);
	double		high = fmax(detector->run_high, reading->value);

	if (detector->run > 0 && high - low <= params->tolerance &&
		reading->ts >= detector->run_since)
	{
		if (detector->run < UINT32_MAX)
			detector->run++;
		detector->run_low = low;
		detector->run_high = high;
		return;
	}
	detector->run = 1;
	detector->run_low = detector->run_high = reading->value;
	detector->run_since = reading->ts;
	detector->run_deviation = detector->learned < FM_DETECTOR_FIRST ? 0 :
		(float) sqrt(detector->variance);
}

static void
judge_flat(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading, FmDetectorHits *hits)
{
	follow_run(detector, params, reading);
	note(detector, params, hits, FM_DETECTOR_FLAT,
		 detector->run >= params->report[FM_DETECTOR_FLAT] &&
		 reading->ts - detector->run_since >= params->flat_time &&
		 detector->run_deviation > 0 &&
		 detector->run_deviation >= least_deviation(detector, params),
		 detector->run);
}

static int64_t
floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The hour of the day of a reading; the first of a day counts the day. */
static FmSeason *
season_of(FmDetector *detector, const FmDetectorParams *params,
		  const FmDetectorReading *reading)
{
	int64_t		hour = floor_divide(reading->ts + params->utc_offset, HOUR);
	FmSeason   *season =
		&detector->hours[hour - 24 * floor_divide(hour, 24)];

	if (season->readings == 0)
	{
		season->mean = reading->value;
		season->variance = (float) detector->variance;
		season->readings = FIRST_OF_HOUR;
		season->days = 1;
	}
	else if (hour != detector->hour && season->days < UINT8_MAX)
		season->days++;
	detector->hour = (int32_t) hour;
	return season;
}

static void
judge_season(FmDetector *detector, const FmDetectorParams *params,
			 const FmDetectorReading *reading, FmDetectorHits *hits)
{
	const FmLearning *learning = &params->learning[FM_LEARNED_HOUR];
	FmSeason   *season = season_of(detector, params, reading);
	double		deviation = fmax(sqrt(season->variance),
								 least_deviation(detector, params));
	double		residual = reading->value - season->mean;
	double		weight = 1.0 / (season->readings + 1);

	if (season->days > learning->after)
	{
		double		score = score_of(residual, deviation);

		note(detector, params, hits, FM_DETECTOR_SEASONAL,
			 fabs(score) >= params->report[FM_DETECTOR_SEASONAL], score);
	}
	if (!reading->gap)
		weight = fmax(weight, weight_of(learning, reading->ts - detector->ts));
	residual = clipped(residual, learning->clip * deviation);
	season->mean += weight * residual;
	season->variance = (float) learn_variance(season->variance, residual,
											  weight, learning->unbias);
	if (season->readings < UINT16_MAX)
		season->readings++;
}

static void
learn_change(FmDetector *detector, const FmDetectorParams *params,
			 const FmDetectorReading *reading)
{
	const FmLearning *learning = &params->learning[FM_LEARNED_CHANGE];
	double		deviation = fmax(sqrt(detector->change_variance),
								 least_deviation(detector, params));
	double		change = clipped(reading->value - detector->value,
								 learning->clip * deviation);

	if (reading->gap)
		return;
	detector->change_variance =
		learn_variance(detector->change_variance, change,
					   weight_of(learning, reading->ts - detector->ts),
					   learning->unbias);
}

static void
learn_value(FmDetector *detector, const FmDetectorParams *params,
			const FmDetectorReading *reading)
{
	const FmLearning *learning = &params->learning[FM_LEARNED_VALUE];
	double		deviation = fmax(sqrt(detector->variance),
								 least_deviation(detector, params));
	double		residual = clipped(reading->value - detector->mean,
								   learning->clip * deviation);
	double		weight = weight_of(learning, reading->ts - detector->ts);

	detector->mean += weight * residual;
	detector->variance = learn_variance(detector->variance, residual, weight,
										learning->unbias);
	if (detector->learned < UINT32_MAX)
		detector->learned++;
}

static void
take_value(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading, FmDetectorHits *hits)
{
	if (detector->learned < FM_DETECTOR_FIRST)
	{
		if (is_on(params, FM_DETECTOR_FLAT))
			follow_run(detector, params, reading);
		detector->first[detector->learned++] = reading->value;
		if (detector->learned == FM_DETECTOR_FIRST)
			start(detector);
	}
	else
	{
		if (is_on(params, FM_DETECTOR_ANOMALY))
			judge_anomaly(detector, params, reading, hits);
		if (is_on(params, FM_DETECTOR_RATE))
			judge_rate(detector, params, reading, hits);
		if (is_on(params, FM_DETECTOR_FLAT))
			judge_flat(detector, params, reading, hits);
		if (is_on(params, FM_DETECTOR_SEASONAL))
			judge_season(detector, params, reading, hits);
		if ((hits->hits & FM_DETECTOR_BIT(FM_DETECTOR_FLAT)) == 0)
		{
			learn_change(detector, params, reading);
			learn_value(detector, params, reading);
		}
	}
	detector->ts = reading->ts;
	detector->value = reading->value;
}

/* ------------------------------------------------------------------------
 * All of them
 * ------------------------------------------------------------------------
 */

static void
judge_sequence(FmDetector *detector, const FmDetectorParams *params,
			   const FmDetectorReading *reading, FmDetectorHits *hits)
{
	double		score = (double) reading->missing + reading->repeated;

	note(detector, params, hits, FM_DETECTOR_SEQUENCE,
		 score > 0 && score >= params->report[FM_DETECTOR_SEQUENCE], score);
}

/* Late is low, and future high. */
static void
judge_time(FmDetector *detector, const FmDetectorParams *params,
		   const FmDetectorReading *reading, FmDetectorHits *hits)
{
	bool		late = reading->late &&
		reading->seconds >= params->report[FM_DETECTOR_TIME];

	note(detector, params, hits, FM_DETECTOR_TIME, late || reading->future,
		 reading->future ? reading->seconds : -reading->seconds);
}

void
fm_detector_take(FmDetector *detector, const FmDetectorParams *params,
				 const FmDetectorReading *reading, FmDetectorHits *hits)
{
	hits->hits = hits->stored = 0;
	if (detector->type != params->type ||
		detector->number + 1 != reading->number)
	{
		fm_detector_init(detector, detector->sensor_id);
		detector->type = params->type;
	}
	detector->number = reading->number;
	if (detector->on != params->on)
		switch_detectors(detector, params->on);
	if (reading->counts && (params->on & FM_DETECTOR_VALUES) != 0)
	{
		FmDetectorReading bounded = *reading;

		bounded.value = fmax(-MAX_VALUE, fmin(reading->value, MAX_VALUE));
		take_value(detector, params, &bounded, hits);
	}
	if (reading->numbered && is_on(params, FM_DETECTOR_SEQUENCE))
		judge_sequence(detector, params, reading, hits);
	if (is_on(params, FM_DETECTOR_TIME))
		judge_time(detector, params, reading, hits);
}

void
fm_detector_limits(const FmDetectorParams *params, FmDetectorKind kind,
				   FmLimits *limits)
{
	memset(limits, 0, sizeof(*limits));
	limits->critical_low = limits->warning_low = NAN;
	limits->warning_high = limits->critical_high = NAN;
	limits->wants_acknowledgement = limits->shelvable = true;
	if (params == NULL)
		return;
	limits->version = params->alarms[kind].version;
	limits->severity[0] = limits->severity[1] = params->alarms[kind].severity;
	limits->wants_acknowledgement =
		(params->alarms[kind].options & FM_DETECTOR_ACKNOWLEDGED) != 0;
	limits->shelvable =
		(params->alarms[kind].options & FM_DETECTOR_SHELVABLE) != 0;
	limits->re_alarm_after = params->alarms[kind].re_alarm_after;
	if (!params->alarms[kind].on || !is_on(params, kind))
		return;
	limits->warning_high = 1;
	limits->warning_low = -1;
}
