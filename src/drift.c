/*-------------------------------------------------------------------------
 *
 * drift.c
 *	  What messages have that their format does not expect: counted, and shown
 *	  in factorymon.schema_drift.
 *
 * The decoder marks a message as strange, mapping_drift.c says what is strange
 * about it, and here a worker counts that in its memory, by path and kind.  A
 * message that is as its format says costs nothing of this.
 *
 * What was counted is added to _factorymon.drift every few seconds at most, in
 * a transaction of the worker's own.  Not in the batch's: the rows are shared
 * by all workers of a pipeline, and nothing that a batch writes may be.  So the
 * counts are not exact as those of messages are: a message that is fetched
 * twice, because its batch could not be committed, is counted twice, and a
 * worker that is killed takes some seconds with it.  An error in writing them
 * is logged and the counts are kept for the next time; ingest goes on.
 *
 * A pipeline has MAX_PATHS rows at most, and a worker as many entries; what is
 * more is counted in one row (FM_DRIFT_MORE).  The pipeline's row is locked
 * while rows are added, so that workers agree on how many there are.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "hashtable.h"
#include "pipeline_internal.h"
#include "worker.h"

PG_FUNCTION_INFO_V1(factorymon_forget_drift);

#define MAX_PATHS		100
#define FLUSH_INTERVAL	(5 * USECS_PER_SEC)

typedef struct DriftKey
{
	FmDriftKind kind;
	char		path[FM_DRIFT_PATH + 1];	/* zeros behind it */
} DriftKey;

typedef struct DriftEntry
{
	DriftKey	key;
	TimestampTz first_seen;
	TimestampTz last_seen;
	int64		messages;
	uint64		message;		/* the last one that counted */
	int32		partition;		/* of the first one */
	int64		offset;
	char		example[FM_DRIFT_EXAMPLE + 1];
} DriftEntry;

typedef struct FmDriftLog
{
	MemoryContext context;
	HTAB	   *entries;		/* NULL: none */
	int			nentries;
	TimestampTz flush_at;		/* valid while there are entries */
	TimestampTz flushed_at;
	/* the message at hand */
	const FmMessage *at_hand;
	uint64		message;		/* its number */
	TimestampTz now;
} FmDriftLog;

/* ----------------------------------------------------------------------
 * Counting
 * ------------------------------------------------------------------- */

FmDriftLog *
fm_drift_log_create(MemoryContext context)
{
	FmDriftLog *log = MemoryContextAllocZero(context, sizeof(FmDriftLog));

	log->context = AllocSetContextCreate(context, "factorymon drift",
										 ALLOCSET_SMALL_SIZES);
	return log;
}

static void
begin_entries(FmDriftLog *log)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(DriftKey);
	control.entrysize = sizeof(DriftEntry);
	control.hcxt = log->context;
	log->entries = hash_create("factorymon drift", MAX_PATHS, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	log->nentries = 0;
	log->flush_at = Max(log->now, log->flushed_at + FLUSH_INTERVAL);
}

static void
set_key(DriftKey *key, FmDriftKind kind, const char *path, int len)
{
	memset(key, 0, sizeof(*key));
	key->kind = kind;
	memcpy(key->path, path, Min(len, FM_DRIFT_PATH));
}

static void
note(void *arg, const FmDrift *drift)
{
	FmDriftLog *log = arg;
	DriftEntry *entry;
	DriftKey	key;
	bool		found;

	set_key(&key, drift->kind, drift->path.data, drift->path.len);
	entry = hash_search(log->entries, &key, HASH_FIND, NULL);
	if (!entry)
	{
		bool		more = log->nentries >= MAX_PATHS;

		if (more)
			set_key(&key, FM_DRIFT_MORE, "", 0);
		entry = hash_search(log->entries, &key, HASH_ENTER, &found);
		if (!found)
		{
			memset((char *) entry + sizeof(DriftKey), 0,
				   sizeof(DriftEntry) - sizeof(DriftKey));
			entry->first_seen = log->now;
			entry->partition = log->at_hand->partition;
			entry->offset = log->at_hand->offset;
			if (!more)
				memcpy(entry->example, drift->example.data,
					   Min(drift->example.len, FM_DRIFT_EXAMPLE));
			log->nentries++;
		}
	}
	if (entry->message == log->message)
		return;
	entry->message = log->message;
	entry->messages++;
	entry->last_seen = log->now;
}

/* Count what is strange about a message that the decoder found to be. */
void
fm_drift_log_note(FmWorker *worker, const FmMessage *message)
{
	FmDriftLog *log = worker->drift;

	log->at_hand = message;
	log->message++;
	log->now = GetCurrentTimestamp();
	if (!log->entries)
		begin_entries(log);
	fm_drift_scan(worker->format, message->payload, message->len, note, log);
}

/* ----------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------- */

/* When fm_drift_log_flush() will have something to do; DT_NOEND: never. */
TimestampTz
fm_drift_log_due(const FmDriftLog *log)
{
	return log->entries ? log->flush_at : DT_NOEND;
}

static void
entry_args(FmArgs *args, const FmPipeline *pipeline, const DriftEntry *entry)
{
	fm_args_int2(args, pipeline->id);
	fm_args_text(args, entry->key.path);
	fm_args_text(args, fm_drift_name(entry->key.kind));
	fm_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(entry->first_seen),
				false);
	fm_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(entry->last_seen),
				false);
	fm_args_int8(args, entry->messages);
	fm_args_text(args, entry->example[0] ? entry->example : NULL);
	fm_args_text(args, pipeline->topic);
	fm_args_int4(args, entry->partition);
	fm_args_int8(args, entry->offset);
}

/* Add to the row of an entry; a new one only if there is room for it. */
static bool
write_entry(const FmPipeline *pipeline, const DriftEntry *entry)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	entry_args(&args, pipeline, entry);
	fm_args_int8(&args, entry->key.kind == FM_DRIFT_MORE ? PG_INT64_MAX :
				 MAX_PATHS);
	return fm_args_run_kept(&args, &plan, "INSERT INTO _factorymon.drift AS d"
							" (pipeline_id, path, what, first_seen, last_seen,"
							" messages, example, topic, kafka_partition,"
							" kafka_offset)"
							" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
							" WHERE (SELECT count(*) FROM _factorymon.drift"
							"  WHERE pipeline_id = $1 AND path <> '') < $11"
							" OR EXISTS (SELECT 1 FROM _factorymon.drift"
							"  WHERE pipeline_id = $1 AND path = $2"
							"  AND what = $3)"
							" ON CONFLICT (pipeline_id, path, what) DO UPDATE"
							" SET last_seen = greatest(d.last_seen,"
							"  excluded.last_seen),"
							" messages = d.messages + excluded.messages",
							SPI_OK_INSERT) > 0;
}

/* In a transaction; false: the pipeline is gone. */
static bool
lock_pipeline(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	return fm_args_run(&args, "SELECT 1 FROM _factorymon.pipeline"
					   " WHERE pipeline_id = $1 FOR NO KEY UPDATE",
					   SPI_OK_SELECT) > 0;
}

static void
write_entries(FmWorker *worker)
{
	HASH_SEQ_STATUS status;
	FmOwnerScope scope;
	DriftEntry *entry;
	DriftEntry	more = {{0}};

	fm_worker_begin(&scope);
	if (lock_pipeline(worker->pipeline->id))
	{
		hash_seq_init(&status, worker->drift->entries);
		while ((entry = hash_seq_search(&status)) != NULL)
		{
			if (write_entry(worker->pipeline, entry))
				continue;
			if (more.messages == 0)
				more = *entry;
			else
				more.messages += entry->messages;
			more.last_seen = Max(more.last_seen, entry->last_seen);
		}
		if (more.messages > 0)
		{
			set_key(&more.key, FM_DRIFT_MORE, "", 0);
			more.example[0] = '\0';
			(void) write_entry(worker->pipeline, &more);
		}
	}
	fm_worker_commit(&scope);
}

static void
log_failure(FmWorker *worker, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	ereport(LOG,
			(errmsg("schema drift of pipeline \"%s\" could not be written and is kept for later: %s",
					worker->pipeline->name, error->message)));
	FreeErrorData(error);
}

/* Write what was counted, if it is time or at_once; never fails. */
void
fm_drift_log_flush(FmWorker *worker, bool at_once)
{
	FmDriftLog *log = worker->drift;
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now;

	if (!log->entries)
		return;
	now = GetCurrentTimestamp();
	if (!at_once && now < log->flush_at)
		return;
	log->flushed_at = now;
	log->flush_at = now + FLUSH_INTERVAL;
	PG_TRY();
	{
		write_entries(worker);
		log->entries = NULL;
		MemoryContextReset(log->context);
	}
	PG_CATCH();
	{
		log_failure(worker, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/*
 * factorymon.forget_drift(pipeline text, path text): rows that went; path null
 * forgets all.
 */
Datum
factorymon_forget_drift(PG_FUNCTION_ARGS)
{
	FmPipeline *pipeline;
	FmArgs		args = {0};
	FmOwnerScope scope;
	int64		gone;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, GetUserId(), "admin");
	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, fm_arg_text(fcinfo, 1));
	gone = (int64) fm_args_run(&args, "DELETE FROM _factorymon.drift"
							   " WHERE pipeline_id = $1"
							   " AND ($2 IS NULL OR path = $2)",
							   SPI_OK_DELETE);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_INT64(gone);
}
