/*
 * harness.js - what the tests of the page share
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * We are a child of test/perl/FactorymonPage.pm and talk to it in lines, each a
 * JSON array: results go out, and questions, each of which gets a line back
 * (what the database says, or that something has been done to the plant).
 *
 * Nothing here waits for a time to pass: becomes() looks again and again until
 * what is wanted is there, or a deadline is reached.
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const packages = createRequire(`${process.env.FACTORYMON_PAGE_PACKAGES}/`);
const { chromium } = packages("playwright-core");
const AXE = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");
const DEADLINE_MS = 1000 * (process.env.FACTORYMON_TIMEOUT || 60);

export const base = process.env.FACTORYMON_PAGE_URL;

/* --------------------------------------------------------------------
 * The test that started us
 * ----------------------------------------------------------------- */

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

process.stdin.on("end", () => process.exit(1));

function say(...words) {
	process.stdout.write(`${JSON.stringify(words)}\n`);
}

let questions = Promise.resolve();

/** Ask for something by its name; returns the answer, a string. */
export function ask(...words) {
	const question = questions.then(async () => {
		say("ask", ...words);
		const { value } = await answers.next();
		const [good, text] = JSON.parse(value);
		if (!good)
			throw new Error(`${words.join(" ")}: ${text}`);
		return text;
	});
	questions = question.catch(() => {});
	return question;
}

/** The result of a query, as text: columns by |, rows by newlines. */
export function sql(query) {
	return ask("sql", query);
}

export function note(text) {
	say("note", text);
}

function brief(value) {
	const text = typeof value === "string" ? value : JSON.stringify(value);

	return text === undefined ? "nothing" : text.slice(0, 2000);
}

export function check(good, name, got) {
	say(good ? "ok" : "not ok", name, ...(good || got === undefined ? [] :
		[`got: ${brief(got)}`]));
	return Boolean(good);
}

export function equal(got, wanted, name) {
	const good = JSON.stringify(got) === JSON.stringify(wanted);

	say(good ? "ok" : "not ok", name, ...(good ? [] :
		[`got: ${brief(got)}\nwanted: ${brief(wanted)}`]));
	return good;
}

async function valueOf(thing) {
	return typeof thing === "function" ? thing() : thing;
}

/* Does it fit?  A pattern, a test, or the same. */
function fits(got, wanted) {
	return wanted instanceof RegExp ? wanted.test(got) :
		JSON.stringify(got) === JSON.stringify(wanted);
}

/**
 * Look until what look() gives is what is wanted: a value, a pattern, or what
 * a function gives at that time (a query, say).
 */
export async function becomes(look, wanted, name) {
	const end = Date.now() + DEADLINE_MS;
	let got;
	let want;

	do {
		try {
			want = await valueOf(wanted);
			got = await look();
		} catch (error) {
			got = String(error);
		}
		if (fits(got, want))
			return check(true, name);
		await new Promise((done) => setTimeout(done, 50));
	} while (Date.now() < end);
	say("not ok", name, `got: ${brief(got)}\nwanted: ${want instanceof RegExp ?
		want : brief(want)}`);
	return false;
}

/* --------------------------------------------------------------------
 * The browser
 * ----------------------------------------------------------------- */

/* What pages complained about: { kind, text }. */
let troubles = [];

const FAILED = /^Failed to load resource/;

/* What a failed request says on the console is heard as its response, too. */
function watch(page) {
	page.on("console", (message) => {
		if (["error", "warning"].includes(message.type()) &&
			!FAILED.test(message.text()))
			troubles.push(`console: ${message.text()}`);
	});
	page.on("pageerror", (error) => troubles.push(`error: ${error.stack}`));
	page.on("response", (response) => {
		if (response.status() >= 400)
			troubles.push(`${response.status()} ${response.url()}`);
	});
	page.on("requestfailed", (request) => {
		if (request.failure()?.errorText !== "net::ERR_ABORTED")
			troubles.push(`${request.failure()?.errorText} ${request.url()}`);
	});
}

/* Chromium gives requests up when an interface of the machine comes or goes. */
const USUAL = /^net::ERR_NETWORK_CHANGED/;

/** Nothing was complained about since the last time but what is allowed. */
export function calm(name, allowed = /^$/) {
	const left = troubles.filter((text) => !USUAL.test(text) &&
		!allowed.test(text));

	troubles = [];
	return equal([...new Set(left)].slice(0, 5), [], `${name}: no complaint`);
}

const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
	args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update",
		"--disable-sync"],
	/* a signal is the end of us, and that of the browser, which notices */
	handleSIGTERM: false, handleSIGINT: false, handleSIGHUP: false
});

export async function stop() {
	await browser.close();
	say("end");
	process.stdin.destroy();
}

/** A browser of its own: { locale, viewport, colorScheme, reducedMotion }. */
export async function newContext(options = {}) {
	const context = await browser.newContext({
		viewport: { width: 1366, height: 768 }, locale: "en-US",
		timezoneId: "UTC", ...options
	});

	context.setDefaultTimeout(DEADLINE_MS);
	await context.addInitScript(() => {
		document.addEventListener("securitypolicyviolation", (event) =>
			console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
	});
	context.on("page", watch);
	return context;
}

/** The page at an address behind the #, when its panels have something. */
export async function open(context, hash = "", at = base) {
	const page = await context.newPage();

	await page.goto(`${at}#/${hash}`);
	await ready(page);
	return page;
}

export async function go(page, hash) {
	await page.evaluate((to) => { location.hash = to; }, `#/${hash}`);
	await ready(page);
}

async function ready(page) {
	await page.locator("main .panel").first().waitFor();
	const end = Date.now() + DEADLINE_MS;
	while (await page.locator(".body[aria-busy]").count() > 0) {
		if (Date.now() > end)
			throw new Error("panels are still loading");
		await page.locator(".body").first().evaluate(() =>
			new Promise(requestAnimationFrame));
	}
}

/** The texts of elements, without what surrounds them. */
export async function texts(page, selector) {
	return (await page.locator(selector).allTextContents())
		.map((text) => text.trim());
}

/** The rows of a table, each a list of its cells' texts. */
export function rows(page, selector) {
	return page.locator(`${selector} tbody tr`).evaluateAll((list) =>
		list.map((row) => [...row.children].map((cell) =>
			cell.textContent.trim())));
}

export function text(page, selector) {
	return page.locator(selector).first().textContent();
}

/** What axe-core finds that is serious or critical, in words. */
export async function objections(page) {
	if (!await page.evaluate(() => "axe" in window))
		await addAxe(page);
	return page.evaluate(async () => (await axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
		resultTypes: ["violations"]
	})).violations.filter((found) =>
		["serious", "critical"].includes(found.impact)).map((found) =>
		`${found.id}: ${found.nodes.slice(0, 3).map((node) =>
			`${node.target.join(" ")} ${node.failureSummary}`).join("; ")}`));
}

/* Past the page's policy, which lets no other script in. */
async function addAxe(page) {
	const session = await page.context().newCDPSession(page);

	await session.send("Runtime.evaluate", { expression: AXE });
	await session.detach();
}
