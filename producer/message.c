/*
 * message.c - from readings to payloads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Two ways to the same bytes: fm_message_put, for hundreds of thousands of
 * messages a second, and fm_pieces_from with fm_pieces_join.  The check
 * program compares them.
 */
#include "message.h"

#include "canon.h"
#include "clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const fm_kind_names[FM_KINDS] = {"reading", "malformed",
"tombstone", "heartbeat"};

static void
put_literal(FmBuf *out, const char *s)
{
	fm_buf_put(out, s, strlen(s));
}

/* A value with exactly the decimals of its sensor's resolution. */
static void
put_scaled(FmBuf *out, int64_t scaled, int decimals)
{
	static const uint64_t powers[] = {1, 10, 100, 1000};
	uint64_t	n = scaled < 0 ? -(uint64_t) scaled : (uint64_t) scaled;
	uint64_t	fraction = n % powers[decimals];

	if (scaled < 0)
		fm_buf_putc(out, '-');
	fm_buf_put_uint(out, n / powers[decimals]);
	if (decimals == 0)
		return;
	fm_buf_putc(out, '.');
	while (--decimals > 0 && fraction < powers[decimals])
		fm_buf_putc(out, '0');
	fm_buf_put_uint(out, fraction);
}

/* A setting as people write it: 35.0, 7.25. */
static void
put_limit(FmBuf *out, double d)
{
	if (d == floor(d) && fabs(d) < 1e9)
	{
		if (d < 0)
			fm_buf_putc(out, '-');
		fm_buf_put_uint(out, (uint64_t) fabs(d));
		put_literal(out, ".0");
	}
	else
		fm_buf_printf(out, "%.15g", d);
}

static void
put_quality(FmBuf *out, double quality)
{
	if (quality == 1)
		put_literal(out, "1.0");
	else
		put_scaled(out, llround(quality * 100), 2);
}

static void
put_metadata(FmBuf *out, const FmReading *r)
{
	put_literal(out, "{\"reading_count\":");
	fm_buf_put_uint(out, r->reading_count);
	put_literal(out, ",\"warning_threshold\":");
	put_limit(out, r->sensor->warning);
	put_literal(out, ",\"critical_threshold\":");
	put_limit(out, r->sensor->critical);
	fm_buf_putc(out, '}');
}

void
fm_message_put(FmBuf *out, const FmReading *r, int64_t timestamp)
{
	const FmSensor *s = r->sensor;

	put_literal(out, "{\"timestamp\":\"");
	fm_buf_reserve(out, FM_TIME_LEN);
	fm_time_format(timestamp, out->data + out->len);
	out->len += FM_TIME_LEN;
	put_literal(out, "\",\"sensor_id\":");
	put_literal(out, s->id_json);
	put_literal(out, ",\"sensor_type\":\"");
	put_literal(out, s->type->name);
	put_literal(out, "\",\"location\":{");
	put_literal(out, s->location_json);
	put_literal(out, "},\"value\":");
	put_scaled(out, r->scaled, s->type->decimals);
	put_literal(out, ",\"unit\":\"");
	put_literal(out, s->type->unit);
	put_literal(out, "\",\"alert_level\":\"");
	put_literal(out, r->alert_level);
	put_literal(out, "\",\"quality\":");
	put_quality(out, r->quality);
	put_literal(out, ",\"metadata\":");
	put_metadata(out, r);
	fm_buf_putc(out, '}');
}

FmPiece *
fm_pieces_find(FmPieces *pieces, const char *key)
{
	for (int i = 0; i < pieces->n; i++)
		if (strcmp(pieces->piece[i].key, key) == 0)
			return &pieces->piece[i];
	return NULL;
}

/* A new member at the end, its value still empty. */
static FmBuf *
add_piece(FmPieces *pieces, const char *key)
{
	FmPiece    *piece;

	if (pieces->n == FM_MAX_PIECES)
		abort();				/* our own tables are too long */
	piece = &pieces->piece[pieces->n++];
	piece->key = key;
	fm_buf_reset(&piece->value);
	return &piece->value;
}

void
fm_pieces_set(FmPieces *pieces, const char *key, const char *fmt,...)
{
	FmPiece    *piece = fm_pieces_find(pieces, key);
	FmBuf	   *value = piece ? &piece->value : add_piece(pieces, key);
	char		text[1024];
	va_list		args;
	int			n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0 || (size_t) n >= sizeof(text))
		abort();				/* only our own short texts come here */
	fm_buf_reset(value);
	fm_buf_put(value, text, (size_t) n);
}

void
fm_pieces_drop(FmPieces *pieces, const char *key)
{
	FmPiece    *piece = fm_pieces_find(pieces, key);
	FmPiece		dropped;

	if (piece == NULL)
		return;
	dropped = *piece;			/* its buffer moves behind the last one */
	memmove(piece, piece + 1, (size_t) (&pieces->piece[pieces->n - 1] - piece)
			* sizeof(FmPiece));
	pieces->piece[--pieces->n] = dropped;
}

void
fm_pieces_from(FmPieces *pieces, const FmReading *r, int64_t timestamp)
{
	const FmSensor *s = r->sensor;
	char		time[FM_TIME_LEN];
	FmBuf	   *value;

	pieces->n = 0;
	fm_time_format(timestamp, time);
	fm_pieces_set(pieces, "timestamp", "\"%.*s\"", FM_TIME_LEN, time);
	fm_buf_puts(add_piece(pieces, "sensor_id"), s->id_json);
	fm_pieces_set(pieces, "sensor_type", "\"%s\"", s->type->name);
	value = add_piece(pieces, "location");
	fm_buf_putc(value, '{');
	fm_buf_puts(value, s->location_json);
	fm_buf_putc(value, '}');
	put_scaled(add_piece(pieces, "value"), r->scaled, s->type->decimals);
	fm_pieces_set(pieces, "unit", "\"%s\"", s->type->unit);
	fm_pieces_set(pieces, "alert_level", "\"%s\"", r->alert_level);
	put_quality(add_piece(pieces, "quality"), r->quality);
	put_metadata(add_piece(pieces, "metadata"), r);
}

void
fm_pieces_join(const FmPieces *pieces, FmBuf *out)
{
	for (int i = 0; i < pieces->n; i++)
	{
		fm_buf_puts(out, i == 0 ? "{\"" : ",\"");
		fm_buf_puts(out, pieces->piece[i].key);
		fm_buf_puts(out, "\":");
		fm_buf_put(out, pieces->piece[i].value.data,
				   pieces->piece[i].value.len);
	}
	fm_buf_puts(out, pieces->n == 0 ? "{}" : "}");
}

void
fm_pieces_free(FmPieces *pieces)
{
	for (int i = 0; i < FM_MAX_PIECES; i++)
		fm_buf_free(&pieces->piece[i].value);
}

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

/* Add a member to an object's text. */
static void
add_inside(FmPieces *pieces, const char *key, const char *member)
{
	FmBuf	   *value = &fm_pieces_find(pieces, key)->value;

	value->len--;				/* the closing brace */
	fm_buf_putc(value, ',');
	fm_buf_puts(value, member);
	fm_buf_putc(value, '}');
}

static void
make_unusual(FmPieces *pieces, FmRng *rng, const FmReading *r,
			 int64_t timestamp)
{
	uint32_t	n = 1 + fm_rng_below(rng, 4);
	uint32_t	at = fm_rng_below(rng, N_EXTRAS);

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	e = (at + i * 5) % N_EXTRAS;	/* 5 and 14: no repeat */

		fm_buf_puts(add_piece(pieces, extras[e].key), extras[e].value);
	}
	if (fm_rng_chance(rng, 0.25))
		add_inside(pieces, "metadata",
				   "\"calibrated\":\"2025-01-31\",\"drift\":-0.0125");
	if (fm_rng_chance(rng, 0.25))
		add_inside(pieces, "location", "\"line\":{\"no\":3,\"side\":\"left\"}");
	if (fm_rng_chance(rng, 0.25))
		respell_timestamp(pieces, rng, timestamp);
	if (fm_rng_chance(rng, 0.15))
		fm_pieces_set(pieces, "value", "%.9e", r->value);
	if (fm_rng_chance(rng, 0.15) && strcmp(r->sensor->type->unit, "°C") == 0)
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
fm_message_put_extra(FmBuf *out, FmPieces *pieces, FmRng *rng,
					 const FmReading *r, int64_t timestamp, bool extra,
					 size_t pad_to)
{
	size_t		before = out->len;
	FmBuf	   *value;

	fm_pieces_from(pieces, r, timestamp);
	if (extra)
		make_unusual(pieces, rng, r, timestamp);
	if (extra && fm_rng_chance(rng, 0.15))
		fm_buf_puts(out, " \t\r\n");
	fm_pieces_join(pieces, out);
	if (pad_to > 0 && pad_to > out->len - before + 16)
	{
		size_t		room = pad_to - (out->len - before) - 13;

		out->len = before;
		value = add_piece(pieces, "padding");
		fm_buf_putc(value, '"');
		put_padding(value, rng, room);
		fm_buf_putc(value, '"');
		fm_pieces_join(pieces, out);
	}
}
