/*
 * source.js - what the page knows, from where, and how old it is
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A source asks one path again and again while somebody looks at it and the
 * page is visible.  Who shows it is told of each answer and of each failure;
 * an answer older than three intervals is stale.
 */
import { get, ApiError } from "./api.js";

const STALE_INTERVALS = 3;
/* A failed try is repeated after so long, whatever the interval is. */
const RETRY_MS = 2000;

let skew = 0;				/* of the service's clock against ours, ms */
let paused = false;
const sources = new Set();

/** The service's clock. */
export function now() {
	return Date.now() + skew;
}

function learnClock(answer) {
	if (answer?.generated_at)
		skew = Date.parse(answer.generated_at) - Date.now();
}

export function isPaused() {
	return paused;
}

/** Live updates stop, or go on with what is new. */
export function setPaused(value) {
	paused = value;
	for (const source of sources)
		if (!paused)
			source.refresh();
}

export class Source {
	/** path and parameters as of get(); interval in ms. */
	constructor(path, { parameters, interval = 2000 } = {}) {
		this.path = path;
		this.parameters = parameters;
		this.interval = interval;
		this.data = null;
		this.receivedAt = 0;		/* our clock */
		this.error = null;
		this.listeners = new Set();
		this.timer = null;
		this.asking = false;
	}

	/** Call f(this) at each change, until what is returned is called. */
	watch(f) {
		this.listeners.add(f);
		sources.add(this);
		if (this.listeners.size === 1)
			this.refresh();
		else
			f(this);
		return () => {
			this.listeners.delete(f);
			if (this.listeners.size > 0)
				return;
			sources.delete(this);
			clearTimeout(this.timer);
		};
	}

	/** Ask now, and then every interval. */
	async refresh() {
		clearTimeout(this.timer);
		if (this.asking || this.listeners.size === 0)
			return;
		this.asking = true;
		try {
			const data = await get(this.path, this.parameters);
			if (!paused || this.data === null) {
				this.data = data;
				this.receivedAt = Date.now();
				this.error = null;
				learnClock(data);
			}
		} catch (error) {
			this.error = error instanceof ApiError ? error :
				new ApiError(0, "page", String(error));
		}
		this.asking = false;
		if (this.listeners.size === 0)
			return;
		this.tell();
		if (!document.hidden && !paused)
			this.timer = setTimeout(() => this.refresh(), this.error ?
				Math.min(RETRY_MS, this.interval) : this.interval);
	}

	tell() {
		for (const listener of this.listeners)
			listener(this);
	}

	/** Age of what is shown, in seconds; null: nothing is. */
	age() {
		return this.data === null ? null :
			(Date.now() - this.receivedAt) / 1000;
	}

	isStale() {
		return this.data !== null && !paused &&
			Date.now() - this.receivedAt >
			STALE_INTERVALS * Math.max(this.interval, RETRY_MS);
	}
}

/** Something happened: those who may show it ask at once. */
export function refreshAll(paths) {
	for (const source of sources)
		if (!paused && (!paths || paths.includes(source.path)))
			source.refresh();
}

/** Every second: what got old says so. */
setInterval(() => {
	for (const source of sources)
		source.tell();
}, 1000);

document.addEventListener("visibilitychange", () => {
	if (!document.hidden)
		refreshAll();
});

/* What several views look at is asked for once. */
export const status = new Source("/api/system-status", { interval: 1000 });
export const alarms = new Source("/api/alarms", { parameters: { limit: 500 } });
export const plant = new Source("/api/plant");
export const partitions = new Source("/api/partition-assignment");
export const consumers = new Source("/api/consumer-health");
export const producers = new Source("/api/producer-health");
export const metrics = new Source("/api/real-time-metrics");
export const events = new Source("/api/recent-alerts",
	{ parameters: { limit: 200 } });
export const cities = new Source("/api/cities", { interval: 5000 });
/* For the menu, which every open page has: is there any? */
export const anyCity = new Source("/api/cities",
	{ parameters: { limit: 1 }, interval: 60000 });
export const rejects = new Source("/api/rejects", { interval: 5000 });
export const kpi = new Source("/api/kpi", { interval: 30000 });
