/*
 * panel.js - a part of a view, and the states it can be in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A panel shows what some sources know.  It is loading (a skeleton, after
 * 200 ms), empty (in its own words), truncated, stale (hatched, grey, dated) or
 * failed (alone, with a way to try again; what was there stays, dated).
 */
import { h, isInUse, reconcile, replace, setText } from "./dom.js";
import { isTruncated } from "./api.js";
import { ago, number, t, time, tn } from "./i18n.js";
import { now } from "./source.js";

/** Why something could not be had or done: by the service's code, or by the
 * status where the code is not known (or a proxy has answered). */
export function reasonOf(error) {
	if (error.status === 0)
		return t("error.unreachable");
	const values = { seconds: error.retryAfter ?? "–", status: error.status };
	const names = [`problem.${error.code}`, `error.${error.status}`];
	const name = names.find((known) => t(known) !== known);
	return t(name || "error.http", values);
}

let numbers = 0;

export class Panel {
	/*
	 * title: text; sources: those it shows; width: w4, w6, w8 or none;
	 * render(body, panel): called when all sources have data, and at each
	 * change; tools: elements for the header.
	 */
	constructor({ title, sources, render, width = "", tools = [], id, className = "" }) {
		const name = `panel-${++numbers}`;

		this.sources = sources;
		this.render = render;
		this.note = h("span", { class: "note" });
		this.message = h("div", { class: "message", role: "status" });
		this.body = h("div", { class: "body" }, h("div", { class: "skeleton" }),
			h("div", { class: "skeleton" }));
		this.element = h("section", {
			class: `panel ${width} ${className}`, "aria-labelledby": name, id
		}, h("header", {}, h("h2", { id: name }, title), tools, this.note),
		this.message, this.body);
		this.body.setAttribute("aria-busy", "true");
		this.seen = null;
	}

	/** Begin to show; returns how to end. */
	open() {
		const ends = this.sources.map((source) =>
			source.watch(() => this.update()));
		return () => ends.forEach((end) => end());
	}

	update() {
		const ready = this.sources.every((source) => source.data !== null);
		const failed = this.sources.find((source) => source.error);
		const stale = this.sources.some((source) => source.isStale());
		const oldest = Math.min(...this.sources.map((source) =>
			source.receivedAt || 0));

		this.element.classList.toggle("stale", ready && stale);
		setText(this.note, ready && stale ? t("panel.stale", {
			at: time(oldest, now()), age: ago((Date.now() - oldest) / 1000)
		}) : this.remark || "");
		this.showFailure(failed, ready);
		if (!ready)
			return;
		this.body.removeAttribute("aria-busy");
		/* only what is new is drawn; ages are, every second */
		this.render(this.body, this);
		this.letScroll();
	}

	/* Who has no pointer scrolls with the keys: it needs the focus for that. */
	letScroll() {
		if (this.body.scrollWidth > this.body.clientWidth + 1)
			this.body.tabIndex = 0;
		else
			this.body.removeAttribute("tabindex");
	}

	showFailure(failed, ready) {
		const text = failed && (!ready || failed.error.status !== 0) ?
			t("panel.failed", { reason: reasonOf(failed.error) }) : "";

		if (text === this.seen)
			return;
		this.seen = text;
		if (!text) {
			replace(this.message);
			return;
		}
		replace(this.message, h("span", {}, text), h("button", {
			class: "small", onclick: () => failed.refresh()
		}, t("panel.retry")));
		if (!ready)
			replace(this.body);
	}

	/** What stands beside the title. */
	remarkOf(text) {
		this.remark = text;
		if (!this.element.classList.contains("stale"))
			setText(this.note, text || "");
	}
}

/**
 * A list that does not move under pointer or focus: new and gone items wait,
 * and a bar says how many.
 */
export class QuietList {
	constructor(container, options) {
		this.container = container;
		this.options = options;
		this.forced = false;
		this.text = h("span", {});
		this.bar = h("div", { class: "changed", hidden: true }, this.text,
			h("button", {
				class: "small",
				onclick: () => {
					this.forced = true;
					this.show(this.items);
				}
			}, t("panel.show")));
	}

	show(items) {
		const frozen = !this.forced && isInUse(this.container) &&
			this.container.children.length > 0;

		this.items = items;
		this.forced = false;
		const waiting = reconcile(this.container, items, {
			...this.options, frozen
		});
		this.bar.hidden = waiting === 0;
		setText(this.text, tn("panel.changed", waiting));
	}
}

/**
 * A table whose rows are kept.  columns: [{ title, cell(item) => text or
 * element, number }]; a cell's content is replaced only if its signature
 * (text, or what sign(item) gives) is another one.
 */
export class Table {
	constructor({ columns, key, caption, rowClass }) {
		this.columns = columns;
		this.tbody = h("tbody", {});
		this.rows = new QuietList(this.tbody, {
			key,
			create: () => h("tr", {}, columns.map((column) =>
				h("td", { class: column.number ? "number" : column.class || "" }))),
			update: (row, item) => this.update(row, item)
		});
		this.rowClass = rowClass;
		this.element = h("div", {}, this.rows.bar, h("table", {},
			caption ? h("caption", { class: "hidden" }, caption) : null,
			h("thead", {}, h("tr", {}, columns.map((column) => h("th", {
				scope: "col", class: column.number ? "number" : ""
			}, column.title)))),
			this.tbody));
	}

	update(row, item) {
		this.columns.forEach((column, i) => {
			const cell = row.children[i];
			const content = column.cell(item);
			if (typeof content === "string" || content === null) {
				setText(cell, content ?? "–");
				return;
			}
			const signature = column.sign ? String(column.sign(item)) :
				content.textContent;
			if (cell.dataset.sign !== signature) {
				cell.dataset.sign = signature;
				replace(cell, content);
			}
		});
		if (this.rowClass)
			row.className = this.rowClass(item);
	}

	show(items) {
		this.rows.show(items);
	}
}

/** Put an element into a body, once. */
export function place(body, element) {
	if (body.firstElementChild !== element || body.children.length !== 1)
		replace(body, element);
}

export function empty(body, text, next) {
	const key = `${text} ${next || ""}`;
	if (body.firstElementChild?.dataset.empty === key)
		return;
	replace(body, h("div", { class: "empty", data: { empty: key } },
		h("p", {}, text), next ? h("p", { class: "code" }, next) : null));
}

/** The list of an endpoint as a file of either kind; who takes it is told beside
 * the link if there is more than what the file has.  (It is the answer that the file has,
 * too: the service makes one for all who ask within a second.) */
export function csvLink(path) {
	const note = h("span", { class: "cut", role: "status" });
	const file = (address, name) => h("a", {
		href: address, download: "",
		onclick: async (event) => {
			const link = event.currentTarget.href;

			setText(note, "");
			setText(note, await isTruncated(link) ? t("panel.cut") : "");
		}
	}, t(name));

	return h("span", { class: "csv" }, file(path, "panel.csv"), " ",
		file(path.replace(".csv", ".xlsx"), "panel.xlsx"), note);
}

export function truncated(answer, list) {
	return answer.truncated ?
		t("panel.truncated", { n: number(list.length) }) : "";
}
