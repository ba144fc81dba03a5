/*
 * repeat.c - readings that are sent a second time
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The ring has "window" places, so the message that is being made leaves its
 * own place free for the one that is as many messages behind: whenever a
 * reading is made there is room for its copy.
 */
#include "repeat.h"

#define AT_ONCE 0.5				/* of the copies follow without delay */
#define MAX_BYTES (64 * 1024 * 1024)	/* wait at a time; then none does */

struct FmRepeated
{
	FmTwin	   *twin;			/* NULL: the place is free */
	FmRecord	record;			/* its value is in the buffer */
	FmBuf		value;
};

void
fm_repeat_init(FmRepeat *repeat, const FmOptions *opt)
{
	memset(repeat, 0, sizeof(*repeat));
	repeat->share = opt->duplicate_share;
	repeat->window = opt->duplicate_window;
	repeat->count = opt->count;
	repeat->rng = fm_rng_make(opt->fleet.seed, UINT64_C(0x6475));
	if (repeat->share > 0)
		repeat->ring = fm_xcalloc(repeat->window, sizeof(FmRepeated));
}

static FmRepeated *
place_of(const FmRepeat *repeat, uint64_t number)
{
	return &repeat->ring[number % repeat->window];
}

bool
fm_repeat_due(const FmRepeat *repeat, uint64_t number)
{
	return repeat->ring && place_of(repeat, number)->twin;
}

bool
fm_repeat_take(FmRepeat *repeat, uint64_t number, FmRecord *record)
{
	if (!fm_repeat_due(repeat, number))
		return false;
	*record = place_of(repeat, number)->record;
	return true;
}

void
fm_repeat_sent(FmRepeat *repeat, uint64_t number)
{
	FmRepeated *place = place_of(repeat, number);

	place->twin = NULL;
	repeat->bytes -= place->value.len;
	fm_buf_free(&place->value);
}

/*
 * The number of the message that is to be the copy of this one: the one that
 * was drawn, or the first free one behind it.  0: none is left.
 */
static uint64_t
draw_number(FmRepeat *repeat, uint64_t number)
{
	uint64_t	last = number + repeat->window;
	uint64_t	range;
	uint64_t	at = 0;

	if (repeat->count > 0 && last >= repeat->count)
		last = repeat->count - 1;
	range = last - number;
	if (!fm_rng_chance(&repeat->rng, AT_ONCE))
		at = fm_rng_below(&repeat->rng, repeat->window);
	if (range == 0)
		return 0;
	if (repeat->bytes >= MAX_BYTES)
		at = 0;
	for (uint64_t i = 0; i < range; i++)
	{
		uint64_t	candidate = number + 1 + (at + i) % range;

		if (place_of(repeat, candidate)->twin == NULL)
			return candidate;
	}
	return 0;
}

void
fm_repeat_offer(FmRepeat *repeat, uint64_t number, FmRecord *record)
{
	FmRepeated *place;
	FmTwin	   *twin;
	uint64_t	to;

	if (!fm_rng_chance(&repeat->rng, repeat->share))
		return;
	to = draw_number(repeat, number);
	if (to == 0)
		return;
	twin = fm_xcalloc(1, sizeof(*twin));
	twin->holders = 2;
	record->twin = twin;
	place = place_of(repeat, to);
	place->twin = twin;
	place->record = *record;
	place->record.kind = FM_DUPLICATE;
	fm_buf_put(&place->value, record->value, record->len);
	place->record.value = place->value.data;
	repeat->bytes += record->len;
}

void
fm_repeat_free(FmRepeat *repeat)
{
	for (uint32_t i = 0; repeat->ring && i < repeat->window; i++)
	{
		fm_twin_release(repeat->ring[i].twin);
		fm_buf_free(&repeat->ring[i].value);
	}
	free(repeat->ring);
	repeat->ring = NULL;
}
