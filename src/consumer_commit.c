/*-------------------------------------------------------------------------
 *
 * consumer_commit.c
 *	  Copies of the positions in the group.
 *
 * Commits are copies for tools that show lag, nothing more, but the library
 * takes them seriously: until one is answered it neither carries out an
 * assignment nor ends, and one that finds no coordinator waits for it as long
 * as session.timeout.ms.  So one at most is under way, and none is started
 * soon after a connection broke, or while no broker is there.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "consumer_internal.h"

/* How long no commit is started after a broken connection, in ms. */
#define COMMIT_HOLD_MS			5000
#define COMMIT_HOLD_ALL_DOWN_MS 35000	/* errors are repeated every 30 s */

/* Naming the queue is what makes the library report the result as an event. */
FmKafkaCode
fm_consumer_commit_waiting(FmConsumer *consumer)
{
	rd_kafka_resp_err_t err;

	if (consumer->committing || consumer->commit_next->cnt == 0 ||
		(consumer->commit_hold > 0 && fm_client_now() < consumer->commit_hold))
		return FM_KAFKA_OK;
	consumer->commit_hold = 0;
	err = rd_kafka_commit_queue(consumer->rk, consumer->commit_next,
								consumer->queue, NULL, NULL);
	rd_kafka_topic_partition_list_destroy(consumer->commit_next);
	consumer->commit_next = rd_kafka_topic_partition_list_new(16);
	consumer->committing = !err;
	return fm_client_code(err);
}

void
fm_consumer_hold_commits(FmConsumer *consumer, FmKafkaCode code)
{
	if (code == FM_KAFKA_ALL_BROKERS_DOWN)
		consumer->all_down = true;
	else if (code != FM_KAFKA_TRANSPORT)
		return;
	consumer->commit_hold = fm_client_now() +
		(consumer->all_down ? COMMIT_HOLD_ALL_DOWN_MS : COMMIT_HOLD_MS);
}

FmKafkaCode
fm_consumer_commit_async(FmConsumer *consumer,
						 const FmPartitionOffset *offsets, int noffsets)
{
	rd_kafka_topic_partition_list_t *next = consumer->commit_next;

	for (int i = 0; i < noffsets; i++)
	{
		rd_kafka_topic_partition_t *entry;

		if (offsets[i].offset < 0)
			continue;
		entry = rd_kafka_topic_partition_list_find(next, consumer->topic,
												   offsets[i].partition);
		if (entry == NULL)
			entry = rd_kafka_topic_partition_list_add(next, consumer->topic,
													  offsets[i].partition);
		entry->offset = offsets[i].offset;
	}
	return fm_consumer_commit_waiting(consumer);
}
