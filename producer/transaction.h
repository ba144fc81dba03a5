/*
 * transaction.h - sending in transactions
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A second client with a transactional id.  Records are collected and sent
 * when there are enough of them for a transaction, or after a second.  Every
 * record accepted ends in exactly one of the counts delivered (its transaction
 * was committed), aborted (aborted on purpose), failed or unknown.
 *
 * The transaction advances in steps of the main loop, none of which blocks for
 * long:
 *
 *	CLOSED --open--> INIT --> IDLE --begin--> PRODUCE --> FLUSH --> COMMIT
 *	   ^                       ^                |           |          |
 *	   |                       |                v           v          |
 *	   |                       +------------- ABORT <------------------+
 *	   +-- fatal error, from anywhere
 *
 * An error that asks for an abort repeats the same records in a new
 * transaction.  A fatal error closes the client; the next one, with the same
 * id, aborts what its predecessor left open, so repeating is safe unless the
 * commit had been asked for: then the records count as unknown.
 */
#ifndef FM_TRANSACTION_H
#define FM_TRANSACTION_H

#include "delivery.h"

typedef enum FmTxnState
{
	FM_TXN_CLOSED,
	FM_TXN_INIT,
	FM_TXN_IDLE,
	FM_TXN_PRODUCE,
	FM_TXN_FLUSH,
	FM_TXN_COMMIT,
	FM_TXN_ABORT
} FmTxnState;

typedef struct FmTxnRecord
{
	FmRecord	record;			/* key and value in a block of its own */
	void	   *block;
	int32_t		partition;
	int64_t		offset;			/* -1 until reported */
	rd_kafka_resp_err_t err;	/* of its delivery, in this attempt */
	int			refused;		/* attempts that ended because of it */
} FmTxnRecord;

typedef struct FmTransactions
{
	FmClient	client;
	FmStats    *stats;
	FmTruth    *truth;
	FmTxnState	state;
	FmRng		rng;			/* which ones are aborted on purpose */
	FmTxnRecord *records;		/* oldest first */
	uint32_t	n;
	uint32_t	cap;
	uint32_t	in_transaction; /* the first so many of them */
	uint32_t	produced;		/* of these, given to the library */
	int64_t		oldest;			/* when the first one came, monotonic */
	int64_t		not_before;		/* back-off, monotonic */
	bool		decided;		/* "on_purpose" holds for this batch */
	bool		on_purpose;		/* to be aborted */
	bool		commit_asked;
	int			mistaken;		/* answers to a commit that were none */
	bool		draining;		/* do not wait for a full transaction */
	int			fenced;			/* how often; part of the id then */
	int			refused;		/* times in a row that INIT failed */
} FmTransactions;

extern void fm_txn_init(FmTransactions *txn, const FmOptions *opt,
						FmLink *link, FmStats *stats, FmTruth *truth);

/* Is there room for one more record? */
extern bool fm_txn_has_room(const FmTransactions *txn);

/* Accept a copy of the record, and its twin; needs room. */
extern void fm_txn_add(FmTransactions *txn, const FmRecord *record);

/*
 * Advance; may block for some tens of milliseconds.  Returns true if there
 * is more to do at once.
 */
extern bool fm_txn_step(FmTransactions *txn);

/* Records accepted and not yet accounted for. */
extern int	fm_txn_pending(const FmTransactions *txn);

/* Account for everything pending without waiting for the broker; close. */
extern void fm_txn_close(FmTransactions *txn);

#endif							/* FM_TRANSACTION_H */
