/*-------------------------------------------------------------------------
 *
 * probe_ask.c
 *	  How each kind of question to the brokers is answered.
 *
 * Everything here runs in a probe's own thread, which may block; it looks
 * between two calls of the library whether anybody still wants the answer.
 * Requests that cover all partitions are tried first: one leader that does
 * not answer fails the whole of them, and only then each partition is asked
 * on its own, so that the others still get their answers.
 *
 * "Low" and "high" are what a reader of committed messages can reach: high
 * is the last stable offset, which lies before the first open transaction.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe_internal.h"

/* How long cleanup.policy of a topic is believed, in ms. */
#define POLICY_AGE_MS	300000

/* Longest wait for what an answer can do without, in ms. */
#define OPTIONAL_MS		3000

/* No broker has answered for so long, and all are down: do not go on. */
#define ALL_DOWN_MS		2000

/* What is left of the time, at most that much, at least one. */
static int
time_slice(FmProbeCore *core, int most)
{
	int			left = fm_client_remaining(core->deadline);

	if (left > most)
		left = most;
	return left < 1 ? 1 : left;
}

/* ----------------------------------------------------------------------
 * Errors that come beside the answers
 * ------------------------------------------------------------------- */

/* Keep the text of a connection's error with the broker it names. */
static void
blame_broker(FmProbeCore *core, const char *text)
{
	for (int i = 0; i < core->nbrokers; i++)
	{
		FmProbeBroker *broker = &core->brokers[i];
		char		prefix[300];
		int			len;

		len = snprintf(prefix, sizeof(prefix), "%s/%d: ", broker->address,
					   (int) broker->id);
		if (strncmp(text, prefix, len) == 0)
			fm_client_format(broker->error, sizeof(broker->error), "%s",
							 text + len);
	}
}

/*
 * Take what has been reported since the last look.  The most telling error
 * is kept: a refused login before a broken connection, either before the
 * mere fact that no broker is left.
 */
static void
collect_errors(FmProbeCore *core)
{
	rd_kafka_event_t *rkev;

	while ((rkev = rd_kafka_queue_poll(core->main_queue, 0)) != NULL)
	{
		if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_ERROR)
		{
			FmKafkaCode code = fm_client_code(rd_kafka_event_error(rkev));
			const char *text = rd_kafka_event_error_string(rkev);

			blame_broker(core, text);
			if (code == FM_KAFKA_ALL_BROKERS_DOWN)
				core->all_down = true;
			else if (core->last_code != FM_KAFKA_AUTHENTICATION ||
					 code == FM_KAFKA_AUTHENTICATION)
			{
				core->last_code = code;
				fm_client_format(core->last_error, sizeof(core->last_error),
								 "%s", text);
			}
		}
		rd_kafka_event_destroy(rkev);
	}
}

/*
 * Brokers answer: what went wrong before does not matter any more.  Only
 * then, because the library neither repeats that all are down nor, for half a
 * minute, why.
 */
static void
forget_errors(FmProbeCore *core)
{
	collect_errors(core);
	core->last_code = FM_KAFKA_OK;
	core->last_error[0] = '\0';
	core->all_down = false;
}

/* An error that another try may not meet. */
static bool
worth_retrying(FmKafkaCode code)
{
	return code == FM_KAFKA_TIMED_OUT || code == FM_KAFKA_TRANSPORT ||
		code == FM_KAFKA_ALL_BROKERS_DOWN || code == FM_KAFKA_OTHER;
}

/* The answer is an error: the library's code, and the best text there is. */
static void
answer_error(FmProbeCore *core, rd_kafka_resp_err_t err)
{
	FmProbeAnswer *answer = &core->answer;

	collect_errors(core);
	answer->code = fm_client_code(err);
	if (core->last_code == FM_KAFKA_AUTHENTICATION)
		answer->code = FM_KAFKA_AUTHENTICATION;
	fm_client_format(answer->text, sizeof(answer->text), "%s",
					 core->last_error[0] != '\0' ? core->last_error :
					 worth_retrying(answer->code) ?
					 "no broker has answered in time" : rd_kafka_err2str(err));
}

/* ----------------------------------------------------------------------
 * METADATA
 * ------------------------------------------------------------------- */

/*
 * One request after the other, each waiting longer than the one before, so
 * that a probe that is given up notices soon.
 */
static rd_kafka_resp_err_t
fetch_metadata(FmProbeCore *core, const struct rd_kafka_metadata **metadata)
{
	int64_t		begin = fm_client_now();
	rd_kafka_resp_err_t err;

	for (int wait = 500;; wait *= 2)
	{
		err = rd_kafka_metadata(core->rk, core->topic == NULL, core->topic,
								metadata, time_slice(core, wait));
		if (!err)
		{
			core->answering = (*metadata)->orig_broker_id;
			if (core->answering < 0 && (*metadata)->broker_cnt > 0)
				core->answering = (*metadata)->brokers[0].id;
			forget_errors(core);
			return err;
		}
		collect_errors(core);
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
	int			wait = time_slice(core, OPTIONAL_MS);
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
static void
learn_policy(FmProbeCore *core, bool anew)
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
	int			wait = time_slice(core, OPTIONAL_MS);
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
	collect_errors(core);
}

static void
answer_metadata(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	core->nbrokers = core->ntopics = 0;
	err = fetch_metadata(core, &metadata);
	if (err)
	{
		answer_error(core, err);
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
		learn_policy(core, true);
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

/* ----------------------------------------------------------------------
 * WATERMARKS and OFFSETS_FOR_TIME: one request for offsets by time
 * ------------------------------------------------------------------- */

/* What Kafka calls the earliest and the latest point in time. */
#define TIME_EARLIEST	((int64_t) RD_KAFKA_OFFSET_BEGINNING)
#define TIME_LATEST		((int64_t) RD_KAFKA_OFFSET_END)

/* The offset at one point in time, of every partition of the list. */
static rd_kafka_resp_err_t
query_offsets(FmProbeCore *core, rd_kafka_topic_partition_list_t *list,
			  int64_t time, int timeout_ms)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
	{
		list->elems[i].offset = time;
		list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	err = rd_kafka_offsets_for_times(core->rk, list, timeout_ms);
	if (err)
		collect_errors(core);
	else
		forget_errors(core);
	return err;
}

/* One partition's answer into the items that asked for it. */
static void
set_watermark(FmProbeItem *items, int nitems,
			  const rd_kafka_topic_partition_t *entry, bool high)
{
	for (int i = 0; i < nitems; i++)
	{
		if (items[i].partition != entry->partition)
			continue;
		items[i].code = fm_client_code(entry->err);
		if (entry->err)
			continue;
		if (high)
			items[i].high = entry->offset;
		else
			items[i].low = entry->offset;
	}
}

/* Both watermarks of the partitions in the list. */
static void
query_watermarks(FmProbeCore *core, rd_kafka_topic_partition_list_t *list,
				 FmProbeItem *items, int nitems, int timeout_ms)
{
	for (int round = 0; round < 2; round++)
	{
		rd_kafka_resp_err_t err;

		err = query_offsets(core, list, round == 0 ? TIME_EARLIEST :
							TIME_LATEST, timeout_ms);
		for (int i = 0; i < list->cnt; i++)
		{
			if (err && !list->elems[i].err)
				list->elems[i].err = err;
			set_watermark(items, nitems, &list->elems[i], round == 1);
		}
		if (err)
			return;
	}
}

/*
 * Which partitions there are and have a leader; the others are answered.
 * The library would look for them until the end of its time.  False: the
 * question has failed as a whole.
 */
static bool
sort_out(FmProbeCore *core, FmProbeItem *items, int nitems)
{
	const struct rd_kafka_metadata *metadata;
	const struct rd_kafka_metadata_topic *topic;
	rd_kafka_resp_err_t err = fetch_metadata(core, &metadata);

	if (err)
	{
		answer_error(core, err);
		return false;
	}
	topic = &metadata->topics[0];
	err = metadata->topic_cnt == 1 ? topic->err :
		RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (err)
		answer_error(core, err);
	for (int i = 0; i < nitems && !err; i++)
	{
		items[i].code = FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		for (int j = 0; j < topic->partition_cnt; j++)
		{
			if (topic->partitions[j].id == items[i].partition)
				items[i].code = topic->partitions[j].leader < 0 ?
					FM_KAFKA_TRANSPORT : FM_KAFKA_OK;
		}
	}
	rd_kafka_metadata_destroy(metadata);
	return !err;
}

/* Those of the partitions asked for that are answered so, once. */
static rd_kafka_topic_partition_list_t *
list_partitions(FmProbeCore *core, const FmProbeItem *items, int nitems,
				FmKafkaCode code)
{
	rd_kafka_topic_partition_list_t *list;

	list = rd_kafka_topic_partition_list_new(nitems);
	for (int i = 0; i < nitems; i++)
	{
		if (items[i].code == code &&
			rd_kafka_topic_partition_list_find(list, core->topic_name,
											   items[i].partition) == NULL)
			rd_kafka_topic_partition_list_add(list, core->topic_name,
											  items[i].partition);
	}
	return list;
}

/*
 * Low and high of every item: all at once, or else one by one, again and
 * again until the time is up.  False: the question has failed as a whole.
 */
static bool
ask_watermarks(FmProbeCore *core, FmProbeItem *items, int nitems)
{
	rd_kafka_topic_partition_list_t *list;
	bool		again;

	if (!sort_out(core, items, nitems))
		return false;
	list = list_partitions(core, items, nitems, FM_KAFKA_OK);
	if (list->cnt > 0)
		query_watermarks(core, list, items, nitems,
						 time_slice(core, OPTIONAL_MS));
	rd_kafka_topic_partition_list_destroy(list);

	do
	{
		again = false;
		for (int i = 0; i < nitems && !fm_probe_stopped(core); i++)
		{
			if (!worth_retrying(items[i].code))
				continue;
			list = list_partitions(core, &items[i], 1, items[i].code);
			query_watermarks(core, list, items, nitems,
							 time_slice(core, 1000));
			rd_kafka_topic_partition_list_destroy(list);
			again = again || worth_retrying(items[i].code);
		}
	} while (again && !fm_probe_stopped(core) &&
			 core->last_code != FM_KAFKA_AUTHENTICATION);
	return true;
}

/* If nothing at all is known, the question has failed as a whole. */
static void
judge_items(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	for (int i = 0; i < answer->nitems; i++)
	{
		if (!worth_retrying(answer->items[i].code) &&
			answer->items[i].code != FM_KAFKA_AUTHENTICATION)
			return;
	}
	if (answer->nitems == 0)
		return;
	answer_error(core, RD_KAFKA_RESP_ERR__TIMED_OUT);
	if (answer->code == FM_KAFKA_TIMED_OUT && core->all_down)
		answer->code = FM_KAFKA_ALL_BROKERS_DOWN;
}

/* First offset at or after a time; where nothing is later, the high one. */
static void
ask_time(FmProbeCore *core, FmProbeItem *item)
{
	int64_t		time = item->timestamp < 0 ? 0 : item->timestamp;

	while (item->code == FM_KAFKA_OK && !fm_probe_stopped(core))
	{
		rd_kafka_topic_partition_list_t *list;
		rd_kafka_resp_err_t err;

		list = list_partitions(core, item, 1, FM_KAFKA_OK);
		err = query_offsets(core, list, time, time_slice(core, OPTIONAL_MS));
		if (!err)
			err = list->elems[0].err;
		item->offset = list->elems[0].offset >= 0 ? list->elems[0].offset :
			item->high;
		rd_kafka_topic_partition_list_destroy(list);
		if (!err)
			return;
		if (!worth_retrying(fm_client_code(err)))
			item->code = fm_client_code(err);
	}
	item->offset = -1;
	if (item->code == FM_KAFKA_OK)
		item->code = FM_KAFKA_TIMED_OUT;
}

static void
answer_times(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	if (!ask_watermarks(core, answer->items, answer->nitems))
		return;
	for (int i = 0; i < answer->nitems; i++)
		ask_time(core, &answer->items[i]);
	judge_items(core);
}

/* ----------------------------------------------------------------------
 * READ
 * ------------------------------------------------------------------- */

/* What a round is still waiting for. */
typedef struct FmReadRound
{
	FmProbeItem *item;
	bool		open;
} FmReadRound;

/* This partition has been heard of: fetch no more of it. */
static void
finish_item(FmProbeCore *core, FmReadRound *round)
{
	rd_kafka_consume_stop(core->topic, round->item->partition);
	round->open = false;
}

/* A message, an end of partition or an error of one that is still open. */
static void
take_record(FmProbeCore *core, FmReadRound *round,
			const rd_kafka_message_t *record)
{
	FmProbeItem *item = round->item;
	rd_kafka_timestamp_type_t type;

	if (!record->err)
	{
		if (record->offset < item->offset)
			return;
		item->found_offset = record->offset;
		item->digest = fm_client_digest(record);
		item->timestamp = rd_kafka_message_timestamp(record, &type);
		if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
			item->timestamp = -1;
		if (item->high <= record->offset)
			item->high = record->offset + 1;	/* written since we asked */
		item->code = FM_KAFKA_OK;
	}
	else if (record->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		item->code = FM_KAFKA_OK;
	else
	{
		item->code = fm_client_code(record->err);
		if (worth_retrying(item->code))
			return;				/* the library tries again by itself */
	}
	finish_item(core, round);
}

/*
 * Start reading at one item's offset.  False: there is nothing to read, the
 * item is answered.
 */
static bool
start_item(FmProbeCore *core, FmProbeItem *item, rd_kafka_queue_t *queue)
{
	int64_t		from = item->offset < item->low ? item->low : item->offset;

	item->found_offset = -1;
	item->timestamp = -1;
	if (item->code != FM_KAFKA_OK || from >= item->high)
		return false;
	if (rd_kafka_consume_start_queue(core->topic, item->partition, from,
									 queue) != 0)
	{
		item->code = fm_client_code(rd_kafka_last_error());
		return false;
	}
	item->code = FM_KAFKA_TIMED_OUT;	/* until something is heard */
	return true;
}

/* Wait for the first word of each partition of a round. */
static void
read_round(FmProbeCore *core, FmReadRound *rounds, int nrounds,
		   rd_kafka_queue_t *queue)
{
	int			open = nrounds;

	while (open > 0 && !fm_probe_stopped(core))
	{
		rd_kafka_message_t *record = rd_kafka_consume_queue(queue, 50);

		if (record == NULL)
			continue;
		for (int i = 0; i < nrounds; i++)
		{
			if (!rounds[i].open ||
				rounds[i].item->partition != record->partition)
				continue;
			take_record(core, &rounds[i], record);
			if (!rounds[i].open)
				open--;
			break;
		}
		rd_kafka_message_destroy(record);
	}
	for (int i = 0; i < nrounds; i++)
	{
		if (rounds[i].open)
			finish_item(core, &rounds[i]);
	}
}

/*
 * A partition can be read at one place at a time, so items go in rounds that
 * have each partition once at most.
 */
static void
answer_read(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;
	FmReadRound *rounds = calloc(answer->nitems + 1, sizeof(*rounds));
	bool	   *done = calloc(answer->nitems + 1, sizeof(*done));
	int			left = answer->nitems;

	if (!ask_watermarks(core, answer->items, answer->nitems))
		left = 0;
	while (rounds != NULL && done != NULL && left > 0)
	{
		rd_kafka_queue_t *queue = rd_kafka_queue_new(core->rk);
		int			nrounds = 0;

		for (int i = 0; i < answer->nitems; i++)
		{
			bool		taken = done[i];

			for (int j = 0; j < nrounds && !taken; j++)
				taken = rounds[j].item->partition == answer->items[i].partition;
			if (taken)
				continue;
			done[i] = true;
			left--;
			if (!start_item(core, &answer->items[i], queue))
				continue;
			rounds[nrounds].item = &answer->items[i];
			rounds[nrounds++].open = true;
		}
		read_round(core, rounds, nrounds, queue);
		rd_kafka_queue_destroy(queue);
	}
	free(rounds);
	free(done);
	if (answer->code == FM_KAFKA_OK)
		judge_items(core);
	if (answer->code == FM_KAFKA_OK)
		learn_policy(core, false);
}

void
fm_probe_answer_question(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	collect_errors(core);
	if (core->kind != FM_PROBE_METADATA && core->topic == NULL)
	{
		answer->code = FM_KAFKA_OTHER;
		fm_client_format(answer->text, sizeof(answer->text),
						 "this question needs a topic");
		return;
	}
	switch (core->kind)
	{
		case FM_PROBE_METADATA:
			answer_metadata(core);
			break;
		case FM_PROBE_WATERMARKS:
			if (ask_watermarks(core, answer->items, answer->nitems))
				judge_items(core);
			break;
		case FM_PROBE_OFFSETS_FOR_TIME:
			answer_times(core);
			break;
		case FM_PROBE_READ:
			answer_read(core);
			break;
	}
}
