/*-------------------------------------------------------------------------
 *
 * question.c
 *	  What is asked of the brokers about partitions, and what follows.
 *
 * Questions take as long as brokers take, so a plain thread asks them
 * (probe.c) and the answer comes as a wake-up; there is one question in
 * flight at a time.  An answer concerns the partitions that are still marked
 * as asked: whatever changed a partition's phase meanwhile took the mark
 * away.
 *
 * The running proof.  While a partition runs, its *anchor* (a message known
 * to belong to the log) is read again every factorymon.proof_interval.  A
 * *candidate* is the last message of some batch whose commit also closed the
 * extent, so that suspicion ends exactly there.  If the anchor is still the
 * same, everything read before the question was asked came from the same
 * log, so the candidate becomes the anchor.
 *
 * The first anchor.  Where there is none, a candidate becomes it at once, and
 * the very commit that stores the next messages stores it with them.  So
 * whatever is stored behind the first batch can be told from another log, by
 * the next worker too: the last message alone would not do, for it may be one
 * of the other log already.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "worker.h"

#define ANSWER_TIMEOUT_MS 10000
#define RETRY_DELAY (2 * USECS_PER_SEC)
#define PROBE_IDLE (10 * USECS_PER_SEC)

/* ----------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------- */

/* The question an assigned partition needs answered now. */
static FmQuestion
needed_question(const FmAssigned *assigned, TimestampTz now)
{
	if (assigned->retry_at > now)
		return FM_ASK_NOTHING;
	switch (assigned->phase)
	{
		case FM_PHASE_RESOLVING:
			return FM_ASK_TOPIC;
		case FM_PHASE_CHECK:
			return FM_ASK_CHECK;
		case FM_PHASE_DOUBT:
			return FM_ASK_DOUBT;
		case FM_PHASE_RESTART:
			return FM_ASK_RESTART;
		case FM_PHASE_RUNNING:
			return assigned->next_proof_at <= now ? FM_ASK_PROOF :
				FM_ASK_NOTHING;
		default:
			return FM_ASK_NOTHING;
	}
}

/* The candidate, if there is one, becomes the anchor; another one is due. */
static void
adopt_candidate(FmAssigned *assigned)
{
	if (assigned->candidate.known)
	{
		assigned->row.anchor = assigned->candidate;
		assigned->new_anchor = assigned->candidate;
	}
	assigned->candidate.known = false;
	assigned->want_candidate = true;
}

/* The same, where the question was asked before there was a candidate. */
static void
adopt_proposed(FmAssigned *assigned)
{
	if (assigned->proposed.known)
		adopt_candidate(assigned);
	else
		assigned->want_candidate = !assigned->candidate.known;
}

static void
find_first_anchors(FmWorker *worker)
{
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->phase == FM_PHASE_RUNNING &&
			!assigned->row.anchor.known && assigned->candidate.known)
			adopt_candidate(assigned);
	}
}

/* Mark a partition as asked and say what about it; false: nothing to ask. */
static bool
fill_item(FmAssigned *assigned, FmQuestion question, FmProbeItem *item)
{
	memset(item, 0, sizeof(*item));
	item->partition = assigned->partition;
	if (question == FM_ASK_DOUBT)
		item->offset = assigned->row.last.offset;
	if (question == FM_ASK_RESTART)
		item->offset = assigned->row.anchor.known ?
			assigned->row.anchor.offset : 0;
	if (question == FM_ASK_PROOF)
	{
		assigned->questioned = assigned->row.anchor;
		assigned->proposed = assigned->candidate;
		if (!assigned->questioned.known)
		{
			assigned->next_proof_at = GetCurrentTimestamp() +
				(int64) fm_proof_interval * 1000;
			return false;
		}
		item->offset = assigned->questioned.offset;
	}
	return true;
}

static FmProbeKind
kind_of(FmQuestion question)
{
	switch (question)
	{
		case FM_ASK_TOPIC:
			return FM_PROBE_METADATA;
		case FM_ASK_CHECK:
			return FM_PROBE_WATERMARKS;
		default:
			return FM_PROBE_READ;
	}
}

static bool
open_probe(FmWorker *worker)
{
	char		error[FM_KAFKA_ERROR_LEN];

	if (!worker->probe)
		worker->probe = fm_probe_open(&worker->config, error, sizeof(error));
	if (!worker->probe)
		fm_worker_error(worker, error);
	return worker->probe != NULL;
}

/* The first question that some partition needs; NOTHING if none does. */
static FmQuestion
pick_question(const FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmQuestion	question = needed_question(&worker->assigned[i], now);

		if (question != FM_ASK_NOTHING)
			return question;
	}
	return FM_ASK_NOTHING;
}

/* It cannot be asked now: come back to it later. */
static void
put_off(FmWorker *worker, FmQuestion question)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (needed_question(assigned, now) != question)
			continue;
		assigned->asked = false;
		if (question == FM_ASK_PROOF)
			assigned->next_proof_at = now + RETRY_DELAY;
		else
			assigned->retry_at = now + RETRY_DELAY;
	}
}

/* Ask one question about all partitions that need it. */
void
fm_question_ask(FmWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	FmQuestion	question;
	FmProbeItem *items;
	int			n = 0;

	find_first_anchors(worker);
	if (worker->question != FM_ASK_NOTHING)
		return;
	question = pick_question(worker);
	if (question == FM_ASK_NOTHING)
	{
		if (worker->probe && now - worker->probe_idle_since > PROBE_IDLE)
			fm_question_drop(worker);
		return;
	}
	if (!open_probe(worker))
	{
		put_off(worker, question);
		return;
	}
	items = palloc(sizeof(FmProbeItem) * Max(worker->nassigned, 1));
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (needed_question(assigned, now) == question &&
			fill_item(assigned, question, &items[n]))
		{
			assigned->asked = true;
			n++;
		}
	}
	if (n > 0 && fm_probe_ask(worker->probe, kind_of(question), items, n,
							  ANSWER_TIMEOUT_MS))
		worker->question = question;
	else if (n > 0)
		put_off(worker, question);
	pfree(items);
}

/* Forget the question and the client that asks it. */
void
fm_question_drop(FmWorker *worker)
{
	if (worker->probe)
		fm_probe_close(worker->probe);
	worker->probe = NULL;
	worker->question = FM_ASK_NOTHING;
	for (int i = 0; i < worker->nassigned; i++)
		worker->assigned[i].asked = false;
}

/* ----------------------------------------------------------------------
 * The start policy
 * ------------------------------------------------------------------- */

/* How many partitions are there: now ask where each of them starts. */
static void
answer_topic(FmWorker *worker, const FmProbeAnswer *answer)
{
	FmPipeline *pipeline = worker->pipeline;
	int			n = answer->npartitions;
	FmProbeItem *items = palloc0(sizeof(FmProbeItem) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		items[i].partition = i;
		items[i].timestamp = pipeline->start_at / 1000 +
			(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
			SECS_PER_DAY * 1000;
	}
	if (fm_probe_ask(worker->probe,
					 pipeline->start_policy == FM_START_TIMESTAMP ?
					 FM_PROBE_OFFSETS_FOR_TIME : FM_PROBE_WATERMARKS,
					 items, n, ANSWER_TIMEOUT_MS))
		worker->question = FM_ASK_START;
	pfree(items);
}

static int64
start_offset(const FmPipeline *pipeline, const FmProbeItem *item)
{
	switch (pipeline->start_policy)
	{
		case FM_START_EARLIEST:
			return item->low;
		case FM_START_LATEST:
			return item->high;
		default:
			return item->offset;
	}
}

/*
 * The start policy is applied once, to all partitions there are, before
 * anything is fetched.  Whoever is second finds the streams made.
 */
static void
answer_start(FmWorker *worker, const FmProbeAnswer *answer)
{
	FmPipeline *pipeline = worker->pipeline;
	FmPartitionOffset *starts = palloc(sizeof(FmPartitionOffset) *
									   Max(answer->nitems, 1));
	FmOwnerScope scope;

	for (int i = 0; i < answer->nitems; i++)
	{
		starts[i].partition = answer->items[i].partition;
		starts[i].offset = start_offset(pipeline, &answer->items[i]);
	}
	fm_worker_begin(&scope);
	fm_position_create_streams(pipeline->id, pipeline->topic, starts,
							   answer->nitems);
	fm_worker_commit(&scope);
	for (int i = 0; i < worker->nassigned; i++)
		if (worker->assigned[i].phase == FM_PHASE_RESOLVING)
			fm_assign_set_phase(worker, &worker->assigned[i], FM_PHASE_NEW);
	pfree(starts);
}

/* ----------------------------------------------------------------------
 * Is the position within the log?
 * ------------------------------------------------------------------- */

/*
 * A person accepted a loss, and there is none: the next one asks again.  If
 * the row is locked or not ours any more, somebody comes by here again.
 */
static void
forget_consent(FmWorker *worker, FmAssigned *assigned)
{
	FmOwnerScope scope;
	FmPosition	row;
	bool		found;

	if (!assigned->row.accept_loss)
		return;
	fm_worker_begin(&scope);
	fm_position_lock(&assigned->row.stream_id, 1, &row, &found);
	if (found && row.epoch == assigned->row.epoch)
	{
		fm_position_stop(row.stream_id, NULL, NULL);
		assigned->row.accept_loss = false;
	}
	fm_worker_commit(&scope);
}

/* Run from the position without proof, and say so once. */
static void
run_unproven(FmWorker *worker, FmAssigned *assigned, const char *why)
{
	fm_worker_event(worker, "unproven", &assigned->partition, 1, why);
	if (!assigned->row.anchor.known)
		forget_consent(worker, assigned);
	assigned->next_offset = assigned->row.position;
	fm_assign_set_phase(worker, assigned, FM_PHASE_RUNNING);
}

/* Messages between the position and the log's start are gone. */
static void
handle_loss(FmWorker *worker, FmAssigned *assigned, int64 low)
{
	FmPipeline *pipeline = worker->pipeline;
	FmOwnerScope scope;
	FmPosition	row;
	char		detail[FM_STATUS_TEXT_LEN];
	bool		go_on;

	snprintf(detail, sizeof(detail),
			 "offsets %lld to %lld are gone: removed before they were read",
			 (long long) assigned->row.position, (long long) low - 1);
	fm_worker_begin(&scope);
	if (!fm_assign_lock(worker, assigned, &row))
	{
		fm_worker_commit(&scope);
		return;
	}
	go_on = pipeline->continue_on_loss || row.accept_loss;
	fm_event_record(pipeline->id, worker->info.consumer, "gap",
					&assigned->partition, 1, detail);
	if (go_on)
		fm_position_skip(pipeline->id, &row, low, detail);
	else
		fm_position_stop(row.stream_id, "gap", detail);
	fm_worker_commit(&scope);

	assigned->row = row;
	fm_assign_error(worker, assigned, detail);
	if (go_on)
		run_unproven(worker, assigned, "after a gap");
	else
		fm_assign_set_phase(worker, assigned, FM_PHASE_STOPPED);
	if (!go_on)
		strlcpy(assigned->info.state_detail, detail, FM_STATUS_TEXT_LEN);
	fm_assign_publish(worker, assigned);
}

static void
answer_check(FmWorker *worker, FmAssigned *assigned, const FmProbeItem *item)
{
	const FmPosition *row = &assigned->row;

	assigned->info.low_watermark = item->low;
	assigned->info.high_watermark = item->high;
	assigned->info.watermarks_at = GetCurrentTimestamp();
	if (row->position > item->high)
		fm_assign_other_log(worker, assigned,
							"the log ends before the position");
	else if (row->position < item->low)
		handle_loss(worker, assigned, item->low);
	else if (!row->last.known)
		run_unproven(worker, assigned, "no message to compare with yet");
	else if (row->last.offset < item->low)
		run_unproven(worker, assigned,
					 "the last message was removed by retention");
	else
		fm_assign_set_phase(worker, assigned, FM_PHASE_PROVING);
}

/* ----------------------------------------------------------------------
 * Doubt, restart, proof
 * ------------------------------------------------------------------- */

static bool
is_same(const FmProbeItem *item, const FmMark *mark)
{
	return item->found_offset == mark->offset &&
		item->timestamp == mark->timestamp && item->digest == mark->digest;
}

/* The last message did not come: retention, compaction, or another log? */
static void
answer_doubt(FmWorker *worker, FmAssigned *assigned, const FmProbeItem *item,
			 bool compacted)
{
	const FmMark *last = &assigned->row.last;

	if (is_same(item, last) || item->low > last->offset)
		fm_assign_set_phase(worker, assigned, FM_PHASE_CHECK);
	else if (item->found_offset != last->offset && compacted)
		run_unproven(worker, assigned,
					 "the last message was removed by compaction");
	else
		fm_assign_other_log(worker, assigned,
							"the last message is not there any more");
}

/* Go on in the new log: behind the anchor if it is still there. */
static void
answer_restart(FmWorker *worker, FmAssigned *assigned,
			   const FmProbeItem *item)
{
	FmPipeline *pipeline = worker->pipeline;
	const FmMark *anchor = &assigned->row.anchor;
	int64		start = anchor->known && is_same(item, anchor) ?
		anchor->offset + 1 : item->low;
	FmOwnerScope scope;
	FmPosition	row;
	char		reason[FM_STATUS_TEXT_LEN];
	bool		ours;

	snprintf(reason, sizeof(reason),
			 "another log under the same name; going on at %lld",
			 (long long) start);
	fm_worker_begin(&scope);
	ours = fm_assign_lock(worker, assigned, &row);
	if (ours)
	{
		fm_answer_moved(worker, assigned, &row,
						fm_position_new_incarnation(pipeline->id,
													pipeline->topic, &row,
													start, reason));
		fm_event_record(pipeline->id, worker->info.consumer, "incarnation",
						&assigned->partition, 1, reason);
	}
	fm_worker_commit(&scope);
	if (ours)
		fm_assign_set_phase(worker, assigned, FM_PHASE_TAKE);
}

static void
answer_proof(FmWorker *worker, FmAssigned *assigned, const FmProbeItem *item,
			 bool compacted)
{
	const FmMark *mark = &assigned->questioned;
	bool		gone = item->found_offset != mark->offset &&
		(item->low > mark->offset || compacted);

	assigned->next_proof_at = GetCurrentTimestamp() +
		(int64) fm_proof_interval * 1000;
	if (is_same(item, mark))
	{
		/*
		 * So is everything that was read before we asked, but not a
		 * candidate that came since.
		 */
		if (!assigned->proposed.known ||
			assigned->proposed.offset == assigned->candidate.offset)
			adopt_proposed(assigned);
		forget_consent(worker, assigned);
	}
	else if (gone)
		/* nothing to compare with: a candidate becomes the first anchor */
		assigned->row.anchor.known = assigned->new_anchor.known = false;
	else
		fm_assign_other_log(worker, assigned,
							"a message read before is another one now");
}

/* ----------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------- */

static const char *
describe_failure(FmKafkaCode code, const char *text)
{
	if (code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
		return "the topic or partition does not exist";
	return text && text[0] ? text : "the brokers did not answer";
}

/* No answer for a partition: come back to it later. */
static void
answer_failed(FmWorker *worker, FmAssigned *assigned, FmKafkaCode code,
			  const char *text)
{
	TimestampTz later = GetCurrentTimestamp() + RETRY_DELAY;

	fm_assign_error(worker, assigned, describe_failure(code, text));
	if (assigned->phase != FM_PHASE_RUNNING)
		assigned->retry_at = later;
	else if (code == FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
	{
		fm_assign_drop_pending(worker, assigned);
		fm_assign_set_phase(worker, assigned, FM_PHASE_CHECK);
		assigned->retry_at = later;
	}
	else
		assigned->next_proof_at = later;
}

static void
answer_one(FmWorker *worker, FmAssigned *assigned, FmQuestion question,
		   const FmProbeAnswer *answer, const FmProbeItem *item)
{
	/* nobody may have told us; a hole then proves nothing */
	bool		may_be_compacted = answer->compacted ||
		!answer->policy_known;

	if (item->code != FM_KAFKA_OK)
		answer_failed(worker, assigned, item->code, answer->text);
	else if (question == FM_ASK_CHECK)
		answer_check(worker, assigned, item);
	else if (question == FM_ASK_DOUBT)
		answer_doubt(worker, assigned, item, may_be_compacted);
	else if (question == FM_ASK_RESTART)
		answer_restart(worker, assigned, item);
	else if (question == FM_ASK_PROOF)
		answer_proof(worker, assigned, item, may_be_compacted);
}

/* The whole question failed, or one of its partitions did at the start. */
static bool
question_failed(FmWorker *worker, FmQuestion question,
				const FmProbeAnswer *answer)
{
	FmKafkaCode code = answer->code;

	if (question == FM_ASK_TOPIC && code == FM_KAFKA_OK &&
		answer->npartitions <= 0)
		code = FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	for (int i = 0; question == FM_ASK_START && code == FM_KAFKA_OK &&
		 i < answer->nitems; i++)
		code = answer->items[i].code;
	if (code == FM_KAFKA_OK)
		return false;
	for (int i = 0; i < worker->nassigned; i++)
	{
		FmAssigned *assigned = &worker->assigned[i];

		if (assigned->asked || (question == FM_ASK_START &&
								assigned->phase == FM_PHASE_RESOLVING))
			answer_failed(worker, assigned, code, answer->text);
	}
	return true;
}

/* Take an answer, if there is one, and act on it. */
void
fm_question_answer(FmWorker *worker)
{
	const FmProbeAnswer *answer;
	FmQuestion	question = worker->question;

	if (question == FM_ASK_NOTHING)
		return;
	answer = fm_probe_answer(worker->probe);
	if (!answer)
		return;
	worker->question = FM_ASK_NOTHING;
	worker->probe_idle_since = GetCurrentTimestamp();
	if (answer->code == FM_KAFKA_OK)
		worker->disconnected = false;
	if (question_failed(worker, question, answer))
		;
	else if (question == FM_ASK_TOPIC)
		answer_topic(worker, answer);
	else if (question == FM_ASK_START)
		answer_start(worker, answer);
	else
		for (int i = 0; i < answer->nitems; i++)
		{
			FmAssigned *assigned = fm_assign_find(worker,
												  answer->items[i].partition);

			if (assigned && assigned->asked)
				answer_one(worker, assigned, question, answer,
						   &answer->items[i]);
		}
	/* a follow-up question keeps its marks */
	for (int i = 0; worker->question == FM_ASK_NOTHING &&
		 i < worker->nassigned; i++)
		worker->assigned[i].asked = false;
}
