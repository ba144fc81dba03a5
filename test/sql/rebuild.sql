--
-- Nothing of a message is lost: decoded and rebuilt it is equal to itself
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
SET timezone = 'UTC';

-- The message, by way of the columns of its reading.
CREATE FUNCTION pg_temp.rebuilt(message text)
RETURNS jsonb LANGUAGE sql AS $$
	SELECT _factorymon.rebuild(d.ts, d.ts_digits::smallint, d.value,
		d.sensor_id, d.sensor_type, d.factory_section, d.machine_id, d.zone,
		d.unit,
		(CASE d.reported_level WHEN 'normal' THEN 1 WHEN 'warning' THEN 2
			WHEN 'critical' THEN 3 WHEN 'other' THEN 7 ELSE 0 END << 4)::smallint,
		d.quality, d.reading_count, d.warning_threshold, d.critical_threshold,
		d.extra)
	FROM _factorymon.decode(convert_to(message, 'UTF8')) AS d
$$;

CREATE FUNCTION pg_temp.extra(message text)
RETURNS jsonb LANGUAGE sql AS $$
	SELECT extra FROM _factorymon.decode(convert_to(message, 'UTF8'))
$$;

-- A message with these members written as they are given.
CREATE FUNCTION pg_temp.message(stamp text DEFAULT '2025-09-16T21:41:41.011144Z',
	value text DEFAULT '42.48', rest text DEFAULT '', place text DEFAULT '')
RETURNS text LANGUAGE sql AS $$
	SELECT format('{"timestamp":"%s","sensor_id":"s","sensor_type":"t",'
		'"location":{"factory_section":"f","machine_id":"m","zone":"z"%s},'
		'"value":%s,"unit":"u"%s}', stamp, place, value, rest)
$$;

-- The canonical message
SELECT pg_temp.rebuilt(message) = message::jsonb AS equal,
	pg_temp.extra(message) IS NULL AS by_columns_alone,
	pg_temp.rebuilt(message)
FROM (VALUES (E'{"timestamp":"2025-09-16T21:41:41.011144Z",'
	'"sensor_id":"temp-sensor-001","sensor_type":"temperature",'
	'"location":{"factory_section":"production","machine_id":"machine-001",'
	'"zone":"zone-a"},"value":42.48,"unit":"\u00b0C","alert_level":"critical",'
	'"quality":1.0,"metadata":{"reading_count":14,"warning_threshold":35.0,'
	'"critical_threshold":40.0}}')) AS v (message);

-- Members that are there or not, known or not
SELECT rest, place, pg_temp.rebuilt(message) = message::jsonb AS equal,
	left(pg_temp.extra(message)::text, 100) AS extra
FROM (VALUES
	(1, '', ''),
	(2, ',"alert_level":"normal"', ''),
	(3, ',"alert_level":"other"', ''),
	(4, ',"alert_level":""', ''),
	(5, ',"quality":0', ''),
	(6, ',"quality":0.1', ''),
	(7, ',"quality":0.30000001192092896', ''),
	(8, ',"quality":1e-60', ''),
	(9, ',"metadata":{}', ''),
	(10, ',"metadata":{"reading_count":0}', ''),
	(11, ',"metadata":{"reading_count":2147483648}', ''),
	(12, ',"metadata":{"reading_count":1234567890123456789012345}', ''),
	(13, ',"metadata":{"reading_count":7.00}', ''),
	(14, ',"metadata":{"warning_threshold":9007199254740993}', ''),
	(15, ',"metadata":{"critical_threshold":-1e308,"x":{"y":[]}}', ''),
	(16, ',"a":{"b":{"c":[1,{"d":null}]}},"e":"\u0041\n"', ''),
	(17, ',"":0', ',"":{"":[]}'),
	(18, ',"location2":{},"metadata2":{}', ',"floor":3,"location":{"zone":1}'),
	(19, ',"metadata":{"metadata":{"metadata":{}},"location":1}', ''),
	(20, ',"n":12345678901234567890.123456789012345678901234567890', ''),
	(21, ',"n":[1e308,1e-308,5e-324,1e-16383,-0,0.10]', ',"n":true')
	) AS v (n, rest, place),
	LATERAL pg_temp.message(rest => v.rest, place => v.place) AS message
ORDER BY n;

-- Ways to write a time
SELECT stamp, pg_temp.rebuilt(message) = message::jsonb AS equal,
	pg_temp.extra(message) IS NULL AS by_columns_alone
FROM unnest(ARRAY['2025-09-16T21:41:41Z', '2025-09-16T21:41:41.0Z',
	'2025-09-16T21:41:41.00Z', '2025-09-16T21:41:41.120Z',
	'2025-09-16T21:41:41.000001Z', '2025-09-16T21:41:41.0000010Z',
	'2025-09-16T21:41:41.123456789Z', '2025-09-16T23:41:41+02:00',
	'2025-09-16T21:41:41-00:00', '2025-09-16t21:41:41Z',
	'2025-09-16T21:41:41.5z', '2016-12-31T23:59:60Z',
	'0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z',
	'1969-12-31T23:59:59.999999Z', '1999-12-31T23:59:59.9Z',
	'2025-09-16T21:41:4\u0031Z']) WITH ORDINALITY AS v (stamp, n),
	LATERAL pg_temp.message(stamp => v.stamp) AS message
ORDER BY n;

-- Ways to write a number
SELECT value, pg_temp.rebuilt(message) = message::jsonb AS equal,
	left(pg_temp.rebuilt(message) ->> 'value', 40) AS rebuilt,
	pg_temp.extra(message) IS NULL AS by_columns_alone
FROM unnest(ARRAY['0', '-0', '-0.0', '1', '1.0', '100', '1e2', '0.1', '-0.25',
	'9007199254740991', '9007199254740992', '9007199254740993',
	'9007199254740994', '18014398509481985', '123456789.123456789',
	'0.30000000000000004', '0.1000000000000000055511151231257827',
	'1e22', '1e23', '9.999999999999999e22', '8.41e21', '9.5e-6', '1e-7',
	'5e-324', '4.9406564584124654e-324', '2.2250738585072014e-308',
	'2.2250738585072011e-308', '1e-400', '1e308', '1.7976931348623157e308',
	'1.7976931348623157081e308', '4.35', '4.349999999999999',
	'4.3499999999999996']) WITH ORDINALITY AS v (value, n),
	LATERAL pg_temp.message(value => v.value) AS message
ORDER BY n;

--
-- Messages at random, the same ones in each run
--

-- The first number below n that this key and purpose give.
CREATE FUNCTION pg_temp.any_of(key bigint, purpose text, n integer)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$
	SELECT (('x' || substr(md5(key || purpose), 1, 7))::bit(28)::integer % n)
$$;

-- Digits of a number: as many as count says.
CREATE FUNCTION pg_temp.digits(key bigint, purpose text, count integer)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT substr(translate(md5(key || purpose) || md5(purpose || key),
		'abcdef', '012345'), 1, count)
$$;

CREATE FUNCTION pg_temp.number(key bigint, purpose text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN pg_temp.any_of(key, purpose || '-', 3) = 0 THEN '-' ELSE '' END
		|| ltrim(pg_temp.digits(key, purpose || 'i',
			pg_temp.any_of(key, purpose || 'li', 12)), '0')
		|| '7'
		|| CASE WHEN pg_temp.any_of(key, purpose || '.', 2) = 0 THEN ''
			ELSE '.' || pg_temp.digits(key, purpose || 'f',
				1 + pg_temp.any_of(key, purpose || 'lf', 20)) END
		|| CASE WHEN pg_temp.any_of(key, purpose || 'e', 3) > 0 THEN ''
			ELSE 'e' || pg_temp.any_of(key, purpose || 'x', 590) - 300 END
$$;

CREATE FUNCTION pg_temp.string(key bigint, purpose text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT (ARRAY['"plain"', '"with \"quotes\" and \\"', E'"\u00e9\u20ac"',
		'"\u00e9\ud83d\ude00"', '"\b\f\n\r\t\/"', '"' || md5(key || purpose) || '"'
		])[1 + pg_temp.any_of(key, purpose, 6)]
$$;

CREATE FUNCTION pg_temp.stamp(key bigint)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT to_char(timestamp '2000-01-01'
			+ pg_temp.any_of(key, 'day', 12000) * interval '1 day'
			+ pg_temp.any_of(key, 'second', 86400) * interval '1 second',
			'YYYY-MM-DD"T"HH24:MI:SS')
		|| CASE WHEN pg_temp.any_of(key, 'fraction', 4) = 0 THEN ''
			ELSE '.' || pg_temp.digits(key, 'micro',
				1 + pg_temp.any_of(key, 'precision', 9)) END
		|| (ARRAY['Z', 'Z', 'Z', 'z', '+00:00', '-05:30', '+23:59'
			])[1 + pg_temp.any_of(key, 'offset', 7)]
$$;

-- Either nothing or one more member
CREATE FUNCTION pg_temp.maybe(key bigint, name text, value text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN pg_temp.any_of(key, 'maybe ' || name, 2) = 0 THEN ''
		ELSE ',"' || name || '":' || value END
$$;

CREATE FUNCTION pg_temp.any_message(key bigint)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT '{"timestamp":"' || pg_temp.stamp(key)
		|| '","sensor_id":' || pg_temp.string(key, 'id')
		|| ',"sensor_type":' || pg_temp.string(key, 'type')
		|| ',"location":{"factory_section":' || pg_temp.string(key, 'section')
		|| ',"machine_id":' || pg_temp.string(key, 'machine')
		|| ',"zone":' || pg_temp.string(key, 'zone')
		|| pg_temp.maybe(key, 'floor', pg_temp.number(key, 'floor'))
		|| '},"value":' || pg_temp.number(key, 'value')
		|| ',"unit":' || pg_temp.string(key, 'unit')
		|| pg_temp.maybe(key, 'alert_level', (ARRAY['"normal"', '"warning"',
			'"critical"', '"unheard of"'])[1 + pg_temp.any_of(key, 'level', 4)])
		|| pg_temp.maybe(key, 'quality', '0.' || pg_temp.digits(key, 'quality',
			1 + pg_temp.any_of(key, 'lq', 12)))
		|| pg_temp.maybe(key, 'metadata', '{"x":'
			|| pg_temp.string(key, 'x')
			|| pg_temp.maybe(key, 'reading_count', (ARRAY['0', '14', '14.0',
				'2e3', '4294967296'])[1 + pg_temp.any_of(key, 'count', 5)])
			|| pg_temp.maybe(key, 'warning_threshold', pg_temp.number(key, 'w'))
			|| pg_temp.maybe(key, 'critical_threshold', pg_temp.number(key, 'c'))
			|| '}')
		|| pg_temp.maybe(key, 'more', '[' || pg_temp.number(key, 'm1') || ',{"'
			|| 'deep":' || pg_temp.string(key, 'm2') || '}]')
		|| '}'
$$;

CREATE TEMP TABLE generated AS
SELECT message, message::jsonb AS original, pg_temp.extra(message) AS extra,
	pg_temp.rebuilt(message) AS rebuilt
FROM generate_series(1, 1000) AS key,
	LATERAL (SELECT pg_temp.any_message(key) OFFSET 0) AS v (message);
SELECT count(*) AS messages,
	count(*) FILTER (WHERE extra IS NULL) AS by_columns_alone,
	count(*) FILTER (WHERE rebuilt = original) AS equal
FROM generated;
-- and which, if any, are not
SELECT message, rebuilt FROM generated WHERE rebuilt IS DISTINCT FROM original;

-- Numbers as programs write them: shortest, rounded, and with all digits
SELECT form, count(*) AS messages,
	count(*) FILTER (WHERE pg_temp.rebuilt(message) = message::jsonb) AS equal
FROM generate_series(1, 300) AS key,
	LATERAL (VALUES (pg_temp.number(key, 'program')::float8)) AS x (value),
	LATERAL (VALUES ('shortest', value::text),
		('rounded', round(value::numeric, 3)::text),
		('all digits', value::numeric::text
			|| CASE WHEN value::numeric::text ~ '\.' THEN '' ELSE '.' END
			|| '000000000000000001')
		) AS forms (form, written),
	LATERAL pg_temp.message(value => written) AS message
GROUP BY form
ORDER BY form;

--
-- rebuild() itself
--
CREATE FUNCTION pg_temp.try(ts timestamptz DEFAULT '2000-01-01', flags integer DEFAULT 0,
	value float8 DEFAULT 1, sensor_id text DEFAULT 's', level integer DEFAULT 0,
	quality real DEFAULT NULL, reading_count integer DEFAULT NULL,
	warning float8 DEFAULT NULL, extra jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE sql AS $$
	SELECT _factorymon.rebuild(ts, flags::smallint, value, sensor_id, 't', 'f',
		'm', 'z', 'u', level::smallint, quality, reading_count, warning, NULL,
		extra)
$$;
SELECT pg_temp.try();
-- only the digits of the fraction are read from flags, only the producer's
-- own level from level
SELECT pg_temp.try(flags => 3 | 8 | 16 | 32 | 64, level => 2 | (1 << 2) | (2 << 4));
-- what extra has is put over the columns, objects are merged
SELECT pg_temp.try(quality => 0.5, reading_count => 3, extra =>
	'{"value": 2, "location": {"zone": "y", "floor": [1]}, "metadata": {"x": {}}, "a": {"b": 1}}');
SELECT pg_temp.try(extra => '{"metadata": {}}') -> 'metadata' AS metadata;
-- what every reading has, rebuild() must have
SELECT pg_temp.try(sensor_id => NULL) IS NULL AS "null";
-- nonsense is refused
\set SHOW_CONTEXT never
SELECT pg_temp.try(value => 'NaN');
SELECT pg_temp.try(quality => 'Infinity');
SELECT pg_temp.try(warning => '-Infinity');
SELECT pg_temp.try(ts => 'infinity');
SELECT pg_temp.try(ts => '10000-01-01');
SELECT pg_temp.try(extra => '[]');
SELECT pg_temp.try(extra => '{"location": 1}');
SELECT pg_temp.try(extra => '{"metadata": []}');
