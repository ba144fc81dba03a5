-- The range on minute_at itself is what keeps this from reading everything.
SELECT minute_at, factory_section || ' / ' || zone AS zone,
    sum(avg_value * readings) / sum(readings) AS $type
FROM factorymon.zone_minutes
WHERE minute_at >= date_trunc('minute', now()) - interval '1 hour'
    AND sensor_type = '$type' AND unit = '$unit' AND format <> 'city'
GROUP BY 1, 2
ORDER BY 1, 2
