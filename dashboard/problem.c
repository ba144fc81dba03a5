/*
 * problem.c - answers that are made anew, problems most of them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "answer.h"

#include <time.h>

#include "json.h"
#include "log.h"

FmAnswer *
fm_answer_new(unsigned status, const char *type)
{
	FmAnswer   *answer = fm_xcalloc(1, sizeof(FmAnswer));

	answer->references = 1;
	answer->status = status;
	answer->type = type;
	return answer;
}

static const char *
usual_code(unsigned status)
{
	switch (status)
	{
		case MHD_HTTP_BAD_REQUEST:
			return "bad_request";
		case MHD_HTTP_FORBIDDEN:
			return "forbidden";
		case MHD_HTTP_NOT_FOUND:
			return "not_found";
		case MHD_HTTP_METHOD_NOT_ALLOWED:
			return "method_not_allowed";
		case MHD_HTTP_LENGTH_REQUIRED:
			return "length_required";
		case MHD_HTTP_CONTENT_TOO_LARGE:
			return "too_large";
		case MHD_HTTP_TOO_MANY_REQUESTS:
			return "too_many";
		case MHD_HTTP_SERVICE_UNAVAILABLE:
			return "unavailable";
		default:
			return "error";
	}
}

void
fm_problem_coded(FmBuf *buf, unsigned status, const char *code,
				 const char *title, const char *detail, const char *id)
{
	const char *const members[][2] = {
		{"code", code != NULL ? code : usual_code(status)},
		{"title", title}, {"detail", detail}, {"id", id}
	};

	fm_buf_printf(buf, "{\"type\":\"about:blank\",\"status\":%u", status);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		if (members[i][1] == NULL || *members[i][1] == '\0')
			continue;
		fm_buf_printf(buf, ",\"%s\":", members[i][0]);
		fm_json_string(buf, members[i][1]);
	}
	fm_buf_puts(buf, "}\n");
}

void
fm_problem(FmBuf *buf, unsigned status, const char *title, const char *detail)
{
	fm_problem_coded(buf, status, NULL, title, detail, NULL);
}

FmAnswer *
fm_answer_problem(unsigned status, const char *code, const char *title,
				  const char *detail)
{
	FmAnswer   *answer = fm_answer_new(status, "application/problem+json");

	answer->for_one = true;
	fm_problem_coded(&answer->body, status, code, title, detail, NULL);
	return answer;
}

FmAnswer *
fm_answer_error(unsigned status, const char *code, const char *title,
				const char *where, const char *error)
{
	FmAnswer   *answer = fm_answer_new(status, "application/problem+json");
	char		id[FM_LOG_ID_LEN];

	answer->for_one = true;
	fm_log_error(where, error, id);
	fm_problem_coded(&answer->body, status, code, title,
					 "the log of the dashboard has more, under this id", id);
	return answer;
}

void
fm_answer_put_time(FmBuf *buf, time_t at)
{
	struct tm	tm;
	char		text[32];

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
	fm_buf_puts(buf, text);
}
