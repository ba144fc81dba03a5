/*-------------------------------------------------------------------------
 *
 * test_client.c
 *	  Properties, versions, digests: what needs no broker.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client.h"
#include "harness.h"

static char error[512];

static bool
accepted(const char *name, const char *value)
{
	error[0] = '\0';
	return fm_kafka_check_property(name, value, error, sizeof(error));
}

static void
test_properties(void)
{
	check(accepted("session.timeout.ms", "45000"), "a good value is accepted");
	check(!accepted("session.timeout.ms", "soon") &&
		  strstr(error, "session.timeout.ms"),
		  "a bad value is refused, its property named: %s", error);
	check(!accepted("session.timeout.ms", "4294967297"),
		  "a number that would wrap around is refused: %s", error);
	check(!accepted("session.timeout.ms ", "45000"),
		  "a trailing space in a name is refused: %s", error);
	check(!accepted("no.such.property", "1") &&
		  strstr(error, "no.such.property"), "unknown: %s", error);
	check(!accepted("security.protocol", "geheim"),
		  "an unknown choice is refused: %s", error);
	check(accepted("sasl.password", "99999999999999999999"),
		  "a password of digits is no number");
	check(!accepted("plugin.library.paths", "evil"),
		  "plugins are never loaded: %s", error);
	check(!accepted("sasl.kerberos.kinit.cmd", "id"), "kinit: %s", error);
	check(!accepted("test.mock.num.brokers", "3"), "mock: %s", error);
	check(!accepted("log_level", "7"), "log: %s", error);
	check(fm_kafka_property_is_secret("ssl.key.pem") &&
		  !fm_kafka_property_is_secret("ssl.ca.pem"),
		  "a key is a secret, a certificate is not");
	check(fm_kafka_property_refusal("isolation.level") != NULL &&
		  fm_kafka_property_refusal("fetch.max.bytes") == NULL,
		  "what correctness rests on is not the user's");
	check(fm_kafka_assignors_are_eager("range") &&
		  fm_kafka_assignors_are_eager("roundrobin,range") &&
		  !fm_kafka_assignors_are_eager("cooperative-sticky") &&
		  !fm_kafka_assignors_are_eager("range,cooperative-sticky") &&
		  !fm_kafka_assignors_are_eager("range,") &&
		  !fm_kafka_assignors_are_eager("rang"), "only eager assignors");
}

/* What a configuration ends up with, or "" if it is refused. */
static const char *
effective(FmConsumerConfig *config, FmClientKind kind, const char *name)
{
	static char value[256];
	size_t		len = sizeof(value);
	bool		waking;
	rd_kafka_conf_t *conf;

	conf = fm_client_conf(kind, config, 0, &waking, error, sizeof(error));
	value[0] = '\0';
	if (conf == NULL)
		return "";
	rd_kafka_conf_get(conf, name, value, &len);
	rd_kafka_conf_destroy(conf);
	return value;
}

static void
test_layers(void)
{
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	FmConsumerConfig *config = make_config(&nowhere, "topic", "group");

	check(strcmp(effective(config, FM_CLIENT_CONSUMER, "isolation.level"),
				 "read_committed") == 0 &&
		  strcmp(effective(config, FM_CLIENT_PROBE, "isolation.level"),
				 "read_committed") == 0, "both kinds read committed only");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER,
						   "queued.max.messages.kbytes"), "67108") == 0,
		  "the queue is bounded by max_queued_bytes");
	config_set(config, "queued.max.messages.kbytes", "2000000");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER,
						   "queued.max.messages.kbytes"), "67108") == 0,
		  "a property cannot raise that bound");
	config_set(config, "queued.max.messages.kbytes", "2048");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER,
						   "queued.max.messages.kbytes"), "2048") == 0,
		  "but lower it; the last of two values counts");
	config_set(config, "socket.nagle.disable", "false");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER,
						   "socket.nagle.disable"), "false") == 0,
		  "a default gives way");
	config_set(config, "isolation.level", "read_uncommitted");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER, "isolation.level"),
				 "") == 0 && strstr(error, "isolation.level"),
		  "a forced property is refused, not ignored: %s", error);
	config->nproperties = 1;
	config_set(config, "partition.assignment.strategy", "cooperative-sticky");
	check(strcmp(effective(config, FM_CLIENT_CONSUMER, "client.id"),
				 "") == 0, "a cooperative assignor is refused: %s", error);
	config->nproperties = 1;
	config_set(config, "sasl.password", "geheim");
	config_set(config, "security.protocol", "nonsense");
	effective(config, FM_CLIENT_CONSUMER, "client.id");
	check(strstr(error, "geheim") == NULL, "no secret in an error: %s", error);
}

static void
test_open_refusals(void)
{
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	FmConsumerConfig *config = make_config(&nowhere, "^sensor.*", "group");

	check(fm_consumer_open(config, error, sizeof(error)) == NULL,
		  "a pattern is no topic: %s", error);
	config = make_config(&nowhere, "topic", NULL);
	check(fm_consumer_open(config, error, sizeof(error)) == NULL,
		  "a consumer without a group is refused: %s", error);
	config = make_config(&nowhere, "topic", "group");
	config->nproperties = 0;
	check(fm_consumer_open(config, error, sizeof(error)) == NULL,
		  "and one without servers: %s", error);
	check(fm_probe_open(config, error, sizeof(error)) == NULL,
		  "a probe likewise: %s", error);
	config = make_config(&nowhere, "topic", "group");
	config_set(config, "security.protocol", "ssl");
	config_set(config, "ssl.ca.location", "/nonexistent");
	check(fm_consumer_open(config, error, sizeof(error)) == NULL,
		  "what only the whole configuration shows is reported: %s", error);

	check(fm_client_version_refusal(0x020100ff) != NULL &&
		  fm_client_version_refusal(0x02010001) != NULL,
		  "librdkafka 2.1.0 and its candidates are refused");
	check(fm_client_version_refusal(0x020002ff) == NULL &&
		  fm_client_version_refusal(0x020101ff) == NULL &&
		  fm_client_version_refusal(0x020300ff) == NULL,
		  "2.0.2, 2.1.1 and 2.3.0 are not");
}

/* A token is made by the library's own thread, whatever events we ask for. */
static void
test_oauthbearer(void)
{
	Cluster		nowhere = {"127.0.0.1:1", NULL, NULL};
	FmConsumerConfig *config = make_config(&nowhere, "topic", "group");
	FmConsumer *consumer;

	config_set(config, "security.protocol", "sasl_plaintext");
	config_set(config, "sasl.mechanism", "OAUTHBEARER");
	config_set(config, "enable.sasl.oauthbearer.unsecure.jwt", "true");
	config_set(config, "sasl.oauthbearer.config", "principal=unit");
	consumer = fm_consumer_open(config, error, sizeof(error));
	if (check(consumer != NULL, "OAUTHBEARER can be used"))
		check(fm_consumer_close(consumer, 5000), "and closed");
}

int
main(void)
{
	test_properties();
	test_layers();
	test_open_refusals();
	test_oauthbearer();
	return finish();
}
