/*-------------------------------------------------------------------------
 *
 * fold_store.h
 *	  One kind of state of a fold: elements of one size, numbered from 0, that
 *	  can be undone and are written as chunks.
 *
 * An element is plain bytes, and is written to disk as it is.  Elements are
 * never removed, but by undoing their creation.
 *
 * Only the fold's own files use the functions.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FOLD_STORE_H
#define FM_FOLD_STORE_H

#include "postgres.h"

/* Elements of one page, which is one row in fold_chunk. */
#define FM_FOLD_CHUNK		1024

/* What a store holds; part of the key of fold_chunk. */
typedef enum FmFoldPart
{
	FM_FOLD_SENSORS = 0,
	FM_FOLD_ALARMS = 1,
	FM_FOLD_DETECTORS = 2,		/* of sensors of types with detectors on */
	FM_FOLD_PARAMETERS = 3,		/* of detectors, by sensor type */
	FM_FOLD_PARTS
} FmFoldPart;

typedef struct FmFoldPage
{
	bool		dirty;			/* differs from its row in fold_chunk */
	bool		written;		/* ... but not after the running snapshot */
	/* by element: the store's period in which it was remembered last */
	uint32		remembered[FM_FOLD_CHUNK];
	char		elements[FLEXIBLE_ARRAY_MEMBER] pg_attribute_aligned(8);
} FmFoldPage;

typedef struct FmFoldStore
{
	MemoryContext context;
	FmFoldPart	part;
	int			size;			/* bytes of an element, a multiple of 8 */
	FmFoldPage **pages;
	int			npages;
	int			n;				/* elements */
	uint32		period;			/* of undoing; not 0 */
	char	   *undo;			/* entries: FmFoldUndo, then the element */
	int			undo_length;
	int			undo_allocated;
} FmFoldStore;

typedef struct FmFoldUndo
{
	int32		number;
	bool		created;		/* it did not exist before */
} FmFoldUndo;

/*
 * Element number; size is the store's, as a constant wherever it matters how
 * fast this is.
 */
static inline void *
fm_store_element(const FmFoldStore *store, int number, Size size)
{
	Assert(size == store->size && number < store->n);
	return store->pages[number / FM_FOLD_CHUNK]->elements +
		(Size) (number % FM_FOLD_CHUNK) * size;
}

/* It differs from its snapshot. */
static inline void
fm_store_mark_dirty(FmFoldStore *store, int number)
{
	FmFoldPage *page = store->pages[number / FM_FOLD_CHUNK];

	page->dirty = true;
	page->written = false;
}

extern void fm_store_init(FmFoldStore *store, MemoryContext context,
						  FmFoldPart part, int size);

/* Make room for one more element; may fail. */
extern void fm_store_reserve(FmFoldStore *store);

/* A new element, zeroed; returns its number.  Does not fail after
 * fm_store_reserve(). */
extern int	fm_store_add(FmFoldStore *store);

/* Make room for one more entry of the undo list; may fail. */
extern void fm_store_lengthen_undo(FmFoldStore *store);

static inline void
fm_store_reserve_undo(FmFoldStore *store)
{
	if (unlikely(store->undo_length == store->undo_allocated))
		fm_store_lengthen_undo(store);
}

/*
 * From here on every element is remembered anew before it changes: this is a
 * moment to come back to, or elements were restored.
 */
extern void fm_store_begin_period(FmFoldStore *store);

/*
 * Element number is about to change: remember it as it is, unless that was
 * done in this period.  Does not fail after fm_store_reserve_undo().
 */
static inline void *
fm_store_change(FmFoldStore *store, int number, bool created, Size size)
{
	FmFoldPage *page = store->pages[number / FM_FOLD_CHUNK];
	uint32	   *remembered = &page->remembered[number % FM_FOLD_CHUNK];
	void	   *element = fm_store_element(store, number, size);

	if (*remembered != store->period)
	{
		char	   *entry = store->undo +
			store->undo_length * (sizeof(FmFoldUndo) + size);
		FmFoldUndo	undo = {number, created};

		Assert(store->undo_length < store->undo_allocated);
		store->undo_length++;
		memcpy(entry, &undo, sizeof(undo));
		memcpy(entry + sizeof(undo), element, size);
		*remembered = store->period;
	}
	fm_store_mark_dirty(store, number);
	return element;
}

/*
 * The newest entry of the undo list, taken off it; false if there are no more
 * than length, and a new period begins.  before is what the element was.
 */
extern bool fm_store_undo(FmFoldStore *store, int length, FmFoldUndo *undo,
						  const void **before);

/* Forget the undo list. */
extern void fm_store_commit(FmFoldStore *store);

#endif							/* FM_FOLD_STORE_H */
