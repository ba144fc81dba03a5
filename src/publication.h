/*-------------------------------------------------------------------------
 *
 * publication.h
 *	  What goes out to consumers, as rows of _factorymon.publication.
 *
 * publication.c numbers and writes them, delivery.c follows them on their way
 * to Kafka.  Used by the publisher alone; each function runs in the caller's
 * transaction, switched to the extension's owner, inside SPI.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PUBLICATION_H
#define FM_PUBLICATION_H

#include "postgres.h"

#include "pipeline.h"

/* Headers of a message, in this order; see delivery.c for their names. */
#define FM_PUBLICATION_HEADERS 7

typedef struct FmPublication
{
	int64		pub_seq;
	int64		timestamp;		/* of its recording, ms since 1970 */
	char	   *key;
	int			key_len;
	char	   *payload;
	int			payload_len;
	char	   *headers[FM_PUBLICATION_HEADERS];	/* NULL: it has none */
	char	   *texts;			/* what has all of these; palloc'ed */
	bool		noted;			/* a row tells what became of it so far */
} FmPublication;

extern const char *const fm_publication_header_names[FM_PUBLICATION_HEADERS];

/*
 * What fm_publication_number() hands on, so that nobody need read it back:
 * rows for Kafka, in order, palloc'ed in context.  They are there once the
 * transaction has committed, and nothing before.
 */
typedef struct FmHandover
{
	/* set by the caller */
	int64		after;			/* nothing, if the numbers do not begin behind
								 * this one */
	int			room;			/* that many at most, the first ones */
	MemoryContext context;
	FmPublication *publications;	/* an array of room */
	/* the answer */
	int			n;
	bool		complete;		/* there is nothing else up to the last number
								 * that Kafka should get */
} FmHandover;

/* What fm_publication_number() did. */
typedef struct FmNumbering
{
	/* set by the caller */
	MemoryContext context;		/* of notices; outlives the transaction */
	/* the answer */
	int64		n;				/* numbers given; the last ones up to last */
	int64		last;			/* the last number ever given */
	char	  **notices;		/* what listeners are told of the first ones of
								 * them, in order */
	int			nnotices;
	bool		more;			/* there may be more to be numbered */
	bool		elsewhere;		/* the pipeline's topic for alarms is another
								 * one by now: some of it may belong there */
	TimestampTz clock_at;		/* call it again then, at the latest; DT_NOEND:
								 * when there is something */
} FmNumbering;

/*
 * fm_publication_number
 *		Give numbers to committed transitions that have none, some thousands at
 *		most, and remember them as rows; count them (kpi.h), and number the
 *		floods that begin or end.
 *
 * Waits for another process that does the same.  If it gives any, the
 * transaction will be flushed to disk when it commits, whatever
 * synchronous_commit says, since what is sent must not be lost afterwards.
 */
extern void fm_publication_number(const FmPipeline *pipeline,
								  FmNumbering *numbering,
								  FmHandover *handover);

/* NOTIFY about what was numbered, which takes effect at commit. */
extern void fm_publication_notify(const FmPipeline *pipeline,
								  const FmNumbering *numbering);

/*
 * Read up to limit rows behind number after that Kafka does not have, in
 * order, but for these keys and numbers; palloc'ed in the given context.
 * Returns how many.
 */
extern int	fm_publication_load(const FmPipeline *pipeline, int64 after,
								const char *const *keys, int nkeys,
								const int64 *numbers, int nnumbers,
								int limit, MemoryContext context,
								FmPublication *publications);
extern void fm_publication_free(FmPublication *publication);

/* Nobody will send what Kafka does not have: there is no topic any more. */
extern void fm_publication_forget(const FmPipeline *pipeline);

/*
 * The number up to which Kafka has all that is for it; what is behind it may
 * have been delivered, too.
 */
extern int64 fm_publication_delivered_seq(const FmPipeline *pipeline);

/* False: the pipeline was dropped.  Else it cannot be before the transaction
 * ends, so that what is written of its publications does not outlive it. */
extern bool fm_publication_set_delivered_seq(const FmPipeline *pipeline,
											 int64 pub_seq);

/* Kafka has them. */
extern void fm_publication_delivered(const FmPipeline *pipeline,
									 const int64 *numbers, int n);

/* The same, but cheaper, for what nothing was written down of yet: an error
 * if that is not so. */
extern void fm_publication_delivered_first(const FmPipeline *pipeline,
										   const int64 *numbers, int n);

/*
 * Kafka did not take them, which counts as an attempt, or (not refused) they
 * were sent, and an error came meanwhile instead of an answer.
 */
extern void fm_publication_failed(const FmPipeline *pipeline,
								  const int64 *numbers, int n, bool refused,
								  const char *error);

/*
 * Delete, of all pipelines, what is older than factorymon.alert_retention and
 * not to be sent any more; in the caller's transaction.
 */
extern void fm_publication_expire(void);

#endif							/* FM_PUBLICATION_H */
