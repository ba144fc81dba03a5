/*
 * options.h - what is to be exported, and how
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_OPTIONS_H
#define FM_OPTIONS_H

#include <stdbool.h>

#include "subject.h"

#define FM_EXIT_OK 0
#define FM_EXIT_FAILED 1
#define FM_EXIT_USAGE 2

#define FM_SHEET_ROWS 1048575	/* of a sheet, without the line of titles */

typedef enum FmFormat
{
	FM_FORMAT_UNKNOWN,
	FM_FORMAT_CSV,
	FM_FORMAT_XLSX
} FmFormat;

typedef enum FmHeader
{
	FM_HEADER_TITLES,
	FM_HEADER_NAMES,
	FM_HEADER_NONE
} FmHeader;

/* One end of the range of time. */
typedef struct FmMoment
{
	enum
	{
		FM_MOMENT_OPEN,			/* not given */
		FM_MOMENT_ABSOLUTE,		/* sql: a time as PostgreSQL reads it */
		FM_MOMENT_RELATIVE		/* sql: an interval before or after now */
	}			kind;
	char		sql[64];
} FmMoment;

typedef struct FmList
{
	const char **items;
	int			count;
} FmList;

typedef struct FmOptions
{
	const FmSubject *subject;
	const char *database;		/* "": libpq's usual settings */
	const char *output;			/* "-": standard output */
	FmFormat	format;
	FmMoment	from;
	FmMoment	to;
	char		length[16];		/* of --on, behind from; "": not given */
	const char *time_zone;		/* "": the session's */
	FmList		filters[FM_FILTERS];
	const FmColumn *columns[FM_MAX_COLUMNS];
	int			ncolumns;
	FmHeader	header;
	char		delimiter;
	bool		decimal_comma;
	bool		bom;
	bool		raw_text;
	bool		local_times;
	bool		progress;
	bool		quiet;
	int			sheet_rows;
} FmOptions;

/* Returns -1, or the exit code of a program that has nothing more to do. */
extern int	fm_options_read(FmOptions *options, int argc, char **argv);

/* The word for a filter, as on the command line and for people. */
extern const char *fm_filter_name(FmFilterId id);

#endif							/* FM_OPTIONS_H */
