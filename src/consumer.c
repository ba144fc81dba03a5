/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A member of a consumer group, driven by one thread, that never blocks.
 *
 * Everything the library has to say (messages, ends of partitions, errors,
 * rebalances, results of commits, log lines) is sent to one queue, and the
 * caller's thread takes it from there one event at a time.  A byte in a pipe
 * tells it to look.  The library writes that byte once, when the queue stops
 * being empty, and writes no further one until the queue has been polled: so
 * after a wake-up one must empty the pipe first, then poll until there is
 * nothing left, and only then sleep.
 *
 * Offsets are the caller's affair alone.  Automatic commits and stores are
 * off, what the group has stored is never read, and an offset that does not
 * exist is an event (auto.offset.reset=error), after which the partition
 * stays silent until it is assigned again.
 *
 * Here is how it begins and ends.  consumer_event.c takes events from the
 * queue, consumer_assign.c says what is fetched, consumer_commit.c copies
 * positions to the group.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer_internal.h"

#define CONSUMER_EVENTS \
	(RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR | \
	 RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | \
	 RD_KAFKA_EVENT_LOG)

/* ----------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------- */

/* Free what is ours; the client itself has been given up before. */
static void
free_consumer(FmConsumer *consumer)
{
	if (consumer->halted != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->halted);
	if (consumer->commit_next != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->commit_next);
	if (consumer->fds[0] >= 0)
	{
		close(consumer->fds[0]);
		close(consumer->fds[1]);
	}
	free(consumer->topic);
	free(consumer->username);
	free(consumer->password);
	free(consumer->group);
	free(consumer->partitions);
	free(consumer);
}

/* The parts that need no client; NULL if memory or descriptors are short. */
static FmConsumer *
make_consumer(const FmConsumerConfig *config)
{
	FmConsumer *consumer = calloc(1, sizeof(*consumer));
	const char *username = fm_client_property(config, "sasl.username");
	const char *password = fm_client_property(config, "sasl.password");

	if (consumer == NULL)
		return NULL;
	consumer->fds[0] = consumer->fds[1] = -1;
	consumer->topic = strdup(config->topic);
	consumer->username = strdup(username == NULL ? "" : username);
	consumer->password = strdup(password == NULL ? "" : password);
	consumer->halted = rd_kafka_topic_partition_list_new(4);
	consumer->commit_next = rd_kafka_topic_partition_list_new(16);
	consumer->take_limit = config->max_queued_bytes / 8;
	if (consumer->topic == NULL || consumer->username == NULL ||
		consumer->password == NULL || fm_client_pipe(consumer->fds) != 0)
	{
		consumer->fds[0] = -1;
		free_consumer(consumer);
		return NULL;
	}
	return consumer;
}

/* One queue for everything, and one topic. */
static rd_kafka_resp_err_t
connect_queues(FmConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *topics;
	rd_kafka_resp_err_t err;

	err = rd_kafka_poll_set_consumer(consumer->rk);
	if (err)
		return err;
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	if (consumer->queue == NULL)
		return RD_KAFKA_RESP_ERR__UNKNOWN_GROUP;
	err = rd_kafka_set_log_queue(consumer->rk, consumer->queue);
	if (err)
		return err;
	rd_kafka_queue_io_event_enable(consumer->queue, consumer->fds[1], "!", 1);

	topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, consumer->topic,
									  RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(consumer->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return err;
}

FmConsumer *
fm_consumer_open(const FmConsumerConfig *config, char *error, size_t errlen)
{
	FmConsumer *consumer;
	rd_kafka_resp_err_t err;

	if (!fm_client_check_topic(config->topic, error, errlen))
		return NULL;
	if (config->group == NULL || config->group[0] == '\0')
	{
		fm_client_format(error, errlen, "a consumer needs a group");
		return NULL;
	}
	consumer = make_consumer(config);
	if (consumer == NULL)
	{
		fm_client_format(error, errlen, "out of memory or file descriptors");
		return NULL;
	}
	consumer->rk = fm_client_new(FM_CLIENT_CONSUMER, config, CONSUMER_EVENTS,
								 &consumer->self_waking, error, errlen);
	if (consumer->rk == NULL)
	{
		free_consumer(consumer);
		return NULL;
	}
	err = connect_queues(consumer);
	if (err)
	{
		fm_client_format(error, errlen,
						 "could not subscribe to topic \"%s\": %s",
						 config->topic, rd_kafka_err2str(err));
		fm_consumer_close(consumer, 1000);
		return NULL;
	}
	return consumer;
}

int
fm_consumer_fd(FmConsumer *consumer)
{
	return consumer->fds[0];
}

void
fm_consumer_clear_fd(FmConsumer *consumer)
{
	fm_client_drain(consumer->fds[0]);
}

/* ----------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------- */

void
fm_consumer_watermarks(FmConsumer *consumer, int32_t partition,
					   int64_t *low, int64_t *high)
{
	int64_t		known_low = -1;
	int64_t		known_high = -1;

	if (rd_kafka_get_watermark_offsets(consumer->rk, consumer->topic,
									   partition, &known_low, &known_high))
		known_low = known_high = -1;
	*low = known_low >= 0 ? known_low : -1;
	*high = known_high >= 0 ? known_high : -1;
}

void
fm_consumer_member_id(FmConsumer *consumer, char *buf, size_t len)
{
	char	   *member = rd_kafka_memberid(consumer->rk);

	fm_client_format(buf, len, "%s", member == NULL ? "" : member);
	if (member != NULL)
		rd_kafka_mem_free(consumer->rk, member);
}

/* ----------------------------------------------------------------------
 * Closing
 * ------------------------------------------------------------------- */

/* Answer whatever rebalance comes while leaving; drop everything else. */
static bool
serve_leaving(FmConsumer *consumer, rd_kafka_queue_t *queue, int timeout_ms)
{
	rd_kafka_event_t *rkev = rd_kafka_queue_poll(queue, timeout_ms);

	if (rkev == NULL)
		return false;
	if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_REBALANCE)
		rd_kafka_assign(consumer->rk, NULL);
	rd_kafka_event_destroy(rkev);
	return true;
}

/*
 * Leave the group: serve what comes until the library says it is done.
 * The consumer's queue cannot be given to the library as the one to close
 * by (it would be forwarded to itself), hence one of its own.
 */
static bool
leave_group(FmConsumer *consumer, int64_t deadline)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->rk);
	rd_kafka_error_t *error;

	error = rd_kafka_consumer_close_queue(consumer->rk, queue);
	if (error != NULL)
	{
		/* after a fatal error there is no group to leave */
		rd_kafka_error_destroy(error);
		rd_kafka_queue_destroy(queue);
		return false;
	}
	if (consumer->revoking)
		rd_kafka_assign(consumer->rk, NULL);	/* nobody else will answer */
	while (!rd_kafka_consumer_closed(consumer->rk) &&
		   fm_client_remaining(deadline) > 0)
	{
		int			left = fm_client_remaining(deadline);

		serve_leaving(consumer, queue, left < 100 ? left : 100);
	}
	while (serve_leaving(consumer, queue, 0))
		;
	rd_kafka_queue_destroy(queue);
	return rd_kafka_consumer_closed(consumer->rk) != 0;
}

/*
 * Two thirds of the time are for leaving, the rest for destroying.  A last
 * commit goes out with us only if the coordinator is believed to be there:
 * otherwise it would keep the library from ending.
 */
bool
fm_consumer_close(FmConsumer *consumer, int timeout_ms)
{
	int64_t		begin = fm_client_now();
	bool		left;
	bool		destroyed;
	int			flags;

	if (consumer->queue != NULL)
	{
		fm_consumer_commit_waiting(consumer);
		rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
	}
	left = leave_group(consumer, begin + timeout_ms * 2 / 3);
	if (consumer->queue != NULL)
		rd_kafka_queue_destroy(consumer->queue);
	flags = left ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
	destroyed = fm_client_destroy(consumer->rk, flags,
								  fm_client_remaining(begin + timeout_ms));
	free_consumer(consumer);
	return destroyed;
}
