/*
 * login.c - what can be asked of sessions over HTTP
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * By the thread of HTTP, which looks at the request and leaves the rest to
 * session.c.
 */
#include "login.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tries.h"

#define LOGIN "/api/login"
#define LOGOUT "/api/logout"
#define SESSION "/api/session"
#define ACTIONS "/api/alarms/"

struct FmLogin
{
	const FmOptions *options;
	FmGuard    *guard;
	FmTries    *tries;
	bool		secure;
	FmSessions *sessions;
};

/* A name is cut at 63 bytes by the server: another one is meant then. */
static const FmField login_fields[FM_MAX_FIELDS] = {
	{"user", FM_FIELD_TEXT, true, NULL, 1, 63},
	{"password", FM_FIELD_TEXT, true, NULL, 1, 1000},
};

FmLogin *
fm_login_new(const FmOptions *options, const FmDatabase *database,
			 FmGuard *guard, bool secure)
{
	FmLogin    *login = fm_xcalloc(1, sizeof(FmLogin));

	login->options = options;
	login->guard = guard;
	login->tries = fm_tries_new();
	login->secure = secure;
	login->sessions = fm_sessions_new(database, options, secure);
	return login;
}

void
fm_login_stop(FmLogin *login)
{
	fm_sessions_stop(login->sessions);
}

void
fm_login_free(FmLogin *login)
{
	fm_sessions_free(login->sessions);
	fm_tries_free(login->tries);
	free(login);
}

static const FmAction *
action_of(const char *path)
{
	return strncmp(path, ACTIONS, strlen(ACTIONS)) == 0 ?
		fm_action_find(path + strlen(ACTIONS)) : NULL;
}

const char *
fm_login_methods(const char *path)
{
	if (strcmp(path, SESSION) == 0)
		return "GET, HEAD";
	return strcmp(path, LOGIN) == 0 || strcmp(path, LOGOUT) == 0 ||
		action_of(path) != NULL ? "POST" : NULL;
}

/* ----------------------------------------------------------------------
 * Requests
 * ------------------------------------------------------------------- */

static const char *
header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static const char *
token_of(const FmLogin *login, struct MHD_Connection *connection)
{
	return MHD_lookup_connection_value(connection, MHD_COOKIE_KIND,
									   fm_sessions_cookie(login->sessions));
}

/* What no form of another site can send. */
static bool
is_json(struct MHD_Connection *connection)
{
	static const char json[] = "application/json";
	const char *type = header_of(connection, "Content-Type");

	return type != NULL && strncasecmp(type, json, strlen(json)) == 0 &&
		(type[strlen(json)] == '\0' || strchr("; ", type[strlen(json)]));
}

/* The body's members, which are the caller's to free; or why not. */
static FmAnswer *
read_body(FmBody *body, const FmField *fields,
		  struct MHD_Connection *connection, const char *text, size_t len)
{
	FmAnswer   *answer;

	if (!is_json(connection))
		return fm_answer_problem(MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "not_json",
								 "the body must be application/json", NULL);
	if (fm_body_read(body, fields, text, len))
		return NULL;
	answer = fm_answer_problem(MHD_HTTP_BAD_REQUEST, "bad_body",
							   "the body is not what it should be",
							   body->error);
	fm_body_free(body);
	return answer;
}

static FmAnswer *
log_in(FmLogin *login, struct MHD_Connection *connection, const char *text,
	   size_t len, FmWaiter *waiter)
{
	FmBody		body;
	FmClient	client;
	FmAnswer   *answer = read_body(&body, login_fields, connection, text, len);
	int			wait;

	if (answer != NULL)
		return answer;
	fm_guard_client(login->guard, connection, &client);
	wait = fm_tries_count(login->tries, client.address);
	if (wait == 0)
	{
		answer = fm_sessions_log_in(login->sessions, body.values[0],
									body.values[1], client.address,
									token_of(login, connection), waiter);
		if (answer != NULL)
			fm_tries_forgive(login->tries, client.address);
	}
	else
	{
		answer = fm_answer_problem(MHD_HTTP_TOO_MANY_REQUESTS,
								   "too_many_logins",
								   "too many attempts to log in", NULL);
		answer->retry_after = wait;
	}
	fm_body_free(&body);
	return answer;
}

static FmAnswer *
act(FmLogin *login, struct MHD_Connection *connection, const char *path,
	const char *text, size_t len, FmWaiter *waiter)
{
	FmJob		job = {.wish = FM_WISH_ACT,.action = action_of(path),
	.waiter = waiter};
	FmAnswer   *answer = read_body(&job.body, job.action->fields, connection,
								   text, len);

	return answer != NULL ? answer :
		fm_sessions_ask(login->sessions, token_of(login, connection),
						header_of(connection, "X-CSRF-Token"), &job);
}

FmAnswer *
fm_login_ask(FmLogin *login, struct MHD_Connection *connection,
			 const char *path, const char *body, size_t len,
			 FmWaiter *waiter)
{
	FmJob		job = {.wish = FM_WISH_TELL,.waiter = waiter};

	if (login->options->no_login && strcmp(path, SESSION) == 0)
		return fm_sessions_say_nobody("login_off");
	if (login->options->no_login)
		return fm_answer_problem(MHD_HTTP_NOT_FOUND, "login_off",
								 "nobody can log in here", NULL);
	if (strcmp(path, SESSION) == 0)
		return fm_sessions_ask(login->sessions, token_of(login, connection),
							   NULL, &job);
	if (!fm_guard_is_our_page(connection, login->secure))
		return fm_answer_problem(MHD_HTTP_FORBIDDEN, "foreign_page",
								 "that does not come from a page of this"
								 " dashboard", NULL);
	if (strcmp(path, LOGIN) == 0)
		return log_in(login, connection, body, len, waiter);
	if (strcmp(path, LOGOUT) != 0)
		return act(login, connection, path, body, len, waiter);
	job.wish = FM_WISH_END;
	return fm_sessions_ask(login->sessions, token_of(login, connection),
						   header_of(connection, "X-CSRF-Token"), &job);
}

/* Only wrong credentials count as attempts. */
void
fm_login_answered(FmLogin *login, struct MHD_Connection *connection,
				  const char *path, const FmAnswer *answer)
{
	FmClient	client;

	if (strcmp(path, LOGIN) != 0 || answer->status == MHD_HTTP_UNAUTHORIZED)
		return;
	fm_guard_client(login->guard, connection, &client);
	fm_tries_forgive(login->tries, client.address);
}
