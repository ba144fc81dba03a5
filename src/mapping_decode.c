/*-------------------------------------------------------------------------
 *
 * mapping_decode.c
 *	  A message of any format: checked, walked once, and turned into readings.
 *
 * As in reading.c, first all of the text is checked by fm_json_check().  Then
 * one walk along the trie of the mapping notes where each value that is of
 * interest begins and ends; what stands once for all readings is judged once
 * and copied.  An array of readings is walked element by element, with a trie
 * of its own.
 *
 * Of several faults the first one in this order is reported: JSON, the fields
 * of the message in the order of FmField, then element by element its fields
 * and those of its readings.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

/* ------------------------------------------------------------------------
 * Walking
 * ------------------------------------------------------------------------
 */

static bool
is_name(FmSlice key, FmSlice name)
{
	const char *p = key.data + 1;
	const char *q = name.data;
	const char *end = name.data + name.len;

	/* nearly always there is no escape, and then the bytes are equal */
	if (key.len == name.len + 2 && memcmp(p, q, (size_t) name.len) == 0)
		return memchr(q, '\\', (size_t) name.len) == NULL;
	if (memchr(p, '\\', (size_t) key.len - 2) == NULL)
		return false;
	while (q < end)
	{
		uint32_t	character = fm_json_next_character(&p);
		uint32_t	wanted = (unsigned char) *q;

		if (wanted < 0x80)
			q++;
		else
			wanted = fm_json_long_character(&q);
		if (character != wanted)
			return false;
	}
	return *p == '"';
}

int
fm_trie_child(const FmTrie *trie, int node, FmSlice key)
{
	int			child = trie->nodes[node].first_child;

	while (child >= 0 && !is_name(key, trie->nodes[child].name))
		child = trie->nodes[child].next_sibling;
	return child;
}

int
fm_trie_element(const FmTrie *trie, int node, long index)
{
	int			child = trie->nodes[node].first_child;

	while (child >= 0 && trie->nodes[child].index != index)
		child = trie->nodes[child].next_sibling;
	return child;
}

static void walk_into(FmScope *scope, int node, FmSlice value);

/* Note a value whose node is known (-1: it is not). */
static void
note_value(FmScope *scope, int node, FmSlice value)
{
	int			parent;

	if (node < 0)
	{
		scope->unknown = true;
		return;
	}
	scope->present |= FM_NODE_BIT(node);
	scope->values[node] = value;
	parent = scope->trie->nodes[node].parent;
	if (parent >= 0 && (scope->inexact & FM_NODE_BIT(parent)) != 0)
		scope->inexact |= FM_NODE_BIT(node);
	if (scope->trie->nodes[node].first_child >= 0)
		walk_into(scope, node, value);
}

/* As deep as the pointers of the mapping. */
static void
walk_into(FmScope *scope, int node, FmSlice value)
{
	const char *cursor = value.data;
	bool		any = false;

	if (value.data[0] == '{')
	{
		FmJsonMember member;

		for (; fm_json_next_member(&cursor, &member); any = true)
		{
			int			child = fm_trie_child(scope->trie, node, member.key);

			if (child >= 0 && scope->trie->nodes[child].index >= 0)
				scope->inexact |= FM_NODE_BIT(child);
			note_value(scope, child, member.value);
		}
	}
	else if (value.data[0] == '[')
	{
		FmSlice		element;
		long		index = 0;

		for (; fm_json_next_element(&cursor, &element); any = true)
			note_value(scope, fm_trie_element(scope->trie, node, index++),
					   element);
	}
	/* what is empty, or nothing to walk into, is no part of any place */
	if (!any && !scope->trie->nodes[node].place)
		scope->unknown = true;
}

void
fm_scope_walk(FmScope *scope, const FmTrie *trie, FmSlice value)
{
	scope->trie = trie;
	scope->present = scope->given = scope->inexact = 0;
	scope->unknown = false;
	note_value(scope, 0, value);
	/* a mapping need not look at elements at all */
	if (trie->nodes[0].first_child < 0 && trie->nodes[0].types == 0)
		scope->unknown = true;
}

/* ------------------------------------------------------------------------
 * Readings
 * ------------------------------------------------------------------------
 */

/*
 * The readings of an element, or of the message, that have a value.  What was
 * taken for one that has none is not given back by any column.
 */
static bool
take_readings(FmMapped *mapped, const FmReading *common, int *n)
{
	const FmFormat *format = mapped->format;
	int			i;

	for (i = 0; i < format->nreadings; i++)
	{
		FmReading  *reading = &mapped->result->readings[*n];
		uint64_t	of_message = mapped->message.given;
		uint64_t	of_element = mapped->element.given;
		bool		left_out = false;

		*reading = *common;
		if (!fm_take_sources(mapped, &format->readings[i], reading, &left_out))
			return false;
		if (!left_out)
		{
			*n += 1;
			continue;
		}
		mapped->message.given = of_message;
		mapped->element.given = of_element;
	}
	return true;
}

/* How many readings there will be at most; false: too many. */
static bool
count_readings(FmMapped *mapped, FmSlice array, int *nelements)
{
	int			per_element = mapped->format->nreadings;
	const char *cursor = array.data;
	FmSlice		element;

	for (*nelements = 0; fm_json_next_element(&cursor, &element);)
	{
		if (++*nelements > FM_MAX_READINGS / per_element)
			return fm_reject(mapped->result, FM_REJECT_TOO_MANY_READINGS,
							 "The message has more than %d readings.",
							 FM_MAX_READINGS);
	}
	return true;
}

static bool
allocate(FmMapped *mapped, int nelements)
{
	FmReading  *readings;

	readings = fm_arena_alloc(mapped->arena, sizeof(FmReading) *
							  (size_t) (nelements *
										mapped->format->nreadings + 1));
	if (mapped->format->has_each)
		mapped->marks = fm_arena_alloc(mapped->arena, sizeof(FmElementMarks) *
									   (size_t) (nelements + 1));
	mapped->result->readings = readings;
	if (readings == NULL || (mapped->format->has_each && mapped->marks == NULL))
		return fm_mapped_no_memory(mapped);
	return true;
}

/* All elements of the array of readings. */
static bool
take_elements(FmMapped *mapped, FmSlice array, const FmReading *common, int *n)
{
	const FmFormat *format = mapped->format;
	const char *cursor = array.data;
	FmElementMarks *marks = mapped->marks;
	FmSlice		element;

	for (; fm_json_next_element(&cursor, &element); marks++)
	{
		FmReading	reading = *common;
		bool		left_out = false;
		int			before = *n;

		fm_scope_walk(&mapped->element, &format->element, element);
		if (!fm_take_sources(mapped, &format->per_element, &reading,
							 &left_out))
			return false;
		if (!left_out && !take_readings(mapped, &reading, n))
			return false;
		/*
		 * Some or all readings of it left out: all of it is kept.  So where
		 * nothing is kept of the array, each element has all of its readings.
		 */
		if (*n < before + format->nreadings)
		{
			mapped->element.given = 0;
			mapped->element.unknown = mapped->element.unknown ||
				mapped->element.trie->nnodes == 1;
		}
		marks->given = mapped->element.given;
		marks->kept = fm_scope_kept(&mapped->element);
		mapped->elements_kept = mapped->elements_kept || marks->kept;
		mapped->strange = mapped->strange || mapped->element.unknown;
	}
	return true;
}

/* Where the array of readings is; false: not there, or no array. */
static bool
find_array(FmMapped *mapped, FmSlice *array)
{
	const FmFormat *format = mapped->format;
	const char *path = format->message.nodes[format->each].path;
	FmJsonType	type;

	if ((mapped->message.present & FM_NODE_BIT(format->each)) == 0)
		return fm_reject(mapped->result, FM_REJECT_MISSING_MEMBER,
						 "Member \"%s\" is missing.", path);
	*array = mapped->message.values[format->each];
	type = fm_json_type(*array);
	if (type == FM_JSON_ARRAY)
		return true;
	return fm_reject(mapped->result, FM_REJECT_WRONG_TYPE,
					 "Member \"%s\" must be an array, not %s.", path,
					 fm_json_type_name(type));
}

static bool
take_all(FmMapped *mapped, int *n)
{
	const FmFormat *format = mapped->format;
	FmSlice		array = {NULL, 0};
	int			nelements = 1;
	FmReading	common;
	bool		left_out = false;

	memset(&common, 0, sizeof(common));
	common.factory_section.data = common.machine_id.data =
		common.zone.data = common.unit.data = "";
	if (format->has_each && (!find_array(mapped, &array) ||
							 !count_readings(mapped, array, &nelements)))
		return false;
	if (!fm_take_sources(mapped, &format->common, &common, &left_out) ||
		!allocate(mapped, nelements))
		return false;
	if (!format->has_each)
	{
		if (!left_out && !take_readings(mapped, &common, n))
			return false;
	}
	else if (!left_out && !take_elements(mapped, array, &common, n))
		return false;
	if (*n > 0 || (format->has_each && nelements == 0))
		return true;
	return fm_reject(mapped->result, FM_REJECT_MISSING_MEMBER,
					 "No reading of the message has a value.");
}

/* ------------------------------------------------------------------------
 * Decoding
 * ------------------------------------------------------------------------
 */

static bool
check_type(FmMapped *mapped, FmSlice text)
{
	const FmFormat *format = mapped->format;
	bool		array = format->has_each && format->each == 0;
	FmJsonType	type = fm_json_type(text);

	if (type == (array ? FM_JSON_ARRAY : FM_JSON_OBJECT))
		return true;
	return fm_reject(mapped->result, FM_REJECT_NOT_AN_OBJECT,
					 "The message must be %s, not %s.",
					 array ? "an array" : "an object",
					 fm_json_type_name(type));
}

static void
decode_mapped(const FmFormat *format, const char *payload, size_t len,
			  FmArena *arena, FmDecoded *result)
{
	FmMapped	mapped;
	FmSlice		text;
	FmSlice		extra = {NULL, 0};
	int			n = 0;

	if (!fm_check_payload(payload, len, arena, result))
		return;
	mapped.format = format;
	mapped.arena = arena;
	mapped.result = result;
	mapped.marks = NULL;
	mapped.element.given = 0;
	mapped.elements_kept = mapped.strange = false;
	text = fm_json_trim(payload, (int) len);
	if (!check_type(&mapped, text))
		return;
	fm_scope_walk(&mapped.message, &format->message, text);
	if (!take_all(&mapped, &n) || !fm_make_extra(&mapped, text, &extra))
		return;
	result->reason = FM_REJECT_NONE;
	result->nreadings = n;
	if (n > 0)
		result->readings[0].extra = extra;
	result->strange = mapped.strange || mapped.message.unknown;
	result->detail[0] = '\0';
}

void
fm_decode(const FmFormat *format, const char *payload, size_t len,
		  FmArena *arena, FmDecoded *result)
{
	if (format->factory)
		fm_decode_factory(payload, len, arena, result);
	else
		decode_mapped(format, payload, len, arena, result);
}
