/*-------------------------------------------------------------------------
 *
 * test_broker.c
 *	  What only real brokers have: transactions, logs that lose their
 *	  beginning or are made anew, compaction, damage on disk.
 *
 *	test_broker BOOTSTRAP
 *
 * Makes topics of its own and leaves them.  With CLUSTER=DIR in the
 * environment, the folder of a cluster of test/kafka/kafka-cluster, it also
 * damages a log segment.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"

#define JOIN_MS 30000

static Cluster cluster;
static char suffix[32];
static char error[FM_KAFKA_ERROR_LEN];

/* A name that no earlier run has used; good until the next call but three. */
static const char *
name(const char *stem)
{
	static char names[4][64];
	static int	next = 0;
	char	   *name = names[next++ % 4];

	snprintf(name, sizeof(names[0]), "%s-%s", stem, suffix);
	return name;
}

/* ----------------------------------------------------------------------
 * Administration
 * ------------------------------------------------------------------- */

static rd_kafka_event_t *
wait_result(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *rkev = rd_kafka_queue_poll(queue, 30000);

	if (rkev == NULL || rd_kafka_event_error(rkev))
		note("admin: %s", rkev == NULL ? "no answer" :
			 rd_kafka_event_error_string(rkev));
	return rkev;
}

static void
make_replicated(const char *topic, int partitions, int replicas,
				const char *config, const char *value)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(cluster.producer);
	rd_kafka_NewTopic_t *new_topic;

	new_topic = rd_kafka_NewTopic_new(topic, partitions, replicas, error,
									  sizeof(error));
	if (config != NULL)
		rd_kafka_NewTopic_set_config(new_topic, config, value);
	rd_kafka_CreateTopics(cluster.producer, &new_topic, 1, NULL, queue);
	rd_kafka_event_destroy(wait_result(queue));
	rd_kafka_NewTopic_destroy(new_topic);
	rd_kafka_queue_destroy(queue);
	sleep_ms(500);
}

static void
make_topic(const char *topic, int partitions, const char *config,
		   const char *value)
{
	make_replicated(topic, partitions, 1, config, value);
}

static void
drop_topic(const char *topic)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(cluster.producer);
	rd_kafka_DeleteTopic_t *old = rd_kafka_DeleteTopic_new(topic);

	rd_kafka_DeleteTopics(cluster.producer, &old, 1, NULL, queue);
	rd_kafka_event_destroy(wait_result(queue));
	rd_kafka_DeleteTopic_destroy(old);
	rd_kafka_queue_destroy(queue);
}

static void
add_partitions(const char *topic, int total)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(cluster.producer);
	rd_kafka_NewPartitions_t *more;

	more = rd_kafka_NewPartitions_new(topic, total, error, sizeof(error));
	rd_kafka_CreatePartitions(cluster.producer, &more, 1, NULL, queue);
	rd_kafka_event_destroy(wait_result(queue));
	rd_kafka_NewPartitions_destroy(more);
	rd_kafka_queue_destroy(queue);
}

static void
delete_records(const char *topic, int64_t before)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(cluster.producer);
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_DeleteRecords_t *job;

	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = before;
	job = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(cluster.producer, &job, 1, NULL, queue);
	rd_kafka_event_destroy(wait_result(queue));
	rd_kafka_DeleteRecords_destroy(job);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
}

static rd_kafka_t *
make_producer(const char *option, const char *value)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set(conf, "bootstrap.servers", cluster.bootstrap, NULL, 0);
	rd_kafka_conf_set(conf, "linger.ms", "20", NULL, 0);
	rd_kafka_conf_set(conf, "message.max.bytes", "8000000", NULL, 0);
	rd_kafka_conf_set(conf, option, value, NULL, 0);
	return rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
}

static void
send_text(rd_kafka_t *producer, const char *topic, const char *value)
{
	rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
					  RD_KAFKA_V_PARTITION(0),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					  RD_KAFKA_V_VALUE((void *) value, strlen(value)),
					  RD_KAFKA_V_END);
}

static bool
open_at(Member *member, const char *topic, int64_t offset)
{
	if (!member_open(member, make_config(&cluster, topic, topic)) ||
		!await_assign(member, JOIN_MS))
		return false;
	return assign_one(member, 0, offset) == FM_KAFKA_OK;
}

/* Ask for the message at an offset of partition 0. */
static FmProbeItem
read_at(const char *topic, int64_t offset, FmProbeAnswer *copy)
{
	FmProbeItem item = {.partition = 0, .offset = offset};
	FmProbe    *probe = fm_probe_open(make_config(&cluster, topic, NULL),
									  error, sizeof(error));
	const FmProbeAnswer *answer;

	fm_probe_ask(probe, FM_PROBE_READ, &item, 1, 10000);
	answer = probe_wait(probe, 13000);
	item = answer->items[0];
	if (answer->code != FM_KAFKA_OK)
		note("read: %s", answer->text);
	if (copy != NULL)
		*copy = *answer;
	fm_probe_close_wait(probe, 3000);
	return item;
}

/* ----------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------- */

static void
end_transaction(rd_kafka_t *producer, bool commit)
{
	rd_kafka_error_t *failure;

	rd_kafka_flush(producer, 10000);
	failure = commit ? rd_kafka_commit_transaction(producer, 10000) :
		rd_kafka_abort_transaction(producer, 10000);
	if (failure != NULL)
	{
		note("transaction: %s", rd_kafka_error_string(failure));
		rd_kafka_error_destroy(failure);
	}
}

/* 0-1 plain, 2-3 committed, 4 marker, 5-6 aborted, 7 marker, 8 open. */
static void
test_transactions(void)
{
	const char *topic = name("transactions");
	rd_kafka_t *producer;
	Member		member;
	FmProbeItem item;
	int64_t		low;
	int64_t		high;

	make_topic(topic, 1, NULL, NULL);
	producer = make_producer("transactional.id", topic);
	produce(&cluster, topic, 0, NULL, "plain 0");
	produce(&cluster, topic, 0, NULL, "plain 1");
	produce_flush(&cluster);
	rd_kafka_error_destroy(rd_kafka_init_transactions(producer, 30000));
	for (int i = 0; i < 2; i++)
	{
		rd_kafka_error_destroy(rd_kafka_begin_transaction(producer));
		send_text(producer, topic, i == 0 ? "committed" : "aborted");
		send_text(producer, topic, i == 0 ? "committed" : "aborted");
		end_transaction(producer, i == 0);
	}
	open_at(&member, topic, 0);
	check(read_to_end(&member, 0, 0, 10000) == 8,
		  "aborted messages are not seen, the end is behind their marker");
	assign_one(&member, 0, 4);
	check(await(&member, FM_EVENT_EOF, 5000) && member.event.offset == 8,
		  "from a marker on there is nothing but the end");
	item = read_at(topic, 4, NULL);
	check(item.found_offset == -1 && item.code == FM_KAFKA_OK &&
		  item.high == 8, "a probe finds nothing there either: %lld",
		  (long long) item.found_offset);
	item = read_at(topic, 3, NULL);
	check(item.found_offset == 3, "but the last committed message");

	rd_kafka_error_destroy(rd_kafka_begin_transaction(producer));
	send_text(producer, topic, "open");
	rd_kafka_flush(producer, 10000);
	check(!await(&member, FM_EVENT_MESSAGE, 1500),
		  "an open transaction is not seen");
	fm_consumer_watermarks(member.consumer, 0, &low, &high);
	item = read_at(topic, 8, NULL);
	check(high == 9 && item.high == 8 && item.found_offset == -1,
		  "watermarks count it, a probe does not: %lld, %lld",
		  (long long) high, (long long) item.high);
	end_transaction(producer, true);
	check(await(&member, FM_EVENT_MESSAGE, 5000) &&
		  member.event.message.offset == 8, "once committed it comes");
	fm_message_release(&member.event.message);
	check(await(&member, FM_EVENT_EOF, 5000) && member.event.offset == 10,
		  "and the end moves behind the marker");
	fm_consumer_close(member.consumer, 5000);
	rd_kafka_destroy(producer);
}

static void
test_deleted_records(void)
{
	const char *topic = name("deleted");
	Member		member;
	FmProbeItem item;
	int64_t		low;
	int64_t		high;

	make_topic(topic, 1, NULL, NULL);
	produce_numbers(&cluster, topic, 0, 0, 100);
	delete_records(topic, 40);
	open_at(&member, topic, 40);
	check(read_to_end(&member, 0, 40, 10000) == 100,
		  "what is left can be read");
	fm_consumer_watermarks(member.consumer, 0, &low, &high);
	check(low == 40 && high == 100, "low watermark: %lld", (long long) low);
	assign_one(&member, 0, 10);
	check(await(&member, FM_EVENT_PARTITION_ERROR, 5000) &&
		  member.event.code == FM_KAFKA_OFFSET_OUT_OF_RANGE &&
		  member.event.offset == 10, "below it is out of range: %s",
		  member.event.text);
	item = read_at(topic, 10, NULL);
	check(item.low == 40 && item.found_offset == 40,
		  "a probe finds the first one left");
	assign_one(&member, 0, 60);
	await(&member, FM_EVENT_MESSAGE, 5000);
	fm_message_release(&member.event.message);
	delete_records(topic, 80);
	check(await(&member, FM_EVENT_EOF, 5000) && member.event.offset == 100,
		  "deleting what was fetched already disturbs nobody");
	fm_consumer_close(member.consumer, 5000);
}

/* The log of a position may be another one: shorter, or longer. */
static void
test_topic_made_anew(void)
{
	const char *topic = name("anew");
	Member		member;
	FmProbeItem before;
	FmProbeItem after;
	int64_t		digest;
	bool		told = false;

	make_topic(topic, 1, NULL, NULL);
	produce_numbers(&cluster, topic, 0, 0, 100);
	before = read_at(topic, 50, NULL);
	open_at(&member, topic, 50);
	await(&member, FM_EVENT_MESSAGE, 5000);
	digest = fm_message_digest(&member.event.message);
	check(member.event.message.offset == 50 && digest == before.digest &&
		  member.event.message.timestamp == before.timestamp,
		  "a probe reads what the consumer reads");
	fm_message_release(&member.event.message);
	read_to_end(&member, 0, 51, 5000);

	drop_topic(topic);
	sleep_ms(1000);
	make_topic(topic, 1, NULL, NULL);
	produce_numbers(&cluster, topic, 0, 1000, 20);
	for (int i = 0; i < 30 && !told; i++)
	{
		if (next_event(&member, 1000))
		{
			note("after a shorter log: kind %d code %d offset %lld %s",
				 member.event.kind, member.event.code,
				 (long long) member.event.offset,
				 member.event.kind == FM_EVENT_PARTITION_ERROR ?
				 member.event.text : "");
			if (member.event.kind == FM_EVENT_REVOKE)
				answer_revoke(&member);
			if (member.event.kind == FM_EVENT_ASSIGN)
				assign_one(&member, 0, 100);
			told = member.event.kind == FM_EVENT_PARTITION_ERROR &&
				member.event.code == FM_KAFKA_OFFSET_OUT_OF_RANGE;
		}
	}
	check(told, "a shorter log is noticed by the consumer");
	after = read_at(topic, 50, NULL);
	check(after.code == FM_KAFKA_OK && after.found_offset == -1 &&
		  after.high == 20, "and by a probe");
	produce_numbers(&cluster, topic, 0, 1020, 200);
	after = read_at(topic, 50, NULL);
	check(after.found_offset == 50 && after.digest != before.digest,
		  "in a longer one another message stands at that offset");
	fm_consumer_close(member.consumer, 5000);
}

static void
test_offsets_for_time(void)
{
	const char *topic = name("times");
	FmProbeItem items[4];
	FmProbe    *probe;
	const FmProbeAnswer *answer;
	int64_t		between;
	struct timespec now;

	make_topic(topic, 2, NULL, NULL);
	produce_numbers(&cluster, topic, 0, 0, 10);
	sleep_ms(100);
	clock_gettime(CLOCK_REALTIME, &now);
	between = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	sleep_ms(100);
	produce_numbers(&cluster, topic, 0, 10, 10);
	memset(items, 0, sizeof(items));
	items[0].timestamp = between;
	items[1].timestamp = between + 1000000;
	items[2].timestamp = -5;
	items[3].partition = 1;
	items[3].timestamp = between;
	probe = fm_probe_open(make_config(&cluster, topic, NULL), error,
						  sizeof(error));
	fm_probe_ask(probe, FM_PROBE_OFFSETS_FOR_TIME, items, 4, 10000);
	answer = probe_wait(probe, 12000);
	check(answer->items[0].offset == 10, "the first message after a time");
	check(answer->items[1].offset == 20, "none after: the end");
	check(answer->items[2].offset == 0, "before all: the first");
	check(answer->items[3].offset == 0, "an empty partition: its end");
	fm_probe_close(probe);
}

static void
test_policy(void)
{
	const char *compacted = name("compacted");
	const char *plain = name("plain");
	FmProbeAnswer answer;

	make_topic(compacted, 1, "cleanup.policy", "compact,delete");
	make_topic(plain, 1, NULL, NULL);
	produce(&cluster, compacted, 0, "key", "value");
	produce(&cluster, plain, 0, "key", "value");
	produce_flush(&cluster);
	read_at(compacted, 0, &answer);
	check(answer.compacted && answer.policy_known, "compaction is known");
	read_at(plain, 0, &answer);
	check(!answer.compacted && answer.policy_known, "and its absence");
}

static void
test_codecs(void)
{
	static const char *const codecs[] = {"gzip", "snappy", "lz4", "zstd"};
	const char *topic = name("codecs");
	Member		member;

	make_topic(topic, 1, "max.message.bytes", "8000000");
	for (int i = 0; i < 4; i++)
	{
		rd_kafka_t *producer = make_producer("compression.codec", codecs[i]);

		for (int j = 0; j < 100; j++)
			send_text(producer, topic, "the same text again and again");
		rd_kafka_flush(producer, 10000);
		rd_kafka_destroy(producer);
	}
	open_at(&member, topic, 0);
	check(read_to_end(&member, 0, 0, 10000) == 400, "all codecs are read");
	fm_consumer_close(member.consumer, 5000);
}

static void
test_large_message(void)
{
	const char *topic = name("large");
	rd_kafka_t *producer = make_producer("acks", "all");
	char	   *large = malloc(5000001);
	Member		member;

	memset(large, 'x', 5000000);
	large[5000000] = '\0';
	make_topic(topic, 1, "max.message.bytes", "8000000");
	for (int i = 0; i < 5; i++)
		send_text(producer, topic, large);
	rd_kafka_flush(producer, 20000);
	open_at(&member, topic, 0);
	check(read_to_end(&member, 0, 0, 20000) == 5,
		  "messages of five megabytes pass");
	check(read_at(topic, 4, NULL).found_offset == 4, "by a probe, too");
	fm_consumer_close(member.consumer, 5000);
	rd_kafka_destroy(producer);
	free(large);
}

static void
test_added_partitions(void)
{
	const char *topic = name("growing");
	Member		member;
	int64_t		begin;

	make_topic(topic, 1, NULL, NULL);
	open_at(&member, topic, 0);
	add_partitions(topic, 3);
	begin = now_ms();
	check(await(&member, FM_EVENT_REVOKE, 20000),
		  "added partitions cause a rebalance");
	answer_revoke(&member);
	check(await_assign(&member, 20000) && member.nassigned == 3,
		  "and are assigned: after %lld ms", (long long) (now_ms() - begin));
	assign_all(&member, 3, 0);
	fm_consumer_close(member.consumer, 5000);
}

static void
test_static_members(void)
{
	const char *topic = name("static");
	FmConsumerConfig *config;
	Member		first;
	Member		second;
	bool		gone;

	make_topic(topic, 2, NULL, NULL);
	config = make_config(&cluster, topic, topic);
	config->group_instance_id = "the-one";
	member_open(&first, config);
	await_assign(&first, JOIN_MS);
	assign_all(&first, 2, 0);
	await(&first, FM_EVENT_EOF, 5000);
	check(fm_consumer_close(first.consumer, 5000), "a static member leaves");
	config = make_config(&cluster, topic, topic);
	config->group_instance_id = "the-one";
	member_open(&first, config);
	check(await_assign(&first, 10000) && first.nassigned == 2,
		  "comes back, and has its partitions at once");
	assign_all(&first, 2, 0);

	config = make_config(&cluster, topic, topic);
	config->group_instance_id = "the-one";
	member_open(&second, config);
	for (int i = 0; i < 15 && first.last_code != FM_KAFKA_FATAL; i++)
		next_event(&first, 1000);
	check(first.last_code == FM_KAFKA_FATAL, "its double is fatal to it: %s",
		  first.last_error);
	gone = fm_consumer_close(first.consumer, 3000);
	check(gone, "after a fatal error it can be closed");
	await_assign(&second, JOIN_MS);
	assign_all(&second, second.nassigned, 0);
	fm_consumer_close(second.consumer, 5000);
}

static void
test_missing_topic(void)
{
	Member		member;
	int64_t		begin = now_ms();

	member_open(&member, make_config(&cluster, name("missing"), "missing"));
	for (int i = 0; i < 40 && member.nerrors == 0; i++)
		next_event(&member, 1000);
	check(member.last_code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
		  "a missing topic is reported: %s", member.last_error);
	note("after %lld ms", (long long) (now_ms() - begin));
	fm_consumer_close(member.consumer, 5000);
}

static void
test_describe(void)
{
	static FmCheckLine lines[500];
	FmProbe    *probe = fm_probe_open(make_config(&cluster, NULL, NULL),
									  error, sizeof(error));
	int			n;

	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 10000);
	probe_wait(probe, 12000);
	n = fm_probe_describe(probe, lines, 500);
	check(n > 4 && lines[0].ok, "described in %d lines", n);
	for (int i = 0; i < n && i < 12; i++)
		note("%s | %s | %s", lines[i].item, lines[i].ok ? "yes" : "no",
			 lines[i].detail);
	fm_probe_close_wait(probe, 3000);
}

/* Change a byte in the middle of whatever segment holds a text. */
static bool
damage(const char *topic, const char *text)
{
	char		command[1024];

	snprintf(command, sizeof(command),
			 "f=$(grep -l '%s' $(find '%s' -path '*%s-0/*.log') | head -1) && "
			 "o=$(grep -abo '%s' \"$f\" | head -1 | cut -d: -f1) && "
			 "printf X | dd of=\"$f\" bs=1 seek=$o conv=notrunc 2>/dev/null",
			 text, getenv("CLUSTER"), topic, text);
	return system(command) == 0;
}

static void
test_damaged_segment(void)
{
	const char *topic = name("damaged");
	Member		member;
	int64_t		last = -1;
	bool		behind = false;

	if (getenv("CLUSTER") == NULL || getenv("CLUSTER")[0] == '\0')
	{
		note("no CLUSTER given: not damaging a log");
		return;
	}
	make_topic(topic, 1, NULL, NULL);
	/* batches of 25 messages each; the one from 50 on is hit */
	produce_numbers(&cluster, topic, 0, 0, 200);
	check(damage(topic, "message 60"), "a segment can be damaged");
	open_at(&member, topic, 0);
	while (next_event(&member, 5000) &&
		   member.event.kind != FM_EVENT_PARTITION_ERROR)
	{
		if (member.event.kind != FM_EVENT_MESSAGE)
			continue;
		last = member.event.message.offset;
		fm_message_release(&member.event.message);
	}
	check(member.event.kind == FM_EVENT_PARTITION_ERROR &&
		  member.event.code == FM_KAFKA_BAD_DATA && last == 49 &&
		  member.event.offset == 50, "damaged data is told: %s",
		  member.event.text);
	while (next_event(&member, 3000))
	{
		behind = behind || member.event.kind == FM_EVENT_MESSAGE ||
			member.event.kind == FM_EVENT_EOF;
		if (member.event.kind == FM_EVENT_MESSAGE)
			fm_message_release(&member.event.message);
	}
	check(!behind, "and nothing behind it is delivered");
	check(read_at(topic, 60, NULL).code == FM_KAFKA_BAD_DATA,
		  "a probe says so, too");
	assign_one(&member, 0, 75);
	check(read_to_end(&member, 0, 75, 10000) == 200,
		  "reading goes on where one says so");
	fm_consumer_close(member.consumer, 5000);
}

/* A command of kafka-cluster for the cluster we test. */
static void
cluster_command(const char *command, int broker)
{
	char		line[1024];

	snprintf(line, sizeof(line),
			 "../kafka/kafka-cluster %s '%s' %d >/dev/null 2>&1", command,
			 getenv("CLUSTER"), broker);
	if (system(line) != 0)
		note("%s %d failed", command, broker);
}

/* Serve a member of one partition for a while; false: an offset was off. */
static bool
follow(Member *member, int64_t *next, int ms)
{
	int64_t		until = now_ms() + ms;

	while (now_ms() < until)
	{
		FmEvent    *event = &member->event;

		if (!next_event(member, 50))
			continue;
		if (event->kind == FM_EVENT_REVOKE)
			answer_revoke(member);
		else if (event->kind == FM_EVENT_ASSIGN)
			assign_one(member, 0, *next);
		else if (event->kind == FM_EVENT_PARTITION_ERROR)
			note("%s", event->text);
		else if (event->kind == FM_EVENT_MESSAGE)
		{
			int64_t		offset = event->message.offset;

			fm_message_release(&event->message);
			if (offset != (*next)++)
				return false;
		}
	}
	return true;
}

/* Each broker in turn is killed and comes back, while messages flow. */
static void
test_broker_killed(void)
{
	const char *topic = name("killed");
	Member		member;
	int64_t		next = 0;
	int			sent = 0;
	bool		exact = true;

	if (getenv("CLUSTER") == NULL || getenv("CLUSTER")[0] == '\0')
		return;
	make_replicated(topic, 1, 3, "min.insync.replicas", "2");
	open_at(&member, topic, 0);
	for (int broker = 1; broker <= 3; broker++)
	{
		produce_numbers(&cluster, topic, 0, sent, 200);
		exact = exact && follow(&member, &next, 500);
		cluster_command("kill", broker);
		exact = exact && follow(&member, &next, 1000);
		produce_numbers(&cluster, topic, 0, sent + 200, 200);
		exact = exact && follow(&member, &next, 1000);
		cluster_command("restart", broker);
		sent += 400;
	}
	exact = exact && follow(&member, &next, 15000);
	check(exact && next == sent,
		  "over three kills each message comes once, in order: %lld of %d",
		  (long long) next, sent);
	note("%d errors, the last: %s", member.nerrors, member.last_error);
	fm_consumer_close(member.consumer, 5000);
}

int
main(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '\0')
	{
		fprintf(stderr, "usage: test_broker BOOTSTRAP\n");
		return 2;
	}
	snprintf(suffix, sizeof(suffix), "%lld", (long long) time(NULL));
	cluster_connect(&cluster, argv[1]);
	test_transactions();
	test_deleted_records();
	test_topic_made_anew();
	test_offsets_for_time();
	test_policy();
	test_codecs();
	test_large_message();
	test_added_partitions();
	test_static_members();
	test_missing_topic();
	test_describe();
	test_damaged_segment();
	test_broker_killed();
	check(fm_kafka_wait_threads(10000), "no thread is left behind");
	cluster_stop(&cluster);
	return finish();
}
