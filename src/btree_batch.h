/*-------------------------------------------------------------------------
 *
 * btree_batch.h
 *	  Many entries at a time into a btree on a sensor's number and a time.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BTREE_BATCH_H
#define FM_BTREE_BATCH_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/itup.h"
#include "datatype/timestamp.h"
#include "nodes/execnodes.h"
#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

/* What the index holds of one row. */
typedef struct FmIndexEntry
{
	TimestampTz ts;
	int32		sensor_id;
	ItemPointerData tid;		/* where the row is */
} FmIndexEntry;

/* Is it a plain btree on these columns of the row, both ascending? */
extern bool fm_btree_batch_fits(Relation index, AttrNumber sensor_id,
								AttrNumber ts);

/*
 * fm_btree_insert_batch
 *		Insert entries[0..n) for rows of heap that are in place, into an index
 *		that fits and is open under RowExclusiveLock; sorts them.
 *
 * As n calls of index_insert() with UNIQUE_CHECK_NO would do.  Throws what they
 * would throw.  Memory that it needs is left in the current context.
 */
extern void fm_btree_insert_batch(Relation heap, Relation index,
								  IndexInfo *info,
								  FmIndexEntry *entries, int n);

/*
 * Put an entry in a place on a leaf page that is locked and has room for it, and
 * log it: nothing may fail on the way.
 */
extern void fm_btree_put(Relation index, Buffer buffer, IndexTuple tuple,
						 OffsetNumber offset);

#endif							/* FM_BTREE_BATCH_H */
