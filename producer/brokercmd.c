/*
 * brokercmd.c - commands to the embedded broker
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Each command is a function and a line in the table at the end.  The library
 * creates topics that it is asked to change and does not know; a typo in a
 * test would go unnoticed, so only topics that were created here (by option or
 * command) can be named.
 *
 * The cluster's own handle makes no connections: requests of ours would eat
 * errors queued for somebody else.  "status" alone uses a client, for as long
 * as it takes.
 */
#include "brokercmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define MAX_WORDS 64
#define STATUS_MS 2000

typedef struct Command
{
	FmCluster  *cluster;
	char	   *word[MAX_WORDS];	/* without the command's own name */
	int			n;
	FmBuf	   *answer;
} Command;

/* ---- the cluster ---- */

static void
discard_log(const rd_kafka_t *rk, int level, const char *facility,
			const char *message)
{
	(void) rk;
	(void) level;
	(void) facility;
	(void) message;
}

bool
fm_cluster_open(FmCluster *cluster, int brokers, bool verbose, char *why,
				size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	memset(cluster, 0, sizeof(*cluster));
	if (verbose)
	{
		if (rd_kafka_conf_set(conf, "debug", "mock", why, size) !=
			RD_KAFKA_CONF_OK)
		{
			rd_kafka_conf_destroy(conf);
			return false;
		}
	}
	else
		rd_kafka_conf_set_log_cb(conf, discard_log);
	cluster->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, size);
	if (cluster->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return false;
	}
	/* the handle owns conf now */
	cluster->mock = rd_kafka_mock_cluster_new(cluster->rk, brokers);
	if (cluster->mock == NULL)
	{
		snprintf(why, size, "librdkafka could not make the mock cluster");
		fm_cluster_close(cluster);
		return false;
	}
	cluster->brokers = brokers;
	cluster->down = fm_xcalloc((size_t) brokers + 1, sizeof(bool));
	return true;
}

void
fm_cluster_close(FmCluster *cluster)
{
	if (cluster->mock)
		rd_kafka_mock_cluster_destroy(cluster->mock);
	if (cluster->rk)
		rd_kafka_destroy(cluster->rk);
	for (int i = 0; i < cluster->n_topics; i++)
		free(cluster->topics[i].name);
	free(cluster->topics);
	free(cluster->down);
	memset(cluster, 0, sizeof(*cluster));
}

static FmTopic *
find_topic(FmCluster *cluster, const char *name)
{
	for (int i = 0; i < cluster->n_topics; i++)
		if (strcmp(cluster->topics[i].name, name) == 0)
			return &cluster->topics[i];
	return NULL;
}

const char *
fm_topic_check(const char *name, int partitions, int replication, int brokers)
{
	size_t		len = strlen(name);

	if (len == 0 || len > 249 || strspn(name, "abcdefghijklmnopqrstuvwxyz"
										"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
										"0123456789._-") != len)
		return "not a topic name";
	if (partitions < 1 || partitions > 10000)
		return "partitions must be 1 to 10000";
	if (replication < 1 || replication > brokers)
		return "replication must be 1 to the number of brokers";
	return NULL;
}

const char *
fm_cluster_create_topic(FmCluster *cluster, const char *name, int partitions,
						int replication)
{
	rd_kafka_resp_err_t err;
	const char *why = fm_topic_check(name, partitions, replication,
									 cluster->brokers);

	if (why)
		return why;
	err = rd_kafka_mock_topic_create(cluster->mock, name, partitions,
									 replication);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return rd_kafka_err2str(err);
	cluster->topics = fm_xrealloc(cluster->topics, sizeof(FmTopic) *
								  (size_t) (cluster->n_topics + 1));
	cluster->topics[cluster->n_topics++] = (FmTopic)
	{
		fm_xstrdup(name), partitions
	};
	return NULL;
}

/* ---- words ---- */

static const char *
check(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(err);
}

static bool
read_int(const char *word, long lo, long hi, int *to)
{
	char	   *end;
	long		n = strtol(word, &end, 10);

	*to = (int) n;
	return end != word && *end == '\0' && n >= lo && n <= hi;
}

/* A broker of the cluster, or "all" (-1). */
static bool
read_broker(const Command *c, const char *word, int *to)
{
	if (strcmp(word, "all") == 0)
	{
		*to = -1;
		return true;
	}
	return read_int(word, 1, c->cluster->brokers, to);
}

/* An error of the protocol by number or by name, with or without prefix. */
static bool
read_error(const char *word, rd_kafka_resp_err_t *to)
{
	static const char prefix[] = "RD_KAFKA_RESP_ERR_";
	const struct rd_kafka_err_desc *list;
	size_t		n;
	int			number;

	if (read_int(word, -999, 999, &number))
	{
		*to = (rd_kafka_resp_err_t) number;
		return true;
	}
	if (strncasecmp(word, prefix, sizeof(prefix) - 1) == 0)
		word += sizeof(prefix) - 1;
	if (strcasecmp(word, "none") == 0)
		word = "NO_ERROR";
	rd_kafka_get_err_descs(&list, &n);
	for (size_t i = 0; i < n; i++)
		if (list[i].name && strcasecmp(list[i].name, word) == 0)
		{
			*to = list[i].code;
			return true;
		}
	return false;
}

/* A request by number or by name. */
static bool
read_api_key(const char *word, int *to)
{
	static const char *const names[] = {"Produce", "Fetch", "ListOffsets",
		"Metadata", "LeaderAndIsr", "StopReplica", "UpdateMetadata",
		"ControlledShutdown", "OffsetCommit", "OffsetFetch",
		"FindCoordinator", "JoinGroup", "Heartbeat", "LeaveGroup",
		"SyncGroup", "DescribeGroups", "ListGroups", "SaslHandshake",
		"ApiVersion", "CreateTopics", "DeleteTopics", "DeleteRecords",
		"InitProducerId", "OffsetForLeaderEpoch", "AddPartitionsToTxn",
	"AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit"};

	if (read_int(word, 0, 200, to))
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], word) == 0)
		{
			*to = (int) i;
			return true;
		}
	return false;
}

/* TOPIC PARTITION at word[0] and word[1]; NULL or what is wrong. */
static const char *
read_partition(const Command *c, int *partition)
{
	FmTopic    *topic = find_topic(c->cluster, c->word[0]);

	if (topic == NULL)
		return "no such topic was created here";
	if (!read_int(c->word[1], 0, topic->partitions - 1, partition))
		return "no such partition";
	return NULL;
}

/* ---- commands: NULL, or what is wrong ---- */

static const char *
set_up(Command *c, bool up)
{
	int			id;
	const char *why;

	if (!read_broker(c, c->word[1], &id))
		return "no such broker";
	why = check(up ? rd_kafka_mock_broker_set_up(c->cluster->mock, id)
				: rd_kafka_mock_broker_set_down(c->cluster->mock, id));
	for (int i = 1; why == NULL && i <= c->cluster->brokers; i++)
		if (id == -1 || id == i)
			c->cluster->down[i] = !up;
	return why;
}

static const char *
do_broker(Command *c)
{
	if (strcmp(c->word[0], "down") == 0)
		return set_up(c, false);
	if (strcmp(c->word[0], "up") == 0)
		return set_up(c, true);
	return "expected broker down N or broker up N";
}

static const char *
do_rtt(Command *c)
{
	int			id;
	int			ms;

	if (!read_broker(c, c->word[0], &id))
		return "no such broker";
	if (!read_int(c->word[1], 0, 3600000, &ms))
		return "not a number of milliseconds";
	return check(rd_kafka_mock_broker_set_rtt(c->cluster->mock, id, ms));
}

static const char *
do_rack(Command *c)
{
	int			id;

	if (!read_broker(c, c->word[0], &id))
		return "no such broker";
	return check(rd_kafka_mock_broker_set_rack(c->cluster->mock, id,
											   c->word[1]));
}

static const char *
do_leader(Command *c)
{
	int			partition;
	int			id = -1;
	const char *why = read_partition(c, &partition);

	if (why)
		return why;
	if (strcmp(c->word[2], "none") != 0 &&
		!read_int(c->word[2], 1, c->cluster->brokers, &id))
		return "no such broker";
	return check(rd_kafka_mock_partition_set_leader(c->cluster->mock,
													c->word[0], partition,
													id));
}

static const char *
do_follower(Command *c)
{
	int			partition;
	int			id = -1;
	const char *why = read_partition(c, &partition);

	if (why)
		return why;
	if (strcmp(c->word[2], "none") != 0 &&
		!read_int(c->word[2], 1, c->cluster->brokers, &id))
		return "no such broker";
	return check(rd_kafka_mock_partition_set_follower(c->cluster->mock,
													  c->word[0], partition,
													  id));
}

static const char *
do_follower_watermarks(Command *c)
{
	int			partition;
	char	   *end[2];
	long long	lo;
	long long	hi;
	const char *why = read_partition(c, &partition);

	if (why)
		return why;
	lo = strtoll(c->word[2], &end[0], 10);
	hi = strtoll(c->word[3], &end[1], 10);
	if (*end[0] || *end[1] || lo < -1 || hi < -1)
		return "watermarks are offsets, or -1 for the leader's";
	return check(rd_kafka_mock_partition_set_follower_wmarks(
					c->cluster->mock, c->word[0], partition, lo, hi));
}

static const char *
do_topic_error(Command *c)
{
	rd_kafka_resp_err_t err;

	if (find_topic(c->cluster, c->word[0]) == NULL)
		return "no such topic was created here";
	if (!read_error(c->word[1], &err))
		return "no such error";
	rd_kafka_mock_topic_set_error(c->cluster->mock, c->word[0], err);
	return NULL;
}

static const char *
do_request_errors(Command *c)
{
	rd_kafka_resp_err_t errors[MAX_WORDS];
	int			key;
	size_t		n = 0;

	if (!read_api_key(c->word[0], &key))
		return "no such request";
	for (int i = 1; i < c->n; i++)
	{
		const char *word = c->word[i];
		int			times = 1;
		char	   *star = strchr(c->word[i], '*');

		if (star)
		{
			*star = '\0';
			if (!read_int(star + 1, 1, 100000, &times))
				return "not a number of times";
		}
		if (!read_error(word, &errors[n]))
			return "no such error";
		/* one at a time: the library appends to its queue */
		while (times-- > 0)
			rd_kafka_mock_push_request_errors_array(c->cluster->mock,
													(int16_t) key, 1,
													&errors[n]);
	}
	return NULL;
}

static const char *
do_broker_errors(Command *c)
{
	int			id;
	int			key;

	if (!read_int(c->word[0], 1, c->cluster->brokers, &id))
		return "no such broker";
	if (!read_api_key(c->word[1], &key))
		return "no such request";
	for (int i = 2; i < c->n; i++)
	{
		rd_kafka_resp_err_t err;
		int			rtt = 0;
		char	   *colon = strchr(c->word[i], ':');
		const char *why;

		if (colon)
		{
			*colon = '\0';
			if (!read_int(colon + 1, 0, 3600000, &rtt))
				return "not a number of milliseconds";
		}
		if (!read_error(c->word[i], &err))
			return "no such error";
		why = check(rd_kafka_mock_broker_push_request_error_rtts(
						c->cluster->mock, id, (int16_t) key, 1, err, rtt));
		if (why)
			return why;
	}
	return NULL;
}

static const char *
do_clear_errors(Command *c)
{
	int			key;

	if (!read_api_key(c->word[0], &key))
		return "no such request";
	rd_kafka_mock_clear_request_errors(c->cluster->mock, (int16_t) key);
	return NULL;
}

static const char *
do_create(Command *c)
{
	int			partitions;
	int			replication = c->cluster->brokers < 2 ? 1 : 2;

	if (!read_int(c->word[1], 1, 10000, &partitions) ||
		(c->n > 2 && !read_int(c->word[2], 1, 100, &replication)))
		return "expected create TOPIC PARTITIONS [REPLICATION]";
	return fm_cluster_create_topic(c->cluster, c->word[0], partitions,
								   replication);
}

static const char *
do_coordinator(Command *c)
{
	int			id;

	if (strcmp(c->word[0], "group") != 0 &&
		strcmp(c->word[0], "transaction") != 0)
		return "expected coordinator group|transaction KEY BROKER";
	if (!read_int(c->word[2], 1, c->cluster->brokers, &id))
		return "no such broker";
	return check(rd_kafka_mock_coordinator_set(c->cluster->mock, c->word[0],
											   c->word[1], id));
}

static const char *
do_api_version(Command *c)
{
	int			key;
	int			lo;
	int			hi;

	if (!read_api_key(c->word[0], &key))
		return "no such request";
	if (!read_int(c->word[1], -1, 100, &lo) ||
		!read_int(c->word[2], -1, 100, &hi))
		return "not a version";
	return check(rd_kafka_mock_set_apiversion(c->cluster->mock, (int16_t) key,
											  (int16_t) lo, (int16_t) hi));
}

/* ---- status ---- */

static void
status_of_topic(Command *c, rd_kafka_t *rk,
				const struct rd_kafka_metadata_topic *topic)
{
	fm_buf_printf(c->answer, "topic %s%s%s\n", topic->topic,
				  topic->err ? " error " : "",
				  topic->err ? rd_kafka_err2name(topic->err) : "");
	for (int i = 0; i < topic->partition_cnt; i++)
	{
		const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
		int64_t		lo;
		int64_t		hi;

		fm_buf_printf(c->answer, "partition %s %d leader %d", topic->topic,
					  (int) p->id, (int) p->leader);
		if (p->leader >= 1 && p->leader <= c->cluster->brokers &&
			!c->cluster->down[p->leader] &&
			rd_kafka_query_watermark_offsets(rk, topic->topic, p->id, &lo, &hi,
											 STATUS_MS) ==
			RD_KAFKA_RESP_ERR_NO_ERROR)
			fm_buf_printf(c->answer, " offsets %lld to %lld", (long long) lo,
						  (long long) hi);
		fm_buf_putc(c->answer, '\n');
	}
}

static const char *
ask_status(Command *c, rd_kafka_t *rk)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	err = rd_kafka_metadata(rk, 1, NULL, &metadata, STATUS_MS);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return rd_kafka_err2str(err);
	for (int i = 0; i < metadata->topic_cnt; i++)
		status_of_topic(c, rk, &metadata->topics[i]);
	rd_kafka_metadata_destroy(metadata);
	return NULL;
}

static const char *
do_status(Command *c)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	static char why[256];
	rd_kafka_t *rk;
	const char *wrong;
	bool		any = false;

	fm_buf_printf(c->answer, "bootstrap.servers=%s\n",
				  rd_kafka_mock_cluster_bootstraps(c->cluster->mock));
	for (int i = 1; i <= c->cluster->brokers; i++)
	{
		fm_buf_printf(c->answer, "broker %d %s\n", i, c->cluster->down[i]
					  ? "down" : "up");
		any |= !c->cluster->down[i];
	}
	rd_kafka_conf_set_log_cb(conf, discard_log);
	if (!any)
	{
		rd_kafka_conf_destroy(conf);
		return NULL;			/* nobody to ask */
	}
	rk = rd_kafka_conf_set(conf, "bootstrap.servers",
						   rd_kafka_mock_cluster_bootstraps(c->cluster->mock),
						   why, sizeof(why)) == RD_KAFKA_CONF_OK
		? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why)) : NULL;
	if (rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return why;
	}
	wrong = ask_status(c, rk);
	rd_kafka_destroy(rk);
	return wrong;
}

static const char *
do_quit(Command *c)
{
	c->cluster->quit = true;
	return NULL;
}

static const char *
do_help(Command *c)
{
	fm_cluster_help(c->answer);
	return NULL;
}

static const struct
{
	const char *name;
	int			least;			/* words after it */
	int			most;
	const char *(*run) (Command *c);
	const char *args;
	const char *help;
}			commands[] =
{
	{"broker", 2, 2, do_broker, "down|up N|all",
	"cut its connections and accept none; accept again"},
	{"rtt", 2, 2, do_rtt, "N|all MS", "delay its answers"},
	{"leader", 3, 3, do_leader, "TOPIC PARTITION BROKER|none", ""},
	{"follower", 3, 3, do_follower, "TOPIC PARTITION BROKER|none",
	"send consumers there"},
	{"follower-watermarks", 4, 4, do_follower_watermarks,
	"TOPIC PARTITION LOW HIGH", "as the follower has them, -1 the leader's"},
	{"topic-error", 2, 2, do_topic_error, "TOPIC ERROR|none",
	"answer to metadata and AddPartitionsToTxn requests"},
	{"request-errors", 2, MAX_WORDS, do_request_errors,
		"REQUEST ERROR[*TIMES]...",
	"answer the next such requests so; _TRANSPORT cuts the connection"},
	{"broker-errors", 3, MAX_WORDS, do_broker_errors,
		"N REQUEST ERROR[:MS]...",
	"the same at one broker, with a delay (none:500 is a delay alone)"},
	{"clear-errors", 1, 1, do_clear_errors, "REQUEST",
	"forget what request-errors queued"},
	{"create", 2, 3, do_create, "TOPIC PARTITIONS [REPLICATION]", ""},
	{"coordinator", 3, 3, do_coordinator, "group|transaction KEY BROKER", ""},
	{"api-version", 3, 3, do_api_version, "REQUEST LOW HIGH",
	"-1 -1 removes it"},
	{"rack", 2, 2, do_rack, "N|all NAME", ""},
	{"status", 0, 0, do_status, "",
	"brokers, leaders, offsets (asks with requests of its own)"},
	{"quit", 0, 0, do_quit, "", ""},
	{"help", 0, 0, do_help, "", ""},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void
fm_cluster_help(FmBuf *answer)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
	{
		fm_buf_printf(answer, "  %s %s\n", commands[i].name, commands[i].args);
		if (*commands[i].help)
			fm_buf_printf(answer, "        %s\n", commands[i].help);
	}
	fm_buf_puts(answer, "  Requests and errors by number or name: Produce,"
				" NOT_LEADER_FOR_PARTITION.\n");
}

static const char *
run(Command *c, const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
	{
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (c->n < commands[i].least || c->n > commands[i].most)
			return "wrong number of words; try help";
		return commands[i].run(c);
	}
	return "no such command; try help";
}

void
fm_cluster_command(FmCluster *cluster, char *line, FmBuf *answer)
{
	Command		c = {.cluster = cluster,.answer = answer};
	char	   *rest = NULL;
	char	   *name = strtok_r(line, " \t\r\n", &rest);
	char	   *word;
	const char *why;

	if (name == NULL || name[0] == '#')
		return;
	while ((word = strtok_r(NULL, " \t\r\n", &rest)) && c.n < MAX_WORDS)
		c.word[c.n++] = word;
	why = word ? "too many words" : run(&c, name);
	if (why)
		fm_buf_printf(answer, "error: %s\n", why);
	else
		fm_buf_puts(answer, "ok\n");
}
