/*-------------------------------------------------------------------------
 *
 * oracle.c
 *	  A second opinion on what a factory message is.
 *
 * In three parts, each a plain reading of the rules:
 *	- oracle_grammar.c: a recursive-descent recogniser of JSON text;
 *	- oracle_judge.c: the members, looked up in the tree that json-c makes;
 *	- oracle_rebuild.c: the message put together again from the reading,
 *	  compared with json-c's tree of the original (oracle_tree.c).
 * Here their verdicts are put together and compared with the decoder's.
 *
 * json-c is lenient in grammar, so it is only asked about text that the
 * recogniser accepts, and that it must accept then too.  It keeps the last of
 * several members with the same name, so the tree has fewer members than the
 * text exactly if a name was repeated.
 *
 * Not seen here, because json-c saturates: digits of integers beyond 64 bits.
 * The SQL test rebuild.sql compares those.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_internal.h"

/* Text for people: one line of UTF-8 that is there and ends. */
static bool
is_presentable(const char *text, size_t size)
{
	size_t		len = strnlen(text, size);
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] < 0x20)
			return false;
	}
	return len > 0 && len < size && grammar_is_utf8(text, len);
}

static bool
double_is_nearest(double value, json_object *tree, const char *name)
{
	json_object *member = json_object_object_get(tree, name);

	return value == strtod(json_object_get_string(member), NULL) ||
		json_object_is_type(member, json_type_int);
}

static bool
quality_is_nearest(const FmReading *reading, json_object *tree)
{
	json_object *member;

	if (!json_object_object_get_ex(tree, "quality", &member))
		return !reading->has_quality;
	return reading->has_quality &&
		reading->quality == strtof(json_object_get_string(member), NULL);
}

/* What is wrong with this reading of this message, or NULL. */
static const char *
check_reading(const FmReading *reading, json_object *tree)
{
	json_object *extra = NULL;
	json_object *rebuilt;
	int64_t		ts;
	bool		equal;

	if (!judge_timestamp(json_object_get_string(
			json_object_object_get(tree, "timestamp")), &ts) ||
		ts != reading->ts)
		return "the timestamp differs";
	if (!isfinite(reading->value) ||
		!double_is_nearest(reading->value, tree, "value"))
		return "value is not the nearest double";
	if (!quality_is_nearest(reading, tree))
		return "quality is not the nearest float";
	if (reading->extra.data != NULL)
	{
		extra = tree_parse(reading->extra.data, (size_t) reading->extra.len);
		if (!json_object_is_type(extra, json_type_object))
			return "extra is no JSON object";
		if (json_object_object_length(extra) == 0)
			return "extra is empty";
	}
	rebuilt = rebuild_message(reading, extra);
	equal = tree_equals(rebuilt, tree);
	json_object_put(rebuilt);
	json_object_put(extra);
	return equal ? NULL : "the message cannot be rebuilt from the reading";
}

/* What the oracle says; *tree is filled in if the text is JSON. */
static FmRejectReason
expected_reason(const char *payload, size_t len, json_object **tree,
				const char **problem)
{
	long		members = 0;
	FmRejectReason reason = grammar_message(payload, len, &members);

	if (reason != FM_REJECT_NONE)
		return reason;
	*tree = tree_parse(payload, len);
	/* json-c gives NULL for null */
	if (*tree == NULL)
	{
		if (memmem(payload, len, "null", 4) == NULL)
			*problem = "json-c does not take this text";
		return FM_REJECT_NOT_AN_OBJECT;
	}
	if (tree_count_members(*tree) != members)
		return FM_REJECT_DUPLICATE_KEY;
	return judge_message(*tree);
}

bool
oracle_agrees(const char *payload, size_t len, FmArena *arena,
			  FmRejectReason *reason, char *complaint, size_t size)
{
	FmDecoded	decoded;
	json_object *tree = NULL;
	const char *problem = NULL;
	FmRejectReason expected;

	fm_decode_factory(payload, len, arena, &decoded);
	*reason = decoded.reason;
	expected = expected_reason(payload, len, &tree, &problem);
	if (problem == NULL && expected != decoded.reason)
		problem = "the reasons differ";
	else if (problem == NULL && expected == FM_REJECT_NONE)
	{
		if (decoded.nreadings != 1 || decoded.detail[0] != '\0')
			problem = "there is not just one reading";
		else
			problem = check_reading(&decoded.readings[0], tree);
	}
	else if (problem == NULL &&
			 (decoded.nreadings != 0 ||
			  !is_presentable(decoded.detail, sizeof(decoded.detail))))
		problem = "the detail is not presentable";
	json_object_put(tree);
	if (problem != NULL)
		snprintf(complaint, size, "%s: expected %s, got %s (%s)", problem,
				 fm_reject_reason_name(expected),
				 fm_reject_reason_name(decoded.reason),
				 decoded.reason == FM_REJECT_NONE ? "" : decoded.detail);
	return problem == NULL;
}
