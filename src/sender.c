/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  The idempotent producer behind sender.h.
 *
 * One queue has everything: delivery reports, which come in lists, errors,
 * log lines.  The library's log says nothing that its errors do not say as
 * well, and is dropped.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "sender.h"

#define SENDER_EVENTS \
	(RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)

struct FmSender
{
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *reports;	/* a list that is being read; or NULL */
	rd_kafka_topic_t *topic;
	int			fds[2];			/* the library writes to the second */
};

/* ----------------------------------------------------------------------
 * Opening and closing
 * ------------------------------------------------------------------- */

static void
free_sender(FmSender *sender)
{
	for (int i = 0; i < 2; i++)
	{
		if (sender->fds[i] >= 0)
			close(sender->fds[i]);
	}
	free(sender);
}

static FmSender *
make_sender(void)
{
	FmSender   *sender = calloc(1, sizeof(*sender));

	if (sender == NULL)
		return NULL;
	if (fm_client_pipe(sender->fds) != 0)
	{
		sender->fds[0] = sender->fds[1] = -1;
		free_sender(sender);
		return NULL;
	}
	return sender;
}

/* The topic, once for all messages; false: the library does not like it. */
static bool
open_topic(FmSender *sender, const char *topic, char *error, size_t errlen)
{
	sender->topic = rd_kafka_topic_new(sender->rk, topic, NULL);
	if (sender->topic != NULL)
		return true;
	fm_client_format(error, errlen, "%s",
					 rd_kafka_err2str(rd_kafka_last_error()));
	(void) fm_client_destroy(sender->rk, 0, 0);
	return false;
}

FmSender *
fm_sender_open(const FmConsumerConfig *config, char *error, size_t errlen)
{
	FmSender   *sender;
	bool		self_waking;

	if (!fm_client_check_topic(config->topic, error, errlen))
		return NULL;
	sender = make_sender();
	if (sender == NULL)
	{
		fm_client_format(error, errlen, "out of memory or file descriptors");
		return NULL;
	}
	sender->rk = fm_client_new(FM_CLIENT_PRODUCER, config, SENDER_EVENTS,
							   &self_waking, error, errlen);
	if (sender->rk == NULL ||
		!open_topic(sender, config->topic, error, errlen))
	{
		free_sender(sender);
		return NULL;
	}
	sender->queue = rd_kafka_queue_get_main(sender->rk);
	(void) rd_kafka_set_log_queue(sender->rk, sender->queue);
	rd_kafka_queue_io_event_enable(sender->queue, sender->fds[1], "!", 1);
	return sender;
}

bool
fm_sender_close(FmSender *sender, int timeout_ms)
{
	bool		destroyed;

	rd_kafka_queue_io_event_enable(sender->queue, -1, NULL, 0);
	if (sender->reports != NULL)
		rd_kafka_event_destroy(sender->reports);
	rd_kafka_purge(sender->rk, RD_KAFKA_PURGE_F_QUEUE |
				   RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_queue_destroy(sender->queue);
	rd_kafka_topic_destroy(sender->topic);
	destroyed = fm_client_destroy(sender->rk, 0, timeout_ms);
	free_sender(sender);
	return destroyed;
}

int
fm_sender_fd(FmSender *sender)
{
	return sender->fds[0];
}

void
fm_sender_clear_fd(FmSender *sender)
{
	fm_client_drain(sender->fds[0]);
}

/* ----------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------- */

/* The library's list of headers; NULL: out of memory. */
static rd_kafka_headers_t *
make_headers(const FmOutgoing *message)
{
	rd_kafka_headers_t *list = rd_kafka_headers_new(message->nheaders);

	for (int i = 0; list != NULL && i < message->nheaders; i++)
	{
		const FmHeader *header = &message->headers[i];

		if (rd_kafka_header_add(list, header->name, -1, header->value,
								(ssize_t) header->len) != 0)
		{
			rd_kafka_headers_destroy(list);
			return NULL;
		}
	}
	return list;
}

FmKafkaCode
fm_sender_send(FmSender *sender, const FmOutgoing *message,
			   char *error, size_t errlen)
{
	rd_kafka_headers_t *headers = make_headers(message);
	rd_kafka_resp_err_t err;

	if (headers == NULL)
	{
		fm_client_format(error, errlen, "out of memory");
		return FM_KAFKA_OTHER;
	}
	err = rd_kafka_producev(sender->rk,
							RD_KAFKA_V_RKT(sender->topic),
							RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							RD_KAFKA_V_KEY(message->key, message->key_len),
							RD_KAFKA_V_VALUE((void *) message->value,
											 message->len),
							RD_KAFKA_V_TIMESTAMP(message->timestamp),
							RD_KAFKA_V_HEADERS(headers),
							RD_KAFKA_V_OPAQUE((void *) (intptr_t) message->id),
							RD_KAFKA_V_END);
	if (!err)
		return FM_KAFKA_OK;
	rd_kafka_headers_destroy(headers);	/* still ours after a refusal */
	fm_client_format(error, errlen, "%s", rd_kafka_err2str(err));
	return fm_client_code(err);
}

/* ----------------------------------------------------------------------
 * Hearing
 * ------------------------------------------------------------------- */

/* The next report of the list at hand; false: there are no more. */
static bool
next_report(FmSender *sender, FmSenderEvent *event)
{
	const rd_kafka_message_t *record;

	if (sender->reports == NULL)
		return false;
	record = rd_kafka_event_message_next(sender->reports);
	if (record == NULL)
	{
		rd_kafka_event_destroy(sender->reports);
		sender->reports = NULL;
		return false;
	}
	event->id = (int64_t) (intptr_t) record->_private;
	event->code = fm_client_code(record->err);
	event->kind = record->err ? FM_SENDER_REFUSED : FM_SENDER_CONFIRMED;
	fm_client_format(event->text, sizeof(event->text), "%s",
					 record->err ? rd_kafka_err2str(record->err) : "");
	return true;
}

static void
translate_error(FmSender *sender, rd_kafka_event_t *rkev,
				FmSenderEvent *event)
{
	char		reason[FM_KAFKA_ERROR_LEN];
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);

	event->kind = FM_SENDER_ERROR;
	event->code = fm_client_code(err);
	fm_client_format(event->text, sizeof(event->text), "%s",
					 rd_kafka_event_error_string(rkev));
	if (!rd_kafka_event_error_is_fatal(rkev) &&
		err != RD_KAFKA_RESP_ERR__FATAL)
		return;
	event->kind = FM_SENDER_FATAL;
	event->code = FM_KAFKA_FATAL;
	if (rd_kafka_fatal_error(sender->rk, reason, sizeof(reason)))
		fm_client_format(event->text, sizeof(event->text), "%s", reason);
}

bool
fm_sender_poll(FmSender *sender, FmSenderEvent *event)
{
	for (;;)
	{
		rd_kafka_event_t *rkev;

		event->kind = FM_SENDER_NONE;
		if (next_report(sender, event))
			return true;
		rkev = rd_kafka_queue_poll(sender->queue, 0);
		if (rkev == NULL)
			return false;
		if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_DR)
		{
			sender->reports = rkev;
			continue;
		}
		if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_ERROR)
			translate_error(sender, rkev, event);
		rd_kafka_event_destroy(rkev);
		if (event->kind != FM_SENDER_NONE)
			return true;
	}
}
