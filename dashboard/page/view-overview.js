/*
 * view-overview.js - is the plant well, where not, is it current, must I act
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { alarmList, isBlocked, isUnacknowledged, lastAlarm } from "./alarm-list.js";
import { number, t, time, tn, word } from "./i18n.js";
import { alarms, consumers, events, metrics, now, partitions, plant, producers, status }
	from "./source.js";
import { empty, Panel, place, truncated } from "./panel.js";
import { h, reconcile, replace, setText, unbroken } from "./dom.js";
import { goneOf, producerWords } from "./gone.js";
import { newest, newsOf } from "./news.js";
import { isLoginOffered, loginHere } from "./session.js";
import { rateCard } from "./rates.js";
import { lagOf, ownerOf, trendOf } from "./lag.js";
import { symbol } from "./symbols.js";

/* Rows of the list beside the plant; more are in the view of alarms. */
const FEW = 8;
const RECENT_MS = 10 * 60000;
/* Rows of news that a screen has room for. */
const NEWS = 8;

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

/* A line each: where and how large, what waits, who is not heard of. */
function linesOf(machine) {
	const sensors = tn("plant.sensors", machine.sensors);
	/* of a place without machines the zone is the name of the tile */
	const lines = [machine.machine_id || !machine.zone ?
		`${machine.zone || t("overview.nozone")} · ${sensors}` : sensors];

	if (machine.alarms_unacknowledged > 0 && levelOf(machine) === "normal")
		lines.push(t("plant.returned"));
	if (machine.alarms_unacknowledged > 0)
		lines.push(tn("plant.unacknowledged", machine.alarms_unacknowledged));
	if (machine.sensors_missing > 0)
		lines.push(t("plant.silent", {
			n: number(machine.sensors_missing), all: number(machine.sensors)
		}));
	return lines;
}

function showLines(element, lines) {
	const text = lines.join("\n");

	if (element.dataset.text === text)
		return;
	element.dataset.text = text;
	replace(element, lines.map((line) => h("span", {}, line)));
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
	setText(tile.children[1], machine.machine_id || machine.zone ||
		t("overview.nomachine"));
	showLines(tile.children[2], linesOf(machine));
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

/* In the order of the answer, which has the worst machines first; so have the
 * sections, as a map keeps the order in which they are met. */
function sectionsOf(machines) {
	const sections = new Map();

	for (const machine of machines) {
		const name = machine.factory_section || t("overview.nosection");
		if (!sections.has(name))
			sections.set(name, { name, machines: [] });
		sections.get(name).machines.push(machine);
	}
	return [...sections.values()];
}

function plantPanel() {
	const sections = h("div", { class: "sections" });
	const legend = h("span", { class: "legend", hidden: true },
		h("span", { class: "ring", "aria-hidden": "true" }), t("plant.legend"));

	return new Panel({
		title: t("overview.plant"), sources: [plant], width: "w8", id: "plant",
		tools: [legend],
		render(body, panel) {
			const machines = plant.data.machines;

			panel.remarkOf(truncated(plant.data, machines));
			legend.hidden = !machines.some((one) => one.alarms_unacknowledged > 0);
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
	const all = h("a", { href: "#/alarms" }, t("alarms.all"));
	const more = h("a", { href: "#/alarms" });
	const rest = h("p", {}, more);
	const login = loginHere();
	const element = h("div", {}, list.element, rest);

	return new Panel({
		title: t("overview.alarms"), sources: [alarms, events], width: "side",
		className: "alarms-first", id: "alarms", tools: [all, login],
		render(body, panel) {
			const present = alarms.data.alarms.filter((alarm) =>
				!isBlocked(alarm));
			const waiting = present.filter(isUnacknowledged).length;

			const few = present.length > FEW ? t("alarms.few", {
				n: number(FEW), all: number(present.length)
			}) : "";

			login.hidden = waiting === 0 || !isLoginOffered();
			panel.remarkOf([few, waiting > 0 ? t("verdict.act",
				{ n: number(waiting) }) : ""].filter(Boolean).join(" · "));
			rest.hidden = few === "";
			setText(more, tn("alarms.more", present.length - FEW));
			if (present.length === 0) {
				empty(body, `${t("alarms.empty")} ${lastAlarm()}`);
				return;
			}
			place(body, element);
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
		render(body, panel) {
			const rows = partitions.data.partitions;

			panel.remarkOf(rows.length > 0 && rows.every((row) =>
				trendOf(row).direction === "none") ? t("trend.later") : "");
			if (rows.length === 0) {
				empty(body, t("pipeline.empty"), t("pipeline.empty.next"));
				return;
			}
			place(body, element);
			reconcile(table, rows, {
				key: (row) => `${row.pipeline} ${row.kafka_partition}`,
				create: () => h("tr", {}, h("td", {}),
					h("td", { class: "nowrap" }), h("td", {}), h("td", { class: "nowrap" })),
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
	const rejected = h("p", {});
	const outbox = h("p", {});
	const publisher = h("p", {});
	const words = h("span", {});
	/* who is gone comes first: it must be seen without scrolling */
	const senders = h("p", {}, symbol("attention"), words);
	const card = h("div", { class: "cards" }, senders, outbox, rejected,
		publisher);

	return new Panel({
		title: t("overview.quality"), sources: [status, producers], width: "w4", id: "quality",
		tools: [h("a", { href: "#/producers" }, t("nav.producers")),
			h("a", { href: "#/rejects" }, t("nav.rejects"))],
		render(body) {
			const pipelines = status.data.pipelines;

			if (!pipelines)			/* the banner says why; what was there stays */
				return;
			const total = (name) => pipelines.reduce((sum, pipeline) =>
				sum + (pipeline[name] || 0), 0);
			const states = [...new Set(pipelines.map((pipeline) =>
				pipeline.publisher_state).filter(Boolean))];
			const list = producers.data.producers;

			place(body, card);
			setText(rejected, total("rejected") > 0 ? t("quality.rejects", {
				n: number(total("rejected")), all: number(total("messages"))
			}) : t("quality.rejects.none"));
			setText(outbox, total("publisher_pending") > 0 ? t("quality.outbox",
				{ n: number(total("publisher_pending")) }) :
				t("quality.outbox.none"));
			outbox.className = total("publisher_pending") > 0 ? "big" : "";
			setText(publisher, states.length > 0 ? t("quality.publisher", {
				state: states.map((state) => word("state", state)).join(", ")
			}) : t("quality.publisher.none"));
			setText(words, producerWords(list, now()));
			senders.className = goneOf(list).length > 0 ? "notice" : "fine";
		}
	});
}

/* "21:04:11", or "21:04:11–21:04:52" */
function whenOf(piece) {
	const from = time(piece.from, now());
	const at = time(piece.at, now());

	return [h("span", { class: "nowrap" }, from),
		...from === at ? [] : [h("span", { class: "nowrap" }, `–${at}`)]];
}

function createNews(piece) {
	if (piece.skipped)
		return h("li", { class: "skipped" }, h("span", {}),
			h("a", { href: "#/alarms" }, tn("recent.skipped", piece.skipped)));
	return h("li", { class: piece.broke ? "break" : "" },
		h("span", { class: "when" }, whenOf(piece)),
		h("span", {}, piece.symbol ? [symbol(piece.symbol), " "] : null,
			piece.symbol && piece.symbol !== "attention" ?
				h("span", { class: "hidden" }, `${word("level", piece.symbol)} `) :
				null, unbroken(piece.text)));
}

function recentPanel() {
	const list = h("ol", { class: "timeline short" });
	const link = h("a", { href: "#/alarms" });
	const older = h("p", {}, link);
	const element = h("div", {}, list, older);

	return new Panel({
		title: t("overview.recent"), sources: [events, consumers, producers],
		width: "w4 tall", id: "recent",
		tools: [h("a", { href: "#/pipeline" }, t("panel.more"))],
		render(body) {
			const news = newsOf(events.data.alerts, producers.data.producers,
				now() - RECENT_MS);

			if (news.length === 0) {
				empty(body, t("overview.recent.none"));
				return;
			}
			place(body, element);
			const shown = newest(news, NEWS);

			setText(link, tn("recent.older", shown.older));
			older.hidden = shown.older === 0;
			reconcile(list, shown.pieces, {
				key: (piece) => `${piece.at} ${piece.from} ${
					piece.skipped || piece.text}`,
				create: createNews, update: () => {}
			});
		}
	});
}

export function overview() {
	return {
		title: t("nav.overview"),
		panels: [plantPanel(), alarmsPanel(), qualityPanel(),
			recentPanel(), partitionsPanel(), throughputPanel()]
	};
}
