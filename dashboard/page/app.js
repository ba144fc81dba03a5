/*
 * app.js - the page: its bar, its views and what belongs to all of them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A view has an address behind the #, with its filter, range and sensor:
 * #/sensor/temp-001?seconds=3600.  A view is a function of its address that
 * gives a title and panels.
 */
import { get } from "./api.js";
import { announce, announceNow, onEvent, start } from "./live.js";
import { alarms, events, partitions, plant, refreshAll, status } from "./source.js";
import { Bar } from "./bar.js";
import { h, replace, setText } from "./dom.js";
import { loadSession } from "./session.js";
import { measure, setTimeZone, t, tn } from "./i18n.js";
import { startKeys } from "./keys.js";
import { overview } from "./view-overview.js";
import { sensor, sensors } from "./view-sensors.js";
import { alarmsView } from "./view-alarms.js";
import { citiesView } from "./view-cities.js";
import { pipelineView } from "./view-pipeline.js";
import { producersView, rejectsView } from "./view-others.js";

const VIEWS = {
	"": overview,
	sensors,
	sensor,
	alarms: alarmsView,
	cities: citiesView,
	pipeline: pipelineView,
	producers: producersView,
	rejects: rejectsView
};

const bar = new Bar(Object.keys(VIEWS), draw);
let ends = [];

/** What is behind the #: { name, argument, parameters }. */
function address() {
	const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
	const [name, ...rest] = path.split("/");

	return {
		name: name in VIEWS ? name : "",
		argument: decodeURIComponent(rest.join("/")),
		parameters: new URLSearchParams(query || "")
	};
}

function draw() {
	const here = address();
	const view = VIEWS[here.name](here);
	const main = document.getElementById("content");

	ends.forEach((end) => end());
	document.title = `${view.title} – ${t("app.name")}`;
	setText(document.getElementById("skip"), t("nav.skip"));
	replace(main, view.heading ? h("h2", {}, view.heading) : null,
		view.panels.map((panel) => panel.element));
	ends = [...view.panels.map((panel) => panel.open()), view.end || (() => {})];
	bar.draw(here.name);
}

/* --------------------------------------------------------------------
 * What happens
 * ----------------------------------------------------------------- */

let waiting = null;
let several = 0;

/* Many events at once are one look. */
function look(paths) {
	clearTimeout(waiting);
	waiting = setTimeout(() => refreshAll(paths), 150);
}

function tellAlarm(alarm) {
	several++;
	if (alarm.announced && alarm.level === "critical")
		announceNow(t("alarms.new", {
			sensor: alarm.sensor_id || "",
			value: measure(alarm.value, alarm.unit)
		}));
	else if (alarm.announced)
		announce(tn("panel.changed", several));
	setTimeout(() => { several = 0; }, 5000);
}

onEvent((event) => {
	if (event.type === "alarm") {
		tellAlarm(event.data);
		look([alarms.path, plant.path, events.path, status.path]);
	} else if (event.type === "reset")
		look(null);
	else if (event.type === "status") {
		look([status.path, partitions.path]);
		bar.update();
	}
});

async function begin() {
	try {
		setTimeZone((await get("/api/settings")).time_zone);
	} catch {
		/* times are the browser's then, and say so */
	}
	await loadSession();
	bar.start();
	window.addEventListener("hashchange", () => {
		draw();
		document.getElementById("content").focus();
		window.scrollTo(0, 0);
	});
	draw();
	startKeys();
	start();
}

begin();
