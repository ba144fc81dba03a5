/*
 * options.c - what the dashboard was asked to do
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * The table "settings" is the only place that knows names: the option parser,
 * the reading of the environment and the help text are made from it.  To add
 * a setting: a line there and a case in set_option.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "version.h"

#define TIME_ZONE_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz0123456789_/+-"

typedef enum Id
{
	OPT_HOST = 256,				/* ids must not be characters */
	OPT_PORT, OPT_PORT_FILE, OPT_DATABASE, OPT_ALLOWED_HOSTS, OPT_CONNECTIONS,
	OPT_METRICS_LOCAL, OPT_NO_LOGIN, OPT_SESSION_IDLE, OPT_SESSION_MOST,
	OPT_TLS_CERTIFICATE, OPT_TLS_KEY, OPT_BEHIND_TLS_PROXY,
	OPT_TRUSTED_PROXY, OPT_TIME_ZONE, OPT_VERBOSE, OPT_HELP, OPT_VERSION
} Id;

typedef struct Setting
{
	Id			id;
	const char *name;			/* of the option */
	const char *arg;			/* NULL: takes none */
	const char *env;			/* NULL: option only */
	const char *help;
} Setting;

static const Setting settings[] = {
	{OPT_HOST, "host", "ADDRESS", "MONITORING_HOST",
	"address to listen on [127.0.0.1]"},
	{OPT_PORT, "port", "PORT", "MONITORING_PORT",
	"port to listen on, 0: any that is free [5000]"},
	{OPT_PORT_FILE, "port-file", "FILE", NULL,
	"write the port that it is into this file"},
	{OPT_DATABASE, "database", "URL", "DATABASE_URL",
		"where the database is: a URL or keywords of libpq, for a role that"
		" has been given access of the kind reader [libpq's usual settings,"
	" PGHOST, PGDATABASE, ...]"},
	{OPT_ALLOWED_HOSTS, "allowed-hosts", "LIST", "MONITORING_ALLOWED_HOSTS",
		"names, by commas, under which clients may ask for it, beside"
	" localhost and addresses; *: any [none]"},
	{OPT_CONNECTIONS, "connections", "N", "MONITORING_CONNECTIONS",
	"connections to the database for queries, 1 to 16 [3]"},
	{OPT_METRICS_LOCAL, "metrics-local", NULL, "MONITORING_METRICS_LOCAL",
	"/metrics for clients on this machine only"},
	{OPT_NO_LOGIN, "no-login", NULL, "MONITORING_NO_LOGIN",
	"nobody can log in, so alarms can only be looked at"},
	{OPT_SESSION_IDLE, "session-idle", "SECONDS", "MONITORING_SESSION_IDLE",
	"without an action for so long, a login ends, 1 to 43200 [900]"},
	{OPT_SESSION_MOST, "session-most", "SECONDS", "MONITORING_SESSION_MOST",
	"a login lasts no longer than this, 1 to 43200 [43200]"},
	{OPT_TLS_CERTIFICATE, "tls-certificate", "FILE", "MONITORING_TLS_CERT",
		"serve https with this certificate, and those that it depends on"
	" behind it (PEM)"},
	{OPT_TLS_KEY, "tls-key", "FILE", "MONITORING_TLS_KEY",
	"its private key (PEM), which nobody else may read"},
	{OPT_BEHIND_TLS_PROXY, "behind-tls-proxy", NULL,
		"MONITORING_BEHIND_TLS_PROXY",
		"clients come by https, to a proxy that leaves Host as it is: they may"
	" log in, though we listen for more than this machine without TLS"},
	{OPT_TRUSTED_PROXY, "trusted-proxy", "LIST", "MONITORING_TRUSTED_PROXY",
		"addresses and networks, by commas, of proxies whose X-Forwarded-For"
	" is believed [none]"},
	{OPT_TIME_ZONE, "time-zone", "NAME", "MONITORING_TIME_ZONE",
		"the plant's, in which the page shows times, as"
	" America/Sao_Paulo [the browser's]"},
	{OPT_VERBOSE, "verbose", NULL, NULL, "a line for each request"},
	{OPT_HELP, "help", NULL, NULL, "show this"},
	{OPT_VERSION, "version", NULL, NULL, "show the version"},
};

#define NSETTINGS ((int) (sizeof(settings) / sizeof(settings[0])))

/* ----------------------------------------------------------------------
 * Help
 * ------------------------------------------------------------------- */

/* Words of text, in lines of 78 columns, from column on. */
static void
print_words(const char *text, int column)
{
	int			at = column;

	while (*text != '\0')
	{
		int			len = (int) strcspn(text, " ");

		if (at > column && at + 1 + len > 78)
		{
			printf("\n%*s", column, "");
			at = column;
		}
		printf("%s%.*s", at > column ? " " : "", len, text);
		at += len + (at > column ? 1 : 0);
		text += len + (text[len] == ' ' ? 1 : 0);
	}
	printf("\n");
}

static void
print_help(void)
{
	printf("Usage: factorymon-dashboard [option ...]\n\n"
		   "Shows a plant and its pipelines to browsers, over HTTP: REST under"
		   " /api/,\na stream of events, and metrics for Prometheus.\n\n");
	for (int i = 0; i < NSETTINGS; i++)
	{
		const Setting *setting = &settings[i];

		printf("  --%s%s%s%s%s\n      ", setting->name,
			   setting->arg != NULL ? " " : "",
			   setting->arg != NULL ? setting->arg : "",
			   setting->env != NULL ? ", or " : "",
			   setting->env != NULL ? setting->env : "");
		print_words(setting->help, 6);
	}
	printf("\nEnds on SIGINT or SIGTERM.  Exit codes: 0 ended by a signal, 1 it"
		   " cannot work\n(such as a port that is in use), 2 wrong usage."
		   "  A database that is away is\nwaited for.\n");
}

/* ----------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------- */

static bool
read_int(const char *text, int least, int most, int *value)
{
	char	   *end;
	long		n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < least || n > most)
		return false;
	*value = (int) n;
	return true;
}

static bool
read_switch(const char *text, bool *value)
{
	*value = strcmp(text, "on") == 0 || strcmp(text, "true") == 0 ||
		strcmp(text, "1") == 0 || strcmp(text, "yes") == 0;
	return *value || strcmp(text, "off") == 0 ||
		strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ||
		strcmp(text, "no") == 0;
}

/* text: of a switch, NULL on the command line. */
static bool
set_option(FmOptions *options, Id id, const char *text)
{
	switch (id)
	{
		case OPT_HOST:
			options->host = text;
			return true;
		case OPT_PORT:
			return read_int(text, 0, 65535, &options->port);
		case OPT_PORT_FILE:
			options->port_file = text;
			return true;
		case OPT_DATABASE:
			options->database = text;
			return true;
		case OPT_ALLOWED_HOSTS:
			options->allowed_hosts = text;
			return true;
		case OPT_CONNECTIONS:
			return read_int(text, 1, FM_MAX_CONNECTIONS,
							&options->connections);
		case OPT_METRICS_LOCAL:
			options->metrics_local = true;
			return text == NULL || read_switch(text, &options->metrics_local);
		case OPT_NO_LOGIN:
			options->no_login = true;
			return text == NULL || read_switch(text, &options->no_login);
		case OPT_SESSION_IDLE:
			return read_int(text, 1, FM_MAX_SESSION, &options->session_idle);
		case OPT_SESSION_MOST:
			return read_int(text, 1, FM_MAX_SESSION, &options->session_most);
		case OPT_TLS_CERTIFICATE:
			options->tls_certificate = text;
			return true;
		case OPT_TLS_KEY:
			options->tls_key = text;
			return true;
		case OPT_BEHIND_TLS_PROXY:
			options->behind_tls_proxy = true;
			return text == NULL ||
				read_switch(text, &options->behind_tls_proxy);
		case OPT_TRUSTED_PROXY:
			options->trusted_proxies = text;
			return true;
		case OPT_TIME_ZONE:
			/* whether there is one of that name, the page's browser knows */
			options->time_zone = text;
			return strspn(text, TIME_ZONE_CHARACTERS) == strlen(text);
		case OPT_VERBOSE:
			options->verbose = true;
			return true;
		case OPT_HELP:
		case OPT_VERSION:
			break;
	}
	return false;
}

static bool
read_environment(FmOptions *options)
{
	for (int i = 0; i < NSETTINGS; i++)
	{
		const Setting *setting = &settings[i];
		const char *text = setting->env ? getenv(setting->env) : NULL;

		if (text == NULL || *text == '\0' ||
			set_option(options, setting->id, text))
			continue;
		fprintf(stderr, "factorymon-dashboard: invalid value for %s: \"%s\"\n",
				setting->env, text);
		return false;
	}
	return true;
}

static const Setting *
setting_of(int id)
{
	for (int i = 0; i < NSETTINGS; i++)
		if ((int) settings[i].id == id)
			return &settings[i];
	return NULL;
}

/* -1: go on. */
static int
read_arguments(FmOptions *options, int argc, char **argv)
{
	struct option longs[NSETTINGS + 1];
	int			id;

	memset(longs, 0, sizeof(longs));
	for (int i = 0; i < NSETTINGS; i++)
	{
		longs[i].name = settings[i].name;
		longs[i].has_arg = settings[i].arg ? required_argument : no_argument;
		longs[i].val = (int) settings[i].id;
	}
	while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1)
	{
		const Setting *setting = setting_of(id);

		if (setting == NULL)
			return FM_EXIT_USAGE;	/* getopt has said why */
		if (setting->id == OPT_HELP || setting->id == OPT_VERSION)
		{
			if (setting->id == OPT_HELP)
				print_help();
			else
				printf("factorymon-dashboard %s\n", FM_VERSION);
			return FM_EXIT_OK;
		}
		if (!set_option(options, setting->id, optarg))
		{
			fprintf(stderr,
					"factorymon-dashboard: invalid value for --%s: \"%s\"\n",
					setting->name, optarg);
			return FM_EXIT_USAGE;
		}
	}
	if (optind < argc)
	{
		fprintf(stderr, "factorymon-dashboard: unexpected argument \"%s\"\n",
				argv[optind]);
		return FM_EXIT_USAGE;
	}
	return -1;
}

/* Options that need one another. */
static bool
fit_together(const FmOptions *options)
{
	if ((options->tls_certificate == NULL) == (options->tls_key == NULL))
		return true;
	fprintf(stderr, "factorymon-dashboard: --tls-certificate and --tls-key go"
			" together\n");
	return false;
}

int
fm_options_read(FmOptions *options, int argc, char **argv)
{
	int			code;

	*options = (FmOptions)
	{
		.host = "127.0.0.1",.port = 5000,.database = "",.allowed_hosts = "",
			.connections = 3,.session_idle = 900,
			.session_most = FM_MAX_SESSION,.trusted_proxies = "",
			.time_zone = ""
	};
	if (!read_environment(options))
		return FM_EXIT_USAGE;
	code = read_arguments(options, argc, argv);
	if (code < 0 && !fit_together(options))
		code = FM_EXIT_USAGE;
	if (code == FM_EXIT_USAGE)
		fprintf(stderr, "Try \"factorymon-dashboard --help\".\n");
	return code;
}
