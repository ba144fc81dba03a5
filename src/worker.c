/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  One ingest worker: the process, its connection and its loop.
 *
 * A worker connects as the pipeline's owner, joins the consumer group and
 * stores what it is assigned.  It waits nowhere but on its latch and the two
 * descriptors that become readable when Kafka's client or the probe has
 * something.  Pause, resume, seek and limits act in place; a changed
 * connection, topic, group, owner or number of workers makes it exit, and the
 * supervisor starts what is needed then.
 *
 * An unexpected error ends the process; the supervisor restarts it with
 * back-off.  Whatever ends it, the client is closed in before_shmem_exit,
 * bounded in time, because library threads that outlive exit() could crash
 * the process, and with it the server.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "options.h"
#include "worker.h"

#define CLOSE_TIMEOUT_MS 3000
#define THREADS_TIMEOUT_MS 2000
#define COPY_INTERVAL (5 * USECS_PER_SEC)
#define MAX_NAP_MS 5000
#define FRONTIER_INTERVAL_MS 1000	/* idle is not silent: say so */
#define PUBLISH_INTERVAL (100 * INT64CONST(1000))
#define USAGE_INTERVAL (2 * USECS_PER_SEC)

static FmWorker *the_worker = NULL;	/* for before_shmem_exit only */

/* ----------------------------------------------------------------------
 * Small transactions and status
 * ------------------------------------------------------------------- */

/*
 * The extension stays until the end of the transaction; if it is gone already,
 * there is nothing left to do here.
 */
static void
hold_extension(void)
{
	Oid			oid = fm_extension_oid();

	if (OidIsValid(oid))
	{
		LockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
		if (fm_extension_oid() == oid)
			return;
	}
	AbortOutOfAnyTransaction();
	proc_exit(0);
}

/*
 * A transaction block, as the extension's owner, with SPI and a snapshot.
 * It is a block so that statements which a distributed table sends to other
 * nodes commit with it and not one by one.  Afterwards the caller is back in
 * its own memory context.  Ends the process if the extension was dropped.
 */
static MemoryContext outer_context = NULL;	/* of the transaction at hand */

void
fm_worker_begin(FmOwnerScope *scope)
{
	outer_context = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	BeginTransactionBlock();
	CommitTransactionCommand();
	StartTransactionCommand();
	hold_extension();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	fm_owner_begin(scope);
}

void
fm_worker_commit(FmOwnerScope *scope)
{
	fm_owner_end(scope);
	PopActiveSnapshot();
	SPI_finish();
	EndTransactionBlock(false);
	CommitTransactionCommand();
	/* a commit leaves us in TopMemoryContext, where nothing is ever freed */
	MemoryContextSwitchTo(outer_context);
	pgstat_report_stat(false);
}

/* Record an event in a transaction of its own. */
void
fm_worker_event(FmWorker *worker, const char *event,
				const int32 *partitions, int npartitions, const char *reason)
{
	MemoryContext context = CurrentMemoryContext;
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	fm_event_record(worker->pipeline->id, worker->info.consumer, event,
					partitions, npartitions, reason);
	fm_worker_commit(&scope);
	MemoryContextSwitchTo(context);
}

/* Remember an error of the worker; the log hears of a new one only. */
void
fm_worker_error(FmWorker *worker, const char *text)
{
	FmWorkerInfo *info = &worker->info;

	if (strncmp(info->last_error, text, sizeof(info->last_error) - 1) != 0)
		ereport(LOG,
				(errmsg("pipeline \"%s\": %s",
						worker->pipeline ? worker->pipeline->name : "?",
						text)));
	strlcpy(info->last_error, text, sizeof(info->last_error));
	info->last_error_at = GetCurrentTimestamp();
}

void
fm_worker_state(FmWorker *worker, FmWorkerState state)
{
	if (worker->info.state == state)
		return;
	worker->info.state = state;
	worker->info.state_since = GetCurrentTimestamp();
	fm_shmem_worker_publish(worker->slot, &worker->info);
}

/* CPU time and resident memory of the process, library threads included. */
static void
read_usage(FmWorkerInfo *info)
{
	struct rusage usage;
	FILE	   *file;
	long		total;
	long		resident;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		info->cpu_seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
			(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	file = fopen("/proc/self/statm", "r");
	if (!file)
		return;
	if (fscanf(file, "%ld %ld", &total, &resident) == 2)
		info->memory_bytes = (int64) resident * sysconf(_SC_PAGESIZE);
	fclose(file);
}

static void
publish_partition(FmWorker *worker, FmAssigned *assigned, TimestampTz now)
{
	FmPartitionInfo *info = &assigned->info;
	int64		low = -1;
	int64		high = -1;
	double		elapsed = (now - assigned->rate_since) / 1e6;

	fm_consumer_watermarks(worker->consumer, assigned->partition, &low,
						   &high);
	if (low >= 0)
		info->low_watermark = low;
	/* cached watermarks are as old as the connection */
	if (high >= 0 && assigned->phase == FM_PHASE_RUNNING &&
		!worker->disconnected)
	{
		info->high_watermark = high;
		info->watermarks_at = now;
		fm_last_seen_end(assigned, high, now);
	}
	if (elapsed >= 1)
	{
		info->messages_per_second = assigned->rate_messages / elapsed;
		assigned->rate_messages = 0;
		assigned->rate_since = now;
	}
	fm_assign_publish(worker, assigned);
}

/*
 * The group's copy of a position is sent after each commit and may get lost:
 * a coordinator that is away, an owner that ended too early.  Where no more
 * messages come nothing else would ever correct it.
 */
static void
repeat_copies(FmWorker *worker)
{
	FmPartitionOffset *offsets = palloc(sizeof(FmPartitionOffset) *
										Max(worker->nassigned, 1));
	int			n = 0;

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if ((assigned->phase != FM_PHASE_RUNNING &&
			 assigned->phase != FM_PHASE_PAUSED) ||
			assigned->info.committed_offset == assigned->row.position)
			continue;
		offsets[n].partition = assigned->partition;
		offsets[n++].offset = assigned->row.position;
	}
	if (n > 0)
		(void) fm_consumer_commit_async(worker->consumer, offsets, n);
	pfree(offsets);
}

static void
publish(FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	FmWorkerInfo *info = &worker->info;

	if (now - worker->published_at < PUBLISH_INTERVAL)
		return;
	worker->published_at = now;
	if (now - worker->usage_at > USAGE_INTERVAL)
	{
		worker->usage_at = now;
		read_usage(info);
	}
	if (now - worker->copied_at > COPY_INTERVAL)
	{
		worker->copied_at = now;
		repeat_copies(worker);
	}
	info->heartbeat_at = now;
	info->sensors = 0;
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		publish_partition(worker, assigned, now);
		if (assigned->fold)
			info->sensors += fm_fold_sensor_count(assigned->fold);
	}
	fm_shmem_worker_publish(worker->slot, info);
}

/* ----------------------------------------------------------------------
 * The loop
 * ------------------------------------------------------------------- */

/* Store now: the queue is empty, the batch full or old, or a retry is due. */
static void
store_if_due(FmWorker *worker, bool drained)
{
	FmBatch    *batch = &worker->batch;
	TimestampTz now = GetCurrentTimestamp();

	if (worker->retrying)
	{
		if (now >= worker->retry_at)
			fm_commit_batch(worker, false);
		return;
	}
	if (batch->nmessages == 0 ? fm_commit_pending(worker) :
		drained || fm_batch_full(batch) ||
		now - batch->started_at >= (int64) fm_batch_max_delay * 1000)
		fm_commit_batch(worker, false);
}

/*
 * Leave because the configuration says so; what is collected is stored if there
 * still is a place for it.
 */
static void
leave(FmWorker *worker, bool dropped, const char *why)
{
	if (why)
		ereport(LOG,
				(errmsg("ingest worker %d of pipeline \"%s\" exits: %s",
						worker->info.worker_number, worker->pipeline->name,
						why)));
	fm_worker_state(worker, FM_WORKER_STOPPING);
	if (!dropped && !worker->retrying)
		fm_commit_batch(worker, true);
	if (!dropped)
		fm_drift_log_flush(worker, true);
	proc_exit(0);
}

/* What of a new configuration cannot be adopted in place? */
static const char *
must_restart(const FmPipeline *old, const FmPipeline *now,
			 int worker_number)
{
	if (!now)
		return "the pipeline was dropped";
	if (!now->runs_here)
		return "the pipeline does not run here any more";
	if (strcmp(old->server, now->server) != 0)
		return "its server changed";
	if (strcmp(old->topic, now->topic) != 0)
		return "its topic changed";
	if (strcmp(old->consumer_group, now->consumer_group) != 0)
		return "its consumer group changed";
	if (strcmp(old->owner, now->owner) != 0)
		return "its owner changed";
	if (strcmp(old->format, now->format) != 0 ||
		strcmp(old->mapping ? old->mapping : "",
			   now->mapping ? now->mapping : "") != 0)
		return "its format changed";
	if (strcmp(old->name, now->name) != 0)
		return "its name changed";
	if (worker_number > now->workers)
		return "fewer workers are wanted";
	return NULL;
}

/* Read pipeline and options into a context that outlives the transaction. */
static FmPipeline *
read_configuration(MemoryContext context, int16 pipeline_id,
				   FmServerOptions **options)
{
	MemoryContext old;
	FmPipeline *pipeline;
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	old = MemoryContextSwitchTo(context);
	pipeline = fm_pipeline_load(pipeline_id);
	*options = pipeline ?
		fm_options_load(pipeline->server, GetSessionUserId()) : NULL;
	MemoryContextSwitchTo(old);
	fm_worker_commit(&scope);
	return pipeline;
}

/* Notice what was changed from SQL. */
static void
apply_configuration(FmWorker *worker)
{
	uint64		generation = fm_shmem_database_generation(MyDatabaseId);
	MemoryContext context;
	FmPipeline *now;
	FmServerOptions *options;
	const char *why;

	if (fm_shmem_database_is_held(MyDatabaseId) || !fm_enabled)
		leave(worker, false, NULL);
	if (generation == worker->seen_generation &&
		(worker->reread_at == 0 || GetCurrentTimestamp() < worker->reread_at))
		return;
	worker->reread_at = generation == worker->seen_generation ? 0 :
		GetCurrentTimestamp() + FM_REREAD_DELAY;
	worker->seen_generation = generation;
	context = AllocSetContextCreate(worker->context, "factorymon pipeline",
									ALLOCSET_SMALL_SIZES);
	now = read_configuration(context, worker->pipeline->id, &options);
	why = must_restart(worker->pipeline, now, worker->info.worker_number);
	if (why)
		leave(worker, now == NULL, why);
	if (options->fingerprint != worker->options_fingerprint)
		leave(worker, false, "the options of its connection changed");
	if (!worker->retrying && worker->batch.nmessages > 0)
		fm_commit_batch(worker, false);
	/* the client was made from the first one, which stays */
	if (worker->pipeline_context)
		MemoryContextDelete(worker->pipeline_context);
	worker->pipeline_context = context;
	worker->pipeline = now;
	/* it may want tables that it did not before */
	worker->ensured_until = 0;
	fm_assign_reread(worker);
	for (int i = 0; i < worker->nassigned; i++)
		worker->assigned[i].has_requests = true;
	if (worker->info.state == FM_WORKER_RUNNING ||
		worker->info.state == FM_WORKER_PAUSED)
		fm_worker_state(worker, now->paused ? FM_WORKER_PAUSED :
						FM_WORKER_RUNNING);
}

/* Milliseconds to sleep: at most MAX_NAP_MS, only ever lowered. */
static long
nap_time(FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = fm_assign_next_deadline(worker);
	long		nap = fm_deadman ? FRONTIER_INTERVAL_MS : MAX_NAP_MS;

	if (worker->retrying)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   worker->retry_at));
	if (due != 0)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, due));
	if (worker->reread_at != 0)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   worker->reread_at));
	due = fm_drift_log_due(worker->drift);
	if (due != DT_NOEND)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, due));
	due = fm_answer_next(worker);
	if (due != DT_NOEND)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, due));
	return Max(nap, 0);
}

/* Wait for the latch, the client, the probe, or the next deadline. */
static void
wait_for_work(FmWorker *worker)
{
	WaitEventSet *set = fm_create_wait_event_set(4);
	WaitEvent	event;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, fm_consumer_fd(worker->consumer),
					  NULL, NULL);
	if (worker->question != FM_ASK_NOTHING)
		AddWaitEventToSet(set, WL_SOCKET_READABLE,
						  fm_probe_fd(worker->probe), NULL, NULL);
	(void) WaitEventSetWait(set, nap_time(worker), &event, 1, FM_WAIT_EVENT);
	FreeWaitEventSet(set);
	ResetLatch(MyLatch);
}

static void
service_signals(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

static void
run(FmWorker *worker)
{
	MemoryContext turn = AllocSetContextCreate(worker->context,
											   "factorymon turn",
											   ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		bool		drained;

		MemoryContextSwitchTo(turn);
		MemoryContextReset(turn);
		service_signals();
		apply_configuration(worker);
		drained = fm_events_drain(worker);
		fm_question_answer(worker);
		fm_assign_advance(worker);
		fm_question_ask(worker);
		fm_answer_requests(worker);
		store_if_due(worker, drained);
		fm_drift_log_flush(worker, false);
		fm_assign_update_fetch(worker);
		publish(worker);
		if (drained)
			wait_for_work(worker);
	}
}

/* ----------------------------------------------------------------------
 * Start and end
 * ------------------------------------------------------------------- */

/*
 * The very last thing before exit(): library threads that are still alive
 * there could crash the process.  If one is stuck, leave without exit()'s own
 * cleaning up; PostgreSQL's is done by now.
 */
void
fm_outlive_threads(int code, Datum arg)
{
	if (!fm_kafka_wait_threads(THREADS_TIMEOUT_MS))
		_exit(code);
}

/* Let go of the client, bounded in time, whatever ends the process. */
static void
close_client(int code, Datum arg)
{
	FmWorker   *worker = the_worker;

	if (!worker)
		return;
	the_worker = NULL;
	for (int i = 0; i < worker->batch.nmessages; i++)
		fm_message_release(&worker->batch.messages[i].message);
	worker->batch.nmessages = 0;
	if (worker->probe)
		fm_probe_close(worker->probe);
	if (worker->consumer)
		(void) fm_consumer_close(worker->consumer, CLOSE_TIMEOUT_MS);
	if (worker->pipeline)
		fm_shmem_partitions_disown(MyDatabaseId, worker->pipeline->id,
								   MyProcPid);
	fm_shmem_worker_release(worker->slot, worker->slot_generation);
}

/*
 * Override what ALTER ROLE or ALTER DATABASE may have put in our way.  Only
 * durability (synchronous_commit) is left to the server's configuration.
 */
void
fm_worker_override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "5s"},	/* a batch waits no longer, then is retried */
		{"idle_in_transaction_session_timeout", "0"},
		{"search_path", "pg_catalog, pg_temp"},
		{"row_security", "off"},
		{"session_replication_role", "origin"},
		{"jit", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/* Wait, visibly, while library and SQL version differ. */
static void
wait_for_version(FmWorker *worker)
{
	for (;;)
	{
		char	   *version;
		bool		same;

		service_signals();
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		version = fm_extension_version();
		if (!version)
			proc_exit(0);
		same = strcmp(version, FM_EXTENSION_VERSION) == 0;
		if (!same)
			fm_worker_error(worker, "the library is of another version than the extension: run ALTER EXTENSION factorymon UPDATE or install the matching library");
		CommitTransactionCommand();
		if (same)
			return;
		fm_worker_state(worker, FM_WORKER_WRONG_VERSION);
		if (fm_shmem_database_is_held(MyDatabaseId))
			proc_exit(0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, MAX_NAP_MS, FM_WAIT_EVENT);
		ResetLatch(MyLatch);
	}
}

static void
open_client(FmWorker *worker, FmServerOptions *options)
{
	FmPipeline *pipeline = worker->pipeline;
	FmConsumerConfig *config = &worker->config;
	char		error[FM_KAFKA_ERROR_LEN];

	worker->options_fingerprint = options->fingerprint;
	config->properties = options->properties;
	config->nproperties = options->nproperties;
	config->topic = pipeline->topic;
	config->group = pipeline->consumer_group;
	config->client_id = MemoryContextStrdup(worker->context,
											psprintf("factorymon-%s-%d", pipeline->name,
													 worker->info.worker_number));
	config->group_instance_id = NULL;
	config->max_queued_bytes = (int64) fm_max_prefetch * 1024;
	worker->consumer = fm_consumer_open(config, error, sizeof(error));
	if (!worker->consumer)
		ereport(ERROR,
				(errcode(FM_ERRCODE_KAFKA),
				 errmsg("could not create a Kafka client for pipeline \"%s\": %s",
						pipeline->name, error)));
	fm_worker_state(worker, FM_WORKER_CONNECTING);
}

static FmWorker *
create_worker(const FmWorkerParams *params)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "factorymon worker",
												  ALLOCSET_DEFAULT_SIZES);
	FmWorker   *worker = MemoryContextAllocZero(context, sizeof(FmWorker));

	worker->context = context;
	worker->slot = params->slot;
	worker->slot_generation = params->generation;
	worker->suspect = -1;
	worker->info.database = params->database;
	worker->info.pipeline_id = params->pipeline_id;
	worker->info.worker_number = params->worker_number;
	worker->info.pid = MyProcPid;
	worker->info.started_at = GetCurrentTimestamp();
	worker->info.heartbeat_at = worker->info.started_at;
	worker->info.state_since = worker->info.started_at;
	fm_batch_init(&worker->batch, context);
	return worker;
}

/* An error here ends the process; its text is what people will look for. */
static void
check_encoding(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("factorymon needs a database with encoding UTF8")));
}

void
factorymon_worker_main(Datum arg)
{
	FmWorkerParams params;
	FmWorker   *worker;
	FmPipeline *pipeline;
	FmServerOptions *options;

	memcpy(&params, MyBgworkerEntry->bgw_extra, sizeof(params));
	on_proc_exit(fm_outlive_threads, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!fm_shmem_worker_attach(params.slot, params.generation))
		proc_exit(0);			/* given up by the supervisor meanwhile */
	worker = create_worker(&params);
	the_worker = worker;
	before_shmem_exit(close_client, (Datum) 0);
	fm_shmem_worker_publish(worker->slot, &worker->info);

	BackgroundWorkerInitializeConnectionByOid(params.database, params.owner,
											  0);
	fm_worker_override_settings();
	check_encoding();
	wait_for_version(worker);
	worker->seen_generation = fm_shmem_database_generation(MyDatabaseId);
	pipeline = read_configuration(worker->context, params.pipeline_id,
								  &options);
	if (!pipeline || !pipeline->runs_here)
		proc_exit(0);
	worker->pipeline = pipeline;
	worker->format = fm_format_open(pipeline->format, pipeline->mapping,
									worker->context);
	worker->drift = fm_drift_log_create(worker->context);
	worker->sensors = fm_sensor_cache_create(worker->context, pipeline->id,
											 pipeline->name);
	open_client(worker, options);
	fm_worker_event(worker, "started", NULL, 0,
					psprintf("worker %d, process %d", params.worker_number,
							 MyProcPid));
	pgstat_report_activity(STATE_IDLE, NULL);
	run(worker);
}
