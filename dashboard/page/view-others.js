/*
 * view-others.js - producers, and messages that were rejected
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { ago, number, t, time, tn, word } from "./i18n.js";
import { goneOf } from "./gone.js";
import { csvLink, empty, Panel, place, Table, truncated } from "./panel.js";
import { h } from "./dom.js";
import { now, producers, rejects } from "./source.js";
import { stateBadge } from "./symbols.js";

/* The worst first: who is gone is what one comes for. */
const ORDER = ["silent", "unknown", "late", "stopped", "active"];

function producersPanel() {
	const table = new Table({
		caption: t("producers.title"),
		key: (row) => `${row.pipeline} ${row.producer}`,
		rowClass: (row) => row.state === "silent" ? "unacknowledged" : "",
		columns: [
			{ title: t("producers.producer"), cell: (row) => row.producer },
			{ title: t("producers.state"), sign: (row) => row.state + row.reason,
				cell: (row) => h("span", {}, stateBadge(row.state),
					row.reason ? ` ${row.reason}` : "") },
			{ title: t("producers.heartbeat"),
				cell: (row) => ago(row.heartbeat_age_seconds) },
			{ title: t("producers.connection"), cell: (row) => row.connection ?
				word("connection", row.connection) : "–" },
			{ title: t("producers.sensors"), number: true,
				cell: (row) => number(row.sensors) },
			{ title: t("producers.sent"), number: true,
				cell: (row) => number(row.sent) },
			{ title: t("producers.delivered"), number: true,
				cell: (row) => number(row.delivered) },
			{ title: t("producers.errors"), number: true,
				cell: (row) => number(row.errors) },
			{ title: t("producers.host"), cell: (row) => row.host || "–" }
		]
	});

	return new Panel({
		title: t("producers.title"), sources: [producers], id: "producers",
		tools: [csvLink("/api/producer-health.csv?limit=1000")],
		render(body, panel) {
			const rows = [...producers.data.producers].sort((a, b) =>
				ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
				a.producer.localeCompare(b.producer));
			const gone = goneOf(rows).length;

			panel.remarkOf(truncated(producers.data, rows) || (gone > 0 ?
				tn("producers.gone", gone) : t("producers.all")));
			if (rows.length === 0) {
				panel.remarkOf("");
				empty(body, t("producers.empty"));
				return;
			}
			place(body, table.element);
			table.show(rows);
		}
	});
}

/* As text again: bytes beyond ASCII come as \ooo, a backslash as two. */
function unescaped(text) {
	const bytes = [];

	for (const [, octal, other] of text.matchAll(
		/\\([0-7]{3}|\\)|([^\\])/gs)) {
		if (octal === "\\")
			bytes.push(92);
		else
			bytes.push(octal ? parseInt(octal, 8) : other.charCodeAt(0));
	}
	return new TextDecoder().decode(new Uint8Array(bytes));
}

function rejectsPanel() {
	const table = new Table({
		caption: t("rejects.title"),
		key: (row) => `${row.pipeline} ${row.kafka_partition} ${row.kafka_offset}`,
		columns: [
			{ title: t("rejects.when"), class: "nowrap",
				cell: (row) => time(row.rejected_at, now()) },
			{ title: t("rejects.where"), class: "nowrap",
				cell: (row) => `${row.kafka_partition}, ${row.kafka_offset}` },
			{ title: t("rejects.reason"), cell: (row) => row.detail ?
				`${row.reason}: ${row.detail}` : row.reason },
			{ title: t("rejects.attempts"), number: true,
				cell: (row) => number(row.attempts) },
			{ title: t("rejects.message"), cell: (row) =>
				h("code", {}, unescaped(row.beginning || "")) }
		]
	});

	return new Panel({
		title: t("rejects.title"), sources: [rejects], id: "rejects",
		tools: [csvLink("/api/rejects.csv?limit=1000")],
		render(body, panel) {
			panel.remarkOf(truncated(rejects.data, rejects.data.rejects));
			if (rejects.data.rejects.length === 0) {
				empty(body, t("rejects.empty"));
				return;
			}
			place(body, table.element);
			table.show(rejects.data.rejects);
		}
	});
}

export function producersView() {
	return {
		title: t("nav.producers"), heading: t("nav.producers"),
		panels: [producersPanel()]
	};
}

export function rejectsView() {
	return {
		title: t("nav.rejects"), heading: t("nav.rejects"),
		panels: [rejectsPanel()]
	};
}
