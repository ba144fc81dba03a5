/*
 * settings.c - names of what can be set, and the help
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "settings.h"

#include "format.h"
#include "inject.h"
#include "malform.h"
#include "version.h"

#include <stdio.h>

const FmSetting fm_settings[] = {
	{OPT_NONE, "Sensor", NULL, NULL, NULL, NULL},
	{OPT_SENSOR_ID, "sensor-id", "ID", "SENSOR_ID",
	"id, or start of the ids of many [type-host]", NULL},
	{OPT_SENSOR_TYPE, "sensor-type", "TYPE", "SENSOR_TYPE",
		"temperature, vibration, energy, humidity, pressure"
	" [temperature; of many: all]", NULL},
	{OPT_INTERVAL, "sampling-interval", "SECONDS", "SAMPLING_INTERVAL",
	"between two readings [by type: 3, 4, 10, 5, 5]", "interval"},
	{OPT_SECTION, "factory-section", "NAME", "FACTORY_SECTION",
	"[production; of many: spread]", NULL},
	{OPT_MACHINE, "machine-id", "ID", "MACHINE_ID",
	"[machine-001; of many: one per five sensors]", NULL},
	{OPT_ZONE, "zone", "NAME", "ZONE", "[zone-a; of many: spread]", NULL},
	{OPT_BASE, "base-value", "X", "BASE_VALUE", "[by type]", NULL},
	{OPT_WARNING, "warning-threshold", "X", "WARNING_THRESHOLD",
	"[by type]", NULL},
	{OPT_CRITICAL, "critical-threshold", "X", "CRITICAL_THRESHOLD",
	"[by type]", NULL},
	{OPT_NONE, "Simulation", NULL, NULL, NULL, NULL},
	{OPT_SENSORS, "sensors", "N", NULL,
	"how many [1; of cities without an id: one each]", NULL},
	{OPT_ANOMALIES, "anomalies", "HOW", NULL,
		"episodes (minutes, on a third of the sensors), independent"
	" (per reading), none [episodes]", NULL},
	{OPT_WARNING_SHARE, "warning-share", "P", NULL,
	"of readings near the warning threshold [0.15]", NULL},
	{OPT_CRITICAL_SHARE, "critical-share", "P", NULL,
	"of readings near or above the critical one [0.05]", NULL},
	{OPT_SEED, "seed", "N", NULL, "same seed, same content [random]", NULL},
	{OPT_START, "start", "TIME", NULL,
		"event time of the first readings, advancing by the interval"
		" however fast they are sent (RFC 3339, @seconds or now)"
	" [the wall clock]", NULL},
	{OPT_RECORD_TIME, "record-time", "WHICH", NULL,
	"timestamp of the Kafka record: now or event [now]", NULL},
	{OPT_NONE, "Amount", NULL, NULL, NULL, NULL},
	{OPT_RATE, "rate", "R", NULL,
	"messages/s in all, 0 as fast as possible [as sampled]", NULL},
	{OPT_COUNT, "count", "N", NULL, "stop after N messages", NULL},
	{OPT_DURATION, "duration", "SECONDS", NULL, "stop after that time", NULL},
	{OPT_NONE, "Content (shares are 0 to 1, of all messages)", NULL, NULL,
	NULL, NULL},
	{OPT_FORMAT, "format", "NAME", "SENSOR_FORMAT",
	"what messages look like (below) [factory]", "sensor-format"},
	{OPT_DUPLICATES, "duplicates", "P", NULL,
		"of readings sent a second time, byte for byte, half of them at once"
	" [0]", NULL},
	{OPT_DUPLICATE_WINDOW, "duplicate-window", "N", NULL,
	"and the others within so many messages [1000]", NULL},
	{OPT_MALFORMED, "malformed", "P", NULL, "broken messages [0]", NULL},
	{OPT_MALFORMED_KINDS, "malformed-kinds", "LIST", NULL,
	"of these kinds only (below) [all]", NULL},
	{OPT_TOMBSTONES, "tombstones", "P", NULL, "records without value [0]",
	NULL},
	{OPT_EXTRA, "extra", "P", NULL,
	"good messages with unknown members and unusual spellings [0]", NULL},
	{OPT_BIG, "big", "P", NULL, "good messages padded with a member [0]",
	NULL},
	{OPT_BIG_BYTES, "big-bytes", "N", NULL, "to about this size [900000]",
	NULL},
	{OPT_UNKEYED, "unkeyed", NULL, NULL,
	"no key: readings of a sensor go to any partition", NULL},
	{OPT_INJECT, "inject", "P", NULL,
	"readings touched by anomalies of each kind (below) [0]", NULL},
	{OPT_INJECT_KINDS, "inject-kinds", "LIST", NULL,
	"of these kinds only [all]", NULL},
	{OPT_NONE, "Kafka", NULL, NULL, NULL, NULL},
	{OPT_BROKERS, "kafka-brokers", "LIST", "KAFKA_BROKERS",
	"[localhost:9092,localhost:9094,localhost:9096]", "brokers"},
	{OPT_TOPIC, "sensor-topic", "NAME", "SENSOR_TOPIC", "[by format]",
	"topic"},
	{OPT_PROPERTY, "property", "NAME=VALUE", "KAFKA_CONFIG_NAME",
		"-X NAME=VALUE: any librdkafka property, repeatable; also"
	" KAFKA_SECURITY_..., KAFKA_SASL_..., KAFKA_SSL_...", NULL},
	{OPT_COMPRESSION, "compression", "CODEC", NULL,
	"none, gzip, snappy, lz4, zstd [none]", NULL},
	{OPT_LINGER, "linger", "MS", NULL, "wait to fill batches [20]", NULL},
	{OPT_TXN_SHARE, "transaction-share", "P", NULL,
	"of messages sent in transactions, by a second client [0]", NULL},
	{OPT_ABORT_SHARE, "abort-share", "P", NULL,
	"of these transactions aborted on purpose [0]", NULL},
	{OPT_TXN_SIZE, "transaction-size", "N", NULL, "messages in one [100]",
	NULL},
	{OPT_TXN_BY, "transaction-by", "WHAT", NULL,
		"message: drawn for each; sensor: some sensors always (keeps the"
	" order of each) [message]", NULL},
	{OPT_TXN_ID, "transactional-id", "ID", NULL, "[producer id]", NULL},
	{OPT_FLUSH_TIMEOUT, "flush-timeout", "SECONDS", NULL,
	"wait for deliveries after a signal [30]", NULL},
	{OPT_NONE, "Reports", NULL, NULL, NULL, NULL},
	{OPT_PRODUCER_ID, "producer-id", "ID", NULL,
	"in heartbeats [sensor id; of many: producer-host]", NULL},
	{OPT_HEARTBEAT, "heartbeat", "SECONDS", NULL,
	"between heartbeat records, 0 for none [10]", NULL},
	{OPT_TRUTH, "truth", "FILE", NULL,
	"append a line for each record that the broker confirmed", NULL},
	{OPT_LABELS, "labels", "FILE", NULL,
	"append a line of JSON for each anomaly that --inject put in", NULL},
	{OPT_PRINT, "print", NULL, NULL,
	"each message on stdout: kind, key, payload (hex unless a reading)",
	NULL},
	{OPT_DRY_RUN, "dry-run", NULL, NULL, "print only, no Kafka", NULL},
	{OPT_VERBOSE, "verbose", NULL, NULL, "-v: progress and library log",
	NULL},
	{OPT_HELP, "help", NULL, NULL, NULL, NULL},
	{OPT_VERSION, "version", NULL, NULL, NULL, NULL},
};

const size_t fm_n_settings = sizeof(fm_settings) / sizeof(fm_settings[0]);

#define HELP_COLUMN 30
#define HELP_WIDTH 80

/* Words from the column on, "used" characters of the line being written. */
static void
print_wrapped(int used, const char *text)
{
	int			at = used < HELP_COLUMN ? used : HELP_WIDTH;

	while (*text)
	{
		int			len = (int) strcspn(text, " ");

		if (at + 1 + len > HELP_WIDTH)
			printf("\n"), at = 0;
		if (at < HELP_COLUMN)
			at += printf("%*s", HELP_COLUMN - at, "");
		else
			at += printf(" ");
		at += printf("%.*s", len, text);
		text += len + (text[len] == ' ');
	}
	printf("\n");
}

void
fm_settings_help(void)
{
	printf("factorymon-producer %s simulates sensors and sends their readings"
		   " to Kafka.\n\nUsage: factorymon-producer [OPTION]...\n",
		   FM_VERSION);
	for (size_t i = 0; i < fm_n_settings; i++)
	{
		const FmSetting *s = &fm_settings[i];
		int			used;

		if (s->id == OPT_NONE)
		{
			printf("\n%s:\n", s->name);
			continue;
		}
		if (s->help == NULL)
			continue;
		used = printf("  --%s%s%s", s->name, s->arg ? " " : "",
					  s->arg ? s->arg : "");
		print_wrapped(used, s->help);
		if (s->env)
			printf("%*senvironment: %s\n", HELP_COLUMN, "", s->env);
	}
	printf("\nFormats:\n");
	for (int i = 0; fm_format(i); i++)
	{
		int			used = printf("  %s", fm_format(i)->name);

		print_wrapped(used, fm_format(i)->help);
		printf("%*stopic: %s\n", HELP_COLUMN, "", fm_format(i)->topic);
	}
	printf("\nMalformed kinds:\n");
	for (int i = 0; fm_malform_name(i); i++)
		printf("  %-14s%s\n", fm_malform_name(i), fm_malform_help(i));
	printf("\nKinds of --inject:\n");
	for (int i = 0; fm_inject_name(i); i++)
		printf("  %-14s%s\n", fm_inject_name(i), fm_inject_help(i));
	printf("\nOptions win over the environment.  SIGTERM and SIGINT stop"
		   " cleanly: what was\nsent is delivered first; a second signal gives"
		   " up waiting.\n\nExit codes: 0 all delivered; 1 something was not,"
		   " or nobody knows; 2 wrong\nusage.\n");
}
