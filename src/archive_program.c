/*-------------------------------------------------------------------------
 *
 * archive_program.c
 *	  History files that a program keeps: archive_command and restore_command.
 *
 * Both are shell commands as PostgreSQL's settings of these names are: %p
 * is the path of a file in archive_directory, %f its name, %% a percent sign.
 * A name has letters, digits and "-._~%" only, so no shell sees more in it.
 *
 * A program runs in a process group of its own.  When it takes longer than
 * archive_command_timeout, or whoever waits for it is cancelled, the group is
 * asked to end, and killed if it does not.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "archive.h"
#include "guc.h"

#define LOOK_MS 50				/* how often a program is looked at */
#define GRACE_MS 5000			/* from being asked to end to being killed */
#define LAST_LINE 400			/* bytes of what it said last */
#define READS_A_LOOK 64			/* of what it says, each of a page */

extern char **environ;

typedef struct Program
{
	pid_t		pid;			/* of its group, too; 0: it has ended */
	int			output;			/* end of the pipe from it, or -1 */
	int			status;			/* of waitpid() */
	char		said[LAST_LINE + 1];	/* the end of what it wrote */
	int			len;
} Program;

static char *
fill_in(const char *command, const char *name, const char *path)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const char *at = command; *at; at++)
	{
		if (*at != '%')
			appendStringInfoChar(&text, *at);
		else if (at[1] == 'p' || at[1] == 'f')
			appendStringInfoString(&text, *++at == 'p' ? path : name);
		else
		{
			appendStringInfoChar(&text, '%');
			if (at[1] == '%')
				at++;
		}
	}
	return text.data;
}

/* ----------------------------------------------------------------------
 * A process
 * ------------------------------------------------------------------- */

/* Our end of a pipe, which takes what the program says; its end in *theirs. */
static int
open_pipe(int *theirs)
{
	int			ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		ereport(ERROR, (errmsg("could not create a pipe: %m")));
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
		elog(ERROR, "could not change a pipe: %m");
	*theirs = ends[1];
	return ends[0];
}

/* Signals as a program expects them, and no file of ours but the pipe. */
static int
spawn(pid_t *pid, const char *command, int output)
{
	char	   *arguments[] = {"sh", "-c", unconstify(char *, command), NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t	none;
	sigset_t	all;
	int			error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
									 O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
#endif
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
							 POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	error = posix_spawn(pid, "/bin/sh", &files, &attributes, arguments,
						environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/*
 * Keep the end of what it says; the rest nobody would read.  One that never stops
 * talking waits for the next look, as its time has an end.
 */
static void
listen_to(Program *program)
{
	char		buffer[4096];
	ssize_t		n;

	for (int reads = 0; reads < READS_A_LOOK &&
		 (n = read(program->output, buffer, sizeof(buffer))) > 0; reads++)
	{
		const char *end = buffer + Max(n - LAST_LINE, 0);
		int			more = (int) Min(n, LAST_LINE);
		int			keep = Min(program->len, LAST_LINE - more);

		memmove(program->said, program->said + program->len - keep, keep);
		memcpy(program->said + keep, end, more);
		program->len = keep + more;
	}
	program->said[program->len] = '\0';
}

static bool
has_ended(Program *program)
{
	if (program->pid != 0 &&
		waitpid(program->pid, &program->status, WNOHANG) == program->pid)
		program->pid = 0;
	return program->pid == 0;
}

/* Wait till it ends, or a time in ms is over; interrupts are served. */
static bool
wait_for(Program *program, long ms)
{
	TimestampTz start = GetCurrentTimestamp();

	while (!has_ended(program))
	{
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), (int) ms))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		listen_to(program);
	}
	listen_to(program);
	return true;
}

/*
 * The group is gone afterwards, whatever it was doing.  This may be on the way
 * out of an error or a cancelled query, where the latch may be set all the time
 * and interrupts must not be served: so it is looked at, with pauses, and not
 * for longer than GRACE_MS.
 */
static void
end_group(Program *program)
{
	pid_t		group = program->pid;

	if (group == 0)
		return;
	(void) kill(-group, SIGTERM);
	for (int waited = 0; waited < GRACE_MS && !has_ended(program);
		 waited += LOOK_MS)
		pg_usleep(LOOK_MS * 1000L);
	(void) kill(-group, SIGKILL);
	if (program->pid != 0 &&
		waitpid(program->pid, &program->status, 0) == program->pid)
		program->pid = 0;
}

static void
finish(int code, Datum argument)
{
	Program    *program = (Program *) DatumGetPointer(argument);

	end_group(program);
	close(program->output);
}

static const char *
last_line(Program *program)
{
	char	   *line;

	while (program->len > 0 &&
		   isspace((unsigned char) program->said[program->len - 1]))
		program->said[--program->len] = '\0';
	line = strrchr(program->said, '\n');
	line = line ? line + 1 : program->said;
	/* whatever it is, it becomes part of a message in UTF-8 */
	for (char *at = line; *at; at++)
		if ((unsigned char) *at < 0x20 || (unsigned char) *at > 0x7e)
			*at = '?';
	return *line ? psprintf(": %s", line) : "";
}

/* How it failed; NULL: it did not. */
static char *
failure_of(Program *program, const char *what, bool in_time)
{
	if (!in_time)
		return psprintf("%s took longer than %d s", what,
						fm_archive_command_timeout / 1000);
	if (WIFSIGNALED(program->status))
		return psprintf("%s was ended by signal %d%s", what,
						WTERMSIG(program->status), last_line(program));
	if (WEXITSTATUS(program->status) != 0)
		return psprintf("%s failed with exit code %d%s", what,
						WEXITSTATUS(program->status), last_line(program));
	return NULL;
}

static char *
run(const char *what, const char *command)
{
	Program    *program = palloc0(sizeof(Program));
	volatile bool in_time = false;
	int			theirs;
	int			error;

	program->output = open_pipe(&theirs);
	error = spawn(&program->pid, command, theirs);
	close(theirs);
	if (error != 0)
	{
		close(program->output);
		return psprintf("%s could not be started: %s", what, strerror(error));
	}
	/* also where we are terminated, or the server is gone */
	PG_ENSURE_ERROR_CLEANUP(finish, PointerGetDatum(program));
	{
		in_time = wait_for(program, fm_archive_command_timeout);
	}
	PG_END_ENSURE_ERROR_CLEANUP(finish, PointerGetDatum(program));
	finish(0, PointerGetDatum(program));
	return failure_of(program, what, in_time);
}

/* ----------------------------------------------------------------------
 * What they are for
 * ------------------------------------------------------------------- */

static bool
is_set(const char *command)
{
	return command != NULL && command[0] != '\0';
}

bool
fm_archive_has_program(void)
{
	return is_set(fm_archive_command);
}

static const char *
name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* Fetch a file to where it is to be; NULL, or what went wrong. */
static char *
fetch(const char *name, const char *path)
{
	char	   *problem = run("restore_command",
							  fill_in(fm_archive_restore_command, name, path));

	if (problem == NULL && access(path, R_OK) != 0)
		problem = "restore_command succeeded, but did not bring it";
	return problem ? psprintf("archive file \"%s\" could not be fetched: %s",
							  name, problem) : NULL;
}

void
fm_archive_store(const char *path, const char *sha256)
{
	const char *name = name_of(path);
	char	   *problem;

	if (!fm_archive_has_program())
		return;
	problem = run("archive_command", fill_in(fm_archive_command, name, path));
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not store archive file \"%s\": %s", name,
						problem)));
	if (is_set(fm_archive_restore_command))
	{
		char	   *back = psprintf("%s.fetched.tmp", path);

		problem = fetch(name, back);
		if (problem == NULL)
			problem = fm_archive_damage(back, sha256);
		(void) unlink(back);
		if (problem)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("what archive_command stored is not there: %s",
							problem)));
	}
	if (unlink(path) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove archive file \"%s\": %m", path)));
}

static void
remove_fetched(void *path)
{
	(void) unlink(path);
}

char *
fm_archive_locate(const char *name, char **problem)
{
	char	   *path = psprintf("%s/%s", fm_archive_directory(), name);
	char	   *back;
	MemoryContextCallback *callback;

	*problem = NULL;
	if (access(path, F_OK) == 0 || !is_set(fm_archive_restore_command))
		return path;
	back = psprintf("%s.fetched.tmp", path);
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = remove_fetched;
	callback->arg = back;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	*problem = fetch(name, back);
	return back;
}
