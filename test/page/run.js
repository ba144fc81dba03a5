/*
 * run.js - run tests of the page by their names: node run.js NAME...
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Only test/perl/FactorymonPage.pm can start it (see harness.js).  A file of
 * tests exports "tests", and "long" for what is run with FACTORYMON_LONG only.
 */
import { calm, check, note, stop } from "./harness.js";

for (const name of process.argv.slice(2)) {
	const { tests, long = [] } = await import(`./${name}.js`);

	for (const test of process.env.FACTORYMON_LONG ? [...tests, ...long] : tests) {
		const began = Date.now();
		try {
			await test();
		} catch (error) {
			check(false, `${name}: ${test.name}`, error.stack);
		}
		calm(`${name}: ${test.name}`);
		note(`${name}, ${test.name}: ${(Date.now() - began) / 1000} s`);
	}
}
await stop();
