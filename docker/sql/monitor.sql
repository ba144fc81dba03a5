-- make monitor: the plant and who watches it, at a glance.
SELECT sensor_type, count(*) AS sensors, round(avg(value)::numeric, 2) AS average,
		min(unit) AS unit, count(*) FILTER (WHERE level = 'warning') AS warning,
		count(*) FILTER (WHERE level = 'critical') AS critical,
		max(ts)::timestamptz(0) AS newest
	FROM factorymon.latest_readings GROUP BY sensor_type ORDER BY 1;
SELECT kafka_partition AS part, split_part(w.consumer, '@', 1) AS consumer,
		p.state, p.position, p.lag_messages AS lag
	FROM factorymon.partition_status() p
	LEFT JOIN factorymon.worker_status() w
		ON w.pipeline = p.pipeline AND w.pid = p.pid
	ORDER BY 1;
SELECT producer, state, connection, sensors, delivered, errors,
		round(heartbeat_age_seconds::numeric) AS heartbeat_age
	FROM factorymon.producer_health ORDER BY state = 'stopped', producer LIMIT 12;
SELECT event, at::timestamptz(0), partitions, left(reason, 50) AS reason
	FROM factorymon.rebalancing_events ORDER BY at DESC LIMIT 5;
