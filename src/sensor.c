/*-------------------------------------------------------------------------
 *
 * sensor.c
 *	  The cache from descriptions to sensors, and their registration.
 *
 * A *description* is everything a reading says about its sensor: name, type,
 * section, machine, zone, unit and the producer's own limits.  It is a row of
 * sensor_version.  The cache maps descriptions, not names, so a sensor that
 * alternates between two descriptions is found at once each time; both lead
 * to the same sensor_id.
 *
 * A description is laid out as bytes (fixed part, then the strings, padded
 * with zeros), so that hashing is one pass and comparing is one memcmp().
 * The hash is 64 bits wide and seeded at random, so that nobody can choose
 * names that collide; equality is always verified.
 *
 * Memory: with strings of 60 bytes in all an entry takes 184 bytes, 24 more
 * for its chunk, and 18 to 36 in the hash table: about 240 bytes a sensor, 1 M
 * sensors about 240 MB.  The cache is bounded: when it holds twice as many
 * entries as there may be sensors, it is retired and a new one begun.  The
 * retired one is kept until that happens again, so that entries handed out
 * in the running batch stay valid.
 *
 * Registration is a handful of statements, whatever the number of sensors.
 * At READ COMMITTED each takes a snapshot of its own, so after an INSERT with
 * ON CONFLICT DO NOTHING, which waits for a concurrent insert of the same row
 * to end, the following SELECT sees whichever row won.  Rows are inserted in
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
#include "sensor.h"

/* ------------------------------------------------------------------------
 * Descriptions
 * ------------------------------------------------------------------------
 */

/* The strings of a description, in this order. */
enum
{
	DESC_NAME,
	DESC_SENSOR_TYPE,
	DESC_FACTORY_SECTION,
	DESC_MACHINE_ID,
	DESC_ZONE,
	DESC_UNIT,
	DESC_STRINGS
};

/* No padding: it is compared byte by byte. */
typedef struct DescriptionHeader
{
	double		warning_threshold;	/* 0 where there is none; never -0 */
	double		critical_threshold;
	uint16		len[DESC_STRINGS];
	uint8		has_warning_threshold;
	uint8		has_critical_threshold;
	uint16		total;			/* bytes of all strings, padded */
} DescriptionHeader;

StaticAssertDecl(sizeof(DescriptionHeader) == 32,
				 "DescriptionHeader must have no padding");

typedef struct SensorEntry
{
	FmSensor	sensor;			/* first: callers get a pointer to it */
	uint64		hash;
	DescriptionHeader header;
	char		strings[FLEXIBLE_ARRAY_MEMBER]; /* MAXALIGN'ed by what precedes */
} SensorEntry;

#define MAX_STRINGS \
	TYPEALIGN(8, FM_MAX_SENSOR_ID + 3 * FM_MAX_NAME + 2 * FM_MAX_SHORT_NAME)

/* Room for any description, on the stack. */
typedef union SensorProbe
{
	SensorEntry entry;
	char		room[offsetof(SensorEntry, strings) + MAX_STRINGS];
} SensorProbe;

static bool
entry_equal(const SensorEntry *a, const SensorEntry *b)
{
	/* header and strings lie side by side */
	return a->hash == b->hash &&
		memcmp(&a->header, &b->header, sizeof(DescriptionHeader)) == 0 &&
		memcmp(a->strings, b->strings, a->header.total) == 0;
}

typedef struct SensorSlot
{
	SensorEntry *entry;			/* hash key */
	uint32		hash;
	char		status;			/* for simplehash */
} SensorSlot;

#define SH_PREFIX		sensorhash
#define SH_ELEMENT_TYPE	SensorSlot
#define SH_KEY_TYPE		SensorEntry *
#define SH_KEY			entry
#define SH_HASH_KEY(tb, key) ((uint32) (key)->hash)
#define SH_EQUAL(tb, a, b) entry_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

struct FmSensorCache
{
	MemoryContext context;		/* of the cache itself */
	MemoryContext entries;		/* of the table and what it points to */
	MemoryContext retired;		/* entries before; may be NULL */
	sensorhash_hash *table;
	int16		pipeline_id;
	char	   *pipeline_name;
	uint64		seed;
	/* sensors of the pipeline in the database, as far as we know */
	int64		sensor_count;
	int64		uncounted;		/* inserted by us since they were counted */
	TimestampTz counted_at;		/* 0: never */
};

/* Count the sensors anew after so many of our own, or so much time. */
#define RECOUNT_SENSORS		1000
#define RECOUNT_MS			60000

/* One word into the hash: multiply, then bring the high bits down. */
static inline uint64
hash_word(uint64 hash, const char *data)
{
	uint64		word;

	memcpy(&word, data, sizeof(word));
	hash = (hash ^ word) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

/* Hash of a description; its end is SplitMix64's finaliser. */
static uint64
description_hash(const SensorEntry *entry, uint64 seed)
{
	const char *header = (const char *) &entry->header;
	uint64		hash = seed;

	for (size_t i = 0; i < sizeof(DescriptionHeader); i += 8)
		hash = hash_word(hash, header + i);
	for (size_t i = 0; i < entry->header.total; i += 8)
		hash = hash_word(hash, entry->strings + i);
	hash = (hash ^ (hash >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	hash = (hash ^ (hash >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return hash ^ (hash >> 31);
}

static inline char *
put_string(SensorEntry *entry, int n, char *at, const FmSlice *slice)
{
	memcpy(at, slice->data, slice->len);
	entry->header.len[n] = slice->len;
	return at + slice->len;
}

/*
 * Lay out the description of a reading.  The decoder has bounded its strings.
 */
static void
probe_build(SensorProbe *probe, const FmReading *reading, uint64 seed)
{
	SensorEntry *entry = &probe->entry;
	DescriptionHeader *header = &entry->header;
	char	   *at = entry->strings;
	char	   *end;

	Assert(reading->sensor_id.len <= FM_MAX_SENSOR_ID);
	Assert(reading->sensor_type.len <= FM_MAX_SHORT_NAME);
	Assert(reading->factory_section.len <= FM_MAX_NAME);
	Assert(reading->machine_id.len <= FM_MAX_NAME);
	Assert(reading->zone.len <= FM_MAX_NAME);
	Assert(reading->unit.len <= FM_MAX_SHORT_NAME);

	at = put_string(entry, DESC_NAME, at, &reading->sensor_id);
	at = put_string(entry, DESC_SENSOR_TYPE, at, &reading->sensor_type);
	at = put_string(entry, DESC_FACTORY_SECTION, at,
					&reading->factory_section);
	at = put_string(entry, DESC_MACHINE_ID, at, &reading->machine_id);
	at = put_string(entry, DESC_ZONE, at, &reading->zone);
	at = put_string(entry, DESC_UNIT, at, &reading->unit);
	end = entry->strings + TYPEALIGN(8, at - entry->strings);
	memset(at, 0, end - at);
	header->total = end - entry->strings;

	/* adding zero makes 0 of -0, which is its equal but not in bytes */
	header->has_warning_threshold = reading->has_warning_threshold;
	header->warning_threshold = reading->has_warning_threshold ?
		reading->warning_threshold + 0.0 : 0.0;
	header->has_critical_threshold = reading->has_critical_threshold;
	header->critical_threshold = reading->has_critical_threshold ?
		reading->critical_threshold + 0.0 : 0.0;
	entry->hash = description_hash(entry, seed);
}

/* A string of a description. */
static FmSlice
entry_slice(const SensorEntry *entry, int n)
{
	FmSlice		slice = {entry->strings, entry->header.len[n]};

	for (int i = 0; i < n; i++)
		slice.data += entry->header.len[i];
	return slice;
}

/* Copy an entry into a context. */
static SensorEntry *
entry_copy(const SensorEntry *entry, MemoryContext context)
{
	Size		size = offsetof(SensorEntry, strings) + entry->header.total;
	SensorEntry *copy = MemoryContextAlloc(context, size);

	memcpy(copy, entry, size);
	return copy;
}

/* ------------------------------------------------------------------------
 * The cache
 * ------------------------------------------------------------------------
 */

static void
cache_begin_entries(FmSensorCache *cache)
{
	cache->entries = GenerationContextCreate(cache->context,
											 "factorymon sensor entries",
											 8 * 1024, 8 * 1024,
											 8 * 1024 * 1024);
	cache->table = sensorhash_create(cache->entries, 1024, NULL);
}

FmSensorCache *
fm_sensor_cache_create(MemoryContext parent, int16 pipeline_id,
					   const char *pipeline_name)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "factorymon sensors",
												  ALLOCSET_SMALL_SIZES);
	FmSensorCache *cache = MemoryContextAllocZero(context,
												  sizeof(FmSensorCache));

	cache->context = context;
	cache->pipeline_id = pipeline_id;
	cache->pipeline_name = MemoryContextStrdup(context, pipeline_name);
	if (!pg_strong_random(&cache->seed, sizeof(cache->seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	cache_begin_entries(cache);
	return cache;
}

void
fm_sensor_cache_reset(FmSensorCache *cache)
{
	if (cache->retired != NULL)
		MemoryContextDelete(cache->retired);
	cache->retired = NULL;
	MemoryContextDelete(cache->entries);
	cache->entries = NULL;
	cache->counted_at = 0;
	cache_begin_entries(cache);
}

/* Keep the cache within its bound; see the top of the file. */
static void
cache_retire_if_full(FmSensorCache *cache)
{
	if (cache->table->members < 2 * (int64) fm_max_sensors + RECOUNT_SENSORS)
		return;
	if (cache->retired != NULL)
		MemoryContextDelete(cache->retired);
	cache->retired = cache->entries;
	cache_begin_entries(cache);
}

/* Limits of an entry, as of a generation of them. */
static void
entry_find_limits(FmSensorCache *cache, SensorEntry *entry, uint64 generation)
{
	FmSlice		name = entry_slice(entry, DESC_NAME);
	FmSlice		sensor_type = entry_slice(entry, DESC_SENSOR_TYPE);
	FmSlice		machine_id = entry_slice(entry, DESC_MACHINE_ID);
	FmSlice		zone = entry_slice(entry, DESC_ZONE);

	entry->sensor.limits = fm_limits_find(cache->pipeline_name, &sensor_type,
										  &zone, &machine_id, &name);
	entry->sensor.limits_generation = generation;
}

FmSensor *
fm_sensor_find(FmSensorCache *cache, const FmReading *reading,
			   uint64 limits_generation)
{
	SensorProbe probe;
	SensorSlot *slot;

	probe_build(&probe, reading, cache->seed);
	slot = sensorhash_lookup(cache->table, &probe.entry);
	if (slot == NULL)
		return NULL;
	if (unlikely(slot->entry->sensor.limits_generation != limits_generation))
		entry_find_limits(cache, slot->entry, limits_generation);
	return &slot->entry->sensor;
}

static void
cache_add(FmSensorCache *cache, const SensorEntry *entry, int32 sensor_id,
		  int32 sensor_version_id)
{
	SensorEntry *copy = entry_copy(entry, cache->entries);
	bool		found;

	copy->sensor.sensor_id = sensor_id;
	copy->sensor.sensor_version_id = sensor_version_id;
	copy->sensor.limits_generation = 0;
	(void) sensorhash_insert(cache->table, copy, &found);
	Assert(!found);
}

/* ------------------------------------------------------------------------
 * Registration
 * ------------------------------------------------------------------------
 */

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

static const char insert_sensors_query[] =
"INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)"
" SELECT pg_catalog.nextval('_factorymon.sensor_id_seq'), $1, n.name"
"   FROM (SELECT DISTINCT u.name COLLATE \"C\" AS name"
"           FROM unnest($2) AS u(name)"
"          ORDER BY 1 LIMIT $3) AS n"
" ON CONFLICT (pipeline_id, name) DO NOTHING";

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
" ON CONFLICT DO NOTHING";

/* String n of all candidates as a text array. */
static Datum
string_array(const CandidateList *list, int n)
{
	Datum	   *values = palloc(list->length * sizeof(Datum));

	for (int i = 0; i < list->length; i++)
	{
		FmSlice		slice = entry_slice(list->items[i].entry, n);

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

		probe_build(&probe, readings[i], cache->seed);
		if (sensorhash_lookup(cache->table, &probe.entry) != NULL ||
			sensorhash_lookup(seen, &probe.entry) != NULL)
			continue;
		copy = entry_copy(&probe.entry, CurrentMemoryContext);
		(void) sensorhash_insert(seen, copy, &found);
		list.items[list.length++] = (Candidate)
		{
			copy, 0, 0
		};
	}
	return list;
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
	int			kept = 0;

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
		cache_add(cache, candidate->entry, candidate->sensor_id, version_id);
		candidate->entry = NULL;
	}
	SPI_freetuptable(SPI_tuptable);

	for (int i = 0; i < list->length; i++)
	{
		if (list->items[i].entry != NULL)
			list->items[kept++] = list->items[i];
	}
	list->length = kept;
}

/*
 * How many more sensors the pipeline may have.  Other workers register too,
 * so the count is taken anew now and then; between two counts the limit may
 * be exceeded by RECOUNT_SENSORS a worker.
 */
static int64
sensor_room(FmSensorCache *cache)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (cache->counted_at == 0 || cache->uncounted >= RECOUNT_SENSORS ||
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

/*
 * Insert the sensors that are missing, as far as there is room for them.
 * Returns whether there was anything to insert.
 */
static bool
insert_sensors(FmSensorCache *cache, const CandidateList *list)
{
	CandidateList missing = {palloc(list->length * sizeof(Candidate)), 0};
	Oid			types[] = {INT2OID, TEXTARRAYOID, INT8OID};
	Datum		values[3];
	int64		room;
	uint64		inserted;

	for (int i = 0; i < list->length; i++)
	{
		if (list->items[i].sensor_id == 0)
			missing.items[missing.length++] = list->items[i];
	}
	if (missing.length == 0 || (room = sensor_room(cache)) == 0)
		return false;

	values[0] = Int16GetDatum(cache->pipeline_id);
	values[1] = string_array(&missing, DESC_NAME);
	values[2] = Int64GetDatum(room);
	inserted = fm_spi_run(insert_sensors_query, lengthof(types), types,
						  values, NULL, SPI_OK_INSERT);
	cache->sensor_count += inserted;
	cache->uncounted += inserted;
	return true;
}

static int
candidate_compare(const void *a, const void *b)
{
	int32		x = ((const Candidate *) a)->sensor_id;
	int32		y = ((const Candidate *) b)->sensor_id;

	return (x > y) - (x < y);
}

/*
 * Insert the versions that are missing, with their types, as far as their
 * sensors may have more.  Returns whether there was anything to insert.
 */
static bool
insert_versions(CandidateList *list)
{
	CandidateList missing = {palloc(list->length * sizeof(Candidate)), 0};
	Oid			types[] = {
		INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID
	};
	Datum		values[lengthof(types)];
	int64		nversions = 0;

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
		return false;

	/* the name gives way to the id, the rest is as described */
	values[0] = sensor_id_array(&missing);
	for (int i = 1; i < DESC_STRINGS; i++)
		values[i] = string_array(&missing, i);
	values[DESC_STRINGS] = threshold_array(&missing, false);
	values[DESC_STRINGS + 1] = threshold_array(&missing, true);

	(void) fm_spi_run(insert_types_query, 1, &types[1],
					  &values[DESC_SENSOR_TYPE], NULL, SPI_OK_INSERT);
	(void) fm_spi_run(insert_versions_query, lengthof(types), types, values,
					  NULL, SPI_OK_INSERT);
	return true;
}

void
fm_sensor_register(FmSensorCache *cache, const FmReading **readings, int n)
{
	CandidateList list;

	if (IsolationUsesXactSnapshot())
		elog(ERROR, "sensors must be registered at isolation level READ COMMITTED");

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	cache_retire_if_full(cache);
	/* from here to SPI_finish() the current context is SPI's own */
	list = collect_candidates(cache, readings, n);
	if (list.length > 0)
		lookup_candidates(cache, &list);
	if (list.length > 0 && insert_sensors(cache, &list))
		lookup_candidates(cache, &list);
	if (list.length > 0 && insert_versions(&list))
		lookup_candidates(cache, &list);
	SPI_finish();
}
