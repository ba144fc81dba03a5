/*
 * gone.js - producers that nothing is heard of any more
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { t, time, tn } from "./i18n.js";

const GONE = new Set(["silent", "unknown"]);

/** Those of which nobody can say that they are there. */
export function goneOf(list) {
	return (list || []).filter((producer) => GONE.has(producer.state));
}

/** Those of which it is known that they are gone: their heartbeats would have
 * been seen. */
export function silentOf(list) {
	return (list || []).filter((producer) => producer.state === "silent");
}

/** "1 producer is gone: press-line, since 21:41:41", or that all are there. */
export function producerWords(list, now) {
	const gone = goneOf(list);

	return gone.length === 0 ? tn("producers.there", list.length) :
		`${tn("producers.gone", gone.length)}: ${gone.slice(0, 3)
			.map((producer) => t("producers.since", {
				name: producer.producer, at: time(producer.heartbeat_at, now)
			})).join("; ")}${gone.length > 3 ? " …" : ""}`;
}
