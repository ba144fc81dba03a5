/*-------------------------------------------------------------------------
 *
 * shmem_sensor.c
 *	  When each sensor was last seen, and what the supervisor makes of it.
 *
 * A hash table of fixed size, factorymon.max_watched_sensors, with linear
 * probing.  Workers look up and update without a lock: a key, once there, stays
 * where it is, and what they write are single words, each of which is true by
 * itself (the newest time, one more partition, the last interval).  Only adding
 * and removing sensors takes the lock, so that nobody is there twice.
 *
 * A slot is a cache line, one part of it written by workers, the other by the
 * supervisor alone, and that only when it changes its mind.
 *
 * Where there is no room for a sensor nobody misses it; the supervisor counts
 * those (FmDeadmanInfo.unwatched).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "port/atomics.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shmem_internal.h"
#include "shmem_sensor.h"

/* Keys: the database in the upper half, the sensor in the lower. */
#define KEY_FREE	UINT64CONST(0)	/* never used: ends a search */
#define KEY_REMOVED UINT64CONST(1)	/* no sensor has id 1 of database 0 */

typedef struct FmSharedSensor
{
	/* workers, atomically */
	pg_atomic_uint64 key;
	pg_atomic_uint64 last_seen;
	pg_atomic_uint64 partitions;
	pg_atomic_uint32 interval;	/* ms */
	pg_atomic_uint32 sensor_version_id;
	/* whoever adds it, before the key is there */
	int16		pipeline_id;
	/* the supervisor alone */
	uint8		state;
	uint8		reason;
	bool		left_alone;
	uint32		limit;			/* ms */
	uint32		configured;		/* interval, ms */
	TimestampTz known_since;
	TimestampTz raised_at;
} FmSharedSensor;

StaticAssertDecl(sizeof(FmSharedSensor) == 64,
				 "FmSharedSensor should be a cache line");

typedef struct FmSharedSensors
{
	LWLock	   *lock;			/* for adding and removing */
	int			nused;
	int			nfree;			/* never used */
	FmDeadmanInfo *deadmen;		/* fm_max_workers; under fm_shared->lock */
	FmSharedSensor *slots;
} FmSharedSensors;

static FmSharedSensors *shared = NULL;

/* Slots: a quarter more than sensors, so that searches end soon. */
static int
slot_count(void)
{
	return fm_max_watched_sensors + fm_max_watched_sensors / 4 + 1;
}

static Size
slots_size(void)
{
	return add_size(mul_size(slot_count(), sizeof(FmSharedSensor)),
					PG_CACHE_LINE_SIZE);
}

static Size
deadmen_size(void)
{
	return mul_size(fm_max_workers, sizeof(FmDeadmanInfo));
}

Size
fm_shmem_sensors_size(void)
{
	return add_size(add_size(MAXALIGN(sizeof(FmSharedSensors)),
							 MAXALIGN(deadmen_size())), slots_size());
}

/* From the startup hook, which holds AddinShmemInitLock. */
void
fm_shmem_sensors_init(void)
{
	bool		found;
	bool		found_slots;
	char	   *slots;

	shared = ShmemInitStruct("factorymon sensors", sizeof(FmSharedSensors),
							 &found);
	shared->deadmen = ShmemInitStruct("factorymon deadmen", deadmen_size(),
									  &found_slots);
	slots = ShmemInitStruct("factorymon sensor slots", slots_size(),
							&found_slots);
	shared->slots = (FmSharedSensor *) CACHELINEALIGN(slots);
	if (found)
		return;
	shared->lock = &(GetNamedLWLockTranche("factorymon"))[1].lock;
	shared->nused = 0;
	shared->nfree = slot_count();
	memset(shared->deadmen, 0, deadmen_size());
	for (int i = 0; i < slot_count(); i++)
	{
		FmSharedSensor *slot = &shared->slots[i];

		memset(slot, 0, sizeof(*slot));
		pg_atomic_init_u64(&slot->key, KEY_FREE);
		pg_atomic_init_u64(&slot->last_seen, 0);
		pg_atomic_init_u64(&slot->partitions, 0);
		pg_atomic_init_u32(&slot->interval, 0);
		pg_atomic_init_u32(&slot->sensor_version_id, 0);
	}
}

/* ----------------------------------------------------------------------
 * Workers
 * ------------------------------------------------------------------- */

static inline uint64
key_of(Oid database, int32 sensor_id)
{
	return (uint64) database << 32 | (uint32) sensor_id;
}

static inline int
first_slot(Oid database, int32 sensor_id)
{
	uint32		hash = murmurhash32(murmurhash32((uint32) sensor_id) ^
									database);

	return (int) ((uint64) hash * slot_count() >> 32);
}

/* The slot with that key; -1: none.  There always is a free one. */
static inline int
find(Oid database, int32 sensor_id)
{
	uint64		key = key_of(database, sensor_id);
	int			n = slot_count();

	for (int i = first_slot(database, sensor_id);; i = i + 1 < n ? i + 1 : 0)
	{
		uint64		found = pg_atomic_read_u64(&shared->slots[i].key);

		if (found == key)
			return i;
		if (found == KEY_FREE)
			return -1;
	}
}

/* A slot for a sensor that has none; caller holds the lock.  -1: no room. */
static int
choose_slot(Oid database, int32 sensor_id)
{
	int			n = slot_count();

	if (shared->nused >= fm_max_watched_sensors)
		return -1;
	for (int i = first_slot(database, sensor_id);; i = i + 1 < n ? i + 1 : 0)
	{
		uint64		found = pg_atomic_read_u64(&shared->slots[i].key);

		if (found == KEY_REMOVED)
			return i;
		if (found != KEY_FREE)
			continue;
		/* searches need one to end at */
		return shared->nfree > 1 ? i : -1;
	}
}

static int
add(Oid database, const FmSeen *seen)
{
	int			number;

	/* no room: not worth a lock for each of the others' readings */
	if (shared->nused >= fm_max_watched_sensors)
		return -1;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	number = find(database, seen->sensor_id);
	if (number < 0)
	{
		number = choose_slot(database, seen->sensor_id);
		if (number >= 0)
		{
			FmSharedSensor *slot = &shared->slots[number];

			if (pg_atomic_read_u64(&slot->key) == KEY_FREE)
				shared->nfree--;
			shared->nused++;
			pg_atomic_write_u64(&slot->last_seen, 0);
			pg_atomic_write_u64(&slot->partitions, 0);
			pg_atomic_write_u32(&slot->interval, 0);
			slot->pipeline_id = seen->pipeline_id;
			slot->state = slot->reason = 0;
			slot->left_alone = false;
			slot->limit = slot->configured = 0;
			slot->known_since = slot->raised_at = 0;
			pg_write_barrier();
			pg_atomic_write_u64(&slot->key,
								key_of(database, seen->sensor_id));
		}
	}
	LWLockRelease(shared->lock);
	return number;
}

static inline void
advance(pg_atomic_uint64 *time, TimestampTz to)
{
	uint64		was = pg_atomic_read_u64(time);

	/* a slot begins with 0, which is long ago */
	while ((TimestampTz) was < to &&
		   !pg_atomic_compare_exchange_u64(time, &was, (uint64) to))
		;
}

/* Rounded up: 0 is not known. */
static inline uint32
interval_ms(int64 interval)
{
	return (uint32) Min((interval + 999) / 1000, PG_UINT32_MAX);
}

/* False if the slot is, or was meanwhile made, another sensor's. */
static bool
tell(int number, uint64 key, const FmSeen *seen)
{
	uint64		bit = UINT64CONST(1) << (seen->partition % 64);
	uint32		interval = interval_ms(seen->interval);
	FmSharedSensor *slot = &shared->slots[number];

	if ((pg_atomic_read_u64(&slot->partitions) & bit) == 0)
		pg_atomic_fetch_or_u64(&slot->partitions, bit);
	if (interval != 0)
		pg_atomic_write_u32(&slot->interval, interval);
	pg_atomic_write_u32(&slot->sensor_version_id, seen->sensor_version_id);
	advance(&slot->last_seen, seen->at);
	pg_memory_barrier();
	return pg_atomic_read_u64(&slot->key) == key;
}

bool
fm_shmem_sensor_seen(Oid database, const FmSeen *seen)
{
	uint64		key = key_of(database, seen->sensor_id);
	int			number;

	do
	{
		number = find(database, seen->sensor_id);
		if (number < 0)
			number = add(database, seen);
		if (number < 0)
			return false;
	} while (!tell(number, key, seen));
	return true;
}

/* ----------------------------------------------------------------------
 * The supervisor
 * ------------------------------------------------------------------- */

int
fm_shmem_sensor_find(Oid database, int32 sensor_id)
{
	return find(database, sensor_id);
}

bool
fm_shmem_sensors_are_full(void)
{
	/* without the lock: it is asked again */
	return shared->nused >= fm_max_watched_sensors;
}

static void
copy_out(int number, FmWatched *watched)
{
	FmSharedSensor *slot = &shared->slots[number];

	watched->slot = number;
	watched->database = (Oid) (pg_atomic_read_u64(&slot->key) >> 32);
	watched->sensor_id =
		(int32) (uint32) pg_atomic_read_u64(&slot->key);
	watched->sensor_version_id =
		(int32) pg_atomic_read_u32(&slot->sensor_version_id);
	watched->last_seen = (TimestampTz) pg_atomic_read_u64(&slot->last_seen);
	watched->interval =
		(int64) pg_atomic_read_u32(&slot->interval) * 1000;
	watched->partitions = pg_atomic_read_u64(&slot->partitions);
	watched->configured = (int64) slot->configured * 1000;
	watched->known_since = slot->known_since;
	watched->raised_at = slot->raised_at;
	watched->limit = (int64) slot->limit * 1000;
	watched->state = slot->state;
	watched->reason = slot->reason;
	watched->left_alone = slot->left_alone;
}

bool
fm_shmem_sensor_next(Oid database, int16 pipeline_id, int *slot,
					 FmWatched *watched)
{
	int			n = slot_count();

	if (!shared)
		return false;
	for (; *slot < n; (*slot)++)
	{
		uint64		key = pg_atomic_read_u64(&shared->slots[*slot].key);

		if ((Oid) (key >> 32) != database)
			continue;
		pg_read_barrier();
		if (pipeline_id != 0 &&
			shared->slots[*slot].pipeline_id != pipeline_id)
			continue;
		copy_out(*slot, watched);
		(*slot)++;
		return true;
	}
	return false;
}

void
fm_shmem_sensor_keep(const FmWatched *watched)
{
	FmSharedSensor *slot = &shared->slots[watched->slot];
	uint32		limit = (uint32) Min(watched->limit / 1000, PG_UINT32_MAX);
	uint32		configured = interval_ms(watched->configured);

	if (pg_atomic_read_u64(&slot->key) !=
		key_of(watched->database, watched->sensor_id))
		return;
	/* the line belongs to the workers: leave it alone if nothing changed */
	if (slot->known_since == watched->known_since &&
		slot->raised_at == watched->raised_at && slot->limit == limit &&
		slot->configured == configured &&
		slot->state == watched->state && slot->reason == watched->reason &&
		slot->left_alone == watched->left_alone)
		return;
	slot->known_since = watched->known_since;
	slot->raised_at = watched->raised_at;
	slot->limit = limit;
	slot->configured = configured;
	slot->state = watched->state;
	slot->reason = watched->reason;
	slot->left_alone = watched->left_alone;
}

void
fm_shmem_sensor_set_back(const FmWatched *watched, TimestampTz now)
{
	FmSharedSensor *slot = &shared->slots[watched->slot];
	uint64		was = (uint64) watched->last_seen;

	if (watched->last_seen > now &&
		pg_atomic_read_u64(&slot->key) == key_of(watched->database,
												 watched->sensor_id))
		(void) pg_atomic_compare_exchange_u64(&slot->last_seen, &was,
											  (uint64) now);
}

static bool
is_one_of(int16 pipeline_id, const int16 *pipeline_ids, int n)
{
	for (int i = 0; i < n; i++)
		if (pipeline_ids[i] == pipeline_id)
			return true;
	return false;
}

/* Of these pipelines, or of all others. */
static void
forget_deadmen(Oid database, const int16 *pipeline_ids, int n, bool others)
{
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmDeadmanInfo *info = &shared->deadmen[i];

		if (info->database == database &&
			is_one_of(info->pipeline_id, pipeline_ids, n) != others)
			memset(info, 0, sizeof(*info));
	}
	LWLockRelease(fm_shared->lock);
}

/* Likewise.  Caller holds the lock. */
static void
forget_slots(Oid database, const int16 *pipeline_ids, int n, bool others)
{
	for (int i = 0; i < slot_count(); i++)
	{
		FmSharedSensor *slot = &shared->slots[i];

		if ((Oid) (pg_atomic_read_u64(&slot->key) >> 32) != database ||
			is_one_of(slot->pipeline_id, pipeline_ids, n) == others)
			continue;
		pg_atomic_write_u64(&slot->key, KEY_REMOVED);
		shared->nused--;
	}
	if (shared->nused > 0)
		return;
	/* all slots are as good as new */
	for (int i = 0; i < slot_count(); i++)
		pg_atomic_write_u64(&shared->slots[i].key, KEY_FREE);
	shared->nfree = slot_count();
}

static void
forget(Oid database, const int16 *pipeline_ids, int n, bool others)
{
	if (!shared)
		return;
	forget_deadmen(database, pipeline_ids, n, others);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	forget_slots(database, pipeline_ids, n, others);
	LWLockRelease(shared->lock);
}

void
fm_shmem_sensors_forget(Oid database, int16 pipeline_id)
{
	/* all of the database are the others of none */
	forget(database, &pipeline_id, pipeline_id == 0 ? 0 : 1,
		   pipeline_id == 0);
}

void
fm_shmem_sensors_forget_others(Oid database, const int16 *pipeline_ids, int n)
{
	forget(database, pipeline_ids, n, true);
}

void
fm_shmem_deadman_publish(const FmDeadmanInfo *info)
{
	FmDeadmanInfo *entry = NULL;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < fm_max_workers; i++)
	{
		FmDeadmanInfo *candidate = &shared->deadmen[i];

		if (candidate->database == info->database &&
			candidate->pipeline_id == info->pipeline_id)
		{
			entry = candidate;
			break;
		}
		/* the one that nobody has spoken of for the longest time */
		if (!entry || candidate->evaluated_at < entry->evaluated_at)
			entry = candidate;
	}
	*entry = *info;
	LWLockRelease(fm_shared->lock);
}

List *
fm_shmem_deadmen(Oid database)
{
	FmDeadmanInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!shared)
		return NIL;
	copy = palloc(deadmen_size());
	LWLockAcquire(fm_shared->lock, LW_SHARED);
	for (int i = 0; i < fm_max_workers; i++)
		if (shared->deadmen[i].database == database)
			copy[n++] = shared->deadmen[i];
	LWLockRelease(fm_shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}
