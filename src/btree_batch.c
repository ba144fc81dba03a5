/*-------------------------------------------------------------------------
 *
 * btree_batch.c
 *	  Many entries at a time into a btree on a sensor's number and a time.
 *
 * index_insert() descends from the root for every row, and on the way compares
 * keys by function calls: of all that is done for a reading that is the largest
 * part.  The readings of a batch come from few sensors, each in order of time,
 * so sorted by the key many of them belong side by side.  So here one descent
 * finds the leaf page of the first entry, and what follows is put there for as
 * long as it belongs there and there is room.
 *
 * All that PostgreSQL's own code does beyond that simple case is left to it: an
 * entry for which the page would have to be split, cleaned or deduplicated, or
 * a list of equal keys opened, goes through index_insert().  The descent is
 * PostgreSQL's, too; it leaves the page locked, its own split, if one was left
 * incomplete, finished.  What is written to the page and to the log is what
 * _bt_insertonpg() writes, one record an entry (see nbtree/README of
 * PostgreSQL for the rules: Lehman and Yao 1981, with heap TID as the last
 * column of the key since version 4 of the format).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/nbtxlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/predicate.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "btree_batch.h"
#include "compat.h"

#define NKEYS 2					/* sensor_id, ts */

/*
 * An index tuple as index_form_tuple() makes it of the two columns, without
 * NULLs: integer and timestamptz at their alignments.
 */
typedef struct KeyTuple
{
	IndexTupleData header;
	int32		sensor_id;
	int32		padding;
	TimestampTz ts;
} KeyTuple;

/* One run over the entries. */
typedef struct Inserter
{
	Relation	heap;
	Relation	index;
	BTScanInsert key;			/* of the entry at hand */
	KeyTuple	tuple;			/* the same */
	Buffer		buffer;			/* leaf page, locked; invalid: none */
} Inserter;

bool
fm_btree_batch_fits(Relation index, AttrNumber sensor_id, AttrNumber ts)
{
	Form_pg_index form = index->rd_index;

	StaticAssertStmt(sizeof(KeyTuple) == 24 &&
					 offsetof(KeyTuple, sensor_id) == sizeof(IndexTupleData) &&
					 offsetof(KeyTuple, ts) == 16,
					 "layout of an index tuple");
	return FM_KNOWS_BTREE_PAGES && MAXIMUM_ALIGNOF == 8 &&
		ALIGNOF_DOUBLE == 8 && FLOAT8PASSBYVAL &&
		index->rd_rel->relam == BTREE_AM_OID &&
		form->indnatts == NKEYS && form->indnkeyatts == NKEYS &&
		form->indkey.values[0] == sensor_id &&
		form->indkey.values[1] == ts &&
		!form->indisunique &&
		index_getprocid(index, 1, BTORDER_PROC) == F_BTINT4CMP &&
		index_getprocid(index, 2, BTORDER_PROC) == F_TIMESTAMPTZ_CMP &&
		index->rd_indoption[0] == 0 && index->rd_indoption[1] == 0;
}

/* ----------------------------------------------------------------------
 * Order
 * ------------------------------------------------------------------- */

/* As the index has it. */
static inline int
compare_entries(const FmIndexEntry *a, const FmIndexEntry *b)
{
	if (a->sensor_id != b->sensor_id)
		return a->sensor_id < b->sensor_id ? -1 : 1;
	if (a->ts != b->ts)
		return a->ts < b->ts ? -1 : 1;
	return ItemPointerCompare(unconstify(ItemPointerData *, &a->tid),
							  unconstify(ItemPointerData *, &b->tid));
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE FmIndexEntry
#define ST_COMPARE(a, b) compare_entries(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* ----------------------------------------------------------------------
 * One leaf page
 * ------------------------------------------------------------------- */

static void
set_key(Inserter *inserter, const FmIndexEntry *entry)
{
	KeyTuple   *tuple = &inserter->tuple;
	BTScanInsert key = inserter->key;

	tuple->header.t_tid = entry->tid;
	tuple->sensor_id = entry->sensor_id;
	tuple->ts = entry->ts;
	key->scankeys[0].sk_argument = Int32GetDatum(entry->sensor_id);
	key->scankeys[1].sk_argument = TimestampTzGetDatum(entry->ts);
	key->scantid = &tuple->header.t_tid;
}

/* Find and lock the page of the entry at hand. */
static void
open_page(Inserter *inserter)
{
	BTStack		stack = fm_bt_search(inserter->index, inserter->heap,
									 inserter->key, &inserter->buffer);

	if (stack)
		_bt_freestack(stack);
	CheckForSerializableConflictIn(inserter->index, NULL,
								   BufferGetBlockNumber(inserter->buffer));
}

static void
close_page(Inserter *inserter)
{
	_bt_relbuf(inserter->index, inserter->buffer);
	inserter->buffer = InvalidBuffer;
}

/*
 * The entry at hand against an item of the page: above 0 if it is greater, below
 * if it is less, 0 if the item is not simple: a list of equal keys that its TID
 * falls into, the very same entry, or a row without sensor or time (dead, since
 * the columns are NOT NULL by now).
 */
static inline int
compare_item(KeyTuple *key, Page page, OffsetNumber offset)
{
	KeyTuple   *item = (KeyTuple *) PageGetItem(page,
												PageGetItemId(page, offset));
	ItemPointer tid = &key->header.t_tid;

	if (unlikely(IndexTupleHasNulls(&item->header)))
		return 0;
	if (key->sensor_id != item->sensor_id)
		return key->sensor_id < item->sensor_id ? -1 : 1;
	if (key->ts != item->ts)
		return key->ts < item->ts ? -1 : 1;
	if (ItemPointerCompare(tid, BTreeTupleGetHeapTID(&item->header)) < 0)
		return -1;
	return ItemPointerCompare(tid,
							  BTreeTupleGetMaxHeapTID(&item->header)) > 0;
}

/*
 * Where on the page the entry at hand belongs, from low on; invalid if that
 * depends on an item that is not simple.  Mostly that is low itself, or near:
 * entries come in order.  A list that the TID falls into is met: it would be the
 * last item below the place or the first above, and both are looked at.
 */
static OffsetNumber
find_offset(Inserter *inserter, Page page, OffsetNumber low)
{
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));
	OffsetNumber middle = low;
	int			step = 1;

	while (low < high)
	{
		int			order = compare_item(&inserter->tuple, page, middle);

		if (order == 0)
			return InvalidOffsetNumber;
		if (order > 0)
			low = OffsetNumberNext(middle);
		else
		{
			high = middle;
			step = high;		/* from here on by halves */
		}
		middle = low + Min(step, (high - low) / 2);
		step *= 2;
	}
	return low;
}

/*
 * Does the entry at hand, greater than one that belongs on the page, belong
 * there, too?  It does if anything on the page is greater still.
 */
static inline bool
belongs_here(const Inserter *inserter, Page page, OffsetNumber offset)
{
	return offset <= PageGetMaxOffsetNumber(page) ||
		P_RIGHTMOST(BTPageGetOpaque(page)) ||
		_bt_compare(inserter->index, inserter->key, page, P_HIKEY) <= 0;
}

void
fm_btree_put(Relation index, Buffer buffer, IndexTuple tuple,
			 OffsetNumber offset)
{
	Page		page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	if (PageAddItem(page, (Item) tuple, IndexTupleSize(tuple), offset, false,
					false) == InvalidOffsetNumber)
		elog(PANIC, "failed to add new item to block %u in index \"%s\"",
			 BufferGetBlockNumber(buffer), RelationGetRelationName(index));
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index))
	{
		xl_btree_insert record = {.offnum = offset};
		XLogRecPtr	lsn;

		XLogBeginInsert();
		XLogRegisterData((char *) &record, SizeOfBtreeInsert);
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		XLogRegisterBufData(0, (char *) tuple, IndexTupleSize(tuple));
		lsn = XLogInsert(RM_BTREE_ID, XLOG_BTREE_INSERT_LEAF);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
}

/*
 * Put entries there, from the first on, which belongs there, until one belongs
 * elsewhere or is not simple (then *simple is false); returns how many.
 */
static int
fill_page(Inserter *inserter, const FmIndexEntry *entries, int n, bool *simple)
{
	Page		page = BufferGetPage(inserter->buffer);
	OffsetNumber offset = P_FIRSTDATAKEY(BTPageGetOpaque(page));
	int			done;

	for (done = 0; done < n; done++)
	{
		set_key(inserter, &entries[done]);
		offset = find_offset(inserter, page, offset);
		*simple = offset != InvalidOffsetNumber;
		if (!*simple ||
			(done > 0 && !belongs_here(inserter, page, offset)))
			break;
		*simple = PageGetFreeSpace(page) >= sizeof(KeyTuple);
		if (!*simple)
			break;
		fm_btree_put(inserter->index, inserter->buffer,
					 &inserter->tuple.header, offset);
		offset = OffsetNumberNext(offset);
	}
	return done;
}

/* ----------------------------------------------------------------------
 * All
 * ------------------------------------------------------------------- */

/* By PostgreSQL's own code. */
static void
insert_entry(const Inserter *inserter, const FmIndexEntry *entry,
			 IndexInfo *info)
{
	Datum		values[NKEYS];
	bool		isnull[NKEYS] = {false, false};
	ItemPointerData tid = entry->tid;

	values[0] = Int32GetDatum(entry->sensor_id);
	values[1] = TimestampTzGetDatum(entry->ts);
	(void) index_insert(inserter->index, values, isnull, &tid,
						inserter->heap, UNIQUE_CHECK_NO, false, info);
}

void
fm_btree_insert_batch(Relation heap, Relation index, IndexInfo *info,
					  FmIndexEntry *entries, int n)
{
	Inserter	inserter = {heap, index};
	int			done = 0;

	sort_entries(entries, n);
	inserter.tuple.header.t_info = sizeof(KeyTuple);
	inserter.key = _bt_mkscankey(index, &inserter.tuple.header);
	while (done < n)
	{
		bool		simple = false;

		CHECK_FOR_INTERRUPTS();
		/* else a version of the format in which TIDs are not in order */
		if (inserter.key->heapkeyspace)
		{
			set_key(&inserter, &entries[done]);
			open_page(&inserter);
			done += fill_page(&inserter, &entries[done], n - done, &simple);
			close_page(&inserter);
		}
		if (!simple)
			insert_entry(&inserter, &entries[done++], info);
	}
	pfree(inserter.key);
}
