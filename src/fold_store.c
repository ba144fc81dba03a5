/*-------------------------------------------------------------------------
 *
 * fold_store.c
 *	  One kind of state of a fold: elements of one size, numbered from 0, that
 *	  can be undone and are written as chunks.
 *
 * Before an element changes for the first time in a period, the whole of it is
 * copied to the end of a list.  A period begins at each moment that somebody may
 * want to come back to.  Played back from the end, the list restores that
 * moment; elements created since then are the last ones, so numbers stay dense.
 * What is not undone does no harm: a page marked dirty.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "fold_store.h"

/* Undo entries kept for the next batch. */
#define UNDO_KEPT			32768

void
fm_store_init(FmFoldStore *store, MemoryContext context, FmFoldPart part,
			  int size)
{
	Assert(size % 8 == 0);
	memset(store, 0, sizeof(*store));
	store->context = context;
	store->part = part;
	store->size = size;
	store->period = 1;
}

/* Make sure that the page of element n exists. */
void
fm_store_reserve(FmFoldStore *store)
{
	if (store->n < store->npages * FM_FOLD_CHUNK)
		return;
	/* a power of two means that the array of pages is full */
	if ((store->npages & (store->npages - 1)) == 0)
	{
		Size		size = Max(store->npages * 2, 1) * sizeof(FmFoldPage *);

		store->pages = store->pages == NULL ?
			MemoryContextAlloc(store->context, size) :
			repalloc(store->pages, size);
	}
	store->pages[store->npages] =
		MemoryContextAllocZero(store->context,
							   offsetof(FmFoldPage, elements) +
							   (Size) FM_FOLD_CHUNK * store->size);
	store->npages++;
}

int
fm_store_add(FmFoldStore *store)
{
	int			number;

	fm_store_reserve(store);
	number = store->n++;
	memset(fm_store_element(store, number, store->size), 0, store->size);
	return number;
}

/* ------------------------------------------------------------------------
 * Undo
 * ------------------------------------------------------------------------
 */

static inline Size
entry_size(const FmFoldStore *store)
{
	return sizeof(FmFoldUndo) + store->size;
}

void
fm_store_lengthen_undo(FmFoldStore *store)
{
	Size		wanted = Max(256, (Size) store->undo_allocated * 2);

	store->undo = store->undo == NULL ?
		MemoryContextAllocHuge(store->context, wanted * entry_size(store)) :
		repalloc_huge(store->undo, wanted * entry_size(store));
	store->undo_allocated = wanted;
}

void
fm_store_begin_period(FmFoldStore *store)
{
	if (likely(++store->period != 0))
		return;
	/* after four billion of them: an old one must not look like this one */
	for (int i = 0; i < store->npages; i++)
		memset(store->pages[i]->remembered, 0,
			   sizeof(store->pages[i]->remembered));
	store->period = 1;
}

bool
fm_store_undo(FmFoldStore *store, int length, FmFoldUndo *undo,
			  const void **before)
{
	const char *entry;

	Assert(length <= store->undo_length);
	if (store->undo_length == length)
	{
		fm_store_begin_period(store);
		return false;
	}
	entry = store->undo + --store->undo_length * entry_size(store);
	memcpy(undo, entry, sizeof(*undo));
	*before = entry + sizeof(*undo);
	if (undo->created)
	{
		Assert(undo->number == store->n - 1);
		store->n--;
	}
	else
		memcpy(fm_store_element(store, undo->number, store->size), *before,
			   store->size);
	return true;
}

void
fm_store_commit(FmFoldStore *store)
{
	store->undo_length = 0;
	fm_store_begin_period(store);
	if (store->undo_allocated > UNDO_KEPT)
	{
		pfree(store->undo);
		store->undo = NULL;
		store->undo_allocated = 0;
	}
}
