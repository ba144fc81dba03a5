/*
 * tempfile.h - temporary files of libxlsxwriter, whose errors are noticed
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The library writes rows into temporary files and never looks whether that
 * worked: on a full disk the end of a sheet would be missing, without a word.
 * So it gets its files from here: lxw_tmpfile() is its own function, and a
 * program's definition goes before that of a shared library.
 */
#ifndef FM_TEMPFILE_H
#define FM_TEMPFILE_H

/* The first error of any of these files, as errno has it; 0: none. */
extern int	fm_tempfile_error(void);

/* How many the library has asked us for: none, if ours is not the one it uses. */
extern int	fm_tempfile_count(void);

#endif							/* FM_TEMPFILE_H */
