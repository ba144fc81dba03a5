/*
 * cell.h - what fits into the cell of a spreadsheet
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_CELL_H
#define FM_CELL_H

#include <stdbool.h>

#include "../producer/buf.h"
#include "moment.h"

/*
 * A text as libxlsxwriter should be given it.  Excel takes "_x0041_" for the
 * character that this stands for, so such an underscore is written as one of
 * these itself (control characters the library writes so).  Returns false if it
 * was too long, and is cut.
 */
extern bool fm_cell_text(FmBuf *out, const char *text);

/* Whether a number can be one there: it is finite, and no integer of more than
 * the 15 digits that Excel keeps. */
extern bool fm_cell_number(double *number, const char *text);

/* Days since 1899-12-30, as Excel counts them from March 1900 on. */
extern bool fm_cell_time(double *days, const char *text);

#endif							/* FM_CELL_H */
