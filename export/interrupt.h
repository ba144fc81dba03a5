/*
 * interrupt.h - SIGINT, SIGTERM, SIGHUP: end, and leave nothing behind
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The first signal is only noted: whoever waits or loops looks at
 * fm_interrupted(), and ends in order, which cancels the query.  A second one,
 * or one while a library works that cannot be asked to stop, ends the program
 * at once; the unfinished file is removed in any case.
 */
#ifndef FM_INTERRUPT_H
#define FM_INTERRUPT_H

#include <stdbool.h>

extern void fm_interrupt_install(void);

/* The signal that came, or 0. */
extern int	fm_interrupted(void);

/* From now on the next signal ends the program at once. */
extern void fm_interrupt_at_once(bool at_once);

/* The unfinished file; NULL: there is none.  Its name must stay. */
extern void fm_interrupt_unlink(const char *path);

#endif							/* FM_INTERRUPT_H */
