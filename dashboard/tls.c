/*
 * tls.c - the certificate and its key, read from files
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Keys are held to PostgreSQL's rule: a file that is ours is for us alone; one
 * of root's may be readable for a group, which is how several services share
 * one.
 */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../producer/buf.h"

#define MOST (256 * 1024)		/* bytes of a file */

static bool
refuse(const char *file, const char *why)
{
	fprintf(stderr, "factorymon-dashboard: cannot use \"%s\" for TLS: %s\n",
			file, why);
	return false;
}

/* Looked at after it was opened, so that it is the same file. */
static bool
check_file(const char *file, int fd, bool secret)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return refuse(file, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return refuse(file, "it is not a regular file");
	if (status.st_size == 0 || status.st_size > MOST)
		return refuse(file, "it is empty, or too big to be a key or a"
					  " certificate");
	if (!secret)
		return true;
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return refuse(file, "a private key must belong to the user that runs"
					  " this, or to root");
	if ((status.st_uid == geteuid() &&
		 (status.st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
		 geteuid() != 0) ||
		(status.st_uid == 0 &&
		 (status.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0))
		return refuse(file, "a private key that group or world can get at:"
					  " its permissions must be u=rw (0600) or less if it is"
					  " ours, u=rw,g=r (0640) or less if it is root's");
	return true;
}

static char *
read_file(const char *file, bool secret)
{
	int			fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char	   *text = NULL;
	ssize_t		n = -1;

	if (fd < 0)
	{
		refuse(file, strerror(errno));
		return NULL;
	}
	if (check_file(file, fd, secret))
	{
		text = fm_xcalloc(1, MOST + 1);
		n = read(fd, text, MOST);
		if (n < 0)
			refuse(file, strerror(errno));
	}
	close(fd);
	if (n > 0)
		return text;
	free(text);
	return NULL;
}

bool
fm_tls_read(FmTls *tls, const FmOptions *options)
{
	memset(tls, 0, sizeof(*tls));
	if (options->tls_certificate == NULL)
		return true;
	tls->certificate = read_file(options->tls_certificate, false);
	if (tls->certificate != NULL)
		tls->key = read_file(options->tls_key, true);
	return tls->key != NULL;
}

void
fm_tls_free(FmTls *tls)
{
	if (tls->key != NULL)
		explicit_bzero(tls->key, strlen(tls->key));
	free(tls->key);
	free(tls->certificate);
	memset(tls, 0, sizeof(*tls));
}
