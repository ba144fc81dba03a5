/*
 * query.h - the SQL of an export
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * COPY takes no parameters, so what comes from the command line is quoted by
 * libpq; each of these returns false after an error message if it cannot be.
 */
#ifndef FM_QUERY_H
#define FM_QUERY_H

#include <libpq-fe.h>

#include "../producer/buf.h"
#include "options.h"

/* Of a range of time, each end a time as the server wrote it, or NULL. */
extern bool fm_query_copy(FmBuf *sql, PGconn *conn, const FmOptions *options,
						  const char *from, const char *to);

/* Locks what such a copy will read, until the end of the transaction. */
extern bool fm_query_lock(FmBuf *sql, PGconn *conn, const FmOptions *options,
						  const char *from, const char *to);

/* What the moments mean; parameters are put in values, their count returned. */
extern int	fm_query_range(FmBuf *sql, const FmOptions *options,
						   const char *values[3]);

/* Edges of the partitions by time of table $1; see source.c. */
extern const char fm_query_edges[];

#endif							/* FM_QUERY_H */
