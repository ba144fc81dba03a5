/*
 * digest.c - factorymon-digest: truth lines of records found elsewhere
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * Reads lines of
 *
 *	partition TAB offset TAB kind TAB payload
 *
 * and writes for each the line that the producer's truth file holds for that
 * record (but for a duplicate's "of", which the record does not say), so that
 * sort and comm can compare.  The payload is JSON text for a reading and a
 * duplicate; for the others hexadecimal digits ("\x" in front is skipped, as
 * PostgreSQL writes them), or "-" for NULL.  A line that cannot be understood
 * is reported on stderr, leaves no line and makes the exit code 1.
 */
#include "truth.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool
read_number(const char *field, long long hi, long long *to)
{
	char	   *end;

	errno = 0;
	*to = strtoll(field, &end, 10);
	return field[0] >= '0' && field[0] <= '9' && *end == '\0' &&
		errno == 0 && *to <= hi;
}

static bool
read_kind(const char *field, FmKind *kind)
{
	for (int i = 0; i < FM_KINDS; i++)
		if (strcmp(fm_kind_names[i], field) == 0)
		{
			*kind = (FmKind) i;
			return true;
		}
	return false;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decode in place; the number of bytes, or -1. */
static long long
decode_hex(char *text, size_t len)
{
	size_t		from = len >= 2 && text[0] == '\\' && text[1] == 'x' ? 2 : 0;
	size_t		n = 0;

	if ((len - from) % 2 != 0)
		return -1;
	for (size_t i = from; i < len; i += 2)
	{
		int			hi = hex_digit(text[i]);
		int			lo = hex_digit(text[i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		text[n++] = (char) (hi * 16 + lo);
	}
	return (long long) n;
}

/* Split off the field up to the next tab; NULL: there is none. */
static char *
next_field(char **line, char *end)
{
	char	   *field = *line;
	char	   *tab = memchr(field, '\t', (size_t) (end - field));

	if (tab == NULL)
		return NULL;
	*tab = '\0';
	*line = tab + 1;
	return field;
}

/* One line without its newline; NULL, or what is wrong with it. */
static const char *
do_line(char *line, size_t len, FmBuf *out, FmBuf *scratch)
{
	char	   *end = line + len;
	char	   *field[3];
	long long	partition;
	long long	offset;
	FmKind		kind;
	long long	n;

	for (int i = 0; i < 3; i++)
		if ((field[i] = next_field(&line, end)) == NULL)
			return "expected partition, offset, kind, payload";
	if (!read_number(field[0], INT32_MAX, &partition))
		return "not a partition";
	if (!read_number(field[1], INT64_MAX, &offset))
		return "not an offset";
	if (!read_kind(field[2], &kind))
		return "not a kind";
	n = end - line;
	if (kind != FM_READING && kind != FM_DUPLICATE)
	{
		if (n == 1 && *line == '-')
			return fm_truth_put_line(out, scratch, (int32_t) partition,
									 offset, kind, NULL, NULL, 0);
		n = decode_hex(line, (size_t) n);
		if (n < 0)
			return "not hexadecimal";
	}
	return fm_truth_put_line(out, scratch, (int32_t) partition, offset, kind,
							 NULL, line, (size_t) n);
}

/* Anything but --help and --version is wrong usage. */
static int
print_help(const char *arg)
{
	bool		help = strcmp(arg, "--help") == 0;

	if (strcmp(arg, "--version") == 0)
		return puts("factorymon-digest " FM_VERSION) < 0;
	fputs("Usage: factorymon-digest < LINES\n"
		  "Reads partition TAB offset TAB kind TAB payload (JSON for a reading,"
		  " else\nhexadecimal or -), writes the producer's truth lines.\n",
		  help ? stdout : stderr);
	return help ? 0 : 2;
}

int
main(int argc, char **argv)
{
	FmBuf		out = FM_BUF_INIT;
	FmBuf		scratch = FM_BUF_INIT;
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;
	long		number = 0;
	int			code = 0;

	if (argc > 1)
		return print_help(argv[1]);
	while ((len = getline(&line, &size, stdin)) >= 0)
	{
		const char *why;

		number++;
		if (len > 0 && line[len - 1] == '\n')
			line[--len] = '\0';
		fm_buf_reset(&out);
		why = do_line(line, (size_t) len, &out, &scratch);
		if (why)
		{
			fprintf(stderr, "factorymon-digest: line %ld: %s\n", number, why);
			code = 1;
		}
		fwrite(out.data ? out.data : "", 1, out.len, stdout);
	}
	if (ferror(stdin) || fflush(stdout) != 0 || ferror(stdout))
	{
		perror("factorymon-digest");
		code = 1;
	}
	free(line);
	fm_buf_free(&out);
	fm_buf_free(&scratch);
	return code;
}
