/*-------------------------------------------------------------------------
 *
 * heartbeat.h
 *	  The in-band heartbeat of a producer: payload in, plain values out.
 *
 * A heartbeat is a record with the header "factorymon-type: heartbeat".  It
 * travels through the topic of the readings, so that it proves the whole way
 * from the producer to the table.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEARTBEAT_H
#define FM_HEARTBEAT_H

#include "reading.h"

#define FM_TYPE_HEADER		"factorymon-type"
#define FM_TYPE_HEARTBEAT	"heartbeat"

/* A count or time that may be missing. */
typedef struct FmOptionalNumber
{
	bool		known;
	double		value;
} FmOptionalNumber;

typedef struct FmOptionalTime
{
	bool		known;
	int64_t		ts;				/* microseconds since 2000-01-01 UTC */
} FmOptionalTime;

/* Slices with data NULL are missing; they point into payload or arena. */
typedef struct FmHeartbeat
{
	FmSlice		producer_id;	/* never missing, 1 .. FM_MAX_SENSOR_ID */
	FmSlice		host;
	FmSlice		version;
	FmSlice		state;			/* running | stopped */
	FmSlice		connection;		/* up | down */
	FmOptionalNumber sensors;
	FmOptionalNumber sent;		/* records handed to the client */
	FmOptionalNumber delivered; /* records confirmed by the broker */
	FmOptionalNumber errors;
	FmOptionalNumber interval;	/* seconds between heartbeats */
	FmOptionalTime started_at;
	FmOptionalTime sent_at;
} FmHeartbeat;

/*
 * Decode a heartbeat's payload.  False: result says why it is refused.
 * Unknown members are ignored; members of a wrong type refuse it.
 */
extern bool fm_decode_heartbeat(const char *payload, size_t len,
								FmArena *arena, FmHeartbeat *heartbeat,
								FmDecoded *result);

#endif							/* FM_HEARTBEAT_H */
