/*
 * heartbeat.c - the producer's own sign of life
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See heartbeat.h for the members.
 */
#include "heartbeat.h"

#include "canon.h"
#include "clock.h"

static void
put_time(FmBuf *out, const char *key, int64_t us)
{
	char		text[FM_TIME_LEN];

	fm_time_format(us, text);
	fm_buf_printf(out, ",\"%s\":\"%.*s\"", key, FM_TIME_LEN, text);
}

void
fm_heartbeat_put(FmBuf *out, const FmOptions *opt, const FmStats *stats,
				 const FmLink *link, int64_t started_at, bool stopped)
{
	uint64_t	errors = link->errors + fm_stats_sum(stats->failed) +
		fm_stats_sum(stats->unknown);

	fm_buf_puts(out, "{\"producer_id\":");
	fm_json_put_string(out, opt->producer_id, strlen(opt->producer_id));
	fm_buf_puts(out, ",\"host\":");
	fm_json_put_string(out, opt->host, strlen(opt->host));
	put_time(out, "started_at", started_at);
	put_time(out, "at", fm_clock_wall());
	fm_buf_printf(out, ",\"state\":\"%s\",\"sensors\":%u,\"sent\":%llu,"
				  "\"delivered\":%llu,\"errors\":%llu,\"connection\":\"%s\","
				  "\"interval\":%.15g,\"version\":\"%s\"}",
				  stopped ? "stopped" : "running",
				  (unsigned) opt->fleet.sensors,
				  (unsigned long long) fm_stats_sum(stats->sent),
				  (unsigned long long) fm_stats_sum(stats->delivered),
				  (unsigned long long) errors, fm_link_state(link),
				  opt->heartbeat, FM_VERSION);
}
