/*
 * lag.js - how far partitions are behind, and where that goes
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { duration, t, tn } from "./i18n.js";
import { partitions } from "./source.js";

const KEEP_MS = 5 * 60000;
/* A trend is what happened in this time; less of it is none yet. */
const TREND_MS = 30000;
const LEAST_MS = 6000;
/* Messages a second that are not worth a word. */
const STEADY = 0.5;

const past = new Map();		/* partition: [{ at, messages, seconds }] */

function keyOf(row) {
	return `${row.pipeline} ${row.kafka_partition}`;
}

/** Remember each answer once. */
function remember(source) {
	if (!source.data || source.receivedAt === remember.at)
		return;
	remember.at = source.receivedAt;
	for (const row of source.data.partitions) {
		const list = past.get(keyOf(row)) || [];
		list.push({
			at: source.receivedAt, messages: row.lag_messages,
			seconds: row.lag_seconds
		});
		while (list[0].at < source.receivedAt - KEEP_MS)
			list.shift();
		past.set(keyOf(row), list);
	}
}

export function lagHistory(row) {
	remember(partitions);
	return past.get(keyOf(row)) || [];
}

/** { direction, text } of a partition's lag in messages. */
export function trendOf(row) {
	const list = lagHistory(row).filter((point) => point.messages !== null);
	const last = list[list.length - 1];
	const first = list.find((point) => last.at - point.at <= TREND_MS);

	if (!last || !first || last.at - first.at < LEAST_MS)
		return { direction: "none", text: t("trend.none") };
	const slope = (last.messages - first.messages) / ((last.at - first.at) / 1000);
	const direction = slope > STEADY ? "rising" : slope < -STEADY ? "falling" :
		"steady";
	const arrow = { rising: "↗", falling: "↘", steady: "→" }[direction];
	return { direction, text: `${arrow} ${t(`trend.${direction}`)}` };
}

/** "0.2 s, 31 messages" */
export function lagOf(row) {
	if (row.lag_messages === null)
		return "–";
	if (row.lag_messages === 0)
		return t("lag.none");
	return `${duration(row.lag_seconds)}, ${tn("lag.messages", row.lag_messages)}`;
}

/** The worker that has a partition: "worker 2 (1234)". */
export function ownerOf(row, consumers) {
	const worker = consumers?.consumers.find((consumer) =>
		consumer.pid === row.pid && consumer.pipeline === row.pipeline);

	if (row.pid === null)
		return t("pipeline.none");
	return worker ? `${t("pipeline.worker")} ${worker.worker_number}` :
		`${t("pipeline.process")} ${row.pid}`;
}
