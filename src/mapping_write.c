/*-------------------------------------------------------------------------
 *
 * mapping_write.c
 *	  Writing a message: what was kept of it, and what columns give back.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "mapping_message.h"

/* A message, or an element of the array of readings. */
typedef struct Side
{
	const FmScope *scope;
	const FmGiven *given;
	bool		message;
} Side;

static const FmSlice nothing = {NULL, 0};

/* ------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------
 */

static void
put(FmComposer *composer, const char *text, int len)
{
	if (composer->len + (size_t) len > composer->size)
	{
		size_t		size = (composer->len + (size_t) len) * 2 + 256;
		char	   *buf = fm_arena_alloc(composer->arena, size);

		composer->failed = composer->failed || buf == NULL;
		if (buf == NULL)
			return;
		if (composer->len > 0)
			memcpy(buf, composer->buf, composer->len);
		composer->buf = buf;
		composer->size = size;
	}
	memcpy(composer->buf + composer->len, text, (size_t) len);
	composer->len += (size_t) len;
}

FmSlice
fm_quote(FmComposer *composer, FmSlice text)
{
	char	   *buf = fm_arena_alloc(composer->arena, (size_t) text.len * 6 + 2);
	FmSlice		result = {buf, 0};
	char	   *out = buf;
	int			i;

	if (buf == NULL)
	{
		composer->failed = true;
		return nothing;
	}
	*out++ = '"';
	for (i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c < 0x20)
		{
			out += sprintf(out, "\\u%04x", c);
			continue;
		}
		if (c == '"' || c == '\\')
			*out++ = '\\';
		*out++ = (char) c;
	}
	*out++ = '"';
	result.len = (int) (out - buf);
	return result;
}

/* ------------------------------------------------------------------------
 * Objects and arrays
 * ------------------------------------------------------------------------
 */

static bool put_value(FmComposer *composer, const Side *side, int node,
					  FmSlice kept);

static void
put_name(FmComposer *composer, bool *first, FmSlice name)
{
	put(composer, *first ? "" : ",", *first ? 0 : 1);
	put(composer, name.data, name.len);
	put(composer, ":", 1);
	*first = false;
}

/* Members that are kept, and those that columns give. */
static bool
put_object(FmComposer *composer, const Side *side, int node, FmSlice kept)
{
	const FmTrie *trie = side->scope->trie;
	const char *cursor = kept.data;
	size_t		begin = composer->len;
	bool		first = true;
	FmJsonMember member;
	int			child;

	put(composer, "{", 1);
	while (kept.data != NULL && fm_json_next_member(&cursor, &member))
	{
		put_name(composer, &first, member.key);
		child = fm_trie_child(trie, node, member.key);
		if (child < 0 || !put_value(composer, side, child, member.value))
			put(composer, member.value.data, member.value.len);
	}
	for (child = trie->nodes[node].first_child; child >= 0;
		 child = trie->nodes[child].next_sibling)
	{
		size_t		before = composer->len;
		bool		was_first = first;

		/* the walk along extra has been there */
		if (kept.data != NULL &&
			(side->scope->present & FM_NODE_BIT(child)) != 0)
			continue;
		put_name(composer, &first, fm_quote(composer, trie->nodes[child].name));
		if (put_value(composer, side, child, nothing))
			continue;
		composer->len = before;
		first = was_first;
	}
	put(composer, "}", 1);
	if (kept.data == NULL && first)
		composer->len = begin;
	return kept.data != NULL || !first;
}

/* null where something was given: it only holds the place. */
static bool
put_element(FmComposer *composer, const Side *side, int node, FmSlice kept)
{
	if (node >= 0 && put_value(composer, side, node,
							   kept.data == NULL || kept.data[0] == 'n' ?
							   nothing : kept))
		return true;
	if (kept.data != NULL)
		put(composer, kept.data, kept.len);
	return kept.data != NULL;
}

static bool
put_array(FmComposer *composer, const Side *side, int node, FmSlice kept)
{
	const FmTrie *trie = side->scope->trie;
	const char *cursor = kept.data;
	size_t		begin = composer->len;
	FmSlice		element = nothing;
	long		index;

	put(composer, "[", 1);
	for (index = 0;; index++)
	{
		size_t		before = composer->len;
		int			child = fm_trie_element(trie, node, index);

		if (kept.data != NULL ? !fm_json_next_element(&cursor, &element) :
			child < 0)
			break;
		put(composer, ",", index > 0 ? 1 : 0);
		if (!put_element(composer, side, child, element))
		{
			composer->len = before;
			break;
		}
	}
	put(composer, "]", 1);
	if (kept.data == NULL && index == 0)
		composer->len = begin;
	return kept.data != NULL || index > 0;
}

/* The array of readings. */
static bool
put_elements(FmComposer *composer)
{
	Side		side = {&composer->element, &composer->of_element, false};
	int			i;

	if (composer->nelements == 0 && composer->kept == NULL)
		return false;
	put(composer, "[", 1);
	for (i = 0; i < composer->nelements; i++)
	{
		FmSlice		kept = composer->kept ? composer->kept[i] : nothing;

		fm_enter_element(composer, i);
		fm_give_element(composer, i, true);
		put(composer, ",", i > 0 ? 1 : 0);
		if (!put_element(composer, &side, 0, kept))
			put(composer, "{}", 2);
	}
	put(composer, "]", 1);
	return true;
}

/* Are all names below this node indexes? */
static bool
is_array(const FmTrie *trie, int node)
{
	int			child = trie->nodes[node].first_child;

	for (; child >= 0; child = trie->nodes[child].next_sibling)
	{
		if (trie->nodes[child].index < 0)
			return false;
	}
	return true;
}

/* False: there is nothing, and nothing has been written. */
static bool
put_value(FmComposer *composer, const Side *side, int node, FmSlice kept)
{
	const FmFormat *format = composer->format;
	const FmTrie *trie = side->scope->trie;
	FmSlice		given = side->given->values[node];
	bool		parent = trie->nodes[node].first_child >= 0;

	if (side->message && format->has_each && node == format->each)
		return put_elements(composer);
	if (parent && (kept.data != NULL ? kept.data[0] == '{' :
				   given.data == NULL &&
				   ((side->message && node == 0) || !is_array(trie, node))))
		return put_object(composer, side, node, kept);
	if (parent && (kept.data != NULL ? kept.data[0] == '[' :
				   given.data == NULL))
		return put_array(composer, side, node, kept);
	if (kept.data == NULL)
		kept = given;
	if (kept.data != NULL)
		put(composer, kept.data, kept.len);
	return kept.data != NULL;
}

bool
fm_write_message(FmComposer *composer, FmSlice extra, FmSlice *message)
{
	Side		side = {&composer->message, &composer->of_message, true};

	if (!put_value(composer, &side, 0, extra))
		put(composer, "{}", 2);
	message->data = composer->buf;
	message->len = (int) composer->len;
	return !composer->failed && composer->len <= FM_MAX_PAYLOAD;
}
