/*
 * buf.h - a byte buffer that grows
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Everything these programs put together (messages, canonical JSON, truth
 * lines) is bytes with a length: payloads may hold NULs, so nothing here is a
 * C string.  A buffer is owned by whoever declared it; FM_BUF_INIT makes an
 * empty one, fm_buf_free releases it.  Running out of memory ends the
 * process: no caller could do better.
 */
#ifndef FM_BUF_H
#define FM_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct FmBuf
{
	char	   *data;
	size_t		len;			/* bytes in use */
	size_t		cap;			/* bytes allocated */
} FmBuf;

#define FM_BUF_INIT {NULL, 0, 0}

extern void *fm_xmalloc(size_t size);
extern void *fm_xcalloc(size_t n, size_t size);
extern void *fm_xrealloc(void *ptr, size_t size);
extern char *fm_xstrdup(const char *s);

extern void fm_buf_grow(FmBuf *buf, size_t more);
extern void fm_buf_free(FmBuf *buf);
extern void fm_buf_printf(FmBuf *buf, const char *fmt,...)
			__attribute__((format(printf, 2, 3)));
extern void fm_buf_put_uint(FmBuf *buf, uint64_t n);

/* Make room for that many bytes more. */
static inline void
fm_buf_reserve(FmBuf *buf, size_t more)
{
	if (buf->cap - buf->len < more)
		fm_buf_grow(buf, more);
}

static inline void
fm_buf_reset(FmBuf *buf)
{
	buf->len = 0;
}

static inline void
fm_buf_put(FmBuf *buf, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	fm_buf_reserve(buf, n);
	memcpy(buf->data + buf->len, bytes, n);
	buf->len += n;
}

static inline void
fm_buf_puts(FmBuf *buf, const char *s)
{
	fm_buf_put(buf, s, strlen(s));
}

static inline void
fm_buf_putc(FmBuf *buf, char c)
{
	fm_buf_reserve(buf, 1);
	buf->data[buf->len++] = c;
}

#endif							/* FM_BUF_H */
