/*
 * dialog.js - asking for something
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { h, setText } from "./dom.js";
import { t } from "./i18n.js";

let numbers = 0;

/** A dialog of the browser's own: it keeps the focus, Esc closes it. */
export function open(title, content, buttons) {
	const name = `dialog-${++numbers}`;
	const before = document.activeElement;
	const dialog = h("dialog", { "aria-labelledby": name },
		h("h2", { id: name }, title), content, buttons);

	document.body.append(dialog);
	dialog.addEventListener("close", () => {
		dialog.remove();
		if (before?.isConnected)
			before.focus();
	});
	dialog.showModal();
	return dialog;
}

function control(field, id) {
	const common = {
		id, name: field.name, "aria-required": field.required ? "true" : null
	};

	if (field.options)
		return h("select", common, field.options.map(([value, text]) =>
			h("option", { value }, text)));
	return h("input", {
		...common, type: field.type || "text", maxlength: "1000",
		autocomplete: field.autocomplete || "off", spellcheck: "false"
	});
}

/**
 * Ask for some fields: [{ name, label, required, type, options }].  act(values)
 * does it; what it throws is shown, and one may try again.  Resolves to true if
 * it was done, false if it was left.
 */
export function ask({ title, fields, missing, submit, act }) {
	return new Promise((resolve) => {
		const problem = h("p", { class: "problem", role: "alert" });
		const inputs = fields.map((field, i) => control(field, `field-${i}`));
		const button = h("button", { class: "primary", type: "submit" }, submit);
		let done = false;
		const form = h("form", {
			novalidate: true,
			onsubmit: async (event) => {
				event.preventDefault();
				const empty = inputs.find((input, i) => fields[i].required &&
					input.value.trim() === "");
				if (empty) {
					setText(problem, missing);
					empty.setAttribute("aria-invalid", "true");
					empty.focus();
					return;
				}
				button.disabled = true;
				setText(problem, "");
				try {
					await act(Object.fromEntries(inputs.map((input) =>
						[input.name, input.value])));
					done = true;
					dialog.close();
				} catch (error) {
					setText(problem, error.message);
					button.disabled = false;
				}
			}
		}, fields.map((field, i) => h("label", { for: `field-${i}` },
			field.label, inputs[i])), problem,
		h("div", { class: "buttons" }, h("button", {
			type: "button", onclick: () => dialog.close()
		}, t("dialog.cancel")), button));
		const dialog = open(title, form);

		dialog.addEventListener("close", () => resolve(done));
		inputs[0]?.focus();
	});
}
