/*-------------------------------------------------------------------------
 *
 * publisher_queue.c
 *	  Messages on their way to Kafka.
 *
 * A window of messages is in memory, in the order of their numbers; the rest
 * waits in the table.  A message is given to the client only if none of the
 * same key (sensor) is before it: whatever the client or the brokers do then,
 * and whoever goes on after a crash, a consumer meets the events of a sensor
 * in their order, the first time that it meets them.  So a sensor's events go
 * out one round trip after the other, and those of different sensors together.
 *
 * A message that the brokers refuse is tried again, less and less often, for as
 * long as it takes.  What its key has behind it stays in the table meanwhile, so
 * that it holds up nobody else.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "guc.h"
#include "publisher.h"
#include "worker.h"

#define CLOSE_TIMEOUT_MS 3000

/* Begin a walk over the window that meets keys. */
static void
begin_walk(FmPublisher *publisher)
{
	publisher->walks++;
}

/* Has the walk met the key of this message? */
static bool
is_met(const FmPublisher *publisher, const FmMail *mail)
{
	return mail->key->met == publisher->walks;
}

/* Now it has; true: for the first time. */
static bool
meet(const FmPublisher *publisher, FmMail *mail)
{
	bool		first = !is_met(publisher, mail);

	mail->key->met = publisher->walks;
	return first;
}

static FmMail *
find_mail(FmPublisher *publisher, int64 pub_seq)
{
	int			low = 0;
	int			high = publisher->nmail;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (publisher->mail[middle].publication.pub_seq < pub_seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < publisher->nmail &&
		publisher->mail[low].publication.pub_seq == pub_seq ?
		&publisher->mail[low] : NULL;
}

/* ----------------------------------------------------------------------
 * Opening and losing the client
 * ------------------------------------------------------------------- */

/* Try again later, and later still if that fails too. */
static int
longer(int delay)
{
	return delay == 0 ? Min(100, fm_restart_delay_max) :
		Min(delay * 2, fm_restart_delay_max);
}

static void
open_later(FmPublisher *publisher)
{
	publisher->open_delay = longer(publisher->open_delay);
	publisher->open_at = GetCurrentTimestamp() +
		(int64) publisher->open_delay * 1000;
}

static void
open_sender(FmPublisher *publisher)
{
	char		error[FM_KAFKA_ERROR_LEN];

	if (publisher->sender != NULL || publisher->configure_at != 0 ||
		publisher->pipeline->alert_topic == NULL ||
		GetCurrentTimestamp() < publisher->open_at)
		return;
	publisher->sender = fm_sender_open(&publisher->config, error,
									   sizeof(error));
	if (publisher->sender != NULL)
		return;
	fm_publisher_error(publisher, FM_KAFKA_OTHER, error);
	open_later(publisher);
}

/*
 * A client that is lost leaves in doubt what it was given: all of that goes
 * out again by the next one.
 */
static void
lose_sender(FmPublisher *publisher)
{
	(void) fm_sender_close(publisher->sender, CLOSE_TIMEOUT_MS);
	publisher->sender = NULL;
	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].state == FM_MAIL_SENT)
			publisher->mail[i].state = FM_MAIL_WAITING;
	}
	publisher->info.in_flight = 0;
	open_later(publisher);
}

/* ----------------------------------------------------------------------
 * Hearing
 * ------------------------------------------------------------------- */

static void
hear_confirmed(FmPublisher *publisher, FmMail *mail)
{
	if (mail->delay > 0)
	{
		/* what waited behind it */
		publisher->loaded = publisher->delivered;
		publisher->more = true;
	}
	mail->state = FM_MAIL_CONFIRMED;
	publisher->info.confirmed++;
	publisher->info.in_flight--;
	publisher->open_delay = 0;
	publisher->error[0] = '\0';
}

static void
hear_refused(FmPublisher *publisher, FmMail *mail, const FmSenderEvent *event)
{
	mail->state = FM_MAIL_REFUSED;
	mail->delay = longer(mail->delay);
	mail->retry_at = GetCurrentTimestamp() + (int64) mail->delay * 1000;
	publisher->info.refused++;
	publisher->info.in_flight--;
	strlcpy(publisher->refusal, event->text, sizeof(publisher->refusal));
	fm_publisher_error(publisher, event->code, event->text);
}

void
fm_publisher_hear(FmPublisher *publisher)
{
	FmSenderEvent event;

	if (publisher->sender == NULL)
		return;
	fm_sender_clear_fd(publisher->sender);
	while (fm_sender_poll(publisher->sender, &event))
	{
		FmMail	   *mail = NULL;

		if (event.kind == FM_SENDER_CONFIRMED ||
			event.kind == FM_SENDER_REFUSED)
			mail = find_mail(publisher, event.id);
		if (mail != NULL && mail->state != FM_MAIL_SENT)
			continue;
		if (event.kind == FM_SENDER_CONFIRMED && mail != NULL)
			hear_confirmed(publisher, mail);
		else if (event.kind == FM_SENDER_REFUSED && mail != NULL)
			hear_refused(publisher, mail, &event);
		else if (event.kind == FM_SENDER_ERROR)
			fm_publisher_error(publisher, event.code, event.text);
		else if (event.kind == FM_SENDER_FATAL)
		{
			fm_publisher_error(publisher, event.code, event.text);
			lose_sender(publisher);
			break;
		}
	}
}

/* ----------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------- */

/*
 * Numbers of the messages in a state that may have a row of what became of
 * them, or of those that have none; returns how many.
 */
static int
collect(const FmPublisher *publisher, FmMailState state, bool noted,
		int64 *numbers)
{
	int			n = 0;

	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].state == state &&
			publisher->mail[i].noted == noted)
			numbers[n++] = publisher->mail[i].publication.pub_seq;
	}
	return n;
}

/* The messages in a state get such a row. */
static void
set_noted(FmPublisher *publisher, FmMailState state)
{
	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].state == state)
			publisher->mail[i].noted = true;
	}
}

/* Was it refused, and has not got through since? */
static bool
holds_up(const FmMail *mail)
{
	return mail->delay > 0 && mail->state != FM_MAIL_CONFIRMED;
}

/* Keys that have a message that was refused, which this walk meets; returns
 * how many. */
static int
refused_keys(FmPublisher *publisher, const char **list)
{
	int			n = 0;

	begin_walk(publisher);
	for (int i = 0; i < publisher->nmail; i++)
	{
		FmMail	   *mail = &publisher->mail[i];

		if (holds_up(mail) && meet(publisher, mail))
			list[n++] = mail->key->text;
	}
	return n;
}

/*
 * The rows know: forget what Kafka has, and what waits behind something that
 * was refused, and try the rest again.
 */
static void
settle(FmPublisher *publisher)
{
	const char **list = palloc(sizeof(char *) * FM_PUBLISHER_WINDOW);
	int			kept = 0;

	(void) refused_keys(publisher, list);
	for (int i = 0; i < publisher->nmail; i++)
	{
		FmMail	   *mail = &publisher->mail[i];

		if (mail->state == FM_MAIL_CONFIRMED ||
			(mail->state == FM_MAIL_WAITING && mail->delay == 0 &&
			 is_met(publisher, mail)))
		{
			fm_publisher_key_release(mail->key);
			fm_publication_free(&mail->publication);
			continue;
		}
		if (mail->state == FM_MAIL_REFUSED)
			mail->state = FM_MAIL_WAITING;
		publisher->mail[kept++] = *mail;
	}
	publisher->nmail = kept;
	pfree(list);
}

int
fm_publisher_unmarked(const FmPublisher *publisher)
{
	int			n = 0;

	for (int i = 0; i < publisher->nmail; i++)
		n += publisher->mail[i].state == FM_MAIL_CONFIRMED ||
			publisher->mail[i].state == FM_MAIL_REFUSED;
	return n;
}

/*
 * Up to which number Kafka has everything.  What waits in the table behind a
 * message that was refused is above that message, and what was not read yet
 * above loaded, which goes back to where this was when such a message gets
 * through.
 */
static int64
delivered_seq(const FmPublisher *publisher)
{
	int64		result = publisher->loaded;

	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].state != FM_MAIL_CONFIRMED)
			return Min(result, publisher->mail[i].publication.pub_seq - 1);
	}
	return result;
}

void
fm_publisher_mark(FmPublisher *publisher)
{
	int64	   *first = palloc(sizeof(int64) * FM_PUBLISHER_WINDOW);
	int64	   *again = palloc(sizeof(int64) * FM_PUBLISHER_WINDOW);
	int64	   *refused = palloc(sizeof(int64) * FM_PUBLISHER_WINDOW);
	int64	   *waiting = palloc(sizeof(int64) * FM_PUBLISHER_WINDOW);
	int			nfirst = collect(publisher, FM_MAIL_CONFIRMED, false, first);
	int			nagain = collect(publisher, FM_MAIL_CONFIRMED, true, again);
	int			nrefused;
	int			nwaiting = 0;
	FmOwnerScope scope;

	set_noted(publisher, FM_MAIL_REFUSED);
	nrefused = collect(publisher, FM_MAIL_REFUSED, true, refused);
	if (publisher->error[0] != '\0')
	{
		set_noted(publisher, FM_MAIL_SENT);
		nwaiting = collect(publisher, FM_MAIL_SENT, true, waiting);
	}
	if (nfirst > 0 || nagain > 0 || nrefused > 0 || nwaiting > 0)
	{
		int64		delivered = Max(publisher->delivered,
									delivered_seq(publisher));

		fm_worker_begin(&scope);
		if (fm_publication_set_delivered_seq(publisher->pipeline, delivered))
		{
			if (nfirst > 0)
				fm_publication_delivered_first(publisher->pipeline, first,
											   nfirst);
			if (nagain > 0)
				fm_publication_delivered(publisher->pipeline, again, nagain);
			if (nrefused > 0)
				fm_publication_failed(publisher->pipeline, refused, nrefused,
									  true, publisher->refusal);
			if (nwaiting > 0)
				fm_publication_failed(publisher->pipeline, waiting, nwaiting,
									  false, publisher->error);
		}
		fm_worker_commit(&scope);
		publisher->delivered = delivered;
		settle(publisher);
	}
	publisher->error[0] = '\0';
}

static int
compare_mail(const void *a, const void *b)
{
	int64		x = ((const FmMail *) a)->publication.pub_seq;
	int64		y = ((const FmMail *) b)->publication.pub_seq;

	return x < y ? -1 : x > y;
}

/* At the end of the window. */
static void
append(FmPublisher *publisher, const FmPublication *publications, int n)
{
	for (int i = 0; i < n; i++)
	{
		FmMail	   *mail = &publisher->mail[publisher->nmail++];

		memset(mail, 0, sizeof(*mail));
		mail->publication = publications[i];
		mail->key = fm_publisher_key_take(publisher, publications[i].key,
										  publications[i].key_len);
		mail->noted = publications[i].noted;
		publisher->loaded = publications[i].pub_seq;
	}
}

void
fm_publisher_load(FmPublisher *publisher)
{
	int			room = FM_PUBLISHER_WINDOW - publisher->nmail;
	FmPublication *publications;
	FmOwnerScope scope;
	const char **keys;
	int64	   *numbers;
	int			nkeys;
	int			nnumbers = 0;
	int			n;

	/* a quarter at a time, so that it is not asked for every single row */
	if (!publisher->more || publisher->pipeline->alert_topic == NULL ||
		room < FM_PUBLISHER_WINDOW / 4)
		return;
	publications = palloc(sizeof(FmPublication) * room);
	keys = palloc(sizeof(char *) * FM_PUBLISHER_WINDOW);
	numbers = palloc(sizeof(int64) * FM_PUBLISHER_WINDOW);
	nkeys = refused_keys(publisher, keys);
	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].publication.pub_seq > publisher->loaded)
			numbers[nnumbers++] = publisher->mail[i].publication.pub_seq;
	}
	fm_worker_begin(&scope);
	n = fm_publication_load(publisher->pipeline, publisher->loaded, keys,
							nkeys, numbers, nnumbers, room,
							publisher->context, publications);
	fm_worker_commit(&scope);
	append(publisher, publications, n);
	publisher->more = n == room;
	if (nnumbers > 0)
		qsort(publisher->mail, publisher->nmail, sizeof(FmMail),
			  compare_mail);
}

/* Does something wait in the table behind a message that was refused? */
static bool
has_refused(const FmPublisher *publisher)
{
	for (int i = 0; i < publisher->nmail; i++)
	{
		if (holds_up(&publisher->mail[i]))
			return true;
	}
	return false;
}

void
fm_publisher_expect(FmPublisher *publisher, FmHandover *handover)
{
	memset(handover, 0, sizeof(*handover));
	handover->after = publisher->known;
	handover->context = publisher->context;
	if (publisher->more || publisher->pipeline->alert_topic == NULL ||
		has_refused(publisher))
		return;
	handover->room = FM_PUBLISHER_WINDOW - publisher->nmail;
	handover->publications = palloc(sizeof(FmPublication) *
									Max(handover->room, 1));
}

void
fm_publisher_take(FmPublisher *publisher, const FmNumbering *numbering,
				  const FmHandover *handover)
{
	append(publisher, handover->publications, handover->n);
	if (!handover->complete)
		publisher->more = true;
	publisher->known = numbering->last;
}

/* ----------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------- */

static void
send_mail(FmPublisher *publisher, FmMail *mail)
{
	const FmPublication *publication = &mail->publication;
	FmHeader	headers[FM_PUBLICATION_HEADERS];
	FmOutgoing	message = {
		.id = publication->pub_seq,
		.key = publication->key,
		.key_len = publication->key_len,
		.value = publication->payload,
		.len = publication->payload_len,
		.timestamp = publication->timestamp,
		.headers = headers
	};
	char		error[FM_KAFKA_ERROR_LEN];
	FmKafkaCode code;

	for (int i = 0; i < FM_PUBLICATION_HEADERS; i++)
	{
		FmHeader   *header = &headers[message.nheaders];

		if (publication->headers[i] == NULL)
			continue;
		header->name = fm_publication_header_names[i];
		header->value = publication->headers[i];
		header->len = strlen(publication->headers[i]);
		message.nheaders++;
	}
	code = fm_sender_send(publisher->sender, &message, error, sizeof(error));
	if (code == FM_KAFKA_OK)
	{
		mail->state = FM_MAIL_SENT;
		publisher->info.sent++;
		publisher->info.in_flight++;
		return;
	}
	mail->state = FM_MAIL_REFUSED;
	mail->delay = longer(mail->delay);
	mail->retry_at = GetCurrentTimestamp() + (int64) mail->delay * 1000;
	publisher->info.refused++;
	strlcpy(publisher->refusal, error, sizeof(publisher->refusal));
	fm_publisher_error(publisher, code, error);
}

static int
count_waiting(const FmPublisher *publisher)
{
	int			n = 0;

	for (int i = 0; i < publisher->nmail; i++)
		n += publisher->mail[i].state == FM_MAIL_WAITING;
	return n;
}

void
fm_publisher_send(FmPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	int			waiting;

	open_sender(publisher);
	if (publisher->sender == NULL)
		return;
	waiting = count_waiting(publisher);
	begin_walk(publisher);
	/* (what is behind the last one that waits makes no difference) */
	for (int i = 0; i < publisher->nmail && waiting > 0; i++)
	{
		FmMail	   *mail = &publisher->mail[i];
		bool		first;

		if (mail->state == FM_MAIL_CONFIRMED)
			continue;
		first = meet(publisher, mail);
		if (mail->state != FM_MAIL_WAITING)
			continue;
		waiting--;
		/* (its delay at most, also where the clock was set back) */
		if (first &&
			(mail->retry_at <= now ||
			 mail->retry_at > now + (int64) mail->delay * 1000))
			send_mail(publisher, mail);
	}
}

TimestampTz
fm_publisher_next(const FmPublisher *publisher)
{
	TimestampTz next = DT_NOEND;

	if (publisher->pipeline->alert_topic == NULL)
		return next;
	if (publisher->configure_at != 0)
		return publisher->configure_at;
	if (publisher->sender == NULL)
		return publisher->open_at;
	for (int i = 0; i < publisher->nmail; i++)
	{
		const FmMail *mail = &publisher->mail[i];

		if (mail->state == FM_MAIL_WAITING && mail->retry_at != 0)
			next = Min(next, mail->retry_at);
	}
	return next;
}
