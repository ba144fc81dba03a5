/*-------------------------------------------------------------------------
 *
 * dedup.c
 *	  Which messages of a batch bring nothing new?
 *
 * A reading is repeated if another one with its key was stored before, no
 * longer ago than deduplicate_ttl, or stands before it in the same batch.  A
 * message is dropped if all its readings are; else it is stored whole.  So a
 * message that has a new key is always stored, and new keys can be registered
 * one by one, without a look at what else is in their messages.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "dedup_internal.h"
#include "own_table.h"

enum
{
	DUP_SEEN_AT = 1,
	DUP_KAFKA_OFFSET,
	DUP_FIRST_OFFSET,
	DUP_STREAM_ID,
	DUP_FIRST_STREAM_ID,
	DUP_PIPELINE_ID,
	DUP_READING_ID,
	DUP_NCOLUMNS = DUP_READING_ID
};

/* One range of messages. */
typedef struct Dedup
{
	const FmPipeline *pipeline;
	FmBatchMessage *messages;
	int			from;
	int			to;
	const FmRow *rows;
	FmReadingKey *keys;			/* of all readings that have one */
	int			nkeys;
	FmReadingKey **heads;		/* the first of each key */
	int			nheads;
	FmReadingKey **by_row;		/* NULL: has none; from first_row on */
	int			first_row;
	int			nrows;
	int			nduplicates;
} Dedup;

/* ----------------------------------------------------------------------
 * Finding out
 * ------------------------------------------------------------------- */

/* Where the rows of the range begin and end. */
static void
find_rows(Dedup *dedup)
{
	dedup->nrows = 0;
	for (int i = dedup->from; i < dedup->to; i++)
	{
		const FmBatchMessage *message = &dedup->messages[i];

		if (message->nrows == 0)
			continue;
		if (dedup->nrows == 0)
			dedup->first_row = message->first_row;
		dedup->nrows = message->first_row + message->nrows -
			dedup->first_row;
	}
}

static bool
same_key(const FmReadingKey *a, const FmReadingKey *b)
{
	return memcmp(a->key.data, b->key.data, UUID_LEN) == 0;
}

static void
make_keys(Dedup *dedup)
{
	dedup->keys = palloc_extended(sizeof(FmReadingKey) * dedup->nrows,
								  MCXT_ALLOC_HUGE);
	dedup->nkeys = fm_keys_make(dedup->pipeline, dedup->messages, dedup->from,
								dedup->to, dedup->rows, dedup->keys);
	dedup->heads = palloc_extended(sizeof(FmReadingKey *) *
								   Max(dedup->nkeys, 1), MCXT_ALLOC_HUGE);
	dedup->by_row = palloc_extended(sizeof(FmReadingKey *) * dedup->nrows,
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < dedup->nkeys; i++)
	{
		FmReadingKey *key = &dedup->keys[i];

		dedup->by_row[key->row - dedup->first_row] = key;
		if (i == 0 || !same_key(key, key - 1))
			dedup->heads[dedup->nheads++] = key;
	}
}

/* Those behind the first of their key repeat it, or what it repeats. */
static void
mark_followers(Dedup *dedup)
{
	const FmReadingKey *head = NULL;

	for (int i = 0; i < dedup->nkeys; i++)
	{
		FmReadingKey *key = &dedup->keys[i];

		if (head == NULL || !same_key(key, head))
		{
			head = key;
			continue;
		}
		key->state = FM_KEY_REPEATED;
		key->first_stream = head->state == FM_KEY_REPEATED ?
			head->first_stream : dedup->rows[head->row].stream_id;
		key->first_offset = head->state == FM_KEY_REPEATED ?
			head->first_offset : dedup->rows[head->row].kafka_offset;
	}
}

static bool
is_duplicate(const Dedup *dedup, const FmBatchMessage *message)
{
	if (message->class != FM_CLASS_READINGS || message->nrows == 0)
		return false;
	for (int r = 0; r < message->nrows; r++)
	{
		const FmReadingKey *key =
			dedup->by_row[message->first_row + r - dedup->first_row];

		if (key == NULL || key->state != FM_KEY_REPEATED)
			return false;
	}
	return true;
}

static void
drop_duplicates(Dedup *dedup)
{
	for (int i = dedup->from; i < dedup->to; i++)
	{
		FmBatchMessage *message = &dedup->messages[i];

		if (!is_duplicate(dedup, message))
			continue;
		message->class = FM_CLASS_DUPLICATE;
		message->ndropped = message->nrows;
		message->nrows = 0;
		dedup->nduplicates++;
	}
}

/* ----------------------------------------------------------------------
 * The list of what was dropped
 * ------------------------------------------------------------------- */

static text *
describe_id(const Dedup *dedup, const FmReading *reading)
{
	StringInfoData name;
	char		time[32];

	if (dedup->pipeline->dedup == FM_DEDUP_ID)
		return cstring_to_text_with_len(reading->unique_id.data,
										reading->unique_id.len);
	initStringInfo(&name);
	appendBinaryStringInfo(&name, reading->sensor_id.data,
						   reading->sensor_id.len);
	appendStringInfo(&name, " %.*s",
					 fm_format_rfc3339(reading->ts, 6, time), time);
	return cstring_to_text_with_len(name.data, name.len);
}

static void
list_duplicate(const Dedup *dedup, FmOwnTable *table,
			   const FmBatchMessage *message, TimestampTz now)
{
	const FmRow *reading = &dedup->rows[message->first_row];
	const FmReadingKey *key =
		dedup->by_row[message->first_row - dedup->first_row];
	TupleTableSlot *row = fm_own_table_row(table);
	MemoryContext old = MemoryContextSwitchTo(table->chunk);

	fm_own_table_set_time(row, DUP_SEEN_AT, now);
	fm_own_table_set(row, DUP_KAFKA_OFFSET,
					 Int64GetDatum(reading->kafka_offset), false);
	fm_own_table_set(row, DUP_FIRST_OFFSET, Int64GetDatum(key->first_offset),
					 false);
	fm_own_table_set_int4(row, DUP_STREAM_ID, reading->stream_id);
	fm_own_table_set_int4(row, DUP_FIRST_STREAM_ID, key->first_stream);
	fm_own_table_set_int2(row, DUP_PIPELINE_ID, dedup->pipeline->id);
	fm_own_table_set(row, DUP_READING_ID,
					 PointerGetDatum(describe_id(dedup, reading->reading)),
					 false);
	MemoryContextSwitchTo(old);
	fm_own_table_put(table, row);
}

static void
list_duplicates(const Dedup *dedup, TimestampTz now)
{
	FmOwnTable *table = palloc(sizeof(FmOwnTable));

	fm_own_table_open_partition(table, dedup->pipeline->id, "duplicate",
								DUP_NCOLUMNS, now);
	for (int i = dedup->from; i < dedup->to; i++)
		if (dedup->messages[i].class == FM_CLASS_DUPLICATE)
			list_duplicate(dedup, table, &dedup->messages[i], now);
	fm_own_table_close(table);
}

/* ----------------------------------------------------------------------
 * All
 * ------------------------------------------------------------------- */

void
fm_dedup_restore(FmBatchMessage *messages, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		FmBatchMessage *message = &messages[i];

		if (message->class != FM_CLASS_DUPLICATE)
			continue;
		message->class = FM_CLASS_READINGS;
		message->nrows = message->ndropped;
		message->ndropped = 0;
	}
}

static void
deduplicate(Dedup *dedup)
{
	FmSlices   *slices;
	TimestampTz now;

	make_keys(dedup);
	if (dedup->nkeys == 0)
		return;
	slices = fm_slices_open(dedup->pipeline);
	now = fm_slices_now(slices);
	fm_slices_look_up(slices, dedup->heads, dedup->nheads, dedup->rows);
	fm_slices_insert(slices, dedup->heads, dedup->nheads, dedup->rows);
	fm_slices_close(slices);
	mark_followers(dedup);
	drop_duplicates(dedup);
	if (dedup->nduplicates > 0)
		list_duplicates(dedup, now);
}

void
fm_dedup_range(const FmPipeline *pipeline, FmBatchMessage *messages, int from,
			   int to, const FmRow *rows)
{
	Dedup		dedup = {pipeline, messages, from, to, rows};
	MemoryContext context;
	MemoryContext old;

	fm_dedup_restore(messages, from, to);
	if (pipeline->dedup == FM_DEDUP_NONE)
		return;
	find_rows(&dedup);
	if (dedup.nrows == 0)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"factorymon deduplication",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	deduplicate(&dedup);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ----------------------------------------------------------------------
 * What is left
 * ------------------------------------------------------------------- */

FmRow *
fm_dedup_rows(const FmBatchMessage *messages, int from, int to, FmRow *rows,
			  int *nrows)
{
	FmRow	   *result = NULL;
	bool		holes = false;
	int			n = 0;

	for (int i = from; i < to; i++)
	{
		const FmBatchMessage *message = &messages[i];

		if (message->nrows == 0)
			continue;
		if (result == NULL)
			result = &rows[message->first_row];
		holes = holes || result + n != &rows[message->first_row];
		n += message->nrows;
	}
	*nrows = n;
	if (!holes)
		return result;
	result = palloc_extended(sizeof(FmRow) * n, MCXT_ALLOC_HUGE);
	n = 0;
	for (int i = from; i < to; i++)
	{
		memcpy(&result[n], &rows[messages[i].first_row],
			   sizeof(FmRow) * messages[i].nrows);
		n += messages[i].nrows;
	}
	return result;
}

void
fm_dedup_settle_rows(const FmBatchMessage *messages, int from, int to,
					 FmRow *rows, FmRow *stored)
{
	int			n = 0;

	for (int i = from; i < to; i++)
		for (int r = 0; r < messages[i].nrows; r++)
			rows[messages[i].first_row + r].suppressed =
				stored[n++].suppressed;
}

int
fm_dedup_message_of_row(const FmBatchMessage *messages, int from, int to,
						int row)
{
	int			nrows = 0;

	for (int i = from; i < to && row >= 0; i++)
	{
		nrows += messages[i].nrows;
		if (row < nrows)
			return i;
	}
	return -1;
}
