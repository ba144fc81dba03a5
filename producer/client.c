/*
 * client.c - a librdkafka producer, and what we know of its connection
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See client.h.  Configuration: our defaults, then the user's properties.
 * Idempotence is on, so the library retries without duplicates and in order;
 * with message.timeout.ms = 0 it never gives up on its own.
 */
#include "client.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t
fm_stats_sum(const uint64_t *by_kind)
{
	uint64_t	sum = 0;

	for (int kind = 0; kind < FM_KINDS; kind++)
		if (kind != FM_HEARTBEAT)
			sum += by_kind[kind];
	return sum;
}

const char *
fm_link_state(const FmLink *link)
{
	static const char *const names[] = {"connecting", "up", "down"};

	return names[link->state];
}

void
fm_link_complain(FmLink *link, rd_kafka_resp_err_t err, const char *what,
				 const char *detail)
{
	for (int i = 0; i < link->n_said; i++)
		if (link->said[i] == (int) err)
			return;
	if (link->n_said < FM_LINK_SAID)
		link->said[link->n_said++] = (int) err;
	fprintf(stderr, "factorymon-producer: %s: %s%s%s\n", what,
			rd_kafka_err2str(err), detail ? ": " : "", detail ? detail : "");
}

/* The broker confirmed something. */
static void
link_is_up(FmLink *link)
{
	if (link->state == FM_DOWN)
		fprintf(stderr, "factorymon-producer: brokers answer again\n");
	if (link->state != FM_UP)
		link->n_said = 0;
	else if (link->n_said > 0 &&
			 fm_clock_mono() - link->last_error > 10 * FM_SECOND)
		link->n_said = 0;
	link->state = FM_UP;
}

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	FmClient   *client = opaque;
	FmLink	   *link = client->link;

	(void) rk;
	link->errors++;
	link->last_error = fm_clock_mono();
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		link->state = FM_DOWN;
	if (err != RD_KAFKA_RESP_ERR__FATAL)
		fm_link_complain(link, (rd_kafka_resp_err_t) err, "Kafka", reason);
}

/* Runs in the library's threads. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility,
	   const char *message)
{
	const FmClient *client = rd_kafka_opaque(rk);

	if (client->opt->verbose)
		fprintf(stderr, "librdkafka %d %s: %s\n", level, facility, message);
}

/*
 * Is the offset of this report the record's?  The library numbers a batch
 * from the base offset in the answer, and where a batch had been appended
 * before (a duplicate of an answer that was lost) that base may be -1: the
 * reports then say -1, 0, 1...  So after a negative offset those that go on
 * from it one by one are not to be believed either.
 */
static bool
offset_known(FmOffsets *offsets, int32_t partition, int64_t offset)
{
	if (partition < 0)
		return false;
	if (partition >= offsets->n)
	{
		offsets->next = fm_xrealloc(offsets->next, sizeof(int64_t) *
									(size_t) (partition + 1));
		while (offsets->n <= partition)
			offsets->next[offsets->n++] = -1;
	}
	if (offset < 0)
	{
		offsets->next[partition] = offset == -1 ? 0 : -1;
		return false;
	}
	if (offset == offsets->next[partition])
	{
		offsets->next[partition]++;
		return false;
	}
	offsets->next[partition] = -1;
	return true;
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
	FmClient   *client = opaque;
	bool		persisted;

	(void) rk;
	persisted = msg->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
		rd_kafka_message_status(msg) == RD_KAFKA_MSG_STATUS_PERSISTED;
	if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		link_is_up(client->link);
	client->delivered(client, msg, persisted &&
					  offset_known(&client->offsets, msg->partition,
								   msg->offset) ? msg->offset : -1);
}

static void
put_defaults(const FmOptions *opt, const char *transactional_id,
			 FmProperties *props)
{
	static const char *const fixed[][2] = {
		{"enable.idempotence", "true"},
		{"acks", "all"},
		{"message.timeout.ms", "0"},
		{"partitioner", "murmur2_random"},	/* as the Java clients */
		{"queue.buffering.max.messages", "200000"},
		{"queue.buffering.max.kbytes", "262144"},
		{"topic.metadata.refresh.interval.ms", "10000"},
		{"reconnect.backoff.max.ms", "2000"},
		{"socket.nagle.disable", "true"},
		{"socket.keepalive.enable", "true"},
	};
	char		number[32];

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		fm_properties_add(props, fixed[i][0], fixed[i][1], "default");
	fm_properties_add(props, "bootstrap.servers", opt->brokers, "brokers");
	fm_properties_add(props, "client.id", opt->producer_id, "producer id");
	snprintf(number, sizeof(number), "%g", opt->linger);
	fm_properties_add(props, "linger.ms", number, "--linger");
	if (opt->compression)
		fm_properties_add(props, "compression.type", opt->compression,
						  "--compression");
	if (transactional_id)
		fm_properties_add(props, "transactional.id", transactional_id,
						  "transactional id");
}

bool
fm_client_open(FmClient *client, const char *transactional_id, char *why,
			   size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	FmProperties defaults = {NULL, 0};
	bool		ok;

	put_defaults(client->opt, transactional_id, &defaults);
	ok = fm_properties_apply(&defaults, conf, why, size) &&
		fm_properties_apply(&client->opt->properties, conf, why, size);
	fm_properties_free(&defaults);
	if (!ok)
	{
		rd_kafka_conf_destroy(conf);
		return false;
	}
	rd_kafka_conf_set_opaque(conf, client);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	client->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, size);
	if (client->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return false;
	}
	/* the client owns conf now */
	client->topic = rd_kafka_topic_new(client->rk, client->opt->topic, NULL);
	if (client->topic == NULL)
	{
		snprintf(why, size, "topic \"%s\": %s", client->opt->topic,
				 rd_kafka_err2str(rd_kafka_last_error()));
		fm_client_close(client);
		return false;
	}
	return true;
}

void
fm_client_close(FmClient *client)
{
	if (client->topic)
		rd_kafka_topic_destroy(client->topic);
	if (client->rk)
		rd_kafka_destroy(client->rk);
	client->topic = NULL;
	client->rk = NULL;
	free(client->offsets.next);
	client->offsets.next = NULL;
	client->offsets.n = 0;
}

rd_kafka_resp_err_t
fm_client_send(FmClient *client, const FmRecord *record, void *opaque)
{
	if (record->kind == FM_HEARTBEAT)
		return rd_kafka_producev(client->rk, RD_KAFKA_V_RKT(client->topic),
								 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								 RD_KAFKA_V_KEY(record->key, record->keylen),
								 RD_KAFKA_V_VALUE((void *) record->value,
												  record->len),
								 RD_KAFKA_V_HEADER("factorymon-type",
												   "heartbeat", -1),
								 RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
	return rd_kafka_producev(client->rk, RD_KAFKA_V_RKT(client->topic),
							 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							 RD_KAFKA_V_KEY(record->key, record->keylen),
							 RD_KAFKA_V_VALUE((void *) record->value,
											  record->len),
							 RD_KAFKA_V_TIMESTAMP(record->timestamp),
							 RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
}

rd_kafka_resp_err_t
fm_client_fatal(const FmClient *client)
{
	return client->rk ? rd_kafka_fatal_error(client->rk, NULL, 0)
		: RD_KAFKA_RESP_ERR_NO_ERROR;
}

int
fm_client_queue(const FmClient *client)
{
	return client->rk ? rd_kafka_outq_len(client->rk) : 0;
}
