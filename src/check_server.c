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
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "factorymon.h"
#include "options.h"

#define ANSWER_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS 1000
#define MAX_LINES 1000

PG_FUNCTION_INFO_V1(factorymon_check_server);

static void
put_line(ReturnSetInfo *rsinfo, const char *item, bool ok, const char *detail)
{
	Datum		values[3] = {CStringGetTextDatum(item), BoolGetDatum(ok),
	CStringGetTextDatum(detail)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Wait until the probe has its answer; it ends by itself in time. */
static void
wait_for_answer(FmProbe *probe)
{
	while (!fm_probe_answer(probe))
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE |
								 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 fm_probe_fd(probe), ANSWER_TIMEOUT_MS,
								 FM_WAIT_EVENT);
		ResetLatch(MyLatch);
	}
}

static void
ask_and_describe(FmProbe *probe, ReturnSetInfo *rsinfo)
{
	FmCheckLine *lines = palloc(sizeof(FmCheckLine) * MAX_LINES);
	int			n;

	if (!fm_probe_ask(probe, FM_PROBE_METADATA, NULL, 0, ANSWER_TIMEOUT_MS))
		elog(ERROR, "could not ask the brokers");
	wait_for_answer(probe);
	n = fm_probe_describe(probe, lines, MAX_LINES);
	for (int i = 0; i < n; i++)
		put_line(rsinfo, lines[i].item, lines[i].ok, lines[i].detail);
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
		(void) fm_probe_close_wait(probe, CLOSE_TIMEOUT_MS);
	}
	PG_END_TRY();
	return (Datum) 0;
}
