/*
 * answer_entry.c - what has been asked for, as long as it is remembered
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Time is handed in, so that nobody has to wait for it.
 */
#include "answer_internal.h"

#include <stdlib.h>
#include <string.h>

void
fm_answer_drop(FmAnswer *answer)
{
	if (answer == NULL || --answer->references > 0)
		return;
	fm_buf_free(&answer->body);
	free(answer);
}

/* ----------------------------------------------------------------------
 * Forgetting
 * ------------------------------------------------------------------- */

static void
free_entry(FmEntries *entries, FmEntry *entry)
{
	fm_answer_drop(entry->answer);
	free(entry);
	entries->n--;
}

/* Forget what nobody has asked for lately. */
static void
forget_old(FmEntries *entries, double now)
{
	entries->forget_at = now + FM_FORGET_SECONDS;
	for (int i = 0; i < FM_ENTRY_BUCKETS; i++)
	{
		FmEntry   **link = &entries->buckets[i];

		while (*link != NULL)
		{
			FmEntry    *entry = *link;

			if (entry->busy || entry->fresh_until > now)
			{
				link = &entry->next;
				continue;
			}
			*link = entry->next;
			free_entry(entries, entry);
		}
	}
}

void
fm_entries_tend(FmEntries *entries, double now)
{
	if (now >= entries->forget_at)
		forget_old(entries, now);
}

void
fm_entries_free(FmEntries *entries)
{
	for (int i = 0; i < FM_ENTRY_BUCKETS; i++)
	{
		while (entries->buckets[i] != NULL)
		{
			FmEntry    *entry = entries->buckets[i];

			entries->buckets[i] = entry->next;
			free_entry(entries, entry);
		}
	}
}

/* ----------------------------------------------------------------------
 * Finding one
 * ------------------------------------------------------------------- */

static unsigned
bucket_of(const FmEndpoint *endpoint, char values[][FM_MAX_VALUE],
		  const bool *given)
{
	uint32_t	hash = (uint32_t) ((uintptr_t) endpoint >> 4) ^ 2166136261u;

	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		if (!given[i])
			continue;
		hash = (hash ^ (uint32_t) (i + 1)) * 16777619u;
		for (const char *c = values[i]; *c != '\0'; c++)
			hash = (hash ^ (unsigned char) *c) * 16777619u;
	}
	return hash % FM_ENTRY_BUCKETS;
}

static bool
is_the_same(const FmEntry *entry, const FmEndpoint *endpoint, FmForm form,
			char values[][FM_MAX_VALUE], const bool *given)
{
	if (entry->endpoint != endpoint || entry->form != form)
		return false;
	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		if (entry->given[i] != given[i] ||
			(given[i] && strcmp(entry->values[i], values[i]) != 0))
			return false;
	}
	return true;
}

FmEntry *
fm_entries_find(FmEntries *entries, const FmEndpoint *endpoint, FmForm form,
				char values[][FM_MAX_VALUE], const bool *given, double now)
{
	unsigned	bucket = bucket_of(endpoint, values, given);
	FmEntry    *entry = entries->buckets[bucket];

	while (entry != NULL && !is_the_same(entry, endpoint, form, values, given))
		entry = entry->next;
	if (entry != NULL)
		return entry;
	if (entries->n >= FM_MAX_ENTRIES)
		forget_old(entries, now);
	entry = fm_xcalloc(1, sizeof(FmEntry));
	entry->endpoint = endpoint;
	entry->form = form;
	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		entry->given[i] = given[i];
		if (given[i])
			strcpy(entry->values[i], values[i]);
	}
	entry->next = entries->buckets[bucket];
	entries->buckets[bucket] = entry;
	entries->n++;
	return entry;
}
