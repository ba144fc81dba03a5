/*
 * options.c - what the producer was asked to do
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Names are in settings.c.  To add a setting: a line there and a case in
 * set_option.
 */
#include "options.h"

#include "buf.h"
#include "canon.h"
#include "clock.h"
#include "inject.h"
#include "malform.h"
#include "places.h"
#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Complain about a setting; the value is shown, so not for secrets. */
static bool
refuse(const char *source, const char *value, const char *expected)
{
	fprintf(stderr, "factorymon-producer: %s: \"%s\" is not %s\n", source,
			value, expected);
	return false;
}

static bool
read_number(const char *source, const char *text, double lo, double hi,
			double *to)
{
	char	   *end;
	char		expected[80];

	errno = 0;
	*to = strtod(text, &end);
	if (end != text && *end == '\0' && *to >= lo && *to <= hi)
		return true;
	if (isinf(hi))
		snprintf(expected, sizeof(expected), "a number of at least %g", lo);
	else
		snprintf(expected, sizeof(expected), "a number from %g to %g", lo, hi);
	return refuse(source, text, expected);
}

static bool
read_count(const char *source, const char *text, uint64_t lo, uint64_t hi,
		   uint64_t *to)
{
	char	   *end;
	char		expected[80];

	errno = 0;
	*to = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 &&
		*to >= lo && *to <= hi)
		return true;
	snprintf(expected, sizeof(expected), "a whole number from %llu to %llu",
			 (unsigned long long) lo, (unsigned long long) hi);
	return refuse(source, text, expected);
}

/* One of the words; its index goes to *to. */
static bool
read_word(const char *source, const char *text, const char *words, int *to)
{
	char		expected[80];
	size_t		len = strlen(text);

	*to = 0;
	for (const char *w = words; *w; w += strcspn(w, "|"), w += *w == '|')
	{
		if (strcspn(w, "|") == len && memcmp(w, text, len) == 0)
			return true;
		++*to;
	}
	snprintf(expected, sizeof(expected), "one of %s", words);
	return refuse(source, text, expected);
}

/* Text that goes into JSON: UTF-8, not empty, of sane length. */
static bool
read_text(const char *source, const char *text, const char **to)
{
	size_t		len = strlen(text);
	size_t		n;

	*to = text;
	for (size_t i = 0; i < len; i += n)
		if ((n = fm_utf8_len((const unsigned char *) text + i, len - i)) == 0)
			return refuse(source, "?", "valid UTF-8");
	if (len == 0 || len > 200)
		return refuse(source, text, "a text of 1 to 200 bytes");
	return true;
}

static bool
set_plant(FmOptions *o, int id, const char *src, const char *v)
{
	FmFleetSettings *f = &o->fleet;
	uint64_t	n;
	int			word;

	switch (id)
	{
		case OPT_SENSOR_ID:
			return read_text(src, v, &f->sensor_id);
		case OPT_SENSOR_TYPE:
			f->type = fm_sensor_type_find(v);
			return f->type || refuse(src, v, "one of temperature, vibration,"
									 " energy, humidity, pressure");
		case OPT_INTERVAL:
			return read_number(src, v, 1e-6, 1e7, &f->interval);
		case OPT_SECTION:
			return read_text(src, v, &f->section);
		case OPT_MACHINE:
			return read_text(src, v, &f->machine);
		case OPT_ZONE:
			return read_text(src, v, &f->zone);
		case OPT_BASE:
			return read_number(src, v, -1e9, 1e9, &f->base);
		case OPT_WARNING:
			return read_number(src, v, -1e9, 1e9, &f->warning);
		case OPT_CRITICAL:
			return read_number(src, v, -1e9, 1e9, &f->critical);
		case OPT_SENSORS:
			if (!read_count(src, v, 1, 10000000, &n))
				return false;
			f->sensors = (uint32_t) n;
			return true;
		case OPT_ANOMALIES:
			if (!read_word(src, v, "episodes|independent|none", &word))
				return false;
			f->anomalies = (FmAnomalies) word;
			return true;
		case OPT_WARNING_SHARE:
			return read_number(src, v, 0, 1, &f->warning_share);
		case OPT_CRITICAL_SHARE:
			return read_number(src, v, 0, 1, &f->critical_share);
		case OPT_SEED:
			return read_count(src, v, 0, UINT64_MAX, &f->seed);
		case OPT_START:
			o->start_given = true;
			return fm_time_parse(v, &f->start) ||
				refuse(src, v, "RFC 3339, @seconds or now");
		default:
			abort();
	}
}

static bool
set_format(FmOptions *o, const char *src, const char *v)
{
	FmBuf		expected = FM_BUF_INIT;

	for (int i = 0; fm_format(i); i++)
	{
		if (strcmp(fm_format(i)->name, v) == 0)
		{
			o->format = fm_format(i);
			fm_buf_free(&expected);
			return true;
		}
		fm_buf_puts(&expected, i == 0 ? "one of " : ", ");
		fm_buf_puts(&expected, fm_format(i)->name);
	}
	fm_buf_putc(&expected, '\0');
	refuse(src, v, expected.data);
	fm_buf_free(&expected);
	return false;
}

static bool
set_content(FmOptions *o, int id, const char *src, const char *v)
{
	uint64_t	n;

	switch (id)
	{
		case OPT_FORMAT:
			return set_format(o, src, v);
		case OPT_DUPLICATES:
			return read_number(src, v, 0, 1, &o->duplicate_share);
		case OPT_DUPLICATE_WINDOW:
			if (!read_count(src, v, 1, 1000000, &n))
				return false;
			o->duplicate_window = (uint32_t) n;
			return true;
		case OPT_RATE:
			return read_number(src, v, 0, 1e9, &o->rate);
		case OPT_COUNT:
			return read_count(src, v, 1, INT64_MAX, &o->count);
		case OPT_DURATION:
			return read_number(src, v, 1e-3, 1e9, &o->duration);
		case OPT_MALFORMED:
			return read_number(src, v, 0, 1, &o->malformed_share);
		case OPT_MALFORMED_KINDS:
			o->malformed_set = fm_malform_parse(v);
			return o->malformed_set || refuse(src, v, "a list of kinds");
		case OPT_TOMBSTONES:
			return read_number(src, v, 0, 1, &o->tombstone_share);
		case OPT_EXTRA:
			return read_number(src, v, 0, 1, &o->extra_share);
		case OPT_BIG:
			return read_number(src, v, 0, 1, &o->big_share);
		case OPT_BIG_BYTES:
			if (!read_count(src, v, 1000, 500000000, &n))
				return false;
			o->big_bytes = (uint32_t) n;
			return true;
		case OPT_UNKEYED:
			o->unkeyed = true;
			return true;
		case OPT_INJECT:
			return read_number(src, v, 0, 0.1, &o->inject_share);
		case OPT_INJECT_KINDS:
			o->inject_set = fm_inject_parse(v);
			return o->inject_set || refuse(src, v, "a list of kinds");
		default:
			abort();
	}
}

static bool
set_kafka(FmOptions *o, int id, const char *src, const char *v)
{
	uint64_t	n;
	int			word;

	switch (id)
	{
		case OPT_BROKERS:
			o->brokers = v;
			return *v || refuse(src, v, "a list of brokers");
		case OPT_TOPIC:
			return read_text(src, v, &o->topic);
		case OPT_COMPRESSION:
			o->compression = v;
			return read_word(src, v, "none|gzip|snappy|lz4|zstd", &word);
		case OPT_LINGER:
			return read_number(src, v, 0, 900000, &o->linger);
		case OPT_TXN_SHARE:
			return read_number(src, v, 0, 1, &o->transaction_share);
		case OPT_ABORT_SHARE:
			return read_number(src, v, 0, 1, &o->abort_share);
		case OPT_TXN_SIZE:
			if (!read_count(src, v, 1, 100000, &n))
				return false;
			o->transaction_size = (uint32_t) n;
			return true;
		case OPT_TXN_BY:
			if (!read_word(src, v, "message|sensor", &word))
				return false;
			o->transaction_by_sensor = word == 1;
			return true;
		case OPT_TXN_ID:
			return read_text(src, v, &o->transactional_id);
		case OPT_FLUSH_TIMEOUT:
			return read_number(src, v, 0, 1e6, &o->flush_timeout);
		default:
			abort();
	}
}

static bool
set_report(FmOptions *o, int id, const char *src, const char *v)
{
	int			word;

	switch (id)
	{
		case OPT_RECORD_TIME:
			if (!read_word(src, v, "now|event", &word))
				return false;
			o->record_time_event = word == 1;
			return true;
		case OPT_PRODUCER_ID:
			return read_text(src, v, &o->producer_id);
		case OPT_HEARTBEAT:
			return read_number(src, v, 0, 86400, &o->heartbeat);
		case OPT_TRUTH:
			o->truth = v;
			return true;
		case OPT_LABELS:
			o->labels = v;
			return true;
		case OPT_DRY_RUN:
			o->dry_run = true;
			o->print = true;
			return true;
		case OPT_PRINT:
			o->print = true;
			return true;
		case OPT_VERBOSE:
			o->verbose = true;
			return true;
		default:
			abort();
	}
}

static bool
set_option(FmOptions *o, int id, const char *source, const char *value)
{
	switch (id)
	{
		case OPT_FORMAT: case OPT_DUPLICATES: case OPT_DUPLICATE_WINDOW:
		case OPT_RATE: case OPT_COUNT: case OPT_DURATION: case OPT_MALFORMED:
		case OPT_MALFORMED_KINDS: case OPT_TOMBSTONES: case OPT_EXTRA:
		case OPT_BIG: case OPT_BIG_BYTES: case OPT_UNKEYED: case OPT_INJECT:
		case OPT_INJECT_KINDS:
			return set_content(o, id, source, value);
		case OPT_BROKERS: case OPT_TOPIC: case OPT_COMPRESSION:
		case OPT_LINGER: case OPT_TXN_SHARE: case OPT_ABORT_SHARE:
		case OPT_TXN_SIZE: case OPT_TXN_BY: case OPT_TXN_ID:
		case OPT_FLUSH_TIMEOUT:
			return set_kafka(o, id, source, value);
		case OPT_RECORD_TIME: case OPT_PRODUCER_ID: case OPT_HEARTBEAT:
		case OPT_TRUTH: case OPT_LABELS: case OPT_PRINT: case OPT_DRY_RUN: case OPT_VERBOSE:
			return set_report(o, id, source, value);
		default:
			return set_plant(o, id, source, value);
	}
}

static void
set_defaults(FmOptions *o)
{
	static char host[256];

	memset(o, 0, sizeof(*o));
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		strcpy(host, "localhost");
	o->host = host;
	o->fleet.host = host;
	o->fleet.interval = o->fleet.base = NAN;
	o->fleet.warning = o->fleet.critical = NAN;
	o->fleet.warning_share = 0.15;
	o->fleet.critical_share = 0.05;
	o->fleet.seed = fm_fnv1a64(host, strlen(host)) ^
		((uint64_t) getpid() << 32) ^ (uint64_t) fm_clock_wall();
	o->fleet.start = fm_clock_wall();
	o->rate = -1;
	o->format = fm_format(0);
	o->duplicate_window = 1000;
	o->malformed_set = fm_malform_parse("all");
	o->big_bytes = 900000;
	o->brokers = "localhost:9092,localhost:9094,localhost:9096";
	o->linger = 20;
	o->transaction_size = 100;
	o->flush_timeout = 30;
	o->heartbeat = 10;
}

static bool
read_environment(FmOptions *o)
{
	for (size_t i = 0; i < fm_n_settings; i++)
	{
		const char *value = fm_settings[i].env && fm_settings[i].id != OPT_PROPERTY
			? getenv(fm_settings[i].env) : NULL;

		if (value && *value &&
			!set_option(o, fm_settings[i].id, fm_settings[i].env, value))
			return false;
	}
	return true;
}

/* The table as getopt_long wants it; to be freed. */
static struct option *
make_long_options(void)
{
	struct option *longs = fm_xcalloc(2 * fm_n_settings + 1,
									  sizeof(struct option));
	size_t		n = 0;

	for (size_t i = 0; i < fm_n_settings; i++)
	{
		const FmSetting *s = &fm_settings[i];

		if (s->id == OPT_NONE)
			continue;
		longs[n++] = (struct option) {s->name, s->arg ? required_argument
		: no_argument, NULL, s->id};
		if (s->alias)
			longs[n++] = (struct option) {s->alias, required_argument, NULL,
			s->id};
	}
	return longs;				/* ends with zeros */
}

/* -1: all read; else the exit code. */
static int
read_command_line(FmOptions *o, const struct option *longs, int argc,
				  char **argv)
{
	int			id;
	int			index = 0;

	while ((id = getopt_long(argc, argv, "b:t:X:vh", longs, &index)) != -1)
	{
		char		source[64];

		if (id == OPT_HELP || id == 'h')
			return fm_settings_help(), FM_EXIT_OK;
		if (id == OPT_VERSION)
			return puts("factorymon-producer " FM_VERSION), FM_EXIT_OK;
		if (id == '?')
			return FM_EXIT_USAGE;
		if (id < 256)
			snprintf(source, sizeof(source), "-%c", id);
		else
			snprintf(source, sizeof(source), "--%s", longs[index].name);
		if (id == 'X' || id == OPT_PROPERTY)
		{
			if (!fm_properties_add_option(&o->properties, optarg))
				return fprintf(stderr, "factorymon-producer: %s takes"
							   " NAME=VALUE\n", source), FM_EXIT_USAGE;
			continue;
		}
		id = id == 'b' ? OPT_BROKERS : id == 't' ? OPT_TOPIC
			: id == 'v' ? OPT_VERBOSE : id;
		if (!set_option(o, id, source, optarg))
			return FM_EXIT_USAGE;
	}
	if (optind < argc)
	{
		refuse("command line", argv[optind], "an option");
		return FM_EXIT_USAGE;
	}
	return -1;
}

static bool
complain(const char *what)
{
	fprintf(stderr, "factorymon-producer: %s\n", what);
	return false;
}

/* What depends on the format, where nobody said otherwise. */
static void
set_by_format(FmOptions *o)
{
	FmFleetSettings *f = &o->fleet;

	f->plant = o->format->plant;
	if (f->sensors == 0)
		f->sensors = f->plant == FM_PLANT_CITIES && f->sensor_id == NULL
			? fm_cities : 1;
	if (o->topic == NULL)
		o->topic = o->format->topic;
	if (o->inject_set == 0)
	{
		o->inject_set = fm_inject_parse("all");
		if (o->format != fm_format(0))
			o->inject_set &= ~fm_inject_parse("gap");
	}
}

/* Limits of temperature in the places of the format. */
static bool
check_limits(const FmOptions *o)
{
	const FmFleetSettings *f = &o->fleet;

	if (f->plant == FM_PLANT_FACTORY && f->sensors > 1 && f->type == NULL)
		return complain("base value and thresholds for many sensors need a"
						" sensor type");
	for (uint32_t i = 0; i < f->sensors && i < fm_cities; i++)
	{
		const FmSensorType *t = fm_fleet_type(f, i);
		double		warning = isnan(f->warning) ? t->warning : f->warning;
		double		critical = isnan(f->critical) ? t->critical : f->critical;

		if (!(warning < critical))
			return complain("the warning threshold must be below the critical"
							" one");
		if (f->plant != FM_PLANT_FACTORY &&
			(f->base < t->floor || f->base > t->ceiling))
			return complain("the format has no such base value");
	}
	return true;
}

/* What no setting can be judged for by itself. */
static bool
check_together(const FmOptions *o)
{
	const FmFleetSettings *f = &o->fleet;

	if ((!isnan(f->base) || !isnan(f->warning) || !isnan(f->critical)) &&
		!check_limits(o))
		return false;
	if (f->plant != FM_PLANT_FACTORY && f->type)
		return complain("a sensor type does not go with a format that has"
						" temperature and humidity in each message");
	if (o->format != fm_format(0) && o->inject_set & fm_inject_parse("gap"))
		return complain("gaps cannot be injected: the format has no"
						" reading_count");
	if (o->malformed_share + o->tombstone_share > 1)
		return complain("shares of malformed messages and tombstones add up"
						" to more than 1");
	if (f->warning_share + f->critical_share > 1)
		return complain("shares of anomalies add up to more than 1");
	return true;
}

int
fm_options_read(FmOptions *opt, int argc, char **argv)
{
	struct option *longs;
	int			code;
	static char id[300];

	set_defaults(opt);
	fm_properties_add_environment(&opt->properties);
	if (!read_environment(opt))
		return FM_EXIT_USAGE;
	longs = make_long_options();
	code = read_command_line(opt, longs, argc, argv);
	free(longs);
	if (code >= 0)
		return code;
	set_by_format(opt);
	if (!check_together(opt))
		return FM_EXIT_USAGE;
	if (opt->fleet.sensors > 1)
		snprintf(id, sizeof(id), "producer-%s", opt->host);
	else
		snprintf(id, sizeof(id), "%s-%s", opt->fleet.type
				 ? opt->fleet.type->name : "temperature", opt->host);
	if (opt->producer_id == NULL)
		opt->producer_id = opt->fleet.sensors == 1 && opt->fleet.sensor_id
			? opt->fleet.sensor_id : id;
	if (opt->transactional_id == NULL)
		opt->transactional_id = opt->producer_id;
	return -1;
}

void
fm_options_free(FmOptions *opt)
{
	fm_properties_free(&opt->properties);
}
