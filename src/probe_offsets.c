/*-------------------------------------------------------------------------
 *
 * probe_offsets.c
 *	  WATERMARKS and OFFSETS_FOR_TIME, by requests for offsets by time.
 *
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
#include "probe_internal.h"

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
		fm_probe_collect_errors(core);
	else
		fm_probe_forget_errors(core);
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
	rd_kafka_resp_err_t err = fm_probe_fetch_metadata(core, &metadata);

	if (err)
	{
		fm_probe_answer_error(core, err);
		return false;
	}
	topic = &metadata->topics[0];
	err = metadata->topic_cnt == 1 ? topic->err :
		RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (err)
		fm_probe_answer_error(core, err);
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
bool
fm_probe_ask_watermarks(FmProbeCore *core, FmProbeItem *items, int nitems)
{
	rd_kafka_topic_partition_list_t *list;
	bool		again;

	if (!sort_out(core, items, nitems))
		return false;
	list = list_partitions(core, items, nitems, FM_KAFKA_OK);
	if (list->cnt > 0)
		query_watermarks(core, list, items, nitems,
						 fm_probe_time_slice(core, FM_PROBE_OPTIONAL_MS));
	rd_kafka_topic_partition_list_destroy(list);

	do
	{
		again = false;
		for (int i = 0; i < nitems && !fm_probe_stopped(core); i++)
		{
			if (!fm_probe_worth_retrying(items[i].code))
				continue;
			list = list_partitions(core, &items[i], 1, items[i].code);
			query_watermarks(core, list, items, nitems,
							 fm_probe_time_slice(core, 1000));
			rd_kafka_topic_partition_list_destroy(list);
			again = again || fm_probe_worth_retrying(items[i].code);
		}
	} while (again && !fm_probe_stopped(core) &&
			 core->last_code != FM_KAFKA_AUTHENTICATION);
	return true;
}

void
fm_probe_answer_watermarks(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	if (fm_probe_ask_watermarks(core, answer->items, answer->nitems))
		fm_probe_judge_items(core);
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
		err = query_offsets(core, list, time,
							fm_probe_time_slice(core, FM_PROBE_OPTIONAL_MS));
		if (!err)
			err = list->elems[0].err;
		item->offset = list->elems[0].offset >= 0 ? list->elems[0].offset :
			item->high;
		rd_kafka_topic_partition_list_destroy(list);
		if (!err)
			return;
		if (!fm_probe_worth_retrying(fm_client_code(err)))
			item->code = fm_client_code(err);
	}
	item->offset = -1;
	if (item->code == FM_KAFKA_OK)
		item->code = FM_KAFKA_TIMED_OUT;
}

void
fm_probe_answer_times(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	if (!fm_probe_ask_watermarks(core, answer->items, answer->nitems))
		return;
	for (int i = 0; i < answer->nitems; i++)
		ask_time(core, &answer->items[i]);
	fm_probe_judge_items(core);
}
