/*-------------------------------------------------------------------------
 *
 * mapping_message.c
 *	  A message of a mapped format, put together again from its readings.
 *
 * What was kept of the message stands in extra at its place.  What is not there
 * was given by a column, or was not in the message; mapping_field.c sees to it
 * that these two can be told apart.  So extra is walked as a message is, and
 * what the sources of the mapping say is added to it.
 *
 * Of an array of readings, and of a format with several, one has to know which
 * reading was the how-manieth; where optional ones are left out this is found by
 * what the mapping itself says about each (constants, parts of composed texts),
 * and where that leaves a choice, the message cannot be told.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "mapping_message.h"

/* ------------------------------------------------------------------------
 * Sources
 * ------------------------------------------------------------------------
 */

/* The i-th list of sources of a format, or NULL behind the last one. */
static const FmSourceList *
list_of(const FmFormat *format, int i)
{
	if (i == 0)
		return &format->common;
	if (i == 1)
		return &format->per_element;
	return i - 2 < format->nreadings ? &format->readings[i - 2] : NULL;
}

static bool
same_place(FmPlace a, FmPlace b)
{
	return a.element == b.element && a.node == b.node;
}

/* Does a column of any source give back what stands at this place? */
static bool
is_given_by_any(const FmFormat *format, FmPlace place)
{
	const FmSourceList *list;
	int			i;
	int			j;

	for (i = 0; (list = list_of(format, i)) != NULL; i++)
	{
		for (j = 0; j < list->n; j++)
		{
			if (list->sources[j]->nplaces > 0 &&
				same_place(list->sources[j]->places[0], place))
				return true;
		}
	}
	return false;
}

/*
 * Whether an alternative is there is seen in extra, unless another source gives
 * it back; then one would need that to know this, and perhaps this for that.
 */
void
fm_mark_giving(FmFormat *format)
{
	const FmSourceList *list;
	int			i;
	int			j;
	int			k;

	for (i = 0; (list = list_of(format, i)) != NULL; i++)
	{
		for (j = 0; j < list->n; j++)
		{
			FmSource   *source = list->sources[j];

			source->gives = source->nplaces > 0;
			for (k = 1; k < source->nplaces; k++)
				source->gives = source->gives &&
					!is_given_by_any(format, source->places[k]);
		}
	}
}

/*
 * Of several sources of one place, the one that gives more exactly what is
 * there counts.
 */
static int
rank_of(FmField field)
{
	switch (field)
	{
		case FM_FIELD_VALUE:
		case FM_FIELD_WARNING_THRESHOLD:
		case FM_FIELD_CRITICAL_THRESHOLD:
			return 3;
		case FM_FIELD_READING_COUNT:
			return 2;
		case FM_FIELD_TIMESTAMP:
		case FM_FIELD_REPORTED_LEVEL:
		case FM_FIELD_QUALITY:
			return 1;
		case FM_FIELD_UNIQUE_ID:
			return 0;			/* always in extra */
		default:
			return 4;
	}
}

static FmSlice
copy_of(FmComposer *composer, const char *text, int len)
{
	char	   *copy = fm_arena_alloc(composer->arena, (size_t) len + 1);
	FmSlice		result = {copy, len};

	if (copy == NULL)
		composer->failed = true;
	else
		memcpy(copy, text, (size_t) len);
	return result;
}

/* What a column says, as JSON; data NULL: nothing. */
static FmSlice
column_of(FmComposer *composer, const FmSource *source,
		  const FmReading *reading)
{
	FmField		field = source->field;
	char		buf[FM_NUMBER_BUFFER + FM_TIME_BUFFER];
	FmSlice		none = {NULL, 0};
	double		number;
	int			len;

	if (field == FM_FIELD_TIMESTAMP)
		return reading->ts_digits != FM_TS_TEXT &&
			fm_write_time(composer->format, source, reading, buf, &len) ?
			copy_of(composer, buf, len) : none;
	if (field == FM_FIELD_REPORTED_LEVEL)
	{
		FmSlice		word = fm_word_of_level(source, reading->reported);

		return word.data == NULL ? none : fm_quote(composer, word);
	}
	if (fm_field_rules[field].type == FM_JSON_STRING)
		return fm_quote(composer, fm_get_text(reading, field));
	if (!fm_get_number(reading, field, &number))
		return none;
	if (field == FM_FIELD_READING_COUNT)
		len = sprintf(buf, "%d", (int) reading->reading_count);
	else if (field == FM_FIELD_QUALITY)
		len = fm_format_float(reading->quality, buf);
	else
		len = fm_format_double(number, buf);
	return copy_of(composer, buf, len);
}

/* Is anything kept at this place?  null holds the place of an element. */
bool
fm_is_kept(const FmComposer *composer, FmPlace place)
{
	const FmScope *scope = place.element ? &composer->element :
		&composer->message;

	bool		in_array = scope->trie->nodes[place.node].index >= 0 ||
		(place.element && place.node == 0);

	return (scope->present & FM_NODE_BIT(place.node)) != 0 &&
		!(in_array && scope->values[place.node].data[0] == 'n');
}

static void
give(FmComposer *composer, const FmSource *source, const FmReading *reading)
{
	FmPlace		place = source->places[0];
	FmGiven    *given = place.element ? &composer->of_element :
		&composer->of_message;
	int			rank = rank_of(source->field);
	FmSlice		text;
	int			i;

	if (given->ranks[place.node] >= rank || fm_is_default(source, reading))
		return;
	for (i = 0; i < source->nplaces; i++)
	{
		if (fm_is_kept(composer, source->places[i]))
			return;
	}
	text = column_of(composer, source, reading);
	if (text.data == NULL)
		return;
	given->values[place.node] = text;
	given->ranks[place.node] = rank;
}

/* Note what a reading gives back of the message, or of its element. */
static void
give_all(FmComposer *composer, const FmSourceList *list,
		 const FmReading *reading, bool element)
{
	int			i;

	for (i = 0; i < list->n; i++)
	{
		const FmSource *source = list->sources[i];

		if (source->gives && source->places[0].element == element)
			give(composer, source, reading);
	}
}

/* The columns of all readings of an element, which must be the present one. */
void
fm_give_element(FmComposer *composer, int element, bool of_element)
{
	const FmFormat *format = composer->format;
	const int  *slots = composer->slots + element * format->nreadings;
	bool		any = false;
	int			i;

	if (of_element)
		memset(&composer->of_element, 0, sizeof(composer->of_element));
	for (i = 0; i < format->nreadings; i++)
	{
		const FmReading *reading;

		if (slots[i] < 0)
			continue;
		reading = &composer->readings[slots[i]];
		if (!any)
			give_all(composer, &format->per_element, reading, of_element);
		give_all(composer, &format->readings[i], reading, of_element);
		any = true;
	}
}

/* ------------------------------------------------------------------------
 * Composing
 * ------------------------------------------------------------------------
 */

/* The elements of the array of readings, as far as they are kept. */
static bool
find_elements(FmComposer *composer)
{
	const FmFormat *format = composer->format;
	FmPlace		place = {false, format->each};
	FmSlice		array;
	const char *cursor;
	FmSlice		element;
	int			n = 0;

	composer->nelements = 1;
	if (!format->has_each)
		return true;
	composer->nelements = composer->n / format->nreadings;
	if (!fm_is_kept(composer, place))
		return composer->n % format->nreadings == 0;
	array = composer->message.values[format->each];
	if (fm_json_type(array) != FM_JSON_ARRAY)
		return false;
	for (cursor = array.data; fm_json_next_element(&cursor, &element);)
	{
		if (++n > FM_MAX_READINGS)
			return false;
	}
	composer->nelements = n;
	composer->kept = fm_arena_alloc(composer->arena,
									sizeof(FmSlice) * (size_t) (n + 1));
	if (composer->kept == NULL)
		return false;
	n = 0;
	for (cursor = array.data; fm_json_next_element(&cursor, &element);)
		composer->kept[n++] = element;
	return true;
}

bool
fm_compose(const FmFormat *format, const FmReading *readings, int nreadings,
		   FmSlice extra, FmArena *arena, FmSlice *message)
{
	FmComposer *composer = fm_arena_alloc(arena, sizeof(FmComposer));
	FmDecoded	check;
	int			i;

	if (composer == NULL || nreadings < 1 || nreadings > FM_MAX_READINGS)
		return false;
	memset(composer, 0, sizeof(*composer));
	composer->format = format;
	composer->arena = arena;
	composer->readings = readings;
	composer->n = nreadings;
	composer->message.trie = &format->message;
	composer->element.trie = &format->element;
	if (extra.data != NULL)
	{
		if (!fm_check_payload(extra.data, (size_t) extra.len, arena, &check))
			return false;
		extra = fm_json_trim(extra.data, extra.len);
		fm_scope_walk(&composer->message, &format->message, extra);
	}
	if (!find_elements(composer) || !fm_find_slots(composer))
		return false;
	give_all(composer, &format->common, &readings[0], false);
	for (i = 0; i < composer->nelements; i++)
	{
		fm_enter_element(composer, i);
		fm_give_element(composer, i, false);
	}
	return fm_write_message(composer, extra, message);
}
