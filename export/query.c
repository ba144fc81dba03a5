/*
 * query.c - the SQL of an export
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "query.h"

#include <stdio.h>
#include <string.h>

/*
 * Each edge, and whether any partition has gone since our moment, before we had
 * the lock: the catalogs are read as of that moment, but pg_partition_root()
 * sees the present.
 */
const char	fm_query_edges[] =
"WITH leaf AS MATERIALIZED ("
"   SELECT l.inhrelid, pg_get_expr(c.relpartbound, c.oid) AS bound,"
"     pg_partition_root(l.inhrelid) IS NULL AS gone"
"   FROM pg_class parent"
"   JOIN pg_namespace n ON n.oid = parent.relnamespace"
"   JOIN pg_inherits p ON p.inhparent = parent.oid"
"   JOIN pg_inherits l ON l.inhparent = p.inhrelid"
"   JOIN pg_class c ON c.oid = l.inhrelid"
"   WHERE n.nspname = '_factorymon' AND parent.relname = $1::name)"
" SELECT edge, (extract(epoch FROM edge) * 1000000)::bigint, bool_or(gone)"
" FROM leaf LEFT JOIN LATERAL"
"   (SELECT m[1]::timestamptz AS edge"
"     FROM regexp_matches(bound, '''([^'']+)''', 'g') AS m) x ON true"
" GROUP BY edge ORDER BY edge";

/* ----------------------------------------------------------------------
 * Conditions
 * ------------------------------------------------------------------- */

static bool
put_literal(FmBuf *sql, PGconn *conn, const char *text)
{
	char	   *literal = PQescapeLiteral(conn, text, strlen(text));

	if (literal == NULL)
	{
		fprintf(stderr, "factorymon-export: \"%s\": %s", text,
				PQerrorMessage(conn));
		return false;
	}
	fm_buf_puts(sql, literal);
	PQfreemem(literal);
	return true;
}

/*
 * What the user means by a name: * stands for anything, and what has a
 * backslash before it for itself.  Makes a pattern of LIKE, or a plain text if
 * there is nothing to stand for; returns which.
 */
static bool
read_pattern(FmBuf *out, const char *text, bool as_pattern)
{
	bool		any = false;

	for (; *text != '\0'; text++)
	{
		if (*text == '*')
		{
			fm_buf_putc(out, '%');
			any = true;
			continue;
		}
		if (*text == '\\' && (text[1] == '*' || text[1] == '\\'))
			text++;
		if (as_pattern && strchr("%_\\", *text) != NULL)
			fm_buf_putc(out, '\\');
		fm_buf_putc(out, *text);
	}
	fm_buf_putc(out, '\0');
	return any;
}

static bool
put_name(FmBuf *sql, PGconn *conn, const char *column, const char *text)
{
	FmBuf		name = FM_BUF_INIT;
	bool		is_pattern = read_pattern(&name, text, false);
	bool		done;

	if (is_pattern)
	{
		fm_buf_reset(&name);
		(void) read_pattern(&name, text, true);
	}
	fm_buf_printf(sql, "%s %s ", column, is_pattern ? "LIKE" : "=");
	done = put_literal(sql, conn, name.data);
	fm_buf_free(&name);
	return done;
}

static bool
put_filter(FmBuf *sql, PGconn *conn, const char *column, const FmList *names)
{
	for (int i = 0; i < names->count; i++)
	{
		fm_buf_puts(sql, i == 0 ? " AND (" : " OR ");
		if (!put_name(sql, conn, column, names->items[i]))
			return false;
	}
	if (names->count > 0)
		fm_buf_putc(sql, ')');
	return true;
}

static bool
put_edge(FmBuf *sql, PGconn *conn, const char *condition, const char *edge)
{
	if (edge == NULL)
		return true;
	fm_buf_printf(sql, " AND %s ", condition);
	return put_literal(sql, conn, edge);
}

static bool
put_from_where(FmBuf *sql, PGconn *conn, const FmOptions *options,
			   const char *from, const char *to)
{
	const FmSubject *subject = options->subject;
	char		condition[64];

	fm_buf_printf(sql, " FROM %s WHERE true", subject->view);
	snprintf(condition, sizeof(condition), "%s >=", subject->time);
	if (!put_edge(sql, conn, condition, from))
		return false;
	snprintf(condition, sizeof(condition), "%s <", subject->time);
	if (!put_edge(sql, conn, condition, to))
		return false;
	for (int i = 0; i < FM_FILTERS; i++)
		if (!put_filter(sql, conn, subject->filters[i], &options->filters[i]))
			return false;
	return true;
}

/* ----------------------------------------------------------------------
 * Queries
 * ------------------------------------------------------------------- */

bool
fm_query_copy(FmBuf *sql, PGconn *conn, const FmOptions *options,
			  const char *from, const char *to)
{
	fm_buf_puts(sql, "COPY (SELECT ");
	for (int i = 0; i < options->ncolumns; i++)
	{
		const FmColumn *column = options->columns[i];

		/* names are words of ours, some of them SQL's, too */
		fm_buf_printf(sql, "%s%s%s%s", i > 0 ? ", " : "",
					  column->sql != NULL ? "" : "\"",
					  column->sql != NULL ? column->sql : column->name,
					  column->sql != NULL ? "" : "\"");
	}
	if (!put_from_where(sql, conn, options, from, to))
		return false;
	fm_buf_printf(sql, " ORDER BY %s) TO STDOUT", options->subject->order);
	fm_buf_putc(sql, '\0');
	return true;
}

bool
fm_query_lock(FmBuf *sql, PGconn *conn, const FmOptions *options,
			  const char *from, const char *to)
{
	fm_buf_puts(sql, "EXPLAIN SELECT");
	if (!put_from_where(sql, conn, options, from, to))
		return false;
	fm_buf_putc(sql, '\0');
	return true;
}

static void
put_moment(FmBuf *sql, const FmMoment *moment, const char *values[], int *n)
{
	if (moment->kind == FM_MOMENT_OPEN)
	{
		fm_buf_puts(sql, "NULL::timestamptz");
		return;
	}
	values[(*n)++] = moment->sql;
	fm_buf_printf(sql, moment->kind == FM_MOMENT_RELATIVE
				  ? "now() + $%d::interval" : "$%d::timestamptz", *n);
}

int
fm_query_range(FmBuf *sql, const FmOptions *options, const char *values[3])
{
	int			n = 0;

	fm_buf_puts(sql, "SELECT f, t,"
				" (extract(epoch FROM f) * 1000000)::bigint,"
				" (extract(epoch FROM t) * 1000000)::bigint,"
				" current_setting('TimeZone'), date_trunc('second', now()),"
				" current_user, current_database(),"
				" (SELECT extversion FROM pg_extension"
				"  WHERE extname = 'factorymon'), f >= t,"
				" (extract(epoch FROM now()) * 1000000)::bigint"
				" FROM (SELECT ");
	put_moment(sql, &options->from, values, &n);
	fm_buf_puts(sql, " AS f, ");
	if (*options->length != '\0')
	{
		/* by the calendar: a day may have 23 hours */
		values[n++] = options->length;
		fm_buf_printf(sql, "($1::timestamp + $%d::interval)::timestamptz", n);
	}
	else
		put_moment(sql, &options->to, values, &n);
	fm_buf_puts(sql, " AS t) x");
	fm_buf_putc(sql, '\0');
	return n;
}
