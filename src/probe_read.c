/*-------------------------------------------------------------------------
 *
 * probe_read.c
 *	  READ: the first message at or after an offset, of many partitions.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "probe_internal.h"

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
		if (fm_probe_worth_retrying(item->code))
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
void
fm_probe_answer_read(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;
	FmReadRound *rounds = calloc(answer->nitems + 1, sizeof(*rounds));
	bool	   *done = calloc(answer->nitems + 1, sizeof(*done));
	int			left = answer->nitems;

	if (!fm_probe_ask_watermarks(core, answer->items, answer->nitems))
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
		fm_probe_judge_items(core);
	if (answer->code == FM_KAFKA_OK)
		fm_probe_learn_policy(core, false);
}
