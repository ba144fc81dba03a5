-- The range on minute_at itself is what keeps this from reading everything.
SELECT minute_at, city, avg($type) AS $type
FROM factorymon.city_minutes
WHERE minute_at >= date_trunc('minute', now()) - interval '1 hour'
    AND $type IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2
