/*
 * malform.h - messages that nobody should accept
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Each form breaks one rule that a strict reader of the format cannot
 * overlook; what is a matter of taste (a missing unit, say) is not here.  Of
 * formats other than the canonical one less is certain: where a reader might
 * be more generous, nothing is broken.  A consumer keeps every one of them,
 * byte for byte, as a reject.
 */
#ifndef FM_MALFORM_H
#define FM_MALFORM_H

#include "format.h"

#define FM_MALFORM_MAX 32		/* forms; a set of them is a bit mask */

/* NULL beyond the last form. */
extern const char *fm_malform_name(int form);
extern const char *fm_malform_help(int form);

/* The set named by a comma-separated list, 0 if a name is unknown. */
extern uint32_t fm_malform_parse(const char *names);

/* Append one malformed message, its form drawn from the set. */
extern void fm_malform_put(const FmFormat *format, FmBuf *out,
						   FmPieces *pieces, FmRng *rng, uint32_t set,
						   const FmReading *reading, int64_t timestamp);

#endif							/* FM_MALFORM_H */
