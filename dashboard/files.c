/*
 * files.c - files that are served as they are
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The page's files are those in page/; page/build has made their table.
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

/* A file and its compressed form, under their numbers. */
#define PAGE_FILE(number, address, type, file, lasting) \
	EMBED(number, file); EMBED(number##_gzip, file ".gz");
EMBED(openapi, "openapi.json");
#include "page/built/files.inc"
#undef PAGE_FILE

#define PAGE_FILE(number, address, type, file, lasting) \
	{address, type, fm_file_##number, fm_file_end_##number, \
	fm_file_##number##_gzip, fm_file_end_##number##_gzip, lasting, "", ""},

static FmFile files[] = {
	{"/api/openapi.json", "application/json", fm_file_openapi,
	fm_file_end_openapi, NULL, NULL, false, "", ""},
#include "page/built/files.inc"
};

#define NFILES ((int) (sizeof(files) / sizeof(files[0])))

void
fm_files_begin(void)
{
	for (int i = 0; i < NFILES; i++)
	{
		FmFile	   *file = &files[i];

		fm_etag_make(file->etag, file->data,
					 (size_t) (file->end - file->data), false);
		if (file->gzip != NULL)
			fm_etag_make(file->gzip_etag, file->gzip,
						 (size_t) (file->gzip_end - file->gzip), false);
	}
}

const FmFile *
fm_file_find(const char *path)
{
	for (int i = 0; i < NFILES; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}
