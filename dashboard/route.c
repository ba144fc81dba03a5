/*
 * route.c - which request is for what
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A name that is not ours is refused, so that a page elsewhere cannot have its
 * own name lead here (DNS rebinding).  guard.c knows who asks.
 */
#include "http_internal.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "response.h"
#include "version.h"

/* A request's query string, as the endpoint wants it. */
typedef struct Query
{
	const FmEndpoint *endpoint;
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE];
	bool		given[FM_MAX_PARAMS];
	char		error[160];		/* "": none */
} Query;

void
fm_request_wipe_body(FmRequest *request)
{
	if (request->body.data != NULL)
		explicit_bzero(request->body.data, request->body.len);
	fm_buf_free(&request->body);
}

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
ask(FmHttp *http, struct MHD_Connection *connection, FmRequest *request,
	const FmEndpoint *endpoint, FmForm form)
{
	Query		query = {.endpoint = endpoint};

	if (request->answer == NULL && request->waiter.answer != NULL)
		request->answer = request->waiter.answer;
	if (request->answer != NULL)
		return fm_give_answer(connection, request->answer);
	if (endpoint != NULL)
		(void) MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND,
										 take_param, &query);
	if (query.error[0] != '\0')
		return fm_refuse(connection, MHD_HTTP_BAD_REQUEST, "bad request",
						 query.error, NULL);
	request->waiter.connection = connection;
	request->answer = fm_answers_ask(http->answers, endpoint, form,
									 query.values, query.given,
									 &request->waiter);
	return request->answer == NULL ? MHD_YES :
		fm_give_answer(connection, request->answer);
}

static enum MHD_Result
open_stream(FmHttp *http, struct MHD_Connection *connection)
{
	FmClient	client;
	struct MHD_Response *response;

	fm_guard_client(http->guard, connection, &client);
	response = fm_stream_open(http->stream, connection, client.address,
							  client.exempt,
							  fm_header_of(connection, "Last-Event-ID"));
	if (response == NULL)
		return fm_refuse(connection, MHD_HTTP_TOO_MANY_REQUESTS,
						 "too many streams", NULL, NULL);
	(void) MHD_add_response_header(response, "Cache-Control", "no-cache");
	(void) MHD_add_response_header(response, "X-Accel-Buffering", "no");
	return fm_respond(connection, MHD_HTTP_OK, response, "text/event-stream");
}

static enum MHD_Result
give_metrics(FmHttp *http, struct MHD_Connection *connection,
			 FmRequest *request)
{
	FmClient	client;

	fm_guard_client(http->guard, connection, &client);
	if (http->options->metrics_local && !client.local)
		return fm_refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
						 "metrics are for this machine only", NULL);
	return ask(http, connection, request, NULL, FM_FORM_JSON);
}

/* What sessions are for; also both when it comes and when its answer does. */
static enum MHD_Result
ask_session(FmHttp *http, struct MHD_Connection *connection,
			FmRequest *request, const char *path)
{
	if (request->waiter.answer != NULL)
	{
		request->answer = request->waiter.answer;
		fm_login_answered(http->login, connection, path, request->answer);
		return fm_give_answer(connection, request->answer);
	}
	if (request->body_len > FM_MAX_BODY)
		return fm_refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE,
						 "a body of at most 16 KiB will do", NULL, NULL);
	request->waiter.connection = connection;
	request->answer = fm_login_ask(http->login, connection, path,
								   request->body.data, request->body.len,
								   &request->waiter);
	fm_request_wipe_body(request);
	return request->answer == NULL ? MHD_YES :
		fm_give_answer(connection, request->answer);
}

/* Liveness: that this is answered, whatever the database does. */
static enum MHD_Result
give_health(struct MHD_Connection *connection)
{
	static const char text[] = "ok\n";

	return fm_respond(connection, MHD_HTTP_OK,
					  fm_response_of(text, sizeof(text) - 1),
					  "text/plain; charset=utf-8");
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
	response = fm_response_of(body.data, body.len);
	fm_buf_free(&body);
	if (response != NULL)
		(void) MHD_add_response_header(response, "Cache-Control", "no-cache");
	return fm_respond(connection, MHD_HTTP_OK, response, "application/json");
}

/* methods: "POST", or "GET, HEAD" */
static bool
is_one_of(const char *methods, const char *method)
{
	if (strcmp(methods, "POST") == 0)
		return strcmp(method, "POST") == 0;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

enum MHD_Result
fm_route(FmHttp *http, struct MHD_Connection *connection,
		 FmRequest *request, const char *path, const char *method)
{
	FmForm		form;
	const FmEndpoint *endpoint = fm_endpoint_find(path, &form);
	const FmFile *file = fm_file_find(path);
	bool		stream = strcmp(path, "/api/stream") == 0;
	bool		metrics = strcmp(path, "/metrics") == 0;
	bool		health = strcmp(path, "/healthz") == 0;
	bool		settings = strcmp(path, "/api/settings") == 0;
	const char *of_sessions = fm_login_methods(path);
	const char *methods = of_sessions != NULL ? of_sessions : "GET, HEAD";

	if (!fm_guard_is_our_host(http->guard, connection))
		return fm_refuse(connection, MHD_HTTP_FORBIDDEN, "forbidden",
						 "this host is not known by that name, see"
						 " --allowed-hosts", NULL);
	if (endpoint == NULL && file == NULL && !stream && !metrics &&
		!health && !settings && of_sessions == NULL)
		return fm_refuse(connection, MHD_HTTP_NOT_FOUND, "not found", NULL,
						 NULL);
	if (!is_one_of(methods, method))
		return fm_refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
						 "method not allowed", NULL, methods);
	if (of_sessions != NULL)
		return ask_session(http, connection, request, path);
	if (file != NULL)
		return fm_give_file(connection, file);
	if (stream && strcmp(method, "HEAD") == 0)
		return fm_respond(connection, MHD_HTTP_OK, fm_response_of("", 0),
						  "text/event-stream");
	if (stream)
		return open_stream(http, connection);
	if (metrics)
		return give_metrics(http, connection, request);
	if (health)
		return give_health(connection);
	if (settings)
		return give_settings(http->options, connection);
	return ask(http, connection, request, endpoint, form);
}
