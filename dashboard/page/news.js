/*
 * news.js - what happened, as one would tell it to a colleague who takes over
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Of alarms it is what was announced and what has returned; of pipelines what
 * came of a rebalance, not the steps on its way; of producers that they are
 * gone.  Many of a kind within a minute are one piece of news.
 */
import { causeOf } from "./alarm-list.js";
import { silentOf } from "./gone.js";
import { t, tn, word } from "./i18n.js";
import { BREAKS, whatOf, workerOf } from "./view-pipeline.js";

const MINUTE_MS = 60000;
/* From so many sensors on they are told together; what became critical is told
 * with its value for longer. */
const SEVERAL = 3;
const SEVERAL_CRITICAL = 6;
const NAMES = 3;
const QUIET = new Set(["assign", "revoke", "waiting", "unproven"]);
const RISES = new Set(["raised", "escalated", "re_alarmed"]);

function isNews(event) {
	return event.kind === "alarm" ?
		event.announced || event.event === "returned" : !QUIET.has(event.event);
}

/* Events that are told together, if they are many: the rest are alone. */
function kindOf(event) {
	if (event.kind === "alarm")
		return `${event.pipeline} ${event.event} ${event.condition} ${event.level}`;
	return event.event === "taken" ? `${event.pipeline} taken` : null;
}

function fromProducers(list) {
	return silentOf(list).map((producer) => ({
		at: producer.heartbeat_at, kind: "producer", event: "gone",
		pipeline: producer.pipeline, producer: producer.producer
	}));
}

/* Newest first: each event joins the group of its kind that is begun, if that
 * is no more than a minute newer. */
function grouped(list) {
	const begun = new Map();
	const groups = [];

	for (const event of list) {
		const kind = kindOf(event);
		const group = kind && begun.get(kind);
		if (group && Date.parse(group[0].at) - Date.parse(event.at) <= MINUTE_MS) {
			group.push(event);
			continue;
		}
		const fresh = [event];
		groups.push(fresh);
		if (kind)
			begun.set(kind, fresh);
	}
	return groups;
}

/* Who has each partition now is told by its newest event. */
function takenWords(group) {
	const owners = new Map();

	for (const event of group)
		for (const partition of event.partitions || [])
			if (!owners.has(partition))
				owners.set(partition, workerOf(event));
	const list = [...owners].sort(([a], [b]) => a - b).map(([partition, worker]) =>
		worker ? t("recent.by", {
			partition, worker: worker.replace(t("pipeline.worker"),
				t("pipeline.worker").toLowerCase())
		}) : String(partition));
	return tn("recent.taken", list.length, { list: list.join(", ") });
}

function severalWords(group) {
	const names = [...new Set(group.map((event) => event.sensor_id || "–"))];
	const { condition, event } = group[0];
	const shown = names.slice(0, NAMES).join(", ") +
		(names.length > NAMES ? ", …" : "");

	return t(condition === "silent" && event === "raised" ? "recent.silent" :
		"recent.several", {
		n: names.length, event: word("event", event),
		condition: word("condition", condition), names: shown
	});
}

function wordsOf(event) {
	if (event.kind === "producer")
		return t("recent.producer", { producer: event.producer });
	return event.kind === "alarm" ?
		`${event.sensor_id || ""} ${word("event", event.event)}: ${causeOf(event)}` :
		[whatOf(event), event.event === "ended" || event.event === "started" ?
			event.detail : workerOf(event)].filter(Boolean).join(", ");
}

function isBreak(event) {
	return event.kind === "producer" || BREAKS.has(event.event) ||
		(event.kind === "alarm" && event.level === "critical" &&
			RISES.has(event.event));
}

function isTogether(group) {
	if (group[0].event === "taken")
		return true;
	return new Set(group.map((event) => event.sensor_id)).size >=
		(isBreak(group[0]) ? SEVERAL_CRITICAL : SEVERAL);
}

function pieceOf(group) {
	const first = group[0];
	const taken = first.event === "taken";

	return {
		at: first.at, from: group[group.length - 1].at, broke: isBreak(first), stays: first.kind === "producer",
		symbol: first.kind === "producer" ? "attention" :
			first.kind === "alarm" && RISES.has(first.event) ? first.level : null,
		text: taken ? takenWords(group) : group.length > 1 ? severalWords(group) :
			wordsOf(first)
	};
}

function rankOf(piece) {
	return piece.stays ? 0 : piece.broke ? 1 : 2;
}

/**
 * [{ at, from, text, symbol, broke, stays }], newest first, of what happened since a
 * time, each from a time on till another: events come newest first.
 */
export function newsOf(events, producers, since) {
	const all = [...events.filter(isNews), ...fromProducers(producers)]
		.filter((event) => Date.parse(event.at) > since)
		.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));

	return grouped(all).flatMap((group) =>
		isTogether(group) ? [group] : group.map((event) => [event]))
		.map(pieceOf).sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

/**
 * So many pieces as there is room for, in their order: who is gone stays, however
 * much came since, and then what broke.  Where others are left out between two
 * of them there is { skipped: how many }; at the end they are only counted.
 */
export function newest(news, room) {
	const ranked = [...news.keys()].sort((a, b) =>
		rankOf(news[a]) - rankOf(news[b]) || a - b);
	const shown = new Set(ranked.slice(0, room));
	const pieces = [];
	let left = 0;

	for (const [i, piece] of news.entries()) {
		if (!shown.has(i)) {
			left++;
			continue;
		}
		if (left > 0)
			pieces.push({ at: piece.at, skipped: left });
		pieces.push(piece);
		left = 0;
	}
	return { pieces, older: left };
}
