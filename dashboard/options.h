/*
 * options.h - what the dashboard was asked to do
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One table (options.c) describes every setting: its option, its environment
 * variable, its help.  An option wins over the environment, and an empty
 * variable counts as not set, as compose files leave them.
 */
#ifndef FM_OPTIONS_H
#define FM_OPTIONS_H

#include <stdbool.h>

#define FM_EXIT_OK 0
#define FM_EXIT_FAILED 1
#define FM_EXIT_USAGE 2

#define FM_MAX_CONNECTIONS 16
#define FM_MAX_SESSION (12 * 60 * 60)

typedef struct FmOptions
{
	const char *host;			/* address to listen on */
	int			port;			/* 0: any free one */
	const char *port_file;		/* gets the port that it is, or NULL */
	const char *database;		/* of libpq: URL, keywords or "" */
	const char *allowed_hosts;	/* further values of Host, by commas */
	int			connections;	/* to the database */
	bool		metrics_local;	/* /metrics only for clients on this machine */
	bool		no_login;		/* nobody logs in, so nobody does anything */
	int			session_idle;	/* seconds without an action */
	int			session_most;	/* seconds in all */
	const char *tls_certificate;	/* files, PEM; NULL: no TLS */
	const char *tls_key;
	bool		behind_tls_proxy;	/* clients come by https all the same */
	const char *trusted_proxies;	/* addresses and networks, by commas */
	const char *time_zone;		/* the plant's; "": not told */
	bool		verbose;		/* a line on stderr for each request */
} FmOptions;

/*
 * Fill in *options from the environment and the command line.  Returns -1 to
 * go on, else the exit code: usage errors are reported on stderr, --help and
 * --version have been answered.
 */
extern int	fm_options_read(FmOptions *options, int argc, char **argv);

#endif							/* FM_OPTIONS_H */
