/*
 * places.c - where temperature and humidity are measured together
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The climates are rough annual means; what matters is that they differ, and
 * that a day is drier where it is warmer.
 */
#include "places.h"

#include <math.h>

/* Name, mean temperature, half of what a day changes it, mean humidity. */
#define CITY(name, mean, daily, humid) \
	{name, \
		{"temperature", "°C", mean, (mean) + 9, (mean) + 13, NAN, NAN, 5, \
		0.5, daily, -30, 60, 1}, \
		{"humidity", "%", humid, 92, 97, 30, 20, 5, 1.0, -1.6 * (daily), \
		0, 100, 1}}

static const FmPlace cities[] = {
	CITY("São Paulo", 20.5, 4.0, 74),
	CITY("Recife", 26.5, 2.5, 76),
	CITY("Curitiba", 17.5, 5.0, 77),
	CITY("Rio de Janeiro", 24.5, 3.0, 75),
	CITY("Brasília", 21.5, 5.5, 62),
	CITY("Salvador", 26.0, 2.0, 78),
	CITY("Fortaleza", 27.0, 2.5, 75),
	CITY("Belo Horizonte", 22.0, 4.5, 65),
	CITY("Manaus", 27.5, 3.0, 79),
	CITY("Porto Alegre", 19.5, 4.5, 76),
	CITY("Belém", 27.0, 3.0, 80),
	CITY("Goiânia", 24.0, 5.5, 58),
	CITY("Florianópolis", 20.5, 3.0, 78),
	CITY("Cuiabá", 27.0, 5.5, 66),
	CITY("Natal", 26.3, 2.0, 77),
};

const uint32_t fm_cities = sizeof(cities) / sizeof(cities[0]);

static const FmPlace room = {
	NULL,
	{"temperature", "°C", 25, 28, 29.5, NAN, NAN, 1, 0.4, 1.2, 20, 30, 1},
	{"humidity", "%", 55, 70, 77, 40, 33, 1, 1.5, -4, 30, 80, 1}
};

const FmPlace *
fm_place(const FmFleetSettings *set, uint32_t i)
{
	if (set->plant == FM_PLANT_ROOMS)
		return &room;
	if (set->sensors == 1 && set->sensor_id)
		for (uint32_t c = 0; c < fm_cities; c++)
			if (strcmp(cities[c].name, set->sensor_id) == 0)
				return &cities[c];
	return &cities[i % fm_cities];
}
