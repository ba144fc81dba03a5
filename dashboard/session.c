/*
 * session.c - who is logged in, and what they ask for
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * By the thread of HTTP, which waits for none of the sessions.
 */
#include "session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "json.h"

#define MAX_JOBS 8				/* of one session */

static const FmReason no_session = {"no_session", "nobody is logged in"};
const FmReason fm_reason_logged_out = {"logged_out",
"the session has been ended"};

/* ----------------------------------------------------------------------
 * Small things
 * ------------------------------------------------------------------- */

/*
 * That nobody is logged in is no error to whoever asks who is: browsers would
 * write one down at each visit.
 */
FmAnswer *
fm_sessions_say_nobody(const char *code)
{
	FmAnswer   *answer = fm_answer_new(MHD_HTTP_OK, "application/json");

	answer->for_one = true;
	fm_buf_puts(&answer->body, "{\"role\":null,\"actions\":[],\"code\":");
	fm_json_string(&answer->body, code);
	fm_buf_puts(&answer->body, "}\n");
	return answer;
}

FmAnswer *
fm_session_say_ended(const FmReason *reason, FmWish wish)
{
	return wish == FM_WISH_TELL ? fm_sessions_say_nobody(reason->code) :
		fm_answer_problem(MHD_HTTP_UNAUTHORIZED, reason->code,
						  reason->title, NULL);
}

FmAnswer *
fm_session_say_stopping(void)
{
	return fm_answer_problem(MHD_HTTP_SERVICE_UNAVAILABLE, "stopping",
							 "the dashboard is being stopped", NULL);
}

/* It takes as long where only the last one differs. */
static bool
is_same_token(const char *a, const char *b)
{
	unsigned char differs = 0;

	if (strlen(a) != FM_TOKEN_LEN - 1 || strlen(b) != FM_TOKEN_LEN - 1)
		return false;
	for (int i = 0; i < FM_TOKEN_LEN - 1; i++)
		differs |= (unsigned char) (a[i] ^ b[i]);
	return differs == 0;
}

void
fm_session_call(const FmSession *session)
{
	uint64_t	one = 1;

	if (write(session->wake, &one, sizeof(one)) < 0)
		return;					/* it has been called often enough */
}

void
fm_session_free_job(FmJob *job)
{
	fm_body_free(&job->body);
	free(job);
}

void
fm_session_forget_password(FmSession *session)
{
	if (session->password != NULL)
		explicit_bzero(session->password, strlen(session->password));
	free(session->password);
	session->password = NULL;
}

/* With the mutex; also of sessions that have ended. */
FmSession *
fm_session_find(FmSessions *sessions, const char *token)
{
	for (int i = 0; token != NULL && i < FM_MAX_PLACES; i++)
	{
		FmSession  *session = &sessions->places[i];

		if ((session->state == OPEN || session->state == ENDED) &&
			is_same_token(session->token, token))
			return session;
	}
	return NULL;
}

/* ----------------------------------------------------------------------
 * Asking; by the thread of HTTP
 * ------------------------------------------------------------------- */

static int
count(const FmSessions *sessions, FmSessionState state)
{
	int			n = 0;

	for (int i = 0; i < FM_MAX_PLACES; i++)
		n += sessions->places[i].state == state;
	return n;
}

/* A place that nobody has, or that of who ended first; NULL: there is none. */
static FmSession *
find_place(FmSessions *sessions)
{
	FmSession  *place = NULL;

	for (int i = 0; i < FM_MAX_PLACES; i++)
	{
		FmSession  *session = &sessions->places[i];

		if (session->state == UNUSED)
			return session;
		if (session->state == ENDED &&
			(place == NULL || session->ended_at < place->ended_at))
			place = session;
	}
	return place;
}

/* What a place has of a session that ended; its thread is past the mutex. */
static void
clear_place(FmSession *session)
{
	FmSessions *sessions = session->sessions;

	if (session->has_thread)
	{
		pthread_join(session->thread, NULL);
		close(session->wake);
	}
	free(session->user);
	fm_session_forget_password(session);
	memset(session, 0, sizeof(*session));
	session->sessions = sessions;
	session->wake = -1;
}

static bool
start_thread(FmSession *session)
{
	session->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (session->wake < 0)
		return false;
	session->has_thread = pthread_create(&session->thread, NULL,
										 fm_session_run, session) == 0;
	if (!session->has_thread)
		close(session->wake);
	return session->has_thread;
}

FmAnswer *
fm_sessions_log_in(FmSessions *sessions, const char *user,
				   const char *password, const char *address,
				   const char *old_token, FmWaiter *waiter)
{
	FmAnswer   *answer = NULL;
	FmSession  *session = NULL;

	pthread_mutex_lock(&sessions->mutex);
	/* those who are about to begin may all be let in */
	if (!sessions->stopping && count(sessions, BEGINNING) < FM_MAX_BEGINNING &&
		count(sessions, OPEN) + count(sessions, BEGINNING) < FM_MAX_OPEN)
		session = find_place(sessions);
	if (session != NULL)
	{
		clear_place(session);
		session->user = fm_xstrdup(user);
		session->password = fm_xstrdup(password);
		snprintf(session->address, sizeof(session->address), "%s", address);
		snprintf(session->old_token, sizeof(session->old_token), "%s",
				 old_token != NULL ? old_token : "");
		session->waiter = waiter;
		session->state = BEGINNING;
		if (!start_thread(session))
		{
			session->state = UNUSED;
			session = NULL;
		}
	}
	if (session != NULL)
		MHD_suspend_connection(waiter->connection);
	else
		answer = fm_answer_problem(MHD_HTTP_SERVICE_UNAVAILABLE,
								   "sessions_full",
								   "too many are logged in, or about to be",
								   NULL);
	pthread_mutex_unlock(&sessions->mutex);
	return answer;
}

/* Why a session cannot do it, or NULL; with the mutex. */
static FmAnswer *
refuse(const FmSessions *sessions, const FmSession *session, const char *csrf,
	   const FmJob *job)
{
	if (sessions->stopping)
		return fm_session_say_stopping();
	if (session == NULL)
		return fm_session_say_ended(&no_session, job->wish);
	if (session->state == ENDED || session->asked != NULL)
		return fm_session_say_ended(session->state == ENDED ?
									session->reason : session->asked,
									job->wish);
	if (job->wish != FM_WISH_TELL &&
		(csrf == NULL || !is_same_token(csrf, session->csrf)))
		return fm_answer_problem(MHD_HTTP_FORBIDDEN, "csrf",
								 "X-CSRF-Token is not that of the session",
								 NULL);
	if (session->njobs >= MAX_JOBS)
		return fm_answer_problem(MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
								 "the session has enough to do", NULL);
	return NULL;
}

FmAnswer *
fm_sessions_ask(FmSessions *sessions, const char *token, const char *csrf,
				const FmJob *job)
{
	FmJob	   *copy = fm_xmalloc(sizeof(FmJob));
	FmSession  *session;
	FmAnswer   *answer;
	FmJob	  **last;

	*copy = *job;
	copy->next = NULL;
	pthread_mutex_lock(&sessions->mutex);
	/* those of a dashboard that is stopped are somebody else's */
	session = sessions->stopping ? NULL : fm_session_find(sessions, token);
	answer = refuse(sessions, session, csrf, job);
	if (answer == NULL)
	{
		for (last = &session->jobs; *last != NULL;)
			last = &(*last)->next;
		*last = copy;
		session->njobs++;
		MHD_suspend_connection(job->waiter->connection);
		fm_session_call(session);
	}
	pthread_mutex_unlock(&sessions->mutex);
	if (answer != NULL)
		fm_session_free_job(copy);
	return answer;
}

/* ----------------------------------------------------------------------
 * All of them
 * ------------------------------------------------------------------- */

FmSessions *
fm_sessions_new(const FmDatabase *database, const FmOptions *options,
				bool secure)
{
	FmSessions *sessions = fm_xcalloc(1, sizeof(FmSessions));

	sessions->database = database;
	sessions->options = options;
	sessions->secure = secure;
	pthread_mutex_init(&sessions->mutex, NULL);
	for (int i = 0; i < FM_MAX_PLACES; i++)
	{
		sessions->places[i].sessions = sessions;
		sessions->places[i].wake = -1;
	}
	return sessions;
}

const char *
fm_sessions_cookie(const FmSessions *sessions)
{
	return sessions->secure ? "__Host-factorymon" : "factorymon";
}

void
fm_sessions_stop(FmSessions *sessions)
{
	pthread_mutex_lock(&sessions->mutex);
	sessions->stopping = true;
	for (int i = 0; i < FM_MAX_PLACES; i++)
		if (sessions->places[i].wake >= 0)
			fm_session_call(&sessions->places[i]);
	pthread_mutex_unlock(&sessions->mutex);
	/* nobody begins any more, so the places are ours */
	for (int i = 0; i < FM_MAX_PLACES; i++)
		clear_place(&sessions->places[i]);
}

void
fm_sessions_free(FmSessions *sessions)
{
	free(sessions);
}
