/*-------------------------------------------------------------------------
 *
 * detector_config.c
 *	  The detectors in force: a cache of factorymon.detector.
 *
 * It is kept as limits.c keeps limits, for the same reasons: a trigger sends
 * an invalidation of the table, which is counted, and everything is loaded
 * again by the next fm_limits_refresh().
 *
 * Rows are few, one for a sensor type and detector, and a sensor's type is
 * looked up only when its description is new or something has changed, so all
 * of it is an array.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "detector_config.h"
#include "factorymon.h"

static struct
{
	bool		watching;		/* callback registered */
	Oid			relid;			/* factorymon.detector */
	uint64		invalidations;	/* seen so far */
	uint64		loaded;			/* invalidations when the load began */
	uint32		generation;		/* number of loads; 0: none yet */
	MemoryContext context;		/* of types; replaced as that of limits is */
	FmDetectorParams *types;
	int			ntypes;
}			cache;

/*
 * All detectors of each type that has any row, in the order of FmDetectorKind,
 * with what is on and what is learned; intervals in microseconds.
 */
static const char detectors_query[] =
"SELECT t.sensor_type, coalesce(d.enabled, false), coalesce(d.report, f.report),"
"       coalesce(d.weight, f.weight, 0.01),"
"       CASE WHEN d.weight IS NULL THEN pg_catalog.date_part('epoch',"
"         coalesce(d.time_constant, f.time_constant)) * 1000000 END,"
"       coalesce(d.clip, f.clip), coalesce(d.learn, f.learn)::bigint,"
"       coalesce(pg_catalog.max(d.resolution) OVER"
"         (PARTITION BY t.sensor_type), r.resolution),"
"       d.max_per_minute,"
"       (pg_catalog.date_part('epoch', coalesce(d.span, f.span)) * 1000000)::bigint,"
"       coalesce(d.tolerance, f.tolerance),"
"       (pg_catalog.date_part('epoch', coalesce(d.min_duration, f.min_duration)) * 1000000)::bigint,"
"       (pg_catalog.date_part('epoch', coalesce(d.utc_offset, f.utc_offset)) * 1000000)::bigint,"
"       coalesce(d.alarm, false), coalesce(d.raise_after, f.raise_after),"
"       coalesce(d.return_after, f.return_after),"
"       coalesce(d.severity, 200::smallint),"
"       (pg_catalog.date_part('epoch', d.re_alarm_after) * 1000000)::bigint,"
"       coalesce(d.acknowledgement, true), coalesce(d.shelvable, true),"
"       coalesce(d.version, 0), f.kind::integer - 1"
"  FROM (SELECT DISTINCT sensor_type FROM factorymon.detector) AS t"
"  CROSS JOIN ROWS FROM (factorymon.default_detectors())"
"    WITH ORDINALITY AS f(detector, report, weight, time_constant, clip,"
"    learn, span, tolerance, min_duration, utc_offset, raise_after,"
"    return_after, kind)"
"  LEFT JOIN factorymon.detector AS d USING (sensor_type, detector)"
"  LEFT JOIN factorymon.default_sensor_types() AS r USING (sensor_type)"
" ORDER BY t.sensor_type COLLATE \"C\", f.kind";

/* Columns of detectors_query. */
enum
{
	DETECTOR_SENSOR_TYPE = 1,
	DETECTOR_ENABLED,
	DETECTOR_REPORT,
	DETECTOR_WEIGHT,
	DETECTOR_TIME_CONSTANT,
	DETECTOR_CLIP,
	DETECTOR_LEARN,
	DETECTOR_RESOLUTION,
	DETECTOR_MAX_PER_MINUTE,
	DETECTOR_SPAN,
	DETECTOR_TOLERANCE,
	DETECTOR_MIN_DURATION,
	DETECTOR_UTC_OFFSET,
	DETECTOR_ALARM,
	DETECTOR_RAISE_AFTER,
	DETECTOR_RETURN_AFTER,
	DETECTOR_SEVERITY,
	DETECTOR_RE_ALARM_AFTER,
	DETECTOR_ACKNOWLEDGEMENT,
	DETECTOR_SHELVABLE,
	DETECTOR_VERSION,
	DETECTOR_KIND
};

/* Relation-cache callback; InvalidOid stands for all relations. */
static void
detectors_invalidated(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cache.relid)
		cache.invalidations++;
}

/* ------------------------------------------------------------------------
 * Loading
 * ------------------------------------------------------------------------
 */

/* Columns of the current result; 0 where they are null. */
static double
result_float(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(datum);
}

static int64
result_int8(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(datum);
}

static int32
result_int4(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(datum);
}

static bool
result_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return !isnull && DatumGetBool(datum);
}

static void
load_learning(uint64 row, FmLearning *learning)
{
	learning->weight = result_float(row, DETECTOR_WEIGHT);
	learning->time_constant = result_float(row, DETECTOR_TIME_CONSTANT);
	learning->clip = result_float(row, DETECTOR_CLIP);
	learning->unbias = fm_detector_unbias(learning->clip);
	learning->after = result_int8(row, DETECTOR_LEARN);
}

static void
load_alarm(uint64 row, FmDetectorAlarm *alarm)
{
	bool		isnull;

	alarm->re_alarm_after = result_int8(row, DETECTOR_RE_ALARM_AFTER);
	alarm->raise_after = result_int4(row, DETECTOR_RAISE_AFTER);
	alarm->return_after = result_int4(row, DETECTOR_RETURN_AFTER);
	alarm->version = result_int4(row, DETECTOR_VERSION);
	alarm->severity =
		DatumGetInt16(fm_spi_value(row, DETECTOR_SEVERITY, &isnull));
	alarm->on = result_bool(row, DETECTOR_ALARM);
	if (result_bool(row, DETECTOR_ACKNOWLEDGEMENT))
		alarm->options |= FM_DETECTOR_ACKNOWLEDGED;
	if (result_bool(row, DETECTOR_SHELVABLE))
		alarm->options |= FM_DETECTOR_SHELVABLE;
}

/* One row: one detector of a type. */
static void
load_row(uint64 row, FmDetectorParams *params)
{
	FmDetectorKind kind = result_int4(row, DETECTOR_KIND);

	if (result_bool(row, DETECTOR_ENABLED))
		params->on |= FM_DETECTOR_BIT(kind);
	params->report[kind] = result_float(row, DETECTOR_REPORT);
	load_alarm(row, &params->alarms[kind]);
	switch (kind)
	{
		case FM_DETECTOR_ANOMALY:
			params->resolution = result_float(row, DETECTOR_RESOLUTION);
			load_learning(row, &params->learning[FM_LEARNED_VALUE]);
			break;
		case FM_DETECTOR_RATE:
			params->per_minute = result_float(row, DETECTOR_MAX_PER_MINUTE);
			params->span = result_int8(row, DETECTOR_SPAN);
			load_learning(row, &params->learning[FM_LEARNED_CHANGE]);
			break;
		case FM_DETECTOR_FLAT:
			params->tolerance = result_float(row, DETECTOR_TOLERANCE);
			params->flat_time = result_int8(row, DETECTOR_MIN_DURATION);
			break;
		case FM_DETECTOR_SEASONAL:
			params->utc_offset = result_int8(row, DETECTOR_UTC_OFFSET);
			load_learning(row, &params->learning[FM_LEARNED_HOUR]);
			break;
		case FM_DETECTOR_SEQUENCE:
		case FM_DETECTOR_TIME:
		case FM_DETECTORS:
			break;
	}
}

/* A type, of which the rows follow. */
static void
load_type(uint64 row, FmDetectorParams *params)
{
	bool		isnull;
	char	   *name =
		TextDatumGetCString(fm_spi_value(row, DETECTOR_SENSOR_TYPE, &isnull));

	strncpy(params->sensor_type, name, FM_DETECTOR_TYPE_SIZE - 1);
	params->type = hash_bytes((const unsigned char *) name, strlen(name));
	params->type = Max(params->type, 1);
}

static void
detectors_load(void)
{
	uint64		loading = cache.invalidations;
	MemoryContext context;
	FmDetectorParams *types;
	int			ntypes;

	context = AllocSetContextCreate(CurTransactionContext,
									"factorymon detectors",
									ALLOCSET_SMALL_SIZES);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(detectors_query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read factorymon.detector");
	ntypes = SPI_processed / FM_DETECTORS;
	types = MemoryContextAllocZero(context, (ntypes + 1) *
								   sizeof(FmDetectorParams));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		if (row % FM_DETECTORS == 0)
			load_type(row, &types[row / FM_DETECTORS]);
		load_row(row, &types[row / FM_DETECTORS]);
	}
	PopActiveSnapshot();
	SPI_finish();

	/* nothing below can fail */
	MemoryContextSetParent(context, TopMemoryContext);
	if (cache.context != NULL)
		MemoryContextSetParent(cache.context, TopTransactionContext);
	cache.context = context;
	cache.types = types;
	cache.ntypes = ntypes;
	cache.loaded = loading;
	cache.generation++;
}

/* ------------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------------
 */

bool
fm_detectors_refresh(void)
{
	Oid			relid = get_relname_relid("detector",
										  get_namespace_oid("factorymon",
															false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"factorymon.detector\" does not exist")));
	if (!cache.watching)
	{
		CacheRegisterRelcacheCallback(detectors_invalidated, (Datum) 0);
		cache.watching = true;
	}
	if (relid != cache.relid)
	{
		/* first use, or the extension was dropped and created again */
		cache.relid = relid;
		cache.invalidations++;
	}
	if (cache.loaded == cache.invalidations)
		return false;
	detectors_load();
	return true;
}

uint32
fm_detectors_generation(void)
{
	return cache.generation;
}

const FmDetectorParams *
fm_detectors_all(int *n)
{
	*n = cache.ntypes;
	return cache.types;
}

const FmDetectorParams *
fm_detectors_find(const FmSlice *sensor_type)
{
	for (int i = 0; i < cache.ntypes; i++)
	{
		const FmDetectorParams *params = &cache.types[i];

		if (strlen(params->sensor_type) == (size_t) sensor_type->len &&
			memcmp(params->sensor_type, sensor_type->data,
				   sensor_type->len) == 0)
			return params->on != 0 ? params : NULL;
	}
	return NULL;
}
