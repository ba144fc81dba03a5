/*-------------------------------------------------------------------------
 *
 * publication.h
 *	  What goes out to consumers, as rows of _factorymon.publication.
 *
 * Used by the publisher alone; each function runs in the caller's
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

/* Headers of a message, in this order; see publication.c for their names. */
#define FM_PUBLICATION_HEADERS 7

typedef struct FmPublication
{
	int64		pub_seq;
	int64		timestamp;		/* of its recording, ms since 1970 */
	char	   *key;
	char	   *payload;
	char	   *headers[FM_PUBLICATION_HEADERS];	/* NULL: it has none */
} FmPublication;

extern const char *const fm_publication_header_names[FM_PUBLICATION_HEADERS];

/*
 * fm_publication_number
 *		Give numbers to committed transitions that have none, some thousands at
 *		most, and remember them as rows; count them (kpi.h), and number the
 *		floods that begin or end.
 *
 * Waits for another process that does the same.  The transaction will be
 * flushed to disk when it commits, whatever synchronous_commit says, since what
 * is sent must not be lost afterwards.  Sets *last to the last number ever given;
 * returns how many were given now, which are the last ones up to *last.  To be
 * called again at *clock_at, at the latest; DT_NOEND: when there is something.
 */
extern int64 fm_publication_number(const FmPipeline *pipeline, int64 *last,
								   TimestampTz *clock_at);

/* NOTIFY about [first, last], which takes effect at commit. */
extern void fm_publication_notify(const FmPipeline *pipeline, int64 first,
								  int64 last);

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

/*
 * Is the pipeline's topic for alarms still the one that we know?  Asked in the
 * transaction that numbers, after it did: false if it may have numbered what
 * was committed after a change, and belongs elsewhere.
 */
extern bool fm_publication_goes_there(const FmPipeline *pipeline);

/* Nobody will send what Kafka does not have: there is no topic any more. */
extern void fm_publication_forget(const FmPipeline *pipeline);

/* Kafka has them. */
extern void fm_publication_delivered(const FmPipeline *pipeline,
									 const int64 *numbers, int n);

/*
 * Kafka did not take them, which counts as an attempt, or (not refused) they
 * were sent, and an error came meanwhile instead of an answer.
 */
extern void fm_publication_failed(const FmPipeline *pipeline,
								  const int64 *numbers, int n, bool refused,
								  const char *error);

#endif							/* FM_PUBLICATION_H */
