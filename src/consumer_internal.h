/*-------------------------------------------------------------------------
 *
 * consumer_internal.h
 *	  What the files of the consumer share: its state.
 *
 * consumer.c opens and closes it, consumer_event.c takes what the library
 * reports, consumer_assign.c says what is fetched, consumer_commit.c copies
 * positions to the group.  Nobody else includes this file.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CONSUMER_INTERNAL_H
#define FM_CONSUMER_INTERNAL_H

#include "client.h"

struct FmConsumer
{
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;	/* everything arrives here */
	int			fds[2];			/* wake-up pipe: read end, write end */
	char	   *topic;

	/* what the group has given us; sorted */
	int32_t    *group;
	int			ngroup;
	bool		revoking;		/* a REVOKE event is not answered yet */

	/* partitions halted because of damaged data; resumed by assigning */
	rd_kafka_topic_partition_list_t *halted;

	/* at most one commit is under way; what came meanwhile waits here */
	bool		committing;
	rd_kafka_topic_partition_list_t *commit_next;
	int64_t		commit_hold;	/* none before that time */
	bool		all_down;		/* no sign of a broker since they all went */

	/* see wake_fetchers() in consumer_event.c */
	bool		self_waking;
	char	   *username;
	char	   *password;
	int64_t		taken;			/* bytes polled since the last wake-up */
	int64_t		take_limit;

	/* lent to the caller with rebalance and commit events */
	FmPartitionOffset *partitions;
	int			partitions_size;
};

/* ---- consumer_assign.c ---- */

/*
 * Remember what the group has given us, replacing what it gave before.
 * False: out of memory.
 */
extern bool fm_consumer_remember_group(FmConsumer *consumer,
									   const FmEvent *event);

/*
 * Deliver nothing more from a partition: what is queued becomes stale at
 * once, and the library stops fetching what it cannot read.
 */
extern void fm_consumer_halt(FmConsumer *consumer, int32_t partition);

/* ---- consumer_commit.c ---- */

/* Start the next commit, if one waits and none is under way. */
extern FmKafkaCode fm_consumer_commit_waiting(FmConsumer *consumer);

/* If a connection has failed: leave the coordinator alone for a while. */
extern void fm_consumer_hold_commits(FmConsumer *consumer, FmKafkaCode code);

#endif							/* FM_CONSUMER_INTERNAL_H */
