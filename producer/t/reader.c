/*
 * reader.c - what a reader of each format accepts, for the tests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * By json-c, which shares no code with the writer; only what json-c overlooks
 * (a key twice, invalid UTF-8) is left to the canonical form.
 */
#include "reader.h"

#include "canon.h"
#include "clock.h"

#include <float.h>
#include <json-c/json.h>
#include <stdio.h>

static bool
is_text(struct json_object *root, const char *key, bool required)
{
	struct json_object *o;

	if (!json_object_object_get_ex(root, key, &o))
		return !required;
	return json_object_is_type(o, json_type_string) &&
		json_object_get_string_len(o) <= 1000 &&
		strlen(json_object_get_string(o)) ==
		(size_t) json_object_get_string_len(o);
}

static bool
is_number(struct json_object *root, const char *key, bool required, double lo,
		  double hi)
{
	struct json_object *o;

	if (!json_object_object_get_ex(root, key, &o))
		return !required;
	return (json_object_is_type(o, json_type_int) ||
			json_object_is_type(o, json_type_double)) &&
		json_object_get_double(o) >= lo && json_object_get_double(o) <= hi;
}

static bool
is_object(struct json_object *root, const char *key)
{
	struct json_object *o;

	return !json_object_object_get_ex(root, key, &o) ||
		json_object_is_type(o, json_type_object);
}

/* A time in this century, with a zone or without, as the format has it. */
static bool
is_time(struct json_object *root, bool has_zone)
{
	struct json_object *o;
	char		text[64];
	int64_t		us;

	if (!is_text(root, "timestamp", true) ||
		!json_object_object_get_ex(root, "timestamp", &o))
		return false;
	snprintf(text, sizeof(text), "%s%s", json_object_get_string(o),
			 has_zone ? "" : "Z");
	return text[0] == '2' && fm_time_parse(text, &us) &&
		us > INT64_C(946684800000000) && us < INT64_C(4102444800000000);
}

static bool
is_factory(struct json_object *root)
{
	return is_text(root, "sensor_id", true) &&
		is_text(root, "sensor_type", true) && is_text(root, "unit", false) &&
		is_text(root, "alert_level", false) && is_time(root, true) &&
		is_object(root, "location") && is_object(root, "metadata") &&
		is_number(root, "quality", false, 0, 1) &&
		is_number(root, "value", true, -DBL_MAX, DBL_MAX);
}

static bool
is_single(struct json_object *root)
{
	return is_text(root, "unique_reading_id", true) &&
		is_text(root, "sensor_id", true) &&
		is_text(root, "sensor_type", true) && is_text(root, "unit", true) &&
		is_time(root, true) &&
		is_number(root, "value", true, -DBL_MAX, DBL_MAX);
}

static bool
is_city(struct json_object *root)
{
	return is_text(root, "city", true) && is_text(root, "status", true) &&
		is_time(root, true) &&
		is_number(root, "temperature", true, -30, 60) &&
		is_number(root, "humidity", true, 0, 100);
}

static bool
is_room(struct json_object *root)
{
	return is_text(root, "sensor_id", true) && is_time(root, false) &&
		is_number(root, "temperatura", true, 20, 30) &&
		is_number(root, "umidade", true, 30, 80);
}

bool
is_reading(const FmFormat *format, const char *text, size_t len)
{
	static const struct
	{
		const char *name;
		bool		(*accepts) (struct json_object *root);
	}			readers[] =
	{
		{"factory", is_factory}, {"reading", is_single}, {"city", is_city},
		{"sensores", is_room},
	};
	FmBuf		canon = FM_BUF_INIT;
	struct json_tokener *tokener = json_tokener_new_ex(600);
	struct json_object *root = NULL;
	bool		good = fm_canon(text, len, &canon) == NULL;

	fm_buf_putc(&canon, '\0');
	if (good && strstr(canon.data, "\\u0000") == NULL)
		root = json_tokener_parse_ex(tokener, canon.data, (int) canon.len);
	good = false;
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (strcmp(readers[i].name, format->name) == 0)
			good = root && json_object_is_type(root, json_type_object) &&
				readers[i].accepts(root);
	json_object_put(root);
	json_tokener_free(tokener);
	fm_buf_free(&canon);
	return good;
}
