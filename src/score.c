/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Storage of what detectors found: one statement a stream and batch.
 *
 * Scores wait in the fold until the batch is stored, and are undone with it,
 * so a reading has each score once.  Readings that are replayed are not folded,
 * and have none.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "fold_state.h"

/* Columns that come as arrays, in the order of the statement. */
typedef enum ScoreColumn
{
	SCORE_TS,
	SCORE_KAFKA_OFFSET,
	SCORE_SCORE,
	SCORE_VALUE,
	SCORE_SENSOR_ID,
	SCORE_SENSOR_VERSION_ID,
	SCORE_VERSION,
	SCORE_READING_INDEX,
	SCORE_DETECTOR,
	SCORE_COLUMNS
} ScoreColumn;

static const FmArrayColumn columns[SCORE_COLUMNS] = {
	[SCORE_TS] = {"ts", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[SCORE_KAFKA_OFFSET] = {"kafka_offset", INT8OID, INT8ARRAYOID},
	[SCORE_SCORE] = {"score", FLOAT8OID, FLOAT8ARRAYOID},
	[SCORE_VALUE] = {"value", FLOAT8OID, FLOAT8ARRAYOID},
	[SCORE_SENSOR_ID] = {"sensor_id", INT4OID, INT4ARRAYOID},
	[SCORE_SENSOR_VERSION_ID] = {"sensor_version_id", INT4OID, INT4ARRAYOID},
	[SCORE_VERSION] = {"version", INT4OID, INT4ARRAYOID},
	[SCORE_READING_INDEX] = {"reading_index", INT2OID, INT2ARRAYOID},
	[SCORE_DETECTOR] = {"detector", INT2OID, INT2ARRAYOID}
};

static void
set_row(Datum **values, int i, const FmScore *score)
{
	values[SCORE_TS][i] = TimestampTzGetDatum(score->ts);
	values[SCORE_KAFKA_OFFSET][i] = Int64GetDatum(score->kafka_offset);
	values[SCORE_SCORE][i] = Float8GetDatum(score->score);
	values[SCORE_VALUE][i] = Float8GetDatum(score->value);
	values[SCORE_SENSOR_ID][i] = Int32GetDatum(score->sensor_id);
	values[SCORE_SENSOR_VERSION_ID][i] =
		Int32GetDatum(score->sensor_version_id);
	values[SCORE_VERSION][i] = Int32GetDatum(score->version);
	values[SCORE_READING_INDEX][i] = Int16GetDatum(score->reading_index);
	values[SCORE_DETECTOR][i] = Int16GetDatum(score->detector);
}

/*
 * The statement; its first parameters are pipeline and stream, the rest are
 * arrays.
 */
static char *
insert_query(int16 pipeline_id)
{
	StringInfoData names;
	StringInfoData parameters;

	initStringInfo(&names);
	initStringInfo(&parameters);
	for (int i = 0; i < SCORE_COLUMNS; i++)
	{
		appendStringInfo(&names, ", %s", columns[i].name);
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 3);
	}
	return psprintf("INSERT INTO _factorymon.score_%d"
					" (recorded_at, pipeline_id, stream_id%s)"
					" SELECT pg_catalog.now(), $1, $2%s"
					" FROM unnest(%s) AS u(%s)",
					pipeline_id, names.data, names.data, parameters.data,
					names.data + 2);
}

/* Its plan is kept: a worker has one pipeline. */
static void
insert(const FmFold *fold, Oid *types, Datum *values)
{
	static void *plan = NULL;
	static int16 pipeline_id = 0;

	if (pipeline_id != fold->stream.pipeline_id && plan != NULL)
	{
		SPI_freeplan(plan);
		plan = NULL;
	}
	pipeline_id = fold->stream.pipeline_id;
	(void) fm_spi_run_kept(&plan, plan == NULL ? insert_query(pipeline_id) :
						   "score insert", SCORE_COLUMNS + 2, types, values,
						   NULL, SPI_OK_INSERT);
}

void
fm_scores_insert(const FmFold *fold)
{
	int			n;
	const FmScore *scores = fm_fold_scores(fold, &n);
	Datum	   *cells[SCORE_COLUMNS];
	Oid			types[SCORE_COLUMNS + 2] = {INT2OID, INT4OID};
	Datum		values[SCORE_COLUMNS + 2];

	if (n == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < SCORE_COLUMNS; i++)
		cells[i] = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		set_row(cells, i, &scores[i]);
	values[0] = Int16GetDatum(fold->stream.pipeline_id);
	values[1] = Int32GetDatum(fold->stream.stream_id);
	for (int i = 0; i < SCORE_COLUMNS; i++)
	{
		types[i + 2] = columns[i].array_type;
		values[i + 2] = fm_column_array(&columns[i], cells[i], NULL,
										n);
	}
	insert(fold, types, values);
	SPI_finish();
}
