/*
 * i18n.js - words, in English and Portuguese, and what depends on the language
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The service sends codes ("active_unacknowledged"); the words are here and in
 * the two dictionaries.  A text is a template: {name} is replaced.
 */
import en from "./words-en.js";
import pt from "./words-pt.js";

const DICTIONARIES = { en, pt };
const LOCALES = { en: "en", pt: "pt-BR" };
const STORED = "factorymon.language";

let language = "en";
let timeZone;				/* of the plant; undefined: the browser's */

function preferred() {
	const stored = localStorage.getItem(STORED);
	if (stored in DICTIONARIES)
		return stored;
	for (const name of navigator.languages || [])
		if (name.slice(0, 2) in DICTIONARIES)
			return name.slice(0, 2);
	return "en";
}

export function languages() {
	return Object.keys(DICTIONARIES);
}

export function currentLanguage() {
	return language;
}

export function setLanguage(name) {
	language = name in DICTIONARIES ? name : "en";
	document.documentElement.lang = LOCALES[language];
	formats.clear();
}

export function chooseLanguage(name) {
	localStorage.setItem(STORED, name);
	setLanguage(name);
}

/** The plant's time zone, as the service knows it; a wrong one is ignored. */
export function setTimeZone(name) {
	try {
		new Intl.DateTimeFormat("en", { timeZone: name });
		timeZone = name || undefined;
	} catch {
		timeZone = undefined;
	}
	formats.clear();
}

/** A text by its name, with its values put in. */
export function t(name, values) {
	const text = DICTIONARIES[language][name] ?? DICTIONARIES.en[name];
	if (text === undefined)
		return name;
	return text.replace(/\{(\w+)\}/g, (whole, key) =>
		values && key in values ? values[key] : whole);
}

/** A text that depends on a number: "name.one" or "name.other". */
export function tn(name, n, values) {
	const form = n === 1 ? "one" : "other";
	return t(`${name}.${form}`, { n: number(n), ...values });
}

/** The word of a code that the service sends, or the code itself. */
export function word(kind, code) {
	if (code === null || code === undefined)
		return "–";
	const name = `${kind}.${code}`;
	const text = t(name);
	return text === name ? String(code).replaceAll("_", " ") : text;
}

/* --------------------------------------------------------------------
 * Numbers and times
 * ----------------------------------------------------------------- */

const formats = new Map();

function format(name, make) {
	if (!formats.has(name))
		formats.set(name, make(LOCALES[language]));
	return formats.get(name);
}

export function number(value, digits = 0) {
	if (value === null || value === undefined || Number.isNaN(value))
		return "–";
	return format(`n${digits}`, (locale) => new Intl.NumberFormat(locale,
		{ maximumFractionDigits: digits, minimumFractionDigits: digits }))
		.format(value);
}

/** As many digits as a value's size makes sensible: 0.123, 12.3, 1,234. */
export function measure(value, unit) {
	if (value === null || value === undefined)
		return "–";
	const size = Math.abs(value);
	const digits = size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
	return unit ? `${number(value, digits)} ${unit}` : number(value, digits);
}

export function bytes(value) {
	if (value === null || value === undefined)
		return "–";
	return `${number(value / 1048576, value < 104857600 ? 1 : 0)} MiB`;
}

/** A duration in words: "0.2 s", "12 s", "3 min", "5 h", "2 d". */
export function duration(seconds) {
	if (seconds === null || seconds === undefined)
		return "–";
	const s = Math.max(0, seconds);
	if (s < 1)
		return `${number(s, 1)} s`;
	if (s < 120)
		return `${number(Math.floor(s))} s`;
	if (s < 7200)
		return `${number(Math.floor(s / 60))} min`;
	if (s < 172800)
		return `${number(Math.floor(s / 3600))} h`;
	return `${number(Math.floor(s / 86400))} d`;
}

export function ago(seconds) {
	return seconds === null || seconds === undefined ? "–" :
		t("time.ago", { duration: duration(seconds) });
}

function dateFormat(name, options) {
	return format(name, (locale) => new Intl.DateTimeFormat(locale,
		{ timeZone, hourCycle: "h23", ...options }));
}

/** "21:41:41", of the plant; with its day if that is another than today. */
export function time(date, now) {
	if (!date)
		return "–";
	const at = new Date(date);
	const today = dateFormat("day", { dateStyle: "short" });
	const clock = dateFormat("clock", {
		hour: "2-digit", minute: "2-digit", second: "2-digit"
	}).format(at);
	return now && today.format(at) !== today.format(now) ?
		`${today.format(at)} ${clock}` : clock;
}

/* Intl says GMT; what is meant is UTC. */
function offsetName(text) {
	return text.replace(/^GMT(?:[+-]0+(?::00)?)?$/, "UTC").replace(/^GMT/, "UTC");
}

/** Date, time and offset, for those who want to know exactly. */
export function fullTime(date) {
	return date ? dateFormat("full", {
		year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit",
		minute: "2-digit", second: "2-digit", timeZoneName: "longOffset"
	}).formatToParts(new Date(date)).map((part) =>
		part.type === "timeZoneName" ? offsetName(part.value) : part.value)
		.join("") : "–";
}

/** The zone and its offset now, as it is shown beside the clock. */
export function zoneName(date) {
	const parts = dateFormat("zone", { timeZoneName: "shortOffset" })
		.formatToParts(date);
	const offset = offsetName(parts.find((part) =>
		part.type === "timeZoneName").value);
	return timeZone && !/^(Etc\/)?(UTC|GMT)$/.test(timeZone) ? `${timeZone.replaceAll("_", " ")}, ${offset}` : offset;
}

/** A time at an axis that shows so many seconds. */
export function axisTime(ms, seconds) {
	const at = new Date(ms);

	if (seconds > 2 * 86400)
		return dateFormat("axis-day", {
			day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit"
		}).format(at);
	return dateFormat(seconds > 900 ? "axis-minute" : "clock", {
		hour: "2-digit", minute: "2-digit",
		second: seconds > 900 ? undefined : "2-digit"
	}).format(at);
}

setLanguage(preferred());
