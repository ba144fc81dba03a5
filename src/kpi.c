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
 * A publication is counted once, since it is numbered once, by the same
 * transaction; a dump has what was counted and what was numbered as of one
 * moment.  What a publication tells comes from whoever numbers it.  Positions
 * are looked up with one statement, and each table is written with one.
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
 * Positions
 * ------------------------------------------------------------------- */

typedef enum PlaceColumn
{
	PLACE_FACTORY_SECTION,
	PLACE_ZONE,
	PLACE_COLUMNS
} PlaceColumn;

static const FmArrayColumn place_columns[PLACE_COLUMNS] = {
	[PLACE_FACTORY_SECTION] = {"factory_section", TEXTOID, TEXTARRAYOID},
	[PLACE_ZONE] = {"zone", TEXTOID, TEXTARRAYOID}
};

#define READ_POSITIONS \
	"SELECT x.\"position\"" \
	" FROM unnest($2, $3) WITH ORDINALITY AS u(factory_section, zone, n)" \
	" LEFT JOIN _factorymon.pipeline p ON p.pipeline_id = $1" \
	" CROSS JOIN LATERAL _factorymon.position_at(p.name," \
	"  u.factory_section, u.zone) x ORDER BY u.n"

/* Null is a value of its own. */
static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int
compare_places(const void *a, const void *b)
{
	const FmKpiEvent *x = *(FmKpiEvent *const *) a;
	const FmKpiEvent *y = *(FmKpiEvent *const *) b;
	int			order = compare_texts(x->factory_section,
									  y->factory_section);

	return order != 0 ? order : compare_texts(x->zone, y->zone);
}

static bool
begins_place(FmKpiEvent *const *items, int i)
{
	return i == 0 || compare_places(&items[i - 1], &items[i]) != 0;
}

/* Who looks after the events, as the map is now; asked once for each place. */
static void
find_positions(int16 pipeline_id, FmKpiEvent *events, int n)
{
	static void *plan = NULL;
	FmKpiEvent **items = palloc(n * sizeof(FmKpiEvent *));
	const char *position = NULL;
	uint64		row = 0;
	FmKpiRows	rows;

	for (int i = 0; i < n; i++)
		items[i] = &events[i];
	qsort(items, n, sizeof(FmKpiEvent *), compare_places);
	fm_kpi_rows_init(&rows, place_columns, PLACE_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		if (!begins_place(items, i))
			continue;
		fm_kpi_rows_set_text(&rows, PLACE_FACTORY_SECTION,
							 items[i]->factory_section);
		fm_kpi_rows_set_text(&rows, PLACE_ZONE, items[i]->zone);
		rows.n++;
	}
	fm_kpi_rows_run(&rows, &plan, READ_POSITIONS, pipeline_id, SPI_OK_SELECT);
	for (int i = 0; i < n; i++)
	{
		if (begins_place(items, i))
			position = fm_spi_text(row++, 1);
		items[i]->position = position;
	}
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
fm_kpi_take(int16 pipeline_id, FmKpiEvent *events, int n, int64 last_pub_seq)
{
	FmKpiEvent **announcements;
	int64		used = last_pub_seq;
	int			announced;

	if (n == 0)
		return used;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	find_positions(pipeline_id, events, n);
	fm_kpi_take_calls(pipeline_id, events, n);
	fm_kpi_take_blocks(pipeline_id, events, n);
	announced = find_announcements(events, n, &announcements);
	if (announced > 0)
	{
		count_bins(pipeline_id, announcements, announced);
		if (fm_kpi_take_floods(pipeline_id, announcements, announced))
			used = fm_kpi_tell_floods(pipeline_id, used);
	}
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
