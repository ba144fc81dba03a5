/*-------------------------------------------------------------------------
 *
 * batch_fdw.c
 *	  The foreign table _factorymon.batch: rows of this process's batch.
 *
 * A set-returning function in FROM goes through a tuplestore that spills
 * beyond work_mem; the slots of a foreign table do not, and the executor
 * pulls one row at a time, so that after an error we know which row it was
 * working on.  Outside of fm_store_rows() the table is empty.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

#include "batch_fdw.h"
#include "compat.h"
#include "row.h"

#define GUESSED_ROWS 1000

/* The batch that scans of this process read. */
static struct
{
	int16		pipeline_id;
	FmRow	   *rows;
	int			nrows;
	int			last;			/* row pulled last, by any scan; -1: none */
}			current = {0, NULL, 0, -1};

/* Each scan has a cursor of its own: a trigger may look at the batch, too. */
typedef struct FmBatchScan
{
	int			next;
} FmBatchScan;

PG_FUNCTION_INFO_V1(factorymon_batch_handler);

void
fm_batch_fdw_set(int16 pipeline_id, FmRow *rows, int nrows)
{
	current.pipeline_id = pipeline_id;
	current.rows = rows;
	current.nrows = nrows;
	current.last = -1;
}

void
fm_batch_fdw_clear(void)
{
	memset(&current, 0, sizeof(current));
	current.last = -1;
}

int
fm_batch_fdw_last_row(void)
{
	return current.last;
}

static void
get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	baserel->rows = GUESSED_ROWS;
}

static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	add_path(baserel, (Path *)
			 fm_create_foreignscan_path(root, baserel, baserel->rows));
}

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
		 ForeignPath *best_path, List *tlist, List *scan_clauses,
		 Plan *outer_plan)
{
	scan_clauses = extract_actual_clauses(scan_clauses, false);
	return make_foreignscan(tlist, scan_clauses, baserel->relid, NIL, NIL,
							NIL, NIL, outer_plan);
}

static void
begin_scan(ForeignScanState *node, int eflags)
{
	if (node->ss.ss_ScanTupleSlot->tts_tupleDescriptor->natts != FM_NCOLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("foreign table \"batch\" does not have %d columns",
						FM_NCOLUMNS)));
	node->fdw_state = palloc0(sizeof(FmBatchScan));
}

static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	FmBatchScan *scan = node->fdw_state;

	ExecClearTuple(slot);
	if (scan->next < current.nrows)
	{
		/* moved first: an error below belongs to this row */
		current.last = scan->next++;
		fm_row_fill_slot(slot, current.pipeline_id,
						 &current.rows[current.last]);
		ExecStoreVirtualTuple(slot);
	}
	return slot;
}

static void
rescan(ForeignScanState *node)
{
	((FmBatchScan *) node->fdw_state)->next = 0;
}

static void
end_scan(ForeignScanState *node)
{
}

/* Handler of the internal wrapper factorymon_batch. */
Datum
factorymon_batch_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = begin_scan;
	routine->IterateForeignScan = iterate_scan;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end_scan;
	PG_RETURN_POINTER(routine);
}
