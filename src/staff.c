/*-------------------------------------------------------------------------
 *
 * staff.c
 *	  Workers and publishers of the pipelines of a database: started where they
 *	  are missing, ended where there are too many.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "child.h"
#include "guc.h"
#include "publisher.h"
#include "shmem.h"
#include "staff.h"
#include "worker.h"

#define PUBLISHER 0				/* in place of a worker's number */

/* One worker or publisher of one pipeline, running or to be started. */
typedef struct FmStaff
{
	int16		pipeline_id;
	int16		worker_number;	/* from 1; PUBLISHER */
	int			slot;			/* in shared memory; -1: none */
	uint64		generation;
	bool		wanted;
	pid_t		pid;			/* 0: not seen running yet */
	FmChild		child;
	bool		owner_logged;	/* its owner cannot log in: said once */
} FmStaff;

static List *staff = NIL;		/* of FmStaff *, in TopMemoryContext */
static List *ended = NIL;		/* the same: copies, to be told of */
static bool worker_ended = false;	/* look whether it was right to */

static FmStaff *
find_staff(int16 pipeline_id, int16 worker_number)
{
	ListCell   *cell;
	FmStaff    *member;
	MemoryContext old;

	foreach(cell, staff)
	{
		member = lfirst(cell);
		if (member->pipeline_id == pipeline_id &&
			member->worker_number == worker_number)
			return member;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	member = palloc0(sizeof(FmStaff));
	member->pipeline_id = pipeline_id;
	member->worker_number = worker_number;
	member->slot = -1;
	staff = lappend(staff, member);
	MemoryContextSwitchTo(old);
	return member;
}

/*
 * The role a worker connects as.  Background workers refuse roles that may
 * not log in, so say it here, once, instead of failing again and again.
 */
static Oid
usable_owner(const FmPipeline *pipeline, FmStaff *member)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME,
										CStringGetDatum(pipeline->owner));
	Oid			result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_authid role = (Form_pg_authid) GETSTRUCT(tuple);

		if (role->rolcanlogin)
			result = role->oid;
		ReleaseSysCache(tuple);
	}
	if (!OidIsValid(result) && !member->owner_logged)
		ereport(LOG,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("pipeline \"%s\" cannot run: its owner \"%s\" does not exist or is not permitted to log in",
						pipeline->name, pipeline->owner),
				 errhint("Use ALTER ROLE ... LOGIN, or give the pipeline another owner with factorymon.alter_pipeline().")));
	member->owner_logged = !OidIsValid(result);
	return result;
}

static void
release_slot(FmStaff *member)
{
	if (member->slot >= 0 && member->worker_number == PUBLISHER)
		fm_shmem_publisher_release(member->slot, member->generation);
	else if (member->slot >= 0)
		fm_shmem_worker_release(member->slot, member->generation);
	member->slot = -1;
}

static void
start_worker(const FmPipeline *pipeline, FmStaff *member, Oid owner)
{
	FmWorkerParams params;
	char		name[BGW_MAXLEN];

	member->slot = fm_shmem_worker_claim(MyDatabaseId, pipeline->id,
										 member->worker_number,
										 &member->generation);
	if (member->slot < 0)
	{
		if (!member->child.shortage_logged)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no slot is free for worker %d of pipeline \"%s\"",
							member->worker_number, pipeline->name),
					 errhint("Increase factorymon.max_workers and restart the server.")));
		member->child.shortage_logged = true;
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	memset(&params, 0, sizeof(params));
	params.database = MyDatabaseId;
	params.owner = owner;
	params.pipeline_id = pipeline->id;
	params.worker_number = member->worker_number;
	params.slot = member->slot;
	params.generation = member->generation;
	snprintf(name, sizeof(name), "factorymon worker %d of %s",
			 member->worker_number, pipeline->name);
	if (!fm_child_start(&member->child, "factorymon_worker_main", name,
						"factorymon worker", (Datum) 0, &params,
						sizeof(params)))
		release_slot(member);
}

static void
start_publisher(const FmPipeline *pipeline, FmStaff *member, Oid owner)
{
	FmPublisherParams params;
	char		name[BGW_MAXLEN];

	member->slot = fm_shmem_publisher_claim(MyDatabaseId, pipeline->id,
											&member->generation);
	if (member->slot < 0)
	{
		/* there are as many as workers, which complain */
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	memset(&params, 0, sizeof(params));
	params.database = MyDatabaseId;
	params.owner = owner;
	params.pipeline_id = pipeline->id;
	params.slot = member->slot;
	params.generation = member->generation;
	snprintf(name, sizeof(name), "factorymon publisher of %s",
			 pipeline->name);
	if (!fm_child_start(&member->child, "factorymon_publisher_main", name,
						"factorymon publisher", (Datum) 0, &params,
						sizeof(params)))
		release_slot(member);
}

/*
 * Remember that a worker ended that is still wanted: it could not say so itself
 * if it was killed.  This may be called in a transaction, fm_staff_report_ends() is not.
 */
static void
note_end(const FmStaff *member)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	FmStaff    *copy = palloc(sizeof(FmStaff));

	*copy = *member;
	ended = lappend(ended, copy);
	MemoryContextSwitchTo(old);
}

/* Start one worker, or the publisher, if it does not run and may. */
static void
staff_place(const FmPipeline *pipeline, int number)
{
	FmStaff    *member = find_staff(pipeline->id, number);
	bool		was_running = member->child.handle != NULL;
	Oid			owner;

	member->wanted = true;
	if (fm_child_is_running(&member->child))
	{
		(void) GetBackgroundWorkerPid(member->child.handle, &member->pid);
		return;
	}
	worker_ended |= was_running;
	if (was_running && number != PUBLISHER)
		note_end(member);
	member->pid = 0;
	release_slot(member);
	if (!fm_child_may_start(&member->child))
		return;
	owner = usable_owner(pipeline, member);
	if (!OidIsValid(owner))
	{
		/* a change of the configuration ends that, see refresh() */
		member->child.retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_max * 1000;
		return;
	}
	if (number == PUBLISHER)
		start_publisher(pipeline, member, owner);
	else
		start_worker(pipeline, member, owner);
}

/*
 * Bring the workers of every pipeline to the wanted number; then the
 * publishers, which are what can be missed first where the server is short of
 * processes.
 */
void
fm_staff_pipelines(List *pipelines)
{
	ListCell   *cell;

	foreach(cell, pipelines)
	{
		FmPipeline *pipeline = lfirst(cell);

		for (int i = 1; i <= pipeline->workers; i++)
			staff_place(pipeline, i);
	}
	foreach(cell, pipelines)
		staff_place(lfirst(cell), PUBLISHER);
}

/* Those not wanted any more are told to end, and forgotten once they did. */
void
fm_staff_dismiss(void)
{
	ListCell   *cell;

	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		if (member->wanted)
			continue;
		if (fm_child_is_running(&member->child))
		{
			fm_child_terminate(&member->child);
			continue;
		}
		release_slot(member);
		staff = foreach_delete_current(staff, cell);
		pfree(member);
	}
}

/* ----------------------------------------------------------------------
 * What the supervisor asks
 * ------------------------------------------------------------------- */

bool
fm_staff_ended(void)
{
	bool		result = worker_ended;

	worker_ended = false;
	return result;
}

void
fm_staff_forget_wishes(void)
{
	ListCell   *cell;

	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		member->wanted = false;
		if (member->owner_logged)
			member->child.retry_at = 0;
	}
}

TimestampTz
fm_staff_next(void)
{
	TimestampTz result = DT_NOEND;
	ListCell   *cell;

	foreach(cell, staff)
	{
		FmStaff    *member = lfirst(cell);

		if (member->child.handle == NULL && member->wanted)
			result = Min(result, member->child.retry_at);
	}
	return result;
}

void
fm_staff_report_ends(FmPipeline *unused)
{
	while (ended != NIL)
	{
		FmStaff		member = *(FmStaff *) linitial(ended);
		FmOwnerScope scope;

		/* once, whatever comes of it */
		pfree(linitial(ended));
		ended = list_delete_first(ended);
		fm_worker_begin(&scope);
		fm_event_record(member.pipeline_id, NULL, "ended", NULL, 0,
						psprintf(member.pid > 0 ? "worker %d, process %d" :
								 "worker %d", member.worker_number,
								 (int) member.pid));
		fm_worker_commit(&scope);
	}
}

/* One that never starts gives no slot up itself. */
static void
end_member(FmStaff *member)
{
	pid_t		pid;

	fm_child_terminate(&member->child);
	if (member->child.handle != NULL &&
		GetBackgroundWorkerPid(member->child.handle, &pid) ==
		BGWH_NOT_YET_STARTED)
		release_slot(member);
}

void
fm_staff_end(void)
{
	ListCell   *cell;

	foreach(cell, staff)
		end_member(lfirst(cell));
}
