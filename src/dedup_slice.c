/*-------------------------------------------------------------------------
 *
 * dedup_slice.c
 *	  Keys of readings, in one table for each slice of time.
 *
 * A slice is half of the time for which a reading is known, so that keys are
 * forgotten by dropping a table, and at most three slices are looked at: what
 * arrives now is registered in the present one, and looked up in those before.
 * Each has a unique index on the key.
 *
 * Two workers that bring the same reading at the same time meet in the index of
 * the present slice: whoever comes later waits for the other one's transaction.
 * Nobody waits for anything else.  All keys of a batch are looked up before one
 * is inserted, and inserted in the order of keys, so that nobody waits for
 * somebody who waits for him.  Should another worker insert a key after we looked
 * for it, the unique index says so, and the batch is tried again.
 *
 * The clock passes from one slice to the next while others are still at work in
 * the old one.  Whoever makes a slice its present one first takes a lock that
 * stands for that (weakly, on the table as an object: it conflicts with nothing
 * else), and looks at the clock again.  Whoever finds the lock of an earlier slice
 * free (in a mode that conflicts) knows that it will not change any more, and
 * looks keys up there by an ordinary snapshot from then on.  As long as somebody
 * holds it, keys are registered in both.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "dedup_internal.h"
#include "key_index.h"
#include "own_table.h"
#include "pipeline_internal.h"

enum
{
	KEY_SEEN_AT = 1,
	KEY_KEY,
	KEY_KAFKA_OFFSET,
	KEY_STREAM_ID,
	KEY_PIPELINE_ID,
	KEY_READING_INDEX,
	KEY_NCOLUMNS = KEY_READING_INDEX
};

typedef struct Slice
{
	FmPartitionRange range;
	bool		open;			/* not empty, or to be written */
	bool		writes;			/* keys are registered here */
	bool		sealed;			/* nobody else registers here any more */
	bool		simple;			/* key_index.c knows its index */
	FmOwnTable	table;
} Slice;

struct FmSlices
{
	int16		pipeline_id;
	TimestampTz now;
	TimestampTz since;			/* what was seen before is forgotten */
	Slice	   *slices;			/* by time */
	int			nslices;
	Snapshot	snapshot;		/* for those that are sealed */
};

/* Slices of one pipeline that end at or before this do not change any more. */
static struct
{
	Oid			parent;
	TimestampTz until;
	TimestampTz now;			/* the latest that was ever the present */
}			sealed = {InvalidOid};

static bool lost_race = false;

bool
fm_dedup_lost_race(void)
{
	bool		result = lost_race;

	lost_race = false;
	return result;
}

TimestampTz
fm_dedup_ensure(const FmPipeline *pipeline, TimestampTz now)
{
	static const char *const kinds[] = {"duplicate", "reading_key"};
	int64		width = pipeline->dedup_ttl / 2;
	TimestampTz from;
	TimestampTz to = now;

	for (int i = 0; i < lengthof(kinds); i++)
	{
		(void) fm_partition_ensure(pipeline->id, kinds[i], width, now);
		fm_partition_ensured_range(&from, &to);
		(void) fm_partition_ensure(pipeline->id, kinds[i], width, to);
	}
	return to;
}

/* ----------------------------------------------------------------------
 * The present slice, and those that are sealed
 * ------------------------------------------------------------------- */

static void
set_tag(LOCKTAG *tag, const Slice *slice)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId,
					   slice->range.relid, 0);
}

static Slice *
slice_of(FmSlices *slices, TimestampTz ts)
{
	for (int i = 0; i < slices->nslices; i++)
		if (slices->slices[i].range.from <= ts &&
			ts < slices->slices[i].range.to)
			return &slices->slices[i];
	/* not an error of data: it has no constraint's name (see isolate.c) */
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("there is no table for keys of readings that arrive now")));
	return NULL;				/* keep compiler quiet */
}

/* Which slices there are, as of now. */
static void
survey(FmSlices *slices, Relation parent, int64 ttl)
{
	FmPartitionRange *ranges;

	slices->now = GetCurrentTimestamp();
	slices->since = slices->now - ttl;
	slices->nslices = fm_partition_ranges(parent, slices->since, &ranges);
	slices->slices = palloc0(sizeof(Slice) * Max(slices->nslices, 1));
	for (int i = 0; i < slices->nslices; i++)
		slices->slices[i].range = ranges[i];
}

/* Make the slice of now the present one, which others can tell by its lock. */
static Slice *
enter_present(FmSlices *slices, Relation parent, int64 ttl)
{
	for (;;)
	{
		Slice	   *present;
		LOCKTAG		tag;

		CHECK_FOR_INTERRUPTS();
		survey(slices, parent, ttl);
		present = slice_of(slices, slices->now);
		set_tag(&tag, present);
		(void) LockAcquire(&tag, RowExclusiveLock, false, false);
		slices->now = GetCurrentTimestamp();
		if (slices->now >= present->range.from &&
			slices->now < present->range.to)
			return present;
		LockRelease(&tag, RowExclusiveLock, false);
	}
}

/* Does nobody work in this slice any more, and will nobody? */
static bool
is_sealed(const Slice *slice)
{
	LOCKTAG		tag;

	if (slice->range.to <= sealed.until)
		return true;
	set_tag(&tag, slice);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	LockRelease(&tag, ShareLock, false);
	return true;
}

/* What is to be done with each slice; those to come, of a clock that was set
 * back, are only looked at. */
static void
assign_roles(FmSlices *slices, Oid parent, Slice *present)
{
	bool		all = true;

	if (sealed.parent != parent || slices->now < sealed.now)
		sealed.until = DT_NOBEGIN;
	sealed.parent = parent;
	sealed.now = slices->now;
	present->writes = true;
	for (Slice *slice = slices->slices; slice < present; slice++)
	{
		slice->sealed = is_sealed(slice);
		slice->writes = !slice->sealed;
		all = all && slice->sealed;
		if (all)
			sealed.until = Max(sealed.until, slice->range.to);
	}
}

/* ----------------------------------------------------------------------
 * Opening and closing
 * ------------------------------------------------------------------- */

/* Rows were put in the order of keys. */
static void
fill_index(FmOwnTable *table)
{
	FmKeyEntry	entries[FM_OWN_TABLE_CHUNK];
	IndexInfo  *info;
	Relation	index = fm_own_table_key_index(table, &info);

	for (int i = 0; i < table->nslots; i++)
	{
		entries[i].key = DatumGetUUIDP(table->slots[i]->tts_values[KEY_KEY - 1]);
		entries[i].tid = table->slots[i]->tts_tid;
	}
	fm_key_index_insert(table->rel, index, info, entries, table->nslots);
}

static void
open_slice(Slice *slice)
{
	IndexInfo  *info;
	Relation	index;

	fm_own_table_open_leaf(&slice->table, slice->range.relid, KEY_NCOLUMNS,
						   KEY_KEY);
	slice->open = slice->writes ||
		RelationGetNumberOfBlocks(slice->table.rel) > 0;
	if (!slice->open)
	{
		fm_own_table_close(&slice->table);
		return;
	}
	index = fm_own_table_key_index(&slice->table, &info);
	slice->simple = fm_key_index_fits(index, KEY_KEY) &&
		slice->table.result->ri_NumIndices == 1;
	if (slice->simple)
		slice->table.fill = fill_index;
}

FmSlices *
fm_slices_open(const FmPipeline *pipeline)
{
	FmSlices   *slices = palloc0(sizeof(FmSlices));
	Oid			relid = fm_storage_lock(pipeline->id, "reading_key",
										RowExclusiveLock);
	Relation	parent = table_open(relid, NoLock);
	Slice	   *present;

	slices->pipeline_id = pipeline->id;
	present = enter_present(slices, parent, pipeline->dedup_ttl);
	assign_roles(slices, relid, present);
	for (int i = 0; i < slices->nslices; i++)
		open_slice(&slices->slices[i]);
	/* later than the look at the locks */
	slices->snapshot = RegisterSnapshot(GetLatestSnapshot());
	table_close(parent, NoLock);
	return slices;
}

TimestampTz
fm_slices_now(const FmSlices *slices)
{
	return slices->now;
}

void
fm_slices_close(FmSlices *slices)
{
	UnregisterSnapshot(slices->snapshot);
	for (int i = 0; i < slices->nslices; i++)
		if (slices->slices[i].open)
			fm_own_table_close(&slices->slices[i].table);
	/* a later call in this transaction looks there, too */
	CommandCounterIncrement();
}

/* ----------------------------------------------------------------------
 * Looking up
 * ------------------------------------------------------------------- */

/*
 * Find the row of a key.  Under a snapshot that shows what is not committed,
 * wait until it is known what becomes of it.
 */
static bool
find(FmOwnLookup *lookup, Slice *slice, Snapshot snapshot, ScanKey key)
{
	while (fm_own_table_lookup_last(lookup, key))
	{
		TransactionId other = InvalidTransactionId;
		ItemPointerData tid = lookup->row->tts_tid;

		if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
			other = TransactionIdIsValid(snapshot->xmin) ?
				snapshot->xmin : snapshot->xmax;
		if (!TransactionIdIsValid(other))
			return true;
		/* no page may stay pinned meanwhile */
		ExecClearTuple(lookup->row);
		index_rescan(lookup->scan, key, 1, NULL, 0);
		XactLockTableWait(other, slice->table.rel, &tid,
						  XLTW_InsertIndexUnique);
	}
	return false;
}

/* What does the row that was found say of a reading? */
static void
judge(const TupleTableSlot *found, FmReadingKey *key, const FmRow *row)
{
	int32		stream_id = fm_own_table_get_int4(found, KEY_STREAM_ID, 0);
	int64		kafka_offset = fm_own_table_get_int8(found, KEY_KAFKA_OFFSET,
													 0);

	if (stream_id == row->stream_id && kafka_offset == row->kafka_offset &&
		fm_own_table_get_int2(found, KEY_READING_INDEX, 0) ==
		row->reading_index)
	{
		key->state = FM_KEY_OWN;
		return;
	}
	key->state = FM_KEY_REPEATED;
	key->first_stream = stream_id;
	key->first_offset = kafka_offset;
}

/*
 * Those new keys that may be in the slice, all of which are so if it is not
 * simple; returns how many.
 */
static int
select_keys(Slice *slice, FmReadingKey **keys, int n, FmReadingKey **selected)
{
	FmKeyEntry *entries = palloc_extended(sizeof(FmKeyEntry) * Max(n, 1),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	IndexInfo  *info;
	int			nnew = 0;
	int			nselected = 0;

	for (int i = 0; i < n; i++)
	{
		if (keys[i]->state != FM_KEY_NEW)
			continue;
		selected[nnew] = keys[i];
		entries[nnew++].key = &keys[i]->key;
	}
	if (!slice->simple)
		return nnew;
	fm_key_index_look(slice->table.rel,
					  fm_own_table_key_index(&slice->table, &info), entries,
					  nnew);
	for (int i = 0; i < nnew; i++)
		if (entries[i].maybe)
			selected[nselected++] = selected[i];
	pfree(entries);
	return nselected;
}

static void
look_up_in(FmSlices *slices, Slice *slice, FmReadingKey **all, int nall,
		   const FmRow *rows)
{
	FmReadingKey **keys = palloc_extended(sizeof(FmReadingKey *) *
										  Max(nall, 1), MCXT_ALLOC_HUGE);
	int			n = select_keys(slice, all, nall, keys);
	SnapshotData dirty;
	Snapshot	snapshot = slice->sealed ? slices->snapshot : &dirty;
	FmOwnLookup lookup;
	ScanKeyData scan_key;

	InitDirtySnapshot(dirty);
	fm_own_table_lookup_begin(&lookup, &slice->table, snapshot, 1);
	fm_own_table_key(&slice->table, &scan_key, KEY_KEY, F_UUID_EQ, (Datum) 0);
	/* of the index, not of the table */
	scan_key.sk_attno = 1;
	for (int i = 0; i < n; i++)
	{
		scan_key.sk_argument = UUIDPGetDatum(&keys[i]->key);
		if (!find(&lookup, slice, snapshot, &scan_key))
			continue;
		if (fm_own_table_get_time(lookup.row, KEY_SEEN_AT, 0) >=
			slices->since)
			judge(lookup.row, keys[i], &rows[keys[i]->row]);
		else if (slice->writes)
			/* forgotten, but the index knows it still */
			simple_table_tuple_delete(slice->table.rel, &lookup.row->tts_tid,
									  snapshot);
	}
	fm_own_table_lookup_end(&lookup);
	pfree(keys);
}

void
fm_slices_look_up(FmSlices *slices, FmReadingKey **keys, int n,
				  const FmRow *rows)
{
	for (int i = 0; i < slices->nslices; i++)
		if (slices->slices[i].open)
			look_up_in(slices, &slices->slices[i], keys, n, rows);
}

/* ----------------------------------------------------------------------
 * Registering
 * ------------------------------------------------------------------- */

static void
insert_into(FmSlices *slices, Slice *slice, FmReadingKey **keys, int n,
			const FmRow *rows)
{
	FmOwnTable *table = &slice->table;

	for (int i = 0; i < n; i++)
	{
		const FmRow *reading = &rows[keys[i]->row];
		TupleTableSlot *row;

		if (keys[i]->state != FM_KEY_NEW)
			continue;
		row = fm_own_table_row(table);
		fm_own_table_set_time(row, KEY_SEEN_AT, slices->now);
		fm_own_table_set(row, KEY_KEY, UUIDPGetDatum(&keys[i]->key), false);
		fm_own_table_set(row, KEY_KAFKA_OFFSET,
						 Int64GetDatum(reading->kafka_offset), false);
		fm_own_table_set_int4(row, KEY_STREAM_ID, reading->stream_id);
		fm_own_table_set_int2(row, KEY_PIPELINE_ID, slices->pipeline_id);
		fm_own_table_set_int2(row, KEY_READING_INDEX, reading->reading_index);
		fm_own_table_put(table, row);
	}
	fm_own_table_flush(table);
}

void
fm_slices_insert(FmSlices *slices, FmReadingKey **keys, int n,
				 const FmRow *rows)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		for (int i = 0; i < slices->nslices; i++)
			if (slices->slices[i].writes)
				insert_into(slices, &slices->slices[i], keys, n, rows);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		lost_race = true;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("another transaction stored a repeated reading at the same moment")));
	}
	PG_END_TRY();
}
