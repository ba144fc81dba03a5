/*
 * server.h - a session of the database, never waited for without an ear for
 * signals
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_SERVER_H
#define FM_SERVER_H

#include <libpq-fe.h>
#include <stdbool.h>

/* Called while the server is waited for, several times a second. */
typedef void (*FmIdle) (void *argument);

typedef struct FmServer
{
	PGconn	   *conn;
	bool		lost;			/* nothing more will come */
	FmIdle		idle;			/* NULL: nothing to do meanwhile */
	void	   *idle_argument;
} FmServer;

/* Connect; code is what the program ends with if that fails. */
extern bool fm_server_open(FmServer *server, const char *database,
						   const char *time_zone, int *code);

/* Until there is something to read.  False: a signal came. */
extern bool fm_server_wait(FmServer *server);

/* The next result of what was sent; NULL: there is none, or a signal came. */
extern PGresult *fm_server_next(FmServer *server);

/*
 * The last result of what was sent, or that of a COPY that begins; NULL after an
 * error message that begins with what.  sent: what libpq said of sending it.
 */
extern PGresult *fm_server_finish(FmServer *server, bool sent,
								  const char *what);

/* A command without an answer. */
extern bool fm_server_run(FmServer *server, const char *sql, const char *what);

/* An error message, unless a signal is the reason. */
extern void fm_server_complain(const char *what, const char *message);

/* Also cancels what it still does for us. */
extern void fm_server_close(FmServer *server);

#endif							/* FM_SERVER_H */
