/*
 * brokercmd.h - commands to the embedded broker
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A command is one line of words; its answer is any number of lines, then
 * "ok" or "error: ..." on a line of its own.  The same commands come from
 * standard input and from the control socket.
 */
#ifndef FM_BROKERCMD_H
#define FM_BROKERCMD_H

#include "buf.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>

typedef struct FmTopic
{
	char	   *name;
	int			partitions;
} FmTopic;

typedef struct FmCluster
{
	rd_kafka_t *rk;				/* owner of the mock cluster, does no I/O */
	rd_kafka_mock_cluster_t *mock;
	int			brokers;
	bool	   *down;			/* by broker, [0] unused */
	FmTopic    *topics;			/* that we created */
	int			n_topics;
	bool		quit;			/* somebody said so */
} FmCluster;

/* false: could not be made, and why. */
extern bool fm_cluster_open(FmCluster *cluster, int brokers, bool verbose,
							char *why, size_t size);
extern void fm_cluster_close(FmCluster *cluster);

/* NULL, or what is wrong with such a topic. */
extern const char *fm_topic_check(const char *name, int partitions,
								  int replication, int brokers);

/* Create a topic; returns NULL or what is wrong. */
extern const char *fm_cluster_create_topic(FmCluster *cluster,
										   const char *name, int partitions,
										   int replication);

/* Run one command, appending the answer.  Modifies the line. */
extern void fm_cluster_command(FmCluster *cluster, char *line, FmBuf *answer);

/* The commands, for --help. */
extern void fm_cluster_help(FmBuf *answer);

#endif							/* FM_BROKERCMD_H */
