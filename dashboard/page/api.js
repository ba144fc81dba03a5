/*
 * api.js - asking the service
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */

const TIMEOUT_MS = 12000;

/** What went wrong: status 0 is that nothing was heard; code is the
 * service's. */
export class ApiError extends Error {
	constructor(status, code, detail, retryAfter) {
		super(detail || code || String(status));
		this.status = status;
		this.code = code;
		this.retryAfter = retryAfter;
	}
}

async function ask(path, options) {
	let response;
	let body = null;

	try {
		response = await fetch(path, {
			cache: "no-cache", credentials: "same-origin",
			signal: AbortSignal.timeout(TIMEOUT_MS), ...options
		});
		const type = response.headers.get("content-type") || "";
		if (type.includes("json"))
			body = await response.json();
	} catch (error) {
		throw new ApiError(0, "unreachable", String(error.message));
	}
	if (!response.ok)
		throw new ApiError(response.status, body?.code || "http",
			body?.detail || body?.title,
			Number(response.headers.get("retry-after")) || null);
	return body;
}

/** GET; parameters that are null are left out. */
export function get(path, parameters) {
	return ask(address(path, parameters));
}

export function address(path, parameters) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters || {}))
		if (value !== null && value !== undefined && value !== "")
			query.set(name, value);
	return query.size > 0 ? `${path}?${query}` : path;
}

/** Would a file have but the first rows?  What cannot be asked is no. */
export async function isTruncated(path) {
	try {
		const response = await fetch(path, {
			method: "HEAD", cache: "no-cache", credentials: "same-origin",
			signal: AbortSignal.timeout(TIMEOUT_MS)
		});
		return response.headers.get("x-truncated") === "true";
	} catch {
		return false;
	}
}

/** POST of JSON, in the name of a session (its token), if there is one. */
export function post(path, value, token) {
	const headers = { "Content-Type": "application/json" };
	if (token)
		headers["X-CSRF-Token"] = token;
	return ask(path, { method: "POST", headers, body: JSON.stringify(value) });
}
