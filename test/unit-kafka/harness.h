/*-------------------------------------------------------------------------
 *
 * harness.h
 *	  Checks, a cluster to test against, and a consumer to drive by hand.
 *
 * Only tests may include librdkafka's mock cluster.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "consumer.h"

/* One check: prints "ok N - name" or "not ok N - name". */
extern bool check(bool passed, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* A remark, and the exit code of the program. */
extern void note(const char *format,...)
			__attribute__((format(printf, 1, 2)));
extern int	finish(void);

extern int64_t now_ms(void);
extern void sleep_ms(int ms);

/* ----------------------------------------------------------------------
 * Clusters
 * ------------------------------------------------------------------- */
typedef struct Cluster
{
	char		bootstrap[512];
	rd_kafka_t *producer;		/* owns the mock cluster, too */
	rd_kafka_mock_cluster_t *mock;	/* NULL: real brokers */
} Cluster;

extern void cluster_start(Cluster *cluster, int brokers);
extern void cluster_connect(Cluster *cluster, const char *bootstrap);
extern void cluster_stop(Cluster *cluster);
extern void create_topic(Cluster *cluster, const char *topic, int partitions);

/* One message; NULL key or value is null.  produce_flush() waits for all. */
extern void produce(Cluster *cluster, const char *topic, int32_t partition,
					const char *key, const char *value);
extern void produce_flush(Cluster *cluster);

/* "message 0" ... of one partition, numbered by from. */
extern void produce_numbers(Cluster *cluster, const char *topic,
							int32_t partition, int from, int count);

/* ----------------------------------------------------------------------
 * A consumer driven by hand
 * ------------------------------------------------------------------- */
typedef struct Member
{
	FmConsumer *consumer;
	FmEvent		event;			/* the last one that next_event() returned */
	int			nassigned;		/* by the group */
	int32_t		assigned[64];
	int			nlogs;
	int			nerrors;		/* FM_EVENT_ERROR */
	FmKafkaCode last_code;
	char		last_error[FM_KAFKA_ERROR_LEN];
} Member;

/* A configuration for that cluster, valid until the next call. */
extern FmConsumerConfig *make_config(Cluster *cluster, const char *topic,
									 const char *group);
extern void config_set(FmConsumerConfig *config, const char *name,
					   const char *value);

extern bool member_open(Member *member, FmConsumerConfig *config);

/*
 * Sleep on the descriptor and poll until an event other than log lines and
 * client errors, which are counted; false after the timeout.
 */
extern bool next_event(Member *member, int timeout_ms);

/* next_event() until one of that kind; messages in between are released. */
extern bool await(Member *member, FmEventKind kind, int timeout_ms);

/* Wait for ASSIGN and remember it. */
extern bool await_assign(Member *member, int timeout_ms);

/* Assign n partitions from 0, all at that offset. */
extern FmKafkaCode assign_all(Member *member, int n, int64_t offset);
extern FmKafkaCode assign_one(Member *member, int32_t partition,
							  int64_t offset);
extern FmKafkaCode answer_revoke(Member *member);

/*
 * Read messages until EOF of one partition: checks that offsets rise by one
 * from "from"; returns the offset of the EOF, -1 on a surprise.
 */
extern int64_t read_to_end(Member *member, int32_t partition, int64_t from,
						   int timeout_ms);

/* Wait for the answer of a probe. */
extern const FmProbeAnswer *probe_wait(FmProbe *probe, int timeout_ms);

#endif							/* HARNESS_H */
