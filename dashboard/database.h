/*
 * database.h - connections to the database, and whether it is there
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A connection belongs to one thread.  All share one opinion on whether the
 * database can be reached, so that what cannot be reached is asked for once a
 * second and not once a request.
 */
#ifndef FM_DATABASE_H
#define FM_DATABASE_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

typedef struct FmDatabase
{
	const char *conninfo;		/* of libpq */
	pthread_mutex_t mutex;		/* of what follows */
	bool		up;
	bool		first;			/* nobody knows yet */
	bool		trying;			/* somebody is about to find out */
	pthread_cond_t known;		/* somebody has */
	time_t		since;			/* when that became so */
	double		retry_at;		/* while it is down: not before, fm_now() */
	const char *error;			/* the last one, as a code for clients */
} FmDatabase;

/* What a result or a connection that failed says, or "" where it is ours. */
#define FM_SQLSTATE_LEN 6

/* Seconds of a clock that is never set. */
extern double fm_now(void);

extern void fm_database_init(FmDatabase *database, const char *conninfo);

/*
 * Make *connection usable, a new one if need be; false: there is none, and
 * fm_database_state() knows why.
 */
extern bool fm_database_connect(FmDatabase *database, PGconn **connection);

/*
 * Run a query; NULL if that failed, with a text in error, which is for the log
 * and begins with the SQLSTATE if the server gave one.  Where the connection is
 * at fault, it is closed, and the database counts as down.  *lost says so.
 */
extern PGresult *fm_database_query(FmDatabase *database, PGconn **connection,
								   const char *query, int nparams,
								   const char *const *params, char *error,
								   size_t errlen, bool *lost);

/* Is it up, since when, and the code of the last error? */
extern bool fm_database_state(FmDatabase *database, time_t *since,
							  const char **error);

/* Is it an error that goes away, such as a timeout, says the SQLSTATE? */
extern bool fm_database_is_passing(const char *sqlstate);

/*
 * A connection of somebody's own, to the same database, that may write.  NULL
 * if the server does not let them in, or has not asked for the password: then
 * a text for the log is in error, and the SQLSTATE, if there was one.  *stop
 * ends the wait.
 */
extern PGconn *fm_database_log_in(const FmDatabase *database,
								  const char *user, const char *password,
								  const atomic_bool *stop, char *error,
								  size_t errlen, char *sqlstate);

/*
 * Send a query on any connection and wait for its result, a few seconds longer
 * than the server should take; NULL: none came.
 */
extern PGresult *fm_database_run(PGconn *connection, const char *query,
								 int nparams, const char *const *params);

extern bool fm_database_succeeded(const PGresult *result);

#endif							/* FM_DATABASE_H */
