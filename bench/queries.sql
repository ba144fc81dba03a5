/* Data that questions of docs/queries.md are asked of: a plant of 1,000 sensors
 * over 30 days, fast ones and slow ones, with levels, gaps, and sensors that are
 * silent now.  Made straight in the tables; hours and days are then computed by
 * the extension itself.
 *
 *	CALL question.plant(sensors, days);
 *	CALL question.day(day, fast, slow);		-- for each of 1 .. days
 *	CALL question.done(days);
 *
 * Sensor 60 is an energy sensor of machine-006 in zone-03, and a fast one; so is
 * sensor 36, of temperature.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License */

CREATE SCHEMA question;

/* The last moment that there is. */
CREATE TABLE question.clock AS SELECT date_trunc('minute', now()) AS at;

CREATE PROCEDURE question.plant(sensors integer, days integer)
LANGUAGE plpgsql AS $$
BEGIN
	CREATE EXTENSION IF NOT EXISTS factorymon;
	CREATE SERVER question FOREIGN DATA WRAPPER kafka
		OPTIONS ("bootstrap.servers" '127.0.0.1:1');
	CREATE USER MAPPING FOR CURRENT_USER SERVER question;
	PERFORM factorymon.create_pipeline('sensor-data', server => 'question',
		paused => true, time_zone => 'UTC');
	INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
			kafka_partition, incarnation)
		SELECT 1000, p.pipeline_id, p.topic, 0, 1 FROM _factorymon.pipeline p;
	INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
		SELECT i, p.pipeline_id, (ARRAY['energy', 'temperature', 'vibration',
				'humidity', 'pressure'])[i % 5 + 1]
				|| '-sensor-' || to_char(i, 'FM0000')
			FROM _factorymon.pipeline p, generate_series(1, sensors) i;
	INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
			sensor_type, factory_section, machine_id, zone, unit)
		SELECT s.sensor_id, s.sensor_id, split_part(s.name, '-', 1),
				'production', 'machine-' || to_char(s.sensor_id / 10, 'FM000'),
				'zone-' || to_char(s.sensor_id / 20, 'FM00'),
				(ARRAY['kW', '°C', 'mm/s', '%', 'bar'])[s.sensor_id % 5 + 1]
			FROM _factorymon.sensor s;
	/* a day before the first one and one behind the last */
	PERFORM _factorymon.ensure_partition('sensor-data', k.kind,
			c.at + (d - days) * interval '1 day')
		FROM question.clock c, generate_series(0, days + 1) d,
			(VALUES ('reading'), ('rollup_1m')) AS k(kind);
	/* hours and days go back further: those of a year */
	PERFORM _factorymon.ensure_partition('sensor-data', k.kind,
			c.at - d * interval '1 day')
		FROM question.clock c, generate_series(0, 365) d,
			(VALUES ('rollup_1h'), ('rollup_1d')) AS k(kind);
END;
$$;

/* Day 1 is the first.  Fast sensors are every twelfth. */
CREATE PROCEDURE question.day(day integer, days integer, fast interval,
	slow interval)
LANGUAGE plpgsql AS $$
DECLARE
	id smallint := (SELECT p.pipeline_id FROM _factorymon.pipeline p);
	last_at timestamptz := (SELECT c.at FROM question.clock c);
	from_at timestamptz := date_trunc('day', last_at)
		- (days - day) * interval '1 day';
	to_at timestamptz := least(from_at + interval '1 day', last_at);
	silent_at timestamptz := date_trunc('day', last_at)
		- interval '14 hours';
BEGIN
	INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id,
			stream_id, sensor_version_id, pipeline_id, reading_index, level,
			flags)
		SELECT r.ts, 1000000000::bigint * day
					+ row_number() OVER (ORDER BY s.i, r.ts),
				50 + s.i % 97 + 10 * sin((r.x + 100 * s.i) / 40000)
					+ (r.x * 7919)::bigint % 100 / 50.0,
				s.i, 1000, s.i, id, 0,
				CASE WHEN ((r.x / 1800)::bigint + s.i) % 97 = 0 THEN 2
					WHEN ((r.x / 1800)::bigint + s.i) % 31 = 0 THEN 1 ELSE 0
				END, 0
			FROM (SELECT x.sensor_id AS i FROM _factorymon.sensor x
				ORDER BY 1 OFFSET 0) s
			CROSS JOIN LATERAL (
				SELECT t AS ts, extract(epoch FROM t)::double precision AS x
					FROM generate_series(from_at, to_at, CASE s.i % 12
						WHEN 0 THEN fast ELSE slow END) t
					WHERE t < to_at AND t < CASE WHEN s.i % 100 = 99
							THEN last_at - interval '6 hours' ELSE to_at END
						/* one was silent for a while yesterday */
						AND (s.i <> 60 OR t < silent_at
							OR t >= silent_at + interval '90 minutes')) r;
	INSERT INTO _factorymon.rollup_1m (bucket, first_ts, last_ts,
			first_offset, last_offset, from_offset, to_offset, mean, m2, min,
			max, first, last, sensor_id, sensor_version_id, n, n_bad,
			n_warning, n_critical, first_stream, last_stream, pipeline_id,
			first_index, last_index)
		SELECT x.bucket, (x.m).first_ts, (x.m).last_ts, (x.m).first_offset,
				(x.m).last_offset, x.from_offset, x.to_offset, (x.m).mean,
				(x.m).m2, (x.m).min, (x.m).max, (x.m).first, (x.m).last,
				x.sensor_id, (x.m).sensor_version_id, (x.m).n, (x.m).n_bad,
				(x.m).n_warning, (x.m).n_critical, (x.m).first_stream,
				(x.m).last_stream, id, (x.m).first_index, (x.m).last_index
			FROM (
				SELECT date_trunc('minute', r.ts) AS bucket, r.sensor_id,
						min(r.kafka_offset) AS from_offset,
						max(r.kafka_offset) AS to_offset,
						_factorymon.rollup_readings(r.ts, r.value, r.level,
							r.quality, r.stream_id, r.kafka_offset,
							r.reading_index, r.sensor_version_id) AS m
					FROM _factorymon.reading r
					WHERE r.pipeline_id = id AND r.ts >= from_at
						AND r.ts < least(to_at, last_at - interval '2 minutes')
					GROUP BY r.sensor_id, 1) x;
END;
$$;

/* What is older than rows: hours and days of a tenth of the sensors, a year
 * back; then those of the rows, and what the planner must know. */
CREATE PROCEDURE question.done(days integer)
LANGUAGE plpgsql AS $$
DECLARE
	id smallint := (SELECT p.pipeline_id FROM _factorymon.pipeline p);
	last_at timestamptz := (SELECT c.at FROM question.clock c);
	rows_from timestamptz := date_trunc('day', last_at)
		- (days - 1) * interval '1 day';
	level text;
BEGIN
	FOREACH level IN ARRAY ARRAY['hour', 'day'] LOOP
		EXECUTE format('INSERT INTO _factorymon.rollup_1%s (bucket, first_ts,'
			' last_ts, first_offset, last_offset, mean, m2, min, max, first,'
			' last, sensor_id, sensor_version_id, n, n_bad, n_warning,'
			' n_critical, first_stream, last_stream, pipeline_id, first_index,'
			' last_index)'
			' SELECT b, b, b + interval %L - interval ''1 second'', 1, 2,'
			' 50, 5, 45, 55, 50, 50, s, s, 12, 0, 0, 0, 1000, 1000, $1, 0, 0'
			' FROM generate_series($2 - interval ''335 days'','
			' $2 - interval %L, interval %L) b,'
			' (SELECT sensor_id FROM _factorymon.sensor'
			'  WHERE sensor_id %% 10 = 0) AS x(s)',
			left(level, 1), '1 ' || level, '1 ' || level, '1 ' || level)
			USING id, rows_from;
	END LOOP;
	INSERT INTO _factorymon.rollup_stream
		VALUES (1000, last_at - interval '2 minutes')
		ON CONFLICT (stream_id)
			DO UPDATE SET pending_from = excluded.pending_from;
	UPDATE _factorymon.rollup_progress SET marked_from = rows_from,
		hours_until = rows_from, days_until = rows_from;
END;
$$;
