/*
 * looks.js - every view can be used by everybody: contrast, names, narrow
 * screens, little motion
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { becomes, check, equal, go, newContext, objections, open, sql }
	from "./harness.js";
import { quiet } from "./plant.js";

const VIEWS = ["", "sensors", "sensor", "alarms", "pipeline", "producers",
	"rejects", "cities"];

/* An alarm of each kind, so that there is something to look at. */
async function begin() {
	await sql("INSERT INTO factorymon.threshold (sensor_type, sensor_id, "
		+ "critical_high, warning_high) SELECT sensor_type, sensor_id, "
		+ "CASE WHEN rank = 1 THEN -1000 END, CASE WHEN rank = 2 THEN -1000 END "
		+ "FROM (SELECT *, row_number() OVER (ORDER BY sensor_id) AS rank "
		+ "FROM factorymon.latest_readings WHERE sensor_type = 'energy') x "
		+ "WHERE rank < 3");
	await becomes(() => sql("SELECT count(*) FROM factorymon.alarms "
		+ "WHERE state = 'active_unacknowledged'"), "2", "there are two alarms");
}

function hashOf(view, sensor) {
	return view === "sensor" ? `sensor/${sensor}` : view;
}

async function judged(colorScheme, width) {
	const sensor = await sql("SELECT min(sensor_id) FROM factorymon.latest_readings");
	const context = await newContext({
		colorScheme, viewport: { width, height: 844 }
	});
	const page = await open(context);

	for (const view of VIEWS) {
		await go(page, hashOf(view, sensor));
		equal(await objections(page), [],
			`axe: ${view || "overview"}, ${colorScheme}, ${width} wide`);
	}
	await context.close();
}

async function accessible() {
	await judged("light", 1366);
	await judged("dark", 390);
}

async function accessibleTurned() {
	await begin();
	await judged("dark", 1366);
	await judged("light", 390);
	await quiet();
}

/* Whatever is wider than its panel scrolls there. */
async function narrow() {
	const context = await newContext({ viewport: { width: 320, height: 640 } });
	const page = await open(context);
	const sensor = await sql("SELECT min(sensor_id) FROM factorymon.latest_readings");

	for (const view of VIEWS) {
		await go(page, hashOf(view, sensor));
		check(await page.evaluate(() => document.documentElement.scrollWidth <= 320),
			`320 wide: ${view || "overview"} does not scroll sideways`,
			await page.evaluate(() => [...document.querySelectorAll("body *")]
				.filter((e) => e.getBoundingClientRect().right > 321 &&
					!e.closest(".panel > .body"))
				.slice(0, 5).map((e) => e.outerHTML.slice(0, 150)).join("\n")));
	}
	const small = await page.locator("button, a, select, input").evaluateAll(
		(all) => all.filter((e) => e.getBoundingClientRect().height > 0 &&
			!e.closest("p, td, li, .hidden, .skip, header > h2") &&
			e.getBoundingClientRect().height < 24).map((e) => e.outerHTML));
	equal(small, [], "320 wide: what can be pressed is 24 px high or more");
	await context.close();
}

async function still() {
	const animated = (page) => page.locator(".unacknowledged .badge.critical")
		.first().evaluate((badge) => getComputedStyle(badge).animationName);

	for (const [reducedMotion, name] of [["no-preference", "beat"],
		["reduce", "none"]]) {
		const context = await newContext({ reducedMotion });
		const page = await open(context);

		await becomes(() => animated(page), name, `motion, ${reducedMotion}: ${name}`);
		equal(await page.locator(".unacknowledged .badge.critical svg").first()
			.evaluate((svg) => svg.getAnimations().length +
				Number(getComputedStyle(svg).opacity)), 1,
		"the symbol itself stands still");
		await context.close();
	}
}

/* Where there is none, nobody is led to where they would be. */
async function noCity() {
	const context = await newContext();
	const page = await open(context);
	const link = page.locator("nav [data-view=cities]");

	await becomes(() => page.locator("nav [data-view=alarms]").isVisible(), true,
		"there is a menu");
	equal(await link.isVisible(), false, "without cities, which nobody has");
	await go(page, "cities");
	equal(await link.isVisible(), true, "but where one is, is in it");
	await context.close();
}

export const tests = [begin, accessible, noCity, narrow, still, quiet];
export const long = [accessibleTurned];
