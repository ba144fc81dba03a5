/*-------------------------------------------------------------------------
 *
 * check_server.c
 *	  factorymon.check_server(): is the cluster reachable, in words.
 *
 * Asks the brokers through a probe (a plain thread) and waits on the latch,
 * so that a cancelled query returns at once.  An unreachable cluster is an
 * answer, not an error.  Needs no background worker.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "factorymon.h"
#include "options.h"

#define ANSWER_TIMEOUT_MS 10000
#define POLL_MS 500				/* between looks at an answer that is overdue */
#define CLOSE_TIMEOUT_MS 200
#define EXIT_TIMEOUT_MS 10000

PG_FUNCTION_INFO_V1(factorymon_check_server);

/* Texts have been cut to fit; a cut must not go through a character. */
static Datum
text_datum(const char *text)
{
	int			len = strlen(text);

	while (len > 0 && !pg_verifymbstr(text, len, true))
		len--;
	return PointerGetDatum(cstring_to_text_with_len(text, len));
}

static void
put_line(ReturnSetInfo *rsinfo, const char *item, bool ok, const char *detail)
{
	Datum		values[3] = {text_datum(item), BoolGetDatum(ok),
	text_datum(detail)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * A library thread that is still there when the process exits may crash it,
 * and with it all sessions.
 */
static void
wait_for_threads(int code, Datum arg)
{
	(void) fm_kafka_wait_threads(EXIT_TIMEOUT_MS);
}

/* Let go of the probe; what is stuck in it must be gone before we exit. */
static void
close_probe(FmProbe *probe)
{
	static bool registered = false;

	if (fm_probe_close_wait(probe, CLOSE_TIMEOUT_MS) || registered)
		return;
	before_shmem_exit(wait_for_threads, (Datum) 0);
	registered = true;
}

/*
 * Wait until the probe has its answer, which it gives in time.  Its
 * descriptor does not tell of one that the library is late with.
 */
static void
wait_for_answer(FmProbe *probe)
{
	while (!fm_probe_answer(probe))
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE |
								 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 fm_probe_fd(probe), POLL_MS, FM_WAIT_EVENT);
		ResetLatch(MyLatch);
	}
}

static void
ask_and_describe(FmProbe *probe, ReturnSetInfo *rsinfo)
{
	FmCheckLine *lines;
	int			n;

	if (!fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, ANSWER_TIMEOUT_MS))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a thread to ask the brokers")));
	wait_for_answer(probe);
	n = fm_probe_describe(probe, NULL, 0);
	lines = MemoryContextAllocHuge(CurrentMemoryContext,
								   n * sizeof(FmCheckLine));
	fm_probe_describe(probe, lines, n);
	for (int i = 0; i < n; i++)
		put_line(rsinfo, lines[i].item, lines[i].ok, lines[i].detail);
	pfree(lines);
}

/*
 * check_server(server): one row per thing that was looked at.  Needs USAGE on
 * the server; connects as the current user would.
 */
Datum
factorymon_check_server(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FmServerOptions *options =
	fm_options_load(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId());
	FmConsumerConfig config = {0};
	FmProbe    *probe;
	char		error[FM_KAFKA_ERROR_LEN];

	InitMaterializedSRF(fcinfo, 0);
	put_line(rsinfo, "library", true,
			 psprintf("librdkafka %s", fm_kafka_version_text()));
	config.properties = options->properties;
	config.nproperties = options->nproperties;
	config.client_id = "factorymon-check";
	probe = fm_probe_open(&config, error, sizeof(error));
	if (!probe)
	{
		put_line(rsinfo, "client", false, error);
		return (Datum) 0;
	}
	PG_TRY();
	{
		ask_and_describe(probe, rsinfo);
	}
	PG_FINALLY();
	{
		close_probe(probe);
	}
	PG_END_TRY();
	return (Datum) 0;
}
