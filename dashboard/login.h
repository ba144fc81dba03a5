/*
 * login.h - what can be asked of sessions over HTTP
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *	POST /api/login				user and password: a session begins
 *	GET	 /api/session			who is logged in, if anybody, and may what
 *	POST /api/logout
 *	POST /api/alarms/ACTION		see action.h
 *
 * Requests that change something must come from a page of ours, as the browser
 * says; but for logging in they must know the session's second token, too.
 */
#ifndef FM_LOGIN_H
#define FM_LOGIN_H

#include "guard.h"
#include "session.h"

typedef struct FmLogin FmLogin;

/* secure: browsers come by https. */
extern FmLogin *fm_login_new(const FmOptions *options,
							 const FmDatabase *database, FmGuard *guard,
							 bool secure);

/* End all sessions; whoever waits gets an answer. */
extern void fm_login_stop(FmLogin *login);

/* When nobody can ask any more. */
extern void fm_login_free(FmLogin *login);

/* The methods of a path; NULL: it is none of these. */
extern const char *fm_login_methods(const char *path);

/*
 * The answer; or NULL: then the waiter is suspended, and gets it.  The methods
 * are right.
 */
extern FmAnswer *fm_login_ask(FmLogin *login,
							  struct MHD_Connection *connection,
							  const char *path, const char *body, size_t len,
							  FmWaiter *waiter);

/* To be called with what the waiter has got. */
extern void fm_login_answered(FmLogin *login,
							  struct MHD_Connection *connection,
							  const char *path, const FmAnswer *answer);

#endif							/* FM_LOGIN_H */
