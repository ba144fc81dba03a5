/*-------------------------------------------------------------------------
 *
 * sensor_register.c
 *	  Looking sensors up in the database, and registering new ones.
 *
 * Registering is a handful of statements, whatever the number of sensors.
 * At READ COMMITTED each takes a snapshot of its own, so after an INSERT with
 * ON CONFLICT DO NOTHING, which waits for a concurrent insert of the same row
 * to end, a following SELECT sees whichever row won; it is needed only where
 * the INSERT did not return the row as ours.  Rows are inserted in
 * the order sensors, types, versions and sorted within each, so that two
 * workers can wait for each other only in one direction.  The statements use
 * LIMIT within LATERAL to make the planner probe an index per description,
 * whatever it believes about the tables, and are planned each time, since a
 * plan made while the tables were empty would scan them for ever.  (Only plain
 * "unnest", without a schema, takes several arrays.)
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
#include "utils/timestamp.h"

#include "factorymon.h"
#include "guc.h"
#include "sensor_internal.h"

/*
 * Count the sensors anew when so many of our own, and this share of what was
 * left, have come since; or after so much time.
 */
#define RECOUNT_SENSORS		1000
#define RECOUNT_SHARE		8
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

#define CANDIDATE_TYPES \
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, \
	TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID
#define CANDIDATE_ARRAYS	(DESC_STRINGS + 2)
#define CANDIDATE_COLUMNS \
	"name, sensor_type, factory_section, machine_id, zone, unit," \
	" warning_threshold, critical_threshold"

static const char lookup_query[] =
"SELECT (r.n - 1)::integer, s.sensor_id, v.sensor_version_id,"
"       CASE WHEN v.sensor_version_id IS NULL THEN"
"         (SELECT count(*) FROM _factorymon.sensor_version AS c"
"           WHERE c.sensor_id = s.sensor_id) END"
"  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)"
"       WITH ORDINALITY AS r(" CANDIDATE_COLUMNS ", n)"
" CROSS JOIN LATERAL"
"       (SELECT x.sensor_id FROM _factorymon.sensor AS x"
"         WHERE x.pipeline_id = $1 AND x.name = r.name LIMIT 1) AS s"
"  LEFT JOIN LATERAL"
"       (SELECT x.sensor_version_id FROM _factorymon.sensor_version AS x"
"         WHERE x.sensor_id = s.sensor_id"
"           AND x.sensor_type = r.sensor_type"
"           AND x.factory_section = r.factory_section"
"           AND x.machine_id = r.machine_id"
"           AND x.zone = r.zone"
"           AND x.unit = r.unit"
"           AND x.warning_threshold IS NOT DISTINCT FROM r.warning_threshold"
"           AND x.critical_threshold IS NOT DISTINCT FROM r.critical_threshold"
"         LIMIT 1) AS v ON true";

static const char count_query[] =
"SELECT count(*) FROM _factorymon.sensor WHERE pipeline_id = $1";

/* Locked as a foreign key would, but once for all sensors of a batch. */
static const char lock_pipeline_query[] =
"SELECT 1 FROM _factorymon.pipeline WHERE pipeline_id = $1 FOR KEY SHARE";

static const char insert_sensors_query[] =
"INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)"
" SELECT pg_catalog.nextval('_factorymon.sensor_id_seq'), $1, n.name"
"   FROM (SELECT DISTINCT u.name COLLATE \"C\" AS name"
"           FROM unnest($2) AS u(name)"
"          ORDER BY 1 LIMIT $3) AS n"
" ON CONFLICT (pipeline_id, name) DO NOTHING"
" RETURNING sensor_id, name";

static const char insert_types_query[] =
"INSERT INTO _factorymon.sensor_type (sensor_type)"
" SELECT DISTINCT u.sensor_type COLLATE \"C\" AS sensor_type"
"   FROM unnest($1) AS u(sensor_type)"
"  WHERE NOT EXISTS (SELECT FROM _factorymon.sensor_type AS t"
"                     WHERE t.sensor_type = u.sensor_type)"
"  ORDER BY 1"
" ON CONFLICT (sensor_type) DO NOTHING";

static const char insert_versions_query[] =
"INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,"
"       sensor_type, factory_section, machine_id, zone, unit,"
"       warning_threshold, critical_threshold)"
" SELECT pg_catalog.nextval('_factorymon.sensor_version_id_seq'),"
"        u.sensor_id, u.sensor_type, u.factory_section, u.machine_id,"
"        u.zone, u.unit, u.warning_threshold, u.critical_threshold"
"   FROM (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
"           AS r(sensor_id, sensor_type, factory_section, machine_id, zone,"
"                unit, warning_threshold, critical_threshold)"
"          ORDER BY sensor_id, sensor_type COLLATE \"C\","
"                factory_section COLLATE \"C\", machine_id COLLATE \"C\","
"                zone COLLATE \"C\", unit COLLATE \"C\","
"                warning_threshold, critical_threshold) AS u"
" ON CONFLICT DO NOTHING"
" RETURNING sensor_id, sensor_version_id";

/* String n of all candidates as a text array. */
static Datum
string_array(const CandidateList *list, int n)
{
	Datum	   *values = palloc(list->length * sizeof(Datum));

	for (int i = 0; i < list->length; i++)
	{
		FmSlice		slice = fm_sensor_entry_slice(list->items[i].entry, n);

		values[i] = PointerGetDatum(cstring_to_text_with_len(slice.data,
															 slice.len));
	}
	return PointerGetDatum(construct_array(values, list->length, TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/* One of the two limits of all candidates as an array with NULLs. */
static Datum
threshold_array(const CandidateList *list, bool critical)
{
	Datum	   *values = palloc(list->length * sizeof(Datum));
	bool	   *nulls = palloc(list->length * sizeof(bool));
	int			dims[1] = {list->length};
	int			lower_bounds[1] = {1};

	for (int i = 0; i < list->length; i++)
	{
		DescriptionHeader *header = &list->items[i].entry->header;

		values[i] = Float8GetDatum(critical ? header->critical_threshold :
								   header->warning_threshold);
		nulls[i] = critical ? !header->has_critical_threshold :
			!header->has_warning_threshold;
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims,
											  lower_bounds, FLOAT8OID,
											  sizeof(float8), FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
}

static Datum
sensor_id_array(const CandidateList *list)
{
	Datum	   *values = palloc(list->length * sizeof(Datum));

	for (int i = 0; i < list->length; i++)
		values[i] = Int32GetDatum(list->items[i].sensor_id);
	return PointerGetDatum(construct_array(values, list->length, INT4OID,
										   sizeof(int32), true,
										   TYPALIGN_INT));
}

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

/* Those without an entry have been found: off the list. */
static void
drop_found(CandidateList *list)
{
	int			kept = 0;

	for (int i = 0; i < list->length; i++)
	{
		if (list->items[i].entry != NULL)
			list->items[kept++] = list->items[i];
	}
	list->length = kept;
}

/*
 * Look all candidates up in the database.  Those found go into the cache and
 * off the list; of the others sensor_id and nversions are set.
 */
static void
lookup_candidates(FmSensorCache *cache, CandidateList *list)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT2OID, CANDIDATE_TYPES};
	Datum		values[CANDIDATE_ARRAYS + 1];

	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare_cursor(lookup_query,
												  lengthof(types), types,
												  CURSOR_OPT_CUSTOM_PLAN);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare the look-up of sensors");
		plan = prepared;
	}

	values[0] = Int16GetDatum(cache->pipeline_id);
	for (int i = 0; i < DESC_STRINGS; i++)
		values[i + 1] = string_array(list, i);
	values[DESC_STRINGS + 1] = threshold_array(list, false);
	values[DESC_STRINGS + 2] = threshold_array(list, true);
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up sensors");

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;
		int			n = DatumGetInt32(fm_spi_value(row, 1, &isnull));
		Candidate  *candidate = &list->items[n];
		int32		version_id;

		candidate->sensor_id = DatumGetInt32(fm_spi_value(row, 2, &isnull));
		version_id = DatumGetInt32(fm_spi_value(row, 3, &isnull));
		if (isnull)
		{
			Datum		count = fm_spi_value(row, 4, &isnull);

			candidate->nversions = DatumGetInt64(count);
			continue;
		}
		fm_sensor_cache_add(cache, candidate->entry, candidate->sensor_id, version_id);
		candidate->entry = NULL;
	}
	SPI_freetuptable(SPI_tuptable);
	drop_found(list);
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

/*
 * How many more sensors the pipeline may have.  Other workers register too,
 * so the count is taken anew now and then; between two counts the limit may
 * be exceeded by RECOUNT_SENSORS a worker, or if more than RECOUNT_SHARE workers
 * register at once.
 */
static int64
sensor_room(FmSensorCache *cache)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (cache->counted_at == 0 ||
		cache->uncounted >= Max(RECOUNT_SENSORS,
								(fm_max_sensors - cache->sensor_count) /
								RECOUNT_SHARE) ||
		TimestampDifferenceExceeds(cache->counted_at, now, RECOUNT_MS))
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

/* Those without a sensor first, by name. */
static int
missing_compare(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;
	FmSlice		name;
	FmSlice		other;
	int			result;

	if ((x->sensor_id == 0) != (y->sensor_id == 0))
		return x->sensor_id == 0 ? -1 : 1;
	name = fm_sensor_entry_slice(x->entry, DESC_NAME);
	other = fm_sensor_entry_slice(y->entry, DESC_NAME);
	result = memcmp(name.data, other.data, Min(name.len, other.len));
	return result != 0 ? result : name.len - other.len;
}

/* Give the candidates of this name, sorted, the id that it got. */
static void
set_sensor_id(CandidateList *missing, const char *name, int len,
			  int32 sensor_id)
{
	int			low = 0;
	int			high = missing->length;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		FmSlice		other = fm_sensor_entry_slice(missing->items[middle].entry,
												  DESC_NAME);
		int			order = memcmp(other.data, name, Min(other.len, len));

		if (order < 0 || (order == 0 && other.len < len))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < missing->length; low++)
	{
		FmSlice		other = fm_sensor_entry_slice(missing->items[low].entry,
												  DESC_NAME);

		if (other.len != len || memcmp(other.data, name, len) != 0)
			return;
		missing->items[low].sensor_id = sensor_id;
	}
}

/*
 * Insert the sensors that are missing, as far as there is room for them.
 * Returns whether there are any whose id is not known then: without room, or
 * inserted by somebody else at the same time.
 */
static bool
insert_sensors(FmSensorCache *cache, CandidateList *list)
{
	CandidateList missing = {list->items, 0};
	Oid			types[] = {INT2OID, TEXTARRAYOID, INT8OID};
	Datum		values[3];
	int64		room;
	uint64		inserted;

	qsort(list->items, list->length, sizeof(Candidate), missing_compare);
	while (missing.length < list->length &&
		   list->items[missing.length].sensor_id == 0)
		missing.length++;
	if (missing.length == 0 || (room = sensor_room(cache)) == 0)
		return false;

	values[0] = Int16GetDatum(cache->pipeline_id);
	values[1] = string_array(&missing, DESC_NAME);
	values[2] = Int64GetDatum(room);
	inserted = fm_spi_run(insert_sensors_query, lengthof(types), types,
						  values, NULL, SPI_OK_INSERT_RETURNING);
	cache->sensor_count += inserted;
	cache->uncounted += inserted;
	for (uint64 row = 0; row < inserted; row++)
	{
		bool		isnull;
		Datum		sensor_id = fm_spi_value(row, 1, &isnull);
		text	   *name = DatumGetTextPP(fm_spi_value(row, 2, &isnull));

		set_sensor_id(&missing, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
					  DatumGetInt32(sensor_id));
	}
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < missing.length; i++)
		if (missing.items[i].sensor_id == 0)
			return true;
	return false;
}

static int
candidate_compare(const void *a, const void *b)
{
	int32		x = ((const Candidate *) a)->sensor_id;
	int32		y = ((const Candidate *) b)->sensor_id;

	return (x > y) - (x < y);
}

/*
 * A version was inserted: it is that of the candidate of its sensor, if there
 * is only one of them in the list, which is sorted by sensor.
 */
static void
take_version(FmSensorCache *cache, CandidateList *list, int32 sensor_id,
			 int32 sensor_version_id)
{
	Candidate	key = {NULL, sensor_id, 0};
	Candidate  *found = bsearch(&key, list->items, list->length,
								sizeof(Candidate), candidate_compare);
	int			n = found - list->items;

	if (found == NULL || found->entry == NULL ||
		(n > 0 && found[-1].sensor_id == sensor_id) ||
		(n + 1 < list->length && found[1].sensor_id == sensor_id))
		return;
	fm_sensor_cache_add(cache, found->entry, sensor_id, sensor_version_id);
	found->entry = NULL;
}

/*
 * Insert the versions that are missing, with their types, as far as their
 * sensors may have more.  Those whose id is known then go into the cache and
 * off the list.
 */
static void
insert_versions(FmSensorCache *cache, CandidateList *list)
{
	CandidateList missing = {palloc(list->length * sizeof(Candidate)), 0};
	Oid			types[] = {
		INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID
	};
	Datum		values[lengthof(types)];
	int64		nversions = 0;
	uint64		inserted;

	qsort(list->items, list->length, sizeof(Candidate), candidate_compare);
	for (int i = 0; i < list->length; i++)
	{
		const Candidate *candidate = &list->items[i];

		if (candidate->sensor_id == 0)
			continue;			/* no room for the sensor */
		if (i == 0 || candidate->sensor_id != list->items[i - 1].sensor_id)
			nversions = candidate->nversions;
		if (nversions >= fm_max_sensor_versions)
			continue;
		nversions++;
		missing.items[missing.length++] = *candidate;
	}
	if (missing.length == 0)
		return;

	/* the name gives way to the id, the rest is as described */
	values[0] = sensor_id_array(&missing);
	for (int i = 1; i < DESC_STRINGS; i++)
		values[i] = string_array(&missing, i);
	values[DESC_STRINGS] = threshold_array(&missing, false);
	values[DESC_STRINGS + 1] = threshold_array(&missing, true);

	(void) fm_spi_run(insert_types_query, 1, &types[1],
					  &values[DESC_SENSOR_TYPE], NULL, SPI_OK_INSERT);
	inserted = fm_spi_run(insert_versions_query, lengthof(types), types,
						  values, NULL, SPI_OK_INSERT_RETURNING);
	for (uint64 row = 0; row < inserted; row++)
	{
		bool		isnull;
		Datum		sensor_id = fm_spi_value(row, 1, &isnull);
		Datum		version_id = fm_spi_value(row, 2, &isnull);

		take_version(cache, list, DatumGetInt32(sensor_id),
					 DatumGetInt32(version_id));
	}
	SPI_freetuptable(SPI_tuptable);
	drop_found(list);
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
		lookup_candidates(cache, &list);
	if (list.length > 0)
		lock_pipeline(cache);
	if (list.length > 0 && insert_sensors(cache, &list))
		lookup_candidates(cache, &list);
	if (list.length > 0)
		insert_versions(cache, &list);
	if (list.length > 0)
		lookup_candidates(cache, &list);
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
