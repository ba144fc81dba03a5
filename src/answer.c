/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What operators asked of alarms (request.c), and shelving that is over:
 *	  done by the owner of the stream.
 *
 * The owner is the only writer of its alarms.  It takes requests in between
 * batches, in a transaction of its own behind the same fence as a batch, so
 * they are answered in any phase in which it has the stream's fold, also while
 * the pipeline is paused, Kafka is away, or a batch cannot be stored.  Each
 * request has a subtransaction: an error of data refuses that one.
 *
 * A request is looked for when the database's configuration has changed, which
 * whoever inserts one makes happen at commit, and when a stream is taken.
 *
 * Timed shelving ends by the clock only where nothing is waiting in Kafka:
 * else the readings that come next have the time in them (lifecycle.c).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "guc.h"
#include "pipeline_internal.h"
#include "silence.h"
#include "worker.h"

/* Requests taken in by one transaction. */
#define MAX_REQUESTS	32

/* How long to wait after a transaction of this kind failed, or for a lock. */
#define RETRY_DELAY		(USECS_PER_SEC)

/* One request, as read. */
typedef struct Request
{
	pg_uuid_t	id;
	int32		sensor_id;
	int			condition;
	bool		known;			/* an action and a condition that we know */
	FmAlarmAct	act;
} Request;

typedef struct ActionName
{
	const char *name;
	FmTransitionKind kind;
} ActionName;

static const ActionName actions[] = {
	{"acknowledge", FM_TRANSITION_ACKNOWLEDGED},
	{"comment", FM_TRANSITION_COMMENTED},
	{"shelve", FM_TRANSITION_SHELVED},
	{"unshelve", FM_TRANSITION_UNSHELVED},
	{"suppress", FM_TRANSITION_SUPPRESSED},
	{"unsuppress", FM_TRANSITION_UNSUPPRESSED},
	{"take_out_of_service", FM_TRANSITION_OUT_OF_SERVICE},
	{"return_to_service", FM_TRANSITION_IN_SERVICE},
	{"retire", FM_TRANSITION_CLOSED},
	{"reinstate", FM_TRANSITION_REINSTATED},
	{"move", FM_TRANSITION_MOVED},
};

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

static bool
find_action(const char *name, FmTransitionKind *kind)
{
	for (int i = 0; i < lengthof(actions); i++)
	{
		if (strcmp(name, actions[i].name) == 0)
		{
			*kind = actions[i].kind;
			return true;
		}
	}
	return false;
}

static void
read_request(uint64 row, Request *request)
{
	FmAlarmAct *act = &request->act;
	bool		isnull;
	Datum		datum;

	memset(request, 0, sizeof(*request));
	request->id = *DatumGetUUIDP(fm_spi_value(row, 1, &isnull));
	request->sensor_id = fm_spi_int4(row, 2);
	request->condition = fm_condition_find(fm_spi_text(row, 3));
	request->known = request->condition >= 0 &&
		find_action(fm_spi_text(row, 4), &act->kind);
	datum = fm_spi_value(row, 5, &isnull);
	if (!isnull)
		act->event_id = *DatumGetUUIDP(datum);
	datum = fm_spi_value(row, 6, &isnull);
	if (!isnull)
		act->until = DatumGetTimestampTz(datum);
	act->shelving = fm_spi_bool(row, 7) ? FM_SHELVING_ONE_SHOT :
		FM_SHELVING_TIMED;
	act->comment = fm_spi_text(row, 8);
	act->actor = fm_spi_text(row, 9);
	act->cause = FM_CAUSE_OPERATOR;
	/* of the supervisor: see moved.c */
	if (request->known && act->kind == FM_TRANSITION_MOVED)
	{
		act->cause = FM_CAUSE_CLOCK;
		act->actor = NULL;
	}
}

/* Those of a stream that have no answer, oldest first. */
static int
read_requests(int32 stream_id, Request *requests)
{
	FmArgs		args = {0};
	int			n;

	fm_args_int4(&args, stream_id);
	fm_args_int4(&args, MAX_REQUESTS);
	n = (int) fm_args_run(&args, "SELECT request_id, sensor_id, condition,"
						  " action, event_id, until, one_shot, comment,"
						  " actor::text FROM _factorymon.request"
						  " WHERE stream_id = $1 AND answered_at IS NULL"
						  " ORDER BY requested_at, request_id LIMIT $2",
						  SPI_OK_SELECT);
	for (int i = 0; i < n; i++)
		read_request(i, &requests[i]);
	return n;
}

/*
 * Limits of a sensor as it described itself last; those of nobody if it never
 * did.
 */
static const FmLimits *
limits_of(const char *pipeline, int32 sensor_version_id)
{
	FmArgs		args = {0};
	FmSlice		slices[4];
	bool		found;

	(void) fm_limits_refresh();
	fm_args_int4(&args, sensor_version_id);
	found = fm_args_run(&args, "SELECT v.sensor_type, v.zone, v.machine_id,"
						" s.name FROM _factorymon.sensor_version v"
						" JOIN _factorymon.sensor s USING (sensor_id)"
						" WHERE v.sensor_version_id = $1",
						SPI_OK_SELECT) > 0;
	for (int i = 0; i < 4; i++)
	{
		slices[i].data = found ? fm_spi_text(0, i + 1) : "";
		slices[i].len = strlen(slices[i].data);
	}
	return fm_limits_find(pipeline, &slices[0], &slices[1],
						  &slices[2], &slices[3]);
}

/* ----------------------------------------------------------------------
 * Answering
 * ------------------------------------------------------------------- */

static void
write_answer(const Request *request, const char *refusal)
{
	FmArgs		args = {0};

	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&request->id), false);
	fm_args_text(&args, refusal ? "refused" : "done");
	fm_args_text(&args, refusal);
	(void) fm_args_run(&args, "UPDATE _factorymon.request"
					   " SET answered_at = now(), outcome = $2, answer = $3"
					   " WHERE request_id = $1", SPI_OK_UPDATE);
}

/* Is nothing waiting in Kafka that would come before? */
static bool
clock_counts(const FmAssigned *assigned)
{
	return assigned->phase != FM_PHASE_RUNNING ||
		assigned->info.high_watermark <= assigned->row.position;
}

static const char *
do_request(const char *pipeline, FmFold *fold, const Request *request,
		   bool at_end, FmTransitionList *transitions)
{
	const FmLimits *limits;

	if (!request->known)
		return "this version does not know how to do it";
	if (request->act.kind == FM_TRANSITION_SHELVED &&
		request->act.until <= GetCurrentTimestamp())
		return "the time was over before it began";
	if (request->act.kind == FM_TRANSITION_MOVED && !at_end)
		return "readings are waiting in Kafka";
	limits = request->condition == FM_CONDITION_SILENT ?
		fm_silence_limits() :
		limits_of(pipeline, fm_fold_sensor_version(fold,
												   request->sensor_id));
	return fm_fold_act(fold, request->sensor_id, request->condition,
					   &request->act, limits, transitions);
}

/* One request in a subtransaction; an error of data is its answer. */
static void
answer(const char *pipeline, FmFold *fold, const Request *request,
	   bool at_end, FmTransitionList *transitions)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	FmFoldMark	mark = fm_fold_mark(fold);
	int			length = transitions->length;
	char	   *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		write_answer(request, do_request(pipeline, fold, request, at_end,
										 transitions));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *data;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		if (!fm_is_data_error(data))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		fm_fold_rollback(fold, mark);
		fm_transitions_truncate(transitions, length);
		error = data->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		write_answer(request, error);
}

/* What the clock ends. */
static void
end_shelving(const char *pipeline, FmFold *fold,
			 FmTransitionList *transitions)
{
	FmAlarmAct	act = {
		.kind = FM_TRANSITION_UNSHELVED,
		.cause = FM_CAUSE_CLOCK
	};
	TimestampTz now = GetCurrentTimestamp();
	int			next = 0;
	int32		sensor_id;
	int			condition;

	while (fm_fold_shelved_until(fold, now, &next, &sensor_id, &condition))
		(void) fm_fold_act(fold, sensor_id, condition, &act,
						   condition == FM_CONDITION_SILENT ?
						   fm_silence_limits() :
						   limits_of(pipeline,
									 fm_fold_sensor_version(fold, sensor_id)),
						   transitions);
}

/*
 * fm_answer_stream
 *		Answer the requests about a stream, and end shelving that is over if
 *		clock_counts, in the transaction of whoever owns the stream and has
 *		locked its row.  at_end: nothing of it is waiting in Kafka.  Returns
 *		whether there may be more.
 */
bool
fm_answer_stream(const char *pipeline, FmFold *fold, int32 stream_id,
				 bool clock_counts, bool at_end,
				 FmTransitionList *transitions)
{
	Request		requests[MAX_REQUESTS];
	int			n = read_requests(stream_id, requests);

	for (int i = 0; i < n; i++)
		answer(pipeline, fold, &requests[i], at_end, transitions);
	if (clock_counts)
		end_shelving(pipeline, fold, transitions);
	return n == MAX_REQUESTS;
}

/* The transitions of one stream, whose row is locked, and what came of them. */
static void
write_transitions(FmWorker *worker, FmFold *fold, FmPosition *row,
				  FmTransitionList *transitions)
{
	fm_transitions_number(transitions, transitions->length, row->stream_id,
						  &row->out_seq);
	fm_position_set_out_seq(row->stream_id, row->out_seq);
	fm_transitions_insert(worker->pipeline->id, transitions,
						  transitions->length);
	fm_alarms_store(fold, transitions, transitions->length);
	worker->info.transitions += transitions->length;
}

/*
 * What operators want to last follows a sensor to the streams that it comes
 * through: what blocks its alarms elsewhere is asked for here, too, once for
 * each sensor that the fold has come to know.  Alarms about which such a request
 * is pending, here or there, are left alone, and looked at again: whoever made
 * it made one for each stream that was known.  So is what was refused here of
 * late, or looking again would ask for it again and again.  A sensor that was
 * reinstated meanwhile is not retired.
 */
#define LASTING(request) \
	request ".action NOT IN ('acknowledge', 'comment', 'move')"

#define TO_FOLLOW \
	" FROM _factorymon.lasting_request l" \
	" JOIN _factorymon.stream s USING (stream_id)" \
	" WHERE s.pipeline_id = $2 AND s.stream_id <> $1" \
	" AND s.retired_at IS NULL" \
	" AND NOT EXISTS (SELECT FROM _factorymon.lasting_request m" \
	" WHERE m.stream_id = $1 AND m.sensor_id = l.sensor_id" \
	" AND m.condition = l.condition AND m.action = l.action)" \
	" AND NOT EXISTS (SELECT FROM _factorymon.request r" \
	" WHERE r.stream_id IN ($1, l.stream_id)" \
	" AND r.sensor_id = l.sensor_id AND r.condition = l.condition" \
	" AND r.answered_at IS NULL AND " LASTING("r") ")" \
	" AND NOT EXISTS (SELECT FROM _factorymon.request r" \
	" WHERE r.stream_id = $1 AND r.sensor_id = l.sensor_id" \
	" AND r.condition = l.condition AND r.action = l.action" \
	" AND r.outcome = 'refused'" \
	" AND r.answered_at > now() - interval '1 hour')" \
	" AND (l.action <> 'retire' OR EXISTS (SELECT FROM _factorymon.sensor n" \
	" WHERE n.sensor_id = l.sensor_id AND n.retired_at IS NOT NULL))"

/* Ask the same for one sensor here. */
static void
follow_sensor(FmArgs *args)
{
	(void) fm_args_run(args, "INSERT INTO _factorymon.request (stream_id,"
					   " sensor_id, condition, action, until, one_shot,"
					   " comment, actor)"
					   " SELECT DISTINCT ON (l.condition, l.action)"
					   " $1, l.sensor_id, l.condition, l.action, l.until,"
					   " false, l.comment, l.actor" TO_FOLLOW
					   " AND l.sensor_id = $3"
					   " ORDER BY l.condition, l.action, l.until DESC",
					   SPI_OK_INSERT);
}

/*
 * Sensors that the fold has come to know and of which something lasting is
 * pending in any stream: what becomes of it is not known yet.
 */
static bool
must_follow_again(const FmAssigned *assigned, FmArgs *args)
{
	int			n = (int)
		fm_args_run(args, "SELECT DISTINCT r.sensor_id"
					" FROM _factorymon.request r"
					" JOIN _factorymon.stream s USING (stream_id)"
					" WHERE s.pipeline_id = $2"
					" AND s.kafka_partition >= 0 AND s.retired_at IS NULL"
					" AND r.answered_at IS NULL AND " LASTING("r"),
					SPI_OK_SELECT);

	for (int i = 0; i < n; i++)
	{
		if (fm_fold_is_later(assigned->fold, fm_spi_int4(i, 1),
							 assigned->followed))
			return true;
	}
	return false;
}

/* Are there sensors that were not looked at, or have to be once more? */
static bool
is_to_follow(const FmAssigned *assigned)
{
	return fm_fold_sensor_count(assigned->fold) != assigned->followed;
}

static void
follow_operators(FmWorker *worker, FmAssigned *assigned)
{
	int64		known = fm_fold_sensor_count(assigned->fold);
	TimestampTz now = GetCurrentTimestamp();
	FmOwnerScope scope;
	FmArgs		args = {0};
	int32	   *sensors;
	bool		again;
	int			n;

	if (!is_to_follow(assigned) || assigned->follow_at > now)
		return;
	fm_worker_begin(&scope);
	fm_args_int4(&args, assigned->row.stream_id);
	fm_args_int2(&args, worker->pipeline->id);
	/* first: what is answered in between is found by the next query */
	again = must_follow_again(assigned, &args);
	n = (int) fm_args_run(&args, "SELECT DISTINCT l.sensor_id" TO_FOLLOW,
						  SPI_OK_SELECT);
	sensors = palloc(Max(n, 1) * sizeof(int32));
	for (int i = 0; i < n; i++)
		sensors[i] = fm_spi_int4(i, 1);
	fm_args_int4(&args, 0);
	for (int i = 0; i < n; i++)
	{
		args.values[2] = Int32GetDatum(sensors[i]);
		if (!fm_fold_is_later(assigned->fold, sensors[i], assigned->followed))
			continue;
		follow_sensor(&args);
		assigned->has_requests = true;
	}
	fm_worker_commit(&scope);
	if (again)
		assigned->follow_at = now + RETRY_DELAY;
	else
		assigned->followed = known;
}

/* Does anything wait for its owner, as far as is known? */
static bool
is_due(const FmAssigned *assigned, TimestampTz now)
{
	return assigned->has_requests || assigned->next_unshelving <= now;
}

/*
 * Everything that waits for one stream, in a transaction.  Returns whether to
 * come back: somebody holds its row, or there is more.
 */
static bool
answer_stream(FmWorker *worker, FmAssigned *assigned,
			  volatile bool *committing)
{
	FmOwnerScope scope;
	FmTransitionList transitions;
	FmPosition	row;
	bool		found;
	bool		more = false;

	follow_operators(worker, assigned);
	if (!is_due(assigned, GetCurrentTimestamp()))
		return false;
	fm_worker_begin(&scope);
	fm_position_lock(&assigned->row.stream_id, 1, &row, &found);
	if (found && row.epoch == assigned->row.epoch &&
		row.position == assigned->row.position)
	{
		fm_transitions_init(&transitions, CurrentMemoryContext);
		more = fm_answer_stream(worker->pipeline->name, assigned->fold,
								row.stream_id, clock_counts(assigned),
								assigned->phase == FM_PHASE_RUNNING &&
								clock_counts(assigned), &transitions);
		write_transitions(worker, assigned->fold, &row, &transitions);
	}
	*committing = true;
	fm_worker_commit(&scope);
	fm_fold_commit(assigned->fold);
	fm_shmem_publisher_wake(MyDatabaseId, worker->pipeline->id);
	assigned->next_unshelving = fm_fold_next_unshelving(assigned->fold);
	return !found || more;
}

/* ----------------------------------------------------------------------
 * Another log
 * ------------------------------------------------------------------- */

/*
 * What operators want to last goes on in another stream: their own words, as
 * requests to its owner, ahead of those that still wait.  (Who asked is known from
 * the request that did it, unless that was deleted since.)
 */
static void
pass_on(int32 stream_id, int32 new_stream_id)
{
	FmArgs		args = {0};

	fm_args_int4(&args, stream_id);
	fm_args_int4(&args, new_stream_id);
	(void) fm_args_run(&args, "INSERT INTO _factorymon.request (stream_id,"
					   " sensor_id, condition, action, until, one_shot,"
					   " comment, actor, requested_at)"
					   " SELECT $2, sensor_id, condition, action, until,"
					   " false, comment, actor, coalesce("
					   "(SELECT min(r.requested_at) - interval '1 microsecond'"
					   " FROM _factorymon.request r WHERE r.stream_id = $1"
					   " AND r.answered_at IS NULL), clock_timestamp())"
					   " FROM _factorymon.lasting_request"
					   " WHERE stream_id = $1", SPI_OK_INSERT);
	(void) fm_args_run(&args, "UPDATE _factorymon.request"
					   " SET stream_id = $2"
					   " WHERE stream_id = $1 AND answered_at IS NULL",
					   SPI_OK_UPDATE);
}

/*
 * fm_answer_moved
 *		The stream is retired, another one takes its place: in the caller's
 *		transaction, which has its row locked, its alarms end.
 *
 * The fold is of no use afterwards, whatever becomes of the transaction.
 */
void
fm_answer_moved(FmWorker *worker, FmAssigned *assigned, FmPosition *row,
				int32 new_stream_id)
{
	FmAlarmAct	act = {
		.kind = FM_TRANSITION_MOVED,
		.cause = FM_CAUSE_CLOCK,
		.comment = "another log under the same name"
	};
	FmTransitionList transitions;
	int			next = 0;
	int32		sensor_id;
	int			condition;

	pass_on(row->stream_id, new_stream_id);
	fm_transitions_init(&transitions, CurrentMemoryContext);
	while (fm_fold_next_alarm(assigned->fold, &next, &sensor_id, &condition))
		(void) fm_fold_act(assigned->fold, sensor_id, condition, &act,
						   limits_of(worker->pipeline->name,
									 fm_fold_sensor_version(assigned->fold,
															sensor_id)),
						   &transitions);
	write_transitions(worker, assigned->fold, row, &transitions);
}

/*
 * An error costs a second, and is tried again.  After one at commit nobody
 * knows whether it took place, and no position tells: the stream is taken anew,
 * and with it what its alarms are.
 */
static bool
try_answer_stream(FmWorker *worker, int index)
{
	FmAssigned *assigned = &worker->assigned[index];
	MemoryContext context = CurrentMemoryContext;
	FmFoldMark	mark = fm_fold_mark(assigned->fold);
	volatile bool again = true;
	volatile bool committing = false;

	PG_TRY();
	{
		again = answer_stream(worker, assigned, &committing);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		fm_fold_rollback(assigned->fold, mark);
		fm_worker_error(worker, error->message);
		FreeErrorData(error);
		if (committing)
		{
			fm_batch_drop_stream(&worker->batch, index);
			fm_assign_set_phase(worker, assigned, FM_PHASE_TAKE);
		}
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return again;
}

/*
 * fm_answer_requests
 *		Answer what is due, between two batches.
 */
void
fm_answer_requests(FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->fold == NULL || assigned->phase < FM_PHASE_CHECK ||
			(!is_due(assigned, now) &&
			 (!is_to_follow(assigned) || assigned->follow_at > now)) ||
			assigned->answer_at > now)
			continue;
		CHECK_FOR_INTERRUPTS();
		assigned->has_requests = try_answer_stream(worker, i);
		assigned->answer_at = 0;
		if (assigned->has_requests || assigned->next_unshelving <= now)
			assigned->answer_at = now + RETRY_DELAY;
	}
}

/* When fm_answer_requests() has something to do; DT_NOEND: nothing known. */
TimestampTz
fm_answer_next(const FmWorker *worker)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < worker->nassigned; i++)
	{
		const FmAssigned *assigned = &worker->assigned[i];

		if (assigned->fold == NULL || assigned->phase < FM_PHASE_CHECK)
			continue;
		if (is_to_follow(assigned))
			next = Min(next, Max(assigned->follow_at, assigned->answer_at));
		if (assigned->has_requests)
			next = Min(next, assigned->answer_at);
		else
			next = Min(next, Max(assigned->next_unshelving,
								 assigned->answer_at));
	}
	return next;
}
