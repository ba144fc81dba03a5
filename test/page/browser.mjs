/*
 * browser.mjs - what the page's modules want of a browser when they are loaded
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Tests take the modules from page/built, as the service has them, so that
 * uPlot is among them.  A fresh name makes Node load a module anew.
 */
import fs from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../dashboard/page/", import.meta.url);

export const folder = fileURLToPath(root);

function pretend(name, value) {
	Object.defineProperty(globalThis, name, {
		value, configurable: true, writable: true
	});
}

pretend("localStorage", { getItem: () => null, setItem() {} });
pretend("document", {
	documentElement: {}, addEventListener() {}, createElement: () => ({})
});
pretend("window", globalThis);
pretend("navigator", { languages: ["en"] });
pretend("devicePixelRatio", 1);
pretend("matchMedia", () => ({ addEventListener() {}, matches: false }));
/* a module that looks again and again would keep the test from ending */
const every = globalThis.setInterval;
pretend("setInterval", (...args) => every(...args).unref());
globalThis.addEventListener ??= () => {};
globalThis.dispatchEvent ??= () => true;
globalThis.CustomEvent ??= class {};

/** A module of the page; with fresh, one that remembers nothing. */
export function load(name, fresh) {
	const url = new URL(`built/${name}`, root);

	if (!fs.existsSync(url))
		throw new Error(`${fileURLToPath(url)} is missing: make dashboard`);
	return import(fresh ? `${url}?${fresh}` : url);
}
