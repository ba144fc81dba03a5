/*-------------------------------------------------------------------------
 *
 * key_index.h
 *	  Many keys at a time in a unique btree on a column of type uuid.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_INDEX_H
#define FM_KEY_INDEX_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/uuid.h"

/* What the index holds of one row. */
typedef struct FmKeyEntry
{
	const pg_uuid_t *key;
	ItemPointerData tid;		/* where the row is, for who inserts */
	bool		maybe;			/* set by who looks */
} FmKeyEntry;

/* Is it a plain unique btree on that column alone? */
extern bool fm_key_index_fits(Relation index, AttrNumber column);

/*
 * fm_key_index_look
 *		For entries[0..n), sorted by key, set maybe where the index has an entry
 *		with this key, of whatever row, or where a quick look does not tell.
 *
 * What is not there was not there when the page was read: like any scan.
 */
extern void fm_key_index_look(Relation heap, Relation index,
							  FmKeyEntry *entries, int n);

/*
 * fm_key_index_insert
 *		Insert entries[0..n), sorted by key, for rows of heap that are in
 *		place, as n calls of index_insert() with UNIQUE_CHECK_YES would: waits and
 *		throws as they do.
 */
extern void fm_key_index_insert(Relation heap, Relation index,
								IndexInfo *info, const FmKeyEntry *entries,
								int n);

#endif							/* FM_KEY_INDEX_H */
