/*
 * places.h - where temperature and humidity are measured together
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Formats that report both in one message do not come from machines: "city"
 * comes from weather stations, each in the climate of its city; "sensores"
 * from rooms, which are all alike and never leave 20 to 30 °C and 30 to 80 %.
 */
#ifndef FM_PLACES_H
#define FM_PLACES_H

#include "sensor.h"

typedef struct FmPlace
{
	const char *name;			/* of a city; NULL for a room */
	FmSensorType temperature;
	FmSensorType humidity;
} FmPlace;

extern const uint32_t fm_cities;	/* how many are known */

/* Where the i-th sensor stands; not for a factory. */
extern const FmPlace *fm_place(const FmFleetSettings *set, uint32_t i);

#endif							/* FM_PLACES_H */
