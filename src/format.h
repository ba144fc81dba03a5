/*-------------------------------------------------------------------------
 *
 * format.h
 *	  Formats of messages, as configured.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FORMAT_H
#define FM_FORMAT_H

#include "postgres.h"

#include "mapping.h"

/*
 * Compile a mapping, as UTF-8 text; it lives as long as the context.  An error
 * of the mapping is thrown and names the format, or no format if name is NULL.
 */
extern FmFormat *fm_format_make(const char *name, const char *mapping,
								MemoryContext context);

/*
 * The format of a pipeline: a built-in one by its name if mapping is NULL, else
 * what the mapping says.
 */
extern FmFormat *fm_format_open(const char *name, const char *mapping,
								MemoryContext context);

/* The format of that name, from the table in the caller's transaction. */
extern FmFormat *fm_format_find(const char *name, MemoryContext context);

/*
 * Throws an error unless there is a format of that name; holds on to its row
 * until the end of the transaction.  Within SPI, as the extension's owner.
 */
extern void fm_format_require(const char *name);

/* format_zone.c: what PostgreSQL knows of time zones. */
extern FmZones fm_format_zones(MemoryContext context);

#endif							/* FM_FORMAT_H */
