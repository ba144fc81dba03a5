/*
 * view-pipeline.js - workers, partitions, and what happened to them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The lanes tell the story of a failure: a lane a partition, filled while a
 * worker had it, empty and dashed while nobody did, with the ends of workers
 * as lines across.
 */
import { bytes, duration, fullTime, number, t, time, tn, word } from "./i18n.js";
import { consumers, metrics, now, partitions } from "./source.js";
import { csvLink, empty, Panel, place, Table, truncated } from "./panel.js";
import { h, reconcile, replace, s, setText } from "./dom.js";
import { lagHistory, lagOf, ownerOf, trendOf } from "./lag.js";
import { rateCard } from "./rates.js";
import { sparkline, updateSparkline } from "./spark.js";
import { stateBadge } from "./symbols.js";

const SPAN_MS = 10 * 60000;
/* Events that mean that something broke, or was mended. */
export const BREAKS = new Set(["ended", "fenced", "suspect", "gap", "incarnation",
	"notify_failed"]);

/* --------------------------------------------------------------------
 * Workers and partitions
 * ----------------------------------------------------------------- */

function consumersPanel() {
	const table = new Table({
		caption: t("pipeline.consumers"),
		key: (row) => `${row.pipeline} ${row.worker_number}`,
		columns: [
			{ title: t("pipeline.worker"), cell: (row) => String(row.worker_number) },
			{ title: t("pipeline.process"), number: true,
				cell: (row) => row.pid === null ? "–" : String(row.pid) },
			{ title: t("pipeline.state"), sign: (row) => row.state,
				cell: (row) => stateBadge(row.state) },
			{ title: t("pipeline.owns"), cell: (row) =>
				(row.partitions || []).join(", ") || t("pipeline.none") },
			{ title: t("pipeline.rate"), number: true,
				cell: (row) => number(row.messages_per_second, 1) },
			{ title: t("pipeline.lag"), class: "nowrap", cell: lagOf },
			{ title: t("pipeline.since"), class: "nowrap",
				cell: (row) => time(row.started_at, now()) },
			{ title: t("pipeline.cpu"), number: true,
				cell: (row) => duration(row.cpu_seconds) },
			{ title: t("pipeline.memory"), number: true,
				cell: (row) => bytes(row.memory_bytes) },
			{ title: t("pipeline.error"), cell: (row) => row.last_error ?
				`${time(row.last_error_at, now())} ${row.last_error}` : "–" }
		]
	});

	return new Panel({
		title: t("pipeline.consumers"), sources: [consumers], id: "consumers",
		tools: [csvLink("/api/consumer-health.csv")],
		render(body) {
			if (consumers.data.consumers.length === 0) {
				empty(body, t("pipeline.empty"), t("pipeline.empty.next"));
				return;
			}
			place(body, table.element);
			table.show(consumers.data.consumers);
		}
	});
}

function partitionsPanel() {
	const tbody = h("tbody", {});
	const titles = ["pipeline.partition", "pipeline.owner", "pipeline.state",
		"pipeline.lag", "pipeline.trend", "pipeline.rate", "pipeline.position",
		"pipeline.end", "pipeline.error"];
	const element = h("table", {}, h("caption", { class: "hidden" },
		t("pipeline.partitions")), h("thead", {}, h("tr", {}, titles.map((name) =>
		h("th", { scope: "col" }, t(name))))), tbody);

	function create() {
		const row = h("tr", {}, titles.map(() => h("td", {})));

		row.children[4].append(sparkline(), h("span", {}));
		return row;
	}

	function update(tr, row) {
		const trend = trendOf(row);
		const cells = tr.children;
		const list = lagHistory(row);

		setText(cells[0], String(row.kafka_partition));
		setText(cells[1], ownerOf(row, consumers.data));
		if (cells[2].dataset.state !== row.state) {
			cells[2].dataset.state = row.state;
			replace(cells[2], stateBadge(row.state));
		}
		setText(cells[3], lagOf(row));
		updateSparkline(cells[4].firstElementChild,
			list.map((point) => [point.at, point.messages]), trend.text);
		setText(cells[4].lastElementChild, trend.text);
		setText(cells[5], number(row.messages_per_second, 1));
		setText(cells[6], number(row.position));
		setText(cells[7], number(Math.max(row.high_watermark, row.position)));
		setText(cells[8], row.state_detail || row.last_error || "–");
	}

	return new Panel({
		title: t("pipeline.partitions"), sources: [partitions, consumers],
		id: "partitions", tools: [csvLink("/api/partition-assignment.csv")],
		render(body) {
			if (partitions.data.partitions.length === 0) {
				empty(body, t("pipeline.empty"), t("pipeline.empty.next"));
				return;
			}
			place(body, element);
			reconcile(tbody, partitions.data.partitions, {
				key: (row) => `${row.pipeline} ${row.kafka_partition}`,
				create, update
			});
		}
	});
}

/* --------------------------------------------------------------------
 * What happened
 * ----------------------------------------------------------------- */

/*
 * When a partition had an owner: [{ from, to }], from its events, which come
 * newest first, and how it is now.  A worker that was killed gave nothing back:
 * who had a partition until another one took it had it until a worker ended.
 */
export function spansOf(partition, events, begin, end) {
	const spans = [];
	const birth = birthOf(partition, events);
	let since = null;
	let known = birth !== null;
	let ended = null;

	for (const event of [...events].reverse()) {
		const at = Date.parse(event.at);
		const about = event.partitions?.includes(partition.kafka_partition) &&
			event.pipeline === partition.pipeline;
		if (event.event === "ended" && event.pipeline === partition.pipeline)
			ended = at;
		if (!about)
			continue;
		if (event.event === "taken") {
			const had = since ?? (known ? null : begin);
			if (had !== null && ended !== null && ended >= had)
				spans.push({ from: had, to: ended });
			else if (had !== null && since !== null)
				spans.push({ from: had, to: at });
			since = at;
			known = true;
		} else if (event.event === "revoke") {
			spans.push({ from: since ?? (known ? at : begin), to: at });
			since = null;
			known = true;
		}
	}
	if (partition.pid !== null)
		spans.push({ from: since ?? begin, to: end });
	return spans.map((span) => ({
		from: Math.max(span.from, begin, birth ?? begin), to: Math.min(span.to, end)
	})).filter((span) => span.to > span.from);
}

/* When its pipeline was created, if that is still known: nobody can have had
 * what was not there yet. */
function birthOf(partition, events) {
	const created = events.find((event) => event.event === "created" &&
		event.pipeline === partition.pipeline);

	return created ? Date.parse(created.at) : null;
}

const LANE = 20;
const LEFT = 80;
const WIDTH = 1200;

function lanes(list, events) {
	const end = now();
	const begin = end - SPAN_MS;
	const height = list.length * LANE + 24;
	const x = (at) => LEFT + (at - begin) / SPAN_MS * (WIDTH - LEFT - 6);
	const births = list.map((partition) => Math.max(begin,
		birthOf(partition, events) ?? begin));
	const ends = events.filter((event) => event.event === "ended" &&
		Date.parse(event.at) > begin);

	return s("svg", {
		class: "lanes", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
		"aria-label": ends.length > 0 ? ends.map((event) =>
			`${time(event.at)} ${word("event", event.event)}: ${event.reason}`)
			.join("; ") : t("pipeline.quiet", { duration: duration(SPAN_MS / 1000) })
	}, list.map((partition, i) => [
		s("text", { x: "0", y: String(i * LANE + 14) },
			`${t("pipeline.partition")} ${partition.kafka_partition}`),
		s("rect", {
			class: "orphan", x: x(births[i]).toFixed(1),
			y: String(i * LANE + 4), height: String(LANE - 8),
			width: (x(end) - x(births[i])).toFixed(1)
		}),
		spansOf(partition, events, begin, end).map((span) => s("rect", {
			class: "owned", x: x(span.from).toFixed(1), y: String(i * LANE + 4),
			width: (x(span.to) - x(span.from)).toFixed(1),
			height: String(LANE - 8)
		}))
	]), ends.map((event) => s("line", {
		class: "end", x1: x(Date.parse(event.at)).toFixed(1), y1: "0",
		x2: x(Date.parse(event.at)).toFixed(1), y2: String(list.length * LANE)
	}, s("title", {}, `${fullTime(event.at)} ${event.reason}`))),
	[0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => s("text", {
		x: x(begin + share * SPAN_MS).toFixed(1), y: String(height - 4),
		"text-anchor": share === 1 ? "end" : share === 0 ? "start" : "middle"
	}, share === 1 ? t("time.now") : t("time.ago", {
		duration: `${number(Math.round((1 - share) * SPAN_MS / 60000))} min`
	}))));
}

export function whatOf(event) {
	const what = word("event", event.event);

	return event.partitions?.length > 0 ? tn("event.partitions",
		event.partitions.length, { what, list: event.partitions.join(", ") }) : what;
}

function createEvent(event) {
	return h("li", { class: BREAKS.has(event.event) ? "break" : "" },
		h("span", { class: "nowrap", title: fullTime(event.at) },
			time(event.at, now())),
		h("span", {}, whatOf(event)),
		h("span", { class: "muted", title: event.consumer || "" },
			[event.reason, workerOf(event)].filter(Boolean).join(" · ")));
}

/* Who it was, by its number if it is still there; else by what Kafka calls it,
 * less the UUID at its end. */
export function workerOf(event) {
	const worker = consumers.data?.consumers.find((consumer) =>
		consumer.consumer === event.consumer && event.consumer);

	if (worker)
		return `${t("pipeline.worker")} ${worker.worker_number}`;
	return event.consumer?.replace(/-[0-9a-f]{8}-[0-9a-f-]{27}$/, "");
}

function timelinePanel() {
	const list = h("ol", {
		class: "timeline", tabindex: "0", "aria-label": t("pipeline.timeline")
	});
	const picture = h("div", {});
	const element = h("div", {}, picture, list);

	return new Panel({
		title: t("pipeline.timeline"), sources: [partitions, consumers], id: "timeline",
		tools: [csvLink("/api/recent-alerts.csv?limit=1000")],
		render(body, panel) {
			const events = partitions.data.activity;

			panel.remarkOf(truncated(partitions.data, events));
			if (events.length === 0) {
				empty(body, t("pipeline.events"));
				return;
			}
			place(body, element);
			replace(picture, lanes(partitions.data.partitions, events));
			reconcile(list, events, {
				key: (event) => `${event.at} ${event.event} ${event.consumer} ${
					event.partitions}`,
				create: createEvent, update: () => {}
			});
		}
	});
}

function throughputPanel() {
	return new Panel({
		title: t("pipeline.throughput"), sources: [metrics], id: "throughput",
		render(body) {
			place(body, rateCard(metrics));
		}
	});
}

export function pipelineView() {
	return {
		title: t("nav.pipeline"), heading: t("nav.pipeline"),
		panels: [consumersPanel(), partitionsPanel(), timelinePanel(),
			throughputPanel()]
	};
}
