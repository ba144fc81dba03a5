/*-------------------------------------------------------------------------
 *
 * mapping_extra.c
 *	  What the columns do not give back of a message, in the message's shape.
 *
 * Kept is every value that no field took exactly, as written, at its place:
 * members that the mapping does not know, and those at places that were not
 * used, not exact, or part of a composed text only.  Objects and arrays that
 * have nothing else to keep are left out.  Elements of an array keep their
 * index, so what has nothing to be kept before or behind something that has
 * stands there as null, or {} where it is an object.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

/* A value that is kept takes its own length, one that is not takes "null,". */
#define ROOM_FOR(len)		((size_t) (len) * 3 + 16)

typedef struct Writer
{
	FmMapped   *mapped;
	char	   *buf;
	size_t		len;
} Writer;

/* One object or array on its way to extra. */
typedef struct Part
{
	const FmTrie *trie;
	const FmSlice *values;		/* of nodes that are given; NULL: not known */
	uint64_t	given;
	bool		message;		/* else an element */
} Part;

static void
put(Writer *writer, const char *text, int len)
{
	memcpy(writer->buf + writer->len, text, (size_t) len);
	writer->len += (size_t) len;
}

bool
fm_scope_kept(const FmScope *scope)
{
	int			i;

	if (scope->unknown)
		return true;
	for (i = 0; i < scope->trie->nnodes; i++)
	{
		if (scope->trie->nodes[i].place &&
			(scope->present & ~scope->given & FM_NODE_BIT(i)) != 0)
			return true;
	}
	return false;
}

/* Is what begins there the value that a column gives back? */
static bool
is_given(const Part *part, int node, const char *value)
{
	return node >= 0 && part->values != NULL &&
		(part->given & FM_NODE_BIT(node)) != 0 &&
		part->values[node].data == value;
}

static bool put_rest(Writer *writer, const Part *part, int node,
					 FmSlice value);

static bool
put_object(Writer *writer, const Part *part, int node, FmSlice value)
{
	const char *cursor = value.data;
	const char *separator = "{";
	FmJsonMember member;
	bool		any = false;

	while (fm_json_next_key(&cursor, &member.key))
	{
		size_t		before = writer->len;
		int			child = fm_trie_child(part->trie, node, member.key);

		any = true;
		if (is_given(part, child, cursor))
		{
			cursor += part->values[child].len;
			continue;
		}
		fm_json_value(&cursor, &member.value);
		put(writer, separator, 1);
		put(writer, member.key.data, member.key.len);
		put(writer, ":", 1);
		if (put_rest(writer, part, child, member.value))
			separator = ",";
		else
			writer->len = before;
	}
	if (!any)
	{
		put(writer, value.data, value.len);
		return true;
	}
	if (*separator == '{')
		return false;
	put(writer, "}", 1);
	return true;
}

/* One element of an array; what has nothing to keep holds its place. */
static bool
put_element(Writer *writer, const Part *part, int node, FmSlice element,
			bool first)
{
	put(writer, first ? "[" : ",", 1);
	if (put_rest(writer, part, node, element))
		return true;
	if (element.data[0] == '{')
		put(writer, "{}", 2);
	else
		put(writer, "null", 4);
	return false;
}

/* The array of readings: each element has marks of its own. */
static bool
put_readings(Writer *writer, FmSlice value)
{
	const FmElementMarks *marks = writer->mapped->marks;
	Part		part = {&writer->mapped->format->element, NULL, 0, false};
	const char *cursor = value.data;
	FmSlice		element;
	bool		kept = false;
	bool		first = true;

	if (marks == NULL || !writer->mapped->elements_kept)
		return false;
	for (; fm_json_next_element(&cursor, &element); marks++)
	{
		part.given = marks->given;
		kept = put_element(writer, &part, 0, element, first) || kept;
		first = false;
	}
	put(writer, "]", 1);
	return kept;
}

static bool
put_array(Writer *writer, const Part *part, int node, FmSlice value)
{
	const char *cursor = value.data;
	FmSlice		element;
	bool		kept = false;
	long		index = 0;

	while (fm_json_next_element(&cursor, &element))
	{
		int			child = fm_trie_element(part->trie, node, index);

		kept = put_element(writer, part, child, element, index == 0) || kept;
		index++;
	}
	if (index == 0)
	{
		put(writer, value.data, value.len);
		return true;
	}
	put(writer, "]", 1);
	return kept;
}

/*
 * Write what is to be kept of a value; false: nothing is, and the caller takes
 * back what has been written.
 */
static bool
put_rest(Writer *writer, const Part *part, int node, FmSlice value)
{
	const FmFormat *format = writer->mapped->format;

	if (node >= 0)
	{
		size_t		before = writer->len;
		bool		kept;

		if ((part->given & FM_NODE_BIT(node)) != 0)
			return false;
		if (part->message && format->has_each && node == format->each)
			kept = put_readings(writer, value);
		else if (part->trie->nodes[node].first_child < 0)
		{
			put(writer, value.data, value.len);
			return true;
		}
		else if (value.data[0] == '{')
			kept = put_object(writer, part, node, value);
		else if (value.data[0] == '[')
			kept = put_array(writer, part, node, value);
		else
		{
			put(writer, value.data, value.len);
			return true;
		}
		if (!kept)
			writer->len = before;
		return kept;
	}
	put(writer, value.data, value.len);
	return true;
}

bool
fm_make_extra(FmMapped *mapped, FmSlice text, FmSlice *extra)
{
	Part		part = {&mapped->format->message, mapped->message.values,
	mapped->message.given, true};
	Writer		writer = {mapped, NULL, 0};

	if (!fm_scope_kept(&mapped->message) && !mapped->elements_kept)
		return true;
	writer.buf = fm_arena_alloc(mapped->arena, ROOM_FOR(text.len));
	if (writer.buf == NULL)
		return fm_mapped_no_memory(mapped);
	if (put_rest(&writer, &part, 0, text))
	{
		extra->data = writer.buf;
		extra->len = (int) writer.len;
	}
	fm_arena_trim(mapped->arena, writer.buf, writer.len);
	return true;
}
