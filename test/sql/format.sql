--
-- Formats as mappings: what is a mapping, what messages become, who may write
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\set VERBOSITY default

-- the built-in ones compile, and their names are reserved
SELECT name, built_in, jsonb_typeof(mapping) AS mapping, pipelines
	FROM factorymon.formats ORDER BY name;
INSERT INTO factorymon.format VALUES ('city', '{}');
SELECT reading_index, ts, sensor_id, sensor_type, zone, value, unit,
		reported_level, extra
	FROM factorymon.try_format('city',
		'{"city":"São Paulo","temperature":24.5,"humidity":61,'
		'"status":"CRÍTICO","timestamp":"2025-05-29T00:12:34Z"}');
SELECT reading_index, ts, sensor_id, sensor_type, machine_id, value, unit, extra
	FROM factorymon.try_format('sensores',
		'{"sensor_id":"9b2f6c1e-3d4a-4e5f-8a7b-1c2d3e4f5a6b",'
		'"timestamp":"2025-05-29T00:12:34","temperatura":27.6,"umidade":52.3}');
SELECT reading_index, ts, sensor_id, sensor_type, value, unit, unique_id, extra
	FROM factorymon.try_format('reading',
		'{"unique_reading_id":"7d9f0c3a-58d2-4d5e-9a43-0c7a4f1d2b11",'
		'"sensor_id":"s-1","sensor_type":"temperature","value":21.5,'
		'"timestamp":1748477554.25}');
SELECT sensor_id, factory_section, machine_id, zone, value, reported_level,
		quality, reading_count, metadata, extra
	FROM factorymon.try_format('factory',
		'{"timestamp":"2025-09-16T21:41:41.011144Z","sensor_id":"temp-sensor-001",'
		'"sensor_type":"temperature","location":{"factory_section":"production",'
		'"machine_id":"machine-001","zone":"zone-a"},"value":42.48,"unit":"°C",'
		'"alert_level":"critical","quality":1.0,"metadata":{"reading_count":14,'
		'"warning_threshold":35.0,"critical_threshold":40.0}}');

-- what is refused
SELECT reason, sqlstate, detail FROM factorymon.try_format('city', 'no json');
SELECT reason, sqlstate, detail FROM factorymon.try_format('city',
	'{"city":"Recife","temperature":"24.5","humidity":61,"status":"normal",'
	'"timestamp":"2025-05-29T00:12:34Z"}');
SELECT reason, sqlstate, detail FROM factorymon.try_format('city',
	'{"city":"Recife","temperature":24.5,"humidity":161,"status":"normal",'
	'"timestamp":"2025-05-29T00:12:34Z"}');
SELECT reason, sqlstate, detail FROM factorymon.try_format('sensores',
	'{"sensor_id":"no-uuid","timestamp":"2025-05-29T00:12:34","temperatura":1,'
	'"umidade":2}');
SELECT * FROM factorymon.try_format('nowhere', '{}');

-- mistakes of a mapping, by place
CREATE FUNCTION pg_temp.mistake(mapping text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	what text;
BEGIN
	INSERT INTO factorymon.format VALUES ('mistaken', mapping::jsonb);
	RETURN 'none';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS what = PG_EXCEPTION_DETAIL;
	RETURN what;
END;
$$;
SELECT mapping, pg_temp.mistake(mapping) FROM (VALUES
	(1, '[]'),
	(2, '{}'),
	(3, '{"timestamp": "/t", "sensor_id": "/s", "sensor_type": "/y"}'),
	(4, '{"tiemstamp": "/t"}'),
	(5, '{"timestamp": "t"}'),
	(6, '{"timestamp": "/a~2"}'),
	(7, '{"timestamp": 7}'),
	(8, '{"timestamp": {}}'),
	(9, '{"timestamp": {"at": "/t", "const": "x"}}'),
	(10, '{"timestamp": {"at": "/t", "as": "iso"}}'),
	(11, '{"timestamp": {"at": "/t", "as": ["epoch_s", "epoch_ms"]}}'),
	(12, '{"timestamp": {"at": "/t", "time_zone": "UTC"}}'),
	(13, '{"timestamp": {"at": "/t", "as": "local", "time_zone": "Mars/Crater"}}'),
	(14, '{"timestamp": {"at": "/t", "required": false}}'),
	(15, '{"timestamp": "@/t"}'),
	(16, '{"each": "/r", "timestamp": "/r/0/t"}'),
	(17, '{"sensor_id": {"join": ["/a", {"const": 3}]}}'),
	(18, '{"sensor_id": {"join": [{"const": "a"}]}}'),
	(19, '{"sensor_id": {"at": "/a", "min": 3}}'),
	(20, '{"sensor_id": {"at": "/a", "pattern": "(a|b)"}}'),
	(21, '{"sensor_id": {"at": "/a", "pattern": "[a-"}}'),
	(22, '{"sensor_id": {"const": ""}}'),
	(23, '{"value": {"at": "/v", "min": 3, "max": 2}}'),
	(24, '{"value": {"at": "/v", "default": "3"}}'),
	(25, '{"value": {"at": "/v", "words": {}}}'),
	(26, '{"quality": {"const": 2}}'),
	(27, '{"reported_level": {"at": "/l", "words": {"fatal": "x"}}}'),
	(28, '{"reported_level": {"at": "/l", "words": {"normal": "ok", "warning": ["OK"]}}}'),
	(29, '{"reported_level": {"at": "/l", "default": "wrong"}}'),
	(30, '{"readings": []}'),
	(31, '{"readings": {}}'),
	(32, '{"timestamp": "/t", "sensor_id": "/s", "sensor_type": "/y",'
		' "readings": [{"value": "/a"}, {"value": "/b"}]}'),
	(33, '{"timestamp": "/t", "sensor_id": "/s", "sensor_type": "/y",'
		' "readings": [{"value": {"at": "/a", "unknown": 1}}]}')
	) AS v (n, mapping) ORDER BY n;
TABLE factorymon.format;

-- time: zones, ambiguous and skipped times, numbers
SELECT t.message, f.ts, f.extra, f.reason, f.detail
	FROM (VALUES
		(1, '{"t":"2025-01-15T12:00:00.5","v":1}'),
		(2, '{"t":"2025-07-15 12:00:00","v":1}'),
		(3, '{"t":"2025-10-26T02:30:00","v":1}'),
		(4, '{"t":"2025-03-30T02:30:00","v":1}'),
		(5, '{"t":"2025-03-30T03:30:00","v":1}'),
		(6, '{"t":"2025-07-15T12:00:00Z","v":1}'),
		(7, '{"t":1752580800123,"v":1}'),
		(8, '{"t":1752580800123.5,"v":1}'),
		(9, '{"t":1e30,"v":1}'),
		(10, '{"t":true,"v":1}')) AS t (n, message),
	factorymon.try_format('{"timestamp": {"at": "/t",
		"as": ["local", "rfc3339", "epoch_ms"], "time_zone": "Europe/Berlin"},
		"sensor_id": {"const": "s"}, "sensor_type": {"const": "x"},
		"value": "/v"}'::jsonb, t.message) AS f
	ORDER BY n;

-- arrays: from the element and from the message, nothing lost, nothing there
INSERT INTO factorymon.format VALUES ('gateway', '{
	"each": "/points",
	"timestamp": {"at": ["@/t", "/t"], "as": "epoch_s"},
	"sensor_id": {"join": ["/gateway", {"const": "/"}, "@/name"]},
	"sensor_type": {"at": "@/kind", "default": "temperature"},
	"machine_id": "/gateway",
	"value": {"at": "@/v", "required": false, "nullable": true},
	"quality": {"at": "@/q", "required": false}}', 'points of a gateway');
SELECT reading_index, ts, sensor_id, sensor_type, machine_id, value, quality,
		extra, reason, detail
	FROM factorymon.try_format('gateway', '{"gateway":"g1","t":1752580800,
		"firmware":[1,2],"points":[{"name":"a","v":1.5,"q":0.5},
		{"name":"b","v":null},{"name":"c","kind":"pressure","v":2,"t":1752580801,
		"raw":17}]}');
SELECT count(*) FROM factorymon.try_format('gateway',
	'{"gateway":"g1","t":1,"points":[]}');
SELECT reason, detail FROM factorymon.try_format('gateway',
	'{"gateway":"g1","t":1,"points":[{"name":"a"}]}');
SELECT reason, detail FROM factorymon.try_format('gateway',
	'{"gateway":"g1","t":1,"points":{"name":"a"}}');
SELECT reason, detail FROM factorymon.try_format('gateway',
	'{"gateway":"g1","t":1,"points":['
	|| repeat('{"name":"a","v":1},', 99999) || '{"name":"a","v":1}]}');
SELECT count(*), max(reading_index) FROM factorymon.try_format('gateway',
	'{"gateway":"g1","t":1,"points":['
	|| repeat('{"name":"a","v":1},', 4999) || '{"name":"a","v":1}]}');

-- and back: the readings of a message make it again, whatever its format; but for
-- number 13, where either of two elements may be the one without a reading
CREATE FUNCTION pg_temp.again(format text, message text)
RETURNS jsonb LANGUAGE sql AS $$
	SELECT _factorymon.compose(format, d.ts, d.ts_digits::smallint, d.value,
			d.sensor_id, d.sensor_type, d.factory_section, d.machine_id, d.zone,
			d.unit, (CASE d.reported_level WHEN 'normal' THEN 1 WHEN 'warning' THEN 2
				WHEN 'critical' THEN 3 WHEN 'other' THEN 7 ELSE 0 END << 4)::smallint,
			d.quality, d.reading_count, d.warning_threshold, d.critical_threshold,
			d.extra ORDER BY d.reading_index)
		FROM _factorymon.decode_with(format, NULL, message) AS d
$$;
INSERT INTO factorymon.format VALUES
	('device', '{"timestamp": {"at": "/t", "as": ["local", "rfc3339"],
			"time_zone": "Europe/Berlin"},
		"machine_id": "/device", "zone": {"at": ["/zone", "/old/zone"], "default": "?"},
		"reported_level": {"at": "/state", "required": false, "words": {
			"normal": "verde", "critical": ["vermelho", "morto"]}},
		"readings": [
		{"sensor_id": {"join": ["/device", {"const": "-t"}]}, "sensor_type": {"const": "t"},
			"value": {"at": "/temp", "required": false}},
		{"sensor_id": {"join": ["/device", {"const": "-h"}]}, "sensor_type": {"const": "h"},
			"value": {"at": "/hum", "required": false},
			"quality": {"at": "/q", "required": false, "nullable": true}},
		{"sensor_id": {"join": ["/device", {"const": "-p"}]}, "sensor_type": {"const": "p"},
			"value": {"at": "/more/0", "required": false, "nullable": true}}]}', NULL),
	('rows', '{"each": "", "timestamp": {"at": "@/0", "as": "epoch_ms"},
		"sensor_id": "@/1", "sensor_type": {"const": "x"}, "value": "@/2"}', NULL),
	('twins', '{"timestamp": "/t", "readings": [
		{"sensor_id": "/s", "sensor_type": {"const": "x"},
			"value": {"at": "/a", "required": false}},
		{"sensor_id": {"at": ["/s2", "/s"]}, "sensor_type": {"const": "x"},
			"value": {"at": "/b", "required": false}}]}', NULL);
SELECT m.n, m.format, length(m.message::jsonb::text) AS length,
		pg_temp.again(m.format, m.message) = m.message::jsonb AS again
	FROM (VALUES
		(1, 'city', '{"city":"São Paulo","temperature":24.5,"humidity":61,
			"status":"CRÍTICO","timestamp":"2025-05-29T00:12:34Z"}'),
		(2, 'city', '{"city":"A\"\\\n/~","temperature":1e-7,"humidity":0,"status":"normal",
			"timestamp":1748477554.25,"new":{"a":[1,null,{}]}}'),
		(3, 'city', '{"city":"R","temperature":24.123456789012345678,"humidity":61.0,
			"status":"?","timestamp":"2025-05-29T02:12:34.5+02:00"}'),
		(4, 'sensores', '{"sensor_id":"9b2f6c1e-3d4a-4e5f-8a7b-1c2d3e4f5a6b",
			"timestamp":"2025-05-29T00:12:34.000","temperatura":27.6,"umidade":52.3}'),
		(5, 'reading', '{"unique_reading_id":"7d9f0c3a","sensor_id":"s-1",
			"sensor_type":"temperature","value":21.5,"timestamp":"2025-05-29T00:12:34Z"}'),
		(6, 'reading', '{"sensorId":"s-1","type":"t","unique_reading_id":"7",
			"value":21.5,"unit":"","timestamp":1748477554}'),
		(7, 'reading', '{"sensorId":"s-1","sensor_id":"s-1","sensor_type":"t","sensorType":"t",
			"unique_reading_id":"7","value":21.5,"unit":"C","timestamp":"2025-05-29T00:12:34"}'),
		(8, 'device', '{"t":"2025-07-15T12:00:00","device":"d1","temp":21.5,"hum":40,"q":0.1,
			"more":[7],"state":"verde","zone":"z"}'),
		(9, 'device', '{"t":"2025-10-26T02:30:00","device":"d1","hum":40,"q":null,
			"more":[null],"state":"morto","zone":"?"}'),
		(10, 'device', '{"t":"2025-01-15T12:00:00.123456","device":"d1","more":[7,8],
			"old":{"zone":"z","x":{}}}'),
		(11, 'device', '{"t":"2025-01-15T12:00:00Z","device":"d1","temp":1,"more":{"0":7},
			"zone":"z","old":{"zone":"z"}}'),
		(12, 'gateway', '{"gateway":"g1","t":1752580800,"firmware":[1,2],
			"points":[{"name":"a","v":1.5,"q":0.5},{"name":"b","v":null},
			{"name":"c","kind":"pressure","v":2,"t":1752580801,"raw":17}]}'),
		(13, 'gateway', '{"gateway":"g1","t":1752580800,"points":[{"name":"a"},
			{"name":"a","v":1.5,"kind":"temperature"},{"name":"a","v":2}]}'),
		(14, 'rows', '[[1752580800123,"a",1.5],[1752580800124.5,"b",2],[1e12,"c",3]]'),
		(15, 'rows', '[[1752580800123,"a",1.5],[1752580800124,"b",2,[]],[-5,"c",1e300]]'),
		(16, 'twins', '{"t":"2025-01-15T12:00:00Z","s":"x","s2":"y","a":1,"b":2}'),
		(17, 'twins', '{"t":"2025-01-15T12:00:00Z","s":"x","s2":"y","b":1}')
		) AS m (n, format, message)
	ORDER BY n;
-- which of the two it was, the reading does not tell; nor what was never stored
SELECT pg_temp.again('twins', '{"t":"2025-01-15T12:00:00Z","s":"x","a":1}');
SELECT _factorymon.told(pg_temp.again('twins', '{"t":"2025-01-15T12:00:00Z","s":"x","a":1}'),
	'of twins');
SELECT pg_temp.again('rows', '[]');
-- the mapping of today does not give what is stored
SELECT _factorymon.compose('city', '2025-05-29', 0::smallint, 1, 's', 't', '', '', 'c',
	'', 0::smallint, NULL, NULL, NULL, NULL, NULL);
SELECT _factorymon.compose('city', '2025-05-29', 0::smallint, 'NaN', 's', 't', '', '',
	'c', '', 0::smallint, NULL, NULL, NULL, NULL, NULL);
SELECT _factorymon.compose('city', '2025-05-29', 0::smallint, NULL, 's', 't', '', '',
	'c', '', 0::smallint, NULL, NULL, NULL, NULL, NULL);
SELECT _factorymon.compose('nowhere', '2025-05-29', 0::smallint, 1, 's', 't', '', '',
	'c', '', 0::smallint, NULL, NULL, NULL, NULL, NULL);
SELECT _factorymon.compose('city', '2025-05-29', 0::smallint, 1, 's', 't', '', '', 'c',
	'', 0::smallint, NULL, NULL, NULL, NULL, '[1]');
DELETE FROM factorymon.format WHERE name IN ('device', 'rows', 'twins');

-- a name can change, a mapping can change, but not into nonsense
UPDATE factorymon.format SET name = 'gateway2' WHERE name = 'gateway';
UPDATE factorymon.format SET mapping = mapping - 'value' WHERE name = 'gateway2';
UPDATE factorymon.format SET name = 'factory' WHERE name = 'gateway2';
DELETE FROM factorymon.format;

-- readers read, admins write
CREATE ROLE fm_format_reader;
CREATE ROLE fm_format_admin;
SELECT factorymon.grant_access('reader', 'fm_format_reader');
SELECT factorymon.grant_access('admin', 'fm_format_admin');
SET ROLE fm_format_reader;
SELECT count(*) FROM factorymon.formats;
SELECT count(*) FROM factorymon.format;
SELECT count(*) FROM factorymon.schema_drift;
SELECT value FROM factorymon.try_format('sensores',
	'{"sensor_id":"9b2f6c1e-3d4a-4e5f-8a7b-1c2d3e4f5a6b",'
	'"timestamp":"2025-05-29T00:12:34","temperatura":27.6,"umidade":52.3}');
INSERT INTO factorymon.format VALUES ('mine', '{}');
SELECT factorymon.forget_drift('x');
RESET ROLE;
SET ROLE fm_format_admin;
INSERT INTO factorymon.format VALUES ('mine', '{"timestamp": "/t",
	"sensor_id": "/s", "sensor_type": "/y", "value": "/v"}');
UPDATE factorymon.format SET description = 'of mine' WHERE name = 'mine';
DELETE FROM factorymon.format WHERE name = 'mine' RETURNING name, description;
RESET ROLE;
SELECT factorymon.revoke_access('reader', 'fm_format_reader');
SELECT factorymon.revoke_access('reader', 'fm_format_admin');
DROP ROLE fm_format_reader, fm_format_admin;
