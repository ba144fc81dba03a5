/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Storage of what detectors found: rows of _factorymon.score_N.
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

#include "access/xact.h"
#include "utils/timestamp.h"

#include "fold_state.h"
#include "own_table.h"

/* Columns, from 1. */
enum
{
	SCORE_RECORDED_AT = 1,
	SCORE_TS,
	SCORE_KAFKA_OFFSET,
	SCORE_SCORE,
	SCORE_VALUE,
	SCORE_SENSOR_ID,
	SCORE_STREAM_ID,
	SCORE_SENSOR_VERSION_ID,
	SCORE_VERSION,
	SCORE_PIPELINE_ID,
	SCORE_READING_INDEX,
	SCORE_DETECTOR,
	SCORE_COLUMNS = SCORE_DETECTOR
};

static void
set_row(TupleTableSlot *row, const FmScore *score)
{
	Datum	   *values = row->tts_values - 1;

	values[SCORE_TS] = TimestampTzGetDatum(score->ts);
	values[SCORE_KAFKA_OFFSET] = Int64GetDatum(score->kafka_offset);
	values[SCORE_SCORE] = Float8GetDatum(score->score);
	values[SCORE_VALUE] = Float8GetDatum(score->value);
	values[SCORE_SENSOR_ID] = Int32GetDatum(score->sensor_id);
	values[SCORE_SENSOR_VERSION_ID] = Int32GetDatum(score->sensor_version_id);
	values[SCORE_VERSION] = Int32GetDatum(score->version);
	values[SCORE_READING_INDEX] = Int16GetDatum(score->reading_index);
	values[SCORE_DETECTOR] = Int16GetDatum(score->detector);
}

void
fm_scores_insert(const FmFold *fold)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	int			n;
	const FmScore *scores = fm_fold_scores(fold, &n);
	FmOwnTable	table;

	if (n == 0)
		return;
	fm_own_table_open_partition(&table, fold->stream.pipeline_id, "score",
								SCORE_COLUMNS, now);
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *row = fm_own_table_row(&table);
		Datum	   *values = row->tts_values - 1;

		set_row(row, &scores[i]);
		values[SCORE_RECORDED_AT] = TimestampTzGetDatum(now);
		values[SCORE_PIPELINE_ID] = Int16GetDatum(fold->stream.pipeline_id);
		values[SCORE_STREAM_ID] = Int32GetDatum(fold->stream.stream_id);
		fm_own_table_put(&table, row);
	}
	fm_own_table_close(&table);
}
