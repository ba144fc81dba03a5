/* Values against limits: what classify() and classify_side() say.  Needs no
 * background workers. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;

/* ----------------------------------------------------------------------
 * Limits on the high side: classify(value, warning, critical)
 * ------------------------------------------------------------------- */
SELECT value,
	factorymon.classify(value, 35, 40) AS level,
	factorymon.classify_side(value, 35, 40) AS side
FROM unnest(ARRAY['-Infinity', -1e308, 0, 34.999999999999993, 35,
	35.000000000000007, 39.999999999999993, 40, 1e308, 'Infinity',
	'NaN', NULL]::float8[]) AS value;

/* either limit may be missing, or both */
SELECT value,
	factorymon.classify(value, 35, NULL) AS warning_only,
	factorymon.classify(value, NULL, 40) AS critical_only,
	factorymon.classify(value, NULL, NULL) AS none
FROM unnest(ARRAY[34, 35, 40, 'Infinity', 'NaN', NULL]::float8[]) AS value;

/* ----------------------------------------------------------------------
 * Limits on both sides
 * ------------------------------------------------------------------- */
SELECT value,
	factorymon.classify(value, 5, 10, 35, 40) AS level,
	factorymon.classify_side(value, 5, 10, 35, 40) AS side
FROM unnest(ARRAY['-Infinity', -1e308, 4.9999999999999991, 5,
	5.0000000000000009, 9.9999999999999982, 10, 10.000000000000002,
	22.5, 34.999999999999993, 35, 39.999999999999993, 40, 1e308,
	'Infinity', 'NaN', NULL]::float8[]) AS value;

/* every combination of limits that are there and limits that are not */
SELECT cl, wl, wh, ch,
	string_agg(coalesce(left(factorymon.classify(v, cl, wl, wh, ch), 1)
		|| coalesce(left(factorymon.classify_side(v, cl, wl, wh, ch), 1), ''),
		'null'), ' ' ORDER BY v) AS "at 4 5 9 10 20 35 39 40 41"
FROM unnest(ARRAY[5, NULL]::float8[]) AS cl,
	unnest(ARRAY[10, NULL]::float8[]) AS wl,
	unnest(ARRAY[35, NULL]::float8[]) AS wh,
	unnest(ARRAY[40, NULL]::float8[]) AS ch,
	unnest(ARRAY[4, 5, 9, 10, 20, 35, 39, 40, 41]::float8[]) AS v
GROUP BY cl, wl, wh, ch
ORDER BY cl, wl, wh, ch;

/* zero has no sign; limits may be negative, or tiny */
SELECT factorymon.classify('-0', 0, 1), factorymon.classify(0, '-0', 1),
	factorymon.classify(-20, -30, -20, -10, 0),
	factorymon.classify_side(-20, -30, -20, -10, 0),
	factorymon.classify(5e-324, NULL, NULL, 5e-324, 1e-323),
	factorymon.classify(0, NULL, NULL, 5e-324, 1e-323);

/* an infinite limit is reached by infinity only */
SELECT factorymon.classify(1e308, 'Infinity', NULL),
	factorymon.classify('Infinity', 'Infinity', NULL),
	factorymon.classify('-Infinity', '-Infinity', NULL, NULL, NULL),
	factorymon.classify(-1e308, '-Infinity', NULL, NULL, NULL);

/* limits that contradict each other: the worse level, then the high side */
SELECT factorymon.classify(36, 40, 35) AS critical_below_warning,
	factorymon.classify(20, 30, NULL, 10, NULL) AS level,
	factorymon.classify_side(20, 30, NULL, 10, NULL) AS side,
	factorymon.classify_side(20, NULL, 30, 10, NULL) AS both_warnings;

/* a limit is a number, or it is not there */
SELECT factorymon.classify(1, 'NaN', 2);
SELECT factorymon.classify(1, NULL, NULL, NULL, 'NaN');
SELECT factorymon.classify_side(1, 'NaN', NULL, NULL, NULL);
SELECT factorymon.classify(NULL, 'NaN', 2);

/* the same by comparison, over many values */
SELECT count(*) AS tried, count(*) FILTER (WHERE level IS DISTINCT FROM
	CASE WHEN v >= 40 OR v <= 5 THEN 'critical'
		WHEN v >= 35 OR v <= 10 THEN 'warning'
		ELSE 'normal' END) AS wrong,
	count(*) FILTER (WHERE side IS DISTINCT FROM
	CASE WHEN v >= 35 THEN 'high' WHEN v <= 10 THEN 'low' END) AS wrong_side
FROM generate_series(-10, 60, 0.125) AS v,
	factorymon.classify(v, 5, 10, 35, 40) AS level,
	factorymon.classify_side(v, 5, 10, 35, 40) AS side;

/* usable wherever an expression is: folded, indexed, in parallel */
SELECT proname, pronargs, provolatile, proparallel, proisstrict, prosecdef
FROM pg_proc
WHERE pronamespace = 'factorymon'::regnamespace AND proname ~ '^classify'
ORDER BY proname, pronargs;

/* ----------------------------------------------------------------------
 * The built-in types
 * ------------------------------------------------------------------- */
SELECT * FROM factorymon.default_sensor_types();
SELECT * FROM factorymon.default_thresholds();
/* usual values are normal, and limits obey the rules of the table */
SELECT sensor_type, factorymon.classify(base_value, critical_low, warning_low,
	warning_high, critical_high)
FROM factorymon.default_sensor_types()
	FULL JOIN factorymon.default_thresholds() USING (sensor_type)
ORDER BY sensor_type;
BEGIN;
INSERT INTO factorymon.threshold (sensor_type, critical_low, warning_low,
	warning_high, critical_high, deadband, on_delay, off_delay)
	SELECT * FROM factorymon.default_thresholds();
ROLLBACK;
