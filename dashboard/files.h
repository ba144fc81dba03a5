/*
 * files.h - files that are served as they are
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * They are in the program, so that it is one file wherever it is installed:
 * the description of the API, and the page with all that it needs.
 */
#ifndef FM_FILES_H
#define FM_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "etag.h"

typedef struct FmFile
{
	const char *path;			/* under which it is asked for */
	const char *type;			/* Content-Type */
	const char *data;
	const char *end;
	const char *gzip;			/* the same, compressed; NULL: is not there */
	const char *gzip_end;
	bool		immutable;		/* what is under this path never changes */
	char		etag[FM_ETAG_LEN];	/* strong ones; "": see fm_files_begin() */
	char		gzip_etag[FM_ETAG_LEN];
} FmFile;

/* To be called once, before anybody asks: it gives files their tags. */
extern void fm_files_begin(void);

/* The file of a path, or NULL. */
extern const FmFile *fm_file_find(const char *path);

#endif							/* FM_FILES_H */
