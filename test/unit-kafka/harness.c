/*-------------------------------------------------------------------------
 *
 * harness.c
 *	  See harness.h.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"

static int	ntests = 0;
static int	nfailed = 0;

bool
check(bool passed, const char *format,...)
{
	va_list		args;

	printf("%s %d - ", passed ? "ok" : "not ok", ++ntests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	nfailed += !passed;
	return passed;
}

void
note(const char *format,...)
{
	va_list		args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int
finish(void)
{
	printf("1..%d\n", ntests);
	if (nfailed > 0)
		printf("# %d of %d failed\n", nfailed, ntests);
	return nfailed > 0;
}

int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* ----------------------------------------------------------------------
 * Clusters
 * ------------------------------------------------------------------- */

static void
quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
}

/* A producer that loses nothing; without bootstrap one for a mock cluster. */
static rd_kafka_t *
new_producer(const char *bootstrap)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		error[512];
	rd_kafka_t *rk;

	rd_kafka_conf_set_log_cb(conf, quiet);
	rd_kafka_conf_set(conf, "linger.ms", "20", NULL, 0);
	rd_kafka_conf_set(conf, "queue.buffering.max.messages", "2000000", NULL, 0);
	if (bootstrap != NULL)
		rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (rk == NULL)
	{
		printf("Bail out! %s\n", error);
		exit(2);
	}
	return rk;
}

static rd_kafka_t *mock_owner;

void
cluster_start(Cluster *cluster, int brokers)
{
	mock_owner = new_producer(NULL);
	cluster->mock = rd_kafka_mock_cluster_new(mock_owner, brokers);
	snprintf(cluster->bootstrap, sizeof(cluster->bootstrap), "%s",
			 rd_kafka_mock_cluster_bootstraps(cluster->mock));
	cluster->producer = new_producer(cluster->bootstrap);
}

void
cluster_connect(Cluster *cluster, const char *bootstrap)
{
	cluster->mock = NULL;
	snprintf(cluster->bootstrap, sizeof(cluster->bootstrap), "%s", bootstrap);
	cluster->producer = new_producer(bootstrap);
}

void
cluster_stop(Cluster *cluster)
{
	rd_kafka_destroy(cluster->producer);
	if (cluster->mock != NULL)
	{
		rd_kafka_mock_cluster_destroy(cluster->mock);
		rd_kafka_destroy(mock_owner);
	}
}

void
create_topic(Cluster *cluster, const char *topic, int partitions)
{
	if (rd_kafka_mock_topic_create(cluster->mock, topic, partitions, 1) != 0)
		note("topic %s not created", topic);
}

void
produce(Cluster *cluster, const char *topic, int32_t partition,
		const char *key, const char *value)
{
	size_t		key_len = key == NULL ? 0 : strlen(key);
	size_t		value_len = value == NULL ? 0 : strlen(value);
	rd_kafka_resp_err_t err;

	for (;;)
	{
		err = rd_kafka_producev(
			cluster->producer, RD_KAFKA_V_TOPIC(topic),
			RD_KAFKA_V_PARTITION(partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_KEY((void *) key, key_len),
			RD_KAFKA_V_VALUE((void *) value, value_len),
			RD_KAFKA_V_END);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		rd_kafka_poll(cluster->producer, 100);
	}
	if (err)
		note("produce: %s", rd_kafka_err2str(err));
}

void
produce_flush(Cluster *cluster)
{
	if (rd_kafka_flush(cluster->producer, 30000) != 0)
		note("flush: not everything was delivered");
}

void
produce_numbers(Cluster *cluster, const char *topic, int32_t partition,
				int from, int count)
{
	char		value[64];

	for (int i = from; i < from + count; i++)
	{
		snprintf(value, sizeof(value), "message %d", i);
		produce(cluster, topic, partition, "key", value);
		/* several record batches */
		if (i % 25 == 24)
			produce_flush(cluster);
	}
	produce_flush(cluster);
}

/* ----------------------------------------------------------------------
 * A consumer driven by hand
 * ------------------------------------------------------------------- */

FmConsumerConfig *
make_config(Cluster *cluster, const char *topic, const char *group)
{
	static FmConsumerConfig config;
	static FmProperty properties[16];

	memset(&config, 0, sizeof(config));
	config.properties = properties;
	config.topic = topic;
	config.group = group;
	config.client_id = "unit";
	config.max_queued_bytes = 64 * 1024 * 1024;
	config_set(&config, "bootstrap.servers", cluster->bootstrap);
	if (cluster->mock != NULL)
	{
		/* the mock ends a rebalance a second before the session times out */
		config_set(&config, "session.timeout.ms", "4000");
		config_set(&config, "heartbeat.interval.ms", "500");
		config_set(&config, "fetch.wait.max.ms", "20");
	}
	return &config;
}

void
config_set(FmConsumerConfig *config, const char *name, const char *value)
{
	FmProperty *property;

	property = (FmProperty *) &config->properties[config->nproperties++];
	property->name = name;
	property->value = value;
}

bool
member_open(Member *member, FmConsumerConfig *config)
{
	memset(member, 0, sizeof(*member));
	member->consumer = fm_consumer_open(config, member->last_error,
										sizeof(member->last_error));
	if (member->consumer == NULL)
		note("open: %s", member->last_error);
	return member->consumer != NULL;
}

bool
next_event(Member *member, int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;

	for (;;)
	{
		struct pollfd fd = {fm_consumer_fd(member->consumer), POLLIN, 0};
		int64_t		left;

		while (fm_consumer_poll(member->consumer, &member->event))
		{
			if (member->event.kind == FM_EVENT_LOG)
				member->nlogs++;
			else if (member->event.kind == FM_EVENT_ERROR)
			{
				member->nerrors++;
				member->last_code = member->event.code;
				snprintf(member->last_error, sizeof(member->last_error), "%s",
						 member->event.text);
			}
			else
				return true;
		}
		left = deadline - now_ms();
		if (left <= 0)
			return false;
		if (poll(&fd, 1, (int) left) > 0)
			fm_consumer_clear_fd(member->consumer);
	}
}

bool
await(Member *member, FmEventKind kind, int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;

	do
	{
		int			left = (int) (deadline - now_ms());

		if (!next_event(member, left < 0 ? 0 : left))
			return false;
		if (member->event.kind == kind)
			return true;
		if (member->event.kind == FM_EVENT_MESSAGE)
			fm_message_release(&member->event.message);
	} while (now_ms() < deadline);
	return false;
}

bool
await_assign(Member *member, int timeout_ms)
{
	if (!await(member, FM_EVENT_ASSIGN, timeout_ms))
		return false;
	member->nassigned = member->event.npartitions;
	for (int i = 0; i < member->nassigned; i++)
		member->assigned[i] = member->event.partitions[i].partition;
	return true;
}

static FmKafkaCode
assign(Member *member, const FmPartitionOffset *partitions, int n,
	   bool after_revoke)
{
	FmKafkaCode code;

	code = fm_consumer_assign(member->consumer, partitions, n, after_revoke,
							  member->last_error, sizeof(member->last_error));
	return code;
}

FmKafkaCode
assign_all(Member *member, int n, int64_t offset)
{
	FmPartitionOffset partitions[64];

	for (int i = 0; i < n; i++)
	{
		partitions[i].partition = i;
		partitions[i].offset = offset;
	}
	return assign(member, partitions, n, false);
}

FmKafkaCode
assign_one(Member *member, int32_t partition, int64_t offset)
{
	FmPartitionOffset one = {partition, offset};

	return assign(member, &one, 1, false);
}

FmKafkaCode
answer_revoke(Member *member)
{
	return assign(member, NULL, 0, true);
}

int64_t
read_to_end(Member *member, int32_t partition, int64_t from, int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;

	while (now_ms() < deadline)
	{
		FmEvent    *event = &member->event;

		if (!next_event(member, (int) (deadline - now_ms())))
			break;
		if (event->kind == FM_EVENT_EOF && event->partition == partition)
			return event->offset;
		if (event->kind == FM_EVENT_MESSAGE &&
			event->message.partition == partition)
		{
			int64_t		offset = event->message.offset;

			fm_message_release(&event->message);
			if (offset != from)
			{
				note("partition %d: offset %lld instead of %lld", partition,
					 (long long) offset, (long long) from);
				return -1;
			}
			from++;
		}
		else if (event->kind == FM_EVENT_MESSAGE)
			fm_message_release(&event->message);
		else if (event->kind == FM_EVENT_PARTITION_ERROR)
		{
			note("partition %d: %s", event->partition, event->text);
			return -1;
		}
	}
	note("partition %d: no end before the timeout, at %lld", partition,
		 (long long) from);
	return -1;
}

const FmProbeAnswer *
probe_wait(FmProbe *probe, int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;
	struct pollfd fd = {fm_probe_fd(probe), POLLIN, 0};

	for (;;)
	{
		const FmProbeAnswer *answer = fm_probe_answer(probe);

		if (answer != NULL || now_ms() >= deadline)
			return answer;
		poll(&fd, 1, 200);
	}
}
