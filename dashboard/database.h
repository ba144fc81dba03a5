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
	char		error[256];		/* the last one */
} FmDatabase;

/* Seconds of a clock that is never set. */
extern double fm_now(void);

extern void fm_database_init(FmDatabase *database, const char *conninfo);

/*
 * Make *connection usable, a new one if need be; false: there is none, and
 * fm_database_state() knows why.
 */
extern bool fm_database_connect(FmDatabase *database, PGconn **connection);

/*
 * Run a query; NULL if that failed, with a text in error.  Where the connection
 * is at fault, it is closed, and the database counts as down.  *lost says so.
 */
extern PGresult *fm_database_query(FmDatabase *database, PGconn **connection,
								   const char *query, int nparams,
								   const char *const *params, char *error,
								   size_t errlen, bool *lost);

/* Is it up, since when, and what was the last error?  Copies. */
extern bool fm_database_state(FmDatabase *database, time_t *since,
							  char *error, size_t errlen);

#endif							/* FM_DATABASE_H */
