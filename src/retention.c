/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  Dropping what is older than a pipeline's retention, and saying so.
 *
 * Whole time partitions go, oldest first, one transaction each.  The same
 * transaction books what went in the ledger, per stream and extent, as
 * negative counts and hashes of kind "expired": so verify_delivery() can tell
 * expired from lost.  The range of such a row, from the first to behind the
 * last offset that went, lies within its extent; that holds while extents are
 * closed or merged, so no position row needs to be locked here.
 *
 * Locks.  First SHARE on the partition: nobody writes to it any more, reading
 * goes on, and what is counted is what will be dropped.  A worker that brings
 * a late reading meanwhile waits or retries.  Dropping then wants ACCESS
 * EXCLUSIVE on the parent, and whoever comes later queues behind that wish,
 * so it is given up after a short time and tried again on the next run.
 *
 * A stream's per-sensor state can be rebuilt after a crash only from its last
 * snapshot and the readings stored since (partition_offset.fold_min_ts is
 * their oldest ts), so a partition that may hold such readings waits.
 *
 * One with readings that are in no rollup yet waits, too.  Rollups have
 * intervals of their own, and by default stay; see rollup_gone.c.
 *
 * Whoever reads the table in an open transaction keeps that lock from us, so
 * it is asked for once before anything is counted: counting a day in vain every
 * minute, for as long as somebody's transaction lasts, would cost more than the
 * day.  What a partition waits for is noted; see the view factorymon.retention.
 *
 * Messages stay counted in their extents: they were consumed.  Only rows
 * expire.  The ledger itself expires by being added up, see ledger.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "archive.h"
#include "ledger.h"
#include "pipeline_internal.h"
#include "retention.h"
#include "rollup_parts.h"

PG_FUNCTION_INFO_V1(factorymon_drop_expired);

/* How long everybody may queue behind a wish to drop, ms. */
#define DROP_LOCK_TIMEOUT 200

/* Sum of hashes modulo 2^64, negated, as a signed bigint. */
#define NEGATIVE_HASH(hash) \
	"(CASE WHEN " hash " = 0 THEN 0" \
	" WHEN " hash " <= 9223372036854775808 THEN - " hash \
	" ELSE 18446744073709551616 - " hash " END)::bigint"

/*
 * Edges of everything the ledger covers, per stream, and whether an extent
 * begins there; $1 is the pipeline.
 */
#define EDGES \
	"WITH edge AS (" \
	" SELECT stream_id, from_offset AS at, kind <> 'gap' AS covered" \
	" FROM _factorymon.ledger" \
	" WHERE pipeline_id = $1 AND kind IN ('extent', 'suspect', 'gap')" \
	" UNION ALL SELECT p.stream_id, p.extent_from, true" \
	" FROM _factorymon.partition_offset p" \
	" JOIN _factorymon.stream s USING (stream_id)" \
	" WHERE s.pipeline_id = $1 AND p.position > p.extent_from" \
	" UNION ALL SELECT p.stream_id, p.position, false" \
	" FROM _factorymon.partition_offset p" \
	" JOIN _factorymon.stream s USING (stream_id)" \
	" WHERE s.pipeline_id = $1" \
	"), edges AS (" \
	" SELECT stream_id, array_agg(at ORDER BY at, covered) AS ats," \
	" array_agg(covered ORDER BY at, covered) AS covered" \
	" FROM edge GROUP BY stream_id)"

/* Rows of the partition that lie in extents, by extent. */
#define EXPIRED_BY_EXTENT \
	EDGES ", part AS (" \
	" SELECT r.stream_id, width_bucket(r.kafka_offset, e.ats) AS n," \
	" min(r.kafka_offset) AS first, max(r.kafka_offset) + 1 AS next," \
	" count(*) AS rows, mod(18446744073709551616 +" \
	" mod(sum(_factorymon.offset_hash(r.kafka_offset, %s))," \
	" 18446744073709551616), 18446744073709551616) AS hash" \
	" FROM %s r JOIN edges e USING (stream_id)" \
	" GROUP BY r.stream_id, n)" \
	" SELECT p.stream_id, p.first, p.next, p.rows, " NEGATIVE_HASH("p.hash") \
	" FROM part p JOIN edges e USING (stream_id)" \
	" WHERE e.covered[p.n] ORDER BY 1, 2"

/* The partition that is being dropped, for messages, and what it waits for. */
static Oid	dropping = InvalidOid;
static const char *waits_for = NULL;

typedef struct ExpiredExtent
{
	int32		stream_id;
	int64		first;
	int64		next;
	FmExtentCounts counts;
} ExpiredExtent;

/*
 * Would dropping readings before end take what some stream's state may have
 * to be rebuilt from?  Streams that were replaced by another log are done.
 */
static bool
needed_by_fold(int16 pipeline_id, TimestampTz end)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(end), false);
	return fm_args_run(&args, "SELECT 1 FROM _factorymon.partition_offset p"
					   " JOIN _factorymon.stream s USING (stream_id)"
					   " WHERE s.pipeline_id = $1 AND s.retired_at IS NULL"
					   " AND p.fold_min_ts < $2", SPI_OK_SELECT) > 0;
}

/*
 * Are there readings in it that are in no rollup yet?  Their worker will see
 * to it, once time goes on or they have waited long enough.
 */
static bool
needed_by_rollups(int16 pipeline_id, const char *partition, TimestampTz end)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(end), false);
	return fm_args_run(&args, psprintf("SELECT 1 FROM ONLY %s r"
									   " JOIN _factorymon.rollup_stream q"
									   " USING (stream_id)"
									   " WHERE r.ts >= q.pending_from"
									   " AND r.flags & 32 = 0 AND EXISTS"
									   " (SELECT FROM _factorymon.pipeline p"
									   "  JOIN _factorymon.stream s"
									   "  USING (pipeline_id)"
									   "  JOIN _factorymon.rollup_stream x"
									   "  USING (stream_id)"
									   "  WHERE p.pipeline_id = $1"
									   "  AND p.rollups"
									   "  AND x.pending_from < $2) LIMIT 1",
									   partition), SPI_OK_SELECT) > 0;
}

/*
 * Book rows of readings or rejects as expired, or (back) as there again; how
 * many.
 */
static int64
book_expired(int16 pipeline_id, bool readings, const char *source, bool back,
			 const char *reason)
{
	FmArgs		args = {0};
	uint64		n;
	ExpiredExtent *extents;
	int64		total = 0;

	fm_args_int2(&args, pipeline_id);
	n = fm_args_run(&args, psprintf(EXPIRED_BY_EXTENT,
									readings ? "r.reading_index" : "-1",
									source),
					SPI_OK_SELECT);
	extents = palloc0(sizeof(ExpiredExtent) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		FmExtentCounts *counts = &extents[i].counts;

		extents[i].stream_id = fm_spi_int4(i, 1);
		extents[i].first = fm_spi_int8(i, 2);
		extents[i].next = fm_spi_int8(i, 3);
		*(readings ? &counts->readings : &counts->rejected) =
			-fm_spi_int8(i, 4);
		*(readings ? &counts->reading_hash : &counts->reject_hash) =
			(uint64) fm_spi_int8(i, 5);
		if (back)
		{
			counts->readings = -counts->readings;
			counts->reading_hash = -counts->reading_hash;
		}
		total += fm_spi_int8(i, 4);
	}
	for (uint64 i = 0; i < n; i++)
		fm_ledger_add(pipeline_id, extents[i].stream_id, extents[i].first,
					  extents[i].next, "expired", &extents[i].counts, reason);
	return total;
}

void
fm_retention_book_back(int16 pipeline_id, TimestampTz from, TimestampTz to,
					   const char *reason)
{
	(void) book_expired(pipeline_id, true,
						psprintf("(SELECT * FROM _factorymon.reading_%d"
								 " WHERE ts >= '2000-01-01 00:00:00+00'"
								 "::timestamptz + " INT64_FORMAT
								 " * interval '1 microsecond'"
								 " AND ts < '2000-01-01 00:00:00+00'"
								 "::timestamptz + " INT64_FORMAT
								 " * interval '1 microsecond')",
								 pipeline_id, from, to),
						true, reason);
}

/* Is there a transition that is to go out, and that the publisher has not seen? */
static bool
needed_by_publisher(const char *partition)
{
	FmArgs		none = {0};

	return fm_args_run(&none, psprintf("SELECT 1 FROM %s x"
									   " JOIN _factorymon.stream s USING (stream_id)"
									   " LEFT JOIN _factorymon.publisher_stream p"
									   " USING (stream_id)"
									   " WHERE x.out_seq > coalesce(p.out_seq, 0)"
									   " LIMIT 1", partition),
					   SPI_OK_SELECT) > 0;
}

/*
 * Drop the oldest expired partition of a kind, in the caller's transaction.
 * False where there is none, or where it has to wait for a snapshot, for
 * rollups, or for the publisher.
 */
static bool
drop_oldest(int16 pipeline_id, const char *kind, TimestampTz cutoff)
{
	Oid			parent = fm_storage_lock(pipeline_id, kind, AccessShareLock);
	bool		readings = strcmp(kind, "reading") == 0;
	bool		keys;
	Oid			partition;
	TimestampTz to;
	FmArgs		none = {0};
	char	   *schema;
	char	   *name;
	char	   *reason;
	int64		rows = -1;

	waits_for = NULL;
	if (!OidIsValid(parent) ||
		!fm_partition_oldest(parent, cutoff, &partition, &to))
		return false;
	dropping = partition;
	(void) fm_storage_lock(pipeline_id, "ledger", RowExclusiveLock);
	LockRelationOid(partition, ShareLock);
	if (!get_rel_relispartition(partition)) /* gone or detached */
		return false;
	if (readings && needed_by_fold(pipeline_id, to))
	{
		waits_for = "the state of its sensors is in no snapshot yet";
		return false;
	}
	schema = get_namespace_name(get_rel_namespace(partition));
	name = quote_qualified_identifier(schema, get_rel_name(partition));
	if (readings)
		waits_for = fm_archive_forbids(pipeline_id, name, to);
	if (waits_for)
		return false;
	if (readings && needed_by_rollups(pipeline_id, name, to))
	{
		waits_for = "readings in it are in no rollup yet";
		return false;
	}
	if (strncmp(kind, "rollup_", 7) == 0)
		waits_for = fm_rollup_expire(pipeline_id, kind, to);
	if (waits_for)
		return false;
	if (strcmp(kind, "transition") == 0 && needed_by_publisher(name))
	{
		waits_for = "an alarm in it has not gone out yet";
		return false;
	}

	if (readings || strcmp(kind, "reject") == 0)
		rows = book_expired(pipeline_id, readings, psprintf("ONLY %s", name),
							false, psprintf("retention dropped %s", name));
	keys = strcmp(kind, "reading_key") == 0 || strcmp(kind, "duplicate") == 0;
	reason = rows < 0 ? psprintf("retention dropped %s", name) :
		psprintf("retention dropped %s with " INT64_FORMAT " rows",
				 name, rows);
	/* slices of deduplication may be short, and nobody asks for them */
	if (!keys)
		fm_event_record(pipeline_id, NULL, "expired", NULL, 0, reason);
	/* it is the oldest: all that is archived before its end is of it */
	if (readings)
		fm_archive_dropped(pipeline_id, DT_NOBEGIN, to);
	fm_args_run(&none, psprintf("DROP TABLE %s", name), SPI_OK_UTILITY);
	ereport(DEBUG1, (errmsg_internal("%s", reason)));
	return true;
}

/*
 * Would anybody keep us from dropping one now?  An error if so: a lock that
 * cannot be had in time.
 */
static bool
probe(int16 pipeline_id, const char *kind, TimestampTz cutoff)
{
	Oid			parent = fm_storage_lock(pipeline_id, kind, AccessShareLock);
	TimestampTz to;

	if (!OidIsValid(parent) ||
		!fm_partition_oldest(parent, cutoff, &dropping, &to))
		return false;
	LockRelationOid(parent, AccessExclusiveLock);
	return true;
}

static bool
probe_as_owner(int16 pipeline_id, const char *kind, TimestampTz cutoff)
{
	FmOwnerScope scope;
	bool		found;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(DROP_LOCK_TIMEOUT);
	found = probe(pipeline_id, kind, cutoff);
	fm_owner_end(&scope);
	return found;
}

static bool
drop_oldest_as_owner(int16 pipeline_id, const char *kind, TimestampTz cutoff)
{
	FmOwnerScope scope;
	bool		dropped;

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(DROP_LOCK_TIMEOUT);
	SPI_connect();
	dropped = drop_oldest(pipeline_id, kind, cutoff);
	SPI_finish();
	fm_owner_end(&scope);
	return dropped;
}

/*
 * Take an error that means "not now" as such; say once a partition what only
 * a person can change.  False for any other error.
 */
static bool
is_try_later(const ErrorData *error)
{
	static Oid	complained = InvalidOid;

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		return true;
	if (error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
		return false;
	if (complained != dropping)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not drop an expired partition: %s",
						error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0));
	complained = dropping;
	return true;
}

/* What can be done to the oldest partition of a kind. */
typedef bool (*PartitionStep) (int16 pipeline_id, const char *kind,
							   TimestampTz cutoff);

/*
 * One step in a transaction of its own, a real block, so that statements sent
 * to other nodes commit with it.  False also where a lock cannot be had.
 */
static bool
in_transaction(PartitionStep step, int16 pipeline_id, const char *kind,
			   TimestampTz cutoff)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		BeginTransactionBlock();
		CommitTransactionCommand();

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		done = step(pipeline_id, kind, cutoff);
		PopActiveSnapshot();
		(void) EndTransactionBlock(false);
		CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(caller);
		if (!is_try_later(error))
			ReThrowError(error);
		waits_for = error->sqlerrcode == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST ?
			"other objects depend on it" : "somebody has its table locked";
		FreeErrorData(error);
		done = false;
	}
	PG_END_TRY();
	return done;
}

/* Who has had the table of a kind in a transaction for longest? */
static char *
describe_holder(int16 pipeline_id, const char *kind)
{
	FmArgs		args = {0};

	fm_args_add(&args, OIDOID,
				ObjectIdGetDatum(fm_storage_relid(pipeline_id, kind)), false);
	fm_args_add(&args, INT4OID, Int32GetDatum(MyProcPid), false);
	if (fm_args_run(&args, "SELECT format('%s: process %s (%s), in a"
					" transaction since %s', 'somebody has its table locked',"
					" l.pid, a.backend_type, to_char(a.xact_start AT TIME ZONE"
					" 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'))"
					" FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
					" WHERE l.relation = $1 AND l.granted AND l.pid <> $2"
					" AND l.locktype = 'relation'"
					" AND a.xact_start < now() - interval '1 second'"
					" AND l.database = (SELECT oid FROM pg_database"
					" WHERE datname = current_database())"
					" ORDER BY a.xact_start LIMIT 1", SPI_OK_SELECT) == 0)
		return NULL;
	return fm_spi_text(0, 1);
}

/* Keep what the oldest partition waits for, or that it does not. */
static bool
note_wait(int16 pipeline_id, const char *kind, TimestampTz unused)
{
	FmOwnerScope scope;
	const char *reason = waits_for;
	char	   *name = get_rel_name(dropping);

	fm_owner_begin(&scope);
	SPI_connect();
	if (reason && strncmp(reason, "somebody", 8) == 0)
	{
		char	   *holder = describe_holder(pipeline_id, kind);

		if (holder)
			reason = holder;
	}
	fm_retention_note(pipeline_id, kind, name ? name : "", reason);
	SPI_finish();
	fm_owner_end(&scope);
	return true;
}

/* All that has expired of a kind, as far as it can go now. */
static int
drop_kind(int16 pipeline_id, const char *kind, TimestampTz cutoff)
{
	int			dropped = 0;

	waits_for = NULL;
	while (in_transaction(probe_as_owner, pipeline_id, kind, cutoff) &&
		   in_transaction(drop_oldest_as_owner, pipeline_id, kind, cutoff))
	{
		CHECK_FOR_INTERRUPTS();
		dropped++;
	}
	(void) in_transaction(note_wait, pipeline_id, kind, cutoff);
	return dropped;
}

/*
 * Up to when the ledger may be added up: as its own interval says, and not
 * before what it accounts for; 0: never.
 */
static int64
ledger_keep(const int64 *keep)
{
	int64		result = 0;

	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
	{
		const char *name = fm_retention_levels[i].name;

		if (strcmp(name, "readings") != 0 && strcmp(name, "rejects") != 0 &&
			strcmp(name, "ledger") != 0)
			continue;
		if (keep[i] <= 0)
			return 0;
		result = Max(result, keep[i]);
	}
	return result;
}

static bool
expire_ledger(int16 pipeline_id, const char *unused, TimestampTz cutoff)
{
	FmOwnerScope scope;
	int64		gone;

	fm_owner_begin(&scope);
	SPI_connect();
	gone = fm_ledger_expire(pipeline_id, cutoff);
	if (gone > 0)
		fm_event_record(pipeline_id, NULL, "expired", NULL, 0,
						psprintf("retention added up " INT64_FORMAT
								 " rows of the ledger", gone));
	SPI_finish();
	fm_owner_end(&scope);
	return gone > 0;
}

/* keep[] of a pipeline, outside of any transaction. */
static void
load_keep(const FmPipeline *pipeline, int64 *keep)
{
	FmOwnerScope scope;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	fm_owner_begin(&scope);
	SPI_connect();
	fm_retention_load(pipeline, keep);
	SPI_finish();
	fm_owner_end(&scope);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

int
fm_retention_run(const FmPipeline *pipeline)
{
	MemoryContext caller = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	int64		keep[FM_RETENTION_LEVELS];
	int			dropped = 0;

	Assert(!IsTransactionState());
	load_keep(pipeline, keep);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
	{
		const FmRetentionLevel *level = &fm_retention_levels[i];

		for (int j = 0; j < lengthof(level->kinds) && level->kinds[j]; j++)
			/* what is kept for ever waits for nothing */
			dropped += drop_kind(pipeline->id, level->kinds[j],
								 keep[i] > 0 ? now - keep[i] : DT_NOBEGIN);
	}
	dropped += drop_kind(pipeline->id, "reading_key",
						 now - pipeline->dedup_ttl);
	dropped += drop_kind(pipeline->id, "duplicate",
						 now - pipeline->dedup_ttl);
	if (ledger_keep(keep) > 0)
		(void) in_transaction(expire_ledger, pipeline->id, NULL,
							  now - ledger_keep(keep));
	return dropped;
}

/*
 * _factorymon.drop_expired(pipeline text) RETURNS integer
 *		The same at once, in the caller's transaction, for people; here a
 *		lock that cannot be had is an error.
 */
Datum
factorymon_drop_expired(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	TimestampTz now = GetCurrentTimestamp();
	FmOwnerScope scope;
	FmPipeline *pipeline;
	int64		keep[FM_RETENTION_LEVELS];
	int			dropped = 0;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");
	fm_owner_begin(&scope);
	SPI_connect();
	fm_retention_load(pipeline, keep);
	SPI_finish();
	fm_owner_end(&scope);
	for (int i = 0; i < FM_RETENTION_LEVELS; i++)
	{
		const FmRetentionLevel *level = &fm_retention_levels[i];

		for (int j = 0; keep[i] > 0 && j < lengthof(level->kinds) &&
			 level->kinds[j]; j++)
			while (drop_oldest_as_owner(pipeline->id, level->kinds[j],
										now - keep[i]))
				dropped++;
	}
	while (drop_oldest_as_owner(pipeline->id, "reading_key",
								now - pipeline->dedup_ttl) ||
		   drop_oldest_as_owner(pipeline->id, "duplicate",
								now - pipeline->dedup_ttl))
		dropped++;
	if (ledger_keep(keep) > 0)
		(void) expire_ledger(pipeline->id, NULL, now - ledger_keep(keep));
	PG_RETURN_INT32(dropped);
}
