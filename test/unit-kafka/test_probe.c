/*-------------------------------------------------------------------------
 *
 * test_probe.c
 *	  Questions: their answers, their time limits, and giving up on them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define PARTITIONS 3

static Cluster cluster;
static char error[FM_KAFKA_ERROR_LEN];

/* While positive, the library does not come back from rd_kafka_metadata(). */
static volatile int stuck_ms = 0;

/*
 * Stands before the library's own: the probe is linked into this program, so
 * its calls come here.
 */
rd_kafka_resp_err_t
rd_kafka_metadata(rd_kafka_t *rk, int all_topics, rd_kafka_topic_t *only_rkt,
				  const struct rd_kafka_metadata **metadatap, int timeout_ms)
{
	rd_kafka_resp_err_t (*real) (rd_kafka_t *rk, int all_topics,
								 rd_kafka_topic_t *only_rkt,
								 const struct rd_kafka_metadata **metadatap,
								 int timeout_ms);

	*(void **) &real = dlsym(RTLD_NEXT, "rd_kafka_metadata");
	if (stuck_ms > 0)
		sleep_ms(stuck_ms);
	return real(rk, all_topics, only_rkt, metadatap, timeout_ms);
}

static FmProbe *
open_probe(const char *topic)
{
	FmProbe    *probe = fm_probe_open(make_config(&cluster, topic, NULL),
									  error, sizeof(error));

	if (probe == NULL)
		note("open: %s", error);
	return probe;
}

static void
test_metadata(void)
{
	FmProbe    *probe = open_probe("probe");
	const FmProbeAnswer *answer;
	struct pollfd fd = {fm_probe_fd(probe), POLLIN, 0};

	check(fm_probe_answer(probe) == NULL, "no answer before a question");
	check(fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 5000),
		  "a question can be asked");
	check(!fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 5000),
		  "one at a time");
	check(poll(&fd, 1, 5000) == 1, "the descriptor tells of the answer");
	answer = fm_probe_answer(probe);
	check(answer != NULL && answer->code == FM_KAFKA_OK &&
		  answer->npartitions == PARTITIONS && answer->nbrokers == 3 &&
		  !answer->compacted && !answer->policy_known,
		  "partitions and brokers: %d and %d",
		  answer ? answer->npartitions : -9, answer ? answer->nbrokers : -9);
	check(poll(&fd, 1, 0) == 0, "once");
	fm_probe_close(probe);

	probe = open_probe("nowhere");
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 5000);
	answer = probe_wait(probe, 6000);
	check(answer->code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
		  answer->npartitions == -1, "a missing topic: %s", answer->text);
	fm_probe_close(probe);
	check(open_probe("") == NULL, "an empty name is refused: %s", error);
}

static void
test_watermarks(void)
{
	FmProbeItem items[4] = {{.partition = 0}, {.partition = 2},
	{.partition = 17}, {.partition = 1}};
	FmProbe    *probe = open_probe("probe");
	const FmProbeAnswer *answer;

	fm_probe_ask(probe, FM_PROBE_WATERMARKS, items, 4, 8000);
	answer = probe_wait(probe, 10000);
	check(answer->code == FM_KAFKA_OK && answer->nitems == 4 &&
		  answer->items[0].low == 0 && answer->items[0].high == 100 &&
		  answer->items[1].high == 102 && answer->items[3].high == 101,
		  "low and high: %lld, %lld", (long long) answer->items[0].low,
		  (long long) answer->items[0].high);
	check(answer->items[2].code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
		  answer->items[2].high == -1,
		  "a partition that is not there spoils nothing");
	fm_probe_close(probe);
}

static void
test_read(void)
{
	FmProbeItem items[7] = {{.partition = 0, .offset = 42},
	{.partition = 0, .offset = 99}, {.partition = 0, .offset = 100},
	{.partition = 1, .offset = 0}, {.partition = 1, .offset = 5000},
	{.partition = 0, .offset = 42}, {.partition = 17, .offset = 0}};
	FmProbe    *probe = open_probe("probe");
	const FmProbeAnswer *answer;
	const FmProbeItem *got;
	Member		member;
	int64_t		begin = now_ms();

	fm_probe_ask(probe, FM_PROBE_READ, items, 7, 8000);
	answer = probe_wait(probe, 10000);
	note("answered after %lld ms", (long long) (now_ms() - begin));
	got = answer->items;
	check(answer->code == FM_KAFKA_OK && got[0].found_offset == 42 &&
		  got[0].code == FM_KAFKA_OK && got[0].low == 0 &&
		  got[0].high == 100 && got[0].timestamp > 0,
		  "the message at an offset is found");
	check(got[1].found_offset == 99, "the last one, too");
	check(got[2].found_offset == -1 && got[2].code == FM_KAFKA_OK &&
		  got[4].found_offset == -1, "behind the end there is none");
	check(got[3].found_offset == 0, "the first one of another partition");
	check(got[5].found_offset == 42 && got[5].digest == got[0].digest &&
		  got[1].digest != got[0].digest,
		  "a partition can be asked twice in a question");
	check(got[6].code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
		  "and one that is not there spoils nothing");

	member_open(&member, make_config(&cluster, "probe", "reader"));
	await_assign(&member, 20000);
	assign_one(&member, 0, 42);
	await(&member, FM_EVENT_MESSAGE, 3000);
	check(fm_message_digest(&member.event.message) == got[0].digest &&
		  member.event.message.timestamp == got[0].timestamp,
		  "a consumer computes the same digest and timestamp");
	fm_message_release(&member.event.message);
	fm_consumer_close(member.consumer, 5000);
	check(fm_probe_close_wait(probe, 5000), "a probe can be waited for");
}

/* The mock keeps 5 MiB a partition and drops what is older. */
static void
test_read_below_low(void)
{
	static char big[100001];
	FmProbeItem item = {.partition = 0, .offset = 3};
	FmProbe    *probe;
	const FmProbeAnswer *answer;

	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 100; i++)
	{
		produce(&cluster, "short", 0, NULL, big);
		produce_flush(&cluster);
	}
	probe = open_probe("short");
	fm_probe_ask(probe, FM_PROBE_READ, &item, 1, 8000);
	answer = probe_wait(probe, 10000);
	check(answer->items[0].low > 3 &&
		  answer->items[0].found_offset == answer->items[0].low,
		  "below the low watermark the first message is found: %lld",
		  (long long) answer->items[0].found_offset);
	fm_probe_close(probe);
}

static void
test_time_limits(void)
{
	FmProbeItem items[3] = {{.partition = 0}, {.partition = 1},
	{.partition = 2}};
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	FmProbe    *probe;
	const FmProbeAnswer *answer;
	int64_t		begin = now_ms();

	probe = fm_probe_open(make_config(&nowhere, "probe", NULL), error,
						  sizeof(error));
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 10000);
	answer = probe_wait(probe, 12000);
	check(answer->code != FM_KAFKA_OK && strstr(answer->text, "refused") &&
		  now_ms() - begin < 6000, "nobody there, after %lld ms: %s",
		  (long long) (now_ms() - begin), answer->text);
	begin = now_ms();
	fm_probe_ask(probe, FM_PROBE_WATERMARKS, items, 3, 1500);
	answer = probe_wait(probe, 12000);
	check(answer->code != FM_KAFKA_OK && now_ms() - begin < 3000,
		  "another question to nobody, after %lld ms: code %d, %s",
		  (long long) (now_ms() - begin), answer->code, answer->text);
	check(fm_probe_close_wait(probe, 3000), "closed");
}

/* Somebody who accepts connections and never says a word. */
static void
test_silence(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	len = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	Cluster		silent = {"", NULL, NULL};
	FmProbe    *probe;
	const FmProbeAnswer *answer;
	int64_t		begin;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *) &address, len) != 0 ||
		listen(listener, 16) != 0)
		return;
	getsockname(listener, (struct sockaddr *) &address, &len);
	snprintf(silent.bootstrap, sizeof(silent.bootstrap), "127.0.0.1:%d",
			 ntohs(address.sin_port));
	probe = fm_probe_open(make_config(&silent, "probe", NULL), error,
						  sizeof(error));
	begin = now_ms();
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 2000);
	answer = probe_wait(probe, 10000);
	check(answer != NULL && answer->code != FM_KAFKA_OK &&
		  now_ms() - begin < 4000,
		  "somebody silent, after %lld ms: code %d, %s",
		  (long long) (now_ms() - begin), answer->code, answer->text);

	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 20000);
	sleep_ms(200);
	begin = now_ms();
	fm_probe_close(probe);
	check(now_ms() - begin < 50, "an open question is abandoned at once");
	check(fm_kafka_wait_threads(25000), "its thread ends by itself");
	note("after %lld ms", (long long) (now_ms() - begin));
	close(listener);
}

static void
test_stuck_library(void)
{
	FmProbe    *probe = open_probe("probe");
	const FmProbeAnswer *answer;
	int64_t		begin = now_ms();

	stuck_ms = 8000;
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 500);
	answer = probe_wait(probe, 6000);
	check(answer != NULL && answer->code == FM_KAFKA_TIMED_OUT &&
		  now_ms() - begin < 4000,
		  "a library that does not return is given up: %s",
		  answer ? answer->text : "");
	check(answer == fm_probe_answer(probe), "the answer stays");
	stuck_ms = 0;
	check(fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 5000),
		  "another question can be asked");
	answer = probe_wait(probe, 6000);
	check(answer != NULL && answer->npartitions == PARTITIONS,
		  "and is answered");
	fm_probe_close(probe);
	check(fm_kafka_wait_threads(15000), "nothing is left behind");
}

static void
print_lines(const FmCheckLine *lines, int n)
{
	for (int i = 0; i < n; i++)
		note("%s | %s | %s", lines[i].item, lines[i].ok ? "yes" : "no",
			 lines[i].detail);
}

static void
test_describe(void)
{
	FmCheckLine lines[32];
	FmProbe    *probe = open_probe(NULL);
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	int			n;

	check(fm_probe_describe(probe, lines, 32) == 1 && !lines[0].ok,
		  "nothing asked, nothing to say");
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 10000);
	check(probe_wait(probe, 12000)->code == FM_KAFKA_OK, "all topics");
	n = fm_probe_describe(probe, lines, 32);
	print_lines(lines, n);
	check(n >= 7 && lines[0].ok && lines[1].ok && lines[4].ok &&
		  strstr(lines[0].detail, "3 of 3"), "a healthy cluster");
	check(fm_probe_describe(probe, NULL, 0) == n, "lines can be counted");
	fm_probe_close(probe);

	rd_kafka_mock_broker_set_down(cluster.mock, 2);
	probe = open_probe(NULL);
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 10000);
	probe_wait(probe, 12000);
	n = fm_probe_describe(probe, lines, 32);
	print_lines(lines, n);
	check(!lines[0].ok && lines[1].ok && !lines[2].ok &&
		  strstr(lines[2].detail, "refused"), "one broker is down");
	fm_probe_close(probe);
	rd_kafka_mock_broker_set_up(cluster.mock, 2);

	probe = fm_probe_open(make_config(&nowhere, NULL, NULL), error,
						  sizeof(error));
	fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, 10000);
	probe_wait(probe, 12000);
	n = fm_probe_describe(probe, lines, 32);
	print_lines(lines, n);
	check(n == 2 && !lines[0].ok && !lines[1].ok, "nobody at all");
	fm_probe_close(probe);
}

/* One leader is gone: the other partitions are answered all the same. */
static void
test_missing_leader(void)
{
	FmProbeItem items[3] = {{.partition = 0}, {.partition = 1},
	{.partition = 2}};
	FmProbe    *probe = open_probe("probe");
	const FmProbeAnswer *answer;

	for (int i = 0; i < PARTITIONS; i++)
		rd_kafka_mock_partition_set_leader(cluster.mock, "probe", i, i + 1);
	rd_kafka_mock_broker_set_down(cluster.mock, 2);
	fm_probe_ask(probe, FM_PROBE_WATERMARKS, items, 3, 8000);
	answer = probe_wait(probe, 12000);
	check(answer != NULL && answer->code == FM_KAFKA_OK &&
		  answer->items[0].high == 100 && answer->items[2].high == 102 &&
		  answer->items[1].code != FM_KAFKA_OK,
		  "a partition without its leader spoils nothing: %d",
		  answer ? (int) answer->items[1].code : -1);
	rd_kafka_mock_broker_set_up(cluster.mock, 2);
	/* the client comes back to it in its own time */
	for (int i = 0; i < 5; i++)
	{
		fm_probe_ask(probe, FM_PROBE_READ, items, 3, 8000);
		answer = probe_wait(probe, 12000);
		if (answer != NULL && answer->items[1].found_offset == 0)
			break;
	}
	check(answer != NULL && answer->items[1].found_offset == 0,
		  "and is answered when it is back");
	fm_probe_close(probe);
}

int
main(void)
{
	cluster_start(&cluster, 3);
	create_topic(&cluster, "probe", PARTITIONS);
	create_topic(&cluster, "short", 1);
	rd_kafka_mock_topic_set_error(cluster.mock, "nowhere",
								  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	for (int i = 0; i < PARTITIONS; i++)
		produce_numbers(&cluster, "probe", i, 0, 100 + i);
	test_metadata();
	test_watermarks();
	test_read();
	test_read_below_low();
	test_time_limits();
	test_silence();
	test_stuck_library();
	test_describe();
	test_missing_leader();
	check(fm_kafka_wait_threads(10000), "no thread is left behind");
	cluster_stop(&cluster);
	return finish();
}
