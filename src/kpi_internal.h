/*-------------------------------------------------------------------------
 *
 * kpi_internal.h
 *	  What the files behind kpi.h share: kpi.c, kpi_call.c, kpi_flood.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KPI_INTERNAL_H
#define FM_KPI_INTERNAL_H

#include "postgres.h"

#include "flood.h"
#include "kpi.h"

/* Rows of a statement that takes one array a column, filled row by row. */
typedef struct FmKpiRows
{
	const struct FmArrayColumn *columns;
	int			ncolumns;
	int			n;
	Datum	  **values;
	bool	  **nulls;
} FmKpiRows;

extern void fm_kpi_rows_init(FmKpiRows *rows,
							 const struct FmArrayColumn *columns,
							 int ncolumns, int most);
extern void fm_kpi_rows_set(FmKpiRows *rows, int column, Datum value,
							bool isnull);
extern void fm_kpi_rows_set_text(FmKpiRows *rows, int column,
								 const char *value);

/*
 * Run a statement whose first parameter is the pipeline and whose others are
 * the columns; its plan is kept.
 */
extern void fm_kpi_rows_run(FmKpiRows *rows, void **plan, const char *query,
							int16 pipeline_id, int expected);

/* --- kpi_call.c: calls for operators, and what blocks them ---------------- */

extern void fm_kpi_take_calls(int16 pipeline_id, const FmKpiEvent *events,
							  int n);
extern void fm_kpi_take_blocks(int16 pipeline_id, const FmKpiEvent *events,
							   int n);

/* --- kpi_flood.c: positions and their floods ------------------------------ */

/*
 * Announcements, by position and then time.  Whether there is something to
 * tell of floods of this pipeline.
 */
extern bool fm_kpi_take_floods(int16 pipeline_id, FmKpiEvent *const *items,
							   int n);
extern void fm_kpi_end_floods(int16 pipeline_id, TimestampTz now);

/* Publish what is to be told; the last number given. */
extern int64 fm_kpi_tell_floods(int16 pipeline_id, int64 last_pub_seq);

#endif							/* FM_KPI_INTERNAL_H */
