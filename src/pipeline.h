/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  Pipelines as configured, and the functions that control them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PIPELINE_H
#define FM_PIPELINE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

typedef enum FmStartPolicy
{
	FM_START_EARLIEST,
	FM_START_LATEST,
	FM_START_TIMESTAMP
} FmStartPolicy;

/* What tells that a reading was stored before; see dedup.h. */
typedef enum FmDedupMode
{
	FM_DEDUP_NONE,
	FM_DEDUP_ID,				/* the unique id in it */
	FM_DEDUP_SENSOR_TIME		/* its sensor and timestamp */
} FmDedupMode;

/* One pipeline, as its row says. */
typedef struct FmPipeline
{
	int16		id;
	char	   *name;
	char	   *server;
	char	   *topic;
	char	   *consumer_group;
	int			workers;
	FmStartPolicy start_policy;
	TimestampTz start_at;
	bool		continue_on_loss;
	int64		accept_past;	/* microseconds */
	int64		accept_future;	/* microseconds */
	int64		retention;		/* microseconds; 0: for ever */
	int64		partition_interval; /* microseconds */
	char	   *owner;			/* role name */
	char	   *alert_topic;	/* NULL: alarms are not sent to Kafka */
	char	   *format;			/* its name */
	char	   *mapping;		/* of the format; NULL: it is built in */
	bool		rollups;		/* minutes, hours and days are kept */
	char	   *time_zone;		/* whose days and hours these are */
	FmDedupMode dedup;			/* what makes a reading a repeated one */
	int64		dedup_ttl;		/* microseconds that it is known for */
	pg_uuid_t	dedup_secret;	/* with which ids are hashed */
	int64		config_version; /* grows with every alter_pipeline() */
	bool		runs_here;		/* resumed in this very database */
	bool		paused;			/* and then paused */
	char	   *pause_reason;	/* NULL: none given */
} FmPipeline;

/*
 * Read from the tables in the caller's transaction (switches to the
 * extension's owner itself); palloc'ed in the current memory context.
 * fm_pipeline_load: NULL where there is none of that id.
 */
extern FmPipeline *fm_pipeline_load(int16 pipeline_id);
extern List *fm_pipeline_list(void);	/* of FmPipeline *, by id */

/*
 * Pause for a reason found by the system, in the caller's transaction;
 * by_whom is kept as text.  Does nothing if it is paused already.
 */
extern void fm_pipeline_pause(int16 pipeline_id, const char *by_whom,
							  const char *reason);

/*
 * Record an event (rebalancing_events) in the caller's transaction.
 * partitions may be NULL.  Nothing where the pipeline is gone.
 */
extern void fm_event_record(int16 pipeline_id, const char *consumer,
							const char *event, const int32 *partitions,
							int npartitions, const char *reason);

/* Privileges of the session's current user. */
extern bool fm_has_kind(Oid roleid, const char *kind);	/* reader... */

/*
 * fm_partition_ensure
 *		Make the time partitions of kind ("reading", "reject", "transition", "score",
 *		"rollup_1m", "rollup_1h", "rollup_1d")
 *		that hold ts exist, in the caller's transaction, switched to the
 *		extension's owner.  Returns false if that would exceed
 *		factorymon.max_time_partitions (kind reading only), or if ts is
 *		outside the years 1000 to 9990.  Safe against other workers.
 *
 * The partition cannot be dropped before the transaction ends.  Rejects and
 * transitions have partitions of a width of their own.
 */
extern bool fm_partition_ensure(int16 pipeline_id, const char *kind,
								int64 partition_interval, TimestampTz ts);

/*
 * The range [*from, *to) of the partition that the last fm_partition_ensure()
 * that returned true found or made.  It may be narrower than
 * fm_partition_bounds() says, or wider, where partition_interval was altered.
 */
extern void fm_partition_ensured_range(TimestampTz *from, TimestampTz *to);

/* How many partitions this process has made so far, aborted ones, too. */
extern uint64 fm_partition_number_made(void);

/*
 * The half-open range [*from, *to) of the time partition that ts falls in,
 * where nothing stands in its way.
 */
extern void fm_partition_bounds(int64 partition_interval, TimestampTz ts,
								TimestampTz *from, TimestampTz *to);

/* Create / drop the tables of a pipeline (as the extension's owner). */
extern void fm_pipeline_create_storage(int16 pipeline_id,
									   const char *owner);
extern void fm_pipeline_drop_storage(int16 pipeline_id);

/*
 * Drop time partitions that ended before what their levels are kept for
 * (retention.h), booking what goes as expired in the ledger, one transaction
 * each with a short lock_timeout; called by the supervisor outside any
 * transaction.  Returns how many went.
 */
extern int	fm_retention_run(const FmPipeline *pipeline);

#endif							/* FM_PIPELINE_H */
