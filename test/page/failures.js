/*
 * failures.js - what the page says while it cannot know: never that all is well
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { ask, becomes, calm, check, equal, newContext, open, rows, text, texts }
	from "./harness.js";

/* Write down each verdict from now on. */
function record(page) {
	return page.evaluate(() => {
		const h1 = document.querySelector("h1");
		const write = () => window.verdicts.add(h1.textContent);
		window.verdicts = new Set();
		write();
		new MutationObserver(write).observe(h1, {
			childList: true, subtree: true, characterData: true
		});
	});
}

function recorded(page) {
	return page.evaluate(() => [...window.verdicts]);
}

let context;
let page;

async function databaseDown() {
	context = await newContext();
	page = await open(context);
	await becomes(() => text(page, "h1"), "All well", "all is well");
	const tiles = await texts(page, "#plant .tile .name");
	const owners = await rows(page, "#partitions");

	await ask("database", "stop");
	await becomes(() => text(page, "#banner"), new RegExp("^The database does not "
		+ "answer since \\d\\d:\\d\\d:\\d\\d\\. What you see is from "
		+ "\\d\\d:\\d\\d:\\d\\d\\.Cause: ."), "the database is down: a banner with "
		+ "since when and why");
	equal(await page.getAttribute("#banner", "role"), "alert", "that is announced");
	await becomes(() => text(page, "h1"), "?Not known", "nothing is known");
	await record(page);
	await becomes(() => text(page, ".words"), /^the database is away since/,
		"the bar says why");
	await becomes(() => page.locator("#plant.stale, #partitions.stale").count(), 2,
		"panels get old");
	equal(await texts(page, "#plant .tile .name"), tiles, "tiles stay");
	equal((await rows(page, "#partitions")).map((row) => row[1]),
		owners.map((row) => row[1]), "so do owners");
	await becomes(() => text(page, "#plant .note"), /^from \d\d:\d\d:\d\d, \d+ s ago$/,
		"with the time that they are from");
	check(await page.locator("#plant .body").evaluate((body) =>
		getComputedStyle(body).backgroundImage.includes("gradient")), "hatched");
	equal(await recorded(page), ["?Not known"],
		"not for a moment anything else was said");
	await ask("database", "start");
	await becomes(() => text(page, "h1"), "All well", "it comes back by itself");
	await becomes(() => page.locator("#banner").isHidden(), true, "no banner");
	await becomes(() => page.locator(".panel.stale").count(), 0, "nothing is old");
	calm("the database is down", /^503 /);
}

/* A service that takes connections and says nothing. */
async function serviceSilent() {
	await ask("dashboard", "STOP");
	await becomes(() => text(page, "h1"), "?Not known",
		"the service is silent: nothing is known");
	await record(page);
	await becomes(() => text(page, ".words"), /^this page was last updated|^the mon/,
		"the bar says why");
	await becomes(() => page.locator(".panel.stale").count(), 6,
		"every panel is old");
	await becomes(() => text(page, "#banner"),
		/^The monitoring service does not answer\. What you see is from \d\d/,
		"a banner says so");
	equal(await recorded(page), ["?Not known"],
		"not for a moment anything else was said");
	await ask("dashboard", "CONT");
	await becomes(() => text(page, "h1"), "All well", "it goes on by itself");
	await becomes(() => page.locator(".panel.stale").count(), 0, "nothing is old");
	calm("the service is silent", /ERR_|^50\d /);
	await context.close();
}

/* Readings that stop are no news of the plant. */
async function dataOld() {
	context = await newContext();
	page = await open(context);
	await ask("producers", "STOP");
	await becomes(() => text(page, "h1"), "?Not known",
		"no readings for a while: nothing is known of the plant");
	await becomes(() => text(page, ".words"), /^data are 3\d s old/, "and why");
	await ask("producers", "CONT");
	await becomes(() => text(page, "h1"), "All well", "until some come again");
	await context.close();
}

export const tests = [databaseDown, serviceSilent];
export const long = [dataOld];
