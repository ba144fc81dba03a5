/*
 * view-cities.js - cities: averages now, who is worst, their last hour
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A city is a place of which nothing but the zone is known; the service orders
 * them, the most critical one first.
 */
import { ago, measure, number, t, tn, word } from "./i18n.js";
import { columnsOfLines, Lines, MOST_LINES } from "./lines.js";
import { csvLink, empty, Panel, place, Table, truncated } from "./panel.js";
import { h, replace, setText } from "./dom.js";
import { cities, now } from "./source.js";
import { levelBadge } from "./symbols.js";

const HOUR = 3600;
const UNITS = { temperature: "°C", humidity: "%" };

/** The average over cities that have a value, and how many they are. */
export function averageOf(list, name) {
	const values = list.map((city) => city[name]).filter((value) =>
		value !== null && value !== undefined);

	return {
		n: values.length,
		value: values.length === 0 ? null :
			values.reduce((sum, value) => sum + value, 0) / values.length
	};
}

/* Where several pipelines have a city of that name, which of them it is. */
function nameOf(city, list) {
	return list.some((other) => other.city === city.city &&
		other.pipeline !== city.pipeline) ?
		`${city.city} (${city.pipeline})` : city.city;
}

function nothing(body) {
	empty(body, t("cities.empty"), t("cities.next"));
}

function averagePanel() {
	const cards = Object.keys(UNITS).map((name) => ({
		name, value: h("p", { class: "big" }), of: h("p", {})
	}));
	const element = h("div", { class: "cards" }, cards.map((card) =>
		h("div", {}, h("h3", {}, t(`cities.${card.name}`)), card.value, card.of)));

	return new Panel({
		title: t("cities.now"), sources: [cities], width: "w4", id: "cities-now",
		render(body) {
			const list = cities.data.cities;

			if (list.length === 0) {
				nothing(body);
				return;
			}
			place(body, element);
			for (const card of cards) {
				const { n, value } = averageOf(list, card.name);

				setText(card.value, measure(value, UNITS[card.name]));
				setText(card.of, n > 0 ? tn("cities.count", n) :
					t("cities.silent"));
			}
		}
	});
}

function tablePanel() {
	const table = new Table({
		caption: t("cities.table"),
		key: (row) => `${row.pipeline} ${row.city}`,
		rowClass: (row) => `city ${row.status}`,
		columns: [
			{ title: t("cities.status"), sign: (row) => row.status,
				cell: (row) => levelBadge(row.status) },
			{ title: t("cities.city"), cell: (row) =>
				nameOf(row, cities.data.cities) },
			{ title: t("cities.temperature"), number: true,
				cell: (row) => measure(row.temperature, UNITS.temperature) },
			{ title: t("cities.humidity"), number: true,
				cell: (row) => measure(row.humidity, UNITS.humidity) },
			{ title: t("cities.last"), class: "nowrap", cell: (row) =>
				ago(row.last_reading_at &&
					(now() - Date.parse(row.last_reading_at)) / 1000) }
		]
	});

	return new Panel({
		title: t("cities.table"), sources: [cities], width: "w8",
		id: "cities-table",
		tools: [csvLink("/api/cities.csv?limit=1000")],
		render(body, panel) {
			const list = cities.data.cities;

			panel.remarkOf(truncated(cities.data, list));
			if (list.length === 0) {
				nothing(body);
				return;
			}
			place(body, table.element);
			table.show(list);
		}
	});
}

/* What the lines show, for those who do not see them. */
function wordsOf(columns, names, unit) {
	return names.map((city, i) => {
		const values = columns[i + 1].filter((value) => value !== null);

		return h("li", {}, values.length === 0 ?
			`${city}: ${word("level", "unknown")}` : t("cities.summary", {
				city, least: measure(Math.min(...values), unit),
				most: measure(Math.max(...values), unit),
				last: measure(values[values.length - 1], unit)
			}));
	});
}

function chartPanel(name, ends) {
	const canvas = h("div", { class: "chart lines", "aria-hidden": "true" });
	const list = h("ul", { class: "hidden" });
	const element = h("div", {}, canvas, list);
	let lines = null;

	ends.push(() => lines?.end());
	return new Panel({
		title: t(`cities.chart.${name}`), sources: [cities], width: "w6",
		id: `cities-${name}`,
		render(body, panel) {
			const all = cities.data.cities;
			const shown = all.slice(0, MOST_LINES);
			const rows = cities.data.minutes.filter((row) => row[name] !== null)
				.map((row) => ({
					at: row.minute_at, name: nameOf(row, all), value: row[name]
				}));
			const names = shown.map((city) => nameOf(city, all))
				.sort((a, b) => a.localeCompare(b));
			const to = Date.parse(cities.data.as_of) / 1000;

			panel.remarkOf(all.length > shown.length ? t("cities.few", {
				n: number(shown.length), all: number(all.length)
			}) : "");
			if (rows.length === 0) {
				empty(body, t("cities.nominutes"), t("cities.nominutes.next"));
				return;
			}
			place(body, element);
			lines ??= new Lines(canvas);
			if (panel.drawn === cities.data)
				return;
			panel.drawn = cities.data;
			const columns = columnsOfLines(rows, names, to - HOUR, to);
			lines.show(columns, names, UNITS[name]);
			replace(list, wordsOf(columns, names, UNITS[name]));
		}
	});
}

export function citiesView() {
	const ends = [];

	return {
		title: t("nav.cities"), heading: t("nav.cities"),
		panels: [tablePanel(), averagePanel(), chartPanel("temperature", ends),
			chartPanel("humidity", ends)],
		end: () => ends.forEach((end) => end())
	};
}
