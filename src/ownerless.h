/*-------------------------------------------------------------------------
 *
 * ownerless.h
 *	  Requests about alarms of streams that no worker owns.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OWNERLESS_H
#define FM_OWNERLESS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Have them answered if it is time; changed: somebody may have asked. */
extern void fm_ownerless_step(bool changed);

/* When it is time; DT_NOEND: when somebody asks. */
extern TimestampTz fm_ownerless_next(void);

/* The supervisor ends. */
extern void fm_ownerless_stop(void);

extern PGDLLEXPORT void factorymon_answerer_main(Datum arg);

#endif							/* FM_OWNERLESS_H */
