/*
 * response.c - what goes out, with the headers that it needs
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Browsers are told to trust nothing that does not come from here.
 */
#include "response.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

enum MHD_Result
fm_respond(struct MHD_Connection *connection, unsigned status,
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

struct MHD_Response *
fm_response_of(const char *text, size_t len)
{
	return MHD_create_response_from_buffer(len, (void *) text,
										   MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result
fm_refuse(struct MHD_Connection *connection, unsigned status,
		  const char *title, const char *detail, const char *allow)
{
	FmBuf		body = FM_BUF_INIT;
	struct MHD_Response *response;

	fm_problem(&body, status, title, detail);
	response = fm_response_of(body.data, body.len);
	fm_buf_free(&body);
	if (response != NULL)
		(void) MHD_add_response_header(response, "Cache-Control", "no-store");
	if (response != NULL && allow != NULL)
		(void) MHD_add_response_header(response, "Allow", allow);
	return fm_respond(connection, status, response,
					  "application/problem+json");
}

const char *
fm_header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void
add_headers_of(struct MHD_Response *response, const FmAnswer *answer)
{
	char		seconds[16];
	char		name[80];

	(void) MHD_add_response_header(response, "Cache-Control",
								   answer->for_one ? "no-store" : "no-cache");
	if (answer->etag[0] != '\0')
		(void) MHD_add_response_header(response, "ETag", answer->etag);
	if (answer->cookie[0] != '\0')
		(void) MHD_add_response_header(response, "Set-Cookie",
									   answer->cookie);
	snprintf(name, sizeof(name), "attachment; filename=\"%s\"", answer->file);
	if (answer->file[0] != '\0')
		(void) MHD_add_response_header(response, "Content-Disposition", name);
	if (answer->truncated != NULL)
		(void) MHD_add_response_header(response, "X-Truncated",
									   answer->truncated);
	snprintf(seconds, sizeof(seconds), "%d", answer->retry_after);
	if (answer->retry_after > 0)
		(void) MHD_add_response_header(response, "Retry-After", seconds);
}

/* Does the client have that already? */
static bool
has_already(struct MHD_Connection *connection, const char *etag)
{
	return fm_etag_is_known(etag, fm_header_of(connection, "If-None-Match"));
}

enum MHD_Result
fm_give_answer(struct MHD_Connection *connection, const FmAnswer *answer)
{
	bool		same = has_already(connection, answer->etag);
	/* of the body of 304 only the length is sent */
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.len, answer->body.data,
										MHD_RESPMEM_PERSISTENT);

	if (response != NULL)
		add_headers_of(response, answer);
	return fm_respond(connection, same ? MHD_HTTP_NOT_MODIFIED :
					  answer->status, response, same ? NULL : answer->type);
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

enum MHD_Result
fm_give_file(struct MHD_Connection *connection, const FmFile *file)
{
	bool		gzip = file->gzip != NULL &&
		takes_gzip(fm_header_of(connection, "Accept-Encoding"));
	const char *data = gzip ? file->gzip : file->data;
	const char *end = gzip ? file->gzip_end : file->end;
	const char *etag = gzip ? file->gzip_etag : file->etag;
	bool		same = has_already(connection, etag);
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
	return fm_respond(connection, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK,
					  response, same ? NULL : file->type);
}
