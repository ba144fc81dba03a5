-- make monitor-alerts: alarms that stand, and what happened last, alarms and
-- rebalancing together.
SELECT sensor_id, condition, level, side, state,
		round(value::numeric, 2) AS value, "limit", raised_at::timestamptz(0)
	FROM factorymon.alarms WHERE state <> 'normal'
	ORDER BY severity DESC, raised_at DESC LIMIT 10;
SELECT at::timestamptz(0), kind, event, sensor_id, level, side,
		round(value::numeric, 2) AS value, partitions,
		left(coalesce(detail, consumer), 50) AS detail
	FROM factorymon.recent_alerts(20);
