/*-------------------------------------------------------------------------
 *
 * probe_metadata.c
 *	  METADATA: which brokers, topics and partitions there are, and whether a
 *	  topic is compacted.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe_internal.h"

/* How long cleanup.policy of a topic is believed, in ms. */
#define POLICY_AGE_MS	300000

/* No broker has answered for so long, and all are down: do not go on. */
#define ALL_DOWN_MS		2000

/*
 * One request after the other, each waiting longer than the one before, so
 * that a probe that is given up notices soon.
 */
rd_kafka_resp_err_t
fm_probe_fetch_metadata(FmProbeCore *core,
						const struct rd_kafka_metadata **metadata)
{
	int64_t		begin = fm_client_now();
	rd_kafka_resp_err_t err;

	for (int wait = 500;; wait *= 2)
	{
		err = rd_kafka_metadata(core->rk, core->topic == NULL, core->topic,
								metadata, fm_probe_time_slice(core, wait));
		if (!err)
		{
			core->answering = (*metadata)->orig_broker_id;
			if (core->answering < 0 && (*metadata)->broker_cnt > 0)
				core->answering = (*metadata)->brokers[0].id;
			fm_probe_forget_errors(core);
			return err;
		}
		fm_probe_collect_errors(core);
		if (core->last_code == FM_KAFKA_AUTHENTICATION ||
			(core->all_down && fm_client_now() - begin > ALL_DOWN_MS) ||
			fm_probe_stopped(core))
			return err;
	}
}

static void
keep_brokers(FmProbeCore *core, const struct rd_kafka_metadata *metadata)
{
	free(core->brokers);
	core->nbrokers = 0;
	core->brokers = calloc(metadata->broker_cnt + 1, sizeof(FmProbeBroker));
	if (core->brokers == NULL)
		return;
	core->nbrokers = metadata->broker_cnt;
	for (int i = 0; i < core->nbrokers; i++)
	{
		const struct rd_kafka_metadata_broker *from = &metadata->brokers[i];
		FmProbeBroker *to = &core->brokers[i];

		to->id = from->id;
		snprintf(to->address, sizeof(to->address), "%.255s:%d", from->host,
				 from->port);
		snprintf(to->error, sizeof(to->error), "no answer in time");
	}
}

static void
keep_topic(FmProbeTopic *to, const struct rd_kafka_metadata_topic *from)
{
	snprintf(to->name, sizeof(to->name), "%s", from->topic);
	if (from->err)
		snprintf(to->error, sizeof(to->error), "%s",
				 rd_kafka_err2str(from->err));
	to->npartitions = from->partition_cnt;
	for (int i = 0; i < from->partition_cnt; i++)
	{
		if (i == 0 || from->partitions[i].replica_cnt < to->replication)
			to->replication = from->partitions[i].replica_cnt;
		if (from->partitions[i].leader < 0)
			to->leaderless++;
	}
}

static int
compare_topics(const void *a, const void *b)
{
	return strcmp(((const FmProbeTopic *) a)->name,
				  ((const FmProbeTopic *) b)->name);
}

/* All but Kafka's own ("__consumer_offsets" and the like). */
static void
keep_topics(FmProbeCore *core, const struct rd_kafka_metadata *metadata)
{
	free(core->topics);
	core->ntopics = 0;
	core->topics = calloc(metadata->topic_cnt + 1, sizeof(FmProbeTopic));
	for (int i = 0; core->topics != NULL && i < metadata->topic_cnt; i++)
	{
		if (strncmp(metadata->topics[i].topic, "__", 2) != 0)
			keep_topic(&core->topics[core->ntopics++], &metadata->topics[i]);
	}
	if (core->topics != NULL)
		qsort(core->topics, core->ntopics, sizeof(FmProbeTopic),
			  compare_topics);
}

/*
 * Start one DescribeConfigs request; the result comes to the queue.  Without
 * a broker to ask, the library would go to the controller and wait for it.
 */
static void
describe_configs(FmProbeCore *core, rd_kafka_ResourceType_t type,
				 const char *name, int32_t broker, void *opaque,
				 int timeout_ms, rd_kafka_queue_t *queue)
{
	rd_kafka_ConfigResource_t *resource;
	rd_kafka_AdminOptions_t *options;

	resource = rd_kafka_ConfigResource_new(type, name);
	options = rd_kafka_AdminOptions_new(core->rk,
										RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
	rd_kafka_AdminOptions_set_opaque(options, opaque);
	if (broker >= 0)
		rd_kafka_AdminOptions_set_broker(options, broker, NULL, 0);
	rd_kafka_DescribeConfigs(core->rk, &resource, 1, options, queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(resource);
}

/* Does a topic's configuration say that it is compacted? */
static bool
result_compacted(const rd_kafka_DescribeConfigs_result_t *result, bool *known)
{
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t		count = 0;
	size_t		nentries = 0;

	*known = false;
	resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
	if (count < 1 || rd_kafka_ConfigResource_error(resources[0]))
		return false;
	entries = rd_kafka_ConfigResource_configs(resources[0], &nentries);
	for (size_t i = 0; i < nentries; i++)
	{
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]),
				   "cleanup.policy") != 0 || value == NULL)
			continue;
		*known = true;
		return strstr(value, "compact") != NULL;
	}
	return false;
}

/* True if a result of a request to one broker proves that it answered. */
static bool
broker_answered(rd_kafka_event_t *rkev)
{
	switch (rd_kafka_event_error(rkev))
	{
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__DESTROY:
			return false;
		default:
			return true;		/* if only to say that we may not ask */
	}
}

/* Ask for the topic's configuration; true if the question was answered. */
static bool
ask_policy(FmProbeCore *core)
{
	int			wait = fm_probe_time_slice(core, FM_PROBE_OPTIONAL_MS);
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *rkev;
	bool		answered = false;

	queue = rd_kafka_queue_new(core->rk);
	describe_configs(core, RD_KAFKA_RESOURCE_TOPIC, core->topic_name,
					 core->answering, NULL, wait, queue);
	rkev = rd_kafka_queue_poll(queue, wait);
	if (rkev != NULL)
	{
		answered = broker_answered(rkev);
		if (!rd_kafka_event_error(rkev))
			core->compacted = result_compacted(
				rd_kafka_event_DescribeConfigs_result(rkev),
				&core->policy_known);
		rd_kafka_event_destroy(rkev);
	}
	rd_kafka_queue_destroy(queue);
	return answered;
}

/*
 * Learn cleanup.policy.  What a user without the right to see it may not
 * know, we do not know: that is no error.
 */
void
fm_probe_learn_policy(FmProbeCore *core, bool anew)
{
	if (anew || core->policy_at == 0 ||
		fm_client_now() - core->policy_at > POLICY_AGE_MS)
	{
		core->policy_at = ask_policy(core) ? fm_client_now() : 0;
	}
	core->answer.compacted = core->policy_known && core->compacted;
	core->answer.policy_known = core->policy_known;
}

/*
 * Call on every broker at the address that it advertises, which is where
 * consumers will look for it and what is wrong more often than anything.
 */
static void
call_on_brokers(FmProbeCore *core)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(core->rk);
	int			wait = fm_probe_time_slice(core, FM_PROBE_OPTIONAL_MS);
	int64_t		until = fm_client_now() + wait + 500;
	int			open = core->nbrokers;
	char		id[16];

	for (int i = 0; i < core->nbrokers; i++)
	{
		snprintf(id, sizeof(id), "%d", (int) core->brokers[i].id);
		describe_configs(core, RD_KAFKA_RESOURCE_BROKER, id, -1,
						 &core->brokers[i], wait, queue);
	}
	while (open > 0 && fm_client_now() < until && !fm_probe_stopped(core))
	{
		rd_kafka_event_t *rkev = rd_kafka_queue_poll(queue, 100);
		FmProbeBroker *broker;

		if (rkev == NULL)
			continue;
		broker = rd_kafka_event_opaque(rkev);
		broker->reached = broker_answered(rkev);
		open--;
		rd_kafka_event_destroy(rkev);
	}
	rd_kafka_queue_destroy(queue);
	fm_probe_collect_errors(core);
}

void
fm_probe_answer_metadata(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	core->nbrokers = core->ntopics = 0;
	err = fm_probe_fetch_metadata(core, &metadata);
	if (err)
	{
		fm_probe_answer_error(core, err);
		return;
	}
	keep_brokers(core, metadata);
	keep_topics(core, metadata);
	answer->nbrokers = core->nbrokers;
	if (core->topic_name == NULL)
		call_on_brokers(core);
	else if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
	{
		answer->npartitions = metadata->topics[0].partition_cnt;
		fm_probe_learn_policy(core, true);
	}
	else
	{
		err = metadata->topic_cnt == 1 ? metadata->topics[0].err :
			RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
		answer->code = fm_client_code(err);
		fm_client_format(answer->text, sizeof(answer->text),
						 "topic \"%s\": %s", core->topic_name,
						 rd_kafka_err2str(err));
	}
	rd_kafka_metadata_destroy(metadata);
}
