/*
 * problems.test.mjs - what the page says of errors: by code, else by status
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";
import { load } from "./browser.mjs";

const { ApiError } = await load("api.js");
const { reasonOf } = await load("panel.js");
const { setLanguage } = await load("i18n.js");
const { default: en } = await load("words-en.js");
const description = JSON.parse(fs.readFileSync(
	new URL("../../dashboard/openapi.json", import.meta.url), "utf8"));
const codes = description.components.schemas.Problem.properties.code.enum;

function reason(status, code, seconds) {
	return reasonOf(new ApiError(status, code, "in English", seconds));
}

test("every code of the service has words, and none is without a code", () => {
	assert.ok(codes.length > 30);
	assert.deepEqual(Object.keys(en).filter((name) => name.startsWith("problem."))
		.map((name) => name.slice("problem.".length)).sort(), [...codes].sort());
});

test("two problems of one status are two reasons", () => {
	assert.equal(reason(409, "stale_event"),
		"it was announced again since; look at it first");
	assert.equal(reason(409, "wrong_state"),
		"that cannot be done to the alarm as it is now");
	assert.equal(reason(503, "database_down"), "the database is away");
	assert.equal(reason(503, "database_timeout"), "the database took too long");
	assert.equal(reason(503, "sessions_full"),
		"too many are logged in; try again later");
	assert.equal(reason(401, "wrong_credentials"),
		"Role or password is wrong, or the role may not connect.");
	assert.match(reason(401, "session_idle"), /nothing was done for a while/);
});

test("a reason is in the page's language", () => {
	setLanguage("pt");
	assert.equal(reason(503, "database_timeout"),
		"o banco de dados demorou demais");
	assert.equal(reason(429, "too_many_logins", 7),
		"tentativas demais; espere 7 s");
	assert.equal(reason(404, "of_tomorrow"), "não encontrado");
	setLanguage("en");
	assert.equal(reason(429, "too_many_logins", 7), "too many tries; wait 7 s");
	assert.equal(reason(429, "too_many_logins", null),
		"too many tries; wait – s");
});

test("of a code that is not known the status is what is left", () => {
	assert.equal(reason(403, "of_tomorrow"), "your role may not do that");
	assert.equal(reason(503, "http"), "the database is away");
	assert.equal(reason(418, "of_tomorrow"), "error 418");
	assert.equal(reason(502, undefined), "error 502");
	assert.equal(reason(0, "database_down"), "no answer");
});
