/*
 * producer.c - factorymon-producer: sensors that send to Kafka
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The main loop: ask the pacing whether a message is due, make it, send it one
 * way or the other; between messages serve delivery reports and look after
 * heartbeats, the truth file and the transaction.  One thread of ours; the
 * library's threads never run our code but for its log.
 *
 * Pacing.  Without --rate a message is sent when its sensor is due, on a
 * schedule that began with the process.  If the process did not run, or could
 * not send, for more than MAX_BEHIND, the samples of that time were never
 * taken: the schedule moves.  With --rate only the order of the schedule
 * counts.
 *
 * Event time is the schedule's with --start, or when it runs by the wall
 * clock anyway; else it is the time of sending, so that load tests do not run
 * into the future.
 *
 * Stopping.  A signal ends producing; what was accepted is flushed within
 * --flush-timeout, a second signal cuts that short.  The end of --count or
 * --duration waits as long as it takes.  Either way the last heartbeat says
 * "stopped", every record is accounted for, and the exit code tells.
 */
#include "clock.h"
#include "delivery.h"
#include "heartbeat.h"
#include "inject.h"
#include "malform.h"
#include "options.h"
#include "repeat.h"
#include "transaction.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_BEHIND (60 * FM_SECOND)
#define MAX_BURST 1.0			/* seconds of --rate to catch up with */
#define HOUSEKEEPING (FM_SECOND / 20)

typedef struct App
{
	FmOptions	opt;
	FmFleet		fleet;
	FmRng		content;		/* kinds of messages */
	FmRng		route;			/* which go in transactions */
	FmInject	inject;
	FmRepeat	repeat;
	FmPieces	pieces;
	FmBuf		payload;
	FmBuf		heartbeat;
	FmLink		link;
	FmStats		stats;
	FmTruth		truth;
	FmDelivery	delivery;
	FmTransactions txn;
	uint64_t	made;			/* messages, of every kind */
	int64_t		started_wall;
	int64_t		started;		/* monotonic, as all below */
	int64_t		paced_from;		/* start of the schedule or the rate */
	uint64_t	paced_made;		/* "made" then */
	int64_t		schedule_shift; /* of event time, after falling behind */
	int64_t		last_event;
	int64_t		next_heartbeat;
	int64_t		next_housekeeping;
	int64_t		next_progress;
	uint64_t	progress_made;
} App;

static volatile sig_atomic_t stop_signals = 0;

static void
on_signal(int signo)
{
	(void) signo;
	if (stop_signals < 2)
		stop_signals++;
}

static bool
install_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	return sigaction(SIGTERM, &stop, NULL) == 0 &&
		sigaction(SIGINT, &stop, NULL) == 0 &&
		sigaction(SIGPIPE, &ignore, NULL) == 0;
}

/* ---- looking after things ---- */

static bool
send_heartbeat(App *app, bool stopped)
{
	FmRecord	record = {.kind = FM_HEARTBEAT};

	fm_buf_reset(&app->heartbeat);
	fm_heartbeat_put(&app->heartbeat, &app->opt, &app->stats, &app->link,
					 app->started_wall, stopped);
	record.key = app->opt.producer_id;
	record.keylen = strlen(record.key);
	record.value = app->heartbeat.data;
	record.len = app->heartbeat.len;
	return fm_delivery_send(&app->delivery, &record);
}

static void
show_progress(App *app, int64_t now)
{
	double		rate;

	if (now < app->next_progress)
		return;
	rate = (double) (app->made - app->progress_made) * 1e6 /
		(double) (now - app->next_progress + 5 * FM_SECOND);
	if (app->opt.verbose || isatty(STDERR_FILENO))
		fprintf(stderr, "factorymon-producer: %.0f s, sent %llu,"
				" delivered %llu, %.0f/s, queue %d, errors %llu, %s\n",
				(double) (now - app->started) / 1e6,
				(unsigned long long) fm_stats_sum(app->stats.sent),
				(unsigned long long) fm_stats_sum(app->stats.delivered), rate,
				fm_delivery_pending(&app->delivery) +
				fm_txn_pending(&app->txn),
				(unsigned long long) app->link.errors,
				fm_link_state(&app->link));
	app->progress_made = app->made;
	app->next_progress = now + 5 * FM_SECOND;
}

/* Everything that is not a message, if its time has come. */
static void
housekeeping(App *app, int64_t now)
{
	if (now < app->next_housekeeping)
		return;
	app->next_housekeeping = now + HOUSEKEEPING;
	fm_truth_tick(&app->truth, now);
	show_progress(app, now);
	if (app->opt.heartbeat > 0 && now >= app->next_heartbeat)
	{
		app->next_heartbeat = now + (int64_t) (app->opt.heartbeat * 1e6);
		(void) send_heartbeat(app, false);	/* a full queue: the next one */
	}
}

/* While waiting for room: false once somebody wants us to stop. */
static bool
idle(void *arg)
{
	App		   *app = arg;

	housekeeping(app, fm_clock_mono());
	fm_txn_step(&app->txn);
	return stop_signals == 0;
}

/* ---- one message ---- */

static void
print_record(const FmRecord *record)
{
	const unsigned char *bytes = record->value;

	printf("%s\t%.*s\t", fm_kind_names[record->kind], (int) record->keylen,
		   record->key ? record->key : "");
	if (bytes == NULL)
		putchar('-');
	else if (record->kind == FM_READING || record->kind == FM_DUPLICATE)
		for (size_t i = 0; i < record->len; i++)
			putchar(bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t'
					? ' ' : bytes[i]);	/* white space between tokens */
	else
		for (size_t i = 0; i < record->len; i++)
			printf("%02x", bytes[i]);
	putchar('\n');
}

static FmKind
draw_kind(App *app)
{
	double		u = fm_rng_unit(&app->content);

	if (u < app->opt.malformed_share)
		return FM_MALFORMED;
	if (u < app->opt.malformed_share + app->opt.tombstone_share)
		return FM_TOMBSTONE;
	return FM_READING;
}

static int64_t
event_time(App *app, const FmReading *reading)
{
	int64_t		at;

	if (app->opt.start_given)
		return reading->at;
	if (app->opt.rate < 0 && !app->opt.dry_run)
		return reading->at + app->schedule_shift;
	at = fm_clock_wall();
	if (at <= app->last_event)
		at = app->last_event + 1;
	app->last_event = at;
	return at;
}

static void
put_reading(App *app, const FmReading *reading, int64_t at)
{
	bool		extra = fm_rng_chance(&app->content, app->opt.extra_share);
	bool		big = fm_rng_chance(&app->content, app->opt.big_share);

	if (extra || big)
		fm_format_put_extra(app->opt.format, &app->payload, &app->pieces,
							&app->content, reading, at, extra,
							big ? app->opt.big_bytes : 0);
	else
		fm_format_put(app->opt.format, &app->payload, reading, at);
}

/* Make the next message of the schedule. */
static void
make_record(App *app, FmRecord *record)
{
	FmReading	reading;
	int64_t		at;
	int64_t		record_at;

	memset(record, 0, sizeof(*record));
	record->kind = draw_kind(app);
	fm_fleet_next(&app->fleet, record->kind == FM_READING, &reading);
	record_at = at = event_time(app, &reading);
	fm_buf_reset(&app->payload);
	if (record->kind == FM_READING)
		fm_inject_apply(&app->inject, &reading, &at);
	if (app->opt.format->has_ids)
		fm_fleet_identify(&app->fleet, &reading);
	if (record->kind == FM_READING)
		put_reading(app, &reading, at);
	else if (record->kind == FM_MALFORMED)
		fm_malform_put(app->opt.format, &app->payload, &app->pieces,
					   &app->content, app->opt.malformed_set, &reading, at);
	if (record->kind != FM_TOMBSTONE)
		record->value = app->payload.len ? app->payload.data : "";
	record->len = app->payload.len;
	if (!app->opt.unkeyed)
	{
		record->key = reading.sensor->id;
		record->keylen = strlen(record->key);
	}
	if (app->opt.record_time_event)
		record->timestamp = record_at / 1000;
	if (record->kind == FM_READING && app->repeat.ring)
		fm_repeat_offer(&app->repeat, app->made, record);
}

/* Does this record go in a transaction? */
static bool
wants_transaction(App *app, const FmRecord *record)
{
	double		share = app->opt.transaction_share;

	if (share <= 0 || !app->opt.transaction_by_sensor)
		return fm_rng_chance(&app->route, share);
	if (record->key)
	{
		FmRng		rng = {app->opt.fleet.seed};

		for (size_t i = 0; i < record->keylen; i++)
			rng.state = fm_rng_next(&rng) ^ (unsigned char) record->key[i];
		return fm_rng_unit(&rng) < share;
	}
	return fm_rng_chance(&app->route, share);
}

/* Send it one way or the other; its twin is no longer ours then. */
static void
send_record(App *app, const FmRecord *record)
{
	if (!wants_transaction(app, record))
	{
		(void) fm_delivery_send(&app->delivery, record);	/* counts */
		return;
	}
	while (!fm_txn_has_room(&app->txn))
	{
		fm_delivery_poll(&app->delivery, 0);
		if (!idle(app))
		{
			fm_twin_release(record->twin);
			return;
		}
	}
	fm_txn_add(&app->txn, record);
}

static void
send_next(App *app)
{
	FmRecord	record;
	bool		copy = fm_repeat_take(&app->repeat, app->made, &record);

	if (!copy)
		make_record(app, &record);
	if (app->opt.print)
		print_record(&record);
	if (app->opt.dry_run)
		fm_twin_release(record.twin);
	else
		send_record(app, &record);
	if (copy)
		fm_repeat_sent(&app->repeat, app->made);
	app->made++;
}

/* ---- pacing ---- */

/* How long until the next message, in microseconds; <= 0: now. */
static int64_t
due_in(App *app, int64_t now)
{
	double		behind;
	int64_t		due;

	if (app->opt.rate == 0 || app->opt.dry_run)
		return 0;
	if (app->opt.rate < 0)
	{
		if (fm_repeat_due(&app->repeat, app->made))
			return 0;			/* a copy is nobody's sample */
		due = app->paced_from + fm_fleet_due(&app->fleet) -
			app->opt.fleet.start;
		if (now - due > MAX_BEHIND)
		{
			app->paced_from += now - due;
			app->schedule_shift += now - due;
			return 0;
		}
		return due - now;
	}
	behind = (double) (now - app->paced_from) * app->opt.rate / 1e6 -
		(double) (app->made - app->paced_made);
	if (behind > app->opt.rate * MAX_BURST + 1)
	{
		app->paced_from = now;
		app->paced_made = app->made;
		return 0;
	}
	return behind >= 1 || app->made == 0 ? 0
		: (int64_t) ((1 - behind) * 1e6 / app->opt.rate) + 1;
}

static bool
finished(const App *app, int64_t now)
{
	return stop_signals > 0 ||
		(app->opt.count > 0 && app->made >= app->opt.count) ||
		(app->opt.duration > 0 &&
		 (double) (now - app->started) >= app->opt.duration * 1e6);
}

static void
produce(App *app)
{
	int64_t		now = fm_clock_mono();

	while (!finished(app, now))
	{
		int64_t		wait = due_in(app, now);

		if (wait <= 0)
			send_next(app);
		if (app->opt.dry_run)
			continue;			/* no clock either: --duration is for Kafka */
		if (wait > 0)
		{
			bool		more = fm_txn_step(&app->txn);
			int64_t		ms = (wait + 999) / 1000;

			fm_delivery_poll(&app->delivery, more ? 0 : ms < 50 ? (int) ms
							 : 50);
		}
		else if (app->made % 64 == 0)
		{
			fm_txn_step(&app->txn);
			fm_delivery_poll(&app->delivery, 0);
		}
		now = fm_clock_mono();
		housekeeping(app, now);
	}
}

/* ---- the end ---- */

/* Wait until everything is accounted for, or until the deadline. */
static void
drain(App *app, int64_t *deadline)
{
	app->txn.draining = true;
	while (fm_delivery_pending(&app->delivery) > 0 ||
		   fm_txn_pending(&app->txn) > 0)
	{
		int64_t		now = fm_clock_mono();
		bool		more;

		if (stop_signals > 0 && *deadline == 0)
			*deadline = now + (int64_t) (app->opt.flush_timeout * 1e6);
		if (stop_signals > 1 || (*deadline > 0 && now >= *deadline))
			return;
		more = fm_txn_step(&app->txn);
		fm_delivery_flush(&app->delivery, more ? 0 : 50);
		fm_truth_tick(&app->truth, now);
		show_progress(app, now);
	}
}

static void
print_summary(const App *app, double seconds)
{
	const FmStats *s = &app->stats;
	uint64_t	sent = fm_stats_sum(s->sent);

	fprintf(stderr, "factorymon-producer: summary sent=%llu delivered=%llu"
			" failed=%llu unknown=%llu unlocated=%llu aborted=%llu"
			" readings=%llu duplicates=%llu malformed=%llu tombstones=%llu"
			" heartbeats=%llu/%llu transactions=%llu+%llu"
			" repeated=%llu rebuilt=%llu errors=%llu seed=%llu"
			" seconds=%.2f rate=%.0f\n",
			(unsigned long long) sent,
			(unsigned long long) fm_stats_sum(s->delivered),
			(unsigned long long) fm_stats_sum(s->failed),
			(unsigned long long) fm_stats_sum(s->unknown),
			(unsigned long long) s->unlocated,
			(unsigned long long) fm_stats_sum(s->aborted),
			(unsigned long long) s->delivered[FM_READING],
			(unsigned long long) s->delivered[FM_DUPLICATE],
			(unsigned long long) s->delivered[FM_MALFORMED],
			(unsigned long long) s->delivered[FM_TOMBSTONE],
			(unsigned long long) s->delivered[FM_HEARTBEAT],
			(unsigned long long) s->sent[FM_HEARTBEAT],
			(unsigned long long) s->committed_transactions,
			(unsigned long long) s->aborted_transactions,
			(unsigned long long) s->repeated_transactions,
			(unsigned long long) s->rebuilt,
			(unsigned long long) app->link.errors,
			(unsigned long long) app->opt.fleet.seed, seconds,
			seconds > 0 ? (double) sent / seconds : 0);
}

/* Everything accepted reached the topic, and we know where. */
static bool
all_is_well(const FmStats *s)
{
	return fm_stats_sum(s->failed) == 0 && fm_stats_sum(s->unknown) == 0 &&
		s->failed[FM_HEARTBEAT] == 0 && s->unknown[FM_HEARTBEAT] == 0 &&
		s->unlocated == 0;
}

static int
finish(App *app)
{
	int64_t		deadline = 0;
	double		seconds;
	bool		ok;

	drain(app, &deadline);
	seconds = (double) (fm_clock_mono() - app->started) / 1e6;
	if (app->opt.heartbeat > 0 && send_heartbeat(app, true))
		drain(app, &deadline);
	fm_txn_close(&app->txn);
	fm_delivery_close(&app->delivery);
	ok = fm_truth_close(&app->truth);
	print_summary(app, seconds);
	return ok && all_is_well(&app->stats) ? FM_EXIT_OK : FM_EXIT_UNDELIVERED;
}

static bool
start_kafka(App *app)
{
	char		why[512];

	if (!fm_truth_open(&app->truth, app->opt.truth))
	{
		fprintf(stderr, "factorymon-producer: cannot open \"%s\": %s\n",
				app->opt.truth, strerror(errno));
		return false;
	}
	fm_txn_init(&app->txn, &app->opt, &app->link, &app->stats, &app->truth);
	if (!fm_delivery_open(&app->delivery, &app->opt, &app->link, &app->stats,
						  &app->truth, why, sizeof(why)))
	{
		fprintf(stderr, "factorymon-producer: %s\n", why);
		return false;
	}
	app->delivery.idle = idle;
	app->delivery.idle_arg = app;
	return true;
}

static void
start_clocks(App *app)
{
	app->started = fm_clock_mono();
	app->started_wall = fm_clock_wall();
	app->paced_from = app->started;
	app->next_heartbeat = app->started;
	app->next_progress = app->started + 5 * FM_SECOND;
}

int
main(int argc, char **argv)
{
	static App	app;
	int			code = fm_options_read(&app.opt, argc, argv);

	if (code >= 0)
	{
		fm_options_free(&app.opt);
		return code;
	}
	if (!install_signals())
	{
		perror("factorymon-producer: sigaction");
		return FM_EXIT_UNDELIVERED;
	}
	fm_fleet_init(&app.fleet, &app.opt.fleet);
	app.content = fm_rng_make(app.opt.fleet.seed, UINT64_C(0x636f));
	app.route = fm_rng_make(app.opt.fleet.seed, UINT64_C(0x726f));
	fm_repeat_init(&app.repeat, &app.opt);
	start_clocks(&app);
	if (!fm_inject_open(&app.inject, &app.fleet, app.opt.fleet.seed,
						app.opt.inject_share, app.opt.inject_set,
						app.opt.labels))
	{
		fprintf(stderr, "factorymon-producer: cannot open \"%s\": %s\n",
				app.opt.labels, strerror(errno));
		code = FM_EXIT_USAGE;
	}
	else if (app.opt.dry_run)
		produce(&app);
	else if (start_kafka(&app))
	{
		produce(&app);
		code = finish(&app);
	}
	else
		code = FM_EXIT_USAGE;
	if (!fm_inject_close(&app.inject))
	{
		fprintf(stderr, "factorymon-producer: \"%s\" is incomplete\n",
				app.opt.labels);
		code = FM_EXIT_UNDELIVERED;
	}
	if (app.opt.print && (fflush(stdout) != 0 || ferror(stdout)))
		code = FM_EXIT_UNDELIVERED;
	fm_repeat_free(&app.repeat);
	fm_fleet_free(&app.fleet);
	fm_pieces_free(&app.pieces);
	fm_buf_free(&app.payload);
	fm_buf_free(&app.heartbeat);
	fm_options_free(&app.opt);
	return code < 0 ? FM_EXIT_OK : code;
}
