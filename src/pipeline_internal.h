/*-------------------------------------------------------------------------
 *
 * pipeline_internal.h
 *	  What the files behind pipeline.h share: pipeline.c, control.c, pause.c,
 *	  seek.c, access.c, partition.c, retention.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PIPELINE_INTERNAL_H
#define FM_PIPELINE_INTERNAL_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "pipeline.h"

/* ----------------------------------------------------------------------
 * Parameters of one SPI statement, added in the order $1, $2, ...
 * ------------------------------------------------------------------- */
#define FM_MAX_ARGS 20

typedef struct FmArgs
{
	int			n;
	Oid			types[FM_MAX_ARGS];
	Datum		values[FM_MAX_ARGS];
	char		nulls[FM_MAX_ARGS];
} FmArgs;

static inline void
fm_args_add(FmArgs *args, Oid type, Datum value, bool isnull)
{
	Assert(args->n < FM_MAX_ARGS);
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n] = isnull ? 'n' : ' ';
	args->n++;
}

static inline void
fm_args_text(FmArgs *args, const char *value)
{
	fm_args_add(args, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0,
				value == NULL);
}

static inline void
fm_args_int2(FmArgs *args, int16 value)
{
	fm_args_add(args, INT2OID, Int16GetDatum(value), false);
}

static inline void
fm_args_int4(FmArgs *args, int32 value)
{
	fm_args_add(args, INT4OID, Int32GetDatum(value), false);
}

static inline void
fm_args_int8(FmArgs *args, int64 value)
{
	fm_args_add(args, INT8OID, Int64GetDatum(value), false);
}

static inline uint64
fm_args_run(FmArgs *args, const char *sql, int expected)
{
	return fm_spi_run(sql, args->n, args->types, args->values, args->nulls,
					  expected);
}

/* The same with a plan kept in *plan for the life of the process. */
static inline uint64
fm_args_run_kept(FmArgs *args, void **plan, const char *sql, int expected)
{
	return fm_spi_run_kept(plan, sql, args->n, args->types, args->values,
						   args->nulls, expected);
}

/* Columns of a result row; rows from 0, columns from 1. */
static inline int64
fm_spi_int8(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(datum);
}

static inline int32
fm_spi_int4(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(datum);
}

static inline bool
fm_spi_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? false : DatumGetBool(datum);
}

/* A text column, palloc'ed; NULL where it is null. */
static inline char *
fm_spi_text(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}

/* --- pipeline.c --------------------------------------------------------- */

/* The pipeline of that name, or an error that says there is none. */
extern FmPipeline *fm_pipeline_find(const char *name);

/* Errors unless roleid owns the pipeline or is of the given kind. */
extern void fm_pipeline_check_control(const FmPipeline *pipeline, Oid roleid,
									  const char *kind);

/*
 * Once the transaction commits, wake whom changed pipelines concern, and
 * forget the status of a dropped one.  A rolled back subtransaction takes
 * its request with it.
 */
extern void fm_pipeline_changed(void);
extern void fm_pipeline_dropped(int16 pipeline_id);

/*
 * Stream id of the live stream of a partition; an error that names the known
 * ones where there is none.  Needs SPI, switched to the extension's owner.
 */
extern int32 fm_pipeline_stream(const FmPipeline *pipeline, int32 partition);

/*
 * Bound lock waits until the current owner scope ends.  A shorter
 * lock_timeout of the session stays.
 */
extern void fm_lock_timeout_limit(int milliseconds);

/* Days of 24 hours, months of 30 days; errors where out of range. */
extern int64 fm_interval_usecs(const Interval *interval, const char *what);

/* The argument as a C string; NULL where it is null. */
extern char *fm_arg_text(FunctionCallInfo fcinfo, int argument);

/* The same where null is an error that names the argument. */
extern char *fm_arg_text_required(FunctionCallInfo fcinfo, int argument,
								  const char *name);

/* --- access.c ----------------------------------------------------------- */

/*
 * Take turns with all others who grant and revoke on the extension's objects,
 * until the transaction ends; to be called before any other lock is taken.
 */
extern void fm_access_lock(void);

/*
 * What a pipeline's owner needs to write its readings, and taking that away
 * again.  Both run switched to the extension's owner, inside SPI.
 */
extern void fm_access_grant_owner(int16 pipeline_id, const char *owner);
extern void fm_access_revoke_owner(int16 pipeline_id, const char *owner);

/* --- partition.c -------------------------------------------------------- */

/* The table of a kind of a pipeline; InvalidOid where it is gone. */
extern Oid	fm_storage_relid(int16 pipeline_id, const char *kind);

/*
 * The same, locked until the transaction ends, after ACCESS SHARE on the
 * member table that it is a partition of.
 */
extern Oid	fm_storage_lock(int16 pipeline_id, const char *kind,
							LOCKMODE mode);

/*
 * Take turns with all who attach partitions to a table, or whose GRANT would
 * meet the same row of pg_class, until the transaction ends.
 */
extern void fm_storage_lock_shape(Oid relid);

/* Width of the time partitions of a kind. */
extern int64 fm_partition_width(const char *kind, int64 partition_interval);

/*
 * Which partition of a table by time does ts fall into?  The number is that of
 * desc; -1 and InvalidOid: none has been made.
 */
extern int	fm_partition_number(Relation parent, PartitionDesc desc,
								TimestampTz ts);
extern Oid	fm_partition_relid(Relation parent, TimestampTz ts);

/*
 * The partitions of a table by time that hold anything later than since, by
 * time; returns how many.  The table has no partition without a beginning.
 */
typedef struct FmPartitionRange
{
	Oid			relid;
	TimestampTz from;
	TimestampTz to;
} FmPartitionRange;

extern int	fm_partition_ranges(Relation parent, TimestampTz since,
								FmPartitionRange **ranges);

/*
 * The oldest plain table among the partitions of relid that ended at or
 * before cutoff; false where there is none.
 */
extern bool fm_partition_oldest(Oid relid, TimestampTz cutoff, Oid *partition,
								TimestampTz *to);

#endif							/* FM_PIPELINE_INTERNAL_H */
