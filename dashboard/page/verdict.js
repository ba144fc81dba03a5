/*
 * verdict.js - the plant in one word, and why
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Well is only what is known to be well: whatever keeps us from knowing (no
 * answer, no database, no ingest, old data) makes it "not known", but an alarm
 * that is known of stays one.
 */
import { ago, duration, number, t, time, tn, word } from "./i18n.js";
import { now } from "./source.js";

/* Data older than this are no news of the plant, whatever its sensors' pace. */
const OLD_SECONDS = 30;

function sum(pipelines, name) {
	return pipelines.reduce((total, pipeline) => total + (pipeline[name] || 0), 0);
}

/* Of those that should run, how it is with the worst. */
function ingestOf(pipelines) {
	const order = ["running", "lagging", "degraded", "paused", "down"];

	return pipelines.reduce((worst, pipeline) =>
		order.indexOf(pipeline.state) > order.indexOf(worst) ?
			pipeline.state : worst, "running");
}

/* Why what we have is not of now; null: it is. */
function blindnessOf(source) {
	const database = source.data.database;

	if (source.error)
		return t("verdict.why.unreachable");
	if (database?.state === "down")
		return t("verdict.why.database", { since: time(database.since, now()) });
	if (source.isStale())
		return t("verdict.why.page", { age: ago(source.age()) });
	return null;
}

/* What else keeps us from knowing, in words; null: nothing. */
function doubtOf(pipelines, ingest, age) {
	if (pipelines.length === 0)
		return t("verdict.why.nopipeline");
	if (ingest !== "running")
		return t("verdict.why.ingest", { state: word("state", ingest) });
	if (age === null)
		return t("verdict.why.nodata");
	if (age > OLD_SECONDS)
		return t("verdict.why.stale", { age: duration(age) });
	return null;
}

function alarmWords(critical, warning, unacknowledged, gone) {
	const words = [];

	if (critical > 0)
		words.push({ text: tn("verdict.alarms.critical", critical), act: true });
	if (warning > 0)
		words.push({ text: tn("verdict.alarms.warning", warning) });
	if (gone.length > 0)
		words.push({ text: tn("verdict.gone", gone.length, { name: gone[0] }),
			act: true });
	if (unacknowledged > 0)
		words.push({ text: t("verdict.alarms.unacknowledged",
			{ n: number(unacknowledged) }), act: true });
	else if (critical + warning === 0)
		words.push({ text: t("verdict.alarms.none") });
	else if (gone.length === 0)
		words.push({ text: t("verdict.act.none") });
	return words;
}

/** { kind, words: [{ text, act }] } of what the source of the status knows, and
 * of the names of producers that are gone: what they would send, nobody knows. */
export function judge(source, gone = []) {
	if (source.data === null)
		return source.error ?
			{ kind: "unknown", words: [{ text: t("verdict.why.unreachable") }] } :
			{ kind: "loading", words: [] };

	const all = source.data.pipelines || [];
	const pipelines = all.filter((pipeline) => pipeline.state !== "off");
	const ingest = ingestOf(pipelines);
	const ages = pipelines.map((pipeline) => pipeline.data_age_seconds)
		.filter((age) => age !== null);
	const sinceAnswer = source.age();
	const age = ages.length > 0 ? Math.max(...ages) + sinceAnswer : null;
	const blindness = blindnessOf(source);
	const doubt = blindness || doubtOf(pipelines, ingest, age);
	const critical = sum(pipelines, "alarms_critical");
	const warning = sum(pipelines, "alarms_warning");
	const lag = Math.max(0, ...pipelines.map((pipeline) =>
		pipeline.lag_seconds || 0));
	const known = source.data.pipelines !== null;
	const words = known ? alarmWords(critical, warning,
		sum(pipelines, "alarms_unacknowledged"), gone) : [];

	if (known && pipelines.length > 0)
		words.push({ text: t(lag < 0.1 ? "verdict.ingest.current" :
			"verdict.ingest", {
			state: word("state", ingest), lag: duration(lag)
		}) }, { text: age === null ? t("verdict.data.none") :
			t("verdict.data", { age: duration(age) }) });
	if (doubt)
		words.unshift({ text: doubt, act: true });
	return {
		kind: critical > 0 && !blindness ? "critical" :
			doubt ? "unknown" : warning > 0 ? "warning" :
				gone.length > 0 ? "unknown" : "normal",
		words
	};
}
