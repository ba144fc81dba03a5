/*-------------------------------------------------------------------------
 *
 * oracle_rebuild.c
 *	  A message put together again from its reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "oracle_internal.h"

static json_object *
rebuild_string(FmSlice slice)
{
	return json_object_new_string_len(slice.data, slice.len);
}

static json_object *
rebuild_double(double value)
{
	char		text[FM_NUMBER_BUFFER];

	fm_format_double(value, text);
	return json_object_new_double_s(value, text);
}

/* Put the members of over into object, merging where both have objects. */
static void
merge(json_object *object, json_object *over, bool deep)
{
	json_object_object_foreach(over, key, value)
	{
		json_object *old;

		if (deep && (strcmp(key, "location") == 0 ||
					 strcmp(key, "metadata") == 0) &&
			json_object_object_get_ex(object, key, &old))
			merge(old, value, false);
		else
			json_object_object_add(object, key, json_object_get(value));
	}
}

static json_object *
rebuild_metadata(const FmReading *reading)
{
	json_object *metadata = json_object_new_object();

	if (reading->has_reading_count)
		json_object_object_add(metadata, "reading_count",
							   json_object_new_int(reading->reading_count));
	if (reading->has_warning_threshold)
		json_object_object_add(metadata, "warning_threshold",
							   rebuild_double(reading->warning_threshold));
	if (reading->has_critical_threshold)
		json_object_object_add(metadata, "critical_threshold",
							   rebuild_double(reading->critical_threshold));
	return metadata;
}

json_object *
rebuild_message(const FmReading *reading, json_object *extra)
{
	static const char *const levels[] = {NULL, "normal", "warning",
	"critical"};
	json_object *tree = json_object_new_object();
	json_object *location = json_object_new_object();
	char		text[FM_NUMBER_BUFFER];
	int			len;

	len = fm_format_rfc3339(reading->ts, reading->ts_digits, text);
	json_object_object_add(tree, "timestamp",
						   json_object_new_string_len(text, len));
	json_object_object_add(tree, "sensor_id",
						   rebuild_string(reading->sensor_id));
	json_object_object_add(tree, "sensor_type",
						   rebuild_string(reading->sensor_type));
	json_object_object_add(location, "factory_section",
						   rebuild_string(reading->factory_section));
	json_object_object_add(location, "machine_id",
						   rebuild_string(reading->machine_id));
	json_object_object_add(location, "zone", rebuild_string(reading->zone));
	json_object_object_add(tree, "location", location);
	json_object_object_add(tree, "value", rebuild_double(reading->value));
	json_object_object_add(tree, "unit", rebuild_string(reading->unit));
	if (reading->reported != FM_REPORTED_NONE &&
		reading->reported != FM_REPORTED_OTHER)
	{
		const char *level = levels[reading->reported];

		json_object_object_add(tree, "alert_level",
							   json_object_new_string(level));
	}
	if (reading->has_quality)
	{
		fm_format_float(reading->quality, text);
		json_object_object_add(tree, "quality",
							   json_object_new_double_s(reading->quality,
														text));
	}
	if (reading->has_reading_count || reading->has_warning_threshold ||
		reading->has_critical_threshold)
		json_object_object_add(tree, "metadata", rebuild_metadata(reading));
	if (extra != NULL)
		merge(tree, extra, true);
	return tree;
}
