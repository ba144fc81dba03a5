/*-------------------------------------------------------------------------
 *
 * staff.h
 *	  Workers and publishers of the pipelines of a database.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STAFF_H
#define FM_STAFF_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "pipeline.h"

/*
 * Bring the workers and publishers of these pipelines to the wanted number.
 * Inside a transaction.
 */
extern void fm_staff_pipelines(List *pipelines);

/* Before that, where the configuration has changed: nobody is wanted. */
extern void fm_staff_forget_wishes(void);

/* Those not wanted any more are told to end, and forgotten once they did. */
extern void fm_staff_dismiss(void);

/* Did one end that was wanted, since this was asked last? */
extern bool fm_staff_ended(void);

/* For the history: "ended", of workers.  Outside of any transaction. */
extern void fm_staff_report_ends(FmPipeline *unused);

/* When the next one may be started. */
extern TimestampTz fm_staff_next(void);

/* All of them are told to end. */
extern void fm_staff_end(void);

#endif							/* FM_STAFF_H */
