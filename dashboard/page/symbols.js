/*
 * symbols.js - a shape for each level and state, beside its colour
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { h, s } from "./dom.js";
import { t, word } from "./i18n.js";

function letter(text, y = 17, size = 13) {
	return s("text", {
		x: "12", y: String(y), "text-anchor": "middle",
		"font-size": String(size),
		"font-weight": "700", fill: "currentColor"
	}, text);
}

function line(d) {
	return s("path", {
		d, fill: "none", stroke: "currentColor", "stroke-width": "2",
		"stroke-linecap": "round", "stroke-linejoin": "round"
	});
}

const SHAPES = {
	critical: () => [line("M8 2h8l6 6v8l-6 6H8l-6-6V8z"),
		letter(t("letter.critical"))],
	warning: () => [line("M12 2.5 22.5 21h-21z"), letter(t("letter.warning"), 18.5, 9.5)],
	attention: () => [line("M12 2.5 22.5 21h-21z"), letter("!", 18.5, 12)],
	returned: () => [line("M9 5l-5 5 5 5M4 10h10a5 5 0 0 1 0 10h-3")],
	unknown: () => [s("rect", {
		x: "3", y: "3", width: "18", height: "18", fill: "none",
		stroke: "currentColor", "stroke-width": "2", "stroke-dasharray": "3.5 2.5"
	}), letter(t("letter.unknown"))],
	normal: () => [s("circle", {
		cx: "12", cy: "12", r: "4", fill: "none", stroke: "currentColor",
		"stroke-width": "2"
	})],
	well: () => [line("M4 13l5 5L20 6")],
	shelved: () => [s("circle", {
		cx: "12", cy: "12", r: "9", fill: "none", stroke: "currentColor",
		"stroke-width": "2"
	}), line("M12 7v5l3.5 2")],
	suppressed: () => [s("circle", {
		cx: "12", cy: "12", r: "9", fill: "none", stroke: "currentColor",
		"stroke-width": "2"
	}), line("M5.5 18.5l13-13")],
	out_of_service: () => [line("M15 3a5 5 0 0 0-4.6 6.9L3 17.3V21h3.7l7.4-7.4"
		+ "A5 5 0 0 0 21 9l-3.2 3.2-3-3L18 6a5 5 0 0 0-3-3z")],
	retired: () => [line("M5 5l14 14M19 5L5 19")]
};

/** A symbol; decoration only, words stand beside it. */
export function symbol(name) {
	return s("svg", {
		class: "symbol", viewBox: "0 0 24 24", "aria-hidden": "true",
		focusable: "false"
	}, (SHAPES[name] || SHAPES.unknown)());
}

/** A level with symbol and word. */
export function levelBadge(level) {
	const known = level === "normal" || level === "warning" ||
		level === "critical" ? level : "unknown";
	return h("span", { class: `badge ${known}` }, symbol(known),
		word("level", known));
}

const GOOD = new Set(["running", "active", "expected"]);
const DOUBT = new Set(["unknown", "starting", "connecting", "late", "paused",
	"off", "retired", "taking", "waiting", "proving"]);

/** The state of a worker, a partition, a producer, a sensor. */
export function stateBadge(state) {
	const kind = GOOD.has(state) ? "quiet" : DOUBT.has(state) ? "doubt" : "bad";
	return h("span", { class: `state ${kind}` },
		kind === "bad" ? symbol("retired") : kind === "doubt" ?
			symbol("unknown") : null,
		word("state", state));
}
