/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  retry_rejects(): give refused messages another chance, after a fix.
 *
 * A reject is replaced by its readings, or stays with one attempt more and
 * the reason of today.  Everything happens in the caller's transaction:
 *
 * - The position rows of the streams concerned are locked first, then the
 *   rejects.  That is the order of everybody who locks both (seek), and it
 *   keeps the extents as they are while adjustments to them are booked.
 *   The price: ingest of these partitions waits until the transaction ends;
 *   max_messages bounds it.  The wait for the rows is bounded by
 *   factorymon.lock_timeout.
 * - Rejects come in order of stream and offset, in chunks.  A chunk is
 *	 stored in one subtransaction, or around those that the database still
 *	 refuses (retry_store.c), so one bad message harms no other.  Any error
 *	 that is not one of data ends the call, and nothing has happened.
 * - Each extent that gained or lost gets one ledger row of kind adjust.
 *
 * The readings are stored and classified, but flagged as not folded: the
 * fold of a stream never goes back, so they raise nothing.
 *
 * Each chunk leaves a subtransaction behind.  More than sixty of them slow
 * other sessions' snapshots a little until the end: another reason to give
 * max_messages when there are very many.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "guc.h"
#include "heartbeat.h"
#include "pipeline_internal.h"
#include "retry.h"
#include "store.h"

PG_FUNCTION_INFO_V1(factorymon_retry_rejects);

/* Columns of the cursor over rejects. */
enum
{
	COL_STREAM = 1,
	COL_OFFSET,
	COL_REJECTED_AT,
	COL_CTID,
	COL_MESSAGE_AT,
	COL_VALUE,
	COL_IS_HEARTBEAT
};

/* What is to be retried; $1 pipeline, $2 partition, $3 .. $5 filters. */
#define CHOSEN \
	"r.pipeline_id = $1" \
	" AND ($3::bigint IS NULL OR r.kafka_offset >= $3)" \
	" AND ($4::bigint IS NULL OR r.kafka_offset < $4)" \
	" AND ($5::text IS NULL OR r.reason = $5)"

static const char lock_sql[] =
"SELECT p.stream_id, s.kafka_partition"
" FROM _factorymon.partition_offset p"
" JOIN _factorymon.stream s USING (stream_id)"
" WHERE s.pipeline_id = $1"
" AND ($2::integer IS NULL OR s.kafka_partition = $2)"
" AND EXISTS (SELECT FROM _factorymon.reject r"
"  WHERE r.stream_id = s.stream_id AND " CHOSEN ")"
" ORDER BY p.stream_id FOR NO KEY UPDATE OF p";

static const char rejects_sql[] =
"SELECT r.stream_id, r.kafka_offset, r.rejected_at, r.ctid, r.message_at,"
" r.value, coalesce(r.headers @> '[{\"name\": \"" FM_TYPE_HEADER "\","
" \"value\": \"" FM_TYPE_HEARTBEAT "\"}]', false)"
" FROM _factorymon.reject_%d r"
" WHERE r.stream_id = ANY ($6) AND " CHOSEN
" ORDER BY r.stream_id, r.kafka_offset"
" LIMIT $7::bigint FOR UPDATE OF r SKIP LOCKED";

/* A reject is found again by the place of its locked row. */
#define SAME_REJECT \
	" WHERE rejected_at = $1 AND ctid = $2"

static const char delete_sql[] =
"DELETE FROM _factorymon.reject_%d" SAME_REJECT;

static const char update_sql[] =
"UPDATE _factorymon.reject_%d SET attempts = attempts + 1, reason = $3,"
" sqlstate = $4, detail = $5" SAME_REJECT;

static const char extent_sql[] =
"SELECT from_offset, to_offset FROM _factorymon.ledger"
" WHERE pipeline_id = $1 AND stream_id = $2"
" AND kind IN ('extent', 'suspect')"
" AND from_offset <= $3 AND to_offset > $3"
" UNION ALL SELECT extent_from, position FROM _factorymon.partition_offset"
" WHERE stream_id = $2 AND extent_from <= $3 AND position > $3";

/* ----------------------------------------------------------------------
 * The ledger's side
 * ------------------------------------------------------------------- */

/* What the position row says of closed extents includes adjustments. */
static void
count_duplicates(const FmRetry *retry)
{
	FmArgs		args = {0};

	if (retry->adjust.duplicates == 0)
		return;
	fm_args_int4(&args, retry->adjust_stream);
	fm_args_int8(&args, retry->adjust.duplicates);
	(void) fm_args_run(&args, "UPDATE _factorymon.partition_offset SET"
					   " closed_duplicates = closed_duplicates + $2"
					   " WHERE stream_id = $1", SPI_OK_UPDATE);
}

/* Write down the adjustment that was added up, if any. */
static void
flush_adjustment(FmRetry *retry)
{
	if (retry->adjust_stream == 0)
		return;
	fm_ledger_add(retry->pipeline->id, retry->adjust_stream,
				  retry->first_offset, retry->last_offset + 1, "adjust",
				  &retry->adjust, "rejects retried");
	count_duplicates(retry);
	retry->adjust_stream = 0;
}

/* Begin a new adjustment for the extent that holds an offset. */
static void
begin_adjustment(FmRetry *retry, int32 stream_id, int64 offset)
{
	FmArgs		args = {0};

	fm_args_int2(&args, retry->pipeline->id);
	fm_args_int4(&args, stream_id);
	fm_args_int8(&args, offset);
	if (fm_args_run(&args, extent_sql, SPI_OK_SELECT) > 0)
	{
		retry->extent_from = fm_spi_int8(0, 1);
		retry->extent_to = fm_spi_int8(0, 2);
	}
	else
	{
		/* no extent knew the reject: verify_delivery() says so */
		retry->extent_from = offset;
		retry->extent_to = offset + 1;
	}
	SPI_freetuptable(SPI_tuptable);
	retry->adjust_stream = stream_id;
	retry->first_offset = offset;
	memset(&retry->adjust, 0, sizeof(retry->adjust));
}

/* Book one message that is no reject any more. */
static void
adjust(FmRetry *retry, const FmBatchMessage *message)
{
	int32		stream_id = retry->stream_ids[message->stream];
	int64		offset = message->message.offset;
	FmExtentCounts *counts = &retry->adjust;

	if (retry->adjust_stream != stream_id ||
		offset < retry->extent_from || offset >= retry->extent_to)
	{
		flush_adjustment(retry);
		begin_adjustment(retry, stream_id, offset);
	}
	retry->last_offset = offset;
	counts->rejected--;
	counts->reject_hash -= fm_offset_hash(offset, -1);
	if (message->class == FM_CLASS_READINGS)
		counts->messages++;
	else if (message->class == FM_CLASS_DUPLICATE)
		counts->duplicates++;
	else
		counts->other++;
	for (int i = 0; i < message->nrows; i++)
	{
		const FmRow *row = &retry->rows[message->first_row + i];

		if (row->suppressed)
			counts->suppressed++;
		else
		{
			counts->readings++;
			counts->reading_hash += fm_offset_hash(offset,
												   row->reading_index);
		}
	}
}

/* ----------------------------------------------------------------------
 * What became of the rejects
 * ------------------------------------------------------------------- */

/* Delete a reject that is stored now; keep the others, with today's reason. */
static void
settle_reject(FmRetry *retry, const FmBatchMessage *message,
			  FmRetryReject *reject)
{
	bool		again = message->class == FM_CLASS_REJECTED;
	MemoryContext old = MemoryContextSwitchTo(retry->context);
	Datum		values[5];
	char		nulls[6] = "     ";
	int			result;

	values[0] = TimestampTzGetDatum(reject->rejected_at);
	values[1] = PointerGetDatum(&reject->ctid);
	if (again)
	{
		values[2] = CStringGetTextDatum(fm_reject_reason_name(message->reason));
		values[3] = CStringGetTextDatum(message->sqlstate);
		values[4] = message->detail ? CStringGetTextDatum(message->detail) :
			(Datum) 0;
		nulls[4] = message->detail ? ' ' : 'n';
	}
	result = SPI_execute_plan(again ? retry->update_plan :
							  retry->delete_plan, values, nulls, false, 0);
	if ((result != SPI_OK_DELETE && result != SPI_OK_UPDATE) ||
		SPI_processed != 1)
		elog(ERROR, "locked reject at offset " INT64_FORMAT " is gone",
			 message->message.offset);
	MemoryContextSwitchTo(old);
}

/* What the store made of the chunk goes into rejects, ledger and counts. */
static void
settle_chunk(FmRetry *retry)
{
	for (int i = 0; i < retry->nmessages; i++)
	{
		const FmBatchMessage *message = &retry->messages[i];

		CHECK_FOR_INTERRUPTS();
		settle_reject(retry, message, &retry->rejects[i]);
		retry->retried++;
		if (message->class == FM_CLASS_REJECTED)
		{
			retry->rejected_again++;
			continue;
		}
		retry->stored++;
		adjust(retry, message);
	}
	fm_store_heartbeats(retry->stream_ids, retry->messages,
						retry->nmessages);
}

/* Store what was collected, settle it, and begin a new chunk. */
static void
process_chunk(FmRetry *retry)
{
	fm_retry_store_chunk(retry);
	settle_chunk(retry);
	MemoryContextReset(retry->context);
	fm_arena_reset(&retry->arena);
	retry->nmessages = 0;
	retry->bytes = 0;
}

/* ----------------------------------------------------------------------
 * Finding the rejects
 * ------------------------------------------------------------------- */

/* Where a stream stands among the locked ones. */
static int
index_of_stream(const FmRetry *retry, int32 stream_id)
{
	for (int i = 0; i < retry->nstreams; i++)
		if (retry->stream_ids[i] == stream_id)
			return i;
	elog(ERROR, "stream %d is not locked", stream_id);
	return -1;					/* keep compiler quiet */
}

/* Take one row of the cursor into the chunk. */
static void
add_reject(FmRetry *retry, HeapTuple tuple, TupleDesc columns)
{
	FmBatchMessage *message = &retry->messages[retry->nmessages];
	FmRetryReject *reject = &retry->rejects[retry->nmessages];
	MemoryContext old = MemoryContextSwitchTo(retry->context);
	bool		isnull;
	Datum		datum;

#define COLUMN(number) SPI_getbinval(tuple, columns, (number), &isnull)
	memset(message, 0, sizeof(*message));
	memset(reject, 0, sizeof(*reject));
	message->stream = index_of_stream(retry,
									  DatumGetInt32(COLUMN(COL_STREAM)));
	message->message.offset = DatumGetInt64(COLUMN(COL_OFFSET));
	reject->rejected_at = DatumGetTimestampTz(COLUMN(COL_REJECTED_AT));
	reject->ctid = *(ItemPointer) DatumGetPointer(COLUMN(COL_CTID));
	datum = COLUMN(COL_MESSAGE_AT);
	message->message_at = isnull ? reject->rejected_at :
		DatumGetTimestampTz(datum);
	datum = COLUMN(COL_VALUE);
	if (!isnull)
	{
		bytea	   *value = DatumGetByteaPCopy(datum);

		message->message.payload = VARDATA(value);
		message->message.len = VARSIZE(value) - VARHDRSZ;
	}
	reject->is_heartbeat = DatumGetBool(COLUMN(COL_IS_HEARTBEAT));
#undef COLUMN
	retry->bytes += message->message.len;
	retry->nmessages++;
	MemoryContextSwitchTo(old);
}

/* Lock the position rows of every stream with a reject to be retried. */
static ArrayType *
lock_streams(FmRetry *retry, FmArgs *args)
{
	uint64		n = fm_args_run(args, lock_sql, SPI_OK_SELECT);
	Datum	   *elements = palloc(sizeof(Datum) * (n + 1));

	retry->nstreams = (int) n;
	retry->stream_ids = palloc(sizeof(int32) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		retry->stream_ids[i] = fm_spi_int4(i, 1);
		elements[i] = Int32GetDatum(retry->stream_ids[i]);
	}
	SPI_freetuptable(SPI_tuptable);
	return construct_array(elements, (int) n, INT4OID, sizeof(int32), true,
						   TYPALIGN_INT);
}

/* A plan about one reject; lives as long as the SPI connection. */
static SPIPlanPtr
prepare(const FmRetry *retry, const char *format, int nargs)
{
	Oid			types[5] = {TIMESTAMPTZOID, TIDOID, TEXTOID, TEXTOID, TEXTOID};
	SPIPlanPtr	plan = SPI_prepare(psprintf(format, retry->pipeline->id),
								   nargs, types);

	if (!plan)
		elog(ERROR, "could not prepare: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

/* Free what the arena malloc'ed, whatever ends the call. */
static void
free_arena(void *arena)
{
	fm_arena_free(arena);
}

static FmRetry *
create_retry(void)
{
	FmRetry    *retry = palloc0(sizeof(FmRetry));
	MemoryContextCallback *callback = palloc0(sizeof(*callback));

	fm_arena_init(&retry->arena);
	callback->func = free_arena;
	callback->arg = &retry->arena;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return retry;
}

/* The part that needs SPI and lives as long as its connection. */
static void
prepare_retry(FmRetry *retry)
{
	retry->context = AllocSetContextCreate(CurrentMemoryContext,
										   "factorymon retry",
										   ALLOCSET_DEFAULT_SIZES);
	retry->owner = get_role_oid(retry->pipeline->owner, false);
	retry->sensors = fm_sensor_cache_create(CurrentMemoryContext,
											retry->pipeline->id,
											retry->pipeline->name);
	retry->delete_plan = prepare(retry, delete_sql, 2);
	retry->update_plan = prepare(retry, update_sql, 5);
}

/* args: the filters in the order of CHOSEN, without streams and limit. */
static void
retry_chosen(FmRetry *retry, FmArgs *args, Datum limit, bool no_limit)
{
	Portal		cursor;
	int64		max_bytes = (int64) fm_batch_max_bytes * 1024;

	fm_args_add(args, INT4ARRAYOID,
				PointerGetDatum(lock_streams(retry, args)), false);
	if (retry->nstreams == 0)
		return;
	fm_args_add(args, INT8OID, limit, no_limit);
	cursor = SPI_cursor_open_with_args(NULL, psprintf(rejects_sql,
													  retry->pipeline->id),
									   args->n, args->types, args->values,
									   args->nulls, false, 0);
	for (;;)
	{
		SPITupleTable *tuples;
		uint64		n;

		SPI_cursor_fetch(cursor, true, FM_RETRY_CHUNK);
		tuples = SPI_tuptable;
		n = SPI_processed;
		for (uint64 i = 0; i < n; i++)
		{
			add_reject(retry, tuples->vals[i], tuples->tupdesc);
			if (retry->bytes >= max_bytes || i + 1 == n)
				process_chunk(retry);
		}
		SPI_freetuptable(tuples);
		if (n == 0)
			break;
	}
	SPI_cursor_close(cursor);
	flush_adjustment(retry);
}

/* ----------------------------------------------------------------------
 * The function
 * ------------------------------------------------------------------- */

/* Leave a trace of who did it. */
static void
record_event(const FmRetry *retry, Oid user)
{
	if (retry->retried > 0)
		fm_event_record(retry->pipeline->id, NULL, "retry", NULL, 0,
						psprintf(INT64_FORMAT " rejects retried by %s: "
								 INT64_FORMAT " stored, " INT64_FORMAT
								 " rejected again", retry->retried,
								 GetUserNameFromId(user, false),
								 retry->stored, retry->rejected_again));
}

/* The one row of the result. */
static void
return_result(FunctionCallInfo fcinfo, const FmRetry *retry)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[3] = {Int64GetDatum(retry->retried),
		Int64GetDatum(retry->stored), Int64GetDatum(retry->rejected_again)};
	bool		nulls[3] = {false, false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * factorymon.retry_rejects(pipeline text, kafka_partition int,
 *							from_offset bigint, to_offset bigint,
 *							reason text, max_messages int)
 */
Datum
factorymon_retry_rejects(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmRetry    *retry = create_retry();
	FmArgs		args = {0};
	FmArgs		none = {0};
	FmOwnerScope scope;

	retry->pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0,
															"pipeline"));
	fm_pipeline_check_control(retry->pipeline, user, "engineer");
	retry->format = fm_format_open(retry->pipeline->format,
								   retry->pipeline->mapping,
								   CurrentMemoryContext);
	InitMaterializedSRF(fcinfo, 0);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	prepare_retry(retry);
	/* a deferred trigger could not run as the pipeline's owner at commit */
	fm_args_run(&none, "SET CONSTRAINTS ALL IMMEDIATE", SPI_OK_UTILITY);
	fm_args_int2(&args, retry->pipeline->id);
	fm_args_add(&args, INT4OID, PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	fm_args_add(&args, INT8OID, PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	fm_args_add(&args, INT8OID, PG_GETARG_DATUM(3), PG_ARGISNULL(3));
	fm_args_add(&args, TEXTOID, PG_GETARG_DATUM(4), PG_ARGISNULL(4));
	retry_chosen(retry, &args,
				 Int64GetDatum(PG_ARGISNULL(5) ? 0 : PG_GETARG_INT32(5)),
				 PG_ARGISNULL(5));
	SPI_finish();
	record_event(retry, user);
	fm_owner_end(&scope);
	return_result(fcinfo, retry);
	return (Datum) 0;
}
