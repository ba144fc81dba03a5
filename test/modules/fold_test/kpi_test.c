/*-------------------------------------------------------------------------
 *
 * kpi_test.c
 *	  Counting for key figures as SQL functions: what the publisher does with
 *	  what it numbers, in the session's transaction.
 *
 * Publications are written by hand here, so what they tell is read from them
 * and from their transitions.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "factorymon.h"
#include "kpi.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(kpi_take);
PG_FUNCTION_INFO_V1(kpi_clock);
PG_FUNCTION_INFO_V1(kpi_next_deadline);
PG_FUNCTION_INFO_V1(kpi_expire);

/*
 * Publications in a range, each with its transition.  What tells of no
 * transition has its place in the message; floods are counted by themselves.
 */
#define READ_EVENTS \
	"WITH published AS (" \
	" SELECT p.pub_seq, p.recorded_at, p.alarm_id, p.transition," \
	"  p.severity, p.announced, p.message_key, t.*," \
	"  CASE WHEN t.stream_id IS NULL THEN p.payload::jsonb END AS message" \
	" FROM _factorymon.publication p" \
	" LEFT JOIN LATERAL (" \
	"  SELECT x.stream_id, x.sensor_id, x.event_time, x.actor, x.comment," \
	"   x.condition, x.state, v.factory_section, v.zone" \
	"  FROM _factorymon.transition_%d x" \
	"  LEFT JOIN _factorymon.sensor_version v" \
	"   ON v.sensor_version_id = x.sensor_version_id" \
	"  WHERE x.stream_id = p.stream_id AND x.out_seq = p.out_seq" \
	"   AND x.recorded_at = p.recorded_at LIMIT 1) t ON true" \
	" WHERE p.pipeline_id = $1 AND p.pub_seq BETWEEN $2 AND $3)" \
	" SELECT pub_seq, recorded_at, alarm_id, transition, severity::integer," \
	"  announced, stream_id, CASE WHEN stream_id IS NOT NULL THEN sensor_id" \
	"  ELSE (SELECT s.sensor_id FROM _factorymon.sensor s" \
	"   WHERE s.name = message_key AND s.pipeline_id = $1) END," \
	"  event_time, actor, comment, coalesce(condition," \
	"  message ->> 'condition'), coalesce(state, message ->> 'state')," \
	"  coalesce(factory_section, message #>> '{location,factory_section}')," \
	"  coalesce(zone, message #>> '{location,zone}')" \
	" FROM published" \
	" WHERE coalesce(condition, message ->> 'condition') <> 'flood'" \
	" ORDER BY pub_seq"

static TimestampTz
spi_time(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(datum);
}

static void
read_event(uint64 row, FmKpiEvent *event)
{
	bool		isnull;
	Datum		datum;

	memset(event, 0, sizeof(*event));
	event->pub_seq = fm_spi_int8(row, 1);
	event->recorded_at = spi_time(row, 2);
	datum = fm_spi_value(row, 3, &isnull);
	event->has_alarm = !isnull;
	if (!isnull)
		event->alarm_id = *DatumGetUUIDP(datum);
	event->transition = fm_spi_text(row, 4);
	event->severity = (int16) fm_spi_int4(row, 5);
	event->announced = fm_spi_bool(row, 6);
	event->stream_id = fm_spi_int4(row, 7);
	event->sensor_id = fm_spi_int4(row, 8);
	event->event_time = spi_time(row, 9);
	event->actor = fm_spi_text(row, 10);
	event->comment = fm_spi_text(row, 11);
	event->condition = fm_spi_text(row, 12);
	event->state = fm_spi_text(row, 13);
	event->factory_section = fm_spi_text(row, 14);
	event->zone = fm_spi_text(row, 15);
}

/* Those of a range, in the order of their numbers; how many. */
static int
read_events(int16 pipeline_id, int64 first, int64 last, FmKpiEvent **events)
{
	FmArgs		args = {0};
	int			n;

	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, first);
	fm_args_int8(&args, last);
	n = (int) fm_args_run(&args, psprintf(READ_EVENTS, pipeline_id),
						  SPI_OK_SELECT);
	*events = palloc(Max(n, 1) * sizeof(FmKpiEvent));
	for (int i = 0; i < n; i++)
		read_event(i, &(*events)[i]);
	return n;
}

/* kpi_take(pipeline_id, first, last): the last number in use */
Datum
kpi_take(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	FmKpiEvent *events;
	int64		result;
	int			n;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_owner_begin(&scope);
	n = read_events(PG_GETARG_INT16(0), PG_GETARG_INT64(1),
					PG_GETARG_INT64(2), &events);
	result = fm_kpi_take(PG_GETARG_INT16(0), events, n, PG_GETARG_INT64(2));
	fm_owner_end(&scope);
	SPI_finish();
	PG_RETURN_INT64(result);
}

/* kpi_clock(pipeline_id, now, last): the last number in use */
Datum
kpi_clock(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	int64		result;

	fm_owner_begin(&scope);
	result = fm_kpi_clock(PG_GETARG_INT16(0), PG_GETARG_TIMESTAMPTZ(1),
						  PG_GETARG_INT64(2));
	fm_owner_end(&scope);
	PG_RETURN_INT64(result);
}

/* kpi_next_deadline(pipeline_id): when; infinity: never */
Datum
kpi_next_deadline(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	TimestampTz result;

	fm_owner_begin(&scope);
	result = fm_kpi_next_deadline(PG_GETARG_INT16(0));
	fm_owner_end(&scope);
	PG_RETURN_TIMESTAMPTZ(result);
}

/* kpi_expire(): how many rows went */
Datum
kpi_expire(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	int64		result;

	fm_owner_begin(&scope);
	result = fm_kpi_expire();
	fm_owner_end(&scope);
	PG_RETURN_INT64(result);
}
