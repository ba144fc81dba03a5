/*
 * broker.c - factorymon-broker: a Kafka cluster in one process, for tests
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A shell around librdkafka's mock cluster: topics from the command line, the
 * addresses on standard output, commands from standard input and a control
 * socket.  The cluster runs in the library's thread; this one only waits in
 * poll() for commands and signals (a self-pipe, so that none gets lost).
 *
 * With --send the program is a client of another one's control socket, so that
 * scripts need nothing else.
 */
#include "brokercmd.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CLIENTS 16
#define MAX_LINE 65536
#define MAX_TOPICS 100

typedef struct TopicOption
{
	const char *name;
	int			partitions;
	int			replication;
} TopicOption;

typedef struct Options
{
	int			brokers;
	TopicOption topics[MAX_TOPICS];
	int			n_topics;
	const char *bootstrap_file;
	const char *control;
	const char *send;
	bool		exit_with_stdin;
	bool		verbose;
} Options;

/* Somebody who sends commands. */
typedef struct Talker
{
	int			in;				/* -1: free */
	int			out;
	FmBuf		line;			/* read so far */
} Talker;

typedef struct Server
{
	FmCluster	cluster;
	int			listener;		/* -1: none */
	Talker		stdio;
	Talker		clients[MAX_CLIENTS];
} Server;

static int	signal_pipe[2] = {-1, -1};

static void
on_signal(int signo)
{
	int			saved = errno;
	char		byte = (char) signo;
	ssize_t		n = write(signal_pipe[1], &byte, 1);

	(void) n;					/* full: one is enough */
	errno = saved;
}

static bool
complain(const char *what, const char *why)
{
	fprintf(stderr, "factorymon-broker: %s%s%s\n", what, why ? ": " : "",
			why ? why : "");
	return false;
}

static void
print_help(void)
{
	FmBuf		text = FM_BUF_INIT;

	printf(
"factorymon-broker is a Kafka cluster in one process, for demonstrations and\n"
"tests: librdkafka's mock cluster with fault injection.\n\n"
"Usage: factorymon-broker [OPTION]...\n"
"       factorymon-broker --send PATH COMMAND...\n\n"
"  --brokers N                  how many [3]\n"
"  --topic NAME:PARTITIONS[:REPLICATION]\n"
"                               repeatable [sensor-data:3:2 and alerts:2:2]\n"
"  --bootstrap-file FILE        write the addresses there too\n"
"  --control PATH               take commands on this Unix socket\n"
"  --exit-with-stdin            end when standard input does\n"
"  --verbose                    the library's own log on stderr\n"
"  --send PATH COMMAND...       send one command, print its answer\n"
"  --help, --version\n\n"
"One line on standard output: bootstrap.servers=127.0.0.1:PORT,...\n"
"Ends on SIGTERM, SIGINT or the command quit.\n\n"
"What it is not:\n"
"  * Kafka.  Everything is in memory and gone at the end; ports are random.\n"
"  * A store: a partition holds 5 MiB or 100,000 batches, then drops its\n"
"    oldest batches without a word.\n"
"  * Replicated: the replication factor is checked and has no effect.\n"
"  * Complete: no creation of topics by clients (they are auto-created with 4\n"
"    partitions when produced to), no more partitions for a topic, no offsets\n"
"    by timestamp, no static membership, no TLS or SASL.\n"
"  * Transactional: aborted records are visible, there are no control\n"
"    records.  Without a transactional id, a batch whose answer is lost is\n"
"    appended again when an idempotent producer repeats it.\n"
"  * Fast for consumers: the first member of a group waits 3 s; one batch\n"
"    per partition and fetch, so producers should linger 20 ms; a fetch that\n"
"    finds nothing waits fetch.wait.max.ms.\n\n"
"Commands, one per line on standard input or the control socket, answered by\n"
"ok or error: ... on a line of its own:\n");
	fm_cluster_help(&text);
	fwrite(text.data, 1, text.len, stdout);
	fm_buf_free(&text);
}

/* ---- standard input, the control socket ---- */

static bool
fill_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return complain(path, "too long for a socket");
	strcpy(address->sun_path, path);
	return true;
}

static bool
open_control(Server *server, const char *path)
{
	struct sockaddr_un address;
	struct stat st;

	if (!fill_address(path, &address))
		return false;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);			/* left by a predecessor */
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->listener < 0 ||
		bind(server->listener, (struct sockaddr *) &address,
			 sizeof(address)) != 0 ||
		listen(server->listener, MAX_CLIENTS) != 0)
		return complain(path, strerror(errno));
	return true;
}

static bool
write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0)
	{
		ssize_t		done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		bytes += done;
		n -= (size_t) done;
	}
	return true;
}

/* Run all whole lines that came in.  false: nobody reads the answers. */
static bool
run_lines(Server *server, Talker *talker)
{
	FmBuf		answer = FM_BUF_INIT;
	size_t		at = 0;
	char	   *newline;
	bool		ok = true;

	while (ok && talker->line.len > at &&
		   (newline = memchr(talker->line.data + at, '\n',
							 talker->line.len - at)))
	{
		*newline = '\0';
		fm_buf_reset(&answer);
		fm_cluster_command(&server->cluster, talker->line.data + at, &answer);
		at = (size_t) (newline - talker->line.data) + 1;
		ok = answer.len == 0 ||
			write_all(talker->out, answer.data, answer.len);
	}
	if (at > 0)
		memmove(talker->line.data, talker->line.data + at,
				talker->line.len - at);
	talker->line.len -= at;
	fm_buf_free(&answer);
	return ok && talker->line.len <= MAX_LINE;
}

/* false: it has ended. */
static bool
listen_to(Server *server, Talker *talker)
{
	char		bytes[4096];
	ssize_t		n = read(talker->in, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
	{
		if (talker->line.len == 0)
			return false;
		fm_buf_putc(&talker->line, '\n');	/* a last line without its end */
		run_lines(server, talker);
		return false;
	}
	fm_buf_put(&talker->line, bytes, (size_t) n);
	return run_lines(server, talker);
}

static void
hang_up(Talker *talker)
{
	if (talker->in > STDERR_FILENO)
		close(talker->in);
	talker->in = -1;
	fm_buf_free(&talker->line);
}

static void
welcome(Server *server)
{
	int			fd = accept(server->listener, NULL, NULL);

	if (fd < 0)
		return;					/* gone again */
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (server->clients[i].in < 0)
		{
			server->clients[i].in = server->clients[i].out = fd;
			return;
		}
	close(fd);
}

/* ---- the main loop ---- */

static void
serve(Server *server, const Options *opt)
{
	while (!server->cluster.quit)
	{
		struct pollfd fds[3 + MAX_CLIENTS] = {
			{signal_pipe[0], POLLIN, 0},
			{server->stdio.in, POLLIN, 0},
			{server->listener, POLLIN, 0},
		};

		for (int i = 0; i < MAX_CLIENTS; i++)
			fds[3 + i] = (struct pollfd) {server->clients[i].in, POLLIN, 0};
		if (poll(fds, 3 + MAX_CLIENTS, -1) < 0)
		{
			if (errno == EINTR)
				continue;
			complain("poll", strerror(errno));
			return;
		}
		if (fds[0].revents)
			return;
		if (fds[1].revents && !listen_to(server, &server->stdio))
		{
			if (opt->exit_with_stdin)
				return;
			hang_up(&server->stdio);
		}
		for (int i = 0; i < MAX_CLIENTS; i++)
			if (fds[3 + i].revents &&
				!listen_to(server, &server->clients[i]))
				hang_up(&server->clients[i]);
		if (fds[2].revents)
			welcome(server);
	}
}

static bool
create_topics(FmCluster *cluster, const Options *opt)
{
	for (int i = 0; i < opt->n_topics; i++)
	{
		const TopicOption *t = &opt->topics[i];
		const char *why = fm_cluster_create_topic(cluster, t->name,
												  t->partitions,
												  t->replication);

		if (why)
			return complain(t->name, why);
	}
	return true;
}

/* Under a temporary name first: whoever waits for the file finds it whole. */
static bool
write_bootstrap_file(const char *path, const char *servers)
{
	FmBuf		temporary = FM_BUF_INIT;
	FILE	   *file;
	bool		ok;

	fm_buf_printf(&temporary, "%s.%ld", path, (long) getpid());
	fm_buf_putc(&temporary, '\0');
	file = fopen(temporary.data, "w");
	ok = file && fprintf(file, "%s\n", servers) > 0;
	if (file && fclose(file) != 0)
		ok = false;
	if (!ok || rename(temporary.data, path) != 0)
		ok = complain(path, strerror(errno));
	fm_buf_free(&temporary);
	return ok;
}

static bool
install_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	if (pipe(signal_pipe) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK) != 0 ||
			fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC) != 0)
			return false;
	/* SIGTTIN: in the background of a terminal stdin just has no more */
	return sigaction(SIGTERM, &stop, NULL) == 0 &&
		sigaction(SIGINT, &stop, NULL) == 0 &&
		sigaction(SIGPIPE, &ignore, NULL) == 0 &&
		sigaction(SIGTTIN, &ignore, NULL) == 0;
}

static int
run_server(const Options *opt)
{
	Server		server = {.listener = -1,.stdio = {.in = STDIN_FILENO,
	.out = STDOUT_FILENO}};
	char		why[512];
	const char *servers;
	int			code = 1;

	for (int i = 0; i < MAX_CLIENTS; i++)
		server.clients[i].in = -1;
	if (!install_signals())
		return complain("signals", strerror(errno)), 1;
	if (!fm_cluster_open(&server.cluster, opt->brokers, opt->verbose, why,
						 sizeof(why)))
		return complain("cannot start", why), 1;
	servers = rd_kafka_mock_cluster_bootstraps(server.cluster.mock);
	if (create_topics(&server.cluster, opt) &&
		(opt->control == NULL || open_control(&server, opt->control)) &&
		(opt->bootstrap_file == NULL ||
		 write_bootstrap_file(opt->bootstrap_file, servers)))
	{
		printf("bootstrap.servers=%s\n", servers);
		fflush(stdout);
		serve(&server, opt);
		code = 0;
	}
	for (int i = 0; i < MAX_CLIENTS; i++)
		hang_up(&server.clients[i]);
	hang_up(&server.stdio);
	if (server.listener >= 0)
	{
		close(server.listener);
		unlink(opt->control);
	}
	fm_cluster_close(&server.cluster);
	return code;
}

/* ---- --send ---- */

/* Print the answer; 0 if its last line is "ok". */
static int
print_answer(int fd)
{
	FmBuf		answer = FM_BUF_INIT;
	char		bytes[4096];
	ssize_t		n;
	bool		ok;

	while ((n = read(fd, bytes, sizeof(bytes))) != 0)
	{
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		fm_buf_put(&answer, bytes, (size_t) n);
	}
	fwrite(answer.data ? answer.data : "", 1, answer.len, stdout);
	ok = answer.len >= 3 &&
		memcmp(answer.data + answer.len - 3, "ok\n", 3) == 0 &&
		(answer.len == 3 || answer.data[answer.len - 4] == '\n');
	fm_buf_free(&answer);
	return ok && fflush(stdout) == 0 ? 0 : 1;
}

static int
send_command(const char *path, char **words, int n)
{
	struct sockaddr_un address;
	FmBuf		line = FM_BUF_INIT;
	int			fd;
	int			code = 1;

	if (!fill_address(path, &address))
		return 2;
	for (int i = 0; i < n; i++)
		fm_buf_printf(&line, "%s%s", i ? " " : "", words[i]);
	fm_buf_putc(&line, '\n');
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *) &address,
						  sizeof(address)) != 0 ||
		!write_all(fd, line.data, line.len) || shutdown(fd, SHUT_WR) != 0)
		complain(path, strerror(errno));
	else
		code = print_answer(fd);
	if (fd >= 0)
		close(fd);
	fm_buf_free(&line);
	return code;
}

/* "name:partitions[:replication]"; keeps the name in the text. */
static bool
add_topic(Options *opt, char *text)
{
	TopicOption *t = &opt->topics[opt->n_topics];
	char	   *colon = strchr(text, ':');
	char	   *end;

	if (opt->n_topics == MAX_TOPICS)
		return complain(text, "too many topics");
	if (colon == NULL)
		return complain(text, "expected name:partitions[:replication]");
	*colon = '\0';
	t->name = text;
	t->partitions = (int) strtol(colon + 1, &end, 10);
	t->replication = 0;			/* as many as usual */
	if (*end == ':')
		t->replication = (int) strtol(end + 1, &end, 10);
	if (*end != '\0')
		return complain(text, "expected name:partitions[:replication]");
	opt->n_topics++;
	return true;
}

/* What needs the number of brokers: defaults, and the check of topics. */
static bool
finish_topics(Options *opt)
{
	if (opt->n_topics == 0)
	{
		opt->topics[opt->n_topics++] = (TopicOption) {"sensor-data", 3, 0};
		opt->topics[opt->n_topics++] = (TopicOption) {"alerts", 2, 0};
	}
	for (int i = 0; i < opt->n_topics; i++)
	{
		TopicOption *t = &opt->topics[i];
		const char *why;

		if (t->replication == 0)
			t->replication = opt->brokers < 2 ? 1 : 2;
		why = fm_topic_check(t->name, t->partitions, t->replication,
							 opt->brokers);
		if (why)
			return complain(t->name, why);
	}
	return true;
}

/* -1: go on, else the exit code. */
static int
read_options(Options *opt, int argc, char **argv)
{
	static const struct option longs[] = {
		{"brokers", required_argument, NULL, 'n'},
		{"topic", required_argument, NULL, 't'},
		{"bootstrap-file", required_argument, NULL, 'f'},
		{"control", required_argument, NULL, 'c'},
		{"exit-with-stdin", no_argument, NULL, 'e'},
		{"verbose", no_argument, NULL, 'v'},
		{"send", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int			c;

	while ((c = getopt_long(argc, argv, "+hv", longs, NULL)) != -1)
		switch (c)
		{
			case 'n':
				opt->brokers = atoi(optarg);
				if (opt->brokers < 1 || opt->brokers > 100)
					return complain(optarg, "brokers must be 1 to 100"), 2;
				break;
			case 't':
				if (!add_topic(opt, optarg))
					return 2;
				break;
			case 'f':
				opt->bootstrap_file = optarg;
				break;
			case 'c':
				opt->control = optarg;
				break;
			case 'e':
				opt->exit_with_stdin = true;
				break;
			case 'v':
				opt->verbose = true;
				break;
			case 's':
				opt->send = optarg;
				break;
			case 'h':
				return print_help(), 0;
			case 'V':
				return puts("factorymon-broker " FM_VERSION), 0;
			default:
				return 2;
		}
	if ((optind < argc) != (opt->send != NULL))
		return complain(opt->send ? "--send needs a command"
						: argv[optind], opt->send ? NULL
						: "not an option"), 2;
	return opt->send || finish_topics(opt) ? -1 : 2;
}

int
main(int argc, char **argv)
{
	Options		opt = {.brokers = 3};
	int			code = read_options(&opt, argc, argv);

	if (code >= 0)
		return code;
	if (opt.send)
		return send_command(opt.send, argv + optind, argc - optind);
	return run_server(&opt);
}
