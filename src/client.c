/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The room around librdkafka: making clients and letting go of them
 *	  without ever waiting, error codes, digests, threads.
 *
 * A client is made, used and given up by one thread.  The library's own
 * threads and ours have all signals blocked, so that a signal for the process
 * always reaches its main thread.  Ours are detached; live_threads, under
 * live_mutex, counts them until they have freed everything.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <unistd.h>

#include "client.h"

/* Longest topic name Kafka allows. */
#define MAX_TOPIC_NAME 249

/* How late a timer of the library's threads may be, in nanoseconds. */
#define TIMER_SLACK_NS 1200000UL

static pthread_mutex_t live_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t live_cond;
static pthread_once_t live_once = PTHREAD_ONCE_INIT;
static int	live_threads = 0;

/* ----------------------------------------------------------------------
 * Versions, texts and clients
 * ------------------------------------------------------------------- */

int
fm_kafka_version(void)
{
	return rd_kafka_version();
}

const char *
fm_kafka_version_text(void)
{
	return rd_kafka_version_str();
}

/*
 * In 2.1.0 polling a queue stopped counting as a sign of life of the
 * application: every member would be thrown out of its group after
 * max.poll.interval.ms.  2.1.1 put that right.
 */
const char *
fm_client_version_refusal(int version)
{
	if ((version & ~0xff) == 0x02010000)
		return "librdkafka 2.1.0 cannot be used: it throws consumers out of "
			"their group while they are working; use 2.0.2, or 2.1.1 or newer";
	return NULL;
}

void
fm_client_format(char *buf, size_t len, const char *format,...)
{
	va_list		args;

	if (buf == NULL || len == 0)
		return;
	va_start(args, format);
	vsnprintf(buf, len, format, args);
	va_end(args);
}

/* A name that the library would take for a pattern must not get through. */
bool
fm_client_check_topic(const char *topic, char *error, size_t errlen)
{
	size_t		len = topic == NULL ? 0 : strlen(topic);

	if (len > 0 && len <= MAX_TOPIC_NAME &&
		strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789._-") == len)
		return true;
	fm_client_format(error, errlen, "\"%.249s\" is not the name of a topic",
					 topic == NULL ? "" : topic);
	return false;
}

/*
 * The library's main thread sleeps whole milliseconds towards its next timer
 * and spins through the rest, half a millisecond on average, several times a
 * second: most of what an idle client costs.  Threads whose timers may be late
 * by a little more than a millisecond do not wake up before the timer is due.
 * Threads inherit this from the one that makes them; answers of brokers are
 * not waited for by timers.
 */
static rd_kafka_t *
new_with_lazy_timers(rd_kafka_type_t type, rd_kafka_conf_t *conf,
					 char *error, size_t errlen)
{
	rd_kafka_t *rk;
#if defined(PR_SET_TIMERSLACK)
	int			slack = prctl(PR_GET_TIMERSLACK);

	if (slack >= 0)
		(void) prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
#endif
	rk = rd_kafka_new(type, conf, error, errlen);
#if defined(PR_SET_TIMERSLACK)
	if (slack >= 0)
		(void) prctl(PR_SET_TIMERSLACK, (unsigned long) slack);
#endif
	return rk;
}

rd_kafka_t *
fm_client_new(FmClientKind kind, const FmConsumerConfig *config, int events,
			  bool *self_waking, char *error, size_t errlen)
{
	const char *refusal = fm_client_version_refusal(rd_kafka_version());
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;

	if (refusal != NULL)
	{
		fm_client_format(error, errlen, "%s", refusal);
		return NULL;
	}
	if (fm_client_property(config, "bootstrap.servers") == NULL &&
		fm_client_property(config, "metadata.broker.list") == NULL)
	{
		fm_client_format(error, errlen, "no \"bootstrap.servers\" given");
		return NULL;
	}
	conf = fm_client_conf(kind, config, events, self_waking, error, errlen);
	if (conf == NULL)
		return NULL;
	rk = new_with_lazy_timers(kind == FM_CLIENT_PRODUCER ?
							  RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
							  conf, error, errlen);
	if (rk == NULL)
		rd_kafka_conf_destroy(conf);	/* still ours after a refusal */
	else if (fm_client_uses_oauthbearer(config))
	{
		rd_kafka_error_t *failure;

		failure = rd_kafka_sasl_background_callbacks_enable(rk);
		if (failure != NULL)
			rd_kafka_error_destroy(failure);
	}
	return rk;
}

/* ----------------------------------------------------------------------
 * Codes
 * ------------------------------------------------------------------- */

FmKafkaCode
fm_client_code(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			return FM_KAFKA_OK;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
			return FM_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			return FM_KAFKA_OFFSET_OUT_OF_RANGE;
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR__UNDERFLOW:
		case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
		case RD_KAFKA_RESP_ERR__INVALID_TYPE:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
			return FM_KAFKA_BAD_DATA;
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
			return FM_KAFKA_ALL_BROKERS_DOWN;
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
			return FM_KAFKA_TRANSPORT;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
			return FM_KAFKA_AUTHENTICATION;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			return FM_KAFKA_AUTHORIZATION;
		case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
			return FM_KAFKA_MAX_POLL_EXCEEDED;
		case RD_KAFKA_RESP_ERR__FATAL:
		case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
			return FM_KAFKA_FATAL;
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
			return FM_KAFKA_TIMED_OUT;
		default:
			/* A code of newer versions, which 2.0.2's header cannot name. */
			if (strcmp(rd_kafka_err2name(err), "_LOG_TRUNCATION") == 0)
				return FM_KAFKA_OFFSET_OUT_OF_RANGE;
			return FM_KAFKA_OTHER;
	}
}

/* ----------------------------------------------------------------------
 * Digest
 *
 * A hash of 64 bits that is the same on every machine, because it is kept in
 * tables and survives dumps: words are read in little-endian order, whatever
 * the processor's.  Each field is preceded by its length plus one, or zero
 * for NULL, so that no two different sequences of fields read alike.  Every
 * step is a bijection of the state for a given word and of the word for a
 * given state: two messages that differ in one word differ in the hash.  It
 * guards against accidents, not against an adversary.
 * ------------------------------------------------------------------- */

#define DIGEST_SEED	UINT64_C(0x464d646967657374)	/* "FMdigest" */
#define DIGEST_K1	UINT64_C(0x9e3779b97f4a7c15)	/* 2^64 / golden ratio */
#define DIGEST_K2	UINT64_C(0xd6e8feb86659fd93)	/* odd, well spread */

static inline uint64_t
digest_word(uint64_t state, uint64_t word)
{
	word *= DIGEST_K1;
	word ^= word >> 32;
	state = (state << 27) | (state >> 37);
	return (state ^ word) * DIGEST_K2;
}

/* Up to eight bytes as a little-endian number; compilers make it one load. */
static inline uint64_t
digest_load(const unsigned char *bytes, size_t len)
{
	uint64_t	word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

static uint64_t
digest_field(uint64_t state, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	if (data == NULL)
		return digest_word(state, 0);
	state = digest_word(state, (uint64_t) len + 1);
	for (; len >= 8; len -= 8, bytes += 8)
		state = digest_word(state, digest_load(bytes, 8));
	if (len > 0)
		state = digest_word(state, digest_load(bytes, len));
	return state;
}

int64_t
fm_client_digest(const rd_kafka_message_t *record)
{
	rd_kafka_headers_t *headers = NULL;
	uint64_t	state = DIGEST_SEED;
	size_t		count = 0;
	const char *name;
	const void *value;
	size_t		len;

	state = digest_field(state, record->key, record->key_len);
	state = digest_field(state, record->payload, record->len);
	if (rd_kafka_message_headers(record, &headers) == 0)
		count = rd_kafka_header_cnt(headers);
	state = digest_word(state, count);
	for (size_t i = 0; i < count; i++)
	{
		if (rd_kafka_header_get_all(headers, i, &name, &value, &len) != 0)
			break;
		state = digest_field(state, name, strlen(name));
		state = digest_field(state, value, len);
	}

	/* spread the last words over all bits */
	state ^= state >> 32;
	state *= DIGEST_K1;
	state ^= state >> 29;
	return (int64_t) state;
}

/* ----------------------------------------------------------------------
 * Threads, clocks and pipes
 * ------------------------------------------------------------------- */

int64_t
fm_client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int
fm_client_remaining(int64_t deadline)
{
	int64_t		left = deadline - fm_client_now();

	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int) left;
}

void
fm_client_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int
fm_client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
					int64_t deadline)
{
	struct timespec until;

	until.tv_sec = deadline / 1000;
	until.tv_nsec = (deadline % 1000) * 1000000;
	return pthread_cond_timedwait(cond, mutex, &until);
}

int
fm_client_pipe(int fds[2])
{
	if (pipe(fds) != 0)
		return -1;
	for (int i = 0; i < 2; i++)
	{
		if (fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0 ||
			fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
		{
			close(fds[0]);
			close(fds[1]);
			return -1;
		}
	}
	return 0;
}

void
fm_client_drain(int fd)
{
	char		buf[64];

	while (read(fd, buf, sizeof(buf)) == (ssize_t) sizeof(buf))
		;
}

typedef struct FmThreadStart
{
	void		(*body) (void *);
	void	   *arg;
} FmThreadStart;

static void
live_init(void)
{
	fm_client_cond_init(&live_cond);
}

static void *
thread_main(void *arg)
{
	FmThreadStart start = *(FmThreadStart *) arg;

	free(arg);
	start.body(start.arg);
	pthread_mutex_lock(&live_mutex);
	live_threads--;
	pthread_cond_broadcast(&live_cond);
	pthread_mutex_unlock(&live_mutex);
	return NULL;
}

bool
fm_client_start_thread(void (*body) (void *), void *arg)
{
	FmThreadStart *start = malloc(sizeof(*start));
	pthread_attr_t attr;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	saved;
	int			failed;

	if (start == NULL)
		return false;
	start->body = body;
	start->arg = arg;
	pthread_once(&live_once, live_init);
	pthread_mutex_lock(&live_mutex);
	live_threads++;
	pthread_mutex_unlock(&live_mutex);

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	failed = pthread_create(&thread, &attr, thread_main, start);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	if (failed)
	{
		free(start);
		pthread_mutex_lock(&live_mutex);
		live_threads--;
		pthread_mutex_unlock(&live_mutex);
	}
	return !failed;
}

bool
fm_kafka_wait_threads(int timeout_ms)
{
	int64_t		deadline = fm_client_now() + timeout_ms;
	bool		none;

	pthread_once(&live_once, live_init);
	pthread_mutex_lock(&live_mutex);
	while (live_threads > 0 &&
		   fm_client_cond_wait(&live_cond, &live_mutex, deadline) == 0)
		;
	none = live_threads == 0;
	pthread_mutex_unlock(&live_mutex);
	return none;
}

/* ----------------------------------------------------------------------
 * Letting go, and waking up
 * ------------------------------------------------------------------- */

/* Shared by the one who waits and the thread that destroys; refs frees it. */
typedef struct FmDestroy
{
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int			refs;
	bool		done;
	rd_kafka_t *rk;
	int			flags;
} FmDestroy;

/* Give up one reference; the mutex is held on entry, released on return. */
static void
destroy_unref(FmDestroy *job)
{
	bool		last = --job->refs == 0;

	pthread_mutex_unlock(&job->mutex);
	if (!last)
		return;
	pthread_cond_destroy(&job->cond);
	pthread_mutex_destroy(&job->mutex);
	free(job);
}

static void
destroy_body(void *arg)
{
	FmDestroy  *job = arg;

	rd_kafka_destroy_flags(job->rk, job->flags);
	pthread_mutex_lock(&job->mutex);
	job->done = true;
	pthread_cond_broadcast(&job->cond);
	destroy_unref(job);
}

bool
fm_client_destroy(rd_kafka_t *rk, int flags, int timeout_ms)
{
	int64_t		deadline = fm_client_now() + timeout_ms;
	FmDestroy  *job = calloc(1, sizeof(*job));
	bool		done;

	if (job == NULL)
		return false;			/* leaked rather than waited for */
	pthread_mutex_init(&job->mutex, NULL);
	fm_client_cond_init(&job->cond);
	job->refs = 2;
	job->rk = rk;
	job->flags = flags;
	if (!fm_client_start_thread(destroy_body, job))
	{
		job->refs = 1;
		pthread_mutex_lock(&job->mutex);
		destroy_unref(job);
		return false;
	}
	pthread_mutex_lock(&job->mutex);
	while (!job->done &&
		   fm_client_cond_wait(&job->cond, &job->mutex, deadline) == 0)
		;
	done = job->done;
	destroy_unref(job);
	return done;
}

/*
 * Up to 2.1 a broker thread that found the fetch queue full sleeps until its
 * next input or for a second, and nothing tells it when the queue has been
 * emptied.  Setting the credentials anew, to what they are, is the one public
 * call that wakes every broker thread and changes nothing else.
 */
void
fm_client_wake(rd_kafka_t *rk, const char *username, const char *password)
{
	rd_kafka_error_t *error;

	error = rd_kafka_sasl_set_credentials(rk, username, password);
	if (error != NULL)
		rd_kafka_error_destroy(error);
}
