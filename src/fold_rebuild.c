/*-------------------------------------------------------------------------
 *
 * fold_rebuild.c
 *	  What the new owner of a stream makes of its snapshot.
 *
 * Rebuilding changes memory only, and judges nothing:
 *	1. The chunks give the state as of snapshot_position.
 *	2. Readings stored from there up to fold_position are taken in again in
 *	   their order, with the flags and level they were stored with.  (The
 *	   position row knows the range of their ts, so that an index on
 *	   (sensor_id, ts), or pruning, finds them.)  Those flagged as not folded
 *	   are left out.
 *	3. Alarms are set to what the last transition of each sensor says.
 *
 * So the rebuilt state equals the lost one in everything but message_at,
 * which readings do not store: after a rebuild it is the reading's own ts,
 * until the next reading of the sensor comes.
 *
 * Two things would break this, and are forbidden to callers: to delete
 * readings from snapshot_position on (a seek or retention must see to a
 * snapshot first), and to go on with a fold in which rows were applied that
 * were then not stored as they were.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fold_state.h"

/* Hands the rows of a query to a function, without keeping them. */
typedef void (*RowFunction) (FmFold *fold, const Datum *values,
							 const bool *nulls);

typedef struct RowReceiver
{
	DestReceiver pub;
	FmFold	   *fold;
	RowFunction function;
} RowReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	slot_getallattrs(slot);
	receiver->function(receiver->fold, slot->tts_values, slot->tts_isnull);
	return true;
}

static void
receive_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
receive_nothing(DestReceiver *self)
{
}

static void
for_each_row(FmFold *fold, RowFunction function, const char *query,
			 int nparams, const Oid *types, const Datum *values)
{
	RowReceiver receiver = {{0}};
	ParamListInfo params = makeParamList(nparams);
	SPIExecuteOptions options = {0};

	for (int i = 0; i < nparams; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = receive_startup;
	receiver.pub.rShutdown = receive_nothing;
	receiver.pub.rDestroy = receive_nothing;
	/* any kind that SPI neither discards nor keeps */
	receiver.pub.mydest = DestTuplestore;
	receiver.fold = fold;
	receiver.function = function;
	options.params = params;
	options.must_return_tuples = true;
	options.dest = &receiver.pub;
	if (SPI_execute_extended(query, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read what the fold is rebuilt from");
}

/* chunk, state: append the sensors of a chunk. */
static void
take_chunk(FmFold *fold, const Datum *values, const bool *nulls)
{
	int32		number = DatumGetInt32(values[0]);
	bytea	   *chunk = DatumGetByteaPP(values[1]);
	int			count = fm_fold_chunk_check(chunk);

	if (fold->nsensors != number * FM_FOLD_CHUNK)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state of stream %d lacks a chunk before %d",
						fold->stream.stream_id, number)));
	for (int i = 0; i < count; i++)
	{
		FmFoldSensor sensor;
		int			before = fold->nsensors;
		int			n;

		fm_fold_chunk_sensor(chunk, i, &sensor);
		n = fm_fold_number(fold, sensor.sensor_id, true);
		if (n != before)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("snapshot of per-sensor state of stream %d holds sensor %d twice",
							fold->stream.stream_id, sensor.sensor_id)));
		*fm_fold_state(fold, n) = sensor;
	}
	if ((Pointer) chunk != DatumGetPointer(values[1]))
		pfree(chunk);
}

static void
load_chunks(FmFold *fold)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(fold->stream.stream_id)};

	for_each_row(fold, take_chunk,
				 "SELECT chunk, state FROM _factorymon.fold_chunk"
				 " WHERE stream_id = $1 ORDER BY chunk",
				 1, types, values);
}

/* A sensor that a stored row is about. */
static FmFoldSensor *
stored_sensor(FmFold *fold, int32 sensor_id)
{
	int			number = fm_fold_number(fold, sensor_id, true);

	fold->pages[number / FM_FOLD_CHUNK]->dirty = true;
	return fm_fold_state(fold, number);
}

/* A stored reading; columns as in replay_readings(). */
static void
take_reading(FmFold *fold, const Datum *values, const bool *nulls)
{
	FmFoldReading reading;

	reading.kafka_offset = DatumGetInt64(values[0]);
	reading.reading_index = DatumGetInt16(values[1]);
	reading.ts = DatumGetTimestampTz(values[2]);
	reading.value = DatumGetFloat8(values[3]);
	reading.sensor_version_id = DatumGetInt32(values[5]);
	reading.has_reading_count = !nulls[6];
	reading.reading_count = nulls[6] ? 0 : DatumGetInt32(values[6]);
	reading.quality = nulls[7] ? NAN : DatumGetFloat4(values[7]);
	reading.level = DatumGetInt16(values[8]);
	reading.flags = DatumGetInt16(values[9]);
	reading.message_at = (reading.flags & FM_FLAG_FUTURE) != 0 ?
		DT_NOBEGIN : reading.ts;
	fm_fold_take(stored_sensor(fold, DatumGetInt32(values[4])), &reading);
}

/*
 * Take in again what was stored from snapshot_position on.  The join offers
 * the planner to probe (sensor_id, ts) for every sensor of the pipeline, for
 * when the range of ts is short and the table long.
 */
static void
replay_readings(FmFold *fold, int64 snapshot_position)
{
	Oid			types[] = {INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, INT2OID, INT2OID};
	Datum		values[lengthof(types)];
	char	   *table = psprintf("reading_%d", fold->stream.pipeline_id);
	char	   *query;

	values[0] = Int32GetDatum(fold->stream.stream_id);
	values[1] = Int64GetDatum(snapshot_position);
	values[2] = Int64GetDatum(fold->position);
	values[3] = TimestampTzGetDatum(fold->min_ts);
	values[4] = TimestampTzGetDatum(fold->max_ts);
	values[5] = Int16GetDatum(fold->stream.pipeline_id);
	values[6] = Int16GetDatum(FM_FLAG_NOT_FOLDED);
	query = psprintf("SELECT r.kafka_offset, r.reading_index, r.ts, r.value,"
					 " r.sensor_id, r.sensor_version_id, r.reading_count,"
					 " r.quality, r.level, r.flags"
					 " FROM _factorymon.sensor AS s"
					 " JOIN _factorymon.%s AS r ON r.sensor_id = s.sensor_id"
					 " WHERE s.pipeline_id = $6 AND r.stream_id = $1"
					 " AND r.kafka_offset >= $2 AND r.kafka_offset < $3"
					 " AND r.ts >= $4 AND r.ts <= $5"
					 " AND (r.flags & $7) = 0"
					 " ORDER BY r.kafka_offset, r.reading_index",
					 quote_identifier(table));
	for_each_row(fold, take_reading, query, lengthof(types), types, values);
}

/* The last transition of a sensor; columns as in replay_transitions(). */
static void
take_transition(FmFold *fold, const Datum *values, const bool *nulls)
{
	FmFoldSensor *state = stored_sensor(fold, DatumGetInt32(values[0]));
	char	   *name = TextDatumGetCString(values[1]);
	int16		level = DatumGetInt16(values[2]);
	FmAlarmState alarm_state;

	if (!fm_alarm_state_parse(name, &alarm_state))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("alarm of sensor %d has the unknown state \"%s\"",
						state->sensor_id, name)));
	pfree(name);
	state->alarm_state = alarm_state;
	state->alarm_level = FM_CODE_LEVEL(level);
	state->alarm_side = FM_CODE_SIDE(level);
	state->alarm_id = *DatumGetUUIDP(values[3]);
	state->alarm_seq = DatumGetInt32(values[4]);
	state->alarm_since = DatumGetTimestampTz(values[5]);
	state->alarm_raised_at = DatumGetTimestampTz(values[6]);
}

/*
 * Set alarms to what was committed from snapshot_position on.  A transition
 * holds all of its alarm, so the last one of each sensor is enough.
 */
static void
replay_transitions(FmFold *fold, int64 snapshot_position)
{
	Oid			types[] = {INT4OID, INT8OID, INT8OID};
	Datum		values[lengthof(types)];
	char	   *table = psprintf("transition_%d", fold->stream.pipeline_id);
	char	   *query;

	values[0] = Int32GetDatum(fold->stream.stream_id);
	values[1] = Int64GetDatum(snapshot_position);
	values[2] = Int64GetDatum(fold->position);
	query = psprintf("SELECT DISTINCT ON (sensor_id) sensor_id, state, level,"
					 " alarm_id, seq, since, raised_at"
					 " FROM _factorymon.%s"
					 " WHERE stream_id = $1 AND condition = 'limit'"
					 " AND kafka_offset >= $2 AND kafka_offset < $3"
					 " ORDER BY sensor_id, kafka_offset DESC,"
					 " reading_index DESC, ordinal DESC",
					 quote_identifier(table));
	for_each_row(fold, take_transition, query, lengthof(types), types,
				 values);
}

FmFold *
fm_fold_open(MemoryContext parent, const FmFoldStream *stream,
			 int64 snapshot_position, int64 fold_position,
			 TimestampTz min_ts, TimestampTz max_ts)
{
	/* below the transaction until it is complete */
	FmFold	   *fold = fm_fold_create(CurTransactionContext, stream,
									  fold_position);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	load_chunks(fold);
	if (snapshot_position < fold_position)
	{
		if (min_ts <= max_ts)
		{
			fold->min_ts = min_ts;
			fold->max_ts = max_ts;
			replay_readings(fold, snapshot_position);
		}
		replay_transitions(fold, snapshot_position);
	}
	SPI_finish();
	MemoryContextSetParent(fold->context, parent);
	return fold;
}
