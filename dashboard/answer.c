/*
 * answer.c - answers that need the database: found once, given to all who ask
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One mutex guards everything that is shared.  An entry is what can be asked:
 * an endpoint with its values.  It is idle, queued, or being worked on; those
 * who wait for it are a list, in either of the latter two.
 *
 * There are two queues, because what has no parameters exists once, and what
 * has some exists as often as somebody likes.  The former goes first and is
 * never refused, and one of the threads, if there are several, is left to it.
 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "csv.h"
#include "json.h"
#include "metrics.h"

#define FRESH_SECONDS 1.0
#define MAX_ENTRIES 512			/* more are forgotten when nobody waits */
#define MAX_JOBS 64				/* more are refused, of those with parameters */
#define MAX_ROWS 1000000
#define BUCKETS 256
#define MAX_WAIT 10.0			/* seconds; who asked so long ago is gone */
#define FORGET_SECONDS 30		/* between two looks for what is old */

typedef struct Entry
{
	const FmEndpoint *endpoint; /* NULL: metrics */
	bool		csv;
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE];
	bool		given[FM_MAX_PARAMS];	/* else null */
	FmAnswer   *answer;			/* the last one, or NULL */
	double		fresh_until;
	bool		busy;			/* queued, or being worked on */
	double		queued_at;
	FmWaiter   *waiters;
	struct Entry *next;			/* in its bucket */
	struct Entry *next_job;
} Entry;

typedef struct Queue
{
	Entry	   *first;
	Entry	  **last;
	int			n;
	int			at_work;		/* threads that work on what was in it */
} Queue;

struct FmAnswers
{
	FmDatabase *database;
	pthread_mutex_t mutex;
	pthread_cond_t work;
	Entry	   *buckets[BUCKETS];
	int			nentries;
	double		forget_at;
	Queue		plain;			/* what has no parameters */
	Queue		various;
	bool		stopping;
	int			nthreads;
	pthread_t	threads[];
};

/* ----------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------- */

/* With the mutex. */
static void
drop(FmAnswer *answer)
{
	if (answer == NULL || --answer->references > 0)
		return;
	fm_buf_free(&answer->body);
	free(answer);
}

void
fm_answer_release(FmAnswers *answers, FmAnswer *answer)
{
	pthread_mutex_lock(&answers->mutex);
	drop(answer);
	pthread_mutex_unlock(&answers->mutex);
}

/* ----------------------------------------------------------------------
 * Finding an answer
 * ------------------------------------------------------------------- */

/* What is said where the database is away. */
static FmAnswer *
say_down(FmDatabase *database, const FmEndpoint *endpoint, bool csv)
{
	FmAnswer   *answer;
	const char *error;
	time_t		since;

	(void) fm_database_state(database, &since, &error);
	if (endpoint == NULL || !endpoint->survives || csv)
		return fm_answer_problem(503, "database_down",
								 "the database cannot be reached", error);
	answer = fm_answer_new(200, "application/json");
	fm_buf_puts(&answer->body, "{\"generated_at\":");
	fm_answer_put_time(&answer->body, time(NULL));
	fm_buf_puts(&answer->body, ",\"as_of\":null,\"truncated\":false,"
				"\"database\":{\"state\":\"down\",\"since\":");
	fm_answer_put_time(&answer->body, since);
	fm_buf_puts(&answer->body, ",\"error\":");
	fm_json_string(&answer->body, error);
	fm_buf_printf(&answer->body, "},\"%s\":null}\n",
				  endpoint->parts[0].name);
	return answer;
}

/* How many rows may be shown; the query has asked for one more. */
static int
row_limit(const Entry *entry, int part)
{
	int			number = entry->endpoint->limit;

	return number == 0 || part > 0 ? MAX_ROWS :
		atoi(entry->given[number - 1] ? entry->values[number - 1] :
			 entry->endpoint->params[number - 1].initial);
}

/* One of the queries; its name and rows.  False: it failed. */
static bool
put_part(FmDatabase *database, PGconn **connection, const Entry *entry,
		 int part, FmBuf *rows, bool *truncated, char *error, size_t errlen,
		 bool *lost)
{
	const FmEndpoint *endpoint = entry->endpoint;
	const char *params[FM_MAX_PARAMS];
	int			most = part == 0 ? FM_MAX_PARAMS :
		endpoint->parts[part].nparams;
	int			nparams = 0;
	int			limit = row_limit(entry, part);
	PGresult   *result;

	while (nparams < most && endpoint->params[nparams].name != NULL)
	{
		params[nparams] = entry->given[nparams] ? entry->values[nparams] :
			endpoint->params[nparams].initial;
		nparams++;
	}
	result = fm_database_query(database, connection,
							   endpoint->parts[part].query, nparams, params,
							   error, errlen, lost);
	if (result == NULL)
		return false;
	*truncated |= PQntuples(result) > limit;
	if (entry->csv)
		fm_csv_rows(rows, result, limit);
	else
	{
		fm_buf_printf(rows, ",\n\"%s\":", endpoint->parts[part].name);
		fm_json_rows(rows, result, limit);
	}
	PQclear(result);
	return true;
}

static FmAnswer *
wrap(const FmEndpoint *endpoint, FmDatabase *database, const FmBuf *rows,
	 const char *as_of, bool truncated)
{
	FmAnswer   *answer = fm_answer_new(200, "application/json");
	size_t		from;
	const char *error;
	time_t		since;

	fm_buf_puts(&answer->body, "{\"generated_at\":");
	fm_answer_put_time(&answer->body, time(NULL));
	fm_buf_printf(&answer->body, ",\"as_of\":\"%s\"", as_of);
	from = answer->body.len;
	fm_buf_printf(&answer->body, ",\"truncated\":%s",
				  truncated ? "true" : "false");
	if (endpoint->survives)
	{
		(void) fm_database_state(database, &since, &error);
		fm_buf_puts(&answer->body,
					",\"database\":{\"state\":\"up\",\"since\":");
		fm_answer_put_time(&answer->body, since);
		fm_buf_puts(&answer->body, ",\"error\":null}");
	}
	fm_buf_put(&answer->body, rows->data, rows->len);
	fm_buf_puts(&answer->body, "}\n");
	fm_etag_make(answer->etag, answer->body.data + from,
				 answer->body.len - from, true);
	return answer;
}

/* The query failed: for now, or by its nature. */
static FmAnswer *
say_failed(const FmEndpoint *endpoint, const char *error)
{
	/* a subquery has found several where there must be one */
	if (strncmp(error, "21000", 5) == 0)
		return fm_answer_problem(400, "ambiguous",
								 "several pipelines have a sensor of that name:"
								 " say which",
								 "parameter \"pipeline\" is missing");
	if (strncmp(error, "57014", 5) == 0)
		return fm_answer_error(503, "database_timeout",
							   "the query took too long", endpoint->path,
							   error);
	if (fm_database_is_passing(error))
		return fm_answer_error(503, "database_busy",
							   "the database cannot answer now",
							   endpoint->path, error);
	return fm_answer_error(500, strncmp(error, "42501", 5) == 0 ?
						   "database_forbids" : "query_failed",
						   "the query failed", endpoint->path, error);
}

static FmAnswer *
wrap_csv(const FmBuf *rows, bool truncated)
{
	FmAnswer   *answer = fm_answer_new(200, "text/csv; charset=utf-8");

	answer->truncated = truncated ? "true" : "false";
	fm_buf_put(&answer->body, rows->data, rows->len);
	fm_etag_make(answer->etag, answer->body.data, answer->body.len, true);
	return answer;
}

static FmAnswer *
find_rows(FmDatabase *database, PGconn **connection, const Entry *entry)
{
	const FmEndpoint *endpoint = entry->endpoint;
	FmAnswer   *answer = NULL;
	FmBuf		rows = FM_BUF_INIT;
	char		error[320] = "";
	bool		truncated = false;
	bool		lost = false;
	PGresult   *now = fm_database_query(database, connection,
										"SELECT to_char(clock_timestamp(),"
										" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
										0, NULL, error, sizeof(error), &lost);
	bool		found = now != NULL;

	for (int part = 0; found && part < (entry->csv ? 1 : FM_MAX_PARTS) &&
		 endpoint->parts[part].name != NULL; part++)
		found = put_part(database, connection, entry, part, &rows,
						 &truncated, error, sizeof(error), &lost);
	if (found && entry->csv)
		answer = wrap_csv(&rows, truncated);
	else if (found)
		answer = wrap(endpoint, database, &rows, PQgetvalue(now, 0, 0),
					  truncated);
	else if (lost)
		answer = say_down(database, endpoint, entry->csv);
	else
		answer = say_failed(endpoint, error);
	PQclear(now);
	fm_buf_free(&rows);
	return answer;
}

static FmAnswer *
find_metrics(FmDatabase *database, PGconn **connection)
{
	FmAnswer   *answer = fm_answer_new(200,
									"text/plain; version=0.0.4; charset=utf-8");

	fm_metrics_put(&answer->body, database, connection);
	return answer;
}

static FmAnswer *
say_busy(void)
{
	return fm_answer_problem(503, "busy",
							 "too much is being asked for at once", NULL);
}

static FmAnswer *
find(FmAnswers *answers, PGconn **connection, const Entry *entry)
{
	bool		up;

	if (fm_now() > entry->queued_at + MAX_WAIT)
		return say_busy();
	up = fm_database_connect(answers->database, connection);
	if (entry->endpoint == NULL)
		return find_metrics(answers->database, connection);
	if (!up)
		return say_down(answers->database, entry->endpoint, entry->csv);
	return find_rows(answers->database, connection, entry);
}

/* ----------------------------------------------------------------------
 * Threads
 * ------------------------------------------------------------------- */

/* Give everybody who waits the answer; with the mutex. */
static void
wake(FmWaiter *waiters, FmAnswer *answer)
{
	while (waiters != NULL)
	{
		FmWaiter   *waiter = waiters;

		/* it may be gone as soon as its connection goes on */
		waiters = waiter->next;
		waiter->answer = answer;
		answer->references++;
		MHD_resume_connection(waiter->connection);
	}
}

static void
settle(Entry *entry, FmAnswer *answer)
{
	FmWaiter   *waiters = entry->waiters;

	drop(entry->answer);
	entry->answer = answer;
	entry->fresh_until = fm_now() + FRESH_SECONDS;
	entry->busy = false;
	entry->waiters = NULL;
	wake(waiters, answer);
}

/* Forget what nobody has asked for lately. */
static void
forget_old(FmAnswers *answers)
{
	double		now = fm_now();

	answers->forget_at = now + FORGET_SECONDS;
	for (int i = 0; i < BUCKETS; i++)
	{
		Entry	  **link = &answers->buckets[i];

		while (*link != NULL)
		{
			Entry	   *entry = *link;

			if (entry->busy || entry->fresh_until > now)
			{
				link = &entry->next;
				continue;
			}
			*link = entry->next;
			drop(entry->answer);
			free(entry);
			answers->nentries--;
		}
	}
}

static void
enqueue(Queue *queue, Entry *entry)
{
	entry->queued_at = fm_now();
	entry->next_job = NULL;
	*queue->last = entry;
	queue->last = &entry->next_job;
	queue->n++;
}

/* The next thing to be worked on; NULL: none that this thread may. */
static Entry *
take_job(FmAnswers *answers, Queue **from)
{
	Queue	   *queue = answers->plain.n > 0 ? &answers->plain :
		&answers->various;
	Entry	   *entry = queue->first;

	if (entry == NULL || (queue == &answers->various &&
						  answers->nthreads > 1 &&
						  queue->at_work >= answers->nthreads - 1))
		return NULL;
	queue->first = entry->next_job;
	if (queue->first == NULL)
		queue->last = &queue->first;
	queue->n--;
	queue->at_work++;
	*from = queue;
	return entry;
}

/* For work, or for a while. */
static void
wait_for_job(FmAnswers *answers)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FORGET_SECONDS;
	(void) pthread_cond_timedwait(&answers->work, &answers->mutex, &until);
}

static void *
work(void *arg)
{
	FmAnswers  *answers = arg;
	PGconn	   *connection = NULL;
	Queue	   *queue;

	pthread_mutex_lock(&answers->mutex);
	while (!answers->stopping)
	{
		Entry	   *entry = take_job(answers, &queue);
		FmAnswer   *answer;

		if (fm_now() >= answers->forget_at)
			forget_old(answers);
		if (entry == NULL)
		{
			wait_for_job(answers);
			continue;
		}
		pthread_mutex_unlock(&answers->mutex);
		answer = find(answers, &connection, entry);
		pthread_mutex_lock(&answers->mutex);
		settle(entry, answer);
		queue->at_work--;
	}
	pthread_mutex_unlock(&answers->mutex);
	PQfinish(connection);
	return NULL;
}

/* Timeouts are those of a clock that is never set. */
static void
init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

FmAnswers *
fm_answers_start(FmDatabase *database, int threads)
{
	FmAnswers  *answers = fm_xcalloc(1, sizeof(FmAnswers) +
									 (size_t) threads * sizeof(pthread_t));

	answers->database = database;
	answers->plain.last = &answers->plain.first;
	answers->various.last = &answers->various.first;
	pthread_mutex_init(&answers->mutex, NULL);
	init_condition(&answers->work);
	/* they look at how many they are */
	pthread_mutex_lock(&answers->mutex);
	while (answers->nthreads < threads &&
		   pthread_create(&answers->threads[answers->nthreads], NULL, work,
						  answers) == 0)
		answers->nthreads++;
	pthread_mutex_unlock(&answers->mutex);
	if (answers->nthreads > 0)
		return answers;
	free(answers);
	return NULL;
}

void
fm_answers_stop(FmAnswers *answers)
{
	FmAnswer   *answer = fm_answer_problem(503, "stopping",
										   "the dashboard is being stopped",
										   NULL);

	pthread_mutex_lock(&answers->mutex);
	answers->stopping = true;
	for (int i = 0; i < BUCKETS; i++)
	{
		for (Entry *entry = answers->buckets[i]; entry; entry = entry->next)
		{
			wake(entry->waiters, answer);
			entry->waiters = NULL;
		}
	}
	drop(answer);
	pthread_cond_broadcast(&answers->work);
	pthread_mutex_unlock(&answers->mutex);
	for (int i = 0; i < answers->nthreads; i++)
		pthread_join(answers->threads[i], NULL);
}

void
fm_answers_free(FmAnswers *answers)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		Entry	   *entry = answers->buckets[i];

		while (entry != NULL)
		{
			Entry	   *next = entry->next;

			drop(entry->answer);
			free(entry);
			entry = next;
		}
	}
	free(answers);
}

/* ----------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------- */

static unsigned
bucket_of(const FmEndpoint *endpoint, char values[][FM_MAX_VALUE],
		  const bool *given)
{
	uint32_t	hash = (uint32_t) ((uintptr_t) endpoint >> 4) ^ 2166136261u;

	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		if (!given[i])
			continue;
		hash = (hash ^ (uint32_t) (i + 1)) * 16777619u;
		for (const char *c = values[i]; *c != '\0'; c++)
			hash = (hash ^ (unsigned char) *c) * 16777619u;
	}
	return hash % BUCKETS;
}

static bool
is_the_same(const Entry *entry, const FmEndpoint *endpoint, bool csv,
			char values[][FM_MAX_VALUE], const bool *given)
{
	if (entry->endpoint != endpoint || entry->csv != csv)
		return false;
	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		if (entry->given[i] != given[i] ||
			(given[i] && strcmp(entry->values[i], values[i]) != 0))
			return false;
	}
	return true;
}

static Entry *
find_entry(FmAnswers *answers, const FmEndpoint *endpoint, bool csv,
		   char values[][FM_MAX_VALUE], const bool *given)
{
	unsigned	bucket = bucket_of(endpoint, values, given);
	Entry	   *entry = answers->buckets[bucket];

	while (entry != NULL && !is_the_same(entry, endpoint, csv, values, given))
		entry = entry->next;
	if (entry != NULL)
		return entry;
	if (answers->nentries >= MAX_ENTRIES)
		forget_old(answers);
	entry = fm_xcalloc(1, sizeof(Entry));
	entry->endpoint = endpoint;
	entry->csv = csv;
	for (int i = 0; endpoint != NULL && i < FM_MAX_PARAMS; i++)
	{
		entry->given[i] = given[i];
		if (given[i])
			strcpy(entry->values[i], values[i]);
	}
	entry->next = answers->buckets[bucket];
	answers->buckets[bucket] = entry;
	answers->nentries++;
	return entry;
}

static bool
has_parameters(const Entry *entry)
{
	for (int i = 0; entry->endpoint != NULL && i < FM_MAX_PARAMS; i++)
		if (entry->given[i])
			return true;
	return false;
}

FmAnswer *
fm_answers_ask(FmAnswers *answers, const FmEndpoint *endpoint, bool csv,
			   char values[][FM_MAX_VALUE], const bool *given,
			   FmWaiter *waiter)
{
	FmAnswer   *answer = NULL;
	Entry	   *entry;
	Queue	   *queue;

	pthread_mutex_lock(&answers->mutex);
	entry = find_entry(answers, endpoint, csv, values, given);
	queue = has_parameters(entry) ? &answers->various : &answers->plain;
	if (answers->stopping)
		answer = fm_answer_problem(503, "stopping",
								   "the dashboard is being stopped", NULL);
	else if (entry->answer != NULL && fm_now() < entry->fresh_until)
	{
		answer = entry->answer;
		answer->references++;
	}
	else if (!entry->busy && queue == &answers->various &&
			 queue->n >= MAX_JOBS)
		answer = say_busy();
	else
	{
		MHD_suspend_connection(waiter->connection);
		waiter->next = entry->waiters;
		entry->waiters = waiter;
		if (!entry->busy)
		{
			entry->busy = true;
			enqueue(queue, entry);
			pthread_cond_signal(&answers->work);
		}
	}
	pthread_mutex_unlock(&answers->mutex);
	return answer;
}
