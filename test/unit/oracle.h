/*-------------------------------------------------------------------------
 *
 * oracle.h
 *	  A second opinion on what a factory message is.
 *
 * The oracle decides by itself, with json-c's tree and code that shares
 * nothing with the decoder, whether a payload is to be accepted and, if not,
 * with which reason.  It is slow and simple on purpose.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ORACLE_H
#define FM_ORACLE_H

#include "../../src/reading.h"

/*
 * Decode the payload and compare with the oracle: the reason, and for an
 * accepted one every member, and that the message can be rebuilt from the
 * reading.  Returns false with a complaint if anything is wrong; *reason is
 * what the decoder said.
 */
extern bool oracle_agrees(const char *payload, size_t len, FmArena *arena,
						  FmRejectReason *reason,
						  char *complaint, size_t size);

#endif							/* FM_ORACLE_H */
