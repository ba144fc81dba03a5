/*
 * database.c - connections to the database, and whether it is there
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "database.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define RETRY_SECONDS 1.0
#define QUERY_SECONDS 7.0		/* the server should have given up by then */

/*
 * How a session of ours is, whatever the role's settings say: it reads, does
 * not take long, and writes times so that json.c understands them.
 */
#define SETTINGS \
	"SET default_transaction_read_only = on;" \
	"SET statement_timeout = '5s';" \
	"SET idle_in_transaction_session_timeout = '10s';" \
	"SET idle_session_timeout = 0;" \
	"SET TimeZone = 'UTC';" \
	"SET DateStyle = 'ISO';" \
	"SET IntervalStyle = 'iso_8601';" \
	"SET extra_float_digits = 1;" \
	"SET jit = off;" \
	"SET search_path = pg_catalog, pg_temp"

double
fm_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

void
fm_database_init(FmDatabase *database, const char *conninfo)
{
	memset(database, 0, sizeof(*database));
	database->conninfo = conninfo;
	database->since = time(NULL);
	database->first = true;
	pthread_mutex_init(&database->mutex, NULL);
	pthread_cond_init(&database->known, NULL);
	snprintf(database->error, sizeof(database->error), "not connected yet");
}

/* libpq's messages end with a line feed, and may have several lines. */
static void
first_line(char *to, size_t size, const char *text)
{
	size_t		len = strcspn(text, "\n");

	snprintf(to, size, "%.*s", (int) len, text);
}

static void
note(FmDatabase *database, bool up, const char *error)
{
	bool		changed;

	pthread_mutex_lock(&database->mutex);
	changed = database->up != up || database->first;
	database->first = false;
	if (database->up != up)
		database->since = time(NULL);
	database->up = up;
	database->trying = false;
	pthread_cond_broadcast(&database->known);
	if (!up)
	{
		first_line(database->error, sizeof(database->error), error);
		database->retry_at = fm_now() + RETRY_SECONDS;
	}
	pthread_mutex_unlock(&database->mutex);
	if (!changed)
		return;
	if (up)
		fprintf(stderr, "factorymon-dashboard: connected to the database\n");
	else
		fprintf(stderr, "factorymon-dashboard: no database: %.*s\n",
				(int) strcspn(error, "\n"), error);
}

/*
 * Send a query, and wait for its result so long; NULL where none came.  A
 * server that is stopped, or gone without a word, keeps its timeouts to itself.
 */
static PGresult *
run(PGconn *connection, const char *query, int nparams,
	const char *const *params)
{
	double		deadline = fm_now() + QUERY_SECONDS;
	PGresult   *result = NULL;
	PGresult   *next;
	int			sent = nparams < 0 ? PQsendQuery(connection, query) :
		PQsendQueryParams(connection, query, nparams, NULL, params, NULL,
						  NULL, 0);

	while (sent == 1)
	{
		struct pollfd fd = {.fd = PQsocket(connection),.events = POLLIN};
		double		left = deadline - fm_now();

		if (PQisBusy(connection))
		{
			if (left <= 0)
			{
				PQclear(result);
				return NULL;
			}
			(void) poll(&fd, 1, (int) (left * 1000) + 1);
			if (PQconsumeInput(connection) == 0)
				break;
			continue;
		}
		next = PQgetResult(connection);
		if (next == NULL)
			return result;
		/* of several statements, the first error or the last result */
		if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR)
			PQclear(next);
		else
		{
			PQclear(result);
			result = next;
		}
	}
	PQclear(result);
	return NULL;
}

static bool
succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* NULL, with an error, if it cannot be made as it should be. */
static PGconn *
open_connection(const FmDatabase *database, char *error, size_t errlen)
{
	/* what comes later wins: timeouts are ours unless they are given */
	static const char *const names[] = {
		"connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname",
		"fallback_application_name", "client_encoding", NULL
	};
	const char *const values[] = {
		"5", "10", "5", "3", "15000", database->conninfo,
		"factorymon-dashboard", "UTF8", NULL
	};
	PGconn	   *connection = PQconnectdbParams(names, values, 1);
	PGresult   *result = NULL;

	if (PQstatus(connection) == CONNECTION_OK)
	{
		result = run(connection, SETTINGS, -1, NULL);
		if (succeeded(result))
		{
			PQclear(result);
			return connection;
		}
	}
	first_line(error, errlen, *PQerrorMessage(connection) != '\0' ?
			   PQerrorMessage(connection) : "the server does not answer");
	PQclear(result);
	PQfinish(connection);
	return NULL;
}

/*
 * Is it our turn to try?  Then nobody else does meanwhile: who asks while it is
 * down is told so at once, and only who asks before anybody knows waits.
 */
static bool
claim_attempt(FmDatabase *database)
{
	bool		ours;

	pthread_mutex_lock(&database->mutex);
	while (database->first && database->trying)
		pthread_cond_wait(&database->known, &database->mutex);
	ours = database->up ||
		(!database->trying && fm_now() >= database->retry_at);
	if (ours && !database->up)
		database->trying = true;
	pthread_mutex_unlock(&database->mutex);
	return ours;
}

bool
fm_database_connect(FmDatabase *database, PGconn **connection)
{
	char		error[256];

	if (*connection != NULL && PQstatus(*connection) == CONNECTION_OK)
		return true;
	PQfinish(*connection);
	*connection = NULL;
	if (!claim_attempt(database))
		return false;
	*connection = open_connection(database, error, sizeof(error));
	note(database, *connection != NULL, error);
	return *connection != NULL;
}

/*
 * A connection that was lost while it was idle says nothing of the database: so
 * what reads is tried once more on a new one.
 */
PGresult *
fm_database_query(FmDatabase *database, PGconn **connection,
				  const char *query, int nparams,
				  const char *const *params, char *error, size_t errlen,
				  bool *lost)
{
	*lost = false;
	for (int attempt = 0; attempt < 2 && *connection != NULL; attempt++)
	{
		PGresult   *result = run(*connection, query, nparams, params);
		bool		silent = result == NULL &&
			PQstatus(*connection) == CONNECTION_OK;

		if (succeeded(result))
		{
			note(database, true, NULL);
			return result;
		}
		first_line(error, errlen, silent ? "the server does not answer" :
				   PQerrorMessage(*connection));
		PQclear(result);
		if (!silent && PQstatus(*connection) == CONNECTION_OK)
			return NULL;
		PQfinish(*connection);
		*connection = NULL;
		if (silent)
			break;
		if (attempt == 0)
			*connection = open_connection(database, error, errlen);
	}
	*lost = true;
	note(database, false, error);
	return NULL;
}

bool
fm_database_state(FmDatabase *database, time_t *since, char *error,
				  size_t errlen)
{
	bool		up;

	pthread_mutex_lock(&database->mutex);
	up = database->up;
	*since = database->since;
	snprintf(error, errlen, "%s", database->error);
	pthread_mutex_unlock(&database->mutex);
	return up;
}
