/*
 * http.c - listening, and requests as they come in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One thread, which never waits: what needs the database is asked of answer.c,
 * which suspends the connection until the answer is there.  Then libmicrohttpd
 * calls again for the same request.  route.c knows what it is for, response.c
 * how it goes out.
 */
#include "http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "response.h"

#define MAX_CONNECTIONS 1000
#define IDLE_SECONDS 30
#define CONNECTION_MEMORY (16 * 1024)
#define MAX_IGNORED (1024 * 1024)	/* of a body; beyond, nobody listens */

/* ----------------------------------------------------------------------
 * Called by libmicrohttpd
 * ------------------------------------------------------------------- */

/*
 * When its headers are there.  A body has a length that is told before, or
 * somebody could send one without an end.
 */
static enum MHD_Result
begin_request(struct MHD_Connection *connection)
{
	const char *len = fm_header_of(connection, "Content-Length");

	if (fm_header_of(connection, "Transfer-Encoding") != NULL)
		return fm_refuse(connection, MHD_HTTP_LENGTH_REQUIRED,
						 "a body needs a Content-Length", NULL, NULL);
	if (len != NULL && strtoull(len, NULL, 10) > MAX_IGNORED)
		return fm_refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE,
						 "a body of at most 16 KiB will do", NULL, NULL);
	return MHD_YES;
}

/* A piece of the body, which is kept where somebody wants it. */
static void
take_body(FmRequest *request, const char *path, const char *data, size_t size)
{
	request->body_len += size;
	if (fm_login_methods(path) == NULL)
		return;
	if (request->body_len <= FM_MAX_BODY)
	{
		/* all at once, so that nothing is copied and left behind */
		fm_buf_reserve(&request->body, FM_MAX_BODY - request->body.len);
		fm_buf_put(&request->body, data, size);
	}
	/* libmicrohttpd is done with it, too */
	explicit_bzero((void *) (uintptr_t) data, size);
}

static void
log_request(const char *method, const char *path)
{
	char		safe[512];
	char		safe_method[40];

	fprintf(stderr, "factorymon-dashboard: %s %s\n",
			fm_log_escape(safe_method, sizeof(safe_method), method),
			fm_log_escape(safe, sizeof(safe), path));
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
		   const char *method, const char *version, const char *data,
		   size_t *size, void **context)
{
	FmHttp	   *http = arg;
	FmRequest  *request = *context;

	(void) version;
	if (request == NULL)
	{
		*context = fm_xcalloc(1, sizeof(FmRequest));
		return begin_request(connection);
	}
	if (*size > 0)
	{
		take_body(request, path, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (http->options->verbose && !request->begun)
		log_request(method, path);
	request->begun = true;
	return fm_route(http, connection, request, path, method);
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode how)
{
	FmHttp	   *http = arg;
	FmRequest  *request = *context;

	(void) connection;
	(void) how;
	if (request == NULL)
		return;
	if (request->answer == NULL)
		request->answer = request->waiter.answer;
	if (request->answer != NULL)
		fm_answer_release(http->answers, request->answer);
	fm_request_wipe_body(request);
	free(request);
	*context = NULL;
}

/* It writes a line for each client that goes away: nobody wants that. */
static void
on_log(void *arg, const char *format, va_list args)
{
	const FmHttp *http = arg;

	if (!http->options->verbose && http->started)
		return;
	fprintf(stderr, "factorymon-dashboard: ");
	vfprintf(stderr, format, args);
}

/* ----------------------------------------------------------------------
 * Start and end
 * ------------------------------------------------------------------- */

/* A socket that listens; -1, after a message. */
static int
open_listener(const FmOptions *options)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	char		port[16];
	int			error;
	int			on = 1;
	int			fd;

	snprintf(port, sizeof(port), "%d", options->port);
	error = getaddrinfo(options->host, port, &hints, &found);
	if (error != 0)
	{
		fprintf(stderr, "factorymon-dashboard: cannot listen on \"%s\": %s\n",
				options->host, gai_strerror(error));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
		listen(fd, 511) != 0)
	{
		fprintf(stderr, "factorymon-dashboard: cannot listen on %s port %s:"
				" %s\n", options->host, port, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* Passwords must not cross a network in the clear. */
static bool
may_log_in(const FmHttp *http)
{
	struct sockaddr_storage address;
	socklen_t	len = sizeof(address);

	if (http->options->no_login || http->tls.key != NULL ||
		http->options->behind_tls_proxy ||
		(getsockname(http->listener, (struct sockaddr *) &address, &len) == 0
		 && fm_guard_is_loopback((const struct sockaddr *) &address)))
		return true;
	fprintf(stderr, "factorymon-dashboard: people could log in on %s without"
			" TLS, which is refused: give --tls-certificate and --tls-key, or"
			" --behind-tls-proxy where a proxy speaks https, or --no-login\n",
			http->options->host);
	return false;
}

/* All that the daemon needs; false, after a message, if something is wrong. */
static bool
prepare(FmHttp *http, const FmDatabase *database)
{
	const FmOptions *options = http->options;

	http->listener = -1;
	http->guard = fm_guard_new(options);
	if (http->guard == NULL || !fm_tls_read(&http->tls, options))
		return false;
	http->listener = open_listener(options);
	if (http->listener < 0 || !may_log_in(http))
		return false;
	http->login = fm_login_new(options, database, http->guard,
							   http->tls.key != NULL ||
							   options->behind_tls_proxy);
	return true;
}

static struct MHD_Daemon *
start_daemon(FmHttp *http)
{
	unsigned	flags = MHD_USE_EPOLL_INTERNAL_THREAD |
		MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, http->tls.certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, http->tls.key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0,
		(void *) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL}
	};

	if (http->tls.key != NULL)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, fm_guard_accept, http->guard,
							on_request, http,
							MHD_OPTION_EXTERNAL_LOGGER, on_log, http,
							MHD_OPTION_LISTEN_SOCKET, http->listener,
							MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
							MHD_OPTION_NOTIFY_CONNECTION, fm_guard_count,
							http->guard,
							MHD_OPTION_CONNECTION_LIMIT,
							(unsigned) MAX_CONNECTIONS,
							MHD_OPTION_CONNECTION_TIMEOUT,
							(unsigned) IDLE_SECONDS,
							MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							(size_t) CONNECTION_MEMORY,
							MHD_OPTION_ARRAY, http->tls.key != NULL ? tls :
							tls + 3, MHD_OPTION_END);
}

FmHttp *
fm_http_start(const FmOptions *options, const FmDatabase *database,
			  FmAnswers *answers, FmStream *stream)
{
	FmHttp	   *http = fm_xcalloc(1, sizeof(FmHttp));

	fm_files_begin();
	http->options = options;
	http->answers = answers;
	http->stream = stream;
	if (prepare(http, database))
	{
		http->daemon = start_daemon(http);
		if (http->daemon == NULL)
			fprintf(stderr, "factorymon-dashboard: cannot start to serve"
					" HTTP\n");
	}
	http->started = true;
	if (http->daemon != NULL)
		return http;
	if (http->login != NULL)
		fm_login_free(http->login);
	if (http->listener >= 0)
		close(http->listener);
	fm_tls_free(&http->tls);
	fm_guard_free(http->guard);
	free(http);
	return NULL;
}

int
fm_http_port(const FmHttp *http)
{
	struct sockaddr_storage address;
	socklen_t	len = sizeof(address);

	if (getsockname(http->listener, (struct sockaddr *) &address, &len) != 0)
		return -1;
	return ntohs(address.ss_family == AF_INET6 ?
				 ((struct sockaddr_in6 *) &address)->sin6_port :
				 ((struct sockaddr_in *) &address)->sin_port);
}

void
fm_http_quiesce(FmHttp *http)
{
	(void) MHD_quiesce_daemon(http->daemon);
}

void
fm_http_stop(FmHttp *http)
{
	fm_login_stop(http->login);
	MHD_stop_daemon(http->daemon);
	fm_login_free(http->login);
	close(http->listener);
	fm_tls_free(&http->tls);
	fm_guard_free(http->guard);
	free(http);
}
