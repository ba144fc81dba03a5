/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What consumer, probe and sender share: the room around librdkafka.
 *
 * This is the only header that includes librdkafka, and only
 * client*.c, consumer*.c, probe*.c and sender.c include it.  Everybody else sees
 * consumer.h, which has no type of the library in it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CLIENT_H
#define FM_CLIENT_H

#include <pthread.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "consumer.h"

/*
 * What a queued message costs at least, in bytes: the library keeps some
 * hundreds beside the message itself, which its own bound does not count.
 * (Measured with messages of 330 bytes: 2.3 bytes held for each one of the
 * bound when this was 512.)
 */
#define FM_CLIENT_MESSAGE_PRICE 768

/* A member of a group, one that asks questions, and one that sends. */
typedef enum FmClientKind
{
	FM_CLIENT_CONSUMER,
	FM_CLIENT_PROBE,
	FM_CLIENT_PRODUCER
} FmClientKind;

/*
 * Create a client of that kind; events asked for in the mask arrive on its
 * queues.  NULL and a text if the library refuses a property or a version.
 * *self_waking: the library notices by itself that a full fetch queue was
 * emptied (2.2 and newer), fm_client_wake() is not needed.
 */
extern rd_kafka_t *fm_client_new(FmClientKind kind,
								 const FmConsumerConfig *config,
								 int events, bool *self_waking,
								 char *error, size_t errlen);

/* The configuration of such a client; NULL and a text if refused. */
extern rd_kafka_conf_t *fm_client_conf(FmClientKind kind,
									   const FmConsumerConfig *config,
									   int events, bool *self_waking,
									   char *error, size_t errlen);
extern bool fm_client_uses_oauthbearer(const FmConsumerConfig *config);

/*
 * Destroy in a thread of its own and wait for it at most timeout_ms: the
 * library joins threads that may be stuck in a name look-up.  False: it
 * is still at it.  Nothing made from the client may be in use any more.
 */
extern bool fm_client_destroy(rd_kafka_t *rk, int flags, int timeout_ms);

/* Make every broker thread look at its fetch queues now, not in a second. */
extern void fm_client_wake(rd_kafka_t *rk, const char *username,
						   const char *password);

/* Value of the last property of that name, or NULL. */
extern const char *fm_client_property(const FmConsumerConfig *config,
									  const char *name);

/* Is it a name that Kafka allows?  If not, false and a text. */
extern bool fm_client_check_topic(const char *topic,
								  char *error, size_t errlen);

/* Why a version of the library cannot be used; NULL: it can. */
extern const char *fm_client_version_refusal(int version);

/* What a caller must tell apart; see FmKafkaCode. */
extern FmKafkaCode fm_client_code(rd_kafka_resp_err_t err);

extern int64_t fm_client_digest(const rd_kafka_message_t *record);

/*
 * Start a detached thread with all signals blocked, counted by
 * fm_kafka_wait_threads().  False: the system gives none.
 */
extern bool fm_client_start_thread(void (*body) (void *), void *arg);

/* printf into a fixed buffer; a NULL buffer is allowed. */
extern void fm_client_format(char *buf, size_t len, const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* Milliseconds of the monotonic clock, and what is left until then (>= 0). */
extern int64_t fm_client_now(void);
extern int	fm_client_remaining(int64_t deadline);

/* A condition variable on the monotonic clock; wait until then at most. */
extern void fm_client_cond_init(pthread_cond_t *cond);
extern int	fm_client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
								int64_t deadline);

/* A pipe whose both ends neither block nor survive exec; -1 on failure. */
extern int	fm_client_pipe(int fds[2]);
extern void fm_client_drain(int fd);

#endif							/* FM_CLIENT_H */
