/*
 * tempfile.c - temporary files of libxlsxwriter, whose errors are noticed
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#define _GNU_SOURCE				/* fopencookie */
#include "tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <xlsxwriter.h>

#include "../producer/buf.h"

#define BUFFER_SIZE (64 * 1024)

static int	first_error;
static int	count;

static void
note(int error)
{
	if (first_error == 0)
		first_error = error;
}

static ssize_t
read_file(void *cookie, char *buf, size_t size)
{
	ssize_t		n;

	do
		n = read((int) (intptr_t) cookie, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		note(errno);
	return n;
}

static ssize_t
write_file(void *cookie, const char *buf, size_t size)
{
	size_t		done = 0;

	while (done < size)
	{
		ssize_t		n = write((int) (intptr_t) cookie, buf + done,
							  size - done);

		if (n >= 0)
			done += (size_t) n;
		else if (errno != EINTR)
		{
			note(errno);
			return 0;			/* that is an error to stdio */
		}
	}
	return (ssize_t) done;
}

static int
seek_file(void *cookie, off64_t *offset, int whence)
{
	off64_t		at = lseek64((int) (intptr_t) cookie, *offset, whence);

	if (at < 0)
	{
		note(errno);
		return -1;
	}
	*offset = at;
	return 0;
}

static int
close_file(void *cookie)
{
	int			rc = close((int) (intptr_t) cookie);

	if (rc != 0)
		note(errno);
	return rc;
}

/* Nobody sees the file, and it is gone with its last user. */
static int
open_nameless(const char *folder)
{
	FmBuf		name = FM_BUF_INIT;
	int			fd;

	fm_buf_printf(&name, "%s/.factorymon-export.XXXXXX", folder);
	fm_buf_putc(&name, '\0');
	fd = mkostemp(name.data, O_CLOEXEC);
	if (fd >= 0)
		(void) unlink(name.data);
	else
		note(errno);
	fm_buf_free(&name);
	return fd;
}

/* The library's; see tempfile.h. */
FILE *
lxw_tmpfile(char *tmpdir)
{
	cookie_io_functions_t functions = {
		.read = read_file,.write = write_file,.seek = seek_file,
		.close = close_file
	};
	int			fd = open_nameless(tmpdir != NULL ? tmpdir : "/tmp");
	FILE	   *file;

	if (fd < 0)
		return NULL;
	file = fopencookie((void *) (intptr_t) fd, "w+", functions);
	if (file == NULL)
	{
		note(errno);
		(void) close(fd);
		return NULL;
	}
	(void) setvbuf(file, NULL, _IOFBF, BUFFER_SIZE);
	count++;
	return file;
}

int
fm_tempfile_error(void)
{
	return first_error;
}

int
fm_tempfile_count(void)
{
	return count;
}
