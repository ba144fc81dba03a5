/*-------------------------------------------------------------------------
 *
 * control.c
 *	  create_pipeline(), alter_pipeline(), drop_pipeline().
 *
 * Each finds out first who asks and what for, checks it as that role, and
 * only then works as the extension's owner.  The tables' constraints repeat
 * the checks of values made here, which exist for their messages.
 *
 * A pipeline runs as its owner, who must be able to log in: background
 * workers refuse other roles.
 *
 * Dropping: the position rows come first, which waits for batches in flight
 * and keeps further ones out; then the tables, then the pipeline's row with
 * all that refers to it.  See pipeline.c for why in this order.  A worker
 * that finds its pipeline gone after our commit leaves without a word.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "postmaster/bgworker_internals.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "format.h"
#include "guc.h"
#include "kpi.h"
#include "options.h"
#include "pipeline_internal.h"
#include "sensor.h"

PG_FUNCTION_INFO_V1(factorymon_create_pipeline);
PG_FUNCTION_INFO_V1(factorymon_alter_pipeline);
PG_FUNCTION_INFO_V1(factorymon_drop_pipeline);

#define MAX_PIPELINE_WORKERS 64

/* What a user asks for; NULL: not given. */
typedef struct PipelineRequest
{
	char	   *name;
	char	   *server;
	char	   *topic;
	char	   *consumer_group;
	char	   *format;
	char	   *start;
	char	   *on_data_loss;
	char	   *owner;
	char	   *alert_topic;	/* "": none */
	int32	   *workers;
	TimestampTz *start_at;
	Interval   *accept_past;
	Interval   *accept_future;
	Interval   *retention;		/* 0: for ever */
	Interval   *partition_interval;
	bool	   *rollups;
	char	   *time_zone;
	char	   *deduplicate;
	Interval   *deduplicate_ttl;
} PipelineRequest;

/* ----------------------------------------------------------------------
 * Reading arguments
 * ------------------------------------------------------------------- */

static int32 *
arg_int4(FunctionCallInfo fcinfo, int argument)
{
	int32	   *value;

	if (PG_ARGISNULL(argument))
		return NULL;
	value = palloc(sizeof(int32));
	*value = PG_GETARG_INT32(argument);
	return value;
}

static bool *
arg_bool(FunctionCallInfo fcinfo, int argument)
{
	bool	   *value;

	if (PG_ARGISNULL(argument))
		return NULL;
	value = palloc(sizeof(bool));
	*value = PG_GETARG_BOOL(argument);
	return value;
}

static TimestampTz *
arg_timestamptz(FunctionCallInfo fcinfo, int argument)
{
	TimestampTz *value;

	if (PG_ARGISNULL(argument))
		return NULL;
	value = palloc(sizeof(TimestampTz));
	*value = PG_GETARG_TIMESTAMPTZ(argument);
	return value;
}

static Interval *
arg_interval(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : PG_GETARG_INTERVAL_P(argument);
}

static void
args_interval(FmArgs *args, Interval *value)
{
	fm_args_add(args, INTERVALOID, IntervalPGetDatum(value), value == NULL);
}

/* ----------------------------------------------------------------------
 * Checking values
 * ------------------------------------------------------------------- */

static void
check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid pipeline name: \"%s\"", name),
				 errdetail("A name has between 1 and %d bytes.",
						   NAMEDATALEN - 1)));
}

static void
check_topic(const char *topic)
{
	size_t		length = strlen(topic);

	if (length >= 1 && length <= 249 &&
		strspn(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			   "0123456789._-") == length &&
		strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid topic name: \"%s\"", topic),
			 errdetail("Topics are named with up to 249 letters, digits, dots, underscores and hyphens.")));
}

static void
check_choice(const char *what, const char *value, const char *first,
			 const char *second, const char *third)
{
	if (strcmp(value, first) == 0 ||
		(second && strcmp(value, second) == 0) ||
		(third && strcmp(value, third) == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value for %s: \"%s\"", what, value),
			 third ? errhint("Use \"%s\", \"%s\" or \"%s\".",
							 first, second, third) :
			 second ? errhint("Use \"%s\" or \"%s\".", first, second) :
			 errhint("The only one is \"%s\".", first)));
}

static void
check_interval(const char *what, const Interval *value, bool zero_allowed)
{
	int64		usecs = fm_interval_usecs(value, what);

	if (usecs < 0 || (usecs == 0 && !zero_allowed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be %s", what, zero_allowed ?
						"zero or more" : "greater than zero")));
}

/*
 * Partitions begin at multiples of their width, so months, which differ in
 * length, are no width.
 */
static void
check_partition_interval(const Interval *value)
{
	if (value->month == 0 &&
		fm_interval_usecs(value, "partition_interval") >= USECS_PER_HOUR &&
		value->time % USECS_PER_HOUR == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("partition_interval must be a whole number of hours"),
			 errhint("Write '1 hour', '1 day' or '30 days', for example.")));
}

/* A name is what it takes: an offset alone knows no summer time, and is taken
 * with either sign in mind. */
static void
check_time_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone != NULL && pg_tz_acceptable(zone) &&
		pg_strcasecmp(name, pg_get_timezone_name(zone)) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("time zone \"%s\" not recognized", name),
			 errhint("Use a name of the view pg_timezone_names, as 'Europe/Berlin'.")));
}

/* Slices of time are half as wide, and a batch takes its time. */
static void
check_deduplicate_ttl(const Interval *value)
{
	if (fm_interval_usecs(value, "deduplicate_ttl") < 2 * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("deduplicate_ttl must be at least 2 seconds"),
				 errhint("Use deduplicate \"none\" for no deduplication.")));
}

/* Everything that can be told from the values alone. */
static void
check_values(const PipelineRequest *request)
{
	if (request->name)
		check_name(request->name);
	if (request->topic)
		check_topic(request->topic);
	if (request->alert_topic && request->alert_topic[0] != '\0')
		check_topic(request->alert_topic);
	if (request->consumer_group && request->consumer_group[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("consumer_group must not be empty")));
	if (request->on_data_loss)
		check_choice("on_data_loss", request->on_data_loss,
					 "stop", "continue", NULL);
	if (request->workers &&
		(*request->workers < 1 || *request->workers > MAX_PIPELINE_WORKERS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between 1 and %d",
						MAX_PIPELINE_WORKERS)));
	if (request->accept_past)
		check_interval("accept_past", request->accept_past, false);
	if (request->accept_future)
		check_interval("accept_future", request->accept_future, false);
	if (request->retention)
		check_interval("retention", request->retention, true);
	if (request->partition_interval)
		check_partition_interval(request->partition_interval);
	if (request->time_zone)
		check_time_zone(request->time_zone);
	if (request->deduplicate)
		check_choice("deduplicate", request->deduplicate,
					 "none", "id", "sensor_time");
	if (request->deduplicate_ttl)
		check_deduplicate_ttl(request->deduplicate_ttl);
}

static void
check_start(const PipelineRequest *request)
{
	bool		by_time;

	check_choice("start", request->start, "earliest", "latest", "timestamp");
	by_time = strcmp(request->start, "timestamp") == 0;
	if (by_time && request->start_at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start \"timestamp\" needs start_at")));
	if (!by_time && request->start_at != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_at needs start \"timestamp\"")));
	if (by_time && TIMESTAMP_NOT_FINITE(*request->start_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_at must be finite"),
				 errhint("Use start \"earliest\" or \"latest\".")));
}

/* ----------------------------------------------------------------------
 * Checking against the catalogs
 * ------------------------------------------------------------------- */

/* Can background workers connect to this database as that role? */
static void
check_owner(Oid roleid)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(roleid));
	bool		can_login;
	char	   *name = GetUserNameFromId(roleid, false);

	can_login = HeapTupleIsValid(tuple) &&
		((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!can_login)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("role \"%s\" cannot own a pipeline", name),
				 errdetail("Background workers connect as the owner, and this role is not permitted to log in."),
				 errhint("Use a role with the LOGIN attribute, or ALTER ROLE %s LOGIN.",
						 quote_identifier(name))));
	if (!superuser_arg(roleid) &&
		!DatumGetBool(DirectFunctionCall3(has_database_privilege_id_id,
										  ObjectIdGetDatum(roleid),
										  ObjectIdGetDatum(MyDatabaseId),
										  CStringGetTextDatum("CONNECT"))))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("role \"%s\" cannot own a pipeline", name),
				 errdetail("Background workers connect as the owner, and this role lacks the CONNECT privilege on the database.")));
}

/*
 * Would anything else ingest the same topic as the same group?  Two members
 * of one group that do not know of each other's tables share the partitions.
 */
static void
check_unshared(const char *server, const char *topic, const char *group,
			   int16 except)
{
	FmArgs		args = {0};

	fm_args_text(&args, server);
	fm_args_text(&args, topic);
	fm_args_text(&args, group);
	fm_args_int2(&args, except);
	if (fm_args_run(&args, "SELECT name FROM _factorymon.pipeline"
					" WHERE server = $1 AND topic = $2"
					" AND consumer_group = $3 AND pipeline_id <> $4",
					SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("topic \"%s\" of server \"%s\" is already ingested by pipeline \"%s\" in group \"%s\"",
						topic, server, fm_spi_text(0, 1), group),
				 errhint("Give the pipelines different values of consumer_group.")));
}

/* Alarms among the readings would be read, and rejected, for ever. */
static void
check_alert_topic(const char *alert_topic, const char *topic)
{
	if (alert_topic && strcmp(alert_topic, topic) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("alert_topic must not be the topic of the readings")));
}

/* Say at once what would otherwise be found in the log. */
static void
warn_of_too_few_workers(void)
{
	FmArgs		args = {0};
	int64		workers;
	int64		pipelines;
	int64		needed;

	fm_args_int8(&args, (int64) GetSystemIdentifier());
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
	fm_args_run(&args, "SELECT coalesce(sum(p.workers), 0)::bigint, count(*)"
				" FROM _factorymon.pipeline p"
				" JOIN _factorymon.pipeline_run r USING (pipeline_id)"
				" WHERE r.system_identifier = $1 AND r.database_oid = $2",
				SPI_OK_SELECT);
	workers = fm_spi_int8(0, 1);
	pipelines = fm_spi_int8(0, 2);
	/* a publisher for each; launcher and this database's supervisor */
	needed = workers + pipelines + 2;
	if (needed > max_worker_processes)
		ereport(WARNING,
				(errmsg("max_worker_processes is too low for the pipelines of this database"),
				 errdetail("They need %lld background processes, and max_worker_processes is %d.",
						   (long long) needed, max_worker_processes),
				 errhint("Set max_worker_processes to %lld at least, more where parallel queries, replication or other databases need some, and restart the server.",
						 (long long) needed)));
	else if (workers > fm_max_workers)
		ereport(WARNING,
				(errmsg("factorymon.max_workers is too low for the pipelines of this database"),
				 errdetail("They have %lld workers, and factorymon.max_workers is %d.",
						   (long long) workers, fm_max_workers),
				 errhint("Raise factorymon.max_workers and restart the server.")));
}

/* ----------------------------------------------------------------------
 * create_pipeline
 * ------------------------------------------------------------------- */

static int16
insert_pipeline(const PipelineRequest *request)
{
	FmArgs		args = {0};
	int64		retention = request->retention ?
	fm_interval_usecs(request->retention, "retention") : 0;
	bool		isnull;

	fm_args_text(&args, request->name);
	fm_args_text(&args, request->server);
	fm_args_text(&args, request->topic);
	fm_args_text(&args, request->consumer_group);
	fm_args_text(&args, request->format);
	fm_args_int4(&args, *request->workers);
	fm_args_text(&args, request->start);
	fm_args_add(&args, TIMESTAMPTZOID, request->start_at ?
				TimestampTzGetDatum(*request->start_at) : (Datum) 0,
				request->start_at == NULL);
	fm_args_text(&args, request->on_data_loss);
	args_interval(&args, request->accept_past);
	args_interval(&args, request->accept_future);
	args_interval(&args, retention > 0 ? request->retention : NULL);
	args_interval(&args, request->partition_interval);
	fm_args_text(&args, request->owner);
	fm_args_text(&args, request->alert_topic);
	fm_args_add(&args, BOOLOID, BoolGetDatum(*request->rollups), false);
	fm_args_text(&args, request->time_zone);
	fm_args_text(&args, request->deduplicate);
	args_interval(&args, request->deduplicate_ttl);
	fm_args_run(&args, "INSERT INTO _factorymon.pipeline (pipeline_id, name,"
				" server, topic, consumer_group, format, workers,"
				" start_policy, start_at, on_data_loss, accept_past,"
				" accept_future, retention, partition_interval, owner,"
				" alert_topic, rollups, time_zone, deduplicate,"
				" deduplicate_ttl)"
				" VALUES (nextval('_factorymon.pipeline_id_seq'), $1, $2, $3,"
				" $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
				" nullif($15, ''), $16, $17, $18, $19)"
				" RETURNING pipeline_id", SPI_OK_INSERT_RETURNING);
	return DatumGetInt16(fm_spi_value(0, 1, &isnull));
}

/* Hours and days before today come about by what is marked. */
static void
insert_progress(int16 pipeline_id, const char *time_zone)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, time_zone);
	fm_args_run(&args, "INSERT INTO _factorymon.rollup_progress"
				" (pipeline_id, time_zone, marked_from, hours_until,"
				" days_until) SELECT $1, $2, d, d, d"
				" FROM date_trunc('day', now(), $2) AS d", SPI_OK_INSERT);
}

static void
insert_pipeline_run(int16 pipeline_id, bool paused, const char *role)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, (int64) GetSystemIdentifier());
	fm_args_add(&args, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
	fm_args_text(&args, role);
	fm_args_run(&args, paused ?
				"INSERT INTO _factorymon.pipeline_run (pipeline_id,"
				" system_identifier, database_oid, paused_at, paused_by,"
				" pause_reason) VALUES ($1, $2, $3, now(), $4,"
				" 'created paused')" :
				"INSERT INTO _factorymon.pipeline_run (pipeline_id,"
				" system_identifier, database_oid) VALUES ($1, $2, $3)",
				SPI_OK_INSERT);
}

/* The arguments of create_pipeline(), none of which may be null but four. */
static void
read_create_arguments(FunctionCallInfo fcinfo, PipelineRequest *request)
{
	request->topic = fm_arg_text_required(fcinfo, 0, "topic");
	request->server = fm_arg_text_required(fcinfo, 1, "server");
	request->name = PG_ARGISNULL(2) ? request->topic : fm_arg_text(fcinfo, 2);
	request->consumer_group =
		fm_arg_text_required(fcinfo, 3, "consumer_group");
	request->format = fm_arg_text_required(fcinfo, 4, "format");
	request->workers = arg_int4(fcinfo, 5);
	request->start = fm_arg_text_required(fcinfo, 6, "start");
	request->start_at = arg_timestamptz(fcinfo, 7);
	request->on_data_loss = fm_arg_text_required(fcinfo, 8, "on_data_loss");
	request->accept_past = arg_interval(fcinfo, 9);
	request->accept_future = arg_interval(fcinfo, 10);
	request->retention = arg_interval(fcinfo, 11);
	request->partition_interval = arg_interval(fcinfo, 12);
	request->alert_topic = fm_arg_text(fcinfo, 14);
	request->rollups = arg_bool(fcinfo, 15);
	request->time_zone = PG_ARGISNULL(16) ?
		pstrdup(pg_get_timezone_name(session_timezone)) :
		fm_arg_text(fcinfo, 16);
	request->deduplicate = fm_arg_text_required(fcinfo, 17, "deduplicate");
	request->deduplicate_ttl = arg_interval(fcinfo, 18);
	if (!request->workers || !request->accept_past ||
		!request->accept_future || !request->partition_interval ||
		!request->rollups || !request->deduplicate_ttl)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						!request->workers ? "workers" :
						!request->accept_past ? "accept_past" :
						!request->accept_future ? "accept_future" :
						!request->rollups ? "rollups" :
						!request->deduplicate_ttl ? "deduplicate_ttl" :
						"partition_interval")));
	check_values(request);
	check_start(request);
	check_alert_topic(request->alert_topic, request->topic);
}

static void
check_name_is_free(const char *name)
{
	FmArgs		args = {0};

	fm_args_text(&args, name);
	if (fm_args_run(&args, "SELECT 1 FROM _factorymon.pipeline"
					" WHERE name = $1", SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already exists", name)));
}

/* The decoder's strings are UTF-8 and are stored as they are. */
static void
require_utf8(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("factorymon needs a database with encoding UTF8"),
				 errdetail("This one has %s.", GetDatabaseEncodingName())));
}

/* factorymon.create_pipeline(topic, server, ...): returns its name. */
Datum
factorymon_create_pipeline(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	PipelineRequest request = {0};
	bool		paused = !PG_ARGISNULL(13) && PG_GETARG_BOOL(13);
	FmOwnerScope scope;
	int16		id;

	fm_require_preloaded();
	require_utf8();
	if (!fm_has_kind(user, "admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create a pipeline"),
				 errhint("Ask for factorymon.grant_access('admin', %s).",
						 quote_literal_cstr(GetUserNameFromId(user, false)))));
	read_create_arguments(fcinfo, &request);
	(void) fm_options_load(request.server, user);
	check_owner(user);
	request.owner = GetUserNameFromId(user, false);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_access_lock();
	check_name_is_free(request.name);
	check_unshared(request.server, request.topic, request.consumer_group, 0);
	fm_format_require(request.format);
	id = insert_pipeline(&request);
	insert_progress(id, request.time_zone);
	insert_pipeline_run(id, paused, request.owner);
	fm_pipeline_create_storage(id, request.owner);
	fm_event_record(id, NULL, "created", NULL, 0,
					psprintf("by %s", request.owner));
	warn_of_too_few_workers();
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_TEXT_P(cstring_to_text(request.name));
}

/* ----------------------------------------------------------------------
 * alter_pipeline
 * ------------------------------------------------------------------- */

static void
read_alter_arguments(FunctionCallInfo fcinfo, PipelineRequest *request)
{
	request->server = fm_arg_text(fcinfo, 1);
	request->topic = fm_arg_text(fcinfo, 2);
	request->consumer_group = fm_arg_text(fcinfo, 3);
	request->workers = arg_int4(fcinfo, 4);
	request->on_data_loss = fm_arg_text(fcinfo, 5);
	request->accept_past = arg_interval(fcinfo, 6);
	request->accept_future = arg_interval(fcinfo, 7);
	request->retention = arg_interval(fcinfo, 8);
	request->partition_interval = arg_interval(fcinfo, 9);
	request->owner = PG_ARGISNULL(10) ? NULL :
		pstrdup(NameStr(*PG_GETARG_NAME(10)));
	request->alert_topic = fm_arg_text(fcinfo, 11);
	request->format = fm_arg_text(fcinfo, 12);
	request->rollups = arg_bool(fcinfo, 13);
	request->time_zone = fm_arg_text(fcinfo, 14);
	request->deduplicate = fm_arg_text(fcinfo, 15);
	request->deduplicate_ttl = arg_interval(fcinfo, 16);
	check_values(request);
}

/*
 * May the user make that role the owner?  An admin, and member of the role,
 * since its user mappings will be used and its privileges apply.
 */
static void
check_new_owner(const PipelineRequest *request, Oid user)
{
	Oid			new_owner = get_role_oid(request->owner, false);

	if (!fm_has_kind(user, "admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change the owner of a pipeline"),
				 errdetail("Only superusers and roles of kind \"admin\" may do this.")));
	if (!is_member_of_role(user, new_owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be member of role \"%s\"", request->owner)));
	check_owner(new_owner);
}

/*
 * The connection must be one that both the user and the owner may use.  An
 * owner that no longer exists is no obstacle to naming another.
 */
static void
check_connection(const FmPipeline *old, const PipelineRequest *request,
				 Oid user)
{
	const char *server = request->server ? request->server : old->server;
	const char *owner = request->owner ? request->owner : old->owner;

	if (request->server)
		(void) fm_options_load(server, user);
	if (request->server || request->owner)
		(void) fm_options_load(server, get_role_oid(owner, false));
}

/* "workers, retention": what is given, for the event. */
static char *
describe_request(const PipelineRequest *request)
{
	StringInfoData text;

	initStringInfo(&text);
#define MENTION(field) \
	if (request->field) \
		appendStringInfo(&text, "%s%s", text.len ? ", " : "", #field)
	MENTION(server);
	MENTION(topic);
	MENTION(consumer_group);
	MENTION(workers);
	MENTION(on_data_loss);
	MENTION(accept_past);
	MENTION(accept_future);
	MENTION(retention);
	MENTION(partition_interval);
	MENTION(owner);
	MENTION(alert_topic);
	MENTION(format);
	MENTION(rollups);
	MENTION(time_zone);
	MENTION(deduplicate);
	MENTION(deduplicate_ttl);
#undef MENTION
	return text.data;
}

static void
update_pipeline(int16 id, const PipelineRequest *request)
{
	FmArgs		args = {0};
	bool		for_ever = request->retention &&
	fm_interval_usecs(request->retention, "retention") == 0;

	fm_args_int2(&args, id);
	fm_args_text(&args, request->server);
	fm_args_text(&args, request->topic);
	fm_args_text(&args, request->consumer_group);
	fm_args_add(&args, INT4OID, request->workers ?
				Int32GetDatum(*request->workers) : (Datum) 0,
				request->workers == NULL);
	fm_args_text(&args, request->on_data_loss);
	args_interval(&args, request->accept_past);
	args_interval(&args, request->accept_future);
	args_interval(&args, for_ever ? NULL : request->retention);
	fm_args_add(&args, BOOLOID, BoolGetDatum(for_ever), false);
	args_interval(&args, request->partition_interval);
	fm_args_text(&args, request->owner);
	fm_args_text(&args, request->alert_topic);
	fm_args_text(&args, request->format);
	fm_args_add(&args, BOOLOID, request->rollups ?
				BoolGetDatum(*request->rollups) : (Datum) 0,
				request->rollups == NULL);
	fm_args_text(&args, request->time_zone);
	fm_args_text(&args, request->deduplicate);
	args_interval(&args, request->deduplicate_ttl);
	if (fm_args_run(&args, "UPDATE _factorymon.pipeline SET"
					" server = coalesce($2, server),"
					" topic = coalesce($3, topic),"
					" consumer_group = coalesce($4, consumer_group),"
					" workers = coalesce($5, workers),"
					" on_data_loss = coalesce($6, on_data_loss),"
					" accept_past = coalesce($7, accept_past),"
					" accept_future = coalesce($8, accept_future),"
					" retention = CASE WHEN $10 THEN NULL"
					"  ELSE coalesce($9, retention) END,"
					" partition_interval = coalesce($11, partition_interval),"
					" owner = coalesce($12::name, owner),"
					" alert_topic = nullif(coalesce($13, alert_topic), ''),"
					" format = coalesce($14, format),"
					" rollups = coalesce($15, rollups),"
					" time_zone = coalesce($16, time_zone),"
					" deduplicate = coalesce($17, deduplicate),"
					" deduplicate_ttl = coalesce($18, deduplicate_ttl),"
					" config_version = config_version + 1"
					" WHERE pipeline_id = $1", SPI_OK_UPDATE) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline was dropped concurrently")));
}

/* factorymon.alter_pipeline(pipeline, ...): NULL leaves a thing unchanged. */
Datum
factorymon_alter_pipeline(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	PipelineRequest request = {0};
	FmPipeline *old;
	char	   *changes;
	FmOwnerScope scope;

	old = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(old, user, "admin");
	read_alter_arguments(fcinfo, &request);
	changes = describe_request(&request);
	if (changes[0] == '\0')
		PG_RETURN_VOID();
	if (request.owner)
		check_new_owner(&request, user);
	check_connection(old, &request, user);
	check_alert_topic(request.alert_topic ? request.alert_topic :
					  old->alert_topic,
					  request.topic ? request.topic : old->topic);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	if (request.owner)
		fm_access_lock();
	check_unshared(request.server ? request.server : old->server,
				   request.topic ? request.topic : old->topic,
				   request.consumer_group ? request.consumer_group :
				   old->consumer_group, old->id);
	if (request.format)
		fm_format_require(request.format);
	if (request.owner && strcmp(request.owner, old->owner) != 0)
	{
		fm_access_revoke_owner(old->id, old->owner);
		fm_access_grant_owner(old->id, request.owner);
	}
	update_pipeline(old->id, &request);
	fm_event_record(old->id, NULL, "altered", NULL, 0,
					psprintf("%s by %s", changes,
							 GetUserNameFromId(user, false)));
	if (request.workers)
		warn_of_too_few_workers();
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------------
 * drop_pipeline
 * ------------------------------------------------------------------- */

/*
 * Wait for batches in flight, and keep others out until we are done.  A worker
 * may be about to take a partition for the first time, and will want our
 * tables: its position cannot be seen yet, but it has locked the stream, or a
 * new stream the pipeline.  Whoever waits for one of these holds none that
 * comes before.
 */
static void
lock_positions(int16 pipeline_id)
{
	static const char *const locks[] = {
		"SELECT 1 FROM _factorymon.partition_offset"
		" WHERE stream_id IN (SELECT stream_id"
		"  FROM _factorymon.stream WHERE pipeline_id = $1)"
		" ORDER BY stream_id FOR UPDATE",
		"SELECT 1 FROM _factorymon.stream WHERE pipeline_id = $1"
		" ORDER BY stream_id FOR UPDATE",
		"SELECT 1 FROM _factorymon.pipeline WHERE pipeline_id = $1"
		" FOR UPDATE",
	};
	/* those that have come to be meanwhile */
	static const int order[] = {0, 1, 2, 1, 0};

	for (int i = 0; i < lengthof(order); i++)
	{
		FmArgs		args = {0};

		fm_args_int2(&args, pipeline_id);
		fm_args_run(&args, locks[order[i]], SPI_OK_SELECT);
	}
}

/* The publisher locks this row first, too. */
static void
lock_publisher(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_run(&args, "SELECT 1 FROM _factorymon.publisher"
				" WHERE pipeline_id = $1 FOR UPDATE", SPI_OK_SELECT);
}

/* Whoever is writing history files of it may be at it for long. */
static void
end_archiver(int16 pipeline_id)
{
	FmArgs		args = {0};

	fm_args_add(&args, OIDOID,
				ObjectIdGetDatum(fm_storage_relid(pipeline_id, "reading")),
				false);
	fm_args_run(&args, "SELECT pg_terminate_backend(a.pid)"
				" FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
				" WHERE a.backend_type = 'factorymon archiver'"
				" AND l.granted AND l.relation = $1"
				" AND l.database = a.datid", SPI_OK_SELECT);
}

/* factorymon.drop_pipeline(pipeline): with everything it stored. */
Datum
factorymon_drop_pipeline(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmPipeline *pipeline;
	FmArgs		args = {0};
	FmOwnerScope scope;

	pipeline = fm_pipeline_find(fm_arg_text_required(fcinfo, 0, "pipeline"));
	fm_pipeline_check_control(pipeline, user, "admin");

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_access_lock();
	lock_positions(pipeline->id);
	lock_publisher(pipeline->id);
	end_archiver(pipeline->id);
	fm_pipeline_drop_storage(pipeline->id);
	fm_access_revoke_owner(pipeline->id, pipeline->owner);
	fm_kpi_drop(pipeline->id);
	fm_args_int2(&args, pipeline->id);
	fm_args_run(&args, "DELETE FROM _factorymon.pipeline"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.publication"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.delivery"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	fm_args_run(&args, "DELETE FROM _factorymon.rollup_mark"
				" WHERE pipeline_id = $1", SPI_OK_DELETE);
	/* after the pipeline: now nobody registers any more */
	fm_sensor_delete_all(pipeline->id);
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_dropped(pipeline->id);
	PG_RETURN_VOID();
}
