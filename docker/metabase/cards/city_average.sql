-- Over cities that are heard of, of all pipelines. If none is, this is null.
SELECT avg($type) AS $type FROM factorymon.city_now
