/*
 * main.c - the dashboard: start, wait for a signal, end
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "answer.h"
#include "http.h"
#include "options.h"
#include "stream.h"

static bool
write_port(const FmOptions *options, int port)
{
	FILE	   *file;
	bool		written;

	if (options->port_file == NULL)
		return true;
	file = fopen(options->port_file, "w");
	written = file != NULL && fprintf(file, "%d\n", port) > 0;
	if (file != NULL)
		written = fclose(file) == 0 && written;
	if (!written)
		fprintf(stderr, "factorymon-dashboard: cannot write \"%s\": %s\n",
				options->port_file, strerror(errno));
	return written;
}

/* Until a signal asks for the end. */
static int
serve(const FmOptions *options, FmHttp *http, const sigset_t *signals)
{
	int			port = fm_http_port(http);
	int			number;

	fprintf(stderr, "factorymon-dashboard: %s://%s%s%s:%d/\n",
			options->tls_certificate != NULL ? "https" : "http",
			strchr(options->host, ':') ? "[" : "", options->host,
			strchr(options->host, ':') ? "]" : "", port);
	if (!write_port(options, port))
		return FM_EXIT_FAILED;
	(void) sigwait(signals, &number);
	return FM_EXIT_OK;
}

int
main(int argc, char **argv)
{
	FmOptions	options;
	FmDatabase	database;
	FmAnswers  *answers;
	FmStream   *stream;
	FmHttp	   *http;
	sigset_t	signals;
	int			code = fm_options_read(&options, argc, argv);

	if (code >= 0)
		return code;
	/* passwords pass through: no image of our memory on a disk */
	(void) setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	/* before there are threads, which inherit it */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	setvbuf(stderr, NULL, _IOLBF, 0);

	fm_database_init(&database, options.database);
	answers = fm_answers_start(&database, options.connections);
	stream = fm_stream_start(&database);
	if (answers == NULL || stream == NULL)
	{
		fprintf(stderr, "factorymon-dashboard: cannot start threads\n");
		return FM_EXIT_FAILED;
	}
	http = fm_http_start(&options, &database, answers, stream);
	code = http != NULL ? serve(&options, http, &signals) : FM_EXIT_FAILED;
	if (http != NULL)
		fm_http_quiesce(http);
	fm_stream_stop(stream);
	fm_answers_stop(answers);
	if (http != NULL)
		fm_http_stop(http);
	fm_answers_free(answers);
	fm_stream_free(stream);
	return code;
}
