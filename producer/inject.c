/*
 * inject.c - anomalies put into readings on purpose, and their labels
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See inject.h for what a label says.
 */
#include "inject.h"

#include "clock.h"

#include <math.h>
#include <stdlib.h>

typedef enum Kind
{
	SPIKE, STEP, DRIFT, STUCK, NOISE, GAP, REPEAT, LATE, FUTURE, KINDS
} Kind;

/* How long each lasts, in readings. */
static const struct
{
	const char *name;
	const char *help;
	uint32_t	least;
	uint32_t	most;
}			kinds[KINDS] =
{
	{"spike", "one value 5 to 12 deviations off", 1, 1},
	{"step", "values 8 to 12 deviations off, 20 to 60 readings", 20, 60},
	{"drift", "away by 8 to 12 deviations and back, 80 to 160 readings", 80,
	160},
	{"stuck", "the same value, 30 to 90 readings", 30, 90},
	{"noise", "five times the noise, 20 to 60 readings", 20, 60},
	{"gap", "one to five numbers that never come", 1, 1},
	{"repeat", "a reading that comes again in place of the next", 1, 1},
	{"late", "one timestamp 60 to 600 s early", 1, 1},
	{"future", "one timestamp 120 to 3600 s ahead", 1, 1},
};

/* What goes on at one sensor. */
struct FmInjected
{
	FmRng		rng;
	int			kind;			/* KINDS: nothing */
	uint32_t	length;
	uint32_t	done;			/* readings of it so far */
	double		size;			/* in deviations */
	uint64_t	first;			/* reading_count of label */
	uint64_t	last;
	int64_t		from;
	int64_t		to;
	FmReading	previous;		/* as it was sent */
	int64_t		previous_at;
};

const char *
fm_inject_name(int kind)
{
	return kind < KINDS ? kinds[kind].name : NULL;
}

const char *
fm_inject_help(int kind)
{
	return kinds[kind].help;
}

uint32_t
fm_inject_parse(const char *names)
{
	uint32_t	set = 0;

	if (strcmp(names, "all") == 0)
		return (UINT32_C(1) << KINDS) - 1;
	while (*names)
	{
		size_t		len = strcspn(names, ",");
		int			kind = 0;

		while (kind < KINDS && (strlen(kinds[kind].name) != len ||
								memcmp(kinds[kind].name, names, len) != 0))
			kind++;
		if (kind == KINDS)
			return 0;
		set |= UINT32_C(1) << kind;
		names += len + (names[len] == ',');
	}
	return set;
}

bool
fm_inject_open(FmInject *inject, FmFleet *fleet, uint64_t seed, double share,
			   uint32_t set, const char *path)
{
	memset(inject, 0, sizeof(*inject));
	inject->fleet = fleet;
	inject->share = share;
	inject->kinds = set;
	if (path)
	{
		inject->labels = fopen(path, "a");
		if (inject->labels == NULL)
			return false;
	}
	if (share <= 0)
		return true;
	inject->sensors = fm_xcalloc(fleet->set.sensors, sizeof(FmInjected));
	for (uint32_t i = 0; i < fleet->set.sensors; i++)
	{
		inject->sensors[i].rng = fm_rng_make(seed, UINT64_C(0x696e0000) + i);
		inject->sensors[i].kind = KINDS;
	}
	return true;
}

/* ---- labels ---- */

static void
put_label(FmInject *inject, const FmInjected *s, const FmSensor *sensor)
{
	char		from[FM_TIME_LEN];
	char		to[FM_TIME_LEN];

	if (inject->labels == NULL)
		return;
	fm_time_format(s->from, from);
	fm_time_format(s->to, to);
	if (fprintf(inject->labels, "{\"sensor_id\":%s,\"kind\":\"%s\","
				"\"reading_count\":%llu,\"last_count\":%llu,"
				"\"from\":\"%.*s\",\"to\":\"%.*s\"}\n",
				sensor->id_json, kinds[s->kind].name,
				(unsigned long long) s->first, (unsigned long long) s->last,
				FM_TIME_LEN, from, FM_TIME_LEN, to) < 0)
		inject->failed = true;
}

static void
end_anomaly(FmInject *inject, FmInjected *s, const FmSensor *sensor)
{
	put_label(inject, s, sensor);
	s->kind = KINDS;
}

/* ---- readings ---- */

/* At this reading?  Rare kinds of long ones, frequent ones of short. */
static void
draw_anomaly(const FmInject *inject, FmInjected *s)
{
	for (int kind = 0; kind < KINDS; kind++)
	{
		double		length = (kinds[kind].least + kinds[kind].most) / 2.0;

		if ((inject->kinds & UINT32_C(1) << kind) == 0 ||
			!fm_rng_chance(&s->rng, inject->share / length))
			continue;
		s->kind = kind;
		s->length = kinds[kind].least +
			fm_rng_below(&s->rng, kinds[kind].most - kinds[kind].least + 1);
		s->done = 0;
		s->size = fm_rng_range(&s->rng, kind == SPIKE ? 5 : 8, 12);
		if (fm_rng_chance(&s->rng, 0.5))
			s->size = -s->size;
		return;
	}
}

static void
move_value(FmReading *reading, double delta)
{
	const FmSensorType *type = reading->sensor->type;

	fm_reading_set(reading, fmin(fmax(reading->value + delta, type->floor),
								 type->ceiling));
}

/* Up to the size in the middle, and back. */
static double
drifted(const FmInjected *s)
{
	double		half = s->length / 2.0;

	return s->size * (1 - fabs(s->done + 0.5 - half) / half);
}

static void
change_value(FmInjected *s, FmReading *reading)
{
	double		sigma = reading->sensor->scale * reading->sensor->type->sigma;

	switch (s->kind)
	{
		case SPIKE:
		case STEP:
			move_value(reading, s->size * sigma);
			break;
		case DRIFT:
			move_value(reading, drifted(s) * sigma);
			break;
		case NOISE:
			move_value(reading, 5 * sigma * fm_rng_gauss(&s->rng));
			break;
		case STUCK:
			move_value(reading, s->previous.value - reading->value);
			break;
		default:
			break;
	}
}

/* Numbers and times; the sensor goes on from where this leaves it. */
static void
change_order(FmInject *inject, FmInjected *s, FmReading *reading, int64_t *at)
{
	FmSensor   *sensor = &inject->fleet->sensors[reading->sensor -
												 inject->fleet->sensors];
	uint32_t	missing;

	s->first = s->last = reading->reading_count;
	switch (s->kind)
	{
		case GAP:
			missing = 1 + fm_rng_below(&s->rng, 5);
			s->last += missing - 1;
			sensor->readings += missing;
			reading->reading_count += missing;
			break;
		case REPEAT:
			sensor->readings--;
			*reading = s->previous;
			*at = s->previous_at;
			s->first = s->last = reading->reading_count;
			break;
		case LATE:
			*at -= (int64_t) (fm_rng_range(&s->rng, 60, 600) * FM_SECOND);
			break;
		case FUTURE:
			*at += (int64_t) (fm_rng_range(&s->rng, 120, 3600) * FM_SECOND);
			break;
		default:
			break;
	}
	s->from = s->to = *at;
}

void
fm_inject_apply(FmInject *inject, FmReading *reading, int64_t *at)
{
	FmInjected *s;

	if (inject->sensors == NULL)
		return;
	s = &inject->sensors[reading->sensor - inject->fleet->sensors];
	/* nothing where the reading before was not one to go on from */
	if (s->kind == KINDS && s->previous.sensor != NULL)
		draw_anomaly(inject, s);
	if (s->kind >= GAP && s->kind < KINDS)
	{
		bool		plain = s->kind == GAP;

		change_order(inject, s, reading, at);
		end_anomaly(inject, s, reading->sensor);
		s->previous = *reading;
		s->previous_at = *at;
		if (!plain)
			s->previous.sensor = NULL;
		return;
	}
	if (s->kind < KINDS)
	{
		change_value(s, reading);
		if (s->done++ == 0)
		{
			s->first = reading->reading_count;
			s->from = *at;
		}
		s->last = reading->reading_count;
		s->to = *at;
		if (s->done == s->length)
			end_anomaly(inject, s, reading->sensor);
	}
	s->previous = *reading;
	s->previous_at = *at;
}

bool
fm_inject_close(FmInject *inject)
{
	if (inject->sensors != NULL)
	{
		for (uint32_t i = 0; i < inject->fleet->set.sensors; i++)
			if (inject->sensors[i].kind < KINDS)
				end_anomaly(inject, &inject->sensors[i],
							&inject->fleet->sensors[i]);
	}
	free(inject->sensors);
	inject->sensors = NULL;
	if (inject->labels != NULL && fclose(inject->labels) != 0)
		inject->failed = true;
	inject->labels = NULL;
	return !inject->failed;
}
