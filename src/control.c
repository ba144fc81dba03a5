/*-------------------------------------------------------------------------
 *
 * control.c
 *	  create_pipeline(), alter_pipeline(); see control_drop.c for the third.
 *
 * Each finds out first who asks and what for, checks it as that role, and
 * only then works as the extension's owner.  The tables' constraints repeat
 * the checks of values made here, which exist for their messages.
 *
 * A pipeline runs as its owner, who must be able to log in: background
 * workers refuse other roles.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/acl.h"

#include "control.h"
#include "format.h"
#include "guc.h"
#include "options.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_create_pipeline);
PG_FUNCTION_INFO_V1(factorymon_alter_pipeline);

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
 * create_pipeline
 * ------------------------------------------------------------------- */

static int16
insert_pipeline(const FmPipelineRequest *request)
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
read_create_arguments(FunctionCallInfo fcinfo, FmPipelineRequest *request)
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
	fm_check_values(request);
	fm_check_start(request);
	fm_check_alert_topic(request->alert_topic, request->topic);
}

/* factorymon.create_pipeline(topic, server, ...): returns its name. */
Datum
factorymon_create_pipeline(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	FmPipelineRequest request = {0};
	bool		paused = !PG_ARGISNULL(13) && PG_GETARG_BOOL(13);
	FmOwnerScope scope;
	int16		id;

	fm_require_preloaded();
	fm_require_utf8();
	if (!fm_has_kind(user, "admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create a pipeline"),
				 errhint("Ask for factorymon.grant_access('admin', %s).",
						 quote_literal_cstr(GetUserNameFromId(user, false)))));
	read_create_arguments(fcinfo, &request);
	(void) fm_options_load(request.server, user);
	fm_check_owner(user);
	request.owner = GetUserNameFromId(user, false);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	fm_access_lock();
	fm_check_name_is_free(request.name);
	fm_check_unshared(request.server, request.topic, request.consumer_group,
					  0);
	fm_format_require(request.format);
	id = insert_pipeline(&request);
	insert_progress(id, request.time_zone);
	insert_pipeline_run(id, paused, request.owner);
	fm_pipeline_create_storage(id, request.owner);
	fm_event_record(id, NULL, "created", NULL, 0,
					psprintf("by %s", request.owner));
	fm_warn_of_too_few_workers();
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_TEXT_P(cstring_to_text(request.name));
}

/* ----------------------------------------------------------------------
 * alter_pipeline
 * ------------------------------------------------------------------- */

static void
read_alter_arguments(FunctionCallInfo fcinfo, FmPipelineRequest *request)
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
	fm_check_values(request);
}

/*
 * May the user make that role the owner?  An admin, and member of the role,
 * since its user mappings will be used and its privileges apply.
 */
static void
check_new_owner(const FmPipelineRequest *request, Oid user)
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
	fm_check_owner(new_owner);
}

/*
 * The connection must be one that both the user and the owner may use.  An
 * owner that no longer exists is no obstacle to naming another.
 */
static void
check_connection(const FmPipeline *old, const FmPipelineRequest *request,
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
describe_request(const FmPipelineRequest *request)
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
update_pipeline(int16 id, const FmPipelineRequest *request)
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
	FmPipelineRequest request = {0};
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
	fm_check_alert_topic(request.alert_topic ? request.alert_topic :
						 old->alert_topic,
						 request.topic ? request.topic : old->topic);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	SPI_connect();
	if (request.owner)
		fm_access_lock();
	fm_check_unshared(request.server ? request.server : old->server,
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
		fm_warn_of_too_few_workers();
	SPI_finish();
	fm_owner_end(&scope);

	fm_pipeline_changed();
	PG_RETURN_VOID();
}
