/*
 * truth.c - what the broker confirmed, line by line
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See truth.h.  Each write(2) holds whole lines.  Two things can cut one: a
 * full disk, and then the producer says that its truth is incomplete; and
 * SIGKILL, which a write to a file obeys between two pages.
 */
#include "truth.h"

#include "canon.h"
#include "clock.h"
#include "uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_AT_BYTES 262144
#define WRITE_AFTER (FM_SECOND / 2)

bool
fm_truth_open(FmTruth *truth, const char *path)
{
	memset(truth, 0, sizeof(*truth));
	truth->path = path;
	truth->fd = -1;
	truth->written_at = fm_clock_mono();
	if (path == NULL)
		return true;
	/* reading is for is_cut_short only */
	truth->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (truth->fd < 0 && errno == EACCES)
		truth->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return truth->fd >= 0;
}

/* Did somebody leave the file without a newline at its end? */
static bool
is_cut_short(int fd)
{
	struct stat st;
	char		last;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
		pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

static void
write_bytes(FmTruth *truth, const char *bytes, size_t len)
{
	size_t		done = 0;

	while (done < len)
	{
		ssize_t		n = write(truth->fd, bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
		{
			if (!truth->failed)
				fprintf(stderr, "factorymon-producer: cannot write \"%s\": %s;"
						" it is incomplete\n", truth->path, strerror(errno));
			truth->failed = true;
			break;
		}
		done += (size_t) n;
	}
}

static void
write_lines(FmTruth *truth)
{
	bool		locked;

	if (truth->lines.len == 0)
		return;
	/* no locks on this file system: fine for one producer */
	while (!(locked = flock(truth->fd, LOCK_EX) == 0) && errno == EINTR)
		;
	if (is_cut_short(truth->fd))
		write_bytes(truth, "\n", 1);
	write_bytes(truth, truth->lines.data, truth->lines.len);
	if (locked)
		(void) flock(truth->fd, LOCK_UN);
	fm_buf_reset(&truth->lines);
}

/*
 * The id in a canonical text, NULL if there is none.  These bytes are nothing
 * but a key: in a string the quotes would be escaped.
 */
static const char *
find_id(FmBuf *canon)
{
	static const char key[] = "\"unique_reading_id\":\"";
	const char *id;

	fm_buf_putc(canon, '\0');	/* a NUL in the text is escaped there */
	canon->len--;
	id = strstr(canon->data, key);
	if (id == NULL)
		return NULL;
	id += strlen(key);
	return strlen(id) > FM_UUID_LEN && id[FM_UUID_LEN] == '"' &&
		fm_uuid_is(id) ? id : NULL;
}

/* What follows the kind in the line of a reading or a duplicate. */
static const char *
put_reading(FmBuf *out, FmBuf *scratch, FmKind kind, const FmTwin *of,
			const void *payload, size_t len)
{
	const char *why;
	const char *id;

	fm_buf_reset(scratch);
	why = fm_canon(payload, len, scratch);
	if (why)
		return why;
	if (kind == FM_DUPLICATE && of && of->offset >= 0)
		fm_buf_printf(out, "of=%d/%lld ", (int) of->partition,
					  (long long) of->offset);
	else if (kind == FM_DUPLICATE && of)
		fm_buf_puts(out, "of=- ");
	id = find_id(scratch);
	if (id)
		fm_buf_printf(out, "id=%.*s ", FM_UUID_LEN, id);
	fm_digest_put(out, scratch->data, scratch->len);
	return NULL;
}

const char *
fm_truth_put_line(FmBuf *out, FmBuf *scratch, int32_t partition,
				  int64_t offset, FmKind kind, const FmTwin *of,
				  const void *payload, size_t len)
{
	size_t		before = out->len;

	fm_buf_put_uint(out, (uint64_t) partition);
	fm_buf_putc(out, ' ');
	fm_buf_put_uint(out, (uint64_t) offset);
	fm_buf_putc(out, ' ');
	fm_buf_puts(out, fm_kind_names[kind]);
	fm_buf_putc(out, ' ');
	if (payload == NULL)
		fm_buf_putc(out, '-');
	else if (kind == FM_READING || kind == FM_DUPLICATE)
	{
		const char *why = put_reading(out, scratch, kind, of, payload, len);

		if (why)
		{
			out->len = before;
			return why;
		}
	}
	else
		fm_digest_put(out, payload, len);
	fm_buf_putc(out, '\n');
	return NULL;
}

FmKind
fm_truth_add(FmTruth *truth, int32_t partition, int64_t offset, FmKind kind,
			 FmTwin *twin, const void *payload, size_t len)
{
	const char *why;

	if (twin)
		kind = twin->confirmed ? FM_DUPLICATE : FM_READING;
	if (truth->fd >= 0 && offset >= 0)
	{
		why = fm_truth_put_line(&truth->lines, &truth->canon, partition,
								offset, kind, twin, payload, len);
		if (why)
		{
			fprintf(stderr, "factorymon-producer: sent a bad reading: %s\n",
					why);
			truth->failed = true;
		}
		if (truth->lines.len >= WRITE_AT_BYTES)
			fm_truth_tick(truth, truth->written_at + WRITE_AFTER);
	}
	if (twin && !twin->confirmed)
	{
		twin->confirmed = true;
		twin->partition = partition;
		twin->offset = offset;
	}
	return kind;
}

void
fm_truth_tick(FmTruth *truth, int64_t now)
{
	if (truth->fd < 0 || now - truth->written_at < WRITE_AFTER)
		return;
	write_lines(truth);
	truth->written_at = now;
}

bool
fm_truth_close(FmTruth *truth)
{
	if (truth->fd < 0)
		return true;
	write_lines(truth);
	if (close(truth->fd) != 0)
		truth->failed = true;
	truth->fd = -1;
	fm_buf_free(&truth->lines);
	fm_buf_free(&truth->canon);
	return !truth->failed;
}
