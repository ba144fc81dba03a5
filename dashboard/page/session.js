/*
 * session.js - who is logged in, and what they do about alarms
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One logs in with a database role of one's own; the service acts with it, so
 * whose name is in the history is what the database has proved.
 */
import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { alarms, refreshAll } from "./source.js";
import { h, setText } from "./dom.js";
import { reasonOf } from "./panel.js";
import { t } from "./i18n.js";

/* { role, csrf_token, actions, ... } or null; undefined: this service has none. */
let session = null;

export async function loadSession() {
	try {
		const answer = await get("/api/session");
		if (answer.role !== null)
			session = answer;
		else
			session = answer.code === "login_off" ? undefined : null;
	} catch {
		session = null;
	}
}

/** May who is logged in do that? */
export function may(action) {
	return Boolean(session?.actions?.includes(action));
}

export function isLoggedIn() {
	return Boolean(session);
}

/** Is there anybody to become?  Some services take no log-ins. */
export function isLoginOffered() {
	return session === null;
}

let redrawAll = () => {};

/** Where something waits that only who is logged in can do. */
export function loginHere() {
	return h("button", {
		class: "small login", onclick: () => logIn(redrawAll),
		hidden: !isLoginOffered()
	}, t("action.login"));
}

/** For the bar: log in, or who it is and log out. */
export function sessionTools(redraw) {
	redrawAll = redraw;
	if (session === undefined)
		return null;
	if (!session)
		return h("button", {
			id: "login", onclick: () => logIn(redraw)
		}, t("login.do"));
	return [h("span", { class: "nowrap", id: "user" }, session.role),
		h("button", {
			id: "logout", onclick: async () => {
				try {
					await post("/api/logout", {}, session.csrf_token);
				} catch {
					/* it is over for us in any case */
				}
				session = null;
				redraw();
			}
		}, t("login.out"))];
}

async function logIn(redraw) {
	const done = await ask({
		title: t("login.title"),
		fields: [
			{ name: "user", label: t("login.user"), required: true,
				autocomplete: "username" },
			{ name: "password", label: t("login.password"), required: true,
				type: "password", autocomplete: "current-password" }
		],
		missing: t("login.needed"),
		submit: t("login.do"),
		act: async (values) => {
			try {
				session = await post("/api/login", values);
			} catch (error) {
				throw new Error(reasonOf(error));
			}
		}
	});
	if (done)
		redraw();
}

/* --------------------------------------------------------------------
 * Actions
 * ----------------------------------------------------------------- */

const HOURS = [
	["30 minutes", "dialog.shelve.30"], ["1 hour", "dialog.shelve.60"],
	["4 hours", "dialog.shelve.240"], ["8 hours", "dialog.shelve.480"],
	["once", "dialog.shelve.once"]
];

function comment(required) {
	return {
		name: "comment", required,
		label: t(required ? "dialog.reason" : "dialog.comment")
	};
}

/* What is asked for each action, and what of it is sent. */
const ACTIONS = {
	acknowledge: {
		fields: () => [comment(false)],
		body: (alarm, values) => ({
			event_id: alarm.announced_event_id, comment: values.comment || null
		})
	},
	comment: {
		fields: () => [comment(true)],
		body: (alarm, values) => ({
			event_id: alarm.announced_event_id, comment: values.comment
		})
	},
	shelve: {
		fields: () => [{
			name: "duration", label: t("dialog.duration"), required: true,
			options: HOURS.map(([value, name]) => [value, t(name)])
		}, comment(true)],
		body: (alarm, values) => ({
			...of(alarm), reason: values.comment,
			duration: values.duration === "once" ? "8 hours" : values.duration,
			one_shot: values.duration === "once"
		})
	},
	unshelve: { fields: () => [comment(false)], body: withComment },
	suppress: { fields: () => [comment(true)], body: withReason },
	unsuppress: { fields: () => [comment(false)], body: withComment },
	"out-of-service": { fields: () => [comment(true)], body: withReason },
	"return-to-service": { fields: () => [comment(false)], body: withComment }
};

function of(alarm) {
	return {
		sensor_id: alarm.sensor_id, pipeline: alarm.pipeline,
		condition: alarm.condition
	};
}

function withReason(alarm, values) {
	return { ...of(alarm), reason: values.comment };
}

function withComment(alarm, values) {
	return { ...of(alarm), comment: values.comment || null };
}

/** What may be done about an alarm as it is, by whoever is logged in. */
export function actionsFor(alarm) {
	const blocked = alarm.shown_state;
	const names = [];

	if (alarm.state.endsWith("_unacknowledged") && alarm.announced_event_id)
		names.push("acknowledge");
	if (blocked === "shelved")
		names.push("unshelve");
	else if (blocked === "suppressed")
		names.push("unsuppress");
	else if (blocked === "out_of_service")
		names.push("return-to-service");
	else if (blocked !== "retired")
		names.push("shelve", "suppress", "out-of-service");
	if (alarm.announced_event_id)
		names.push("comment");
	return names.filter(may);
}

export async function act(action, alarm) {
	const { fields, body } = ACTIONS[action];
	const words = { action: t(`action.${action}`), sensor: alarm.sensor_id || "" };
	const done = await ask({
		title: `${words.action}: ${words.sensor}`,
		fields: fields(),
		missing: t("dialog.reason.needed"),
		submit: words.action,
		act: async (values) => {
			try {
				await post(`/api/alarms/${action}`, body(alarm, values),
					session?.csrf_token);
			} catch (error) {
				if (error.status === 401)
					session = null;
				throw new Error(reasonOf(error));
			}
		}
	});
	if (!done)
		return;
	setText(document.getElementById("toast"), t("action.done", words));
	setTimeout(() => setText(document.getElementById("toast"), ""), 5000);
	refreshAll([alarms.path]);
}
