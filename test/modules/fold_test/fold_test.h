/*-------------------------------------------------------------------------
 *
 * fold_test.h
 *	  What the files of this test module share.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FOLD_TEST_H
#define FOLD_TEST_H

#include "postgres.h"

#include "utils/array.h"

#include "fold_state.h"

/* A slice of a string that lives long enough. */
extern FmSlice test_slice(const char *string);

/* The stream that all folds of these tests are of. */
extern FmFoldStream test_stream(int32 stream_id, int16 pipeline_id);

extern double test_cpu_seconds(void);

#endif							/* FOLD_TEST_H */
