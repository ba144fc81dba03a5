/*
 * tries.c - how often an address may try to log in
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "tries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../producer/buf.h"
#include "database.h"

#define MAX_ADDRESSES 512
#define TRIES 5
#define TRY_SECONDS 60.0

/* When one has tried, the oldest first. */
typedef struct Address
{
	char		address[64];
	double		at[TRIES];
	int			n;				/* 0: free */
} Address;

struct FmTries
{
	Address		entries[MAX_ADDRESSES];
};

FmTries *
fm_tries_new(void)
{
	return fm_xcalloc(1, sizeof(FmTries));
}

void
fm_tries_free(FmTries *tries)
{
	free(tries);
}

static void
forget_old_tries(Address *entry, double now)
{
	int			old = 0;

	while (old < entry->n && entry->at[old] <= now - TRY_SECONDS)
		old++;
	entry->n -= old;
	memmove(entry->at, entry->at + old,
			(size_t) entry->n * sizeof(entry->at[0]));
}

/* Those of an address, or a free place; NULL: there is none. */
static Address *
entry_of(FmTries *tries, const char *address)
{
	Address    *unused = NULL;
	double		now = fm_now();

	for (int i = 0; i < MAX_ADDRESSES; i++)
	{
		Address    *entry = &tries->entries[i];

		forget_old_tries(entry, now);
		if (entry->n == 0)
			unused = unused != NULL ? unused : entry;
		else if (strcmp(entry->address, address) == 0)
			return entry;
	}
	return unused;
}

int
fm_tries_count(FmTries *tries, const char *address)
{
	Address    *entry = entry_of(tries, address);
	double		now = fm_now();

	/* so many addresses within a minute are somebody's who has them all */
	if (entry == NULL)
		return (int) TRY_SECONDS;
	if (entry->n == TRIES)
		return (int) (entry->at[0] + TRY_SECONDS - now) + 1;
	snprintf(entry->address, sizeof(entry->address), "%s", address);
	entry->at[entry->n++] = now;
	return 0;
}

void
fm_tries_forgive(FmTries *tries, const char *address)
{
	Address    *entry = entry_of(tries, address);

	if (entry != NULL && entry->n > 0)
		entry->n--;
}
