/*-------------------------------------------------------------------------
 *
 * probe_error.c
 *	  What goes wrong while a question is answered.
 *
 * Why brokers do not answer comes beside the answers, as events of the
 * client; a request itself only times out, as a rule.  What has been reported
 * is kept until something goes right.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "probe_internal.h"

/* Keep the text of a connection's error with the broker it names. */
static void
blame_broker(FmProbeCore *core, const char *text)
{
	for (int i = 0; i < core->nbrokers; i++)
	{
		FmProbeBroker *broker = &core->brokers[i];
		char		prefix[300];
		int			len;

		len = snprintf(prefix, sizeof(prefix), "%s/%d: ", broker->address,
					   (int) broker->id);
		if (strncmp(text, prefix, len) == 0)
			fm_client_format(broker->error, sizeof(broker->error), "%s",
							 text + len);
	}
}

/*
 * Take what has been reported since the last look.  The most telling error
 * is kept: a refused login before a broken connection, either before the
 * mere fact that no broker is left.
 */
void
fm_probe_collect_errors(FmProbeCore *core)
{
	rd_kafka_event_t *rkev;

	while ((rkev = rd_kafka_queue_poll(core->main_queue, 0)) != NULL)
	{
		if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_ERROR)
		{
			FmKafkaCode code = fm_client_code(rd_kafka_event_error(rkev));
			const char *text = rd_kafka_event_error_string(rkev);

			blame_broker(core, text);
			if (code == FM_KAFKA_ALL_BROKERS_DOWN)
				core->all_down = true;
			else if (core->last_code != FM_KAFKA_AUTHENTICATION ||
					 code == FM_KAFKA_AUTHENTICATION)
			{
				core->last_code = code;
				fm_client_format(core->last_error, sizeof(core->last_error),
								 "%s", text);
			}
		}
		rd_kafka_event_destroy(rkev);
	}
}

/*
 * Brokers answer: what went wrong before does not matter any more.  Only
 * then, because the library neither repeats that all are down nor, for half a
 * minute, why.
 */
void
fm_probe_forget_errors(FmProbeCore *core)
{
	fm_probe_collect_errors(core);
	core->last_code = FM_KAFKA_OK;
	core->last_error[0] = '\0';
	core->all_down = false;
}

/* An error that another try may not meet. */
bool
fm_probe_worth_retrying(FmKafkaCode code)
{
	return code == FM_KAFKA_TIMED_OUT || code == FM_KAFKA_TRANSPORT ||
		code == FM_KAFKA_ALL_BROKERS_DOWN || code == FM_KAFKA_OTHER;
}

/* The answer is an error: the library's code, and the best text there is. */
void
fm_probe_answer_error(FmProbeCore *core, rd_kafka_resp_err_t err)
{
	FmProbeAnswer *answer = &core->answer;

	fm_probe_collect_errors(core);
	answer->code = fm_client_code(err);
	if (core->last_code == FM_KAFKA_AUTHENTICATION)
		answer->code = FM_KAFKA_AUTHENTICATION;
	fm_client_format(answer->text, sizeof(answer->text), "%s",
					 core->last_error[0] != '\0' ? core->last_error :
					 fm_probe_worth_retrying(answer->code) ?
					 "no broker has answered in time" : rd_kafka_err2str(err));
}

/* If nothing at all is known, the question has failed as a whole. */
void
fm_probe_judge_items(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	for (int i = 0; i < answer->nitems; i++)
	{
		if (!fm_probe_worth_retrying(answer->items[i].code) &&
			answer->items[i].code != FM_KAFKA_AUTHENTICATION)
			return;
	}
	if (answer->nitems == 0)
		return;
	fm_probe_answer_error(core, RD_KAFKA_RESP_ERR__TIMED_OUT);
	if (answer->code == FM_KAFKA_TIMED_OUT && core->all_down)
		answer->code = FM_KAFKA_ALL_BROKERS_DOWN;
}
