/*
 * interrupt.c - SIGINT, SIGTERM, SIGHUP: end, and leave nothing behind
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static volatile sig_atomic_t leave_at_once;
static const char *volatile unfinished;

static void
on_signal(int number)
{
	const char *path = unfinished;

	if (caught == 0 && !leave_at_once)
	{
		caught = number;
		return;
	}
	if (path != NULL)
		(void) unlink(path);
	_exit(128 + number);
}

void
fm_interrupt_install(void)
{
	/* no SA_RESTART: a write to a pipe that nobody reads must return */
	struct sigaction action = {.sa_handler = on_signal};
	int			numbers[] = {SIGINT, SIGTERM, SIGHUP};

	sigemptyset(&action.sa_mask);
	for (int i = 0; i < 3; i++)
	{
		struct sigaction was;

		/* nohup's wish is left alone */
		if (sigaction(numbers[i], NULL, &was) == 0 &&
			was.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	/* these are errors of a write instead */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

int
fm_interrupted(void)
{
	return caught;
}

void
fm_interrupt_at_once(bool at_once)
{
	leave_at_once = at_once;
}

void
fm_interrupt_unlink(const char *path)
{
	unfinished = path;
}
