/*
 * keys.js - single keys, while a list of alarms has the focus
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Not elsewhere (WCAG 2.1.4): who dictates or hits a key by accident must not
 * acknowledge anything.
 */
import { act, actionsFor } from "./session.js";
import { h } from "./dom.js";
import { open } from "./dialog.js";
import { t } from "./i18n.js";

const KEYS = [
	["j / ↓, k / ↑", "help.move"], ["Enter", "help.detail"],
	["a", "help.acknowledge"], ["s", "help.shelve"], ["/", "help.filter"],
	["?", "help.help"], ["Esc", "help.escape"]
];

export function showHelp() {
	const dialog = open(t("help.title"), [h("dl", { class: "keys" },
		KEYS.map(([key, name]) => [h("dt", {}, h("kbd", {}, key)),
			h("dd", {}, t(name))])), h("p", { class: "muted" }, t("help.note"))],
	h("div", { class: "buttons" }, h("button", {
		class: "primary", onclick: () => dialog.close()
	}, t("dialog.close"))));
}

function move(item, step) {
	const next = step > 0 ? item.nextElementSibling : item.previousElementSibling;

	next?.querySelector("a")?.focus();
}

function tryAct(name, item) {
	const alarm = item.alarm;

	if (alarm && actionsFor(alarm).includes(name))
		act(name, alarm);
}

export function startKeys() {
	document.addEventListener("keydown", (event) => {
		const item = event.target.closest?.("[data-alarm]");

		if (!item || event.ctrlKey || event.altKey || event.metaKey ||
			event.target.matches("input, select, textarea"))
			return;
		const handlers = {
			j: () => move(item, 1), ArrowDown: () => move(item, 1),
			k: () => move(item, -1), ArrowUp: () => move(item, -1),
			a: () => tryAct("acknowledge", item),
			s: () => tryAct("shelve", item),
			"/": () => document.getElementById("filter")?.focus(),
			"?": showHelp,
			Escape: () => event.target.blur()
		};
		if (event.key in handlers) {
			event.preventDefault();
			handlers[event.key]();
		}
	});
}
