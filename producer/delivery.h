/*
 * delivery.h - sending record by record
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Every record accepted here ends in exactly one of the counts delivered,
 * failed or unknown, and in the truth file if it was delivered at a known
 * offset.  Nothing is dropped: a full queue makes the caller wait, a broker
 * outage makes the queue fill up.
 *
 * After a fatal error (the idempotent producer could not tell any more what
 * the broker has) the client is replaced.  Records that certainly did not
 * reach the broker are sent again; those that perhaps did count as unknown and
 * are not, since that might double them.  When new clients keep dying without
 * a single delivery (no right to produce, say), what they held has failed.
 */
#ifndef FM_DELIVERY_H
#define FM_DELIVERY_H

#include "client.h"
#include "truth.h"

/*
 * Called while waiting, to look after everything else.  Returns false to give
 * up waiting.
 */
typedef bool (*FmIdle) (void *arg);

typedef struct FmSaved FmSaved;

typedef struct FmDelivery
{
	FmClient	client;
	FmStats    *stats;
	FmTruth    *truth;
	FmIdle		idle;
	void	   *idle_arg;
	bool		give_up;		/* purged records are lost, not saved */
	int			in_vain;		/* clients made since the last delivery */
	int64_t		rebuilt_at;		/* when the last one was, monotonic */
	FmSaved    *first_saved;	/* to be sent again, oldest first */
	FmSaved   **last_saved;
} FmDelivery;

extern bool fm_delivery_open(FmDelivery *delivery, const FmOptions *opt,
							 FmLink *link, FmStats *stats, FmTruth *truth,
							 char *why, size_t size);

/*
 * Accept a record.  Returns false if it was not accepted: the wait for room
 * was given up (a heartbeat does not wait at all), or the record can never be
 * sent (which is counted as failed).  Either way a twin is no longer the
 * caller's.
 */
extern bool fm_delivery_send(FmDelivery *delivery, const FmRecord *record);

/* Serve delivery reports, waiting up to that long for one. */
extern void fm_delivery_poll(FmDelivery *delivery, int timeout_ms);

/* Records accepted and not yet accounted for. */
extern int	fm_delivery_pending(const FmDelivery *delivery);

/* Send what lingers now, serving reports; waits up to that long. */
extern void fm_delivery_flush(FmDelivery *delivery, int timeout_ms);

/* Account for everything pending without waiting for the broker; close. */
extern void fm_delivery_close(FmDelivery *delivery);

#endif							/* FM_DELIVERY_H */
