/*
 * xlsx.c - rows as a workbook of Excel, by libxlsxwriter
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * In the library's mode of constant memory a sheet goes to a temporary file, row
 * by row; the workbook is made of these at the end, which needs room beside it
 * for one sheet more.  A sheet that is full is followed by another one.  The
 * last one, "About", says what all this is.
 */
#include "writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xlsxwriter.h>

#include "cell.h"
#include "interrupt.h"
#include "tempfile.h"
#include "version.h"

/* A part of a ZIP file without extensions is smaller than 4 GiB. */
#define MOST_BYTES 3500000000LL
#define LOOK_EVERY 256			/* rows */

struct FmWriter
{
	const FmOptions *options;
	const FmFacts *facts;
	FmOutput   *output;
	lxw_workbook *book;
	lxw_format *title;
	lxw_format *time;
	lxw_format *bold;
	lxw_format *wrapped;
	lxw_worksheet *sheet;
	int			nsheets;
	int			sheet_rows;		/* in it so far */
	int64_t		rows;
	int64_t		cut;			/* texts that were too long */
	lxw_error	error;			/* the first one */
	FmBuf		text;
};

static void
note(FmWriter *writer, lxw_error error)
{
	if (writer->error == LXW_NO_ERROR)
		writer->error = error;
}

/* False after an error message, if anything went wrong so far. */
static bool
all_is_well(const FmWriter *writer)
{
	if (fm_tempfile_error() != 0)
		fprintf(stderr, "factorymon-export: a temporary file for \"%s\": %s\n",
				writer->output->asked, strerror(fm_tempfile_error()));
	else if (writer->error != LXW_NO_ERROR)
		fprintf(stderr, "factorymon-export: cannot write \"%s\": %s\n",
				writer->output->asked, lxw_strerror(writer->error));
	else
		return true;
	return false;
}

/* ----------------------------------------------------------------------
 * Sheets
 * ------------------------------------------------------------------- */

static void
put_string(FmWriter *writer, lxw_row_t row, lxw_col_t column,
		   const char *text, lxw_format *format)
{
	if (!fm_cell_text(&writer->text, text))
		writer->cut++;
	note(writer, worksheet_write_string(writer->sheet, row, column,
										writer->text.data, format));
}

static void
put_header(FmWriter *writer)
{
	const FmOptions *options = writer->options;

	for (int i = 0; i < options->ncolumns; i++)
	{
		const FmColumn *column = options->columns[i];
		char	   *title = fm_column_title(column, writer->facts);
		int			width = column->width;

		/* room for the button of the filter */
		if (width < (int) strlen(title) + 3)
			width = (int) strlen(title) + 3;
		note(writer, worksheet_set_column(writer->sheet, (lxw_col_t) i,
										  (lxw_col_t) i, width, NULL));
		if (options->header != FM_HEADER_NONE)
			put_string(writer, 0, (lxw_col_t) i,
					   options->header == FM_HEADER_NAMES ? column->name : title,
					   writer->title);
		free(title);
	}
	if (options->header != FM_HEADER_NONE)
		worksheet_freeze_panes(writer->sheet, 1, 0);
}

static int
header_rows(const FmWriter *writer)
{
	return writer->options->header != FM_HEADER_NONE ? 1 : 0;
}

static void
end_sheet(FmWriter *writer)
{
	int			last = header_rows(writer) + writer->sheet_rows - 1;

	if (header_rows(writer) > 0)
		note(writer, worksheet_autofilter(writer->sheet, 0, 0,
										  (lxw_row_t) last, (lxw_col_t)
										  (writer->options->ncolumns - 1)));
}

/* False: the library has no more. */
static bool
add_sheet(FmWriter *writer, const char *name)
{
	writer->sheet = workbook_add_worksheet(writer->book, name);
	writer->sheet_rows = 0;
	if (writer->sheet == NULL)
		note(writer, LXW_ERROR_CREATING_TMPFILE);
	return writer->sheet != NULL;
}

static bool
begin_sheet(FmWriter *writer)
{
	const char *title = writer->options->subject->title;
	char		name[32];

	if (++writer->nsheets == 1)
		snprintf(name, sizeof(name), "%s", title);
	else
		snprintf(name, sizeof(name), "%s %d", title, writer->nsheets);
	if (!add_sheet(writer, name))
		return false;
	put_header(writer);
	return true;
}

static bool
sheet_is_full(const FmWriter *writer)
{
	return writer->sheet_rows == writer->options->sheet_rows ||
		(writer->sheet_rows % LOOK_EVERY == 0 &&
		 ftello(writer->sheet->optimize_tmpfile) > MOST_BYTES);
}

/* ----------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------- */

static void
put_field(FmWriter *writer, lxw_row_t row, lxw_col_t column, FmType type,
		  const FmField *field)
{
	double		number;

	if (field->text == NULL)
		return;
	if (type == FM_NUMBER && fm_cell_number(&number, field->text))
		note(writer, worksheet_write_number(writer->sheet, row, column,
											number, NULL));
	else if (type == FM_TIME && fm_cell_time(&number, field->text))
		note(writer, worksheet_write_number(writer->sheet, row, column,
											number, writer->time));
	else if (type == FM_TRUTH)
		note(writer, worksheet_write_boolean(writer->sheet, row, column,
											 field->text[0] == 't', NULL));
	else
		put_string(writer, row, column, field->text, NULL);
}

static bool
xlsx_row(FmWriter *writer, const FmField *fields)
{
	lxw_row_t	row;

	if (sheet_is_full(writer))
	{
		end_sheet(writer);
		if (!begin_sheet(writer))
			return all_is_well(writer);
	}
	row = (lxw_row_t) (header_rows(writer) + writer->sheet_rows);
	for (int i = 0; i < writer->options->ncolumns; i++)
		put_field(writer, row, (lxw_col_t) i, writer->options->columns[i]->type,
				  &fields[i]);
	writer->sheet_rows++;
	writer->rows++;
	return (writer->error == LXW_NO_ERROR && fm_tempfile_error() == 0) ||
		all_is_well(writer);
}

/* ----------------------------------------------------------------------
 * About
 * ------------------------------------------------------------------- */

static void
put_about(FmWriter *writer, const char *what, const char *text)
{
	lxw_row_t	row = (lxw_row_t) writer->sheet_rows++;

	put_string(writer, row, 0, what, writer->bold);
	put_string(writer, row, 1, text, writer->wrapped);
}

static void
put_about_number(FmWriter *writer, const char *what, int64_t number)
{
	lxw_row_t	row = (lxw_row_t) writer->sheet_rows++;

	put_string(writer, row, 0, what, writer->bold);
	note(writer, worksheet_write_number(writer->sheet, row, 1, (double) number,
										writer->wrapped));
}

/* A line for each filter that was used. */
static void
put_filters(FmWriter *writer)
{
	for (int i = 0; i < FM_FILTERS; i++)
	{
		const FmList *list = &writer->options->filters[i];
		FmBuf		text = FM_BUF_INIT;
		FmBuf		name = FM_BUF_INIT;

		for (int j = 0; j < list->count; j++)
			fm_buf_printf(&text, "%s%s", j > 0 ? ", " : "", list->items[j]);
		fm_buf_putc(&text, '\0');
		fm_buf_printf(&name, "Only %s", fm_filter_name((FmFilterId) i));
		fm_buf_putc(&name, '\0');
		if (list->count > 0)
			put_about(writer, name.data, text.data);
		fm_buf_free(&text);
		fm_buf_free(&name);
	}
}

static void
put_all_about(FmWriter *writer)
{
	const FmFacts *facts = writer->facts;
	FmBuf		version = FM_BUF_INIT;

	worksheet_set_column(writer->sheet, 0, 0, 20, NULL);
	worksheet_set_column(writer->sheet, 1, 1, 60, NULL);
	put_about(writer, "What", writer->options->subject->title);
	put_about(writer, "From", facts->from != NULL ? facts->from : "the first");
	put_about(writer, "Before", facts->to != NULL ? facts->to : "(no end)");
	put_filters(writer);
	put_about(writer, "Times are those of", facts->time_zone);
	put_about_number(writer, "Rows", writer->rows);
	put_about_number(writer, "Sheets", writer->nsheets);
	if (writer->cut > 0)
		put_about_number(writer, "Texts cut (…)", writer->cut);
	put_about(writer, "As it was at", facts->now);
	put_about(writer, "By", facts->who);
	put_about(writer, "Database", facts->where);
	fm_buf_printf(&version, "factorymon-export %s, factorymon %s", FM_VERSION,
				  facts->extension != NULL ? facts->extension : "unknown");
	fm_buf_putc(&version, '\0');
	put_about(writer, "Made with", version.data);
	fm_buf_free(&version);
}

/* ----------------------------------------------------------------------
 * The workbook
 * ------------------------------------------------------------------- */

/* Where temporary files go: where the file will be, unless TMPDIR says. */
static char *
temporary_folder(const FmOutput *output)
{
	const char *wish = getenv("TMPDIR");
	const char *slash = strrchr(output->temporary, '/');
	char	   *folder;

	if (wish != NULL && *wish != '\0')
		return fm_xstrdup(wish);
	folder = fm_xstrdup(output->temporary);
	folder[slash == output->temporary ? 1 : slash - output->temporary] = '\0';
	return folder;
}

static void
make_formats(FmWriter *writer)
{
	writer->title = workbook_add_format(writer->book);
	format_set_bold(writer->title);
	format_set_bottom(writer->title, LXW_BORDER_THIN);
	writer->time = workbook_add_format(writer->book);
	format_set_num_format(writer->time, "yyyy\\-mm\\-dd\\ hh:mm:ss.000");
	writer->bold = workbook_add_format(writer->book);
	format_set_bold(writer->bold);
	format_set_align(writer->bold, LXW_ALIGN_VERTICAL_TOP);
	writer->wrapped = workbook_add_format(writer->book);
	format_set_text_wrap(writer->wrapped);
	format_set_align(writer->wrapped, LXW_ALIGN_LEFT);
}

static FmWriter *
xlsx_start(const FmOptions *options, const FmFacts *facts, FmOutput *output)
{
	FmWriter   *writer = fm_xcalloc(1, sizeof(*writer));
	lxw_workbook_options book = {.constant_memory = LXW_TRUE};
	lxw_doc_properties properties = {0};

	if (output->temporary == NULL)
	{
		fprintf(stderr, "factorymon-export: XLSX needs a file, not \"%s\"\n",
				output->asked);
		free(writer);
		return NULL;
	}
	writer->options = options;
	writer->facts = facts;
	writer->output = output;
	/* the library keeps this, and does not free it */
	book.tmpdir = temporary_folder(output);
	writer->book = workbook_new_opt(output->temporary, &book);
	make_formats(writer);
	properties.title = (char *) options->subject->title;
	properties.author = facts->who;
	workbook_set_properties(writer->book, &properties);
	if (!begin_sheet(writer) || fm_tempfile_count() == 0)
	{
		if (all_is_well(writer))
			fprintf(stderr, "factorymon-export: this libxlsxwriter does not let"
					" us see errors of its temporary files\n");
		free(writer);
		return NULL;
	}
	return writer;
}

static bool
xlsx_end(FmWriter *writer)
{
	end_sheet(writer);
	if (add_sheet(writer, "About"))
		put_all_about(writer);
	if (!all_is_well(writer))
		return false;
	if (writer->cut > 0 && !writer->options->quiet)
		fprintf(stderr, "factorymon-export: %lld texts are longer than a cell"
				" can be, and are cut\n", (long long) writer->cut);
	/* this takes a while, and cannot be asked to stop */
	fm_interrupt_at_once(true);
	if (fm_interrupted() != 0)
		return false;
	note(writer, workbook_close(writer->book));
	writer->book = NULL;
	fm_interrupt_at_once(false);
	return all_is_well(writer);
}

static void
xlsx_free(FmWriter *writer)
{
	fm_buf_free(&writer->text);
	free(writer);
}

const FmWriterKind fm_xlsx_writer = {xlsx_start, xlsx_row, xlsx_end, xlsx_free};
