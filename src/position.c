/*-------------------------------------------------------------------------
 *
 * position.c
 *	  The fence: how two owners of one stream can neither duplicate nor skip.
 *
 * A stream's position lives in one row of partition_offset, and only there.
 * The group's offset in Kafka is a copy for lag tools, written after the
 * commit and never read back.
 *
 * Taking a stream is an UPDATE of its row: epoch + 1, and the position is
 * read by the same statement.  It waits for a batch in flight of the former
 * owner (the row lock), so what it returns is the last word; and it makes
 * the former owner's idea of the epoch stale.
 *
 * A batch first locks the rows of its streams (FOR NO KEY UPDATE, in stream
 * order, SKIP LOCKED) and compares (epoch, position) with what it knows.
 * Equal: nobody can change the row before the batch commits, and the batch
 * moves the position by the very messages that it stores.  Different: there
 * has been another owner, or a seek; the batch stores nothing of that
 * stream.  Locked by somebody else: left out this time.  So rows and
 * position are one atomic step, and a zombie's step is refused whole.
 *
 * A taker may have to try more than once against a busy owner: after each
 * commit the owner's next batch and the taker race for the row.  The waits
 * are bounded and repeated, and the group has taken the partition from the
 * former owner, which stops fetching it.
 *
 * Everything below a position is accounted for in the ledger: the open
 * extent [extent_from, position) in the row itself, closed ones in ledger.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "guc.h"
#include "position.h"

/* Columns that read_row() understands, in its order. */
#define POSITION_COLUMNS \
	"p.stream_id, s.incarnation, s.kafka_partition, p.epoch, p.position, " \
	"p.paused_at IS NOT NULL, p.stopped_reason, p.accept_loss, " \
	"p.last_offset, p.last_timestamp, p.last_digest, " \
	"p.anchor_offset, p.anchor_timestamp, p.anchor_digest, " \
	"p.extent_from, p.extent_opened_at, p.extent_messages, " \
	"p.extent_rejected, p.extent_other, p.extent_suppressed, " \
	"p.extent_readings, p.extent_reading_hash, p.extent_reject_hash, " \
	"p.fold_position, p.snapshot_position, p.fold_min_ts, p.fold_max_ts, " \
	"p.out_seq, p.extent_duplicates"

#define LIVE_STREAM \
	"s.pipeline_id = $1 AND s.topic = $2 AND s.kafka_partition = $3 " \
	"AND s.retired_at IS NULL"

static int64
get_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(datum);
}

static void
read_mark(uint64 row, int first_column, FmMark *mark)
{
	bool		isnull;

	(void) fm_spi_value(row, first_column, &isnull);
	mark->known = !isnull;
	mark->offset = isnull ? -1 : get_int64(row, first_column);
	mark->timestamp = isnull ? 0 : get_int64(row, first_column + 1);
	mark->digest = isnull ? 0 : get_int64(row, first_column + 2);
}

static void
read_extent(uint64 row, int first_column, FmExtentCounts *extent)
{
	extent->messages = get_int64(row, first_column);
	extent->rejected = get_int64(row, first_column + 1);
	extent->other = get_int64(row, first_column + 2);
	extent->suppressed = get_int64(row, first_column + 3);
	extent->readings = get_int64(row, first_column + 4);
	extent->reading_hash = (uint64) get_int64(row, first_column + 5);
	extent->reject_hash = (uint64) get_int64(row, first_column + 6);
}

/* Turn result row number row, made of POSITION_COLUMNS, into a struct. */
static void
read_row(uint64 row, FmPosition *result)
{
	bool		isnull;
	Datum		datum;

	memset(result, 0, sizeof(*result));
	result->stream_id = DatumGetInt32(fm_spi_value(row, 1, &isnull));
	result->incarnation = DatumGetInt32(fm_spi_value(row, 2, &isnull));
	result->partition = DatumGetInt32(fm_spi_value(row, 3, &isnull));
	result->epoch = get_int64(row, 4);
	result->position = get_int64(row, 5);
	result->paused = DatumGetBool(fm_spi_value(row, 6, &isnull));
	datum = fm_spi_value(row, 7, &isnull);
	result->stopped = !isnull;
	if (!isnull)
		strlcpy(result->stopped_reason, TextDatumGetCString(datum),
				sizeof(result->stopped_reason));
	result->accept_loss = DatumGetBool(fm_spi_value(row, 8, &isnull));
	read_mark(row, 9, &result->last);
	read_mark(row, 12, &result->anchor);
	result->extent_from = get_int64(row, 15);
	result->extent_opened_at = get_int64(row, 16);
	read_extent(row, 17, &result->extent);
	result->fold_position = get_int64(row, 24);
	result->snapshot_position = get_int64(row, 25);
	datum = fm_spi_value(row, 26, &isnull);
	result->has_fold_range = !isnull;
	result->fold_min_ts = isnull ? 0 : DatumGetTimestampTz(datum);
	datum = fm_spi_value(row, 27, &isnull);
	result->fold_max_ts = isnull ? 0 : DatumGetTimestampTz(datum);
	result->out_seq = get_int64(row, 28);
	result->extent.duplicates = get_int64(row, 29);
}

int
fm_position_count_streams(int16 pipeline_id, const char *topic)
{
	Oid			types[2] = {INT2OID, TEXTOID};
	Datum		values[2] = {Int16GetDatum(pipeline_id),
	CStringGetTextDatum(topic)};

	return (int) fm_spi_run("SELECT 1 FROM _factorymon.stream s"
							" WHERE s.pipeline_id = $1 AND s.topic = $2",
							2, types, values, NULL, SPI_OK_SELECT);
}

bool
fm_position_stream_exists(int16 pipeline_id, const char *topic,
						  int32 partition)
{
	static void *plan = NULL;
	Oid			types[3] = {INT2OID, TEXTOID, INT4OID};
	Datum		values[3] = {Int16GetDatum(pipeline_id),
		CStringGetTextDatum(topic),
	Int32GetDatum(partition)};

	return fm_spi_run_kept(&plan, "SELECT 1 FROM _factorymon.stream s"
						   " WHERE " LIVE_STREAM,
						   3, types, values, NULL, SPI_OK_SELECT) > 0;
}

/* Insert a stream and its row; the caller knows that it is missing. */
static int32
insert_stream(int16 pipeline_id, const char *topic, int32 partition,
			  int32 incarnation, int64 position)
{
	Oid			types[5] = {INT2OID, TEXTOID, INT4OID, INT4OID, INT8OID};
	Datum		values[5] = {Int16GetDatum(pipeline_id),
		CStringGetTextDatum(topic), Int32GetDatum(partition),
	Int32GetDatum(incarnation), Int64GetDatum(position)};
	bool		isnull;

	fm_spi_run("WITH s AS (INSERT INTO _factorymon.stream"
			   " (stream_id, pipeline_id, topic, kafka_partition, incarnation)"
			   " VALUES (nextval('_factorymon.stream_id_seq'), $1, $2, $3, $4)"
			   " RETURNING stream_id), rollup AS ("
			   " INSERT INTO _factorymon.rollup_stream (stream_id)"
			   " SELECT stream_id FROM s)"
			   " INSERT INTO _factorymon.partition_offset"
			   " (stream_id, position, extent_from, fold_position,"
			   "  snapshot_position)"
			   " SELECT stream_id, $5, $5, $5, $5 FROM s RETURNING stream_id",
			   5, types, values, NULL, SPI_OK_INSERT_RETURNING);
	return DatumGetInt32(fm_spi_value(0, 1, &isnull));
}

void
fm_position_create_streams(int16 pipeline_id, const char *topic,
						   const FmPartitionOffset *starts, int nstarts)
{
	Oid			types[1] = {INT2OID};
	Datum		values[1] = {Int16GetDatum(pipeline_id)};

	fm_spi_run("SELECT 1 FROM _factorymon.pipeline WHERE pipeline_id = $1"
			   " FOR NO KEY UPDATE",
			   1, types, values, NULL, SPI_OK_SELECT);
	for (int i = 0; i < nstarts; i++)
		if (!fm_position_stream_exists(pipeline_id, topic,
									   starts[i].partition))
			(void) insert_stream(pipeline_id, topic, starts[i].partition,
								 1, starts[i].offset);
}

/*
 * An UPDATE that waited for the row sees the stream as it was before it
 * waited; its owner may have retired it meanwhile.
 */
static bool
is_live(int32 stream_id)
{
	static void *plan = NULL;
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(stream_id)};

	return fm_spi_run_kept(&plan, "SELECT 1 FROM _factorymon.stream"
						   " WHERE stream_id = $1 AND retired_at IS NULL",
						   1, types, values, NULL, SPI_OK_SELECT) > 0;
}

bool
fm_position_take(int16 pipeline_id, const char *topic, int32 partition,
				 const char *owner, int patience_ms, FmPosition *result)
{
	static void *plan = NULL;
	Oid			types[4] = {INT2OID, TEXTOID, INT4OID, TEXTOID};
	Datum		values[4] = {Int16GetDatum(pipeline_id),
		CStringGetTextDatum(topic), Int32GetDatum(partition),
	CStringGetTextDatum(owner)};
	char		timeout[32];

	snprintf(timeout, sizeof(timeout), "%d", patience_ms);
	(void) set_config_option("lock_timeout", timeout, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	if (fm_spi_run_kept(&plan, "UPDATE _factorymon.partition_offset p"
						" SET epoch = p.epoch + 1, owner = $4,"
						"     taken_at = now()"
						" FROM _factorymon.stream s"
						" WHERE s.stream_id = p.stream_id AND " LIVE_STREAM
						" RETURNING " POSITION_COLUMNS,
						4, types, values, NULL, SPI_OK_UPDATE_RETURNING) == 0)
		return false;
	read_row(0, result);
	return is_live(result->stream_id);
}

int
fm_position_holder(int16 pipeline_id, const char *topic, int32 partition)
{
	static void *plan = NULL;
	Oid			types[3] = {INT2OID, TEXTOID, INT4OID};
	Datum		values[3] = {Int16GetDatum(pipeline_id),
		CStringGetTextDatum(topic),
	Int32GetDatum(partition)};
	bool		isnull;
	TransactionId xmax;

	if (fm_spi_run_kept(&plan, "SELECT p.xmax"
						" FROM _factorymon.partition_offset p"
						" JOIN _factorymon.stream s USING (stream_id)"
						" WHERE " LIVE_STREAM,
						3, types, values, NULL, SPI_OK_SELECT) == 0)
		return 0;
	xmax = DatumGetTransactionId(fm_spi_value(0, 1, &isnull));
	return TransactionIdIsValid(xmax) ? BackendXidGetPid(xmax) : 0;
}

/* Run a query over POSITION_COLUMNS for some streams, in any order. */
static void
read_rows(void **plan, const char *sql, const int32 *stream_ids, int n,
		  FmPosition *result, bool *found)
{
	Oid			types[1] = {INT4ARRAYOID};
	Datum	   *elements = palloc(sizeof(Datum) * n);
	Datum		values[1];
	uint64		nrows;

	for (int i = 0; i < n; i++)
	{
		elements[i] = Int32GetDatum(stream_ids[i]);
		found[i] = false;
	}
	values[0] = PointerGetDatum(construct_array(elements, n, INT4OID,
												sizeof(int32), true,
												TYPALIGN_INT));
	nrows = fm_spi_run_kept(plan, sql, 1, types, values, NULL,
							SPI_OK_SELECT);
	for (uint64 row = 0; row < nrows; row++)
	{
		FmPosition	one;

		read_row(row, &one);
		for (int i = 0; i < n; i++)
		{
			if (stream_ids[i] != one.stream_id)
				continue;
			result[i] = one;
			found[i] = true;
		}
	}
}

void
fm_position_lock(const int32 *stream_ids, int n, FmPosition *result,
				 bool *found)
{
	static void *plan = NULL;

	read_rows(&plan, "SELECT " POSITION_COLUMNS
			  " FROM _factorymon.partition_offset p"
			  " JOIN _factorymon.stream s USING (stream_id)"
			  " WHERE p.stream_id = ANY ($1)"
			  " ORDER BY p.stream_id"
			  " FOR NO KEY UPDATE OF p SKIP LOCKED",
			  stream_ids, n, result, found);
}

void
fm_position_peek(const int32 *stream_ids, int n, FmPosition *result,
				 bool *found)
{
	static void *plan = NULL;

	read_rows(&plan, "SELECT " POSITION_COLUMNS
			  " FROM _factorymon.partition_offset p"
			  " JOIN _factorymon.stream s USING (stream_id)"
			  " WHERE p.stream_id = ANY ($1) AND s.retired_at IS NULL",
			  stream_ids, n, result, found);
}

/* values[first..first + 2] and nulls from a mark. */
static void
write_mark(const FmMark *mark, Datum *values, char *nulls, int first)
{
	values[first] = Int64GetDatum(mark->offset);
	values[first + 1] = Int64GetDatum(mark->timestamp);
	values[first + 2] = Int64GetDatum(mark->digest);
	for (int i = 0; i < 3; i++)
		nulls[first + i] = mark->known ? ' ' : 'n';
}

void
fm_position_advance(const FmPosition *row)
{
	static void *plan = NULL;
	Oid			types[21] = {INT4OID, INT8OID, INT8OID, INT8OID, INT8OID,
		INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
		INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID};
	Datum		values[21];
	char		nulls[22];

	memset(nulls, ' ', 21);
	nulls[21] = '\0';
	values[0] = Int32GetDatum(row->stream_id);
	values[1] = Int64GetDatum(row->position);
	write_mark(&row->last, values, nulls, 2);
	values[5] = Int64GetDatum(row->extent.messages);
	values[6] = Int64GetDatum(row->extent.rejected);
	values[7] = Int64GetDatum(row->extent.other);
	values[8] = Int64GetDatum(row->extent.suppressed);
	values[9] = Int64GetDatum(row->extent.readings);
	values[10] = Int64GetDatum((int64) row->extent.reading_hash);
	values[11] = Int64GetDatum((int64) row->extent.reject_hash);
	values[12] = Int64GetDatum(row->fold_position);
	values[13] = Int64GetDatum(row->snapshot_position);
	values[14] = TimestampTzGetDatum(row->fold_min_ts);
	values[15] = TimestampTzGetDatum(row->fold_max_ts);
	if (!row->has_fold_range)
		nulls[14] = nulls[15] = 'n';
	write_mark(&row->anchor, values, nulls, 16);
	values[19] = Int64GetDatum(row->out_seq);
	values[20] = Int64GetDatum(row->extent.duplicates);

	if (fm_spi_run_kept(&plan, "UPDATE _factorymon.partition_offset SET"
						" position = $2, last_offset = $3,"
						" last_timestamp = $4, last_digest = $5,"
						" extent_messages = $6, extent_rejected = $7,"
						" extent_other = $8, extent_suppressed = $9,"
						" extent_readings = $10, extent_reading_hash = $11,"
						" extent_reject_hash = $12, fold_position = $13,"
						" snapshot_position = $14, fold_min_ts = $15,"
						" fold_max_ts = $16, anchor_offset = $17,"
						" anchor_timestamp = $18, anchor_digest = $19,"
						" out_seq = $20, extent_duplicates = $21,"
						" anchor_proven_at = CASE WHEN"
						" anchor_offset IS DISTINCT FROM $17 THEN now()"
						" ELSE anchor_proven_at END, committed_at = now()"
						" WHERE stream_id = $1",
						21, types, values, nulls, SPI_OK_UPDATE) != 1)
		elog(ERROR, "position row of stream %d is gone", row->stream_id);
}

void
fm_position_set_out_seq(int32 stream_id, int64 out_seq)
{
	Oid			types[2] = {INT4OID, INT8OID};
	Datum		values[2] = {Int32GetDatum(stream_id),
	Int64GetDatum(out_seq)};

	fm_spi_run("UPDATE _factorymon.partition_offset SET out_seq = $2"
			   " WHERE stream_id = $1", 2, types, values, NULL,
			   SPI_OK_UPDATE);
}

void
fm_position_stop(int32 stream_id, const char *reason, const char *detail)
{
	Oid			types[3] = {INT4OID, TEXTOID, TEXTOID};
	Datum		values[3];
	char		nulls[4] = {' ', reason ? ' ' : 'n', detail ? ' ' : 'n', '\0'};

	values[0] = Int32GetDatum(stream_id);
	values[1] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	values[2] = detail ? CStringGetTextDatum(detail) : (Datum) 0;
	fm_spi_run("UPDATE _factorymon.partition_offset SET stopped_reason = $2,"
			   " stopped_detail = $3, accept_loss = false"
			   " WHERE stream_id = $1",
			   3, types, values, nulls, SPI_OK_UPDATE);
}

void
fm_position_skip(int16 pipeline_id, FmPosition *row, int64 new_position,
				 const char *reason)
{
	FmExtentCounts none = {0};
	Oid			types[2] = {INT4OID, INT8OID};
	Datum		values[2] = {Int32GetDatum(row->stream_id),
	Int64GetDatum(new_position)};

	fm_ledger_close(pipeline_id, row->stream_id, "extent", "gap");
	fm_ledger_add(pipeline_id, row->stream_id, row->position, new_position,
				  "gap", &none, reason);
	fm_spi_run("UPDATE _factorymon.partition_offset SET position = $2,"
			   " extent_from = $2, extent_opened_at = now(),"
			   " accept_loss = false, stopped_reason = NULL,"
			   " stopped_detail = NULL, last_offset = NULL,"
			   " last_timestamp = NULL, last_digest = NULL,"
			   " anchor_offset = NULL, anchor_timestamp = NULL,"
			   " anchor_digest = NULL WHERE stream_id = $1",
			   2, types, values, NULL, SPI_OK_UPDATE);
	row->position = row->extent_from = new_position;
	memset(&row->extent, 0, sizeof(row->extent));
	row->last.known = row->anchor.known = false;
	row->stopped = row->accept_loss = false;
}

/*
 * Everything of the stream above its anchor becomes suspect.  Extents end
 * just behind each anchor candidate (see question.c), so a whole extent is
 * either proven or not; without an anchor all open work is suspect.  Where
 * there is nothing of it, an empty row still tells of the change.
 */
static void
mark_suspect(int16 pipeline_id, const FmPosition *row, const char *reason)
{
	Oid			types[4] = {INT2OID, INT4OID, INT8OID, TEXTOID};
	Datum		values[4] = {Int16GetDatum(pipeline_id),
		Int32GetDatum(row->stream_id),
		Int64GetDatum(row->anchor.known ? row->anchor.offset + 1 :
					  row->extent_from),
	CStringGetTextDatum(reason)};
	FmExtentCounts none = {0};

	if (fm_spi_run("UPDATE _factorymon.ledger"
				   " SET kind = 'suspect', reason = $4"
				   " WHERE pipeline_id = $1 AND stream_id = $2"
				   " AND from_offset >= $3 AND kind = 'extent'",
				   4, types, values, NULL, SPI_OK_UPDATE) == 0)
		fm_ledger_add(pipeline_id, row->stream_id, row->position,
					  row->position, "suspect", &none, reason);
}

int32
fm_position_new_incarnation(int16 pipeline_id, const char *topic,
							FmPosition *row, int64 start, const char *reason)
{
	Oid			types[2] = {INT4OID, TEXTOID};
	Datum		values[2] = {Int32GetDatum(row->stream_id),
	CStringGetTextDatum(reason)};

	fm_ledger_close(pipeline_id, row->stream_id, "extent", reason);
	mark_suspect(pipeline_id, row, reason);
	fm_spi_run("UPDATE _factorymon.partition_offset SET epoch = epoch + 1,"
			   " owner = NULL, stopped_reason = NULL, stopped_detail = NULL,"
			   " accept_loss = false WHERE stream_id = $1",
			   1, types, values, NULL, SPI_OK_UPDATE);
	fm_spi_run("UPDATE _factorymon.stream SET retired_at = now(),"
			   " retired_reason = $2 WHERE stream_id = $1",
			   2, types, values, NULL, SPI_OK_UPDATE);
	return insert_stream(pipeline_id, topic, row->partition,
						 row->incarnation + 1, start);
}
