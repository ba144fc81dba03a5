/*
 * options.c - what is to be exported, and how
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../producer/buf.h"
#include "moment.h"
#include "version.h"

typedef enum Id
{
	OPT_DATABASE = 'd',
	OPT_OUTPUT = 'o',
	OPT_HELP = 256,				/* these must not be characters */
	OPT_VERSION, OPT_FORMAT, OPT_FROM, OPT_TO, OPT_ON, OPT_TIME_ZONE,
	OPT_AT_LEAST, OPT_COLUMNS, OPT_HEADER, OPT_DELIMITER, OPT_DECIMAL_COMMA,
	OPT_BOM, OPT_RAW_TEXT, OPT_LOCAL_TIMES, OPT_PROGRESS, OPT_QUIET,
	OPT_SHEET_ROWS,
	OPT_FILTER					/* and those of FmFilterId behind it */
} Id;

static const struct option longs[] = {
	{"database", required_argument, NULL, OPT_DATABASE},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},
	{"on", required_argument, NULL, OPT_ON},
	{"time-zone", required_argument, NULL, OPT_TIME_ZONE},
	{"at-least", required_argument, NULL, OPT_AT_LEAST},
	{"columns", required_argument, NULL, OPT_COLUMNS},
	{"header", required_argument, NULL, OPT_HEADER},
	{"delimiter", required_argument, NULL, OPT_DELIMITER},
	{"decimal-comma", no_argument, NULL, OPT_DECIMAL_COMMA},
	{"bom", no_argument, NULL, OPT_BOM},
	{"raw-text", no_argument, NULL, OPT_RAW_TEXT},
	{"local-times", no_argument, NULL, OPT_LOCAL_TIMES},
	{"progress", no_argument, NULL, OPT_PROGRESS},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"sheet-rows", required_argument, NULL, OPT_SHEET_ROWS},
	{"sensor", required_argument, NULL, OPT_FILTER + FM_BY_SENSOR},
	{"type", required_argument, NULL, OPT_FILTER + FM_BY_TYPE},
	{"section", required_argument, NULL, OPT_FILTER + FM_BY_SECTION},
	{"zone", required_argument, NULL, OPT_FILTER + FM_BY_ZONE},
	{"machine", required_argument, NULL, OPT_FILTER + FM_BY_MACHINE},
	{"pipeline", required_argument, NULL, OPT_FILTER + FM_BY_PIPELINE},
	{"level", required_argument, NULL, OPT_FILTER + FM_BY_LEVEL},
	{NULL, 0, NULL, 0}
};

static const char *const levels[] = {"normal", "warning", "critical"};

static const char help[] =
"Usage: factorymon-export [option ...] [readings | alarms | rejects] -o FILE\n"
"\n"
"Writes readings (or transitions of alarms, or rejected messages) of a range\n"
"of time into a file for spreadsheets and programs, CSV or XLSX.\n"
"\n"
"  -o, --output FILE      written whole or not at all; -: standard output (CSV)\n"
"      --format FORMAT    csv, xlsx [by the name of the file]\n"
"  -d, --database URL     where the database is, without a password: a URL or\n"
"                         keywords of libpq [DATABASE_URL, else PGHOST, ...]\n"
"\n"
"What\n"
"      --from TIME        the first moment [since ever]\n"
"      --to TIME          the moment that is not in it any more [for ever]\n"
"      --on PERIOD        a day (2026-11-22, today, yesterday), month (2026-11)\n"
"                         or year (2026), instead of both\n"
"      --sensor NAME, --type NAME, --machine NAME, --zone NAME,\n"
"      --section NAME, --pipeline NAME\n"
"                         only those; may be repeated; * stands for anything,\n"
"                         \\* for an asterisk\n"
"      --level LEVEL      normal, warning, critical; may be repeated\n"
"      --at-least LEVEL   this level, or a worse one\n"
"\n"
"A TIME is 2026-11-22T18:30:00-03:00, the same without a zone or without a time\n"
"of day (then it is the time zone's, see below), now, today, yesterday, tomorrow,\n"
"or how far from now it is: -90s, -15m, -12h, -7d, -2w, -1mo, -1y.\n"
"\n"
"How\n"
"      --time-zone NAME   in which times are read and shown, as America/Sao_Paulo\n"
"                         [MONITORING_TIME_ZONE, else that of the session]\n"
"      --columns LIST     by commas, in this order; those below\n"
"      --header KIND      titles for people, names of columns, or none [titles]\n"
"      --progress         tell how far it is [if standard error is a terminal]\n"
"      --quiet            do not, and no notes either\n"
"\n"
"CSV\n"
"      --delimiter C      , ; | ~ ^ or tab [, but ; with --decimal-comma]\n"
"      --decimal-comma    3,5 instead of 3.5\n"
"      --bom              mark it as UTF-8, as Excel wants it\n"
"      --local-times      2026-11-22 18:30:00.000, without the offset, so that a\n"
"                         spreadsheet sees a time\n"
"      --raw-text         texts as they are: without it one that begins with =,\n"
"                         +, -, @, a tab or a line end has an apostrophe before it,\n"
"                         because spreadsheets take it for a formula\n"
"\n"
"XLSX\n"
"      --sheet-rows N     rows of a sheet, before there is another one [1048575]\n"
"\n"
"      --help, --version\n";

/* Words, in lines of at most 79 columns. */
static void
print_columns(const FmSubject *subject, bool usual)
{
	int			at = 0;

	printf("\n%s%s:", usual ? "Columns of " : "  and if asked for",
		   usual ? subject->name : "");
	for (int i = 0; i < subject->ncolumns; i++)
	{
		const FmColumn *column = &subject->columns[i];

		if (column->usual != usual)
			continue;
		if (at == 0 || at + (int) strlen(column->name) > 76)
			at = printf("\n    ") - 1;
		at += printf(" %s", column->name);
	}
}

static void
print_help(void)
{
	int			count;
	const FmSubject *subjects = fm_subjects(&count);

	fputs(help, stdout);
	for (int i = 0; i < count; i++)
	{
		print_columns(&subjects[i], true);
		print_columns(&subjects[i], false);
	}
	printf("\n\nExit codes: 0 it is done, also if nothing was found; 1 it failed,"
		   " and there is\nno file; 2 wrong usage; 128 + N ended by signal N, and"
		   " there is no file.\n");
}

const char *
fm_filter_name(FmFilterId id)
{
	for (const struct option *option = longs; option->name != NULL; option++)
		if (option->val == OPT_FILTER + (int) id)
			return option->name;
	return "";
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

static bool
complain(const char *what, const char *text)
{
	fprintf(stderr, "factorymon-export: %s: \"%s\"\n", what, text);
	return false;
}

static void
add_item(FmList *list, const char *item)
{
	list->items = fm_xrealloc(list->items,
							  ((size_t) list->count + 1) * sizeof(char *));
	list->items[list->count++] = item;
}

static int
level_of(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(levels[i], text) == 0)
			return i;
	return -1;
}

static bool
add_filter(FmOptions *options, FmFilterId id, const char *text)
{
	if (id == FM_BY_LEVEL && level_of(text) < 0)
		return false;
	add_item(&options->filters[id], text);
	return true;
}

static bool
add_levels(FmOptions *options, const char *least)
{
	int			level = level_of(least);

	for (int i = level; i >= 0 && i < 3; i++)
		add_item(&options->filters[FM_BY_LEVEL], levels[i]);
	return level >= 0;
}

static bool
set_header(FmOptions *options, const char *text)
{
	static const char *const kinds[] = {"titles", "names", "none"};

	for (int i = 0; i < 3; i++)
		if (strcmp(kinds[i], text) == 0)
		{
			options->header = (FmHeader) i;
			return true;
		}
	return false;
}

/* One that is in no time, and in numbers only as their decimal comma. */
static bool
set_delimiter(FmOptions *options, const char *text)
{
	options->delimiter = strcmp(text, "tab") == 0 ? '\t' : text[0];
	return options->delimiter == '\t' ||
		(text[0] != '\0' && text[1] == '\0' && strchr(",;|~^", text[0]));
}

static bool
set_sheet_rows(FmOptions *options, const char *text)
{
	char	   *end;
	long		rows;

	errno = 0;
	rows = strtol(text, &end, 10);
	options->sheet_rows = (int) rows;
	return errno == 0 && end != text && *end == '\0' &&
		rows >= 1 && rows <= FM_SHEET_ROWS;
}

static bool
set_format(FmOptions *options, const char *text)
{
	options->format = strcmp(text, "csv") == 0 ? FM_FORMAT_CSV :
		strcmp(text, "xlsx") == 0 ? FM_FORMAT_XLSX : FM_FORMAT_UNKNOWN;
	return options->format != FM_FORMAT_UNKNOWN;
}

typedef struct Given
{
	const char *columns;
	bool		range;			/* --from or --to */
	bool		period;			/* --on */
	bool		quiet;
} Given;

static bool
set_option(FmOptions *options, Given *given, int id, const char *text)
{
	if (id >= OPT_FILTER)
		return add_filter(options, (FmFilterId) (id - OPT_FILTER), text);
	switch ((Id) id)
	{
		case OPT_DATABASE:
			options->database = text;
			return true;
		case OPT_OUTPUT:
			options->output = text;
			return *text != '\0';
		case OPT_FORMAT:
			return set_format(options, text);
		case OPT_FROM:
			given->range = true;
			return fm_moment_read(&options->from, text);
		case OPT_TO:
			given->range = true;
			return fm_moment_read(&options->to, text);
		case OPT_ON:
			given->period = true;
			return fm_period_read(&options->from, options->length,
								  sizeof(options->length), text);
		case OPT_TIME_ZONE:
			options->time_zone = text;
			return *text != '\0';
		case OPT_AT_LEAST:
			return add_levels(options, text);
		case OPT_COLUMNS:
			given->columns = text;	/* of what, the arguments will say */
			return *text != '\0';
		case OPT_HEADER:
			return set_header(options, text);
		case OPT_DELIMITER:
			return set_delimiter(options, text);
		case OPT_DECIMAL_COMMA:
			options->decimal_comma = true;
			return true;
		case OPT_BOM:
			options->bom = true;
			return true;
		case OPT_RAW_TEXT:
			options->raw_text = true;
			return true;
		case OPT_LOCAL_TIMES:
			options->local_times = true;
			return true;
		case OPT_PROGRESS:
			options->progress = true;
			return true;
		case OPT_QUIET:
			given->quiet = true;
			return true;
		case OPT_SHEET_ROWS:
			return set_sheet_rows(options, text);
		default:
			return false;
	}
}

static const char *
option_name(int id)
{
	for (const struct option *option = longs; option->name != NULL; option++)
		if (option->val == id)
			return option->name;
	return "";
}

/* -1: go on. */
static int
read_arguments(FmOptions *options, Given *given, int argc, char **argv)
{
	int			id;

	while ((id = getopt_long(argc, argv, "d:o:", longs, NULL)) != -1)
	{
		if (id == '?')
			return FM_EXIT_USAGE;	/* getopt has said why */
		if (id == OPT_HELP)
			print_help();
		if (id == OPT_VERSION)
			printf("factorymon-export %s\n", FM_VERSION);
		if (id == OPT_HELP || id == OPT_VERSION)
			return FM_EXIT_OK;
		if (!set_option(options, given, id, optarg))
		{
			fprintf(stderr,
					"factorymon-export: invalid value for --%s: \"%s\"\n",
					option_name(id), optarg);
			return FM_EXIT_USAGE;
		}
	}
	if (optind < argc &&
		(options->subject = fm_subject_of(argv[optind++])) == NULL)
		complain("there is nothing of that name to export", argv[optind - 1]);
	else if (optind < argc)
		complain("unexpected argument", argv[optind]);
	else
		return -1;
	return FM_EXIT_USAGE;
}

/* ----------------------------------------------------------------------
 * What the options mean together
 * ------------------------------------------------------------------- */

static bool
choose_columns(FmOptions *options, const char *list)
{
	const FmSubject *subject = options->subject;

	for (int i = 0; list == NULL && i < subject->ncolumns; i++)
		if (subject->columns[i].usual)
			options->columns[options->ncolumns++] = &subject->columns[i];
	while (list != NULL)
	{
		int			len = (int) strcspn(list, ",");
		const FmColumn *column = fm_subject_column(subject, list, len);

		if (column == NULL || options->ncolumns == FM_MAX_COLUMNS)
		{
			fprintf(stderr, "factorymon-export: %s have no column \"%.*s\"\n",
					subject->name, len, list);
			return false;
		}
		options->columns[options->ncolumns++] = column;
		list = list[len] == ',' ? list + len + 1 : NULL;
	}
	return true;
}

static bool
choose_format(FmOptions *options)
{
	const char *dot;

	if (options->output == NULL)
	{
		fprintf(stderr, "factorymon-export: where to? -o FILE, or -o - for"
				" standard output\n");
		return false;
	}
	dot = strrchr(options->output, '.');
	if (options->format != FM_FORMAT_UNKNOWN)
		;
	else if (strcmp(options->output, "-") == 0)
		options->format = FM_FORMAT_CSV;
	else if (dot == NULL || !set_format(options, dot + 1))
		return complain("--format csv or xlsx? The name of the file does not"
						" say", options->output);
	if (options->format == FM_FORMAT_XLSX && strcmp(options->output, "-") == 0)
		return complain("XLSX needs a file, not", options->output);
	return true;
}

/* Everybody on the machine can read a command line. */
static bool
no_password(const char *database)
{
	char	   *message = NULL;
	PQconninfoOption *parts = PQconninfoParse(database, &message);
	bool		found = false;

	/* what it does not understand, it will say again when it connects */
	for (PQconninfoOption *part = parts; part && part->keyword; part++)
		if (part->val != NULL && *part->val != '\0' &&
			(strcmp(part->keyword, "password") == 0 ||
			 strcmp(part->keyword, "sslpassword") == 0))
			found = true;
	PQconninfoFree(parts);
	PQfreemem(message);
	if (found)
		fprintf(stderr, "factorymon-export: no password on the command line,"
				" where others can read it:\nPGPASSFILE, PGPASSWORD or"
				" DATABASE_URL may have it\n");
	return !found;
}

static bool
fit_together(FmOptions *options, const Given *given)
{
	const FmSubject *subject = options->subject;

	if (given->range && given->period)
	{
		fprintf(stderr, "factorymon-export: --on goes without --from and"
				" --to\n");
		return false;
	}
	for (int i = 0; i < FM_FILTERS; i++)
		if (options->filters[i].count > 0 && subject->filters[i] == NULL)
		{
			fprintf(stderr, "factorymon-export: %s cannot be chosen by --%s\n",
					subject->name, fm_filter_name((FmFilterId) i));
			return false;
		}
	return choose_columns(options, given->columns) &&
		choose_format(options) && no_password(options->database);
}

/* What the environment says where the options do not. */
static void
read_environment(FmOptions *options)
{
	const char *database = getenv("DATABASE_URL");
	const char *time_zone = getenv("MONITORING_TIME_ZONE");

	if (*options->database == '\0' && database != NULL)
		options->database = database;
	if (*options->time_zone == '\0' && time_zone != NULL)
		options->time_zone = time_zone;
}

int
fm_options_read(FmOptions *options, int argc, char **argv)
{
	Given		given = {NULL, false, false, false};
	int			code;

	*options = (FmOptions)
	{
		.subject = fm_subject_of("readings"),.database = "",.time_zone = "",
			.sheet_rows = FM_SHEET_ROWS
	};
	code = read_arguments(options, &given, argc, argv);
	if (code < 0 && !fit_together(options, &given))
		code = FM_EXIT_USAGE;
	if (code == FM_EXIT_USAGE)
		fprintf(stderr, "Try \"factorymon-export --help\".\n");
	read_environment(options);
	if (options->delimiter == '\0')
		options->delimiter = options->decimal_comma ? ';' : ',';
	options->quiet = given.quiet;
	if (!given.quiet && isatty(STDERR_FILENO))
		options->progress = true;
	if (given.quiet)
		options->progress = false;
	return code;
}
