/*-------------------------------------------------------------------------
 *
 * sensor_register.c
 *	  Looking sensors up in the database, and registering new ones.
 *
 * Who registers sensors of a pipeline holds a lock, from the look at what is
 * missing to the end of the transaction, so that nobody else registers the same
 * ones meanwhile: workers take turns, for milliseconds.  What is not missing is
 * found without it.  At READ COMMITTED a snapshot taken under the lock shows
 * what the last holder has committed.  A session that retries rejects gives the
 * lock back at once, for it may go on for long; where a worker then meets a
 * sensor of an open transaction it waits at the unique index, and fails and
 * tries again when that has committed.
 *
 * Rows are read and written by sensor_table.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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
 * Find those that are in the database, from item first on, and put them into
 * the cache.  Returns the first that is not; of that one sensor_id and nversions
 * are set.
 */
static int
find_candidates(FmSensorCache *cache, FmSensorTables *tables,
				CandidateList *list, int first)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	int			n;

	for (n = first; n < list->length; n++)
	{
		Candidate  *candidate = &list->items[n];
		SensorEntry *entry = candidate->entry;
		int32		version_id;

		candidate->sensor_id =
			fm_sensor_table_find(tables, snapshot, cache->pipeline_id,
								 fm_sensor_entry_slice(entry, DESC_NAME));
		if (candidate->sensor_id == 0)
			break;
		version_id = fm_sensor_table_find_version(tables, snapshot,
												  candidate->sensor_id, entry,
												  &candidate->nversions);
		if (version_id == 0)
			break;
		fm_sensor_cache_add(cache, entry, candidate->sensor_id, version_id);
	}
	UnregisterSnapshot(snapshot);
	return n;
}

/* Only those that are missing stay on the list; the lock is held. */
static void
keep_missing(FmSensorCache *cache, FmSensorTables *tables,
			 CandidateList *list, int first)
{
	int			kept = 0;

	while ((first = find_candidates(cache, tables, list, first)) <
		   list->length)
		list->items[kept++] = list->items[first++];
	list->length = kept;
}

/* One at a time registers sensors of a pipeline. */
static void
lock_registration(const FmSensorCache *cache)
{
	Oid			schema = get_namespace_oid("_factorymon", false);

	LockDatabaseObject(RelationRelationId,
					   get_relname_relid("sensor", schema),
					   cache->pipeline_id, ExclusiveLock);
}

static void
unlock_registration(const FmSensorCache *cache)
{
	Oid			schema = get_namespace_oid("_factorymon", false);

	UnlockDatabaseObject(RelationRelationId,
						 get_relname_relid("sensor", schema),
						 cache->pipeline_id, ExclusiveLock);
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

/*
 * Register what is missing, which is in the order of the names: as many sensors as there
 * is room for, and of each as many descriptions as it may have.
 */
static void
insert_missing(FmSensorCache *cache, FmSensorTables *tables,
			   CandidateList *list)
{
	int64		room = sensor_room(cache);
	int64		nversions = 0;
	int32		sensor_id = 0;

	for (int i = 0; i < list->length; i++)
	{
		Candidate  *candidate = &list->items[i];
		int32		version_id;

		if (i == 0 || compare_names(candidate, candidate - 1) != 0)
		{
			sensor_id = candidate->sensor_id;
			nversions = candidate->nversions;
			if (sensor_id == 0 && room > 0)
			{
				sensor_id = fm_sensor_table_add(tables, cache->pipeline_id,
												fm_sensor_entry_slice(candidate->entry, DESC_NAME));
				room--;
				cache->sensor_count++;
				cache->uncounted++;
			}
		}
		if (sensor_id == 0 || nversions >= fm_max_sensor_versions)
			continue;
		nversions++;
		version_id = fm_sensor_table_add_version(tables, sensor_id,
												 candidate->entry);
		fm_sensor_cache_add(cache, candidate->entry, sensor_id, version_id);
	}
}

/* Look up what is not cached; register what is not there. */
static void
register_candidates(FmSensorCache *cache, CandidateList *list, bool keep_lock)
{
	FmSensorTables *tables = fm_sensor_tables_open();
	int			first = find_candidates(cache, tables, list, 0);
	bool		locked = first < list->length;

	if (locked)
	{
		lock_registration(cache);
		lock_pipeline(cache);
		keep_missing(cache, tables, list, first);
		if (list->length > 0)
		{
			qsort(list->items, list->length, sizeof(Candidate),
				  compare_candidates);
			insert_types(list);
			insert_missing(cache, tables, list);
		}
	}
	fm_sensor_tables_close(tables);
	if (locked && !keep_lock)
		unlock_registration(cache);
	CommandCounterIncrement();
}

void
fm_sensor_register(FmSensorCache *cache, const FmReading **readings, int n,
				   bool keep_lock)
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
		register_candidates(cache, &list, keep_lock);
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
