/*
 * unusual.c - good messages that look as few do
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A reader takes them like any other: unknown members, other spellings of the
 * same values, another order, and a great many bytes.
 */
#include "format.h"

#include "clock.h"

/* Members that the format does not know, each key once. */
static const struct
{
	const char *key;
	const char *value;
}			extras[] =
{
	{"firmware", "\"2.4.1\""},
	{"batch", "{\"order\":\"A-1047\",\"lot\":17,\"parts\":[1,2,3,5,8]}"},
	{"tags", "[\"hall 3\",\"\",\"north\",{\"k\":[[],{}]},null,true,false]"},
	{"nothing", "null"},
	{"note", "\"\\u00d6l \\\"ok\\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u001f\""},
	{"\xc3\xb6rtlich", "\"gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac\""},
	{"\xe6\xb8\xa9\xe5\xba\xa6",
	"\"\xf0\x9f\x8c\xa1\xef\xb8\x8f \\ud83d\\ude00\""},
	{"a \\\"key\\\" \\u00e9 \\n", "1"},
	{"", "\"the key is empty\""},
	{"Value", "\"keys are case-sensitive\""},
	{"numbers", "[0,-0,-0.0,1.0,1e3,1E+2,2.5e-3,-1.25,0.1,0.30000000000000004,"
	"9007199254740991,123456789012345678,1e22,1.7976931348623157e308,5e-324]"},
	{"deep", "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":[[[[1]]]]}}}}}"},
	{"operator", "{\"name\":\"Jos\xc3\xa9\",\"shift\":2,\"on\":true}"},
	{"spaced", "{ \"x\" : [ 1 , 2 ] ,\n\t\"y\" : { } }"},
};

#define N_EXTRAS (sizeof(extras) / sizeof(extras[0]))

/* The same instant, or the same to the precision shown, spelled otherwise. */
static void
respell_timestamp(FmPieces *pieces, FmRng *rng, int64_t timestamp)
{
	char		z[FM_TIME_LEN];
	char		local[FM_TIME_LEN];

	fm_time_format(timestamp, z);
	switch (fm_rng_below(rng, 5))
	{
		case 0:					/* whole seconds */
			fm_pieces_set(pieces, "timestamp", "\"%.19sZ\"", z);
			break;
		case 1:					/* milliseconds */
			fm_pieces_set(pieces, "timestamp", "\"%.23sZ\"", z);
			break;
		case 2:					/* nanoseconds */
			fm_pieces_set(pieces, "timestamp", "\"%.26s%03uZ\"", z,
						  (unsigned) fm_rng_below(rng, 1000));
			break;
		case 3:
			fm_time_format(timestamp + 7200 * FM_SECOND, local);
			fm_pieces_set(pieces, "timestamp", "\"%.26s+02:00\"", local);
			break;
		default:
			fm_time_format(timestamp - 12600 * FM_SECOND, local);
			fm_pieces_set(pieces, "timestamp", "\"%.23s-03:30\"", local);
			break;
	}
}

/* Add a member to an object's text, if the format has that object. */
static void
add_inside(FmPieces *pieces, const char *key, const char *member)
{
	FmPiece    *piece = fm_pieces_find(pieces, key);
	FmBuf	   *value;

	if (piece == NULL)
		return;
	value = &piece->value;
	value->len--;				/* the closing brace */
	fm_buf_putc(value, ',');
	fm_buf_puts(value, member);
	fm_buf_putc(value, '}');
}

static void
make_unusual(const FmFormat *format, FmPieces *pieces, FmRng *rng,
			 const FmReading *r, int64_t timestamp)
{
	uint32_t	n = 1 + fm_rng_below(rng, 4);
	uint32_t	at = fm_rng_below(rng, N_EXTRAS);

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	e = (at + i * 5) % N_EXTRAS;	/* 5 and 14: no repeat */

		fm_buf_puts(fm_pieces_add(pieces, extras[e].key), extras[e].value);
	}
	if (fm_rng_chance(rng, 0.25))
		add_inside(pieces, "metadata",
				   "\"calibrated\":\"2025-01-31\",\"drift\":-0.0125");
	if (fm_rng_chance(rng, 0.25))
		add_inside(pieces, "location", "\"line\":{\"no\":3,\"side\":\"left\"}");
	if (fm_rng_chance(rng, 0.25) && format->has_zone)
		respell_timestamp(pieces, rng, timestamp);
	if (fm_rng_chance(rng, 0.15))
		fm_pieces_set(pieces, format->key[FM_ROLE_VALUE], "%.9e", r->value);
	if (fm_rng_chance(rng, 0.15) && fm_pieces_find(pieces, "unit") &&
		strcmp(r->sensor->type->unit, "°C") == 0)
		fm_pieces_set(pieces, "unit", "\"\\u00b0\\u0043\"");
	if (fm_rng_chance(rng, 0.25))	/* another order */
	{
		int			a = (int) fm_rng_below(rng, (uint32_t) pieces->n);
		FmPiece		piece = pieces->piece[0];

		pieces->piece[0] = pieces->piece[a];
		pieces->piece[a] = piece;
	}
}

/* Text that does not compress to nothing. */
static void
put_padding(FmBuf *out, FmRng *rng, size_t n)
{
	static const char letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	fm_buf_reserve(out, n);
	while (n > 0)
	{
		uint64_t	r = fm_rng_next(rng);

		for (int i = 0; i < 10 && n > 0; i++, n--, r >>= 6)
			out->data[out->len++] = letters[r & 63];
	}
}

void
fm_format_put_extra(const FmFormat *format, FmBuf *out, FmPieces *pieces,
					FmRng *rng, const FmReading *r, int64_t timestamp,
					bool extra, size_t pad_to)
{
	size_t		before = out->len;
	FmBuf	   *value;

	fm_format_pieces(format, pieces, r, timestamp);
	if (extra)
		make_unusual(format, pieces, rng, r, timestamp);
	if (extra && fm_rng_chance(rng, 0.15))
		fm_buf_puts(out, " \t\r\n");
	fm_pieces_join(pieces, out);
	if (pad_to > 0 && pad_to > out->len - before + 16)
	{
		size_t		room = pad_to - (out->len - before) - 13;

		out->len = before;
		value = fm_pieces_add(pieces, "padding");
		fm_buf_putc(value, '"');
		put_padding(value, rng, room);
		fm_buf_putc(value, '"');
		fm_pieces_join(pieces, out);
	}
}
