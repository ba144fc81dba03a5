-- Who owns which partition.
SELECT p.topic, p.kafka_partition AS partition, p.state, p.pid, w.consumer,
		p.position, p.lag_messages AS lag
	FROM factorymon.partition_status() p
	LEFT JOIN factorymon.worker_status() w
		ON w.pipeline = p.pipeline AND w.pid = p.pid
	ORDER BY 1, 2;
