/*
 * log.c - lines on stderr, and what the database says
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

char *
fm_log_escape(char *to, size_t size, const char *text)
{
	size_t		len = 0;

	for (; *text != '\0' && len + 5 <= size; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c >= 0x20 && c < 0x7f && c != '\\')
			to[len++] = (char) c;
		else
			len += (size_t) snprintf(to + len, size - len, "\\x%02x", c);
	}
	to[len] = '\0';
	return to;
}

/* Nothing may go on without: a token that can be guessed is worse than none. */
void
fm_random_hex(char *to, size_t n)
{
	unsigned char bytes[64];

	if (n > sizeof(bytes) || getrandom(bytes, n, 0) != (ssize_t) n)
	{
		fprintf(stderr, "factorymon-dashboard: no random numbers\n");
		abort();
	}
	for (size_t i = 0; i < n; i++)
		snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

void
fm_log_error(const char *where, const char *error, char id[FM_LOG_ID_LEN])
{
	char		text[1024];

	fm_random_hex(id, (FM_LOG_ID_LEN - 1) / 2);
	fprintf(stderr, "factorymon-dashboard: %s: %s (id %s)\n", where,
			fm_log_escape(text, sizeof(text), error), id);
}
