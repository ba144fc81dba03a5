/*
 * sensor.h - the simulated plant
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A fleet is a number of sensors and a clock of its own.  Each sensor is due
 * once per interval; fm_fleet_next takes the sensor that is due first, so the
 * order of readings and everything in them is a function of the settings and
 * the seed, however fast the caller goes.
 *
 * A value is base + time of day + noise (autoregressive) + anomaly.  Anomalies
 * come in one of three ways:
 *
 *	episodes	 minutes near the warning or critical threshold, on one sensor
 *				 in three; over the fleet their shares of the time are those
 *				 asked for (an alarm system sees what a plant would show it)
 *	independent  drawn for each reading by itself: a stress test, since every
 *				 second or third reading then changes the alarm state
 *	none
 *
 * Where a type has low limits (the plant's, which the producer's own alert
 * level knows nothing of), one anomaly in five goes down instead of up.
 */
#ifndef FM_SENSOR_H
#define FM_SENSOR_H

#include "buf.h"
#include "rng.h"

#include <stdbool.h>

typedef struct FmSensorType
{
	const char *name;
	const char *unit;
	double		base;
	double		warning;
	double		critical;
	double		low_warning;	/* NaN where the type has no low limits */
	double		low_critical;
	double		interval;		/* seconds */
	double		sigma;			/* of the noise */
	double		daily;			/* amplitude of the daily pattern */
	double		floor;			/* physical bounds */
	double		ceiling;
	int			decimals;		/* resolution */
} FmSensorType;

#define FM_SENSOR_TYPES 5

extern const FmSensorType fm_sensor_types[FM_SENSOR_TYPES];
extern const FmSensorType *fm_sensor_type_find(const char *name);

typedef enum FmAnomalies
{
	FM_ANOMALIES_EPISODES,
	FM_ANOMALIES_INDEPENDENT,
	FM_ANOMALIES_NONE
} FmAnomalies;

/*
 * What is measured where: machines in a factory, one quantity each; weather
 * stations of cities, or rooms, with temperature and humidity at a time
 * (places.h).
 */
typedef enum FmPlant
{
	FM_PLANT_FACTORY,
	FM_PLANT_CITIES,
	FM_PLANT_ROOMS
} FmPlant;

/* What the fleet looks like; NULL or NaN: take the default. */
typedef struct FmFleetSettings
{
	FmPlant		plant;
	uint32_t	sensors;
	const FmSensorType *type;	/* of a factory; NULL: all of them */
	const char *sensor_id;		/* the id, or what ids start with */
	const char *host;			/* for the default id */
	const char *section;
	const char *machine;
	const char *zone;
	double		interval;
	double		base;
	double		warning;
	double		critical;
	FmAnomalies anomalies;
	double		warning_share;
	double		critical_share;
	uint64_t	seed;
	int64_t		start;			/* microseconds */
} FmFleetSettings;

typedef struct FmSensor FmSensor;

struct FmSensor
{
	const FmSensorType *type;
	FmSensor   *partner;		/* the place's humidity, NULL in a factory */
	/* the message in parts that do not change, JSON already */
	char	   *id;				/* as it is: the record's key */
	char	   *id_json;
	char	   *location_json;	/* members, without the braces */
	double		base;
	double		warning;
	double		critical;
	bool		low_side;		/* anomalies may go down */
	bool		troubled;		/* has episodes */
	double		scale;			/* of noise and daily pattern */
	int64_t		interval;		/* microseconds */
	FmRng		rng;
	int64_t		due;			/* next reading, on the fleet's clock */
	uint64_t	readings;		/* so far */
	double		noise;
	double		bias;			/* no two sensors agree */
	double		goal;			/* where the episode goes, NaN between two */
	int64_t		from;			/* of the episode or the pause */
	int64_t		until;
	FmRng		ids[2];			/* of its readings */
};

/* What the producer itself thinks of a reading. */
typedef enum FmLevel
{
	FM_LEVEL_NORMAL,
	FM_LEVEL_WARNING,
	FM_LEVEL_CRITICAL
} FmLevel;

#define FM_LEVELS 3

extern const char *const fm_level_names[FM_LEVELS];

typedef struct FmReading
{
	const FmSensor *sensor;
	int64_t		at;				/* microseconds, fleet's clock */
	uint64_t	reading_count;
	int64_t		scaled;			/* value in units of its resolution */
	double		value;
	int64_t		partner_scaled; /* humidity, where there is a partner */
	double		partner_value;
	double		quality;
	FmLevel		level;			/* the worse one of the two */
	uint64_t	id[2];			/* once it has one */
} FmReading;

typedef struct FmFleet
{
	FmFleetSettings set;
	FmSensor   *sensors;
	FmSensor   *partners;		/* as many, or NULL */
	uint32_t   *heap;			/* indexes of sensors, earliest due first */
	double		pause;			/* mean seconds between two episodes */
	double		warn_odds;		/* that an episode is one of warning */
	double		busy;			/* share of a troubled sensor's time */
	double		frequency;		/* readings per second of all sensors */
} FmFleet;

/* The type of the i-th sensor, the first one where a place has two. */
extern const FmSensorType *fm_fleet_type(const FmFleetSettings *set,
										 uint32_t i);

/* The strings of the settings must outlive the fleet. */
extern void fm_fleet_init(FmFleet *fleet, const FmFleetSettings *set);
extern void fm_fleet_free(FmFleet *fleet);

/* When the next reading is due. */
extern int64_t fm_fleet_due(const FmFleet *fleet);

/*
 * Take the sensor that is due first and move its clock on.  With count_it the
 * reading belongs to the sensor's series; without, the sensor's counter stays
 * where it is (the message will not hold a reading that anybody can use).
 */
extern void fm_fleet_next(FmFleet *fleet, bool count_it, FmReading *reading);

/* Give the reading another value, rounded as its sensor does, and its level. */
extern void fm_reading_set(FmReading *reading, double value);

/*
 * Give the reading an id that no other one has.  The n-th id of a sensor is a
 * function of the seed and the sensor's own id.
 */
extern void fm_fleet_identify(FmFleet *fleet, FmReading *reading);

#endif							/* FM_SENSOR_H */
