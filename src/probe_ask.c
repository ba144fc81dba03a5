/*-------------------------------------------------------------------------
 *
 * probe_ask.c
 *	  How a question to the brokers is answered, whatever its kind.
 *
 * Everything from here on runs in a probe's own thread, which may block; it
 * looks between two calls of the library whether anybody still wants the
 * answer.  Each kind of question has its own file: probe_metadata.c,
 * probe_offsets.c, probe_read.c.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "probe_internal.h"

int
fm_probe_time_slice(FmProbeCore *core, int most)
{
	int			left = fm_client_remaining(core->deadline);

	if (left > most)
		left = most;
	return left < 1 ? 1 : left;
}

void
fm_probe_answer_question(FmProbeCore *core)
{
	FmProbeAnswer *answer = &core->answer;

	fm_probe_collect_errors(core);
	if (core->kind != FM_PROBE_METADATA && core->topic == NULL)
	{
		answer->code = FM_KAFKA_OTHER;
		fm_client_format(answer->text, sizeof(answer->text),
						 "this question needs a topic");
		return;
	}
	switch (core->kind)
	{
		case FM_PROBE_METADATA:
			fm_probe_answer_metadata(core);
			break;
		case FM_PROBE_WATERMARKS:
			fm_probe_answer_watermarks(core);
			break;
		case FM_PROBE_OFFSETS_FOR_TIME:
			fm_probe_answer_times(core);
			break;
		case FM_PROBE_READ:
			fm_probe_answer_read(core);
			break;
	}
}
