/*-------------------------------------------------------------------------
 *
 * try_limits.c
 *	  try_limits(): the alarms that other limits would have given.
 *
 * The stored readings of a sensor go once more through the life of an alarm
 * (lifecycle.c), judged by the limits that are tried, beside what really
 * happened, which is read from the transitions.  Nothing is judged a second
 * way here: which readings count was stored with them (late, future, of low
 * quality, not folded), gaps are found by the fold's own state, which
 * fm_fold_take() makes of each reading, and fm_alarm_judge() does the rest.
 *
 * Each stream is gone through on its own, in offset order, as in ingest.  Both
 * readings and transitions come through cursors in that order and are merged,
 * so memory does not grow with them.
 *
 * What is counted is a *phase*: from the reading with which an alarm is raised
 * to the one with which it returns.  (Alarms proper would not compare: without
 * operators nobody acknowledges, and one alarm would go on through all of its
 * returns.)  Phases that touch [from, to) are shown.  To know what was going on
 * at its beginning, the replay begins earlier: by a hundred readings, and by as
 * much as the delays that are tried.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/timestamp.h"

#include "classify.h"
#include "fold_state.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_try_limits);

/* Readings before the first one of interest that are gone through, too. */
#define WARM_UP			100

/* Descriptions of a sensor whose limits are kept: it may alternate. */
#define KNOWN_VERSIONS	8

/* Rows that a cursor fetches at a time. */
#define FETCH			1000

/* Arguments, in the order of the function's. */
enum
{
	ARG_SENSOR_ID,
	ARG_SENSOR_TYPE,
	ARG_FROM,
	ARG_TO,
	ARG_CRITICAL_LOW,
	ARG_WARNING_LOW,
	ARG_WARNING_HIGH,
	ARG_CRITICAL_HIGH,
	ARG_DEADBAND,
	ARG_ON_DELAY,
	ARG_OFF_DELAY,
	ARG_PIPELINE,
	ARG_MAX_SENSORS
};

/* Result columns. */
enum
{
	COLUMN_SOURCE,
	COLUMN_PIPELINE,
	COLUMN_SENSOR_ID,
	COLUMN_RAISED_AT,
	COLUMN_RETURNED_AT,
	COLUMN_DURATION,
	COLUMN_LEVEL,
	COLUMN_SIDE,
	COLUMN_READINGS,
	COLUMN_SINCE,
	COLUMN_TOPIC,
	COLUMN_KAFKA_PARTITION,
	COLUMN_INCARNATION,
	COLUMNS
};

typedef struct TrySensor
{
	int32		sensor_id;
	char	   *name;
	int16		pipeline_id;
	char	   *pipeline;
} TrySensor;

/* Where a row belongs in the history of a sensor. */
typedef struct Place
{
	int32		stream_id;
	int64		kafka_offset;
	int			reading_index;	/* -1: before the readings of that offset */
} Place;

/* A query that is read row by row; its first three columns are the place. */
typedef struct Cursor
{
	Portal		portal;
	SPITupleTable *rows;
	uint64		n;
	uint64		at;				/* of the present row */
	bool		ended;
	Place		place;			/* of the present row */
} Cursor;

/* An alarm that is, of those tried or of those that were. */
typedef struct Phase
{
	bool		open;
	TimestampTz since;
	TimestampTz raised_at;
	FmLevel		worst;
	FmSide		side;
	int64		readings;
} Phase;

typedef struct Trial
{
	ReturnSetInfo *rsinfo;
	MemoryContext scratch;		/* reset after each row of the result */
	TimestampTz from;
	TimestampTz to;
	/* what was given, NaN and -1 where nothing was */
	bool		given[ARG_OFF_DELAY + 1];
	FmLimits	tried;
	/* the sensor at hand */
	const TrySensor *sensor;
	const FmLimits *limits;		/* of its present description */
	struct
	{
		int32		version_id; /* 0: none */
		FmLimits	limits;
	}			known[KNOWN_VERSIONS];
	/* the stream at hand */
	int32		stream_id;		/* 0: none */
	char	   *topic;
	int32		kafka_partition;
	int32		incarnation;
	FmFoldSensor state;
	FmAlarm		alarm;
	Phase		would;
	Phase		was;
} Trial;

/* A query that only looks, at what the caller's query sees. */
static uint64
look(const char *query, FmArgs *args)
{
	if (SPI_execute_with_args(query, args->n, args->types, args->values,
							  args->nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", query);
	return SPI_processed;
}

/* ----------------------------------------------------------------------
 * Cursors
 * ------------------------------------------------------------------- */

static Datum
column(const Cursor *cursor, int number, bool *isnull)
{
	return SPI_getbinval(cursor->rows->vals[cursor->at],
						 cursor->rows->tupdesc, number, isnull);
}

static void
read_place(Cursor *cursor)
{
	bool		isnull;
	Datum		datum;

	cursor->place.stream_id = DatumGetInt32(column(cursor, 1, &isnull));
	cursor->place.kafka_offset = DatumGetInt64(column(cursor, 2, &isnull));
	datum = column(cursor, 3, &isnull);
	cursor->place.reading_index = isnull ? -1 : DatumGetInt16(datum);
}

/* The next row, or the end. */
static void
cursor_next(Cursor *cursor)
{
	CHECK_FOR_INTERRUPTS();
	if (++cursor->at >= cursor->n)
	{
		if (cursor->rows != NULL)
			SPI_freetuptable(cursor->rows);
		SPI_cursor_fetch(cursor->portal, true, FETCH);
		cursor->rows = SPI_tuptable;
		cursor->n = SPI_processed;
		cursor->at = 0;
	}
	cursor->ended = cursor->n == 0;
	if (!cursor->ended)
		read_place(cursor);
}

static void
cursor_open(Cursor *cursor, const char *query, FmArgs *args)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->portal = SPI_cursor_open_with_args(NULL, query, args->n,
											   args->types, args->values,
											   args->nulls, true, 0);
	cursor_next(cursor);
}

static void
cursor_close(Cursor *cursor)
{
	SPI_freetuptable(cursor->rows);
	SPI_cursor_close(cursor->portal);
}

static bool
comes_first(const Cursor *a, const Cursor *b)
{
	if (a->ended || b->ended)
		return !a->ended;
	if (a->place.stream_id != b->place.stream_id)
		return a->place.stream_id < b->place.stream_id;
	if (a->place.kafka_offset != b->place.kafka_offset)
		return a->place.kafka_offset < b->place.kafka_offset;
	return a->place.reading_index <= b->place.reading_index;
}

/* ----------------------------------------------------------------------
 * Phases
 * ------------------------------------------------------------------- */

/* Show a phase; returned_at DT_NOEND: it is not over. */
static void
show(Trial *trial, const char *source, const Phase *phase,
	 TimestampTz returned_at)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};
	const char *side = fm_side_name(phase->side);
	bool		over = returned_at != DT_NOEND;
	MemoryContext old;

	if (returned_at < trial->from)
		return;
	old = MemoryContextSwitchTo(trial->scratch);
	values[COLUMN_SOURCE] = CStringGetTextDatum(source);
	values[COLUMN_PIPELINE] = CStringGetTextDatum(trial->sensor->pipeline);
	values[COLUMN_SENSOR_ID] = CStringGetTextDatum(trial->sensor->name);
	values[COLUMN_RAISED_AT] = TimestampTzGetDatum(phase->raised_at);
	values[COLUMN_RETURNED_AT] = TimestampTzGetDatum(returned_at);
	nulls[COLUMN_RETURNED_AT] = !over;
	values[COLUMN_DURATION] =
		DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(over ?
															  returned_at : phase->raised_at),
							TimestampTzGetDatum(phase->raised_at));
	nulls[COLUMN_DURATION] = !over;
	values[COLUMN_LEVEL] = CStringGetTextDatum(fm_level_name(phase->worst));
	nulls[COLUMN_SIDE] = side == NULL;
	values[COLUMN_SIDE] = side ? CStringGetTextDatum(side) : (Datum) 0;
	values[COLUMN_READINGS] = Int64GetDatum(phase->readings);
	values[COLUMN_SINCE] = TimestampTzGetDatum(phase->since);
	nulls[COLUMN_SINCE] = phase->since == FM_NEVER;
	values[COLUMN_TOPIC] = CStringGetTextDatum(trial->topic);
	values[COLUMN_KAFKA_PARTITION] = Int32GetDatum(trial->kafka_partition);
	values[COLUMN_INCARNATION] = Int32GetDatum(trial->incarnation);
	tuplestore_putvalues(trial->rsinfo->setResult, trial->rsinfo->setDesc,
						 values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(trial->scratch);
}

/* What a transition is about, whoever made it. */
typedef struct Change
{
	FmLevel		before;
	FmLevel		after;
	FmSide		side_before;
	FmSide		side;
	TimestampTz at;
	TimestampTz since;
	TimestampTz raised_at;		/* of the alarm */
} Change;

static void
begin_phase(Phase *phase, FmLevel level, FmSide side, TimestampTz since,
			TimestampTz raised_at)
{
	phase->open = true;
	phase->since = since;
	phase->raised_at = raised_at;
	phase->worst = level;
	phase->side = side;
	phase->readings = 0;
}

static void
take_change(Trial *trial, const char *source, Phase *phase,
			const Change *change)
{
	/* it began before the transitions that are left of it */
	if (!phase->open && change->before != FM_LEVEL_NORMAL)
		begin_phase(phase, change->before, change->side_before,
					change->since, change->raised_at);
	if (phase->open && change->after == FM_LEVEL_NORMAL)
	{
		show(trial, source, phase, change->at);
		phase->open = false;
	}
	else if (!phase->open && change->after != FM_LEVEL_NORMAL)
		begin_phase(phase, change->after, change->side, change->since,
					change->at);
	else if (phase->open && change->after > phase->worst)
		phase->worst = change->after;
}

/* ----------------------------------------------------------------------
 * Streams
 * ------------------------------------------------------------------- */

static void
leave_stream(Trial *trial)
{
	if (trial->would.open)
		show(trial, "tried", &trial->would, DT_NOEND);
	if (trial->was.open)
		show(trial, "was", &trial->was, DT_NOEND);
	trial->would.open = trial->was.open = false;
	trial->stream_id = 0;
}

static void
enter_stream(Trial *trial, int32 stream_id)
{
	FmArgs		args = {0};

	if (trial->stream_id == stream_id)
		return;
	leave_stream(trial);
	fm_args_int4(&args, stream_id);
	if (look("SELECT topic, kafka_partition, incarnation"
			 " FROM _factorymon.stream WHERE stream_id = $1", &args) != 1)
		elog(ERROR, "stream %d is gone", stream_id);
	trial->topic = fm_spi_text(0, 1);
	trial->kafka_partition = fm_spi_int4(0, 2);
	trial->incarnation = fm_spi_int4(0, 3);
	SPI_freetuptable(SPI_tuptable);
	trial->stream_id = stream_id;
	fm_fold_sensor_init(&trial->state, trial->sensor->sensor_id);
	fm_alarm_init(&trial->alarm, trial->sensor->sensor_id,
				  FM_CONDITION_LIMIT);
}

/* ----------------------------------------------------------------------
 * Limits
 * ------------------------------------------------------------------- */

/* The rules of factorymon.threshold; NULL: they are kept. */
static const char *
broken_rule(const FmLimits *l)
{
	double		in_order[] = {l->critical_low, l->warning_low,
	l->warning_high, l->critical_high};
	int			last = -1;

	for (int i = 0; i < lengthof(in_order); i++)
	{
		if (isinf(in_order[i]))
			return "limits must be finite; NaN is none";
		if (isnan(in_order[i]))
			continue;
		if (last >= 0 && in_order[last] >= in_order[i])
			return "limits must lie in order: critical_low, warning_low, warning_high, critical_high";
		/* twice between low and high: it comes from both sides */
		if (last >= 0 && in_order[i] - in_order[last] <=
			l->deadband * (last < 2 && i >= 2 ? 2 : 1))
			return "the deadband must be narrower than the distance of two limits";
		last = i;
	}
	return NULL;
}

/* Limits of a sensor's description as they are now. */
static FmLimits
present_limits(const Trial *trial, int32 version_id)
{
	FmArgs		args = {0};
	FmSlice		slices[4];
	const FmLimits *limits;

	fm_args_int4(&args, version_id);
	if (look("SELECT sensor_type, zone, machine_id"
			 " FROM _factorymon.sensor_version"
			 " WHERE sensor_version_id = $1", &args) != 1)
		elog(ERROR, "description %d of a sensor is gone", version_id);
	for (int i = 0; i < 4; i++)
	{
		slices[i].data = i < 3 ? fm_spi_text(0, i + 1) : trial->sensor->name;
		slices[i].len = strlen(slices[i].data);
	}
	SPI_freetuptable(SPI_tuptable);
	limits = fm_limits_find(trial->sensor->pipeline, &slices[0], &slices[1],
							&slices[2], &slices[3]);
	for (int i = 0; i < 3; i++)
		pfree(unconstify(char *, slices[i].data));
	return *limits;
}

/* The same with what is tried. */
static FmLimits
tried_limits(const Trial *trial, int32 version_id)
{
	FmLimits	present = present_limits(trial, version_id);
	FmLimits   *limits = &present;
	const FmLimits *tried = &trial->tried;
	const char *broken;

	if (trial->given[ARG_CRITICAL_LOW])
		limits->critical_low = tried->critical_low;
	if (trial->given[ARG_WARNING_LOW])
		limits->warning_low = tried->warning_low;
	if (trial->given[ARG_WARNING_HIGH])
		limits->warning_high = tried->warning_high;
	if (trial->given[ARG_CRITICAL_HIGH])
		limits->critical_high = tried->critical_high;
	if (trial->given[ARG_DEADBAND])
		limits->deadband = tried->deadband;
	if (trial->given[ARG_ON_DELAY])
		limits->on_delay = tried->on_delay;
	if (trial->given[ARG_OFF_DELAY])
		limits->off_delay = tried->off_delay;
	broken = broken_rule(limits);
	if (broken != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("these limits cannot be tried: %s", broken),
				 errdetail("Sensor \"%s\" would have the limits %g, %g, %g, %g and the deadband %g.",
						   trial->sensor->name, limits->critical_low,
						   limits->warning_low, limits->warning_high,
						   limits->critical_high, limits->deadband)));
	return present;
}

static void
find_limits(Trial *trial, int32 version_id)
{
	int			slot = version_id % KNOWN_VERSIONS;

	if (trial->known[slot].version_id != version_id)
	{
		trial->known[slot].limits = tried_limits(trial, version_id);
		trial->known[slot].version_id = version_id;
	}
	trial->limits = &trial->known[slot].limits;
}

/* ----------------------------------------------------------------------
 * One row
 * ------------------------------------------------------------------- */

static void
judge(Trial *trial, const FmFoldReading *reading)
{
	FmAlarmEvents events = {0};
	FmTarget	target;

	fm_alarm_judge(&trial->alarm, trial->limits, reading->value,
				   reading->ts, fm_fold_starts_anew(&trial->state, reading->ts),
				   &target, &events);
	for (int i = 0; i < events.n; i++)
	{
		const FmAlarmEvent *event = &events.items[i];
		Change		change = {event->previous_level, event->level,
			event->previous_side, event->side, reading->ts, event->since,
		event->raised_at};

		take_change(trial, "tried", &trial->would, &change);
	}
	if (trial->would.open)
		trial->would.readings++;
	if (trial->was.open)
		trial->was.readings++;
}

/* Columns from the fourth on as in replay(). */
static void
take_reading(Trial *trial, Cursor *cursor)
{
	FmFoldReading reading = {0};
	bool		isnull;
	Datum		datum;

	enter_stream(trial, cursor->place.stream_id);
	reading.kafka_offset = cursor->place.kafka_offset;
	reading.reading_index = cursor->place.reading_index;
	reading.ts = DatumGetTimestampTz(column(cursor, 4, &isnull));
	reading.value = DatumGetFloat8(column(cursor, 5, &isnull));
	reading.sensor_version_id = DatumGetInt32(column(cursor, 6, &isnull));
	datum = column(cursor, 7, &isnull);
	reading.has_reading_count = !isnull;
	reading.reading_count = isnull ? 0 : DatumGetInt32(datum);
	datum = column(cursor, 8, &isnull);
	reading.quality = isnull ? NAN : DatumGetFloat4(datum);
	reading.flags = DatumGetInt16(column(cursor, 9, &isnull));
	reading.message_at = DT_NOBEGIN;
	if ((reading.flags & FM_FOLD_UNJUDGED) == 0)
	{
		find_limits(trial, reading.sensor_version_id);
		judge(trial, &reading);
	}
	fm_fold_take(&trial->state, &reading);
}

static TimestampTz
time_column(const Cursor *cursor, int number)
{
	bool		isnull;
	Datum		datum = column(cursor, number, &isnull);

	return isnull ? FM_NEVER : DatumGetTimestampTz(datum);
}

/* The same of transitions. */
static void
take_transition(Trial *trial, Cursor *cursor)
{
	bool		isnull;
	int16		after = DatumGetInt16(column(cursor, 4, &isnull));
	Datum		datum = column(cursor, 5, &isnull);
	int16		before = isnull ? 0 : DatumGetInt16(datum);
	Change		change = {
		.before = FM_CODE_LEVEL(before),
		.after = FM_CODE_LEVEL(after),
		.side_before = FM_CODE_SIDE(before),
		.side = FM_CODE_SIDE(after),
		.at = time_column(cursor, 6),
		.since = time_column(cursor, 7),
		.raised_at = time_column(cursor, 8)
	};

	enter_stream(trial, cursor->place.stream_id);
	take_change(trial, "was", &trial->was, &change);
}

/* ----------------------------------------------------------------------
 * Sensors
 * ------------------------------------------------------------------- */

/* From where on readings are gone through. */
static TimestampTz
warm_up(const Trial *trial)
{
	FmArgs		args = {0};
	bool		isnull;
	Datum		datum;
	TimestampTz start = trial->from;
	int64		delays = Max(trial->tried.on_delay, 0) +
		Max(trial->tried.off_delay, 0);

	if (TIMESTAMP_NOT_FINITE(start))
		return start;
	fm_args_int4(&args, trial->sensor->sensor_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(start), false);
	fm_args_int4(&args, WARM_UP);
	(void) look(psprintf("SELECT min(ts) FROM (SELECT ts"
						 " FROM _factorymon.reading_%d"
						 " WHERE sensor_id = $1 AND ts < $2"
						 " ORDER BY ts DESC LIMIT $3) r",
						 trial->sensor->pipeline_id), &args);
	datum = fm_spi_value(0, 1, &isnull);
	if (!isnull)
		start = DatumGetTimestampTz(datum);
	SPI_freetuptable(SPI_tuptable);
	return Min(start, trial->from - delays);
}

/* Merge what was measured with what came of it. */
static void
replay(Trial *trial)
{
	FmArgs		args = {0};
	FmArgs		since = {0};
	Cursor		readings;
	Cursor		transitions;

	fm_args_int4(&args, trial->sensor->sensor_id);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(trial->to), false);
	since = args;
	fm_args_add(&since, TIMESTAMPTZOID, TimestampTzGetDatum(warm_up(trial)),
				false);
	fm_args_int2(&since, FM_FLAG_NOT_FOLDED);
	cursor_open(&readings,
				psprintf("SELECT stream_id, kafka_offset, reading_index, ts,"
						 " value, sensor_version_id, reading_count, quality,"
						 " flags FROM _factorymon.reading_%d"
						 " WHERE sensor_id = $1 AND ts < $2 AND ts >= $3"
						 " AND (flags & $4) = 0"
						 " ORDER BY stream_id, kafka_offset, reading_index",
						 trial->sensor->pipeline_id), &since);
	cursor_open(&transitions,
				psprintf("SELECT stream_id, kafka_offset, reading_index,"
						 " level, previous_level, event_time, since, raised_at"
						 " FROM _factorymon.transition_%d"
						 " WHERE sensor_id = $1 AND event_time < $2"
						 " AND condition = 'limit' AND transition NOT IN"
						 " ('late_excursion', 'refused')"
						 " ORDER BY stream_id, kafka_offset, reading_index,"
						 " recorded_at, ordinal",
						 trial->sensor->pipeline_id), &args);
	while (!readings.ended || !transitions.ended)
	{
		if (comes_first(&transitions, &readings))
		{
			take_transition(trial, &transitions);
			cursor_next(&transitions);
		}
		else
		{
			take_reading(trial, &readings);
			cursor_next(&readings);
		}
	}
	leave_stream(trial);
	cursor_close(&readings);
	cursor_close(&transitions);
}

/* The sensors that are meant: by name, or all of a type. */
static int
find_sensors(const char *name, const char *type, const char *pipeline,
			 int max_sensors, TrySensor **sensors)
{
	FmArgs		args = {0};
	int			n;

	fm_args_text(&args, name);
	fm_args_text(&args, type);
	fm_args_text(&args, pipeline);
	fm_args_int8(&args, (int64) max_sensors + 1);
	n = (int) look("SELECT s.sensor_id, s.name, p.pipeline_id::integer, p.name"
				   " FROM _factorymon.sensor s"
				   " JOIN _factorymon.pipeline p USING (pipeline_id)"
				   " WHERE ($1 IS NULL OR s.name = $1)"
				   " AND ($2 IS NULL OR EXISTS (SELECT"
				   " FROM _factorymon.sensor_version v"
				   " WHERE v.sensor_id = s.sensor_id AND v.sensor_type = $2))"
				   " AND ($3 IS NULL OR p.name = $3)"
				   " ORDER BY 4, 2 LIMIT $4", &args);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 name ? errmsg("sensor \"%s\" does not exist", name) :
				 errmsg("there is no sensor of type \"%s\"", type)));
	if (n > max_sensors)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d sensors are meant", max_sensors),
				 errhint("Raise max_sensors, or name a sensor or a pipeline.")));
	*sensors = palloc(n * sizeof(TrySensor));
	for (int i = 0; i < n; i++)
	{
		(*sensors)[i].sensor_id = fm_spi_int4(i, 1);
		(*sensors)[i].name = fm_spi_text(i, 2);
		(*sensors)[i].pipeline_id = (int16) fm_spi_int4(i, 3);
		(*sensors)[i].pipeline = fm_spi_text(i, 4);
	}
	return n;
}

/* ----------------------------------------------------------------------
 * Arguments
 * ------------------------------------------------------------------- */

static void
invalid(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message)));
}

/* A limit or the deadband; given tells whether it was. */
static double
number_argument(FunctionCallInfo fcinfo, Trial *trial, int argument)
{
	trial->given[argument] = !PG_ARGISNULL(argument);
	return trial->given[argument] ? PG_GETARG_FLOAT8(argument) : NAN;
}

static int64
delay_argument(FunctionCallInfo fcinfo, Trial *trial, int argument,
			   const char *name)
{
	int64		delay;

	trial->given[argument] = !PG_ARGISNULL(argument);
	if (!trial->given[argument])
		return 0;
	delay = fm_interval_usecs(PG_GETARG_INTERVAL_P(argument), name);
	if (delay < 0)
		invalid("delays must not be negative");
	return delay;
}

static void
read_arguments(FunctionCallInfo fcinfo, Trial *trial)
{
	FmLimits   *tried = &trial->tried;

	if (PG_ARGISNULL(ARG_FROM) || PG_ARGISNULL(ARG_TO) ||
		PG_ARGISNULL(ARG_MAX_SENSORS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"from\", \"to\" and max_sensors must not be null")));
	if (PG_ARGISNULL(ARG_SENSOR_ID) == PG_ARGISNULL(ARG_SENSOR_TYPE))
		invalid("either sensor_id or sensor_type must be given");
	if (PG_GETARG_INT32(ARG_MAX_SENSORS) < 1)
		invalid("max_sensors must be positive");
	trial->from = PG_GETARG_TIMESTAMPTZ(ARG_FROM);
	trial->to = PG_GETARG_TIMESTAMPTZ(ARG_TO);
	tried->critical_low = number_argument(fcinfo, trial, ARG_CRITICAL_LOW);
	tried->warning_low = number_argument(fcinfo, trial, ARG_WARNING_LOW);
	tried->warning_high = number_argument(fcinfo, trial, ARG_WARNING_HIGH);
	tried->critical_high = number_argument(fcinfo, trial, ARG_CRITICAL_HIGH);
	tried->deadband = number_argument(fcinfo, trial, ARG_DEADBAND);
	if (trial->given[ARG_DEADBAND] &&
		!(tried->deadband >= 0 && tried->deadband < INFINITY))
		invalid("the deadband must be finite and not negative");
	tried->on_delay = delay_argument(fcinfo, trial, ARG_ON_DELAY, "on_delay");
	tried->off_delay = delay_argument(fcinfo, trial, ARG_OFF_DELAY,
									  "off_delay");
}

/*
 * try_limits(sensor_id, sensor_type, from, to, limits..., pipeline,
 * max_sensors): for readers.
 */
Datum
factorymon_try_limits(PG_FUNCTION_ARGS)
{
	Trial	   *trial = palloc0(sizeof(Trial));
	FmOwnerScope scope;
	MemoryContext per_sensor;
	TrySensor  *sensors;
	int			n;

	read_arguments(fcinfo, trial);
	InitMaterializedSRF(fcinfo, 0);
	trial->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (trial->rsinfo->setDesc->natts != COLUMNS)
		elog(ERROR, "unexpected result type of factorymon_try_limits");

	fm_owner_begin(&scope);
	SPI_connect();
	trial->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "factorymon row",
										   ALLOCSET_SMALL_SIZES);
	per_sensor = AllocSetContextCreate(CurrentMemoryContext,
									   "factorymon sensor tried",
									   ALLOCSET_SMALL_SIZES);
	(void) fm_limits_refresh();
	n = find_sensors(fm_arg_text(fcinfo, ARG_SENSOR_ID),
					 fm_arg_text(fcinfo, ARG_SENSOR_TYPE),
					 fm_arg_text(fcinfo, ARG_PIPELINE),
					 PG_GETARG_INT32(ARG_MAX_SENSORS), &sensors);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(per_sensor);

		trial->sensor = &sensors[i];
		memset(trial->known, 0, sizeof(trial->known));
		replay(trial);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_sensor);
	}
	SPI_finish();
	fm_owner_end(&scope);
	return (Datum) 0;
}
