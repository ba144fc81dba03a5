/*
 * sensor.c - the simulated plant
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See sensor.h for the model.  All randomness of a sensor comes from its own
 * stream, seeded by (seed, index), and is drawn in the order of its readings.
 */
#include "sensor.h"

#include "canon.h"
#include "clock.h"
#include "places.h"
#include "uuid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define AR_PHI 0.9				/* of the noise, per reading */
#define AR_INNOVATION 0.43588989435406739	/* sqrt(1 - phi^2) */
#define TROUBLED_ONE_IN 3
#define WARNING_MINUTES 12.0	/* mean length of an episode */
#define CRITICAL_MINUTES 8.0
#define LOW_SIDE_SHARE 0.2

const FmSensorType fm_sensor_types[FM_SENSOR_TYPES] = {
	{"temperature", "°C", 25, 35, 40, 10, 5, 3, 0.8, 2.5, -273, 5000, 2},
	{"vibration", "mm/s", 2, 5, 7, NAN, NAN, 4, 0.15, 0.3, 0, 1000, 2},
	{"energy", "kW", 100, 150, 180, NAN, NAN, 10, 4, 15, 0, 1e6, 1},
	{"humidity", "%", 45, 60, 70, 30, 20, 5, 1.5, -4, 0, 100, 1},
	{"pressure", "bar", 6, 7.2, 8, 5.2, 4.5, 5, 0.08, -0.1, 0, 1000, 2},
};

static const char *const sections[] = {"production", "assembly", "packaging",
"utilities", "warehouse"};
static const char *const zones[] = {"zone-a", "zone-b", "zone-c", "zone-d"};

const char *const fm_level_names[FM_LEVELS] = {"normal", "warning",
"critical"};

const FmSensorType *
fm_sensor_type_find(const char *name)
{
	for (int i = 0; i < FM_SENSOR_TYPES; i++)
		if (strcmp(fm_sensor_types[i].name, name) == 0)
			return &fm_sensor_types[i];
	return NULL;
}

/*
 * How long the pauses between episodes have to be so that the shares come out
 * over the whole fleet, of which only "troubled" sensors have episodes.
 */
static void
plan_episodes(FmFleet *fleet, uint32_t troubled)
{
	double		fraction = (double) troubled / fleet->set.sensors;
	double		warn = fleet->set.warning_share / fraction;
	double		crit = fleet->set.critical_share / fraction;
	double		warn_rate;
	double		mean;

	fleet->busy = warn + crit;
	if (fleet->busy > 0.95)		/* cannot be had; come close */
	{
		warn *= 0.95 / fleet->busy;
		crit *= 0.95 / fleet->busy;
		fleet->busy = 0.95;
	}
	if (fleet->busy <= 0)
		return;
	warn_rate = warn / WARNING_MINUTES;
	fleet->warn_odds = warn_rate / (warn_rate + crit / CRITICAL_MINUTES);
	mean = fleet->warn_odds * WARNING_MINUTES +
		(1 - fleet->warn_odds) * CRITICAL_MINUTES;
	fleet->pause = 60 * mean * (1 - fleet->busy) / fleet->busy;
}

/* Where an anomaly of this sensor goes. */
static double
draw_goal(FmSensor *s, bool warning)
{
	const FmSensorType *t = s->type;
	bool		low = s->low_side && fm_rng_chance(&s->rng, LOW_SIDE_SHARE);
	double		warn = low ? t->low_warning : s->warning;
	double		span = (low ? t->low_critical : s->critical) - warn;

	if (warning)
		return warn + span * fm_rng_range(&s->rng, -0.2, 0.6);
	return warn + span * fm_rng_range(&s->rng, 0.9, 1.6);
}

static void
begin_episode(FmFleet *fleet, FmSensor *s, bool warning)
{
	double		minutes = warning ? WARNING_MINUTES : CRITICAL_MINUTES;

	(void) fleet;
	s->goal = draw_goal(s, warning);
	s->from = s->until;
	s->until += (int64_t) (minutes * 60e6 * fm_rng_range(&s->rng, 0.5, 1.5));
}

static void
begin_pause(FmFleet *fleet, FmSensor *s)
{
	s->goal = NAN;
	s->from = s->until;
	s->until += (int64_t) (fleet->pause * 1e6 *
						   fm_rng_range(&s->rng, 0.25, 1.75));
}

/* Begin as if the plant had been running for long. */
static void
begin_anywhere(FmFleet *fleet, FmSensor *s)
{
	double		crit = fleet->set.critical_share;
	double		all = crit + fleet->set.warning_share;
	int64_t		elapsed;

	s->until = s->due;
	if (fm_rng_chance(&s->rng, fleet->busy))
		begin_episode(fleet, s, !fm_rng_chance(&s->rng, crit / all));
	else
		begin_pause(fleet, s);
	elapsed = (int64_t) ((double) (s->until - s->from) * fm_rng_unit(&s->rng));
	s->from -= elapsed;
	s->until -= elapsed;
}

/* What the episode adds to a value that would be "normal" without it. */
static double
episode(FmFleet *fleet, FmSensor *s, double normal)
{
	double		ramp;
	double		weight;

	if (!s->troubled || fleet->busy <= 0)
		return 0;
	while (s->due >= s->until)
	{
		if (isnan(s->goal))
			begin_episode(fleet, s, fm_rng_chance(&s->rng,
												  fleet->warn_odds));
		else
			begin_pause(fleet, s);
	}
	if (isnan(s->goal))
		return 0;
	ramp = fmin(60e6, (double) (s->until - s->from) / 4);
	weight = fmin((double) (s->due - s->from),
				  (double) (s->until - s->due)) / ramp;
	return (s->goal - normal) * fmin(1, weight);
}

static double
independent(FmFleet *fleet, FmSensor *s, double normal)
{
	double		u = fm_rng_unit(&s->rng);

	if (u < fleet->set.critical_share)
		return draw_goal(s, false) - normal;
	if (u < fleet->set.critical_share + fleet->set.warning_share)
		return draw_goal(s, true) - normal;
	return 0;
}

/* Warmest at 15:00, coldest at 03:00, of the fleet's clock. */
static double
time_of_day(int64_t at)
{
	double		day = (double) (at % (86400 * FM_SECOND)) / 86400e6;

	return sin(2 * 3.14159265358979323846 * (day - 0.375));
}

static double
value_of(FmFleet *fleet, FmSensor *s)
{
	const FmSensorType *t = s->type;
	double		value;

	s->noise = AR_PHI * s->noise + AR_INNOVATION * fm_rng_gauss(&s->rng);
	value = s->base + s->scale * (t->daily * time_of_day(s->due) +
								  t->sigma * s->bias);
	if (fleet->set.anomalies == FM_ANOMALIES_EPISODES)
		value += episode(fleet, s, value);
	else if (fleet->set.anomalies == FM_ANOMALIES_INDEPENDENT)
		value += independent(fleet, s, value);
	value += s->scale * t->sigma * s->noise;
	return fmin(fmax(value, t->floor), t->ceiling);
}

/* type-host, the id that was given, or that with a number. */
static void
put_name(FmBuf *buf, const FmFleetSettings *set, const FmSensor *s, uint32_t i)
{
	if (set->sensors == 1)
		fm_buf_printf(buf, "%s%s%s", set->sensor_id ? set->sensor_id
					  : s->type->name, set->sensor_id ? "" : "-",
					  set->sensor_id ? "" : set->host);
	else
		fm_buf_printf(buf, "%s%s%s-%04u", set->sensor_id ? set->sensor_id
					  : s->type->name, "-", set->sensor_id ? s->type->name
					  : set->host, (unsigned) i + 1);
}

/* The city's name; numbered where there are more stations than cities. */
static void
put_city(FmBuf *buf, const FmFleetSettings *set, uint32_t i)
{
	if (set->sensors == 1 && set->sensor_id)
	{
		fm_buf_puts(buf, set->sensor_id);
		return;
	}
	if (set->sensor_id)
		fm_buf_printf(buf, "%s-", set->sensor_id);
	fm_buf_puts(buf, fm_place(set, i)->name);
	if (i >= fm_cities)
		fm_buf_printf(buf, " %u", (unsigned) (i / fm_cities + 1));
}

/*
 * The name as a UUID, the same at every start: a sensor that is started again
 * is no new one.  An id that is a UUID already stays as it is.
 */
static void
put_uuid_of_name(FmBuf *buf, const FmFleetSettings *set, const FmSensor *s,
				 uint32_t i)
{
	FmRng		rng;
	char		text[FM_UUID_LEN];
	uint64_t	high;

	put_name(buf, set, s, i);
	if (buf->len == FM_UUID_LEN && fm_uuid_is(buf->data))
		return;
	rng.state = fm_fnv1a64(buf->data, buf->len);
	high = fm_rng_next(&rng);
	fm_uuid_format(high, fm_rng_next(&rng), text);
	fm_buf_reset(buf);
	fm_buf_put(buf, text, FM_UUID_LEN);
}

/* What goes into every message of this sensor, put together once. */
static void
make_texts(const FmFleetSettings *set, FmSensor *s, uint32_t i)
{
	FmBuf		buf = FM_BUF_INIT;
	uint32_t	machine = i / FM_SENSOR_TYPES;
	char		name[32];
	const char *section = set->section ? set->section
		: sections[machine % 5];
	const char *zone = set->zone ? set->zone : zones[machine / 5 % 4];

	if (set->plant == FM_PLANT_CITIES)
		put_city(&buf, set, i);
	else if (set->plant == FM_PLANT_ROOMS)
		put_uuid_of_name(&buf, set, s, i);
	else
		put_name(&buf, set, s, i);
	fm_buf_putc(&buf, '\0');
	s->id = fm_xstrdup(buf.data);

	fm_buf_reset(&buf);
	fm_json_put_string(&buf, s->id, strlen(s->id));
	fm_buf_putc(&buf, '\0');
	s->id_json = fm_xstrdup(buf.data);

	snprintf(name, sizeof(name), "machine-%03u", (unsigned) machine + 1);
	fm_buf_reset(&buf);
	fm_buf_puts(&buf, "\"factory_section\":");
	fm_json_put_string(&buf, section, strlen(section));
	fm_buf_puts(&buf, ",\"machine_id\":");
	fm_json_put_string(&buf, set->machine ? set->machine : name,
					   strlen(set->machine ? set->machine : name));
	fm_buf_puts(&buf, ",\"zone\":");
	fm_json_put_string(&buf, zone, strlen(zone));
	fm_buf_putc(&buf, '\0');
	s->location_json = fm_xstrdup(buf.data);
	fm_buf_free(&buf);
}

const FmSensorType *
fm_fleet_type(const FmFleetSettings *set, uint32_t i)
{
	if (set->plant != FM_PLANT_FACTORY)
		return &fm_place(set, i)->temperature;
	if (set->type)
		return set->type;
	return &fm_sensor_types[set->sensors == 1 ? 0 : i % FM_SENSOR_TYPES];
}

/*
 * Everything that the values of a sensor come from.  A partner is due with the
 * first one of its place, and knows its type's limits only.
 */
static void
init_series(FmFleet *fleet, FmSensor *s, const FmSensorType *t,
			uint64_t stream, const FmSensor *first)
{
	const FmFleetSettings *set = &fleet->set;
	double		seconds = isnan(set->interval) ? t->interval : set->interval;

	s->type = t;
	s->rng = fm_rng_make(set->seed, stream);
	s->base = first || isnan(set->base) ? t->base : set->base;
	s->warning = first || isnan(set->warning) ? t->warning : set->warning;
	s->critical = first || isnan(set->critical) ? t->critical : set->critical;
	s->low_side = !isnan(t->low_warning) && s->base == t->base &&
		s->warning == t->warning && s->critical == t->critical;
	s->scale = s->warning > s->base
		? (s->warning - s->base) / (t->warning - t->base) : 1;
	s->interval = (int64_t) llround(seconds * 1e6);
	s->due = set->start;
	if (set->sensors > 1)
		s->due += (int64_t) ((double) s->interval * fm_rng_unit(&s->rng));
	if (first)
		s->due = first->due;
	s->noise = fm_rng_gauss(&s->rng);
	s->bias = fm_rng_gauss(&s->rng) / 2;
	s->goal = NAN;
	if (s->troubled && set->anomalies == FM_ANOMALIES_EPISODES)
		begin_anywhere(fleet, s);
}

#define PARTNERS (UINT64_C(1) << 40)	/* streams beyond every sensor's */

static void
init_sensor(FmFleet *fleet, uint32_t i, uint32_t troubled_at)
{
	const FmFleetSettings *set = &fleet->set;
	FmSensor   *s = &fleet->sensors[i];
	uint64_t	seed;

	s->troubled = i % TROUBLED_ONE_IN == troubled_at;
	init_series(fleet, s, fm_fleet_type(set, i), i, NULL);
	if (fleet->partners)
	{
		s->partner = &fleet->partners[i];
		s->partner->troubled = s->troubled;
		init_series(fleet, s->partner, &fm_place(set, i)->humidity,
					PARTNERS + i, s);
	}
	fleet->frequency += 1e6 / (double) s->interval;
	make_texts(set, s, i);
	seed = set->seed ^ fm_fnv1a64(s->id, strlen(s->id));
	s->ids[0] = fm_rng_make(seed, UINT64_C(0x6964));
	s->ids[1] = fm_rng_make(seed, UINT64_C(0x6c6f));
}

static bool
earlier(const FmFleet *fleet, uint32_t a, uint32_t b)
{
	const FmSensor *x = &fleet->sensors[a];
	const FmSensor *y = &fleet->sensors[b];

	return x->due < y->due || (x->due == y->due && a < b);
}

static void
sift_down(FmFleet *fleet, uint32_t at)
{
	uint32_t	n = fleet->set.sensors;
	uint32_t   *heap = fleet->heap;

	for (;;)
	{
		uint32_t	first = at;
		uint32_t	moved;

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < n && earlier(fleet, heap[child], heap[first]))
				first = child;
		if (first == at)
			return;
		moved = heap[at];
		heap[at] = heap[first];
		heap[first] = moved;
		at = first;
	}
}

void
fm_fleet_init(FmFleet *fleet, const FmFleetSettings *set)
{
	uint32_t	n = set->sensors;
	uint32_t	troubled_at = (uint32_t)
		(set->seed % (n < TROUBLED_ONE_IN ? n : TROUBLED_ONE_IN));

	memset(fleet, 0, sizeof(*fleet));
	fleet->set = *set;
	fleet->sensors = fm_xcalloc(n, sizeof(FmSensor));
	if (set->plant != FM_PLANT_FACTORY)
		fleet->partners = fm_xcalloc(n, sizeof(FmSensor));
	fleet->heap = fm_xcalloc(n, sizeof(uint32_t));
	plan_episodes(fleet, (n - troubled_at + TROUBLED_ONE_IN - 1) /
				  TROUBLED_ONE_IN);
	for (uint32_t i = 0; i < n; i++)
	{
		init_sensor(fleet, i, troubled_at);
		fleet->heap[i] = i;
	}
	for (uint32_t i = n / 2; i-- > 0;)
		sift_down(fleet, i);
}

void
fm_fleet_free(FmFleet *fleet)
{
	for (uint32_t i = 0; i < fleet->set.sensors; i++)
	{
		free(fleet->sensors[i].id);
		free(fleet->sensors[i].id_json);
		free(fleet->sensors[i].location_json);
	}
	free(fleet->sensors);
	free(fleet->partners);
	free(fleet->heap);
}

int64_t
fm_fleet_due(const FmFleet *fleet)
{
	return fleet->sensors[fleet->heap[0]].due;
}

static FmLevel
level_of(const FmSensor *s, double value)
{
	return value >= s->critical ? FM_LEVEL_CRITICAL
		: value >= s->warning ? FM_LEVEL_WARNING : FM_LEVEL_NORMAL;
}

/* Returns the value as it will be shown, and it in units of its resolution. */
static double
round_value(const FmSensor *s, double value, int64_t *scaled)
{
	static const double powers[] = {1, 10, 100, 1000};
	double		unit = powers[s->type->decimals];

	*scaled = llround(value * unit);
	return (double) *scaled / unit;
}

void
fm_reading_set(FmReading *r, double value)
{
	const FmSensor *s = r->sensor;

	r->value = round_value(s, value, &r->scaled);
	r->level = level_of(s, r->value);
	if (s->partner && level_of(s->partner, r->partner_value) > r->level)
		r->level = level_of(s->partner, r->partner_value);
}

void
fm_fleet_identify(FmFleet *fleet, FmReading *reading)
{
	FmSensor   *s = &fleet->sensors[reading->sensor - fleet->sensors];

	reading->id[0] = fm_rng_next(&s->ids[0]);
	reading->id[1] = fm_rng_next(&s->ids[1]);
}

void
fm_fleet_next(FmFleet *fleet, bool count_it, FmReading *reading)
{
	FmSensor   *s = &fleet->sensors[fleet->heap[0]];
	FmSensor   *partner = s->partner;
	double		value = value_of(fleet, s);

	memset(reading, 0, sizeof(*reading));
	reading->sensor = s;
	reading->at = s->due;
	if (partner)
	{
		partner->due = s->due;
		reading->partner_value = round_value(partner,
											 value_of(fleet, partner),
											 &reading->partner_scaled);
	}
	fm_reading_set(reading, value);
	reading->quality = 1;
	if (fm_rng_chance(&s->rng, 0.02))
		reading->quality = (double) (40 + fm_rng_below(&s->rng, 60)) / 100;
	reading->reading_count = s->readings + 1;
	if (count_it)
		s->readings++;
	s->due += s->interval;
	sift_down(fleet, 0);
}
