/*-------------------------------------------------------------------------
 *
 * child.c
 *	  A background worker that somebody keeps running, with back-off.
 *
 * Children are registered with BGW_NEVER_RESTART: after a crash of the server
 * the postmaster would otherwise restart dead entries beside the new ones
 * that their parent asks for.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "child.h"
#include "guc.h"

/* A run of this length was a good one: the back-off starts anew. */
#define GOOD_RUN (60 * USECS_PER_SEC)

bool
fm_child_is_running(FmChild *child)
{
	pid_t		pid;
	TimestampTz now;

	if (!child->handle)
		return false;
	if (GetBackgroundWorkerPid(child->handle, &pid) != BGWH_STOPPED)
		return true;

	now = GetCurrentTimestamp();
	pfree(child->handle);
	child->handle = NULL;
	if (now - child->started_at >= GOOD_RUN)
		child->delay = 0;
	child->delay = child->delay == 0 ? fm_restart_delay_min :
		Min(child->delay * 2, fm_restart_delay_max);
	child->retry_at = now + (int64) child->delay * 1000;
	return false;
}

bool
fm_child_may_start(const FmChild *child)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz latest = now +
		(int64) Max(fm_restart_delay_min, fm_restart_delay_max) * 1000;

	/* later than any delay from now: the clock was set back */
	return child->handle == NULL &&
		(now >= child->retry_at || child->retry_at > latest);
}

bool
fm_child_start(FmChild *child, const char *function, const char *name,
			   const char *type, Datum arg, const void *extra,
			   size_t extra_len)
{
	BackgroundWorker worker;
	MemoryContext old;
	bool		ok;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = arg;
	strlcpy(worker.bgw_library_name, "factorymon", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	Assert(extra_len <= BGW_EXTRALEN);
	if (extra_len > 0)
		memcpy(worker.bgw_extra, extra, extra_len);

	old = MemoryContextSwitchTo(TopMemoryContext);
	ok = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(old);
	child->started_at = GetCurrentTimestamp();
	if (ok)
	{
		child->shortage_logged = false;
		return true;
	}

	child->handle = NULL;
	child->retry_at = child->started_at +
		(int64) fm_restart_delay_min * 1000;
	if (!child->shortage_logged)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free for %s", name),
				 errhint("Increase max_worker_processes.")));
	child->shortage_logged = true;
	return false;
}

void
fm_child_terminate(FmChild *child)
{
	if (child->handle)
		TerminateBackgroundWorker(child->handle);
}
