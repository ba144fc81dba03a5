/*-------------------------------------------------------------------------
 *
 * reading_arena.c
 *	  Memory of a batch of messages, freed in one step.
 *
 * Blocks are cut from chunks, which are kept from batch to batch: after the
 * first ones, ordinary messages cost no malloc().
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "reading.h"

/* Ordinary size of a chunk, and how many of these a reset keeps. */
#define CHUNK_SIZE			(64 * 1024)
#define KEPT_CHUNKS			64

#define ALIGNMENT			16

struct FmArenaChunk
{
	FmArenaChunk *next;
	size_t		size;			/* of the memory behind this header */
	size_t		used;
};

#define CHUNK_HEADER \
	((sizeof(FmArenaChunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

void
fm_arena_init(FmArena *arena)
{
	arena->first = NULL;
	arena->current = NULL;
	arena->out_of_memory = false;
}

/* Put a new chunk with room for size bytes behind the current one. */
static bool
add_chunk(FmArena *arena, size_t size)
{
	FmArenaChunk *chunk;

	if (size < CHUNK_SIZE - CHUNK_HEADER)
		size = CHUNK_SIZE - CHUNK_HEADER;
	chunk = malloc(CHUNK_HEADER + size);
	if (chunk == NULL)
		return false;
	chunk->size = size;
	chunk->used = 0;
	if (arena->current == NULL)
	{
		chunk->next = arena->first;
		arena->first = chunk;
	}
	else
	{
		chunk->next = arena->current->next;
		arena->current->next = chunk;
	}
	arena->current = chunk;
	return true;
}

/* Returns NULL, and remembers it in the arena, if there is no memory left. */
void *
fm_arena_alloc(FmArena *arena, size_t size)
{
	FmArenaChunk *chunk = arena->current;
	char	   *result;

	if (size > SIZE_MAX / 2)
	{
		arena->out_of_memory = true;
		return NULL;
	}
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (chunk == NULL || chunk->size - chunk->used < size)
	{
		FmArenaChunk *next = chunk == NULL ? arena->first : chunk->next;

		/* after a reset, the chunks that follow are empty */
		if (next != NULL && next->size >= size)
			arena->current = next;
		else if (!add_chunk(arena, size))
		{
			arena->out_of_memory = true;
			return NULL;
		}
		chunk = arena->current;
	}
	result = (char *) chunk + CHUNK_HEADER + chunk->used;
	chunk->used += size;
	return result;
}

void
fm_arena_trim(FmArena *arena, void *last, size_t needed)
{
	FmArenaChunk *chunk = arena->current;
	size_t		begin = (size_t) ((char *) last -
								  ((char *) chunk + CHUNK_HEADER));

	chunk->used = begin + (needed + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Keeps some memory of ordinary messages, and none of extraordinary ones. */
void
fm_arena_reset(FmArena *arena)
{
	FmArenaChunk **link = &arena->first;
	int			kept = 0;

	while (*link != NULL)
	{
		FmArenaChunk *chunk = *link;

		if (chunk->size > CHUNK_SIZE || kept == KEPT_CHUNKS)
		{
			*link = chunk->next;
			free(chunk);
			continue;
		}
		chunk->used = 0;
		kept++;
		link = &chunk->next;
	}
	arena->current = NULL;
	arena->out_of_memory = false;
}

void
fm_arena_free(FmArena *arena)
{
	FmArenaChunk *chunk = arena->first;

	while (chunk != NULL)
	{
		FmArenaChunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	fm_arena_init(arena);
}
