/*
 * options.h - what the producer was asked to do
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One table (settings.c) describes every setting: its option, its environment
 * variable, its help.  An option wins over the environment, and an empty
 * variable counts as not set, as compose files leave them.  Properties of
 * librdkafka are kept apart, in FmProperties: see properties.h.
 */
#ifndef FM_OPTIONS_H
#define FM_OPTIONS_H

#include "format.h"
#include "properties.h"
#include "sensor.h"
#include "version.h"

#define FM_EXIT_OK 0
#define FM_EXIT_UNDELIVERED 1
#define FM_EXIT_USAGE 2

typedef struct FmOptions
{
	/* the plant */
	FmFleetSettings fleet;
	bool		start_given;	/* event time is the fleet's, not the wall's */
	bool		record_time_event;	/* Kafka's timestamp is the event's */

	/* how much */
	double		rate;			/* messages/s; 0 unlimited, < 0 as sampled */
	uint64_t	count;			/* 0: no end */
	double		duration;		/* seconds; 0: no end */

	/* what */
	const FmFormat *format;
	double		duplicate_share;
	uint32_t	duplicate_window;	/* messages */
	double		malformed_share;
	uint32_t	malformed_set;
	double		tombstone_share;
	double		extra_share;
	double		big_share;
	uint32_t	big_bytes;
	bool		unkeyed;
	double		inject_share;
	uint32_t	inject_set;

	/* how */
	const char *brokers;
	const char *topic;
	const char *compression;	/* NULL: library's default */
	double		linger;			/* milliseconds */
	FmProperties properties;
	double		transaction_share;
	double		abort_share;
	uint32_t	transaction_size;
	bool		transaction_by_sensor;
	const char *transactional_id;
	double		flush_timeout;	/* seconds */

	/* who and what it tells */
	const char *producer_id;
	const char *host;
	double		heartbeat;		/* seconds, 0: none */
	const char *truth;			/* file, or NULL */
	const char *labels;			/* likewise */
	bool		print;			/* each record on stdout */
	bool		dry_run;		/* and nowhere else */
	bool		verbose;
} FmOptions;

/*
 * Fill in *opt from the environment and the command line.  Returns -1 to go
 * on, else the exit code: usage errors are reported on stderr, --help and
 * --version have been answered.
 */
extern int	fm_options_read(FmOptions *opt, int argc, char **argv);
extern void fm_options_free(FmOptions *opt);

#endif							/* FM_OPTIONS_H */
