/*-------------------------------------------------------------------------
 *
 * fold_rebuild.c
 *	  What the new owner of a stream makes of its snapshot.
 *
 * Rebuilding changes memory only, and judges nothing:
 *	1. The chunks give the state as of snapshot_position.
 *	2. Alarms that had a transition since then are replaced by their records,
 *	   each as of its as_of.  (A record that is as old as the snapshot may be
 *	   newer: what operators do moves no position.)
 *	3. Readings stored from snapshot_position up to fold_position are taken in
 *	   again in their order, with the flags and level they were stored with.
 *	   So do detectors, with the parameters that the snapshot holds: whoever
 *	   goes on with others writes a snapshot.
 *	   (The position row knows the range of their ts, so that an index on
 *	   (sensor_id, ts), or pruning, finds them.)  Those flagged as not folded
 *	   are left out.  An alarm follows them from its as_of on: so delays that
 *	   were running are found again.
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
typedef struct Rebuild
{
	FmFold	   *fold;
	int64	   *as_of;			/* by number of the alarm; 0: of the snapshot */
	int			nas_of;			/* alarms that have one */
} Rebuild;

typedef void (*RowFunction) (Rebuild *rebuild, const Datum *values,
							 const bool *nulls);

typedef struct RowReceiver
{
	DestReceiver pub;
	Rebuild    *rebuild;
	RowFunction function;
} RowReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	slot_getallattrs(slot);
	receiver->function(receiver->rebuild, slot->tts_values, slot->tts_isnull);
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
for_each_row(Rebuild *rebuild, RowFunction function, const char *query,
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
	receiver.rebuild = rebuild;
	receiver.function = function;
	options.params = params;
	options.must_return_tuples = true;
	options.dest = &receiver.pub;
	if (SPI_execute_extended(query, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read what the fold is rebuilt from");
}

static void
append_sensor(FmFold *fold, const bytea *chunk, int n)
{
	FmFoldSensor sensor;
	int			number = fold->stores[FM_FOLD_SENSORS].n;

	fm_fold_chunk_sensor(chunk, n, &sensor);
	if (fm_fold_number(fold, sensor.sensor_id, true) != number)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state of stream %d holds sensor %d twice",
						fold->stream.stream_id, sensor.sensor_id)));
	*fm_fold_state(fold, number) = sensor;
}

static void
append_alarm(FmFold *fold, const bytea *chunk, int n)
{
	FmAlarm		alarm;
	int			number = fold->stores[FM_FOLD_ALARMS].n;

	fm_fold_chunk_alarm(chunk, n, &alarm);
	if (fm_fold_alarm_number(fold, alarm.sensor_id, alarm.condition,
							 true) != number)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state of stream %d holds an alarm of sensor %d twice",
						fold->stream.stream_id, alarm.sensor_id)));
	*fm_fold_alarm(fold, number) = alarm;
}

static void
append_detector(FmFold *fold, const bytea *chunk, int n)
{
	FmDetector	detector;
	int			number = fold->stores[FM_FOLD_DETECTORS].n;

	fm_fold_chunk_detector(chunk, n, &detector);
	if (fm_fold_detector_number(fold, detector.sensor_id, true) != number)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state of stream %d holds detectors of sensor %d twice",
						fold->stream.stream_id, detector.sensor_id)));
	*fm_fold_detector(fold, number) = detector;
}

static void
append_params(FmFold *fold, const bytea *chunk, int n)
{
	FmDetectorParams params;
	int			number;

	fm_fold_chunk_params(chunk, n, &params);
	number = fm_store_add(&fold->stores[FM_FOLD_PARAMETERS]);
	*fm_fold_params(fold, number) = params;
}

static void
append_element(FmFold *fold, FmFoldPart part, const bytea *chunk, int n)
{
	switch (part)
	{
		case FM_FOLD_SENSORS:
			append_sensor(fold, chunk, n);
			break;
		case FM_FOLD_ALARMS:
			append_alarm(fold, chunk, n);
			break;
		case FM_FOLD_DETECTORS:
			append_detector(fold, chunk, n);
			break;
		case FM_FOLD_PARAMETERS:
			append_params(fold, chunk, n);
			break;
		case FM_FOLD_PARTS:
			break;
	}
}

/* part, chunk, state: append the elements of a chunk. */
static void
take_chunk(Rebuild *rebuild, const Datum *values, const bool *nulls)
{
	FmFold	   *fold = rebuild->fold;
	int16		part = DatumGetInt16(values[0]);
	int32		number = DatumGetInt32(values[1]);
	bytea	   *chunk = DatumGetByteaPP(values[2]);
	int			count;

	if (part < 0 || part >= FM_FOLD_PARTS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("snapshot of per-sensor state of stream %d has an unknown part %d",
						fold->stream.stream_id, part)));
	count = fm_fold_chunk_check(chunk, part, fold->stores[part].size);
	if (fold->stores[part].n != number * FM_FOLD_CHUNK)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of per-sensor state of stream %d lacks a chunk before %d",
						fold->stream.stream_id, number)));
	for (int i = 0; i < count; i++)
		append_element(fold, part, chunk, i);
	if ((Pointer) chunk != DatumGetPointer(values[2]))
		pfree(chunk);
}

static void
load_chunks(Rebuild *rebuild)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(rebuild->fold->stream.stream_id)};

	for_each_row(rebuild, take_chunk,
				 "SELECT part, chunk, state FROM _factorymon.fold_chunk"
				 " WHERE stream_id = $1 ORDER BY part, chunk",
				 1, types, values);
}

/* as_of, record: an alarm as it was after its last transition. */
static void
take_record(Rebuild *rebuild, const Datum *values, const bool *nulls)
{
	FmFold	   *fold = rebuild->fold;
	FmFoldStore *store = &fold->stores[FM_FOLD_ALARMS];
	bytea	   *record = DatumGetByteaPP(values[1]);
	FmAlarm		alarm;
	int			number;

	if (fm_fold_chunk_check(record, FM_FOLD_ALARMS, sizeof(FmAlarm)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("record of an alarm of stream %d is damaged",
						fold->stream.stream_id)));
	fm_fold_chunk_alarm(record, 0, &alarm);
	number = fm_fold_alarm_number(fold, alarm.sensor_id, alarm.condition,
								  true);
	*fm_fold_alarm(fold, number) = alarm;
	fm_store_mark_dirty(store, number);
	if (number >= rebuild->nas_of)
	{
		int			wanted = Max(number + 1, rebuild->nas_of * 2);

		/* not in the context of the query that is running */
		rebuild->as_of = rebuild->as_of == NULL ?
			MemoryContextAlloc(fold->context, wanted * sizeof(int64)) :
			repalloc(rebuild->as_of, wanted * sizeof(int64));
		memset(rebuild->as_of + rebuild->nas_of, 0,
			   (wanted - rebuild->nas_of) * sizeof(int64));
		rebuild->nas_of = wanted;
	}
	rebuild->as_of[number] = DatumGetInt64(values[0]);
	if ((Pointer) record != DatumGetPointer(values[1]))
		pfree(record);
}

/* Alarms that had transitions since the snapshot. */
static void
load_records(Rebuild *rebuild, int64 snapshot_position)
{
	Oid			types[] = {INT4OID, INT8OID};
	Datum		values[] = {Int32GetDatum(rebuild->fold->stream.stream_id),
	Int64GetDatum(snapshot_position)};

	for_each_row(rebuild, take_record,
				 "SELECT as_of, record FROM _factorymon.alarm"
				 " WHERE stream_id = $1 AND as_of >= $2"
				 " ORDER BY sensor_id, condition",
				 2, types, values);
}

/* A sensor that a stored row is about. */
static FmFoldSensor *
stored_sensor(FmFold *fold, int32 sensor_id)
{
	int			number = fm_fold_number(fold, sensor_id, true);

	fm_store_mark_dirty(&fold->stores[FM_FOLD_SENSORS], number);
	return fm_fold_state(fold, number);
}

/* Does the record of its sensor's alarm know a reading already? */
static bool
is_recorded(const Rebuild *rebuild, int32 sensor_id, int64 kafka_offset)
{
	int			number = fm_fold_alarm_number(rebuild->fold, sensor_id,
											  FM_CONDITION_LIMIT, false);

	return number >= 0 && number < rebuild->nas_of &&
		kafka_offset < rebuild->as_of[number];
}

/* With what readings of a type are looked at by detectors. */
static const FmDetectorParams *
params_of_type(const FmFold *fold, Datum sensor_type)
{
	text	   *name = DatumGetTextPP(sensor_type);

	return fm_fold_params_of(fold, VARDATA_ANY(name),
							 VARSIZE_ANY_EXHDR(name));
}

/* A stored reading; columns as in replay_readings(). */
static void
take_reading(Rebuild *rebuild, const Datum *values, const bool *nulls)
{
	FmFold	   *fold = rebuild->fold;
	FmFoldSensor *state = stored_sensor(fold, DatumGetInt32(values[4]));
	FmFoldReading reading;
	FmFoldBefore before;

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
	if (!is_recorded(rebuild, state->sensor_id, reading.kafka_offset))
		fm_fold_follow(fold, state, &reading);
	before = fm_fold_before(state, reading.ts);
	fm_fold_take(state, &reading);
	if (!nulls[10])
		fm_fold_detect_again(fold, state, &before, &reading,
							 params_of_type(fold, values[10]));
}

/*
 * Take in again what was stored from snapshot_position on.  The join offers
 * the planner to probe (sensor_id, ts) for every sensor of the pipeline, for
 * when the range of ts is short and the table long.
 */
static void
replay_readings(Rebuild *rebuild, int64 snapshot_position)
{
	FmFold	   *fold = rebuild->fold;
	Oid			types[] = {INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, INT2OID, INT2OID};
	Datum		values[lengthof(types)];
	char	   *table = psprintf("reading_%d", fold->stream.pipeline_id);
	char	   *query;
	bool		detects = fold->stores[FM_FOLD_PARAMETERS].n > 0;

	values[0] = Int32GetDatum(fold->stream.stream_id);
	values[1] = Int64GetDatum(snapshot_position);
	values[2] = Int64GetDatum(fold->position);
	values[3] = TimestampTzGetDatum(fold->min_ts);
	values[4] = TimestampTzGetDatum(fold->max_ts);
	values[5] = Int16GetDatum(fold->stream.pipeline_id);
	values[6] = Int16GetDatum(FM_FLAG_NOT_FOLDED);
	/* only detectors want to know types */
	query = psprintf("SELECT r.kafka_offset, r.reading_index, r.ts, r.value,"
					 " r.sensor_id, r.sensor_version_id, r.reading_count,"
					 " r.quality, r.level, r.flags, %s"
					 " FROM _factorymon.sensor AS s"
					 " JOIN _factorymon.%s AS r ON r.sensor_id = s.sensor_id"
					 "%s"
					 " WHERE s.pipeline_id = $6 AND r.stream_id = $1"
					 " AND r.kafka_offset >= $2 AND r.kafka_offset < $3"
					 " AND r.ts >= $4 AND r.ts <= $5"
					 " AND (r.flags & $7) = 0"
					 " ORDER BY r.kafka_offset, r.reading_index",
					 detects ? "v.sensor_type" : "NULL::text",
					 quote_identifier(table),
					 detects ? " LEFT JOIN _factorymon.sensor_version AS v"
					 " ON v.sensor_version_id = r.sensor_version_id" : "");
	for_each_row(rebuild, take_reading, query, lengthof(types), types, values);
}

/* Which sensors' alarms must see each reading follows from the alarms. */
static void
find_hot(FmFold *fold)
{
	FmFoldStore *sensors = &fold->stores[FM_FOLD_SENSORS];
	FmFoldStore *alarms = &fold->stores[FM_FOLD_ALARMS];

	for (int i = 0; i < sensors->n; i++)
		fm_fold_state(fold, i)->hot = 0;
	for (int i = 0; i < alarms->n; i++)
		fm_fold_set_hot(fold, fm_fold_alarm(fold, i));
}

FmFold *
fm_fold_open(MemoryContext parent, const FmFoldStream *stream,
			 int64 snapshot_position, int64 fold_position,
			 TimestampTz min_ts, TimestampTz max_ts)
{
	/* below the transaction until it is complete */
	FmFold	   *fold = fm_fold_create(CurTransactionContext, stream,
									  fold_position);
	Rebuild		rebuild = {fold, NULL, 0};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	load_chunks(&rebuild);
	load_records(&rebuild, snapshot_position);
	if (snapshot_position < fold_position && min_ts <= max_ts)
	{
		fold->min_ts = min_ts;
		fold->max_ts = max_ts;
		replay_readings(&rebuild, snapshot_position);
	}
	find_hot(fold);
	if (rebuild.as_of != NULL)
		pfree(rebuild.as_of);
	SPI_finish();
	MemoryContextSetParent(fold->context, parent);
	return fold;
}
