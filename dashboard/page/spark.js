/*
 * spark.js - a small line without axes, and the same in words
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { s } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 56;

export function sparkline(className = "spark") {
	return s("svg", {
		class: className, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
		preserveAspectRatio: "none"
	}, s("title", {}), s("path", { class: "base", d: `M0 ${HEIGHT - 1}H${WIDTH}` }),
	s("path", { class: "line", "vector-effect": "non-scaling-stroke" }));
}

/** list: [[x, y], ...] in the order of x; a gap where y is null. */
export function updateSparkline(svg, list, words) {
	const known = list.filter(([, y]) => y !== null);
	const top = Math.max(1e-9, ...known.map(([, y]) => y)) * 1.1;
	const from = list[0]?.[0] ?? 0;
	const span = Math.max(1, (list[list.length - 1]?.[0] ?? 1) - from);
	let path = "";
	let pen = "M";

	for (const [x, y] of list) {
		if (y === null) {
			pen = "M";
			continue;
		}
		path += `${pen}${((x - from) / span * WIDTH).toFixed(1)} ${
			(HEIGHT - 1 - y / top * (HEIGHT - 3)).toFixed(1)}`;
		pen = "L";
	}
	svg.querySelector(".line").setAttribute("d", path);
	svg.querySelector("title").textContent = words;
}
