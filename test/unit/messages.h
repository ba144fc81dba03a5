/*-------------------------------------------------------------------------
 *
 * messages.h
 *	  The canonical message and variations of it, for tests.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MESSAGES_H
#define FM_MESSAGES_H

#include <stddef.h>

#define CANONICAL \
	"{\"timestamp\":\"2025-09-16T21:41:41.011144Z\"," \
	"\"sensor_id\":\"temp-sensor-001\"," \
	"\"sensor_type\":\"temperature\"," \
	"\"location\":{\"factory_section\":\"production\"," \
	"\"machine_id\":\"machine-001\",\"zone\":\"zone-a\"}," \
	"\"value\":42.48,\"unit\":\"\xC2\xB0" "C\",\"alert_level\":\"critical\"," \
	"\"quality\":1.0,\"metadata\":{\"reading_count\":14," \
	"\"warning_threshold\":35.0,\"critical_threshold\":40.0}}"

/* malloc() that does not fail. */
extern void *xmalloc(size_t size);

/*
 * The canonical message with another text in place of a member's value, or
 * without the member; malloc'ed.  Members are found wherever they are.
 */
extern char *message_with(const char *member, const char *value);
extern char *message_without(const char *member);

#endif							/* FM_MESSAGES_H */
