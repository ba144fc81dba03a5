/*
 * format.c - the shapes of JSON that a reading is sent in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A format's function asks for each of its members where to write the value:
 * behind the key in the payload, or in a piece of its own.
 */
#include "format.h"

#include "clock.h"
#include "uuid.h"

typedef struct Sink
{
	FmBuf	   *out;			/* the payload, where there are no pieces */
	FmPieces   *pieces;
	bool		begun;
} Sink;

static FmBuf *
member(Sink *sink, const char *key)
{
	if (sink->pieces)
		return fm_pieces_add(sink->pieces, key);
	fm_buf_puts(sink->out, sink->begun ? ",\"" : "{\"");
	fm_buf_puts(sink->out, key);
	fm_buf_puts(sink->out, "\":");
	sink->begun = true;
	return sink->out;
}

/* For texts without anything to escape. */
static void
put_text(Sink *sink, const char *key, const char *text, size_t len)
{
	FmBuf	   *out = member(sink, key);

	fm_buf_putc(out, '"');
	fm_buf_put(out, text, len);
	fm_buf_putc(out, '"');
}

static void
put_time(Sink *sink, const char *key, int64_t at, size_t len)
{
	char		text[FM_TIME_LEN];

	fm_time_format(at, text);
	put_text(sink, key, text, len);
}

static void
compose_reading(Sink *sink, const FmReading *r, int64_t at)
{
	const FmSensor *s = r->sensor;
	char		id[FM_UUID_LEN];

	fm_uuid_format(r->id[0], r->id[1], id);
	put_text(sink, "unique_reading_id", id, FM_UUID_LEN);
	fm_buf_puts(member(sink, "sensor_id"), s->id_json);
	put_text(sink, "sensor_type", s->type->name, strlen(s->type->name));
	fm_message_put_scaled(member(sink, "value"), r->scaled,
						  s->type->decimals);
	put_text(sink, "unit", s->type->unit, strlen(s->type->unit));
	put_time(sink, "timestamp", at, FM_TIME_LEN);
}

static void
compose_city(Sink *sink, const FmReading *r, int64_t at)
{
	static const char *const words[FM_LEVELS] = {"Normal", "Alerta",
	"Crítico"};
	const FmSensor *s = r->sensor;

	fm_buf_puts(member(sink, "city"), s->id_json);
	fm_message_put_scaled(member(sink, "temperature"), r->scaled,
						  s->type->decimals);
	fm_message_put_scaled(member(sink, "humidity"), r->partner_scaled,
						  s->partner->type->decimals);
	put_text(sink, "status", words[r->level], strlen(words[r->level]));
	put_time(sink, "timestamp", at, FM_TIME_LEN);
}

static void
compose_sensores(Sink *sink, const FmReading *r, int64_t at)
{
	const FmSensor *s = r->sensor;

	fm_buf_puts(member(sink, "sensor_id"), s->id_json);
	put_time(sink, "timestamp", at, strlen("yyyy-mm-ddThh:mm:ss"));
	fm_message_put_scaled(member(sink, "temperatura"), r->scaled,
						  s->type->decimals);
	fm_message_put_scaled(member(sink, "umidade"), r->partner_scaled,
						  s->partner->type->decimals);
}

/* The compose function stands beside its format; NULL: the canonical one. */
static const struct
{
	FmFormat	format;
	void		(*compose) (Sink *sink, const FmReading *r, int64_t at);
}			formats[] =
{
	{{"factory", "the canonical message: a value with its place, limits and"
			" level",
			"sensor-data", FM_PLANT_FACTORY, false, true,
	{"timestamp", "sensor_id", "sensor_type", "value", NULL}}, NULL},
	{{"reading", "one value with a unique_reading_id (a UUID)",
			"iot-sensor-data", FM_PLANT_FACTORY, true, true,
		{"timestamp", "sensor_id", "sensor_type", "value", NULL}},
	compose_reading},
	{{"city", "temperature, humidity and status (in Portuguese) of a city",
			"sensores-iot", FM_PLANT_CITIES, false, true,
		{"timestamp", "city", NULL, "temperature", "humidity"}},
	compose_city},
	{{"sensores", "temperatura 20 to 30 and umidade 30 to 80 of a room,"
			" sensor_id a UUID, time in UTC without saying so",
			"iot_sensores", FM_PLANT_ROOMS, false, false,
		{"timestamp", "sensor_id", NULL, "temperatura", "umidade"}},
	compose_sensores},
};

#define N_FORMATS ((int) (sizeof(formats) / sizeof(formats[0])))

const FmFormat *
fm_format(int i)
{
	return i >= 0 && i < N_FORMATS ? &formats[i].format : NULL;
}

/* false: the canonical one, which is not described here. */
static bool
compose(const FmFormat *format, Sink *sink, const FmReading *reading,
		int64_t timestamp)
{
	for (int i = 0; i < N_FORMATS; i++)
		if (format == &formats[i].format && formats[i].compose)
		{
			formats[i].compose(sink, reading, timestamp);
			return true;
		}
	return false;
}

void
fm_format_put(const FmFormat *format, FmBuf *out, const FmReading *reading,
			  int64_t timestamp)
{
	Sink		sink = {.out = out};

	if (compose(format, &sink, reading, timestamp))
		fm_buf_putc(out, '}');
	else
		fm_message_put(out, reading, timestamp);
}

void
fm_format_pieces(const FmFormat *format, FmPieces *pieces,
				 const FmReading *reading, int64_t timestamp)
{
	Sink		sink = {.pieces = pieces};

	pieces->n = 0;
	if (!compose(format, &sink, reading, timestamp))
		fm_pieces_from(pieces, reading, timestamp);
}
