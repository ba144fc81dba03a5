/*
 * dom.js - elements, without innerHTML
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The page's Content-Security-Policy requires trusted types and allows none,
 * so text of the database can only become text.
 */

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
	for (const [name, value] of Object.entries(props || {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith("on"))
			element.addEventListener(name.slice(2), value);
		else if (name === "class")
			element.setAttribute("class", value);
		else if (name === "data")
			Object.assign(element.dataset, value);
		else if (name in element && typeof value !== "string")
			element[name] = value;
		else
			element.setAttribute(name, value === true ? "" : value);
	}
	append(element, children);
	return element;
}

function append(element, children) {
	for (const child of children.flat(Infinity)) {
		if (child === undefined || child === null || child === false)
			continue;
		element.append(child);
	}
}

/** An HTML element: h("p", {class: "x", onclick: f}, "text", child, ...). */
export function h(tag, props, ...children) {
	return fill(document.createElement(tag), props, children);
}

/** The same of SVG. */
export function s(tag, props, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

/** A text whose names ("press-0012"), with the comma after them, are broken only
 *  where there is no room. */
export function unbroken(text) {
	return text.split(/(\S*-[\p{L}\p{N}_-]*\p{N}\b[,:;.]*)/u).map((part, i) =>
		i % 2 === 1 ? h("span", { class: "whole" }, part) : part);
}

/** Replace what is in an element. */
export function replace(element, ...children) {
	element.replaceChildren();
	append(element, children);
}

/** Set an element's text, if it is another one. */
export function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

/* The items with names: the key, with a number where it is not the first one
 * that has it. */
function named(items, key) {
	const counts = new Map();

	return items.map((item) => {
		const name = String(key(item));
		const n = (counts.get(name) || 0) + 1;
		counts.set(name, n);
		return [n === 1 ? name : `${name} #${n}`, item];
	});
}

/**
 * Make the children of an element those of a list, each by its key; what is
 * there already is kept, so that focus and selection stay where they are.
 * create(item) gives an element, update(element, item) brings it up to date.
 * With frozen, present ones keep their places and new ones are left out;
 * returns how many changes of that kind are waiting.
 */
export function reconcile(parent, items, { key, create, update, frozen }) {
	const present = new Map();
	let waiting = 0;

	for (const child of parent.children)
		present.set(child.dataset.key, child);
	if (frozen) {
		const wanted = new Map(named(items, key));
		for (const [name, child] of present) {
			if (wanted.has(name))
				update(child, wanted.get(name));
			else {
				child.classList.add("gone");
				waiting++;
			}
		}
		for (const name of wanted.keys())
			waiting += present.has(name) ? 0 : 1;
		return waiting;
	}
	let before = parent.firstElementChild;
	for (const [name, item] of named(items, key)) {
		let child = present.get(name);
		if (child) {
			present.delete(name);
			child.classList.remove("gone");
		} else {
			child = create(item);
			child.dataset.key = name;
		}
		update(child, item);
		if (child === before)
			before = before.nextElementSibling;
		else
			parent.insertBefore(child, before);
	}
	for (const child of present.values())
		child.remove();
	return 0;
}

/** Is somebody at it, so that it must not move under pointer or focus? */
export function isInUse(element) {
	return element.matches(":hover") ||
		(element.contains(document.activeElement) &&
			document.activeElement !== document.body);
}
