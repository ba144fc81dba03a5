/*-------------------------------------------------------------------------
 *
 * supervisor.h
 *	  One process a database with pipelines: keeps their workers running.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SUPERVISOR_H
#define FM_SUPERVISOR_H

#include "postgres.h"

extern PGDLLEXPORT void factorymon_supervisor_main(Datum arg);

#endif							/* FM_SUPERVISOR_H */
