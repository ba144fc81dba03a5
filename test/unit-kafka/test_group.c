/*-------------------------------------------------------------------------
 *
 * test_group.c
 *	  Membership: assignments, revocations, brokers that fail, closing.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <string.h>

#include "harness.h"

#define PARTITIONS 6
#define JOIN_MS 20000

static Cluster cluster;

/* Answer an ASSIGN event with all it names, from that offset. */
static void
take(Member *member, int64_t offset)
{
	FmPartitionOffset list[64];

	for (int i = 0; i < member->nassigned; i++)
	{
		list[i].partition = member->assigned[i];
		list[i].offset = offset;
	}
	fm_consumer_assign(member->consumer, list, member->nassigned, false,
					   member->last_error, sizeof(member->last_error));
}

/* Poll until there is nothing more for a while; releases messages. */
static void
settle(Member *member, int ms)
{
	int64_t		until = now_ms() + ms;

	while (now_ms() < until)
	{
		if (next_event(member, 50) &&
			member->event.kind == FM_EVENT_MESSAGE)
			fm_message_release(&member->event.message);
	}
}

static void
test_one_member(void)
{
	Member		member;
	char		id[128];
	int64_t		low;
	int64_t		high;

	member_open(&member, make_config(&cluster, "group", "one"));
	fm_consumer_member_id(member.consumer, id, sizeof(id));
	check(id[0] == '\0', "no member id before joining");
	check(assign_one(&member, 0, 0) != FM_KAFKA_OK,
		  "nothing can be assigned before the group has: %s",
		  member.last_error);
	check(await_assign(&member, JOIN_MS) && member.nassigned == PARTITIONS,
		  "a single member is given every partition");
	fm_consumer_member_id(member.consumer, id, sizeof(id));
	check(id[0] != '\0', "and has a member id: %s", id);

	check(assign_one(&member, 0, -1) != FM_KAFKA_OK,
		  "no offset is refused: %s", member.last_error);
	check(assign_one(&member, PARTITIONS, 0) != FM_KAFKA_OK,
		  "what the group has not given is refused: %s", member.last_error);
	check(answer_revoke(&member) == FM_KAFKA_OK ||
		  member.last_error[0] != '\0', "an unasked revocation does no harm");

	fm_consumer_close(member.consumer, 5000);

	member_open(&member, make_config(&cluster, "group", "two"));
	await_assign(&member, JOIN_MS);
	check(fm_consumer_assign(member.consumer, NULL, 0, false, NULL, 0) ==
		  FM_KAFKA_OK, "an assignment may be answered with nothing");
	settle(&member, 500);
	check(assign_all(&member, PARTITIONS, 0) == FM_KAFKA_OK,
		  "and be taken up later");
	check(await(&member, FM_EVENT_EOF, 5000), "then it is read");
	fm_consumer_watermarks(member.consumer, member.event.partition, &low,
						   &high);
	check(low == 0 && high == 100,
		  "watermarks are cached without statistics: %lld, %lld",
		  (long long) low, (long long) high);
	fm_consumer_watermarks(member.consumer, 17, &low, &high);
	check(low == -1 && high == -1, "and unknown where nothing is known");
	check(fm_consumer_close(member.consumer, 5000), "close ends in time");
}

/* True if two members have all partitions between them, and none twice. */
static bool
share(const Member *a, const Member *b)
{
	int			seen[PARTITIONS] = {0};

	for (int i = 0; i < a->nassigned; i++)
		seen[a->assigned[i]]++;
	for (int i = 0; i < b->nassigned; i++)
		seen[b->assigned[i]]++;
	for (int i = 0; i < PARTITIONS; i++)
	{
		if (seen[i] != 1)
			return false;
	}
	return true;
}

/* Serve a member's events for a moment, as a worker would. */
static void
serve(Member *member, bool *revoked)
{
	if (!next_event(member, 50))
		return;
	if (member->event.kind == FM_EVENT_REVOKE)
	{
		if (!*revoked)
			check(assign_one(member, 0, 0) != FM_KAFKA_OK,
				  "while a revocation is open nothing is assigned: %s",
				  member->last_error);
		*revoked = true;
		answer_revoke(member);
		member->nassigned = 0;
	}
	else if (member->event.kind == FM_EVENT_ASSIGN)
	{
		member->nassigned = member->event.npartitions;
		for (int i = 0; i < member->nassigned; i++)
			member->assigned[i] = member->event.partitions[i].partition;
		take(member, 100);
	}
	else if (member->event.kind == FM_EVENT_MESSAGE)
		fm_message_release(&member->event.message);
}

static void
test_two_members(void)
{
	Member		first;
	Member		second;
	int64_t		deadline;
	bool		revoked = false;
	bool		ignored = true;

	member_open(&first, make_config(&cluster, "group", "pair"));
	await_assign(&first, JOIN_MS);
	take(&first, 100);
	check(first.nassigned == PARTITIONS, "the first member has everything");
	member_open(&second, make_config(&cluster, "group", "pair"));

	deadline = now_ms() + JOIN_MS;
	while (now_ms() < deadline &&
		   !(first.nassigned == 3 && second.nassigned == 3))
	{
		serve(&first, &revoked);
		serve(&second, &ignored);
	}
	check(revoked, "a second member makes the first one give up everything");
	check(share(&first, &second),
		  "then each has its own part: %d and %d", first.nassigned,
		  second.nassigned);

	check(fm_consumer_close(second.consumer, 5000), "the second one leaves");
	check(await(&first, FM_EVENT_REVOKE, JOIN_MS), "the first is told so");
	answer_revoke(&first);
	check(await_assign(&first, JOIN_MS) && first.nassigned == PARTITIONS,
		  "and gets all partitions back");
	take(&first, 100);
	fm_consumer_close(first.consumer, 5000);
}

static void
test_wake_up(void)
{
	Member		member;
	struct pollfd fd;

	member_open(&member, make_config(&cluster, "group", "wake"));
	await_assign(&member, JOIN_MS);
	take(&member, 100);
	settle(&member, 500);
	fd.fd = fm_consumer_fd(member.consumer);
	fd.events = POLLIN;
	fm_consumer_clear_fd(member.consumer);
	next_event(&member, 0);
	check(poll(&fd, 1, 300) == 0, "an idle consumer does not wake anybody");
	produce(&cluster, "group", 3, NULL, "wake up");
	produce_flush(&cluster);
	check(poll(&fd, 1, 2000) == 1, "a message does");
	check(await(&member, FM_EVENT_MESSAGE, 1000) &&
		  member.event.message.partition == 3, "and it is there");
	fm_message_release(&member.event.message);
	fm_consumer_close(member.consumer, 5000);
}

static bool
await_commit(Member *member, int64_t *offset0)
{
	if (!await(member, FM_EVENT_COMMITTED, 5000))
		return false;
	*offset0 = -1;
	for (int i = 0; i < member->event.npartitions; i++)
	{
		if (member->event.partitions[i].partition == 0)
			*offset0 = member->event.partitions[i].offset;
	}
	return member->event.code == FM_KAFKA_OK;
}

static void
test_commits(void)
{
	FmPartitionOffset offsets[2] = {{0, 10}, {1, 20}};
	Member		member;
	int64_t		offset;

	member_open(&member, make_config(&cluster, "group", "commit"));
	await_assign(&member, JOIN_MS);
	take(&member, 101);
	fm_consumer_commit_async(member.consumer, offsets, 2);
	check(await_commit(&member, &offset) && offset == 10 &&
		  member.event.npartitions == 2, "a commit is confirmed");

	for (int i = 0; i < 1000; i++)
	{
		offsets[0].offset = 11 + i;
		fm_consumer_commit_async(member.consumer, offsets, 1);
	}
	check(await_commit(&member, &offset) && offset == 11,
		  "of a thousand at once the first goes out");
	check(await_commit(&member, &offset) && offset == 1010,
		  "then the last, and none in between");
	check(!await(&member, FM_EVENT_COMMITTED, 300), "that is all");
	offsets[0].offset = 2000;
	fm_consumer_commit_async(member.consumer, offsets, 1);
	fm_consumer_close(member.consumer, 5000);
}

/* Answer whatever comes until partition 0 has been read to its end. */
static int64_t
survive(Member *member, int64_t from, int timeout_ms)
{
	int64_t		deadline = now_ms() + timeout_ms;
	int64_t		next = from;

	while (now_ms() < deadline)
	{
		FmEvent    *event = &member->event;

		if (!next_event(member, 100))
			continue;
		if (event->kind == FM_EVENT_REVOKE)
		{
			note("thrown out meanwhile, lost: %d", event->assignment_lost);
			answer_revoke(member);
		}
		else if (event->kind == FM_EVENT_ASSIGN)
			assign_one(member, 0, next);
		else if (event->kind == FM_EVENT_EOF && event->offset >= 150)
			return next;
		else if (event->kind == FM_EVENT_MESSAGE)
		{
			if (event->message.offset != next)
				return -1;
			next++;
			fm_message_release(&event->message);
		}
	}
	return -2;
}

static void
test_broker_down(void)
{
	Member		member;
	int64_t		end;

	member_open(&member, make_config(&cluster, "group", "down"));
	await_assign(&member, JOIN_MS);
	assign_one(&member, 0, 20);
	await(&member, FM_EVENT_MESSAGE, 5000);
	fm_message_release(&member.event.message);
	for (int broker = 1; broker <= 3; broker++)
		rd_kafka_mock_broker_set_down(cluster.mock, broker);
	sleep_ms(300);
	end = survive(&member, 21, 1500);
	check(member.nerrors > 0, "brokers that are gone are reported: %s",
		  member.last_error);
	for (int broker = 1; broker <= 3; broker++)
		rd_kafka_mock_broker_set_up(cluster.mock, broker);
	produce_numbers(&cluster, "group", 0, 100, 50);
	end = assign_one(&member, 0, 30) == FM_KAFKA_OK ? 30 : 21;
	end = survive(&member, end, 30000);
	check(end == 150, "when they are back everything is read, once: %lld",
		  (long long) end);
	fm_consumer_close(member.consumer, 5000);
}

static void
test_missing_topic(void)
{
	Member		member;

	/* the mock makes every topic that it is asked for, unless told not to */
	rd_kafka_mock_topic_set_error(cluster.mock, "nowhere",
								  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	member_open(&member, make_config(&cluster, "nowhere", "missing"));
	for (int i = 0; i < 15 && member.nerrors == 0; i++)
		next_event(&member, 1000);
	check(member.last_code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
		  "a missing topic is reported: %s", member.last_error);
	check(fm_consumer_close(member.consumer, 5000), "and can be left");
}

/* A member that stopped listening at any point can still be closed. */
static void
test_close_in_any_state(void)
{
	static const char *const states[] = {
		"at once", "while joining", "with an assignment queued",
		"with an assignment unanswered", "with a revocation unanswered"
	};

	for (int i = 0; i < 5; i++)
	{
		Member		member;
		Member		other;
		int64_t		begin;
		bool		gone;

		member_open(&member, make_config(&cluster, "group", "states"));
		if (i == 1 || i == 2)
			sleep_ms(i * 2000);
		if (i >= 3)
			await_assign(&member, JOIN_MS);
		if (i == 4)
		{
			take(&member, 0);
			member_open(&other, make_config(&cluster, "group", "states"));
			await(&member, FM_EVENT_REVOKE, JOIN_MS);
		}
		begin = now_ms();
		gone = fm_consumer_close(member.consumer, 5000);
		check(gone && now_ms() - begin < 1500, "closed %s: %lld ms",
			  states[i], (long long) (now_ms() - begin));
		if (i == 4)
			fm_consumer_close(other.consumer, 5000);
	}
}

/* Last: leaves the cluster broken. */
static void
test_close_without_brokers(void)
{
	FmPartitionOffset offset = {0, 5};
	Member		member;
	Member		second;
	Member		stranger;
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	int64_t		begin;
	bool		gone;

	member_open(&member, make_config(&cluster, "group", "closing"));
	member_open(&second, make_config(&cluster, "group", "closing2"));
	await_assign(&member, JOIN_MS);
	assign_all(&member, PARTITIONS, 0);
	await(&member, FM_EVENT_MESSAGE, 5000);
	fm_message_release(&member.event.message);
	await_assign(&second, JOIN_MS);
	assign_all(&second, PARTITIONS, 0);
	for (int broker = 1; broker <= 3; broker++)
		rd_kafka_mock_broker_set_down(cluster.mock, broker);

	/* has not noticed that the brokers are gone */
	fm_consumer_commit_async(member.consumer, &offset, 1);
	begin = now_ms();
	gone = fm_consumer_close(member.consumer, 2000);
	note("closed: %d after %lld ms", gone, (long long) (now_ms() - begin));
	check(now_ms() - begin < 2300,
		  "close is bounded with a commit under way and no broker left");

	/* has */
	settle(&second, 500);
	fm_consumer_commit_async(second.consumer, &offset, 1);
	begin = now_ms();
	gone = fm_consumer_close(second.consumer, 2000);
	check(gone && now_ms() - begin < 1900,
		  "who knows that they are gone starts no commit: %lld ms",
		  (long long) (now_ms() - begin));

	member_open(&stranger, make_config(&nowhere, "group", "stranger"));
	next_event(&stranger, 300);
	begin = now_ms();
	gone = fm_consumer_close(stranger.consumer, 2000);
	check(gone && now_ms() - begin < 1900,
		  "one that never found a broker is closed at once: %lld ms",
		  (long long) (now_ms() - begin));
	check(fm_kafka_wait_threads(10000), "no thread is left behind");
}

int
main(void)
{
	cluster_start(&cluster, 3);
	create_topic(&cluster, "group", PARTITIONS);
	for (int i = 0; i < PARTITIONS; i++)
		produce_numbers(&cluster, "group", i, 0, 100);
	test_one_member();
	test_two_members();
	test_wake_up();
	test_commits();
	test_broker_down();
	test_missing_topic();
	test_close_in_any_state();
	test_close_without_brokers();
	cluster_stop(&cluster);
	return finish();
}
