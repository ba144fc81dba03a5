/*
 * answer_find.c - what the database has to say
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * By the threads of answer.c, each with its own connection and without the
 * mutex.
 */
#include "answer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "json.h"
#include "metrics.h"
#include "xlsx.h"

#define MAX_ROWS 1000000
#define MAX_WAIT 10.0			/* seconds; who asked so long ago is gone */

/* What is said where the database is away. */
static FmAnswer *
say_down(FmDatabase *database, const FmEndpoint *endpoint, FmForm form)
{
	FmAnswer   *answer;
	const char *error;
	time_t		since;

	(void) fm_database_state(database, &since, &error);
	if (endpoint == NULL || !endpoint->survives ||
		form != FM_FORM_JSON)
		return fm_answer_problem(503, "database_down",
								 "the database cannot be reached", error);
	answer = fm_answer_new(200, "application/json");
	fm_buf_puts(&answer->body, "{\"generated_at\":");
	fm_answer_put_time(&answer->body, time(NULL));
	fm_buf_puts(&answer->body, ",\"as_of\":null,\"truncated\":false,"
				"\"database\":{\"state\":\"down\",\"since\":");
	fm_answer_put_time(&answer->body, since);
	fm_buf_puts(&answer->body, ",\"error\":");
	fm_json_string(&answer->body, error);
	fm_buf_printf(&answer->body, "},\"%s\":null}\n",
				  endpoint->parts[0].name);
	return answer;
}

/* How many rows may be shown; the query has asked for one more. */
static int
row_limit(const FmEntry *entry, int part)
{
	int			number = entry->endpoint->limit;

	return number == 0 || part > 0 ? MAX_ROWS :
		atoi(entry->given[number - 1] ? entry->values[number - 1] :
			 entry->endpoint->params[number - 1].initial);
}

/* One of the queries, with the parameters that it takes; NULL: it failed. */
static PGresult *
run_part(FmDatabase *database, PGconn **connection, const FmEntry *entry,
		 const FmPart *part, int most, char *error, size_t errlen, bool *lost)
{
	const FmEndpoint *endpoint = entry->endpoint;
	const char *params[FM_MAX_PARAMS];
	int			nparams = 0;

	while (nparams < most && endpoint->params[nparams].name != NULL)
	{
		params[nparams] = entry->given[nparams] ? entry->values[nparams] :
			endpoint->params[nparams].initial;
		nparams++;
	}
	return fm_database_query(database, connection, part->query, nparams,
							 params, error, errlen, lost);
}

/* Its name and rows.  False: it failed. */
static bool
put_part(FmDatabase *database, PGconn **connection, const FmEntry *entry,
		 int number, FmBuf *rows, bool *truncated, char *error, size_t errlen,
		 bool *lost)
{
	const FmPart *part = &entry->endpoint->parts[number];
	int			limit = row_limit(entry, number);
	PGresult   *result = run_part(database, connection, entry, part,
								  number == 0 ? FM_MAX_PARAMS : part->nparams,
								  error, errlen, lost);

	if (result == NULL)
		return false;
	*truncated |= PQntuples(result) > limit;
	if (entry->form == FM_FORM_CSV)
		fm_csv_rows(rows, result, limit);
	else if (entry->form == FM_FORM_XLSX)
	{
		*lost = false;
		if (!fm_xlsx_rows(rows, result, limit, part->name, error, errlen))
		{
			PQclear(result);
			return false;
		}
	}
	else
	{
		fm_buf_printf(rows, ",\n\"%s\":", part->name);
		fm_json_rows(rows, result, limit);
	}
	PQclear(result);
	return true;
}

/* What could be meant, where that is more than one thing; false: it failed. */
static bool
put_choices(FmDatabase *database, PGconn **connection, const FmEntry *entry,
			FmBuf *choices, char *error, size_t errlen, bool *lost)
{
	const FmPart *one = &entry->endpoint->one;
	PGresult   *result;

	if (one->name == NULL)
		return true;
	result = run_part(database, connection, entry, one, one->nparams, error,
					  errlen, lost);
	if (PQntuples(result) > 1)
		fm_buf_printf(choices, "parameter \"%s\" must be one of:", one->name);
	for (int i = 0; PQntuples(result) > 1 && i < PQntuples(result); i++)
		fm_buf_printf(choices, "%s %s", i > 0 ? "," : "",
					  PQgetvalue(result, i, 0));
	if (choices->len > 0)
		fm_buf_putc(choices, '\0');
	PQclear(result);
	return result != NULL;
}

static FmAnswer *
wrap(const FmEndpoint *endpoint, FmDatabase *database, const FmBuf *rows,
	 const char *as_of, bool truncated)
{
	FmAnswer   *answer = fm_answer_new(200, "application/json");
	size_t		from;
	const char *error;
	time_t		since;

	fm_buf_puts(&answer->body, "{\"generated_at\":");
	fm_answer_put_time(&answer->body, time(NULL));
	fm_buf_printf(&answer->body, ",\"as_of\":\"%s\"", as_of);
	from = answer->body.len;
	fm_buf_printf(&answer->body, ",\"truncated\":%s",
				  truncated ? "true" : "false");
	if (endpoint->survives)
	{
		(void) fm_database_state(database, &since, &error);
		fm_buf_puts(&answer->body,
					",\"database\":{\"state\":\"up\",\"since\":");
		fm_answer_put_time(&answer->body, since);
		fm_buf_puts(&answer->body, ",\"error\":null}");
	}
	fm_buf_put(&answer->body, rows->data, rows->len);
	fm_buf_puts(&answer->body, "}\n");
	fm_etag_make(answer->etag, answer->body.data + from,
				 answer->body.len - from, true);
	return answer;
}

/* The query failed: for now, or by its nature. */
static FmAnswer *
say_failed(const FmEndpoint *endpoint, const char *error)
{
	if (strncmp(error, "57014", 5) == 0)
		return fm_answer_error(503, "database_timeout",
							   "the query took too long", endpoint->path,
							   error);
	if (fm_database_is_passing(error))
		return fm_answer_error(503, "database_busy",
							   "the database cannot answer now",
							   endpoint->path, error);
	return fm_answer_error(500, strncmp(error, "42501", 5) == 0 ?
						   "database_forbids" : "query_failed",
						   "the query failed", endpoint->path, error);
}

static FmAnswer *
wrap_file(const FmEntry *entry, const FmBuf *rows, bool truncated)
{
	bool		xlsx = entry->form == FM_FORM_XLSX;
	FmAnswer   *answer = fm_answer_new(200, xlsx ? FM_XLSX_TYPE :
									   "text/csv; charset=utf-8");

	/* browsers take the name of a CSV from its address, and always have */
	if (xlsx)
		snprintf(answer->file, sizeof(answer->file), "%s.xlsx",
				 strrchr(entry->endpoint->path, '/') + 1);
	answer->truncated = truncated ? "true" : "false";
	fm_buf_put(&answer->body, rows->data, rows->len);
	/* a workbook says when it was made, so none is like the one before */
	if (!xlsx)
		fm_etag_make(answer->etag, answer->body.data, answer->body.len, true);
	return answer;
}

static FmAnswer *
find_rows(FmDatabase *database, PGconn **connection, const FmEntry *entry)
{
	const FmEndpoint *endpoint = entry->endpoint;
	FmAnswer   *answer = NULL;
	FmBuf		rows = FM_BUF_INIT;
	FmBuf		choices = FM_BUF_INIT;
	int			nparts = entry->form != FM_FORM_JSON ? 1 : FM_MAX_PARTS;
	char		error[320] = "";
	bool		truncated = false;
	bool		lost = false;
	PGresult   *now = fm_database_query(database, connection,
										"SELECT to_char(clock_timestamp(),"
										" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
										0, NULL, error, sizeof(error), &lost);
	bool		found = now != NULL &&
		put_choices(database, connection, entry, &choices, error,
					sizeof(error), &lost);

	for (int part = 0; found && choices.len == 0 && part < nparts &&
		 endpoint->parts[part].name != NULL; part++)
		found = put_part(database, connection, entry, part, &rows,
						 &truncated, error, sizeof(error), &lost);
	if (choices.len > 0)
		answer = fm_answer_problem(400, "ambiguous",
								   "there are several of that name: say which",
								   choices.data);
	else if (found && entry->form != FM_FORM_JSON)
		answer = wrap_file(entry, &rows, truncated);
	else if (found)
		answer = wrap(endpoint, database, &rows, PQgetvalue(now, 0, 0),
					  truncated);
	else if (lost)
		answer = say_down(database, endpoint, entry->form);
	else
		answer = say_failed(endpoint, error);
	PQclear(now);
	fm_buf_free(&rows);
	fm_buf_free(&choices);
	return answer;
}

static FmAnswer *
find_metrics(FmDatabase *database, PGconn **connection)
{
	FmAnswer   *answer = fm_answer_new(200,
									"text/plain; version=0.0.4; charset=utf-8");

	fm_metrics_put(&answer->body, database, connection);
	return answer;
}

FmAnswer *
fm_answer_say_busy(void)
{
	return fm_answer_problem(503, "busy",
							 "too much is being asked for at once", NULL);
}

FmAnswer *
fm_answer_find(FmDatabase *database, PGconn **connection,
			   const FmEntry *entry)
{
	bool		up;

	if (fm_now() > entry->queued_at + MAX_WAIT)
		return fm_answer_say_busy();
	up = fm_database_connect(database, connection);
	if (entry->endpoint == NULL)
		return find_metrics(database, connection);
	if (!up)
		return say_down(database, entry->endpoint, entry->form);
	return find_rows(database, connection, entry);
}
