/*-------------------------------------------------------------------------
 *
 * rollup_parts.c
 *	  Summaries of a stream's readings by minute and sensor, in memory.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "rollup_parts.h"

typedef struct RollupNumber
{
	FmRollupKey key;			/* hash key */
	int32		number;
	char		status;			/* for simplehash */
} RollupNumber;

static inline uint32
hash_key(const FmRollupKey *key)
{
	uint32		hash = murmurhash32((uint32) key->sensor_version_id);

	return hash_combine(hash, murmurhash32((uint32)
										   (key->bucket / FM_ROLLUP_MINUTE)));
}

static inline bool
same_key(const FmRollupKey *a, const FmRollupKey *b)
{
	return a->bucket == b->bucket && a->sensor_id == b->sensor_id &&
		a->sensor_version_id == b->sensor_version_id;
}

#define SH_PREFIX		rolluphash
#define SH_ELEMENT_TYPE	RollupNumber
#define SH_KEY_TYPE		FmRollupKey
#define SH_KEY			key
#define SH_HASH_KEY(tb, key) hash_key(&(key))
#define SH_EQUAL(tb, a, b) same_key(&(a), &(b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "hashtable.h"

#define FIRST_PARTS		256

FmRollupParts *
fm_rollup_parts_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "factorymon rollups",
												  ALLOCSET_DEFAULT_SIZES);
	FmRollupParts *parts = MemoryContextAllocZero(context,
												  sizeof(FmRollupParts));

	parts->context = context;
	parts->numbers = rolluphash_create(context, FIRST_PARTS, NULL);
	parts->parts = MemoryContextAlloc(context,
									  FIRST_PARTS * sizeof(FmRollupPart));
	parts->allocated = FIRST_PARTS;
	return parts;
}

void
fm_rollup_parts_free(FmRollupParts *parts)
{
	MemoryContextDelete(parts->context);
}

FmRollupPart *
fm_rollup_parts_get(FmRollupParts *parts, const FmRollupKey *key)
{
	bool		found;
	RollupNumber *entry;
	FmRollupPart *part;

	/* or a failure would leave an entry without a part */
	if (parts->n == parts->allocated)
	{
		parts->parts = repalloc_huge(parts->parts, sizeof(FmRollupPart) * 2 *
									 (Size) parts->allocated);
		parts->allocated *= 2;
	}
	entry = rolluphash_insert(parts->numbers, *key, &found);
	if (found)
		return &parts->parts[entry->number];
	entry->number = parts->n++;
	part = &parts->parts[entry->number];
	memset(part, 0, sizeof(*part));
	part->key = *key;
	part->from_offset = PG_INT64_MAX;
	part->to_offset = PG_INT64_MIN;
	return part;
}

void
fm_rollup_parts_add(FmRollupParts *parts, const FmRow *row)
{
	const FmReading *reading = row->reading;
	FmRollupKey key = {fm_rollup_minute(reading->ts), row->sensor_id,
	row->sensor_version_id};
	FmRollupAt	at = {reading->ts, row->kafka_offset, row->stream_id,
	row->reading_index};
	FmRollupPart *part = fm_rollup_parts_get(parts, &key);

	part->from_offset = Min(part->from_offset, row->kafka_offset);
	part->to_offset = Max(part->to_offset, row->kafka_offset);
	fm_rollup_add(&part->rollup, &at, reading->value, row->level & 3,
				  reading->has_quality &&
				  reading->quality < FM_ROLLUP_QUALITY);
}

void
fm_rollup_parts_forget(FmRollupParts *parts, TimestampTz before)
{
	int			n = parts->n;

	/* no more entries than before, so nothing is allocated */
	rolluphash_reset(parts->numbers);
	parts->n = 0;
	for (int i = 0; i < n; i++)
	{
		FmRollupPart part = parts->parts[i];

		if (part.key.bucket >= before)
			*fm_rollup_parts_get(parts, &part.key) = part;
	}
}
