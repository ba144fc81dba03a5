/*
 * output.c - a file that is there whole, or not at all
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"

static bool
complain(const FmOutput *output, const char *what)
{
	fprintf(stderr, "factorymon-export: %s \"%s\": %s\n", what, output->asked,
			strerror(errno));
	return false;
}

/* The folder of a path; to be freed. */
static char *
folder_of(const char *path)
{
	char	   *copy = fm_xstrdup(path);
	char	   *folder = fm_xstrdup(dirname(copy));

	free(copy);
	return folder;
}

static bool
open_directly(FmOutput *output)
{
	output->fd = open(output->asked, O_WRONLY | O_CLOEXEC);
	return output->fd >= 0 || complain(output, "cannot write");
}

/* A name that nobody else has, in the folder of the file. */
static bool
open_temporary(FmOutput *output)
{
	char	   *folder = folder_of(output->path);
	char	   *copy = fm_xstrdup(output->path);
	FmBuf		name = FM_BUF_INIT;

	fm_buf_printf(&name, "%s/.%s.XXXXXX", folder, basename(copy));
	fm_buf_putc(&name, '\0');
	output->temporary = name.data;
	free(folder);
	free(copy);
	output->fd = mkstemp(output->temporary);
	if (output->fd < 0)
	{
		complain(output, "cannot make a file beside");
		free(output->temporary);
		output->temporary = NULL;
		return false;
	}
	(void) fcntl(output->fd, F_SETFD, FD_CLOEXEC);
	fm_interrupt_unlink(output->temporary);
	return true;
}

bool
fm_output_open(FmOutput *output, const char *path)
{
	struct stat there;
	mode_t		mask;

	*output = (FmOutput){.asked = path, .fd = -1};
	if (strcmp(path, "-") == 0)
	{
		output->fd = STDOUT_FILENO;
		return true;
	}
	if (stat(path, &there) == 0)
	{
		if (S_ISDIR(there.st_mode))
			errno = EISDIR;
		if (S_ISDIR(there.st_mode) || access(path, W_OK) != 0)
			return complain(output, "cannot write");
		if (!S_ISREG(there.st_mode))
			return open_directly(output);
		/* replace what a link leads to, not the link */
		output->path = realpath(path, NULL);
		output->mode = there.st_mode & 0777;
	}
	else
	{
		mask = umask(0);
		umask(mask);
		output->mode = 0666 & ~mask;
	}
	if (output->path == NULL)
		output->path = fm_xstrdup(path);
	return open_temporary(output);
}

bool
fm_output_flush(FmOutput *output)
{
	size_t		done = 0;

	while (done < output->buf.len)
	{
		ssize_t		n = write(output->fd, output->buf.data + done,
							  output->buf.len - done);

		if (n >= 0)
			done += (size_t) n;
		else if (errno == EINTR && fm_interrupted())
			return false;		/* main says why */
		else if (errno != EINTR)
			return complain(output, "cannot write");
	}
	fm_buf_reset(&output->buf);
	return true;
}

/* So that the new name is on disk, too. */
static bool
sync_folder(const FmOutput *output)
{
	char	   *folder = folder_of(output->path);
	int			fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool		done = fd >= 0 && fsync(fd) == 0;

	free(folder);
	if (fd >= 0)
		(void) close(fd);
	return done;
}

bool
fm_output_commit(FmOutput *output)
{
	if (!fm_output_flush(output))
		return false;
	if (output->temporary == NULL)
		return output->fd == STDOUT_FILENO || close(output->fd) == 0 ||
			complain(output, "cannot write");
	if (fchmod(output->fd, output->mode) != 0 || fsync(output->fd) != 0)
		return complain(output, "cannot write");
	if (rename(output->temporary, output->path) != 0)
		return complain(output, "cannot replace");
	fm_interrupt_unlink(NULL);
	free(output->temporary);
	output->temporary = NULL;
	(void) close(output->fd);
	/* some file systems cannot; the file is there all the same */
	(void) sync_folder(output);
	return true;
}

void
fm_output_discard(FmOutput *output)
{
	if (output->temporary != NULL)
	{
		(void) unlink(output->temporary);
		fm_interrupt_unlink(NULL);
		(void) close(output->fd);
	}
	free(output->temporary);
	free(output->path);
	fm_buf_free(&output->buf);
	output->temporary = output->path = NULL;
}
