/*
 * endpoint.h - what can be asked for under /api/, and how it is found
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * An endpoint is one or several queries over the extension's views and
 * functions; each gives a list of the answer, one object a row, with the
 * query's column names.  The table is in endpoint.c, and openapi.json
 * describes it to clients.
 */
#ifndef FM_ENDPOINT_H
#define FM_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#define FM_MAX_PARAMS 4
#define FM_MAX_PARTS 3
#define FM_MAX_VALUE 256		/* bytes of a parameter's value, with its end */

typedef enum FmParamType
{
	FM_PARAM_INT,
	FM_PARAM_TEXT,
	FM_PARAM_TIME				/* RFC 3339 */
} FmParamType;

/* A parameter in the query string; the n-th is $n of the queries. */
typedef struct FmParam
{
	const char *name;
	FmParamType type;
	const char *initial;		/* where it is not given; NULL: null */
	long		least;			/* of a number */
	long		most;
} FmParam;

typedef struct FmPart
{
	const char *name;			/* of the list in the answer */
	const char *query;
	int			nparams;		/* it takes the first ones, so many; of the
								 * first part: all */
} FmPart;

/* As what an endpoint is given. */
typedef enum FmForm
{
	FM_FORM_JSON,				/* all its lists */
	FM_FORM_CSV,				/* the first one, for a spreadsheet */
	FM_FORM_XLSX				/* the same, as one */
} FmForm;

typedef struct FmEndpoint
{
	const char *path;
	FmPart		parts[FM_MAX_PARTS];	/* those with a name */
	FmParam		params[FM_MAX_PARAMS];	/* those with a name */
	/* number from 1 of the parameter that limits rows; 0: none.  The query
	 * asks for one more than that, and the answer says "truncated". */
	int			limit;
	/* a query with a name: values of that parameter that the others leave open.
	 * More than one, and none is chosen: what is found must not be of two. */
	FmPart		one;
	/* answered with 200 and the state of the database while that is away */
	bool		survives;
} FmEndpoint;

/*
 * The endpoint of a path, or NULL.  With ".csv" or ".xlsx" behind its path, an
 * endpoint gives the first of its lists for a spreadsheet.
 */
extern const FmEndpoint *fm_endpoint_find(const char *path, FmForm *form);

/*
 * Check a parameter and copy its value.  Returns its number from 0, or -1 with
 * a sentence in error.
 */
extern int	fm_endpoint_param(const FmEndpoint *endpoint, const char *name,
							  const char *value, char *error, size_t errlen);

#endif							/* FM_ENDPOINT_H */
