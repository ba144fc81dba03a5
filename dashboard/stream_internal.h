/*
 * stream_internal.h - what stream.c and stream_client.c share
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *	stream.c		reads events and has clients join: its threads
 *	stream_client.c	clients and their queues, as HTTP sees them
 *
 * One mutex guards clients and their queues.  A client's connection is
 * suspended while its queue is empty, by the thread of HTTP, under the mutex;
 * who puts something into the queue resumes it, under the mutex, too.  A
 * suspended connection does not notice that the client has left, so the tick
 * is also what finds that out.
 *
 * Events are shared by all clients that they wait for.
 */
#ifndef FM_STREAM_INTERNAL_H
#define FM_STREAM_INTERNAL_H

#include <stdatomic.h>

#include "../producer/buf.h"
#include "positions.h"
#include "stream.h"

#define FM_STREAM_QUEUE 256		/* events that may wait for a client */

typedef struct FmEvent
{
	int			references;
	size_t		len;
	char		text[];
} FmEvent;

typedef struct FmListener
{
	struct FmListener *next;
	FmStream   *stream;
	struct MHD_Connection *connection;
	char		address[64];
	char	   *last_id;		/* to be replayed from; NULL: no */
	bool		joined;			/* gets events; else the thread sees to it */
	bool		suspended;
	bool		gone;			/* the thread frees it when it is done with it */
	bool		held;			/* by the thread, without the mutex */
	FmEvent    *queue[FM_STREAM_QUEUE];	/* a ring */
	int			first;
	int			n;
	size_t		offset;			/* of the first one, sent already */
} FmListener;

struct FmStream
{
	FmDatabase *database;
	pthread_mutex_t mutex;
	FmListener *clients;
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

/* One that the caller holds. */
extern FmEvent *fm_event_new(const FmBuf *text);

/* Hold it no more; with the mutex, if anybody else may hold it. */
extern void fm_event_drop(FmEvent *event);

/*
 * With the mutex.  A client that does not read gets a reset for all that it
 * missed; what it has begun to read is ended first.
 */
extern void fm_listener_enqueue(FmListener *client, FmEvent *event);

/* Have it look at its queue again; with the mutex. */
extern void fm_listener_resume(FmListener *client);

/* One that is in no list any more; with the mutex. */
extern void fm_listener_free(FmListener *client);

/* To all who have joined. */
extern void fm_stream_broadcast(FmStream *stream, const FmBuf *text);

/* Wake a thread, by its eventfd. */
extern void fm_stream_call(int fd);

#endif							/* FM_STREAM_INTERNAL_H */
