/*-------------------------------------------------------------------------
 *
 * mapping.h
 *	  Formats of messages as mappings: JSON that says where in a message the
 *	  parts of a reading are.
 *
 * A mapping is compiled once, by fm_format_compile(), and then used for every
 * message, by fm_decode().  Like the decoder of the format "factory" this is
 * pure: no PostgreSQL, no librdkafka, no state between messages, and memory
 * from the arena that is passed only.  docs/formats.md is the language.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MAPPING_H
#define FM_MAPPING_H

#include "reading.h"

/* The format that has a decoder of its own. */
#define FM_FACTORY_FORMAT	"factory"

/* Largest accepted mapping, in bytes. */
#define FM_MAX_MAPPING		(64 * 1024)

/* What a clock's time means. */
typedef enum FmLocalTime
{
	FM_LOCAL_UNIQUE,
	FM_LOCAL_AMBIGUOUS,			/* came twice; the later one was taken */
	FM_LOCAL_MISSING			/* never came: the clock skipped it */
} FmLocalTime;

/* Knowledge of time zones, which this module does not have. */
typedef struct FmZones
{
	void	   *context;

	/* The zone of an IANA name, or NULL if there is none. */
	void	   *(*find) (void *context, const char *name);

	/* Seconds since 2000-01-01 on the clocks of the zone, to those of UTC. */
	FmLocalTime (*to_utc) (void *zone, int64_t local, int64_t *utc);

	/* What the clocks of the zone show then. */
	int64_t		(*from_utc) (void *zone, int64_t utc);
} FmZones;

typedef struct FmFormat FmFormat;

#define FM_MAPPING_PLACE	256

/* Why a mapping is no mapping. */
typedef struct FmMappingError
{
	char		place[FM_MAPPING_PLACE];	/* JSON Pointer into the mapping; "" is all */
	char		message[224];	/* a clause: "must be a string, not a number" */
} FmMappingError;

/*
 * Compile a mapping.  The format lives in the arena and needs neither text
 * nor error afterwards, but zones.  NULL: error says why.
 */
extern FmFormat *fm_format_compile(const char *text, size_t len,
								   const FmZones *zones, FmArena *arena,
								   FmMappingError *error);

/* Decode messages with fm_decode_factory(), which is faster, from now on. */
extern void fm_format_use_factory(FmFormat *format);

/*
 * Decode one message.  payload may hold any bytes; it is never read beyond
 * len.  A message is taken whole or refused; without any reading it is taken
 * only if what should hold them is an empty array.
 */
extern void fm_decode(const FmFormat *format, const char *payload, size_t len,
					  FmArena *arena, FmDecoded *result);

/*
 * The other direction: the message that these readings are all readings of, as
 * JSON in the arena that equals it as a value; extra is that of the first one.
 * False if the readings do not tell.  Whether they are this format's at all is
 * for the caller to see, by decoding the message.
 */
extern bool fm_compose(const FmFormat *format, const FmReading *readings,
					   int nreadings, FmSlice extra, FmArena *arena,
					   FmSlice *message);

/* ---- what is not as the format expects it ---- */

/* Longest path and example that are reported, in bytes. */
#define FM_DRIFT_PATH		255
#define FM_DRIFT_EXAMPLE	64

/* Most findings of one message; the last one may be FM_DRIFT_MORE. */
#define FM_DRIFT_MAX		100

typedef enum FmDriftKind
{
	FM_DRIFT_NEW_MEMBER,
	FM_DRIFT_CHANGED_TYPE,
	FM_DRIFT_MISSING_MEMBER,
	FM_DRIFT_MORE				/* has findings that are not listed */
} FmDriftKind;

typedef struct FmDrift
{
	FmDriftKind kind;
	FmSlice		path;			/* JSON Pointer; '@' before it: from the element
								 * of the array of readings */
	FmSlice		example;		/* of the value as written; clipped */
} FmDrift;

extern const char *fm_drift_name(FmDriftKind kind);

/*
 * Find out what is strange about a message whose JSON was accepted
 * (FmDecoded.strange).  Calls report for each finding, once for a path
 * and kind; its slices do not outlive the call.
 */
typedef void (*FmDriftReport) (void *arg, const FmDrift *drift);
extern void fm_drift_scan(const FmFormat *format, const char *payload,
						  size_t len, FmDriftReport report, void *arg);

/* ---- formats that come with the extension ---- */

typedef struct FmBuiltinFormat
{
	const char *name;
	const char *mapping;
	const char *description;
} FmBuiltinFormat;

extern const FmBuiltinFormat fm_builtin_formats[];
extern const int fm_nbuiltin_formats;

/* NULL: there is none of that name. */
extern const FmBuiltinFormat *fm_builtin_format(const char *name);

#endif							/* FM_MAPPING_H */
