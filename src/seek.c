/*-------------------------------------------------------------------------
 *
 * seek.c
 *	  Moving the position of one partition by hand.
 *
 * Brokers are asked first, with nothing locked: where the log begins and
 * ends, and which offset a time means.  Then the position row is locked,
 * everything is checked against it again, and the position moves.  Workers
 * skip a locked row, and epoch + 1 fences whoever had other ideas.
 *
 * Forward: the open extent is closed, what is left out becomes a gap with
 * the name of who did it, and the last message and the anchor are forgotten,
 * for they prove nothing about the new place.
 *
 * Backward means to store something a second time, so what is stored of it
 * goes first, in the same transaction: readings, rejects, keys of
 * deduplication, and the ledger of the range.  An extent's sums cannot be cut in two, so a replay begins where
 * an extent begins; gaps can be cut.  It is refused unless it was asked for
 * (replay => true), nothing is running, and Kafka still has all of it: what
 * would be deleted here must be there.
 *
 * Alarms, their history and the fold stay.  The fold has a position of its
 * own that never goes back: what comes in below it is stored and raises
 * nothing.  But it may have to be rebuilt after a crash, from its snapshot
 * and the readings above it, so readings that no snapshot covers yet must not
 * be deleted: a replay waits a while for the worker to write one.
 *
 * Readings are deleted before the ledger is: retention, which books in the
 * ledger what it takes from the readings, is thereby either done before us or
 * after (it locks the partitions that it drops against writing).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "consumer.h"
#include "guc.h"
#include "ledger.h"
#include "options.h"
#include "pipeline_internal.h"
#include "rollup_parts.h"
#include "shmem.h"

PG_FUNCTION_INFO_V1(factorymon_seek_offset);
PG_FUNCTION_INFO_V1(factorymon_seek_time);
PG_FUNCTION_INFO_V1(factorymon_seek_text);

#define ANSWER_TIMEOUT_MS 10000
#define POLL_MS 100

typedef enum SeekKind
{
	SEEK_OFFSET,
	SEEK_TIME,
	SEEK_EARLIEST,
	SEEK_LATEST
} SeekKind;

/* One call of seek(). */
typedef struct Seek
{
	FmPipeline *pipeline;
	int32		partition;
	int32		stream_id;
	bool		replay;
	SeekKind	kind;
	TimestampTz at;				/* SEEK_TIME */
	int64		target;			/* offset asked for; -1: to be resolved */
	int64		low;			/* the log, as the brokers said */
	int64		high;
	char	   *role;			/* who asks */
	/* the position row */
	int64		position;
	bool		paused;
	char	   *stopped_reason;
	bool		unsaved;		/* readings that no snapshot covers */
} Seek;

/* ----------------------------------------------------------------------
 * Asking Kafka
 * ------------------------------------------------------------------- */

FM_NORETURN static void
kafka_error(const Seek *seek, const char *text)
{
	ereport(ERROR,
			(errcode(FM_ERRCODE_KAFKA),
			 errmsg("could not look up partition %d of topic \"%s\" in Kafka",
					seek->partition, seek->pipeline->topic),
			 text[0] ? errdetail_internal("%s", text) : 0));
	pg_unreachable();
}

/* Ask one question about the partition and wait for the answer. */
static void
ask(const Seek *seek, FmProbe *probe, FmProbeKind kind, FmProbeItem *item)
{
	const FmProbeAnswer *answer;

	if (!fm_probe_ask(probe, kind, item, 1, ANSWER_TIMEOUT_MS))
		kafka_error(seek, "The question could not be asked.");
	while ((answer = fm_probe_answer(probe)) == NULL)
	{
		(void) WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_SOCKET_READABLE |
								 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 fm_probe_fd(probe), POLL_MS, FM_WAIT_EVENT);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (answer->code != FM_KAFKA_OK)
		kafka_error(seek, answer->text);
	if (answer->nitems != 1)
		kafka_error(seek, "");
	*item = answer->items[0];
	if (item->code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
		kafka_error(seek, "The brokers do not know this topic or partition.");
	if (item->code != FM_KAFKA_OK)
		kafka_error(seek, answer->text);
}

/* Milliseconds since 1970, rounded up: at or after. */
static int64
kafka_milliseconds(TimestampTz at)
{
	int64		micros = at + USECS_PER_DAY *
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);

	return micros / 1000 + (micros % 1000 > 0 ? 1 : 0);
}

/* Fill in low, high, and the target that a time or a word means. */
static void
ask_all(Seek *seek, FmProbe *probe)
{
	FmProbeItem item = {.partition = seek->partition};

	ask(seek, probe, FM_PROBE_WATERMARKS, &item);
	seek->low = item.low;
	seek->high = item.high;
	if (item.low < 0 || item.high < 0)
		kafka_error(seek,
					"The brokers did not say where the log begins and ends.");

	if (seek->kind == SEEK_EARLIEST)
		seek->target = seek->low;
	else if (seek->kind == SEEK_LATEST)
		seek->target = seek->high;
	else if (seek->kind == SEEK_TIME)
	{
		item = (FmProbeItem) {.partition = seek->partition,
			.timestamp = kafka_milliseconds(seek->at)
		};
		ask(seek, probe, FM_PROBE_OFFSETS_FOR_TIME, &item);
		seek->target = item.offset < 0 ? seek->high : item.offset;
		seek->target = Max(seek->target, seek->low);
		seek->target = Min(seek->target, seek->high);
	}
}

/* As the pipeline's owner connects, which is how its workers do. */
static void
resolve(Seek *seek)
{
	Oid			owner = get_role_oid(seek->pipeline->owner, false);
	FmServerOptions *options = fm_options_load(seek->pipeline->server, owner);
	FmConsumerConfig config = {
		.properties = options->properties,
		.nproperties = options->nproperties,
		.topic = seek->pipeline->topic,
		.client_id = "factorymon-seek"
	};
	char		error[FM_KAFKA_ERROR_LEN] = "";
	FmProbe    *probe = fm_probe_open(&config, error, sizeof(error));

	if (probe == NULL)
		kafka_error(seek, error);
	PG_TRY();
	{
		ask_all(seek, probe);
	}
	PG_FINALLY();
	{
		fm_probe_close(probe);
	}
	PG_END_TRY();
}

/* ----------------------------------------------------------------------
 * Refusing
 * ------------------------------------------------------------------- */

/* What can be said before the brokers are asked, and again under the lock. */
static void
check_direction(const Seek *seek)
{
	const char *pipeline = seek->pipeline->name;

	if (seek->stopped_reason &&
		strcmp(seek->stopped_reason, "another_log") == 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("cannot seek partition %d of pipeline \"%s\", which found another log",
						seek->partition, pipeline),
				 errdetail("Offsets of the log it knows mean nothing in the new one."),
				 errhint("Accept the new log first: factorymon.resume(%s, %d).",
						 quote_literal_cstr(pipeline), seek->partition)));
	if (seek->target < 0 || seek->target >= seek->position)
		return;
	if (!seek->replay)
		ereport(ERROR,
				(errcode(FM_ERRCODE_SEEK_REFUSED),
				 errmsg("cannot seek partition %d of pipeline \"%s\" back without replay",
						seek->partition, pipeline),
				 errdetail("Offset %lld is below the position %lld: what is stored from there on would be deleted and read again.",
						   (long long) seek->target,
						   (long long) seek->position),
				 errhint("Pause the partition and add replay => true.")));
	if (!seek->paused)
		ereport(ERROR,
				(errcode(FM_ERRCODE_SEEK_REFUSED),
				 errmsg("cannot replay partition %d of pipeline \"%s\" while it is not paused",
						seek->partition, pipeline),
				 errhint("Use factorymon.pause(%s, %d) first.",
						 quote_literal_cstr(pipeline), seek->partition)));
}

static void
check_bounds(const Seek *seek)
{
	if (seek->target < seek->low)
		ereport(ERROR,
				(errcode(FM_ERRCODE_SEEK_REFUSED),
				 errmsg("offset %lld is below the start of partition %d",
						(long long) seek->target, seek->partition),
				 errdetail("The first offset that Kafka still has is %lld.",
						   (long long) seek->low),
				 errhint("Use 'earliest' for it.")));
	if (seek->target > seek->high)
		ereport(ERROR,
				(errcode(FM_ERRCODE_SEEK_REFUSED),
				 errmsg("offset %lld is beyond the end of partition %d",
						(long long) seek->target, seek->partition),
				 errdetail("The next offset that Kafka will write is %lld.",
						   (long long) seek->high),
				 errhint("Use 'latest' for it.")));
}

/* ----------------------------------------------------------------------
 * The position row
 * ------------------------------------------------------------------- */

/*
 * Read the partition's stream and position, with a lock if so asked.  Inside
 * SPI, as the extension's owner.
 */
static void
read_position(Seek *seek, bool lock)
{
	FmArgs		args = {0};
	int32		stream_id = fm_pipeline_stream(seek->pipeline,
											   seek->partition);
	char	   *reason;

	fm_args_int4(&args, stream_id);
	if (fm_args_run(&args, lock ?
					"SELECT position, paused_at IS NOT NULL, stopped_reason,"
					" fold_min_ts IS NOT NULL"
					" FROM _factorymon.partition_offset WHERE stream_id = $1"
					" FOR UPDATE" :
					"SELECT position, paused_at IS NOT NULL, stopped_reason,"
					" fold_min_ts IS NOT NULL"
					" FROM _factorymon.partition_offset WHERE stream_id = $1",
					SPI_OK_SELECT) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("partition %d of pipeline \"%s\" has no position",
						seek->partition, seek->pipeline->name)));
	seek->stream_id = stream_id;
	seek->position = fm_spi_int8(0, 1);
	seek->paused = fm_spi_bool(0, 2) || seek->pipeline->paused ||
		!seek->pipeline->runs_here;
	reason = fm_spi_text(0, 3);
	seek->stopped_reason = reason ? SPI_palloc(strlen(reason) + 1) : NULL;
	if (reason)
		strcpy(seek->stopped_reason, reason);
	seek->unsaved = fm_spi_bool(0, 4);

	/* a lock may have waited for what replaced the stream */
	if (lock &&
		fm_pipeline_stream(seek->pipeline, seek->partition) != stream_id)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("partition %d of pipeline \"%s\" changed concurrently",
						seek->partition, seek->pipeline->name),
				 errhint("Try again.")));
}

static void
peek_position(Seek *seek)
{
	FmOwnerScope scope;

	fm_owner_begin(&scope);
	SPI_connect();
	read_position(seek, false);
	SPI_finish();
	fm_owner_end(&scope);
}

/* Would going back delete readings that the fold may have to be built from? */
static bool
lacks_snapshot(const Seek *seek)
{
	return seek->target < seek->position && seek->unsaved;
}

/*
 * Give the worker time to write its snapshot, which it does at least every
 * factorymon.snapshot_interval while it has the partition, paused or not.
 */
static void
wait_for_snapshot(Seek *seek)
{
	FmPartitionInfo info;
	TimestampTz until = GetCurrentTimestamp() +
		((int64) fm_snapshot_interval + 1000) * 1000;

	if (!fm_shmem_ready() ||
		!fm_shmem_partition_get(MyDatabaseId, seek->pipeline->id,
								seek->partition, &info) || info.pid == 0)
		return;
	while (lacks_snapshot(seek) && GetCurrentTimestamp() < until)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 POLL_MS, FM_WAIT_EVENT);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		peek_position(seek);
	}
}

static void
check_snapshot(const Seek *seek)
{
	if (lacks_snapshot(seek))
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("the state of sensors of partition %d is not saved yet",
						seek->partition),
				 errdetail("It could not be rebuilt after a crash without readings that this replay would delete."),
				 errhint("Let the pipeline run, with only this partition paused by a committed transaction, for longer than factorymon.snapshot_interval, and try again.")));
}

/* ----------------------------------------------------------------------
 * Moving
 * ------------------------------------------------------------------- */

/*
 * Set the position and open an empty extent there; nothing is known of the
 * message before it.
 */
static void
set_position(const Seek *seek, int64 position)
{
	FmArgs		args = {0};

	fm_args_int4(&args, seek->stream_id);
	fm_args_int8(&args, position);
	fm_args_int2(&args, seek->pipeline->id);
	fm_args_run(&args, "UPDATE _factorymon.partition_offset SET"
				" position = $2, epoch = epoch + 1, extent_from = $2,"
				" extent_opened_at = now(), extent_messages = 0,"
				" extent_rejected = 0, extent_other = 0,"
				" extent_suppressed = 0, extent_readings = 0,"
				" extent_reading_hash = 0, extent_reject_hash = 0,"
				" extent_duplicates = 0, closed_duplicates = (SELECT"
				" coalesce(sum(duplicates), 0) FROM _factorymon.ledger"
				" WHERE pipeline_id = $3 AND stream_id = $1),"
				" last_offset = NULL, last_timestamp = NULL,"
				" last_digest = NULL, anchor_offset = NULL,"
				" anchor_timestamp = NULL, anchor_digest = NULL,"
				" anchor_proven_at = NULL, stopped_reason = NULL,"
				" stopped_detail = NULL, accept_loss = false"
				" WHERE stream_id = $1", SPI_OK_UPDATE);
}

static void
move_forward(const Seek *seek)
{
	FmExtentCounts none = {0};
	char	   *reason = psprintf("seek by %s", seek->role);

	fm_ledger_close(seek->pipeline->id, seek->stream_id, "extent", reason);
	fm_ledger_add(seek->pipeline->id, seek->stream_id, seek->position,
				  seek->target, "gap", &none, reason);
	set_position(seek, seek->target);
}

/* Extents and gaps of the stream ($2) that begin where $3 says. */
#define COVERED \
	"SELECT from_offset, to_offset, kind FROM (" \
	" SELECT from_offset, to_offset, kind FROM _factorymon.ledger" \
	" WHERE pipeline_id = $1 AND stream_id = $2" \
	" AND kind IN ('extent', 'suspect', 'gap')" \
	" UNION ALL SELECT extent_from, position, 'extent'" \
	" FROM _factorymon.partition_offset" \
	" WHERE stream_id = $2 AND position > extent_from) AS covered "

static uint64
query_covered(const Seek *seek, int64 offset, const char *sql)
{
	FmArgs		args = {0};

	fm_args_int2(&args, seek->pipeline->id);
	fm_args_int4(&args, seek->stream_id);
	fm_args_int8(&args, offset);
	return fm_args_run(&args, sql, SPI_OK_SELECT);
}

/*
 * Where a replay of the target has to begin: the start of the extent that
 * holds it, or the target itself in a gap or before everything.
 */
static int64
replay_start(const Seek *seek)
{
	int64		start;

	if (query_covered(seek, seek->target, COVERED "WHERE from_offset <= $3"
					  " ORDER BY from_offset DESC LIMIT 1") == 0)
		return seek->target;
	start = fm_spi_int8(0, 1);
	if (fm_spi_int8(0, 2) <= seek->target ||
		strcmp(fm_spi_text(0, 3), "gap") == 0)
		return seek->target;
	if (start >= seek->low)
		return start;

	(void) query_covered(seek, seek->low, "SELECT min(from_offset) FROM ("
						 COVERED ") AS c WHERE from_offset >= $3");
	ereport(ERROR,
			(errcode(FM_ERRCODE_SEEK_REFUSED),
			 errmsg("cannot replay from offset %lld of partition %d, because Kafka no longer has all of what was stored with it",
					(long long) seek->target, seek->partition),
			 errdetail("It belongs to an extent that begins at offset %lld, and the first offset that Kafka still has is %lld.",
					   (long long) start, (long long) seek->low),
			 fm_spi_int8(0, 1) > 0 ?
			 errhint("The first offset that can be replayed is %lld.",
					 (long long) fm_spi_int8(0, 1)) : 0));
	return -1;					/* keep compiler quiet */
}

/* How many readings retention has dropped from the range already. */
static int64
count_expired(const Seek *seek, int64 start)
{
	FmArgs		args = {0};

	fm_args_int2(&args, seek->pipeline->id);
	fm_args_int4(&args, seek->stream_id);
	fm_args_int8(&args, start);
	fm_args_run(&args, "SELECT coalesce(-sum(readings), 0)::bigint"
				" FROM _factorymon.ledger WHERE pipeline_id = $1"
				" AND stream_id = $2 AND from_offset >= $3"
				" AND kind = 'expired'", SPI_OK_SELECT);
	return fm_spi_int8(0, 1);
}

/* Run a statement on a table of the pipeline from start on. */
static int64
from_start(const Seek *seek, const char *format, int64 start, int expected)
{
	FmArgs		args = {0};

	fm_args_int4(&args, seek->stream_id);
	fm_args_int8(&args, start);
	return (int64) fm_args_run(&args, psprintf(format, seek->pipeline->id),
							   expected);
}

static int64
move_back(const Seek *seek)
{
	int64		start = replay_start(seek);
	int64		readings;
	int64		rejects;
	int64		expired;

	readings = from_start(seek, "DELETE FROM _factorymon.reading_%d"
						  " WHERE stream_id = $1 AND kafka_offset >= $2",
						  start, SPI_OK_DELETE);
	rejects = from_start(seek, "DELETE FROM _factorymon.reject_%d"
						 " WHERE stream_id = $1 AND kafka_offset >= $2",
						 start, SPI_OK_DELETE);
	/* what is read again must not be a duplicate of itself */
	(void) from_start(seek, "DELETE FROM _factorymon.reading_key_%d"
					  " WHERE stream_id = $1 AND kafka_offset >= $2",
					  start, SPI_OK_DELETE);
	(void) from_start(seek, "DELETE FROM _factorymon.duplicate_%d"
					  " WHERE stream_id = $1 AND kafka_offset >= $2",
					  start, SPI_OK_DELETE);
	expired = count_expired(seek, start);
	fm_rollup_forget(seek->pipeline->id, seek->stream_id, start,
					 PG_INT64_MAX);
	(void) from_start(seek, "DELETE FROM _factorymon.ledger_%d"
					  " WHERE stream_id = $1 AND from_offset >= $2",
					  start, SPI_OK_DELETE);
	(void) from_start(seek, "UPDATE _factorymon.ledger_%d SET to_offset = $2"
					  " WHERE stream_id = $1 AND kind = 'gap'"
					  " AND from_offset < $2 AND to_offset > $2",
					  start, SPI_OK_UPDATE);
	set_position(seek, start);

	ereport(NOTICE,
			(errmsg("replay of partition %d begins at offset %lld",
					seek->partition, (long long) start),
			 errdetail("%lld readings and %lld rejects were deleted, to be read again.",
					   (long long) readings, (long long) rejects)));
	if (start < seek->target)
		ereport(NOTICE,
				(errmsg("offset %lld is stored together with what was read from offset %lld on",
						(long long) seek->target, (long long) start)));
	if (expired > 0)
		ereport(NOTICE,
				(errmsg("%lld readings of this range had been dropped by retention and will be read again too",
						(long long) expired)));
	return start;
}

/* Under the lock: check once more, and move. */
static int64
move(Seek *seek)
{
	int64		old;
	int64		result = seek->target;

	read_position(seek, true);
	check_direction(seek);
	check_snapshot(seek);
	old = seek->position;
	if (seek->target == old)
	{
		ereport(NOTICE,
				(errmsg("partition %d of pipeline \"%s\" is at offset %lld already",
						seek->partition, seek->pipeline->name,
						(long long) old)));
		return old;
	}
	if (seek->target > old)
		move_forward(seek);
	else
		result = move_back(seek);
	fm_event_record(seek->pipeline->id, NULL, "sought", &seek->partition, 1,
					psprintf("from offset %lld to %lld%s by %s",
							 (long long) old, (long long) result,
							 seek->target < old ? " for replay" : "",
							 seek->role));
	return result;
}

/* ----------------------------------------------------------------------
 * SQL
 * ------------------------------------------------------------------- */

/* Arguments that all signatures share; those that are not the target. */
static void
read_arguments(FunctionCallInfo fcinfo, Seek *seek)
{
	Oid			user = GetUserId();
	char	   *name = fm_arg_text_required(fcinfo, 0, "pipeline");

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", PG_ARGISNULL(1) ?
						"kafka_partition" : "the target of a seek")));
	seek->role = GetUserNameFromId(user, false);
	seek->pipeline = fm_pipeline_find(name);
	fm_pipeline_check_control(seek->pipeline, user, "admin");
	seek->partition = PG_GETARG_INT32(1);
	seek->replay = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	seek->target = -1;
}

static Datum
run_seek(Seek *seek)
{
	FmOwnerScope scope;
	int64		result;

	peek_position(seek);
	check_direction(seek);
	resolve(seek);
	check_bounds(seek);
	check_direction(seek);
	wait_for_snapshot(seek);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	result = move(seek);
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	return Int64GetDatum(result);
}

static void
set_target_offset(Seek *seek, int64 offset)
{
	if (offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset must not be negative")));
	seek->kind = SEEK_OFFSET;
	seek->target = offset;
}

static void
set_target_time(Seek *seek, TimestampTz at)
{
	seek->kind = TIMESTAMP_IS_NOBEGIN(at) ? SEEK_EARLIEST :
		TIMESTAMP_IS_NOEND(at) ? SEEK_LATEST : SEEK_TIME;
	seek->at = at;
}

static TimestampTz
parse_timestamptz(const char *text)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* factorymon.seek(pipeline, kafka_partition, "offset" bigint, replay) */
Datum
factorymon_seek_offset(PG_FUNCTION_ARGS)
{
	Seek		seek = {0};

	read_arguments(fcinfo, &seek);
	set_target_offset(&seek, PG_GETARG_INT64(2));
	return run_seek(&seek);
}

/* factorymon.seek(pipeline, kafka_partition, "at" timestamptz, replay) */
Datum
factorymon_seek_time(PG_FUNCTION_ARGS)
{
	Seek		seek = {0};

	read_arguments(fcinfo, &seek);
	set_target_time(&seek, PG_GETARG_TIMESTAMPTZ(2));
	return run_seek(&seek);
}

/*
 * factorymon.seek(pipeline, kafka_partition, target text, replay)
 *		earliest, latest, a timestamp, or the digits of an offset.
 */
Datum
factorymon_seek_text(PG_FUNCTION_ARGS)
{
	Seek		seek = {0};
	char	   *target;

	read_arguments(fcinfo, &seek);
	target = fm_arg_text(fcinfo, 2);
	if (pg_strcasecmp(target, "earliest") == 0)
		seek.kind = SEEK_EARLIEST;
	else if (pg_strcasecmp(target, "latest") == 0)
		seek.kind = SEEK_LATEST;
	else if (target[0] != '\0' &&
			 strspn(target, "0123456789") == strlen(target))
		set_target_offset(&seek, pg_strtoint64(target));
	else
		set_target_time(&seek, parse_timestamptz(target));
	return run_seek(&seek);
}
