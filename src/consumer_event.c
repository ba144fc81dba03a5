/*-------------------------------------------------------------------------
 *
 * consumer_event.c
 *	  What the library reports, as events of ours, and the messages in them.
 *
 * One queue has everything; fm_consumer_poll() takes one event from it and
 * never waits.  An event of the library is freed before its translation is
 * returned, except that of a message, which belongs to the message.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <syslog.h>

#include "consumer_internal.h"

/* ----------------------------------------------------------------------
 * Events
 * ------------------------------------------------------------------- */

/* Hand a list of partitions to the caller; false: out of memory. */
static bool
lend_partitions(FmConsumer *consumer,
				const rd_kafka_topic_partition_list_t *list, bool offsets,
				FmEvent *event)
{
	int			count = list == NULL ? 0 : list->cnt;

	if (count > consumer->partitions_size)
	{
		FmPartitionOffset *grown = realloc(consumer->partitions,
										   count * sizeof(*grown));

		if (grown == NULL)
			return false;
		consumer->partitions = grown;
		consumer->partitions_size = count;
	}
	for (int i = 0; i < count; i++)
	{
		consumer->partitions[i].partition = list->elems[i].partition;
		consumer->partitions[i].offset =
			offsets && list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
	}
	event->partitions = consumer->partitions;
	event->npartitions = count;
	return true;
}

/*
 * Memory ran out while a change of the assignment was being told: what the
 * group believes of us is then unknown to the caller, so the client is lost.
 */
static void
report_no_memory(FmEvent *event)
{
	event->kind = FM_EVENT_ERROR;
	event->code = FM_KAFKA_FATAL;
	fm_client_format(event->text, sizeof(event->text), "out of memory");
}

static void
translate_rebalance(FmConsumer *consumer, rd_kafka_event_t *rkev,
					FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);

	event->code = FM_KAFKA_OK;
	event->text[0] = '\0';
	if (!lend_partitions(consumer, rd_kafka_event_topic_partition_list(rkev),
						 false, event))
	{
		report_no_memory(event);
		return;
	}
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
	{
		event->kind = FM_EVENT_ASSIGN;
		consumer->revoking = false;
		consumer->all_down = false;
		if (!fm_consumer_remember_group(consumer, event))
			report_no_memory(event);
		return;
	}

	/* Anything else but a revocation is an error, to be answered like one. */
	event->kind = FM_EVENT_REVOKE;
	consumer->revoking = true;
	event->assignment_lost = rd_kafka_assignment_lost(consumer->rk) != 0;
	if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
	{
		event->assignment_lost = true;
		event->code = fm_client_code(err);
		fm_client_format(event->text, sizeof(event->text), "%s",
						 rd_kafka_err2str(err));
	}
}

static void
translate_commit(FmConsumer *consumer, rd_kafka_event_t *rkev, FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);
	rd_kafka_topic_partition_list_t *list;

	list = rd_kafka_event_topic_partition_list(rkev);
	for (int i = 0; !err && list != NULL && i < list->cnt; i++)
		err = list->elems[i].err;
	event->kind = FM_EVENT_COMMITTED;
	event->code = fm_client_code(err);
	fm_client_format(event->text, sizeof(event->text), "%s",
					 err ? rd_kafka_err2str(err) : "");
	if (!lend_partitions(consumer, list, true, event))
		event->npartitions = 0; /* no harm: nobody needs to act on it */
	consumer->committing = false;
	fm_consumer_commit_waiting(consumer);
}

static void
partition_error(FmConsumer *consumer, int32_t partition, int64_t offset,
				rd_kafka_resp_err_t err, const char *text, FmEvent *event)
{
	event->kind = FM_EVENT_PARTITION_ERROR;
	event->partition = partition;
	event->offset = offset >= 0 ? offset : -1;
	event->code = fm_client_code(err);
	fm_client_format(event->text, sizeof(event->text), "%s", text);
	if (event->code == FM_KAFKA_BAD_DATA)
		fm_consumer_halt(consumer, partition);
}

static void
translate_error(FmConsumer *consumer, rd_kafka_event_t *rkev, FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);
	const char *text = rd_kafka_event_error_string(rkev);
	rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(rkev);

	if (rd_kafka_event_error_is_fatal(rkev))
	{
		event->kind = FM_EVENT_ERROR;
		event->code = FM_KAFKA_FATAL;
		fm_client_format(event->text, sizeof(event->text), "%s", text);
	}
	else if (where != NULL && err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		consumer->all_down = false;
		event->kind = FM_EVENT_EOF;
		event->partition = where->partition;
		event->offset = where->offset;
		event->code = FM_KAFKA_OK;
	}
	else if (where != NULL)
		partition_error(consumer, where->partition, where->offset, err, text,
						event);
	else
	{
		event->kind = FM_EVENT_ERROR;
		event->code = fm_client_code(err);
		fm_client_format(event->text, sizeof(event->text), "%s", text);
		fm_consumer_hold_commits(consumer, event->code);
	}
	if (where != NULL)
		rd_kafka_topic_partition_destroy(where);
}

static void
translate_log(rd_kafka_event_t *rkev, FmEvent *event)
{
	const char *facility = "";
	const char *text = "";
	int			level = LOG_NOTICE;

	rd_kafka_event_log(rkev, &facility, &text, &level);
	event->kind = FM_EVENT_LOG;
	event->log_level = level;
	event->code = FM_KAFKA_OK;
	fm_client_format(event->text, sizeof(event->text), "%s: %s", facility,
					 text);
}

/*
 * Broker threads that found the queue full sleep for up to a second, however
 * soon it is emptied.  So each time an eighth of what it can hold has been
 * taken from it they are told to look again.  Where nothing was full this
 * costs them microseconds.
 */
static void
wake_fetchers(FmConsumer *consumer)
{
	consumer->taken = 0;
	if (!consumer->self_waking)
		fm_client_wake(consumer->rk, consumer->username, consumer->password);
}

/* A message; the event now belongs to it.  False: it was an error instead. */
static bool
translate_message(FmConsumer *consumer, rd_kafka_event_t *rkev,
				  FmEvent *event)
{
	const rd_kafka_message_t *record = rd_kafka_event_message_next(rkev);
	FmMessage  *message = &event->message;
	rd_kafka_timestamp_type_t type;

	if (record->err)
	{
		partition_error(consumer, record->partition, record->offset,
						record->err, rd_kafka_message_errstr(record), event);
		return false;
	}
	event->kind = FM_EVENT_MESSAGE;
	message->partition = record->partition;
	message->offset = record->offset;
	message->timestamp = rd_kafka_message_timestamp(record, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
		message->timestamp = -1;
	message->log_append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
	message->payload = record->payload;
	message->len = record->len;
	message->key = record->key;
	message->key_len = record->key_len;
	message->opaque = rkev;
	message->record = (void *) record;

	consumer->taken += record->len > FM_CLIENT_MESSAGE_PRICE ?
		record->len : FM_CLIENT_MESSAGE_PRICE;
	if (consumer->taken >= consumer->take_limit)
		wake_fetchers(consumer);
	return true;
}

bool
fm_consumer_poll(FmConsumer *consumer, FmEvent *event)
{
	for (;;)
	{
		rd_kafka_event_t *rkev = rd_kafka_queue_poll(consumer->queue, 0);

		event->kind = FM_EVENT_NONE;
		if (rkev == NULL)
		{
			fm_consumer_commit_waiting(consumer);	/* the one held back */
			return false;
		}
		switch (rd_kafka_event_type(rkev))
		{
			case RD_KAFKA_EVENT_FETCH:
				if (translate_message(consumer, rkev, event))
					return true;
				break;
			case RD_KAFKA_EVENT_ERROR:
				translate_error(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_REBALANCE:
				translate_rebalance(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_OFFSET_COMMIT:
				translate_commit(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_LOG:
				translate_log(rkev, event);
				break;
			default:
				break;			/* nothing the caller needs to know */
		}
		rd_kafka_event_destroy(rkev);
		if (event->kind != FM_EVENT_NONE)
			return true;
	}
}

/* ----------------------------------------------------------------------
 * Messages
 * ------------------------------------------------------------------- */

void
fm_message_release(FmMessage *message)
{
	if (message->opaque != NULL)
		rd_kafka_event_destroy(message->opaque);
	message->opaque = NULL;
	message->record = NULL;
	message->payload = NULL;
	message->key = NULL;
}

int
fm_message_headers(const FmMessage *message, FmHeader *headers,
				   int max_headers)
{
	rd_kafka_headers_t *list;
	int			count = 0;

	if (rd_kafka_message_headers(message->record, &list) != 0)
		return 0;
	while (count < max_headers &&
		   rd_kafka_header_get_all(list, count, &headers[count].name,
								   &headers[count].value,
								   &headers[count].len) == 0)
		count++;
	return count;
}

bool
fm_message_header(const FmMessage *message, const char *name,
				  FmHeader *header)
{
	rd_kafka_headers_t *list;

	if (rd_kafka_message_headers(message->record, &list) != 0)
		return false;
	header->name = name;
	return rd_kafka_header_get_last(list, name, &header->value,
									&header->len) == 0;
}

int64_t
fm_message_digest(const FmMessage *message)
{
	return fm_client_digest(message->record);
}
