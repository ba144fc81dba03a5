/*
 * states.js - loading, empty, truncated, and one part alone that fails
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { ask, base, becomes, calm, check, equal, go, newContext, open, text, texts }
	from "./harness.js";

async function loading() {
	const context = await newContext();
	const page = await context.newPage();
	let release;
	const held = new Promise((done) => { release = done; });

	await page.route("**/api/plant", async (route) => {
		await held;
		await route.continue();
	});
	await page.goto(`${base}#/`);
	await page.locator("#alarms .body:not([aria-busy])").waitFor();
	equal(await page.locator("#plant .skeleton").count(), 2, "loading: a skeleton");
	await becomes(async () => Number(await page.locator("#plant .skeleton").first()
		.evaluate((bar) => getComputedStyle(bar).opacity)) > 0.5, true,
	"which is seen after a while");
	equal(await page.locator("#plant .skeleton").first().evaluate((bar) =>
		getComputedStyle(bar).animationDelay), "0.2s", "of 200 ms");
	equal(await page.locator("#plant .tile").count(), 0, "and nothing else");
	release();
	await becomes(async () => await page.locator("#plant .tile").count() > 0, true,
		"then what is there");
	equal(await page.locator("#plant .skeleton").count(), 0, "without skeleton");
	await context.close();
}

/* Paused, a part asks only if one wants it to. */
async function alone() {
	const context = await newContext();
	const page = await context.newPage();

	await page.route("**/api/real-time-metrics", (route) => route.abort());
	await page.goto(`${base}#/`);
	await becomes(() => text(page, "#throughput .message span"),
		"This part cannot be shown: no answer", "one part fails alone");
	await becomes(() => page.locator(".message:not(:empty)").count(), 1,
		"the others do not");
	equal(await page.locator("#banner").isHidden(), true, "there is no banner");
	await page.getByRole("button", { name: "Pause" }).click();
	await page.unroute("**/api/real-time-metrics");
	await page.locator("#throughput").getByRole("button", { name: "Try again" })
		.click();
	await becomes(() => text(page, "#throughput .big"), /messages\/s$/,
		"one can try again");
	equal(await texts(page, "#throughput .message span"), [], "then all is well");
	await page.getByRole("button", { name: "Resume" }).click();
	await page.route("**/api/plant", (route) => route.fulfill({
		status: 500, contentType: "application/problem+json",
		body: JSON.stringify({ status: 500, code: "query_failed" })
	}));
	const tiles = await texts(page, "#plant .tile .name");
	await becomes(() => text(page, "#plant .message span"),
		"This part cannot be shown: the query failed; the service's log has why",
		"a part that had something fails");
	equal(await texts(page, "#plant .tile .name"), tiles, "what was there stays");
	await becomes(() => page.locator("#plant.stale").count(), 1, "and gets old");
	await becomes(() => text(page, "#plant .note"), /^from \d\d:\d\d:\d\d, \d+ s ago$/,
		"with its age");
	await page.unroute("**/api/plant");
	await becomes(() => page.locator("#plant.stale").count(), 0,
		"it comes back by itself");
	await becomes(() => texts(page, "#plant .message span"), [], "without a word");
	calm("one part fails", /ERR_FAILED|500 .*\/api\/plant$/);
	await context.close();
}

const EMPTY = {
	"": { plant: /^No sensor has sent/, alarms: /^No alarms\./,
		partitions: /^There is no pipeline yet/, recent: /Nothing but readings/ },
	sensors: { sensors: /^No sensor matches/ },
	alarms: { present: /^No alarms\./, blocked: /^Nothing is shelved or blocked\./,
		history: /^No alarms\./, kpi: /^No alarm was announced/ },
	pipeline: { consumers: /^There is no pipeline yet/,
		partitions: /^There is no pipeline yet/,
		timeline: /^Nothing has happened/ },
	producers: { producers: /^No producer has sent/ },
	rejects: { rejects: /^No message was rejected/ },
	"sensor/none": { limits: /none/, history: /^No alarms\./,
		chart: /^There is no sensor of that name/ }
};

async function empty() {
	const context = await newContext();
	const page = await open(context, "", await ask("fresh"));

	await becomes(() => text(page, "h1"), /Not known$/,
		"without a pipeline nothing is known");
	await becomes(() => text(page, ".words"), /^there is no pipeline/,
		"and it says why");
	for (const [view, panels] of Object.entries(EMPTY)) {
		await go(page, view);
		for (const [panel, words] of Object.entries(panels))
			await becomes(() => text(page, `#${panel} .body`), words,
				`empty: ${view || "overview"}, ${panel}`);
	}
	for (const view of ["", "pipeline", "alarms"]) {
		await go(page, view);
		check(!/NaN|undefined|null|Infinity/.test(await text(page, "main")),
			`empty: ${view || "overview"}: nothing that is no word`, await text(page, "main"));
	}
	await context.close();
}

export const tests = [loading, alone, empty];
