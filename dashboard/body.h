/*
 * body.h - the body of a request: one flat JSON object with known members
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Strict: RFC 8259 in UTF-8, no member twice, none that is not known, nothing
 * behind it, no U+0000 (which the database does not have).  It allocates one
 * piece of memory and wipes that at the end, because passwords come this way.
 */
#ifndef FM_BODY_H
#define FM_BODY_H

#include <stdbool.h>
#include <stddef.h>

#define FM_MAX_FIELDS 6

typedef enum FmFieldType
{
	FM_FIELD_TEXT,
	FM_FIELD_BOOL
} FmFieldType;

/* A member; the n-th is the n-th of the values. */
typedef struct FmField
{
	const char *name;			/* NULL: no more of them */
	FmFieldType type;
	bool		required;		/* and not null */
	const char *initial;		/* where it is not given; NULL: null */
	long		least;			/* bytes of a text */
	long		most;
} FmField;

typedef struct FmBody
{
	char	   *values[FM_MAX_FIELDS];	/* NULL: null */
	char	   *memory;			/* what they point into */
	size_t		size;
	char		error[160];		/* a sentence, where it was refused */
} FmBody;

/* Read it; false, with an error, if it is not as it should be. */
extern bool fm_body_read(FmBody *body, const FmField *fields,
						 const char *text, size_t len);

/* Wipe and free; also of one that was refused. */
extern void fm_body_free(FmBody *body);

#endif							/* FM_BODY_H */
