/*
 * uuid.h - identifiers in the form that other programs expect
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * 128 bits of the caller's choosing, written as a version 4 UUID (RFC 9562):
 * six bits are taken for version and variant.
 */
#ifndef FM_UUID_H
#define FM_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define FM_UUID_LEN 36			/* without a NUL */

/* Write FM_UUID_LEN bytes, letters in lower case. */
extern void fm_uuid_format(uint64_t high, uint64_t low, char *to);

/* Do the FM_UUID_LEN bytes at s look like a UUID, of whatever version? */
extern bool fm_uuid_is(const char *s);

#endif							/* FM_UUID_H */
