/*
 * cities.js - cities: the worst first, who is silent is not well, and a line for
 * each that can be told from the others without their colours
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { becomes, check, equal, go, newContext, objections, open, rows, sql,
	texts } from "./harness.js";

const WORDS = { 2: "critical", 1: "warning", 0: "normal" };

async function table() {
	const context = await newContext();
	const page = await open(context, "cities");
	const wanted = (await sql("SELECT city, coalesce(status_rank, -1),"
		+ " round(temperature::numeric, 1), last_reading_at < now() - interval '30 minutes'"
		+ " FROM factorymon.city_now ORDER BY rank"))
		.split("\n").map((line) => line.split("|"));

	equal(wanted.length, 8, "eight cities");
	await becomes(async () => (await rows(page, "#cities-table"))
		.map((row) => row[1]), wanted.map((row) => row[0]),
	"in the order of the view: the worst first");
	const shown = await rows(page, "#cities-table");

	equal(shown.map((row) => row[0] === WORDS[0]),
		wanted.map((row) => row[1] === "0"), "well is who is well");
	equal(shown.slice(0, 2).map((row) => row[0].slice(1)), [WORDS[2], WORDS[1]],
		"critical and warning are");
	const silent = shown[wanted.findIndex((row) => row[3] === "t")];

	equal(silent.slice(1, 4), ["Natal", "–", "–"],
		"who is not heard of has no value");
	check(!Object.values(WORDS).includes(silent[0]), "and is not well", silent[0]);
	check(/\d/.test(silent[4]), "but an age", silent[4]);
	equal(Number.parseFloat(shown[0][2]), Number(wanted[0][2]),
		"values are those of the view");
	const book = await page.locator("#cities-table a[download], #cities-table a[href*=csv]")
		.first().getAttribute("href");

	check(book.startsWith("/api/cities."), "the list can be had", book);
	await context.close();
}

/* What a person sees of a line in the legend: its colour and its dashes. */
function samples(page, panel) {
	return page.locator(`${panel} .u-legend .u-series`).evaluateAll((list) =>
		list.slice(1).map((row) => {
			const marker = getComputedStyle(row.querySelector(".u-marker"));

			return {
				name: row.querySelector(".u-label").textContent,
				look: `${marker.backgroundImage} ${marker.backgroundColor}`,
				/* the pattern without its colours */
				dashes: (marker.backgroundImage.match(/[\d.]+px/g) || []).join(" "),
				wide: Number.parseFloat(marker.width) > 2 * Number.parseFloat(marker.height)
			};
		}));
}

async function lines() {
	const context = await newContext();
	const page = await open(context, "cities");

	for (const panel of ["#cities-temperature", "#cities-humidity"]) {
		await becomes(async () => (await samples(page, panel)).length, 8,
			`${panel}: a line for each`);
		const all = await samples(page, panel);

		equal(new Set(all.map((one) => one.look)).size, 8,
			`${panel}: each looks like no other`);
		check(new Set(all.map((one) => one.dashes)).size >= 4,
			`${panel}: four kinds of dashes are seen`, all);
		check(all.every((one) => one.wide), `${panel}: samples are lines`, all);
		equal((await texts(page, `${panel} ul li`)).length, 8,
			`${panel}: in words, too`);
	}
	await context.close();
}

async function overview() {
	const context = await newContext();
	const page = await open(context);

	await becomes(async () => (await texts(page, "#plant .tile .name")).sort(),
		(await sql("SELECT string_agg(city, ',' ORDER BY city COLLATE \"C\")"
			+ " FROM factorymon.city_now")).split(","),
		"a city is called by its name");
	check(!(await texts(page, "#plant .tile .detail")).some((text) =>
		/Natal|Recife/.test(text)), "once");
	await context.close();
}

async function phone() {
	const context = await newContext({ viewport: { width: 320, height: 640 } });
	const page = await open(context, "cities");
	const body = page.locator("#cities-table .body");

	await becomes(() => page.locator("#cities-table tbody tr").count(), 8,
		"320 wide: all rows");
	check(await page.evaluate(() => document.documentElement.scrollWidth <= 320),
		"320 wide: the page does not scroll sideways");
	const cut = await body.evaluate((e) => e.scrollWidth > e.clientWidth + 1);

	equal(await body.evaluate((e) =>
		getComputedStyle(e).backgroundImage.includes("gradient")), cut,
	`320 wide: a table that is ${cut ? "" : "not "}cut says so`);
	await context.close();
}

async function accessible() {
	for (const [colorScheme, width] of [["light", 1366], ["dark", 390]]) {
		const context = await newContext({
			colorScheme, viewport: { width, height: 844 }
		});
		const page = await open(context);

		for (const view of ["", "cities"]) {
			await go(page, view);
			equal(await objections(page), [],
				`axe: ${view || "overview"} with cities, ${colorScheme}, ${width} wide`);
		}
		await context.close();
	}
}

export const tests = [table, lines, overview, phone, accessible];
