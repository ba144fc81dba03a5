/*-------------------------------------------------------------------------
 *
 * publisher.h
 *	  The process that sends alarms to Kafka and to listeners: what its parts
 *	  share.
 *
 * publisher.c is the process and its loop, publisher_queue.c what is on its
 * way to Kafka, publisher_key.c the keys of that, publication.c and delivery.c
 * the rows behind it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PUBLISHER_H
#define FM_PUBLISHER_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "consumer.h"
#include "publication.h"
#include "sender.h"
#include "shmem.h"

/*
 * Messages that may wait in memory for Kafka; the rest waits in the table, and
 * has to be read from there.  A sensor's go out one round trip after the other,
 * so where few sensors have much to tell most of this waits.
 */
#define FM_PUBLISHER_WINDOW 4000

typedef enum FmMailState
{
	FM_MAIL_WAITING,			/* to be sent, not before retry_at */
	FM_MAIL_SENT,				/* given to the client */
	FM_MAIL_CONFIRMED,			/* Kafka has it: to be marked in its row */
	FM_MAIL_REFUSED				/* Kafka did not take it: likewise */
} FmMailState;

/* A key of messages in the window. */
typedef struct FmMailKey
{
	int			nmail;			/* that many */
	uint64		met;			/* the last walk over the window that met it,
								 * in a way that is the walk's affair */
	char		text[FLEXIBLE_ARRAY_MEMBER];
} FmMailKey;

typedef struct FmMail
{
	FmPublication publication;
	FmMailKey  *key;
	FmMailState state;
	TimestampTz retry_at;		/* 0: at once */
	int			delay;			/* ms, of the last refusal; 0: none; what its
								 * key has behind it waits in the table */
	bool		noted;			/* there may be a row that tells what became of
								 * it so far */
} FmMail;

typedef struct FmPublisher
{
	MemoryContext context;		/* lives as long as the process */
	FmPipeline *pipeline;
	FmConsumerConfig config;	/* how to reach Kafka */
	uint64		options_fingerprint;
	uint64		seen_generation;	/* of the database's configuration */
	FmSender   *sender;			/* NULL: none is open */
	TimestampTz open_at;		/* not before this */
	int			open_delay;		/* ms; 0 after a confirmation */
	FmMail		mail[FM_PUBLISHER_WINDOW];	/* by pub_seq */
	int			nmail;
	uint64		walks;			/* over the window that told keys apart */
	int64		loaded;			/* pub_seq up to which rows were read, but those
								 * of keys that are refused */
	bool		more;			/* there may be rows behind that */
	int64		known;			/* if not more: the number up to which there
								 * are none */
	int64		delivered;		/* as fm_publication_delivered_seq() */
	char		refusal[FM_KAFKA_ERROR_LEN];	/* of what is REFUSED */
	/* errors about the connection */
	char		error[FM_KAFKA_ERROR_LEN];	/* to be noted in rows; "": none */
	FmKafkaCode logged_code;	/* kind of the error logged last, and when */
	TimestampTz logged_at;
	TimestampTz reread_at;		/* as a worker's */
	TimestampTz mark_at;		/* write down what became of messages then; 0:
								 * nothing did */
	TimestampTz configure_at;	/* read the options again then; 0: no need */
	bool		notify_failed;	/* the last NOTIFY did */
	TimestampTz turn_at;		/* when the last turn of the loop began */
	bool		woken;			/* there may be something to number */
	TimestampTz numbered_at;	/* when that was looked for last */
	TimestampTz number_at;		/* not again before */
	TimestampTz clock_at;		/* there is something to do then */
	/* status */
	int			slot;
	uint64		slot_generation;
	FmPublisherInfo info;
	TimestampTz published_at;
} FmPublisher;

/* Parameters of a publisher, in bgw_extra. */
typedef struct FmPublisherParams
{
	Oid			database;
	Oid			owner;			/* role to connect as */
	int16		pipeline_id;
	int			slot;
	uint64		generation;
} FmPublisherParams;

/* publisher.c */
extern PGDLLEXPORT void factorymon_publisher_main(Datum arg);
extern void fm_publisher_error(FmPublisher *publisher, FmKafkaCode code,
							   const char *text);

/* publisher_key.c */

/* The key of a message that comes into the window; and one goes. */
extern FmMailKey *fm_publisher_key_take(FmPublisher *publisher,
										const char *text, int len);
extern void fm_publisher_key_release(FmMailKey *key);

/* publisher_queue.c; transactions of their own */

/* Take what the client has to say. */
extern void fm_publisher_hear(FmPublisher *publisher);

/* Messages of which something is known that their rows do not tell. */
extern int	fm_publisher_unmarked(const FmPublisher *publisher);

/* Write it into the rows. */
extern void fm_publisher_mark(FmPublisher *publisher);

/* Fill the window from the table. */
extern void fm_publisher_load(FmPublisher *publisher);

/*
 * The same with what this process numbers itself, if all before it is there:
 * have a place for it made before the numbers are given, and take it after
 * they have been committed.  What is not taken so will be loaded.
 */
extern void fm_publisher_expect(FmPublisher *publisher, FmHandover *handover);
extern void fm_publisher_take(FmPublisher *publisher,
							  const FmNumbering *numbering,
							  const FmHandover *handover);

/* Give to the client what may be sent. */
extern void fm_publisher_send(FmPublisher *publisher);

/* When a message may be sent again, or the client opened; DT_NOEND: nothing
 * is known. */
extern TimestampTz fm_publisher_next(const FmPublisher *publisher);

#endif							/* FM_PUBLISHER_H */
