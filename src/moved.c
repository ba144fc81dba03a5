/*-------------------------------------------------------------------------
 *
 * moved.c
 *	  Sensors that come through another stream than before.
 *
 * Partitions that are added to a topic take over some of its keys.  A sensor
 * that has moved leaves its alarms behind: no reading will ever end them.  But
 * which reading proves that it moved?  None alone does, because producers
 * without keys send a sensor's readings through all partitions in turn.  So this
 * is what counts:
 *
 * - the newest 20 readings of the sensor all came through one stream,
 * - which was made after the one that has the alarm (partitions that are there
 *	 from the beginning are made together),
 * - and the owner of the old stream, at its end, has none that is as new.
 *
 * The first two are looked up here, by the index on (sensor_id, ts), and only
 * where streams of different age and alarms or blocks on them exist.  The last
 * is up to the owner, who alone writes the stream's alarms: it gets a request
 * ("move", until: the time of the oldest of the 20) and does it or refuses it
 * (answer.c).  What operators want to last is in the new stream by then, since
 * its owner looks for that when it first sees a sensor.
 *
 * Should the sensor come back after all, its next reading is judged there as
 * ever.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "moved.h"
#include "pipeline_internal.h"
#include "worker.h"

/* So many readings in a row come through the new stream. */
#define PROOF_READINGS	20

static bool
has_younger_streams(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	return fm_args_run(&args, "SELECT 1 FROM _factorymon.stream"
					   " WHERE pipeline_id = $1 AND retired_at IS NULL"
					   " AND kafka_partition >= 0"
					   " HAVING min(created_at) < max(created_at)",
					   SPI_OK_SELECT) > 0;
}

/*
 * One request for each alarm left behind in a stream that is at its end, unless
 * one is pending; nor if one was refused a moment ago.
 */
static uint64
ask_owners(const FmPipeline *pipeline)
{
	FmArgs		args = {0};

	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, PROOF_READINGS);
	fm_args_text(&args, pipeline->name);
	return fm_args_run(&args,
					   psprintf("INSERT INTO _factorymon.request (stream_id,"
								" sensor_id, condition, action, until, one_shot,"
								" comment, actor)"
								" SELECT a.stream_id, a.sensor_id, a.condition,"
								" 'move', r.since, false,"
								" format('it comes through partition %%s now',"
								" n.kafka_partition), 'factorymon'"
								" FROM _factorymon.stream o"
								" JOIN factorymon.partition_status() t"
								" ON t.pipeline = $3 AND t.topic = o.topic"
								" AND t.kafka_partition = o.kafka_partition"
								" AND t.state = 'running' AND t.lag_messages = 0"
								" JOIN _factorymon.alarm a USING (stream_id)"
								" CROSS JOIN LATERAL (SELECT min(x.ts) AS since,"
								" min(x.stream_id) AS stream_id,"
								" max(x.stream_id) AS last_id, count(*) AS n"
								" FROM (SELECT d.ts, d.stream_id"
								" FROM _factorymon.reading_%d d"
								" WHERE d.sensor_id = a.sensor_id"
								" ORDER BY d.ts DESC LIMIT $2) x) r"
								" JOIN _factorymon.stream n"
								" ON n.stream_id = r.stream_id"
								" WHERE o.pipeline_id = $1"
								" AND o.retired_at IS NULL"
								" AND n.retired_at IS NULL"
								" AND r.n = $2 AND r.stream_id = r.last_id"
								" AND n.topic = o.topic"
								" AND a.condition <> 'silent'"
								" AND n.created_at > o.created_at"
								" AND (a.state <> 'normal' OR a.blocks & 7 <> 0"
								" OR a.shelving <> 'none')"
								" AND NOT EXISTS (SELECT"
								" FROM _factorymon.request q"
								" WHERE q.stream_id = a.stream_id"
								" AND q.sensor_id = a.sensor_id"
								" AND q.condition = a.condition"
								" AND (q.answered_at IS NULL"
								" OR (q.action = 'move' AND q.outcome = 'refused'"
								" AND q.answered_at > now() - interval '5 minutes')))",
								pipeline->id), SPI_OK_INSERT);
}

void
fm_moved_run(FmPipeline *pipeline)
{
	FmOwnerScope scope;

	fm_worker_begin(&scope);
	if (has_younger_streams(pipeline) && ask_owners(pipeline) > 0)
		fm_pipeline_changed();
	fm_worker_commit(&scope);
}
