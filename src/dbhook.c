/*-------------------------------------------------------------------------
 *
 * dbhook.c
 *	  Step aside for commands that need a database to themselves, and notice
 *	  changes of connections.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME / SET TABLESPACE and CREATE
 * DATABASE ... TEMPLATE fail after five seconds while anybody is connected.
 * Before such a command our processes of that database are ended and kept
 * out until it is over, however it ends.
 *
 * ALTER SERVER and user mapping commands change what workers connect with;
 * at their commit the workers are woken and compare.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "dbhook.h"
#include "shmem.h"

#define STEP_ASIDE_TIMEOUT (20 * USECS_PER_SEC)
#define POLL_MS 20

static ProcessUtility_hook_type prev_utility = NULL;

static Oid	held_database = InvalidOid;
static bool connection_changed = false;

/* Name of the database that a command needs to itself; NULL: none. */
static const char *
wanted_database(Node *statement)
{
	if (IsA(statement, DropdbStmt))
		return ((DropdbStmt *) statement)->dbname;
	if (IsA(statement, AlterDatabaseStmt))
		return ((AlterDatabaseStmt *) statement)->dbname;
	if (IsA(statement, RenameStmt) &&
		((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		return ((RenameStmt *) statement)->subname;
	if (IsA(statement, CreatedbStmt))
	{
		ListCell   *cell;

		foreach(cell, ((CreatedbStmt *) statement)->options)
		{
			DefElem    *option = lfirst(cell);

			if (strcmp(option->defname, "template") == 0 && option->arg &&
				IsA(option->arg, String))
				return strVal(option->arg);
		}
		return "template1";
	}
	return NULL;
}

static bool
changes_connection(Node *statement)
{
	return IsA(statement, AlterForeignServerStmt) ||
		IsA(statement, CreateUserMappingStmt) ||
		IsA(statement, AlterUserMappingStmt) ||
		IsA(statement, DropUserMappingStmt) ||
		(IsA(statement, DropStmt) &&
		 ((DropStmt *) statement)->removeType == OBJECT_EXTENSION) ||
		IsA(statement, GrantStmt) || IsA(statement, AlterRoleStmt) ||
		IsA(statement, AlterExtensionStmt);
}

static void
release(void)
{
	if (OidIsValid(held_database))
		fm_shmem_database_release(held_database);
	held_database = InvalidOid;
}

static void
release_at_exit(int code, Datum arg)
{
	release();
}

/* End our processes there and wait until they are gone. */
static void
empty_database(Oid database)
{
	static bool registered = false;
	TimestampTz deadline = GetCurrentTimestamp() + STEP_ASIDE_TIMEOUT;
	List	   *pids;
	ListCell   *cell;

	if (!registered)
		before_shmem_exit(release_at_exit, (Datum) 0);
	registered = true;
	held_database = database;
	pids = fm_shmem_database_hold(database);
	foreach(cell, pids)
		(void) kill(lfirst_int(cell), SIGTERM);
	while (pids != NIL && GetCurrentTimestamp() < deadline)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, POLL_MS, FM_WAIT_EVENT);
		ResetLatch(MyLatch);
		pids = fm_shmem_database_pids(database);
	}
}

static void
call_next(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_utility)
		prev_utility(pstmt, query, read_only_tree, context, params, env,
					 dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params,
								env, dest, qc);
}

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	const char *name = fm_shmem_ready() ?
		wanted_database(pstmt->utilityStmt) : NULL;
	Oid			database = name && context == PROCESS_UTILITY_TOPLEVEL ?
		get_database_oid(name, true) : InvalidOid;

	if (changes_connection(pstmt->utilityStmt))
		connection_changed = true;
	if (!OidIsValid(database) ||
		!fm_database_ownercheck(database, GetUserId()))
	{
		call_next(pstmt, query, read_only_tree, context, params, env, dest,
				  qc);
		return;
	}
	PG_TRY();
	{
		empty_database(database);
		call_next(pstmt, query, read_only_tree, context, params, env, dest,
				  qc);
	}
	PG_FINALLY();
	{
		release();
	}
	PG_END_TRY();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && connection_changed &&
		fm_shmem_ready() &&
		fm_shmem_database_generation(MyDatabaseId) != 0)
		fm_shmem_database_changed(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		connection_changed = false;
}

void
fm_dbhook_install(void)
{
	prev_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
	RegisterXactCallback(at_transaction_end, NULL);
}
