/*-------------------------------------------------------------------------
 *
 * mapping_compile.c
 *	  From the JSON of a mapping to what the decoder works with.
 *
 * A mapping is an object with the fields of a reading as members, and perhaps
 * "each", the array that holds readings, and "readings", an array of objects
 * with fields, one for each reading of the message or of an element.  A field of
 * "readings" stands for the one of the same name outside.
 *
 * Fields are sorted by how often they have to be judged: once a message, once
 * an element, once a reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

/* A level's fields, by FmField; NULL: not said. */
typedef struct Fields
{
	FmSource   *sources[FM_NUM_FIELDS];
} Fields;

static bool
find_field(FmSlice key, FmField *field)
{
	int			i;

	for (i = 0; i < FM_NUM_FIELDS; i++)
	{
		if (fm_json_string_is(key, fm_field_rules[i].name))
		{
			*field = (FmField) i;
			return true;
		}
	}
	return false;
}

static bool
compile_field(FmCompile *compile, const FmJsonMember *member, Fields *fields)
{
	FmField		field;

	if (!find_field(member->key, &field))
		return fm_compile_fail(compile, NULL, "is not known; fields are "
							   "timestamp, sensor_id, sensor_type, "
							   "factory_section, machine_id, zone, value, unit, "
							   "reported_level, quality, reading_count, "
							   "warning_threshold, critical_threshold, "
							   "unique_id");
	return fm_compile_source(compile, field, member->value,
							 &fields->sources[field]);
}

/* Is any part of it within the element? */
static bool
is_of_element(const FmSource *source)
{
	int			i;

	for (i = 0; i < source->nplaces; i++)
	{
		if (source->places[i].element)
			return true;
	}
	for (i = 0; i < source->nparts; i++)
	{
		if (!source->parts[i].constant && source->parts[i].place.element)
			return true;
	}
	return false;
}

static void
add_source(FmSourceList *list, FmSource *source)
{
	list->sources[list->n++] = source;
}

/* Put a source among those of a reading, in the order of fields. */
static void
insert_source(FmSourceList *list, FmSource *source)
{
	int			i = list->n++;

	for (; i > 0 && list->sources[i - 1]->field > source->field; i--)
		list->sources[i] = list->sources[i - 1];
	list->sources[i] = source;
}

static bool
has_source(const FmSourceList *list, FmField field)
{
	int			i;

	for (i = 0; i < list->n; i++)
	{
		if (list->sources[i]->field == field)
			return true;
	}
	return false;
}

/* Has every reading a source of its own for this field? */
static bool
is_replaced(const FmFormat *format, FmField field)
{
	int			i;

	for (i = 0; i < format->nreadings; i++)
	{
		if (!has_source(&format->readings[i], field))
			return false;
	}
	return format->nreadings > 0;
}

/*
 * What only some readings replace is judged for each of the others, so that
 * it counts as given back only if one of these is stored.
 */
static void
push_down(FmFormat *format, const Fields *common)
{
	int			field;
	int			i;

	for (field = 0; field < FM_NUM_FIELDS; field++)
	{
		bool		replaced = false;

		for (i = 0; i < format->nreadings; i++)
			replaced = replaced || has_source(&format->readings[i],
											  (FmField) field);
		for (i = 0; replaced && common->sources[field] != NULL &&
			 i < format->nreadings; i++)
		{
			if (!has_source(&format->readings[i], (FmField) field))
				insert_source(&format->readings[i], common->sources[field]);
		}
	}
}

/* Sort the fields that stand outside of "readings". */
static void
sort_common(FmFormat *format, const Fields *fields)
{
	int			i;

	for (i = 0; i < FM_NUM_FIELDS; i++)
	{
		if (fields->sources[i] == NULL || is_replaced(format, (FmField) i))
			continue;
		add_source(is_of_element(fields->sources[i]) ? &format->per_element :
				   &format->common, fields->sources[i]);
	}
}

/* Has a reading all that it needs? */
static bool
check_complete(FmCompile *compile, const Fields *common, const Fields *own)
{
	int			i;

	for (i = 0; i < FM_NUM_FIELDS; i++)
	{
		if (fm_field_rules[i].needed && common->sources[i] == NULL &&
			own->sources[i] == NULL)
			return fm_compile_fail(compile, NULL, "does not say where to find "
								   "%s", fm_field_rules[i].name);
	}
	return true;
}

static bool
compile_reading(FmCompile *compile, FmSlice object, const Fields *common,
				FmSourceList *list)
{
	const char *cursor = object.data;
	FmJsonMember member;
	Fields		own = {{NULL}};
	int			i;

	if (fm_json_type(object) != FM_JSON_OBJECT)
		return fm_compile_fail(compile, NULL, "must be an object, not %s",
							   fm_json_type_name(fm_json_type(object)));
	while (fm_json_next_member(&cursor, &member))
	{
		int			length = fm_compile_enter(compile, member.key);

		if (!compile_field(compile, &member, &own))
			return false;
		fm_compile_leave(compile, length);
	}
	if (!check_complete(compile, common, &own))
		return false;
	for (i = 0; i < FM_NUM_FIELDS; i++)
	{
		if (own.sources[i] != NULL)
			add_source(list, own.sources[i]);
	}
	return true;
}

/*
 * Readings of one sensor at one time would be one series in which different
 * things alternate; their sensor ids must not come from the same source.
 */
static bool
check_sensors(FmCompile *compile, const FmFormat *format)
{
	if (format->nreadings < 2 || is_replaced(format, FM_FIELD_SENSOR_ID))
		return true;
	return fm_compile_fail(compile, NULL, "need a sensor_id each, where there "
						   "are several: compose it with \"join\"");
}

static bool
compile_readings(FmCompile *compile, FmSlice array, const Fields *common)
{
	FmFormat   *format = compile->format;
	const char *cursor = array.data;
	FmSlice		element;
	size_t		size = sizeof(FmSourceList) * FM_MAX_PER_ELEMENT;

	if (fm_json_type(array) != FM_JSON_ARRAY)
		return fm_compile_fail(compile, NULL, "must be an array, not %s",
							   fm_json_type_name(fm_json_type(array)));
	format->readings = fm_arena_alloc(compile->arena, size);
	if (format->readings == NULL)
		return fm_compile_no_memory(compile);
	memset(format->readings, 0, size);
	while (fm_json_next_element(&cursor, &element))
	{
		int			length = fm_compile_enter_index(compile,
													format->nreadings);

		if (format->nreadings == FM_MAX_PER_ELEMENT)
			return fm_compile_fail(compile, NULL, "is one too many: there can "
								   "be up to %d", FM_MAX_PER_ELEMENT);
		if (!compile_reading(compile, element, common,
							 &format->readings[format->nreadings]))
			return false;
		format->nreadings++;
		fm_compile_leave(compile, length);
	}
	if (format->nreadings == 0)
		return fm_compile_fail(compile, NULL, "must not be empty");
	return check_sensors(compile, format);
}

/* "each" has to be known before any pointer that needs it. */
static bool
compile_each(FmCompile *compile, FmSlice mapping)
{
	const char *cursor = mapping.data;
	FmFormat   *format = compile->format;
	FmJsonMember member;
	FmPlace		place;
	FmSlice		text;
	int			length;

	while (fm_json_next_member(&cursor, &member))
	{
		if (!fm_json_string_is(member.key, "each"))
			continue;
		length = fm_compile_enter(compile, member.key);
		if (!fm_compile_string(compile, member.value, &text) ||
			!fm_compile_pointer(compile, text, &place))
			return false;
		format->has_each = true;
		format->each = place.node;
		format->message.nodes[place.node].types = 1u << FM_JSON_ARRAY;
		fm_compile_leave(compile, length);
	}
	return true;
}

static bool
compile_members(FmCompile *compile, FmSlice mapping)
{
	const char *cursor = mapping.data;
	FmJsonMember member;
	FmSlice		readings = {NULL, 0};
	Fields		common = {{NULL}};
	int			length;

	if (fm_json_type(mapping) != FM_JSON_OBJECT)
		return fm_compile_fail(compile, NULL, "must be an object, not %s",
							   fm_json_type_name(fm_json_type(mapping)));
	if (!compile_each(compile, mapping))
		return false;
	while (fm_json_next_member(&cursor, &member))
	{
		if (fm_json_string_is(member.key, "each"))
			continue;
		if (fm_json_string_is(member.key, "readings"))
		{
			readings = member.value;
			continue;
		}
		length = fm_compile_enter(compile, member.key);
		if (!compile_field(compile, &member, &common))
			return false;
		fm_compile_leave(compile, length);
	}
	if (readings.data != NULL)
	{
		strcpy(compile->place, "/readings");
		if (!compile_readings(compile, readings, &common))
			return false;
		push_down(compile->format, &common);
	}
	else if (!check_complete(compile, &common, &common))
		return false;
	sort_common(compile->format, &common);
	return true;
}

static void
init_trie(FmTrie *trie, const char *path)
{
	FmNode	   *root = &trie->nodes[0];

	memset(trie, 0, sizeof(*trie));
	trie->nnodes = 1;
	root->parent = root->first_child = root->next_sibling = -1;
	root->index = -1;
	root->path = path;
}

static FmFormat *
new_format(FmArena *arena, const FmZones *zones)
{
	FmFormat   *format = fm_arena_alloc(arena, sizeof(FmFormat));

	if (format == NULL)
		return NULL;
	memset(format, 0, sizeof(*format));
	init_trie(&format->message, "");
	init_trie(&format->element, "@");
	format->each = -1;
	format->nreadings = 0;
	format->zones = *zones;
	return format;
}

FmFormat *
fm_format_compile(const char *text, size_t len, const FmZones *zones,
				  FmArena *arena, FmMappingError *error)
{
	FmCompile	compile;
	FmDecoded	check;
	FmSlice		mapping;
	FmSourceList *none;

	memset(&compile, 0, sizeof(compile));
	compile.zones = zones;
	compile.arena = arena;
	compile.error = error;
	compile.format = new_format(arena, zones);
	none = fm_arena_alloc(arena, sizeof(*none));
	if (compile.format == NULL || none == NULL)
	{
		(void) fm_compile_no_memory(&compile);
		return NULL;
	}
	if (len > FM_MAX_MAPPING)
	{
		(void) fm_compile_fail(&compile, NULL, "has %zu bytes; at most %d are "
							   "allowed", len, FM_MAX_MAPPING);
		return NULL;
	}
	if (len == 0 || !fm_json_check(text, (int) len, arena, &check))
	{
		(void) fm_compile_fail(&compile, NULL, "is no JSON: %s",
							   len == 0 ? "it is empty" : check.detail);
		return NULL;
	}
	mapping = fm_json_trim(text, (int) len);
	if (!compile_members(&compile, mapping))
		return NULL;
	if (compile.format->nreadings == 0)
	{
		/* all that there is stands outside of "readings" */
		memset(none, 0, sizeof(*none));
		compile.format->readings = none;
		compile.format->nreadings = 1;
	}
	fm_mark_giving(compile.format);
	return compile.format;
}

void
fm_format_use_factory(FmFormat *format)
{
	format->factory = true;
}
