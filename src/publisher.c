/*-------------------------------------------------------------------------
 *
 * publisher.c
 *	  One process a pipeline that sends its alarms to Kafka and to listeners:
 *	  the process, its connection and its loop.
 *
 * It connects as the pipeline's owner, as workers do, and runs wherever the
 * pipeline runs, also while that is paused: what operators do to alarms goes
 * out too.  Whoever commits something that goes out wakes it.  Then, in this
 * order and in transactions of their own: numbers for what is new
 * (publication.c), NOTIFY, Kafka (publisher_queue.c).  So no batch waits for a
 * listener or for a broker, a broker that is away silences no screen, and a
 * listener that hangs keeps nothing from Kafka.
 *
 * At least once: rows are marked after Kafka has confirmed them, and whatever
 * is not marked is sent (again) by the next process.  Consumers drop what
 * they have by event_id.
 *
 * An unexpected error ends the process, and the supervisor starts another one
 * with back-off.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "factorymon.h"
#include "guc.h"
#include "options.h"
#include "publisher.h"
#include "worker.h"

#define CLOSE_TIMEOUT_MS 3000
/* A wake-up may get lost with the server: look now and then anyway. */
#define MAX_NAP_MS 5000
#define LOG_INTERVAL (60 * USECS_PER_SEC)
#define STATUS_INTERVAL (100 * INT64CONST(1000))
#define CONFIGURE_INTERVAL (10 * USECS_PER_SEC)
#define NUMBERING_TURNS 4
/*
 * Where there is much to do it is done for many events at once: turns begin no
 * faster than this, numbers are given less often if there were many the last
 * time, and what Kafka has confirmed is written down later.  The first event
 * after a pause goes out at once.
 */
#define TURN_INTERVAL (25 * INT64CONST(1000))
#define NUMBERING_INTERVAL (100 * INT64CONST(1000))
#define MANY_NUMBERED 10
#define MARK_DELAY (20 * INT64CONST(1000))
/* What the clock has to do is not urgent. */
#define CLOCK_NAP_MS 100

static FmPublisher *the_publisher = NULL;	/* for before_shmem_exit only */

/* ----------------------------------------------------------------------
 * Status
 * ------------------------------------------------------------------- */

static void
set_state(FmPublisher *publisher, FmPublisherState state)
{
	if (publisher->info.state == state)
		return;
	publisher->info.state = state;
	publisher->info.state_since = GetCurrentTimestamp();
	fm_shmem_publisher_publish(publisher->slot, &publisher->info);
}

/*
 * Trouble with Kafka: seen in the status and in the rows that wait; logged
 * when it is of a new kind, and then once a minute.
 */
void
fm_publisher_error(FmPublisher *publisher, FmKafkaCode code, const char *text)
{
	TimestampTz now = GetCurrentTimestamp();

	if (code != publisher->logged_code ||
		now - publisher->logged_at >= LOG_INTERVAL)
	{
		ereport(LOG,
				(errmsg("publisher of pipeline \"%s\": %s",
						publisher->pipeline->name, text)));
		publisher->logged_code = code;
		publisher->logged_at = now;
		strlcpy(publisher->error, text, sizeof(publisher->error));
	}
	strlcpy(publisher->info.last_error, text,
			sizeof(publisher->info.last_error));
	publisher->info.last_error_at = now;
}

/* Is something that was sent, or should be, not there since an error? */
static FmPublisherState
present_state(const FmPublisher *publisher)
{
	bool		waits = publisher->nmail > 0 &&
		publisher->pipeline->alert_topic != NULL;

	for (int i = 0; i < publisher->nmail; i++)
	{
		if (publisher->mail[i].delay > 0)
			return FM_PUBLISHER_RETRYING;
	}
	return waits && (publisher->sender == NULL ||
					 publisher->logged_code != FM_KAFKA_OK) ?
		FM_PUBLISHER_RETRYING : FM_PUBLISHER_RUNNING;
}

static void
publish_status(FmPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();

	if (publisher->nmail == 0 && publisher->sender != NULL)
		publisher->logged_code = FM_KAFKA_OK;	/* all is well again */
	set_state(publisher, present_state(publisher));
	if (now >= publisher->published_at &&
		now - publisher->published_at < STATUS_INTERVAL)
		return;
	publisher->published_at = now;
	publisher->info.heartbeat_at = now;
	fm_shmem_publisher_publish(publisher->slot, &publisher->info);
}

/* Another one starts with what is configured now. */
static void
leave(FmPublisher *publisher)
{
	set_state(publisher, FM_PUBLISHER_STOPPING);
	fm_publisher_mark(publisher);
	proc_exit(0);
}

/* ----------------------------------------------------------------------
 * Numbers and listeners
 * ------------------------------------------------------------------- */

static void
record_notify_failure(FmPublisher *publisher, const char *error)
{
	FmOwnerScope scope;

	ereport(LOG,
			(errmsg("publisher of pipeline \"%s\" could not NOTIFY: %s",
					publisher->pipeline->name, error)));
	fm_worker_begin(&scope);
	fm_event_record(publisher->pipeline->id, NULL, "notify_failed", NULL, 0,
					error);
	fm_worker_commit(&scope);
}

/*
 * Listeners are told in a transaction whose failure delays nothing: a full
 * queue of notifications makes its commit fail.  A row of failures is one
 * event.
 */
static void
notify(FmPublisher *publisher, const FmNumbering *numbering)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *volatile error = NULL;
	FmOwnerScope scope;

	PG_TRY();
	{
		fm_worker_begin(&scope);
		fm_publication_notify(publisher->pipeline, numbering);
		fm_worker_commit(&scope);
		publisher->info.notified += numbering->n;
	}
	PG_CATCH();
	{
		ErrorData  *data;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		error = data->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (error != NULL && !publisher->notify_failed)
		record_notify_failure(publisher, error);
	publisher->notify_failed = error != NULL;
}

/* Is there something to be numbered, for all we know? */
static bool
is_time_to_number(const FmPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now >= publisher->numbered_at && now < publisher->number_at)
		return false;
	return publisher->woken || now >= publisher->clock_at ||
		now < publisher->numbered_at ||
		now - publisher->numbered_at >= MAX_NAP_MS * INT64CONST(1000);
}

/*
 * Some turns at a time: where something is committed all the time, there is
 * more to do than this.
 */
static void
number(FmPublisher *publisher)
{
	FmNumbering numbering = {
		.context = CurrentMemoryContext,
		.more = true
	};
	int64		n = 0;

	if (!is_time_to_number(publisher))
		return;
	publisher->numbered_at = GetCurrentTimestamp();
	for (int turn = 0; turn < NUMBERING_TURNS && numbering.more; turn++)
	{
		FmOwnerScope scope;
		FmHandover	handover;

		CHECK_FOR_INTERRUPTS();
		fm_publisher_expect(publisher, &handover);
		fm_worker_begin(&scope);
		fm_publication_number(publisher->pipeline, &numbering, &handover);
		fm_worker_commit(&scope);
		publisher->clock_at = numbering.clock_at;
		if (numbering.n == 0)
			continue;
		n += numbering.n;
		publisher->info.numbered += numbering.n;
		fm_publisher_take(publisher, &numbering, &handover);
		notify(publisher, &numbering);
		if (numbering.elsewhere)
			leave(publisher);
		fm_publisher_load(publisher);
		fm_publisher_send(publisher);
	}
	publisher->woken = numbering.more;
	publisher->number_at = publisher->numbered_at +
		(n >= MANY_NUMBERED && !numbering.more ? NUMBERING_INTERVAL : 0);
}

/* ----------------------------------------------------------------------
 * Configuration
 * ------------------------------------------------------------------- */

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Can it go on as it is? */
static bool
same_pipeline(const FmPipeline *old, const FmPipeline *now)
{
	return now != NULL && now->runs_here &&
		strcmp(old->name, now->name) == 0 &&
		strcmp(old->server, now->server) == 0 &&
		strcmp(old->owner, now->owner) == 0 &&
		same_text(old->alert_topic, now->alert_topic);
}

static FmPipeline *
read_pipeline(MemoryContext context, int16 pipeline_id)
{
	MemoryContext old;
	FmPipeline *pipeline;
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	old = MemoryContextSwitchTo(context);
	pipeline = fm_pipeline_load(pipeline_id);
	MemoryContextSwitchTo(old);
	fm_worker_commit(&scope);
	return pipeline;
}

/*
 * How to reach Kafka; NULL, and an error that can be seen, where that cannot be
 * told, because the server or the right to use it is gone.  Numbers and
 * listeners do without.
 */
static FmServerOptions *
read_options(FmPublisher *publisher, MemoryContext context)
{
	MemoryContext outer = CurrentMemoryContext;
	FmServerOptions *volatile options = NULL;
	FmOwnerScope scope;

	PG_TRY();
	{
		MemoryContext old;

		fm_worker_begin(&scope);
		old = MemoryContextSwitchTo(context);
		options = fm_options_load(publisher->pipeline->server,
								  GetSessionUserId());
		MemoryContextSwitchTo(old);
		fm_worker_commit(&scope);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(outer);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(outer);
		options = NULL;
		fm_publisher_error(publisher, FM_KAFKA_AUTHORIZATION,
						   error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(outer);
	return options;
}

/* Leave if what was changed from SQL concerns us. */
static void
apply_configuration(FmPublisher *publisher)
{
	uint64		generation = fm_shmem_database_generation(MyDatabaseId);
	TimestampTz now = GetCurrentTimestamp();
	FmServerOptions *options;

	if (fm_shmem_database_is_held(MyDatabaseId) || !fm_enabled)
		proc_exit(0);
	if (generation == publisher->seen_generation &&
		(publisher->reread_at == 0 || now < publisher->reread_at) &&
		(publisher->configure_at == 0 || now < publisher->configure_at))
		return;
	publisher->reread_at = generation == publisher->seen_generation ? 0 :
		now + FM_REREAD_DELAY;
	publisher->seen_generation = generation;
	if (!same_pipeline(publisher->pipeline,
					   read_pipeline(CurrentMemoryContext,
									 publisher->pipeline->id)))
		leave(publisher);
	options = read_options(publisher, CurrentMemoryContext);
	if (options != NULL &&
		(publisher->configure_at != 0 ||
		 options->fingerprint != publisher->options_fingerprint))
		leave(publisher);
	if (options == NULL)
		publisher->configure_at = now + CONFIGURE_INTERVAL;
}

/* ----------------------------------------------------------------------
 * The loop
 * ------------------------------------------------------------------- */

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

/* Until the next deadline, in milliseconds. */
static long
nap_time(const FmPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = fm_publisher_next(publisher);
	long		nap = MAX_NAP_MS;

	if (publisher->woken)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   publisher->number_at));
	if (next != DT_NOEND)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, next));
	if (publisher->reread_at != 0)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   publisher->reread_at));
	if (publisher->mark_at != 0)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   publisher->mark_at));
	if (publisher->clock_at != DT_NOEND)
		nap = Min(nap, Max(CLOCK_NAP_MS,
						   TimestampDifferenceMilliseconds(now,
														   publisher->clock_at)));
	return nap;
}

/* Wait for the latch or so long, and, if asked for, for the client. */
static void
wait_for_event(FmPublisher *publisher, long nap, bool client)
{
	WaitEventSet *set = fm_create_wait_event_set(3);
	WaitEvent	events[3];
	int			nevents;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (client && publisher->sender != NULL)
		AddWaitEventToSet(set, WL_SOCKET_READABLE,
						  fm_sender_fd(publisher->sender), NULL, NULL);
	nevents = WaitEventSetWait(set, nap, events, lengthof(events),
							   FM_WAIT_EVENT);
	FreeWaitEventSet(set);
	for (int i = 0; i < nevents; i++)
	{
		if ((events[i].events & WL_LATCH_SET) == 0)
			continue;
		ResetLatch(MyLatch);
		publisher->woken = true;
	}
}

/* Wait until there is something to do, and it is time for another turn. */
static void
wait_for_work(FmPublisher *publisher)
{
	wait_for_event(publisher, nap_time(publisher), true);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next = Max(publisher->turn_at + TURN_INTERVAL,
							   publisher->number_at);

		/* (or the clock was set back) */
		if (now >= next || now < publisher->turn_at)
			break;
		service_signals();
		wait_for_event(publisher, TimestampDifferenceMilliseconds(now, next),
					   false);
	}
	publisher->turn_at = GetCurrentTimestamp();
}

/*
 * Write down what became of messages: some time after the first of them, unless
 * there are so many that the window is short of room.
 */
static void
mark(FmPublisher *publisher)
{
	int			unmarked = fm_publisher_unmarked(publisher);
	TimestampTz now = GetCurrentTimestamp();

	if (unmarked == 0 && publisher->error[0] == '\0')
		return;
	if (publisher->mark_at == 0)
		publisher->mark_at = now + MARK_DELAY;
	/* (its delay at most, also where the clock was set back) */
	if (unmarked < FM_PUBLISHER_WINDOW / 4 && now < publisher->mark_at &&
		publisher->mark_at <= now + MARK_DELAY)
		return;
	fm_publisher_mark(publisher);
	publisher->mark_at = 0;
}

static void
run(FmPublisher *publisher)
{
	MemoryContext turn = AllocSetContextCreate(publisher->context,
											   "factorymon turn",
											   ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		MemoryContextSwitchTo(turn);
		MemoryContextReset(turn);
		service_signals();
		apply_configuration(publisher);
		number(publisher);
		fm_publisher_hear(publisher);
		fm_publisher_load(publisher);
		fm_publisher_send(publisher);
		mark(publisher);
		publish_status(publisher);
		wait_for_work(publisher);
	}
}

/* ----------------------------------------------------------------------
 * Start and end
 * ------------------------------------------------------------------- */

static void
close_client(int code, Datum arg)
{
	FmPublisher *publisher = the_publisher;

	if (!publisher)
		return;
	the_publisher = NULL;
	if (publisher->sender)
		(void) fm_sender_close(publisher->sender, CLOSE_TIMEOUT_MS);
	fm_shmem_publisher_release(publisher->slot, publisher->slot_generation);
}

static FmPublisher *
create_publisher(const FmPublisherParams *params)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "factorymon publisher",
												  ALLOCSET_DEFAULT_SIZES);
	FmPublisher *publisher = MemoryContextAllocZero(context,
													sizeof(FmPublisher));

	publisher->context = context;
	publisher->slot = params->slot;
	publisher->slot_generation = params->generation;
	publisher->woken = true;	/* what the one before us left */
	publisher->more = true;
	publisher->info.database = params->database;
	publisher->info.pipeline_id = params->pipeline_id;
	publisher->info.pid = MyProcPid;
	publisher->info.started_at = GetCurrentTimestamp();
	publisher->info.heartbeat_at = publisher->info.started_at;
	publisher->info.state_since = publisher->info.started_at;
	return publisher;
}

static void
configure(FmPublisher *publisher, const FmServerOptions *options)
{
	FmConsumerConfig *config = &publisher->config;
	const FmPipeline *pipeline = publisher->pipeline;

	publisher->options_fingerprint = options->fingerprint;
	config->properties = options->properties;
	config->nproperties = options->nproperties;
	config->topic = pipeline->alert_topic;
	config->client_id = MemoryContextStrdup(publisher->context,
											psprintf("factorymon-%s-publisher",
													 pipeline->name));
}

/*
 * Where the one before us was.  What was to be sent when there was a topic is
 * for nobody now.
 */
static void
take_over(FmPublisher *publisher)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	if (publisher->pipeline->alert_topic == NULL)
		fm_publication_forget(publisher->pipeline);
	publisher->delivered = fm_publication_delivered_seq(publisher->pipeline);
	publisher->loaded = publisher->delivered;
	fm_worker_commit(&scope);
}

/*
 * Statements here find rows by keys, in tables that change all the time and
 * may never have been analyzed: what statistics there are must not make the
 * planner read a whole table for some rows of it, and sort them.
 */
static void
override_planner(void)
{
	SetConfigOption("enable_seqscan", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("enable_bitmapscan", "off", PGC_SUSET, PGC_S_OVERRIDE);
}

void
factorymon_publisher_main(Datum arg)
{
	FmPublisherParams params;
	FmPublisher *publisher;
	FmServerOptions *options;

	memcpy(&params, MyBgworkerEntry->bgw_extra, sizeof(params));
	on_proc_exit(fm_outlive_threads, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!fm_shmem_publisher_attach(params.slot, params.generation))
		proc_exit(0);			/* given up by the supervisor meanwhile */
	publisher = create_publisher(&params);
	the_publisher = publisher;
	before_shmem_exit(close_client, (Datum) 0);
	fm_shmem_publisher_publish(publisher->slot, &publisher->info);

	BackgroundWorkerInitializeConnectionByOid(params.database, params.owner,
											  0);
	fm_worker_override_settings();
	override_planner();
	/* what must last is flushed all the same, see fm_publication_number() */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	publisher->seen_generation = fm_shmem_database_generation(MyDatabaseId);
	publisher->pipeline = read_pipeline(publisher->context,
										params.pipeline_id);
	if (!publisher->pipeline || !publisher->pipeline->runs_here)
		proc_exit(0);
	options = read_options(publisher, publisher->context);
	if (options != NULL)
		configure(publisher, options);
	else
		publisher->configure_at = GetCurrentTimestamp() + CONFIGURE_INTERVAL;
	take_over(publisher);
	pgstat_report_activity(STATE_IDLE, NULL);
	run(publisher);
}
