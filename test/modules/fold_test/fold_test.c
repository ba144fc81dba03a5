/*-------------------------------------------------------------------------
 *
 * fold_test.c
 *	  A fold driven by hand from SQL, one call a function.
 *
 * The session has one fold, with a list of its transitions.  Functions return
 * text, so that scenarios read as tables of input and outcome.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fold_test.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fold_open);
PG_FUNCTION_INFO_V1(fold_apply);
PG_FUNCTION_INFO_V1(fold_advance);
PG_FUNCTION_INFO_V1(fold_mark);
PG_FUNCTION_INFO_V1(fold_rollback);
PG_FUNCTION_INFO_V1(fold_commit);
PG_FUNCTION_INFO_V1(fold_snapshot);
PG_FUNCTION_INFO_V1(fold_snapshot_done);
PG_FUNCTION_INFO_V1(fold_range);
PG_FUNCTION_INFO_V1(fold_store_transitions);
PG_FUNCTION_INFO_V1(fold_sensor);
PG_FUNCTION_INFO_V1(fold_alarm);
PG_FUNCTION_INFO_V1(fold_bench);

static FmFold *fold = NULL;
static FmTransitionList transitions;
static FmFoldMark mark;
static int	marked_transitions;

FmSlice
test_slice(const char *string)
{
	FmSlice		slice = {string, strlen(string)};

	return slice;
}

FmFoldStream
test_stream(int32 stream_id, int16 pipeline_id)
{
	FmFoldStream stream = {
		.stream_id = stream_id,
		.pipeline_id = pipeline_id,
		.pipeline = "test",
		.topic = "sensor-data",
		.kafka_partition = 2,
		.incarnation = 1
	};

	return stream;
}

/* Processor time of this process, which others on the machine do not add to. */
double
test_cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* fold_open(stream, pipeline, snapshot_position, fold_position, min, max) */
Datum
fold_open(PG_FUNCTION_ARGS)
{
	FmFoldStream stream = test_stream(PG_GETARG_INT32(0), PG_GETARG_INT16(1));

	if (fold != NULL)
		fm_fold_close(fold);
	fold = NULL;
	if (transitions.context == NULL)
		fm_transitions_init(&transitions, TopMemoryContext);
	fm_transitions_truncate(&transitions, 0);
	fold = fm_fold_open(TopMemoryContext, &stream, PG_GETARG_INT64(2),
						PG_GETARG_INT64(3), PG_GETARG_TIMESTAMPTZ(4),
						PG_GETARG_TIMESTAMPTZ(5));
	PG_RETURN_INT64(fm_fold_sensor_count(fold));
}

/*
 * Critical low, warning low, warning high, critical high; and, if given,
 * deadband, on-delay, off-delay, re-alarm (seconds).
 */
static void
read_limits(ArrayType *array, FmLimits *limits)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	double	   *members[] = {&limits->critical_low, &limits->warning_low,
	&limits->warning_high, &limits->critical_high, &limits->deadband};
	int64	   *times[] = {&limits->on_delay, &limits->off_delay,
	&limits->re_alarm_after};

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elements, &nulls, &n);
	if (n != 4 && n != lengthof(members) + lengthof(times))
		elog(ERROR, "four limits are wanted, or eight numbers");
	memset(limits, 0, sizeof(*limits));
	limits->severity[0] = 500;
	limits->severity[1] = 900;
	limits->wants_acknowledgement = true;
	for (int i = 0; i < Min(n, lengthof(members)); i++)
		*members[i] = nulls[i] ? NAN : DatumGetFloat8(elements[i]);
	for (int i = lengthof(members); i < n; i++)
		*times[i - lengthof(members)] =
			DatumGetFloat8(elements[i]) * USECS_PER_SEC;
}

static const char *
side_sign(FmSide side)
{
	return side == FM_SIDE_LOW ? "-" : side == FM_SIDE_HIGH ? "+" : "";
}

static void
append_transition(StringInfo buf, const FmTransition *t)
{
	const FmAlarmEvent *event = &t->event;

	appendStringInfo(buf, "; %d %s%s %s:%s%s -> %s:%s%s seq %d sev %d",
					 t->ordinal, fm_transition_name(event->kind),
					 event->announced ? "!" : "",
					 fm_alarm_state_name(event->previous_state),
					 fm_level_name(event->previous_level),
					 side_sign(event->previous_side),
					 fm_alarm_state_name(event->state),
					 fm_level_name(event->level), side_sign(event->side),
					 event->seq, t->severity);
	if (!isnan(t->limit_value))
		appendStringInfo(buf, " limit %g", t->limit_value);
}

static char *
describe_outcome(const FmRow *row, int first_transition)
{
	StringInfoData buf;
	FmSide		side = FM_CODE_SIDE(row->level);

	initStringInfo(&buf);
	appendStringInfoString(&buf, fm_level_name(FM_CODE_LEVEL(row->level)));
	if (side != FM_SIDE_NONE)
		appendStringInfo(&buf, " %s", fm_side_name(side));
	if (row->flags & FM_FLAG_LATE)
		appendStringInfoString(&buf, ", late");
	if (row->flags & FM_FLAG_FUTURE)
		appendStringInfoString(&buf, ", future");
	if (row->flags & FM_FLAG_LOW_QUALITY)
		appendStringInfoString(&buf, ", low quality");
	if (row->flags & FM_FLAG_NOT_FOLDED)
		appendStringInfoString(&buf, ", not folded");
	if (row->flags & FM_FLAG_CLOCK_SET)
		appendStringInfoString(&buf, ", clock set");
	/* the target, where it is not the level */
	if ((row->flags & (FM_FOLD_UNJUDGED | FM_FLAG_NOT_FOLDED)) == 0 &&
		(FM_CODE_TARGET_LEVEL(row->level) != FM_CODE_LEVEL(row->level) ||
		 FM_CODE_TARGET_SIDE(row->level) != side))
		appendStringInfo(&buf, ", held at %s%s",
						 fm_level_name(FM_CODE_TARGET_LEVEL(row->level)),
						 side_sign(FM_CODE_TARGET_SIDE(row->level)));
	for (int i = first_transition; i < transitions.length; i++)
		append_transition(&buf, &transitions.items[i]);
	return buf.data;
}

/*
 * fold_apply(offset, index, sensor_id, ts, value, quality, reading_count,
 *			  message_at, limits)
 */
Datum
fold_apply(PG_FUNCTION_ARGS)
{
	FmReading	reading = {0};
	FmRow		row = {0};
	FmSensor	sensor = {0};
	FmLimits	limits;
	int			before = transitions.length;

	reading.ts = PG_GETARG_TIMESTAMPTZ(3);
	reading.value = PG_GETARG_FLOAT8(4);
	reading.has_quality = !PG_ARGISNULL(5);
	if (reading.has_quality)
		reading.quality = PG_GETARG_FLOAT4(5);
	reading.has_reading_count = !PG_ARGISNULL(6);
	if (reading.has_reading_count)
		reading.reading_count = PG_GETARG_INT32(6);
	row.reading = &reading;
	row.kafka_offset = PG_GETARG_INT64(0);
	row.reading_index = PG_GETARG_INT16(1);
	row.message_at = PG_ARGISNULL(7) ? reading.ts : PG_GETARG_TIMESTAMPTZ(7);
	sensor.sensor_id = PG_GETARG_INT32(2);
	sensor.sensor_version_id = sensor.sensor_id * 10;
	read_limits(PG_GETARG_ARRAYTYPE_P(8), &limits);
	sensor.limits = &limits;

	fm_fold_apply(fold, &row, &sensor, &transitions);
	PG_RETURN_TEXT_P(cstring_to_text(describe_outcome(&row, before)));
}

Datum
fold_advance(PG_FUNCTION_ARGS)
{
	fm_fold_advance(fold, PG_GETARG_INT64(0));
	PG_RETURN_INT64(fm_fold_position(fold));
}

Datum
fold_mark(PG_FUNCTION_ARGS)
{
	mark = fm_fold_mark(fold);
	marked_transitions = transitions.length;
	PG_RETURN_INT32(mark.undo_length[FM_FOLD_SENSORS]);
}

Datum
fold_rollback(PG_FUNCTION_ARGS)
{
	fm_fold_rollback(fold, mark);
	fm_transitions_truncate(&transitions, marked_transitions);
	PG_RETURN_INT64(fm_fold_position(fold));
}

Datum
fold_commit(PG_FUNCTION_ARGS)
{
	fm_fold_commit(fold);
	PG_RETURN_VOID();
}

Datum
fold_snapshot(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(fm_fold_snapshot(fold));
}

Datum
fold_snapshot_done(PG_FUNCTION_ARGS)
{
	fm_fold_snapshot_done(fold);
	PG_RETURN_VOID();
}

/* fold_range(): "from to", or NULL if nothing is pending */
Datum
fold_range(PG_FUNCTION_ARGS)
{
	TimestampTz min_ts;
	TimestampTz max_ts;
	char	   *from;

	if (!fm_fold_pending_range(fold, &min_ts, &max_ts))
		PG_RETURN_NULL();
	from = pstrdup(timestamptz_to_str(min_ts));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s to %s", from,
											  timestamptz_to_str(max_ts))));
}

/* fold_store_transitions(): insert all of them; returns how many */
Datum
fold_store_transitions(PG_FUNCTION_ARGS)
{
	int			n = transitions.length;

	fm_transitions_insert(fold->stream.pipeline_id, &transitions, n);
	fm_transitions_truncate(&transitions, 0);
	PG_RETURN_INT32(n);
}

/*
 * fold_sensor(number): one sensor's state, as a chunk for
 * _factorymon.fold_sensors(); NULL if there is none of that number.
 */
Datum
fold_sensor(PG_FUNCTION_ARGS)
{
	int			number = PG_GETARG_INT32(0);

	if (fold == NULL || number >= fm_fold_sensor_count(fold))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(fm_fold_chunk_encode(FM_FOLD_SENSORS,
										   fm_fold_state(fold, number), 1,
										   sizeof(FmFoldSensor)));
}

/* fold_alarm(sensor_id): its alarm; NULL if it never had one */
Datum
fold_alarm(PG_FUNCTION_ARGS)
{
	int			number = fm_fold_alarm_number(fold, PG_GETARG_INT32(0),
											  FM_CONDITION_LIMIT, false);
	const FmAlarm *alarm;
	char	   *since;

	if (number < 0)
		PG_RETURN_NULL();
	alarm = fm_fold_alarm(fold, number);
	since = pstrdup(timestamptz_to_str(alarm->since));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %s%s seq %d since %s raised %s id %s",
											  fm_alarm_state_name(alarm->state),
											  fm_level_name(alarm->level),
											  side_sign(alarm->side),
											  alarm->seq, since,
											  timestamptz_to_str(alarm->raised_at),
											  DatumGetCString(DirectFunctionCall1(uuid_out,
																				  UUIDPGetDatum((const pg_uuid_t *) alarm->alarm_id))))));
}

/*
 * fold_bench(sensors, readings, batch, share): nanoseconds of processor time
 * per reading, commit included, with that share of readings out of limits.
 */
Datum
fold_bench(PG_FUNCTION_ARGS)
{
	FmLimits	limits = {
		.critical_low = 5, .warning_low = 10,
		.warning_high = 35, .critical_high = 40,
		.severity = {500, 900}, .wants_acknowledgement = true
	};
	int			nsensors = PG_GETARG_INT32(0);
	int64		nreadings = PG_GETARG_INT64(1);
	int			batch = PG_GETARG_INT32(2);
	double		share = PG_GETARG_FLOAT8(3);
	FmFoldStream stream = test_stream(1, 1);
	FmFold	   *bench = fm_fold_create(CurrentMemoryContext, &stream, 0);
	FmReading  *readings = palloc0(batch * sizeof(FmReading));
	FmRow	   *rows = palloc0(batch * sizeof(FmRow));
	FmSensor   *sensors = palloc0(batch * sizeof(FmSensor));
	FmTransitionList list;
	pg_prng_state prng;
	double		nanoseconds = 0;

	pg_prng_seed(&prng, 1);
	fm_transitions_init(&list, CurrentMemoryContext);
	for (int64 done = 0; done < nreadings; done += batch)
	{
		double		start;

		for (int i = 0; i < batch; i++)
		{
			int			n = (done + i) % nsensors;

			readings[i].ts = (done + i) / nsensors * 3000000 + n;
			readings[i].value = pg_prng_double(&prng) < share ? 36 : 25;
			readings[i].has_reading_count = true;
			readings[i].reading_count = (done + i) / nsensors;
			readings[i].has_quality = true;
			readings[i].quality = 1;
			rows[i].reading = &readings[i];
			rows[i].kafka_offset = done + i;
			rows[i].flags = 0;
			rows[i].message_at = readings[i].ts;
			sensors[i].sensor_id = n + 1;
			sensors[i].limits = &limits;
		}
		start = test_cpu_seconds();
		for (int i = 0; i < batch; i++)
		{
			fm_fold_apply(bench, &rows[i], &sensors[i], &list);
			fm_fold_advance(bench, rows[i].kafka_offset + 1);
		}
		fm_fold_commit(bench);
		nanoseconds += (test_cpu_seconds() - start) * 1e9;
		fm_transitions_truncate(&list, 0);
	}
	elog(NOTICE, "%lld bytes for %d sensors",
		 (long long) MemoryContextMemAllocated(bench->context, true),
		 (int) fm_fold_sensor_count(bench));
	fm_fold_close(bench);
	PG_RETURN_FLOAT8(nanoseconds / nreadings);
}
