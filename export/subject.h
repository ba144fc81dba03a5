/*
 * subject.h - what can be exported: views, their columns, their filters
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The tables in subject.c are the only place that knows names of the database.
 */
#ifndef FM_SUBJECT_H
#define FM_SUBJECT_H

#include <stdbool.h>

/* How a column is shown; the server sends everything as text. */
typedef enum FmType
{
	FM_TEXT,
	FM_NUMBER,
	FM_TRUTH,
	FM_TIME						/* in the time zone of the export, or in UTC */
} FmType;

typedef struct FmColumn
{
	const char *name;			/* as --columns and the view have it */
	const char *sql;			/* NULL: the view's column of that name */
	const char *title;
	FmType		type;
	int			width;			/* in a spreadsheet, in characters */
	bool		usual;			/* shown unless other columns are asked for */
	bool		utc;			/* a time in UTC, whatever the export's zone */
} FmColumn;

/* What rows can be chosen by, beside time. */
typedef enum FmFilterId
{
	FM_BY_SENSOR,
	FM_BY_TYPE,
	FM_BY_SECTION,
	FM_BY_ZONE,
	FM_BY_MACHINE,
	FM_BY_PIPELINE,
	FM_BY_LEVEL
} FmFilterId;

#define FM_FILTERS (FM_BY_LEVEL + 1)

typedef struct FmSubject
{
	const char *name;			/* on the command line */
	const char *title;			/* of its sheets */
	const char *view;
	const char *time;			/* the column that ranges are about */
	const char *table;			/* below the view, partitioned by it */
	const char *order;
	const char *filters[FM_FILTERS];	/* columns; NULL: cannot be used */
	const FmColumn *columns;
	int			ncolumns;
} FmSubject;

#define FM_MAX_COLUMNS 48

/* NULL: there is none of that name. */
extern const FmSubject *fm_subject_of(const char *name);
extern const FmColumn *fm_subject_column(const FmSubject *subject,
										 const char *name, int len);

/* For the help. */
extern const FmSubject *fm_subjects(int *count);

#endif							/* FM_SUBJECT_H */
