/*
 * alarm-list.js - alarms as they are, one below the other
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { act, actionsFor } from "./session.js";
import { ago, measure, t, time, word } from "./i18n.js";
import { h, replace, setText, unbroken } from "./dom.js";
import { levelBadge, symbol } from "./symbols.js";
import { events, now } from "./source.js";
import { QuietList } from "./panel.js";

const BLOCKED = new Set(["shelved", "suppressed", "out_of_service", "retired"]);

export function isBlocked(alarm) {
	return BLOCKED.has(alarm.shown_state);
}

export function isUnacknowledged(alarm) {
	return !isBlocked(alarm) && alarm.state.endsWith("_unacknowledged");
}

/* How value and limit are to each other; after a return, maybe the other way
 * round.  Without a value it is the side that counts. */
function relationOf(alarm) {
	const low = alarm.side === "low";

	if (alarm.value === null || alarm.value === undefined)
		return low ? "<" : ">";
	if (alarm.value === alarm.limit)
		return low ? "≤" : "≥";
	return alarm.value < alarm.limit ? "<" : ">";
}

export function isReturned(alarm) {
	return alarm.state === "returned_unacknowledged";
}

/* Is the value back on the good side of the limit, though the alarm, which waits
 * for it to stay there, is not over? */
function isWithin(alarm) {
	return alarm.condition === "limit" && typeof alarm.value === "number" &&
		typeof alarm.limit === "number" &&
		((alarm.side === "high" && alarm.value < alarm.limit) ||
			(alarm.side === "low" && alarm.value > alarm.limit));
}

/** "limit high 42.5 °C > 40 °C", or what else it is about. */
export function causeOf(alarm) {
	const parts = [word("condition", alarm.condition)];

	if (alarm.condition === "limit" && alarm.side)
		parts.push(word("side", alarm.side));
	if ((isReturned(alarm) || alarm.event === "returned") &&
		alarm.value !== null && alarm.value !== undefined)
		return `${parts[0]}: ${t("alarms.cause.now",
			{ value: measure(alarm.value, alarm.unit) })}`;
	if (isWithin(alarm))
		return `${parts.join(" ")} ${measure(alarm.limit, alarm.unit)}: ${
			t("alarms.cause.now", { value: measure(alarm.value, alarm.unit) })}`;
	if (alarm.value !== null && alarm.value !== undefined)
		parts.push(measure(alarm.value, alarm.unit));
	if (alarm.limit !== null && alarm.limit !== undefined)
		parts.push(`${relationOf(alarm)} ${measure(alarm.limit, alarm.unit)}`);
	return parts.join(" ");
}

/** The same with the time that its value is of: that of the last change. */
export function datedCauseOf(alarm) {
	return alarm.event_time && alarm.value !== null && alarm.value !== undefined ?
		`${causeOf(alarm)} ${t("alarms.at",
			{ at: time(alarm.event_time, now()) })}` : causeOf(alarm);
}

/** "was critical", of one that has returned, if that is still known. */
function formerLevelOf(alarm) {
	const last = isReturned(alarm) && events.data?.alerts.find((event) =>
		event.alarm_id === alarm.alarm_id && event.level !== null &&
		event.level !== "normal");

	return last ? t("alarms.was", { level: word("level", last.level) }) : "";
}

/** How an alarm is, in a word and a symbol. */
export function markOf(alarm) {
	if (isBlocked(alarm))
		return h("span", { class: "badge normal" }, symbol(alarm.shown_state),
			word("alarm", alarm.shown_state));
	if (isReturned(alarm))
		return h("span", { class: "badge returned" }, symbol("returned"),
			t("alarm.returned"));
	return levelBadge(alarm.state === "normal" ? "normal" : alarm.level);
}

export function placeOf(thing) {
	return [thing.factory_section, thing.zone, thing.machine_id]
		.filter(Boolean).join(" › ");
}

export function stateOf(alarm) {
	const parts = [word("alarm", alarm.shown_state)];

	if (alarm.shelved_until && alarm.shown_state === "shelved")
		parts.push(t("alarms.until", { at: time(alarm.shelved_until, now()) }));
	if (alarm.chattering)
		parts.push(t("alarms.chattering"));
	if (alarm.pending)
		parts.push(t("alarms.pending"));
	return parts.join(", ");
}

export function sensorLink(thing, text) {
	return h("a", {
		class: "name", href: `#/sensor/${encodeURIComponent(thing.sensor_id)}` +
			(thing.pipeline ? `?pipeline=${encodeURIComponent(thing.pipeline)}` : "")
	}, text || thing.sensor_id);
}

function ageOf(alarm) {
	const at = alarm.announced_at || alarm.raised_at || alarm.since;

	return at ? ago((now() - Date.parse(at)) / 1000) : "–";
}

/** Buttons for what may be done; kept while they are the same. */
export function showActions(element, alarm, small) {
	const names = actionsFor(alarm).slice(0, small ? 2 : undefined);
	const signature = names.join(" ") + alarm.announced_event_id;

	if (element.dataset.sign === signature)
		return;
	element.dataset.sign = signature;
	replace(element, names.map((name) => h("button", {
		class: "small",
		"aria-label": `${t(`action.${name}`)}: ${alarm.sensor_id}`,
		onclick: (event) =>
			act(name, event.target.closest("[data-alarm]")?.alarm || alarm)
	}, t(`action.${name}`))));
}

/** When anything was last announced, in words. */
export function lastAlarm() {
	const last = events.data?.alerts.find((event) => event.kind === "alarm");

	return last ? t("alarms.empty.last",
		{ age: ago((now() - Date.parse(last.at)) / 1000) }) : "";
}

function createItem(alarm) {
	return h("li", { data: { alarm: "" } }, h("span", { class: "mark" }),
		h("div", { class: "what" }, sensorLink(alarm),
			h("div", { class: "detail" }, h("span", {}),
				h("span", { class: "place" }), h("span", { class: "hidden" }))),
		h("span", { class: "age" }), h("div", { class: "actions" }));
}

function updateItem(item, alarm) {
	const [mark, what, age, actions] = item.children;
	const signature = `${alarm.level} ${alarm.state} ${alarm.shown_state}`;

	item.alarm = alarm;
	item.classList.toggle("unacknowledged", isUnacknowledged(alarm));
	if (mark.dataset.sign !== signature) {
		mark.dataset.sign = signature;
		replace(mark, markOf(alarm));
	}
	const [detail, place, hidden] = what.lastElementChild.children;
	const usual = /^(active|returned)_unack/.test(alarm.shown_state) &&
		!alarm.pending && !alarm.chattering;
	setText(detail, [datedCauseOf(alarm), formerLevelOf(alarm),
		usual ? "" : stateOf(alarm)].filter(Boolean).join(" · "));
	if (place.textContent !== placeOf(alarm))
		replace(place, unbroken(placeOf(alarm)));
	setText(hidden, usual ? `, ${stateOf(alarm)}` : "");
	setText(age, ageOf(alarm));
	showActions(actions, alarm, true);
}

/** A list of alarms that does not jump. */
export function alarmList(label) {
	const list = h("ul", { class: "alarms", "aria-label": label });
	const quiet = new QuietList(list, {
		key: (alarm) => `${alarm.pipeline} ${alarm.sensor_id} ${alarm.condition}` +
			` ${alarm.alarm_id}`,
		create: createItem, update: updateItem
	});

	return {
		element: h("div", {}, quiet.bar, list),
		show: (items) => quiet.show(items)
	};
}
