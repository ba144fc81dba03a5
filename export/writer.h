/*
 * writer.h - what makes a file of rows: CSV or XLSX
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_WRITER_H
#define FM_WRITER_H

#include "options.h"
#include "output.h"
#include "source.h"

typedef struct FmWriter FmWriter;

/* Each returns false after an error message. */
typedef struct FmWriterKind
{
	FmWriter   *(*start) (const FmOptions *options, const FmFacts *facts,
						  FmOutput *output);
	bool		(*row) (FmWriter *writer, const FmField *fields);
	bool		(*end) (FmWriter *writer);
	void		(*free) (FmWriter *writer);
} FmWriterKind;

extern const FmWriterKind fm_csv_writer;
extern const FmWriterKind fm_xlsx_writer;

/* The title of a column, with the time zone of a time; to be freed. */
extern char *fm_column_title(const FmColumn *column, const FmFacts *facts);

#endif							/* FM_WRITER_H */
