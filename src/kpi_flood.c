/*-------------------------------------------------------------------------
 *
 * kpi_flood.c
 *	  Operating positions and their floods: state, history, publications.
 *
 * When a position is flooded is decided in flood.c.  Its state is one row of
 * operating_position, so a crash loses and repeats nothing.  Start and end of
 * a flood go out like transitions of alarms: condition "flood", keyed by the
 * position's name, the same alarm_id for both.  Nobody acknowledges a flood.
 *
 * A position may look after several pipelines, and any of them may find that a
 * flood is over.  It is told by the pipeline that began it, whose numbers only
 * its own publisher may give: the others leave it in the table, untold.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "utils/array.h"
#include "utils/uuid.h"

#include "alarm.h"
#include "alert_message.h"
#include "guc.h"
#include "kpi_internal.h"
#include "pipeline_internal.h"

/* Severity of a flood: more than a warning, less than a critical alarm. */
#define FLOOD_SEVERITY	600

/*
 * The clock ends a flood only so long after its end, when the announcements
 * before it have been committed.
 */
#define CLOCK_GRACE		(2 * USECS_PER_SEC)

typedef struct Position
{
	const char *name;
	FmFlood		flood;
	pg_uuid_t	flood_id;		/* of the flood that goes on */
	int16		pipeline_id;	/* whose publisher tells of it */
} Position;

static FmFloodLimits
current_limits(void)
{
	FmFloodLimits limits = {
		.start = fm_flood_start,
		.end = Min(fm_flood_end, fm_flood_start)
	};

	return limits;
}

/* ----------------------------------------------------------------------
 * Reading and writing positions
 * ------------------------------------------------------------------- */

#define POSITION_COLUMNS \
	"position, clock_at, recent, flood_id, flood_pipeline_id::integer," \
	" started_at, announcements, peak"

static void
read_recent(uint64 row, FmFlood *flood)
{
	bool		isnull;
	Datum		datum = fm_spi_value(row, 3, &isnull);
	Datum	   *items;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(datum), TIMESTAMPTZOID,
					  sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &items, NULL, &n);
	flood->n = Min(n, FM_FLOOD_MEMORY);
	for (int i = 0; i < flood->n; i++)
		flood->times[i] = DatumGetTimestampTz(items[n - flood->n + i]);
}

static Position *
read_position(uint64 row)
{
	Position   *position = palloc0(sizeof(Position));
	FmFlood    *flood = &position->flood;
	bool		isnull;
	Datum		datum;

	position->name = fm_spi_text(row, 1);
	flood->clock = DatumGetTimestampTz(fm_spi_value(row, 2, &isnull));
	read_recent(row, flood);
	datum = fm_spi_value(row, 4, &isnull);
	flood->active = !isnull;
	if (flood->active)
	{
		position->flood_id = *DatumGetUUIDP(datum);
		position->pipeline_id = (int16) fm_spi_int4(row, 5);
		flood->started_at = fm_spi_int8(row, 6);
	}
	flood->announcements = fm_spi_int4(row, 7);
	flood->peak = fm_spi_int4(row, 8);
	return position;
}

static List *
read_positions(uint64 n)
{
	List	   *positions = NIL;

	for (uint64 i = 0; i < n; i++)
		positions = lappend(positions, read_position(i));
	return positions;
}

/* Lock and read the rows of some names; some may have none yet. */
static List *
lock_existing(Datum names)
{
	static void *plan = NULL;
	Oid			types[1] = {TEXTARRAYOID};

	return read_positions(fm_spi_run_kept(&plan, "SELECT " POSITION_COLUMNS
										  " FROM _factorymon.operating_position"
										  " WHERE position = ANY ($1)"
										  " ORDER BY position FOR UPDATE",
										  1, types, &names, NULL,
										  SPI_OK_SELECT));
}

/* The same, made where they do not exist. */
static List *
lock_positions(Datum *names, int n)
{
	static const FmArrayColumn column = {"position", TEXTOID, TEXTARRAYOID};
	bool	   *nulls = palloc0(n * sizeof(bool));
	Datum		array = fm_column_array(&column, names, nulls, n);
	List	   *positions = lock_existing(array);
	FmArgs		args = {0};

	if (list_length(positions) == n)
		return positions;
	fm_args_add(&args, TEXTARRAYOID, array, false);
	fm_args_run(&args, "INSERT INTO _factorymon.operating_position (position)"
				" SELECT name FROM unnest($1) AS u(name) ORDER BY name"
				" ON CONFLICT DO NOTHING", SPI_OK_INSERT);
	return lock_existing(array);
}

static void
write_position(const Position *position)
{
	static void *plan = NULL;
	static const FmArrayColumn column = {"recent", TIMESTAMPTZOID,
	TIMESTAMPTZARRAYOID};
	const FmFlood *flood = &position->flood;
	FmFloodLimits limits = current_limits();
	Datum	   *times = palloc(Max(flood->n, 1) * sizeof(Datum));
	bool	   *nulls = palloc0(Max(flood->n, 1) * sizeof(bool));
	FmArgs		args = {0};

	for (int i = 0; i < flood->n; i++)
		times[i] = TimestampTzGetDatum(flood->times[i]);
	fm_args_text(&args, position->name);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(flood->clock),
				false);
	fm_args_add(&args, TIMESTAMPTZARRAYOID, flood->n == 0 ?
				PointerGetDatum(construct_empty_array(TIMESTAMPTZOID)) :
				fm_column_array(&column, times, nulls, flood->n), false);
	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&position->flood_id),
				!flood->active);
	fm_args_add(&args, INT2OID, Int16GetDatum(position->pipeline_id),
				!flood->active);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(flood->started_at),
				!flood->active);
	fm_args_add(&args, TIMESTAMPTZOID, flood->active ?
				TimestampTzGetDatum(fm_flood_end_time(flood, &limits)) : 0,
				!flood->active);
	fm_args_int4(&args, flood->active ? flood->announcements : 0);
	fm_args_int4(&args, flood->active ? flood->peak : 0);
	(void) fm_spi_run_kept(&plan, "UPDATE _factorymon.operating_position"
						   " SET clock_at = $2, recent = $3, flood_id = $4,"
						   " flood_pipeline_id = $5, started_at = $6,"
						   " ends_at = $7, announcements = $8, peak = $9"
						   " WHERE position = $1", args.n, args.types,
						   args.values, args.nulls, SPI_OK_UPDATE);
}

/* ----------------------------------------------------------------------
 * Floods
 * ------------------------------------------------------------------- */

static void
begin_flood(Position *position, int16 pipeline_id)
{
	const FmFlood *flood = &position->flood;
	FmArgs		args = {0};

	fm_event_id_random(&position->flood_id);
	position->pipeline_id = pipeline_id;
	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&position->flood_id), false);
	fm_args_int2(&args, pipeline_id);
	fm_args_text(&args, position->name);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(flood->since),
				false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(flood->started_at),
				false);
	fm_args_int4(&args, flood->announcements);
	fm_args_int4(&args, flood->peak);
	fm_args_run(&args, "INSERT INTO _factorymon.flood (flood_id, pipeline_id,"
				" position, since, started_at, announcements, peak)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7)", SPI_OK_INSERT);
}

static void
end_flood(Position *position, TimestampTz ended_at)
{
	FmArgs		args = {0};

	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&position->flood_id), false);
	fm_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(ended_at), false);
	fm_args_int4(&args, position->flood.announcements);
	fm_args_int4(&args, position->flood.peak);
	fm_args_run(&args, "UPDATE _factorymon.flood SET ended_at = $2,"
				" announcements = $3, peak = $4 WHERE flood_id = $1",
				SPI_OK_UPDATE);
}

/* One announcement; whether this pipeline has something to tell. */
static bool
take_announcement(Position *position, int16 pipeline_id, TimestampTz at)
{
	FmFloodLimits limits = current_limits();
	TimestampTz ended_at;
	bool		tell = false;

	if (fm_flood_advance(&position->flood, &limits, at, &ended_at))
	{
		end_flood(position, ended_at);
		tell = position->pipeline_id == pipeline_id;
	}
	if (fm_flood_announce(&position->flood, &limits, at))
	{
		begin_flood(position, pipeline_id);
		tell = true;
	}
	return tell;
}

static Position *
find_position(List *positions, const char *name)
{
	ListCell   *cell;

	foreach(cell, positions)
	{
		Position   *position = lfirst(cell);

		if (strcmp(position->name, name) == 0)
			return position;
	}
	elog(ERROR, "operating position \"%s\" is missing", name);
	return NULL;				/* keep compiler quiet */
}

bool
fm_kpi_take_floods(int16 pipeline_id, FmKpiEvent *const *items, int n)
{
	Datum	   *names = palloc(n * sizeof(Datum));
	int			nnames = 0;
	Position   *position = NULL;
	List	   *positions;
	ListCell   *cell;
	bool		tell = false;

	for (int i = 0; i < n; i++)
	{
		if (i == 0 || strcmp(items[i]->position, items[i - 1]->position) != 0)
			names[nnames++] = CStringGetTextDatum(items[i]->position);
	}
	positions = lock_positions(names, nnames);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || strcmp(items[i]->position, position->name) != 0)
			position = find_position(positions, items[i]->position);
		if (take_announcement(position, pipeline_id, items[i]->recorded_at))
			tell = true;
	}
	foreach(cell, positions)
		write_position(lfirst(cell));
	return tell;
}

/* Floods of this pipeline that are over; by others, they may be so already. */
void
fm_kpi_end_floods(int16 pipeline_id, TimestampTz now)
{
	static void *plan = NULL;
	Oid			types[2] = {INT2OID, TIMESTAMPTZOID};
	Datum		values[2] = {Int16GetDatum(pipeline_id),
	TimestampTzGetDatum(now - CLOCK_GRACE)};
	FmFloodLimits limits = current_limits();
	List	   *positions;
	ListCell   *cell;

	positions = read_positions(fm_spi_run_kept(&plan,
											   "SELECT " POSITION_COLUMNS
											   " FROM _factorymon.operating_position"
											   " WHERE flood_pipeline_id = $1"
											   " AND ends_at <= $2"
											   " ORDER BY position FOR UPDATE",
											   2, types, values, NULL,
											   SPI_OK_SELECT));
	foreach(cell, positions)
	{
		Position   *position = lfirst(cell);
		TimestampTz ended_at;

		/* if not, the limits have changed, and when it will be */
		if (fm_flood_advance(&position->flood, &limits, now - CLOCK_GRACE,
							 &ended_at))
			end_flood(position, ended_at);
		write_position(position);
	}
}

TimestampTz
fm_kpi_next_deadline(int16 pipeline_id)
{
	static void *plan = NULL;
	Oid			types[1] = {INT2OID};
	Datum		values[1] = {Int16GetDatum(pipeline_id)};
	TimestampTz result;
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	(void) fm_spi_run_kept(&plan, "SELECT least((SELECT min(ends_at)"
						   " FROM _factorymon.operating_position"
						   " WHERE flood_pipeline_id = $1),"
						   " (SELECT min(ended_at) FROM _factorymon.flood"
						   " WHERE pipeline_id = $1 AND ended_seq IS NULL))",
						   1, types, values, NULL, SPI_OK_SELECT);
	result = DatumGetTimestampTz(fm_spi_value(0, 1, &isnull));
	SPI_finish();
	return isnull ? DT_NOEND : result + CLOCK_GRACE;
}

/* ----------------------------------------------------------------------
 * Telling
 * ------------------------------------------------------------------- */

/* The start or the end of a flood. */
typedef struct FloodEvent
{
	pg_uuid_t	flood_id;
	pg_uuid_t	event_id;
	const char *position;
	const char *pipeline;
	TimestampTz since;
	TimestampTz started_at;
	TimestampTz ended_at;
	int32		announcements;
	int32		peak;
	bool		over;
} FloodEvent;

/* The message, with the members of every alert. */
static char *
payload_of(const FloodEvent *event)
{
	bool		over = event->over;
	StringInfoData buf;
	FmAlertMessage message = {
		.event_id = &event->event_id,
		.alarm_id = &event->flood_id,
		.seq = over ? 2 : 1,
		.condition = "flood",
		.transition = over ? "returned" : "raised",
		.state = over ? "normal" : "active_acknowledged",
		.announced = !over,
		.level = over ? FM_LEVEL_NORMAL : FM_LEVEL_WARNING,
		.severity = FLOOD_SEVERITY,
		.previous_state = over ? "active_acknowledged" : "normal",
		.previous_level = over ? FM_LEVEL_WARNING : FM_LEVEL_NORMAL,
		.value = event->announcements,
		.limit = over ? NAN : fm_flood_start,
		.deadband = NAN,
		.quality = NAN,
		.score = NAN,
		.event_time = over ? event->ended_at : event->started_at,
		.since = event->since,
		.raised_at = event->started_at,
		.recorded_at = GetCurrentTransactionStartTimestamp(),
		.cause = over ? "clock" : "data",
		.pipeline = event->pipeline,
		.partition = -1,
		.offset = -1,
		.reading_index = -1,
		.position = event->position,
		.peak = event->peak
	};

	initStringInfo(&buf);
	fm_alert_message_compose(&buf, &message);
	return buf.data;
}

static void
publish(int16 pipeline_id, int64 pub_seq, const FloodEvent *event)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline_id);
	fm_args_int8(&args, pub_seq);
	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&event->event_id), false);
	fm_args_text(&args, event->position);
	fm_args_text(&args, payload_of(event));
	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&event->flood_id), false);
	fm_args_text(&args, event->over ? "returned" : "raised");
	fm_args_int2(&args, FLOOD_SEVERITY);
	fm_args_add(&args, BOOLOID, BoolGetDatum(!event->over), false);
	fm_args_run(&args, "INSERT INTO _factorymon.publication (pipeline_id,"
				" pub_seq, event_id, recorded_at, message_key, payload,"
				" alarm_id, transition, severity, announced, to_kafka)"
				" SELECT $1, $2, $3, now(), $4, $5, $6, $7, $8, $9,"
				" p.alert_topic IS NOT NULL FROM _factorymon.pipeline p"
				" WHERE p.pipeline_id = $1",
				SPI_OK_INSERT);
}

static void
note_told(int64 pub_seq, const FloodEvent *event)
{
	FmArgs		args = {0};

	fm_args_add(&args, UUIDOID, UUIDPGetDatum(&event->flood_id), false);
	fm_args_int8(&args, pub_seq);
	fm_args_run(&args, event->over ?
				"UPDATE _factorymon.flood SET ended_seq = $2"
				" WHERE flood_id = $1" :
				"UPDATE _factorymon.flood SET started_seq = $2"
				" WHERE flood_id = $1", SPI_OK_UPDATE);
}

/* Starts and ends in the order of their times. */
#define READ_UNTOLD \
	"SELECT f.flood_id, f.position, p.name, f.since, f.started_at," \
	" coalesce(f.ended_at, f.started_at), f.announcements, f.peak, e.over" \
	" FROM _factorymon.flood f" \
	" JOIN _factorymon.pipeline p USING (pipeline_id)" \
	" CROSS JOIN (VALUES (false), (true)) AS e(over)" \
	" WHERE f.pipeline_id = $1 AND f.ended_seq IS NULL" \
	" AND CASE WHEN e.over THEN f.ended_at IS NOT NULL" \
	"  ELSE f.started_seq IS NULL END" \
	" ORDER BY CASE WHEN e.over THEN f.ended_at ELSE f.started_at END," \
	" e.over, f.position"

static void
read_untold(uint64 row, FloodEvent *event)
{
	bool		isnull;

	event->flood_id = *DatumGetUUIDP(fm_spi_value(row, 1, &isnull));
	event->position = fm_spi_text(row, 2);
	event->pipeline = fm_spi_text(row, 3);
	event->since = fm_spi_int8(row, 4);
	event->started_at = fm_spi_int8(row, 5);
	event->ended_at = fm_spi_int8(row, 6);
	event->announcements = fm_spi_int4(row, 7);
	event->peak = fm_spi_int4(row, 8);
	event->over = fm_spi_bool(row, 9);
	fm_event_id_random(&event->event_id);
}

int64
fm_kpi_tell_floods(int16 pipeline_id, int64 last_pub_seq)
{
	static void *plan = NULL;
	Oid			types[1] = {INT2OID};
	Datum		values[1] = {Int16GetDatum(pipeline_id)};
	int			n = (int) fm_spi_run_kept(&plan, READ_UNTOLD, 1, types, values,
										  NULL, SPI_OK_SELECT);
	FloodEvent *events = palloc(Max(n, 1) * sizeof(FloodEvent));

	for (int i = 0; i < n; i++)
		read_untold(i, &events[i]);
	for (int i = 0; i < n; i++)
	{
		last_pub_seq++;
		publish(pipeline_id, last_pub_seq, &events[i]);
		note_told(last_pub_seq, &events[i]);
	}
	return last_pub_seq;
}
