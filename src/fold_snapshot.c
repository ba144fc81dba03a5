/*-------------------------------------------------------------------------
 *
 * fold_snapshot.c
 *	  The fold on disk: chunks, writing them, and showing them to SQL.
 *
 * A snapshot is the stream's rows in fold_chunk: of each part (FmFoldPart)
 * chunk n holds the elements number 1024 n and following, numbered in the order
 * in which they came up.  Only chunks that changed are written, so a row may be
 * much older than snapshot_position and still be true as of it.
 *
 * A chunk is a header, then the elements as they lie in memory.  Its magic
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
	uint8		part;			/* FmFoldPart */
	uint8		eighths;		/* size of an element, divided by eight */
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

bytea *
fm_fold_chunk_encode(FmFoldPart part, const void *elements, int n, Size size)
{
	Size		len = n * size;
	ChunkHeader header;
	bytea	   *chunk = palloc(VARHDRSZ + sizeof(header) + len);

	header.magic = CHUNK_MAGIC;
	header.version = FM_FOLD_VERSION;
	header.part = part;
	header.eighths = size / 8;
	header.count = n;
	header.checksum = chunk_checksum(elements, len);
	SET_VARSIZE(chunk, VARHDRSZ + sizeof(header) + len);
	memcpy(VARDATA(chunk), &header, sizeof(header));
	memcpy(VARDATA(chunk) + sizeof(header), elements, len);
	return chunk;
}

int
fm_fold_chunk_check(const bytea *chunk, FmFoldPart part, Size size)
{
	Size		len = VARSIZE_ANY_EXHDR(chunk);
	ChunkHeader header;

	if (len < sizeof(header))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state is too short")));
	memcpy(&header, VARDATA_ANY(chunk), sizeof(header));
	if (header.magic != CHUNK_MAGIC || header.version != FM_FOLD_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("snapshot of per-sensor state has an unknown format"),
				 errdetail("Its magic number is %08X and its version %u; this library reads %08X, version %u.",
						   header.magic, header.version,
						   CHUNK_MAGIC, FM_FOLD_VERSION),
				 errhint("It was written by another version of factorymon, or on a machine of another byte order.  Use the library that wrote it, or a newer one.")));
	if (header.part != part || header.eighths != size / 8 ||
		header.count > FM_FOLD_CHUNK ||
		len - sizeof(header) != header.count * size ||
		chunk_checksum(VARDATA_ANY(chunk) + sizeof(header),
					   len - sizeof(header)) != header.checksum)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state is damaged"),
				 errhint("Restore _factorymon.fold_chunk and _factorymon.alarm from a backup.")));
	return header.count;
}

static void
impossible(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("snapshot of per-sensor state holds an impossible state")));
}

/* Codes are checked, because anybody can make bytes with a fitting checksum. */
void
fm_fold_chunk_sensor(const bytea *chunk, int n, FmFoldSensor *sensor)
{
	memcpy(sensor, VARDATA_ANY(chunk) + sizeof(ChunkHeader) +
		   n * sizeof(FmFoldSensor), sizeof(FmFoldSensor));
	if (sensor->sensor_id <= 0 ||
		sensor->last_level > FM_LEVEL_CRITICAL ||
		sensor->last_side > FM_SIDE_HIGH)
		impossible();
}

void
fm_fold_chunk_alarm(const bytea *chunk, int n, FmAlarm *alarm)
{
	memcpy(alarm, VARDATA_ANY(chunk) + sizeof(ChunkHeader) +
		   n * sizeof(FmAlarm), sizeof(FmAlarm));
	/* 0 is the pipeline itself, see silence.c */
	if (alarm->sensor_id < 0 ||
		alarm->condition >= FM_CONDITIONS ||
		alarm->state > FM_ALARM_RETURNED_UNACKNOWLEDGED ||
		alarm->level > FM_LEVEL_CRITICAL || alarm->side > FM_SIDE_HIGH ||
		alarm->run_side > FM_SIDE_HIGH ||
		alarm->shelving > FM_SHELVING_TIMED)
		impossible();
}

void
fm_fold_chunk_detector(const bytea *chunk, int n, FmDetector *detector)
{
	memcpy(detector, VARDATA_ANY(chunk) + sizeof(ChunkHeader) +
		   n * sizeof(FmDetector), sizeof(FmDetector));
	if (detector->sensor_id <= 0)
		impossible();
	for (int i = 0; i < FM_DETECTORS; i++)
	{
		if (abs(detector->signal[i]) > 1)
			impossible();
	}
}

void
fm_fold_chunk_params(const bytea *chunk, int n, FmDetectorParams *params)
{
	memcpy(params, VARDATA_ANY(chunk) + sizeof(ChunkHeader) +
		   n * sizeof(FmDetectorParams), sizeof(FmDetectorParams));
	if (params->sensor_type[FM_DETECTOR_TYPE_SIZE - 1] != '\0' ||
		params->on >> FM_DETECTORS != 0)
		impossible();
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

static void
write_chunk(const FmFold *fold, const FmFoldStore *store, int number)
{
	static void *plan = NULL;
	Oid			types[] = {INT4OID, INT2OID, INT4OID, BYTEAOID};
	Datum		values[4];
	int			first = number * FM_FOLD_CHUNK;
	int			n = Min(store->n - first, FM_FOLD_CHUNK);
	bytea	   *state = fm_fold_chunk_encode(store->part,
											 store->pages[number]->elements,
											 n, store->size);

	values[0] = Int32GetDatum(fold->stream.stream_id);
	values[1] = Int16GetDatum(store->part);
	values[2] = Int32GetDatum(number);
	values[3] = PointerGetDatum(state);
	(void) fm_spi_run_kept(&plan,
						   "INSERT INTO _factorymon.fold_chunk AS c"
						   " (stream_id, part, chunk, state)"
						   " VALUES ($1, $2, $3, $4)"
						   " ON CONFLICT (stream_id, part, chunk) DO UPDATE"
						   " SET state = excluded.state,"
						   " written_at = excluded.written_at",
						   lengthof(types), types, values, NULL,
						   SPI_OK_INSERT);
	pfree(state);
}

/* Returns how many chunks were written. */
static int
write_store(const FmFold *fold, const FmFoldStore *store)
{
	int			written = 0;

	for (int i = 0; i < store->npages; i++)
	{
		FmFoldPage *page = store->pages[i];

		/* of an earlier snapshot that was not committed */
		page->written = false;
		if (!page->dirty || store->n <= i * FM_FOLD_CHUNK)
			continue;
		CHECK_FOR_INTERRUPTS();
		write_chunk(fold, store, i);
		page->written = true;
		written++;
	}
	return written;
}

int
fm_fold_snapshot(FmFold *fold)
{
	int			written = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < FM_FOLD_PARTS; i++)
		written += write_store(fold, &fold->stores[i]);
	SPI_finish();
	return written;
}

void
fm_fold_snapshot_done(FmFold *fold)
{
	for (int i = 0; i < FM_FOLD_PARTS; i++)
	{
		FmFoldStore *store = &fold->stores[i];

		for (int p = 0; p < store->npages; p++)
		{
			if (store->pages[p]->written)
				store->pages[p]->dirty = false;
			store->pages[p]->written = false;
		}
	}
	fold->min_ts = DT_NOEND;
	fold->max_ts = DT_NOBEGIN;
	fold->needs_snapshot = false;
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

/* fold_sensors(state bytea): the sensors of a chunk. */
Datum
factorymon_fold_sensors(PG_FUNCTION_ARGS)
{
	bytea	   *chunk = PG_GETARG_BYTEA_PP(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count = fm_fold_chunk_check(chunk, FM_FOLD_SENSORS,
												 sizeof(FmFoldSensor));

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
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
