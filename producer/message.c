/*
 * message.c - from readings to payloads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Two ways to the same bytes: fm_message_put, for hundreds of thousands of
 * messages a second, and fm_pieces_from with fm_pieces_join.  The check
 * program compares them.  The other formats are in format.c.
 */
#include "message.h"

#include "canon.h"
#include "clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const fm_kind_names[FM_KINDS] = {"reading", "duplicate",
"malformed", "tombstone", "heartbeat"};

static void
put_literal(FmBuf *out, const char *s)
{
	fm_buf_put(out, s, strlen(s));
}

void
fm_message_put_scaled(FmBuf *out, int64_t scaled, int decimals)
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
		fm_message_put_scaled(out, llround(quality * 100), 2);
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
	fm_message_put_scaled(out, r->scaled, s->type->decimals);
	put_literal(out, ",\"unit\":\"");
	put_literal(out, s->type->unit);
	put_literal(out, "\",\"alert_level\":\"");
	put_literal(out, fm_level_names[r->level]);
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

FmBuf *
fm_pieces_add(FmPieces *pieces, const char *key)
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
	FmBuf	   *value = piece ? &piece->value : fm_pieces_add(pieces, key);
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
	fm_buf_puts(fm_pieces_add(pieces, "sensor_id"), s->id_json);
	fm_pieces_set(pieces, "sensor_type", "\"%s\"", s->type->name);
	value = fm_pieces_add(pieces, "location");
	fm_buf_putc(value, '{');
	fm_buf_puts(value, s->location_json);
	fm_buf_putc(value, '}');
	fm_message_put_scaled(fm_pieces_add(pieces, "value"), r->scaled,
						  s->type->decimals);
	fm_pieces_set(pieces, "unit", "\"%s\"", s->type->unit);
	fm_pieces_set(pieces, "alert_level", "\"%s\"", fm_level_names[r->level]);
	put_quality(fm_pieces_add(pieces, "quality"), r->quality);
	put_metadata(fm_pieces_add(pieces, "metadata"), r);
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
