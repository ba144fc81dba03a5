/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  One process a server: which databases have work, and their supervisors.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LAUNCHER_H
#define FM_LAUNCHER_H

#include "postgres.h"

extern void fm_launcher_register(void);
extern PGDLLEXPORT void factorymon_launcher_main(Datum arg);

#endif							/* FM_LAUNCHER_H */
