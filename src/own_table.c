/*-------------------------------------------------------------------------
 *
 * own_table.c
 *	  Rows put into one of the extension's own tables, and found there,
 *	  without planner and executor.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "own_table.h"
#include "pipeline_internal.h"

/* ----------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------- */

/* (Those that check foreign keys do not count.) */
static bool
has_trigger(const TriggerDesc *triggers)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if ((TRIGGER_FOR_INSERT(trigger->tgtype) ||
			 TRIGGER_FOR_UPDATE(trigger->tgtype)) &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE)
			return true;
	}
	return false;
}

static void
check_table(Relation rel, int natts, char relkind)
{
	if (RelationGetNumberOfAttributes(rel) == natts &&
		rel->rd_rel->relkind == relkind &&
		(relkind != RELKIND_RELATION ||
		 rel->rd_tableam == GetHeapamTableAmRoutine()) &&
		rel->rd_rules == NULL && !has_trigger(rel->trigdesc) &&
		(rel->rd_att->constr == NULL || rel->rd_att->constr->num_check == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not as the extension made it",
					RelationGetRelationName(rel)),
			 errdetail("Triggers, rules, check constraints, other columns and other kinds of tables are not honored there.")));
}

/* Its indexes, and what rows wait in. */
static void
prepare(FmOwnTable *table)
{
	table->estate = CreateExecutorState();
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, table->rel, 0, NULL, 0);
	ExecOpenIndices(table->result, false);
	table->context = CurrentMemoryContext;
	table->chunk = AllocSetContextCreate(CurrentMemoryContext,
										 "factorymon own rows",
										 ALLOCSET_DEFAULT_SIZES);
	table->desc = CreateTupleDescCopy(RelationGetDescr(table->rel));
	table->nslots = 0;
	for (int i = 0; i < FM_OWN_TABLE_CHUNK; i++)
		table->slots[i] = NULL;
	table->key = InvalidOid;
	table->fill = NULL;
}

void
fm_own_table_open(FmOwnTable *table, const char *name, int natts,
				  AttrNumber key)
{
	Oid			schema = get_namespace_oid("_factorymon", false);

	fm_own_table_open_leaf(table, get_relname_relid(name, schema), natts,
						   key);
}

void
fm_own_table_open_leaf(FmOwnTable *table, Oid relid, int natts,
					   AttrNumber key)
{
	table->rel = table_open(relid, RowExclusiveLock);
	check_table(table->rel, natts, RELKIND_RELATION);
	prepare(table);
	for (int i = 0; i < table->result->ri_NumIndices; i++)
	{
		const IndexInfo *info = table->result->ri_IndexRelationInfo[i];

		if (info->ii_Unique && info->ii_Predicate == NIL &&
			info->ii_IndexAttrNumbers[0] == key)
			table->key = RelationGetRelid(table->result->ri_IndexRelationDescs[i]);
	}
	if (!OidIsValid(table->key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks its unique index",
						RelationGetRelationName(table->rel))));
}

void
fm_own_table_open_partition(FmOwnTable *table, int16 pipeline_id,
							const char *kind, int natts, TimestampTz ts)
{
	Oid			relid = fm_storage_lock(pipeline_id, kind, RowExclusiveLock);
	Relation	parent = table_open(relid, NoLock);
	Oid			leaf;

	check_table(parent, natts, RELKIND_PARTITIONED_TABLE);
	leaf = fm_partition_relid(parent, ts);
	if (!OidIsValid(leaf))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no partition for the present time",
						RelationGetRelationName(parent))));
	table->rel = table_open(leaf, RowExclusiveLock);
	check_table(table->rel, natts, RELKIND_RELATION);
	table_close(parent, NoLock);
	prepare(table);
}

/* ----------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------- */

static void
insert_into_indexes(FmOwnTable *table, TupleTableSlot *row)
{
	(void) fm_insert_index_tuples(table->result, row, table->estate);
	ResetPerTupleExprContext(table->estate);
}

void
fm_own_table_flush(FmOwnTable *table)
{
	MemoryContext old;

	if (table->nslots == 0)
		return;
	old = MemoryContextSwitchTo(table->chunk);
	table_multi_insert(table->rel, table->slots, table->nslots,
					   GetCurrentCommandId(true), 0, NULL);
	if (table->fill)
		table->fill(table);
	for (int i = 0; i < table->nslots; i++)
	{
		if (!table->fill)
			insert_into_indexes(table, table->slots[i]);
		ExecClearTuple(table->slots[i]);
	}
	table->nslots = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(table->chunk);
}

TupleTableSlot *
fm_own_table_row(FmOwnTable *table)
{
	TupleTableSlot **slot = &table->slots[table->nslots];

	if (*slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(table->context);

		*slot = MakeSingleTupleTableSlot(table->desc, &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	memset((*slot)->tts_isnull, false, sizeof(bool) * table->desc->natts);
	return *slot;
}

void
fm_own_table_put(FmOwnTable *table, TupleTableSlot *row)
{
	ExecStoreVirtualTuple(row);
	if (++table->nslots == FM_OWN_TABLE_CHUNK)
		fm_own_table_flush(table);
}

void
fm_own_table_key(const FmOwnTable *table, ScanKey key, AttrNumber column,
				 RegProcedure equal, Datum value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, equal, value);
	key->sk_collation = TupleDescAttr(table->desc, column - 1)->attcollation;
}

bool
fm_own_table_replace(FmOwnTable *table, Snapshot snapshot, ScanKey keys,
					 int nkeys, TupleTableSlot *row)
{
	SysScanDesc scan = systable_beginscan(table->rel, table->key, true,
										  snapshot, nkeys, keys);
	HeapTuple	tuple = systable_getnext(scan);
	FmUpdateIndexes indexes;
	ItemPointerData tid;

	if (!HeapTupleIsValid(tuple))
	{
		systable_endscan(scan);
		return false;
	}
	tid = tuple->t_self;
	systable_endscan(scan);
	ExecStoreVirtualTuple(row);
	simple_table_tuple_update(table->rel, &tid, row, snapshot, &indexes);
	if (fm_updates_indexes(indexes))
		insert_into_indexes(table, row);
	ExecClearTuple(row);
	if (table->nslots == 0)
		MemoryContextReset(table->chunk);
	return true;
}

bool
fm_own_table_update(FmOwnTable *table, Snapshot snapshot, ItemPointer tid,
					TupleTableSlot *row)
{
	FmUpdateIndexes indexes;
	LockTupleMode mode;
	TM_FailureData failure;
	TM_Result	result;

	ExecStoreVirtualTuple(row);
	result = table_tuple_update(table->rel, tid, row,
								GetCurrentCommandId(true), snapshot,
								InvalidSnapshot, true, &failure, &mode,
								&indexes);
	if (result == TM_Ok && fm_updates_indexes(indexes))
		insert_into_indexes(table, row);
	if (result != TM_Ok && result != TM_Deleted)
		elog(ERROR, "tuple of \"%s\" was changed concurrently: %d",
			 RelationGetRelationName(table->rel), result);
	/* (which leaves the values for whoever wants to insert them) */
	ExecClearTuple(row);
	return result == TM_Ok;
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

Relation
fm_own_table_key_index(const FmOwnTable *table, IndexInfo **info)
{
	for (int i = 0; i < table->result->ri_NumIndices; i++)
	{
		Relation	index = table->result->ri_IndexRelationDescs[i];

		*info = table->result->ri_IndexRelationInfo[i];
		if (RelationGetRelid(index) == table->key)
			return index;
	}
	elog(ERROR, "table \"%s\" was opened without its unique index",
		 RelationGetRelationName(table->rel));
	return NULL;				/* keep compiler quiet */
}

void
fm_own_table_lookup_begin(FmOwnLookup *lookup, FmOwnTable *table,
						  Snapshot snapshot, int nkeys)
{
	IndexInfo  *info;

	lookup->nkeys = nkeys;
	lookup->row = table_slot_create(table->rel, NULL);
	lookup->scan = fm_index_beginscan(table->rel, fm_own_table_key_index(table, &info),
									  snapshot,
									  nkeys);
}

bool
fm_own_table_lookup_last(FmOwnLookup *lookup, ScanKey keys)
{
	index_rescan(lookup->scan, keys, lookup->nkeys, NULL, 0);
	if (!index_getnext_slot(lookup->scan, BackwardScanDirection, lookup->row))
		return false;
	slot_getallattrs(lookup->row);
	return true;
}

void
fm_own_table_lookup_end(FmOwnLookup *lookup)
{
	index_endscan(lookup->scan);
	ExecDropSingleTupleTableSlot(lookup->row);
}

/* ----------------------------------------------------------------------
 * Closing
 * ------------------------------------------------------------------- */

void
fm_own_table_close(FmOwnTable *table)
{
	fm_own_table_flush(table);
	for (int i = 0; i < FM_OWN_TABLE_CHUNK && table->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(table->slots[i]);
	ExecCloseIndices(table->result);
	FreeExecutorState(table->estate);
	MemoryContextDelete(table->chunk);
	table_close(table->rel, NoLock);
}
