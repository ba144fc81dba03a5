/*-------------------------------------------------------------------------
 *
 * store_direct.c
 *	  A batch of readings into plain heaps, past the executor.
 *
 * Where a table is what the extension made of it - a partitioned table of
 * plain heaps with plain indexes - an INSERT does nothing that cannot be done
 * for a thousand rows at once: find the partition, fill the pages, insert into
 * the indexes.  That is what COPY does, too.  Whatever somebody has added to
 * the table since (triggers, constraints, rules, row security, generated
 * columns, other kinds of partitions or indexes) only the executor knows how
 * to honour, so then the batch goes there and worker_status() says why.
 *
 * Rows of one partition keep their order; partitions come one after the other.
 * All is looked up anew in each batch, from the relation cache, under the same
 * locks as those of an INSERT.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "btree_batch.h"
#include "compat.h"
#include "guc.h"
#include "pipeline_internal.h"
#include "row.h"
#include "store_direct.h"

/* Rows that are formed and put into pages at a time, as COPY has it. */
#define CHUNK 1000

/* Slots are made once; a new one each time would cost more than its row. */
static TupleTableSlot *slots[CHUNK];
static MemoryContext chunk_context = NULL;

/* One index of a partition, open. */
typedef struct OpenIndex
{
	Relation	rel;
	IndexInfo  *info;
	bool		batch;			/* filled last, by btree_batch.c */
} OpenIndex;

/* One partition, open. */
typedef struct Leaf
{
	Relation	rel;
	OpenIndex  *indexes;
	int			nindexes;
	BulkInsertState bulk;
	FmIndexEntry *entries;		/* for the indexes that are filled last */
	int			nentries;
} Leaf;

/* ----------------------------------------------------------------------
 * Is the table what we made of it?
 * ------------------------------------------------------------------- */

/* What is there that only the executor honours?  NULL: nothing. */
static const char *
table_objection(Relation rel)
{
	TupleConstr *constr = rel->rd_att->constr;

	if (rel->trigdesc != NULL)
		return "a trigger";
	if (rel->rd_rules != NULL)
		return "a rule";
	if (rel->rd_rel->relrowsecurity)
		return "row security";
	if (constr != NULL && constr->num_check > 0)
		return "a check constraint";
	if (constr != NULL && constr->has_generated_stored)
		return "a generated column";
	if (!fm_row_fits(rel->rd_att))
		return "other columns";
	return NULL;
}

static const char *
leaf_objection(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION)
		return "a partition that is not a table";
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		return "another table access method";
	if (RelationUsesLocalBuffers(rel))
		return "a temporary partition";
	return table_objection(rel);
}

static const char *
index_objection(const IndexInfo *info)
{
	if (info->ii_Unique || info->ii_ExclusionOps != NULL)
		return "a unique index or exclusion constraint";
	if (info->ii_Expressions != NIL || info->ii_Predicate != NIL)
		return "an index on expressions or on part of the rows";
	return NULL;
}

/* ----------------------------------------------------------------------
 * One partition
 * ------------------------------------------------------------------- */

static void
close_leaf(Leaf *leaf)
{
	for (int i = 0; i < leaf->nindexes; i++)
	{
		fm_index_insert_cleanup(leaf->indexes[i].rel, leaf->indexes[i].info);
		index_close(leaf->indexes[i].rel, NoLock);
	}
	if (leaf->bulk)
		FreeBulkInsertState(leaf->bulk);
	table_close(leaf->rel, NoLock);
}

/* Open a partition and its indexes; says what stands in the way, if so. */
static const char *
open_leaf(Oid relid, Leaf *leaf)
{
	const char *objection;
	List	   *indexes;
	ListCell   *cell;

	memset(leaf, 0, sizeof(*leaf));
	leaf->rel = table_open(relid, RowExclusiveLock);
	objection = leaf_objection(leaf->rel);
	if (objection)
		return objection;
	indexes = RelationGetIndexList(leaf->rel);
	leaf->indexes = palloc(sizeof(OpenIndex) * Max(list_length(indexes), 1));
	foreach(cell, indexes)
	{
		OpenIndex  *index = &leaf->indexes[leaf->nindexes];

		index->rel = index_open(lfirst_oid(cell), RowExclusiveLock);
		index->info = BuildIndexInfo(index->rel);
		leaf->nindexes++;
		if (!index->info->ii_ReadyForInserts)
		{
			index_close(index->rel, NoLock);
			leaf->nindexes--;
			continue;
		}
		objection = index_objection(index->info);
		if (objection)
			return objection;
		index->batch = fm_direct_index_insert &&
			fm_btree_batch_fits(index->rel, FM_COLUMN_SENSOR_ID + 1,
								FM_COLUMN_TS + 1);
	}
	leaf->bulk = GetBulkInsertState();
	return NULL;
}

/* The columns of rows, by position, do not change: nor do the slots. */
static void
make_slots(TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	TupleDesc	copy = CreateTupleDescCopy(desc);

	for (int i = 0; i < CHUNK; i++)
		slots[i] = MakeSingleTupleTableSlot(copy, &TTSOpsVirtual);
	chunk_context = AllocSetContextCreate(TopMemoryContext,
										  "factorymon rows",
										  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
}

static void
insert_into_index(const OpenIndex *index, const Leaf *leaf, int nslots)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	for (int i = 0; i < nslots; i++)
	{
		FormIndexDatum(index->info, slots[i], NULL, values, isnull);
		(void) index_insert(index->rel, values, isnull, &slots[i]->tts_tid,
							leaf->rel, UNIQUE_CHECK_NO, false, index->info);
	}
}

/* What the indexes that are filled last need to know of the slots. */
static void
remember_entries(Leaf *leaf, int nslots)
{
	for (int i = 0; i < nslots; i++)
	{
		FmIndexEntry *entry = &leaf->entries[leaf->nentries++];
		Datum	   *values = slots[i]->tts_values;

		entry->ts = DatumGetTimestampTz(values[FM_COLUMN_TS]);
		entry->sensor_id = DatumGetInt32(values[FM_COLUMN_SENSOR_ID]);
		entry->tid = slots[i]->tts_tid;
	}
}

/* The first nslots slots into the partition. */
static void
insert_chunk(Leaf *leaf, int nslots)
{
	MemoryContext old = MemoryContextSwitchTo(chunk_context);

	table_multi_insert(leaf->rel, slots, nslots, GetCurrentCommandId(true),
					   0, leaf->bulk);
	for (int i = 0; i < leaf->nindexes; i++)
		if (!leaf->indexes[i].batch)
			insert_into_index(&leaf->indexes[i], leaf, nslots);
	remember_entries(leaf, nslots);
	for (int i = 0; i < nslots; i++)
		ExecClearTuple(slots[i]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(chunk_context);
}

/* Rows first, next[first], ... up to -1 into the partition. */
static void
insert_rows(Leaf *leaf, int16 pipeline_id, const FmRow *rows, int first,
			const int *next)
{
	int			nslots = 0;

	for (int row = first; row >= 0; row = next[row])
	{
		MemoryContext old = MemoryContextSwitchTo(chunk_context);

		CHECK_FOR_INTERRUPTS();
		ExecClearTuple(slots[nslots]);
		fm_row_fill_slot(slots[nslots], pipeline_id, &rows[row]);
		ExecStoreVirtualTuple(slots[nslots]);
		MemoryContextSwitchTo(old);
		if (++nslots < CHUNK)
			continue;
		insert_chunk(leaf, nslots);
		nslots = 0;
	}
	if (nslots > 0)
		insert_chunk(leaf, nslots);
}

/* What was put off: all entries of the partition at a time. */
static void
fill_indexes(const Leaf *leaf)
{
	ReleaseBulkInsertStatePin(leaf->bulk);
	for (int i = 0; i < leaf->nindexes; i++)
		if (leaf->indexes[i].batch)
			fm_btree_insert_batch(leaf->rel, leaf->indexes[i].rel,
								  leaf->indexes[i].info, leaf->entries,
								  leaf->nentries);
}

/* ----------------------------------------------------------------------
 * Which rows go where
 * ------------------------------------------------------------------- */

/* Rows by partition: of each a list, in order. */
typedef struct Routing
{
	int		   *first;			/* by partition; -1: none */
	int		   *last;
	int		   *next;			/* by row; -1: the last one */
} Routing;

/* False: a row has no partition, or goes to a default partition. */
static bool
route(Relation parent, PartitionDesc desc, const FmRow *rows, int nrows,
	  Routing *routing)
{
	TimestampTz last_ts = 0;
	int			partition = -1;

	routing->first = palloc(sizeof(int) * Max(desc->nparts, 1));
	routing->last = palloc(sizeof(int) * Max(desc->nparts, 1));
	routing->next = palloc(sizeof(int) * nrows);
	for (int i = 0; i < desc->nparts; i++)
		routing->first[i] = -1;
	for (int i = 0; i < nrows; i++)
	{
		TimestampTz ts = rows[i].reading->ts;

		if (i == 0 || ts != last_ts)
			partition = fm_partition_number(parent, desc, ts);
		if (partition < 0)
			return false;
		last_ts = ts;
		if (routing->first[partition] < 0)
			routing->first[partition] = i;
		else
			routing->next[routing->last[partition]] = i;
		routing->last[partition] = i;
		routing->next[i] = -1;
	}
	return true;
}

/* Is it partitioned by ranges of its column ts, and by nothing else? */
static bool
is_by_time(Relation parent)
{
	PartitionKey key;

	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	key = RelationGetPartitionKey(parent);
	return key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 &&
		key->partattrs[0] == FM_COLUMN_TS + 1;
}

static const char *
parent_objection(Relation parent)
{
	if (!is_by_time(parent))
		return "other partitioning";
	if (pg_class_aclcheck(RelationGetRelid(parent), GetUserId(),
						  ACL_INSERT) != ACLCHECK_OK)
		return "a missing privilege";
	/* what it distributes looks like a table that is not distributed */
	if (OidIsValid(get_extension_oid("citus", true)))
		return "the extension citus";
	return table_objection(parent);
}

/*
 * Open every partition that gets rows; NULL if all of them will do.  What was
 * opened is closed by the caller.
 */
static const char *
open_leaves(PartitionDesc desc, const Routing *routing, Leaf *leaves,
			int *nleaves)
{
	for (int i = 0; i < desc->nparts; i++)
	{
		const char *objection;

		if (routing->first[i] < 0)
			continue;
		objection = open_leaf(desc->oids[i], &leaves[(*nleaves)++]);
		if (objection)
			return objection;
	}
	return NULL;
}

static const char *
store_into(Relation parent, int16 pipeline_id, const FmRow *rows, int nrows)
{
	const char *objection = parent_objection(parent);
	PartitionDesc desc;
	Routing		routing;
	Leaf	   *leaves;
	int			nleaves = 0;

	if (objection)
		return objection;
	/* as the executor has it: without those that are being detached */
	desc = RelationGetPartitionDesc(parent, true);
	if (desc->nparts == 0 ||
		!route(parent, desc, rows, nrows, &routing))
		return "rows without a partition of their own";
	leaves = palloc(sizeof(Leaf) * desc->nparts);
	objection = open_leaves(desc, &routing, leaves, &nleaves);
	if (!objection)
	{
		FmIndexEntry *entries = palloc(sizeof(FmIndexEntry) * nrows);
		int			leaf = 0;

		if (slots[CHUNK - 1] == NULL)
			make_slots(RelationGetDescr(parent));
		for (int i = 0; i < desc->nparts; i++)
		{
			if (routing.first[i] < 0)
				continue;
			leaves[leaf].entries = entries;
			insert_rows(&leaves[leaf], pipeline_id, rows, routing.first[i],
						routing.next);
			fill_indexes(&leaves[leaf++]);
		}
		CommandCounterIncrement();
	}
	for (int i = 0; i < nleaves; i++)
		close_leaf(&leaves[i]);
	return objection;
}

const char *
fm_store_direct(int16 pipeline_id, const FmRow *rows, int nrows)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "factorymon direct store",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	Oid			relid = fm_storage_relid(pipeline_id, "reading");
	const char *objection = "a missing table";

	if (OidIsValid(relid))
	{
		Relation	parent = table_open(relid, RowExclusiveLock);

		objection = store_into(parent, pipeline_id, rows, nrows);
		table_close(parent, NoLock);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return objection;
}
