/*
 * etag.h - tags of what is served, and whether a client has it already
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_ETAG_H
#define FM_ETAG_H

#include <stdbool.h>
#include <stddef.h>

#define FM_ETAG_LEN 24

/* Of these bytes; a weak one says that what it leaves out does not matter. */
extern void fm_etag_make(char etag[FM_ETAG_LEN], const char *data, size_t len,
						 bool weak);

/*
 * Is it in the value of If-None-Match (NULL: there is none)?  As RFC 9110 has
 * it for that: weak and strong are the same.  An etag "" is in none.
 */
extern bool fm_etag_is_known(const char *etag, const char *if_none_match);

#endif							/* FM_ETAG_H */
