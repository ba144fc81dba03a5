/*-------------------------------------------------------------------------
 *
 * kpi.c
 *	  What key figures of alarms are made of, counted as things go out.
 *
 * The publisher numbers what goes out in one transaction, and this counts it
 * in the same: announcements per operating position and bin of ten minutes,
 * calls for operators and what became of them, blocks, floods.  Views sum up
 * these, whatever the number of transitions behind them.
 *
 * A publication is counted once: kpi_progress has the last one that was, and is
 * written by the same transaction.  What was published is read with one
 * statement, and each table is written with one.
 *
 * The time of an announcement is recorded_at, our clock when it came to be, and
 * not that of the reading: key figures are about what operators had to look
 * at, and when.
 *
 * Locks: rows of operating_position, in the order of their names, since a
 * position may look after several pipelines; all else belongs to one.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "kpi_internal.h"
#include "pipeline_internal.h"

/* Bins begin at multiples of their width since 2000-01-01 UTC, like time. */
#define BIN_WIDTH	(10 * USECS_PER_MINUTE)

/* Least severities of the classes: equal thirds of OPC UA's scale. */
#define SEVERITY_MEDIUM 334
#define SEVERITY_HIGH	667

/* Rows of each table that one fm_kpi_expire() deletes at most. */
#define EXPIRE_ROWS 50000

/* ----------------------------------------------------------------------
 * Rows for statements
 * ------------------------------------------------------------------- */

void
fm_kpi_rows_init(FmKpiRows *rows, const FmArrayColumn *columns, int ncolumns,
				 int most)
{
	rows->columns = columns;
	rows->ncolumns = ncolumns;
	rows->n = 0;
	rows->values = palloc(ncolumns * sizeof(Datum *));
	rows->nulls = palloc(ncolumns * sizeof(bool *));
	for (int i = 0; i < ncolumns; i++)
	{
		rows->values[i] = palloc(most * sizeof(Datum));
		rows->nulls[i] = palloc0(most * sizeof(bool));
	}
}

void
fm_kpi_rows_set(FmKpiRows *rows, int column, Datum value, bool isnull)
{
	rows->values[column][rows->n] = value;
	rows->nulls[column][rows->n] = isnull;
}

void
fm_kpi_rows_set_text(FmKpiRows *rows, int column, const char *value)
{
	fm_kpi_rows_set(rows, column, value ? CStringGetTextDatum(value) :
					(Datum) 0, value == NULL);
}

void
fm_kpi_rows_run(FmKpiRows *rows, void **plan, const char *query,
				int16 pipeline_id, int expected)
{
	Oid			types[FM_MAX_ARGS] = {INT2OID};
	Datum		values[FM_MAX_ARGS];

	Assert(rows->ncolumns < FM_MAX_ARGS);
	values[0] = Int16GetDatum(pipeline_id);
	for (int i = 0; i < rows->ncolumns; i++)
	{
		types[i + 1] = rows->columns[i].array_type;
		values[i + 1] = fm_column_array(&rows->columns[i], rows->values[i],
										rows->nulls[i], rows->n);
	}
	(void) fm_spi_run_kept(plan, query, rows->ncolumns + 1, types, values,
						   NULL, expected);
}

/* ----------------------------------------------------------------------
 * What was counted
 * ------------------------------------------------------------------- */

/* The last publication that was counted; 0: none. */
static int64
read_progress(int16 pipeline_id)
{
	static void *plan = NULL;
	Oid			types[1] = {INT2OID};
	Datum		values[1] = {Int16GetDatum(pipeline_id)};

	if (fm_spi_run_kept(&plan, "SELECT pub_seq FROM _factorymon.kpi_progress"
						" WHERE pipeline_id = $1", 1, types, values, NULL,
						SPI_OK_SELECT) == 0)
		return 0;
	return fm_spi_int8(0, 1);
}

static void
write_progress(int16 pipeline_id, int64 pub_seq)
{
	static void *plan = NULL;
	Oid			types[2] = {INT2OID, INT8OID};
	Datum		values[2] = {Int16GetDatum(pipeline_id),
	Int64GetDatum(pub_seq)};

	(void) fm_spi_run_kept(&plan, "INSERT INTO _factorymon.kpi_progress AS k"
						   " VALUES ($1, $2) ON CONFLICT (pipeline_id)"
						   " DO UPDATE SET pub_seq = excluded.pub_seq"
						   " WHERE k.pub_seq < excluded.pub_seq",
						   2, types, values, NULL, SPI_OK_INSERT);
}

/* ----------------------------------------------------------------------
 * Reading publications
 * ------------------------------------------------------------------- */

/*
 * Publications in a range, each with its transition and its position; $4 and
 * $5 are the times between which they were recorded, so that time partitions
 * are chosen once.  The limit makes sure that transitions are looked up by
 * their index, whatever the statistics are.  What tells of no transition of a
 * stream has its place in the message; floods are not counted as
 * announcements.
 */
#define READ_TIMES \
	"SELECT min(recorded_at), max(recorded_at)" \
	" FROM _factorymon.publication" \
	" WHERE pipeline_id = $1 AND pub_seq BETWEEN $2 AND $3"

#define READ_EVENTS \
	"WITH published AS (" \
	" SELECT p.pub_seq, p.recorded_at, p.alarm_id, p.transition," \
	"  p.severity, p.announced, p.message_key, t.*," \
	"  CASE WHEN t.stream_id IS NULL THEN p.payload::jsonb END AS message" \
	" FROM _factorymon.publication p" \
	" LEFT JOIN LATERAL (" \
	"  SELECT x.stream_id, x.sensor_id, x.event_time, x.actor, x.comment," \
	"   x.condition, x.state, v.factory_section, v.zone" \
	"  FROM _factorymon.transition_%d x" \
	"  LEFT JOIN _factorymon.sensor_version v" \
	"   ON v.sensor_version_id = x.sensor_version_id" \
	"  WHERE x.stream_id = p.stream_id" \
	"   AND x.out_seq = p.out_seq AND x.recorded_at BETWEEN $4 AND $5" \
	"  LIMIT 1) t ON true" \
	" WHERE p.pipeline_id = $1 AND p.pub_seq BETWEEN $2 AND $3" \
	"), event AS MATERIALIZED (" \
	" SELECT pub_seq, recorded_at, alarm_id, transition, severity," \
	"  announced, stream_id, event_time, actor, comment," \
	"  CASE WHEN stream_id IS NOT NULL THEN sensor_id ELSE (" \
	"   SELECT s.sensor_id FROM _factorymon.sensor s" \
	"   WHERE s.name = message_key AND s.pipeline_id = $1) END" \
	"   AS sensor_id," \
	"  coalesce(condition, message ->> 'condition') AS condition," \
	"  coalesce(state, message ->> 'state') AS state," \
	"  coalesce(factory_section," \
	"   message #>> '{location,factory_section}') AS factory_section," \
	"  coalesce(zone, message #>> '{location,zone}') AS zone" \
	" FROM published" \
	"), place AS MATERIALIZED (" \
	" SELECT d.factory_section, d.zone, _factorymon.position_of(" \
	"   (SELECT name FROM _factorymon.pipeline WHERE pipeline_id = $1)," \
	"   d.factory_section, d.zone) AS position" \
	" FROM (SELECT DISTINCT factory_section, zone FROM event) d)" \
	" SELECT e.pub_seq, e.recorded_at, e.alarm_id, e.transition," \
	"  e.severity::integer, e.announced, e.stream_id, e.sensor_id," \
	"  e.event_time, e.actor, e.comment, e.condition, e.state, l.position" \
	" FROM event e JOIN place l" \
	"  ON coalesce(l.factory_section, '') = coalesce(e.factory_section, '')" \
	"  AND coalesce(l.zone, '') = coalesce(e.zone, '')" \
	"  AND (l.factory_section IS NULL) = (e.factory_section IS NULL)" \
	"  AND (l.zone IS NULL) = (e.zone IS NULL)" \
	" WHERE e.condition IS DISTINCT FROM 'flood'" \
	" ORDER BY e.pub_seq"

static TimestampTz
spi_time(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(datum);
}

static void
read_event(uint64 row, FmKpiEvent *event)
{
	bool		isnull;
	Datum		datum;

	memset(event, 0, sizeof(*event));
	event->pub_seq = fm_spi_int8(row, 1);
	event->recorded_at = spi_time(row, 2);
	datum = fm_spi_value(row, 3, &isnull);
	event->has_alarm = !isnull;
	if (!isnull)
		event->alarm_id = *DatumGetUUIDP(datum);
	event->transition = fm_spi_text(row, 4);
	event->severity = (int16) fm_spi_int4(row, 5);
	event->announced = fm_spi_bool(row, 6);
	event->stream_id = fm_spi_int4(row, 7);
	event->sensor_id = fm_spi_int4(row, 8);
	event->event_time = spi_time(row, 9);
	event->actor = fm_spi_text(row, 10);
	event->comment = fm_spi_text(row, 11);
	event->condition = fm_spi_text(row, 12);
	event->state = fm_spi_text(row, 13);
	event->position = fm_spi_text(row, 14);
}

/* A process takes those of one pipeline, as a rule, so one plan is kept. */
static void **
read_events_plan(int16 pipeline_id)
{
	static void *plan = NULL;
	static int16 plan_pipeline = 0;

	if (plan != NULL && plan_pipeline != pipeline_id)
	{
		SPI_freeplan((SPIPlanPtr) plan);
		plan = NULL;
	}
	plan_pipeline = pipeline_id;
	return &plan;
}

/* Those of a range, in the order of their numbers; how many. */
static int
read_events(int16 pipeline_id, int64 first, int64 last, FmKpiEvent **events)
{
	static void *times_plan = NULL;
	void	  **plan = read_events_plan(pipeline_id);
	Oid			types[5] = {INT2OID, INT8OID, INT8OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID};
	Datum		values[5] = {Int16GetDatum(pipeline_id),
	Int64GetDatum(first), Int64GetDatum(last)};
	uint64		n;

	(void) fm_spi_run_kept(&times_plan, READ_TIMES, 3, types, values, NULL,
						   SPI_OK_SELECT);
	values[3] = TimestampTzGetDatum(spi_time(0, 1));
	values[4] = TimestampTzGetDatum(spi_time(0, 2));
	n = fm_spi_run_kept(plan, *plan == NULL ?
						psprintf(READ_EVENTS, pipeline_id) : "events", 5,
						types, values, NULL, SPI_OK_SELECT);
	*events = palloc(Max(n, 1) * sizeof(FmKpiEvent));
	for (uint64 i = 0; i < n; i++)
		read_event(i, &(*events)[i]);
	return (int) n;
}

/* ----------------------------------------------------------------------
 * Bins
 * ------------------------------------------------------------------- */

typedef enum BinColumn
{
	BIN_AT,
	BIN_POSITION,
	BIN_LOW,
	BIN_MEDIUM,
	BIN_HIGH,
	BIN_COLUMNS
} BinColumn;

static const FmArrayColumn bin_columns[BIN_COLUMNS] = {
	[BIN_AT] = {"bin_at", TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[BIN_POSITION] = {"position", TEXTOID, TEXTARRAYOID},
	[BIN_LOW] = {"low", INT4OID, INT4ARRAYOID},
	[BIN_MEDIUM] = {"medium", INT4OID, INT4ARRAYOID},
	[BIN_HIGH] = {"high", INT4OID, INT4ARRAYOID}
};

#define UPSERT_BINS \
	"INSERT INTO _factorymon.alarm_bin AS b" \
	" (pipeline_id, bin_at, position, low, medium, high)" \
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6) AS u" \
	" ON CONFLICT (bin_at, position, pipeline_id) DO UPDATE SET" \
	" low = b.low + excluded.low, medium = b.medium + excluded.medium," \
	" high = b.high + excluded.high"

static TimestampTz
bin_of(TimestampTz at)
{
	TimestampTz from;
	TimestampTz to;

	fm_partition_bounds(BIN_WIDTH, at, &from, &to);
	return from;
}

static BinColumn
class_of(int16 severity)
{
	if (severity >= SEVERITY_HIGH)
		return BIN_HIGH;
	return severity >= SEVERITY_MEDIUM ? BIN_MEDIUM : BIN_LOW;
}

/* Announcements, by position and time, so those of a bin come together. */
static void
count_bins(int16 pipeline_id, FmKpiEvent *const *items, int n)
{
	static void *plan = NULL;
	FmKpiRows	rows;

	fm_kpi_rows_init(&rows, bin_columns, BIN_COLUMNS, n);
	for (int i = 0; i < n;)
	{
		const FmKpiEvent *first = items[i];
		TimestampTz bin_at = bin_of(first->recorded_at);
		int32		counts[BIN_COLUMNS] = {0};

		for (; i < n && strcmp(items[i]->position, first->position) == 0 &&
			 bin_of(items[i]->recorded_at) == bin_at; i++)
			counts[class_of(items[i]->severity)]++;
		fm_kpi_rows_set(&rows, BIN_AT, TimestampTzGetDatum(bin_at), false);
		fm_kpi_rows_set_text(&rows, BIN_POSITION, first->position);
		for (int c = BIN_LOW; c <= BIN_HIGH; c++)
			fm_kpi_rows_set(&rows, c, Int32GetDatum(counts[c]), false);
		rows.n++;
	}
	fm_kpi_rows_run(&rows, &plan, UPSERT_BINS, pipeline_id, SPI_OK_INSERT);
}

/* ----------------------------------------------------------------------
 * Taking
 * ------------------------------------------------------------------- */

static int
compare_announcements(const void *a, const void *b)
{
	const FmKpiEvent *x = *(FmKpiEvent *const *) a;
	const FmKpiEvent *y = *(FmKpiEvent *const *) b;
	int			order = strcmp(x->position, y->position);

	if (order != 0)
		return order;
	if (x->recorded_at != y->recorded_at)
		return x->recorded_at < y->recorded_at ? -1 : 1;
	return x->pub_seq < y->pub_seq ? -1 : x->pub_seq > y->pub_seq;
}

/* Those that call for an operator, by position and time. */
static int
find_announcements(FmKpiEvent *events, int n, FmKpiEvent ***announcements)
{
	int			found = 0;

	*announcements = palloc(Max(n, 1) * sizeof(FmKpiEvent *));
	for (int i = 0; i < n; i++)
	{
		if (events[i].announced)
			(*announcements)[found++] = &events[i];
	}
	qsort(*announcements, found, sizeof(FmKpiEvent *), compare_announcements);
	return found;
}

int64
fm_kpi_take(int16 pipeline_id, int64 first_pub_seq, int64 last_pub_seq)
{
	FmKpiEvent *events;
	FmKpiEvent **announcements;
	int64		used = last_pub_seq;
	int			n;
	int			announced;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	first_pub_seq = Max(first_pub_seq, read_progress(pipeline_id) + 1);
	n = first_pub_seq > last_pub_seq ? 0 :
		read_events(pipeline_id, first_pub_seq, last_pub_seq, &events);
	if (n > 0)
	{
		fm_kpi_take_calls(pipeline_id, events, n);
		fm_kpi_take_blocks(pipeline_id, events, n);
		announced = find_announcements(events, n, &announcements);
		if (announced > 0)
		{
			count_bins(pipeline_id, announcements, announced);
			if (fm_kpi_take_floods(pipeline_id, announcements, announced))
				used = fm_kpi_tell_floods(pipeline_id, used);
		}
	}
	if (first_pub_seq <= last_pub_seq)
		write_progress(pipeline_id, used);
	SPI_finish();
	return used;
}

int64
fm_kpi_clock(int16 pipeline_id, TimestampTz now, int64 last_pub_seq)
{
	int64		used;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_kpi_end_floods(pipeline_id, now);
	used = fm_kpi_tell_floods(pipeline_id, last_pub_seq);
	if (used > last_pub_seq)
		write_progress(pipeline_id, used);
	SPI_finish();
	return used;
}

/* ----------------------------------------------------------------------
 * Forgetting
 * ------------------------------------------------------------------- */

/* What can be forgotten: table, key, and when that is old. */
static const char *const expiring[][3] = {
	{"alarm_bin", "bin_at, position, pipeline_id", "bin_at < %s"},
	{"alarm_call", "alarm_id, call",
	"announced_at < %1$s AND ended_at < %1$s"},
	{"alarm_block", "pipeline_id, pub_seq", "unblocked_at < %s"},
	{"flood", "flood_id", "started_at < %1$s AND ended_at < %1$s"
	" AND ended_seq IS NOT NULL"},
	{"operating_position", "position", "clock_at < %s AND flood_id IS NULL"},
};

int64
fm_kpi_expire(void)
{
	static const char *const cutoff = "now() - make_interval(mins => $1)";
	int64		total = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < lengthof(expiring); i++)
	{
		FmArgs		args = {0};
		char	   *old = psprintf(expiring[i][2], cutoff);

		fm_args_int4(&args, fm_kpi_retention);
		fm_args_int4(&args, EXPIRE_ROWS);
		total += fm_args_run(&args, psprintf("DELETE FROM _factorymon.%1$s"
											 " WHERE (%2$s) IN (SELECT %2$s"
											 " FROM _factorymon.%1$s"
											 " WHERE %3$s LIMIT $2"
											 " FOR UPDATE SKIP LOCKED)",
											 expiring[i][0], expiring[i][1],
											 old), SPI_OK_DELETE);
	}
	SPI_finish();
	return total;
}

void
fm_kpi_drop(int16 pipeline_id)
{
	static const char *const tables[] = {"alarm_bin", "alarm_call",
	"alarm_block", "flood"};
	FmArgs		args = {0};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fm_args_int2(&args, pipeline_id);
	fm_args_run(&args, "UPDATE _factorymon.operating_position"
				" SET flood_id = NULL, flood_pipeline_id = NULL,"
				" started_at = NULL, ends_at = NULL"
				" WHERE flood_pipeline_id = $1", SPI_OK_UPDATE);
	for (int i = 0; i < lengthof(tables); i++)
		fm_args_run(&args, psprintf("DELETE FROM _factorymon.%s"
									" WHERE pipeline_id = $1", tables[i]),
					SPI_OK_DELETE);
	SPI_finish();
}
