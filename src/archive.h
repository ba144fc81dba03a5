/*-------------------------------------------------------------------------
 *
 * archive.h
 *	  Daily history files: what the parts of the archive share.
 *
 * archive_file.c	a compressed CSV file, written and read with its checksums
 * archive_program.c	files that a program keeps
 * archive_rows.c	readings as lines of such a file, and back
 * archive_unit.c	what is to be archived, and what is known of it
 * archive_write.c	writing it
 * archive_call.c	files verified, restored and released
 * archiver.c		the process, and its settings
 *
 * A unit is that part of one time partition of a pipeline's readings that lies
 * within one day of the plant's time zone.  It has one complete file; where
 * late readings came after it was written, a further part of it, again
 * complete, takes its place.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ARCHIVE_H
#define FM_ARCHIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "pipeline.h"

#define FM_SHA256_HEX 65		/* with the terminator */

/* --- archive_file.c ----------------------------------------------------- */

typedef struct FmArchiveFile FmArchiveFile;

/* The folder of factorymon.archive_directory, checked; errors say what is wrong. */
extern const char *fm_archive_directory(void);

/*
 * A part of the name of a file in it that no character of another name can bend:
 * letters, digits, "-", "." and "%" for the rest; of a long one the beginning and
 * a hash.
 */
extern char *fm_archive_encode(const char *name);

/*
 * Write a file under a temporary name; finish it: fsync, rename, fsync of the
 * folder.  Errors name the file.  contents is the SHA-256 of what was put,
 * before compression.
 */
extern FmArchiveFile *fm_archive_create(const char *path);
extern void fm_archive_put(FmArchiveFile *file, const char *data, size_t len);
extern void fm_archive_finish(FmArchiveFile *file, char contents[FM_SHA256_HEX],
							  int64 *bytes);

/* The same for a small text, uncompressed. */
extern void fm_archive_write_text(const char *path, const char *text);

/* What is wrong with a file that should have this SHA-256; NULL: nothing. */
extern char *fm_archive_damage(const char *path, const char *sha256);

/* SHA-256 of a file as it lies there. */
extern void fm_archive_hash_file(const char *path, char hex[FM_SHA256_HEX]);
extern char *fm_archive_read_text(const char *path);

/* Read one: bytes, or 0 at its end; errors where it is damaged. */
extern FmArchiveFile *fm_archive_open(const char *path);
extern int	fm_archive_get(FmArchiveFile *file, char *data, int len);
extern void fm_archive_close(FmArchiveFile *file,
							 char contents[FM_SHA256_HEX]);

/* --- archive_program.c --------------------------------------------------- */

/*
 * Hand a finished file of the folder, with this SHA-256, to archive_command, and
 * remove it from the folder; nothing where that is not set.  Where
 * restore_command is set the file is fetched again and compared.
 */
extern void fm_archive_store(const char *path, const char *sha256);

/* Does a program keep files? */
extern bool fm_archive_has_program(void);

/*
 * The path of a file by its name: in the folder, or fetched by restore_command,
 * and then removed when the present memory context is.  *problem is what went
 * wrong, or NULL.
 */
extern char *fm_archive_locate(const char *name, char **problem);

/* --- archive_rows.c ----------------------------------------------------- */

typedef struct FmArchiveSums
{
	int64		rows;
	int64		hash;			/* modulo 2^64, of offsets and indexes */
	int64		row_hash;		/* the same of all columns */
	uint64		line_hash;		/* the same of lines, whatever their order */
	char		contents[FM_SHA256_HEX];
} FmArchiveSums;

extern const char *const fm_archive_header;	/* the first line */

/*
 * Lines of the readings of [from, to), in the order of stream, offset and
 * index, put to a file (NULL: only summed up).  Inside SPI, as the
 * extension's owner.
 */
extern void fm_archive_export(int16 pipeline_id, TimestampTz from,
							  TimestampTz to, FmArchiveFile *file,
							  FmArchiveSums *sums);

/* The lines of a file as readings of a pipeline; adds their hashes up. */
extern void fm_archive_import(const FmPipeline *pipeline, const char *path,
							  TimestampTz from, TimestampTz to,
							  uint64 *line_hash);

/* --- archive_unit.c; all inside SPI, as the extension's owner ------------- */

typedef struct FmArchiveUnit
{
	TimestampTz from;
	TimestampTz to;
	int			part;			/* its next one */
	char	   *stem;			/* name of that, without what follows the dot */
	char	   *day;
	char	   *time_zone;
	bool		written;		/* there is a file: only to be compared */
	bool		activity_known;
	int64		activity;		/* what had been written to its partition */
} FmArchiveUnit;

/* What is due first of a pipeline, and not in vain again; false: nothing. */
extern bool fm_archive_next(const FmPipeline *pipeline, FmArchiveUnit *unit,
							MemoryContext context);

/* It is in a file now, which takes the place of others. */
extern void fm_archive_written(int16 pipeline_id, const FmArchiveUnit *unit,
							   const FmArchiveSums *sums, int64 bytes,
							   const char *manifest_hash);

/* Are the readings those of its file?  Else it is stale. */
extern void fm_archive_compare(int16 pipeline_id, const FmArchiveUnit *unit);

/* It could not be written or compared. */
extern void fm_archive_failed(int16 pipeline_id, const FmArchiveUnit *unit,
							  const char *error);

/* Stems of files that others took the place of, written by this database. */
extern List *fm_archive_superseded(const FmPipeline *pipeline,
								   MemoryContext context);
extern void fm_archive_forget(int16 pipeline_id, const char *stem);

/* Units may be others now: forget which could not be written. */
extern void fm_archive_setting_changed(int16 pipeline_id);

/* Is anything due?  Inside a transaction. */
extern bool fm_archive_is_due(const FmPipeline *pipeline);

/*
 * Why a partition of readings must not be dropped yet; NULL: it may be.
 * The partition is locked.
 */
extern const char *fm_archive_forbids(int16 pipeline_id,
									  const char *partition, TimestampTz to);

/* The partition with [from, to) is dropped: its files are what is left. */
extern void fm_archive_dropped(int16 pipeline_id, TimestampTz from,
							   TimestampTz to);

/* --- archive_write.c; outside of any transaction ------------------------- */

/* Write what is due of a pipeline. */
extern void fm_archive_run(const FmPipeline *pipeline);

/* Nobody could be started to write it. */
extern void fm_archive_not_started(const FmPipeline *pipeline,
								   const char *why);

/* --- retention.c -------------------------------------------------------- */

/* Book readings of [from, to), which came back, in the ledger. */
extern void fm_retention_book_back(int16 pipeline_id, TimestampTz from,
								   TimestampTz to, const char *reason);

#endif							/* FM_ARCHIVE_H */
