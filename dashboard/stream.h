/*
 * stream.h - events as they happen, to any number of clients
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Server-sent events (HTML standard, 9.2) of four kinds:
 *
 *	alarm	what factorymon.alert_outbox has, its payload as data, the position
 *			behind it as id
 *	status	the database came or went: {"at", "database"}
 *	tick	every two seconds, so that clients know that silence is none
 *	reset	some events were missed: ask for everything anew
 *
 * An id is where each pipeline is, "name:number,name:number", with names
 * percent-encoded.  A client that comes back with one (Last-Event-ID) gets what
 * it missed, or a reset where that is too much.
 *
 * A thread with a connection of its own listens to NOTIFY factorymon_alerts and
 * reads what is new; it is the only one that adds events, but for ticks, which
 * another one sees to.
 */
#ifndef FM_STREAM_H
#define FM_STREAM_H

#include <microhttpd.h>

#include "database.h"

typedef struct FmStream FmStream;

extern FmStream *fm_stream_start(FmDatabase *database);

/* End all streams, and the thread; then the daemon may be stopped. */
extern void fm_stream_stop(FmStream *stream);

/* When there are no clients any more. */
extern void fm_stream_free(FmStream *stream);

/*
 * The response for a new client; NULL: there are too many, of all or of this
 * address (not counted for addresses of this machine).  last_id may be NULL.
 */
extern struct MHD_Response *fm_stream_open(FmStream *stream,
										   struct MHD_Connection *connection,
										   const char *address, bool local,
										   const char *last_id);

#endif							/* FM_STREAM_H */
