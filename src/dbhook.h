/*-------------------------------------------------------------------------
 *
 * dbhook.h
 *	  Step aside for commands that need a database to themselves.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DBHOOK_H
#define FM_DBHOOK_H

extern void fm_dbhook_install(void);

#endif							/* FM_DBHOOK_H */
