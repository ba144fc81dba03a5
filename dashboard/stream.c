/*
 * stream.c - events as they happen, to any number of clients
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One mutex guards clients and their queues.  A client's connection is
 * suspended while its queue is empty, by the thread of HTTP, under the mutex;
 * who puts something into the queue resumes it, under the mutex, too.  A
 * suspended connection does not notice that the client has left, so the tick
 * is also what finds that out.
 *
 * Events are shared by all clients that they wait for.
 */
#include "stream.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../producer/buf.h"
#include "json.h"
#include "log.h"
#include "positions.h"

#define MAX_CLIENTS 200
#define MAX_OF_ADDRESS 10
#define QUEUE 256				/* events that may wait for a client */
#define TICK_SECONDS 2.0
#define RETRY_SECONDS 1.0		/* without a database */
#define LOOK_SECONDS 5.0		/* NOTIFY may get lost: look anyway */
#define AT_ONCE 500				/* events that are read by one query */
#define AT_ONCE_TEXT "500"
#define MAX_REPLAY 1000
#define MAX_JOINING 20			/* before it is looked for events again */
#define ADDRESS_LEN 64

typedef struct Event
{
	int			references;
	size_t		len;
	char		text[];
} Event;

typedef struct Client
{
	struct Client *next;
	FmStream   *stream;
	struct MHD_Connection *connection;
	char		address[ADDRESS_LEN];
	char	   *last_id;		/* to be replayed from; NULL: no */
	bool		joined;			/* gets events; else the thread sees to it */
	bool		suspended;
	bool		gone;			/* the thread frees it when it is done with it */
	bool		held;			/* by the thread, without the mutex */
	Event	   *queue[QUEUE];	/* a ring */
	int			first;
	int			n;
	size_t		offset;			/* of the first one, sent already */
} Client;

struct FmStream
{
	FmDatabase *database;
	pthread_mutex_t mutex;
	Client	   *clients;
	int			nclients;
	atomic_bool stopping;
	int			wake;			/* eventfd: a client waits, or the end */
	int			ended;			/* eventfd: the end, for who ticks */
	pthread_t	thread;
	pthread_t	ticker;			/* a thread that waits for nothing else */
	atomic_bool was_up;			/* set by the thread */
	/* of the thread */
	PGconn	   *connection;
	bool		listening;
	bool		known;			/* positions are */
	FmPositions	positions;
};

/* ----------------------------------------------------------------------
 * Queues; with the mutex
 * ------------------------------------------------------------------- */

static Event *
new_event(const FmBuf *text)
{
	Event	   *event = fm_xmalloc(sizeof(Event) + text->len);

	event->references = 1;
	event->len = text->len;
	memcpy(event->text, text->data, text->len);
	return event;
}

static void
drop(Event *event)
{
	if (--event->references == 0)
		free(event);
}

static void
drop_first(Client *client)
{
	drop(client->queue[client->first]);
	client->first = (client->first + 1) % QUEUE;
	client->n--;
	client->offset = 0;
}

static void
resume(Client *client)
{
	if (!client->suspended)
		return;
	client->suspended = false;
	MHD_resume_connection(client->connection);
}

static void
push(Client *client, Event *event)
{
	event->references++;
	client->queue[(client->first + client->n++) % QUEUE] = event;
	resume(client);
}

/*
 * A client that does not read gets a reset for all that it missed.  What it has
 * begun to read is ended first.
 */
static void
enqueue(Client *client, Event *event)
{
	static const char reset[] = "event: reset\ndata: {}\n\n";
	FmBuf		text = FM_BUF_INIT;
	Event	   *lost;

	if (client->n < QUEUE)
	{
		push(client, event);
		return;
	}
	while (client->n > (client->offset > 0 ? 1 : 0))
	{
		client->n--;
		drop(client->queue[(client->first + client->n) % QUEUE]);
	}
	fm_buf_puts(&text, reset);
	lost = new_event(&text);
	push(client, lost);
	push(client, event);
	drop(lost);
	fm_buf_free(&text);
}

static void
broadcast(FmStream *stream, const FmBuf *text)
{
	Event	   *event = new_event(text);

	pthread_mutex_lock(&stream->mutex);
	for (Client *client = stream->clients; client; client = client->next)
		if (client->joined && !client->gone)
			enqueue(client, event);
	drop(event);
	pthread_mutex_unlock(&stream->mutex);
}

/* ----------------------------------------------------------------------
 * Reading what is new; by the thread
 * ------------------------------------------------------------------- */

static PGresult *
query(FmStream *stream, const char *text, int nparams,
	  const char *const *params)
{
	int			pid = PQbackendPID(stream->connection);
	char		error[320];
	char		id[FM_LOG_ID_LEN];
	bool		lost;
	PGresult   *result;

	if (stream->connection == NULL)
		return NULL;
	result = fm_database_query(stream->database, &stream->connection, text,
							   nparams, params, error, sizeof(error), &lost);
	if (PQbackendPID(stream->connection) != pid)
		stream->listening = false;	/* it is another one */
	if (result == NULL && !lost)
		fm_log_error("stream", error, id);
	return result;
}

static void
put_alarm(FmBuf *buf, const FmPositions *positions, const char *payload)
{
	fm_positions_put_id(buf, positions);
	fm_buf_puts(buf, "event: alarm\ndata: ");
	fm_buf_puts(buf, payload);
	fm_buf_puts(buf, "\n\n");
}

/* Events of a pipeline behind a number, some at a time; NULL: it failed. */
static PGresult *
read_events(FmStream *stream, const FmPosition *position)
{
	char		seq[32];
	const char *params[2] = {position->name, seq};

	snprintf(seq, sizeof(seq), "%lld", (long long) position->seq);
	return query(stream, "SELECT pub_seq, payload FROM factorymon.alert_outbox"
				 " WHERE pipeline = $1 AND pub_seq > $2::bigint"
				 " ORDER BY pub_seq LIMIT " AT_ONCE_TEXT, 2, params);
}

/* The number of each pipeline's last event. */
static bool
read_positions(FmStream *stream, FmPositions *positions)
{
	PGresult   *result = query(stream, "SELECT p.name, coalesce("
							   "(SELECT o.pub_seq"
							   " FROM factorymon.alert_outbox o"
							   " WHERE o.pipeline = p.name"
							   " ORDER BY o.pub_seq DESC LIMIT 1), 0)"
							   " FROM factorymon.pipelines p"
							   " ORDER BY p.name", 0, NULL);

	positions->n = 0;
	for (int i = 0; i < PQntuples(result); i++)
	{
		FmPosition   *position = fm_make_position(positions,
											 PQgetvalue(result, i, 0));

		if (position != NULL)
			position->seq = strtoll(PQgetvalue(result, i, 1), NULL, 10);
	}
	PQclear(result);
	return result != NULL;
}

/* What one pipeline has that is new, to all. */
static void
advance(FmStream *stream, FmPosition *position)
{
	int			n = AT_ONCE;

	while (n == AT_ONCE && !stream->stopping)
	{
		PGresult   *result = read_events(stream, position);

		n = PQntuples(result);
		for (int i = 0; i < n; i++)
		{
			FmBuf		text = FM_BUF_INIT;

			position->seq = strtoll(PQgetvalue(result, i, 0), NULL, 10);
			put_alarm(&text, &stream->positions, PQgetvalue(result, i, 1));
			broadcast(stream, &text);
			fm_buf_free(&text);
		}
		PQclear(result);
	}
}

/* (A pipeline that is new begins with its first event.) */
static void
look(FmStream *stream)
{
	FmPositions	now;

	if (!read_positions(stream, &now))
		return;
	if (!stream->known)
		stream->positions = now;
	stream->known = true;
	for (int i = 0; i < now.n; i++)
	{
		FmPosition   *position = fm_make_position(&stream->positions,
											 now.items[i].name);

		if (position == NULL)
			continue;
		if (now.items[i].seq < position->seq)
			position->seq = 0;	/* it was dropped, and made again */
		advance(stream, position);
	}
}

/* ----------------------------------------------------------------------
 * Clients that join
 * ------------------------------------------------------------------- */

/* What a client has missed of one pipeline; false: that cannot be told. */
static bool
replay_pipeline(FmStream *stream, FmPositions *at, FmPosition *from,
				const FmPosition *end, int *total, FmBuf *text)
{
	while (from->seq < end->seq)
	{
		PGresult   *result = read_events(stream, from);
		int			n = PQntuples(result);
		bool		whole = n > 0;

		*total += n;
		for (int row = 0; whole && row < n && from->seq < end->seq; row++)
		{
			int64_t		seq = strtoll(PQgetvalue(result, row, 0), NULL, 10);

			/* numbers have no gaps: what is missing has expired */
			whole = seq == from->seq + 1;
			from->seq = seq;
			put_alarm(text, at, PQgetvalue(result, row, 1));
		}
		PQclear(result);
		if (!whole || *total > MAX_REPLAY)
			return false;
	}
	return from->seq == end->seq;
}

/* What a client has missed since its id; false: too much, or nobody knows. */
static bool
replay(FmStream *stream, const char *last_id, FmBuf *text)
{
	FmPositions	at;
	int			total = 0;

	if (!stream->known || !fm_positions_read_id(last_id, &at))
		return false;
	for (int i = 0; i < at.n; i++)
		if (fm_find_position(&stream->positions, at.items[i].name) == NULL)
			return false;
	for (int i = 0; i < stream->positions.n; i++)
	{
		const FmPosition *end = &stream->positions.items[i];
		FmPosition   *from = fm_make_position(&at, end->name);

		if (from == NULL ||
			!replay_pipeline(stream, &at, from, end, &total, text))
			return false;
	}
	return true;
}

static void
put_state(FmBuf *text, const char *event, bool up)
{
	struct timespec now;
	struct tm	tm;
	char		at[40];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	fm_buf_printf(text, "event: %s\ndata: {\"at\":\"%s.%03ldZ\","
				  "\"database\":\"%s\"}\n\n", event, at, now.tv_nsec / 1000000,
				  up ? "up" : "down");
}

/* Say hello to a client, with where we are, and give it what it missed. */
static void
welcome(FmStream *stream, const char *last_id, FmBuf *text)
{
	size_t		len;

	fm_buf_puts(text, "retry: 2000\n\n");
	put_state(text, "status", stream->was_up);
	len = text->len;
	if (last_id != NULL && !replay(stream, last_id, text))
	{
		text->len = len;
		if (stream->known)
			fm_positions_put_id(text, &stream->positions);
		fm_buf_puts(text, "event: reset\ndata: {}\n\n");
	}
	else if (stream->known)
	{
		fm_positions_put_id(text, &stream->positions);
		put_state(text, "tick", stream->was_up);
	}
}

static void
free_client(Client *client)
{
	while (client->n > 0)
		drop_first(client);
	free(client->last_id);
	free(client);
}

static Client *
next_to_join(FmStream *stream)
{
	for (Client *client = stream->clients; client; client = client->next)
		if (!client->joined && !client->gone)
			return client;
	return NULL;
}

static void
call(int fd)
{
	uint64_t	one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;					/* it has been called often enough */
}

/* With what it missed before whatever comes: both are ours to add. */
static void
join_clients(FmStream *stream)
{
	Client	   *client;
	int			n = 0;

	pthread_mutex_lock(&stream->mutex);
	while (!stream->stopping && n++ < MAX_JOINING &&
		   (client = next_to_join(stream)) != NULL)
	{
		FmBuf		text = FM_BUF_INIT;
		Event	   *event;

		client->held = true;
		pthread_mutex_unlock(&stream->mutex);
		welcome(stream, client->last_id, &text);
		event = new_event(&text);
		fm_buf_free(&text);
		pthread_mutex_lock(&stream->mutex);
		client->held = false;
		client->joined = true;
		if (client->gone)
			free_client(client);
		else
			enqueue(client, event);
		drop(event);
	}
	if (next_to_join(stream) != NULL)
		call(stream->wake);
	pthread_mutex_unlock(&stream->mutex);
}

/* ----------------------------------------------------------------------
 * The thread
 * ------------------------------------------------------------------- */

static void
tell_state(FmStream *stream, const char *event)
{
	FmBuf		text = FM_BUF_INIT;

	put_state(&text, event, stream->was_up);
	broadcast(stream, &text);
	fm_buf_free(&text);
}

/* Be connected, and listen; true: anew. */
static bool
connect_listener(FmStream *stream)
{
	bool		was_listening;
	bool		up;

	if (PQstatus(stream->connection) != CONNECTION_OK)
		stream->listening = false;
	was_listening = stream->listening;
	up = fm_database_connect(stream->database, &stream->connection);
	if (up && !stream->listening)
	{
		PGresult   *result = query(stream, "LISTEN factorymon_alerts", 0,
								   NULL);

		up = stream->listening = result != NULL;
		PQclear(result);
	}
	if (up != stream->was_up)
	{
		stream->was_up = up;
		tell_state(stream, "status");
	}
	return stream->listening && !was_listening;
}

/* Did anything come? */
static bool
take_notifications(FmStream *stream)
{
	PGnotify   *notification;
	bool		any = false;

	if (stream->connection == NULL || PQconsumeInput(stream->connection) == 0)
		return false;
	while ((notification = PQnotifies(stream->connection)) != NULL)
	{
		any = true;
		PQfreemem(notification);
	}
	return any;
}

/* Until something happens, or so many seconds. */
static void
wait_for_something(FmStream *stream, double seconds)
{
	struct pollfd fds[2] = {
		{.fd = stream->wake,.events = POLLIN},
		{.fd = stream->connection ? PQsocket(stream->connection) : -1,
		.events = POLLIN}
	};
	uint64_t	count;

	if (seconds > 0)
		(void) poll(fds, 2, (int) (seconds * 1000) + 1);
	if (read(stream->wake, &count, sizeof(count)) < 0)
		return;					/* nobody had called */
}

static void *
run(void *arg)
{
	FmStream   *stream = arg;
	double		look_at = 0;

	while (!stream->stopping)
	{
		if (connect_listener(stream))
			look_at = 0;
		if ((take_notifications(stream) || fm_now() >= look_at) &&
			stream->was_up)
		{
			look(stream);
			look_at = fm_now() + LOOK_SECONDS;
		}
		join_clients(stream);
		/* what came during a query would not wake us */
		if (take_notifications(stream))
			look_at = 0;
		else
			wait_for_something(stream, stream->was_up ?
							   look_at - fm_now() : RETRY_SECONDS);
	}
	PQfinish(stream->connection);
	return NULL;
}

/*
 * A tick says that we are alive, so nothing may hold it up: least of all a
 * database that does not answer, for which the other thread may wait.
 */
static void *
tick(void *arg)
{
	FmStream   *stream = arg;
	struct pollfd fd = {.fd = stream->ended,.events = POLLIN};

	do
		tell_state(stream, "tick");
	while (poll(&fd, 1, (int) (TICK_SECONDS * 1000)) == 0);
	return NULL;
}

FmStream *
fm_stream_start(FmDatabase *database)
{
	FmStream   *stream = fm_xcalloc(1, sizeof(FmStream));

	stream->database = database;
	pthread_mutex_init(&stream->mutex, NULL);
	stream->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	stream->ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (stream->wake >= 0 && stream->ended >= 0 &&
		pthread_create(&stream->thread, NULL, run, stream) == 0 &&
		pthread_create(&stream->ticker, NULL, tick, stream) == 0)
		return stream;
	return NULL;				/* the program ends */
}

void
fm_stream_stop(FmStream *stream)
{
	pthread_mutex_lock(&stream->mutex);
	stream->stopping = true;
	for (Client *client = stream->clients; client; client = client->next)
		resume(client);
	pthread_mutex_unlock(&stream->mutex);
	call(stream->wake);
	call(stream->ended);
	pthread_join(stream->thread, NULL);
	pthread_join(stream->ticker, NULL);
}

void
fm_stream_free(FmStream *stream)
{
	close(stream->wake);
	close(stream->ended);
	free(stream);
}

/* ----------------------------------------------------------------------
 * Clients; by the thread of HTTP
 * ------------------------------------------------------------------- */

static ssize_t
give(void *arg, uint64_t pos, char *to, size_t most)
{
	Client	   *client = arg;
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
		const Event *event = client->queue[client->first];
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
	Client	   *client = arg;
	FmStream   *stream = client->stream;
	Client	  **link;

	pthread_mutex_lock(&stream->mutex);
	for (link = &stream->clients; *link != client;)
		link = &(*link)->next;
	*link = client->next;
	stream->nclients--;
	client->gone = true;
	if (!client->held)
		free_client(client);
	pthread_mutex_unlock(&stream->mutex);
}

/* With the mutex. */
static bool
is_full(const FmStream *stream, const char *address, bool local)
{
	int			n = 0;

	for (const Client *client = stream->clients; client; client = client->next)
		n += strcmp(client->address, address) == 0;
	return stream->stopping || stream->nclients >= MAX_CLIENTS ||
		(!local && n >= MAX_OF_ADDRESS);
}

struct MHD_Response *
fm_stream_open(FmStream *stream, struct MHD_Connection *connection,
			   const char *address, bool local, const char *last_id)
{
	Client	   *client = fm_xcalloc(1, sizeof(Client));
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
		free_client(client);
		return NULL;
	}
	call(stream->wake);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, give,
												 client, forget);
	if (response == NULL)
		forget(client);
	return response;
}
