/*-------------------------------------------------------------------------
 *
 * answer_test.c
 *	  What the dashboard remembers of what was asked for: for how long, and
 *	  that it lets go of nothing that somebody holds.  The clock is handed in.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dashboard/answer_internal.h"
#include "expect.h"

static const FmEndpoint endpoint = {.path = "/api/test"};

/* The entry of that one value, at this time. */
static FmEntry *
ask(FmEntries *entries, const char *value, double now)
{
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE] = {""};
	bool		given[FM_MAX_PARAMS] = {true};

	snprintf(values[0], FM_MAX_VALUE, "%s", value);
	return fm_entries_find(entries, &endpoint, FM_FORM_JSON, values, given, now);
}

/* Give it an answer that is good for a second. */
static FmAnswer *
answer(FmEntry *entry, double now)
{
	FmAnswer   *made = calloc(1, sizeof(FmAnswer));

	made->references = 1;
	fm_buf_puts(&made->body, "found");
	entry->answer = made;
	entry->fresh_until = now + 1;
	return made;
}

/* (What is freed twice, or never, the sanitizers tell.) */
static void
test_time(void)
{
	FmEntries	entries = {.n = 0};
	double		begin = 1000;

	fm_entries_tend(&entries, begin);
	for (int i = 0; i < 3; i++)
	{
		char		value[16];

		snprintf(value, sizeof(value), "%d", i);
		answer(ask(&entries, value, begin), begin);
	}
	ok(entries.n == 3, "what was asked for is remembered");
	ok(ask(&entries, "1", begin + 5)->answer != NULL && entries.n == 3,
	   "with its answer, though that is old");
	fm_entries_tend(&entries, begin + FM_FORGET_SECONDS - 0.001);
	ok(entries.n == 3, "until it is time to look");
	fm_entries_tend(&entries, begin + FM_FORGET_SECONDS);
	ok(entries.n == 0, "then what nobody has asked for is forgotten");
	answer(ask(&entries, "0", begin + 31), begin + 31);
	fm_entries_tend(&entries, begin + 2 * FM_FORGET_SECONDS - 0.001);
	ok(entries.n == 1, "the next look is so much later");
	fm_entries_tend(&entries, begin + 2 * FM_FORGET_SECONDS);
	ok(entries.n == 0, "and finds what has come meanwhile");
	fm_entries_free(&entries);
}

static void
test_use(void)
{
	FmEntries	entries = {.n = 0};
	double		look = 1000 + FM_FORGET_SECONDS;
	FmEntry    *busy = ask(&entries, "busy", 1000);
	FmEntry    *fresh = ask(&entries, "fresh", 1000);
	FmAnswer   *held = answer(ask(&entries, "held", 1000), 1000);

	busy->busy = true;
	held->references++;
	answer(fresh, look - 0.5);
	fm_entries_tend(&entries, look);
	ok(entries.n == 2, "what is fresh or worked on stays");
	ok(ask(&entries, "busy", look) == busy &&
	   ask(&entries, "fresh", look) == fresh, "as it is");
	ok(held->references == 1 && held->body.len == 5 &&
	   memcmp(held->body.data, "found", 5) == 0,
	   "an answer lives for who holds it");
	fm_answer_drop(held);
	busy->busy = false;
	fm_entries_tend(&entries, look + FM_FORGET_SECONDS);
	ok(entries.n == 0, "until nobody does any more");
	fm_entries_free(&entries);
}

/* Many different things need not wait for the time to look. */
static void
test_number(void)
{
	FmEntries	entries = {.n = 0};
	int			most = 0;

	fm_entries_tend(&entries, 1000);
	for (int i = 0; i < 5000; i++)
	{
		char		value[16];
		double		now = 1000 + i * 0.005;

		snprintf(value, sizeof(value), "%d", i);
		answer(ask(&entries, value, now), now);
		if (entries.n > most)
			most = entries.n;
	}
	ok(most == FM_MAX_ENTRIES, "no more are remembered than there may be: %d",
	   most);
	fm_entries_free(&entries);
	ok(entries.n == 0, "in the end all are freed");
}

static void
test_names(void)
{
	FmEntries	entries = {.n = 0};
	char		values[FM_MAX_PARAMS][FM_MAX_VALUE] = {""};
	bool		first[FM_MAX_PARAMS] = {true};
	bool		second[FM_MAX_PARAMS] = {false, true};
	FmEntry    *found[4];

	found[0] = fm_entries_find(&entries, &endpoint, FM_FORM_JSON, values, first, 0);
	found[1] = fm_entries_find(&entries, &endpoint, FM_FORM_JSON, values, second, 0);
	found[2] = fm_entries_find(&entries, &endpoint, FM_FORM_CSV, values, first, 0);
	found[3] = fm_entries_find(&entries, NULL, FM_FORM_JSON, values, first, 0);
	ok(entries.n == 4, "an empty value is not none, a file is not a list");
	ok(fm_entries_find(&entries, &endpoint, FM_FORM_CSV, values, first, 0) ==
	   found[2] && entries.n == 4, "and each is found again");
	fm_entries_free(&entries);
}

static void
test_etags(void)
{
	char		strong[FM_ETAG_LEN];
	char		weak[FM_ETAG_LEN];
	char		other[FM_ETAG_LEN];
	char		list[4 * FM_ETAG_LEN];

	fm_etag_make(strong, "found", 5, false);
	fm_etag_make(weak, "found", 5, true);
	fm_etag_make(other, "founD", 5, false);
	ok(strcmp(weak + 2, strong) == 0 && strncmp(weak, "W/\"", 3) == 0,
	   "a weak tag says so: %s", weak);
	ok(strcmp(strong, other) != 0 && strlen(strong) == 18,
	   "other bytes have another one: %s, %s", strong, other);
	snprintf(list, sizeof(list), "%s, W/\"x\" , %s", other, strong);
	ok(fm_etag_is_known(strong, list) && fm_etag_is_known(weak, list),
	   "a tag in a list is known, weak or not");
	ok(fm_etag_is_known(strong, weak) && fm_etag_is_known(strong, " *"),
	   "and is by a weak one, and by *");
	strong[5]++;
	ok(!fm_etag_is_known(strong, list), "another one is not");
	ok(!fm_etag_is_known(other, "") && !fm_etag_is_known(other, NULL) &&
	   !fm_etag_is_known("", list) && !fm_etag_is_known("", "*"),
	   "nor is one without a list, or none");
	list[strlen(other) - 1] = '\0';
	ok(!fm_etag_is_known(other, list), "nor one that does not end");
}

int
main(void)
{
	test_time();
	test_use();
	test_number();
	test_names();
	test_etags();
	return done_testing();
}
