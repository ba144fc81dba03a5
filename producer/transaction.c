/*
 * transaction.c - sending in transactions
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See transaction.h for the states.  The library's calls are resumable: one
 * that times out is simply called again, so a short timeout keeps the main
 * loop alive.
 *
 * Before asking for a commit or an abort everything is flushed here.  For the
 * commit, so that "commit asked" means that the end of the transaction may be
 * on the wire; for the abort, because Kafka 4 answers INVALID_TXN_STATE (fatal)
 * to the end of a transaction of which it has not seen a single record.
 */
#include "transaction.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_MS 50				/* longest a library call may block */
#define BACK_OFF (FM_SECOND / 2)	/* after a fatal error */
#define MAX_WAIT FM_SECOND		/* for a transaction to fill up */
#define MAX_REFUSED 3			/* then a record is at fault by itself */
#define MAX_MISTAKEN 100		/* then it is no mistake of the library */

static void
on_delivered(FmClient *client, const rd_kafka_message_t *msg, int64_t offset)
{
	FmTransactions *txn = client->owner;
	size_t		i = (uintptr_t) msg->_private - 1;

	if (i >= txn->in_transaction)
		return;
	txn->records[i].partition = msg->partition;
	txn->records[i].offset = offset;
	txn->records[i].err = msg->err;
}

void
fm_txn_init(FmTransactions *txn, const FmOptions *opt, FmLink *link,
			FmStats *stats, FmTruth *truth)
{
	memset(txn, 0, sizeof(*txn));
	txn->client.opt = opt;
	txn->client.link = link;
	txn->client.delivered = on_delivered;
	txn->client.owner = txn;
	txn->stats = stats;
	txn->truth = truth;
	txn->rng = fm_rng_make(opt->fleet.seed, UINT64_C(0x7478));
}

bool
fm_txn_has_room(const FmTransactions *txn)
{
	return txn->n < 2 * txn->client.opt->transaction_size;
}

void
fm_txn_add(FmTransactions *txn, const FmRecord *record)
{
	FmTxnRecord *r;
	char	   *bytes = fm_xmalloc(record->keylen + record->len);

	if (txn->n == txn->cap)
	{
		txn->cap = txn->cap ? 2 * txn->cap : 256;
		txn->records = fm_xrealloc(txn->records, txn->cap *
								   sizeof(FmTxnRecord));
	}
	if (txn->n == 0)
		txn->oldest = fm_clock_mono();
	r = &txn->records[txn->n++];
	memset(r, 0, sizeof(*r));
	r->record = *record;
	r->block = bytes;
	if (record->key)
		r->record.key = memcpy(bytes, record->key, record->keylen);
	if (record->value)
		r->record.value = memcpy(bytes + record->keylen, record->value,
								 record->len);
	txn->stats->sent[record->kind]++;
}

static void
free_record(FmTxnRecord *r)
{
	fm_twin_release(r->record.twin);
	free(r->block);
}

/* The records of the transaction are accounted for: forget them. */
static void
forget(FmTransactions *txn, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free_record(&txn->records[i]);
	txn->n -= count;
	if (txn->n > 0)
		memmove(txn->records, txn->records + count,
				txn->n * sizeof(FmTxnRecord));
	txn->in_transaction = 0;
	txn->decided = false;
	txn->oldest = fm_clock_mono();
}

static void
count_committed(FmTransactions *txn)
{
	for (uint32_t i = 0; i < txn->in_transaction; i++)
	{
		const FmTxnRecord *r = &txn->records[i];
		FmKind		kind;

		kind = fm_truth_add(txn->truth, r->partition, r->offset,
							r->record.kind, r->record.twin, r->record.value,
							r->record.len);
		txn->stats->delivered[kind]++;
		txn->stats->unlocated += r->offset < 0;
	}
	txn->stats->committed_transactions++;
	forget(txn, txn->in_transaction);
}

static void
count_all(FmTransactions *txn, uint64_t *by_kind)
{
	for (uint32_t i = 0; i < txn->in_transaction; i++)
		by_kind[txn->records[i].record.kind]++;
	forget(txn, txn->in_transaction);
}

/* Errors that a record, or its topic, brings upon itself. */
static bool
is_refusal(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
		case RD_KAFKA_RESP_ERR_INVALID_RECORD:
		case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
		case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
			return true;
		default:
			return false;
	}
}

/*
 * Take out the records that were refused time after time: without them the
 * others can be committed.
 */
static void
drop_refused(FmTransactions *txn)
{
	uint32_t	kept = 0;

	for (uint32_t i = 0; i < txn->n; i++)
	{
		FmTxnRecord *r = &txn->records[i];

		if (i < txn->in_transaction && is_refusal(r->err) &&
			++r->refused >= MAX_REFUSED)
		{
			fm_link_complain(txn->client.link, r->err, "not delivered", NULL);
			txn->stats->failed[r->record.kind]++;
			free_record(r);
		}
		else
			txn->records[kept++] = *r;
	}
	txn->n = kept;
}

/* The transaction is gone, its records will be sent again. */
static void
repeat(FmTransactions *txn)
{
	drop_refused(txn);
	txn->in_transaction = 0;
	txn->stats->repeated_transactions++;
	txn->not_before = fm_clock_mono() + BACK_OFF / 2;
	txn->state = txn->client.rk ? FM_TXN_IDLE : FM_TXN_CLOSED;
}

/* The client is of no use any more. */
static void
close_client(FmTransactions *txn)
{
	fm_client_close(&txn->client);
	txn->stats->rebuilt++;
	txn->state = FM_TXN_CLOSED;
	if (txn->in_transaction > 0 && txn->commit_asked)
		count_all(txn, txn->stats->unknown);
	else if (txn->in_transaction > 0)
		repeat(txn);
	txn->not_before = fm_clock_mono() + BACK_OFF;
}

/*
 * What an error means for the state, which stays as it is if the same call is
 * to be made again.  Consumes the error.
 */
static void
handle_error(FmTransactions *txn, rd_kafka_error_t *error, const char *what)
{
	rd_kafka_resp_err_t err = rd_kafka_error_code(error);
	bool		fatal = rd_kafka_error_is_fatal(error) ||
		fm_client_fatal(&txn->client) != RD_KAFKA_RESP_ERR_NO_ERROR;
	bool		again = !fatal && rd_kafka_error_is_retriable(error);
	bool		abort = !fatal && !again &&
		rd_kafka_error_txn_requires_abort(error);
	rd_kafka_resp_err_t cause = fm_client_fatal(&txn->client);

	if (!again || err != RD_KAFKA_RESP_ERR__TIMED_OUT)
		fm_link_complain(txn->client.link, err, what,
						 rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	if (again)
	{
		if (err != RD_KAFKA_RESP_ERR__TIMED_OUT)	/* came at once */
			txn->not_before = fm_clock_mono() + BACK_OFF / 5;
		return;
	}
	if (abort && txn->state != FM_TXN_ABORT)
	{
		txn->on_purpose = false;
		txn->state = FM_TXN_ABORT;
		return;
	}
	if (cause == RD_KAFKA_RESP_ERR__FENCED ||
		cause == RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
		txn->fenced++;			/* somebody else uses our id */
	if (txn->state == FM_TXN_INIT && ++txn->refused >= MAX_REFUSED)
	{
		/* no transactions here, or not for us: say so instead of waiting */
		txn->in_transaction = txn->n;
		count_all(txn, txn->stats->failed);
	}
	close_client(txn);
}

static void
step_open(FmTransactions *txn)
{
	char		why[512];
	char		id[300];

	snprintf(id, sizeof(id), txn->fenced ? "%s-%d" : "%s",
			 txn->client.opt->transactional_id, txn->fenced);
	if (!fm_client_open(&txn->client, id, why, sizeof(why)))
	{
		fprintf(stderr, "factorymon-producer: %s\n", why);
		exit(FM_EXIT_UNDELIVERED);
	}
	txn->state = FM_TXN_INIT;
}

static void
step_init(FmTransactions *txn)
{
	rd_kafka_error_t *error;

	error = rd_kafka_init_transactions(txn->client.rk, STEP_MS);
	if (error)
	{
		handle_error(txn, error, "init transactions");
		return;
	}
	txn->refused = 0;
	txn->state = FM_TXN_IDLE;
}

static bool
step_begin(FmTransactions *txn)
{
	uint32_t	size = txn->client.opt->transaction_size;
	rd_kafka_error_t *error;

	if (txn->n == 0 || (txn->n < size && !txn->draining &&
						fm_clock_mono() - txn->oldest < MAX_WAIT))
		return false;
	error = rd_kafka_begin_transaction(txn->client.rk);
	if (error)
	{
		handle_error(txn, error, "begin transaction");
		return false;
	}
	if (!txn->decided)
		txn->on_purpose = fm_rng_chance(&txn->rng,
										txn->client.opt->abort_share);
	txn->decided = true;
	txn->commit_asked = false;
	txn->mistaken = 0;
	txn->in_transaction = txn->n < size ? txn->n : size;
	txn->produced = 0;
	for (uint32_t i = 0; i < txn->in_transaction; i++)
	{
		txn->records[i].offset = -1;
		txn->records[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	txn->state = FM_TXN_PRODUCE;
	return true;
}

static bool
step_produce(FmTransactions *txn)
{
	while (txn->produced < txn->in_transaction)
	{
		FmTxnRecord *r = &txn->records[txn->produced];
		rd_kafka_resp_err_t err;

		err = fm_client_send(&txn->client, &r->record,
							 (void *) ((uintptr_t) txn->produced + 1));
		if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		{
			rd_kafka_poll(txn->client.rk, STEP_MS);
			return false;
		}
		if (err == RD_KAFKA_RESP_ERR__FATAL)
		{
			close_client(txn);
			return false;
		}
		if (err == RD_KAFKA_RESP_ERR__STATE)
			break;				/* the transaction failed meanwhile */
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			r->err = err;		/* too large, say: it alone is at fault */
			r->refused = MAX_REFUSED;
			if (!is_refusal(err))
			{
				txn->state = FM_TXN_FLUSH;	/* no idea: abort, try again */
				r->refused = 0;
				return true;
			}
		}
		txn->produced++;
	}
	txn->state = FM_TXN_FLUSH;
	return true;
}

static bool
step_flush(FmTransactions *txn)
{
	rd_kafka_resp_err_t err = rd_kafka_flush(txn->client.rk, STEP_MS);

	if (fm_client_fatal(&txn->client))
	{
		close_client(txn);
		return false;
	}
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		err != RD_KAFKA_RESP_ERR__TIMED_OUT)
		fm_link_complain(txn->client.link, err, "flush", NULL);
	if (fm_client_queue(&txn->client) > 0)
		return false;
	txn->state = txn->on_purpose ? FM_TXN_ABORT : FM_TXN_COMMIT;
	if (txn->produced < txn->in_transaction)
		txn->state = FM_TXN_ABORT, txn->on_purpose = false;
	for (uint32_t i = 0; i < txn->in_transaction; i++)
		if (txn->records[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
			txn->state = FM_TXN_ABORT, txn->on_purpose = false;
	return true;
}

/*
 * librdkafka (2.0.2 at least) may take its late answer to a call that had timed
 * out for the answer to the next one.  It finds itself still committing then,
 * says that this is the wrong state, and goes on: the same call, made again at
 * once, waits for the outcome.
 */
static bool
is_mistaken(FmTransactions *txn, const rd_kafka_error_t *error)
{
	return rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__STATE &&
		!rd_kafka_error_is_fatal(error) &&
		!rd_kafka_error_txn_requires_abort(error) &&
		!fm_client_fatal(&txn->client) && txn->mistaken++ < MAX_MISTAKEN;
}

static bool
step_commit(FmTransactions *txn)
{
	rd_kafka_error_t *error;

	txn->commit_asked = true;
	error = rd_kafka_commit_transaction(txn->client.rk, STEP_MS);
	if (error && is_mistaken(txn, error))
	{
		rd_kafka_error_destroy(error);
		return true;
	}
	if (error)
	{
		handle_error(txn, error, "commit transaction");
		return txn->state == FM_TXN_ABORT;
	}
	count_committed(txn);
	txn->state = FM_TXN_IDLE;
	return txn->n > 0;
}

static bool
step_abort(FmTransactions *txn)
{
	rd_kafka_error_t *error;

	error = rd_kafka_abort_transaction(txn->client.rk, STEP_MS);
	if (error)
	{
		handle_error(txn, error, "abort transaction");
		return false;
	}
	/* whatever was asked before, the broker agreed that it is aborted */
	if (txn->on_purpose)
	{
		txn->stats->aborted_transactions++;
		count_all(txn, txn->stats->aborted);
		txn->state = FM_TXN_IDLE;
		return txn->n > 0;
	}
	repeat(txn);
	return false;
}

bool
fm_txn_step(FmTransactions *txn)
{
	if (txn->client.rk)
		rd_kafka_poll(txn->client.rk, 0);
	if (fm_clock_mono() < txn->not_before)
		return false;
	switch (txn->state)
	{
		case FM_TXN_CLOSED:
			if (txn->n == 0)
				return false;
			step_open(txn);
			return true;
		case FM_TXN_INIT:
			step_init(txn);
			return txn->state == FM_TXN_IDLE;
		case FM_TXN_IDLE:
			return step_begin(txn);
		case FM_TXN_PRODUCE:
			return step_produce(txn);
		case FM_TXN_FLUSH:
			return step_flush(txn);
		case FM_TXN_COMMIT:
			return step_commit(txn);
		case FM_TXN_ABORT:
			return step_abort(txn);
	}
	return false;
}

int
fm_txn_pending(const FmTransactions *txn)
{
	return (int) txn->n;
}

void
fm_txn_close(FmTransactions *txn)
{
	bool		asked = txn->in_transaction > 0 && txn->commit_asked;

	/*
	 * Without a commit the broker aborts it, when it times out or when the id
	 * is used again.
	 */
	fm_client_close(&txn->client);
	if (asked)
		count_all(txn, txn->stats->unknown);
	txn->in_transaction = txn->n;
	count_all(txn, txn->stats->failed);
	free(txn->records);
}
