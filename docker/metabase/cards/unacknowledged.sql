SELECT coalesce(sum(alarms_unacknowledged), 0)::bigint AS unacknowledged
FROM factorymon.machine_status
