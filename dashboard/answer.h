/*
 * answer.h - answers that need the database: found once, given to all who ask
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Whoever asks for something gets what was found within the last second, or
 * waits, suspended, for a query that runs, or makes one run: each thing is
 * asked of the database once a second at most, however many clients ask.  The
 * queries are run by threads of their own, with a connection each; the thread
 * that serves HTTP never waits.
 *
 * An answer does not change once it is there, and lives as long as somebody
 * holds it.
 */
#ifndef FM_ANSWER_H
#define FM_ANSWER_H

#include <microhttpd.h>

#include "../producer/buf.h"
#include "database.h"
#include "endpoint.h"
#include "etag.h"

typedef struct FmAnswer
{
	int			references;		/* under the mutex of answer.c */
	unsigned	status;			/* of HTTP */
	const char *type;			/* Content-Type */
	FmBuf		body;
	char		etag[FM_ETAG_LEN];	/* weak, of what was found; "": none */
	bool		for_one;		/* nobody else may see it */
	int			retry_after;	/* seconds; 0: as is usual for the status */
	char		cookie[192];	/* to be set; "": none */
	char		file[40];		/* to be saved under that name; "": shown */
	const char *truncated;		/* "true" or "false", where the body cannot say
								 * that there is more; else NULL */
} FmAnswer;

/* A request that waits; inside of whatever the caller has for it. */
typedef struct FmWaiter
{
	struct MHD_Connection *connection;
	FmAnswer   *answer;			/* set before the connection is resumed */
	struct FmWaiter *next;
} FmWaiter;

typedef struct FmAnswers FmAnswers;

/* Start with so many threads. */
extern FmAnswers *fm_answers_start(FmDatabase *database, int threads);

/* Resume whoever waits, with an answer that says so, and end. */
extern void fm_answers_stop(FmAnswers *answers);

/* When nobody can ask any more. */
extern void fm_answers_free(FmAnswers *answers);

/*
 * The answer of an endpoint for these values (NULL: null), held for the
 * caller; or NULL: then the connection was suspended, and waiter->answer will
 * be there when it is resumed.  endpoint NULL asks for the metrics; another
 * form than JSON for the first list, as a file.
 */
extern FmAnswer *fm_answers_ask(FmAnswers *answers,
								const FmEndpoint *endpoint, FmForm form,
								char values[][FM_MAX_VALUE],
								const bool *given, FmWaiter *waiter);

extern void fm_answer_release(FmAnswers *answers, FmAnswer *answer);

/* A new one, for whoever asked alone. */
extern FmAnswer *fm_answer_new(unsigned status, const char *type);

/* The same, of a problem with this code. */
extern FmAnswer *fm_answer_problem(unsigned status, const char *code,
								   const char *title, const char *detail);

/* The same, of an error that is logged as one of this place. */
extern FmAnswer *fm_answer_error(unsigned status, const char *code,
								 const char *title, const char *where,
								 const char *error);

/*
 * A problem (RFC 9457) as the body of an answer.  Codes are for programs, and
 * stay as they are; NULL: the usual one of the status.  detail and id (of the
 * line in the log) may be NULL.
 */
extern void fm_problem_coded(FmBuf *buf, unsigned status, const char *code,
							 const char *title, const char *detail,
							 const char *id);

extern void fm_problem(FmBuf *buf, unsigned status, const char *title,
					   const char *detail);

/* The time, as JSON has it. */
extern void fm_answer_put_time(FmBuf *buf, time_t at);

#endif							/* FM_ANSWER_H */
