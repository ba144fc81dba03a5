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
 * name lead here (DNS rebinding).
 */
#include "http.h"

#include "files.h"
#include "json.h"
#include "version.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1000
#define IDLE_SECONDS 30
#define CONNECTION_MEMORY (16 * 1024)

struct FmHttp
{
	const FmOptions *options;
	FmAnswers  *answers;
	FmStream   *stream;
	struct MHD_Daemon *daemon;
	int			listener;		/* after quiesce, ours to close */
};

typedef struct Request
{
	FmWaiter	waiter;			/* while it is suspended */
	bool		begun;
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
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE ||
		status == MHD_HTTP_TOO_MANY_REQUESTS)
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

/* The answer is the request's, and stays until it is out. */
static enum MHD_Result
give_answer(struct MHD_Connection *connection, Request *request)
{
	FmAnswer   *answer = request->answer;
	const char *known = header_of(connection, "If-None-Match");
	bool		same = answer->etag[0] != '\0' && known != NULL &&
		strstr(known, answer->etag) != NULL;
	/* of the body of 304 only the length is sent */
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.len, answer->body.data,
										MHD_RESPMEM_PERSISTENT);

	if (response != NULL)
	{
		(void) MHD_add_response_header(response, "Cache-Control", "no-cache");
		if (answer->etag[0] != '\0')
			(void) MHD_add_response_header(response, "ETag", answer->etag);
	}
	return respond(connection, same ? MHD_HTTP_NOT_MODIFIED : answer->status,
				   response, same ? NULL : answer->type);
}

/* ----------------------------------------------------------------------
 * Who asks
 * ------------------------------------------------------------------- */

/* The client's address as text; true if it is this machine's. */
static bool
client_address(struct MHD_Connection *connection, char *text, size_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection,
								MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	snprintf(text, size, "?");
	if (info == NULL || info->client_addr == NULL)
		return false;
	(void) getnameinfo(info->client_addr,
					   info->client_addr->sa_family == AF_INET6 ?
					   sizeof(struct sockaddr_in6) :
					   sizeof(struct sockaddr_in), text, (socklen_t) size,
					   NULL, 0, NI_NUMERICHOST);
	return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0 ||
		strncmp(text, "::ffff:127.", 11) == 0;
}

static bool
is_in_list(const char *list, const char *name, size_t len)
{
	while (*list != '\0')
	{
		size_t		n = strcspn(list, ",");

		if ((n == len && strncasecmp(list, name, len) == 0) ||
			(n == 1 && *list == '*'))
			return true;
		list += n + (list[n] == ',' ? 1 : 0);
	}
	return false;
}

/* Is it a name of ours that the client has used?  Addresses cannot lie. */
static bool
is_our_host(const FmOptions *options, const char *host)
{
	unsigned char address[16];
	char		text[64];
	size_t		len;

	if (host == NULL)
		return false;
	len = strcspn(host, ":");
	if (*host == '[')
	{
		host++;
		len = strcspn(host, "]");
	}
	if (is_in_list("localhost", host, len) ||
		is_in_list(options->allowed_hosts, host, len))
		return true;
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	return inet_pton(AF_INET, text, address) == 1 ||
		inet_pton(AF_INET6, text, address) == 1;
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
	char		address[64];
	bool		local = client_address(connection, address, sizeof(address));
	struct MHD_Response *response =
		fm_stream_open(http->stream, connection, address, local,
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
	char		address[64];

	if (http->options->metrics_local &&
		!client_address(connection, address, sizeof(address)))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
					  "metrics are for this machine only", NULL);
	return ask(http, connection, request, NULL, false);
}

/* Liveness: that this is answered, whatever the database does. */
static enum MHD_Result
give_health(struct MHD_Connection *connection)
{
	static const char text[] = "ok\n";

	return respond(connection, MHD_HTTP_OK, copy_of(text, sizeof(text) - 1),
				   "text/plain; charset=utf-8");
}

static enum MHD_Result
give_file(struct MHD_Connection *connection, const FmFile *file)
{
	const char *encodings = header_of(connection, "Accept-Encoding");
	bool		gzip = file->gzip != NULL && encodings != NULL &&
		strstr(encodings, "gzip") != NULL;
	const char *data = gzip ? file->gzip : file->data;
	const char *end = gzip ? file->gzip_end : file->end;
	struct MHD_Response *response =
		MHD_create_response_from_buffer((size_t) (end - data), (void *) data,
										MHD_RESPMEM_PERSISTENT);

	if (response != NULL)
	{
		(void) MHD_add_response_header(response, "Cache-Control",
									   file->immutable ?
									   "public, max-age=31536000, immutable" :
									   "no-cache");
		if (file->gzip != NULL)
			(void) MHD_add_response_header(response, "Vary",
										   "Accept-Encoding");
		if (gzip)
			(void) MHD_add_response_header(response, "Content-Encoding",
										   "gzip");
	}
	return respond(connection, MHD_HTTP_OK, response, file->type);
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

	if (!is_our_host(http->options, header_of(connection, "Host")))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
					  "this host is not known by that name, see"
					  " --allowed-hosts", NULL);
	if (endpoint == NULL && file == NULL && !stream && !metrics && !health &&
		!settings)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "not found", NULL,
					  NULL);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
					  "method not allowed", NULL, "GET, HEAD");
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

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
		   const char *method, const char *version, const char *data,
		   size_t *size, void **context)
{
	FmHttp	   *http = arg;
	Request    *request = *context;

	(void) version;
	(void) data;
	if (request == NULL)
	{
		*context = fm_xcalloc(1, sizeof(Request));
		return MHD_YES;
	}
	if (*size > 0)
	{
		*size = 0;				/* a body that nobody wants */
		return MHD_YES;
	}
	if (http->options->verbose && !request->begun)
		fprintf(stderr, "factorymon-dashboard: %s %s\n", method, path);
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
	free(request);
	*context = NULL;
}

/* It writes a line for each client that goes away: nobody wants that. */
static void
on_log(void *arg, const char *format, va_list args)
{
	const FmHttp *http = arg;

	if (!http->options->verbose)
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

FmHttp *
fm_http_start(const FmOptions *options, FmAnswers *answers, FmStream *stream)
{
	FmHttp	   *http = fm_xcalloc(1, sizeof(FmHttp));

	http->options = options;
	http->answers = answers;
	http->stream = stream;
	http->listener = open_listener(options);
	if (http->listener >= 0)
		http->daemon =
			MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
							 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
							 NULL, NULL, on_request, http,
							 MHD_OPTION_EXTERNAL_LOGGER, on_log, http,
							 MHD_OPTION_LISTEN_SOCKET, http->listener,
							 MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
							 MHD_OPTION_CONNECTION_LIMIT,
							 (unsigned) MAX_CONNECTIONS,
							 MHD_OPTION_CONNECTION_TIMEOUT,
							 (unsigned) IDLE_SECONDS,
							 MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							 (size_t) CONNECTION_MEMORY, MHD_OPTION_END);
	if (http->daemon != NULL)
		return http;
	if (http->listener >= 0)
		fprintf(stderr, "factorymon-dashboard: cannot start to serve HTTP\n");
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
	MHD_stop_daemon(http->daemon);
	close(http->listener);
	free(http);
}
