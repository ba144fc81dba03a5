/*-------------------------------------------------------------------------
 *
 * retry_store.c
 *	  Store a chunk of rejects, in spite of those that are still bad.
 *
 * The messages are decoded and checked as if they had just arrived; readings
 * are classified by the limits of today.  The chunk is stored in one
 * subtransaction; if the database refuses it with an error of data, it is
 * cut around the message whose row the executor pulled last, and only a
 * message that fails alone is refused (as in isolate.c).
 *
 * Readings are inserted as the pipeline's owner, so that triggers run with
 * the owner's rights, and restricted, so that they cannot reach into the
 * session of the caller.  The rest is done as the extension's owner.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "batch_fdw.h"
#include "dedup.h"
#include "heartbeat.h"
#include "retry.h"
#include "rollup_parts.h"
#include "store.h"
#include "window.h"
#include "worker.h"

/* ----------------------------------------------------------------------
 * From payloads to rows
 * ------------------------------------------------------------------- */

/* A message stays a reject, for this reason. */
static void
reject_again(FmRetry *retry, FmBatchMessage *message, FmRejectReason reason,
			 const char *detail)
{
	fm_collect_reject(message, reason,
					  MemoryContextStrdup(retry->context, detail));
}

static void
decode_heartbeat(FmRetry *retry, FmBatchMessage *message)
{
	FmHeartbeat heartbeat;
	FmDecoded	decoded;

	if (fm_decode_heartbeat(message->message.payload, message->message.len,
							&retry->arena, &heartbeat, &decoded))
		message->class = FM_CLASS_HEARTBEAT;
	else
		reject_again(retry, message, decoded.reason, decoded.detail);
}

/* Decode one message and look at its timestamps. */
static void
decode_readings(FmRetry *retry, FmBatchMessage *message, FmRetryReject *reject)
{
	FmDecoded	decoded;
	char		detail[192];

	fm_decode(retry->format, message->message.payload, message->message.len,
			  &retry->arena, &decoded);
	if (decoded.reason == FM_REJECT_OUT_OF_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory while decoding a message")));
	if (decoded.reason != FM_REJECT_NONE)
	{
		reject_again(retry, message, decoded.reason, decoded.detail);
		return;
	}
	for (int i = 0; i < decoded.nreadings; i++)
	{
		TimestampTz ts = decoded.readings[i].ts;

		if (fm_check_window(retry->pipeline, message->message_at, ts))
			continue;
		fm_window_describe(retry->pipeline, message->message_at, ts,
						   detail, sizeof(detail));
		reject_again(retry, message, FM_REJECT_TIMESTAMP_OUT_OF_WINDOW,
					 detail);
		return;
	}
	reject->readings = decoded.readings;
	reject->nreadings = decoded.nreadings;
	message->class = decoded.nreadings > 0 ? FM_CLASS_READINGS :
		FM_CLASS_EMPTY;
}

/* Give every message of the chunk its class. */
static void
decode_chunk(FmRetry *retry)
{
	for (int i = 0; i < retry->nmessages; i++)
	{
		FmBatchMessage *message = &retry->messages[i];

		CHECK_FOR_INTERRUPTS();
		if (message->message.payload == NULL)
			message->class = FM_CLASS_TOMBSTONE;
		else if (retry->rejects[i].is_heartbeat)
			decode_heartbeat(retry, message);
		else
			decode_readings(retry, message, &retry->rejects[i]);
	}
}

/* In a subtransaction; false if somebody else was faster with one of them. */
static bool
try_register(FmRetry *retry, const FmReading **readings, int n)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;
	volatile bool done = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fm_sensor_register(retry->sensors, readings, n);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		fm_sensor_cache_reset(retry->sensors);
		done = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resource_owner;
	return done;
}

/* Look up or register the sensors of the chunk. */
static void
register_sensors(FmRetry *retry)
{
	const FmReading **readings;
	int			total = 0;
	int			n = 0;

	for (int i = 0; i < retry->nmessages; i++)
		total += retry->rejects[i].nreadings;
	readings = MemoryContextAllocHuge(retry->context,
									  sizeof(FmReading *) * (total + 1));
	retry->rows = MemoryContextAllocHuge(retry->context,
										 sizeof(FmRow) * (total + 1));
	retry->limits_generation = fm_limits_refresh();
	for (int i = 0; i < retry->nmessages; i++)
		for (int j = 0; j < retry->rejects[i].nreadings; j++)
			if (!fm_sensor_find(retry->sensors,
								&retry->rejects[i].readings[j],
								retry->limits_generation))
				readings[n++] = &retry->rejects[i].readings[j];
	while (n > 0 && !try_register(retry, readings, n))
		CHECK_FOR_INTERRUPTS();
}

/* Make sure that sensor and partition of every reading exist. */
static bool
check_readings(FmRetry *retry, FmBatchMessage *message,
			   const FmRetryReject *reject)
{
	const FmPipeline *pipeline = retry->pipeline;

	for (int i = 0; i < reject->nreadings; i++)
	{
		const FmReading *reading = &reject->readings[i];

		if (!fm_sensor_find(retry->sensors, reading,
							retry->limits_generation))
		{
			reject_again(retry, message, FM_REJECT_TOO_MANY_SENSORS,
						 "it would need more sensors or descriptions of a sensor than factorymon.max_sensors and factorymon.max_sensor_versions allow");
			return false;
		}
		if (!fm_partition_ensure(pipeline->id, "reading",
								 pipeline->partition_interval, reading->ts))
		{
			reject_again(retry, message, FM_REJECT_TOO_MANY_PARTITIONS,
						 "it would need more time partitions than factorymon.max_time_partitions allows");
			return false;
		}
	}
	return true;
}

/*
 * One reading as a row: classified, but flagged so that no fold takes it in.
 */
static void
add_row(FmRetry *retry, int message, FmReading *reading, int reading_index)
{
	const FmSensor *sensor = fm_sensor_find(retry->sensors, reading,
											retry->limits_generation);
	FmRow	   *row = &retry->rows[retry->nrows++];
	FmSide		side;
	FmLevel		level = fm_classify(reading->value, sensor->limits, &side);

	memset(row, 0, sizeof(*row));
	row->reading = reading;
	row->stream_id = retry->stream_ids[retry->messages[message].stream];
	row->kafka_offset = retry->messages[message].message.offset;
	row->reading_index = (int16) reading_index;
	row->sensor_id = sensor->sensor_id;
	row->sensor_version_id = sensor->sensor_version_id;
	row->level = FM_LEVEL_CODE(level, side, reading->reported);
	row->flags = (int16) ((reading->ts_digits & FM_FLAG_TS_DIGITS) |
						  FM_FLAG_NOT_FOLDED);
	row->message_at = retry->messages[message].message_at;
	row->message = message;
}

/* Rows of all messages that are fit to be stored. */
static void
build_rows(FmRetry *retry)
{
	register_sensors(retry);
	for (int i = 0; i < retry->nmessages; i++)
	{
		FmBatchMessage *message = &retry->messages[i];
		FmRetryReject *reject = &retry->rejects[i];

		if (message->class != FM_CLASS_READINGS ||
			!check_readings(retry, message, reject))
			continue;
		message->first_row = retry->nrows;
		message->nrows = reject->nreadings;
		for (int j = 0; j < reject->nreadings; j++)
			add_row(retry, i, &reject->readings[j], j);
	}
}

/* ----------------------------------------------------------------------
 * Storing
 * ------------------------------------------------------------------- */

static bool
has_rows(const FmRetry *retry, int from, int to)
{
	for (int i = from; i < to; i++)
		if (retry->messages[i].nrows > 0)
			return true;
	return false;
}

/* Insert the rows of a range, but for duplicates, as the pipeline's owner. */
static void
store_as_owner(FmRetry *retry, int from, int to)
{
	int			nrows;
	FmRow	   *rows;
	Oid			save_userid;
	int			save_sec_context;

	fm_dedup_range(retry->pipeline, retry->messages, from, to, retry->rows);
	rows = fm_dedup_rows(retry->messages, from, to, retry->rows, &nrows);
	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(retry->owner, save_sec_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	fm_store_rows(retry->pipeline->id, rows, nrows);
	SetUserIdAndSecContext(save_userid, save_sec_context);
	fm_dedup_settle_rows(retry->messages, from, to, retry->rows, rows);
}

/* Store a range in a subtransaction; NULL, or the error that undid it. */
static ErrorData *
try_range(FmRetry *retry, int from, int to)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		store_as_owner(retry, from, to);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(retry->context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		fm_batch_fdw_clear();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resource_owner;
	return error;
}

/*
 * The message whose row the executor pulled last; -1 if it cannot be told,
 * or if looking there did not help before.
 */
static int
find_suspect(const FmRetry *retry, int from, int to)
{
	if (retry->suspects_fail)
		return -1;
	return fm_dedup_message_of_row(retry->messages, from, to,
								   fm_store_last_row());
}

/* The database refuses this message on its own. */
static void
refuse(FmRetry *retry, int index, const ErrorData *error)
{
	FmBatchMessage *message = &retry->messages[index];

	reject_again(retry, message, FM_REJECT_DATABASE, error->message);
	strlcpy(message->sqlstate, unpack_sql_state(error->sqlerrcode),
			sizeof(message->sqlstate));
}

/*
 * Store messages [from, to); those that the database refuses on their own
 * become rejects again.  Errors that are not of data are thrown.
 */
static void
store_range(FmRetry *retry, int from, int to)
{
	bool		repeated = false;

	check_stack_depth();
	for (;;)
	{
		ErrorData  *error;
		int			suspect;

		/* what repeats a message that was refused since repeats nothing */
		fm_dedup_restore(retry->messages, from, to);
		if (!has_rows(retry, from, to))
			return;
		error = try_range(retry, from, to);
		CHECK_FOR_INTERRUPTS();
		if (!error)
			return;
		/* a trigger was seen to suppress rows: store.c wants to see which */
		if (error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE &&
			!repeated)
		{
			repeated = true;
			continue;
		}
		if (!fm_is_data_error(error))
			ReThrowError(error);
		if (to - from == 1)
		{
			refuse(retry, from, error);
			return;
		}
		suspect = find_suspect(retry, from, to);
		if (suspect < 0)
		{
			int			middle = from + (to - from) / 2;

			store_range(retry, from, middle);
			from = middle;
			continue;
		}
		store_range(retry, from, suspect);
		store_range(retry, suspect, suspect + 1);
		if (retry->messages[suspect].class != FM_CLASS_REJECTED)
			retry->suspects_fail = true;
		from = suspect + 1;
	}
}

/* No fold takes them in, so their rollups do not wait. */
static void
store_rollups(const FmRetry *retry)
{
	for (int s = 0; s < retry->nstreams; s++)
	{
		FmRollupParts *parts = fm_rollup_parts_create(CurrentMemoryContext);

		for (int i = 0; i < retry->nmessages; i++)
		{
			const FmBatchMessage *message = &retry->messages[i];

			if (message->stream != s || message->class != FM_CLASS_READINGS)
				continue;
			for (int r = 0; r < message->nrows; r++)
			{
				const FmRow *row = &retry->rows[message->first_row + r];

				if (!row->suppressed)
					fm_rollup_parts_add(parts, row);
			}
		}
		fm_rollup_store(retry->pipeline->id, retry->stream_ids[s], parts,
						DT_NOEND, true);
		fm_rollup_parts_free(parts);
	}
}

void
fm_retry_store_chunk(FmRetry *retry)
{
	retry->nrows = 0;
	if (retry->pipeline->dedup != FM_DEDUP_NONE)
		(void) fm_dedup_ensure(retry->pipeline, GetCurrentTimestamp());
	decode_chunk(retry);
	build_rows(retry);
	store_range(retry, 0, retry->nmessages);
	store_rollups(retry);
}
