/*
 * run.js - run tests of the page by their names: node run.js NAME...
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Only test/perl/FactorymonPage.pm can start it (see harness.js).
 */
import { calm, check, note, stop } from "./harness.js";

for (const name of process.argv.slice(2)) {
	const began = Date.now();
	const { tests } = await import(`./${name}.js`);

	for (const test of tests) {
		try {
			await test();
		} catch (error) {
			check(false, `${name}: ${test.name}`, error.stack);
		}
		calm(`${name}: ${test.name}`);
	}
	note(`${name}: ${(Date.now() - began) / 1000} s`);
}
await stop();
