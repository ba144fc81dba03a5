/*
 * xlsx.h - rows of a query as a workbook
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One sheet: a line of names, which stays in sight, then a line a row.  Numbers
 * are numbers where a spreadsheet keeps all their digits, times are times (UTC),
 * all else is text, and never a formula; null is empty.
 */
#ifndef FM_XLSX_H
#define FM_XLSX_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "../producer/buf.h"

#define FM_XLSX_TYPE \
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

/*
 * The first rows of a result, in a sheet of this name.  The library writes
 * files, so it takes a while and a temporary one: not for the thread of HTTP.
 * False, with a message: it could not be made.
 */
extern bool fm_xlsx_rows(FmBuf *buf, const PGresult *result, int rows,
						 const char *sheet, char *error, size_t errlen);

#endif							/* FM_XLSX_H */
