/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Sending messages to a topic, and hearing what became of them.
 *
 * Like consumer.h: plain values, no type of the library, nothing longjmps,
 * nothing calls back; what happened is polled.  The client is an idempotent
 * producer that never gives up on a message by itself: a message is confirmed,
 * or refused for good, or the client is lost (FM_SENDER_FATAL), and then every
 * message without an answer has to be sent again by another one.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SENDER_H
#define FM_SENDER_H

#include "consumer.h"

typedef struct FmSender FmSender;

/* A message to be sent; everything is copied. */
typedef struct FmOutgoing
{
	int64_t		id;				/* comes back with its answer */
	const char *key;
	size_t		key_len;
	const char *value;
	size_t		len;
	int64_t		timestamp;		/* ms since 1970 */
	const FmHeader *headers;
	int			nheaders;
} FmOutgoing;

typedef enum FmSenderEventKind
{
	FM_SENDER_NONE = 0,			/* nothing queued */
	FM_SENDER_CONFIRMED,		/* id: the brokers have it */
	FM_SENDER_REFUSED,			/* id, code, text: it was not taken */
	FM_SENDER_ERROR,			/* code, text: about the connection */
	FM_SENDER_FATAL				/* text: the client is of no use any more */
} FmSenderEventKind;

typedef struct FmSenderEvent
{
	FmSenderEventKind kind;
	int64_t		id;
	FmKafkaCode code;
	char		text[FM_KAFKA_ERROR_LEN];
} FmSenderEvent;

/*
 * fm_sender_open
 *		Create a producer for config->topic; group and prefetch are ignored.
 *		Returns NULL and a text if the library refuses.
 */
extern FmSender *fm_sender_open(const FmConsumerConfig *config,
								char *error, size_t errlen);

/* As fm_consumer_fd() and fm_consumer_clear_fd(). */
extern int	fm_sender_fd(FmSender *sender);
extern void fm_sender_clear_fd(FmSender *sender);

/*
 * Hand over one message.  FM_KAFKA_OK: an answer with its id will come, or
 * FM_SENDER_FATAL instead.  Else it was not taken, and why.
 */
extern FmKafkaCode fm_sender_send(FmSender *sender, const FmOutgoing *message,
								  char *error, size_t errlen);

/* Next event; never blocks.  False: FM_SENDER_NONE. */
extern bool fm_sender_poll(FmSender *sender, FmSenderEvent *event);

/*
 * Drop what is not confirmed and destroy the client; waits at most timeout_ms,
 * then lets go (returns false: threads may still be ending).
 */
extern bool fm_sender_close(FmSender *sender, int timeout_ms);

#endif							/* FM_SENDER_H */
