/*
 * positions.c - how far each pipeline's events have been read
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "positions.h"

#include <stdlib.h>

FmPosition *
fm_find_position(FmPositions *positions, const char *name)
{
	for (int i = 0; i < positions->n; i++)
		if (strcmp(positions->items[i].name, name) == 0)
			return &positions->items[i];
	return NULL;
}

FmPosition *
fm_make_position(FmPositions *positions, const char *name)
{
	FmPosition   *position = fm_find_position(positions, name);

	if (position != NULL)
		return position;
	if (positions->n == FM_MAX_PIPELINES || strlen(name) > NAME_MAX)
		return NULL;
	position = &positions->items[positions->n++];
	strcpy(position->name, name);
	position->seq = 0;
	return position;
}

void
fm_positions_put_id(FmBuf *buf, const FmPositions *positions)
{
	fm_buf_puts(buf, "id: ");
	for (int i = 0; i < positions->n; i++)
	{
		if (i > 0)
			fm_buf_putc(buf, ',');
		for (const char *c = positions->items[i].name; *c != '\0'; c++)
		{
			if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
				(*c >= '0' && *c <= '9') || *c == '-' || *c == '_' ||
				*c == '.')
				fm_buf_putc(buf, *c);
			else
				fm_buf_printf(buf, "%%%02X", (unsigned char) *c);
		}
		fm_buf_printf(buf, ":%lld", (long long) positions->items[i].seq);
	}
	fm_buf_putc(buf, '\n');
}

/* A name up to the colon; false: it is none. */
static bool
read_name(const char **text, char *name)
{
	size_t		len = 0;

	for (; **text != ':' && **text != '\0' && len < NAME_MAX; (*text)++)
	{
		char		digits[3] = {0};
		char	   *end;

		if (**text != '%')
		{
			name[len++] = **text;
			continue;
		}
		strncpy(digits, *text + 1, 2);
		name[len++] = (char) strtol(digits, &end, 16);
		if (strlen(digits) != 2 || *end != '\0' || name[len - 1] == '\0')
			return false;
		*text += 2;
	}
	name[len] = '\0';
	return len > 0 && **text == ':';
}

bool
fm_positions_read_id(const char *text, FmPositions *positions)
{
	positions->n = 0;
	while (*text != '\0')
	{
		char		name[NAME_MAX + 1];
		FmPosition   *position;
		char	   *end;

		if (!read_name(&text, name))
			return false;
		position = fm_make_position(positions, name);
		if (position == NULL)
			return false;
		position->seq = strtoll(text + 1, &end, 10);
		if (end == text + 1 || position->seq < 0 ||
			(*end != ',' && *end != '\0'))
			return false;
		text = *end == ',' ? end + 1 : end;
	}
	return positions->n > 0;
}
