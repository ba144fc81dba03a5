/*
 * main.c - the export client: from the database into a file
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *	options.c -> source.c (query.c) -> csv.c or xlsx.c (cell.c) -> output.c
 *
 * One row is in memory at a time, beside what libpq has received.
 */
#include <stdio.h>
#include <stdlib.h>

#include "interrupt.h"
#include "moment.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "source.h"
#include "writer.h"

#define TICK_ROWS 1024

typedef struct Export
{
	const FmOptions *options;
	FmSource   *source;
	const FmWriterKind *kind;
	FmWriter   *writer;
	FmProgress	progress;
	int			time_column;	/* among those shown; -1: it is not */
} Export;

static void
on_idle(void *argument)
{
	Export	   *export = argument;
	int64_t		begun = fm_source_position(export->source);

	if (export->progress.at_us < begun)
		export->progress.at_us = begun;
	fm_progress_tick(&export->progress);
}

/* Which column tells how far we are: the first one of each subject. */
static int
find_time(const FmOptions *options)
{
	for (int i = 0; i < options->ncolumns; i++)
		if (options->columns[i] == &options->subject->columns[0])
			return i;
	return -1;
}

static void
tell(Export *export, const FmField *fields)
{
	FmTime		time;

	if (export->time_column >= 0 &&
		fm_time_read(&time, fields[export->time_column].text))
		export->progress.at_us = time.local - time.offset * 1000000LL;
	on_idle(export);
}

static bool
copy_rows(Export *export)
{
	FmField		fields[FM_MAX_COLUMNS];
	int			more;

	while ((more = fm_source_next(export->source, fields)) > 0)
	{
		if (fm_interrupted() != 0 || !export->kind->row(export->writer, fields))
			return false;
		if (++export->progress.rows % TICK_ROWS == 0)
			tell(export, fields);
	}
	return more == 0;
}

static bool
write_file(Export *export, FmOutput *output)
{
	const FmOptions *options = export->options;
	const FmFacts *facts = fm_source_facts(export->source);
	bool		done;

	export->kind = options->format == FM_FORMAT_XLSX ? &fm_xlsx_writer
		: &fm_csv_writer;
	export->writer = export->kind->start(options, facts, output);
	if (export->writer == NULL)
		return false;
	export->time_column = find_time(options);
	fm_progress_start(&export->progress, options->progress, facts->from_us,
					  facts->to_us);
	fm_source_on_idle(export->source, on_idle, export);
	done = copy_rows(export) && fm_source_done(export->source);
	if (done && options->format == FM_FORMAT_XLSX)
		fm_progress_note(&export->progress, ", making the workbook");
	done = done && export->kind->end(export->writer) &&
		fm_output_commit(output);
	fm_progress_end(&export->progress, done);
	export->kind->free(export->writer);
	return done;
}

int
main(int argc, char **argv)
{
	FmOptions	options;
	FmOutput	output;
	Export		export = {.options = &options};
	int			code = fm_options_read(&options, argc, argv);
	bool		done;

	if (code >= 0)
		return code;
	export.source = fm_source_open(&options, &code);
	if (export.source == NULL)
		return code;
	fm_interrupt_install();
	done = fm_output_open(&output, options.output) &&
		write_file(&export, &output);
	fm_output_discard(&output);
	fm_source_close(export.source);
	if (fm_interrupted() != 0)
		return 128 + fm_interrupted();
	if (done && export.progress.rows == 0 && !options.quiet)
		fprintf(stderr, "factorymon-export: nothing was found\n");
	return done ? FM_EXIT_OK : FM_EXIT_FAILED;
}
