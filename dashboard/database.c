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
#define LOGIN_SECONDS 10.0

/*
 * How a session is, whatever the role's settings say: it does not take long,
 * and writes times so that json.c understands them.  Ours just reads.
 */
#define SETTINGS \
	"SET statement_timeout = '5s';" \
	"SET idle_in_transaction_session_timeout = '10s';" \
	"SET idle_session_timeout = 0;" \
	"SET TimeZone = 'UTC';" \
	"SET DateStyle = 'ISO';" \
	"SET IntervalStyle = 'iso_8601';" \
	"SET extra_float_digits = 1;" \
	"SET jit = off;" \
	"SET search_path = pg_catalog, pg_temp;"

#define OURS SETTINGS "SET default_transaction_read_only = on"
#define OF_OTHERS SETTINGS "SET default_transaction_read_only = off;" \
	"SET lock_timeout = '3s'"

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
	database->error = "not_connected_yet";
}

/* libpq's messages end with a line feed, and may have several lines. */
static void
first_line(char *to, size_t size, const char *text)
{
	size_t		len = strcspn(text, "\n");

	snprintf(to, size, "%.*s", (int) len, text);
}

/* code: for clients, where it is down; error: for the log */
static void
note(FmDatabase *database, bool up, const char *code, const char *error)
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
		database->error = code;
		database->retry_at = fm_now() + RETRY_SECONDS;
	}
	pthread_mutex_unlock(&database->mutex);
	if (!changed)
		return;
	if (up)
		fprintf(stderr, "factorymon-dashboard: connected to the database\n");
	else
		fprintf(stderr, "factorymon-dashboard: no database: %s\n", error);
}

/*
 * Send a query, and wait for its result so long; NULL where none came.  A
 * server that is stopped, or gone without a word, keeps its timeouts to itself.
 */
PGresult *
fm_database_run(PGconn *connection, const char *query, int nparams,
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

bool
fm_database_succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/*
 * Begin to connect, or do it, with these credentials instead of the usual ones
 * if there are any.
 */
static PGconn *
connect_as(const FmDatabase *database, const char *user, const char *password)
{
	/* what comes later wins: timeouts are ours unless they are given */
	static const char *const names[] = {
		"connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname", "user", "password",
		"fallback_application_name", "client_encoding", NULL
	};
	const char *const values[] = {
		"5", "10", "5", "3", "15000", database->conninfo, user, password,
		"factorymon-dashboard", "UTF8", NULL
	};

	return user == NULL ? PQconnectdbParams(names, values, 1) :
		PQconnectStartParams(names, values, 1);
}

/* What a connection needs beside being one; false, with an error. */
static bool
set_up(PGconn *connection, const char *settings, char *error, size_t errlen)
{
	PGresult   *result = NULL;
	bool		done = false;

	if (PQstatus(connection) == CONNECTION_OK)
	{
		result = fm_database_run(connection, settings, -1, NULL);
		done = fm_database_succeeded(result);
	}
	if (!done)
		first_line(error, errlen, *PQerrorMessage(connection) != '\0' ?
				   PQerrorMessage(connection) : "the server does not answer");
	PQclear(result);
	return done;
}

/* NULL, with an error, if it cannot be made as it should be. */
static PGconn *
open_connection(const FmDatabase *database, char *error, size_t errlen)
{
	PGconn	   *connection = connect_as(database, NULL, NULL);

	if (set_up(connection, OURS, error, errlen))
		return connection;
	PQfinish(connection);
	return NULL;
}

/* Until it is connected, or cannot be, or it takes too long. */
static void
finish_connecting(PGconn *connection, const atomic_bool *stop)
{
	double		deadline = fm_now() + LOGIN_SECONDS;
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (PQstatus(connection) != CONNECTION_BAD &&
		   state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED &&
		   fm_now() < deadline && !*stop)
	{
		struct pollfd fd = {.fd = PQsocket(connection),
			.events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};

		/* not for long, to notice that it is to end */
		if (fd.fd < 0 || poll(&fd, 1, 200) > 0)
			state = PQconnectPoll(connection);
	}
}

/* "FATAL:  28P01: password authentication failed ...", as it is verbose. */
static void
find_sqlstate(const char *error, char *sqlstate)
{
	static const char characters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	sqlstate[0] = '\0';
	while ((error = strstr(error, ":  ")) != NULL)
	{
		error += 3;
		if (strspn(error, characters) == FM_SQLSTATE_LEN - 1 &&
			error[FM_SQLSTATE_LEN - 1] == ':')
		{
			snprintf(sqlstate, FM_SQLSTATE_LEN, "%s", error);
			return;
		}
	}
}

/*
 * A server that asks for no password (trust, peer, a certificate of ours) has
 * not proved who this is.  libpq keeps the password for connecting again, which
 * is not done: so it is wiped there, too.
 */
PGconn *
fm_database_log_in(const FmDatabase *database, const char *user,
				   const char *password, const atomic_bool *stop,
				   char *error, size_t errlen, char *sqlstate)
{
	PGconn	   *connection = connect_as(database, user, password);

	(void) PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
	finish_connecting(connection, stop);
	if (set_up(connection, OF_OTHERS, error, errlen))
	{
		sqlstate[0] = '\0';
		if (PQconnectionUsedPassword(connection))
		{
			(void) PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
			explicit_bzero(PQpass(connection), strlen(PQpass(connection)));
			return connection;
		}
		snprintf(sqlstate, FM_SQLSTATE_LEN, "28000");
		snprintf(error, errlen, "the server has not asked for the password");
	}
	else
		find_sqlstate(error, sqlstate);
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
	char		error[256] = "";

	if (*connection != NULL && PQstatus(*connection) == CONNECTION_OK)
		return true;
	PQfinish(*connection);
	*connection = NULL;
	if (!claim_attempt(database))
		return false;
	*connection = open_connection(database, error, sizeof(error));
	note(database, *connection != NULL, "cannot_connect", error);
	return *connection != NULL;
}

/* What went wrong, for the log. */
static void
describe(PGconn *connection, const PGresult *result, bool silent, char *error,
		 size_t errlen)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	char		text[256];

	first_line(text, sizeof(text), silent ? "the server does not answer" :
			   PQerrorMessage(connection));
	snprintf(error, errlen, "%s%s%s", sqlstate != NULL ? sqlstate : "",
			 sqlstate != NULL ? ": " : "", text);
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
	bool		silent = false;

	*lost = false;
	for (int attempt = 0; attempt < 2 && *connection != NULL; attempt++)
	{
		PGresult   *result = fm_database_run(*connection, query, nparams,
											 params);

		silent = result == NULL && PQstatus(*connection) == CONNECTION_OK;
		if (fm_database_succeeded(result))
		{
			note(database, true, NULL, NULL);
			return result;
		}
		describe(*connection, result, silent, error, errlen);
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
	note(database, false, silent ? "no_answer" : "connection_lost", error);
	return NULL;
}

bool
fm_database_state(FmDatabase *database, time_t *since, const char **error)
{
	bool		up;

	pthread_mutex_lock(&database->mutex);
	up = database->up;
	*since = database->since;
	*error = database->error;
	pthread_mutex_unlock(&database->mutex);
	return up;
}

bool
fm_database_is_passing(const char *sqlstate)
{
	static const char *const beginnings[] = {
		"57014",				/* statement_timeout, or somebody's cancel */
		"55P03",				/* lock_timeout */
		"57P", "53", "40", "25006"	/* shutdown; resources; conflicts; standby */
	};

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (strncmp(sqlstate, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}
