/*-------------------------------------------------------------------------
 *
 * client_conf.c
 *	  Which properties a client of librdkafka is made with.
 *
 * Configuration has three layers, applied in this order: defaults that speed
 * rests on, which a user's property replaces; the user's properties; and what
 * correctness rests on, which nothing replaces.  The list of the third layer
 * is here and nowhere else, together with the properties that must never
 * reach the library at all, because setting them loads code, runs a shell or
 * hands out memory.  options.c adds who may set what.
 *
 * No text made here holds the value of a secret.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))

/* ----------------------------------------------------------------------
 * The lists
 * ------------------------------------------------------------------- */

/* A property that is not the user's to set, and why. */
typedef struct FmRefusal
{
	const char *name;			/* a trailing '*' matches any rest */
	const char *reason;
} FmRefusal;

static const char by_us[] = "it is set by factorymon itself";
static const char for_producers[] = "it belongs to producers";
static const char for_code[] = "it loads code or runs a command";
static const char for_callbacks[] =
"it is not a value but a function or pointer";
static const char for_debugging[] =
"the library's logging is set by factorymon itself";

static const FmRefusal refusals[] = {
	/* what correctness rests on */
	{"enable.auto.commit", by_us},
	{"auto.commit.enable", by_us},
	{"auto.commit.interval.ms", by_us},
	{"enable.auto.offset.store", by_us},
	{"auto.offset.reset", by_us},
	{"enable.partition.eof", by_us},
	{"isolation.level", by_us},
	{"allow.auto.create.topics", by_us},
	{"offset.store.*", by_us},
	{"group.id", by_us},
	{"group.instance.id", by_us},
	{"group.protocol", by_us},
	{"group.protocol.type", by_us},
	{"group.remote.assignor", by_us},
	{"client.id", by_us},
	{"client.software.*", by_us},
	{"statistics.interval.ms", by_us},
	{"topic.blacklist", by_us},
	{"consume.callback.max.messages", by_us},
	{"enabled_events", by_us},
	{"internal.termination.signal", by_us},
	{"enable.random.seed", by_us},
	/* producers */
	{"acks", for_producers},
	{"request.required.acks", for_producers},
	{"enable.idempotence", for_producers},
	{"enable.gapless.guarantee", for_producers},
	{"transactional.id", for_producers},
	{"transaction.timeout.ms", for_producers},
	{"retries", for_producers},
	{"message.send.max.retries", for_producers},
	{"max.in.flight*", for_producers},
	{"queue.buffering.*", for_producers},
	{"linger.ms", for_producers},
	{"batch.*", for_producers},
	{"compression.*", for_producers},
	{"delivery.*", for_producers},
	{"message.timeout.ms", for_producers},
	{"partitioner*", for_producers},
	{"sticky.partitioning.linger.ms", for_producers},
	/* danger */
	{"plugin.library.paths", for_code},
	{"interceptors", for_code},
	{"sasl.kerberos.kinit.cmd", for_code},
	{"ssl.engine.*", for_code},
	{"ssl_engine_callback_data", for_code},
	{"ssl.providers", for_code},
	{"test.mock.*", "it replaces the cluster by a simulated one"},
	/* diagnostics */
	{"debug", for_debugging},
	{"log*", for_debugging},
	/* pointers */
	{"opaque", for_callbacks},
	{"default_topic_conf", for_callbacks},
	{"oauthbearer_token_refresh_cb", for_callbacks},
	{"ssl.certificate.verify_cb", for_callbacks},
	{"background_event_cb", for_callbacks},
	{"consume_cb", for_callbacks},
	{"rebalance_cb", for_callbacks},
	{"offset_commit_cb", for_callbacks},
	{"error_cb", for_callbacks},
	{"throttle_cb", for_callbacks},
	{"stats_cb", for_callbacks},
	{"socket_cb", for_callbacks},
	{"connect_cb", for_callbacks},
	{"closesocket_cb", for_callbacks},
	{"open_cb", for_callbacks},
	{"resolve_cb", for_callbacks},
	{"dr_cb", for_callbacks},
	{"dr_msg_cb", for_callbacks},
};

/* Values that must never appear in a message, a log or a view. */
static const char *const secrets[] = {
	"sasl.password",
	"sasl.oauthbearer.client.secret",
	"sasl.oauthbearer.config",
	"ssl.key.password",
	"ssl.key.pem",
	"ssl.keystore.password",
};

/*
 * First layer: speed.  See bound_prefetch() for the depth of the queue.  The
 * checksum costs a few hundredths of a microsecond per message and is the
 * only thing that tells a damaged log segment from an odd message.  New
 * partitions are noticed within the refresh interval.  A broker answers a
 * fetch as soon as there is data, so a longer wait makes nothing later but the
 * first fetch of a partition that is assigned anew while its broker is idle,
 * and halves what an idle consumer costs.  A worker that was killed keeps its
 * partitions for a session timeout: ten seconds instead of the library's 45.  A
 * thread of its own sends the heartbeats, and to lose a partition for nothing
 * costs a rebalance, not a message.
 */
static const FmProperty common_defaults[] = {
	{"socket.nagle.disable", "true"},
	{"socket.keepalive.enable", "true"},
	{"topic.metadata.refresh.interval.ms", "10000"},
};
static const FmProperty reader_defaults[] = {
	{"check.crcs", "true"},
};
static const FmProperty consumer_defaults[] = {
	{"fetch.wait.max.ms", "1000"},
	{"partition.assignment.strategy", "range,roundrobin"},
	{"session.timeout.ms", "10000"},
};

/*
 * Somebody waits for a probe: give up sooner than after a minute.  It asks for
 * metadata itself.
 */
static const FmProperty probe_defaults[] = {
	{"socket.timeout.ms", "10000"},
	{"topic.metadata.refresh.interval.ms", "300000"},
};

/*
 * Somebody waits for alerts, but not for milliseconds: without any delay each
 * becomes a request of its own wherever there are many, and the library polls
 * without pause while one cannot be sent yet.
 */
static const FmProperty producer_defaults[] = {
	{"linger.ms", "5"},
};

/* Third layer: correctness. */
static const FmProperty common_forced[] = {
	{"statistics.interval.ms", "0"},
	{"log.queue", "true"},
};
static const FmProperty reader_forced[] = {
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "error"},
	{"enable.partition.eof", "true"},
	{"isolation.level", "read_committed"},
	{"allow.auto.create.topics", "false"},
};

/*
 * The sender's: a message is sent until a broker has it, in the order in
 * which it was handed over, and goes where a Java client with the same key
 * would send it.
 */
static const FmProperty producer_forced[] = {
	{"enable.idempotence", "true"},
	{"acks", "all"},
	{"message.timeout.ms", "0"},
	{"partitioner", "murmur2_random"},
};

/* A probe wants few messages, and the end of a partition soon. */
static const FmProperty probe_forced[] = {
	{"fetch.wait.max.ms", "10"},
	{"fetch.min.bytes", "1"},
	{"fetch.message.max.bytes", "262144"},
	{"queued.min.messages", "1000"},
	{"queued.max.messages.kbytes", "4096"},
	{"partition.assignment.strategy", "range"},
};

/* ----------------------------------------------------------------------
 * One property
 * ------------------------------------------------------------------- */

bool
fm_kafka_property_is_secret(const char *name)
{
	for (int i = 0; i < lengthof(secrets); i++)
	{
		if (strcmp(secrets[i], name) == 0)
			return true;
	}
	return false;
}

/* True if a pattern of the refusals covers the name. */
static bool
pattern_matches(const char *pattern, const char *name)
{
	size_t		len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strcmp(pattern, name) == 0;
}

const char *
fm_kafka_property_refusal(const char *name)
{
	for (int i = 0; i < lengthof(refusals); i++)
	{
		if (pattern_matches(refusals[i].name, name))
			return refusals[i].reason;
	}
	return NULL;
}

/*
 * The library reads numbers into an int and lets them wrap around before it
 * looks at their range: 4294967297 would pass for 1.
 */
static bool
number_overflows(const char *value)
{
	char	   *end;
	long long	number;

	errno = 0;
	number = strtoll(value, &end, 0);
	return end != value && *end == '\0' &&
		(errno == ERANGE || number > INT_MAX || number < INT_MIN);
}

/*
 * Set one property.  A missing property is no error if *missing is there to
 * be told.  The library's own text is passed on only where it cannot hold a
 * secret.
 */
static bool
set_property(rd_kafka_conf_t *conf, const char *name, const char *value,
			 bool *missing, char *error, size_t errlen)
{
	char		text[256] = "";
	rd_kafka_conf_res_t result;

	if (missing != NULL)
		*missing = false;
	if (number_overflows(value) && !fm_kafka_property_is_secret(name))
	{
		fm_client_format(error, errlen,
						 "value of property \"%s\" is out of range", name);
		return false;
	}
	result = rd_kafka_conf_set(conf, name, value, text, sizeof(text));
	if (result == RD_KAFKA_CONF_OK)
		return true;
	if (result == RD_KAFKA_CONF_UNKNOWN)
	{
		if (missing != NULL)
		{
			*missing = true;
			return true;
		}
		fm_client_format(error, errlen, "librdkafka %s has no property \"%s\"",
						 rd_kafka_version_str(), name);
	}
	else if (fm_kafka_property_is_secret(name) || text[0] == '\0')
		fm_client_format(error, errlen,
						 "librdkafka refuses the value of property \"%s\"",
						 name);
	else if (strstr(text, name) != NULL)
		fm_client_format(error, errlen, "%s", text);
	else
		fm_client_format(error, errlen, "property \"%s\": %s", name, text);
	return false;
}

/* One of the user's properties: refused ones never reach the library. */
static bool
set_user_property(rd_kafka_conf_t *conf, const char *name, const char *value,
				  char *error, size_t errlen)
{
	const char *reason = fm_kafka_property_refusal(name);

	if (reason != NULL)
	{
		fm_client_format(error, errlen,
						 "property \"%s\" cannot be set: %s", name, reason);
		return false;
	}
	return set_property(conf, name, value, NULL, error, errlen);
}

bool
fm_kafka_check_property(const char *name, const char *value,
						char *error, size_t errlen)
{
	rd_kafka_conf_t *scratch = rd_kafka_conf_new();
	bool		ok = set_user_property(scratch, name, value, error, errlen);

	rd_kafka_conf_destroy(scratch);
	return ok;
}

/* ----------------------------------------------------------------------
 * All of them
 * ------------------------------------------------------------------- */

const char *
fm_client_property(const FmConsumerConfig *config, const char *name)
{
	for (int i = config->nproperties - 1; i >= 0; i--)
	{
		if (strcmp(config->properties[i].name, name) == 0)
			return config->properties[i].value;
	}
	return NULL;
}

static bool
set_properties(rd_kafka_conf_t *conf, const FmProperty *properties, int count,
			   char *error, size_t errlen)
{
	for (int i = 0; i < count; i++)
	{
		if (!set_property(conf, properties[i].name, properties[i].value, NULL,
						  error, errlen))
			return false;
	}
	return true;
}

/* Set a property to a number, between bounds. */
static bool
set_number(rd_kafka_conf_t *conf, const char *name, int64_t number,
		   int64_t least, int64_t most, char *error, size_t errlen)
{
	char		text[32];

	if (number < least)
		number = least;
	if (number > most)
		number = most;
	snprintf(text, sizeof(text), "%" PRId64, number);
	return set_property(conf, name, text, NULL, error, errlen);
}

/*
 * Keep the prefetch below max_queued_bytes, whatever the user asked for: in
 * bytes of values and, as small messages cost more than their bytes, in
 * messages.  A request in flight comes on top of what is queued, so it is
 * kept small against the queue, unless the user has set sizes of requests or
 * messages.
 */
static bool
bound_prefetch(rd_kafka_conf_t *conf, const FmConsumerConfig *config,
			   char *error, size_t errlen)
{
	const char *limit = "queued.max.messages.kbytes";
	const char *asked = fm_client_property(config, limit);
	int64_t		bound = config->max_queued_bytes;
	int64_t		kbytes = bound / 1000;

	if (asked != NULL && strtoll(asked, NULL, 0) < kbytes)
		kbytes = strtoll(asked, NULL, 0);
	if (!set_number(conf, limit, kbytes, 1024, INT_MAX / 1024,
					error, errlen))
		return false;
	if (fm_client_property(config, "queued.min.messages") == NULL &&
		!set_number(conf, "queued.min.messages",
					bound / FM_CLIENT_MESSAGE_PRICE, 10000, 10000000,
					error, errlen))
		return false;
	if (fm_client_property(config, "fetch.max.bytes") != NULL ||
		fm_client_property(config, "message.max.bytes") != NULL ||
		fm_client_property(config, "receive.message.max.bytes") != NULL)
		return true;
	return set_number(conf, "fetch.max.bytes", bound / 4, 1048576, 16777216,
					  error, errlen);
}

/*
 * Only eager assignors: the code that follows an assignment relies on the
 * full list coming with each, and librdkafka's cooperative one had serious
 * bugs up to 2.10.
 */
static bool
check_assignors(const FmConsumerConfig *config, char *error, size_t errlen)
{
	const char *name = "partition.assignment.strategy";
	const char *value = fm_client_property(config, name);

	if (value == NULL || fm_kafka_assignors_are_eager(value))
		return true;
	fm_client_format(error, errlen, "value of property \"%s\" must be "
					 "\"range\", \"roundrobin\" or both", name);
	return false;
}

bool
fm_kafka_assignors_are_eager(const char *value)
{
	while (*value != '\0')
	{
		size_t		len = strcspn(value, ",");

		if (!(len == 5 && strncmp(value, "range", len) == 0) &&
			!(len == 10 && strncmp(value, "roundrobin", len) == 0))
			return false;
		value += len;
		if (*value == ',' && *++value == '\0')
			return false;
	}
	return true;
}

/* Properties that only a consumer has, and those only newer versions know. */
static bool
configure_consumer(rd_kafka_conf_t *conf, const FmConsumerConfig *config,
				   bool *self_waking, char *error, size_t errlen)
{
	bool		missing;

	if (!bound_prefetch(conf, config, error, errlen) ||
		!check_assignors(config, error, errlen) ||
		!set_property(conf, "group.id", config->group, NULL, error, errlen))
		return false;
	if (config->group_instance_id != NULL &&
		!set_property(conf, "group.instance.id", config->group_instance_id,
					  NULL, error, errlen))
		return false;
	if (!set_property(conf, "group.protocol", "classic", &missing,
					  error, errlen))
		return false;
	if (fm_client_property(config, "fetch.queue.backoff.ms") == NULL)
	{
		if (!set_property(conf, "fetch.queue.backoff.ms", "10", &missing,
						  error, errlen))
			return false;
		*self_waking = !missing;
	}
	else
		*self_waking = true;
	return true;
}

bool
fm_client_uses_oauthbearer(const FmConsumerConfig *config)
{
	const char *mechanism = fm_client_property(config, "sasl.mechanism");

	if (mechanism == NULL)
		mechanism = fm_client_property(config, "sasl.mechanisms");
	return mechanism != NULL && strcmp(mechanism, "OAUTHBEARER") == 0;
}

/* The layers of properties around the user's, by kind of client. */
typedef struct FmLayer
{
	const FmProperty *properties;
	int			n;
	unsigned	kinds;			/* bit of each FmClientKind */
} FmLayer;

#define OF_CONSUMER	(1U << FM_CLIENT_CONSUMER)
#define OF_PROBE	(1U << FM_CLIENT_PROBE)
#define OF_PRODUCER (1U << FM_CLIENT_PRODUCER)
#define OF_READERS	(OF_CONSUMER | OF_PROBE)
#define OF_ALL		(OF_READERS | OF_PRODUCER)

static const FmLayer defaults[] = {
	{common_defaults, lengthof(common_defaults), OF_ALL},
	{reader_defaults, lengthof(reader_defaults), OF_READERS},
	{consumer_defaults, lengthof(consumer_defaults), OF_CONSUMER},
	{probe_defaults, lengthof(probe_defaults), OF_PROBE},
	{producer_defaults, lengthof(producer_defaults), OF_PRODUCER},
};
static const FmLayer forced[] = {
	{common_forced, lengthof(common_forced), OF_ALL},
	{reader_forced, lengthof(reader_forced), OF_READERS},
	{producer_forced, lengthof(producer_forced), OF_PRODUCER},
};

static bool
set_layers(rd_kafka_conf_t *conf, const FmLayer *layers, int n,
		   FmClientKind kind, char *error, size_t errlen)
{
	for (int i = 0; i < n; i++)
	{
		if ((layers[i].kinds & (1U << kind)) != 0 &&
			!set_properties(conf, layers[i].properties, layers[i].n,
							error, errlen))
			return false;
	}
	return true;
}

/* All three layers into a new configuration; NULL and a text on refusal. */
rd_kafka_conf_t *
fm_client_conf(FmClientKind kind, const FmConsumerConfig *config, int events,
			   bool *self_waking, char *error, size_t errlen)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool		ok;

	ok = set_layers(conf, defaults, lengthof(defaults), kind, error, errlen);
	/* Without a keytab the library has no reason to run kinit in a shell. */
	if (ok && fm_client_property(config, "sasl.kerberos.keytab") == NULL)
		ok = set_property(conf, "sasl.kerberos.min.time.before.relogin", "0",
						  NULL, error, errlen);
	for (int i = 0; ok && i < config->nproperties; i++)
		ok = set_user_property(conf, config->properties[i].name,
							   config->properties[i].value, error, errlen);
	ok = ok && set_layers(conf, forced, lengthof(forced), kind, error, errlen);
	if (ok && config->client_id != NULL)
		ok = set_property(conf, "client.id", config->client_id, NULL,
						  error, errlen);
	if (ok && kind == FM_CLIENT_CONSUMER)
		ok = configure_consumer(conf, config, self_waking, error, errlen);
	if (ok && kind == FM_CLIENT_PROBE)
		ok = set_properties(conf, probe_forced, lengthof(probe_forced),
							error, errlen);
	if (!ok)
	{
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_events(conf, events);
	/*
	 * Tokens are refreshed on the library's own background thread by its own
	 * code; as an event it would reach nobody who could answer it.
	 */
	if (fm_client_uses_oauthbearer(config))
		rd_kafka_conf_enable_sasl_queue(conf, 1);
	return conf;
}
