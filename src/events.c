/*-------------------------------------------------------------------------
 *
 * events.c
 *	  What the Kafka client has to say, one event after the other.
 *
 * The client never calls us: everything (messages, rebalances, errors, log
 * lines) is a value in its queue, and is taken here, on our thread.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "guc.h"
#include "worker.h"

#define LOG_INTERVAL (60 * USECS_PER_SEC)
#define MAX_EVENTS_A_TURN 20000

/* End of a partition: control records and gaps before it are read too. */
static void
handle_eof(FmWorker *worker, const FmEvent *event)
{
	FmAssigned *assigned = fm_assign_find(worker, event->partition);

	if (!assigned || worker->retrying || worker->fetch_dirty)
		return;
	if (assigned->phase == FM_PHASE_PROVING)
		fm_assign_doubt(worker, assigned, "the last message is not there");
	else if (assigned->phase == FM_PHASE_RUNNING &&
			 event->offset > assigned->next_offset)
		assigned->next_offset = event->offset;
}

/*
 * The client gives no more of this partition, or what it gives may be of
 * another log: look before storing more.
 */
static void
handle_partition_error(FmWorker *worker, const FmEvent *event)
{
	FmAssigned *assigned = fm_assign_find(worker, event->partition);

	if (!assigned)
		return;
	fm_assign_error(worker, assigned, event->text);
	if (assigned->phase != FM_PHASE_RUNNING &&
		assigned->phase != FM_PHASE_PROVING)
		return;
	fm_assign_drop_pending(worker, assigned);
	fm_assign_set_phase(worker, assigned, FM_PHASE_CHECK);
	/* damaged data may be a passing thing: the same again, but not at once */
	if (event->code != FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
		event->code != FM_KAFKA_OFFSET_OUT_OF_RANGE)
		assigned->retry_at = GetCurrentTimestamp() +
			(int64) fm_restart_delay_min * 1000;
}

/*
 * The library words one and the same trouble in many ways (times, counts,
 * addresses), so a kind of error is logged when it is new and then once a
 * minute; the last one is always to be seen in worker_status().
 */
static void
handle_error(FmWorker *worker, const FmEvent *event)
{
	TimestampTz now = GetCurrentTimestamp();

	if (event->code != worker->logged_code ||
		now - worker->logged_at >= LOG_INTERVAL)
	{
		ereport(LOG,
				(errmsg("pipeline \"%s\": %s", worker->pipeline->name,
						event->text)));
		worker->logged_code = event->code;
		worker->logged_at = now;
	}
	strlcpy(worker->info.last_error, event->text,
			sizeof(worker->info.last_error));
	worker->info.last_error_at = now;
}

/* Lines of the library's own log: its errors are events already. */
static void
handle_log(FmWorker *worker, const FmEvent *event)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		again = now - worker->library_logged_at < LOG_INTERVAL;

	ereport(event->log_level <= 4 && !again ? LOG : DEBUG1,
			(errmsg_internal("librdkafka: %s", event->text)));
	if (event->log_level <= 4 && !again)
		worker->library_logged_at = now;
}

/*
 * No broker is reachable.  The client says nothing when one is again, so the
 * proofs, which come early now, find out.
 */
static void
handle_disconnect(FmWorker *worker)
{
	worker->disconnected = true;
	for (int i = 0; i < worker->nassigned; i++)
		worker->assigned[i].next_proof_at = GetCurrentTimestamp();
}

static void
handle_committed(FmWorker *worker, const FmEvent *event)
{
	for (int i = 0; i < event->npartitions; i++)
	{
		FmAssigned *assigned = fm_assign_find(worker,
											  event->partitions[i].partition);

		if (assigned && event->code == FM_KAFKA_OK)
			assigned->info.committed_offset = event->partitions[i].offset;
	}
}

static void
handle_event(FmWorker *worker, FmEvent *event)
{
	switch (event->kind)
	{
		case FM_EVENT_MESSAGE:
			worker->disconnected = false;
			fm_collect_message(worker, &event->message);
			break;
		case FM_EVENT_EOF:
			worker->disconnected = false;
			handle_eof(worker, event);
			break;
		case FM_EVENT_ASSIGN:
			fm_assign_partitions(worker, event);
			break;
		case FM_EVENT_REVOKE:
			fm_assign_revoke(worker, event);
			break;
		case FM_EVENT_PARTITION_ERROR:
			handle_partition_error(worker, event);
			break;
		case FM_EVENT_COMMITTED:
			handle_committed(worker, event);
			break;
		case FM_EVENT_ERROR:
			handle_error(worker, event);
			if (event->code == FM_KAFKA_ALL_BROKERS_DOWN)
				handle_disconnect(worker);
			if (event->code == FM_KAFKA_FATAL)
				ereport(ERROR,
						(errcode(FM_ERRCODE_KAFKA),
						 errmsg("Kafka client failed: %s", event->text)));
			break;
		case FM_EVENT_LOG:
			handle_log(worker, event);
			break;
		case FM_EVENT_NONE:
			break;
	}
}

/*
 * Take events until the batch is full or the queue is empty; true if it was
 * emptied.
 */
bool
fm_events_drain(FmWorker *worker)
{
	FmEvent		event;

	fm_consumer_clear_fd(worker->consumer);
	for (int i = 0; i < MAX_EVENTS_A_TURN; i++)
	{
		if (!worker->retrying && fm_batch_full(&worker->batch))
			return false;
		if (!fm_consumer_poll(worker->consumer, &event))
			return true;
		handle_event(worker, &event);
	}
	return false;
}
