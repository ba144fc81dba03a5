/*-------------------------------------------------------------------------
 *
 * sensor_table.c
 *	  Rows of _factorymon.sensor and sensor_version, without the executor.
 *
 * A plant that starts up may show a new sensor with every second message, and
 * then a statement costs several times what it does.  Nobody but the extension
 * writes these tables, so they are read and written here as PostgreSQL does
 * its own catalogs, and with the same functions (see own_table.h):
 * systable_beginscan() and CatalogTuplesMultiInsertWithInfo().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "own_table.h"
#include "sensor_internal.h"

/* Columns, from 1. */
enum
{
	SENSOR_ID = 1,
	SENSOR_PIPELINE_ID,
	SENSOR_NAME,
	SENSOR_REGISTERED_AT,
	SENSOR_RETIRED_AT,
	SENSOR_RETIRED_BY,
	SENSOR_RETIRED_REASON,
	SENSOR_COLUMNS = SENSOR_RETIRED_REASON
};

enum
{
	VERSION_ID = 1,
	VERSION_SENSOR_ID,
	VERSION_STRINGS,			/* sensor_type and so on, all but the name */
	VERSION_WARNING_THRESHOLD = VERSION_STRINGS + DESC_STRINGS - 1,
	VERSION_CRITICAL_THRESHOLD,
	VERSION_REGISTERED_AT,
	VERSION_COLUMNS = VERSION_REGISTERED_AT
};

/* One of the two tables, open. */
typedef struct OpenTable
{
	FmOwnTable	table;
	Oid			sequence;
} OpenTable;

struct FmSensorTables
{
	OpenTable	sensor;
	OpenTable	version;
};

/* ----------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------- */

/* key: the first column of the index that finds its rows. */
static void
open_table(OpenTable *table, const char *name, const char *sequence, int natts,
		   AttrNumber key)
{
	fm_own_table_open(&table->table, name, natts, key);
	table->sequence = get_relname_relid(sequence,
										get_namespace_oid("_factorymon",
														  false));
}

FmSensorTables *
fm_sensor_tables_open(void)
{
	FmSensorTables *tables = palloc(sizeof(FmSensorTables));

	open_table(&tables->sensor, "sensor", "sensor_id_seq", SENSOR_COLUMNS,
			   SENSOR_NAME);
	open_table(&tables->version, "sensor_version", "sensor_version_id_seq",
			   VERSION_COLUMNS, VERSION_SENSOR_ID);
	return tables;
}

/* ----------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------- */

void
fm_sensor_tables_flush(FmSensorTables *tables)
{
	fm_own_table_flush(&tables->sensor.table);
	fm_own_table_flush(&tables->version.table);
}

void
fm_sensor_tables_close(FmSensorTables *tables)
{
	fm_own_table_close(&tables->sensor.table);
	fm_own_table_close(&tables->version.table);
	pfree(tables);
}

static Datum
slice_to_datum(FmSlice slice)
{
	return PointerGetDatum(cstring_to_text_with_len(slice.data, slice.len));
}

int32
fm_sensor_table_add(FmSensorTables *tables, int16 pipeline_id, FmSlice name)
{
	OpenTable  *table = &tables->sensor;
	TupleTableSlot *row = fm_own_table_row(&table->table);
	int32		sensor_id = nextval_internal(table->sequence, false);

	row->tts_values[SENSOR_ID - 1] = Int32GetDatum(sensor_id);
	row->tts_values[SENSOR_PIPELINE_ID - 1] = Int16GetDatum(pipeline_id);
	row->tts_values[SENSOR_NAME - 1] = slice_to_datum(name);
	row->tts_values[SENSOR_REGISTERED_AT - 1] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	for (int i = SENSOR_RETIRED_AT; i <= SENSOR_COLUMNS; i++)
		row->tts_isnull[i - 1] = true;
	fm_own_table_put(&table->table, row);
	return sensor_id;
}

int32
fm_sensor_table_add_version(FmSensorTables *tables, int32 sensor_id,
							const SensorEntry *entry)
{
	OpenTable  *table = &tables->version;
	TupleTableSlot *row = fm_own_table_row(&table->table);
	const DescriptionHeader *header = &entry->header;
	int32		version_id = nextval_internal(table->sequence, false);

	row->tts_values[VERSION_ID - 1] = Int32GetDatum(version_id);
	row->tts_values[VERSION_SENSOR_ID - 1] = Int32GetDatum(sensor_id);
	for (int i = 1; i < DESC_STRINGS; i++)
		row->tts_values[VERSION_STRINGS - 1 + i - 1] =
			slice_to_datum(fm_sensor_entry_slice(entry, i));
	row->tts_values[VERSION_WARNING_THRESHOLD - 1] =
		Float8GetDatum(header->warning_threshold);
	row->tts_isnull[VERSION_WARNING_THRESHOLD - 1] =
		!header->has_warning_threshold;
	row->tts_values[VERSION_CRITICAL_THRESHOLD - 1] =
		Float8GetDatum(header->critical_threshold);
	row->tts_isnull[VERSION_CRITICAL_THRESHOLD - 1] =
		!header->has_critical_threshold;
	row->tts_values[VERSION_REGISTERED_AT - 1] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	fm_own_table_put(&table->table, row);
	return version_id;
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

int32
fm_sensor_table_find(FmSensorTables *tables, Snapshot snapshot,
					 int16 pipeline_id, FmSlice name)
{
	FmOwnTable *table = &tables->sensor.table;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		sensor_id = 0;

	fm_own_table_key(table, &keys[0], SENSOR_NAME, F_TEXTEQ,
					 slice_to_datum(name));
	fm_own_table_key(table, &keys[1], SENSOR_PIPELINE_ID, F_INT2EQ,
					 Int16GetDatum(pipeline_id));
	scan = systable_beginscan(table->rel, table->key, true, snapshot, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;

		sensor_id = DatumGetInt32(heap_getattr(tuple, SENSOR_ID,
											   RelationGetDescr(table->rel),
											   &isnull));
	}
	systable_endscan(scan);
	pfree(DatumGetPointer(keys[0].sk_argument));
	return sensor_id;
}

static bool
text_equals(Datum value, FmSlice slice)
{
	text	   *string = DatumGetTextPP(value);

	return VARSIZE_ANY_EXHDR(string) == slice.len &&
		memcmp(VARDATA_ANY(string), slice.data, slice.len) == 0;
}

static bool
threshold_equals(Datum value, bool isnull, uint8 known, double threshold)
{
	return isnull ? !known : known && DatumGetFloat8(value) == threshold;
}

/* Is this row the one that describes itself so? */
static bool
describes(HeapTuple tuple, TupleDesc desc, const SensorEntry *entry)
{
	const DescriptionHeader *header = &entry->header;
	Datum		values[VERSION_COLUMNS];
	bool		isnull[VERSION_COLUMNS];

	heap_deform_tuple(tuple, desc, values, isnull);
	for (int i = 1; i < DESC_STRINGS; i++)
		if (!text_equals(values[VERSION_STRINGS - 1 + i - 1],
						 fm_sensor_entry_slice(entry, i)))
			return false;
	return threshold_equals(values[VERSION_WARNING_THRESHOLD - 1],
							isnull[VERSION_WARNING_THRESHOLD - 1],
							header->has_warning_threshold,
							header->warning_threshold) &&
		threshold_equals(values[VERSION_CRITICAL_THRESHOLD - 1],
						 isnull[VERSION_CRITICAL_THRESHOLD - 1],
						 header->has_critical_threshold,
						 header->critical_threshold);
}

int32
fm_sensor_table_find_version(FmSensorTables *tables, Snapshot snapshot,
							 int32 sensor_id, const SensorEntry *entry,
							 int64 *nversions)
{
	FmOwnTable *table = &tables->version.table;
	TupleDesc	desc = RelationGetDescr(table->rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		version_id = 0;

	fm_own_table_key(table, &key, VERSION_SENSOR_ID, F_INT4EQ,
					 Int32GetDatum(sensor_id));
	scan = systable_beginscan(table->rel, table->key, true, snapshot, 1, &key);
	*nversions = 0;
	while (version_id == 0 && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		++*nversions;
		if (describes(tuple, desc, entry))
			version_id = DatumGetInt32(heap_getattr(tuple, VERSION_ID, desc,
													&isnull));
	}
	systable_endscan(scan);
	return version_id;
}
