/*
 * tabs.js - many tabs of one browser share one stream of events
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A browser has six connections to a host; with a stream in each tab the
 * seventh would not load.
 */
import { becomes, equal, newContext, open, text } from "./harness.js";
import { limit, quiet } from "./plant.js";

const TABS = 7;

/* How many streams each page has opened. */
function streamsOf(page) {
	const asked = { count: 0 };

	page.on("request", (request) => {
		if (new URL(request.url()).pathname === "/api/stream")
			asked.count++;
	});
	return asked;
}

async function seven() {
	const context = await newContext();
	const streams = new Map();
	const pages = [];

	context.on("page", (page) => streams.set(page, streamsOf(page)));
	for (let i = 0; i < TABS; i++)
		pages.push(await open(context));
	equal(pages.length, TABS, "seven tabs load");
	const opened = () => pages.map((page) => streams.get(page).count);
	const leading = () => pages.filter((page) => streams.get(page).count > 0);
	await becomes(() => opened().reduce((sum, n) => sum + n, 0), 1,
		"one of them has a stream");

	const sensor = await limit(5, "critical_high");
	for (const [i, page] of pages.entries()) {
		await becomes(() => text(page, "#urgent"), new RegExp(sensor),
			`tab ${i + 1} is told of an alarm`);
		await becomes(() => text(page, "#alarms li a"), sensor, "and shows it");
	}
	equal(opened().reduce((sum, n) => sum + n, 0), 1,
		"still there is no other stream");

	const [leader] = leading();
	await leader.close();
	pages.splice(pages.indexOf(leader), 1);
	await becomes(() => opened().reduce((sum, n) => sum + n, 0), 1,
		"its tab is closed: another one takes the stream over");
	const next = await limit(6, "critical_high");
	for (const page of pages)
		await becomes(() => text(page, "#urgent"), new RegExp(next),
			"and tells the others");
	await context.close();
	await quiet();
}

export const tests = [seven];
