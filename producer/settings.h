/*
 * settings.h - names of what can be set, for options.c
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The table is the only place that knows names: the option parser, the reading
 * of the environment and the help text are made from it.
 */
#ifndef FM_SETTINGS_H
#define FM_SETTINGS_H

#include <stddef.h>

typedef enum FmSettingId
{
	OPT_NONE = 256,				/* a heading; ids must not be characters */
	OPT_SENSOR_ID, OPT_SENSOR_TYPE, OPT_INTERVAL, OPT_SECTION, OPT_MACHINE,
	OPT_ZONE, OPT_BROKERS, OPT_TOPIC, OPT_BASE, OPT_WARNING, OPT_CRITICAL,
	OPT_SENSORS, OPT_ANOMALIES, OPT_WARNING_SHARE, OPT_CRITICAL_SHARE,
	OPT_SEED, OPT_START, OPT_RECORD_TIME, OPT_RATE, OPT_COUNT, OPT_DURATION,
	OPT_FORMAT, OPT_DUPLICATES, OPT_DUPLICATE_WINDOW,
	OPT_MALFORMED, OPT_MALFORMED_KINDS, OPT_TOMBSTONES, OPT_EXTRA, OPT_BIG,
	OPT_BIG_BYTES, OPT_UNKEYED, OPT_INJECT, OPT_INJECT_KINDS, OPT_LABELS,
	OPT_COMPRESSION, OPT_LINGER, OPT_TXN_SHARE,
	OPT_ABORT_SHARE, OPT_TXN_SIZE, OPT_TXN_BY, OPT_TXN_ID, OPT_FLUSH_TIMEOUT,
	OPT_PRODUCER_ID, OPT_HEARTBEAT, OPT_TRUTH, OPT_PRINT, OPT_DRY_RUN,
	OPT_VERBOSE, OPT_HELP, OPT_VERSION, OPT_PROPERTY
} FmSettingId;

typedef struct FmSetting
{
	int			id;
	const char *name;			/* of the option, or a heading */
	const char *arg;			/* NULL: takes none */
	const char *env;			/* NULL: option only */
	const char *help;
	const char *alias;			/* another name of the option, or NULL */
} FmSetting;

extern const FmSetting fm_settings[];
extern const size_t fm_n_settings;

/* Answer --help on stdout. */
extern void fm_settings_help(void);

#endif							/* FM_SETTINGS_H */
