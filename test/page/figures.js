/*
 * figures.js - every view and panel shows what the tables hold
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Producers are held meanwhile, so that figures can be compared to the unit.
 */
import { ask, becomes, check, equal, go, newContext, objections, open, rows, sql,
	text, texts } from "./harness.js";

const digits = (words) => Number(words.replace(/[^0-9.-]/g, ""));

function list(answer) {
	return answer === "" ? [] : answer.split("\n").map((line) => line.split("|"));
}

let context;
let page;

async function begin() {
	context = await newContext();
	page = await open(context);
	await becomes(async () => digits(await text(page, "#throughput .big")) > 0,
		true, "overview: messages come");
	await becomes(() => text(page, "h1"), /^All well$/, "overview: all is well");
	await becomes(() => text(page, ".words"), /no alarm.*ingest running/,
		"and in words");
	await ask("producers", "STOP");
	await becomes(() => sql("SELECT sum(lag_messages), min(state), max(state) "
		+ "FROM factorymon.partition_status()"), "0|running|running",
	"producers are held, all has been read");
}

async function overview() {
	await becomes(() => page.locator(".tile").count(),
		async () => Number(await sql("SELECT count(DISTINCT (factory_section, "
			+ "zone, machine_id)) FROM factorymon.latest_readings")),
		"overview: a tile for each machine");
	await becomes(() => texts(page, ".section h3"),
		async () => (await sql("SELECT factory_section FROM "
			+ "factorymon.machine_status GROUP BY 1 ORDER BY min(rank)")).split("\n"),
		"in its section, of which the worst is first");
	await becomes(() => rows(page, "#partitions").then((all) =>
		all.map(([partition, owner, behind]) => [partition, owner, behind])),
	async () => list(await sql("SELECT kafka_partition, 'Worker ' || "
		+ "worker_number, 'up to date' FROM factorymon.partition_status() p "
		+ "JOIN factorymon.worker_status() w USING (pid) ORDER BY 1")),
	"overview: owners of partitions");
	await becomes(() => texts(page, "#quality p"), async () => [
		"!3 producers, and all are there",
		"All events are with Kafka",
		`${await sql("SELECT count(*) FROM _factorymon.reject")} of ${Number(
			await sql("SELECT sum(messages) FROM factorymon.message_counters"))
			.toLocaleString("en")} messages rejected`, "publisher running"
	], "overview: rejects, outbox and producers");
}

async function recent() {
	await becomes(async () => (await texts(page, "#recent li")).join("; "),
		/worker started.*pipeline created|pipeline created.*worker started/s,
		"overview: what happened in the last ten minutes");
	await becomes(() => page.locator("#throughput .spark .line").getAttribute("d"),
		/^M[\d. ]+L/, "overview: throughput is drawn");
}

async function sensors() {
	await go(page, "sensors");
	await becomes(() => rows(page, "#sensors").then((all) =>
		all.map(([name, , value]) => [name, digits(value)])),
	async () => list(await sql("SELECT sensor_id, round(value::numeric, CASE "
		+ "WHEN abs(value) >= 1000 THEN 0 WHEN abs(value) >= 10 THEN 1 "
		+ "WHEN abs(value) >= 1 THEN 2 ELSE 3 END) FROM "
		+ "factorymon.latest_readings ORDER BY factory_section, zone, "
		+ "machine_id, sensor_id")).map(([name, value]) => [name, Number(value)]),
	"sensors: each with its value");
	await page.locator("#filter").fill(await sql("SELECT max(sensor_id) FROM "
		+ "factorymon.latest_readings"));
	await becomes(() => page.locator("#sensors tbody tr").count(), 1,
		"sensors: a filter");
}

/* Where the line of a chart begins, in hundredths of its width; in the page.
 * The line is blue, and nothing else of a chart is. */
function beginOfLine(canvas) {
	const { width, height } = canvas;
	const copy = new OffscreenCanvas(width, height)
		.getContext("2d", { willReadFrequently: true });
	let begin = width;

	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, width, height);
	for (let i = 0; i < data.length; i += 4)
		if (data[i + 3] > 100 && data[i + 2] - data[i] > 60)
			begin = Math.min(begin, (i / 4) % width);
	return String(Math.floor(100 * begin / width));
}

async function sensor() {
	const name = await sql("SELECT min(sensor_id) FROM factorymon.latest_readings");

	await sql("INSERT INTO factorymon.threshold (sensor_type, sensor_id, "
		+ "warning_low, critical_high) SELECT sensor_type, sensor_id, -900, 9000 "
		+ `FROM factorymon.latest_readings WHERE sensor_id = '${name}'`);
	await go(page, `sensor/${name}`);
	await becomes(async () => digits((await text(page, ".panel .muted"))
		.match(/: ([\d,]+) readings/)[1]), async () => Number(await sql(
		"SELECT count(*) FROM factorymon.sensor_readings "
		+ `WHERE sensor_id = '${name}'`)), "sensor: readings");
	await becomes(() => page.locator("#limits tr").evaluateAll((all) =>
		all.map((row) => [...row.children].map((cell) =>
			cell.textContent.replace(/ .C$| mm.s$| kW$/, "")))), [
		["critical high", "9,000"], ["warning high", "none"],
		["warning low", "-900.0"], ["critical low", "none"]
	], "sensor: limits");
	check(await page.locator("canvas").evaluate((canvas) => canvas.getContext("2d")
		.getImageData(0, 0, canvas.width, canvas.height).data
		.some((byte) => byte > 0)), "sensor: a chart is drawn");
	await becomes(() => page.locator("canvas").evaluate(beginOfLine), /^[789]\d$/,
		"sensor: some minutes are the end of an hour");
	await page.locator("summary").click();
	await becomes(() => rows(page, "details").then((all) => all.reduce((sum, row) =>
		sum + digits(row[4]), 0)), async () => Number(await sql(
		"SELECT count(*) FROM factorymon.sensor_readings "
		+ `WHERE sensor_id = '${name}'`)), "sensor: the same as a table");
	await sql(`DELETE FROM factorymon.threshold WHERE sensor_id = '${name}'`);
}

async function pipeline() {
	await go(page, "pipeline");
	await becomes(() => rows(page, "#consumers").then((all) =>
		all.map((row) => row.slice(0, 4))), async () => list(await sql(
		"SELECT worker_number, w.pid, w.state, (SELECT string_agg("
		+ "kafka_partition::text, ', ' ORDER BY kafka_partition) FROM "
		+ "factorymon.partition_status() p WHERE p.pid = w.pid) "
		+ "FROM factorymon.worker_status() w ORDER BY 1")),
	"pipeline: workers and what they own");
	await becomes(() => rows(page, "#partitions").then((all) => all.map((row) =>
		[digits(row[0]), row[2], row[3], digits(row[6]), digits(row[7])])),
	async () => list(await sql("SELECT kafka_partition, 'running', 'up to date', "
		+ "position, position FROM _factorymon.partition_offset "
		+ "JOIN _factorymon.stream USING (stream_id) ORDER BY 1"))
		.map(([partition, state, behind, ...at]) => [Number(partition), state,
			behind, ...at.map(Number)]), "pipeline: positions");
	equal(await page.evaluate(async () => {
		const app = document.querySelector("script[type=module]").src;
		const { reconcile } = await import(new URL("dom.js", app));
		const list = document.createElement("ul");
		for (let i = 0; i < 3; i++)
			reconcile(list, ["a", "b", "b", "c"], {
				key: (item) => item, update: () => {},
				create: () => document.createElement("li")
			});
		return list.children.length;
	}), 4, "lists: what is the same twice is there twice");
	await becomes(() => page.locator("#timeline li").count(), async () =>
		Number(await sql("SELECT count(*) FROM _factorymon.event")),
	"pipeline: what happened");
	equal(await page.locator("#timeline .orphan").count(), 3,
		"pipeline: a lane for each partition");
	await becomes(() => page.locator("#timeline .lanes").evaluate((svg) =>
		[...svg.querySelectorAll(".owned")].filter((span) =>
			Number(span.getAttribute("x")) + Number(span.getAttribute("width")) >
			1190).length), 3, "pipeline: which somebody has now");
	await becomes(() => text(page, "#throughput .big"), /messages\/s$/,
		"pipeline: throughput");
}

async function others() {
	await go(page, "producers");
	await becomes(() => rows(page, "#producers").then((all) => all.map((row) =>
		[row[0], ...[4, 5, 6].map((i) => digits(row[i]))])), async () =>
		list(await sql("SELECT producer, sensors, sent, delivered FROM "
			+ "factorymon.producer_health ORDER BY 1"))
			.map(([name, ...counts]) => [name, ...counts.map(Number)]),
	"producers: what they sent");
	await go(page, "rejects");
	await becomes(() => rows(page, "#rejects").then((all) =>
		all.slice(0, 5).map((row) => row[1])), async () => list(await sql(
		"SELECT kafka_partition, kafka_offset FROM _factorymon.reject "
		+ "JOIN _factorymon.stream USING (stream_id) "
		+ "ORDER BY rejected_at DESC, kafka_partition, kafka_offset DESC LIMIT 5"))
		.map((where) => where.join(", ")), "rejects: where");
	equal(await page.locator("#rejects tbody tr").count(), 100,
		"rejects: no more than a hundred");
	equal(await text(page, "#rejects .note"), "The first 100; there are more.",
		"and it says that there are more");
}

async function files() {
	const csv = page.locator('#rejects header a[href*=".csv"]');
	const [download] = await Promise.all([page.waitForEvent("download"),
		csv.click()]);
	const stream = await download.createReadStream();
	let content = "";

	for await (const part of stream)
		content += part;
	equal(download.suggestedFilename().slice(-4), ".csv", "a file of CSV");
	check(/^rejected_at,pipeline,topic,kafka_partition/.test(content),
		"with a heading", content.slice(0, 200));
	equal((content.match(/^\d{4}-\d\d-\d\d/mg) || []).length, Number(await sql(
		"SELECT count(*) FROM _factorymon.reject")), "and all rejects");
	equal(await text(page, "#rejects header .cut"), "", "which needs no word");
	const [book] = await Promise.all([page.waitForEvent("download"),
		page.locator('#rejects header a[href*=".xlsx"]').click()]);

	equal(book.suggestedFilename().slice(-5), ".xlsx", "and a workbook");
	await csv.evaluate((link) => {
		link.href = "/api/rejects.csv?limit=5";
	});
	await Promise.all([page.waitForEvent("download"),
		csv.click()]);
	await becomes(() => text(page, "#rejects header .cut"),
		"first rows only; there are more", "a file that is cut: a word says so");
	equal(await objections(page), [], "axe: rejects, with that word");
	await ask("producers", "CONT");
	await context.close();
}

export const tests = [begin, overview, recent, sensors, sensor, pipeline, others,
	files];
