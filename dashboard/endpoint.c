/*
 * endpoint.c - what can be asked for under /api/, and how it is found
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Numbers that may be beyond 2^53 and identify something are given as texts.
 */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static const FmEndpoint endpoints[] = {
	{"/api/system-status",
		.parts = {{"pipelines", "SELECT * FROM factorymon.system_status"
		" ORDER BY pipeline"}},
	.survives = true},
	{"/api/consumer-health",
		.parts = {{"consumers", "SELECT * FROM factorymon.consumer_health"
		" ORDER BY pipeline, worker_number"}}},
	{"/api/producer-health",
		.parts = {{"producers", "SELECT * FROM factorymon.producer_health"
		" ORDER BY pipeline, producer LIMIT $1::integer + 1"}},
		.params = {{"limit", FM_PARAM_INT, "200", 1, 1000}},
	.limit = 1},
	{"/api/partition-assignment",
		.parts = {{"partitions", "SELECT * FROM factorymon.partition_status()"
				" ORDER BY pipeline, kafka_partition"},
			{"activity", "SELECT * FROM factorymon.rebalancing_events"
		" ORDER BY at DESC LIMIT 100"}}},
	{"/api/real-time-metrics",
		.parts = {{"pipelines", "SELECT s.pipeline, s.state,"
				" s.messages_per_second, s.lag_messages, s.lag_seconds,"
				" s.data_age_seconds, s.messages, s.readings, s.rejected,"
				" s.publisher_pending, w.batches, w.batch_seconds,"
				" w.cpu_seconds, w.memory_bytes"
				" FROM factorymon.system_status s"
				" LEFT JOIN (SELECT pipeline, sum(batches)::bigint AS batches,"
				"  sum(batch_seconds) AS batch_seconds,"
				"  sum(cpu_seconds) AS cpu_seconds,"
				"  sum(memory_bytes)::bigint AS memory_bytes"
				"  FROM factorymon.worker_status() GROUP BY pipeline) w"
				" USING (pipeline) ORDER BY s.pipeline"},
			{"partitions", "SELECT pipeline, kafka_partition, state,"
				" messages_per_second, lag_messages, lag_seconds"
				" FROM factorymon.partition_status()"
		" ORDER BY pipeline, kafka_partition"}}},
	{"/api/recent-alerts",
		.parts = {{"alerts", "SELECT at, kind, event, pipeline,"
				" pub_seq::text AS pub_seq, event_id, alarm_id, sensor_id,"
				" condition, level, severity, state, announced, value, unit,"
				" \"limit\", consumer, partitions, \"by\", detail"
		" FROM factorymon.recent_alerts($1::integer + 1)"}},
		.params = {{"limit", FM_PARAM_INT, "50", 1, 1000}},
	.limit = 1},
	{"/api/alarms",
		.parts = {{"alarms", "SELECT alarm_id, sensor_id, condition,"
				" shown_state, state, level, side, severity, chattering,"
				" shelved_until, sensor_type, factory_section, machine_id,"
				" zone, value, unit, \"limit\", since, raised_at, announced_at,"
				" event_time, event_id, announced_event_id, pending, pipeline"
				" FROM factorymon.alarms"
				" WHERE (state <> 'normal' OR shown_state <> 'normal')"
				" AND ($2::text IS NULL OR pipeline = $2)"
				" ORDER BY (shown_state LIKE '%unacknowledged') DESC,"
				" severity DESC NULLS LAST, announced_at DESC NULLS LAST,"
		" pipeline, sensor_id, condition LIMIT $1::integer + 1"}},
		.params = {{"limit", FM_PARAM_INT, "200", 1, 1000},
		{"pipeline", FM_PARAM_TEXT, NULL, 0, 0}},
	.limit = 1},
};

#define NENDPOINTS ((int) (sizeof(endpoints) / sizeof(endpoints[0])))

const FmEndpoint *
fm_endpoint_find(const char *path)
{
	for (int i = 0; i < NENDPOINTS; i++)
		if (strcmp(endpoints[i].path, path) == 0)
			return &endpoints[i];
	return NULL;
}

/* Digits only, so that a number has one way to be written. */
static bool
is_number_within(const char *value, long least, long most)
{
	size_t		len = strlen(value);

	return len > 0 && len < 10 && strspn(value, "0123456789") == len &&
		(len == 1 || value[0] != '0') && atol(value) >= least &&
		atol(value) <= most;
}

int
fm_endpoint_param(const FmEndpoint *endpoint, const char *name,
				  const char *value, char *error, size_t errlen)
{
	if (!fm_json_is_utf8(name) || (value != NULL && !fm_json_is_utf8(value)))
	{
		snprintf(error, errlen, "a parameter is not UTF-8");
		return -1;
	}
	for (int i = 0; i < FM_MAX_PARAMS; i++)
	{
		const FmParam *param = &endpoint->params[i];

		if (param->name == NULL || strcmp(param->name, name) != 0)
			continue;
		if (value == NULL || strlen(value) >= FM_MAX_VALUE)
		{
			snprintf(error, errlen, "parameter \"%s\" needs a value of at most"
					 " %d bytes", name, FM_MAX_VALUE - 1);
			return -1;
		}
		if (param->type == FM_PARAM_INT &&
			!is_number_within(value, param->least, param->most))
		{
			snprintf(error, errlen, "parameter \"%s\" must be a number from"
					 " %ld to %ld", name, param->least, param->most);
			return -1;
		}
		return i;
	}
	snprintf(error, errlen, "there is no parameter \"%s\"",
			 strlen(name) < 60 ? name : "of that name");
	return -1;
}
