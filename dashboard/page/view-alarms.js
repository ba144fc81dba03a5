/*
 * view-alarms.js - alarms: present, blocked, what happened, key figures
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { causeOf, datedCauseOf, isBlocked, isUnacknowledged, lastAlarm, markOf,
	placeOf, sensorLink, showActions, stateOf } from "./alarm-list.js";
import { alarms, events, kpi, now } from "./source.js";
import { number, t, time, word } from "./i18n.js";
import { csvLink, empty, Panel, place, Table, truncated } from "./panel.js";
import { isLoggedIn, loginHere } from "./session.js";
import { h } from "./dom.js";

function matches(alarm, filter) {
	const text = [alarm.sensor_id, alarm.machine_id, alarm.zone,
		alarm.factory_section, alarm.sensor_type, alarm.condition, alarm.level,
		alarm.pipeline].join(" ").toLowerCase();

	return filter.toLowerCase().split(/\s+/).every((part) => text.includes(part));
}

function actionsCell(alarm) {
	const element = h("div", { class: "actions" });

	showActions(element, alarm, false);
	return element;
}

function alarmTable(label) {
	return new Table({
		caption: label,
		key: (alarm) => `${alarm.pipeline} ${alarm.sensor_id} ${alarm.condition} ${
			alarm.alarm_id}`,
		rowClass: (alarm) => isUnacknowledged(alarm) ? "unacknowledged" : "",
		columns: [
			{ title: t("alarms.level"), sign: (a) => a.level + a.state + a.shown_state,
				cell: markOf },
			{ title: t("alarms.sensor"), cell: (a) => sensorLink(a) },
			{ title: t("alarms.condition"), cell: datedCauseOf },
			{ title: t("alarms.place"), class: "nowrap", cell: placeOf },
			{ title: t("alarms.state"), cell: stateOf },
			{ title: t("alarms.since"), class: "nowrap",
				cell: (a) => time(a.raised_at || a.since, now()) },
			{ title: t("alarms.actions"),
				sign: (a) => JSON.stringify([a.shown_state, a.state,
					a.announced_event_id, isLoggedIn()]),
				cell: actionsCell }
		]
	});
}

/* Its rows know their alarm, for keys and buttons. */
function showAlarms(table, list) {
	table.show(list);
	[...table.tbody.children].forEach((row) => {
		row.dataset.alarm = "";
		row.alarm = list.find((alarm) =>
			`${alarm.pipeline} ${alarm.sensor_id} ${alarm.condition} ${
				alarm.alarm_id}` === row.dataset.key) || row.alarm;
	});
}

function alarmsPanel(title, wanted, filter, id, tools) {
	const table = alarmTable(title);
	const nothing = () => id === "blocked" ? t("alarms.blocked.empty") :
		`${t("alarms.empty")} ${lastAlarm()}`;

	return new Panel({
		title, sources: [alarms], id, tools,
		render(body, panel) {
			const list = alarms.data.alarms.filter((alarm) => wanted(alarm) &&
				matches(alarm, filter.value));

			panel.remarkOf(truncated(alarms.data, alarms.data.alarms));
			if (list.length === 0) {
				empty(body, nothing());
				return;
			}
			place(body, table.element);
			showAlarms(table, list);
		}
	});
}

function historyPanel(filter) {
	const table = new Table({
		caption: t("alarms.history"),
		key: (event) => event.event_id || `${event.at} ${event.event}`,
		columns: [
			{ title: t("pipeline.when"), class: "nowrap",
				cell: (e) => time(e.at, now()) },
			{ title: t("alarms.sensor"), cell: (e) => e.sensor_id ?
				sensorLink(e) : "–" },
			{ title: t("pipeline.what"), cell: (e) => word("event", e.event) },
			{ title: t("alarms.level"), cell: (e) => word("level", e.level) },
			{ title: t("alarms.condition"), cell: (e) => causeOf(e) },
			{ title: t("alarms.who"), cell: (e) => e.by || "–" },
			{ title: t("dialog.comment"), cell: (e) => e.detail || "–" }
		]
	});

	return new Panel({
		title: t("alarms.history"), sources: [events], id: "history",
		tools: [csvLink("/api/recent-alerts.csv?limit=1000")],
		render(body, panel) {
			const list = events.data.alerts.filter((event) =>
				event.kind === "alarm" && matches(event, filter.value));

			panel.remarkOf(truncated(events.data, events.data.alerts));
			if (list.length === 0) {
				empty(body, t("alarms.empty"));
				return;
			}
			place(body, table.element);
			table.show(list);
		}
	});
}

/* Figures of ISA-18.2 as alarm_kpi() gives them, with its goals. */
const FIGURES = [
	["per_10_minutes", 2], ["largest_bin", 0], ["bins_above_10_percent", 1],
	["floods", 0], ["flood_percent", 1], ["calls", 0],
	["response_p95_seconds", 0], ["chattering_alarms", 0], ["standing", 0],
	["stale", 0]
];

function kpiPanel() {
	return new Panel({
		title: t("alarms.kpi"), sources: [kpi], id: "kpi",
		tools: [csvLink("/api/kpi.csv?hours=24")],
		render(body) {
			const rows = kpi.data.positions;
			const names = rows.length > 0 ? FIGURES.filter(([name]) =>
				name in rows[0]) : [];

			if (rows.length === 0) {
				empty(body, t("kpi.empty"));
				return;
			}
			this.table ??= new Table({
				caption: t("alarms.kpi"), key: (row) => row.position,
				columns: [{ title: t("kpi.position"),
					cell: (row) => row.position },
				...names.map(([name, digits]) => ({
					title: t(`kpi.${name}`), number: true,
					cell: (row) => number(row[name], digits)
				}))]
			});
			place(body, this.table.element);
			this.table.show(rows);
		}
	});
}

export function alarmsView({ parameters }) {
	const filter = h("input", {
		id: "filter", type: "search", placeholder: t("alarms.filter.place"),
		"aria-label": t("alarms.filter"), value: parameters.get("filter") || ""
	});
	const panels = [
		alarmsPanel(t("alarms.present"), (alarm) => !isBlocked(alarm), filter,
			"present", [filter, loginHere(), csvLink("/api/alarms.csv?limit=1000")]),
		alarmsPanel(t("alarms.blocked"), isBlocked, filter, "blocked", []),
		historyPanel(filter), kpiPanel()
	];

	filter.addEventListener("input", () => {
		const text = filter.value;
		window.history.replaceState(null, "", text ?
			`#/alarms?filter=${encodeURIComponent(text)}` : "#/alarms");
		panels.slice(0, 3).forEach((panel) => panel.update());
	});
	return { title: t("nav.alarms"), heading: t("nav.alarms"), panels };
}
