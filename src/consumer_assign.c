/*-------------------------------------------------------------------------
 *
 * consumer_assign.c
 *	  Which partitions are fetched, and from where.
 *
 * The group tells which partitions are ours by an ASSIGN event; from then
 * until the next REVOKE event the caller may assign any part of them, with
 * offsets, as often as it likes: that is how partitions are paused, resumed
 * and sought.  The library knows one complete list at a time.  With each
 * assignment it stops all fetches of the one before and raises their version,
 * and whatever was fetched under an older version is thrown away when it is
 * met in the queue; membership of the group is not touched.  Only two kinds of
 * event carry no version and may still be seen after a newer assignment: an
 * offset out of range and errors of the whole client.  The former also stops
 * whatever is being fetched from that partition, old or new, so it must always
 * be answered by assigning again.
 *
 * Stopping a fetch takes the library a moment, and it must not be told to stop
 * twice: if an assignment reaches it while stops of the one before are still
 * under way, an assertion in it aborts the process.  Hence an assignment
 * returns only when its stops are done; see finish_stops().
 *
 * Damaged data.  Where a record batch fails its checksum or cannot be
 * unpacked, the library reports it and goes on *behind* it.  We do not: the
 * partition is halted in the moment its error is met, which makes everything
 * fetched behind it stale, and delivers nothing until it is assigned again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "consumer_internal.h"

static int
compare_partitions(const void *a, const void *b)
{
	int32_t		left = *(const int32_t *) a;
	int32_t		right = *(const int32_t *) b;

	return (left > right) - (left < right);
}

bool
fm_consumer_remember_group(FmConsumer *consumer, const FmEvent *event)
{
	int32_t    *grown = realloc(consumer->group,
								(event->npartitions + 1) * sizeof(*grown));

	if (grown == NULL)
		return false;
	consumer->group = grown;
	consumer->ngroup = event->npartitions;
	for (int i = 0; i < event->npartitions; i++)
		grown[i] = event->partitions[i].partition;
	qsort(grown, consumer->ngroup, sizeof(*grown), compare_partitions);
	return true;
}

static bool
in_group(const FmConsumer *consumer, int32_t partition)
{
	return consumer->ngroup > 0 &&
		bsearch(&partition, consumer->group, consumer->ngroup,
				sizeof(int32_t), compare_partitions) != NULL;
}

void
fm_consumer_halt(FmConsumer *consumer, int32_t partition)
{
	rd_kafka_topic_partition_list_t *one;

	if (rd_kafka_topic_partition_list_find(consumer->halted, consumer->topic,
										   partition) != NULL)
		return;
	one = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(one, consumer->topic, partition);
	rd_kafka_pause_partitions(consumer->rk, one);
	rd_kafka_topic_partition_list_destroy(one);
	rd_kafka_topic_partition_list_add(consumer->halted, consumer->topic,
									  partition);
}

/* What the caller wants, as the library's list; NULL and a text if wrong. */
static rd_kafka_topic_partition_list_t *
make_assignment(const FmConsumer *consumer,
				const FmPartitionOffset *partitions, int npartitions,
				char *error, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list;

	list = rd_kafka_topic_partition_list_new(npartitions);
	for (int i = 0; i < npartitions; i++)
	{
		int32_t		partition = partitions[i].partition;

		if (!in_group(consumer, partition) || partitions[i].offset < 0)
		{
			fm_client_format(error, errlen,
							 partitions[i].offset < 0 ?
							 "partition %d has no offset to start from" :
							 "partition %d is not assigned to this consumer",
							 (int) partition);
			rd_kafka_topic_partition_list_destroy(list);
			return NULL;
		}
		rd_kafka_topic_partition_list_add(list, consumer->topic, partition)
			->offset = partitions[i].offset;
	}
	return list;
}

/*
 * Wait until every fetch that an assignment has stopped really is.  All the
 * work is done by one thread of the library from one queue, in order: the
 * assignment put the stops into it, and each stop puts there the note that it
 * is done, which is what must not be missing when the next assignment comes.
 * So the first question, which goes through the same queue, is answered
 * behind the stops, and the second one behind the notes.
 */
static void
finish_stops(FmConsumer *consumer)
{
	for (int i = 0; i < 2; i++)
	{
		rd_kafka_topic_partition_list_t *list = NULL;

		if (rd_kafka_assignment(consumer->rk, &list) == 0 && list != NULL)
			rd_kafka_topic_partition_list_destroy(list);
	}
}

FmKafkaCode
fm_consumer_assign(FmConsumer *consumer, const FmPartitionOffset *partitions,
				   int npartitions, bool after_revoke,
				   char *error, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	rd_kafka_resp_err_t err;

	if (after_revoke ? npartitions > 0 : consumer->revoking)
	{
		fm_client_format(error, errlen,
						 "a revocation must be answered by assigning nothing");
		return FM_KAFKA_OTHER;
	}
	if (!after_revoke)
	{
		list = make_assignment(consumer, partitions, npartitions,
							   error, errlen);
		if (list == NULL)
			return FM_KAFKA_OTHER;
	}
	if (consumer->halted->cnt > 0)
	{
		rd_kafka_resume_partitions(consumer->rk, consumer->halted);
		rd_kafka_topic_partition_list_destroy(consumer->halted);
		consumer->halted = rd_kafka_topic_partition_list_new(4);
	}
	/* no list at all is what answers a revocation, an empty one does not */
	err = rd_kafka_assign(consumer->rk, list);
	finish_stops(consumer);
	if (list != NULL)
		rd_kafka_topic_partition_list_destroy(list);
	if (err)
	{
		fm_client_format(error, errlen, "%s", rd_kafka_err2str(err));
		return fm_client_code(err);
	}
	if (after_revoke)
	{
		consumer->ngroup = 0;
		consumer->revoking = false;
	}
	return FM_KAFKA_OK;
}
