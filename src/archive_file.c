/*-------------------------------------------------------------------------
 *
 * archive_file.c
 *	  A compressed file of the archive: written under a temporary name, and
 *	  read again with its checksum.
 *
 * gzip, because every system reads it.  A file has its final name only when all
 * of it is on disk; what a killed process leaves is called *.tmp and is
 * overwritten by the next attempt.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "archive.h"
#include "guc.h"

/* Two of them, and what else is in a name, are less than 255 bytes. */
#define NAME_PART 80

struct FmArchiveFile
{
	char	   *path;
	char	   *temporary;		/* NULL: reading */
	gzFile		gz;
	pg_cryptohash_ctx *hash;
	MemoryContextCallback callback;
};

static void
to_hex(const uint8 *digest, char hex[FM_SHA256_HEX])
{
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static pg_cryptohash_ctx *
hash_begin(void)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL || pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not initialize SHA-256");
	return hash;
}

static void
hash_end(pg_cryptohash_ctx *hash, char hex[FM_SHA256_HEX])
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not finish SHA-256");
	pg_cryptohash_free(hash);
	to_hex(digest, hex);
}

static void
file_error(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s archive file \"%s\": %m", what, path)));
}

const char *
fm_archive_directory(void)
{
	struct stat st;

	if (fm_archive_directory_setting == NULL ||
		fm_archive_directory_setting[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("factorymon.archive_directory is not set")));
	if (!is_absolute_path(fm_archive_directory_setting))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("factorymon.archive_directory must be an absolute path")));
	if (stat(fm_archive_directory_setting, &st) != 0)
		file_error("look at", fm_archive_directory_setting);
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("factorymon.archive_directory \"%s\" is not a directory",
						fm_archive_directory_setting)));
	return fm_archive_directory_setting;
}

char *
fm_archive_encode(const char *name)
{
	StringInfoData text;

	initStringInfo(&text);
	for (; *name; name++)
	{
		unsigned char c = (unsigned char) *name;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || (c == '.' && text.len > 0))
			appendStringInfoChar(&text, c);
		else
			appendStringInfo(&text, "%%%02X", c);
	}
	if (text.len > NAME_PART)
	{
		uint64		hash = DatumGetUInt64(hash_any_extended(
			(const unsigned char *) text.data, text.len, 0));

		text.len = NAME_PART - 17;
		text.data[text.len] = '\0';
		appendStringInfo(&text, "~%016llx", (unsigned long long) hash);
	}
	return text.data;
}

/* An error in between leaves nothing open; the hash is its resource owner's. */
static void
release(void *arg)
{
	FmArchiveFile *file = arg;

	if (file->gz)
		(void) gzclose(file->gz);
	if (file->temporary)
		(void) unlink(file->temporary);
	file->gz = NULL;
}

static FmArchiveFile *
begin(const char *path, const char *temporary, const char *mode)
{
	FmArchiveFile *file = palloc0(sizeof(FmArchiveFile));
	const char *name = temporary ? temporary : path;

	file->path = pstrdup(path);
	file->temporary = temporary ? pstrdup(temporary) : NULL;
	file->callback.func = release;
	file->callback.arg = file;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &file->callback);
	file->hash = hash_begin();
	file->gz = gzopen(name, mode);
	if (file->gz == NULL)
		file_error(temporary ? "create" : "open", name);
	(void) gzbuffer(file->gz, 128 * 1024);
	return file;
}

FmArchiveFile *
fm_archive_create(const char *path)
{
	return begin(path, psprintf("%s.tmp", path), "wb6");
}

void
fm_archive_put(FmArchiveFile *file, const char *data, size_t len)
{
	if (pg_cryptohash_update(file->hash, (const uint8 *) data, len) < 0)
		elog(ERROR, "could not compute SHA-256");
	errno = ENOSPC;				/* if zlib does not say */
	if (len > 0 && gzwrite(file->gz, data, (unsigned) len) != (int) len)
		file_error("write", file->temporary);
}

/* From its temporary name to its own, for good. */
static void
rename_for_good(const char *temporary, const char *path)
{
	fsync_fname(temporary, false);
	if (durable_rename(temporary, path, ERROR) != 0)
		file_error("rename", temporary);
}

void
fm_archive_finish(FmArchiveFile *file, char contents[FM_SHA256_HEX],
				  int64 *bytes)
{
	struct stat st;
	gzFile		gz = file->gz;

	file->gz = NULL;
	errno = ENOSPC;
	if (gzclose(gz) != Z_OK)
		file_error("write", file->temporary);
	hash_end(file->hash, contents);
	file->hash = NULL;
	rename_for_good(file->temporary, file->path);
	file->temporary = NULL;
	if (stat(file->path, &st) != 0)
		file_error("look at", file->path);
	*bytes = st.st_size;
}

void
fm_archive_write_text(const char *path, const char *text)
{
	char	   *temporary = psprintf("%s.tmp", path);
	FILE	   *stream = AllocateFile(temporary, "w");

	if (stream == NULL)
		file_error("create", temporary);
	if (fwrite(text, 1, strlen(text), stream) != strlen(text) ||
		FreeFile(stream) != 0)
		file_error("write", temporary);
	rename_for_good(temporary, path);
}

void
fm_archive_hash_file(const char *path, char hex[FM_SHA256_HEX])
{
	pg_cryptohash_ctx *hash;
	FILE	   *stream = AllocateFile(path, "r");
	char		buffer[65536];
	size_t		n;

	if (stream == NULL)
		file_error("open", path);
	hash = hash_begin();
	while ((n = fread(buffer, 1, sizeof(buffer), stream)) > 0)
		(void) pg_cryptohash_update(hash, (const uint8 *) buffer, n);
	hash_end(hash, hex);
	if (ferror(stream))
		file_error("read", path);
	FreeFile(stream);
}

char *
fm_archive_damage(const char *path, const char *sha256)
{
	char		found[FM_SHA256_HEX];

	if (access(path, R_OK) != 0)
		return psprintf("archive file \"%s\" cannot be read: %m", path);
	fm_archive_hash_file(path, found);
	if (sha256 == NULL || strcmp(found, sha256) != 0)
		return psprintf("archive file \"%s\" is damaged", path);
	return NULL;
}

char *
fm_archive_read_text(const char *path)
{
	StringInfoData text;
	FILE	   *stream = AllocateFile(path, "r");
	char		buffer[4096];
	size_t		n;

	if (stream == NULL)
		file_error("open", path);
	initStringInfo(&text);
	while ((n = fread(buffer, 1, sizeof(buffer), stream)) > 0)
		appendBinaryStringInfo(&text, buffer, (int) n);
	if (ferror(stream))
		file_error("read", path);
	FreeFile(stream);
	return text.data;
}

FmArchiveFile *
fm_archive_open(const char *path)
{
	return begin(path, NULL, "rb");
}

int
fm_archive_get(FmArchiveFile *file, char *data, int len)
{
	int			n = gzread(file->gz, data, (unsigned) len);
	int			error = Z_OK;

	if (n < len)
		(void) gzerror(file->gz, &error);
	if (n < 0 || (error != Z_OK && error != Z_STREAM_END))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("archive file \"%s\" is damaged", file->path)));
	(void) pg_cryptohash_update(file->hash, (const uint8 *) data, n);
	return n;
}

void
fm_archive_close(FmArchiveFile *file, char contents[FM_SHA256_HEX])
{
	(void) gzclose(file->gz);
	file->gz = NULL;
	hash_end(file->hash, contents);
	file->hash = NULL;
}
