/*
 * canon.h - the canonical form of a JSON text, and digests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Two JSON texts of the same value have the same canonical form, so a message
 * that went through a database can be compared with the one that was sent:
 *
 *	- no white space outside strings;
 *	- members of an object sorted by the bytes of their key (unescaped UTF-8);
 *	- a number is the IEEE double nearest to it: integral values below 1e15
 *	  in magnitude as plain integers (-0 is 0), all others as printf's "%.*g"
 *	  with the least precision that reads back as the same double;
 *	- strings in UTF-8, escaping only " \ and the control characters (as \b \f
 *	  \n \r \t where these exist, else as \u00xx in lower case).
 *
 * The digest is FNV-1a, 64 bits.
 */
#ifndef FM_CANON_H
#define FM_CANON_H

#include "buf.h"

#define FM_DIGEST_LEN 16		/* hexadecimal digits */

/*
 * Append the canonical form of one JSON text to *out.  Returns NULL, or why
 * the text has none: malformed in the sense of RFC 8259, a key twice in one
 * object, a lone surrogate, a number beyond double, nested too deeply.  On
 * failure *out is as it was.  For one thread.
 */
extern const char *fm_canon(const char *json, size_t len, FmBuf *out);

extern uint64_t fm_fnv1a64(const void *bytes, size_t len);

/* Append the digest as FM_DIGEST_LEN digits in lower case. */
extern void fm_digest_put(FmBuf *out, const void *bytes, size_t len);

/* Length of the valid UTF-8 character at s, 0 if there is none. */
extern size_t fm_utf8_len(const unsigned char *s, size_t left);

/* Append a JSON string, quotes included, minimally escaped. */
extern void fm_json_put_string(FmBuf *out, const char *s, size_t len);

#endif							/* FM_CANON_H */
