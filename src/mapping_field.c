/*-------------------------------------------------------------------------
 *
 * mapping_field.c
 *	  Judging what stands at the places of a mapping.
 *
 * The rules and words are those of reading.c: a value of the wrong type is a
 * fault, also where it is optional, and so is null, unless the source is
 * "nullable".  What a column gives back exactly is marked in the scope, and
 * nothing else is; mapping_extra.c keeps what is not marked.
 *
 * Of alternatives only the first place is given back, and only if none of the
 * others is there: a reader of the columns could not know which of them were.
 * Nor could one tell a value that is the default from one that is not there,
 * so that is kept, too.  mapping_message.c relies on both.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

#define SHOWN_VALUE			48

bool
fm_mapped_no_memory(FmMapped *mapped)
{
	return fm_reject(mapped->result, FM_REJECT_OUT_OF_MEMORY,
					 "There is no memory left to decode the message.");
}

static FmScope *
scope_of(FmMapped *mapped, FmPlace place)
{
	return place.element ? &mapped->element : &mapped->message;
}

static const FmNode *
node_of(FmMapped *mapped, FmPlace place)
{
	return &scope_of(mapped, place)->trie->nodes[place.node];
}

/* Is something there, null where that counts? */
static bool
is_there(FmMapped *mapped, const FmSource *source, FmPlace place)
{
	const FmScope *scope = scope_of(mapped, place);

	return (scope->present & FM_NODE_BIT(place.node)) != 0 &&
		!(source->nullable && scope->values[place.node].data[0] == 'n');
}

/* ------------------------------------------------------------------------
 * Faults
 * ------------------------------------------------------------------------
 */

static bool
reject_type(FmMapped *mapped, const char *path, FmJsonType expected,
			FmJsonType found)
{
	return fm_reject(mapped->result, FM_REJECT_WRONG_TYPE,
					 "Member \"%s\" must be %s, not %s.", path,
					 fm_json_type_name(expected), fm_json_type_name(found));
}

/*
 * Nothing is at this place: because what it should be in is no object?  An
 * array will do where an element of it is named.
 */
static bool
check_parents(FmMapped *mapped, FmPlace place)
{
	const FmScope *scope = scope_of(mapped, place);
	const FmNode *nodes = scope->trie->nodes;
	int			child = place.node;
	int			node = nodes[child].parent;
	FmJsonType	type;

	while (node >= 0 && (scope->present & FM_NODE_BIT(node)) == 0)
	{
		child = node;
		node = nodes[child].parent;
	}
	if (node < 0)
		return true;
	type = fm_json_type(scope->values[node]);
	if (type == FM_JSON_OBJECT || (nodes[node].types & 1u << type) != 0 ||
		(type == FM_JSON_ARRAY && nodes[child].index >= 0))
		return true;
	return reject_type(mapped, nodes[node].path, FM_JSON_OBJECT, type);
}

static bool
reject_missing(FmMapped *mapped, FmPlace place)
{
	return check_parents(mapped, place) &&
		fm_reject(mapped->result, FM_REJECT_MISSING_MEMBER,
				  "Member \"%s\" is missing.", node_of(mapped, place)->path);
}

static bool
reject_bound(FmMapped *mapped, const char *path, const char *demand,
			 double bound, FmSlice written)
{
	char		text[FM_NUMBER_BUFFER];

	fm_format_double(bound, text);
	return fm_reject(mapped->result, FM_REJECT_VALUE_OUT_OF_RANGE,
					 "Member \"%s\" must be %s %s, not %.*s.", path, demand,
					 text, written.len < SHOWN_VALUE ? written.len :
					 SHOWN_VALUE, written.data);
}

static bool
reject_value(FmMapped *mapped, const char *path, const char *demand,
			 FmSlice written)
{
	return fm_reject(mapped->result, FM_REJECT_VALUE_OUT_OF_RANGE,
					 "Member \"%s\" must be %s, not %.*s.", path, demand,
					 written.len < SHOWN_VALUE ? written.len : SHOWN_VALUE,
					 written.data);
}

/* ------------------------------------------------------------------------
 * Texts
 * ------------------------------------------------------------------------
 */

static bool
check_text(FmMapped *mapped, const FmSource *source, const char *path,
		   FmSlice text)
{
	const FmFieldRule *rule = &fm_field_rules[source->field];

	if (text.len < rule->min_length)
		return fm_reject(mapped->result, FM_REJECT_EMPTY_STRING,
						 "Member \"%s\" must not be empty.", path);
	if (text.len > rule->max_length)
		return fm_reject(mapped->result, FM_REJECT_TOO_LONG,
						 "Member \"%s\" has %d bytes; at most %d are allowed.",
						 path, text.len, rule->max_length);
	if (source->pattern && !fm_pattern_matches(source->pattern, text))
		return fm_reject(mapped->result, FM_REJECT_PATTERN_MISMATCH,
						 "Member \"%s\" must match %.*s, not be %.*s.", path,
						 fm_utf8_clip(source->pattern->text.data,
									  source->pattern->text.len, 80),
						 source->pattern->text.data,
						 fm_utf8_clip(text.data, text.len, SHOWN_VALUE),
						 text.data);
	return true;
}

static bool
take_string(FmMapped *mapped, const FmSource *source, const char *path,
			FmSlice written, FmReading *reading, bool *exact)
{
	FmSlice		text = fm_json_string(written, mapped->arena);

	if (text.data == NULL)
		return fm_mapped_no_memory(mapped);
	if (!check_text(mapped, source, path, text))
		return false;
	if (source->field == FM_FIELD_REPORTED_LEVEL)
		reading->reported = fm_word_level(source, text, exact);
	else
		fm_set_text(reading, source->field, text);
	/* nothing is stored of unique ids yet */
	if (source->field == FM_FIELD_UNIQUE_ID)
		*exact = false;
	return true;
}

/* A text put together from parts, none of which it gives back. */
static bool
take_joined(FmMapped *mapped, const FmSource *source, FmReading *reading,
			bool *there)
{
	FmSlice		parts[FM_MAX_PARTS];
	FmSlice		text = {NULL, 0};
	char	   *joined;
	int			i;

	for (i = 0; i < source->nparts; i++)
	{
		const FmPart *part = &source->parts[i];
		FmSlice		written;

		parts[i] = part->text;
		if (!part->constant)
		{
			if (!is_there(mapped, source, part->place))
			{
				*there = false;
				return !source->required ||
					reject_missing(mapped, part->place);
			}
			written = scope_of(mapped, part->place)->values[part->place.node];
			if (fm_json_type(written) != FM_JSON_STRING)
				return reject_type(mapped, node_of(mapped, part->place)->path,
								   FM_JSON_STRING, fm_json_type(written));
			parts[i] = fm_json_string(written, mapped->arena);
			if (parts[i].data == NULL)
				return fm_mapped_no_memory(mapped);
		}
		text.len += parts[i].len;
	}
	text.data = joined = fm_arena_alloc(mapped->arena, (size_t) text.len + 1);
	if (joined == NULL)
		return fm_mapped_no_memory(mapped);
	for (i = 0; i < source->nparts; i++)
	{
		memcpy(joined, parts[i].data, (size_t) parts[i].len);
		joined += parts[i].len;
	}
	if (!check_text(mapped, source, fm_field_rules[source->field].name, text))
		return false;
	fm_set_text(reading, source->field, text);
	return true;
}

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------
 */

static bool
take_quality(FmMapped *mapped, const char *path, FmSlice written,
			 const FmDecimal *decimal, FmReading *reading, bool *exact)
{
	if ((decimal->negative && decimal->ndigits > 0) ||
		fm_decimal_above_one(decimal))
		return reject_value(mapped, path, "between 0 and 1", written);
	reading->has_quality = true;
	reading->quality = fm_decimal_to_float(decimal);
	*exact = fm_decimal_is_float(decimal, reading->quality);
	return true;
}

static bool
take_reading_count(FmMapped *mapped, const char *path, FmSlice written,
				   const FmDecimal *decimal, FmReading *reading, bool *exact)
{
	double		count = fm_decimal_to_double(decimal);

	if (!fm_decimal_is_integer(decimal))
		return fm_reject(mapped->result, FM_REJECT_WRONG_TYPE,
						 "Member \"%s\" must be an integer.", path);
	if (count < 0)
		return reject_value(mapped, path, "0 or more", written);
	*exact = count <= INT32_MAX;
	if (*exact)
	{
		reading->has_reading_count = true;
		reading->reading_count = (int32_t) count;
	}
	return true;
}

static bool
take_number(FmMapped *mapped, const FmSource *source, const char *path,
			FmSlice written, FmReading *reading, bool *exact)
{
	FmDecimal	decimal;
	double		number;

	fm_decimal_parse(written, &decimal);
	number = fm_decimal_to_double(&decimal);
	if (source->has_min && number < source->min)
		return reject_bound(mapped, path, "at least", source->min, written);
	if (source->has_max && number > source->max)
		return reject_bound(mapped, path, "at most", source->max, written);
	if (source->field == FM_FIELD_QUALITY)
		return take_quality(mapped, path, written, &decimal, reading, exact);
	if (source->field == FM_FIELD_READING_COUNT)
		return take_reading_count(mapped, path, written, &decimal, reading,
								  exact);
	fm_set_number(reading, source->field, number);
	*exact = fm_decimal_is_double(&decimal, number);
	return true;
}

/* ------------------------------------------------------------------------
 * Sources
 * ------------------------------------------------------------------------
 */

/* Does anything stand at one of the other alternatives, be it null? */
static bool
is_other_there(FmMapped *mapped, const FmSource *source)
{
	int			i;

	for (i = 1; i < source->nplaces; i++)
	{
		if ((scope_of(mapped, source->places[i])->present &
			 FM_NODE_BIT(source->places[i].node)) != 0)
			return true;
	}
	return false;
}

static bool
take_place(FmMapped *mapped, const FmSource *source, int i, FmReading *reading)
{
	FmPlace		place = source->places[i];
	FmScope    *scope = scope_of(mapped, place);
	const FmNode *node = node_of(mapped, place);
	FmSlice		written = scope->values[place.node];
	FmJsonType	type = fm_json_type(written);
	FmJsonType	expected = fm_field_rules[source->field].type;
	bool		exact = true;
	bool		ok;

	if (source->field == FM_FIELD_TIMESTAMP)
	{
		if (type == FM_JSON_NUMBER ? (source->as & FM_AS_EPOCH) == 0 :
			type != FM_JSON_STRING ||
			(source->as & ~(unsigned) FM_AS_EPOCH) == 0)
			return reject_type(mapped, node->path,
							   (source->first_as & FM_AS_EPOCH) != 0 ?
							   FM_JSON_NUMBER : FM_JSON_STRING, type);
		ok = fm_take_time(mapped, source, node->path, written, reading,
						  &exact);
	}
	else if (type != expected)
		return reject_type(mapped, node->path, expected, type);
	else if (type == FM_JSON_STRING)
		ok = take_string(mapped, source, node->path, written, reading, &exact);
	else
		ok = take_number(mapped, source, node->path, written, reading, &exact);
	if (ok && exact && i == 0 && source->gives &&
		(scope->inexact & FM_NODE_BIT(place.node)) == 0 &&
		!is_other_there(mapped, source) && !fm_is_default(source, reading))
		scope->given |= FM_NODE_BIT(place.node);
	return ok;
}

/* The constant, or what stands for something that is not there. */
static void
take_fallback(const FmSource *source, FmReading *reading)
{
	if (source->field == FM_FIELD_REPORTED_LEVEL)
		reading->reported = source->level;
	else if (fm_field_rules[source->field].type == FM_JSON_STRING)
		fm_set_text(reading, source->field, source->text);
	else
		fm_set_number(reading, source->field, source->number);
}

static bool
take_source(FmMapped *mapped, const FmSource *source, FmReading *reading,
			bool *left_out)
{
	bool		there = true;
	int			i;

	for (i = 0; i < source->nplaces; i++)
	{
		if (is_there(mapped, source, source->places[i]))
			return take_place(mapped, source, i, reading);
	}
	if (source->nparts > 0)
	{
		if (!take_joined(mapped, source, reading, &there))
			return false;
		if (there)
			return true;
	}
	if (source->required && source->nplaces > 0)
		return reject_missing(mapped, source->places[0]);
	if (source->nplaces > 0 && !check_parents(mapped, source->places[0]))
		return false;
	if (source->has_fallback)
		take_fallback(source, reading);
	else if (source->field == FM_FIELD_VALUE)
		*left_out = true;
	return true;
}

bool
fm_take_sources(FmMapped *mapped, const FmSourceList *list, FmReading *reading,
				bool *left_out)
{
	int			i;

	for (i = 0; i < list->n; i++)
	{
		if (!take_source(mapped, list->sources[i], reading, left_out))
			return false;
	}
	return true;
}
