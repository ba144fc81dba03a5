/*
 * news.test.mjs - what is told of the last minutes, and who had a partition when
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./browser.mjs";

const { newest, newsOf } = await load("news.js");
const { spansOf } = await load("view-pipeline.js");
const { causeOf } = await load("alarm-list.js");
const { setTimeZone, zoneName, fullTime } = await load("i18n.js");

const BEGIN = Date.parse("2025-03-02T00:00:00Z");

function at(seconds) {
	return new Date(BEGIN + seconds * 1000).toISOString();
}

function alarm(seconds, sensor_id, changes) {
	return {
		at: at(seconds), kind: "alarm", event: "raised", condition: "silent",
		level: "warning", announced: true, pipeline: "p", sensor_id,
		value: null, limit: null, ...changes
	};
}

function taken(seconds, consumer, ...partitions) {
	return {
		at: at(seconds), kind: "pipeline", event: "taken", pipeline: "p",
		consumer, partitions
	};
}

function told(events, producers = []) {
	return newsOf(events, producers, BEGIN).map((piece) => piece.text);
}

test("many of a kind within a minute are one piece of news", () => {
	assert.deepEqual(told([alarm(70, "d"), alarm(60, "c"), alarm(50, "b"),
		alarm(10, "a")]), ["4 sensors silent: d, c, b, …"]);
	assert.deepEqual(told([alarm(71, "c"), alarm(70, "b"), alarm(10, "a")]),
		["c raised: silent >", "b raised: silent >", "a raised: silent >"]
			.map((text) => text.replace(" >", "")));
});

test("two are told one by one, and so are other kinds", () => {
	assert.equal(told([alarm(20, "b"), alarm(10, "a")]).length, 2);
	assert.equal(told([alarm(30, "c"), alarm(20, "b", { level: "critical" }),
		alarm(10, "a", { condition: "limit" })]).length, 3);
});

test("two sensors that were raised again, and what became critical, have their own rows", () => {
	assert.equal(told([alarm(30, "b"), alarm(20, "a"), alarm(10, "b")]).length, 3);
	assert.equal(told([alarm(40, "d", { level: "critical" }),
		alarm(30, "c", { level: "critical" }), alarm(20, "b", { level: "critical" }),
		alarm(10, "a", { level: "critical" })]).length, 4);
	assert.deepEqual(told(["f", "e", "d", "c", "b", "a"].map((name, i) =>
		alarm(40 - i, name, { level: "critical" }))), ["6 sensors silent: f, e, d, …"]);
});

test("a piece is of a time, or from one to another", () => {
	const [piece] = newsOf([alarm(40, "d"), alarm(30, "c"), alarm(20, "b")], [], BEGIN);

	assert.deepEqual([piece.from, piece.at], [at(20), at(40)]);
	assert.ok(newsOf([alarm(40, "d")], [], BEGIN)
		.every((one) => one.from === one.at));
});

test("where there is no room, what broke stays, and what is left out is counted where it was", () => {
	const piece = (text, more) => ({ at: text, text, ...more });
	const news = [piece("a"), piece("b"), piece("c", { broke: true }), piece("d"),
		piece("e", { stays: true }), piece("f"), piece("g")];
	const shown = (room) => {
		const { pieces, older } = newest(news, room);
		return [...pieces.map((one) => one.text || one.skipped), older];
	};

	assert.deepEqual(shown(9), ["a", "b", "c", "d", "e", "f", "g", 0]);
	assert.deepEqual(shown(3), ["a", 1, "c", 1, "e", 2]);
	assert.deepEqual(shown(2), [2, "c", 1, "e", 2]);
	assert.deepEqual(shown(1), [4, "e", 2]);
});

test("a value that is back while its alarm is not over is not called worse than its limit", () => {
	const of = (changes) => causeOf({
		condition: "limit", side: "low", value: 23.7, limit: 10, unit: "°C", ...changes
	});

	assert.equal(of({}), "limit low 10.0 °C: back at 23.7 °C");
	assert.equal(of({ value: 9 }), "limit low 9.00 °C < 10.0 °C");
	assert.equal(of({ side: "high", value: 9 }), "limit high 10.0 °C: back at 9.00 °C");
	assert.equal(of({ side: "high", value: 10 }), "limit high 10.0 °C ≥ 10.0 °C");
});

test("returns are news, what was not announced is none", () => {
	assert.deepEqual(told([alarm(10, "a", {
		event: "returned", announced: false, condition: "limit", value: 93.4,
		unit: "kW"
	})]), ["a returned: limit: back at 93.4 kW"]);
	assert.deepEqual(told([alarm(10, "a", { announced: false })]), []);
	assert.deepEqual(told([alarm(-1, "a")]), []);
});

test("who took which partition over, by the newest word of each", () => {
	assert.deepEqual(told([taken(12, "x", 1), taken(11, "y", 0, 2),
		taken(10, "z", 1)]),
	["partitions taken over: 0 by y, 1 by x, 2 by y"]);
	assert.deepEqual(told([taken(12, "x", 1)]),
		["partition taken over: 1 by x"]);
});

test("a producer that is gone is news, at its last heartbeat", () => {
	const news = newsOf([alarm(40, "a"), alarm(5, "b")], [
		{ pipeline: "p", producer: "press", state: "silent", heartbeat_at: at(20) },
		{ pipeline: "p", producer: "oven", state: "active", heartbeat_at: at(30) },
		{ pipeline: "p", producer: "saw", state: "unknown", heartbeat_at: at(30) }
	], BEGIN);

	assert.deepEqual(news.map((piece) => piece.text),
		["a raised: silent", "producer press is gone", "b raised: silent"]);
	assert.deepEqual(news.map((piece) => piece.broke), [false, true, false]);
});

test("what became critical stands out as the end of a worker does", () => {
	const pieces = newsOf([alarm(30, "a", {
		event: "escalated", level: "critical"
	}), { at: at(20), kind: "pipeline", event: "ended", pipeline: "p",
		detail: "worker 1" }, alarm(10, "b")], [], BEGIN);

	assert.deepEqual(pieces.map((piece) => piece.broke), [true, true, false]);
	assert.equal(pieces[0].symbol, "critical");
});

/* ---------------------------------------------------------------- lanes */

const PARTITION = { pipeline: "p", kafka_partition: 1, pid: 7 };
const CREATED = { at: at(100), event: "created", pipeline: "p" };

test("before its pipeline was created nobody had a partition", () => {
	assert.deepEqual(spansOf(PARTITION, [taken(110, "x", 1), CREATED], BEGIN,
		BEGIN + 600000), [{ from: BEGIN + 110000, to: BEGIN + 600000 }]);
	assert.deepEqual(spansOf(PARTITION, [CREATED], BEGIN, BEGIN + 600000),
		[{ from: BEGIN + 100000, to: BEGIN + 600000 }]);
});

test("of what was before the first word it is known that somebody had it", () => {
	assert.deepEqual(spansOf(PARTITION, [], BEGIN, BEGIN + 600000),
		[{ from: BEGIN, to: BEGIN + 600000 }]);
	assert.deepEqual(spansOf({ ...PARTITION, pid: null }, [{
		...taken(50, "x", 1), event: "revoke"
	}], BEGIN, BEGIN + 600000), [{ from: BEGIN, to: BEGIN + 50000 }]);
});

/* ---------------------------------------------------------------- words */

test("what has returned says so, and no limit that it is not beyond", () => {
	assert.equal(causeOf({
		condition: "limit", state: "returned_unacknowledged", side: null,
		value: 93.4, limit: 180, unit: "kW"
	}), "limit: back at 93.4 kW");
});

test("UTC is called so", () => {
	setTimeZone("UTC");
	assert.equal(zoneName(BEGIN), "UTC");
	assert.match(fullTime(at(0)), / UTC$/);
	setTimeZone("America/Sao_Paulo");
	assert.equal(zoneName(BEGIN), "America/Sao Paulo, UTC-3");
	assert.match(fullTime(at(0)), / UTC-03:00$/);
});
