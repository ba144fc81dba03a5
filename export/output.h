/*
 * output.h - a file that is there whole, or not at all
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * What is written goes to a file of a temporary name beside the one that was
 * asked for, which it replaces at the end.  Standard output, and files that are
 * no files (a device, a pipe), are written to directly.
 */
#ifndef FM_OUTPUT_H
#define FM_OUTPUT_H

#include <stdbool.h>

#include "../producer/buf.h"

typedef struct FmOutput
{
	const char *asked;			/* as the user has it, for messages */
	char	   *path;			/* what will be replaced; NULL: written directly */
	char	   *temporary;
	int			fd;
	unsigned	mode;			/* of the file in the end */
	FmBuf		buf;			/* not written yet */
} FmOutput;

/* All of them return false after an error message. */
extern bool fm_output_open(FmOutput *output, const char *path);
extern bool fm_output_flush(FmOutput *output);

/* The end: all of it is on disk, under its name. */
extern bool fm_output_commit(FmOutput *output);

/* The other end; also after commit, for what is left in memory. */
extern void fm_output_discard(FmOutput *output);

/* Write when there is enough to write; for after each row. */
static inline bool
fm_output_written(FmOutput *output)
{
	return output->buf.len < 128 * 1024 || fm_output_flush(output);
}

#endif							/* FM_OUTPUT_H */
