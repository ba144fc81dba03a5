/*-------------------------------------------------------------------------
 *
 * sensor.c
 *	  The cache from what readings say of their sensors to numbers.
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
 * Memory: with strings of 60 bytes in all an entry takes 128 bytes, and 18 to 36
 * in the hash table: about 155 bytes a sensor, 1 M sensors about 155 MB.  The cache is bounded: when it holds twice as many
 * entries as there may be sensors, it is retired and a new one begun.  The
 * retired one is kept until that happens again, so that entries handed out
 * in the running batch stay valid.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "compat.h"
#include "detector_config.h"
#include "guc.h"
#include "maintenance.h"
#include "sensor_internal.h"

/* Entries beyond twice the number of sensors before the cache begins anew. */
#define SPARE_ENTRIES		1000

/* Entries are allocated so much at a time: they need no header each. */
#define SLAB				(32 * 1024)

/* Descriptions that are looked up together. */
#define FIND_TOGETHER		8

/* ------------------------------------------------------------------------
 * Descriptions
 * ------------------------------------------------------------------------
 */

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

void
fm_sensor_probe(SensorProbe *probe, const FmReading *reading, uint64 seed)
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

FmSlice
fm_sensor_entry_slice(const SensorEntry *entry, int n)
{
	FmSlice		slice = {entry->strings, entry->header.len[n]};

	for (int i = 0; i < n; i++)
		slice.data += entry->header.len[i];
	return slice;
}

SensorEntry *
fm_sensor_entry_copy(const SensorEntry *entry, MemoryContext context)
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
	cache->slab = NULL;
	cache->slab_left = 0;
}

/* Memory that lives as long as the entries do. */
static void *
cache_alloc(FmSensorCache *cache, Size size)
{
	void	   *result;

	StaticAssertStmt(SLAB >= sizeof(SensorProbe), "a slab holds any entry");
	size = MAXALIGN(size);
	if (size > cache->slab_left)
	{
		cache->slab_left = 0;	/* in case of an error */
		cache->slab = MemoryContextAlloc(cache->entries, SLAB);
		cache->slab_left = SLAB;
	}
	result = cache->slab;
	cache->slab += size;
	cache->slab_left -= size;
	return result;
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

void
fm_sensor_cache_retire_if_full(FmSensorCache *cache)
{
	if (cache->table->members < 2 * (int64) fm_max_sensors + SPARE_ENTRIES)
		return;
	if (cache->retired != NULL)
		MemoryContextDelete(cache->retired);
	cache->retired = cache->entries;
	cache_begin_entries(cache);
}

/* Limits and detectors of an entry, as of a generation of them. */
static void
entry_find_limits(FmSensorCache *cache, SensorEntry *entry, uint32 generation)
{
	FmSlice		name = fm_sensor_entry_slice(entry, DESC_NAME);
	FmSlice		sensor_type = fm_sensor_entry_slice(entry, DESC_SENSOR_TYPE);
	FmSlice		machine_id = fm_sensor_entry_slice(entry, DESC_MACHINE_ID);
	FmSlice		zone = fm_sensor_entry_slice(entry, DESC_ZONE);

	entry->sensor.limits = fm_limits_find(cache->pipeline_name, &sensor_type,
										  &zone, &machine_id, &name);
	entry->sensor.detectors = fm_detectors_find(&sensor_type);
	entry->sensor.limits_generation = generation;
}

void
fm_sensor_refresh(FmSensorCache *cache, FmSensor *sensor,
				  uint32 limits_generation)
{
	if (unlikely(sensor->limits_generation != limits_generation))
		entry_find_limits(cache, (SensorEntry *) sensor, limits_generation);
}

bool
fm_sensor_in_maintenance(const FmSensor *sensor, const char *pipeline,
						 TimestampTz ts)
{
	const SensorEntry *entry = (const SensorEntry *) sensor;
	FmSlice		machine_id;
	FmSlice		zone;

	if (likely(!fm_maintenance_any()))
		return false;
	machine_id = fm_sensor_entry_slice(entry, DESC_MACHINE_ID);
	zone = fm_sensor_entry_slice(entry, DESC_ZONE);
	return fm_maintenance_covers(pipeline, &zone, &machine_id, ts);
}

static inline FmSensor *
find_probe(FmSensorCache *cache, SensorProbe *probe, uint32 limits_generation)
{
	SensorSlot *slot = sensorhash_lookup(cache->table, &probe->entry);

	if (slot == NULL)
		return NULL;
	fm_sensor_refresh(cache, &slot->entry->sensor, limits_generation);
	return &slot->entry->sensor;
}

FmSensor *
fm_sensor_find(FmSensorCache *cache, const FmReading *reading,
			   uint32 limits_generation)
{
	SensorProbe probe;

	fm_sensor_probe(&probe, reading, cache->seed);
	return find_probe(cache, &probe, limits_generation);
}

/* Where the search for a description begins. */
static inline SensorSlot *
first_slot(const FmSensorCache *cache, const SensorProbe *probe)
{
	return &cache->table->data[(uint32) probe->entry.hash &
							   cache->table->sizemask];
}

bool
fm_sensor_find_rows(FmSensorCache *cache, FmRow *rows, int nrows,
					uint32 limits_generation)
{
	SensorProbe probes[FIND_TOGETHER];
	bool		all = true;

	for (int first = 0; first < nrows; first += FIND_TOGETHER)
	{
		int			n = Min(FIND_TOGETHER, nrows - first);

		for (int i = 0; i < n; i++)
		{
			fm_sensor_probe(&probes[i], rows[first + i].reading, cache->seed);
			fm_prefetch(first_slot(cache, &probes[i]), sizeof(SensorSlot));
		}
		for (int i = 0; i < n; i++)
		{
			const SensorSlot *slot = first_slot(cache, &probes[i]);

			if (slot->entry != NULL)
				fm_prefetch(slot->entry, offsetof(SensorEntry, strings) +
							probes[i].entry.header.total);
		}
		for (int i = 0; i < n; i++)
		{
			FmRow	   *row = &rows[first + i];

			row->sensor = find_probe(cache, &probes[i], limits_generation);
			if (row->sensor == NULL)
				all = false;
		}
	}
	return all;
}

void
fm_sensor_cache_add(FmSensorCache *cache, const SensorEntry *entry, int32 sensor_id,
		  int32 sensor_version_id)
{
	Size		size = offsetof(SensorEntry, strings) + entry->header.total;
	SensorEntry *copy = cache_alloc(cache, size);
	bool		found;

	memcpy(copy, entry, size);
	copy->sensor.sensor_id = sensor_id;
	copy->sensor.sensor_version_id = sensor_version_id;
	copy->sensor.limits_generation = 0;
	copy->sensor.fold_number = 0;
	copy->sensor.detectors = NULL;
	copy->sensor.detector_number = 0;
	copy->sensor.seen_at = 0;
	(void) sensorhash_insert(cache->table, copy, &found);
	Assert(!found);
}
