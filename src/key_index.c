/*-------------------------------------------------------------------------
 *
 * key_index.c
 *	  Many keys at a time in a unique btree on a column of type uuid.
 *
 * As btree_batch.c does it for readings, and by the same rules: one descent
 * from the root serves all keys that belong on the page it ends at, and what is
 * not simple is left to PostgreSQL's own code.  See there.
 *
 * Simple is a key that no entry of the index has, dead or alive, and that is
 * less than the page's upper bound: then no page to the right has one either,
 * and whoever inserts the same key must lock this very page, since both descend
 * to the first page on which the key might be.  That is how PostgreSQL keeps such
 * an index unique, too.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/predicate.h"
#include "utils/fmgroids.h"

#include "btree_batch.h"
#include "compat.h"
#include "key_index.h"

/* An index tuple as index_form_tuple() makes it of the column. */
typedef struct KeyTuple
{
	IndexTupleData header;
	pg_uuid_t	key;
} KeyTuple;

/* One run over the entries. */
typedef struct Walker
{
	Relation	heap;
	Relation	index;
	bool		writes;
	BTScanInsert key;			/* of the entry at hand */
	KeyTuple	tuple;			/* the same */
	Buffer		buffer;			/* leaf page, locked */
} Walker;

bool
fm_key_index_fits(Relation index, AttrNumber column)
{
	Form_pg_index form = index->rd_index;

	StaticAssertStmt(sizeof(KeyTuple) == 24 &&
					 offsetof(KeyTuple, key) == sizeof(IndexTupleData),
					 "layout of an index tuple");
	return FM_KNOWS_BTREE_PAGES && MAXIMUM_ALIGNOF == 8 &&
		index->rd_rel->relam == BTREE_AM_OID &&
		form->indnatts == 1 && form->indkey.values[0] == column &&
		form->indisunique && form->indimmediate &&
		RelationGetIndexPredicate(index) == NIL &&
		index_getprocid(index, 1, BTORDER_PROC) == F_UUID_CMP &&
		index->rd_indoption[0] == 0;
}

static void
begin(Walker *walker, Relation heap, Relation index, bool writes)
{
	memset(walker, 0, sizeof(*walker));
	walker->heap = heap;
	walker->index = index;
	walker->writes = writes;
	walker->tuple.header.t_info = sizeof(KeyTuple);
	walker->key = _bt_mkscankey(index, &walker->tuple.header);
}

static inline void
set_key(Walker *walker, const FmKeyEntry *entry)
{
	walker->tuple.key = *entry->key;
	walker->tuple.header.t_tid = entry->tid;
	walker->key->scankeys[0].sk_argument = UUIDPGetDatum(entry->key);
	/* to the first page on which the key might be, whatever its rows */
	walker->key->scantid = NULL;
}

/* ----------------------------------------------------------------------
 * One leaf page
 * ------------------------------------------------------------------- */

/* Find and lock the page of the entry at hand; false: the index is empty. */
static bool
open_page(Walker *walker)
{
	BTStack		stack;

	walker->buffer = InvalidBuffer;
	stack = fm_bt_search_for(walker->index, walker->heap, walker->key,
							 &walker->buffer,
							 walker->writes ? BT_WRITE : BT_READ);
	if (stack)
		_bt_freestack(stack);
	if (!BufferIsValid(walker->buffer))
		return false;
	if (walker->writes)
		CheckForSerializableConflictIn(walker->index, NULL,
									   BufferGetBlockNumber(walker->buffer));
	return true;
}

static inline int
compare_item(const Walker *walker, Page page, OffsetNumber offset)
{
	KeyTuple   *item = (KeyTuple *) PageGetItem(page,
												PageGetItemId(page, offset));

	return memcmp(walker->tuple.key.data, item->key.data, UUID_LEN);
}

/* The first item from low on that is not less than the entry at hand. */
static OffsetNumber
find_offset(const Walker *walker, Page page, OffsetNumber low, bool *equal)
{
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));

	*equal = false;
	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;
		int			order = compare_item(walker, page, middle);

		if (order == 0)
		{
			*equal = true;
			return middle;
		}
		if (order > 0)
			low = OffsetNumberNext(middle);
		else
			high = middle;
	}
	return low;
}

/* Is the entry at hand, not less than one that belongs here, less than the
 * page's upper bound? */
static inline bool
is_below_bound(const Walker *walker, Page page)
{
	return P_RIGHTMOST(BTPageGetOpaque(page)) ||
		compare_item(walker, page, P_HIKEY) < 0;
}

/* ----------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------- */

/* Look for entries, from the first on, as long as they would be on this page;
 * how many. */
static int
look_at_page(Walker *walker, FmKeyEntry *entries, int n)
{
	Page		page = BufferGetPage(walker->buffer);
	OffsetNumber offset = P_FIRSTDATAKEY(BTPageGetOpaque(page));
	int			done;

	for (done = 0; done < n; done++)
	{
		bool		below;

		set_key(walker, &entries[done]);
		below = is_below_bound(walker, page);
		if (!below && done > 0)
			break;
		offset = find_offset(walker, page, offset, &entries[done].maybe);
		entries[done].maybe |= !below;
	}
	return done;
}

void
fm_key_index_look(Relation heap, Relation index, FmKeyEntry *entries, int n)
{
	Walker		walker;

	begin(&walker, heap, index, false);
	for (int done = 0; done < n;)
	{
		CHECK_FOR_INTERRUPTS();
		set_key(&walker, &entries[done]);
		if (open_page(&walker))
		{
			done += look_at_page(&walker, &entries[done], n - done);
			_bt_relbuf(index, walker.buffer);
			continue;
		}
		for (; done < n; done++)
			entries[done].maybe = false;
	}
	pfree(walker.key);
}

/* ----------------------------------------------------------------------
 * Inserting
 * ------------------------------------------------------------------- */

/*
 * Put entries there, from the first on, until one belongs elsewhere or is not
 * simple (then *simple is false); returns how many.
 */
static int
fill_page(Walker *walker, const FmKeyEntry *entries, int n, bool *simple)
{
	Page		page = BufferGetPage(walker->buffer);
	OffsetNumber offset = P_FIRSTDATAKEY(BTPageGetOpaque(page));
	int			done;

	for (done = 0; done < n; done++)
	{
		bool		equal;
		bool		below;

		set_key(walker, &entries[done]);
		below = is_below_bound(walker, page);
		*simple = below || done > 0;
		if (!below)
			break;
		offset = find_offset(walker, page, offset, &equal);
		*simple = !equal && PageGetFreeSpace(page) >= sizeof(KeyTuple);
		if (!*simple)
			break;
		fm_btree_put(walker->index, walker->buffer, &walker->tuple.header,
					 offset);
		offset = OffsetNumberNext(offset);
	}
	return done;
}

/* By PostgreSQL's own code. */
static void
insert_entry(const Walker *walker, const FmKeyEntry *entry, IndexInfo *info)
{
	Datum		values[1] = {UUIDPGetDatum(entry->key)};
	bool		isnull[1] = {false};
	ItemPointerData tid = entry->tid;

	(void) index_insert(walker->index, values, isnull, &tid, walker->heap,
						UNIQUE_CHECK_YES, false, info);
}

void
fm_key_index_insert(Relation heap, Relation index, IndexInfo *info,
					const FmKeyEntry *entries, int n)
{
	Walker		walker;
	int			done = 0;

	begin(&walker, heap, index, true);
	while (done < n)
	{
		bool		simple = false;

		CHECK_FOR_INTERRUPTS();
		/* else a version of the format in which TIDs are not in order */
		if (walker.key->heapkeyspace)
		{
			set_key(&walker, &entries[done]);
			(void) open_page(&walker);
			done += fill_page(&walker, &entries[done], n - done, &simple);
			_bt_relbuf(index, walker.buffer);
		}
		if (!simple && done < n)
			insert_entry(&walker, &entries[done++], info);
	}
	pfree(walker.key);
}
