/*
 * words.test.mjs - the dictionaries: complete, alike, and nothing unused
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Names are literals in the page's modules, "name.one" and "name.other" of
 * tn("name"), or built: word("kind", code) and `kind.${code}`.  Which kinds
 * are built is read from the modules, so that a kind that nobody builds any
 * more counts as unused.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { folder, load } from "./browser.mjs";

const files = fs.readdirSync(folder).filter((name) =>
	name.endsWith(".js") && !name.startsWith("words-"));
const source = files.map((name) =>
	fs.readFileSync(path.join(folder, name), "utf8")).join("\n");
const { default: en } = await load("words-en.js");
const { default: pt } = await load("words-pt.js");

function namesIn(pattern) {
	return [...source.matchAll(pattern)].map((match) => match[1]);
}

const strings = new Set(namesIn(/"([a-z][\w.-]*)"/g));
const kinds = new Set([...namesIn(/\bword\("(\w+)"/g),
	...namesIn(/`(\w+)\.\$\{/g)]);

function isUsed(name) {
	return strings.has(name) || kinds.has(name.split(".")[0]) ||
		(/\.(one|other)$/.test(name) &&
			strings.has(name.replace(/\.\w+$/, "")));
}

function valuesOf(text) {
	return [...new Set([...text.matchAll(/\{\w+\}/g)].map((match) => match[0]))]
		.sort().join(" ");
}

test("there are modules and words", () => {
	assert.ok(files.length > 10);
	assert.ok(Object.keys(en).length > 100);
	assert.ok(kinds.size > 5);
	assert.ok(strings.has("app.name") || strings.size > 100);
});

test("both languages have the same names", () => {
	assert.deepEqual(Object.keys(pt).sort(), Object.keys(en).sort());
});

test("no name is in a dictionary twice", () => {
	for (const name of ["words-en.js", "words-pt.js"]) {
		const text = fs.readFileSync(path.join(folder, name), "utf8");
		const names = [...text.matchAll(/^\t"([^"]+)":/gm)].map((m) => m[1]);

		assert.deepEqual(names.filter((n, i) => names.indexOf(n) !== i), []);
		assert.equal(names.length, Object.keys(en).length);
	}
});

test("no text is empty", () => {
	for (const words of [en, pt])
		assert.deepEqual(Object.keys(words).filter((name) =>
			words[name].trim() === ""), []);
});

test("both languages put the same values in", () => {
	assert.deepEqual(Object.keys(en).filter((name) =>
		valuesOf(en[name]) !== valuesOf(pt[name] ?? "")), []);
});

test("what depends on a number has both forms", () => {
	const bases = new Set(namesIn(/\btn\("([^"]+)"/g));

	assert.ok(bases.size > 0);
	for (const base of bases)
		assert.deepEqual(["one", "other"].filter((form) =>
			!(`${base}.${form}` in en)), [], base);
});

test("every name that is asked for is there", () => {
	const asked = namesIn(/\bt\("([^"]+)"/g);

	assert.ok(asked.length > 50);
	assert.deepEqual(asked.filter((name) => !(name in en)), []);
});

test("every kind that is asked for has words", () => {
	assert.deepEqual([...kinds].filter((kind) =>
		!Object.keys(en).some((name) => name.startsWith(`${kind}.`))), []);
});

test("nothing is unused", () => {
	assert.deepEqual(Object.keys(en).filter((name) => !isUsed(name)), []);
});
