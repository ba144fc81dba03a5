--
-- What the decoder makes of a message: tables of input -> reading or reason
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET extra_float_digits = 1;

-- The canonical message with one member changed or, where value is NULL,
-- left out; value is JSON text and may bring further members along.
CREATE FUNCTION pg_temp.message(member text DEFAULT '', value text DEFAULT '')
RETURNS text LANGUAGE sql AS $$
	WITH members (place, path, written) AS (
		VALUES (1, 'timestamp', '"2025-09-16T21:41:41.011144Z"'),
			(2, 'sensor_id', '"temp-sensor-001"'),
			(3, 'sensor_type', '"temperature"'),
			(4, 'location', ''),
			(5, 'location.factory_section', '"production"'),
			(6, 'location.machine_id', '"machine-001"'),
			(7, 'location.zone', '"zone-a"'),
			(8, 'value', '42.48'),
			(9, 'unit', E'"\u00b0C"'),
			(10, 'alert_level', '"critical"'),
			(11, 'quality', '1.0'),
			(12, 'metadata', ''),
			(13, 'metadata.reading_count', '14'),
			(14, 'metadata.warning_threshold', '35.0'),
			(15, 'metadata.critical_threshold', '40.0')),
	changed AS (
		SELECT place, path, split_part(path, '.', 1) AS top,
			split_part(path, '.', 2) AS inner_name,
			CASE WHEN path = $1 THEN $2 ELSE written END AS written
		FROM members),
	outermost AS (
		SELECT min(place) AS place, top,
			coalesce(
				max(written) FILTER (WHERE path = top AND path = $1),
				'{' || string_agg(to_json(inner_name) || ':' || written, ','
					ORDER BY place) FILTER (WHERE inner_name <> '') || '}',
				max(written)) AS written
		FROM changed
		WHERE NOT (top = $1 AND $2 IS NULL)
		GROUP BY top)
	SELECT '{' || string_agg(to_json(top) || ':' || written, ','
		ORDER BY place) || '}'
	FROM outermost
$$;

-- Reason and detail in one column.
CREATE FUNCTION pg_temp.outcome(payload bytea)
RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(reason || ' [' || sqlstate || ']: ' || detail, 'accepted')
	FROM _factorymon.decode(payload)
$$;

CREATE FUNCTION pg_temp.outcome(payload text)
RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.outcome(convert_to(payload, 'UTF8'))
$$;

-- The canonical message, all columns
\x on
SELECT pg_temp.message() AS message;
SELECT * FROM _factorymon.decode(convert_to(pg_temp.message(), 'UTF8'));
-- The least that a message must have, in another order and with white space
SELECT * FROM _factorymon.decode(convert_to($$
{ "unit" : "", "value" : -0.0,
  "location" : { "zone" : "", "machine_id" : "", "factory_section" : "" },
  "sensor_type" : "t", "sensor_id" : "s",
  "timestamp" : "2000-01-01T00:00:00Z" }
$$, 'UTF8'));
\x off
-- A NULL is no message
SELECT count(*) FROM _factorymon.decode(NULL);

--
-- Bytes
--
SELECT input, pg_temp.outcome(input) AS outcome
FROM (VALUES
	(1, ''::bytea), (2, '\x00'), (3, '\x20'), (4, '\xefbbbf7b7d'),
	(5, '\xff'), (6, '\x7b2261223a22c3a9227d'), (7, '\x5b22c328225d'),
	(8, '\x5b22c0af225d'), (9, '\x5b22c1bf225d'), (10, '\x5b22e08080225d'),
	(11, '\x5b22eda080225d'), (12, '\x5b22f0808080225d'),
	(13, '\x5b22f4908080225d'), (14, '\x5b22f8888080225d'),
	(15, '\x5b2280225d'), (16, '\x5b22e282'), (17, '\x5b22efbfbf225d'),
	(18, '\x5b22610062225d'), (19, '\x5b00'), (20, '\x7bc3a97d')
	) AS v (n, input)
ORDER BY n;
-- Binary rubbish of all kinds is refused and never shown
SELECT count(*) AS messages, count(DISTINCT reason) > 1 AS for_many_reasons,
	bool_and(reason IS NOT NULL AND detail <> '') AS all_refused
FROM generate_series(1, 2000) AS i,
	_factorymon.decode(decode(md5(i::text), 'hex'));

--
-- JSON text
--
SELECT input, pg_temp.outcome(input) AS outcome
FROM unnest(ARRAY[
	'{', '}', '{}', '[]', 'null', 'true', '17', '"text"', '{} {}', '{},',
	'{"a":1,}', '{"a" 1}', '{"a":}', '{a:1}', E'{\'a\':1}', '{"a":1', '{"a',
	'{,}', '[1,]', '[,1]', '[1 2]', '[1}', '{"a":1]', '{"a":1;"b":2}',
	'{/* c */}', '[tru]', '[True]', '[NaN]', '[Infinity]', '[-Infinity]',
	'[01]', '[-01]', '[-]', '[+1]', '[.5]', '[1.]', '[1.e1]', '[1e]', '[1e+]',
	'[0x1F]', '[1,5e3', '["a]', '["\q"]', '["\u12"]', '["\u12g4"]',
	'["\ud83d"]', '["\ud83dx"]', '["\ud83d\u0041"]', '["\ude00"]',
	'["\ud83d\ude00"]', '["\u0000"]', '{"\u0000":1}', '["\\u0000"]',
	E'["tab\there"]', E'["line\nbreak"]', '["\u0009 \u000a \" \\ \/ \b\f\n\r\t"]',
	E'["\u007f"]', '[1e308]', '[1e309]', '[-1e309]', '[1e999999999999999999]',
	'[0e999999999999999999]', '[1e-16383]', '[1e-16384]', '[1e-400]',
	E' \t\r\n{} \t\r\n', E'{}\f']) WITH ORDINALITY AS v (input, n)
ORDER BY n;

-- Numbers are judged wherever they are
SELECT pg_temp.outcome(pg_temp.message('unit', '"C","x":{"y":[0,1e400]}'));

-- The same member twice
SELECT input, pg_temp.outcome(input) AS outcome
FROM unnest(ARRAY[
	'{"a":1,"a":1}', '{"a":1,"\u0061":1}', '{"a":1,"A":1}', '{"":1,"":2}',
	'[{"a":1},{"a":1}]', '{"a":{"a":{"a":1}}}',
	'{"x":[{"y":{"b":1,"c":2,"b":3}}]}', '{"b":{"c":1,"c":2},"b":3}',
	'{"a":1,"a":2', '{"/":1,"\/":1}', '{"\ud83d\ude00":1,"\uD83D\uDE00":1}',
	'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14,"o":15,"p":16,"q":17,"c":18,"b":19}'
	]) WITH ORDINALITY AS v (input, n)
ORDER BY n;
SELECT pg_temp.outcome(pg_temp.message('location.zone', '"a","zone":"b"'));
-- also among a great many
SELECT pg_temp.outcome('{' || string_agg(format('"m%s":%s', i, i), ',') || '}')
FROM generate_series(1, 100000) AS i;
SELECT pg_temp.outcome('{' || string_agg(format('"m%s":%s', i, i), ',')
	|| ',"\u006d77777":0}')
FROM generate_series(1, 100000) AS i;

-- Depth; the message itself is the first level
SELECT depth, pg_temp.outcome(pg_temp.message('unit',
	'"C","x":' || repeat('[', depth - 1) || repeat(']', depth - 1))) AS outcome
FROM unnest(ARRAY[2, 64, 65, 100000]) AS depth;

--
-- Members
--
SELECT member, pg_temp.outcome(pg_temp.message(member, NULL)) AS when_missing,
	pg_temp.outcome(pg_temp.message(member, 'null')) AS when_null
FROM unnest(ARRAY['timestamp', 'sensor_id', 'sensor_type', 'location',
	'location.factory_section', 'location.machine_id', 'location.zone',
	'value', 'unit', 'alert_level', 'quality', 'metadata',
	'metadata.reading_count', 'metadata.warning_threshold',
	'metadata.critical_threshold']) WITH ORDINALITY AS v (member, n)
ORDER BY n;

-- Types
SELECT member, value, pg_temp.outcome(pg_temp.message(member, value)) AS outcome
FROM (VALUES
	(1, 'timestamp', '1758058901'), (2, 'sensor_id', '17'),
	(3, 'sensor_type', '["temperature"]'), (4, 'location', '"zone-a"'),
	(5, 'location', '[]'), (6, 'location', '{}'), (7, 'location.zone', 'false'),
	(8, 'location.machine_id', '1'), (9, 'value', '"42.48"'),
	(10, 'value', 'true'), (11, 'value', '[42.48]'), (12, 'unit', '{}'),
	(13, 'alert_level', '2'), (14, 'quality', '"1.0"'),
	(15, 'metadata', '[]'), (16, 'metadata', '{}'),
	(17, 'metadata.reading_count', '"14"'),
	(18, 'metadata.reading_count', '14.5'),
	(19, 'metadata.warning_threshold', '"35"'),
	(20, 'metadata.critical_threshold', '[]')
	) AS v (n, member, value)
ORDER BY n;

-- Lengths, in bytes of UTF-8 once escapes are resolved
SELECT member, len, what,
	pg_temp.outcome(pg_temp.message(member, '"' || value || '"')) AS outcome
FROM (VALUES
	('sensor_id', 255), ('sensor_type', 63), ('location.factory_section', 255),
	('location.machine_id', 255), ('location.zone', 255), ('unit', 63),
	('alert_level', 63)) AS limits (member, len),
	LATERAL (VALUES
	(1, 'empty', ''),
	(2, 'longest', repeat('x', len)),
	(3, 'too long', repeat('x', len + 1)),
	(4, 'longest, escaped', repeat('\u0078', len)),
	(5, 'too long, multibyte', repeat('x', len - 1) || E'\u00e9')
	) AS v (n, what, value)
ORDER BY member, n;

-- Strings: escapes are resolved
SELECT sensor_id, zone, unit, extra
FROM _factorymon.decode(convert_to(pg_temp.message('sensor_id',
	'"a\u0062\"\\\/\u00e9\ud83d\ude00"'), 'UTF8'));
-- and so are those in the names of members
SELECT value, zone, extra
FROM _factorymon.decode(convert_to(replace(replace(pg_temp.message(),
	'"value"', '"v\u0061lue"'), '"zone"', '"\u007aone"'), 'UTF8'));

-- Timestamps
SELECT input, ts, ts_digits AS digits, coalesce(detail, extra::text) AS "detail, extra"
FROM unnest(ARRAY[
	'2025-09-16T21:41:41Z', '2025-09-16T21:41:41.0Z', '2025-09-16T21:41:41.010Z',
	'2025-09-16T21:41:41.123456Z', '2025-09-16T21:41:41.1234569Z',
	'2025-09-16t21:41:41z', '2025-09-16T21:41:41+00:00',
	'2025-09-16T21:41:41-00:00', '2025-09-16T21:41:41+05:30',
	'2025-09-16T21:41:41.5-23:59', '2024-02-29T12:00:00Z',
	'2016-12-31T23:59:60Z', '2016-12-31T18:59:60.25-05:00',
	'0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z',
	'2025-02-29T12:00:00Z', '2025-04-31T12:00:00Z', '2025-13-01T12:00:00Z',
	'2025-00-10T12:00:00Z', '2025-01-00T12:00:00Z', '2025-01-01T24:00:00Z',
	'2025-01-01T12:60:00Z', '2025-01-01T12:00:60Z', '2025-01-01T12:00:61Z',
	'2025-01-01T12:00:00+24:00', '2025-01-01T12:00:00+01:60',
	'2025-01-01T12:00:00+0100', '2025-01-01T12:00:00+01', '2025-01-01T12:00:00',
	'2025-01-01T12:00:00.Z', '2025-01-01T12:00:00,5Z', '2025-01-01T12:00Z',
	'2025-01-01 12:00:00Z', '2025-01-01', '20250101T120000Z',
	'2025-1-1T12:00:00Z', ' 2025-01-01T12:00:00Z', '2025-01-01T12:00:00Z ',
	'0000-06-01T12:00:00Z', '0001-01-01T00:00:00+00:01',
	'9999-12-31T23:59:59-00:01', '10000-01-01T00:00:00Z',
	'Tue, 16 Sep 2025 21:41:41 GMT', 'now', 'infinity', ''
	]) WITH ORDINALITY AS v (input, n),
	_factorymon.decode(convert_to(pg_temp.message('timestamp',
		to_json(input)::text), 'UTF8'))
ORDER BY n;

-- Values: the column has the nearest number, extra the exact one where it
-- cannot be had from the column
SELECT input, value, left(extra::text, 60) AS extra, detail
FROM unnest(ARRAY[
	'0', '-0', '42.480', '4248e-2', '1e-5', '1E+5', '0.1', '0.30000000000000004',
	'0.3000000000000000444', '9007199254740992', '9007199254740993',
	'123456789012345678901234567890', '1e23', '1e308', '1.7976931348623157e308',
	'1.7976931348623159e308', '2.2250738585072014e-308', '5e-324', '4.94e-324',
	'1e-324', '-1e-400', '3.14159265358979323846264338327950288419716939937510'
	]) WITH ORDINALITY AS v (input, n),
	_factorymon.decode(convert_to(pg_temp.message('value', input), 'UTF8'))
ORDER BY n;

-- Quality
SELECT input, quality, left(extra::text, 60) AS extra, detail
FROM unnest(ARRAY[
	'0', '1', '1.0', '0.95', '-0.0', '10e-1', '0.987654321', '1e-50',
	'0.9999999999', '1.0000000000000000000000001', '1.01', '2', '-0.1', '-1e-50'
	]) WITH ORDINALITY AS v (input, n),
	_factorymon.decode(convert_to(pg_temp.message('quality', input), 'UTF8'))
ORDER BY n;

-- Reading count
SELECT input, reading_count, left(extra::text, 60) AS extra, detail
FROM unnest(ARRAY[
	'0', '-0', '14', '14.0', '1.4e1', '140e-1', '2147483647', '2147483648',
	'1e300', '12345678901234567890123', '14.5', '-1', '-1.5', '1e-1'
	]) WITH ORDINALITY AS v (input, n),
	_factorymon.decode(convert_to(
		pg_temp.message('metadata.reading_count', input), 'UTF8'))
ORDER BY n;

-- The producer's limits
SELECT warning_threshold, critical_threshold, extra
FROM _factorymon.decode(convert_to(replace(pg_temp.message(
	'metadata.warning_threshold', '-35.50'), '40.0', '9007199254740993'), 'UTF8'));

-- Levels
SELECT input, reported_level, extra
FROM unnest(ARRAY['normal', 'warning', 'critical', 'Critical', 'high', ''])
	WITH ORDINALITY AS v (input, n),
	_factorymon.decode(convert_to(pg_temp.message('alert_level',
		to_json(input)::text), 'UTF8'))
ORDER BY n;

-- Members that the format does not know are kept at their place
SELECT extra
FROM (VALUES
	(1, 'unit', '"C","batch":{"id":9007199254740993,"tags":["a",null]}'),
	(2, 'location.zone', '"zone-a","floor":3,"":""'),
	(3, 'metadata.reading_count', '14,"firmware":"1.2.3"'),
	(4, 'metadata', '{}'),
	(5, 'metadata', '{"x":1}'),
	(6, 'metadata', NULL),
	(7, 'quality', '0.123456789,"value2":1.10'),
	(8, 'unit', '"C","un\u0069t2":"\u00e9"'),
	(9, 'unit', '"C","Value":1,"reading_count":2,"zone":3')
	) AS v (n, member, value),
	_factorymon.decode(convert_to(pg_temp.message(member, value), 'UTF8'))
ORDER BY n;

--
-- Of several faults, the one reported is always the same: text before
-- members, text from left to right, members in the order of the format
--
SELECT pg_temp.outcome(input) AS outcome
FROM unnest(ARRAY[
	'{"value":"x","timestamp":1}',
	'{"timestamp":1,"timestamp":1}',
	'{"timestamp":1,"timestamp":1} x',
	'["\ud800", 01]',
	'[01, "\ud800"]',
	'["\u0000", 1e999',
	'[1e999, "\u0000"',
	replace(pg_temp.message('quality', '7'), '"machine-001"', '7'),
	replace(pg_temp.message('quality', '7'), '"unit"', '"unot"')
	]) WITH ORDINALITY AS v (input, n)
ORDER BY n;

-- A detail is one line of text, whatever is in the message
SELECT detail
FROM _factorymon.decode(convert_to('{"' || repeat(E'\u00e9', 200) || '":1,"'
	|| repeat(E'\u00e9', 200) || '":2}', 'UTF8'))
UNION ALL
SELECT detail
FROM _factorymon.decode(convert_to(pg_temp.message('timestamp',
	'"' || repeat(E'\u20ac', 200) || '"'), 'UTF8'));

-- Large messages
SELECT what, length(message) > 1000000 AS is_large, pg_temp.outcome(message)
FROM (VALUES
	(1, 'a long string', pg_temp.message('unit', '"C","x":"' || repeat('x', 1000000) || '"')),
	(2, 'a long array', pg_temp.message('unit', '"C","x":[' || repeat('1,', 500000) || '1]')),
	(3, 'a long sensor id', pg_temp.message('sensor_id', '"' || repeat('\u0078', 200000) || '"')),
	(4, 'white space', pg_temp.message('unit', '"C"' || repeat(' ', 1000000))),
	(5, 'no end', repeat('{"a":', 60) || '"' || repeat('x', 1000000))
	) AS v (n, what, message)
ORDER BY n;
