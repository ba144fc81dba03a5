/*-------------------------------------------------------------------------
 *
 * child.h
 *	  A background worker that somebody keeps running, with back-off.
 *
 * Shared by launcher (its children are supervisors) and supervisor (its
 * children are ingest workers).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CHILD_H
#define FM_CHILD_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

typedef struct FmChild
{
	BackgroundWorkerHandle *handle; /* NULL: not running */
	TimestampTz started_at;
	TimestampTz retry_at;		/* not to be started before this */
	int			delay;			/* ms; 0 after a good run */
	bool		shortage_logged;	/* no free slot: said once */
} FmChild;

/* Is it running?  Notices its end, and then computes when to retry. */
extern bool fm_child_is_running(FmChild *child);

/*
 * Start it.  False if the server has no free background worker; the caller
 * need not log that.
 */
extern bool fm_child_start(FmChild *child, const char *function,
						   const char *name, const char *type, Datum arg,
						   const void *extra, size_t extra_len);

/* May it be started now? */
extern bool fm_child_may_start(const FmChild *child);

/* Ask it to end; does not wait. */
extern void fm_child_terminate(FmChild *child);

#endif							/* FM_CHILD_H */
