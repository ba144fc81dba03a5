/*-------------------------------------------------------------------------
 *
 * mapping_drift.c
 *	  What a message has that its format does not expect.
 *
 * This walks a message once more, which is worth its time only where the
 * decoder has found it strange (FmDecoded.strange): messages that are as the
 * format says are never looked at here.  Nothing is remembered: whoever calls
 * counts.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "mapping_internal.h"

/* A path on its way, clipped where it gets too long. */
typedef struct Scan
{
	const FmFormat *format;
	FmDriftReport report;
	void	   *arg;
	char		path[FM_DRIFT_PATH];
	int			path_len;
	bool		full;			/* the path goes on, but not here */
	int			found;
	uint32_t	seen[FM_DRIFT_MAX]; /* hashes of what was reported */
} Scan;

const char *
fm_drift_name(FmDriftKind kind)
{
	static const char *const names[] = {
		"new member", "changed type", "missing member", "more"
	};

	return names[kind];
}

/* Was this path of this kind reported before? */
static bool
is_repeated(Scan *scan, FmDriftKind kind)
{
	uint32_t	hash = 2166136261u ^ (uint32_t) kind;
	int			i;

	for (i = 0; i < scan->path_len; i++)
		hash = (hash ^ (unsigned char) scan->path[i]) * 16777619u;
	for (i = 0; i < scan->found; i++)
	{
		if (scan->seen[i] == hash)
			return true;
	}
	scan->seen[scan->found] = hash;
	return false;
}

static void
found(Scan *scan, FmDriftKind kind, FmSlice value)
{
	FmDrift		drift;

	if (scan->found == FM_DRIFT_MAX || is_repeated(scan, kind))
		return;
	scan->found++;
	if (scan->found == FM_DRIFT_MAX)
	{
		kind = FM_DRIFT_MORE;
		scan->path_len = 0;
		value.len = 0;
	}
	drift.kind = kind;
	drift.path.data = scan->path;
	drift.path.len = fm_utf8_clip(scan->path, scan->path_len, scan->path_len);
	drift.example.data = value.data;
	drift.example.len = value.len == 0 ? 0 :
		fm_utf8_clip(value.data, value.len, FM_DRIFT_EXAMPLE);
	scan->report(scan->arg, &drift);
}

static void
add_character(Scan *scan, const char *text, int len)
{
	scan->full = scan->full || scan->path_len + len > FM_DRIFT_PATH;
	if (scan->full)
		return;
	memcpy(scan->path + scan->path_len, text, (size_t) len);
	scan->path_len += len;
}

/* Add a member's name to the path, as a JSON Pointer has it. */
static int
enter(Scan *scan, FmSlice key)
{
	int			before = scan->path_len;
	const char *p = key.data + 1;
	const char *end = key.data + key.len - 1;

	add_character(scan, "/", 1);
	while (p < end && !scan->full)
	{
		uint32_t	character = fm_json_next_character(&p);
		char		utf8[4];

		if (character == '~')
			add_character(scan, "~0", 2);
		else if (character == '/')
			add_character(scan, "~1", 2);
		else
			add_character(scan, utf8, fm_utf8_put(character, utf8));
	}
	return before;
}

/* What types does the mapping expect at this node? */
static unsigned
types_of(const FmTrie *trie, int node)
{
	unsigned	types = trie->nodes[node].types;

	if (trie->nodes[node].first_child >= 0)
		types |= 1u << FM_JSON_OBJECT | 1u << FM_JSON_ARRAY;
	return types;
}

/* Required fields with places here, none of which is there. */
static void
look_for_missing(Scan *scan, const FmTrie *trie, const FmSourceList *list,
				 uint64_t present)
{
	bool		element = trie == &scan->format->element;
	int			i;

	for (i = 0; i < list->n; i++)
	{
		const FmSource *source = list->sources[i];
		const char *path;
		bool		there = !source->required || source->nplaces == 0;
		int			j;

		for (j = 0; j < source->nplaces; j++)
			there = there || source->places[j].element != element ||
				(present & FM_NODE_BIT(source->places[j].node)) != 0;
		if (there)
			continue;
		path = trie->nodes[source->places[0].node].path;
		scan->path_len = 0;
		scan->full = false;
		add_character(scan, path, (int) strlen(path));
		found(scan, FM_DRIFT_MISSING_MEMBER, (FmSlice) {"", 0});
	}
}

static void
look_for_all_missing(Scan *scan, const FmTrie *trie, uint64_t present)
{
	const FmFormat *format = scan->format;
	int			i;

	look_for_missing(scan, trie, &format->common, present);
	look_for_missing(scan, trie, &format->per_element, present);
	for (i = 0; i < format->nreadings; i++)
		look_for_missing(scan, trie, &format->readings[i], present);
}

static void look_at(Scan *scan, const FmTrie *trie, int node, FmSlice value,
					uint64_t *present);

static void
look_into_elements(Scan *scan, FmSlice array)
{
	const char *cursor = array.data;
	int			before = scan->path_len;
	FmSlice		element;

	scan->path_len = 0;
	scan->full = false;
	add_character(scan, "@", 1);
	while (scan->found < FM_DRIFT_MAX && fm_json_next_element(&cursor, &element))
	{
		uint64_t	present = 0;

		scan->path_len = 1;
		look_at(scan, &scan->format->element, 0, element, &present);
		look_for_all_missing(scan, &scan->format->element, present);
	}
	scan->path_len = before;
	scan->full = false;
}

/* One member or element: known, or new. */
static void
look_at_child(Scan *scan, const FmTrie *trie, int child, FmSlice key,
			  FmSlice value, uint64_t *present)
{
	bool		was_full = scan->full;
	int			before = enter(scan, key);

	if (child < 0)
		found(scan, FM_DRIFT_NEW_MEMBER, value);
	else
		look_at(scan, trie, child, value, present);
	scan->full = was_full;
	scan->path_len = before;
}

static void
look_into(Scan *scan, const FmTrie *trie, int node, FmSlice value,
		  uint64_t *present)
{
	const char *cursor = value.data;
	FmJsonMember member;
	FmSlice		element;
	long		index = 0;

	if (value.data[0] == '{')
	{
		while (scan->found < FM_DRIFT_MAX &&
			   fm_json_next_member(&cursor, &member))
			look_at_child(scan, trie, fm_trie_child(trie, node, member.key),
						  member.key, member.value, present);
		return;
	}
	while (scan->found < FM_DRIFT_MAX && fm_json_next_element(&cursor, &element))
	{
		int			child = fm_trie_element(trie, node, index);
		char		name[24] = "\"*\"";
		FmSlice		key = {name, 3};

		/* the elements that are not known are new as one */
		if (child >= 0)
			key.len = snprintf(name, sizeof(name), "\"%ld\"", index);
		look_at_child(scan, trie, child, key, element, present);
		index++;
	}
}

static void
look_at(Scan *scan, const FmTrie *trie, int node, FmSlice value,
		uint64_t *present)
{
	const FmFormat *format = scan->format;
	FmJsonType	type = fm_json_type(value);
	unsigned	types = types_of(trie, node);

	*present |= FM_NODE_BIT(node);
	if (types != 0 && (types & 1u << type) == 0)
		found(scan, FM_DRIFT_CHANGED_TYPE, value);
	else if (trie == &format->message && format->has_each &&
			 node == format->each)
		look_into_elements(scan, value);
	else if (type == FM_JSON_OBJECT || type == FM_JSON_ARRAY)
		look_into(scan, trie, node, value, present);
}

void
fm_drift_scan(const FmFormat *format, const char *payload, size_t len,
			  FmDriftReport report, void *arg)
{
	FmSlice		text = fm_json_trim(payload, (int) len);
	uint64_t	present = 0;
	Scan		scan;

	scan.format = format;
	scan.report = report;
	scan.arg = arg;
	scan.path_len = scan.found = 0;
	scan.full = false;
	look_at(&scan, &format->message, 0, text, &present);
	if (fm_json_type(text) == FM_JSON_OBJECT)
		look_for_all_missing(&scan, &format->message, present);
}
