/*
 * csv.c - rows as CSV (RFC 4180)
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * UTF-8, lines end with CR LF, no value is nothing, an empty text is "".
 * A text that a spreadsheet would take for a formula has an apostrophe before
 * it, unless texts are to be raw.  Numbers are those of the database, digit by
 * digit.
 */
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moment.h"

struct FmWriter
{
	const FmOptions *options;
	const FmFacts *facts;
	FmOutput   *output;
	char		special[5];		/* what a text with must be quoted for */
};

char *
fm_column_title(const FmColumn *column, const FmFacts *facts)
{
	FmBuf		title = FM_BUF_INIT;

	fm_buf_puts(&title, column->title);
	if (column->type == FM_TIME)
		fm_buf_printf(&title, " (%s)",
					  column->utc ? "UTC" : facts->time_zone);
	fm_buf_putc(&title, '\0');
	return title.data;
}

static void
put_quoted(FmBuf *buf, const char *prefix, const char *text)
{
	fm_buf_putc(buf, '"');
	fm_buf_puts(buf, prefix);
	while (*text != '\0')
	{
		size_t		len = strcspn(text, "\"");

		fm_buf_put(buf, text, len);
		text += len;
		if (*text == '"')
		{
			fm_buf_puts(buf, "\"\"");
			text++;
		}
	}
	fm_buf_putc(buf, '"');
}

static void
put_text(const FmWriter *writer, FmBuf *buf, const FmField *field)
{
	bool		formula = !writer->options->raw_text &&
		memchr("=+-@\t\r\n", field->text[0], 7) != NULL;

	if (formula || field->len == 0 ||
		strcspn(field->text, writer->special) < field->len)
		put_quoted(buf, formula ? "'" : "", field->text);
	else
		fm_buf_put(buf, field->text, field->len);
}

static void
put_number(const FmWriter *writer, FmBuf *buf, const FmField *field)
{
	char	   *point = writer->options->decimal_comma
		? memchr(field->text, '.', field->len) : NULL;

	if (point != NULL)
		*point = ',';
	if (point != NULL && writer->options->delimiter == ',')
		put_quoted(buf, "", field->text);
	else
		fm_buf_put(buf, field->text, field->len);
}

/* Behind the second: all six digits, or what a spreadsheet reads. */
static void
put_fraction(const FmWriter *writer, FmBuf *buf, const FmTime *time)
{
	int			micros = (int) (time->local % 1000000);

	if (micros < 0)
		micros += 1000000;		/* before 1970 */
	if (!writer->options->local_times)
		fm_buf_printf(buf, ".%06d", micros);
	else
		fm_buf_printf(buf, "%c%03d",
					  writer->options->decimal_comma ? ',' : '.',
					  micros / 1000);
}

static void
put_offset(FmBuf *buf, const FmTime *time)
{
	int			offset = abs(time->offset);

	if (!time->zoned)
	{
		fm_buf_putc(buf, 'Z');
		return;
	}
	fm_buf_printf(buf, "%c%02d:%02d", time->offset < 0 ? '-' : '+',
				  offset / 3600, offset / 60 % 60);
	if (offset % 60 != 0)
		fm_buf_printf(buf, ":%02d", offset % 60);
}

static void
put_time(const FmWriter *writer, FmBuf *buf, const FmField *field)
{
	bool		local = writer->options->local_times;
	size_t		start = buf->len;
	FmTime		time;

	if (!fm_time_read(&time, field->text))
	{
		put_text(writer, buf, field);
		return;
	}
	fm_buf_put(buf, field->text, 10);
	fm_buf_putc(buf, local ? ' ' : 'T');
	fm_buf_put(buf, field->text + 11, 8);
	put_fraction(writer, buf, &time);
	if (!local)
		put_offset(buf, &time);
	/* its decimal comma may be the delimiter */
	if (memchr(buf->data + start, writer->options->delimiter,
			   buf->len - start) != NULL)
	{
		fm_buf_putc(buf, '"');
		fm_buf_putc(buf, '"');
		memmove(buf->data + start + 1, buf->data + start,
				buf->len - start - 2);
		buf->data[start] = '"';
	}
}

static void
put_field(const FmWriter *writer, FmBuf *buf, FmType type,
		  const FmField *field)
{
	if (field->text == NULL)
		return;
	switch (type)
	{
		case FM_TEXT:
			put_text(writer, buf, field);
			break;
		case FM_NUMBER:
			put_number(writer, buf, field);
			break;
		case FM_TRUTH:
			fm_buf_puts(buf, field->text[0] == 't' ? "true" : "false");
			break;
		case FM_TIME:
			put_time(writer, buf, field);
			break;
	}
}

static void
put_header(const FmWriter *writer, FmBuf *buf)
{
	const FmOptions *options = writer->options;

	for (int i = 0; i < options->ncolumns; i++)
	{
		const FmColumn *column = options->columns[i];
		char	   *title = options->header == FM_HEADER_NAMES
			? fm_xstrdup(column->name)
			: fm_column_title(column, writer->facts);
		FmField		field = {title, strlen(title)};

		if (i > 0)
			fm_buf_putc(buf, options->delimiter);
		put_text(writer, buf, &field);
		free(title);
	}
	fm_buf_puts(buf, "\r\n");
}

static FmWriter *
csv_start(const FmOptions *options, const FmFacts *facts, FmOutput *output)
{
	FmWriter   *writer = fm_xcalloc(1, sizeof(*writer));

	writer->options = options;
	writer->facts = facts;
	writer->output = output;
	snprintf(writer->special, sizeof(writer->special), "%c\"\r\n",
			 options->delimiter);
	if (options->bom)
		fm_buf_puts(&output->buf, "\xEF\xBB\xBF");
	if (options->header != FM_HEADER_NONE)
		put_header(writer, &output->buf);
	return writer;
}

static bool
csv_row(FmWriter *writer, const FmField *fields)
{
	const FmOptions *options = writer->options;
	FmBuf	   *buf = &writer->output->buf;

	for (int i = 0; i < options->ncolumns; i++)
	{
		if (i > 0)
			fm_buf_putc(buf, options->delimiter);
		put_field(writer, buf, options->columns[i]->type, &fields[i]);
	}
	fm_buf_puts(buf, "\r\n");
	return fm_output_written(writer->output);
}

static bool
csv_end(FmWriter *writer)
{
	return fm_output_flush(writer->output);
}

static void
csv_free(FmWriter *writer)
{
	free(writer);
}

const FmWriterKind fm_csv_writer = {csv_start, csv_row, csv_end, csv_free};
