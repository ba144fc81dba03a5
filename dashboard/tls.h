/*
 * tls.h - the certificate and its key, read from files
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_TLS_H
#define FM_TLS_H

#include <stdbool.h>

#include "options.h"

/* Texts, PEM; NULL: there is no TLS. */
typedef struct FmTls
{
	char	   *certificate;
	char	   *key;
} FmTls;

/*
 * Read what the options name; false, after a message, if that cannot be, or
 * if others may read the key.
 */
extern bool fm_tls_read(FmTls *tls, const FmOptions *options);

/* Wipe and free. */
extern void fm_tls_free(FmTls *tls);

#endif							/* FM_TLS_H */
