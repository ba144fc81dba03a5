/*-------------------------------------------------------------------------
 *
 * access.c
 *	  Who may do what: the kinds reader, operator, engineer and admin, and
 *	  what a pipeline's owner needs.
 *
 * Roles are cluster-wide, so the extension creates none.  It knows four
 * kinds of users of one database instead, each including the one before:
 *
 *	reader	  sees all views, limits, detectors and status functions
 *	operator  also handles alarms: acknowledges, shelves, retires sensors,
 *			  plans maintenance, and nothing else
 *	engineer  also pauses, resumes, and retries rejects
 *	admin	  also creates, alters, drops and seeks pipelines, edits limits and
 *			  detectors, formats and operating positions
 *
 * A role is of a kind if it may execute that kind's marker function
 * (_factorymon.reader(), operator(), engineer(), admin()).  Everything a kind
 * needs is an ordinary GRANT on an ordinary object: membership, \dp, pg_dump and
 * DROP OWNED work as ever, and there is no second system of rights to trust.
 *
 * Engineers may execute alter_pipeline(), drop_pipeline(), forget_drift() and
 * seek() too: these ask for the owner or an admin themselves, and the owner of a pipeline
 * need not be an admin for ever.
 *
 * Objects are looked up, not listed: all views of schema factorymon, the
 * functions these views call, and functions by name with all their
 * signatures.  An upgrade that adds some asks for grant_access() again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "guc.h"
#include "pipeline_internal.h"

PG_FUNCTION_INFO_V1(factorymon_grant_access);
PG_FUNCTION_INFO_V1(factorymon_revoke_access);

/* What an admin sets; the rest says who did. */
#define THRESHOLD_COLUMNS \
	"pipeline, sensor_type, zone, machine_id, sensor_id, critical_low," \
	" warning_low, warning_high, critical_high, deadband, on_delay," \
	" off_delay, re_alarm_after, warning_severity, critical_severity," \
	" acknowledgement, shelvable, enabled, comment, expected_interval"

/* What an operator sets of a maintenance window. */
#define WINDOW_COLUMNS \
	"pipeline, zone, machine_id, starts_at, ends_at, reason"

#define DETECTOR_COLUMNS \
	"sensor_type, detector, enabled, report, weight, time_constant, clip," \
	" learn, resolution, max_per_minute, span, tolerance, min_duration," \
	" utc_offset, alarm, raise_after, return_after, severity," \
	" re_alarm_after, acknowledgement, shelvable, comment"

/* One kind: its functions in schema factorymon, and other privileges. */
typedef struct AccessKind
{
	const char *name;			/* also of its marker function */
	const char *functions[40];	/* by name, NULL-terminated */
	const char *privileges[6];	/* as in GRANT, NULL-terminated */
	bool		views;			/* SELECT on all views, too */
} AccessKind;

/* In order: each kind includes those before it. */
static const AccessKind access_kinds[] = {
	{"reader",
		{"alarm_kpi", "alarm_noise", "alarm_rates", "alarm_response",
			"alarm_top", "batch_histogram_bounds", "classify", "energy_totals",
			"last_readings", "machine_timeline", "original_message",
			"original_messages", "partition_status", "recent_alerts",
			"recent_rejects", "sensor_buckets", "sensor_correlation",
			"sensor_limits", "sensor_series", "try_format", "try_limits",
		"verify_delivery", "worker_status", "zone_percentiles"},
		{"USAGE ON SCHEMA factorymon",
			"SELECT ON factorymon.threshold, factorymon.threshold_history,"
			" factorymon.maintenance_window, factorymon.maintenance_window_history,"
			" factorymon.detector, factorymon.detector_history,"
		" factorymon.operating_position_map, factorymon.format"},
	true},
	{"operator",
		{"acknowledge", "comment", "reinstate_sensor", "retire_sensor",
			"return_to_service", "shelve", "suppress", "take_out_of_service",
		"unshelve", "unsuppress"},
		{"INSERT (" WINDOW_COLUMNS "), UPDATE (" WINDOW_COLUMNS
			"), DELETE ON factorymon.maintenance_window",
		"USAGE ON SEQUENCE _factorymon.maintenance_window_id_seq"},
	false},
	{"engineer",
		{"alter_pipeline", "drop_pipeline", "forget_drift", "pause",
		"release_archive", "restore_archive", "resume", "retry_rejects", "seek",
		"set_archive", "set_retention", "verify_archive"},
		{NULL},
	false},
	{"admin",
		{"adopt", "check_server", "create_pipeline", "purge_suspect"},
		{"INSERT (" THRESHOLD_COLUMNS "), UPDATE (" THRESHOLD_COLUMNS
			"), DELETE ON factorymon.threshold",
			"INSERT, UPDATE, DELETE ON factorymon.operating_position_map,"
			" factorymon.format",
			"USAGE ON SEQUENCE _factorymon.threshold_id_seq",
			"INSERT (" DETECTOR_COLUMNS "), UPDATE (" DETECTOR_COLUMNS
			"), DELETE ON factorymon.detector",
			"USAGE ON SEQUENCE _factorymon.detector_id_seq",
		"USAGE ON FOREIGN DATA WRAPPER kafka"},
	false},
};

/* ----------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------- */

/* Index of a kind by name, or an error that lists them. */
static int
kind_index(const char *name)
{
	for (int i = 0; i < lengthof(access_kinds); i++)
		if (strcmp(access_kinds[i].name, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind of access: \"%s\"", name),
			 errhint("Kinds are \"reader\", \"operator\", \"engineer\" and \"admin\".")));
	return -1;					/* keep compiler quiet */
}

static bool
may_execute_marker(Oid roleid, const char *kind)
{
	oidvector  *no_arguments = buildoidvector(NULL, 0);
	Oid			schema = get_namespace_oid("_factorymon", true);
	Oid			marker;

	if (!OidIsValid(schema))
		return false;
	marker = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							 CStringGetDatum(kind),
							 PointerGetDatum(no_arguments),
							 ObjectIdGetDatum(schema));
	if (!OidIsValid(marker))
		return false;
	return DatumGetBool(DirectFunctionCall3(has_function_privilege_id_id,
											ObjectIdGetDatum(roleid),
											ObjectIdGetDatum(marker),
											CStringGetTextDatum("EXECUTE")));
}

bool
fm_has_kind(Oid roleid, const char *kind)
{
	if (superuser_arg(roleid))
		return true;
	for (int i = kind_index(kind); i < lengthof(access_kinds); i++)
		if (may_execute_marker(roleid, access_kinds[i].name))
			return true;
	return false;
}

/* ----------------------------------------------------------------------
 * Granting and revoking
 * ------------------------------------------------------------------- */

/*
 * Two sessions that GRANT on one object at once meet "tuple concurrently
 * updated".  The lock is on the schema as an object: it conflicts with itself
 * and with DDL on the schema, not with what goes on in it.
 */
void
fm_access_lock(void)
{
	LockDatabaseObject(NamespaceRelationId,
					   get_namespace_oid("_factorymon", false), 0,
					   ShareUpdateExclusiveLock);
}

/* Append the rows of the last SELECT, texts as in GRANT, to a list. */
static List *
append_rows(List *privileges)
{
	for (uint64 row = 0; row < SPI_processed; row++)
		privileges = lappend(privileges, fm_spi_text(row, 1));
	return privileges;
}

static List *
append_functions(List *privileges, const AccessKind *kind)
{
	FmArgs		args = {0};
	Datum		names[lengthof(kind->functions)];
	int			n = 0;

	while (n < lengthof(kind->functions) && kind->functions[n])
	{
		names[n] = CStringGetTextDatum(kind->functions[n]);
		n++;
	}
	fm_args_add(&args, TEXTARRAYOID,
				PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
												TYPALIGN_INT)), false);
	fm_args_text(&args, kind->name);
	fm_args_run(&args, "SELECT 'EXECUTE ON ROUTINE ' || p.oid::regprocedure"
				" FROM pg_proc p WHERE"
				" (p.pronamespace = 'factorymon'::regnamespace"
				"  AND p.proname = ANY ($1))"
				" OR (p.pronamespace = '_factorymon'::regnamespace"
				"  AND p.proname = $2 AND p.pronargs = 0)"
				" ORDER BY 1", SPI_OK_SELECT);
	return append_rows(privileges);
}

/*
 * The views, and the functions in them: a view reads tables as its owner but
 * calls functions as whoever queries it.
 */
static List *
append_views(List *privileges)
{
	FmArgs		args = {0};

	fm_args_run(&args, "SELECT 'SELECT ON ' || c.oid::regclass"
				" FROM pg_class c"
				" WHERE c.relnamespace = 'factorymon'::regnamespace"
				" AND c.relkind IN ('v', 'm') ORDER BY 1", SPI_OK_SELECT);
	privileges = append_rows(privileges);
	fm_args_run(&args, "SELECT DISTINCT"
				" 'EXECUTE ON ROUTINE ' || p.oid::regprocedure"
				" FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid"
				" JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass"
				" AND d.objid = w.oid AND d.refclassid = 'pg_proc'::regclass"
				" JOIN pg_proc p ON p.oid = d.refobjid"
				" WHERE c.relkind IN ('v', 'm') AND c.relnamespace"
				"  IN ('factorymon'::regnamespace, '_factorymon'::regnamespace)"
				" AND p.pronamespace"
				"  IN ('factorymon'::regnamespace, '_factorymon'::regnamespace)"
				" ORDER BY 1", SPI_OK_SELECT);
	return append_rows(privileges);
}

/* What one kind has beyond the one before it, as texts for GRANT. */
static List *
privileges_of(const AccessKind *kind)
{
	List	   *privileges = NIL;

	for (int i = 0; i < lengthof(kind->privileges) && kind->privileges[i]; i++)
		privileges = lappend(privileges, pstrdup(kind->privileges[i]));
	if (kind->views)
		privileges = append_views(privileges);
	return append_functions(privileges, kind);
}

static void
change_access(const AccessKind *kind, const char *role, bool grant)
{
	FmArgs		none = {0};
	ListCell   *cell;

	foreach(cell, privileges_of(kind))
	{
		char	   *sql = psprintf("%s %s %s %s", grant ? "GRANT" : "REVOKE",
								   (char *) lfirst(cell),
								   grant ? "TO" : "FROM",
								   quote_identifier(role));

		fm_args_run(&none, sql, SPI_OK_UTILITY);
	}
}

/* Both arguments, checked, and the caller's right to be here. */
static int
access_arguments(FunctionCallInfo fcinfo, char **role)
{
	char	   *kind = fm_arg_text_required(fcinfo, 0, "kind");

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("role must not be null")));
	if (!has_privs_of_role(GetUserId(), fm_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change access to factorymon"),
				 errdetail("Only superusers and the owner of the extension may do this.")));
	*role = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	(void) get_role_oid(*role, false);
	return kind_index(kind);
}

/* factorymon.grant_access(kind text, role name): this kind and all below. */
Datum
factorymon_grant_access(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	char	   *role;
	int			kind = access_arguments(fcinfo, &role);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	fm_access_lock();
	SPI_connect();
	for (int i = 0; i <= kind; i++)
		change_access(&access_kinds[i], role, true);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_VOID();
}

/* factorymon.revoke_access(kind text, role name): this kind and all above. */
Datum
factorymon_revoke_access(PG_FUNCTION_ARGS)
{
	FmOwnerScope scope;
	char	   *role;
	int			kind = access_arguments(fcinfo, &role);

	fm_owner_begin(&scope);
	fm_lock_timeout_limit(fm_lock_timeout);
	fm_access_lock();
	SPI_connect();
	for (int i = lengthof(access_kinds) - 1; i >= kind; i--)
		change_access(&access_kinds[i], role, false);
	SPI_finish();
	fm_owner_end(&scope);
	PG_RETURN_VOID();
}

/* ----------------------------------------------------------------------
 * The owner of a pipeline
 * ------------------------------------------------------------------- */

/*
 * Workers insert readings as the pipeline's owner: that needs INSERT on its
 * table (and a look at a reading's identity, to see which ones a trigger kept
 * out), the batch to read from, and the schema of both.  Nothing else.
 */
void
fm_access_grant_owner(int16 pipeline_id, const char *owner)
{
	FmArgs		none = {0};
	const char *role = quote_identifier(owner);

	fm_storage_lock_shape(fm_storage_relid(pipeline_id, "reading"));
	fm_args_run(&none, psprintf("GRANT INSERT, SELECT (stream_id, kafka_offset,"
								" reading_index) ON _factorymon.reading_%d"
								" TO %s", pipeline_id, role),
				SPI_OK_UTILITY);
	fm_args_run(&none, psprintf("GRANT USAGE ON SCHEMA _factorymon TO %s",
								role), SPI_OK_UTILITY);
	fm_args_run(&none, psprintf("GRANT SELECT ON _factorymon.batch TO %s",
								role), SPI_OK_UTILITY);
}

void
fm_access_revoke_owner(int16 pipeline_id, const char *owner)
{
	FmArgs		none = {0};
	FmArgs		others = {0};
	const char *role = quote_identifier(owner);
	Oid			reading = fm_storage_relid(pipeline_id, "reading");

	if (!OidIsValid(get_role_oid(owner, true)))
		return;
	if (OidIsValid(reading))
	{
		fm_storage_lock_shape(reading);
		fm_args_run(&none, psprintf("REVOKE ALL ON _factorymon.reading_%d"
									" FROM %s", pipeline_id, role),
					SPI_OK_UTILITY);
	}
	fm_args_int2(&others, pipeline_id);
	fm_args_text(&others, owner);
	if (fm_args_run(&others, "SELECT 1 FROM _factorymon.pipeline"
					" WHERE pipeline_id <> $1 AND owner = $2",
					SPI_OK_SELECT) > 0)
		return;
	fm_args_run(&none, psprintf("REVOKE USAGE ON SCHEMA _factorymon FROM %s",
								role), SPI_OK_UTILITY);
	fm_args_run(&none, psprintf("REVOKE SELECT ON _factorymon.batch FROM %s",
								role), SPI_OK_UTILITY);
}
