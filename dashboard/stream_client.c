/*
 * stream_client.c - those who listen, and what waits for them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "stream_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CLIENTS 200
#define MAX_OF_ADDRESS 10

/* ----------------------------------------------------------------------
 * Queues; with the mutex
 * ------------------------------------------------------------------- */

FmEvent *
fm_event_new(const FmBuf *text)
{
	FmEvent    *event = fm_xmalloc(sizeof(FmEvent) + text->len);

	event->references = 1;
	event->len = text->len;
	memcpy(event->text, text->data, text->len);
	return event;
}

void
fm_event_drop(FmEvent *event)
{
	if (--event->references == 0)
		free(event);
}

static void
drop_first(FmListener *client)
{
	fm_event_drop(client->queue[client->first]);
	client->first = (client->first + 1) % FM_STREAM_QUEUE;
	client->n--;
	client->offset = 0;
}

void
fm_listener_resume(FmListener *client)
{
	if (!client->suspended)
		return;
	client->suspended = false;
	MHD_resume_connection(client->connection);
}

static void
push(FmListener *client, FmEvent *event)
{
	event->references++;
	client->queue[(client->first + client->n++) % FM_STREAM_QUEUE] = event;
	fm_listener_resume(client);
}

void
fm_listener_enqueue(FmListener *client, FmEvent *event)
{
	static const char reset[] = "event: reset\ndata: {}\n\n";
	FmBuf		text = FM_BUF_INIT;
	FmEvent    *lost;

	if (client->n < FM_STREAM_QUEUE)
	{
		push(client, event);
		return;
	}
	while (client->n > (client->offset > 0 ? 1 : 0))
	{
		client->n--;
		fm_event_drop(client->queue[(client->first + client->n) %
									FM_STREAM_QUEUE]);
	}
	fm_buf_puts(&text, reset);
	lost = fm_event_new(&text);
	push(client, lost);
	push(client, event);
	fm_event_drop(lost);
	fm_buf_free(&text);
}

void
fm_stream_broadcast(FmStream *stream, const FmBuf *text)
{
	FmEvent    *event = fm_event_new(text);

	pthread_mutex_lock(&stream->mutex);
	for (FmListener *client = stream->clients; client; client = client->next)
		if (client->joined && !client->gone)
			fm_listener_enqueue(client, event);
	fm_event_drop(event);
	pthread_mutex_unlock(&stream->mutex);
}

void
fm_listener_free(FmListener *client)
{
	while (client->n > 0)
		drop_first(client);
	free(client->last_id);
	free(client);
}

void
fm_stream_call(int fd)
{
	uint64_t	one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;					/* it has been called often enough */
}

/* ----------------------------------------------------------------------
 * Clients; by the thread of HTTP
 * ------------------------------------------------------------------- */

static ssize_t
give(void *arg, uint64_t pos, char *to, size_t most)
{
	FmListener *client = arg;
	FmStream   *stream = client->stream;
	ssize_t		n = 0;

	(void) pos;
	pthread_mutex_lock(&stream->mutex);
	if (stream->stopping)
		n = MHD_CONTENT_READER_END_OF_STREAM;
	else if (client->n == 0)
	{
		client->suspended = true;
		MHD_suspend_connection(client->connection);
	}
	else
	{
		const FmEvent *event = client->queue[client->first];
		size_t		left = event->len - client->offset;

		n = (ssize_t) (left < most ? left : most);
		memcpy(to, event->text + client->offset, (size_t) n);
		client->offset += (size_t) n;
		if (client->offset == event->len)
			drop_first(client);
	}
	pthread_mutex_unlock(&stream->mutex);
	return n;
}

static void
forget(void *arg)
{
	FmListener *client = arg;
	FmStream   *stream = client->stream;
	FmListener **link;

	pthread_mutex_lock(&stream->mutex);
	for (link = &stream->clients; *link != client;)
		link = &(*link)->next;
	*link = client->next;
	stream->nclients--;
	client->gone = true;
	if (!client->held)
		fm_listener_free(client);
	pthread_mutex_unlock(&stream->mutex);
}

/* With the mutex. */
static bool
is_full(const FmStream *stream, const char *address, bool local)
{
	int			n = 0;

	for (const FmListener *client = stream->clients; client;
		 client = client->next)
		n += strcmp(client->address, address) == 0;
	return stream->stopping || stream->nclients >= MAX_CLIENTS ||
		(!local && n >= MAX_OF_ADDRESS);
}

struct MHD_Response *
fm_stream_open(FmStream *stream, struct MHD_Connection *connection,
			   const char *address, bool local, const char *last_id)
{
	FmListener *client = fm_xcalloc(1, sizeof(FmListener));
	struct MHD_Response *response;
	bool		full;

	client->stream = stream;
	client->connection = connection;
	snprintf(client->address, sizeof(client->address), "%s", address);
	client->last_id = last_id ? fm_xstrdup(last_id) : NULL;
	pthread_mutex_lock(&stream->mutex);
	full = is_full(stream, address, local);
	if (!full)
	{
		client->next = stream->clients;
		stream->clients = client;
		stream->nclients++;
	}
	pthread_mutex_unlock(&stream->mutex);
	if (full)
	{
		fm_listener_free(client);
		return NULL;
	}
	fm_stream_call(stream->wake);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, give,
												 client, forget);
	if (response == NULL)
		forget(client);
	return response;
}
