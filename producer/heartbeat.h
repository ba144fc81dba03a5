/*
 * heartbeat.h - the producer's own sign of life
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A record among the readings, on the same topic, with the producer's id as
 * key and the header "factorymon-type: heartbeat".  It lets operators tell a
 * slow sensor from a dead process, and its payload is a JSON object:
 *
 *	producer_id, host, version
 *	state		"running", or "stopped" in the last one after a clean stop
 *	started_at	of the process, at: of this heartbeat (RFC 3339)
 *	interval	seconds to the next one
 *	sensors		how many are simulated
 *	sent, delivered, errors		since the start, heartbeats not counted;
 *				errors are failed deliveries and the library's complaints
 *	connection	"connecting", "up" or "down" as the producer knew it
 */
#ifndef FM_HEARTBEAT_H
#define FM_HEARTBEAT_H

#include "client.h"

extern void fm_heartbeat_put(FmBuf *out, const FmOptions *opt,
							 const FmStats *stats, const FmLink *link,
							 int64_t started_at, bool stopped);

#endif							/* FM_HEARTBEAT_H */
