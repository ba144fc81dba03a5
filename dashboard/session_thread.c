/*
 * session_thread.c - a session from its beginning to its end, by its own thread
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "session_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static const FmReason was_idle = {"session_idle",
"the session has ended, because nothing was done for a while"};
static const FmReason was_long = {"session_over",
"the session has ended, because it has lasted for long enough"};
static const FmReason was_lost = {"session_lost",
"the session's connection to the database was lost"};

/* With the mutex, as it was suspended. */
static void
settle(FmWaiter *waiter, FmAnswer *answer)
{
	/* it may be gone as soon as its connection goes on */
	waiter->answer = answer;
	MHD_resume_connection(waiter->connection);
}

/* ----------------------------------------------------------------------
 * Beginning; by the session's thread
 * ------------------------------------------------------------------- */

/* Why the server has not let them in; the log knows it better. */
static FmAnswer *
say_not_in(const FmSession *session, const char *sqlstate, const char *error)
{
	char		user[256];
	char		where[400];

	snprintf(where, sizeof(where), "login of \"%s\" from %s",
			 fm_log_escape(user, sizeof(user), session->user),
			 session->address);
	if (strncmp(sqlstate, "28", 2) == 0)
		return fm_answer_error(MHD_HTTP_UNAUTHORIZED, "wrong_credentials",
							   "the database does not accept this user with"
							   " this password", where, error);
	if (strcmp(sqlstate, "42501") == 0)
		return fm_answer_error(MHD_HTTP_FORBIDDEN, "not_allowed",
							   "the role may not connect to this database",
							   where, error);
	if (sqlstate[0] != '\0' && fm_database_is_passing(sqlstate))
		return fm_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "database_busy",
							   "the database takes no more connections now",
							   where, error);
	return fm_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "database_down",
						   "the database cannot be reached", where, error);
}

/* What the page has to know; NULL, with an error: that cannot be told. */
static FmAnswer *
describe(FmSession *session, char *error, size_t errlen)
{
	const FmOptions *options = session->sessions->options;
	FmAnswer   *answer = fm_answer_new(MHD_HTTP_OK, "application/json");

	answer->for_one = true;
	fm_buf_putc(&answer->body, '{');
	if (!fm_action_put_rights(&answer->body, session->connection, error,
							  errlen))
	{
		fm_buf_free(&answer->body);
		free(answer);
		return NULL;
	}
	fm_buf_printf(&answer->body, ",\"csrf_token\":\"%s\",\"ends_at\":",
				  session->csrf);
	fm_answer_put_time(&answer->body, session->ends_at);
	fm_buf_printf(&answer->body, ",\"idle_seconds\":%d}\n",
				  options->session_idle);
	return answer;
}

static void
set_cookie(const FmSession *session, FmAnswer *answer, bool gone)
{
	const FmSessions *sessions = session->sessions;

	snprintf(answer->cookie, sizeof(answer->cookie),
			 "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
			 fm_sessions_cookie(sessions), gone ? "" : session->token,
			 sessions->secure ? "; Secure" : "", gone ? "; Max-Age=0" : "");
}

/* Be logged in and have an answer that says so; false: one that says why not. */
static bool
log_in(FmSession *session, FmAnswer **answer)
{
	char		error[512] = "";
	char		sqlstate[FM_SQLSTATE_LEN];

	session->connection =
		fm_database_log_in(session->sessions->database, session->user,
						   session->password, &session->sessions->stopping,
						   error, sizeof(error), sqlstate);
	fm_session_forget_password(session);
	*answer = NULL;
	if (session->connection != NULL)
		*answer = describe(session, error, sizeof(error));
	if (*answer != NULL)
	{
		set_cookie(session, *answer, false);
		return true;
	}
	*answer = say_not_in(session, sqlstate, error);
	return false;
}

/* The state that follows, and the answer out; false: they are not let in. */
static bool
begin(FmSession *session)
{
	FmSessions *sessions = session->sessions;
	FmAnswer   *answer;
	bool		in;
	FmSession  *old;

	fm_random_hex(session->token, (FM_TOKEN_LEN - 1) / 2);
	fm_random_hex(session->csrf, (FM_TOKEN_LEN - 1) / 2);
	session->opened_at = session->used_at = fm_now();
	session->ends_at = time(NULL) + session->sessions->options->session_most;
	in = log_in(session, &answer);
	pthread_mutex_lock(&sessions->mutex);
	old = fm_session_find(sessions, session->old_token);
	if (in && old != NULL && old->state == OPEN)
	{
		old->asked = &fm_reason_logged_out;
		fm_session_call(old);
	}
	if (in)
		session->state = OPEN;
	settle(session->waiter, answer);
	session->waiter = NULL;
	pthread_mutex_unlock(&sessions->mutex);
	return in;
}

/* ----------------------------------------------------------------------
 * While it lasts; by the session's thread
 * ------------------------------------------------------------------- */

/* Why it is over, or NULL; with the mutex. */
static const FmReason *
reason_to_end(const FmSession *session)
{
	const FmOptions *options = session->sessions->options;
	double		now = fm_now();

	if (session->asked != NULL)
		return session->asked;
	if (PQstatus(session->connection) != CONNECTION_OK)
		return &was_lost;
	if (now >= session->opened_at + options->session_most)
		return &was_long;
	if (now >= session->used_at + options->session_idle)
		return &was_idle;
	return NULL;
}

/* What is asked for; *lost: the connection must not be used any more. */
static FmAnswer *
do_job(FmSession *session, const FmJob *job, bool *lost)
{
	char		error[512];
	FmAnswer   *answer;

	switch (job->wish)
	{
		case FM_WISH_ACT:
			return fm_action_run(session->connection, job->action,
								 job->body.values, lost);
		case FM_WISH_END:
			answer = fm_answer_new(MHD_HTTP_NO_CONTENT, NULL);
			answer->for_one = true;
			set_cookie(session, answer, true);
			return answer;
		case FM_WISH_TELL:
			break;
	}
	answer = describe(session, error, sizeof(error));
	if (answer != NULL)
		return answer;
	*lost = PQtransactionStatus(session->connection) != PQTRANS_IDLE;
	return PQstatus(session->connection) == CONNECTION_OK ?
		fm_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "database_silent",
						"the database does not answer", "session", error) :
		fm_session_say_ended(&was_lost, job->wish);
}

/* With the mutex, which it gives up meanwhile. */
static void
work_on(FmSession *session, FmJob *job)
{
	FmSessions *sessions = session->sessions;
	bool		lost = false;
	FmAnswer   *answer;

	pthread_mutex_unlock(&sessions->mutex);
	answer = do_job(session, job, &lost);
	pthread_mutex_lock(&sessions->mutex);
	/* before the answer is out, so that whoever has it finds it so */
	if (job->wish == FM_WISH_ACT)
		session->used_at = fm_now();
	if (job->wish == FM_WISH_END)
		session->asked = &fm_reason_logged_out;
	else if (lost)
		session->asked = &was_lost;
	settle(job->waiter, answer);
	fm_session_free_job(job);
}

/* For a job, or until the connection says something: that is its end mostly. */
static void
wait_for_something(FmSession *session, double until)
{
	struct pollfd fds[2] = {
		{.fd = session->wake,.events = POLLIN},
		{.fd = PQsocket(session->connection),.events = POLLIN}
	};
	double		left = until - fm_now();
	uint64_t	n;

	if (left > 0 && poll(fds, 2, (int) (left * 1000) + 1) > 0 &&
		fds[1].revents != 0 && PQconsumeInput(session->connection) == 1)
		PQfreemem(PQnotifies(session->connection));
	if (read(session->wake, &n, sizeof(n)) < 0)
		return;					/* nobody had called */
}

/* Do what is asked, until there is a reason to end. */
static const FmReason *
serve(FmSession *session)
{
	FmSessions *sessions = session->sessions;
	const FmOptions *options = sessions->options;
	const FmReason *reason;

	pthread_mutex_lock(&sessions->mutex);
	while ((reason = reason_to_end(session)) == NULL && !sessions->stopping)
	{
		double		idle = session->used_at + options->session_idle;
		double		most = session->opened_at + options->session_most;
		FmJob	   *job = session->jobs;

		if (job != NULL)
		{
			session->jobs = job->next;
			session->njobs--;
			work_on(session, job);
			continue;
		}
		pthread_mutex_unlock(&sessions->mutex);
		wait_for_something(session, idle < most ? idle : most);
		pthread_mutex_lock(&sessions->mutex);
	}
	pthread_mutex_unlock(&sessions->mutex);
	return reason;
}

void *
fm_session_run(void *arg)
{
	FmSession  *session = arg;
	FmSessions *sessions = session->sessions;
	const FmReason *reason = NULL;

	if (begin(session))
		reason = serve(session);
	PQfinish(session->connection);
	session->connection = NULL;
	pthread_mutex_lock(&sessions->mutex);
	session->state = reason != NULL ? ENDED : UNUSED;
	session->reason = reason;
	session->ended_at = fm_now();
	while (session->jobs != NULL)
	{
		FmJob	   *job = session->jobs;

		session->jobs = job->next;
		settle(job->waiter, reason != NULL ?
			   fm_session_say_ended(reason, job->wish) :
			   fm_session_say_stopping());
		fm_session_free_job(job);
	}
	session->njobs = 0;
	pthread_mutex_unlock(&sessions->mutex);
	return NULL;
}
