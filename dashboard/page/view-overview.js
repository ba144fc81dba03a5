/*
 * view-overview.js - is the plant well, where not, is it current, must I act
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { alarmList, causeOf, isBlocked, isUnacknowledged, lastAlarm } from "./alarm-list.js";
import { number, t, time, tn, word } from "./i18n.js";
import { alarms, consumers, events, metrics, now, partitions, plant, producers, status }
	from "./source.js";
import { empty, Panel, place, truncated } from "./panel.js";
import { h, reconcile, setText } from "./dom.js";
import { BREAKS, whatOf, workerOf } from "./view-pipeline.js";
import { GONE } from "./view-others.js";
import { rateCard } from "./rates.js";
import { lagOf, ownerOf, trendOf } from "./lag.js";
import { symbol } from "./symbols.js";

/* Rows of the list beside the plant; more are in the view of alarms. */
const FEW = 8;
const RECENT_MS = 10 * 60000;
/* Steps on the way of a rebalance; what came of it is news. */
const QUIET = new Set(["assign", "revoke", "waiting", "unproven"]);

/* --------------------------------------------------------------------
 * The plant
 * ----------------------------------------------------------------- */

/* A machine whose sensors all are missing is not known to be well. */
export function levelOf(machine) {
	if (machine.level_rank > 0)
		return machine.level;
	return machine.sensors > 0 && machine.sensors_missing === machine.sensors ?
		"unknown" : "normal";
}

function machineLink(machine) {
	const query = new URLSearchParams();

	for (const [name, value] of [["section", machine.factory_section],
		["zone", machine.zone], ["machine", machine.machine_id]])
		if (value)
			query.set(name, value);
	return `#/sensors?${query}`;
}

function detailOf(machine) {
	const parts = [machine.zone || t("overview.nozone"),
		tn("plant.sensors", machine.sensors)];

	if (machine.alarms_unacknowledged > 0)
		parts.push(tn("plant.unacknowledged", machine.alarms_unacknowledged));
	if (machine.sensors_missing > 0)
		parts.push(tn("plant.silent", machine.sensors_missing));
	return parts.join(" · ");
}

function updateTile(tile, machine) {
	const level = levelOf(machine);

	tile.className = `tile ${level}` +
		(machine.alarms_unacknowledged > 0 ? " unacknowledged" : "");
	tile.href = machineLink(machine);
	if (tile.dataset.level !== level) {
		tile.dataset.level = level;
		tile.firstElementChild.replaceWith(symbol(level));
	}
	setText(tile.children[1], machine.machine_id || t("overview.nomachine"));
	setText(tile.children[2], detailOf(machine));
	setText(tile.children[3], word("level", level));
}

function createTile() {
	return h("a", { class: "tile" }, symbol("normal"),
		h("span", { class: "name" }), h("span", { class: "detail" }),
		h("span", { class: "hidden" }));
}

function createSection(section) {
	return h("div", { class: "section" }, h("h3", {}, section.name),
		h("div", { class: "tiles" }));
}

/* In the order of the answer, which has the worst machines first; a section
 * stays where its name puts it, so that people find it again. */
function sectionsOf(machines) {
	const sections = new Map();

	for (const machine of machines) {
		const name = machine.factory_section || t("overview.nosection");
		if (!sections.has(name))
			sections.set(name, { name, machines: [] });
		sections.get(name).machines.push(machine);
	}
	return [...sections.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function plantPanel() {
	const sections = h("div", { class: "sections" });

	return new Panel({
		title: t("overview.plant"), sources: [plant], width: "w8", id: "plant",
		render(body, panel) {
			const machines = plant.data.machines;

			panel.remarkOf(truncated(plant.data, machines));
			if (machines.length === 0) {
				empty(body, t("plant.empty"), t("plant.empty.next"));
				return;
			}
			place(body, sections);
			reconcile(sections, sectionsOf(machines), {
				key: (section) => section.name, create: createSection,
				update: (element, section) =>
					reconcile(element.lastElementChild, section.machines, {
						key: (m) => `${m.pipeline} ${m.zone} ${m.machine_id}`,
						create: createTile, update: updateTile
					})
			});
		}
	});
}

/* --------------------------------------------------------------------
 * Alarms
 * ----------------------------------------------------------------- */

function alarmsPanel() {
	const list = alarmList(t("overview.alarms"));
	const more = h("a", { href: "#/alarms" }, t("alarms.all"));

	return new Panel({
		title: t("overview.alarms"), sources: [alarms, events], width: "side",
		className: "alarms-first", id: "alarms", tools: [more],
		render(body, panel) {
			const present = alarms.data.alarms.filter((alarm) =>
				!isBlocked(alarm));
			const waiting = present.filter(isUnacknowledged).length;

			panel.remarkOf(waiting > 0 ? t("verdict.act",
				{ n: number(waiting) }) : "");
			setText(more, present.length > FEW ? `${t("alarms.all")} (${
				number(present.length)})` : t("alarms.all"));
			if (present.length === 0) {
				empty(body, `${t("alarms.empty")} ${lastAlarm()}`);
				return;
			}
			place(body, list.element);
			list.show(present.slice(0, FEW));
		}
	});
}

/* --------------------------------------------------------------------
 * Cards
 * ----------------------------------------------------------------- */

function partitionsPanel() {
	const table = h("tbody", {});
	const element = h("table", {}, h("thead", {}, h("tr", {},
		["pipeline.partition", "pipeline.owner", "pipeline.lag", "pipeline.trend"]
			.map((name) => h("th", { scope: "col" }, t(name))))), table);

	return new Panel({
		title: t("overview.partitions"), sources: [partitions, consumers],
		width: "w4", id: "partitions",
		tools: [h("a", { href: "#/pipeline" }, t("panel.more"))],
		render(body) {
			const rows = partitions.data.partitions;

			if (rows.length === 0) {
				empty(body, t("pipeline.empty"), t("pipeline.empty.next"));
				return;
			}
			place(body, element);
			reconcile(table, rows, {
				key: (row) => `${row.pipeline} ${row.kafka_partition}`,
				create: () => h("tr", {}, h("td", {}), h("td", {}), h("td", {}),
					h("td", {})),
				update: (tr, row) => {
					const trend = trendOf(row);
					setText(tr.children[0], String(row.kafka_partition));
					setText(tr.children[1], ownerOf(row, consumers.data));
					setText(tr.children[2], lagOf(row));
					setText(tr.children[3], trend.text);
				}
			});
		}
	});
}

function throughputPanel() {
	return new Panel({
		title: t("overview.throughput"), sources: [metrics], width: "w4",
		id: "throughput",
		tools: [h("a", { href: "#/pipeline" }, t("panel.more"))],
		render(body) {
			place(body, rateCard(metrics));
		}
	});
}

function qualityPanel() {
	const rejected = h("p", { class: "big" });
	const outbox = h("p", { class: "big" });
	const publisher = h("p", {});
	const senders = h("p", {});
	const card = h("div", { class: "cards" }, rejected, outbox, publisher,
		senders);

	return new Panel({
		title: t("overview.quality"), sources: [status, producers], width: "w4", id: "quality",
		tools: [h("a", { href: "#/rejects" }, t("panel.more"))],
		render(body) {
			const pipelines = status.data.pipelines;

			if (!pipelines)			/* the banner says why; what was there stays */
				return;
			const total = (name) => pipelines.reduce((sum, pipeline) =>
				sum + (pipeline[name] || 0), 0);
			const states = [...new Set(pipelines.map((pipeline) =>
				pipeline.publisher_state).filter(Boolean))];

			place(body, card);
			setText(rejected, total("rejected") > 0 ? t("quality.rejects",
				{ n: number(total("rejected")) }) : t("quality.rejects.none"));
			setText(outbox, total("publisher_pending") > 0 ? t("quality.outbox",
				{ n: number(total("publisher_pending")) }) :
				t("quality.outbox.none"));
			setText(publisher, states.length > 0 ? t("quality.publisher", {
				state: states.map((state) => word("state", state)).join(", ")
			}) : t("quality.publisher.none"));
			setText(senders, producerWords(producers.data.producers));
			senders.className = goneOf(producers.data.producers).length > 0 ?
				"state bad" : "";
		}
	});
}

function recentPanel() {
	const list = h("ol", { class: "timeline short" });

	return new Panel({
		title: t("overview.recent"), sources: [events, consumers], width: "w4 tall",
		id: "recent", tools: [h("a", { href: "#/pipeline" }, t("panel.more"))],
		render(body) {
			const since = now() - RECENT_MS;
			const rows = events.data.alerts.filter((event) =>
				Date.parse(event.at) > since && isNews(event)).slice(0, FEW);

			if (rows.length === 0) {
				empty(body, t("overview.recent.none"));
				return;
			}
			place(body, list);
			reconcile(list, rows, {
				key: (event) => `${event.at} ${event.event} ${event.event_id} ${
					event.consumer} ${event.partitions}`,
				create: (event) => h("li", { class: BREAKS.has(event.event) ?
					"break" : "" }, h("span", { class: "nowrap" },
					time(event.at, now())), h("span", {}, newsOf(event))),
				update: () => {}
			});
		}
	});
}

/* What one would tell a colleague who takes over. */
function isNews(event) {
	return event.kind === "alarm" ?
		event.announced && event.level === "critical" : !QUIET.has(event.event);
}

function newsOf(event) {
	return event.kind === "alarm" ?
		`${event.sensor_id || ""} ${word("event", event.event)}: ${causeOf(event)}` :
		[whatOf(event), event.event === "ended" || event.event === "started" ?
			event.detail : workerOf(event)].filter(Boolean).join(", ");
}

function goneOf(list) {
	return list.filter((producer) => GONE.has(producer.state));
}

function producerWords(list) {
	const gone = goneOf(list);

	return gone.length === 0 ? tn("producers.there", list.length) :
		`${tn("producers.gone", gone.length)}: ${gone.slice(0, 3)
			.map((producer) => producer.producer).join(", ")}${
			gone.length > 3 ? " …" : ""}`;
}

export function overview() {
	return {
		title: t("nav.overview"),
		panels: [plantPanel(), alarmsPanel(), partitionsPanel(),
			recentPanel(), throughputPanel(), qualityPanel()]
	};
}
