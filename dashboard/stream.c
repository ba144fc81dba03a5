/*
 * stream.c - events as they happen, to any number of clients
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Two threads: one reads what is new and sees to clients that join, the other
 * ticks.
 */
#include "stream_internal.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

#define TICK_SECONDS 2.0
#define RETRY_SECONDS 1.0		/* without a database */
#define LOOK_SECONDS 5.0		/* NOTIFY may get lost: look anyway */
#define AT_ONCE 500				/* events that are read by one query */
#define AT_ONCE_TEXT "500"
#define MAX_REPLAY 1000
#define MAX_JOINING 20			/* before it is looked for events again */

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
			fm_stream_broadcast(stream, &text);
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

static FmListener *
next_to_join(FmStream *stream)
{
	for (FmListener *client = stream->clients; client; client = client->next)
		if (!client->joined && !client->gone)
			return client;
	return NULL;
}

/* With what it missed before whatever comes: both are ours to add. */
static void
join_clients(FmStream *stream)
{
	FmListener *client;
	int			n = 0;

	pthread_mutex_lock(&stream->mutex);
	while (!stream->stopping && n++ < MAX_JOINING &&
		   (client = next_to_join(stream)) != NULL)
	{
		FmBuf		text = FM_BUF_INIT;
		FmEvent    *event;

		client->held = true;
		pthread_mutex_unlock(&stream->mutex);
		welcome(stream, client->last_id, &text);
		event = fm_event_new(&text);
		fm_buf_free(&text);
		pthread_mutex_lock(&stream->mutex);
		client->held = false;
		client->joined = true;
		if (client->gone)
			fm_listener_free(client);
		else
			fm_listener_enqueue(client, event);
		fm_event_drop(event);
	}
	if (next_to_join(stream) != NULL)
		fm_stream_call(stream->wake);
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
	fm_stream_broadcast(stream, &text);
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
	for (FmListener *client = stream->clients; client; client = client->next)
		fm_listener_resume(client);
	pthread_mutex_unlock(&stream->mutex);
	fm_stream_call(stream->wake);
	fm_stream_call(stream->ended);
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
