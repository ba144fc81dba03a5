/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  Questions to the brokers, asked by a thread, so that nobody waits.
 *
 * A probe is a *handle*, which belongs to one thread of the caller, and a
 * *core*: a client without a group, and a thread that does nothing but ask.
 * The two share the core under its mutex and count their references to it;
 * whoever lets go last frees it.  So the handle can always be closed at once:
 * the thread finds out when the library returns to it, destroys the client
 * and frees what is left.  Nothing of PostgreSQL is ever touched by it.
 *
 * The library promises to return by the deadline but cannot always keep it
 * (a name look-up does not end earlier because we would like it to).  A
 * handle whose answer is overdue gives the core up and makes itself a new one
 * for the next question.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "probe_internal.h"

/* How long after the deadline the library may still come back, in ms. */
#define OVERDUE_MS 2000

struct FmProbe
{
	FmConsumerConfig config;	/* a copy, to make further cores from */
	FmProperty *properties;
	FmProbeCore *core;			/* NULL: given up, the next ask makes one */
	int			fds[2];			/* wake-up pipe: read end, write end */
	int64_t		overdue_at;		/* of the open question */
	FmProbeAnswer overdue;		/* what is answered in the library's place */
};

/* ----------------------------------------------------------------------
 * The core and its thread
 * ------------------------------------------------------------------- */

/* Give up a reference; the mutex is held on entry, released on return. */
static void
core_unref(FmProbeCore *core)
{
	bool		last = --core->refs == 0;

	pthread_mutex_unlock(&core->mutex);
	if (!last)
		return;
	pthread_cond_destroy(&core->cond);
	pthread_mutex_destroy(&core->mutex);
	free(core->topic_name);
	free(core->answer.items);
	free(core->brokers);
	free(core->topics);
	free(core);
}

/* Destroy the client; may take as long as the library likes. */
static void
destroy_client(FmProbeCore *core)
{
	if (core->topic != NULL)
		rd_kafka_topic_destroy(core->topic);
	if (core->main_queue != NULL)
		rd_kafka_queue_destroy(core->main_queue);
	rd_kafka_destroy(core->rk);
}

bool
fm_probe_stopped(FmProbeCore *core)
{
	bool		closed;

	pthread_mutex_lock(&core->mutex);
	closed = core->closed;
	pthread_mutex_unlock(&core->mutex);
	return closed || fm_client_now() >= core->deadline;
}

/* The thread: one question after the other until the handle lets go. */
static void
core_body(void *arg)
{
	FmProbeCore *core = arg;

	pthread_mutex_lock(&core->mutex);
	for (;;)
	{
		while (!core->closed && (!core->asked || core->answered))
			pthread_cond_wait(&core->cond, &core->mutex);
		if (core->closed)
			break;
		pthread_mutex_unlock(&core->mutex);

		fm_probe_answer_question(core);

		pthread_mutex_lock(&core->mutex);
		core->answered = true;
		if (!core->closed && write(core->notify_fd, "!", 1) < 0)
			continue;			/* a full pipe is readable all the same */
	}
	pthread_mutex_unlock(&core->mutex);

	destroy_client(core);

	pthread_mutex_lock(&core->mutex);
	core->gone = true;
	pthread_cond_broadcast(&core->cond);
	core_unref(core);
}

/* How the client will log in, for a person. */
static void
describe_login(FmProbeCore *core, const FmConsumerConfig *config)
{
	const char *protocol = fm_client_property(config, "security.protocol");
	const char *mechanism = fm_client_property(config, "sasl.mechanism");
	const char *username = fm_client_property(config, "sasl.username");
	bool		sasl;
	bool		ssl;

	if (mechanism == NULL)
		mechanism = fm_client_property(config, "sasl.mechanisms");
	sasl = protocol != NULL && strncasecmp(protocol, "sasl", 4) == 0;
	ssl = protocol != NULL && strlen(protocol) >= 3 &&
		strcasecmp(protocol + strlen(protocol) - 3, "ssl") == 0;
	if (!sasl)
		snprintf(core->login, sizeof(core->login), "%s", ssl ?
				 "over TLS, without a user name" :
				 "without encryption and without a user name");
	else
		snprintf(core->login, sizeof(core->login),
				 "%s, as user \"%.200s\" by %.32s",
				 ssl ? "over TLS" : "without encryption",
				 username == NULL ? "" : username,
				 mechanism == NULL ? "" : mechanism);
}

/* A client of its own for a new core; false and a text on refusal. */
static bool
make_client(FmProbeCore *core, const FmConsumerConfig *config,
			char *error, size_t errlen)
{
	bool		unused;

	core->rk = fm_client_new(FM_CLIENT_PROBE, config,
							 RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG,
							 &unused, error, errlen);
	if (core->rk == NULL)
		return false;
	core->main_queue = rd_kafka_queue_get_main(core->rk);
	rd_kafka_set_log_queue(core->rk, core->main_queue);
	if (core->topic_name != NULL)
		core->topic = rd_kafka_topic_new(core->rk, core->topic_name, NULL);
	describe_login(core, config);
	if (core->topic_name == NULL || core->topic != NULL)
		return true;
	fm_client_format(error, errlen, "%s",
					 rd_kafka_err2str(rd_kafka_last_error()));
	return false;
}

/* Client and thread, ready to be asked; NULL and a text on refusal. */
static FmProbeCore *
core_open(FmProbe *probe, char *error, size_t errlen)
{
	FmProbeCore *core = calloc(1, sizeof(*core));

	fm_client_format(error, errlen, "out of memory or threads");
	if (core == NULL)
		return NULL;
	pthread_mutex_init(&core->mutex, NULL);
	fm_client_cond_init(&core->cond);
	core->refs = 2;
	core->notify_fd = probe->fds[1];
	if (probe->config.topic != NULL)
		core->topic_name = strdup(probe->config.topic);
	if ((probe->config.topic == NULL || core->topic_name != NULL) &&
		make_client(core, &probe->config, error, errlen))
	{
		if (fm_client_start_thread(core_body, core))
			return core;
		fm_client_format(error, errlen, "out of memory or threads");
	}
	if (core->rk != NULL)
		destroy_client(core);
	core->refs = 1;
	pthread_mutex_lock(&core->mutex);
	core_unref(core);
	return NULL;
}

/* Tell the thread to end; the reference to the core is still ours. */
static void
core_close(FmProbeCore *core)
{
	pthread_mutex_lock(&core->mutex);
	core->closed = true;
	pthread_cond_broadcast(&core->cond);
	pthread_mutex_unlock(&core->mutex);
}

/* ----------------------------------------------------------------------
 * The handle
 * ------------------------------------------------------------------- */

static void
free_config(FmProbe *probe)
{
	for (int i = 0; i < probe->config.nproperties; i++)
	{
		free((char *) probe->properties[i].name);
		free((char *) probe->properties[i].value);
	}
	free(probe->properties);
	free((char *) probe->config.topic);
	free((char *) probe->config.client_id);
}

/* The caller's configuration need not outlive the call that gave it. */
static bool
copy_config(FmProbe *probe, const FmConsumerConfig *config)
{
	FmConsumerConfig *copy = &probe->config;
	int			count = config->nproperties;

	copy->max_queued_bytes = config->max_queued_bytes;
	probe->properties = calloc(count + 1, sizeof(FmProperty));
	copy->properties = probe->properties;
	if (config->topic != NULL)
		copy->topic = strdup(config->topic);
	if (config->client_id != NULL)
		copy->client_id = strdup(config->client_id);
	if (probe->properties == NULL ||
		(config->topic != NULL && copy->topic == NULL) ||
		(config->client_id != NULL && copy->client_id == NULL))
		return false;
	for (int i = 0; i < count; i++)
	{
		probe->properties[i].name = strdup(config->properties[i].name);
		probe->properties[i].value = strdup(config->properties[i].value);
		copy->nproperties++;
		if (probe->properties[i].name == NULL ||
			probe->properties[i].value == NULL)
			return false;
	}
	return true;
}

static void
free_handle(FmProbe *probe)
{
	if (probe->fds[0] >= 0)
	{
		close(probe->fds[0]);
		close(probe->fds[1]);
	}
	free(probe->overdue.items);
	free_config(probe);
	free(probe);
}

FmProbe *
fm_probe_open(const FmConsumerConfig *config, char *error, size_t errlen)
{
	FmProbe    *probe = calloc(1, sizeof(*probe));

	fm_client_format(error, errlen, "out of memory or file descriptors");
	if (probe == NULL)
		return NULL;
	if (config->topic != NULL &&
		!fm_client_check_topic(config->topic, error, errlen))
	{
		free(probe);
		return NULL;
	}
	if (fm_client_pipe(probe->fds) != 0)
		probe->fds[0] = -1;
	else if (copy_config(probe, config))
		probe->core = core_open(probe, error, errlen);
	if (probe->core == NULL)
	{
		free_handle(probe);
		return NULL;
	}
	return probe;
}

/* True while the thread is at work for us. */
static bool
in_flight(FmProbeCore *core)
{
	bool		busy;

	if (core == NULL)
		return false;
	pthread_mutex_lock(&core->mutex);
	busy = core->asked && !core->answered;
	pthread_mutex_unlock(&core->mutex);
	return busy;
}

/* A fresh copy of the items with nothing known in it; NULL: no memory. */
static FmProbeItem *
copy_items(const FmProbeItem *items, int nitems, FmKafkaCode code)
{
	FmProbeItem *copy = calloc(nitems + 1, sizeof(*copy));

	for (int i = 0; copy != NULL && i < nitems; i++)
	{
		copy[i] = items[i];
		copy[i].low = copy[i].high = copy[i].found_offset = -1;
		copy[i].digest = 0;
		copy[i].code = code;
	}
	return copy;
}

/* Keep an answer for the case that the library never gives one. */
static bool
prepare_overdue(FmProbe *probe, FmProbeKind kind, const FmProbeItem *items,
				int nitems, int64_t deadline)
{
	FmProbeAnswer *overdue = &probe->overdue;

	free(overdue->items);
	memset(overdue, 0, sizeof(*overdue));
	overdue->kind = kind;
	overdue->code = FM_KAFKA_TIMED_OUT;
	overdue->npartitions = -1;
	overdue->nitems = nitems;
	overdue->items = copy_items(items, nitems, FM_KAFKA_TIMED_OUT);
	snprintf(overdue->text, sizeof(overdue->text),
			 "the Kafka library did not return in time");
	probe->overdue_at = deadline + OVERDUE_MS;
	return overdue->items != NULL;
}

bool
fm_probe_ask(FmProbe *probe, FmProbeKind kind, const FmProbeItem *items,
			 int nitems, int timeout_ms)
{
	int64_t		deadline = fm_client_now() + timeout_ms;
	FmProbeItem *copy;
	FmProbeCore *core;

	if (in_flight(probe->core))
		return false;
	if (probe->core == NULL)
		probe->core = core_open(probe, NULL, 0);
	core = probe->core;
	copy = copy_items(items, nitems, FM_KAFKA_TIMED_OUT);
	if (core == NULL || copy == NULL ||
		!prepare_overdue(probe, kind, items, nitems, deadline))
	{
		free(copy);
		return false;
	}
	fm_client_drain(probe->fds[0]);

	pthread_mutex_lock(&core->mutex);
	free(core->answer.items);
	memset(&core->answer, 0, sizeof(core->answer));
	core->answer.kind = kind;
	core->answer.npartitions = -1;
	core->answer.items = copy;
	core->answer.nitems = nitems;
	core->kind = kind;
	core->deadline = deadline;
	core->asked = true;
	core->answered = false;
	pthread_cond_broadcast(&core->cond);
	pthread_mutex_unlock(&core->mutex);
	return true;
}

int
fm_probe_fd(FmProbe *probe)
{
	return probe->fds[0];
}

const FmProbeAnswer *
fm_probe_answer(FmProbe *probe)
{
	FmProbeCore *core = probe->core;
	bool		answered;

	if (core == NULL)
		return probe->overdue.items != NULL ? &probe->overdue : NULL;
	pthread_mutex_lock(&core->mutex);
	answered = core->asked && core->answered;
	pthread_mutex_unlock(&core->mutex);
	if (answered)
	{
		fm_client_drain(probe->fds[0]);
		return &core->answer;
	}
	if (!in_flight(core) || fm_client_now() < probe->overdue_at)
		return NULL;

	/* abandon it, with its thread; what it still holds it frees */
	core_close(core);
	pthread_mutex_lock(&core->mutex);
	core_unref(core);
	probe->core = NULL;
	return &probe->overdue;
}

bool
fm_probe_close_wait(FmProbe *probe, int timeout_ms)
{
	int64_t		deadline = fm_client_now() + timeout_ms;
	FmProbeCore *core = probe->core;
	bool		gone = true;

	if (core != NULL)
	{
		core_close(core);
		pthread_mutex_lock(&core->mutex);
		while (!core->gone && timeout_ms > 0 &&
			   fm_client_cond_wait(&core->cond, &core->mutex, deadline) == 0)
			;
		gone = core->gone;
		core_unref(core);
	}
	free_handle(probe);
	return gone;
}

void
fm_probe_close(FmProbe *probe)
{
	fm_probe_close_wait(probe, 0);
}

/* ----------------------------------------------------------------------
 * For a person
 * ------------------------------------------------------------------- */

typedef struct FmLines
{
	FmCheckLine *lines;
	int			max;
	int			count;
} FmLines;

static void add_line(FmLines *out, bool ok, const char *item,
					 const char *format,...)
			__attribute__((format(printf, 4, 5)));

/* Lines beyond the maximum are only counted. */
static void
add_line(FmLines *out, bool ok, const char *item, const char *format,...)
{
	va_list		args;
	FmCheckLine *line;

	if (out->count++ >= out->max)
		return;
	line = &out->lines[out->count - 1];
	line->ok = ok;
	snprintf(line->item, sizeof(line->item), "%s", item);
	va_start(args, format);
	vsnprintf(line->detail, sizeof(line->detail), format, args);
	va_end(args);
}

static const char *
plural(int count)
{
	return count == 1 ? "" : "s";
}

static void
describe_brokers(FmProbeCore *core, FmLines *out)
{
	int			reached = 0;
	char		item[64];

	for (int i = 0; i < core->nbrokers; i++)
		reached += core->brokers[i].reached;
	add_line(out, reached == core->nbrokers, "brokers",
			 "%d of %d broker%s reachable", reached, core->nbrokers,
			 plural(core->nbrokers));
	for (int i = 0; i < core->nbrokers; i++)
	{
		FmProbeBroker *broker = &core->brokers[i];

		snprintf(item, sizeof(item), "broker %d", (int) broker->id);
		if (broker->reached)
			add_line(out, true, item, "%s answers", broker->address);
		else
			add_line(out, false, item, "%s does not answer: %s",
					 broker->address, broker->error);
	}
}

static void
describe_topics(FmProbeCore *core, FmLines *out)
{
	char		item[280];

	for (int i = 0; i < core->ntopics; i++)
	{
		FmProbeTopic *topic = &core->topics[i];

		snprintf(item, sizeof(item), "topic %s", topic->name);
		if (topic->error[0] != '\0')
			add_line(out, false, item, "%s", topic->error);
		else if (topic->leaderless > 0)
			add_line(out, false, item,
					 "%d partition%s, replication factor %d, "
					 "but %d of them without a leader",
					 topic->npartitions, plural(topic->npartitions),
					 topic->replication, topic->leaderless);
		else
			add_line(out, true, item,
					 "%d partition%s, replication factor %d",
					 topic->npartitions, plural(topic->npartitions),
					 topic->replication);
	}
	if (core->ntopics == 0)
		add_line(out, true, "topics", "none that this user may see");
}

/* After an error there is one thing to say, and one not to blame for it. */
static void
describe_failure(FmProbeCore *core, FmLines *out)
{
	const FmProbeAnswer *answer = &core->answer;

	if (answer->code == FM_KAFKA_AUTHENTICATION)
	{
		add_line(out, true, "brokers", "a broker answers");
		add_line(out, false, "login", "refused (%s): %s", core->login,
				 answer->text);
	}
	else
	{
		add_line(out, false, "brokers", "none could be asked: %s",
				 answer->text);
		add_line(out, false, "login", "not tried (%s)", core->login);
	}
}

int
fm_probe_describe(FmProbe *probe, FmCheckLine *lines, int max)
{
	FmProbeCore *core = probe->core;
	FmLines		out = {lines, max, 0};

	if (core == NULL || in_flight(core) || !core->answered ||
		core->kind != FM_PROBE_METADATA)
	{
		add_line(&out, false, "brokers", "%s", core == NULL ?
				 probe->overdue.text : "not asked");
		return out.count;
	}
	if (core->answer.code != FM_KAFKA_OK && core->nbrokers == 0)
		describe_failure(core, &out);
	else
	{
		describe_brokers(core, &out);
		add_line(&out, true, "login", "accepted (%s)", core->login);
		describe_topics(core, &out);
	}
	return out.count;
}
