/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  Bytes of one Kafka message in, readings or a rejection reason out.
 *
 * This module is pure: it knows neither PostgreSQL nor librdkafka, keeps no
 * state between messages, never exits and never reports.  All memory that a
 * decoded message needs beyond the payload itself comes from the caller's
 * arena, so that a batch of messages is freed in one step.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READING_H
#define FM_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest accepted strings, in bytes of UTF-8. */
#define FM_MAX_SENSOR_ID	255
#define FM_MAX_NAME			255 /* factory_section, machine_id, zone */
#define FM_MAX_SHORT_NAME	63	/* sensor_type, unit, alert_level */
#define FM_MAX_UNIQUE_ID	255

/* Most readings that one message may hold; their indexes are smallints. */
#define FM_MAX_READINGS		5000

/* Deepest accepted nesting of arrays and objects; the message itself is 1. */
#define FM_MAX_DEPTH		64

/* Largest accepted payload, in bytes. */
#define FM_MAX_PAYLOAD		(64 * 1024 * 1024)

/* A string that is not NUL-terminated; data is NULL where there is none. */
typedef struct FmSlice
{
	const char *data;
	int			len;
} FmSlice;

/*
 * Memory for what cannot point into the payload (unescaped strings, the text
 * of members without a column).  Chunks are malloc'ed and kept for reuse;
 * fm_arena_reset() makes everything handed out so far invalid.
 */
typedef struct FmArenaChunk FmArenaChunk;
typedef struct FmArena
{
	FmArenaChunk *first;
	FmArenaChunk *current;
	bool		out_of_memory;	/* sticky until reset */
} FmArena;

extern void fm_arena_init(FmArena *arena);
extern void *fm_arena_alloc(FmArena *arena, size_t size);

/* Of what was allocated last only the first bytes are needed. */
extern void fm_arena_trim(FmArena *arena, void *last, size_t needed);
extern void fm_arena_reset(FmArena *arena);
extern void fm_arena_free(FmArena *arena);

/* Levels, as stored in bits 0-1 of the level code. */
typedef enum FmLevel
{
	FM_LEVEL_NORMAL = 0,
	FM_LEVEL_WARNING = 1,
	FM_LEVEL_CRITICAL = 2
} FmLevel;

/* Which limit was crossed; bits 2-3 of the level code. */
typedef enum FmSide
{
	FM_SIDE_NONE = 0,
	FM_SIDE_LOW = 1,
	FM_SIDE_HIGH = 2
} FmSide;

/* The producer's own claim; bits 4-6 of the level code. */
typedef enum FmReported
{
	FM_REPORTED_NONE = 0,		/* no alert_level in the message */
	FM_REPORTED_NORMAL = 1,
	FM_REPORTED_WARNING = 2,
	FM_REPORTED_CRITICAL = 3,
	FM_REPORTED_OTHER = 7		/* another string, kept in extra */
} FmReported;

#define FM_LEVEL_CODE(level, side, reported) \
	((int16_t) ((level) | ((side) << 2) | ((reported) << 4)))
#define FM_CODE_LEVEL(code)		((FmLevel) ((code) & 3))
#define FM_CODE_SIDE(code)		((FmSide) (((code) >> 2) & 3))
#define FM_CODE_REPORTED(code)	((FmReported) (((code) >> 4) & 7))

/*
 * Bits 7-10 of the level code of a reading that was judged: its target, which
 * is its level and side after the deadband; see lifecycle.h.
 */
#define FM_TARGET_CODE(level, side)		((int16_t) ((level) << 7 | (side) << 9))
#define FM_CODE_TARGET_LEVEL(code)		((FmLevel) (((code) >> 7) & 3))
#define FM_CODE_TARGET_SIDE(code)		((FmSide) (((code) >> 9) & 3))

/*
 * Flags of a stored reading (smallint).  Bits 0-2: how many digits the
 * fraction of the original timestamp had (0-6) when it was written in UTC
 * with a 'Z'; FM_TS_TEXT: written in another way, original text in extra.
 */
#define FM_FLAG_TS_DIGITS		0x0007
#define FM_TS_TEXT				7
#define FM_FLAG_LATE			0x0008	/* older than the last evaluated one */
#define FM_FLAG_FUTURE			0x0010	/* ahead of the message's timestamp */
#define FM_FLAG_NOT_FOLDED		0x0020	/* replayed or retried: raises nothing */
#define FM_FLAG_LOW_QUALITY		0x0040	/* quality below the bound: not judged */
#define FM_FLAG_CLOCK_SET		0x0080	/* its sensor's clock was set back */

/*
 * One measured value.  Slices point into the payload or the arena and live
 * as long as both.
 */
typedef struct FmReading
{
	int64_t		ts;				/* microseconds since 2000-01-01 00:00 UTC */
	double		value;			/* finite */
	FmSlice		sensor_id;		/* 1 .. FM_MAX_SENSOR_ID bytes */
	FmSlice		sensor_type;	/* 1 .. FM_MAX_SHORT_NAME bytes */
	FmSlice		factory_section;	/* may be empty, never absent */
	FmSlice		machine_id;
	FmSlice		zone;
	FmSlice		unit;
	FmReported	reported;
	bool		has_quality;
	float		quality;		/* 0 .. 1; round-trips as shortest decimal */
	bool		has_reading_count;
	int32_t		reading_count;
	bool		has_warning_threshold;
	double		warning_threshold;	/* the producer's own limits */
	bool		has_critical_threshold;
	double		critical_threshold;
	int			ts_digits;		/* 0-6, or FM_TS_TEXT */
	FmSlice		unique_id;		/* the producer's own id of this reading, at most
								 * FM_MAX_UNIQUE_ID bytes; data NULL: none */
	FmSlice		extra;			/* JSON object text of what the columns do not
								 * hold exactly; data NULL: nothing */
} FmReading;

/* Why a message is refused.  The order is part of no contract. */
typedef enum FmRejectReason
{
	FM_REJECT_NONE = 0,
	FM_REJECT_EMPTY_PAYLOAD,
	FM_REJECT_TOO_LARGE,
	FM_REJECT_INVALID_UTF8,
	FM_REJECT_INVALID_JSON,
	FM_REJECT_TOO_DEEP,
	FM_REJECT_DUPLICATE_KEY,
	FM_REJECT_NUL_CHARACTER,
	FM_REJECT_NOT_AN_OBJECT,
	FM_REJECT_MISSING_MEMBER,
	FM_REJECT_WRONG_TYPE,
	FM_REJECT_EMPTY_STRING,
	FM_REJECT_TOO_LONG,
	FM_REJECT_INVALID_TIMESTAMP,
	FM_REJECT_NUMBER_OUT_OF_RANGE,
	FM_REJECT_VALUE_OUT_OF_RANGE,
	FM_REJECT_PATTERN_MISMATCH,
	FM_REJECT_TOO_MANY_READINGS,
	FM_REJECT_OUT_OF_MEMORY,
	/* the ones below are found by callers, not by the decoder */
	FM_REJECT_TIMESTAMP_OUT_OF_WINDOW,
	FM_REJECT_TOO_MANY_SENSORS,
	FM_REJECT_TOO_MANY_PARTITIONS,
	FM_REJECT_BAD_HEARTBEAT,
	FM_REJECT_DATABASE			/* refused by the database itself */
} FmRejectReason;

/* The outcome of decoding one message. */
typedef struct FmDecoded
{
	FmRejectReason reason;		/* FM_REJECT_NONE: nreadings are valid */
	int			nreadings;		/* 0 or more */
	FmReading  *readings;		/* in the arena */
	bool		strange;		/* it has, or may have, what its format does not
								 * expect: worth a look by fm_drift_scan() */
	char		detail[192];	/* one sentence for people, NUL-terminated,
								 * valid UTF-8; empty if reason is none */
} FmDecoded;

/*
 * Decode one message of format "factory".  payload may hold any bytes; it is
 * never read beyond len and need not be NUL-terminated.
 */
extern void fm_decode_factory(const char *payload, size_t len, FmArena *arena,
							  FmDecoded *result);

/* "normal", "warning", "critical", "other", or NULL where there is none. */
extern const char *fm_reported_name(FmReported reported);

/* Stable one-word name of a reason ("missing_member") and its SQLSTATE. */
extern const char *fm_reject_reason_name(FmRejectReason reason);
extern const char *fm_reject_reason_sqlstate(FmRejectReason reason);

/*
 * Parse an RFC 3339 timestamp with offset.  Returns false if it is not one
 * or outside years 0001-9999.  Sub-microsecond digits are cut off (and then
 * *digits is FM_TS_TEXT).  Leap second 60 is taken as the following second.
 */
extern bool fm_parse_rfc3339(const char *text, int len, int64_t *ts,
							 int *digits);

/*
 * Write ts in UTC with the given number of fractional digits (0-6, else 6)
 * and 'Z' into buf (at least 32 bytes); returns the length, or 0 if ts is
 * not in the years 0001-9999.
 */
extern int	fm_format_rfc3339(int64_t ts, int digits, char *buf);

/*
 * Write a finite number as JSON, in the fewest digits that identify it; buf
 * has FM_NUMBER_BUFFER bytes.  Returns the length.  This is the form in which
 * a number of a message comes back from its column.
 */
#define FM_NUMBER_BUFFER	40
extern int	fm_format_double(double value, char *buf);
extern int	fm_format_float(float value, char *buf);

#endif							/* FM_READING_H */
