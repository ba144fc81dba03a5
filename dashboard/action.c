/*
 * action.c - what operators do about alarms
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "action.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"
#include "json.h"

#define MAX_TEXT 4000			/* bytes of a reason or a comment */
#define MAX_NAME 1000			/* of a sensor */

/* $2 is a reason, or a comment; all of these return how many requests. */
#define OF_SENSOR(function) \
	"SELECT current_user, NULL, factorymon." function \
	"($1::text, $2::text, $3::text, $4::text)"
#define OF_EVENT(function) \
	"SELECT current_user, factorymon." function "($1::uuid, $2::text), 1"

#define EVENT_ID {"event_id", FM_FIELD_TEXT, true, NULL, 32, 40}
#define SENSOR_ID {"sensor_id", FM_FIELD_TEXT, true, NULL, 1, MAX_NAME}
#define REASON {"reason", FM_FIELD_TEXT, true, NULL, 1, MAX_TEXT}
#define COMMENT {"comment", FM_FIELD_TEXT, false, NULL, 0, MAX_TEXT}
#define PIPELINE {"pipeline", FM_FIELD_TEXT, false, NULL, 1, 63}
#define CONDITION {"condition", FM_FIELD_TEXT, false, "limit", 1, 63}

static const FmAction actions[] = {
	{"acknowledge", "acknowledge", OF_EVENT("acknowledge"),
	{EVENT_ID, COMMENT}},
	{"comment", "comment", OF_EVENT("comment"),
		{EVENT_ID, {"comment", FM_FIELD_TEXT, true, NULL, 1, MAX_TEXT}}},
	{"shelve", "shelve",
		"SELECT current_user, NULL, factorymon.shelve($1::text,"
		" $2::interval, $3::text, $4::boolean, $5::text, $6::text)",
		{SENSOR_ID, {"duration", FM_FIELD_TEXT, true, NULL, 1, 64}, REASON,
			{"one_shot", FM_FIELD_BOOL, false, "false", 0, 0},
	PIPELINE, CONDITION}},
	{"unshelve", "unshelve", OF_SENSOR("unshelve"),
	{SENSOR_ID, COMMENT, PIPELINE, CONDITION}},
	{"suppress", "suppress", OF_SENSOR("suppress"),
	{SENSOR_ID, REASON, PIPELINE, CONDITION}},
	{"unsuppress", "unsuppress", OF_SENSOR("unsuppress"),
	{SENSOR_ID, COMMENT, PIPELINE, CONDITION}},
	{"out-of-service", "take_out_of_service",
		OF_SENSOR("take_out_of_service"),
	{SENSOR_ID, REASON, PIPELINE, CONDITION}},
	{"return-to-service", "return_to_service",
		OF_SENSOR("return_to_service"),
	{SENSOR_ID, COMMENT, PIPELINE, CONDITION}},
};

#define NACTIONS ((int) (sizeof(actions) / sizeof(actions[0])))

/* Refusals by the beginnings of their SQLSTATEs: the first that fits. */
static const struct
{
	const char *sqlstate;
	unsigned	status;
	const char *code;
	const char *title;
}			refusals[] = {
	{"FM005", MHD_HTTP_CONFLICT, "stale_event",
	"the alarm has called again since, or it is over"},
	{"FM004", MHD_HTTP_CONFLICT, "wrong_state",
	"that cannot be done to the alarm as it is"},
	{"42501", MHD_HTTP_FORBIDDEN, "not_allowed", "the role may not do that"},
	{"42704", MHD_HTTP_NOT_FOUND, "unknown_object",
	"there is no such sensor or pipeline"},
	{"42P08", MHD_HTTP_BAD_REQUEST, "ambiguous",
	"several pipelines have a sensor of that name: say which"},
	{"22", MHD_HTTP_BAD_REQUEST, "invalid_parameter",
	"a member has a value that cannot be"},
	{"57014", MHD_HTTP_SERVICE_UNAVAILABLE, "database_timeout",
	"that took too long, and was not done"},
};

#define NREFUSALS ((int) (sizeof(refusals) / sizeof(refusals[0])))

const FmAction *
fm_action_find(const char *name)
{
	for (int i = 0; i < NACTIONS; i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

/* What became of it, where the server has said no. */
static FmAnswer *
say_refused(const FmAction *action, const char *sqlstate, const char *error)
{
	for (int i = 0; i < NREFUSALS; i++)
		if (strncmp(sqlstate, refusals[i].sqlstate,
					strlen(refusals[i].sqlstate)) == 0)
			return fm_answer_error(refusals[i].status, refusals[i].code,
								   refusals[i].title, action->name, error);
	if (fm_database_is_passing(sqlstate))
		return fm_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "database_busy",
							   "the database cannot do that now",
							   action->name, error);
	return fm_answer_error(MHD_HTTP_INTERNAL_SERVER_ERROR, "action_failed",
						   "that failed", action->name, error);
}

/* The same, where it has not said anything. */
static FmAnswer *
say_lost(const FmAction *action, PGconn *connection)
{
	if (PQstatus(connection) == CONNECTION_OK)
		return fm_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE,
							   "database_silent", "the database does not"
							   " answer; whether it was done is not known",
							   action->name, "the server does not answer");
	return fm_answer_error(MHD_HTTP_UNAUTHORIZED, "session_lost",
						   "the session's connection to the database was lost",
						   action->name, PQerrorMessage(connection));
}

static FmAnswer *
say_done(const FmAction *action, const PGresult *result)
{
	FmAnswer   *answer = fm_answer_new(MHD_HTTP_ACCEPTED, "application/json");

	answer->for_one = true;
	fm_buf_puts(&answer->body, "{\"action\":");
	fm_json_string(&answer->body, action->name);
	fm_buf_puts(&answer->body, ",\"role\":");
	fm_json_string(&answer->body, PQgetvalue(result, 0, 0));
	fm_buf_puts(&answer->body, ",\"request_id\":");
	fm_json_string(&answer->body, PQgetisnull(result, 0, 1) ? NULL :
				   PQgetvalue(result, 0, 1));
	fm_buf_printf(&answer->body, ",\"requests\":%s}\n",
				  PQgetvalue(result, 0, 2));
	return answer;
}

FmAnswer *
fm_action_run(PGconn *connection, const FmAction *action,
			  char *const *values, bool *lost)
{
	int			nparams = 0;
	PGresult   *result;
	const char *sqlstate;
	FmAnswer   *answer;

	while (nparams < FM_MAX_FIELDS && action->fields[nparams].name != NULL)
		nparams++;
	result = fm_database_run(connection, action->query, nparams,
							 (const char *const *) values);
	sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	*lost = result == NULL || PQstatus(connection) != CONNECTION_OK;
	if (fm_database_succeeded(result) && PQntuples(result) == 1)
		answer = say_done(action, result);
	else if (*lost || sqlstate == NULL)
		answer = say_lost(action, connection);
	else
		answer = say_refused(action, sqlstate, PQerrorMessage(connection));
	PQclear(result);
	return answer;
}

/* ----------------------------------------------------------------------
 * Rights
 * ------------------------------------------------------------------- */

static bool
has_function(const PGresult *result, const char *function)
{
	for (int i = 0; i < PQntuples(result); i++)
		if (strcmp(PQgetvalue(result, i, 1), function) == 0)
			return true;
	return false;
}

bool
fm_action_put_rights(FmBuf *buf, PGconn *connection, char *error,
					 size_t errlen)
{
	PGresult   *result =
		fm_database_run(connection, "SELECT current_user, f.proname"
						" FROM (VALUES (1)) AS v LEFT JOIN (SELECT p.proname"
						" FROM pg_proc p JOIN pg_namespace n"
						" ON n.oid = p.pronamespace"
						" WHERE n.nspname = 'factorymon'"
						" AND has_schema_privilege(n.oid, 'USAGE')"
						" AND has_function_privilege(p.oid, 'EXECUTE'))"
						" AS f ON true", 0, NULL);
	bool		first = true;

	if (!fm_database_succeeded(result))
	{
		snprintf(error, errlen, "%s", result == NULL ?
				 "the server does not answer" : PQerrorMessage(connection));
		PQclear(result);
		return false;
	}
	fm_buf_puts(buf, "\"role\":");
	fm_json_string(buf, PQgetvalue(result, 0, 0));
	fm_buf_puts(buf, ",\"actions\":[");
	for (int i = 0; i < NACTIONS; i++)
	{
		if (!has_function(result, actions[i].function))
			continue;
		fm_buf_puts(buf, first ? "" : ",");
		fm_json_string(buf, actions[i].name);
		first = false;
	}
	fm_buf_puts(buf, "]");
	PQclear(result);
	return true;
}
