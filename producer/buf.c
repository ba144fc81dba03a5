/*
 * buf.c - a byte buffer that grows
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See buf.h for the contract.  Capacity doubles, so appending costs constant
 * time on average.
 */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
out_of_memory(void)
{
	fputs("out of memory\n", stderr);
	abort();
}

void *
fm_xmalloc(size_t size)
{
	void	   *ptr = malloc(size ? size : 1);

	if (ptr == NULL)
		out_of_memory();
	return ptr;
}

void *
fm_xcalloc(size_t n, size_t size)
{
	void	   *ptr = calloc(n ? n : 1, size ? size : 1);

	if (ptr == NULL)
		out_of_memory();
	return ptr;
}

void *
fm_xrealloc(void *ptr, size_t size)
{
	ptr = realloc(ptr, size ? size : 1);
	if (ptr == NULL)
		out_of_memory();
	return ptr;
}

char *
fm_xstrdup(const char *s)
{
	size_t		size = strlen(s) + 1;

	return memcpy(fm_xmalloc(size), s, size);
}

void
fm_buf_grow(FmBuf *buf, size_t more)
{
	size_t		cap = buf->cap ? buf->cap : 64;

	if (more > SIZE_MAX / 4 - buf->len)
		out_of_memory();
	while (cap < buf->len + more)
		cap *= 2;
	buf->data = fm_xrealloc(buf->data, cap);
	buf->cap = cap;
}

void
fm_buf_free(FmBuf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}

void
fm_buf_printf(FmBuf *buf, const char *fmt,...)
{
	va_list		args;
	int			n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		abort();
	fm_buf_reserve(buf, (size_t) n + 1);
	va_start(args, fmt);
	vsnprintf(buf->data + buf->len, (size_t) n + 1, fmt, args);
	va_end(args);
	buf->len += (size_t) n;
}

/* Append a number in decimal; the fast path of every message. */
void
fm_buf_put_uint(FmBuf *buf, uint64_t n)
{
	char		digits[20];
	size_t		at = sizeof(digits);

	do
	{
		digits[--at] = (char) ('0' + n % 10);
		n /= 10;
	} while (n != 0);
	fm_buf_put(buf, digits + at, sizeof(digits) - at);
}
