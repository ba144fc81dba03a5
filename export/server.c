/*
 * server.c - a session of the database, never waited for without an ear for
 * signals
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "server.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "interrupt.h"
#include "options.h"

#define IDLE_MS 200

/* ----------------------------------------------------------------------
 * Waiting
 * ------------------------------------------------------------------- */

void
fm_server_complain(const char *what, const char *message)
{
	if (fm_interrupted() == 0)
		fprintf(stderr, "factorymon-export: %s: %s", what, message);
}

bool
fm_server_wait(FmServer *server)
{
	struct pollfd fd = {.fd = PQsocket(server->conn),.events = POLLIN};
	int			ready;

	if (fm_interrupted() != 0)
		return false;
	if (PQflush(server->conn) > 0)
		fd.events |= POLLOUT;
	ready = poll(&fd, 1, IDLE_MS);
	if (server->idle != NULL)
		server->idle(server->idle_argument);
	if (ready > 0 && PQconsumeInput(server->conn) == 0)
		server->lost = true;
	return fm_interrupted() == 0;
}

PGresult *
fm_server_next(FmServer *server)
{
	/* it does not wait any more then, and says what is wrong */
	while (!server->lost && PQisBusy(server->conn))
		if (!fm_server_wait(server))
			return NULL;
	return PQgetResult(server->conn);
}

PGresult *
fm_server_finish(FmServer *server, bool sent, const char *what)
{
	PGresult   *result = NULL;
	PGresult   *next;

	while (sent && (next = fm_server_next(server)) != NULL)
	{
		PQclear(result);
		result = next;
		if (PQresultStatus(result) == PGRES_COPY_OUT)
			return result;
	}
	if (result == NULL || fm_interrupted() != 0)
		fm_server_complain(what, PQerrorMessage(server->conn));
	else if (PQresultStatus(result) == PGRES_TUPLES_OK ||
			 PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;
	else
		fm_server_complain(what, PQresultErrorMessage(result));
	PQclear(result);
	return NULL;
}

bool
fm_server_run(FmServer *server, const char *sql, const char *what)
{
	PGresult   *result = fm_server_finish(server,
										  PQsendQuery(server->conn, sql),
										  what);

	PQclear(result);
	return result != NULL;
}

/* ----------------------------------------------------------------------
 * Connecting
 * ------------------------------------------------------------------- */

static bool
connect_server(FmServer *server, const char *database)
{
	static const char *const keywords[] = {"fallback_application_name",
		"keepalives_idle", "keepalives_interval", "keepalives_count",
	"dbname", "client_encoding", NULL};
	/* a server that is cut off is noticed within two minutes */
	const char *values[] = {"factorymon-export", "60", "10", "6",
		database, "UTF8", NULL};

	server->conn = PQconnectdbParams(keywords, values, 1);
	if (PQstatus(server->conn) == CONNECTION_OK)
		return true;
	fm_server_complain("cannot connect", PQerrorMessage(server->conn));
	return false;
}

static bool
set_session(FmServer *server, const char *time_zone, int *code)
{
	PGresult   *result;
	bool		sent;

	if (!fm_server_run(server, "SET search_path = pg_catalog;"
					   " SET DateStyle = ISO; SET IntervalStyle = postgres;"
					   " SET extra_float_digits = 1; SET jit = off",
					   "cannot set up the session"))
		return false;
	if (*time_zone == '\0')
		return true;
	sent = PQsendQueryParams(server->conn,
							 "SELECT set_config('TimeZone', $1, false)", 1,
							 NULL, &time_zone, NULL, NULL, 0);
	result = fm_server_finish(server, sent, "--time-zone");
	PQclear(result);
	*code = result != NULL ? *code : FM_EXIT_USAGE;
	return result != NULL;
}

bool
fm_server_open(FmServer *server, const char *database, const char *time_zone,
			   int *code)
{
	return connect_server(server, database) &&
		set_session(server, time_zone, code);
}

/* What the server still does for us, it need not. */
static void
cancel(PGconn *conn)
{
	PGcancel   *request = PQgetCancel(conn);
	char		message[256];

	if (request != NULL)
		(void) PQcancel(request, message, sizeof(message));
	PQfreeCancel(request);
}

void
fm_server_close(FmServer *server)
{
	if (PQstatus(server->conn) == CONNECTION_OK &&
		PQtransactionStatus(server->conn) == PQTRANS_ACTIVE)
		cancel(server->conn);
	PQfinish(server->conn);
}
