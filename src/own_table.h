/*-------------------------------------------------------------------------
 *
 * own_table.h
 *	  Rows put into one of the extension's own tables, and found there,
 *	  without planner and executor.
 *
 * Nobody but the extension writes these tables, so rows are put there as COPY
 * does it: many at a time into the pages, then one after the other into the
 * indexes.  Triggers, rules and check constraints are not honoured, so tables
 * that have been given any are refused.  Nor are foreign keys checked: the
 * caller holds a lock on something that keeps the other row from going.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OWN_TABLE_H
#define FM_OWN_TABLE_H

#include "postgres.h"

#include <math.h>

#include "access/attnum.h"
#include "access/genam.h"
#include "access/skey.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "lifecycle.h"

/* Rows that are written at a time. */
#define FM_OWN_TABLE_CHUNK	500

typedef struct FmOwnTable
{
	Relation	rel;
	Oid			key;			/* the unique index that rows are found by */
	EState	   *estate;			/* for the indexes */
	ResultRelInfo *result;
	MemoryContext context;		/* of all this */
	MemoryContext chunk;		/* emptied when rows have been written */
	TupleDesc	desc;			/* a copy: slots need not be counted */
	TupleTableSlot *slots[FM_OWN_TABLE_CHUNK];
	int			nslots;			/* filled and not written yet */
	/* puts the written slots into the indexes; NULL: one after the other */
	void		(*fill) (struct FmOwnTable *table);
} FmOwnTable;

/*
 * Open a table of _factorymon that has natts columns; key is the first column
 * of a unique index.  Errors where it is not as the extension made it.
 */
extern void fm_own_table_open(FmOwnTable *table, const char *name, int natts,
							  AttrNumber key);

/* The same of a table by its oid. */
extern void fm_own_table_open_leaf(FmOwnTable *table, Oid relid, int natts,
								   AttrNumber key);

/*
 * Open that partition of a pipeline's table of some kind (see partition.c)
 * that holds ts.  Errors also where there is none.
 */
extern void fm_own_table_open_partition(FmOwnTable *table, int16 pipeline_id,
										const char *kind, int natts,
										TimestampTz ts);

/* An empty row, nothing in it null; fm_own_table_put() takes it.  What its
 * values point to must stay until it is written: chunk is a place for it. */
extern TupleTableSlot *fm_own_table_row(FmOwnTable *table);
extern void fm_own_table_put(FmOwnTable *table, TupleTableSlot *row);

/*
 * Put row in the place of the one that the keys find in the unique index, as
 * of snapshot; false: there is none, and row is as it was.  Nobody else may
 * be changing that one: it would be an error.
 */
extern bool fm_own_table_replace(FmOwnTable *table, Snapshot snapshot,
								 ScanKey keys, int nkeys,
								 TupleTableSlot *row);

/*
 * The same for a row that was found before, by its place, which nobody else
 * changes; false: somebody deleted it meanwhile, and row is as it was.
 */
extern bool fm_own_table_update(FmOwnTable *table, Snapshot snapshot,
								ItemPointer tid, TupleTableSlot *row);

/*
 * Rows by the first columns of the unique index, one lookup after the other,
 * by keys of the same columns.
 */
typedef struct FmOwnLookup
{
	IndexScanDesc scan;
	TupleTableSlot *row;		/* what was found, with its place */
	int			nkeys;
} FmOwnLookup;

extern void fm_own_table_lookup_begin(FmOwnLookup *lookup, FmOwnTable *table,
									  Snapshot snapshot, int nkeys);

/* The last one of them in the order of the index; false: there is none. */
extern bool fm_own_table_lookup_last(FmOwnLookup *lookup, ScanKey keys);
extern void fm_own_table_lookup_end(FmOwnLookup *lookup);

/* "column = value", with the column's own collation. */
extern void fm_own_table_key(const FmOwnTable *table, ScanKey key,
							 AttrNumber column, RegProcedure equal,
							 Datum value);

/* Set a column, counted from 1, of such a row. */
static inline void
fm_own_table_set(TupleTableSlot *row, AttrNumber column, Datum value,
				 bool isnull)
{
	row->tts_values[column - 1] = value;
	row->tts_isnull[column - 1] = isnull;
}

static inline void
fm_own_table_set_int2(TupleTableSlot *row, AttrNumber column, int16 value)
{
	fm_own_table_set(row, column, Int16GetDatum(value), false);
}

static inline void
fm_own_table_set_int4(TupleTableSlot *row, AttrNumber column, int32 value)
{
	fm_own_table_set(row, column, Int32GetDatum(value), false);
}

/* NaN is null. */
static inline void
fm_own_table_set_double(TupleTableSlot *row, AttrNumber column, double value)
{
	fm_own_table_set(row, column, Float8GetDatum(value), isnan(value));
}

/* FM_NEVER is null. */
static inline void
fm_own_table_set_time(TupleTableSlot *row, AttrNumber column,
					  TimestampTz time)
{
	fm_own_table_set(row, column, TimestampTzGetDatum(time),
					 time == FM_NEVER);
}

/* NULL is null; the text is copied. */
static inline void
fm_own_table_set_text(TupleTableSlot *row, AttrNumber column,
					  const char *text)
{
	fm_own_table_set(row, column,
					 text ? CStringGetTextDatum(text) : (Datum) 0,
					 text == NULL);
}

/*
 * The same columns of a row that was read, with what stands for null.  Texts
 * are palloc'ed; NULL is null.
 */
static inline int16
fm_own_table_get_int2(const TupleTableSlot *row, AttrNumber column,
					  int16 null)
{
	return row->tts_isnull[column - 1] ? null :
		DatumGetInt16(row->tts_values[column - 1]);
}

static inline int32
fm_own_table_get_int4(const TupleTableSlot *row, AttrNumber column,
					  int32 null)
{
	return row->tts_isnull[column - 1] ? null :
		DatumGetInt32(row->tts_values[column - 1]);
}

static inline int64
fm_own_table_get_int8(const TupleTableSlot *row, AttrNumber column,
					  int64 null)
{
	return row->tts_isnull[column - 1] ? null :
		DatumGetInt64(row->tts_values[column - 1]);
}

static inline bool
fm_own_table_get_bool(const TupleTableSlot *row, AttrNumber column)
{
	return !row->tts_isnull[column - 1] &&
		DatumGetBool(row->tts_values[column - 1]);
}

/* NaN is null. */
static inline double
fm_own_table_get_double(const TupleTableSlot *row, AttrNumber column)
{
	return row->tts_isnull[column - 1] ? NAN :
		DatumGetFloat8(row->tts_values[column - 1]);
}

static inline TimestampTz
fm_own_table_get_time(const TupleTableSlot *row, AttrNumber column,
					  TimestampTz null)
{
	return row->tts_isnull[column - 1] ? null :
		DatumGetTimestampTz(row->tts_values[column - 1]);
}

static inline char *
fm_own_table_get_text(const TupleTableSlot *row, AttrNumber column)
{
	return row->tts_isnull[column - 1] ? NULL :
		TextDatumGetCString(row->tts_values[column - 1]);
}

/* The unique index that rows are found by, open. */
extern Relation fm_own_table_key_index(const FmOwnTable *table,
									   IndexInfo **info);

/* Write what was put; closing does, too.  The lock stays. */
extern void fm_own_table_flush(FmOwnTable *table);
extern void fm_own_table_close(FmOwnTable *table);

#endif							/* FM_OWN_TABLE_H */
