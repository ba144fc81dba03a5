/*-------------------------------------------------------------------------
 *
 * control_check.c
 *	  Whether what somebody asks of a pipeline can be.
 *
 * The tables' constraints repeat what is checked of values here, for the sake
 * of its messages.
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
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "postmaster/bgworker_internals.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "control.h"
#include "guc.h"
#include "pipeline_internal.h"

#define MAX_PIPELINE_WORKERS 64

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
void
fm_check_time_zone(const char *name)
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
void
fm_check_values(const FmPipelineRequest *request)
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
		fm_check_time_zone(request->time_zone);
	if (request->deduplicate)
		check_choice("deduplicate", request->deduplicate,
					 "none", "id", "sensor_time");
	if (request->deduplicate_ttl)
		check_deduplicate_ttl(request->deduplicate_ttl);
}

void
fm_check_start(const FmPipelineRequest *request)
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
void
fm_check_owner(Oid roleid)
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
void
fm_check_unshared(const char *server, const char *topic, const char *group,
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
void
fm_check_alert_topic(const char *alert_topic, const char *topic)
{
	if (alert_topic && strcmp(alert_topic, topic) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("alert_topic must not be the topic of the readings")));
}

/* Say at once what would otherwise be found in the log. */
void
fm_warn_of_too_few_workers(void)
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

void
fm_check_name_is_free(const char *name)
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
void
fm_require_utf8(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("factorymon needs a database with encoding UTF8"),
				 errdetail("This one has %s.", GetDatabaseEncodingName())));
}
