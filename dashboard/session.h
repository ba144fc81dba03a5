/*
 * session.h - who is logged in, and what they ask for
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A session is a connection to the database with somebody's own credentials,
 * and a thread that it belongs to.  So what is done is done by the role that
 * the server has let in, and a server that does not answer one of them holds
 * up nobody else.
 *
 * The browser knows it by a random token in a cookie; whoever wants to change
 * something must know a second one (CSRF), which only our page is told.  A
 * session ends after a while without actions, after a longer one in any case,
 * with its connection, or when it is asked to.
 */
#ifndef FM_SESSION_H
#define FM_SESSION_H

#include "action.h"
#include "answer.h"
#include "options.h"

#define FM_TOKEN_LEN 65			/* 32 random bytes in digits, and the end */

typedef struct FmSessions FmSessions;

/* What somebody wants of a session. */
typedef enum FmWish
{
	FM_WISH_TELL,				/* who it is and what they may */
	FM_WISH_ACT,
	FM_WISH_END
} FmWish;

typedef struct FmJob
{
	FmWish		wish;
	const FmAction *action;
	FmBody		body;			/* freed with the job */
	FmWaiter   *waiter;
	struct FmJob *next;
} FmJob;

/* secure: browsers come by https. */
extern FmSessions *fm_sessions_new(const FmDatabase *database,
								   const FmOptions *options, bool secure);

/* Resume whoever waits, and end all sessions. */
extern void fm_sessions_stop(FmSessions *sessions);

/* When nobody can ask any more. */
extern void fm_sessions_free(FmSessions *sessions);

/* The name of the cookie. */
extern const char *fm_sessions_cookie(const FmSessions *sessions);

/*
 * Begin a session, which ends the one of old_token (or NULL).  Returns why not;
 * or NULL: then the waiter is suspended and gets the answer.
 */
extern FmAnswer *fm_sessions_log_in(FmSessions *sessions, const char *user,
									const char *password,
									const char *address,
									const char *old_token, FmWaiter *waiter);

/* What is said of a session, by that code, where there is none. */
extern FmAnswer *fm_sessions_say_nobody(const char *code);

/*
 * Have the session of a token do something, if csrf is its second one (which
 * FM_WISH_TELL does not need).  Returns why not; or NULL, as above.  The job is
 * copied, and its body taken over.
 */
extern FmAnswer *fm_sessions_ask(FmSessions *sessions, const char *token,
								 const char *csrf, const FmJob *job);

#endif							/* FM_SESSION_H */
