/*-------------------------------------------------------------------------
 *
 * row.c
 *	  A reading of the batch as a tuple of _factorymon.reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "row.h"

static const struct
{
	const char *name;
	Oid			type;
	bool		may_be_null;
}			columns[FM_NCOLUMNS] = {
	[FM_COLUMN_TS] = {"ts", TIMESTAMPTZOID, false},
	[FM_COLUMN_KAFKA_OFFSET] = {"kafka_offset", INT8OID, false},
	[FM_COLUMN_VALUE] = {"value", FLOAT8OID, false},
	[FM_COLUMN_SENSOR_ID] = {"sensor_id", INT4OID, false},
	[FM_COLUMN_STREAM_ID] = {"stream_id", INT4OID, false},
	[FM_COLUMN_SENSOR_VERSION_ID] = {"sensor_version_id", INT4OID, false},
	[FM_COLUMN_READING_COUNT] = {"reading_count", INT4OID, true},
	[FM_COLUMN_QUALITY] = {"quality", FLOAT4OID, true},
	[FM_COLUMN_PIPELINE_ID] = {"pipeline_id", INT2OID, false},
	[FM_COLUMN_READING_INDEX] = {"reading_index", INT2OID, false},
	[FM_COLUMN_LEVEL] = {"level", INT2OID, false},
	[FM_COLUMN_FLAGS] = {"flags", INT2OID, false},
	[FM_COLUMN_EXTRA] = {"extra", JSONBOID, true}
};

bool
fm_row_fits(TupleDesc desc)
{
	if (desc->natts != FM_NCOLUMNS)
		return false;
	for (int i = 0; i < FM_NCOLUMNS; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->atttypid != columns[i].type ||
			strcmp(NameStr(attribute->attname), columns[i].name) != 0 ||
			attribute->attisdropped || attribute->attgenerated != '\0' ||
			(attribute->attnotnull && columns[i].may_be_null))
			return false;
	}
	return true;
}

void
fm_row_fill_slot(TupleTableSlot *slot, int16 pipeline_id, const FmRow *row)
{
	const FmReading *reading = row->reading;
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;

	memset(isnull, 0, sizeof(bool) * FM_NCOLUMNS);
	values[FM_COLUMN_TS] = TimestampTzGetDatum(reading->ts);
	values[FM_COLUMN_KAFKA_OFFSET] = Int64GetDatum(row->kafka_offset);
	values[FM_COLUMN_VALUE] = Float8GetDatum(reading->value);
	values[FM_COLUMN_SENSOR_ID] = Int32GetDatum(row->sensor_id);
	values[FM_COLUMN_STREAM_ID] = Int32GetDatum(row->stream_id);
	values[FM_COLUMN_SENSOR_VERSION_ID] =
		Int32GetDatum(row->sensor_version_id);
	values[FM_COLUMN_READING_COUNT] = Int32GetDatum(reading->reading_count);
	isnull[FM_COLUMN_READING_COUNT] = !reading->has_reading_count;
	values[FM_COLUMN_QUALITY] = Float4GetDatum(reading->quality);
	isnull[FM_COLUMN_QUALITY] = !reading->has_quality;
	values[FM_COLUMN_PIPELINE_ID] = Int16GetDatum(pipeline_id);
	values[FM_COLUMN_READING_INDEX] = Int16GetDatum(row->reading_index);
	values[FM_COLUMN_LEVEL] = Int16GetDatum(row->level);
	values[FM_COLUMN_FLAGS] = Int16GetDatum(row->flags);
	isnull[FM_COLUMN_EXTRA] = reading->extra.data == NULL;
	values[FM_COLUMN_EXTRA] = reading->extra.data ?
		fm_extra_to_jsonb(reading->extra) : (Datum) 0;
}
