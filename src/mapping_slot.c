/*-------------------------------------------------------------------------
 *
 * mapping_slot.c
 *	  Which reading of a message is which of those that its format describes.
 *
 * Readings come in the order of their elements and of the mapping, but optional
 * ones may be missing.  The readings are matched with what is described twice,
 * once each as early as possible and once each as late as possible: if both give
 * the same there is one way to do it only.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_message.h"

void
fm_enter_element(FmComposer *composer, int element)
{
	composer->element.present = 0;
	if (composer->kept != NULL)
		fm_scope_walk(&composer->element, &composer->format->element,
					  composer->kept[element]);
}

/* The text that is kept at a place; data NULL: there is none. */
static FmSlice
kept_text(FmComposer *composer, FmPlace place)
{
	const FmScope *scope = place.element ? &composer->element :
		&composer->message;
	FmSlice		none = {NULL, 0};
	FmSlice		written;

	if (!fm_is_kept(composer, place))
		return none;
	written = scope->values[place.node];
	return fm_json_type(written) == FM_JSON_STRING ?
		fm_json_string(written, composer->arena) : none;
}

/* The text of a part of a composed one, if it is known; data NULL: it is not. */
static FmSlice
part_text(FmComposer *composer, const FmPart *part)
{
	return part->constant ? part->text : kept_text(composer, part->place);
}

/* Can a text be composed like this, as far as the parts are known? */
static bool
may_be_joined(FmComposer *composer, const FmSource *source, FmSlice text)
{
	FmSlice		part;
	int			i;

	for (i = 0; i < source->nparts; i++)
	{
		part = part_text(composer, &source->parts[i]);
		if (part.data == NULL)
			break;
		if (part.len > text.len ||
			memcmp(text.data, part.data, (size_t) part.len) != 0)
			return false;
		text.data += part.len;
		text.len -= part.len;
	}
	if (i == source->nparts)
		return text.len == 0;
	for (i = source->nparts - 1; i >= 0; i--)
	{
		part = part_text(composer, &source->parts[i]);
		if (part.data == NULL)
			return true;
		if (part.len > text.len ||
			memcmp(text.data + text.len - part.len, part.data,
				   (size_t) part.len) != 0)
			return false;
		text.len -= part.len;
	}
	return true;
}

static bool
is_text(FmField field)
{
	return fm_field_rules[field].type == FM_JSON_STRING &&
		field != FM_FIELD_TIMESTAMP && field != FM_FIELD_REPORTED_LEVEL &&
		field != FM_FIELD_UNIQUE_ID;	/* which no column has */
}

static bool
may_be_source(FmComposer *composer, const FmSource *source,
			  const FmReading *reading)
{
	FmSlice		text;
	FmSlice		kept;

	if (source->constant)
		return fm_is_default(source, reading);
	if (!is_text(source->field))
		return true;
	text = fm_get_text(reading, source->field);
	if (source->nparts > 0)
		return (source->has_fallback && fm_is_default(source, reading)) ||
			may_be_joined(composer, source, text);
	kept = kept_text(composer, source->places[0]);
	return kept.data == NULL || fm_slice_equal(kept, text);
}

/* Can this reading be the one that is described there? */
static bool
fits(FmComposer *composer, int slot, const FmReading *reading)
{
	const FmFormat *format = composer->format;
	const FmSourceList *list = &format->readings[slot % format->nreadings];
	int			i;

	fm_enter_element(composer, slot / format->nreadings);
	for (i = 0; i < list->n; i++)
	{
		if (!may_be_source(composer, list->sources[i], reading))
			return false;
	}
	for (i = 0; i < format->per_element.n; i++)
	{
		if (!may_be_source(composer, format->per_element.sources[i], reading))
			return false;
	}
	return true;
}

bool
fm_find_slots(FmComposer *composer)
{
	int			nslots = composer->nelements * composer->format->nreadings;
	int			reading = 0;
	int			slot;

	if (nslots < composer->n)
		return false;
	composer->slots = fm_arena_alloc(composer->arena,
									 sizeof(int) * (size_t) nslots);
	if (composer->slots == NULL)
		return false;
	for (slot = 0; slot < nslots; slot++)
	{
		bool		taken = reading < composer->n &&
			(nslots == composer->n ||
			 fits(composer, slot, &composer->readings[reading]));

		composer->slots[slot] = taken ? reading++ : -1;
	}
	if (reading < composer->n)
		return false;
	if (nslots == composer->n)
		return true;
	for (slot = nslots - 1; slot >= 0; slot--)
	{
		bool		taken = reading > 0 &&
			fits(composer, slot, &composer->readings[reading - 1]);

		if (composer->slots[slot] != (taken ? --reading : -1))
			return false;
	}
	return true;
}
