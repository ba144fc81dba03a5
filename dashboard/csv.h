/*
 * csv.h - rows of a query for a spreadsheet (RFC 4180)
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A line of names, then a line a row, each ended by CR LF; null is empty, times
 * are as in JSON.  A spreadsheet takes what begins with =, +, - or @ for a
 * formula, and may drop a tab or line end before it: where that is no number,
 * an apostrophe goes before it.
 */
#ifndef FM_CSV_H
#define FM_CSV_H

#include <libpq-fe.h>

#include "../producer/buf.h"

/* The first rows of a result. */
extern void fm_csv_rows(FmBuf *buf, const PGresult *result, int rows);

#endif							/* FM_CSV_H */
