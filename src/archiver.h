/*-------------------------------------------------------------------------
 *
 * archiver.h
 *	  The process that writes history files.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ARCHIVER_H
#define FM_ARCHIVER_H

#include "postgres.h"

/* Archives what is due in the database given as an oid, and ends. */
extern PGDLLEXPORT void factorymon_archiver_main(Datum arg);

#endif							/* FM_ARCHIVER_H */
