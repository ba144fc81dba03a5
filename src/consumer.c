/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A member of a consumer group, driven by one thread, that never blocks.
 *
 * Everything the library has to say (messages, ends of partitions, errors,
 * rebalances, results of commits, log lines) is sent to one queue, and the
 * caller's thread takes it from there one event at a time.  A byte in a pipe
 * tells it to look.  The library writes that byte once, when the queue stops
 * being empty, and writes no further one until the queue has been polled: so
 * after a wake-up one must empty the pipe first, then poll until there is
 * nothing left, and only then sleep.
 *
 * Offsets are the caller's affair alone.  Automatic commits and stores are
 * off, what the group has stored is never read, and an offset that does not
 * exist is an event (auto.offset.reset=error), after which the partition
 * stays silent until it is assigned again.
 *
 * Assigning.  The group tells which partitions are ours by an ASSIGN event;
 * from then until the next REVOKE event the caller may assign any part of
 * them, with offsets, as often as it likes: that is how partitions are paused,
 * resumed and sought.  The library knows one complete list at a time.  With
 * each assignment it stops all fetches of the one before and raises their
 * version, and whatever was fetched under an older version is thrown away
 * when it is met in the queue; membership of the group is not touched.  Only
 * two kinds of event carry no version and may still be seen after a newer
 * assignment: an offset out of range and errors of the whole client.  The
 * former also stops whatever is being fetched from that partition, old or
 * new, so it must always be answered by assigning again.
 *
 * Stopping a fetch takes the library a moment, and it must not be told to
 * stop twice: if an assignment reaches it while stops of the one before are
 * still under way, an assertion in it aborts the process.  Hence an
 * assignment returns only when its stops are done; see finish_stops().
 *
 * Commits are copies for tools that show lag, nothing more, but the library
 * takes them seriously: until one is answered it neither carries out an
 * assignment nor ends, and one that finds no coordinator waits for it as long
 * as session.timeout.ms.  So one at most is under way, and none is started
 * soon after a connection broke, or while no broker is there.
 *
 * Damaged data.  Where a record batch fails its checksum or cannot be
 * unpacked, the library reports it and goes on *behind* it.  We do not: the
 * partition is halted in the moment its error is met, which makes everything
 * fetched behind it stale, and delivers nothing until it is assigned again.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "client.h"

#define CONSUMER_EVENTS \
	(RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR | \
	 RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | \
	 RD_KAFKA_EVENT_LOG)

/* How long no commit is started after a broken connection, in ms. */
#define COMMIT_HOLD_MS			5000
#define COMMIT_HOLD_ALL_DOWN_MS 35000	/* errors are repeated every 30 s */

struct FmConsumer
{
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;	/* everything arrives here */
	int			fds[2];			/* wake-up pipe: read end, write end */
	char	   *topic;

	/* what the group has given us; sorted */
	int32_t    *group;
	int			ngroup;
	bool		revoking;		/* a REVOKE event is not answered yet */

	/* partitions halted because of damaged data; resumed by assigning */
	rd_kafka_topic_partition_list_t *halted;

	/* at most one commit is under way; what came meanwhile waits here */
	bool		committing;
	rd_kafka_topic_partition_list_t *commit_next;
	int64_t		commit_hold;	/* none before that time */
	bool		all_down;		/* no sign of a broker since they all went */

	/* see wake_fetchers() */
	bool		self_waking;
	char	   *username;
	char	   *password;
	int64_t		taken;			/* bytes polled since the last wake-up */
	int64_t		take_limit;

	/* lent to the caller with rebalance and commit events */
	FmPartitionOffset *partitions;
	int			partitions_size;
};

/* ----------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------- */

/* Free what is ours; the client itself has been given up before. */
static void
free_consumer(FmConsumer *consumer)
{
	if (consumer->halted != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->halted);
	if (consumer->commit_next != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->commit_next);
	if (consumer->fds[0] >= 0)
	{
		close(consumer->fds[0]);
		close(consumer->fds[1]);
	}
	free(consumer->topic);
	free(consumer->username);
	free(consumer->password);
	free(consumer->group);
	free(consumer->partitions);
	free(consumer);
}

/* The parts that need no client; NULL if memory or descriptors are short. */
static FmConsumer *
make_consumer(const FmConsumerConfig *config)
{
	FmConsumer *consumer = calloc(1, sizeof(*consumer));
	const char *username = fm_client_property(config, "sasl.username");
	const char *password = fm_client_property(config, "sasl.password");

	if (consumer == NULL)
		return NULL;
	consumer->fds[0] = consumer->fds[1] = -1;
	consumer->topic = strdup(config->topic);
	consumer->username = strdup(username == NULL ? "" : username);
	consumer->password = strdup(password == NULL ? "" : password);
	consumer->halted = rd_kafka_topic_partition_list_new(4);
	consumer->commit_next = rd_kafka_topic_partition_list_new(16);
	consumer->take_limit = config->max_queued_bytes / 8;
	if (consumer->topic == NULL || consumer->username == NULL ||
		consumer->password == NULL || fm_client_pipe(consumer->fds) != 0)
	{
		consumer->fds[0] = -1;
		free_consumer(consumer);
		return NULL;
	}
	return consumer;
}

/* One queue for everything, and one topic. */
static rd_kafka_resp_err_t
connect_queues(FmConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *topics;
	rd_kafka_resp_err_t err;

	err = rd_kafka_poll_set_consumer(consumer->rk);
	if (err)
		return err;
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	if (consumer->queue == NULL)
		return RD_KAFKA_RESP_ERR__UNKNOWN_GROUP;
	err = rd_kafka_set_log_queue(consumer->rk, consumer->queue);
	if (err)
		return err;
	rd_kafka_queue_io_event_enable(consumer->queue, consumer->fds[1], "!", 1);

	topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, consumer->topic,
									  RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(consumer->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return err;
}

FmConsumer *
fm_consumer_open(const FmConsumerConfig *config, char *error, size_t errlen)
{
	FmConsumer *consumer;
	rd_kafka_resp_err_t err;

	if (!fm_client_check_topic(config->topic, error, errlen))
		return NULL;
	if (config->group == NULL || config->group[0] == '\0')
	{
		fm_client_format(error, errlen, "a consumer needs a group");
		return NULL;
	}
	consumer = make_consumer(config);
	if (consumer == NULL)
	{
		fm_client_format(error, errlen, "out of memory or file descriptors");
		return NULL;
	}
	consumer->rk = fm_client_new(FM_CLIENT_CONSUMER, config, CONSUMER_EVENTS,
								 &consumer->self_waking, error, errlen);
	if (consumer->rk == NULL)
	{
		free_consumer(consumer);
		return NULL;
	}
	err = connect_queues(consumer);
	if (err)
	{
		fm_client_format(error, errlen,
						 "could not subscribe to topic \"%s\": %s",
						 config->topic, rd_kafka_err2str(err));
		fm_consumer_close(consumer, 1000);
		return NULL;
	}
	return consumer;
}

int
fm_consumer_fd(FmConsumer *consumer)
{
	return consumer->fds[0];
}

void
fm_consumer_clear_fd(FmConsumer *consumer)
{
	fm_client_drain(consumer->fds[0]);
}

/* ----------------------------------------------------------------------
 * Events
 * ------------------------------------------------------------------- */

/* Hand a list of partitions to the caller; false: out of memory. */
static bool
lend_partitions(FmConsumer *consumer,
				const rd_kafka_topic_partition_list_t *list, bool offsets,
				FmEvent *event)
{
	int			count = list == NULL ? 0 : list->cnt;

	if (count > consumer->partitions_size)
	{
		FmPartitionOffset *grown = realloc(consumer->partitions,
										   count * sizeof(*grown));

		if (grown == NULL)
			return false;
		consumer->partitions = grown;
		consumer->partitions_size = count;
	}
	for (int i = 0; i < count; i++)
	{
		consumer->partitions[i].partition = list->elems[i].partition;
		consumer->partitions[i].offset =
			offsets && list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
	}
	event->partitions = consumer->partitions;
	event->npartitions = count;
	return true;
}

static int
compare_partitions(const void *a, const void *b)
{
	int32_t		left = *(const int32_t *) a;
	int32_t		right = *(const int32_t *) b;

	return (left > right) - (left < right);
}

/* Remember what the group has given us, replacing what it gave before. */
static bool
remember_group(FmConsumer *consumer, const FmEvent *event)
{
	int32_t    *grown = realloc(consumer->group,
								(event->npartitions + 1) * sizeof(*grown));

	if (grown == NULL)
		return false;
	consumer->group = grown;
	consumer->ngroup = event->npartitions;
	for (int i = 0; i < event->npartitions; i++)
		grown[i] = event->partitions[i].partition;
	qsort(grown, consumer->ngroup, sizeof(*grown), compare_partitions);
	return true;
}

static bool
in_group(const FmConsumer *consumer, int32_t partition)
{
	return consumer->ngroup > 0 &&
		bsearch(&partition, consumer->group, consumer->ngroup,
				sizeof(int32_t), compare_partitions) != NULL;
}

/*
 * Memory ran out while a change of the assignment was being told: what the
 * group believes of us is then unknown to the caller, so the client is lost.
 */
static void
report_no_memory(FmEvent *event)
{
	event->kind = FM_EVENT_ERROR;
	event->code = FM_KAFKA_FATAL;
	fm_client_format(event->text, sizeof(event->text), "out of memory");
}

static void
translate_rebalance(FmConsumer *consumer, rd_kafka_event_t *rkev,
					FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);

	event->code = FM_KAFKA_OK;
	event->text[0] = '\0';
	if (!lend_partitions(consumer, rd_kafka_event_topic_partition_list(rkev),
						 false, event))
	{
		report_no_memory(event);
		return;
	}
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
	{
		event->kind = FM_EVENT_ASSIGN;
		consumer->revoking = false;
		consumer->all_down = false;
		if (!remember_group(consumer, event))
			report_no_memory(event);
		return;
	}

	/* Anything else but a revocation is an error, to be answered like one. */
	event->kind = FM_EVENT_REVOKE;
	consumer->revoking = true;
	event->assignment_lost = rd_kafka_assignment_lost(consumer->rk) != 0;
	if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
	{
		event->assignment_lost = true;
		event->code = fm_client_code(err);
		fm_client_format(event->text, sizeof(event->text), "%s",
						 rd_kafka_err2str(err));
	}
}

/*
 * Start the next commit, if one waits and none is under way.  Naming the
 * queue is what makes the library report the result as an event.
 */
static FmKafkaCode
commit_waiting(FmConsumer *consumer)
{
	rd_kafka_resp_err_t err;

	if (consumer->committing || consumer->commit_next->cnt == 0 ||
		(consumer->commit_hold > 0 && fm_client_now() < consumer->commit_hold))
		return FM_KAFKA_OK;
	consumer->commit_hold = 0;
	err = rd_kafka_commit_queue(consumer->rk, consumer->commit_next,
								consumer->queue, NULL, NULL);
	rd_kafka_topic_partition_list_destroy(consumer->commit_next);
	consumer->commit_next = rd_kafka_topic_partition_list_new(16);
	consumer->committing = !err;
	return fm_client_code(err);
}

static void
translate_commit(FmConsumer *consumer, rd_kafka_event_t *rkev, FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);
	rd_kafka_topic_partition_list_t *list;

	list = rd_kafka_event_topic_partition_list(rkev);
	for (int i = 0; !err && list != NULL && i < list->cnt; i++)
		err = list->elems[i].err;
	event->kind = FM_EVENT_COMMITTED;
	event->code = fm_client_code(err);
	fm_client_format(event->text, sizeof(event->text), "%s",
					 err ? rd_kafka_err2str(err) : "");
	if (!lend_partitions(consumer, list, true, event))
		event->npartitions = 0; /* no harm: nobody needs to act on it */
	consumer->committing = false;
	commit_waiting(consumer);
}

/*
 * Deliver nothing more from a partition: what is queued becomes stale at
 * once, and the library stops fetching what it cannot read.
 */
static void
halt_partition(FmConsumer *consumer, int32_t partition)
{
	rd_kafka_topic_partition_list_t *one;

	if (rd_kafka_topic_partition_list_find(consumer->halted, consumer->topic,
										   partition) != NULL)
		return;
	one = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(one, consumer->topic, partition);
	rd_kafka_pause_partitions(consumer->rk, one);
	rd_kafka_topic_partition_list_destroy(one);
	rd_kafka_topic_partition_list_add(consumer->halted, consumer->topic,
									  partition);
}

static void
partition_error(FmConsumer *consumer, int32_t partition, int64_t offset,
				rd_kafka_resp_err_t err, const char *text, FmEvent *event)
{
	event->kind = FM_EVENT_PARTITION_ERROR;
	event->partition = partition;
	event->offset = offset >= 0 ? offset : -1;
	event->code = fm_client_code(err);
	fm_client_format(event->text, sizeof(event->text), "%s", text);
	if (event->code == FM_KAFKA_BAD_DATA)
		halt_partition(consumer, partition);
}

/* A connection has failed: leave the coordinator alone for a while. */
static void
hold_commits(FmConsumer *consumer, FmKafkaCode code)
{
	if (code == FM_KAFKA_ALL_BROKERS_DOWN)
		consumer->all_down = true;
	else if (code != FM_KAFKA_TRANSPORT)
		return;
	consumer->commit_hold = fm_client_now() +
		(consumer->all_down ? COMMIT_HOLD_ALL_DOWN_MS : COMMIT_HOLD_MS);
}

static void
translate_error(FmConsumer *consumer, rd_kafka_event_t *rkev, FmEvent *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);
	const char *text = rd_kafka_event_error_string(rkev);
	rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(rkev);

	if (rd_kafka_event_error_is_fatal(rkev))
	{
		event->kind = FM_EVENT_ERROR;
		event->code = FM_KAFKA_FATAL;
		fm_client_format(event->text, sizeof(event->text), "%s", text);
	}
	else if (where != NULL && err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		consumer->all_down = false;
		event->kind = FM_EVENT_EOF;
		event->partition = where->partition;
		event->offset = where->offset;
		event->code = FM_KAFKA_OK;
	}
	else if (where != NULL)
		partition_error(consumer, where->partition, where->offset, err, text,
						event);
	else
	{
		event->kind = FM_EVENT_ERROR;
		event->code = fm_client_code(err);
		fm_client_format(event->text, sizeof(event->text), "%s", text);
		hold_commits(consumer, event->code);
	}
	if (where != NULL)
		rd_kafka_topic_partition_destroy(where);
}

static void
translate_log(rd_kafka_event_t *rkev, FmEvent *event)
{
	const char *facility = "";
	const char *text = "";
	int			level = LOG_NOTICE;

	rd_kafka_event_log(rkev, &facility, &text, &level);
	event->kind = FM_EVENT_LOG;
	event->log_level = level;
	event->code = FM_KAFKA_OK;
	fm_client_format(event->text, sizeof(event->text), "%s: %s", facility,
					 text);
}

/*
 * Broker threads that found the queue full sleep for up to a second, however
 * soon it is emptied.  So each time an eighth of what it can hold has been
 * taken from it they are told to look again.  Where nothing was full this
 * costs them microseconds.
 */
static void
wake_fetchers(FmConsumer *consumer)
{
	consumer->taken = 0;
	if (!consumer->self_waking)
		fm_client_wake(consumer->rk, consumer->username, consumer->password);
}

/* A message; the event now belongs to it.  False: it was an error instead. */
static bool
translate_message(FmConsumer *consumer, rd_kafka_event_t *rkev,
				  FmEvent *event)
{
	const rd_kafka_message_t *record = rd_kafka_event_message_next(rkev);
	FmMessage  *message = &event->message;
	rd_kafka_timestamp_type_t type;

	if (record->err)
	{
		partition_error(consumer, record->partition, record->offset,
						record->err, rd_kafka_message_errstr(record), event);
		return false;
	}
	event->kind = FM_EVENT_MESSAGE;
	message->partition = record->partition;
	message->offset = record->offset;
	message->timestamp = rd_kafka_message_timestamp(record, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
		message->timestamp = -1;
	message->log_append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
	message->payload = record->payload;
	message->len = record->len;
	message->key = record->key;
	message->key_len = record->key_len;
	message->opaque = rkev;
	message->record = (void *) record;

	consumer->taken += record->len > FM_CLIENT_MESSAGE_PRICE ?
		record->len : FM_CLIENT_MESSAGE_PRICE;
	if (consumer->taken >= consumer->take_limit)
		wake_fetchers(consumer);
	return true;
}

bool
fm_consumer_poll(FmConsumer *consumer, FmEvent *event)
{
	for (;;)
	{
		rd_kafka_event_t *rkev = rd_kafka_queue_poll(consumer->queue, 0);

		event->kind = FM_EVENT_NONE;
		if (rkev == NULL)
		{
			commit_waiting(consumer);	/* the one that was held back */
			return false;
		}
		switch (rd_kafka_event_type(rkev))
		{
			case RD_KAFKA_EVENT_FETCH:
				if (translate_message(consumer, rkev, event))
					return true;
				break;
			case RD_KAFKA_EVENT_ERROR:
				translate_error(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_REBALANCE:
				translate_rebalance(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_OFFSET_COMMIT:
				translate_commit(consumer, rkev, event);
				break;
			case RD_KAFKA_EVENT_LOG:
				translate_log(rkev, event);
				break;
			default:
				break;			/* nothing the caller needs to know */
		}
		rd_kafka_event_destroy(rkev);
		if (event->kind != FM_EVENT_NONE)
			return true;
	}
}

/* ----------------------------------------------------------------------
 * Messages
 * ------------------------------------------------------------------- */

void
fm_message_release(FmMessage *message)
{
	if (message->opaque != NULL)
		rd_kafka_event_destroy(message->opaque);
	message->opaque = NULL;
	message->record = NULL;
	message->payload = NULL;
	message->key = NULL;
}

int
fm_message_headers(const FmMessage *message, FmHeader *headers,
				   int max_headers)
{
	rd_kafka_headers_t *list;
	int			count = 0;

	if (rd_kafka_message_headers(message->record, &list) != 0)
		return 0;
	while (count < max_headers &&
		   rd_kafka_header_get_all(list, count, &headers[count].name,
								   &headers[count].value,
								   &headers[count].len) == 0)
		count++;
	return count;
}

bool
fm_message_header(const FmMessage *message, const char *name,
				  FmHeader *header)
{
	rd_kafka_headers_t *list;

	if (rd_kafka_message_headers(message->record, &list) != 0)
		return false;
	header->name = name;
	return rd_kafka_header_get_last(list, name, &header->value,
									&header->len) == 0;
}

int64_t
fm_message_digest(const FmMessage *message)
{
	return fm_client_digest(message->record);
}

/* ----------------------------------------------------------------------
 * Assigning, committing, asking
 * ------------------------------------------------------------------- */

/* What the caller wants, as the library's list; NULL and a text if wrong. */
static rd_kafka_topic_partition_list_t *
make_assignment(const FmConsumer *consumer,
				const FmPartitionOffset *partitions, int npartitions,
				char *error, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list;

	list = rd_kafka_topic_partition_list_new(npartitions);
	for (int i = 0; i < npartitions; i++)
	{
		int32_t		partition = partitions[i].partition;

		if (!in_group(consumer, partition) || partitions[i].offset < 0)
		{
			fm_client_format(error, errlen,
							 partitions[i].offset < 0 ?
							 "partition %d has no offset to start from" :
							 "partition %d is not assigned to this consumer",
							 (int) partition);
			rd_kafka_topic_partition_list_destroy(list);
			return NULL;
		}
		rd_kafka_topic_partition_list_add(list, consumer->topic, partition)
			->offset = partitions[i].offset;
	}
	return list;
}

/*
 * Wait until every fetch that an assignment has stopped really is.  All the
 * work is done by one thread of the library from one queue, in order: the
 * assignment put the stops into it, and each stop puts there the note that it
 * is done, which is what must not be missing when the next assignment comes.
 * So the first question, which goes through the same queue, is answered
 * behind the stops, and the second one behind the notes.
 */
static void
finish_stops(FmConsumer *consumer)
{
	for (int i = 0; i < 2; i++)
	{
		rd_kafka_topic_partition_list_t *list = NULL;

		if (rd_kafka_assignment(consumer->rk, &list) == 0 && list != NULL)
			rd_kafka_topic_partition_list_destroy(list);
	}
}

FmKafkaCode
fm_consumer_assign(FmConsumer *consumer, const FmPartitionOffset *partitions,
				   int npartitions, bool after_revoke,
				   char *error, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	rd_kafka_resp_err_t err;

	if (after_revoke ? npartitions > 0 : consumer->revoking)
	{
		fm_client_format(error, errlen,
						 "a revocation must be answered by assigning nothing");
		return FM_KAFKA_OTHER;
	}
	if (!after_revoke)
	{
		list = make_assignment(consumer, partitions, npartitions,
							   error, errlen);
		if (list == NULL)
			return FM_KAFKA_OTHER;
	}
	if (consumer->halted->cnt > 0)
	{
		rd_kafka_resume_partitions(consumer->rk, consumer->halted);
		rd_kafka_topic_partition_list_destroy(consumer->halted);
		consumer->halted = rd_kafka_topic_partition_list_new(4);
	}
	/* no list at all is what answers a revocation, an empty one does not */
	err = rd_kafka_assign(consumer->rk, list);
	finish_stops(consumer);
	if (list != NULL)
		rd_kafka_topic_partition_list_destroy(list);
	if (err)
	{
		fm_client_format(error, errlen, "%s", rd_kafka_err2str(err));
		return fm_client_code(err);
	}
	if (after_revoke)
	{
		consumer->ngroup = 0;
		consumer->revoking = false;
	}
	return FM_KAFKA_OK;
}

FmKafkaCode
fm_consumer_commit_async(FmConsumer *consumer,
						 const FmPartitionOffset *offsets, int noffsets)
{
	rd_kafka_topic_partition_list_t *next = consumer->commit_next;

	for (int i = 0; i < noffsets; i++)
	{
		rd_kafka_topic_partition_t *entry;

		if (offsets[i].offset < 0)
			continue;
		entry = rd_kafka_topic_partition_list_find(next, consumer->topic,
												   offsets[i].partition);
		if (entry == NULL)
			entry = rd_kafka_topic_partition_list_add(next, consumer->topic,
													  offsets[i].partition);
		entry->offset = offsets[i].offset;
	}
	return commit_waiting(consumer);
}

void
fm_consumer_watermarks(FmConsumer *consumer, int32_t partition,
					   int64_t *low, int64_t *high)
{
	int64_t		known_low = -1;
	int64_t		known_high = -1;

	if (rd_kafka_get_watermark_offsets(consumer->rk, consumer->topic,
									   partition, &known_low, &known_high))
		known_low = known_high = -1;
	*low = known_low >= 0 ? known_low : -1;
	*high = known_high >= 0 ? known_high : -1;
}

void
fm_consumer_member_id(FmConsumer *consumer, char *buf, size_t len)
{
	char	   *member = rd_kafka_memberid(consumer->rk);

	fm_client_format(buf, len, "%s", member == NULL ? "" : member);
	if (member != NULL)
		rd_kafka_mem_free(consumer->rk, member);
}

/* ----------------------------------------------------------------------
 * Closing
 * ------------------------------------------------------------------- */

/* Answer whatever rebalance comes while leaving; drop everything else. */
static bool
serve_leaving(FmConsumer *consumer, rd_kafka_queue_t *queue, int timeout_ms)
{
	rd_kafka_event_t *rkev = rd_kafka_queue_poll(queue, timeout_ms);

	if (rkev == NULL)
		return false;
	if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_REBALANCE)
		rd_kafka_assign(consumer->rk, NULL);
	rd_kafka_event_destroy(rkev);
	return true;
}

/*
 * Leave the group: serve what comes until the library says it is done.
 * The consumer's queue cannot be given to the library as the one to close
 * by (it would be forwarded to itself), hence one of its own.
 */
static bool
leave_group(FmConsumer *consumer, int64_t deadline)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->rk);
	rd_kafka_error_t *error;

	error = rd_kafka_consumer_close_queue(consumer->rk, queue);
	if (error != NULL)
	{
		/* after a fatal error there is no group to leave */
		rd_kafka_error_destroy(error);
		rd_kafka_queue_destroy(queue);
		return false;
	}
	if (consumer->revoking)
		rd_kafka_assign(consumer->rk, NULL);	/* nobody else will answer */
	while (!rd_kafka_consumer_closed(consumer->rk) &&
		   fm_client_remaining(deadline) > 0)
	{
		int			left = fm_client_remaining(deadline);

		serve_leaving(consumer, queue, left < 100 ? left : 100);
	}
	while (serve_leaving(consumer, queue, 0))
		;
	rd_kafka_queue_destroy(queue);
	return rd_kafka_consumer_closed(consumer->rk) != 0;
}

/*
 * Two thirds of the time are for leaving, the rest for destroying.  A last
 * commit goes out with us only if the coordinator is believed to be there:
 * otherwise it would keep the library from ending.
 */
bool
fm_consumer_close(FmConsumer *consumer, int timeout_ms)
{
	int64_t		begin = fm_client_now();
	bool		left;
	bool		destroyed;
	int			flags;

	if (consumer->queue != NULL)
	{
		commit_waiting(consumer);
		rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
	}
	left = leave_group(consumer, begin + timeout_ms * 2 / 3);
	if (consumer->queue != NULL)
		rd_kafka_queue_destroy(consumer->queue);
	flags = left ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
	destroyed = fm_client_destroy(consumer->rk, flags,
								  fm_client_remaining(begin + timeout_ms));
	free_consumer(consumer);
	return destroyed;
}
