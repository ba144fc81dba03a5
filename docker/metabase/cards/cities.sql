SELECT rank, status, city, temperature, humidity, last_reading_at, pipeline
FROM factorymon.city_now
ORDER BY rank
