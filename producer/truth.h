/*
 * truth.h - what the broker confirmed, line by line
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One line per confirmed record, fields separated by single spaces:
 *
 *	partition offset kind [of=PARTITION/OFFSET] [id=ID] digest
 *
 * kind is reading, duplicate, malformed, tombstone or heartbeat.  The digest
 * (16 digits, see canon.h) is that of the canonical JSON for a reading and a
 * duplicate, of the payload's bytes for the others, and "-" for a NULL payload.
 * of is where the record is that a duplicate duplicates ("-": the broker did
 * not say where); id is the unique_reading_id, where the reading has one.
 *
 * The file is opened for appending and written in whole lines under a lock, so
 * producers may share one.  A line is written after the confirmation, at most
 * a second later: a producer that is killed leaves records without a line,
 * never a line without its record.  SIGKILL may cut its last line short; a cut
 * line is never mistaken for a whole one (its digest is not 16 digits long),
 * and whoever writes next begins a new line.
 */
#ifndef FM_TRUTH_H
#define FM_TRUTH_H

#include "message.h"
#include "twin.h"

typedef struct FmTruth
{
	const char *path;			/* NULL: all calls do nothing */
	int			fd;
	bool		failed;			/* a write failed, the file is incomplete */
	FmBuf		lines;			/* not yet written */
	FmBuf		canon;			/* scratch */
	int64_t		written_at;		/* monotonic */
} FmTruth;

/* false with errno set: cannot be opened.  The path may be NULL. */
extern bool fm_truth_open(FmTruth *truth, const char *path);

/*
 * Returns as what the record counts: of two twins, the second one to come here
 * is a duplicate.  A negative offset is an unknown one, which leaves no line.
 */
extern FmKind fm_truth_add(FmTruth *truth, int32_t partition, int64_t offset,
						   FmKind kind, FmTwin *twin, const void *payload,
						   size_t len);

/* Write what has waited long enough. */
extern void fm_truth_tick(FmTruth *truth, int64_t now);

/* Write the rest.  false: the file does not hold all that was added. */
extern bool fm_truth_close(FmTruth *truth);

/*
 * Append one line to *out (partition and offset are known, so not negative);
 * payload NULL is a NULL payload; "of" is the twin of a duplicate, if known.
 * Returns NULL, or why the reading has no canonical form (nothing is appended
 * then).
 */
extern const char *fm_truth_put_line(FmBuf *out, FmBuf *scratch,
									 int32_t partition, int64_t offset,
									 FmKind kind, const FmTwin *of,
									 const void *payload, size_t len);

#endif							/* FM_TRUTH_H */
