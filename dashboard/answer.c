/*
 * answer.c - answers that need the database: found once, given to all who ask
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * One mutex guards everything that is shared: entries, which are what can be
 * asked (answer_entry.c), and queues of them.
 *
 * There are two queues, because what has no parameters exists once, and what
 * has some exists as often as somebody likes.  The former goes first and is
 * never refused, and one of the threads, if there are several, is left to it.
 */
#include "answer_internal.h"

#include <stdlib.h>

#define FRESH_SECONDS 1.0
#define MAX_JOBS 64				/* more are refused, of those with parameters */

typedef struct Queue
{
	FmEntry    *first;
	FmEntry   **last;
	int			n;
	int			at_work;		/* threads that work on what was in it */
} Queue;

struct FmAnswers
{
	FmDatabase *database;
	pthread_mutex_t mutex;
	pthread_cond_t work;
	FmEntries	entries;
	Queue		plain;			/* what has no parameters */
	Queue		various;
	bool		stopping;
	int			nthreads;
	pthread_t	threads[];
};

void
fm_answer_release(FmAnswers *answers, FmAnswer *answer)
{
	pthread_mutex_lock(&answers->mutex);
	fm_answer_drop(answer);
	pthread_mutex_unlock(&answers->mutex);
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
settle(FmEntry *entry, FmAnswer *answer)
{
	FmWaiter   *waiters = entry->waiters;

	fm_answer_drop(entry->answer);
	entry->answer = answer;
	entry->fresh_until = fm_now() + FRESH_SECONDS;
	entry->busy = false;
	entry->waiters = NULL;
	wake(waiters, answer);
}

static void
enqueue(Queue *queue, FmEntry *entry)
{
	entry->queued_at = fm_now();
	entry->next_job = NULL;
	*queue->last = entry;
	queue->last = &entry->next_job;
	queue->n++;
}

/* The next thing to be worked on; NULL: none that this thread may. */
static FmEntry *
take_job(FmAnswers *answers, Queue **from)
{
	Queue	   *queue = answers->plain.n > 0 ? &answers->plain :
		&answers->various;
	FmEntry    *entry = queue->first;

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
	until.tv_sec += FM_FORGET_SECONDS;
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
		FmEntry    *entry = take_job(answers, &queue);
		FmAnswer   *answer;

		fm_entries_tend(&answers->entries, fm_now());
		if (entry == NULL)
		{
			wait_for_job(answers);
			continue;
		}
		pthread_mutex_unlock(&answers->mutex);
		answer = fm_answer_find(answers->database, &connection, entry);
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
	for (int i = 0; i < FM_ENTRY_BUCKETS; i++)
	{
		for (FmEntry *entry = answers->entries.buckets[i]; entry;
			 entry = entry->next)
		{
			wake(entry->waiters, answer);
			entry->waiters = NULL;
		}
	}
	fm_answer_drop(answer);
	pthread_cond_broadcast(&answers->work);
	pthread_mutex_unlock(&answers->mutex);
	for (int i = 0; i < answers->nthreads; i++)
		pthread_join(answers->threads[i], NULL);
}

void
fm_answers_free(FmAnswers *answers)
{
	fm_entries_free(&answers->entries);
	free(answers);
}

/* ----------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------- */

static bool
has_parameters(const FmEntry *entry)
{
	for (int i = 0; entry->endpoint != NULL && i < FM_MAX_PARAMS; i++)
		if (entry->given[i])
			return true;
	return false;
}

FmAnswer *
fm_answers_ask(FmAnswers *answers, const FmEndpoint *endpoint, FmForm form,
			   char values[][FM_MAX_VALUE], const bool *given,
			   FmWaiter *waiter)
{
	FmAnswer   *answer = NULL;
	FmEntry    *entry;
	Queue	   *queue;

	pthread_mutex_lock(&answers->mutex);
	entry = fm_entries_find(&answers->entries, endpoint, form, values, given,
							fm_now());
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
		answer = fm_answer_say_busy();
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
