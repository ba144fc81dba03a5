/*-------------------------------------------------------------------------
 *
 * mapping_test.h
 *	  What the tests of mapped formats share.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MAPPING_TEST_H
#define FM_MAPPING_TEST_H

#include "../../src/mapping_internal.h"

/*
 * The one time zone that these tests know is "Test/East", so many hours ahead
 * of UTC, where on 2025-06-01 03:00 was skipped to 04:00 and on 2025-10-01 the
 * hour from 03:00 came twice: nothing else about it is like any real zone.
 */
#define TEST_ZONE_HOURS		2

extern const FmZones test_zones;

/* Compile, or end the program with the error. */
extern FmFormat *compile_or_die(const char *mapping, FmArena *arena);

/* A scalar of the message that no column and not extra has; data NULL: none */
extern FmSlice find_lost(const FmFormat *format, FmSlice message,
						 const FmDecoded *decoded);

/*
 * False: the readings make another message.  They may also not tell which one
 * it was; *told counts when they do.
 */
extern bool compose_again(const FmFormat *format, FmSlice message,
						  const FmDecoded *decoded, FmArena *arena, int *told);

/* mapping_random.c */
extern void test_random(void);

#endif							/* FM_MAPPING_TEST_H */
