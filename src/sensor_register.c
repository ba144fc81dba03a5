/*-------------------------------------------------------------------------
 *
 * sensor_register.c
 *	  Looking sensors up in the database, and registering new ones.
 *
 * Whoever registers a sensor that somebody else has just registered, too, waits
 * at the unique index, and fails when the other one commits.  That is rare,
 * since readings of a sensor mostly come through one partition, so it is not
 * guarded against: the caller tries again, and finds what is there by then.  All
 * insert types, then sensors, then descriptions, each in order, so that two can
 * wait for each other only in one direction.
 *
 * Rows are read and written by sensor_table.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "guc.h"
#include "sensor_internal.h"

/*
 * Count the sensors anew when so many of our own have come since, or after so
 * much time.  Counting takes the longer the more there are, so these shares of
 * what was left and of what was there may come, too, if they are more.
 */
#define RECOUNT_SENSORS		1000
#define RECOUNT_SHARE_LEFT	8
#define RECOUNT_SHARE_THERE	64
#define RECOUNT_MS			60000

/* A description on its way into the cache. */
typedef struct Candidate
{
	SensorEntry *entry;
	int32		sensor_id;		/* 0: the sensor is not registered */
	int64		nversions;		/* that the sensor has in the database */
} Candidate;

typedef struct CandidateList
{
	Candidate  *items;
	int			length;
} CandidateList;

static const char count_query[] =
"SELECT count(*) FROM _factorymon.sensor WHERE pipeline_id = $1";

/* Locked as a foreign key would, but once for all sensors of a batch. */
static const char lock_pipeline_query[] =
"SELECT 1 FROM _factorymon.pipeline WHERE pipeline_id = $1 FOR KEY SHARE";

static const char insert_types_query[] =
"INSERT INTO _factorymon.sensor_type (sensor_type)"
" SELECT DISTINCT u.sensor_type COLLATE \"C\" AS sensor_type"
"   FROM unnest($1) AS u(sensor_type)"
"  WHERE NOT EXISTS (SELECT FROM _factorymon.sensor_type AS t"
"                     WHERE t.sensor_type = u.sensor_type)"
"  ORDER BY 1"
" ON CONFLICT (sensor_type) DO NOTHING";

/*
 * All descriptions among the readings that are not cached, once each, in the
 * current memory context.
 */
static CandidateList
collect_candidates(FmSensorCache *cache, const FmReading **readings, int n)
{
	CandidateList list = {NULL, 0};
	sensorhash_hash *seen = sensorhash_create(CurrentMemoryContext, 64, NULL);

	list.items = palloc(Max(n, 1) * sizeof(Candidate));
	for (int i = 0; i < n; i++)
	{
		SensorProbe probe;
		SensorEntry *copy;
		bool		found;

		fm_sensor_probe(&probe, readings[i], cache->seed);
		if (sensorhash_lookup(cache->table, &probe.entry) != NULL ||
			sensorhash_lookup(seen, &probe.entry) != NULL)
			continue;
		copy = fm_sensor_entry_copy(&probe.entry, CurrentMemoryContext);
		(void) sensorhash_insert(seen, copy, &found);
		list.items[list.length++] = (Candidate)
		{
			copy, 0, 0
		};
	}
	return list;
}

/*
 * Put those that are in the database into the cache; the others stay on the list,
 * with what there is of their sensors.
 */
static void
find_candidates(FmSensorCache *cache, FmSensorTables *tables,
				CandidateList *list)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	int			kept = 0;

	for (int i = 0; i < list->length; i++)
	{
		Candidate  *candidate = &list->items[i];
		SensorEntry *entry = candidate->entry;
		int32		version_id = 0;

		candidate->sensor_id =
			fm_sensor_table_find(tables, snapshot, cache->pipeline_id,
								 fm_sensor_entry_slice(entry, DESC_NAME));
		if (candidate->sensor_id != 0)
			version_id = fm_sensor_table_find_version(tables, snapshot,
													  candidate->sensor_id,
													  entry,
													  &candidate->nversions);
		if (version_id != 0)
			fm_sensor_cache_add(cache, entry, candidate->sensor_id,
								version_id);
		else
			list->items[kept++] = *candidate;
	}
	UnregisterSnapshot(snapshot);
	list->length = kept;
}

/* Whoever drops the pipeline waits for us, and deletes what we insert. */
static void
lock_pipeline(const FmSensorCache *cache)
{
	Oid			types[] = {INT2OID};
	Datum		values[] = {Int16GetDatum(cache->pipeline_id)};

	if (fm_spi_run(lock_pipeline_query, 1, types, values, NULL,
				   SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" was dropped",
						cache->pipeline_name)));
	SPI_freetuptable(SPI_tuptable);
}

/* Have so many come since they were counted that this must be done again? */
static bool
must_recount(const FmSensorCache *cache, TimestampTz now)
{
	int64		enough = Max((fm_max_sensors - cache->sensor_count) /
							 RECOUNT_SHARE_LEFT,
							 cache->sensor_count / RECOUNT_SHARE_THERE);

	return cache->counted_at == 0 ||
		cache->uncounted >= Max(RECOUNT_SENSORS, enough) ||
		TimestampDifferenceExceeds(cache->counted_at, now, RECOUNT_MS);
}

/*
 * How many more sensors the pipeline may have.  Other workers register too, and
 * are noticed when the count is taken anew: until then a worker may exceed the
 * limit by RECOUNT_SENSORS, or by 1 / RECOUNT_SHARE_THERE.
 */
static int64
sensor_room(FmSensorCache *cache)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (must_recount(cache, now))
	{
		Oid			types[] = {INT2OID};
		Datum		values[] = {Int16GetDatum(cache->pipeline_id)};
		bool		isnull;

		(void) fm_spi_run(count_query, 1, types, values, NULL,
						  SPI_OK_SELECT);
		cache->sensor_count = DatumGetInt64(fm_spi_value(0, 1, &isnull));
		SPI_freetuptable(SPI_tuptable);
		cache->uncounted = 0;
		cache->counted_at = now;
	}
	return Max(fm_max_sensors - cache->sensor_count, 0);
}

static int
compare_names(const Candidate *a, const Candidate *b)
{
	FmSlice		name = fm_sensor_entry_slice(a->entry, DESC_NAME);
	FmSlice		other = fm_sensor_entry_slice(b->entry, DESC_NAME);
	int			result = memcmp(name.data, other.data,
								Min(name.len, other.len));

	return result != 0 ? result : name.len - other.len;
}

static int
compare_candidates(const void *a, const void *b)
{
	return compare_names(a, b);
}

/* The types of the descriptions: few, and mostly the same for names alike. */
static void
insert_types(const CandidateList *list)
{
	Oid			types[] = {TEXTARRAYOID};
	Datum	   *strings = palloc(list->length * sizeof(Datum));
	FmSlice		last = {NULL, 0};
	Datum		values[1];
	int			n = 0;

	for (int i = 0; i < list->length; i++)
	{
		FmSlice		type = fm_sensor_entry_slice(list->items[i].entry,
												 DESC_SENSOR_TYPE);

		if (last.data && last.len == type.len &&
			memcmp(last.data, type.data, type.len) == 0)
			continue;
		strings[n++] = PointerGetDatum(cstring_to_text_with_len(type.data,
																type.len));
		last = type;
	}
	values[0] = PointerGetDatum(construct_array(strings, n, TEXTOID, -1, false,
												TYPALIGN_INT));
	(void) fm_spi_run(insert_types_query, 1, types, values, NULL,
					  SPI_OK_INSERT);
}

/* Insert the sensors that are missing, as many as there is room for. */
static void
insert_sensors(FmSensorCache *cache, FmSensorTables *tables,
			   CandidateList *list)
{
	int64		room = sensor_room(cache);

	for (int i = 0; i < list->length; i++)
	{
		Candidate  *candidate = &list->items[i];

		if (i > 0 && compare_names(candidate, candidate - 1) == 0)
			candidate->sensor_id = candidate[-1].sensor_id;
		else if (candidate->sensor_id == 0 && room > 0)
		{
			candidate->sensor_id =
				fm_sensor_table_add(tables, cache->pipeline_id,
									fm_sensor_entry_slice(candidate->entry,
														  DESC_NAME));
			room--;
			cache->sensor_count++;
			cache->uncounted++;
		}
	}
	fm_sensor_tables_flush(tables);
}

/* Insert what is missing of their descriptions, as many as each may have. */
static void
insert_versions(FmSensorCache *cache, FmSensorTables *tables,
				CandidateList *list)
{
	int64		nversions = 0;

	for (int i = 0; i < list->length; i++)
	{
		Candidate  *candidate = &list->items[i];
		int32		version_id;

		if (i == 0 || compare_names(candidate, candidate - 1) != 0)
			nversions = candidate->nversions;
		if (candidate->sensor_id == 0 || nversions >= fm_max_sensor_versions)
			continue;
		nversions++;
		version_id = fm_sensor_table_add_version(tables, candidate->sensor_id,
												 candidate->entry);
		fm_sensor_cache_add(cache, candidate->entry, candidate->sensor_id,
							version_id);
	}
}

/* Look up what is not cached; register what is not there. */
static void
register_candidates(FmSensorCache *cache, CandidateList *list)
{
	FmSensorTables *tables = fm_sensor_tables_open();

	find_candidates(cache, tables, list);
	if (list->length > 0)
	{
		lock_pipeline(cache);
		qsort(list->items, list->length, sizeof(Candidate),
			  compare_candidates);
		insert_types(list);
		insert_sensors(cache, tables, list);
		insert_versions(cache, tables, list);
	}
	fm_sensor_tables_close(tables);
	CommandCounterIncrement();
}

void
fm_sensor_register(FmSensorCache *cache, const FmReading **readings, int n)
{
	CandidateList list;

	if (IsolationUsesXactSnapshot())
		elog(ERROR, "sensors must be registered at isolation level READ COMMITTED");

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_sensor_cache_retire_if_full(cache);
	/* from here to SPI_finish() the current context is SPI's own */
	list = collect_candidates(cache, readings, n);
	if (list.length > 0)
		register_candidates(cache, &list);
	SPI_finish();
}

void
fm_sensor_delete_all(int16 pipeline_id)
{
	Oid			types[] = {INT2OID};
	Datum		values[] = {Int16GetDatum(pipeline_id)};

	(void) fm_spi_run("DELETE FROM _factorymon.sensor_version v"
					  " USING _factorymon.sensor s WHERE s.pipeline_id = $1"
					  " AND v.sensor_id = s.sensor_id",
					  1, types, values, NULL, SPI_OK_DELETE);
	(void) fm_spi_run("DELETE FROM _factorymon.sensor WHERE pipeline_id = $1",
					  1, types, values, NULL, SPI_OK_DELETE);
}
