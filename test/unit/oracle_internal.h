/*-------------------------------------------------------------------------
 *
 * oracle_internal.h
 *	  What the files of the oracle share among themselves.
 *
 * Nobody else includes this file, and it shares nothing with the decoder but
 * reading.h.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ORACLE_INTERNAL_H
#define FM_ORACLE_INTERNAL_H

#include <json-c/json.h>

#include "messages.h"
#include "oracle.h"

/* ---- oracle_grammar.c ---- */

/*
 * Is this JSON text as we take it?  *members, set if so, is how many members
 * its objects have, all together and repeated ones included.
 */
extern FmRejectReason grammar_message(const char *payload, size_t len,
									  long *members);

extern bool grammar_is_utf8(const char *text, size_t len);

/* ---- oracle_tree.c ---- */

/* 0.digits * 10^exponent; digits has no zeros at either end. */
typedef struct Number
{
	bool		negative;
	char	   *digits;			/* malloc'ed; "" for zero */
	long		exponent;
} Number;

extern Number number_parse(const char *text);

/* json-c's tree of text that the grammar accepts; NULL: json-c does not. */
extern json_object *tree_parse(const char *text, size_t len);

/* Members of all objects in it, nested ones too. */
extern long tree_count_members(json_object *tree);

extern bool tree_is_number(json_object *value);

/* Equal as JSON values: numbers as numbers, members in any order. */
extern bool tree_equals(json_object *a, json_object *b);

/* ---- oracle_judge.c ---- */

/* Are its members those of a factory message? */
extern FmRejectReason judge_message(json_object *tree);

/* Is it a timestamp as we take it?  *ts: microseconds since 2000. */
extern bool judge_timestamp(const char *text, int64_t *ts);

/* ---- oracle_rebuild.c ---- */

/* The message put together again; extra may be NULL. */
extern json_object *rebuild_message(const FmReading *reading,
									json_object *extra);

#endif							/* FM_ORACLE_INTERNAL_H */
