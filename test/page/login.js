/*
 * login.js - logging in and handling alarms, by keyboard alone
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * No pointer is used here: what cannot be reached by Tab cannot be done.
 */
import { ask, becomes, calm, check, equal, newContext, objections, open, sql,
	text, texts } from "./harness.js";

let context;
let page;

const press = (key) => page.keyboard.press(key);
const stateOf = (sensor) => sql("SELECT shown_state FROM factorymon.alarms "
	+ `WHERE sensor_id = '${sensor}' AND condition = 'limit'`);

/* Tab until the focus is where a selector says; not for ever. */
async function tabTo(selector, name) {
	for (let i = 0; i < 60; i++) {
		await press("Tab");
		if (await page.evaluate((where) =>
			document.activeElement.matches(where), selector)) {
			check(await page.evaluate(() => {
				const { outlineStyle } = getComputedStyle(document.activeElement);
				return outlineStyle !== "none";
			}), `${name}: reached by Tab, and seen`);
			return;
		}
	}
	check(false, `${name}: reached by Tab`);
}

async function logIn(user, password) {
	await press("Enter");
	await becomes(() => texts(page, "dialog h2"), ["Log in"], "a dialog");
	await page.keyboard.type(user);
	await press("Tab");
	await page.keyboard.insertText(password);
	await press("Enter");
}

async function wrong() {
	context = await newContext();
	page = await open(context);
	await tabTo("#login", "the button to log in");
	await press("Enter");
	await press("Enter");
	await becomes(() => text(page, "dialog .problem"), "Please fill in both.",
		"nothing was filled in");
	equal(await page.evaluate(() => document.activeElement.name), "user",
		"the focus is where it is missing");
	equal(await objections(page), [], "axe: the dialog");
	await press("Escape");
	await becomes(() => page.locator("dialog").count(), 0, "Esc leaves");
	equal(await page.evaluate(() => document.activeElement.id), "login",
		"the focus is back");
	await logIn("anna", "wrong");
	await becomes(() => text(page, "dialog .problem"),
		"Role or password is wrong, or the role may not connect.",
		"a wrong password");
	await press("Escape");
	calm("a wrong password", /^401 .*\/api\/login$/);
}

async function reader() {
	await logIn("anna", await ask("password", "anna"));
	await becomes(() => text(page, "#user"), "anna", "a reader logs in");
	await becomes(() => texts(page, "#alarms li a"), ["oven", "saw"],
		"and sees alarms");
	equal(await texts(page, "#alarms .actions button"), [],
		"but can do nothing about them");
	await page.locator("#alarms li a").first().focus();
	await press("a");
	equal(await page.locator("dialog").count(), 0, "not by key either");
	await page.locator("#logout").focus();
	await press("Enter");
	await becomes(() => page.locator("#login").count(), 1, "she logs out");
}

async function operator() {
	await page.locator("#login").focus();
	await logIn("otto", await ask("password", "otto"));
	await becomes(() => text(page, "#user"), "otto", "an operator logs in");
	await page.reload();
	await becomes(() => text(page, "#user"), "otto", "and stays when he reloads");
	await becomes(() => texts(page, "#alarms li a"), ["oven", "saw"], "alarms");
	equal([...new Set(await texts(page, "#alarms .actions button"))],
		["Acknowledge", "Shelve"], "of which he can do something about");
}

async function acknowledge() {
	await tabTo("#alarms li a", "an alarm");
	await press("a");
	await becomes(() => texts(page, "dialog h2"), ["Acknowledge: oven"], "a: asks");
	await press("Escape");
	equal(await stateOf("oven"), "active_unacknowledged", "Esc does not");
	await press("a");
	await page.keyboard.type("seen, the door was open");
	await press("Enter");
	await becomes(() => stateOf("oven"), "active_acknowledged",
		"Enter does: acknowledged");
	await becomes(() => text(page, "#toast"), "Asked for: Acknowledge, oven.",
		"the page says so");
	equal(await sql("SELECT \"by\", comment FROM factorymon.alerts WHERE "
		+ "sensor_id = 'oven' AND transition = 'acknowledged'"),
	"otto|seen, the door was open", "by whom and with what words");
	await press("Escape");
}

/* Where it was announced again since it was looked at. */
async function stale() {
	await page.locator("#alarms li", { hasText: "saw" }).locator("a").first()
		.focus();
	await press("a");
	await becomes(() => texts(page, "dialog h2"), ["Acknowledge: saw"], "again");
	equal(await ask("reading", "saw", 2, 20), "0", "meanwhile it returns");
	equal(await ask("reading", "saw", 3, 130), "0", "and comes again");
	await becomes(() => sql("SELECT count(*) FROM factorymon.alerts WHERE "
		+ "sensor_id = 'saw' AND announced AND transition <> 'returned'"), "2",
	"announced anew");
	await press("Enter");
	await becomes(() => text(page, "dialog .problem"),
		"it was announced again since; look at it first",
		"what one has not seen cannot be acknowledged");
	await press("Escape");
	equal(await stateOf("saw"), "active_unacknowledged", "it waits");
	calm("a stale alarm", /^409 .*\/api\/alarms\/acknowledge$/);
}

async function shelve() {
	await page.locator("#alarms li", { hasText: "saw" }).locator("a").first()
		.focus();
	await press("s");
	await becomes(() => texts(page, "dialog h2"), ["Shelve: saw"], "s: asks");
	await press("ArrowDown");
	await press("Tab");
	await press("Enter");
	await becomes(() => text(page, "dialog .problem"), "Please say why.",
		"not without a reason");
	await page.keyboard.type("being mended");
	await press("Enter");
	await becomes(() => stateOf("saw"), "shelved", "shelved");
	equal(await sql("SELECT round(extract(epoch FROM shelved_until - now()) / 600) "
		+ "FROM factorymon.alarms WHERE sensor_id = 'saw' "
		+ "AND condition = 'limit'"), "6", "for the hour that was chosen");
	await page.evaluate(() => { location.hash = "#/alarms"; });
	await becomes(() => texts(page, "#blocked tbody a"), ["saw"],
		"it is listed as such");
	await page.locator("#blocked button", { hasText: "Unshelve" }).focus();
	await press("Enter");
	await press("Enter");
	await becomes(() => stateOf("saw"), "active_unacknowledged", "unshelved");
}

async function logOut() {
	equal(await objections(page), [], "axe: alarms, logged in");
	await tabTo("#logout", "the button to log out");
	await press("Enter");
	await becomes(() => page.locator("#login").count(), 1, "logged out");
	equal(await texts(page, ".actions button"), [], "nothing can be done any more");
	equal((await context.cookies()).length, 0, "there is no cookie");
	await context.close();
}

export const tests = [wrong, reader, operator, acknowledge, stale, shelve, logOut];
