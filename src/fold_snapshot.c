/*-------------------------------------------------------------------------
 *
 * fold_snapshot.c
 *	  The fold on disk: chunks, writing them, and showing them to SQL.
 *
 * A snapshot is the stream's rows in fold_chunk: chunk n holds the sensors
 * number 1024 n and following, numbered in the order in which they came up.
 * Only chunks that changed are written, so a row may be much older than
 * snapshot_position and still be true as of it.
 *
 * A chunk is a header, then FmFoldSensor as it lies in memory.  Its magic
 * number tells another byte order, its version another meaning, its checksum
 * damage.  All three are errors: going on with an empty state would raise
 * open alarms a second time, under new ids.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "fold_state.h"

PG_FUNCTION_INFO_V1(factorymon_fold_sensors);

/* ------------------------------------------------------------------------
 * Chunks
 * ------------------------------------------------------------------------
 */

#define CHUNK_MAGIC		0x43464D46	/* "FMFC" in memory, low byte first */

typedef struct ChunkHeader
{
	uint32		magic;
	uint16		version;
	uint16		sensor_size;
	uint32		count;
	pg_crc32c	checksum;		/* of everything after the header */
} ChunkHeader;

StaticAssertDecl(sizeof(ChunkHeader) == 16,
				 "ChunkHeader must have no padding");

static pg_crc32c
chunk_checksum(const char *data, Size len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

static bytea *
chunk_encode(const FmFoldSensor *sensors, int count)
{
	Size		len = count * sizeof(FmFoldSensor);
	ChunkHeader header;
	bytea	   *chunk = palloc(VARHDRSZ + sizeof(header) + len);

	header.magic = CHUNK_MAGIC;
	header.version = FM_FOLD_VERSION;
	header.sensor_size = sizeof(FmFoldSensor);
	header.count = count;
	header.checksum = chunk_checksum((const char *) sensors, len);
	SET_VARSIZE(chunk, VARHDRSZ + sizeof(header) + len);
	memcpy(VARDATA(chunk), &header, sizeof(header));
	memcpy(VARDATA(chunk) + sizeof(header), sensors, len);
	return chunk;
}

int
fm_fold_chunk_check(const bytea *chunk)
{
	Size		len = VARSIZE_ANY_EXHDR(chunk);
	ChunkHeader header;

	if (len < sizeof(header))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state is too short")));
	memcpy(&header, VARDATA_ANY(chunk), sizeof(header));
	if (header.magic != CHUNK_MAGIC ||
		header.version != FM_FOLD_VERSION ||
		header.sensor_size != sizeof(FmFoldSensor))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("snapshot of per-sensor state has an unknown format"),
				 errdetail("Its magic number is %08X and its version %u; this library reads %08X, version %u.",
						   header.magic, header.version,
						   CHUNK_MAGIC, FM_FOLD_VERSION),
				 errhint("It was written by another version of factorymon, or on a machine of another byte order.  Use the library that wrote it, or a newer one.")));
	if (header.count > FM_FOLD_CHUNK ||
		len - sizeof(header) != header.count * sizeof(FmFoldSensor) ||
		chunk_checksum(VARDATA_ANY(chunk) + sizeof(header),
					   len - sizeof(header)) != header.checksum)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state is damaged"),
				 errhint("Restore _factorymon.fold_chunk from a backup.")));
	return header.count;
}

/* Codes are checked, because anybody can make bytes with a fitting checksum. */
void
fm_fold_chunk_sensor(const bytea *chunk, int n, FmFoldSensor *sensor)
{
	memcpy(sensor, VARDATA_ANY(chunk) + sizeof(ChunkHeader) +
		   n * sizeof(FmFoldSensor), sizeof(FmFoldSensor));
	if (sensor->sensor_id <= 0 ||
		sensor->last_level > FM_LEVEL_CRITICAL ||
		sensor->last_side > FM_SIDE_HIGH ||
		sensor->alarm_state > FM_ALARM_RETURNED_UNACKNOWLEDGED ||
		sensor->alarm_level > FM_LEVEL_CRITICAL ||
		sensor->alarm_side > FM_SIDE_HIGH)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state holds an impossible state")));
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

static void
write_chunk(const FmFold *fold, int number, const FmFoldPage *page, int count)
{
	static void *plan = NULL;
	Oid			types[] = {INT4OID, INT4OID, BYTEAOID};
	Datum		values[3];
	bytea	   *state = chunk_encode(page->sensors, count);

	values[0] = Int32GetDatum(fold->stream.stream_id);
	values[1] = Int32GetDatum(number);
	values[2] = PointerGetDatum(state);
	(void) fm_spi_run_kept(&plan,
						   "INSERT INTO _factorymon.fold_chunk AS c"
						   " (stream_id, chunk, state) VALUES ($1, $2, $3)"
						   " ON CONFLICT (stream_id, chunk) DO UPDATE"
						   " SET state = excluded.state,"
						   " written_at = excluded.written_at",
						   lengthof(types), types, values, NULL,
						   SPI_OK_INSERT);
	pfree(state);
}

int
fm_fold_snapshot(FmFold *fold)
{
	int			written = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < fold->npages; i++)
	{
		FmFoldPage *page = fold->pages[i];
		int			count = fold->nsensors - i * FM_FOLD_CHUNK;

		/* of an earlier snapshot that was not committed */
		page->written = false;
		if (!page->dirty || count <= 0)
			continue;
		CHECK_FOR_INTERRUPTS();
		write_chunk(fold, i, page, Min(count, FM_FOLD_CHUNK));
		page->written = true;
		written++;
	}
	SPI_finish();
	return written;
}

void
fm_fold_snapshot_done(FmFold *fold)
{
	for (int i = 0; i < fold->npages; i++)
	{
		if (fold->pages[i]->written)
			fold->pages[i]->dirty = false;
		fold->pages[i]->written = false;
	}
	fold->min_ts = DT_NOEND;
	fold->max_ts = DT_NOBEGIN;
}

/* ------------------------------------------------------------------------
 * SQL
 * ------------------------------------------------------------------------
 */

/* Result columns of fold_sensors(). */
enum
{
	SENSOR_ID,
	SENSOR_VERSION_ID,
	SENSOR_LAST_TS,
	SENSOR_LAST_OFFSET,
	SENSOR_LAST_VALUE,
	SENSOR_LAST_QUALITY,
	SENSOR_LEVEL,
	SENSOR_FIRST_TS,
	SENSOR_MESSAGE_AT,
	SENSOR_READINGS,
	SENSOR_NORMAL,
	SENSOR_WARNING,
	SENSOR_CRITICAL,
	SENSOR_LATE,
	SENSOR_FUTURE,
	SENSOR_LOW_QUALITY,
	SENSOR_EXPECTED_INTERVAL,
	SENSOR_GAPS,
	SENSOR_REPEATS,
	SENSOR_PRODUCER_RESTARTS,
	SENSOR_ALARM_STATE,
	SENSOR_ALARM_LEVEL,
	SENSOR_ALARM_ID,
	SENSOR_ALARM_SEQ,
	SENSOR_ALARM_SINCE,
	SENSOR_ALARM_RAISED_AT,
	SENSOR_COLUMNS
};

/* Columns about the last evaluated reading, if there is one. */
static void
show_last(const FmFoldSensor *s, Datum *values, bool *nulls)
{
	values[SENSOR_VERSION_ID] = Int32GetDatum(s->sensor_version_id);
	values[SENSOR_LAST_TS] = TimestampTzGetDatum(s->last_ts);
	values[SENSOR_LAST_OFFSET] = Int64GetDatum(s->last_offset);
	values[SENSOR_LAST_VALUE] = Float8GetDatum(s->last_value);
	values[SENSOR_LAST_QUALITY] = Float4GetDatum(s->last_quality);
	values[SENSOR_LEVEL] =
		Int16GetDatum(FM_LEVEL_CODE(s->last_level, s->last_side, 0));
	if (s->last_ts == DT_NOBEGIN)
	{
		for (int i = SENSOR_VERSION_ID; i <= SENSOR_LEVEL; i++)
			nulls[i] = true;
	}
	else
		nulls[SENSOR_LAST_QUALITY] = isnan(s->last_quality);
}

static void
show_counters(const FmFoldSensor *s, Datum *values, bool *nulls)
{
	values[SENSOR_FIRST_TS] = TimestampTzGetDatum(s->first_ts);
	values[SENSOR_MESSAGE_AT] = TimestampTzGetDatum(s->message_at);
	nulls[SENSOR_MESSAGE_AT] = s->message_at == DT_NOBEGIN;
	values[SENSOR_READINGS] = Int64GetDatum(s->readings);
	values[SENSOR_NORMAL] =
		Int64GetDatum(s->readings - s->warnings - s->criticals);
	values[SENSOR_WARNING] = Int64GetDatum(s->warnings);
	values[SENSOR_CRITICAL] = Int64GetDatum(s->criticals);
	values[SENSOR_LATE] = Int64GetDatum(s->late);
	values[SENSOR_FUTURE] = Int64GetDatum(s->future);
	values[SENSOR_LOW_QUALITY] = Int64GetDatum(s->low_quality);
	values[SENSOR_EXPECTED_INTERVAL] =
		Float8GetDatum(s->interval / USECS_PER_SEC);
	nulls[SENSOR_EXPECTED_INTERVAL] = s->nintervals < FM_FOLD_INTERVALS;
	values[SENSOR_GAPS] = Int64GetDatum(s->gaps);
	values[SENSOR_REPEATS] = Int64GetDatum(s->repeats);
	values[SENSOR_PRODUCER_RESTARTS] = Int64GetDatum(s->restarts);
	/* not about a sensor that does not count */
	for (int i = SENSOR_GAPS; i <= SENSOR_PRODUCER_RESTARTS; i++)
		nulls[i] = !s->has_count;
}

static void
show_alarm(const FmFoldSensor *s, Datum *values, bool *nulls)
{
	values[SENSOR_ALARM_STATE] =
		CStringGetTextDatum(fm_alarm_state_name(s->alarm_state));
	values[SENSOR_ALARM_LEVEL] =
		Int16GetDatum(FM_LEVEL_CODE(s->alarm_level, s->alarm_side, 0));
	values[SENSOR_ALARM_ID] = UUIDPGetDatum(&s->alarm_id);
	values[SENSOR_ALARM_SEQ] = Int32GetDatum(s->alarm_seq);
	values[SENSOR_ALARM_SINCE] = TimestampTzGetDatum(s->alarm_since);
	values[SENSOR_ALARM_RAISED_AT] = TimestampTzGetDatum(s->alarm_raised_at);
	for (int i = SENSOR_ALARM_ID; i <= SENSOR_ALARM_RAISED_AT; i++)
		nulls[i] = s->alarm_state == FM_ALARM_NORMAL;
}

/* fold_sensors(state bytea): the sensors of a chunk. */
Datum
factorymon_fold_sensors(PG_FUNCTION_ARGS)
{
	bytea	   *chunk = PG_GETARG_BYTEA_PP(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count = fm_fold_chunk_check(chunk);

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != SENSOR_COLUMNS)
		elog(ERROR, "unexpected result type of factorymon_fold_sensors");
	for (int i = 0; i < count; i++)
	{
		FmFoldSensor sensor;
		Datum		values[SENSOR_COLUMNS];
		bool		nulls[SENSOR_COLUMNS] = {false};

		fm_fold_chunk_sensor(chunk, i, &sensor);
		values[SENSOR_ID] = Int32GetDatum(sensor.sensor_id);
		show_last(&sensor, values, nulls);
		show_counters(&sensor, values, nulls);
		show_alarm(&sensor, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
