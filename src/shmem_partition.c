/*-------------------------------------------------------------------------
 *
 * shmem_partition.c
 *	  What is known of each Kafka partition, from whoever was the last to say.
 *
 * A worker publishes what it owns; the supervisor adds the watermarks of
 * partitions that nobody fetches.  Nothing that is stored depends on it: where
 * the table is full, partitions are missing in the views.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "shmem_internal.h"

static FmPartitionKey
partition_key(Oid database, int16 pipeline_id, int32 partition)
{
	FmPartitionKey key;

	memset(&key, 0, sizeof(key));
	key.database = database;
	key.pipeline_id = pipeline_id;
	key.partition = partition;
	return key;
}

void
fm_shmem_partition_publish(const FmPartitionInfo *info)
{
	FmPartitionKey key = partition_key(info->database, info->pipeline_id,
									   info->partition);
	FmSharedPartition *entry;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = hash_search(fm_shared_partitions, &key, HASH_ENTER_NULL, NULL);
	if (entry)
		entry->info = *info;
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_partition_watermarks(Oid database, int16 pipeline_id,
							  int32 partition, int64 low, int64 high,
							  TimestampTz at)
{
	FmPartitionKey key = partition_key(database, pipeline_id, partition);
	FmSharedPartition *entry;
	bool		found;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	entry = hash_search(fm_shared_partitions, &key, HASH_ENTER_NULL, &found);
	if (entry && !found)
	{
		memset(&entry->info, 0, sizeof(entry->info));
		entry->info.database = database;
		entry->info.pipeline_id = pipeline_id;
		entry->info.partition = partition;
		entry->info.state = FM_PARTITION_UNASSIGNED;
		entry->info.position = entry->info.committed_offset = -1;
	}
	if (entry)
	{
		entry->info.low_watermark = low;
		entry->info.high_watermark = high;
		entry->info.watermarks_at = at;
	}
	LWLockRelease(fm_shared->lock);
}

void
fm_shmem_partitions_disown(Oid database, int16 pipeline_id, int pid)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;

	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, fm_shared_partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		FmPartitionInfo *info = &entry->info;

		if (info->database != database || info->pipeline_id != pipeline_id ||
			info->pid != pid)
			continue;
		info->pid = 0;
		info->messages_per_second = 0;
		if (info->state != FM_PARTITION_STOPPED &&
			info->state != FM_PARTITION_PAUSED)
		{
			info->state = FM_PARTITION_UNASSIGNED;
			info->state_detail[0] = '\0';
		}
	}
	LWLockRelease(fm_shared->lock);
}

bool
fm_shmem_partition_get(Oid database, int16 pipeline_id, int32 partition,
					   FmPartitionInfo *info)
{
	FmPartitionKey key = partition_key(database, pipeline_id, partition);
	FmSharedPartition *entry;

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	entry = hash_search(fm_shared_partitions, &key, HASH_FIND, NULL);
	if (entry)
		*info = entry->info;
	LWLockRelease(fm_shared->lock);
	return entry != NULL;
}

List *
fm_shmem_partitions(Oid database)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;
	FmPartitionInfo *copy;
	List	   *result = NIL;
	int			n = 0;

	if (!fm_shared)
		return NIL;
	copy = palloc(sizeof(FmPartitionInfo) * fm_max_partitions);

	LWLockAcquire(fm_shared->lock, LW_SHARED);
	hash_seq_init(&scan, fm_shared_partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->info.database == database && n < fm_max_partitions)
			copy[n++] = entry->info;
	LWLockRelease(fm_shared->lock);

	for (int i = 0; i < n; i++)
		result = lappend(result, &copy[i]);
	return result;
}

void
fm_shmem_partitions_forget(Oid database, int16 pipeline_id)
{
	HASH_SEQ_STATUS scan;
	FmSharedPartition *entry;

	if (!fm_shared)
		return;
	LWLockAcquire(fm_shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, fm_shared_partitions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->info.database == database &&
			(pipeline_id == 0 || entry->info.pipeline_id == pipeline_id))
			(void) hash_search(fm_shared_partitions, &entry->key,
							   HASH_REMOVE, NULL);
	LWLockRelease(fm_shared->lock);
}
