/*-------------------------------------------------------------------------
 *
 * expect.h
 *	  What the unit tests of the decoder are written with.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_EXPECT_H
#define FM_EXPECT_H

#include "../../src/reading.h"

/* One line of TAP. */
extern void ok(bool passed, const char *format, ...)
			__attribute__((format(printf, 2, 3)));

/* The plan; returns the exit code. */
extern int	done_testing(void);

/* Decode len bytes from memory that ends right behind them; free *copy. */
extern void decode(const char *payload, size_t len, FmArena *arena,
				   FmDecoded *decoded, char **copy);

/* The reason must be this one, and the oracle must agree. */
extern void expect_bytes(const char *payload, size_t len,
						 FmRejectReason expected, const char *name);
extern void expect(const char *payload, FmRejectReason expected);

/* The canonical message with another value behind a member's name. */
extern void expect_with(const char *member, const char *value,
						FmRejectReason expected);

/* n times text, in malloc'ed memory. */
extern char *repeat(const char *text, int n);

/* CPU time, so that a busy machine does not make a test fail. */
extern double cpu_seconds(void);

#endif							/* FM_EXPECT_H */
