/*-------------------------------------------------------------------------
 *
 * request.c
 *	  What operators ask of alarms: acknowledge(), shelve() and the like.
 *
 * The life of an alarm has one writer, the owner of its stream.  So these
 * functions change nothing: each inserts a request, which the owner, woken by
 * the commit, turns into a transition in a transaction of its own (answer.c).
 * An open transaction of an operator therefore holds up nobody.
 *
 * What can be told to be wrong at once is an error here; what turns out to be
 * when the owner comes to it is answered "refused".
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_acknowledge);
PG_FUNCTION_INFO_V1(factorymon_comment);
PG_FUNCTION_INFO_V1(factorymon_shelve);
PG_FUNCTION_INFO_V1(factorymon_unshelve);
PG_FUNCTION_INFO_V1(factorymon_suppress);
PG_FUNCTION_INFO_V1(factorymon_unsuppress);
PG_FUNCTION_INFO_V1(factorymon_take_out_of_service);
PG_FUNCTION_INFO_V1(factorymon_return_to_service);

/* Longest time for which an alarm may be shelved: a shift (ISA-18.2, 11.6). */
#define MAX_SHELVING	(8 * USECS_PER_HOUR)

/* A request on its way into the table. */
typedef struct Request
{
	const char *action;
	const pg_uuid_t *event_id;
	TimestampTz until;			/* 0: none */
	bool		one_shot;
	const char *comment;
	const char *actor;
} Request;

static void
check_right(int16 pipeline_id, Oid user)
{
	FmPipeline *pipeline = fm_pipeline_load(pipeline_id);

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the pipeline of this alarm does not exist any more")));
	fm_pipeline_check_control(pipeline, user, "operator");
}

static Datum
insert_request(int32 stream_id, int32 sensor_id, const char *condition,
			   const Request *request)
{
	FmArgs		args = {0};
	bool		isnull;
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	fm_args_int4(&args, stream_id);
	fm_args_int4(&args, sensor_id);
	fm_args_text(&args, condition);
	fm_args_text(&args, request->action);
	fm_args_add(&args, UUIDOID, UUIDPGetDatum(request->event_id),
				request->event_id == NULL);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(request->until),
				request->until == 0);
	fm_args_add(&args, BOOLOID, BoolGetDatum(request->one_shot), false);
	fm_args_text(&args, request->comment);
	fm_args_text(&args, request->actor);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.request (stream_id,"
					   " sensor_id, condition, action, event_id, until,"
					   " one_shot, comment, actor)"
					   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
					   " RETURNING request_id", SPI_OK_INSERT_RETURNING);
	/* of SPI's memory, which goes with SPI_finish() */
	*id = *DatumGetUUIDP(fm_spi_value(0, 1, &isnull));
	return UUIDPGetDatum(id);
}

/* ----------------------------------------------------------------------
 * About one event
 * ------------------------------------------------------------------- */

/*
 * The alarm that called for an operator with this event, and not with
 * another one since: an error if there is none.
 */
static void
find_announced(const pg_uuid_t *event_id, Oid user, int32 *stream_id,
			   int32 *sensor_id, char **condition, char **state)
{
	FmArgs		args = {0};

	fm_args_add(&args, UUIDOID, UUIDPGetDatum(event_id), false);
	if (fm_args_run(&args, "SELECT a.stream_id, a.sensor_id, a.condition,"
					" a.state, s.pipeline_id::integer"
					" FROM _factorymon.alarm a"
					" JOIN _factorymon.stream s USING (stream_id)"
					" WHERE a.announced_event_id = $1"
					" AND s.retired_at IS NULL",
					SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_STALE_EVENT),
				 errmsg("no alarm was last announced with this event"),
				 errdetail("The alarm was announced again since, or there never was one."),
				 errhint("Look at the alarm as it is now: its announced_event_id is in factorymon.alarms.")));
	*stream_id = fm_spi_int4(0, 1);
	*sensor_id = fm_spi_int4(0, 2);
	*condition = fm_spi_text(0, 3);
	*state = fm_spi_text(0, 4);
	check_right((int16) fm_spi_int4(0, 5), user);
}

/* One request about the alarm of an event; acknowledging wants it open. */
static Datum
request_about_event(FunctionCallInfo fcinfo, Request *request)
{
	Oid			user = GetUserId();
	FmOwnerScope scope;
	MemoryContext context = CurrentMemoryContext;
	int32		stream_id;
	int32		sensor_id;
	char	   *condition;
	char	   *state;
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	Datum		inserted;

	request->actor = GetUserNameFromId(user, false);
	request->event_id = PG_GETARG_UUID_P(0);
	request->comment = fm_arg_text(fcinfo, 1);
	fm_owner_begin(&scope);
	SPI_connect();
	find_announced(request->event_id, user, &stream_id, &sensor_id,
				   &condition, &state);
	if (strcmp(request->action, "acknowledge") == 0 &&
		strcmp(state, "active_unacknowledged") != 0 &&
		strcmp(state, "returned_unacknowledged") != 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 strcmp(state, "active_acknowledged") == 0 ?
				 errmsg("the alarm is acknowledged already") :
				 errmsg("there is nothing to acknowledge"),
				 errdetail("The state of the alarm is \"%s\".", state)));
	inserted = insert_request(stream_id, sensor_id, condition, request);
	MemoryContextSwitchTo(context);
	*id = *DatumGetUUIDP(inserted);
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	PG_RETURN_UUID_P(id);
}

/* acknowledge(event_id uuid, comment text) */
Datum
factorymon_acknowledge(PG_FUNCTION_ARGS)
{
	Request		request = {.action = "acknowledge"};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return request_about_event(fcinfo, &request);
}

/* comment(event_id uuid, comment text) */
Datum
factorymon_comment(PG_FUNCTION_ARGS)
{
	Request		request = {.action = "comment"};

	(void) fm_arg_text_required(fcinfo, 1, "comment");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return request_about_event(fcinfo, &request);
}

/* ----------------------------------------------------------------------
 * About a sensor
 * ------------------------------------------------------------------- */

/*
 * Streams that a sensor comes through: those in which it has an alarm, and
 * those of its last hundred readings.  Readings are found by the index on
 * (sensor_id, ts) of the pipeline's own table.
 */
static uint64
find_streams(const FmPipeline *pipeline, const char *sensor,
			 int32 **streams, int32 *sensor_id)
{
	FmArgs		args = {0};
	uint64		n;

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, sensor);
	if (fm_args_run(&args, "SELECT sensor_id FROM _factorymon.sensor"
					" WHERE pipeline_id = $1 AND name = $2",
					SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" has no sensor \"%s\"",
						pipeline->name, sensor)));
	*sensor_id = fm_spi_int4(0, 1);

	memset(&args, 0, sizeof(args));
	fm_args_int4(&args, *sensor_id);
	n = fm_args_run(&args, psprintf("SELECT s.stream_id"
									" FROM _factorymon.stream s"
									" WHERE s.retired_at IS NULL"
									" AND s.kafka_partition >= 0"
									" AND s.stream_id IN ("
									"SELECT stream_id FROM _factorymon.alarm"
									" WHERE sensor_id = $1"
									" UNION ALL (SELECT stream_id FROM"
									" (SELECT stream_id FROM"
									" _factorymon.reading_%d"
									" WHERE sensor_id = $1"
									" ORDER BY ts DESC LIMIT 100) r))"
									" ORDER BY 1", pipeline->id),
					SPI_OK_SELECT);
	if (n == 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("no reading of sensor \"%s\" is stored", sensor),
				 errdetail("So nobody knows through which partition it comes.")));
	*streams = palloc(n * sizeof(int32));
	for (uint64 i = 0; i < n; i++)
		(*streams)[i] = fm_spi_int4(i, 1);
	return n;
}

/*
 * The pipeline of the sensor: the one named, or the only one that has a
 * sensor of that name.
 */
static FmPipeline *
pipeline_of(const char *pipeline, const char *sensor)
{
	FmArgs		args = {0};
	uint64		n;

	if (pipeline != NULL)
		return fm_pipeline_find(pipeline);
	fm_args_text(&args, sensor);
	n = fm_args_run(&args, "SELECT p.name FROM _factorymon.sensor s"
					" JOIN _factorymon.pipeline p USING (pipeline_id)"
					" WHERE s.name = $1", SPI_OK_SELECT);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sensor \"%s\" does not exist", sensor)));
	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("sensor \"%s\" exists in " UINT64_FORMAT " pipelines",
						sensor, n),
				 errhint("Say which one with the argument pipeline.")));
	return fm_pipeline_find(fm_spi_text(0, 1));
}

/*
 * A request for each stream that the sensor comes through; returns how many
 * there are.
 */
static Datum
request_about_sensor(FunctionCallInfo fcinfo, Request *request,
					 const char *pipeline_name)
{
	Oid			user = GetUserId();
	char	   *sensor = fm_arg_text_required(fcinfo, 0, "sensor_id");
	FmPipeline *pipeline;
	FmOwnerScope scope;
	int32	   *streams;
	int32		sensor_id;
	uint64		n;

	request->actor = GetUserNameFromId(user, false);
	fm_owner_begin(&scope);
	SPI_connect();
	pipeline = pipeline_of(pipeline_name, sensor);
	fm_pipeline_check_control(pipeline, user, "operator");
	n = find_streams(pipeline, sensor, &streams, &sensor_id);
	for (uint64 i = 0; i < n; i++)
		(void) insert_request(streams[i], sensor_id, "limit", request);
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	PG_RETURN_INT32((int32) n);
}

/* shelve(sensor_id, duration, reason, one_shot, pipeline) */
Datum
factorymon_shelve(PG_FUNCTION_ARGS)
{
	Request		request = {.action = "shelve"};
	int64		duration;

	request.comment = fm_arg_text_required(fcinfo, 2, "reason");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("duration and one_shot must not be null")));
	duration = fm_interval_usecs(PG_GETARG_INTERVAL_P(1), "duration");
	if (duration <= 0 || duration > MAX_SHELVING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an alarm cannot be shelved for so long"),
				 errdetail("The time must be more than nothing and at most 8 hours."),
				 errhint("factorymon.take_out_of_service() has no end.")));
	request.until = GetCurrentTransactionStartTimestamp() + duration;
	request.one_shot = PG_GETARG_BOOL(3);
	return request_about_sensor(fcinfo, &request, fm_arg_text(fcinfo, 4));
}

/* The others: sensor_id, reason, pipeline. */
static Datum
simple_request(FunctionCallInfo fcinfo, const char *action, bool wants_reason)
{
	Request		request = {.action = action};

	request.comment = wants_reason ?
		fm_arg_text_required(fcinfo, 1, "reason") : fm_arg_text(fcinfo, 1);
	return request_about_sensor(fcinfo, &request, fm_arg_text(fcinfo, 2));
}

Datum
factorymon_unshelve(PG_FUNCTION_ARGS)
{
	return simple_request(fcinfo, "unshelve", false);
}

Datum
factorymon_suppress(PG_FUNCTION_ARGS)
{
	return simple_request(fcinfo, "suppress", true);
}

Datum
factorymon_unsuppress(PG_FUNCTION_ARGS)
{
	return simple_request(fcinfo, "unsuppress", false);
}

Datum
factorymon_take_out_of_service(PG_FUNCTION_ARGS)
{
	return simple_request(fcinfo, "take_out_of_service", true);
}

Datum
factorymon_return_to_service(PG_FUNCTION_ARGS)
{
	return simple_request(fcinfo, "return_to_service", false);
}
