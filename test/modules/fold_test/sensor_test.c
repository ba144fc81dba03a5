/*-------------------------------------------------------------------------
 *
 * sensor_test.c
 *	  The sensor cache driven by hand from SQL.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fold_test.h"
#include "guc.h"
#include "sensor.h"

PG_FUNCTION_INFO_V1(sensor_open);
PG_FUNCTION_INFO_V1(sensor_reset);
PG_FUNCTION_INFO_V1(sensor_limit);
PG_FUNCTION_INFO_V1(sensor_register);
PG_FUNCTION_INFO_V1(sensor_find);
PG_FUNCTION_INFO_V1(sensor_bench);

static FmSensorCache *cache = NULL;

/* sensor_open(pipeline_id, pipeline) */
Datum
sensor_open(PG_FUNCTION_ARGS)
{
	cache = fm_sensor_cache_create(TopMemoryContext, PG_GETARG_INT16(0),
								   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

Datum
sensor_reset(PG_FUNCTION_ARGS)
{
	fm_sensor_cache_reset(cache);
	PG_RETURN_VOID();
}

/* sensor_limit(max_sensors, max_sensor_versions), for this session */
Datum
sensor_limit(PG_FUNCTION_ARGS)
{
	fm_max_sensors = PG_GETARG_INT32(0);
	fm_max_sensor_versions = PG_GETARG_INT32(1);
	PG_RETURN_VOID();
}

/* A description from a result row: six texts and two limits. */
static FmReading *
reading_from_row(uint64 row)
{
	FmReading  *reading = palloc0(sizeof(FmReading));
	FmSlice    *slices[] = {&reading->sensor_id, &reading->sensor_type,
		&reading->factory_section, &reading->machine_id, &reading->zone,
	&reading->unit};
	HeapTuple	tuple = SPI_tuptable->vals[row];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	bool		isnull;

	for (int i = 0; i < lengthof(slices); i++)
		*slices[i] = test_slice(SPI_getvalue(tuple, desc, i + 1));
	reading->warning_threshold =
		DatumGetFloat8(SPI_getbinval(tuple, desc, 7, &isnull));
	reading->has_warning_threshold = !isnull;
	reading->critical_threshold =
		DatumGetFloat8(SPI_getbinval(tuple, desc, 8, &isnull));
	reading->has_critical_threshold = !isnull;
	return reading;
}

/* All descriptions that a query returns, in the current memory context. */
static const FmReading **
readings_of_query(const char *query, int *n)
{
	const FmReading **readings;

	if (SPI_execute(query, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "a query is wanted");
	*n = SPI_processed;
	readings = palloc(Max(*n, 1) * sizeof(FmReading *));
	for (int i = 0; i < *n; i++)
		readings[i] = reading_from_row(i);
	return readings;
}

/* sensor_register(query): returns how many are cached afterwards */
Datum
sensor_register(PG_FUNCTION_ARGS)
{
	const FmReading **readings;
	int			n;
	int			found = 0;

	SPI_connect();
	readings = readings_of_query(text_to_cstring(PG_GETARG_TEXT_PP(0)), &n);
	fm_sensor_register(cache, readings, n);
	for (int i = 0; i < n; i++)
		found += fm_sensor_find(cache, readings[i],
								fm_limits_refresh()) != NULL;
	SPI_finish();
	PG_RETURN_INT32(found);
}

/* sensor_find(query): "sensor version warning_high" of the first row */
Datum
sensor_find(PG_FUNCTION_ARGS)
{
	const FmReading **readings;
	FmSensor   *sensor;
	int			n;

	SPI_connect();
	readings = readings_of_query(text_to_cstring(PG_GETARG_TEXT_PP(0)), &n);
	if (n == 0)
		elog(ERROR, "a row is wanted");
	sensor = fm_sensor_find(cache, readings[0], fm_limits_refresh());
	SPI_finish();
	if (sensor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("sensor %d version %d limit %g",
											  sensor->sensor_id,
											  sensor->sensor_version_id,
											  sensor->limits->warning_high)));
}

/*
 * sensor_bench(query, rounds): register what a query returns, then look all
 * of it up so many times; nanoseconds per look-up.
 */
Datum
sensor_bench(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "bench",
												  ALLOCSET_DEFAULT_SIZES);
	FmSensorCache *bench = fm_sensor_cache_create(context,
												  PG_GETARG_INT16(2),
												  "bench");
	int			rounds = PG_GETARG_INT32(1);
	const FmReading **readings;
	int			n;
	int			found = 0;
	uint64		generation;
	double		start;
	double		seconds;

	SPI_connect();
	readings = readings_of_query(text_to_cstring(PG_GETARG_TEXT_PP(0)), &n);
	start = test_cpu_seconds();
	for (int i = 0; i < n; i += 5000)
		fm_sensor_register(bench, readings + i, Min(5000, n - i));
	seconds = test_cpu_seconds() - start;
	elog(NOTICE, "registering: %.1f us each, %lld bytes in all for %d",
		 seconds * 1e6 / n,
		 (long long) MemoryContextMemAllocated(context, true), n);
	generation = fm_limits_refresh();
	for (int i = 0; i < n; i++)
		(void) fm_sensor_find(bench, readings[i], generation);
	start = test_cpu_seconds();
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < n; i++)
			found += fm_sensor_find(bench, readings[i], generation) != NULL;
	seconds = test_cpu_seconds() - start;
	SPI_finish();
	if (found != rounds * n)
		elog(ERROR, "found %d of %d", found, rounds * n);
	PG_RETURN_FLOAT8(seconds * 1e9 / found);
}
