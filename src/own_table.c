/*-------------------------------------------------------------------------
 *
 * own_table.c
 *	  Rows put into one of the extension's own tables, without the executor.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "own_table.h"

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

void
fm_own_table_open(FmOwnTable *table, const char *name, int natts,
				  AttrNumber key)
{
	Oid			schema = get_namespace_oid("_factorymon", false);

	table->rel = table_open(get_relname_relid(name, schema),
							RowExclusiveLock);
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
	for (int i = 0; i < FM_OWN_TABLE_CHUNK; i++)
		table->slots[i] = NULL;
}

/* ----------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------- */

void
fm_own_table_flush(FmOwnTable *table)
{
	CatalogTuplesMultiInsertWithInfo(table->rel, table->slots, table->nslots,
									 table->indexes);
	for (int i = 0; i < table->nslots; i++)
		ExecClearTuple(table->slots[i]);
	table->nslots = 0;
}

TupleTableSlot *
fm_own_table_row(FmOwnTable *table)
{
	TupleTableSlot **slot = &table->slots[table->nslots];

	if (*slot == NULL)
		*slot = MakeSingleTupleTableSlot(table->desc, &TTSOpsHeapTuple);
	memset((*slot)->tts_isnull, false, sizeof(bool) * table->desc->natts);
	return *slot;
}

/*
 * A row that is stored in parts is written alone: the function for many would
 * not learn where it went, and leave its index entries pointing nowhere.
 */
void
fm_own_table_put(FmOwnTable *table, TupleTableSlot *row)
{
	bool		should_free;
	HeapTuple	tuple;

	ExecStoreVirtualTuple(row);
	tuple = ExecFetchSlotHeapTuple(row, true, &should_free);
	Assert(!should_free);
	if (unlikely(tuple->t_len > TOAST_TUPLE_THRESHOLD ||
				 HeapTupleHasExternal(tuple)))
	{
		CatalogTupleInsertWithInfo(table->rel, tuple, table->indexes);
		ExecClearTuple(row);
	}
	else if (++table->nslots == FM_OWN_TABLE_CHUNK)
		fm_own_table_flush(table);
}

void
fm_own_table_close(FmOwnTable *table)
{
	fm_own_table_flush(table);
	for (int i = 0; i < FM_OWN_TABLE_CHUNK && table->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(table->slots[i]);
	CatalogCloseIndexes(table->indexes);
	table_close(table->rel, NoLock);
}
