/*-------------------------------------------------------------------------
 *
 * test_fetch.c
 *	  What is fetched after which assignment, and what a message looks like.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define PARTITIONS 3
#define JOIN_MS 20000

static Cluster cluster;
static Member member;

/* The next message of any partition, skipping EOFs; false: none came. */
static bool
next_message(int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;

	while (next_event(&member, (int) (deadline - now_ms())))
	{
		if (member.event.kind == FM_EVENT_MESSAGE)
			return true;
		if (member.event.kind != FM_EVENT_EOF || now_ms() >= deadline)
			return false;
	}
	return false;
}

static void
test_explicit_offsets(void)
{
	FmPartitionOffset list[3] = {{0, 10}, {1, 990}, {2, 1000}};
	int64_t		ends[3] = {-1, -1, -1};
	int64_t		next[3] = {10, 990, 1000};
	bool		exact = true;

	fm_consumer_assign(member.consumer, list, 3, false, NULL, 0);
	while ((ends[0] < 0 || ends[1] < 0 || ends[2] < 0) &&
		   next_event(&member, 5000))
	{
		FmEvent    *event = &member.event;

		if (event->kind == FM_EVENT_EOF)
			ends[event->partition] = event->offset;
		if (event->kind != FM_EVENT_MESSAGE)
			continue;
		exact = exact &&
			event->message.offset == next[event->message.partition]++;
		fm_message_release(&event->message);
	}
	check(exact && next[0] == 1000 && next[1] == 1000 && next[2] == 1000,
		  "each partition is read from the offset it was given");
	check(ends[0] == 1000 && ends[1] == 1000 && ends[2] == 1000,
		  "each end is reported once, also where nothing was read");
	check(!next_event(&member, 300), "and nothing else");
	produce(&cluster, "fetch", 2, "key", "message 1000");
	produce_flush(&cluster);
	check(next_message(2000) && member.event.message.offset == 1000,
		  "then the next message");
	fm_message_release(&member.event.message);
	check(await(&member, FM_EVENT_EOF, 2000) && member.event.offset == 1001,
		  "and the end behind it");
}

/*
 * Assign again and again while much of the old fetch is queued: whatever is
 * polled next must be exactly what was asked for last.
 */
static void
test_stale_messages(void)
{
	int			wrong = 0;
	int			rounds = 200;

	srand(20261);
	for (int i = 0; i < rounds; i++)
	{
		int64_t		offset = rand() % 990;
		int32_t		partition = rand() % PARTITIONS;

		/* let some arrive, of all of them */
		assign_all(&member, PARTITIONS, offset / 2);
		for (int j = 0; j < rand() % 60 && next_message(2000); j++)
			fm_message_release(&member.event.message);
		if (i % 3 == 0)
			sleep_ms(rand() % 20);
		/* two in a row, the second is the one that counts */
		if (i % 2 == 0)
			assign_one(&member, partition, 0);
		assign_one(&member, partition, offset);
		for (int j = 0; j < 10; j++)
		{
			if (!next_message(2000) ||
				member.event.message.partition != partition ||
				member.event.message.offset != offset + j)
			{
				wrong++;
				break;
			}
			fm_message_release(&member.event.message);
		}
		if (member.event.kind == FM_EVENT_MESSAGE)
			fm_message_release(&member.event.message);
	}
	check(wrong == 0, "no message of an older assignment in %d rounds, "
		  "wrong: %d", rounds, wrong);
	/* the library aborts if it is told to stop a fetch that is stopping */
	for (int i = 0; i < 3000; i++)
	{
		assign_all(&member, 1 + i % PARTITIONS, i % 1000);
		if (next_event(&member, 0) &&
			member.event.kind == FM_EVENT_MESSAGE)
			fm_message_release(&member.event.message);
	}
	assign_one(&member, 0, 500);
	check(next_message(2000) && member.event.message.offset == 500,
		  "thousands of assignments at once do no harm");
	fm_message_release(&member.event.message);
	check(!await(&member, FM_EVENT_REVOKE, 500),
		  "and the group has not noticed");
}

static void
test_held_messages(void)
{
	FmMessage	held[100];
	int			n = 0;
	bool		intact = true;

	assign_one(&member, 0, 0);
	while (n < 100 && next_message(2000))
		held[n++] = member.event.message;
	assign_one(&member, 1, 500);
	check(next_message(2000) && member.event.message.partition == 1,
		  "a hundred messages are held over an assignment");
	fm_message_release(&member.event.message);
	for (int i = 0; i < n; i++)
	{
		char		expected[32];

		snprintf(expected, sizeof(expected), "message %d", i);
		intact = intact && held[i].offset == i &&
			held[i].len == strlen(expected) &&
			memcmp(held[i].payload, expected, held[i].len) == 0;
		fm_message_release(&held[i]);
	}
	check(n == 100 && intact, "and are what they were");
}

static void
test_subset(void)
{
	bool		only = true;
	int			count = 0;

	assign_one(&member, 1, 900);
	while (next_message(1000))
	{
		only = only && member.event.message.partition == 1;
		count++;
		fm_message_release(&member.event.message);
	}
	check(only && count == 100, "partitions left out stay silent");
	fm_consumer_assign(member.consumer, NULL, 0, false, NULL, 0);
	produce(&cluster, "fetch", 1, "key", "message 1000");
	produce_flush(&cluster);
	check(!next_message(500), "all of them, if need be");
	assign_one(&member, 1, 1000);
	check(next_message(2000) && member.event.message.offset == 1000,
		  "and can be taken up again");
	fm_message_release(&member.event.message);
}

static void
test_out_of_range(void)
{
	assign_one(&member, 0, 5000);
	check(await(&member, FM_EVENT_PARTITION_ERROR, 5000) &&
		  member.event.code == FM_KAFKA_OFFSET_OUT_OF_RANGE &&
		  member.event.partition == 0 && member.event.offset == 5000,
		  "an offset that is not there is an event: %s", member.event.text);
	check(!next_event(&member, 500), "then the partition is silent");
	assign_one(&member, 0, 700);
	check(next_message(2000) && member.event.message.offset == 700,
		  "until it is assigned again");
	fm_message_release(&member.event.message);
}

static void
test_damaged_data(void)
{
	assign_one(&member, 0, 0);
	for (int i = 0; i < 10 && next_message(2000); i++)
		fm_message_release(&member.event.message);
	/* what the library does not take for passing: a record batch refused */
	rd_kafka_mock_push_request_errors(
		cluster.mock, 1, 3, RD_KAFKA_RESP_ERR_INVALID_MSG,
		RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG);
	assign_one(&member, 0, 100);
	check(await(&member, FM_EVENT_PARTITION_ERROR, 5000) &&
		  member.event.code == FM_KAFKA_BAD_DATA &&
		  member.event.partition == 0,
		  "data that cannot be read is an event: %s", member.event.text);
	check(!next_message(1500), "nothing behind it is delivered");
	rd_kafka_mock_clear_request_errors(cluster.mock, 1);
	assign_one(&member, 0, 200);
	check(next_message(3000) && member.event.message.offset == 200,
		  "until the partition is assigned again");
	fm_message_release(&member.event.message);
}

/*
 * Digests are kept in tables: these, computed once by another program from
 * the description in client.c, must never change.
 */
#define DIGEST_KEY_VALUE	2523783712698482038
#define DIGEST_NULL_NULL	1645894166118422814

static int64_t
digest_at(int64_t offset)
{
	int64_t		digest;

	assign_one(&member, 0, offset);
	if (!next_message(2000))
		return 0;
	digest = fm_message_digest(&member.event.message);
	fm_message_release(&member.event.message);
	return digest;
}

/* Kinds of message that must not be confused with each other. */
static void
test_shapes(void)
{
	static const char *const shapes[][2] = {
		{NULL, NULL}, {NULL, ""}, {"", NULL}, {"", ""},
		{"key", "value"}, {NULL, "keyvalue"}, {"keyvalue", NULL},
		{"keyv", "alue"}, {"key", "value "}, {"key", "valuf"},
	};
	int			n = sizeof(shapes) / sizeof(shapes[0]);
	int64_t		digests[16];
	bool		distinct = true;
	bool		kept = true;

	for (int i = 0; i < n; i++)
		produce(&cluster, "shapes", 0, shapes[i][0], shapes[i][1]);
	produce_flush(&cluster);
	for (int i = 0; i < n; i++)
	{
		FmMessage  *message = &member.event.message;

		if (i == 0)
			assign_one(&member, 0, 0);
		if (!next_message(2000))
			break;
		kept = kept &&
			(message->key == NULL) == (shapes[i][0] == NULL) &&
			(message->payload == NULL) == (shapes[i][1] == NULL) &&
			message->key_len == (shapes[i][0] ? strlen(shapes[i][0]) : 0) &&
			message->len == (shapes[i][1] ? strlen(shapes[i][1]) : 0) &&
			message->timestamp > INT64_C(1600000000000) &&
			!message->log_append_time;
		digests[i] = fm_message_digest(message);
		for (int j = 0; j < i; j++)
			distinct = distinct && digests[i] != digests[j];
		fm_message_release(message);
	}
	check(kept, "null and empty keys and values stay apart");
	check(distinct, "and so do their digests");
	check(digest_at(4) == digests[4] && digest_at(4) == digests[4],
		  "a digest is the same each time");
	note("digest of (key, value): %lld", (long long) digests[4]);
	check(digests[4] == DIGEST_KEY_VALUE,
		  "and what it always was");
	check(digests[0] == DIGEST_NULL_NULL,
		  "for nothing at all, too: %lld", (long long) digests[0]);
}

static void
produce_headers(rd_kafka_headers_t *headers, const char *value)
{
	rd_kafka_producev(cluster.producer, RD_KAFKA_V_TOPIC("shapes"),
					  RD_KAFKA_V_PARTITION(0),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					  RD_KAFKA_V_VALUE((void *) value, strlen(value)),
					  RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
}

static void
test_headers(void)
{
	rd_kafka_headers_t *headers;
	FmMessage  *message = &member.event.message;
	FmHeader	list[8];
	FmHeader	one;
	int64_t		first;

	headers = rd_kafka_headers_new(4);
	rd_kafka_header_add(headers, "kind", -1, "heartbeat", -1);
	rd_kafka_header_add(headers, "empty", -1, "", 0);
	rd_kafka_header_add(headers, "null", -1, NULL, 0);
	rd_kafka_header_add(headers, "kind", -1, "last", -1);
	produce_headers(headers, "x");
	headers = rd_kafka_headers_new(4);
	rd_kafka_header_add(headers, "kind", -1, "heartbeat", -1);
	rd_kafka_header_add(headers, "empty", -1, NULL, 0);
	rd_kafka_header_add(headers, "null", -1, NULL, 0);
	rd_kafka_header_add(headers, "kind", -1, "last", -1);
	produce_headers(headers, "x");
	produce_flush(&cluster);

	assign_one(&member, 0, 10);
	if (!next_message(2000))
		return;
	check(fm_message_headers(message, list, 8) == 4 &&
		  strcmp(list[0].name, "kind") == 0 && list[0].len == 9 &&
		  memcmp(list[0].value, "heartbeat", 9) == 0 &&
		  list[1].value != NULL && list[1].len == 0 &&
		  list[2].value == NULL, "headers come in their order, null and empty");
	check(fm_message_headers(message, list, 2) == 2, "as many as asked for");
	check(fm_message_header(message, "kind", &one) && one.len == 4 &&
		  memcmp(one.value, "last", 4) == 0, "the last of a name counts");
	check(!fm_message_header(message, "none", &one), "and there may be none");
	first = fm_message_digest(message);
	fm_message_release(message);
	next_message(2000);
	check(fm_message_digest(message) != first,
		  "a null header is not an empty one");
	fm_message_release(message);
	assign_one(&member, 0, 0);
	next_message(2000);
	check(fm_message_headers(message, list, 8) == 0 &&
		  !fm_message_header(message, "kind", &one),
		  "a message without headers has none");
	fm_message_release(message);
}

static void
open_member(const char *topic)
{
	member_open(&member, make_config(&cluster, topic, topic));
	await_assign(&member, JOIN_MS);
}

int
main(void)
{
	cluster_start(&cluster, 3);
	create_topic(&cluster, "fetch", PARTITIONS);
	create_topic(&cluster, "shapes", 1);
	for (int i = 0; i < PARTITIONS; i++)
		produce_numbers(&cluster, "fetch", i, 0, 1000);
	open_member("fetch");
	test_explicit_offsets();
	test_stale_messages();
	test_held_messages();
	test_subset();
	test_out_of_range();
	test_damaged_data();
	fm_consumer_close(member.consumer, 5000);
	open_member("shapes");
	test_shapes();
	test_headers();
	check(fm_consumer_close(member.consumer, 5000), "closed");
	cluster_stop(&cluster);
	return finish();
}
