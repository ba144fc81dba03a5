/*-------------------------------------------------------------------------
 *
 * collect.c
 *	  The way of a message into the batch: decoded at once, never refused.
 *
 * The batch holds the library's messages until it is committed, so that a
 * message that the database refuses can still be kept whole.  What a reading
 * needs beyond the payload lives in the batch's arena; texts live in its
 * memory context.  All three end together in fm_batch_reset().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "heartbeat.h"
#include "window.h"
#include "worker.h"

#define FIRST_MESSAGES 1024

/* Messages may hold many readings; a full batch has so many of each at most. */
#define ROWS_OF_MESSAGE 10

void
fm_batch_init(FmBatch *batch, MemoryContext parent)
{
	memset(batch, 0, sizeof(*batch));
	batch->context = AllocSetContextCreate(parent, "factorymon batch",
										   ALLOCSET_DEFAULT_SIZES);
	fm_arena_init(&batch->arena);
	batch->max_messages = FIRST_MESSAGES;
	batch->messages = MemoryContextAlloc(parent, sizeof(FmBatchMessage) *
										 batch->max_messages);
	batch->max_rows = FIRST_MESSAGES;
	batch->rows = MemoryContextAlloc(parent,
									 sizeof(FmRow) * batch->max_rows);
}

/* Give everything back: messages to the library, memory to us. */
void
fm_batch_reset(FmBatch *batch)
{
	for (int i = 0; i < batch->nmessages; i++)
		fm_message_release(&batch->messages[i].message);
	batch->nmessages = 0;
	batch->nrows = 0;
	batch->bytes = 0;
	batch->started_at = 0;
	fm_arena_reset(&batch->arena);
	MemoryContextReset(batch->context);
}

bool
fm_batch_full(const FmBatch *batch)
{
	return batch->nmessages >= fm_batch_max_messages ||
		batch->nrows / ROWS_OF_MESSAGE >= fm_batch_max_messages ||
		batch->bytes >= (int64) fm_batch_max_bytes * 1024;
}

/*
 * Keep the messages for which keep[i], in order, with their rows; the arena
 * is not shrunk.
 */
static void
compact(FmBatch *batch, const bool *keep)
{
	int			nmessages = 0;
	int			nrows = 0;

	for (int i = 0; i < batch->nmessages; i++)
	{
		FmBatchMessage *message = &batch->messages[i];

		if (!keep[i])
		{
			batch->bytes -= message->message.len;
			fm_message_release(&message->message);
			continue;
		}
		memmove(&batch->rows[nrows], &batch->rows[message->first_row],
				sizeof(FmRow) * message->nrows);
		message->first_row = nrows;
		for (int row = 0; row < message->nrows; row++)
			batch->rows[nrows + row].message = nmessages;
		nrows += message->nrows;
		batch->messages[nmessages++] = *message;
	}
	batch->nmessages = nmessages;
	batch->nrows = nrows;
	if (nmessages == 0)
		fm_batch_reset(batch);
}

/* Close the holes that rejected messages left among the rows. */
void
fm_batch_squeeze(FmBatch *batch)
{
	bool	   *keep = palloc(sizeof(bool) * Max(batch->nmessages, 1));

	memset(keep, true, sizeof(bool) * batch->nmessages);
	compact(batch, keep);
	pfree(keep);
}

/* Drop what was collected of one assigned partition. */
void
fm_batch_drop_stream(FmBatch *batch, int stream)
{
	bool	   *keep = palloc(sizeof(bool) * Max(batch->nmessages, 1));

	for (int i = 0; i < batch->nmessages; i++)
		keep[i] = batch->messages[i].stream != stream;
	compact(batch, keep);
	pfree(keep);
}

/* Drop the first n messages: they are committed. */
void
fm_batch_drop_prefix(FmBatch *batch, int n)
{
	bool	   *keep = palloc(sizeof(bool) * Max(batch->nmessages, 1));

	for (int i = 0; i < batch->nmessages; i++)
		keep[i] = i >= n;
	compact(batch, keep);
	pfree(keep);
}

/* Turn a message into a reject; its rows are not stored. */
void
fm_collect_reject(FmBatchMessage *message, FmRejectReason reason,
				  const char *detail)
{
	message->class = FM_CLASS_REJECTED;
	message->reason = reason;
	message->detail = detail;
	message->nrows = 0;
	strlcpy(message->sqlstate, fm_reject_reason_sqlstate(reason),
			sizeof(message->sqlstate));
}

static void
add_rows(FmBatch *batch, FmBatchMessage *message, int index,
		 const FmDecoded *decoded)
{
	if (batch->nrows + decoded->nreadings > batch->max_rows)
	{
		while (batch->nrows + decoded->nreadings > batch->max_rows)
			batch->max_rows *= 2;
		batch->rows = repalloc_huge(batch->rows,
									sizeof(FmRow) * batch->max_rows);
	}
	message->first_row = batch->nrows;
	message->nrows = decoded->nreadings;
	for (int i = 0; i < decoded->nreadings; i++)
	{
		FmRow	   *row = &batch->rows[batch->nrows++];

		memset(row, 0, sizeof(*row));
		row->reading = &decoded->readings[i];
		row->kafka_offset = message->message.offset;
		row->reading_index = (int16) i;
		row->flags = (int16) decoded->readings[i].ts_digits;
		row->message_at = message->message_at;
		row->message = index;
	}
}

/*
 * Is this record a producer's heartbeat, by its header?  Asked only of what is
 * no reading: the library takes a tenth of a message's time to look for headers.
 */
static bool
is_heartbeat(const FmMessage *message)
{
	FmHeader	header;

	return fm_message_header(message, FM_TYPE_HEADER, &header) &&
		header.value != NULL &&
		header.len == strlen(FM_TYPE_HEARTBEAT) &&
		memcmp(header.value, FM_TYPE_HEARTBEAT, header.len) == 0;
}

static void
classify_heartbeat(FmBatch *batch, FmBatchMessage *message)
{
	FmHeartbeat heartbeat;
	FmDecoded	decoded;

	if (fm_decode_heartbeat(message->message.payload, message->message.len,
							&batch->arena, &heartbeat, &decoded))
	{
		message->class = FM_CLASS_HEARTBEAT;
		message->reason = FM_REJECT_NONE;
		message->detail = NULL;
		message->sqlstate[0] = '\0';
	}
	else
		fm_collect_reject(message, decoded.reason,
						  MemoryContextStrdup(batch->context,
											  decoded.detail));
}

static void
classify_readings(FmWorker *worker, FmBatchMessage *message, int index)
{
	FmBatch    *batch = &worker->batch;
	FmDecoded	decoded;

	fm_decode(worker->format, message->message.payload, message->message.len,
			  &batch->arena, &decoded);
	if (decoded.reason == FM_REJECT_OUT_OF_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory while decoding a message")));
	/* heartbeats are no readings of any format, and are told apart later */
	if (decoded.strange && (decoded.reason == FM_REJECT_NONE ||
							!is_heartbeat(&message->message)))
		fm_drift_log_note(worker, &message->message);
	if (decoded.reason != FM_REJECT_NONE)
	{
		fm_collect_reject(message, decoded.reason,
						  MemoryContextStrdup(batch->context,
											  decoded.detail));
		return;
	}
	for (int i = 0; i < decoded.nreadings; i++)
	{
		if (fm_check_window(worker->pipeline, message->message_at,
							decoded.readings[i].ts))
			continue;
		fm_collect_reject(message, FM_REJECT_TIMESTAMP_OUT_OF_WINDOW,
						  "the timestamp is outside the accepted window around the message's own timestamp");
		return;
	}
	message->class = decoded.nreadings > 0 ? FM_CLASS_READINGS :
		FM_CLASS_EMPTY;
	add_rows(batch, message, index, &decoded);
}

static FmBatchMessage *
append(FmBatch *batch, FmMessage *message, int stream)
{
	FmBatchMessage *result;

	if (batch->nmessages == batch->max_messages)
	{
		batch->max_messages *= 2;
		batch->messages = repalloc_huge(batch->messages,
										sizeof(FmBatchMessage) *
										batch->max_messages);
	}
	if (batch->nmessages == 0)
		batch->started_at = GetCurrentTimestamp();
	result = &batch->messages[batch->nmessages++];
	memset(result, 0, sizeof(*result));
	result->message = *message; /* owned by the batch from here on */
	result->stream = stream;
	result->message_at = fm_kafka_time_valid(message->timestamp) ?
		fm_kafka_time(message->timestamp) : batch->started_at;
	batch->bytes += message->len;
	message->opaque = NULL;
	return result;
}

/*
 * fm_collect_message
 *		Take a polled message: into the batch, to the proof, or away.
 *
 * Owns the message from the call on.  A message below what was collected
 * already is a leftover of an earlier fetch; one of a partition that is not
 * running is not wanted now and will be fetched again.
 */
void
fm_collect_message(FmWorker *worker, FmMessage *message)
{
	FmAssigned *assigned = fm_assign_find(worker, message->partition);
	FmBatchMessage *entry;

	/*
	 * While a batch waits to be stored, and while the set of what is fetched
	 * is about to be replaced, nothing is taken: it will be fetched again.
	 */
	if (worker->retrying || worker->fetch_dirty)
		assigned = NULL;
	if (assigned && assigned->phase == FM_PHASE_PROVING)
	{
		fm_assign_prove(worker, assigned, message);
		if (assigned->phase != FM_PHASE_RUNNING)
		{
			fm_message_release(message);
			return;
		}
	}
	if (!assigned || assigned->phase != FM_PHASE_RUNNING ||
		message->offset < assigned->next_offset)
	{
		fm_message_release(message);
		return;
	}
	if (message->offset < assigned->row.position)
	{
		/* nothing was delivered between last message and position before */
		fm_message_release(message);
		fm_assign_other_log(worker, assigned,
							"a message stands where there was none");
		return;
	}

	entry = append(&worker->batch, message,
				   (int) (assigned - worker->assigned));
	assigned->next_offset = entry->message.offset + 1;
	assigned->rate_messages++;
	if (entry->message.payload == NULL)
	{
		entry->class = FM_CLASS_TOMBSTONE;
		return;
	}
	classify_readings(worker, entry, worker->batch.nmessages - 1);
	if (entry->class == FM_CLASS_REJECTED && is_heartbeat(&entry->message))
		classify_heartbeat(&worker->batch, entry);
}
