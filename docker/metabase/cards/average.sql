-- Sensors of all pipelines count alike, but those without a current reading do
-- not, nor the weather of cities.  If none has one, this is null.
SELECT sum(avg_value * sensors) / nullif(sum(sensors), 0) AS $type
FROM factorymon.plant_now
WHERE sensor_type = '$type' AND unit = '$unit' AND avg_value IS NOT NULL
    AND format <> 'city'
