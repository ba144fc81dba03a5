/*
 * reader.h - what a reader of each format accepts, for the tests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_READER_H
#define FM_READER_H

#include "format.h"

/* Is this a message of the format, in whatever spelling? */
extern bool is_reading(const FmFormat *format, const char *text, size_t len);

#endif							/* FM_READER_H */
