/*
 * metrics.c - what Prometheus reads
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Names follow Prometheus' conventions: base units, counters end with _total.
 * Labels identify a thing and do not change with its state, since a changed
 * label is another series; but for "severity" of an active alarm, which is to
 * route an alarm that became worse anew.
 */
#include "metrics.h"

#include <stdio.h>

#include "log.h"

/* Alarms that are shown one by one; how many there are is shown, too. */
#define MAX_ACTIVE "500"

/* Alarms that operators have to do with, and how bad they are: for each
 * condition of a sensor the worst, through however many partitions it comes. */
#define ACTIVE \
	"FROM (SELECT DISTINCT ON (pipeline, sensor_id, condition) *" \
	" FROM factorymon.alarms WHERE announced_event_id IS NOT NULL" \
	" AND shown_state IN ('active_unacknowledged', 'active_acknowledged'," \
	" 'returned_unacknowledged') ORDER BY pipeline, sensor_id, condition," \
	" severity DESC NULLS LAST, announced_at DESC) a"

#define WORST_FIRST \
	" ORDER BY severity DESC NULLS LAST, announced_at DESC LIMIT " MAX_ACTIVE

/* What changes while an alarm is there, to be put beside it. */
#define OF_ACTIVE(columns) \
	"SELECT pipeline, sensor_id, condition, " columns " " ACTIVE WORST_FIRST

typedef struct Metric
{
	const char *name;
	const char *type;			/* "gauge", "counter", "histogram" */
	const char *help;
	/* Columns are labels, null: left out; "suffix" is put behind the name;
	 * the last one is the value, null: no such line. */
	const char *query;
} Metric;

static const Metric metrics[] = {
	{"factorymon_info", "gauge", "The extension; always 1.",
		"SELECT extversion AS version, 1 FROM pg_extension"
	" WHERE extname = 'factorymon'"},
	{"factorymon_pipeline_state", "gauge",
		"1 for the state that a pipeline is in, 0 for the others.",
		"SELECT p.pipeline, s AS state, (p.state = s)::integer"
		" FROM factorymon.system_status p, unnest(ARRAY['running',"
	" 'lagging', 'degraded', 'down', 'paused', 'off']) s"},
	{"factorymon_workers", "gauge", "Ingest workers that should run.",
	"SELECT pipeline, workers FROM factorymon.system_status"},
	{"factorymon_worker_up", "gauge",
		"1: the ingest worker runs and stores.",
		"SELECT pipeline, worker_number AS worker,"
	" (state = 'running')::integer FROM factorymon.consumer_health"},
	{"factorymon_partition_up", "gauge",
		"1: a worker ingests the partition.",
		"SELECT pipeline, topic, kafka_partition AS partition,"
	" (state = 'running')::integer FROM factorymon.partition_status()"},
	{"factorymon_partition_lag_messages", "gauge",
		"Messages that the brokers have and the database does not.",
		"SELECT pipeline, topic, kafka_partition AS partition, lag_messages"
	" FROM factorymon.partition_status()"},
	{"factorymon_partition_lag_seconds", "gauge",
		"Age of the last message stored where there are more; 0 at the end.",
		"SELECT pipeline, topic, kafka_partition AS partition, lag_seconds"
	" FROM factorymon.partition_status()"},
	{"factorymon_partition_position", "gauge",
		"Offset of the next message to be stored.",
		"SELECT pipeline, topic, kafka_partition AS partition, position"
	" FROM factorymon.partition_status()"},
	{"factorymon_data_age_seconds", "gauge",
		"How long ago the newest message that is stored was written.",
	"SELECT pipeline, data_age_seconds FROM factorymon.system_status"},
	{"factorymon_messages_total", "counter", "Messages with readings.",
	"SELECT pipeline, messages FROM factorymon.message_counters"},
	{"factorymon_readings_total", "counter", "Readings stored.",
	"SELECT pipeline, readings FROM factorymon.message_counters"},
	{"factorymon_rejects_total", "counter", "Messages rejected.",
	"SELECT pipeline, rejected FROM factorymon.message_counters"},
	{"factorymon_duplicates_total", "counter",
		"Messages dropped because their readings were stored before.",
	"SELECT pipeline, duplicates FROM factorymon.message_counters"},
	{"factorymon_retention_waiting_seconds", "gauge",
		"How long the oldest expired partition has waited to be dropped; 0:"
		" there is none.",
		"SELECT pipeline, level, coalesce(extract(epoch FROM now()"
	" - waiting_since), 0) FROM factorymon.retention"},
	{"factorymon_history_files", "gauge",
		"History files by state; failed and stale: to be written.",
		"SELECT p.name AS pipeline, s AS state, (SELECT count(*)"
		" FROM factorymon.archives a WHERE a.pipeline = p.name"
		" AND a.state = s) FROM factorymon.pipelines p, unnest(ARRAY["
	"'archived', 'stale', 'failed', 'restored']) s"},
	{"factorymon_commits_total", "counter",
		"Batches committed by a worker since it started.",
		"SELECT pipeline, worker_number AS worker, batches"
	" FROM factorymon.worker_status()"},
	{"factorymon_batch_duration_seconds", "histogram",
		"Time that a worker needed for a batch.",
		/* one look at the workers, so that all lines are of the same moment */
		"WITH w AS MATERIALIZED (SELECT pipeline, worker_number AS worker,"
		" batch_seconds, batch_histogram FROM factorymon.worker_status()),"
		" h AS (SELECT pipeline, worker, n,"
		"  sum(c) OVER (PARTITION BY pipeline, worker ORDER BY n) AS total"
		"  FROM w, unnest(batch_histogram) WITH ORDINALITY AS u (c, n)),"
		" l AS (SELECT 'bucket' AS suffix, 1 AS part, n, pipeline, worker,"
		"  coalesce(bound::text, '+Inf') AS le, total AS value FROM h"
		"  LEFT JOIN unnest(factorymon.batch_histogram_bounds())"
		"  WITH ORDINALITY AS b (bound, n) USING (n)"
		" UNION ALL SELECT 'sum', 2, 0, pipeline, worker, NULL,"
		"  batch_seconds FROM w"
		" UNION ALL SELECT 'count', 3, 0, pipeline, worker, NULL,"
		"  (SELECT sum(c) FROM unnest(batch_histogram) c) FROM w)"
		" SELECT suffix, pipeline, worker, le, value FROM l"
	" ORDER BY pipeline, worker, part, n"},
	{"factorymon_worker_cpu_seconds_total", "counter",
		"CPU time of a worker and its threads since it started.",
		"SELECT pipeline, worker_number AS worker, cpu_seconds"
	" FROM factorymon.worker_status()"},
	{"factorymon_worker_memory_bytes", "gauge", "Memory of a worker.",
		"SELECT pipeline, worker_number AS worker, memory_bytes"
	" FROM factorymon.worker_status()"},
	{"factorymon_worker_rebalances_total", "counter",
		"Rebalances that a worker took part in since it started.",
		"SELECT pipeline, worker_number AS worker, rebalances"
	" FROM factorymon.worker_status()"},
	{"factorymon_worker_retries_total", "counter",
		"Batches that a worker had to try again since it started.",
		"SELECT pipeline, worker_number AS worker, retries"
	" FROM factorymon.worker_status()"},
	{"factorymon_alarms", "gauge", "Alarms by state and level.",
		"SELECT pipeline, shown_state AS state, level, count(*)"
		" FROM factorymon.alarms WHERE state <> 'normal'"
	" OR shown_state <> 'normal' GROUP BY 1, 2, 3"},
	{"factorymon_alarm_active", "gauge",
		"1 for each alarm that was announced and is not over, the " MAX_ACTIVE
		" worst.",
		"SELECT pipeline, sensor_id, condition, CASE WHEN severity >= 667"
		" THEN 'critical' ELSE 'warning' END AS severity, factory_section,"
		" machine_id, zone AS sensor_zone, coalesce(p.\"position\","
		" nullif(factory_section, ''), pipeline) AS \"position\", 1"
		" FROM (SELECT * " ACTIVE WORST_FIRST ") x"
		" LEFT JOIN factorymon.operating_position_areas p"
	" USING (pipeline, factory_section, zone)"},
	{"factorymon_alarm_value", "gauge",
		"Value with which each of these came to be what it is.",
	OF_ACTIVE("unit, value")},
	{"factorymon_alarm_limit", "gauge",
		"Limit that it had reached then; none: it has returned, or has none.",
	OF_ACTIVE("\"limit\"")},
	{"factorymon_alarm_since_timestamp_seconds", "gauge",
		"Time of the first reading of its last excursion.",
	OF_ACTIVE("extract(epoch FROM since)")},
	{"factorymon_alarm_present", "gauge",
		"1: it is there; 0: it has returned and waits to be acknowledged.",
	OF_ACTIVE("(state <> 'returned_unacknowledged')::integer")},
	{"factorymon_alarm_active_truncated", "gauge",
		"Alarms that are not among those of factorymon_alarm_active.",
	"SELECT greatest(count(*) - " MAX_ACTIVE ", 0) " ACTIVE},
	{"factorymon_flood", "gauge",
		"1: more alarms than an operating position can follow.",
		"SELECT \"position\", in_flood::integer"
	" FROM factorymon.operating_positions"},
	{"factorymon_announcements_10m", "gauge",
		"Alarms that called at an operating position in ten minutes.",
		"SELECT \"position\", announcements_10_minutes"
	" FROM factorymon.operating_positions"},
	{"factorymon_publisher_up", "gauge",
		"1: the publisher of alarms runs and nothing is in its way.",
		"SELECT pipeline, (state = 'running')::integer"
	" FROM factorymon.publisher_health"},
	{"factorymon_publisher_pending_events", "gauge",
		"Events that Kafka does not have yet.",
	"SELECT pipeline, pending FROM factorymon.publisher_health"},
	{"factorymon_publisher_oldest_pending_seconds", "gauge",
		"Age of the oldest of these.",
		"SELECT pipeline, coalesce(oldest_pending_age_seconds, 0)"
	" FROM factorymon.publisher_health"},
	{"factorymon_producers", "gauge", "Producers by state.",
		"SELECT pipeline, state, count(*) FROM factorymon.producer_health"
	" GROUP BY 1, 2"},
	{"factorymon_sensors", "gauge", "Watched sensors by state.",
		"SELECT d.pipeline, s.state, s.n FROM factorymon.deadman d,"
		" LATERAL (VALUES ('active', d.active), ('late', d.late),"
		" ('silent', d.silent), ('unknown', d.unknown),"
	" ('expected', d.expected)) AS s (state, n)"},
};

#define NMETRICS ((int) (sizeof(metrics) / sizeof(metrics[0])))

static void
put_label(FmBuf *buf, const char *name, const char *value, bool first)
{
	fm_buf_puts(buf, first ? "{" : ",");
	fm_buf_puts(buf, name);
	fm_buf_puts(buf, "=\"");
	for (; *value != '\0'; value++)
	{
		if (*value == '\n')
			fm_buf_puts(buf, "\\n");
		else
		{
			if (*value == '\\' || *value == '"')
				fm_buf_putc(buf, '\\');
			fm_buf_putc(buf, *value);
		}
	}
	fm_buf_putc(buf, '"');
}

static void
put_row(FmBuf *buf, const Metric *metric, const PGresult *result, int row)
{
	int			value = PQnfields(result) - 1;
	bool		first = true;

	if (PQgetisnull(result, row, value))
		return;
	fm_buf_puts(buf, metric->name);
	for (int i = 0; i < value; i++)
	{
		const char *name = PQfname(result, i);

		if (PQgetisnull(result, row, i))
			continue;
		if (strcmp(name, "suffix") == 0)
			fm_buf_printf(buf, "_%s", PQgetvalue(result, row, i));
		else
		{
			put_label(buf, name, PQgetvalue(result, row, i), first);
			first = false;
		}
	}
	fm_buf_printf(buf, "%s %s\n", first ? "" : "}",
				  PQgetvalue(result, row, value));
}

/* How many could not be read, and whether for want of rights. */
typedef struct Failures
{
	int			n;
	bool		barred;
} Failures;

/* False: the connection is gone. */
static bool
put_metric(FmBuf *buf, const Metric *metric, FmDatabase *database,
		   PGconn **connection, Failures *failures)
{
	char		error[320];
	char		id[FM_LOG_ID_LEN];
	bool		lost;
	PGresult   *result = fm_database_query(database, connection,
										   metric->query, 0, NULL, error,
										   sizeof(error), &lost);

	if (result == NULL)
	{
		if (!lost)
			fm_log_error(metric->name, error, id);
		failures->n++;
		/* class 42: rights, or what is not there; 3F: no such schema */
		failures->barred |= strncmp(error, "42", 2) == 0 ||
			strncmp(error, "3F", 2) == 0;
		return !lost;
	}
	fm_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", metric->name,
				  metric->help, metric->name, metric->type);
	for (int row = 0; row < PQntuples(result); row++)
		put_row(buf, metric, result, row);
	PQclear(result);
	return true;
}

void
fm_metrics_put(FmBuf *buf, FmDatabase *database, PGconn **connection)
{
	Failures	failures = {0};
	bool		up = *connection != NULL;

	for (int i = 0; up && i < NMETRICS; i++)
		up = put_metric(buf, &metrics[i], database, connection, &failures);
	if (!up)
		fm_buf_reset(buf);
	fm_buf_printf(buf, "# HELP factorymon_up 1: the database answers, and its"
				  " role may read.\n# TYPE factorymon_up gauge\n"
				  "factorymon_up %d\n", up && !failures.barred);
	fm_buf_printf(buf, "# HELP factorymon_metrics_failed Metrics that could"
				  " not be read.\n# TYPE factorymon_metrics_failed gauge\n"
				  "factorymon_metrics_failed %d\n",
				  up ? failures.n : NMETRICS);
}
