/*
 * verdict.test.mjs - the plant in one word
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./browser.mjs";

const { judge } = await load("verdict.js");

/* A pipeline where all is well, but for what is said. */
function pipeline(changes) {
	return {
		pipeline: "p", state: "running", data_age_seconds: 1, lag_seconds: 0,
		alarms_critical: 0, alarms_warning: 0, alarms_unacknowledged: 0,
		...changes
	};
}

function source(pipelines, changes) {
	return {
		data: { database: { state: "up" }, pipelines }, error: null,
		age: () => 1, isStale: () => false, ...changes
	};
}

const DOWN = {
	data: {
		database: { state: "down", since: "2026-11-22T20:55:36Z" },
		pipelines: null
	}
};

function kindOf(...args) {
	return judge(source(...args)).kind;
}

function textOf(...args) {
	return judge(source(...args)).words.map((one) => one.text).join("; ");
}

test("normal is what is known to be well", () => {
	assert.equal(kindOf([pipeline()]), "normal");
	assert.match(textOf([pipeline()]), /alarm/);
});

test("the worst alarm says how the plant is", () => {
	assert.equal(kindOf([pipeline({ alarms_warning: 2 })]), "warning");
	assert.equal(kindOf([pipeline({ alarms_warning: 2 }),
		pipeline({ alarms_critical: 1 })]), "critical");
});

test("a producer that is gone is told, and never that all is well", () => {
	const words = (changes, gone) => judge(source([pipeline(changes)]), gone)
		.words.filter((one) => one.act).map((one) => one.text);

	assert.deepEqual(words({}, ["press-line"]), ["press-line gone"]);
	assert.deepEqual(words({ alarms_warning: 1 }, ["a", "b"]), ["2 producers gone"]);
	assert.equal(judge(source([pipeline()]), ["a"]).kind, "unknown");
	assert.equal(judge(source([pipeline({ alarms_warning: 1 })]), ["a"]).kind,
		"warning");
	assert.doesNotMatch(judge(source([pipeline({ alarms_warning: 1 })]), ["a"]).words
		.map((one) => one.text).join("; "), /Nothing to do/);
});

test("alarms are counted with what they are", () => {
	assert.match(textOf([pipeline({ alarms_critical: 1, alarms_warning: 15 })]),
		/^1 critical alarm; 15 warnings;/);
});

test("before the first answer nothing is said", () => {
	assert.deepEqual(judge(source(null, { data: null })),
		{ kind: "loading", words: [] });
	assert.equal(judge(source(null, { data: null, error: new Error("x") })).kind,
		"unknown");
});

const BLIND = {
	"a service that cannot be reached": [[pipeline({ alarms_critical: 1 })],
		{ error: new Error("x") }],
	"a database that is down": [null, DOWN],
	"an answer that is too old": [[pipeline({ alarms_critical: 1 })],
		{ isStale: () => true, age: () => 100 }]
};
for (const [name, args] of Object.entries(BLIND))
	test(`${name}: not known, whatever was known before`, () => {
		const verdict = judge(source(...args));

		assert.equal(verdict.kind, "unknown");
		assert.equal(verdict.words[0].act, true);
		assert.notEqual(verdict.words[0].text, "");
	});

const DOUBT = {
	"no pipeline": [],
	"only pipelines that do not run here": [pipeline({ state: "off" })],
	"no data yet": [pipeline({ data_age_seconds: null })],
	"old data": [pipeline({ data_age_seconds: 30 })],
	"one of two with old data": [pipeline(), pipeline({ data_age_seconds: 99 })]
};
for (const state of ["lagging", "degraded", "paused", "down"])
	DOUBT[`ingest ${state}`] = [pipeline(), pipeline({ state })];
for (const [name, pipelines] of Object.entries(DOUBT))
	test(`${name}: not known, but a critical alarm stays one`, () => {
		const worse = (change) => pipelines.map((one) => ({ ...one, ...change }));
		const runs = pipelines.some((one) => one.state !== "off");

		assert.equal(kindOf(pipelines), "unknown");
		assert.equal(kindOf(worse({ alarms_warning: 1 })), "unknown");
		assert.equal(kindOf(worse({ alarms_critical: 1 })),
			runs ? "critical" : "unknown");
		assert.equal(judge(source(pipelines)).words[0].act, true);
	});

test("data age while the answer does", () => {
	const pipelines = [pipeline({ data_age_seconds: 29 })];

	assert.equal(kindOf(pipelines, { age: () => 1 }), "normal");
	assert.equal(kindOf(pipelines, { age: () => 1.1 }), "unknown");
});

test("what waits for somebody is something to do", () => {
	const { words } = judge(source([pipeline({
		alarms_warning: 3, alarms_unacknowledged: 2
	})]));

	assert.ok(words.some((one) => one.act && one.text.includes("2")));
	assert.ok(!judge(source([pipeline({ alarms_warning: 3 })])).words
		.some((one) => one.act));
});

test("no combination of doubts is normal", () => {
	for (const state of ["running", "lagging", "degraded", "paused", "down"])
		for (const data_age_seconds of [1, 31, null])
			for (const stale of [false, true])
				for (const error of [null, new Error("x")]) {
					const kind = kindOf([pipeline({ state, data_age_seconds })],
						{ isStale: () => stale, error });
					const well = state === "running" && data_age_seconds === 1 &&
						!stale && !error;

					assert.equal(kind, well ? "normal" : "unknown");
				}
});
