-- A sensor whose clock is ahead does not make it negative.
SELECT greatest(extract(epoch FROM now() - max(last_reading_at)), 0)::float8
    AS age_seconds
FROM factorymon.plant_now
WHERE format <> 'city'
