/*
 * files.c - files that are served as they are
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * To add one: a line each of EMBED and in the table, and its name in the
 * Makefile's FILES.
 */
#include "files.h"

#include <string.h>

/* The assembler puts the file's bytes between two symbols. */
#define EMBED(name, file) \
	__asm__(".section .rodata\n" \
			"fm_file_" #name ":\n" \
			".incbin \"" file "\"\n" \
			"fm_file_end_" #name ":\n" \
			".previous\n"); \
	extern const char fm_file_##name[]; \
	extern const char fm_file_end_##name[]

EMBED(openapi, "openapi.json");

static const FmFile files[] = {
	{"/api/openapi.json", "application/json", fm_file_openapi,
	fm_file_end_openapi},
};

const FmFile *
fm_file_find(const char *path)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}
