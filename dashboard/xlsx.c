/*
 * xlsx.c - rows of a query as a workbook
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * libxlsxwriter has the cells in memory, which endpoints bound by their limits,
 * and the parts of the workbook in temporary files of $TMPDIR or /tmp.
 */
#include "xlsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xlsxwriter.h>

#include "../export/cell.h"
#include "json.h"

#define MOST_BYTES (64 * 1024 * 1024)	/* of a workbook; none comes near */

typedef struct Sheet
{
	lxw_worksheet *sheet;
	lxw_format *time;
	FmBuf		text;
	lxw_error	error;			/* the first one */
} Sheet;

static void
note(Sheet *sheet, lxw_error error)
{
	if (sheet->error == LXW_NO_ERROR)
		sheet->error = error;
}

static bool
is_number(Oid type)
{
	return type == TYPE_INT2 || type == TYPE_INT4 || type == TYPE_INT8 ||
		type == TYPE_FLOAT4 || type == TYPE_FLOAT8 || type == TYPE_NUMERIC;
}

static void
put_text(Sheet *sheet, lxw_row_t row, lxw_col_t column, const char *text,
		 lxw_format *format)
{
	(void) fm_cell_text(&sheet->text, text);
	note(sheet, worksheet_write_string(sheet->sheet, row, column,
									   sheet->text.data, format));
}

static void
put_value(Sheet *sheet, lxw_row_t row, lxw_col_t column, Oid type,
		  const char *text)
{
	double		number;

	if (type == TYPE_BOOL)
		note(sheet, worksheet_write_boolean(sheet->sheet, row, column,
											*text == 't', NULL));
	else if (is_number(type) && fm_cell_number(&number, text))
		note(sheet, worksheet_write_number(sheet->sheet, row, column, number,
										   NULL));
	else if (type == TYPE_TIMESTAMPTZ && fm_cell_time(&number, text))
		note(sheet, worksheet_write_number(sheet->sheet, row, column, number,
										   sheet->time));
	else
		put_text(sheet, row, column, text, NULL);
}

/* Names of columns, bold, and cells below them. */
static void
put_rows(Sheet *sheet, lxw_format *bold, const PGresult *result, int rows)
{
	int			columns = PQnfields(result);

	for (int i = 0; i < columns; i++)
	{
		bool		time = PQftype(result, i) == TYPE_TIMESTAMPTZ;

		put_text(sheet, 0, (lxw_col_t) i, PQfname(result, i), bold);
		note(sheet, worksheet_set_column(sheet->sheet, (lxw_col_t) i,
										 (lxw_col_t) i, time ? 24 : 16, NULL));
	}
	worksheet_freeze_panes(sheet->sheet, 1, 0);
	for (int row = 0; row < rows && row < PQntuples(result); row++)
		for (int i = 0; i < columns; i++)
			if (!PQgetisnull(result, row, i))
				put_value(sheet, (lxw_row_t) row + 1, (lxw_col_t) i,
						  PQftype(result, i), PQgetvalue(result, row, i));
}

/* Errors but the first are of what came of it. */
static lxw_error
write_book(const char *path, char *folder, const PGresult *result, int rows,
		   const char *name)
{
	lxw_workbook_options options = {.tmpdir = folder};
	lxw_workbook *book = workbook_new_opt(path, &options);
	Sheet		sheet = {.text = FM_BUF_INIT};
	lxw_format *bold;
	lxw_error	closed;

	if (book == NULL)
		return LXW_ERROR_MEMORY_MALLOC_FAILED;
	bold = workbook_add_format(book);
	sheet.time = workbook_add_format(book);
	sheet.sheet = workbook_add_worksheet(book, name);
	if (bold == NULL || sheet.time == NULL || sheet.sheet == NULL)
		note(&sheet, LXW_ERROR_MEMORY_MALLOC_FAILED);
	else
	{
		format_set_bold(bold);
		format_set_num_format(sheet.time, "yyyy\\-mm\\-dd\\ hh:mm:ss.000");
		put_rows(&sheet, bold, result, rows);
	}
	/* it frees the workbook, too */
	closed = workbook_close(book);
	note(&sheet, closed);
	fm_buf_free(&sheet.text);
	return sheet.error;
}

/* All of a file that the library has written; false: errno says why not. */
static bool
read_back(FmBuf *buf, const char *path)
{
	int			fd = open(path, O_RDONLY | O_CLOEXEC);
	char		piece[16384];
	ssize_t		n;
	int			saved;

	if (fd < 0)
		return false;
	while ((n = read(fd, piece, sizeof(piece))) > 0 &&
		   buf->len < MOST_BYTES)
		fm_buf_put(buf, piece, (size_t) n);
	saved = n > 0 ? EFBIG : errno;
	(void) close(fd);
	errno = saved;
	return n == 0;
}

bool
fm_xlsx_rows(FmBuf *buf, const PGresult *result, int rows, const char *sheet,
			 char *error, size_t errlen)
{
	const char *folder = getenv("TMPDIR");
	FmBuf		path = FM_BUF_INIT;
	lxw_error	failed = LXW_NO_ERROR;
	bool		made = false;
	int			fd;

	if (folder == NULL || *folder == '\0')
		folder = "/tmp";
	fm_buf_printf(&path, "%s/.factorymon-dashboard.XXXXXX", folder);
	fm_buf_putc(&path, '\0');
	fd = mkstemp(path.data);
	if (fd >= 0)
	{
		(void) close(fd);
		failed = write_book(path.data, (char *) (uintptr_t) folder, result,
							rows, sheet);
		made = failed == LXW_NO_ERROR && read_back(buf, path.data);
	}
	if (!made)
		snprintf(error, errlen, "58030: a workbook in \"%s\": %s", folder,
				 failed != LXW_NO_ERROR ? lxw_strerror(failed) :
				 strerror(errno));
	if (fd >= 0)
		(void) unlink(path.data);
	fm_buf_free(&path);
	return made;
}
