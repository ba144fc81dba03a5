/*
 * log.h - lines on stderr, and what the database says
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * What the database says may name things that not everybody should know, so
 * no client gets it: it is logged under an id, and the client gets the id.
 */
#ifndef FM_LOG_H
#define FM_LOG_H

#include <stddef.h>

#define FM_LOG_ID_LEN 9			/* eight digits */

/*
 * Copy text that others have chosen so that it stays within its line: control
 * characters and what is not ASCII are escaped, and it is cut where it is too
 * long.  Returns to.
 */
extern char *fm_log_escape(char *to, size_t size, const char *text);

/* A line of what went wrong where; its id is for the client. */
extern void fm_log_error(const char *where, const char *error,
						 char id[FM_LOG_ID_LEN]);

/* Random bytes in hexadecimal digits, with their end: 2 * n + 1 characters. */
extern void fm_random_hex(char *to, size_t n);

#endif							/* FM_LOG_H */
