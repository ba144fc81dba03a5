/*-------------------------------------------------------------------------
 *
 * crash_test.c
 *	  A fold that crashes against one that does not.
 *
 * A random stream (late, future, equal and untrusted readings, numbers
 * skipped, repeated and begun anew, limits that change, detectors that are
 * switched on and off) goes batch by batch through two folds.  One, the worker's, suffers what workers suffer:
 * messages undone within a batch, batches undone and tried again, what
 * operators do in between, snapshots that commit or do not, crashes after
 * which it is rebuilt from the tables.  The other is only ever given what was
 * committed.  After every batch both must have decided the same, and after
 * every crash what was rebuilt must be what was lost, byte by byte (but for
 * message_at).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "fold_test.h"

PG_FUNCTION_INFO_V1(fold_crash);

/* Sensors are numbered from here, far from those of the sequence. */
#define FIRST_SENSOR	1000000

#define MAX_MESSAGES	40
#define MAX_ROWS		(MAX_MESSAGES * 3)

/* Types of sensors, by sensor and description (fold_crash.sql knows them). */
#define TYPES			4

/* One message: its rows, and whether the database will refuse it. */
typedef struct TestMessage
{
	int64		offset;
	int			first_row;
	int			nrows;
	bool		poison;
} TestMessage;

typedef struct TestRun
{
	pg_prng_state prng;
	int			nsensors;
	FmFoldStream stream;
	FmFold	   *worker;
	FmFold	   *steady;
	FmTransitionList worker_list;
	FmTransitionList steady_list;
	FmLimits	limits;
	bool		delays;			/* limits have delays and deadbands */
	bool		detects;		/* types have detectors */
	FmDetectorParams params[TYPES];
	uint32		generation;		/* of params */
	int32	   *counts;			/* reading_count of each sensor */
	int64		clock;			/* of the plant */
	int64		offset;			/* next one of the log */

	/* the batch */
	int			nmessages;
	int			nrows;
	TestMessage messages[MAX_MESSAGES];
	FmRow		rows[MAX_ROWS];
	FmReading	readings[MAX_ROWS];
	FmSensor	sensors[MAX_ROWS];

	/* the position row */
	int64		fold_position;
	int64		snapshot_position;
	TimestampTz min_ts;
	TimestampTz max_ts;

	SPIPlanPtr	insert;			/* into the pipeline's readings */

	/* how often what happened */
	int64		nreadings;
	int64		ntransitions;
	int64		nretries;
	int64		npoison;
	int64		nsnapshots;
	int64		ncrashes;
	int64		nacts;
	int64		nscores;
	int64		nsignals;		/* transitions of detectors' alarms */
} TestRun;

static bool
chance(TestRun *run, double probability)
{
	return pg_prng_double(&run->prng) < probability;
}

static int
below(TestRun *run, int bound)
{
	return (int) pg_prng_uint64_range(&run->prng, 0, bound - 1);
}

static void
choose_limits(TestRun *run)
{
	memset(&run->limits, 0, sizeof(run->limits));
	run->limits.critical_low = chance(run, 0.3) ? NAN : 5 + below(run, 4);
	run->limits.warning_low = 10 + below(run, 4);
	run->limits.warning_high = chance(run, 0.2) ? NAN : 30 + below(run, 4);
	run->limits.critical_high = 40 - below(run, 4);
	run->limits.threshold_id = below(run, 3);
	run->limits.version = below(run, 3);
	run->limits.severity[0] = 500;
	run->limits.severity[1] = 900;
	run->limits.wants_acknowledgement = true;
	run->limits.shelvable = true;
	if (!run->delays)
		return;
	run->limits.deadband = below(run, 3) * 0.5;
	run->limits.on_delay = below(run, 3) * 5 * USECS_PER_SEC;
	run->limits.off_delay = below(run, 3) * 10 * USECS_PER_SEC;
	run->limits.wants_acknowledgement = chance(run, 0.7);
	if (chance(run, 0.1))
		run->limits.warning_high = run->limits.critical_high =
			run->limits.warning_low = run->limits.critical_low = NAN;
}

/* A type's detectors: each on or off, quick to learn and to find something. */
static void
choose_params(TestRun *run, int type)
{
	FmDetectorParams *params = &run->params[type];

	memset(params, 0, sizeof(*params));
	snprintf(params->sensor_type, sizeof(params->sensor_type), "type %d",
			 type);
	params->type = 1 + type;
	/* some types have none at all */
	params->on = chance(run, 0.2) ? 0 : 1 + below(run, 63);
	for (int i = 0; i < FM_LEARNED_KINDS; i++)
	{
		params->learning[i].weight = 0.01 + below(run, 10) * 0.01;
		params->learning[i].time_constant =
			chance(run, 0.3) ? 100 * USECS_PER_SEC : 0;
		params->learning[i].clip = 2;
		params->learning[i].unbias = fm_detector_unbias(2);
		params->learning[i].after = i == FM_LEARNED_HOUR ? 0 : 32;
	}
	params->resolution = chance(run, 0.5) ? 0.5 : 0;
	params->tolerance = below(run, 10);
	params->flat_time = below(run, 3) * USECS_PER_SEC;
	params->per_minute = chance(run, 0.3) ? 10 : 0;
	params->span = 2 * USECS_PER_SEC;
	for (int i = 0; i < FM_DETECTORS; i++)
	{
		FmDetectorAlarm *alarm = &params->alarms[i];

		params->report[i] = i == FM_DETECTOR_TIME ? 0 : 1 + below(run, 3);
		alarm->on = chance(run, 0.7);
		alarm->raise_after = 1 + below(run, 3);
		alarm->return_after = 1 + below(run, 3);
		alarm->severity = 200;
		alarm->version = run->generation;
		alarm->options = below(run, 4);
	}
}

/* Some change, and all of them are adopted. */
static void
choose_detectors(TestRun *run)
{
	run->generation++;
	for (int i = 0; i < TYPES; i++)
	{
		if (run->generation == 1 || chance(run, 0.5))
			choose_params(run, i);
	}
}

/* Which type the sensor of a row is of, and so its detectors. */
static void
choose_type(TestRun *run, int n, int sensor)
{
	bool		odd = chance(run, 0.005);
	const FmDetectorParams *params =
		&run->params[odd ? TYPES - 1 : sensor % (TYPES - 1)];

	if (odd)
		run->sensors[n].sensor_version_id = 10 * sensor + 9;
	if (params->on != 0)
		run->sensors[n].detectors = params;
}

static void
choose_row(TestRun *run, TestMessage *message)
{
	int			n = run->nrows++;
	int			sensor = below(run, run->nsensors);
	FmReading  *reading = &run->readings[n];
	FmRow	   *row = &run->rows[n];

	memset(reading, 0, sizeof(*reading));
	memset(row, 0, sizeof(*row));
	memset(&run->sensors[n], 0, sizeof(FmSensor));

	if (!chance(run, 0.1))
		run->clock += below(run, 2000000);
	reading->ts = run->clock;
	row->message_at = run->clock + below(run, 1000);
	if (chance(run, 0.05))
		reading->ts -= below(run, 100) * USECS_PER_SEC;
	else if (chance(run, 0.03))
		reading->ts += below(run, 200) * USECS_PER_SEC;
	else if (chance(run, 0.005))
		run->clock += 3600 * USECS_PER_SEC;
	reading->value = chance(run, 0.5) ? 20 + below(run, 8) :
		below(run, 100) / 2.0;
	reading->has_quality = !chance(run, 0.3);
	reading->quality = reading->has_quality ? below(run, 11) / 10.0 : 0;
	reading->reported = chance(run, 0.5) ? FM_REPORTED_NONE :
		FM_REPORTED_WARNING;
	reading->has_reading_count = !chance(run, 0.1);
	if (chance(run, 0.02))
		run->counts[sensor] = below(run, 10);
	else if (chance(run, 0.05))
		run->counts[sensor] += below(run, 100);
	else if (!chance(run, 0.05))
		run->counts[sensor]++;
	reading->reading_count = reading->has_reading_count ?
		Max(run->counts[sensor] - (chance(run, 0.05) ? below(run, 70) : 0), 0)
		: 0;

	row->reading = reading;
	row->stream_id = run->stream.stream_id;
	row->kafka_offset = message->offset;
	row->reading_index = message->nrows++;
	run->sensors[n].sensor_id = FIRST_SENSOR + sensor;
	run->sensors[n].sensor_version_id = 10 * sensor + below(run, 3);
	run->sensors[n].limits = &run->limits;
	if (run->detects)
		choose_type(run, n, sensor);
}

static void
choose_batch(TestRun *run)
{
	run->nrows = 0;
	run->nmessages = 1 + below(run, MAX_MESSAGES);
	if (chance(run, 0.05))
		choose_limits(run);
	if (run->detects && (run->generation == 0 || chance(run, 0.05)))
		choose_detectors(run);
	/* sensors come up over time, so that chunks are written unfilled */
	if (chance(run, 0.3))
		run->nsensors++;
	for (int i = 0; i < run->nmessages; i++)
	{
		TestMessage *message = &run->messages[i];
		int			nrows = chance(run, 0.1) ? 0 : 1 + below(run, 3);

		if (chance(run, 0.05))
			run->offset += below(run, 10);
		message->offset = run->offset++;
		message->first_row = run->nrows;
		message->nrows = 0;
		message->poison = chance(run, 0.05);
		for (int row = 0; row < nrows; row++)
			choose_row(run, message);
	}
}

/* Apply the batch; messages that are poison are undone, or left out. */
static void
apply_batch(TestRun *run, FmFold *fold, FmTransitionList *list, bool undo)
{
	for (int i = 0; i < run->nmessages; i++)
	{
		TestMessage *message = &run->messages[i];
		FmFoldMark	mark = fm_fold_mark(fold);
		int			length = list->length;

		if (undo || !message->poison)
		{
			for (int j = 0; j < message->nrows; j++)
				fm_fold_apply(fold, &run->rows[message->first_row + j],
							  &run->sensors[message->first_row + j], list);
		}
		if (undo && message->poison)
		{
			fm_fold_rollback(fold, mark);
			fm_transitions_truncate(list, length);
			run->npoison++;
		}
		fm_fold_advance(fold, message->offset + 1);
	}
}

static void
store_row(TestRun *run, int n)
{
	Oid			types[] = {TIMESTAMPTZOID, INT8OID, FLOAT8OID, INT4OID,
		INT4OID, INT4OID, INT4OID, FLOAT4OID, INT2OID, INT2OID, INT2OID,
	INT2OID};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types)];
	const FmRow *row = &run->rows[n];

	if (run->insert == NULL)
		run->insert =
			SPI_prepare(psprintf("INSERT INTO _factorymon.reading_%d (ts,"
									" kafka_offset, value, sensor_id,"
									" stream_id, sensor_version_id,"
									" reading_count, quality, pipeline_id,"
									" reading_index, level, flags) VALUES"
									" ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
									" $10, $11, $12)",
									run->stream.pipeline_id),
						lengthof(types), types);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = TimestampTzGetDatum(row->reading->ts);
	values[1] = Int64GetDatum(row->kafka_offset);
	values[2] = Float8GetDatum(row->reading->value);
	values[3] = Int32GetDatum(run->sensors[n].sensor_id);
	values[4] = Int32GetDatum(row->stream_id);
	values[5] = Int32GetDatum(run->sensors[n].sensor_version_id);
	values[6] = Int32GetDatum(row->reading->reading_count);
	nulls[6] = row->reading->has_reading_count ? ' ' : 'n';
	values[7] = Float4GetDatum(row->reading->quality);
	nulls[7] = row->reading->has_quality ? ' ' : 'n';
	values[8] = Int16GetDatum(run->stream.pipeline_id);
	values[9] = Int16GetDatum(row->reading_index);
	values[10] = Int16GetDatum(row->level);
	values[11] = Int16GetDatum(row->flags);
	if (SPI_execute_plan(run->insert, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not store a reading");
	run->nreadings++;
}

static void
store_batch(TestRun *run)
{
	/* backwards, to show that the order of rows means nothing */
	for (int i = run->nmessages - 1; i >= 0; i--)
	{
		if (run->messages[i].poison)
			continue;
		for (int j = run->messages[i].nrows - 1; j >= 0; j--)
			store_row(run, run->messages[i].first_row + j);
	}
	fm_transitions_insert(run->stream.pipeline_id, &run->worker_list,
						  run->worker_list.length);
	fm_alarms_store(run->worker, &run->worker_list, run->worker_list.length);
	run->ntransitions += run->worker_list.length;
}

/* Both folds must have come to the same of the batch. */
static void
compare_outcomes(TestRun *run, const FmRow *before)
{
	const FmTransitionList *a = &run->worker_list;
	const FmTransitionList *b = &run->steady_list;

	for (int i = 0; i < run->nmessages; i++)
	{
		if (run->messages[i].poison)
			continue;
		for (int j = 0; j < run->messages[i].nrows; j++)
		{
			int			n = run->messages[i].first_row + j;

			if (before[n].level != run->rows[n].level ||
				before[n].flags != run->rows[n].flags)
				elog(ERROR, "offset %lld: level %d flags %d against level %d flags %d",
					 (long long) before[n].kafka_offset,
					 before[n].level, before[n].flags,
					 run->rows[n].level, run->rows[n].flags);
		}
	}
	if (a->length != b->length)
		elog(ERROR, "%d transitions against %d", a->length, b->length);
	for (int i = 0; i < a->length; i++)
	{
		FmTransition x = a->items[i];
		FmTransition y = b->items[i];

		if (isnan(x.limit_value) && isnan(y.limit_value))
			x.limit_value = y.limit_value = 0;
		if (isnan(x.score) && isnan(y.score))
			x.score = y.score = 0;
		run->nsignals += x.condition != FM_CONDITION_LIMIT;
		/* numbers depend on what came first, and a rebuilt fold sorts */
		x.alarm_number = y.alarm_number = 0;
		if (memcmp(&x, &y, sizeof(x)) != 0)
			elog(ERROR, "offset %lld: transition %d differs",
				 (long long) x.kafka_offset, i);
	}
}

/* The bytes of two states must be the same. */
static void
compare_bytes(const void *x, const void *y, int size, const char *what,
			  int32 sensor_id)
{
	for (int at = 0; at < size; at++)
		if (((const char *) x)[at] != ((const char *) y)[at])
			elog(ERROR, "%s of sensor %d differs at byte %d", what, sensor_id,
				 at);
}

/* Each alarm of one fold is the same in the other; numbers may differ. */
static void
compare_alarms(FmFold *a, FmFold *b, const char *what)
{
	for (int i = 0; i < a->stores[FM_FOLD_ALARMS].n; i++)
	{
		const FmAlarm *x = fm_fold_alarm(a, i);
		int			number = fm_fold_alarm_number(b, x->sensor_id,
												  x->condition, false);

		if (number < 0)
			elog(ERROR, "%s: sensor %d has no alarm", what, x->sensor_id);
		compare_bytes(x, fm_fold_alarm(b, number), sizeof(FmAlarm),
					  psprintf("%s: alarm", what), x->sensor_id);
	}
}

/* So is the state of detectors, in the same order, and their parameters. */
static void
compare_detectors(FmFold *a, FmFold *b, const char *what)
{
	for (int part = FM_FOLD_DETECTORS; part <= FM_FOLD_PARAMETERS; part++)
	{
		if (a->stores[part].n != b->stores[part].n)
			elog(ERROR, "%s: %d elements of part %d against %d", what,
				 a->stores[part].n, part, b->stores[part].n);
	}
	for (int i = 0; i < a->stores[FM_FOLD_DETECTORS].n; i++)
		compare_bytes(fm_fold_detector(a, i), fm_fold_detector(b, i),
					  sizeof(FmDetector), psprintf("%s: detectors", what),
					  fm_fold_detector(a, i)->sensor_id);
	for (int i = 0; i < a->stores[FM_FOLD_PARAMETERS].n; i++)
		compare_bytes(fm_fold_params(a, i), fm_fold_params(b, i),
					  sizeof(FmDetectorParams),
					  psprintf("%s: parameters", what), i);
}

/* What detectors found since the last commit; it is to be stored. */
static void
compare_scores(TestRun *run)
{
	int			n;
	int			steady_n;
	const FmScore *scores = fm_fold_scores(run->worker, &n);
	const FmScore *steady = fm_fold_scores(run->steady, &steady_n);

	if (n != steady_n)
		elog(ERROR, "%d scores against %d", n, steady_n);
	for (int i = 0; i < n; i++)
	{
		if (scores[i].kafka_offset != steady[i].kafka_offset ||
			scores[i].sensor_id != steady[i].sensor_id ||
			scores[i].detector != steady[i].detector ||
			scores[i].score != steady[i].score)
			elog(ERROR, "offset %lld: score %d differs",
				 (long long) scores[i].kafka_offset, i);
	}
	run->nscores += n;
}

static void
compare_folds(FmFold *a, FmFold *b, const char *what)
{
	int			n = a->stores[FM_FOLD_SENSORS].n;

	if (n != b->stores[FM_FOLD_SENSORS].n || a->position != b->position)
		elog(ERROR, "%s: %d sensors at %lld against %d at %lld", what,
			 n, (long long) a->position, b->stores[FM_FOLD_SENSORS].n,
			 (long long) b->position);
	for (int i = 0; i < n; i++)
	{
		FmFoldSensor x = *fm_fold_state(a, i);
		/* one of which only operators have spoken so far comes last */
		int			number = fm_fold_number(b, x.sensor_id, false);
		FmFoldSensor y;

		if (number < 0)
			elog(ERROR, "%s: no sensor %d", what, x.sensor_id);
		y = *fm_fold_state(b, number);
		x.message_at = y.message_at = 0;
		compare_bytes(&x, &y, sizeof(x), psprintf("%s: state", what),
					  x.sensor_id);
	}
	compare_alarms(a, b, what);
	compare_alarms(b, a, what);
	compare_detectors(a, b, what);
}

/*
 * Write a snapshot in a subtransaction.  Also one that is kept: an upsert of a
 * toasted row by the very transaction in which an earlier upsert of that row
 * was rolled back fails an assertion of PostgreSQL's own, which transactions
 * of their own, as the worker has, cannot run into.
 */
static void
snapshot(TestRun *run, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		written;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	written = fm_fold_snapshot(run->worker) > 0;
	if (keep)
	{
		run->nsnapshots += written;
		ReleaseCurrentSubTransaction();
	}
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

static void
write_snapshot(TestRun *run)
{
	snapshot(run, true);
	run->snapshot_position = run->fold_position;
	fm_fold_snapshot_done(run->worker);
	(void) fm_fold_pending_range(run->worker, &run->min_ts, &run->max_ts);
}

static void
run_batch(TestRun *run)
{
	FmFoldMark	mark = fm_fold_mark(run->worker);
	FmRow		before[MAX_ROWS];

	choose_batch(run);
	fm_fold_adopt(run->worker, run->generation, run->params,
				  run->detects ? TYPES : 0);
	fm_fold_adopt(run->steady, run->generation, run->params,
				  run->detects ? TYPES : 0);
	fm_transitions_truncate(&run->worker_list, 0);
	fm_transitions_truncate(&run->steady_list, 0);
	apply_batch(run, run->worker, &run->worker_list, true);
	while (chance(run, 0.15))
	{
		/* try again; what the database refuses may be something else now */
		fm_fold_rollback(run->worker, mark);
		fm_transitions_truncate(&run->worker_list, 0);
		if (chance(run, 0.5))
			run->messages[below(run, run->nmessages)].poison = chance(run, 0.5);
		apply_batch(run, run->worker, &run->worker_list, true);
		run->nretries++;
	}
	memcpy(before, run->rows, sizeof(before));
	store_batch(run);
	if (chance(run, 0.05))
		snapshot(run, false);
	run->fold_position = fm_fold_position(run->worker);
	if (chance(run, 0.1) || fm_fold_needs_snapshot(run->worker))
		write_snapshot(run);
	(void) fm_fold_pending_range(run->worker, &run->min_ts, &run->max_ts);

	for (int i = 0; i < run->nrows; i++)
		run->rows[i].flags = 0;
	apply_batch(run, run->steady, &run->steady_list, false);
	compare_scores(run);
	fm_fold_commit(run->worker);
	fm_fold_commit(run->steady);
	compare_outcomes(run, before);
	compare_folds(run->worker, run->steady, "after a batch");
}

/* Ids of what no message causes are random: those of one fold for both. */
static void
share_ids(FmFold *from, FmFold *to, int32 sensor_id, int condition)
{
	int			a = fm_fold_alarm_number(from, sensor_id, condition, false);
	int			b = fm_fold_alarm_number(to, sensor_id, condition, false);

	if (a < 0 || b < 0)
		return;
	memcpy(fm_fold_alarm(to, b)->alarm_id, fm_fold_alarm(from, a)->alarm_id,
		   UUID_LEN);
	memcpy(fm_fold_alarm(to, b)->announced_id,
		   fm_fold_alarm(from, a)->announced_id, UUID_LEN);
}

/* What an operator does between two batches: it moves no position. */
static void
run_act(TestRun *run)
{
	static const FmTransitionKind kinds[] = {
		FM_TRANSITION_ACKNOWLEDGED, FM_TRANSITION_ACKNOWLEDGED,
		FM_TRANSITION_ACKNOWLEDGED, FM_TRANSITION_SHELVED,
		FM_TRANSITION_UNSHELVED, FM_TRANSITION_SUPPRESSED,
		FM_TRANSITION_UNSUPPRESSED, FM_TRANSITION_OUT_OF_SERVICE,
		FM_TRANSITION_IN_SERVICE, FM_TRANSITION_IN_SERVICE,
		FM_TRANSITION_CLOSED, FM_TRANSITION_REINSTATED,
		FM_TRANSITION_REINSTATED, FM_TRANSITION_MOVED
	};
	int32		sensor_id = FIRST_SENSOR + below(run, run->nsensors);
	int			condition = run->detects && chance(run, 0.7) ?
		FM_CONDITION_ANOMALY + below(run, FM_DETECTORS) : FM_CONDITION_LIMIT;
	int			number = fm_fold_alarm_number(run->worker, sensor_id,
											  condition, false);
	FmAlarmAct	act = {
		.kind = kinds[below(run, lengthof(kinds))],
		.cause = FM_CAUSE_OPERATOR,
		.shelving = chance(run, 0.5) ? FM_SHELVING_TIMED :
		FM_SHELVING_ONE_SHOT,
		.until = run->clock + below(run, 100) * USECS_PER_SEC
	};
	const char *refused;

	if (number >= 0)
		memcpy(act.event_id.data,
			   fm_fold_alarm(run->worker, number)->announced_id, UUID_LEN);
	fm_transitions_truncate(&run->worker_list, 0);
	fm_transitions_truncate(&run->steady_list, 0);
	refused = fm_fold_act(run->worker, sensor_id, condition, &act,
						  &run->limits, &run->worker_list);
	if ((fm_fold_act(run->steady, sensor_id, condition, &act,
					 &run->limits, &run->steady_list) == NULL) !=
		(refused == NULL))
		elog(ERROR, "one fold refuses it: %s", refused ? refused : "done");
	share_ids(run->worker, run->steady, sensor_id, condition);
	fm_transitions_insert(run->stream.pipeline_id, &run->worker_list,
						  run->worker_list.length);
	fm_alarms_store(run->worker, &run->worker_list, run->worker_list.length);
	run->nacts += run->worker_list.length;
	fm_fold_commit(run->worker);
	fm_fold_commit(run->steady);
	compare_folds(run->worker, run->steady, "after an act");
}

static void
run_crash(TestRun *run, MemoryContext context)
{
	FmFold	   *rebuilt = fm_fold_open(context, &run->stream,
									   run->snapshot_position,
									   run->fold_position,
									   run->min_ts, run->max_ts);

	compare_folds(rebuilt, run->worker, "after a crash");
	fm_fold_close(run->worker);
	run->worker = rebuilt;
	run->ncrashes++;
}

/*
 * fold_crash(seed, batches, stream_id, pipeline_id, sensors, delays,
 * detectors): true if all that is to be shown came up.  The number of sensors grows as it goes.
 */
Datum
fold_crash(PG_FUNCTION_ARGS)
{
	TestRun    *run = palloc0(sizeof(TestRun));
	MemoryContext context = CurrentMemoryContext;
	int			nbatches = PG_GETARG_INT32(1);

	pg_prng_seed(&run->prng, PG_GETARG_INT32(0));
	run->nsensors = PG_GETARG_INT32(4);
	run->delays = PG_GETARG_BOOL(5);
	run->detects = PG_GETARG_BOOL(6);
	run->counts = palloc0((run->nsensors + nbatches) * sizeof(int32));
	run->stream = test_stream(PG_GETARG_INT32(2), PG_GETARG_INT16(3));
	run->clock = INT64CONST(800000000) * USECS_PER_SEC;
	run->min_ts = DT_NOEND;
	run->max_ts = DT_NOBEGIN;
	choose_limits(run);
	fm_transitions_init(&run->worker_list, context);
	fm_transitions_init(&run->steady_list, context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	run->worker = fm_fold_open(context, &run->stream, 0, 0,
							   DT_NOEND, DT_NOBEGIN);
	run->steady = fm_fold_create(context, &run->stream, 0);
	for (int i = 0; i < nbatches; i++)
	{
		run_batch(run);
		while (run->delays && chance(run, 0.5))
			run_act(run);
		while (chance(run, 0.1))
		{
			run_crash(run, context);
			/* a new owner may write what it rebuilt, and nothing more */
			if (chance(run, 0.5))
			{
				write_snapshot(run);
				run_crash(run, context);
			}
		}
	}
	run_crash(run, context);
	SPI_finish();
	elog(DEBUG1, "%lld readings, %lld transitions, %lld retries, %lld poison, %lld snapshots, %lld crashes, %lld scores, %lld transitions of detectors, %d sensors",
		 (long long) run->nreadings, (long long) run->ntransitions,
		 (long long) run->nretries, (long long) run->npoison,
		 (long long) run->nsnapshots, (long long) run->ncrashes,
		 (long long) run->nscores, (long long) run->nsignals,
		 (int) fm_fold_sensor_count(run->worker));
	PG_RETURN_BOOL(run->nreadings > 0 && run->ntransitions > 0 &&
				   run->nretries > 0 && run->npoison > 0 &&
				   run->nsnapshots > 0 && run->ncrashes > 1 &&
				   (run->nacts > 0 || !run->delays) &&
				   ((run->nscores > 0 && run->nsignals > 0) ||
					!run->detects));
}
