/*
 * settings.js - addresses, language, theme, keys
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { readFileSync } from "node:fs";
import { becomes, check, equal, go, newContext, open, rows, sql, text, texts }
	from "./harness.js";

const folder = new URL("../../dashboard/page/", import.meta.url);
const [en, pt] = ["en", "pt"].map((name) => JSON.parse(`{${readFileSync(
	new URL(`words-${name}.js`, folder), "utf8").replace(/^[^]*?export default {/, "")
	.replace(/,?\s*};\s*$/, "")}}`));

const values = (template) => (template.match(/\{\w+\}/g) || []).sort().join(" ");

async function words() {
	equal(Object.keys(pt).sort(), Object.keys(en).sort(),
		"both languages have the same words");
	equal(Object.keys(en).filter((name) => values(en[name]) !== values(pt[name])),
		[], "with the same values in them");
}

async function language() {
	const context = await newContext();
	const page = await open(context);
	const names = ["overview", "sensors", "alarms", "pipeline", "producers",
		"rejects"];

	equal(await page.getAttribute("html", "lang"), "en", "English");
	equal(await texts(page, "nav li:not([hidden]) a"), names.map((name) => en[`nav.${name}`]),
		"its words");
	await page.getByLabel(en["settings.language"]).selectOption("pt");
	await becomes(() => page.getAttribute("html", "lang"), "pt-BR", "Portuguese");
	equal(await texts(page, "nav li:not([hidden]) a"), names.map((name) => pt[`nav.${name}`]),
		"its words");
	await becomes(() => text(page, "h1"), pt["verdict.normal"], "its verdict");
	await page.reload();
	await becomes(() => texts(page, "#plant h2"), [pt["overview.plant"]],
		"also when one comes again");
	await context.close();
	const other = await newContext({ locale: "pt-PT" });
	const again = await open(other, "rejects");
	equal(await texts(again, "main > h2"), [pt["nav.rejects"]],
		"whose browser speaks Portuguese gets it");
	equal(await again.title(), `${pt["nav.rejects"]} – ${pt["app.name"]}`,
		"in the title, too");
	await other.close();
}

async function theme() {
	const context = await newContext({ colorScheme: "light" });
	const page = await open(context);
	const background = () => page.evaluate(() =>
		getComputedStyle(document.documentElement).backgroundColor);
	const light = await background();

	await page.emulateMedia({ colorScheme: "dark" });
	const dark = await background();
	check(light !== dark, "the system's theme is followed");
	await page.getByLabel(en["settings.theme"]).selectOption("light");
	await becomes(background, light, "another one can be chosen");
	await page.reload();
	await becomes(background, light, "and stays");
	await page.getByLabel(en["settings.theme"]).selectOption("auto");
	await becomes(background, dark, "until the system's is wanted again");
	await context.close();
}

async function addresses() {
	const context = await newContext();
	const name = await sql("SELECT min(sensor_id) FROM factorymon.latest_readings");
	const page = await open(context, `sensor/${name}?seconds=900`);
	const pressed = () => texts(page, "[role=group] [aria-pressed=true]");

	await becomes(pressed, [en["range.15m"]], "an address has a range");
	await page.getByRole("button", { name: en["range.6h"], exact: true }).click();
	await becomes(pressed, [en["range.6h"]], "another one is chosen");
	await page.reload();
	await becomes(pressed, [en["range.6h"]], "and survives");
	await page.goBack();
	await becomes(pressed, [en["range.15m"]], "one can go back");
	for (const view of ["sensors", "alarms"]) {
		await go(page, view);
		await page.locator("#filter").fill("no such thing");
		await page.reload();
		await becomes(() => page.locator("#filter").inputValue(), "no such thing",
			`${view}: a filter survives`);
		await becomes(() => rows(page, ".panel:first-of-type"), [], "and works");
	}
	await go(page, "sensors");
	await page.locator("#filter").fill("");
	const machine = await sql("SELECT min(machine_id) FROM "
		+ "factorymon.latest_readings");
	await go(page, "");
	await page.locator(".tile", { hasText: machine }).first().click();
	await becomes(async () => [...new Set((await rows(page, "#sensors"))
		.map((row) => row[6].split(" › ").pop()))], [machine],
	"a tile leads to the sensors of its machine");
	await go(page, "sensor/%3Cb%3Enobody%3C%2Fb%3E");
	await becomes(() => texts(page, "main > h2"), ["Sensor <b>nobody</b>"],
		"an address is text, whatever is in it");
	await context.close();
}

async function keys() {
	const context = await newContext();
	const page = await open(context);
	const focused = () => page.evaluate(() =>
		document.activeElement.textContent || document.activeElement.id);

	await page.keyboard.press("Tab");
	await becomes(focused, en["nav.skip"], "the first Tab: past the bar");
	await page.keyboard.press("Enter");
	await becomes(() => page.evaluate(() => document.activeElement.id ||
		location.hash), /content/, "to the content");
	await page.getByLabel(en["settings.help"]).focus();
	await page.keyboard.press("Enter");
	await becomes(() => texts(page, "dialog h2"), [en["help.title"]], "help");
	await page.keyboard.press("Escape");
	await becomes(() => page.locator("dialog").count(), 0, "Esc closes it");
	equal(await focused(), "?", "and the focus is where it was");
	await page.keyboard.press("a");
	equal(await page.locator("dialog").count(), 0,
		"single keys do nothing outside of a list");
	await context.close();
}

export const tests = [words, language, theme, addresses, keys];
