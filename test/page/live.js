/*
 * live.js - what happens in the plant is seen without reloading
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { ask, becomes, check, equal, go, newContext, open, rows, sql,
	text, texts } from "./harness.js";
import { limit, quiet } from "./plant.js";

let context;
let page;

async function alarm() {
	context = await newContext();
	page = await open(context);
	await page.evaluate(() => { window.loadedOnce = true; });
	await becomes(() => text(page, "#alarms .empty"), /^No alarms\./, "no alarm");
	const sensor = await limit(0, "critical_high");

	await becomes(() => texts(page, "#alarms li a"), [sensor], "an alarm appears");
	await becomes(() => text(page, "h1"), /Critical$/, "the verdict is another one");
	await becomes(() => text(page, ".words"), /1 critical.*1 unacknowledged/s,
		"with its words");
	await becomes(() => text(page, "#urgent"), new RegExp(
		`^New critical alarm: ${sensor}, `), "it is announced at once");
	equal(await page.getAttribute("#urgent", "role"), "alert", "assertively");
	await becomes(() => page.locator(".tile.critical.unacknowledged").count(), 1,
		"its machine is marked");
	await becomes(async () => (await texts(page, "#recent li")).join("; "),
		new RegExp(`${sensor} raised: limit`), "it is among the news");
	const before = await text(page, "#urgent");
	const mild = await limit(1, "warning_high");
	await becomes(() => texts(page, "#alarms li a"), [sensor, mild],
		"a warning stands below it");
	await becomes(() => text(page, "#polite"), /changes?$/, "announced politely");
	equal(await text(page, "#urgent"), before, "and not else");
	check(await page.evaluate(() => window.loadedOnce), "nothing was reloaded");
}

async function stillUnderPointer() {
	const present = await texts(page, "#alarms li a");

	await page.locator("#alarms li").first().hover();
	const sensor = await limit(2, "critical_high");
	await becomes(() => text(page, "#alarms .changed span"), "1 change",
		"a list under the pointer says that there is more");
	equal(await texts(page, "#alarms li a"), present, "and does not move");
	await page.getByRole("button", { name: "Show", exact: true }).click();
	await becomes(async () => (await texts(page, "#alarms li a")).includes(sensor),
		true, "until one wants it to");
	await page.mouse.move(5, 5);
	await page.locator("#alarms li a").last().focus();
	const now = await texts(page, "#alarms li a");
	const other = await limit(3, "critical_high");
	await becomes(() => text(page, "#alarms .changed span"), "1 change",
		"the same under the focus");
	equal(await texts(page, "#alarms li a"), now, "nothing has moved");
	await page.keyboard.press("k");
	equal(await page.evaluate(() => document.activeElement.textContent),
		now[now.length - 2], "k goes up the list");
	await page.keyboard.press("j");
	equal(await page.evaluate(() => document.activeElement.textContent),
		now[now.length - 1], "j goes down");
	await page.keyboard.press("Escape");
	await becomes(async () => (await texts(page, "#alarms li a")).includes(other),
		true, "when the focus is gone, the list is as it is");
}

async function paused() {
	const other = await open(context);

	await page.getByRole("button", { name: "Pause" }).click();
	await becomes(() => text(page, "#banner"), /^Paused/, "paused");
	const before = await texts(page, "#alarms li a");
	const sensor = await limit(4, "critical_high");
	await becomes(async () => (await texts(other, "#alarms li a")).includes(sensor),
		true, "paused: elsewhere there is something new");
	await becomes(() => text(other, "#urgent"), new RegExp(sensor),
		"which was announced");
	equal(await texts(page, "#alarms li a"), before, "here nothing changes");
	await page.getByRole("button", { name: "Resume" }).click();
	await becomes(async () => (await texts(page, "#alarms li a")).includes(sensor),
		true, "resumed: here, too");
	await becomes(() => page.locator("#banner").isHidden(), true,
		"and no word of a pause");
	await other.close();
	await quiet();
}

async function worker() {
	await go(page, "pipeline");
	const victim = await sql("SELECT pid FROM factorymon.partition_status() "
		+ "WHERE kafka_partition = 2");
	const owners = () => rows(page, "#partitions").then((all) =>
		all.map((row) => [row[0], row[1], row[2]]));

	equal(await sql(`SELECT pg_terminate_backend(${victim})`), "t",
		"a worker is terminated");
	await becomes(() => texts(page, "#timeline li.break span:nth-child(2)"),
		["worker ended"], "the timeline says so");
	await becomes(() => page.locator("#timeline .lanes .end").count(), 1,
		"a line across the lanes");
	await becomes(() => sql("SELECT count(*), min(state), max(state), "
		+ `bool_or(pid = ${victim}) FROM factorymon.partition_status()`),
	"3|running|running|f", "others take its partitions");
	await becomes(owners, async () => (await sql("SELECT kafka_partition, "
		+ "'Worker ' || worker_number, p.state FROM factorymon.partition_status() p "
		+ "JOIN factorymon.worker_status() w USING (pid) ORDER BY 1"))
		.split("\n").map((line) => line.split("|")), "so does the page");
	check(!(await rows(page, "#consumers")).some((row) => row[1] === victim),
		"the process is gone");
	await context.close();
}

/* Producers say every second that they are there. */
async function producer() {
	context = await newContext();
	page = await open(context, "producers");
	equal(await ask("kill_producer", "vibration"), "137", "a producer is killed");
	await becomes(async () => (await rows(page, "#producers"))[0].slice(0, 2)
		.join(" "), /^vibration-line silent/, "it is the first of the list");
	equal(await text(page, "#producers .note"), "1 producer is gone",
		"which says that one is gone");
	await go(page, "");
	await becomes(() => text(page, "#quality .notice span"),
		/^1 producer is gone: vibration-line, since \d\d:\d\d:\d\d$/,
		"so does the overview");
	await becomes(() => text(page, ".words"), /vibration-line gone/, "and the verdict");
	await becomes(async () => (await texts(page, "#recent li.break")).join("; "),
		/producer vibration-line is gone/, "it is among the news");
	await ask("start_producer", "vibration");
	await becomes(() => text(page, "#quality"), /3 producers, and all are there/,
		"until it is started again");
	await context.close();
}

export const tests = [alarm, stillUnderPointer, paused, worker];
export const long = [producer];
