SELECT hour_at, severity_class AS severity,
    sum(announcements)::bigint AS announcements
FROM factorymon.alarm_hours
WHERE hour_at >= date_trunc('hour', now()) - interval '23 hours'
GROUP BY hour_at, severity_class, class_rank
ORDER BY hour_at, class_rank DESC
