/*-------------------------------------------------------------------------
 *
 * archive_rows.c
 *	  Readings as lines of CSV, in the order of stream, offset and index, and
 *	  lines as readings again.
 *
 * A line has all columns of the row, and beside the numbers that stand for
 * stream, sensor and place their names.  Numbers and times are written so that
 * reading them gives the same bits, so the lines made of restored rows are
 * those of the file, byte for byte: their SHA-256 is the checksum over all
 * columns.  Null is an empty field, an empty text is "".
 *
 * Rows come through a cursor and are sorted by PostgreSQL, on disk if need be:
 * memory does not depend on how many there are.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "archive.h"
#include "batch.h"
#include "pipeline_internal.h"

#define N_COLUMNS 23
#define COLUMN_HASH N_COLUMNS	/* of the query alone */
#define COLUMN_OFFSET 2			/* as the query has them, from 0 */
#define COLUMN_INDEX 3
#define ROWS_AT_A_TIME 200
#define LINES_AT_A_TIME	(256 * 1024)	/* bytes */

const char *const fm_archive_header =
"stream_id,ts,kafka_offset,reading_index,sensor_id,sensor_version_id,value,"
"level,quality,reading_count,flags,extra,topic,kafka_partition,incarnation,"
"sensor,sensor_type,factory_section,machine_id,zone,unit,warning_threshold,"
"critical_threshold\n";

static const char export_sql[] =
"SELECT r.stream_id, r.ts, r.kafka_offset, r.reading_index, r.sensor_id,"
" r.sensor_version_id, r.value, r.level, r.quality, r.reading_count, r.flags,"
" r.extra, s.topic, s.kafka_partition, s.incarnation, n.name, v.sensor_type,"
" v.factory_section, v.machine_id, v.zone, v.unit, v.warning_threshold,"
" v.critical_threshold, hash_record_extended(r.*, 0)"
" FROM _factorymon.reading_%d r"
" LEFT JOIN _factorymon.stream s ON s.stream_id = r.stream_id"
" LEFT JOIN _factorymon.sensor n ON n.sensor_id = r.sensor_id"
" LEFT JOIN _factorymon.sensor_version v"
"  ON v.sensor_version_id = r.sensor_version_id"
" WHERE r.ts >= $1 AND r.ts < $2"
" ORDER BY r.stream_id, r.kafka_offset, r.reading_index";

/* A row comes back only to what its names still stand for. */
static const char import_sql[] =
"INSERT INTO _factorymon.reading_%d (pipeline_id, stream_id, ts,"
" kafka_offset, reading_index, sensor_id, sensor_version_id, value, level,"
" quality, reading_count, flags, extra)"
" SELECT %d, s.stream_id, $2::timestamptz, $3::bigint, $4::smallint,"
" n.sensor_id, v.sensor_version_id, $7::double precision, $8::smallint,"
" $9::real, $10::integer, $11::smallint, $12::jsonb"
" FROM _factorymon.stream s, _factorymon.sensor n,"
" _factorymon.sensor_version v"
" WHERE s.stream_id = $1::integer AND s.pipeline_id = %d AND s.topic = $13"
" AND s.kafka_partition = $14::integer AND s.incarnation = $15::integer"
" AND n.sensor_id = $5::integer AND n.name = $16"
" AND v.sensor_version_id = $6::integer AND v.sensor_id = n.sensor_id"
" AND v.sensor_type = $17 AND v.factory_section = $18"
" AND v.machine_id = $19 AND v.zone = $20 AND v.unit = $21"
" AND v.warning_threshold IS NOT DISTINCT FROM $22::double precision"
" AND v.critical_threshold IS NOT DISTINCT FROM $23::double precision";

/* Texts that no setting of anybody bends. */
static void
fix_formats(void)
{
	static const char *const settings[][2] = {
		{"timezone", "UTC"}, {"datestyle", "ISO, YMD"},
		{"extra_float_digits", "1"}, {"jit", "off"},
		{"max_parallel_workers_per_gather", "0"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

/* ----------------------------------------------------------------------
 * Rows to lines
 * ------------------------------------------------------------------- */

static void
append_field(StringInfo line, const char *value)
{
	if (value[0] != '\0' && strpbrk(value, ",\"\r\n") == NULL)
	{
		appendStringInfoString(line, value);
		return;
	}
	appendStringInfoChar(line, '"');
	for (; *value; value++)
	{
		if (*value == '"')
			appendStringInfoChar(line, '"');
		appendStringInfoChar(line, *value);
	}
	appendStringInfoChar(line, '"');
}

/* Of one line with its end. */
static uint64
line_hash(const char *line, int len)
{
	return DatumGetUInt64(hash_any_extended((const unsigned char *) line, len,
											0));
}

/* One row of the cursor as a line. */
static void
append_row(StringInfo line, FmgrInfo *output, HeapTuple tuple, TupleDesc desc,
		   FmArchiveSums *sums)
{
	Datum		values[N_COLUMNS + 1];
	bool		nulls[N_COLUMNS + 1];
	int			start = line->len;

	heap_deform_tuple(tuple, desc, values, nulls);
	for (int i = 0; i < N_COLUMNS; i++)
	{
		if (i > 0)
			appendStringInfoChar(line, ',');
		if (!nulls[i])
			append_field(line, OutputFunctionCall(&output[i], values[i]));
	}
	appendStringInfoChar(line, '\n');
	sums->rows++;
	sums->line_hash += line_hash(line->data + start, line->len - start);
	sums->hash += (int64) fm_offset_hash(DatumGetInt64(values[COLUMN_OFFSET]),
										 DatumGetInt16(values[COLUMN_INDEX]));
	sums->row_hash = (int64) ((uint64) sums->row_hash +
							  DatumGetUInt64(values[COLUMN_HASH]));
}

static void
put_line(FmArchiveFile *file, pg_cryptohash_ctx *hash, const char *data,
		 int len)
{
	if (pg_cryptohash_update(hash, (const uint8 *) data, len) < 0)
		elog(ERROR, "could not compute SHA-256");
	if (file)
		fm_archive_put(file, data, len);
}

/* All rows of the cursor, a few at a time. */
static void
export_rows(Portal portal, FmArchiveFile *file, pg_cryptohash_ctx *hash,
			FmArchiveSums *sums)
{
	MemoryContext chunk = AllocSetContextCreate(CurrentMemoryContext,
												"factorymon archive rows",
												ALLOCSET_DEFAULT_SIZES);
	FmgrInfo	output[N_COLUMNS];

	for (int i = 0; i < N_COLUMNS; i++)
	{
		Oid			function;
		bool		varlena;

		getTypeOutputInfo(TupleDescAttr(portal->tupDesc, i)->atttypid,
						  &function, &varlena);
		fmgr_info(function, &output[i]);
	}
	for (;;)
	{
		MemoryContext old;
		StringInfoData lines;

		SPI_cursor_fetch(portal, true, ROWS_AT_A_TIME);
		if (SPI_processed == 0)
			break;
		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(chunk);
		initStringInfo(&lines);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			append_row(&lines, output, SPI_tuptable->vals[i],
					   SPI_tuptable->tupdesc, sums);
			/* rows may be long */
			if (lines.len < LINES_AT_A_TIME)
				continue;
			put_line(file, hash, lines.data, lines.len);
			resetStringInfo(&lines);
		}
		put_line(file, hash, lines.data, lines.len);
		MemoryContextSwitchTo(old);
		MemoryContextReset(chunk);
		SPI_freetuptable(SPI_tuptable);
	}
	MemoryContextDelete(chunk);
}

void
fm_archive_export(int16 pipeline_id, TimestampTz from, TimestampTz to,
				  FmArchiveFile *file, FmArchiveSums *sums)
{
	static const char digits[] = "0123456789abcdef";
	Oid			types[2] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[2] = {TimestampTzGetDatum(from),
	TimestampTzGetDatum(to)};
	int			guc_nestlevel = NewGUCNestLevel();
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[32];
	Portal		portal;

	if (hash == NULL || pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not initialize SHA-256");
	fix_formats();
	memset(sums, 0, sizeof(*sums));
	put_line(file, hash, fm_archive_header, strlen(fm_archive_header));
	portal = SPI_cursor_open_with_args(NULL, psprintf(export_sql, pipeline_id),
									   2, types, values, NULL, true, 0);
	export_rows(portal, file, hash, sums);
	SPI_cursor_close(portal);
	if (pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not finish SHA-256");
	pg_cryptohash_free(hash);
	for (int i = 0; i < 32; i++)
	{
		sums->contents[2 * i] = digits[digest[i] >> 4];
		sums->contents[2 * i + 1] = digits[digest[i] & 15];
	}
	AtEOXact_GUC(true, guc_nestlevel);
}

/* ----------------------------------------------------------------------
 * Lines to rows
 * ------------------------------------------------------------------- */

typedef struct Reader
{
	FmArchiveFile *file;
	char		buffer[65536];
	int			len;
	int			at;
	StringInfoData line;		/* what was read of the present one */
} Reader;

static int
next_char(Reader *reader)
{
	if (reader->at == reader->len)
	{
		CHECK_FOR_INTERRUPTS();
		reader->len = fm_archive_get(reader->file, reader->buffer,
									 sizeof(reader->buffer));
		reader->at = 0;
		if (reader->len == 0)
			return EOF;
	}
	appendStringInfoCharMacro(&reader->line, reader->buffer[reader->at]);
	return (unsigned char) reader->buffer[reader->at++];
}

/*
 * One field into text; whether it is null.  Returns what ended it: a comma, a
 * line feed, or EOF.
 */
static int
read_field(Reader *reader, StringInfo text, bool *isnull)
{
	int			c = next_char(reader);

	resetStringInfo(text);
	*isnull = c != '"';
	if (c != '"')
	{
		for (; c != ',' && c != '\n' && c != EOF; c = next_char(reader))
		{
			appendStringInfoChar(text, c);
			*isnull = false;
		}
		return c;
	}
	for (;;)
	{
		c = next_char(reader);
		if (c == '"' && (c = next_char(reader)) != '"')
			return c;
		if (c == EOF)
			return EOF;
		appendStringInfoChar(text, c);
	}
}

/* The next line as parameters; false at the end of the file. */
static bool
read_line(Reader *reader, const char *path, StringInfo text, Datum *values,
		  char *nulls)
{
	for (int i = 0; i < N_COLUMNS; i++)
	{
		bool		isnull;
		int			end = read_field(reader, text, &isnull);

		if (i == 0 && end == EOF && isnull)
			return false;
		if (end != (i == N_COLUMNS - 1 ? '\n' : ','))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("archive file \"%s\" is damaged", path),
					 errdetail("A line does not have %d fields.", N_COLUMNS)));
		nulls[i] = isnull ? 'n' : ' ';
		values[i] = isnull ? (Datum) 0 : CStringGetTextDatum(text->data);
	}
	return true;
}

static void
insert_row(const FmPipeline *pipeline, SPIPlanPtr plan, const char *path,
		   Datum *values, char *nulls, TimestampTz from, TimestampTz to)
{
	TimestampTz ts = DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(
			TextDatumGetCString(values[1])), ObjectIdGetDatum(InvalidOid),
			Int32GetDatum(-1)));

	if (ts < from || ts >= to ||
		!fm_partition_ensure(pipeline->id, "reading",
							 pipeline->partition_interval, ts))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("archive file \"%s\" has a reading that is not of its range",
						path)));
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT ||
		SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot restore a reading of sensor \"%s\" from archive file \"%s\"",
						nulls[15] == 'n' ? "" :
						TextDatumGetCString(values[15]), path),
				 errdetail("Its stream, sensor or place is not, or not by the same number, in this database.")));
}

void
fm_archive_import(const FmPipeline *pipeline, const char *path,
				  TimestampTz from, TimestampTz to, uint64 *hash)
{
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "factorymon archive line",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	int			guc_nestlevel = NewGUCNestLevel();
	Reader	   *reader = palloc(sizeof(Reader));
	StringInfoData text;
	Oid			types[N_COLUMNS];
	Datum		values[N_COLUMNS];
	char		nulls[N_COLUMNS];
	char		contents[FM_SHA256_HEX];
	SPIPlanPtr	plan;

	fix_formats();
	for (int i = 0; i < N_COLUMNS; i++)
		types[i] = TEXTOID;
	plan = SPI_prepare(psprintf(import_sql, pipeline->id, pipeline->id,
								pipeline->id), N_COLUMNS, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the restore");
	reader->file = fm_archive_open(path);
	reader->len = reader->at = 0;
	initStringInfo(&text);
	initStringInfo(&reader->line);
	for (int c = next_char(reader); c != '\n' && c != EOF;)
		c = next_char(reader);	/* the header line */
	caller = MemoryContextSwitchTo(row);
	for (;;)
	{
		resetStringInfo(&reader->line);
		if (!read_line(reader, path, &text, values, nulls))
			break;
		*hash += line_hash(reader->line.data, reader->line.len);
		insert_row(pipeline, plan, path, values, nulls, from, to);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row);
	fm_archive_close(reader->file, contents);
	AtEOXact_GUC(true, guc_nestlevel);
}
