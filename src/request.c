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

#include "alarm.h"
#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_acknowledge);
PG_FUNCTION_INFO_V1(factorymon_comment);
PG_FUNCTION_INFO_V1(factorymon_shelve);
PG_FUNCTION_INFO_V1(factorymon_unshelve);
PG_FUNCTION_INFO_V1(factorymon_suppress);
PG_FUNCTION_INFO_V1(factorymon_unsuppress);
PG_FUNCTION_INFO_V1(factorymon_take_out_of_service);
PG_FUNCTION_INFO_V1(factorymon_return_to_service);
PG_FUNCTION_INFO_V1(factorymon_retire_sensor);
PG_FUNCTION_INFO_V1(factorymon_reinstate_sensor);

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

/* One alarm, or one that may come to be. */
typedef struct Target
{
	int32		stream_id;
	char	   *condition;
} Target;

static int32
find_sensor(const FmPipeline *pipeline, const char *sensor)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_text(&args, sensor);
	if (fm_args_run(&args, "SELECT sensor_id FROM _factorymon.sensor"
					" WHERE pipeline_id = $1 AND name = $2",
					SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" has no sensor \"%s\"",
						pipeline->name, sensor)));
	return fm_spi_int4(0, 1);
}

/*
 * Alarms of a sensor, of one condition (whether there is an alarm or not) or,
 * if that is NULL, of limits and of all others that it has one of.  In all
 * streams that the sensor comes through: those in which it has an alarm, those
 * of its last hundred readings, and those of which something was asked that has
 * no answer yet: what takes it back must come after it.  (Readings are found by
 * the index on (sensor_id, ts) of the pipeline's own table.)  Silence is not of
 * a partition: its stream is the deadman's, see silence.c.
 */
static uint64
find_targets(const FmPipeline *pipeline, int32 sensor_id,
			 const char *condition, Target **targets)
{
	FmArgs		args = {0};
	uint64		n;

	fm_args_int4(&args, sensor_id);
	fm_args_text(&args, condition);
	fm_args_int2(&args, pipeline->id);
	n = fm_args_run(&args, psprintf("SELECT s.stream_id, c.condition"
									" FROM _factorymon.stream s"
									" CROSS JOIN LATERAL ("
									"SELECT coalesce($2, 'limit') AS condition"
									" WHERE s.kafka_partition >= 0"
									" OR $2 = 'silent'"
									" UNION SELECT a.condition"
									" FROM _factorymon.alarm a"
									" WHERE $2 IS NULL"
									" AND a.stream_id = s.stream_id"
									" AND a.sensor_id = $1"
									" UNION SELECT q.condition"
									" FROM _factorymon.request q"
									" WHERE $2 IS NULL"
									" AND q.stream_id = s.stream_id"
									" AND q.sensor_id = $1"
									" AND q.answered_at IS NULL) c"
									" WHERE s.retired_at IS NULL"
									" AND (c.condition = 'silent') ="
									" (s.kafka_partition < 0)"
									" AND (s.kafka_partition < 0"
									" AND s.pipeline_id = $3 OR s.stream_id IN ("
									"SELECT stream_id FROM _factorymon.alarm"
									" WHERE sensor_id = $1"
									" UNION ALL SELECT stream_id"
									" FROM _factorymon.request"
									" WHERE sensor_id = $1"
									" AND answered_at IS NULL"
									" UNION ALL (SELECT stream_id FROM"
									" (SELECT stream_id FROM"
									" _factorymon.reading_%d"
									" WHERE sensor_id = $1"
									" ORDER BY ts DESC LIMIT 100) r)))"
									" ORDER BY 1, 2", pipeline->id),
					SPI_OK_SELECT);
	*targets = palloc(Max(n, 1) * sizeof(Target));
	for (uint64 i = 0; i < n; i++)
	{
		(*targets)[i].stream_id = fm_spi_int4(i, 1);
		(*targets)[i].condition = fm_spi_text(i, 2);
	}
	return n;
}

/* The name of a condition, or NULL for all of them. */
static char *
condition_argument(FunctionCallInfo fcinfo, int argument)
{
	char	   *condition = fm_arg_text(fcinfo, argument);

	if (condition != NULL && fm_condition_find(condition) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized condition of an alarm: \"%s\"",
						condition),
				 errhint("Conditions are those of factorymon.alarms, \"limit\" for one; null is all that the sensor has an alarm of.")));
	return condition;
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
 * A request for each alarm of the sensor that is meant; returns how many there
 * are.  The last two arguments are the pipeline and the condition.
 */
static Datum
request_about_sensor(FunctionCallInfo fcinfo, Request *request)
{
	Oid			user = GetUserId();
	char	   *sensor = fm_arg_text_required(fcinfo, 0, "sensor_id");
	char	   *pipeline_name = fm_arg_text(fcinfo, PG_NARGS() - 2);
	char	   *condition = condition_argument(fcinfo, PG_NARGS() - 1);
	FmPipeline *pipeline;
	FmOwnerScope scope;
	Target	   *targets;
	int32		sensor_id;
	uint64		n;

	request->actor = GetUserNameFromId(user, false);
	fm_owner_begin(&scope);
	SPI_connect();
	pipeline = pipeline_of(pipeline_name, sensor);
	fm_pipeline_check_control(pipeline, user, "operator");
	sensor_id = find_sensor(pipeline, sensor);
	n = find_targets(pipeline, sensor_id, condition, &targets);
	if (n == 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 errmsg("no reading of sensor \"%s\" is stored", sensor),
				 errdetail("So nobody knows through which partition it comes.")));
	for (uint64 i = 0; i < n; i++)
		(void) insert_request(targets[i].stream_id, sensor_id,
							  targets[i].condition, request);
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	PG_RETURN_INT32((int32) n);
}

/* shelve(sensor_id, duration, reason, one_shot, pipeline, condition) */
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
	return request_about_sensor(fcinfo, &request);
}

/* The others: sensor_id, reason, pipeline, condition. */
static Datum
simple_request(FunctionCallInfo fcinfo, const char *action, bool wants_reason)
{
	Request		request = {.action = action};

	request.comment = wants_reason ?
		fm_arg_text_required(fcinfo, 1, "reason") : fm_arg_text(fcinfo, 1);
	return request_about_sensor(fcinfo, &request);
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

/* ----------------------------------------------------------------------
 * Retiring a sensor
 * ------------------------------------------------------------------- */

/*
 * The sensor's row tells that it is retired, at once with the commit: to whoever
 * watches for silence, and to the next one who asks.  Its alarms are told by
 * requests as ever, and remember it (FM_BLOCK_RETIRED), so that what readings
 * do to them does not depend on this row.  Who changes it waits for whoever
 * changed it before, so the requests of both have the order of their commits.
 */
static void
mark_retired(const char *sensor, int32 sensor_id, const Request *request,
			 bool retire)
{
	FmArgs		args = {0};
	int			n;

	fm_lock_timeout_limit(fm_lock_timeout);
	fm_args_int4(&args, sensor_id);
	if (retire)
	{
		fm_args_text(&args, request->actor);
		fm_args_text(&args, request->comment);
	}
	n = fm_args_run(&args, retire ?
					"UPDATE _factorymon.sensor SET retired_at = clock_timestamp(),"
					" retired_by = $2::name, retired_reason = $3"
					" WHERE sensor_id = $1 AND retired_at IS NULL" :
					"UPDATE _factorymon.sensor SET retired_at = NULL,"
					" retired_by = NULL, retired_reason = NULL"
					" WHERE sensor_id = $1 AND retired_at IS NOT NULL",
					SPI_OK_UPDATE);
	if (n == 0)
		ereport(ERROR,
				(errcode(FM_ERRCODE_WRONG_STATE),
				 retire ? errmsg("sensor \"%s\" is retired already", sensor) :
				 errmsg("sensor \"%s\" is not retired", sensor)));
}

/* Is there one that readings of the sensor will meet? */
static bool
has_limit(const Target *targets, uint64 n)
{
	for (uint64 i = 0; i < n; i++)
	{
		if (strcmp(targets[i].condition, "limit") == 0)
			return true;
	}
	return false;
}

/*
 * Add where a sensor of which no reading is left may come through: every
 * partition.  Returns how many targets there are.
 */
static uint64
add_all_streams(const FmPipeline *pipeline, Target **targets, uint64 n)
{
	FmArgs		args = {0};
	uint64		added;

	fm_args_int2(&args, pipeline->id);
	added = fm_args_run(&args, "SELECT stream_id FROM _factorymon.stream"
						" WHERE pipeline_id = $1 AND retired_at IS NULL"
						" AND kafka_partition >= 0",
						SPI_OK_SELECT);
	*targets = repalloc(*targets, Max(n + added, 1) * sizeof(Target));
	for (uint64 i = 0; i < added; i++)
	{
		(*targets)[n + i].stream_id = fm_spi_int4(i, 1);
		(*targets)[n + i].condition = pstrdup("limit");
	}
	return n + added;
}

/* sensor_id, reason, pipeline; returns how many requests it took. */
static Datum
change_retirement(FunctionCallInfo fcinfo, Request *request, bool retire)
{
	Oid			user = GetUserId();
	char	   *sensor = fm_arg_text_required(fcinfo, 0, "sensor_id");
	char	   *pipeline_name = fm_arg_text(fcinfo, 2);
	FmPipeline *pipeline;
	FmOwnerScope scope;
	Target	   *targets;
	int32		sensor_id;
	uint64		n;

	request->actor = GetUserNameFromId(user, false);
	fm_owner_begin(&scope);
	SPI_connect();
	pipeline = pipeline_of(pipeline_name, sensor);
	fm_pipeline_check_control(pipeline, user, "operator");
	sensor_id = find_sensor(pipeline, sensor);
	mark_retired(sensor, sensor_id, request, retire);
	n = find_targets(pipeline, sensor_id, NULL, &targets);
	if (!has_limit(targets, n))
		n = add_all_streams(pipeline, &targets, n);
	for (uint64 i = 0; i < n; i++)
		(void) insert_request(targets[i].stream_id, sensor_id,
							  targets[i].condition, request);
	SPI_finish();
	fm_owner_end(&scope);
	fm_pipeline_changed();
	PG_RETURN_INT32((int32) n);
}

/* retire_sensor(sensor_id, reason, pipeline) */
Datum
factorymon_retire_sensor(PG_FUNCTION_ARGS)
{
	Request		request = {.action = "retire"};

	request.comment = fm_arg_text_required(fcinfo, 1, "reason");
	return change_retirement(fcinfo, &request, true);
}

/* reinstate_sensor(sensor_id, comment, pipeline) */
Datum
factorymon_reinstate_sensor(PG_FUNCTION_ARGS)
{
	Request		request = {.action = "reinstate"};

	request.comment = fm_arg_text(fcinfo, 1);
	return change_retirement(fcinfo, &request, false);
}
