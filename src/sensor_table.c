/*-------------------------------------------------------------------------
 *
 * sensor_table.c
 *	  Rows of _factorymon.sensor and sensor_version, without the executor.
 *
 * A plant that starts up may show a new sensor with every second message, and
 * then a statement costs several times what it does.  Nobody but the extension
 * writes these tables, so they are read and written here as PostgreSQL does
 * its own catalogs, and with the same functions: systable_beginscan() and
 * CatalogTuplesMultiInsertWithInfo().  Those know nothing of triggers,
 * constraints beyond unique indexes, and indexes on expressions, so tables that
 * have been given any are refused.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sensor_internal.h"

/* Columns, from 1. */
enum
{
	SENSOR_ID = 1,
	SENSOR_PIPELINE_ID,
	SENSOR_NAME,
	SENSOR_REGISTERED_AT,
	SENSOR_RETIRED_AT,
	SENSOR_COLUMNS = SENSOR_RETIRED_AT
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

/* Rows that are written at a time. */
#define CHUNK 500

/* One of the two tables, open. */
typedef struct OpenTable
{
	Relation	rel;
	Oid			key;			/* the unique index that rows are found by */
	Oid			sequence;
	CatalogIndexState indexes;
	TupleDesc	desc;			/* a copy: slots need not be counted */
	TupleTableSlot *slots[CHUNK];
	int			nslots;			/* filled and not written yet */
} OpenTable;

struct FmSensorTables
{
	OpenTable	sensor;
	OpenTable	version;
};

/* ----------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------- */

static bool
has_insert_trigger(const TriggerDesc *triggers)
{
	return triggers != NULL &&
		(triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
		 triggers->trig_insert_before_statement ||
		 triggers->trig_insert_after_statement ||
		 triggers->trig_insert_new_table);
}

static void
check_table(Relation rel, int natts)
{
	if (RelationGetNumberOfAttributes(rel) == natts &&
		rel->rd_rules == NULL && !has_insert_trigger(rel->trigdesc) &&
		(rel->rd_att->constr == NULL || rel->rd_att->constr->num_check == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not as the extension made it",
					RelationGetRelationName(rel)),
			 errdetail("Triggers, rules, check constraints and other columns are not honored there.")));
}

static void
check_index(Relation rel, const IndexInfo *info)
{
	if (info->ii_Expressions == NIL && info->ii_Predicate == NIL &&
		info->ii_ExclusionOps == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not as the extension made it",
					RelationGetRelationName(rel)),
			 errdetail("It has an index on expressions or on part of the rows.")));
}

/* Open a table; key is the first column of the index that finds its rows. */
static void
open_table(OpenTable *table, const char *name, const char *sequence, int natts,
		   AttrNumber key)
{
	Oid			schema = get_namespace_oid("_factorymon", false);

	table->rel = table_open(get_relname_relid(name, schema),
							RowExclusiveLock);
	table->sequence = get_relname_relid(sequence, schema);
	check_table(table->rel, natts);
	table->indexes = CatalogOpenIndexes(table->rel);
	table->key = InvalidOid;
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		const IndexInfo *info = table->indexes->ri_IndexRelationInfo[i];

		check_index(table->rel, info);
		if (info->ii_Unique && info->ii_IndexAttrNumbers[0] == key)
			table->key = RelationGetRelid(table->indexes->ri_IndexRelationDescs[i]);
	}
	if (!OidIsValid(table->key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks its unique index", name)));
	table->desc = CreateTupleDescCopy(RelationGetDescr(table->rel));
	table->nslots = 0;
	for (int i = 0; i < CHUNK; i++)
		table->slots[i] = NULL;
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

static void
flush_table(OpenTable *table)
{
	CatalogTuplesMultiInsertWithInfo(table->rel, table->slots, table->nslots,
									 table->indexes);
	for (int i = 0; i < table->nslots; i++)
		ExecClearTuple(table->slots[i]);
	table->nslots = 0;
}

/* An empty row; put_row() takes it. */
static TupleTableSlot *
next_row(OpenTable *table)
{
	TupleTableSlot **slot = &table->slots[table->nslots];

	if (*slot == NULL)
		*slot = MakeSingleTupleTableSlot(table->desc, &TTSOpsHeapTuple);
	memset((*slot)->tts_isnull, false, sizeof(bool) * table->desc->natts);
	return *slot;
}

static void
put_row(OpenTable *table, TupleTableSlot *row)
{
	ExecStoreVirtualTuple(row);
	if (++table->nslots == CHUNK)
		flush_table(table);
}

void
fm_sensor_tables_flush(FmSensorTables *tables)
{
	flush_table(&tables->sensor);
	flush_table(&tables->version);
}

static void
close_table(OpenTable *table)
{
	flush_table(table);
	for (int i = 0; i < CHUNK && table->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(table->slots[i]);
	CatalogCloseIndexes(table->indexes);
	table_close(table->rel, NoLock);
}

void
fm_sensor_tables_close(FmSensorTables *tables)
{
	close_table(&tables->sensor);
	close_table(&tables->version);
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
	TupleTableSlot *row = next_row(table);
	int32		sensor_id = nextval_internal(table->sequence, false);

	row->tts_values[SENSOR_ID - 1] = Int32GetDatum(sensor_id);
	row->tts_values[SENSOR_PIPELINE_ID - 1] = Int16GetDatum(pipeline_id);
	row->tts_values[SENSOR_NAME - 1] = slice_to_datum(name);
	row->tts_values[SENSOR_REGISTERED_AT - 1] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	for (int i = SENSOR_RETIRED_AT; i <= SENSOR_COLUMNS; i++)
		row->tts_isnull[i - 1] = true;
	put_row(table, row);
	return sensor_id;
}

int32
fm_sensor_table_add_version(FmSensorTables *tables, int32 sensor_id,
							const SensorEntry *entry)
{
	OpenTable  *table = &tables->version;
	TupleTableSlot *row = next_row(table);
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
	put_row(table, row);
	return version_id;
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

/* "column = value", with the column's own collation. */
static void
init_key(ScanKey key, Relation rel, AttrNumber column, RegProcedure equal,
		 Datum value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, equal, value);
	key->sk_collation =
		TupleDescAttr(RelationGetDescr(rel), column - 1)->attcollation;
}

int32
fm_sensor_table_find(FmSensorTables *tables, Snapshot snapshot,
					 int16 pipeline_id, FmSlice name)
{
	OpenTable  *table = &tables->sensor;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		sensor_id = 0;

	init_key(&keys[0], table->rel, SENSOR_NAME, F_TEXTEQ,
			 slice_to_datum(name));
	init_key(&keys[1], table->rel, SENSOR_PIPELINE_ID, F_INT2EQ,
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
	OpenTable  *table = &tables->version;
	TupleDesc	desc = RelationGetDescr(table->rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		version_id = 0;

	init_key(&key, table->rel, VERSION_SENSOR_ID, F_INT4EQ,
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
