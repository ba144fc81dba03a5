-- A machine that nothing is heard of is not normal, it is unknown.
SELECT row_number() OVER (ORDER BY rank) AS rank,
    CASE WHEN level_rank = 0 AND sensors_missing = sensors THEN 'unknown'
        ELSE level END AS level,
    machine_id, factory_section, zone, severity, alarms_critical,
    alarms_warning, alarms_unacknowledged, alarm_since, sensors,
    sensors_missing, last_reading_at
FROM factorymon.machine_status
WHERE format <> 'city'
ORDER BY 1
