/*-------------------------------------------------------------------------
 *
 * hashtable.h
 *	  PostgreSQL's simplehash.h, without the warning it causes here.
 *
 * Set the macros that simplehash.h asks for, then include this instead.  It
 * has no include guard, since every hash table of a file includes it anew.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow=compatible-local"
#endif
#include "lib/simplehash.h"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
