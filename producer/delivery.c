/*
 * delivery.c - sending record by record
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See delivery.h for the promise.  librdkafka keeps its own copy of each
 * record and hands it back with the delivery report, so the only thing that
 * travels along is the kind, in the opaque pointer; or the twin of a record
 * that has one, for then it is a reading or a duplicate, as the twin says.
 */
#include "delivery.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PURGE_MS 10000			/* for reports that come from memory */
#define BACK_OFF FM_SECOND		/* between two new clients */
#define MAX_IN_VAIN 5			/* new clients without a delivery */

/* A record on its way back into the queue. */
struct FmSaved
{
	FmSaved    *next;
	FmRecord	record;			/* key and value follow this struct */
};

static void *
opaque_of(const FmRecord *record)
{
	return record->twin ? (void *) record->twin
		: (void *) ((uintptr_t) record->kind + 1);
}

/* Allocated memory is not at addresses as low as the number of kinds. */
static FmTwin *
twin_of(const rd_kafka_message_t *msg)
{
	return (uintptr_t) msg->_private > FM_KINDS ? msg->_private : NULL;
}

static FmKind
kind_of(const rd_kafka_message_t *msg)
{
	return twin_of(msg) ? FM_READING
		: (FmKind) ((uintptr_t) msg->_private - 1);
}

static void
save(FmDelivery *d, const rd_kafka_message_t *msg)
{
	FmSaved    *s = fm_xmalloc(sizeof(FmSaved) + msg->key_len + msg->len);
	char	   *bytes = (char *) (s + 1);

	s->next = NULL;
	s->record = (FmRecord)
	{
		.kind = kind_of(msg),.keylen = msg->key_len,.len = msg->len,
		.timestamp = rd_kafka_message_timestamp(msg, NULL),
		.twin = twin_of(msg)
	};
	if (msg->key)
		s->record.key = memcpy(bytes, msg->key, msg->key_len);
	if (msg->payload)
		s->record.value = memcpy(bytes + msg->key_len, msg->payload,
								 msg->len);
	*d->last_saved = s;
	d->last_saved = &s->next;
}

static void
on_delivered(FmClient *client, const rd_kafka_message_t *msg, int64_t offset)
{
	FmDelivery *d = client->owner;
	FmKind		kind = kind_of(msg);
	FmTwin	   *twin = twin_of(msg);
	bool		persisted = offset >= 0 ||
		rd_kafka_message_status(msg) == RD_KAFKA_MSG_STATUS_PERSISTED;

	if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		d->in_vain = 0;
	if (persisted)
	{
		kind = fm_truth_add(d->truth, msg->partition, offset, kind, twin,
							msg->payload, msg->len);
		d->stats->delivered[kind]++;
		d->stats->unlocated += offset < 0;
		fm_twin_release(twin);
		return;
	}
	switch (rd_kafka_message_status(msg))
	{
		case RD_KAFKA_MSG_STATUS_NOT_PERSISTED:
			if (!d->give_up && d->in_vain < MAX_IN_VAIN &&
				fm_client_fatal(client))
			{
				save(d, msg);	/* the twin, too */
				return;
			}
			d->stats->failed[kind]++;
			break;
		default:
			d->stats->unknown[kind]++;
			break;
	}
	fm_twin_release(twin);
	fm_link_complain(client->link, msg->err, "not delivered", NULL);
}

bool
fm_delivery_open(FmDelivery *d, const FmOptions *opt, FmLink *link,
				 FmStats *stats, FmTruth *truth, char *why, size_t size)
{
	memset(d, 0, sizeof(*d));
	d->client.opt = opt;
	d->client.link = link;
	d->client.delivered = on_delivered;
	d->client.owner = d;
	d->stats = stats;
	d->truth = truth;
	d->last_saved = &d->first_saved;
	return fm_client_open(&d->client, NULL, why, size);
}

/* Make the library report everything it still holds. */
static void
purge(FmDelivery *d)
{
	rd_kafka_resp_err_t err;

	err = rd_kafka_purge(d->client.rk, RD_KAFKA_PURGE_F_QUEUE |
						 RD_KAFKA_PURGE_F_INFLIGHT);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = rd_kafka_flush(d->client.rk, PURGE_MS);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fprintf(stderr, "factorymon-producer: purge: %s\n",
				rd_kafka_err2str(err));
	/* whatever got no report within that time might be anywhere */
	d->stats->unknown[FM_READING] += (uint64_t) fm_client_queue(&d->client);
}

/* A client that dies at once must not be replaced as fast as it dies. */
static void
back_off(FmDelivery *d)
{
	int64_t		wait = d->rebuilt_at + BACK_OFF - fm_clock_mono();
	struct timespec ts = {0, (long) (wait % FM_SECOND) * 1000};

	if (d->in_vain > 0 && wait > 0)
		nanosleep(&ts, NULL);	/* shorter for a signal, rightly */
	d->rebuilt_at = fm_clock_mono();
}

/*
 * Replace a client that had a fatal error, and send again what it is safe to
 * send again.  Without a new client there is nothing left to do: exits.
 */
static void
rebuild(FmDelivery *d)
{
	char		why[512];
	FmSaved    *saved;
	FmIdle		idle = d->idle;
	rd_kafka_resp_err_t err;

	err = rd_kafka_fatal_error(d->client.rk, why, sizeof(why));
	fm_link_complain(d->client.link, err, "fatal, making a new client", why);
	purge(d);
	fm_client_close(&d->client);
	back_off(d);
	d->in_vain++;
	d->stats->rebuilt++;
	if (!fm_client_open(&d->client, NULL, why, sizeof(why)))
	{
		fprintf(stderr, "factorymon-producer: %s\n", why);
		exit(FM_EXIT_UNDELIVERED);
	}
	saved = d->first_saved;
	d->first_saved = NULL;
	d->last_saved = &d->first_saved;
	d->idle = NULL;				/* they fitted before: no giving up */
	while (saved)
	{
		FmSaved    *next = saved->next;
		uint64_t	sent = d->stats->sent[saved->record.kind];

		/* accepted before, so a heartbeat without room is a failure now */
		if (!fm_delivery_send(d, &saved->record) &&
			d->stats->sent[saved->record.kind] == sent)
			d->stats->failed[saved->record.kind]++;
		d->stats->sent[saved->record.kind] = sent;
		free(saved);
		saved = next;
	}
	d->idle = idle;
}

void
fm_delivery_poll(FmDelivery *d, int timeout_ms)
{
	rd_kafka_poll(d->client.rk, timeout_ms);
	if (!d->give_up && fm_client_fatal(&d->client))
		rebuild(d);
}

/* As fm_delivery_send, but a twin stays the caller's if it returns false. */
static bool
try_send(FmDelivery *d, const FmRecord *record)
{
	for (;;)
	{
		rd_kafka_resp_err_t err;

		err = fm_client_send(&d->client, record, opaque_of(record));
		switch (err)
		{
			case RD_KAFKA_RESP_ERR_NO_ERROR:
				d->stats->sent[record->kind]++;
				return true;
			case RD_KAFKA_RESP_ERR__QUEUE_FULL:
				if (record->kind == FM_HEARTBEAT)
					return false;
				fm_delivery_poll(d, 50);
				break;
			case RD_KAFKA_RESP_ERR__FATAL:
				if (d->give_up)
					return false;
				rebuild(d);
				break;
			default:
				fm_link_complain(d->client.link, err, "cannot send", NULL);
				d->stats->sent[record->kind]++;
				d->stats->failed[record->kind]++;
				return false;
		}
		if (d->idle && !d->idle(d->idle_arg))
			return false;
	}
}

bool
fm_delivery_send(FmDelivery *d, const FmRecord *record)
{
	bool		accepted = try_send(d, record);

	if (!accepted)
		fm_twin_release(record->twin);
	return accepted;
}

int
fm_delivery_pending(const FmDelivery *d)
{
	return fm_client_queue(&d->client);
}

void
fm_delivery_flush(FmDelivery *d, int timeout_ms)
{
	rd_kafka_resp_err_t err = rd_kafka_flush(d->client.rk, timeout_ms);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		err != RD_KAFKA_RESP_ERR__TIMED_OUT)
		fm_link_complain(d->client.link, err, "flush", NULL);
	if (!d->give_up && fm_client_fatal(&d->client))
		rebuild(d);
}

void
fm_delivery_close(FmDelivery *d)
{
	d->give_up = true;
	if (fm_client_queue(&d->client) > 0)
		purge(d);
	fm_client_close(&d->client);
}
