/*
 * source.c - rows from the database, one after the other, of one moment
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Everything is read in one transaction with one snapshot.  Rows come sorted by
 * time, and there is no index for that, so the server has to sort them: not all
 * at once, but in slices, one after the other, which end where its partitions
 * by time do.  So it reads each partition once, sorts no more than one of them,
 * and the first rows come soon.
 *
 * A snapshot does not keep a partition from being dropped.  So all of the range
 * are locked at first, which those who drop them wait for, or come back later;
 * what was dropped between the snapshot and the lock makes us begin again.
 */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../producer/buf.h"
#include "query.h"
#include "server.h"

#define MAX_BEGINNINGS 10

/* An edge of partitions within the range. */
typedef struct Edge
{
	char	   *text;
	int64_t		us;
} Edge;

struct FmSource
{
	const FmOptions *options;
	FmServer	server;
	FmFacts		facts;
	Edge	   *edges;
	int			nedges;
	int			slice;			/* to be read next; the last one is nedges */
	bool		copying;
	char	   *row;			/* of libpq */
};

/* ----------------------------------------------------------------------
 * What is known beforehand
 * ------------------------------------------------------------------- */

/* NULL stays NULL. */
static char *
copy_value(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? NULL :
		fm_xstrdup(PQgetvalue(result, row, column));
}

static int64_t
int_value(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static void
free_facts(FmFacts *facts)
{
	free(facts->from);
	free(facts->to);
	free(facts->time_zone);
	free(facts->now);
	free(facts->who);
	free(facts->where);
	free(facts->extension);
	memset(facts, 0, sizeof(*facts));
}

static void
take_facts(FmSource *source, const PGresult *result)
{
	FmFacts    *facts = &source->facts;
	const char *host = PQhost(source->server.conn);
	FmBuf		where = FM_BUF_INIT;

	free_facts(facts);
	facts->from = copy_value(result, 0, 0);
	facts->to = copy_value(result, 0, 1);
	facts->from_us = int_value(result, 0, facts->from != NULL ? 2 : 10);
	facts->to_us = int_value(result, 0, facts->to != NULL ? 3 : 10);
	facts->time_zone = copy_value(result, 0, 4);
	facts->now = copy_value(result, 0, 5);
	facts->who = copy_value(result, 0, 6);
	fm_buf_printf(&where, "%s on %s, port %s", PQgetvalue(result, 0, 7),
				  host != NULL ? host : "", PQport(source->server.conn));
	fm_buf_putc(&where, '\0');
	facts->where = where.data;
	facts->extension = copy_value(result, 0, 8);
}

/* Errors of class 22 are about what the user gave us. */
static bool
is_bad_value(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL && strncmp(state, "22", 2) == 0;
}

static bool
find_range(FmSource *source, int *code)
{
	FmBuf		sql = FM_BUF_INIT;
	const char *values[3];
	int			n = fm_query_range(&sql, source->options, values);
	PGresult   *result = NULL;
	PGresult   *next;
	bool		found;

	if (PQsendQueryParams(source->server.conn, sql.data, n, NULL, values, NULL,
						  NULL, 0))
		while ((next = fm_server_next(&source->server)) != NULL)
		{
			PQclear(result);
			result = next;
		}
	fm_buf_free(&sql);
	found = PQresultStatus(result) == PGRES_TUPLES_OK;
	if (!found && is_bad_value(result))
		*code = FM_EXIT_USAGE;
	if (!found)
		fm_server_complain("the range of time", result != NULL ?
				 PQresultErrorMessage(result) : PQerrorMessage(source->server.conn));
	else if (PQgetvalue(result, 0, 9)[0] == 't')
	{
		fprintf(stderr, "factorymon-export: there is no time from %s to"
				" before %s\n", PQgetvalue(result, 0, 0),
				PQgetvalue(result, 0, 1));
		*code = FM_EXIT_USAGE;
		found = false;
	}
	else
		take_facts(source, result);
	PQclear(result);
	return found;
}

static bool
lock_partitions(FmSource *source)
{
	FmBuf		sql = FM_BUF_INIT;
	bool		done = fm_query_lock(&sql, source->server.conn, source->options,
									 source->facts.from, source->facts.to) &&
		fm_server_run(&source->server, sql.data, source->options->subject->view);

	fm_buf_free(&sql);
	return done;
}

static void
free_edges(FmSource *source)
{
	for (int i = 0; i < source->nedges; i++)
		free(source->edges[i].text);
	free(source->edges);
	source->edges = NULL;
	source->nedges = 0;
}

/* An open end is where the partitions end, as far as that is in the past. */
static void
narrow_range(FmFacts *facts, int64_t first_us, int64_t last_us)
{
	if (facts->from == NULL)
		facts->from_us = first_us;
	if (facts->to == NULL && last_us < facts->to_us)
		facts->to_us = last_us;
}

static void
take_edges(FmSource *source, const PGresult *result)
{
	FmFacts    *facts = &source->facts;
	int			n = PQntuples(result);

	/* a partition without an end sorts last */
	if (n > 0 && PQgetisnull(result, n - 1, 0))
		n--;
	free_edges(source);
	source->edges = fm_xcalloc((size_t) n, sizeof(Edge));
	for (int i = 0; i < n; i++)
	{
		int64_t		us = int_value(result, i, 1);

		if ((facts->from == NULL || us > facts->from_us) &&
			(facts->to == NULL || us < facts->to_us))
			source->edges[source->nedges++] = (Edge)
		{
			copy_value(result, i, 0), us
		};
	}
	if (n > 0)
		narrow_range(facts, int_value(result, 0, 1),
					 int_value(result, n - 1, 1));
}

/* 1; 0: something has gone, so begin again; -1: failed. */
static int
find_edges(FmSource *source)
{
	const char *table = source->options->subject->table;
	PGresult   *result;
	int			found = 1;
	bool		sent = PQsendQueryParams(source->server.conn, fm_query_edges, 1,
										 NULL, &table, NULL, NULL, 0);

	result = fm_server_finish(&source->server, sent, "the partitions");
	if (result == NULL)
		return -1;
	for (int i = 0; i < PQntuples(result); i++)
		if (PQgetvalue(result, i, 2)[0] == 't')
			found = 0;
	if (found > 0)
		take_edges(source, result);
	PQclear(result);
	return found;
}

static bool
begin(FmSource *source, int *code)
{
	for (int i = 0; i < MAX_BEGINNINGS; i++)
	{
		int			found;

		if (!fm_server_run(&source->server, "BEGIN ISOLATION LEVEL"
						   " REPEATABLE READ READ ONLY", "cannot begin") ||
			!find_range(source, code) || !lock_partitions(source) ||
			(found = find_edges(source)) < 0)
			return false;
		if (found > 0)
			return true;
		if (!fm_server_run(&source->server, "ROLLBACK", "cannot begin anew"))
			return false;
	}
	fprintf(stderr, "factorymon-export: partitions are being dropped all the"
			" time; try again later\n");
	return false;
}

FmSource *
fm_source_open(const FmOptions *options, int *code)
{
	FmSource   *source = fm_xcalloc(1, sizeof(*source));

	*code = FM_EXIT_FAILED;
	source->options = options;
	if (fm_server_open(&source->server, options->database, options->time_zone,
					   code) && begin(source, code))
	{
		*code = FM_EXIT_OK;
		return source;
	}
	fm_source_close(source);
	return NULL;
}

const FmFacts *
fm_source_facts(const FmSource *source)
{
	return &source->facts;
}

void
fm_source_on_idle(FmSource *source, FmIdle idle, void *argument)
{
	source->server.idle = idle;
	source->server.idle_argument = argument;
}

/* ----------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------- */

static bool
begin_slice(FmSource *source)
{
	const char *from = source->facts.from;
	const char *to = source->facts.to;
	FmBuf		sql = FM_BUF_INIT;
	PGresult   *result = NULL;

	if (source->slice > 0)
		from = source->edges[source->slice - 1].text;
	if (source->slice < source->nedges)
		to = source->edges[source->slice].text;
	if (fm_query_copy(&sql, source->server.conn, source->options, from, to))
		result = fm_server_finish(&source->server,
								  PQsendQuery(source->server.conn, sql.data),
								  "cannot read");
	source->copying = result != NULL &&
		PQresultStatus(result) == PGRES_COPY_OUT;
	PQclear(result);
	fm_buf_free(&sql);
	return source->copying;
}

/* After the last row: whether it was. */
static bool
end_slice(FmSource *source)
{
	PGresult   *result = fm_server_finish(&source->server, true, "cannot read on");

	PQclear(result);
	source->copying = false;
	source->slice++;
	return result != NULL;
}

/* What a backslash and this character stand for. */
static char
unescape(char c)
{
	switch (c)
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		case 'v':
			return '\v';
		default:
			return c;
	}
}

/*
 * Fields of a line of COPY's text format, which is changed: they are in it
 * afterwards, without escapes.
 */
static bool
split(char *line, int len, FmField *fields, int nfields)
{
	char	   *end = line + len;
	char	   *in = line;

	for (int i = 0; i < nfields; i++)
	{
		char	   *out = in;

		fields[i].text = in;
		if (in + 1 < end && in[0] == '\\' && in[1] == 'N')
		{
			fields[i].text = NULL;
			in += 2;
		}
		while (in < end && *in != '\t' && *in != '\n')
		{
			bool		escaped = *in == '\\' && in + 1 < end;

			in += escaped ? 1 : 0;
			*out++ = escaped ? unescape(*in) : *in;
			in++;
		}
		if (in == end || *in != (i < nfields - 1 ? '\t' : '\n'))
			return false;
		in++;
		*out = '\0';
		fields[i].len = fields[i].text != NULL ?
			(size_t) (out - fields[i].text) : 0;
	}
	return true;
}

int
fm_source_next(FmSource *source, FmField *fields)
{
	for (;;)
	{
		int			len;

		if (!source->copying)
		{
			if (source->slice > source->nedges)
				return 0;
			if (!begin_slice(source))
				return -1;
		}
		PQfreemem(source->row);
		source->row = NULL;
		/* of what is lost libpq tells only those who wait */
		len = PQgetCopyData(source->server.conn, &source->row,
							!source->server.lost);
		if (len > 0 && split(source->row, len, fields,
							 source->options->ncolumns))
			return 1;
		if (len > 0)
			fm_server_complain("cannot read", "this is not what was asked for\n");
		if (len == -2)
			fm_server_complain("cannot read on", PQerrorMessage(source->server.conn));
		if (len > 0 || len == -2 || (len == 0 && !fm_server_wait(&source->server)) ||
			(len == -1 && !end_slice(source)))
			return -1;
	}
}

int64_t
fm_source_position(const FmSource *source)
{
	if (source->slice > source->nedges)
		return source->facts.to_us;
	return source->slice > 0 ? source->edges[source->slice - 1].us :
		source->facts.from_us;
}

bool
fm_source_done(FmSource *source)
{
	return fm_server_run(&source->server, "COMMIT", "cannot end the transaction");
}

void
fm_source_close(FmSource *source)
{
	PQfreemem(source->row);
	fm_server_close(&source->server);
	free_facts(&source->facts);
	free_edges(source);
	free(source);
}
