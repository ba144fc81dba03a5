/*
 * session_internal.h - what session.c and session_thread.c share
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One mutex guards the list of sessions, their states and their queues.  The
 * connection is the thread's alone.  A session that has ended stays in its
 * place, to tell whoever still has its token why, until the place is needed.
 */
#ifndef FM_SESSION_INTERNAL_H
#define FM_SESSION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "session.h"

#define FM_MAX_OPEN 20
#define FM_MAX_BEGINNING 8		/* that the server has not let in yet */
#define FM_MAX_PLACES (FM_MAX_OPEN + FM_MAX_BEGINNING)

typedef enum FmSessionState
{
	UNUSED,
	BEGINNING,
	OPEN,
	ENDED
} FmSessionState;

/* Why one ended: the code, and the words. */
typedef struct FmReason
{
	const char *code;
	const char *title;
} FmReason;

extern const FmReason fm_reason_logged_out;

typedef struct FmSession
{
	FmSessions *sessions;
	FmSessionState state;
	const FmReason *reason;		/* where it has ended */
	const FmReason *asked;		/* to end, for this reason */
	double		ended_at;
	double		opened_at;
	time_t		ends_at;		/* what people are told, the same each time */
	double		used_at;
	char		token[FM_TOKEN_LEN];
	char		csrf[FM_TOKEN_LEN];
	FmJob	   *jobs;
	int			njobs;
	int			wake;			/* eventfd: a job, or the end */
	bool		has_thread;
	pthread_t	thread;
	/* of the thread, from the beginning on */
	PGconn	   *connection;
	char	   *user;
	char	   *password;		/* wiped as soon as it was used */
	char		address[64];
	char		old_token[FM_TOKEN_LEN];
	FmWaiter   *waiter;			/* for the answer to the login */
} FmSession;

struct FmSessions
{
	const FmDatabase *database;
	const FmOptions *options;
	bool		secure;
	pthread_mutex_t mutex;
	atomic_bool stopping;
	FmSession	places[FM_MAX_PLACES];
};

/* What a session's thread runs; arg: the session, that is BEGINNING. */
extern void *fm_session_run(void *arg);

/* One by its token, also one that has ended; with the mutex. */
extern FmSession *fm_session_find(FmSessions *sessions, const char *token);

/* Wake its thread. */
extern void fm_session_call(const FmSession *session);

extern void fm_session_forget_password(FmSession *session);

extern void fm_session_free_job(FmJob *job);

/* To whom it matters that there is no session: an answer, or why not. */
extern FmAnswer *fm_session_say_ended(const FmReason *reason, FmWish wish);

extern FmAnswer *fm_session_say_stopping(void);

#endif							/* FM_SESSION_INTERNAL_H */
