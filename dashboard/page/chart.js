/*
 * chart.js - readings of a sensor over time, with its limits
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The band is from least to most of each slice, so that a spike stays visible;
 * the line is the average.  Where nothing came the line is broken; what stands
 * alone is a dot.  The nearest limits are always within the axis, drawn and named
 * at its end.  The axis of time is what was asked for, however little of it has
 * readings.
 */
import uPlot from "./uplot.js";
import { axisTime, measure, t, time } from "./i18n.js";

const LIMITS = ["critical_high", "warning_high", "warning_low", "critical_low"];
/* A pause longer than so many usual intervals is a gap. */
const GAP = 3;

function color(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* The usual distance of two points: the median. */
function usualStep(points) {
	const steps = points.slice(1).map((point, i) => point.x - points[i].x)
		.sort((a, b) => a - b);

	return steps.length > 0 ? steps[Math.floor(steps.length / 2)] : 0;
}

/** Columns for uPlot, with a null where nothing came; and how many gaps. */
export function columnsOf(points, interval) {
	const list = points.map((point) => ({
		x: Date.parse(point.at) / 1000, y: point.average, low: point.minimum,
		high: point.maximum
	}));
	const step = Math.max(usualStep(list), interval || 0);
	const columns = [[], [], [], []];
	let gaps = 0;

	list.forEach((point, i) => {
		if (i > 0 && step > 0 && point.x - list[i - 1].x > GAP * step) {
			columns[0].push((point.x + list[i - 1].x) / 2);
			columns.slice(1).forEach((column) => column.push(null));
			gaps++;
		}
		columns[0].push(point.x);
		columns[1].push(point.y);
		columns[2].push(point.low);
		columns[3].push(point.high);
	});
	return { columns, gaps };
}

/** The span that an answer is about, in seconds: up to a time, or to when it
 * was so. */
export function spanOf(answer, { seconds, to }) {
	const end = Date.parse(to || answer.as_of) / 1000;

	return { from: end - seconds, to: end };
}

/** What an axis of time shows that is to show from least to most: where that is
 * all there is, the whole span; else somebody looks at a part of it. */
export function axisOf(span, times, least, most) {
	return times.length === 0 ||
		(least <= times[0] && most >= times[times.length - 1]) ?
		[span.from, span.to] : [least, most];
}

/* The limits next to what was measured, one each way. */
function nearest(limits, low, high) {
	const known = LIMITS.map((name) => limits?.[name])
		.filter((value) => value !== null && value !== undefined);

	return [
		Math.max(...known.filter((value) => value <= low), -Infinity),
		Math.min(...known.filter((value) => value >= high), Infinity)
	].filter(Number.isFinite);
}

/* Values that no line leads to or from: they would not be seen. */
function alone(plot, series) {
	const values = plot.data[series];

	return [...values.keys()].filter((i) => values[i] !== null &&
		(values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
}

function rangeOf(limits) {
	return (plot, low, high) => {
		if (low === null || high === null)
			return [0, 1];
		const all = [low, high, ...nearest(limits, low, high)];
		const least = Math.min(...all);
		const most = Math.max(...all);
		const room = (most - least || Math.abs(most) || 1) * 0.08;
		return [least - room, most + room];
	};
}

function drawLimits(limits) {
	return (plot) => {
		const { ctx, bbox } = plot;

		ctx.save();
		ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
		for (const name of LIMITS) {
			const value = limits?.[name];
			const y = value === null || value === undefined ? -1 :
				plot.valToPos(value, "y", true);

			if (y < bbox.top || y > bbox.top + bbox.height)
				continue;
			ctx.strokeStyle = color(name.startsWith("critical") ?
				"--critical" : "--warning");
			ctx.lineWidth = 2 * devicePixelRatio;
			ctx.setLineDash(name.startsWith("critical") ? [] :
				[8 * devicePixelRatio, 5 * devicePixelRatio]);
			ctx.beginPath();
			ctx.moveTo(bbox.left, y);
			ctx.lineTo(bbox.left + bbox.width, y);
			ctx.stroke();
			ctx.fillStyle = color("--text");
			ctx.textAlign = "right";
			ctx.fillText(`${t(`limit.${name}`)} ${measure(value)}`,
				bbox.left + bbox.width - 4 * devicePixelRatio,
				y - 4 * devicePixelRatio);
		}
		ctx.restore();
	};
}

function optionsOf(chart, { limits, unit }) {
	const axis = {
		stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 },
		ticks: { stroke: color("--line"), width: 1 },
		font: "13px system-ui, sans-serif"
	};

	return {
		width: Math.max(240, chart.element.clientWidth), height: 320,
		scales: {
			x: { time: true, range: (plot, least, most) =>
				axisOf(chart.span, plot.data[0], least, most) },
			y: { range: rangeOf(limits) }
		},
		cursor: { drag: { x: true, y: false } },
		/* as far apart as a time is wide */
		axes: [{ ...axis, space: 90, values: (plot, ticks) => ticks.map((tick) =>
				axisTime(tick * 1000, plot.scales.x.max - plot.scales.x.min)) },
			{ ...axis, size: 64, label: unit,
				values: (plot, ticks) => ticks.map((tick) => measure(tick)) }],
		series: [
			{ label: t("pipeline.when"), value: (plot, x) => x === null ? "–" :
				time(x * 1000, Date.now()) },
			{ label: t("sensor.average"), stroke: color("--series"), width: 2,
				spanGaps: false, points: {
					show: true, size: 5, fill: color("--series"), filter: alone
				},
				value: (plot, y) => measure(y, unit) },
			{ label: t("sensor.min"), stroke: "transparent", width: 0,
				spanGaps: false, points: { show: false },
				value: (plot, y) => measure(y, unit) },
			{ label: t("sensor.max"), stroke: "transparent", width: 0,
				spanGaps: false, points: { show: false },
				value: (plot, y) => measure(y, unit) }
		],
		bands: [{ series: [3, 2], fill: color("--band") }],
		hooks: { draw: [drawLimits(limits)] }
	};
}

/** A chart in an element; show(points, { limits, unit, interval }, span). */
export class Chart {
	constructor(element) {
		this.element = element;
		this.plot = null;
		this.observer = new ResizeObserver(() => this.resize());
		this.observer.observe(element);
	}

	resize() {
		const width = Math.max(240, this.element.clientWidth);

		if (this.plot && Math.abs(this.plot.width - width) > 1)
			this.plot.setSize({ width, height: 320 });
	}

	/** Returns how many gaps there are. */
	show(points, about, span) {
		const { columns, gaps } = columnsOf(points, about.interval);
		const signature = JSON.stringify([about, color("--page"), t("sensor.min")]);

		this.span = span;
		if (this.signature !== signature) {
			this.plot?.destroy();
			this.plot = new uPlot(optionsOf(this, about), columns,
				this.element);
			this.signature = signature;
		} else
			this.plot.setData(columns);
		return gaps;
	}

	end() {
		this.observer.disconnect();
		this.plot?.destroy();
	}
}
