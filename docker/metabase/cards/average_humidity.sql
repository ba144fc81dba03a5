-- Sensors of all pipelines count alike, but those without a current reading do
-- not.  If none has one, this is null.
SELECT sum(avg_value * sensors) / nullif(sum(sensors), 0) AS humidity
FROM factorymon.plant_now
WHERE sensor_type = 'humidity' AND unit = '%' AND avg_value IS NOT NULL
