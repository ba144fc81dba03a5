/*-------------------------------------------------------------------------
 *
 * reading_test.h
 *	  The parts of reading_test, in the order in which main() runs them.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READING_TEST_H
#define FM_READING_TEST_H

extern void test_json(void);	/* reading_test_json.c */
extern void test_scalars(void); /* reading_test_scalar.c */

#endif							/* FM_READING_TEST_H */
