/*
 * live.js - events as they happen
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A browser opens six connections to a host at most, and each stream holds
 * one.  Where the origin is secure (https, localhost) all tabs share one
 * stream: the one that holds the lock listens and tells the others.
 * Elsewhere a tab has a stream while it is visible.
 *
 * The stream only says that something happened; what the page shows is asked
 * for (source.js), so a stream that is gone makes it slower, not wrong.
 */
import { setText } from "./dom.js";
import { refreshAll } from "./source.js";

const LOCK = "factorymon-stream";
const REOPEN_MS = [1000, 2000, 5000, 10000];
/* Nothing heard for so long: the connection is dead, whatever it says. */
const SILENT_MS = 20000;

const listeners = new Set();
let stream = null;
let failures = 0;
let heardAt = 0;
let channel = null;
let shared = false;

/** f({ type, data, id }) for each event: alarm, status, tick, reset. */
export function onEvent(f) {
	listeners.add(f);
}

function tell(event) {
	heardAt = Date.now();
	for (const listener of listeners)
		listener(event);
}

function hear(type, message) {
	let data = null;
	try {
		data = JSON.parse(message.data);
	} catch {
		return;
	}
	const event = { type, data, id: message.lastEventId };
	failures = 0;
	tell(event);
	channel?.postMessage(event);
}

function close() {
	stream?.close();
	stream = null;
}

function open() {
	close();
	heardAt = Date.now();
	stream = new EventSource("/api/stream");
	for (const type of ["alarm", "status", "tick", "reset"])
		stream.addEventListener(type, (message) => hear(type, message));
	stream.addEventListener("error", () => {
		/* it comes back by itself, but not after an answer other than 200 */
		if (stream?.readyState === EventSource.CLOSED)
			reopen();
	});
}

function reopen() {
	const delay = REOPEN_MS[Math.min(failures++, REOPEN_MS.length - 1)];
	close();
	setTimeout(() => {
		if (wanted() && !stream) {
			open();
			refreshAll();
		}
	}, delay * (0.75 + Math.random() / 2));
}

/** Is it this tab's to listen? */
function wanted() {
	return shared || (!channel && !document.hidden);
}

setInterval(() => {
	if (stream && Date.now() - heardAt > SILENT_MS)
		reopen();
}, 5000);

/* The lock is given to one tab after the other, as they are closed. */
function share() {
	channel = new BroadcastChannel(LOCK);
	channel.onmessage = (message) => tell(message.data);
	navigator.locks.request(LOCK, () => {
		shared = true;
		open();
		return new Promise(() => {});
	});
}

export function start() {
	if (navigator.locks && window.BroadcastChannel) {
		share();
		return;
	}
	document.addEventListener("visibilitychange", () => {
		if (document.hidden)
			close();
		else if (!stream)
			open();
	});
	if (!document.hidden)
		open();
}

/* --------------------------------------------------------------------
 * Said to those who do not look
 * ----------------------------------------------------------------- */

const POLITE_MS = 5000;
let politeAt = 0;
let politeTimer = null;

/** Something urgent, at once. */
export function announceNow(text) {
	setText(document.getElementById("urgent"), "");
	setText(document.getElementById("urgent"), text);
}

/** All else: the last of it, at most every five seconds. */
export function announce(text) {
	clearTimeout(politeTimer);
	politeTimer = setTimeout(() => {
		politeAt = Date.now();
		setText(document.getElementById("polite"), text);
	}, Math.max(0, politeAt + POLITE_MS - Date.now()));
}
