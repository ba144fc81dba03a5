/*
 * database.c - connections to the database, and whether it is there
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "database.h"

#include <stdio.h>
#include <string.h>

#define RETRY_SECONDS 1.0

/*
 * How a session of ours is, whatever the role's settings say: it reads, does
 * not take long, and writes times so that json.c understands them.
 */
#define SETTINGS \
	"SET default_transaction_read_only = on;" \
	"SET statement_timeout = '5s';" \
	"SET idle_in_transaction_session_timeout = '10s';" \
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
fm_database_init(FmDatabase *database, const char *conninfo, bool verbose)
{
	memset(database, 0, sizeof(*database));
	database->conninfo = conninfo;
	database->verbose = verbose;
	database->since = time(NULL);
	pthread_mutex_init(&database->mutex, NULL);
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
	changed = database->up != up ||
		(!up && strncmp(database->error, "not connected yet", 9) == 0);
	if (database->up != up)
		database->since = time(NULL);
	database->up = up;
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

static PGconn *
open_connection(const FmDatabase *database)
{
	/* what comes later wins: the timeout is ours unless it is given */
	static const char *const names[] = {
		"connect_timeout", "dbname", "fallback_application_name",
		"client_encoding", NULL
	};
	const char *const values[] = {
		"5", database->conninfo, "factorymon-dashboard", "UTF8", NULL
	};
	PGconn	   *connection = PQconnectdbParams(names, values, 1);
	PGresult   *result;

	if (PQstatus(connection) != CONNECTION_OK)
		return connection;
	result = PQexec(connection, SETTINGS);
	PQclear(result);
	return connection;
}

bool
fm_database_connect(FmDatabase *database, PGconn **connection)
{
	bool		wait;

	if (*connection != NULL && PQstatus(*connection) == CONNECTION_OK)
		return true;
	PQfinish(*connection);
	*connection = NULL;
	pthread_mutex_lock(&database->mutex);
	wait = !database->up && fm_now() < database->retry_at;
	pthread_mutex_unlock(&database->mutex);
	if (wait)
		return false;
	*connection = open_connection(database);
	if (PQstatus(*connection) == CONNECTION_OK)
	{
		note(database, true, NULL);
		return true;
	}
	note(database, false, PQerrorMessage(*connection));
	PQfinish(*connection);
	*connection = NULL;
	return false;
}

PGresult *
fm_database_query(FmDatabase *database, PGconn **connection,
				  const char *query, int nparams,
				  const char *const *params, char *error, size_t errlen,
				  bool *lost)
{
	PGresult   *result = PQexecParams(*connection, query, nparams, NULL,
									  params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	*lost = false;
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	first_line(error, errlen, PQerrorMessage(*connection));
	PQclear(result);
	if (PQstatus(*connection) == CONNECTION_OK)
		return NULL;
	*lost = true;
	note(database, false, PQerrorMessage(*connection));
	PQfinish(*connection);
	*connection = NULL;
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
