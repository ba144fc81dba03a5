/*
 * rates.js - messages a second, and how long batches take
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The service counts; what happened within the last minutes is the difference
 * between two looks, kept here while the page is open.
 */
import { duration, number, t } from "./i18n.js";
import { h, setText } from "./dom.js";
import { sparkline, updateSparkline } from "./spark.js";

const KEEP_MS = 10 * 60000;
const MINUTE_MS = 60000;

const points = [];			/* { at, rate, histogram } */

function sumOf(pipelines, name) {
	return pipelines.reduce((sum, pipeline) => sum + (pipeline[name] || 0), 0);
}

function histogramOf(pipelines) {
	let total = null;

	for (const { batch_histogram: histogram } of pipelines)
		if (histogram)
			total = histogram.map((n, i) => n + (total ? total[i] : 0));
	return total;
}

/** All looks of the last ten minutes, this one included. */
export function history(source) {
	if (source.data && points[points.length - 1]?.at !== source.receivedAt) {
		points.push({
			at: source.receivedAt,
			rate: sumOf(source.data.pipelines, "messages_per_second"),
			histogram: histogramOf(source.data.pipelines)
		});
		while (points[0].at < source.receivedAt - KEEP_MS)
			points.shift();
	}
	return points;
}

/*
 * Seconds within which a share of the last minute's batches was done: the upper
 * bound of its bucket.  null: there was none, or workers began anew meanwhile.
 */
export function percentile(source, share) {
	const list = history(source);
	const last = list[list.length - 1];
	const first = list.find((point) => last.at - point.at <= MINUTE_MS);
	const bounds = source.data.pipelines[0]?.batch_histogram_bounds;

	if (!last?.histogram || !first?.histogram || !bounds)
		return null;
	const counts = last.histogram.map((n, i) => n - first.histogram[i]);
	const total = counts.reduce((sum, n) => sum + n, 0);
	let seen = 0;
	if (total <= 0 || counts.some((n) => n < 0))
		return null;
	for (let i = 0; i < bounds.length; i++) {
		seen += counts[i];
		if (seen >= share * total)
			return bounds[i];
	}
	return bounds[bounds.length - 1];
}

let card = null;

/** The present rate, its history and the slowest batches. */
export function rateCard(source) {
	card ??= (() => {
		const rate = h("p", { class: "big" });
		const batch = h("p", {});
		const span = h("p", { class: "muted small" });
		const chart = sparkline("spark wide");
		return { rate, batch, span, chart, element: h("div", { class: "cards" },
			h("div", { class: "line" }, rate, span), chart, batch) };
	})();

	const list = history(source);
	const last = list[list.length - 1];
	const slowest = percentile(source, 0.99);
	setText(card.rate, t("throughput.rate", { n: number(last.rate,
		last.rate < 100 ? 1 : 0) }));
	setText(card.batch, slowest === null ? t("throughput.batch.none") :
		t("throughput.batch", { duration: slowest < 1 ?
			`${number(slowest * 1000)} ms` : duration(slowest) }));
	const values = {
		duration: duration(Math.ceil((last.at - list[0].at) / 1000)),
		now: number(last.rate, 1),
		max: number(Math.max(...list.map((point) => point.rate)), 1)
	};
	setText(card.span, t("throughput.span", values));
	updateSparkline(card.chart, list.map((point) => [point.at, point.rate]),
		t("throughput.chart", values));
	return card.element;
}
