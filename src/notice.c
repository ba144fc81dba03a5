/*-------------------------------------------------------------------------
 *
 * notice.c
 *	  What goes out, as listeners are told of it.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/async.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "alert_message.h"
#include "pipeline_internal.h"
#include "publication_internal.h"

#define NOTIFY_CHANNEL "factorymon_alerts"

static void
add_uuid(StringInfo buf, const char *name, Datum value, bool isnull)
{
	char		text[FM_UUID_TEXT];

	appendStringInfoString(buf, name);
	if (isnull)
	{
		appendStringInfoString(buf, "null");
		return;
	}
	fm_uuid_text(DatumGetUUIDP(value), text);
	appendStringInfoChar(buf, '"');
	appendBinaryStringInfo(buf, text, FM_UUID_TEXT - 1);
	appendStringInfoChar(buf, '"');
}

static void
add_integer(StringInfo buf, const char *name, int64 value)
{
	char		text[MAXINT8LEN + 1];

	appendStringInfoString(buf, name);
	appendBinaryStringInfo(buf, text, pg_lltoa(value, text));
}

/*
 * The same as row_to_json() makes of such a row in fm_publication_notify().
 *
 * Anybody who may connect to the database may listen, so there is nothing in
 * it that only readers may see: who wants more asks for it by its number.
 */
char *
fm_publication_notice(const FmPipeline *pipeline, const Datum *values,
					  const bool *nulls)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"pipeline\":");
	fm_append_json_text(&buf, pipeline->name);
	add_integer(&buf, ",\"pub_seq\":",
				DatumGetInt64(values[PUBLICATION_PUB_SEQ - 1]));
	add_uuid(&buf, ",\"event_id\":", values[PUBLICATION_EVENT_ID - 1],
			 nulls[PUBLICATION_EVENT_ID - 1]);
	add_uuid(&buf, ",\"alarm_id\":", values[PUBLICATION_ALARM_ID - 1],
			 nulls[PUBLICATION_ALARM_ID - 1]);
	appendStringInfoString(&buf, ",\"transition\":");
	fm_append_json_text(&buf,
						TextDatumGetCString(values[PUBLICATION_TRANSITION - 1]));
	if (nulls[PUBLICATION_SEVERITY - 1])
		appendStringInfoString(&buf, ",\"severity\":null");
	else
		add_integer(&buf, ",\"severity\":",
					DatumGetInt16(values[PUBLICATION_SEVERITY - 1]));
	appendStringInfoString(&buf,
						   DatumGetBool(values[PUBLICATION_ANNOUNCED - 1]) ?
						   ",\"announced\":true}" : ",\"announced\":false}");
	return buf.data;
}

void
fm_publication_notify(const FmPipeline *pipeline,
					  const FmNumbering *numbering)
{
	static void *plan = NULL;
	FmArgs		args = {0};

	for (int i = 0; i < numbering->nnotices; i++)
		Async_Notify(NOTIFY_CHANNEL, numbering->notices[i]);
	if (numbering->nnotices == numbering->n)
		return;
	/* floods have the last numbers */
	fm_args_int2(&args, pipeline->id);
	fm_args_int8(&args, numbering->last - numbering->n +
				 numbering->nnotices + 1);
	fm_args_int8(&args, numbering->last);
	fm_args_text(&args, pipeline->name);
	(void) fm_args_run_kept(&args, &plan, "SELECT pg_notify('"
							NOTIFY_CHANNEL "', row_to_json(m)::text)"
							" FROM (SELECT $4 AS pipeline, pub_seq, event_id,"
							" alarm_id, transition, severity, announced"
							" FROM _factorymon.publication"
							" WHERE pipeline_id = $1"
							" AND pub_seq BETWEEN $2 AND $3"
							" ORDER BY pub_seq) m", SPI_OK_SELECT);
}
