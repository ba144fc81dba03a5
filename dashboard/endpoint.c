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
				" w.cpu_seconds, w.memory_bytes,"
				" (SELECT jsonb_agg(b.n ORDER BY b.i) FROM (SELECT h.i,"
				"   sum(h.n) AS n FROM factorymon.worker_status() x"
				"   CROSS JOIN unnest(x.batch_histogram)"
				"    WITH ORDINALITY AS h(n, i)"
				"   WHERE x.pipeline = s.pipeline GROUP BY h.i) b)"
				"  AS batch_histogram,"
				" to_jsonb(factorymon.batch_histogram_bounds())"
				"  AS batch_histogram_bounds"
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
				" condition, level, side, severity, state, announced, value,"
				" unit, \"limit\", consumer, partitions, \"by\", detail"
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
				" (shown_state LIKE 'active%') DESC,"
				" (level = 'critical') DESC, (level = 'warning') DESC,"
				" severity DESC NULLS LAST, announced_at DESC NULLS LAST,"
		" pipeline, sensor_id, condition LIMIT $1::integer + 1"}},
		.params = {{"limit", FM_PARAM_INT, "200", 1, 1000},
		{"pipeline", FM_PARAM_TEXT, NULL, 0, 0}},
	.limit = 1},
	{"/api/plant",
		.parts = {{"machines", "SELECT * FROM factorymon.machine_status"
		" ORDER BY rank LIMIT $1::integer + 1"}},
		.params = {{"limit", FM_PARAM_INT, "1000", 1, 10000}},
	.limit = 1},
	{"/api/cities",
		.parts = {{"cities", "SELECT * FROM factorymon.city_now"
				" ORDER BY rank LIMIT $1::integer + 1"},
			{"minutes", "SELECT m.minute_at, m.pipeline, m.city,"
				" m.temperature, m.humidity FROM factorymon.city_minutes m"
				" JOIN (SELECT pipeline, city FROM factorymon.city_now"
				"  ORDER BY rank LIMIT $1::integer) c"
				"  USING (pipeline, city)"
				" WHERE m.minute_at >= date_trunc('minute', now())"
				"  - interval '1 hour'"
		" ORDER BY m.minute_at, m.pipeline, m.city", 1}},
		.params = {{"limit", FM_PARAM_INT, "100", 1, 1000}},
	.limit = 1},
	{"/api/sensors",
		.parts = {{"sensors", "SELECT h.pipeline, h.sensor_id, h.sensor_type,"
				" h.factory_section, h.zone, h.machine_id, h.state, h.reason,"
				" h.last_ts, h.last_seen_age_seconds,"
				" h.expected_interval_seconds, h.readings, r.value, h.unit,"
				" r.level, r.side, r.quality"
				" FROM factorymon.sensor_health h"
				" LEFT JOIN factorymon.latest_readings r"
				"  USING (pipeline, sensor_id)"
				" WHERE ($2::text IS NULL OR h.factory_section = $2)"
				" AND ($3::text IS NULL OR h.zone = $3)"
				" AND ($4::text IS NULL OR h.machine_id = $4)"
				" ORDER BY h.factory_section, h.zone, h.machine_id,"
		" h.sensor_id, h.pipeline LIMIT $1::integer + 1"}},
		.params = {{"limit", FM_PARAM_INT, "1000", 1, 10000},
			{"section", FM_PARAM_TEXT, NULL, 0, 0},
			{"zone", FM_PARAM_TEXT, NULL, 0, 0},
		{"machine", FM_PARAM_TEXT, NULL, 0, 0}},
	.limit = 1},
	{"/api/sensor-series",
		.parts = {{"points", "SELECT * FROM factorymon.sensor_series($1, $2,"
				" coalesce($4::timestamptz, now())"
				"  - make_interval(secs => $3::integer),"
				" coalesce($4::timestamptz, now()), 600)"},
			{"limits", "SELECT * FROM factorymon.sensor_limits($1, $2)", 2},
			{"alarms", "SELECT at, event, alarm_id, condition, level, side,"
				" state, value, unit, \"limit\", \"by\", comment, pipeline"
				" FROM (SELECT recorded_at AS at, event_time,"
				"  transition AS event, alarm_id, seq, condition, level, side,"
				"  state, value, unit, \"limit\", \"by\", comment, pipeline"
				"  FROM factorymon.alerts WHERE sensor_id = $1"
				"  AND ($2::text IS NULL OR pipeline = $2)"
				"  AND recorded_at >= coalesce($4::timestamptz, now())"
				"   - make_interval(secs => $3::integer)"
				"  AND recorded_at < coalesce($4::timestamptz, now())"
				"  ORDER BY recorded_at DESC, seq DESC LIMIT 200) a"
		" ORDER BY at DESC, seq DESC", 4}},
		.params = {{"sensor", FM_PARAM_TEXT, "", 0, 0},
			{"pipeline", FM_PARAM_TEXT, NULL, 0, 0},
			{"seconds", FM_PARAM_INT, "3600", 60, 31622400},
		{"to", FM_PARAM_TIME, NULL, 0, 0}},
		.one = {"pipeline", "SELECT p.name FROM factorymon.pipelines p"
			" WHERE ($2::text IS NULL OR p.name = $2)"
			" AND EXISTS (SELECT FROM factorymon.sensor_limits($1, p.name))"
	" ORDER BY p.name", 2}},
	{"/api/rejects",
		.parts = {{"rejects", "SELECT rejected_at, pipeline, topic,"
				" kafka_partition, kafka_offset::text AS kafka_offset,"
				" message_at, reason, sqlstate, detail, attempts, beginning"
		" FROM factorymon.recent_rejects($1::integer + 1)"}},
		.params = {{"limit", FM_PARAM_INT, "100", 1, 1000}},
	.limit = 1},
	{"/api/kpi",
		.parts = {{"positions", "SELECT * FROM factorymon.alarm_kpi("
		"now() - make_interval(hours => $1::integer), now())"}},
		.params = {{"hours", FM_PARAM_INT, "24", 1, 8784}}},
};

#define NENDPOINTS ((int) (sizeof(endpoints) / sizeof(endpoints[0])))

/* The form that a path's end asks for, and how long that end is. */
static FmForm
form_of(const char *path, size_t len, size_t *end)
{
	*end = 4;
	if (len > 4 && strcmp(path + len - 4, ".csv") == 0)
		return FM_FORM_CSV;
	*end = 5;
	if (len > 5 && strcmp(path + len - 5, ".xlsx") == 0)
		return FM_FORM_XLSX;
	*end = 0;
	return FM_FORM_JSON;
}

const FmEndpoint *
fm_endpoint_find(const char *path, FmForm *form)
{
	size_t		len = strlen(path);
	size_t		end;

	*form = form_of(path, len, &end);
	len -= end;
	for (int i = 0; i < NENDPOINTS; i++)
		if (strlen(endpoints[i].path) == len &&
			memcmp(endpoints[i].path, path, len) == 0)
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

/* So many digits, as a number within these bounds. */
static bool
is_part(const char *text, int digits, int least, int most)
{
	int			n = 0;

	for (int i = 0; i < digits; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + text[i] - '0';
	}
	return n >= least && n <= most;
}

/* "Z" or "-03:00"; hours that PostgreSQL takes */
static bool
is_offset(const char *text)
{
	if (*text == 'Z' || *text == 'z')
		return text[1] == '\0';
	return (*text == '+' || *text == '-') && is_part(text + 1, 2, 0, 15) &&
		text[3] == ':' && is_part(text + 4, 2, 0, 59) && text[6] == '\0';
}

/*
 * Of RFC 3339, "2026-11-22T20:55:36.123Z".  Words that PostgreSQL would take
 * for a time, such as "infinity", are none.
 */
static bool
is_time(const char *text)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			year;
	int			month;
	bool		leap;

	/* bounds of the year leave room for every span in what PostgreSQL has */
	if (!is_part(text, 4, 1, 9999) || text[4] != '-' ||
		!is_part(text + 5, 2, 1, 12) || text[7] != '-')
		return false;
	year = atoi(text);
	month = atoi(text + 5);
	leap = month == 2 &&
		((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
	if (!is_part(text + 8, 2, 1, days[month - 1] + (leap ? 1 : 0)) ||
		(text[10] != 'T' && text[10] != 't') ||
		!is_part(text + 11, 2, 0, 23) || text[13] != ':' ||
		!is_part(text + 14, 2, 0, 59) || text[16] != ':' ||
		!is_part(text + 17, 2, 0, 60))
		return false;
	text += 19;
	if (*text == '.')
	{
		size_t		digits = strspn(text + 1, "0123456789");

		if (digits == 0 || digits > 9)
			return false;
		text += 1 + digits;
	}
	return is_offset(text);
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
		if (param->type == FM_PARAM_TIME && !is_time(value))
		{
			snprintf(error, errlen, "parameter \"%s\" must be a time such as"
					 " 2026-11-22T20:55:36Z (a + in it is written %%2B)", name);
			return -1;
		}
		return i;
	}
	snprintf(error, errlen, "there is no parameter \"%s\"",
			 strlen(name) < 60 ? name : "of that name");
	return -1;
}
