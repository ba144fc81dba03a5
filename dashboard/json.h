/*
 * json.h - rows of a query as JSON
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A row is an object, a column a member by its name.  Numbers, booleans and
 * JSON are what they are; NaN and the infinities, for which JSON has nothing,
 * are null; a time is RFC 3339 in UTC, of a session whose time zone that is;
 * an array of integers is an array; all else is a string.
 */
#ifndef FM_JSON_H
#define FM_JSON_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "../producer/buf.h"

/* Types by their fixed numbers in pg_type. */
enum
{
	TYPE_BOOL = 16,
	TYPE_INT8 = 20,
	TYPE_INT2 = 21,
	TYPE_INT4 = 23,
	TYPE_JSON = 114,
	TYPE_FLOAT4 = 700,
	TYPE_FLOAT8 = 701,
	TYPE_INT4_ARRAY = 1007,
	TYPE_TIMESTAMPTZ = 1184,
	TYPE_NUMERIC = 1700,
	TYPE_JSONB = 3802
};

/* The first rows of a result, as an array. */
extern void fm_json_rows(FmBuf *buf, const PGresult *result, int rows);

/* A string with its quotes; NULL: null. */
extern void fm_json_string(FmBuf *buf, const char *text);

/* Is it text that JSON and the database take? */
extern bool fm_json_is_utf8(const char *text);

/*
 * A time as RFC 3339 has it, from how a session of ours writes it.  False, and
 * nothing is put: there is no such form of it (infinity, before Christ).
 */
extern bool fm_put_time(FmBuf *buf, const char *text);

#endif							/* FM_JSON_H */
