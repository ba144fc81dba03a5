/*-------------------------------------------------------------------------
 *
 * mapping_pointer.c
 *	  Places: where we are in a mapping, and where a mapping points to.
 *
 * Pointers are those of RFC 6901, from the message; with '@' before them they
 * are from the element of the array "each".  Each name in one becomes a node of
 * a trie, so that a message is walked once for all of them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mapping_internal.h"

/* How much of a name of the mapping an error repeats. */
#define MAX_PLACE_NAME		60

/* ------------------------------------------------------------------------
 * Where we are, and what is wrong there
 * ------------------------------------------------------------------------
 */

static int
enter(FmCompile *compile, const char *name, int len)
{
	int			length = (int) strlen(compile->place);
	int			clipped = fm_utf8_clip(name, len, MAX_PLACE_NAME);

	if (length + clipped + 2 <= (int) sizeof(compile->place))
	{
		compile->place[length] = '/';
		memcpy(compile->place + length + 1, name, (size_t) clipped);
		compile->place[length + 1 + clipped] = '\0';
	}
	return length;
}

bool
fm_compile_fail(FmCompile *compile, const char *member, const char *format, ...)
{
	FmMappingError *error = compile->error;
	int			len;
	va_list		args;

	if (member != NULL)
		(void) enter(compile, member, (int) strlen(member));
	memcpy(error->place, compile->place, sizeof(error->place));
	va_start(args, format);
	len = vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	if (len >= (int) sizeof(error->message))
	{
		len = fm_utf8_clip(error->message, (int) sizeof(error->message) - 1,
						   (int) sizeof(error->message) - 2);
		error->message[len] = '\0';
	}
	return false;
}

int
fm_compile_enter(FmCompile *compile, FmSlice key)
{
	return enter(compile, key.data + 1, key.len - 2);
}

int
fm_compile_enter_index(FmCompile *compile, int index)
{
	char		text[16];

	return enter(compile, text, snprintf(text, sizeof(text), "%d", index));
}

void
fm_compile_leave(FmCompile *compile, int length)
{
	compile->place[length] = '\0';
}

bool
fm_compile_no_memory(FmCompile *compile)
{
	return fm_compile_fail(compile, NULL, "needs more memory than there is");
}

/* ------------------------------------------------------------------------
 * Pointers
 * ------------------------------------------------------------------------
 */

/* The index that a name of a pointer stands for, or -1. */
static long
index_of_name(FmSlice name)
{
	long		index = 0;
	int			i;

	if (name.len == 0 || name.len > 9 || (name.len > 1 && name.data[0] == '0'))
		return -1;
	for (i = 0; i < name.len; i++)
	{
		if (!fm_is_digit(name.data[i]))
			return -1;
		index = index * 10 + (name.data[i] - '0');
	}
	return index;
}

/* One name of a pointer, "~0" and "~1" resolved, as a copy. */
static bool
pointer_name(FmCompile *compile, const char *text, int len, FmSlice *name)
{
	char	   *copy = fm_arena_alloc(compile->arena, (size_t) len + 1);
	int			n = 0;
	int			i;

	if (copy == NULL)
		return fm_compile_no_memory(compile);
	for (i = 0; i < len; i++)
	{
		copy[n] = text[i];
		if (text[i] == '~')
		{
			i++;
			if (i == len || (text[i] != '0' && text[i] != '1'))
				return fm_compile_fail(compile, NULL, "has a \"~\" that is "
									   "not followed by \"0\" or \"1\"");
			copy[n] = text[i] == '0' ? '~' : '/';
		}
		n++;
	}
	copy[n] = '\0';
	name->data = copy;
	name->len = n;
	return true;
}

/* The node of this name below another; made if there is none. */
static bool
child_node(FmCompile *compile, FmTrie *trie, int parent, FmSlice name,
		   const char *path, int *child)
{
	FmNode	   *node;
	int		   *link = &trie->nodes[parent].first_child;

	while (*link >= 0)
	{
		node = &trie->nodes[*link];
		if (node->name.len == name.len &&
			memcmp(node->name.data, name.data, (size_t) name.len) == 0)
		{
			*child = *link;
			return true;
		}
		link = &node->next_sibling;
	}
	if (trie->nnodes == FM_MAX_NODES)
		return fm_compile_fail(compile, NULL, "is too much: a mapping can use "
							   "up to %d names", FM_MAX_NODES - 1);
	*child = *link = trie->nnodes++;
	node = &trie->nodes[*child];
	memset(node, 0, sizeof(*node));
	node->name = name;
	node->parent = parent;
	node->first_child = node->next_sibling = -1;
	node->index = index_of_name(name);
	node->path = path;
	return true;
}

/* text up to p as a string of its own */
static const char *
copy_path(FmCompile *compile, FmSlice text, const char *p)
{
	size_t		len = (size_t) (p - text.data);
	char	   *copy = fm_arena_alloc(compile->arena, len + 1);

	if (copy != NULL)
	{
		memcpy(copy, text.data, len);
		copy[len] = '\0';
	}
	return copy;
}

bool
fm_compile_pointer(FmCompile *compile, FmSlice text, FmPlace *place)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	FmTrie	   *trie;
	int			names = 0;

	place->element = p < end && *p == '@';
	place->node = 0;
	if (place->element)
		p++;
	if (place->element && !compile->format->has_each)
		return fm_compile_fail(compile, NULL, "begins with \"@\", which needs "
							   "\"each\"");
	trie = place->element ? &compile->format->element :
		&compile->format->message;
	if (p < end && *p != '/')
		return fm_compile_fail(compile, NULL, "is no JSON Pointer: one is "
							   "written as \"/name\" or \"/name/name\"");
	while (p < end)
	{
		const char *name = ++p;
		const char *path;
		FmSlice		resolved = {NULL, 0};

		while (p < end && *p != '/')
			p++;
		if (++names > FM_MAX_POINTER)
			return fm_compile_fail(compile, NULL, "has more than %d names",
								   FM_MAX_POINTER);
		path = copy_path(compile, text, p);
		if (path == NULL)
			return fm_compile_no_memory(compile);
		if (!pointer_name(compile, name, (int) (p - name), &resolved) ||
			!child_node(compile, trie, place->node, resolved, path,
						&place->node))
			return false;
		if (!place->element && compile->format->has_each &&
			trie->nodes[place->node].parent == compile->format->each)
			return fm_compile_fail(compile, NULL, "is within the array of "
								   "\"each\": write it with \"@\", from the "
								   "element");
	}
	if (!place->element && compile->format->has_each &&
		place->node == compile->format->each)
		return fm_compile_fail(compile, NULL, "is the array of \"each\"");
	return true;
}
