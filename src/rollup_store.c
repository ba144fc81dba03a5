/*-------------------------------------------------------------------------
 *
 * rollup_store.c
 *	  Minutes in the tables: storing what was summed up in memory, making it
 *	  from rows.  What takes it away is in rollup_gone.c.
 *
 * Which readings are in stored parts follows from the readings alone: of each
 * stream those before a time (rollup_stream.pending_from), and all that no
 * fold has taken in (replayed and retried ones).  The others are pending: in
 * the memory of the worker that owns the stream, and in the views counted from
 * their rows.  Whoever stores parts, or moves that time, does so in the
 * transaction that stores or deletes the readings, holding the stream's
 * position row.
 *
 * Hours that have been computed already and whose minutes change are marked
 * (rollup_mark), in the same transaction; see rollup_merge.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"

#include "btree_batch.h"
#include "guc.h"
#include "own_table.h"
#include "pipeline_internal.h"
#include "reading.h"
#include "rollup_parts.h"
#include "rollup_query.h"

/* Columns of _factorymon.rollup_1m, from 1. */
enum
{
	ROLLUP_BUCKET = 1,
	ROLLUP_FIRST_TS,
	ROLLUP_LAST_TS,
	ROLLUP_FIRST_OFFSET,
	ROLLUP_LAST_OFFSET,
	ROLLUP_FROM_OFFSET,
	ROLLUP_TO_OFFSET,
	ROLLUP_MEAN,
	ROLLUP_M2,
	ROLLUP_MIN,
	ROLLUP_MAX,
	ROLLUP_FIRST,
	ROLLUP_LAST,
	ROLLUP_SENSOR_ID,
	ROLLUP_SENSOR_VERSION_ID,
	ROLLUP_N,
	ROLLUP_N_BAD,
	ROLLUP_N_WARNING,
	ROLLUP_N_CRITICAL,
	ROLLUP_FIRST_STREAM,
	ROLLUP_LAST_STREAM,
	ROLLUP_PIPELINE_ID,
	ROLLUP_FIRST_INDEX,
	ROLLUP_LAST_INDEX,
	ROLLUP_COLUMNS = ROLLUP_LAST_INDEX
};

/* One mark is for so long, which no time zone's hour divides. */
#define MARK_WIDTH	(15 * FM_ROLLUP_MINUTE)

/* ... of a stream ($1), of rows that a fold has taken in. */
#define PENDING \
	SUMMARIES " FROM _factorymon.sensor s" \
	" JOIN _factorymon.reading_%d r ON r.sensor_id = s.sensor_id" \
	" WHERE s.pipeline_id = $2 AND r.stream_id = $1 AND r.ts >= $3" \
	" AND r.kafka_offset < $4 AND r.flags & 32 = 0"

StaticAssertDecl(FM_FLAG_NOT_FOLDED == 32, "the queries here know the flag");

/* ----------------------------------------------------------------------
 * Marks
 * ------------------------------------------------------------------- */

typedef struct Marks
{
	Datum	   *sensors;
	Datum	   *buckets;
	int			n;
	FmRollupKey last;
} Marks;

/* Minutes before this may be in hours that have been computed. */
static TimestampTz
marked_from(int16 pipeline_id)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	if (fm_args_run_kept(&args, &plan, "SELECT marked_from"
						 " FROM _factorymon.rollup_progress"
						 " WHERE pipeline_id = $1", SPI_OK_SELECT) == 0)
		return DT_NOEND;
	return fm_spi_int8(0, 1);
}

static void
add_mark(Marks *marks, const FmRollupKey *key)
{
	TimestampTz bucket = key->bucket - key->bucket % MARK_WIDTH;

	if (key->bucket % MARK_WIDTH < 0)
		bucket -= MARK_WIDTH;
	if (marks->n > 0 && marks->last.sensor_id == key->sensor_id &&
		marks->last.bucket == bucket)
		return;
	marks->last.sensor_id = key->sensor_id;
	marks->last.bucket = bucket;
	marks->sensors[marks->n] = Int32GetDatum(key->sensor_id);
	marks->buckets[marks->n++] = TimestampTzGetDatum(bucket);
}

static void
store_marks(int16 pipeline_id, const Marks *marks)
{
	static void *plan = NULL;
	FmArgs		args = {0};
	ArrayType  *sensors;
	ArrayType  *buckets;

	if (marks->n == 0)
		return;
	sensors = construct_array(marks->sensors, marks->n, INT4OID,
							  sizeof(int32), true, TYPALIGN_INT);
	buckets = construct_array(marks->buckets, marks->n, TIMESTAMPTZOID,
							  sizeof(TimestampTz), true, TYPALIGN_DOUBLE);
	fm_args_int2(&args, pipeline_id);
	fm_args_add(&args, INT4ARRAYOID, PointerGetDatum(sensors), false);
	fm_args_add(&args, TIMESTAMPTZARRAYOID, PointerGetDatum(buckets), false);
	(void) fm_args_run_kept(&args, &plan, "INSERT INTO _factorymon.rollup_mark"
							" (pipeline_id, sensor_id, bucket)"
							" SELECT $1, s, b FROM unnest($2, $3) AS u(s, b)",
							SPI_OK_INSERT);
}

/* ----------------------------------------------------------------------
 * What was summed up in memory
 * ------------------------------------------------------------------- */

static int
compare_parts(const void *a, const void *b)
{
	const FmRollupKey *x = &(*(const FmRollupPart *const *) a)->key;
	const FmRollupKey *y = &(*(const FmRollupPart *const *) b)->key;

	if (x->sensor_id != y->sensor_id)
		return x->sensor_id < y->sensor_id ? -1 : 1;
	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	return x->sensor_version_id < y->sensor_version_id ? -1 :
		x->sensor_version_id > y->sensor_version_id;
}

static void
set_values(Datum *values, const FmRollup *rollup)
{
	values[ROLLUP_FIRST_TS] = TimestampTzGetDatum(rollup->first_at.ts);
	values[ROLLUP_LAST_TS] = TimestampTzGetDatum(rollup->last_at.ts);
	values[ROLLUP_FIRST_OFFSET] = Int64GetDatum(rollup->first_at.kafka_offset);
	values[ROLLUP_LAST_OFFSET] = Int64GetDatum(rollup->last_at.kafka_offset);
	values[ROLLUP_MEAN] = Float8GetDatum(rollup->mean);
	values[ROLLUP_M2] = Float8GetDatum(rollup->m2);
	values[ROLLUP_MIN] = Float8GetDatum(rollup->min);
	values[ROLLUP_MAX] = Float8GetDatum(rollup->max);
	values[ROLLUP_FIRST] = Float8GetDatum(rollup->first);
	values[ROLLUP_LAST] = Float8GetDatum(rollup->last);
	values[ROLLUP_FIRST_INDEX] = Int16GetDatum(rollup->first_at.reading_index);
	values[ROLLUP_LAST_INDEX] = Int16GetDatum(rollup->last_at.reading_index);
}

static void
set_row(TupleTableSlot *row, int16 pipeline_id, int32 stream_id,
		const FmRollupPart *part)
{
	static const AttrNumber of_values[] = {ROLLUP_FIRST_TS, ROLLUP_LAST_TS,
		ROLLUP_FIRST_OFFSET, ROLLUP_LAST_OFFSET, ROLLUP_MEAN, ROLLUP_M2,
		ROLLUP_MIN, ROLLUP_MAX, ROLLUP_FIRST, ROLLUP_LAST, ROLLUP_FIRST_INDEX,
	ROLLUP_LAST_INDEX};
	Datum	   *values = row->tts_values - 1;
	const FmRollup *rollup = &part->rollup;

	set_values(values, rollup);
	values[ROLLUP_BUCKET] = TimestampTzGetDatum(part->key.bucket);
	values[ROLLUP_FROM_OFFSET] = Int64GetDatum(part->from_offset);
	values[ROLLUP_TO_OFFSET] = Int64GetDatum(part->to_offset);
	values[ROLLUP_SENSOR_ID] = Int32GetDatum(part->key.sensor_id);
	values[ROLLUP_SENSOR_VERSION_ID] =
		Int32GetDatum(part->key.sensor_version_id);
	values[ROLLUP_N] = Int32GetDatum((int32) rollup->n);
	values[ROLLUP_N_BAD] = Int32GetDatum((int32) rollup->n_bad);
	values[ROLLUP_N_WARNING] = Int32GetDatum((int32) rollup->n_warning);
	values[ROLLUP_N_CRITICAL] = Int32GetDatum((int32) rollup->n_critical);
	values[ROLLUP_FIRST_STREAM] = values[ROLLUP_LAST_STREAM] =
		Int32GetDatum(stream_id);
	values[ROLLUP_PIPELINE_ID] = Int16GetDatum(pipeline_id);
	for (int i = 0; rollup->n == 0 && i < lengthof(of_values); i++)
		row->tts_isnull[of_values[i] - 1] = true;
}

/* Rows were put in the order of sensors and, of each, of minutes. */
static void
fill_index(FmOwnTable *table)
{
	FmIndexEntry entries[FM_OWN_TABLE_CHUNK];

	for (int i = 0; i < table->nslots; i++)
	{
		Datum	   *values = table->slots[i]->tts_values - 1;

		entries[i].ts = DatumGetTimestampTz(values[ROLLUP_BUCKET]);
		entries[i].sensor_id = DatumGetInt32(values[ROLLUP_SENSOR_ID]);
		entries[i].tid = table->slots[i]->tts_tid;
	}
	fm_btree_insert_batch(table->rel,
						  table->result->ri_IndexRelationDescs[0],
						  table->result->ri_IndexRelationInfo[0],
						  entries, table->nslots);
}

static bool
has_usual_index(const FmOwnTable *table)
{
	return fm_direct_index_insert && table->result->ri_NumIndices == 1 &&
		table->result->ri_IndexRelationInfo[0]->ii_Predicate == NIL &&
		fm_btree_batch_fits(table->result->ri_IndexRelationDescs[0],
							ROLLUP_SENSOR_ID, ROLLUP_BUCKET);
}

/*
 * Those of the parts from number i on that lie in its partition; returns where
 * the first one stands that does not, with all that were stored taken out.
 */
static int
store_in_partition(int16 pipeline_id, int32 stream_id,
				   const FmRollupPart **parts, int n)
{
	FmOwnTable	table;
	TimestampTz ts = parts[0]->key.bucket;
	TimestampTz from;
	TimestampTz to;
	int			left = 0;

	if (!fm_partition_ensure(pipeline_id, "rollup_1m", 0, ts))
		elog(ERROR, "there is no place for rollups of that time");
	fm_partition_ensured_range(&from, &to);
	fm_own_table_open_partition(&table, pipeline_id, "rollup_1m",
								ROLLUP_COLUMNS, ts);
	if (has_usual_index(&table))
		table.fill = fill_index;
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *row;

		if (parts[i]->key.bucket < from || parts[i]->key.bucket >= to)
		{
			parts[left++] = parts[i];
			continue;
		}
		row = fm_own_table_row(&table);
		set_row(row, pipeline_id, stream_id, parts[i]);
		fm_own_table_put(&table, row);
	}
	fm_own_table_close(&table);
	return left;
}

void
fm_rollup_store(int16 pipeline_id, int32 stream_id,
				const FmRollupParts *parts, TimestampTz before, bool mark_all)
{
	const FmRollupPart **sorted;
	Marks		marks = {0};
	TimestampTz mark_before = DT_NOEND;
	int			n = 0;

	sorted = palloc_extended(sizeof(*sorted) * Max(parts->n, 1),
							 MCXT_ALLOC_HUGE);
	for (int i = 0; i < parts->n; i++)
		if (parts->parts[i].key.bucket < before)
			sorted[n++] = &parts->parts[i];
	if (n == 0)
		return;
	qsort(sorted, n, sizeof(*sorted), compare_parts);
	/* from here on hours are not computed without us: see rollup_merge.c */
	(void) fm_storage_lock(pipeline_id, "rollup_1m", RowExclusiveLock);
	if (!mark_all)
		mark_before = marked_from(pipeline_id);
	marks.sensors = palloc(sizeof(Datum) * n);
	marks.buckets = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		if (sorted[i]->key.bucket < mark_before)
			add_mark(&marks, &sorted[i]->key);
	store_marks(pipeline_id, &marks);
	while (n > 0)
		n = store_in_partition(pipeline_id, stream_id, sorted, n);
}

/* ----------------------------------------------------------------------
 * What is pending
 * ------------------------------------------------------------------- */

TimestampTz
fm_rollup_pending_from(int32 stream_id)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int4(&args, stream_id);
	if (fm_args_run_kept(&args, &plan, "SELECT pending_from"
						 " FROM _factorymon.rollup_stream"
						 " WHERE stream_id = $1", SPI_OK_SELECT) == 0)
		elog(ERROR, "stream %d has no row for its rollups", stream_id);
	return fm_spi_int8(0, 1);
}

void
fm_rollup_set_pending_from(int32 stream_id, TimestampTz from)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	fm_args_int4(&args, stream_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(from), false);
	if (fm_args_run_kept(&args, &plan, "UPDATE _factorymon.rollup_stream"
						 " SET pending_from = $2 WHERE stream_id = $1",
						 SPI_OK_UPDATE) != 1)
		elog(ERROR, "stream %d has no row for its rollups", stream_id);
}

static void
pending_args(FmArgs *args, int16 pipeline_id, int32 stream_id,
			 TimestampTz from, int64 below)
{
	fm_args_int4(args, stream_id);
	fm_args_int2(args, pipeline_id);
	fm_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(from), false);
	fm_args_int8(args, below);
}

static double
spi_double(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(datum);
}

/* A row of fm_rollup_load(). */
static void
load_part(uint64 row, int32 stream_id, FmRollupParts *parts)
{
	FmRollupKey key = {fm_spi_int8(row, 1), fm_spi_int4(row, 2),
	fm_spi_int4(row, 3)};
	FmRollupPart *part = fm_rollup_parts_get(parts, &key);
	FmRollup   *rollup = &part->rollup;

	part->from_offset = fm_spi_int8(row, 4);
	part->to_offset = fm_spi_int8(row, 5);
	rollup->n = fm_spi_int4(row, 6);
	rollup->n_bad = fm_spi_int4(row, 7);
	rollup->n_warning = fm_spi_int4(row, 8);
	rollup->n_critical = fm_spi_int4(row, 9);
	rollup->mean = spi_double(row, 10);
	rollup->m2 = spi_double(row, 11);
	rollup->min = spi_double(row, 12);
	rollup->max = spi_double(row, 13);
	rollup->first = spi_double(row, 14);
	rollup->last = spi_double(row, 15);
	rollup->first_at.ts = fm_spi_int8(row, 16);
	rollup->last_at.ts = fm_spi_int8(row, 17);
	rollup->first_at.kafka_offset = fm_spi_int8(row, 18);
	rollup->last_at.kafka_offset = fm_spi_int8(row, 19);
	rollup->first_at.reading_index = (int16) fm_spi_int4(row, 20);
	rollup->last_at.reading_index = (int16) fm_spi_int4(row, 21);
	rollup->first_at.stream_id = rollup->last_at.stream_id = stream_id;
}

bool
fm_rollup_load(int16 pipeline_id, int32 stream_id, TimestampTz from,
			   int64 below, FmRollupParts *parts)
{
	FmArgs		args = {0};
	uint64		n;

	pending_args(&args, pipeline_id, stream_id, from, below);
	n = fm_args_run(&args, psprintf("SELECT bucket, sensor_id,"
									" sensor_version_id, from_offset,"
									" to_offset, (m).n, (m).n_bad,"
									" (m).n_warning, (m).n_critical,"
									" (m).mean, (m).m2, (m).min, (m).max,"
									" (m).first, (m).last, (m).first_ts,"
									" (m).last_ts, (m).first_offset,"
									" (m).last_offset,"
									" (m).first_index::integer,"
									" (m).last_index::integer"
									" FROM (" PENDING
									" GROUP BY 1, 2, 3 LIMIT %d) AS x",
									pipeline_id, FM_ROLLUP_MAX_PARTS + 1),
					SPI_OK_SELECT);
	if (n > FM_ROLLUP_MAX_PARTS)
		return false;
	for (uint64 i = 0; i < n; i++)
		load_part(i, stream_id, parts);
	return true;
}

/* Time partitions for all that is about to be made from rows. */
static void
ensure_partitions(int16 pipeline_id, FmArgs *args)
{
	TimestampTz ts;
	TimestampTz last;
	bool		isnull;

	(void) fm_args_run(args, psprintf("SELECT min(bucket), max(bucket) FROM ("
									  PENDING " AND r.ts < $5"
									  " GROUP BY 1, 2, 3) AS x", pipeline_id),
					   SPI_OK_SELECT);
	(void) fm_spi_value(0, 1, &isnull);
	if (isnull)
		return;
	ts = fm_spi_int8(0, 1);
	last = fm_spi_int8(0, 2);
	while (ts <= last)
	{
		TimestampTz from;

		(void) fm_partition_ensure(pipeline_id, "rollup_1m", 0, ts);
		fm_partition_ensured_range(&from, &ts);
	}
}

void
fm_rollup_rebuild(int16 pipeline_id, int32 stream_id, TimestampTz from,
				  TimestampTz to, int64 below)
{
	FmArgs		args = {0};

	pending_args(&args, pipeline_id, stream_id, from, below);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(to), false);
	ensure_partitions(pipeline_id, &args);
	(void) fm_args_run(&args, psprintf("WITH made AS (" INSERT_SUMMARIES
									   " FROM (" PENDING " AND r.ts < $5"
									   " GROUP BY 1, 2, 3) AS x"
									   " RETURNING sensor_id, bucket)"
									   " INSERT INTO _factorymon.rollup_mark"
									   " (pipeline_id, sensor_id, bucket)"
									   " SELECT DISTINCT $2, sensor_id,"
									   " date_bin('15 minutes', bucket,"
									   " '2000-01-01 00:00+00') FROM made",
									   pipeline_id, pipeline_id),
					   SPI_OK_INSERT);
}
