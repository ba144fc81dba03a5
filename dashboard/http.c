/*
 * http.c - requests in, responses out
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One thread, which never waits: what needs the database is asked of answer.c,
 * which suspends the connection until the answer is there.  Then libmicrohttpd
 * calls again for the same request.
 *
 * Browsers are told to trust nothing that does not come from here, and a name
 * that is not ours is refused, so that a page elsewhere cannot have its own
 * name lead here (DNS rebinding).  guard.c knows who asks.
 */
#include "http.h"

#include "files.h"
#include "guard.h"
#include "json.h"
#include "log.h"
#include "login.h"
#include "tls.h"
#include "version.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1000
#define IDLE_SECONDS 30
#define CONNECTION_MEMORY (16 * 1024)
#define MAX_BODY (16 * 1024)
#define MAX_IGNORED (1024 * 1024)	/* of a body; beyond, nobody listens */

struct FmHttp
{
	const FmOptions *options;
	FmAnswers  *answers;
	FmStream   *stream;
	FmGuard    *guard;
	FmLogin    *login;
	FmTls		tls;
	atomic_bool started;		/* from then on, only who wants it hears more */
	struct MHD_Daemon *daemon;
	int			listener;		/* after quiesce, ours to close */
};

typedef struct Request
{
	FmWaiter	waiter;			/* while it is suspended */
	bool		begun;
	FmBuf		body;			/* of POST; wiped, it may have passwords */
	size_t		body_len;		/* bytes that came, in all */
	FmAnswer   *answer;			/* held until the response is out */
} Request;

/* A request's query string, as the endpoint wants it. */
typedef struct Query
{
	const FmEndpoint *endpoint;
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE];
	bool		given[FM_MAX_PARAMS];
	char		error[160];		/* "": none */
} Query;

/* ----------------------------------------------------------------------
 * Responses
 * ------------------------------------------------------------------- */

static const char *const headers[][2] = {
	{"Content-Security-Policy", "default-src 'none'; script-src 'self';"
		" style-src 'self'; img-src 'self'; connect-src 'self';"
		" manifest-src 'self'; base-uri 'none'; form-action 'self';"
		" frame-ancestors 'none'; require-trusted-types-for 'script';"
	" trusted-types 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), microphone=(), geolocation=()"},
	{"X-Frame-Options", "DENY"},
};

/* Takes the response over. */
static enum MHD_Result
respond(struct MHD_Connection *connection, unsigned status,
		struct MHD_Response *response, const char *type)
{
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		(void) MHD_add_response_header(response, headers[i][0],
									   headers[i][1]);
	if (type != NULL)
		(void) MHD_add_response_header(response, "Content-Type", type);
	if (MHD_get_connection_info(connection, MHD_CONNECTION_INFO_PROTOCOL))
		(void) MHD_add_response_header(response, "Strict-Transport-Security",
									   "max-age=31536000");
	if ((status == MHD_HTTP_SERVICE_UNAVAILABLE ||
		 status == MHD_HTTP_TOO_MANY_REQUESTS) &&
		MHD_get_response_header(response, "Retry-After") == NULL)
		(void) MHD_add_response_header(response, "Retry-After", "2");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static struct MHD_Response *
copy_of(const char *text, size_t len)
{
	return MHD_create_response_from_buffer(len, (void *) text,
										   MHD_RESPMEM_MUST_COPY);
}

/* allow: the methods that would do, or NULL. */
static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned status, const char *title,
	   const char *detail, const char *allow)
{
	FmBuf		body = FM_BUF_INIT;
	struct MHD_Response *response;

	fm_problem(&body, status, title, detail);
	response = copy_of(body.data, body.len);
	fm_buf_free(&body);
	if (response != NULL)
		(void) MHD_add_response_header(response, "Cache-Control", "no-store");
	if (response != NULL && allow != NULL)
		(void) MHD_add_response_header(response, "Allow", allow);
	return respond(connection, status, response, "application/problem+json");
}

static const char *
header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void
add_headers_of(struct MHD_Response *response, const FmAnswer *answer)
{
	char		seconds[16];

	(void) MHD_add_response_header(response, "Cache-Control",
								   answer->for_one ? "no-store" : "no-cache");
	if (answer->etag[0] != '\0')
		(void) MHD_add_response_header(response, "ETag", answer->etag);
	if (answer->cookie[0] != '\0')
		(void) MHD_add_response_header(response, "Set-Cookie",
									   answer->cookie);
	if (answer->truncated != NULL)
		(void) MHD_add_response_header(response, "X-Truncated",
									   answer->truncated);
	snprintf(seconds, sizeof(seconds), "%d", answer->retry_after);
	if (answer->retry_after > 0)
		(void) MHD_add_response_header(response, "Retry-After", seconds);
}

/* The answer is the request's, and stays until it is out. */
static enum MHD_Result
give_answer(struct MHD_Connection *connection, Request *request)
{
	FmAnswer   *answer = request->answer;
	bool		same = fm_etag_is_known(answer->etag, header_of(connection,
																"If-None-Match"));
	/* of the body of 304 only the length is sent */
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.len, answer->body.data,
										MHD_RESPMEM_PERSISTENT);

	if (response != NULL)
		add_headers_of(response, answer);
	return respond(connection, same ? MHD_HTTP_NOT_MODIFIED : answer->status,
				   response, same ? NULL : answer->type);
}

/* ----------------------------------------------------------------------
 * What is asked for
 * ------------------------------------------------------------------- */

static enum MHD_Result
take_param(void *arg, enum MHD_ValueKind kind, const char *name,
		   const char *value)
{
	Query	   *query = arg;
	int			number;

	(void) kind;
	number = fm_endpoint_param(query->endpoint, name, value, query->error,
							   sizeof(query->error));
	if (number < 0)
		return MHD_NO;
	snprintf(query->values[number], FM_MAX_VALUE, "%s", value);
	query->given[number] = true;
	return MHD_YES;
}

/* Both when the request comes, and when its answer is there. */
static enum MHD_Result
ask(FmHttp *http, struct MHD_Connection *connection, Request *request,
	const FmEndpoint *endpoint, bool csv)
{
	Query		query = {.endpoint = endpoint};

	if (request->answer == NULL && request->waiter.answer != NULL)
		request->answer = request->waiter.answer;
	if (request->answer != NULL)
		return give_answer(connection, request);
	if (endpoint != NULL)
		(void) MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND,
										 take_param, &query);
	if (query.error[0] != '\0')
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "bad request",
					  query.error, NULL);
	request->waiter.connection = connection;
	request->answer = fm_answers_ask(http->answers, endpoint, csv,
									 query.values, query.given,
									 &request->waiter);
	return request->answer == NULL ? MHD_YES :
		give_answer(connection, request);
}

static enum MHD_Result
open_stream(FmHttp *http, struct MHD_Connection *connection)
{
	FmClient	client;
	struct MHD_Response *response;

	fm_guard_client(http->guard, connection, &client);
	response = fm_stream_open(http->stream, connection, client.address,
							  client.exempt,
							  header_of(connection, "Last-Event-ID"));
	if (response == NULL)
		return refuse(connection, MHD_HTTP_TOO_MANY_REQUESTS,
					  "too many streams", NULL, NULL);
	(void) MHD_add_response_header(response, "Cache-Control", "no-cache");
	(void) MHD_add_response_header(response, "X-Accel-Buffering", "no");
	return respond(connection, MHD_HTTP_OK, response, "text/event-stream");
}

static enum MHD_Result
give_metrics(FmHttp *http, struct MHD_Connection *connection,
			 Request *request)
{
	FmClient	client;

	fm_guard_client(http->guard, connection, &client);
	if (http->options->metrics_local && !client.local)
		return refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
					  "metrics are for this machine only", NULL);
	return ask(http, connection, request, NULL, false);
}

static void
wipe_body(Request *request)
{
	if (request->body.data != NULL)
		explicit_bzero(request->body.data, request->body.len);
	fm_buf_free(&request->body);
}

/* What sessions are for; also both when it comes and when its answer does. */
static enum MHD_Result
ask_session(FmHttp *http, struct MHD_Connection *connection,
			Request *request, const char *path)
{
	if (request->waiter.answer != NULL)
	{
		request->answer = request->waiter.answer;
		fm_login_answered(http->login, connection, path, request->answer);
		return give_answer(connection, request);
	}
	if (request->body_len > MAX_BODY)
		return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE,
					  "a body of at most 16 KiB will do", NULL, NULL);
	request->waiter.connection = connection;
	request->answer = fm_login_ask(http->login, connection, path,
								   request->body.data, request->body.len,
								   &request->waiter);
	wipe_body(request);
	return request->answer == NULL ? MHD_YES :
		give_answer(connection, request);
}

/* Liveness: that this is answered, whatever the database does. */
static enum MHD_Result
give_health(struct MHD_Connection *connection)
{
	static const char text[] = "ok\n";

	return respond(connection, MHD_HTTP_OK, copy_of(text, sizeof(text) - 1),
				   "text/plain; charset=utf-8");
}

/* "gzip", or "gzip;q=0.5", but not "gzip;q=0.0" */
static bool
takes_gzip(const char *encodings)
{
	const char *found = encodings != NULL ? strstr(encodings, "gzip") : NULL;

	if (found == NULL)
		return false;
	found += 4;
	found += strspn(found, " \t;");
	if (strncasecmp(found, "q=0", 3) != 0)
		return true;
	found += 3;
	return strspn(found, ".0") < strcspn(found, ", \t;");
}

static enum MHD_Result
give_file(struct MHD_Connection *connection, const FmFile *file)
{
	bool		gzip = file->gzip != NULL &&
		takes_gzip(header_of(connection, "Accept-Encoding"));
	const char *data = gzip ? file->gzip : file->data;
	const char *end = gzip ? file->gzip_end : file->end;
	const char *etag = gzip ? file->gzip_etag : file->etag;
	bool		same = fm_etag_is_known(etag, header_of(connection,
														"If-None-Match"));
	struct MHD_Response *response =
		MHD_create_response_from_buffer((size_t) (end - data), (void *) data,
										MHD_RESPMEM_PERSISTENT);

	if (response != NULL)
	{
		(void) MHD_add_response_header(response, "Cache-Control",
									   file->immutable ?
									   "public, max-age=31536000, immutable" :
									   "no-cache");
		(void) MHD_add_response_header(response, "ETag", etag);
		if (file->gzip != NULL)
			(void) MHD_add_response_header(response, "Vary",
										   "Accept-Encoding");
		if (gzip)
			(void) MHD_add_response_header(response, "Content-Encoding",
										   "gzip");
	}
	return respond(connection, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK,
				   response, same ? NULL : file->type);
}

/* What the page has to know of how this service was set up. */
static enum MHD_Result
give_settings(const FmOptions *options, struct MHD_Connection *connection)
{
	FmBuf		body = FM_BUF_INIT;
	struct MHD_Response *response;

	fm_buf_puts(&body, "{\"version\":");
	fm_json_string(&body, FM_VERSION);
	fm_buf_puts(&body, ",\"time_zone\":");
	fm_json_string(&body, options->time_zone);
	fm_buf_puts(&body, "}\n");
	response = copy_of(body.data, body.len);
	fm_buf_free(&body);
	if (response != NULL)
		(void) MHD_add_response_header(response, "Cache-Control", "no-cache");
	return respond(connection, MHD_HTTP_OK, response, "application/json");
}

/* methods: "POST", or "GET, HEAD" */
static bool
is_one_of(const char *methods, const char *method)
{
	if (strcmp(methods, "POST") == 0)
		return strcmp(method, "POST") == 0;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static enum MHD_Result
route(FmHttp *http, struct MHD_Connection *connection, Request *request,
	  const char *path, const char *method)
{
	bool		csv;
	const FmEndpoint *endpoint = fm_endpoint_find(path, &csv);
	const FmFile *file = fm_file_find(path);
	bool		stream = strcmp(path, "/api/stream") == 0;
	bool		metrics = strcmp(path, "/metrics") == 0;
	bool		health = strcmp(path, "/healthz") == 0;
	bool		settings = strcmp(path, "/api/settings") == 0;
	const char *of_sessions = fm_login_methods(path);
	const char *methods = of_sessions != NULL ? of_sessions : "GET, HEAD";

	if (!fm_guard_is_our_host(http->guard, connection))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
					  "this host is not known by that name, see"
					  " --allowed-hosts", NULL);
	if (endpoint == NULL && file == NULL && !stream && !metrics &&
		!health && !settings && of_sessions == NULL)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "not found", NULL,
					  NULL);
	if (!is_one_of(methods, method))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
					  "method not allowed", NULL, methods);
	if (of_sessions != NULL)
		return ask_session(http, connection, request, path);
	if (file != NULL)
		return give_file(connection, file);
	if (stream && strcmp(method, "HEAD") == 0)
		return respond(connection, MHD_HTTP_OK, copy_of("", 0),
					   "text/event-stream");
	if (stream)
		return open_stream(http, connection);
	if (metrics)
		return give_metrics(http, connection, request);
	if (health)
		return give_health(connection);
	if (settings)
		return give_settings(http->options, connection);
	return ask(http, connection, request, endpoint, csv);
}

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
	const char *len = header_of(connection, "Content-Length");

	if (header_of(connection, "Transfer-Encoding") != NULL)
		return refuse(connection, MHD_HTTP_LENGTH_REQUIRED,
					  "a body needs a Content-Length", NULL, NULL);
	if (len != NULL && strtoull(len, NULL, 10) > MAX_IGNORED)
		return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE,
					  "a body of at most 16 KiB will do", NULL, NULL);
	return MHD_YES;
}

/* A piece of the body, which is kept where somebody wants it. */
static void
take_body(Request *request, const char *path, const char *data, size_t size)
{
	request->body_len += size;
	if (fm_login_methods(path) == NULL)
		return;
	if (request->body_len <= MAX_BODY)
	{
		/* all at once, so that nothing is copied and left behind */
		fm_buf_reserve(&request->body, MAX_BODY - request->body.len);
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
	Request    *request = *context;

	(void) version;
	if (request == NULL)
	{
		*context = fm_xcalloc(1, sizeof(Request));
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
	return route(http, connection, request, path, method);
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode how)
{
	FmHttp	   *http = arg;
	Request    *request = *context;

	(void) connection;
	(void) how;
	if (request == NULL)
		return;
	if (request->answer == NULL)
		request->answer = request->waiter.answer;
	if (request->answer != NULL)
		fm_answer_release(http->answers, request->answer);
	wipe_body(request);
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
