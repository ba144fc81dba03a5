/*-------------------------------------------------------------------------
 *
 * own_table.h
 *	  Rows put into one of the extension's own tables, without the executor.
 *
 * Nobody but the extension writes these tables, so they are written as
 * PostgreSQL does its own catalogs, and with the same functions.  Those know
 * nothing of triggers, constraints beyond unique indexes, and indexes on
 * expressions or on part of the rows, so tables that have been given any are
 * refused.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OWN_TABLE_H
#define FM_OWN_TABLE_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "catalog/indexing.h"
#include "executor/tuptable.h"

/* Rows that are written at a time. */
#define FM_OWN_TABLE_CHUNK	500

typedef struct FmOwnTable
{
	Relation	rel;
	Oid			key;			/* the unique index that rows are found by */
	CatalogIndexState indexes;
	TupleDesc	desc;			/* a copy: slots need not be counted */
	TupleTableSlot *slots[FM_OWN_TABLE_CHUNK];
	int			nslots;			/* filled and not written yet */
} FmOwnTable;

/*
 * Open a table of _factorymon that has natts columns; key is the first column
 * of a unique index.  Errors where it is not as the extension made it.
 */
extern void fm_own_table_open(FmOwnTable *table, const char *name, int natts,
							  AttrNumber key);

/* An empty row, nothing in it null; fm_own_table_put() takes it.  What its
 * values point to must stay until it is written. */
extern TupleTableSlot *fm_own_table_row(FmOwnTable *table);
extern void fm_own_table_put(FmOwnTable *table, TupleTableSlot *row);

/* Write what was put; closing does, too.  The lock stays. */
extern void fm_own_table_flush(FmOwnTable *table);
extern void fm_own_table_close(FmOwnTable *table);

#endif							/* FM_OWN_TABLE_H */
