/*-------------------------------------------------------------------------
 *
 * mapping_source.c
 *	  One field of a mapping: where it comes from, and what is asked of it.
 *
 * A source is a pointer ("/temperature"), or an object with one of "at" (a
 * pointer or several, of which the first that is there counts), "join" (a text
 * composed of places and constants) and "const", and with conditions.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "mapping_internal.h"

const FmFieldRule fm_field_rules[FM_NUM_FIELDS] = {
	[FM_FIELD_TIMESTAMP] = {"timestamp", FM_JSON_STRING, true, 0, 0},
	[FM_FIELD_SENSOR_ID] = {"sensor_id", FM_JSON_STRING, true,
	1, FM_MAX_SENSOR_ID},
	[FM_FIELD_SENSOR_TYPE] = {"sensor_type", FM_JSON_STRING, true,
	1, FM_MAX_SHORT_NAME},
	[FM_FIELD_FACTORY_SECTION] = {"factory_section", FM_JSON_STRING, false,
	0, FM_MAX_NAME},
	[FM_FIELD_MACHINE_ID] = {"machine_id", FM_JSON_STRING, false,
	0, FM_MAX_NAME},
	[FM_FIELD_ZONE] = {"zone", FM_JSON_STRING, false, 0, FM_MAX_NAME},
	[FM_FIELD_VALUE] = {"value", FM_JSON_NUMBER, true, 0, 0},
	[FM_FIELD_UNIT] = {"unit", FM_JSON_STRING, false, 0, FM_MAX_SHORT_NAME},
	[FM_FIELD_REPORTED_LEVEL] = {"reported_level", FM_JSON_STRING, false,
	0, FM_MAX_SHORT_NAME},
	[FM_FIELD_QUALITY] = {"quality", FM_JSON_NUMBER, false, 0, 0},
	[FM_FIELD_READING_COUNT] = {"reading_count", FM_JSON_NUMBER, false, 0, 0},
	[FM_FIELD_WARNING_THRESHOLD] = {"warning_threshold", FM_JSON_NUMBER,
	false, 0, 0},
	[FM_FIELD_CRITICAL_THRESHOLD] = {"critical_threshold", FM_JSON_NUMBER,
	false, 0, 0},
	[FM_FIELD_UNIQUE_ID] = {"unique_id", FM_JSON_STRING, false,
	1, FM_MAX_UNIQUE_ID}
};

/* ------------------------------------------------------------------------
 * Values of the mapping
 * ------------------------------------------------------------------------
 */

static bool
expect_type(FmCompile *compile, FmSlice value, FmJsonType type)
{
	FmJsonType	found = fm_json_type(value);

	if (found == type)
		return true;
	return fm_compile_fail(compile, NULL, "must be %s, not %s",
						   fm_json_type_name(type), fm_json_type_name(found));
}

/* A string as NUL-terminated copy of its own. */
bool
fm_compile_string(FmCompile *compile, FmSlice value, FmSlice *string)
{
	FmSlice		text;
	char	   *copy;

	if (!expect_type(compile, value, FM_JSON_STRING))
		return false;
	text = fm_json_string(value, compile->arena);
	copy = text.data == NULL ? NULL :
		fm_arena_alloc(compile->arena, (size_t) text.len + 1);
	if (copy == NULL)
		return fm_compile_no_memory(compile);
	memcpy(copy, text.data, (size_t) text.len);
	copy[text.len] = '\0';
	string->data = copy;
	string->len = text.len;
	return true;
}

static bool
compile_boolean(FmCompile *compile, FmSlice value, bool *boolean)
{
	*boolean = value.data[0] == 't';
	return expect_type(compile, value, FM_JSON_BOOLEAN);
}

static bool
compile_number(FmCompile *compile, FmSlice value, double *number)
{
	FmDecimal	decimal;

	if (!expect_type(compile, value, FM_JSON_NUMBER))
		return false;
	fm_decimal_parse(value, &decimal);
	*number = fm_decimal_to_double(&decimal);
	return true;
}

/* ------------------------------------------------------------------------
 * Sources
 * ------------------------------------------------------------------------
 */

static bool
is_text(FmField field)
{
	return fm_field_rules[field].type == FM_JSON_STRING &&
		field != FM_FIELD_TIMESTAMP && field != FM_FIELD_REPORTED_LEVEL;
}

/* Something is taken from this place; what may stand there is told later. */
static bool
add_place(FmCompile *compile, FmSource *source, FmSlice value)
{
	FmSlice		text;
	FmPlace    *place = &source->places[source->nplaces];

	if (source->nplaces == FM_MAX_PLACES)
		return fm_compile_fail(compile, NULL, "is one too many: up to %d "
							   "places can be named", FM_MAX_PLACES);
	if (!fm_compile_string(compile, value, &text) ||
		!fm_compile_pointer(compile, text, place))
		return false;
	if (place->node == 0 && !place->element)
		return fm_compile_fail(compile, NULL, "must not be empty");
	source->nplaces++;
	return true;
}

static bool
compile_at(FmCompile *compile, FmSource *source, FmSlice value)
{
	const char *cursor = value.data;
	FmSlice		element;
	int			n = 0;

	if (fm_json_type(value) != FM_JSON_ARRAY)
		return add_place(compile, source, value);
	while (fm_json_next_element(&cursor, &element))
	{
		int			length = fm_compile_enter_index(compile, n++);

		if (!add_place(compile, source, element))
			return false;
		fm_compile_leave(compile, length);
	}
	return n > 0 || fm_compile_fail(compile, NULL, "must not be empty");
}

/* A pointer, or {"const": "text"}. */
static bool
compile_part(FmCompile *compile, FmPart *part, FmSlice value)
{
	const char *cursor = value.data;
	FmJsonMember member;
	FmSlice		text;
	int			length;

	part->constant = fm_json_type(value) == FM_JSON_OBJECT;
	if (!part->constant)
	{
		if (!fm_compile_string(compile, value, &text) ||
			!fm_compile_pointer(compile, text, &part->place))
			return false;
		return part->place.node != 0 || part->place.element ||
			fm_compile_fail(compile, NULL, "must not be empty");
	}
	if (!fm_json_next_member(&cursor, &member) ||
		!fm_json_string_is(member.key, "const"))
		return fm_compile_fail(compile, NULL, "must be a pointer, or an "
							   "object with the one member \"const\"");
	length = fm_compile_enter(compile, member.key);
	if (!fm_compile_string(compile, member.value, &part->text))
		return false;
	fm_compile_leave(compile, length);
	return !fm_json_next_member(&cursor, &member) ||
		fm_compile_fail(compile, NULL, "must have no member but \"const\"");
}

static bool
compile_join(FmCompile *compile, FmSource *source, FmSlice value)
{
	const char *cursor = value.data;
	FmSlice		element;
	bool		varies = false;

	if (!is_text(source->field))
		return fm_compile_fail(compile, NULL, "cannot compose %s",
							   fm_field_rules[source->field].name);
	if (!expect_type(compile, value, FM_JSON_ARRAY))
		return false;
	source->parts = fm_arena_alloc(compile->arena,
								   sizeof(FmPart) * FM_MAX_PARTS);
	if (source->parts == NULL)
		return fm_compile_no_memory(compile);
	memset(source->parts, 0, sizeof(FmPart) * FM_MAX_PARTS);
	while (fm_json_next_element(&cursor, &element))
	{
		int			length = fm_compile_enter_index(compile, source->nparts);

		if (source->nparts == FM_MAX_PARTS)
			return fm_compile_fail(compile, NULL, "is one too many: up to %d "
								   "parts can be joined", FM_MAX_PARTS);
		if (!compile_part(compile, &source->parts[source->nparts], element))
			return false;
		varies = varies || !source->parts[source->nparts].constant;
		source->nparts++;
		fm_compile_leave(compile, length);
	}
	return varies ||
		fm_compile_fail(compile, NULL, "must have a pointer among its parts");
}

/* A value that stands in the mapping itself. */
static bool
compile_fallback(FmCompile *compile, FmSource *source, FmSlice value)
{
	const FmFieldRule *rule = &fm_field_rules[source->field];

	source->has_fallback = true;
	if (source->field == FM_FIELD_TIMESTAMP)
		return fm_compile_fail(compile, NULL, "cannot be said of a timestamp");
	if (rule->type == FM_JSON_STRING)
	{
		if (!fm_compile_string(compile, value, &source->text))
			return false;
		if (source->text.len < rule->min_length)
			return fm_compile_fail(compile, NULL, "must not be empty");
		if (source->text.len > rule->max_length)
			return fm_compile_fail(compile, NULL, "has %d bytes; at most %d "
								   "are allowed", source->text.len,
								   rule->max_length);
		return true;
	}
	if (!compile_number(compile, value, &source->number))
		return false;
	if (source->field == FM_FIELD_QUALITY &&
		(source->number < 0 || source->number > 1))
		return fm_compile_fail(compile, NULL, "must be between 0 and 1");
	if (source->field == FM_FIELD_READING_COUNT &&
		(source->number < 0 || source->number > INT32_MAX ||
		 source->number != floor(source->number)))
		return fm_compile_fail(compile, NULL,
							   "must be an integer between 0 and %d",
							   INT32_MAX);
	return true;
}

static bool
compile_bound(FmCompile *compile, FmSource *source, FmSlice value, bool *has,
			  double *bound)
{
	if (fm_field_rules[source->field].type != FM_JSON_NUMBER)
		return fm_compile_fail(compile, NULL, "can be asked of numbers only");
	*has = true;
	return compile_number(compile, value, bound);
}

static bool
compile_pattern(FmCompile *compile, FmSource *source, FmSlice value)
{
	const char *fault;
	FmSlice		text;

	if (!is_text(source->field))
		return fm_compile_fail(compile, NULL, "can be asked of texts only");
	if (!fm_compile_string(compile, value, &text))
		return false;
	source->pattern = fm_pattern_compile(text, compile->arena, &fault);
	return source->pattern != NULL ||
		fm_compile_fail(compile, NULL, "is no pattern: %s", fault);
}

/* Members of a source that are judged once all of it is known. */
typedef struct Later
{
	FmSlice		as;
	FmSlice		time_zone;
	FmSlice		words;
	bool		required;
	bool		says_required;
} Later;

static bool
compile_member(FmCompile *compile, FmSource *source, const FmJsonMember *member,
			   Later *later)
{
	FmSlice		key = member->key;
	FmSlice		value = member->value;

	if (fm_json_string_is(key, "at"))
		return compile_at(compile, source, value);
	if (fm_json_string_is(key, "join"))
		return compile_join(compile, source, value);
	if (fm_json_string_is(key, "const"))
	{
		source->constant = true;
		return compile_fallback(compile, source, value);
	}
	if (fm_json_string_is(key, "default"))
		return compile_fallback(compile, source, value);
	if (fm_json_string_is(key, "required"))
	{
		later->says_required = true;
		return compile_boolean(compile, value, &later->required);
	}
	if (fm_json_string_is(key, "nullable"))
		return compile_boolean(compile, value, &source->nullable);
	if (fm_json_string_is(key, "min"))
		return compile_bound(compile, source, value, &source->has_min,
							 &source->min);
	if (fm_json_string_is(key, "max"))
		return compile_bound(compile, source, value, &source->has_max,
							 &source->max);
	if (fm_json_string_is(key, "pattern"))
		return compile_pattern(compile, source, value);
	if (fm_json_string_is(key, "as"))
		later->as = value;
	else if (fm_json_string_is(key, "time_zone"))
		later->time_zone = value;
	else if (fm_json_string_is(key, "words"))
		later->words = value;
	else
		return fm_compile_fail(compile, NULL, "is not known; a source has "
							   "at, join, const, default, required, nullable, "
							   "min, max, pattern, as, time_zone, words");
	return true;
}

/* Do the members go together? */
static bool
check_source(FmCompile *compile, FmSource *source, const Later *later)
{
	int			ways = (source->nplaces > 0) + (source->nparts > 0) +
		source->constant;

	if (ways != 1)
		return fm_compile_fail(compile, NULL, ways == 0 ?
							   "needs one of \"at\", \"join\" and \"const\"" :
							   "can have one of \"at\", \"join\" and \"const\" "
							   "only");
	if (source->has_fallback && !source->constant && later->says_required &&
		later->required)
		return fm_compile_fail(compile, "required", "cannot be true where "
							   "there is a default");
	source->required = later->says_required ? later->required :
		!source->has_fallback;
	if (!source->required && !source->has_fallback &&
		source->field != FM_FIELD_VALUE &&
		fm_field_rules[source->field].needed)
		return fm_compile_fail(compile, "required", "cannot be false: there "
							   "is no reading without %s",
							   fm_field_rules[source->field].name);
	if (source->has_min && source->has_max && source->min > source->max)
		return fm_compile_fail(compile, "min", "is above \"max\"");
	return true;
}

/* Note what may stand at the places. */
static void
mark_places(FmCompile *compile, const FmSource *source)
{
	unsigned	types = 1u << fm_field_rules[source->field].type;
	int			i;

	if (source->field == FM_FIELD_TIMESTAMP)
		types = ((source->as & FM_AS_EPOCH) ? 1u << FM_JSON_NUMBER : 0) |
			((source->as & ~(unsigned) FM_AS_EPOCH) ? 1u << FM_JSON_STRING : 0);
	if (source->nullable)
		types |= 1u << FM_JSON_NULL;
	for (i = 0; i < source->nplaces + source->nparts; i++)
	{
		FmPlace		place;
		FmNode	   *node;

		if (i >= source->nplaces && source->parts[i - source->nplaces].constant)
			continue;
		place = i < source->nplaces ? source->places[i] :
			source->parts[i - source->nplaces].place;
		node = (place.element ? compile->format->element.nodes :
				compile->format->message.nodes) + place.node;
		node->place = true;
		node->types |= types;
	}
}

static bool
compile_object(FmCompile *compile, FmSource *source, FmSlice value,
			   Later *later)
{
	const char *cursor = value.data;
	FmJsonMember member;

	if (fm_json_type(value) != FM_JSON_OBJECT)
		return fm_compile_fail(compile, NULL, "must be a pointer or an object, "
							   "not %s", fm_json_type_name(fm_json_type(value)));
	while (fm_json_next_member(&cursor, &member))
	{
		int			length = fm_compile_enter(compile, member.key);

		if (!compile_member(compile, source, &member, later))
			return false;
		fm_compile_leave(compile, length);
	}
	return check_source(compile, source, later);
}

/* Constants and defaults are subject to what is asked of messages. */
static bool
check_fallback(FmCompile *compile, FmSource *source)
{
	const char *member = source->constant ? "const" : "default";
	bool		exact;

	if (!source->has_fallback)
		return true;
	if ((source->has_min && source->number < source->min) ||
		(source->has_max && source->number > source->max) ||
		(source->pattern && !fm_pattern_matches(source->pattern,
												source->text)))
		return fm_compile_fail(compile, member, "is not what the source "
							   "itself demands");
	if (source->field != FM_FIELD_REPORTED_LEVEL)
		return true;
	source->level = fm_word_level(source, source->text, &exact);
	return source->level != FM_REPORTED_OTHER ||
		fm_compile_fail(compile, member, "is no word of a level");
}

bool
fm_compile_source(FmCompile *compile, FmField field, FmSlice value,
				  FmSource **result)
{
	FmSource   *source = fm_arena_alloc(compile->arena, sizeof(FmSource));
	Later		later = {{NULL, 0}, {NULL, 0}, {NULL, 0}, false, false};
	bool		ok;

	if (source == NULL)
		return fm_compile_no_memory(compile);
	memset(source, 0, sizeof(*source));
	source->field = field;
	source->required = true;
	if (fm_json_type(value) == FM_JSON_STRING)
		ok = add_place(compile, source, value);
	else
		ok = compile_object(compile, source, value, &later);
	if (!ok || !fm_compile_time(compile, source, later.as, later.time_zone) ||
		!fm_compile_words(compile, source, later.words) ||
		!check_fallback(compile, source))
		return false;
	mark_places(compile, source);
	*result = source;
	return true;
}
