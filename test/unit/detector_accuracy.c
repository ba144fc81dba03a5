/*-------------------------------------------------------------------------
 *
 * detector_accuracy.c
 *	  How well detectors do on synthetic readings of which it is known what
 *	  was put in.
 *
 * Sensors with first-order autoregressive noise and a resolution.  The numbers
 * are pseudo-random from fixed seeds, so a run comes to the same each time;
 * bounds have slack for other compilers.
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

#define SENSORS		40
#define READINGS	4000
#define SETTLED		400			/* readings that are not counted */

/* One kind of sensor. */
typedef struct Plant
{
	double		base;
	double		sigma;
	double		memory;			/* of the noise: autoregression */
	double		resolution;
} Plant;

static const Plant plants[] = {
	{25, 0.5, 0.8, 0.01}, {2, 0.2, 0.3, 0.01}, {100, 5, 0.9, 0.1}
};

/* What was put in, and what came out of it. */
typedef struct Outcome
{
	int64_t		readings;
	int64_t		labels;
	int64_t		found;			/* of labels */
	int64_t		hits;
	int64_t		right;			/* of hits */
} Outcome;

static uint64_t generator;

static double
uniform(void)
{
	uint64_t	z = (generator += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return ((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double
gaussian(void)
{
	return sqrt(-2 * log(1 - uniform())) * cos(2 * acos(-1.0) * uniform());
}

/* The next value of a plant's noise. */
static double
next_noise(const Plant *plant, double *state)
{
	*state = plant->memory * *state +
		sqrt(1 - plant->memory * plant->memory) * plant->sigma * gaussian();
	return plant->base + *state;
}

static double
rounded(double value, double resolution)
{
	return nearbyint(value / resolution) * resolution;
}

static double
recall(const Outcome *outcome)
{
	return (double) outcome->found / outcome->labels;
}

static double
precision(const Outcome *outcome)
{
	return outcome->hits == 0 ? 1 : (double) outcome->right / outcome->hits;
}

/* Hits that nothing was put in for, per sensor and hour of 3 s readings. */
static double
false_alarms(const Outcome *outcome)
{
	return (double) (outcome->hits - outcome->right) /
		(outcome->readings * 3 / 3600.0);
}

/*
 * Readings of which a share stands out by 5 to 12 deviations, for so long each
 * time.  A hit within three readings of its beginning finds an episode; every
 * hit in it is right.
 */
static Outcome
outliers(FmDetectorKind kind, double share, int length, double least,
		 double most)
{
	Outcome		outcome = {0};
	FmDetectorParams params;

	generator = 1;
	for (int s = 0; s < SENSORS; s++)
	{
		const Plant *plant = &plants[s % 3];
		FmDetector	detector;
		double		noise = 0;
		double		shift = 0;
		int			left = 0;
		int			since = 0;
		bool		found = false;

		default_params(&params, FM_DETECTOR_BIT(kind), plant->resolution);
		fm_detector_init(&detector, 1);
		for (int i = 0; i < READINGS; i++)
		{
			FmDetectorHits hits;
			double		value = next_noise(plant, &noise);
			bool		hit;

			if (left > 0)
				left--;
			if (left == 0)
				shift = 0;
			if (left == 0 && i > 64 && uniform() < share / length)
			{
				left = length;
				since = 0;
				found = false;
				shift = plant->sigma * (least + uniform() * (most - least)) *
					(uniform() < 0.5 ? -1 : 1);
				outcome.labels += i >= SETTLED;
			}
			hit = take(&detector, &params,
					   rounded(value + shift, plant->resolution),
					   &hits) != 0;
			if (i < SETTLED)
				continue;
			outcome.readings++;
			outcome.hits += hit;
			outcome.right += hit && left > 0;
			if (hit && left > 0 && since < 3 && !found)
			{
				outcome.found++;
				found = true;
			}
			since++;
		}
	}
	return outcome;
}

static void
report(const char *name, const Outcome *outcome)
{
	printf("# %s: prevalence %.4f, recall %.3f, precision %.3f, %.4f false per sensor-hour\n",
		   name, (double) outcome->labels / outcome->readings,
		   recall(outcome), precision(outcome), false_alarms(outcome));
}

/* Spikes, episodes, and a fifth of all readings: none hides itself. */
static void
test_anomaly_accuracy(void)
{
	Outcome		outcome = outliers(FM_DETECTOR_ANOMALY, 0.005, 1, 5, 12);

	report("anomaly, spikes", &outcome);
	ok(recall(&outcome) > 0.88 && precision(&outcome) > 0.98,
	   "spikes are found, and little else");
	ok(false_alarms(&outcome) < 0.05, "few false alarms");
	outcome = outliers(FM_DETECTOR_ANOMALY, 0.02, 20, 8, 12);
	report("anomaly, episodes", &outcome);
	ok(recall(&outcome) > 0.95 && precision(&outcome) > 0.98,
	   "so are episodes");
	outcome = outliers(FM_DETECTOR_ANOMALY, 0.2, 1, 10, 12);
	report("anomaly, one in five", &outcome);
	ok(recall(&outcome) > 0.9 && precision(&outcome) > 0.98,
	   "also where they are one in five");
}

static void
test_rate_accuracy(void)
{
	Outcome		outcome = outliers(FM_DETECTOR_RATE, 0.005, 1, 8, 12);

	report("rate, spikes", &outcome);
	ok(recall(&outcome) > 0.9 && precision(&outcome) > 0.95,
	   "a spike is one change, not two");
}

/* How many readings until a lasting step is usual again; the median. */
static int
settling(double step)
{
	FmDetectorParams params;
	int			counts[SENSORS];

	generator = 2;
	for (int s = 0; s < SENSORS; s++)
	{
		const Plant *plant = &plants[s % 3];
		FmDetector	detector;
		double		noise = 0;

		default_params(&params, FM_DETECTOR_BIT(FM_DETECTOR_ANOMALY),
					   plant->resolution);
		fm_detector_init(&detector, 1);
		counts[s] = 0;
		for (int i = 0; i < 2000; i++)
		{
			FmDetectorHits hits;
			double		value = next_noise(plant, &noise) +
				(i >= 1000 ? step * plant->sigma : 0);

			if (take(&detector, &params, value, &hits) != 0 && i >= 1000)
				counts[s] = i - 999;
		}
	}
	for (int i = 1; i < SENSORS; i++)
	{
		for (int j = i; j > 0 && counts[j - 1] > counts[j]; j--)
		{
			int			count = counts[j];

			counts[j] = counts[j - 1];
			counts[j - 1] = count;
		}
	}
	return counts[SENSORS / 2];
}

static void
test_settling(void)
{
	int			ten = settling(10);
	int			more = settling(25);

	printf("# a step of 10 deviations settles in %d readings, 25 in %d\n",
		   ten, more);
	ok(ten > 30 && ten < 140, "a lasting step becomes usual");
	ok(more > ten && more < 300, "a larger one later");
}

/* Stuck sensors are found; noise that is rounded to nothing is not. */
static void
test_flat_accuracy(void)
{
	FmDetectorParams params;
	int			false_runs = 0;
	int			found = 0;

	generator = 3;
	for (int s = 0; s < SENSORS; s++)
	{
		FmDetector	detector;
		FmDetectorHits hits;
		double		stuck = 0;
		bool		hit = false;

		default_params(&params, FM_DETECTOR_BIT(FM_DETECTOR_FLAT), 0.1);
		fm_detector_init(&detector, 1);
		for (int i = 0; i < READINGS; i++)
		{
			stuck = rounded(20 + 0.4 * gaussian(), 0.1);
			false_runs += take(&detector, &params, stuck, &hits) != 0;
		}
		for (int i = 0; i < 40; i++)
			hit |= take(&detector, &params, stuck, &hits) != 0;
		found += hit;

		/* most of the noise is below the resolution: runs are usual */
		default_params(&params, FM_DETECTOR_BIT(FM_DETECTOR_FLAT), 0.5);
		fm_detector_init(&detector, 1);
		for (int i = 0; i < READINGS; i++)
			false_runs += take(&detector, &params,
							   rounded(20 + 0.1 * gaussian(), 0.5),
							   &hits) != 0;
	}
	ok(found == SENSORS, "every stuck sensor is found");
	ok(false_runs == 0, "and nothing else: %d", false_runs);
}

void
test_accuracy(void)
{
	test_anomaly_accuracy();
	test_rate_accuracy();
	test_settling();
	test_flat_accuracy();
}
