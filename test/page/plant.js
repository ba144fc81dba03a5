/*
 * plant.js - alarms as the tests want them
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import { becomes, sql } from "./harness.js";

/** A limit that the n-th sensor of temperature is beyond; its name. */
export async function limit(n, level, value = -1000) {
	await sql(`INSERT INTO factorymon.threshold (sensor_type, sensor_id, ${level}) `
		+ `SELECT sensor_type, sensor_id, ${value} FROM factorymon.latest_readings `
		+ "WHERE sensor_type = 'temperature' ORDER BY sensor_id "
		+ `OFFSET ${n} LIMIT 1`);
	return sql("SELECT sensor_id FROM factorymon.threshold "
		+ "WHERE sensor_id IS NOT NULL ORDER BY threshold_id DESC LIMIT 1");
}

/** No such limits any more, and what they raised is over. */
export async function quiet() {
	/* far away, not gone: those of the type would have alarms return later */
	await sql("UPDATE factorymon.threshold SET critical_high = 9000, "
		+ "warning_high = NULL WHERE sensor_id IS NOT NULL");
	await becomes(() => sql("SELECT count(*) FROM factorymon.alarms "
		+ "WHERE state LIKE 'active%'"), "0", "alarms return");
	await sql("DELETE FROM factorymon.threshold WHERE sensor_id IS NOT NULL");
	await sql("SELECT factorymon.acknowledge(announced_event_id, 'seen') FROM "
		+ "factorymon.alarms WHERE state = 'returned_unacknowledged'");
	await becomes(() => sql("SELECT count(*) FROM factorymon.alarms "
		+ "WHERE state <> 'normal'"), "0", "and are over");
}
