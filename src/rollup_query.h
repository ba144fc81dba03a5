/*-------------------------------------------------------------------------
 *
 * rollup_query.h
 *	  Texts of queries that make minutes from rows, for rollup_store.c and
 *	  rollup_gone.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROLLUP_QUERY_H
#define FM_ROLLUP_QUERY_H

/* Summaries of rows r by minute (bucket), sensor and version. */
#define SUMMARIES \
	"SELECT date_bin('1 minute', r.ts, '2000-01-01 00:00+00') AS bucket," \
	" r.sensor_id, r.sensor_version_id," \
	" min(r.kafka_offset) AS from_offset, max(r.kafka_offset) AS to_offset," \
	" _factorymon.rollup_readings(r.ts, r.value, r.level, r.quality," \
	" r.stream_id, r.kafka_offset, r.reading_index, r.sensor_version_id) AS m"

/* Store such summaries (x) of the stream $1 and pipeline $2. */
#define INSERT_SUMMARIES \
	"INSERT INTO _factorymon.rollup_1m_%d (bucket, first_ts, last_ts," \
	" first_offset, last_offset, from_offset, to_offset, mean, m2, min, max," \
	" first, last, sensor_id, sensor_version_id, n, n_bad, n_warning," \
	" n_critical, first_stream, last_stream, pipeline_id, first_index," \
	" last_index)" \
	" SELECT bucket, (m).first_ts, (m).last_ts, (m).first_offset," \
	" (m).last_offset, from_offset, to_offset, (m).mean, (m).m2, (m).min," \
	" (m).max, (m).first, (m).last, sensor_id, sensor_version_id, (m).n," \
	" (m).n_bad, (m).n_warning, (m).n_critical, $1, $1, $2, (m).first_index," \
	" (m).last_index"

#endif							/* FM_ROLLUP_QUERY_H */
