/*-------------------------------------------------------------------------
 *
 * silence_internal.h
 *	  What the files of the deadman share; see silence.c.
 *
 * silence.c			pipelines, one step of one of them
 * silence_take.c		the stream that has the alarms
 * silence_table.c		what tables say: sensors to leave alone, partitions
 * silence_look.c		judging every sensor
 * silence_change.c		raising alarms, and returning them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SILENCE_INTERNAL_H
#define FM_SILENCE_INTERNAL_H

#include "postgres.h"

#include "deadman.h"
#include "fold.h"
#include "interval.h"
#include "pipeline.h"
#include "position.h"
#include "shmem_sensor.h"
#include "silence.h"

#define FM_REREAD_INTERVAL (10 * USECS_PER_SEC)
#define FM_REREAD_SOON (2 * USECS_PER_SEC)

/* Partitions are told apart modulo this, see FmWatched.partitions. */
#define FM_PARTITION_CLASSES 64

/* How far the partitions of a class are known; the least of them counts. */
typedef struct FmFrontier
{
	bool		used;			/* there is a partition of it */
	TimestampTz at;				/* as workers say; FM_DEADMAN_NEVER: none */
	TimestampTz sure;			/* as brokers confirmed, likewise */
	FmUnknownReason reason;		/* what keeps it from being known further */
} FmFrontier;

/* A running partition whose leader was asked in vain. */
typedef struct FmDoubt
{
	int32		partition;
	TimestampTz since;
} FmDoubt;

/* One pipeline. */
typedef struct FmWatch
{
	int16		pipeline_id;
	bool		wanted;			/* it runs here still */
	MemoryContext context;
	FmFold	   *fold;			/* its alarms; NULL: not taken yet */
	FmPosition	row;			/* of its stream */
	TimestampTz retry_at;		/* after an error; 0: at once */
	int64		retry_delay;
	TimestampTz suspects_since; /* brokers should confirm; 0: need not */
	List	   *doubts;			/* of FmDoubt * */
	TimestampTz reread_at;		/* when to ask the tables again */
	bool		reread_twice;	/* what is asked for now is done a bit later */
	bool		has_requests;
	TimestampTz next_unshelving;
	int32	   *partitions;		/* of the topic, that have a stream */
	int			npartitions;
	int64		registered;		/* sensors in the table */
	List	   *closing;		/* ids of retired ones with an alarm */
	List	   *unwatched;		/* of others with one, that have no slot */
	FmIntervals *intervals;		/* configured ones, that were looked up */
	FmDeadmanInfo info;
} FmWatch;

/* What one look at the sensors of a pipeline came to. */
typedef struct FmLook
{
	TimestampTz now;
	FmDeadmanRules rules;
	FmFrontier	frontiers[FM_PARTITION_CLASSES];
	FmDeadmanTally tally;
	FmWatched  *silent;			/* without an alarm, beyond doubt */
	int			nsilent;
	FmWatched  *back;			/* with an alarm, and seen again */
	int			nback;
	bool		suspects;		/* brokers should be asked */
	bool		news;			/* a partition that we do not know of */
	bool		was_mass;
	bool		mass;
} FmLook;

/* --- silence_take.c ------------------------------------------------------ */

/*
 * Become the owner of the stream, and read what its alarms are.  A pipeline
 * that never had one has no such stream (its id is 0 then), unless create.
 */
extern void fm_watch_take(FmWatch *watch, const FmPipeline *pipeline,
						  bool create);
extern void fm_watch_release(FmWatch *watch);

/* --- silence_table.c ----------------------------------------------------- */

/* Which sensors to leave alone, which partitions there are. */
extern void fm_watch_reread(FmWatch *watch, const FmPipeline *pipeline,
							TimestampTz now);

/* --- silence_look.c ------------------------------------------------------ */

/* Judge all sensors of a pipeline; none if nobody wants to miss them. */
extern void fm_watch_look(FmWatch *watch, const FmPipeline *pipeline,
						  FmLook *look);

/* --- silence_change.c ---------------------------------------------------- */

extern bool fm_watch_has_changes(const FmWatch *watch, const FmLook *look);

/* Everything that changes, in one transaction behind the fence. */
extern void fm_watch_change(FmWatch *watch, const FmPipeline *pipeline,
							FmLook *look);

#endif							/* FM_SILENCE_INTERNAL_H */
