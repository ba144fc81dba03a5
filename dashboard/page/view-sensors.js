/*
 * view-sensors.js - all sensors of a place, and one of them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { ago, fullTime, measure, number, t, time, word } from "./i18n.js";
import { address } from "./api.js";
import { causeOf, placeOf, sensorLink } from "./alarm-list.js";
import { Chart, spanOf } from "./chart.js";
import { csvLink, empty, Panel, place, Table, truncated } from "./panel.js";
import { h, replace, setText } from "./dom.js";
import { levelBadge, stateBadge } from "./symbols.js";
import { now, Source } from "./source.js";

const RANGES = [[900, "15m"], [3600, "1h"], [21600, "6h"], [86400, "24h"],
	[604800, "7d"]];

/* --------------------------------------------------------------------
 * Many
 * ----------------------------------------------------------------- */

function sensorTable() {
	return new Table({
		caption: t("sensors.title"),
		key: (row) => `${row.pipeline} ${row.sensor_id}`,
		columns: [
			{ title: t("sensors.sensor"), cell: (row) => sensorLink(row) },
			{ title: t("alarms.level"), sign: (row) => row.level,
				cell: (row) => levelBadge(row.state === "active" ||
					row.state === "expected" || row.state === "late" ?
					row.level : "unknown") },
			{ title: t("sensors.value"), number: true,
				cell: (row) => measure(row.value, row.unit) },
			{ title: t("sensors.state"), sign: (row) => row.state + row.reason,
				cell: (row) => h("span", {}, stateBadge(row.state),
					row.reason ? ` ${row.reason}` : "") },
			{ title: t("sensors.last"), class: "nowrap",
				cell: (row) => ago(row.last_seen_age_seconds) },
			{ title: t("sensors.type"), cell: (row) => row.sensor_type || "–" },
			{ title: t("sensors.place"), cell: placeOf }
		]
	});
}

export function sensors({ parameters }) {
	const chosen = {
		section: parameters.get("section"), zone: parameters.get("zone"),
		machine: parameters.get("machine")
	};
	const source = new Source("/api/sensors", {
		parameters: chosen, interval: 5000
	});
	const words = Object.values(chosen).filter(Boolean);
	const filter = h("input", {
		id: "filter", type: "search", "aria-label": t("alarms.filter"),
		placeholder: t("alarms.filter.place"),
		value: parameters.get("filter") || ""
	});
	const table = sensorTable();
	const panel = new Panel({
		title: words.length > 0 ? words.join(" › ") : t("sensors.all"),
		sources: [source], id: "sensors",
		tools: [filter, csvLink(address("/api/sensors.csv", chosen)),
			words.length > 0 ? h("a", { href: "#/sensors" }, t("sensors.all")) :
				null],
		render(body, self) {
			const wanted = filter.value.toLowerCase().split(/\s+/);
			const rows = source.data.sensors.filter((row) => {
				const text = Object.values(row).join(" ").toLowerCase();
				return wanted.every((part) => text.includes(part));
			});

			self.remarkOf(truncated(source.data, source.data.sensors));
			if (rows.length === 0) {
				empty(body, t("sensors.empty"));
				return;
			}
			place(body, table.element);
			table.show(rows);
		}
	});

	filter.addEventListener("input", () => {
		parameters.set("filter", filter.value);
		window.history.replaceState(null, "", `#/sensors?${parameters}`);
		panel.update();
	});
	return {
		title: t("nav.sensors"), heading: t("nav.sensors"), panels: [panel]
	};
}

/* --------------------------------------------------------------------
 * One
 * ----------------------------------------------------------------- */

function rangeTools(name, parameters, seconds) {
	return h("div", { class: "form", role: "group", "aria-label": t("sensor.range") },
		RANGES.map(([length, range]) => h("button", {
			class: "small", "aria-pressed": String(length === seconds),
			onclick: () => {
				const query = new URLSearchParams(parameters);
				query.set("seconds", length);
				location.hash = `#/sensor/${encodeURIComponent(name)}?${query}`;
			}
		}, t(`range.${range}`))));
}

/* Of all readings, not of slices. */
function summaryOf(name, points, unit) {
	const readings = points.reduce((sum, point) => sum + point.readings, 0);

	return t("sensor.summary", {
		sensor: name, n: number(readings),
		from: time(points[0].at, now()),
		to: time(points[points.length - 1].at, now()),
		min: measure(Math.min(...points.map((point) => point.minimum)), unit),
		max: measure(Math.max(...points.map((point) => point.maximum)), unit),
		average: measure(points.reduce((sum, point) =>
			sum + point.average * point.readings, 0) / readings, unit)
	});
}

function pointsTable(unit) {
	return new Table({
		caption: t("sensor.chart"), key: (point) => point.at,
		columns: [
			{ title: t("sensor.from"), class: "nowrap",
				cell: (point) => fullTime(point.at) },
			{ title: t("sensor.average"), number: true,
				cell: (point) => measure(point.average, unit) },
			{ title: t("sensor.min"), number: true,
				cell: (point) => measure(point.minimum, unit) },
			{ title: t("sensor.max"), number: true,
				cell: (point) => measure(point.maximum, unit) },
			{ title: t("sensor.count"), number: true,
				cell: (point) => number(point.readings) },
			{ title: t("alarms.level"), cell: (point) => word("level", point.level) }
		]
	});
}

function chartPanel(asked, source, tools) {
	const canvas = h("div", { class: "chart", "aria-hidden": "true" });
	const summary = h("p", { class: "muted" });
	const details = h("details", {}, h("summary", {}, t("sensor.table")));
	const element = h("div", {}, canvas, summary, details);
	const chart = new Chart(canvas);
	let table = null;
	let drawn = 0;
	const panel = new Panel({
		title: t("sensor.chart"), sources: [source], id: "chart", tools,
		render(body) {
			const { points, limits } = source.data;
			const unit = limits[0]?.unit;

			if (limits.length === 0 && points.length === 0) {
				empty(body, t("sensor.unknown"));
				return;
			}
			if (points.length === 0) {
				empty(body, t("sensor.empty"));
				return;
			}
			place(body, element);
			if (drawn === source.receivedAt)
				return;
			drawn = source.receivedAt;
			const gaps = chart.show(points, {
				limits: limits[0], unit,
				interval: limits[0]?.expected_interval_seconds
			}, spanOf(source.data, asked));
			setText(summary, summaryOf(asked.sensor, points, unit) + (gaps > 0 ?
				` ${t("sensor.summary.gaps", { n: number(gaps) })}` : ""));
			if (details.open) {
				table ??= pointsTable(unit);
				if (!table.element.isConnected)
					details.append(table.element);
				table.show([...points].reverse());
			}
		}
	});

	details.addEventListener("toggle", () => {
		drawn = 0;
		panel.update();
	});
	return { panel, end: () => chart.end() };
}

const LIMIT_NAMES = ["critical_high", "warning_high", "warning_low",
	"critical_low"];

function limitsPanel(source) {
	return new Panel({
		title: t("sensor.limits"), sources: [source], width: "w4", id: "limits",
		render(body) {
			const limits = source.data.limits[0];

			if (!limits) {
				empty(body, t("limit.none"));
				return;
			}
			const text = JSON.stringify(limits);
			if (body.dataset.text === text)
				return;
			body.dataset.text = text;
			replace(body, h("table", {}, h("tbody", {}, LIMIT_NAMES.map((name) =>
				h("tr", {}, h("th", { scope: "row" }, t(`limit.${name}`)),
					h("td", { class: "number" }, limits[name] === null ?
						t("limit.none") : measure(limits[name], limits.unit)))))));
		}
	});
}

function sensorAlarmsPanel(source) {
	const table = new Table({
		caption: t("sensor.alarms"),
		key: (event) => `${event.at} ${event.event} ${event.condition}`,
		columns: [
			{ title: t("pipeline.when"), class: "nowrap",
				cell: (event) => time(event.at, now()) },
			{ title: t("pipeline.what"), cell: (event) => word("event", event.event) },
			{ title: t("alarms.level"), cell: (event) => word("level", event.level) },
			{ title: t("alarms.condition"), cell: causeOf },
			{ title: t("alarms.who"), cell: (event) => event.by || "–" },
			{ title: t("dialog.comment"), cell: (event) => event.comment || "–" }
		]
	});

	return new Panel({
		title: t("sensor.alarms"), sources: [source], width: "w8", id: "history",
		render(body) {
			if (source.data.alarms.length === 0) {
				empty(body, t("alarms.empty"));
				return;
			}
			place(body, table.element);
			table.show(source.data.alarms);
		}
	});
}

export function sensor({ argument: name, parameters }) {
	const seconds = Number(parameters.get("seconds")) || 3600;
	const asked = {
		sensor: name, pipeline: parameters.get("pipeline"), seconds,
		to: parameters.get("to")
	};
	const source = new Source("/api/sensor-series", {
		parameters: asked, interval: seconds > 21600 ? 15000 : 2000
	});
	const { panel, end } = chartPanel(asked, source, [
		rangeTools(name, parameters, seconds),
		csvLink(address("/api/sensor-series.csv", asked))
	]);

	return {
		title: name, heading: t("sensor.title", { sensor: name }),
		panels: [panel, limitsPanel(source), sensorAlarmsPanel(source)], end
	};
}
