/*
 * pictures.js - pictures of a plant where something is the matter
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Kept in the folder FACTORYMON_PAGE_PICTURES, for people to look at: does the
 * overview alone say what is wrong, where, since when, and what to do?
 */
import { ask, becomes, check, newContext, open, sql, text, texts } from "./harness.js";
import { limit, quiet } from "./plant.js";

const SMALL = { width: 1366, height: 768 };

async function picture(name, viewport, hash = "", colorScheme = "light") {
	const context = await newContext({ viewport, colorScheme });
	const page = await open(context, hash);

	/* it has been looked at for so long that lag has a trend; who has no error
	 * has none */
	await becomes(async () => (await texts(page, "#partitions td:not(:nth-child(9))"))
		.filter((cell) => cell === "–").length, 0, `picture: ${name}`);
	await page.screenshot({
		path: `${process.env.FACTORYMON_PAGE_PICTURES}/${name}.png`
	});
	await context.close();
}

async function trouble() {
	const context = await newContext();
	const page = await open(context);

	await ask("kill_producer", "energy");
	await becomes(() => text(page, "#quality .notice"), /gone.*energy-line/,
		"a producer is gone");
	check(await sql("SELECT pg_terminate_backend(pid) FROM "
		+ "factorymon.partition_status() WHERE kafka_partition = 2") === "t",
	"a worker is terminated");
	await becomes(() => sql("SELECT count(*), min(state), max(state) FROM "
		+ "factorymon.partition_status()"), "3|running|running", "others take over");
	await limit(0, "critical_high", 15);
	await limit(6, "warning_high", 15);
	await becomes(() => page.locator("#alarms li").count(), 2, "two alarms");
	await context.close();
}

async function pictures() {
	const sensor = await sql("SELECT sensor_id FROM factorymon.threshold "
		+ "WHERE sensor_id IS NOT NULL ORDER BY threshold_id LIMIT 1");

	await picture("overview", SMALL);
	await picture("overview-dark", SMALL, "", "dark");
	await picture("phone", { width: 390, height: 844 });
	await picture("wall", { width: 1920, height: 1080 });
	await picture("sensor", SMALL, `sensor/${sensor}?seconds=900`);
	await picture("alarms", SMALL, "alarms");
	await picture("pipeline", SMALL, "pipeline");
	await picture("producers", SMALL, "producers");
}

export const tests = [trouble, pictures, quiet];
