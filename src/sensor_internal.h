/*-------------------------------------------------------------------------
 *
 * sensor_internal.h
 *	  What sensor.c and sensor_register.c share: the layout of the cache.
 *
 * Nobody else includes this file.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SENSOR_INTERNAL_H
#define FM_SENSOR_INTERNAL_H

#include "utils/snapshot.h"

#include "sensor.h"

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

static inline bool
fm_sensor_entry_equal(const SensorEntry *a, const SensorEntry *b)
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
#define SH_EQUAL(tb, a, b) fm_sensor_entry_equal(a, b)
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
	char	   *slab;			/* in entries; what is left of it is free */
	Size		slab_left;
	int16		pipeline_id;
	char	   *pipeline_name;
	uint64		seed;
	/* sensors of the pipeline in the database; see sensor_register.c */
	int64		sensor_count;
	int64		uncounted;		/* inserted by us since they were counted */
	TimestampTz counted_at;		/* 0: never */
};

/* Lay out the description of a reading, whose strings the decoder bounded. */
extern void fm_sensor_probe(SensorProbe *probe, const FmReading *reading,
							uint64 seed);

/* A string (DESC_...) of a description. */
extern FmSlice fm_sensor_entry_slice(const SensorEntry *entry, int n);

extern SensorEntry *fm_sensor_entry_copy(const SensorEntry *entry,
										 MemoryContext context);

/* Put a description that is not there into the cache. */
extern void fm_sensor_cache_add(FmSensorCache *cache,
								const SensorEntry *entry, int32 sensor_id,
								int32 sensor_version_id);

/* Begin anew if the cache holds too much. */
extern void fm_sensor_cache_retire_if_full(FmSensorCache *cache);

/*
 * sensor_table.c: both tables, open for reading and writing.  Rows are written
 * when they are closed, at the latest, and visible after
 * CommandCounterIncrement().
 */
typedef struct FmSensorTables FmSensorTables;

extern FmSensorTables *fm_sensor_tables_open(void);
extern void fm_sensor_tables_flush(FmSensorTables *tables);
extern void fm_sensor_tables_close(FmSensorTables *tables);

/* The sensor of that name; 0 if there is none. */
extern int32 fm_sensor_table_find(FmSensorTables *tables, Snapshot snapshot,
								  int16 pipeline_id, FmSlice name);

/*
 * The sensor's row of this description; 0 if there is none, and then *nversions
 * tells how many others there are.
 */
extern int32 fm_sensor_table_find_version(FmSensorTables *tables,
										  Snapshot snapshot, int32 sensor_id,
										  const SensorEntry *entry,
										  int64 *nversions);

/* New rows, whose ids are returned. */
extern int32 fm_sensor_table_add(FmSensorTables *tables, int16 pipeline_id,
								 FmSlice name);
extern int32 fm_sensor_table_add_version(FmSensorTables *tables,
										 int32 sensor_id,
										 const SensorEntry *entry);

#endif							/* FM_SENSOR_INTERNAL_H */
