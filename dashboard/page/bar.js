/*
 * bar.js - the bar above each view: is the plant well, is it current, must I act
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { chooseLanguage, currentLanguage, fullTime, languages, number, t, time,
	zoneName } from "./i18n.js";
import { h, replace, setText } from "./dom.js";
import { anyCity, isPaused, now, producers, setPaused, status } from "./source.js";
import { showHelp } from "./keys.js";
import { silentOf } from "./gone.js";
import { judge } from "./verdict.js";
import { sessionTools } from "./session.js";
import { symbol } from "./symbols.js";

const THEME = "factorymon.theme";
const THEMES = ["auto", "light", "dark"];
const SYMBOLS = { normal: "well", loading: "unknown" };

function applyTheme() {
	const theme = localStorage.getItem(THEME);

	if (theme === "light" || theme === "dark")
		document.documentElement.dataset.theme = theme;
	else
		delete document.documentElement.dataset.theme;
}

function choice(label, names, current, words, choose) {
	return h("label", {}, h("span", { class: "hidden" }, label), h("select", {
		"aria-label": label, title: label,
		onchange: (event) => choose(event.target.value)
	}, names.map((name) => h("option", {
		value: name, selected: name === current
	}, words(name)))));
}

export class Bar {
	constructor(names, redraw) {
		this.names = names.filter((name) => name !== "sensor");
		this.redraw = redraw;
		this.name = "";
	}

	start() {
		applyTheme();
		this.verdict = h("div", { class: "verdict" });
		this.heading = h("h1", {});
		this.words = h("div", { class: "words" });
		this.clock = h("span", { class: "nowrap" });
		this.nav = h("nav", {});
		this.tools = h("div", { class: "tools" });
		replace(this.verdict, this.heading, this.words);
		replace(document.getElementById("bar"), this.verdict,
			h("div", { class: "row" }, this.nav, this.tools));
		status.watch(() => this.update());
		producers.watch(() => this.update());
		anyCity.watch(() => this.offerCities());
		setInterval(() => this.showClock(), 1000);
	}

	/** For a view, and in the present language. */
	draw(name) {
		this.name = name === "sensor" ? "sensors" : name;
		this.nav.setAttribute("aria-label", t("nav.label"));
		replace(this.nav, h("ul", {}, this.names.map((view) => h("li", {},
			h("a", {
				href: `#/${view}`, data: { view },
				"aria-current": view === this.name ? "page" : null
			}, t(`nav.${view || "overview"}`))))));
		this.offerCities();
		this.drawTools();
		this.seen = null;
		this.update();
	}

	/* Where no pipeline has any, nothing speaks of cities. */
	offerCities() {
		const link = this.nav.querySelector("[data-view=cities]");

		if (link)
			link.parentElement.hidden = this.name !== "cities" &&
				!(anyCity.data?.cities.length > 0);
	}

	drawTools() {
		this.pause = h("button", {
			"aria-pressed": String(isPaused()),
			onclick: () => {
				setPaused(!isPaused());
				this.drawTools();
				this.update();
			}
		}, t(isPaused() ? "settings.resume" : "settings.pause"));
		replace(this.tools, this.clock, h("span", { class: "muted nowrap" },
			t("settings.every", { seconds: number(status.interval / 1000) })),
		this.pause,
		choice(t("settings.language"), languages(), currentLanguage(),
			(name) => t(`language.${name}`), (name) => {
				chooseLanguage(name);
				this.redraw();
			}),
		choice(t("settings.theme"), THEMES,
			localStorage.getItem(THEME) || "auto",
			(name) => t(`theme.${name}`), (name) => {
				localStorage.setItem(THEME, name);
				applyTheme();
				this.redraw();
			}),
		h("button", { title: t("settings.help"), "aria-label": t("settings.help"), onclick: showHelp }, "?"),
		sessionTools(() => this.redraw()));
		this.showClock();
	}

	showClock() {
		const date = new Date(now());

		setText(this.clock, `${time(date)} ${zoneName(date)}`);
		this.clock.title = fullTime(date);
	}

	update() {
		const verdict = judge(status, silentOf(producers.data?.producers)
			.map((producer) => producer.producer));
		const signature = JSON.stringify([verdict.kind, currentLanguage()]);

		if (signature !== this.seen) {
			this.seen = signature;
			this.verdict.className = `verdict ${verdict.kind}`;
			replace(this.heading, symbol(SYMBOLS[verdict.kind] || verdict.kind),
				t(`verdict.${verdict.kind}`));
		}
		this.showWords(verdict.words);
		this.showBanner();
	}

	showWords(words) {
		const text = words.map((part) => part.text).join(" · ");

		if (this.words.dataset.text === text)
			return;
		this.words.dataset.text = text;
		replace(this.words, words.map((part) => h("span", {
			class: part.act ? "act" : ""
		}, part.text)));
	}

	/* What concerns everything that is shown. */
	showBanner() {
		const banner = document.getElementById("banner");
		const database = status.data?.database;
		const at = time(this.lastGoodAt(), now());
		let texts = [];

		if (status.error)
			texts = [t("banner.unreachable", { at })];
		else if (database?.state === "down")
			texts = [t("banner.database", {
				since: time(database.since, now()), at
			}), database.error ? t("banner.database.cause",
				{ cause: database.error }) : ""];
		else if (isPaused())
			texts = [t("settings.paused")];
		banner.hidden = texts.length === 0;
		if (banner.dataset.text !== texts.join(" ")) {
			banner.dataset.text = texts.join(" ");
			replace(banner, texts.map((text) => h("span", {}, text)));
		}
	}

	lastGoodAt() {
		if (status.data && status.data.database?.state !== "down" && !status.error)
			this.good = status.receivedAt;
		return this.good || null;
	}
}
