/*
 * figures.test.mjs - what the page computes itself: gaps, trends, percentiles,
 * causes
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./browser.mjs";

const { causeOf } = await load("alarm-list.js");
const { axisOf, columnsOf, spanOf } = await load("chart.js");
const { trendOf } = await load("lag.js");
const { partitions } = await load("source.js");

/* ---------------------------------------------------------------- gaps */

const BEGIN = Date.parse("2025-03-02T00:00:00Z") / 1000;

/* Points at so many seconds. */
function points(...seconds) {
	return seconds.map((at, i) => ({
		at: new Date((BEGIN + at) * 1000).toISOString(), average: i,
		minimum: i - 1, maximum: i + 1
	}));
}

function times(columns) {
	return columns[0].map((x) => x - BEGIN);
}

test("points without a gap are columns", () => {
	const { columns, gaps } = columnsOf(points(0, 5, 10), null);

	assert.equal(gaps, 0);
	assert.deepEqual(times(columns), [0, 5, 10]);
	assert.deepEqual(columns.slice(1), [[0, 1, 2], [-1, 0, 1], [1, 2, 3]]);
});

test("a gap breaks the line in its middle", () => {
	const { columns, gaps } = columnsOf(points(0, 5, 10, 30, 35), null);

	assert.equal(gaps, 1);
	assert.deepEqual(times(columns), [0, 5, 10, 20, 30, 35]);
	assert.deepEqual(columns.slice(1).map((column) => column[3]),
		[null, null, null]);
	assert.ok(columns.every((column) => column.length === 6));
});

test("three usual steps are no gap yet", () => {
	assert.equal(columnsOf(points(0, 5, 10, 25, 30), null).gaps, 0);
	assert.equal(columnsOf(points(0, 5, 10, 25.1, 30), null).gaps, 1);
});

test("a sensor's own interval may be longer than the usual step", () => {
	assert.equal(columnsOf(points(0, 1, 2, 12), null).gaps, 1);
	assert.equal(columnsOf(points(0, 1, 2, 12), 10).gaps, 0);
});

test("none, one or points at once have no gap", () => {
	assert.deepEqual(columnsOf([], 5), { columns: [[], [], [], []], gaps: 0 });
	assert.equal(columnsOf(points(0), null).gaps, 0);
	assert.equal(columnsOf(points(0, 0, 0), null).gaps, 0);
});

/* --------------------------------------------------------------- spans */

test("a span ends where it was asked to, else when the answer was so", () => {
	const answer = { as_of: "2025-03-02T01:00:00.5Z" };

	assert.deepEqual(spanOf(answer, { seconds: 900, to: null }),
		{ from: BEGIN + 2700.5, to: BEGIN + 3600.5 });
	assert.deepEqual(spanOf(answer, { seconds: 60, to: "2025-03-02T00:02:00Z" }),
		{ from: BEGIN + 60, to: BEGIN + 120 });
});

test("the axis of time is the span, unless somebody looks closer", () => {
	const span = { from: 0, to: 900 };
	const seen = [700, 750, 800];

	assert.deepEqual(axisOf(span, seen, 700, 800), [0, 900]);
	assert.deepEqual(axisOf(span, seen, 600, 850), [0, 900]);
	assert.deepEqual(axisOf(span, seen, 720, 800), [720, 800]);
	assert.deepEqual(axisOf(span, seen, 700, 760), [700, 760]);
	assert.deepEqual(axisOf(span, [700], 700, 87100), [0, 900]);
	assert.deepEqual(axisOf(span, [], null, null), [0, 900]);
});

/* -------------------------------------------------------------- trends */

/* A partition whose lag is one of these each two seconds. */
let number = 0;
let clock = 1e12;
function trend(...lags) {
	const row = { pipeline: "p", kafka_partition: number++ };
	let result;

	for (const lag_messages of lags) {
		clock += 2000;
		partitions.receivedAt = clock;
		partitions.data = {
			partitions: [{ ...row, lag_messages, lag_seconds: 1 }]
		};
		result = trendOf(row).direction;
	}
	return result;
}

test("lag goes somewhere", () => {
	assert.equal(trend(0, 10, 20, 30), "rising");
	assert.equal(trend(30, 20, 10, 0), "falling");
	assert.equal(trend(10, 12, 11, 10), "steady");
	assert.equal(trend(0, 0, 0, 3), "steady");
	assert.equal(trend(0, 0, 0, 4), "rising");
});

test("less than six seconds are no trend", () => {
	assert.equal(trend(), undefined);
	assert.equal(trend(5), "none");
	assert.equal(trend(0, 10, 20), "none");
});

test("what is not known is left out", () => {
	assert.equal(trend(null, null, null, null), "none");
	assert.equal(trend(0, null, 20, 30), "rising");
});

test("only the last half minute counts", () => {
	const lags = Array.from({ length: 30 }, (_, i) => 1000 - 10 * i);

	assert.equal(trend(...lags, ...Array(16).fill(500)), "steady");
});

/* --------------------------------------------------------- percentiles */

const BOUNDS = [0.1, 1, 10];

function look(at, histogram, bounds = BOUNDS) {
	return {
		receivedAt: at, data: {
			pipelines: [{
				messages_per_second: 1, batch_histogram: histogram,
				batch_histogram_bounds: bounds
			}]
		}
	};
}

let fresh = 0;
async function percentile(share, ...looks) {
	const rates = await load("rates.js", ++fresh);

	looks.forEach((one) => rates.history(one));
	return rates.percentile(looks[looks.length - 1], share);
}

test("a percentile is the bound of its bucket, of what is new", async () => {
	const looks = [look(0, [1000, 0, 0, 0]), look(2000, [1050, 40, 10, 0])];

	assert.equal(await percentile(0.5, ...looks), 0.1);
	assert.equal(await percentile(0.51, ...looks), 1);
	assert.equal(await percentile(0.9, ...looks), 1);
	assert.equal(await percentile(0.99, ...looks), 10);
});

test("what is beyond all bounds is at the last one", async () => {
	assert.equal(await percentile(0.99, look(0, [0, 0, 0, 0]),
		look(2000, [0, 0, 0, 5])), 10);
});

test("only the last minute counts", async () => {
	const looks = [look(0, [0, 0, 0, 0]), look(30000, [0, 0, 90, 0]),
		look(91000, [1, 0, 90, 0]), look(92000, [10, 0, 90, 0])];

	assert.equal(await percentile(0.99, ...looks), 0.1);
});

test("without batches, or with workers that began anew, nobody knows",
	async () => {
		assert.equal(await percentile(0.99, look(0, [5, 0, 0, 0])), null);
		assert.equal(await percentile(0.99, look(0, [5, 0, 0, 0]),
			look(2000, [5, 0, 0, 0])), null);
		assert.equal(await percentile(0.99, look(0, [5, 5, 0, 0]),
			look(2000, [20, 0, 0, 0])), null);
		assert.equal(await percentile(0.99, look(0, null),
			look(2000, [1, 0, 0, 0])), null);
	});

/* -------------------------------------------------------------- causes */

test("what an alarm is about has the side of the limit", () => {
	const cause = (side, value, limit) => causeOf({
		condition: "limit", side, value, limit, unit: "°C"
	});

	assert.equal(cause("high", 42, 40), "limit high 42.0 °C > 40.0 °C");
	assert.equal(cause("low", 4, 5), "limit low 4.00 °C < 5.00 °C");
	assert.equal(cause("high", 40, 40), "limit high 40.0 °C ≥ 40.0 °C");
	assert.equal(cause("low", 5, 5), "limit low 5.00 °C ≤ 5.00 °C");
	assert.equal(cause("low", null, 5), "limit low < 5.00 °C");
	assert.equal(cause("high", null, 5), "limit high > 5.00 °C");
});

test("where it has returned neither side nor relation is made up", () => {
	assert.equal(causeOf({
		condition: "limit", side: null, value: 6, limit: 5, unit: "°C"
	}), "limit 6.00 °C > 5.00 °C");
	assert.equal(causeOf({
		condition: "flat", side: null, value: 6, limit: null, unit: "°C"
	}), "flat line 6.00 °C");
});
