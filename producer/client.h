/*
 * client.h - a librdkafka producer, and what we know of its connection
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The producer has one or two of these: one that sends record by record
 * (delivery.c), one that sends in transactions (transaction.c).  They share an
 * FmLink, where errors are counted and said once, and FmStats.
 *
 * All callbacks run in the main thread, from fm_client_poll and the library
 * calls that serve them (flush, commit, abort); only the log callback does
 * not, and it touches nothing.
 */
#ifndef FM_CLIENT_H
#define FM_CLIENT_H

#include "message.h"
#include "options.h"
#include "twin.h"

typedef struct FmStats
{
	uint64_t	sent[FM_KINDS]; /* given to the library */
	uint64_t	delivered[FM_KINDS];	/* confirmed, committed */
	uint64_t	aborted[FM_KINDS];	/* in transactions aborted on purpose */
	uint64_t	failed[FM_KINDS];	/* certainly not in the topic */
	uint64_t	unknown[FM_KINDS];	/* perhaps in the topic */
	uint64_t	unlocated;		/* of delivered: without an offset */
	uint64_t	committed_transactions;
	uint64_t	aborted_transactions;	/* on purpose */
	uint64_t	repeated_transactions;	/* after an error */
	uint64_t	rebuilt;		/* clients, after a fatal error */
} FmStats;

/* Sum over everything but heartbeats. */
extern uint64_t fm_stats_sum(const uint64_t *by_kind);

typedef enum FmConnection
{
	FM_CONNECTING,
	FM_UP,
	FM_DOWN
} FmConnection;

#define FM_LINK_SAID 16

typedef struct FmLink
{
	FmConnection state;
	uint64_t	errors;			/* reported by the library */
	int64_t		last_error;		/* when, monotonic */
	int			said[FM_LINK_SAID]; /* errors not worth another line */
	int			n_said;
} FmLink;

extern const char *fm_link_state(const FmLink *link);

/* Tell the user about an error, once until the connection recovers. */
extern void fm_link_complain(FmLink *link, rd_kafka_resp_err_t err,
							 const char *what, const char *detail);

typedef struct FmRecord
{
	FmKind		kind;
	const char *key;			/* NULL: none */
	size_t		keylen;
	const void *value;			/* NULL: a tombstone */
	size_t		len;
	int64_t		timestamp;		/* milliseconds, 0: now */
	FmTwin	   *twin;			/* shared with its copy, NULL: there is none */
} FmRecord;

/* What a partition's last delivery reports were like: see offset_known. */
typedef struct FmOffsets
{
	int64_t    *next;			/* by partition: offset that would be false */
	int32_t		n;
} FmOffsets;

typedef struct FmClient FmClient;

/*
 * Called once per record.  offset is -1 where the broker has the record but
 * did not say where.
 */
typedef void (*FmDelivered) (FmClient *client, const rd_kafka_message_t *msg,
							 int64_t offset);

struct FmClient
{
	const FmOptions *opt;
	FmLink	   *link;
	FmDelivered delivered;
	void	   *owner;			/* for the callback */
	rd_kafka_t *rk;				/* NULL while closed */
	rd_kafka_topic_t *topic;
	FmOffsets	offsets;
};

/*
 * Create the library's client, transactional if an id is given.  On failure
 * returns false and leaves a message without secrets.
 */
extern bool fm_client_open(FmClient *client, const char *transactional_id,
						   char *why, size_t size);

/* Records without a delivery report so far get none any more. */
extern void fm_client_close(FmClient *client);

/* Queue a copy of the record; the opaque pointer comes back in its report. */
extern rd_kafka_resp_err_t fm_client_send(FmClient *client,
										  const FmRecord *record,
										  void *opaque);

/* The code of the client's fatal error, or RD_KAFKA_RESP_ERR_NO_ERROR. */
extern rd_kafka_resp_err_t fm_client_fatal(const FmClient *client);

/* Records queued or in flight. */
extern int	fm_client_queue(const FmClient *client);

#endif							/* FM_CLIENT_H */
