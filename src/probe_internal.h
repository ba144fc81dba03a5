/*-------------------------------------------------------------------------
 *
 * probe_internal.h
 *	  Between the two halves of the probe: who asks (probe.c) and how each
 *	  kind of question is answered (probe_ask.c and the files named below).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PROBE_INTERNAL_H
#define FM_PROBE_INTERNAL_H

#include "client.h"

/* What is told of a broker and of a topic; for fm_probe_describe(). */
typedef struct FmProbeBroker
{
	int32_t		id;
	char		address[272];	/* host:port, as the cluster advertises it */
	bool		asked;			/* was called on */
	bool		reached;
	char		error[FM_KAFKA_ERROR_LEN];
} FmProbeBroker;

typedef struct FmProbeTopic
{
	char		name[256];
	int			npartitions;
	int			replication;	/* the smallest of its partitions */
	int			leaderless;		/* partitions that nobody leads */
	char		error[128];		/* "": none */
} FmProbeTopic;

/*
 * One client with its thread.  The thread owns the client and, while a
 * question is open (asked and not answered), the question and the answer;
 * otherwise the handle owns them.  mutex protects refs, closed, asked,
 * answered and the use of notify_fd.
 */
typedef struct FmProbeCore
{
	pthread_mutex_t mutex;
	pthread_cond_t cond;		/* any change of the flags below */
	int			refs;			/* the handle, the thread, who waits for it */
	bool		closed;			/* by the handle: stop, tell nobody */
	bool		asked;
	bool		answered;
	bool		gone;			/* by the thread: the client is destroyed */
	int			notify_fd;		/* of the handle; not to be used once closed */

	FmProbeKind kind;
	int64_t		deadline;
	FmProbeAnswer answer;		/* items: the question's own, filled in */

	rd_kafka_t *rk;
	rd_kafka_queue_t *main_queue;	/* errors and logs */
	char	   *topic_name;		/* NULL: all topics */
	rd_kafka_topic_t *topic;
	int32_t		answering;		/* broker that gave metadata last; -1: none */
	int64_t		policy_at;		/* when it was asked for; 0: never */
	bool		policy_known;
	bool		compacted;
	char		login[320];		/* how we log in, in words */

	/* what has gone wrong since something went right, for texts */
	FmKafkaCode last_code;
	char		last_error[FM_KAFKA_ERROR_LEN];
	bool		all_down;		/* every broker known was down */

	/* of the last METADATA question */
	FmProbeBroker *brokers;
	int			nbrokers;
	FmProbeTopic *topics;
	int			ntopics;
} FmProbeCore;

/* Longest wait for what an answer can do without, in ms. */
#define FM_PROBE_OPTIONAL_MS	3000

/* ---- probe.c ---- */

/* True once the question is nobody's any more or its time is up. */
extern bool fm_probe_stopped(FmProbeCore *core);

/* All that follow are for the thread only. */

/* ---- probe_ask.c ---- */

/* Fill core->answer for core->kind. */
extern void fm_probe_answer_question(FmProbeCore *core);

/* What is left of the time, at most that much, at least one. */
extern int	fm_probe_time_slice(FmProbeCore *core, int most);

/* ---- probe_error.c ---- */

/* Take what has been reported since the last look. */
extern void fm_probe_collect_errors(FmProbeCore *core);

/* Brokers answer: what went wrong before does not matter any more. */
extern void fm_probe_forget_errors(FmProbeCore *core);

/* An error that another try may not meet. */
extern bool fm_probe_worth_retrying(FmKafkaCode code);

/* The answer is an error: the library's code, and the best text there is. */
extern void fm_probe_answer_error(FmProbeCore *core, rd_kafka_resp_err_t err);

/* If no item of the answer knows anything, the question has failed. */
extern void fm_probe_judge_items(FmProbeCore *core);

/* ---- probe_metadata.c ---- */

extern void fm_probe_answer_metadata(FmProbeCore *core);

/* Metadata of the topic, or of all; the caller destroys it. */
extern rd_kafka_resp_err_t fm_probe_fetch_metadata(FmProbeCore *core,
								const struct rd_kafka_metadata **metadata);

/* cleanup.policy of the topic into the answer; anew: not from memory. */
extern void fm_probe_learn_policy(FmProbeCore *core, bool anew);

/* ---- probe_offsets.c ---- */

extern void fm_probe_answer_watermarks(FmProbeCore *core);
extern void fm_probe_answer_times(FmProbeCore *core);

/* Low and high of every item.  False: the question has failed as a whole. */
extern bool fm_probe_ask_watermarks(FmProbeCore *core, FmProbeItem *items,
									int nitems);

/* ---- probe_read.c ---- */

extern void fm_probe_answer_read(FmProbeCore *core);

#endif							/* FM_PROBE_INTERNAL_H */
