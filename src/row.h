/*-------------------------------------------------------------------------
 *
 * row.h
 *	  A reading of the batch as a tuple of _factorymon.reading.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROW_H
#define FM_ROW_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "batch.h"

/* Columns of _factorymon.reading and of _factorymon.batch, from 0. */
enum
{
	FM_COLUMN_TS = 0,
	FM_COLUMN_KAFKA_OFFSET,
	FM_COLUMN_VALUE,
	FM_COLUMN_SENSOR_ID,
	FM_COLUMN_STREAM_ID,
	FM_COLUMN_SENSOR_VERSION_ID,
	FM_COLUMN_READING_COUNT,
	FM_COLUMN_QUALITY,
	FM_COLUMN_PIPELINE_ID,
	FM_COLUMN_READING_INDEX,
	FM_COLUMN_LEVEL,
	FM_COLUMN_FLAGS,
	FM_COLUMN_EXTRA,
	FM_NCOLUMNS
};

/*
 * Are these the columns, in this order and no others, and may those be null
 * that a reading may lack?
 */
extern bool fm_row_fits(TupleDesc desc);

/*
 * Set values and nulls of a cleared slot of FM_NCOLUMNS columns; what is not
 * passed by value is allocated in the current memory context.
 */
extern void fm_row_fill_slot(TupleTableSlot *slot, int16 pipeline_id,
							 const FmRow *row);

/* A JSON object that the decoder has checked, in the current memory context. */
extern Datum fm_extra_to_jsonb(FmSlice extra);

#endif							/* FM_ROW_H */
