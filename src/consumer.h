/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  Everything the server side asks of Kafka, except sending alerts.
 *
 * client*.c, consumer*.c, probe*.c and sender.c are the only files that include
 * librdkafka (through client.h).  They include no PostgreSQL header: what
 * they return are plain values, errors are codes and texts, and nothing in
 * them longjmps, so that no library frame is ever jumped over.  Library
 * threads never call back into us: logs, rebalances and errors arrive as
 * events polled by the caller's thread.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CONSUMER_H
#define FM_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_KAFKA_ERROR_LEN 512

/* One librdkafka property; secrets are never echoed in any text. */
typedef struct FmProperty
{
	const char *name;
	const char *value;
} FmProperty;

typedef struct FmConsumerConfig
{
	const FmProperty *properties;	/* of server and user mapping */
	int			nproperties;
	const char *topic;			/* NULL (probes only): all topics */
	const char *group;			/* NULL for probes */
	const char *client_id;
	const char *group_instance_id;	/* NULL: dynamic membership */
	int64_t		max_queued_bytes;	/* bound of the prefetch, bytes */
} FmConsumerConfig;

typedef struct FmConsumer FmConsumer;

/* A partition with an offset; offset -1 means none/unknown. */
typedef struct FmPartitionOffset
{
	int32_t		partition;
	int64_t		offset;
} FmPartitionOffset;

typedef struct FmHeader
{
	const char *name;			/* NUL-terminated */
	const void *value;			/* NULL: null header */
	size_t		len;
} FmHeader;

/*
 * One message, owned by the library until fm_message_release().  A NULL
 * payload is a tombstone; a payload of length 0 that is not NULL is empty.
 */
typedef struct FmMessage
{
	int32_t		partition;
	int64_t		offset;
	int64_t		timestamp;		/* ms since 1970; -1: not available */
	bool		log_append_time;
	const char *payload;
	size_t		len;
	const char *key;
	size_t		key_len;
	void	   *opaque;			/* the library's event */
	void	   *record;			/* the library's message, within the event */
} FmMessage;

typedef enum FmEventKind
{
	FM_EVENT_NONE = 0,			/* nothing queued */
	FM_EVENT_MESSAGE,			/* message; caller owns it now */
	FM_EVENT_EOF,				/* partition, offset: next offset to read */
	FM_EVENT_ASSIGN,			/* partitions: caller must fm_consumer_assign */
	FM_EVENT_REVOKE,			/* partitions: caller must unassign; lost? */
	FM_EVENT_PARTITION_ERROR,	/* partition, offset, code, text */
	FM_EVENT_ERROR,				/* code, text, fatal?, all_down? */
	FM_EVENT_COMMITTED,			/* offsets committed to the group (or code) */
	FM_EVENT_LOG				/* level (syslog), text */
} FmEventKind;

/* What a caller must tell apart; everything else is FM_KAFKA_OTHER. */
typedef enum FmKafkaCode
{
	FM_KAFKA_OK = 0,
	FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	FM_KAFKA_OFFSET_OUT_OF_RANGE,	/* auto.offset.reset=error fired */
	FM_KAFKA_BAD_DATA,			/* a record that cannot be read */
	FM_KAFKA_ALL_BROKERS_DOWN,
	FM_KAFKA_TRANSPORT,			/* no connection, or no leader, at the moment */
	FM_KAFKA_AUTHENTICATION,
	FM_KAFKA_AUTHORIZATION,
	FM_KAFKA_MAX_POLL_EXCEEDED,
	FM_KAFKA_FATAL,				/* instance unusable (fenced static member) */
	FM_KAFKA_TIMED_OUT,
	FM_KAFKA_OTHER
} FmKafkaCode;

typedef struct FmEvent
{
	FmEventKind kind;
	FmMessage	message;
	int32_t		partition;
	int64_t		offset;
	FmPartitionOffset *partitions;	/* valid until the next poll */
	int			npartitions;
	FmKafkaCode code;
	int			log_level;
	bool		assignment_lost;
	char		text[FM_KAFKA_ERROR_LEN];
} FmEvent;

/*
 * Check one property: is it a known librdkafka property and does the library
 * accept the value?  Returns false and a text that names the property but
 * never a secret's value.
 */
extern bool fm_kafka_check_property(const char *name, const char *value,
									char *error, size_t errlen);

/*
 * Why a property is nobody's to set ("it ..."), because factorymon sets it
 * itself or because it is dangerous; NULL: it may be set.
 */
extern const char *fm_kafka_property_refusal(const char *name);

/* True if the value of that property must never be shown. */
extern bool fm_kafka_property_is_secret(const char *name);

/* True if a list of assignors has none but "range" and "roundrobin". */
extern bool fm_kafka_assignors_are_eager(const char *value);

/* Version of the library in use, e.g. 0x020002ff, and as text. */
extern int	fm_kafka_version(void);
extern const char *fm_kafka_version_text(void);

/*
 * fm_consumer_open
 *		Create a group consumer subscribed to config->topic.
 *
 * Sets what correctness rests on over anything in properties: automatic
 * commits and stores off, auto.offset.reset=error, enable.partition.eof,
 * isolation.level=read_committed, eager range/roundrobin assignor,
 * log.queue; and defaults for what speed rests on (see README).
 * Returns NULL and a text if the library refuses.
 */
extern FmConsumer *fm_consumer_open(const FmConsumerConfig *config,
									char *error, size_t errlen);

/*
 * A file descriptor that becomes readable when the queue of events stops
 * being empty.  It does so once: whoever sleeps on it must have polled until
 * there was nothing left.
 */
extern int	fm_consumer_fd(FmConsumer *consumer);

/* Empty the wake-up pipe; call after waking, before polling. */
extern void fm_consumer_clear_fd(FmConsumer *consumer);

/*
 * Next event; never blocks.  False: FM_EVENT_NONE.  Only the members that the
 * event's kind names are set.
 *
 * ASSIGN is complete: it replaces every assignment before it, even where no
 * REVOKE came in between.  A PARTITION_ERROR with OFFSET_OUT_OF_RANGE or
 * BAD_DATA silences its partition, and so does one with
 * UNKNOWN_TOPIC_OR_PARTITION as a rule: nothing more comes from it until it
 * is assigned again.  With the first two its offset tells where; with
 * OFFSET_OUT_OF_RANGE it may be one of an earlier assignment, but must be
 * answered all the same.
 */
extern bool fm_consumer_poll(FmConsumer *consumer, FmEvent *event);

extern void fm_message_release(FmMessage *message);

/* Headers of a message that is still held; returns how many were written. */
extern int	fm_message_headers(const FmMessage *message, FmHeader *headers,
							   int max_headers);

/*
 * Value of one header (last of that name); false if there is none.
 */
extern bool fm_message_header(const FmMessage *message, const char *name,
							  FmHeader *header);

/*
 * Hash over key, value and headers, length-prefixed, NULL distinct from
 * empty; the same on every machine, so it may be stored.  See question.c.
 */
extern int64_t fm_message_digest(const FmMessage *message);

/*
 * Fetch exactly these partitions from exactly these offsets, replacing what
 * was fetched before: messages of earlier fetches not yet polled are dropped,
 * messages already polled stay valid.  npartitions 0 with after_revoke true
 * answers a REVOKE event, and nothing else does.  An ASSIGN event must be
 * answered too, if by an empty list; afterwards any part of what the group
 * has assigned may be given again at any time, until the next REVOKE.  A
 * partition that the group has not assigned, or no offset, is refused.
 * Returns FM_KAFKA_OK or a code with text.
 */
extern FmKafkaCode fm_consumer_assign(FmConsumer *consumer,
									  const FmPartitionOffset *partitions,
									  int npartitions, bool after_revoke,
									  char *error, size_t errlen);

/*
 * Copy positions to the group in Kafka, asynchronously: for lag tools.  One
 * commit is under way at a time; the newest offsets wait for its result.
 */
extern FmKafkaCode fm_consumer_commit_async(FmConsumer *consumer,
											const FmPartitionOffset *offsets,
											int noffsets);

/*
 * Cached watermarks of an assigned partition, as of the last fetch; -1 where
 * unknown.  high counts open transactions, which the offset of an EOF event
 * and a probe's high do not.
 */
extern void fm_consumer_watermarks(FmConsumer *consumer, int32_t partition,
								   int64_t *low, int64_t *high);

/* Member id within the group, "" while there is none. */
extern void fm_consumer_member_id(FmConsumer *consumer, char *buf, size_t len);

/*
 * Leave the group and destroy the client; waits at most timeout_ms, then
 * lets go (returns false: threads may still be ending).  Every message must
 * have been released.
 */
extern bool fm_consumer_close(FmConsumer *consumer, int timeout_ms);

/*
 * Wait until whatever has been let go of, consumers and probes, is gone.
 * False after timeout_ms: some library thread is still stuck (in a name
 * look-up, as a rule).  For use before exit(), where such threads can crash
 * the process.
 */
extern bool fm_kafka_wait_threads(int timeout_ms);

/* ----------------------------------------------------------------------
 * Probe: questions to the brokers that may take long, asked by a plain
 * thread on a client without a group, so that nobody ever waits except on
 * its latch.  One question in flight at a time.
 * ------------------------------------------------------------------- */
typedef struct FmProbe FmProbe;

typedef enum FmProbeKind
{
	FM_PROBE_METADATA,			/* partition count of the topic; brokers */
	FM_PROBE_WATERMARKS,		/* low/high of each asked partition */
	FM_PROBE_OFFSETS_FOR_TIME,	/* first offset at or after timestamp */
	FM_PROBE_READ				/* first message at or after that offset */
} FmProbeKind;

/* Outputs are -1 where not known; a partition may be asked more than once. */
typedef struct FmProbeItem
{
	int32_t		partition;
	int64_t		offset;			/* in: READ; out: OFFSETS_FOR_TIME (high
								 * watermark where nothing is later) */
	int64_t		timestamp;		/* in: OFFSETS_FOR_TIME; out: READ (ms) */
	int64_t		low;			/* out: WATERMARKS, READ */
	int64_t		high;			/* out: WATERMARKS, READ: end of what can be
								 * read, before open transactions */
	int64_t		digest;			/* out: READ */
	int64_t		found_offset;	/* out: READ, the first message at or after
								 * the asked offset; -1: none below high */
	FmKafkaCode code;			/* per item */
} FmProbeItem;

typedef struct FmProbeAnswer
{
	FmProbeKind kind;
	FmKafkaCode code;			/* OK: items have codes of their own */
	char		text[FM_KAFKA_ERROR_LEN];
	int			npartitions;	/* METADATA: -1 if the topic is unknown */
	int			nbrokers;		/* METADATA */
	bool		compacted;		/* METADATA and READ: cleanup.policy of topic
								 * includes compact (false if not known) */
	bool		policy_known;	/* METADATA and READ: compacted is known */
	FmProbeItem *items;
	int			nitems;
} FmProbeAnswer;

/* group in config is ignored.  NULL and text on refusal. */
extern FmProbe *fm_probe_open(const FmConsumerConfig *config,
							  char *error, size_t errlen);

/*
 * Ask; items are copied.  False if a question is already in flight, or if
 * memory or threads are short.  timeout_ms bounds the whole answer (code
 * FM_KAFKA_TIMED_OUT).
 */
extern bool fm_probe_ask(FmProbe *probe, FmProbeKind kind,
						 const FmProbeItem *items, int nitems,
						 int timeout_ms);

/* Readable when the answer is there; stays so until it is fetched. */
extern int	fm_probe_fd(FmProbe *probe);

/*
 * The answer, or NULL if not there yet; valid until the next ask or close.
 * If the library is stuck, a call well after the timeout gives up on it and
 * answers FM_KAFKA_TIMED_OUT, though the descriptor says nothing: so do not
 * sleep on the descriptor alone.
 */
extern const FmProbeAnswer *fm_probe_answer(FmProbe *probe);

/* Never blocks for long: an unanswered question is abandoned to its thread,
 * which frees everything when the library lets go. */
extern void fm_probe_close(FmProbe *probe);

/* The same, but wait until all is freed; false after timeout_ms. */
extern bool fm_probe_close_wait(FmProbe *probe, int timeout_ms);

/* One line of check_server(): what was tried, did it work, in words. */
typedef struct FmCheckLine
{
	char		item[280];
	bool		ok;
	char		detail[FM_KAFKA_ERROR_LEN];
} FmCheckLine;

/*
 * An answered FM_PROBE_METADATA question for a person: fills lines (brokers
 * reachable, login, each topic with its partitions).  Returns how many lines
 * there are, which may be more than max.  Of a probe without a topic, whose
 * METADATA question covers all topics and calls on every broker.
 */
extern int	fm_probe_describe(FmProbe *probe, FmCheckLine *lines, int max);

#endif							/* FM_CONSUMER_H */
