/*-------------------------------------------------------------------------
 *
 * mapping_builtin.c
 *	  The formats that come with the extension.
 *
 * They are rows of a function and not of a table, so that a dump does not
 * carry them.  The one of "factory" says in the language of mappings what
 * reading.c and reading_fast.c decode; it serves those who want to know what
 * is new in a message, and the tests, which compare the two.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping.h"

/* Any way in which programs write a time, in UTC if they do not say. */
#define ANY_TIME(pointer) \
	"{\"at\": \"" pointer "\", \"as\": [\"rfc3339\", \"local\", \"epoch_s\"]}"

static const char factory[] =
"{\"timestamp\": \"/timestamp\","
" \"sensor_id\": \"/sensor_id\","
" \"sensor_type\": \"/sensor_type\","
" \"factory_section\": \"/location/factory_section\","
" \"machine_id\": \"/location/machine_id\","
" \"zone\": \"/location/zone\","
" \"value\": \"/value\","
" \"unit\": \"/unit\","
" \"reported_level\": {\"at\": \"/alert_level\", \"required\": false},"
" \"quality\": {\"at\": \"/quality\", \"required\": false},"
" \"reading_count\":"
" {\"at\": \"/metadata/reading_count\", \"required\": false},"
" \"warning_threshold\":"
" {\"at\": \"/metadata/warning_threshold\", \"required\": false},"
" \"critical_threshold\":"
" {\"at\": \"/metadata/critical_threshold\", \"required\": false}}";

static const char reading[] =
"{\"unique_id\": \"/unique_reading_id\","
" \"timestamp\": " ANY_TIME("/timestamp") ","
" \"sensor_id\": {\"at\": [\"/sensor_id\", \"/sensorId\"]},"
" \"sensor_type\": {\"at\": [\"/sensor_type\", \"/type\", \"/sensorType\"]},"
" \"value\": \"/value\","
" \"unit\": {\"at\": \"/unit\", \"default\": \"\"}}";

static const char city[] =
"{\"timestamp\": " ANY_TIME("/timestamp") ","
" \"zone\": {\"at\": \"/city\", \"pattern\": \".+\"},"
" \"reported_level\": {\"at\": \"/status\", \"words\": {"
"\"normal\": [\"normal\", \"ok\", \"est\xC3\xA1vel\", \"estavel\"],"
" \"warning\": [\"warning\", \"alert\", \"alerta\", \"aten\xC3\xA7\xC3\xA3o\","
" \"atencao\"],"
" \"critical\": [\"critical\", \"cr\xC3\xADtico\", \"critico\","
" \"cr\xC3\xADtica\", \"critica\"]}},"
" \"readings\": ["
"{\"sensor_id\": {\"join\": [\"/city\", {\"const\": \"-temperature\"}]},"
" \"sensor_type\": {\"const\": \"temperature\"},"
" \"value\": {\"at\": \"/temperature\", \"min\": -100, \"max\": 100},"
" \"unit\": {\"const\": \"\xC2\xB0" "C\"}},"
" {\"sensor_id\": {\"join\": [\"/city\", {\"const\": \"-humidity\"}]},"
" \"sensor_type\": {\"const\": \"humidity\"},"
" \"value\": {\"at\": \"/humidity\", \"min\": 0, \"max\": 100},"
" \"unit\": {\"const\": \"%RH\"}}]}";

static const char sensores[] =
"{\"timestamp\": {\"at\": \"/timestamp\","
" \"as\": [\"local\", \"rfc3339\"], \"time_zone\": \"UTC\"},"
" \"machine_id\": {\"at\": \"/sensor_id\", \"pattern\":"
" \"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
"[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\"},"
" \"readings\": ["
"{\"sensor_id\": {\"join\": [\"/sensor_id\", {\"const\": \"-temperature\"}]},"
" \"sensor_type\": {\"const\": \"temperature\"},"
" \"value\": \"/temperatura\","
" \"unit\": {\"const\": \"\xC2\xB0" "C\"}},"
" {\"sensor_id\": {\"join\": [\"/sensor_id\", {\"const\": \"-humidity\"}]},"
" \"sensor_type\": {\"const\": \"humidity\"},"
" \"value\": {\"at\": \"/umidade\", \"min\": 0, \"max\": 100},"
" \"unit\": {\"const\": \"%RH\"}}]}";

const FmBuiltinFormat fm_builtin_formats[] = {
	{FM_FACTORY_FORMAT, factory,
	"the canonical message: one reading with its place in the factory"},
	{"reading", reading,
	"one reading with a unique id of its own"},
	{"city", city,
	"temperature, humidity and status of a city"},
	{"sensores", sensores,
	"temperature and humidity of a device, its time without zone (UTC)"}
};

const int	fm_nbuiltin_formats =
	(int) (sizeof(fm_builtin_formats) / sizeof(fm_builtin_formats[0]));

const FmBuiltinFormat *
fm_builtin_format(const char *name)
{
	int			i;

	for (i = 0; i < fm_nbuiltin_formats; i++)
	{
		if (strcmp(fm_builtin_formats[i].name, name) == 0)
			return &fm_builtin_formats[i];
	}
	return NULL;
}
