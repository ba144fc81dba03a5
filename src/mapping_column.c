/*-------------------------------------------------------------------------
 *
 * mapping_column.c
 *	  The fields of a mapping as members of a reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "mapping_internal.h"

void
fm_set_text(FmReading *reading, FmField field, FmSlice text)
{
	switch (field)
	{
		case FM_FIELD_SENSOR_ID:
			reading->sensor_id = text;
			break;
		case FM_FIELD_SENSOR_TYPE:
			reading->sensor_type = text;
			break;
		case FM_FIELD_FACTORY_SECTION:
			reading->factory_section = text;
			break;
		case FM_FIELD_MACHINE_ID:
			reading->machine_id = text;
			break;
		case FM_FIELD_ZONE:
			reading->zone = text;
			break;
		case FM_FIELD_UNIT:
			reading->unit = text;
			break;
		case FM_FIELD_UNIQUE_ID:
			reading->unique_id = text;
			break;
		default:
			break;
	}
}

FmSlice
fm_get_text(const FmReading *reading, FmField field)
{
	switch (field)
	{
		case FM_FIELD_SENSOR_ID:
			return reading->sensor_id;
		case FM_FIELD_SENSOR_TYPE:
			return reading->sensor_type;
		case FM_FIELD_FACTORY_SECTION:
			return reading->factory_section;
		case FM_FIELD_MACHINE_ID:
			return reading->machine_id;
		case FM_FIELD_ZONE:
			return reading->zone;
		case FM_FIELD_UNIT:
			return reading->unit;
		default:
			return reading->unique_id;
	}
}

void
fm_set_number(FmReading *reading, FmField field, double number)
{
	switch (field)
	{
		case FM_FIELD_VALUE:
			reading->value = number;
			break;
		case FM_FIELD_QUALITY:
			reading->has_quality = true;
			reading->quality = (float) number;
			break;
		case FM_FIELD_READING_COUNT:
			reading->has_reading_count = true;
			reading->reading_count = (int32_t) number;
			break;
		case FM_FIELD_WARNING_THRESHOLD:
			reading->has_warning_threshold = true;
			reading->warning_threshold = number;
			break;
		case FM_FIELD_CRITICAL_THRESHOLD:
			reading->has_critical_threshold = true;
			reading->critical_threshold = number;
			break;
		default:
			break;
	}
}

bool
fm_get_number(const FmReading *reading, FmField field, double *number)
{
	switch (field)
	{
		case FM_FIELD_QUALITY:
			*number = (double) reading->quality;
			return reading->has_quality;
		case FM_FIELD_READING_COUNT:
			*number = reading->reading_count;
			return reading->has_reading_count;
		case FM_FIELD_WARNING_THRESHOLD:
			*number = reading->warning_threshold;
			return reading->has_warning_threshold;
		case FM_FIELD_CRITICAL_THRESHOLD:
			*number = reading->critical_threshold;
			return reading->has_critical_threshold;
		default:
			*number = reading->value;
			return true;
	}
}

bool
fm_slice_equal(FmSlice a, FmSlice b)
{
	return a.len == b.len &&
		(a.len == 0 || memcmp(a.data, b.data, (size_t) a.len) == 0);
}

bool
fm_is_default(const FmSource *source, const FmReading *reading)
{
	FmJsonType	type = fm_field_rules[source->field].type;
	double		number;

	if (source->field == FM_FIELD_TIMESTAMP)
		return false;
	if (source->field == FM_FIELD_REPORTED_LEVEL)
		return source->has_fallback ? reading->reported == source->level :
			reading->reported == FM_REPORTED_NONE;
	if (type == FM_JSON_STRING)
		return (source->has_fallback || !source->required) &&
			fm_slice_equal(fm_get_text(reading, source->field), source->text);
	if (!fm_get_number(reading, source->field, &number))
		return true;
	/* the column of a quality is a float */
	return source->has_fallback &&
		(source->field == FM_FIELD_QUALITY ?
		 (float) number == (float) source->number : number == source->number);
}
