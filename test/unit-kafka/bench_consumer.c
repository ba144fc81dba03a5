/*-------------------------------------------------------------------------
 *
 * bench_consumer.c
 *	  How fast messages come out of the consumer, and at what price.
 *
 *	bench_consumer [BOOTSTRAP TOPIC] [NAME=VALUE...]
 *		messages=N	 read that many, again and again from 0 (1000000)
 *		size=N		 bytes a message, when filling the mock (330)
 *		queued=MB	 max_queued_bytes (128)
 *		batch=N		 messages held before they are released (5000)
 *		work=US		 microseconds of pretended work per message (0)
 *		fill=1		 fill TOPIC with that many messages first
 *		property=value of librdkafka, too
 *
 * Without BOOTSTRAP it fills a mock cluster in this process, whose threads
 * cost, too; look at the thread's own time then.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "harness.h"

#define MOCK_PARTITIONS 3

static long messages = 1000000;
static long size = 330;
static long queued = 128;
static long batch = 5000;
static long work = 0;
static bool fill = false;
static char *properties[16][2];
static int	nproperties = 0;

static void
set_option(char *option)
{
	char	   *value = strchr(option, '=');

	if (value == NULL)
		exit(2);
	*value++ = '\0';
	if (strcmp(option, "messages") == 0)
		messages = atol(value);
	else if (strcmp(option, "size") == 0)
		size = atol(value);
	else if (strcmp(option, "queued") == 0)
		queued = atol(value);
	else if (strcmp(option, "batch") == 0)
		batch = atol(value);
	else if (strcmp(option, "work") == 0)
		work = atol(value);
	else if (strcmp(option, "fill") == 0)
		fill = value[0] == '1';
	else if (nproperties < 16)
	{
		properties[nproperties][0] = option;
		properties[nproperties++][1] = value;
	}
}

static double
seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Spread over the partitions, in batches as a busy producer makes them. */
static void
fill_topic(Cluster *cluster, const char *topic, int partitions)
{
	char	   *value = malloc(size + 1);

	memset(value, 'x', size);
	value[size] = '\0';
	for (long i = 0; i < messages; i++)
	{
		produce(cluster, topic, i % partitions, "key", value);
		if (i % 1000 == 0)
			rd_kafka_poll(cluster->producer, 0);
	}
	produce_flush(cluster);
	free(value);
}

/* Pretend to insert. */
static void
pretend(long n)
{
	double		until = seconds(CLOCK_MONOTONIC) + n * work / 1e6;

	while (work > 0 && seconds(CLOCK_MONOTONIC) < until)
		;
}

static void
release(FmMessage *held, long *n)
{
	pretend(*n);
	for (long i = 0; i < *n; i++)
		fm_message_release(&held[i]);
	*n = 0;
}

/* Read that many messages; returns how many bytes. */
static double
read_all(Member *member, long count)
{
	FmMessage  *held = malloc(batch * sizeof(*held));
	double		bytes = 0;
	long		n = 0;

	while (count > 0)
	{
		if (!next_event(member, 10000))
			break;
		if (member->event.kind != FM_EVENT_MESSAGE)
			continue;
		held[n++] = member->event.message;
		bytes += member->event.message.len;
		count--;
		if (n == batch)
			release(held, &n);
	}
	release(held, &n);
	free(held);
	return bytes;
}

static void
run(Cluster *cluster, const char *topic)
{
	FmConsumerConfig *config = make_config(cluster, topic, "bench");
	Member		member;

	config->max_queued_bytes = queued * 1000000;
	for (int i = 0; i < nproperties; i++)
		config_set(config, properties[i][0], properties[i][1]);
	if (!member_open(&member, config) || !await_assign(&member, 30000))
		return;
	for (int round = 0; round < 3; round++)
	{
		double		wall = seconds(CLOCK_MONOTONIC);
		double		thread = seconds(CLOCK_THREAD_CPUTIME_ID);
		double		process = seconds(CLOCK_PROCESS_CPUTIME_ID);
		double		bytes;
		struct rusage usage;

		assign_all(&member, member.nassigned, 0);
		bytes = read_all(&member, messages);
		wall = seconds(CLOCK_MONOTONIC) - wall;
		thread = seconds(CLOCK_THREAD_CPUTIME_ID) - thread;
		process = seconds(CLOCK_PROCESS_CPUTIME_ID) - process;
		getrusage(RUSAGE_SELF, &usage);
		printf("%.0f k msg/s, %.0f MB/s; cpu per message: polling thread "
			   "%.2f us, other threads %.2f us; peak %ld MB\n",
			   messages / wall / 1e3, bytes / wall / 1e6,
			   thread / messages * 1e6,
			   (process - thread) / messages * 1e6, usage.ru_maxrss / 1024);
		fflush(stdout);
	}
	fm_consumer_close(member.consumer, 5000);
}

int
main(int argc, char **argv)
{
	Cluster		cluster;
	const char *topic = "bench";
	int			first = 1;

	if (argc > 2 && strchr(argv[1], '=') == NULL)
		first = 3;
	for (int i = first; i < argc; i++)
		set_option(argv[i]);
	if (first == 3)
	{
		cluster_connect(&cluster, argv[1]);
		topic = argv[2];
		if (fill)
			fill_topic(&cluster, topic, MOCK_PARTITIONS);
	}
	else
	{
		cluster_start(&cluster, 3);
		create_topic(&cluster, topic, MOCK_PARTITIONS);
		/* a partition of the mock holds 5 MiB */
		if (messages > MOCK_PARTITIONS * 4500000 / size)
			messages = MOCK_PARTITIONS * 4500000 / size;
		fill_topic(&cluster, topic, MOCK_PARTITIONS);
	}
	run(&cluster, topic);
	cluster_stop(&cluster);
	return 0;
}
