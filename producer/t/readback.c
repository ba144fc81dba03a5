/*
 * readback.c - what a topic holds, for the tests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * readback SERVERS TOPIC [-p]: reads every partition from its low to its high
 * watermark as they are now, without a group, and prints for each record
 *
 *	partition offset header key payload-digest canonical-digest
 *
 * header is the value of "factorymon-type", key is in hexadecimal, and all
 * four are "-" where there is none (canonical-digest also where the payload
 * is not JSON with a canonical form).  With -p two more: the record's timestamp
 * and the payload in hexadecimal.  Fails when a partition cannot be read
 * to its end within the time allowed, so that a test never compares half.
 */
#include "canon.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 20000

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "readback: %s: %s\n", what, why);
	exit(1);
}

static void
check(rd_kafka_resp_err_t err, const char *what)
{
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail(what, rd_kafka_err2str(err));
}

static rd_kafka_t *
make_consumer(const char *servers)
{
	const char *settings[][2] = {
		{"bootstrap.servers", servers},
		{"group.id", "readback"},
		{"enable.auto.commit", "false"},
		{"auto.offset.reset", "error"},
		{"fetch.wait.max.ms", "10"},
		{"enable.partition.eof", "true"},	/* also behind control records */
		{"isolation.level", "read_uncommitted"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char		why[512];

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why,
							  sizeof(why)) != RD_KAFKA_CONF_OK)
			fail(settings[i][0], why);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (rk == NULL)
		fail("client", why);
	return rk;
}

static int
count_partitions(rd_kafka_t *rk, const char *topic)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	const struct rd_kafka_metadata *metadata;
	int			n;

	if (rkt == NULL)
		fail(topic, rd_kafka_err2str(rd_kafka_last_error()));
	check(rd_kafka_metadata(rk, 0, rkt, &metadata, TIMEOUT_MS), topic);
	n = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(rkt);
	if (n == 0)
		fail(topic, "no partitions");
	return n;
}

static bool with_payload = false;

static void
print_message(const rd_kafka_message_t *msg)
{
	static FmBuf line;
	static FmBuf canon;
	rd_kafka_headers_t *headers;
	const void *header = NULL;
	size_t		len = 0;
	const unsigned char *key = msg->key;

	fm_buf_reset(&line);
	fm_buf_reset(&canon);
	fm_buf_printf(&line, "%d %lld ", (int) msg->partition,
				  (long long) msg->offset);
	if (rd_kafka_message_headers(msg, &headers) ==
		RD_KAFKA_RESP_ERR_NO_ERROR &&
		rd_kafka_header_get_last(headers, "factorymon-type", &header, &len) !=
		RD_KAFKA_RESP_ERR_NO_ERROR)
		header = NULL;
	fm_buf_put(&line, header ? header : "-", header ? len : 1);
	fm_buf_putc(&line, ' ');
	for (size_t i = 0; key && i < msg->key_len; i++)
		fm_buf_printf(&line, "%02x", key[i]);
	fm_buf_puts(&line, key ? " " : "- ");
	if (msg->payload == NULL)
		fm_buf_putc(&line, '-');
	else
		fm_digest_put(&line, msg->payload, msg->len);
	fm_buf_putc(&line, ' ');
	if (msg->payload && fm_canon(msg->payload, msg->len, &canon) == NULL)
		fm_digest_put(&line, canon.data, canon.len);
	else
		fm_buf_putc(&line, '-');
	if (with_payload)
	{
		const unsigned char *bytes = msg->payload;

		fm_buf_printf(&line, " %lld ",
					  (long long) rd_kafka_message_timestamp(msg, NULL));
		for (size_t i = 0; bytes && i < msg->len; i++)
			fm_buf_printf(&line, "%02x", bytes[i]);
	}
	fm_buf_putc(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
}

/* Print all up to the watermark of the moment. */
static void
read_partition(rd_kafka_t *rk, const char *topic, int partition)
{
	rd_kafka_topic_partition_list_t *list;
	int64_t		next;
	int64_t		end;

	check(rd_kafka_query_watermark_offsets(rk, topic, partition, &next, &end,
										   TIMEOUT_MS), "watermarks");
	if (next >= end)
		return;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = next;
	check(rd_kafka_assign(rk, list), "assign");
	rd_kafka_topic_partition_list_destroy(list);
	while (next < end)
	{
		rd_kafka_message_t *msg = rd_kafka_consumer_poll(rk, TIMEOUT_MS);

		if (msg == NULL)
			fail(topic, "timed out");
		if (msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		{
			if (msg->partition == partition)
				next = msg->offset;
		}
		else if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			fprintf(stderr, "readback: %s\n", rd_kafka_message_errstr(msg));
		else if (msg->partition == partition)
		{
			next = msg->offset + 1;
			print_message(msg);
		}
		rd_kafka_message_destroy(msg);
	}
}

int
main(int argc, char **argv)
{
	rd_kafka_t *rk;
	int			n;

	with_payload = argc == 4 && strcmp(argv[3], "-p") == 0;
	if (argc != 3 && !with_payload)
		fail("usage", "readback SERVERS TOPIC [-p]");
	rk = make_consumer(argv[1]);
	n = count_partitions(rk, argv[2]);
	for (int i = 0; i < n; i++)
		read_partition(rk, argv[2], i);
	check(rd_kafka_assign(rk, NULL), "unassign");
	rd_kafka_destroy(rk);
	return fflush(stdout) == 0 ? 0 : 1;
}
