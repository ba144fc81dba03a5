/*
 * lines.js - a chart with a line for each of several things
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Lines differ by colour and by how they are dashed, so that nobody has to tell
 * colours apart; the legend below shows a piece of each, names it, and hides or
 * shows it.
 */
import uPlot from "./uplot.js";
import { axisTime, measure, t, time } from "./i18n.js";

const COLORS = ["--series", "--series-2", "--series-3", "--series-4"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
/* More lines than so many differ by nothing. */
export const MOST_LINES = 8;
const HEIGHT = 300;

function color(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Line number i. */
function colorOf(i) {
	return color(COLORS[i % COLORS.length]) || color("--series");
}

function dashOf(i) {
	return DASHES[(i + Math.floor(i / COLORS.length)) % DASHES.length];
}

/** A piece of the line as a background: dashes and gaps, in pixels. */
export function sampleOf(i) {
	const stops = [];
	let at = 0;

	dashOf(i).forEach((length, j) => {
		stops.push(`${j % 2 === 0 ? colorOf(i) : "transparent"} ${at}px ${at + length}px`);
		at += length;
	});
	return stops.length === 0 ? colorOf(i) :
		`repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}

/** Columns for uPlot of rows { at, name, value }: one for each name, null in a
 * minute that has none. */
export function columnsOfLines(rows, names, from, to) {
	const minutes = [];
	const columns = names.map(() => []);
	const places = new Map(names.map((name, i) => [name, i]));

	for (let at = Math.floor(from / 60) * 60; at <= to; at += 60) {
		minutes.push(at);
		columns.forEach((column) => column.push(null));
	}
	for (const row of rows) {
		const i = Math.round((Date.parse(row.at) / 1000 - minutes[0]) / 60);

		if (places.has(row.name) && i >= 0 && i < minutes.length)
			columns[places.get(row.name)][i] = row.value;
	}
	return [minutes, ...columns];
}

/* Values that no line leads to or from: they would not be seen. */
function alone(plot, series) {
	const values = plot.data[series];

	return [...values.keys()].filter((i) => values[i] !== null &&
		(values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
}

/** A chart in an element; show(columns, names, unit). */
export class Lines {
	constructor(element) {
		this.element = element;
		this.plot = null;
		this.observer = new ResizeObserver(() => this.resize());
		this.observer.observe(element);
	}

	width() {
		return Math.max(240, this.element.clientWidth);
	}

	resize() {
		if (this.plot && Math.abs(this.plot.width - this.width()) > 1)
			this.plot.setSize({ width: this.width(), height: HEIGHT });
	}

	options(names, unit) {
		const axis = {
			stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 },
			ticks: { stroke: color("--line"), width: 1 },
			font: "13px system-ui, sans-serif"
		};

		return {
			width: this.width(), height: HEIGHT, cursor: { drag: { x: false } },
			legend: { markers: { width: 0, fill: (plot, series) =>
				series === 0 ? "transparent" : sampleOf(series - 1) } },
			axes: [{ ...axis, space: 90, values: (plot, ticks) =>
				ticks.map((tick) => axisTime(tick * 1000, 3600)) },
			{ ...axis, size: 56, values: (plot, ticks) =>
				ticks.map((tick) => measure(tick)) }],
			series: [{ label: t("pipeline.when"), value: (plot, x) =>
				x === null ? "–" : time(x * 1000, Date.now()) },
			...names.map((label, i) => ({
				label, width: 2, spanGaps: false,
				stroke: colorOf(i), dash: dashOf(i),
				points: { show: true, size: 5, filter: alone },
				value: (plot, y) => measure(y, unit)
			}))]
		};
	}

	show(columns, names, unit) {
		const signature = JSON.stringify([names, unit, color("--page"),
			t("pipeline.when")]);

		if (this.signature === signature) {
			this.plot.setData(columns);
			return;
		}
		this.plot?.destroy();
		this.plot = new uPlot(this.options(names, unit), columns, this.element);
		this.signature = signature;
	}

	end() {
		this.observer.disconnect();
		this.plot?.destroy();
	}
}
